//! Views as SQL text, in the layout that PostgreSQL shows them with.
//!
//! The view's statement is read again and its parts are bound, so that every column is shown with its table and every
//! constant with its type. What there is no text for (subqueries in expressions, grouping sets, frames) is an error:
//! the caller shows the statement as it was written.

mod calls;
mod from;
mod layout;
mod select;

use proto::{SqlError, SqlResult};
use schema::{ViewDescriptor, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, SetExpr, SetQuantifier};

use super::{BindContext, Binder, fold, scope::Scope};
use crate::parse;
use layout::Layout;

/// Queries that are written for one view. Each nested one is bound once for every query around it, so that deep nesting
/// would take exponential time.
const QUERIES_MAX: usize = 500;

/// What `pg_get_viewdef` shows of a view.
pub fn show_view(view: &ViewDescriptor, pretty: bool, context: &BindContext<'_>) -> SqlResult<String> {
    let tree = parse::parse_query(&view.query)?;
    let mut binder = Binder::new(context, &view.query);
    binder.keeps_conversions = true;
    binder.showing = Some(Showing { pretty, level: 0 });
    let names: Vec<String> = view.columns.iter().map(|(name, _)| name.clone()).collect();
    let mut writer = QueryWriter { binder: &mut binder, pretty, layout: Layout::default() };
    writer.query(unpinned(&tree), None, ColumnNames::Given(&names))?;
    Ok(writer.layout.finish() + ";")
}

/// How subqueries of expressions are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Showing {
    pretty: bool,
    /// Where the query around begins its lines.
    level: isize,
}

impl Binder<'_> {
    /// The text of a subquery in an expression, if expressions are bound to be shown.
    pub(super) fn shown_query(&mut self, query: &ast::Query, scope: &Scope<'_>) -> SqlResult<Option<Box<str>>> {
        let Some(showing) = self.showing else { return Ok(None) };
        let mut layout = Layout::default();
        layout.set_level(showing.level);
        let mut writer = QueryWriter { binder: self, pretty: showing.pretty, layout };
        let written = writer.query(query, Some(scope), ColumnNames::Hidden);
        let text = writer.layout.finish();
        self.showing = Some(showing);
        written.map(|()| Some(text.into()))
    }
}

/// What a query's columns are called.
#[derive(Clone, Copy, Debug)]
enum ColumnNames<'n> {
    /// As a view says.
    Given(&'n [String]),
    /// By themselves, and somebody reads the names.
    Own,
    /// By themselves, and nobody reads the names.
    Hidden,
}

/// A statement with a star is kept inside one that names its columns.
fn unpinned(tree: &ast::Query) -> &ast::Query {
    let SetExpr::Select(select) = &*tree.body else { return tree };
    match select.from.as_slice() {
        [ast::TableWithJoins { relation: ast::TableFactor::Derived { subquery, alias: Some(alias), .. }, joins }]
            if joins.is_empty() && fold(&alias.name) == "pinned" =>
        {
            subquery
        }
        _ => tree,
    }
}

fn unshown(what: &str) -> SqlError {
    SqlError::unsupported(format!("showing {what}"))
}

/// Writes queries.
struct QueryWriter<'w, 'a> {
    binder: &'w mut Binder<'a>,
    pretty: bool,
    layout: Layout,
}

impl QueryWriter<'_, '_> {
    /// A query; `names` are those of its columns where they are given from outside.
    fn query(&mut self, query: &ast::Query, parent: Option<&Scope<'_>>, names: ColumnNames<'_>) -> SqlResult<()> {
        self.binder.shown += 1;
        if self.binder.shown > QUERIES_MAX {
            return Err(unshown("a view of so many queries"));
        }
        if !query.locks.is_empty() {
            return Err(unshown("row locks"));
        }
        self.binder.ctes.push(Vec::new());
        let written = self.with(query.with.as_ref(), parent).and_then(|()| self.body(query, parent, names));
        self.binder.ctes.pop();
        written
    }

    fn with(&mut self, with: Option<&ast::With>, parent: Option<&Scope<'_>>) -> SqlResult<()> {
        let Some(with) = with else { return Ok(()) };
        if with.recursive {
            return Err(unshown("WITH RECURSIVE"));
        }
        self.binder.with(Some(with), parent)?;
        self.layout.enter();
        self.layout.push("WITH ");
        for (at, cte) in with.cte_tables.iter().enumerate() {
            self.layout.push(if at > 0 { ", " } else { "" });
            self.layout.push(&functions::quote_identifier(&fold(&cte.alias.name)));
            self.column_names(&cte.alias.columns);
            self.layout.push(match cte.materialized {
                None => " AS (",
                Some(ast::CteAsMaterialized::Materialized) => " AS MATERIALIZED (",
                Some(ast::CteAsMaterialized::NotMaterialized) => " AS NOT MATERIALIZED (",
            });
            self.layout.line("", 0, 0, 0);
            self.nested(|writer| writer.query(&cte.query, parent, ColumnNames::Own))?;
            self.layout.line("", 0, 0, 0);
            self.layout.push(")");
        }
        self.layout.leave();
        self.layout.line("", 0, 0, 0);
        Ok(())
    }

