//! Clauses of INSERT that `sqlparser` does not know: OVERRIDING, and the condition of a conflict target.

use proto::SqlResult;
use sharddb_proto as proto;
use sqlparser::{
    ast,
    tokenizer::{Token, TokenWithSpan},
};

use super::{
    super::{Positions, with_parser},
    Command,
};

/// What was taken out of the statement.
#[derive(Clone, Debug, Default)]
pub(crate) struct InsertClauses {
    /// OVERRIDING SYSTEM (true) or USER VALUE.
    pub(crate) overriding: Option<bool>,
    /// ON CONFLICT (…) WHERE: which partial indexes are meant.
    pub(crate) conflict_condition: Option<ast::Expr>,
}

impl InsertClauses {
    /// Whether nothing was taken out.
    pub(crate) fn is_empty(&self) -> bool {
        self.overriding.is_none() && self.conflict_condition.is_none()
    }
}

/// An INSERT with one of these clauses.
pub(super) fn read(tokens: &[TokenWithSpan], positions: &Positions<'_>) -> SqlResult<Option<Command>> {
    if !is(tokens, 0, "insert") && !is(tokens, 0, "with") {
        return Ok(None);
    }
    let mut clauses = InsertClauses::default();
    let mut rest = tokens.to_vec();
    if let Some((at, system)) = overriding(&rest) {
        clauses.overriding = Some(system);
        rest.drain(at..at + 3);
    }
    if let Some(place) = conflict_condition(&rest) {
        let condition: Vec<TokenWithSpan> = rest.drain(place).collect();
        clauses.conflict_condition = Some(with_parser(&condition[1..], positions, |parser| parser.parse_expr())?);
    }
    if rest.len() == tokens.len() {
        return Ok(None);
    }
    let statement = Box::new(with_parser(&rest, positions, |parser| parser.parse_statement())?);
    Ok(Some(Command::Insert { clauses: Box::new(clauses), statement }))
}

fn is(tokens: &[TokenWithSpan], at: usize, name: &str) -> bool {
    matches!(tokens.get(at).map(|token| &token.token),
        Some(Token::Word(word)) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name))
}

/// Place of OVERRIDING SYSTEM / USER VALUE.
fn overriding(tokens: &[TokenWithSpan]) -> Option<(usize, bool)> {
    let at = (1..tokens.len()).find(|at| is(tokens, *at, "overriding") && is(tokens, *at + 2, "value"))?;
    match (is(tokens, at + 1, "system"), is(tokens, at + 1, "user")) {
        (true, _) => Some((at, true)),
        (_, true) => Some((at, false)),
        _ => None,
    }
}

/// Place of WHERE and its condition between the columns of ON CONFLICT and DO.
fn conflict_condition(tokens: &[TokenWithSpan]) -> Option<std::ops::Range<usize>> {
    let on = (1..tokens.len()).find(|at| is(tokens, *at, "on") && is(tokens, *at + 1, "conflict"))?;
    let mut depth = 0usize;
    let mut start = None;
    for at in on + 2..tokens.len() {
        match tokens[at].token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            _ if depth > 0 => {}
            _ if is(tokens, at, "do") => return start.map(|start| start..at),
            _ if is(tokens, at, "where") && start.is_none() => start = Some(at),
            _ => {}
        }
    }
    None
}
