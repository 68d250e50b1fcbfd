//! Sorting, limits, and set operations.

use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::{
    physical_expr::{LexOrdering, PhysicalSortExpr},
    physical_plan::{
        ExecutionPlan,
        coalesce_partitions::CoalescePartitionsExec,
        limit::GlobalLimitExec,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
    },
};
use fragment::{ScanLeaf, ScanSpec};
use planner::plan::{Expr, SetOperator, SortKey};
use proto::{SqlError, SqlResult, SqlState};
use schema::Datum;
use sharddb_fragment as fragment;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Lower, Lowered, Scope, partitions, schema_of, single};
use crate::general::{
    explain::{Note, deparse_keys},
    expr::is_immutable,
    ir::{Column, Node, Rel},
    operators::{Append, LimitTies, OperatorExec, SetOperation},
    scan::ShardScanExec,
};

/// Rows up to which the first ones are kept in memory while sorting, and sent alone by shards; beyond, everything is sorted,
/// which can go to disk.
const TOP_ROWS_MAX: usize = 100_000;

impl Lower<'_> {
    /// Sorts; with `fetch`, only the first rows are needed.
    pub(super) fn sort(
        &self,
        input: &Rel,
        keys: &[SortKey],
        fetch: Option<usize>,
        scope: &Scope,
    ) -> SqlResult<Lowered> {
        let lowered = self.rel(input, scope)?;
        self.sort_plan(lowered, keys, fetch, &input.columns)
    }

    pub(super) fn sort_plan(
        &self,
        mut input: Lowered,
        keys: &[SortKey],
        fetch: Option<usize>,
        columns: &[Column],
    ) -> SqlResult<Lowered> {
        let schema = input.plan.schema();
        let exprs = self.exprs(&schema);
        let mut sort_exprs = Vec::with_capacity(keys.len());
        for key in keys {
            let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
            sort_exprs.push(PhysicalSortExpr::new(exprs.key(&key.expr)?, options));
        }
        let Some(ordering) = LexOrdering::new(sort_exprs) else {
            return Ok(Lowered { plan: single(input.plan), note: input.note });
        };
        let text = if self.explain { format!("Sort Key: {}", deparse_keys(keys, columns)) } else { Default::default() };
        // Keeping no row at all is the limit's work.
        let fetch = fetch.filter(|fetch| *fetch <= TOP_ROWS_MAX).map(|fetch| fetch.max(1));
        if fetch.is_some() && keys.iter().all(|key| is_immutable(&key.expr)) {
            let sort = |plan| Ok(Arc::new(SortExec::new(ordering.clone(), plan).with_fetch(fetch)) as Arc<_>);
            if let Some(plan) = self.push(&input, sort)? {
                let note = self.note(|| {
                    let top = Note::titled("Top-N Sort").detail(text.clone());
                    input.note.wrap_fragment(top).metered(&plan)
                });
                input = Lowered { plan, note };
            }
        }
        let plan: Arc<dyn ExecutionPlan> = if partitions(&input.plan) > 1 {
            let sorted = SortExec::new(ordering.clone(), input.plan).with_fetch(fetch).with_preserve_partitioning(true);
            Arc::new(SortPreservingMergeExec::new(ordering, Arc::new(sorted)).with_fetch(fetch))
        } else {
            Arc::new(SortExec::new(ordering, input.plan).with_fetch(fetch))
        };
        let note = self.note(|| {
            let title = if fetch.is_some() { "Top-N Sort" } else { "Sort" };
            Note::titled(title).detail(text).metered(&plan).with_child(input.note)
        });
        Ok(Lowered { plan, note })
    }

    pub(super) fn limit(
        &self,
        input: &Rel,
        limit: Option<&Expr>,
        offset: Option<&Expr>,
        ties: Option<&[SortKey]>,
        scope: &Scope,
    ) -> SqlResult<Lowered> {
        let fetch = limit.map(|expr| self.row_count(expr, false)).transpose()?.flatten();
        let skip = offset.map(|expr| self.row_count(expr, true)).transpose()?.flatten().unwrap_or(0);
        if let (Some(keys), Some(fetch)) = (ties, fetch) {
            return self.limit_ties(input, skip, fetch, keys, scope);
        }
        let needed = fetch.map(|fetch| fetch.saturating_add(skip));
        let lowered = self.first_rows(input, needed, scope)?;
        if fetch.is_none() && skip == 0 {
            return Ok(lowered);
        }
        let lowered = match needed {
            Some(needed) => self.limit_partitions(lowered, needed)?,
            None => Lowered { plan: single(lowered.plan), note: lowered.note },
        };
        let plan: Arc<dyn ExecutionPlan> = Arc::new(GlobalLimitExec::new(lowered.plan, skip, fetch));
        let note = self.note(|| Note::titled("Limit").metered(&plan).with_child(lowered.note));
        Ok(Lowered { plan, note })
    }

    /// A relation of which only the first rows are read.
    fn first_rows(&self, rel: &Rel, needed: Option<usize>, scope: &Scope) -> SqlResult<Lowered> {
        match &rel.node {
            Node::Sort { input, keys } => self.sort(input, keys, needed, scope),
            // A projection keeps the number of rows, unless it is volatile it may run for fewer.
            Node::Project { input, exprs } if matches!(input.node, Node::Sort { .. }) => {
                let lowered = self.first_rows(input, needed, scope)?;
                self.project_plan(lowered, rel, exprs)
            }
            _ => self.rel(rel, scope),
        }
    }

    /// Keeps enough rows of each partition, at the shard if it is a scan.
    fn limit_partitions(&self, input: Lowered, needed: usize) -> SqlResult<Lowered> {
        let limited = self.push(&input, |fragment| {
            if let Some(leaf) = fragment.downcast_ref::<ScanLeaf>() {
                let spec = ScanSpec { limit: Some(needed), ..(**leaf.spec()).clone() };
                return Ok(Arc::new(ScanLeaf::new(Arc::new(spec))) as Arc<_>);
            }
            Ok(Arc::new(GlobalLimitExec::new(fragment, 0, Some(needed))))
        })?;
        let input = match limited {
            // A sorted fragment has its limit already.
            Some(_)
                if input.plan.downcast_ref::<ShardScanExec>().is_some_and(|scan| scan.fragment().fetch().is_some()) =>
            {
                input
            }
            Some(plan) => {
                let note = self.note(|| input.note.in_fragment(|leaf| leaf.detail(format!("Limit: {needed}"))));
                Lowered { note: self.note(|| note.metered(&plan)), plan }
            }
            None => input,
        };
        if partitions(&input.plan) == 1 {
            return Ok(input);
        }
        let plan = Arc::new(CoalescePartitionsExec::new(input.plan).with_fetch(Some(needed)));
        Ok(Lowered { plan, note: input.note })
    }

    fn limit_ties(
        &self,
        input: &Rel,
        skip: usize,
        fetch: usize,
        keys: &[SortKey],
        scope: &Scope,
    ) -> SqlResult<Lowered> {
        let lowered = self.single_rel(input, scope)?;
        let schema = lowered.plan.schema();
        let exprs = self.exprs(&schema);
        let keys = keys.iter().map(|key| exprs.key(&key.expr)).collect::<SqlResult<Vec<_>>>()?;
        let operator = LimitTies { skip, fetch, keys };
        let plan: Arc<dyn ExecutionPlan> =
            Arc::new(OperatorExec::new(operator, vec![lowered.plan], Arc::clone(&schema)));
        let note = self.note(|| Note::titled("Limit").metered(&plan).with_child(lowered.note));
        Ok(Lowered { plan, note })
    }

    /// The value of LIMIT or OFFSET; NULL is no limit.
    fn row_count(&self, expr: &Expr, offset: bool) -> SqlResult<Option<usize>> {
        let none = arrow::datatypes::Schema::empty();
        let value = match self.exprs(&none).evaluate(expr)? {
            Datum::Null => return Ok(None),
            Datum::Int2(value) => i64::from(value),
            Datum::Int4(value) => i64::from(value),
            Datum::Int8(value) => value,
            _ => return Err(SqlError::internal("LIMIT is no integer")),
        };
        let (state, name) = match offset {
            false => (SqlState::InvalidRowCountInLimitClause, "LIMIT"),
            true => (SqlState::InvalidRowCountInResultOffsetClause, "OFFSET"),
        };
        usize::try_from(value).map(Some).map_err(|_| SqlError::new(state, format!("{name} must not be negative")))
    }

    pub(super) fn set_operation(
        &self,
        rel: &Rel,
        operator: SetOperator,
        all: bool,
        left: &Rel,
        right: &Rel,
        scope: &Scope,
    ) -> SqlResult<Lowered> {
        if operator == SetOperator::Union {
            let union = self.union(rel, scope)?;
            if all {
                return Ok(union);
            }
            return Err(SqlError::internal("UNION was not divided into UNION ALL and DISTINCT"));
        }
        let (left_plan, right_plan) = (self.single_rel(left, scope)?, self.single_rel(right, scope)?);
        let operation = SetOperation {
            except: operator == SetOperator::Except,
            all,
            left_keys: self.all_keys(left, &left_plan.plan.schema())?,
            right_keys: self.all_keys(right, &right_plan.plan.schema())?,
        };
        let children = vec![left_plan.plan, right_plan.plan];
        let plan: Arc<dyn ExecutionPlan> = Arc::new(OperatorExec::new(operation, children, schema_of(&rel.columns)));
        let note = self.note(|| {
            let name = if operator == SetOperator::Except { "Except" } else { "Intersect" };
            let title = if all { format!("HashSetOp {name} All") } else { format!("HashSetOp {name}") };
            Note::titled(title).metered(&plan).with_child(left_plan.note).with_child(right_plan.note)
        });
        Ok(Lowered { plan, note })
    }

    /// UNION ALL of all directly nested ones.
    fn union(&self, rel: &Rel, scope: &Scope) -> SqlResult<Lowered> {
        let mut parts = Vec::new();
        union_parts(rel, &mut parts);
        let lowered = parts.into_iter().map(|part| self.single_rel(part, scope)).collect::<SqlResult<Vec<_>>>()?;
        let (plans, notes): (Vec<_>, Vec<_>) = lowered.into_iter().map(|part| (part.plan, part.note)).unzip();
        let plan: Arc<dyn ExecutionPlan> = Arc::new(OperatorExec::new(Append, plans, schema_of(&rel.columns)));
        let note = self.note(|| {
            let mut note = Note::titled("Append").metered(&plan);
            note.children = notes;
            note
        });
        Ok(Lowered { plan, note })
    }
}

fn union_parts<'r>(rel: &'r Rel, parts: &mut Vec<&'r Rel>) {
    match &rel.node {
        Node::SetOperation { operator: SetOperator::Union, all: true, left, right } => {
            union_parts(left, parts);
            union_parts(right, parts);
        }
        _ => parts.push(rel),
    }
}
