//! One run: a cluster, a workload, faults, and a look at everything afterwards.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    task::{AbortHandle, JoinHandle},
    time::Instant,
};

use crate::{
    check::{self, Violation, append::Txn, register::Call},
    cluster::{Cluster, ClusterError, ClusterOptions},
    history::{History, Operation, Outcome},
    nemesis::{Fault, Nemesis, Step, schedule},
    report::{Report, traces},
    session::ANSWER_MAX,
    workload::{Isolation, Run, append, bank, register},
};

/// Time for replicas to be where they belong before the first fault.
const SPREAD_MAX: Duration = Duration::from_secs(60);
/// Time without faults at the end, in which clients must get on again.
const CALM: Duration = Duration::from_secs(5);
/// Time for a client to end: its last operation, of several statements, may take long.
const CLIENT_MAX: Duration = ANSWER_MAX.saturating_mul(2);
/// Time for what dead transactions left to be cleared away.
const CLEAN_MAX: Duration = Duration::from_secs(90);

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// Transfers and sums
    Bank,
    /// Lists that are read and appended to
    Append,
    /// Single values that are read, written and exchanged
    Register,
}

/// A run to be made.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// What to start.
    pub cluster: ClusterOptions,
    /// What clients do.
    pub workload: Workload,
    /// How many do it.
    pub clients: usize,
    /// Of their transactions.
    pub isolation: Isolation,
    /// What may go wrong.
    pub faults: Vec<Fault>,
    /// For how long.
    pub duration: Duration,
    /// What the schedule is made from.
    pub seed: u64,
    /// Leaves data and logs also when nothing is wrong.
    pub keep: bool,
}

/// A workload under way.
enum Work {
    Bank(Run<bank::Action>),
    Append(Run<Txn>),
    Register(Run<(i64, Call)>),
}

impl Work {
    async fn prepare(options: &RunOptions, cluster: &Cluster, begun: Instant) -> Result<Self, String> {
        let (nodes, isolation) = (cluster.all_sql(), options.isolation);
        Ok(match options.workload {
            Workload::Bank => {
                bank::prepare(cluster.sql(0)).await?;
                Self::Bank(Run::new(nodes, History::new(begun), isolation))
            }
            Workload::Append => {
                append::prepare(cluster.sql(0)).await?;
                Self::Append(Run::new(nodes, History::new(begun), isolation))
            }
            Workload::Register => {
                register::prepare(cluster.sql(0)).await?;
                Self::Register(Run::new(nodes, History::new(begun), isolation))
            }
        })
    }

    fn start(&self, clients: usize) -> Vec<JoinHandle<()>> {
        match self {
            Self::Bank(run) => bank::start(run, clients, clients.div_ceil(4)),
            Self::Append(run) => append::start(run, clients),
            Self::Register(run) => register::start(run, clients),
        }
    }

    fn now(&self) -> u64 {
        match self {
            Self::Bank(run) => run.history.now(),
            Self::Append(run) => run.history.now(),
            Self::Register(run) => run.history.now(),
        }
    }

    fn stop(&self) {
        let stop = match self {
            Self::Bank(run) => &run.stop,
            Self::Append(run) => &run.stop,
            Self::Register(run) => &run.stop,
        };
        stop.store(true, Ordering::Relaxed);
    }

    /// Looks at everything through every node, and checks.
    async fn conclude(&self, cluster: &Cluster, report: &mut Report) -> Result<(), String> {
        match self {
            Self::Bank(run) => {
                let mut books = Vec::new();
                for node in 0..cluster.nodes() {
                    books.push(bank::audit(cluster.sql(node)).await?);
                }
                let history = run.history.take();
                fill(report, &history, run);
                report.violations.extend(check::bank::check(&history, &books));
            }
            Self::Append(run) => {
                for node in 0..cluster.nodes() {
                    append::audit(cluster.sql(node), run, usize::MAX - node).await?;
                }
                let history = run.history.take();
                let known = history.len() - cluster.nodes();
                fill(report, &history[..known], run);
                report.violations.extend(check::append::check(&history, run.isolation));
            }
            Self::Register(run) => {
                let history = run.history.take();
                fill(report, &history, run);
                report.violations.extend(check::register::check(&history));
            }
        }
        Ok(())
    }

