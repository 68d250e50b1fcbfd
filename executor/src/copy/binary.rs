//! The binary format: a header, then for each row the number of fields and each field with its length.

use bytes::{Buf, BytesMut};
use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

/// First bytes of a file.
pub(super) const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Longest header extension taken: nobody has defined any.
const EXTENSION_BYTES_MAX: usize = 1 << 16;

/// What a look at the data came to.
pub(super) enum Taken {
    Row(Vec<Option<Vec<u8>>>),
    End,
    More,
}

pub(super) fn cut_off() -> SqlError {
    SqlError::new(SqlState::BadCopyFileFormat, "unexpected EOF in COPY data")
}

fn bad(message: &str) -> SqlError {
    SqlError::new(SqlState::BadCopyFileFormat, message)
}

/// Takes the header if it is there in full.
pub(super) fn take_header(buffer: &mut BytesMut) -> SqlResult<bool> {
    let known = buffer.len().min(SIGNATURE.len());
    if buffer[..known] != SIGNATURE[..known] {
        return Err(bad("COPY file signature not recognized"));
    }
    let Some(fixed) = buffer.get(SIGNATURE.len()..SIGNATURE.len() + 8) else { return Ok(false) };
    let mut fixed = fixed;
    let (flags, extension) = (fixed.get_u32(), fixed.get_u32() as usize);
    if flags & (1 << 16) != 0 {
        return Err(bad("invalid COPY file header (WITH OIDS)"));
    }
    if flags >> 16 != 0 {
        return Err(bad("unrecognized critical flags in COPY file header"));
    }
    if extension > EXTENSION_BYTES_MAX {
        return Err(bad("invalid COPY file header (wrong length)"));
    }
    let whole = SIGNATURE.len() + 8 + extension;
    if buffer.len() < whole {
        return Ok(false);
    }
    buffer.advance(whole);
    Ok(true)
}

/// Takes a row if it is there in full.
pub(super) fn take_row(buffer: &mut BytesMut, columns: usize) -> SqlResult<Taken> {
    let mut rest: &[u8] = buffer;
    if rest.len() < 2 {
        return Ok(Taken::More);
    }
    let count = rest.get_i16();
    if count == -1 {
        buffer.clear();
        return Ok(Taken::End);
    }
    if usize::try_from(count) != Ok(columns) {
        return Err(bad(&format!("row field count is {count}, expected {columns}")));
    }
    let mut fields = Vec::with_capacity(columns);
    for _ in 0..columns {
        if rest.len() < 4 {
            return Ok(Taken::More);
        }
        let length = rest.get_i32();
        if length == -1 {
            fields.push(None);
            continue;
        }
        let length = usize::try_from(length).map_err(|_| bad("invalid field size"))?;
        if rest.len() < length {
            return Ok(Taken::More);
        }
        fields.push(Some(rest[..length].to_vec()));
        rest.advance(length);
    }
    let used = buffer.len() - rest.len();
    buffer.advance(used);
    Ok(Taken::Row(fields))
}
