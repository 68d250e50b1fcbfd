//! Quoting, format(), concat() and concat_ws().

use std::borrow::Cow;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::write_output;
use crate::{
    Datum, Oid,
    functions::{
        EvalContext, Function,
        table::function,
        value::{mismatch, one},
    },
};

const T: Oid = Oid::TEXT;

/// Words that an identifier must be quoted for: every keyword of the grammar that is not unreserved.
const KEYWORDS: &str = " all analyse analyze and any array as asc asymmetric authorization between bigint binary bit \
    boolean both case cast char character check coalesce collate collation column concurrently constraint create cross \
    current_catalog current_date current_role current_schema current_time current_timestamp current_user dec decimal \
    default deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full \
    grant greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull \
    join lateral leading least left like limit localtime localtimestamp national natural nchar none normalize not \
    notnull null nullif numeric offset on only or order out outer overlaps overlay placing position precision primary \
    real references returning right row select session_user setof similar smallint some substring symmetric table \
    tablesample then time timestamp to trailing treat trim true union unique user using values varchar variadic verbose \
    when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot \
    xmlserialize xmltable ";

/// An identifier, in double quotes where it needs them.
pub fn quote_identifier(name: &str) -> Cow<'_, str> {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if plain && !KEYWORDS.contains(&format!(" {name} ")) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// A string literal; with a backslash in it in the form `E'…'`.
pub fn quote_literal(text: &str) -> String {
    let prefix = if text.contains('\\') { "E" } else { "" };
    format!("{prefix}'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn shown(env: &EvalContext, value: &Datum) -> String {
    let mut out = String::new();
    super::write_as_text(env, value, &mut out);
    out
}

fn quote_nullable(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    match args {
        [Datum::Null] => Ok(Datum::text("NULL")),
        [value] => Ok(Datum::text(quote_literal(&shown(env, value)))),
        _ => Err(mismatch(args)),
    }
}

fn concat(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let mut out = String::new();
    args.iter().for_each(|value| write_output(env, value, &mut out));
    Ok(Datum::text(out))
}

fn concat_ws(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let [separator, values @ ..] = args else { return Err(mismatch(args)) };
    let Datum::Text(separator) = separator else { return Ok(Datum::Null) };
    let mut out = String::new();
    for (at, value) in values.iter().filter(|value| !value.is_null()).enumerate() {
        if at > 0 {
            out.push_str(separator);
        }
        write_output(env, value, &mut out);
    }
    Ok(Datum::text(out))
}

/// Quoting and concatenation.
pub(in crate::functions) static QUOTES: &[Function] = &[
    function("quote_ident", &[T], T, |_, args| one(args, |name: &str| quote_identifier(name).into_owned())),
    function("quote_literal", &[T], T, |_, args| one(args, quote_literal)),
    function("quote_literal", &[Oid::ANYELEMENT], T, |env, args| {
        one(args, |value: &Datum| quote_literal(&shown(env, value)))
    })
    .stable(),
    function("quote_nullable", &[T], T, quote_nullable).lenient(),
    function("quote_nullable", &[Oid::ANYELEMENT], T, quote_nullable).lenient().stable(),
    function("concat", &[], T, concat).variadic(Oid::ANY).lenient().stable(),
    function("concat_ws", &[T], T, concat_ws).variadic(Oid::ANY).lenient().stable(),
    function("format", &[T], T, format).lenient().stable(),
    function("format", &[T], T, format).variadic(Oid::ANY).lenient().stable(),
];

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, message)
}

/// One conversion of a format string.
#[derive(Debug, Default)]
struct Specifier {
    position: Option<usize>,
    left: bool,
    width: Option<i64>,
    /// `*`: the width is an argument, perhaps at a given place.
    width_argument: Option<Option<usize>>,
}

struct Formatter<'a> {
    env: &'a EvalContext,
    args: &'a [Datum],
    next: usize,
    out: String,
}

