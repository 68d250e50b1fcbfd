//! Parsed and prepared statements.

use std::sync::Arc;

use planner::plan::Field;
use schema::Oid;
use sharddb_planner as planner;
use sharddb_schema as schema;

/// One statement of a query string.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub(crate) text: Arc<str>,
}

impl Parsed {
    /// The statement's text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A statement ready to run. Shared between portals; planned again on its own when the catalog has changed.
#[derive(Debug)]
pub struct Prepared {
    /// Types of its parameters.
    pub parameters: Vec<Oid>,
    /// Columns of its rows; `None` for a statement without rows.
    pub fields: Option<Arc<[Field]>>,
    /// Its text.
    pub text: Arc<str>,
}
