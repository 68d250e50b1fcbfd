//! Range reads of a transaction, in batches, with the own writes laid over them.

use bytes::Bytes;
use proto::kv::{self, request, response};
use sharddb_proto as proto;

use crate::{
    Attempts, Client, Result, Txn,
    client::{Routed, unexpected},
    past::ReadAt,
};

/// How a span is scanned.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScanOptions {
    /// From the end to the start.
    pub reverse: bool,
    /// Rows in one batch; 0 leaves it to the shard.
    pub batch_rows: u32,
}

/// A scan in progress. It holds no lock and no resource at a shard.
#[derive(Debug)]
pub struct Scanner {
    /// What is left; `None` when done.
    rest: Option<kv::Span>,
    options: ScanOptions,
    read_ts: u64,
}

/// A row of a scan.
pub type KeyValue = (Bytes, Bytes);

impl Txn {
    /// Starts a scan of `[start, end)` at the statement's snapshot.
    pub async fn scan(&mut self, start: Bytes, end: Bytes, options: ScanOptions) -> Result<Scanner> {
        let read_ts = self.snapshot().await?.0;
        let span = kv::Span { start, end };
        self.note_read(span.clone());
        Ok(Scanner { rest: Some(span), options, read_ts })
    }

    /// Starts a scan of what is committed now, whatever the transaction's snapshot: for constraints, which count all
    /// rows.
    pub async fn scan_newest(&mut self, start: Bytes, end: Bytes, options: ScanOptions) -> Result<Scanner> {
        let read_ts = self.client.timestamp().await?.0;
        let span = kv::Span { start, end };
        self.note_read(span.clone());
        Ok(Scanner { rest: Some(span), options, read_ts })
    }

    /// The next batch of a scan, own writes included; `None` at the end. A batch may be empty.
    pub async fn next_batch(&self, scanner: &mut Scanner) -> Result<Option<Vec<KeyValue>>> {
        let Some(span) = scanner.rest.clone() else { return Ok(None) };
        let (rows, rest) = fetch_batch(&self.client, self.read_at(scanner.read_ts), &span, scanner.options).await?;
        let covered = covered(&span, rest.as_ref(), scanner.options.reverse);
        scanner.rest = rest;
        Ok(Some(self.lay_over(rows, &covered, scanner.options.reverse)))
    }

    /// Every row of a span; for spans known to be small.
    pub async fn scan_all(&mut self, start: Bytes, end: Bytes) -> Result<Vec<KeyValue>> {
        let mut scanner = self.scan(start, end, ScanOptions::default()).await?;
        let mut rows = Vec::new();
        while let Some(batch) = self.next_batch(&mut scanner).await? {
            rows.extend(batch);
        }
        Ok(rows)
    }

    /// Merges sorted rows of `covered` with the buffered writes there.
    fn lay_over(&self, rows: Vec<KeyValue>, covered: &kv::Span, reverse: bool) -> Vec<KeyValue> {
        let own = self.buffer.range(&covered.start, &covered.end);
        if reverse { merge(rows, own.rev(), reverse) } else { merge(rows, own, reverse) }
    }
}

fn merge<'a>(
    rows: Vec<KeyValue>,
    own: impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)>,
    reverse: bool,
) -> Vec<KeyValue> {
    let mut own = own.peekable();
    if own.peek().is_none() {
        return rows;
    }
    let before = |a: &Bytes, b: &Bytes| if reverse { a > b } else { a < b };
    let mut merged = Vec::with_capacity(rows.len());
    for (key, value) in rows {
        while let Some((own_key, own_value)) = own.next_if(|(own_key, _)| before(own_key, &key)) {
            merged.extend(own_value.clone().map(|value| (own_key.clone(), value)));
        }
        match own.next_if(|(own_key, _)| **own_key == key) {
            Some((_, own_value)) => merged.extend(own_value.clone().map(|value| (key, value))),
            None => merged.push((key, value)),
        }
    }
    merged.extend(own.filter_map(|(key, value)| Some((key.clone(), value.clone()?))));
    merged
}

/// The part of `span` that an answer with this rest has covered.
fn covered(span: &kv::Span, rest: Option<&kv::Span>, reverse: bool) -> kv::Span {
    match rest {
        None => span.clone(),
        Some(rest) if reverse => kv::Span { start: rest.end.clone(), end: span.end.clone() },
        Some(rest) => kv::Span { start: span.start.clone(), end: rest.start.clone() },
    }
}

