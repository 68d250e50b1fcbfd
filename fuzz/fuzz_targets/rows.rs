//! Stored row values and values in the protocol's binary format: bytes that no writer made are an error.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use sharddb_schema::{
    ColumnId, SqlType, all_types,
    row::{RowReader, decode_payload, decode_value},
    wire::{decode_binary, encode_binary},
};

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let types: Vec<_> = all_types().collect();
    let sql_type = SqlType::new(types[usize::from(*choice) % types.len()].oid);

    if let Ok(mut reader) = RowReader::new(data) {
        while let Ok(Some(field)) = reader.next_field() {
            let _ = decode_value(sql_type, &field);
        }
    }
    if let Ok(mut reader) = RowReader::new(data) {
        let _ = reader.seek(ColumnId(u16::from(*choice)));
    }
    let _ = decode_payload(data);
    if let Ok(value) = decode_binary(data, sql_type) {
        let _ = encode_binary(&value, sql_type, &mut BytesMut::new());
    }
});
