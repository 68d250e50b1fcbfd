//! The loop that carries placement out, over members with a log of the tests' own and a mover that only writes the map.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kv::{BoxFuture, MetaClient};
use meta::{
    RemoteMeta,
    placement::{META, Mover, Progress},
};
use parking_lot::Mutex;
use proto::meta::{Job, Node, NodeHeartbeat, NodeState, RangeDescriptor, Shards};
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_proto as proto;
use tokio::time::sleep;

use crate::{
    failover::{Cluster, NODES},
    log::Log,
    remote::Network,
};

/// Moves replicas by saying so.
struct Paper {
    remote: RemoteMeta,
    log: Arc<Log>,
    leaders: Mutex<BTreeMap<u64, u64>>,
    broken: AtomicBool,
}

impl Paper {
    async fn change(&self, shard: u64, add: Vec<u64>, remove: Vec<u64>) -> Result<(), String> {
        sleep(Duration::from_secs(2)).await;
        if self.broken.load(Ordering::SeqCst) {
            return Err("the disk of the target is slow".to_owned());
        }
        if shard == META {
            let mut voters = self.log.voters.lock();
            let voters = voters.as_mut().expect("they are set");
            voters.retain(|node| !remove.contains(node));
            voters.extend(add);
            return Ok(());
        }
        let ranges = self.remote.ranges().await.map_err(|error| error.to_string())?;
        let mut range = ranges.into_iter().find(|range| range.shard == shard).ok_or("there is no such shard")?;
        range.replicas.retain(|node| !remove.contains(node));
        range.replicas.extend(add);
        range.epoch += 1;
        self.remote.put_ranges(vec![range]).await.map_err(|error| error.to_string())
    }
}

impl Mover for Paper {
    fn change_replicas(
        &self,
        shard: u64,
        add: Vec<u64>,
        remove: Vec<u64>,
        progress: Arc<Progress>,
    ) -> BoxFuture<'_, Result<(), String>> {
        progress.note(1, 2);
        Box::pin(self.change(shard, add, remove))
    }

    fn transfer_leader(&self, shard: u64, from: u64, to: u64) -> BoxFuture<'_, Result<(), String>> {
        if shard == META {
            self.log.elect(to);
            (1..=NODES).for_each(|node| self.log.inform(node));
        } else {
            assert_eq!(self.leaders.lock().insert(shard, to), Some(from));
        }
        Box::pin(async { Ok(()) })
    }
}

struct World {
    cluster: Cluster,
    remote: RemoteMeta,
    mover: Arc<Paper>,
    nodes: u64,
}

impl World {
    /// One node with two shards, and a member of the meta group on each of three.
    async fn new() -> Self {
        let cluster = Cluster::new();
        cluster.lead(1).await;
        *cluster.log.voters.lock() = Some([1].into());
        let range = |shard, start: &'static str, end: &'static str| RangeDescriptor {
            shard,
            start: start.into(),
            end: end.into(),
            epoch: 1,
            replicas: vec![1],
            ..RangeDescriptor::default()
        };
        let ranges = vec![range(1, "", "m"), range(2, "m", "")];
        let node = Node { id: 1, store: "s1".to_owned(), ..Node::default() };
        cluster.member(1).bootstrap("c".to_owned(), node, ranges).await.expect("a new cluster");
        let remote = Network::of(&cluster).node(9);
        let leaders = Mutex::new(BTreeMap::from([(1, 1), (2, 1)]));
        let log = Arc::clone(&cluster.log);
        let mover = Arc::new(Paper { remote: remote.clone(), log, leaders, broken: AtomicBool::new(false) });
        for node in 1..=NODES {
            cluster.member(node).keep_placement(Arc::clone(&mover) as Arc<dyn Mover>);
        }
        Self { cluster, remote, mover, nodes: 1 }
    }

    async fn join(&mut self) {
        self.nodes += 1;
        let store = format!("s{}", self.nodes);
        let joined = self.remote.join(Node { store, ..Node::default() }).await.expect("joined");
        assert_eq!(joined.node, self.nodes);
    }

