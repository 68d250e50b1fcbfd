//! Bound DDL. Names are folded and resolved as far as the catalog snapshot allows; existence is checked again
//! by the executor inside the transaction.

use schema::{Deferrable, Identity, Oid, ReferentialAction, SqlType};
use sharddb_schema as schema;

use super::Query;

/// A schema-qualified name; the schema is resolved from the search path when the statement gives none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualifiedName {
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
}

/// What kind of relation a DROP or RENAME names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// TABLE
    Table,
    /// VIEW
    View,
    /// SEQUENCE
    Sequence,
    /// INDEX
    Index,
}

/// CREATE, ALTER, DROP, TRUNCATE, COMMENT and role statements.
#[derive(Clone, Debug)]
pub enum Ddl {
    /// CREATE SCHEMA.
    CreateSchema { name: String, if_not_exists: bool },
    /// DROP SCHEMA.
    DropSchema { names: Vec<String>, if_exists: bool, cascade: bool },
    /// ALTER SCHEMA … RENAME TO.
    RenameSchema { name: String, new_name: String },
    /// CREATE TABLE.
    CreateTable(Box<CreateTable>),
    /// CREATE TABLE AS / SELECT INTO.
    CreateTableAs { table: Box<CreateTable>, query: Box<Query>, with_data: bool },
    /// DROP TABLE / VIEW / SEQUENCE / INDEX.
    Drop { kind: RelationKind, names: Vec<QualifiedName>, if_exists: bool, cascade: bool },
    /// ALTER TABLE.
    AlterTable { table: QualifiedName, if_exists: bool, actions: Vec<AlterTable> },
    /// ALTER TABLE / VIEW / SEQUENCE / INDEX … RENAME TO.
    Rename { kind: RelationKind, name: QualifiedName, new_name: String, if_exists: bool },
    /// CREATE INDEX.
    CreateIndex(Box<CreateIndex>),
    /// CREATE VIEW.
    CreateView {
        name: QualifiedName,
        columns: Vec<String>,
        query: Box<Query>,
        text: String,
        or_replace: bool,
        depends_on: Vec<Oid>,
        becomes_temporary: bool,
    },
    /// CREATE SEQUENCE.
    CreateSequence { name: QualifiedName, options: SequenceOptions, if_not_exists: bool },
    /// ALTER SEQUENCE.
    AlterSequence { name: QualifiedName, options: SequenceOptions, if_exists: bool },
    /// TRUNCATE.
    Truncate { tables: Vec<Oid>, restart_identity: bool, cascade: bool },
    /// COMMENT ON TABLE / COLUMN.
    Comment { table: QualifiedName, column: Option<String>, text: Option<String> },
    /// CREATE ROLE / USER.
    CreateRole { name: String, options: RoleOptions },
    /// ALTER ROLE / USER.
    AlterRole { name: String, options: RoleOptions },
    /// DROP ROLE / USER.
    DropRole { names: Vec<String>, if_exists: bool },
    /// CREATE DATABASE.
    CreateDatabase { name: String },
    /// DROP DATABASE.
    DropDatabase { name: String, if_exists: bool },
}

/// CREATE TABLE.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// Its name.
    pub name: QualifiedName,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Columns in order.
    pub columns: Vec<ColumnDefinition>,
    /// Table constraints, and those of columns, in order of appearance.
    pub constraints: Vec<ConstraintDefinition>,
    /// Indexes beside those of constraints, copied by LIKE.
    pub indexes: Vec<CreateIndex>,
    /// WITH (shards = …).
    pub shards: Option<u16>,
    /// WITH (shard_by = 'hash'): true; 'range': false.
    pub shard_by_hash: Option<bool>,
    /// WITH (shard_key = 'a, b').
    pub shard_key: Vec<String>,
    /// WITH (replication_factor = …); 0 is the cluster's.
    pub replication_factor: u32,
    /// What a commit does to a temporary table.
    pub on_commit: OnCommit,
}

/// ON COMMIT of a temporary table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCommit {
    /// PRESERVE ROWS.
    #[default]
    PreserveRows,
    /// DELETE ROWS.
    DeleteRows,
    /// DROP.
    Drop,
}

/// A column of CREATE TABLE or ADD COLUMN.
#[derive(Clone, Debug)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: String,
    /// Its type.
    pub sql_type: SqlType,
    /// smallserial, serial, bigserial: a sequence is created and owned.
    pub serial: bool,
    /// NOT NULL.
    pub not_null: bool,
    /// DEFAULT as SQL text, already checked to bind and convert to the type.
    pub default: Option<String>,
    /// Identity with its sequence options.
    pub identity: Option<(Identity, SequenceOptions)>,
    /// GENERATED ALWAYS AS (…) STORED as SQL text.
    pub generated: Option<String>,
}

/// A constraint of CREATE TABLE or ADD CONSTRAINT. The name is made as PostgreSQL makes it when absent.
#[derive(Clone, Debug)]
pub struct ConstraintDefinition {
    /// CONSTRAINT name.
    pub name: Option<String>,
    /// What it demands.
    pub kind: ConstraintDefinitionKind,
    /// NOT VALID.
    pub not_valid: bool,
}

