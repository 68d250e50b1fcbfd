//! Groups with one voter: proposals, restarts, compaction, failures.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use sharddb_disk::Disk;
use sharddb_raft::{
    Capture, Committed, Error, Fatal, Group, RaftHost, StateMachine,
    log::{GroupId, LogOptions, SharedLog},
};

use sharddb_storage as storage;

/// What a list does when it is asked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trouble {
    #[default]
    None,
    FailApply,
    PanicInApply,
    FailFlush,
    PanicInFlush,
    FailRestore,
}

/// A list of commands. `durable` is what a crash leaves, as with an engine that is flushed now and then.
#[derive(Default)]
pub(crate) struct List {
    now: Mutex<(Vec<Bytes>, Option<Bytes>)>,
    durable: Mutex<(Vec<Bytes>, Option<Bytes>)>,
    pub(crate) trouble: Mutex<Trouble>,
}

impl List {
    pub(crate) fn commands(&self) -> Vec<String> {
        self.now.lock().0.iter().map(|command| String::from_utf8_lossy(command).into_owned()).collect()
    }

    pub(crate) fn stored_position(&self) -> Bytes {
        self.now.lock().1.clone().expect("something was applied")
    }

    /// Gives a new list the state of one that was cut off another.
    pub(crate) fn bear(&self, position: Bytes, commands: &[&'static str]) {
        let commands = commands.iter().map(|command| Bytes::from_static(command.as_bytes())).collect();
        *self.now.lock() = (commands, Some(position));
    }

    pub(crate) fn flush_now(&self) {
        *self.durable.lock() = self.now.lock().clone();
    }

    /// The next restore ends in the middle.
    pub(crate) fn fail_next_restore(&self) {
        *self.trouble.lock() = Trouble::FailRestore;
    }

    /// There is no room for anything that is to be made durable.
    pub(crate) fn fail_flushes(&self) {
        *self.trouble.lock() = Trouble::FailFlush;
    }

    /// What is left after a crash.
    pub(crate) fn crashed(&self) -> Arc<Self> {
        let durable = self.durable.lock().clone();
        Arc::new(Self { now: Mutex::new(durable.clone()), durable: Mutex::new(durable), ..Self::default() })
    }
}

impl StateMachine for List {
    fn position(&self) -> Result<Option<Bytes>, Fatal> {
        Ok(self.now.lock().1.clone())
    }

    fn apply(&self, commands: &[Committed], position: Bytes) -> Result<Vec<Bytes>, Fatal> {
        match *self.trouble.lock() {
            Trouble::FailApply => return Err(Fatal::damaged("injected")),
            Trouble::PanicInApply => panic!("injected"),
            _ => {}
        }
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
        match *self.trouble.lock() {
            Trouble::FailFlush => return Err(storage::Error::DiskFull.into()),
            Trouble::PanicInFlush => panic!("injected"),
            _ => {}
        }
        *self.durable.lock() = self.now.lock().clone();
        Ok(())
    }

    fn snapshot(&self) -> Result<Capture, Fatal> {
        let commands: Vec<u8> =
            self.commands().iter().flat_map(|command| format!("{command}\n").into_bytes()).collect();
        Ok(Box::new(move |directory| {
            std::fs::write(directory.join("list"), commands).map_err(|error| Fatal::files(&error))
        }))
    }

