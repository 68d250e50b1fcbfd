//! Session settings that decide how values are read and printed.

/// A session time zone.
#[derive(Clone, Debug, PartialEq)]
pub enum TimeZone {
    /// A zone of the IANA database.
    Named(chrono_tz::Tz),
    /// A fixed offset in seconds east of Greenwich, with the text it was set by.
    Fixed(i32, String),
}

/// DateStyle and related settings.
#[derive(Clone, Debug, PartialEq)]
pub struct FormatSettings {
    /// Session time zone, for timestamptz.
    pub time_zone: TimeZone,
    /// DateStyle output format: ISO, SQL, Postgres, German.
    pub date_style: DateStyle,
    /// DateStyle field order for ambiguous input and non-ISO output.
    pub date_order: DateOrder,
    /// IntervalStyle.
    pub interval_style: IntervalStyle,
    /// extra_float_digits: above 0 prints the shortest exact form.
    pub extra_float_digits: i32,
    /// bytea_output: hex (true) or escape.
    pub bytea_hex: bool,
    /// Names for values of regclass and its kin; without them such values show as numbers.
    pub names: Option<crate::functions::ObjectNames>,
}

/// Output format of DateStyle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateStyle {
    /// ISO
    Iso,
    /// SQL
    Sql,
    /// Postgres
    Postgres,
    /// German
    German,
}

/// Field order of DateStyle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOrder {
    /// MDY
    Mdy,
    /// DMY
    Dmy,
    /// YMD
    Ymd,
}

/// IntervalStyle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntervalStyle {
    /// postgres
    Postgres,
    /// postgres_verbose
    PostgresVerbose,
    /// sql_standard
    SqlStandard,
    /// iso_8601
    Iso8601,
}

impl Default for FormatSettings {
    fn default() -> Self {
        Self {
            time_zone: TimeZone::Named(chrono_tz::UTC),
            date_style: DateStyle::Iso,
            date_order: DateOrder::Mdy,
            interval_style: IntervalStyle::Postgres,
            extra_float_digits: 1,
            bytea_hex: true,
            names: None,
        }
    }
}
