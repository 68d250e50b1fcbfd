//! Rows of the virtual tables: the catalog as PostgreSQL's clients read it.
//!
//! Each module fills some tables from the statement's catalog snapshot. Columns that a module does not set are NULL, or
//! the type's zero where PostgreSQL never has NULL.

mod access;
mod classes;
mod columns;
mod constraints;
mod information;
mod objects;
mod types;

use std::collections::HashMap;

use planner::system_catalog::{VirtualTable, virtual_table};
use proto::{SqlError, SqlResult};
use schema::{Catalog, Datum, Oid, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

/// What rows are made from.
pub(crate) struct Source<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) eval: &'a EvalContext,
    pub(crate) database: Oid,
    /// Name, value, unit, context and type of every parameter.
    pub(crate) settings: Vec<[String; 5]>,
}

/// Rows of one table under construction.
pub(super) struct Rows {
    table: &'static VirtualTable,
    places: HashMap<&'static str, usize>,
    rows: Vec<Vec<Datum>>,
}

impl Rows {
    fn new(table: &'static VirtualTable) -> Self {
        let places = table.columns.iter().enumerate().map(|(place, column)| (column.name, place)).collect();
        Self { table, places, rows: Vec::new() }
    }

    /// Adds a row with these columns set.
    pub(super) fn add<const N: usize>(&mut self, values: [(&'static str, Datum); N]) {
        let mut row: Vec<Datum> = self
            .table
            .columns
            .iter()
            .map(|column| if column.not_null { zero(column.sql_type.oid) } else { Datum::Null })
            .collect();
        for (name, value) in values {
            if let Some(place) = self.places.get(name) {
                row[*place] = value;
            }
        }
        self.rows.push(row);
    }
}

/// What a column holds that is never NULL and means nothing here.
fn zero(oid: Oid) -> Datum {
    match oid {
        Oid::BOOL => Datum::Bool(false),
        Oid::INT2 => Datum::Int2(0),
        Oid::INT4 => Datum::Int4(0),
        Oid::INT8 => Datum::Int8(0),
        Oid::FLOAT4 => Datum::Float4(0.0),
        Oid::CHAR => Datum::Char(0),
        Oid::OID | Oid::REGPROC | Oid::REGCLASS | Oid::REGTYPE | Oid::XID => Datum::Oid(0),
        Oid::TEXT | Oid::NAME | Oid::VARCHAR => Datum::text(""),
        _ => Datum::Null,
    }
}

/// Every row of a table.
pub(crate) fn rows(schema: &str, name: &str, source: &Source<'_>) -> SqlResult<Vec<Vec<Datum>>> {
    let unknown = || SqlError::internal(format!("no virtual table {schema}.{name}"));
    let table = virtual_table(schema, name).ok_or_else(unknown)?;
    let mut rows = Rows::new(table);
    match (schema, name) {
        ("pg_catalog", "pg_class") => classes::fill(source, &mut rows),
        ("pg_catalog", "pg_index") => classes::fill_indexes(source, &mut rows),
        ("pg_catalog", "pg_tables") => objects::tables(source, &mut rows),
        ("pg_catalog", "pg_views") => objects::views(source, &mut rows)?,
        ("pg_catalog", "pg_indexes") => objects::indexes(source, &mut rows)?,
        ("pg_catalog", "pg_sequences") => objects::sequences(source, &mut rows),
        ("pg_catalog", "pg_sequence") => objects::sequence_parameters(source, &mut rows),
        ("pg_catalog", "pg_attribute") => columns::fill(source, &mut rows),
        ("pg_catalog", "pg_attrdef") => columns::fill_defaults(source, &mut rows),
        ("pg_catalog", "pg_description") => columns::fill_comments(source, &mut rows),
        ("pg_catalog", "pg_depend") => objects::dependencies(source, &mut rows),
        ("pg_catalog", "pg_constraint") => constraints::fill(source, &mut rows),
        ("pg_catalog", "pg_type") => types::fill(&mut rows),
        ("pg_catalog", "pg_proc") => types::fill_functions(&mut rows),
        ("pg_catalog", "pg_collation") => types::fill_collations(&mut rows),
        ("pg_catalog", "pg_namespace") => access::namespaces(source, &mut rows),
        ("pg_catalog", "pg_database") => access::databases(source, &mut rows),
        ("pg_catalog", "pg_roles" | "pg_authid") => access::roles(source, &mut rows),
        ("pg_catalog", "pg_user" | "pg_shadow") => access::users(source, &mut rows),
        ("pg_catalog", "pg_am") => access::methods(&mut rows),
        ("pg_catalog", "pg_tablespace") => access::tablespaces(&mut rows),
        ("pg_catalog", "pg_language") => access::languages(&mut rows),
        ("pg_catalog", "pg_settings") => access::settings(source, &mut rows),
        ("information_schema", _) => information::fill(name, source, &mut rows)?,
        // Tables of what does not exist here: triggers, policies, publications and so on.
        _ => {}
    }
    Ok(rows.rows)
}

/// A name.
pub(super) fn name(text: &str) -> Datum {
    Datum::text(text)
}

/// An OID.
pub(super) fn oid(oid: Oid) -> Datum {
    Datum::Oid(oid.0)
}

/// A one-byte code.
pub(super) fn code(code: char) -> Datum {
    Datum::Char(u8::try_from(code).unwrap_or_default())
}

/// A one-dimensional array; `lower` is its first subscript.
pub(super) fn array(element: Oid, lower: i32, values: Vec<Datum>) -> Datum {
    let dims = if values.is_empty() { Vec::new() } else { vec![(i32::try_from(values.len()).unwrap_or(0), lower)] };
    Datum::Array(std::sync::Arc::new(schema::ArrayValue { element, dims, values }))
}