/// What a constraint of CREATE TABLE or ADD CONSTRAINT demands.
#[derive(Clone, Debug)]
pub enum ConstraintDefinitionKind {
    /// PRIMARY KEY (columns).
    PrimaryKey { columns: Vec<String> },
    /// PRIMARY KEY / UNIQUE USING INDEX.
    UsingIndex { primary: bool, index: String },
    /// UNIQUE (columns).
    Unique { columns: Vec<String>, nulls_not_distinct: bool },
    /// CHECK (expression as SQL text); `columns` are those it reads; `column` names the column it was written at.
    Check { expression: String, columns: Vec<String>, column: Option<String> },
    /// FOREIGN KEY. Empty `referenced` stands for the primary key.
    ForeignKey {
        columns: Vec<String>,
        table: QualifiedName,
        referenced: Vec<String>,
        on_delete: ReferentialAction,
        on_update: ReferentialAction,
        deferrable: Deferrable,
    },
}

/// One action of ALTER TABLE.
#[derive(Clone, Debug)]
pub enum AlterTable {
    /// ADD COLUMN.
    AddColumn { column: ColumnDefinition, constraints: Vec<ConstraintDefinition>, if_not_exists: bool },
    /// DROP COLUMN.
    DropColumn { name: String, if_exists: bool, cascade: bool },
    /// RENAME COLUMN.
    RenameColumn { name: String, new_name: String },
    /// RENAME CONSTRAINT.
    RenameConstraint { name: String, new_name: String },
    /// ADD constraint.
    AddConstraint(ConstraintDefinition),
    /// DROP CONSTRAINT.
    DropConstraint { name: String, if_exists: bool, cascade: bool },
    /// VALIDATE CONSTRAINT.
    ValidateConstraint { name: String },
    /// ALTER COLUMN SET DEFAULT (None: DROP DEFAULT).
    SetDefault { name: String, default: Option<String> },
    /// ALTER COLUMN SET / DROP NOT NULL.
    SetNotNull { name: String, not_null: bool },
    /// ALTER COLUMN TYPE … [USING expression text].
    SetType { name: String, sql_type: SqlType, using: Option<String> },
    /// OWNER TO.
    OwnerTo(String),
    /// SET SCHEMA.
    SetSchema(String),
    /// SET (replication_factor = …); 0 is the cluster's, as after RESET.
    ReplicationFactor(u32),
    /// ADD GENERATED, SET GENERATED, RESTART, DROP IDENTITY.
    Identity { name: String, change: IdentityChange },
}

/// What becomes of a column's identity.
#[derive(Clone, Debug)]
pub enum IdentityChange {
    /// ADD GENERATED … AS IDENTITY.
    Add { identity: Identity, options: SequenceOptions },
    /// SET GENERATED, and options of the sequence.
    Alter { identity: Option<Identity>, options: SequenceOptions },
    /// DROP IDENTITY.
    Drop { if_exists: bool },
}

/// CREATE INDEX.
#[derive(Clone, Debug)]
pub struct CreateIndex {
    /// Its name; made as PostgreSQL makes it when absent.
    pub name: Option<String>,
    /// The table.
    pub table: QualifiedName,
    /// Column name, DESC, NULLS FIRST.
    pub columns: Vec<(String, bool, bool)>,
    /// UNIQUE.
    pub unique: bool,
    /// NULLS NOT DISTINCT.
    pub nulls_not_distinct: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// WHERE as SQL text.
    pub predicate: Option<String>,
}

/// Options of CREATE / ALTER SEQUENCE; `None` keeps the default or present value.
#[derive(Clone, Debug, Default)]
pub struct SequenceOptions {
    /// AS type.
    pub sql_type: Option<Oid>,
    /// START.
    pub start: Option<i64>,
    /// RESTART; `Some(None)` without a value.
    pub restart: Option<Option<i64>>,
    /// INCREMENT.
    pub increment: Option<i64>,
    /// MINVALUE; `Some(None)` is NO MINVALUE.
    pub min: Option<Option<i64>>,
    /// MAXVALUE; `Some(None)` is NO MAXVALUE.
    pub max: Option<Option<i64>>,
    /// CACHE.
    pub cache: Option<i64>,
    /// CYCLE.
    pub cycle: Option<bool>,
    /// OWNED BY table.column; `Some(None)` is NONE.
    pub owned_by: Option<Option<(QualifiedName, String)>>,
}

/// Options of CREATE / ALTER ROLE.
#[derive(Clone, Debug, Default)]
pub struct RoleOptions {
    /// LOGIN / NOLOGIN.
    pub login: Option<bool>,
    /// SUPERUSER / NOSUPERUSER.
    pub superuser: Option<bool>,
    /// CREATEROLE / NOCREATEROLE.
    pub create_role: Option<bool>,
    /// CREATEDB / NOCREATEDB.
    pub create_db: Option<bool>,
    /// PASSWORD in clear text or as a SCRAM verifier; `Some(None)` is PASSWORD NULL.
    pub password: Option<Option<String>>,
}
