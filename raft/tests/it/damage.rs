//! Torn writes, flipped bits, lost sectors and failed syncs: the log keeps what was acknowledged or refuses to open.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use sharddb_disk::Disk;
use sharddb_raft::log::{GroupId, LogError, LogOptions, SharedLog};

use crate::recovery::{GROUP, OTHER, append, entries, filled, numbered, open, reopen, wait};

const FIRST: &str = "0000000000000001.log";

/// Appends entries of several sectors in one round.
fn append_large(log: &SharedLog, from: u64, count: u64) {
    let entries = (from..from + count).map(|index| (index, Bytes::from(vec![index as u8; 300]))).collect();
    wait(|done| log.append(GROUP, entries, done));
}

#[test]
fn whichever_sectors_of_an_unsynced_round_survive_nothing_before_is_lost() {
    let disk = Disk::default();
    let log = filled(&disk, 3);
    append_large(&log, 4, 6);
    let sectors = disk.copy().tear(0);
    assert!((4..8).contains(&sectors), "{sectors}");
    for kept in 0..1 << sectors {
        let disk = disk.copy();
        disk.tear(kept);
        let log = open(&disk).unwrap_or_else(|error| panic!("sectors {kept:b}: {error}"));
        let found = entries(&log, GROUP);
        assert_eq!(found[..3], numbered(1..=3), "sectors {kept:b}");
        let indexes: Vec<u64> = found.iter().map(|(index, _)| *index).collect();
        assert_eq!(indexes, (1..=found.len() as u64).collect::<Vec<_>>(), "sectors {kept:b}");
        if kept + 1 == 1 << sectors {
            assert_eq!(found.len(), 9, "all of it survived");
        }
        let next = found.len() as u64 + 1;
        append(&log, GROUP, next, "goes on").expect("the log goes on");
        drop(log);
        assert_eq!(entries(&reopen(&disk), GROUP).last(), Some(&(next, "goes on".to_owned())), "sectors {kept:b}");
    }
}

#[test]
fn a_tail_cut_short_is_cut_off_wherever_it_ends() {
    let disk = Disk::default();
    let log = filled(&disk, 3);
    let before = disk.read(FIRST);
    let end = before.iter().rposition(|byte| *byte != 0).expect("there are records") + 1;
    append_large(&log, 4, 2);
    let whole = disk.read(FIRST).len();
    for cut in end..whole {
        let disk = disk.copy();
        disk.damage(FIRST, |bytes| bytes.truncate(cut));
        let kept = entries(&reopen(&disk), GROUP);
        assert_eq!(kept[..3], numbered(1..=3), "cut at {cut}");
    }
}

fn refuses(disk: &Disk, at: usize) {
    match open(disk) {
        Err(LogError::Corrupt { path, .. }) => assert_eq!(path.to_str(), Some(FIRST), "byte {at}"),
        Err(other) => panic!("byte {at}: {other}"),
        Ok(_) => panic!("byte {at}: the damage went unnoticed"),
    }
}

#[test]
fn no_flipped_bit_goes_unnoticed_even_in_the_last_record() {
    let disk = Disk::default();
    let log = filled(&disk, 4);
    let alive = disk.copy();
    log.close();
    for disk in [alive, disk] {
        let whole = disk.read(FIRST);
        let end = whole.iter().rposition(|byte| *byte != 0).expect("there are records") + 1;
        for at in 0..end {
            for bit in [0, 3, 7] {
                let disk = disk.copy();
                disk.damage(FIRST, |bytes| bytes[at] ^= 1 << bit);
                refuses(&disk, at);
            }
        }
    }
}

#[test]
fn a_sector_that_lost_acknowledged_records_refuses_to_open() {
    let disk = Disk::default();
    let log =
        SharedLog::open(disk.files(), LogOptions { segment_bytes: 8000, segments_max: 4 }).expect("the log opens");
    append_large(&log, 1, 6);
    append(&log, GROUP, 7, "proof").expect("the append succeeds");
    assert_eq!(disk.names().len(), 1);
    for sector in 1..3 {
        let disk = disk.copy();
        disk.damage(FIRST, |bytes| bytes[sector * 512..(sector + 1) * 512].fill(0));
        refuses(&disk, sector * 512);
    }
    // The last round of a closed log is proven too.
    log.close();
    let end = disk.read(FIRST).iter().rposition(|byte| *byte != 0).expect("there are records");
    disk.damage(FIRST, |bytes| bytes[end - 150..end - 50].fill(0));
    refuses(&disk, end - 150);
}

