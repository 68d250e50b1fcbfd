//! Running prepared statements.

use std::{sync::Arc, time::Instant};

use planner::plan::{Ddl, Query, Statement};
use proto::{SqlError, SqlResult, SqlState};
use schema::{Datum, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    Block, CommandTag, Outcome, Prepared, RowStream, Session, micros_now,
    past::WentBack,
    planning::in_failed_block,
    prepared::{Plan, Work},
};
use crate::{
    ddl::{self, Changes},
    dml::{Dml, Written},
    eval,
    general::RunContext,
    keyed::KeyedSelect,
    virtuals::Virtuals,
};

/// How often a statement that commits by itself is planned anew because a table changed under it.
const REPLANS_MAX: usize = 5;

impl Session {
    /// Runs a statement. Outside of a transaction block and of an implicit block it commits before it answers, except
    /// that rows may still be on their way. On an error the block has failed or the transaction is gone.
    pub async fn execute(&mut self, prepared: &Arc<Prepared>, params: Vec<Datum>) -> SqlResult<Outcome> {
        let cancel = self.cancel.clone();
        cancel.begin();
        self.activity.begin(&prepared.text, micros_now(), self.transaction_began());
        let deadline = {
            let timeout = self.host.settings.lock().effective().statement_timeout;
            timeout.map(|timeout| Instant::now() + timeout)
        };
        let result = cancel.guard(deadline, self.run_prepared(prepared, params)).await;
        match result {
            Ok(Outcome::Rows { fields, rows }) => {
                self.note_end();
                Ok(Outcome::Rows { fields, rows: rows.cancelled_by(&cancel, deadline) })
            }
            Ok(outcome) => {
                cancel.end();
                self.note_end();
                Ok(outcome)
            }
            Err(error) => {
                cancel.end();
                self.fail().await;
                self.note_end();
                Err(error)
            }
        }
    }

    /// Says to others that the statement has ended, and how the transaction stands.
    pub(super) fn note_end(&self) {
        let open = self.transaction_began().filter(|_| self.block != Block::None);
        let failed = self.block == Block::Failed;
        self.activity.end(micros_now(), open, failed);
    }

    fn transaction_began(&self) -> Option<i64> {
        self.txn.as_ref().map(|txn| txn.started)
    }

    async fn run_prepared(&mut self, prepared: &Arc<Prepared>, params: Vec<Datum>) -> SqlResult<Outcome> {
        let params =
            if params.is_empty() && !prepared.literals.is_empty() { prepared.literals.clone() } else { params };
        let mut attempts = 0;
        loop {
            let went_back = self.go_back(prepared).await?;
            let plan = self.current_plan(prepared).await?;
            if params.len() < plan.parameters.len() {
                return Err(no_parameter(params.len() + 1));
            }
            if let (Block::None, Work::Keyed(keyed), None) = (self.block, &plan.work, &self.txn)
                && keyed.access.reads_rows()
            {
                return self.run_keyed_alone(&plan, keyed, &params).await;
            }
            let outcome = self.run_plan(&plan, &params).await;
            let outcome = match (outcome, went_back) {
                (Ok(outcome), WentBack::ForItself) => self.come_back().await.map(|()| outcome),
                (Ok(outcome), WentBack::ForBlock) => self.set_past(prepared).await.map(|()| outcome),
                (outcome, _) => outcome,
            };
            match outcome {
                Err(error) if is_stale(&error) && self.block == Block::None && attempts < REPLANS_MAX => {
                    attempts += 1;
                    self.roll_back().await?;
                }
                other => return other,
            }
        }
    }

    /// The shortest way: a point read that is a transaction of its own. Isolation levels differ only for several reads.
    async fn run_keyed_alone(&mut self, plan: &Plan, keyed: &KeyedSelect, params: &[Datum]) -> SqlResult<Outcome> {
        let (eval, _) = self.environment(&plan.snapshot);
        let context = eval::Context { session: &eval, params };
        let row = keyed.run_alone(self.engine.client(), &context).await?;
        Ok(rows_outcome(plan, row.into_iter().collect()))
    }

