//! `sharddb node …`.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde::Serialize;
use tokio_postgres::Client;

use super::{
    connection::{CommandError, Target},
    progress::{Goal, wait},
    table::{bytes, write_json, write_table},
};

/// A node that is silent for longer does not live.
const SILENCE_MS: i64 = 5000;

/// What to do with nodes.
#[derive(Clone, Debug, Subcommand)]
pub enum NodeCommand {
    /// Lists the nodes
    Status {
        #[command(flatten)]
        target: Target,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Moves all leaders away from a node, so that it can be stopped for a while
    Drain(Change),
    /// Moves all replicas away from a node for good; it never comes back
    Decommission(Change),
    /// Takes back a node that was drained or is being decommissioned
    Activate(Change),
}

/// A change of a node's state.
#[derive(Args, Clone, Debug)]
pub struct Change {
    /// The node's number, as `sharddb node status` shows it
    #[arg(value_name = "NODE")]
    node: u32,
    #[command(flatten)]
    target: Target,
    /// Return at once instead of when it is done
    #[arg(long)]
    no_wait: bool,
    /// Print the node as JSON at the end
    #[arg(long)]
    json: bool,
}

/// A row of `sharddb.nodes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct NodeRow {
    pub(super) node_id: i64,
    pub(super) sql_address: String,
    pub(super) rpc_address: String,
    pub(super) http_address: String,
    pub(super) locality: String,
    pub(super) state: String,
    pub(super) live: bool,
    pub(super) silent_ms: i64,
    pub(super) replicas: i64,
    pub(super) leaders: i64,
    /// "leader" or "member" of the meta group.
    pub(super) meta: Option<String>,
    pub(super) disk_free: Option<i64>,
    pub(super) disk_total: Option<i64>,
}

impl NodeRow {
    /// Whether the leader of the meta group is too new to have heard of the node.
    pub(super) fn is_unheard(&self) -> bool {
        !self.live && self.silent_ms < SILENCE_MS
    }
}

impl NodeCommand {
    /// Does it.
    pub async fn run(&self) -> Result<(), CommandError> {
        match self {
            Self::Status { target, json } => status(&nodes(&target.connect().await?).await?, *json),
            Self::Drain(change) => change.run("DRAIN", Goal::Drained).await,
            Self::Decommission(change) => change.run("DECOMMISSION", Goal::Gone).await,
            Self::Activate(change) => change.run("ACTIVATE", Goal::Active).await,
        }
    }
}

impl Change {
    async fn run(&self, action: &str, goal: Goal) -> Result<(), CommandError> {
        let client = self.target.connect().await?;
        client.batch_execute(&format!("ALTER SYSTEM {action} NODE {}", self.node)).await?;
        let node = if self.no_wait { node(&client, self.node).await? } else { wait(&client, self.node, goal).await? };
        let mut out = io::stdout().lock();
        if self.json {
            write_json(&mut out, &node)?;
        } else {
            writeln!(out, "node {} is {}", node.node_id, node.state)?;
        }
        Ok(())
    }
}

/// Every node.
pub(super) async fn nodes(client: &Client) -> Result<Vec<NodeRow>, CommandError> {
    const QUERY: &str = "SELECT node_id, sql_address, rpc_address, http_address, locality, state, live, silent_ms, \
                         replicas, leaders, meta, disk_free, disk_total FROM sharddb.nodes ORDER BY node_id";
    let rows = client.query(QUERY, &[]).await?;
    let row = |row: &tokio_postgres::Row| {
        Ok(NodeRow {
            node_id: row.try_get(0)?,
            sql_address: row.try_get(1)?,
            rpc_address: row.try_get(2)?,
            http_address: row.try_get(3)?,
            locality: row.try_get(4)?,
            state: row.try_get(5)?,
            live: row.try_get(6)?,
            silent_ms: row.try_get(7)?,
            replicas: row.try_get(8)?,
            leaders: row.try_get(9)?,
            meta: row.try_get(10)?,
            disk_free: row.try_get(11)?,
            disk_total: row.try_get(12)?,
        })
    };
    rows.iter().map(row).collect()
}

/// One node.
pub(super) async fn node(client: &Client, id: u32) -> Result<NodeRow, CommandError> {
    let found = nodes(client).await?.into_iter().find(|node| node.node_id == i64::from(id));
    found.ok_or_else(|| CommandError::Given(format!("node {id} does not exist")))
}

fn status(nodes: &[NodeRow], json: bool) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    if json {
        return Ok(write_json(&mut out, &nodes)?);
    }
    let disk = |node: &NodeRow| match (node.disk_free, node.disk_total) {
        (Some(free), Some(total)) => format!("{} of {}", bytes(free), bytes(total)),
        _ => String::new(),
    };
    let live = |node: &NodeRow| match node.live {
        _ if node.state == "gone" => String::new(),
        true => "yes".to_owned(),
        false if node.is_unheard() => "not heard of yet".to_owned(),
        false => format!("no, silent for {} s", node.silent_ms / 1000),
    };
    let row = |node: &NodeRow| {
        vec![
            node.node_id.to_string(),
            node.state.clone(),
            live(node),
            node.replicas.to_string(),
            node.leaders.to_string(),
            node.meta.clone().unwrap_or_default(),
            disk(node),
            node.sql_address.clone(),
            node.rpc_address.clone(),
            node.locality.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    let headings = ["NODE", "STATE", "LIVE", "REPLICAS", "LEADERS", "META", "DISK FREE", "SQL", "RPC", "LOCALITY"];
    Ok(write_table(&mut out, &headings, &rows)?)
}
