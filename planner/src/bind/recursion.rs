//! The form of WITH RECURSIVE: where a query may refer to itself, and in which order WITH queries are bound.
//!
//! Works on syntax trees before binding. A WITH query of the same name further in hides the outer one.

use std::ops::ControlFlow;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;
use sqlparser::ast::{self, JoinOperator, SetExpr, SetOperator, SetQuantifier, TableFactor};

use super::fold;
use crate::plan::Relation;

/// Both terms of a WITH query that refers to itself.
pub(super) struct Terms<'t> {
    pub(super) first: &'t SetExpr,
    pub(super) second: &'t SetExpr,
    /// UNION ALL joins them.
    pub(super) all: bool,
}

/// A place where a query must not refer to itself, as messages name it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Allowed,
    FirstTerm,
    Subquery,
    OuterJoin,
    Intersect,
    Except,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Allowed | Self::Subquery => "a subquery",
            Self::FirstTerm => "its non-recursive term",
            Self::OuterJoin => "an outer join",
            Self::Intersect => "INTERSECT",
            Self::Except => "EXCEPT",
        }
    }
}

/// The terms of a query that refers to itself; `None` for one that does not.
///
/// # Errors
/// 42P19 when it does so where it must not, 0A000 for clauses around its UNION.
pub(super) fn recursive_terms<'t>(cte: &'t ast::Cte, name: &str) -> SqlResult<Option<Terms<'t>>> {
    if !refers_to(&*cte.query, name) {
        return Ok(None);
    }
    let (first, second, all) = match &*cte.query.body {
        SetExpr::SetOperation { op: SetOperator::Union, set_quantifier, left, right } => {
            (&**left, &**right, *set_quantifier == SetQuantifier::All)
        }
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            let message = format!("recursive query \"{name}\" must not contain data-modifying statements");
            return Err(SqlError::new(SqlState::InvalidRecursion, message));
        }
        _ => {
            let message = format!(
                "recursive query \"{name}\" does not have the form non-recursive-term UNION [ALL] recursive-term"
            );
            return Err(SqlError::new(SqlState::InvalidRecursion, message));
        }
    };
    let mut walk = Walk { name, count: 0 };
    if let Some(with) = &cte.query.with {
        walk.any(with, Place::Subquery)?;
    }
    walk.set_expr(first, Place::FirstTerm)?;
    walk.set_expr(second, Place::Allowed)?;
    refuse_decoration(&cte.query)?;
    Ok(Some(Terms { first, second, all }))
}

fn refuse_decoration(query: &ast::Query) -> SqlResult<()> {
    let (limit, offset) = match &query.limit_clause {
        Some(ast::LimitClause::LimitOffset { limit, offset, .. }) => (limit.is_some(), offset.is_some()),
        Some(ast::LimitClause::OffsetCommaLimit { .. }) => (true, true),
        None => (false, false),
    };
    let clauses = [
        (query.order_by.is_some(), "ORDER BY"),
        (offset, "OFFSET"),
        (limit || query.fetch.is_some(), "LIMIT"),
        (!query.locks.is_empty(), "FOR UPDATE/SHARE"),
    ];
    match clauses.iter().find(|(present, _)| *present) {
        None => Ok(()),
        Some((_, clause)) => {
            let message = format!("{clause} in a recursive query is not implemented");
            Err(SqlError::new(SqlState::FeatureNotSupported, message))
        }
    }
}

/// Looks for references of a query to itself.
struct Walk<'n> {
    name: &'n str,
    count: usize,
}

