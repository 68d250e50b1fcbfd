//! Descriptors as bytes: a version byte, then JSON. New fields have defaults, so old rows stay readable.

use std::sync::Arc;

use bytes::Bytes;
use proto::{SqlError, SqlResult, SqlState};
use schema::{
    DatabaseDescriptor, Descriptor, RoleDescriptor, SchemaDescriptor, SequenceDescriptor, TableDescriptor,
    ViewDescriptor,
};
use serde::{Deserialize, Serialize};
use sharddb_proto as proto;
use sharddb_schema as schema;

/// Version of the encoding. Part of the disk format.
const VERSION: u8 = 1;

#[derive(Serialize)]
enum StoredRef<'a> {
    Database(&'a DatabaseDescriptor),
    Schema(&'a SchemaDescriptor),
    Role(&'a RoleDescriptor),
    Table(&'a TableDescriptor),
    View(&'a ViewDescriptor),
    Sequence(&'a SequenceDescriptor),
}

#[derive(Deserialize)]
enum Stored {
    Database(DatabaseDescriptor),
    Schema(SchemaDescriptor),
    Role(RoleDescriptor),
    Table(TableDescriptor),
    View(ViewDescriptor),
    Sequence(SequenceDescriptor),
}

/// The stored form of a descriptor.
pub(crate) fn encode(descriptor: &Descriptor) -> SqlResult<Bytes> {
    let stored = match descriptor {
        Descriptor::Database(d) => StoredRef::Database(d),
        Descriptor::Schema(d) => StoredRef::Schema(d),
        Descriptor::Role(d) => StoredRef::Role(d),
        Descriptor::Table(d) => StoredRef::Table(d),
        Descriptor::View(d) => StoredRef::View(d),
        Descriptor::Sequence(d) => StoredRef::Sequence(d),
    };
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, &stored)
        .map_err(|error| SqlError::internal(format!("a descriptor cannot be encoded: {error}")))?;
    Ok(bytes.into())
}

/// The descriptor of a stored row.
pub(super) fn decode(bytes: &[u8]) -> SqlResult<Descriptor> {
    let Some((&VERSION, json)) = bytes.split_first() else {
        return Err(corrupted("a catalog row has an unknown version".to_owned()));
    };
    let stored: Stored =
        serde_json::from_slice(json).map_err(|error| corrupted(format!("a catalog row cannot be read: {error}")))?;
    Ok(match stored {
        Stored::Database(d) => Descriptor::Database(Arc::new(d)),
        Stored::Schema(d) => Descriptor::Schema(Arc::new(d)),
        Stored::Role(d) => Descriptor::Role(Arc::new(d)),
        Stored::Table(d) => Descriptor::Table(Arc::new(d)),
        Stored::View(d) => Descriptor::View(Arc::new(d)),
        Stored::Sequence(d) => Descriptor::Sequence(Arc::new(d)),
    })
}

fn corrupted(message: String) -> SqlError {
    SqlError::new(SqlState::DataCorrupted, message)
}

#[cfg(test)]
mod tests {
    use schema::Oid;

    use super::*;

    #[test]
    fn descriptors_round_trip_and_bad_rows_are_errors() {
        let schema = SchemaDescriptor { oid: Oid(16_400), name: "s".to_owned(), owner: Oid(10) };
        let descriptor = Descriptor::Schema(Arc::new(schema));
        let bytes = encode(&descriptor).expect("encodes");
        assert_eq!(decode(&bytes).expect("decodes"), descriptor);
        assert!(decode(&[]).is_err());
        assert!(decode(&[9, b'{']).is_err());
        assert!(decode(&bytes[..bytes.len() - 1]).is_err());
    }
}
