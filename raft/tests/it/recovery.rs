//! What a log holds after it is opened again.

use std::sync::mpsc;

use bytes::Bytes;
use sharddb_disk::Disk;
use sharddb_raft::log::{GroupId, LogError, LogOptions, SharedLog};

pub(crate) const GROUP: GroupId = GroupId(1);
pub(crate) const OTHER: GroupId = GroupId(2);

pub(crate) fn open(disk: &Disk) -> Result<SharedLog, LogError> {
    SharedLog::open(disk.files(), LogOptions { segment_bytes: 400, segments_max: 4 })
}

pub(crate) fn reopen(disk: &Disk) -> SharedLog {
    open(disk).expect("the log opens")
}

/// Appends one entry and waits for its outcome.
pub(crate) fn append(log: &SharedLog, group: GroupId, index: u64, payload: &str) -> Result<(), LogError> {
    let (done, outcome) = mpsc::channel();
    let entry = (index, Bytes::from(payload.to_owned()));
    log.append(group, vec![entry], Box::new(move |result| done.send(result).expect("the test waits")));
    outcome.recv().expect("the writer answers")
}

pub(crate) fn wait(start: impl FnOnce(Box<dyn FnOnce(Result<(), LogError>) + Send>)) {
    let (done, outcome) = mpsc::channel();
    start(Box::new(move |result| done.send(result).expect("the test waits")));
    outcome.recv().expect("the writer answers").expect("the write succeeds");
}

pub(crate) fn entries(log: &SharedLog, group: GroupId) -> Vec<(u64, String)> {
    let read = log.read(group, 0, u64::MAX).expect("the log reads");
    read.into_iter().map(|(index, payload)| (index, String::from_utf8_lossy(&payload).into_owned())).collect()
}

pub(crate) fn numbered(range: std::ops::RangeInclusive<u64>) -> Vec<(u64, String)> {
    range.map(|index| (index, format!("entry {index}"))).collect()
}

pub(crate) fn filled(disk: &Disk, count: u64) -> SharedLog {
    let log = reopen(disk);
    for index in 1..=count {
        append(&log, GROUP, index, &format!("entry {index}")).expect("the append succeeds");
    }
    log
}

#[test]
fn acknowledged_entries_votes_and_purges_survive_a_crash_in_every_segment() {
    let disk = Disk::default();
    let log = filled(&disk, 40);
    wait(|done| log.save_vote(GROUP, Bytes::from_static(b"vote"), done));
    wait(|done| log.truncate(GROUP, 36, done));
    wait(|done| log.purge(GROUP, 10, Bytes::from_static(b"id"), done));
    disk.crash();
    drop(log);
    let log = reopen(&disk);
    assert_eq!(entries(&log, GROUP), numbered(11..=35));
    assert_eq!(log.vote(GROUP), Some(Bytes::from_static(b"vote")));
    assert_eq!(log.purged(GROUP), Some((10, Bytes::from_static(b"id"))));
    append(&log, GROUP, 36, "entry 36").expect("the log goes on");
    assert_eq!(entries(&log, GROUP), numbered(11..=36));
}

#[test]
fn segments_that_nobody_needs_are_deleted() {
    let disk = Disk::default();
    let log = filled(&disk, 60);
    let before = disk.names().len();
    wait(|done| log.purge(GROUP, 59, Bytes::from_static(b"id"), done));
    append(&log, GROUP, 61, "entry 61").expect("the append succeeds");
    drop(log);
    assert!(disk.names().len() <= 2 && before > 2, "{before} segments became {:?}", disk.names());
    assert_eq!(entries(&reopen(&disk), GROUP), numbered(60..=61));
}

#[test]
fn a_group_that_never_purges_does_not_pin_the_disk() {
    let disk = Disk::default();
    let log = reopen(&disk);
    append(&log, OTHER, 1, "kept").expect("the append succeeds");
    for index in 1..=200 {
        append(&log, GROUP, index, &format!("entry {index}")).expect("the append succeeds");
        if index % 5 == 0 {
            wait(|done| log.purge(GROUP, index, Bytes::from_static(b"id"), done));
        }
    }
    drop(log);
    assert!(disk.names().len() <= 6, "{:?}", disk.names());
    assert_eq!(entries(&reopen(&disk), OTHER), [(1, "kept".to_owned())]);
}

#[test]
fn a_missing_segment_refuses_to_open() {
    let disk = Disk::default();
    drop(filled(&disk, 40));
    let names = disk.names();
    assert!(names.len() >= 3);
    let damaged = disk.copy();
    sharddb_raft::log::Files::remove(&damaged, &names[1]).expect("the file exists");
    assert!(matches!(open(&damaged), Err(LogError::Corrupt { .. })));
}

#[test]
fn a_full_disk_refuses_writes_and_loses_nothing_acknowledged() {
    let disk = Disk::default();
    let log = filled(&disk, 2);
    disk.set_room(Some(100));
    let mut acknowledged = 2;
    let refused = loop {
        match append(&log, GROUP, acknowledged + 1, &format!("entry {}", acknowledged + 1)) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.sqlstate(), "53100");
    disk.set_room(None);
    let still = append(&log, GROUP, acknowledged + 1, "late").expect_err("a failed log stays failed");
    assert_eq!(still.sqlstate(), "53100");
    drop(log);
    disk.crash();
    assert_eq!(entries(&reopen(&disk), GROUP), numbered(1..=acknowledged));
}

#[test]
fn a_failed_sync_is_never_taken_for_a_success() {
    let disk = Disk::default();
    let log = filled(&disk, 2);
    disk.fail_sync(true);
    assert_eq!(append(&log, GROUP, 3, "entry 3").expect_err("the sync fails").sqlstate(), "58030");
    disk.fail_sync(false);
    assert!(append(&log, GROUP, 3, "entry 3").is_err());
    drop(log);
    disk.crash();
    assert_eq!(entries(&reopen(&disk), GROUP), numbered(1..=2));
}

#[test]
fn groups_share_rounds_without_mixing() {
    let disk = Disk::default();
    let log = reopen(&disk);
    std::thread::scope(|scope| {
        for group in 1..=8 {
            let log = &log;
            scope.spawn(move || {
                for index in 1..=50 {
                    append(log, GroupId(group), index, &format!("entry {index}")).expect("the append succeeds");
                }
            });
        }
    });
    drop(log);
    let log = reopen(&disk);
    for group in 1..=8 {
        assert_eq!(entries(&log, GroupId(group)), numbered(1..=50), "group {group}");
    }
}
