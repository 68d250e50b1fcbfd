//! Reading a number by a template.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::number_node::{Node, Template};
use crate::Numeric;

struct Reader<'t> {
    template: &'t Template,
    input: &'t [u8],
    at: usize,
    sign: Option<u8>,
    digits: String,
    before: usize,
    after: usize,
    point: bool,
}

/// The number that the input shows.
pub(super) fn read(input: &str, template: &Template) -> SqlResult<Numeric> {
    if template.scientific {
        return Err(SqlError::new(SqlState::FeatureNotSupported, "\"EEEE\" not supported for input"));
    }
    if template.roman {
        return Err(SqlError::new(SqlState::FeatureNotSupported, "\"RN\" not supported for input"));
    }
    let mut reader = Reader {
        template,
        input: input.as_bytes(),
        at: 0,
        sign: None,
        digits: String::new(),
        before: 0,
        after: 0,
        point: false,
    };
    for node in &template.nodes {
        if reader.at >= reader.input.len() {
            break;
        }
        reader.node(node);
    }
    let sign = if reader.sign == Some(b'-') { "-" } else { "" };
    let digits = reader.digits.trim_end_matches('.');
    let text = format!("{sign}{digits}");
    let value = Numeric::parse(&text).map_err(|_| {
        // The place of the sign is kept when nothing was read.
        let message =
            format!("invalid input syntax for type numeric: \"{}\"", if sign.is_empty() { " " } else { sign });
        SqlError::new(SqlState::InvalidTextRepresentation, message)
    })?;
    // More digits than the template has places for do not fit.
    let value = value.apply_typmod((template.before + template.shifted + reader.after) as i32, reader.after as i32)?;
    if !template.shift {
        return Ok(value);
    }
    let divisor = Numeric::parse(&format!("1e{}", template.shifted))?;
    value.div(&divisor)
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    /// Passes over a character.
    fn skip(&mut self) {
        self.at += 1;
        // The rest of a character of several bytes.
        while self.input.get(self.at).is_some_and(|byte| byte & 0xc0 == 0x80) {
            self.at += 1;
        }
    }

    /// Passes over what cannot belong to the number.
    fn skip_other(&mut self, count: usize) {
        for _ in 0..count {
            match self.peek() {
                Some(byte) if !byte.is_ascii_digit() && !matches!(byte, b'.' | b',' | b'+' | b'-') => self.skip(),
                _ => return,
            }
        }
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Nine | Node::Zero => self.digit(true),
            Node::Point => self.digit(false),
            Node::Comma => {
                if self.peek() == Some(b',') && (!self.digits.is_empty() || !self.template.fill) {
                    self.at += 1;
                }
            }
            Node::Currency => self.skip_other(1),
            Node::Ordinal(_) => self.skip_other(2),
            Node::Minus => self.mark(b"-"),
            Node::Plus => self.mark(b"+"),
            Node::Sign => self.mark(b"+-"),
            Node::Literal(text) => text.chars().for_each(|_| self.skip()),
            Node::Roman(_) | Node::Silent => {}
        }
    }

    fn mark(&mut self, signs: &[u8]) {
        match self.peek() {
            Some(byte) if signs.contains(&byte) => {
                self.sign = Some(byte);
                self.at += 1;
            }
            _ => self.skip_other(1),
        }
    }

    fn digit(&mut self, digit: bool) {
        if self.peek() == Some(b' ') {
            self.at += 1;
        }
        if self.sign.is_none() && digit && self.before + self.after == 0 {
            self.opening_sign();
        }
        let mut taken = false;
        match self.peek() {
            Some(byte) if byte.is_ascii_digit() => {
                if self.point && self.after == self.template.after {
                    return;
                }
                self.digits.push(char::from(byte));
                if self.point {
                    self.after += 1;
                } else {
                    self.before += 1;
                }
                taken = true;
            }
            Some(b'.') if self.template.point && !self.point => {
                self.digits.push('.');
                self.point = true;
                taken = true;
            }
            _ => {}
        }
        if self.sign.is_none() && self.before + self.after > 0 {
            self.closing_sign(taken);
        }
        // A place without a digit takes a character all the same.
        if self.at < self.input.len() {
            self.skip();
        }
    }

    fn opening_sign(&mut self) {
        match self.peek() {
            Some(byte @ (b'-' | b'+')) => {
                self.sign = Some(byte);
                self.at += 1;
            }
            Some(b'<') if self.template.bracket => {
                self.sign = Some(b'-');
                self.at += 1;
            }
            _ => {}
        }
    }

    /// A sign after the last digit, where S stands at the end or the template has no sign at all.
    fn closing_sign(&mut self, taken: bool) {
        if self.template.locale_sign && taken {
            if let Some(byte @ (b'-' | b'+')) = self.input.get(self.at + 1).copied() {
                self.sign = Some(byte);
                self.at += 1;
            }
        } else if !taken
            && !self.template.locale_sign
            && !self.template.plus
            && !self.template.minus
            && let Some(byte @ (b'-' | b'+')) = self.peek()
        {
            self.sign = Some(byte);
        }
    }
}
