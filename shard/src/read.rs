//! Serving reads: Get and Scan.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use prost::Message;
use proto::{
    Timestamp, TxnId,
    kv::{self, txn_status},
};
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::{Cf, Span};
use tokio::time::{Instant, timeout};

use crate::{
    mvcc::{self, Direction, VersionCursor},
    node::PENDING_RECHECK,
    replica::{Failure, Replica, read_failure},
};

/// Rows and bytes of one scan answer when the request sets no lower bound.
const SCAN_ROWS_MAX: u32 = 4096;
const SCAN_BYTES_MAX: usize = 4 << 20;
/// Intents that one look at a span takes up.
const INTENTS_MAX: usize = 4096;
/// Intents that one look at a span passes over.
const INTENTS_SEEN_MAX: usize = 1 << 16;

/// A key and its intent.
type FoundIntent = (Bytes, kv::Intent);

/// What a foreign intent means for a reader.
#[derive(Clone, Copy)]
pub(crate) enum Met {
    /// Nothing: not committed, above the snapshot, or resolved meanwhile and found among the versions.
    Ignore,
    /// Its value is the newest the snapshot sees.
    Visible(Timestamp),
}

impl Replica {
    pub(crate) async fn get(&self, header: &kv::Header, get: kv::Get) -> Result<kv::GetResult, Failure> {
        let at = self.check(header, get.keys.iter())?;
        let txn = TxnId(header.txn);
        // One key's latest version is a consistent cut by itself; several need a timestamp.
        let latest = get.read_ts == 0 && get.keys.len() == 1;
        let ts = match (latest, get.read_ts) {
            (true, _) => Timestamp::MAX,
            (false, 0) => self.fresh(),
            (false, ts) => Timestamp(ts),
        };
        if !latest {
            self.shared.marks.raise_read_ts(ts);
        }
        let mut versions = Vec::with_capacity(get.keys.len());
        for key in &get.keys {
            if !latest {
                self.wait_for_key(key, ts).await;
            }
            versions.push(self.read_key(key, ts, txn).await?);
        }
        self.check_still(at)?;
        Ok(kv::GetResult { versions })
    }

    async fn read_key(&self, key: &Bytes, ts: Timestamp, txn: TxnId) -> Result<kv::Version, Failure> {
        if let Some(intent) = self.intent(key)? {
            if intent.txn == txn.0 {
                return Ok(own_version(intent));
            }
            if let Met::Visible(commit_ts) = self.meet(key, &intent, ts).await? {
                return Ok(committed_version(commit_ts, intent.value));
            }
        }
        let found = mvcc::read_at(self.engine(), key, ts).map_err(|error| read_failure(&error))?;
        Ok(found.map_or_else(kv::Version::default, |version| committed_version(version.commit_ts, version.value)))
    }

    /// The newest committed version or own intent of a key.
    pub(crate) async fn read_newest(&self, key: &Bytes, txn: TxnId) -> Result<kv::Version, Failure> {
        self.read_key(key, Timestamp::MAX, txn).await
    }

    pub(crate) fn intent(&self, key: &[u8]) -> Result<Option<kv::Intent>, Failure> {
        if !self.shared.intents.may_have(key) {
            return Ok(None);
        }
        let stored = self.engine().get(Cf::Intents, key).map_err(|error| read_failure(&error))?;
        stored.map(|bytes| decode_intent(&bytes)).transpose()
    }

    /// Waits until nothing can still be committed at the key at or below `ts`.
    pub(crate) async fn wait_for_key(&self, key: &[u8], ts: Timestamp) {
        let blocked = || self.has_begun() && self.shared.marks.blocks_key(key, ts);
        while blocked() {
            let changed = self.shared.marks.changed();
            if blocked() {
                changed.await;
            }
        }
    }

