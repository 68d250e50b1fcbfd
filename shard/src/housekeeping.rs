//! What shards do in the background: ending transactions whose coordinator did not, and dropping what nobody needs.
//!
//! # Records
//! A transaction's record is normally forgotten by its coordinator. What stays behind is swept here. That of a committed
//! one goes once every intent is resolved: until then it is the only thing that says so. That of an aborted one goes once
//! it is older than the safe point and the shard has noted that nothing so old may open a record again (`SweepRecords`).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use prost::Message;
use proto::{
    ShardId, Timestamp, TxnId,
    kv::{self, command, response, txn_status},
};
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::Cf;
use tokio::time::Instant;

use crate::{
    apply::is_swept,
    local, mvcc,
    node::Inner,
    replica::{Failure, Replica, read_failure},
};

/// Intents older than this are looked after by the sweep: their coordinator should have resolved them long ago.
const SWEEP_AGE_MS: u64 = 10_000;
/// Time between sweeps.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Records of one kind that one round of garbage collection takes; the next takes the next. A command stays small.
const RECORDS_MAX: usize = 4096;

/// Finishes transactions whose coordinator did not: asks about old intents and resolves what is decided. Each round takes
/// up what one look at a shard finds; the next goes on from there.
pub(crate) async fn sweep(node: Weak<Inner>) {
    let mut rests: HashMap<ShardId, kv::Span> = HashMap::new();
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(inner) = node.upgrade() else { return };
        let (replicas, oracle) = (inner.replicas(), Arc::clone(&inner.environment.oracle));
        drop(inner);
        // Ages are told by timestamps, here and by who asks a shard of this node about its transactions. A process hears
        // of those that it asks for, and an idle one asks for none.
        if replicas.iter().any(|replica| !replica.shared.intents.is_empty())
            && let Err(reason) = oracle.timestamp().await
        {
            tracing::debug!(reason, "old intents cannot be told from new ones");
        }
        for replica in replicas {
            let shard = replica.shared.shard;
            match sweep_replica(&replica, rests.remove(&shard)).await {
                Ok(rest) => rests.extend(rest.map(|rest| (shard, rest))),
                Err(failure) => tracing::debug!(%shard, ?failure, "could not look after old intents"),
            }
        }
    }
}

async fn sweep_replica(replica: &Replica, rest: Option<kv::Span>) -> Result<Option<kv::Span>, Failure> {
    if replica.shared.intents.is_empty() || replica.serving_term().is_err() {
        return Ok(None);
    }
    let span = rest.unwrap_or_else(|| replica.range().span.unwrap_or_default());
    let is_old = |intent: &kv::Intent| replica.environment.age_ms(intent) > SWEEP_AGE_MS;
    let (intents, rest) = replica.intents_in(&span, is_old)?;
    let mut by_txn: BTreeMap<u64, (kv::Intent, Vec<Bytes>)> = BTreeMap::new();
    for (key, intent) in intents {
        by_txn.entry(intent.txn).or_insert_with(|| (intent, Vec::new())).1.push(key);
    }
    for (txn, (intent, keys)) in by_txn {
        let status = replica.environment.query(&intent, Instant::now(), Timestamp::ZERO).await?;
        if status.state() != txn_status::State::Pending {
            replica.resolve_keys(TxnId(txn), &status, keys).await?;
        }
    }
    Ok(rest)
}

/// Drops versions and records that nobody needs any more. Costs nothing where none were left and nothing has changed since.
pub(crate) async fn collect_garbage(replica: &Arc<Replica>, safe: Timestamp) -> Result<response::Body, Failure> {
    replica.shared.collected.fetch_max(safe.0, Ordering::SeqCst);
    let changes = replica.shared.changes();
    if replica.shared.clean_at.load(Ordering::SeqCst) == changes {
        return Ok(response::Body::Done(kv::Done {}));
    }
    let garbage = Arc::clone(replica);
    let collect = move || mvcc::collect(garbage.engine(), &garbage.shared.span(), safe);
    let collected = replica.environment.raft.blocking().run(collect).await;
    let collected = collected.ok_or_else(|| Failure::Internal("collecting garbage panicked".to_owned()))?;
    let collected = collected.map_err(|error| read_failure(&error))?;
    if replica.serving_term().is_ok() {
        sweep_records(replica, safe.millis()).await?;
    }
    if !collected.unripe && !has_records(replica)? {
        replica.shared.clean_at.store(changes, Ordering::SeqCst);
    }
    Ok(response::Body::Done(kv::Done {}))
}

/// Records of transactions that ended.
#[derive(Default)]
struct Ended {
    committed: Vec<(kv::TxnName, kv::TxnStatus)>,
    aborted: Vec<kv::TxnName>,
}

async fn sweep_records(replica: &Arc<Replica>, before_ms: u64) -> Result<(), Failure> {
    let at = replica.here()?;
    let ended = ended_before(replica, before_ms)?;
    if let Some(resolver) = replica.environment.resolver() {
        for (name, status) in ended.committed {
            resolver.finish(TxnId(name.txn), name.primary, status).await;
        }
    }
    if ended.aborted.is_empty() {
        return Ok(());
    }
    let sweep = kv::SweepRecords { before_ms, records: ended.aborted };
    replica.propose(at, command::Body::SweepRecords(sweep)).await.map(drop)
}

fn has_records(replica: &Replica) -> Result<bool, Failure> {
    let records = local::records(&replica.shared.span());
    let cursor = replica.engine().cursor(Cf::Local, &records);
    cursor.and_then(|mut cursor| cursor.first()).map_err(|error| read_failure(&error))
}

/// The shard's records that were decided at or before `before_ms`.
fn ended_before(replica: &Replica, before_ms: u64) -> Result<Ended, Failure> {
    let range = replica.shared.span();
    let mut ended = Ended::default();
    let failed = |error: storage::Error| read_failure(&error);
    let mut cursor = replica.engine().cursor(Cf::Local, &local::records(&range)).map_err(failed)?;
    let mut more = cursor.first().map_err(failed)?;
    while more {
        let status = kv::TxnStatus::decode(cursor.value()).map_err(|error| Failure::Internal(error.to_string()))?;
        let (primary, txn) = local::parse_record(cursor.key())
            .ok_or_else(|| Failure::Internal("a transaction record has a damaged key".to_owned()))?;
        if range.contains(primary) {
            let name = kv::TxnName { txn: txn.0, primary: Bytes::copy_from_slice(primary) };
            let committed = status.state() == txn_status::State::Committed && status.decided_ms <= before_ms;
            if is_swept(&status, before_ms) && ended.aborted.len() < RECORDS_MAX {
                ended.aborted.push(name);
            } else if committed && ended.committed.len() < RECORDS_MAX {
                ended.committed.push((name, status));
            }
        }
        more = cursor.next().map_err(failed)?;
    }
    Ok(ended)
}
