//! What a node tells the meta group all the time: signs of life, and waits that may be part of a deadlock.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use proto::meta::{HeartbeatAnswer, Node, NodeHeartbeat, NodeStatistics, Shards, Victim, Wait, WaitReport};
use sharddb_proto as proto;
use tokio::{task::JoinHandle, time::sleep};

use super::RemoteMeta;
use crate::{
    HEARTBEAT_MS,
    deadlock::{REPORT_AFTER_MS, REPORT_INTERVAL_MS},
};

/// What a node says of itself.
pub trait Vitals: Send + Sync + 'static {
    /// Its record with its present addresses.
    fn node(&self) -> Node;

    /// How much it holds.
    fn statistics(&self) -> NodeStatistics;

    /// The shards it leads and holds the lease of.
    fn leads(&self) -> BTreeSet<u64>;

    /// Takes note of what the meta group answered.
    fn heard(&self, answer: &HeartbeatAnswer);
}

/// Waits of a node, as its shards know them.
pub trait Waits: Send + Sync + 'static {
    /// Waits that have lasted for at least `age`. Of those ahead in a queue the nearest is enough as a holder.
    fn waits(&self, age: Duration) -> Vec<Wait>;

    /// Ends a wait that is part of a deadlock, if it lasts still.
    fn end(&self, victim: Victim);
}

impl RemoteMeta {
    /// Gives signs of life until the task is aborted.
    pub fn keep_heartbeat(&self, vitals: Arc<dyn Vitals>) -> JoinHandle<()> {
        let remote = self.clone();
        tokio::spawn(async move {
            let mut said = None;
            loop {
                let leads = vitals.leads();
                let news = Some(&leads).filter(|leads| said.as_ref() != Some(*leads));
                let shards = news.map(|leads| Shards { shards: leads.iter().copied().collect() });
                let statistics = Some(vitals.statistics());
                let heartbeat = NodeHeartbeat { node: Some(vitals.node()), statistics, leads: shards };
                match remote.heartbeat(heartbeat).await {
                    Ok(answer) => {
                        said = (!answer.want_leads).then_some(leads);
                        vitals.heard(&answer);
                    }
                    Err(error) => {
                        said = None;
                        tracing::warn!(%error, "the meta group took no sign of life");
                    }
                }
                sleep(Duration::from_millis(HEARTBEAT_MS)).await;
            }
        })
    }

    /// Reports waits, and ends those that are part of a deadlock over several nodes, until the task is aborted. Without waits
    /// nothing is sent.
    pub fn keep_reporting_waits(&self, waits: Arc<dyn Waits>) -> JoinHandle<()> {
        let remote = self.clone();
        tokio::spawn(async move {
            // The first turn of a leader is above every turn of those before; 0 proves nothing.
            let mut turn = 0;
            let mut reported = false;
            loop {
                let present = waits.waits(Duration::from_millis(REPORT_AFTER_MS));
                let nothing = present.is_empty();
                if !nothing || reported {
                    let report = WaitReport { node: remote.inner.node, waits: present, turn };
                    match remote.report_waits(report).await {
                        Ok(answer) => {
                            turn = answer.turn;
                            answer.victims.into_iter().for_each(|victim| waits.end(victim));
                        }
                        // Waits go on, and are reported again.
                        Err(error) => tracing::warn!(%error, "waits could not be reported"),
                    }
                }
                reported = !nothing;
                let pause = if nothing { REPORT_AFTER_MS } else { REPORT_INTERVAL_MS };
                sleep(Duration::from_millis(pause)).await;
            }
        })
    }
}
