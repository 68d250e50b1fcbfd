//! Serving locks, commits and prepares.

use std::sync::Arc;

use bytes::Bytes;
use proto::{
    LOCKED_ELSEWHERE, Timestamp, TxnId,
    kv::{self, LockMode, WaitPolicy, command, response, txn_status},
};
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::Span;
use tokio::time::{Instant, timeout};

use crate::{
    locks::{BehindIntent, Mode, Refusal, Wait},
    mvcc,
    node::PENDING_RECHECK,
    replica::{Failure, Replica, is_open, read_failure},
    serving::At,
};

impl Replica {
    fn lock_failure(&self, refusal: Refusal, key: &Bytes) -> Failure {
        let row = |reason: &str| kv::Conflict { key: key.clone(), reason: reason.to_owned() };
        match refusal {
            Refusal::Deadlock(cycle) => {
                Failure::Deadlock(kv::Deadlock { cycle: cycle.into_iter().map(|txn| txn.0).collect() })
            }
            Refusal::Timeout => Failure::LockTimeout(row("timeout")),
            Refusal::Busy => Failure::LockNotAvailable(row("locked")),
            Refusal::Lost => self.not_leader(),
        }
    }

    pub(crate) async fn lock(&self, header: &kv::Header, lock: kv::Lock) -> Result<kv::LockResult, Failure> {
        let at = self.check(header, lock.keys.iter())?;
        let mode = LockMode::try_from(lock.mode).map_err(|_| Failure::Internal("an unknown lock mode".to_owned()))?;
        let policy =
            WaitPolicy::try_from(lock.wait).map_err(|_| Failure::Internal("an unknown wait policy".to_owned()))?;
        let wait = Wait::new(policy, lock.timeout_ms);
        let txn = TxnId(header.txn);
        let tenure = at.tenure(self.shared.shard, self.shared.locks.seizures());
        let mut rows = Vec::with_capacity(lock.keys.len());
        for key in &lock.keys {
            let taken = self.lock_key(txn, key, mode.into(), wait).await;
            match taken {
                Ok(newest) => rows.push(kv::LockedRow { locked: true, newest: Some(newest) }),
                Err(Failure::LockNotAvailable(_)) if policy == WaitPolicy::Skip => rows.push(kv::LockedRow::default()),
                Err(failure) => return Err(failure),
            }
        }
        // A split while waiting: the lock stands, but the row may belong to another shard now.
        self.check_still(at)?;
        Ok(kv::LockResult { rows, tenure })
    }

    async fn lock_key(&self, txn: TxnId, key: &Bytes, mode: Mode, wait: Wait) -> Result<kv::Version, Failure> {
        let locked = self.shared.locks.lock_row(txn, key, mode, wait).await;
        locked.map_err(|refusal| self.lock_failure(refusal, key))?;
        self.wait_for_intent(txn, key, wait).await?;
        self.read_newest(key, txn).await
    }

