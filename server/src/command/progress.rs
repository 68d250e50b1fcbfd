//! Waiting until a node is where it is to be.

use std::{
    io::{self, Write},
    time::Duration,
};

use tokio_postgres::Client;

use super::{
    connection::CommandError,
    nodes::{NodeRow, node},
};

/// Pause between looks.
const PAUSE: Duration = Duration::from_millis(300);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// It leads nothing.
    Drained,
    /// It has no replicas and left the cluster.
    Gone,
    /// It takes part again.
    Active,
}

impl Goal {
    /// The states on the way.
    fn allows(self, state: &str) -> bool {
        match self {
            Self::Drained => state == "draining",
            Self::Gone => matches!(state, "decommissioning" | "gone"),
            Self::Active => state == "active",
        }
    }

    fn is_reached(self, node: &NodeRow) -> bool {
        match self {
            Self::Drained => node.leaders == 0 && node.meta.as_deref() != Some("leader") && !node.is_unheard(),
            Self::Gone => node.state == "gone",
            Self::Active => true,
        }
    }

    /// What is left to do.
    fn rest(self, node: &NodeRow) -> String {
        let count = |number: i64, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        let meta = match (self, node.meta.as_deref()) {
            (_, Some("leader")) => " and the lead of the meta group",
            (Self::Gone, Some(_)) => " and its part in the meta group",
            _ => "",
        };
        match self {
            Self::Gone => format!("{}{meta} to move", count(node.replicas, "replica")),
            _ => format!("{}{meta} to move", count(node.leaders, "leader")),
        }
    }
}

/// Waits, and tells on stderr how far it is. The change goes on in the cluster if this process ends.
pub(super) async fn wait(client: &Client, id: u32, goal: Goal) -> Result<NodeRow, CommandError> {
    let mut told = String::new();
    loop {
        let node = node(client, id).await?;
        if !goal.allows(&node.state) {
            return Err(CommandError::Given(format!("node {id} is {}: somebody else changed it", node.state)));
        }
        if goal.is_reached(&node) {
            return Ok(node);
        }
        let mut rest = goal.rest(&node);
        if let Some(failure) = last_failure(client, id).await? {
            rest = format!("{rest}; last failure: {failure}");
        }
        if rest != told {
            writeln!(io::stderr(), "node {id}: {rest}")?;
            told = rest;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Why the newest move of a shard away from a node failed, if it did.
async fn last_failure(client: &Client, id: u32) -> Result<Option<String>, CommandError> {
    const QUERY: &str = "SELECT state, error FROM sharddb.jobs WHERE state <> 'running' AND shard_id IS NOT NULL \
                         AND $1 = ANY (from_nodes) ORDER BY job_id DESC LIMIT 1";
    let Some(row) = client.query_opt(QUERY, &[&i64::from(id)]).await? else { return Ok(None) };
    let failed = row.try_get::<_, String>(0)? == "failed";
    Ok(row.try_get::<_, Option<String>>(1)?.filter(|_| failed))
}
