//! Run-time parameters: SET, SHOW and RESET with PostgreSQL's names, values and errors.
//!
//! [`registry`] knows the parameters, [`value`] their syntax, [`store`] the session's values with their transaction
//! semantics, [`effective`] the typed forms that statements read.

mod effective;
mod registry;
mod store;
mod text;
mod time_zone;
mod value;

pub(crate) use effective::{Effective, isolation};
pub(crate) use registry::{Context, Kind, Parameter, parameter, parameters};
pub(crate) use store::{Mark, ParameterRow, Settings, unrecognized};
pub(crate) use value::{normalize, show as show_value};
