//! Errors of constraints, with PostgreSQL's messages, details and fields.

use proto::{SqlError, SqlState};
use schema::{ColumnId, Datum, FormatSettings, IndexId, TableDescriptor};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::text::datum_text;

/// Longest value shown in a failing row, in characters.
const SHOWN_VALUE_CHARS: usize = 64;

/// `(a, b)=(1, x)` for some columns of a row.
pub(crate) fn describe_key(
    table: &TableDescriptor,
    columns: impl Iterator<Item = ColumnId>,
    row: &[Datum],
    format: &FormatSettings,
) -> String {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for id in columns {
        let Some(at) = table.position(id) else { continue };
        names.push(table.columns[at].name.as_str());
        values.push(datum_text(&row[at], table.columns[at].sql_type, format));
    }
    format!("({})=({})", names.join(", "), values.join(", "))
}

/// 23505 for a row whose values an index has already.
pub(crate) fn duplicate_key(
    table: &TableDescriptor,
    schema: &str,
    index: IndexId,
    row: &[Datum],
    format: &FormatSettings,
) -> SqlError {
    let Some(index) = table.index(index) else { return SqlError::internal("a duplicate in an unknown index") };
    let key = describe_key(table, index.columns.iter().map(|column| column.column), row, format);
    let message = format!("duplicate key value violates unique constraint \"{}\"", index.name);
    SqlError::new(SqlState::UniqueViolation, message)
        .with_detail(format!("Key {key} already exists."))
        .with_table(schema, &table.name)
        .with_constraint(&index.name)
}

/// 23502 for NULL in a column that takes none.
pub(super) fn null_value(
    table: &TableDescriptor,
    schema: &str,
    position: usize,
    row: &[Datum],
    format: &FormatSettings,
) -> SqlError {
    let column = &table.columns[position].name;
    let message =
        format!("null value in column \"{column}\" of relation \"{}\" violates not-null constraint", table.name);
    SqlError::new(SqlState::NotNullViolation, message)
        .with_detail(failing_row(table, row, format))
        .with_table(schema, &table.name)
        .with_column(column)
}

/// 23514 for a row that breaks a CHECK constraint.
pub(super) fn check_violation(
    table: &TableDescriptor,
    schema: &str,
    constraint: &str,
    row: &[Datum],
    format: &FormatSettings,
) -> SqlError {
    let message = format!("new row for relation \"{}\" violates check constraint \"{constraint}\"", table.name);
    SqlError::new(SqlState::CheckViolation, message)
        .with_detail(failing_row(table, row, format))
        .with_table(schema, &table.name)
        .with_constraint(constraint)
}

fn failing_row(table: &TableDescriptor, row: &[Datum], format: &FormatSettings) -> String {
    let shown = row.iter().zip(&table.columns).map(|(value, column)| {
        let text = datum_text(value, column.sql_type, format);
        match text.char_indices().nth(SHOWN_VALUE_CHARS) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        }
    });
    format!("Failing row contains ({}).", shown.collect::<Vec<_>>().join(", "))
}
