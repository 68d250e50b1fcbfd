//! Portals of the extended protocol.

use std::{collections::HashMap, sync::Arc};

use executor::{Prepared, RowBatch, RowStream};
use planner::plan::Field;
use proto::{SqlError, SqlResult, SqlState};
use schema::Datum;
use sharddb_executor as executor;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::rows::Formats;

/// Named portals of one connection. Drivers keep a few; more than this is a leak.
const NAMED_MAX: usize = 65_536;

/// A statement with its parameters, ready to run or running.
pub(super) struct Portal {
    pub(super) prepared: Arc<Prepared>,
    pub(super) formats: Formats,
    pub(super) state: PortalState,
}

/// How far a portal has got.
pub(super) enum PortalState {
    /// Not run yet.
    Bound(Vec<Datum>),
    /// Some rows were answered.
    Running(Box<Rows>),
    /// Run to its end.
    Done,
}

/// Rows of which some were answered.
pub(super) struct Rows {
    pub(super) fields: Arc<[Field]>,
    pub(super) stream: RowStream,
    /// A batch of which this many rows were answered.
    pub(super) partial: Option<(RowBatch, usize)>,
}

/// Portals.
#[derive(Default)]
pub(super) struct Portals {
    unnamed: Option<Portal>,
    named: HashMap<Box<str>, Portal>,
}

impl Portals {
    /// Makes sure that a portal of this name can be added; the unnamed one makes room.
    #[inline]
    pub(super) fn make_room(&mut self, name: &str) -> SqlResult<()> {
        if name.is_empty() {
            self.unnamed = None;
            return Ok(());
        }
        if self.named.contains_key(name) {
            return Err(SqlError::new(SqlState::DuplicateCursor, format!("cursor \"{name}\" already exists")));
        }
        if self.named.len() >= NAMED_MAX {
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, "too many portals in one session")
                .with_detail(format!("A session can have {NAMED_MAX} at once.")));
        }
        Ok(())
    }

    #[inline]
    pub(super) fn insert(&mut self, name: &str, portal: Portal) {
        if name.is_empty() {
            self.unnamed = Some(portal);
        } else {
            self.named.insert(name.into(), portal);
        }
    }

    pub(super) fn get(&self, name: &str) -> SqlResult<&Portal> {
        let found = if name.is_empty() { self.unnamed.as_ref() } else { self.named.get(name) };
        found.ok_or_else(|| unknown_portal(name))
    }

    /// Takes a portal out to run it.
    #[inline]
    pub(super) fn take(&mut self, name: &str) -> SqlResult<Portal> {
        let found = if name.is_empty() { self.unnamed.take() } else { self.named.remove(name) };
        found.ok_or_else(|| unknown_portal(name))
    }

    /// Removes one; nothing happens if there is none.
    pub(super) fn remove(&mut self, name: &str) {
        if name.is_empty() {
            self.unnamed = None;
        } else {
            self.named.remove(name);
        }
    }

    /// Removes all: their transaction has ended.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.unnamed = None;
        if !self.named.is_empty() {
            self.named.clear();
        }
    }
}

fn unknown_portal(name: &str) -> SqlError {
    SqlError::new(SqlState::InvalidCursorName, format!("portal \"{name}\" does not exist"))
}
