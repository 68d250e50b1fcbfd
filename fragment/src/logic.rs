//! AND, OR and COALESCE that evaluate an operand only for rows that need it.
//!
//! DataFusion's own AND and OR may evaluate the right side for rows the left side has decided, which shows when it
//! fails: `x <> 0 AND 10 / x > 1` must not divide by zero.

use std::{fmt, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray},
    buffer::BooleanBuffer,
    compute::{
        is_null,
        kernels::{boolean, zip::zip},
    },
    datatypes::{DataType, Field, FieldRef, Schema},
    record_batch::RecordBatch,
};
use datafusion::{
    common::Result,
    logical_expr::ColumnarValue,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, IsNotNullExpr, IsNullExpr, Literal, NotExpr},
    },
};

/// Which connective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogicKind {
    /// Three-valued AND.
    And,
    /// Three-valued OR.
    Or,
    /// The first operand that is not NULL.
    Coalesce,
}

/// A connective over operands of one type, evaluated left to right.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Logic {
    kind: LogicKind,
    args: Vec<Arc<dyn PhysicalExpr>>,
    data_type: DataType,
}

impl Logic {
    /// A connective; there is at least one operand.
    pub fn new(kind: LogicKind, args: Vec<Arc<dyn PhysicalExpr>>, data_type: DataType) -> Self {
        Self { kind, args, data_type }
    }

    /// Which one.
    pub fn kind(&self) -> LogicKind {
        self.kind
    }

    /// Adds the next operand's answer for the undecided rows.
    fn combine(&self, so_far: &ArrayRef, next: &ArrayRef) -> Result<ArrayRef> {
        Ok(match self.kind {
            LogicKind::And => Arc::new(boolean::and_kleene(so_far.as_boolean(), next.as_boolean())?),
            LogicKind::Or => Arc::new(boolean::or_kleene(so_far.as_boolean(), next.as_boolean())?),
            LogicKind::Coalesce => zip(&is_null(so_far)?, next, so_far)?,
        })
    }

    /// Rows that further operands can change.
    fn undecided(&self, so_far: &ArrayRef) -> Result<BooleanArray> {
        let rows = match self.kind {
            LogicKind::Coalesce => return Ok(is_null(so_far)?),
            LogicKind::And => so_far.as_boolean().values().clone(),
            LogicKind::Or => !so_far.as_boolean().values(),
        };
        Ok(BooleanArray::new(or_null(rows, so_far), None))
    }
}

/// Whether an expression compares columns and constants by DataFusion's own operators.
fn is_comparison(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let plain = |expr: &Arc<dyn PhysicalExpr>| expr.is::<Column>() || expr.is::<Literal>();
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        return plain(binary.left()) && plain(binary.right());
    }
    let null_test = expr.is::<IsNullExpr>() || expr.is::<IsNotNullExpr>();
    (null_test || expr.is::<NotExpr>()) && expr.children().into_iter().all(|child| plain(child) || is_comparison(child))
}

fn or_null(rows: BooleanBuffer, array: &ArrayRef) -> BooleanBuffer {
    match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => &rows | &!nulls.inner(),
        _ => rows,
    }
}

impl fmt::Display for Logic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<String> = self.args.iter().map(|arg| arg.to_string()).collect();
        match self.kind {
            LogicKind::And => write!(f, "({})", args.join(" AND ")),
            LogicKind::Or => write!(f, "({})", args.join(" OR ")),
            LogicKind::Coalesce => write!(f, "COALESCE({})", args.join(", ")),
        }
    }
}

impl PhysicalExpr for Logic {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::new(Field::new("logic", self.data_type.clone(), true)))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let rows = batch.num_rows();
        let Some((first, others)) = self.args.split_first() else {
            return datafusion::common::internal_err!("a connective without operands");
        };
        let mut so_far = first.evaluate(batch)?.into_array(rows)?;
        for arg in others {
            let undecided = self.undecided(&so_far)?;
            if !undecided.has_true() {
                break;
            }
            // Choosing rows costs more than comparing all of them, and a comparison cannot fail.
            let next = match is_comparison(arg) {
                true => arg.evaluate(batch)?,
                false => arg.evaluate_selection(batch, &undecided)?,
            };
            let next = next.into_array(rows)?;
            so_far = self.combine(&so_far, &next)?;
        }
        Ok(ColumnarValue::Array(so_far))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.args.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self::new(self.kind, children, self.data_type.clone())))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
