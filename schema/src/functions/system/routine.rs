//! pg_get_function_arguments and its kin: functions as SQL shows them.

use std::fmt::Write;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{builtin_names::builtin_name, format_type};
use crate::{
    Datum, Oid, SqlType,
    builtin::{self, BuiltinFunction},
    functions::{
        Function, quote_identifier,
        table::function,
        value::{ObjectId, one, two},
    },
};

fn type_name(oid: Oid) -> String {
    format_type(SqlType::new(oid))
}

/// An argument: mode, name and type.
struct Argument {
    mode: char,
    name: &'static str,
    oid: Oid,
}

fn arguments(function: &BuiltinFunction) -> Vec<Argument> {
    let types = if function.all_args.is_empty() { &function.args } else { &function.all_args };
    let mut modes = function.modes.chars();
    let mut names = function.arg_names.iter();
    let argument = |oid: &Oid| Argument {
        mode: modes.next().unwrap_or('i'),
        name: names.next().copied().unwrap_or_default(),
        oid: *oid,
    };
    types.iter().map(argument).collect()
}

/// `mode name type`
fn written(argument: &Argument) -> String {
    let mode = match argument.mode {
        'o' => "OUT ",
        'b' => "INOUT ",
        'v' => "VARIADIC ",
        _ => "",
    };
    let name = match argument.name {
        "" => String::new(),
        name => format!("{} ", quote_identifier(name)),
    };
    format!("{mode}{name}{}", type_name(argument.oid))
}

/// The arguments in brackets of a definition, without the columns of a table.
fn argument_list(function: &BuiltinFunction, with_defaults: bool) -> String {
    let direct = builtin::direct_arguments(function.oid);
    let inputs = function.args.len();
    let first_default = inputs - function.default_values.len();
    let mut out = String::new();
    let mut input = 0;
    for (at, argument) in arguments(function).iter().filter(|argument| argument.mode != 't').enumerate() {
        match direct {
            Some(direct) if direct == at => out.push_str(if at == 0 { "ORDER BY " } else { " ORDER BY " }),
            _ if at > 0 => out.push_str(", "),
            _ => {}
        }
        out.push_str(&written(argument));
        if argument.mode == 'o' {
            continue;
        }
        let default = usize::checked_sub(input, first_default).and_then(|at| function.default_values.get(at));
        if let Some(value) = default.filter(|_| with_defaults) {
            write!(out, " DEFAULT {value}").expect("a string takes every write");
        }
        input += 1;
    }
    // A variadic last argument counts before and after ORDER BY.
    if direct == Some(inputs) && function.variadic != Oid::INVALID {
        let last = arguments(function).pop().map(|argument| written(&argument)).unwrap_or_default();
        write!(out, " ORDER BY {last}").expect("a string takes every write");
    }
    out
}

fn result(function: &BuiltinFunction) -> String {
    let columns: Vec<String> = arguments(function).iter().filter(|a| a.mode == 't').map(written).collect();
    if !columns.is_empty() {
        return format!("TABLE({})", columns.join(", "));
    }
    let set = if function.returns_set { "SETOF " } else { "" };
    format!("{set}{}", type_name(function.result))
}

/// `pg_language`
const SQL: Oid = Oid(14);

/// The words after LANGUAGE, each with a space in front.
fn properties(function: &BuiltinFunction) -> String {
    let mut out = String::new();
    let mut add = |when: bool, text: &str| out.push_str(if when { text } else { "" });
    add(function.kind == 'w', " WINDOW");
    add(function.volatility == 'i', " IMMUTABLE");
    add(function.volatility == 's', " STABLE");
    add(function.parallel == 's', " PARALLEL SAFE");
    add(function.parallel == 'r', " PARALLEL RESTRICTED");
    add(function.strict, " STRICT");
    add(function.leakproof, " LEAKPROOF");
    add(function.cost.to_bits() != 1.0_f32.to_bits(), &format!(" COST {}", function.cost));
    let usual_rows = [0.0_f32, 1000.0].iter().any(|usual| usual.to_bits() == function.rows.to_bits());
    add(!usual_rows, &format!(" ROWS {}", function.rows));
    if function.support_function != Oid::INVALID {
        add(true, &format!(" SUPPORT {}", builtin_name(Oid::REGPROC, function.support_function.0)));
    }
    out
}

/// The statement that would create a function.
fn definition(function: &'static BuiltinFunction) -> SqlResult<String> {
    if function.kind == 'a' {
        let message = format!("\"{}\" is an aggregate function", function.name);
        return Err(SqlError::new(SqlState::WrongObjectType, message));
    }
    if function.language == SQL {
        return Err(SqlError::unsupported("showing functions that are written in SQL"));
    }
    let properties = properties(function);
    let line = if properties.is_empty() { String::new() } else { format!("{properties}\n") };
    Ok(format!(
        "CREATE OR REPLACE FUNCTION pg_catalog.{}({})\n RETURNS {}\n LANGUAGE internal\n{line}AS $function${}$function$\n",
        quote_identifier(function.name),
        argument_list(function, true),
        result(function),
        function.source
    ))
}

fn found(oid: ObjectId) -> Option<&'static BuiltinFunction> {
    builtin::function(Oid(oid.0))
}

/// Default of the argument with this number.
fn default_of(function: &BuiltinFunction, number: i32) -> Option<&'static str> {
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    let all = arguments(function);
    if matches!(all.get(at)?.mode, 'o' | 't') {
        return None;
    }
    let input = all[..at].iter().filter(|argument| !matches!(argument.mode, 'o' | 't')).count();
    let first = function.args.len() - function.default_values.len();
    function.default_values.get(input.checked_sub(first)?).copied()
}

const O: &[Oid] = &[Oid::OID];
const T: Oid = Oid::TEXT;

/// Functions as SQL; NULL for an OID that is none.
pub(in crate::functions) static ROUTINE: &[Function] = &[
    function("pg_get_function_arguments", O, T, |_, args| {
        one(args, |oid: ObjectId| found(oid).map(|function| argument_list(function, true)))
    })
    .stable(),
    function("pg_get_function_identity_arguments", O, T, |_, args| {
        one(args, |oid: ObjectId| found(oid).map(|function| argument_list(function, false)))
    })
    .stable(),
    function("pg_get_function_result", O, T, |_, args| one(args, |oid: ObjectId| found(oid).map(result))).stable(),
    function("pg_get_functiondef", O, T, |_, args| one(args, |oid: ObjectId| found(oid).map(definition).transpose()))
        .stable(),
    function("pg_get_function_sqlbody", O, T, |_, _| Ok(Datum::Null)).stable(),
    function("pg_get_function_arg_default", &[Oid::OID, Oid::INT4], T, |_, args| {
        two(args, |oid: ObjectId, number: i32| found(oid).and_then(|function| default_of(function, number)))
    })
    .stable(),
];
