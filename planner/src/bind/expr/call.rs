//! Function calls: scalar functions, aggregates, window functions and set-returning functions.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Oid, SqlType, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned};

use super::arguments::{in_order, spread};
use super::{
    super::{
        Binder, fold, same,
        scope::{CallKind, Clause, Scope},
        visit,
    },
    operator::is_row,
    ordered_set::is_ordered_set,
};
use crate::{
    parse::VARIADIC,
    plan::{AggregateCall, Expr, Field},
};

/// Functions that write whatever they are given as text.
const WRITERS: [&str; 15] = [
    "concat",
    "concat_ws",
    "format",
    "json_agg",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_object_agg",
    "quote_literal",
    "quote_nullable",
    "to_json",
    "to_jsonb",
];

/// What a call says besides its name.
#[derive(Default)]
struct Arguments<'t> {
    exprs: Vec<&'t ast::Expr>,
    /// `count(*)`
    star: bool,
    distinct: bool,
    order_by: &'t [ast::OrderByExpr],
    /// Arguments that are given by name come behind the others.
    names: Vec<String>,
    /// The last argument is an array of further ones.
    variadic: bool,
}

impl Binder<'_> {
    pub(super) fn function(&mut self, call: &ast::Function, scope: &Scope<'_>) -> SqlResult<Expr> {
        let span = call.name.span();
        self.function_call(call, scope).map_err(|error| self.at(span, error))
    }

    fn function_call(&mut self, call: &ast::Function, scope: &Scope<'_>) -> SqlResult<Expr> {
        let name = function_name(&call.name)?;
        if let Some(call) = with_rows(call) {
            return self.function_call(&call, scope);
        }
        if call.null_treatment.is_some() {
            return Err(SqlError::unsupported("RESPECT NULLS and IGNORE NULLS"));
        }
        if is_row(call) {
            let args = arguments(call)?;
            return Ok(Expr::Row(self.expanded(args.exprs, scope)?));
        }
        let args = match &call.args {
            FunctionArguments::Subquery(query) if name == "array" => return self.array_subquery(query, scope),
            FunctionArguments::Subquery(query) => return self.call_of_subquery(&name, query, scope),
            FunctionArguments::None => match self.keyword_value(&name)? {
                Some(value) => return Ok(value),
                None => Arguments::default(),
            },
            FunctionArguments::List(_) => arguments(call)?,
        };
        if !args.names.is_empty() || args.variadic {
            return self.call_by_name(&name, call, &args, scope);
        }
        if let Some(over) = &call.over {
            if !call.within_group.is_empty() {
                let message = format!("OVER is not supported for ordered-set aggregate {name}");
                return Err(SqlError::new(SqlState::FeatureNotSupported, message));
            }
            return self.window_call(&name, call, over, scope);
        }
        if !call.within_group.is_empty() {
            if args.distinct {
                return Err(SqlError::new(SqlState::SyntaxError, "cannot use DISTINCT with WITHIN GROUP"));
            }
            if !args.order_by.is_empty() {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    "cannot use multiple ORDER BY clauses with WITHIN GROUP",
                ));
            }
            return self.ordered_set(&name, &args.exprs, &call.within_group, call.filter.as_deref(), scope);
        }
        if is_ordered_set(&name) {
            let args = self.exprs(args.exprs, scope)?;
            functions::resolve_ordered_set(&name, &args.iter().map(Expr::sql_type).collect::<Vec<_>>(), &[])?;
            let message = format!("WITHIN GROUP is required for ordered-set aggregate {name}");
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        if functions::is_aggregate(&name) {
            return self.aggregate(&name, &args, call.filter.as_deref(), scope);
        }
        if args.star || args.distinct || !args.order_by.is_empty() || call.filter.is_some() {
            return Err(not_an_aggregate(&name, &args, call.filter.is_some()));
        }
        self.plain_call(&name, args.exprs, scope)
    }

    /// A call without anything but arguments, of what is no aggregate.
    fn plain_call(&mut self, name: &str, args: Vec<&ast::Expr>, scope: &Scope<'_>) -> SqlResult<Expr> {
        match name {
            "coalesce" => self.coalesce(args, scope),
            "nullif" => self.null_if(&args, scope),
            "greatest" | "least" => self.extreme(name, args, scope),
            "grouping" => self.grouping(args, scope),
            _ if functions::is_set_returning(name) => self.set_function(name, args, scope),
            _ if functions::is_window(name) => {
                let message = format!("window function {name} requires an OVER clause");
                Err(SqlError::new(SqlState::WrongObjectType, message))
            }
            _ => {
                let args = self.exprs(args, scope)?;
                self.call(name, args)
            }
        }
    }

    /// A call with named arguments or VARIADIC.
    fn call_by_name(
        &mut self,
        name: &str,
        call: &ast::Function,
        args: &Arguments<'_>,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        if call.over.is_some() || !call.within_group.is_empty() || functions::is_aggregate(name) {
            return Err(SqlError::unsupported("named and VARIADIC arguments of aggregates and window functions"));
        }
        let bound = self.exprs(args.exprs.iter().copied(), scope)?;
        let bound = match args.variadic {
            true => spread(bound)?,
            false => in_order(name, bound, &args.names)?,
        };
        self.call(name, bound)
    }

    /// Some calls take a subquery without brackets of its own: `f(SELECT …)` is an error in PostgreSQL.
    fn call_of_subquery(&mut self, name: &str, query: &ast::Query, scope: &Scope<'_>) -> SqlResult<Expr> {
        let arg = self.scalar_subquery(query, scope)?;
        self.call(name, vec![arg])
    }

    /// Calls a scalar function. A type's name called with one argument is a cast.
    pub(in crate::bind) fn call(&mut self, name: &str, args: Vec<Expr>) -> SqlResult<Expr> {
        let args = self.shown_arguments(name, args)?;
        let mut args = self.named_json(name, args)?;
        if let ("row_to_json", [object]) = (name, args.as_slice())
            && object.sql_type().oid == Oid::JSON
        {
            return Ok(args.remove(0));
        }
        let given: Vec<SqlType> = args.iter().map(Expr::sql_type).collect();
        let found = match functions::resolve_function(name, &given) {
            Ok(found) => found,
            Err(error) => return self.call_as_cast(name, args).unwrap_or(Err(error)),
        };
        let args = args
            .into_iter()
            .zip(&found.args)
            .map(|(arg, target)| self.argument(arg, *target))
            .collect::<SqlResult<Vec<_>>>()?;
        Ok(Expr::Call { function: found.function, args, sql_type: found.result })
    }

    /// Functions that write any value as text get values of regclass and its kin as text, since such a value does not say
    /// by itself what it names.
    fn shown_arguments(&mut self, name: &str, args: Vec<Expr>) -> SqlResult<Vec<Expr>> {
        if !WRITERS.contains(&name) {
            return Ok(args);
        }
        args.into_iter().map(|arg| self.shown(arg)).collect()
    }

    /// A value of regclass and its kin as text; any other as it is.
    pub(super) fn shown(&mut self, expr: Expr) -> SqlResult<Expr> {
        if !expr.sql_type().oid.is_object_name() {
            return Ok(expr);
        }
        self.coerce(expr, SqlType::new(Oid::TEXT), functions::CastContext::Explicit)
    }

    fn call_as_cast(&mut self, name: &str, mut args: Vec<Expr>) -> Option<SqlResult<Expr>> {
        let [_] = args.as_slice() else { return None };
        let target = schema::all_types().find(|info| info.name == name)?;
        let arg = args.pop()?;
        Some(self.coerce(arg, SqlType::new(target.oid), functions::CastContext::Explicit))
    }

    /// CURRENT_DATE and its like, which are called without brackets.
    fn keyword_value(&mut self, name: &str) -> SqlResult<Option<Expr>> {
        let target = match name {
            "current_timestamp" => Oid::TIMESTAMPTZ,
            "localtimestamp" => Oid::TIMESTAMP,
            "current_date" => Oid::DATE,
            "current_time" => Oid::TIMETZ,
            "localtime" => Oid::TIME,
            "current_role" | "user" => return self.call("current_user", Vec::new()).map(Some),
            "current_catalog" => return self.call("current_database", Vec::new()).map(Some),
            _ => return Ok(None),
        };
        let now = self.call("now", Vec::new())?;
        self.coerce(now, SqlType::new(target), functions::CastContext::Explicit).map(Some)
    }

    fn coalesce(&mut self, args: Vec<&ast::Expr>, scope: &Scope<'_>) -> SqlResult<Expr> {
        let args = self.exprs(args, scope)?;
        if args.is_empty() {
            return Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \")\""));
        }
        let (args, sql_type) = self.unify(args, "COALESCE")?;
        Ok(Expr::Coalesce { args, sql_type })
    }

    fn null_if(&mut self, args: &[&ast::Expr], scope: &Scope<'_>) -> SqlResult<Expr> {
        let [left, right] = args else {
            return Err(SqlError::new(SqlState::SyntaxError, "NULLIF needs two arguments"));
        };
        let mut left = self.expr(left, scope)?;
        let right = self.expr(right, scope)?;
        // The first argument has the type that the comparison gives it.
        let found = functions::resolve_operator("=", Some(left.sql_type()), right.sql_type())?;
        if left.sql_type().oid != found.args[0].oid {
            left = self.argument(left, found.args[0])?;
        }
        let equal = self.operator("=", left.clone(), right)?;
        let sql_type = left.sql_type();
        Ok(Expr::Case { branches: vec![(equal, Expr::null(sql_type))], otherwise: Box::new(left), sql_type })
    }

    fn extreme(&mut self, name: &str, args: Vec<&ast::Expr>, scope: &Scope<'_>) -> SqlResult<Expr> {
        let args = self.exprs(args, scope)?;
        let (args, sql_type) = self.unify(args, if name == "greatest" { "GREATEST" } else { "LEAST" })?;
        let plain = SqlType::new(sql_type.oid);
        // There must be an order.
        functions::resolve_operator("<", Some(plain), plain)?;
        let found = functions::resolve_function(name, &vec![plain; args.len()])?;
        Ok(Expr::Call { function: found.function, args, sql_type })
    }

    fn grouping(&mut self, args: Vec<&ast::Expr>, scope: &Scope<'_>) -> SqlResult<Expr> {
        if !matches!(scope.clause.get(), Clause::SelectList | Clause::Having | Clause::OrderBy) {
            let message = format!("grouping operations are not allowed in {}", scope.clause.get().name());
            return Err(SqlError::new(SqlState::GroupingError, message));
        }
        let args = self.exprs(args, scope)?;
        let mut calls = scope.calls.borrow_mut();
        calls.groupings.push(args);
        Ok(CallKind::Grouping.column(calls.groupings.len() - 1, SqlType::new(Oid::INT4)))
    }

    fn aggregate(
        &mut self,
        name: &str,
        args: &Arguments<'_>,
        filter: Option<&ast::Expr>,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let call = self.in_aggregate(scope, |binder| binder.aggregate_call(name, args, filter, scope))?;
        Ok(self.collect_aggregate(call, scope))
    }

    /// Binds the inside of an aggregate call, at a place where there may be one.
    pub(super) fn in_aggregate<T>(
        &mut self,
        scope: &Scope<'_>,
        bind: impl FnOnce(&mut Self) -> SqlResult<T>,
    ) -> SqlResult<T> {
        match scope.clause.get() {
            Clause::SelectList | Clause::Having | Clause::OrderBy | Clause::DistinctOn | Clause::WindowDefinition => {}
            Clause::AggregateArgument => {
                return Err(SqlError::new(SqlState::GroupingError, "aggregate function calls cannot be nested"));
            }
            clause => {
                let message = format!("aggregate functions are not allowed in {}", clause.name());
                return Err(SqlError::new(SqlState::GroupingError, message));
            }
        }
        let before = scope.clause.replace(Clause::AggregateArgument);
        let bound = bind(self);
        scope.clause.set(before);
        bound
    }

    /// The column of an aggregate call; equal calls share one.
    pub(super) fn collect_aggregate(&mut self, call: AggregateCall, scope: &Scope<'_>) -> Expr {
        let sql_type = call.sql_type;
        let mut calls = scope.calls.borrow_mut();
        let number = match calls.aggregates.iter().position(|known| same::aggregate(known, &call)) {
            Some(number) => number,
            None => {
                calls.aggregates.push(call);
                calls.aggregates.len() - 1
            }
        };
        CallKind::Aggregate.column(number, sql_type)
    }

    fn aggregate_call(
        &mut self,
        name: &str,
        args: &Arguments<'_>,
        filter: Option<&ast::Expr>,
        scope: &Scope<'_>,
    ) -> SqlResult<AggregateCall> {
        let exprs = self.exprs(args.exprs.iter().copied(), scope)?;
        let exprs = self.shown_arguments(name, exprs)?;
        let of_rows = matches!(exprs.as_slice(), [row] if name == "json_agg" && self.has_names(row));
        let name = if of_rows { functions::ROWS_JSON_AGG } else { name };
        let exprs = self.named_json(if of_rows { "json_agg" } else { name }, exprs)?;
        if exprs.is_empty() && !args.star && name == "count" {
            let message = "count(*) must be used to call a parameterless aggregate function";
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        let given: Vec<SqlType> = exprs.iter().map(Expr::sql_type).collect();
        let found = functions::resolve_aggregate(name, &given)?;
        let exprs = exprs
            .into_iter()
            .zip(&found.args)
            .map(|(arg, target)| {
                let arg = self.argument(arg, *target)?;
                self.known_type(arg)
            })
            .collect::<SqlResult<Vec<_>>>()?;
        // Subqueries of the argument read columns of this query as outer ones of theirs.
        let filter = filter.map(|filter| self.boolean(filter, "FILTER", scope)).transpose()?;
        let order_by = args
            .order_by
            .iter()
            .map(|item| {
                let expr = self.expr(&item.expr, scope)?;
                let expr = self.known_type(expr)?;
                self.sort_key(expr, &item.options)
            })
            .collect::<SqlResult<Vec<_>>>()?;
        let parts = exprs.iter().chain(&filter).chain(order_by.iter().map(|key| &key.expr));
        refuse_outer_level(parts)?;
        let foreign = |key: &crate::plan::SortKey| !exprs.iter().any(|arg| same::same(arg, &key.expr));
        if args.distinct && order_by.iter().any(foreign) {
            let message = "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list";
            return Err(SqlError::new(SqlState::InvalidColumnReference, message));
        }
        Ok(AggregateCall {
            function: found.function,
            args: exprs,
            distinct: args.distinct,
            filter,
            order_by,
            sql_type: found.result,
        })
    }

    fn set_function(&mut self, name: &str, args: Vec<&ast::Expr>, scope: &Scope<'_>) -> SqlResult<Expr> {
        if !matches!(scope.clause.get(), Clause::SelectList | Clause::OrderBy) {
            let message = format!("set-returning functions are not allowed in {}", scope.clause.get().name());
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        let args = self.exprs(args, scope)?;
        let nested = |arg: &Expr| {
            visit::any(arg, &|node, depth| {
                depth == 0
                    && matches!(node, Expr::Column { index, .. } if CallKind::of(*index).is_some_and(|(kind, _)| kind == CallKind::Set))
            })
        };
        if args.iter().any(nested) {
            return Err(SqlError::unsupported("set-returning functions as arguments of others"));
        }
        if name == "unnest" && args.len() > 1 {
            // Only FROM takes several arrays side by side.
            let given: Vec<SqlType> = args.iter().map(Expr::sql_type).collect();
            functions::resolve_function(name, &given)?;
        }
        let (args, mut fields) = self.set_call(name, args)?;
        let field = match fields.len() {
            1 => fields.remove(0),
            // Several columns are one row value.
            _ => Field {
                name: name.to_owned(),
                sql_type: self.row_type(fields.into_iter().map(|field| (field.name, field.sql_type)).collect()),
                origin: (0, 0),
            },
        };
        let mut calls = scope.calls.borrow_mut();
        calls.sets.push((name.to_owned(), args, field.clone()));
        Ok(CallKind::Set.column(calls.sets.len() - 1, field.sql_type))
    }

    /// Arguments and columns of a set-returning function.
    pub(in crate::bind) fn set_call(&mut self, name: &str, args: Vec<Expr>) -> SqlResult<(Vec<Expr>, Vec<Field>)> {
        let given: Vec<SqlType> = args.iter().map(Expr::sql_type).collect();
        let found = functions::resolve_set_function(name, &given)?;
        let args = args
            .into_iter()
            .zip(&found.args)
            .map(|(arg, target)| self.argument(arg, *target))
            .collect::<SqlResult<Vec<_>>>()?;
        let types: Vec<SqlType> = args.iter().map(Expr::sql_type).collect();
        let columns = (found.function.columns)(&types);
        let fields = columns.into_iter().map(|(name, sql_type)| Field { name, sql_type, origin: (0, 0) });
        Ok((args, fields.collect()))
    }

    pub(super) fn window_call(
        &mut self,
        name: &str,
        call: &ast::Function,
        over: &ast::WindowType,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        if !matches!(scope.clause.get(), Clause::SelectList | Clause::OrderBy | Clause::DistinctOn) {
            let message = match scope.clause.get() {
                Clause::WindowDefinition => "window function calls cannot be nested".to_owned(),
                Clause::AggregateArgument => "aggregate function calls cannot contain window function calls".to_owned(),
                clause => format!("window functions are not allowed in {}", clause.name()),
            };
            return Err(SqlError::new(SqlState::WindowingError, message));
        }
        let args = arguments(call)?;
        if args.distinct {
            return Err(SqlError::unsupported("DISTINCT for window functions"));
        }
        if !args.order_by.is_empty() {
            return Err(SqlError::unsupported("aggregate ORDER BY for window functions"));
        }
        let before = scope.clause.replace(Clause::WindowDefinition);
        let bound = self.bind_window(name, &args.exprs, args.star, call.filter.as_deref(), over, scope);
        scope.clause.set(before);
        let bound = bound?;
        let sql_type = bound.sql_type;
        let mut calls = scope.calls.borrow_mut();
        calls.windows.push(bound);
        Ok(CallKind::Window.column(calls.windows.len() - 1, sql_type))
    }
}

/// The function's name, without `pg_catalog`.
pub(in crate::bind) fn function_name(name: &ast::ObjectName) -> SqlResult<String> {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(fold).collect();
    match parts.as_slice() {
        [name] => Ok(name.clone()),
        [schema, name] if schema == "pg_catalog" || schema == "information_schema" => Ok(name.clone()),
        _ => {
            let message = format!("function {}() does not exist", parts.join("."));
            Err(SqlError::new(SqlState::UndefinedFunction, message))
        }
    }
}

/// The call with `t.*` among its arguments as an expression; `None` when there is no such argument.
fn with_rows(call: &ast::Function) -> Option<ast::Function> {
    let is_row = |arg: &FunctionArg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(_)));
    match &call.args {
        FunctionArguments::List(list) if list.args.iter().any(is_row) => {}
        _ => return None,
    }
    let mut call = call.clone();
    if let FunctionArguments::List(list) = &mut call.args {
        for arg in &mut list.args {
            if let FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) = arg {
                let row =
                    ast::Expr::QualifiedWildcard(name.clone(), ast::helpers::attached_token::AttachedToken::empty());
                *arg = FunctionArg::Unnamed(FunctionArgExpr::Expr(row));
            }
        }
    }
    Some(call)
}

