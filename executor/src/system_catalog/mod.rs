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
mod routines;
mod settings;
mod statistics;
mod types;

use std::collections::HashMap;

use planner::system_catalog::{VirtualTable, virtual_table};
use proto::{SqlError, SqlResult};
use schema::{
    Catalog, ColumnDescriptor, Datum, Oid, TableDescriptor,
    functions::{self, EvalContext},
};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::{Engine, session::ParameterRow};

/// What rows are made from.
pub(crate) struct Source<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) eval: &'a EvalContext,
    pub(crate) database: Oid,
    pub(crate) engine: &'a Engine,
    /// Every parameter.
    pub(crate) settings: Vec<ParameterRow>,
    /// Last values of sequences, for `pg_sequences`.
    pub(crate) positions: HashMap<Oid, i64>,
}

impl Source<'_> {
    /// An expression over a table's row as SQL shows it.
    pub(super) fn expression(&self, table: &TableDescriptor, text: &str) -> Datum {
        Datum::text(functions::expression_text(self.eval, table, text, None, false))
    }

    /// The expression of a default or generated column.
    pub(super) fn value(&self, table: &TableDescriptor, column: &ColumnDescriptor, text: &str) -> Datum {
        let expected = column.generated.is_none().then_some(column.sql_type);
        Datum::text(functions::expression_text(self.eval, table, text, expected, false))
    }
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

impl Rows {
    /// Sets further columns of the last row.
    pub(super) fn set<const N: usize>(&mut self, values: [(&'static str, Datum); N]) {
        let Some(row) = self.rows.last_mut() else { return };
        for (name, value) in values {
            if let Some(place) = self.places.get(name) {
                row[*place] = value;
            }
        }
    }

    /// Counters that nothing was written to are zero.
    fn zero_counters(&mut self) {
        for row in &mut self.rows {
            for (value, column) in row.iter_mut().zip(&self.table.columns) {
                if value.is_null() && matches!(column.sql_type.oid, Oid::INT8 | Oid::FLOAT8) {
                    *value = zero(column.sql_type.oid);
                }
            }
        }
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
        Oid::FLOAT8 => Datum::Float8(0.0),
        Oid::CHAR => Datum::Char(0),
        oid if oid.is_unsigned() => Datum::Oid(0),
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
        ("pg_catalog", "pg_cast") => types::fill_casts(&mut rows),
        ("pg_catalog", "pg_proc") => routines::functions(&mut rows),
        ("pg_catalog", "pg_aggregate") => routines::aggregates(&mut rows),
        ("pg_catalog", "pg_operator") => routines::operators(&mut rows),
        ("pg_catalog", "pg_opclass") => routines::operator_classes(&mut rows),
        ("pg_catalog", "pg_opfamily") => routines::operator_families(&mut rows),
        ("pg_catalog", "pg_amop") => routines::family_operators(&mut rows),
        ("pg_catalog", "pg_amproc") => routines::family_functions(&mut rows),
        ("pg_catalog", "pg_collation") => types::fill_collations(&mut rows),
        ("pg_catalog", "pg_namespace") => access::namespaces(source, &mut rows),
        ("pg_catalog", "pg_database") => access::databases(source, &mut rows),
        ("pg_catalog", "pg_roles" | "pg_authid") => access::roles(source, &mut rows),
        ("pg_catalog", "pg_user" | "pg_shadow") => access::users(source, &mut rows),
        ("pg_catalog", "pg_am") => access::methods(&mut rows),
        ("pg_catalog", "pg_tablespace") => access::tablespaces(&mut rows),
        ("pg_catalog", "pg_language") => access::languages(&mut rows),
        ("pg_catalog", "pg_settings") => settings::fill(source, &mut rows),
        ("pg_catalog", "pg_stat_activity") => statistics::activity(source, &mut rows),
        ("pg_catalog", "pg_stat_ssl") => statistics::encryption(source, &mut rows),
        ("pg_catalog", "pg_stat_gssapi") => statistics::gss(source, &mut rows),
        ("pg_catalog", "pg_stats") => statistics::columns(source, &mut rows),
        ("pg_catalog", name) if name.starts_with("pg_stat") => access_statistics(name, source, &mut rows),
        ("information_schema", _) => information::fill(name, source, &mut rows),
        // Tables of what does not exist here: triggers, policies, publications and so on.
        _ => {}
    }
    Ok(rows.rows)
}

/// `pg_stat_…` and `pg_statio_…`
fn access_statistics(name: &str, source: &Source<'_>, rows: &mut Rows) {
    use statistics::Scope;
    let scope = if name.contains("_sys_") {
        Scope::System
    } else if name.contains("_all_") {
        Scope::All
    } else {
        Scope::User
    };
    match name {
        "pg_stat_database" => statistics::databases(source, rows),
        "pg_stat_bgwriter" | "pg_stat_archiver" | "pg_stat_wal" => statistics::nothing_counted(rows),
        _ if name.ends_with("_tables") => statistics::table_statistics(source, scope, rows),
        _ if name.ends_with("_indexes") && scope != Scope::System => statistics::index_statistics(source, rows),
        _ if name.ends_with("_sequences") && scope != Scope::System => statistics::sequence_statistics(source, rows),
        // Slots, subscriptions, progress of commands: there are none.
        _ => {}
    }
    rows.zero_counters();
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
