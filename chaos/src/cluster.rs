//! A cluster of real processes.
//!
//! Only processes started here are ended, by their id; they, their data and their network are gone when the value is dropped,
//! except that the data stays where somebody asked for it.

use std::{
    fs::{File, OpenOptions},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::{network::Network, session};

/// Port for clients; every node has an address of its own.
const SQL_PORT: u16 = 5433;
/// Port for nodes.
const RPC_PORT: u16 = 7433;
/// Port for health and metrics.
const HTTP_PORT: u16 = 8433;
/// Time for a node to serve clients after a start, of a slow build on a busy machine.
pub const READY_MAX: Duration = Duration::from_secs(60);
/// Time for a node to end in order.
const STOP_MAX: Duration = Duration::from_secs(90);
/// Between two looks at something awaited.
const LOOK: Duration = Duration::from_millis(50);

/// Why a cluster does not do what it is told.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The system refused.
    #[error(transparent)]
    System(#[from] io::Error),
    /// A node does not serve.
    #[error("node {node} does not {what} within {:.1} s; its log ends: {log}", within.as_secs_f64())]
    Late {
        /// Which.
        node: usize,
        /// What was awaited.
        what: &'static str,
        /// For how long.
        within: Duration,
        /// The end of its log.
        log: String,
    },
}

/// What to start.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The server.
    pub binary: PathBuf,
    /// How many.
    pub nodes: usize,
    /// What they log.
    pub log: String,
    /// Megabytes that a node's data may take, in memory; the disk without a bound if there are none.
    pub disk_mb: Option<usize>,
}

/// Nodes, numbered from 0.
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    network: Network,
    nodes: Vec<Mutex<Option<Child>>>,
    directory: TempDir,
    keep: AtomicBool,
}

impl Cluster {
    /// Starts all nodes and waits until they serve.
    pub async fn start(options: ClusterOptions) -> Result<Arc<Self>, ClusterError> {
        let network = Network::create(options.nodes);
        Self::start_on(options, network).await
    }

    /// The same on a network made before.
    pub async fn start_on(options: ClusterOptions, network: Network) -> Result<Arc<Self>, ClusterError> {
        let directory = tempfile::Builder::new().prefix("sharddb-chaos-").tempdir()?;
        let nodes = (0..options.nodes).map(|_| Mutex::new(None)).collect();
        let cluster = Arc::new(Self { options, network, nodes, directory, keep: AtomicBool::new(false) });
        cluster.mount_disks()?;
        for node in 0..cluster.nodes() {
            cluster.spawn(node)?;
            if node == 0 {
                cluster.ready(0).await?;
            }
        }
        for node in 1..cluster.nodes() {
            cluster.ready(node).await?;
        }
        Ok(cluster)
    }

    fn mount_disks(&self) -> io::Result<()> {
        for node in 0..self.nodes() {
            let disk = self.disk(node);
            std::fs::create_dir_all(&disk)?;
            let Some(megabytes) = self.options.disk_mb else { continue };
            let size = format!("size={megabytes}m");
            let status =
                Command::new("mount").args(["-t", "tmpfs", "-o", &size, "sharddb-chaos"]).arg(&disk).status()?;
            if !status.success() {
                return Err(io::Error::other("a disk of limited size needs the right to mount"));
            }
        }
        Ok(())
    }

    /// How many there are.
    pub fn nodes(&self) -> usize {
        self.network.nodes()
    }

    /// The links between them.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Where clients reach a node.
    pub fn sql(&self, node: usize) -> SocketAddr {
        SocketAddr::new(self.network.address(node), SQL_PORT)
    }

    /// Where clients reach all of them.
    pub fn all_sql(&self) -> Arc<Vec<SocketAddr>> {
        Arc::new((0..self.nodes()).map(|node| self.sql(node)).collect())
    }

    /// Data and logs of all nodes.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The directory that stands for a node's disk.
    pub fn disk(&self, node: usize) -> PathBuf {
        self.directory().join(format!("node{node}"))
    }

    fn log_file(&self, node: usize) -> PathBuf {
        self.directory().join(format!("node{node}.log"))
    }

    /// What a node logged.
    pub fn log(&self, node: usize) -> String {
        std::fs::read_to_string(self.log_file(node)).unwrap_or_default()
    }

    /// Leaves data and logs behind for whoever looks for a cause.
    pub fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    /// Starts a node's process; it serves later.
    pub fn spawn(&self, node: usize) -> io::Result<()> {
        let log: File = OpenOptions::new().create(true).append(true).open(self.log_file(node))?;
        let mut command = self.network.command(node, &self.options.binary);
        let own = self.network.address(node);
        let address = |port: u16| SocketAddr::new(own, port).to_string();
        command.arg("start").arg("--data").arg(self.disk(node).join("data"));
        command.args(["--sql-addr", &address(SQL_PORT), "--rpc-addr", &address(RPC_PORT)]);
        command.args(["--http-addr", &address(HTTP_PORT), "--cache-mb", "64", "--query-mb", "256"]);
        command.args(["--auth", "trust", "--insecure-rpc", "--log", &self.options.log]);
        if node > 0 {
            command.args(["--join", &SocketAddr::new(self.network.address(0), RPC_PORT).to_string()]);
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SHARDDB_")) {
            command.env_remove(name);
        }
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        *self.nodes[node].lock() = Some(child);
        Ok(())
    }

