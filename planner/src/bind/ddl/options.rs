//! Options: WITH (…) of tables and indexes, and options of sequences.

use proto::{SqlError, SqlResult, SqlState};
use schema::Oid;
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::{
    ast::{self, CreateTableOptions, SqlOption},
    tokenizer::Span,
};

use super::super::{Binder, fold, types};
use crate::{
    parse::RawSequenceOptions,
    plan::{AlterTable, SequenceOptions},
};

/// Most shards that a table may be created with.
const MAX_SHARDS: u16 = 1024;

/// Storage parameters of PostgreSQL that say how its heap and vacuum work. They have no counterpart here, and tools such
/// as pgbench set them.
const HEAP_PARAMETERS: [&str; 4] = ["fillfactor", "parallel_workers", "user_catalog_table", "deduplicate_items"];

/// Number of replicas of a table's shards.
pub(super) const REPLICATION_FACTOR: &str = "replication_factor";
const REPLICATION_FACTORS: [u32; 4] = [1, 3, 5, 7];

/// How a table is spread, as its WITH clause says.
#[derive(Default)]
pub(super) struct TableOptions {
    pub(super) shards: Option<u16>,
    pub(super) shard_by_hash: Option<bool>,
    pub(super) shard_key: Vec<String>,
    /// 0 is the cluster's.
    pub(super) replication_factor: u32,
}

/// Reads WITH (…) of CREATE TABLE.
pub(super) fn table_options(options: &CreateTableOptions) -> SqlResult<TableOptions> {
    let mut result = TableOptions::default();
    let options = match options {
        CreateTableOptions::None => return Ok(result),
        CreateTableOptions::With(options) => options,
        _ => return Err(SqlError::new(SqlState::SyntaxError, "syntax error: table options of another SQL dialect")),
    };
    for option in options {
        let SqlOption::KeyValue { key, value } = option else {
            return Err(unrecognized(&option.to_string()));
        };
        let name = fold(key);
        let text = option_text(value);
        match name.as_str() {
            "shards" => result.shards = Some(shard_count(&text)?),
            "shard_by" => {
                result.shard_by_hash = Some(match text.as_str() {
                    "hash" => true,
                    "range" => false,
                    _ => {
                        let message = format!("invalid value for parameter \"shard_by\": \"{text}\"");
                        return Err(SqlError::new(SqlState::InvalidParameterValue, message)
                            .with_hint("Available values: hash, range."));
                    }
                });
            }
            "shard_key" => result.shard_key = text.split(',').map(|name| name.trim().to_owned()).collect(),
            REPLICATION_FACTOR => result.replication_factor = replication_factor(&text)?,
            _ => storage_parameter(&name)?,
        }
    }
    Ok(result)
}

/// Reads a table's replication factor. An even one survives no more failures than the number below it.
pub(super) fn replication_factor(text: &str) -> SqlResult<u32> {
    let Ok(factor) = text.parse::<u32>() else {
        let message = format!("invalid value for integer option \"{REPLICATION_FACTOR}\": {text}");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    };
    if !REPLICATION_FACTORS.contains(&factor) {
        let message = format!("value {text} out of bounds for option \"{REPLICATION_FACTOR}\"");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message)
            .with_detail("Valid values are \"1\", \"3\", \"5\" and \"7\"."));
    }
    Ok(factor)
}

/// Reads the names of ALTER TABLE … RESET.
pub(super) fn reset(names: &[String]) -> SqlResult<Vec<AlterTable>> {
    let mut actions = Vec::new();
    for name in names {
        match name.as_str() {
            REPLICATION_FACTOR => actions.push(AlterTable::ReplicationFactor(0)),
            _ => storage_parameter(name)?,
        }
    }
    Ok(actions)
}

/// Accepts PostgreSQL's storage parameters and refuses all other names.
pub(super) fn storage_parameter(name: &str) -> SqlResult<()> {
    let known = HEAP_PARAMETERS.contains(&name)
        || name.starts_with("autovacuum_")
        || name.starts_with("toast.")
        || name.starts_with("toast_")
        || name.starts_with("log_autovacuum")
        || name.starts_with("vacuum_");
    if known { Ok(()) } else { Err(unrecognized(name)) }
}

fn unrecognized(name: &str) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, format!("unrecognized parameter \"{name}\""))
}

fn shard_count(text: &str) -> SqlResult<u16> {
    let count = text.parse::<u16>().ok().filter(|count| (1..=MAX_SHARDS).contains(count));
    count.ok_or_else(|| {
        let message = format!("value {text} out of bounds for option \"shards\"");
        SqlError::new(SqlState::InvalidParameterValue, message)
            .with_detail(format!("Valid values are between \"1\" and \"{MAX_SHARDS}\"."))
    })
}

/// An option's value as text.
pub(super) fn option_text(value: &ast::Expr) -> String {
    match value {
        ast::Expr::Identifier(ident) => fold(ident),
        ast::Expr::Value(value) => value.value.clone().into_string().unwrap_or_else(|| value.value.to_string()),
        other => other.to_string(),
    }
}

/// Options of an identity column's sequence.
pub(super) fn parsed_sequence_options(options: &[ast::SequenceOptions]) -> SqlResult<SequenceOptions> {
    use ast::SequenceOptions as O;
    let mut result = SequenceOptions::default();
    for option in options {
        match option {
            O::IncrementBy(value, _) => result.increment = Some(integer(value)?),
            O::MinValue(value) => result.min = Some(value.as_ref().map(integer).transpose()?),
            O::MaxValue(value) => result.max = Some(value.as_ref().map(integer).transpose()?),
            O::StartWith(value, _) => result.start = Some(integer(value)?),
            O::Cache(value) => result.cache = Some(integer(value)?),
            O::Cycle(no) => result.cycle = Some(!*no),
        }
    }
    Ok(result)
}

fn integer(tree: &ast::Expr) -> SqlResult<i64> {
    let text = tree.to_string().replace(' ', "");
    text.parse().map_err(|_| SqlError::new(SqlState::SyntaxError, format!("syntax error at or near \"{text}\"")))
}

impl Binder<'_> {
    /// Options of CREATE and ALTER SEQUENCE.
    pub(super) fn sequence_options(&self, raw: &RawSequenceOptions) -> SqlResult<SequenceOptions> {
        let sql_type = raw.data_type.as_ref().map(types::sql_type).transpose()?.map(|found| found.oid);
        if sql_type.is_some_and(|oid| !matches!(oid, Oid::INT2 | Oid::INT4 | Oid::INT8)) {
            let message = "sequence type must be smallint, integer, or bigint";
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        }
        let owned_by = match &raw.owned_by {
            None => None,
            Some(None) => Some(None),
            Some(Some(parts)) => {
                let mut parts = parts.clone();
                let column = parts.pop().unwrap_or_default();
                if parts.is_empty() {
                    return Err(SqlError::new(SqlState::SyntaxError, "invalid OWNED BY option")
                        .with_hint("Specify OWNED BY table.column or OWNED BY NONE."));
                }
                let table = self.name_of_parts(parts, Span::empty())?;
                Some(Some((self.existing_name(&table)?, column)))
            }
        };
        Ok(SequenceOptions {
            sql_type,
            start: raw.start,
            restart: raw.restart,
            increment: raw.increment,
            min: raw.min,
            max: raw.max,
            cache: raw.cache,
            cycle: raw.cycle,
            owned_by,
        })
    }
}
