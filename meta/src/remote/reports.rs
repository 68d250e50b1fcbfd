//! What a node tells the meta group all the time: signs of life, ranges the map does not know yet, and waits that may be part
//! of a deadlock.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use proto::meta::{
    HeartbeatAnswer, Node, NodeHeartbeat, NodeStatistics, RangeDescriptor, Shards, Victim, Wait, WaitReport,
};
use sharddb_kv as kv;
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

    /// The shards that it leads and holds the lease of.
    fn leads(&self) -> BTreeSet<u64>;

    /// Grows whenever it has another replica, one less, or one with another range.
    fn ranges_version(&self) -> u64;

    /// The ranges of all its replicas, as they know them.
    fn ranges(&self) -> Vec<RangeDescriptor>;

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

/// What the leader of the meta group has been told.
#[derive(Default)]
struct Said {
    leads: Option<BTreeSet<u64>>,
    /// The version of the ranges when the map was found to know them.
    ranges: Option<u64>,
}

impl RemoteMeta {
    /// Gives signs of life until the task is aborted. Puts ranges that the map does not know: whoever split a shard may have
    /// ended before it said so.
    pub fn keep_heartbeat(&self, vitals: Arc<dyn Vitals>) -> JoinHandle<()> {
        let remote = self.clone();
        tokio::spawn(async move {
            let mut said = Said::default();
            loop {
                match remote.beat(vitals.as_ref(), &mut said).await {
                    Ok(answer) => vitals.heard(&answer),
                    Err(error) => {
                        said = Said::default();
                        tracing::warn!(%error, "the meta group took no sign of life");
                    }
                }
                sleep(Duration::from_millis(HEARTBEAT_MS)).await;
            }
        })
    }

    /// Gives a sign of life, with what is new since the last one.
    async fn beat(&self, vitals: &dyn Vitals, said: &mut Said) -> kv::Result<HeartbeatAnswer> {
        let leads = vitals.leads();
        let news = Some(&leads).filter(|leads| said.leads.as_ref() != Some(*leads));
        let shards = news.map(|leads| Shards { shards: leads.iter().copied().collect() });
        let (node, statistics) = (Some(vitals.node()), Some(vitals.statistics()));
        let answer = self.heartbeat(NodeHeartbeat { node, statistics, leads: shards }).await?;
        said.leads = (!answer.want_leads).then_some(leads);
        let version = Some(vitals.ranges_version());
        if said.ranges != version && self.put_news(vitals.ranges()).await? {
            said.ranges = version;
        }
        Ok(answer)
    }

    /// Puts the ranges that are newer than what the map knows. Answers whether the map knows all of them now. Ranges of
    /// replicas that do not lead count as well: parts of a split may be led by different nodes, and make no map one by one.
    async fn put_news(&self, ranges: Vec<RangeDescriptor>) -> kv::Result<bool> {
        let table = self.range_table().await?;
        let mut news: BTreeMap<u64, RangeDescriptor> = ranges.into_iter().map(|range| (range.shard, range)).collect();
        for known in table.iter() {
            if news.get(&known.shard).is_some_and(|range| range.epoch <= known.epoch) {
                news.remove(&known.shard);
            }
        }
        if news.is_empty() {
            return Ok(true);
        }
        match self.put(news.into_values().collect()).await {
            Ok(()) => Ok(true),
            Err(kv::Error::Refused { message, .. }) => {
                tracing::debug!(message, "the range map does not take this node's ranges yet");
                Ok(false)
            }
            Err(error) => Err(error),
        }
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
