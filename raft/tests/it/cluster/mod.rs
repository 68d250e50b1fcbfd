//! Several hosts in one process: a network, clocks and disks that misbehave, all of it from one seed.
//!
//! Every test runs in one thread on tokio's paused clock, so time passes only when everybody waits, and a failure can be
//! repeated from its seed.

mod changes;
mod elections;
mod leases;
mod network;
mod slow_disks;
mod snapshots;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use sharddb_disk::Disk;
use sharddb_raft::{
    Blocking, Group, MonotonicClock, RaftHost, Surroundings,
    log::{Execution, GroupId, LogOptions, SharedLog},
};
use tokio::time::{Instant, sleep, timeout};

use self::network::Network;
use crate::groups::List;

/// The group of tests that need one.
pub(crate) const GROUP: GroupId = GroupId(7);
/// Nothing that a test waits for takes longer, by the simulated clock.
const PATIENCE: Duration = Duration::from_secs(60);

/// A clock that runs at its own rate.
struct Drifting {
    started: Instant,
    /// Nanoseconds that pass for a thousand of the simulated time.
    rate: u64,
}

impl MonotonicClock for Drifting {
    fn now_ns(&self) -> u64 {
        1_000_000_000 + self.started.elapsed().as_nanos() as u64 / 1000 * self.rate
    }
}

/// One node: what outlives its process, and its process if there is one.
pub(crate) struct Node {
    pub(crate) id: u64,
    disk: Disk,
    machines: BTreeMap<GroupId, Arc<List>>,
    pub(crate) host: Option<Arc<RaftHost>>,
    rate: u64,
    starts: u64,
    /// How long its disk takes for a sync, from its next start on.
    round: Duration,
}

/// The cluster.
pub(crate) struct Cluster {
    pub(crate) network: Arc<Network>,
    pub(crate) nodes: BTreeMap<u64, Node>,
    directory: tempfile::TempDir,
    seed: u64,
}

/// Runs a test in a runtime of one thread with a paused clock.
pub(crate) fn simulate<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime starts").block_on(test());
}

impl Node {
    /// What a group's machine here has applied.
    pub(crate) fn commands(&self, group: GroupId) -> Vec<String> {
        self.machines.get(&group).map(|machine| machine.commands()).unwrap_or_default()
    }
}

