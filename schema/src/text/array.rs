//! Arrays: `{1,2}`, `{{a,b},{c,d}}`, `[0:1]={x,y}`.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{parse_datum, write_text};
use crate::{ArrayValue, Datum, FormatSettings, SqlType, datetime::Now, functions::CastContext};

/// PostgreSQL's MAXDIM.
const DIMENSIONS_MAX: usize = 6;

fn malformed(text: &str, detail: impl Into<String>) -> SqlError {
    let message = format!("malformed array literal: \"{text}\"");
    SqlError::new(SqlState::InvalidTextRepresentation, message).with_detail(detail)
}

/// Reads an array whose elements have the type `element`.
pub fn parse_array(
    element: SqlType,
    text: &str,
    settings: &FormatSettings,
    now: Now,
    context: CastContext,
) -> SqlResult<Datum> {
    let mut parser =
        Parser { text, rest: text.trim_start_matches(is_space), lengths: Vec::new(), elements: Vec::new() };
    let bounds = parser.bounds()?;
    parser.level(0)?;
    if !parser.rest.trim_matches(is_space).is_empty() {
        return Err(malformed(text, "Junk after closing right brace."));
    }
    if parser.elements.is_empty() {
        return Ok(Datum::Array(Arc::new(ArrayValue { element: element.oid, dims: Vec::new(), values: Vec::new() })));
    }
    let dims = match bounds {
        None => parser.lengths.iter().map(|length| (length.unwrap_or(0), 1)).collect(),
        Some(bounds) => {
            let given = bounds.iter().map(|(lower, upper)| upper - lower + 1);
            if !given.eq(parser.lengths.iter().map(|length| length.unwrap_or(0))) {
                return Err(malformed(text, "Specified array dimensions do not match array contents."));
            }
            bounds.iter().map(|(lower, upper)| (upper - lower + 1, *lower)).collect()
        }
    };
    let read = |part: &Option<String>| match part {
        None => Ok(Datum::Null),
        Some(part) => parse_datum(element, part, settings, now, context),
    };
    let values = parser.elements.iter().map(read).collect::<SqlResult<Vec<Datum>>>()?;
    Ok(Datum::Array(Arc::new(ArrayValue { element: element.oid, dims, values })))
}

struct Parser<'t> {
    text: &'t str,
    rest: &'t str,
    /// Elements at each depth, once known.
    lengths: Vec<Option<i32>>,
    /// `None` for NULL.
    elements: Vec<Option<String>>,
}

/// Only these count as space; others are part of an element.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

