//! The meta group's state and how commands change it.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use proto::meta::{Command, PutRanges, RangeDescriptor, Snapshot, command};
use raft::{Capture, Committed, Fatal, StateMachine};
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage as storage;
use storage::{Batch, Cf, Engine};

/// Keys of `Cf::Local`; part of the format.
const STATE: &[u8] = b"m/state";
const POSITION: &[u8] = b"m/position";
/// The file of a snapshot.
const SNAPSHOT: &str = "meta";

/// Object ids below this belong to built-in objects.
pub(crate) const FIRST_OBJECT_ID: u64 = 16_384;

/// Outcomes: a tag byte and a number.
pub(crate) const OK: u8 = 0;
pub(crate) const REFUSED: u8 = 1;

/// The state machine.
pub(crate) struct Machine {
    engine: Arc<dyn Engine>,
    state: Arc<RwLock<Snapshot>>,
}

impl Machine {
    /// Reads back the stored state.
    pub(crate) fn open(engine: Arc<dyn Engine>) -> Result<Self, Fatal> {
        let stored = engine.get(Cf::Local, STATE).map_err(fatal)?;
        let state = stored.map(|bytes| Snapshot::decode(&bytes[..])).transpose();
        let state = state.map_err(|error| Fatal::damaged(format!("the meta group's state is damaged: {error}")))?;
        let state = state.unwrap_or_else(|| Snapshot { next_object_id: FIRST_OBJECT_ID, ..Snapshot::default() });
        Ok(Self { engine, state: Arc::new(RwLock::new(state)) })
    }

    /// The state, for reads.
    pub(crate) fn state(&self) -> Arc<RwLock<Snapshot>> {
        Arc::clone(&self.state)
    }

    fn store(&self, state: &Snapshot, position: Bytes) -> Result<(), Fatal> {
        let mut batch = Batch::default();
        batch.put(Cf::Local, STATE, state.encode_to_vec());
        batch.put(Cf::Local, POSITION, position);
        self.engine.write(&batch).map_err(fatal)
    }
}

impl StateMachine for Machine {
    fn position(&self) -> Result<Option<Bytes>, Fatal> {
        Ok(self.engine.get(Cf::Local, POSITION).map_err(fatal)?.map(Bytes::from))
    }

    fn apply(&self, commands: &[Committed], position: Bytes) -> Result<Vec<Bytes>, Fatal> {
        let mut state = self.state.read().clone();
        let mut outcomes = Vec::with_capacity(commands.len());
        for committed in commands {
            let command = Command::decode(committed.command.clone());
            let command = command.map_err(|error| Fatal::damaged(format!("a meta command is damaged: {error}")))?;
            outcomes.push(outcome(change(&mut state, command)));
        }
        self.store(&state, position)?;
        *self.state.write() = state;
        Ok(outcomes)
    }

    fn flush(&self) -> Result<(), Fatal> {
        self.engine.flush().map_err(fatal)
    }

    fn snapshot(&self) -> Result<Capture, Fatal> {
        let state = self.state.read().encode_to_vec();
        Ok(Box::new(move |directory| {
            std::fs::write(directory.join(SNAPSHOT), state).map_err(|error| Fatal::files(&error))
        }))
    }

    fn restore(&self, directory: &Path, position: Bytes) -> Result<(), Fatal> {
        let snapshot = std::fs::read(directory.join(SNAPSHOT)).map_err(|error| Fatal::files(&error))?;
        let state = Snapshot::decode(&snapshot[..])
            .map_err(|error| Fatal::damaged(format!("a meta snapshot is damaged: {error}")))?;
        self.store(&state, position)?;
        *self.state.write() = state;
        Ok(())
    }
}

fn fatal(error: storage::Error) -> Fatal {
    Fatal::from(error)
}

fn outcome(result: Option<u64>) -> Bytes {
    let (tag, number) = result.map_or((REFUSED, 0), |number| (OK, number));
    let mut bytes = vec![tag];
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.into()
}

