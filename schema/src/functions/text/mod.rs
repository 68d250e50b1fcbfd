//! Functions and operators on text and bytea.

mod bytes;
mod change;
mod concat;
mod like;
mod measure;
mod quote;
mod regex;

pub(super) use bytes::{BYTES, ENCODINGS};
pub(super) use change::{CHANGES, TRIMS, lower};
pub(super) use concat::{CONCAT, type_of, write_as_text, write_output};
pub(super) use like::{LIKE, LIKE_OTHER};
pub(super) use measure::{LENGTHS, PARTS};
pub(super) use quote::QUOTES;
pub use quote::{quote_identifier, quote_literal};
pub(super) use regex::{INSPECT, OPERATORS as REGEX_OPERATORS, REPLACE, SIMILAR, SPLIT, matches, split};
