//! Row values: the columns of a row in a compact, self-describing form.
//!
//! Value = format version (1) · fields in ascending order of their column's number. A field is a tag byte, its
//! upper five bits the distance to the previous column's number (31: a varint follows), its lower three bits the
//! [`Kind`]; then the payload, little endian. NULLs are left out. Since a field says its own length and column,
//! readers skip columns that were dropped, and a column added later reads as its `missing` value: ADD and DROP
//! COLUMN rewrite nothing.
//!
//! # Invariants
//! * Tags and payloads are part of the disk format.
//! * Reading never panics: bytes that no writer made answer XX001.
//!
//! Example: (7::int4, NULL, 'ab') is `01 0c 07000000 10 02 6162`.

mod payload;
mod read;
mod write;

pub use payload::{SMALL_NUMERIC_BYTES, decode_payload, decode_small_numeric, encode_payload, encode_small_numeric};
pub use read::{RawField, RowDecoder, RowReader, decode_row, decode_value, missing_value};
pub use write::encode_row;

/// First byte of a row value.
const FORMAT: u8 = 1;

/// Distance that announces a varint.
const LONG_DISTANCE: u16 = 31;

/// Form of a field's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A varint length and as many bytes.
    Variable = 0,
    /// NULL, without payload. Written only where a field left out would read as the column's `missing` value.
    Null = 1,
    /// 1 byte
    Fixed1 = 2,
    /// 2 bytes
    Fixed2 = 3,
    /// 4 bytes
    Fixed4 = 4,
    /// 8 bytes
    Fixed8 = 5,
    /// 16 bytes
    Fixed16 = 6,
}

#[cfg(test)]
mod tests;
