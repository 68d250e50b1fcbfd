//! to_char of numbers and to_number.

use proto::SqlResult;
use sharddb_proto as proto;

use super::{
    number_in::read,
    number_node::{Node, Template},
    number_out::{Shown, write},
};
use crate::{
    Numeric, Oid,
    functions::{Function, table::function, value::two},
};

const T: Oid = Oid::TEXT;
/// Width of Roman numerals.
const ROMAN_WIDTH: usize = 15;

/// Digits of a rounded number, and how far the template's places reach before them.
fn fit(template: &mut Template, text: &str) -> Shown {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let integer = digits.find('.').unwrap_or(digits.len());
    if integer > template.before {
        // It does not fit: marks instead of digits.
        let marks = format!("{}.{}", "#".repeat(template.before), "#".repeat(template.after));
        return Shown { negative, digits: marks, spaces: 0 };
    }
    Shown { negative, digits: digits.to_owned(), spaces: template.before - integer }
}

fn roman(value: Option<i64>, template: &Template) -> String {
    const NUMERALS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut text = String::new();
    match value {
        Some(mut rest @ 1..=3999) => {
            for (number, numeral) in NUMERALS {
                while rest >= number {
                    text.push_str(numeral);
                    rest -= number;
                }
            }
        }
        _ => text = "#".repeat(ROMAN_WIDTH),
    }
    let mut out = String::new();
    for node in &template.nodes {
        match node {
            Node::Roman(upper) => {
                let cased = if *upper { text.clone() } else { text.to_ascii_lowercase() };
                if template.fill { out.push_str(&cased) } else { out.push_str(&format!("{cased:>ROMAN_WIDTH$}")) }
            }
            Node::Literal(text) => out.push_str(text),
            _ => {}
        }
    }
    out
}

/// d.ddde+xx with a space where there is no minus.
fn scientific(value: &Numeric, digits: usize) -> SqlResult<String> {
    let (sign, magnitude) = if value.signum() < 0 { ("-", value.neg()) } else { (" ", value.clone()) };
    if magnitude.signum() == 0 {
        let zeros = if digits > 0 { format!(".{}", "0".repeat(digits)) } else { String::new() };
        return Ok(format!("{sign}0{zeros}e+00"));
    }
    let text = magnitude.to_string();
    let (integer, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let all: String = [integer, fraction].concat();
    let first = all.find(|c| c != '0').unwrap_or(0);
    let exponent = integer.len() as i64 - 1 - first as i64;
    // The mantissa is rounded after the exponent is chosen, so that it may become 10, as in PostgreSQL.
    let shown = scale(&magnitude, -exponent)?.round(digits as i32);
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    Ok(format!("{sign}{shown}e{exponent_sign}{:02}", exponent.abs()))
}

/// A number times a power of ten.
fn scale(value: &Numeric, exponent: i64) -> SqlResult<Numeric> {
    Numeric::parse(&format!("{value}e{exponent}"))
}

fn is_special(value: &Numeric) -> bool {
    matches!(value, Numeric::NaN | Numeric::Infinity | Numeric::NegInfinity)
}

fn numeric(value: &Numeric, text: &str) -> SqlResult<String> {
    let mut template = Template::parse(text)?;
    if template.roman {
        let rounded = if is_special(value) { None } else { value.to_i64() };
        return Ok(roman(rounded, &template));
    }
    if template.scientific {
        if is_special(value) {
            return Ok(format!(" {}.{}", "#".repeat(template.before), "#".repeat(template.after + 4)));
        }
        return scientific(value, template.after);
    }
    let mut shown = value.clone();
    if template.shift {
        shown = scale(value, template.shifted as i64).unwrap_or_else(|_| value.clone());
        template.before += template.shifted;
    }
    let digits = shown.round(template.after as i32).to_string();
    let fitted = fit(&mut template, &digits);
    Ok(write(&template, fitted))
}

/// Floats show no more digits than they have: `digits` is C's DBL_DIG or FLT_DIG.
fn float(value: f64, digits: usize, text: &str) -> SqlResult<String> {
    let mut template = Template::parse(text)?;
    if template.roman {
        let rounded = value.round_ties_even();
        return Ok(roman((rounded.abs() < 1e9).then_some(rounded as i64), &template));
    }
    if template.scientific {
        if !value.is_finite() {
            return Ok(format!(" {}.{}", "#".repeat(template.before), "#".repeat(template.after + 4)));
        }
        let shown = format!("{value:.*e}", template.after);
        let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if value.is_sign_negative() { "" } else { " " };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return Ok(format!("{sign}{mantissa}e{exponent_sign}{:02}", exponent.abs()));
    }
    let mut value = value;
    if template.shift {
        value *= 10_f64.powi(template.shifted as i32);
        template.before += template.shifted;
    }
    if !value.is_finite() {
        let text = if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        let fitted = fit(&mut template, text);
        return Ok(write(&template, fitted));
    }
    let integer = format!("{:.0}", value.abs()).len();
    template.after = template.after.min(digits.saturating_sub(integer));
    let shown = format!("{value:.*}", template.after);
    let fitted = fit(&mut template, &shown);
    Ok(write(&template, fitted))
}

fn to_number(text: &str, template: &str) -> SqlResult<Option<Numeric>> {
    if template.is_empty() {
        return Ok(None);
    }
    read(text, &Template::parse(template)?).map(Some)
}

/// to_char of numbers, and to_number.
pub(in crate::functions) static NUMBERS: &[Function] = &[
    function("to_char", &[Oid::NUMERIC, T], T, |_, args| two(args, |value: &Numeric, text: &str| numeric(value, text)))
        .stable(),
    function("to_char", &[Oid::INT4, T], T, |_, args| {
        two(args, |value: i32, text: &str| numeric(&i64::from(value).into(), text))
    })
    .stable(),
    function("to_char", &[Oid::INT8, T], T, |_, args| two(args, |value: i64, text: &str| numeric(&value.into(), text)))
        .stable(),
    function("to_char", &[Oid::FLOAT4, T], T, |_, args| {
        two(args, |value: f32, text: &str| float(value.into(), 6, text))
    })
    .stable(),
    function("to_char", &[Oid::FLOAT8, T], T, |_, args| two(args, |value: f64, text: &str| float(value, 15, text)))
        .stable(),
    function("to_number", &[T, T], Oid::NUMERIC, |_, args| two(args, to_number)).stable(),
];
