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

/// Seeds of the usual run.
const SEEDS: Range<u64> = 1..31;
/// A seed that is simulated twice.
const TWICE: u64 = 1;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--seed") {
        let seed = arguments.get(at + 1).and_then(|seed| seed.parse().ok()).expect("--seed is followed by a number");
        let shown = show(seed, arguments.iter().any(|argument| argument == "--trace"));
        return shown.unwrap_or(ExitCode::FAILURE);
    }
    let tests = vec![
        Trial::test("promises_hold_whatever_goes_wrong", promises_hold_whatever_goes_wrong),
        Trial::test("the_same_seed_does_the_same", the_same_seed_does_the_same),
    ];
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

fn seeds() -> Range<u64> {
    let Ok(wanted) = env::var("SHARDDB_SIM_SEEDS") else { return SEEDS };
    let number = |text: &str| text.parse::<u64>().expect("SHARDDB_SIM_SEEDS is a range of numbers such as 1..500");
    match wanted.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&wanted)..number(&wanted) + 1,
    }
}

fn promises_hold_whatever_goes_wrong() -> Result<(), Failed> {
    let seeds = seeds();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let failure = |seed: u64| {
        let output = simulated(seed, &[]);
        let told = [output.stdout, output.stderr].concat();
        (!output.status.success()).then(|| String::from_utf8_lossy(&told).into_owned())
    };
    let failed: Vec<String> = thread::scope(|scope| {
        let part = |first: usize| seeds.clone().skip(first).step_by(threads).filter_map(failure).collect::<Vec<_>>();
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("simulations end")).collect()
    });
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}

fn the_same_seed_does_the_same() -> Result<(), Failed> {
    let trace = || String::from_utf8_lossy(&simulated(TWICE, &["--trace"]).stdout).into_owned();
    let (first, second) = (trace(), trace());
    let pairs = first.lines().zip(second.lines());
    let differing = pairs.enumerate().find(|(_, (one, other))| one != other);
    match differing {
        Some((at, (one, other))) => Err(format!("line {at}:\n{one}\n{other}").into()),
        None if first.lines().count() < 1000 => Err(format!("too little happens:\n{first}").into()),
        None if first != second => Err("one of them ends before the other".into()),
        None => Ok(()),
    }
}
