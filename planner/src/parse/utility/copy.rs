//! COPY, with the options of today and those from before 9.0.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;
use sqlparser::{ast, tokenizer::Token};

use super::{
    super::{cursor::Cursor, with_parser},
    RelationName,
};

/// COPY as written.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub(crate) source: CopySource,
    /// TO STDOUT, not FROM STDIN.
    pub(crate) to: bool,
    pub(crate) options: RawCopyOptions,
    /// WHERE of COPY FROM.
    pub(crate) condition: Option<ast::Expr>,
}

/// What is copied.
#[derive(Clone, Debug)]
pub(crate) enum CopySource {
    Table { name: RelationName, columns: Vec<String> },
    Query(Box<ast::Query>),
}

/// Options as written; names of columns are not resolved.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawCopyOptions {
    pub(crate) format: Option<String>,
    pub(crate) delimiter: Option<String>,
    pub(crate) null: Option<String>,
    pub(crate) header: Option<bool>,
    pub(crate) quote: Option<String>,
    pub(crate) escape: Option<String>,
    /// `Some(empty)` is `*`.
    pub(crate) force_quote: Option<Vec<String>>,
    pub(crate) force_not_null: Vec<String>,
    pub(crate) force_null: Vec<String>,
    pub(crate) encoding: Option<String>,
}

pub(super) fn read(cursor: &mut Cursor<'_>) -> SqlResult<Copy> {
    let mut options = RawCopyOptions::default();
    if cursor.take("binary") {
        options.format = Some("binary".to_owned());
    }
    let source = source(cursor)?;
    let to = if cursor.take("to") {
        true
    } else {
        cursor.expect("from")?;
        false
    };
    if !cursor.take_any(&["stdin", "stdout"]) {
        if cursor.take("program") || matches!(cursor.peek(), Some(Token::SingleQuotedString(_))) {
            return Err(SqlError::unsupported("COPY to or from a file or program of the server")
                .with_hint("Use psql's \\copy, or COPY with STDIN and STDOUT."));
        }
        return cursor.error();
    }
    cursor.take("with");
    if cursor.take_token(&Token::LParen) {
        let mut inside = Cursor::new(cursor.inside_brackets()?, cursor.positions);
        inside.list(|inside| option(inside, &mut options))?;
        inside.expect_end()?;
    } else {
        while !cursor.at_end() && !cursor.looking_at(&["where"]) {
            old_option(cursor, &mut options)?;
        }
    }
    let condition = if !to && cursor.take("where") {
        let condition = with_parser(cursor.rest(), cursor.positions, |parser| parser.parse_expr())?;
        while cursor.next().is_some() {}
        Some(condition)
    } else {
        None
    };
    Ok(Copy { source, to, options, condition })
}

fn source(cursor: &mut Cursor<'_>) -> SqlResult<CopySource> {
    if cursor.take_token(&Token::LParen) {
        let tokens = cursor.inside_brackets()?;
        return with_parser(tokens, cursor.positions, |parser| parser.parse_query()).map(CopySource::Query);
    }
    let name = cursor.qualified_name()?;
    let columns = if cursor.take_token(&Token::LParen) { column_list(cursor)? } else { Vec::new() };
    Ok(CopySource::Table { name, columns })
}

fn column_list(cursor: &mut Cursor<'_>) -> SqlResult<Vec<String>> {
    let names = cursor.names()?;
    cursor.expect_token(&Token::RParen)?;
    Ok(names)
}

fn option(cursor: &mut Cursor<'_>, options: &mut RawCopyOptions) -> SqlResult<()> {
    let name = cursor.name()?;
    match name.as_str() {
        "format" => set(&mut options.format, word_or_string(cursor)?)?,
        "delimiter" => set(&mut options.delimiter, cursor.string()?)?,
        "null" => set(&mut options.null, cursor.string()?)?,
        "quote" => set(&mut options.quote, cursor.string()?)?,
        "escape" => set(&mut options.escape, cursor.string()?)?,
        "encoding" => set(&mut options.encoding, cursor.string()?)?,
        "header" => {
            if cursor.take("match") {
                return Err(SqlError::unsupported("COPY with HEADER MATCH"));
            }
            let on = if matches!(cursor.peek(), None | Some(Token::Comma)) { true } else { cursor.flag() };
            set(&mut options.header, on)?;
        }
        "freeze" => {
            cursor.flag();
        }
        "force_quote" if cursor.take_token(&Token::Mul) => set(&mut options.force_quote, Vec::new())?,
        "force_quote" => set(&mut options.force_quote, bracketed(cursor)?)?,
        "force_not_null" => options.force_not_null = bracketed(cursor)?,
        "force_null" => options.force_null = bracketed(cursor)?,
        _ => {
            let message = format!("option \"{name}\" not recognized");
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
    }
    Ok(())
}

fn bracketed(cursor: &mut Cursor<'_>) -> SqlResult<Vec<String>> {
    cursor.expect_token(&Token::LParen)?;
    column_list(cursor)
}

fn word_or_string(cursor: &mut Cursor<'_>) -> SqlResult<String> {
    match cursor.peek() {
        Some(Token::Word(_)) => cursor.name(),
        _ => cursor.string(),
    }
}

fn old_option(cursor: &mut Cursor<'_>, options: &mut RawCopyOptions) -> SqlResult<()> {
    let name = cursor.name()?;
    match name.as_str() {
        "binary" | "csv" => set(&mut options.format, name)?,
        "delimiter" | "delimiters" | "null" | "quote" | "escape" | "encoding" => {
            cursor.take("as");
            let option = match name.as_str() {
                "null" => &mut options.null,
                "quote" => &mut options.quote,
                "escape" => &mut options.escape,
                "encoding" => &mut options.encoding,
                _ => &mut options.delimiter,
            };
            set(option, cursor.string()?)?;
        }
        "header" => set(&mut options.header, true)?,
        "freeze" => {}
        "force" if cursor.take("quote") => {
            let columns = if cursor.take_token(&Token::Mul) { Vec::new() } else { cursor.names()? };
            set(&mut options.force_quote, columns)?;
        }
        "force" if cursor.take_all(&["not", "null"]) => options.force_not_null = cursor.names()?,
        "force" if cursor.take("null") => options.force_null = cursor.names()?,
        _ => return cursor.error(),
    }
    Ok(())
}

fn set<T>(option: &mut Option<T>, value: T) -> SqlResult<()> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => Err(SqlError::new(SqlState::SyntaxError, "conflicting or redundant options")),
    }
}