    fn restore(&self, directory: &Path, position: Bytes) -> Result<(), Fatal> {
        if *self.trouble.lock() == Trouble::FailRestore {
            self.now.lock().0.clear();
            return Err(Fatal::damaged("injected"));
        }
        let commands = std::fs::read_to_string(directory.join("list")).map_err(|error| Fatal::files(&error))?;
        let commands = commands.lines().map(|line| Bytes::copy_from_slice(line.as_bytes())).collect();
        *self.now.lock() = (commands, Some(position));
        Ok(())
    }
}

pub(crate) fn host(disk: &Disk) -> RaftHost {
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
        let group = host.create_group(GroupId(7), list.clone()).await.expect("the group starts");
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
        let group = host.create_group(GroupId(i as u64), list.clone()).await.expect("the group starts");
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
async fn a_group_runs_once() {
    let disk = Disk::default();
    let host = host(&disk);
    host.create_group(GroupId(1), Arc::new(List::default())).await.expect("the group starts");
    let again = host.create_group(GroupId(1), Arc::new(List::default())).await;
    assert!(matches!(again, Err(Error::Exists(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_compacted_is_durable_and_gone_from_the_log() {
    let disk = Disk::default();
    let log = Arc::new(SharedLog::open(disk.files(), LogOptions::default()).expect("the log opens"));
    let host = RaftHost::new(1, Arc::clone(&log)).with_one_engine();
    let lists: Vec<Arc<List>> = (0..4).map(|_| Arc::default()).collect();
    for (id, list) in lists.iter().enumerate() {
        let group = host.create_group(GroupId(id as u64), list.clone()).await.expect("the group starts");
        for i in 1..=5 {
            group.propose(Bytes::from(format!("command {i}"))).await.expect("the proposal succeeds");
        }
    }
    host.compact().await.expect("the log is compacted");
    for (id, list) in lists.iter().enumerate() {
        let group = host.group(GroupId(id as u64)).expect("it runs");
        assert_eq!(log.purged(group.id()).map(|(index, _)| index), Some(group.applied()));
        // One flush of the common engine covers all; here each list stands for its own part of it.
        list.flush().expect("the list is flushed");
        assert_eq!(list.crashed().commands(), numbered(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compactions_at_the_same_time_all_end() {
    let disk = Disk::default();
    let host = Arc::new(host(&disk));
    let group = host.create_group(GroupId(1), Arc::new(List::default())).await.expect("the group starts");
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (host, group) = (Arc::clone(&host), group.clone());
        tasks.push(tokio::spawn(async move {
            for i in 0..10 {
                group.propose(Bytes::from(format!("{i}"))).await.expect("the proposal succeeds");
                host.compact().await.expect("the log is compacted");
            }
        }));
    }
    for task in tasks {
        task.await.expect("the task ends");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_group_leaves_nothing_behind() {
    let disk = Disk::default();
    let host = host(&disk);
    for id in [1, 2] {
        let group = host.create_group(GroupId(id), Arc::new(List::default())).await.expect("the group starts");
        group.propose(Bytes::from_static(b"x")).await.expect("the proposal succeeds");
    }
    let removed = host.group(GroupId(1)).expect("it runs");
    host.remove_group(GroupId(1)).await.expect("the group is removed");
    assert!(host.group(GroupId(1)).is_none() && !removed.is_leader());
    assert!(matches!(removed.propose(Bytes::from_static(b"y")).await, Err(Error::NotLeader { .. })));
    assert_eq!(host.known_groups(), [GroupId(2)]);
    assert!(host.failure().is_none(), "removing a group is no failure");
    host.shutdown().await;
    drop(host);
    let host = self::host(&disk);
    assert_eq!(host.known_groups(), [GroupId(2)]);
    let list = Arc::new(List::default());
    host.create_group(GroupId(1), list.clone()).await.expect("the id can be used again");
    assert_eq!(list.commands(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_of_many_groups_share_syncs() {
    let disk = Disk::default();
    let log = Arc::new(SharedLog::open(disk.files(), LogOptions::default()).expect("the log opens"));
    let host = RaftHost::new(1, Arc::clone(&log));
    let mut groups = Vec::new();
    for id in 0..8 {
        groups.push(host.create_group(GroupId(id), Arc::new(List::default())).await.expect("the group starts"));
    }
    let before: Vec<u64> = groups.iter().map(|group| log.last_index(group.id()).expect("it has entries")).collect();
    let syncs = disk.syncs();
    let (disk, held) = (disk.clone(), disk.clone());
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (holding, ready) = tokio::sync::oneshot::channel();
    let holder = std::thread::Builder::new().name("holder".to_owned()).spawn(move || {
        let _guard = held.hold_syncs();
        holding.send(()).expect("the test waits");
        wait.recv().expect("the test goes on");
    });
    let holder = holder.expect("a thread starts");
    ready.await.expect("syncs are held");
    let proposals = groups.iter().flat_map(|group| {
        (0..25).map(move |i| {
            let group = group.clone();
            tokio::spawn(async move { group.propose(Bytes::from(format!("{i}"))).await.map(drop) })
        })
    });
    let proposals: Vec<_> = proposals.collect();
    let queued = |(group, before): (&Group, &u64)| log.last_index(group.id()) == Some(before + 25);
    while !groups.iter().zip(&before).all(queued) {
        tokio::task::yield_now().await;
    }
    release.send(()).expect("syncs are held");
    holder.join().expect("the holder ends");
    for proposal in proposals {
        proposal.await.expect("the proposer ends").expect("the proposal succeeds");
    }
    assert!(disk.syncs() - syncs <= 3, "200 proposals took {} syncs", disk.syncs() - syncs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_ends_elsewhere_once_anything_was_taken_and_stays_while_its_group_is_stopped() {
    let host = host(&Disk::default());
    let (id, list) = (GroupId(1), Arc::new(List::default()));
    let group = host.create_group(id, list.clone()).await.expect("the group starts");
    group.propose(Bytes::from_static(b"x")).await.expect("the proposal succeeds");
    let before = host.log_end(id).await.expect("an end");
    group.propose(Bytes::from_static(b"y")).await.expect("the proposal succeeds");
    let after = host.log_end(id).await.expect("an end");
    assert_ne!(before, after);
    host.stop_group(id).await;
    assert!(host.group(id).is_none());
    assert_eq!(host.log_end(id).await.expect("an end"), after);
    let group = host.start_group(id, list.clone()).await.expect("it starts again");
    group.compact().await.expect("the log is shortened");
    group.propose(Bytes::from_static(b"z")).await.expect("the proposal succeeds");
    assert_eq!(list.commands(), ["x", "y", "z"]);
    assert_ne!(host.log_end(id).await.expect("an end"), after);
}
