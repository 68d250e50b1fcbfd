//! Transaction control and the session's transaction.

use planner::plan::{IsolationLevel, Statement, TransactionMode};
use proto::{SqlError, SqlResult, SqlState};
use sharddb_planner as planner;
use sharddb_proto as proto;

use super::{Block, CommandTag, Mode, Notice, Session, Transaction, core::micros_now, planning::in_failed_block};
use crate::catalog;

impl Session {
    /// Runs a statement of transaction control; `None` for any other.
    pub(super) async fn control(&mut self, statement: &Statement) -> SqlResult<Option<CommandTag>> {
        Ok(Some(match statement {
            Statement::Begin(mode) => self.begin(*mode)?,
            Statement::Commit { chain } => return self.commit(*chain).await.map(Some),
            Statement::Rollback { chain } => return self.rollback(*chain).await.map(Some),
            Statement::Savepoint(name) => self.savepoint(name)?,
            Statement::RollbackTo(name) => self.rollback_to(name)?,
            Statement::Release(name) => self.release(name)?,
            Statement::SetTransaction { mode, session } => self.set_transaction(*mode, *session)?,
            Statement::SetConstraints { deferred } => return self.set_constraints(*deferred).await.map(Some),
            _ => return Ok(None),
        }))
    }

    fn begin(&mut self, mode: TransactionMode) -> SqlResult<CommandTag> {
        match self.block {
            Block::None | Block::Implicit => {
                self.block = Block::Explicit;
                if self.txn.is_none() {
                    self.start_transaction();
                }
            }
            Block::Explicit => {
                let message = "there is already a transaction in progress";
                self.notices.push(Notice::warning(SqlState::ActiveSqlTransaction, message));
            }
            Block::Failed => return Err(in_failed_block()),
        }
        if let Some(txn) = &mut self.txn {
            txn.set_mode(mode)?;
        }
        Ok(CommandTag::Named("BEGIN"))
    }

    async fn commit(&mut self, chain: bool) -> SqlResult<CommandTag> {
        match self.block {
            Block::Failed => {
                let mode = self.txn.as_ref().map(|txn| txn.mode);
                self.block = Block::None;
                self.roll_back().await?;
                self.chain(chain, mode);
                Ok(CommandTag::Named("ROLLBACK"))
            }
            Block::Explicit => {
                let mode = self.txn.as_ref().map(|txn| txn.mode);
                self.block = Block::None;
                self.commit_transaction().await?;
                self.chain(chain, mode);
                Ok(CommandTag::Named("COMMIT"))
            }
            Block::None | Block::Implicit => {
                self.no_transaction(chain, "COMMIT AND CHAIN")?;
                if self.block == Block::Implicit {
                    self.commit_transaction().await?;
                }
                Ok(CommandTag::Named("COMMIT"))
            }
        }
    }

    async fn rollback(&mut self, chain: bool) -> SqlResult<CommandTag> {
        if matches!(self.block, Block::None | Block::Implicit) {
            self.no_transaction(chain, "ROLLBACK AND CHAIN")?;
            if self.block == Block::Implicit {
                self.roll_back().await?;
            }
            return Ok(CommandTag::Named("ROLLBACK"));
        }
        let mode = self.txn.as_ref().map(|txn| txn.mode);
        self.block = Block::None;
        self.roll_back().await?;
        self.chain(chain, mode);
        Ok(CommandTag::Named("ROLLBACK"))
    }

    fn no_transaction(&mut self, chain: bool, what: &str) -> SqlResult<()> {
        if chain {
            let message = format!("{what} can only be used in transaction blocks");
            return Err(SqlError::new(SqlState::NoActiveSqlTransaction, message));
        }
        let message = "there is no transaction in progress";
        self.notices.push(Notice::warning(SqlState::NoActiveSqlTransaction, message));
        Ok(())
    }

