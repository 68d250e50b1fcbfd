//! Serving reads at closed timestamps, whether this replica leads or not (see `closing`).

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use proto::{
    Timestamp,
    kv::{self, request},
};
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::{Cf, Snapshot};

use crate::{
    mvcc::{Direction, VersionCursor},
    read::{Rows, committed_version, inner_span},
    replica::{Failure, Replica, read_failure},
};

/// How long a reader waits for a replica to apply the log up to where the timestamp was closed: a quiet follower hears of the
/// last commits some fifty milliseconds later. After that the leader is asked.
const LAG_MAX: Duration = Duration::from_millis(300);

impl Replica {
    /// Refuses a read of the past that would miss versions which were dropped.
    pub(crate) fn check_collected(&self, header: &kv::Header, body: &request::Body) -> Result<(), Failure> {
        match body {
            request::Body::Get(get) => self.check_kept(header, get.read_ts),
            request::Body::Scan(scan) => self.check_kept(header, scan.read_ts),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_kept(&self, header: &kv::Header, read_ts: u64) -> Result<(), Failure> {
        if !header.past || read_ts >= self.shared.collected.load(Ordering::SeqCst) {
            return Ok(());
        }
        let message = "the requested time is too old: what was there then may have been removed".to_owned();
        Err(Failure::Refused(kv::Refused { sqlstate: "55000".to_owned(), message }))
    }

    pub(crate) async fn get_past(&self, header: &kv::Header, get: kv::Get) -> Result<kv::GetResult, Failure> {
        let (Some(first), Some(last)) = (get.keys.iter().min(), get.keys.iter().max()) else {
            return Ok(kv::GetResult::default());
        };
        let span = kv::Span { start: first.clone(), end: proto::after_prefix(last) };
        let view = self.past_view(header, std::slice::from_ref(&span), get.read_ts).await?;
        let versions = get.keys.iter().map(|key| version(view.as_ref(), key, Timestamp(get.read_ts)));
        let versions = versions.collect::<storage::Result<Vec<_>>>().map_err(|error| read_failure(&error))?;
        Ok(kv::GetResult { versions })
    }

    pub(crate) async fn scan_past(&self, header: &kv::Header, scan: kv::Scan) -> Result<kv::ScanResult, Failure> {
        let span = scan.span.clone().unwrap_or_default();
        let view = self.past_view(header, std::slice::from_ref(&span), scan.read_ts).await?;
        let direction = if scan.reverse { Direction::Reverse } else { Direction::Forward };
        let mut rows = Rows::bounded(&scan);
        let cursor = view.cursor(Cf::Data, &inner_span(&span));
        let cursor = cursor.and_then(|cursor| VersionCursor::over(cursor, Timestamp(scan.read_ts), direction));
        let rest = cursor.and_then(|cursor| rows.fill(cursor, &span, direction, Vec::new()));
        Ok(kv::ScanResult { rest: rest.map_err(|error| read_failure(&error))?, rows: rows.rows })
    }

    /// What a reader at a closed timestamp sees of spans: versions alone.
    pub(crate) async fn past_view(
        &self,
        header: &kv::Header,
        spans: &[kv::Span],
        read_ts: u64,
    ) -> Result<Box<dyn Snapshot>, Failure> {
        if read_ts == 0 || !self.applies(header.past_index, LAG_MAX).await {
            return Err(self.not_leader());
        }
        let view = self.view(header, spans, header.past_index)?;
        // Dropped meanwhile, versions may be missing in the view.
        self.check_kept(header, read_ts)?;
        if self.serving_term().is_err() {
            self.environment.follower_reads.fetch_add(1, Ordering::Relaxed);
        }
        Ok(view)
    }
}

fn version(view: &dyn Snapshot, key: &Bytes, ts: Timestamp) -> storage::Result<kv::Version> {
    let span = kv::Span { start: key.clone(), end: proto::after_prefix(key) };
    let mut cursor = VersionCursor::over(view.cursor(Cf::Data, &inner_span(&span))?, ts, Direction::Forward)?;
    if !cursor.advance()? || cursor.key() != &key[..] {
        return Ok(kv::Version::default());
    }
    Ok(committed_version(cursor.commit_ts(), Some(Bytes::copy_from_slice(cursor.value()))))
}
