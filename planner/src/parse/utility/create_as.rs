//! CREATE TABLE … AS with names for its columns or WITH [NO] DATA, which `sqlparser` does not know.

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;
use sqlparser::{
    ast,
    tokenizer::{Token, TokenWithSpan},
};

use super::{
    super::{Positions, cursor::Cursor, with_parser},
    Command,
};

/// The statement, if it has one of these clauses.
pub(super) fn read(tokens: &[TokenWithSpan], positions: &Positions<'_>) -> SqlResult<Option<Command>> {
    let mut cursor = Cursor::new(tokens, positions);
    if !cursor.take("create") {
        return Ok(None);
    }
    cursor.take_any(&["temp", "temporary", "unlogged"]);
    if !cursor.take("table") {
        return Ok(None);
    }
    cursor.take_if_not_exists();
    if cursor.qualified_name().is_err() {
        return Ok(None);
    }
    let names_at = tokens.len() - cursor.rest().len();
    let names = column_names(&mut cursor);
    let names_end = tokens.len() - cursor.rest().len();
    if cursor.take("with") && cursor.take_token(&Token::LParen) {
        cursor.inside_brackets()?;
    }
    if !cursor.take("as") {
        return Ok(None);
    }
    if cursor.looking_at(&["execute"]) {
        return Err(SqlError::unsupported("CREATE TABLE AS EXECUTE"));
    }
    let (end, with_data) = data_clause(tokens);
    if names.is_empty() && end == tokens.len() {
        return Ok(None);
    }
    let plain: Vec<TokenWithSpan> = [&tokens[..names_at], &tokens[names_end..end]].concat();
    let statement = with_parser(&plain, positions, |parser| parser.parse_statement())?;
    let ast::Statement::CreateTable(mut statement) = statement else { return cursor.error() };
    statement.columns = names.into_iter().map(named_column).collect();
    Ok(Some(Command::CreateTableAs { statement: Box::new(statement), with_data }))
}

/// `(a, b, c)`; nothing when the brackets hold anything else, which then are definitions.
fn column_names(cursor: &mut Cursor<'_>) -> Vec<String> {
    let mut ahead = Cursor::new(cursor.rest(), cursor.positions);
    let listed = ahead.take_token(&Token::LParen).then(|| ahead.names().ok()).flatten();
    match listed {
        Some(names) if ahead.take_token(&Token::RParen) => {
            for _ in 0..2 * names.len() + 1 {
                cursor.next();
            }
            names
        }
        _ => Vec::new(),
    }
}

/// Where the query ends, and whether the table gets its rows.
fn data_clause(tokens: &[TokenWithSpan]) -> (usize, bool) {
    let is = |back: usize, name: &str| {
        let token = tokens.len().checked_sub(back).map(|at| &tokens[at].token);
        matches!(token, Some(Token::Word(word))
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name))
    };
    if is(3, "with") && is(2, "no") && is(1, "data") {
        (tokens.len() - 3, false)
    } else if is(2, "with") && is(1, "data") {
        (tokens.len() - 2, true)
    } else {
        (tokens.len(), true)
    }
}

/// A column of which only the name counts.
fn named_column(name: String) -> ast::ColumnDef {
    ast::ColumnDef {
        name: ast::Ident::with_quote('"', name),
        data_type: ast::DataType::Unspecified,
        options: Vec::new(),
    }
}
