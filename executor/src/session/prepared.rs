//! Parsed and prepared statements.

use std::sync::Arc;

use arc_swap::ArcSwap;
use planner::plan::{Field, Statement};
use schema::{Datum, Oid, SqlType};
use sharddb_planner as planner;
use sharddb_schema as schema;

use crate::{
    catalog::Snapshot,
    dml::{DeletePlan, InsertPlan, UpdatePlan},
    keyed::KeyedSelect,
};

/// One statement of a query string.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub(crate) text: Arc<str>,
    pub(crate) source: Source,
}

/// Where a parsed statement's plan comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// It was parsed.
    Tree(planner::Parsed),
    /// It is known already, up to literals.
    Known(Arc<Prepared>),
}

impl Parsed {
    /// The statement's text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A statement ready to run. Shared between portals; planned again on its own when the catalog has changed.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Types of its parameters.
    pub parameters: Vec<Oid>,
    /// Columns of its rows; `None` for a statement without rows.
    pub fields: Option<Arc<[Field]>>,
    /// Its text.
    pub text: Arc<str>,
    pub(crate) shared: Arc<Shared>,
    /// Values of parameters that stand for literals of the text.
    pub(crate) literals: Vec<Datum>,
}

/// What all preparations of one text have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    /// `None` for an empty statement.
    pub(crate) tree: Option<planner::Parsed>,
    pub(crate) declared: Vec<Oid>,
    pub(crate) plan: ArcSwap<Plan>,
}

/// A bound statement with everything that can be decided before it runs.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What it was bound against.
    pub(crate) snapshot: Arc<Snapshot>,
    /// The session's names and formats when it was bound.
    pub(crate) fingerprint: u64,
    pub(crate) statement: Statement,
    pub(crate) parameters: Vec<SqlType>,
    pub(crate) fields: Option<Arc<[Field]>>,
    pub(crate) work: Work,
}

/// How a statement is carried out.
#[derive(Debug)]
pub(crate) enum Work {
    /// A SELECT of at most one row by key.
    Keyed(Box<KeyedSelect>),
    /// INSERT … VALUES.
    Insert(Arc<InsertPlan>),
    /// An UPDATE of one table.
    Update(Box<UpdatePlan>),
    /// A DELETE from one table.
    Delete(Box<DeletePlan>),
    /// As the statement says.
    Statement,
    /// Several changes in one statement.
    Changing,
    /// No statement.
    Empty,
}
