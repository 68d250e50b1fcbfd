//! What the log holds, in memory: for each group its vote, purge position and where each entry is.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::{
    record::{GroupId, Record},
    segment::Position,
};

/// Bytes of recent entries kept in memory, over all groups. Followers and restarts read older ones from disk.
const CACHE_BYTES_MAX: usize = if cfg!(test) { 64 } else { 64 << 20 };

/// Gone entries in the eviction order before it is swept, beside twice the number of live ones.
const CACHE_ORDER_SLACK: usize = 1024;

/// One entry: in memory, on disk, or both. Never neither.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) cached: Option<Bytes>,
    /// Set once the entry is written.
    pub(super) position: Option<Position>,
}

/// One group.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) vote: Option<Bytes>,
    /// Index and id of the last purged entry.
    pub(super) purged: Option<(u64, Bytes)>,
    pub(super) entries: BTreeMap<u64, Slot>,
}

/// What a segment holds that is still needed.
#[derive(Debug, Default)]
struct Live {
    entries: usize,
    bytes: u64,
}

/// All groups.
///
/// Invariants: `live[s]` counts the slots whose position is in segment `s` and their bytes, and those not yet released;
/// `live_bytes` is the sum of all segments; `count` is the number of slots; `cached_bytes` is the length of all cached payloads.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) groups: HashMap<GroupId, Group>,
    live: BTreeMap<u64, Live>,
    live_bytes: u64,
    count: usize,
    cached_bytes: usize,
    /// Written entries in the order they were cached, for eviction.
    cache_order: std::collections::VecDeque<(GroupId, u64)>,
}

impl Index {
    /// Applies a record. `position` is where an entry was found on disk, or `None` before it is written. What it makes
    /// needless still counts as live until it is given to `release`: the segments must stay until the record is durable.
    #[must_use]
    pub(super) fn apply(&mut self, record: &Record, position: Option<Position>) -> Vec<Position> {
        match record {
            Record::Round { .. } => Vec::new(),
            Record::Entry { group, index, payload } => self.put(*group, *index, payload, position),
            Record::Vote { group, payload } => {
                self.group(*group).vote = Some(payload.clone());
                Vec::new()
            }
            Record::Truncate { group, index } => {
                let gone = self.group(*group).entries.split_off(index);
                self.forget(gone)
            }
            Record::Purge { group, index, payload } => {
                let group = self.group(*group);
                let kept = group.entries.split_off(&(index + 1));
                let gone = std::mem::replace(&mut group.entries, kept);
                if group.purged.as_ref().is_none_or(|(purged, _)| purged < index) {
                    group.purged = Some((*index, payload.clone()));
                }
                self.forget(gone)
            }
            Record::Drop { group } => {
                let gone = self.groups.remove(group).unwrap_or_default();
                self.forget(gone.entries)
            }
        }
    }

    fn group(&mut self, group: GroupId) -> &mut Group {
        self.groups.entry(group).or_default()
    }

    fn put(&mut self, group: GroupId, index: u64, payload: &Bytes, position: Option<Position>) -> Vec<Position> {
        if self.group(group).purged.as_ref().is_some_and(|(purged, _)| index <= *purged) {
            return Vec::new();
        }
        let cached = position.is_none().then(|| payload.clone());
        self.cached_bytes += cached.as_ref().map_or(0, Bytes::len);
        let old = self.group(group).entries.insert(index, Slot { cached, position });
        self.count += 1;
        if let Some(position) = position {
            self.occupy(position);
        }
        self.forget(old.map(|slot| (index, slot)))
    }

    /// Notes where an entry was written and synced, unless it is gone or was replaced meanwhile.
    pub(super) fn written(&mut self, group: GroupId, index: u64, payload: &Bytes, position: Position) {
        let Some(slot) = self.groups.get_mut(&group).and_then(|group| group.entries.get_mut(&index)) else { return };
        let same = slot.cached.as_ref().is_none_or(|cached| cached.as_ptr() == payload.as_ptr());
        if !same {
            return;
        }
        let old = slot.position.replace(position);
        self.release(old);
        self.occupy(position);
        self.cache_order.push_back((group, index));
        self.evict();
    }

