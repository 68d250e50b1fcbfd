//! The network between nodes: it delays, loses, reorders and cuts, from a seed.
//!
//! Messages of consensus of one pair of nodes come in order, mostly; calls overtake them and each other. A cut is noticed
//! within a second by whoever waits for an answer, as connections with pings notice it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use proto::{NodeId, raft::Message};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sharddb_node::Hub;
use sharddb_proto as proto;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{describe, trace::Trace};

/// Delay of a network that does not misbehave.
const DELAY_MAX: Duration = Duration::from_millis(2);
/// How long it takes until somebody notices that a connection is dead.
const SILENCE_MAX: Duration = Duration::from_millis(900);
/// A node that was heard of within this time is connected.
const CONNECTED: Duration = Duration::from_secs(1);
/// One message of consensus in so many overtakes others while the network misbehaves.
const OVERTAKING: u32 = 20;

/// A process that can be reached.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) node: u64,
    pub(crate) incarnation: u64,
    pub(crate) hub: Hub,
    /// Ends with the process.
    pub(crate) life: CancellationToken,
}

struct Delivery {
    at: Instant,
    incarnation: u64,
    port: Port,
    message: Message,
}

struct State {
    random: StdRng,
    ports: BTreeMap<u64, Port>,
    /// Ways from a node to another that are cut.
    cut: BTreeSet<(u64, u64)>,
    /// Messages lost in a thousand.
    loss: u32,
    delay_max: Duration,
    queues: BTreeMap<(u64, u64), mpsc::UnboundedSender<Delivery>>,
    /// When a node heard of another, and of which life.
    heard: BTreeMap<(u64, u64), (u64, Instant)>,
}

/// The network of a cluster. Clones share it.
#[derive(Clone)]
pub(crate) struct Network {
    state: Arc<Mutex<State>>,
    pub(crate) trace: Trace,
}

/// What becomes of a message.
enum Fate {
    /// Nobody listens there.
    Refused,
    /// It never comes.
    Lost,
    Arrives(Duration, Port),
}

/// Why a call has no answer.
pub(crate) enum Lost {
    /// It was not carried out.
    Unreachable,
    /// It may have been.
    Ambiguous,
}

impl Network {
    pub(crate) fn new(seed: u64, trace: Trace) -> Self {
        let (ports, cut, queues, heard) = Default::default();
        let random = StdRng::seed_from_u64(seed);
        let state = State { random, ports, cut, loss: 0, delay_max: DELAY_MAX, queues, heard };
        Self { state: Arc::new(Mutex::new(state)), trace }
    }

    pub(crate) fn plug_in(&self, port: Port) {
        self.state.lock().ports.insert(port.node, port);
    }

    pub(crate) fn pull_out(&self, node: u64) {
        self.state.lock().ports.remove(&node);
    }

    /// Cuts the way from one node to another.
    pub(crate) fn cut(&self, from: u64, to: u64) {
        self.state.lock().cut.insert((from, to));
    }

    /// Mends every cut.
    pub(crate) fn mend(&self) {
        self.state.lock().cut.clear();
    }

    /// Loses so many messages in a thousand, and delays the others.
    pub(crate) fn misbehave(&self, loss: u32, delay_max: Duration) {
        let mut state = self.state.lock();
        (state.loss, state.delay_max) = (loss, delay_max);
    }

    /// Behaves again.
    pub(crate) fn behave(&self) {
        self.misbehave(0, DELAY_MAX);
    }

    /// The life of a node that another one heard of last, and whether they are connected.
    pub(crate) fn heard_of(&self, hearer: u64, node: u64) -> Option<(u64, bool)> {
        let state = self.state.lock();
        let (incarnation, at) = state.heard.get(&(hearer, node))?;
        Some((*incarnation, at.elapsed() < CONNECTED))
    }

