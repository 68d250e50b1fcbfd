//! CREATE and ALTER SEQUENCE, and the options that identity columns share with them.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;
use sqlparser::ast;

use super::{
    super::{cursor::Cursor, with_parser},
    Command, RelationName,
};

/// CREATE SEQUENCE.
#[derive(Clone, Debug)]
pub(crate) struct CreateSequence {
    pub(crate) name: RelationName,
    pub(crate) temporary: bool,
    pub(crate) if_not_exists: bool,
    pub(crate) options: RawSequenceOptions,
}

/// ALTER SEQUENCE.
#[derive(Clone, Debug)]
pub(crate) struct AlterSequence {
    pub(crate) name: RelationName,
    pub(crate) if_exists: bool,
    pub(crate) options: RawSequenceOptions,
}

/// Sequence options as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawSequenceOptions {
    pub(crate) data_type: Option<ast::DataType>,
    pub(crate) start: Option<i64>,
    pub(crate) restart: Option<Option<i64>>,
    pub(crate) increment: Option<i64>,
    pub(crate) min: Option<Option<i64>>,
    pub(crate) max: Option<Option<i64>>,
    pub(crate) cache: Option<i64>,
    pub(crate) cycle: Option<bool>,
    /// `Some(None)` is OWNED BY NONE.
    pub(crate) owned_by: Option<Option<RelationName>>,
}

pub(super) fn read(cursor: &mut Cursor<'_>) -> SqlResult<Option<Command>> {
    let temporary = ["temp", "temporary"].iter().any(|word| cursor.take_all(&["create", word, "sequence"]));
    if temporary || cursor.take_all(&["create", "sequence"]) {
        let if_not_exists = cursor.take_if_not_exists();
        let name = cursor.qualified_name()?;
        let options = options(cursor)?;
        return Ok(Some(Command::CreateSequence(Box::new(CreateSequence { name, temporary, if_not_exists, options }))));
    }
    let mut ahead = Cursor::new(cursor.rest(), cursor.positions);
    if !ahead.take_all(&["alter", "sequence"]) {
        return Ok(None);
    }
    let if_exists = ahead.take_if_exists();
    let name = ahead.qualified_name()?;
    if ahead.looking_at(&["rename"]) || ahead.looking_at(&["set", "schema"]) {
        return Ok(None);
    }
    if ahead.looking_at(&["owner"]) {
        return Err(SqlError::unsupported("ALTER SEQUENCE … OWNER TO"));
    }
    let options = options(&mut ahead)?;
    *cursor = ahead;
    Ok(Some(Command::AlterSequence(Box::new(AlterSequence { name, if_exists, options }))))
}

pub(super) fn options(cursor: &mut Cursor<'_>) -> SqlResult<RawSequenceOptions> {
    let mut options = RawSequenceOptions::default();
    while !cursor.at_end() {
        option(cursor, &mut options)?;
    }
    Ok(options)
}

/// Reads one option.
pub(super) fn option(cursor: &mut Cursor<'_>, options: &mut RawSequenceOptions) -> SqlResult<()> {
    if cursor.take("as") {
        let name = cursor.rest().get(..1).unwrap_or_default();
        options.data_type = Some(with_parser(name, cursor.positions, |parser| parser.parse_data_type())?);
        cursor.next();
    } else if cursor.take("increment") {
        cursor.take("by");
        set(&mut options.increment, cursor.integer()?)?;
    } else if cursor.take("minvalue") {
        set(&mut options.min, Some(cursor.integer()?))?;
    } else if cursor.take("maxvalue") {
        set(&mut options.max, Some(cursor.integer()?))?;
    } else if cursor.take_all(&["no", "minvalue"]) {
        set(&mut options.min, None)?;
    } else if cursor.take_all(&["no", "maxvalue"]) {
        set(&mut options.max, None)?;
    } else if cursor.take("start") {
        cursor.take("with");
        set(&mut options.start, cursor.integer()?)?;
    } else if cursor.take("restart") {
        let with = cursor.take("with");
        let value = cursor.integer();
        set(&mut options.restart, if with { Some(value?) } else { value.ok() })?;
    } else if cursor.take("cache") {
        set(&mut options.cache, cursor.integer()?)?;
    } else if cursor.take_all(&["no", "cycle"]) {
        set(&mut options.cycle, false)?;
    } else if cursor.take("cycle") {
        set(&mut options.cycle, true)?;
    } else if cursor.take_all(&["owned", "by"]) {
        let owner = if cursor.take("none") { None } else { Some(cursor.qualified_name()?) };
        set(&mut options.owned_by, owner)?;
    } else {
        return cursor.error();
    }
    Ok(())
}

fn set<T>(option: &mut Option<T>, value: T) -> SqlResult<()> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => Err(SqlError::new(SqlState::SyntaxError, "conflicting or redundant options")),
    }
}
