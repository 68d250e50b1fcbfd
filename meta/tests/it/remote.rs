//! The meta group as nodes reach it that need not lead, over a network of the test's own.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use kv::{BoxFuture, Error, MetaClient};
use meta::{Meta, MetaTransport, RemoteMeta};
use parking_lot::Mutex;
use proto::{
    SqlState, Timestamp,
    meta::{Answer, Call, Node, RangeDescriptor, ReadRanges, answer, call},
};
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_proto as proto;
use tokio::time::sleep;

use crate::failover::{Cluster, NODES};

/// The way to the members; takes a while in both directions.
#[derive(Default)]
pub(crate) struct Network {
    members: HashMap<u64, Meta>,
    unreachable: Mutex<HashSet<u64>>,
    calls: AtomicUsize,
    timestamp_calls: AtomicUsize,
    there: Mutex<Duration>,
    back: Mutex<Duration>,
}

impl Network {
    pub(crate) fn of(cluster: &Cluster) -> Arc<Self> {
        let members = (1..=NODES).map(|node| (node, cluster.member(node).clone())).collect();
        Arc::new(Self { members, ..Self::default() })
    }

    pub(crate) fn node(self: &Arc<Self>, node: u64) -> RemoteMeta {
        let local = self.members.get(&node).cloned();
        RemoteMeta::new(node, local, (1..=NODES).collect(), Arc::clone(self) as Arc<dyn MetaTransport>)
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

impl MetaTransport for Network {
    fn call(&self, node: u64, call: Call, _patience: Duration) -> BoxFuture<'_, Result<Answer, String>> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if matches!(call.body, Some(call::Body::Timestamps(_))) {
                self.timestamp_calls.fetch_add(1, Ordering::SeqCst);
            }
            let (there, back) = (*self.there.lock(), *self.back.lock());
            sleep(there).await;
            if self.unreachable.lock().contains(&node) {
                return Err("no route".to_owned());
            }
            let answer = self.members[&node].call(call).await;
            sleep(back).await;
            Ok(answer)
        })
    }
}

fn range(shard: u64, start: &'static str, end: &'static str, epoch: u64) -> RangeDescriptor {
    let (start, end) = (start.into(), end.into());
    RangeDescriptor { shard, start, end, epoch, replicas: vec![1], ..RangeDescriptor::default() }
}

async fn cluster() -> (Cluster, Arc<Network>) {
    let cluster = Cluster::new();
    cluster.lead(1).await;
    let node = Node { id: 1, store: "a".to_owned(), ..Node::default() };
    let ranges = vec![range(1, "", "m", 1), range(2, "m", "", 1)];
    cluster.member(1).bootstrap("c".to_owned(), node, ranges).await.expect("a new cluster");
    let network = Network::of(&cluster);
    (cluster, network)
}

#[tokio::test(start_paused = true)]
async fn the_leader_is_followed_wherever_it_goes() {
    let (cluster, network) = cluster().await;
    let far = network.node(9);
    let mut last = Timestamp::ZERO;
    for leader in [1, 2, 3, 2, 1] {
        cluster.lead(leader).await;
        for node in [far.clone(), network.node(1), network.node(2)] {
            let next = node.timestamp().await.expect("a timestamp");
            assert!(next > last, "{next} after {last} with leader {leader}");
            last = next;
        }
    }
    far.timestamp().await.expect("a timestamp");
    network.calls();
    far.timestamp().await.expect("a timestamp");
    assert_eq!(network.calls(), 1, "the leader is remembered");
}

