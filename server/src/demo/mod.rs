//! `sharddb demo`: a cluster of processes on this machine, with sample data, for as long as it runs.
//!
//! The nodes are processes of this same binary. They end with the demo: it ends them, and should it be killed, the system does.

mod node;
mod sample;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use futures::future::try_join_all;

use crate::command::{ClusterStatus, CommandError, connect};
use node::DemoNode;

/// Pause between looks at the nodes.
const PAUSE: Duration = Duration::from_millis(250);

/// What kind of demo.
#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// Leave the sample data out
    #[arg(long)]
    empty: bool,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The directory.
    #[error("could not make a directory for the demo in {directory}: {source}")]
    Directory {
        /// Where.
        directory: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A node.
    #[error("node {0} of the demo did not start: {1}")]
    Node(u8, String),
    /// The sample data, or a look at the cluster.
    #[error("the cluster of the demo failed: {0}")]
    Cluster(#[from] CommandError),
    /// The terminal.
    #[error("could not write: {0}")]
    Output(#[from] io::Error),
}

/// A directory that goes with the demo.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self, DemoError> {
        let parent = std::env::temp_dir();
        let path = parent.join(format!("sharddb-demo-{:08x}", rand::random::<u32>()));
        std::fs::create_dir(&path)
            .map_err(|source| DemoError::Directory { directory: parent.display().to_string(), source })?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed stays in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Demo {
    /// Runs it until `stop` is ready. Nodes must be started by the thread that lives as long as the process.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<(), DemoError> {
        // Declared first, so that it is removed after the nodes have ended.
        let scratch = Scratch::make()?;
        let mut nodes = Vec::new();
        tokio::select! {
            outcome = self.serve(&scratch.0, &mut nodes) => outcome,
            () = stop => Ok(()),
        }
    }

    async fn serve(&self, directory: &Path, nodes: &mut Vec<DemoNode>) -> Result<(), DemoError> {
        say(&format!("Starting {} in {} …", count(self.nodes), directory.display()))?;
        let mut first = DemoNode::spawn(directory, 1, None)?;
        first.await_ready().await?;
        let join = first.rpc.clone();
        let sql = first.sql.clone();
        nodes.push(first);
        for number in 2..=self.nodes {
            nodes.push(DemoNode::spawn(directory, number, Some(&join))?);
        }
        let others = try_join_all(nodes.iter_mut().skip(1).map(DemoNode::await_ready));
        let data = async {
            if !self.empty {
                sample::load(&sql).await?;
            }
            Ok(())
        };
        tokio::try_join!(others, data)?;
        self.introduce(nodes)?;
        self.watch(&sql, nodes).await
    }

    fn introduce(&self, nodes: &[DemoNode]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out)?;
        for node in nodes {
            writeln!(out, "  node {}  {}  (process {})", node.number, node.url(), node.process())?;
        }
        let (first, last) = (&nodes[0], &nodes[nodes.len() - 1]);
        writeln!(out, "\nTry:")?;
        writeln!(out, "  psql {}", first.url())?;
        if !self.empty {
            writeln!(out, "    {};", sample::QUERY)?;
        }
        writeln!(out, "    SELECT table_name, shard_id, leader, replicas FROM sharddb.shards;")?;
        writeln!(out, "  sharddb node status --sql-addr {}", first.sql)?;
        if nodes.len() > 2 {
            writeln!(out, "  kill -9 {}     one node dies, the others go on", last.process())?;
        }
        writeln!(out, "\nCtrl-C ends the cluster and removes its data.\nready")?;
        out.flush()
    }

    /// Tells once that every shard has its replicas, and whenever a node ends.
    async fn watch(&self, sql: &str, nodes: &mut Vec<DemoNode>) -> Result<(), DemoError> {
        let mut complete = self.nodes == 1;
        if !complete {
            say("Replicas are being brought up …")?;
        }
        loop {
            tokio::time::sleep(PAUSE).await;
            for at in (0..nodes.len()).rev() {
                if let Some(how) = nodes[at].ended()? {
                    say(&format!("node {} has ended: {how}", nodes[at].number))?;
                    nodes.remove(at);
                }
            }
            if nodes.is_empty() {
                return Err(DemoError::Node(1, "every node has ended".to_owned()));
            }
            if !complete && is_complete(sql, self.nodes).await {
                complete = true;
                say("Every shard has its replicas.")?;
            }
        }
    }
}

/// Whether all nodes are there and all shards have their replicas. Not while nobody can tell.
async fn is_complete(sql: &str, nodes: u8) -> bool {
    let Ok(client) = connect(sql).await else { return false };
    let status = ClusterStatus::read(&client).await;
    status.is_ok_and(|status| status.nodes == usize::from(nodes) && status.is_healthy())
}

fn count(nodes: u8) -> String {
    format!("{nodes} node{}", if nodes == 1 { "" } else { "s" })
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
