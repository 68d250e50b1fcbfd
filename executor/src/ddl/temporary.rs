//! The schema of a session's temporary relations.
//!
//! A session's temporary relations are ordinary ones in a schema of its own, `pg_temp_N`, which is made with the first of
//! them. It goes when the session ends; what a crash leaves behind goes at the next start.

use std::sync::Arc;

use planner::plan::IsolationLevel;
use proto::{SqlError, SqlResult, SqlState};
use schema::{
    Catalog, Descriptor, FormatSettings, Oid, SchemaDescriptor, TableDescriptor,
    functions::{EvalContext, TEMP_SCHEMA_PREFIX},
};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Actor, Changes, depend::Target};
use crate::{
    Engine, catalog,
    session::{Mode, Transaction},
};

/// Drops the temporary relations of sessions that a crash ended: nobody has any when the process starts.
pub(crate) async fn drop_left_behind(engine: &Engine) -> SqlResult<()> {
    let snapshot = engine.catalog().get(catalog::POSTGRES_DATABASE).await?;
    let databases = snapshot.catalog.objects().filter_map(|object| match object {
        Descriptor::Database(database) => Some(database.clone()),
        _ => None,
    });
    for database in databases.collect::<Vec<_>>() {
        let snapshot = engine.catalog().get(database.oid).await?;
        let left: Vec<String> = temp_schemas(&snapshot.catalog).map(str::to_owned).collect();
        if left.is_empty() {
            continue;
        }
        let mode = Mode { isolation: IsolationLevel::ReadCommitted, read_only: false, deferrable: false };
        let mut txn = Transaction::begin(engine, mode, 0);
        let mut notices = Vec::new();
        let (actor, eval) = (system_actor(database.oid), system_context(&database.name));
        let mut changes = Changes::begin(engine, &mut txn, actor, eval, &mut notices).await?;
        for name in left {
            changes.drop_temporary_schema(&name, true).await?;
        }
        changes.finish();
        txn.commit(engine).await?;
    }
    Ok(())
}

fn temp_schemas(catalog: &Catalog) -> impl Iterator<Item = &str> {
    catalog.objects().filter_map(|object| match object {
        Descriptor::Schema(schema) if schema.name.starts_with(TEMP_SCHEMA_PREFIX) => Some(schema.name.as_str()),
        _ => None,
    })
}

fn system_actor(database: Oid) -> Actor {
    Actor {
        database,
        role: catalog::BOOTSTRAP_ROLE,
        superuser: true,
        search_path: Arc::from([]),
        lock_timeout_ms: 0,
        default_shards: 1,
        temp_schema: String::new(),
    }
}

/// Nothing is evaluated when relations are dropped.
fn system_context(database: &str) -> EvalContext {
    let format = FormatSettings::default();
    EvalContext {
        transaction_time: 0,
        statement_time: 0,
        time_zone: format.time_zone.clone(),
        format,
        user: Arc::from("postgres"),
        session_user: Arc::from("postgres"),
        database: Arc::from(database),
        search_path: Arc::from([]),
        backend_pid: 0,
        host: None,
    }
}

impl Changes<'_> {
    /// The session's schema for temporary relations, made now if there is none.
    pub(super) async fn temp_schema(&mut self) -> SqlResult<Arc<SchemaDescriptor>> {
        let name = self.actor.temp_schema.clone();
        if let Some(schema) = self.catalog.schema(&name) {
            return Ok(schema.clone());
        }
        let schema = Arc::new(SchemaDescriptor { oid: self.new_oid().await?, name, owner: self.actor.role });
        self.put(Descriptor::Schema(schema.clone()))?;
        Ok(schema)
    }

    /// Drops the session's temporary relations, and the schema too if `schema` says so.
    pub(crate) async fn drop_temporary(&mut self, schema: bool) -> SqlResult<()> {
        let name = self.actor.temp_schema.clone();
        self.drop_temporary_schema(&name, schema).await
    }

    async fn drop_temporary_schema(&mut self, name: &str, with_schema: bool) -> SqlResult<()> {
        let Some(schema) = self.catalog.schema(name).map(|schema| schema.oid) else { return Ok(()) };
        let notices = self.notices.len();
        let all = self.closure(&[Target::Schema(schema)], true)?;
        // What goes is known to be all of it.
        self.notices.truncate(notices);
        let dropped: Vec<Target> =
            all.into_iter().filter(|target| with_schema || !matches!(target, Target::Schema(_))).collect();
        self.drop_all(&dropped).await
    }

    /// Drops tables at the end of a transaction (ON COMMIT DROP).
    pub(crate) async fn drop_tables(&mut self, tables: &[Oid]) -> SqlResult<()> {
        let roots: Vec<Target> = tables.iter().map(|table| Target::Table(*table)).collect();
        let notices = self.notices.len();
        let all = self.closure(&roots, true)?;
        self.notices.truncate(notices);
        self.drop_all(&all).await
    }

    /// SET SCHEMA moves nothing into or out of a session's schema.
    pub(super) fn check_not_temporary(&self, table: &TableDescriptor, target: &str) -> SqlResult<()> {
        let present = self.catalog.schema_name(table.schema).unwrap_or_default();
        if present.starts_with(TEMP_SCHEMA_PREFIX) || target.starts_with(TEMP_SCHEMA_PREFIX) || target == "pg_temp" {
            let message = "cannot move objects into or out of temporary schemas";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        Ok(())
    }

    /// A foreign key joins two temporary tables or two permanent ones.
    pub(super) fn check_same_persistence(&self, table: &TableDescriptor, parent: &TableDescriptor) -> SqlResult<()> {
        let temporary = |table: &TableDescriptor| {
            self.catalog.schema_name(table.schema).is_some_and(|schema| schema.starts_with(TEMP_SCHEMA_PREFIX))
        };
        let message = match (temporary(table), temporary(parent)) {
            (true, false) => "constraints on temporary tables may reference only temporary tables",
            (false, true) => "constraints on permanent tables may reference only permanent tables",
            _ => return Ok(()),
        };
        Err(SqlError::new(SqlState::InvalidTableDefinition, message))
    }
}
