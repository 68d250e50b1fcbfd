//! The client: shared by every session of a process.

use std::{sync::Arc, time::Duration};

use arc_swap::Guard;
use bytes::Bytes;
use proto::{
    CatalogVersion, Coordinator, NodeId, Timestamp, TxnId,
    kv::{self, failure, request, response},
};
use sharddb_proto as proto;

use crate::{
    Error, MetaClient, RangeMap, Result, Route, Transport, Txn, TxnOptions,
    holdings::Running,
    past::Past,
    retry::{Attempts, Stale},
    router::Router,
    snapshots::Snapshots,
};

/// How long a change of the catalog waits for other nodes to hear of it.
const ANNOUNCE_TIME_MAX: Duration = Duration::from_millis(500);

/// The transactional client of one process. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) meta: Arc<dyn MetaClient>,
    pub(crate) router: Router,
    pub(crate) snapshots: Snapshots,
    pub(crate) coordinator: Coordinator,
    pub(crate) running: Running,
    pub(crate) past: Past,
    /// Commits being resolved in the background: a bound on how far resolving may fall behind.
    pub(crate) resolving: Arc<tokio::sync::Semaphore>,
}

/// Whether a failed attempt may be routed anew.
pub(crate) enum Routed<T> {
    Done(T),
    /// The range map was old or the leader is elsewhere; regroup and try again.
    Stale(Stale),
}

impl Client {
    /// Reads the range map and makes a client whose transactions this coordinator owns.
    pub async fn open(
        transport: Arc<dyn Transport>,
        meta: Arc<dyn MetaClient>,
        coordinator: Coordinator,
    ) -> Result<Self> {
        let router = Router::open(meta.as_ref()).await?;
        let resolving = Arc::new(tokio::sync::Semaphore::new(crate::commit::RESOLVING_MAX));
        Ok(Self {
            inner: Arc::new(Inner {
                transport,
                meta,
                router,
                snapshots: Snapshots::default(),
                coordinator,
                running: Running::default(),
                past: Past::default(),
                resolving,
            }),
        })
    }

    /// Starts a transaction. Nothing is sent until it reads, locks or commits.
    pub fn begin(&self, options: TxnOptions) -> Txn {
        Txn::new(self.clone(), options)
    }

    /// A timestamp above every one handed out before.
    pub async fn timestamp(&self) -> Result<Timestamp> {
        match self.inner.meta.try_timestamp() {
            Some(timestamp) => Ok(timestamp),
            None => self.inner.meta.timestamp().await,
        }
    }

    /// Whether a node is this process.
    pub fn is_near(&self, node: NodeId) -> bool {
        Coordinator::new(node, 0).node == self.inner.coordinator.node
    }

    /// The newest catalog version this process has heard of.
    pub fn catalog_version(&self) -> CatalogVersion {
        self.inner.meta.catalog_version()
    }

    /// The meta group.
    pub fn meta(&self) -> &dyn MetaClient {
        self.inner.meta.as_ref()
    }

    /// The range map as cached.
    pub fn ranges(&self) -> Guard<Arc<RangeMap>> {
        self.inner.router.map()
    }

    /// Reads the range map again.
    pub async fn refresh_ranges(&self) -> Result<()> {
        self.inner.router.refresh(self.meta()).await
    }

    /// The latest committed value of one key, without a timestamp from meta.
    pub async fn read_latest(&self, key: Bytes) -> Result<Option<Bytes>> {
        let mut attempts = Attempts::default();
        loop {
            let body = request::Body::Get(kv::Get { keys: vec![key.clone()], read_ts: 0 });
            let route = self.ranges().route(&key).clone();
            match self.send(&route, TxnId::default(), body).await? {
                Routed::Done(response::Body::Get(mut got)) if got.versions.len() == 1 => {
                    let version = got.versions.swap_remove(0);
                    return Ok(version.present.then_some(version.value));
                }
                Routed::Done(_) => return Err(unexpected("Get")),
                Routed::Stale(reason) => self.reroute(&mut attempts, reason).await?,
            }
        }
    }

    /// Asks the shard that holds the primary how a transaction ended, and the shards of its intents if that leaves it open
    /// and the question says so.
    pub async fn query_txn(&self, query: kv::QueryTxn) -> Result<kv::TxnStatus> {
        let status = self.ask_primary(&query).await?;
        if status.staged && query.find_out { self.find_out(&query, status).await } else { Ok(status) }
    }

    pub(crate) async fn ask_primary(&self, query: &kv::QueryTxn) -> Result<kv::TxnStatus> {
        match self.send_to_key(&query.primary, TxnId(query.txn), request::Body::QueryTxn(query.clone())).await? {
            response::Body::TxnStatus(status) => Ok(status),
            _ => Err(unexpected("QueryTxn")),
        }
    }