    /// Lets time pass while these nodes give signs of life.
    async fn pass(&self, seconds: u64, nodes: &[u64]) {
        for _ in 0..seconds {
            for id in nodes {
                let leaders = self.mover.leaders.lock().clone();
                let shards = leaders.into_iter().filter(|(_, node)| node == id).map(|(shard, _)| shard).collect();
                let node = Some(Node { id: *id, store: format!("s{id}"), ..Node::default() });
                let leads = Some(Shards { shards });
                let heartbeat = NodeHeartbeat { node, leads, ..NodeHeartbeat::default() };
                self.remote.heartbeat(heartbeat).await.expect("heard");
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn replicas(&self) -> Vec<Vec<u64>> {
        let ranges = self.remote.ranges().await.expect("the map");
        let sorted = |range: RangeDescriptor| {
            let mut replicas = range.replicas;
            replicas.sort_unstable();
            replicas
        };
        ranges.into_iter().map(sorted).collect()
    }

    async fn jobs(&self) -> Vec<Job> {
        self.remote.jobs().await.expect("the jobs")
    }
}

#[tokio::test(start_paused = true)]
async fn three_nodes_have_three_replicas_of_everything() {
    let mut world = World::new().await;
    world.join().await;
    world.pass(20, &[1, 2]).await;
    assert_eq!(world.replicas().await, [[1], [1]]);
    world.join().await;
    world.pass(20, &[1, 2, 3]).await;
    assert_eq!(world.replicas().await, [[1, 2, 3], [1, 2, 3]]);
    let jobs = world.jobs().await;
    assert!(jobs.iter().all(|job| (&job.state[..], &job.error[..]) == ("done", "")), "{jobs:?}");
    assert_eq!((&jobs[0].what[..], jobs[0].shard, &jobs[0].to[..]), ("add replica", META, &[2, 3][..]));
    assert_eq!(world.cluster.log.voters.lock().clone(), Some([1, 2, 3].into()));
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_is_replaced_after_a_while_and_a_decommissioned_one_is_gone() {
    let mut world = World::new().await;
    for _ in 0..3 {
        world.join().await;
    }
    world.pass(30, &[1, 2, 3, 4]).await;
    world.remote.put_setting("dead_node_after".to_owned(), Some("60".to_owned())).await.expect("set");
    world.pass(50, &[1, 2, 4]).await;
    let before = world.replicas().await;
    assert!(before.iter().any(|replicas| replicas.contains(&3)), "{before:?}");
    world.pass(30, &[1, 2, 4]).await;
    assert_eq!(world.replicas().await, [[1, 2, 4], [1, 2, 4]]);

    world.pass(20, &[1, 2, 3, 4]).await;
    world.remote.set_node_state(1, NodeState::Decommissioning).await.expect("enough are left");
    world.pass(60, &[1, 2, 3, 4]).await;
    assert_eq!(world.replicas().await, [[2, 3, 4], [2, 3, 4]]);
    assert_eq!(world.cluster.log.voters.lock().clone(), Some([2, 3, 4].into()));
    let nodes = world.remote.nodes().await.expect("the nodes").nodes;
    assert_eq!(nodes[0].node.as_ref().expect("a record").state(), NodeState::Gone);
    world.remote.set_node_state(4, NodeState::Decommissioning).await.expect_err("three are needed");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_is_tried_again_later() {
    let mut world = World::new().await;
    world.mover.broken.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        world.join().await;
    }
    world.pass(60, &[1, 2, 3]).await;
    assert_eq!(world.replicas().await, [[1], [1]]);
    let jobs = world.jobs().await;
    let failed = jobs.iter().filter(|job| job.state == "failed").count();
    assert!((4..=16).contains(&failed), "with pauses that grow: {failed}");
    assert_eq!(jobs[0].error, "the disk of the target is slow");
    world.mover.broken.store(false, Ordering::SeqCst);
    world.pass(70, &[1, 2, 3]).await;
    assert_eq!(world.replicas().await, [[1, 2, 3], [1, 2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn another_leader_goes_on() {
    let mut world = World::new().await;
    for _ in 0..2 {
        world.join().await;
    }
    world.pass(5, &[1, 2, 3]).await;
    world.cluster.lead(2).await;
    world.pass(20, &[1, 2, 3]).await;
    assert_eq!(world.replicas().await, [[1, 2, 3], [1, 2, 3]]);
    world.pass(20, &[1, 2, 3]).await;
    let leaders = world.mover.leaders.lock().clone();
    assert_eq!(leaders.len(), 2);
}
