//! The calls, each with its answer.

use std::sync::atomic::Ordering;

use proto::{
    CatalogVersion, Timestamp,
    meta::{
        Empty, HeartbeatAnswer, Job, Joined, Node, NodeHeartbeat, NodeState, Nodes, PutRanges, PutReplication,
        RangeDescriptor, ReadRanges, ReportSafePoint, SetNodeState, Setting, Settings, WaitAnswer, WaitReport, answer,
        call,
    },
};
use sharddb_kv as kv;
use sharddb_proto as proto;
use tokio::time::Instant;

use super::{CALL_DEADLINE, RemoteMeta};
use crate::RangeTable;

/// How long the leader is asked for the range map before any member will do.
const RANGES_PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

const _: () = assert!(RANGES_PATIENCE.as_millis() < CALL_DEADLINE.as_millis());

pub(super) fn unexpected() -> kv::Error {
    kv::Error::Internal("an answer of the wrong kind from the meta group".to_owned())
}

/// Calls and takes the one kind of answer there is to it.
macro_rules! ask {
    ($self:ident, $call:expr, $answer:ident) => {
        match $self.call($call).await? {
            answer::Body::$answer(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    };
}

impl RemoteMeta {
    /// Asks for a node id. A store that has one gets it again.
    pub async fn join(&self, node: Node) -> kv::Result<Joined> {
        ask!(self, call::Body::Join(node), Joined)
    }

    /// Gives a sign of life; notes the members that the answer names.
    pub async fn heartbeat(&self, heartbeat: NodeHeartbeat) -> kv::Result<HeartbeatAnswer> {
        let answer: kv::Result<HeartbeatAnswer> = ask!(self, call::Body::Heartbeat(heartbeat), Heartbeat);
        if let Ok(answer) = &answer {
            self.set_members(answer.meta_members.clone());
        }
        answer
    }

    /// Every node, with what the leader knows of it.
    pub async fn nodes(&self) -> kv::Result<Nodes> {
        ask!(self, call::Body::Nodes(Empty {}), Nodes)
    }

    /// The cluster settings that are set.
    pub async fn settings(&self) -> kv::Result<Settings> {
        ask!(self, call::Body::Settings(Empty {}), Settings)
    }

    /// Sets a cluster setting, or resets it.
    pub async fn put_setting(&self, name: String, value: Option<String>) -> kv::Result<()> {
        ask!(self, call::Body::PutSetting(Setting { name, value }), Done).map(|Empty {}| ())
    }

    /// Drains or decommissions a node, or takes it back.
    pub async fn set_node_state(&self, node: u64, state: NodeState) -> kv::Result<()> {
        let state = state.into();
        ask!(self, call::Body::SetNodeState(SetNodeState { node, state }), Done).map(|Empty {}| ())
    }

    /// Sets the replication factor of the ranges in a span.
    pub async fn put_replication(&self, put: PutReplication) -> kv::Result<()> {
        ask!(self, call::Body::PutReplication(put), Done).map(|Empty {}| ())
    }

    /// Reports this node's waits; answers those to end.
    pub async fn report_waits(&self, report: WaitReport) -> kv::Result<WaitAnswer> {
        ask!(self, call::Body::Waits(report), Waits)
    }

    /// Changes of placement under way or ended not long ago.
    pub async fn jobs(&self) -> kv::Result<Vec<Job>> {
        let jobs: kv::Result<proto::meta::Jobs> = ask!(self, call::Body::Jobs(Empty {}), Jobs);
        Ok(jobs?.jobs)
    }

    /// The whole range map of the leader, with the leaders of shards that it heard of last.
    pub async fn range_reports(&self) -> kv::Result<Vec<RangeDescriptor>> {
        let ranges: kv::Result<proto::meta::Ranges> = ask!(self, call::Body::Ranges(ReadRanges::default()), Ranges);
        Ok(ranges?.ranges)
    }

    /// The range map. Only what changed since the last call is sent.
    pub async fn range_table(&self) -> kv::Result<RangeTable> {
        let mut known = self.inner.ranges.lock().await;
        let read = ReadRanges { known_version: known.version(), ..ReadRanges::default() };
        let of_leader = self.call_until(call::Body::Ranges(read), Instant::now() + RANGES_PATIENCE).await;
        let answer = match of_leader {
            Err(kv::Error::Unavailable { reason }) => {
                self.ranges_of_any(read).await.ok_or(kv::Error::Unavailable { reason })
            }
            answered => answered,
        };
        let answer::Body::Ranges(changed) = answer? else { return Err(unexpected()) };
        known.merge(changed);
        Ok(known.clone())
    }

    /// What any member answers, without a leader. An old map serves better than none: shards know what is theirs.
    async fn ranges_of_any(&self, read: ReadRanges) -> Option<answer::Body> {
        let members = self.inner.members.read().clone();
        for member in members {
            let body = Some(call::Body::Ranges(ReadRanges { any_member: true, ..read }));
            if let Ok(answer) = self.ask(member, proto::meta::Call { body }).await
                && let Some(ranges @ answer::Body::Ranges(_)) = answer.body
            {
                return Some(ranges);
            }
        }
        None
    }

    pub(super) async fn put(&self, ranges: Vec<RangeDescriptor>) -> kv::Result<()> {
        ask!(self, call::Body::PutRanges(PutRanges { ranges }), Done).map(|Empty {}| ())
    }

    pub(super) async fn bump(&self) -> kv::Result<CatalogVersion> {
        let version: u64 = ask!(self, call::Body::BumpCatalog(Empty {}), CatalogVersion)?;
        self.inner.catalog_version.fetch_max(version, Ordering::SeqCst);
        Ok(CatalogVersion(version))
    }

    pub(super) async fn allocate(&self, body: call::Body) -> kv::Result<u64> {
        ask!(self, body, First)
    }

    pub(super) async fn report_snapshot(&self, oldest: Timestamp) -> kv::Result<Timestamp> {
        let report = ReportSafePoint { node: self.inner.node, timestamp: oldest.0 };
        ask!(self, call::Body::ReportSafePoint(report), SafePoint).map(Timestamp)
    }
}
