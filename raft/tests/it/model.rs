//! Random histories of the shared log against a model: crashes, restarts, moved and deleted segments.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use sharddb_disk::Disk;
use sharddb_raft::log::{GroupId, LogOptions, SharedLog};

use crate::recovery::wait;

#[derive(Clone, Debug)]
enum Step {
    /// Appends this many entries of this size.
    Append(u64, u64, usize),
    Vote(u64, u8),
    /// Drops this many of the last entries.
    Truncate(u64, u64),
    /// Drops this many of the first entries.
    Purge(u64, u64),
    Drop(u64),
    Close,
    /// Loses what was not synced: nothing that was answered.
    Crash,
    /// On a copy, the power fails during the last sync: these of its sectors survive.
    Tear(u64),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Group {
    vote: Option<Bytes>,
    purged: Option<u64>,
    entries: BTreeMap<u64, Bytes>,
}

type Model = BTreeMap<u64, Group>;

fn step() -> impl Strategy<Value = Step> {
    let group = || 1u64..5;
    prop_oneof![
        10 => (group(), 1u64..4, prop_oneof![Just(5usize), Just(100), Just(700)]).prop_map(|(g, n, s)| Step::Append(g, n, s)),
        2 => (group(), any::<u8>()).prop_map(|(g, v)| Step::Vote(g, v)),
        2 => (group(), 0u64..4).prop_map(|(g, n)| Step::Truncate(g, n)),
        3 => (group(), 0u64..6).prop_map(|(g, n)| Step::Purge(g, n)),
        1 => group().prop_map(Step::Drop),
        1 => Just(Step::Close),
        1 => Just(Step::Crash),
        1 => any::<u64>().prop_map(Step::Tear),
    ]
}

fn open(disk: &Disk) -> SharedLog {
    SharedLog::open(disk.files(), LogOptions { segment_bytes: 1500, segments_max: 3 }).expect("the log opens")
}

fn next_index(group: &Group) -> u64 {
    group.entries.last_key_value().map(|(last, _)| *last).max(group.purged).map_or(0, |last| last + 1)
}

/// Carries out a step that changes the log, on both. Answers whether there was anything to do.
fn run(log: &SharedLog, model: &mut Model, step: &Step, count: usize) -> bool {
    match *step {
        Step::Append(id, entries, size) => {
            let group = model.entry(id).or_default();
            let first = next_index(group);
            // No payload has a sector of zeros: that would be taken for torn.
            let payload = |index| Bytes::from(vec![(index as usize + count) as u8 | 1; size]);
            let entries: Vec<_> = (first..first + entries).map(|index| (index, payload(index))).collect();
            group.entries.extend(entries.clone());
            wait(|done| log.append(GroupId(id), entries, done));
        }
        Step::Vote(id, vote) => {
            let vote = Bytes::from(vec![vote]);
            model.entry(id).or_default().vote = Some(vote.clone());
            wait(|done| log.save_vote(GroupId(id), vote, done));
        }
        Step::Truncate(id, entries) => {
            let Some(group) = model.get_mut(&id) else { return false };
            let first = group.purged.map_or(0, |purged| purged + 1);
            let from = next_index(group).saturating_sub(entries).max(first);
            group.entries.split_off(&from);
            wait(|done| log.truncate(GroupId(id), from, done));
        }
        Step::Purge(id, entries) => {
            let Some(group) = model.get_mut(&id) else { return false };
            let Some((first, _)) = group.entries.first_key_value() else { return false };
            let upto = (*first + entries).min(next_index(group) - 1);
            group.entries = group.entries.split_off(&(upto + 1));
            group.purged = Some(upto);
            wait(|done| log.purge(GroupId(id), upto, Bytes::from(upto.to_be_bytes().to_vec()), done));
        }
        Step::Drop(id) => {
            model.remove(&id);
            wait(|done| log.drop_group(GroupId(id), done));
        }
        Step::Close | Step::Crash | Step::Tear(_) => unreachable!("not a change"),
    }
    true
}

/// Without groups that hold nothing: the log may forget them.
fn some(mut model: Model) -> Model {
    model.retain(|_, group| *group != Group::default());
    model
}

fn contents(log: &SharedLog) -> Model {
    let group = |id: GroupId| Group {
        vote: log.vote(id),
        purged: log.purged(id).map(|(index, _)| index),
        entries: log.read(id, 0, u64::MAX).expect("the log reads").into_iter().collect(),
    };
    some(log.groups().into_iter().map(|id| (id.0, group(id))).collect())
}

/// Whether `found` is the state before the last change, after it, or after the first part of it.
fn between(before: &Model, after: &Model, found: &Model) -> bool {
    let prefix = |id: &u64, group: &Group| {
        let Some(new) = after.get(id) else { return false };
        let old = before.get(id).cloned().unwrap_or_default();
        let grown = group.entries.len() >= old.entries.len() && group.entries.len() <= new.entries.len();
        grown && new.entries.iter().zip(&group.entries).all(|(expected, found)| expected == found)
    };
    found == before
        || found == after
        || (found.len() == after.len() && found.iter().all(|(id, group)| prefix(id, group)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn what_was_answered_is_there_after_any_end(steps in prop::collection::vec(step(), 1..60)) {
        let disk = Disk::default();
        let mut log = open(&disk);
        let (mut before, mut model) = (Model::new(), Model::new());
        let mut changed = false;
        for (count, step) in steps.iter().enumerate() {
            match step {
                Step::Close => {
                    log.close();
                    drop(log);
                    log = open(&disk);
                }
                Step::Crash => {
                    drop(log);
                    disk.crash();
                    log = open(&disk);
                }
                Step::Tear(kept) => {
                    let torn = disk.copy();
                    torn.tear(*kept);
                    let found = contents(&open(&torn));
                    let fits = found == model || (changed && between(&before, &model, &found));
                    prop_assert!(fits, "{before:?}\nor {model:?}\nbut {found:?}");
                }
                change => {
                    let old = model.clone();
                    if run(&log, &mut model, change, count) {
                        (before, changed) = (old, true);
                    }
                }
            }
            model = some(model);
            prop_assert_eq!(&contents(&log), &model, "after {:?}", step);
            changed &= !matches!(step, Step::Close | Step::Crash);
        }
    }
}
