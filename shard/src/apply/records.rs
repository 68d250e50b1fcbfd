//! Transaction records: the one place that says how a transaction of several shards ended.

use std::sync::atomic::Ordering;

use prost::Message;
use proto::{
    TxnId,
    kv::{self, response, txn_status},
};
use raft::Fatal;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage as storage;
use storage::Cf;

use super::{
    machine::{Effect, Run, done, fatal},
    range::load_aborts,
};
use crate::{local, mvcc};

impl Run<'_> {
    /// Writes the outcome unless one is written; answers the one that holds. A missing record can only be aborted: the
    /// coordinator's own commit finds the record it made, unless somebody aborted the transaction and cleaned up.
    pub(super) fn decide(&mut self, command: kv::DecideCommand) -> Result<response::Body, Fatal> {
        self.settle()?;
        let key = local::record(&command.primary, TxnId(command.txn));
        let present = self.read_record(&key)?;
        let stands = |status: &kv::TxnStatus| {
            // Whoever does not know that the transaction was staged meanwhile cannot know that it is not committed.
            status.state() != txn_status::State::Pending || (status.staged && !command.staged)
        };
        if let Some(status) = present.as_ref().filter(|status| stands(status)) {
            return Ok(response::Body::TxnStatus(status.clone()));
        }
        if command.one_phase
            && let Some(committed) = self.committed_in_one_phase(&command)?
        {
            return Ok(response::Body::TxnStatus(committed));
        }
        let commits = command.commit && present.is_some();
        let state = if commits { txn_status::State::Committed } else { txn_status::State::Aborted };
        self.shared.has_aborts.fetch_or(!commits, Ordering::SeqCst);
        let status = kv::TxnStatus {
            state: state.into(),
            commit_ts: if commits { command.commit_ts } else { 0 },
            expires_ms: 0,
            intent_spans: command.intent_spans,
            decided_ms: command.now_ms,
            unrecorded: (command.commit || command.staged) && present.is_none(),
            ..kv::TxnStatus::default()
        };
        self.batch().put(Cf::Local, key, status.encode_to_vec());
        self.after(Effect::Decided);
        Ok(response::Body::TxnStatus(status))
    }

    /// Looks for a staged transaction's intents and sees to it that those missing never come. A record that says aborted,
    /// where the missing intent would be, tells a late prepare; it lies in the key's range and goes the way of all records.
    pub(super) fn bar(&mut self, command: kv::BarCommand) -> Result<response::Body, Fatal> {
        self.settle()?;
        let mut found = kv::FoundIntents { all: true, highest_ts: 0 };
        for key in &command.keys {
            if let Some(intent) = self.read_intent(key)?.filter(|intent| intent.txn == command.txn) {
                found.highest_ts = found.highest_ts.max(intent.prepare_ts);
                continue;
            }
            found.all = false;
            let record = local::record(key, TxnId(command.txn));
            if self.read_record(&record)?.is_none() {
                let state = txn_status::State::Aborted.into();
                let status = kv::TxnStatus { state, decided_ms: command.now_ms, ..kv::TxnStatus::default() };
                self.shared.has_aborts.store(true, Ordering::SeqCst);
                self.batch().put(Cf::Local, record, status.encode_to_vec());
            }
        }
        Ok(response::Body::FoundIntents(found))
    }

    fn committed_in_one_phase(&self, command: &kv::DecideCommand) -> Result<Option<kv::TxnStatus>, Fatal> {
        let txn = TxnId(command.txn);
        let found = mvcc::signed_by(self.shared.engine.as_ref(), &command.primary, txn).map_err(fatal)?;
        let state = txn_status::State::Committed.into();
        Ok(found.map(|ts| kv::TxnStatus { state, commit_ts: ts.0, ..kv::TxnStatus::default() }))
    }

    /// Extends the lease of a pending transaction; nothing happens to a decided or unknown one.
    pub(super) fn heartbeat(&mut self, command: kv::HeartbeatCommand) -> Result<response::Body, Fatal> {
        self.settle()?;
        let key = local::record(&command.primary, TxnId(command.txn));
        if let Some(mut status) = self.read_record(&key)?
            && status.state() == txn_status::State::Pending
        {
            status.expires_ms = status.expires_ms.max(command.expires_ms);
            self.batch().put(Cf::Local, key, status.encode_to_vec());
        }
        Ok(done())
    }

    /// Drops records of aborted transactions, which only keep a late prepare from bringing its transaction back. Those
    /// transactions set out before they were aborted, so from now on `open_record` refuses whatever set out as early.
    pub(super) fn sweep_records(&mut self, command: kv::SweepRecords) -> Result<response::Body, Fatal> {
        self.settle()?;
        let before = self.shared.swept_ms.fetch_max(command.before_ms, Ordering::SeqCst).max(command.before_ms);
        let mark = local::swept(self.shared.shard);
        self.batch().put(Cf::Local, mark, before.to_be_bytes());
        for name in &command.records {
            let key = local::record(&name.primary, TxnId(name.txn));
            let status = self.read_record(&key)?;
            if status.is_some_and(|status| is_swept(&status, before)) {
                self.batch().delete(Cf::Local, key);
            }
        }
        self.settle()?;
        load_aborts(self.shared)?;
        Ok(done())
    }

    pub(super) fn read_record(&self, key: &[u8]) -> Result<Option<kv::TxnStatus>, Fatal> {
        let stored = self.shared.engine.get(Cf::Local, key).map_err(fatal)?;
        let decode = |bytes: Vec<u8>| kv::TxnStatus::decode(&bytes[..]);
        stored
            .map(decode)
            .transpose()
            .map_err(|error| Fatal::damaged(format!("a transaction record is damaged: {error}")))
    }
}

/// Whether a record may go once nothing as old as `before_ms` can open one.
pub(crate) fn is_swept(status: &kv::TxnStatus, before_ms: u64) -> bool {
    status.state() == txn_status::State::Aborted && status.decided_ms <= before_ms
}
