//! Keys of the system range: storage id 10, one index id for each kind of row. Part of the disk format.

use bytes::{BufMut, Bytes, BytesMut};
use schema::Oid;
use sharddb_proto as proto;
use sharddb_schema as schema;

/// Storage ids below 100 are the system's.
const SYSTEM_STORAGE: u32 = 10;
const DESCRIPTORS: u32 = 1;
const VERSION: u32 = 2;
const SEQUENCES: u32 = 3;
const DROPPED: u32 = 4;

fn key(index: u32, parts: &[u32]) -> Bytes {
    let mut key = BytesMut::with_capacity(8 + 4 * parts.len());
    key.put_u32(SYSTEM_STORAGE);
    key.put_u32(index);
    for part in parts {
        key.put_u32(*part);
    }
    key.freeze()
}

/// The row of an object. Objects of no database (databases, roles, system schemas) have database 0.
pub(crate) fn descriptor_key(database: Oid, oid: Oid) -> Bytes {
    key(DESCRIPTORS, &[database.0, oid.0])
}

/// Every descriptor.
pub(super) fn descriptor_span() -> (Bytes, Bytes) {
    let start = key(DESCRIPTORS, &[]);
    let end = proto::after_prefix(&start);
    (start, end)
}

/// Database and OID of a descriptor's key.
pub(super) fn parse_descriptor_key(key: &[u8]) -> Option<(Oid, Oid)> {
    let database = key.get(8..12)?.try_into().ok()?;
    let oid = key.get(12..16)?.try_into().ok()?;
    Some((Oid(u32::from_be_bytes(database)), Oid(u32::from_be_bytes(oid))))
}

/// The row that holds the version of the last committed change; locked by whoever changes the catalog.
pub(crate) fn version_key() -> Bytes {
    key(VERSION, &[])
}

/// The position of a sequence.
pub(crate) fn sequence_key(sequence: Oid) -> Bytes {
    key(SEQUENCES, &[sequence.0])
}

/// The note that a storage id is no longer used; its value is the millisecond of the drop.
pub(crate) fn dropped_key(storage: u32) -> Bytes {
    key(DROPPED, &[storage])
}

/// Every note of a dropped storage id.
pub(crate) fn dropped_span() -> (Bytes, Bytes) {
    let start = key(DROPPED, &[]);
    let end = proto::after_prefix(&start);
    (start, end)
}

/// The storage id of such a note.
pub(crate) fn parse_dropped_key(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(8..12)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_keys_are_read_back() {
        assert_eq!(parse_descriptor_key(&descriptor_key(Oid(5), Oid(16_400))), Some((Oid(5), Oid(16_400))));
        let (start, end) = descriptor_span();
        let key = descriptor_key(Oid(u32::MAX), Oid(u32::MAX));
        assert!(start < key && key < end);
    }
}
