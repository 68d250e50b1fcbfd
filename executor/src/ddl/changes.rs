//! The catalog as a DDL statement changes it.
//!
//! The first DDL statement of a transaction locks the catalog's version row, so catalog changes run one transaction at a
//! time. Changed descriptors go into the transaction's write buffer and into a private copy of the catalog, which later
//! statements of the transaction plan against.

use std::sync::Arc;

use bytes::Bytes;
use proto::{SqlError, SqlResult, SqlState};
use schema::{
    Catalog, Descriptor, Oid, SchemaDescriptor, SequenceDescriptor, TableDescriptor, ViewDescriptor,
    functions::EvalContext,
};
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::{
    Engine, catalog, eval,
    session::{Notice, SessionHost, Transaction},
};

/// Who runs a DDL statement and where.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) database: Oid,
    pub(crate) role: Oid,
    pub(crate) superuser: bool,
    /// Schemas on the search path that exist, for names in messages.
    pub(crate) search_path: Arc<[String]>,
    pub(crate) lock_timeout_ms: u32,
    /// Name of the schema for temporary relations.
    pub(crate) temp_schema: String,
    /// Shards of a new table that does not say.
    pub(crate) default_shards: u16,
}

/// A DDL statement under way.
pub(crate) struct Changes<'a> {
    pub(crate) engine: Engine,
    pub(crate) txn: &'a mut Transaction,
    pub(crate) actor: Actor,
    pub(crate) notices: &'a mut Vec<Notice>,
    /// For evaluating defaults and conditions.
    pub(crate) eval: EvalContext,
    /// The catalog with the changes so far.
    pub(crate) catalog: Catalog,
    base: Arc<catalog::Snapshot>,
    /// Where positions of sequences go that this transaction makes.
    pub(crate) own_sequences: Option<Arc<SessionHost>>,
}

impl<'a> Changes<'a> {
    /// Begins a statement; waits until no other transaction changes the catalog.
    pub(crate) async fn begin(
        engine: &Engine,
        txn: &'a mut Transaction,
        actor: Actor,
        eval: EvalContext,
        notices: &'a mut Vec<Notice>,
    ) -> SqlResult<Self> {
        let base = match &txn.changes {
            Some(changes) => Arc::clone(changes),
            None => {
                let lock = kv::RowLock {
                    mode: proto::kv::LockMode::Update,
                    wait: proto::kv::WaitPolicy::Block,
                    timeout_ms: actor.lock_timeout_ms,
                };
                txn.kv.lock(&[catalog::version_key()], lock).await?;
                engine.catalog().get(actor.database).await?
            }
        };
        let catalog = Catalog::clone(&base.catalog);
        Ok(Self { engine: engine.clone(), txn, actor, notices, eval, catalog, base, own_sequences: None })
    }

    /// The statement succeeded: the transaction goes on with the changed catalog.
    pub(crate) fn finish(self) {
        self.txn.changes = Some(Arc::new(self.base.with_changes(Arc::new(self.catalog))));
    }

    /// Lets functions called by this statement see the sequences it has made.
    pub(crate) fn show_sequences(&self) {
        if let Some(host) = &self.own_sequences {
            host.snapshot.store(Arc::new(self.base.with_changes(Arc::new(self.catalog.clone()))));
        }
    }

