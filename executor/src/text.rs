//! Values as text, for messages.

use schema::{Datum, FormatSettings, SqlType, text};
use sharddb_schema as schema;

/// A value as PostgreSQL's output function prints it; NULL is `null`.
pub(crate) fn datum_text(value: &Datum, sql_type: SqlType, format: &FormatSettings) -> String {
    if value.is_null() {
        return "null".to_owned();
    }
    let mut out = String::new();
    text::write_text(value, sql_type, format, &mut out);
    out
}