    /// AND CHAIN: a new block with the characteristics of the last.
    fn chain(&mut self, chain: bool, mode: Option<Mode>) {
        if chain {
            self.block = Block::Explicit;
            let mode = mode.unwrap_or_else(|| self.default_mode());
            self.txn = Some(Transaction::begin(&self.engine, mode, micros_now()));
        }
    }

    fn savepoint(&mut self, name: &str) -> SqlResult<CommandTag> {
        let mark = self.host.settings.lock().mark();
        let own = self.host.own_sequences.lock().iter().map(|(oid, own)| (*oid, *own)).collect();
        self.block_transaction("SAVEPOINT")?.savepoint(name.to_owned(), mark, own);
        Ok(CommandTag::Named("SAVEPOINT"))
    }

    fn release(&mut self, name: &str) -> SqlResult<CommandTag> {
        self.block_transaction("RELEASE SAVEPOINT")?.release(name)?;
        Ok(CommandTag::Named("RELEASE"))
    }

    fn rollback_to(&mut self, name: &str) -> SqlResult<CommandTag> {
        let host = std::sync::Arc::clone(&self.host);
        let (mark, own) = self.block_transaction("ROLLBACK TO SAVEPOINT")?.rollback_to(name)?;
        host.own_sequences.lock().retain(|sequence, present| {
            let saved = own.iter().find(|(known, _)| known == sequence).map(|(_, saved)| *saved);
            let restored = present.rolled_back(saved);
            *present = restored.unwrap_or(*present);
            restored.is_some()
        });
        host.settings.lock().rollback_to(mark);
        self.block = Block::Explicit;
        Ok(CommandTag::Named("ROLLBACK"))
    }

    /// The transaction of a block, or 25P01 outside of one.
    pub(super) fn block_transaction(&mut self, what: &str) -> SqlResult<&mut Transaction> {
        if matches!(self.block, Block::None | Block::Implicit) {
            let message = format!("{what} can only be used in transaction blocks");
            return Err(SqlError::new(SqlState::NoActiveSqlTransaction, message));
        }
        match &mut self.txn {
            Some(txn) => Ok(txn),
            // A failed block without savepoints has given up its transaction.
            None => {
                let message = "savepoint does not exist";
                Err(SqlError::new(SqlState::InvalidSavepointSpecification, message))
            }
        }
    }

    fn set_transaction(&mut self, mode: TransactionMode, session: bool) -> SqlResult<CommandTag> {
        if session {
            let mut settings = self.host.settings.lock();
            let on = |value: bool| if value { "on" } else { "off" };
            if let Some(level) = mode.isolation {
                settings.set("default_transaction_isolation", Some(level_name(level)), false)?;
            }
            if let Some(read_only) = mode.read_only {
                settings.set("default_transaction_read_only", Some(on(read_only)), false)?;
            }
            if let Some(deferrable) = mode.deferrable {
                settings.set("default_transaction_deferrable", Some(on(deferrable)), false)?;
            }
            return Ok(CommandTag::Named("SET"));
        }
        match (&mut self.txn, self.block) {
            (Some(txn), Block::Explicit) => txn.set_mode(mode)?,
            _ => {
                let message = "SET TRANSACTION can only be used in transaction blocks";
                self.notices.push(Notice::warning(SqlState::NoActiveSqlTransaction, message));
            }
        }
        Ok(CommandTag::Named("SET"))
    }

    pub(super) fn default_mode(&self) -> Mode {
        let settings = self.host.settings.lock();
        let effective = settings.effective();
        Mode {
            isolation: effective.default_isolation,
            read_only: effective.default_read_only,
            deferrable: effective.default_deferrable,
        }
    }

    pub(super) fn start_transaction(&mut self) -> &mut Transaction {
        let mode = self.default_mode();
        self.txn.insert(Transaction::begin(&self.engine, mode, micros_now()))
    }

    /// The open transaction, begun now if there is none.
    pub(super) fn transaction(&mut self) -> &mut Transaction {
        if self.txn.is_none() {
            self.start_transaction();
        }
        self.txn.as_mut().expect("a transaction was just begun")
    }

