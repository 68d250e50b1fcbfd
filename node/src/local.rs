//! The client's view of shards and meta in the same process: direct calls.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use kv::BoxFuture;
use meta::{MetaTransport, RemoteMeta};
use proto::{NodeId, Timestamp, TxnId, kv as wire, meta as wire_meta};
use shard::Node;
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_shard as shard;

/// Calls the shards of this process, whatever node is asked for: there is only one.
pub struct LocalTransport(pub Node);

impl kv::Transport for LocalTransport {
    fn call<'a>(&'a self, _node: NodeId, request: wire::Request) -> BoxFuture<'a, wire::Response> {
        Box::pin(self.0.execute(request))
    }
}

/// Lets shards commit with timestamps of the meta group, wherever it is led.
pub(crate) struct MetaOracle(pub(crate) RemoteMeta);

impl shard::Oracle for MetaOracle {
    fn fresh(&self) -> Timestamp {
        self.0.fresh()
    }

    fn timestamp(&self) -> Pin<Box<dyn Future<Output = Result<Timestamp, String>> + Send + '_>> {
        Box::pin(async { kv::MetaClient::timestamp(&self.0).await.map_err(|error| error.to_string()) })
    }

    fn has_reached(&self, ts: Timestamp) -> bool {
        self.0.has_reached(ts) || self.0.fresh() >= ts
    }

    fn note(&self, ts: Timestamp) {
        self.0.note_timestamp(ts);
    }

    fn reach(&self, ts: Timestamp) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move { self.0.reached(ts).await.map_err(|error| error.to_string()) })
    }
}

/// The way to other nodes for one that stands alone.
pub struct NobodyElse;

impl MetaTransport for NobodyElse {
    fn call(
        &self,
        node: u64,
        _call: wire_meta::Call,
        _patience: Duration,
    ) -> BoxFuture<'_, Result<wire_meta::Answer, String>> {
        Box::pin(async move { Err(format!("node {node} is unknown: this one stands alone")) })
    }
}

/// Lets shards ask about transactions through the client.
pub(crate) struct ClientResolver(pub(crate) kv::Client);

impl shard::TxnResolver for ClientResolver {
    fn query(
        &self,
        query: wire::QueryTxn,
    ) -> Pin<Box<dyn Future<Output = Result<wire::TxnStatus, String>> + Send + '_>> {
        Box::pin(async move { self.0.query_txn(query).await.map_err(|error| error.to_string()) })
    }

    fn finish(
        &self,
        txn: TxnId,
        primary: Bytes,
        status: wire::TxnStatus,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move { self.0.finish_txn(txn, &primary, status).await })
    }
}
