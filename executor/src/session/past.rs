//! Reading the past: AS OF SYSTEM TIME, and queries that may be a little old (`sharddb.max_staleness`).
//!
//! A query or a transaction of the past reads at one timestamp, with the catalog as it was then, and writes nothing. Any replica
//! may answer it (see `kv`).

use std::{sync::Arc, time::Duration};

use planner::{BindContext, plan::Statement};
use proto::{SqlError, SqlResult, SqlState, Timestamp};
use schema::{Datum, Oid, SqlType};
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Block, Mode, Prepared, Session, Transaction, micros_now, planning::in_failed_block};
use crate::catalog::Snapshot;

/// What a statement has to do with the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WentBack {
    /// Nothing.
    No,
    /// It has a transaction of the past, which ends with it.
    ForItself,
    /// Once it has run, its block's transaction is to read the past.
    ForBlock,
}

/// 25006: what reads the past does not write.
pub(super) fn read_write() -> SqlError {
    let message = "a transaction that reads AS OF SYSTEM TIME cannot be made read-write";
    SqlError::new(SqlState::ReadOnlySqlTransaction, message)
}

impl Session {
    /// Before a statement: takes it to the time that it is to read at.
    pub(super) async fn go_back(&mut self, prepared: &Prepared) -> SqlResult<WentBack> {
        let Some(tree) = &prepared.shared.tree else { return Ok(WentBack::No) };
        let plan = prepared.shared.plan.load_full();
        match (tree.as_of(), &plan.statement) {
            (None, Statement::Query(query)) if query.locks.is_empty() => {
                self.be_stale().await?;
                Ok(WentBack::No)
            }
            (None, _) => Ok(WentBack::No),
            (Some(_), Statement::Begin(_) | Statement::SetTransaction { session: false, .. }) => Ok(WentBack::ForBlock),
            (Some(expression), Statement::Query(_) | Statement::Explain(_) | Statement::WithChanges(_)) => {
                self.check_may_go_back()?;
                let (then, now) = self.point_in_time(expression).await?;
                let mode = Mode { read_only: true, ..self.default_mode() };
                self.txn = Some(Transaction::begin(&self.engine, mode, micros_now()));
                self.read_at(then, now).await?;
                Ok(WentBack::ForItself)
            }
            (Some(_), _) => Err(SqlError::unsupported("AS OF SYSTEM TIME in this statement")),
        }
    }

    /// The catalog that a statement is bound against: one that is to read the past is bound as of then.
    pub(super) async fn snapshot_for(&mut self, tree: &planner::Parsed) -> SqlResult<Arc<Snapshot>> {
        let Some(expression) = tree.as_of().filter(|_| self.block != Block::Explicit) else {
            return self.snapshot().await;
        };
        let (then, now) = self.point_in_time(expression).await?;
        let options = kv::TxnOptions { read_only: true, ..kv::TxnOptions::default() };
        let mut txn = self.engine.client().begin(options);
        txn.go_back(then, now).await?;
        let past = self.engine.catalog().of_past(self.database, then, &mut txn).await?;
        txn.rollback().await;
        match past {
            Some(past) => Ok(past),
            None => self.snapshot().await,
        }
    }

    /// After a statement that had a transaction of the past for itself, among others of an implicit block.
    pub(super) async fn come_back(&mut self) -> SqlResult<()> {
        if self.txn.as_ref().is_some_and(|txn| txn.kv.is_past()) { self.commit_transaction().await } else { Ok(()) }
    }

    /// BEGIN and SET TRANSACTION with AS OF SYSTEM TIME, once they have done the rest.
    pub(super) async fn set_past(&mut self, prepared: &Prepared) -> SqlResult<()> {
        let expression = prepared.shared.tree.as_ref().and_then(planner::Parsed::as_of).unwrap_or_default();
        let asks_to_write = match &prepared.shared.plan.load().statement {
            Statement::Begin(mode) | Statement::SetTransaction { mode, .. } => mode.read_only == Some(false),
            _ => false,
        };
        if self.block != Block::Explicit {
            // A warning has been given.
            return Ok(());
        }
        let started = self.txn.as_ref().is_none_or(|txn| txn.queried || txn.has_savepoints() || txn.kv.has_started());
        if started {
            let message = "AS OF SYSTEM TIME must be set before any query";
            return Err(SqlError::new(SqlState::ActiveSqlTransaction, message));
        }
        if asks_to_write {
            return Err(read_write());
        }
        let (then, now) = self.point_in_time(expression).await?;
        let read_only = planner::plan::TransactionMode { read_only: Some(true), ..Default::default() };
        self.transaction().set_mode(read_only)?;
        self.read_at(then, now).await
    }