    /// Runs a plan inside the session's transaction, which it commits if it began it.
    async fn run_plan(&mut self, plan: &Arc<Plan>, params: &[Datum]) -> SqlResult<Outcome> {
        if matches!(plan.work, Work::Empty) {
            return Ok(Outcome::Empty);
        }
        if let Some(tag) = self.control(&plan.statement).await? {
            return Ok(Outcome::Command(tag));
        }
        if self.block == Block::Failed {
            return Err(in_failed_block());
        }
        if let Some(outcome) = self.run_setting(&plan.statement).await? {
            return Ok(outcome);
        }
        let alone = self.block == Block::None;
        let txn = self.transaction();
        txn.queried = true;
        txn.kv.start_statement();
        let outcome = self.run_work(plan, params).await?;
        if !alone {
            return Ok(outcome);
        }
        if matches!(outcome, Outcome::CopyIn(_)) {
            self.copy_commits = true;
            return Ok(outcome);
        }
        self.commit_transaction().await?;
        Ok(outcome)
    }

    async fn run_work(&mut self, plan: &Arc<Plan>, params: &[Datum]) -> SqlResult<Outcome> {
        self.check_read_only(&plan.statement)?;
        self.temporary.touch(&plan.statement);
        let (eval, _) = self.environment(&plan.snapshot);
        match &plan.work {
            Work::Keyed(keyed) => {
                let context = eval::Context { session: &eval, params };
                let row = keyed.run(&mut self.transaction().kv, &context).await?;
                Ok(rows_outcome(plan, row.into_iter().collect()))
            }
            Work::Insert(insert) => {
                let written = self.dml(plan, &eval, params).insert_values(insert).await?;
                self.written(plan, written, CommandTag::Insert).await
            }
            Work::Update(update) => {
                let written = self.dml(plan, &eval, params).update(update).await?;
                self.written(plan, written, CommandTag::Update).await
            }
            Work::Delete(delete) => {
                let written = self.dml(plan, &eval, params).delete(delete).await?;
                self.written(plan, written, CommandTag::Delete).await
            }
            Work::Changing => self.run_changing(plan, &eval, params).await,
            Work::Statement | Work::Empty => self.run_statement(plan, &eval, params).await,
        }
    }

    /// What DML works with.
    pub(super) fn dml<'s>(&'s mut self, plan: &'s Plan, eval: &'s EvalContext, params: &'s [Datum]) -> Dml<'s> {
        self.dml_over(&plan.snapshot.catalog, eval, params)
    }

