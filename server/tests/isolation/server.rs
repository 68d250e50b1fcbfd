//! A server process of its own for the tests, on a temporary directory and free ports.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// A running `sharddb start`, killed when dropped.
pub(crate) struct Server {
    process: Child,
    port: u16,
    _data: TempDir,
}

impl Server {
    /// Starts the server and waits for its `ready`.
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut process = Command::new(env!("CARGO_BIN_EXE_sharddb"))
            .args(["start", "--sql-addr", "127.0.0.1:0", "--rpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"])
            .arg("--data")
            .arg(data.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let port = wait_for_ready(&mut process);
        Self { process, port, _data: data }
    }

    /// How tokio-postgres reaches it.
    pub(crate) fn address(&self) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname=postgres", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is fine.
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Reads the banner up to its last line and answers the SQL port of the connection string.
fn wait_for_ready(process: &mut Child) -> u16 {
    let stdout = process.stdout.take().expect("stdout is piped");
    let mut port = None;
    for line in BufReader::new(stdout).lines() {
        let line = line.expect("the banner is text");
        if let Some((_, rest)) = line.split_once("postgresql://") {
            let address = rest.split(['/', '?', ' ']).next().unwrap_or_default();
            port = address.rsplit(':').next().and_then(|port| port.parse().ok());
        }
        if line == "ready" {
            break;
        }
    }
    port.expect("the banner names the SQL port")
}
