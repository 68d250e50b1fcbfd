//! Carrying out requests: each goes to the part of a shard, or of the node, that serves it.

use std::future::Future;

use bytes::Bytes;
use proto::{
    Timestamp, TxnId,
    kv::{self, command, request, response},
};
use sharddb_proto as proto;

use crate::{
    checksum, housekeeping,
    node::Node,
    replica::{Failure, Replica},
};

impl Node {
    /// Carries out a request and answers it. Never fails: what goes wrong is told in the response.
    pub async fn execute(&self, request: kv::Request) -> kv::Response {
        let body = match self.dispatch(request).await {
            Ok(body) => body,
            Err(kind) => response::Body::Failure(kv::Failure { kind: Some(kind) }),
        };
        kv::Response { body: Some(body), catalog_version: 0 }
    }

    async fn dispatch(&self, request: kv::Request) -> Result<response::Body, Failure> {
        let header = request.header.unwrap_or_default();
        let body = request.body.ok_or_else(|| Failure::Internal("an empty request".to_owned()))?;
        if let request::Body::ReleaseLocks(release) = &body {
            self.release(TxnId(header.txn), &release.keys);
            return Ok(done());
        }
        let node = self.clone();
        match body {
            request::Body::CreateReplica(create) => {
                return to_end(async move { node.create_replica(create).await }).await;
            }
            request::Body::DeleteReplica(_) => {
                return to_end(async move { node.delete_replica(header.shard).await }).await;
            }
            request::Body::Split(split) => return to_end(async move { node.split(&header, split).await }).await,
            request::Body::Hear(_) => return Ok(done()),
            _ => {}
        }
        let replica = self.replica(header.shard).ok_or(Failure::UnknownShard(kv::Done {}))?;
        replica.check_collected(&header, &body)?;
        match body {
            request::Body::Get(get) if header.past_index > 0 => {
                replica.get_past(&header, get).await.map(response::Body::Get)
            }
            request::Body::Scan(scan) if header.past_index > 0 => {
                replica.scan_past(&header, scan).await.map(response::Body::Scan)
            }
            request::Body::Get(get) => replica.get(&header, get).await.map(response::Body::Get),
            request::Body::Scan(scan) => replica.scan(&header, scan).await.map(response::Body::Scan),
            request::Body::Lock(lock) => replica.lock(&header, lock).await.map(response::Body::Lock),
            request::Body::LockTable(lock) => replica.lock_table(&header, lock).await.map(|()| done()),
            request::Body::Commit(commit) => replica.commit(&header, commit).await.map(response::Body::Commit),
            request::Body::Prepare(prepare) => replica.prepare(&header, prepare).await.map(response::Body::Prepare),
            request::Body::WriteIntents(intents) => replica.write_intents(&header, intents).await.map(|()| done()),
            request::Body::Validate(validate) => replica.validate(&header, &validate).await.map(|()| done()),
            request::Body::Decide(decide) => replica.decide(&header, decide).await.map(response::Body::TxnStatus),
            request::Body::Resolve(resolve) => replica.resolve(&header, resolve).await.map(|()| done()),
            request::Body::QueryTxn(query) => replica.query_txn(&header, query).await.map(response::Body::TxnStatus),
            request::Body::FindIntents(find) => {
                replica.find_intents(&header, find).await.map(response::Body::FoundIntents)
            }
            request::Body::Heartbeat(beat) => replica.heartbeat(&header, beat).await.map(|()| done()),
            request::Body::CollectGarbage(collect) => {
                housekeeping::collect_garbage(&replica, Timestamp(collect.safe_ts)).await
            }
            request::Body::DeleteRange(delete) => delete_range(&replica, &header, delete).await,
            request::Body::Describe(_) => Ok(response::Body::Description(replica.describe())),
            request::Body::ChangeMembers(change) => replica.change_members(change).await,
            request::Body::TransferLeader(transfer) => replica.transfer(&transfer).await,
            request::Body::Close(close) => replica.close(&header, &close).await.map(response::Body::Closed),
            request::Body::Checksum(checksum) => {
                checksum::part(&replica, &header, checksum).await.map(response::Body::Checksum)
            }
            request::Body::ReleaseLocks(_)
            | request::Body::CreateReplica(_)
            | request::Body::DeleteReplica(_)
            | request::Body::Split(_)
            | request::Body::Hear(_) => Ok(done()),
            request::Body::FindEnded(_) => Err(Failure::Internal("shards coordinate no transactions".to_owned())),
        }
    }

    fn release(&self, txn: TxnId, keys: &[Bytes]) {
        if keys.is_empty() {
            self.inner.locks.release_all(txn);
        } else {
            self.inner.locks.release(txn, keys);
        }
    }

    async fn split(&self, header: &kv::Header, split: kv::Split) -> Result<response::Body, Failure> {
        let replica = self.replica(header.shard).ok_or(Failure::UnknownShard(kv::Done {}))?;
        let at = replica.check(header, split.at.iter())?;
        replica.propose(at, command::Body::Split(split)).await?;
        self.start_known().await.map_err(|error| Failure::Internal(error.to_string()))?;
        Ok(done())
    }
}

async fn delete_range(
    replica: &Replica,
    header: &kv::Header,
    delete: kv::DeleteRange,
) -> Result<response::Body, Failure> {
    let span = delete.span.clone().unwrap_or_default();
    let at = replica.check_span(header, &span)?;
    replica.check_decided(&span).await?;
    replica.propose(at, command::Body::DeleteRange(delete)).await
}

pub(crate) fn done() -> response::Body {
    response::Body::Done(kv::Done {})
}

/// Carries out what must not stop half way, even when whoever asked for it is gone.
async fn to_end(
    work: impl Future<Output = Result<response::Body, Failure>> + Send + 'static,
) -> Result<response::Body, Failure> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Failure::Internal(error.to_string())))
}
