//! ALTER TABLE … RESET ( storage parameters ).

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;
use sqlparser::tokenizer::Token;

use super::{super::cursor::Cursor, AlterTableAction, Command};

/// The statement, if it is this one.
pub(super) fn read(cursor: &mut Cursor<'_>) -> SqlResult<Option<Command>> {
    let mut ahead = Cursor::new(cursor.rest(), cursor.positions);
    if !ahead.take_all(&["alter", "table"]) {
        return Ok(None);
    }
    let if_exists = ahead.take_if_exists();
    ahead.take("only");
    let Ok(name) = ahead.qualified_name() else { return Ok(None) };
    if !ahead.take("reset") {
        return Ok(None);
    }
    ahead.expect_token(&Token::LParen)?;
    let mut inside = Cursor::new(ahead.inside_brackets()?, ahead.positions);
    let names = inside.list(|inside| Ok(inside.qualified_name()?.join(".")))?;
    inside.expect_end()?;
    if ahead.peek() == Some(&Token::Comma) {
        return Err(SqlError::unsupported("RESET together with other actions of ALTER TABLE"));
    }
    *cursor = ahead;
    Ok(Some(Command::AlterTable { name, if_exists, action: AlterTableAction::ResetOptions(names) }))
}
