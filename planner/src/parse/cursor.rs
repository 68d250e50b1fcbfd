//! Reading a statement's tokens one after the other.

use proto::SqlResult;
use sharddb_proto as proto;
use sqlparser::{
    ast,
    tokenizer::{Token, TokenWithSpan},
};

use super::{Positions, error};

/// A place in the tokens of one statement.
pub(super) struct Cursor<'t> {
    tokens: &'t [TokenWithSpan],
    at: usize,
    pub(super) positions: &'t Positions<'t>,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(tokens: &'t [TokenWithSpan], positions: &'t Positions<'t>) -> Self {
        Self { tokens, at: 0, positions }
    }

    /// The tokens that were not read yet.
    pub(super) fn rest(&self) -> &'t [TokenWithSpan] {
        &self.tokens[self.at..]
    }

    /// The text of the tokens that were not read yet.
    pub(super) fn rest_text(&self) -> &'t str {
        text_of(self.rest(), self.positions)
    }

    pub(super) fn at_end(&self) -> bool {
        self.at == self.tokens.len()
    }

    pub(super) fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at).map(|token| &token.token)
    }

    pub(super) fn next(&mut self) -> Option<&'t Token> {
        let token = self.peek();
        self.at += usize::from(token.is_some());
        token
    }

    /// "syntax error at or near" the next token.
    pub(super) fn error<T>(&self) -> SqlResult<T> {
        Err(match self.tokens.get(self.at) {
            Some(token) => error::near(token, self.positions),
            None => error::at_end(self.positions),
        })
    }

    /// Whether the words follow; nothing is read.
    pub(super) fn looking_at(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(ahead, word)| self.is_word(ahead, word))
    }

    fn is_word(&self, ahead: usize, expected: &str) -> bool {
        matches!(self.tokens.get(self.at + ahead).map(|token| &token.token),
            Some(Token::Word(word)) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
    }

    /// Reads the word if it is next.
    pub(super) fn take(&mut self, word: &str) -> bool {
        self.take_all(&[word])
    }

    /// Reads the words if they are next.
    pub(super) fn take_all(&mut self, words: &[&str]) -> bool {
        let found = self.looking_at(words);
        if found {
            self.at += words.len();
        }
        found
    }

    /// Reads any one of the words if it is next.
    pub(super) fn take_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.take(word))
    }

    pub(super) fn expect(&mut self, word: &str) -> SqlResult<()> {
        if self.take(word) { Ok(()) } else { self.error() }
    }

    pub(super) fn take_token(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect_token(&mut self, token: &Token) -> SqlResult<()> {
        if self.take_token(token) { Ok(()) } else { self.error() }
    }

    /// IF EXISTS
    pub(super) fn take_if_exists(&mut self) -> bool {
        self.take_all(&["if", "exists"])
    }

    /// IF NOT EXISTS
    pub(super) fn take_if_not_exists(&mut self) -> bool {
        self.take_all(&["if", "not", "exists"])
    }

    /// A name, folded to lower case unless quoted.
    pub(super) fn name(&mut self) -> SqlResult<String> {
        match self.peek() {
            Some(Token::Word(word)) if matches!(word.quote_style, None | Some('"')) => {
                self.at += 1;
                Ok(if word.quote_style.is_some() { word.value.clone() } else { word.value.to_ascii_lowercase() })
            }
            _ => self.error(),
        }
    }

    /// A possibly qualified name.
    pub(super) fn qualified_name(&mut self) -> SqlResult<Vec<String>> {
        let mut parts = vec![self.name()?];
        while self.take_token(&Token::Period) {
            parts.push(self.name()?);
        }
        Ok(parts)
    }

    /// Names separated by commas.
    pub(super) fn names(&mut self) -> SqlResult<Vec<String>> {
        self.list(Self::name)
    }

    /// One or more of something, separated by commas.
    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> SqlResult<T>) -> SqlResult<Vec<T>> {
        let mut items = vec![read(self)?];
        while self.take_token(&Token::Comma) {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// A string literal.
    pub(super) fn string(&mut self) -> SqlResult<String> {
        match self.peek() {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => {
                self.at += 1;
                Ok(text.clone())
            }
            Some(Token::DollarQuotedString(ast::DollarQuotedString { value, .. })) => {
                self.at += 1;
                Ok(value.clone())
            }
            _ => self.error(),
        }
    }

    /// An integer with an optional sign.
    pub(super) fn integer(&mut self) -> SqlResult<i64> {
        let before = self.at;
        let negative = self.take_token(&Token::Minus);
        if !negative {
            self.take_token(&Token::Plus);
        }
        if let Some(Token::Number(digits, _)) = self.peek() {
            let signed = if negative { format!("-{digits}") } else { digits.clone() };
            if let Ok(value) = signed.parse() {
                self.at += 1;
                return Ok(value);
            }
        }
        self.at = before;
        self.error()
    }

    /// ON / OFF / TRUE / FALSE / 1 / 0; true when nothing of the kind follows.
    pub(super) fn flag(&mut self) -> bool {
        if self.take_any(&["off", "false"]) {
            return false;
        }
        match self.peek() {
            Some(Token::Number(digits, _)) => {
                self.at += 1;
                digits != "0"
            }
            Some(Token::SingleQuotedString(text)) => {
                self.at += 1;
                !matches!(text.to_lowercase().as_str(), "off" | "false" | "0" | "no")
            }
            _ => {
                self.take_any(&["on", "true"]);
                true
            }
        }
    }

    /// The tokens up to the bracket that closes the one just read, which is read too.
    pub(super) fn inside_brackets(&mut self) -> SqlResult<&'t [TokenWithSpan]> {
        let start = self.at;
        let mut depth = 1usize;
        while let Some(token) = self.next() {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(&self.tokens[start..self.at - 1]);
            }
        }
        self.error()
    }

    pub(super) fn expect_end(&self) -> SqlResult<()> {
        if self.at_end() { Ok(()) } else { self.error() }
    }
}

/// The text that tokens were read from.
pub(super) fn text_of<'t>(tokens: &[TokenWithSpan], positions: &Positions<'t>) -> &'t str {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => {
            let start = positions.offset(first.span.start);
            &positions.text()[start..positions.offset(last.span.end).max(start)]
        }
        _ => "",
    }
}
