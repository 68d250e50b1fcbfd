//! LOCK TABLE, VACUUM and ANALYZE.

use std::sync::Arc;

use proto::{SqlResult, SqlState, kv::WaitPolicy};
use schema::{Descriptor, TableDescriptor, functions::EvalContext, key};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Block, CommandTag, Session};
use crate::{ddl::Changes, statistics};

impl Session {
    pub(super) async fn lock_tables(
        &mut self,
        tables: &[Arc<TableDescriptor>],
        exclusive: bool,
        nowait: bool,
    ) -> SqlResult<CommandTag> {
        let timeout_ms = self.host.settings.lock().effective().lock_timeout_ms;
        let txn = self.block_transaction("LOCK TABLE")?;
        let wait = if nowait { WaitPolicy::Nowait } else { WaitPolicy::Block };
        for table in tables {
            let (start, end) = key::table_span(table.storage_id);
            let span = proto::kv::Span { start: start.into(), end: end.into() };
            txn.kv.lock_table(span, exclusive, wait, timeout_ms).await?;
        }
        Ok(CommandTag::Named("LOCK TABLE"))
    }

    /// VACUUM: collects versions and dropped tables that no snapshot sees any more, now.
    pub(super) async fn vacuum(
        &mut self,
        tables: &[Arc<TableDescriptor>],
        analyze: bool,
        eval: &EvalContext,
    ) -> SqlResult<CommandTag> {
        if self.block == Block::Explicit {
            let message = "VACUUM cannot run inside a transaction block";
            return Err(proto::SqlError::new(SqlState::ActiveSqlTransaction, message));
        }
        let client = self.engine.client();
        let safe = client.report_safe_point().await?;
        client.collect_garbage(safe).await?;
        self.engine.reclaim(safe).await?;
        if analyze {
            self.analyze(tables, eval).await?;
        }
        Ok(CommandTag::Named("VACUUM"))
    }

    /// ANALYZE: reads the tables and keeps their statistics in the catalog.
    pub(super) async fn analyze(
        &mut self,
        tables: &[Arc<TableDescriptor>],
        eval: &EvalContext,
    ) -> SqlResult<CommandTag> {
        let tables = match tables {
            [] => self.all_tables().await?,
            some => some.to_vec(),
        };
        let mut found = Vec::with_capacity(tables.len());
        let cancel = self.cancel.clone();
        for table in tables {
            let txn = self.transaction();
            found.push((table.oid, statistics::collect(&mut txn.kv, &table, &eval.format, &cancel).await?));
        }
        let actor = self.actor(eval);
        self.transaction();
        let Self { engine, txn, notices, .. } = self;
        let txn = txn.as_mut().expect("the transaction was begun");
        let mut changes = Changes::begin(engine, txn, actor, eval.clone(), notices).await?;
        for (oid, statistics) in found {
            let Some(Descriptor::Table(table)) = changes.catalog.get(oid).cloned() else { continue };
            let table = TableDescriptor { statistics: Some(statistics), ..TableDescriptor::clone(&table) };
            changes.put(Descriptor::Table(Arc::new(table)))?;
        }
        changes.finish();
        Ok(CommandTag::Named("ANALYZE"))
    }

    async fn all_tables(&mut self) -> SqlResult<Vec<Arc<TableDescriptor>>> {
        let snapshot = self.snapshot().await?;
        let tables = snapshot.catalog.objects().filter_map(|object| match object {
            Descriptor::Table(table) => Some(table.clone()),
            _ => None,
        });
        Ok(tables.collect())
    }
}
