//! Timestamps of a process, asked for together.
//!
//! One request is under way at a time; whoever comes meanwhile shares the next one. Nobody gets a timestamp of a request
//! that was sent before they asked: it might lie below one handed out before.

use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use proto::{
    Timestamp,
    meta::{TakeTimestamps, Timestamps, answer, call},
};
use sharddb_kv as kv;
use sharddb_proto as proto;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use super::{CALL_DEADLINE, Missed, RemoteMeta, Tries};
use crate::oracle::COUNT_MAX;

/// Who waits for the next request.
#[derive(Default)]
pub(super) struct Batch {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiter>,
    /// Whether a task sends requests.
    driven: bool,
}

struct Waiter {
    above: Timestamp,
    deadline: Instant,
    answer: oneshot::Sender<kv::Result<Timestamp>>,
}

impl RemoteMeta {
    /// A timestamp if this process leads the meta group.
    pub(super) fn local_timestamp(&self, above: Timestamp) -> Option<Timestamp> {
        self.inner.local.load().as_ref()?.try_timestamps(1, above)
    }

    /// A timestamp above every one handed out before, and above `above` as far as the oracle's window reaches.
    pub(super) async fn timestamp_above(&self, above: Timestamp) -> kv::Result<Timestamp> {
        if let Some(timestamp) = self.local_timestamp(above) {
            return Ok(timestamp);
        }
        let (answer, answered) = oneshot::channel();
        let waiter = Waiter { above, deadline: Instant::now() + CALL_DEADLINE, answer };
        let idle = {
            let mut queue = self.inner.batch.queue.lock();
            queue.waiting.push(waiter);
            !std::mem::replace(&mut queue.driven, true)
        };
        if idle {
            tokio::spawn(self.clone().drive());
        }
        let gone = || kv::Error::Unavailable { reason: "the process stops".to_owned() };
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Returns once all timestamps handed out from now on are known to be at or above `timestamp`.
    pub async fn reached(&self, timestamp: Timestamp) -> kv::Result<()> {
        while !self.has_reached(timestamp) {
            self.timestamp_above(timestamp.prev()).await?;
        }
        Ok(())
    }

    /// Sends requests until nobody waits.
    async fn drive(self) {
        let mut batch: Vec<Waiter> = Vec::new();
        let mut tries = Tries::default();
        loop {
            if self.gather(&mut batch) {
                return;
            }
            match self.request(&batch, tries.count).await {
                Ok(taken) => {
                    tries = Tries::default();
                    self.hand_out(&mut batch, taken);
                }
                Err(Missed::Failed(error)) => {
                    tries = Tries::default();
                    batch.drain(..).for_each(|waiter| drop(waiter.answer.send(Err(error.clone()))));
                }
                Err(Missed::Again { reason, hinted }) => {
                    tries.note(hinted);
                    expire(&mut batch, &reason);
                    sleep(tries.pause()).await;
                }
            }
        }
    }

    /// Takes over whoever waits. Answers whether nobody does: then the next one starts another task.
    fn gather(&self, batch: &mut Vec<Waiter>) -> bool {
        let mut queue = self.inner.batch.queue.lock();
        batch.append(&mut queue.waiting);
        batch.retain(|waiter| !waiter.answer.is_closed());
        queue.driven = !batch.is_empty();
        !queue.driven
    }

    async fn request(&self, batch: &[Waiter], tries: u32) -> Result<Timestamps, Missed> {
        let count = (batch.len() as u64).min(COUNT_MAX);
        let above = batch.iter().map(|waiter| waiter.above.0).max().unwrap_or(0);
        match self.attempt(&call::Body::Timestamps(TakeTimestamps { count, above }), tries).await? {
            answer::Body::Timestamps(taken) if (1..=count).contains(&taken.count) => Ok(taken),
            _ => Err(Missed::Failed(super::calls::unexpected())),
        }
    }

    fn hand_out(&self, batch: &mut Vec<Waiter>, taken: Timestamps) {
        self.inner.catalog_version.fetch_max(taken.catalog_version, Ordering::SeqCst);
        self.inner.latest.fetch_max(taken.first + taken.count - 1, Ordering::SeqCst);
        let served = batch.len().min(taken.count as usize);
        for (waiter, timestamp) in batch.drain(..served).zip(taken.first..) {
            // Whoever has given up meanwhile leaves a gap.
            let _gone = waiter.answer.send(Ok(Timestamp(timestamp)));
        }
    }
}

/// Answers those whose time is over.
fn expire(batch: &mut Vec<Waiter>, reason: &str) {
    let now = Instant::now();
    for waiter in batch.extract_if(.., |waiter| waiter.deadline <= now) {
        let reason = format!("the meta group does not answer: {reason}");
        let _gone = waiter.answer.send(Err(kv::Error::Unavailable { reason }));
    }
}
