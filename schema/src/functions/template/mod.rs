//! to_char, to_number, to_date and to_timestamp: values by templates such as `YYYY-MM-DD` and `FM999.00`.
//!
//! A template is cut into nodes (`node`) once for each call; writing and reading walk over them.

mod date_in;
mod date_node;
mod date_out;
mod fields;
mod number;
mod number_in;
mod number_node;
mod number_out;
mod read_fields;

pub(super) use date_in::READ;
pub(super) use date_out::WRITE;
pub(super) use number::NUMBERS;

/// Ordinal ending of a number by its digits.
fn ordinal(digits: &str, upper: bool) -> &'static str {
    let bytes = digits.as_bytes();
    let teen = bytes.len() >= 2 && bytes[bytes.len() - 2] == b'1';
    match (bytes.last(), teen, upper) {
        (Some(b'1'), false, true) => "ST",
        (Some(b'1'), false, false) => "st",
        (Some(b'2'), false, true) => "ND",
        (Some(b'2'), false, false) => "nd",
        (Some(b'3'), false, true) => "RD",
        (Some(b'3'), false, false) => "rd",
        (_, _, true) => "TH",
        (_, _, false) => "th",
    }
}

/// Takes text in double quotes, or the character at the front, as literal text; what follows is left.
///
/// Inside quotes a backslash takes the next character; outside it does so only before a quote.
fn literal(template: &str) -> (String, &str) {
    let Some(quoted) = template.strip_prefix('"') else {
        let rest = if template.starts_with("\\\"") { &template[1..] } else { template };
        let mut chars = rest.chars();
        return (chars.next().into_iter().collect(), chars.as_str());
    };
    let mut text = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    (text, chars.as_str())
}
