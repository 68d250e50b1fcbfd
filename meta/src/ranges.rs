//! The range map: sorted, without gap or overlap.
//!
//! Held by the meta group's members and, merged from what changed, by everybody who asks them ([`RangeTable::merge`]).
//! A clone shares the map until one of the two changes.
//!
//! # Invariants
//! * After a successful [`RangeTable::put`] the ranges cover the key space.
//! * A record never gives way to one of a lower epoch.
//! * Each record carries the version that brought it, and replaces what it overlaps. So the records above a version,
//!   laid over the map of that version, make the present map.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use bytes::Bytes;
use proto::meta::{RangeDescriptor, Ranges};
use sharddb_proto as proto;

type Map = BTreeMap<Bytes, Arc<RangeDescriptor>>;

/// A range map and its version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RangeTable {
    map: Arc<Map>,
    version: u64,
}

impl RangeTable {
    /// A map as it was stored.
    pub(crate) fn restore(ranges: impl IntoIterator<Item = RangeDescriptor>, version: u64) -> Self {
        let map = ranges.into_iter().map(|range| (range.start.clone(), Arc::new(range))).collect();
        Self { map: Arc::new(map), version }
    }

    /// Grows with every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether the cluster has no ranges yet.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The ranges in key order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<RangeDescriptor>> {
        self.map.values()
    }

    /// A copy of the ranges in key order.
    pub fn to_vec(&self) -> Vec<RangeDescriptor> {
        self.iter().map(|range| RangeDescriptor::clone(range)).collect()
    }

    /// Whether both are the same map in memory, so that nothing can differ.
    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.map, &other.map)
    }

    pub(crate) fn by_start(&self) -> &BTreeMap<Bytes, Arc<RangeDescriptor>> {
        &self.map
    }

    /// The ranges that changed after a version.
    pub fn since(&self, version: u64) -> Vec<RangeDescriptor> {
        let changed = self.iter().filter(|range| version == 0 || range.version > version);
        changed.map(|range| RangeDescriptor::clone(range)).collect()
    }

    /// Takes over what a member answered to `since` of the own version.
    pub fn merge(&mut self, answer: Ranges) {
        if answer.version <= self.version {
            return;
        }
        self.version = answer.version;
        if answer.ranges.is_empty() {
            return;
        }
        let map = Arc::make_mut(&mut self.map);
        for range in answer.ranges {
            lay(map, Arc::new(range));
        }
    }

    /// Puts ranges over those they overlap. Records older than what is known are skipped. Refused, without a change, if
    /// the map would get a gap; a map that stays the same keeps its version.
    pub(crate) fn put(&mut self, ranges: Vec<RangeDescriptor>, version: u64) -> Result<(), String> {
        let news: Vec<RangeDescriptor> = ranges.into_iter().filter_map(|range| self.news(range, version)).collect();
        if news.is_empty() {
            return Ok(());
        }
        let borders: Vec<Bytes> = news.iter().map(|range| range.start.clone()).collect();
        let mut map = Map::clone(&self.map);
        for range in news {
            lay(&mut map, Arc::new(range));
        }
        if !borders.iter().all(|start| joins(&map, start)) {
            return Err("the range map would get a gap".to_owned());
        }
        *self = Self { map: Arc::new(map), version };
        Ok(())
    }

    /// Sets the replication factor of the ranges inside a span.
    pub(crate) fn put_replication(&mut self, start: &Bytes, end: &Bytes, factor: u32, version: u64) {
        let inside = |range: &RangeDescriptor| {
            range.start >= start && (end.is_empty() || (!range.end.is_empty() && range.end <= end))
        };
        let other = |range: &&Arc<RangeDescriptor>| inside(range) && range.replication_factor != factor;
        let changed: Vec<Arc<RangeDescriptor>> = self.iter().filter(other).cloned().collect();
        if changed.is_empty() {
            return;
        }
        let map = Arc::make_mut(&mut self.map);
        for range in changed {
            let range = RangeDescriptor { replication_factor: factor, version, ..RangeDescriptor::clone(&range) };
            map.insert(range.start.clone(), Arc::new(range));
        }
        self.version = version;
    }

    /// The record as it is to be put; `None` if it is old or says nothing new.
    fn news(&self, mut range: RangeDescriptor, version: u64) -> Option<RangeDescriptor> {
        if overlapped(&self.map, &range).any(|known| known.epoch > range.epoch) {
            return None;
        }
        let before = self.map.range(..=range.start.clone()).next_back().map(|(_, known)| known);
        if let Some(known) = before {
            range.version = known.version;
            if range.replication_factor == 0 {
                range.replication_factor = known.replication_factor;
            }
            if **known == range {
                return None;
            }
        }
        range.version = version;
        Some(range)
    }
}

/// Ranges that meet `range`.
fn overlapped<'a>(map: &'a Map, range: &'a RangeDescriptor) -> impl Iterator<Item = &'a Arc<RangeDescriptor>> {
    let before = map.range(..range.start.clone()).next_back();
    let before = before.filter(|(_, known)| known.end.is_empty() || known.end > range.start);
    let inside = map.range(range.start.clone()..);
    let inside = inside.take_while(|(start, _)| range.end.is_empty() || **start < range.end);
    before.into_iter().chain(inside).map(|(_, known)| known)
}

