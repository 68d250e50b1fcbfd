//! A network that delays, loses and cuts, from a seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
    time::Duration,
};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use sharddb_proto::raft::{FetchSnapshot, Message, SnapshotChunk, message::Body};
use sharddb_raft::{RaftHost, Transport, TransportError};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

type Queue = mpsc::UnboundedSender<(Instant, Weak<RaftHost>, Message)>;

struct State {
    random: StdRng,
    hosts: BTreeMap<u64, Weak<RaftHost>>,
    /// One way from a node to another that is cut.
    cut: BTreeSet<(u64, u64)>,
    /// Messages lost in a thousand.
    loss: u32,
    delay_max: Duration,
    queues: BTreeMap<(u64, u64), Queue>,
    /// Messages sent, by kind.
    sent: BTreeMap<&'static str, u64>,
    /// Bytes of snapshots fetched.
    fetched: u64,
}

/// The network of a cluster.
pub(crate) struct Network {
    state: Mutex<State>,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let state = State {
            random: StdRng::seed_from_u64(seed),
            hosts: BTreeMap::new(),
            cut: BTreeSet::new(),
            loss: 0,
            delay_max: Duration::from_millis(2),
            queues: BTreeMap::new(),
            sent: BTreeMap::new(),
            fetched: 0,
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    pub(crate) fn endpoint(self: &Arc<Self>, node: u64) -> Arc<dyn Transport> {
        Arc::new(Endpoint { node, network: Arc::clone(self) })
    }

    pub(crate) fn plug_in(&self, node: u64, host: &Arc<RaftHost>) {
        self.state.lock().hosts.insert(node, Arc::downgrade(host));
    }

    pub(crate) fn pull_out(&self, node: u64) {
        self.state.lock().hosts.remove(&node);
    }

    /// Cuts the way from one node to another, or mends it.
    pub(crate) fn cut(&self, from: u64, to: u64, cut: bool) {
        let mut state = self.state.lock();
        if cut {
            state.cut.insert((from, to));
        } else {
            state.cut.remove(&(from, to));
        }
    }

    /// Cuts a node off from these others, both ways.
    pub(crate) fn isolate(&self, node: u64, others: impl IntoIterator<Item = u64>) {
        for other in others {
            self.cut(node, other, true);
            self.cut(other, node, true);
        }
    }

    pub(crate) fn mend(&self) {
        self.state.lock().cut.clear();
    }

    pub(crate) fn misbehave(&self, loss: u32, delay_max: Duration) {
        let mut state = self.state.lock();
        (state.loss, state.delay_max) = (loss, delay_max);
    }

    /// Messages sent so far, by kind.
    pub(crate) fn sent(&self) -> BTreeMap<&'static str, u64> {
        self.state.lock().sent.clone()
    }

    pub(crate) fn fetched(&self) -> u64 {
        self.state.lock().fetched
    }

    fn random(&self, below: u32) -> u32 {
        self.state.lock().random.random_range(0..below)
    }

    /// Whether a message gets through, and how long it takes.
    fn transit(&self, from: u64, to: u64) -> Option<(Weak<RaftHost>, Duration)> {
        let mut state = self.state.lock();
        let host = state.hosts.get(&to)?.clone();
        let lost = state.random.random_range(0..1000) < state.loss;
        let (delay_max, cut) = (state.delay_max.as_micros() as u64, state.cut.contains(&(from, to)));
        let delay = Duration::from_micros(state.random.random_range(0..=delay_max));
        (!lost && !cut && state.hosts.contains_key(&from)).then_some((host, delay))
    }
}

struct Endpoint {
    node: u64,
    network: Arc<Network>,
}

impl Transport for Endpoint {
    fn send(&self, to: u64, message: Message) {
        *self.network.state.lock().sent.entry(kind(&message)).or_default() += 1;
        let Some((host, delay)) = self.network.transit(self.node, to) else { return };
        let mut state = self.network.state.lock();
        let from = self.node;
        let queue = state.queues.entry((from, to)).or_insert_with(|| {
            let (queue, waiting) = mpsc::unbounded_channel();
            tokio::spawn(deliver(from, waiting));
            queue
        });
        queue.send((Instant::now() + delay, host, message)).expect("messages are delivered");
    }

    fn fetch(&self, to: u64, request: FetchSnapshot) -> BoxFuture<'_, Result<SnapshotChunk, TransportError>> {
        let from = self.node;
        Box::pin(async move {
            let unreachable = || TransportError::Unreachable("it is cut off".to_owned());
            let (host, delay) = self.network.transit(from, to).ok_or_else(unreachable)?;
            sleep(delay).await;
            let host = host.upgrade().ok_or_else(unreachable)?;
            let chunk = host.serve_snapshot(request).await?;
            let (_, delay) = self.network.transit(to, from).ok_or_else(unreachable)?;
            sleep(delay).await;
            self.network.state.lock().fetched += chunk.data.len() as u64;
            Ok(chunk)
        })
    }
}

/// Delivers the messages of one pair of nodes in order.
async fn deliver(from: u64, mut waiting: mpsc::UnboundedReceiver<(Instant, Weak<RaftHost>, Message)>) {
    while let Some((at, host, message)) = waiting.recv().await {
        sleep_until(at).await;
        if let Some(host) = host.upgrade() {
            host.receive(from, message);
        }
    }
}

fn kind(message: &Message) -> &'static str {
    match message.body.as_ref().expect("messages have bodies") {
        Body::Append(_) => "append",
        Body::AppendAnswer(_) => "append answer",
        Body::Vote(_) => "vote",
        Body::VoteAnswer(_) => "vote answer",
        Body::PreVote(_) => "pre-vote",
        Body::PreVoteAnswer(_) => "pre-vote answer",
        Body::Transfer(_) => "transfer",
        Body::TransferAnswer(_) => "transfer answer",
        Body::SnapshotOffer(_) => "snapshot offer",
        Body::SnapshotAnswer(_) => "snapshot answer",
        Body::Refused(_) => "refused",
        Body::Heartbeat(_) => "heartbeat",
        Body::HeartbeatAnswer(_) => "heartbeat answer",
        Body::LeaderQuestion(_) => "leader question",
        Body::Resigned(_) => "resigned",
    }
}

impl Network {
    /// One of so many, by chance.
    pub(crate) fn choose(&self, count: usize) -> usize {
        self.random(u32::try_from(count).expect("a choice is small")) as usize
    }
}
