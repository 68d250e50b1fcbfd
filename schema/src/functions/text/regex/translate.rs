//! From PostgreSQL's syntax to that of the `regex` crate.
//!
//! Differences that are bridged: word constraints (`\m`, `\M`, `\y`), `\A` and `\Z`, character escapes, newlines and
//! `.`, classes by locale, literal braces, option prefixes, and the errors PostgreSQL gives where the crate is lenient.

use std::{iter::Peekable, str::Chars};

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;

use super::{Flags, invalid};

/// PostgreSQL's DUPMAX.
const REPETITIONS_MAX: u32 = 255;

/// A translated pattern.
#[derive(Debug)]
pub(super) struct Translated {
    /// In the crate's syntax.
    pub(super) source: String,
    /// Whether case counts, after options inside the pattern.
    pub(super) ignore_case: bool,
    /// It may match in several ways and all its quantifiers are greedy: the longest match counts.
    pub(super) choices: bool,
}

struct Translator<'p> {
    rest: Peekable<Chars<'p>>,
    flags: Flags,
    out: String,
    /// A quantifier may follow.
    operand: bool,
    open_groups: usize,
    branches: bool,
    quantifiers: usize,
    lazy: bool,
}

/// Translates a pattern.
pub(super) fn translate(pattern: &str, mut flags: Flags) -> SqlResult<Translated> {
    let mut pattern = pattern;
    if let Some(literal) = pattern.strip_prefix("***=") {
        flags.literal = true;
        pattern = literal;
    } else if let Some(advanced) = pattern.strip_prefix("***:") {
        pattern = advanced;
    }
    if flags.literal {
        return Ok(Translated { source: regex::escape(pattern), ignore_case: flags.ignore_case, choices: false });
    }
    if let Some((options, after)) = pattern.strip_prefix("(?").and_then(|rest| rest.split_once(')'))
        && !options.is_empty()
        && options.bytes().all(|byte| byte.is_ascii_lowercase())
    {
        if !options.chars().all(|letter| flags.set(letter)) {
            return Err(invalid("invalid embedded option"));
        }
        pattern = after;
    }
    let mut translator = Translator {
        rest: pattern.chars().peekable(),
        flags,
        out: String::with_capacity(pattern.len() + 8),
        operand: false,
        open_groups: 0,
        branches: false,
        quantifiers: 0,
        lazy: false,
    };
    translator.run()?;
    let choices = !translator.lazy && (translator.branches || translator.quantifiers > 1);
    Ok(Translated { source: translator.out, ignore_case: flags.ignore_case, choices })
}

