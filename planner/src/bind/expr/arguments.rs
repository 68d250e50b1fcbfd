//! Arguments given by name, and arrays of arguments (VARIADIC).

use proto::{SqlError, SqlResult, SqlState};
use schema::{Datum, Oid, SqlType};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::plan::Expr;

/// Names of a function's parameters, with the defaults of those that have one.
type Parameters = &'static [(&'static str, Option<Default>)];

/// A parameter's default.
#[derive(Clone, Copy)]
enum Default {
    Integer,
    Float,
    Bool(bool),
    /// There is a form of the function without it and those behind it.
    Absent,
}

const fn plain(name: &'static str) -> (&'static str, Option<Default>) {
    (name, None)
}

const fn number(name: &'static str) -> (&'static str, Option<Default>) {
    (name, Some(Default::Integer))
}

/// Parameters of the built-in functions that have names for them.
fn parameters(function: &str) -> Option<Parameters> {
    Some(match function {
        "make_interval" => {
            const {
                &[
                    number("years"),
                    number("months"),
                    number("weeks"),
                    number("days"),
                    number("hours"),
                    number("mins"),
                    ("secs", Some(Default::Float)),
                ]
            }
        }
        "make_date" => const { &[plain("year"), plain("month"), plain("day")] },
        "make_time" => const { &[plain("hour"), plain("min"), plain("sec")] },
        "make_timestamp" => {
            const { &[plain("year"), plain("month"), plain("mday"), plain("hour"), plain("min"), plain("sec")] }
        }
        "make_timestamptz" => {
            const {
                &[
                    plain("year"),
                    plain("month"),
                    plain("mday"),
                    plain("hour"),
                    plain("min"),
                    plain("sec"),
                    ("timezone", Some(Default::Absent)),
                ]
            }
        }
        "jsonb_set" => {
            const {
                &[
                    plain("jsonb_in"),
                    plain("path"),
                    plain("replacement"),
                    ("create_if_missing", Some(Default::Bool(true))),
                ]
            }
        }
        "jsonb_insert" => {
            const { &[plain("jsonb_in"), plain("path"), plain("replacement"), ("insert_after", Some(Default::Bool(false)))] }
        }
        _ => return None,
    })
}

impl Default {
    fn expr(self) -> Option<Expr> {
        let (value, oid) = match self {
            Self::Integer => (Datum::Int4(0), Oid::INT4),
            Self::Float => (Datum::Float8(0.0), Oid::FLOAT8),
            Self::Bool(value) => (Datum::Bool(value), Oid::BOOL),
            Self::Absent => return None,
        };
        Some(Expr::Constant { value, sql_type: SqlType::new(oid) })
    }
}

/// Arguments in the order of the parameters; the last ones have names.
pub(super) fn in_order(function: &str, args: Vec<Expr>, names: &[String]) -> SqlResult<Vec<Expr>> {
    let unknown = || {
        let message = format!("function {function} with these named arguments does not exist");
        SqlError::new(SqlState::UndefinedFunction, message)
    };
    let parameters = parameters(function).ok_or_else(unknown)?;
    let mut places: Vec<Option<Expr>> = vec![None; parameters.len()];
    let positional = args.len() - names.len();
    for (at, arg) in args.into_iter().enumerate() {
        let place = match at.checked_sub(positional) {
            None => at,
            Some(at) => parameters.iter().position(|(name, _)| *name == names[at]).ok_or_else(unknown)?,
        };
        match places.get_mut(place) {
            Some(free @ None) => *free = Some(arg),
            Some(Some(_)) => {
                let message = format!("argument name \"{}\" used more than once", parameters[place].0);
                return Err(SqlError::new(SqlState::SyntaxError, message));
            }
            None => return Err(unknown()),
        }
    }
    let mut ordered = Vec::with_capacity(places.len());
    for (place, (_, default)) in places.into_iter().zip(parameters) {
        match place.or_else(|| default.and_then(Default::expr)) {
            Some(arg) => ordered.push(arg),
            None if matches!(default, Some(Default::Absent)) => break,
            None => return Err(unknown()),
        }
    }
    Ok(ordered)
}

/// `VARIADIC array` as the elements of the array, where these can be told before the statement runs.
pub(super) fn spread(mut args: Vec<Expr>) -> SqlResult<Vec<Expr>> {
    let array = args.pop();
    match array {
        Some(Expr::Array { elements, .. })
            if elements.iter().all(|item| item.sql_type().oid.element_type().is_none()) =>
        {
            args.extend(elements);
        }
        Some(Expr::Constant { value: Datum::Array(array), .. }) => {
            let sql_type = SqlType::new(array.element);
            args.extend(array.values.iter().map(|value| Expr::Constant { value: value.clone(), sql_type }));
        }
        Some(other) if other.sql_type().oid.element_type().is_none() && other.sql_type().oid != Oid::UNKNOWN => {
            return Err(SqlError::new(SqlState::DatatypeMismatch, "VARIADIC argument must be an array"));
        }
        _ => return Err(SqlError::unsupported("VARIADIC with an array that is not spelled out")),
    }
    Ok(args)
}
