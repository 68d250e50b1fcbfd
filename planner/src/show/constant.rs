//! Constants.

use schema::{Datum, FormatSettings, Oid, SqlType, functions, text::write_text};
use sharddb_schema as schema;

/// Whether a constant's type is said after it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// Where its text alone would mean another type.
    Needed,
    /// Never: a conversion follows.
    Never,
}

/// `5`, `1.5`, `true`, `'x'::text`, `NULL::date`.
pub(super) fn constant(value: &Datum, sql_type: SqlType, label: Label, format: &FormatSettings, out: &mut String) {
    let labelled = match value {
        Datum::Null => {
            out.push_str("NULL");
            sql_type.oid != Oid::UNKNOWN
        }
        Datum::Bool(value) => {
            out.push_str(if *value { "true" } else { "false" });
            false
        }
        _ => {
            let mut text = String::new();
            write_text(value, sql_type, format, &mut text);
            bare_or_quoted(&text, sql_type, out)
        }
    };
    if labelled && label == Label::Needed {
        out.push_str("::");
        out.push_str(&type_shown(sql_type));
    }
}

/// Writes a value's text; answers whether its type must be said.
fn bare_or_quoted(text: &str, sql_type: SqlType, out: &mut String) -> bool {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    match sql_type.oid {
        Oid::INT4 if digits => {
            out.push_str(text);
            false
        }
        Oid::NUMERIC if digits && text.contains(['.', 'e', 'E']) => {
            out.push_str(text);
            sql_type.modifier >= 0
        }
        _ => {
            out.push('\'');
            out.push_str(&text.replace('\'', "''"));
            out.push('\'');
            sql_type.oid != Oid::UNKNOWN
        }
    }
}

/// A type behind `::`; character without a length is bpchar, since `character` alone is one character long.
pub(super) fn type_shown(sql_type: SqlType) -> String {
    if sql_type.oid == Oid::BPCHAR && sql_type.modifier < 0 {
        return "bpchar".to_owned();
    }
    functions::format_type(sql_type)
}
