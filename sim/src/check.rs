//! What must hold once nothing goes wrong any more: every shard has its replicas, they are equal, nothing is left over.

use std::{collections::BTreeMap, time::Duration};

use kv::MetaClient;
use proto::{kv::Span, meta::RangeDescriptor};
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_storage::Cf;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;

/// Longest time until nothing is left of transactions. Coordinators that are gone are waited for ten seconds, which take
/// twice as long while timestamps wait for a clock that was set back.
const LEFT_MAX: Duration = Duration::from_secs(40);
/// Longest time until replicas are equal.
const EQUAL_MAX: Duration = Duration::from_secs(60);
/// Time between looks.
const LOOK: Duration = Duration::from_millis(500);
/// Tags of versions that are deletions.
const TOMBSTONES: [u8; 2] = [2, 4];

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Waits until the cluster is quiet, and notes what is not as it must be then.
pub(crate) async fn quiet(cluster: &Cluster) {
    cluster.within(LEFT_MAX, "locks, waits and intents are gone", || left_over(cluster).is_empty()).await;
    for (node, what) in left_over(cluster) {
        cluster.violation(format!("node {node} still has {what}"));
    }
    // Placement goes on moving replicas; each look is at where they are then.
    let begun = Instant::now();
    loop {
        let ranges = ranges(cluster).await;
        let found: Vec<String> = ranges.iter().flat_map(|range| differences(cluster, range)).collect();
        if found.is_empty() {
            return;
        }
        if begun.elapsed() > EQUAL_MAX {
            return found.into_iter().for_each(|difference| cluster.violation(difference));
        }
        sleep(LOOK).await;
    }
}

fn left_over(cluster: &Cluster) -> BTreeMap<u64, String> {
    let left = |id: u64| {
        let layers = cluster.machine(id).layers()?;
        let found = layers.node().statistics();
        let any = found.locked_keys > 0 || found.lock_waiters > 0 || found.intents > 0;
        any.then(|| {
            let (keys, waiters, intents) = (found.locked_keys, found.lock_waiters, found.intents);
            (id, format!("{keys} locked keys, {waiters} waiters, {intents} intents"))
        })
    };
    cluster.ids().into_iter().filter_map(left).collect()
}

async fn ranges(cluster: &Cluster) -> Vec<RangeDescriptor> {
    for id in cluster.ids() {
        if let Some(layers) = cluster.machine(id).layers()
            && let Ok(ranges) = MetaClient::ranges(layers.meta()).await
        {
            return ranges;
        }
    }
    cluster.violation("nobody knows the range map".to_owned());
    Vec::new()
}

/// In what the replicas of a shard differ from its first one.
fn differences(cluster: &Cluster, range: &RangeDescriptor) -> Vec<String> {
    let span = Span { start: range.start.clone(), end: range.end.clone() };
    let mut replicas = range.replicas.iter().map(|id| (*id, contents(cluster, *id, &span)));
    let Some((first, wanted)) = replicas.next() else {
        return vec![format!("shard {} has no replica", range.shard)];
    };
    let differing = replicas.filter(|(_, found)| *found != wanted);
    let describe = |(id, found): (u64, [Entries; 2])| {
        let (of_first, of_other) = (only_in(&wanted, &found), only_in(&found, &wanted));
        let shard = range.shard;
        format!("shard {shard}: only node {first} has {of_first:02x?}, only node {id} has {of_other:02x?}")
    };
    differing.map(describe).collect()
}

/// The newest versions and the intents of a span at a node. Each replica collects older versions when it likes.
fn contents(cluster: &Cluster, id: u64, span: &Span) -> [Entries; 2] {
    let engine = cluster.machine(id).engine();
    let inside = |key: &[u8]| key >= &span.start[..] && (span.end.is_empty() || key < &span.end[..]);
    let [mut versions, intents] = [Cf::Data, Cf::Intents]
        .map(|cf| engine.contents(cf).into_iter().filter(|(key, _)| inside(key)).collect::<Entries>());
    let key = |version: &[u8]| version[..version.len() - Cf::VERSION_SUFFIX].to_vec();
    versions.dedup_by_key(|(version, _)| key(version));
    versions.retain(|(_, value)| value.first().is_none_or(|tag| !TOMBSTONES.contains(tag)));
    [versions, intents]
}

/// The first few entries that one has and another has not.
fn only_in(one: &[Entries; 2], other: &[Entries; 2]) -> Entries {
    let missing = one.iter().zip(other).flat_map(|(one, other)| one.iter().filter(|entry| !other.contains(entry)));
    missing.take(3).cloned().collect()
}
