//! SELECT: the order in which its clauses take effect.
//!
//! FROM, WHERE, GROUP BY and HAVING, windows, set-returning functions, the select list, DISTINCT, ORDER BY, LIMIT. The
//! select list is bound first, which collects the aggregates and windows it calls; then each step is put on top of the
//! one before, and expressions are rewritten to the columns which that step has.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Oid, SqlType};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, SelectItem, SelectItemQualifiedWildcardKind, Spanned};

use super::{
    Binder,
    expr::output_name,
    fold,
    query::{Body, output_position},
    same,
    scope::{CallKind, Clause, Scope},
    visit,
};
use crate::plan::{Expr, Field, Relation, SortKey};

/// An item of the select list.
pub(super) struct Item {
    pub(super) expr: Expr,
    pub(super) field: Field,
}

/// What DISTINCT asks for.
enum Distinct {
    No,
    All,
    /// DISTINCT ON, as positions among the items.
    On(Vec<usize>),
}

impl Binder<'_> {
    /// A SELECT with the ORDER BY and LIMIT of the query around it.
    pub(super) fn select(
        &mut self,
        select: &ast::Select,
        order_by: &[ast::OrderByExpr],
        query: &ast::Query,
        parent: Option<&Scope<'_>>,
    ) -> SqlResult<Body> {
        refuse_foreign_clauses(select)?;
        let source = self.from(&select.from, parent)?;
        let (mut relation, scope) = (source.relation, source.scope);
        if let Some(selection) = &select.selection {
            scope.clause.set(Clause::Where);
            let condition = self.boolean(selection, "WHERE", &scope)?;
            relation = Relation::Filter { input: Box::new(relation), condition };
        }
        self.named_windows(&select.named_window, &scope)?;
        scope.clause.set(Clause::SelectList);
        let mut items = self.select_items(&select.projection, &scope)?;
        let visible = items.len();
        let group = self.group_by(&select.group_by, &items, &scope)?;
        scope.clause.set(Clause::Having);
        let having = select.having.as_ref().map(|having| self.boolean(having, "HAVING", &scope)).transpose()?;
        scope.clause.set(Clause::OrderBy);
        let keys = self.order_by(order_by, &mut items, visible, &scope)?;
        let distinct = self.distinct(select.distinct.as_ref(), &mut items, visible, &keys, &scope)?;

        let calls = scope.calls.take();
        let grouped =
            group.is_some() || having.is_some() || !calls.aggregates.is_empty() || !calls.groupings.is_empty();
        let lockable = lockable(&scope, grouped, &distinct, &calls);
        let mut exprs: Vec<Expr> =
            items.iter_mut().map(|item| std::mem::replace(&mut item.expr, Expr::Default)).collect();
        let mut windows = calls.windows;
        let mut sets = calls.sets;
        refuse_late_sets(&exprs, &sets, &distinct, &keys)?;
        let mut width = scope.width;
        if grouped {
            let grouping = group.unwrap_or_default();
            let grouped = self.aggregate_step(
                relation,
                &scope,
                grouping,
                calls.aggregates,
                calls.direct,
                calls.groupings,
                having,
                &mut exprs,
                &mut windows,
                &mut sets,
            )?;
            relation = grouped.0;
            width = grouped.1;
        }
        if !windows.is_empty() {
            let first = width;
            width += windows.len();
            let place = |expr: &mut Expr| place_calls(expr, CallKind::Window, first);
            exprs.iter_mut().for_each(place);
            sets.iter_mut().flat_map(|(_, args, _)| args).for_each(place);
            relation = Relation::Window { input: Box::new(relation), calls: windows };
        }
        if !sets.is_empty() {
            let first = width;
            exprs.iter_mut().for_each(|expr| place_calls(expr, CallKind::Set, first));
            relation = Relation::ProjectSet { input: Box::new(relation), functions: sets };
        }
        let fields: Vec<Field> = items.into_iter().map(|item| item.field).collect();
        relation = Relation::Project { input: Box::new(relation), exprs, fields: fields.clone() };
        let body = Body { relation, fields, lockable };
        self.finish_select(body, visible, distinct, keys, query)
    }

    /// DISTINCT, ORDER BY and LIMIT, and the removal of columns that were only sorted by.
    fn finish_select(
        &mut self,
        mut body: Body,
        visible: usize,
        distinct: Distinct,
        keys: Vec<SortKey>,
        query: &ast::Query,
    ) -> SqlResult<Body> {
        let wrap = |body: Body, make: &dyn Fn(Box<Relation>) -> Relation| Body {
            relation: make(Box::new(body.relation)),
            ..body
        };
        if matches!(distinct, Distinct::All) {
            body = self.typed(body)?;
            body = wrap(body, &|input| Relation::Distinct { input, on: Vec::new() });
        }
        if !keys.is_empty() {
            body = self.typed(body)?;
            let keys =
                keys.into_iter().map(|key| SortKey { expr: retype(key.expr, &body.fields), ..key }).collect::<Vec<_>>();
            body = wrap(body, &|input| Relation::Sort { input, keys: keys.clone() });
        }
        if let Distinct::On(positions) = distinct {
            body = self.typed(body)?;
            let column = |index: &usize| Expr::Column { index: *index, sql_type: body.fields[*index].sql_type };
            let on: Vec<Expr> = positions.iter().map(column).collect();
            body = wrap(body, &|input| Relation::Distinct { input, on: on.clone() });
        }
        body = self.limit(body, query)?;
        if body.fields.len() > visible {
            body.fields.truncate(visible);
            let columns = body.fields.iter().enumerate();
            let exprs = columns.map(|(index, field)| Expr::Column { index, sql_type: field.sql_type }).collect();
            let input = Box::new(body.relation);
            body.relation = Relation::Project { input, exprs, fields: body.fields.clone() };
        }
        Ok(body)
    }

    /// The body without unknown types: rows are going to be compared.
    fn typed(&mut self, mut body: Body) -> SqlResult<Body> {
        let targets: Vec<SqlType> = body.fields.iter().map(|field| super::query::known(field.sql_type)).collect();
        self.convert_body(&mut body, &targets, schema::functions::CastContext::Implicit)?;
        Ok(body)
    }

    fn named_windows(&mut self, windows: &[ast::NamedWindowDefinition], scope: &Scope<'_>) -> SqlResult<()> {
        for ast::NamedWindowDefinition(name, definition) in windows {
            let name = fold(name);
            if scope.windows.borrow().iter().any(|(known, _)| *known == name) {
                let message = format!("window \"{name}\" is already defined");
                return Err(SqlError::new(SqlState::WindowingError, message));
            }
            let known = |base: &ast::Ident| {
                let base = fold(base);
                let found =
                    scope.windows.borrow().iter().find(|(known, _)| *known == base).map(|(_, spec)| spec.clone());
                found.ok_or_else(|| {
                    SqlError::new(SqlState::UndefinedObject, format!("window \"{base}\" does not exist"))
                })
            };
            let spec = match definition {
                ast::NamedWindowExpr::NamedWindow(base) => known(base)?,
                ast::NamedWindowExpr::WindowSpec(spec) => match &spec.window_name {
                    Some(base) => self.extend_window(known(base)?, spec, &fold(base))?,
                    None => spec.clone(),
                },
            };
            scope.windows.borrow_mut().push((name, spec));
        }
        Ok(())
    }

    /// The select list with stars expanded; also RETURNING lists.
    pub(super) fn select_items(&mut self, projection: &[SelectItem], scope: &Scope<'_>) -> SqlResult<Vec<Item>> {
        let mut items = Vec::with_capacity(projection.len());
        for item in projection {
            match item {
                SelectItem::UnnamedExpr(tree) if let Some(row) = row_of_star(tree) => {
                    self.expand_row(row, scope, &mut items)?;
                }
                SelectItem::UnnamedExpr(tree) => {
                    let expr = self.expr(tree, scope)?;
                    items.push(item_of(expr, output_name(tree), scope));
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let bound = self.expr(expr, scope)?;
                    items.push(item_of(bound, fold(alias), scope));
                }
                SelectItem::Wildcard(options) => {
                    refuse_star_options(options)?;
                    if scope.tables.is_empty() {
                        let message = "SELECT * with no tables specified is not valid";
                        return Err(self.at(item.span(), SqlError::new(SqlState::SyntaxError, message)));
                    }
                    let columns = scope.columns.iter().filter(|column| column.bare);
                    items.extend(columns.map(star_item));
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    refuse_star_options(options)?;
                    self.qualified_star(kind, scope, &mut items)?;
                }
                SelectItem::ExprWithAliases { .. } => {
                    return Err(SqlError::unsupported("several aliases for one column"));
                }
            }
        }
        Ok(items)
    }

    fn qualified_star(
        &mut self,
        kind: &SelectItemQualifiedWildcardKind,
        scope: &Scope<'_>,
        items: &mut Vec<Item>,
    ) -> SqlResult<()> {
        let SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
            return Err(SqlError::unsupported("this kind of star"));
        };
        let name = self.object_name(name)?;
        let Some((depth, table, found)) = scope.find_table(&name.schema, &name.name) else {
            return Err(self.missing_table(&name.name, name.span));
        };
        if depth > 0 {
            let columns = found.table_columns(table, depth).into_iter();
            items.extend(columns.map(|(name, column)| item_of(column, name, scope)));
            return Ok(());
        }
        items.extend(found.columns.iter().filter(|column| column.table == Some(table)).map(star_item));
        Ok(())
    }

    /// `(row).*`
    fn expand_row(&mut self, tree: &ast::Expr, scope: &Scope<'_>, items: &mut Vec<Item>) -> SqlResult<()> {
        let record = self.expr(tree, scope)?;
        let fields = self.row_fields(&record)?;
        items.extend(fields.into_iter().map(|(field, expr)| Item { expr, field }));
        Ok(())
    }

    /// Sort keys over the items; expressions that are no items are added as hidden ones.
    pub(super) fn order_by(
        &mut self,
        order_by: &[ast::OrderByExpr],
        items: &mut Vec<Item>,
        visible: usize,
        scope: &Scope<'_>,
    ) -> SqlResult<Vec<SortKey>> {
        let mut keys = Vec::with_capacity(order_by.len());
        for tree in order_by {
            let index = self.item_of_clause(&tree.expr, items, visible, "ORDER BY", scope)?;
            let expr = Expr::Column { index, sql_type: items[index].expr.sql_type() };
            keys.push(self.sort_key(expr, &tree.options)?);
        }
        Ok(keys)
    }

    /// Position of the item that an ORDER BY or DISTINCT ON expression names, numbers, equals or becomes.
    pub(super) fn item_of_clause(
        &mut self,
        tree: &ast::Expr,
        items: &mut Vec<Item>,
        visible: usize,
        clause: &str,
        scope: &Scope<'_>,
    ) -> SqlResult<usize> {
        let fields: Vec<Field> = items[..visible].iter().map(|item| item.field.clone()).collect();
        match output_position(tree, &fields, clause) {
            Ok(Some(index)) => return Ok(index),
            Ok(None) => {}
            // Several columns of that name are no ambiguity when they are the same.
            Err(error) if error.state() == SqlState::AmbiguousColumn => {
                let ast::Expr::Identifier(ident) = tree else { return Err(error) };
                let name = fold(ident);
                let same_name: Vec<usize> = (0..visible).filter(|index| items[*index].field.name == name).collect();
                let first = same_name[0];
                if same_name.iter().all(|index| same::same(&items[*index].expr, &items[first].expr)) {
                    return Ok(first);
                }
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        if let ast::Expr::Value(value) = tree
            && !matches!(value.value, ast::Value::Placeholder(_) | ast::Value::Null)
        {
            let message = format!("non-integer constant in {clause}");
            return Err(self.at(value.span, SqlError::new(SqlState::SyntaxError, message)));
        }
        let expr = self.expr(tree, scope)?;
        let expr = self.known_type(expr)?;
        if let Some(index) = items.iter().position(|item| same::same(&item.expr, &expr)) {
            return Ok(index);
        }
        let field = Field { name: output_name(tree), sql_type: expr.sql_type(), origin: (0, 0) };
        items.push(Item { expr, field });
        Ok(items.len() - 1)
    }

    fn distinct(
        &mut self,
        distinct: Option<&ast::Distinct>,
        items: &mut Vec<Item>,
        visible: usize,
        keys: &[SortKey],
        scope: &Scope<'_>,
    ) -> SqlResult<Distinct> {
        match distinct {
            None | Some(ast::Distinct::All) => Ok(Distinct::No),
            Some(ast::Distinct::Distinct) => {
                if items.is_empty() {
                    let message = "SELECT DISTINCT must have at least one column";
                    return Err(SqlError::new(SqlState::SyntaxError, message));
                }
                if items.len() > visible {
                    let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
                    return Err(SqlError::new(SqlState::InvalidColumnReference, message));
                }
                for item in items.iter() {
                    self.sort_key(item.expr.clone(), &ast::OrderByOptions { asc: None, nulls_first: None })
                        .map_err(no_equality)?;
                }
                Ok(Distinct::All)
            }
            Some(ast::Distinct::On(trees)) => {
                scope.clause.set(Clause::DistinctOn);
                let mut positions = Vec::with_capacity(trees.len());
                for tree in trees {
                    positions.push(self.item_of_clause(tree, items, visible, "DISTINCT ON", scope)?);
                }
                let leading = keys.iter().take(positions.len());
                let matches =
                    leading.filter(|key| matches!(&key.expr, Expr::Column { index, .. } if positions.contains(index)));
                if matches.count() < keys.len().min(positions.len()) {
                    let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
                    return Err(SqlError::new(SqlState::InvalidColumnReference, message));
                }
                Ok(Distinct::On(positions))
            }
        }
    }
}

/// DISTINCT ON comes before set-returning functions that neither it nor ORDER BY looks at; here they come first.
fn refuse_late_sets(
    exprs: &[Expr],
    sets: &[(String, Vec<Expr>, Field)],
    distinct: &Distinct,
    keys: &[SortKey],
) -> SqlResult<()> {
    let Distinct::On(positions) = distinct else { return Ok(()) };
    let of_set = |position: usize| {
        visit::any(&exprs[position], &|node, depth| {
            depth == 0
                && matches!(node, Expr::Column { index, .. } if CallKind::of(*index).is_some_and(|(kind, _)| kind == CallKind::Set))
        })
    };
    let sorted = keys.iter().filter_map(|key| match key.expr {
        Expr::Column { index, .. } => Some(index),
        _ => None,
    });
    if sets.is_empty() || positions.iter().copied().chain(sorted).any(of_set) {
        return Ok(());
    }
    Err(SqlError::unsupported("set-returning functions beside DISTINCT ON"))
}

/// The row of `(row).*`.
fn row_of_star(tree: &ast::Expr) -> Option<&ast::Expr> {
    match tree {
        ast::Expr::CompoundFieldAccess { root, access_chain } => match access_chain.as_slice() {
            [ast::AccessExpr::Dot(ast::Expr::Identifier(field))] if is_star(field) => Some(root),
            _ => None,
        },
        _ => None,
    }
}

fn is_star(field: &ast::Ident) -> bool {
    field.quote_style.is_some() && field.value == crate::parse::ALL_FIELDS
}

fn no_equality(error: SqlError) -> SqlError {
    let message = error.message().replace("an ordering operator", "an equality operator");
    SqlError::new(error.state(), message)
}

fn item_of(expr: Expr, name: String, scope: &Scope<'_>) -> Item {
    let origin = match &expr {
        Expr::Column { index, .. } => {
            let same = |column: &&super::scope::ScopeColumn| matches!(&column.expr, Expr::Column { index: other, .. } if other == index);
            scope.columns.iter().find(same).map_or((0, 0), |column| column.origin)
        }
        _ => (0, 0),
    };
    let field = Field { name, sql_type: expr.sql_type(), origin };
    Item { expr, field }
}

fn star_item(column: &super::scope::ScopeColumn) -> Item {
    let field = Field { name: column.name.clone(), sql_type: column.expr.sql_type(), origin: column.origin };
    Item { expr: column.expr.clone(), field }
}

/// Replaces columns that stand for calls of a kind by their real place.
fn place_calls(expr: &mut Expr, kind: CallKind, first: usize) {
    let place = |index: &mut usize| {
        if let Some((found, number)) = CallKind::of(*index)
            && found == kind
        {
            *index = first + number;
        }
    };
    visit::walk_mut(expr, 0, &mut |node, depth| match node {
        Expr::Column { index, .. } if depth == 0 => place(index),
        Expr::Outer { depth: level, index, .. } if depth > 0 && *level == depth => place(index),
        _ => {}
    });
}

/// A column with the type its field has by now.
fn retype(expr: Expr, fields: &[Field]) -> Expr {
    match expr {
        Expr::Column { index, .. } => Expr::Column { index, sql_type: fields[index].sql_type },
        other => other,
    }
}

fn lockable(
    scope: &Scope<'_>,
    grouped: bool,
    distinct: &Distinct,
    calls: &super::scope::Calls,
) -> Result<Vec<(String, usize)>, &'static str> {
    if !matches!(distinct, Distinct::No) {
        return Err("DISTINCT clause");
    }
    if grouped {
        return Err(if calls.aggregates.is_empty() { "GROUP BY clause" } else { "aggregate functions" });
    }
    if !calls.windows.is_empty() {
        return Err("window functions");
    }
    if !calls.sets.is_empty() {
        return Err("set-returning functions in the target list");
    }
    let tables = scope.tables.iter().filter_map(|table| Some((table.alias.clone(), table.reference?)));
    Ok(tables.collect())
}

