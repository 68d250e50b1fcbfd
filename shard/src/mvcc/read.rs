//! Point reads of versions.

use bytes::Bytes;
use proto::{Timestamp, TxnId};
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::{Cf, Engine, Error, Result, Span};

use super::key::{decode_version, signer, split_version, version_key};

/// A version: when it was committed and its value, `None` for a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versioned {
    pub(crate) commit_ts: Timestamp,
    pub(crate) value: Option<Bytes>,
}

/// The newest version at or before `ts`.
pub(crate) fn read_at(engine: &dyn Engine, key: &[u8], ts: Timestamp) -> Result<Option<Versioned>> {
    let Some((found, stored)) = engine.first_version(&version_key(key, ts))? else { return Ok(None) };
    let (_, commit_ts) = split_version(&found).ok_or_else(damaged)?;
    let Some(value) = decode_version(&stored).ok_or_else(damaged)? else {
        return Ok(Some(Versioned { commit_ts, value: None }));
    };
    // What stands before the value goes without a copy.
    let before = stored.len() - value.len();
    Ok(Some(Versioned { commit_ts, value: Some(Bytes::from(stored).slice(before..)) }))
}

/// The newest version of all.
pub(crate) fn newest(engine: &dyn Engine, key: &[u8]) -> Result<Option<Versioned>> {
    read_at(engine, key, Timestamp::MAX)
}

/// When the version of a key that names this transaction was committed.
pub(crate) fn signed_by(engine: &dyn Engine, key: &[u8], txn: TxnId) -> Result<Option<Timestamp>> {
    let span = Span::new(version_key(key, Timestamp::MAX), version_key(key, Timestamp::ZERO));
    let mut cursor = engine.cursor(Cf::Data, &span)?;
    let mut more = cursor.first()?;
    while more {
        let (found, ts) = split_version(cursor.key()).ok_or_else(damaged)?;
        if found == key && signer(cursor.value()) == Some(txn) {
            return Ok(Some(ts));
        }
        more = cursor.next()?;
    }
    Ok(None)
}

/// A key in the span with a version newer than `since`, if there is one.
pub(crate) fn written_since(engine: &dyn Engine, span: &Span, since: Timestamp) -> Result<Option<Bytes>> {
    let mut cursor = engine.cursor(Cf::Data, span)?;
    let mut more = cursor.first()?;
    while more {
        let (key, ts) = split_version(cursor.key()).ok_or_else(damaged)?;
        if ts > since {
            return Ok(Some(Bytes::copy_from_slice(key)));
        }
        // Older versions of this key are older still.
        let next = version_key(key, Timestamp::ZERO);
        more = cursor.seek(&next)?;
        if more && cursor.key() == next {
            more = cursor.next()?;
        }
    }
    Ok(None)
}

pub(super) fn damaged() -> Error {
    Error::Corrupt("a version has no valid timestamp or tag".to_owned())
}
