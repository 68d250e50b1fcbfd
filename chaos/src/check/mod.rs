//! Whether what clients saw is what the database promises.

pub mod append;
pub mod bank;
mod graph;
pub mod register;

use std::fmt;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its usual name.
    pub kind: &'static str,
    /// Who saw what.
    pub detail: String,
}

impl Violation {
    pub(crate) fn new(kind: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}
