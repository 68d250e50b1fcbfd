//! Serving what concerns transaction records: decisions, questions, heartbeats, and resolving what was decided.

use bytes::Bytes;
use prost::Message;
use proto::{
    Timestamp, TxnId,
    kv::{self, command, response, txn_status},
};
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::Cf;
use tokio::time::{Instant, timeout_at};

use crate::{
    local,
    node::PENDING_RECHECK,
    replica::{Failure, Replica, is_open, read_failure},
    serving::At,
};

/// Intents that one command resolves, so that other commands of the shard are not held up.
const RESOLVE_INTENTS_MAX: u32 = 4096;

impl Replica {
    /// Decides a transaction whose primary lies here. Answers the outcome that holds; still pending, with the floor, if
    /// readers were promised a later commit.
    pub(crate) async fn decide(&self, header: &kv::Header, decide: kv::Decide) -> Result<kv::TxnStatus, Failure> {
        let at = self.check(header, std::iter::once(&decide.primary))?;
        let txn = TxnId(header.txn);
        // Nothing was promised about a staged transaction.
        if decide.commit
            && !decide.staged
            && let Err(floor) = self.promises.begin_decision(txn, Timestamp(decide.commit_ts))
        {
            return Ok(kv::TxnStatus { floor_ts: floor.0, ..kv::TxnStatus::default() });
        }
        let command = kv::DecideCommand {
            txn: header.txn,
            primary: decide.primary,
            commit: decide.commit,
            commit_ts: decide.commit_ts,
            intent_spans: decide.intent_spans,
            now_ms: self.fresh().millis(),
            one_phase: false,
            staged: decide.staged,
        };
        if !(decide.commit && decide.staged) {
            return self.propose_decision(at, command).await;
        }
        // Not all of its prepares may have come so far.
        let reached = self.environment.reach(Timestamp(decide.commit_ts));
        let (decided, reached) = tokio::join!(self.propose_decision(at, command), reached);
        decided.and_then(|status| reached.map(|()| status))
    }

    async fn propose_decision(&self, at: At, command: kv::DecideCommand) -> Result<kv::TxnStatus, Failure> {
        let txn = TxnId(command.txn);
        let outcome = self.propose(at, command::Body::Decide(command)).await;
        // Whoever does not know whether it was decided must not let readers pass by.
        if !matches!(&outcome, Err(failure) if is_open(failure)) {
            self.promises.forget(txn);
        }
        match outcome? {
            response::Body::TxnStatus(status) => Ok(status),
            _ => Err(Failure::Internal("a decision with an outcome of the wrong kind".to_owned())),
        }
    }

    /// Status of a transaction whose primary lies here. Without a record it counts as pending until it is pushed, which
    /// writes an aborted one, so that a late prepare cannot bring it back.
    pub(crate) async fn query_txn(&self, header: &kv::Header, query: kv::QueryTxn) -> Result<kv::TxnStatus, Failure> {
        let at = self.check(header, std::iter::once(&query.primary))?;
        if query.one_phase {
            return self.settle_one_phase(at, query).await;
        }
        let record = self.decided_record(&query).await?;
        let mut status = record.clone().unwrap_or_default();
        // What is decided is decided, whoever leads.
        if status.state() != txn_status::State::Pending {
            return Ok(status);
        }
        let is_gone = self.environment.living.is_gone(TxnId(query.txn));
        // It may be committed already: nobody can abort it here, or promise anything.
        if status.staged {
            if is_gone {
                status.expires_ms = 0;
            }
            return self.check_still(at).map(|()| status);
        }
        let now_ms = self.fresh().millis();
        if query.push && (is_gone || status.expires_ms < now_ms) {
            let abort =
                kv::DecideCommand { txn: query.txn, primary: query.primary, now_ms, ..kv::DecideCommand::default() };
            return self.propose_decision(at, abort).await;
        }
        let answer = if query.above_ts == 0 || record.is_none() { status } else { self.promise(&query)? };
        self.check_still(at)?;
        Ok(answer)
    }

