//! Names of built-in functions, operators, types and collations, as the `reg…` types read and show them.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{format_type, names::parts, type_by_name};
use crate::{
    Oid, SqlType,
    builtin::{self, BuiltinFunction, BuiltinOperator},
    functions::quote_identifier,
};

/// Collations by OID, all in `pg_catalog`.
pub const COLLATIONS: [(u32, &str); 3] = [(100, "default"), (950, "C"), (951, "POSIX")];

/// What a value of a `reg…` type shows for a built-in object: "-" for none, digits for an unknown one. A name that
/// stands for several is shown with its schema, as it could not be read back.
pub(crate) fn builtin_name(kind: Oid, oid: u32) -> String {
    let found = match kind {
        _ if oid == 0 => Some(if matches!(kind, Oid::REGOPER | Oid::REGOPERATOR) { "0" } else { "-" }.to_owned()),
        Oid::REGTYPE => Oid(oid).type_info().map(|info| info.sql_name.to_owned()),
        Oid::REGPROC => builtin::function(Oid(oid)).map(|function| {
            let only = builtin::functions_named(function.name).len() == 1;
            qualified(quote_identifier(function.name).into_owned(), only)
        }),
        Oid::REGPROCEDURE => builtin::function(Oid(oid)).map(procedure_name),
        Oid::REGOPER => builtin::operator(Oid(oid)).map(|operator| {
            let only = builtin::operators_named(operator.name).count() == 1;
            qualified(operator.name.to_owned(), only)
        }),
        Oid::REGOPERATOR => builtin::operator(Oid(oid)).map(operator_name),
        Oid::REGCOLLATION => {
            let found = COLLATIONS.iter().find(|(number, _)| *number == oid);
            found.map(|(_, name)| quote_identifier(name).into_owned())
        }
        _ => None,
    };
    found.unwrap_or_else(|| oid.to_string())
}

fn qualified(name: String, readable: bool) -> String {
    if readable { name } else { format!("pg_catalog.{name}") }
}

fn type_names(args: &[Oid]) -> String {
    let names: Vec<String> = args.iter().map(|oid| format_type(SqlType::new(*oid))).collect();
    names.join(",")
}

fn procedure_name(function: &BuiltinFunction) -> String {
    format!("{}({})", quote_identifier(function.name), type_names(&function.args))
}

fn operator_name(operator: &BuiltinOperator) -> String {
    match operator.left {
        Oid::INVALID => format!("{}(NONE,{})", operator.name, type_names(&[operator.right])),
        left => format!("{}({})", operator.name, type_names(&[left, operator.right])),
    }
}

/// OID of a built-in function, operator or collation by its name.
///
/// # Errors
/// 42883 or 42704 if there is none, 42725 if the name means several.
pub(super) fn find_builtin(kind: Oid, text: &str) -> SqlResult<Oid> {
    match kind {
        Oid::REGPROC => {
            let all: Vec<Oid> = functions_named(&parts(text)?).iter().map(|function| function.oid).collect();
            only(
                &all,
                || format!("function \"{text}\" does not exist"),
                || format!("more than one function named \"{text}\""),
            )
        }
        Oid::REGPROCEDURE => {
            let (name, args) = signature(text)?;
            let named = functions_named(&parts(name)?);
            let found = named.iter().find(|function| function.args == args).map(|function| function.oid);
            found.ok_or_else(|| undefined(format!("function \"{text}\" does not exist")))
        }
        Oid::REGOPER => {
            let all: Vec<Oid> = builtin::operators_named(bare(text)).map(|operator| operator.oid).collect();
            only(&all, || format!("operator does not exist: {text}"), || format!("more than one operator named {text}"))
        }
        Oid::REGOPERATOR => {
            let (name, args) = signature(text)?;
            let args = two_operands(&args)?;
            let mut named = builtin::operators_named(bare(name));
            let found = named.find(|operator| [operator.left, operator.right] == args).map(|operator| operator.oid);
            found.ok_or_else(|| undefined(format!("operator does not exist: {text}")))
        }
        _ => {
            let parts = parts(text)?;
            let found = system_part(&parts).and_then(|name| COLLATIONS.iter().find(|(_, known)| *known == name));
            let message = format!("collation \"{}\" for encoding \"UTF8\" does not exist", parts.join("."));
            found.map(|(oid, _)| Oid(*oid)).ok_or_else(|| SqlError::new(SqlState::UndefinedObject, message))
        }
    }
}

/// The name that parts mean in `pg_catalog`.
fn system_part(parts: &[String]) -> Option<&str> {
    match parts {
        [name] => Some(name),
        [schema, name] if schema == "pg_catalog" => Some(name),
        _ => None,
    }
}

fn functions_named(parts: &[String]) -> &'static [&'static BuiltinFunction] {
    system_part(parts).map_or(&[], builtin::functions_named)
}

/// An operator's name without its schema.
fn bare(name: &str) -> &str {
    name.strip_prefix("pg_catalog.").unwrap_or(name)
}

fn undefined(message: String) -> SqlError {
    SqlError::new(SqlState::UndefinedFunction, message)
}

fn only(all: &[Oid], none: impl FnOnce() -> String, several: impl FnOnce() -> String) -> SqlResult<Oid> {
    match all {
        [oid] => Ok(*oid),
        [] => Err(undefined(none())),
        _ => Err(SqlError::new(SqlState::AmbiguousFunction, several())),
    }
}

/// Splits `name(type, type)`. NONE stands for the missing operand of a prefix operator.
fn signature(text: &str) -> SqlResult<(&str, Vec<Oid>)> {
    let syntax = |message: &str| SqlError::new(SqlState::InvalidTextRepresentation, message);
    let (name, rest) = text.split_once('(').ok_or_else(|| syntax("expected a left parenthesis"))?;
    let list = rest.trim_end().strip_suffix(')').ok_or_else(|| syntax("expected a right parenthesis"))?;
    let types = list.split(',').map(str::trim).filter(|part| !list.trim().is_empty() || !part.is_empty());
    let types = types.map(|part| match part {
        "" => Err(syntax("expected a type name")),
        part if part.eq_ignore_ascii_case("none") => Ok(Oid::INVALID),
        part => type_by_name(part)
            .ok_or_else(|| SqlError::new(SqlState::UndefinedObject, format!("type \"{part}\" does not exist"))),
    });
    Ok((name.trim(), types.collect::<SqlResult<_>>()?))
}

fn two_operands(args: &[Oid]) -> SqlResult<[Oid; 2]> {
    match args {
        [left, right] => Ok([*left, *right]),
        [] | [_] => Err(SqlError::new(SqlState::UndefinedParameter, "missing argument")
            .with_hint("Use NONE to denote the missing argument of a unary operator.")),
        _ => Err(SqlError::new(SqlState::TooManyArguments, "too many arguments")
            .with_hint("Provide two argument types for operator.")),
    }
}
