//! The parameters PostgreSQL 15 has, read once from a table.
//!
//! Columns of `parameters.tsv`: name, type, unit, context, default, minimum, maximum, enum values, flag. The flag
//! `fixed` marks parameters whose other values would change what statements mean: those are refused with 0A000
//! instead of being ignored. `hidden` ones are left out of SHOW ALL. `cluster` ones have one value for all nodes.

use std::{collections::HashMap, sync::OnceLock};

/// Who may change a parameter, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Context {
    /// Never.
    Internal,
    /// At server start.
    Postmaster,
    /// In the configuration file.
    Sighup,
    /// At connection start.
    Backend,
    /// Superusers.
    Superuser,
    /// Anyone.
    User,
}

impl Context {
    fn parse(text: &str) -> Self {
        match text {
            "internal" => Self::Internal,
            "postmaster" => Self::Postmaster,
            "sighup" => Self::Sighup,
            "backend" | "superuser-backend" => Self::Backend,
            "superuser" => Self::Superuser,
            _ => Self::User,
        }
    }

    /// As `pg_settings.context` prints it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Postmaster => "postmaster",
            Self::Sighup => "sighup",
            Self::Backend => "backend",
            Self::Superuser => "superuser",
            Self::User => "user",
        }
    }
}

/// The type of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Bool,
    Integer { min: i64, max: i64 },
    Real { min: f64, max: f64 },
    Enum { values: Vec<&'static str> },
    String,
}

/// One parameter.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Base unit: ms, s, min, B, kB, 8kB, MB or empty.
    pub(crate) unit: &'static str,
    pub(crate) context: Context,
    pub(crate) default: &'static str,
    pub(crate) fixed: bool,
    pub(crate) hidden: bool,
    /// One value for the whole cluster, kept by the meta group.
    pub(crate) cluster: bool,
}

impl Parameter {
    /// Whether clients are told of its changes (ParameterStatus).
    pub(crate) fn reported(&self) -> bool {
        const REPORTED: [&str; 13] = [
            "application_name",
            "client_encoding",
            "DateStyle",
            "default_transaction_read_only",
            "in_hot_standby",
            "integer_datetimes",
            "IntervalStyle",
            "is_superuser",
            "server_encoding",
            "server_version",
            "session_authorization",
            "standard_conforming_strings",
            "TimeZone",
        ];
        REPORTED.contains(&self.name)
    }
}

struct Registry {
    parameters: Vec<Parameter>,
    /// Lower-case name to position.
    positions: HashMap<String, usize>,
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let parameters: Vec<Parameter> = include_str!("parameters.tsv").lines().filter_map(parse_line).collect();
        let positions = parameters.iter().enumerate().map(|(i, p)| (p.name.to_lowercase(), i)).collect();
        Registry { parameters, positions }
    })
}

fn parse_line(line: &'static str) -> Option<Parameter> {
    let mut fields = line.split('\t');
    let mut next = || fields.next().unwrap_or_default();
    let (name, kind, unit, context, default) = (next(), next(), next(), next(), next());
    let (min, max, values, flag) = (next(), next(), next(), next());
    let kind = match kind {
        "bool" => Kind::Bool,
        "integer" => Kind::Integer { min: min.parse().ok()?, max: max.parse().ok()? },
        "real" => Kind::Real { min: min.parse().ok()?, max: max.parse().ok()? },
        "enum" => Kind::Enum { values: values.split(',').collect() },
        _ => Kind::String,
    };
    let context = Context::parse(context);
    let (fixed, hidden, cluster) = (flag == "fixed", flag == "hidden", flag == "cluster");
    Some(Parameter { name, kind, unit, context, default, fixed, hidden, cluster })
}

/// Every parameter, sorted by name.
pub(crate) fn parameters() -> &'static [Parameter] {
    &registry().parameters
}

/// The parameter with this name, whatever its case.
pub(crate) fn parameter(name: &str) -> Option<&'static Parameter> {
    position(name).map(|at| &parameters()[at])
}

/// Position in [`parameters`] of the parameter with this name, whatever its case.
pub(crate) fn position(name: &str) -> Option<usize> {
    registry().positions.get(&name.to_lowercase()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_parameter() {
        assert_eq!(parameters().len(), include_str!("parameters.tsv").lines().count());
        assert_eq!(position("timezone"), position("TimeZone"));
        assert!(position("no_such").is_none());
    }
}
