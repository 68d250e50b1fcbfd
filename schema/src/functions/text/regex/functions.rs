//! The regexp_* functions and substring with a pattern.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{
    Flags, compile,
    pattern::{Pattern, Places, next_character},
};
use crate::{
    ArrayValue, Datum, Oid,
    functions::{
        Function,
        table::function,
        text::measure::characters,
        value::{four, mismatch, three, two},
    },
};

const T: Oid = Oid::TEXT;
const I: Oid = Oid::INT4;
const TEXTS: Oid = Oid(1009);

fn invalid(message: String) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, message)
}

/// Options of a function that finds one match only.
fn single_flags(letters: &str, name: &str) -> SqlResult<Flags> {
    let flags = Flags::parse(letters)?;
    if flags.global {
        return Err(invalid(format!("{name}() does not support the \"global\" option")));
    }
    Ok(flags)
}

/// The groups of a match, or the match if the pattern has none, as text[].
fn groups(pattern: &Pattern, text: &str, places: &Places) -> Datum {
    let shown = if pattern.groups() == 0 { &places[..] } else { &places[1..] };
    let part = |place: &Option<(usize, usize)>| place.map_or(Datum::Null, |(from, to)| Datum::text(&text[from..to]));
    let values: Vec<Datum> = shown.iter().map(part).collect();
    let dims = vec![(values.len() as i32, 1)];
    Datum::Array(std::sync::Arc::new(ArrayValue { element: T, dims, values }))
}

fn regexp_match(text: &str, pattern: &str, letters: &str) -> SqlResult<Option<Datum>> {
    let flags = Flags::parse(letters)?;
    if flags.global {
        return Err(invalid("regexp_match() does not support the \"global\" option".to_owned())
            .with_hint("Use the regexp_matches function instead."));
    }
    let pattern = compile(pattern, flags)?;
    Ok(pattern.find_at(text, 0).map(|places| groups(&pattern, text, &places)))
}

/// Rows of regexp_matches: one, or all with the option g.
pub(in crate::functions) fn matches(text: &str, pattern: &str, letters: &str) -> SqlResult<Vec<Datum>> {
    let flags = Flags::parse(letters)?;
    let pattern = compile(pattern, flags)?;
    let all = if flags.global { pattern.find_all(text) } else { pattern.find_at(text, 0).into_iter().collect() };
    Ok(all.iter().map(|places| groups(&pattern, text, places)).collect())
}

/// The parts between matches. Empty matches at the ends and next to another match do not count.
pub(in crate::functions) fn split<'t>(
    text: &'t str,
    pattern: &str,
    letters: &str,
    name: &str,
) -> SqlResult<Vec<&'t str>> {
    let pattern = compile(pattern, single_flags(letters, name)?)?;
    let mut parts = Vec::new();
    let mut previous = 0;
    for places in pattern.find_all(text) {
        let Some((from, to)) = places[0] else { continue };
        if from == to && (from >= text.len() || to <= previous) {
            continue;
        }
        parts.push(&text[previous..from]);
        previous = to;
    }
    parts.push(&text[previous..]);
    Ok(parts)
}

fn split_to_array(text: &str, pattern: &str, letters: &str) -> SqlResult<ArrayValue> {
    let parts = split(text, pattern, letters, "regexp_split_to_array")?;
    let values: Vec<Datum> = parts.into_iter().map(Datum::text).collect();
    Ok(ArrayValue { element: T, dims: vec![(values.len() as i32, 1)], values })
}

/// Appends a replacement: `\1` to `\9` are groups, `\&` is the match, `\\` a backslash.
fn expand(replacement: &str, text: &str, places: &Places, out: &mut String) {
    let mut chars = replacement.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let after = chars.clone().next();
        let group = match after {
            Some('&') => Some(0),
            Some(digit @ '1'..='9') => digit.to_digit(10).map(|digit| digit as usize),
            _ => None,
        };
        match (group, after) {
            (Some(group), _) => {
                chars.next();
                if let Some(Some((from, to))) = places.get(group) {
                    out.push_str(&text[*from..*to]);
                }
            }
            (None, Some('\\')) => {
                chars.next();
                out.push('\\');
            }
            // A backslash before anything else stands for itself.
            _ => out.push('\\'),
        }
    }
}

