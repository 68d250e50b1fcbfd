//! A simulation from beginning to end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chaos::{
    check::{Violation, append, bank, register},
    history::{History, Operation, Outcome},
    workload::Isolation,
};
use futures::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng};
use sharddb_chaos as chaos;
use sharddb_kv as kv;
use tokio::{
    runtime::Runtime,
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{check, cluster::Cluster, faults, random, workload};
use workload::{Run, insist};

/// Seeds below this have three nodes, which take less time. With more of them replicas move.
const SEEDS_OF_THREE: u64 = 1000;

/// What came of a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What happened, line by line.
    pub trace: Vec<String>,
    /// Promises that were broken.
    pub violations: Vec<String>,
    /// Operations that were acknowledged, and all that there were.
    pub operations: (usize, usize),
}

/// Simulates a cluster. Everything that happens depends on the seed. The runtime has one thread and a paused clock, which
/// tokio has for tests only.
pub fn simulate(seed: u64, runtime: impl FnOnce() -> Runtime + Send + 'static) -> Report {
    let work = move || {
        random::seed(seed);
        runtime().block_on(Simulation::new(seed).run())
    };
    // A thread of its own has no randomness yet.
    let thread = std::thread::Builder::new().name(format!("seed-{seed}")).spawn(work);
    match thread.expect("a thread starts").join() {
        Ok(report) => report,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

struct Simulation {
    seed: u64,
    random: StdRng,
}

/// The workloads of a simulation.
struct Workloads {
    bank: Run<chaos::workload::bank::Action>,
    append: Run<append::Txn>,
    register: Run<(i64, register::Call)>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        Self { seed, random: StdRng::seed_from_u64(seed) }
    }

    fn isolation(&mut self) -> Isolation {
        [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable][self.random.random_range(0..3)]
    }

    async fn run(mut self) -> Report {
        let count = if self.seed < SEEDS_OF_THREE { 3 } else { self.random.random_range(3..=5) };
        let cluster = Cluster::new(count, self.seed);
        cluster.form().await;
        let cut = |client: kv::Client| async move { client.split_at(&workload::cuts()).await };
        insist(&cluster, "cut shards", 1, cut).await;
        let workloads = self.workloads(&cluster);
        workload::bank::prepare(&workloads.bank).await;
        if self.random.random_ratio(3, 4) {
            cluster.until("every shard has its replicas", || is_replicated(&cluster)).await;
        }
        let clients = workloads.start();
        let rounds = self.random.random_range(1..=3);
        join_all(faults::start(&cluster, rounds)).await;
        heal(&cluster).await;
        // Whoever waits for something that was lost has time to find out.
        sleep(Duration::from_secs(2)).await;
        workloads.bank.stop.store(true, Ordering::Relaxed);
        join_all(clients).await;
        let operations = workloads.check(&cluster).await;
        check::quiet(&cluster).await;
        Report { violations: cluster.violations(), operations, trace: cluster.trace.take() }
    }

    fn workloads(&mut self, cluster: &Arc<Cluster>) -> Workloads {
        let stop = Arc::default();
        let begun = Instant::now();
        macro_rules! run {
            () => {
                Run {
                    cluster: Arc::clone(cluster),
                    history: History::new(begun),
                    stop: Arc::clone(&stop),
                    isolation: self.isolation(),
                }
            };
        }
        Workloads { bank: run!(), append: run!(), register: run!() }
    }
}

fn acknowledged<T>(history: &[Operation<T>]) -> usize {
    history.iter().filter(|operation| operation.outcome == Outcome::Ok).count()
}

/// Lets nothing go wrong any more.
async fn heal(cluster: &Arc<Cluster>) {
    cluster.trace.note(format_args!("everything is mended"));
    cluster.network.mend();
    cluster.network.behave();
    for id in cluster.ids() {
        if !cluster.machine(id).runs() {
            cluster.start(id);
        }
    }
    cluster
        .until("every node has started", || cluster.machines.values().all(|machine| machine.layers().is_some()))
        .await;
}

/// Whether every shard has three replicas, as its leader knows them.
fn is_replicated(cluster: &Cluster) -> bool {
    let Some(layers) = cluster.machine(1).layers() else { return false };
    let running = cluster.machines.values().filter_map(|machine| machine.layers());
    let ranges: Vec<_> = running.flat_map(|layers| layers.node().descriptors()).collect();
    let has_all = |shard: u64| ranges.iter().any(|range| range.shard == shard && range.replicas.len() >= 3);
    layers.client().ranges().all().iter().all(|route| has_all(route.shard.0))
}

impl Workloads {
    fn start(&self) -> Vec<JoinHandle<()>> {
        let mut tasks = workload::bank::start(&self.bank, 2, 1);
        tasks.extend(workload::append::start(&self.append, 3));
        tasks.extend(workload::register::start(&self.register, 2));
        tasks
    }

    /// Looks at everything at every node, and checks the histories.
    async fn check(&self, cluster: &Arc<Cluster>) -> (usize, usize) {
        let mut books = Vec::new();
        for (client, node) in cluster.ids().into_iter().enumerate() {
            books.push(workload::bank::audit(&self.bank, node).await);
            workload::append::audit(&self.append, node, 100 + client).await;
            workload::register::audit(&self.register, node, 100 + client).await;
        }
        let note = |workload: &str, found: Vec<Violation>| {
            found.into_iter().for_each(|violation| cluster.violation(format!("{workload}: {violation}")));
        };
        let (transfers, lists) = (self.bank.history.take(), self.append.history.take());
        let registers = self.register.history.take();
        note("bank", bank::check(&transfers, &books));
        note("append", append::check(&lists, self.append.isolation));
        note("register", register::check(&registers));
        let counts = [acknowledged(&transfers), acknowledged(&lists), acknowledged(&registers)];
        (counts.iter().sum(), transfers.len() + lists.len() + registers.len())
    }
}
