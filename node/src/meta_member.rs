//! Having a member of the meta group on this node, or ceasing to.

use std::sync::Arc;

use meta::{Clock, GROUP, Meta, RemoteMeta};
use proto::kv::{self, failure, response};
use raft::RaftHost;
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage::Engine;
use tokio::sync::Mutex;

use crate::mover::ClusterMover;

/// Makes and ends this node's member of the meta group. Cheap to clone.
#[derive(Clone)]
pub(crate) struct MetaMember {
    raft: Arc<RaftHost>,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    meta: RemoteMeta,
    mover: Arc<ClusterMover>,
    changing: Arc<Mutex<()>>,
}

impl MetaMember {
    pub(crate) fn new(
        raft: Arc<RaftHost>,
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        meta: RemoteMeta,
        mover: Arc<ClusterMover>,
    ) -> Self {
        if let Some(local) = meta.local() {
            local.keep_placement(Arc::clone(&mover) as Arc<dyn meta::placement::Mover>);
        }
        Self { raft, engine, clock, meta, mover, changing: Arc::default() }
    }

    /// Makes an empty member for the leader to bring up. Nothing happens if there is one.
    pub(crate) async fn begin(&self) -> kv::Response {
        let _one_at_a_time = self.changing.lock().await;
        if self.raft.group(GROUP).is_some() {
            return done();
        }
        match Meta::join(&self.raft, Arc::clone(&self.engine), Arc::clone(&self.clock)).await {
            Ok(member) => {
                member.keep_placement(Arc::clone(&self.mover) as Arc<dyn meta::placement::Mover>);
                self.meta.set_local(Some(member));
                done()
            }
            Err(error) => failed(&error),
        }
    }

    /// Ends the membership and forgets its log and state. Nothing happens if there is none.
    pub(crate) async fn end(&self) -> kv::Response {
        let _one_at_a_time = self.changing.lock().await;
        if self.raft.group(GROUP).is_none() {
            return done();
        }
        self.meta.set_local(None);
        match Meta::leave(&self.raft, self.engine.as_ref()).await {
            Ok(()) => done(),
            Err(error) => failed(&error),
        }
    }
}

fn done() -> kv::Response {
    kv::Response { body: Some(response::Body::Done(kv::Done {})), ..kv::Response::default() }
}

fn failed(error: &meta::Error) -> kv::Response {
    let kind = Some(failure::Kind::Internal(error.to_string()));
    kv::Response { body: Some(response::Body::Failure(kv::Failure { kind })), ..kv::Response::default() }
}
