//! What the log holds, in memory: for each group its vote, purge position and where each entry is.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::{
    record::{GroupId, Record},
    segment::Position,
};

/// Bytes of recent entries kept in memory, over all groups. Followers and restarts read older ones from disk.
const CACHE_BYTES_MAX: usize = if cfg!(test) { 64 } else { 64 << 20 };

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

/// All groups.
///
/// Invariant: `live[s]` is the number of slots whose position is in segment `s`.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) groups: HashMap<GroupId, Group>,
    live: BTreeMap<u64, usize>,
    cached_bytes: usize,
    /// Written entries in the order they were cached, for eviction.
    cache_order: std::collections::VecDeque<(GroupId, u64)>,
}

impl Index {
    /// Applies a record. `position` is where an entry was found on disk, or `None` before it is written.
    pub(super) fn apply(&mut self, record: &Record, position: Option<Position>) {
        match record {
            Record::Round { .. } => {}
            Record::Entry { group, index, payload } => self.put(*group, *index, payload, position),
            Record::Vote { group, payload } => self.group(*group).vote = Some(payload.clone()),
            Record::Truncate { group, index } => {
                let gone = self.group(*group).entries.split_off(&(index + 1));
                self.forget(gone);
            }
            Record::Purge { group, index, payload } => {
                let group = self.group(*group);
                let kept = group.entries.split_off(&(index + 1));
                let gone = std::mem::replace(&mut group.entries, kept);
                if group.purged.as_ref().is_none_or(|(purged, _)| purged < index) {
                    group.purged = Some((*index, payload.clone()));
                }
                self.forget(gone);
            }
            Record::Drop { group } => {
                let gone = self.groups.remove(group).unwrap_or_default();
                self.forget(gone.entries);
            }
        }
    }

    fn group(&mut self, group: GroupId) -> &mut Group {
        self.groups.entry(group).or_default()
    }

    fn put(&mut self, group: GroupId, index: u64, payload: &Bytes, position: Option<Position>) {
        if self.group(group).purged.as_ref().is_some_and(|(purged, _)| index <= *purged) {
            return;
        }
        let cached = position.is_none().then(|| payload.clone());
        self.cached_bytes += cached.as_ref().map_or(0, Bytes::len);
        let old = self.group(group).entries.insert(index, Slot { cached, position });
        self.forget(old.into_iter().map(|slot| (index, slot)));
        if let Some(position) = position {
            *self.live.entry(position.segment).or_default() += 1;
        }
    }

    /// Notes where an entry was written, unless it is gone or was replaced meanwhile.
    pub(super) fn written(&mut self, group: GroupId, index: u64, payload: &Bytes, position: Position) {
        let Some(slot) = self.groups.get_mut(&group).and_then(|group| group.entries.get_mut(&index)) else { return };
        let same = slot.cached.as_ref().is_none_or(|cached| cached.as_ptr() == payload.as_ptr());
        if !same {
            return;
        }
        if let Some(old) = slot.position.replace(position) {
            self.release(old.segment);
        }
        *self.live.entry(position.segment).or_default() += 1;
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

    fn forget(&mut self, slots: impl IntoIterator<Item = (u64, Slot)>) {
        for (_, slot) in slots {
            self.cached_bytes -= slot.cached.map_or(0, |cached| cached.len());
            if let Some(position) = slot.position {
                self.release(position.segment);
            }
        }
        // Evicting skips what is gone; without this the order would grow with every purge.
        if self.cache_order.len() > 2 * self.groups.values().map(|group| group.entries.len()).sum::<usize>() + 1024 {
            let groups = &self.groups;
            self.cache_order.retain(|(group, index)| {
                groups.get(group).and_then(|group| group.entries.get(index)).is_some_and(|slot| slot.cached.is_some())
            });
        }
    }

    fn release(&mut self, segment: u64) {
        let count = self.live.get_mut(&segment).expect("a live entry is counted");
        *count -= 1;
        if *count == 0 {
            self.live.remove(&segment);
        }
    }

    /// The oldest segment with a live entry.
    pub(super) fn oldest_live(&self) -> Option<u64> {
        self.live.first_key_value().map(|(segment, _)| *segment)
    }

    /// Bytes of the live entries in a segment.
    pub(super) fn live_bytes(&self, segment: u64) -> u64 {
        let slots = self.groups.values().flat_map(|group| group.entries.values());
        let positions = slots.filter_map(|slot| slot.position).filter(|position| position.segment == segment);
        positions.map(|position| u64::from(position.length)).sum()
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
