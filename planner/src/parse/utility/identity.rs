//! ALTER TABLE … ALTER COLUMN for identity columns.

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;
use sqlparser::tokenizer::Token;

use super::{
    super::cursor::Cursor, AlterTableAction, AlterTableHead, Command, RawSequenceOptions, alter_table_head, sequences,
};

/// What becomes of a column's identity.
#[derive(Clone, Debug)]
pub(crate) enum RawIdentityChange {
    /// ADD GENERATED.
    Add { always: bool, options: RawSequenceOptions },
    /// SET GENERATED, SET option, RESTART.
    Alter { always: Option<bool>, options: RawSequenceOptions },
    /// DROP IDENTITY.
    Drop { if_exists: bool },
}

/// The statement, if it is one of these.
pub(super) fn read(cursor: &mut Cursor<'_>) -> SqlResult<Option<Command>> {
    let Some(AlterTableHead { mut ahead, name, if_exists }) = alter_table_head(cursor) else { return Ok(None) };
    if !ahead.take("alter") {
        return Ok(None);
    }
    ahead.take("column");
    let Ok(column) = ahead.name() else { return Ok(None) };
    let Some(change) = change(&mut ahead)? else { return Ok(None) };
    if ahead.peek() == Some(&Token::Comma) {
        return Err(SqlError::unsupported("changing an identity together with other actions of ALTER TABLE"));
    }
    *cursor = ahead;
    let action = AlterTableAction::Identity { column, change };
    Ok(Some(Command::AlterTable { name, if_exists, action }))
}

fn change(cursor: &mut Cursor<'_>) -> SqlResult<Option<RawIdentityChange>> {
    if cursor.take_all(&["drop", "identity"]) {
        return Ok(Some(RawIdentityChange::Drop { if_exists: cursor.take_if_exists() }));
    }
    if cursor.take_all(&["add", "generated"]) {
        let always = always(cursor)?;
        cursor.expect("as")?;
        cursor.expect("identity")?;
        let mut options = RawSequenceOptions::default();
        if cursor.take_token(&Token::LParen) {
            let mut inside = Cursor::new(cursor.inside_brackets()?, cursor.positions);
            options = sequences::options(&mut inside)?;
        }
        return Ok(Some(RawIdentityChange::Add { always, options }));
    }
    let mut kind = None;
    let mut rest = RawSequenceOptions::default();
    let mut found = false;
    loop {
        if cursor.looking_at(&["restart"]) {
            sequences::option(cursor, &mut rest)?;
        } else if cursor.take_all(&["set", "generated"]) {
            kind = Some(always(cursor)?);
        } else if is_sequence_option(cursor) {
            cursor.next();
            sequences::option(cursor, &mut rest)?;
        } else {
            return Ok(found.then_some(RawIdentityChange::Alter { always: kind, options: rest }));
        }
        found = true;
    }
}

/// SET and an option; SET DEFAULT, SET NOT NULL and so on are no options.
fn is_sequence_option(cursor: &Cursor<'_>) -> bool {
    let words = ["increment", "minvalue", "maxvalue", "start", "cache", "cycle", "no"];
    words.iter().any(|word| cursor.looking_at(&["set", word]))
}

fn always(cursor: &mut Cursor<'_>) -> SqlResult<bool> {
    if cursor.take("always") {
        return Ok(true);
    }
    cursor.expect("by")?;
    cursor.expect("default")?;
    Ok(false)
}
