//! The stored form of versions.

use proto::{Timestamp, TxnId};
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::Cf;

/// Tag bytes of version values; part of the format, never reuse a number.
const PUT: u8 = 1;
const TOMBSTONE: u8 = 2;
/// The same, with the transaction that wrote it (u64 BE) after the tag.
const SIGNED_PUT: u8 = 3;
const SIGNED_TOMBSTONE: u8 = 4;

/// The key of a version. Sorts after every newer version of the same key.
pub(crate) fn version_key(key: &[u8], ts: Timestamp) -> Vec<u8> {
    let mut version = Vec::with_capacity(key.len() + Cf::VERSION_SUFFIX);
    version.extend_from_slice(key);
    version.extend_from_slice(&(!ts.0).to_be_bytes());
    version
}

/// The key and timestamp of a version key.
pub(crate) fn split_version(version: &[u8]) -> Option<(&[u8], Timestamp)> {
    let (key, suffix) = version.split_last_chunk::<{ Cf::VERSION_SUFFIX }>()?;
    Some((key, Timestamp(!u64::from_be_bytes(*suffix))))
}

/// The stored value of a put.
pub(crate) fn encode_put(value: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(value.len() + 1);
    stored.push(PUT);
    stored.extend_from_slice(value);
    stored
}

/// The stored value of a deletion.
pub(crate) fn encode_tombstone() -> Vec<u8> {
    vec![TOMBSTONE]
}

/// The stored value of a put or deletion that names its transaction.
pub(crate) fn encode_signed(txn: TxnId, value: Option<&[u8]>) -> Vec<u8> {
    let mut stored = Vec::with_capacity(value.map_or(0, <[u8]>::len) + 9);
    stored.push(if value.is_some() { SIGNED_PUT } else { SIGNED_TOMBSTONE });
    stored.extend_from_slice(&txn.0.to_be_bytes());
    stored.extend_from_slice(value.unwrap_or_default());
    stored
}

/// The value of a stored version: `Some(None)` for a deletion, `None` if the bytes are damaged.
pub(crate) fn decode_version(stored: &[u8]) -> Option<Option<&[u8]>> {
    match stored.split_first()? {
        (&PUT, value) => Some(Some(value)),
        (&TOMBSTONE, []) => Some(None),
        (&SIGNED_PUT, signed) => signed.split_first_chunk::<8>().map(|(_, value)| Some(value)),
        (&SIGNED_TOMBSTONE, signed) => (signed.len() == 8).then_some(None),
        _ => None,
    }
}

/// The transaction that a stored version names.
pub(crate) fn signer(stored: &[u8]) -> Option<TxnId> {
    let (&(SIGNED_PUT | SIGNED_TOMBSTONE), signed) = stored.split_first()? else { return None };
    Some(TxnId(u64::from_be_bytes(*signed.first_chunk::<8>()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_versions_sort_first_and_round_trip() {
        let newer = version_key(b"k", Timestamp(9));
        let older = version_key(b"k", Timestamp(5));
        assert!(newer < older);
        assert_eq!(split_version(&newer), Some((&b"k"[..], Timestamp(9))));
        assert_eq!(split_version(b"short"), None);
        assert_eq!(decode_version(&encode_put(b"v")), Some(Some(&b"v"[..])));
        assert_eq!(decode_version(&encode_tombstone()), Some(None));
        assert_eq!(signer(&encode_put(b"12345678v")), None);
        for value in [Some(&b"v"[..]), Some(b""), None] {
            let stored = encode_signed(TxnId(7), value);
            assert_eq!((decode_version(&stored), signer(&stored)), (Some(value), Some(TxnId(7))));
        }
        assert_eq!(decode_version(b""), None);
        assert_eq!(decode_version(&[SIGNED_PUT, 0]), None);
        assert_eq!(decode_version(&[SIGNED_TOMBSTONE, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(decode_version(&[TOMBSTONE, 0]), None);
        assert_eq!(decode_version(&[9]), None);
    }
}
