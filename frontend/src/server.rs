//! The listener: accepts connections, gives each a task, ends them in order.

use std::{collections::HashMap, io, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use executor::Engine;
use futures::FutureExt;
use proto::{SqlError, SqlState};
use rustix::net::sockopt;
use sharddb_executor as executor;
use sharddb_proto as proto;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::AbortHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::AuthMode,
    connection::{Connection, End},
    control::{Order, Registry},
    metrics::metrics,
    socket::{Socket, Stream},
    startup::{self, Refusal},
    wire,
};

/// Time a client has from the first byte to its session, as PostgreSQL's authentication_timeout.
const STARTUP_TIME: Duration = Duration::from_secs(60);
/// Time for the last message to reach the client.
const FAREWELL_TIME: Duration = Duration::from_secs(2);
/// Sockets beyond `max_connections`: they are told that there are too many, or bring a cancel request.
const EXTRA_SOCKETS: usize = 256;
/// How often connections that are too busy to notice are looked at for their client being gone.
const MONITOR_INTERVAL: Duration = Duration::from_millis(500);
/// Silence after which a client is asked whether it is still there, the time between such questions, and their number:
/// one that is gone without a word holds its locks for two minutes at most.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(10), 6);
/// Pause when no socket can be accepted (file descriptors have run out), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Time that a cancelled statement has to end at shutdown.
const CANCEL_TIME: Duration = Duration::from_secs(5);

/// How clients are served.
#[derive(Clone, Debug)]
pub struct Options {
    /// Sessions at once.
    pub max_connections: usize,
    /// How clients prove who they are.
    pub auth: AuthMode,
    /// Certificate and key, to offer TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_connections: 5000, auth: AuthMode::Auto, tls: None }
    }
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) registry: Arc<Registry>,
    pub(crate) auth: AuthMode,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    max_connections: usize,
    /// The server stops: whoever has no session yet does not get one.
    stopping: CancellationToken,
}

/// A running listener.
pub struct Server {
    shared: Arc<Shared>,
    connections: TaskTracker,
    accepting: AbortHandle,
    monitoring: AbortHandle,
    address: SocketAddr,
}

impl Server {
    /// Serves the clients of a listener.
    pub fn start(engine: Engine, listener: TcpListener, options: Options) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let Options { max_connections, auth, tls } = options;
        let (registry, stopping) = Default::default();
        let shared = Arc::new(Shared { engine, registry, auth, tls, max_connections, stopping });
        let registry = Arc::clone(&shared.registry);
        shared.engine.set_signals(Box::new(move |pid, terminate| registry.signal(pid, terminate)));
        let connections = TaskTracker::new();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), connections.clone())).abort_handle();
        let monitoring = tokio::spawn(monitor(Arc::clone(&shared.registry))).abort_handle();
        Ok(Self { shared, connections, accepting, monitoring, address })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no new connections, idle sessions end, running statements have `grace` to finish and are cancelled then.
    pub async fn shutdown(self, grace: Duration) {
        self.accepting.abort();
        self.connections.close();
        self.shared.stopping.cancel();
        self.shared.registry.order_all(Order::Drain);
        if timeout(grace, self.connections.wait()).await.is_ok() {
            return;
        }
        self.shared.registry.order_all(Order::Terminate);
        if timeout(CANCEL_TIME, self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "connections did not end in time");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        self.monitoring.abort();
    }
}

async fn monitor(registry: Arc<Registry>) {
    let mut seen = HashMap::new();
    loop {
        tokio::time::sleep(MONITOR_INTERVAL).await;
        registry.end_lost(&mut seen);
    }
}

/// Sends small messages at once, and notices clients that vanish without a word.
fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (idle, interval, count) = KEEPALIVE;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, idle)?;
    sockopt::set_tcp_keepintvl(stream, interval)?;
    sockopt::set_tcp_keepcnt(stream, count)?;
    Ok(())
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, connections: TaskTracker) {
    let sockets =
        Arc::new(Semaphore::new(shared.max_connections.saturating_add(EXTRA_SOCKETS).min(Semaphore::MAX_PERMITS)));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&sockets).try_acquire_owned() else {
            metrics().connections_refused.add(1);
            continue;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            serve(&shared, stream, peer).await;
            drop(permit);
        });
    }
}

/// One connection from its first byte to its last.
async fn serve(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = set_options(&stream) {
        tracing::debug!(%error, "could not set a socket's options");
    }
    let socket = Socket::new(Stream::Plain(stream), metrics());
    let opened = shared.stopping.run_until_cancelled(Box::pin(open(shared, socket, peer)));
    let Some(Some(mut connection)) = opened.await else { return };
    // A bug that panics ends this connection and nothing else.
    let end = AssertUnwindSafe(connection.run()).catch_unwind().await;
    let farewell = match end {
        Ok(End::Gone) => None,
        Ok(End::Fatal(error)) => Some(error),
        Err(_) => {
            metrics().panics.add(1);
            tracing::error!(%peer, "a connection's task panicked");
            Some(SqlError::internal("a bug in the server ended the connection"))
        }
    };
    let (mut session, socket) = connection.into_parts();
    // Frees locks before anything else: the client may take its time.
    if AssertUnwindSafe(session.close()).catch_unwind().await.is_err() {
        metrics().panics.add(1);
        tracing::error!(%peer, "closing a session panicked");
    }
    if let Some(error) = farewell {
        say_farewell(socket, &error).await;
    }
}

/// Negotiates, authenticates and begins the session, all within a time limit.
async fn open(shared: &Arc<Shared>, socket: Socket, peer: SocketAddr) -> Option<Connection> {
    let deadline = tokio::time::Instant::now() + STARTUP_TIME;
    let negotiated = tokio::time::timeout_at(deadline, startup::negotiate(socket, shared)).await;
    let Ok(Ok(Some((mut socket, parameters)))) = negotiated else { return None };
    let refusal = match parameters {
        Err(error) => Refusal::Sql(error),
        Ok(parameters) => match shared.registry.enter(shared.max_connections, socket.look()) {
            None => Refusal::Sql(SqlError::new(SqlState::TooManyConnections, "sorry, too many clients already")),
            Some(entry) => {
                let admitted = startup::admit(&mut socket, shared, &entry.control, peer, parameters);
                match tokio::time::timeout_at(deadline, admitted).await {
                    Ok(Ok(session)) => return Some(Connection::new(socket, session, entry)),
                    Ok(Err(refusal)) => refusal,
                    Err(_) => return None,
                }
            }
        },
    };
    metrics().connections_refused.add(1);
    match refusal {
        Refusal::Sql(error) => say_farewell(socket, &error).await,
        Refusal::Io(error) => tracing::debug!(%peer, %error, "a client left before its session began"),
    }
    None
}

async fn say_farewell(mut socket: Socket, error: &SqlError) {
    wire::error_response(&mut socket.output, "FATAL", error);
    let listen = error.state() == SqlState::ProtocolViolation;
    let farewell = async {
        if socket.flush().await.is_ok() {
            socket.close(listen).await;
        }
    };
    // Who does not read the last message in time does not get it.
    let _ = timeout(FAREWELL_TIME, farewell).await;
}
