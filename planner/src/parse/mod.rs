//! SQL text to syntax trees.
//!
//! `sqlparser` reads queries, DML and most DDL. Statements it does not know, or reads otherwise than PostgreSQL does
//! (transaction control, SET, cursors, VACUUM, COPY, roles, sequences), are read by [`utility`] from the same tokens.
//! Errors carry PostgreSQL's wording, SQLSTATE and position.

mod as_of;
mod cursor;
mod dialect;
mod error;
mod forms;
mod locks;
mod position;
mod spelling;
mod utility;

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;
use sqlparser::{
    ast,
    dialect::PostgreSqlDialect,
    parser::Parser,
    tokenizer::{Token, TokenWithSpan, Tokenizer},
};

use dialect::{Bounded, bounded};
pub(crate) use forms::{ALL_FIELDS, VARIADIC};
pub(crate) use locks::lock_target;
pub(crate) use position::Positions;
pub(crate) use utility::{
    AlterTableAction, Command, Copied, Copy, CopySource, InsertClauses, LikeTable, RawCopyOptions, RawIdentityChange,
    RawSequenceOptions, RelationName,
};

/// Nesting of parentheses, subqueries and CASE that the parser follows; PostgreSQL's `max_stack_depth` allows a few
/// thousand levels.
const NESTING_LIMIT: usize = 1000;

/// Operators that one statement may chain. A chain becomes a tree as deep as it is long, and every later step recurses
/// over it on a stack of [`STACK_PER_LEVEL`] bytes a level.
const CHAIN_LIMIT: usize = 60_000;

/// Stack that one level of a syntax tree may need, in the parser, the binder or while it is freed.
const STACK_PER_LEVEL: usize = 4 << 10;

/// Stack that must be left where `sqlparser` looks at how much there is: it calls itself through several functions with
/// large frames in between.
const STACK_AHEAD: usize = 1 << 20;
/// Stack it is given when less is left.
const STACK_MORE: usize = 8 << 20;

/// Below this many operators a thread's own stack is large enough.
const SHORT_CHAIN: usize = 150;

static DIALECT: PostgreSqlDialect = PostgreSqlDialect {};

/// One statement of a query string.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The whole query string, in which positions count.
    source: Arc<str>,
    text: Arc<str>,
    /// The expression of AS OF SYSTEM TIME.
    as_of: Option<Arc<str>>,
    pub(crate) tree: Arc<Tree>,
}

/// A syntax tree that frees itself on a stack of sufficient size.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) command: Option<Command>,
    chain: usize,
}

impl Drop for Tree {
    fn drop(&mut self) {
        let command = self.command.take();
        with_stack(self.chain, || drop(command));
    }
}

impl Parsed {
    /// The statement's text, without the semicolon.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The expression after AS OF SYSTEM TIME, of a statement that has it.
    pub fn as_of(&self) -> Option<&str> {
        self.as_of.as_deref()
    }

