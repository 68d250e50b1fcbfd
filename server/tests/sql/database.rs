//! A fresh database for one file of the corpus, and connections to it as the runner wants them.
//!
//! Statements go by the simple protocol, so values are compared as text. What a query's columns are is asked by the
//! extended protocol first, since the simple protocol's client does not tell.

use std::time::Duration;

use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType};
use thiserror::Error;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, types::Type};

/// What both servers are told. The timeout only ends statements that would never answer.
const SETTINGS: &str = "SET TimeZone = 'UTC'; SET client_min_messages = error; SET statement_timeout = '60s'";

/// Which server runs the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    ShardDb { shards: u16 },
    PostgreSql,
}

/// A database that only one file uses.
pub(crate) struct Database {
    engine: Engine,
    server: Config,
    name: String,
}

impl Database {
    /// Makes a database whose tables have this many shards.
    pub(crate) async fn create_in_sharddb(address: &str, shards: u16) -> Self {
        Self::create(address, Engine::ShardDb { shards }).await
    }

    /// Makes a database on the server that answers are recorded from.
    pub(crate) async fn create_in_postgresql(address: &str) -> Self {
        Self::create(address, Engine::PostgreSql).await
    }

    async fn create(address: &str, engine: Engine) -> Self {
        let server: Config = address.parse().expect("a connection string");
        let name = format!("corpus_{:08x}", rand::random::<u32>());
        let client = open(&server).await.expect("the server answers");
        client.simple_query(&format!("CREATE DATABASE {name}")).await.expect("a database can be made");
        Self { engine, server, name }
    }

    /// Opens a connection to the database.
    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        let mut config = self.server.clone();
        let client = open(config.dbname(&self.name)).await?;
        let mut settings = SETTINGS.to_owned();
        if let Engine::ShardDb { shards } = self.engine {
            settings.push_str(&format!("; SET sharddb.default_shards = {shards}"));
        }
        client.simple_query(&settings).await?;
        Ok(Connection { client, engine: self.engine })
    }

    /// Removes what a server that goes on would keep.
    pub(crate) async fn forget(&self) {
        if self.engine == Engine::PostgreSql {
            let client = open(&self.server).await.expect("the server answers");
            let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
            client.simple_query(&statement).await.expect("the database can be dropped");
        }
    }
}

async fn open(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A statement's failure. It shows its SQLSTATE first, which is what files expect.
#[derive(Debug, Error)]
#[error("{code}{message}")]
pub(crate) struct Failure {
    code: String,
    message: String,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(error) => Self { code: error.code().code().to_owned(), message: format!(" {}", error.message()) },
            None => Self { code: "connection lost".to_owned(), message: format!(": {error}") },
        }
    }
}

/// A connection that runs records.
pub(crate) struct Connection {
    client: Client,
    engine: Engine,
}

impl Connection {
    async fn answer(&self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let mut types = if is_preparable(sql) { self.column_types(sql).await? } else { Vec::new() };
        let mut rows = Vec::new();
        let mut count = None;
        for message in self.client.simple_query(sql).await? {
            match message {
                SimpleQueryMessage::RowDescription(columns) if types.is_empty() => {
                    types = vec![DefaultColumnType::Text; columns.len()];
                }
                SimpleQueryMessage::Row(row) => {
                    rows.push((0..row.len()).map(|at| show(row.get(at))).collect());
                }
                SimpleQueryMessage::CommandComplete(affected) => count = Some(affected),
                _ => {}
            }
        }
        if types.is_empty() && rows.is_empty() {
            return Ok(DBOutput::StatementComplete(count.unwrap_or(0)));
        }
        Ok(DBOutput::Rows { types, rows })
    }

    async fn column_types(&self, sql: &str) -> Result<Vec<DefaultColumnType>, Failure> {
        let statement = self.client.prepare(sql).await?;
        Ok(statement.columns().iter().map(|column| letter(column.type_())).collect())
    }
}

#[async_trait]
impl AsyncDB for Connection {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let answer = self.answer(sql).await;
        // Only the SQLSTATE is recorded: messages may differ.
        let bare = |failure: Failure| Failure { message: String::new(), ..failure };
        if self.engine == Engine::PostgreSql { answer.map_err(bare) } else { answer }
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        match self.engine {
            Engine::ShardDb { .. } => "sharddb",
            Engine::PostgreSql => "postgresql",
        }
    }

    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Whether this is one statement that may have columns and that the extended protocol prepares.
fn is_preparable(sql: &str) -> bool {
    let word = sql.trim_start_matches(['(', ' ']).split_whitespace().next().unwrap_or_default().to_lowercase();
    ["select", "with", "values", "table", "insert", "update", "delete"].contains(&word.as_str())
}

fn letter(column: &Type) -> DefaultColumnType {
    match *column {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => DefaultColumnType::Integer,
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Text,
    }
}

/// One line for each value, and none that is empty.
fn show(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(text) => text.replace('\n', "\\n"),
    }
}
