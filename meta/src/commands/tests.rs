//! What commands change, and what they refuse.

use proto::meta::RangeDescriptor;

use super::*;
use crate::state::FIRST_OBJECT_ID;

fn run(state: &mut State, body: command::Body) -> Result<u64, String> {
    let index =
        state[Counter::NodesVersion].max(state[Counter::RangesVersion]).max(state[Counter::SettingsVersion]) + 1;
    let before = state.clone();
    let outcome = change(state, index, Command { body: Some(body) });
    assert!(outcome.is_ok() || *state == before, "a refused command changes nothing");
    outcome
}

fn cluster() -> State {
    let mut state = State::default();
    let node = Node { id: 1, store: "a".to_owned(), ..Node::default() };
    let range = RangeDescriptor { shard: 1, epoch: 1, replicas: vec![1], ..RangeDescriptor::default() };
    let bootstrap = Bootstrap { cluster_id: "c".to_owned(), node: Some(node), ranges: vec![range] };
    assert_eq!(run(&mut state, command::Body::Bootstrap(bootstrap.clone())), Ok(0));
    assert!(run(&mut state, command::Body::Bootstrap(bootstrap)).is_err());
    state
}

fn join(state: &mut State, store: &str) -> Result<u64, String> {
    run(state, command::Body::Join(Node { store: store.to_owned(), ..Node::default() }))
}

fn set(state: &mut State, node: u64, wanted: NodeState) -> Result<u64, String> {
    run(state, command::Body::SetNodeState(SetNodeState { node, state: wanted.into() }))
}

fn factor(state: &mut State, value: &str) -> Result<u64, String> {
    let setting = Setting { name: REPLICATION_FACTOR.to_owned(), value: Some(value.to_owned()) };
    run(state, command::Body::PutSetting(setting))
}

#[test]
fn identifiers_are_never_handed_out_twice() {
    let mut state = State::default();
    let mut allocate = |count| run(&mut state, command::Body::AllocateObjectIds(count));
    assert_eq!(allocate(3), Ok(FIRST_OBJECT_ID));
    assert_eq!(allocate(1), Ok(FIRST_OBJECT_ID + 3));
    assert!(allocate(u64::MAX).is_err());
    assert_eq!(run(&mut state, command::Body::BumpCatalog(0)), Ok(1));
    assert_eq!(run(&mut state, command::Body::BumpCatalog(0)), Ok(2));
}

#[test]
fn a_node_that_joins_again_keeps_its_id() {
    let mut state = cluster();
    assert_eq!(join(&mut state, "b"), Ok(2));
    assert_eq!(join(&mut state, "c"), Ok(3));
    assert_eq!(join(&mut state, "b"), Ok(2));
    let moved = Node { id: 2, store: "b".to_owned(), rpc_addr: "x:1".to_owned(), ..Node::default() };
    assert_eq!(run(&mut state, command::Body::PutNode(moved)), Ok(0));
    assert_eq!(state.nodes[&2].rpc_addr, "x:1");
    let impostor = Node { id: 2, store: "z".to_owned(), ..Node::default() };
    assert!(run(&mut state, command::Body::PutNode(impostor)).is_err());
    assert!(join(&mut state, "").is_err());
}

#[test]
fn the_replication_factor_must_be_odd_and_have_its_nodes() {
    let mut state = cluster();
    assert!(factor(&mut state, "3").is_err());
    join(&mut state, "b").expect("a second node");
    join(&mut state, "c").expect("a third node");
    assert!(factor(&mut state, "5").is_err());
    assert!(factor(&mut state, "2").is_err());
    assert_eq!(factor(&mut state, "3"), Ok(0));
    let span = |factor| PutReplication { replication_factor: factor, ..PutReplication::default() };
    assert!(run(&mut state, command::Body::PutReplication(span(5))).is_err());
    assert_eq!(run(&mut state, command::Body::PutReplication(span(1))), Ok(0));
    assert_eq!(state.ranges.to_vec()[0].replication_factor, 1);
}

#[test]
fn a_node_leaves_only_while_enough_are_left_and_never_comes_back() {
    let mut state = cluster();
    assert!(set(&mut state, 1, NodeState::Decommissioning).is_err(), "the only one");
    for store in ["b", "c"] {
        join(&mut state, store).expect("a node");
    }
    assert!(set(&mut state, 3, NodeState::Decommissioning).is_err(), "three are needed");
    assert_eq!(set(&mut state, 3, NodeState::Draining), Ok(0));
    assert_eq!(set(&mut state, 3, NodeState::Active), Ok(0));
    assert_eq!(join(&mut state, "d"), Ok(4));
    assert_eq!(set(&mut state, 1, NodeState::Decommissioning), Ok(0));
    assert!(set(&mut state, 1, NodeState::Gone).is_err(), "it has a replica");
    let moved = RangeDescriptor { shard: 1, epoch: 2, replicas: vec![2, 3, 4], ..RangeDescriptor::default() };
    let put = proto::meta::PutRanges { ranges: vec![moved] };
    assert_eq!(run(&mut state, command::Body::PutRanges(put)), Ok(0));
    assert_eq!(set(&mut state, 1, NodeState::Gone), Ok(0));
    assert!(set(&mut state, 1, NodeState::Active).is_err());
    assert!(join(&mut state, "a").is_err());
    assert_eq!(join(&mut state, "e"), Ok(5), "ids are not used again");
}