/// Replaces the `wanted`th match (all for 0) from a place on.
fn replace(
    text: &str,
    pattern: &str,
    replacement: &str,
    from: usize,
    wanted: usize,
    flags: Flags,
) -> SqlResult<String> {
    let pattern = compile(pattern, flags)?;
    let mut out = String::with_capacity(text.len());
    let (mut copied, mut search, mut count) = (0, from, 0);
    while let Some(places) = pattern.find_at(text, search) {
        let Some((start, end)) = places[0] else { break };
        count += 1;
        search = if start == end { next_character(text, end) } else { end };
        if wanted > 0 && count != wanted {
            continue;
        }
        out.push_str(&text[copied..start]);
        expand(replacement, text, &places, &mut out);
        copied = end;
        if wanted > 0 {
            break;
        }
    }
    out.push_str(&text[copied..]);
    Ok(out)
}

fn replace_flagged(text: &str, pattern: &str, replacement: &str, letters: &str) -> SqlResult<String> {
    if letters.starts_with(|c: char| c.is_ascii_digit()) {
        let message = format!("invalid regular expression option: \"{}\"", &letters[..1]);
        return Err(invalid(message)
            .with_hint("If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly."));
    }
    let flags = Flags::parse(letters)?;
    replace(text, pattern, replacement, 0, usize::from(!flags.global), flags)
}

/// Byte offset of a character's number; beyond the end for numbers too great.
fn offset(text: &str, start: i32) -> SqlResult<usize> {
    if start <= 0 {
        return Err(bad_parameter("start", start));
    }
    Ok(if start as usize > text.chars().count() + 1 {
        text.len() + 1
    } else {
        characters(text, 0, start as usize - 1).len()
    })
}

fn bad_parameter(name: &str, value: i32) -> SqlError {
    invalid(format!("invalid value for parameter \"{name}\": {value}"))
}

/// An argument that is an integer, or its default where it was left out.
fn integer(args: &[Datum], at: usize, default: i32) -> SqlResult<i32> {
    match args.get(at) {
        None => Ok(default),
        Some(Datum::Int4(value)) => Ok(*value),
        Some(_) => Err(mismatch(args)),
    }
}

fn letters(args: &[Datum], at: usize) -> SqlResult<&str> {
    match args.get(at) {
        None => Ok(""),
        Some(Datum::Text(letters)) => Ok(letters),
        Some(_) => Err(mismatch(args)),
    }
}

fn subject(args: &[Datum]) -> SqlResult<(&str, &str)> {
    match args {
        [Datum::Text(text), Datum::Text(pattern), ..] => Ok((text, pattern)),
        _ => Err(mismatch(args)),
    }
}

fn replace_from(args: &[Datum]) -> SqlResult<Datum> {
    let (text, pattern) = subject(args)?;
    let Some(Datum::Text(replacement)) = args.get(2) else { return Err(mismatch(args)) };
    let start = integer(args, 3, 1)?;
    let count = integer(args, 4, 1)?;
    let flags = single_flags_unless_counted(args)?;
    if start <= 0 {
        return Err(bad_parameter("start", start));
    }
    if count < 0 {
        return Err(bad_parameter("n", count));
    }
    let from = offset(text, start)?;
    Ok(Datum::text(replace(text, pattern, replacement, from, count as usize, flags)?))
}

/// With a count the option g is ignored.
fn single_flags_unless_counted(args: &[Datum]) -> SqlResult<Flags> {
    Ok(Flags { global: false, ..Flags::parse(letters(args, 5)?)? })
}

/// regexp_count(text, pattern [, start [, flags]])
fn count(args: &[Datum]) -> SqlResult<Datum> {
    let (text, pattern) = subject(args)?;
    let start = offset(text, integer(args, 2, 1)?)?;
    let flags = single_flags(letters(args, 3)?, "regexp_count")?;
    Ok(Datum::Int4(find_from(&*compile(pattern, flags)?, text, start).len() as i32))
}

fn find_from(pattern: &Pattern, text: &str, start: usize) -> Vec<Places> {
    let mut all = pattern.find_all(text);
    if start > 0 {
        all.clear();
        let mut search = start;
        while let Some(places) = pattern.find_at(text, search) {
            let Some((from, to)) = places[0] else { break };
            search = if from == to { next_character(text, to) } else { to };
            all.push(places);
        }
    }
    all
}

/// The group of the match that regexp_instr and regexp_substr ask for.
fn wanted(args: &[Datum], name: &str, flags_at: usize) -> SqlResult<Option<(usize, usize)>> {
    let (text, pattern) = subject(args)?;
    let start = offset(text, integer(args, 2, 1)?)?;
    let occurrence = integer(args, 3, 1)?;
    if occurrence <= 0 {
        return Err(bad_parameter("n", occurrence));
    }
    let group = integer(args, flags_at + 1, 0)?;
    if group < 0 {
        return Err(bad_parameter("subexpr", group));
    }
    let pattern = compile(pattern, single_flags(letters(args, flags_at)?, name)?)?;
    let found = find_from(&pattern, text, start);
    Ok(found.get(occurrence as usize - 1).and_then(|places| places.get(group as usize).copied().flatten()))
}

