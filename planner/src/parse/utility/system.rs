//! ALTER SYSTEM: PostgreSQL's SET and RESET, here of the whole cluster, and what becomes of a node.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;
use sqlparser::tokenizer::Token;

use super::{super::cursor::Cursor, settings};
use crate::plan::{AlterSystem, NodeAction};

/// The statement, if it is ALTER SYSTEM.
pub(super) fn read(cursor: &mut Cursor<'_>) -> SqlResult<Option<AlterSystem>> {
    if !cursor.take_all(&["alter", "system"]) {
        return Ok(None);
    }
    for (word, action) in
        [("drain", NodeAction::Drain), ("decommission", NodeAction::Decommission), ("activate", NodeAction::Activate)]
    {
        if cursor.take_all(&[word, "node"]) {
            return Ok(Some(AlterSystem::Node { node: node(cursor)?, action }));
        }
    }
    if cursor.take("reset") {
        return Ok(Some(match cursor.take("all") {
            true => AlterSystem::ResetAll,
            false => AlterSystem::Set { name: settings::parameter(cursor)?, value: None },
        }));
    }
    cursor.expect("set")?;
    let name = settings::parameter(cursor)?;
    if !(cursor.take("to") || cursor.take_token(&Token::Eq)) {
        return cursor.error();
    }
    let value = if cursor.take("default") { None } else { Some(cursor.list(settings::value)?.join(", ")) };
    Ok(Some(AlterSystem::Set { name, value }))
}

fn node(cursor: &mut Cursor<'_>) -> SqlResult<u64> {
    let id = cursor.integer()?;
    let message = || format!("{id} is not the number of a node");
    u64::try_from(id).map_err(|_| SqlError::new(SqlState::InvalidParameterValue, message()))
}
