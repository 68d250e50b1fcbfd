//! Joins, LATERAL among them.

use planner::plan::{Expr, JoinKind, Relation};
use proto::{SqlError, SqlResult};
use sharddb_planner as planner;
use sharddb_proto as proto;

use super::{
    Converter, Rows,
    expression::{Calls, has_subquery},
    relation::remove_level,
};
use crate::general::{
    expr::{collect_columns, conjuncts, outer_columns, remap, rewrite, rewrite_outer},
    ir::{Call, Join, Node, Rel},
};

impl Converter<'_> {
    pub(super) fn join(
        &mut self,
        left: &Relation,
        right: &Relation,
        kind: JoinKind,
        on: Option<&Expr>,
    ) -> SqlResult<Rows> {
        let left = self.relation(left)?;
        if is_lateral(right) {
            return self.lateral(left, right, kind, on);
        }
        let right = self.relation(right)?;
        self.join_rows(left, right, kind, on)
    }

    fn join_rows(&mut self, left: Rows, right: Rows, kind: JoinKind, on: Option<&Expr>) -> SqlResult<Rows> {
        let mut conditions = Vec::new();
        if let Some(on) = on {
            conjuncts(on.clone(), &mut conditions);
        }
        let kind = match kind {
            JoinKind::Inner => Join::Inner,
            JoinKind::Left => Join::Left,
            JoinKind::Right => Join::Right,
            JoinKind::Full => Join::Full,
        };
        let arrangement = Arrangement::of(&left, &right);
        if conditions.iter().any(has_subquery) {
            return self.join_with_subqueries(kind, left, right, &conditions, &arrangement);
        }
        let mut none = Calls::behind(0);
        let mut on = self.exprs(&conditions, &mut none)?;
        on.iter_mut().for_each(|expr| arrangement.move_columns(expr));
        Ok(arrangement.finish(Rel::join(kind, left.rel, right.rel, on)))
    }

    /// Subqueries in the condition of a join: above an inner join, or below on the one side that they look at.
    fn join_with_subqueries(
        &mut self,
        kind: Join,
        left: Rows,
        right: Rows,
        conditions: &[Expr],
        arrangement: &Arrangement,
    ) -> SqlResult<Rows> {
        let width = left.rel.arity() + right.rel.arity();
        let mut calls = Calls::behind(width);
        let mut on = self.exprs(conditions, &mut calls)?;
        let mut calls = calls.calls;
        on.iter_mut().for_each(|expr| arrangement.move_columns(expr));
        for call in &mut calls {
            call.exprs_mut().into_iter().for_each(|expr| arrangement.move_columns(expr));
            rewrite_outer(&mut call.rel, &mut |node, depth| {
                if let Expr::Outer { index, .. } = node
                    && depth == 1
                {
                    *index = arrangement.place(*index);
                }
            });
        }
        if kind == Join::Inner {
            let joined = Rel::join(kind, left.rel, right.rel, Vec::new());
            let kept: Vec<usize> = (0..width).collect();
            return Ok(arrangement.finish(joined.apply(calls).filter(on).select(&kept)));
        }
        let sides = Sides { left: left.rel.arity(), width };
        let (on_left, on_right) = sides.divide(calls)?;
        let (left_calls, right_calls) = (on_left.len(), on_right.len());
        // Columns are now: left, its calls, right, its calls.
        let places: Vec<usize> = (0..sides.left)
            .chain((sides.left..width).map(|at| at + left_calls))
            .chain(sides.call_places(&on_left, &on_right))
            .collect();
        on.iter_mut().for_each(|expr| remap(expr, &|at| places[at]));
        let calls = |calls: Vec<(usize, Call)>| calls.into_iter().map(|(_, call)| call).collect();
        let joined = Rel::join(kind, left.rel.apply(calls(on_left)), right.rel.apply(calls(on_right)), on);
        let right_start = sides.left + left_calls;
        let kept: Vec<usize> = (0..sides.left).chain(right_start..right_start + width - sides.left).collect();
        debug_assert_eq!(joined.arity(), width + left_calls + right_calls, "every call has a column");
        Ok(arrangement.finish(joined.select(&kept)))
    }

    /// A join whose right side may look at the left row.
    fn lateral(&mut self, left: Rows, right: &Relation, kind: JoinKind, on: Option<&Expr>) -> SqlResult<Rows> {
        if let Relation::Function { args, .. } = right
            && kind == JoinKind::Inner
            && on.is_none()
            && !args.iter().any(has_subquery)
        {
            return self.lateral_function(left, right);
        }
        let mut right = match right {
            Relation::Derived { query, .. } => self.query(query)?,
            Relation::Function { .. } => Rows::plain(self.function_over(right, Rel::unit())?),
            _ => return Err(SqlError::internal("no lateral relation")),
        };
        if outer_columns(&mut right.rel).is_empty() {
            remove_level(&mut right.rel);
            return self.join_rows(left, right, kind, on);
        }
        let outer = match kind {
            JoinKind::Inner => false,
            JoinKind::Left => true,
            JoinKind::Right | JoinKind::Full => {
                return Err(SqlError::internal("the nullable side of a join is lateral"));
            }
        };
        let arrangement = Arrangement::of(&left, &right);
        let mut conditions = Vec::new();
        if let Some(on) = on {
            conjuncts(on.clone(), &mut conditions);
        }
        let on = conditions.iter().map(|expr| self.plain(expr, "the condition of a LATERAL join"));
        let mut on = on.collect::<SqlResult<Vec<_>>>()?;
        on.iter_mut().for_each(|expr| arrangement.move_columns(expr));
        let mut columns = left.rel.columns.clone();
        columns.extend(right.rel.columns.iter().cloned());
        let node = Node::Lateral { left: Box::new(left.rel), right: Box::new(right.rel), outer, on };
        Ok(arrangement.finish(Rel::new(node, columns)))
    }

    /// A function of the left row: no need to run anything for each row.
    fn lateral_function(&mut self, left: Rows, right: &Relation) -> SqlResult<Rows> {
        let keys = left.keys.clone();
        let visible = left.visible();
        let arity = left.rel.arity();
        let mut rel = self.function_over(right, left.rel)?;
        pull_down(&mut rel);
        let order: Vec<usize> = (0..visible).chain(arity..rel.arity()).chain(visible..arity).collect();
        Ok(Rows { rel: rel.select(&order), keys })
    }
}

