//! The tree that the general path rewrites and lowers: relations with known columns.
//!
//! It differs from the bound plan in three ways: WITH queries and subqueries are nodes of the tree (`With`, `Apply`)
//! instead of being nested in expressions, every node knows its columns, and joins may be semi and anti joins.
//! Expressions are those of the bound plan without parameters and subqueries.
//!
//! # Outer columns
//! `Expr::Outer` of depth 1 refers to the row of the nearest enclosing `Apply` call or the left row of the nearest
//! enclosing `Lateral`, of depth 2 to the one around that. Nothing else counts as a level.

use std::sync::Arc;

use planner::plan::{AggregateCall, Expr, SetOperator, SortKey, WindowCall};
use schema::{Datum, SqlType, TableDescriptor, functions};
use sharddb_planner as planner;
use sharddb_schema as schema;

/// An output column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Shown by EXPLAIN.
    pub(super) name: Arc<str>,
    pub(super) sql_type: SqlType,
}

/// A relation and its columns.
#[derive(Clone, Debug)]
pub(super) struct Rel {
    pub(super) node: Node,
    pub(super) columns: Vec<Column>,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    /// One row without columns.
    Unit,
    /// No rows.
    Empty,
    Scan(Box<Scan>),
    Values(Vec<Vec<Expr>>),
    /// A WITH query of the nearest `With` or `Recursive` that defines this number.
    Shared(usize),
    /// Relations computed at most once, and what reads them. Later ones may read earlier ones.
    With {
        shared: Vec<(usize, Rel)>,
        body: Box<Rel>,
    },
    /// WITH RECURSIVE: `step` reads the rows of the last round as `Shared(id)`.
    Recursive {
        id: usize,
        first: Box<Rel>,
        step: Box<Rel>,
        distinct: bool,
    },
    /// A table of the system catalog, filled by the executor.
    Virtual {
        schema: String,
        name: String,
    },
    Join {
        kind: Join,
        left: Box<Rel>,
        right: Box<Rel>,
        on: Vec<Expr>,
    },
    /// `right` is computed for each left row; with `outer`, left rows without a match are kept.
    Lateral {
        left: Box<Rel>,
        right: Box<Rel>,
        outer: bool,
        on: Vec<Expr>,
    },
    /// Adds one column for each call, whose subquery may refer to the input's row.
    Apply {
        input: Box<Rel>,
        calls: Vec<Call>,
    },
    Filter {
        input: Box<Rel>,
        conditions: Vec<Expr>,
    },
    Project {
        input: Box<Rel>,
        exprs: Vec<Expr>,
    },
    /// Set-returning functions in step: the input's columns, the functions', then the row number.
    ProjectSet {
        input: Box<Rel>,
        functions: Vec<SetCall>,
        ordinality: bool,
    },
    Aggregate(Box<Aggregate>),
    Window {
        input: Box<Rel>,
        calls: Vec<WindowCall>,
    },
    /// The first row of each value of `on`, or of the whole row, in input order if that matters.
    Distinct {
        input: Box<Rel>,
        on: Vec<Expr>,
    },
    Sort {
        input: Box<Rel>,
        keys: Vec<SortKey>,
    },
    Limit {
        input: Box<Rel>,
        limit: Option<Expr>,
        offset: Option<Expr>,
        ties: Option<Vec<SortKey>>,
    },
    SetOperation {
        operator: SetOperator,
        all: bool,
        left: Box<Rel>,
        right: Box<Rel>,
    },
}

/// Join kinds. Semi and anti joins have the left columns only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    Anti,
}

/// Reads a table.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    pub(super) table: Arc<TableDescriptor>,
    pub(super) alias: Arc<str>,
    /// Positions in `table.columns`, one for each output column but the key.
    pub(super) positions: Vec<usize>,
    /// The row's key (bytea) is the last column.
    pub(super) with_key: bool,
}

/// A set-returning function and its result columns.
#[derive(Clone, Debug)]
pub(super) struct SetCall {
    pub(super) name: String,
    pub(super) args: Vec<Expr>,
    pub(super) width: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Aggregate {
    pub(super) input: Rel,
    pub(super) groups: Vec<Expr>,
    /// Positions in `groups`.
    pub(super) sets: Vec<Vec<usize>>,
    pub(super) calls: Vec<AggregateCall>,
    /// GROUPING calls as positions in `groups`.
    pub(super) groupings: Vec<Vec<usize>>,
}

/// A subquery evaluated for each input row.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) kind: CallKind,
    pub(super) rel: Rel,
    pub(super) sql_type: SqlType,
    /// Evaluated only where this is true (a branch of CASE or COALESCE); NULL elsewhere.
    pub(super) guard: Option<Expr>,
}

