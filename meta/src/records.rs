//! How the state is stored: a record under a key of its own for each thing, written only when it changed.
//!
//! ```text
//! m/position          how far the log is applied
//! m/cluster           the cluster's id
//! m/counter/NAME      a number (u64 LE)
//! m/node/ID           a node (u64 BE; `meta::Node`)
//! m/setting/NAME      a cluster setting's value
//! m/range/START       a range (`meta::RangeDescriptor`)
//! m/state             the whole state in one value, as it was stored once; read, never written
//! ```
//! Keys of `Cf::Local`; part of the format.

use std::{collections::BTreeMap, sync::Arc};

use prost::Message;
use proto::meta::{Node, RangeDescriptor, Snapshot};
use raft::Fatal;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage as storage;
use storage::{Batch, Cf, Engine, Span};

use crate::{
    ranges::RangeTable,
    state::{Counter, State},
};

pub(crate) const POSITION: &[u8] = b"m/position";
const ALL: &[u8] = b"m/";
const WHOLE: &[u8] = b"m/state";
const CLUSTER: &[u8] = b"m/cluster";
const COUNTER: &[u8] = b"m/counter/";
const NODE: &[u8] = b"m/node/";
const SETTING: &[u8] = b"m/setting/";
const RANGE: &[u8] = b"m/range/";

fn key(prefix: &[u8], rest: &[u8]) -> Vec<u8> {
    [prefix, rest].concat()
}

/// Reads the stored state back. A state stored as one value is taken apart.
pub(crate) fn load(engine: &dyn Engine) -> Result<State, Fatal> {
    if let Some(bytes) = engine.get(Cf::Local, WHOLE)? {
        let state = State::from(Snapshot::decode(&bytes[..]).map_err(damaged)?);
        let mut batch = Batch::default();
        write_difference(&State::default(), &state, &mut batch);
        batch.delete(Cf::Local, WHOLE);
        engine.write(&batch)?;
        return Ok(state);
    }
    let mut state = State::default();
    if let Some(id) = engine.get(Cf::Local, CLUSTER)? {
        state.cluster_id = String::from_utf8(id).map_err(damaged)?.into();
    }
    for counter in Counter::ALL {
        if let Some(bytes) = engine.get(Cf::Local, &key(COUNTER, counter.name().as_bytes()))? {
            state[counter] = u64::from_le_bytes(bytes.try_into().map_err(|_| Fatal::damaged("a meta counter"))?);
        }
    }
    let decode = |(_, value): Record| Node::decode(&value[..]).map_err(damaged);
    let nodes = scan(engine, NODE)?.into_iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    state.nodes = Arc::new(nodes.into_iter().map(|node| (node.id, node)).collect());
    let text =
        |(name, value)| Ok((String::from_utf8(name).map_err(damaged)?, String::from_utf8(value).map_err(damaged)?));
    state.settings = Arc::new(scan(engine, SETTING)?.into_iter().map(text).collect::<Result<_, Fatal>>()?);
    let decode = |(_, value): Record| RangeDescriptor::decode(&value[..]).map_err(damaged);
    let ranges = scan(engine, RANGE)?.into_iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    state.ranges = RangeTable::restore(ranges, state[Counter::RangesVersion]);
    Ok(state)
}

fn damaged(error: impl std::fmt::Display) -> Fatal {
    Fatal::damaged(format!("the meta group's state is damaged: {error}"))
}

/// A record: what follows its key's prefix, and its value.
type Record = (Vec<u8>, Vec<u8>);

/// The records behind a prefix.
fn scan(engine: &dyn Engine, prefix: &[u8]) -> Result<Vec<Record>, Fatal> {
    let span = Span::new(prefix, proto::after_prefix(prefix));
    let mut cursor = engine.cursor(Cf::Local, &span)?;
    let mut found = Vec::new();
    let mut more = cursor.first()?;
    while more {
        found.push((cursor.key()[prefix.len()..].to_vec(), cursor.value().to_vec()));
        more = cursor.next()?;
    }
    Ok(found)
}

/// Removes whatever is stored.
pub(crate) fn erase(engine: &dyn Engine) -> Result<(), Fatal> {
    let mut batch = Batch::default();
    batch.delete_range(Cf::Local, Span::new(ALL, proto::after_prefix(ALL)));
    engine.write(&batch)?;
    // Before a log is written that knows nothing of it.
    Ok(engine.flush()?)
}

/// Writes the records in which two states differ.
pub(crate) fn write_difference(old: &State, new: &State, batch: &mut Batch) {
    if old.cluster_id != new.cluster_id {
        batch.put(Cf::Local, CLUSTER, new.cluster_id.as_bytes());
    }
    for counter in Counter::ALL {
        if old[counter] != new[counter] {
            batch.put(Cf::Local, key(COUNTER, counter.name().as_bytes()), new[counter].to_le_bytes());
        }
    }
    if !Arc::ptr_eq(&old.nodes, &new.nodes) {
        compare(&old.nodes, &new.nodes, batch, |id| key(NODE, &id.to_be_bytes()), Message::encode_to_vec);
    }
    if !Arc::ptr_eq(&old.settings, &new.settings) {
        let value = |value: &String| value.clone().into_bytes();
        compare(&old.settings, &new.settings, batch, |name| key(SETTING, name.as_bytes()), value);
    }
    if !old.ranges.same(&new.ranges) {
        let (old, new) = (old.ranges.by_start(), new.ranges.by_start());
        compare(old, new, batch, |start| key(RANGE, start), |range| range.encode_to_vec());
    }
}

/// Writes the entries in which two maps differ. Walks both once: a map has thousands of entries, of which a few changed.
fn compare<K: Ord, V: PartialEq>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    batch: &mut Batch,
    key: impl Fn(&K) -> Vec<u8>,
    value: impl Fn(&V) -> Vec<u8>,
) {
    let mut old = old.iter().peekable();
    for (name, entry) in new {
        while let Some((gone, _)) = old.next_if(|(known, _)| *known < name) {
            batch.delete(Cf::Local, key(gone));
        }
        let before = old.next_if(|(known, _)| *known == name);
        if before.is_none_or(|(_, before)| before != entry) {
            batch.put(Cf::Local, key(name), value(entry));
        }
    }
    for (gone, _) in old {
        batch.delete(Cf::Local, key(gone));
    }
}
