//! COPY.

use proto::{SqlError, SqlResult, SqlState};
use schema::{SqlType, TableDescriptor};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::tokenizer::Span;

use super::Binder;
use crate::{
    parse::{Copy, CopySource, RawCopyOptions},
    plan::{CopyFormat, CopyFrom, CopyOptions, CopyTo, Expr, Field, Insert, InsertSource, Query, Relation, Statement},
};

impl Binder<'_> {
    pub(super) fn copy(&mut self, copy: &Copy) -> SqlResult<Statement> {
        match (&copy.source, copy.to) {
            (CopySource::Table { name, columns }, true) => {
                let query = self.copied_table(name, columns)?;
                self.copy_to(query, &copy.options)
            }
            (CopySource::Query(query), true) => {
                let query = self.query(query, None)?;
                self.copy_to(query, &copy.options)
            }
            (CopySource::Table { name, columns }, false) => {
                if copy.condition.is_some() {
                    return Err(SqlError::unsupported("COPY FROM … WHERE"));
                }
                let name = self.name_of_parts(name.clone(), Span::empty())?;
                let table = self.table(&name)?;
                self.copy_from(table, columns, &copy.options)
            }
            (CopySource::Query(_), false) => {
                Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \"FROM\""))
            }
        }
    }

    fn copy_to(&self, query: Query, raw: &RawCopyOptions) -> SqlResult<Statement> {
        let names: Vec<String> = query.fields.iter().map(|field| field.name.clone()).collect();
        let options = options(raw, &names, true)?;
        Ok(Statement::CopyTo(Box::new(CopyTo { query, options })))
    }

    /// `SELECT columns FROM table`; generated columns are left out when none are listed.
    fn copied_table(&mut self, name: &[String], columns: &[String]) -> SqlResult<Query> {
        let name = self.name_of_parts(name.to_vec(), Span::empty())?;
        let table = match self.find_relation(&name) {
            Some(super::names::Relation::Object(schema::Descriptor::View(_))) => {
                let message = format!("cannot copy from view \"{}\"", name.name);
                return Err(SqlError::new(SqlState::WrongObjectType, message)
                    .with_hint("Try the COPY (SELECT ...) TO variant."));
            }
            _ => self.table(&name)?,
        };
        let positions = copied_columns(&table, columns)?;
        let (scan, _) = self.scan(table, None);
        let fields: Vec<Field> = positions.iter().map(|at| scan.fields[*at].clone()).collect();
        let column = |at: &usize| Expr::Column { index: *at, sql_type: scan.fields[*at].sql_type };
        let exprs = positions.iter().map(column).collect();
        let input = Box::new(Relation::Scan(scan));
        let body = Relation::Project { input, exprs, fields: fields.clone() };
        Ok(Query { ctes: Vec::new(), body, fields, locks: Vec::new(), shown: None })
    }

    fn copy_from(
        &mut self,
        table: std::sync::Arc<TableDescriptor>,
        columns: &[String],
        raw: &RawCopyOptions,
    ) -> SqlResult<Statement> {
        let positions = copied_columns(&table, columns)?;
        let names: Vec<String> = positions.iter().map(|at| table.columns[*at].name.clone()).collect();
        let options = options(raw, &names, false)?;
        let types: Vec<SqlType> = positions.iter().map(|at| table.columns[*at].sql_type).collect();
        let insert = Insert {
            ctes: Vec::new(),
            columns: positions,
            source: InsertSource::Values(Vec::new()),
            defaults: self.column_defaults(&table)?,
            generated: self.generated_columns(&table)?,
            checks: self.check_constraints(&table)?,
            overriding_system: true,
            overriding_user: false,
            on_conflict: None,
            returning: None,
            table,
        };
        Ok(Statement::CopyFrom(Box::new(CopyFrom { insert, types, options })))
    }
}

fn copied_columns(table: &TableDescriptor, columns: &[String]) -> SqlResult<Vec<usize>> {
    if columns.is_empty() {
        let plain = |at: &usize| table.columns[*at].generated.is_none();
        return Ok((0..table.columns.len()).filter(plain).collect());
    }
    let mut positions = Vec::with_capacity(columns.len());
    for name in columns {
        let Some(at) = table.position_by_name(name) else {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            return Err(SqlError::new(SqlState::UndefinedColumn, message));
        };
        if positions.contains(&at) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(SqlError::new(SqlState::DuplicateColumn, message));
        }
        if table.columns[at].generated.is_some() {
            let message = format!("column \"{name}\" is a generated column");
            return Err(SqlError::new(SqlState::InvalidColumnReference, message)
                .with_detail("Generated columns cannot be used in COPY."));
        }
        positions.push(at);
    }
    Ok(positions)
}