    /// What DML works with, over a catalog.
    pub(super) fn dml_over<'s>(
        &'s mut self,
        catalog: &'s schema::Catalog,
        eval: &'s EvalContext,
        params: &'s [Datum],
    ) -> Dml<'s> {
        let lock_timeout_ms = self.host.settings.lock().effective().lock_timeout_ms;
        self.transaction();
        let Self { engine, txn, cancel, .. } = self;
        let txn = txn.as_mut().expect("the transaction was begun");
        Dml::new(&mut txn.kv, engine.client(), catalog, eval, params, lock_timeout_ms, cancel, &mut txn.deferral)
    }

    /// The answer to a DML statement, after a look at whether its table is still what the plan took it for.
    pub(super) async fn written(
        &mut self,
        plan: &Plan,
        written: Written,
        tag: fn(u64) -> CommandTag,
    ) -> SqlResult<Outcome> {
        self.check_tables(plan).await?;
        let tag = tag(written.count);
        Ok(match &plan.fields {
            Some(fields) => Outcome::Rows { fields: fields.clone(), rows: RowStream::ready(written.returned, tag) },
            None => Outcome::Command(tag),
        })
    }

    /// Locks are held by now, so a change of a written table's layout has either been seen or waits for this
    /// transaction.
    async fn check_tables(&mut self, plan: &Plan) -> SqlResult<()> {
        self.check_target(plan, &plan.statement).await
    }

    /// The same for one part of a statement.
    pub(super) async fn check_target(&mut self, plan: &Plan, statement: &Statement) -> SqlResult<()> {
        let own = self.txn.as_ref().is_some_and(|txn| txn.own_catalog().is_some());
        if own || self.engine.catalog().is_current(&plan.snapshot) {
            return Ok(());
        }
        let target = match statement {
            Statement::Insert(insert) => &insert.table,
            Statement::Update(update) => &update.target.table,
            Statement::Delete(delete) => &delete.target.table,
            Statement::CopyFrom(copy) => &copy.insert.table,
            _ => return Ok(()),
        };
        let now = self.engine.catalog().get(self.database).await?;
        if now.catalog.table(target.oid).is_some_and(|table| table.version == target.version) {
            return Ok(());
        }
        Err(stale())
    }

    async fn run_statement(&mut self, plan: &Arc<Plan>, eval: &EvalContext, params: &[Datum]) -> SqlResult<Outcome> {
        match &plan.statement {
            Statement::Query(query) if query.locks.is_empty() => {
                let rows = self.run_query(query, params).await?;
                Ok(Outcome::Rows { fields: plan.fields.clone().unwrap_or_default(), rows })
            }
            Statement::Query(query) => {
                let rows = self.run_locking_query(plan, query, eval, params).await?;
                Ok(rows_outcome(plan, rows))
            }
            Statement::Insert(insert) => {
                let written = self.insert_from_query(plan, insert, eval, params).await?;
                self.written(plan, written, CommandTag::Insert).await
            }
            Statement::Update(update) => {
                let written = self.update_joined(plan, update, eval, params).await?;
                self.written(plan, written, CommandTag::Update).await
            }
            Statement::Delete(delete) => {
                let written = self.delete_joined(plan, delete, eval, params).await?;
                self.written(plan, written, CommandTag::Delete).await
            }
            Statement::Ddl(ddl) => self.run_ddl(ddl, eval, params).await.map(Outcome::Command),
            Statement::CopyFrom(copy) => self.copy_in(plan, copy, eval),
            Statement::CopyTo(copy) => self.copy_out(copy, params).await,
            Statement::Explain(explain) => {
                let lines = self.explain(plan, explain, eval, params).await?;
                let rows = lines.into_iter().map(|line| vec![Datum::text(line)]).collect();
                Ok(Outcome::Rows {
                    fields: plan.fields.clone().unwrap_or_default(),
                    rows: RowStream::ready(rows, CommandTag::Named("EXPLAIN")),
                })
            }
            Statement::Prepare { name, parameters, statement } => {
                self.prepare_named(name, parameters, statement).await.map(Outcome::Command)
            }
            Statement::Execute { name, texts, .. } => self.execute_named(name, texts, eval).await,
            Statement::DeclareCursor { name, hold, query } => {
                self.declare(name, *hold, query, params).await.map(Outcome::Command)
            }
            Statement::Fetch { name, count, discard } => self.fetch(name, *count, *discard).await,
            Statement::LockTable { tables, exclusive, nowait } => {
                self.lock_tables(tables, *exclusive, *nowait).await.map(Outcome::Command)
            }
            Statement::Vacuum { tables, analyze } => self.vacuum(tables, *analyze, eval).await.map(Outcome::Command),
            Statement::Analyze(tables) => self.analyze(tables, eval).await.map(Outcome::Command),
            Statement::Nothing { tag } => Ok(Outcome::Command(CommandTag::Named(tag))),
            _ => Err(SqlError::internal("a statement that nothing runs")),
        }
    }

    async fn run_ddl(&mut self, ddl: &Ddl, eval: &EvalContext, params: &[Datum]) -> SqlResult<CommandTag> {
        if matches!(ddl, Ddl::CreateDatabase { .. } | Ddl::DropDatabase { .. }) && self.block != Block::None {
            let message = format!("{} cannot run inside a transaction block", ddl::tag(ddl));
            return Err(SqlError::new(SqlState::ActiveSqlTransaction, message));
        }
        if places(ddl) && self.block != Block::None {
            let message = "changing the replication factor of a table cannot run inside a transaction block";
            return Err(SqlError::new(SqlState::ActiveSqlTransaction, message));
        }
        let actor = self.actor(eval);
        self.transaction();
        let Self { engine, txn, notices, host, .. } = self;
        let txn = txn.as_mut().expect("the transaction was begun");
        let mut changes = Changes::begin(engine, txn, actor, eval.clone(), notices).await?;
        changes.own_sequences = Some(host.clone());
        let existed = matches!(ddl, Ddl::CreateTable(table) | Ddl::CreateTableAs { table, .. } if changes.relation_named(&table.name));
        changes.run(ddl).await?;
        changes.finish();
        if let Ddl::CreateTable(table) | Ddl::CreateTableAs { table, .. } = ddl
            && !existed
        {
            self.created_table(table).await?;
        }
        if let Ddl::CreateTableAs { table, query, with_data: true } = ddl
            && !existed
        {
            let count = self.fill_created_table(table, query, eval, params).await?;
            return Ok(CommandTag::Select(count));
        }
        Ok(CommandTag::Named(ddl::tag(ddl)))
    }

    /// A plan inside the statement that is running: EXECUTE and EXPLAIN ANALYZE.
    pub(super) async fn run_work_of(&mut self, plan: Arc<Plan>, params: Vec<Datum>) -> SqlResult<Outcome> {
        self.run_work(&plan, &params).await
    }

    /// What the general path needs of this session.
    pub(super) async fn general_context(&mut self) -> SqlResult<RunContext> {
        let snapshot = self.snapshot().await?;
        let (eval, _) = self.environment(&snapshot);
        let eval = Arc::new(eval);
        let host = Arc::downgrade(&self.host);
        let settings = move || host.upgrade().map_or_else(Vec::new, |host| host.settings.lock().describe());
        let virtuals = Virtuals {
            snapshot,
            eval: Arc::clone(&eval),
            database: self.database,
            engine: self.engine.clone(),
            host: Arc::downgrade(&self.host),
            settings: Box::new(settings),
        };
        let general = Arc::clone(self.engine.general());
        Ok(RunContext { general, eval, virtuals: Arc::new(virtuals), frozen: self.frozen.clone() })
    }

    /// Runs a query without row locks.
    pub(super) async fn run_query(&mut self, query: &Query, params: &[Datum]) -> SqlResult<RowStream> {
        let context = self.general_context().await?;
        self.transaction();
        let txn = self.txn.as_mut().expect("the transaction was begun");
        let rows = crate::general::run(query, params, &mut txn.kv, &context).await?;
        Ok(RowStream::arrow(rows.batches, txn.kv.pin_snapshot()))
    }

    fn check_read_only(&self, statement: &Statement) -> SqlResult<()> {
        if !self.txn.as_ref().is_some_and(|txn| txn.mode.read_only) {
            return Ok(());
        }
        let what = match statement {
            Statement::Insert(_) => "INSERT",
            Statement::Update(_) => "UPDATE",
            Statement::Delete(_) => "DELETE",
            Statement::WithChanges(with) => {
                return with.changes.iter().try_for_each(|(_, change)| self.check_read_only(change));
            }
            Statement::CopyFrom(_) => "COPY FROM",
            Statement::Ddl(ddl) => ddl::tag(ddl),
            Statement::Query(query) if !query.locks.is_empty() => "SELECT FOR UPDATE",
            Statement::Explain(explain) if explain.analyze => return self.check_read_only(&explain.statement),
            _ => return Ok(()),
        };
        let message = format!("cannot execute {what} in a read-only transaction");
        Err(SqlError::new(SqlState::ReadOnlySqlTransaction, message))
    }
}

fn rows_outcome(plan: &Plan, rows: Vec<Vec<Datum>>) -> Outcome {
    let tag = CommandTag::Select(rows.len() as u64);
    Outcome::Rows { fields: plan.fields.clone().unwrap_or_default(), rows: RowStream::ready(rows, tag) }
}

/// Whether a statement changes where replicas are, which no rollback takes back.
fn places(ddl: &Ddl) -> bool {
    let moves = |action: &planner::plan::AlterTable| matches!(action, planner::plan::AlterTable::ReplicationFactor(_));
    matches!(ddl, Ddl::AlterTable { actions, .. } if actions.iter().any(moves))
}

fn no_parameter(number: usize) -> SqlError {
    SqlError::new(SqlState::UndefinedParameter, format!("there is no parameter ${number}"))
}

const STALE: &str = "a table was changed while the statement waited for it";

fn stale() -> SqlError {
    SqlError::new(SqlState::SerializationFailure, STALE)
}

fn is_stale(error: &SqlError) -> bool {
    error.state() == SqlState::SerializationFailure && error.message() == STALE
}
