//! Replicas that are too far behind for the log get the state as files.

use std::time::Duration;

use tokio::time::sleep;

use super::{Cluster, GROUP, numbered, simulate};

/// Lets node 3 fall behind what the others' logs still hold.
async fn fall_behind(cluster: &mut Cluster) {
    cluster.propose(GROUP, "command 1").await;
    cluster.network.isolate(3, [1, 2]);
    for command in &numbered(40)[1..] {
        cluster.propose(GROUP, command).await;
    }
    // Once it has been away for long enough, nobody keeps the log for it.
    sleep(Duration::from_secs(3)).await;
    for node in 1..=2 {
        cluster.host(node).compact().await.expect("the log is compacted");
    }
    // Nothing goes while it is on its way to a follower, also to one that is gone.
    sleep(Duration::from_secs(3)).await;
}

#[test]
fn a_follower_that_the_log_does_not_reach_back_to_gets_a_snapshot() {
    simulate(|| async {
        let mut cluster = Cluster::with_group(3, 1).await;
        fall_behind(&mut cluster).await;
        assert_eq!(cluster.network.fetched(), 0);
        cluster.network.mend();
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(40));
        assert!(cluster.network.fetched() > 0);
        cluster.propose(GROUP, "command 41").await;
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(41));
        cluster.crash(3).await;
        cluster.restart(3).await;
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(41));
        assert!(cluster.left_of_snapshots().is_empty(), "nothing is left of it");
    });
}

#[test]
fn a_slow_follower_that_is_alive_needs_no_snapshot() {
    simulate(|| async {
        let mut cluster = Cluster::with_group(3, 2).await;
        cluster.propose(GROUP, "command 1").await;
        cluster.network.misbehave(0, Duration::from_millis(300));
        for command in &numbered(10)[1..] {
            cluster.propose(GROUP, command).await;
            cluster.host(1).compact().await.expect("the log is compacted");
        }
        cluster.network.misbehave(0, Duration::from_millis(2));
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(10));
        assert_eq!(cluster.network.fetched(), 0);
    });
}

#[test]
fn a_snapshot_survives_lost_parts_and_a_receiver_that_crashes() {
    simulate(|| async {
        for seed in 0..8 {
            let mut cluster = Cluster::with_group(3, seed).await;
            fall_behind(&mut cluster).await;
            cluster.network.mend();
            cluster.network.misbehave(200, Duration::from_millis(60));
            sleep(Duration::from_millis(50 * seed)).await;
            cluster.crash(3).await;
            cluster.restart(3).await;
            assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(40), "seed {seed}");
        }
    });
}

#[test]
fn an_installation_that_a_crash_interrupts_is_finished_at_the_next_start() {
    simulate(|| async {
        let mut cluster = Cluster::with_group(3, 4).await;
        fall_behind(&mut cluster).await;
        cluster.machine(3, GROUP).fail_next_restore();
        cluster.network.mend();
        let failed = cluster.host(3);
        cluster.until("the installation has failed", || failed.failure().is_some()).await;
        drop(failed);
        assert!(!cluster.left_of_snapshots().is_empty());
        cluster.crash(3).await;
        cluster.network.isolate(3, [1, 2]);
        cluster.restart(3).await;
        assert_eq!(cluster.machine(3, GROUP).commands(), numbered(40), "its own disk has everything");
        cluster.network.mend();
        cluster.propose(GROUP, "command 41").await;
        assert_eq!(cluster.agreed(GROUP, &[1, 2, 3]).await, numbered(41));
    });
}
