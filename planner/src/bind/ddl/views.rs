//! CREATE VIEW.

use std::ops::ControlFlow;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;
use sqlparser::ast::{self, SelectItem, SetExpr};

use super::super::{Binder, fold};
use crate::plan::{Ddl, Query};

impl Binder<'_> {
    pub(super) fn create_view(&mut self, create: &ast::CreateView) -> SqlResult<Ddl> {
        let unsupported = [
            (create.materialized, "materialized views"),
            (create.if_not_exists, "CREATE VIEW IF NOT EXISTS"),
            (!matches!(create.options, ast::CreateTableOptions::None), "options of views"),
        ];
        if let Some((_, what)) = unsupported.iter().find(|(given, _)| *given) {
            return Err(SqlError::unsupported(what));
        }
        let name = self.object_name(&create.name)?;
        let first = self.relations.len();
        let query = self.query(&create.query, None)?;
        if !self.parameters.is_empty() {
            return Err(SqlError::new(SqlState::UndefinedParameter, "there is no parameter $1"));
        }
        let mut depends_on = self.relations.split_off(first);
        depends_on.sort_unstable();
        depends_on.dedup();
        let columns = view_columns(create, &query)?;
        let becomes_temporary = !create.temporary && depends_on.iter().any(|relation| self.is_temporary(*relation));
        let new_name = match create.temporary || becomes_temporary {
            true => self.new_temporary_name(&name)?,
            false => self.new_name(&name)?,
        };
        Ok(Ddl::CreateView {
            name: new_name,
            becomes_temporary,
            columns,
            text: self.view_text(&create.query, &query)?,
            query: Box::new(query),
            or_replace: create.or_replace,
            depends_on,
        })
    }

    /// The query's text with every relation qualified. A star is pinned to the columns it has now.
    fn view_text(&self, tree: &ast::Query, bound: &Query) -> SqlResult<String> {
        let mut tree = tree.clone();
        let ctes = cte_names(&tree);
        let mut result = Ok(());
        let _ = ast::visit_relations_mut(&mut tree, |relation| {
            match self.qualified(relation, &ctes) {
                Ok(qualified) => *relation = qualified,
                Err(error) => result = Err(error),
            }
            ControlFlow::<()>::Continue(())
        });
        result?;
        if !has_star(&tree.body) {
            return Ok(tree.to_string());
        }
        let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
        let names: Vec<String> = bound.fields.iter().map(|field| quoted(&field.name)).collect();
        Ok(format!("SELECT {} FROM ({tree}) AS pinned", names.join(", ")))
    }

    fn qualified(&self, relation: &ast::ObjectName, ctes: &[String]) -> SqlResult<ast::ObjectName> {
        let name = self.object_name(relation)?;
        if name.schema.is_some() || ctes.contains(&name.name) {
            return Ok(relation.clone());
        }
        let schema = match self.find_relation(&name) {
            Some(super::super::names::Relation::Virtual(table)) => table.schema.to_owned(),
            Some(_) => self.existing_name(&name)?.schema,
            // A function in FROM.
            None => return Ok(relation.clone()),
        };
        let quoted = |name: String| ast::Ident::with_quote('"', name);
        Ok(ast::ObjectName::from(vec![quoted(schema), quoted(name.name)]))
    }
}

fn view_columns(create: &ast::CreateView, query: &Query) -> SqlResult<Vec<String>> {
    if create.columns.len() > query.fields.len() {
        let message = "CREATE VIEW specifies more column names than columns";
        return Err(SqlError::new(SqlState::SyntaxError, message));
    }
    let mut names: Vec<String> = query.fields.iter().map(|field| field.name.clone()).collect();
    for (name, column) in names.iter_mut().zip(&create.columns) {
        *name = fold(&column.name);
    }
    for (at, name) in names.iter().enumerate() {
        super::refuse_record(name, query.fields[at].sql_type)?;
        if names[..at].contains(name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(SqlError::new(SqlState::DuplicateColumn, message));
        }
    }
    Ok(names)
}

/// Names of all WITH queries, at any depth.
fn cte_names(tree: &ast::Query) -> Vec<String> {
    struct Names(Vec<String>);
    impl ast::Visitor for Names {
        type Break = ();
        fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
            let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
            self.0.extend(ctes.map(|cte| fold(&cte.alias.name)));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(Vec::new());
    let _ = ast::Visit::visit(tree, &mut names);
    names.0
}

fn has_star(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select
            .projection
            .iter()
            .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))),
        SetExpr::SetOperation { left, right, .. } => has_star(left) || has_star(right),
        SetExpr::Query(query) => has_star(&query.body),
        SetExpr::Table(_) => true,
        _ => false,
    }
}
