//! Cuts date and time input into the fields that PostgreSQL's ParseDateTime sees.

/// A piece of input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Digits, with `.`, `-`, `/` or `:` between: what it is shows in the parser.
    Number(String),
    /// A word, lower case; may contain `/` and `_` (time zone names).
    Word(String),
    /// A sign and a number or offset.
    Signed(String),
}

/// Splits the input; `None` if a character fits nowhere.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            byte if byte.is_ascii_whitespace() || byte == b',' => at += 1,
            byte if byte.is_ascii_digit() || byte == b'.' => {
                at = number_end(bytes, at);
                found.push(Token::Number(text[start..at].to_ascii_lowercase()));
            }
            byte if byte.is_ascii_alphabetic() => {
                at = word_end(bytes, at);
                found.push(Token::Word(text[start..at].to_ascii_lowercase()));
            }
            b'+' | b'-' => {
                at += 1;
                while at < bytes.len() && bytes[at].is_ascii_whitespace() {
                    at += 1;
                }
                let body = at;
                if bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
                    at = word_end(bytes, at);
                } else {
                    while at < bytes.len() && (bytes[at].is_ascii_digit() || matches!(bytes[at], b':' | b'.')) {
                        at += 1;
                    }
                }
                if body == at {
                    return None;
                }
                found.push(Token::Signed(format!(
                    "{}{}",
                    char::from(bytes[start]),
                    text[body..at].to_ascii_lowercase()
                )));
            }
            _ => return None,
        }
    }
    Some(found)
}

/// A date such as 2001-02-03, 1/2/2003 or 3.Feb.2001, a time such as 1:02:03.5, or plain digits.
fn number_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at].is_ascii_digit() {
        at += 1;
    }
    match bytes.get(at) {
        Some(b':') => {
            while at < bytes.len() && (bytes[at].is_ascii_digit() || matches!(bytes[at], b':' | b'.')) {
                at += 1;
            }
            at
        }
        Some(separator @ (b'-' | b'/' | b'.')) => {
            let separator = *separator;
            // A date goes on with digits or a month's name.
            let follows = bytes.get(at + 1).copied().unwrap_or(b' ');
            if !(follows.is_ascii_alphanumeric() || separator == b'.') {
                return at;
            }
            at += 1;
            while at < bytes.len()
                && (bytes[at].is_ascii_alphanumeric() && !is_letter_behind_digit(bytes, at) || bytes[at] == separator)
            {
                at += 1;
            }
            at
        }
        _ => at,
    }
}

/// A letter right behind a digit ends a date: the T before a time, or a zone's Z.
fn is_letter_behind_digit(bytes: &[u8], at: usize) -> bool {
    bytes[at].is_ascii_alphabetic() && at > 0 && bytes[at - 1].is_ascii_digit()
}

fn word_end(bytes: &[u8], mut at: usize) -> usize {
    let zone_part = |at: usize| {
        matches!(bytes[at], b'/' | b'_')
            || (bytes[at] == b'-'
                && bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic)
                && bytes[..at].contains(&b'/'))
    };
    while at < bytes.len() && (bytes[at].is_ascii_alphabetic() || zone_part(at)) {
        at += 1;
    }
    if at < bytes.len() && bytes[at] == b'.' {
        at += 1;
    }
    at
}
