//! Relations other than joins.

use planner::plan::{self, AggregateCall, Expr, Field, Relation, SetOperator, SortKey, TableScan, WindowCall};
use proto::{SqlError, SqlResult};
use sharddb_planner as planner;
use sharddb_proto as proto;

use super::{
    Converter, Rows, columns_of,
    expression::{Calls, has_subquery},
    key_column,
};
use crate::general::{
    expr::{conjuncts, rewrite_outer},
    ir::{self, Column, Node, Rel, Scan, SetCall},
};

impl Converter<'_> {
    pub(super) fn relation(&mut self, relation: &Relation) -> SqlResult<Rows> {
        match relation {
            Relation::Unit => Ok(Rows::plain(Rel::unit())),
            Relation::Scan(scan) => self.scan(scan),
            Relation::Values { rows, fields } => self.values(rows, fields),
            Relation::CteScan { depth, index, fields, .. } => {
                let entry = self.cte_entry(*depth, *index)?;
                let rel = Rel::new(Node::Shared(entry.id), entry.columns.clone());
                Ok(Rows::plain(Rel { columns: columns_of(fields), ..rel }))
            }
            Relation::Function { .. } => self.function(relation),
            Relation::Virtual { schema, name, fields } => {
                let node = Node::Virtual { schema: schema.clone(), name: name.clone() };
                Ok(Rows::plain(Rel::new(node, columns_of(fields))))
            }
            Relation::Derived { query, lateral } => self.derived(query, *lateral),
            Relation::Join { left, right, kind, on } => self.join(left, right, *kind, on.as_ref()),
            Relation::Filter { input, condition } => {
                let input = self.relation(input)?;
                self.filter(input, condition)
            }
            Relation::Project { input, exprs, fields } => self.project(input, exprs, fields),
            Relation::ProjectSet { input, functions } => self.project_set(input, functions),
            Relation::Aggregate { .. } => self.aggregate(relation),
            Relation::Window { input, calls } => self.window(input, calls),
            Relation::Distinct { input, on } => self.distinct(input, on),
            Relation::Sort { input, keys } => self.sort(input, keys),
            Relation::Limit { input, limit, offset, with_ties } => {
                self.limit(input, limit.as_ref(), offset.as_ref(), with_ties.as_deref())
            }
            Relation::SetOperation { operator, all, left, right, fields } => {
                let (left, right) = (self.relation(left)?.visible_only(), self.relation(right)?.visible_only());
                Ok(Rows::plain(set_operation(*operator, *all, left, right, columns_of(fields))))
            }
        }
    }

    fn scan(&mut self, scan: &TableScan) -> SqlResult<Rows> {
        let with_key = self.keys.contains(&scan.reference);
        let mut columns = columns_of(&scan.fields);
        if columns.len() != scan.table.columns.len() {
            return Err(SqlError::internal("a scan has other columns than its table"));
        }
        let positions = (0..columns.len()).collect();
        columns.extend(with_key.then(key_column));
        let node = Scan { table: scan.table.clone(), alias: scan.alias.as_str().into(), positions, with_key };
        let keys = if with_key { vec![scan.reference] } else { Vec::new() };
        Ok(Rows { rel: Rel::new(Node::Scan(Box::new(node)), columns), keys })
    }

    fn values(&mut self, rows: &[Vec<Expr>], fields: &[Field]) -> SqlResult<Rows> {
        let columns = columns_of(fields);
        if !rows.iter().flatten().any(has_subquery) {
            let mut calls = Calls::behind(0);
            let rows = rows.iter().map(|row| self.exprs(row, &mut calls)).collect::<SqlResult<Vec<_>>>()?;
            return Ok(Rows::plain(Rel::new(Node::Values(rows), columns)));
        }
        let mut all: Option<Rel> = None;
        for row in rows {
            let mut calls = Calls::behind(0);
            let exprs = self.exprs(row, &mut calls)?;
            let row = Rel::unit().apply(calls.calls).project(exprs, columns.clone());
            all = Some(match all {
                None => row,
                Some(all) => set_operation(SetOperator::Union, true, all, row, columns.clone()),
            });
        }
        Ok(Rows::plain(all.unwrap_or_else(|| Rel::empty(columns))))
    }

    /// A subquery in FROM that does not look at its left neighbours.
    fn derived(&mut self, query: &plan::Query, lateral: bool) -> SqlResult<Rows> {
        let mut rows = self.query(query)?;
        if lateral {
            remove_level(&mut rows.rel);
        }
        Ok(rows)
    }

    /// A function that does not look at its left neighbours.
    fn function(&mut self, relation: &Relation) -> SqlResult<Rows> {
        let mut rel = self.function_over(relation, Rel::unit())?;
        remove_level(&mut rel);
        Ok(Rows::plain(rel))
    }

    /// Calls a function of FROM for each row of an input.
    pub(super) fn function_over(&mut self, relation: &Relation, input: Rel) -> SqlResult<Rel> {
        let Relation::Function { name, args, fields, ordinality } = relation else {
            return Err(SqlError::internal("no function"));
        };
        let mut calls = Calls::over(&input);
        let args = self.exprs(args, &mut calls)?;
        let width = fields.len() - usize::from(*ordinality);
        let kept: Vec<usize> = (0..input.arity()).collect();
        let applied = input.apply(calls.calls);
        let mut columns = applied.columns.clone();
        let first = columns.len();
        columns.extend(columns_of(fields));
        let node = Node::ProjectSet {
            input: Box::new(applied),
            functions: vec![SetCall { name: name.clone(), args, width }],
            ordinality: *ordinality,
        };
        let kept: Vec<usize> = kept.into_iter().chain(first..columns.len()).collect();
        Ok(Rel::new(node, columns).select(&kept))
    }

    /// Conditions without subqueries come first, so that subqueries run for fewer rows.
    pub(super) fn filter(&mut self, input: Rows, condition: &Expr) -> SqlResult<Rows> {
        let mut conditions = Vec::new();
        conjuncts(condition.clone(), &mut conditions);
        let (with, without): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(has_subquery);
        let mut calls = Calls::over(&input.rel);
        let without = self.exprs(&without, &mut calls)?;
        let with = self.exprs(&with, &mut calls)?;
        let kept: Vec<usize> = (0..input.rel.arity()).collect();
        let rel = input.rel.filter(without).apply(calls.calls).filter(with).select(&kept);
        Ok(Rows { rel, keys: input.keys })
    }

    fn project(&mut self, input: &Relation, exprs: &[Expr], fields: &[Field]) -> SqlResult<Rows> {
        let Rows { rel, keys } = self.relation(input)?;
        let mut calls = Calls::over(&rel);
        let mut exprs = self.exprs(exprs, &mut calls)?;
        let mut columns = columns_of(fields);
        for at in rel.arity() - keys.len()..rel.arity() {
            exprs.push(rel.column(at));
            columns.push(rel.columns[at].clone());
        }
        Ok(Rows { rel: rel.apply(calls.calls).project(exprs, columns), keys })
    }

    fn project_set(&mut self, input: &Relation, functions: &[(String, Vec<Expr>, Field)]) -> SqlResult<Rows> {
        let input = self.relation(input)?;
        let visible = input.visible();
        let Rows { rel, keys } = input;
        let mut calls = Calls::over(&rel);
        let mut converted = Vec::with_capacity(functions.len());
        for (name, args, _) in functions {
            converted.push(SetCall { name: name.clone(), args: self.exprs(args, &mut calls)?, width: 1 });
        }
        let arity = rel.arity();
        let applied = rel.apply(calls.calls);
        let mut columns = applied.columns.clone();
        let first = columns.len();
        columns.extend(functions.iter().map(|(_, _, field)| Column::new(field.name.as_str(), field.sql_type)));
        let order: Vec<usize> = (0..visible).chain(first..columns.len()).chain(visible..arity).collect();
        let node = Node::ProjectSet { input: Box::new(applied), functions: converted, ordinality: false };
        Ok(Rows { rel: Rel::new(node, columns).select(&order), keys })
    }

    fn aggregate(&mut self, relation: &Relation) -> SqlResult<Rows> {
        let Relation::Aggregate { input, group_by, grouping_sets, aggregates, groupings, fields } = relation else {
            return Err(SqlError::internal("no aggregate"));
        };
        let input = self.relation(input)?.visible_only();
        let mut calls = Calls::over(&input);
        let groups = self.exprs(group_by, &mut calls)?;
        let aggregates =
            aggregates.iter().map(|call| self.aggregate_call(call, &mut calls)).collect::<SqlResult<Vec<_>>>()?;
        let node = Node::Aggregate(Box::new(ir::Aggregate {
            input: input.apply(calls.calls),
            groups,
            sets: grouping_sets.clone(),
            calls: aggregates,
            groupings: groupings.clone(),
        }));
        Ok(Rows::plain(Rel::new(node, columns_of(fields))))
    }

    fn aggregate_call(&mut self, call: &AggregateCall, calls: &mut Calls) -> SqlResult<AggregateCall> {
        Ok(AggregateCall {
            args: self.exprs(&call.args, calls)?,
            filter: call.filter.as_ref().map(|filter| self.expr(filter, calls)).transpose()?,
            order_by: self.sort_keys(&call.order_by, calls)?,
            ..call.clone()
        })
    }

    fn sort_keys(&mut self, keys: &[SortKey], calls: &mut Calls) -> SqlResult<Vec<SortKey>> {
        keys.iter().map(|key| Ok(SortKey { expr: self.expr(&key.expr, calls)?, ..key.clone() })).collect()
    }

    fn window(&mut self, input: &Relation, windows: &[WindowCall]) -> SqlResult<Rows> {
        let input = self.relation(input)?;
        if windows.iter().any(|call| frame_offsets(&mut call.clone()).into_iter().any(|offset| has_subquery(offset))) {
            return self.window_by_subquery(input, windows);
        }
        let (rel, order, keys) = self.window_over(input, windows)?;
        Ok(Rows { rel: rel.select(&order), keys })
    }

    /// The window node, the order in which its columns are wanted, and the row keys among them.
    fn window_over(&mut self, input: Rows, windows: &[WindowCall]) -> SqlResult<(Rel, Vec<usize>, Vec<usize>)> {
        let visible = input.visible();
        let Rows { rel, keys } = input;
        let mut calls = Calls::over(&rel);
        let windows = windows.iter().map(|call| self.window_call(call, &mut calls)).collect::<SqlResult<Vec<_>>>()?;
        let arity = rel.arity();
        let applied = rel.apply(calls.calls);
        let mut columns = applied.columns.clone();
        let first = columns.len();
        columns.extend(windows.iter().map(|call| Column::new("?column?", call.sql_type)));
        let order: Vec<usize> = (0..visible).chain(first..columns.len()).chain(visible..arity).collect();
        let node = Node::Window { input: Box::new(applied), calls: windows };
        Ok((Rel::new(node, columns), order, keys))
    }

    fn window_call(&mut self, call: &WindowCall, calls: &mut Calls) -> SqlResult<WindowCall> {
        let mut frame = call.frame.clone();
        for bound in [&mut frame.start, &mut frame.end] {
            if let plan::FrameBound::Preceding(offset) | plan::FrameBound::Following(offset) = bound {
                **offset = self.expr(offset, calls)?;
            }
        }
        Ok(WindowCall {
            function: call.function.clone(),
            args: self.exprs(&call.args, calls)?,
            filter: call.filter.as_ref().map(|filter| self.expr(filter, calls)).transpose()?,
            partition_by: self.exprs(&call.partition_by, calls)?,
            order_by: self.sort_keys(&call.order_by, calls)?,
            frame,
            sql_type: call.sql_type,
        })
    }

    fn distinct(&mut self, input: &Relation, on: &[Expr]) -> SqlResult<Rows> {
        let input = self.relation(input)?.visible_only();
        let mut calls = Calls::over(&input);
        let on = self.exprs(on, &mut calls)?;
        let kept: Vec<usize> = (0..input.arity()).collect();
        let applied = input.apply(calls.calls);
        let columns = applied.columns.clone();
        Ok(Rows::plain(Rel::new(Node::Distinct { input: Box::new(applied), on }, columns).select(&kept)))
    }

    fn sort(&mut self, input: &Relation, keys: &[SortKey]) -> SqlResult<Rows> {
        let input = self.relation(input)?;
        let mut calls = Calls::over(&input.rel);
        let keys = self.sort_keys(keys, &mut calls)?;
        let kept: Vec<usize> = (0..input.rel.arity()).collect();
        let applied = input.rel.apply(calls.calls);
        let columns = applied.columns.clone();
        let rel = Rel::new(Node::Sort { input: Box::new(applied), keys }, columns).select(&kept);
        Ok(Rows { rel, keys: input.keys })
    }

    fn limit(
        &mut self,
        input: &Relation,
        limit: Option<&Expr>,
        offset: Option<&Expr>,
        ties: Option<&[SortKey]>,
    ) -> SqlResult<Rows> {
        let input = self.relation(input)?;
        let mut calls = Calls::over(&input.rel);
        let ties = ties.map(|keys| self.sort_keys(keys, &mut calls)).transpose()?;
        if !calls.calls.is_empty() {
            return Err(SqlError::unsupported("a subquery in the keys of WITH TIES"));
        }
        if limit.into_iter().chain(offset).any(has_subquery) {
            return self.limit_by_subquery(input, limit, offset, ties);
        }
        let limit = limit.map(|expr| self.plain(expr, "LIMIT")).transpose()?;
        let offset = offset.map(|expr| self.plain(expr, "OFFSET")).transpose()?;
        let columns = input.rel.columns.clone();
        let node = Node::Limit { input: Box::new(input.rel), limit, offset, ties };
        Ok(Rows { rel: Rel::new(node, columns), keys: input.keys })
    }
}

