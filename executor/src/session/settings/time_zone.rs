//! Time zone names of `SET TIME ZONE`: IANA names and POSIX offsets.

use schema::TimeZone;
use sharddb_schema as schema;

/// Largest offset PostgreSQL takes, in seconds: a week would be absurd, 168 hours is its bound.
const OFFSET_MAX: i32 = 167 * 3600 + 59 * 60 + 59;

/// The zone of this name and the name SHOW prints.
pub(crate) fn parse(text: &str) -> Option<(TimeZone, String)> {
    let text = text.trim();
    if let Some(zone) = chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text)) {
        return Some((TimeZone::Named(*zone), zone.name().to_owned()));
    }
    if text.eq_ignore_ascii_case("default") || text.eq_ignore_ascii_case("local") {
        return Some((TimeZone::Named(chrono_tz::UTC), "UTC".to_owned()));
    }
    parse_hours(text).or_else(|| parse_posix(text))
}

/// A number of hours east of Greenwich: 3, -3.5.
fn parse_hours(text: &str) -> Option<(TimeZone, String)> {
    let hours: f64 = text.parse().ok()?;
    fixed((hours * 3600.0) as i32)
}

fn fixed(east: i32) -> Option<(TimeZone, String)> {
    if east.abs() > OFFSET_MAX {
        return None;
    }
    let name = |seconds: i32| {
        let sign = if seconds < 0 { '-' } else { '+' };
        let (hours, minutes, rest) = (seconds.abs() / 3600, seconds.abs() / 60 % 60, seconds.abs() % 60);
        let mut text = format!("{sign}{hours:02}");
        if minutes != 0 || rest != 0 {
            text += &format!(":{minutes:02}");
        }
        if rest != 0 {
            text += &format!(":{rest:02}");
        }
        text
    };
    let shown = format!("<{}>{}", name(east), name(-east));
    Some((TimeZone::Fixed(east, shown.clone()), shown))
}

/// A POSIX zone without daylight saving: three or more letters, then hours west of Greenwich. An offset with minutes
/// needs no letters.
fn parse_posix(text: &str) -> Option<(TimeZone, String)> {
    let (letters, offset) = match text.strip_prefix('<') {
        Some(rest) => rest.split_once('>')?,
        None => text.split_at(text.find(|c: char| !c.is_ascii_alphabetic())?),
    };
    if letters.len() < 3 && !(letters.is_empty() && offset.contains(':')) {
        return None;
    }
    let (sign, digits) = match offset.strip_prefix('-') {
        Some(rest) => (1, rest),
        None => (-1, offset.strip_prefix('+').unwrap_or(offset)),
    };
    let mut seconds = 0;
    let mut unit = 3600;
    for part in digits.split(':') {
        if part.is_empty() || unit == 0 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        seconds += part.parse::<i32>().ok()?.checked_mul(unit)?;
        unit /= 60;
    }
    (seconds.abs() <= OFFSET_MAX).then(|| {
        let shown = text.to_ascii_uppercase();
        (TimeZone::Fixed(sign * seconds, shown.clone()), shown)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        parse(text).map(|(_, shown)| shown)
    }

    #[test]
    fn names_and_offsets() {
        assert_eq!(shown("europe/paris").as_deref(), Some("Europe/Paris"));
        assert_eq!(shown("+3").as_deref(), Some("<+03>-03"));
        assert_eq!(shown("-3.5").as_deref(), Some("<-03:30>+03:30"));
        assert_eq!(shown("+02:00").as_deref(), Some("+02:00"));
        assert_eq!(shown("Foo-3").as_deref(), Some("FOO-3"));
        assert_eq!(shown("foo"), None);
        let east = |text| match parse(text) {
            Some((TimeZone::Fixed(east, _), _)) => Some(east),
            _ => None,
        };
        assert_eq!(east("Foo-3"), Some(3 * 3600));
        assert_eq!(east("+05:30"), Some(-19_800));
        assert_eq!(east("<+02>-02"), Some(2 * 3600));
    }
}