    /// SET CONSTRAINTS ALL. Checks that waited until now are made at once when they may wait no more.
    async fn set_constraints(&mut self, deferred: bool) -> SqlResult<CommandTag> {
        if self.block == Block::Failed {
            return Err(in_failed_block());
        }
        if self.block == Block::None {
            let message = "SET CONSTRAINTS can only be used in transaction blocks";
            self.notices.push(Notice::warning(SqlState::NoActiveSqlTransaction, message));
            return Ok(CommandTag::Named("SET CONSTRAINTS"));
        }
        self.transaction().deferral.set_mode(deferred);
        if !deferred {
            self.check_deferred().await?;
        }
        Ok(CommandTag::Named("SET CONSTRAINTS"))
    }

    /// Makes the checks that wait for the end of the transaction.
    async fn check_deferred(&mut self) -> SqlResult<()> {
        let Some(txn) = &mut self.txn else { return Ok(()) };
        let checks = txn.deferral.take();
        if checks.is_empty() {
            return Ok(());
        }
        let snapshot = self.snapshot().await?;
        let (eval, _) = self.environment(&snapshot);
        self.dml_over(&snapshot.catalog, &eval, &[]).check_waiting(checks).await
    }

    /// Commits what there is. On an error everything was rolled back.
    pub(super) async fn commit_transaction(&mut self) -> SqlResult<()> {
        if let Err(error) = self.check_deferred().await {
            self.roll_back().await?;
            return Err(error);
        }
        self.cursors.retain(|_, cursor| cursor.hold);
        if let Err(error) = self.end_temporary().await {
            self.roll_back().await?;
            return Err(error);
        }
        let Some(mut txn) = self.txn.take() else {
            self.host.settings.lock().commit();
            return Ok(());
        };
        for (sequence, own) in self.host.own_sequences.lock().drain() {
            txn.kv.put(catalog::sequence_key(sequence), own.position.encode());
        }
        self.forget_past(&txn);
        let held = self.cancel.hold();
        let result = txn.commit(&self.engine).await;
        drop(held);
        let mut settings = self.host.settings.lock();
        match &result {
            Ok(committed) => {
                settings.commit();
                // What it reads later has what it has written.
                self.stale_since = self.stale_since.max(committed.unwrap_or_default());
            }
            Err(_) => {
                settings.rollback();
                self.engine.count_rollback();
            }
        }
        result.map(drop)
    }

    /// Undoes everything.
    pub(super) async fn roll_back(&mut self) -> SqlResult<()> {
        self.cursors.retain(|_, cursor| cursor.hold && cursor.committed);
        self.host.own_sequences.lock().clear();
        self.copy_commits = false;
        if let Some(txn) = self.txn.take() {
            self.forget_past(&txn);
            txn.rollback().await;
            self.engine.count_rollback();
        }
        self.host.settings.lock().rollback();
        Ok(())
    }

    /// A statement failed.
    pub(super) async fn fail(&mut self) {
        match self.block {
            Block::None | Block::Implicit => {
                // An implicit block stays open for the frontend to end; what comes until then starts anew.
                let _ = self.roll_back().await;
            }
            Block::Explicit => {
                self.block = Block::Failed;
                self.give_up().await;
            }
            Block::Failed => {}
        }
    }

    /// A failed block keeps its transaction only while there is a savepoint to go back to.
    async fn give_up(&mut self) {
        if self.txn.as_ref().is_some_and(|txn| !txn.has_savepoints())
            && let Some(txn) = self.txn.take()
        {
            self.forget_past(&txn);
            txn.rollback().await;
            self.engine.count_rollback();
        }
    }
}

/// As SHOW prints it.
pub(super) fn level_name(level: IsolationLevel) -> &'static str {
    match level {
        IsolationLevel::ReadCommitted => "read committed",
        IsolationLevel::RepeatableRead => "repeatable read",
        IsolationLevel::Serializable => "serializable",
    }
}