impl Converter<'_> {
    /// The row counts come from a row of their own, and the limit is planned when they are known.
    fn limit_by_subquery(
        &mut self,
        mut input: Rows,
        limit: Option<&Expr>,
        offset: Option<&Expr>,
        ties: Option<Vec<SortKey>>,
    ) -> SqlResult<Rows> {
        let mut calls = Calls::behind(0);
        let counts = self.exprs(limit.into_iter().chain(offset), &mut calls)?;
        let columns = counts.iter().map(|count| Column::new("count", count.sql_type())).collect();
        let row = Rel::unit().apply(calls.calls).project(counts, columns);
        let count = |index: usize| Expr::Outer { depth: 1, index, sql_type: row.columns[index].sql_type };
        add_level(&mut input.rel);
        let columns = input.rel.columns.clone();
        let node = Node::Limit {
            input: Box::new(input.rel),
            limit: limit.map(|_| count(0)),
            offset: offset.map(|_| count(usize::from(limit.is_some()))),
            ties,
        };
        let limited = Rel::new(node, columns.clone());
        let width = row.arity();
        let all = [row.columns.clone(), columns].concat();
        let kept: Vec<usize> = (width..all.len()).collect();
        let node = Node::Lateral { left: Box::new(row), right: Box::new(limited), outer: false, on: Vec::new() };
        Ok(Rows { rel: Rel::new(node, all).select(&kept), keys: input.keys })
    }
}