impl Walk<'_> {
    fn found(&mut self, place: Place) -> SqlResult<()> {
        self.count += 1;
        let how = match place {
            Place::Allowed if self.count == 1 => return Ok(()),
            Place::Allowed => "more than once".to_owned(),
            place => format!("within {}", place.name()),
        };
        let message = format!("recursive reference to query \"{}\" must not appear {how}", self.name);
        Err(SqlError::new(SqlState::InvalidRecursion, message))
    }

    /// A part of the tree in which every reference is at the same kind of place.
    fn any(&mut self, tree: &impl ast::Visit, place: Place) -> SqlResult<()> {
        if refers_to(tree, self.name) { self.found(place) } else { Ok(()) }
    }

    fn query(&mut self, query: &ast::Query, place: Place) -> SqlResult<()> {
        if let Some(with) = &query.with {
            if with.cte_tables.iter().any(|cte| fold(&cte.alias.name) == self.name) {
                return Ok(());
            }
            for cte in &with.cte_tables {
                self.query(&cte.query, place)?;
            }
        }
        self.set_expr(&query.body, place)
    }

    fn set_expr(&mut self, tree: &SetExpr, place: Place) -> SqlResult<()> {
        match tree {
            SetExpr::Select(select) => self.select(select, place),
            SetExpr::Query(query) => self.query(query, place),
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let all = *set_quantifier == SetQuantifier::All;
                let (of_left, of_right) = match (place, op) {
                    (Place::Allowed, SetOperator::Intersect) if all => (Place::Intersect, Place::Intersect),
                    (Place::Allowed, SetOperator::Except | SetOperator::Minus) => {
                        (if all { Place::Except } else { place }, Place::Except)
                    }
                    _ => (place, place),
                };
                self.set_expr(left, of_left)?;
                self.set_expr(right, of_right)
            }
            SetExpr::Table(table) => match table.table_name.as_deref() {
                Some(name) if table.schema_name.is_none() && name.eq_ignore_ascii_case(self.name) => self.found(place),
                _ => Ok(()),
            },
            other => self.any(other, if place == Place::Allowed { Place::Subquery } else { place }),
        }
    }

    fn select(&mut self, select: &ast::Select, place: Place) -> SqlResult<()> {
        for item in &select.from {
            self.joined(item, place)?;
        }
        let rest = ast::Select { from: Vec::new(), ..select.clone() };
        self.any(&rest, if place == Place::Allowed { Place::Subquery } else { place })
    }

    fn joined(&mut self, item: &ast::TableWithJoins, place: Place) -> SqlResult<()> {
        use JoinOperator as J;
        let outer = if place == Place::Allowed { Place::OuterJoin } else { place };
        let nullable_left = item
            .joins
            .iter()
            .any(|join| matches!(join.join_operator, J::Right(_) | J::RightOuter(_) | J::FullOuter(_)));
        self.factor(&item.relation, if nullable_left { outer } else { place })?;
        for (at, join) in item.joins.iter().enumerate() {
            let nullable = matches!(join.join_operator, J::Left(_) | J::LeftOuter(_) | J::FullOuter(_));
            let later = item.joins[at + 1..].iter();
            let nullable = nullable
                || later
                    .into_iter()
                    .any(|join| matches!(join.join_operator, J::Right(_) | J::RightOuter(_) | J::FullOuter(_)));
            self.factor(&join.relation, if nullable { outer } else { place })?;
            self.any(&join.join_operator, if place == Place::Allowed { Place::Subquery } else { place })?;
        }
        Ok(())
    }

    fn factor(&mut self, factor: &TableFactor, place: Place) -> SqlResult<()> {
        match factor {
            TableFactor::Derived { subquery, .. } => self.query(subquery, place),
            TableFactor::NestedJoin { table_with_joins, .. } => self.joined(table_with_joins, place),
            other => self.any(other, place),
        }
    }
}

/// Whether a tree names a relation, without a schema.
fn refers_to(tree: &impl ast::Visit, name: &str) -> bool {
    ast::visit_relations(tree, |relation| {
        let same = relation.0.len() == 1 && relation.0[0].as_ident().is_some_and(|ident| fold(ident) == name);
        if same { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .is_break()
}

/// The order in which the queries of WITH RECURSIVE are bound: each after those that it refers to.
///
/// # Errors
/// 0A000 when two refer to each other.
pub(super) fn order(ctes: &[ast::Cte]) -> SqlResult<Vec<usize>> {
    let names: Vec<String> = ctes.iter().map(|cte| fold(&cte.alias.name)).collect();
    let needs = |at: usize, other: usize| at != other && refers_to(&*ctes[at].query, &names[other]);
    let mut waiting: Vec<usize> = (0..ctes.len()).collect();
    let mut order = Vec::with_capacity(ctes.len());
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|at| !waiting.iter().any(|other| needs(*at, *other)));
        let Some(ready) = ready else {
            let message = "mutual recursion between WITH items is not implemented";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        };
        order.push(waiting.remove(ready));
    }
    Ok(order)
}

/// A recursive term must not aggregate the rows that it refers to.
pub(super) fn refuse_aggregates(relation: &Relation) -> SqlResult<()> {
    match relation {
        Relation::Aggregate { input, .. } if reads_itself(input) => {
            let message = "aggregate functions are not allowed in a recursive query's recursive term";
            Err(SqlError::new(SqlState::InvalidRecursion, message))
        }
        Relation::Derived { query, .. } => refuse_aggregates(&query.body),
        other => inputs(other).into_iter().try_for_each(refuse_aggregates),
    }
}

fn reads_itself(relation: &Relation) -> bool {
    match relation {
        Relation::CteScan { recursive, .. } => *recursive,
        other => inputs(other).into_iter().any(reads_itself),
    }
}

/// Relations directly below one in the same query.
fn inputs(relation: &Relation) -> Vec<&Relation> {
    match relation {
        Relation::Join { left, right, .. } | Relation::SetOperation { left, right, .. } => vec![left, right],
        Relation::Filter { input, .. }
        | Relation::Project { input, .. }
        | Relation::ProjectSet { input, .. }
        | Relation::Aggregate { input, .. }
        | Relation::Window { input, .. }
        | Relation::Distinct { input, .. }
        | Relation::Sort { input, .. }
        | Relation::Limit { input, .. } => vec![input],
        _ => Vec::new(),
    }
}
