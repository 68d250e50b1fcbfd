//! Syntax of parameter values: booleans, numbers with units, enums. Errors are PostgreSQL's.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{Kind, Parameter};

/// Checks a value and answers its stored form: on/off, the number in base units, the enum value as declared.
pub(crate) fn normalize(parameter: &Parameter, text: &str) -> SqlResult<String> {
    match &parameter.kind {
        Kind::Bool => match parse_bool(text) {
            Some(value) => Ok(if value { "on" } else { "off" }.to_owned()),
            None => Err(invalid(format!("parameter \"{}\" requires a Boolean value", parameter.name))),
        },
        Kind::Integer { min, max } => {
            let value = parse_number(text, parameter.unit).ok_or_else(|| bad_number(parameter, text))?;
            let value = value.round_ties_even();
            check_range(parameter, &format!("{value}"), value >= *min as f64 && value <= *max as f64, *min, *max)?;
            Ok(format!("{value}"))
        }
        Kind::Real { min, max } => {
            let value = parse_number(text, parameter.unit).ok_or_else(|| bad_number(parameter, text))?;
            check_range(parameter, &format!("{value}"), value >= *min && value <= *max, *min, *max)?;
            Ok(format!("{value}"))
        }
        Kind::Enum { values } => normalize_enum(parameter, values, text),
        Kind::String => Ok(text.to_owned()),
    }
}

/// The form SHOW prints: numbers with the largest unit that fits.
pub(crate) fn show(parameter: &Parameter, stored: &str) -> String {
    match (&parameter.kind, parameter.unit) {
        (Kind::Integer { .. }, unit) if !unit.is_empty() => match stored.parse::<i64>() {
            Ok(value) if value > 0 => show_with_unit(value, unit),
            _ => stored.to_owned(),
        },
        (Kind::Real { .. }, unit) if !unit.is_empty() && stored != "0" && !stored.starts_with('-') => {
            format!("{stored}{unit}")
        }
        _ => stored.to_owned(),
    }
}

/// true, false, yes, no, on, off and their prefixes, 1 and 0.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    let text = text.trim().to_ascii_lowercase();
    let prefix_of = |word: &str, min: usize| text.len() >= min && word.starts_with(&text);
    if prefix_of("true", 1) || prefix_of("yes", 1) || text == "on" || text == "1" {
        Some(true)
    } else if prefix_of("false", 1) || prefix_of("no", 1) || prefix_of("off", 2) || text == "0" {
        Some(false)
    } else {
        None
    }
}

/// Name, and size in the smallest unit of its family.
const MEMORY_UNITS: [(&str, f64); 5] =
    [("TB", 1_099_511_627_776.0), ("GB", 1_073_741_824.0), ("MB", 1_048_576.0), ("kB", 1024.0), ("B", 1.0)];
const TIME_UNITS: [(&str, f64); 6] = [
    ("d", 86_400_000_000.0),
    ("h", 3_600_000_000.0),
    ("min", 60_000_000.0),
    ("s", 1_000_000.0),
    ("ms", 1000.0),
    ("us", 1.0),
];

/// The units a base unit belongs to, and the base unit's size.
fn family(unit: &str) -> Option<(&'static [(&'static str, f64)], f64)> {
    match unit {
        "B" => Some((&MEMORY_UNITS, 1.0)),
        "kB" => Some((&MEMORY_UNITS, 1024.0)),
        "8kB" => Some((&MEMORY_UNITS, 8192.0)),
        "MB" => Some((&MEMORY_UNITS, 1_048_576.0)),
        "us" => Some((&TIME_UNITS, 1.0)),
        "ms" => Some((&TIME_UNITS, 1000.0)),
        "s" => Some((&TIME_UNITS, 1_000_000.0)),
        "min" => Some((&TIME_UNITS, 60_000_000.0)),
        _ => None,
    }
}

fn parse_number(text: &str, unit: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.trim_start_matches(['+', '-']);
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        let value = i64::from_str_radix(hex, 16).ok()? as f64;
        return Some(if text.starts_with('-') { -value } else { value });
    }
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | 'e' | 'E');
    let end = text.find(|c| !is_number(c)).unwrap_or(text.len());
    let value: f64 = text[..end].parse().ok()?;
    let suffix = text[end..].trim();
    if suffix.is_empty() {
        return Some(value);
    }
    let (units, base) = family(unit)?;
    let (_, size) = units.iter().find(|(name, _)| *name == suffix)?;
    Some(value * size / base)
}