/// What is asked of a subquery.
#[derive(Clone, Debug)]
pub(super) enum CallKind {
    Scalar,
    Array,
    Exists,
    /// `inputs op ANY / ALL (subquery)`. Inputs are over the input's columns and the earlier calls' columns.
    Compare {
        inputs: Vec<Expr>,
        operators: Vec<&'static functions::Function>,
        all: bool,
    },
}

impl Column {
    pub(super) fn new(name: impl Into<Arc<str>>, sql_type: SqlType) -> Self {
        Self { name: name.into(), sql_type }
    }
}

impl Rel {
    pub(super) fn new(node: Node, columns: Vec<Column>) -> Self {
        Self { node, columns }
    }

    pub(super) fn unit() -> Self {
        Self::new(Node::Unit, Vec::new())
    }

    pub(super) fn arity(&self) -> usize {
        self.columns.len()
    }

    /// A reference to one of its columns.
    pub(super) fn column(&self, index: usize) -> Expr {
        Expr::Column { index, sql_type: self.columns[index].sql_type }
    }

    /// References to all its columns.
    pub(super) fn all_columns(&self) -> Vec<Expr> {
        (0..self.arity()).map(|index| self.column(index)).collect()
    }

    /// Keeps rows for which every condition is true.
    pub(super) fn filter(self, conditions: Vec<Expr>) -> Self {
        if conditions.is_empty() {
            return self;
        }
        let columns = self.columns.clone();
        Self::new(Node::Filter { input: Box::new(self), conditions }, columns)
    }

    /// Computes columns.
    pub(super) fn project(self, exprs: Vec<Expr>, columns: Vec<Column>) -> Self {
        debug_assert_eq!(exprs.len(), columns.len(), "one expression for each column");
        Self::new(Node::Project { input: Box::new(self), exprs }, columns)
    }

    /// Keeps these columns, in this order.
    pub(super) fn select(self, positions: &[usize]) -> Self {
        if positions.len() == self.arity() && positions.iter().enumerate().all(|(at, position)| at == *position) {
            return self;
        }
        let exprs = positions.iter().map(|at| self.column(*at)).collect();
        let columns = positions.iter().map(|at| self.columns[*at].clone()).collect();
        self.project(exprs, columns)
    }

    /// A join of two relations.
    pub(super) fn join(kind: Join, left: Self, right: Self, on: Vec<Expr>) -> Self {
        let mut columns = left.columns.clone();
        if !matches!(kind, Join::Semi | Join::Anti) {
            columns.extend(right.columns.iter().cloned());
        }
        Self::new(Node::Join { kind, left: Box::new(left), right: Box::new(right), on }, columns)
    }

    /// Adds subquery columns; without calls the relation itself.
    pub(super) fn apply(self, calls: Vec<Call>) -> Self {
        if calls.is_empty() {
            return self;
        }
        let mut columns = self.columns.clone();
        columns.extend(calls.iter().map(|call| Column::new("?column?", call.sql_type)));
        Self::new(Node::Apply { input: Box::new(self), calls }, columns)
    }

    /// No rows, with these columns.
    pub(super) fn empty(columns: Vec<Column>) -> Self {
        Self::new(Node::Empty, columns)
    }

    /// Its inputs without subqueries of calls.
    pub(super) fn inputs(&self) -> Vec<&Rel> {
        match &self.node {
            Node::Unit | Node::Empty | Node::Scan(_) | Node::Values(_) | Node::Shared(_) | Node::Virtual { .. } => {
                Vec::new()
            }
            Node::With { shared, body } => shared.iter().map(|(_, rel)| rel).chain([&**body]).collect(),
            Node::Recursive { first, step, .. } => vec![first, step],
            Node::Join { left, right, .. }
            | Node::Lateral { left, right, .. }
            | Node::SetOperation { left, right, .. } => vec![left, right],
            Node::Aggregate(aggregate) => vec![&aggregate.input],
            Node::Apply { input, .. }
            | Node::Filter { input, .. }
            | Node::Project { input, .. }
            | Node::ProjectSet { input, .. }
            | Node::Window { input, .. }
            | Node::Distinct { input, .. }
            | Node::Sort { input, .. }
            | Node::Limit { input, .. } => vec![input],
        }
    }