    /// Waits until nothing in the span can still be committed at or below `ts`.
    pub(crate) async fn wait_for_span(&self, span: &kv::Span, ts: Timestamp) {
        let blocked = || self.has_begun() && self.shared.marks.blocks_span(span, ts);
        while blocked() {
            let changed = self.shared.marks.changed();
            if blocked() {
                changed.await;
            }
        }
    }

    /// What a reader at `ts` makes of another transaction's intent; it reads the versions afterwards. It waits a moment for
    /// a commit that seems under way, then passes by, whatever the transaction does later. A reader of the latest state
    /// comes before every transaction that is not decided.
    ///
    /// One that is staged may be committed without its record saying so. Its coordinator is about to write that; who has
    /// waited long enough looks at all its intents (`kv::Client::query_txn`).
    ///
    /// A transaction's record goes once all its intents are resolved, so an answer other than "committed" counts only
    /// while the intent still stands.
    pub(crate) async fn meet(&self, key: &[u8], intent: &kv::Intent, ts: Timestamp) -> Result<Met, Failure> {
        if intent.prepare_ts > ts.0 {
            return Ok(Met::Ignore);
        }
        let met = Instant::now();
        let above = if ts == Timestamp::MAX { Timestamp::ZERO } else { ts };
        loop {
            let changed = self.shared.marks.changed();
            let status = self.environment.query(intent, met, above).await?;
            match status.state() {
                // A late copy of a prepare has left it after the transaction's own was resolved.
                txn_status::State::Committed if status.commit_ts < intent.prepare_ts => return Ok(Met::Ignore),
                txn_status::State::Committed if status.commit_ts <= ts.0 => {
                    return Ok(Met::Visible(Timestamp(status.commit_ts)));
                }
                txn_status::State::Committed | txn_status::State::Aborted => return Ok(Met::Ignore),
                txn_status::State::Pending if !status.staged && (ts == Timestamp::MAX || status.floor_ts >= ts.0) => {
                    return Ok(Met::Ignore);
                }
                txn_status::State::Pending => {
                    if self.intent(key)?.is_none_or(|present| present.txn != intent.txn) {
                        return Ok(Met::Ignore);
                    }
                    // Woken or not, the primary knows best.
                    let _woken = timeout(PENDING_RECHECK, changed).await;
                }
            }
        }
    }

    pub(crate) async fn scan(&self, header: &kv::Header, scan: kv::Scan) -> Result<kv::ScanResult, Failure> {
        let span = scan.span.clone().unwrap_or_default();
        let at = self.check_span(header, &span)?;
        let ts = if scan.read_ts == 0 { self.fresh() } else { Timestamp(scan.read_ts) };
        let overlay = self.prepare_scan(&span, ts, TxnId(header.txn)).await?;
        let direction = if scan.reverse { Direction::Reverse } else { Direction::Forward };
        let mut rows = Rows::bounded(&scan);
        let cursor = VersionCursor::open(self.engine(), &inner_span(&span), ts, direction);
        let rest = cursor.and_then(|cursor| rows.fill(cursor, &span, direction, overlay));
        let rest = rest.map_err(|error| read_failure(&error))?;
        self.check_still(at)?;
        Ok(kv::ScanResult { rows: rows.rows, rest })
    }