/// regexp_instr(text, pattern [, start [, n [, end [, flags [, group]]]]])
fn instr(args: &[Datum]) -> SqlResult<Datum> {
    let after = integer(args, 4, 0)?;
    if !matches!(after, 0 | 1) {
        return Err(bad_parameter("endoption", after));
    }
    let (text, _) = subject(args)?;
    let found = wanted(args, "regexp_instr", 5)?;
    let place = |(from, to): (usize, usize)| text[..if after == 1 { to } else { from }].chars().count() as i32 + 1;
    Ok(Datum::Int4(found.map_or(0, place)))
}

/// regexp_substr(text, pattern [, start [, n [, flags [, group]]]])
fn substr(args: &[Datum]) -> SqlResult<Datum> {
    let (text, _) = subject(args)?;
    Ok(wanted(args, "regexp_substr", 4)?.map_or(Datum::Null, |(from, to)| Datum::text(&text[from..to])))
}

fn substring(text: &str, pattern: &str) -> SqlResult<Option<String>> {
    let pattern = compile(pattern, Flags::NONE)?;
    let place = pattern.find_at(text, 0).and_then(|places| places[usize::from(pattern.groups() > 0)]);
    Ok(place.map(|(from, to)| text[from..to].to_owned()))
}

fn like(text: &str, pattern: &str, letters: &str) -> SqlResult<bool> {
    Ok(compile(pattern, single_flags(letters, "regexp_like")?)?.is_match(text))
}

/// Functions that look for matches.
pub(in crate::functions) static INSPECT: &[Function] = &[
    function("substring", &[T, T], T, |_, args| two(args, substring)),
    function("regexp_like", &[T, T], Oid::BOOL, |_, args| {
        two(args, |text: &str, pattern: &str| like(text, pattern, ""))
    }),
    function("regexp_like", &[T, T, T], Oid::BOOL, |_, args| three(args, like)),
    function("regexp_match", &[T, T], TEXTS, |_, args| {
        two(args, |text: &str, pattern: &str| regexp_match(text, pattern, ""))
    }),
    function("regexp_match", &[T, T, T], TEXTS, |_, args| three(args, regexp_match)),
    function("regexp_count", &[T, T], I, |_, args| count(args)),
    function("regexp_count", &[T, T, I], I, |_, args| count(args)),
    function("regexp_count", &[T, T, I, T], I, |_, args| count(args)),
    function("regexp_instr", &[T, T], I, |_, args| instr(args)),
    function("regexp_instr", &[T, T, I], I, |_, args| instr(args)),
    function("regexp_instr", &[T, T, I, I], I, |_, args| instr(args)),
    function("regexp_instr", &[T, T, I, I, I], I, |_, args| instr(args)),
    function("regexp_instr", &[T, T, I, I, I, T], I, |_, args| instr(args)),
    function("regexp_instr", &[T, T, I, I, I, T, I], I, |_, args| instr(args)),
    function("regexp_substr", &[T, T], T, |_, args| substr(args)),
    function("regexp_substr", &[T, T, I], T, |_, args| substr(args)),
    function("regexp_substr", &[T, T, I, I], T, |_, args| substr(args)),
    function("regexp_substr", &[T, T, I, I, T], T, |_, args| substr(args)),
    function("regexp_substr", &[T, T, I, I, T, I], T, |_, args| substr(args)),
];

/// regexp_replace
pub(in crate::functions) static REPLACE: &[Function] = &[
    function("regexp_replace", &[T, T, T], T, |_, args| {
        three(args, |text: &str, pattern: &str, new: &str| replace(text, pattern, new, 0, 1, Flags::NONE))
    }),
    function("regexp_replace", &[T, T, T, T], T, |_, args| four(args, replace_flagged)),
    function("regexp_replace", &[T, T, T, I], T, |_, args| replace_from(args)),
    function("regexp_replace", &[T, T, T, I, I], T, |_, args| replace_from(args)),
    function("regexp_replace", &[T, T, T, I, I, T], T, |_, args| replace_from(args)),
];

/// regexp_split_to_array
pub(in crate::functions) static SPLIT: &[Function] = &[
    function("regexp_split_to_array", &[T, T], TEXTS, |_, args| {
        two(args, |text: &str, pattern: &str| split_to_array(text, pattern, ""))
    }),
    function("regexp_split_to_array", &[T, T, T], TEXTS, |_, args| three(args, split_to_array)),
];