    /// The oldest snapshot this process uses; `None` when it uses none.
    pub fn oldest_snapshot(&self) -> Option<Timestamp> {
        self.inner.snapshots.oldest()
    }

    /// Sends one request to the shard that holds `key`, following the range as it moves.
    pub(crate) async fn send_to_key(&self, key: &[u8], txn: TxnId, body: request::Body) -> Result<response::Body> {
        let mut attempts = Attempts::default();
        loop {
            let route = self.ranges().route(key).clone();
            match self.send(&route, txn, body.clone()).await? {
                Routed::Done(answer) => return Ok(answer),
                Routed::Stale(reason) => self.reroute(&mut attempts, reason).await?,
            }
        }
    }

    /// Sends one request to a route's shard. Failures that another route may mend are `Stale`: the request may have been
    /// carried out all the same, which does no harm to any but a one-phase commit ([`Commit.retried`](kv::Commit)).
    pub(crate) async fn send(&self, route: &Route, txn: TxnId, body: request::Body) -> Result<Routed<response::Body>> {
        self.send_guarded(route, txn, Vec::new(), body).await
    }

    /// The same, refused where a table has been changed by a catalog newer than its guard.
    pub(crate) async fn send_guarded(
        &self,
        route: &Route,
        txn: TxnId,
        guards: Vec<kv::Guard>,
        body: request::Body,
    ) -> Result<Routed<response::Body>> {
        let answer = self.call_guarded(route, txn, guards, body).await?;
        self.routed(route, answer)
    }

    /// The same with a header of the caller's.
    pub(crate) async fn send_headed(
        &self,
        route: &Route,
        header: kv::Header,
        body: request::Body,
    ) -> Result<Routed<response::Body>> {
        let answer = self.exchange(route.node, header, body).await;
        self.routed(route, answer.ok_or_else(|| Error::Internal("an empty answer".to_owned()))?)
    }

    fn routed(&self, route: &Route, answer: response::Body) -> Result<Routed<response::Body>> {
        let Some(kind) = failure_of(&answer) else { return Ok(Routed::Done(answer)) };
        match Stale::of(route, &kind) {
            Some(stale) => {
                self.learn(route, &kind);
                Ok(Routed::Stale(stale))
            }
            None => Err(Error::from_failure(kind)),
        }
    }

    /// Sends a request to a node. News of the catalog travel with it, and with the answer: who acts after a change of the
    /// catalog, by whatever order of locks, has heard of it.
    pub(crate) async fn exchange(
        &self,
        node: NodeId,
        mut header: kv::Header,
        body: request::Body,
    ) -> Option<response::Body> {
        // Within a process everybody knows already.
        if !self.is_near(node) {
            header.catalog_version = self.catalog_version().0;
        }
        let answer = self.inner.transport.call(node, kv::Request { header: Some(header), body: Some(body) }).await;
        if answer.catalog_version != 0 {
            self.inner.meta.note_catalog_version(CatalogVersion(answer.catalog_version));
        }
        answer.body
    }

    /// Tells every node that can be reached of the newest catalog version, so that statements that begin later anywhere see
    /// the change. One that cannot be reached hears of it with its next sign of life.
    pub async fn announce_catalog(&self) {
        let telling = self.inner.transport.others().into_iter().map(|node| {
            let telling = self.exchange(node, kv::Header::default(), request::Body::Hear(kv::Done {}));
            tokio::time::timeout(ANNOUNCE_TIME_MAX, telling)
        });
        for told in futures::future::join_all(telling).await {
            if told.is_err() {
                tracing::debug!("a node did not hear of a change of the catalog in time");
            }
        }
    }

    /// Sends one request and answers what comes, a failure or not. It is refused where a table has been changed by a
    /// catalog newer than its guard.
    pub(crate) async fn call_guarded(
        &self,
        route: &Route,
        txn: TxnId,
        guards: Vec<kv::Guard>,
        body: request::Body,
    ) -> Result<response::Body> {
        let header =
            kv::Header { shard: route.shard.0, epoch: route.epoch.0, txn: txn.0, guards, ..kv::Header::default() };
        let answer = self.exchange(route.node, header, body).await;
        answer.ok_or_else(|| Error::Internal("an empty answer".to_owned()))
    }
}

/// The failure that an answer tells.
pub(crate) fn failure_of(answer: &response::Body) -> Option<failure::Kind> {
    let response::Body::Failure(failure) = answer else { return None };
    Some(failure.kind.clone().unwrap_or_else(|| failure::Kind::Internal("an empty failure".to_owned())))
}

pub(crate) fn unexpected(request: &str) -> Error {
    Error::Internal(format!("an answer of the wrong kind to {request}"))
}
