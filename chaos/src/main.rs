//! The `sharddb-chaos` binary.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use sharddb_chaos::{
    cluster::ClusterOptions,
    coordinator, drain, failover,
    nemesis::Fault,
    runner::{self, RunOptions, Workload},
    workload::Isolation,
};
use tokio::signal::unix::{SignalKind, signal};

/// Breaks a cluster of real processes and checks what clients see.
#[derive(Debug, Parser)]
#[command(name = "sharddb-chaos", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: Common,
    /// What clients do
    #[arg(long, value_enum, default_value = "bank")]
    workload: Workload,
    /// How many do it
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Isolation level of their transactions
    #[arg(long, value_enum, default_value = "read-committed")]
    isolation: Isolation,
    /// What goes wrong
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["kill", "pause", "partition"])]
    faults: Vec<Fault>,
    /// For how long
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Leave data and logs also when nothing is wrong
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct Common {
    /// The server
    #[arg(long, global = true, default_value = "sharddb")]
    binary: PathBuf,
    /// How many of it
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// What the nodes log
    #[arg(long, global = true, default_value = "info")]
    log: String,
    /// What the faults are made from [default: any]
    #[arg(long, global = true)]
    seed: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kills one node after the other and measures how long clients wait
    Failover {
        /// How often
        #[arg(long, default_value_t = 20)]
        rounds: usize,
    },
    /// Kills a node that only coordinates transactions, and measures how long others wait for what it leaves behind
    Coordinator {
        /// How often
        #[arg(long, default_value_t = 200)]
        rounds: usize,
    },
    /// Drains one node after the other and measures how long clients wait
    Drain {
        /// How often
        #[arg(long, default_value_t = 9)]
        rounds: usize,
    },
}

/// Megabytes of a disk that is to be full at some time.
const DISK_MB: usize = 1024;

#[tokio::main]
async fn main() -> ExitCode {
    // Whatever ends the work, what it made is dropped and thereby removed.
    let outcome = tokio::select! {
        outcome = work(Cli::parse()) => outcome,
        () = interrupted() => Err("interrupted".to_owned()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            say(&format!("sharddb-chaos: {reason}"));
            ExitCode::from(2)
        }
    }
}

fn say(text: &str) {
    // Nobody is left to be told when stdout is closed.
    let _ = writeln!(io::stdout(), "{text}");
}

async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Answers whether every promise was kept.
async fn work(cli: Cli) -> Result<bool, String> {
    let Common { binary, nodes, log, seed } = cli.common;
    let seed = seed.unwrap_or_else(|| rand::random_range(0..1_000_000));
    let disk_mb = cli.faults.contains(&Fault::DiskFull).then_some(DISK_MB);
    let mut cluster = ClusterOptions { binary, nodes: nodes.into(), log, disk_mb };
    if let Some(command) = cli.command {
        cluster.disk_mb = None;
        let (text, violations) = match command {
            Command::Failover { rounds } => failover::run(cluster, rounds, seed).await?,
            Command::Coordinator { rounds } => coordinator::run(cluster, rounds, seed).await?,
            Command::Drain { rounds } => drain::run(cluster, rounds).await?,
        };
        say(&format!("seed {seed}\n{text}"));
        violations.iter().for_each(|violation| say(&format!("VIOLATION {violation}")));
        return Ok(violations.is_empty());
    }
    let options = RunOptions {
        cluster,
        workload: cli.workload,
        clients: cli.clients,
        isolation: cli.isolation,
        faults: cli.faults,
        duration: Duration::from_secs_f64(cli.minutes * 60.0),
        seed,
        keep: cli.keep,
    };
    say(&format!("seed {seed}"));
    runner::plan(&options).iter().for_each(|step| say(&step.to_string()));
    let report = runner::run(options).await?;
    say(&report.to_string());
    Ok(report.violations.is_empty())
}
