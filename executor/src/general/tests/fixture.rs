//! A volume with tables, and SQL over it.

use std::sync::Arc;

use bytes::Bytes;
use fragment::{FragmentTransport, batch_rows};
use futures::TryStreamExt;
use kv::{BoxFuture, Isolation, TxnOptions};
use planner::{
    BindContext, bind, parse,
    plan::{self, ConstraintDefinitionKind, CreateTable, Ddl, Field, InsertSource, Query, Relation, Statement},
};
use proto::{SqlError, SqlResult};
use schema::{
    Catalog, ColumnDescriptor, ColumnId, ConstraintDescriptor, ConstraintKind, Datum, Descriptor, FormatSettings,
    IndexColumn, IndexDescriptor, IndexId, IndexState, Oid, SchemaDescriptor, Sharding, SqlType, TableDescriptor,
    TableStatistics, functions::EvalContext, key, row, text::write_text,
};
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_raft::log::{LogOptions, RealFiles};
use sharddb_schema as schema;
use sharddb_server::Volume;
use sharddb_storage::MemoryEngine;

use crate::general::{General, GeneralOptions, RunContext, Showing, VirtualTables, explain, run};

pub(super) struct Fixture {
    volume: Volume,
    general: Arc<General>,
    catalog: Catalog,
    eval: Arc<EvalContext>,
    next_oid: u32,
    next_row: i64,
    _directory: tempfile::TempDir,
}

struct NoVirtuals;

