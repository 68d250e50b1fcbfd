//! The accepting end of a connection: a stranger that greets and then may ask.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture, stream::BoxStream};
use hyper::{body::Incoming, server::conn::http2::Builder};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use proto::{
    NodeId, kv,
    raft::FetchSnapshot,
    rpc::{
        Cancel, Envelope, FragmentChunk, Hello, HelloAnswer, JoinAnswer, JoinRequest, SnapshotAnswer, envelope,
        hello_answer, join_answer, snapshot_answer,
    },
};
use raft::TransportError;
use sharddb_proto as proto;
use sharddb_raft as raft;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, body::Body, codegen::Service as _};

use crate::{
    codec::Batch,
    fragments,
    generated::node_server::{Node, NodeServer},
    limits::{
        CONNECTION_WINDOW_BYTES, GREETING_BYTES_MAX, MESSAGE_BYTES_MAX, SEND_BYTES, STREAM_WINDOW_BYTES, STREAMS_MAX,
    },
    link::within,
    link_server::{self, LinkServer},
    server::{Shared, Stranger},
};

/// Methods that strangers may call.
const GREETINGS: [&str; 2] = ["/sharddb.rpc.Node/Hello", "/sharddb.rpc.Node/Join"];

/// Serves a connection until it ends.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    tcp: TcpStream,
    closing: CancellationToken,
    stranger: Stranger,
) -> Result<(), String> {
    let timing = shared.nodes.process.timing;
    let session = Arc::new(Session {
        shared,
        closing,
        peer: OnceLock::new(),
        stranger: Mutex::new(Some(stranger)),
        joining: AtomicBool::new(false),
        linked: AtomicBool::new(false),
    });
    tokio::select! {
        served = talk(&session, tcp) => served,
        () = session.overdue(timing.greeting, timing.join) => Err("it did not greet in time".to_owned()),
    }
}

async fn talk(session: &Arc<Session>, tcp: TcpStream) -> Result<(), String> {
    let process = &session.shared.nodes.process;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let socket = process.security.accept(tcp).await.map_err(|error| error.to_string())?;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .max_send_buf_size(SEND_BYTES)
        // Readers of fragments that have enough leave in any number.
        .max_local_error_reset_streams(None)
        .max_pending_accept_reset_streams(STREAMS_MAX as usize)
        // The other side pings more often; this only finds those that vanished.
        .keep_alive_interval(process.timing.ping_after + process.timing.ping_timeout)
        .keep_alive_timeout(process.timing.ping_timeout);
    let door = Door::new(Arc::clone(session));
    builder.serve_connection(TokioIo::new(socket), door).await.map_err(|error| error.to_string())
}

/// One connection.
struct Session {
    shared: Arc<Shared>,
    closing: CancellationToken,
    /// Set by the greeting.
    peer: OnceLock<NodeId>,
    stranger: Mutex<Option<Stranger>>,
    joining: AtomicBool,
    linked: AtomicBool,
}

impl Session {
    /// Ends when the other side has had its time to say who it is.
    async fn overdue(&self, greeting: Duration, join: Duration) {
        tokio::time::sleep(greeting).await;
        if self.peer.get().is_none() && self.joining.load(Ordering::Relaxed) {
            tokio::time::sleep(join).await;
        }
        if self.peer.get().is_some() {
            std::future::pending::<()>().await;
        }
    }

    fn peer(&self) -> Result<NodeId, Status> {
        self.peer.get().copied().ok_or_else(|| Status::unauthenticated("the connection was not greeted"))
    }
}

/// Lets strangers only greet.
struct Door {
    session: Arc<Session>,
    strangers: NodeServer<Calls>,
    members: NodeServer<Calls>,
}

impl Door {
    fn new(session: Arc<Session>) -> Self {
        let server = NodeServer::new(Calls(Arc::clone(&session)));
        let strangers = server.clone().max_decoding_message_size(GREETING_BYTES_MAX);
        Self { session, strangers, members: server.max_decoding_message_size(MESSAGE_BYTES_MAX) }
    }
}

