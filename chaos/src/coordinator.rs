//! Coordinators that die in the middle of commits: how long others wait for what they leave behind.
//!
//! The last node leads nothing and only coordinates, so that its death costs nobody a leader. Its clients make one transaction
//! over several shards after the other; it is killed at a random moment.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::Instant;

use crate::{
    check::{self, Violation},
    cluster::{Cluster, ClusterOptions},
    history::{History, Micros, Operation, Outcome},
    report::Distribution,
    runner::clean,
    workload::{
        Isolation, Run,
        bank::{self, Action},
    },
};

/// Clients of the coordinator that dies.
const VICTIMS: usize = 6;
/// Clients of the others: who transfers, and who adds up.
const WRITERS: usize = 3;
const READERS: usize = 3;
/// The coordinator works for up to this before it dies.
const WORK_MAX: Duration = Duration::from_millis(300);
/// From a death to the next round at the earliest: whoever waits, waits in this time.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Kills coordinators; answers a text with how long others waited, and what went wrong.
pub async fn run(options: ClusterOptions, rounds: usize, seed: u64) -> Result<(String, Vec<Violation>), String> {
    let cluster = Cluster::start(options).await.map_err(|error| error.to_string())?;
    let outcome = work(&cluster, rounds, seed).await;
    if outcome.as_ref().map_or(true, |(_, violations)| !violations.is_empty()) {
        cluster.keep();
    }
    outcome.map_err(|reason| format!("{reason}; data and logs are in {}", cluster.directory().display()))
}

async fn work(cluster: &Arc<Cluster>, rounds: usize, seed: u64) -> Result<(String, Vec<Violation>), String> {
    bank::prepare(cluster.sql(0)).await?;
    cluster.spread(Duration::from_secs(60)).await;
    let victim = cluster.nodes() - 1;
    cluster.node_command("drain", victim).await?;
    let others = (0..victim).map(|node| cluster.sql(node)).collect();
    let run = Run::new(Arc::new(others), History::new(Instant::now()), Isolation::ReadCommitted);
    let victims = Run { nodes: Arc::new(vec![cluster.sql(victim)]), ..run.clone() };
    let ids = Arc::new(AtomicI64::new(1));
    let mut tasks = bank::start_as(&run, 0..WRITERS, WRITERS..WRITERS + READERS, &ids);
    tasks.extend(bank::start_as(&victims, 100..100 + VICTIMS, 0..0, &ids));
    let outcome = kill_all(cluster, victim, rounds, seed, || run.history.now()).await;
    run.stop.store(true, Ordering::Relaxed);
    futures::future::join_all(tasks).await;
    let mut violations = Vec::new();
    if let Err(reason) = &outcome {
        violations.push(Violation::new("stuck", reason.clone()));
    }
    if let Err(reason) = clean(cluster).await {
        violations.push(Violation::new("stuck", reason));
    }
    let mut books = Vec::new();
    for node in 0..cluster.nodes() {
        books.push(bank::audit(cluster.sql(node)).await?);
    }
    let history = run.history.take();
    violations.extend(check::bank::check(&history, &books));
    violations.extend(cluster.alarms().into_iter().map(|line| Violation::new("alarm", line)));
    let mut text = tell(&history, &outcome.unwrap_or_default());
    for (code, count, message) in run.errors.all() {
        text += &format!("error {code}: {count} times, first: {message}\n");
    }
    Ok((text, violations))
}

async fn kill_all(
    cluster: &Arc<Cluster>,
    victim: usize,
    rounds: usize,
    seed: u64,
    now: impl Fn() -> Micros,
) -> Result<Vec<Micros>, String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut deaths = Vec::new();
    for _ in 0..rounds {
        tokio::time::sleep(WORK_MAX.mul_f64(rng.random())).await;
        deaths.push(now());
        cluster.kill(victim).map_err(|error| error.to_string())?;
        let dead_for = tokio::time::sleep(AFTERMATH);
        cluster.spawn(victim).map_err(|error| error.to_string())?;
        dead_for.await;
        cluster.ready(victim).await.map_err(|error| error.to_string())?;
    }
    Ok(deaths)
}

/// How long the operations of others took that a death fell into, or that began soon after one.
fn tell(history: &[Operation<Action>], deaths: &[Micros]) -> String {
    let aftermath = crate::history::micros(AFTERMATH);
    let concerned = |operation: &&Operation<Action>| {
        let near = |death: &Micros| operation.end >= *death && operation.start <= death + aftermath;
        operation.client < WRITERS + READERS && operation.outcome == Outcome::Ok && deaths.iter().any(near)
    };
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    for operation in history.iter().filter(concerned) {
        let took = operation.end - operation.start;
        match operation.action {
            Action::Transfer(_) => writes.push(took),
            Action::Sums(_) => reads.push(took),
        }
    }
    let done = history.iter().filter(|operation| operation.client >= 100 && operation.outcome == Outcome::Ok).count();
    let unknown = history.iter().filter(|operation| operation.outcome == Outcome::Unknown).count();
    format!(
        "{} deaths; transfers of the dying: {done} acknowledged, {unknown} of unknown outcome\nwrites of others: {}\nreads of others: {}\n",
        deaths.len(),
        Distribution::of(writes),
        Distribution::of(reads)
    )
}
