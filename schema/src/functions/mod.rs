//! Built-in functions, operators, casts and aggregates with PostgreSQL's signatures and semantics.
//!
//! The binder resolves names against these tables and keeps `&'static Function`; the row evaluator calls
//! `eval` on datums; the vectorized path wraps the same function as a DataFusion UDF, found again by
//! `key()` at a shard. Operators are functions: `a + b` on int4 is the function with operator "+".

mod aggregate;
mod array;
mod boolean;
mod casts;
mod compare;
mod datetime;
mod json;
mod number;
mod resolve;
mod set;
mod system;
mod table;
mod template;
mod text;
mod value;

pub use aggregate::ROWS_JSON_AGG;
pub use resolve::{
    Resolved, common_type, element_of, resolve_aggregate, resolve_function, resolve_operator, resolve_ordered_set,
    resolve_set_function,
};
pub(crate) use system::builtin_name;
pub use system::{
    COLLATIONS, ObjectNames, constraint_definition, expression_text, format_type, index_definition, object_name,
    record_field, record_is_null, resolve_object, type_by_name, view_text,
};
pub use table::{
    aggregate_by_key, all_aggregates, all_functions, all_ordered_sets, all_set_functions, function_by_key,
    is_aggregate, is_ordered_set, is_scalar, is_set_returning, is_window, set_function,
};
pub use text::{quote_identifier, quote_literal};

use proto::SqlResult;
use sharddb_proto as proto;

use crate::{Datum, Oid, SqlType};

/// What a function may depend on besides its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// Only its arguments: may be folded and pushed to shards.
    Immutable,
    /// Session state and the statement's snapshot: constant within a statement.
    Stable,
    /// Anything.
    Volatile,
}

/// Values that stable and volatile functions read. Filled once a statement, by the session.
#[derive(Clone, Debug)]
pub struct EvalContext {
    /// Start of the transaction (`now()`): microseconds since 1970-01-01 UTC.
    pub transaction_time: i64,
    /// Start of the statement: microseconds since 1970-01-01 UTC.
    pub statement_time: i64,
    /// Session time zone.
    pub time_zone: crate::TimeZone,
    /// DateStyle, IntervalStyle, extra_float_digits, bytea_output: how values become text.
    pub format: crate::FormatSettings,
    /// Name of the current role.
    pub user: std::sync::Arc<str>,
    /// Name of the session's role.
    pub session_user: std::sync::Arc<str>,
    /// Name of the database.
    pub database: std::sync::Arc<str>,
    /// Schemas on the search path that exist, in order.
    pub search_path: std::sync::Arc<[String]>,
    /// Process id shown to clients.
    pub backend_pid: i32,
    /// The session, for functions that read its catalog, settings or sequences. Absent at shards, which run no such
    /// function.
    pub host: Option<std::sync::Arc<dyn Host>>,
}

impl EvalContext {
    /// Name of the schema that holds the session's temporary relations, once it has any.
    pub fn temp_schema(&self) -> String {
        format!("{TEMP_SCHEMA_PREFIX}{}", self.backend_pid)
    }

    /// Schemas in which a relation's bare name is looked for: temporary relations and system catalogs come first unless
    /// the search path gives them another place.
    pub fn relation_path(&self) -> Vec<String> {
        let implicit = [self.temp_schema(), "pg_catalog".to_owned()].into_iter();
        let implicit = implicit.filter(|schema| !self.search_path.contains(schema));
        implicit.chain(self.search_path.iter().cloned()).collect()
    }
}

/// What names of schemas with temporary relations begin with; the session's number follows.
pub const TEMP_SCHEMA_PREFIX: &str = "pg_temp_";

/// What functions ask of the session that runs them.
pub trait Host: Send + Sync + std::fmt::Debug {
    /// The catalog as the running statement sees it.
    fn catalog(&self) -> std::sync::Arc<crate::Catalog>;
    /// A parameter as SHOW prints it; `None` for an unknown one.
    fn setting(&self, name: &str) -> Option<String>;
    /// Changes a parameter as SET does; answers its new value.
    fn set_setting(&self, name: &str, value: &str, local: bool) -> SqlResult<String>;
    /// `nextval`.
    fn next_value(&self, sequence: Oid) -> SqlResult<i64>;
    /// `currval`, or `lastval` without a sequence.
    fn current_value(&self, sequence: Option<Oid>) -> SqlResult<i64>;
    /// `setval`.
    fn set_value(&self, sequence: Oid, value: i64, called: bool) -> SqlResult<i64>;
    /// A bound CHECK, DEFAULT or index as `pg_get_constraintdef`, `pg_get_indexdef`, `pg_get_viewdef` and their like
    /// print it; `None` for an OID they do not know. `function` is the function's name.
    fn definition(&self, function: &str, args: &[Datum]) -> SqlResult<Option<String>>;
    /// An expression over a table's row as `pg_get_expr` shows it; `expected` is the type of the column that a DEFAULT
    /// is for. `None` if it cannot be read.
    fn expression(
        &self,
        env: &EvalContext,
        table: &crate::TableDescriptor,
        text: &str,
        expected: Option<SqlType>,
        pretty: bool,
    ) -> Option<String> {
        let _ = (env, table, text, expected, pretty);
        None
    }
    /// A view's query as `pg_get_viewdef` shows it; `None` if the session cannot tell.
    fn view_text(&self, env: &EvalContext, view: &crate::ViewDescriptor, pretty: bool) -> Option<String> {
        let _ = (env, view, pretty);
        None
    }
    /// OID of a virtual table of the system.
    fn system_relation(&self, schema: &str, name: &str) -> Option<Oid> {
        let _ = (schema, name);
        None
    }
    /// Schema and name of a virtual table of the system.
    fn system_relation_name(&self, oid: Oid) -> Option<(String, String)> {
        let _ = oid;
        None
    }
    /// Takes an advisory lock until the end of the session or transaction. Answers whether it was taken, which is
    /// always so with `wait`.
    fn advisory_lock(&self, lock: AdvisoryLock, transaction: bool, wait: bool) -> SqlResult<bool> {
        let _ = (lock, transaction, wait);
        Err(proto::SqlError::unsupported("advisory locking"))
    }
    /// Releases an advisory lock of the session, or all of them. Answers whether it was held.
    fn advisory_unlock(&self, lock: Option<AdvisoryLock>) -> SqlResult<bool> {
        let _ = lock;
        Err(proto::SqlError::unsupported("advisory locking"))
    }
    /// Sends a cancel or terminate request to another session (`pg_cancel_backend`, `pg_terminate_backend`).
    fn signal(&self, backend_pid: i32, terminate: bool) -> bool;
    /// What the clock says: microseconds since 1970-01-01 UTC (`clock_timestamp`).
    fn clock_time(&self) -> Option<i64> {
        None
    }
    /// When the process began: microseconds since 1970-01-01 UTC (`pg_postmaster_start_time`).
    fn process_start(&self) -> Option<i64> {
        None
    }
    /// Waits, ending early with an error when the statement is cancelled (`pg_sleep`).
    fn sleep(&self, microseconds: i64) -> SqlResult<()>;
}

