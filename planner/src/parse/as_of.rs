//! `AS OF SYSTEM TIME expression`: at which time a query or a transaction reads.
//!
//! The clause stands behind the FROM list of a query, or among the modes of BEGIN, START TRANSACTION and SET TRANSACTION. It
//! counts for the whole statement, so it is taken out of the tokens before they are parsed. PostgreSQL has nothing like it.

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{Positions, cursor::text_of, error};

/// Words that end the expression: what may follow it in a query or among a transaction's modes.
const ENDS: [&str; 14] = [
    "where",
    "group",
    "having",
    "window",
    "order",
    "limit",
    "offset",
    "fetch",
    "union",
    "except",
    "intersect",
    "for",
    "isolation",
    "read",
];
/// First words of statements that may have the clause.
const STATEMENTS: [&str; 6] = ["select", "with", "explain", "begin", "start", "set"];

/// The tokens without the clause, and the text of its expression.
pub(super) fn take(
    tokens: &[TokenWithSpan],
    positions: &Positions<'_>,
) -> SqlResult<Option<(Vec<TokenWithSpan>, String)>> {
    let Some((start, nested)) = find(tokens) else { return Ok(None) };
    if !STATEMENTS.iter().any(|statement| is_word(&tokens[0], statement)) {
        return Err(SqlError::unsupported("AS OF SYSTEM TIME in this statement"));
    }
    if nested {
        return Err(SqlError::unsupported("AS OF SYSTEM TIME in a subquery"));
    }
    let from = start + CLAUSE.len();
    let to = end(tokens, from);
    let mut rest = tokens[..start].to_vec();
    let is_comma = |at: Option<&TokenWithSpan>| at.is_some_and(|token| token.token == Token::Comma);
    let lists_modes = ["begin", "start", "set"].iter().any(|word| is_word(&tokens[0], word));
    // Of a list of modes one comma goes with the clause.
    let after = if lists_modes && is_comma(rest.last()) {
        rest.pop();
        to
    } else {
        to + usize::from(lists_modes && is_comma(tokens.get(to)))
    };
    rest.extend_from_slice(&tokens[after..]);
    if let Some((again, _)) = find(&rest).filter(|_| from < to) {
        return Err(error::near(&rest[again], positions));
    }
    if from == to {
        return Err(tokens.get(from).map_or_else(|| error::at_end(positions), |token| error::near(token, positions)));
    }
    Ok(Some((rest, text_of(&tokens[from..to], positions).to_owned())))
}

const CLAUSE: [&str; 4] = ["as", "of", "system", "time"];

/// Where the clause begins, and whether it does inside of brackets.
fn find(tokens: &[TokenWithSpan]) -> Option<(usize, bool)> {
    let begins = |at: &usize| CLAUSE.iter().zip(&tokens[*at..]).all(|(word, token)| is_word(token, word));
    let start = (0..tokens.len().saturating_sub(CLAUSE.len() - 1)).find(begins)?;
    Some((start, tokens[..start].iter().map(|token| bracket(&token.token)).sum::<i32>() != 0))
}

fn end(tokens: &[TokenWithSpan], from: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        depth += bracket(&token.token);
        let ends = token.token == Token::Comma || ENDS.iter().any(|word| is_word(token, word));
        if depth < 0 || (depth == 0 && ends) {
            return at;
        }
    }
    tokens.len()
}

fn bracket(token: &Token) -> i32 {
    match token {
        Token::LParen | Token::LBracket => 1,
        Token::RParen | Token::RBracket => -1,
        _ => 0,
    }
}

fn is_word(token: &TokenWithSpan, expected: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

#[cfg(test)]
mod tests {
    fn taken(sql: &str) -> Result<Option<String>, String> {
        let mut parsed = crate::parse::parse(sql).map_err(|error| error.message().to_owned())?;
        Ok(parsed.pop().and_then(|parsed| parsed.as_of().map(str::to_owned)))
    }

    #[test]
    fn the_clause_ends_where_the_statement_goes_on() {
        let cases = [
            ("SELECT 1", None),
            ("SELECT * FROM t AS OF SYSTEM TIME '-10s'", Some("'-10s'")),
            (
                "SELECT a FROM t as of system time now() - interval '1 s' WHERE a > 1 ORDER BY a",
                Some("now() - interval '1 s'"),
            ),
            ("BEGIN READ ONLY, AS OF SYSTEM TIME '-1s', ISOLATION LEVEL SERIALIZABLE", Some("'-1s'")),
            ("START TRANSACTION AS OF SYSTEM TIME '-1s' READ ONLY", Some("'-1s'")),
            ("SET TRANSACTION AS OF SYSTEM TIME '-1s'", Some("'-1s'")),
            ("SELECT 'as of system time'", None),
        ];
        for (sql, expected) in cases {
            assert_eq!(taken(sql), Ok(expected.map(str::to_owned)), "{sql}");
        }
    }

    #[test]
    fn it_stands_once_and_outside_of_subqueries() {
        let cases = [
            ("SELECT * FROM t AS OF SYSTEM TIME", "syntax error at end of input"),
            ("SELECT * FROM t AS OF SYSTEM TIME WHERE a", "syntax error at or near \"WHERE\""),
            (
                "SELECT * FROM t AS OF SYSTEM TIME '-1s' LIMIT 1 AS OF SYSTEM TIME '-1s'",
                "syntax error at or near \"AS\"",
            ),
            ("SELECT * FROM (SELECT 1 AS OF SYSTEM TIME '-1s') s", "AS OF SYSTEM TIME in a subquery is not supported"),
            ("INSERT INTO t SELECT 1 AS OF SYSTEM TIME '-1s'", "AS OF SYSTEM TIME in this statement is not supported"),
        ];
        for (sql, expected) in cases {
            assert_eq!(taken(sql), Err(expected.to_owned()), "{sql}");
        }
    }
}