fn lay(map: &mut Map, range: Arc<RangeDescriptor>) {
    let old: Vec<Bytes> = overlapped(map, &range).map(|known| known.start.clone()).collect();
    for start in old {
        map.remove(&start);
    }
    map.insert(range.start.clone(), range);
}

/// Whether the range at `start`, if there is one, meets its neighbours without a gap.
fn joins(map: &Map, start: &Bytes) -> bool {
    let Some(range) = map.get(start) else { return true };
    let before = map.range(..start.clone()).next_back().map(|(_, known)| known.end.clone());
    let after = map.range::<Bytes, _>((Excluded(start), Unbounded)).next().map(|(next, _)| next.clone());
    let begins = before.map_or(start.is_empty(), |end| !end.is_empty() && end == *start);
    let ends = after.map_or(range.end.is_empty(), |next| !range.end.is_empty() && next == range.end);
    begins && ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(shard: u64, start: &'static str, end: &'static str, epoch: u64) -> RangeDescriptor {
        RangeDescriptor { shard, start: start.into(), end: end.into(), epoch, ..RangeDescriptor::default() }
    }

    fn shards(table: &RangeTable) -> Vec<(u64, u64)> {
        table.iter().map(|range| (range.shard, range.epoch)).collect()
    }

    fn one() -> RangeTable {
        RangeTable::restore([range(1, "", "", 1)], 1)
    }

    #[test]
    fn a_split_replaces_one_range_by_its_parts() {
        let mut table = one();
        assert_eq!(table.put(vec![range(1, "", "m", 2), range(2, "m", "", 2)], 5), Ok(()));
        assert_eq!(shards(&table), [(1, 2), (2, 2)]);
        assert_eq!(table.put(vec![range(2, "m", "t", 3), range(3, "t", "", 3)], 6), Ok(()));
        assert_eq!(shards(&table), [(1, 2), (2, 3), (3, 3)]);
        assert_eq!(table.version(), 6);
    }

    #[test]
    fn a_map_with_a_gap_is_refused() {
        for put in [range(1, "", "m", 2), range(1, "m", "", 2), range(1, "a", "m", 2)] {
            let mut table = one();
            assert!(table.put(vec![put], 5).is_err());
            assert_eq!(table, one());
        }
    }

    #[test]
    fn an_older_record_changes_nothing() {
        let mut table = one();
        table.put(vec![range(1, "", "m", 3), range(2, "m", "", 3)], 5).expect("a split");
        let before = table.clone();
        assert_eq!(table.put(vec![range(1, "", "", 2)], 6), Ok(()));
        assert_eq!(table.put(vec![range(1, "", "m", 3)], 7), Ok(()));
        assert_eq!(table, before, "the same record makes no new version");
    }

    #[test]
    fn parts_inherit_the_replication_factor() {
        let mut table = one();
        table.put_replication(&Bytes::new(), &Bytes::new(), 5, 2);
        table.put(vec![range(1, "", "m", 2), range(2, "m", "", 2)], 3).expect("a split");
        assert!(table.iter().all(|range| range.replication_factor == 5));
        table.put_replication(&"m".into(), &Bytes::new(), 0, 4);
        assert_eq!(table.iter().map(|range| range.replication_factor).collect::<Vec<_>>(), [5, 0]);
    }

    #[test]
    fn whoever_merges_what_changed_has_the_whole_map() {
        let mut table = one();
        let mut copies = vec![RangeTable::default()];
        let mut border = 1..100;
        for version in 2..40u64 {
            // Halve the last range, or merge the last two.
            let last = table.iter().last().expect("there is one").clone();
            let put = if version % 5 == 4 {
                let mut all = table.iter().rev_two();
                let (left, right) = (all.remove(0), all.remove(0));
                vec![RangeDescriptor { end: right.end, epoch: version, ..left }]
            } else {
                let at = Bytes::from(format!("{:03}", border.next().expect("enough borders")));
                let left = RangeDescriptor { end: at.clone(), epoch: version, ..RangeDescriptor::clone(&last) };
                vec![
                    left,
                    RangeDescriptor { shard: version, start: at, epoch: version, ..RangeDescriptor::clone(&last) },
                ]
            };
            table.put(put, version).expect("no gap");
            for copy in &mut copies {
                // Each asks at another rhythm.
                if version % (copy.version() % 3 + 1) == 0 {
                    copy.merge(Ranges { version: table.version(), ranges: table.since(copy.version()) });
                    assert_eq!(*copy, table);
                }
            }
            copies.push(table.clone());
        }
    }

    trait LastTwo {
        fn rev_two(self) -> Vec<RangeDescriptor>;
    }

    impl<'a, I: Iterator<Item = &'a Arc<RangeDescriptor>>> LastTwo for I {
        fn rev_two(self) -> Vec<RangeDescriptor> {
            let all: Vec<&Arc<RangeDescriptor>> = self.collect();
            all[all.len() - 2..].iter().map(|range| RangeDescriptor::clone(range)).collect()
        }
    }
}
