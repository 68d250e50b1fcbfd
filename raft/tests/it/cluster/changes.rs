//! Changing who leads and who belongs to a group.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use sharddb_raft::{Error, Group, birth_position, log::GroupId};
use tokio::time::sleep;

use super::{Cluster, GROUP, numbered, simulate};

#[test]
fn the_lead_is_handed_over_while_everybody_is_well() {
    simulate(|| async {
        let mut cluster = Cluster::with_group(3, 1).await;
        for (round, to) in [2, 3, 1, 3, 2].into_iter().enumerate() {
            let from = cluster.propose(GROUP, &format!("command {}", round + 1)).await;
            cluster.group(from, GROUP).transfer_leader(to).await.expect("the lead is handed over");
            assert!(!cluster.group(from, GROUP).has_lease());
            assert_eq!(cluster.any_leader(GROUP).await, to);
        }
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(5));
    });
}

#[test]
fn a_leader_whose_offer_is_not_taken_leads_on() {
    simulate(|| async {
        let mut cluster = Cluster::with_group(3, 2).await;
        cluster.propose(GROUP, "command 1").await;
        cluster.network.isolate(3, [1, 2]);
        let refused = cluster.group(1, GROUP).transfer_leader(3).await;
        assert!(matches!(refused, Err(Error::Transfer { to: 3, .. })), "{refused:?}");
        assert_eq!(cluster.propose(GROUP, "command 2").await, 1);
        let none = cluster.group(1, GROUP).transfer_leader(9).await;
        assert!(matches!(none, Err(Error::Transfer { to: 9, .. })));
        cluster.network.mend();
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(2));
    });
}

#[test]
fn a_group_grows_from_one_voter_to_three_and_shrinks_to_another_one() {
    simulate(|| async {
        let mut cluster = Cluster::new(4, 3);
        cluster.form_group(GROUP, [1]).await;
        cluster.propose(GROUP, "command 1").await;
        for node in 2..=3 {
            let machine = cluster.machine(node, GROUP);
            cluster.host(node).join_group(GROUP, machine).await.expect("the replica starts");
            cluster.group(1, GROUP).add_learner(node).await.expect("a learner is added");
        }
        cluster.propose(GROUP, "command 2").await;
        let members = cluster.group(1, GROUP).members();
        assert_eq!((members.voters, members.learners), (BTreeSet::from([1]), BTreeSet::from([2, 3])));
        cluster.group(1, GROUP).change_voters(BTreeSet::from([1, 2, 3])).await.expect("the voters change");
        cluster.propose(GROUP, "command 3").await;
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(3));
        let alone = cluster.group(1, GROUP).change_voters(BTreeSet::from([2])).await;
        assert!(matches!(alone, Err(Error::Membership(_))), "a leader hands over before it leaves");
        cluster.group(1, GROUP).transfer_leader(2).await.expect("the lead is handed over");
        cluster.any_leader(GROUP).await;
        cluster.group(2, GROUP).change_voters(BTreeSet::from([2])).await.expect("the voters change");
        for node in [1, 3] {
            cluster.host(node).remove_group(GROUP).await.expect("a replica is removed");
        }
        assert_eq!(cluster.propose(GROUP, "command 4").await, 2);
        assert_eq!(cluster.agreed(GROUP, &[2]).await, numbered(4));
        let members = cluster.group(2, GROUP).members();
        assert_eq!((members.voters, members.learners), (BTreeSet::from([2]), BTreeSet::new()));
    });
}

#[test]
fn a_removed_replica_that_was_not_told_disturbs_nobody() {
    simulate(|| async {
        let cluster = Cluster::with_group(3, 4).await;
        cluster.network.isolate(3, [1, 2]);
        cluster.group(1, GROUP).change_voters(BTreeSet::from([1, 2])).await.expect("the voters change");
        sleep(Duration::from_secs(5)).await;
        cluster.network.mend();
        let term = cluster.group(1, GROUP).term();
        sleep(Duration::from_secs(5)).await;
        cluster.propose(GROUP, "command 1").await;
        assert_eq!((cluster.leader(GROUP), cluster.group(1, GROUP).term()), (Some(1), term));
    });
}

