//! Nodes whose disks are slower than those of the others: a majority has what they do not hold yet.

use std::time::Duration;

use bytes::Bytes;
use sharddb_raft::StateMachine;
use tokio::time::sleep;

use super::{Cluster, GROUP, simulate};

/// Longer than the others need to commit.
const SYNC: Duration = Duration::from_millis(400);
/// Long enough for the others, too short for the slow disk.
const MEANWHILE: Duration = Duration::from_millis(150);

/// A group that node 1 leads, whose disk is slow.
async fn with_a_slow_leader(seed: u64) -> Cluster {
    let mut cluster = Cluster::new(3, seed);
    cluster.nodes.get_mut(&1).expect("there is a node 1").round = SYNC;
    cluster.crash(1).await;
    cluster.restart(1).await;
    cluster.form_group(GROUP, 1..=3).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(cluster.any_leader(GROUP).await, 1);
    cluster
}

/// Has the leader send an entry that it does not hold itself when this returns.
async fn propose_without_waiting(cluster: &Cluster) {
    let leader = cluster.group(1, GROUP);
    tokio::spawn(async move { leader.propose(Bytes::from_static(b"command 1")).await });
    sleep(MEANWHILE).await;
}

#[test]
fn a_state_is_never_newer_than_the_log_beside_it() {
    simulate(|| async {
        let mut cluster = with_a_slow_leader(1).await;
        propose_without_waiting(&cluster).await;
        // Engines flush when they like.
        cluster.machine(1, GROUP).flush().expect("the state is flushed");
        cluster.crash(1).await;
        cluster.restart(1).await;
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, ["command 1"]);
    });
}

#[test]
fn a_leader_that_lost_what_its_followers_have_is_replaced_after_all_have_crashed() {
    simulate(|| async {
        let mut cluster = with_a_slow_leader(2).await;
        propose_without_waiting(&cluster).await;
        for id in 1..=3 {
            cluster.crash(id).await;
        }
        for id in 1..=3 {
            cluster.restart(id).await;
        }
        cluster.propose(GROUP, "command 2").await;
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, ["command 1", "command 2"]);
    });
}
