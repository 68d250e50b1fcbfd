//! The simulated cluster: machines, their network, and what has gone wrong so far.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use proto::rpc::{JoinRequest, Joined, join_answer::Outcome};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sharddb_node::FIRST_NODE;
use sharddb_proto as proto;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{
    clock::Clocks,
    machine::{Ended, Machine, Session, record},
    network::Network,
    trace::Trace,
};

/// Time between looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(50);
/// Longest time anything that is waited for takes, by the simulated clock.
const PATIENCE: Duration = Duration::from_secs(90);

/// A cluster.
pub(crate) struct Cluster {
    pub(crate) network: Network,
    pub(crate) trace: Trace,
    pub(crate) machines: BTreeMap<u64, Machine>,
    random: Mutex<StdRng>,
    violations: Mutex<Vec<String>>,
    _directory: TempDir,
}

impl Cluster {
    /// Machines 1 to `count` that never ran.
    pub(crate) fn new(count: u64, seed: u64) -> Arc<Self> {
        let begun = Instant::now();
        let mut random = StdRng::seed_from_u64(seed);
        let trace = Trace::new(begun);
        let network = Network::new(random.random(), trace.clone());
        let directory = tempfile::tempdir().expect("a directory for snapshots");
        let mut machine = |id: u64| {
            // Rates may differ by less than a tenth.
            let clocks = Clocks::new(begun, random.random_range(975..1025), random.random_range(-2000..2000));
            let directory = directory.path().join(id.to_string());
            (id, Machine::new(id, clocks, network.clone(), directory))
        };
        let machines = (1..=count).map(&mut machine).collect();
        let (random, violations) = (Mutex::new(random), Mutex::default());
        Arc::new(Self { network, trace, machines, random, violations, _directory: directory })
    }

    pub(crate) fn random<T>(&self, choose: impl FnOnce(&mut StdRng) -> T) -> T {
        choose(&mut self.random.lock())
    }

    /// Notes that a promise was broken.
    pub(crate) fn violation(&self, what: String) {
        self.trace.note(format_args!("VIOLATION {what}"));
        self.violations.lock().push(what);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().clone()
    }

    pub(crate) fn machine(&self, id: u64) -> &Machine {
        &self.machines[&id]
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.machines.keys().copied().collect()
    }

    /// Starts a machine's process.
    pub(crate) fn start(self: &Arc<Self>, id: u64) {
        let slow = self.random(|random| random.random_ratio(1, 10));
        let round = Duration::from_micros(
            self.random(|random| random.random_range(if slow { 20_000..80_000 } else { 200..2000 })),
        );
        let seed = self.random(Rng::random);
        self.trace.note(format_args!("node {id} starts, its syncs take {round:?}"));
        let cluster = Arc::downgrade(self);
        self.machine(id).start(seed, round, move |ended| {
            let Some(cluster) = cluster.upgrade() else { return };
            match ended {
                // A torn sync; the crash follows.
                Ended::Failed(error) if error.to_string().contains("crashed") => {}
                Ended::Log(error) | Ended::Failed(error) => cluster.violation(format!("node {id} ended: {error}")),
                Ended::Start(error) => cluster.violation(format!("node {id} did not start: {error}")),
            }
        });
    }

    /// Crashes a machine.
    pub(crate) fn crash(&self, id: u64) {
        self.trace.note(format_args!("node {id} crashes"));
        let share = self.random(|random| random.random_range(0..=4));
        self.machine(id).crash(|unflushed| unflushed * share / 4);
    }

    /// Founds the cluster and lets the other machines join.
    pub(crate) async fn form(self: &Arc<Self>) {
        for id in self.ids() {
            let mut identity = proto_identity();
            if id != FIRST_NODE {
                let joined = self.join(id).await;
                identity.meta_members = joined.meta_members;
                let members = joined.members.into_iter().map(|member| member.id);
                identity.known = members.filter(|member| *member != id).collect();
            }
            *self.machine(id).identity.lock() = identity;
            self.start(id);
            self.until("the node has started", || self.machine(id).layers().is_some()).await;
        }
    }

    async fn join(&self, id: u64) -> Joined {
        let node = Some(proto::meta::Node { id: 0, ..record(id) });
        let request = JoinRequest { node, ..JoinRequest::default() };
        let answer = self.network.call((id, 0), FIRST_NODE, "join", move |hub| hub.join(request)).await;
        match answer.ok().and_then(|answer| answer.outcome) {
            Some(Outcome::Joined(joined)) if joined.node == id => joined,
            other => panic!("node {id} is let in, but {other:?}"),
        }
    }

    /// A client of one of the running nodes, by chance; waits until there is one.
    pub(crate) async fn session(&self, random: &mut StdRng) -> (u64, Session) {
        loop {
            let ids = self.ids();
            let id = ids[random.random_range(0..ids.len())];
            if let Some(session) = self.machine(id).session() {
                return (id, session);
            }
            sleep(LOOK).await;
        }
    }

    /// Waits for something that must come true.
    pub(crate) async fn until(&self, what: &str, done: impl Fn() -> bool) {
        self.within(PATIENCE, what, done).await;
    }

    /// Waits for something that must come true within some time.
    pub(crate) async fn within(&self, limit: Duration, what: &str, done: impl Fn() -> bool) {
        let begun = Instant::now();
        while !done() {
            if begun.elapsed() > limit {
                return self.violation(format!("not within {} s: {what}", limit.as_secs()));
            }
            sleep(LOOK).await;
        }
    }
}

fn proto_identity() -> crate::endpoint::Identity {
    let cluster_id = "simulated".to_owned();
    crate::endpoint::Identity { cluster_id, meta_members: vec![FIRST_NODE], ..Default::default() }
}
