//! Joins: by hash where an equality divides the sides, otherwise by comparing each pair.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::{
    common::{JoinSide, JoinType, NullEquality},
    physical_expr::{PhysicalExprRef, expressions::Column as ColumnExpr},
    physical_plan::{
        ExecutionPlan,
        coop::CooperativeExec,
        joins::{
            HashJoinExec, PartitionMode,
            utils::{ColumnIndex, JoinFilter},
        },
        projection::ProjectionExec,
    },
};
use fragment::is_encodable;
use planner::plan::Expr;
use proto::SqlResult;
use schema::Oid;
use sharddb_fragment as fragment;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Lower, Lowered, Scope, single};
use crate::general::{
    context::failed,
    explain::{Note, deparse_all},
    expr::{columns_of, conjunction, is_immutable, is_volatile, remap, sql_type},
    ir::{Join, Rel},
    operators::{NestedLoop, OperatorExec},
    optimize::estimate,
    scan::ShardScanExec,
};

/// Estimated rows that a shard may keep in memory for a join: some hundred megabytes.
const PUSHED_ROWS_MAX: f64 = 1e6;

/// An equality between the sides of a join, each side over its own columns.
pub(in crate::general) struct Equality {
    pub(in crate::general) left: Expr,
    pub(in crate::general) right: Expr,
    /// NULL equals NULL.
    pub(in crate::general) nulls: bool,
}

/// The equalities of a join condition by which rows can be hashed, and the other conditions.
pub(in crate::general) fn divide(on: &[Expr], left: usize) -> (Vec<Equality>, Vec<Expr>) {
    let (mut equalities, mut rest) = (Vec::new(), Vec::new());
    for condition in on {
        match equality(condition, left) {
            Some(equality) => equalities.push(equality),
            None => rest.push(condition.clone()),
        }
    }
    // One hash table treats NULLs in one way.
    let mixed = equalities.iter().any(|equality| !equality.nulls) && equalities.iter().any(|equality| equality.nulls);
    if mixed {
        let strict = |condition: &&Expr| equality(condition, left).is_some_and(|equality| !equality.nulls);
        rest = on.iter().filter(|condition| !strict(condition)).cloned().collect();
        equalities.retain(|equality| !equality.nulls);
    }
    (equalities, rest)
}

fn equality(condition: &Expr, width: usize) -> Option<Equality> {
    let (left, right, nulls) = match condition {
        Expr::Call { function, args, .. } if function.operator == Some("=") && args.len() == 2 => {
            (&args[0], &args[1], false)
        }
        Expr::IsDistinct { left, right, negated: true, .. } => (&**left, &**right, true),
        _ => return None,
    };
    if is_volatile(condition) || !hashable(sql_type(left).oid, sql_type(right).oid) {
        return None;
    }
    let (in_left, in_right) = (columns_of(left), columns_of(right));
    let is_left = |columns: &BTreeSet<usize>| !columns.is_empty() && columns.iter().all(|at| *at < width);
    let is_right = |columns: &BTreeSet<usize>| !columns.is_empty() && columns.iter().all(|at| *at >= width);
    let (left, mut right) = if is_left(&in_left) && is_right(&in_right) {
        (left.clone(), right.clone())
    } else if is_right(&in_left) && is_left(&in_right) {
        (right.clone(), left.clone())
    } else {
        return None;
    };
    remap(&mut right, &|at| at - width);
    Some(Equality { left, right, nulls })
}

/// Whether equal values of the types have equal keys. json has no equality; integers of different widths are widened.
fn hashable(a: Oid, b: Oid) -> bool {
    let integer = |oid| matches!(oid, Oid::INT2 | Oid::INT4 | Oid::INT8);
    let text = |oid| matches!(oid, Oid::TEXT | Oid::VARCHAR | Oid::NAME);
    (a == b && a != Oid::JSON && a != Oid::RECORD) || (integer(a) && integer(b)) || (text(a) && text(b))
}

/// Both inputs of a join with what is known of its condition.
struct Sides {
    left: Lowered,
    right: Lowered,
    /// Keys of the left and right side.
    keys: Vec<(PhysicalExprRef, PhysicalExprRef)>,
    nulls: NullEquality,
    filter: Option<JoinFilter>,
    /// The right side is built and the left one streams past it.
    build_right: bool,
}

