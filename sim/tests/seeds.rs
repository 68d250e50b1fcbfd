//! Simulations of whole clusters, one for each seed, each in a process of its own: what a runtime chooses by chance depends on
//! how many there were in its process before.
//!
//! A seed is simulated again by `cargo test -p sharddb-sim --test seeds -- --seed N`; `--trace` prints what happens, and
//! `RUST_LOG` shows what nodes log. `SHARDDB_SIM_SEEDS=1..500` simulates other seeds than the usual ones.

use std::{
    env,
    io::{self, Write},
    ops::Range,
    process::{Command, ExitCode, Output},
    thread,
};

use libtest_mimic::{Arguments, Failed, Trial};
use sharddb_sim::{Report, simulate};
use tokio::runtime::{Builder, Runtime};

/// Seeds of the usual run with three nodes.
const SEEDS: Range<u64> = 1..51;
/// Those with up to five.
const LARGE: Range<u64> = 1001..1005;
/// Seeds that are simulated twice, and how many nodes they have.
const TWICE: [(u64, u64); 2] = [(1, 3), (1003, 5)];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--seed") {
        let seed = arguments.get(at + 1).and_then(|seed| seed.parse().ok()).expect("--seed is followed by a number");
        let shown = show(seed, arguments.iter().any(|argument| argument == "--trace"));
        return shown.unwrap_or(ExitCode::FAILURE);
    }
    let hold = |seed| Trial::test(format!("promises_hold_with_seed_{seed}"), move || promises_hold(seed));
    let twice =
        |(seed, nodes)| Trial::test(format!("seed_{seed}_does_the_same_again"), move || does_the_same(seed, nodes));
    let tests = TWICE.into_iter().map(twice).chain(seeds().into_iter().map(hold)).collect();
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime starts")
}

/// Simulates a seed in this process and prints what came of it.
fn show(seed: u64, trace: bool) -> io::Result<ExitCode> {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(io::stderr).init();
    let Report { trace: lines, violations, operations: (done, all) } = simulate(seed, runtime);
    let mut out = io::stdout().lock();
    for line in lines.iter().filter(|_| trace) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "seed {seed}: {} events, {done} of {all} operations acknowledged", lines.len())?;
    for violation in &violations {
        writeln!(out, "  {violation}")?;
    }
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Simulates a seed in a process of its own.
fn simulated(seed: u64, arguments: &[&str]) -> Output {
    let program = env::current_exe().expect("a test knows its program");
    let mut command = Command::new(program);
    command.arg("--seed").arg(seed.to_string()).args(arguments).env_remove("RUST_LOG");
    command.output().expect("the simulation can be started")
}

fn seeds() -> Vec<u64> {
    let Ok(wanted) = env::var("SHARDDB_SIM_SEEDS") else { return LARGE.chain(SEEDS).collect() };
    let number = |text: &str| text.parse::<u64>().expect("SHARDDB_SIM_SEEDS is a range of numbers such as 1..500");
    match wanted.split_once("..") {
        Some((first, end)) => (number(first)..number(end)).collect(),
        None => vec![number(&wanted)],
    }
}

fn promises_hold(seed: u64) -> Result<(), Failed> {
    let output = simulated(seed, &[]);
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned().into())
}

fn does_the_same(seed: u64, nodes: u64) -> Result<(), Failed> {
    let trace = || String::from_utf8_lossy(&simulated(seed, &["--trace"]).stdout).into_owned();
    let (first, second) = thread::scope(|scope| {
        let other = scope.spawn(trace);
        (trace(), other.join().expect("the simulation ends"))
    });
    let pairs = first.lines().zip(second.lines());
    let differing = pairs.enumerate().find(|(_, (one, other))| one != other);
    match differing {
        Some((at, (one, other))) => Err(format!("seed {seed}, line {at}:\n{one}\n{other}").into()),
        None if !first.contains(&format!("node {nodes} has started")) => {
            Err(format!("seed {seed} has not {nodes} nodes").into())
        }
        None if first.lines().count() < 1000 => Err(format!("too little happens:\n{first}").into()),
        None if first != second => Err("one of them ends before the other".into()),
        None => Ok(()),
    }
}
