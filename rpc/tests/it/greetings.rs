//! Who may connect.

use proto::{NodeId, meta::Node, rpc::join_answer};
use sharddb_proto as proto;
use sharddb_rpc::{Identity, Nodes, PeerState, Security, Timing, join};

use crate::cluster::{Running, identity, pair, patient, start_plain, until, until_down, until_told};

fn nodes(identity: Identity) -> Nodes {
    Nodes::new(identity, Security::loopback_only(), patient())
}

/// Why `to` refuses this identity.
async fn refusal(identity: Identity, to: &Running, as_node: u64) -> String {
    let nodes = nodes(identity);
    nodes.set_members([(NodeId(as_node), to.address())]);
    let error = nodes.reach(NodeId(as_node)).await.expect_err("refused");
    let reason = until_down(&nodes, as_node).await;
    assert!(error.to_string().contains(&reason));
    reason
}

#[tokio::test]
async fn other_clusters_and_strangers_are_refused_and_told_why() {
    let (_one, two) = pair().await;
    let other = Identity { cluster_id: "another".to_owned(), ..identity(1, 1) };
    let reason = refusal(other, &two, 2).await;
    assert!(reason.contains("node 1 belongs to cluster \"another\", and node 2 to cluster \"cluster\""), "{reason}");
    let reason = refusal(identity(5, 1), &two, 2).await;
    assert!(reason.contains("node 5 is not a member"), "{reason}");
    let reason = refusal(identity(2, 1), &two, 4).await;
    assert!(reason.contains("node 4 was meant"), "{reason}");
}

#[tokio::test]
async fn a_second_process_with_the_same_id_is_refused() {
    let (one, two) = pair().await;
    one.nodes.reach(NodeId(2)).await.expect("connected");
    let reason = refusal(identity(1, 1), &two, 2).await;
    assert!(reason.contains("two processes call themselves node 1 in incarnation 1"), "{reason}");
    // The next incarnation takes the place of the one that is connected, which is then refused.
    let next = nodes(identity(1, 2));
    next.set_members([(NodeId(2), two.address())]);
    next.reach(NodeId(2)).await.expect("connected");
    until_told(&one.nodes, 2, "has been started again: it is in incarnation 2, not 1").await;
    assert_eq!(next.state(NodeId(2)), PeerState::Up);
}

#[tokio::test]
async fn a_node_that_is_no_member_any_more_is_cut_off() {
    let (one, two) = pair().await;
    one.nodes.reach(NodeId(2)).await.expect("connected");
    two.nodes.set_members([]);
    until_told(&one.nodes, 2, "node 1 is not a member").await;
    two.nodes.set_members([(NodeId(1), one.address())]);
    until("it is back", || one.nodes.state(NodeId(2)) == PeerState::Up).await;
}

#[tokio::test]
async fn a_process_without_an_id_can_ask_for_one() {
    let two = start_plain(2).await;
    let ask = async |address: String, cluster: &str| {
        let node = Node { rpc_addr: "here:1".to_owned(), ..Node::default() };
        join(&address, cluster.to_owned(), node, &Security::loopback_only(), &Timing::default()).await
    };
    for cluster in ["", "cluster"] {
        let answer = ask(two.address(), cluster).await.expect("an answer");
        let Some(join_answer::Outcome::Joined(joined)) = answer.outcome else { panic!("{answer:?}") };
        assert_eq!((joined.node, joined.members[0].rpc_addr.as_str()), (9, "here:1"));
    }
    let answer = ask(two.address(), "another").await.expect("an answer");
    let Some(join_answer::Outcome::Refused(reason)) = answer.outcome else { panic!("{answer:?}") };
    assert!(reason.contains("cluster \"another\" was meant"), "{reason}");
    assert!(ask(crate::cluster::nowhere().await.to_string(), "").await.is_err());
}
