//! Connections to other nodes: TCP, TLS, HTTP/2, greeting.
//!
//! Everything that a connection needs to go on is one future, [`Driver`]: hyper's tasks run inside it instead of being
//! spawned. So a connection and the link on it are one task, and dropping the driver ends the connection.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, Connection, SendRequest},
    rt::Executor,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use proto::{
    NodeId,
    rpc::{Hello, hello_answer::Outcome},
};
use sharddb_proto as proto;
use tokio::net::TcpStream;
use tonic::{body::Body, codegen::Service};

use crate::{
    Security, Timing,
    generated::node_client::NodeClient,
    limits::{
        CONNECTION_WINDOW_BYTES, GREETING_BYTES_MAX, MESSAGE_BYTES_MAX, SEND_BYTES, STREAM_WINDOW_BYTES, STREAMS_MAX,
    },
    socket::Socket,
};

/// Requests name an authority, which nobody looks at.
const ORIGIN: &str = "http://node.sharddb";

/// Sends requests on a connection. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Channel(SendRequest<Body>);

impl Channel {
    /// The generated client, for messages of a node that was greeted.
    pub(crate) fn client(&self) -> NodeClient<Self> {
        NodeClient::with_origin(self.clone(), http::Uri::from_static(ORIGIN))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The generated client, for messages of a stranger.
    fn stranger(&self) -> NodeClient<Self> {
        NodeClient::with_origin(self.clone(), http::Uri::from_static(ORIGIN))
            .max_decoding_message_size(GREETING_BYTES_MAX)
    }
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, hyper::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.send_request(request).boxed()
    }
}

/// What a connection does by itself. Ends with the connection.
pub(crate) struct Driver {
    connection: Pin<Box<Connection<TokioIo<Socket>, Body, Inside>>>,
    tasks: FuturesUnordered<BoxFuture<'static, ()>>,
    inside: Inside,
}

/// Takes hyper's tasks for the driver.
#[derive(Clone, Default)]
struct Inside(Arc<Mutex<Arrivals>>);

#[derive(Default)]
struct Arrivals {
    tasks: Vec<BoxFuture<'static, ()>>,
    driver: Option<Waker>,
}

impl<F> Executor<F> for Inside
where
    F: Future + Send + 'static,
{
    fn execute(&self, task: F) {
        let mut arrivals = self.0.lock();
        arrivals.tasks.push(task.map(drop).boxed());
        let driver = arrivals.driver.take();
        drop(arrivals);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

impl Future for Driver {
    /// Why the connection ended.
    type Output = String;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<String> {
        let this = &mut *self;
        let ended = this.connection.as_mut().poll(context);
        let mut arrivals = this.inside.0.lock();
        this.tasks.extend(arrivals.tasks.drain(..));
        if !arrivals.driver.as_ref().is_some_and(|driver| driver.will_wake(context.waker())) {
            arrivals.driver = Some(context.waker().clone());
        }
        drop(arrivals);
        while let Poll::Ready(Some(())) = this.tasks.poll_next_unpin(context) {}
        ended.map(|ended| match ended {
            Ok(()) => "the node closed the connection".to_owned(),
            Err(error) => explain(&error),
        })
    }
}

/// The innermost reason, which names what happened.
fn explain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", explain(source)),
        None => error.to_string(),
    }
}

/// Makes a connection to one of the addresses that a name has.
pub(crate) async fn open(address: &str, security: &Security, timing: &Timing) -> Result<(Channel, Driver), String> {
    let addresses = tokio::net::lookup_host(address).await.map_err(|error| format!("{address}: {error}"))?;
    let mut reason = format!("{address}: the name has no address");
    for address in addresses {
        match open_at(address, security, timing).await {
            Ok(opened) => return Ok(opened),
            Err(failed) => reason = format!("{address}: {failed}"),
        }
    }
    Err(reason)
}

async fn open_at(address: SocketAddr, security: &Security, timing: &Timing) -> Result<(Channel, Driver), String> {
    if !security.allows(address.ip()) {
        return Err("without certificates only addresses of this machine are connected to".to_owned());
    }
    let tcp = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let socket = security.connect(tcp).await.map_err(|error| error.to_string())?;
    let inside = Inside::default();
    let mut builder = Builder::new(inside.clone());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES)
        // Rows of fragments that nobody reads any more still arrive for a while.
        .max_concurrent_reset_streams(STREAMS_MAX as usize)
        .max_local_error_reset_streams(None)
        .keep_alive_interval(timing.ping_after)
        .keep_alive_timeout(timing.ping_timeout)
        .keep_alive_while_idle(true);
    let (channel, connection) = builder.handshake(TokioIo::new(socket)).await.map_err(|error| explain(&error))?;
    let driver = Driver { connection: Box::pin(connection), tasks: FuturesUnordered::new(), inside };
    Ok((Channel(channel), driver))
}

/// Waits for an answer while the connection goes on.
pub(crate) async fn alongside<T>(
    driver: &mut Driver,
    answer: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<T, String> {
    tokio::select! {
        biased;
        answer = answer => answer.map_err(|status| status.message().to_owned()),
        reason = driver => Err(reason),
    }
}

/// Greets the node at the other end.
pub(crate) async fn greet(channel: &Channel, driver: &mut Driver, hello: Hello) -> Result<(), String> {
    let to = NodeId(hello.to);
    let mut client = channel.stranger();
    let answer = alongside(driver, client.hello(hello)).await?.into_inner();
    match answer.outcome {
        Some(Outcome::Welcome(welcome)) => {
            tracing::debug!(node = to.0, incarnation = welcome.incarnation, version = welcome.version, "connected");
            Ok(())
        }
        Some(Outcome::Refused(reason)) => Err(format!("refused: {reason}")),
        None => Err("the node answers in a way this version does not know".to_owned()),
    }
}

/// Sends the wish to join.
pub(crate) async fn ask_to_join(
    channel: &Channel,
    driver: &mut Driver,
    request: proto::rpc::JoinRequest,
) -> Result<proto::rpc::JoinAnswer, String> {
    let mut client = channel.stranger();
    Ok(alongside(driver, client.join(request)).await?.into_inner())
}
