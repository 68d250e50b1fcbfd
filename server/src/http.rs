//! Health and metrics over HTTP.

use std::{
    future::Future,
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use executor::Engine;
use sharddb_executor as executor;
use tokio::net::TcpListener;

use crate::{Volume, exposition::Exposition};

/// What the HTTP address answers from.
pub(crate) struct Status {
    pub(crate) volume: Arc<Volume>,
    /// Set once the catalog is open.
    pub(crate) engine: OnceLock<Engine>,
    /// Clients are served.
    pub(crate) ready: AtomicBool,
}

impl Status {
    /// Why the server does not serve, if it does not.
    fn trouble(&self) -> Option<String> {
        if let Some(failure) = self.volume.failure() {
            return Some(format!("storage has failed: {failure}"));
        }
        (!self.ready.load(Ordering::Acquire)).then(|| "starting or stopping".to_owned())
    }
}

/// Serves until `stop` is ready.
pub(crate) async fn serve(
    listener: TcpListener,
    status: Arc<Status>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let routes = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(status);
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}

/// The process lives and its storage works.
async fn healthz(State(status): State<Arc<Status>>) -> impl IntoResponse {
    match status.volume.failure() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(failure) => (StatusCode::SERVICE_UNAVAILABLE, format!("storage has failed: {failure}\n")),
    }
}

/// Clients are served.
async fn readyz(State(status): State<Arc<Status>>) -> impl IntoResponse {
    match status.trouble() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
    }
}

/// Prometheus' text format.
async fn metrics(State(status): State<Arc<Status>>) -> impl IntoResponse {
    let mut exposition = Exposition::default();
    exposition.collect(&status.volume, status.engine.get());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], exposition.into_text())
}