    fn hear(&self, hearer: u64, node: u64, incarnation: u64) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let heard = state.heard.entry((hearer, node)).or_insert((incarnation, now));
        *heard = (heard.0.max(incarnation), now);
    }

    fn fate(&self, from: u64, to: u64) -> Fate {
        let mut state = self.state.lock();
        let delay = state.delay();
        let lost = state.random.random_range(0..1000) < state.loss;
        let Some(port) = state.ports.get(&to).cloned() else { return Fate::Refused };
        if lost || state.cut.contains(&(from, to)) { Fate::Lost } else { Fate::Arrives(delay, port) }
    }

    /// How long an answer takes; `None` if it is lost.
    fn way_back(&self, from: u64, to: u64) -> Option<Duration> {
        let mut state = self.state.lock();
        let delay = state.delay();
        let lost = state.random.random_range(0..1000) < state.loss;
        (!lost && !state.cut.contains(&(from, to)) && !state.cut.contains(&(to, from))).then_some(delay)
    }

    /// Whether nothing is heard of a node any more, or it hears nothing.
    fn is_cut(&self, one: u64, other: u64) -> bool {
        let state = self.state.lock();
        state.cut.contains(&(one, other)) || state.cut.contains(&(other, one))
    }

    fn chance(&self) -> bool {
        self.state.lock().random.random()
    }

    /// Sends a message of consensus.
    pub(crate) fn send(&self, from: u64, incarnation: u64, to: u64, message: Message) {
        let what = describe::message(&message);
        match self.fate(from, to) {
            Fate::Refused => {}
            Fate::Lost => self.trace.note(format_args!("{from}>{to} lost {what}")),
            Fate::Arrives(delay, port) => {
                self.trace.note(format_args!("{from}>{to} {what}"));
                let delivery = Delivery { at: Instant::now() + delay, incarnation, port, message };
                let mut state = self.state.lock();
                if state.delay_max > DELAY_MAX && state.random.random_ratio(1, OVERTAKING) {
                    drop(state);
                    tokio::spawn(self.clone().deliver(from, delivery));
                    return;
                }
                let queue = state.queues.entry((from, to)).or_insert_with(|| {
                    let (queue, waiting) = mpsc::unbounded_channel();
                    tokio::spawn(self.clone().deliver_in_order(from, waiting));
                    queue
                });
                // The task ends with the simulation only.
                let _ended = queue.send(delivery);
            }
        }
    }

    async fn deliver_in_order(self, from: u64, mut waiting: mpsc::UnboundedReceiver<Delivery>) {
        while let Some(delivery) = waiting.recv().await {
            self.clone().deliver(from, delivery).await;
        }
    }

    async fn deliver(self, from: u64, Delivery { at, incarnation, port, message }: Delivery) {
        sleep_until(at).await;
        if !port.life.is_cancelled() {
            self.hear(port.node, from, incarnation);
            port.hub.raft(NodeId(from), message);
        }
    }

    /// Has a call carried out at another node.
    pub(crate) async fn call<F: Future>(
        &self,
        (from, incarnation): (u64, u64),
        to: u64,
        what: &str,
        work: impl FnOnce(Hub) -> F,
    ) -> Result<F::Output, Lost> {
        let (delay, port) = match self.fate(from, to) {
            Fate::Arrives(delay, port) if !self.is_cut(from, to) => (delay, port),
            Fate::Refused => {
                sleep(DELAY_MAX).await;
                return Err(Lost::Unreachable);
            }
            Fate::Lost | Fate::Arrives(..) => {
                self.trace.note(format_args!("{from}>{to} lost {what}"));
                // With a connection it is sent; without one it is not.
                let sent = self.chance();
                sleep(SILENCE_MAX).await;
                return Err(if sent { Lost::Ambiguous } else { Lost::Unreachable });
            }
        };
        self.trace.note(format_args!("{from}>{to} {what}"));
        sleep(delay).await;
        self.hear(to, from, incarnation);
        let answer = tokio::select! {
            biased;
            () = port.life.cancelled() => None,
            () = self.silence(from, to) => None,
            answer = work(port.hub.clone()) => Some(answer),
        };
        let back = match (answer, self.way_back(to, from)) {
            (Some(answer), Some(delay)) => Some((answer, delay)),
            (Some(_), None) => {
                sleep(SILENCE_MAX).await;
                None
            }
            (None, _) => None,
        };
        let Some((answer, delay)) = back else {
            self.trace.note(format_args!("{from}>{to} no answer to {what}"));
            return Err(Lost::Ambiguous);
        };
        sleep(delay).await;
        self.hear(from, to, port.incarnation);
        self.trace.note(format_args!("{from}>{to} answered {what}"));
        Ok(answer)
    }

    /// Returns once two nodes have been cut off from each other for a moment.
    async fn silence(&self, from: u64, to: u64) {
        let mut cut = false;
        loop {
            sleep(SILENCE_MAX).await;
            if std::mem::replace(&mut cut, self.is_cut(from, to)) && cut {
                return;
            }
        }
    }
}

impl State {
    fn delay(&mut self) -> Duration {
        let max = self.delay_max.as_micros() as u64;
        // Mostly short, sometimes long.
        let bound = if self.random.random_ratio(1, 8) { max } else { max / 8 };
        Duration::from_micros(self.random.random_range(50..=bound.max(100)))
    }
}
