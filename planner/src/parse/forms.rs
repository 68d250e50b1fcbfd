//! Forms of expressions that `sqlparser` does not read, as forms that it does.
//!
//! * `(row).*` becomes `(row)."*"`: a field named `*` stands for all fields.
//! * `VARIADIC array` as an argument becomes one of the name [`VARIADIC`].
//! * `name := value` as an argument becomes `name => value`.
//! * `ORDER BY a USING <` becomes `ORDER BY a ASC`, with `>` DESC.

use sqlparser::{
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan, Word},
};

/// The field that stands for all fields of a row.
pub(crate) const ALL_FIELDS: &str = "*";

/// The name of an argument that is written `VARIADIC array`.
pub(crate) const VARIADIC: &str = "VARIADIC *";

/// Rewrites the tokens of a statement.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| is_special(&token.token)) {
        return tokens;
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 4);
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let before = |back: usize| out.len().checked_sub(back).map(|at| &out[at].token);
        let follows_row = before(1) == Some(&Token::Period) && before(2) == Some(&Token::RParen);
        let begins_argument = matches!(before(1), Some(Token::LParen | Token::Comma));
        match &token.token {
            Token::Mul if follows_row => out.push(TokenWithSpan { token: quoted(ALL_FIELDS), ..token }),
            Token::Assignment if matches!(before(2), Some(Token::LParen | Token::Comma)) => {
                out.push(TokenWithSpan { token: Token::RArrow, ..token });
            }
            Token::Word(word) if begins_argument && is_word(word, "variadic") => {
                let span = token.span;
                out.push(TokenWithSpan { token: quoted(VARIADIC), ..token });
                out.push(TokenWithSpan { token: Token::RArrow, span });
            }
            Token::Word(word) if word.keyword == Keyword::USING => match rest.peek().map(|next| &next.token) {
                Some(Token::Lt) => {
                    rest.next();
                    out.push(TokenWithSpan { token: Token::make_keyword("ASC"), ..token });
                }
                Some(Token::Gt) => {
                    rest.next();
                    out.push(TokenWithSpan { token: Token::make_keyword("DESC"), ..token });
                }
                _ => out.push(token),
            },
            _ => out.push(token),
        }
    }
    out
}

fn is_special(token: &Token) -> bool {
    match token {
        Token::Mul | Token::Assignment => true,
        Token::Word(word) => word.keyword == Keyword::USING || is_word(word, "variadic"),
        _ => false,
    }
}

fn is_word(word: &Word, name: &str) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name)
}

fn quoted(name: &str) -> Token {
    Token::make_word(name, Some('"'))
}
