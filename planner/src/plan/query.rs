//! Bound queries: a tree of relations. Columns are addressed by position in the child's fields.

use std::sync::Arc;

use schema::{SqlType, TableDescriptor};
use sharddb_schema as schema;

use super::{AggregateCall, Expr, WindowCall};

/// An output column.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Name shown to the client.
    pub name: String,
    /// Its type.
    pub sql_type: SqlType,
    /// Table OID and attnum when it is a plain column of a table (RowDescription); (0, 0) otherwise.
    pub origin: (u32, u16),
}

/// A query with its CTEs and row locks.
#[derive(Clone, Debug)]
pub struct Query {
    /// WITH queries in order; later ones and the body may refer to earlier ones by index.
    pub ctes: Vec<Cte>,
    /// The body.
    pub body: Relation,
    /// Output columns of the body.
    pub fields: Vec<Field>,
    /// FOR UPDATE / SHARE clauses.
    pub locks: Vec<RowLock>,
    /// Its text, where it stands in an expression that was bound to be shown.
    pub shown: Option<Box<str>>,
}

/// A WITH query.
#[derive(Clone, Debug)]
pub struct Cte {
    /// Its name.
    pub name: String,
    /// Its query. For a recursive one: the non-recursive term.
    pub query: Box<Query>,
    /// The recursive term, which refers to the CTE by `CteScan { recursive: true }`.
    pub recursive: Option<Box<Query>>,
    /// UNION (true) or UNION ALL between the terms.
    pub recursive_distinct: bool,
    /// Output columns.
    pub fields: Vec<Field>,
    /// MATERIALIZED, NOT MATERIALIZED or neither.
    pub materialized: Option<bool>,
}

/// A relation: produces rows with known fields.
#[derive(Clone, Debug)]
pub enum Relation {
    /// One row without columns (SELECT without FROM).
    Unit,
    /// A table.
    Scan(TableScan),
    /// VALUES. All rows have the types of `fields`.
    Values {
        /// The rows.
        rows: Vec<Vec<Expr>>,
        /// Output columns.
        fields: Vec<Field>,
    },
    /// A CTE of this or an enclosing query.
    CteScan {
        /// 0 for this query's WITH, 1 for the one around it …
        depth: usize,
        /// Position in that WITH.
        index: usize,
        /// The recursive term's reference to its own CTE.
        recursive: bool,
        /// Output columns.
        fields: Vec<Field>,
    },
    /// A set-returning function in FROM: generate_series, unnest, and catalog functions.
    Function {
        /// Its name.
        name: String,
        /// Its arguments. A function always counts as lateral: `Outer` depth 1 is the row of the join's left side (a row
        /// without columns when there is none), depth 2 the row that depth 1 means around it.
        args: Vec<Expr>,
        /// Output columns, with `ordinality` last if asked for.
        fields: Vec<Field>,
        /// WITH ORDINALITY.
        ordinality: bool,
    },
    /// A virtual table of pg_catalog, information_schema or sharddb, filled by the executor.
    Virtual {
        /// Schema.
        schema: String,
        /// Name.
        name: String,
        /// Output columns.
        fields: Vec<Field>,
    },
    /// A subquery in FROM. With `lateral`, `Outer` depth 1 refers to the left side of the join above, and depth 2 to
    /// the row that depth 1 means around it. Without, it sees the same outer rows as what is around it; so does the
    /// query of a CTE.
    Derived {
        /// The query.
        query: Box<Query>,
        /// May refer to its left neighbours.
        lateral: bool,
    },
    /// A join; output is the left fields, then the right fields (left only for semi and anti joins).
    Join {
        /// Left input.
        left: Box<Relation>,
        /// Right input.
        right: Box<Relation>,
        /// Which kind.
        kind: JoinKind,
        /// Condition over left fields then right fields; `None` is a cross join.
        on: Option<Expr>,
    },
    /// Keeps rows for which the condition is true.
    Filter {
        /// Input.
        input: Box<Relation>,
        /// The condition.
        condition: Expr,
    },
    /// Computes columns.
    Project {
        /// Input.
        input: Box<Relation>,
        /// One for each output column.
        exprs: Vec<Expr>,
        /// Output columns.
        fields: Vec<Field>,
    },
    /// Set-returning functions of a select list: output is the input's fields, then one column for each function;
    /// shorter results are filled with NULL.
    ProjectSet {
        /// Input.
        input: Box<Relation>,
        /// Function name, arguments and output column.
        functions: Vec<(String, Vec<Expr>, Field)>,
    },
    /// Groups and aggregates; output is the group expressions, then the aggregates, then with more than one
    /// grouping set one int4 column for each GROUPING call.
    Aggregate {
        /// Input.
        input: Box<Relation>,
        /// All distinct group expressions.
        group_by: Vec<Expr>,
        /// Grouping sets as positions in `group_by`; one set with all positions for a plain GROUP BY.
        grouping_sets: Vec<Vec<usize>>,
        /// The aggregates.
        aggregates: Vec<AggregateCall>,
        /// GROUPING(…) calls as positions in `group_by`.
        groupings: Vec<Vec<usize>>,
        /// Output columns.
        fields: Vec<Field>,
    },
    /// Window functions; output is the input's fields, then one column for each call.
    Window {
        /// Input.
        input: Box<Relation>,
        /// The calls.
        calls: Vec<WindowCall>,
    },
    /// DISTINCT over all columns, or DISTINCT ON the given expressions, keeping the first row in input order.
    Distinct {
        /// Input.
        input: Box<Relation>,
        /// DISTINCT ON; empty for plain DISTINCT.
        on: Vec<Expr>,
    },
    /// ORDER BY.
    Sort {
        /// Input.
        input: Box<Relation>,
        /// Keys.
        keys: Vec<SortKey>,
    },
    /// LIMIT and OFFSET: int8 expressions without columns.
    Limit {
        /// Input.
        input: Box<Relation>,
        /// Rows kept; NULL is no limit.
        limit: Option<Expr>,
        /// Rows skipped.
        offset: Option<Expr>,
        /// FETCH … WITH TIES over these keys.
        with_ties: Option<Vec<SortKey>>,
    },
    /// UNION, INTERSECT, EXCEPT. Both sides are converted to the types of `fields`.
    SetOperation {
        /// Which.
        operator: SetOperator,
        /// ALL.
        all: bool,
        /// Left input.
        left: Box<Relation>,
        /// Right input.
        right: Box<Relation>,
        /// Output columns.
        fields: Vec<Field>,
    },
}