    /// What clients did, when nothing could be looked at.
    fn abandon(&self, report: &mut Report) {
        match self {
            Self::Bank(run) => fill(report, &run.history.take(), run),
            Self::Append(run) => fill(report, &run.history.take(), run),
            Self::Register(run) => fill(report, &run.history.take(), run),
        }
    }
}

fn fill<T>(report: &mut Report, history: &[Operation<T>], run: &Run<T>) {
    report.traces = traces(history);
    report.errors = run.errors.all();
}

/// The faults that a run will meet.
pub fn plan(options: &RunOptions) -> Vec<Step> {
    schedule(options.seed, &options.faults, options.cluster.nodes, options.duration)
}

/// Makes a run. An error means that it could not begin; whatever goes wrong later is in the report.
pub async fn run(options: RunOptions) -> Result<Report, String> {
    let cluster = Cluster::start(options.cluster.clone()).await.map_err(|error| error.to_string())?;
    let mut report = Report { seed: options.seed, ..Report::default() };
    if !cluster.network().can_cut() {
        report.notes.push("nodes are on loopback: namespaces are not permitted".to_owned());
    }
    if let Err(reason) = attempt(&options, &cluster, &mut report).await {
        report.violations.push(Violation::new("stuck", reason));
    }
    report.violations.extend(cluster.alarms().into_iter().map(|line| Violation::new("alarm", line)));
    if options.keep || !report.violations.is_empty() {
        cluster.keep();
        report.notes.push(format!("data and logs are in {}", cluster.directory().display()));
    }
    Ok(report)
}

async fn attempt(options: &RunOptions, cluster: &Arc<Cluster>, report: &mut Report) -> Result<(), String> {
    let work = Work::prepare(options, cluster, Instant::now()).await?;
    if !cluster.spread(SPREAD_MAX).await {
        report.notes.push("replicas were not spread evenly before the first fault".to_owned());
    }
    let tasks = work.start(options.clients);
    let nemesis = Nemesis::new(Arc::clone(cluster));
    let faults = nemesis.run(&plan(options), || work.now()).await;
    report.faults = nemesis.happened.lock().clone();
    let mut outcome = match faults {
        Ok(()) => recover(cluster).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let calm_from = work.now();
    tokio::time::sleep(CALM).await;
    work.stop();
    outcome = outcome.and(end(tasks).await);
    if outcome.is_ok() {
        outcome = work.conclude(cluster, report).await;
    }
    if outcome.is_err() {
        work.abandon(report);
        return outcome;
    }
    let acknowledged = |client| {
        report
            .traces
            .iter()
            .any(|trace| trace.client == client && trace.outcome == Outcome::Ok && trace.end > calm_from)
    };
    if let Some(client) = (0..options.clients).find(|client| !acknowledged(*client)) {
        let detail = format!("client {client} gets nothing done in the {} s after the last fault", CALM.as_secs());
        report.violations.push(Violation::new("no progress", detail));
    }
    clean(cluster).await
}

/// Waits for the clients. One that finds no node to connect to would try for ever.
async fn end(tasks: Vec<JoinHandle<()>>) -> Result<(), String> {
    let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
    let all = tokio::time::timeout(CLIENT_MAX, futures::future::join_all(tasks)).await;
    aborts.iter().for_each(AbortHandle::abort);
    let ended = all.map_err(|_| "a client does not end".to_owned())?;
    ended.into_iter().try_for_each(|client| client.map_err(|error| error.to_string()))
}

async fn recover(cluster: &Cluster) -> Result<(), ClusterError> {
    let nodes = (0..cluster.nodes()).map(|node| cluster.ready(node));
    futures::future::try_join_all(nodes).await.map(drop)
}

/// Waits until no lock or provisional write is left.
pub(crate) async fn clean(cluster: &Cluster) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let mut left = Vec::new();
        for node in 0..cluster.nodes() {
            for metric in ["sharddb_intents", "sharddb_locked_keys"] {
                let value = cluster.metric(node, metric).await;
                if value != Some(0) {
                    left.push(format!("node {node} {metric} {value:?}"));
                }
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > CLEAN_MAX {
            return Err(format!("dead transactions have left something behind: {}", left.join(", ")));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
