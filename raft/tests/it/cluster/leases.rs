//! No two replicas of a group hold the lease at one moment, whatever network, clocks and processes do.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::sleep;

use super::{Cluster, GROUP, simulate};

/// Clock rates, in thousandths, at the edge of what leases allow: their ratio is just below ten to nine.
const RATES: [u64; 5] = [950, 1000, 1050, 1050, 950];
const NODES: u64 = 5;
const STEPS: usize = 40;

/// What a run saw.
#[derive(Default)]
struct Seen {
    /// Commands that were acknowledged.
    acknowledged: BTreeSet<String>,
    /// Nodes that held the lease at some time.
    holders: BTreeSet<u64>,
}

/// Asks every running replica at one moment whether it holds the lease.
fn look(cluster: &Cluster, seen: &mut Seen, seed: u64) {
    let mut holders = Vec::new();
    for node in cluster.nodes.values() {
        let group = node.host.as_ref().and_then(|host| host.group(GROUP));
        let Some(group) = group.filter(|group| group.has_lease()) else { continue };
        holders.push(node.id);
        if group.leadership().borrow().ready {
            let commands = node.commands(GROUP);
            let missing = seen.acknowledged.iter().find(|command| !commands.contains(*command));
            assert_eq!(missing, None, "seed {seed}: node {} reads on its lease and misses a command", node.id);
        }
    }
    assert!(holders.len() <= 1, "seed {seed}: nodes {holders:?} hold the lease at one moment");
    seen.holders.extend(holders);
}

/// Looks again and again for some time.
async fn watch(cluster: &Cluster, seen: &Mutex<Seen>, seed: u64, milliseconds: usize) {
    for _ in 0..milliseconds {
        look(cluster, &mut seen.lock(), seed);
        sleep(Duration::from_millis(1)).await;
    }
}

/// Does something to the cluster.
async fn disturb(cluster: &mut Cluster) {
    let network = Arc::clone(&cluster.network);
    let node = 1 + network.choose(NODES as usize) as u64;
    let other = 1 + network.choose(NODES as usize) as u64;
    match network.choose(8) {
        0 => network.isolate(node, (1..=NODES).filter(|other| *other != node)),
        1 => network.cut(node, other, true),
        2 | 3 => network.mend(),
        4 => network.misbehave(network.choose(200) as u32, Duration::from_millis(network.choose(150) as u64)),
        5 => network.misbehave(0, Duration::from_millis(2)),
        6 => {
            let down = cluster.nodes.values().filter(|node| node.host.is_none()).count();
            if cluster.nodes[&node].host.is_none() {
                cluster.restart(node).await;
            } else if down < 2 {
                cluster.crash(node).await;
            }
        }
        _ => {
            if let Some(leader) = cluster.leader(GROUP) {
                let group = cluster.group(leader, GROUP);
                tokio::spawn(async move { group.transfer_leader(other).await });
            }
        }
    }
}

/// Proposes a command wherever the lease is, without waiting for the outcome.
fn propose(cluster: &Cluster, seen: &Arc<Mutex<Seen>>, command: String) {
    let Some(leader) = cluster.leader(GROUP) else { return };
    let (group, seen) = (cluster.group(leader, GROUP), Arc::clone(seen));
    tokio::spawn(async move {
        if group.propose(Bytes::from(command.clone())).await.is_ok() {
            seen.lock().acknowledged.insert(command);
        }
    });
}

async fn run(seed: u64) {
    let mut cluster = Cluster::new(0, seed);
    for (id, rate) in (1..=NODES).zip(RATES) {
        cluster.add_node(id, rate);
    }
    cluster.form_group(GROUP, 1..=NODES).await;
    let seen = Arc::new(Mutex::new(Seen::default()));
    for step in 0..STEPS {
        disturb(&mut cluster).await;
        propose(&cluster, &seen, format!("{step}"));
        let pause = 50 + cluster.network.choose(600);
        watch(&cluster, &seen, seed, pause).await;
    }
    cluster.network.mend();
    cluster.network.misbehave(0, Duration::from_millis(2));
    for id in 1..=NODES {
        if cluster.nodes[&id].host.is_none() {
            cluster.restart(id).await;
        }
    }
    watch(&cluster, &seen, seed, 3000).await;
    cluster.propose(GROUP, "the last").await;
    let commands = cluster.agreed(GROUP, &[1, 2, 3, 4, 5]).await;
    let seen = seen.lock();
    assert!(seen.acknowledged.iter().all(|command| commands.contains(command)), "seed {seed}: a command is lost");
    assert!(!seen.holders.is_empty() && !seen.acknowledged.is_empty(), "seed {seed}: nothing happened");
}

#[test]
fn no_two_leases_overlap_and_no_acknowledged_command_is_lost() {
    let seeds = std::env::var("SHARDDB_TEST_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(12);
    for seed in 0..seeds {
        simulate(|| run(seed));
    }
}
