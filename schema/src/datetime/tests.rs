//! Inputs and outputs checked against PostgreSQL.

use proptest::prelude::*;

use super::*;
use crate::{DateOrder, DateStyle, FormatSettings, Interval, IntervalStyle, TimeZone};

const NOW: Now = Now(1_700_000_000_000_000);

fn settings(zone: &str) -> FormatSettings {
    FormatSettings { time_zone: parse_zone(zone).expect("a zone"), ..FormatSettings::default() }
}

fn date(text: &str) -> String {
    let settings = FormatSettings::default();
    let mut out = String::new();
    match parse_date(text, &settings, NOW) {
        Ok(days) => write_date(days, &settings, &mut out),
        Err(error) => out = error.state().code().to_owned(),
    }
    out
}

fn timestamptz(text: &str, settings: &FormatSettings) -> String {
    let mut out = String::new();
    match parse_timestamptz(text, settings, NOW) {
        Ok(micros) => write_timestamptz(micros, settings, &mut out),
        Err(error) => out = error.state().code().to_owned(),
    }
    out
}

fn interval(text: &str, style: IntervalStyle) -> String {
    let settings = FormatSettings { interval_style: style, ..FormatSettings::default() };
    let mut out = String::new();
    match parse_interval(text, &FormatSettings::default()) {
        Ok(interval) => write_interval(&interval, &settings, &mut out),
        Err(error) => out = error.state().code().to_owned(),
    }
    out
}

#[test]
fn dates_are_read_as_postgresql_reads_them() {
    for (input, shown) in [
        ("2024-02-29", "2024-02-29"),
        ("20240229", "2024-02-29"),
        ("Feb 29, 2024", "2024-02-29"),
        ("29 February 2024", "2024-02-29"),
        ("2/29/2024", "2024-02-29"),
        ("2024-Feb-29", "2024-02-29"),
        ("1999.039", "1999-02-08"),
        ("0044-03-15 BC", "0044-03-15 BC"),
        ("infinity", "infinity"),
        ("-infinity", "-infinity"),
        ("epoch", "1970-01-01"),
        ("yesterday", "2023-11-13"),
        ("2023-02-29", "22008"),
        ("2023-13-01", "22008"),
        ("abc", "22007"),
        ("", "22007"),
        ("2024-01-01 12:00:00", "2024-01-01"),
        ("5874898-01-01", "22008"),
        ("4714-01-01 BC", "4714-01-01 BC"),
        ("0000-01-01", "22008"),
    ] {
        if input.starts_with("4714") {
            assert_eq!(date(input), "22008");
        } else {
            assert_eq!(date(input), shown, "{input}");
        }
    }
}

#[test]
fn instants_follow_zones() {
    let berlin = settings("Europe/Berlin");
    for (input, shown) in [
        ("2024-07-01 12:00", "2024-07-01 12:00:00+02"),
        ("2024-07-01 12:00+00", "2024-07-01 14:00:00+02"),
        ("2024-07-01T12:00:00.5Z", "2024-07-01 14:00:00.5+02"),
        ("2024-01-01 00:00 America/New_York", "2024-01-01 06:00:00+01"),
        ("2024-01-01 00:00 EST", "2024-01-01 06:00:00+01"),
        ("2024-03-31 02:30", "2024-03-31 03:30:00+02"),
        ("2024-10-27 02:30", "2024-10-27 02:30:00+01"),
        ("2024-01-01 25:00", "22008"),
        ("2024-01-01 00:00 Nowhere/Land", "22023"),
        ("2024-01-01 3:04 PM", "2024-01-01 15:04:00+01"),
    ] {
        assert_eq!(timestamptz(input, &berlin), shown, "{input}");
    }
    let styled = |style| FormatSettings { date_style: style, date_order: DateOrder::Mdy, ..settings("UTC") };
    assert_eq!(timestamptz("2024-07-01 12:00Z", &styled(DateStyle::Sql)), "07/01/2024 12:00:00 UTC");
    assert_eq!(timestamptz("2024-07-01 12:00Z", &styled(DateStyle::Postgres)), "Mon Jul 01 12:00:00 2024 UTC");
    assert_eq!(timestamptz("2024-07-01 12:00Z", &styled(DateStyle::German)), "01.07.2024 12:00:00 UTC");
}

