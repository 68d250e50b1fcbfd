//! When a join reads its smaller side first and looks its keys up on the other (see `operators::Lookup`).

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use planner::plan::Expr;
use proto::SqlResult;
use schema::{
    IndexState, Oid, SqlType,
    functions::{Function, resolve_operator},
    key::index_span,
};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    Lower, Lowered, Scope,
    join::{Equality, divide},
    schema_of,
};
use crate::general::{
    context::span,
    explain::{Note, deparse_all},
    ir::{Join, Node, Rel, Scan},
    operators::{KEPT, KEYS_MAX, Lookup, LookupKey, LookupSpec, OperatorExec},
    optimize::estimate,
    scan::bounds,
};

/// The table looked up must have this many rows for each row of the smaller side, or reading it in order is as good.
const ADVANTAGE: f64 = 20.0;

impl Lower<'_> {
    /// The join as a lookup, if that promises to be cheaper.
    pub(super) fn lookup_join(
        &self,
        rel: &Rel,
        kind: Join,
        left: &Rel,
        right: &Rel,
        on: &[Expr],
        scope: &Scope,
    ) -> SqlResult<Option<Lowered>> {
        let (equalities, _) = divide(on, left.arity());
        let kept_left = match kind {
            Join::Inner | Join::Semi => {
                let by_left = self.promises(left, right, &equalities, true);
                if !by_left && !self.promises(right, left, &equalities, false) {
                    return Ok(None);
                }
                by_left
            }
            // Every left row comes out: only the right side can be narrowed.
            Join::Left | Join::Anti if self.promises(left, right, &equalities, true) => true,
            _ => return Ok(None),
        };
        let (kept, other) = if kept_left { (left, right) } else { (right, left) };
        let mut keys = Vec::new();
        let mut exprs = Vec::new();
        for equality in &equalities {
            let (own, looked_up) = sides(equality, kept_left);
            if let (Some(equal), Some(_)) = (equality_of(own, looked_up), indexed(other, looked_up)) {
                keys.push(LookupKey { oid: own.sql_type().oid, other: looked_up.clone(), equal });
                exprs.push(own);
            }
        }
        self.note_lookups(other);
        let lowered = self.single_rel(kept, scope)?;
        let schema = lowered.plan.schema();
        let keys_over_kept = self.exprs(&schema).lower_all(exprs)?;
        let spec = LookupSpec { kind, kept_left, kept: bare(kept), other: other.clone(), on: on.to_vec(), keys };
        let operator = Lookup {
            statement: Arc::clone(self.statement),
            scope: scope.clone(),
            spec: Arc::new(spec),
            keys: keys_over_kept,
        };
        let plan: Arc<dyn ExecutionPlan> =
            Arc::new(OperatorExec::new(operator, vec![lowered.plan], schema_of(&rel.columns)));
        let note = if self.explain {
            let columns = [left.columns.clone(), right.columns.clone()].concat();
            let title = match kind {
                Join::Inner => "Lookup Join",
                Join::Left => "Lookup Left Join",
                Join::Semi => "Lookup Semi Join",
                _ => "Lookup Anti Join",
            };
            let note = Note::titled(title).detail(format!("Lookup Cond: {}", deparse_all(on, &columns)));
            note.metered(&plan).with_child(lowered.note).with_child(self.rel(other, scope)?.note.labelled("Looked Up"))
        } else {
            Note::default()
        };
        Ok(Some(Lowered { plan, note }))
    }

    /// Whether looking the keys of one side up on the other promises to be cheaper than reading the other.
    fn promises(&self, kept: &Rel, other: &Rel, equalities: &[Equality], kept_left: bool) -> bool {
        if matches!(kept.node, Node::Shared(KEPT)) || matches!(other.node, Node::Shared(_)) {
            return false;
        }
        let few = estimate::rows(kept);
        few <= (KEYS_MAX / 2) as f64
            && equalities.iter().filter(|equality| !equality.nulls).any(|equality| {
                let (own, looked_up) = sides(equality, kept_left);
                equality_of(own, looked_up).is_some()
                    && indexed(other, looked_up).is_some_and(|cost| cost >= few.max(1.0) * ADVANTAGE)
            })
    }

    /// Which rows will be read is not known yet: for SERIALIZABLE they are all.
    fn note_lookups(&self, rel: &Rel) {
        if let Node::Scan(scan) = &rel.node {
            let (start, end) = index_span(&scan.table, scan.table.primary().id);
            self.statement.view.note_read(span(start, end));
        }
        rel.inputs().into_iter().for_each(|input| self.note_lookups(input));
    }
}

fn sides(equality: &Equality, kept_left: bool) -> (&Expr, &Expr) {
    if kept_left { (&equality.left, &equality.right) } else { (&equality.right, &equality.left) }
}

/// Columns only: the rows come from elsewhere.
fn bare(rel: &Rel) -> Rel {
    Rel::empty(rel.columns.clone())
}

/// Equality of the type looked up, if values of the other type can be compared as it.
fn equality_of(own: &Expr, looked_up: &Expr) -> Option<&'static Function> {
    let (a, b) = (own.sql_type().oid, looked_up.sql_type().oid);
    let integer = |oid| matches!(oid, Oid::INT2 | Oid::INT4 | Oid::INT8);
    if a != b && !(integer(a) && integer(b)) {
        return None;
    }
    let resolved = resolve_operator("=", Some(SqlType::new(b)), SqlType::new(b)).ok()?;
    (resolved.function.args == [b, b]).then_some(resolved.function)
}

/// Cost of reading the table whose keys or index a condition on this expression would narrow.
fn indexed(rel: &Rel, expr: &Expr) -> Option<f64> {
    let Expr::Column { index, .. } = expr else { return None };
    match &rel.node {
        Node::Scan(scan) => scan_indexed(scan, *index, &[]),
        Node::Filter { input, conditions } if matches!(input.node, Node::Scan(_)) => match &input.node {
            Node::Scan(scan) => scan_indexed(scan, *index, conditions),
            _ => None,
        },
        Node::Filter { input, .. } | Node::Sort { input, .. } => indexed(input, expr),
        Node::Project { input, exprs } => indexed(input, &exprs[*index]),
        Node::Join { kind: Join::Inner, left, right, .. } => match index.checked_sub(left.arity()) {
            None => indexed(left, expr),
            Some(index) => indexed(right, &right.column(index)),
        },
        Node::Join { kind: Join::Left | Join::Semi | Join::Anti, left, .. } if *index < left.arity() => {
            indexed(left, expr)
        }
        Node::Aggregate(aggregate) if aggregate.sets.len() == 1 => {
            aggregate.groups.get(*index).and_then(|group| indexed(&aggregate.input, group))
        }
        _ => None,
    }
}

fn scan_indexed(scan: &Scan, index: usize, conditions: &[Expr]) -> Option<f64> {
    let id = scan.table.columns[*scan.positions.get(index)?].id;
    let leads = scan.table.indexes.iter().any(|index| {
        index.state == IndexState::Ready
            && index.predicate.is_none()
            && index.columns.first().is_some_and(|column| column.column == id)
    });
    leads.then(|| bounds::choose(scan, conditions).map_or(0.0, |access| access.cost))
}