    /// `(a, b)` behind an alias.
    fn column_names(&mut self, columns: &[ast::TableAliasColumnDef]) {
        if columns.is_empty() {
            return;
        }
        let names = columns.iter().map(|column| functions::quote_identifier(&fold(&column.name)).into_owned());
        let names = names.collect::<Vec<_>>().join(", ");
        self.layout.push(&format!("({names})"));
    }

    /// Writes something and goes back to the present indentation.
    fn nested(&mut self, write: impl FnOnce(&mut Self) -> SqlResult<()>) -> SqlResult<()> {
        let before = self.layout.level();
        let written = write(self);
        self.layout.set_level(before);
        written
    }

    fn body(&mut self, query: &ast::Query, parent: Option<&Scope<'_>>, names: ColumnNames<'_>) -> SqlResult<()> {
        match &*query.body {
            SetExpr::Select(select) => self.select(select, query, parent, names),
            SetExpr::SetOperation { .. } => {
                self.set_expr(&query.body, parent, names)?;
                self.sort_by_numbers(query)?;
                self.limit(query)
            }
            _ => Err(unshown("this kind of query")),
        }
    }

    fn set_expr(&mut self, tree: &SetExpr, parent: Option<&Scope<'_>>, names: ColumnNames<'_>) -> SqlResult<()> {
        match tree {
            SetExpr::Select(select) => {
                let plain = super::query::plain_query();
                self.nested(|writer| writer.select(select, &plain, parent, names))
            }
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let all = *set_quantifier == SetQuantifier::All;
                let same = matches!(&**left, SetExpr::SetOperation { op: inner, set_quantifier: quantifier, .. }
                    if inner == op && quantifier == set_quantifier);
                self.operand(left, !same, parent, names)?;
                self.layout.line(
                    match op {
                        ast::SetOperator::Union => "UNION ",
                        ast::SetOperator::Intersect => "INTERSECT ",
                        ast::SetOperator::Except | ast::SetOperator::Minus => "EXCEPT ",
                    },
                    0,
                    0,
                    0,
                );
                self.layout.push(if all { "ALL " } else { "" });
                self.right_operand(right, parent, names)
            }
            SetExpr::Query(query)
                if query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() =>
            {
                self.set_expr(&query.body, parent, names)
            }
            SetExpr::Query(query) => {
                self.layout.push("(");
                self.nested(|writer| writer.query(query, parent, names))?;
                self.layout.push(")");
                Ok(())
            }
            _ => Err(unshown("this operand of a set operation")),
        }
    }

    /// The left side; another operation stands in brackets unless it is the same.
    fn operand(
        &mut self,
        tree: &SetExpr,
        bracketed: bool,
        parent: Option<&Scope<'_>>,
        names: ColumnNames<'_>,
    ) -> SqlResult<()> {
        let inner = without_brackets(tree);
        if !bracketed || !matches!(inner, SetExpr::SetOperation { .. }) {
            return self.set_expr(inner, parent, names);
        }
        self.layout.push("(");
        self.layout.line("", layout::STEP, 0, 0);
        self.set_expr(inner, parent, names)?;
        self.layout.line(") ", -layout::STEP, 0, 0);
        Ok(())
    }

    fn right_operand(&mut self, tree: &SetExpr, parent: Option<&Scope<'_>>, names: ColumnNames<'_>) -> SqlResult<()> {
        let inner = without_brackets(tree);
        if !matches!(inner, SetExpr::SetOperation { .. }) {
            self.layout.line("", 0, 0, 0);
            return self.set_expr(inner, parent, names);
        }
        self.layout.push("(");
        self.layout.line("", layout::STEP, 0, 0);
        self.set_expr(inner, parent, names)?;
        self.layout.line(")", -layout::STEP, 0, 0);
        Ok(())
    }
}

fn without_brackets(tree: &SetExpr) -> &SetExpr {
    match tree {
        SetExpr::Query(query) if query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() => {
            without_brackets(&query.body)
        }
        other => other,
    }
}
