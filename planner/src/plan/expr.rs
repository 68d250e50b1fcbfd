//! Bound scalar expressions.

use schema::{Datum, Oid, SqlType, functions};
use sharddb_schema as schema;

use super::{Query, SortKey};

/// A scalar expression over one input row. Every node knows its type; NULL semantics are PostgreSQL's.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A column of the input row, by position.
    Column {
        /// Position in the input's fields.
        index: usize,
        /// Its type.
        sql_type: SqlType,
    },
    /// A column of an enclosing query's row (correlated subquery, LATERAL).
    Outer {
        /// 1 for the query directly around this one.
        depth: usize,
        /// Position in that row.
        index: usize,
        /// Its type.
        sql_type: SqlType,
    },
    /// A statement parameter.
    Parameter {
        /// From 0.
        index: usize,
        /// Its type, decided by the client or inferred.
        sql_type: SqlType,
    },
    /// A literal or folded constant.
    Constant {
        /// Its value.
        value: Datum,
        /// Its type.
        sql_type: SqlType,
    },
    /// A function or operator.
    Call {
        /// Which one.
        function: &'static functions::Function,
        /// Its arguments, converted to the declared types.
        args: Vec<Expr>,
        /// Result type with polymorphism resolved.
        sql_type: SqlType,
    },
    /// A conversion, including one that only applies a length or precision.
    Cast {
        /// What is converted.
        input: Box<Expr>,
        /// To what.
        sql_type: SqlType,
        /// How it was asked for; explicit casts truncate where assignment casts fail.
        context: functions::CastContext,
    },
    /// Three-valued AND over two or more conditions.
    And(Vec<Expr>),
    /// Three-valued OR over two or more conditions.
    Or(Vec<Expr>),
    /// Three-valued NOT.
    Not(Box<Expr>),
    /// `IS [NOT] NULL`.
    IsNull {
        /// What is tested.
        input: Box<Expr>,
        /// IS NOT NULL.
        negated: bool,
    },
    /// `IS [NOT] TRUE / FALSE / UNKNOWN`; `expected` None stands for UNKNOWN.
    IsBool {
        /// What is tested.
        input: Box<Expr>,
        /// TRUE, FALSE or UNKNOWN.
        expected: Option<bool>,
        /// IS NOT.
        negated: bool,
    },
    /// `IS [NOT] DISTINCT FROM`; `equal` is the equality function of the common type.
    IsDistinct {
        /// Left side.
        left: Box<Expr>,
        /// Right side.
        right: Box<Expr>,
        /// Equality of the common type.
        equal: &'static functions::Function,
        /// IS NOT DISTINCT FROM.
        negated: bool,
    },
    /// `CASE`; a simple CASE is bound to conditions `operand = value`.
    Case {
        /// Condition and result, in order.
        branches: Vec<(Expr, Expr)>,
        /// ELSE; a NULL constant when absent.
        otherwise: Box<Expr>,
        /// Common type of the results.
        sql_type: SqlType,
    },
    /// `COALESCE`.
    Coalesce {
        /// Arguments of the common type.
        args: Vec<Expr>,
        /// The common type.
        sql_type: SqlType,
    },
    /// `x IN (…)` over expressions of one common type.
    InList {
        /// What is looked for.
        input: Box<Expr>,
        /// Where.
        list: Vec<Expr>,
        /// Equality of the common type.
        equal: &'static functions::Function,
        /// NOT IN.
        negated: bool,
    },
    /// `x op ANY (array)` or `x op ALL (array)`.
    Quantified {
        /// Left operand.
        input: Box<Expr>,
        /// The array.
        array: Box<Expr>,
        /// The operator on (input, element).
        operator: &'static functions::Function,
        /// ALL.
        all: bool,
    },
    /// `ARRAY[…]`; multi-dimensional when the elements are arrays.
    Array {
        /// Elements of the element type, or sub-arrays.
        elements: Vec<Expr>,
        /// The array type.
        sql_type: SqlType,
    },
    /// `a[i]` or `a[i:j]`.
    Subscript {
        /// The array.
        array: Box<Expr>,
        /// One for each dimension: (lower or index, upper for a slice).
        indexes: Vec<(Option<Expr>, Option<Option<Expr>>)>,
        /// Element type, or the array type for a slice.
        sql_type: SqlType,
    },
    /// `ROW(…)`.
    Row(Vec<Expr>),
    /// A subquery used as a value or condition.
    Subquery {
        /// Scalar, EXISTS, IN …
        kind: SubqueryKind,
        /// The query; its `Outer` columns of depth 1 refer to this expression's input row.
        query: Box<Query>,
        /// Type of the value: bool for all but scalar and array ones.
        sql_type: SqlType,
    },
    /// DEFAULT in a VALUES row of an INSERT or in an UPDATE's SET; replaced by the executor's column default.
    Default,
}

