//! Disks that run full or fail and machines that fail or panic: the host stops, says so, and leaves nobody waiting.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sharddb_disk::Disk;
use sharddb_raft::{Error, Group, RaftHost, log::GroupId};
use tokio::time::timeout;

use crate::groups::{List, Trouble, host};

/// Bound of a hang; nothing here takes as long.
const LIMIT: Duration = Duration::from_secs(60);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

/// Proposals of two groups, all at once, until each has met the failure. Answers the acknowledged ones of each group.
async fn propose_until_failure(groups: &[Group]) -> Vec<Vec<String>> {
    let mut tasks = Vec::new();
    for (group, task) in groups.iter().flat_map(|group| (0..8).map(move |task| (group.clone(), task))) {
        tasks.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            loop {
                let command = format!("{task}-{}", acknowledged.len());
                match group.propose(Bytes::from(command.clone())).await {
                    Ok(_) => acknowledged.push(command),
                    Err(Error::Unknown(_) | Error::Log(_)) => return (group.id(), acknowledged),
                    Err(error) => panic!("{error}"),
                }
            }
        }));
    }
    let mut all = vec![Vec::new(); groups.len()];
    for task in tasks {
        let (id, acknowledged) = within("a proposal", task).await.expect("the proposer ends");
        let at = groups.iter().position(|group| group.id() == id).expect("one of them");
        all[at].extend(acknowledged);
    }
    all
}

/// The host has failed for good and says why.
async fn check_failed(host: &RaftHost, groups: &[Group], sqlstate: &str) {
    let failure = within("the failure", host.failed()).await;
    assert_eq!(failure.sqlstate(), sqlstate, "{failure}");
    assert_eq!(host.failure().expect("it has failed").sqlstate(), sqlstate);
    for group in groups {
        let refused = within("a proposal", group.propose(Bytes::from_static(b"late"))).await;
        assert!(matches!(&refused, Err(Error::Log(failure)) if failure.sqlstate() == sqlstate), "{refused:?}");
        assert!(within("a compaction", group.compact()).await.is_err());
    }
    within("the shutdown", host.shutdown()).await;
}

async fn start(host: &RaftHost, lists: &[Arc<List>]) -> Vec<Group> {
    let mut groups = Vec::new();
    for (id, list) in (1..).zip(lists) {
        groups.push(host.create_group(GroupId(id), list.clone()).await.expect("the group starts"));
    }
    groups
}

/// After a restart every acknowledged command is there, and none twice.
async fn check_restart(disk: &Disk, lists: &[Arc<List>], acknowledged: &[Vec<String>]) {
    disk.crash();
    let host = host(disk);
    let lists: Vec<Arc<List>> = lists.iter().map(|list| list.crashed()).collect();
    start(&host, &lists).await;
    for (list, acknowledged) in lists.iter().zip(acknowledged) {
        let mut commands = list.commands();
        commands.sort_unstable();
        assert!(commands.windows(2).all(|pair| pair[0] != pair[1]), "{commands:?}");
        for command in acknowledged {
            assert!(commands.binary_search(command).is_ok(), "{command} is lost");
        }
    }
    host.shutdown().await;
}

async fn fails_with(fault: impl FnOnce(&Disk), repair: impl FnOnce(&Disk), sqlstate: &str) {
    let disk = Disk::default();
    let lists = [Arc::<List>::default(), Arc::default()];
    let host = host(&disk);
    let groups = start(&host, &lists).await;
    for group in &groups {
        group.propose(Bytes::from_static(b"first")).await.expect("the proposal succeeds");
    }
    fault(&disk);
    let mut acknowledged = propose_until_failure(&groups).await;
    check_failed(&host, &groups, sqlstate).await;
    drop((groups, host));
    repair(&disk);
    acknowledged.iter_mut().for_each(|commands| commands.push("first".to_owned()));
    check_restart(&disk, &lists, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_host() {
    fails_with(|disk| disk.set_room(Some(0)), |disk| disk.set_room(None), "53100").await;
    fails_with(|disk| disk.set_room(Some(3000)), |disk| disk.set_room(None), "53100").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_stops_the_host() {
    fails_with(|disk| disk.fail_sync(true), |disk| disk.fail_sync(false), "58030").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_cannot_apply_stops_every_group() {
    for (trouble, sqlstate) in [(Trouble::FailApply, "XX001"), (Trouble::PanicInApply, "XX000")] {
        let disk = Disk::default();
        let lists = [Arc::<List>::default(), Arc::default()];
        let host = host(&disk);
        let groups = start(&host, &lists).await;
        *lists[0].trouble.lock() = trouble;
        let acknowledged = propose_until_failure(&groups).await;
        assert!(acknowledged[0].is_empty(), "{trouble:?}");
        check_failed(&host, &groups, sqlstate).await;
        drop((groups, host));
        check_restart(&disk, &lists, &acknowledged).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_cannot_be_flushed_stops_every_group() {
    for (trouble, sqlstate) in [(Trouble::FailFlush, "53100"), (Trouble::PanicInFlush, "XX000")] {
        let disk = Disk::default();
        let lists = [Arc::<List>::default(), Arc::default()];
        let host = host(&disk);
        let groups = start(&host, &lists).await;
        for group in &groups {
            group.propose(Bytes::from_static(b"first")).await.expect("the proposal succeeds");
        }
        *lists[0].trouble.lock() = trouble;
        assert!(within("a compaction", host.compact()).await.is_err());
        check_failed(&host, &groups, sqlstate).await;
        drop((groups, host));
        check_restart(&disk, &lists, &[vec!["first".to_owned()], vec!["first".to_owned()]]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_end_is_no_failure() {
    let disk = Disk::default();
    let host = host(&disk);
    let groups = start(&host, &[Arc::default()]).await;
    groups[0].propose(Bytes::from_static(b"first")).await.expect("the proposal succeeds");
    within("the shutdown", host.shutdown()).await;
    assert!(futures::FutureExt::now_or_never(host.failed()).is_none());
    assert!(within("a proposal", groups[0].propose(Bytes::from_static(b"late"))).await.is_err());
    assert!(!groups[0].is_leader());
}
