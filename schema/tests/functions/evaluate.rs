//! Evaluating the expressions of cases by the crate's public functions.

use std::sync::Arc;

use proto::{SqlError, SqlResult};
use schema::{
    ArrayValue, Datum, FormatSettings, Oid, SqlType, TimeZone, all_types,
    cast::cast,
    datetime::{Now, parse_zone},
    functions::{self, CastContext, EvalContext},
    text::{parse_datum, write_text},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::parse::{Ast, parse};

/// 2023-11-14 22:13:20 UTC: when every case is evaluated.
const NOW: i64 = 1_700_000_000_000_000;

/// A context without a session.
pub(crate) fn env() -> EvalContext {
    let zone = parse_zone("Europe/Berlin").unwrap_or(TimeZone::Fixed(0, String::new()));
    let format = FormatSettings { time_zone: zone.clone(), ..FormatSettings::default() };
    EvalContext {
        transaction_time: NOW,
        statement_time: NOW,
        time_zone: zone,
        format,
        user: Arc::from("postgres"),
        session_user: Arc::from("postgres"),
        database: Arc::from("fn_oracle"),
        search_path: Arc::from([String::from("public")]),
        backend_pid: 1,
        host: None,
    }
}

/// What a case should show.
pub(crate) fn show(expression: &str) -> String {
    show_with(expression, &env())
}

/// The same in a context.
pub(crate) fn show_with(expression: &str, env: &EvalContext) -> String {
    let evaluated = match expression.strip_prefix("aggregate ").and_then(|rest| rest.split_once(": ")) {
        Some((name, columns)) => aggregate(name, columns, env),
        None => evaluate(&parse(expression), env),
    };
    // An unknown literal becomes text, as in a query's output.
    let shown = |sql_type: SqlType| if sql_type.oid == Oid::UNKNOWN { SqlType::new(Oid::TEXT) } else { sql_type };
    match evaluated.map(|(value, sql_type)| (value, shown(sql_type))) {
        Err(error) => format!("{} {}", error.state().code(), error.message()),
        Ok((Datum::Null, _)) => "NULL".to_owned(),
        Ok((value, sql_type)) => {
            let mut out = String::new();
            write_text(&value, sql_type, &env.format, &mut out);
            format!("{} {out}", type_name(sql_type.oid))
        }
    }
}

fn type_name(oid: Oid) -> &'static str {
    oid.type_info().map_or("?", |info| info.sql_name)
}

fn convert(value: Datum, from: SqlType, to: SqlType, context: CastContext, env: &EvalContext) -> SqlResult<Datum> {
    match &value {
        Datum::Null => Ok(Datum::Null),
        Datum::Text(text) if from.oid == Oid::UNKNOWN && matches!(to.oid, Oid::REGTYPE | Oid::REGCLASS) => {
            functions::resolve_object(env, to.oid, text).map(Datum::Oid)
        }
        Datum::Text(text) if from.oid == Oid::UNKNOWN => {
            parse_datum(to, text, &env.format, Now(env.transaction_time), context)
        }
        _ if from.oid == to.oid && to.modifier < 0 => Ok(value),
        _ => cast(&value, from, to, context, env),
    }
}

fn evaluate(ast: &Ast, env: &EvalContext) -> SqlResult<(Datum, SqlType)> {
    match ast {
        Ast::Text(text) => Ok((Datum::text(text.as_str()), SqlType::new(Oid::UNKNOWN))),
        Ast::Number(digits) => number(digits, env),
        Ast::Word(word) => match word.to_ascii_lowercase().as_str() {
            "null" => Ok((Datum::Null, SqlType::new(Oid::UNKNOWN))),
            "true" => Ok((Datum::Bool(true), SqlType::new(Oid::BOOL))),
            "false" => Ok((Datum::Bool(false), SqlType::new(Oid::BOOL))),
            other => Err(SqlError::internal(format!("no word {other}"))),
        },
        Ast::Cast(input, name) => {
            let (value, from) = evaluate(input, env)?;
            let to = named_type(name);
            Ok((convert(value, from, to, CastContext::Explicit, env)?, to))
        }
        // A sign makes one literal with the digits after it.
        Ast::Prefix(symbol, operand) if symbol == "-" && matches!(**operand, Ast::Number(_)) => {
            let Ast::Number(digits) = &**operand else { unreachable!("matched above") };
            number(&format!("-{digits}"), env)
        }
        Ast::Prefix(symbol, operand) => {
            let operands = [evaluate(operand, env)?];
            let resolved = functions::resolve_operator(symbol, None, operands[0].1)?;
            call(&resolved, operands.to_vec(), env)
        }
        Ast::Binary(symbol, left, right) => {
            let operands = [evaluate(left, env)?, evaluate(right, env)?];
            let resolved = functions::resolve_operator(symbol, Some(operands[0].1), operands[1].1)?;
            call(&resolved, operands.to_vec(), env)
        }
        Ast::Call(name, args) => call_named(&name.to_ascii_lowercase(), args, env),
        Ast::Array(items) => array(items, env),
        Ast::Row(items) => {
            let fields = items.iter().map(|item| evaluate(item, env)).collect::<SqlResult<Vec<_>>>()?;
            let fields: Vec<_> = fields.into_iter().map(|(value, sql_type)| (sql_type.oid, value)).collect();
            Ok((Datum::Record(fields.into()), SqlType::new(Oid::RECORD)))
        }
    }
}

