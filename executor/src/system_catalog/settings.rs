//! `pg_settings`.

use schema::{Datum, Oid};
use sharddb_schema as schema;

use super::{Rows, Source, array};
use crate::session::{ParameterKind, ParameterRow};

/// Type, least and greatest value, and the values of an enumeration.
fn kind(kind: &ParameterKind) -> (&'static str, Datum, Datum, Datum) {
    let number = |value: String| Datum::text(value);
    match kind {
        ParameterKind::Bool => ("bool", Datum::Null, Datum::Null, Datum::Null),
        ParameterKind::Integer { min, max } => {
            ("integer", number(min.to_string()), number(max.to_string()), Datum::Null)
        }
        ParameterKind::Real { min, max } => ("real", number(min.to_string()), number(max.to_string()), Datum::Null),
        ParameterKind::Enum { values } => {
            let values = values.iter().copied().map(Datum::text).collect();
            ("enum", Datum::Null, Datum::Null, array(Oid::TEXT, 1, values))
        }
        ParameterKind::String => ("string", Datum::Null, Datum::Null, Datum::Null),
    }
}

/// Where the value comes from.
fn origin(row: &ParameterRow) -> &'static str {
    if row.value != row.reset {
        "session"
    } else if row.parameter.cluster && row.value != row.parameter.default {
        "configuration file"
    } else if row.value != row.parameter.default {
        "client"
    } else {
        "default"
    }
}

pub(super) fn fill(source: &Source<'_>, rows: &mut Rows) {
    for row in &source.settings {
        let parameter = row.parameter;
        let (kind, min, max, values) = kind(&parameter.kind);
        let unit = if parameter.unit.is_empty() { Datum::Null } else { Datum::text(parameter.unit) };
        rows.add([
            ("name", Datum::text(parameter.name)),
            ("setting", Datum::text(row.value.as_str())),
            ("unit", unit),
            ("context", Datum::text(parameter.context.name())),
            ("vartype", Datum::text(kind)),
            ("source", Datum::text(origin(row))),
            ("min_val", min),
            ("max_val", max),
            ("enumvals", values),
            ("boot_val", Datum::text(parameter.default)),
            ("reset_val", Datum::text(row.reset.as_str())),
            ("pending_restart", Datum::Bool(false)),
        ]);
    }
}
