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
use crate::local;

impl Run<'_> {
    /// Writes intents, and the pending record when this shard holds the primary. Refused once the transaction is aborted.
    pub(super) fn intent(&mut self, command: kv::IntentCommand) -> Result<response::Body, Fatal> {
        self.settle()?;
        let txn = TxnId(command.txn);
        self.shared.marks.note_applied(command.prepare_ts);
        if command.write_record && !self.open_record(&command)? {
            self.after(Effect::Prepared(txn, command.writes));
            return Ok(failed(failure::Kind::Aborted(kv::Done {})));
        }
        // Written twice in one command, a key still has one intent.
        let mut new = BTreeSet::new();
        for write in &command.writes {
            if self.read_intent(&write.key)?.is_none() && new.insert(write.key.clone()) {
                self.intents_added.push(write.key.clone());
            }
            let intent = kv::Intent {
                txn: command.txn,
                primary: command.primary.clone(),
                prepare_ts: command.prepare_ts,
                value: write.value.clone(),
            };
            self.batch().put(Cf::Intents, &write.key[..], intent.encode_to_vec());
        }
        self.put_fences(&command.fences);
        self.after(Effect::Prepared(txn, command.writes));
        Ok(response::Body::Prepare(kv::PrepareResult { min_commit_ts: command.prepare_ts }))
    }

    /// Writes the pending record unless there is one. Answers false if it says aborted, or may have said so.
    fn open_record(&mut self, command: &kv::IntentCommand) -> Result<bool, Fatal> {
        let key = local::record(&command.primary, TxnId(command.txn));
        if let Some(status) = self.read_record(&key)? {
            return Ok(status.state() == txn_status::State::Pending);
        }
        let swept = self.shared.swept_ms.load(Ordering::SeqCst);
        if swept > 0 && command.begun_ms <= swept {
            return Ok(false);
        }
        let status = kv::TxnStatus { expires_ms: command.expires_ms, ..kv::TxnStatus::default() };
        self.batch().put(Cf::Local, key, status.encode_to_vec());
        Ok(true)
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
        if let Some(ts) = commit {
            assert!(ts.0 >= intent.prepare_ts, "a transaction commits at or above what its shards promised");
            self.put_version(key, ts, intent.value.as_deref());
        }
        self.batch().delete(Cf::Intents, &key[..]);
        self.intents_removed.push(key.clone());
    }

    fn read_intent(&self, key: &[u8]) -> Result<Option<kv::Intent>, Fatal> {
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
