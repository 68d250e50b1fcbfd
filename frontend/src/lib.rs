//! The PostgreSQL protocol: connections, authentication, TLS, COPY, cancel requests.
//!
//! Called by the server, which gives it a listener and an [`executor::Engine`]; drives one session for each connection.
//! The protocol is version 3.0. What a message means is decided here, what a statement means in the executor.
//!
//! # Life of a connection
//! 1. `server::accept` gives the socket a task; `startup::negotiate` agrees on encryption and reads the startup packet.
//! 2. `startup::admit` authenticates (`auth`), begins the session and greets.
//! 3. `Connection::run` takes messages off the input buffer and answers them until the client leaves, the server stops
//!    or the client breaks the protocol.
//! 4. The session is closed, which frees its locks; only then is the client told why.
//!
//! Does not: parse or plan SQL; know tables, shards or transactions beyond their status.

mod auth;
mod connection;
mod control;
mod metrics;
mod rows;
mod server;
mod socket;
mod startup;
mod tls;
pub mod wire;

pub use auth::AuthMode;
pub use metrics::{Metrics, metrics};
pub use server::{Options, Server};
pub use tls::{TlsError, load_tls};

#[cfg(doc)]
use sharddb_executor as executor;