impl Formatter<'_> {
    fn argument(&mut self, position: Option<usize>) -> SqlResult<Datum> {
        let at = position.map_or(self.next, |position| position - 1);
        self.next = at + 1;
        self.args.get(at).cloned().ok_or_else(|| invalid("too few arguments for format()"))
    }

    fn width(&mut self, specifier: &Specifier) -> SqlResult<i64> {
        match specifier.width_argument {
            None => Ok(specifier.width.unwrap_or(0)),
            Some(position) => match self.argument(position)? {
                Datum::Null => Ok(0),
                Datum::Int2(width) => Ok(width.into()),
                Datum::Int4(width) => Ok(width.into()),
                Datum::Int8(width) => Ok(width),
                other => {
                    let text = shown(self.env, &other);
                    text.trim().parse::<i32>().map(i64::from).map_err(|_| {
                        let message = format!("invalid input syntax for type integer: \"{text}\"");
                        SqlError::new(SqlState::InvalidTextRepresentation, message)
                    })
                }
            },
        }
    }

    fn convert(&mut self, specifier: &Specifier, conversion: char) -> SqlResult<()> {
        let width = self.width(specifier)?;
        let value = self.argument(specifier.position)?;
        let text = match (conversion, &value) {
            ('I', Datum::Null) => {
                let message = "null values cannot be formatted as an SQL identifier";
                return Err(SqlError::new(SqlState::NullValueNotAllowed, message));
            }
            ('L', Datum::Null) => "NULL".to_owned(),
            (_, Datum::Null) => String::new(),
            ('I', value) => quote_identifier(&self.shown(value)).into_owned(),
            ('L', value) => quote_literal(&self.shown(value)),
            (_, value) => self.shown(value),
        };
        let missing = (width.unsigned_abs() as usize).saturating_sub(text.chars().count());
        if missing > 1 << 29 {
            return Err(super::change::too_long());
        }
        let padding = " ".repeat(missing);
        if specifier.left || width < 0 {
            self.out.push_str(&text);
            self.out.push_str(&padding);
        } else {
            self.out.push_str(&padding);
            self.out.push_str(&text);
        }
        Ok(())
    }

    fn shown(&self, value: &Datum) -> String {
        let mut out = String::new();
        write_output(self.env, value, &mut out);
        out
    }
}

/// Digits at the front and what follows.
fn digits(text: &str) -> SqlResult<Option<(i64, &str)>> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 {
        return Ok(None);
    }
    let number: i32 = text[..end].parse().map_err(|_| invalid("number is out of range"))?;
    Ok(Some((number.into(), &text[end..])))
}

fn argument_number(number: i64) -> SqlResult<usize> {
    if number == 0 {
        return Err(invalid("format specifies argument 0, but arguments are numbered from 1"));
    }
    Ok(number as usize)
}

/// Reads `[position$][-][width]`.
fn specifier(mut rest: &str) -> SqlResult<(Specifier, &str)> {
    let mut found = Specifier::default();
    if let Some((number, after)) = digits(rest)? {
        match after.strip_prefix('$') {
            Some(after) => {
                found.position = Some(argument_number(number)?);
                rest = after;
            }
            None => {
                found.width = Some(number);
                return Ok((found, after));
            }
        }
    }
    while let Some(after) = rest.strip_prefix('-') {
        found.left = true;
        rest = after;
    }
    if let Some(after) = rest.strip_prefix('*') {
        rest = after;
        found.width_argument = Some(None);
        if let Some((number, after)) = digits(rest)? {
            rest = after.strip_prefix('$').ok_or_else(|| invalid("width argument position must be ended by \"$\""))?;
            found.width_argument = Some(Some(argument_number(number)?));
        }
    } else if let Some((number, after)) = digits(rest)? {
        found.width = Some(number);
        rest = after;
    }
    Ok((found, rest))
}

fn format(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let Some(Datum::Text(pattern)) = args.first() else { return Ok(Datum::Null) };
    let mut formatter = Formatter { env, args: &args[1..], next: 0, out: String::with_capacity(pattern.len()) };
    let mut rest: &str = pattern;
    while let Some(at) = rest.find('%') {
        formatter.out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            formatter.out.push('%');
            rest = after;
            continue;
        }
        let (found, after) = specifier(rest)?;
        let mut chars = after.chars();
        match chars.next() {
            Some(conversion @ ('s' | 'I' | 'L')) => formatter.convert(&found, conversion)?,
            Some(other) => {
                return Err(invalid(format!("unrecognized format() type specifier \"{other}\""))
                    .with_hint("For a single \"%\" use \"%%\"."));
            }
            None => {
                return Err(invalid("unterminated format() type specifier").with_hint("For a single \"%\" use \"%%\"."));
            }
        }
        rest = chars.as_str();
    }
    formatter.out.push_str(rest);
    Ok(Datum::text(formatter.out))
}
