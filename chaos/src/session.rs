//! A client of the cluster: keeps to one node, goes to the next when that is gone, and knows what an error means for what it did.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio_postgres::{Client, Config, NoTls};

use crate::history::Outcome;

/// Longer than the server retries for: an operation without an answer by then hangs.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Time for a connection, greeting included.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Between two rounds over nodes that all refuse.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Where an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before the commit was asked for.
    Statement,
    /// Waiting for the answer to COMMIT, or to a statement that is its own transaction.
    Commit,
}

/// Why an operation has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server or the connection said so.
    #[error("{0}")]
    Postgres(#[from] tokio_postgres::Error),
    /// No answer.
    #[error("no answer within {} s", ANSWER_MAX.as_secs())]
    Hang,
}

impl Failure {
    /// SQLSTATE, or a word for what has none.
    pub fn code(&self) -> &str {
        match self {
            Self::Hang => "hang",
            Self::Postgres(error) => error.code().map_or("connection", |code| code.code()),
        }
    }

    /// What the client knows of the operation. A transaction whose commit nobody asked for has no effect.
    pub fn outcome(&self, stage: Stage) -> Outcome {
        if stage == Stage::Statement {
            return Outcome::Failed;
        }
        match self.code() {
            // What a commit that was refused for a reason of the data or of other transactions answers.
            "40001" | "40P01" | "55P03" => Outcome::Failed,
            code if code.starts_with("22") || code.starts_with("23") || code.starts_with("42") => Outcome::Failed,
            _ => Outcome::Unknown,
        }
    }

    /// Whether the connection is of no more use.
    pub fn ends_connection(&self) -> bool {
        match self {
            Self::Hang => true,
            Self::Postgres(error) => error.code().is_none_or(|code| code.code().starts_with("57P")),
        }
    }
}

/// Runs an operation, but not for ever.
pub async fn within<T>(operation: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER_MAX, operation).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::Hang),
    }
}

/// Errors by code, with the first message of each.
#[derive(Clone, Debug, Default)]
pub struct Errors(Arc<Mutex<BTreeMap<String, (usize, String)>>>);

impl Errors {
    /// Counts one.
    pub fn count(&self, failure: &Failure) {
        let message = || match failure {
            Failure::Postgres(error) => {
                error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
            }
            Failure::Hang => failure.to_string(),
        };
        let mut errors = self.0.lock();
        errors.entry(failure.code().to_owned()).or_insert_with(|| (0, message())).0 += 1;
    }

    /// Code, count, first message.
    pub fn all(&self) -> Vec<(String, usize, String)> {
        self.0.lock().iter().map(|(code, (count, message))| (code.clone(), *count, message.clone())).collect()
    }
}

/// One connection after the other.
pub struct Session {
    nodes: Arc<Vec<SocketAddr>>,
    at: usize,
    client: Option<Client>,
    /// What went wrong so far.
    pub errors: Errors,
}

impl Session {
    /// A client that prefers a node.
    pub fn new(nodes: Arc<Vec<SocketAddr>>, home: usize, errors: Errors) -> Self {
        Self { at: home % nodes.len(), nodes, client: None, errors }
    }

    /// The connection; waits until some node lets it in.
    pub async fn client(&mut self) -> &mut Client {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            self.client = Some(self.connect().await);
        }
        self.client.as_mut().expect("just connected")
    }

    /// The connection that was used last, even if it has ended: a transaction goes on nowhere else.
    pub fn same(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    async fn connect(&mut self) -> Client {
        loop {
            for _ in 0..self.nodes.len() {
                match connect(self.nodes[self.at]).await {
                    Some(client) => return client,
                    None => self.at = (self.at + 1) % self.nodes.len(),
                }
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Counts a failure and leaves a node that does not answer; answers what it means for the operation.
    pub fn failed(&mut self, failure: &Failure, stage: Stage) -> Outcome {
        self.errors.count(failure);
        if failure.ends_connection() {
            self.client = None;
            self.at = (self.at + 1) % self.nodes.len();
        }
        failure.outcome(stage)
    }

    /// Ends a transaction that failed halfway.
    pub async fn roll_back(&mut self) {
        let Some(client) = &self.client else { return };
        if within(client.batch_execute("ROLLBACK")).await.is_err() {
            self.client = None;
        }
    }
}

/// A connection to one node, if it lets us in soon.
pub async fn connect(node: SocketAddr) -> Option<Client> {
    let mut config = Config::new();
    config.host(node.ip().to_string()).port(node.port()).user("postgres").dbname("postgres");
    config.connect_timeout(CONNECT_MAX);
    let (client, connection) = tokio::time::timeout(CONNECT_MAX, config.connect(NoTls)).await.ok()?.ok()?;
    tokio::spawn(connection);
    Some(client)
}
