//! Writing and resolving intents.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use prost::Message;
use proto::{
    Timestamp, TxnId,
    kv::{self, failure, response, txn_status},
};
use raft::Fatal;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage as storage;
use storage::{Cf, Span};

use super::machine::{Effect, Run, failed, fatal};
use crate::{local, mvcc};

impl Run<'_> {
    /// Writes intents, and the pending record when this shard holds the primary. Refused once the transaction is aborted.
    pub(super) fn intent(&mut self, command: kv::IntentCommand) -> Result<response::Body, Fatal> {
        self.settle()?;
        let txn = TxnId(command.txn);
        self.shared.marks.note_applied(command.prepare_ts);
        let is_late = command.staged && self.is_barred_from_staging(&command)?;
        if is_late || (command.write_record && !self.open_record(&command)?) {
            self.after(Effect::Prepared(txn, command.writes));
            return Ok(failed(failure::Kind::Aborted(kv::Done {})));
        }
        let min_commit_ts = self.put_intents(&command)?;
        self.put_fences(&command.fences);
        self.after(Effect::Prepared(txn, command.writes));
        Ok(response::Body::Prepare(kv::PrepareResult { min_commit_ts }))
    }

    /// Writes a command's intents; answers the least timestamp at which they can be committed. An intent keeps the timestamp
    /// that it got first, and a staged transaction's intent does not change at all: its commit timestamp follows from those
    /// that stand, whoever looks and whenever.
    fn put_intents(&mut self, command: &kv::IntentCommand) -> Result<u64, Fatal> {
        let mut min_commit_ts = if command.staged { 0 } else { command.prepare_ts };
        // Written twice in one command, a key still has one intent.
        let mut new = BTreeSet::new();
        for write in &command.writes {
            let present = self.read_intent(&write.key)?;
            if present.is_none() && new.insert(write.key.clone()) {
                self.intents_added.push(write.key.clone());
            }
            let own = present.filter(|intent| intent.txn == command.txn);
            let prepare_ts = own.as_ref().map_or(command.prepare_ts, |intent| intent.prepare_ts);
            min_commit_ts = min_commit_ts.max(prepare_ts);
            if command.staged && own.is_some() {
                continue;
            }
            let (primary, value) = (command.primary.clone(), write.value.clone());
            let intent = kv::Intent { txn: command.txn, primary, prepare_ts, value };
            self.batch().put(Cf::Intents, &write.key[..], intent.encode_to_vec());
        }
        Ok(min_commit_ts)
    }

    /// Whether a staged transaction's prepare comes too late: somebody has been told that one of its intents is missing.
    fn is_barred_from_staging(&self, command: &kv::IntentCommand) -> Result<bool, Fatal> {
        if self.is_swept_away(command.begun_ms) {
            return Ok(true);
        }
        if !self.shared.has_aborts.load(Ordering::SeqCst) {
            return Ok(false);
        }
        for write in command.writes.iter().filter(|write| write.key != command.primary) {
            if self.read_record(&local::record(&write.key, TxnId(command.txn)))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether records of transactions that set out then may have been swept.
    fn is_swept_away(&self, begun_ms: u64) -> bool {
        let swept = self.shared.swept_ms.load(Ordering::SeqCst);
        swept > 0 && begun_ms <= swept
    }

    /// Writes the pending record unless there is one. Answers false if it says aborted, or may have said so.
    fn open_record(&mut self, command: &kv::IntentCommand) -> Result<bool, Fatal> {
        let key = local::record(&command.primary, TxnId(command.txn));
        if let Some(status) = self.read_record(&key)? {
            return Ok(status.state() == txn_status::State::Pending && status.staged == command.staged);
        }
        if self.is_swept_away(command.begun_ms) || (command.staged && self.is_written_since(command)?) {
            return Ok(false);
        }
        let status = kv::TxnStatus {
            expires_ms: command.expires_ms,
            staged: command.staged,
            staged_keys: command.staged_keys.clone(),
            ..kv::TxnStatus::default()
        };
        self.batch().put(Cf::Local, key, status.encode_to_vec());
        Ok(true)
    }

    /// Whether the primary was written since the transaction set out to commit. If by itself, this is a late copy of its
    /// prepare, its record is forgotten already, and it must not be committed once more.
    fn is_written_since(&self, command: &kv::IntentCommand) -> Result<bool, Fatal> {
        let newest = mvcc::newest(self.shared.engine.as_ref(), &command.primary).map_err(fatal)?;
        Ok(newest.is_some_and(|newest| newest.commit_ts.0 > command.min_commit_ts))
    }

    /// Turns a transaction's intents into versions, or removes them. Answers what is left of the last span.
    pub(super) fn resolve(&mut self, command: kv::ResolveCommand) -> Result<response::Body, Fatal> {
        self.settle()?;
        let commit = command.commit.then_some(Timestamp(command.commit_ts));
        self.shared.marks.note_applied(command.commit_ts);
        let mut resolved = BTreeSet::new();
        for key in &command.keys {
            if let Some(intent) = self.read_intent(key)?.filter(|intent| intent.txn == command.txn) {
                self.resolve_one(key, &intent, commit, &mut resolved);
            }
        }
        let mut rest = Bytes::new();
        for span in &command.spans {
            rest = self.resolve_span(span, &command, commit, &mut resolved)?;
        }
        if command.forget_record {
            let key = local::record(&command.primary, TxnId(command.txn));
            self.batch().delete(Cf::Local, key);
        }
        self.after(Effect::Resolved(TxnId(command.txn)));
        Ok(response::Body::Resolve(kv::ResolveResult { rest }))
    }

    fn resolve_span(
        &mut self,
        span: &kv::Span,
        command: &kv::ResolveCommand,
        commit: Option<Timestamp>,
        resolved: &mut BTreeSet<Bytes>,
    ) -> Result<Bytes, Fatal> {
        let engine = Arc::clone(&self.shared.engine);
        let mut cursor = engine.cursor(Cf::Intents, &self.clip(span)).map_err(fatal)?;
        let mut seen = 0;
        let mut more = cursor.first().map_err(fatal)?;
        while more {
            if command.intents_max > 0 && seen >= command.intents_max {
                return Ok(Bytes::copy_from_slice(cursor.key()));
            }
            seen += 1;
            let intent = decode_intent(cursor.value())?;
            if intent.txn == command.txn {
                self.resolve_one(&Bytes::copy_from_slice(cursor.key()), &intent, commit, resolved);
            }
            more = cursor.next().map_err(fatal)?;
        }
        Ok(Bytes::new())
    }

    fn resolve_one(
        &mut self,
        key: &Bytes,
        intent: &kv::Intent,
        commit: Option<Timestamp>,
        resolved: &mut BTreeSet<Bytes>,
    ) {
        if !resolved.insert(key.clone()) {
            return;
        }
        // Above its commit timestamp is only what a late copy of a prepare has left after the intent was resolved.
        if let Some(ts) = commit.filter(|ts| ts.0 >= intent.prepare_ts) {
            self.put_version(key, ts, intent.value.as_deref());
        }
        self.batch().delete(Cf::Intents, &key[..]);
        self.intents_removed.push(key.clone());
    }

    pub(super) fn read_intent(&self, key: &[u8]) -> Result<Option<kv::Intent>, Fatal> {
        if !self.shared.intents.may_have(key) {
            return Ok(None);
        }
        let stored = self.shared.engine.get(Cf::Intents, key).map_err(fatal)?;
        stored.map(|bytes| decode_intent(&bytes)).transpose()
    }

    /// The part of a span inside the shard's range.
    fn clip(&self, span: &kv::Span) -> Span {
        let own = self.shared.span();
        let start = own.start.max(span.start.to_vec());
        let end = match (own.end.is_empty(), span.end.is_empty()) {
            (true, _) => span.end.to_vec(),
            (false, true) => own.end,
            (false, false) => own.end.min(span.end.to_vec()),
        };
        if end.is_empty() || start < end { Span::new(start, end) } else { Span::new(start.clone(), start) }
    }
}

fn decode_intent(bytes: &[u8]) -> Result<kv::Intent, Fatal> {
    kv::Intent::decode(bytes).map_err(|error| Fatal::damaged(format!("an intent is damaged: {error}")))
}