impl Expr {
    /// Its type. `Default` has none and answers unknown.
    pub fn sql_type(&self) -> SqlType {
        match self {
            Self::Column { sql_type, .. }
            | Self::Outer { sql_type, .. }
            | Self::Parameter { sql_type, .. }
            | Self::Constant { sql_type, .. }
            | Self::Call { sql_type, .. }
            | Self::Cast { sql_type, .. }
            | Self::Case { sql_type, .. }
            | Self::Coalesce { sql_type, .. }
            | Self::Array { sql_type, .. }
            | Self::Subscript { sql_type, .. }
            | Self::Subquery { sql_type, .. } => *sql_type,
            Self::And(_)
            | Self::Or(_)
            | Self::Not(_)
            | Self::IsNull { .. }
            | Self::IsBool { .. }
            | Self::IsDistinct { .. }
            | Self::InList { .. }
            | Self::Quantified { .. } => SqlType::new(Oid::BOOL),
            Self::Row(_) => SqlType::new(Oid::RECORD),
            Self::Default => SqlType::new(Oid::UNKNOWN),
        }
    }

    /// A NULL of a type.
    pub fn null(sql_type: SqlType) -> Self {
        Self::Constant { value: Datum::Null, sql_type }
    }

    /// Whether it is a literal NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Constant { value: Datum::Null, .. })
    }
}

/// What a subquery expression asks of its query.
#[derive(Clone, Debug)]
pub enum SubqueryKind {
    /// The one value of the one row, NULL for none; more rows are 21000.
    Scalar,
    /// `ARRAY(SELECT …)`.
    Array,
    /// `EXISTS`.
    Exists,
    /// `input op ANY (SELECT …)`; IN is `= ANY`. Rows compare column by column.
    Any {
        /// Left operands, one for each column of the query, converted to the common types.
        inputs: Vec<Expr>,
        /// The operator for each column.
        operators: Vec<&'static functions::Function>,
    },
    /// `input op ALL (SELECT …)`; NOT IN is `<> ALL`.
    All {
        /// Left operands.
        inputs: Vec<Expr>,
        /// The operator for each column.
        operators: Vec<&'static functions::Function>,
    },
}

/// One aggregate of an Aggregate node.
#[derive(Clone, Debug)]
pub struct AggregateCall {
    /// Which aggregate.
    pub function: &'static functions::Aggregate,
    /// Arguments over the aggregate's input row.
    pub args: Vec<Expr>,
    /// DISTINCT.
    pub distinct: bool,
    /// FILTER (WHERE …).
    pub filter: Option<Expr>,
    /// ORDER BY inside the call.
    pub order_by: Vec<SortKey>,
    /// Result type with polymorphism resolved.
    pub sql_type: SqlType,
}

/// The function of a window call.
#[derive(Clone, Debug)]
pub enum WindowFunction {
    /// An aggregate used as window function.
    Aggregate(&'static functions::Aggregate),
    /// row_number, rank, dense_rank, percent_rank, cume_dist, ntile, lag, lead, first_value, last_value, nth_value.
    Builtin(&'static str),
}

/// One call of a Window node.
#[derive(Clone, Debug)]
pub struct WindowCall {
    /// Which function.
    pub function: WindowFunction,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// FILTER of an aggregate.
    pub filter: Option<Expr>,
    /// PARTITION BY.
    pub partition_by: Vec<Expr>,
    /// ORDER BY.
    pub order_by: Vec<SortKey>,
    /// The frame.
    pub frame: WindowFrame,
    /// Result type.
    pub sql_type: SqlType,
}

/// A window frame; the default is RANGE UNBOUNDED PRECEDING TO CURRENT ROW.
#[derive(Clone, Debug)]
pub struct WindowFrame {
    /// ROWS, RANGE or GROUPS.
    pub unit: FrameUnit,
    /// Start.
    pub start: FrameBound,
    /// End.
    pub end: FrameBound,
}

/// What a frame's offsets count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameUnit {
    /// ROWS
    Rows,
    /// RANGE
    Range,
    /// GROUPS
    Groups,
}

/// One end of a frame.
#[derive(Clone, Debug)]
pub enum FrameBound {
    /// UNBOUNDED PRECEDING
    UnboundedPreceding,
    /// n PRECEDING
    Preceding(Box<Expr>),
    /// CURRENT ROW
    CurrentRow,
    /// n FOLLOWING
    Following(Box<Expr>),
    /// UNBOUNDED FOLLOWING
    UnboundedFollowing,
}