impl VirtualTables for NoVirtuals {
    fn rows<'a>(&'a self, schema: &'a str, name: &'a str) -> BoxFuture<'a, SqlResult<Vec<Vec<Datum>>>> {
        Box::pin(async move { Err(SqlError::internal(format!("no table {schema}.{name}"))) })
    }
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::with_memory(256 << 20).await
    }

    pub(super) async fn with_memory(memory_bytes: usize) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let files = RealFiles::open(&directory.path().join("raft")).expect("the directory opens");
        let engine = Arc::new(MemoryEngine::default());
        let volume = Volume::assemble(engine, Arc::new(files), LogOptions::default()).await.expect("the volume opens");
        let options = GeneralOptions { memory_bytes, parallelism: 2, ..GeneralOptions::default() };
        let general = General::new(volume.client().clone(), volume.fragments(), &options).expect("the general path");
        let mut catalog = Catalog::default();
        let public = SchemaDescriptor { oid: Oid(2200), name: "public".to_owned(), owner: Oid(10) };
        catalog.put(Descriptor::Schema(Arc::new(public)));
        let format = FormatSettings::default();
        let eval = Arc::new(EvalContext {
            transaction_time: 1_700_000_000_000_000,
            statement_time: 1_700_000_000_000_000,
            time_zone: format.time_zone.clone(),
            format,
            user: Arc::from("postgres"),
            session_user: Arc::from("postgres"),
            database: Arc::from("postgres"),
            search_path: Arc::from(["public".to_owned()]),
            backend_pid: 1,
            host: None,
        });
        let general = Arc::new(general);
        Self { volume, general, catalog, eval, next_oid: 20_000, next_row: 0, _directory: directory }
    }

    pub(super) fn client(&self) -> &kv::Client {
        self.volume.client()
    }

    /// Leaves joins to shards from now on.
    pub(super) fn join_at_shards(&mut self) {
        self.general = self.general_over(self.fragments());
    }

    /// The same tables, with fragments sent by another transport, and joins left to shards.
    pub(super) fn general_over(&self, fragments: Arc<dyn FragmentTransport>) -> Arc<General> {
        let options = GeneralOptions { memory_bytes: 256 << 20, near_joins: true, ..GeneralOptions::default() };
        Arc::new(General::new(self.client().clone(), fragments, &options).expect("the general path"))
    }

    pub(super) fn fragments(&self) -> Arc<dyn FragmentTransport> {
        self.volume.fragments()
    }

    pub(super) fn begin(&self, isolation: Isolation) -> kv::Txn {
        self.client().begin(TxnOptions { isolation, read_only: false })
    }

    pub(super) fn context(&self) -> RunContext {
        RunContext {
            general: Arc::clone(&self.general),
            eval: Arc::clone(&self.eval),
            virtuals: Arc::new(NoVirtuals),
            frozen: None,
        }
    }

    pub(super) fn bind(&self, sql: &str) -> SqlResult<Statement> {
        let parsed = parse(sql)?;
        let context = BindContext { catalog: &self.catalog, eval: &self.eval };
        Ok(bind(&parsed[0], &context, &[])?.statement)
    }

    pub(super) fn query(&self, sql: &str) -> SqlResult<Query> {
        match self.bind(sql)? {
            Statement::Query(query) => Ok(*query),
            _ => Err(SqlError::internal("no query")),
        }
    }

    /// Runs a statement of its own and answers its rows as text.
    pub(super) async fn execute(&mut self, sql: &str) -> SqlResult<Vec<String>> {
        let mut txn = self.begin(Isolation::RepeatableRead);
        txn.start_statement();
        let rows = self.execute_in(sql, &mut txn).await?;
        txn.commit().await?;
        Ok(rows)
    }

    pub(super) async fn execute_in(&mut self, sql: &str, txn: &mut kv::Txn) -> SqlResult<Vec<String>> {
        match self.bind(sql)? {
            Statement::Query(query) => self.rows(&query, txn).await.map(|rows| self.print(&query.fields, &rows)),
            Statement::Ddl(ddl) => match *ddl {
                Ddl::CreateTable(create) => self.create(&create).await.map(|()| Vec::new()),
                Ddl::CreateIndex(create) => {
                    let columns: Vec<&str> = create.columns.iter().map(|(name, ..)| name.as_str()).collect();
                    self.index(&create.table.name, &columns, create.unique);
                    Ok(Vec::new())
                }
                _ => Err(SqlError::unsupported("this DDL in tests")),
            },
            Statement::Insert(insert) => self.insert(*insert, txn).await.map(|()| Vec::new()),
            _ => Err(SqlError::unsupported("this statement in tests")),
        }
    }

    pub(super) async fn rows(&self, query: &Query, txn: &mut kv::Txn) -> SqlResult<Vec<Vec<Datum>>> {
        self.rows_in(&self.context(), query, txn).await
    }

    pub(super) async fn rows_in(
        &self,
        context: &RunContext,
        query: &Query,
        txn: &mut kv::Txn,
    ) -> SqlResult<Vec<Vec<Datum>>> {
        let rows = run(query, &[], txn, context).await?;
        let types: Vec<Oid> = query.fields.iter().map(|field| field.sql_type.oid).collect();
        let batches: Vec<_> = rows.batches.try_collect().await.map_err(|error| fragment::from_datafusion(&error))?;
        let mut all = Vec::new();
        for batch in &batches {
            all.extend(batch_rows(&types, batch)?);
        }
        Ok(all)
    }

    /// The plan as text.
    pub(super) async fn explain(&self, sql: &str, showing: Showing) -> SqlResult<String> {
        self.explain_in(&self.context(), sql, showing).await
    }

    pub(super) async fn explain_in(&self, context: &RunContext, sql: &str, showing: Showing) -> SqlResult<String> {
        let mut txn = self.begin(Isolation::ReadCommitted);
        let query = self.query(sql)?;
        let lines = explain(&query, &[], showing, &mut txn, context).await?;
        txn.rollback().await;
        Ok(lines.join("\n"))
    }

    fn print(&self, fields: &[Field], rows: &[Vec<Datum>]) -> Vec<String> {
        let print = |(value, field): (&Datum, &Field)| {
            let mut text = String::new();
            match value {
                Datum::Null => text.push_str("NULL"),
                value => write_text(value, field.sql_type, &self.eval.format, &mut text),
            }
            text
        };
        rows.iter().map(|row| row.iter().zip(fields).map(print).collect::<Vec<_>>().join("|")).collect()
    }

    async fn insert(&mut self, insert: plan::Insert, txn: &mut kv::Txn) -> SqlResult<()> {
        let fields = |types: Vec<SqlType>| -> Vec<Field> {
            types.into_iter().map(|sql_type| Field { name: String::new(), sql_type, origin: (0, 0) }).collect()
        };
        let query = match insert.source {
            InsertSource::Query(query) => *query,
            InsertSource::Values(rows) => {
                let types = insert.columns.iter().map(|at| SqlType::new(insert.table.columns[*at].sql_type.oid));
                let fields = fields(types.collect());
                let body = Relation::Values { rows, fields: fields.clone() };
                Query { ctes: Vec::new(), body, fields, locks: Vec::new(), shown: None }
            }
            InsertSource::Defaults => return Err(SqlError::unsupported("defaults in tests")),
        };
        for source in self.rows(&query, txn).await? {
            let mut values = vec![Datum::Null; insert.table.columns.len()];
            for (at, value) in insert.columns.iter().zip(source) {
                values[*at] = value;
            }
            self.write(&insert.table, &values, txn)?;
        }
        txn.relieve().await?;
        Ok(())
    }

    /// Buffers a row and its index entries.
    pub(super) fn write(&mut self, table: &TableDescriptor, values: &[Datum], txn: &mut kv::Txn) -> SqlResult<()> {
        self.next_row += 1;
        let row_id = table.has_hidden_row_id().then_some(self.next_row);
        let primary = key::primary_key(table, values, row_id)?;
        for index in table.indexes.iter().skip(1) {
            let entry = key::index_key(table, index, values, &primary)?;
            txn.put_guarded(entry.into(), Bytes::from(primary.clone()));
        }
        txn.put_guarded(primary.into(), row::encode_row(table, values)?.into());
        Ok(())
    }

    pub(super) fn table(&self, name: &str) -> Arc<TableDescriptor> {
        match self.catalog.relation("public", name) {
            Some(Descriptor::Table(table)) => Arc::clone(table),
            _ => panic!("no table {name}"),
        }
    }

    /// Says how many rows a table has.
    pub(super) fn analyzed(&mut self, name: &str, rows: u64) {
        let mut table = (*self.table(name)).clone();
        table.statistics = Some(TableStatistics { rows, bytes: rows * 64, columns: Vec::new() });
        self.catalog.put(Descriptor::Table(Arc::new(table)));
    }

    /// Adds an index; only before rows are written.
    pub(super) fn index(&mut self, table: &str, columns: &[&str], unique: bool) {
        let mut table = (*self.table(table)).clone();
        let id = IndexId(table.next_index);
        table.next_index += 1;
        let column = |name: &&str| IndexColumn {
            column: table.columns[table.position_by_name(name).expect("a column")].id,
            descending: false,
            nulls_first: false,
        };
        let columns = columns.iter().map(column).collect();
        let name = format!("{}_{}", table.name, id.0);
        table.indexes.push(descriptor_of_index(id, self.next_oid, name, columns, unique));
        self.next_oid += 1;
        self.catalog.put(Descriptor::Table(Arc::new(table)));
    }

    async fn create(&mut self, create: &CreateTable) -> SqlResult<()> {
        let oid = self.next_oid;
        self.next_oid += 10;
        let columns: Vec<ColumnDescriptor> = create.columns.iter().zip(1..).map(column).collect();
        let primary = create.constraints.iter().find_map(|constraint| match &constraint.kind {
            ConstraintDefinitionKind::PrimaryKey { columns, .. } => Some(columns),
            _ => None,
        });
        let key: Vec<ColumnId> = primary
            .into_iter()
            .flatten()
            .filter_map(|name| columns.iter().find(|column| column.name == *name).map(|column| column.id))
            .collect();
        let index_columns =
            key.iter().map(|column| IndexColumn { column: *column, descending: false, nulls_first: false }).collect();
        let shards = create.shards.unwrap_or(1);
        let sharding = match create.shard_by_hash {
            Some(true) => Sharding::Hash { shards, columns: key.clone() },
            _ => Sharding::Range { shards },
        };
        let constraint = ConstraintDescriptor {
            oid: Oid(oid + 2),
            name: format!("{}_pkey", create.name.name),
            kind: ConstraintKind::PrimaryKey { columns: key.clone() },
            validated: true,
        };
        let table = TableDescriptor {
            oid: Oid(oid),
            storage_id: oid,
            version: 1,
            schema: Oid(2200),
            name: create.name.name.clone(),
            owner: Oid(10),
            next_column: columns.len() as u16 + 1,
            columns,
            indexes: vec![descriptor_of_index(
                IndexId(1),
                oid + 1,
                format!("{}_pkey", create.name.name),
                index_columns,
                true,
            )],
            next_index: 2,
            constraints: if key.is_empty() { Vec::new() } else { vec![constraint] },
            referenced_by: Vec::new(),
            sharding,
            replication_factor: 0,
            statistics: None,
            comment: None,
        };
        let borders: Vec<Bytes> = key::split_points(&table, table.storage_id).into_iter().map(Bytes::from).collect();
        if !borders.is_empty() {
            self.client().split_at(&borders).await?;
        }
        self.catalog.put(Descriptor::Table(Arc::new(table)));
        Ok(())
    }
}

fn column((definition, id): (&plan::ColumnDefinition, u16)) -> ColumnDescriptor {
    ColumnDescriptor {
        id: ColumnId(id),
        name: definition.name.clone(),
        sql_type: definition.sql_type,
        not_null: definition.not_null,
        default: None,
        identity: None,
        missing: None,
        generated: None,
        comment: None,
    }
}

fn descriptor_of_index(
    id: IndexId,
    oid: u32,
    name: String,
    columns: Vec<IndexColumn>,
    unique: bool,
) -> IndexDescriptor {
    IndexDescriptor {
        id,
        oid: Oid(oid),
        name,
        columns,
        unique,
        nulls_not_distinct: false,
        state: IndexState::Ready,
        constraint: None,
        predicate: None,
    }
}