impl Converter<'_> {
    /// Offsets of frames are the same for all rows: when one is a subquery they come from a row of their own, and the
    /// window is planned when they are known.
    fn window_by_subquery(&mut self, input: Rows, windows: &[WindowCall]) -> SqlResult<Rows> {
        let mut calls = Calls::behind(0);
        let mut windows = windows.to_vec();
        let offsets: Vec<Expr> = windows.iter_mut().flat_map(frame_offsets).map(|offset| offset.clone()).collect();
        let offsets = self.exprs(&offsets, &mut calls)?;
        let columns = offsets.iter().map(|offset| Column::new("offset", offset.sql_type())).collect();
        let row = Rel::unit().apply(calls.calls).project(offsets, columns);
        for (offset, at) in windows.iter_mut().flat_map(frame_offsets).zip(0..) {
            *offset = Expr::null(row.columns[at].sql_type);
        }
        let (mut rel, order, keys) = self.window_over(input, &windows)?;
        add_level(&mut rel);
        if let Node::Window { calls, .. } = &mut rel.node {
            for (offset, index) in calls.iter_mut().flat_map(frame_offsets).zip(0..) {
                *offset = Expr::Outer { depth: 1, index, sql_type: row.columns[index].sql_type };
            }
        }
        let rel = rel.select(&order);
        let width = row.arity();
        let all = [row.columns.clone(), rel.columns.clone()].concat();
        let kept: Vec<usize> = (width..all.len()).collect();
        let node = Node::Lateral { left: Box::new(row), right: Box::new(rel), outer: false, on: Vec::new() };
        Ok(Rows { rel: Rel::new(node, all).select(&kept), keys })
    }
}

