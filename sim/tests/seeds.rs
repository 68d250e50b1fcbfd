//! Simulations of whole clusters, one for each seed.
//!
//! A seed that fails is simulated again by `SHARDDB_SIM_SEEDS=N cargo test -p sharddb-sim --test seeds`, which also takes a
//! range as in `1..500`. `SHARDDB_SIM_TRACE=FILE` writes down what happens, and `RUST_LOG` shows what nodes log.

use std::{env, fs, ops::Range, thread};

use sharddb_sim::{Report, simulate};
use tokio::runtime::{Builder, Runtime};

/// Seeds of the usual run.
const SEEDS: Range<u64> = 1..51;
/// A seed that is simulated twice.
const TWICE: u64 = 1;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime starts")
}

fn seeds() -> Range<u64> {
    let Ok(wanted) = env::var("SHARDDB_SIM_SEEDS") else { return SEEDS };
    let number = |text: &str| text.parse::<u64>().expect("SHARDDB_SIM_SEEDS is a number or a range of numbers");
    match wanted.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&wanted)..number(&wanted) + 1,
    }
}

/// Simulates a seed; answers what went wrong in it.
fn failures(seed: u64) -> Vec<String> {
    let report = simulate(seed, runtime);
    let Report { trace, violations, operations: (done, all) } = report;
    if let Ok(file) = env::var("SHARDDB_SIM_TRACE") {
        fs::write(file, trace.join("\n")).expect("the trace can be written");
    }
    eprintln_line(&format!("seed {seed}: {} events, {done} of {all} operations acknowledged", trace.len()));
    violations.into_iter().map(|violation| format!("seed {seed}: {violation}")).collect()
}

#[allow(clippy::print_stderr, reason = "whoever reads a failed test wants to know")]
fn eprintln_line(line: &str) {
    eprintln!("{line}");
}

#[test]
fn promises_hold_whatever_goes_wrong() {
    if env::var("RUST_LOG").is_ok() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(std::io::stderr).init();
    }
    let seeds = seeds();
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let failed: Vec<String> = thread::scope(|scope| {
        let part = |thread: u64| seeds.clone().skip(thread as usize).step_by(threads as usize);
        let work = |thread| scope.spawn(move || part(thread).flat_map(failures).collect::<Vec<_>>());
        let running: Vec<_> = (0..threads).map(work).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("simulations end")).collect()
    });
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn the_same_seed_does_the_same() {
    // What is made once in a process is made by now.
    simulate(TWICE, runtime);
    let (first, second) = (simulate(TWICE, runtime), simulate(TWICE, runtime));
    let differing = first.trace.iter().zip(&second.trace).position(|(one, other)| one != other);
    if let Some(at) = differing {
        let around = at.saturating_sub(5)..at + 1;
        panic!("{:#?}\n{:#?}", &first.trace[around.clone()], &second.trace[around]);
    }
    assert_eq!(first, second);
}
