//! The meta group as any node uses it, member or not.
//!
//! Follows the leader: a member that does not lead names who does. Every call may be repeated, so one that brought no
//! answer is. Where the leader is in this process it is called directly, and timestamps cost no wait.
//!
//! Timestamps of this process are asked for together ([`batch`]); the range map is kept, and only what changed is asked for.

mod batch;
mod calls;
mod client;
mod reports;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use kv::BoxFuture;
use parking_lot::RwLock;
use proto::{
    CatalogVersion, SqlState, Timestamp,
    meta::{Answer, Call, answer, call},
};
use sharddb_kv as kv;
use sharddb_proto as proto;
use tokio::time::{Instant, timeout};

use crate::{Meta, RangeTable};
use batch::Batch;
pub use reports::{Vitals, Waits};

/// How long a call is repeated. An election takes two seconds; whoever waits longer would rather know.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// How long one member may take. It answers in milliseconds; one that hangs is not waited for.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(2);
/// First pause between attempts; doubles.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
/// Longest pause: a new leader is found this much later than it could be.
const BACKOFF_MAX: Duration = Duration::from_millis(160);
/// Hints followed without a pause. Two members that name each other must not keep a caller busy.
const HINTS_MAX: u32 = 3;

/// Carries a call to a member of the meta group on another node.
pub trait MetaTransport: Send + Sync + 'static {
    /// Brings the answer, or why there is none within `patience`: the call may then have been carried out or not. Dropping
    /// the future gives up waiting.
    fn call(&self, node: u64, call: Call, patience: Duration) -> BoxFuture<'_, Result<Answer, String>>;
}

/// The meta group as a node reaches it. Cheap to clone.
#[derive(Clone)]
pub struct RemoteMeta {
    inner: Arc<Inner>,
}

struct Inner {
    node: u64,
    transport: Arc<dyn MetaTransport>,
    /// The member in this process.
    local: ArcSwapOption<Meta>,
    members: RwLock<Vec<u64>>,
    /// The member that answered last; 0 is unknown.
    leader: AtomicU64,
    /// The newest timestamp known to be handed out.
    latest: AtomicU64,
    /// The newest catalog version heard of.
    catalog_version: AtomicU64,
    batch: Batch,
    /// The range map as read last. Held while it is read, so that everybody who asks meanwhile shares what changed.
    ranges: tokio::sync::Mutex<RangeTable>,
}

/// What an attempt came to without an answer.
enum Missed {
    /// Asking again would not help.
    Failed(kv::Error),
    /// Another member, or the same one later, may answer.
    Again {
        reason: String,
        /// The leader is known by now.
        hinted: bool,
    },
}

impl RemoteMeta {
    /// The meta group as node `node` reaches it. `members` are the nodes to ask first.
    pub fn new(node: u64, local: Option<Meta>, members: Vec<u64>, transport: Arc<dyn MetaTransport>) -> Self {
        let local = ArcSwapOption::from(local.map(Arc::new));
        let members = RwLock::new(members);
        let (leader, latest, catalog_version, batch, ranges) = Default::default();
        let inner = Inner { node, transport, local, members, leader, latest, catalog_version, batch, ranges };
        Self { inner: Arc::new(inner) }
    }

    /// Begins or ceases to have a member in this process.
    pub fn set_local(&self, local: Option<Meta>) {
        self.inner.local.store(local.map(Arc::new));
    }

    /// The member in this process.
    pub fn local(&self) -> Option<Arc<Meta>> {
        self.inner.local.load_full()
    }

    /// Notes which nodes have members.
    pub fn set_members(&self, members: Vec<u64>) {
        if !members.is_empty() {
            *self.inner.members.write() = members;
        }
    }

    /// The newest timestamp that is known to be handed out, by whomever: every later one is above it.
    pub fn latest_seen(&self) -> Timestamp {
        let local = self.inner.local.load().as_ref().and_then(|meta| meta.last_timestamp()).map_or(0, |last| last.0);
        Timestamp(self.inner.latest.load(Ordering::SeqCst).max(local))
    }

    /// Whether all timestamps handed out from now on are known to be at or above `timestamp`.
    pub fn has_reached(&self, timestamp: Timestamp) -> bool {
        self.latest_seen() >= timestamp.prev()
    }

    /// A recent timestamp without waiting: a new one if the leader is in this process, else the newest heard of.
    pub fn fresh(&self) -> Timestamp {
        self.local_timestamp(Timestamp::ZERO).unwrap_or_else(|| self.latest_seen())
    }

    /// Takes note of a timestamp that was handed out to another process.
    pub fn note_timestamp(&self, timestamp: Timestamp) {
        if timestamp.0 > self.inner.latest.load(Ordering::Relaxed) {
            self.inner.latest.fetch_max(timestamp.0, Ordering::SeqCst);
        }
    }

