//! Calls between nodes: the only crate that knows gRPC and TLS between them.
//!
//! A process has one [`Server`], which hands what others ask to a [`Service`], and one [`Nodes`], which carries requests to
//! others. `Nodes` keeps one connection to each node it was asked to reach. On it runs one *link*, a stream of envelopes in
//! both directions that carries requests of `kv` with their answers and messages of `raft`; whatever waits leaves in one
//! message. Fragments, snapshots and large requests have streams of their own beside it.
//!
//! # Invariants
//! * Nothing but a greeting or a wish to join is read before the greeting: cluster, node, incarnation, protocol version.
//! * A request answered `Unreachable` was not carried out; one answered `Ambiguous` may have been.
//! * A silent peer is noticed within a second, by pings; nothing waits for TCP to notice.
//! * Every queue has a bound, in [`limits`]; what strangers can occupy has a small one.
//!
//! Does not: decide where a shard is (`kv` does), know what messages mean (`raft`, `meta` and `shard` do), choose node ids.

mod certificates;
mod codec;
mod connection;
mod dial;
mod error;
mod fragments;
mod greeting;
pub mod limits;
mod link;
mod link_server;
mod local;
mod nodes;
mod outbox;
mod peer;
mod security;
mod server;
mod service;
mod socket;
mod sql_error;

pub use certificates::{create_ca, create_node};
pub use error::{CallError, CertificateError, SecurityError, ServerError};
pub use greeting::Identity;
pub use limits::Timing;
pub use local::NearAndFar;
pub use nodes::{Nodes, PeerState, join};
pub use security::Security;
pub use server::Server;
pub use service::Service;

/// Generated client and server.
mod generated {
    #![allow(unreachable_pub, private_interfaces, missing_docs, clippy::all, clippy::too_many_lines)]
    include!(concat!(env!("OUT_DIR"), "/sharddb.rpc.Node.rs"));
}
