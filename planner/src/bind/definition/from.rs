//! FROM.

use proto::SqlResult;
use schema::{Oid, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, JoinConstraint, JoinOperator as J, TableFactor};

use super::{
    super::{
        expr::function_name,
        fold,
        scope::{Clause, Scope},
    },
    ColumnNames, QueryWriter, unshown,
};

impl QueryWriter<'_, '_> {
    pub(super) fn clause_from(&mut self, from: &[ast::TableWithJoins], parent: Option<&Scope<'_>>) -> SqlResult<()> {
        for (at, item) in from.iter().enumerate() {
            if at == 0 {
                self.layout.clause(" FROM ", 2);
            } else {
                self.layout.push(", ");
                self.layout.line("", -super::layout::STEP, super::layout::STEP, 4);
            }
            self.joined(item, parent)?;
        }
        Ok(())
    }

    fn joined(&mut self, item: &ast::TableWithJoins, parent: Option<&Scope<'_>>) -> SqlResult<()> {
        if !self.pretty {
            self.layout.push(&"(".repeat(item.joins.len()));
        }
        self.factor(&item.relation, parent)?;
        for (at, join) in item.joins.iter().enumerate() {
            let (word, constraint) = match &join.join_operator {
                J::Join(constraint) | J::Inner(constraint) => (" JOIN ", constraint),
                J::CrossJoin(constraint) => (" CROSS JOIN ", constraint),
                J::Left(constraint) | J::LeftOuter(constraint) => (" LEFT JOIN ", constraint),
                J::Right(constraint) | J::RightOuter(constraint) => (" RIGHT JOIN ", constraint),
                J::FullOuter(constraint) => (" FULL JOIN ", constraint),
                _ => return Err(unshown("this kind of join")),
            };
            self.layout.clause(word, 4);
            let brackets = self.pretty && matches!(join.relation, TableFactor::NestedJoin { .. });
            self.layout.push(if brackets { "(" } else { "" });
            self.factor(&join.relation, parent)?;
            self.layout.push(if brackets { ")" } else { "" });
            match constraint {
                JoinConstraint::On(on) => {
                    let so_far =
                        ast::TableWithJoins { relation: item.relation.clone(), joins: item.joins[..=at].to_vec() };
                    self.condition(&so_far, on, parent)?;
                }
                JoinConstraint::Using(columns) => {
                    let names = columns.iter().filter_map(|name| name.0.last()?.as_ident()).map(fold);
                    let names: Vec<String> =
                        names.map(|name| functions::quote_identifier(&name).into_owned()).collect();
                    self.layout.push(&format!(" USING ({})", names.join(", ")));
                }
                JoinConstraint::None => {}
                JoinConstraint::Natural => return Err(unshown("natural joins")),
            }
            self.layout.push(if self.pretty { "" } else { ")" });
        }
        Ok(())
    }

    fn condition(&mut self, joined: &ast::TableWithJoins, on: &ast::Expr, parent: Option<&Scope<'_>>) -> SqlResult<()> {
        self.show_at(self.layout.level());
        let scope = self.binder.joined(None, joined, parent)?.scope;
        scope.clause.set(Clause::JoinOn);
        let on = self.binder.boolean(on, "JOIN/ON", &scope)?;
        let text = self.expr_text(&on, &scope, false)?;
        let text = if self.pretty { text } else { format!("({text})") };
        self.layout.push(&format!(" ON {text}"));
        Ok(())
    }

    fn factor(&mut self, factor: &TableFactor, parent: Option<&Scope<'_>>) -> SqlResult<()> {
        match factor {
            TableFactor::Table { name, alias, args: None, sample: None, with_ordinality: false, .. } => {
                let shown = self.relation_name(name)?;
                self.layout.push(&shown);
                self.alias(alias.as_ref());
                Ok(())
            }
            TableFactor::Table { name, alias, args: Some(args), with_ordinality: false, .. } => {
                let name = function_name(name)?;
                let scope = Scope::new(Vec::new(), Vec::new(), 0, parent, Clause::From);
                let mut texts = Vec::with_capacity(args.args.len());
                for arg in &args.args {
                    let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(tree)) = arg else {
                        return Err(unshown("these arguments"));
                    };
                    let expr = self.binder.expr(tree, &scope)?;
                    texts.push(self.expr_text(&expr, &scope, true)?);
                }
                self.function(&name, &texts, alias.as_ref());
                Ok(())
            }
            TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None } => {
                self.layout.push("(");
                self.nested(|writer| writer.query(subquery, parent, ColumnNames::Own))?;
                self.layout.push(")");
                self.alias(Some(alias));
                Ok(())
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.joined(table_with_joins, parent),
            _ => Err(unshown("this item of FROM")),
        }
    }

    /// A function always has an alias and names its column.
    fn function(&mut self, name: &str, args: &[String], alias: Option<&ast::TableAlias>) {
        let shown = functions::quote_identifier(name).into_owned();
        self.layout.push(&format!("{shown}({})", args.join(", ")));
        let called = alias.map_or_else(|| name.to_owned(), |alias| fold(&alias.name));
        let called = functions::quote_identifier(&called).into_owned();
        self.layout.push(&format!(" {called}"));
        match alias {
            Some(alias) if !alias.columns.is_empty() => self.column_names(&alias.columns),
            _ => self.layout.push(&format!("({called})")),
        }
    }

    fn alias(&mut self, alias: Option<&ast::TableAlias>) {
        let Some(alias) = alias else { return };
        self.layout.push(" ");
        self.layout.push(&functions::quote_identifier(&fold(&alias.name)));
        self.column_names(&alias.columns);
    }

    /// A relation's name, with its schema where the search path needs it.
    fn relation_name(&mut self, name: &ast::ObjectName) -> SqlResult<String> {
        let name = self.binder.object_name(name)?;
        if name.schema.is_none() && self.binder.visible_cte(&name.name)?.is_some() {
            return Ok(functions::quote_identifier(&name.name).into_owned());
        }
        let oid = self.binder.relation_oid(&name).ok_or_else(|| self.binder.unknown_relation(&name))?;
        Ok(functions::object_name(self.binder.eval_context(), Oid::REGCLASS, oid.0))
    }
}
