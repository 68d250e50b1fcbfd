//! Borders of the key space, and what every layer must agree on about keys.

use bytes::Bytes;

/// Bytes of a key that name its table.
pub const TABLE_PREFIX: usize = 4;

/// In place of the version seen at a key's lock (`kv::Write::locked_version`): the lock on another key protects this one,
/// as that on a row protects its index entries.
pub const LOCKED_ELSEWHERE: u64 = u64::MAX;

/// The part of a key that names its table.
pub fn table_prefix(key: &Bytes) -> Bytes {
    key.slice(..key.len().min(TABLE_PREFIX))
}

/// The smallest key after every key that starts with `prefix`; empty (the end of the key space) if there is none.
///
/// Keys are prefix-free within an index, so for a whole key this is the border right after it. Borders made by
/// appending a byte would not do: a stored version is its key with a timestamp appended, and would lie beyond them.
pub fn after_prefix(prefix: &[u8]) -> Bytes {
    let kept = prefix.iter().rposition(|byte| *byte != 0xff).map_or(0, |last| last + 1);
    let mut end = prefix[..kept].to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.into()
}

#[cfg(test)]
mod tests {
    use super::after_prefix;

    #[test]
    fn the_border_lies_after_every_extension_and_before_everything_else() {
        assert_eq!(after_prefix(b"ab")[..], b"ac"[..]);
        assert_eq!(after_prefix(b"a\xff")[..], b"b"[..]);
        assert_eq!(after_prefix(b"\xff\xff")[..], b""[..]);
        assert_eq!(after_prefix(b"")[..], b""[..]);
        assert!(b"a\xff\xff\xff"[..] < after_prefix(b"a")[..]);
    }
}
