//! LIKE among the definitions of CREATE TABLE, which `sqlparser` reads only when nothing else stands beside it.

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;
use sqlparser::{
    ast,
    tokenizer::{Token, TokenWithSpan},
};

use super::{
    super::{Positions, cursor::Cursor, with_parser},
    Command, RelationName, split_commas,
};

/// One LIKE.
#[derive(Clone, Debug)]
pub(crate) struct LikeTable {
    /// Columns that are defined before it.
    pub(crate) at: usize,
    /// The table that is copied.
    pub(crate) source: RelationName,
    pub(crate) copied: Copied,
}

/// What a LIKE copies besides names, types and NOT NULL.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Copied {
    pub(crate) comments: bool,
    pub(crate) constraints: bool,
    pub(crate) defaults: bool,
    pub(crate) generated: bool,
    pub(crate) identity: bool,
    pub(crate) indexes: bool,
}

/// The statement, if it is a CREATE TABLE with LIKE.
pub(super) fn read(tokens: &[TokenWithSpan], positions: &Positions<'_>) -> SqlResult<Option<Command>> {
    let mut cursor = Cursor::new(tokens, positions);
    if !cursor.take("create") {
        return Ok(None);
    }
    cursor.take_any(&["temp", "temporary"]);
    if !cursor.take("table") {
        return Ok(None);
    }
    cursor.take_if_not_exists();
    if cursor.qualified_name().is_err() || !cursor.take_token(&Token::LParen) {
        return Ok(None);
    }
    let start = tokens.len() - cursor.rest().len();
    let inside = cursor.inside_brackets()?;
    let is_like = |item: &[TokenWithSpan]| Cursor::new(item, positions).looking_at(&["like"]);
    let items = split_commas(inside);
    if !items.iter().any(|item| is_like(item)) {
        return Ok(None);
    }
    let mut likes = Vec::new();
    let mut kept: Vec<TokenWithSpan> = Vec::new();
    let mut columns = 0;
    for item in items {
        if is_like(item) {
            likes.push(like(Cursor::new(item, positions), columns)?);
            continue;
        }
        columns += usize::from(!is_constraint(&Cursor::new(item, positions)));
        if !kept.is_empty() {
            kept.push(TokenWithSpan::new(Token::Comma, item[0].span));
        }
        kept.extend_from_slice(item);
    }
    let plain = [&tokens[..start], &kept, &tokens[start + inside.len()..]].concat();
    let statement = with_parser(&plain, positions, |parser| parser.parse_statement())?;
    let ast::Statement::CreateTable(statement) = statement else { return cursor.error() };
    Ok(Some(Command::CreateTableLike { statement: Box::new(statement), likes }))
}

fn is_constraint(cursor: &Cursor<'_>) -> bool {
    ["constraint", "primary", "unique", "check", "foreign", "exclude"].iter().any(|word| cursor.looking_at(&[word]))
}

fn like(mut cursor: Cursor<'_>, at: usize) -> SqlResult<LikeTable> {
    cursor.expect("like")?;
    let source = cursor.qualified_name()?;
    let mut copied = Copied::default();
    while !cursor.at_end() {
        let include = cursor.take("including");
        if !include {
            cursor.expect("excluding")?;
        }
        let what = cursor.name()?;
        match what.as_str() {
            "all" => {
                copied = Copied {
                    comments: include,
                    constraints: include,
                    defaults: include,
                    generated: include,
                    identity: include,
                    indexes: include,
                };
            }
            "comments" => copied.comments = include,
            "constraints" => copied.constraints = include,
            "defaults" => copied.defaults = include,
            "generated" => copied.generated = include,
            "identity" => copied.identity = include,
            "indexes" => copied.indexes = include,
            // Tables have none of these.
            "storage" | "compression" | "statistics" => {}
            _ => {
                return Err(SqlError::new(proto::SqlState::SyntaxError, format!("syntax error at or near \"{what}\"")));
            }
        }
    }
    Ok(LikeTable { at, source, copied })
}