    /// Once a transaction of the past has ended, names are looked up in the present again.
    pub(super) fn forget_past(&mut self, ended: &Transaction) {
        if ended.past.is_some() {
            let present = Arc::clone(&self.present);
            self.host.snapshot.store(present);
        }
    }

    /// Lets the open transaction read at a timestamp.
    async fn read_at(&mut self, then: Timestamp, now: Timestamp) -> SqlResult<()> {
        let database = self.database;
        self.present = self.host.snapshot.load_full();
        let Some(txn) = &mut self.txn else { return Ok(()) };
        txn.kv.go_back(then, now).await?;
        txn.past = self.engine.catalog().of_past(database, then, &mut txn.kv).await?;
        Ok(())
    }

    /// With `sharddb.max_staleness`, a query that stands alone or begins a read-only block reads a little before the present.
    async fn be_stale(&mut self) -> SqlResult<()> {
        let staleness = self.host.settings.lock().effective().max_staleness;
        let Some(staleness) = staleness else { return Ok(()) };
        match (self.block, &self.txn) {
            (Block::None, None) => {
                let mode = self.default_mode();
                self.txn = Some(Transaction::begin(&self.engine, mode, micros_now()));
            }
            (Block::Explicit, Some(txn)) if txn.mode.read_only && !txn.queried && !txn.kv.has_started() => {}
            _ => return Ok(()),
        }
        let then = self.stale_timestamp(staleness).await?;
        // Such snapshots are never collected.
        self.read_at(then, then).await
    }

    /// Never before what this session has written or read so, nor before the present catalog was read.
    async fn stale_timestamp(&mut self, staleness: Duration) -> SqlResult<Timestamp> {
        let then = self.engine.client().stale_timestamp(staleness).await?;
        let catalog = self.engine.catalog().read_at().await?;
        self.stale_since = self.stale_since.max(then).max(catalog);
        Ok(self.stale_since)
    }

    fn check_may_go_back(&self) -> SqlResult<()> {
        if self.block == Block::Failed {
            return Err(in_failed_block());
        }
        if self.block == Block::Explicit || self.txn.is_some() {
            let message = "AS OF SYSTEM TIME of a query cannot be used in a transaction block";
            return Err(SqlError::new(SqlState::ActiveSqlTransaction, message)
                .with_hint("Use BEGIN AS OF SYSTEM TIME for the whole block."));
        }
        Ok(())
    }

    /// The timestamp that an expression means, a point in time or a negative interval from now, and the present one.
    async fn point_in_time(&mut self, expression: &str) -> SqlResult<(Timestamp, Timestamp)> {
        let now = self.engine.client().timestamp().await?;
        let text = match self.constant(expression, Oid::TEXT).await? {
            Datum::Text(text) => text.replace('\'', "''"),
            _ => return Err(not_a_time("it is NULL")),
        };
        let point = match self.constant(&format!("'{text}'"), Oid::TIMESTAMPTZ).await {
            Ok(point) => point,
            Err(_) => {
                let seconds = now.millis() as f64 / 1000.0;
                let sum = format!("to_timestamp({seconds:.3}) + '{text}'::interval");
                self.constant(&sum, Oid::TIMESTAMPTZ).await.map_err(|error| not_a_time(error.message()))?
            }
        };
        let Datum::TimestampTz(micros) = point else { return Err(not_a_time("it is NULL")) };
        let millis = u64::try_from(micros.div_euclid(1000)).unwrap_or(0);
        if millis > now.millis() {
            let message = "AS OF SYSTEM TIME: the time lies in the future";
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        }
        Ok((Timestamp::from_millis(millis.max(1)), now))
    }

    async fn constant(&mut self, expression: &str, oid: Oid) -> SqlResult<Datum> {
        let snapshot = self.snapshot().await?;
        let (eval, _) = self.environment(&snapshot);
        let context = BindContext { catalog: &snapshot.catalog, eval: &eval };
        let expr = planner::bind_constant_expression(expression, SqlType::new(oid), &context)?;
        planner::eval(&expr, &[], &[], &eval)
    }
}

fn not_a_time(reason: &str) -> SqlError {
    let message = "AS OF SYSTEM TIME: the value is neither a point in time nor an interval";
    SqlError::new(SqlState::InvalidParameterValue, message).with_detail(reason.to_owned())
}
