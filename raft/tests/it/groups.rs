//! Groups with one voter: proposals, restarts, compaction, failures.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use sharddb_raft::{
    Committed, Error, Fatal, RaftHost, StateMachine,
    log::{GroupId, LogOptions, SharedLog},
};

use crate::disk::Disk;

/// A list of commands. `durable` is what a crash leaves, as with an engine that is flushed now and then.
#[derive(Default)]
struct List {
    now: Mutex<(Vec<Bytes>, Option<Bytes>)>,
    durable: Mutex<(Vec<Bytes>, Option<Bytes>)>,
}

impl List {
    fn commands(&self) -> Vec<String> {
        self.now.lock().0.iter().map(|command| String::from_utf8_lossy(command).into_owned()).collect()
    }

    /// What is left after a crash.
    fn crashed(&self) -> Arc<Self> {
        let durable = self.durable.lock().clone();
        Arc::new(Self { now: Mutex::new(durable.clone()), durable: Mutex::new(durable) })
    }
}

impl StateMachine for List {
    fn position(&self) -> Result<Option<Bytes>, Fatal> {
        Ok(self.now.lock().1.clone())
    }

    fn apply(&self, commands: &[Committed], position: Bytes) -> Result<Vec<Bytes>, Fatal> {
        let mut now = self.now.lock();
        let outcome = |committed: &Committed| {
            now.0.push(committed.command.clone());
            Bytes::from(now.0.len().to_string())
        };
        let outcomes = commands.iter().map(outcome).collect();
        now.1 = Some(position);
        Ok(outcomes)
    }

    fn flush(&self) -> Result<(), Fatal> {
        *self.durable.lock() = self.now.lock().clone();
        Ok(())
    }

    fn snapshot(&self) -> Result<Bytes, Fatal> {
        Ok(Bytes::new())
    }

    fn restore(&self, _snapshot: Bytes, position: Bytes) -> Result<(), Fatal> {
        *self.now.lock() = (Vec::new(), Some(position));
        Ok(())
    }
}

fn host(disk: &Disk) -> RaftHost {
    let options = LogOptions { segment_bytes: 2000, segments_max: 4 };
    RaftHost::new(1, Arc::new(SharedLog::open(disk.files(), options).expect("the log opens")))
}

fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|i| format!("command {i}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_commands_are_applied_once_and_in_order_over_restarts() {
    let disk = Disk::default();
    let mut list = Arc::new(List::default());
    let mut count = 0;
    for round in 0..5 {
        let host = host(&disk);
        let group = host.start_group(GroupId(7), list.clone()).await.expect("the group starts");
        assert_eq!(list.commands(), numbered(count), "after restart {round}");
        for _ in 0..20 {
            count += 1;
            let outcome = group.propose(Bytes::from(format!("command {count}"))).await.expect("the proposal succeeds");
            assert_eq!(outcome, count.to_string());
        }
        if round % 2 == 1 {
            group.compact().await.expect("the log is compacted");
        }
        host.shutdown().await;
        drop(host);
        disk.crash();
        list = list.crashed();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_proposals_of_many_groups_are_all_applied() {
    let disk = Disk::default();
    let host = Arc::new(host(&disk));
    let lists: Vec<Arc<List>> = (0..10).map(|_| Arc::default()).collect();
    let mut tasks = Vec::new();
    for (i, list) in lists.iter().enumerate() {
        let group = host.start_group(GroupId(i as u64), list.clone()).await.expect("the group starts");
        for task in 0..5 {
            let group = group.clone();
            tasks.push(tokio::spawn(async move {
                for i in 0..20 {
                    group.propose(Bytes::from(format!("{task}-{i}"))).await.expect("the proposal succeeds");
                }
            }));
        }
    }
    for task in tasks {
        task.await.expect("the proposer finishes");
    }
    for list in lists {
        assert_eq!(list.commands().len(), 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_proposals_with_its_sqlstate() {
    let disk = Disk::default();
    let host = host(&disk);
    let group = host.start_group(GroupId(1), Arc::new(List::default())).await.expect("the group starts");
    disk.set_room(Some(0));
    let error = group.propose(Bytes::from_static(b"x")).await.expect_err("the disk is full");
    assert_eq!(error.sqlstate(), "53100", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_runs_once() {
    let disk = Disk::default();
    let host = host(&disk);
    host.start_group(GroupId(1), Arc::new(List::default())).await.expect("the group starts");
    let again = host.start_group(GroupId(1), Arc::new(List::default())).await;
    assert!(matches!(again, Err(Error::Exists(1))));
}
