//! Vocabulary that every crate shares: identifiers, timestamps, SQLSTATEs and wire messages.
//!
//! The messages are generated from `proto/*.proto`. The same types are used for calls inside one
//! process and between nodes, so there is one definition of what crosses a shard's boundary.
//!
//! Does not: contain logic or I/O.

mod error;
mod ids;
mod keys;
mod sqlstate;
mod timestamp;

pub use error::{ErrorFields, SqlError, SqlResult};
pub use ids::{CatalogVersion, Coordinator, Epoch, NodeId, ShardId, TxnId};
pub use keys::{LOCKED_ELSEWHERE, TABLE_PREFIX, after_prefix, table_prefix};
pub use sqlstate::SqlState;
pub use timestamp::Timestamp;

/// Requests and answers between the transactional client and a shard, and replicated commands.
pub mod kv {
    #![allow(missing_docs)]
    include!(concat!(env!("OUT_DIR"), "/sharddb.kv.rs"));
}

/// Records of the meta group: range map, nodes, settings.
pub mod meta {
    #![allow(missing_docs)]
    include!(concat!(env!("OUT_DIR"), "/sharddb.meta.rs"));
}

/// What Raft itself stores.
pub mod raft {
    #![allow(missing_docs)]
    include!(concat!(env!("OUT_DIR"), "/sharddb.raft.rs"));
}

/// What nodes send each other beside the messages above.
pub mod rpc {
    #![allow(missing_docs)]
    include!(concat!(env!("OUT_DIR"), "/sharddb.rpc.rs"));
}