#[test]
fn a_change_without_a_majority_of_the_new_voters_is_finished_later() {
    simulate(|| async {
        let mut cluster = Cluster::new(5, 5);
        cluster.form_group(GROUP, [1, 2, 3]).await;
        for node in [4, 5] {
            let machine = cluster.machine(node, GROUP);
            cluster.host(node).join_group(GROUP, machine).await.expect("the replica starts");
            cluster.group(1, GROUP).add_learner(node).await.expect("a learner is added");
        }
        let leader = cluster.group(1, GROUP);
        cluster.caught_up(&leader).await;
        cluster.network.isolate(4, [1, 2, 3, 5]);
        cluster.network.isolate(5, [1, 2, 3, 4]);
        let voters = BTreeSet::from([1, 4, 5]);
        let change = {
            let voters = voters.clone();
            tokio::spawn(async move { leader.change_voters(voters).await })
        };
        sleep(Duration::from_secs(3)).await;
        assert_eq!(cluster.leader(GROUP), None, "no majority of the new voters is there");
        cluster.network.mend();
        let _first = change.await.expect("it ends");
        let leader = cluster.any_leader(GROUP).await;
        if leader != 1 {
            cluster.group(leader, GROUP).transfer_leader(1).await.expect("the lead is handed over");
            cluster.any_leader(GROUP).await;
        }
        cluster.group(1, GROUP).change_voters(voters.clone()).await.expect("calling again finishes the change");
        let members = cluster.group(1, GROUP).members();
        assert!(!members.joint && members.voters == voters);
        cluster.propose(GROUP, "command 1").await;
        assert_eq!(cluster.agreed(GROUP, &[1, 4, 5]).await, numbered(1));
    });
}

#[test]
fn a_wiped_node_is_replaced_by_another_one() {
    simulate(|| async {
        let mut cluster = Cluster::with_group(3, 6).await;
        cluster.propose(GROUP, "command 1").await;
        cluster.crash(3).await;
        cluster.wipe(3);
        cluster.add_node(4, 1000);
        let machine = cluster.machine(4, GROUP);
        cluster.host(4).join_group(GROUP, machine).await.expect("the replica starts");
        cluster.group(1, GROUP).add_learner(4).await.expect("a learner is added");
        cluster.group(1, GROUP).change_voters(BTreeSet::from([1, 2, 4])).await.expect("the voters change");
        cluster.propose(GROUP, "command 2").await;
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 4]).await, numbered(2));
        cluster.crash(1).await;
        cluster.propose(GROUP, "command 3").await;
        assert_eq!(cluster.agreed(GROUP, &[2, 4]).await, numbered(3));
    });
}

/// The group that is born.
const CHILD: GroupId = GroupId(8);

/// Lets a group be born on a replica of another one.
async fn bear(cluster: &mut Cluster, node: u64) -> Result<Group, Error> {
    let parent = cluster.machine(node, GROUP).stored_position();
    let machine = cluster.machine(node, CHILD);
    machine.bear(birth_position(parent).expect("the parent has a position"), &["command 1"]);
    let host = cluster.host(node);
    host.spawn_group(CHILD, machine, host.written()).await
}

/// A group of one command, and one that was born by its state.
async fn with_child(seed: u64) -> Cluster {
    let mut cluster = Cluster::with_group(3, seed).await;
    cluster.propose(GROUP, "command 1").await;
    cluster.agreed(GROUP, &[1, 2, 3]).await;
    for node in 1..=3 {
        bear(&mut cluster, node).await.expect("the replica starts");
    }
    cluster
}

#[test]
fn a_group_is_born_on_every_replica_of_another_one() {
    simulate(|| async {
        let mut cluster = with_child(7).await;
        cluster.propose(CHILD, "command 2").await;
        assert_eq!(cluster.agreed(CHILD, &[1, 2, 3]).await, numbered(2));
        for node in 1..=3 {
            cluster.machine(node, CHILD).flush_now();
            cluster.crash(node).await;
        }
        for node in 1..=3 {
            cluster.restart(node).await;
        }
        assert_eq!(cluster.agreed(CHILD, &[1, 2, 3]).await, numbered(2));
        let leader = cluster.any_leader(CHILD).await;
        let proposed = cluster.group(leader, CHILD).propose(Bytes::from_static(b"command 3")).await;
        proposed.expect("it is committed");
    });
}

/// The other group's replica may be gone by the time that it would be born again.
#[test]
fn what_a_born_replica_promised_is_not_left_without_its_state_by_a_crash() {
    simulate(|| async {
        let mut cluster = with_child(8).await;
        cluster.propose(CHILD, "command 2").await;
        assert_eq!(cluster.agreed(CHILD, &[1, 2, 3]).await, numbered(2));
        for node in 1..=3 {
            cluster.crash(node).await;
            cluster.restart(node).await;
            assert_eq!(cluster.agreed(CHILD, &[1, 2, 3]).await, numbered(2), "node {node} has been born once");
        }
    });
}

#[test]
fn a_replica_whose_birth_cannot_be_made_durable_promises_nothing() {
    simulate(|| async {
        let mut cluster = Cluster::with_group(3, 9).await;
        cluster.propose(GROUP, "command 1").await;
        cluster.agreed(GROUP, &[1, 2, 3]).await;
        cluster.machine(3, CHILD).fail_flushes();
        let failed = bear(&mut cluster, 3).await.err().expect("the volume is full");
        assert_eq!(failed.sqlstate(), "53100");
        assert!(!cluster.host(3).known_groups().contains(&CHILD));
    });
}
