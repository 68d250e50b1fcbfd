//! Statements read here and not by `sqlparser`.

mod copy;
mod create_as;
mod create_like;
mod cursors;
mod identity;
mod insert;
mod roles;
mod sequences;
mod settings;
mod storage;
mod system;
mod transaction;

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;
use sqlparser::{
    ast,
    tokenizer::{Token, TokenWithSpan},
};

pub(crate) use copy::{Copy, CopySource, RawCopyOptions};
pub(crate) use create_like::{Copied, LikeTable};
pub(crate) use identity::RawIdentityChange;
pub(crate) use insert::InsertClauses;
pub(crate) use sequences::{AlterSequence, CreateSequence, RawSequenceOptions};

use super::{Positions, cursor::Cursor, with_parser};
use crate::plan::{Ddl, RelationKind, Statement};

/// ALTER TABLE up to its first action, which is `ahead`.
struct AlterTableHead<'a> {
    ahead: Cursor<'a>,
    name: RelationName,
    if_exists: bool,
}

/// Reads the beginning of an ALTER TABLE; the cursor stays where it is.
fn alter_table_head<'a>(cursor: &Cursor<'a>) -> Option<AlterTableHead<'a>> {
    let mut ahead = Cursor::new(cursor.rest(), cursor.positions);
    if !ahead.take_all(&["alter", "table"]) {
        return None;
    }
    let if_exists = ahead.take_if_exists();
    ahead.take("only");
    let name = ahead.qualified_name().ok()?;
    Some(AlterTableHead { ahead, name, if_exists })
}

/// A name as written: one or more parts, folded.
pub(crate) type RelationName = Vec<String>;

/// One statement's syntax tree.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// What `sqlparser` reads.
    Sql(Box<ast::Statement>),
    /// What needs no binding.
    Plain(Statement),
    Vacuum {
        tables: Vec<RelationName>,
        analyze: bool,
    },
    Analyze {
        tables: Vec<RelationName>,
    },
    LockTable {
        tables: Vec<RelationName>,
        exclusive: bool,
        nowait: bool,
    },
    Prepare {
        name: String,
        types: Vec<ast::DataType>,
        statement: String,
    },
    Execute {
        name: String,
        arguments: Vec<(ast::Expr, String)>,
    },
    Declare {
        name: String,
        hold: bool,
        query: Box<ast::Query>,
    },
    Copy(Box<Copy>),
    Explain {
        options: ExplainOptions,
        command: Box<Command>,
    },
    CreateSequence(Box<CreateSequence>),
    AlterSequence(Box<AlterSequence>),
    Rename {
        kind: RelationKind,
        name: RelationName,
        new_name: String,
        if_exists: bool,
    },
    AlterTable {
        name: RelationName,
        if_exists: bool,
        action: AlterTableAction,
    },
    /// INSERT with clauses that `sqlparser` does not know.
    Insert {
        clauses: Box<InsertClauses>,
        statement: Box<ast::Statement>,
    },
    /// CREATE TABLE with LIKE among its definitions, of which the statement holds the others.
    CreateTableLike {
        statement: Box<ast::CreateTable>,
        likes: Vec<LikeTable>,
    },
    /// CREATE TABLE … AS with WITH [NO] DATA.
    CreateTableAs {
        statement: Box<ast::CreateTable>,
        with_data: bool,
    },
}

/// Actions of ALTER TABLE (or VIEW, SEQUENCE, INDEX) that `sqlparser` does not know.
#[derive(Clone, Debug)]
pub(crate) enum AlterTableAction {
    SetSchema(String),
    /// RESET ( … ): names of storage parameters.
    ResetOptions(Vec<String>),
    Identity {
        column: String,
        change: RawIdentityChange,
    },
}

/// Options of EXPLAIN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExplainOptions {
    pub(crate) analyze: bool,
    pub(crate) verbose: bool,
    pub(crate) costs: bool,
    pub(crate) json: bool,
}

/// Reads one statement.
pub(super) fn command(tokens: &[TokenWithSpan], positions: &Positions<'_>) -> SqlResult<Command> {
    let mut cursor = Cursor::new(tokens, positions);
    if cursor.looking_at(&["insert"]) && !cursor.looking_at(&["insert", "into"]) {
        cursor.next();
        return cursor.error();
    }
    if let Some(command) = own(&mut cursor)? {
        cursor.expect_end()?;
        return Ok(command);
    }
    if let Some(command) = insert::read(tokens, positions)? {
        return Ok(command);
    }
    if let Some(command) = create_as::read(tokens, positions)? {
        return Ok(command);
    }
    if let Some(command) = create_like::read(tokens, positions)? {
        return Ok(command);
    }
    let statement = with_parser(tokens, positions, |parser| parser.parse_statement())?;
    Ok(Command::Sql(Box::new(statement)))
}