impl Lower<'_> {
    pub(super) fn join(&self, kind: Join, left: &Rel, right: &Rel, on: &[Expr], scope: &Scope) -> SqlResult<Lowered> {
        let (equalities, rest) = divide(on, left.arity());
        let may_push = on.iter().all(is_immutable) && is_small(kind, left, right, on);
        let build_right = estimate::rows(right) < estimate::rows(left);
        let columns = [left.columns.clone(), right.columns.clone()].concat();
        let text = self.explain.then(|| (deparse_all(&without(on, &rest), &columns), deparse_all(&rest, &columns)));
        let (left_plan, right_plan) = (self.rel(left, scope)?, self.rel(right, scope)?);
        let (left_schema, right_schema) = (left_plan.plan.schema(), right_plan.plan.schema());
        let mut keys = Vec::with_capacity(equalities.len());
        for equality in &equalities {
            keys.push(self.join_key(equality, &left_schema, &right_schema)?);
        }
        let filter = self.join_filter(&rest, &left_schema, &right_schema)?;
        let nulls = match equalities.first() {
            Some(equality) if equality.nulls => NullEquality::NullEqualsNull,
            _ => NullEquality::NullEqualsNothing,
        };
        let sides = Sides { left: left_plan, right: right_plan, keys, nulls, filter, build_right };
        let hashed = !sides.keys.is_empty();
        let pushed = if may_push && hashed { sides.push(kind)? } else { None };
        let is_pushed = pushed.is_some();
        let (plan, mut left_note, mut right_note) = match pushed {
            Some(plan) => (plan, sides.left.note, sides.right.note),
            None => sides.finish(kind)?,
        };
        let gather = self.note(|| left_note.clone());
        if is_pushed {
            (left_note, right_note) = (left_note.into_fragment(), right_note.into_fragment());
        }
        let note = self.note(|| {
            let mut note = Note::titled(title(kind, hashed));
            let (hash, rest) = text.unwrap_or_default();
            note.details.extend((!hash.is_empty()).then(|| format!("Hash Cond: {hash}")));
            note.details.extend((!rest.is_empty()).then(|| format!("Join Filter: {rest}")));
            let build = |note: Note| if hashed { Note::titled("Hash").with_child(note) } else { note };
            let note = if build_right {
                note.with_child(left_note).with_child(build(right_note))
            } else {
                note.with_child(right_note).with_child(build(left_note))
            };
            let note = if is_pushed { gather.in_fragment(|_| note.labelled("Fragment")) } else { note };
            note.metered(&plan)
        });
        Ok(Lowered { plan, note })
    }

    fn join_key(
        &self,
        equality: &Equality,
        left: &SchemaRef,
        right: &SchemaRef,
    ) -> SqlResult<(PhysicalExprRef, PhysicalExprRef)> {
        let (a, b) = (sql_type(&equality.left).oid, sql_type(&equality.right).oid);
        let (left, right) = (self.exprs(left), self.exprs(right));
        if a == b {
            return Ok((left.key(&equality.left)?, right.key(&equality.right)?));
        }
        Ok((left.widened(&equality.left, b)?, right.widened(&equality.right, a)?))
    }

    /// Conditions over both sides, evaluated over the columns that they read.
    fn join_filter(&self, on: &[Expr], left: &SchemaRef, right: &SchemaRef) -> SqlResult<Option<JoinFilter>> {
        if on.is_empty() {
            return Ok(None);
        }
        let mut condition = conjunction(on.to_vec());
        let columns: Vec<usize> = columns_of(&condition).into_iter().collect();
        let width = left.fields().len();
        let mut indexes = Vec::with_capacity(columns.len());
        let mut fields = Vec::with_capacity(columns.len());
        for at in &columns {
            let (index, side, schema) =
                if *at < width { (*at, JoinSide::Left, left) } else { (at - width, JoinSide::Right, right) };
            indexes.push(ColumnIndex { index, side });
            fields.push(Arc::new(schema.field(index).clone().with_nullable(true)));
        }
        remap(&mut condition, &|at| columns.binary_search(&at).unwrap_or_default());
        let schema = Arc::new(Schema::new(fields));
        let expression = self.exprs(&schema).lower(&condition)?;
        Ok(Some(JoinFilter::new(expression, indexes, schema)))
    }
}

impl Sides {
    fn finish(self, kind: Join) -> SqlResult<(Arc<dyn ExecutionPlan>, Note, Note)> {
        if self.keys.is_empty() {
            let Self { left, right, filter, build_right, .. } = self;
            let (left_note, right_note) = (left.note, right.note);
            let (left, right) = (single(left.plan), single(right.plan));
            let mut fields = left.schema().fields().to_vec();
            if !matches!(kind, Join::Semi | Join::Anti) {
                fields.extend(right.schema().fields().iter().cloned());
            }
            let fields = fields.iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>();
            let filter = filter.map(Arc::new);
            let operator = NestedLoop { kind, keep_right: build_right, filter };
            let plan = OperatorExec::new(operator, vec![left, right], Arc::new(Schema::new(fields)));
            return Ok((Arc::new(plan), left_note, right_note));
        }
        let plan = self.hash_join(kind, Arc::clone(&self.left.plan), Arc::clone(&self.right.plan))?;
        Ok((plan, self.left.note, self.right.note))
    }