/// Outer columns of depth 1 in the arguments of a function become columns of its input; deeper ones come one level up.
fn pull_down(rel: &mut Rel) {
    let rel = match &mut rel.node {
        Node::Project { input, .. } => &mut **input,
        _ => rel,
    };
    for expr in rel.exprs_mut() {
        rewrite(expr, &mut |node| match node {
            Expr::Outer { depth: 1, index, sql_type } => *node = Expr::Column { index: *index, sql_type: *sql_type },
            Expr::Outer { depth, .. } => *depth -= 1,
            _ => {}
        });
    }
}

/// Whether the right side of a join may look at the left row.
fn is_lateral(right: &Relation) -> bool {
    matches!(right, Relation::Derived { lateral: true, .. } | Relation::Function { .. })
}

/// Where columns of a bound join condition are: hidden columns lie between those of the two sides.
struct Arrangement {
    left_visible: usize,
    left: usize,
    right_visible: usize,
    width: usize,
    keys: Vec<usize>,
}

impl Arrangement {
    fn of(left: &Rows, right: &Rows) -> Self {
        Self {
            left_visible: left.visible(),
            left: left.rel.arity(),
            right_visible: right.visible(),
            width: left.rel.arity() + right.rel.arity(),
            keys: left.keys.iter().chain(&right.keys).copied().collect(),
        }
    }

    fn place(&self, index: usize) -> usize {
        if index < self.left_visible { index } else { index - self.left_visible + self.left }
    }

    fn move_columns(&self, expr: &mut Expr) {
        // Columns of calls come behind both sides and stay.
        let bound = self.left_visible + self.right_visible;
        remap(expr, &|at| if at < bound || self.left == self.left_visible { self.place(at) } else { at });
    }

    /// Moves hidden columns behind all visible ones.
    fn finish(self: &Arrangement, rel: Rel) -> Rows {
        let right = self.left + self.right_visible;
        let order: Vec<usize> = (0..self.left_visible)
            .chain(self.left..right)
            .chain(self.left_visible..self.left)
            .chain(right..self.width)
            .collect();
        Rows { rel: rel.select(&order), keys: self.keys.clone() }
    }
}

/// Divides the subqueries of an outer join's condition between its sides.
struct Sides {
    left: usize,
    width: usize,
}

type Numbered = Vec<(usize, Call)>;

impl Sides {
    fn divide(&self, calls: Vec<Call>) -> SqlResult<(Numbered, Numbered)> {
        let (mut on_left, mut on_right) = (Vec::new(), Vec::new());
        for (number, mut call) in calls.into_iter().enumerate() {
            let mut columns = outer_columns(&mut call.rel);
            for expr in call.exprs_mut() {
                collect_columns(expr, &mut columns);
            }
            if columns.iter().all(|at| *at < self.left) {
                on_left.push((number, call));
            } else if columns.iter().all(|at| (self.left..self.width).contains(at)) {
                self.move_to_right(&mut call);
                on_right.push((number, call));
            } else {
                return Err(SqlError::unsupported("a subquery over both sides in the condition of an outer join"));
            }
        }
        Ok((on_left, on_right))
    }

    fn move_to_right(&self, call: &mut Call) {
        let place = |at: usize| at - self.left;
        call.exprs_mut().into_iter().for_each(|expr| remap(expr, &place));
        rewrite_outer(&mut call.rel, &mut |node, depth| {
            if let Expr::Outer { index, .. } = node
                && depth == 1
            {
                *index = place(*index);
            }
        });
    }

    /// Where the column of each call is in the join of both applied sides.
    fn call_places(&self, on_left: &Numbered, on_right: &Numbered) -> Vec<usize> {
        let mut places = vec![0; on_left.len() + on_right.len()];
        for (at, (number, _)) in on_left.iter().enumerate() {
            places[*number] = self.left + at;
        }
        for (at, (number, _)) in on_right.iter().enumerate() {
            places[*number] = self.width + on_left.len() + at;
        }
        places
    }
}