    /// The same, to change.
    pub(super) fn inputs_mut(&mut self) -> Vec<&mut Rel> {
        match &mut self.node {
            Node::Unit | Node::Empty | Node::Scan(_) | Node::Values(_) | Node::Shared(_) | Node::Virtual { .. } => {
                Vec::new()
            }
            Node::With { shared, body } => shared.iter_mut().map(|(_, rel)| rel).chain([&mut **body]).collect(),
            Node::Recursive { first, step, .. } => vec![first, step],
            Node::Join { left, right, .. }
            | Node::Lateral { left, right, .. }
            | Node::SetOperation { left, right, .. } => vec![left, right],
            Node::Aggregate(aggregate) => vec![&mut aggregate.input],
            Node::Apply { input, .. }
            | Node::Filter { input, .. }
            | Node::Project { input, .. }
            | Node::ProjectSet { input, .. }
            | Node::Window { input, .. }
            | Node::Distinct { input, .. }
            | Node::Sort { input, .. }
            | Node::Limit { input, .. } => vec![input],
        }
    }

    /// Its own expressions, not those of its inputs.
    pub(super) fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        match &mut self.node {
            Node::Unit
            | Node::Empty
            | Node::Scan(_)
            | Node::Shared(_)
            | Node::With { .. }
            | Node::Recursive { .. }
            | Node::Virtual { .. }
            | Node::SetOperation { .. } => Vec::new(),
            Node::Values(rows) => rows.iter_mut().flatten().collect(),
            Node::Join { on, .. } | Node::Lateral { on, .. } | Node::Distinct { on, .. } => on.iter_mut().collect(),
            Node::Apply { calls, .. } => calls.iter_mut().flat_map(Call::exprs_mut).collect(),
            Node::Filter { conditions: exprs, .. } | Node::Project { exprs, .. } => exprs.iter_mut().collect(),
            Node::ProjectSet { functions, .. } => functions.iter_mut().flat_map(|call| &mut call.args).collect(),
            Node::Aggregate(aggregate) => aggregate.exprs_mut(),
            Node::Window { calls, .. } => calls.iter_mut().flat_map(window_exprs_mut).collect(),
            Node::Sort { keys, .. } => keys.iter_mut().map(|key| &mut key.expr).collect(),
            Node::Limit { limit, offset, ties, .. } => {
                let ties = ties.iter_mut().flatten().map(|key| &mut key.expr);
                limit.iter_mut().chain(offset).chain(ties).collect()
            }
        }
    }
}

impl Call {
    /// Its expressions over the input's row.
    pub(super) fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let inputs = match &mut self.kind {
            CallKind::Compare { inputs, .. } => inputs.iter_mut().collect(),
            CallKind::Scalar | CallKind::Array | CallKind::Exists => Vec::new(),
        };
        self.guard.iter_mut().chain(inputs).collect()
    }
}

impl Aggregate {
    fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let calls = self.calls.iter_mut().flat_map(aggregate_exprs_mut);
        self.groups.iter_mut().chain(calls).collect()
    }
}

/// Expressions of an aggregate call.
pub(super) fn aggregate_exprs_mut(call: &mut AggregateCall) -> Vec<&mut Expr> {
    let keys = call.order_by.iter_mut().map(|key| &mut key.expr);
    call.args.iter_mut().chain(&mut call.filter).chain(keys).collect()
}

fn window_exprs_mut(call: &mut WindowCall) -> Vec<&mut Expr> {
    use planner::plan::FrameBound;
    fn bound(bound: &mut FrameBound) -> Option<&mut Expr> {
        match bound {
            FrameBound::Preceding(expr) | FrameBound::Following(expr) => Some(expr),
            FrameBound::UnboundedPreceding | FrameBound::CurrentRow | FrameBound::UnboundedFollowing => None,
        }
    }
    let keys = call.order_by.iter_mut().map(|key| &mut key.expr);
    let frame = bound(&mut call.frame.start).into_iter().chain(bound(&mut call.frame.end));
    call.args.iter_mut().chain(&mut call.filter).chain(&mut call.partition_by).chain(keys).chain(frame).collect()
}

/// A constant of a type.
pub(super) fn constant(value: Datum, sql_type: SqlType) -> Expr {
    Expr::Constant { value, sql_type }
}
