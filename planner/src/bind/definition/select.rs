//! SELECT with its clauses.

use proto::SqlResult;
use schema::{Oid, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast;

use super::{
    super::{
        query::order_items,
        scope::{Clause, Scope},
        select::Item,
    },
    ColumnNames, QueryWriter, Showing,
    calls::ScopeNames,
    layout::STEP,
    unshown,
};
use crate::{
    plan::{Expr, SortKey},
    show::Writer,
};

/// What an expression is called that has no name.
const UNNAMED: &str = "?column?";

impl QueryWriter<'_, '_> {
    /// The text of an expression over a scope's row.
    pub(super) fn expr_text(&self, expr: &Expr, scope: &Scope<'_>, implicit: bool) -> SqlResult<String> {
        let format = &self.binder.eval_context().format;
        let names = ScopeNames::new(scope, self.pretty, format, self.layout.indent());
        let mut writer = Writer::new(&names, self.pretty, format, self.layout.indent());
        writer.expr(expr, implicit);
        let text = writer.finish().filter(|_| !names.is_incomplete());
        text.ok_or_else(|| unshown("a subquery in an expression"))
    }

    /// Subqueries of expressions that are bound now are written for lines that begin here.
    pub(super) fn show_at(&mut self, level: isize) {
        self.binder.showing = Some(Showing { pretty: self.pretty, level });
    }

    pub(super) fn select(
        &mut self,
        select: &ast::Select,
        query: &ast::Query,
        parent: Option<&Scope<'_>>,
        names: ColumnNames<'_>,
    ) -> SqlResult<()> {
        if !select.named_window.is_empty() || select.qualify.is_some() {
            return Err(unshown("named windows"));
        }
        self.show_at(self.layout.level() + STEP);
        let scope = self.binder.from(&select.from, parent)?.scope;
        let condition = match &select.selection {
            Some(selection) => {
                scope.clause.set(Clause::Where);
                Some(self.binder.boolean(selection, "WHERE", &scope)?)
            }
            None => None,
        };
        scope.clause.set(Clause::SelectList);
        let mut items = self.binder.select_items(&select.projection, &scope)?;
        let visible = items.len();
        let group = self.binder.group_by(&select.group_by, &items, &scope)?;
        scope.clause.set(Clause::Having);
        let having = select.having.as_ref().map(|tree| self.binder.boolean(tree, "HAVING", &scope)).transpose()?;
        scope.clause.set(Clause::OrderBy);
        let order_by = order_items(query.order_by.as_ref())?;
        let keys = self.binder.order_by(order_by, &mut items, visible, &scope)?;

        self.layout.enter();
        self.layout.push("SELECT");
        self.distinct(select.distinct.as_ref(), &items[..visible], &scope)?;
        self.items(&items[..visible], &scope, names)?;
        self.clause_from(&select.from, parent)?;
        if let Some(condition) = condition {
            let text = self.expr_text(&condition, &scope, false)?;
            self.layout.clause(" WHERE ", 1);
            self.layout.push(&text);
        }
        if let Some(grouping) = group {
            let [all] = grouping.sets.as_slice() else { return Err(unshown("grouping sets")) };
            if all.len() != grouping.exprs.len() {
                return Err(unshown("grouping sets"));
            }
            let texts = grouping.exprs.iter().map(|expr| self.clause_text(expr, &scope));
            let texts = texts.collect::<SqlResult<Vec<_>>>()?;
            self.layout.clause(" GROUP BY ", 1);
            self.layout.push(&texts.join(", "));
        }
        if let Some(having) = having {
            let text = self.expr_text(&having, &scope, false)?;
            self.layout.clause(" HAVING ", 0);
            self.layout.push(&text);
        }
        self.sort(&keys, &items, &scope)?;
        self.limit(query)
    }

    fn distinct(&mut self, distinct: Option<&ast::Distinct>, items: &[Item], scope: &Scope<'_>) -> SqlResult<()> {
        match distinct {
            None | Some(ast::Distinct::All) => Ok(()),
            Some(ast::Distinct::Distinct) => {
                self.layout.push(" DISTINCT");
                Ok(())
            }
            Some(ast::Distinct::On(trees)) => {
                scope.clause.set(Clause::DistinctOn);
                let mut all: Vec<Item> =
                    items.iter().map(|item| Item { expr: item.expr.clone(), field: item.field.clone() }).collect();
                let visible = all.len();
                let mut texts = Vec::with_capacity(trees.len());
                for tree in trees {
                    let at = self.binder.item_of_clause(tree, &mut all, visible, "DISTINCT ON", scope)?;
                    texts.push(self.clause_text(&all[at].expr, scope)?);
                }
                self.layout.push(&format!(" DISTINCT ON ({})", texts.join(", ")));
                Ok(())
            }
        }
    }

    /// The select list, a line for each item.
    fn items(&mut self, items: &[Item], scope: &Scope<'_>, names: ColumnNames<'_>) -> SqlResult<()> {
        if let ColumnNames::Given(names) = names
            && names.len() != items.len()
        {
            return Err(unshown("a star over a table that has changed"));
        }
        let mut separator = " ";
        for (at, item) in items.iter().enumerate() {
            self.layout.push(separator);
            separator = ", ";
            let mut text = match &item.expr {
                Expr::Constant { sql_type, .. } if sql_type.oid == Oid::UNKNOWN => {
                    let typed = self.binder.known_type(item.expr.clone())?;
                    self.expr_text(&typed, scope, true)?
                }
                expr => self.expr_text(expr, scope, true)?,
            };
            let name = match names {
                ColumnNames::Given(names) => names[at].as_str(),
                ColumnNames::Own | ColumnNames::Hidden => item.field.name.as_str(),
            };
            let own = column_name(&item.expr, scope);
            let unnamed = matches!(names, ColumnNames::Hidden).then(|| UNNAMED.to_owned());
            if own.or(unnamed).as_deref() != Some(name) {
                text.push_str(" AS ");
                text.push_str(&functions::quote_identifier(name));
            }
            self.layout.item(&text, at == 0, false);
        }
        Ok(())
    }

    /// An expression of GROUP BY or ORDER BY: in brackets unless it is a column.
    pub(super) fn clause_text(&self, expr: &Expr, scope: &Scope<'_>) -> SqlResult<String> {
        let text = self.expr_text(expr, scope, true)?;
        let plain = column_name(expr, scope).is_some() || matches!(expr, Expr::Constant { .. });
        let call = match expr {
            Expr::Column { .. } => true,
            Expr::Call { function, .. } => function.operator.is_none(),
            _ => false,
        };
        Ok(if !plain && (self.pretty || call) { format!("({text})") } else { text })
    }

    fn sort(&mut self, keys: &[SortKey], items: &[Item], scope: &Scope<'_>) -> SqlResult<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut texts = Vec::with_capacity(keys.len());
        for key in keys {
            let expr = match &key.expr {
                Expr::Column { index, .. } => &items[*index].expr,
                other => other,
            };
            texts.push(self.clause_text(expr, scope)? + direction(key));
        }
        self.layout.clause(" ORDER BY ", 1);
        self.layout.push(&texts.join(", "));
        Ok(())
    }

    /// ORDER BY of a set operation, which can only name its columns.
    pub(super) fn sort_by_numbers(&mut self, query: &ast::Query) -> SqlResult<()> {
        let items = order_items(query.order_by.as_ref())?;
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            let ast::Expr::Value(value) = &item.expr else { return Err(unshown("this order of a set operation")) };
            let key = self.binder.sort_key(Expr::null(schema::SqlType::new(schema::Oid::INT4)), &item.options)?;
            texts.push(format!("{value}{}", direction(&key)));
        }
        if !texts.is_empty() {
            self.layout.line(" ORDER BY ", 0, 0, 1);
            self.layout.push(&texts.join(", "));
        }
        Ok(())
    }

    pub(super) fn limit(&mut self, query: &ast::Query) -> SqlResult<()> {
        if query.fetch.is_some() {
            return Err(unshown("FETCH FIRST"));
        }
        let (limit, offset) = match &query.limit_clause {
            None => return Ok(()),
            Some(ast::LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                (limit.as_ref(), offset.as_ref().map(|offset| &offset.value))
            }
            Some(_) => return Err(unshown("this LIMIT")),
        };
        let scope = Scope::empty(Clause::Limit);
        for (tree, word) in [(offset, " OFFSET "), (limit, " LIMIT ")] {
            let Some(tree) = tree else { continue };
            let expr = self.binder.expr(tree, &scope)?;
            let text = self.expr_text(&expr, &scope, false)?;
            self.layout.clause(word, 0);
            self.layout.push(&text);
        }
        Ok(())
    }
}

/// Order and place of NULLs where they are not the usual ones.
pub(super) fn direction(key: &SortKey) -> &'static str {
    match (key.descending, key.nulls_first) {
        (false, false) => "",
        (false, true) => " NULLS FIRST",
        (true, true) => " DESC",
        (true, false) => " DESC NULLS LAST",
    }
}

/// The bare name of a column of the row; `None` for anything else.
fn column_name(expr: &Expr, scope: &Scope<'_>) -> Option<String> {
    match expr {
        Expr::Column { index, .. } => super::calls::column(scope, *index).map(|column| column.name.clone()),
        _ => None,
    }
}