fn refuse_star_options(options: &ast::WildcardAdditionalOptions) -> SqlResult<()> {
    let foreign = options.opt_ilike.is_some()
        || options.opt_exclude.is_some()
        || options.opt_except.is_some()
        || options.opt_replace.is_some()
        || options.opt_rename.is_some()
        || options.opt_alias.is_some();
    if foreign {
        Err(SqlError::new(SqlState::SyntaxError, "syntax error: option of another SQL dialect after *"))
    } else {
        Ok(())
    }
}

fn refuse_foreign_clauses(select: &ast::Select) -> SqlResult<()> {
    if select.into.is_some() {
        return Err(SqlError::new(SqlState::SyntaxError, "SELECT ... INTO is not allowed here"));
    }
    let foreign = select.top.is_some()
        || select.exclude.is_some()
        || !select.lateral_views.is_empty()
        || select.prewhere.is_some()
        || !select.connect_by.is_empty()
        || !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || !select.sort_by.is_empty()
        || select.qualify.is_some()
        || select.value_table_mode.is_some()
        || select.flavor != ast::SelectFlavor::Standard;
    if foreign {
        Err(SqlError::new(SqlState::SyntaxError, "syntax error: clause of another SQL dialect"))
    } else {
        Ok(())
    }
}

/// An int4 that GROUPING answers.
pub(super) fn grouping_field() -> Field {
    Field { name: "grouping".to_owned(), sql_type: SqlType::new(Oid::INT4), origin: (0, 0) }
}
