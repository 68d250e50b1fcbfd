//! pg_typeof, format_type, and types by their names.

use proto::SqlResult;
use sharddb_proto as proto;

use crate::{
    Datum, Oid, SqlType, all_types,
    functions::{EvalContext, Function, table::function, value::mismatch},
};

fn type_of<const OID: u32>(_: &EvalContext, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Oid(OID))
}

macro_rules! type_of {
    ($($oid:ident $array:literal)*) => { &[$(
        function("pg_typeof", &[Oid::$oid], Oid::REGTYPE, type_of::<{ Oid::$oid.0 }>).lenient().stable(),
        function("pg_typeof", &[Oid($array)], Oid::REGTYPE, type_of::<$array>).lenient().stable(),
    )*] };
}

/// pg_typeof: one for each type, since a value alone does not tell varchar from text.
pub(in crate::functions) static TYPE_OF: &[Function] = type_of! {
    UNKNOWN 0
    BOOL 1000 BYTEA 1001 CHAR 1002 NAME 1003 INT8 1016 INT2 1005 INT4 1007 REGPROC 1008 TEXT 1009 OID 1028
    INT2VECTOR 1006 OIDVECTOR 1013 XID 1011 JSON 199 JSONB 3807 FLOAT4 1021 FLOAT8 1022 BPCHAR 1014 VARCHAR 1015
    DATE 1182 TIME 1183 TIMESTAMP 1115 TIMESTAMPTZ 1185 INTERVAL 1187 TIMETZ 1270 NUMERIC 1231 UUID 2951 REGCLASS 2210
    REGTYPE 2211 REGNAMESPACE 4090 REGROLE 4097 RECORD 2287
};

/// Fields of an interval type, by the bits of its modifier.
const INTERVAL_FIELDS: &[(i32, &str)] = &[
    (1 << 2, " year"),
    (1 << 1, " month"),
    (1 << 3, " day"),
    (1 << 10, " hour"),
    (1 << 11, " minute"),
    (1 << 12, " second"),
    ((1 << 2) | (1 << 1), " year to month"),
    ((1 << 3) | (1 << 10), " day to hour"),
    ((1 << 3) | (1 << 10) | (1 << 11), " day to minute"),
    ((1 << 3) | (1 << 10) | (1 << 11) | (1 << 12), " day to second"),
    ((1 << 10) | (1 << 11), " hour to minute"),
    ((1 << 10) | (1 << 11) | (1 << 12), " hour to second"),
    ((1 << 11) | (1 << 12), " minute to second"),
];

/// The name of a type with its length or precision, as in `character varying(10)`; "???" for an unknown OID.
pub fn format_type(sql_type: SqlType) -> String {
    let Some(info) = sql_type.oid.type_info() else { return "???".to_owned() };
    if let Some(element) = sql_type.oid.element_type() {
        return format_type(SqlType::with_modifier(element, sql_type.modifier)) + "[]";
    }
    let modifier = sql_type.modifier;
    if modifier < 0 {
        return info.sql_name.to_owned();
    }
    match sql_type.oid {
        Oid::VARCHAR | Oid::BPCHAR if modifier >= 4 => format!("{}({})", info.sql_name, modifier - 4),
        Oid::NUMERIC if modifier >= 4 => {
            let packed = modifier - 4;
            // The scale is a signed number of 11 bits.
            format!("numeric({},{})", (packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024)
        }
        Oid::TIME | Oid::TIMETZ | Oid::TIMESTAMP | Oid::TIMESTAMPTZ => {
            let (kind, zone) = info.sql_name.split_once(' ').unwrap_or((info.sql_name, ""));
            format!("{kind}({modifier}) {zone}")
        }
        Oid::INTERVAL => {
            let (range, precision) = (modifier >> 16 & 0x7fff, modifier & 0xffff);
            let fields = INTERVAL_FIELDS.iter().find(|(bits, _)| *bits == range).map_or("", |(_, fields)| fields);
            let precision = if precision == 0xffff { String::new() } else { format!("({precision})") };
            format!("interval{fields}{precision}")
        }
        _ => info.sql_name.to_owned(),
    }
}

/// The type of a name as SQL writes it: `int`, `character varying(10)`, `pg_catalog.int4[]`, `"char"`.
pub fn type_by_name(text: &str) -> Option<Oid> {
    let text = text.trim();
    // Further dimensions make no other type.
    if text.ends_with("[]") {
        return type_by_name(text.trim_end_matches("[]"))?.array_type();
    }
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_prefix("pg_catalog.").unwrap_or(&lower);
    // A length or precision does not count.
    let bare = match (lower.find('('), lower.find(')')) {
        (Some(open), Some(close)) if open < close => [lower[..open].trim_end(), lower[close + 1..].trim_end()].concat(),
        _ => lower.to_owned(),
    };
    let words: Vec<&str> = bare.split_ascii_whitespace().collect();
    let name = words.join(" ");
    let known = match name.as_str() {
        "int" => Oid::INT4,
        "float" => Oid::FLOAT8,
        "decimal" | "dec" => Oid::NUMERIC,
        "char" | "nchar" | "national character" => Oid::BPCHAR,
        "char varying" | "national character varying" => Oid::VARCHAR,
        "timestamp" => Oid::TIMESTAMP,
        "time" => Oid::TIME,
        _ => {
            let quoted = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let wanted = quoted.unwrap_or(&name);
            return all_types()
                .find(|info| info.name == wanted || (quoted.is_none() && info.sql_name == wanted))
                .map(|info| info.oid);
        }
    };
    Some(known)
}

fn format_args(args: &[Datum]) -> SqlResult<Datum> {
    Ok(match args {
        [Datum::Null, _] => Datum::Null,
        [Datum::Oid(0), _] => Datum::text("-"),
        // char without a length is char(1) in SQL; the internal name tells them apart.
        [Datum::Oid(1042), Datum::Int4(-1)] => Datum::text("bpchar"),
        [Datum::Oid(oid), Datum::Int4(modifier)] => {
            Datum::text(format_type(SqlType::with_modifier(Oid(*oid), *modifier)))
        }
        [Datum::Oid(oid), Datum::Null] => Datum::text(format_type(SqlType::new(Oid(*oid)))),
        _ => return Err(mismatch(args)),
    })
}

/// Names of the types in an oidvector.
fn vector_types(args: &[Datum]) -> SqlResult<Datum> {
    let [Datum::Array(vector)] = args else { return Err(mismatch(args)) };
    let names = vector.values.iter().map(|value| match value {
        Datum::Oid(oid) => format_type(SqlType::new(Oid(*oid))),
        _ => String::new(),
    });
    Ok(Datum::text(names.collect::<Vec<_>>().join(", ")))
}

/// format_type
pub(in crate::functions) static FORMAT: &[Function] = &[
    function("format_type", &[Oid::OID, Oid::INT4], Oid::TEXT, |_, args| format_args(args)).lenient().stable(),
    function("oidvectortypes", &[Oid::OIDVECTOR], Oid::TEXT, |_, args| vector_types(args)).stable(),
];