/// Carries out a command; `None` if it is refused and changed nothing.
fn change(state: &mut Snapshot, command: Command) -> Option<u64> {
    match command.body? {
        command::Body::ExtendWindow(window) => state.window = state.window.max(window),
        command::Body::PutNode(node) => {
            state.nodes.retain(|known| known.id != node.id);
            state.nodes.push(node);
        }
        command::Body::PutRanges(put) => return put_ranges(state, put),
        command::Body::PutSetting(setting) => {
            state.settings.retain(|known| known.name != setting.name);
            if setting.value.is_some() {
                state.settings.push(setting);
            }
        }
        command::Body::AllocateShards(count) => return take(&mut state.next_shard, count),
        command::Body::AllocateObjectIds(count) => return take(&mut state.next_object_id, count),
        command::Body::BumpCatalog(_) => {
            state.catalog_version += 1;
            return Some(state.catalog_version);
        }
        command::Body::Bootstrap(bootstrap) => {
            if !state.cluster_id.is_empty() {
                return None;
            }
            state.cluster_id = bootstrap.cluster_id;
            state.nodes.extend(bootstrap.node);
            state.next_shard = bootstrap.ranges.iter().map(|range| range.shard).max().unwrap_or(0) + 1;
            state.ranges = bootstrap.ranges;
        }
        command::Body::RaiseSafePoint(ts) => state.safe_point = state.safe_point.max(ts),
    }
    Some(0)
}

fn take(next: &mut u64, count: u64) -> Option<u64> {
    let first = *next;
    *next = next.checked_add(count)?;
    Some(first)
}

/// Replaces the ranges that lie inside what `put` covers. Refused if the map would get a gap or an overlap.
fn put_ranges(state: &mut Snapshot, put: PutRanges) -> Option<u64> {
    let mut map: BTreeMap<Bytes, RangeDescriptor> =
        state.ranges.iter().map(|range| (range.start.clone(), range.clone())).collect();
    for range in &put.ranges {
        map.retain(|start, known| {
            let starts_inside = *start >= range.start && (range.end.is_empty() || *start < range.end);
            !starts_inside || known.epoch > range.epoch
        });
    }
    map.extend(put.ranges.into_iter().map(|range| (range.start.clone(), range)));
    let ranges: Vec<RangeDescriptor> = map.into_values().collect();
    tiles(&ranges).then(|| state.ranges = ranges)?;
    Some(0)
}

/// Whether the ranges cover the key space without gap or overlap.
fn tiles(ranges: &[RangeDescriptor]) -> bool {
    let borders = ranges.windows(2).all(|pair| !pair[0].end.is_empty() && pair[0].end == pair[1].start);
    borders
        && ranges.first().is_some_and(|first| first.start.is_empty())
        && ranges.last().is_some_and(|last| last.end.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(shard: u64, start: &'static str, end: &'static str, epoch: u64) -> RangeDescriptor {
        RangeDescriptor { shard, start: start.into(), end: end.into(), epoch, ..RangeDescriptor::default() }
    }

    fn put(state: &mut Snapshot, ranges: Vec<RangeDescriptor>) -> Option<u64> {
        change(state, Command { body: Some(command::Body::PutRanges(PutRanges { ranges })) })
    }

    #[test]
    fn a_split_replaces_one_range_by_its_parts() {
        let mut state = Snapshot { ranges: vec![range(1, "", "", 1)], ..Snapshot::default() };
        let parts = vec![range(1, "", "m", 2), range(2, "m", "", 2)];
        assert_eq!(put(&mut state, parts.clone()), Some(0));
        assert_eq!(state.ranges, parts);
        let again = vec![range(2, "m", "t", 3), range(3, "t", "", 3)];
        assert_eq!(put(&mut state, again), Some(0));
        assert_eq!(state.ranges.iter().map(|range| range.shard).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_map_with_a_gap_is_refused() {
        let mut state = Snapshot { ranges: vec![range(1, "", "", 1)], ..Snapshot::default() };
        assert_eq!(put(&mut state, vec![range(1, "", "m", 2)]), None);
        assert_eq!(state.ranges, [range(1, "", "", 1)]);
    }

    #[test]
    fn identifiers_are_never_handed_out_twice() {
        let mut state = Snapshot { next_object_id: FIRST_OBJECT_ID, ..Snapshot::default() };
        let mut allocate = |count| change(&mut state, Command { body: Some(command::Body::AllocateObjectIds(count)) });
        assert_eq!(allocate(3), Some(FIRST_OBJECT_ID));
        assert_eq!(allocate(1), Some(FIRST_OBJECT_ID + 3));
        assert_eq!(allocate(u64::MAX), None);
    }
}
