//! What nodes ask of the meta group, answered by one of its members.

use std::time::Duration;

use proto::{
    Timestamp,
    meta::{
        Answer, Call, Empty, HeartbeatAnswer, Jobs, Joined, Node, NodeHeartbeat, NodeReport, NodeState, Nodes,
        NotLeader, Ranges, ReadRanges, Refused, ReportSafePoint, Setting, Settings, TakeTimestamps, Timestamps,
        answer::Body, call, command,
    },
};
use sharddb_proto as proto;
use tokio::time::{Instant, timeout_at};

use crate::{
    Error, Meta,
    oracle::COUNT_MAX,
    state::{Counter, State},
};

/// Longest wait for a newer range map. Whoever waits asks again; who is gone is not waited for long.
const RANGES_WAIT_MAX: Duration = Duration::from_secs(30);

impl Meta {
    /// Answers a call. Only the leader answers most of them; other members say who leads.
    pub async fn call(&self, call: Call) -> Answer {
        let body = match self.answer(call).await {
            Ok(body) => body,
            Err(Error::NotLeader { leader }) => Body::NotLeader(NotLeader { leader: leader.unwrap_or(0) }),
            // Other members go on without this one.
            Err(Error::Raft(_)) if self.inner.group.failure().is_some() && self.members().len() > 1 => {
                Body::NotLeader(NotLeader { leader: 0 })
            }
            Err(error) => {
                let sqlstate = error.sqlstate().code().to_owned();
                Body::Refused(Refused { sqlstate, message: error.to_string() })
            }
        };
        Answer { body: Some(body) }
    }

    async fn answer(&self, call: Call) -> Result<Body, Error> {
        let Some(body) = call.body else { return Err(Error::Refused("an unknown call of the meta group".to_owned())) };
        if !matches!(body, call::Body::Ranges(ReadRanges { any_member: true, .. })) {
            self.check_leads()?;
        }
        let done = |_: u64| Body::Done(Empty {});
        match body {
            call::Body::Timestamps(take) => self.take_timestamps(take).await,
            call::Body::BumpCatalog(_) => self.propose(command::Body::BumpCatalog(0)).await.map(Body::CatalogVersion),
            call::Body::Ranges(read) => self.read_ranges(read).await.map(Body::Ranges),
            call::Body::PutRanges(put) => self.propose(command::Body::PutRanges(put)).await.map(done),
            call::Body::AllocateShards(count) => {
                self.propose(command::Body::AllocateShards(count)).await.map(Body::First)
            }
            call::Body::AllocateObjectIds(count) => {
                self.propose(command::Body::AllocateObjectIds(count)).await.map(Body::First)
            }
            call::Body::ReportSafePoint(report) => self.report_safe_point(report).await.map(Body::SafePoint),
            call::Body::Join(node) => self.join_node(node).await.map(Body::Joined),
            call::Body::Heartbeat(heartbeat) => self.heartbeat(heartbeat).await.map(Body::Heartbeat),
            call::Body::Nodes(_) => Ok(Body::Nodes(self.node_reports())),
            call::Body::PutSetting(setting) => self.propose(command::Body::PutSetting(setting)).await.map(done),
            call::Body::Settings(_) => Ok(Body::Settings(self.inner.shared.read(settings))),
            call::Body::SetNodeState(set) => self.propose(command::Body::SetNodeState(set)).await.map(done),
            call::Body::PutReplication(put) => self.propose(command::Body::PutReplication(put)).await.map(done),
            call::Body::Waits(report) => {
                let now_ms = self.inner.clock.uptime_ms();
                Ok(Body::Waits(self.inner.registry.lock().detector.report(now_ms, report)))
            }
            call::Body::Jobs(_) => Ok(Body::Jobs(Jobs { jobs: self.inner.jobs.lock().list() })),
        }
    }

    async fn take_timestamps(&self, take: TakeTimestamps) -> Result<Body, Error> {
        let count = take.count.clamp(1, COUNT_MAX);
        let first = self.timestamps(count, Timestamp(take.above)).await?.0;
        // Read after the timestamp was taken, so that it is not older.
        Ok(Body::Timestamps(Timestamps { first, count, catalog_version: self.catalog_version().0 }))
    }

