//! Becoming a node of a cluster that is there.

use std::time::Duration;

use proto::{
    meta::Node,
    rpc::{Joined, join_answer::Outcome},
};
use rpc::{Security, Timing};
use sharddb_proto as proto;
use sharddb_rpc as rpc;

/// Rounds over all addresses before giving up: the cluster may be starting itself.
const ROUNDS: u32 = 60;
/// Pause between rounds.
const PAUSE: Duration = Duration::from_millis(500);
/// Nodes that may send us on, each to the next.
const ELSEWHERE_MAX: u32 = 3;

/// Why this process did not become a node.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The cluster said no.
    #[error("the cluster at {address} refused this node: {reason}")]
    Refused {
        /// Who said it.
        address: String,
        /// Why.
        reason: String,
    },
    /// Nobody answered.
    #[error("none of the nodes named by --join let this one in; the last failure: {0}")]
    Nobody(String),
}

/// Asks one address after the other to let this process in.
pub(crate) async fn join(
    addresses: &[String],
    record: &Node,
    security: &Security,
    timing: &Timing,
) -> Result<Joined, JoinError> {
    let mut last = "no address was given".to_owned();
    for round in 0..ROUNDS {
        if round > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        for address in addresses {
            match ask(address, record, security, timing).await? {
                Ok(joined) => return Ok(joined),
                Err(reason) => last = reason,
            }
        }
        tracing::info!(reason = last, "waiting for a node that lets this one in");
    }
    Err(JoinError::Nobody(last))
}

/// Asks one address, and where it sends us on. The inner error may pass.
async fn ask(
    address: &str,
    record: &Node,
    security: &Security,
    timing: &Timing,
) -> Result<Result<Joined, String>, JoinError> {
    let mut address = address.to_owned();
    for _ in 0..ELSEWHERE_MAX {
        let answer = match rpc::join(&address, String::new(), record.clone(), security, timing).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error.to_string())),
        };
        match answer.outcome {
            Some(Outcome::Joined(joined)) => return Ok(Ok(joined)),
            Some(Outcome::Elsewhere(other)) => address = other,
            Some(Outcome::Refused(reason)) => return Err(JoinError::Refused { address, reason }),
            Some(Outcome::Later(reason)) => return Ok(Err(format!("{address}: {reason}"))),
            None => return Ok(Err(format!("{address}: an empty answer"))),
        }
    }
    Ok(Err(format!("{address}: sent on too often")))
}
