//! Sessions and statistics: `pg_stat_activity`, `pg_stat_database`, `pg_stat_user_tables`, `pg_stats` and their like.
//!
//! Row counts and sizes are those of the last ANALYZE. Accesses to tables and indexes are not counted; their columns are
//! zero.

use planner::system_catalog::virtual_tables;
use schema::{Datum, Descriptor, Oid};
use sharddb_planner as planner;
use sharddb_schema as schema;

use super::{
    Rows, Source,
    classes::{tables, visible_indexes},
    name,
    objects::{role_name, schema_name},
    oid,
};
use crate::activity::Activity;

fn database_name(source: &Source<'_>, database: Oid) -> Datum {
    match source.catalog.get(database) {
        Some(Descriptor::Database(database)) => name(&database.name),
        _ => Datum::Null,
    }
}

fn moment(micros: Option<i64>) -> Datum {
    micros.map_or(Datum::Null, Datum::TimestampTz)
}

/// Address and port of a client.
fn client(session: &Activity) -> (Datum, Datum) {
    match session.client {
        Some(address) => (Datum::text(address.ip().to_string()), Datum::Int4(i32::from(address.port()))),
        None => (Datum::Null, Datum::Null),
    }
}

pub(super) fn activity(source: &Source<'_>, rows: &mut Rows) {
    for session in source.engine.sessions().all() {
        let present = session.present();
        let state = session.state(&present);
        let waits = state != "active";
        // A statement outside of a block is a transaction of its own, as long as its rows are on their way.
        let transaction = present.transaction_began.or(present.query_began.filter(|_| !waits));
        let (address, port) = client(&session);
        rows.add([
            ("datid", oid(session.database)),
            ("datname", database_name(source, session.database)),
            ("pid", Datum::Int4(session.pid)),
            ("usesysid", oid(session.role)),
            ("usename", role_name(source, session.role)),
            ("application_name", Datum::text(session.application_name())),
            ("client_addr", address),
            ("client_port", port),
            ("backend_start", Datum::TimestampTz(session.began)),
            ("xact_start", moment(transaction)),
            ("query_start", moment(present.query_began)),
            ("state_change", Datum::TimestampTz(present.changed)),
            ("wait_event_type", if waits { Datum::text("Client") } else { Datum::Null }),
            ("wait_event", if waits { Datum::text("ClientRead") } else { Datum::Null }),
            ("state", Datum::text(state)),
            ("query", Datum::Text(present.query)),
            ("backend_type", Datum::text("client backend")),
        ]);
    }
}

pub(super) fn encryption(source: &Source<'_>, rows: &mut Rows) {
    for session in source.engine.sessions().all() {
        rows.add([("pid", Datum::Int4(session.pid)), ("ssl", Datum::Bool(session.encrypted))]);
    }
}

pub(super) fn gss(source: &Source<'_>, rows: &mut Rows) {
    for session in source.engine.sessions().all() {
        let no = || Datum::Bool(false);
        rows.add([("pid", Datum::Int4(session.pid)), ("gss_authenticated", no()), ("encrypted", no())]);
    }
}

/// Transactions are counted for the process and shown with the present database.
pub(super) fn databases(source: &Source<'_>, rows: &mut Rows) {
    let sessions = source.engine.sessions().all();
    let count = |value: u64| Datum::Int8(i64::try_from(value).unwrap_or(i64::MAX));
    for object in source.catalog.objects() {
        let Descriptor::Database(database) = object else { continue };
        let here = database.oid == source.database;
        let backends = sessions.iter().filter(|session| session.database == database.oid).count();
        let (commits, rollbacks) =
            if here { (source.engine.commits(), source.engine.rollbacks()) } else { Default::default() };
        rows.add([
            ("datid", oid(database.oid)),
            ("datname", name(&database.name)),
            ("numbackends", Datum::Int4(i32::try_from(backends).unwrap_or(i32::MAX))),
            ("xact_commit", count(commits)),
            ("xact_rollback", count(rollbacks)),
        ]);
    }
}

/// Which schemas a view of statistics covers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    User,
    System,
}

pub(super) fn table_statistics(source: &Source<'_>, scope: Scope, rows: &mut Rows) {
    if scope != Scope::System {
        for table in tables(source) {
            let live = table.statistics.as_ref().map_or(0, |found| i64::try_from(found.rows).unwrap_or(i64::MAX));
            rows.add([
                ("relid", oid(table.oid)),
                ("schemaname", schema_name(source, table.schema)),
                ("relname", name(&table.name)),
                ("n_live_tup", Datum::Int8(live)),
            ]);
        }
    }
    if scope != Scope::User {
        for table in virtual_tables().filter(|table| table.schema == "pg_catalog") {
            rows.add([("relid", oid(table.oid)), ("schemaname", name(table.schema)), ("relname", name(table.name))]);
        }
    }
}

pub(super) fn index_statistics(source: &Source<'_>, rows: &mut Rows) {
    for table in tables(source) {
        for index in visible_indexes(table) {
            rows.add([
                ("relid", oid(table.oid)),
                ("indexrelid", oid(index.oid)),
                ("schemaname", schema_name(source, table.schema)),
                ("relname", name(&table.name)),
                ("indexrelname", name(&index.name)),
            ]);
        }
    }
}

pub(super) fn sequence_statistics(source: &Source<'_>, rows: &mut Rows) {
    for object in source.catalog.objects() {
        let Descriptor::Sequence(sequence) = object else { continue };
        rows.add([
            ("relid", oid(sequence.oid)),
            ("schemaname", schema_name(source, sequence.schema)),
            ("relname", name(&sequence.name)),
        ]);
    }
}

/// One row in which nothing was counted.
pub(super) fn nothing_counted(rows: &mut Rows) {
    rows.add([("stats_reset", Datum::Null)]);
}

/// `pg_stats`: what ANALYZE keeps of each column.
pub(super) fn columns(source: &Source<'_>, rows: &mut Rows) {
    for table in tables(source) {
        let Some(statistics) = &table.statistics else { continue };
        for found in &statistics.columns {
            let Some(column) = table.column(found.column) else { continue };
            rows.add([
                ("schemaname", schema_name(source, table.schema)),
                ("tablename", name(&table.name)),
                ("attname", name(&column.name)),
                ("inherited", Datum::Bool(false)),
                ("null_frac", Datum::Float4(found.null_fraction as f32)),
                ("n_distinct", Datum::Float4(found.distinct as f32)),
            ]);
        }
    }
}
