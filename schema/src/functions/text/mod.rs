//! Functions and operators on text.

mod concat;
mod like;

pub(super) use concat::{CONCAT, type_of, write_as_text, write_output};
pub(super) use like::{LIKE, LIKE_OTHER};