    /// Takes note of a catalog version that another process has heard of.
    pub fn note_catalog(&self, version: CatalogVersion) {
        if version > CatalogVersion(self.inner.catalog_version.load(Ordering::Relaxed)) {
            self.inner.catalog_version.fetch_max(version.0, Ordering::SeqCst);
        }
    }

    /// The newest catalog version this process has heard of.
    pub fn newest_catalog_version(&self) -> CatalogVersion {
        let local = self.inner.local.load().as_ref().map_or(0, |meta| meta.catalog_version().0);
        CatalogVersion(self.inner.catalog_version.load(Ordering::SeqCst).max(local))
    }

    /// Asks the leader, whoever that is, until the deadline has passed.
    pub async fn call(&self, body: call::Body) -> kv::Result<answer::Body> {
        self.call_until(body, Instant::now() + CALL_DEADLINE).await
    }

    async fn call_until(&self, body: call::Body, deadline: Instant) -> kv::Result<answer::Body> {
        let mut tries = Tries::default();
        loop {
            let reason = match self.attempt(&body, tries.count).await {
                Ok(answer) => return Ok(answer),
                Err(Missed::Failed(error)) => return Err(error),
                Err(Missed::Again { reason, hinted }) => {
                    tries.note(hinted);
                    reason
                }
            };
            if Instant::now() + tries.pause() >= deadline {
                return Err(kv::Error::Unavailable { reason: format!("the meta group does not answer: {reason}") });
            }
            tokio::time::sleep(tries.pause()).await;
        }
    }

    /// Asks one member.
    async fn attempt(&self, body: &call::Body, tries: u32) -> Result<answer::Body, Missed> {
        let again = |reason: String| Missed::Again { reason, hinted: false };
        let target = self.target(tries).ok_or_else(|| again("no member is known".to_owned()))?;
        let outcome = self.ask(target, Call { body: Some(body.clone()) }).await;
        let answer = outcome.map_err(|reason| {
            self.forget_leader(target);
            again(format!("node {target}: {reason}"))
        })?;
        match answer.body {
            Some(answer::Body::NotLeader(hint)) => {
                self.forget_leader(target);
                let hinted = hint.leader != 0 && hint.leader != target;
                if hinted {
                    self.inner.leader.store(hint.leader, Ordering::SeqCst);
                }
                Err(Missed::Again { reason: format!("node {target} does not lead it"), hinted })
            }
            Some(answer::Body::Refused(refused)) => Err(Missed::Failed(kv::Error::Refused {
                state: SqlState::from_code(&refused.sqlstate).unwrap_or(SqlState::InternalError),
                message: refused.message,
            })),
            Some(answer) => {
                self.inner.leader.store(target, Ordering::SeqCst);
                Ok(answer)
            }
            None => Err(Missed::Failed(kv::Error::Internal("an empty answer of the meta group".to_owned()))),
        }
    }

    /// Hands a call to a member.
    async fn ask(&self, target: u64, call: Call) -> Result<Answer, String> {
        let patience = ATTEMPT_DEADLINE + waits(&call);
        let answer = async {
            match self.local().filter(|_| target == self.inner.node) {
                Some(local) => Ok(local.call(call).await),
                None => self.inner.transport.call(target, call, patience).await,
            }
        };
        timeout(patience, answer).await.unwrap_or_else(|_| Err("it took too long".to_owned()))
    }

    /// The member to ask: the leader where it is known, else each in turn.
    fn target(&self, tries: u32) -> Option<u64> {
        let local = self.inner.local.load();
        if local.as_ref().is_some_and(|meta| meta.leads()) {
            return Some(self.inner.node);
        }
        let known = Some(self.inner.leader.load(Ordering::SeqCst)).filter(|leader| *leader != 0);
        let heard = || local.as_ref()?.leader().filter(|leader| *leader != self.inner.node && tries == 0);
        known.or_else(heard).or_else(|| {
            let members = self.inner.members.read();
            members.get(tries as usize % members.len().max(1)).copied()
        })
    }

    fn forget_leader(&self, node: u64) {
        // Somebody may have found another one meanwhile.
        let _newer = self.inner.leader.compare_exchange(node, 0, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// How long a call asks its answerer to wait.
fn waits(call: &Call) -> Duration {
    match &call.body {
        Some(call::Body::Ranges(read)) => Duration::from_millis(read.wait_ms.into()),
        _ => Duration::ZERO,
    }
}

/// Attempts of one call.
#[derive(Default)]
struct Tries {
    count: u32,
    hints: u32,
    pause: Duration,
}

impl Tries {
    fn note(&mut self, hinted: bool) {
        self.count += 1;
        if hinted && self.hints < HINTS_MAX {
            self.hints += 1;
            self.pause = Duration::ZERO;
            return;
        }
        self.hints = 0;
        self.pause = (self.pause * 2).clamp(BACKOFF_MIN, BACKOFF_MAX);
    }

    fn pause(&self) -> Duration {
        self.pause
    }
}