impl Parser<'_> {
    /// `[l:u][l:u]=` before the braces.
    fn bounds(&mut self) -> SqlResult<Option<Vec<(i32, i32)>>> {
        if !self.rest.starts_with('[') {
            return Ok(None);
        }
        let (head, rest) =
            self.rest.split_once('=').ok_or_else(|| malformed(self.text, "Missing \"=\" after array dimensions."))?;
        let mut bounds = Vec::new();
        for part in head.trim_matches(is_space).split(']').filter(|part| !part.trim_matches(is_space).is_empty()) {
            let part = part
                .trim_matches(is_space)
                .strip_prefix('[')
                .ok_or_else(|| malformed(self.text, "Missing array dimension value."))?;
            let (lower, upper) = part.split_once(':').unwrap_or(("1", part));
            let number = |text: &str| {
                text.trim_matches(is_space)
                    .parse::<i32>()
                    .map_err(|_| malformed(self.text, "Missing array dimension value."))
            };
            let (lower, upper) = (number(lower)?, number(upper)?);
            if upper < lower {
                let message = "upper bound cannot be less than lower bound";
                return Err(SqlError::new(SqlState::ArraySubscriptError, message));
            }
            bounds.push((lower, upper));
        }
        self.rest = rest.trim_start_matches(is_space);
        Ok(Some(bounds))
    }

    /// One pair of braces.
    fn level(&mut self, depth: usize) -> SqlResult<()> {
        if depth >= DIMENSIONS_MAX {
            let message =
                format!("number of array dimensions ({}) exceeds the maximum allowed ({DIMENSIONS_MAX})", depth + 1);
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
        }
        self.rest = self
            .rest
            .trim_start_matches(is_space)
            .strip_prefix('{')
            .ok_or_else(|| malformed(self.text, "Array value must start with \"{\" or dimension information."))?;
        if self.lengths.len() <= depth {
            self.lengths.push(None);
        }
        let mut count = 0;
        self.rest = self.rest.trim_start_matches(is_space);
        if let Some(rest) = self.rest.strip_prefix('}') {
            self.rest = rest;
            return if depth == 0 { Ok(()) } else { Err(malformed(self.text, "Unexpected \"}\" character.")) };
        }
        loop {
            self.rest = self.rest.trim_start_matches(is_space);
            if self.rest.starts_with('{') {
                self.level(depth + 1)?;
            } else {
                if self.lengths.len() > depth + 1 {
                    return Err(malformed(
                        self.text,
                        "Multidimensional arrays must have sub-arrays with matching dimensions.",
                    ));
                }
                let element = self.element()?;
                self.elements.push(element);
            }
            count += 1;
            self.rest = self.rest.trim_start_matches(is_space);
            let mut chars = self.rest.chars();
            let next = chars.next();
            self.rest = chars.as_str();
            match next {
                Some(',') => {}
                Some('}') => break,
                Some(other) => {
                    return Err(malformed(self.text, format!("Unexpected array element after \"{other}\".")));
                }
                None => return Err(malformed(self.text, "Unexpected end of input.")),
            }
        }
        if *self.lengths[depth].get_or_insert(count) != count {
            return Err(malformed(self.text, "Multidimensional arrays must have sub-arrays with matching dimensions."));
        }
        Ok(())
    }

    fn element(&mut self) -> SqlResult<Option<String>> {
        let quoted = self.rest.starts_with('"');
        let mut value = String::new();
        let mut chars = self.rest.char_indices();
        if quoted {
            chars.next();
        }
        // Unescaped spaces at the end of a bare element do not count.
        let mut kept = 0;
        let mut escaped = false;
        loop {
            let Some((at, c)) = chars.next() else { return Err(malformed(self.text, "Unexpected end of input.")) };
            match c {
                '\\' => {
                    let Some((_, c)) = chars.next() else {
                        return Err(malformed(self.text, "Unexpected end of input."));
                    };
                    value.push(c);
                    (kept, escaped) = (value.len(), true);
                }
                '"' if quoted => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(Some(value));
                }
                ',' | '}' if !quoted => {
                    self.rest = &self.rest[at..];
                    value.truncate(kept);
                    break;
                }
                '"' | '{' if !quoted => return Err(malformed(self.text, format!("Unexpected \"{c}\" character."))),
                c => {
                    value.push(c);
                    if !is_space(c) {
                        kept = value.len();
                    }
                }
            }
        }
        if value.is_empty() {
            return Err(malformed(self.text, "Unexpected \",\" character."));
        }
        Ok((escaped || !value.eq_ignore_ascii_case("null")).then_some(value))
    }
}

/// Writes an array.
pub fn write_array(array: &ArrayValue, settings: &FormatSettings, out: &mut String) {
    if array.dims.is_empty() {
        return out.push_str("{}");
    }
    if array.dims.iter().any(|(_, lower)| *lower != 1) {
        for (length, lower) in &array.dims {
            out.push_str(&format!("[{lower}:{}]", lower + length - 1));
        }
        out.push('=');
    }
    let mut values = array.values.iter();
    write_level(array, 0, &mut values, settings, out);
}

fn write_level<'a>(
    array: &ArrayValue,
    depth: usize,
    values: &mut impl Iterator<Item = &'a Datum>,
    settings: &FormatSettings,
    out: &mut String,
) {
    out.push('{');
    for at in 0..array.dims[depth].0 {
        if at > 0 {
            out.push(',');
        }
        if depth + 1 < array.dims.len() {
            write_level(array, depth + 1, values, settings, out);
        } else if let Some(value) = values.next() {
            write_element(value, SqlType::new(array.element), settings, out);
        }
    }
    out.push('}');
}

fn write_element(value: &Datum, sql_type: SqlType, settings: &FormatSettings, out: &mut String) {
    if value.is_null() {
        return out.push_str("NULL");
    }
    let mut text = String::new();
    write_text(value, sql_type, settings, &mut text);
    let special = |c: char| is_space(c) || matches!(c, '"' | '\\' | '{' | '}' | ',');
    if !text.is_empty() && !text.contains(special) && !text.eq_ignore_ascii_case("null") {
        return out.push_str(&text);
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}
