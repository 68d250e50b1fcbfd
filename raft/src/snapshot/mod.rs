//! Snapshots on their way between nodes: files in directories, pulled in parts by whoever needs them.
//!
//! The leader captures its state as files and offers them; the follower fetches them part by part, as fast as it likes and
//! from where it was after a lost connection, checks them, and installs them. What is half received is worth nothing after a
//! restart and is removed then. What is half installed is installed again, before the group starts.

mod install;
mod receive;
mod send;

pub(crate) use install::{Installation, clean};
pub(crate) use receive::{Incoming, accept};
pub(crate) use send::{Offers, send};

use std::{io, path::Path};

use proto::raft::SnapshotFile;
use sharddb_proto as proto;

/// Bytes read at once to compute a checksum.
const READ_BYTES: usize = 1 << 20;

/// The files of a directory, with what proves that they arrived whole.
fn describe(directory: &Path) -> io::Result<Vec<SnapshotFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|_| io::Error::other("a file name that is not text"))?;
        let (bytes, crc32c) = checksum(&entry.path())?;
        files.push(SnapshotFile { name, bytes, crc32c });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn checksum(path: &Path) -> io::Result<(u64, u32)> {
    use io::Read;
    let mut file = std::fs::File::open(path)?;
    let (mut buffer, mut bytes, mut crc) = (vec![0; READ_BYTES], 0, 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, crc));
        }
        bytes += read as u64;
        crc = crc32c::crc32c_append(crc, &buffer[..read]);
    }
}
