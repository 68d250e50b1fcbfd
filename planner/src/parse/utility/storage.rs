//! ALTER TABLE … RESET ( storage parameters ).

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;
use sqlparser::tokenizer::Token;

use super::{super::cursor::Cursor, AlterTableAction, AlterTableHead, Command, alter_table_head};

/// The statement, if it is this one.
pub(super) fn read(cursor: &mut Cursor<'_>) -> SqlResult<Option<Command>> {
    let Some(AlterTableHead { mut ahead, name, if_exists }) = alter_table_head(cursor) else { return Ok(None) };
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
