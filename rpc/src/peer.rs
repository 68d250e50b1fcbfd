//! Another node: its address, the connection to it, and what is known when there is none.
//!
//! One task for each node keeps the connection. Requests wait for the first attempt. When it fails, or a connection is
//! lost, the breaker opens: requests are refused at once, so that they find another way, while the task goes on to try: at
//! once after a loss, then with pauses that grow and vary. The attempt that succeeds closes the breaker.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use futures::StreamExt;
use parking_lot::Mutex;
use proto::NodeId;
use sharddb_proto as proto;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    codec::Batch,
    dial::{self, Channel, Driver},
    link::{Link, Outgoing},
    nodes::Process,
};

/// Another node.
#[derive(Debug)]
pub(crate) struct Peer {
    node: NodeId,
    /// Absent while the breaker is open, and before the first request.
    link: ArcSwapOption<Link>,
    state: Mutex<State>,
    /// Told when the address changes.
    moved: Notify,
    removed: CancellationToken,
}

#[derive(Debug)]
struct State {
    address: String,
    started: bool,
    /// Why the breaker is open.
    down: Option<String>,
}

impl Peer {
    pub(crate) fn new(node: NodeId, address: String) -> Self {
        let state = Mutex::new(State { address, started: false, down: None });
        Self { node, link: ArcSwapOption::empty(), state, moved: Notify::new(), removed: CancellationToken::new() }
    }

    /// The link to send on; why not, if there is none.
    pub(crate) fn link(self: &Arc<Self>, process: &Arc<Process>) -> Result<Arc<Link>, String> {
        if let Some(link) = self.link.load_full() {
            return Ok(link);
        }
        let mut state = self.state.lock();
        if let Some(reason) = &state.down {
            return Err(reason.clone());
        }
        if !std::mem::replace(&mut state.started, true) {
            let link = Link::new();
            self.link.store(Some(Arc::clone(&link)));
            tokio::spawn(Arc::clone(self).run(Arc::clone(process), link));
        }
        // It has just been made, or the breaker has just closed.
        self.link.load_full().ok_or_else(|| format!("{} is being connected to", self.node))
    }

    /// Whether it is connected, and if not, why.
    pub(crate) fn health(&self) -> (bool, Option<String>) {
        let up = self.link.load().as_ref().is_some_and(|link| link.is_up());
        (up, self.state.lock().down.clone())
    }

    pub(crate) fn move_to(&self, address: &str) {
        let mut state = self.state.lock();
        if state.address != address {
            address.clone_into(&mut state.address);
            drop(state);
            self.moved.notify_one();
        }
    }

    /// The node is no member any more.
    pub(crate) fn remove(&self) {
        self.removed.cancel();
    }

    async fn run(self: Arc<Self>, process: Arc<Process>, first: Arc<Link>) {
        let removed = self.removed.clone();
        let reason = match removed.run_until_cancelled(self.keep(&process, first)).await {
            Some(never) => match never {},
            None => "the node is not a member of the cluster any more",
        };
        self.open_breaker(reason);
        if let Some(link) = self.link.swap(None) {
            link.lose(reason);
        }
    }

    async fn keep(&self, process: &Arc<Process>, mut link: Arc<Link>) -> std::convert::Infallible {
        let mut failures = 0;
        loop {
            match self.connect(process).await {
                Err(reason) => {
                    failures += 1;
                    self.give_up(&link, &format!("{} cannot be reached: {reason}", self.node));
                    self.pause(process, failures).await;
                }
                Ok((channel, driver)) => {
                    failures = 0;
                    link.connected(channel.clone());
                    self.link.store(Some(Arc::clone(&link)));
                    self.state.lock().down = None;
                    let reason = serve(&channel, driver, &link).await;
                    self.give_up(&link, &format!("the connection to {} was lost: {reason}", self.node));
                }
            }
            link = Link::new();
        }
    }

    /// Opens the breaker and ends a link.
    fn give_up(&self, link: &Link, reason: &str) {
        if self.open_breaker(reason) {
            tracing::warn!("{reason}");
        }
        self.link.store(None);
        link.lose(reason);
    }

    async fn connect(&self, process: &Process) -> Result<(Channel, Driver), String> {
        let address = self.state.lock().address.clone();
        let connecting = async {
            let (channel, mut driver) = dial::open(&address, &process.security, &process.timing).await?;
            let hello = process.identity.hello(self.node, process.number);
            dial::greet(&channel, &mut driver, hello).await?;
            Ok((channel, driver))
        };
        let limit = process.timing.connect;
        let connected = tokio::time::timeout(limit, connecting).await;
        connected.unwrap_or_else(|_| Err(format!("{address}: no connection within {limit:?}")))
    }

    /// Answers whether the reason is another one than before.
    fn open_breaker(&self, reason: &str) -> bool {
        let mut state = self.state.lock();
        let news = state.down.as_deref() != Some(reason);
        state.down = Some(reason.to_owned());
        news
    }

    /// Waits before the next attempt, unless the node has moved.
    async fn pause(&self, process: &Process, failures: u32) {
        let pause = backoff(process.timing.backoff_min, process.timing.backoff_max, failures);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.moved.notified() => {}
        }
    }
}

/// Doubles with each failure, and varies so that nodes do not try in step.
fn backoff(min: Duration, max: Duration, failures: u32) -> Duration {
    let doubled = min.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(max);
    doubled.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

/// Opens the link and hands answers to it until the connection ends; answers why it did. Pings tell when that is, so
/// nothing here has a deadline.
async fn serve(channel: &Channel, mut driver: Driver, link: &Arc<Link>) -> String {
    let mut client = channel.client();
    let outgoing = Outgoing(Arc::clone(link));
    let mut incoming = match dial::alongside(&mut driver, client.link(outgoing)).await {
        Ok(answer) => answer.into_inner(),
        Err(reason) => return reason,
    };
    loop {
        tokio::select! {
            biased;
            reason = &mut driver => return reason,
            batch = incoming.next() => match batch {
                Some(Ok(Batch::Received(envelopes))) => link.receive(envelopes),
                Some(Ok(Batch::Encoded(_))) => unreachable!("decoding makes received batches"),
                Some(Err(status)) => return status.message().to_owned(),
                None => return "the node ended the link".to_owned(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_their_bound_and_vary() {
        let (min, max) = (Duration::from_millis(10), Duration::from_secs(1));
        for failures in 1..100 {
            let longest = min.saturating_mul(1 << (failures - 1).min(20)).min(max);
            let pause = backoff(min, max, failures);
            assert!(pause <= longest && pause >= longest / 2, "{failures} failures: {pause:?}");
        }
        let pauses: std::collections::BTreeSet<_> = (0..20).map(|_| backoff(min, max, 5)).collect();
        assert!(pauses.len() > 1);
    }
}