/// The statement if it is one of those read here.
fn own(cursor: &mut Cursor<'_>) -> SqlResult<Option<Command>> {
    let Some(Token::Word(first)) = cursor.peek() else { return Ok(None) };
    if first.quote_style.is_some() {
        return Ok(None);
    }
    let word = first.value.to_lowercase();
    match word.as_str() {
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => {
            cursor.next();
            transaction::read(&word, cursor).map(|statement| Some(Command::Plain(statement)))
        }
        "set" | "reset" | "show" | "discard" => {
            cursor.next();
            settings::read(&word, cursor).map(|statement| Some(Command::Plain(statement)))
        }
        "declare" | "fetch" | "move" | "close" => {
            cursor.next();
            cursors::read(&word, cursor).map(Some)
        }
        "prepare" | "execute" | "deallocate" => {
            cursor.next();
            prepared(&word, cursor).map(Some)
        }
        "vacuum" | "analyze" | "analyse" | "checkpoint" | "lock" => {
            cursor.next();
            maintenance(&word, cursor).map(Some)
        }
        "copy" => {
            cursor.next();
            copy::read(cursor).map(|copy| Some(Command::Copy(Box::new(copy))))
        }
        "explain" => {
            cursor.next();
            explain(cursor).map(Some)
        }
        "create" | "alter" | "drop" => define(cursor),
        "reindex" | "cluster" | "refresh" | "do" | "security" | "import" | "reassign" => {
            Err(SqlError::unsupported(word.to_uppercase()))
        }
        _ => Ok(None),
    }
}

fn define(cursor: &mut Cursor<'_>) -> SqlResult<Option<Command>> {
    if let Some(statement) = roles::read(cursor)? {
        return Ok(Some(Command::Plain(Statement::Ddl(Box::new(statement)))));
    }
    if let Some(command) = sequences::read(cursor)? {
        return Ok(Some(command));
    }
    if let Some(command) = identity::read(cursor)? {
        return Ok(Some(command));
    }
    if let Some(change) = system::read(cursor)? {
        return Ok(Some(Command::Plain(Statement::AlterSystem(change))));
    }
    if let Some(command) = storage::read(cursor)? {
        return Ok(Some(command));
    }
    if cursor.looking_at(&["create", "unlogged"]) {
        return Err(SqlError::unsupported("UNLOGGED tables"));
    }
    rename(cursor)
}

/// ALTER … RENAME TO and SET SCHEMA of relations and schemas.
fn rename(cursor: &mut Cursor<'_>) -> SqlResult<Option<Command>> {
    const KINDS: [(&str, RelationKind); 4] = [
        ("table", RelationKind::Table),
        ("view", RelationKind::View),
        ("index", RelationKind::Index),
        ("sequence", RelationKind::Sequence),
    ];
    for (word, kind) in KINDS {
        let mut ahead = Cursor::new(cursor.rest(), cursor.positions);
        if !ahead.take_all(&["alter", word]) {
            continue;
        }
        let if_exists = ahead.take_if_exists();
        ahead.take("only");
        let Ok(name) = ahead.qualified_name() else { return Ok(None) };
        let command = if ahead.take_all(&["rename", "to"]) {
            Command::Rename { kind, name, new_name: ahead.name()?, if_exists }
        } else if ahead.take_all(&["set", "schema"]) {
            Command::AlterTable { name, if_exists, action: AlterTableAction::SetSchema(ahead.name()?) }
        } else {
            return Ok(None);
        };
        *cursor = ahead;
        return Ok(Some(command));
    }
    let mut ahead = Cursor::new(cursor.rest(), cursor.positions);
    if ahead.take_all(&["alter", "schema"]) {
        let name = ahead.name()?;
        if ahead.take_all(&["rename", "to"]) {
            let new_name = ahead.name()?;
            *cursor = ahead;
            return Ok(Some(Command::Plain(Statement::Ddl(Box::new(Ddl::RenameSchema { name, new_name })))));
        }
    }
    Ok(None)
}

fn prepared(word: &str, cursor: &mut Cursor<'_>) -> SqlResult<Command> {
    if word == "deallocate" {
        cursor.take("prepare");
        let name = if cursor.take("all") { None } else { Some(cursor.name()?) };
        return Ok(Command::Plain(Statement::Deallocate(name)));
    }
    let name = cursor.name()?;
    let bracket = cursor.take_token(&Token::LParen);
    let inside = if bracket { cursor.inside_brackets()? } else { &[] };
    let items = split_commas(inside);
    if word == "prepare" {
        let types = items
            .into_iter()
            .map(|tokens| with_parser(tokens, cursor.positions, |parser| parser.parse_data_type()))
            .collect::<SqlResult<_>>()?;
        cursor.expect("as")?;
        let statement = cursor.rest_text().to_owned();
        // Bad syntax is an error of PREPARE, not of the EXECUTE that comes later.
        command(cursor.rest(), cursor.positions)?;
        while cursor.next().is_some() {}
        return Ok(Command::Prepare { name, types, statement });
    }
    let arguments = items
        .into_iter()
        .map(|tokens| {
            let expr = with_parser(tokens, cursor.positions, |parser| parser.parse_expr())?;
            Ok((expr, super::cursor::text_of(tokens, cursor.positions).to_owned()))
        })
        .collect::<SqlResult<_>>()?;
    Ok(Command::Execute { name, arguments })
}

