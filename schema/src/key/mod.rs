//! Keys of rows and index entries in the one ordered key space.
//!
//! Key = storage id (u32) · index id (u32) · [hash bucket (u16)] · columns, all big endian. Index 1 holds the rows.
//! The bucket is there only in index 1 of a table with [`Sharding::Hash`]; secondary indexes are ordered by their
//! columns alone. A column is a marker byte and its ordered bytes (see `ordered`). A table without a primary key
//! has the hidden row id as its only key column, without a marker.
//!
//! # Invariants
//! * Byte order of keys of one index is the index's order, per bucket.
//! * A key is never a prefix of another key of the same index.
//! * The layout, the markers and the hash are part of the disk format.
//!
//! Does not: decode keys; a row's value holds all its columns and an index entry's value the primary key.

mod bounds;
mod composite;
mod hash;
mod ordered;

pub use bounds::{KeyBounds, prefix_bounds};
pub use ordered::write_value as canonical_key;
use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use crate::{Datum, IndexColumn, IndexDescriptor, IndexId, Sharding, TableDescriptor};

/// A half-open range of keys.
pub type KeySpan = (Vec<u8>, Vec<u8>);

/// Length of the storage id and index id before the columns.
pub const PREFIX_LEN: usize = 8;

/// The index that holds the rows.
pub const PRIMARY_INDEX: IndexId = IndexId(1);

/// Every key of a table with this storage id.
pub fn table_span(storage_id: u32) -> KeySpan {
    let start = storage_id.to_be_bytes().to_vec();
    let end = prefix_end(&start);
    (start, end)
}

/// Every key of one index.
pub fn index_span(table: &TableDescriptor, index: IndexId) -> KeySpan {
    let start = index_prefix(table.storage_id, index);
    let end = prefix_end(&start);
    (start, end)
}

/// Storage id and index id of a key; `None` when it is too short to be one.
pub fn split_prefix(key: &[u8]) -> Option<(u32, IndexId)> {
    let storage = key.get(..4)?.try_into().ok()?;
    let index = key.get(4..8)?.try_into().ok()?;
    Some((u32::from_be_bytes(storage), IndexId(u32::from_be_bytes(index))))
}

/// The smallest key above every key that starts with `prefix`; empty (the end of the key space) if there is none.
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last != u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    end
}

/// Key of a row. `hidden_row_id` is needed exactly for tables without a primary key.
pub fn primary_key(table: &TableDescriptor, row: &[Datum], hidden_row_id: Option<i64>) -> SqlResult<Vec<u8>> {
    let index = table.primary();
    let mut key = index_prefix(table.storage_id, index.id);
    if let Sharding::Hash { .. } = table.sharding {
        key.extend_from_slice(&hash_bucket(table, row, hidden_row_id)?.to_be_bytes());
    }
    if index.columns.is_empty() {
        key.extend_from_slice(&row_id_bytes(hidden_row_id)?);
    } else {
        write_columns(table, &index.columns, row, &mut key)?;
    }
    Ok(key)
}

/// Key of a row's entry in a secondary index; the entry's value is the primary key.
///
/// An entry of a unique index whose columns hold no NULL (or that counts NULLs as equal) consists of the columns
/// alone, so a second row with the same values meets the same key. Other entries end in the primary key's bytes.
pub fn index_key(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    row: &[Datum],
    primary_key: &[u8],
) -> SqlResult<Vec<u8>> {
    let mut key = index_prefix(table.storage_id, index.id);
    write_columns(table, &index.columns, row, &mut key)?;
    if !is_unique_entry(table, index, row) {
        key.extend_from_slice(primary_key.get(PREFIX_LEN..).unwrap_or_default());
    }
    Ok(key)
}

/// Whether this row's entry in the index excludes every other row with the same values.
pub fn is_unique_entry(table: &TableDescriptor, index: &IndexDescriptor, row: &[Datum]) -> bool {
    let is_null = |column: &IndexColumn| table.position(column.column).is_none_or(|at| row[at].is_null());
    index.unique && (index.nulls_not_distinct || !index.columns.iter().any(is_null))
}

/// The bucket of a row in a table with hash sharding: FNV-1a over the ordered bytes of the hash columns (the hidden
/// row id if there are none), finished with two multiply-xorshift rounds, upper 16 bits.
pub fn hash_bucket(table: &TableDescriptor, row: &[Datum], hidden_row_id: Option<i64>) -> SqlResult<u16> {
    let Sharding::Hash { columns, .. } = &table.sharding else { return Ok(0) };
    let mut bytes = Vec::with_capacity(32);
    for id in columns {
        let at = table.position(*id).ok_or_else(|| SqlError::internal("hash column is missing"))?;
        let value = row.get(at).ok_or_else(|| SqlError::internal("row is too short for its key"))?;
        ordered::write_hashed(table.columns[at].sql_type, value, &mut bytes)?;
    }
    if columns.is_empty() {
        bytes.extend_from_slice(&row_id_bytes(hidden_row_id)?);
    }
    Ok(hash::bucket(&bytes))
}

/// Where to cut the key space when a table is created or truncated: its bounds and, for hash sharding, equal
/// ranges of buckets in between. Empty for a table that stays in the shard that covers it.
pub fn split_points(table: &TableDescriptor, storage_id: u32) -> Vec<Vec<u8>> {
    let shards = match table.sharding {
        Sharding::Range { shards } | Sharding::Hash { shards, .. } => u32::from(shards),
    };
    if shards <= 1 {
        return Vec::new();
    }
    let (start, end) = table_span(storage_id);
    let mut points = vec![start];
    if let Sharding::Hash { .. } = table.sharding {
        points.extend((1..shards).map(|i| {
            let bucket = (u64::from(i) * 65_536 / u64::from(shards)) as u16;
            let mut key = index_prefix(storage_id, PRIMARY_INDEX);
            key.extend_from_slice(&bucket.to_be_bytes());
            key
        }));
    }
    points.push(end);
    points
}

fn index_prefix(storage_id: u32, index: IndexId) -> Vec<u8> {
    let mut key = Vec::with_capacity(40);
    key.extend_from_slice(&storage_id.to_be_bytes());
    key.extend_from_slice(&index.0.to_be_bytes());
    key
}

fn write_columns(table: &TableDescriptor, columns: &[IndexColumn], row: &[Datum], key: &mut Vec<u8>) -> SqlResult<()> {
    for column in columns {
        let at = table.position(column.column).ok_or_else(|| SqlError::internal("key column is missing"))?;
        let value = row.get(at).ok_or_else(|| SqlError::internal("row is too short for its key"))?;
        ordered::write_column(column, table.columns[at].sql_type, value, key)?;
    }
    Ok(())
}

fn row_id_bytes(hidden_row_id: Option<i64>) -> SqlResult<[u8; 8]> {
    let id = hidden_row_id
        .ok_or_else(|| SqlError::new(SqlState::InternalError, "row of a table without a primary key has no row id"))?;
    Ok(ordered::int_bytes(id))
}

#[cfg(test)]
pub(crate) mod tests;