/// The offsets of a call's frame, start before end.
fn frame_offsets(call: &mut WindowCall) -> Vec<&mut Expr> {
    let bounds = [&mut call.frame.start, &mut call.frame.end].into_iter();
    bounds
        .filter_map(|bound| match bound {
            plan::FrameBound::Preceding(offset) | plan::FrameBound::Following(offset) => Some(&mut **offset),
            _ => None,
        })
        .collect()
}

/// Outer columns of a relation that comes to stand beside one more row.
fn add_level(rel: &mut Rel) {
    rewrite_outer(rel, &mut |node, _| {
        if let Expr::Outer { depth, .. } = node {
            *depth += 1;
        }
    });
}

/// Outer columns of a relation that stood for a row of its own and reads none of its columns.
pub(super) fn remove_level(rel: &mut Rel) {
    rewrite_outer(rel, &mut |node, depth| {
        if let Expr::Outer { depth: raw, .. } = node
            && depth > 1
        {
            *raw -= 1;
        }
    });
}

/// A set operation, output columns named.
pub(super) fn set_operation(operator: SetOperator, all: bool, left: Rel, right: Rel, columns: Vec<Column>) -> Rel {
    let node = Node::SetOperation { operator, all, left: Box::new(left), right: Box::new(right) };
    Rel::new(node, columns)
}
