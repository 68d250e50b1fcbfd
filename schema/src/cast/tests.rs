//! Casts checked against PostgreSQL.

use std::sync::Arc;

use super::*;
use crate::{
    Datum, FormatSettings, SqlType, TimeZone,
    datetime::Now,
    functions::EvalContext,
    text::{parse_datum, write_text},
};

fn env() -> EvalContext {
    let format = FormatSettings { time_zone: TimeZone::Named(chrono_tz::Europe::Berlin), ..FormatSettings::default() };
    EvalContext {
        transaction_time: 1_700_000_000_000_000,
        statement_time: 1_700_000_000_000_000,
        time_zone: format.time_zone.clone(),
        format,
        user: Arc::from("u"),
        session_user: Arc::from("u"),
        database: Arc::from("d"),
        search_path: Arc::from([]),
        backend_pid: 1,
        host: None,
    }
}

/// What `input::from::to` prints, or the SQLSTATE.
fn show(from: Oid, input: &str, to: SqlType, context: CastContext) -> String {
    let (env, from) = (env(), SqlType::new(from));
    let value = parse_datum(from, input, &env.format, Now(env.transaction_time), context).expect("the input is valid");
    match cast(&value, from, to, context, &env) {
        Ok(Datum::Null) => "null".to_owned(),
        Ok(value) => {
            let mut out = String::new();
            write_text(&value, to, &env.format, &mut out);
            out
        }
        Err(error) => error.state().code().to_owned(),
    }
}

#[test]
fn values_convert_as_in_postgresql() {
    for (from, input, to, shown) in [
        (Oid::FLOAT8, "2.5", Oid::INT4, "2"),
        (Oid::FLOAT8, "3.5", Oid::INT4, "4"),
        (Oid::NUMERIC, "2.5", Oid::INT4, "3"),
        (Oid::NUMERIC, "-2.5", Oid::INT8, "-3"),
        (Oid::INT8, "40000", Oid::INT2, "22003"),
        (Oid::FLOAT8, "nan", Oid::INT4, "22003"),
        (Oid::NUMERIC, "nan", Oid::INT4, "0A000"),
        (Oid::FLOAT8, "1e300", Oid::FLOAT4, "22003"),
        (Oid::FLOAT8, "0.1", Oid::NUMERIC, "0.1"),
        (Oid::FLOAT4, "0.1", Oid::NUMERIC, "0.1"),
        (Oid::FLOAT8, "123456789.123456789", Oid::NUMERIC, "123456789.123457"),
        (Oid::INT4, "5", Oid::BOOL, "t"),
        (Oid::BOOL, "t", Oid::INT4, "1"),
        (Oid::BOOL, "f", Oid::TEXT, "false"),
        (Oid::TEXT, "12", Oid::INT4, "12"),
        (Oid::TEXT, "x", Oid::INT4, "22P02"),
        (Oid::INT4, "12", Oid::TEXT, "12"),
        (Oid::DATE, "2024-07-01", Oid::TIMESTAMP, "2024-07-01 00:00:00"),
        (Oid::DATE, "2024-07-01", Oid::TIMESTAMPTZ, "2024-07-01 00:00:00+02"),
        (Oid::TIMESTAMPTZ, "2024-07-01 23:30Z", Oid::DATE, "2024-07-02"),
        (Oid::TIMESTAMP, "infinity", Oid::DATE, "infinity"),
        (Oid::TIMESTAMPTZ, "2024-07-01 12:00Z", Oid::TIMESTAMP, "2024-07-01 14:00:00"),
        (Oid::TIME, "12:00", Oid::INTERVAL, "12:00:00"),
        (Oid::INTERVAL, "1 day 25:00", Oid::TIME, "01:00:00"),
        (Oid::JSONB, "1.6", Oid::INT4, "2"),
        (Oid::JSONB, "\"a\"", Oid::INT4, "22023"),
        (Oid::JSON, "{\"a\" :1}", Oid::JSONB, "{\"a\": 1}"),
        (Oid(1007), "{1,2}", Oid(1009), "{1,2}"),
        (Oid::INT8, "-1", Oid::OID, "22003"),
    ] {
        assert_eq!(show(from, input, SqlType::new(to), CastContext::Explicit), shown, "{input}::{from}::{to}");
    }
}

#[test]
fn lengths_cut_when_cast_and_fail_when_assigned() {
    let varchar3 = SqlType::with_modifier(Oid::VARCHAR, 7);
    assert_eq!(show(Oid::TEXT, "abcdef", varchar3, CastContext::Explicit), "abc");
    assert_eq!(show(Oid::TEXT, "abcdef", varchar3, CastContext::Assignment), "22001");
    let numeric = SqlType::with_modifier(Oid::NUMERIC, ((4 << 16) | 1) + 4);
    assert_eq!(show(Oid::INT4, "12", numeric, CastContext::Assignment), "12.0");
    assert_eq!(show(Oid::INT4, "1234", numeric, CastContext::Assignment), "22003");
}

#[test]
fn casts_apply_where_postgresql_applies_them() {
    use CastContext::{Assignment, Explicit, Implicit};
    for (from, to, context) in [
        (Oid::INT4, Oid::INT8, Some(Implicit)),
        (Oid::INT8, Oid::INT4, Some(Assignment)),
        (Oid::INT4, Oid::FLOAT8, Some(Implicit)),
        (Oid::FLOAT8, Oid::NUMERIC, Some(Assignment)),
        (Oid::NUMERIC, Oid::FLOAT8, Some(Implicit)),
        (Oid::INT4, Oid::BOOL, Some(Explicit)),
        (Oid::INT8, Oid::BOOL, None),
        (Oid::TEXT, Oid::INT4, Some(Explicit)),
        (Oid::INT4, Oid::TEXT, Some(Assignment)),
        (Oid::VARCHAR, Oid::TEXT, Some(Implicit)),
        (Oid::DATE, Oid::TIMESTAMP, Some(Implicit)),
        (Oid::DATE, Oid::INT4, None),
        (Oid::TIMESTAMPTZ, Oid::DATE, Some(Assignment)),
        (Oid::UNKNOWN, Oid::DATE, Some(Implicit)),
        (Oid(1007), Oid(1016), Some(Implicit)),
        (Oid::UUID, Oid::INT4, None),
        (Oid::JSON, Oid::JSONB, Some(Assignment)),
    ] {
        assert_eq!(cast_context(from, to), context, "{from} to {to}");
    }
}
