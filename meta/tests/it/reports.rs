//! What nodes tell the meta group all the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kv::MetaClient;
use meta::{Vitals, Waits};
use parking_lot::Mutex;
use proto::meta::{HeartbeatAnswer, Node, NodeStatistics, RangeDescriptor, Victim, Wait};
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_proto as proto;
use tokio::time::sleep;

use crate::{failover::Cluster, remote::Network};

async fn cluster() -> (Cluster, Arc<Network>) {
    let cluster = Cluster::new();
    cluster.lead(1).await;
    let node = Node { id: 1, store: "a".to_owned(), ..Node::default() };
    cluster.member(1).bootstrap("c".to_owned(), node, vec![range(1, "", "", 1)]).await.expect("a new cluster");
    let network = Network::of(&cluster);
    (cluster, network)
}

fn range(shard: u64, start: &'static str, end: &'static str, epoch: u64) -> RangeDescriptor {
    let (start, end) = (start.into(), end.into());
    RangeDescriptor { shard, start, end, epoch, replicas: vec![1], ..RangeDescriptor::default() }
}

#[derive(Default)]
struct Body {
    leads: Mutex<BTreeSet<u64>>,
    ranges: Mutex<Vec<RangeDescriptor>>,
    /// How often all ranges were asked for.
    asked: AtomicU64,
    answers: Mutex<Vec<HeartbeatAnswer>>,
}

impl Vitals for Body {
    fn node(&self) -> Node {
        Node { id: 1, store: "a".to_owned(), sql_addr: "a:5432".to_owned(), ..Node::default() }
    }

    fn statistics(&self) -> NodeStatistics {
        NodeStatistics { bytes: 7, ..NodeStatistics::default() }
    }

    fn leads(&self) -> BTreeSet<u64> {
        self.leads.lock().clone()
    }

    fn ranges_version(&self) -> u64 {
        self.ranges.lock().iter().map(|range| range.epoch).sum()
    }

    fn ranges(&self) -> Vec<RangeDescriptor> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.ranges.lock().clone()
    }

    fn heard(&self, answer: &HeartbeatAnswer) {
        self.answers.lock().push(answer.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn every_leader_learns_what_a_node_leads() {
    let (cluster, network) = cluster().await;
    let remote = network.node(9);
    let body = Arc::<Body>::default();
    body.leads.lock().insert(1);
    let task = remote.keep_heartbeat(Arc::clone(&body) as Arc<dyn Vitals>);
    for leader in [1, 2, 3] {
        cluster.lead(leader).await;
        sleep(Duration::from_secs(3)).await;
        let nodes = remote.nodes().await.expect("the nodes").nodes;
        let node = &nodes[0];
        assert_eq!((node.live, node.leads, node.voters), (true, 1, 1), "leader {leader}");
        assert_eq!(node.statistics.expect("they were sent").bytes, 7);
        assert_eq!(node.node.as_ref().expect("a record").sql_addr, "a:5432");
    }
    body.leads.lock().clear();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(remote.nodes().await.expect("the nodes").nodes[0].leads, 0);
    let answers = std::mem::take(&mut *body.answers.lock());
    assert!(!answers.last().expect("there were some").want_leads);
    task.abort();
    sleep(Duration::from_secs(10)).await;
    assert!(!remote.nodes().await.expect("the nodes").nodes[0].live);
}

#[tokio::test(start_paused = true)]
async fn a_split_that_nobody_reported_is_reported_by_who_has_its_parts() {
    let (_cluster, network) = cluster().await;
    let remote = network.node(9);
    let body = Arc::<Body>::default();
    *body.ranges.lock() = vec![range(1, "", "", 1)];
    remote.keep_heartbeat(Arc::clone(&body) as Arc<dyn Vitals>);
    sleep(Duration::from_secs(2)).await;
    let map = async || {
        let ranges = remote.range_table().await.expect("the map").to_vec();
        ranges.into_iter().map(|range| (range.shard, range.epoch)).collect::<Vec<_>>()
    };
    // A part makes no map.
    *body.ranges.lock() = vec![range(1, "", "m", 2)];
    sleep(Duration::from_secs(2)).await;
    assert_eq!(map().await, [(1, 1)]);
    body.ranges.lock().push(range(2, "m", "", 2));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(map().await, [(1, 2), (2, 2)]);
    // What the map knows better is not put back.
    remote.put_ranges(vec![range(2, "m", "t", 3), range(3, "t", "", 3)]).await.expect("a split");
    body.ranges.lock().push(range(4, "", "a", 1));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(map().await, [(1, 2), (2, 3), (3, 3)]);
    let asked = body.asked.load(Ordering::SeqCst);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(body.asked.load(Ordering::SeqCst), asked, "nothing has changed since");
}

/// Waits that last until they are ended.
#[derive(Default)]
struct Queue {
    waits: Mutex<BTreeMap<u64, Wait>>,
    ended: Mutex<Vec<Victim>>,
}

impl Queue {
    fn waiting(id: u64, waiter: u64, holder: u64) -> Arc<Self> {
        let wait = Wait { id, waiter, began: waiter, holders: vec![holder] };
        Arc::new(Self { waits: Mutex::new([(id, wait)].into()), ..Self::default() })
    }
}

impl Waits for Queue {
    fn waits(&self, _age: Duration) -> Vec<Wait> {
        self.waits.lock().values().cloned().collect()
    }

    fn end(&self, victim: Victim) {
        if self.waits.lock().remove(&victim.wait).is_some() {
            self.ended.lock().push(victim);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadlock_over_two_nodes_ends_with_its_youngest_transaction() {
    let (cluster, network) = cluster().await;
    for leader in [1, 2] {
        cluster.lead(leader).await;
        let (left, right) = (Queue::waiting(1, 10, 20), Queue::waiting(1, 20, 10));
        let keep = |node, queue| network.node(node).keep_reporting_waits(queue);
        let tasks = [keep(8, Arc::clone(&left) as Arc<dyn Waits>), keep(9, Arc::clone(&right) as Arc<dyn Waits>)];
        sleep(Duration::from_secs(2)).await;
        assert!(left.ended.lock().is_empty() && !left.waits.lock().is_empty());
        let ended: Vec<Vec<u64>> = right.ended.lock().iter().map(|victim| victim.cycle.clone()).collect();
        assert_eq!(ended, [[20, 10, 20]]);
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        sleep(Duration::from_secs(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_no_waits_sends_nothing() {
    let (_cluster, network) = cluster().await;
    network.node(9).keep_reporting_waits(Arc::<Queue>::default());
    network.calls();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(network.calls(), 0);
}