    /// Makes sure that everything a scan at `ts` must see is applied, and answers what it must see of intents: each key's
    /// value instead of its versions, in key order.
    pub(crate) async fn prepare_scan(
        &self,
        span: &kv::Span,
        ts: Timestamp,
        txn: TxnId,
    ) -> Result<Vec<(Bytes, Timestamp, Option<Bytes>)>, Failure> {
        self.shared.marks.raise_read_ts(ts);
        self.wait_for_span(span, ts).await;
        let mut overlay = Vec::new();
        if self.shared.intents.is_empty() {
            return Ok(overlay);
        }
        let mut known: HashMap<u64, Met> = HashMap::new();
        let mut rest = Some(span.clone());
        while let Some(part) = rest {
            let matters = |intent: &kv::Intent| {
                intent.txn == txn.0
                    || (intent.prepare_ts <= ts.0 && !matches!(known.get(&intent.txn), Some(Met::Ignore)))
            };
            let (intents, next) = self.intents_in(&part, matters)?;
            let mut committed: BTreeMap<u64, (Timestamp, Vec<Bytes>)> = BTreeMap::new();
            for (key, intent) in intents {
                if intent.txn == txn.0 {
                    overlay.push((key, Timestamp::ZERO, intent.value));
                    continue;
                }
                let met = match known.get(&intent.txn) {
                    Some(met) => *met,
                    None => self.meet(&key, &intent, ts).await?,
                };
                known.insert(intent.txn, met);
                match met {
                    Met::Ignore => {}
                    Met::Visible(commit_ts) if next.is_none() => overlay.push((key, commit_ts, intent.value)),
                    Met::Visible(commit_ts) => {
                        committed.entry(intent.txn).or_insert_with(|| (commit_ts, Vec::new())).1.push(key);
                    }
                }
            }
            self.resolve_committed(committed).await?;
            rest = next;
        }
        Ok(overlay)
    }

    /// Resolves what a reader found of large transactions, which would not fit into its memory.
    pub(crate) async fn resolve_committed(
        &self,
        committed: BTreeMap<u64, (Timestamp, Vec<Bytes>)>,
    ) -> Result<(), Failure> {
        for (txn, (commit_ts, keys)) in committed {
            let state = txn_status::State::Committed.into();
            let status = kv::TxnStatus { state, commit_ts: commit_ts.0, ..kv::TxnStatus::default() };
            self.resolve_keys(TxnId(txn), &status, keys).await?;
        }
        Ok(())
    }

    /// The intents in a span that matter, as many as one look takes up, and the span that is left to look at.
    pub(crate) fn intents_in(
        &self,
        span: &kv::Span,
        matters: impl Fn(&kv::Intent) -> bool,
    ) -> Result<(Vec<FoundIntent>, Option<kv::Span>), Failure> {
        match self.shared.intents.first_in(span, INTENTS_MAX + 1) {
            Some(keys) => self.intents_of(keys, span, matters),
            None => self.stored_intents(span, matters),
        }
    }

    fn intents_of(
        &self,
        mut keys: Vec<Bytes>,
        span: &kv::Span,
        matters: impl Fn(&kv::Intent) -> bool,
    ) -> Result<(Vec<FoundIntent>, Option<kv::Span>), Failure> {
        let next = if keys.len() > INTENTS_MAX { keys.pop() } else { None };
        let mut found = Vec::new();
        for key in keys {
            if let Some(intent) = self.intent(&key)?.filter(&matters) {
                found.push((key, intent));
            }
        }
        Ok((found, next.map(|start| kv::Span { start, end: span.end.clone() })))
    }

    fn stored_intents(
        &self,
        span: &kv::Span,
        matters: impl Fn(&kv::Intent) -> bool,
    ) -> Result<(Vec<FoundIntent>, Option<kv::Span>), Failure> {
        let failed = |error: storage::Error| read_failure(&error);
        let mut cursor = self.engine().cursor(Cf::Intents, &inner_span(span)).map_err(failed)?;
        let (mut found, mut seen) = (Vec::new(), 0);
        let mut more = cursor.first().map_err(failed)?;
        while more {
            if found.len() >= INTENTS_MAX || seen >= INTENTS_SEEN_MAX {
                let start = Bytes::copy_from_slice(cursor.key());
                return Ok((found, Some(kv::Span { start, end: span.end.clone() })));
            }
            seen += 1;
            let intent = decode_intent(cursor.value())?;
            if matters(&intent) {
                found.push((Bytes::copy_from_slice(cursor.key()), intent));
            }
            more = cursor.next().map_err(failed)?;
        }
        Ok((found, None))
    }
}