#[tokio::test(start_paused = true)]
async fn an_election_is_waited_for() {
    let (cluster, network) = cluster().await;
    let far = network.node(9);
    let before = far.timestamp().await.expect("a timestamp");
    cluster.log.elect(0);
    (1..=NODES).for_each(|node| cluster.log.inform(node));
    network.unreachable.lock().insert(1);
    let waiting = tokio::spawn(async move { far.timestamp().await });
    sleep(Duration::from_secs(3)).await;
    assert!(!waiting.is_finished());
    cluster.lead(3).await;
    assert!(waiting.await.expect("no panic").expect("a timestamp") > before);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_a_deadline() {
    let (_cluster, network) = cluster().await;
    network.unreachable.lock().extend(1..=NODES);
    let far = network.node(9);
    let (timestamp, ids) = tokio::join!(far.timestamp(), far.allocate_shards(1));
    for error in [timestamp.expect_err("nobody answers"), ids.expect_err("nobody answers")] {
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }
    network.unreachable.lock().clear();
    far.timestamp().await.expect("they are back");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_shares_a_request() {
    let (_cluster, network) = cluster().await;
    *network.back.lock() = Duration::from_millis(10);
    let far = network.node(9);
    let answers = join_all((0..1000).map(|_| far.timestamp())).await;
    let distinct: HashSet<Timestamp> = answers.into_iter().map(|answer| answer.expect("a timestamp")).collect();
    assert_eq!(distinct.len(), 1000);
    assert!(network.timestamp_calls.load(Ordering::SeqCst) <= 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_a_timestamp_of_a_request_sent_before_they_asked() {
    let (cluster, network) = cluster().await;
    *network.back.lock() = Duration::from_millis(100);
    let far = network.node(9);
    let early = tokio::spawn({
        let far = far.clone();
        async move { far.timestamp().await }
    });
    sleep(Duration::from_millis(50)).await;
    // The early request has been answered, and the answer is on its way.
    let between = cluster.member(1).timestamp().await.expect("a timestamp");
    let late = far.timestamp().await.expect("a timestamp");
    let early = early.await.expect("no panic").expect("a timestamp");
    assert!(early < between && between < late, "{early} {between} {late}");
}

#[tokio::test(start_paused = true)]
async fn a_timestamp_reached_is_not_asked_for_again() {
    let (cluster, network) = cluster().await;
    let far = network.node(9);
    let seen = far.timestamp().await.expect("a timestamp");
    network.calls();
    far.reached(seen).await.expect("reached");
    assert_eq!((network.calls(), far.latest_seen()), (0, seen));
    let ahead = Timestamp(seen.0 + 1000);
    far.reached(ahead).await.expect("reached");
    assert_eq!(network.calls(), 1);
    assert!(cluster.member(1).timestamp().await.expect("a timestamp") > ahead);
    // A member that does not lead knows a window of which little is handed out.
    let follower = network.node(2);
    cluster.log.catch_up(2);
    assert!(follower.latest_seen() <= far.latest_seen());
}

#[tokio::test(start_paused = true)]
async fn a_leader_in_this_process_is_not_reached_over_the_network() {
    let (_cluster, network) = cluster().await;
    let near = network.node(1);
    let first = near.try_timestamp().expect("without waiting");
    assert!(near.timestamp().await.expect("a timestamp") > first);
    near.reached(Timestamp(first.0 + 500)).await.expect("reached");
    near.allocate_shards(1).await.expect("ids");
    assert_eq!(near.ranges().await.expect("the map").len(), 2);
    assert_eq!(network.calls(), 0);
    assert_eq!(network.node(2).try_timestamp(), None);
}

#[tokio::test(start_paused = true)]
async fn only_what_changed_of_the_range_map_is_sent() {
    let (cluster, network) = cluster().await;
    let far = network.node(9);
    assert_eq!(far.ranges().await.expect("the map").len(), 2);
    far.put_ranges(vec![range(1, "", "g", 2), range(3, "g", "m", 2)]).await.expect("a split");
    let map: Vec<u64> = far.ranges().await.expect("the map").iter().map(|range| range.shard).collect();
    assert_eq!(map, [1, 3, 2]);
    // Without a leader any member serves.
    cluster.log.elect(0);
    (1..=NODES).for_each(|node| cluster.log.inform(node));
    assert_eq!(far.ranges().await.expect("the map").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_newer_range_map_gets_it_when_there_is_one() {
    let (cluster, network) = cluster().await;
    let far = network.node(9);
    let known_version = far.range_table().await.expect("the map").version();
    let read = ReadRanges { known_version, wait_ms: 20_000, any_member: false };
    let waiting = tokio::spawn({
        let far = far.clone();
        async move { far.call(call::Body::Ranges(read)).await }
    });
    sleep(Duration::from_secs(5)).await;
    cluster.member(1).put_setting("x".to_owned(), Some("1".to_owned())).await.expect("set");
    sleep(Duration::from_secs(5)).await;
    assert!(!waiting.is_finished(), "something else changed");
    far.put_ranges(vec![range(2, "m", "t", 2), range(3, "t", "", 2)]).await.expect("a split");
    let answer = waiting.await.expect("no panic").expect("the map");
    let answer::Body::Ranges(changed) = answer else { panic!("{answer:?}") };
    assert_eq!(changed.ranges.iter().map(|range| range.shard).collect::<Vec<_>>(), [2, 3]);
    let read = ReadRanges { known_version: changed.version, ..read };
    let answer = far.call(call::Body::Ranges(read)).await.expect("an answer after the wait");
    assert!(matches!(answer, answer::Body::Ranges(same) if same.ranges.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_not_asked_again_and_says_why() {
    let (_cluster, network) = cluster().await;
    let far = network.node(9);
    far.timestamp().await.expect("a timestamp");
    network.calls();
    let refused = far.put_setting("replication_factor".to_owned(), Some("5".to_owned())).await;
    let Err(Error::Refused { state, message }) = refused else { panic!("{refused:?}") };
    assert_eq!(state, SqlState::ObjectNotInPrerequisiteState);
    assert_eq!(message, "a replication factor of 5 needs 5 nodes, and the cluster has 1");
    assert_eq!(network.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_catalog_version_comes_with_the_timestamp_that_sees_it() {
    let (_cluster, network) = cluster().await;
    let (far, other) = (network.node(8), network.node(9));
    let version = far.bump_catalog().await.expect("a version");
    assert_eq!(far.catalog_version(), version);
    other.timestamp().await.expect("a timestamp");
    assert_eq!(other.catalog_version(), version);
}

#[tokio::test(start_paused = true)]
async fn a_node_joins_and_is_heard_of() {
    let (_cluster, network) = cluster().await;
    let far = network.node(9);
    let new = Node { store: "b".to_owned(), rpc_addr: "b:1".to_owned(), ..Node::default() };
    let joined = far.join(new.clone()).await.expect("joined");
    assert_eq!((joined.node, &joined.cluster_id[..]), (2, "c"));
    assert_eq!(far.join(new.clone()).await.expect("joined").node, 2);
    let moved = Node { id: 2, rpc_addr: "b:2".to_owned(), ..new };
    let heartbeat = proto::meta::NodeHeartbeat { node: Some(moved), ..Default::default() };
    let answer = far.heartbeat(heartbeat).await.expect("heard");
    assert!(answer.want_leads);
    assert_eq!(answer.meta_members, [1, 2, 3, 4]);
    let nodes = far.nodes().await.expect("the nodes").nodes;
    let node = nodes[1].node.clone().expect("a record");
    assert_eq!((nodes.len(), &node.rpc_addr[..], nodes[1].live), (2, "b:2", true));
}
