//! The client's view of shards and meta in the same process: direct calls.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use fragment::{FragmentStream, FragmentTransport};
use kv::BoxFuture;
use meta::Meta;
use proto::{CatalogVersion, NodeId, Timestamp, TxnId, kv as wire, meta::RangeDescriptor};
use shard::Node;
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_shard as shard;

/// Time between looks at whether timestamps have reached one: their own unit.
const REACH_PAUSE: Duration = Duration::from_millis(1);

/// Calls the shards of this process, whatever node is asked for: there is only one.
pub(crate) struct LocalTransport(pub(crate) Node);

impl kv::Transport for LocalTransport {
    fn call<'a>(&'a self, _node: NodeId, request: wire::Request) -> BoxFuture<'a, wire::Response> {
        Box::pin(self.0.execute(request))
    }
}

/// Runs fragments at the shards of this process.
pub(crate) struct LocalFragments(pub(crate) Node);

impl FragmentTransport for LocalFragments {
    fn fragment(&self, _node: NodeId, request: wire::Fragment) -> FragmentStream {
        self.0.fragment(request)
    }
}

/// Asks the meta group of this process.
pub(crate) struct LocalMeta(pub(crate) Meta);

fn refused(error: &meta::Error) -> kv::Error {
    kv::Error::Refused { state: error.sqlstate(), message: error.to_string() }
}

impl kv::MetaClient for LocalMeta {
    fn timestamp(&self) -> BoxFuture<'_, kv::Result<Timestamp>> {
        Box::pin(async { self.0.timestamp().await.map_err(|error| refused(&error)) })
    }

    fn try_timestamp(&self) -> Option<Timestamp> {
        self.0.try_timestamp()
    }

    fn catalog_version(&self) -> CatalogVersion {
        self.0.catalog_version()
    }

    fn bump_catalog(&self) -> BoxFuture<'_, kv::Result<CatalogVersion>> {
        Box::pin(async { self.0.bump_catalog().await.map_err(|error| refused(&error)) })
    }

    fn ranges(&self) -> BoxFuture<'_, kv::Result<Vec<RangeDescriptor>>> {
        Box::pin(async { Ok(self.0.ranges()) })
    }

    fn put_ranges(&self, ranges: Vec<RangeDescriptor>) -> BoxFuture<'_, kv::Result<()>> {
        Box::pin(async { self.0.put_ranges(ranges).await.map_err(|error| refused(&error)) })
    }

    fn allocate_shards(&self, count: u64) -> BoxFuture<'_, kv::Result<u64>> {
        Box::pin(async move { self.0.allocate_shards(count).await.map_err(|error| refused(&error)) })
    }

    fn allocate_object_ids(&self, count: u64) -> BoxFuture<'_, kv::Result<u64>> {
        Box::pin(async move { self.0.allocate_object_ids(count).await.map_err(|error| refused(&error)) })
    }

    fn raise_safe_point(&self, timestamp: Timestamp) -> BoxFuture<'_, kv::Result<Timestamp>> {
        Box::pin(async move {
            self.0.raise_safe_point(timestamp).await.map_err(|error| refused(&error))?;
            Ok(self.0.safe_point())
        })
    }
}

/// Lets shards commit with the oracle of this process.
pub(crate) struct LocalOracle(pub(crate) Meta);

impl shard::Oracle for LocalOracle {
    fn fresh(&self) -> Timestamp {
        self.0.fresh()
    }

    fn timestamp(&self) -> Pin<Box<dyn Future<Output = Result<Timestamp, String>> + Send + '_>> {
        Box::pin(async { self.0.timestamp().await.map_err(|error| error.to_string()) })
    }

    fn has_reached(&self, ts: Timestamp) -> bool {
        self.0.try_timestamp().is_some_and(|now| now >= ts)
    }

    fn reach(&self, ts: Timestamp) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move {
            // Time goes on, and timestamps with it.
            while self.timestamp().await? < ts {
                tokio::time::sleep(REACH_PAUSE).await;
            }
            Ok(())
        })
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
