//! Point reads of a transaction.

use bytes::Bytes;
use proto::kv::{self, request, response};
use sharddb_proto as proto;

use crate::{
    Attempts, Client, Result, Route, Txn,
    client::{Routed, unexpected},
    past::ReadAt,
};

/// Keys of one request. The shard has its own bound; this keeps a request's answer within memory.
const GET_KEYS_MAX: usize = 4096;

/// Positions of `keys` grouped by the shard that holds them, in order of first appearance.
pub(crate) fn group_by_route<'k>(
    client: &Client,
    keys: impl Iterator<Item = (usize, &'k Bytes)>,
) -> Vec<(Route, Vec<usize>)> {
    let map = client.ranges();
    let mut groups: Vec<(Route, Vec<usize>)> = Vec::new();
    for (position, key) in keys {
        match groups.iter_mut().find(|(route, _)| route.contains(key)) {
            Some((_, positions)) => positions.push(position),
            None => groups.push((map.route(key).clone(), vec![position])),
        }
    }
    groups
}

impl Txn {
    /// Values at the statement's snapshot, own writes first. One for each key, in order.
    pub async fn get(&mut self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        let read_ts = if keys.iter().all(|key| self.buffer.get(key).is_some()) { 0 } else { self.snapshot().await?.0 };
        for key in keys {
            self.note_read(point_span(key));
        }
        self.get_at(keys, read_ts).await
    }

    /// The latest committed value of one key, or the own write. For a READ COMMITTED statement that reads nothing
    /// else: it needs no timestamp.
    pub async fn get_latest(&mut self, key: &Bytes) -> Result<Option<Bytes>> {
        let mut values = self.get_at(std::slice::from_ref(key), 0).await?;
        Ok(values.swap_remove(0))
    }

    /// Values as committed now, whatever the transaction's snapshot, own writes first. Several are seen as of one moment,
    /// which must not lie before what others have been told is committed: a shard alone may know only of an older one.
    pub async fn get_newest(&mut self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        for key in keys {
            self.note_read(point_span(key));
        }
        let read_ts = if keys.len() > 1 { self.client.timestamp().await?.0 } else { 0 };
        self.get_at(keys, read_ts).await
    }

    async fn get_at(&self, keys: &[Bytes], read_ts: u64) -> Result<Vec<Option<Bytes>>> {
        let values = keys.iter().map(|key| self.buffer.get(key).cloned()).collect();
        fetch_missing(&self.client, self.read_at(read_ts), keys, values).await
    }
}

/// Fetches the values that are not known yet, following ranges as they move.
pub(crate) async fn fetch_missing(
    client: &Client,
    at: ReadAt,
    keys: &[Bytes],
    mut values: Vec<Option<Option<Bytes>>>,
) -> Result<Vec<Option<Bytes>>> {
    let mut attempts = Attempts::default();
    loop {
        client.check_snapshot(at.ts)?;
        let missing = keys.iter().enumerate().filter(|(i, _)| values[*i].is_none());
        let groups = group_by_route(client, missing);
        let mut stale = None;
        for (route, positions) in groups {
            for chunk in positions.chunks(GET_KEYS_MAX) {
                let wanted = chunk.iter().map(|i| keys[*i].clone()).collect();
                match fetch(client, &route, at, wanted).await? {
                    Routed::Done(versions) => {
                        for (i, version) in chunk.iter().zip(versions) {
                            values[*i] = Some(version.present.then_some(version.value));
                        }
                    }
                    Routed::Stale(reason) => stale = Some(reason),
                }
            }
        }
        match stale {
            None => return Ok(values.into_iter().map(Option::unwrap_or_default).collect()),
            Some(reason) => client.reroute(&mut attempts, reason).await?,
        }
    }
}

async fn fetch(client: &Client, route: &Route, at: ReadAt, keys: Vec<Bytes>) -> Result<Routed<Vec<kv::Version>>> {
    let count = keys.len();
    match client.send_read(route, at, request::Body::Get(kv::Get { keys, read_ts: at.ts })).await? {
        Routed::Done(response::Body::Get(got)) if got.versions.len() == count => Ok(Routed::Done(got.versions)),
        Routed::Done(_) => Err(unexpected("Get")),
        Routed::Stale(reason) => Ok(Routed::Stale(reason)),
    }
}

/// The span that holds just this key.
pub(crate) fn point_span(key: &Bytes) -> kv::Span {
    kv::Span { start: key.clone(), end: proto::after_prefix(key) }
}
