//! Writing the digits of a number into a template.

use super::{
    number_node::{Node, SignPlace, Template},
    ordinal,
};

/// A number that is written: its digits without a sign, cut or filled to what the template shows.
pub(super) struct Shown {
    pub(super) negative: bool,
    /// Digits with a point if there are digits after it, or marks where it does not fit.
    pub(super) digits: String,
    /// Places of the template before the first digit.
    pub(super) spaces: usize,
}

struct Writer<'t> {
    template: &'t Template,
    negative: bool,
    digits: Vec<u8>,
    /// Next of the digits.
    next: usize,
    spaces: usize,
    /// Places of digits passed so far.
    place: usize,
    /// Places after which a closing sign comes.
    count: usize,
    zero_start: usize,
    sign_place: SignPlace,
    sign_written: bool,
    bracket: bool,
    /// A digit was written at the last place, so that a comma counts.
    inside: bool,
    /// With FM: the last digit after the point that says something, or the point.
    relevant: Option<usize>,
    out: String,
}

/// Writes a number by a template.
pub(super) fn write(template: &Template, shown: Shown) -> String {
    let digits = shown.digits.into_bytes();
    let negative = shown.negative;
    let signs = template.plus || template.minus;
    let bracket = template.bracket && (negative || !template.fill);
    let sign_written = if signs {
        // SG and MI write the sign themselves; with PL alone a minus is still written before the number.
        !template.plus || template.minus
    } else {
        !negative && template.fill && !template.locale_sign
    };
    let at_end = template.sign_place == SignPlace::Before && template.before == template.before_sign && !signs;
    let relevant = if template.fill && template.point { last_relevant(template, &digits, shown.spaces) } else { None };
    let count = (template.after + template.before + usize::from(!sign_written && shown.spaces == 0)).wrapping_sub(1);
    let mut writer = Writer {
        template,
        negative,
        digits,
        next: 0,
        spaces: shown.spaces,
        place: 0,
        count,
        zero_start: template.zero_start.saturating_sub(1),
        sign_place: if at_end { SignPlace::After } else { template.sign_place },
        sign_written,
        bracket,
        inside: false,
        relevant,
        out: String::new(),
    };
    for node in &template.nodes {
        writer.node(node);
    }
    writer.out
}

fn last_relevant(template: &Template, digits: &[u8], spaces: usize) -> Option<usize> {
    let point = digits.iter().position(|byte| *byte == b'.')?;
    let relevant = digits.iter().rposition(|byte| *byte != b'0').unwrap_or(point).max(point);
    // Digits that a 0 asks for stay.
    let wanted = template.zero_end.checked_sub(spaces).filter(|wanted| *wanted > 0);
    Some(wanted.map_or(relevant, |wanted| relevant.max(wanted.min(digits.len() - 1))))
}

impl Writer<'_> {
    fn node(&mut self, node: &Node) {
        let fill = self.template.fill;
        match node {
            Node::Nine => self.digit(false),
            Node::Zero => self.digit(true),
            Node::Point => self.digit(false),
            Node::Comma if self.inside => self.out.push(','),
            Node::Comma if fill => {}
            Node::Comma => self.out.push(' '),
            Node::Currency => self.out.push(' '),
            Node::Minus => self.mark(if self.negative { Some('-') } else { None }),
            Node::Plus => self.mark(if self.negative { None } else { Some('+') }),
            Node::Sign => self.out.push(if self.negative { '-' } else { '+' }),
            Node::Ordinal(upper) => {
                let plain = !self.negative && !self.template.point && self.digits.first() != Some(&b'#');
                if plain {
                    let digits = String::from_utf8_lossy(&self.digits).into_owned();
                    self.out.push_str(ordinal(&digits, *upper));
                }
            }
            Node::Literal(text) => self.out.push_str(text),
            Node::Roman(_) | Node::Silent => {}
        }
    }

    fn mark(&mut self, sign: Option<char>) {
        match sign {
            Some(sign) => self.out.push(sign),
            None if self.template.fill => {}
            None => self.out.push(' '),
        }
    }

    /// A zero before the point is not shown where the template has digits after it: `9.9` shows .1
    fn hides_zero(&self) -> bool {
        !self.template.zero && self.next == 0 && self.digits.first() == Some(&b'0') && self.template.after != 0
    }

    /// With FM nothing but the point is left after the point.
    fn ends_at_point(&self) -> bool {
        self.relevant.is_some_and(|at| self.digits[at] == b'.')
    }

    fn opening_sign(&mut self) {
        let reached = self.place >= self.spaces || (self.template.zero && self.zero_start == self.place);
        if self.sign_written || !reached || (self.hides_zero() && !self.ends_at_point()) {
            return;
        }
        if self.template.locale_sign {
            if self.sign_place == SignPlace::Before {
                self.out.push(if self.negative { '-' } else { '+' });
                self.sign_written = true;
            }
            return;
        }
        if self.bracket {
            self.out.push(if self.negative { '<' } else { ' ' });
        } else if self.negative {
            self.out.push('-');
        } else if !self.template.fill {
            self.out.push(' ');
        }
        self.sign_written = true;
    }

    fn digit(&mut self, zero: bool) {
        if self.template.roman {
            return;
        }
        self.inside = false;
        self.opening_sign();
        if self.place < self.spaces {
            if self.template.zero && self.zero_start <= self.place {
                self.out.push('0');
                self.inside = true;
            } else if !self.template.fill {
                self.out.push(' ');
            }
        } else {
            self.number_digit(zero);
            if self.next < self.digits.len() {
                self.next += 1;
            }
        }
        self.closing_sign();
        self.place += 1;
    }

    fn number_digit(&mut self, zero: bool) {
        match self.digits.get(self.next).copied() {
            Some(b'.') => self.out.push('.'),
            _ if self.relevant.is_some_and(|at| self.next > at) && !zero => {}
            _ if self.hides_zero() => {
                if !self.template.fill {
                    self.out.push(' ');
                } else if self.ends_at_point() {
                    self.out.push('0');
                }
            }
            Some(digit) => {
                self.out.push(char::from(digit));
                self.inside = true;
            }
            None => self.inside = true,
        }
    }

    fn closing_sign(&mut self) {
        let mut end = self.count.wrapping_add(usize::from(self.spaces > 0) + usize::from(self.template.point));
        if self.relevant == Some(self.next) {
            end = self.place;
        }
        if self.place + 1 != end {
            return;
        }
        if self.sign_written && self.bracket {
            self.out.push(if self.negative { '>' } else { ' ' });
        } else if self.template.locale_sign && self.sign_place == SignPlace::After {
            self.out.push(if self.negative { '-' } else { '+' });
        }
    }
}