    fn evict(&mut self) {
        while self.cached_bytes > CACHE_BYTES_MAX {
            let Some((group, index)) = self.cache_order.pop_front() else { return };
            let slot = self.groups.get_mut(&group).and_then(|group| group.entries.get_mut(&index));
            let Some(slot) = slot.filter(|slot| slot.position.is_some()) else { continue };
            self.cached_bytes -= slot.cached.take().map_or(0, |cached| cached.len());
        }
    }

    /// Uncounts removed entries and answers where they were.
    fn forget(&mut self, slots: impl IntoIterator<Item = (u64, Slot)>) -> Vec<Position> {
        let mut freed = Vec::new();
        for (_, slot) in slots {
            self.count -= 1;
            self.cached_bytes -= slot.cached.map_or(0, |cached| cached.len());
            freed.extend(slot.position);
        }
        // Evicting skips what is gone; without this the order would grow with every purge.
        if self.cache_order.len() > 2 * self.count + CACHE_ORDER_SLACK {
            let groups = &self.groups;
            self.cache_order.retain(|(group, index)| {
                groups.get(group).and_then(|group| group.entries.get(index)).is_some_and(|slot| slot.cached.is_some())
            });
        }
        freed
    }

    fn occupy(&mut self, position: Position) {
        let live = self.live.entry(position.segment).or_default();
        live.entries += 1;
        live.bytes += u64::from(position.length);
        self.live_bytes += u64::from(position.length);
    }

    /// Uncounts positions whose entries are durably gone or durably elsewhere.
    pub(super) fn release(&mut self, positions: impl IntoIterator<Item = Position>) {
        for position in positions {
            let live = self.live.get_mut(&position.segment).expect("a live entry is counted");
            live.entries -= 1;
            live.bytes -= u64::from(position.length);
            self.live_bytes -= u64::from(position.length);
            if live.entries == 0 {
                assert_eq!(live.bytes, 0, "a segment without live entries has no live bytes");
                self.live.remove(&position.segment);
            }
        }
    }

    /// Bytes of all live entries.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// The oldest segment with a live entry.
    pub(super) fn oldest_live(&self) -> Option<u64> {
        self.live.first_key_value().map(|(segment, _)| *segment)
    }

    /// The payload or position of an entry that is in this segment, if it still is.
    pub(super) fn entry_in(&self, segment: u64, group: GroupId, index: u64) -> Option<(Option<Bytes>, Position)> {
        let slot = self.groups.get(&group)?.entries.get(&index)?;
        let position = slot.position.filter(|position| position.segment == segment)?;
        Some((slot.cached.clone(), position))
    }

    /// Entries whose only copy on disk is in this segment.
    pub(super) fn entries_in(&self, segment: u64) -> Vec<(GroupId, u64)> {
        let in_segment = |slot: &Slot| slot.position.is_some_and(|position| position.segment == segment);
        let groups = self.groups.iter();
        groups
            .flat_map(|(group, state)| state.entries.iter().map(|(index, slot)| (*group, *index, slot)))
            .filter(|(_, _, slot)| in_segment(slot))
            .map(|(group, index, _)| (group, index))
            .collect()
    }

    /// Whether every group has all its entries, from just after what was purged on. One without any is the index of the
    /// first that is missing.
    pub(super) fn first_gap(&self) -> Option<(GroupId, u64)> {
        for (group, state) in &self.groups {
            // Without a purge the first entry has index 0, or 1 by the custom of counting from there.
            let first = state.entries.first_key_value().map_or(0, |(first, _)| *first);
            let start = state.purged.as_ref().map_or(first.min(1), |(purged, _)| purged + 1);
            let missing = (start..).zip(state.entries.keys()).find(|(expected, index)| expected != *index);
            if let Some((expected, _)) = missing {
                return Some((*group, expected));
            }
        }
        None
    }

    /// Votes and purge positions of all groups, which start each segment.
    pub(super) fn checkpoint(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for (group, state) in &self.groups {
            let group = *group;
            records.extend(state.vote.clone().map(|payload| Record::Vote { group, payload }));
            records.extend(state.purged.clone().map(|(index, payload)| Record::Purge { group, index, payload }));
        }
        records
    }
}
