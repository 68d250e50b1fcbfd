//! Files of entries for the engine in memory: lengths and bytes, one entry after the other.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use crate::{Cursor, Error, Result};

/// Writes entries from where the cursor is on until the file has about `bytes_max` bytes. Answers whether there are more.
pub(crate) fn write(cursor: &mut dyn Cursor, file: &Path, bytes_max: u64) -> Result<bool> {
    let failed = |source| Error::Io { action: "write a table", source };
    let mut out = BufWriter::new(File::create_new(file).map_err(failed)?);
    let mut bytes = 0;
    let mut more = true;
    while more && bytes < bytes_max {
        for part in [cursor.key(), cursor.value()] {
            put(&mut out, part).map_err(failed)?;
            bytes += part.len() as u64;
        }
        more = cursor.next()?;
    }
    let out = out.into_inner().map_err(|error| failed(error.into_error()))?;
    out.sync_all().map_err(failed)?;
    Ok(more)
}

fn put(out: &mut impl Write, part: &[u8]) -> io::Result<()> {
    out.write_all(&(part.len() as u64).to_le_bytes())?;
    out.write_all(part)
}

/// Reads all entries back.
pub(crate) fn read(file: &Path) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let bytes = fs::read(file).map_err(|source| Error::Io { action: "read a table", source })?;
    let mut rest = &bytes[..];
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let entry = take(&mut rest).zip(take(&mut rest));
        entries.push(entry.ok_or_else(|| Error::Corrupt(format!("the table {} is cut off", file.display())))?);
    }
    Ok(entries)
}

fn take(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, behind) = rest.split_first_chunk::<8>()?;
    let (part, behind) = behind.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *rest = behind;
    Some(part.to_vec())
}
