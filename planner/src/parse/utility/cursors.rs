//! DECLARE, FETCH, MOVE and CLOSE.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{
    super::{cursor::Cursor, with_parser},
    Command,
};
use crate::plan::Statement;

pub(super) fn read(word: &str, cursor: &mut Cursor<'_>) -> SqlResult<Command> {
    match word {
        "declare" => declare(cursor),
        "close" => {
            let name = if cursor.take("all") { None } else { Some(cursor.name()?) };
            Ok(Command::Plain(Statement::CloseCursor(name)))
        }
        _ => fetch(cursor, word == "move").map(Command::Plain),
    }
}

fn declare(cursor: &mut Cursor<'_>) -> SqlResult<Command> {
    let name = cursor.name()?;
    loop {
        if cursor.take("binary") {
            return Err(SqlError::unsupported("BINARY cursors"));
        }
        if cursor.take_all(&["no", "scroll"]) || cursor.take_any(&["insensitive", "asensitive"]) {
            continue;
        }
        if cursor.take("scroll") {
            return Err(SqlError::unsupported("SCROLL cursors"));
        }
        break;
    }
    cursor.expect("cursor")?;
    let hold = cursor.take_all(&["with", "hold"]);
    cursor.take_all(&["without", "hold"]);
    cursor.expect("for")?;
    let query = with_parser(cursor.rest(), cursor.positions, |parser| parser.parse_query())?;
    while cursor.next().is_some() {}
    Ok(Command::Declare { name, hold, query })
}

fn fetch(cursor: &mut Cursor<'_>, discard: bool) -> SqlResult<Statement> {
    let count = direction(cursor)?;
    cursor.take_any(&["from", "in"]);
    Ok(Statement::Fetch { name: cursor.name()?, count, discard })
}

/// How many rows forward; `None` is all.
fn direction(cursor: &mut Cursor<'_>) -> SqlResult<Option<u64>> {
    if cursor.take_any(&["prior", "first", "last", "absolute", "relative", "backward"]) {
        let message = "cursor can only scan forward";
        return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
            .with_hint("Declare it with SCROLL option to enable backward scan."));
    }
    let forward = cursor.take("forward");
    if cursor.take("all") {
        return Ok(None);
    }
    if cursor.take("next") {
        return Ok(Some(1));
    }
    match cursor.integer() {
        Ok(count) => u64::try_from(count).map(Some).map_err(|_| {
            SqlError::new(SqlState::ObjectNotInPrerequisiteState, "cursor can only scan forward")
                .with_hint("Declare it with SCROLL option to enable backward scan.")
        }),
        Err(_) => {
            let _ = forward;
            Ok(Some(1))
        }
    }
}
