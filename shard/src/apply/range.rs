//! Commands and snapshots that concern a shard's whole range.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use ahash::AHashMap;
use bytes::Bytes;
use prost::Message;
use proto::{
    ShardId,
    kv::{self, failure, response, txn_status},
};
use raft::Fatal;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage as storage;
use storage::{Cf, Engine, Span};

use super::machine::{Effect, Run, Shared, done, failed, fatal};
use crate::{intent_keys::KEYS_MAX, local};

impl Run<'_> {
    /// Cuts the range. The shards of a volume share one key space, so no data moves: the descriptors change, and the node
    /// starts the new shards once this is applied.
    pub(super) fn split(&mut self, split: kv::Split, range: kv::Range) -> Result<response::Body, Fatal> {
        self.settle()?;
        let span = range.span.clone().unwrap_or_default();
        if let Some(reason) = bad_split(&split, &span) {
            let refused = kv::Refused { sqlstate: "XX000".to_owned(), message: reason.to_owned() };
            return Ok(failed(failure::Kind::Refused(refused)));
        }
        let birth = raft::birth_position(self.position.clone()).map_err(|error| Fatal::damaged(error.to_string()))?;
        let ends = split.at.iter().skip(1).cloned().chain([span.end.clone()]);
        let epoch = range.epoch + 1;
        for ((start, end), shard) in split.at.iter().cloned().zip(ends).zip(&split.new_shards) {
            let span = Some(kv::Span { start, end });
            let part = kv::Range { shard: *shard, span, epoch, replicas: range.replicas.clone() };
            self.batch().put(Cf::Local, local::descriptor(ShardId(*shard)), part.encode_to_vec());
            self.batch().put(Cf::Local, local::position(ShardId(*shard)), birth.clone());
            self.copy_fences(ShardId(*shard));
            let swept = self.shared.swept_ms.load(Ordering::SeqCst);
            self.batch().put(Cf::Local, local::swept(ShardId(*shard)), swept.to_be_bytes());
        }
        let own = kv::Span { start: span.start, end: split.at[0].clone() };
        let own = kv::Range { span: Some(own), epoch, ..range };
        let descriptor = local::descriptor(self.shared.shard);
        self.batch().put(Cf::Local, descriptor, own.encode_to_vec());
        self.shared.set_range(own);
        self.after(Effect::Cut);
        self.settle()?;
        load_intents(self.shared)?;
        load_aborts(self.shared)?;
        Ok(done())
    }

    fn copy_fences(&mut self, shard: ShardId) {
        let fences: Vec<(u32, u64)> = self.shared.fences.read().iter().map(|(t, v)| (*t, *v)).collect();
        for (table, version) in fences {
            self.batch().put(Cf::Local, local::fence(shard, table), version.to_be_bytes());
        }
    }

    /// Removes every version and intent of a span that nothing refers to any more.
    pub(super) fn delete_range(&mut self, delete: kv::DeleteRange) -> Result<response::Body, Fatal> {
        self.settle()?;
        let span = delete.span.unwrap_or_default();
        let span = Span::new(span.start.to_vec(), span.end.to_vec());
        self.batch().delete_range(Cf::Data, span.clone());
        self.batch().delete_range(Cf::Intents, span);
        self.settle()?;
        load_intents(self.shared)?;
        Ok(done())
    }
}

fn bad_split(split: &kv::Split, span: &kv::Span) -> Option<&'static str> {
    let inside = |key: &Bytes| key > &span.start && (span.end.is_empty() || key < &span.end);
    if split.at.is_empty() || split.at.len() != split.new_shards.len() {
        return Some("a split needs one new shard for each key");
    }
    if !split.at.iter().all(inside) || !split.at.is_sorted() {
        return Some("a split needs ascending keys inside the range");
    }
    None
}

/// Reads which keys of a shard's range have intents.
pub(crate) fn load_intents(shared: &Shared) -> Result<(), Fatal> {
    let mut cursor = shared.engine.cursor(Cf::Intents, &shared.span()).map_err(fatal)?;
    let (mut count, mut keys) = (0, BTreeSet::new());
    let mut more = cursor.first().map_err(fatal)?;
    while more {
        count += 1;
        if keys.len() <= KEYS_MAX {
            keys.insert(Bytes::copy_from_slice(cursor.key()));
        }
        more = cursor.next().map_err(fatal)?;
    }
    shared.intents.reset(count, keys);
    Ok(())
}

/// Finds out whether the range holds records of aborted transactions.
pub(crate) fn load_aborts(shared: &Shared) -> Result<(), Fatal> {
    let mut cursor = shared.engine.cursor(Cf::Local, &local::records(&shared.span())).map_err(fatal)?;
    let mut more = cursor.first().map_err(fatal)?;
    let mut found = false;
    while more && !found {
        let status = kv::TxnStatus::decode(cursor.value());
        let status = status.map_err(|error| Fatal::damaged(format!("a transaction record is damaged: {error}")))?;
        found = status.state() == txn_status::State::Aborted;
        more = cursor.next().map_err(fatal)?;
    }
    shared.has_aborts.store(found, Ordering::SeqCst);
    Ok(())
}

/// The stored schema fences of a shard.
pub(crate) fn read_fences(engine: &dyn Engine, shard: ShardId) -> Result<AHashMap<u32, u64>, Fatal> {
    let mut fences = AHashMap::default();
    let mut cursor = engine.cursor(Cf::Local, &local::fences(shard)).map_err(fatal)?;
    let mut more = cursor.first().map_err(fatal)?;
    while more {
        let table = cursor.key().last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        let version = cursor.value().first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
        let (Some(table), Some(version)) = (table, version) else {
            return Err(Fatal::damaged("a schema fence is damaged"));
        };
        fences.insert(table, version);
        more = cursor.next().map_err(fatal)?;
    }
    Ok(fences)
}

/// Up to when records of a shard were swept.
pub(crate) fn read_swept(engine: &dyn Engine, shard: ShardId) -> Result<u64, Fatal> {
    let Some(stored) = engine.get(Cf::Local, &local::swept(shard)).map_err(fatal)? else { return Ok(0) };
    let bytes = stored.first_chunk::<8>().ok_or_else(|| Fatal::damaged("a shard's sweep mark is damaged"))?;
    Ok(u64::from_be_bytes(*bytes))
}
