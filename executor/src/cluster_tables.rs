//! `sharddb.nodes`, `sharddb.shards`, `sharddb.ranges` and `sharddb.jobs`: the cluster as its meta group sees it; and
//! `sharddb.replica_checksums`: whether the replicas of each shard hold the same.

use std::sync::Arc;

use kv::{Client, ReplicaChecksum};
use proto::{
    SqlResult,
    meta::{Job, NodeReport, NodeState, Nodes, RangeDescriptor},
};
use schema::{Catalog, Datum, Descriptor, Oid, TableDescriptor, key};
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::system_catalog::array;

/// Rows in the order of the table's columns.
type Rows = Vec<Vec<Datum>>;

/// The rows of a table of the schema `sharddb`; `None` if there is none of this name.
pub(crate) async fn rows(name: &str, client: &Client, catalog: &Catalog) -> SqlResult<Option<Rows>> {
    let cluster = client.meta().cluster();
    Ok(Some(match name {
        "nodes" => nodes(&cluster.nodes().await?),
        "shards" => cluster.range_reports().await?.iter().map(|range| shard(range, catalog)).collect(),
        "ranges" => cluster.range_reports().await?.iter().flat_map(|range| parts(range, catalog)).collect(),
        "jobs" => cluster.jobs().await?.iter().map(job).collect(),
        "replica_checksums" => client.check_replicas().await?.iter().map(|sum| checksum(sum, catalog)).collect(),
        _ => return Ok(None),
    }))
}

/// The name of a node's state.
pub(crate) fn state_name(state: NodeState) -> &'static str {
    match state {
        NodeState::Active => "active",
        NodeState::Draining => "draining",
        NodeState::Decommissioning => "decommissioning",
        NodeState::Gone => "gone",
    }
}

fn nodes(answer: &Nodes) -> Rows {
    answer.nodes.iter().filter_map(|report| node(report, answer)).collect()
}

fn node(report: &NodeReport, answer: &Nodes) -> Option<Vec<Datum>> {
    let node = report.node.as_ref()?;
    let meta = match node.id {
        id if id == answer.meta_leader => Datum::text("leader"),
        id if answer.meta_members.contains(&id) => Datum::text("member"),
        _ => Datum::Null,
    };
    // What a living node says of itself is newer than what is known of shards.
    let own = report.statistics.filter(|_| report.live);
    let disk = report.statistics.filter(|statistics| statistics.disk_total > 0);
    Some(vec![
        number(node.id),
        Datum::text(node.sql_addr.as_str()),
        Datum::text(node.rpc_addr.as_str()),
        Datum::text(node.http_addr.as_str()),
        Datum::text(node.locality.as_str()),
        Datum::text(state_name(node.state())),
        Datum::Bool(report.live),
        number(report.silent_ms),
        number(report.voters),
        number(own.map_or(report.leads, |own| own.leaders)),
        meta,
        disk.map_or(Datum::Null, |disk| number(disk.disk_free)),
        disk.map_or(Datum::Null, |disk| number(disk.disk_total)),
    ])
}

/// A shard, with the table that it begins with.
fn shard(range: &RangeDescriptor, catalog: &Catalog) -> Vec<Datum> {
    let factor = i32::try_from(range.replication_factor).ok().filter(|factor| *factor != 0);
    vec![
        number(range.shard),
        table_at(&range.start, catalog),
        bytes(&range.start),
        end(&range.end),
        number(range.epoch),
        known(range.leader),
        ids(&range.replicas),
        ids(&range.learners),
        Datum::text(range.state.as_str()),
        factor.map_or(Datum::Null, Datum::Int4),
    ]
}

/// The name of the table that a range begins with.
fn table_at(start: &[u8], catalog: &Catalog) -> Datum {
    let begins = |table: &&Arc<TableDescriptor>| start.starts_with(&key::table_span(table.storage_id).0);
    tables(catalog).find(begins).map_or(Datum::Null, |table| Datum::text(table.name.as_str()))
}

/// A replica, with the table that its shard begins with.
fn checksum(replica: &ReplicaChecksum, catalog: &Catalog) -> Vec<Datum> {
    let sum = replica.sum.as_ref();
    let micros = i64::try_from(replica.read_at.millis()).unwrap_or(i64::MAX).saturating_mul(1000);
    vec![
        number(replica.shard.0),
        table_at(&replica.start, catalog),
        number(replica.node.0),
        Datum::text(replica.role),
        Datum::TimestampTz(micros),
        sum.map_or(Datum::Null, |sum| number(sum.applied_index)),
        sum.map_or(Datum::Null, |sum| number(sum.rows)),
        sum.map_or(Datum::Null, |sum| number(sum.bytes)),
        sum.map_or(Datum::Null, |sum| Datum::text(format!("{:016x}", sum.checksum))),
        replica.agrees.map_or(Datum::Null, Datum::Bool),
        replica.error.as_deref().map_or(Datum::Null, Datum::text),
    ]
}

/// A range cut into the parts that belong to different tables; one row without a table where it holds none of them.
fn parts(range: &RangeDescriptor, catalog: &Catalog) -> Rows {
    let row = |table: Option<&TableDescriptor>, from: &[u8], to: &[u8]| {
        let schema = table.and_then(|table| catalog.schema_name(table.schema));
        vec![
            number(range.shard),
            bytes(from),
            end(to),
            schema.map_or(Datum::Null, Datum::text),
            table.map_or(Datum::Null, |table| Datum::text(table.name.as_str())),
            known(range.leader),
            ids(&range.replicas),
        ]
    };
    let mut found: Vec<(Vec<u8>, Vec<u8>, &TableDescriptor)> = tables(catalog)
        .filter_map(|table| {
            let (start, end) = key::table_span(table.storage_id);
            let from = start.max(range.start.to_vec());
            let to = if range.end.is_empty() { end } else { end.min(range.end.to_vec()) };
            (from < to).then_some((from, to, table.as_ref()))
        })
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    if found.is_empty() {
        return vec![row(None, &range.start, &range.end)];
    }
    found.iter().map(|(from, to, table)| row(Some(table), from, to)).collect()
}

fn job(job: &Job) -> Vec<Datum> {
    let micros = i64::try_from(job.since_ms).unwrap_or(i64::MAX).saturating_mul(1000);
    vec![
        number(job.id),
        Datum::text(job.what.as_str()),
        known(job.shard),
        ids(&job.from),
        ids(&job.to),
        Datum::text(job.state.as_str()),
        number(job.bytes),
        number(job.total_bytes),
        Datum::TimestampTz(micros),
        if job.error.is_empty() { Datum::Null } else { Datum::text(job.error.as_str()) },
    ]
}

fn tables(catalog: &Catalog) -> impl Iterator<Item = &Arc<TableDescriptor>> {
    catalog.objects().filter_map(|object| match object {
        Descriptor::Table(table) => Some(table),
        _ => None,
    })
}

fn number(value: u64) -> Datum {
    Datum::Int8(i64::try_from(value).unwrap_or(i64::MAX))
}

/// An identifier of which 0 means that it is not known.
fn known(id: u64) -> Datum {
    if id == 0 { Datum::Null } else { number(id) }
}

fn ids(values: &[u64]) -> Datum {
    array(Oid::INT8, 1, values.iter().copied().map(number).collect())
}

fn bytes(value: &[u8]) -> Datum {
    Datum::Bytes(Arc::from(value))
}

/// The end of a range; NULL is the end of the key space.
fn end(value: &[u8]) -> Datum {
    if value.is_empty() { Datum::Null } else { bytes(value) }
}