fn number(digits: &str, env: &EvalContext) -> SqlResult<(Datum, SqlType)> {
    let oid = if digits.parse::<i32>().is_ok() {
        Oid::INT4
    } else if digits.parse::<i64>().is_ok() {
        Oid::INT8
    } else {
        Oid::NUMERIC
    };
    let value = parse_datum(SqlType::new(oid), digits, &env.format, Now(NOW), CastContext::Explicit)?;
    Ok((value, SqlType::new(oid)))
}

fn call_named(name: &str, args: &[Ast], env: &EvalContext) -> SqlResult<(Datum, SqlType)> {
    let args = args.iter().map(|arg| evaluate(arg, env)).collect::<SqlResult<Vec<_>>>()?;
    let types: Vec<SqlType> = args.iter().map(|(_, sql_type)| *sql_type).collect();
    if functions::is_set_returning(name) && !functions::is_scalar(name) {
        return rows(name, args, &types, env);
    }
    let resolved = functions::resolve_function(name, &types)?;
    call(&resolved, args, env)
}

/// All rows of a set-returning function, as PostgreSQL prints `array_agg` of them.
fn rows(name: &str, args: Vec<(Datum, SqlType)>, types: &[SqlType], env: &EvalContext) -> SqlResult<(Datum, SqlType)> {
    let resolved = functions::resolve_set_function(name, types)?;
    let args = convert_all(args, &resolved.args, env)?;
    let mut values = Vec::new();
    if !(resolved.function.strict && args.iter().any(Datum::is_null)) {
        for row in (resolved.function.eval)(env, &args)? {
            let mut row = row?;
            let columns = (resolved.function.columns)(&resolved.args);
            assert_eq!(columns.len(), row.len(), "{name}");
            values.push(if row.len() == 1 {
                row.remove(0)
            } else {
                let oids = columns.iter().map(|(_, sql_type)| sql_type.oid);
                Datum::Record(oids.zip(row).collect::<Vec<_>>().into())
            });
        }
    }
    if values.is_empty() {
        return Ok((Datum::Null, resolved.result));
    }
    let element = resolved.result.oid;
    let dims = vec![(values.len() as i32, 1)];
    let array = Datum::Array(Arc::new(ArrayValue { element, dims, values }));
    Ok((array, SqlType::new(element.array_type().unwrap_or(Oid::ANYARRAY))))
}

/// An aggregate over columns given as arrays: at once, and again in two halves that are merged.
fn aggregate(name: &str, columns: &str, env: &EvalContext) -> SqlResult<(Datum, SqlType)> {
    let columns = columns.split(" | ").map(|column| evaluate(&parse(column), env)).collect::<SqlResult<Vec<_>>>()?;
    let element = |sql_type: &SqlType| SqlType::new(sql_type.oid.element_type().expect("a column is an array"));
    let types: Vec<SqlType> = columns.iter().map(|(_, sql_type)| element(sql_type)).collect();
    let resolved = functions::resolve_aggregate(name, &types)?;
    let arrays: Vec<&Arc<ArrayValue>> = columns
        .iter()
        .map(|(value, _)| match value {
            Datum::Array(array) => array,
            other => panic!("a column is an array, not {other:?}"),
        })
        .collect();
    let count = arrays.iter().map(|array| array.values.len()).max().unwrap_or(0);
    let row = |at: usize| {
        let values = arrays.iter().map(|array| array.values.get(at).cloned().unwrap_or(Datum::Null));
        convert_all(values.zip(types.iter().copied()).collect(), &resolved.args, env)
    };
    let run = |range: std::ops::Range<usize>| -> SqlResult<Box<dyn functions::Accumulator>> {
        let mut accumulator = (resolved.function.accumulator)(&resolved.args);
        for at in range {
            let row = row(at)?;
            if !(resolved.function.strict && row.iter().any(Datum::is_null)) {
                accumulator.update(&row)?;
            }
        }
        Ok(accumulator)
    };
    let whole = run(0..count)?.finish()?;
    let mut merged = run(0..count / 2)?;
    let state = run(count / 2..count)?.state()?;
    assert_eq!(state.len(), resolved.function.state.len(), "{name} has a state of the declared length");
    merged.merge(&state)?;
    let text = |value: &Datum| {
        let mut out = String::new();
        write_text(value, resolved.result, &env.format, &mut out);
        out
    };
    let close = match (&whole, &merged.finish()?) {
        (Datum::Float8(a), Datum::Float8(b)) => {
            a == b || (a - b).abs() <= a.abs() * 1e-12 || (a.is_nan() && b.is_nan())
        }
        // json_agg puts a line feed where it knows of an array or row.
        (a, b) => text(a).replace('\n', "") == text(b).replace('\n', ""),
    };
    assert!(close, "{name} merges to another result");
    Ok((whole, resolved.result))
}

