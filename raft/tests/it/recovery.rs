//! What a log holds after it is opened again.

use std::sync::mpsc;

use bytes::Bytes;
use sharddb_raft::log::{GroupId, LogError, LogOptions, SharedLog};

use crate::disk::Disk;

const GROUP: GroupId = GroupId(1);
const OTHER: GroupId = GroupId(2);

fn open(disk: &Disk) -> Result<SharedLog, LogError> {
    SharedLog::open(disk.files(), LogOptions { segment_bytes: 400, segments_max: 4 })
}

fn reopen(disk: &Disk) -> SharedLog {
    open(disk).expect("the log opens")
}

/// Appends one entry and waits for its outcome.
fn append(log: &SharedLog, group: GroupId, index: u64, payload: &str) -> Result<(), LogError> {
    let (done, outcome) = mpsc::channel();
    let entry = (index, Bytes::from(payload.to_owned()));
    log.append(group, vec![entry], Box::new(move |result| done.send(result).expect("the test waits")));
    outcome.recv().expect("the writer answers")
}

fn wait(start: impl FnOnce(Box<dyn FnOnce(Result<(), LogError>) + Send>)) {
    let (done, outcome) = mpsc::channel();
    start(Box::new(move |result| done.send(result).expect("the test waits")));
    outcome.recv().expect("the writer answers").expect("the write succeeds");
}

fn entries(log: &SharedLog, group: GroupId) -> Vec<(u64, String)> {
    let read = log.read(group, 0, u64::MAX).expect("the log reads");
    read.into_iter().map(|(index, payload)| (index, String::from_utf8_lossy(&payload).into_owned())).collect()
}

fn numbered(range: std::ops::RangeInclusive<u64>) -> Vec<(u64, String)> {
    range.map(|index| (index, format!("entry {index}"))).collect()
}

fn filled(disk: &Disk, count: u64) -> SharedLog {
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
    wait(|done| log.truncate(GROUP, 35, done));
    wait(|done| log.purge(GROUP, 10, Bytes::from_static(b"id"), done));
    disk.crash(0);
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
fn a_torn_tail_is_cut_off_wherever_it_is_torn() {
    let disk = Disk::default();
    drop(filled(&disk, 3));
    let whole = disk.read("0000000000000001.log");
    for cut in 1..whole.len() - 32 {
        let disk = disk.copy();
        disk.damage("0000000000000001.log", |bytes| bytes.truncate(whole.len() - cut));
        let log = reopen(&disk);
        let kept = entries(&log, GROUP);
        assert_eq!(kept, numbered(1..=kept.len() as u64), "cut by {cut}");
    }
}

#[test]
fn damage_to_acknowledged_records_refuses_to_open_and_names_the_file() {
    let disk = Disk::default();
    drop(filled(&disk, 4));
    let name = "0000000000000001.log";
    let whole = disk.read(name);
    // The last round is not proven to be acknowledged by anything after it.
    let last_round = whole.len() - (16 + 17) - (16 + 17 + "entry 4".len());
    for at in 0..last_round {
        let disk = disk.copy();
        disk.damage(name, |bytes| bytes[at] ^= 0x10);
        match open(&disk) {
            Err(LogError::Corrupt { path, .. }) => assert_eq!(path.to_str(), Some(name), "byte {at}"),
            Err(other) => panic!("byte {at}: {other}"),
            Ok(_) => panic!("byte {at}: the damage went unnoticed"),
        }
    }
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
    disk.crash(0);
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
    for torn in [0, 10, 1000] {
        let disk = disk.copy();
        disk.crash(torn);
        let kept = entries(&reopen(&disk), GROUP);
        assert!(kept.len() >= 2 && kept == numbered(1..=kept.len() as u64), "{kept:?}");
    }
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