impl hyper::service::Service<http::Request<Incoming>> for Door {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        if GREETINGS.contains(&request.uri().path()) {
            return self.strangers.clone().call(request);
        }
        match self.session.peer() {
            Ok(_) => self.members.clone().call(request),
            Err(status) => std::future::ready(Ok(status.into_http())).boxed(),
        }
    }
}

/// The calls of one connection.
struct Calls(Arc<Session>);

#[tonic::async_trait]
impl Node for Calls {
    type LinkStream = LinkServer;
    type FragmentStream = BoxStream<'static, Result<FragmentChunk, Status>>;

    async fn hello(&self, request: Request<Hello>) -> Result<Response<HelloAnswer>, Status> {
        let (session, hello) = (&self.0, request.into_inner());
        let process = &session.shared.nodes.process;
        let node = NodeId(hello.node);
        if session.peer.get().is_some() {
            return Err(Status::failed_precondition("the connection was greeted already"));
        }
        let known = session.shared.nodes.knows(node);
        let outcome = match process.roster.admit(&process.identity, &hello, known, &session.closing) {
            Ok(welcome) => {
                // A second greeting at the same moment loses, and does no harm: it was as good.
                let _ = session.peer.set(node);
                session.stranger.lock().take();
                hello_answer::Outcome::Welcome(welcome)
            }
            Err(reason) => {
                process.roster.tell(&reason);
                hello_answer::Outcome::Refused(reason)
            }
        };
        Ok(Response::new(HelloAnswer { outcome: Some(outcome) }))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinAnswer>, Status> {
        let request = request.into_inner();
        if let Err(reason) = self.0.shared.nodes.process.identity.judge_wish(&request) {
            return Ok(Response::new(JoinAnswer { outcome: Some(join_answer::Outcome::Refused(reason)) }));
        }
        self.0.joining.store(true, Ordering::Relaxed);
        Ok(Response::new(self.0.shared.service.join(request).await))
    }

    async fn link(&self, request: Request<Streaming<Batch>>) -> Result<Response<LinkServer>, Status> {
        let from = self.0.peer()?;
        if self.0.linked.swap(true, Ordering::Relaxed) {
            return Err(Status::failed_precondition("the connection has a link already"));
        }
        let service = Arc::clone(&self.0.shared.service);
        Ok(Response::new(LinkServer::new(request.into_inner(), from, service)))
    }

    async fn call(&self, request: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        let from = self.0.peer()?;
        let envelope = request.into_inner();
        let Some(envelope::Body::Request(request)) = envelope.body else {
            return Err(Status::invalid_argument("an envelope that does not belong here"));
        };
        let work = AssertUnwindSafe(async { self.0.shared.service.request(from, request).await }).catch_unwind();
        let answer = within(Duration::from_millis(envelope.deadline_ms.into()), work).await;
        let answer = answer.ok_or_else(|| Status::deadline_exceeded("no answer in time"))?;
        Ok(Response::new(link_server::answer(envelope.id, link_server::done(answer.ok())).0))
    }

    async fn fragment(&self, request: Request<kv::Fragment>) -> Result<Response<Self::FragmentStream>, Status> {
        let from = self.0.peer()?;
        Ok(Response::new(fragments::encode(self.0.shared.service.fragment(from, request.into_inner()))))
    }

    async fn fetch_snapshot(&self, request: Request<FetchSnapshot>) -> Result<Response<SnapshotAnswer>, Status> {
        let from = self.0.peer()?;
        let outcome = match self.0.shared.service.fetch_snapshot(from, request.into_inner()).await {
            Ok(chunk) => snapshot_answer::Outcome::Chunk(chunk),
            Err(TransportError::Gone) => snapshot_answer::Outcome::Gone(Cancel {}),
            Err(error @ (TransportError::Failed(_) | TransportError::Unreachable(_))) => {
                snapshot_answer::Outcome::Failed(error.to_string())
            }
        };
        Ok(Response::new(SnapshotAnswer { outcome: Some(outcome) }))
    }
}
