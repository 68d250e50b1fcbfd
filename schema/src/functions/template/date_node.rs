//! Cutting templates of dates and times into nodes.

use super::literal;

/// A field of a template. Those that show words know their letter case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// AM, PM; with dots.
    Meridiem {
        dots: bool,
    },
    /// AD, BC; with dots.
    Era {
        dots: bool,
    },
    Century,
    DayName,
    DayShort,
    DayOfYear,
    Day,
    DayOfWeek,
    IsoDayOfYear,
    IsoDayOfWeek,
    IsoWeek,
    /// The last digits of the ISO year.
    IsoYear(u32),
    Julian,
    /// FF1 to FF6.
    Fraction(u32),
    Milliseconds,
    Microseconds,
    /// FX: reading is exact.
    Exact,
    Hour24,
    Hour12,
    Minute,
    Second,
    SecondOfDay,
    Month,
    MonthName,
    MonthShort,
    Roman,
    Quarter,
    Week,
    WeekOfMonth,
    /// Y,YYY
    YearWithComma,
    /// The last digits of the year.
    Year(u32),
    ZoneName,
    ZoneHours,
    ZoneMinutes,
    ZoneOffset,
}

/// Letter case of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Capitalized,
    Lower,
}

/// A field with what stands around it.
#[derive(Clone, Debug)]
pub(super) struct FieldNode {
    pub(super) field: Field,
    pub(super) case: Case,
    /// The keyword as the template has it.
    pub(super) keyword: String,
    /// FM: no padding.
    pub(super) fill: bool,
    /// TH or th: an ordinal ending, and whether in capitals.
    pub(super) ordinal: Option<bool>,
}

/// A piece of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Field(FieldNode),
    /// Text in quotes or a character without meaning.
    Literal(String),
    /// A punctuation mark, which matches any other when read.
    Separator(char),
    Space(char),
}

const M: bool = true;

/// Keywords, longer ones before their beginnings; those that exist in lower case too are marked.
const KEYWORDS: &[(&str, bool, Field)] = &[
    ("A.D.", M, Field::Era { dots: true }),
    ("A.M.", M, Field::Meridiem { dots: true }),
    ("AD", M, Field::Era { dots: false }),
    ("AM", M, Field::Meridiem { dots: false }),
    ("B.C.", M, Field::Era { dots: true }),
    ("BC", M, Field::Era { dots: false }),
    ("CC", M, Field::Century),
    ("DAY", M, Field::DayName),
    ("Day", false, Field::DayName),
    ("DDD", M, Field::DayOfYear),
    ("DD", M, Field::Day),
    ("DY", M, Field::DayShort),
    ("Dy", false, Field::DayShort),
    ("D", M, Field::DayOfWeek),
    ("FF1", M, Field::Fraction(1)),
    ("FF2", M, Field::Fraction(2)),
    ("FF3", M, Field::Fraction(3)),
    ("FF4", M, Field::Fraction(4)),
    ("FF5", M, Field::Fraction(5)),
    ("FF6", M, Field::Fraction(6)),
    ("FX", M, Field::Exact),
    ("HH24", M, Field::Hour24),
    ("HH12", M, Field::Hour12),
    ("HH", M, Field::Hour12),
    ("IDDD", M, Field::IsoDayOfYear),
    ("ID", M, Field::IsoDayOfWeek),
    ("IW", M, Field::IsoWeek),
    ("IYYY", M, Field::IsoYear(4)),
    ("IYY", M, Field::IsoYear(3)),
    ("IY", M, Field::IsoYear(2)),
    ("I", M, Field::IsoYear(1)),
    ("J", M, Field::Julian),
    ("MI", M, Field::Minute),
    ("MM", M, Field::Month),
    ("MONTH", M, Field::MonthName),
    ("Month", false, Field::MonthName),
    ("MON", M, Field::MonthShort),
    ("Mon", false, Field::MonthShort),
    ("MS", M, Field::Milliseconds),
    ("OF", M, Field::ZoneOffset),
    ("P.M.", M, Field::Meridiem { dots: true }),
    ("PM", M, Field::Meridiem { dots: false }),
    ("Q", M, Field::Quarter),
    ("RM", M, Field::Roman),
    ("SSSSS", M, Field::SecondOfDay),
    ("SSSS", M, Field::SecondOfDay),
    ("SS", M, Field::Second),
    ("TZH", M, Field::ZoneHours),
    ("TZM", M, Field::ZoneMinutes),
    ("TZ", M, Field::ZoneName),
    ("US", M, Field::Microseconds),
    ("WW", M, Field::Week),
    ("W", M, Field::WeekOfMonth),
    ("Y,YYY", M, Field::YearWithComma),
    ("YYYY", M, Field::Year(4)),
    ("YYY", M, Field::Year(3)),
    ("YY", M, Field::Year(2)),
    ("Y", M, Field::Year(1)),
];

fn keyword(text: &str) -> Option<(Field, Case, usize)> {
    for (word, has_lower, field) in KEYWORDS {
        let Some(head) = text.get(..word.len()) else { continue };
        if head == *word {
            let capitalized = word.as_bytes().get(1).is_some_and(u8::is_ascii_lowercase);
            return Some((*field, if capitalized { Case::Capitalized } else { Case::Upper }, word.len()));
        }
        if *has_lower && head == word.to_ascii_lowercase() {
            return Some((*field, Case::Lower, word.len()));
        }
    }
    None
}

/// Takes a prefix in capitals or lower case.
fn strip<'t>(text: &'t str, upper: &str) -> Option<&'t str> {
    text.strip_prefix(upper).or_else(|| text.strip_prefix(&*upper.to_ascii_lowercase()))
}

/// Cuts a template.
pub(super) fn parse(template: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let mut after = rest;
        let mut fill = false;
        // FM drops padding; TM asks for names of the locale, which are English ones.
        loop {
            if let Some(next) = strip(after, "FM") {
                (fill, after) = (true, next);
            } else if let Some(next) = strip(after, "TM") {
                after = next;
            } else {
                break;
            }
        }
        if let Some((field, case, length)) = keyword(after) {
            let keyword = after[..length].to_owned();
            after = &after[length..];
            let mut ordinal = None;
            if let Some(next) = after.strip_prefix("TH") {
                (ordinal, after) = (Some(true), next);
            } else if let Some(next) = after.strip_prefix("th") {
                (ordinal, after) = (Some(false), next);
            }
            after = strip(after, "SP").unwrap_or(after);
            nodes.push(Node::Field(FieldNode { field, case, keyword, fill, ordinal }));
            rest = after;
            continue;
        }
        if after.is_empty() {
            break;
        }
        let quoted = after.starts_with('"') || after.starts_with("\\\"");
        let (text, next) = literal(after);
        match text.chars().next() {
            Some(c) if !quoted && c.is_whitespace() => nodes.push(Node::Space(c)),
            Some(c) if !quoted && c.is_ascii_punctuation() => nodes.push(Node::Separator(c)),
            _ => nodes.push(Node::Literal(text)),
        }
        rest = next;
    }
    nodes
}
