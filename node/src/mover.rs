//! Carrying out what placement decides: shards through the transactional client, the meta group itself.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use kv::BoxFuture;
use meta::{
    GROUP,
    placement::{META, Mover, Progress},
};
use proto::{
    NodeId, ShardId,
    kv::{self as wire, failure, request, response},
};
use raft::{Group, RaftHost};
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_raft as raft;
use tokio::time::Instant;

/// Time between looks at how far a new member of the meta group is.
const CATCH_UP_CHECK: Duration = Duration::from_millis(20);
/// Longest time that bringing up a member of the meta group takes: its state is small.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// Moves replicas. The client comes once it exists.
pub(crate) struct ClusterMover {
    raft: Arc<RaftHost>,
    transport: Arc<dyn kv::Transport>,
    client: OnceLock<kv::Client>,
}

impl ClusterMover {
    pub(crate) fn new(raft: Arc<RaftHost>, transport: Arc<dyn kv::Transport>) -> Self {
        Self { raft, transport, client: OnceLock::new() }
    }

    pub(crate) fn set_client(&self, client: kv::Client) {
        // Set once, when the node starts.
        let _ = self.client.set(client);
    }

    fn client(&self) -> Result<&kv::Client, String> {
        self.client.get().ok_or_else(|| "the node is starting".to_owned())
    }

    fn meta_group(&self) -> Result<Group, String> {
        self.raft.group(GROUP).ok_or_else(|| "this node has no member of the meta group".to_owned())
    }

    async fn change_shard(&self, shard: u64, add: Vec<u64>, remove: Vec<u64>) -> Result<(), String> {
        let client = self.client()?;
        let shard = ShardId(shard);
        let leader = client.shard_at_leader(shard).await.map_err(|error| error.to_string())?;
        let mut voters: BTreeSet<u64> = leader.range.unwrap_or_default().replicas.into_iter().collect();
        voters.extend(add);
        voters.retain(|node| !remove.contains(node));
        client.place_replicas(shard, &voters).await.map_err(|error| error.to_string())
    }

    /// The meta group's members lie beside its leader's own log: this node leads it.
    async fn change_meta(&self, add: Vec<u64>, remove: Vec<u64>) -> Result<(), String> {
        let group = self.meta_group()?;
        for node in &add {
            self.ask(*node, request::Body::CreateReplica(wire::CreateReplica { range: None })).await?;
            let members = group.members();
            if !members.voters.contains(node) && !members.learners.contains(node) {
                group.add_learner(*node).await.map_err(|error| error.to_string())?;
            }
        }
        catch_up(&group, &add).await?;
        let mut voters = group.members().voters;
        voters.extend(add);
        voters.retain(|node| !remove.contains(node));
        group.change_voters(voters).await.map_err(|error| error.to_string())?;
        for node in remove {
            if group.members().learners.contains(&node) {
                group.remove_learner(node).await.map_err(|error| error.to_string())?;
            }
            if let Err(reason) = self.ask(node, request::Body::DeleteReplica(wire::DeleteReplica {})).await {
                tracing::info!(node, reason, "a former member of the meta group keeps what it has for now");
            }
        }
        Ok(())
    }

    async fn ask(&self, node: u64, body: request::Body) -> Result<(), String> {
        let header = wire::Header { shard: META, ..wire::Header::default() };
        let request = wire::Request { header: Some(header), body: Some(body) };
        match self.transport.call(NodeId(node), request).await.body {
            Some(response::Body::Done(_)) => Ok(()),
            Some(response::Body::Failure(wire::Failure { kind: Some(failure::Kind::Internal(reason)) })) => Err(reason),
            other => Err(format!("node {node} answered {other:?}")),
        }
    }
}

async fn catch_up(group: &Group, learners: &[u64]) -> Result<(), String> {
    let deadline = Instant::now() + CATCH_UP_MAX;
    loop {
        let (progress, committed) = (group.progress(), group.committed());
        let has_all =
            |node: &u64| progress.iter().any(|progress| progress.node == *node && progress.matched >= committed);
        if learners.iter().all(has_all) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err("a new member of the meta group does not catch up".to_owned());
        }
        tokio::time::sleep(CATCH_UP_CHECK).await;
    }
}

impl Mover for ClusterMover {
    fn change_replicas(
        &self,
        shard: u64,
        add: Vec<u64>,
        remove: Vec<u64>,
        _progress: Arc<Progress>,
    ) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            if shard == META {
                self.change_meta(add, remove).await
            } else {
                self.change_shard(shard, add, remove).await
            }
        })
    }

    fn transfer_leader(&self, shard: u64, _from: u64, to: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            if shard == META {
                return self.meta_group()?.transfer_leader(to).await.map_err(|error| error.to_string());
            }
            self.client()?.place_leader(ShardId(shard), NodeId(to)).await.map_err(|error| error.to_string())
        })
    }
}
