//! A node of the demo: a process of this binary.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use super::DemoError;

/// Megabytes of cached blocks for each node.
const CACHE_MB: &str = "64";

/// A running process.
pub(super) struct DemoNode {
    pub(super) number: u8,
    child: Child,
    out: Option<ChildStdout>,
    log: std::path::PathBuf,
    /// Addresses, once it is ready.
    pub(super) sql: String,
    pub(super) rpc: String,
}

impl DemoNode {
    /// Starts a process. Signals of the terminal do not reach it: the demo ends it.
    pub(super) fn spawn(directory: &Path, number: u8, join: Option<&str>) -> Result<Self, DemoError> {
        let failed = |error: io::Error| DemoError::Node(number, error.to_string());
        let log = directory.join(format!("node{number}.log"));
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SHARDDB_") {
                command.env_remove(name);
            }
        }
        command.arg("start").arg("--data").arg(directory.join(format!("node{number}")));
        for setting in ["--sql-addr", "--rpc-addr", "--http-addr"] {
            command.args([setting, "127.0.0.1:0"]);
        }
        command.args(["--cache-mb", CACHE_MB, "--ends-with", &std::process::id().to_string()]);
        if let Some(join) = join {
            command.args(["--join", join]);
        }
        let stderr = File::create(&log).map_err(failed)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let out = child.stdout.take();
        Ok(Self { number, child, out, log, sql: String::new(), rpc: String::new() })
    }

    /// Waits until it serves clients, and notes where.
    pub(super) async fn await_ready(&mut self) -> Result<(), DemoError> {
        let Some(out) = self.out.take() else { return Ok(()) };
        let read = tokio::task::spawn_blocking(move || banner(out)).await;
        let lines = read.map_err(|error| DemoError::Node(self.number, error.to_string()))?;
        let Some(lines) = lines else { return Err(DemoError::Node(self.number, self.last_words())) };
        let value = |name: &str| lines.iter().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
        let sql = value("sql").and_then(|url| url.split('@').nth(1)?.split('/').next());
        (self.sql, self.rpc) = (sql.unwrap_or_default().to_owned(), value("rpc").unwrap_or_default().to_owned());
        Ok(())
    }

    /// Where clients connect.
    pub(super) fn url(&self) -> String {
        format!("postgresql://postgres@{}/postgres", self.sql)
    }

    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<String>> {
        Ok(self.child.try_wait()?.map(|status| status.to_string()))
    }

    /// The last line of its log.
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().last().unwrap_or("it said nothing").to_owned()
    }
}

impl Drop for DemoNode {
    fn drop(&mut self) {
        // Its data goes too, so it need not end in order. It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a node says before it is ready; `None` if it never is.
fn banner(out: ChildStdout) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    for line in BufReader::new(out).lines() {
        match line.ok()? {
            ready if ready == "ready" => return Some(lines),
            line => lines.push(line),
        }
    }
    None
}
