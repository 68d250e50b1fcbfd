//! Transaction control.

use proto::SqlResult;
use sharddb_proto as proto;

use super::super::cursor::Cursor;
use crate::plan::{IsolationLevel, Statement, TransactionMode};

pub(super) fn read(word: &str, cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    match word {
        "begin" => {
            cursor.take_any(&["work", "transaction"]);
            modes(cursor).map(Statement::Begin)
        }
        "start" => {
            cursor.expect("transaction")?;
            modes(cursor).map(Statement::Begin)
        }
        "commit" | "end" => {
            if cursor.take("prepared") {
                return Err(proto::SqlError::unsupported("COMMIT PREPARED"));
            }
            Ok(Statement::Commit { chain: chain(cursor)? })
        }
        "rollback" | "abort" => {
            if cursor.take("prepared") {
                return Err(proto::SqlError::unsupported("ROLLBACK PREPARED"));
            }
            cursor.take_any(&["work", "transaction"]);
            if word == "rollback" && cursor.take("to") {
                cursor.take("savepoint");
                return Ok(Statement::RollbackTo(cursor.name()?));
            }
            Ok(Statement::Rollback { chain: chain(cursor)? })
        }
        "savepoint" => Ok(Statement::Savepoint(cursor.name()?)),
        _ => {
            cursor.take("savepoint");
            Ok(Statement::Release(cursor.name()?))
        }
    }
}

fn chain(cursor: &mut Cursor<'_>) -> SqlResult<bool> {
    cursor.take_any(&["work", "transaction"]);
    if !cursor.take("and") {
        return Ok(false);
    }
    let no = cursor.take("no");
    cursor.expect("chain")?;
    Ok(!no)
}

/// Transaction modes, separated by commas or nothing.
pub(super) fn modes(cursor: &mut Cursor<'_>) -> SqlResult<TransactionMode> {
    let mut mode = TransactionMode::default();
    while !cursor.at_end() {
        if cursor.take_all(&["isolation", "level"]) {
            mode.isolation = Some(isolation(cursor)?);
        } else if cursor.take_all(&["read", "only"]) {
            mode.read_only = Some(true);
        } else if cursor.take_all(&["read", "write"]) {
            mode.read_only = Some(false);
        } else if cursor.take_all(&["not", "deferrable"]) {
            mode.deferrable = Some(false);
        } else if cursor.take("deferrable") {
            mode.deferrable = Some(true);
        } else {
            return cursor.error();
        }
        if cursor.take_token(&sqlparser::tokenizer::Token::Comma) && cursor.at_end() {
            return cursor.error();
        }
    }
    Ok(mode)
}

fn isolation(cursor: &mut Cursor<'_>) -> SqlResult<IsolationLevel> {
    if cursor.take("serializable") {
        Ok(IsolationLevel::Serializable)
    } else if cursor.take_all(&["repeatable", "read"]) {
        Ok(IsolationLevel::RepeatableRead)
    } else if cursor.take_all(&["read", "committed"]) || cursor.take_all(&["read", "uncommitted"]) {
        Ok(IsolationLevel::ReadCommitted)
    } else {
        cursor.error()
    }
}
