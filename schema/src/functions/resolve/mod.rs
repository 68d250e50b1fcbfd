//! Which function a call means, by PostgreSQL's rules.
//!
//! An exact match of argument types wins; otherwise every candidate that the arguments convert to implicitly competes:
//! most exact matches, then most preferred types, then the category of unknown literals. Polymorphic signatures are
//! made concrete at the end.

mod candidates;
mod common;
mod polymorphic;
#[cfg(test)]
mod tests;

pub use common::common_type;
pub use polymorphic::element_of;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use self::candidates::{Choice, choose};
use super::{Aggregate, Function, SetFunction, table};
use crate::{Oid, SqlType};

/// A function with the types of a call.
#[derive(Clone, Debug)]
pub struct Resolved<F: 'static> {
    /// Which function.
    pub function: &'static F,
    /// The type every argument is to be converted to.
    pub args: Vec<SqlType>,
    /// Type of the result.
    pub result: SqlType,
}

/// What resolution sees of a function.
pub(super) trait Candidate: 'static {
    /// Declared types.
    fn args(&self) -> &'static [Oid];
    /// Type of further arguments.
    fn variadic(&self) -> Option<Oid>;
    /// Declared result.
    fn result(&self) -> Oid;
}

macro_rules! candidate {
    ($($type:ty),*) => {$(
        impl Candidate for $type {
            fn args(&self) -> &'static [Oid] {
                self.args
            }
            fn variadic(&self) -> Option<Oid> {
                self.variadic
            }
            fn result(&self) -> Oid {
                self.result
            }
        }
    )*};
}

candidate!(Function, Aggregate, SetFunction);

/// The type as messages name it.
pub(super) fn type_name(oid: Oid) -> String {
    oid.type_info().map_or_else(|| oid.to_string(), |info| info.sql_name.to_owned())
}

fn list_types(args: &[SqlType]) -> String {
    let names: Vec<String> = args.iter().map(|arg| type_name(arg.oid)).collect();
    names.join(", ")
}

/// The scalar function that a call means: 42883 if there is none, 42725 if several fit equally.
pub fn resolve_function(name: &str, args: &[SqlType]) -> SqlResult<Resolved<Function>> {
    resolve_call(name, table::functions_named(name), args)
}

/// The aggregate that a call means; `count(*)` has no arguments.
pub fn resolve_aggregate(name: &str, args: &[SqlType]) -> SqlResult<Resolved<Aggregate>> {
    resolve_call(name, table::aggregates_named(name), args)
}

/// The ordered-set aggregate that `name(direct …) WITHIN GROUP (ORDER BY sorted …)` means. It takes the direct arguments
/// and then the sorted ones, and must be fed in their order.
pub fn resolve_ordered_set(name: &str, direct: &[SqlType], sorted: &[SqlType]) -> SqlResult<Resolved<Aggregate>> {
    resolve_call(name, &table::ordered_sets_named(name), &[direct, sorted].concat())
}

/// The set-returning function that a call means. The result is the type of its single column, or record.
pub fn resolve_set_function(name: &str, args: &[SqlType]) -> SqlResult<Resolved<SetFunction>> {
    resolve_call(name, table::set_functions_named(name), args)
}

fn resolve_call<F: Candidate>(name: &str, named: &[&'static F], args: &[SqlType]) -> SqlResult<Resolved<F>> {
    match choose(named, args) {
        Choice::One(function) => polymorphic::instantiate(function, args),
        Choice::None => {
            let message = format!("function {name}({}) does not exist", list_types(args));
            Err(SqlError::new(SqlState::UndefinedFunction, message).with_hint(
                "No function matches the given name and argument types. You might need to add explicit type casts.",
            ))
        }
        Choice::Many => {
            let message = format!("function {name}({}) is not unique", list_types(args));
            Err(SqlError::new(SqlState::AmbiguousFunction, message)
                .with_hint("Could not choose a best candidate function. You might need to add explicit type casts."))
        }
    }
}

/// The function of an operator: a prefix operator without `left`.
pub fn resolve_operator(symbol: &str, left: Option<SqlType>, right: SqlType) -> SqlResult<Resolved<Function>> {
    let operands = [left.unwrap_or(right), right];
    let args = if left.is_some() { &operands[..] } else { &operands[1..] };
    let named = table::operators_named(symbol);
    if let Some(function) = exact_operator(named, args) {
        return polymorphic::instantiate(function, args);
    }
    match choose(named, args) {
        Choice::One(function) => polymorphic::instantiate(function, args),
        Choice::None => {
            let message = format!("operator does not exist: {}", show_operation(symbol, args));
            Err(SqlError::new(SqlState::UndefinedFunction, message).with_hint(match args {
                [_] => {
                    "No operator matches the given name and argument type. You might need to add an explicit type cast."
                }
                _ => {
                    "No operator matches the given name and argument types. You might need to add explicit type casts."
                }
            }))
        }
        Choice::Many => {
            let message = format!("operator is not unique: {}", show_operation(symbol, args));
            Err(SqlError::new(SqlState::AmbiguousFunction, message)
                .with_hint("Could not choose a best candidate operator. You might need to add explicit type casts."))
        }
    }
}

fn show_operation(symbol: &str, args: &[SqlType]) -> String {
    match args {
        [right] => format!("{symbol} {}", type_name(right.oid)),
        [left, right] => format!("{} {symbol} {}", type_name(left.oid), type_name(right.oid)),
        _ => symbol.to_owned(),
    }
}

/// An exact match, taking an unknown literal for the other operand's type.
fn exact_operator(named: &[&'static Function], args: &[SqlType]) -> Option<&'static Function> {
    let mut wanted: Vec<Oid> = args.iter().map(|arg| arg.oid).collect();
    if let [left, right] = wanted[..] {
        if left == Oid::UNKNOWN {
            wanted[0] = right;
        } else if right == Oid::UNKNOWN {
            wanted[1] = left;
        }
    }
    named.iter().find(|function| function.args == wanted).copied()
}
