//! Typed forms of the parameters that statements read, derived whenever one changes.

use std::{sync::Arc, time::Duration};

use planner::plan::IsolationLevel;
use schema::{FormatSettings, IntervalStyle, TimeZone};
use sharddb_planner as planner;
use sharddb_schema as schema;

use super::{text, time_zone};
use crate::session::Severity;

/// What statements read of the parameters.
#[derive(Clone, Debug)]
pub(crate) struct Effective {
    /// How values are printed and read.
    pub(crate) format: FormatSettings,
    pub(crate) statement_timeout: Option<Duration>,
    /// 0 waits without bound.
    pub(crate) lock_timeout_ms: u32,
    pub(crate) idle_in_transaction_timeout: Option<Duration>,
    pub(crate) idle_session_timeout: Option<Duration>,
    /// As set, `$user` included.
    pub(crate) search_path: Arc<[String]>,
    pub(crate) default_isolation: IsolationLevel,
    pub(crate) default_read_only: bool,
    pub(crate) default_deferrable: bool,
    /// Notices below this are not sent; `None` sends nothing but INFO.
    pub(crate) min_notice: Option<Severity>,
    /// Shards of a new table that does not say.
    pub(crate) default_shards: u16,
    /// How old what a query reads may be; `None`: not at all.
    pub(crate) max_staleness: Option<Duration>,
}

impl Effective {
    /// Derives every typed form; `value` answers a parameter's stored value by its exact name. Values were checked
    /// when they were set, so what does not parse keeps the default.
    pub(super) fn derive<'a>(value: impl Fn(&'static str) -> &'a str) -> Self {
        let millis = |name| Some(Duration::from_millis(value(name).parse().unwrap_or(0))).filter(|d| !d.is_zero());
        let defaults = FormatSettings::default();
        let style = (defaults.date_style, defaults.date_order);
        let (date_style, date_order) = text::date_style(value("DateStyle"), style).unwrap_or(style);
        let time_zone =
            time_zone::parse(value("TimeZone")).map_or(TimeZone::Named(chrono_tz::UTC), |(time_zone, _)| time_zone);
        Self {
            format: FormatSettings {
                time_zone,
                date_style,
                date_order,
                interval_style: interval_style(value("IntervalStyle")),
                extra_float_digits: value("extra_float_digits").parse().unwrap_or(1),
                bytea_hex: value("bytea_output") != "escape",
                names: None,
            },
            statement_timeout: millis("statement_timeout"),
            lock_timeout_ms: value("lock_timeout").parse().unwrap_or(0),
            idle_in_transaction_timeout: millis("idle_in_transaction_session_timeout"),
            idle_session_timeout: millis("idle_session_timeout"),
            search_path: text::identifier_list("search_path", value("search_path")).unwrap_or_default().into(),
            default_isolation: isolation(value("default_transaction_isolation")),
            default_read_only: value("default_transaction_read_only") == "on",
            default_deferrable: value("default_transaction_deferrable") == "on",
            min_notice: min_notice(value("client_min_messages")),
            max_staleness: millis("sharddb.max_staleness"),
            default_shards: value("sharddb.default_shards").parse().unwrap_or(1),
        }
    }
}

fn interval_style(text: &str) -> IntervalStyle {
    match text {
        "postgres_verbose" => IntervalStyle::PostgresVerbose,
        "sql_standard" => IntervalStyle::SqlStandard,
        "iso_8601" => IntervalStyle::Iso8601,
        _ => IntervalStyle::Postgres,
    }
}

/// The level of this name; READ UNCOMMITTED is READ COMMITTED.
pub(crate) fn isolation(text: &str) -> IsolationLevel {
    match text {
        "serializable" => IsolationLevel::Serializable,
        "repeatable read" => IsolationLevel::RepeatableRead,
        _ => IsolationLevel::ReadCommitted,
    }
}

fn min_notice(text: &str) -> Option<Severity> {
    match text {
        "warning" => Some(Severity::Warning),
        "error" => None,
        "notice" => Some(Severity::Notice),
        _ => Some(Severity::Log),
    }
}
