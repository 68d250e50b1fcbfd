//! Three nodes that are killed again and again while money is moved: nothing that was acknowledged is lost, every snapshot
//! holds all the money, every client gets on.
//!
//! `SHARDDB_TEST_SERVER` names another binary than the one built with the tests, `SHARDDB_TEST_SEED` another schedule.

use std::time::Duration;

use sharddb_chaos::{
    cluster::ClusterOptions,
    nemesis::Fault,
    runner::{self, RunOptions, Workload},
    workload::Isolation,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_survives_kills_of_nodes() {
    let binary = std::env::var_os("SHARDDB_TEST_SERVER").unwrap_or_else(|| env!("CARGO_BIN_EXE_sharddb").into());
    let seed = std::env::var("SHARDDB_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let options = RunOptions {
        cluster: ClusterOptions { binary: binary.into(), nodes: 3, log: "info".to_owned(), disk_mb: None },
        workload: Workload::Bank,
        clients: 6,
        isolation: Isolation::ReadCommitted,
        faults: vec![Fault::Kill],
        duration: Duration::from_secs(20),
        seed,
        keep: false,
    };
    let report = runner::run(options).await.expect("a cluster starts");
    assert!(report.violations.is_empty(), "{report}");
    assert!(!report.faults.is_empty(), "something went wrong on purpose");
}