    async fn read_ranges(&self, read: ReadRanges) -> Result<Ranges, Error> {
        let deadline = Instant::now() + Duration::from_millis(read.wait_ms.into()).min(RANGES_WAIT_MAX);
        let mut changes = self.inner.shared.changes();
        loop {
            let table = self.range_table();
            let waits = read.wait_ms > 0 && table.version() <= read.known_version;
            // Waiting ends with the time or the member.
            if !waits || !matches!(timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
                return Ok(Ranges {
                    version: table.version(),
                    ranges: self.with_leaders(table.since(read.known_version)),
                });
            }
            if !read.any_member {
                self.check_leads()?;
            }
        }
    }

    /// Adds what nodes said about leaders.
    fn with_leaders(&self, mut ranges: Vec<proto::meta::RangeDescriptor>) -> Vec<proto::meta::RangeDescriptor> {
        let registry = self.inner.registry.lock();
        for range in &mut ranges {
            range.leader = registry.leader_of(range.shard).unwrap_or(range.leader);
        }
        ranges
    }

    /// Takes a node's oldest snapshot and answers the cluster's.
    async fn report_safe_point(&self, report: ReportSafePoint) -> Result<u64, Error> {
        let state = self.inner.shared.read(State::clone);
        let now_ms = self.inner.clock.uptime_ms();
        let oldest = self.inner.registry.lock().report_snapshot(report.node, report.timestamp, &state, now_ms);
        if let Some(oldest) = oldest.filter(|oldest| *oldest > state[Counter::SafePoint]) {
            self.propose(command::Body::RaiseSafePoint(oldest)).await?;
        }
        Ok(self.safe_point().0)
    }

    async fn join_node(&self, node: Node) -> Result<Joined, Error> {
        let id = self.propose(command::Body::Join(node)).await?;
        self.inner.registry.lock().hear(id, self.inner.clock.uptime_ms());
        Ok(Joined { node: id, cluster_id: self.cluster_id() })
    }

    async fn heartbeat(&self, mut heartbeat: NodeHeartbeat) -> Result<HeartbeatAnswer, Error> {
        let node = heartbeat.node.take().unwrap_or_default();
        let id = node.id;
        let known = self.inner.shared.read(|state| state.nodes.get(&id).cloned());
        let known = known.ok_or_else(|| Error::Refused(format!("there is no node {id}")))?;
        if (Node { state: known.state, ..node.clone() }) != known {
            self.put_node(node).await?;
        }
        let now_ms = self.inner.clock.uptime_ms();
        let want_leads = self.inner.registry.lock().heartbeat(id, heartbeat, now_ms);
        let meta_members = self.members();
        Ok(self.inner.shared.read(|state| HeartbeatAnswer {
            ranges_version: state.ranges.version(),
            nodes_version: state[Counter::NodesVersion],
            settings_version: state[Counter::SettingsVersion],
            want_leads,
            state: state.nodes.get(&id).map_or(NodeState::Gone, Node::state).into(),
            meta_members,
            safe_point: state[Counter::SafePoint],
        }))
    }

    fn node_reports(&self) -> Nodes {
        let now_ms = self.inner.clock.uptime_ms();
        let state = self.inner.shared.read(State::clone);
        let registry = self.inner.registry.lock();
        let report = |node: &Node| NodeReport {
            silent_ms: registry.silent_ms(node.id, now_ms),
            live: registry.is_live(node.id, now_ms),
            statistics: registry.statistics(node.id),
            voters: state.ranges.iter().filter(|range| range.replicas.contains(&node.id)).count() as u64,
            leads: state.ranges.iter().filter(|range| registry.leader_of(range.shard) == Some(node.id)).count() as u64,
            node: Some(node.clone()),
        };
        Nodes {
            version: state[Counter::NodesVersion],
            nodes: state.nodes.values().map(report).collect(),
            meta_members: self.members(),
            meta_leader: self.leader().unwrap_or(0),
        }
    }
}

fn settings(state: &State) -> Settings {
    let setting = |(name, value): (&String, &String)| Setting { name: name.clone(), value: Some(value.clone()) };
    let settings = state.settings.iter().map(setting).collect();
    Settings { version: state[Counter::SettingsVersion], settings }
}
