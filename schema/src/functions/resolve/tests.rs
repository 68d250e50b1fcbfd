//! Resolution checked against PostgreSQL.

use super::*;

fn types(oids: &[Oid]) -> Vec<SqlType> {
    oids.iter().copied().map(SqlType::new).collect()
}

/// Key of the function an operator means, or the error's message.
fn operator(left: Oid, symbol: &str, right: Oid) -> String {
    match resolve_operator(symbol, Some(SqlType::new(left)), SqlType::new(right)) {
        Ok(resolved) => format!("{} {}", resolved.function.name, type_name(resolved.result.oid)),
        Err(error) => error.to_string(),
    }
}

#[test]
fn operators_resolve_as_in_postgresql() {
    for (left, symbol, right, expected) in [
        (Oid::INT4, "+", Oid::INT4, "int4pl integer"),
        (Oid::INT4, "+", Oid::INT8, "int48pl bigint"),
        (Oid::INT4, "+", Oid::NUMERIC, "numeric_add numeric"),
        (Oid::INT4, "+", Oid::FLOAT8, "float8pl double precision"),
        (Oid::NUMERIC, "+", Oid::FLOAT8, "float8pl double precision"),
        (Oid::INT4, "+", Oid::UNKNOWN, "int4pl integer"),
        (Oid::INT4, "=", Oid::INT8, "int48eq boolean"),
        (Oid::VARCHAR, "=", Oid::UNKNOWN, "texteq boolean"),
        (Oid::VARCHAR, "=", Oid::VARCHAR, "texteq boolean"),
        (Oid::BPCHAR, "=", Oid::UNKNOWN, "bpchareq boolean"),
        (Oid::BPCHAR, "=", Oid::TEXT, "texteq boolean"),
        (Oid::NAME, "=", Oid::UNKNOWN, "nameeq boolean"),
        (Oid::UNKNOWN, "=", Oid::UNKNOWN, "texteq boolean"),
        (Oid::UNKNOWN, "||", Oid::UNKNOWN, "textcat text"),
        (Oid::TEXT, "||", Oid::INT4, "textanycat text"),
        (Oid::INT4, "||", Oid::UNKNOWN, "anytextcat text"),
        (Oid::VARCHAR, "||", Oid::VARCHAR, "textcat text"),
        (Oid::DATE, "+", Oid::INT4, "date_pli date"),
        (Oid::DATE, "-", Oid::UNKNOWN, "date_mi integer"),
        (Oid::DATE, "<", Oid::TIMESTAMP, "date_lt_timestamp boolean"),
        (Oid::TIMESTAMP, "-", Oid::INTERVAL, "timestamp_mi_interval timestamp without time zone"),
        (Oid::TIMESTAMPTZ, "+", Oid::UNKNOWN, "timestamptz_pl_interval timestamp with time zone"),
        (Oid::INTERVAL, "*", Oid::INT4, "interval_mul interval"),
        (Oid(1007), "=", Oid(1007), "array_eq boolean"),
        (Oid(1007), "=", Oid::UNKNOWN, "array_eq boolean"),
        (Oid::REGCLASS, "=", Oid::UNKNOWN, "oideq boolean"),
        (Oid::REGCLASS, "=", Oid::OID, "oideq boolean"),
        (Oid::OID, "=", Oid::INT4, "oideq boolean"),
        (Oid::INT4, "!=", Oid::INT4, "int4ne boolean"),
        (Oid::INT4, "+", Oid::BOOL, "operator does not exist: integer + boolean"),
        (Oid::INT4, "=", Oid::TEXT, "operator does not exist: integer = text"),
        (Oid(1007), "=", Oid(1016), "operator does not exist: integer[] = bigint[]"),
        (Oid::UNKNOWN, "+", Oid::UNKNOWN, "operator is not unique: unknown + unknown"),
    ] {
        assert_eq!(operator(left, symbol, right), expected, "{left} {symbol} {right}");
    }
    let prefix = resolve_operator("-", None, SqlType::new(Oid::INT4)).expect("there is a minus");
    assert_eq!(prefix.function.name, "int4um");
}

#[test]
fn aggregates_resolve() {
    let name = |name: &str, args: &[Oid]| match resolve_aggregate(name, &types(args)) {
        Ok(resolved) => type_name(resolved.result.oid),
        Err(error) => error.to_string(),
    };
    assert_eq!(name("count", &[]), "bigint");
    assert_eq!(name("count", &[Oid::JSON]), "bigint");
    assert_eq!(name("sum", &[Oid::INT4]), "bigint");
    assert_eq!(name("avg", &[Oid::FLOAT4]), "double precision");
    assert_eq!(name("max", &[Oid::VARCHAR]), "text");
    assert_eq!(name("max", &[Oid(1007)]), "integer[]");
    assert_eq!(name("sum", &[Oid::TEXT]), "function sum(text) does not exist");
    assert_eq!(name("max", &[Oid::BOOL]), "function max(boolean) does not exist");
}

#[test]
fn common_types_are_postgresqls() {
    let common = |oids: &[Oid]| match common_type("CASE", &types(oids)) {
        Ok(chosen) => type_name(chosen.oid),
        Err(error) => error.to_string(),
    };
    assert_eq!(common(&[Oid::UNKNOWN, Oid::UNKNOWN]), "text");
    assert_eq!(common(&[Oid::UNKNOWN, Oid::INT4]), "integer");
    assert_eq!(common(&[Oid::INT4, Oid::NUMERIC, Oid::INT2]), "numeric");
    assert_eq!(common(&[Oid::INT4, Oid::FLOAT8, Oid::NUMERIC]), "double precision");
    assert_eq!(common(&[Oid::DATE, Oid::TIMESTAMPTZ, Oid::TIMESTAMP]), "timestamp with time zone");
    assert_eq!(common(&[Oid::VARCHAR, Oid::TEXT]), "character varying");
    assert_eq!(common(&[Oid::INT4, Oid::TEXT]), "CASE types integer and text cannot be matched");
    assert_eq!(common(&[Oid::JSONB, Oid::JSONB]), "jsonb");
}
