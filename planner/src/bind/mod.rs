//! The binder: syntax trees to plans.
//!
//! Resolves names against a catalog snapshot, decides the type of every expression as PostgreSQL does, and spells out
//! what SQL leaves implicit (star expansion, grouping, defaults, NULL order). Every statement gets a binder of its own;
//! a [`scope::Scope`] holds the names that an expression can see.

mod aggregate;
mod changes;
mod coerce;
mod copy;
mod ddl;
mod definition;
mod dml;
mod expr;
mod from;
mod names;
mod query;
mod recursion;
pub(crate) mod same;
mod scope;
mod select;
mod standalone;
mod statement;
mod types;
mod visit;
mod window;

pub use definition::show_view;
pub(crate) use standalone::bind_shown;
pub use standalone::{
    RowUse, bind_constant_expression, bind_conversion, bind_row_expression, check_row_expression, is_constant,
    rename_in_expression,
};

pub use statement::fields as output_fields;
pub use visit::{columns_of, each_subquery, has_subquery, remap_columns};

use std::cell::Cell;

use proto::{SqlError, SqlResult, SqlState};
use schema::{Catalog, Oid, SqlType, functions::EvalContext};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::{ast, tokenizer::Span};

use crate::{
    parse::{Parsed, Positions},
    plan::{Field, Statement},
};

/// What statements are bound against.
#[derive(Clone, Copy)]
pub struct BindContext<'a> {
    /// The catalog as the statement sees it.
    pub catalog: &'a Catalog,
    /// Search path, role, database, time zone and formats.
    pub eval: &'a EvalContext,
}

/// A bound statement.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The plan.
    pub statement: Statement,
    /// Types of `$1`, `$2` …, declared or inferred.
    pub parameters: Vec<SqlType>,
    /// Columns of its rows; `None` for a statement without rows.
    pub fields: Option<Vec<Field>>,
}

/// Binds a statement. `declared` gives types of leading parameters; 0 is to be inferred.
///
/// # Errors
/// What PostgreSQL's parse analysis answers: 42P01, 42703, 42883, 42804, 22P02 and so on, with positions.
pub fn bind(parsed: &Parsed, context: &BindContext<'_>, declared: &[Oid]) -> SqlResult<Bound> {
    parsed.with_stack(|| {
        let mut binder = Binder::new(context, parsed.source());
        binder.parameters = declared.iter().map(|oid| (*oid != Oid::INVALID).then(|| SqlType::new(*oid))).collect();
        let statement = binder.command(parsed.command())?;
        let statement = binder.with_changes(statement)?;
        let fields = statement::fields(&statement).map(announced);
        Ok(Bound { fields, parameters: binder.parameter_types()?, statement })
    })
}

/// Columns as clients are told of them: what a record's modifier means is known here only.
fn announced(mut fields: Vec<Field>) -> Vec<Field> {
    fields.iter_mut().filter(|field| field.sql_type.oid == Oid::RECORD).for_each(|field| field.sql_type.modifier = -1);
    fields
}

/// Depth of an expression or query, below which the stack is sure to suffice; PostgreSQL's limit is similar.
const DEPTH_LIMIT: usize = 70_000;

/// Nested views and subqueries, counted apart: each takes far more stack than an operator does.
const QUERY_DEPTH_LIMIT: usize = 200;

/// Binds one statement.
pub(crate) struct Binder<'a> {
    context: &'a BindContext<'a>,
    /// The whole query string, for positions of errors.
    source: &'a str,
    /// Types of parameters as far as they are decided.
    parameters: Vec<Option<SqlType>>,
    /// WITH queries that can be seen: one frame for each query around the present place.
    ctes: Vec<Vec<query::VisibleCte>>,
    /// Number of the next table reference.
    next_reference: usize,
    /// Names and types of the fields of row types: what a record's modifier numbers.
    shapes: Vec<expr::Shape>,
    depth: Cell<usize>,
    query_depth: Cell<usize>,
    /// Relations that were bound, for views.
    relations: Vec<Oid>,
    /// Data-modifying statements of the statement's WITH.
    changes: Vec<changes::Change>,
    /// For the data-modifying statement that is bound next.
    inherited: changes::Inherited,
    /// Constants are not converted at once and nested conditions stay nested, so that an expression can be shown as it
    /// was written.
    keeps_conversions: bool,
    /// How subqueries of expressions are shown, if they are.
    showing: Option<definition::Showing>,
    /// Queries written so far.
    shown: usize,
}

impl<'a> Binder<'a> {
    fn new(context: &'a BindContext<'a>, source: &'a str) -> Self {
        Self {
            context,
            source,
            parameters: Vec::new(),
            ctes: Vec::new(),
            next_reference: 0,
            shapes: Vec::new(),
            depth: Cell::new(0),
            query_depth: Cell::new(0),
            relations: Vec::new(),
            changes: Vec::new(),
            inherited: changes::Inherited::default(),
            keeps_conversions: false,
            showing: None,
            shown: 0,
        }
    }

    fn catalog(&self) -> &'a Catalog {
        self.context.catalog
    }

    fn eval_context(&self) -> &'a EvalContext {
        self.context.eval
    }

    /// Types of all parameters; one that nothing decided is text.
    fn parameter_types(&self) -> SqlResult<Vec<SqlType>> {
        Ok(self.parameters.iter().map(|known| known.unwrap_or(SqlType::new(Oid::TEXT))).collect())
    }

    /// The error, with the position of what it is about.
    fn at(&self, span: Span, error: SqlError) -> SqlError {
        if span == Span::empty() || error.fields().position.is_some() {
            return error;
        }
        error.with_position(Positions::new(self.source).of(span.start))
    }

    /// Counts one level of nesting while `work` runs.
    fn nested<T>(&mut self, work: impl FnOnce(&mut Self) -> SqlResult<T>) -> SqlResult<T> {
        self.depth.set(self.depth.get() + 1);
        let result = if self.depth.get() > DEPTH_LIMIT { Err(too_deep()) } else { work(self) };
        self.depth.set(self.depth.get() - 1);
        result
    }

    /// Counts one level of queries while `work` runs, on a stack of sufficient size.
    fn nested_query<T>(&mut self, work: impl FnOnce(&mut Self) -> SqlResult<T>) -> SqlResult<T> {
        self.query_depth.set(self.query_depth.get() + 1);
        let result = if self.query_depth.get() > QUERY_DEPTH_LIMIT {
            Err(too_deep())
        } else {
            stacker::maybe_grow(QUERY_STACK, QUERY_STACK, || work(self))
        };
        self.query_depth.set(self.query_depth.get() - 1);
        result
    }
}

/// Stack that binding one level of a query may need.
const QUERY_STACK: usize = 512 << 10;

fn too_deep() -> SqlError {
    SqlError::new(SqlState::StatementTooComplex, "stack depth limit exceeded")
}

/// Folds an identifier as PostgreSQL does.
pub(crate) fn fold(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
}
