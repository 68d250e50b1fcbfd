//! The open transaction of a session, with its savepoints and uncommitted catalog changes.

use std::sync::Arc;

use planner::plan::{IsolationLevel, TransactionMode};
use proto::{SqlError, SqlResult, SqlState, Timestamp};
use schema::Oid;
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::settings::Mark;
use crate::{
    Engine, catalog,
    dml::{Deferral, DeferralMark},
    sequence::OwnSequence,
};

/// How the session stands towards its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// Each statement commits by itself.
    None,
    /// Several statements of one query string, or up to a Sync, commit together.
    Implicit,
    /// BEGIN was said.
    Explicit,
    /// BEGIN was said and a statement failed.
    Failed,
}

/// Characteristics of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode {
    pub(crate) isolation: IsolationLevel,
    pub(crate) read_only: bool,
    pub(crate) deferrable: bool,
}

impl Mode {
    /// The mode with what a statement asks for.
    pub(crate) fn with(self, asked: TransactionMode) -> Self {
        Self {
            isolation: asked.isolation.unwrap_or(self.isolation),
            read_only: asked.read_only.unwrap_or(self.read_only),
            deferrable: asked.deferrable.unwrap_or(self.deferrable),
        }
    }

    fn options(self) -> kv::TxnOptions {
        let isolation = match self.isolation {
            IsolationLevel::ReadCommitted => kv::Isolation::ReadCommitted,
            IsolationLevel::RepeatableRead => kv::Isolation::RepeatableRead,
            IsolationLevel::Serializable => kv::Isolation::Serializable,
        };
        kv::TxnOptions { isolation, read_only: self.read_only }
    }
}

/// An open transaction.
pub(crate) struct Transaction {
    pub(crate) kv: kv::Txn,
    pub(crate) mode: Mode,
    /// `now()`: microseconds since 1970-01-01 UTC.
    pub(crate) started: i64,
    /// A statement other than SET and transaction control has run.
    pub(crate) queried: bool,
    /// The catalog with this transaction's own changes, once it has made any.
    pub(crate) changes: Option<Arc<catalog::Snapshot>>,
    /// The catalog at the time that it reads at, if that is not the present one.
    pub(crate) past: Option<Arc<catalog::Snapshot>>,
    /// Checks of deferrable constraints.
    pub(crate) deferral: Deferral,
    savepoints: Vec<Savepoint>,
}

struct Savepoint {
    name: String,
    kv: kv::Savepoint,
    settings: Mark,
    changes: Option<Arc<catalog::Snapshot>>,
    deferral: DeferralMark,
    /// Sequences that were the transaction's own.
    own_sequences: Vec<(Oid, OwnSequence)>,
}

impl Transaction {
    pub(crate) fn begin(engine: &Engine, mode: Mode, started: i64) -> Self {
        let kv = engine.client().begin(mode.options());
        let (changes, past, deferral, savepoints) = Default::default();
        Self { kv, mode, started, queried: false, changes, past, deferral, savepoints }
    }

    /// The catalog that only this transaction sees.
    pub(crate) fn own_catalog(&self) -> Option<&Arc<catalog::Snapshot>> {
        self.changes.as_ref().or(self.past.as_ref())
    }

    /// SET TRANSACTION.
    pub(crate) fn set_mode(&mut self, asked: TransactionMode) -> SqlResult<()> {
        let mode = self.mode.with(asked);
        if self.mode.read_only && !mode.read_only && self.kv.is_past() {
            return Err(super::past::read_write());
        }
        if self.queried || !self.savepoints.is_empty() {
            if mode.isolation != self.mode.isolation {
                let message = match self.savepoints.is_empty() {
                    true => "SET TRANSACTION ISOLATION LEVEL must be called before any query",
                    false => "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction",
                };
                return Err(SqlError::new(SqlState::ActiveSqlTransaction, message));
            }
            if self.mode.read_only && !mode.read_only {
                let message = "transaction read-write mode must be set before any query";
                return Err(SqlError::new(SqlState::ActiveSqlTransaction, message));
            }
        }
        if mode.read_only && self.kv.has_writes() {
            // Later statements are refused; what was written still commits.
            self.mode = mode;
            return Ok(());
        }
        self.mode = mode;
        self.kv.set_options(mode.options());
        Ok(())
    }

    pub(crate) fn has_savepoints(&self) -> bool {
        !self.savepoints.is_empty()
    }

    /// SAVEPOINT. A name may be used again; the newest one counts.
    pub(crate) fn savepoint(&mut self, name: String, settings: Mark, own_sequences: Vec<(Oid, OwnSequence)>) {
        let kv = self.kv.savepoint();
        let (changes, deferral) = (self.changes.clone(), self.deferral.mark());
        self.savepoints.push(Savepoint { name, kv, settings, changes, deferral, own_sequences });
    }

    /// RELEASE.
    pub(crate) fn release(&mut self, name: &str) -> SqlResult<()> {
        let at = self.find(name)?;
        self.kv.release(self.savepoints[at].kv);
        self.savepoints.truncate(at);
        Ok(())
    }

    /// ROLLBACK TO. Answers the mark to which parameters go back, and the sequences that were the
    /// transaction's own.
    pub(crate) fn rollback_to(&mut self, name: &str) -> SqlResult<(Mark, &[(Oid, OwnSequence)])> {
        let at = self.find(name)?;
        self.savepoints.truncate(at + 1);
        let savepoint = &self.savepoints[at];
        self.kv.rollback_to(savepoint.kv);
        self.changes.clone_from(&savepoint.changes);
        self.deferral.rollback_to(savepoint.deferral);
        Ok((savepoint.settings, &savepoint.own_sequences))
    }

    fn find(&self, name: &str) -> SqlResult<usize> {
        self.savepoints.iter().rposition(|savepoint| savepoint.name == name).ok_or_else(|| {
            let message = format!("savepoint \"{name}\" does not exist");
            SqlError::new(SqlState::InvalidSavepointSpecification, message)
        })
    }

    /// Commits, after announcing catalog changes if there are any. Answers when, if anything was written.
    pub(crate) async fn commit(mut self, engine: &Engine) -> SqlResult<Option<Timestamp>> {
        if self.changes.is_some() {
            let version = engine.client().meta().bump_catalog().await?;
            self.kv.put(catalog::version_key(), catalog::encode_version(version.0));
            self.kv.fence_shut_tables(version);
        }
        let changed = self.changes.is_some();
        let committed = self.kv.commit().await?;
        engine.count_commit();
        if changed {
            engine.client().announce_catalog().await;
        }
        Ok(committed)
    }

    /// Undoes everything.
    pub(crate) async fn rollback(self) {
        self.kv.rollback().await;
    }
}
