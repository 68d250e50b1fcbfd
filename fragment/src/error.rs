//! Errors between SQL and DataFusion.
//!
//! A [`SqlError`] travels through DataFusion as an external error and comes out as it went in. Errors of DataFusion's
//! own get a SQLSTATE by kind.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use proto::{SqlError, SqlState};
use sharddb_proto as proto;

/// Wraps an error for DataFusion.
pub fn to_datafusion(error: SqlError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The SQL error in or for an error of DataFusion.
pub fn from_datafusion(error: &DataFusionError) -> SqlError {
    match error {
        DataFusionError::External(source) => match source.downcast_ref::<SqlError>() {
            Some(sql) => sql.clone(),
            None => match source.downcast_ref::<DataFusionError>() {
                Some(inner) => from_datafusion(inner),
                None => SqlError::internal(source.to_string()),
            },
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => from_datafusion(inner),
        DataFusionError::Shared(inner) => from_datafusion(inner),
        DataFusionError::Collection(errors) => {
            errors.first().map_or_else(|| SqlError::internal("query failed"), from_datafusion)
        }
        DataFusionError::ArrowError(inner, _) => from_arrow(inner),
        DataFusionError::ResourcesExhausted(detail) => {
            SqlError::new(SqlState::OutOfMemory, "out of memory").with_detail(format!("{detail}."))
        }
        DataFusionError::NotImplemented(what) => SqlError::unsupported(what),
        other => SqlError::internal(other.to_string()),
    }
}

/// The SQL error in or for an error of Arrow.
pub fn from_arrow(error: &ArrowError) -> SqlError {
    match error {
        ArrowError::ExternalError(source) => match source.downcast_ref::<SqlError>() {
            Some(sql) => sql.clone(),
            None => match source.downcast_ref::<DataFusionError>() {
                Some(inner) => from_datafusion(inner),
                None => SqlError::internal(source.to_string()),
            },
        },
        ArrowError::DivideByZero => SqlError::new(SqlState::DivisionByZero, "division by zero"),
        ArrowError::ArithmeticOverflow(_) => SqlError::new(SqlState::NumericValueOutOfRange, "integer out of range"),
        ArrowError::OffsetOverflowError(_) => {
            SqlError::new(SqlState::ProgramLimitExceeded, "a batch of values exceeds 2 GiB")
        }
        other => SqlError::internal(other.to_string()),
    }
}
