//! Temporary tables of a session: what commits do to them, and their end.

use std::collections::HashMap;

use planner::plan::{CreateTable, OnCommit, Statement};
use proto::SqlResult;
use schema::{Descriptor, Oid};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Block, Session};
use crate::ddl::Changes;

/// What the session knows of its temporary tables.
#[derive(Debug, Default)]
pub(super) struct Temporary {
    /// Tables that a commit empties or drops. Those that a rollback undid are in no catalog any more.
    on_commit: HashMap<Oid, OnCommit>,
    /// Tables among them that the open transaction may have written to.
    touched: Vec<Oid>,
}

impl Temporary {
    /// Notes the table that a statement is about to write to.
    pub(super) fn touch(&mut self, statement: &Statement) {
        if self.on_commit.is_empty() {
            return;
        }
        let table = match statement {
            Statement::Insert(insert) => insert.table.oid,
            Statement::Update(update) => update.target.table.oid,
            Statement::CopyFrom(copy) => copy.insert.table.oid,
            _ => return,
        };
        self.touch_table(table);
    }

    fn touch_table(&mut self, table: Oid) {
        if self.on_commit.contains_key(&table) && !self.touched.contains(&table) {
            self.touched.push(table);
        }
    }
}

impl Session {
    /// Notes what commits do to a table that was just made.
    pub(super) async fn created_table(&mut self, table: &CreateTable) -> SqlResult<()> {
        if table.on_commit == OnCommit::PreserveRows {
            return Ok(());
        }
        let snapshot = self.snapshot().await?;
        if let Some(Descriptor::Table(found)) = snapshot.catalog.relation(&table.name.schema, &table.name.name) {
            self.temporary.on_commit.insert(found.oid, table.on_commit);
            self.temporary.touch_table(found.oid);
        }
        Ok(())
    }

    /// Empties and drops temporary tables as they asked for, inside the transaction that is about to commit.
    pub(super) async fn end_temporary(&mut self) -> SqlResult<()> {
        let touched = std::mem::take(&mut self.temporary.touched);
        if touched.is_empty() || self.txn.is_none() {
            return Ok(());
        }
        let snapshot = self.snapshot().await?;
        let living = touched.into_iter().filter(|table| snapshot.catalog.table(*table).is_some());
        let (dropped, emptied): (Vec<Oid>, Vec<Oid>) =
            living.partition(|table| self.temporary.on_commit.get(table) == Some(&OnCommit::Drop));
        if dropped.is_empty() && emptied.is_empty() {
            return Ok(());
        }
        let (eval, _) = self.environment(&snapshot);
        let actor = self.actor(&eval);
        let Self { engine, txn: Some(txn), notices, .. } = self else { return Ok(()) };
        let mut changes = Changes::begin(engine, txn, actor, eval, notices).await?;
        changes.drop_tables(&dropped).await?;
        changes.truncate(&emptied, false, false).await?;
        changes.finish();
        Ok(())
    }

    /// Drops all temporary relations, in a transaction of its own if there is none. At the session's end the schema goes
    /// too.
    pub(super) async fn drop_temporary(&mut self, with_schema: bool) -> SqlResult<()> {
        let snapshot = self.snapshot().await?;
        let (eval, _) = self.environment(&snapshot);
        if snapshot.catalog.schema(&eval.temp_schema()).is_none() {
            return Ok(());
        }
        let actor = self.actor(&eval);
        self.transaction();
        let Self { engine, txn: Some(txn), notices, .. } = self else { return Ok(()) };
        let mut changes = Changes::begin(engine, txn, actor, eval, notices).await?;
        changes.drop_temporary(with_schema).await?;
        changes.finish();
        if self.block == Block::None { self.commit_transaction().await } else { Ok(()) }
    }
}