/// The first rows of a span and what is left of it, following ranges as they move.
pub(crate) async fn fetch_batch(client: &Client, at: ReadAt, span: &kv::Span, options: ScanOptions) -> Result<Batch> {
    let mut attempts = Attempts::default();
    loop {
        client.check_snapshot(at.ts)?;
        match fetch(client, at, span, options).await? {
            Routed::Done(answer) => return Ok(answer),
            Routed::Stale(reason) => client.reroute(&mut attempts, reason).await?,
        }
    }
}

pub(crate) type Batch = (Vec<KeyValue>, Option<kv::Span>);

async fn fetch(client: &Client, at: ReadAt, span: &kv::Span, options: ScanOptions) -> Result<Routed<Batch>> {
    let reverse = options.reverse;
    let mut routes = client.ranges().routes(span);
    let (route, part) = if reverse { routes.swap_remove(routes.len() - 1) } else { routes.swap_remove(0) };
    let scan =
        kv::Scan { span: Some(part.clone()), read_ts: at.ts, reverse, max_rows: options.batch_rows, max_bytes: 0 };
    match client.send_read(&route, at, request::Body::Scan(scan)).await? {
        Routed::Done(response::Body::Scan(result)) => {
            let rows = result.rows.into_iter().map(|row| (row.key, row.value)).collect();
            Ok(Routed::Done((rows, rest_of(span, &part, result.rest, reverse))))
        }
        Routed::Done(_) => Err(unexpected("Scan")),
        Routed::Stale(reason) => Ok(Routed::Stale(reason)),
    }
}

/// What is left of `span` once `part` was scanned up to the shard's own `rest`.
fn rest_of(span: &kv::Span, part: &kv::Span, rest: Option<kv::Span>, reverse: bool) -> Option<kv::Span> {
    if reverse {
        let end = rest.map_or_else(|| part.start.clone(), |rest| rest.end);
        (end > span.start).then(|| kv::Span { start: span.start.clone(), end })
    } else {
        let start = rest.map_or_else(|| part.end.clone(), |rest| rest.start);
        let done = start.is_empty() || (!span.end.is_empty() && start >= span.end);
        (!done).then(|| kv::Span { start, end: span.end.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(keys: &[&'static str]) -> Vec<KeyValue> {
        keys.iter().map(|key| (Bytes::from(*key), Bytes::from("old"))).collect()
    }

    #[test]
    fn own_writes_replace_add_and_hide_rows() {
        let put = Some(Bytes::from("new"));
        let own = [
            (Bytes::from("a"), put.clone()),
            (Bytes::from("b"), None),
            (Bytes::from("c"), put.clone()),
            (Bytes::from("z"), put),
        ];
        let forward = merge(rows(&["b", "c", "d"]), own.iter().map(|(k, v)| (k, v)), false);
        let shown: Vec<_> = forward.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let expected: Vec<KeyValue> = [("a", "new"), ("c", "new"), ("d", "old"), ("z", "new")]
            .iter()
            .map(|(k, v)| (Bytes::from(*k), Bytes::from(*v)))
            .collect();
        assert_eq!(shown, expected);
        let mut backward = merge(rows(&["d", "c", "b"]), own.iter().rev().map(|(k, v)| (k, v)), true);
        backward.reverse();
        assert_eq!(backward, expected);
    }

    #[test]
    fn a_scan_goes_on_in_the_next_shard() {
        let span = |start: &'static str, end: &'static str| kv::Span { start: start.into(), end: end.into() };
        assert_eq!(rest_of(&span("a", "z"), &span("a", "m"), None, false), Some(span("m", "z")));
        assert_eq!(rest_of(&span("a", "z"), &span("a", "m"), Some(span("c", "m")), false), Some(span("c", "z")));
        assert_eq!(rest_of(&span("a", "z"), &span("m", "z"), None, false), None);
        assert_eq!(rest_of(&span("a", ""), &span("m", ""), None, false), None);
        assert_eq!(rest_of(&span("a", "z"), &span("m", "z"), None, true), Some(span("a", "m")));
        assert_eq!(rest_of(&span("a", "z"), &span("a", "m"), None, true), None);
    }
}