fn arguments(call: &ast::Function) -> SqlResult<Arguments<'_>> {
    let mut found = Arguments::default();
    let FunctionArguments::List(list) = &call.args else { return Ok(found) };
    found.distinct = matches!(list.duplicate_treatment, Some(ast::DuplicateTreatment::Distinct));
    for clause in &list.clauses {
        match clause {
            ast::FunctionArgumentClause::OrderBy(keys) => found.order_by = keys,
            _ => return Err(SqlError::unsupported("this clause inside a function call")),
        }
    }
    for arg in &list.args {
        match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => found.exprs.push(expr),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => found.star = true,
            FunctionArg::Unnamed(_) => return Err(SqlError::unsupported("whole-row references")),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. } => {
                match name.quote_style.is_some() && name.value == VARIADIC {
                    true => found.variadic = true,
                    false => found.names.push(fold(name)),
                }
                found.exprs.push(expr);
            }
            FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
                return Err(SqlError::unsupported("this kind of named argument"));
            }
        }
        let named = matches!(arg, FunctionArg::Named { .. });
        if !named && !found.names.is_empty() {
            let message = "positional argument cannot follow named argument";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
    }
    Ok(found)
}

/// An aggregate belongs to the query whose columns it reads: one that reads columns of an outer query only is that one's.
pub(super) fn refuse_outer_level<'e>(parts: impl Iterator<Item = &'e Expr>) -> SqlResult<()> {
    let (mut outer, mut own) = (false, false);
    for part in parts {
        outer |= visit::any(part, &|node, depth| matches!(node, Expr::Outer { depth: level, .. } if *level > depth));
        own |= visit::any(part, &|node, depth| match node {
            Expr::Column { .. } => depth == 0,
            Expr::Outer { depth: level, .. } => depth > 0 && *level == depth,
            _ => false,
        });
    }
    if outer && !own {
        return Err(SqlError::unsupported("aggregates over columns of an outer query"));
    }
    Ok(())
}

/// For what only aggregates take.
fn not_an_aggregate(name: &str, args: &Arguments<'_>, filter: bool) -> SqlError {
    let what = match (args.star, args.distinct, filter) {
        (true, ..) => "(*)",
        (_, true, _) => "DISTINCT",
        (.., true) => "FILTER",
        _ => "ORDER BY",
    };
    let message = format!("{what} specified, but {name} is not an aggregate function");
    SqlError::new(SqlState::WrongObjectType, message)
}
