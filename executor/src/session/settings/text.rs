//! String parameters with a syntax of their own: DateStyle, client_encoding, search_path.

use proto::{SqlResult, SqlState};
use schema::{DateOrder, DateStyle};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::value::invalid_value;

/// Applies a DateStyle list to the present style.
pub(crate) fn date_style(text: &str, present: (DateStyle, DateOrder)) -> SqlResult<(DateStyle, DateOrder)> {
    let (mut style, mut order) = present;
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "iso" => style = DateStyle::Iso,
            "sql" => style = DateStyle::Sql,
            "postgres" => style = DateStyle::Postgres,
            "german" => {
                style = DateStyle::German;
                order = DateOrder::Dmy;
            }
            "ymd" => order = DateOrder::Ymd,
            "dmy" | "euro" | "european" => order = DateOrder::Dmy,
            "mdy" | "us" | "noneuro" | "noneuropean" => order = DateOrder::Mdy,
            "default" => (style, order) = (DateStyle::Iso, DateOrder::Mdy),
            _ => {
                let detail = format!("Unrecognized key word: \"{word}\".");
                return Err(invalid_value("DateStyle", text).with_detail(detail));
            }
        }
    }
    Ok((style, order))
}

/// As SHOW prints it.
pub(crate) fn show_date_style((style, order): (DateStyle, DateOrder)) -> String {
    let style = match style {
        DateStyle::Iso => "ISO",
        DateStyle::Sql => "SQL",
        DateStyle::Postgres => "Postgres",
        DateStyle::German => "German",
    };
    let order = match order {
        DateOrder::Mdy => "MDY",
        DateOrder::Dmy => "DMY",
        DateOrder::Ymd => "YMD",
    };
    format!("{style}, {order}")
}

/// Only UTF8 is spoken; SQL_ASCII sends the same bytes.
pub(crate) fn client_encoding(text: &str) -> SqlResult<&'static str> {
    let name: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match name.as_str() {
        "utf8" | "unicode" => Ok("UTF8"),
        "sqlascii" => Ok("SQL_ASCII"),
        "latin1" | "latin2" | "latin9" | "iso88591" | "win1252" | "win1251" | "koi8r" | "eucjp" | "sjis" | "gbk"
        | "big5" => {
            let message = format!("conversion between {} and UTF8 is not supported", text.to_ascii_uppercase());
            Err(proto::SqlError::new(SqlState::FeatureNotSupported, message))
        }
        _ => Err(invalid_value("client_encoding", text)),
    }
}

/// Splits a list of identifiers: quoted ones as they are, others folded to lower case.
pub(crate) fn identifier_list(name: &str, text: &str) -> SqlResult<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (identifier, tail) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_identifier(quoted).ok_or_else(|| invalid_list(name, text))?,
            None => {
                let end = rest.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(rest.len());
                (rest[..end].to_lowercase(), &rest[end..])
            }
        };
        names.push(identifier);
        rest = match tail.trim_start() {
            "" => break,
            tail => tail.strip_prefix(',').ok_or_else(|| invalid_list(name, text))?.trim_start(),
        };
        if rest.is_empty() {
            return Err(invalid_list(name, text));
        }
    }
    Ok(names)
}

fn quoted_identifier(text: &str) -> Option<(String, &str)> {
    let mut identifier = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        if c != '"' {
            identifier.push(c);
        } else if text[i + 1..].starts_with('"') {
            identifier.push('"');
            chars.next();
        } else {
            return Some((identifier, &text[i + 1..]));
        }
    }
    None
}

fn invalid_list(name: &str, text: &str) -> proto::SqlError {
    invalid_value(name, text).with_detail("List syntax is invalid.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_identifiers() {
        let list = identifier_list("search_path", "\"a b\", C, \"$user\", \"x\"\"y\"").expect("a list");
        assert_eq!(list, ["a b", "c", "$user", "x\"y"]);
        assert!(identifier_list("search_path", "a,").is_err());
        assert_eq!(identifier_list("search_path", "\"\"").expect("a list"), [""]);
    }

    #[test]
    fn date_styles_combine() {
        let iso = (DateStyle::Iso, DateOrder::Mdy);
        assert_eq!(show_date_style(date_style("german", iso).expect("known")), "German, DMY");
        assert_eq!(show_date_style(date_style("iso, dmy", iso).expect("known")), "ISO, DMY");
        assert!(date_style("foo", iso).is_err());
    }
}