    /// Whether the statement may run in a failed transaction block: COMMIT, ROLLBACK, ROLLBACK TO.
    pub fn ends_transaction(&self) -> bool {
        use crate::plan::Statement::{Commit, Rollback, RollbackTo};
        matches!(self.command(), Command::Plain(Commit { .. } | Rollback { .. } | RollbackTo(_)))
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn command(&self) -> &Command {
        self.tree.command.as_ref().expect("a tree holds its command until it is dropped")
    }

    /// Runs `work` with stack enough for this statement's tree.
    pub(crate) fn with_stack<T>(&self, work: impl FnOnce() -> T) -> T {
        with_stack(self.tree.chain, work)
    }
}

fn with_stack<T>(chain: usize, work: impl FnOnce() -> T) -> T {
    if chain < SHORT_CHAIN {
        return work();
    }
    stacker::maybe_grow(chain * STACK_PER_LEVEL, chain * STACK_PER_LEVEL, work)
}

/// Splits a query string into statements and parses each. An empty string has none.
///
/// # Errors
/// 42601 for bad syntax, 54001 for nesting that is too deep; the position counts characters of `sql` from 1.
pub fn parse(sql: &str) -> SqlResult<Vec<Parsed>> {
    let positions = Positions::new(sql);
    let mut tokens = tokenize(sql, &positions)?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    let source: Arc<str> = Arc::from(sql);
    let parts = tokens.split(|token| token.token == Token::SemiColon).filter(|part| !part.is_empty());
    parts.map(|part| parse_statement(&source, part, &positions)).collect()
}

fn tokenize(sql: &str, positions: &Positions<'_>) -> SqlResult<Vec<TokenWithSpan>> {
    Tokenizer::new(&DIALECT, sql).tokenize_with_location().map_err(|error| error::of_tokenizer(&error, positions))
}

fn parse_statement(source: &Arc<str>, tokens: &[TokenWithSpan], positions: &Positions<'_>) -> SqlResult<Parsed> {
    let chain = tokens.iter().filter(|token| chains(&token.token)).count();
    if chain > CHAIN_LIMIT {
        return Err(too_deep());
    }
    let start = positions.offset(tokens[0].span.start);
    let end = positions.offset(tokens[tokens.len() - 1].span.end);
    let whole = start == 0 && end == source.len();
    let text = if whole { source.clone() } else { Arc::from(&source[start..end.max(start)]) };
    let (rest, as_of) = as_of::take(tokens, positions)?.unzip();
    let tokens = rest.as_deref().unwrap_or(tokens);
    let command = with_stack(chain, || utility::command(tokens, positions))?;
    Ok(Parsed {
        source: source.clone(),
        text,
        as_of: as_of.map(Into::into),
        tree: Arc::new(Tree { command: Some(command), chain }),
    })
}

/// Whether a token can make a tree one level deeper without brackets around it.
fn chains(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            use sqlparser::keywords::Keyword::{
                AND, AT, CASE, COLLATE, ELSE, EXCEPT, INTERSECT, IS, JOIN, NOT, OR, UNION,
            };
            matches!(word.keyword, AND | AT | CASE | COLLATE | ELSE | EXCEPT | INTERSECT | IS | JOIN | NOT | OR | UNION)
        }
        Token::Comma | Token::Number(..) | Token::SingleQuotedString(_) | Token::RParen | Token::Period => false,
        Token::Placeholder(_) => false,
        _ => true,
    }
}

/// Parses with `sqlparser` what `read` reads, all of the tokens.
fn with_parser<T>(
    tokens: &[TokenWithSpan],
    positions: &Positions<'_>,
    read: impl FnOnce(&mut Parser<'_>) -> Result<T, sqlparser::parser::ParserError>,
) -> SqlResult<T> {
    let tokens = forms::rewrite(locks::rewrite(&spelling::rewrite(tokens))?);
    recursive::set_minimum_stack_size(STACK_AHEAD);
    recursive::set_stack_allocation_size(STACK_MORE);
    let dialect = Bounded::new(tokens.len());
    let mut parser = Parser::new(&dialect).with_recursion_limit(NESTING_LIMIT).with_tokens_with_locations(tokens);
    let tree = bounded(|| read(&mut parser)).map_err(|error| error::of_parser(&error, positions))?;
    let next = parser.peek_token();
    match next.token {
        Token::EOF => Ok(tree),
        _ => Err(error::near(&next, positions)),
    }
}

/// The expression a text holds; for defaults and conditions kept in the catalog.
pub(crate) fn parse_expression(text: &str) -> SqlResult<ast::Expr> {
    let positions = Positions::new(text);
    let tokens = tokenize(text, &positions)?;
    with_parser(&tokens, &positions, |parser| parser.parse_expr())
}

/// The query a text holds; for views.
pub(crate) fn parse_query(text: &str) -> SqlResult<Box<ast::Query>> {
    let positions = Positions::new(text);
    let tokens = tokenize(text, &positions)?;
    with_parser(&tokens, &positions, |parser| parser.parse_query())
}

/// A type's name as `'…'::regtype` and `format_type` know it.
pub(crate) fn parse_type(text: &str) -> SqlResult<ast::DataType> {
    let positions = Positions::new(text);
    let tokens = tokenize(text, &positions)?;
    with_parser(&tokens, &positions, |parser| parser.parse_data_type())
}

fn too_deep() -> SqlError {
    SqlError::new(SqlState::StatementTooComplex, "stack depth limit exceeded")
}
