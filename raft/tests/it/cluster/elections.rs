//! Elections: somebody leads again after a failure, and what was acknowledged is still there.

use std::time::Duration;

use bytes::Bytes;
use sharddb_raft::{Error, log::GroupId};
use tokio::time::{Instant, sleep};

use super::{Cluster, GROUP, numbered, simulate};

#[test]
fn a_group_of_three_replicates() {
    simulate(|| async {
        let mut cluster = Cluster::with_group(3, 1).await;
        for command in numbered(50) {
            assert_eq!(cluster.propose(GROUP, &command).await, 1);
        }
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(50));
    });
}

#[test]
fn the_others_elect_a_leader_when_the_old_one_has_crashed() {
    simulate(|| async {
        for seed in 0..10 {
            let mut cluster = Cluster::with_group(3, seed).await;
            for command in numbered(10) {
                cluster.propose(GROUP, &command).await;
            }
            cluster.crash(1).await;
            let failed = Instant::now();
            let leader = cluster.any_leader(GROUP).await;
            assert!(failed.elapsed() < Duration::from_secs(2), "seed {seed}: {:?} without a leader", failed.elapsed());
            assert_ne!(leader, 1);
            cluster.propose(GROUP, "command 11").await;
            cluster.restart(1).await;
            assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(11));
        }
    });
}

#[test]
fn a_leader_that_is_cut_off_is_replaced_and_follows_later() {
    simulate(|| async {
        let mut cluster = Cluster::with_group(3, 3).await;
        cluster.propose(GROUP, "command 1").await;
        cluster.network.isolate(1, [2, 3]);
        let old = cluster.group(1, GROUP);
        let lost = tokio::spawn(async move { old.propose(Bytes::from_static(b"lost")).await });
        assert_ne!(cluster.leader_besides(GROUP, &[1]).await, 1);
        cluster.propose(GROUP, "command 2").await;
        assert!(!cluster.group(1, GROUP).has_lease());
        assert!(matches!(lost.await.expect("it ends"), Err(Error::Lost)), "nobody knows the outcome");
        let refused = cluster.group(1, GROUP).propose(Bytes::from_static(b"late")).await;
        assert!(matches!(refused, Err(Error::NotLeader { .. })));
        cluster.network.mend();
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(2));
    });
}

#[test]
fn a_follower_that_is_cut_off_disturbs_nobody() {
    simulate(|| async {
        let mut cluster = Cluster::with_group(3, 4).await;
        cluster.propose(GROUP, "command 1").await;
        let term = cluster.group(1, GROUP).term();
        cluster.network.isolate(3, [1, 2]);
        sleep(Duration::from_secs(20)).await;
        cluster.network.mend();
        sleep(Duration::from_secs(5)).await;
        cluster.propose(GROUP, "command 2").await;
        assert_eq!((cluster.leader(GROUP), cluster.group(3, GROUP).term()), (Some(1), term));
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(2));
    });
}

#[test]
fn a_leader_that_hears_nobody_while_everybody_hears_it_is_replaced_too() {
    simulate(|| async {
        let mut cluster = Cluster::with_group(3, 5).await;
        cluster.propose(GROUP, "command 1").await;
        cluster.network.cut(2, 1, true);
        cluster.network.cut(3, 1, true);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(cluster.leader(GROUP), None, "its followers keep their promise as long as they hear it");
        cluster.network.mend();
        cluster.propose(GROUP, "command 2").await;
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(2));
    });
}

#[test]
fn a_whole_cluster_that_restarts_goes_on() {
    simulate(|| async {
        let mut cluster = Cluster::with_group(3, 6).await;
        for round in 1..=3 {
            cluster.propose(GROUP, &format!("command {round}")).await;
            for node in 1..=3 {
                cluster.crash(node).await;
            }
            for node in 1..=3 {
                cluster.restart(node).await;
            }
        }
        cluster.any_leader(GROUP).await;
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(3));
    });
}

#[test]
fn a_leader_whose_process_restarts_at_once_does_not_hold_up_its_group() {
    simulate(|| async {
        for seed in 0..10 {
            let mut cluster = Cluster::with_group(3, seed).await;
            cluster.propose(GROUP, "command 1").await;
            cluster.crash(1).await;
            let failed = Instant::now();
            cluster.restart(1).await;
            cluster.propose(GROUP, "command 2").await;
            assert!(failed.elapsed() < Duration::from_secs(2), "seed {seed}: {:?} without a leader", failed.elapsed());
            assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(2));
        }
    });
}

#[test]
fn lost_and_late_messages_lose_no_command() {
    simulate(|| async {
        for seed in 0..5 {
            let mut cluster = Cluster::with_group(3, seed).await;
            cluster.network.misbehave(100, Duration::from_millis(40));
            for command in numbered(20) {
                cluster.propose(GROUP, &command).await;
            }
            cluster.network.misbehave(0, Duration::from_millis(2));
            assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(20), "seed {seed}");
        }
    });
}

#[test]
fn an_idle_cluster_sends_only_heartbeats_between_nodes() {
    simulate(|| async {
        let mut cluster = Cluster::new(3, 7);
        for id in 1..=20 {
            cluster.form_group(GroupId(id), [1 + id % 3, 1 + (id + 1) % 3, 1 + (id + 2) % 3]).await;
        }
        sleep(Duration::from_secs(5)).await;
        let before = cluster.network.sent();
        sleep(Duration::from_secs(10)).await;
        let after = cluster.network.sent();
        for (kind, count) in &after {
            let sent = count - before.get(kind).unwrap_or(&0);
            let expected = if kind.starts_with("heartbeat") { 6 * 10 * 5 } else { 0 };
            assert!(sent <= expected, "{sent} messages of kind {kind} for 20 idle groups");
        }
        assert!((1..=20).all(|id| cluster.leader(GroupId(id)).is_some()));
    });
}

#[test]
fn groups_of_a_cluster_that_starts_again_are_led_by_all_of_its_nodes() {
    simulate(|| async {
        let mut cluster = Cluster::new(3, 9);
        for id in 1..=200 {
            cluster.form_group(GroupId(id), [1 + id % 3, 1 + (id + 1) % 3, 1 + (id + 2) % 3]).await;
        }
        for node in 1..=3 {
            cluster.crash(node).await;
        }
        for node in 1..=3 {
            cluster.restart(node).await;
        }
        cluster.until("all groups are led", || (1..=200).all(|id| cluster.leader(GroupId(id)).is_some())).await;
        for node in 1..=3 {
            let leads = (1..=200).filter(|id| cluster.leader(GroupId(*id)) == Some(node)).count();
            assert!((40..=95).contains(&leads), "node {node} leads {leads} of 200 groups");
        }
    });
}

#[test]
fn two_hundred_groups_fail_over_together() {
    simulate(|| async {
        let mut cluster = Cluster::new(3, 8);
        for id in 1..=200 {
            cluster.form_group(GroupId(id), [1, 2, 3]).await;
            cluster.propose(GroupId(id), "command 1").await;
        }
        cluster.crash(1).await;
        let failed = Instant::now();
        let led = || (1..=200).all(|id| cluster.leader(GroupId(id)).is_some());
        cluster.until("all groups are led", led).await;
        assert!(failed.elapsed() < Duration::from_secs(3), "{:?} without a leader", failed.elapsed());
        let second = (1..=200).filter(|id| cluster.leader(GroupId(*id)) == Some(2)).count();
        assert!((50..=150).contains(&second), "node 2 leads {second} of 200 groups");
    });
}
