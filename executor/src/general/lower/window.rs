//! Window functions: one sort and one operator for each distinct partitioning and order.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use planner::plan::{Expr, FrameBound, FrameUnit, SortKey, WindowCall, WindowFrame};
use proto::{SqlError, SqlResult, SqlState};
use schema::{Datum, Interval, Numeric, compare::compare, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Exprs, Lower, Lowered, Scope, schema_of, single};
use crate::general::{
    explain::{Note, deparse_all},
    expr::sql_type,
    ir::{Column, Rel},
    operators::{Bound, Frame, OperatorExec, RangeOrder, Window, WindowColumn},
};

impl Lower<'_> {
    pub(super) fn window(&self, rel: &Rel, input: &Rel, calls: &[WindowCall], scope: &Scope) -> SqlResult<Lowered> {
        let mut lowered = self.rel(input, scope)?;
        let mut columns = input.columns.clone();
        // Where each call's column comes to be.
        let mut places = vec![0; calls.len()];
        for group in groups(calls) {
            for number in &group {
                places[*number] = columns.len();
                columns.push(rel.columns[input.arity() + number].clone());
            }
            let calls: Vec<&WindowCall> = group.iter().map(|number| &calls[*number]).collect();
            lowered = self.window_group(lowered, &calls, &columns)?;
        }
        let order: Vec<usize> = (0..input.arity()).chain(places).collect();
        if order.iter().enumerate().all(|(at, place)| at == *place) {
            return Ok(lowered);
        }
        let exprs: Vec<Expr> =
            order.iter().map(|at| Expr::Column { index: *at, sql_type: columns[*at].sql_type }).collect();
        self.project_plan(lowered, rel, &exprs)
    }

    /// Calls with the same partitioning and order.
    fn window_group(&self, input: Lowered, calls: &[&WindowCall], columns: &[Column]) -> SqlResult<Lowered> {
        let first = calls[0];
        let mut keys: Vec<SortKey> = first.partition_by.iter().cloned().map(ascending).collect();
        keys.extend(first.order_by.iter().cloned());
        let sorted = if keys.is_empty() {
            Lowered { plan: single(input.plan), note: input.note }
        } else {
            self.sort_plan(input, &keys, None, columns)?
        };
        let schema = sorted.plan.schema();
        let exprs = self.exprs(&schema);
        let key = |expr: &Expr| exprs.key(expr);
        let lowered = calls.iter().map(|call| window_column(call, &exprs, &self.statement.eval));
        let operator = Window {
            statement: Arc::clone(self.statement),
            partition_by: first.partition_by.iter().map(key).collect::<SqlResult<_>>()?,
            order_by: first.order_by.iter().map(|sort| key(&sort.expr)).collect::<SqlResult<_>>()?,
            calls: Arc::new(lowered.collect::<SqlResult<_>>()?),
        };
        let plan: Arc<dyn ExecutionPlan> = Arc::new(OperatorExec::new(operator, vec![sorted.plan], schema_of(columns)));
        let note = self.note(|| {
            let mut note = Note::titled("WindowAgg").metered(&plan);
            if !first.partition_by.is_empty() {
                note.details.push(format!("Partition By: {}", deparse_all(&first.partition_by, columns)));
            }
            note.with_child(sorted.note)
        });
        Ok(Lowered { plan, note })
    }
}

/// Numbers of the calls that share partitioning and order.
fn groups(calls: &[WindowCall]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        let specification = format!("{:?} {:?}", call.partition_by, call.order_by);
        match groups.iter_mut().find(|(known, _)| *known == specification) {
            Some((_, group)) => group.push(number),
            None => groups.push((specification, vec![number])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn ascending(expr: Expr) -> SortKey {
    SortKey { expr, descending: false, nulls_first: false }
}

fn window_column(call: &WindowCall, exprs: &Exprs<'_>, eval: &EvalContext) -> SqlResult<WindowColumn> {
    Ok(WindowColumn {
        function: call.function.clone(),
        args: exprs.lower_all(&call.args)?,
        arg_types: call.args.iter().map(sql_type).collect(),
        filter: call.filter.as_ref().map(|filter| exprs.lower(filter)).transpose()?,
        frame: frame(&call.frame, &call.order_by, exprs, eval)?,
        sql_type: call.sql_type,
    })
}

fn frame(frame: &WindowFrame, order_by: &[SortKey], exprs: &Exprs<'_>, eval: &EvalContext) -> SqlResult<Frame> {
    let start = bound(&frame.start, "starting", exprs, eval)?;
    let end = bound(&frame.end, "ending", exprs, eval)?;
    let has_offset = |bound: &Bound| matches!(bound, Bound::Preceding(..) | Bound::Following(..));
    let range = match order_by {
        [key] if frame.unit == FrameUnit::Range && (has_offset(&start) || has_offset(&end)) => Some(RangeOrder {
            value: exprs.lower(&key.expr)?,
            sql_type: sql_type(&key.expr),
            descending: key.descending,
        }),
        _ => None,
    };
    Ok(Frame { unit: frame.unit, start, end, range })
}

fn bound(bound: &FrameBound, which: &str, exprs: &Exprs<'_>, eval: &EvalContext) -> SqlResult<Bound> {
    Ok(match bound {
        FrameBound::UnboundedPreceding => Bound::UnboundedPreceding,
        FrameBound::CurrentRow => Bound::CurrentRow,
        FrameBound::UnboundedFollowing => Bound::UnboundedFollowing,
        FrameBound::Preceding(expr) => Bound::Preceding(offset(expr, which, exprs, eval)?, sql_type(expr)),
        FrameBound::Following(expr) => Bound::Following(offset(expr, which, exprs, eval)?, sql_type(expr)),
    })
}

fn offset(expr: &Expr, which: &str, exprs: &Exprs<'_>, _: &EvalContext) -> SqlResult<Datum> {
    let value = exprs.evaluate(expr)?;
    if value.is_null() {
        let message = format!("frame {which} offset must not be null");
        return Err(SqlError::new(SqlState::NullValueNotAllowed, message));
    }
    let zero = match &value {
        Datum::Int2(_) => Datum::Int2(0),
        Datum::Int4(_) => Datum::Int4(0),
        Datum::Int8(_) => Datum::Int8(0),
        Datum::Float4(_) => Datum::Float4(0.0),
        Datum::Float8(_) => Datum::Float8(0.0),
        Datum::Numeric(_) => Datum::Numeric(Numeric::Small { digits: 0, scale: 0 }),
        _ => Datum::Interval(Interval::default()),
    };
    let negative = compare(&value, &zero).is_lt();
    if negative {
        let message = format!("frame {which} offset must not be negative");
        return Err(SqlError::new(SqlState::InvalidPrecedingOrFollowingSize, message));
    }
    Ok(value)
}