/// Collects the rows of one answer.
pub(crate) struct Rows {
    pub(crate) rows: Vec<kv::KeyValue>,
    bytes: usize,
    rows_max: usize,
    bytes_max: usize,
}

impl Rows {
    /// None yet, and no more than a request wants.
    pub(crate) fn bounded(scan: &kv::Scan) -> Self {
        let rows_max = if scan.max_rows == 0 { SCAN_ROWS_MAX } else { scan.max_rows.min(SCAN_ROWS_MAX) } as usize;
        let bytes_max = if scan.max_bytes == 0 { SCAN_BYTES_MAX } else { SCAN_BYTES_MAX.min(scan.max_bytes as usize) };
        Self { rows: Vec::new(), bytes: 0, rows_max, bytes_max }
    }

    /// Reads until the span or the answer is full; answers what is left of the span.
    pub(crate) fn fill(
        &mut self,
        mut cursor: VersionCursor,
        span: &kv::Span,
        direction: Direction,
        mut overlay: Vec<(Bytes, Timestamp, Option<Bytes>)>,
    ) -> storage::Result<Option<kv::Span>> {
        let forward = direction == Direction::Forward;
        if !forward {
            overlay.reverse();
        }
        let mut overlay = overlay.into_iter().peekable();
        let mut more = cursor.advance()?;
        loop {
            let overlaid = overlay.peek().map(|(key, ..)| key.clone());
            let from_overlay = match (&overlaid, more) {
                (None, false) => return Ok(None),
                (Some(_), false) => true,
                (None, true) => false,
                (Some(key), true) if forward => key[..] <= *cursor.key(),
                (Some(key), true) => key[..] >= *cursor.key(),
            };
            let same = more && overlaid.as_ref().is_some_and(|key| key[..] == *cursor.key());
            if from_overlay {
                let (key, commit_ts, value) = overlay.next().expect("it was just peeked");
                if let Some(value) = value {
                    self.push(key, value, commit_ts);
                }
            } else {
                let (key, value) = (Bytes::copy_from_slice(cursor.key()), Bytes::copy_from_slice(cursor.value()));
                self.push(key, value, cursor.commit_ts());
            }
            if !from_overlay || same {
                more = cursor.advance()?;
            }
            if self.rows.len() >= self.rows_max || self.bytes >= self.bytes_max {
                return Ok(self.rest(span, forward));
            }
        }
    }

    fn push(&mut self, key: Bytes, value: Bytes, commit_ts: Timestamp) {
        self.bytes += key.len() + value.len();
        self.rows.push(kv::KeyValue { key, value, commit_ts: commit_ts.0 });
    }

    fn rest(&self, span: &kv::Span, forward: bool) -> Option<kv::Span> {
        let last = &self.rows.last()?.key;
        if forward {
            let start = proto::after_prefix(last);
            (!start.is_empty() && (span.end.is_empty() || start < span.end))
                .then(|| kv::Span { start, end: span.end.clone() })
        } else {
            Some(kv::Span { start: span.start.clone(), end: last.clone() })
        }
    }
}

pub(crate) fn inner_span(span: &kv::Span) -> Span {
    Span::new(span.start.to_vec(), span.end.to_vec())
}

fn own_version(intent: kv::Intent) -> kv::Version {
    committed_version(Timestamp::ZERO, intent.value)
}

pub(crate) fn committed_version(commit_ts: Timestamp, value: Option<Bytes>) -> kv::Version {
    kv::Version { present: value.is_some(), value: value.unwrap_or_default(), commit_ts: commit_ts.0 }
}

fn decode_intent(bytes: &[u8]) -> Result<kv::Intent, Failure> {
    kv::Intent::decode(bytes).map_err(|error| {
        let message = format!("an intent is damaged: {error}");
        Failure::Refused(kv::Refused { sqlstate: "XX001".to_owned(), message })
    })
}