/// What an advisory lock locks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AdvisoryLock {
    /// The key.
    pub key: i64,
    /// The key is made of two integers; such keys are apart from single ones.
    pub pair: bool,
    /// Others may share it.
    pub shared: bool,
}

/// Implementation over datums. With `strict`, never called with a NULL argument.
pub type ScalarFn = fn(&EvalContext, &[Datum]) -> SqlResult<Datum>;

/// A scalar function or operator.
#[derive(Debug)]
pub struct Function {
    /// Name as in `pg_proc` (int4pl, upper, date_trunc …).
    pub name: &'static str,
    /// Operator symbol when it implements one: "+", "||", "~*", "=".
    pub operator: Option<&'static str>,
    /// Argument types; may be polymorphic (anyelement, anyarray …). Prefix operators have one.
    pub args: &'static [Oid],
    /// With `Some`, any number of further arguments of this type.
    pub variadic: Option<Oid>,
    /// Result type; may be polymorphic.
    pub result: Oid,
    /// NULL in, NULL out.
    pub strict: bool,
    /// What it may depend on.
    pub volatility: Volatility,
    /// Its implementation.
    pub eval: ScalarFn,
}

impl Function {
    /// Identifies the function across nodes: "name(oid,oid)".
    pub fn key(&self) -> String {
        make_key(self.name, self.args, self.variadic)
    }
}

fn make_key(name: &str, args: &[Oid], variadic: Option<Oid>) -> String {
    let mut args: Vec<String> = args.iter().map(|oid| oid.0.to_string()).collect();
    args.extend(variadic.map(|oid| format!("{}...", oid.0)));
    format!("{name}({})", args.join(","))
}

/// When a cast is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    /// Anywhere (`castcontext` i).
    Implicit,
    /// Storing into a column (a).
    Assignment,
    /// Only when asked for (e).
    Explicit,
}

/// An aggregate's running state. `merge` takes the state of another accumulator for partial aggregation.
pub trait Accumulator: Send + std::fmt::Debug {
    /// Adds a row's arguments.
    fn update(&mut self, args: &[Datum]) -> SqlResult<()>;
    /// The state as datums of `Aggregate::state` types.
    fn state(&self) -> SqlResult<Vec<Datum>>;
    /// Adds another accumulator's state.
    fn merge(&mut self, state: &[Datum]) -> SqlResult<()>;
    /// The result.
    fn finish(&self) -> SqlResult<Datum>;
}

/// An aggregate function.
#[derive(Debug)]
pub struct Aggregate {
    /// Its name.
    pub name: &'static str,
    /// Argument types; empty for count(*).
    pub args: &'static [Oid],
    /// With `Some`, any number of further arguments of this type.
    pub variadic: Option<Oid>,
    /// Result type; may be polymorphic.
    pub result: Oid,
    /// Types of the state, for partial aggregation.
    pub state: &'static [Oid],
    /// Skips rows with a NULL argument.
    pub strict: bool,
    /// Makes an accumulator for these actual argument types.
    pub accumulator: fn(&[SqlType]) -> Box<dyn Accumulator>,
}

impl Aggregate {
    /// Identifies the aggregate across nodes: "name(oid,oid)".
    pub fn key(&self) -> String {
        make_key(self.name, self.args, self.variadic)
    }
}

/// Rows of a set-returning function, made as they are asked for.
pub type SetRows = Box<dyn Iterator<Item = SqlResult<Vec<Datum>>> + Send>;

/// Implementation of a set-returning function over datums.
pub type SetFn = fn(&EvalContext, &[Datum]) -> SqlResult<SetRows>;

/// A set-returning function.
#[derive(Debug)]
pub struct SetFunction {
    /// Its name.
    pub name: &'static str,
    /// Argument types; may be polymorphic.
    pub args: &'static [Oid],
    /// With `Some`, any number of further arguments of this type.
    pub variadic: Option<Oid>,
    /// Type of the single column, or record; may be polymorphic.
    pub result: Oid,
    /// Names and types of the columns for these actual argument types.
    pub columns: fn(&[SqlType]) -> Vec<(String, SqlType)>,
    /// A NULL argument gives no rows.
    pub strict: bool,
    /// What it may depend on.
    pub volatility: Volatility,
    /// Its implementation.
    pub eval: SetFn,
}