impl Cluster {
    /// Nodes 1 to `count`, all running and without groups.
    pub(crate) fn new(count: u64, seed: u64) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut cluster = Self { network: Network::new(seed), nodes: BTreeMap::new(), directory, seed };
        (1..=count).for_each(|id| cluster.add_node(id, 1000));
        cluster
    }

    /// Nodes 1 to `count` with a group that they all vote in, led by node 1.
    pub(crate) async fn with_group(count: u64, seed: u64) -> Self {
        let mut cluster = Self::new(count, seed);
        cluster.form_group(GROUP, 1..=count).await;
        cluster
    }

    /// A node with an empty disk and a clock of this rate, in thousandths.
    pub(crate) fn add_node(&mut self, id: u64, rate: u64) {
        let (disk, machines) = Default::default();
        self.nodes
            .insert(id, Node { id, disk, machines, host: None, rate, starts: 0, round: Duration::from_millis(1) });
        self.boot(id);
    }

    fn snapshots(&self, id: u64) -> PathBuf {
        self.directory.path().join(id.to_string())
    }

    /// Starts a node's process, without its groups.
    fn boot(&mut self, id: u64) {
        let snapshots = self.snapshots(id);
        let node = self.nodes.get_mut(&id).expect("the node exists");
        node.starts += 1;
        let execution = Execution::Task { round: node.round };
        let options = LogOptions { segment_bytes: 20_000, segments_max: 4 };
        let log = SharedLog::open_with(node.disk.files(), options, execution).expect("the log opens");
        let surroundings = Surroundings {
            transport: self.network.endpoint(id),
            clock: Arc::new(Drifting { started: Instant::now(), rate: node.rate }),
            seed: self.seed.wrapping_mul(1000) + id * 100 + node.starts,
            snapshots,
            blocking: Blocking::Inline,
        };
        let host = Arc::new(RaftHost::connected(id, Arc::new(log), surroundings));
        self.network.plug_in(id, &host);
        node.host = Some(host);
    }

    /// Ends a node's process as a power failure does: what was not synced or flushed is gone.
    pub(crate) async fn crash(&mut self, id: u64) {
        self.network.pull_out(id);
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let (old, host) = (node.disk.clone(), node.host.take().expect("the node runs"));
        node.disk = old.copy();
        node.disk.crash();
        for machine in node.machines.values_mut() {
            *machine = machine.crashed();
        }
        // What the old process still does, it does to files that nobody looks at any more.
        host.shutdown().await;
    }

    /// Starts a crashed node again with all its groups.
    pub(crate) async fn restart(&mut self, id: u64) {
        self.boot(id);
        let node = &self.nodes[&id];
        let host = node.host.as_ref().expect("it runs");
        for (group, machine) in &node.machines {
            host.start_group(*group, machine.clone()).await.expect("the group starts");
        }
    }

    /// Directories of snapshots that are still there.
    pub(crate) fn left_of_snapshots(&self) -> Vec<PathBuf> {
        let read = |id: &u64| std::fs::read_dir(self.snapshots(*id)).into_iter().flatten();
        self.nodes.keys().flat_map(read).map(|entry| entry.expect("an entry").path()).collect()
    }

    /// A node's disk is lost with everything on it.
    pub(crate) fn wipe(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        assert!(node.host.is_none(), "a running node is not wiped");
        (node.disk, node.machines) = Default::default();
        let _none = std::fs::remove_dir_all(self.directory.path().join(id.to_string()));
    }

    pub(crate) fn machine(&mut self, node: u64, group: GroupId) -> Arc<List> {
        self.nodes.get_mut(&node).expect("the node exists").machines.entry(group).or_default().clone()
    }

    pub(crate) fn host(&self, node: u64) -> Arc<RaftHost> {
        self.nodes[&node].host.clone().expect("the node runs")
    }

    pub(crate) fn group(&self, node: u64, group: GroupId) -> Group {
        self.host(node).group(group).expect("the group runs")
    }

    /// Makes a group with these voters; the first of them leads.
    pub(crate) async fn form_group(&mut self, group: GroupId, voters: impl IntoIterator<Item = u64>) {
        let voters: Vec<u64> = voters.into_iter().collect();
        let machine = self.machine(voters[0], group);
        let leader = self.host(voters[0]).create_group(group, machine).await.expect("the group starts");
        for voter in &voters[1..] {
            let machine = self.machine(*voter, group);
            self.host(*voter).join_group(group, machine).await.expect("the replica starts");
            leader.add_learner(*voter).await.expect("a learner is added");
        }
        self.caught_up(&leader).await;
        leader.change_voters(voters.iter().copied().collect()).await.expect("the voters change");
    }

    /// Waits until every member of a group has everything its leader has.
    pub(crate) async fn caught_up(&self, leader: &Group) {
        let done = || leader.progress().iter().all(|progress| progress.matched >= leader.applied());
        self.until("the members have caught up", done).await;
    }

    /// Waits for something to become true.
    pub(crate) async fn until(&self, what: &str, done: impl Fn() -> bool) {
        let waiting = async {
            while !done() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("seed {}: not {what}", self.seed));
    }

    /// The running node that holds a group's lease.
    pub(crate) fn leader(&self, group: GroupId) -> Option<u64> {
        let leads = |node: &&Node| {
            let found = node.host.as_ref().and_then(|host| host.group(group));
            found.is_some_and(|group| group.has_lease() && group.leadership().borrow().ready)
        };
        self.nodes.values().find(leads).map(|node| node.id)
    }

    /// Waits until a node leads that is not among these.
    pub(crate) async fn leader_besides(&self, group: GroupId, besides: &[u64]) -> u64 {
        let found = || self.leader(group).filter(|node| !besides.contains(node));
        self.until("a leader is elected", || found().is_some()).await;
        found().expect("it was just found")
    }

    pub(crate) async fn any_leader(&self, group: GroupId) -> u64 {
        self.leader_besides(group, &[]).await
    }

    /// Proposes until it is accepted; the outcome is known then.
    pub(crate) async fn propose(&self, group: GroupId, command: &str) -> u64 {
        loop {
            let leader = self.any_leader(group).await;
            let proposed = self.group(leader, group).propose(Bytes::copy_from_slice(command.as_bytes())).await;
            match proposed {
                Ok(_) => return leader,
                Err(sharddb_raft::Error::NotLeader { .. }) => sleep(Duration::from_millis(10)).await,
                Err(error) => panic!("seed {}: {error}", self.seed),
            }
        }
    }

    /// Waits until these nodes have applied the same commands, and answers them.
    pub(crate) async fn agreed(&mut self, group: GroupId, nodes: &[u64]) -> Vec<String> {
        let machines: Vec<Arc<List>> = nodes.iter().map(|node| self.machine(*node, group)).collect();
        let leader = self.any_leader(group).await;
        let applied = self.group(leader, group).applied();
        let groups: Vec<Group> = nodes.iter().map(|node| self.group(*node, group)).collect();
        self.until("the replicas agree", || groups.iter().all(|group| group.applied() >= applied)).await;
        let first = machines[0].commands();
        for machine in &machines[1..] {
            assert_eq!(machine.commands(), first, "seed {}", self.seed);
        }
        first
    }
}

/// Numbered commands.
pub(crate) fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|i| format!("command {i}")).collect()
}