    /// For expressions over rows.
    pub(crate) fn eval_context(&self) -> eval::Context<'_> {
        eval::Context { session: &self.eval, params: &[] }
    }

    /// Adds or replaces an object of this database, or a shared one.
    pub(crate) fn put(&mut self, object: Descriptor) -> SqlResult<()> {
        let key = self.key(&object);
        // The lock on the version row keeps everybody else from changing the catalog.
        self.txn.kv.put_guarded(key, catalog::encode(&object)?);
        self.catalog.put(object);
        Ok(())
    }

    /// Replaces a table, with a new version.
    pub(crate) fn put_table(&mut self, mut table: TableDescriptor) -> SqlResult<()> {
        table.version += 1;
        self.put(Descriptor::Table(Arc::new(table)))
    }

    /// Removes an object.
    pub(crate) fn remove(&mut self, oid: Oid) {
        if let Some(object) = self.catalog.get(oid).cloned() {
            let key = self.key(&object);
            self.txn.kv.delete_guarded(key);
            self.catalog.remove(oid);
        }
    }

    /// Notes that a storage id is no longer used once this commits; its rows go when no snapshot sees them any more.
    pub(crate) async fn drop_storage(&mut self, storage: u32) -> SqlResult<()> {
        let now = self.engine.client().timestamp().await?.millis();
        self.txn.kv.put_guarded(catalog::dropped_key(storage), Bytes::copy_from_slice(&now.to_be_bytes()));
        Ok(())
    }

    /// A fresh OID.
    pub(crate) async fn new_oid(&self) -> SqlResult<Oid> {
        Ok(Oid(self.engine.new_object_id().await?))
    }

    /// A fresh storage id.
    pub(crate) async fn new_storage(&self) -> SqlResult<u32> {
        self.engine.new_object_id().await
    }

    /// Waits for every transaction that has written the table and keeps new writers out.
    pub(crate) async fn lock_table(&mut self, table: &TableDescriptor) -> SqlResult<()> {
        let (start, end) = schema::key::table_span(table.storage_id);
        let span = proto::kv::Span { start: start.into(), end: end.into() };
        let wait = proto::kv::WaitPolicy::Block;
        self.txn.kv.lock_table(span, true, wait, self.actor.lock_timeout_ms).await?;
        Ok(())
    }

    /// Cuts the shards a table asks for.
    pub(crate) async fn split(&self, table: &TableDescriptor) -> SqlResult<()> {
        let points = schema::key::split_points(table, table.storage_id);
        if !points.is_empty() {
            let points: Vec<Bytes> = points.into_iter().map(Bytes::from).collect();
            self.engine.client().split_at(&points).await?;
        }
        if table.replication_factor != 0 { self.replicate(table).await } else { Ok(()) }
    }

    /// Gives the table's storage as many replicas as it asks for. Its first and last shard hold nothing else then.
    pub(crate) async fn replicate(&self, table: &TableDescriptor) -> SqlResult<()> {
        let (start, end) = schema::key::table_span(table.storage_id);
        let (start, end) = (Bytes::from(start), Bytes::from(end));
        let client = self.engine.client();
        if table.replication_factor != 0 {
            let borders = [&start, &end].into_iter().filter(|key| !key.is_empty()).cloned();
            client.split_at(&borders.collect::<Vec<_>>()).await?;
        }
        let put = proto::meta::PutReplication { start, end, replication_factor: table.replication_factor };
        Ok(client.meta().cluster().put_replication(put).await?)
    }

    /// The schema of this name, or 3F000.
    pub(crate) fn schema(&self, name: &str) -> SqlResult<Arc<SchemaDescriptor>> {
        self.catalog
            .schema(name)
            .cloned()
            .ok_or_else(|| SqlError::new(SqlState::InvalidSchemaName, format!("schema \"{name}\" does not exist")))
    }

    /// A schema in which objects may be made. The one for temporary relations is made when it is needed.
    pub(crate) async fn schema_for_new(&mut self, name: &str, object: &str) -> SqlResult<Arc<SchemaDescriptor>> {
        if name == self.actor.temp_schema {
            return self.temp_schema().await;
        }
        self.permanent_schema(name, object)
    }

    /// A schema in which objects that are not temporary may be made.
    pub(crate) fn permanent_schema(&self, name: &str, object: &str) -> SqlResult<Arc<SchemaDescriptor>> {
        let schema = self.schema(name)?;
        if is_system_schema(schema.oid) {
            let message = format!("permission denied to create \"{name}.{object}\"");
            return Err(SqlError::new(SqlState::InsufficientPrivilege, message)
                .with_detail("System catalog modifications are currently disallowed."));
        }
        Ok(schema)
    }

    /// The table with this OID as changed so far.
    pub(crate) fn table(&self, oid: Oid) -> SqlResult<Arc<TableDescriptor>> {
        let gone = || SqlError::new(SqlState::UndefinedTable, format!("relation with OID {oid} does not exist"));
        self.catalog.table(oid).cloned().ok_or_else(gone)
    }

    /// Whether a relation or index of this name exists in a schema.
    pub(crate) fn relation_exists(&self, schema: Oid, name: &str) -> bool {
        let Some(schema_name) = self.catalog.schema_name(schema) else { return false };
        self.catalog.relation_in(schema, name).is_some() || self.catalog.index_owner(schema_name, name).is_some()
    }

    /// Whether a relation of this name exists.
    pub(crate) fn relation_named(&self, name: &planner::plan::QualifiedName) -> bool {
        self.catalog.schema(&name.schema).is_some_and(|schema| self.relation_exists(schema.oid, &name.name))
    }

    /// A relation's name for messages: qualified unless its schema is on the search path.
    pub(crate) fn shown_name(&self, schema: Oid, name: &str) -> String {
        let schema = self.catalog.schema_name(schema).unwrap_or_default();
        let implicit = schema == "pg_catalog" || schema == self.actor.temp_schema;
        if implicit || self.actor.search_path.iter().any(|on_path| on_path == schema) {
            super::names::quote(name)
        } else {
            format!("{}.{}", super::names::quote(schema), super::names::quote(name))
        }
    }

    /// Every table of the database.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<TableDescriptor>> {
        self.catalog.objects().filter_map(|object| match object {
            Descriptor::Table(table) => Some(table),
            _ => None,
        })
    }

    /// Every view of the database.
    pub(crate) fn views(&self) -> impl Iterator<Item = &Arc<ViewDescriptor>> {
        self.catalog.objects().filter_map(|object| match object {
            Descriptor::View(view) => Some(view),
            _ => None,
        })
    }

    /// Every sequence of the database.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = &Arc<SequenceDescriptor>> {
        self.catalog.objects().filter_map(|object| match object {
            Descriptor::Sequence(sequence) => Some(sequence),
            _ => None,
        })
    }

    pub(crate) fn notice(&mut self, message: impl Into<String>) {
        self.notices.push(Notice::plain(message));
    }

    fn key(&self, object: &Descriptor) -> Bytes {
        let database = match object {
            Descriptor::Database(_) | Descriptor::Role(_) => Oid::INVALID,
            Descriptor::Schema(schema) if is_system_schema(schema.oid) => Oid::INVALID,
            Descriptor::Schema(_) | Descriptor::Table(_) | Descriptor::View(_) | Descriptor::Sequence(_) => {
                self.actor.database
            }
        };
        catalog::descriptor_key(database, object.oid())
    }
}

/// Schemas that nobody may change.
pub(crate) fn is_system_schema(oid: Oid) -> bool {
    [catalog::PG_CATALOG, catalog::INFORMATION_SCHEMA, catalog::SHARDDB_SCHEMA].contains(&oid)
}
