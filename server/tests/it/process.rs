//! A `sharddb` process for a test; it ends with the test.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
};

use tempfile::TempDir;

/// A data directory that is removed when nobody uses it any more.
pub(crate) type Directory = Arc<TempDir>;

pub(crate) fn directory() -> Directory {
    Arc::new(tempfile::tempdir().expect("a temporary directory"))
}

/// A running server with free ports.
pub(crate) struct Process {
    child: Child,
    directory: Directory,
    /// What it said before `ready`.
    pub(crate) banner: Vec<String>,
    pub(crate) sql: SocketAddr,
    pub(crate) http: SocketAddr,
}

/// The command without any settings of the test's own environment. `SHARDDB_TEST_SERVER` names another binary than the one
/// built with the tests, such as an optimised one.
pub(crate) fn command() -> Command {
    let built = || env!("CARGO_BIN_EXE_sharddb").into();
    let mut command = Command::new(std::env::var_os("SHARDDB_TEST_SERVER").unwrap_or_else(built));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHARDDB_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Arguments that start a server in a directory on free ports.
pub(crate) fn start_arguments(data: &Path) -> Vec<String> {
    let data = data.to_str().expect("a path in UTF-8");
    let free = "127.0.0.1:0";
    let arguments =
        ["start", "--data", data, "--sql-addr", free, "--rpc-addr", free, "--http-addr", free, "--cache-mb", "64"];
    arguments.map(str::to_owned).to_vec()
}

impl Process {
    pub(crate) fn start() -> Self {
        Self::start_with(directory(), &[])
    }

    /// Starts with further arguments.
    pub(crate) fn start_with(directory: Directory, arguments: &[&str]) -> Self {
        let mut command = command();
        command.args(start_arguments(&data(&directory))).args(arguments);
        Self::spawn(command, directory)
    }

    /// Starts a prepared command and waits until it is ready.
    pub(crate) fn spawn(mut command: Command, directory: Directory) -> Self {
        let mut child = command.stderr(Stdio::inherit()).spawn().expect("the binary starts");
        let out = BufReader::new(child.stdout.take().expect("its output is piped"));
        let lines = out.lines().map(|line| line.expect("text"));
        let banner: Vec<String> = lines.take_while(|line| line != "ready").collect();
        let address = |name: &str| -> SocketAddr {
            let line =
                banner.iter().find(|line| line.trim_start().starts_with(name)).expect("it says where it listens");
            let address = line.split(['@', '/', ' ']).find(|part| part.contains("127.0.0.1:")).expect("an address");
            address.parse().expect("an address")
        };
        let (sql, http) = (address("sql"), address("http"));
        Self { child, directory, banner, sql, http }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name. The shell's own command does it: a small system has no other.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.id())]).status();
        assert!(sent.expect("the shell starts").success());
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> (ExitStatus, Directory) {
        let status = self.child.wait().expect("it has ended");
        (status, Arc::clone(&self.directory))
    }

    /// Stops in order and starts again on the same data.
    pub(crate) fn restart(self) -> Self {
        self.signal("TERM");
        let (status, directory) = self.wait();
        assert!(status.success(), "{status}");
        Self::start_with(directory, &[])
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The data directory inside a temporary one.
pub(crate) fn data(directory: &Directory) -> PathBuf {
    directory.path().join("data")
}

/// Runs a command that is to fail; answers what it said on stderr.
pub(crate) fn refusal(mut command: Command) -> String {
    let mut child = command.spawn().expect("the binary starts");
    let mut said = String::new();
    child.stderr.take().expect("its errors are piped").read_to_string(&mut said).expect("text");
    let status = child.wait().expect("it has ended");
    assert!(!status.success(), "it started: {said}");
    said
}
