//! What clients do while things go wrong.

pub mod append;
pub mod bank;
pub mod register;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio_postgres::Client;

use crate::{
    history::History,
    session::{self, Errors, Session},
};

/// Isolation level of a workload's transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Isolation {
    /// Each statement sees what is committed before it
    ReadCommitted,
    /// Snapshot isolation
    RepeatableRead,
    /// Strict serializability
    Serializable,
}

impl Isolation {
    /// The statement that begins a transaction.
    pub fn begin(self) -> &'static str {
        match self {
            Self::ReadCommitted => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Self::RepeatableRead => "BEGIN ISOLATION LEVEL REPEATABLE READ",
            Self::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        }
    }
}

/// What all clients of a workload share.
pub struct Run<T> {
    /// Where they connect.
    pub nodes: Arc<Vec<SocketAddr>>,
    /// What they did.
    pub history: History<T>,
    /// What went wrong.
    pub errors: Errors,
    /// They end when it is set.
    pub stop: Arc<AtomicBool>,
    /// Of their transactions.
    pub isolation: Isolation,
}

impl<T> Clone for Run<T> {
    fn clone(&self) -> Self {
        Self {
            nodes: Arc::clone(&self.nodes),
            history: self.history.clone(),
            errors: self.errors.clone(),
            stop: Arc::clone(&self.stop),
            isolation: self.isolation,
        }
    }
}

impl<T> Run<T> {
    /// A run that has not begun.
    pub fn new(nodes: Arc<Vec<SocketAddr>>, history: History<T>, isolation: Isolation) -> Self {
        Self { nodes, history, errors: Errors::default(), stop: Arc::default(), isolation }
    }

    fn session(&self, client: usize) -> Session {
        Session::new(Arc::clone(&self.nodes), client, self.errors.clone())
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A connection that is awaited for as long as a node may need.
async fn connect(node: SocketAddr) -> Result<Client, String> {
    for _ in 0..100 {
        if let Some(client) = session::connect(node).await {
            return Ok(client);
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    Err(format!("{node} lets nobody in"))
}

/// Answers what a statement of preparation or audit said; nothing may fail there.
async fn must<T>(what: &str, work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, String> {
    session::within(work).await.map_err(|failure| {
        let detail = match &failure {
            session::Failure::Postgres(error) => error.as_db_error().map(ToString::to_string),
            session::Failure::Hang => None,
        };
        format!("{what}: {} {}", failure.code(), detail.unwrap_or_else(|| failure.to_string()))
    })
}