fn convert_all(args: Vec<(Datum, SqlType)>, targets: &[SqlType], env: &EvalContext) -> SqlResult<Vec<Datum>> {
    args.into_iter()
        .zip(targets)
        .map(|((value, from), to)| convert(value, from, *to, CastContext::Implicit, env))
        .collect()
}

fn call(
    resolved: &functions::Resolved<functions::Function>,
    args: Vec<(Datum, SqlType)>,
    env: &EvalContext,
) -> SqlResult<(Datum, SqlType)> {
    let args = convert_all(args, &resolved.args, env)?;
    if resolved.function.strict && args.iter().any(Datum::is_null) {
        return Ok((Datum::Null, resolved.result));
    }
    Ok(((resolved.function.eval)(env, &args)?, resolved.result))
}

fn array(items: &[Ast], env: &EvalContext) -> SqlResult<(Datum, SqlType)> {
    let items = items.iter().map(|item| evaluate(item, env)).collect::<SqlResult<Vec<_>>>()?;
    let types: Vec<SqlType> = items.iter().map(|(_, sql_type)| *sql_type).collect();
    let common = functions::common_type("ARRAY", &types)?;
    let targets = vec![common; items.len()];
    let values = convert_all(items, &targets, env)?;
    if let Some(Datum::Array(first)) = values.first() {
        let mut dims = vec![(values.len() as i32, 1)];
        dims.extend(&first.dims);
        let inner = values.iter().flat_map(|value| match value {
            Datum::Array(array) => array.values.clone(),
            _ => Vec::new(),
        });
        let array = ArrayValue { element: first.element, dims, values: inner.collect() };
        return Ok((Datum::Array(Arc::new(array)), common));
    }
    let dims = if values.is_empty() { Vec::new() } else { vec![(values.len() as i32, 1)] };
    let array = Datum::Array(Arc::new(ArrayValue { element: common.oid, dims, values }));
    Ok((array, SqlType::new(common.oid.array_type().unwrap_or(Oid::ANYARRAY))))
}

/// A type by either of its names, with a length or precision and `[]`.
fn named_type(name: &str) -> SqlType {
    let (name, is_array) = name.strip_suffix("[]").map_or((name, false), |element| (element, true));
    let (base, modifiers) = name.split_once('(').map_or((name, ""), |(base, rest)| (base, rest.trim_end_matches(')')));
    let bare = if base == "char" { "bpchar" } else { base.trim_matches('"') };
    let info = all_types()
        .find(|info| info.name == bare || (info.sql_name == base && !base.starts_with('"')))
        .or_else(|| (base == "int").then(|| Oid::INT4.type_info()).flatten())
        .unwrap_or_else(|| panic!("no type {name}"));
    let numbers: Vec<i32> = modifiers.split(',').filter_map(|number| number.trim().parse().ok()).collect();
    let modifier = match (info.oid, &numbers[..]) {
        (Oid::NUMERIC, [precision]) => (precision << 16) + 4,
        (Oid::NUMERIC, [precision, scale]) => ((precision << 16) | (scale & 0x7ff)) + 4,
        (Oid::VARCHAR | Oid::BPCHAR, [length]) => length + 4,
        (Oid::BPCHAR, []) if base == "char" && !name.starts_with('"') => 5,
        (_, [precision]) => *precision,
        _ => -1,
    };
    if is_array {
        return SqlType::with_modifier(info.oid.array_type().unwrap_or(Oid::INVALID), modifier);
    }
    SqlType::with_modifier(info.oid, modifier)
}