    /// Waits until a node answers statements.
    pub async fn ready(&self, node: usize) -> Result<(), ClusterError> {
        let begun = Instant::now();
        while begun.elapsed() < READY_MAX {
            if let Some(client) = session::connect(self.sql(node)).await
                && session::within(client.query_one("SELECT count(*) FROM pg_class", &[])).await.is_ok()
            {
                return Ok(());
            }
            if !self.alive(node) {
                return Err(self.late(node, "stay alive", begun.elapsed()));
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(self.late(node, "serve clients", READY_MAX))
    }

    fn late(&self, node: usize, what: &'static str, within: Duration) -> ClusterError {
        let log = self.log(node);
        let lines: Vec<&str> = log.lines().collect();
        let log = lines[lines.len().saturating_sub(10)..].join("\n");
        ClusterError::Late { node, what, within, log }
    }

    /// Has the server's command `node drain`, `node activate` or the like carried out for a node, and waits for its end.
    pub async fn node_command(&self, command: &str, node: usize) -> Result<(), String> {
        let client = session::connect(self.sql(0)).await.ok_or("node 0 lets nobody in")?;
        let sql = "SELECT node_id::text FROM sharddb.nodes WHERE sql_address = $1";
        let row = session::within(client.query_one(sql, &[&self.sql(node).to_string()])).await;
        let number: String = row.map_err(|failure| failure.to_string())?.get(0);
        let mut process = self.network.command(0, &self.options.binary);
        process.args(["node", command, &number, "--sql-addr", &self.sql(0).to_string()]);
        let run = tokio::task::spawn_blocking(move || process.output());
        let output = run.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let said = || String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(format!("node {command} {number}: {}", said())) }
    }

    /// A number that a node tells in its metrics.
    pub async fn metric(&self, node: usize, name: &str) -> Option<u64> {
        let address = SocketAddr::new(self.network.address(node), HTTP_PORT);
        let text = tokio::time::timeout(Duration::from_secs(2), http_get(address, "/metrics")).await.ok()?.ok()?;
        let line = text.lines().find(|line| line.split(' ').next() == Some(name))?;
        line.rsplit(' ').next()?.trim().parse().ok()
    }

    /// Waits until every node has as many replicas as every other one; answers whether they have within the time.
    pub async fn spread(&self, within: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < within {
            let counts =
                futures::future::join_all((0..self.nodes()).map(|node| self.metric(node, "sharddb_shards"))).await;
            if counts[0].is_some() && counts.iter().all(|count| *count == counts[0]) {
                return true;
            }
            tokio::time::sleep(LOOK * 4).await;
        }
        false
    }

    /// Whether its process has not ended.
    pub fn alive(&self, node: usize) -> bool {
        match &mut *self.nodes[node].lock() {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => false,
        }
    }

    fn signal(&self, node: usize, signal: Signal) -> io::Result<()> {
        let slot = self.nodes[node].lock();
        let Some(child) = &*slot else { return Ok(()) };
        let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return Ok(()) };
        Ok(kill_process(pid, signal)?)
    }

    /// Ends a node at once, as a loss of power of the process does.
    pub fn kill(&self, node: usize) -> io::Result<()> {
        let Some(mut child) = self.nodes[node].lock().take() else { return Ok(()) };
        child.kill()?;
        child.wait().map(drop)
    }

    /// Stops a node where it is.
    pub fn pause(&self, node: usize) -> io::Result<()> {
        self.signal(node, Signal::STOP)
    }

    /// Lets it go on.
    pub fn resume(&self, node: usize) -> io::Result<()> {
        self.signal(node, Signal::CONT)
    }

    /// Ends a node in order.
    pub async fn terminate(&self, node: usize) -> Result<(), ClusterError> {
        self.signal(node, Signal::TERM)?;
        let begun = Instant::now();
        while self.alive(node) {
            if begun.elapsed() > STOP_MAX {
                return Err(self.late(node, "stop in order", STOP_MAX));
            }
            tokio::time::sleep(LOOK).await;
        }
        self.nodes[node].lock().take();
        Ok(())
    }

    /// Lines of all logs that no run may hold.
    pub fn alarms(&self) -> Vec<String> {
        let alarming = |line: &&str| line.contains("panicked at") || line.contains("fatal");
        let of = |node: usize| {
            self.log(node).lines().filter(alarming).map(|line| format!("node {node}: {line}")).collect::<Vec<_>>()
        };
        (0..self.nodes()).flat_map(of).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in 0..self.nodes() {
            // It may have ended already.
            let _ = self.kill(node);
            if self.options.disk_mb.is_some() {
                let _ = Command::new("umount").arg(self.disk(node)).status();
            }
        }
        self.directory.disable_cleanup(self.keep.load(Ordering::Relaxed));
    }
}

async fn http_get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
