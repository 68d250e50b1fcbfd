//! Keys: borders are right for any bytes, and keys are ordered as their values are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sharddb_schema::{
    ColumnDescriptor, ColumnId, Datum, IndexColumn, IndexDescriptor, IndexId, IndexState, Oid, Sharding, SqlType,
    TableDescriptor,
    compare::compare,
    key::{prefix_end, primary_key, split_prefix},
    wire::decode_binary,
};

const TYPES: [Oid; 12] = [
    Oid::BOOL,
    Oid::INT2,
    Oid::INT4,
    Oid::INT8,
    Oid::FLOAT8,
    Oid::NUMERIC,
    Oid::TEXT,
    Oid::BYTEA,
    Oid::DATE,
    Oid::TIMESTAMP,
    Oid::INTERVAL,
    Oid::UUID,
];

fuzz_target!(|data: &[u8]| {
    let _ = split_prefix(data);
    let end = prefix_end(data);
    assert!(end.is_empty() || data < end.as_slice());

    let Some((choice, data)) = data.split_first() else { return };
    let sql_type = SqlType::new(TYPES[usize::from(*choice) % TYPES.len()]);
    let (first, second) = data.split_at(data.len() / 2);
    let (Ok(first), Ok(second)) = (decode_binary(first, sql_type), decode_binary(second, sql_type)) else { return };
    let table = table(sql_type);
    let key = |value: &Datum| primary_key(&table, std::slice::from_ref(value), None);
    if let (Ok(first_key), Ok(second_key)) = (key(&first), key(&second)) {
        assert_eq!(first_key.cmp(&second_key), compare(&first, &second), "{first:?} {second:?}");
    }
});

/// A table whose only column is its primary key.
fn table(sql_type: SqlType) -> TableDescriptor {
    let column = ColumnDescriptor {
        id: ColumnId(1),
        name: "c".to_owned(),
        sql_type,
        not_null: true,
        default: None,
        identity: None,
        missing: None,
        generated: None,
        comment: None,
    };
    let index = IndexDescriptor {
        id: IndexId(1),
        oid: Oid(2),
        name: "i".to_owned(),
        columns: vec![IndexColumn { column: ColumnId(1), descending: false, nulls_first: false }],
        unique: true,
        nulls_not_distinct: false,
        state: IndexState::Ready,
        constraint: None,
        predicate: None,
    };
    TableDescriptor {
        oid: Oid(1),
        storage_id: 1,
        version: 1,
        schema: Oid(3),
        name: "t".to_owned(),
        owner: Oid(4),
        columns: vec![column],
        next_column: 2,
        indexes: vec![index],
        next_index: 2,
        constraints: Vec::new(),
        referenced_by: Vec::new(),
        sharding: Sharding::Range { shards: 1 },
        replication_factor: 0,
        statistics: None,
        comment: None,
    }
}