    /// An intent of another transaction is a lock too: it outlives its leader's memory.
    async fn wait_for_intent(&self, txn: TxnId, key: &Bytes, wait: Wait) -> Result<(), Failure> {
        let met = Instant::now();
        let deadline = wait.timeout.map(|limit| met + limit);
        let mut behind: Option<(TxnId, BehindIntent<'_>)> = None;
        loop {
            let changed = self.shared.marks.changed();
            let Some(intent) = self.intent(key)?.filter(|intent| intent.txn != txn.0) else { return Ok(()) };
            let owner = TxnId(intent.txn);
            let status = self.environment.query(&intent, met, Timestamp::ZERO).await?;
            if status.state() != txn_status::State::Pending {
                self.resolve_keys(owner, &status, vec![key.clone()]).await?;
                continue;
            }
            // One that is staged may be committed, and its client know it.
            if wait.policy != WaitPolicy::Block && !status.staged {
                return Err(self.lock_failure(Refusal::Busy, key));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(self.lock_failure(Refusal::Timeout, key));
            }
            let waiting = match behind.take().filter(|(before, _)| *before == owner) {
                Some((_, waiting)) => waiting,
                None => {
                    let waiting = self.shared.locks.behind(txn, owner);
                    waiting.map_err(|refusal| self.lock_failure(refusal, key))?
                }
            };
            let (_, waiting) = behind.insert((owner, waiting));
            tokio::select! {
                biased;
                refusal = waiting.doomed() => return Err(self.lock_failure(refusal, key)),
                // Woken or not, the primary knows best.
                _woken = timeout(PENDING_RECHECK, changed) => {}
            }
        }
    }

    /// Resolves intents of a transaction whose outcome is known. Keys that belong to another shard by now are left to
    /// it: each shard counts its own intents.
    pub(crate) async fn resolve_keys(
        &self,
        txn: TxnId,
        status: &kv::TxnStatus,
        mut keys: Vec<Bytes>,
    ) -> Result<(), Failure> {
        let at = self.here()?;
        let range = self.range();
        let span = range.span.clone().unwrap_or_default();
        keys.retain(|key| *key >= span.start && (span.end.is_empty() || *key < span.end));
        if keys.is_empty() {
            return Err(Failure::StaleEpoch(range));
        }
        let resolve = kv::ResolveCommand {
            txn: txn.0,
            commit: status.state() == txn_status::State::Committed,
            commit_ts: status.commit_ts,
            keys,
            ..kv::ResolveCommand::default()
        };
        self.propose(at, command::Body::Resolve(resolve)).await.map(drop)
    }

    pub(crate) async fn lock_table(&self, header: &kv::Header, lock: kv::LockTable) -> Result<(), Failure> {
        let span = lock.span.unwrap_or_default();
        let at = self.check_span(header, &span)?;
        let policy =
            WaitPolicy::try_from(lock.wait).map_err(|_| Failure::Internal("an unknown wait policy".to_owned()))?;
        let table = proto::table_prefix(&span.start);
        let mode = if lock.exclusive { Mode::TableExclusive } else { Mode::TableShared };
        let wait = Wait::new(policy, lock.timeout_ms);
        let locked = self.shared.locks.lock(TxnId(header.txn), &table, mode, wait).await;
        locked.map_err(|refusal| self.lock_failure(refusal, &table))?;
        self.check_still(at)
    }

    pub(crate) async fn commit(
        self: &Arc<Self>,
        header: &kv::Header,
        commit: kv::Commit,
    ) -> Result<kv::CommitResult, Failure> {
        let at = self.check(header, commit.writes.iter().map(|write| &write.key))?;
        let txn = TxnId(header.txn);
        if commit.retried
            && let Some(earlier) = self.earlier_attempt(txn, &commit.writes).await?
        {
            return Ok(earlier);
        }
        let floor = self.fresh().max(Timestamp(commit.min_commit_ts));
        let commit_ts = self.shared.marks.enter(txn, commit.writes.iter().map(|write| &write.key), floor);
        let mut marked = Marked { replica: self, txn, writes: &commit.writes, relocked: Vec::new(), armed: true };
        self.check_writes(at, txn, &commit.writes, &commit.locked, &mut marked.relocked).await?;
        self.check_spans(txn, &commit.read_spans, Timestamp(commit.snapshot_ts)).await?;
        let command = kv::CommitCommand {
            txn: txn.0,
            commit_ts: commit_ts.0,
            writes: commit.writes.clone(),
            fences: commit.fences,
        };
        let proposed = marked.propose(at, command::Body::Commit(command));
        let (proposed, reached) = tokio::join!(proposed, self.environment.reach(commit_ts));
        match proposed? {
            response::Body::Commit(result) => reached.map(|()| result),
            _ => Err(Failure::Internal("a commit with an outcome of the wrong kind".to_owned())),
        }
    }

    /// What an earlier attempt of a one-phase commit came to, once it is no longer under way.
    async fn earlier_attempt(&self, txn: TxnId, writes: &[kv::Write]) -> Result<Option<kv::CommitResult>, Failure> {
        let Some(first) = writes.first() else { return Ok(None) };
        loop {
            let changed = self.shared.marks.changed();
            if !self.has_begun() || !self.shared.marks.holds(txn, &first.key) {
                break;
            }
            changed.await;
        }
        let found = mvcc::signed_by(self.engine(), &first.key, txn).map_err(|error| read_failure(&error))?;
        Ok(found.map(|ts| kv::CommitResult { commit_ts: ts.0 }))
    }

    pub(crate) async fn prepare(
        self: &Arc<Self>,
        header: &kv::Header,
        prepare: kv::Prepare,
    ) -> Result<kv::PrepareResult, Failure> {
        let at = self.check(header, prepare.writes.iter().map(|write| &write.key))?;
        let txn = TxnId(header.txn);
        let floor = Timestamp(prepare.min_commit_ts);
        self.environment.oracle.note(floor);
        let floor = floor.max(self.fresh());
        let prepare_ts = self.shared.marks.enter(txn, prepare.writes.iter().map(|write| &write.key), floor);
        let mut marked = Marked { replica: self, txn, writes: &prepare.writes, relocked: Vec::new(), armed: true };
        self.check_writes(at, txn, &prepare.writes, &prepare.locked, &mut marked.relocked).await?;
        let command = kv::IntentCommand {
            txn: txn.0,
            primary: prepare.primary,
            prepare_ts: prepare_ts.0,
            expires_ms: prepare.expires_ms,
            writes: prepare.writes.clone(),
            fences: prepare.fences,
            write_record: prepare.is_primary,
            begun_ms: prepare.begun_ms,
            staged: prepare.staged,
            staged_keys: prepare.staged_keys,
            min_commit_ts: prepare.min_commit_ts,
        };
        let proposed = marked.propose(at, command::Body::Intent(command));
        let (proposed, reached) = tokio::join!(proposed, self.environment.reach(prepare_ts));
        match proposed? {
            response::Body::Prepare(result) => reached.map(|()| result),
            _ => Err(Failure::Internal("a prepare with an outcome of the wrong kind".to_owned())),
        }
    }

    /// Part of a large transaction's writes, before its commit.
    pub(crate) async fn write_intents(
        self: &Arc<Self>,
        header: &kv::Header,
        intents: kv::WriteIntents,
    ) -> Result<(), Failure> {
        let is_primary = self.check(header, std::iter::once(&intents.primary)).is_ok();
        let prepare = kv::Prepare {
            writes: intents.writes,
            primary: intents.primary,
            expires_ms: intents.expires_ms,
            is_primary,
            begun_ms: intents.begun_ms,
            ..kv::Prepare::default()
        };
        self.prepare(header, prepare).await.map(drop)
    }

    /// Every write must still be protected by its lock. One granted in another tenure, even if it has been taken again
    /// since, is made up for by the version that the writer saw when it was granted first. Nobody else may hold it by now,
    /// or get it before the writes can be read: it is taken again, into `relocked`.
    async fn check_writes(
        &self,
        at: At,
        txn: TxnId,
        writes: &[kv::Write],
        locked: &[kv::LockedKey],
        relocked: &mut Vec<Bytes>,
    ) -> Result<(), Failure> {
        let tenure = at.tenure(self.shared.shard, self.shared.locks.seizures());
        let writes = writes.iter().map(|write| (&write.key, write.locked_version, write.tenure, Mode::Update));
        let locked = locked.iter().map(|locked| (&locked.key, locked.locked_version, locked.tenure, Mode::Share));
        for (key, version, granted, mode) in writes.chain(locked) {
            let least = if mode == Mode::Update { Mode::NoKeyUpdate } else { Mode::KeyShare };
            let is_locked = granted == tenure && self.shared.locks.holds(txn, key, least);
            if is_locked || self.intent(key)?.is_some_and(|intent| intent.txn == txn.0) {
                continue;
            }
            // Who shuts a table out waits for every writer whose lock is known: this one's is not.
            if self.shared.locks.is_shut(txn, key) {
                return Err(conflict(key, "write"));
            }
            if let Some(intent) = self.intent(key)? {
                // One that is only still to be resolved keeps nobody out.
                let status = self.environment.query_to_end(&intent).await?;
                if status.state() == txn_status::State::Pending {
                    return Err(conflict(key, "intent"));
                }
                self.resolve_keys(TxnId(intent.txn), &status, vec![key.clone()]).await?;
            }
            // Its row's shard checks the row's lock, and others may have locked this key to look whether it is free.
            if version == LOCKED_ELSEWHERE {
                continue;
            }
            // Of another attempt that is under way, or of this tenure: not this commit's to release.
            let was_held = self.shared.locks.holds(txn, key, Mode::KeyShare);
            let at_once = Wait::new(WaitPolicy::Nowait, 0);
            if self.shared.locks.lock(txn, key, mode, at_once).await.is_err() {
                return Err(conflict(key, "write"));
            }
            if !was_held {
                relocked.push(key.clone());
            }
            if self.intent(key)?.is_some() {
                return Err(conflict(key, "intent"));
            }
            let newest = mvcc::newest(self.engine(), key).map_err(|error| read_failure(&error))?;
            if newest.is_some_and(|newest| newest.commit_ts.0 > version) {
                return Err(conflict(key, "write"));
            }
        }
        Ok(())
    }

    /// Nothing read at `snapshot` may have changed since, or be changing.
    async fn check_spans(&self, txn: TxnId, spans: &[kv::Span], snapshot: Timestamp) -> Result<(), Failure> {
        for span in spans {
            if let Some(key) = self.shared.marks.foreign_in_span(txn, span) {
                return Err(conflict(&key, "read"));
            }
            if !self.shared.intents.is_empty() {
                self.check_intents(txn, span, snapshot).await?;
            }
            let inner = Span::new(span.start.to_vec(), span.end.to_vec());
            let newer = mvcc::written_since(self.engine(), &inner, snapshot).map_err(|error| read_failure(&error))?;
            if let Some(key) = newer {
                return Err(conflict(&key, "read"));
            }
        }
        Ok(())
    }

    /// An intent that is still to be resolved is no change if its transaction was in the snapshot or is aborted.
    async fn check_intents(&self, txn: TxnId, span: &kv::Span, snapshot: Timestamp) -> Result<(), Failure> {
        let mut rest = Some(span.clone());
        while let Some(part) = rest {
            let (intents, next) = self.intents_in(&part, |intent| intent.txn != txn.0)?;
            for (key, intent) in intents {
                let status = self.environment.query_to_end(&intent).await?;
                let unchanged = match status.state() {
                    txn_status::State::Committed => status.commit_ts <= snapshot.0,
                    txn_status::State::Aborted => true,
                    txn_status::State::Pending => false,
                };
                if !unchanged {
                    return Err(conflict(&key, "read"));
                }
            }
            rest = next;
        }
        Ok(())
    }

    /// SERIALIZABLE over several shards, after every write is prepared.
    pub(crate) async fn validate(&self, header: &kv::Header, validate: &kv::Validate) -> Result<(), Failure> {
        let at = self.check(header, std::iter::empty())?;
        for span in &validate.spans {
            self.check_span(header, span)?;
        }
        let txn = TxnId(header.txn);
        if let Some(table) =
            validate.shut_tables.iter().find(|table| !self.shared.locks.holds(txn, table, Mode::TableExclusive))
        {
            return Err(conflict(table, "write"));
        }
        if validate.spans.is_empty() {
            return self.check_still(at);
        }
        self.shared.marks.raise_read_ts(Timestamp(validate.commit_ts));
        self.check_spans(TxnId(header.txn), &validate.spans, Timestamp(validate.snapshot_ts)).await?;
        self.check_still(at)
    }
}

/// Keys entered in the marks. Dropped before the proposal, it removes them.
struct Marked<'a> {
    replica: &'a Arc<Replica>,
    txn: TxnId,
    writes: &'a [kv::Write],
    /// Keys locked only now; whoever asked does not know that there is something to release.
    relocked: Vec<Bytes>,
    armed: bool,
}

