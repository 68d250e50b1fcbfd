//! GROUP BY and aggregates.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;
use sqlparser::ast;

use super::{
    Binder, fold,
    query::output_position,
    same::{self, same},
    scope::{CallKind, Clause, Scope},
    select::{Item, grouping_field},
    visit,
};
use crate::plan::{AggregateCall, Expr, Field, Relation, WindowCall};

/// Most grouping sets that CUBE and ROLLUP may make, as in PostgreSQL.
const GROUPING_SET_LIMIT: usize = 4096;

/// A bound GROUP BY.
#[derive(Default)]
pub(super) struct Grouping {
    pub(super) exprs: Vec<Expr>,
    /// Positions in `exprs`.
    pub(super) sets: Vec<Vec<usize>>,
}

type SetCall = (String, Vec<Expr>, Field);

impl Binder<'_> {
    /// GROUP BY; `None` when there is none.
    pub(super) fn group_by(
        &mut self,
        group_by: &ast::GroupByExpr,
        items: &[Item],
        scope: &Scope<'_>,
    ) -> SqlResult<Option<Grouping>> {
        let ast::GroupByExpr::Expressions(trees, modifiers) = group_by else {
            return Err(SqlError::unsupported("GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(SqlError::unsupported("GROUP BY … WITH ROLLUP, CUBE or TOTALS"));
        }
        if trees.is_empty() {
            return Ok(None);
        }
        scope.clause.set(Clause::GroupBy);
        let mut grouping = Grouping { exprs: Vec::new(), sets: vec![Vec::new()] };
        for tree in trees {
            let sets = self.grouping_sets(tree, items, scope, &mut grouping.exprs)?;
            let mut product = Vec::with_capacity(grouping.sets.len() * sets.len());
            for before in &grouping.sets {
                for set in &sets {
                    let mut union = before.clone();
                    union.extend(set.iter().filter(|position| !before.contains(position)));
                    product.push(union);
                }
            }
            if product.len() > GROUPING_SET_LIMIT {
                let message = format!("too many grouping sets present (maximum {GROUPING_SET_LIMIT})");
                return Err(SqlError::new(SqlState::StatementTooComplex, message));
            }
            grouping.sets = product;
        }
        Ok(Some(grouping))
    }

    /// The grouping sets of one item, as positions in `exprs`.
    fn grouping_sets(
        &mut self,
        tree: &ast::Expr,
        items: &[Item],
        scope: &Scope<'_>,
        exprs: &mut Vec<Expr>,
    ) -> SqlResult<Vec<Vec<usize>>> {
        match tree {
            ast::Expr::GroupingSets(sets) => {
                sets.iter().map(|set| self.grouping_set(set, items, scope, exprs)).collect()
            }
            ast::Expr::Rollup(parts) => {
                let parts = parts.iter().map(|part| self.grouping_set(part, items, scope, exprs));
                let parts: Vec<Vec<usize>> = parts.collect::<SqlResult<_>>()?;
                Ok((0..=parts.len()).rev().map(|length| parts[..length].concat()).collect())
            }
            ast::Expr::Cube(parts) => {
                let parts = parts.iter().map(|part| self.grouping_set(part, items, scope, exprs));
                let parts: Vec<Vec<usize>> = parts.collect::<SqlResult<_>>()?;
                if parts.len() > 12 {
                    return Err(SqlError::new(SqlState::StatementTooComplex, "CUBE is limited to 12 elements"));
                }
                let chosen = |mask: usize| {
                    let kept = parts.iter().enumerate().filter(|(at, _)| mask & (1 << (parts.len() - 1 - at)) != 0);
                    kept.flat_map(|(_, part)| part.iter().copied()).collect()
                };
                Ok((0..1usize << parts.len()).rev().map(chosen).collect())
            }
            ast::Expr::Tuple(members) => Ok(vec![self.grouping_set(members, items, scope, exprs)?]),
            _ => Ok(vec![vec![self.group_expr(tree, items, scope, exprs)?]]),
        }
    }

    fn grouping_set(
        &mut self,
        members: &[ast::Expr],
        items: &[Item],
        scope: &Scope<'_>,
        exprs: &mut Vec<Expr>,
    ) -> SqlResult<Vec<usize>> {
        members.iter().map(|member| self.group_expr(member, items, scope, exprs)).collect()
    }

    /// One expression: a column of the input, else an output column by name or number, else anything.
    fn group_expr(
        &mut self,
        tree: &ast::Expr,
        items: &[Item],
        scope: &Scope<'_>,
        exprs: &mut Vec<Expr>,
    ) -> SqlResult<usize> {
        let bound = match tree {
            ast::Expr::Nested(inner) => return self.group_expr(inner, items, scope, exprs),
            ast::Expr::Identifier(ident) => match scope.find(None, &fold(ident)) {
                Ok(Some(column)) => Some(column.expr),
                Ok(None) => None,
                Err(error) => return Err(self.at(ident.span, error)),
            },
            _ => None,
        };
        let expr = match bound {
            Some(expr) => expr,
            None => {
                let fields: Vec<Field> = items.iter().map(|item| item.field.clone()).collect();
                match output_position(tree, &fields, "GROUP BY")? {
                    Some(index) => items[index].expr.clone(),
                    None => self.expr(tree, scope)?,
                }
            }
        };
        let calls = |node: &Expr, depth: usize| {
            depth == 0 && matches!(node, Expr::Column { index, .. } if CallKind::of(*index).is_some())
        };
        if visit::any(&expr, &calls) {
            let message = "aggregate functions are not allowed in GROUP BY";
            return Err(SqlError::new(SqlState::GroupingError, message));
        }
        let expr = self.known_type(expr)?;
        if let Some(position) = exprs.iter().position(|known| same(known, &expr)) {
            return Ok(position);
        }
        exprs.push(expr);
        Ok(exprs.len() - 1)
    }

    /// Puts the aggregation and HAVING on top of a relation and rewrites what comes after to its columns. Answers the
    /// relation and its width.
    #[allow(clippy::too_many_arguments, reason = "everything that a select computes after grouping")]
    pub(super) fn aggregate_step(
        &mut self,
        input: Relation,
        scope: &Scope<'_>,
        mut grouping: Grouping,
        aggregates: Vec<AggregateCall>,
        direct: Vec<Expr>,
        grouping_calls: Vec<Vec<Expr>>,
        having: Option<Expr>,
        exprs: &mut [Expr],
        windows: &mut [WindowCall],
        sets: &mut [SetCall],
    ) -> SqlResult<(Relation, usize)> {
        if grouping.sets.is_empty() {
            grouping.sets.push(Vec::new());
        }
        add_dependent_columns(&mut grouping, scope);
        let groupings = grouping_calls
            .iter()
            .map(|args| grouping_positions(args, &grouping.exprs))
            .collect::<SqlResult<Vec<_>>>()?;
        let step = Step { groups: &grouping.exprs, aggregates: aggregates.len(), scope };
        for mut expr in direct {
            if grouping.sets.len() > 1 {
                return Err(SqlError::unsupported("direct arguments over columns with several grouping sets"));
            }
            step.rewrite(&mut expr).map_err(|error| {
                let detail = "Direct arguments of an ordered-set aggregate must use only grouped columns.";
                error.with_detail(detail)
            })?;
        }
        let mut having = having;
        for expr in exprs.iter_mut().chain(&mut having) {
            step.rewrite(expr)?;
        }
        for expr in sets.iter_mut().flat_map(|(_, args, _)| args) {
            step.rewrite(expr)?;
        }
        for window in windows {
            step.rewrite_window(window)?;
        }
        let fields = output_fields(&grouping.exprs, &aggregates, &groupings);
        let width = fields.len();
        let mut relation = Relation::Aggregate {
            input: Box::new(input),
            group_by: grouping.exprs,
            grouping_sets: grouping.sets,
            aggregates,
            groupings,
            fields,
        };
        if let Some(condition) = having {
            relation = Relation::Filter { input: Box::new(relation), condition };
        }
        Ok((relation, width))
    }
}

fn output_fields(groups: &[Expr], aggregates: &[AggregateCall], groupings: &[Vec<usize>]) -> Vec<Field> {
    let plain = |name: &str, sql_type| Field { name: name.to_owned(), sql_type, origin: (0, 0) };
    let groups = groups.iter().map(|expr| plain("group", expr.sql_type()));
    let aggregates = aggregates.iter().map(|call| plain(call.function.name, call.sql_type));
    groups.chain(aggregates).chain(groupings.iter().map(|_| grouping_field())).collect()
}

/// Grouping by a table's primary key groups by each of its columns.
fn add_dependent_columns(grouping: &mut Grouping, scope: &Scope<'_>) {
    if grouping.sets.len() != 1 {
        return;
    }
    for (number, table) in scope.tables.iter().enumerate() {
        let columns: Vec<&Expr> =
            scope.columns.iter().filter(|column| column.table == Some(number)).map(|column| &column.expr).collect();
        let grouped = |position: &usize| {
            columns.get(*position).is_some_and(|column| grouping.exprs.iter().any(|group| same(group, column)))
        };
        if table.key.is_empty() || !table.key.iter().all(grouped) {
            continue;
        }
        for column in columns {
            if !grouping.exprs.iter().any(|group| same(group, column)) {
                grouping.sets[0].push(grouping.exprs.len());
                grouping.exprs.push(column.clone());
            }
        }
    }
}

fn grouping_positions(args: &[Expr], groups: &[Expr]) -> SqlResult<Vec<usize>> {
    let position = |arg: &Expr| {
        groups.iter().position(|group| same(group, arg)).ok_or_else(|| {
            let message = "arguments to GROUPING must be grouping expressions of the associated query level";
            SqlError::new(SqlState::GroupingError, message)
        })
    };
    args.iter().map(position).collect()
}

/// Rewrites expressions over the input row to expressions over the aggregation's row.
struct Step<'s> {
    groups: &'s [Expr],
    aggregates: usize,
    scope: &'s Scope<'s>,
}

