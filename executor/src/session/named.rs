//! Named prepared statements: PREPARE and the protocol's Parse share the names.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{Prepared, Session};

/// Named statements of one session. Drivers keep hundreds; more than this is a leak.
const NAMED_MAX: usize = 65_536;

impl Session {
    /// The statement of this name; 26000 if there is none.
    pub fn statement(&self, name: &str) -> SqlResult<&Arc<Prepared>> {
        self.prepared.get(name).ok_or_else(|| {
            let message = format!("prepared statement \"{name}\" does not exist");
            SqlError::new(SqlState::InvalidSqlStatementName, message)
        })
    }

    /// Makes sure that the name is free; 42P05 otherwise.
    pub fn check_statement_name(&self, name: &str) -> SqlResult<()> {
        if self.prepared.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DuplicatePreparedStatement, message));
        }
        if self.prepared.len() >= NAMED_MAX {
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, "too many prepared statements in one session")
                .with_detail(format!("A session can have {NAMED_MAX} at once.")));
        }
        Ok(())
    }

    /// Keeps a statement under a name that is free.
    pub fn keep_statement(&mut self, name: &str, statement: Arc<Prepared>) {
        self.prepared.insert(name.to_owned(), statement);
    }

    /// Forgets a statement; answers whether there was one.
    pub fn drop_statement(&mut self, name: &str) -> bool {
        self.prepared.remove(name).is_some()
    }

    /// 25P02 in a failed block, except for a statement that ends it.
    pub fn check_not_failed(&self, prepared: &Prepared) -> SqlResult<()> {
        self.check_tree_not_failed(prepared.shared.tree.as_ref())
    }

    /// When the open transaction began, or now: microseconds since 1970-01-01 UTC. What `now` means in a parameter.
    pub fn transaction_time(&self) -> i64 {
        self.txn.as_ref().map_or_else(super::core::micros_now, |txn| txn.started)
    }
}
