//! Functions and operators on json and jsonb.
//!
//! json keeps its text, so reading from it (`scan`) cuts pieces out of the text; jsonb is kept as normalized text, of
//! which every piece is normalized too, so that the same code reads it. Changing jsonb goes through parsed values.

mod access;
mod build;
mod contain;
mod modify;
pub(super) mod scan;
mod write;

pub(super) use access::{ACCESS, OPERATORS as ACCESS_OPERATORS};
pub(super) use build::BUILD;
pub(super) use contain::CONTAIN;
pub(super) use modify::{MODIFY, STRIP};
pub(super) use write::{write_json, write_key, write_string};

use proto::{SqlError, SqlResult, SqlState};
use serde_json::Value;
use sharddb_proto as proto;

use crate::text::write_jsonb;

/// 22023.
pub(super) fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, message)
}

/// The value of jsonb text, which is valid by construction.
fn parse(text: &str) -> SqlResult<Value> {
    serde_json::from_str(text).map_err(|error| SqlError::internal(format!("damaged jsonb: {error}")))
}

/// The text of a jsonb value.
fn show(value: &Value) -> SqlResult<super::value::Jsonb> {
    let mut out = String::new();
    write_jsonb(value, &mut out)?;
    Ok(super::value::Jsonb(out))
}