/// A table in FROM or the target of a DML statement.
#[derive(Clone, Debug)]
pub struct TableScan {
    /// The table as of the statement's catalog snapshot.
    pub table: Arc<TableDescriptor>,
    /// Name by which the statement knows it; keys `RowLock::tables`.
    pub alias: String,
    /// Unique number of this reference within the statement.
    pub reference: usize,
    /// Live columns in table order.
    pub fields: Vec<Field>,
}

/// Join kinds. Semi and anti joins come from rewriting only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// INNER and CROSS
    Inner,
    /// LEFT
    Left,
    /// RIGHT
    Right,
    /// FULL
    Full,
}

/// UNION, INTERSECT or EXCEPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOperator {
    /// UNION
    Union,
    /// INTERSECT
    Intersect,
    /// EXCEPT
    Except,
}

/// A sort key with PostgreSQL's NULL placement made explicit.
#[derive(Clone, Debug)]
pub struct SortKey {
    /// What is compared.
    pub expr: Expr,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST.
    pub nulls_first: bool,
}

/// A FOR UPDATE / SHARE clause.
#[derive(Clone, Debug)]
pub struct RowLock {
    /// Strength.
    pub strength: LockStrength,
    /// What to do when a row is locked.
    pub wait: LockWait,
    /// `TableScan::reference` of the tables whose rows are locked.
    pub references: Vec<usize>,
}

/// PostgreSQL's row lock strengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockStrength {
    /// FOR KEY SHARE
    KeyShare,
    /// FOR SHARE
    Share,
    /// FOR NO KEY UPDATE
    NoKeyUpdate,
    /// FOR UPDATE
    Update,
}

/// What to do when a row is locked by another transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Wait.
    Block,
    /// 55P03.
    Nowait,
    /// Leave the row out.
    SkipLocked,
}

/// Output columns of a relation.
pub fn fields_of(relation: &Relation) -> Vec<Field> {
    match relation {
        Relation::Unit => Vec::new(),
        Relation::Scan(scan) => scan.fields.clone(),
        Relation::Values { fields, .. }
        | Relation::CteScan { fields, .. }
        | Relation::Function { fields, .. }
        | Relation::Virtual { fields, .. }
        | Relation::Project { fields, .. }
        | Relation::Aggregate { fields, .. }
        | Relation::SetOperation { fields, .. } => fields.clone(),
        Relation::Derived { query, .. } => query.fields.clone(),
        Relation::Join { left, right, .. } => {
            let mut fields = fields_of(left);
            fields.extend(fields_of(right));
            fields
        }
        Relation::Filter { input, .. }
        | Relation::Distinct { input, .. }
        | Relation::Sort { input, .. }
        | Relation::Limit { input, .. } => fields_of(input),
        Relation::ProjectSet { input, functions } => {
            let mut fields = fields_of(input);
            fields.extend(functions.iter().map(|(_, _, field)| field.clone()));
            fields
        }
        Relation::Window { input, calls } => {
            let mut fields = fields_of(input);
            let call = |sql_type| Field { name: "window".to_owned(), sql_type, origin: (0, 0) };
            fields.extend(calls.iter().map(|window| call(window.sql_type)));
            fields
        }
    }
}
