//! Bound statements.

use std::sync::Arc;

use schema::{SqlType, TableDescriptor};
use sharddb_schema as schema;

use super::{Ddl, Delete, Insert, Query, Update};

/// One statement, bound.
#[derive(Clone, Debug)]
pub enum Statement {
    /// SELECT, VALUES, TABLE, WITH … SELECT.
    Query(Box<Query>),
    /// INSERT.
    Insert(Box<Insert>),
    /// UPDATE.
    Update(Box<Update>),
    /// DELETE.
    Delete(Box<Delete>),
    /// COPY … FROM STDIN.
    CopyFrom(Box<CopyFrom>),
    /// COPY … TO STDOUT.
    CopyTo(Box<CopyTo>),
    /// EXPLAIN.
    Explain(Box<Explain>),
    /// CREATE, ALTER, DROP, TRUNCATE, COMMENT, GRANT …
    Ddl(Box<Ddl>),
    /// BEGIN / START TRANSACTION.
    Begin(TransactionMode),
    /// COMMIT; `chain` is AND CHAIN.
    Commit {
        /// AND CHAIN.
        chain: bool,
    },
    /// ROLLBACK.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// A statement with data-modifying statements in its WITH.
    WithChanges(Box<WithChanges>),
    /// SAVEPOINT.
    Savepoint(String),
    /// ROLLBACK TO.
    RollbackTo(String),
    /// RELEASE.
    Release(String),
    /// SET TRANSACTION, or SET SESSION CHARACTERISTICS AS TRANSACTION with `session`.
    SetTransaction {
        /// What to set.
        mode: TransactionMode,
        /// For later transactions of the session.
        session: bool,
    },
    /// SET CONSTRAINTS ALL DEFERRED (true) or IMMEDIATE.
    SetConstraints {
        /// DEFERRED.
        deferred: bool,
    },
    /// SET name = value; `None` is DEFAULT.
    Set {
        /// Parameter name, lower case.
        name: String,
        /// Its new value as text.
        value: Option<String>,
        /// SET LOCAL.
        local: bool,
    },
    /// ALTER SYSTEM.
    AlterSystem(AlterSystem),
    /// SHOW name; "all" for SHOW ALL.
    Show(String),
    /// RESET name; `None` is RESET ALL.
    Reset(Option<String>),
    /// PREPARE.
    Prepare {
        /// Its name.
        name: String,
        /// Declared parameter types.
        parameters: Vec<SqlType>,
        /// Text of the statement.
        statement: String,
    },
    /// EXECUTE.
    Execute {
        /// Which.
        name: String,
        /// Arguments as expressions without input.
        arguments: Vec<super::Expr>,
        /// Their source text, re-bound to the declared types.
        texts: Vec<String>,
    },
    /// DEALLOCATE; `None` is ALL.
    Deallocate(Option<String>),
    /// DISCARD ALL / PLANS / TEMP / SEQUENCES, upper case.
    Discard(String),
    /// VACUUM.
    Vacuum {
        /// Which tables; empty for every table.
        tables: Vec<Arc<TableDescriptor>>,
        /// ANALYZE them too.
        analyze: bool,
    },
    /// ANALYZE; empty for every table.
    Analyze(Vec<Arc<TableDescriptor>>),
    /// CHECKPOINT and other statements that have nothing to do here and that PostgreSQL answers with a tag.
    Nothing {
        /// Command tag.
        tag: &'static str,
    },
    /// DECLARE name CURSOR.
    DeclareCursor {
        /// Its name.
        name: String,
        /// WITH HOLD.
        hold: bool,
        /// The query.
        query: Box<Query>,
    },
    /// FETCH / MOVE forward; `None` is ALL.
    Fetch {
        /// Cursor.
        name: String,
        /// Rows.
        count: Option<u64>,
        /// MOVE.
        discard: bool,
    },
    /// CLOSE; `None` is ALL.
    CloseCursor(Option<String>),
    /// LOCK TABLE.
    LockTable {
        /// Which tables.
        tables: Vec<Arc<TableDescriptor>>,
        /// Conflicts with writers.
        exclusive: bool,
        /// NOWAIT.
        nowait: bool,
    },
}

/// ALTER SYSTEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlterSystem {
    /// SET name = value; `None` is DEFAULT, and RESET.
    Set {
        /// Parameter name, lower case.
        name: String,
        /// Its new value as text.
        value: Option<String>,
    },
    /// RESET ALL.
    ResetAll,
    /// DRAIN NODE, DECOMMISSION NODE, ACTIVATE NODE.
    Node {
        /// Which.
        node: u64,
        /// What becomes of it.
        action: NodeAction,
    },
}

/// What becomes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeAction {
    /// It keeps its replicas and leads none.
    Drain,
    /// Its replicas move elsewhere, and it never comes back.
    Decommission,
    /// It takes its full part again.
    Activate,
}

/// Transaction characteristics; `None` keeps the session's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionMode {
    /// ISOLATION LEVEL.
    pub isolation: Option<IsolationLevel>,
    /// READ ONLY / READ WRITE.
    pub read_only: Option<bool>,
    /// DEFERRABLE.
    pub deferrable: Option<bool>,
}

/// Isolation levels. READ UNCOMMITTED is READ COMMITTED, as in PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// A snapshot for each statement.
    ReadCommitted,
    /// A snapshot for the transaction.
    RepeatableRead,
    /// Strict serializability.
    Serializable,
}

/// COPY … FROM STDIN.
#[derive(Clone, Debug)]
pub struct CopyFrom {
    /// An INSERT with `columns`, defaults and checks bound and an empty VALUES source; the rows come from the client.
    pub insert: super::Insert,
    /// Types of the columns in the data, in order.
    pub types: Vec<SqlType>,
    /// Options.
    pub options: CopyOptions,
}

/// COPY … TO STDOUT.
#[derive(Clone, Debug)]
pub struct CopyTo {
    /// The rows.
    pub query: Query,
    /// Options.
    pub options: CopyOptions,
}

/// Data formats of COPY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// text
    Text,
    /// csv
    Csv,
    /// binary
    Binary,
}

/// Options of COPY with PostgreSQL's defaults for the format filled in.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// FORMAT.
    pub format: CopyFormat,
    /// DELIMITER.
    pub delimiter: u8,
    /// NULL.
    pub null: String,
    /// HEADER.
    pub header: bool,
    /// QUOTE (csv).
    pub quote: u8,
    /// ESCAPE (csv).
    pub escape: u8,
    /// FORCE_QUOTE: positions of columns; all with `*`.
    pub force_quote: Vec<usize>,
    /// FORCE_NOT_NULL: positions of columns.
    pub force_not_null: Vec<usize>,
    /// FORCE_NULL: positions of columns.
    pub force_null: Vec<usize>,
}

/// A statement with data-modifying statements in its WITH.
#[derive(Clone, Debug)]
pub struct WithChanges {
    /// Position in the WITH, and the statement, in order. Where each stands, the WITH holds an empty VALUES.
    pub changes: Vec<(usize, Statement)>,
    /// The statement that the WITH belongs to: a query, INSERT, UPDATE or DELETE.
    pub main: Statement,
}

/// EXPLAIN.
#[derive(Clone, Debug)]
pub struct Explain {
    /// What is explained.
    pub statement: Statement,
    /// ANALYZE.
    pub analyze: bool,
    /// VERBOSE.
    pub verbose: bool,
    /// COSTS (on by default).
    pub costs: bool,
    /// FORMAT JSON instead of TEXT.
    pub json: bool,
}