impl Step<'_> {
    fn rewrite(&self, expr: &mut Expr) -> SqlResult<()> {
        visit::rewrite_mut(expr, 0, &mut |node, depth| self.replace(node, depth))
    }

    fn replace(&self, node: &mut Expr, depth: usize) -> SqlResult<bool> {
        if depth == 0
            && let Some(index) = self.groups.iter().position(|group| same::same(group, node))
        {
            *node = Expr::Column { index, sql_type: node.sql_type() };
            return Ok(true);
        }
        match node {
            Expr::Column { index, sql_type } if depth == 0 => match CallKind::of(*index) {
                None => Err(self.ungrouped(*index, *sql_type, false)),
                Some((CallKind::Aggregate, number)) => {
                    *index = self.groups.len() + number;
                    Ok(true)
                }
                Some((CallKind::Grouping, number)) => {
                    *index = self.groups.len() + self.aggregates + number;
                    Ok(true)
                }
                Some((CallKind::Window | CallKind::Set, _)) => Ok(true),
            },
            Expr::Outer { depth: level, index, sql_type } if depth > 0 && *level == depth => {
                let column = Expr::Column { index: *index, sql_type: *sql_type };
                match self.groups.iter().position(|group| same::same(group, &column)) {
                    Some(position) => {
                        *index = position;
                        Ok(true)
                    }
                    None => Err(self.ungrouped(*index, *sql_type, true)),
                }
            }
            _ => Ok(false),
        }
    }

    fn rewrite_window(&self, window: &mut WindowCall) -> SqlResult<()> {
        let mut result = Ok(());
        visit::window_exprs_mut(window, 0, &mut |expr, _| {
            if result.is_ok() {
                result = self.rewrite(expr);
            }
        });
        result
    }

    fn ungrouped(&self, index: usize, sql_type: sharddb_schema::SqlType, outer: bool) -> SqlError {
        let wanted = Expr::Column { index, sql_type };
        let column = self.scope.columns.iter().find(|column| same::same(&column.expr, &wanted));
        let name = match column {
            Some(column) => match column.table.map(|table| &self.scope.tables[table].alias) {
                Some(table) => format!("{table}.{}", column.name),
                None => column.name.clone(),
            },
            None => "?column?".to_owned(),
        };
        let message = match outer {
            true => format!("subquery uses ungrouped column \"{name}\" from outer query"),
            false => {
                format!("column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function")
            }
        };
        SqlError::new(SqlState::GroupingError, message)
    }
}
