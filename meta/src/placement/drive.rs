//! The loop that keeps replicas where they are to be, on the leader of the meta group.
//!
//! Looks around every second; where nothing has changed it does nothing more. Each step runs as a task of its own. A group
//! whose step failed is left alone for a while, longer each time. A leader that is new waits until nodes had time to say
//! what they lead.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
    time::Duration,
};

use proto::meta::{NodeState, SetNodeState, command};
use sharddb_proto as proto;
use tokio::task::{Id, JoinSet};

use super::{
    Action, Group, Limits, Liveness, META, Mover, Node, View, emptied,
    factor::{REPLICATION_FACTOR, cluster_factor, levels, meta_voters, voters},
    parse_locality, plan,
};
use crate::{
    Meta,
    group::Inner,
    registry::{HEARTBEAT_MS, Registry},
    state::State,
};

/// Time between looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// A new leader has heard from every node that lives by then.
const SETTLING_MS: u64 = 5000;
/// The cluster setting that says after how many seconds of silence a node is replaced.
pub const DEAD_NODE_AFTER: &str = "dead_node_after";
/// Its default. Longer than a restart takes: copying everything a node has costs more than waiting for it.
const DEAD_NODE_AFTER_S: u64 = 300;
/// A disk with less than this part free gets no new replicas.
const FREE_PART_MIN: u64 = 20;
/// A node that has started again is not given leaders for the sake of evenness for so long: its replicas catch up.
const YOUNG_MS: u64 = 10_000;
/// Nor is one that has missed a sign of life: it may be on its way down or up.
const SILENCE_MS: u64 = HEARTBEAT_MS + HEARTBEAT_MS / 2;
/// Pause after a step failed; doubles with each failure of the same group.
const RETRY_MIN_MS: u64 = 2000;
/// Longest pause.
const RETRY_MAX_MS: u64 = 60_000;
/// While more steps than this are under way, the end of one is no reason to look for another: in a cluster of thousands of
/// shards that are to be spread, a look takes longer than a step.
const GATHERED: usize = 16;
/// A step that takes longer hangs.
const STEP_DEADLINE: Duration = Duration::from_secs(3600);

/// What a plan depends on, as far as it is cheap to compare.
type Signature = (u64, u64, u64, Vec<(u64, Liveness, bool, bool)>, Vec<u64>);

impl Meta {
    /// Keeps replicas where they are to be whenever this member leads, until the member is gone.
    pub fn keep_placement(&self, mover: Arc<dyn Mover>) -> tokio::task::JoinHandle<()> {
        tokio::spawn(drive(Arc::downgrade(&self.inner), mover))
    }

    /// The cluster as the leader sees it.
    fn view(&self) -> View {
        let inner = &self.inner;
        let state = inner.shared.read(State::clone);
        let mut view = {
            let registry = inner.registry.lock();
            View {
                nodes: nodes(&state, &registry, inner.clock.uptime_ms()),
                groups: ranges(&state, &registry),
                levels: true,
            }
        };
        let setting = state.settings.get(REPLICATION_FACTOR).map(String::as_str);
        let members = state.members();
        view.levels = levels(setting, members);
        view.groups.push(Group {
            shard: META,
            voters: inner.group.voters().into_iter().collect(),
            learners: inner.group.learners().into_iter().collect(),
            leader: self.leader(),
            wanted: meta_voters(cluster_factor(setting, members), members),
        });
        view
    }

    fn signature(&self) -> Signature {
        let inner = &self.inner;
        let state = inner.shared.read(State::clone);
        let registry = inner.registry.lock();
        let nodes = nodes(&state, &registry, inner.clock.uptime_ms());
        let nodes = nodes.into_iter().map(|(id, node)| (id, node.liveness, node.full, node.young)).collect();
        let (nodes_version, settings_version) = state.versions();
        let versions = (state.ranges.version(), nodes_version, settings_version);
        let members = [inner.group.voters(), vec![registry.leaders_version()], inner.group.learners()].concat();
        (versions.0, versions.1, versions.2, nodes, members)
    }
}

fn nodes(state: &State, registry: &Registry, now_ms: u64) -> BTreeMap<u64, Node> {
    let patience = state.settings.get(DEAD_NODE_AFTER).and_then(|seconds| seconds.trim().parse().ok());
    let dead_after_ms = patience.unwrap_or(DEAD_NODE_AFTER_S).saturating_mul(1000);
    let present = state.nodes.values().filter(|node| node.state() != NodeState::Gone);
    let seen = present.map(|node| {
        let liveness = match (registry.is_live(node.id, now_ms), registry.silent_ms(node.id, now_ms)) {
            (true, _) => Liveness::Live,
            (false, silent_ms) if silent_ms >= dead_after_ms => Liveness::Dead,
            (false, _) => Liveness::Silent,
        };
        let said = registry.statistics(node.id).unwrap_or_default();
        let full = said.disk_total > 0 && said.disk_free < said.disk_total / FREE_PART_MIN;
        let is_silent = registry.silent_ms(node.id, now_ms) > SILENCE_MS;
        let young = is_silent || (said.starts > 1 && said.uptime_ms < YOUNG_MS);
        (node.id, Node { state: node.state(), liveness, locality: parse_locality(&node.locality), full, young })
    });
    seen.collect()
}