impl Marked<'_> {
    /// Proposes in a task of its own, so that the marks are removed whether or not the caller waits for the outcome:
    /// by applying the command, or here if it is refused. While the outcome is open, here or after a failure of the node,
    /// the marks keep readers from what may be committed.
    async fn propose(mut self, at: At, body: command::Body) -> Result<response::Body, Failure> {
        self.armed = false;
        let (replica, txn) = (Arc::clone(self.replica), self.txn);
        let keys: Vec<Bytes> = self.writes.iter().map(|write| write.key.clone()).collect();
        let relocked = std::mem::take(&mut self.relocked);
        let proposal = tokio::spawn(async move {
            let outcome = replica.propose_to_end(at, body).await;
            if matches!(&outcome, Err(failure) if !is_open(failure)) {
                replica.shared.marks.leave(txn, keys.iter());
                replica.shared.locks.release(txn, &relocked);
            }
            outcome
        });
        tokio::select! {
            biased;
            outcome = proposal => outcome.map_err(|error| Failure::Internal(error.to_string()))?,
            () = self.replica.group.deposed(at.term) => Err(Failure::Ambiguous("the leader lost touch".to_owned())),
        }
    }
}

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.replica.shared.marks.leave(self.txn, self.writes.iter().map(|write| &write.key));
            self.replica.shared.locks.release(self.txn, &self.relocked);
        }
    }
}

fn conflict(key: &Bytes, reason: &str) -> Failure {
    Failure::Conflict(kv::Conflict { key: key.clone(), reason: reason.to_owned() })
}