    /// Outcome of a one-phase commit that may still be on its way: it is committed already, or never will be.
    async fn settle_one_phase(&self, at: At, query: kv::QueryTxn) -> Result<kv::TxnStatus, Failure> {
        let command = kv::DecideCommand {
            txn: query.txn,
            primary: query.primary,
            now_ms: self.fresh().millis(),
            one_phase: true,
            ..kv::DecideCommand::default()
        };
        self.propose_decision(at, command).await
    }

    /// Raises the floor of a transaction that has a record.
    fn promise(&self, query: &kv::QueryTxn) -> Result<kv::TxnStatus, Failure> {
        let txn = TxnId(query.txn);
        let promised = self.promises.raise(txn, Timestamp(query.above_ts));
        let status = self.record(query)?.unwrap_or_default();
        if !promised {
            return Ok(status);
        }
        if status.state() != txn_status::State::Pending || status.staged {
            self.promises.forget(txn);
            return Ok(status);
        }
        Ok(kv::TxnStatus { floor_ts: query.above_ts, ..status })
    }

    fn record(&self, query: &kv::QueryTxn) -> Result<Option<kv::TxnStatus>, Failure> {
        let key = local::record(&query.primary, TxnId(query.txn));
        let stored = self.engine().get(Cf::Local, &key).map_err(|error| read_failure(&error))?;
        let status = stored.map(|bytes| kv::TxnStatus::decode(&bytes[..])).transpose();
        status.map_err(|error| Failure::Internal(error.to_string()))
    }

    /// The record. Of a staged transaction it is about to be decided: whoever does not want to find out waits for that for a
    /// moment.
    async fn decided_record(&self, query: &kv::QueryTxn) -> Result<Option<kv::TxnStatus>, Failure> {
        let until = Instant::now() + PENDING_RECHECK;
        loop {
            let changed = self.shared.marks.changed();
            let record = self.record(query)?;
            let waits = !query.find_out && record.as_ref().is_some_and(|status| status.staged) && self.has_begun();
            if !waits || timeout_at(until, changed).await.is_err() {
                return Ok(record);
            }
        }
    }

    /// Extends the lease of a pending transaction.
    pub(crate) async fn heartbeat(&self, header: &kv::Header, beat: kv::Heartbeat) -> Result<(), Failure> {
        let at = self.check(header, std::iter::once(&beat.primary))?;
        let beat = kv::HeartbeatCommand { txn: header.txn, primary: beat.primary, expires_ms: beat.expires_ms };
        self.propose(at, command::Body::Heartbeat(beat)).await.map(drop)
    }

    /// Turns a decided transaction's intents into versions or removes them: spans part by part, single keys and the
    /// record at last.
    pub(crate) async fn resolve(&self, header: &kv::Header, resolve: kv::Resolve) -> Result<(), Failure> {
        let at = self.check(header, resolve.keys.iter())?;
        // An intent that moved to another shard must not count as resolved: its record is about to be forgotten.
        for span in &resolve.spans {
            self.check_span(header, span)?;
        }
        let command = kv::ResolveCommand {
            txn: header.txn,
            commit: resolve.commit,
            commit_ts: resolve.commit_ts,
            intents_max: RESOLVE_INTENTS_MAX,
            ..kv::ResolveCommand::default()
        };
        for span in resolve.spans {
            self.resolve_span(at, &command, span).await?;
        }
        let last = kv::ResolveCommand {
            keys: resolve.keys,
            forget_record: resolve.forget_record,
            primary: resolve.primary,
            ..command
        };
        self.propose(at, command::Body::Resolve(last)).await.map(drop)
    }

    async fn resolve_span(&self, at: At, command: &kv::ResolveCommand, span: kv::Span) -> Result<(), Failure> {
        let mut start = span.start;
        loop {
            let part = kv::Span { start, end: span.end.clone() };
            let command = kv::ResolveCommand { spans: vec![part], ..command.clone() };
            start = match self.propose(at, command::Body::Resolve(command)).await? {
                response::Body::Resolve(kv::ResolveResult { rest }) => rest,
                _ => return Err(Failure::Internal("a resolve with an outcome of the wrong kind".to_owned())),
            };
            if start == Bytes::new() {
                return Ok(());
            }
        }
    }
}
