//! The listener for other nodes.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Nodes, ServerError, Service, connection, limits::STRANGERS_MAX};

/// Pause after a connection could not be accepted, perhaps for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens for other nodes until it is dropped or stopped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Lets the members of the cluster that `nodes` knows call `service`.
    pub fn start(listener: TcpListener, nodes: Nodes, service: Arc<dyn Service>) -> Result<Self, ServerError> {
        let address = listener.local_addr()?;
        if !nodes.process.security.allows(address.ip()) {
            return Err(ServerError::Open(address.ip()));
        }
        let stop = CancellationToken::new();
        let accepting = tokio::spawn(accept(listener, Arc::new(Shared { nodes, service }), stop.clone()));
        Ok(Self { address, stop, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection and waits for their ends.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // It only fails by a panic, which has been told.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What every connection needs.
pub(crate) struct Shared {
    pub(crate) nodes: Nodes,
    pub(crate) service: Arc<dyn Service>,
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let (strangers, connections) = (Arc::new(Strangers::default()), TaskTracker::new());
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((tcp, address)) => {
                let closing = stop.child_token();
                let stranger = strangers.enter(&closing);
                connections.spawn(serve(Arc::clone(&shared), tcp, address, closing, stranger));
            }
            Err(error) => {
                tracing::warn!("could not accept a connection of another node: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn serve(
    shared: Arc<Shared>,
    tcp: TcpStream,
    address: SocketAddr,
    closing: CancellationToken,
    stranger: Stranger,
) {
    let _ended = closing.clone().drop_guard();
    let served = connection::serve(shared, tcp, closing.clone(), stranger);
    match closing.run_until_cancelled(served).await {
        Some(Ok(())) => tracing::debug!(%address, "a connection ended"),
        Some(Err(reason)) => tracing::debug!(%address, "a connection was closed: {reason}"),
        None => tracing::debug!(%address, "a connection was closed from here"),
    }
}

/// Connections that have not been greeted. When there are too many the oldest goes: a node greets at once.
#[derive(Debug, Default)]
struct Strangers {
    waiting: Mutex<BTreeMap<u64, CancellationToken>>,
    next: AtomicU64,
}

impl Strangers {
    fn enter(self: &Arc<Self>, closing: &CancellationToken) -> Stranger {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.waiting.lock();
        if waiting.len() >= STRANGERS_MAX
            && let Some((_, oldest)) = waiting.pop_first()
        {
            oldest.cancel();
        }
        waiting.insert(number, closing.clone());
        Stranger { number, strangers: Arc::clone(self) }
    }
}

/// A connection that has not been greeted; dropped once it is.
#[derive(Debug)]
pub(crate) struct Stranger {
    number: u64,
    strangers: Arc<Strangers>,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.strangers.waiting.lock().remove(&self.number);
    }
}
