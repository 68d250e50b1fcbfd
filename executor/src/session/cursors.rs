//! DECLARE, FETCH, MOVE and CLOSE.

use std::{collections::VecDeque, sync::Arc};

use planner::plan::{Field, Query};
use proto::{SqlError, SqlResult, SqlState};
use schema::Datum;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Block, CommandTag, Outcome, RowStream, Session};

/// An open cursor.
pub(crate) struct Cursor {
    pub(super) fields: Arc<[Field]>,
    /// WITH HOLD: lives on after the transaction.
    pub(super) hold: bool,
    /// The transaction that declared it has committed.
    pub(super) committed: bool,
    rows: RowStream,
    /// Rows of a batch that were not fetched yet.
    ready: VecDeque<Vec<Datum>>,
}

impl Session {
    pub(super) async fn declare(
        &mut self,
        name: &str,
        hold: bool,
        query: &Query,
        params: &[Datum],
    ) -> SqlResult<CommandTag> {
        if !hold && matches!(self.block, Block::None) {
            let message = "DECLARE CURSOR can only be used in transaction blocks";
            return Err(SqlError::new(SqlState::NoActiveSqlTransaction, message));
        }
        if self.cursors.contains_key(name) {
            let message = format!("cursor \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DuplicateCursor, message));
        }
        let mut rows = self.run_query(query, params).await?;
        let fields: Arc<[Field]> = query.fields.as_slice().into();
        let mut ready = VecDeque::new();
        if hold {
            while let Some(batch) = rows.next().await? {
                ready.extend(batch.into_datums(&fields)?);
            }
        }
        let cursor = Cursor { fields, hold, committed: matches!(self.block, Block::None), rows, ready };
        self.cursors.insert(name.to_owned(), cursor);
        Ok(CommandTag::Named("DECLARE CURSOR"))
    }

    pub(super) async fn fetch(&mut self, name: &str, count: Option<u64>, discard: bool) -> SqlResult<Outcome> {
        let cursor = self.cursors.get_mut(name).ok_or_else(|| unknown(name))?;
        let wanted = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        while cursor.ready.len() < wanted {
            match cursor.rows.next().await? {
                Some(batch) => cursor.ready.extend(batch.into_datums(&cursor.fields)?),
                None => break,
            }
        }
        let taken: Vec<Vec<Datum>> = cursor.ready.drain(..wanted.min(cursor.ready.len())).collect();
        let number = taken.len() as u64;
        if discard {
            return Ok(Outcome::Command(CommandTag::Move(number)));
        }
        let fields = cursor.fields.clone();
        Ok(Outcome::Rows { fields, rows: RowStream::ready(taken, CommandTag::Fetch(number)) })
    }

    pub(super) fn close_cursor(&mut self, name: Option<&str>) -> SqlResult<CommandTag> {
        match name {
            None => {
                self.cursors.clear();
                Ok(CommandTag::Named("CLOSE CURSOR ALL"))
            }
            Some(name) => match self.cursors.remove(name) {
                Some(_) => Ok(CommandTag::Named("CLOSE CURSOR")),
                None => Err(unknown(name)),
            },
        }
    }
}

fn unknown(name: &str) -> SqlError {
    SqlError::new(SqlState::InvalidCursorName, format!("cursor \"{name}\" does not exist"))
}
