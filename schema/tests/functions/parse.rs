//! The expressions of cases: literals, casts, calls, operators, ARRAY and ROW.

/// An expression.
#[derive(Clone, Debug)]
pub(crate) enum Ast {
    /// A string without a type yet.
    Text(String),
    /// Digits, perhaps with point and exponent.
    Number(String),
    /// TRUE, FALSE or NULL.
    Word(String),
    /// A function with its arguments.
    Call(String, Vec<Ast>),
    /// A prefix operator.
    Prefix(String, Box<Ast>),
    /// A binary operator.
    Binary(String, Box<Ast>, Box<Ast>),
    /// A cast to a named type.
    Cast(Box<Ast>, String),
    /// ARRAY[…]
    Array(Vec<Ast>),
    /// ROW(…)
    Row(Vec<Ast>),
}

struct Parser<'a> {
    rest: &'a str,
}

/// Parses a whole expression.
pub(crate) fn parse(text: &str) -> Ast {
    let mut parser = Parser { rest: text };
    let ast = parser.binary(0);
    parser.space();
    assert!(parser.rest.is_empty(), "cannot parse {text:?} from {:?}", parser.rest);
    ast
}

/// How strongly a binary operator binds.
fn strength(symbol: &str) -> u32 {
    match symbol {
        "<" | ">" | "=" | "<=" | ">=" | "<>" | "!=" => 1,
        "+" | "-" => 3,
        "*" | "/" | "%" => 4,
        "^" => 5,
        _ => 2,
    }
}

impl Parser<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn accept(&mut self, token: &str) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(token);
        if let Some(rest) = rest {
            self.rest = rest;
        }
        rest.is_some()
    }

    fn expect(&mut self, token: &str) {
        assert!(self.accept(token), "{token} is missing before {:?}", self.rest);
    }

    fn symbol(&mut self) -> Option<String> {
        self.space();
        if self.rest.starts_with("::") {
            return None;
        }
        let end = self.rest.find(|c: char| !"+-*/<>=~!@#%^&|`?".contains(c)).unwrap_or(self.rest.len());
        let mut symbol = &self.rest[..end];
        // A sign at the end belongs to what follows.
        while symbol.len() > 1
            && symbol.ends_with(['+', '-'])
            && !symbol.contains(['~', '!', '@', '#', '%', '^', '&', '|', '?'])
        {
            symbol = &symbol[..symbol.len() - 1];
        }
        (!symbol.is_empty()).then(|| symbol.to_owned())
    }

    fn binary(&mut self, least: u32) -> Ast {
        let mut left = self.prefix();
        while let Some(symbol) = self.symbol().filter(|symbol| strength(symbol) > least) {
            self.expect(&symbol.clone());
            let right = self.binary(strength(&symbol));
            left = Ast::Binary(symbol, Box::new(left), Box::new(right));
        }
        left
    }

    fn prefix(&mut self) -> Ast {
        if let Some(symbol) = self.symbol() {
            self.expect(&symbol);
            let operand = if matches!(symbol.as_str(), "+" | "-") { self.binary(6) } else { self.binary(2) };
            return Ast::Prefix(symbol, Box::new(operand));
        }
        let mut value = self.primary();
        while self.accept("::") {
            value = Ast::Cast(Box::new(value), self.type_name());
        }
        value
    }

    fn type_name(&mut self) -> String {
        self.space();
        let mut end = if self.rest.starts_with('"') { self.rest[1..].find('"').expect("a quote ends") + 2 } else { 0 };
        end += self.rest[end..].find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len() - end);
        let name = self.rest[..end].to_owned();
        self.rest = &self.rest[end..];
        let mut suffix = String::new();
        if self.rest.starts_with('(') {
            let close = self.rest.find(')').expect("modifiers end") + 1;
            suffix.push_str(&self.rest[..close]);
            self.rest = &self.rest[close..];
        }
        while let Some(rest) = self.rest.strip_prefix("[]") {
            suffix.push_str("[]");
            self.rest = rest;
        }
        name + &suffix
    }

    fn primary(&mut self) -> Ast {
        self.space();
        let first = self.rest.chars().next().expect("an operand");
        match first {
            '(' => {
                self.expect("(");
                let inner = self.binary(0);
                self.expect(")");
                inner
            }
            '\'' => self.string(false),
            'E' | 'e' if self.rest[1..].starts_with('\'') => {
                self.rest = &self.rest[1..];
                self.string(true)
            }
            '0'..='9' | '.' => self.number(),
            _ => self.word(),
        }
    }

    fn string(&mut self, escapes: bool) -> Ast {
        let mut out = String::new();
        let mut chars = self.rest[1..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' if self.rest[at + 2..].starts_with('\'') => {
                    out.push('\'');
                    chars.next();
                }
                '\'' => {
                    self.rest = &self.rest[at + 2..];
                    return Ast::Text(out);
                }
                '\\' if escapes => match chars.next().expect("an escaped character").1 {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' => out.push('\r'),
                    other => out.push(other),
                },
                other => out.push(other),
            }
        }
        panic!("a string does not end: {:?}", self.rest)
    }

    fn number(&mut self) -> Ast {
        let bytes = self.rest.as_bytes();
        let mut end = 0;
        while end < bytes.len()
            && (bytes[end].is_ascii_digit()
                || bytes[end] == b'.'
                || (matches!(bytes[end], b'e' | b'E')
                    && bytes.get(end + 1).is_some_and(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-')))
                || (matches!(bytes[end], b'+' | b'-') && matches!(bytes[end - 1], b'e' | b'E')))
        {
            end += 1;
        }
        let number = self.rest[..end].to_owned();
        self.rest = &self.rest[end..];
        Ast::Number(number)
    }

    fn list(&mut self, close: &str) -> Vec<Ast> {
        let mut items = Vec::new();
        if self.accept(close) {
            return items;
        }
        loop {
            items.push(self.binary(0));
            if !self.accept(",") {
                break;
            }
        }
        self.expect(close);
        items
    }

    fn word(&mut self) -> Ast {
        let _qualified = self.accept("pg_catalog.");
        let quoted = self.accept("\"");
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        assert!(end > 0, "an operand is missing before {:?}", self.rest);
        let name = self.rest[..end].to_owned();
        self.rest = &self.rest[end..];
        if quoted {
            self.expect("\"");
        }
        if self.rest.starts_with('[') {
            self.expect("[");
            return Ast::Array(self.list("]"));
        }
        if self.accept("(") {
            let args = self.list(")");
            return if name.eq_ignore_ascii_case("row") { Ast::Row(args) } else { Ast::Call(name, args) };
        }
        // type 'literal'
        self.space();
        if self.rest.starts_with('\'') {
            return Ast::Cast(Box::new(self.string(false)), name);
        }
        Ast::Word(name)
    }
}