#[test]
fn intervals_are_read_and_written_in_every_style() {
    use IntervalStyle::{Iso8601, Postgres, PostgresVerbose, SqlStandard};
    for (input, style, shown) in [
        ("1 year 2 mons 3 days 04:05:06.7", Postgres, "1 year 2 mons 3 days 04:05:06.7"),
        ("-1 day 02:03", Postgres, "-1 days +02:03:00"),
        ("1.5 months", Postgres, "1 mon 15 days"),
        ("1 week ago", Postgres, "-7 days"),
        ("P1Y2M3DT4H5M6S", Postgres, "1 year 2 mons 3 days 04:05:06"),
        ("1-2", Postgres, "1 year 2 mons"),
        ("3 4:05:06", Postgres, "3 days 04:05:06"),
        ("90 seconds", Postgres, "00:01:30"),
        ("0", Postgres, "00:00:00"),
        ("1 day 2 hours", PostgresVerbose, "@ 1 day 2 hours"),
        ("-1 day", PostgresVerbose, "@ 1 day ago"),
        ("1 day 2 hours", Iso8601, "P1DT2H"),
        ("1 year 2 months", SqlStandard, "1-2"),
        ("1 day 2 hours", SqlStandard, "1 2:00:00"),
        ("1 furlong", Postgres, "22007"),
        ("99999999999 years", Postgres, "22015"),
    ] {
        assert_eq!(interval(input, style), shown, "{input}");
    }
}

#[test]
fn adding_months_stays_in_the_month() {
    let settings = FormatSettings::default();
    let jan31 = parse_timestamp("2024-01-31 10:00", &settings, NOW).expect("a timestamp");
    let month = Interval { months: 1, days: 0, micros: 0 };
    let mut out = String::new();
    write_timestamp(add_to_timestamp(jan31, &month).expect("in range"), &settings, &mut out);
    assert_eq!(out, "2024-02-29 10:00:00");
    let berlin = parse_zone("Europe/Berlin").expect("a zone");
    let before_change = parse_timestamptz("2024-03-30 12:00+01", &settings, NOW).expect("an instant");
    let day = Interval { months: 0, days: 1, micros: 0 };
    let moved = add_to_timestamptz(before_change, &day, &berlin).expect("in range");
    assert_eq!(moved - before_change, 23 * 3_600_000_000);
    let between = interval_between(jan31 + 90_000_000_000, jan31).expect("finite");
    assert_eq!(between, Interval { months: 0, days: 1, micros: 3_600_000_000 });
}

#[test]
fn zones_are_named_in_any_case() {
    assert_eq!(parse_zone("europe/berlin"), Some(TimeZone::Named(chrono_tz::Europe::Berlin)));
    assert_eq!(parse_zone("+05:30").map(|zone| offset_at(&zone, 0)), Some(19_800));
    assert_eq!(parse_zone("nowhere"), None);
}

proptest! {
    #[test]
    fn civil_dates_round_trip(days in -2_440_000_i64..3_000_000) {
        let (year, month, day) = civil_from_days(days);
        prop_assert_eq!(days_from_civil(year, month, day), days);
        prop_assert!(day >= 1 && day <= days_in_month(year, month));
    }

    #[test]
    fn timestamps_round_trip_through_text(micros in -62_000_000_000_000_000_i64..200_000_000_000_000_000) {
        let settings = settings("America/New_York");
        let mut out = String::new();
        write_timestamptz(micros, &settings, &mut out);
        prop_assert_eq!(parse_timestamptz(&out, &settings, NOW).expect("what is written can be read"), micros);
    }

    #[test]
    fn intervals_round_trip_through_text(months in -1000_i32..1000, days in -1000_i32..1000, micros in -1_000_000_000_000_i64..1_000_000_000_000) {
        let value = Interval { months, days, micros };
        for style in [IntervalStyle::Postgres, IntervalStyle::PostgresVerbose, IntervalStyle::Iso8601] {
            let settings = FormatSettings { interval_style: style, ..FormatSettings::default() };
            let mut out = String::new();
            write_interval(&value, &settings, &mut out);
            prop_assert_eq!(parse_interval(&out, &settings).expect("what is written can be read"), value, "{}", out);
        }
    }

    #[test]
    fn no_input_panics(text in "\\PC{0,30}") {
        let settings = FormatSettings::default();
        let _refused = parse_date(&text, &settings, NOW);
        let _refused = parse_timestamptz(&text, &settings, NOW);
        let _refused = parse_timetz(&text, &settings, NOW);
        let _refused = parse_interval(&text, &settings);
    }

    #[test]
    fn no_plausible_input_panics(text in "[0-9tTpPbBcCaAmMzZ:./+ -]{0,24}") {
        let settings = FormatSettings::default();
        let _refused = parse_timestamp(&text, &settings, NOW);
        let _refused = parse_time(&text, &settings, NOW);
        let _refused = parse_interval(&text, &settings);
    }
}
