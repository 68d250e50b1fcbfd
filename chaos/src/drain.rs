//! How long clients wait while nodes are drained in order, and whether anything fails.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    check::{self, Violation},
    cluster::{Cluster, ClusterOptions},
    history::{History, Micros, Outcome},
    report::{Distribution, interruptions, traces},
    workload::{Isolation, Run, bank},
};

/// Clients that transfer.
const WRITERS: usize = 16;
/// From one drain to the next.
const PAUSE: Duration = Duration::from_secs(3);

/// Drains nodes one after the other and takes them back; answers a text with the pauses, and what went wrong.
pub async fn run(options: ClusterOptions, rounds: usize) -> Result<(String, Vec<Violation>), String> {
    let cluster = Cluster::start(options).await.map_err(|error| error.to_string())?;
    let outcome = work(&cluster, rounds).await;
    if outcome.as_ref().map_or(true, |(_, violations)| !violations.is_empty()) {
        cluster.keep();
    }
    outcome.map_err(|reason| format!("{reason}; data and logs are in {}", cluster.directory().display()))
}

async fn work(cluster: &Arc<Cluster>, rounds: usize) -> Result<(String, Vec<Violation>), String> {
    bank::prepare(cluster.sql(0)).await?;
    cluster.spread(Duration::from_secs(60)).await;
    // Who is drained goes on serving clients.
    let run = Run::new(cluster.all_sql(), History::new(Instant::now()), Isolation::ReadCommitted);
    let tasks = bank::start(&run, WRITERS, 0);
    let outcome = drain_all(cluster, rounds, || run.history.now()).await;
    run.stop.store(true, Ordering::Relaxed);
    futures::future::join_all(tasks).await;
    let drains = outcome?;
    let books = vec![bank::audit(cluster.sql(0)).await?];
    let history = run.history.take();
    let mut violations = check::bank::check(&history, &books);
    // Deadlocks are the clients' own doing.
    for (code, count, message) in run.errors.all().into_iter().filter(|(code, ..)| code != "40P01") {
        violations.push(Violation::new("failed", format!("{count} transactions: {code} {message}")));
    }
    let traces = traces(&history);
    let pauses: Vec<Micros> = drains.iter().flat_map(|(from, to)| interruptions(&traces, *from, *to)).collect();
    let done = history.iter().filter(|operation| operation.outcome == Outcome::Ok).count();
    let text = format!(
        "{} drains, {done} transfers\nlongest pause of each writer in each drain: {}\n",
        drains.len(),
        Distribution::of(pauses)
    );
    Ok((text, violations))
}

async fn drain_all(
    cluster: &Arc<Cluster>,
    rounds: usize,
    now: impl Fn() -> Micros,
) -> Result<Vec<(Micros, Micros)>, String> {
    let mut drains = Vec::new();
    for round in 0..rounds {
        tokio::time::sleep(PAUSE).await;
        let node = round % cluster.nodes();
        let from = now();
        cluster.node_command("drain", node).await?;
        drains.push((from, now()));
        cluster.node_command("activate", node).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(drains)
}