fn show_with_unit(value: i64, unit: &str) -> String {
    let Some((units, base)) = family(unit) else { return value.to_string() };
    let total = value as f64 * base;
    match units.iter().find(|(_, size)| total % size == 0.0) {
        Some((name, size)) => format!("{}{name}", total / size),
        None => format!("{value}{unit}"),
    }
}

fn normalize_enum(parameter: &Parameter, values: &[&'static str], text: &str) -> SqlResult<String> {
    if let Some(value) = values.iter().find(|value| value.eq_ignore_ascii_case(text)) {
        return Ok((*value).to_owned());
    }
    // Enums with on and off also take the other spellings of booleans, unlisted.
    let word = match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => "on",
        "false" | "no" | "0" => "off",
        "debug" if values.contains(&"debug2") => "debug2",
        _ => "",
    };
    if let Some(value) = values.iter().find(|value| !word.is_empty() && **value == word) {
        return Ok((*value).to_owned());
    }
    let hint = format!("Available values: {}.", values.join(", "));
    Err(invalid_value(parameter.name, text).with_hint(hint))
}

fn bad_number(parameter: &Parameter, text: &str) -> SqlError {
    let error = invalid_value(parameter.name, text);
    let starts_as_number = text.trim().starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    match (starts_as_number, family(parameter.unit)) {
        (true, Some((units, _))) if units.len() == MEMORY_UNITS.len() => {
            error.with_hint("Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".")
        }
        (true, Some(_)) => {
            error.with_hint("Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".")
        }
        _ => error,
    }
}

fn check_range<T: std::fmt::Display>(
    parameter: &Parameter,
    value: &str,
    inside: bool,
    min: T,
    max: T,
) -> SqlResult<()> {
    if inside {
        return Ok(());
    }
    let space = if parameter.unit.is_empty() { "" } else { " " };
    Err(invalid(format!(
        "{value}{space}{} is outside the valid range for parameter \"{}\" ({min} .. {max})",
        parameter.unit, parameter.name
    )))
}

/// 22023 for a value that the parameter does not take.
pub(crate) fn invalid_value(name: &str, text: &str) -> SqlError {
    invalid(format!("invalid value for parameter \"{name}\": \"{text}\""))
}

fn invalid(message: String) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, message)
}

#[cfg(test)]
mod tests {
    use super::super::registry::{parameters, position};
    use super::*;

    fn set(name: &str, text: &str) -> Result<String, String> {
        let parameter = &parameters()[position(name).expect("a known parameter")];
        match normalize(parameter, text) {
            Ok(stored) => Ok(show(parameter, &stored)),
            Err(error) => Err(error.message().to_owned()),
        }
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!(set("work_mem", "1.5MB").as_deref(), Ok("1536kB"));
        assert_eq!(set("work_mem", "4096").as_deref(), Ok("4MB"));
        assert_eq!(set("statement_timeout", "90s").as_deref(), Ok("90s"));
        assert_eq!(set("statement_timeout", "1500").as_deref(), Ok("1500ms"));
        assert_eq!(set("statement_timeout", "0").as_deref(), Ok("0"));
        assert_eq!(set("shared_buffers", "16384").as_deref(), Ok("128MB"));
        let range = "-5 ms is outside the valid range for parameter \"statement_timeout\" (0 .. 2147483647)";
        assert_eq!(set("statement_timeout", "-5").unwrap_err(), range);
        assert!(set("work_mem", "1 foo").is_err());
    }

    #[test]
    fn booleans_and_enums_take_prefixes_and_any_case() {
        assert_eq!(set("enable_seqscan", "F").as_deref(), Ok("off"));
        assert_eq!(set("enable_seqscan", "yes").as_deref(), Ok("on"));
        assert!(set("enable_seqscan", "maybe").is_err());
        assert_eq!(set("IntervalStyle", "ISO_8601").as_deref(), Ok("iso_8601"));
        assert_eq!(set("synchronous_commit", "true").as_deref(), Ok("on"));
    }
}