fn ranges(state: &State, registry: &Registry) -> Vec<Group> {
    let members = state.members();
    let default = cluster_factor(state.settings.get(REPLICATION_FACTOR).map(String::as_str), members);
    let group = |range: &Arc<proto::meta::RangeDescriptor>| Group {
        shard: range.shard,
        voters: range.replicas.iter().copied().collect(),
        learners: range.learners.iter().copied().collect(),
        leader: registry.leader_of(range.shard),
        wanted: voters(if range.replication_factor == 0 { default } else { range.replication_factor }, members),
    };
    state.ranges.iter().map(group).collect()
}

/// Steps under way in this process, and groups that are left alone.
#[derive(Default)]
struct Steps {
    tasks: JoinSet<Result<(), String>>,
    /// Job and step of each task.
    running: BTreeMap<Id, (u64, Action)>,
    /// Failures in a row of a group, and when it is tried again.
    failures: BTreeMap<u64, (u32, u64)>,
    /// What was seen when there was nothing to do.
    quiet: Option<Signature>,
}

async fn drive(inner: Weak<Inner>, mover: Arc<dyn Mover>) {
    let mut steps = Steps::default();
    let Some(mut leadership) = inner.upgrade().map(|inner| inner.group.leadership()) else { return };
    loop {
        let leads = leadership.borrow_and_update().ready;
        tokio::select! {
            () = tokio::time::sleep(INTERVAL), if leads => {}
            Some(ended) = steps.tasks.join_next_with_id() => {
                let Some(inner) = inner.upgrade() else { return };
                steps.end(&Meta { inner }, ended);
                if steps.running.len() > GATHERED {
                    continue;
                }
            }
            changed = leadership.changed() => if changed.is_err() { return },
        }
        let Some(inner) = inner.upgrade() else { return };
        steps.look(&Meta { inner }, &mover).await;
    }
}

impl Steps {
    /// Looks around and starts what is to be done.
    async fn look(&mut self, meta: &Meta, mover: &Arc<dyn Mover>) {
        let now_ms = meta.inner.clock.uptime_ms();
        if meta.inner.leading().is_none() {
            return self.give_up(meta);
        }
        self.failures.retain(|_, (_, until_ms)| *until_ms + RETRY_MAX_MS > now_ms);
        // A lease that has lapsed for a moment is waited for.
        if !meta.leads() || meta.inner.registry.lock().age_ms(now_ms) < SETTLING_MS {
            return;
        }
        let signature = meta.signature();
        if self.running.is_empty() && self.failures.is_empty() && self.quiet.as_ref() == Some(&signature) {
            return;
        }
        let view = meta.view();
        let held: BTreeSet<u64> =
            self.failures.iter().filter(|(_, (_, until_ms))| *until_ms > now_ms).map(|(shard, _)| *shard).collect();
        let running: Vec<Action> = self.running.values().map(|(_, action)| action.clone()).collect();
        let actions = plan(&view, &running, &held, Limits::default());
        self.quiet = Some(signature).filter(|_| actions.is_empty());
        let moves = actions.iter().filter(|action| matches!(action, Action::MoveLeader { .. })).count();
        if moves > 0 {
            tracing::info!(moves, "placement hands leads over");
        }
        for action in actions {
            self.start(meta, mover, action);
        }
        for node in emptied(&view) {
            tracing::info!(node, "a node has no replicas left and is gone");
            let gone = SetNodeState { node, state: NodeState::Gone.into() };
            if let Err(error) = meta.propose(command::Body::SetNodeState(gone)).await {
                tracing::warn!(node, %error, "could not note that a node is gone");
            }
        }
    }

    fn start(&mut self, meta: &Meta, mover: &Arc<dyn Mover>, action: Action) {
        match &action {
            Action::Change { .. } => tracing::info!(%action, "placement"),
            // There may be thousands of them.
            Action::MoveLeader { .. } => tracing::debug!(%action, "placement"),
        }
        let (job, progress) = meta.inner.jobs.lock().begin(action.clone(), meta.inner.clock.now_ms());
        let (mover, step) = (Arc::clone(mover), action.clone());
        let task = self.tasks.spawn(async move {
            let run = async {
                match step {
                    Action::Change { shard, add, remove } => mover.change_replicas(shard, add, remove, progress).await,
                    Action::MoveLeader { shard, from, to } => mover.transfer_leader(shard, from, to).await,
                }
            };
            let hung = |_| Err("it took too long".to_owned());
            tokio::time::timeout(STEP_DEADLINE, run).await.unwrap_or_else(hung)
        });
        self.running.insert(task.id(), (job, action));
    }

    fn end(&mut self, meta: &Meta, ended: Result<(Id, Result<(), String>), tokio::task::JoinError>) {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), Err(format!("the step ended in the middle: {error}"))),
        };
        let Some((job, action)) = self.running.remove(&id) else { return };
        match &outcome {
            Ok(()) => {
                self.failures.remove(&action.shard());
                if let Action::MoveLeader { shard, to, .. } = action {
                    // The node will say so itself, with its next heartbeat.
                    meta.inner.registry.lock().note_leader(shard, to);
                }
            }
            Err(error) => {
                tracing::warn!(%action, %error, "placement failed");
                let failures = self.failures.entry(action.shard()).or_default();
                let pause = RETRY_MIN_MS.saturating_mul(1 << failures.0.min(10)).min(RETRY_MAX_MS);
                *failures = (failures.0 + 1, meta.inner.clock.uptime_ms() + pause);
            }
        }
        meta.inner.jobs.lock().end(job, outcome);
    }

    /// Another member leads and decides what becomes of steps under way.
    fn give_up(&mut self, meta: &Meta) {
        self.tasks.abort_all();
        self.running.clear();
        self.failures.clear();
        self.quiet = None;
        meta.inner.jobs.lock().give_up("this node no longer leads the meta group");
    }
}