/// Options with the format's defaults, checked as PostgreSQL checks them.
fn options(raw: &RawCopyOptions, names: &[String], to: bool) -> SqlResult<CopyOptions> {
    let format = match raw.format.as_deref() {
        None | Some("text") => CopyFormat::Text,
        Some("csv") => CopyFormat::Csv,
        Some("binary") => CopyFormat::Binary,
        Some(other) => {
            return Err(SqlError::new(
                SqlState::InvalidParameterValue,
                format!("COPY format \"{other}\" not recognized"),
            ));
        }
    };
    let csv = format == CopyFormat::Csv;
    if let Some(encoding) = &raw.encoding
        && !matches!(encoding.to_lowercase().replace(['-', '_'], "").as_str(), "utf8" | "unicode" | "sqlascii")
    {
        return Err(SqlError::unsupported(format!("COPY in encoding {encoding}")));
    }
    if format == CopyFormat::Binary && (raw.delimiter.is_some() || raw.null.is_some() || raw.header.is_some()) {
        let what = if raw.delimiter.is_some() {
            "DELIMITER"
        } else if raw.null.is_some() {
            "NULL"
        } else {
            "HEADER"
        };
        let message = format!("cannot specify {what} in BINARY mode");
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    let csv_only = [
        (raw.quote.is_some(), "quote"),
        (raw.escape.is_some(), "escape"),
        (raw.force_quote.is_some(), "force quote"),
        (!raw.force_not_null.is_empty(), "force not null"),
        (!raw.force_null.is_empty(), "force null"),
    ];
    if let Some((_, what)) = csv_only.iter().find(|(given, _)| *given && !csv) {
        let message = format!("COPY {what} available only in CSV mode");
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    if to && (!raw.force_not_null.is_empty() || !raw.force_null.is_empty()) {
        let message = "COPY force null only available using COPY FROM";
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    if !to && raw.force_quote.is_some() {
        let message = "COPY force quote only available using COPY TO";
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    let quote = single_byte(raw.quote.as_deref(), "quote", b'"')?;
    let force_quote = match &raw.force_quote {
        None => Vec::new(),
        Some(all) if all.is_empty() => (0..names.len()).collect(),
        Some(listed) => positions(listed, names)?,
    };
    let options = CopyOptions {
        format,
        delimiter: single_byte(raw.delimiter.as_deref(), "delimiter", if csv { b',' } else { b'\t' })?,
        null: raw.null.clone().unwrap_or_else(|| if csv { String::new() } else { "\\N".to_owned() }),
        header: raw.header.unwrap_or(false),
        quote,
        escape: single_byte(raw.escape.as_deref(), "escape", quote)?,
        force_quote,
        force_not_null: positions(&raw.force_not_null, names)?,
        force_null: positions(&raw.force_null, names)?,
    };
    check_delimiter(&options)?;
    Ok(options)
}

fn check_delimiter(options: &CopyOptions) -> SqlResult<()> {
    let delimiter = char::from(options.delimiter);
    if matches!(delimiter, '\r' | '\n') {
        let message = "COPY delimiter cannot be newline or carriage return";
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    if options.null.contains(['\r', '\n']) {
        let message = "COPY null representation cannot use newline or carriage return";
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    if options.format == CopyFormat::Text && "\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(delimiter) {
        let message = format!("COPY delimiter cannot be \"{delimiter}\"");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    if options.format == CopyFormat::Csv && options.delimiter == options.quote {
        let message = "COPY delimiter and quote must be different";
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    if options.null.contains(delimiter) {
        let message = "COPY delimiter must not appear in the NULL specification";
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    Ok(())
}

fn single_byte(text: Option<&str>, what: &str, default: u8) -> SqlResult<u8> {
    match text.map(str::as_bytes) {
        None => Ok(default),
        Some([byte]) => Ok(*byte),
        Some(_) => {
            let message = format!("COPY {what} must be a single one-byte character");
            Err(SqlError::new(SqlState::FeatureNotSupported, message))
        }
    }
}

fn positions(listed: &[String], names: &[String]) -> SqlResult<Vec<usize>> {
    let position = |name: &String| {
        names.iter().position(|known| known == name).ok_or_else(|| {
            let message = format!("column \"{name}\" not referenced by COPY");
            SqlError::new(SqlState::InvalidColumnReference, message)
        })
    };
    listed.iter().map(position).collect()
}
