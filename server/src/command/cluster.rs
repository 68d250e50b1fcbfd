//! `sharddb cluster …`.

use std::io::{self, Write};

use clap::Subcommand;
use serde::Serialize;
use sharddb_meta::placement::factor;
use tokio_postgres::Client;

use super::{
    connection::{CommandError, Target},
    nodes::{NodeRow, nodes},
    table::write_json,
};

/// What to do with the cluster.
#[derive(Clone, Debug, Subcommand)]
pub enum ClusterCommand {
    /// Tells whether everything is where it is to be
    Status {
        #[command(flatten)]
        target: Target,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The cluster in numbers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClusterStatus {
    pub(crate) nodes: usize,
    pub(crate) live_nodes: usize,
    pub(crate) meta_leader: Option<i64>,
    pub(crate) meta_members: Vec<i64>,
    /// The cluster's own; tables may have another.
    pub(crate) replication_factor: u32,
    pub(crate) shards: usize,
    pub(crate) shards_without_leader: usize,
    /// Shards with fewer replicas than they are to have.
    pub(crate) under_replicated_shards: usize,
    /// Shards of which a majority of the replicas is on nodes that do not live.
    pub(crate) unavailable_shards: usize,
    pub(crate) running_jobs: i64,
}

impl ClusterCommand {
    /// Does it.
    pub async fn run(&self) -> Result<(), CommandError> {
        let Self::Status { target, json } = self;
        let status = ClusterStatus::read(&target.connect().await?).await?;
        let mut out = io::stdout().lock();
        if *json {
            write_json(&mut out, &status)?
        } else {
            status.write(&mut out)?
        }
        Ok(())
    }
}

/// What is needed of a row of `sharddb.shards`.
struct Shard {
    leader: Option<i64>,
    replicas: Vec<i64>,
    factor: Option<i32>,
}

impl ClusterStatus {
    pub(crate) async fn read(client: &Client) -> Result<Self, CommandError> {
        let nodes: Vec<NodeRow> = nodes(client).await?.into_iter().filter(|node| node.state != "gone").collect();
        let setting: String =
            client.query_one("SELECT current_setting('replication_factor')", &[]).await?.try_get(0)?;
        let members = nodes.iter().filter(|node| matches!(node.state.as_str(), "active" | "draining")).count();
        let default = factor::cluster_factor(Some(&setting), members);
        let shards = shards(client).await?;
        let lives = |id: &i64| nodes.iter().any(|node| node.node_id == *id && node.live);
        let wanted = |shard: &&Shard| {
            let factor = shard.factor.and_then(|factor| u32::try_from(factor).ok()).unwrap_or(default);
            shard.replicas.len() < factor::voters(factor, members)
        };
        let dead = |shard: &&Shard| {
            let living = shard.replicas.iter().filter(|id| lives(id)).count();
            living * 2 <= shard.replicas.len()
        };
        let jobs = client.query_one("SELECT count(*) FROM sharddb.jobs WHERE state = 'running'", &[]).await?;
        let meta = |role: &str| nodes.iter().find(|node| node.meta.as_deref() == Some(role)).map(|node| node.node_id);
        Ok(Self {
            live_nodes: nodes.iter().filter(|node| node.live).count(),
            meta_leader: meta("leader"),
            meta_members: nodes.iter().filter(|node| node.meta.is_some()).map(|node| node.node_id).collect(),
            nodes: nodes.len(),
            replication_factor: default,
            shards_without_leader: shards.iter().filter(|shard| shard.leader.is_none()).count(),
            under_replicated_shards: shards.iter().filter(wanted).count(),
            unavailable_shards: shards.iter().filter(dead).count(),
            shards: shards.len(),
            running_jobs: jobs.try_get(0)?,
        })
    }

    /// Whether nothing is left to do and nobody is missing.
    pub(crate) fn is_healthy(&self) -> bool {
        self.live_nodes == self.nodes && self.under_replicated_shards + self.shards_without_leader == 0
    }

    fn verdict(&self) -> String {
        let missing = self.nodes - self.live_nodes;
        match self {
            _ if self.unavailable_shards > 0 => {
                format!("{} shards have lost most of their replicas", self.unavailable_shards)
            }
            _ if missing > 0 => format!("{missing} of {} nodes do not answer", self.nodes),
            _ if self.is_healthy() => "healthy".to_owned(),
            _ => format!("{} shards are being brought to their number of replicas", self.under_replicated_shards),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let members: Vec<String> = self.meta_members.iter().map(ToString::to_string).collect();
        let leader = self.meta_leader.map_or_else(|| "nobody".to_owned(), |leader| format!("node {leader}"));
        writeln!(out, "status              {}", self.verdict())?;
        writeln!(out, "nodes               {}, {} live", self.nodes, self.live_nodes)?;
        writeln!(out, "meta group          nodes {}; led by {leader}", members.join(", "))?;
        writeln!(out, "replication factor  {}", self.replication_factor)?;
        writeln!(
            out,
            "shards              {}, {} under-replicated, {} unavailable",
            self.shards, self.under_replicated_shards, self.unavailable_shards
        )?;
        writeln!(out, "running jobs        {}", self.running_jobs)
    }
}

async fn shards(client: &Client) -> Result<Vec<Shard>, CommandError> {
    let rows = client.query("SELECT leader, replicas, replication_factor FROM sharddb.shards", &[]).await?;
    let shard = |row: &tokio_postgres::Row| {
        Ok(Shard { leader: row.try_get(0)?, replicas: row.try_get(1)?, factor: row.try_get(2)? })
    };
    rows.iter().map(shard).collect()
}