/// Splits at commas outside of brackets; nothing for no tokens.
fn split_commas(tokens: &[TokenWithSpan]) -> Vec<&[TokenWithSpan]> {
    if tokens.is_empty() {
        return Vec::new();
    }
    let mut depth = 0i64;
    tokens
        .split(|token| {
            match token.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth -= 1,
                _ => {}
            }
            depth == 0 && token.token == Token::Comma
        })
        .collect()
}

fn maintenance(word: &str, cursor: &mut Cursor<'_>) -> SqlResult<Command> {
    match word {
        "checkpoint" => Ok(Command::Plain(Statement::Nothing { tag: "CHECKPOINT" })),
        "lock" => lock_table(cursor),
        "vacuum" => {
            let mut analyze = false;
            if cursor.take_token(&Token::LParen) {
                let mut options = Cursor::new(cursor.inside_brackets()?, cursor.positions);
                options.list(|options| {
                    let name = options.name()?;
                    let on = if matches!(options.peek(), None | Some(Token::Comma)) { true } else { options.flag() };
                    analyze |= name.starts_with("analy") && on;
                    Ok(())
                })?;
                options.expect_end()?;
            }
            while cursor.take_any(&["full", "freeze", "verbose"]) {}
            analyze |= cursor.take_any(&["analyze", "analyse"]);
            let tables = tables(cursor)?;
            Ok(Command::Vacuum { tables, analyze })
        }
        _ => {
            if cursor.take_token(&Token::LParen) {
                cursor.inside_brackets()?;
            }
            cursor.take("verbose");
            Ok(Command::Analyze { tables: tables(cursor)? })
        }
    }
}

/// Tables of VACUUM and ANALYZE, each with an optional column list, which is only a hint.
fn tables(cursor: &mut Cursor<'_>) -> SqlResult<Vec<RelationName>> {
    if cursor.at_end() {
        return Ok(Vec::new());
    }
    cursor.list(|cursor| {
        let name = cursor.qualified_name()?;
        if cursor.take_token(&Token::LParen) {
            cursor.inside_brackets()?;
        }
        Ok(name)
    })
}

fn lock_table(cursor: &mut Cursor<'_>) -> SqlResult<Command> {
    cursor.take("table");
    cursor.take("only");
    let tables = cursor.list(Cursor::qualified_name)?;
    let mut exclusive = true;
    if cursor.take("in") {
        // Modes that conflict with ROW EXCLUSIVE, which writers hold.
        exclusive = match () {
            () if cursor.take_all(&["access", "share"]) || cursor.take_all(&["row", "share"]) => false,
            () if cursor.take_all(&["row", "exclusive"]) || cursor.take_all(&["share", "update", "exclusive"]) => false,
            () if cursor.take_all(&["share", "row", "exclusive"]) || cursor.take_all(&["access", "exclusive"]) => true,
            () if cursor.take("share") || cursor.take("exclusive") => true,
            () => return cursor.error(),
        };
        cursor.expect("mode")?;
    }
    let nowait = cursor.take("nowait");
    Ok(Command::LockTable { tables, exclusive, nowait })
}

fn explain(cursor: &mut Cursor<'_>) -> SqlResult<Command> {
    let mut options = ExplainOptions { analyze: false, verbose: false, costs: true, json: false };
    if cursor.take_token(&Token::LParen) {
        let mut inside = Cursor::new(cursor.inside_brackets()?, cursor.positions);
        inside.list(|inside| explain_option(inside, &mut options))?;
        inside.expect_end()?;
    } else {
        options.analyze = cursor.take_any(&["analyze", "analyse"]);
        options.verbose = cursor.take("verbose");
    }
    let command = command(cursor.rest(), cursor.positions)?;
    while cursor.next().is_some() {}
    Ok(Command::Explain { options, command: Box::new(command) })
}

fn explain_option(cursor: &mut Cursor<'_>, options: &mut ExplainOptions) -> SqlResult<()> {
    let name = cursor.name()?;
    match name.as_str() {
        "analyze" | "analyse" => options.analyze = cursor.flag(),
        "verbose" => options.verbose = cursor.flag(),
        "costs" => options.costs = cursor.flag(),
        "buffers" | "wal" | "timing" | "summary" | "settings" => {
            cursor.flag();
        }
        "format" => {
            let format = cursor.name()?;
            match format.as_str() {
                "text" => options.json = false,
                "json" => options.json = true,
                "xml" | "yaml" => return Err(SqlError::unsupported(format!("EXPLAIN format {format}"))),
                _ => {
                    let message = format!("unrecognized value for EXPLAIN option \"format\": \"{format}\"");
                    return Err(SqlError::new(proto::SqlState::InvalidParameterValue, message));
                }
            }
        }
        _ => {
            let message = format!("unrecognized EXPLAIN option \"{name}\"");
            return Err(SqlError::new(proto::SqlState::SyntaxError, message));
        }
    }
    Ok(())
}