#[test]
fn damage_beyond_the_end_is_not_taken_for_free_room() {
    let disk = Disk::default();
    drop(filled(&disk, 2));
    let end = disk.read(FIRST).iter().rposition(|byte| *byte != 0).expect("there are records") + 1;
    disk.damage(FIRST, |bytes| {
        bytes.truncate(end);
        bytes.resize(end + 600, 0x55);
    });
    refuses(&disk, end);
}

#[test]
fn a_segment_without_its_checkpoint_does_not_lose_votes() {
    let disk = Disk::default();
    let log = reopen(&disk);
    wait(|done| log.save_vote(OTHER, Bytes::from_static(b"vote"), done));
    let mut index = 0;
    while disk.names().len() == 1 {
        index += 1;
        append(&log, GROUP, index, &format!("entry {index}")).expect("the append succeeds");
    }
    drop(log);
    // The second segment was made, and the power failed before its first round was written.
    let second = disk.names()[1].clone();
    disk.damage(&second, |bytes| bytes.truncate(32));
    let log = reopen(&disk);
    let last = entries(&log, GROUP).len() as u64;
    wait(|done| log.purge(GROUP, last, Bytes::from_static(b"id"), done));
    append(&log, GROUP, last + 1, "after").expect("the append succeeds");
    drop(log);
    assert!(!disk.names().contains(&FIRST.to_owned()), "{:?}", disk.names());
    let log = reopen(&disk);
    assert_eq!(log.vote(OTHER), Some(Bytes::from_static(b"vote")));
    assert_eq!(entries(&log, GROUP), [(last + 1, "after".to_owned())]);
}

#[test]
fn records_left_in_memory_by_a_failed_sync_are_written_again_before_they_are_trusted() {
    let disk = Disk::default();
    let log = filled(&disk, 2);
    disk.fail_sync(true);
    append(&log, GROUP, 3, "entry 3").expect_err("the sync fails");
    disk.fail_sync(false);
    drop(log);
    // The process starts again, the machine does not: the entry is read from memory and the disk lacks it.
    let log = reopen(&disk);
    assert_eq!(entries(&log, GROUP), numbered(1..=3));
    append(&log, GROUP, 4, "entry 4").expect("the append succeeds");
    drop(log);
    disk.crash();
    assert_eq!(entries(&reopen(&disk), GROUP), numbered(1..=4));
}

#[test]
fn the_oldest_segment_cannot_vanish_unnoticed() {
    let disk = Disk::default();
    drop(filled(&disk, 40));
    let oldest = disk.names()[0].clone();
    sharddb_raft::log::Files::remove(&disk, &oldest).expect("the file exists");
    match open(&disk) {
        Err(LogError::Corrupt { path, .. }) => assert_eq!(path.to_str(), Some(&oldest[..])),
        _ => panic!("the loss went unnoticed"),
    }
}

#[test]
fn a_closed_log_writes_nothing_more() {
    let disk = Disk::default();
    let log = filled(&disk, 2);
    log.close();
    let closed = disk.read(FIRST);
    assert!(matches!(append(&log, GROUP, 3, "late"), Err(LogError::Closed)));
    log.close();
    drop(log);
    assert_eq!(disk.read(FIRST), closed);
    assert_eq!(entries(&reopen(&disk), GROUP), numbered(1..=2));
}

#[test]
fn dropping_all_entries_of_a_group_keeps_its_vote() {
    let disk = Disk::default();
    let log = filled(&disk, 3);
    wait(|done| log.save_vote(GROUP, Bytes::from_static(b"vote"), done));
    wait(|done| log.truncate(GROUP, 0, done));
    wait(|done| log.save_vote(OTHER, Bytes::from_static(b"other"), done));
    wait(|done| log.drop_group(OTHER, done));
    drop(log);
    let log = reopen(&disk);
    assert_eq!((entries(&log, GROUP), log.vote(GROUP)), (Vec::new(), Some(Bytes::from_static(b"vote"))));
    assert_eq!(log.groups(), [GROUP]);
    assert_eq!(log.vote(GroupId(2)), None);
}

