//! Row locking clauses that `sqlparser` does not know: FOR NO KEY UPDATE, FOR KEY SHARE and several tables after OF.
//!
//! They are rewritten to clauses that it knows. The strength travels as a quoted name in front of the table's, made of
//! a character that no SQL text can hold; [`lock_target`] reads it back.

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;
use sqlparser::{
    ast,
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan, Word},
};

use crate::plan::LockStrength;

const NO_KEY_UPDATE: &str = "\0no key update";
const KEY_SHARE: &str = "\0key share";

/// The tokens with every locking clause in a form that `sqlparser` reads.
pub(super) fn rewrite(tokens: &[TokenWithSpan]) -> SqlResult<Vec<TokenWithSpan>> {
    let mut out = Vec::with_capacity(tokens.len() + 1);
    let mut at = 0;
    while at < tokens.len() {
        match clause(&tokens[at..]) {
            Some((strength, words)) => {
                let base = &tokens[at + words - 1];
                at += words;
                let tables = tables(tokens, &mut at)?;
                write_clause(&mut out, &tokens[at - 1], base, strength, &tables);
            }
            None => {
                out.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    Ok(out)
}

/// Strength and length in words of the locking clause that tokens start with.
fn clause(tokens: &[TokenWithSpan]) -> Option<(LockStrength, usize)> {
    let word = |at: usize| tokens.get(at).and_then(|token| bare_word(&token.token));
    if !word(0)?.eq_ignore_ascii_case("for") {
        return None;
    }
    let is = |at: usize, name: &str| word(at).is_some_and(|word| word.eq_ignore_ascii_case(name));
    if is(1, "update") {
        Some((LockStrength::Update, 2))
    } else if is(1, "share") {
        Some((LockStrength::Share, 2))
    } else if is(1, "no") && is(2, "key") && is(3, "update") {
        Some((LockStrength::NoKeyUpdate, 4))
    } else if is(1, "key") && is(2, "share") {
        Some((LockStrength::KeyShare, 3))
    } else {
        None
    }
}

fn bare_word(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

/// The names after OF, each as its tokens.
fn tables(tokens: &[TokenWithSpan], at: &mut usize) -> SqlResult<Vec<Vec<TokenWithSpan>>> {
    let mut tables = Vec::new();
    let of =
        tokens.get(*at).and_then(|token| bare_word(&token.token)).is_some_and(|word| word.eq_ignore_ascii_case("of"));
    if !of {
        return Ok(tables);
    }
    loop {
        *at += 1;
        let Some(name) = tokens.get(*at).filter(|token| matches!(token.token, Token::Word(_))) else {
            return Err(SqlError::new(proto::SqlState::SyntaxError, "syntax error at end of input"));
        };
        tables.push(vec![name.clone()]);
        *at += 1;
        if tokens.get(*at).is_none_or(|token| token.token != Token::Comma) {
            return Ok(tables);
        }
    }
}

fn write_clause(
    out: &mut Vec<TokenWithSpan>,
    last: &TokenWithSpan,
    base: &TokenWithSpan,
    strength: LockStrength,
    tables: &[Vec<TokenWithSpan>],
) {
    let word = |value: &str, quote_style: Option<char>, keyword: Keyword| {
        TokenWithSpan::new(Token::Word(Word { value: value.to_owned(), quote_style, keyword }), base.span)
    };
    let (keyword, marker) = match strength {
        LockStrength::Update => (word("UPDATE", None, Keyword::UPDATE), None),
        LockStrength::NoKeyUpdate => (word("UPDATE", None, Keyword::UPDATE), Some(NO_KEY_UPDATE)),
        LockStrength::Share => (word("SHARE", None, Keyword::SHARE), None),
        LockStrength::KeyShare => (word("SHARE", None, Keyword::SHARE), Some(KEY_SHARE)),
    };
    let marker = marker.map(|marker| word(marker, Some('"'), Keyword::NoKeyword));
    let clauses: Vec<Option<&Vec<TokenWithSpan>>> =
        if tables.is_empty() { vec![None] } else { tables.iter().map(Some).collect() };
    for table in clauses {
        out.push(word("FOR", None, Keyword::FOR));
        out.push(keyword.clone());
        if table.is_some() || marker.is_some() {
            out.push(word("OF", None, Keyword::OF));
        }
        out.extend(marker.clone());
        if table.is_some() && marker.is_some() {
            out.push(TokenWithSpan::new(Token::Period, last.span));
        }
        out.extend(table.into_iter().flatten().cloned());
    }
}

/// Strength and table (`None` for all) of a locking clause.
pub(crate) fn lock_target(clause: &ast::LockClause) -> (LockStrength, Option<&ast::Ident>) {
    let plain = match clause.lock_type {
        ast::LockType::Update => LockStrength::Update,
        ast::LockType::Share => LockStrength::Share,
    };
    let names: Vec<&ast::Ident> = clause.of.iter().flat_map(|of| &of.0).filter_map(|part| part.as_ident()).collect();
    match names.as_slice() {
        [] => (plain, None),
        [marker, rest @ ..] if marker.value == NO_KEY_UPDATE => (LockStrength::NoKeyUpdate, rest.first().copied()),
        [marker, rest @ ..] if marker.value == KEY_SHARE => (LockStrength::KeyShare, rest.first().copied()),
        [.., table] => (plain, Some(table)),
    }
}
