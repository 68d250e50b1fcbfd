//! Segment files: names and positions.

use std::{io, sync::Arc};

use bytes::Bytes;

use super::{
    files::{Files, Medium},
    record::{SEGMENT_HEADER, segment_header},
};

/// Where a record's whole bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
}

/// An open segment.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) medium: Arc<dyn Medium>,
}

/// The file of a segment.
pub(super) fn name(number: u64) -> String {
    format!("{number:016}.log")
}

/// The segment of a file name; `None` for other files.
pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 16).then(|| digits.parse().ok()).flatten()
}

impl Segment {
    /// Makes a new segment, durable under its name.
    pub(super) fn create(files: &dyn Files, number: u64, first_sequence: u64) -> io::Result<Self> {
        let medium = files.open(&name(number), true)?;
        medium.set_len(0)?;
        medium.write_at(&segment_header(number, first_sequence), 0)?;
        medium.sync()?;
        files.sync_directory()?;
        Ok(Self { number, medium: medium.into() })
    }

    /// Reads a record's bytes.
    pub(super) fn read(&self, position: Position) -> io::Result<Bytes> {
        debug_assert!(position.offset >= SEGMENT_HEADER as u64);
        let mut bytes = vec![0; position.length as usize];
        self.medium.read_at(&mut bytes, position.offset)?;
        Ok(bytes.into())
    }
}