#[test]
fn segments_stay_until_what_makes_them_needless_is_durable() {
    let disk = Disk::default();
    let log = Arc::new(filled(&disk, 40));
    let (done, outcome) = std::sync::mpsc::channel();
    let (again, full) = (Arc::clone(&log), disk.clone());
    // Submitted on the writer's thread, after a round and before room is made: the purge cannot be written.
    let submit = move |result: Result<(), LogError>| {
        result.expect("the append succeeds");
        full.set_room(Some(0));
        again.purge(GROUP, 40, Bytes::from_static(b"id"), Box::new(move |result| done.send(result).expect("waits")));
    };
    log.append(GROUP, vec![(41, Bytes::from_static(b"entry 41"))], Box::new(submit));
    assert!(outcome.recv().expect("the writer answers").is_err());
    disk.set_room(None);
    drop(log);
    assert_eq!(entries(&reopen(&disk), GROUP), numbered(1..=41));
}

/// A log whose last round holds these payloads, one sector at least being non-zero in each; its bytes; where that round
/// starts and where it ends.
fn with_last_round(payloads: &[Vec<u8>]) -> (Disk, usize, usize) {
    let disk = Disk::default();
    let log = SharedLog::open(disk.files(), LARGE).expect("the log opens");
    for index in 1..=3 {
        append(&log, GROUP, index, &format!("entry {index}")).expect("the append succeeds");
    }
    let end = |disk: &Disk| disk.read(FIRST).iter().rposition(|byte| *byte != 0).expect("there are records") + 1;
    let start = end(&disk);
    let entries = (4..).zip(payloads.iter().cloned().map(Bytes::from)).collect();
    wait(|done| log.append(GROUP, entries, done));
    let end = end(&disk);
    (disk, start, end)
}

const LARGE: LogOptions = LogOptions { segment_bytes: 1 << 16, segments_max: 4 };

/// What the log holds after the three entries that were acknowledged in rounds of their own, which must be there.
fn reopened(disk: &Disk) -> Result<Vec<Bytes>, LogError> {
    let log = SharedLog::open(disk.files(), LARGE)?;
    assert_eq!(entries(&log, GROUP)[..3], numbered(1..=3));
    Ok(log.read(GROUP, 4, u64::MAX).expect("the log reads").into_iter().map(|(_, payload)| payload).collect())
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => Just(0), 2 => any::<u8>()];
    // Shorter than a sector: whole sectors of zeros could be taken for torn.
    prop_oneof![prop::collection::vec(byte, 0..300), prop::collection::vec(1_u8.., 0..800)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    #[test]
    fn a_last_round_changed_at_any_byte_is_never_taken_for_good(
        payloads in prop::collection::vec(payload(), 1..4),
        flip in 1_u8..,
    ) {
        let (disk, start, end) = with_last_round(&payloads);
        prop_assert_eq!(reopened(&disk.copy()).expect("it is whole"), payloads.iter().cloned().map(Bytes::from).collect::<Vec<_>>());
        for at in start..end {
            let copy = disk.copy();
            copy.damage(FIRST, |bytes| bytes[at] ^= flip);
            match reopened(&copy) {
                Err(LogError::Corrupt { path, .. }) => prop_assert_eq!(path.to_str(), Some(FIRST)),
                other => prop_assert!(false, "byte {} of {}..{}: {:?}", at, start, end, other),
            }
        }
    }

    #[test]
    fn a_last_round_that_ends_at_any_byte_leaves_a_prefix(payloads in prop::collection::vec(payload(), 1..4)) {
        let (disk, start, end) = with_last_round(&payloads);
        for at in start..end {
            let copy = disk.copy();
            copy.damage(FIRST, |bytes| bytes.truncate(at));
            let found = reopened(&copy).expect("what was acknowledged is there");
            prop_assert!(found.len() < payloads.len(), "cut at {}", at);
            prop_assert!(found.iter().zip(&payloads).all(|(found, payload)| found == payload), "cut at {}", at);
        }
    }

    #[test]
    fn whichever_sectors_survive_what_was_acknowledged_is_there(
        payloads in prop::collection::vec(payload(), 1..4),
        kept in prop::collection::vec(any::<u64>(), 20),
    ) {
        let (disk, ..) = with_last_round(&payloads);
        for kept in kept {
            let copy = disk.copy();
            copy.tear(kept);
            let found = reopened(&copy).expect("what was acknowledged is there");
            prop_assert!(found.iter().zip(&payloads).all(|(found, payload)| found == payload), "sectors {:b}", kept);
        }
    }
}
