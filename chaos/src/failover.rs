//! How long clients wait when a node dies: one after the other is killed, by its role, and every pause is measured.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::Instant;

use crate::{
    check::{self, Violation},
    cluster::{Cluster, ClusterOptions},
    history::{History, Micros},
    report::{Distribution, Trace, interruptions, traces},
    workload::{Isolation, Run, bank},
};

/// Clients that transfer.
const WRITERS: usize = 16;
/// Clients that add up.
const READERS: usize = 2;
/// How long a dead node stays dead.
const DOWN: Duration = Duration::from_secs(6);
/// From its return to the next death: its replicas catch up.
const UP: Duration = Duration::from_secs(4);

/// Which node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    MetaLeader,
    MostLeaders,
    Any,
}

/// One death.
#[derive(Debug)]
struct Round {
    role: Role,
    node: usize,
    at: Micros,
}

/// Kills nodes; answers a text with the pauses, and what went wrong.
pub async fn run(options: ClusterOptions, rounds: usize, seed: u64) -> Result<(String, Vec<Violation>), String> {
    let cluster = Cluster::start(options).await.map_err(|error| error.to_string())?;
    let run = Run::new(cluster.all_sql(), History::new(Instant::now()), Isolation::ReadCommitted);
    bank::prepare(cluster.sql(0)).await?;
    cluster.spread(Duration::from_secs(60)).await;
    let tasks = bank::start(&run, WRITERS, READERS);
    let outcome = kill_all(&cluster, rounds, seed, || run.history.now()).await;
    run.stop.store(true, Ordering::Relaxed);
    futures::future::join_all(tasks).await;
    let done = match outcome {
        Ok(done) => done,
        Err(reason) => {
            cluster.keep();
            return Err(format!("{reason}; data and logs are in {}", cluster.directory().display()));
        }
    };
    let mut books = Vec::new();
    for node in 0..cluster.nodes() {
        books.push(bank::audit(cluster.sql(node)).await?);
    }
    let history = run.history.take();
    let mut violations = check::bank::check(&history, &books);
    violations.extend(cluster.alarms().into_iter().map(|line| Violation::new("alarm", line)));
    if !violations.is_empty() {
        cluster.keep();
    }
    Ok((tell(&done, &traces(&history), &run.errors.all()), violations))
}

async fn kill_all(
    cluster: &Arc<Cluster>,
    rounds: usize,
    seed: u64,
    now: impl Fn() -> Micros,
) -> Result<Vec<Round>, String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut done = Vec::new();
    for round in 0..rounds {
        tokio::time::sleep(UP).await;
        let role = [Role::MetaLeader, Role::MostLeaders, Role::Any][round % 3];
        let node = choose(cluster, role, &mut rng).await;
        let at = now();
        cluster.kill(node).map_err(|error| error.to_string())?;
        done.push(Round { role, node, at });
        tokio::time::sleep(DOWN).await;
        cluster.spawn(node).map_err(|error| error.to_string())?;
        cluster.ready(node).await.map_err(|error| error.to_string())?;
    }
    tokio::time::sleep(UP).await;
    Ok(done)
}

async fn choose(cluster: &Cluster, role: Role, rng: &mut StdRng) -> usize {
    let metric = match role {
        Role::MetaLeader => "sharddb_meta_leader",
        Role::MostLeaders => "sharddb_leaders",
        Role::Any => return rng.random_range(0..cluster.nodes()),
    };
    let mut most = (0, 0);
    for node in 0..cluster.nodes() {
        most = most.max((cluster.metric(node, metric).await.unwrap_or(0), node));
    }
    most.1
}

fn tell(rounds: &[Round], traces: &[Trace], errors: &[(String, usize, String)]) -> String {
    let mut text = String::new();
    let mut longest = Vec::new();
    let mut each = Vec::new();
    for Round { role, node, at } in rounds {
        let until = at + crate::history::micros(DOWN);
        let of = |clients: std::ops::Range<usize>| {
            let of: Vec<Trace> = traces.iter().filter(|trace| clients.contains(&trace.client)).copied().collect();
            interruptions(&of, *at, until)
        };
        let (writes, reads) = (of(0..WRITERS), of(WRITERS..WRITERS + READERS));
        longest.extend(writes.iter().max());
        each.extend(&writes);
        let (writes, reads) = (Distribution::of(writes), Distribution::of(reads));
        text += &format!("{role:?} node {node}: writes {writes}; reads {reads}\n");
    }
    for (code, count, message) in errors {
        text += &format!("error {code}: {count} times, first: {message}\n");
    }
    text += &format!("longest pause of a round: {}\n", Distribution::of(longest));
    text + &format!("longest pause of each writer in each round: {}\n", Distribution::of(each))
}
