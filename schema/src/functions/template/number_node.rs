//! Cutting templates of numbers into nodes, and what they say as a whole.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::literal;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// 9
    Nine,
    /// 0
    Zero,
    /// . or D
    Point,
    /// , or G
    Comma,
    /// L
    Currency,
    /// MI
    Minus,
    /// PL
    Plus,
    /// SG
    Sign,
    /// RN, and whether in capitals.
    Roman(bool),
    /// TH, and whether in capitals.
    Ordinal(bool),
    /// What is written elsewhere: S, PR, V, B, FM, EEEE.
    Silent,
    /// Text.
    Literal(String),
}

/// Where S puts the sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SignPlace {
    #[default]
    None,
    Before,
    After,
}

/// What a template says.
#[derive(Clone, Debug, Default)]
pub(super) struct Template {
    pub(super) nodes: Vec<Node>,
    /// Digits before the point.
    pub(super) before: usize,
    /// Digits after the point.
    pub(super) after: usize,
    /// Digits after V.
    pub(super) shifted: usize,
    /// Place of the first 0, from 1; 0 without one.
    pub(super) zero_start: usize,
    /// Place of the last 0.
    pub(super) zero_end: usize,
    /// Digits before S.
    pub(super) before_sign: usize,
    pub(super) sign_place: SignPlace,
    pub(super) point: bool,
    pub(super) zero: bool,
    pub(super) fill: bool,
    pub(super) locale_sign: bool,
    pub(super) bracket: bool,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) roman: bool,
    pub(super) shift: bool,
    pub(super) scientific: bool,
    blank: bool,
}

fn syntax(message: &str) -> SqlError {
    SqlError::new(SqlState::SyntaxError, message)
}

/// Keywords, longer ones before their beginnings. All exist in lower case too.
const KEYWORDS: [&str; 20] =
    [",", ".", "0", "9", "B", "C", "D", "EEEE", "FM", "G", "L", "MI", "PL", "PR", "RN", "SG", "SP", "S", "TH", "V"];

impl Template {
    /// Cuts a template; 42601 for combinations that make no sense.
    pub(super) fn parse(text: &str) -> SqlResult<Self> {
        let mut template = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let found = KEYWORDS.iter().find(|word| {
                rest.get(..word.len()).is_some_and(|head| head == **word || head == word.to_ascii_lowercase())
            });
            match found {
                Some(word) => {
                    let upper = rest.starts_with(word);
                    template.keyword(word, upper)?;
                    rest = &rest[word.len()..];
                }
                None => {
                    let (text, after) = literal(rest);
                    template.nodes.push(Node::Literal(text));
                    rest = after;
                }
            }
        }
        Ok(template)
    }

    fn keyword(&mut self, word: &str, upper: bool) -> SqlResult<()> {
        if self.scientific && word != "EEEE" {
            return Err(syntax("\"EEEE\" must be the last pattern used"));
        }
        let node = match word {
            "9" | "0" => return self.digit(word == "0"),
            "." | "D" => {
                if self.point {
                    return Err(syntax("multiple decimal points"));
                }
                if self.shift {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.point = true;
                Node::Point
            }
            "," | "G" => Node::Comma,
            "L" => Node::Currency,
            "TH" => Node::Ordinal(upper),
            "RN" => {
                self.roman = true;
                Node::Roman(upper)
            }
            "S" | "MI" | "PL" | "SG" | "PR" => self.sign(word)?,
            other => {
                self.flag(other)?;
                Node::Silent
            }
        };
        self.nodes.push(node);
        Ok(())
    }

    fn digit(&mut self, zero: bool) -> SqlResult<()> {
        if self.bracket {
            let message = if zero { "\"0\" must be ahead of \"PR\"" } else { "\"9\" must be ahead of \"PR\"" };
            return Err(syntax(message));
        }
        if zero && !self.zero && !self.point {
            self.zero = true;
            self.zero_start = self.before + 1;
        }
        if !zero && self.shift {
            self.shifted += 1;
        } else if self.point {
            self.after += 1;
        } else {
            self.before += 1;
        }
        if zero {
            self.zero_end = self.before + self.after;
        }
        self.nodes.push(if zero { Node::Zero } else { Node::Nine });
        Ok(())
    }

    fn sign(&mut self, word: &str) -> SqlResult<Node> {
        const WITH_S: [(&str, &str); 3] = [
            ("MI", "cannot use \"S\" and \"MI\" together"),
            ("PL", "cannot use \"S\" and \"PL\" together"),
            ("SG", "cannot use \"S\" and \"SG\" together"),
        ];
        if let Some((_, message)) = WITH_S.iter().find(|(other, _)| *other == word)
            && self.locale_sign
        {
            return Err(syntax(message));
        }
        Ok(match word {
            "MI" => {
                self.minus = true;
                Node::Minus
            }
            "PL" => {
                self.plus = true;
                Node::Plus
            }
            "SG" => {
                (self.minus, self.plus) = (true, true);
                Node::Sign
            }
            "PR" => {
                if self.locale_sign || self.plus || self.minus {
                    return Err(syntax("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
                }
                self.bracket = true;
                Node::Silent
            }
            _ => {
                if self.locale_sign {
                    return Err(syntax("cannot use \"S\" twice"));
                }
                if self.plus || self.minus || self.bracket {
                    return Err(syntax("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
                }
                if !self.point {
                    self.sign_place = SignPlace::Before;
                    self.before_sign = self.before;
                } else if self.sign_place == SignPlace::None {
                    self.sign_place = SignPlace::After;
                }
                self.locale_sign = true;
                Node::Silent
            }
        })
    }

    fn flag(&mut self, word: &str) -> SqlResult<()> {
        match word {
            "FM" => self.fill = true,
            "B" if self.before == 0 && self.after == 0 && !self.zero => self.blank = true,
            "V" => {
                if self.point {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.shift = true;
            }
            "EEEE" => {
                if self.scientific {
                    return Err(syntax("cannot use \"EEEE\" twice"));
                }
                let others = self.blank
                    || self.fill
                    || self.locale_sign
                    || self.bracket
                    || self.minus
                    || self.plus
                    || self.roman
                    || self.shift;
                if others {
                    return Err(syntax("\"EEEE\" is incompatible with other formats")
                        .with_detail("\"EEEE\" may only be used together with digit and decimal point patterns."));
                }
                self.scientific = true;
            }
            _ => {}
        }
        Ok(())
    }
}