impl Translator<'_> {
    fn run(&mut self) -> SqlResult<()> {
        while let Some(c) = self.rest.next() {
            self.item(c)?;
        }
        if self.open_groups > 0 { Err(invalid("parentheses () not balanced")) } else { Ok(()) }
    }

    fn item(&mut self, c: char) -> SqlResult<()> {
        match c {
            c if self.flags.expanded && c.is_whitespace() => {}
            '#' if self.flags.expanded => while self.rest.next_if(|c| *c != '\n').is_some() {},
            '\\' => self.escape()?,
            '[' => self.bracket()?,
            '(' => self.group()?,
            ')' => {
                if self.open_groups == 0 {
                    return Err(invalid("parentheses () not balanced"));
                }
                self.open_groups -= 1;
                self.atom(")");
            }
            '|' => {
                self.branches = true;
                self.constraint("|");
            }
            '*' | '+' | '?' => self.quantifier(&c.to_string())?,
            '{' if self.rest.peek().is_some_and(char::is_ascii_digit) => self.bound()?,
            '^' => self.constraint(if self.flags.line_anchors { "(?m:^)" } else { "\\A" }),
            '$' => self.constraint(if self.flags.line_anchors { "(?m:$)" } else { "\\z" }),
            '.' => self.atom(if self.flags.stop_at_newline { "[^\\n]" } else { "(?s:.)" }),
            c => self.literal(c),
        }
        Ok(())
    }

    fn atom(&mut self, source: &str) {
        self.out.push_str(source);
        self.operand = true;
    }

    /// Something that no quantifier may follow.
    fn constraint(&mut self, source: &str) {
        self.out.push_str(source);
        self.operand = false;
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        self.operand = true;
    }

    fn quantifier(&mut self, source: &str) -> SqlResult<()> {
        if !self.operand {
            return Err(invalid("quantifier operand invalid"));
        }
        self.out.push_str(source);
        self.quantifiers += 1;
        if self.rest.next_if_eq(&'?').is_some() {
            self.lazy = true;
            self.out.push('?');
        }
        self.operand = false;
        Ok(())
    }

    fn number(&mut self) -> SqlResult<Option<u32>> {
        let mut value: Option<u32> = None;
        while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
            let next = value.unwrap_or(0) * 10 + digit.to_digit(10).unwrap_or(0);
            if next > REPETITIONS_MAX {
                return Err(invalid("invalid repetition count(s)"));
            }
            value = Some(next);
        }
        Ok(value)
    }

    fn bound(&mut self) -> SqlResult<()> {
        let least = self.number()?.unwrap_or(0);
        let mut source = format!("{{{least}");
        if self.rest.next_if_eq(&',').is_some() {
            source.push(',');
            if let Some(most) = self.number()? {
                if most < least {
                    return Err(invalid("invalid repetition count(s)"));
                }
                source.push_str(&most.to_string());
            }
        }
        if self.rest.next_if_eq(&'}').is_none() {
            let reason =
                if self.rest.peek().is_some() { "invalid repetition count(s)" } else { "braces {} not balanced" };
            return Err(invalid(reason));
        }
        source.push('}');
        self.quantifier(&source)
    }

    fn group(&mut self) -> SqlResult<()> {
        if self.rest.next_if_eq(&'?').is_some() {
            match self.rest.next() {
                Some(':') => self.out.push_str("(?:"),
                Some('=' | '!' | '<') => return Err(SqlError::unsupported("lookaround in a regular expression")),
                Some('#') => {
                    while self.rest.next_if(|c| *c != ')').is_some() {}
                    self.rest.next();
                    return Ok(());
                }
                _ => return Err(invalid("quantifier operand invalid")),
            }
        } else {
            self.out.push('(');
        }
        self.open_groups += 1;
        self.operand = false;
        Ok(())
    }

    fn escape(&mut self) -> SqlResult<()> {
        let c = self.rest.next().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
        match c {
            'd' | 'w' | 's' | 'D' | 'W' | 'S' => self.atom(&format!("\\{c}")),
            'm' => self.constraint("\\b{start}"),
            'M' => self.constraint("\\b{end}"),
            'y' => self.constraint("\\b"),
            'Y' => self.constraint("\\B"),
            'A' => self.constraint("\\A"),
            'Z' => self.constraint("\\z"),
            '1'..='9' => return Err(SqlError::unsupported("back reference in a regular expression")),
            c => {
                let c = self.character_escape(c)?;
                self.literal(c);
            }
        }
        Ok(())
    }

    /// An escape that stands for one character.
    fn character_escape(&mut self, c: char) -> SqlResult<char> {
        Ok(match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'B' => '\\',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'c' => {
                let control = self.rest.next().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
                char::from_u32(u32::from(control) & 0x1f).unwrap_or(control)
            }
            'u' => self.hex(4, 4)?,
            'U' => self.hex(8, 8)?,
            'x' => self.hex(1, 8)?,
            '0' => '\0',
            c if c.is_ascii_alphanumeric() => return Err(invalid("invalid escape \\ sequence")),
            c => c,
        })
    }

    fn hex(&mut self, least: usize, most: usize) -> SqlResult<char> {
        let mut digits = String::new();
        while digits.len() < most
            && let Some(digit) = self.rest.next_if(char::is_ascii_hexdigit)
        {
            digits.push(digit);
        }
        let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() >= least);
        code.and_then(char::from_u32).ok_or_else(|| invalid("invalid escape \\ sequence"))
    }

    fn bracket(&mut self) -> SqlResult<()> {
        let ahead: String = self.rest.clone().take(6).collect();
        for (word, source) in [("[:<:]]", "\\b{start}"), ("[:>:]]", "\\b{end}")] {
            if ahead == word {
                self.rest.nth(5);
                self.constraint(source);
                return Ok(());
            }
        }
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut class = String::from(if negated { "[^" } else { "[" });
        if negated && self.flags.stop_at_newline {
            class.push_str("\\n");
        }
        let mut first = true;
        loop {
            match self.rest.next().ok_or_else(unbalanced)? {
                ']' if !first => break,
                '[' if matches!(self.rest.peek(), Some(':')) => class.push_str(&self.named_class()?),
                '\\' if matches!(self.rest.peek(), Some('d' | 'w' | 's' | 'D' | 'W' | 'S')) => {
                    class.push('\\');
                    class.extend(self.rest.next());
                }
                c => self.range(c, &mut class)?,
            }
            first = false;
        }
        class.push(']');
        self.atom(&class);
        Ok(())
    }

    /// A character of a bracket: `c` was taken, which may begin an escape or a collating element.
    fn element(&mut self, c: char) -> SqlResult<char> {
        match c {
            '\\' => {
                let escaped = self.rest.next().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
                self.character_escape(escaped)
            }
            '[' if matches!(self.rest.peek(), Some('.' | '=')) => {
                let mark = self.rest.next().ok_or_else(unbalanced)?;
                let element = self.rest.next().ok_or_else(unbalanced)?;
                if self.rest.next() != Some(mark) || self.rest.next() != Some(']') {
                    return Err(invalid("invalid collating element"));
                }
                Ok(element)
            }
            c => Ok(c),
        }
    }

    /// A character or a range of them.
    fn range(&mut self, c: char, class: &mut String) -> SqlResult<()> {
        let from = self.element(c)?;
        push_class_literal(from, class);
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || matches!(ahead.peek(), None | Some(']')) {
            return Ok(());
        }
        self.rest.next();
        let c = self.rest.next().ok_or_else(unbalanced)?;
        let to = self.element(c)?;
        if to < from {
            return Err(invalid("invalid character range"));
        }
        class.push('-');
        push_class_literal(to, class);
        Ok(())
    }

    /// `[:alpha:]` and its kin, by Unicode.
    fn named_class(&mut self) -> SqlResult<String> {
        self.rest.next();
        let mut name = String::new();
        while let Some(c) = self.rest.next_if(char::is_ascii_alphabetic) {
            name.push(c);
        }
        if self.rest.next() != Some(':') || self.rest.next() != Some(']') {
            return Err(invalid("invalid character class"));
        }
        let class = match name.as_str() {
            "alpha" => "\\p{Alphabetic}",
            "digit" => "\\d",
            "alnum" => "\\p{Alphabetic}\\d",
            "lower" if self.flags.ignore_case => "\\p{Alphabetic}",
            "upper" if self.flags.ignore_case => "\\p{Alphabetic}",
            "lower" => "\\p{Lowercase}",
            "upper" => "\\p{Uppercase}",
            "space" => "\\s",
            "blank" => " \\t",
            "cntrl" => "\\p{Cc}",
            "punct" => "\\p{P}\\p{S}",
            "graph" => "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}",
            "print" => "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Zs}",
            "xdigit" => "0-9A-Fa-f",
            "word" => "\\w",
            _ => return Err(invalid("invalid character class")),
        };
        Ok(class.to_owned())
    }
}

fn unbalanced() -> SqlError {
    invalid("brackets [] not balanced")
}

/// Every ASCII punctuation mark is escaped: the crate gives several of them a meaning inside brackets.
fn push_class_literal(c: char, class: &mut String) {
    if c.is_ascii_punctuation() {
        class.push('\\');
    }
    class.push(c);
}
