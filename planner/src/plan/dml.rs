//! Bound INSERT, UPDATE and DELETE.

use std::sync::Arc;

use schema::{ConstraintDescriptor, IndexId, TableDescriptor};
use sharddb_schema as schema;

use super::{Cte, Expr, Field, Query, Relation, TableScan};

/// RETURNING: expressions over the row as written (for DELETE: as it was), followed by the columns of FROM / USING.
#[derive(Clone, Debug)]
pub struct Returning {
    /// One for each output column.
    pub exprs: Vec<Expr>,
    /// Output columns.
    pub fields: Vec<Field>,
}

/// INSERT.
#[derive(Clone, Debug)]
pub struct Insert {
    /// WITH queries.
    pub ctes: Vec<Cte>,
    /// Target.
    pub table: Arc<TableDescriptor>,
    /// Positions in `table.columns` that the source gives, in source order.
    pub columns: Vec<usize>,
    /// Where the rows come from, converted to the columns' types (assignment casts applied).
    pub source: InsertSource,
    /// A value for each live column that the source does not give (default, or NULL), by position in
    /// `table.columns`; also used where a VALUES row says DEFAULT. Bound without input row.
    pub defaults: Vec<Expr>,
    /// GENERATED ALWAYS AS … STORED columns: position in `table.columns` and value over the table's row.
    pub generated: Vec<(usize, Expr)>,
    /// CHECK constraints, each a condition over the table's row.
    pub checks: Vec<(ConstraintDescriptor, Expr)>,
    /// OVERRIDING SYSTEM VALUE.
    pub overriding_system: bool,
    /// OVERRIDING USER VALUE.
    pub overriding_user: bool,
    /// ON CONFLICT.
    pub on_conflict: Option<(ConflictTarget, ConflictAction)>,
    /// RETURNING, over the table's row.
    pub returning: Option<Returning>,
}

/// Rows of an INSERT.
#[derive(Clone, Debug)]
pub enum InsertSource {
    /// VALUES rows, over no input; `Expr::Default` allowed.
    Values(Vec<Vec<Expr>>),
    /// A query.
    Query(Box<Query>),
    /// DEFAULT VALUES.
    Defaults,
}

/// Which conflicts ON CONFLICT answers.
#[derive(Clone, Debug)]
pub enum ConflictTarget {
    /// Any unique index (only with DO NOTHING).
    Any,
    /// These unique indexes, inferred from columns or named by constraint.
    Indexes(Vec<IndexId>),
}

/// What ON CONFLICT does.
#[derive(Clone, Debug)]
pub enum ConflictAction {
    /// DO NOTHING
    Nothing,
    /// DO UPDATE. Input row: the existing row's columns, then the proposed row's (`excluded`).
    Update {
        /// Position in `table.columns` and new value.
        assignments: Vec<(usize, Expr)>,
        /// WHERE.
        condition: Option<Expr>,
    },
}

/// UPDATE.
#[derive(Clone, Debug)]
pub struct Update {
    /// WITH queries.
    pub ctes: Vec<Cte>,
    /// Target.
    pub target: TableScan,
    /// FROM, if any.
    pub from: Option<Relation>,
    /// WHERE, over the target's columns followed by those of FROM.
    pub condition: Option<Expr>,
    /// Position in `table.columns` and new value, over the same input; `Expr::Default` allowed.
    pub assignments: Vec<(usize, Expr)>,
    /// Defaults as in `Insert`.
    pub defaults: Vec<Expr>,
    /// Generated columns as in `Insert`.
    pub generated: Vec<(usize, Expr)>,
    /// CHECK constraints over the table's row.
    pub checks: Vec<(ConstraintDescriptor, Expr)>,
    /// RETURNING, over the new row's columns followed by those of FROM.
    pub returning: Option<Returning>,
}

/// DELETE.
#[derive(Clone, Debug)]
pub struct Delete {
    /// WITH queries.
    pub ctes: Vec<Cte>,
    /// Target.
    pub target: TableScan,
    /// USING, if any.
    pub using: Option<Relation>,
    /// WHERE, over the target's columns followed by those of USING.
    pub condition: Option<Expr>,
    /// RETURNING, over the same input.
    pub returning: Option<Returning>,
}