    /// A join by hash of two plans for the sides.
    fn hash_join(
        &self,
        kind: Join,
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
    ) -> SqlResult<Arc<dyn ExecutionPlan>> {
        let build_right = self.build_right;
        let (left_width, right_width) = (left.schema().fields().len(), right.schema().fields().len());
        let join_type = join_type(kind, build_right);
        let (build, probe) = if build_right { (right, left) } else { (left, right) };
        let filter = self.filter.clone().map(|filter| if build_right { filter.swap() } else { filter });
        let in_order = |(left, right)| if build_right { (right, left) } else { (left, right) };
        let keys: Vec<_> = self.keys.iter().cloned().map(in_order).collect();
        let build = single(build);
        let mode = PartitionMode::CollectLeft;
        let join = HashJoinExec::try_new(build, probe, keys, filter, &join_type, None, mode, self.nulls, false);
        // Rows may be joined for long without waiting for anything.
        let joined: Arc<dyn ExecutionPlan> = Arc::new(CooperativeExec::new(Arc::new(join.map_err(failed)?)));
        let both = !matches!(kind, Join::Semi | Join::Anti);
        if build_right && both { swap_back(joined, left_width, right_width) } else { Ok(joined) }
    }

    /// The join as a fragment of the shard that holds both sides, if there is one. The leaves are in the order of the plan:
    /// the built side first.
    fn push(&self, kind: Join) -> SqlResult<Option<Arc<dyn ExecutionPlan>>> {
        let scan = |side: &Lowered| side.plan.downcast_ref::<ShardScanExec>().cloned();
        let (Some(left), Some(right)) = (scan(&self.left), scan(&self.right)) else { return Ok(None) };
        let pushed = if self.build_right {
            right.joined(&left, |right, left| self.hash_join(kind, left, right))?
        } else {
            left.joined(&right, |left, right| self.hash_join(kind, left, right))?
        };
        let pushed = pushed.filter(|pushed| is_encodable(pushed.fragment()));
        Ok(pushed.map(|pushed| Arc::new(pushed) as Arc<_>))
    }
}

/// Whether a join may be left to a shard: it keeps one side in memory there, and what it answers should not be more than what
/// it reads.
fn is_small(kind: Join, left: &Rel, right: &Rel, on: &[Expr]) -> bool {
    let (left_rows, right_rows) = (estimate::rows(left), estimate::rows(right));
    left_rows.min(right_rows) <= PUSHED_ROWS_MAX && estimate::join_rows(kind, left, right, on) <= left_rows + right_rows
}

/// DataFusion builds its left side, so a join whose right side is built has its sides exchanged.
fn join_type(kind: Join, swapped: bool) -> JoinType {
    match (kind, swapped) {
        (Join::Inner, _) => JoinType::Inner,
        (Join::Full, _) => JoinType::Full,
        (Join::Left, false) | (Join::Right, true) => JoinType::Left,
        (Join::Right, false) | (Join::Left, true) => JoinType::Right,
        (Join::Semi, false) => JoinType::LeftSemi,
        (Join::Semi, true) => JoinType::RightSemi,
        (Join::Anti, false) => JoinType::LeftAnti,
        (Join::Anti, true) => JoinType::RightAnti,
    }
}

/// Puts the columns of a join with exchanged sides back in order.
fn swap_back(plan: Arc<dyn ExecutionPlan>, left: usize, right: usize) -> SqlResult<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    let order = (right..right + left).chain(0..right);
    let columns: Vec<(PhysicalExprRef, String)> = order
        .map(|at| {
            let name = schema.field(at).name();
            (Arc::new(ColumnExpr::new(name, at)) as PhysicalExprRef, name.clone())
        })
        .collect();
    Ok(Arc::new(ProjectionExec::try_new(columns, plan).map_err(failed)?))
}

fn without(on: &[Expr], rest: &[Expr]) -> Vec<Expr> {
    let texts: Vec<String> = rest.iter().map(|expr| format!("{expr:?}")).collect();
    on.iter().filter(|expr| !texts.contains(&format!("{expr:?}"))).cloned().collect()
}

fn title(kind: Join, hashed: bool) -> String {
    let method = if hashed { "Hash" } else { "Nested Loop" };
    match kind {
        Join::Inner if hashed => "Hash Join".to_owned(),
        Join::Inner => "Nested Loop".to_owned(),
        Join::Left => format!("{method} Left Join"),
        Join::Right => format!("{method} Right Join"),
        Join::Full => format!("{method} Full Join"),
        Join::Semi => format!("{method} Semi Join"),
        Join::Anti => format!("{method} Anti Join"),
    }
}
