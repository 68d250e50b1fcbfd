//! Requests of one group to its replicas on other nodes, and their answers.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use proto::raft::{Message, message::Body};
use sharddb_proto as proto;
use tokio::{sync::oneshot, time::timeout};

use crate::{host::Host, log::GroupId};

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lost {
    /// Nothing came in time: the request or its answer was lost, or the node is slow.
    #[error("no answer came in time")]
    Late,
    /// The node said that it cannot carry the request out.
    #[error("the node refused")]
    Refused,
}

/// What a group says to other nodes.
pub(crate) struct Exchange {
    group: GroupId,
    host: Arc<Host>,
    next: AtomicU64,
    /// Who waits for the answer to which request, and from which node.
    waiting: Mutex<HashMap<u64, (u64, oneshot::Sender<Body>)>>,
}

impl Exchange {
    /// `first` is random, so that no answer to a former process's request is taken for one to this one's.
    pub(crate) fn new(group: GroupId, host: Arc<Host>, first: u64) -> Self {
        Self { group, host, next: AtomicU64::new(first), waiting: Mutex::default() }
    }

    /// Sends something that needs no answer, or is one.
    pub(crate) fn tell(&self, node: u64, id: u64, body: Body) {
        self.host.send(node, Message { group: self.group.0, id, body: Some(body) });
    }

    /// Sends a request at once, and waits for its answer when polled.
    pub(crate) fn ask<E: AsRef<Self>>(
        exchange: E,
        node: u64,
        body: Body,
        wait: Duration,
    ) -> impl Future<Output = Result<Body, Lost>> {
        let this = exchange.as_ref();
        // 0 says that no answer is awaited.
        let id = this.next.fetch_add(1, Ordering::Relaxed).max(1);
        let (answer, answered) = oneshot::channel();
        this.waiting.lock().insert(id, (node, answer));
        this.tell(node, id, body);
        let waits = Waits { exchange, id };
        async move {
            let answer = timeout(wait, answered).await;
            drop(waits);
            match answer {
                Ok(Ok(Body::Refused(_)) | Err(_)) => Err(Lost::Refused),
                Ok(Ok(body)) => Ok(body),
                Err(_) => Err(Lost::Late),
            }
        }
    }

    /// Hands an answer to whoever waits for it, if somebody still does.
    pub(crate) fn answer(&self, from: u64, id: u64, body: Body) {
        let mut waiting = self.waiting.lock();
        if waiting.get(&id).is_some_and(|(asked, _)| *asked == from)
            && let Some((_, answer)) = waiting.remove(&id)
        {
            // Whoever waited has just given up.
            let _gone = answer.send(body);
        }
    }
}

/// Forgets a request once nobody waits for its answer.
struct Waits<E: AsRef<Exchange>> {
    exchange: E,
    id: u64,
}

impl<E: AsRef<Exchange>> Drop for Waits<E> {
    fn drop(&mut self) {
        self.exchange.as_ref().waiting.lock().remove(&self.id);
    }
}
