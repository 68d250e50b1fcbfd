//! Rows within spans of a shard: versions at the snapshot, under intents and the transaction's own writes.

use std::{
    collections::{BTreeMap, VecDeque, btree_map},
    iter::Peekable,
    ops::Bound,
};

use bytes::Bytes;
use fragment::RowsBuilder;
use proto::{SqlError, SqlResult, SqlState, Timestamp, kv};
use sharddb_fragment as fragment;
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::{Cf, Snapshot, Span};

use crate::mvcc::{Direction, VersionCursor};

/// Values that stand above the versions of their keys; `None` for deleted ones.
type Overlay = BTreeMap<Bytes, Option<Bytes>>;

/// Reads spans one after the other. A cursor is opened when its span's turn comes: there may be many spans of a row each.
pub(super) struct SpanReader {
    /// Once every span is ready: the replica may be cut, moved or removed while the fragment runs.
    engine: Option<Box<dyn Snapshot>>,
    ts: Timestamp,
    /// The transaction's own writes in all spans.
    own: Overlay,
    spans: VecDeque<ReadySpan>,
    open: Option<OpenSpan>,
    /// Key of the last row read.
    last: Vec<u8>,
}

/// A span in which nothing at or below the snapshot can be committed any more.
struct ReadySpan {
    span: Span,
    overlay: Overlay,
}

struct OpenSpan {
    cursor: VersionCursor,
    /// Whether the cursor stands on a row.
    more: bool,
    overlay: Peekable<btree_map::IntoIter<Bytes, Option<Bytes>>>,
}

impl std::fmt::Debug for SpanReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpanReader").field("spans", &self.spans.len()).finish_non_exhaustive()
    }
}

impl SpanReader {
    pub(super) fn new(ts: Timestamp, own: &[kv::Write]) -> Self {
        let own = own.iter().map(|write| (write.key.clone(), write.value.clone())).collect();
        Self { engine: None, ts, own, spans: VecDeque::new(), open: None, last: Vec::new() }
    }

    /// Adds a span that is ready to be read, with what stands there of intents.
    pub(super) fn add(&mut self, span: &kv::Span, intents: Vec<(Bytes, Timestamp, Option<Bytes>)>) {
        let mut overlay: Overlay = intents.into_iter().map(|(key, _, value)| (key, value)).collect();
        let end = if span.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(&span.end) };
        if span.end.is_empty() || span.start < span.end {
            let own = self.own.range::<Bytes, _>((Bound::Included(&span.start), end));
            overlay.extend(own.map(|(key, value)| (key.clone(), value.clone())));
        }
        self.spans.push_back(ReadySpan { span: Span::new(span.start.to_vec(), span.end.to_vec()), overlay });
    }

    /// Sets what to read, once every span was added.
    pub(super) fn read_from(&mut self, engine: Box<dyn Snapshot>) {
        self.engine = Some(engine);
    }

    /// Where reading goes on behind the last row.
    pub(super) fn resume(&self) -> Bytes {
        proto::after_prefix(&self.last)
    }

    /// Adds the next row to the builder. Answers its size, `None` at the end.
    pub(super) fn read_row(&mut self, builder: &mut RowsBuilder) -> SqlResult<Option<usize>> {
        loop {
            if let Some(open) = &mut self.open
                && let Some(bytes) = open.read_row(builder, &mut self.last)?
            {
                return Ok(Some(bytes));
            }
            let Some(next) = self.spans.pop_front() else { return Ok(None) };
            let engine =
                self.engine.as_deref().ok_or_else(|| SqlError::internal("a leaf is read before it is ready"))?;
            self.open = Some(OpenSpan::new(engine, self.ts, next).map_err(|error| failed(&error))?);
        }
    }
}

fn failed(error: &storage::Error) -> SqlError {
    let state = SqlState::from_code(error.sqlstate()).unwrap_or(SqlState::IoError);
    SqlError::new(state, error.to_string())
}

impl OpenSpan {
    fn new(engine: &dyn Snapshot, ts: Timestamp, ready: ReadySpan) -> storage::Result<Self> {
        let mut cursor = VersionCursor::over(engine.cursor(Cf::Data, &ready.span)?, ts, Direction::Forward)?;
        let more = cursor.advance()?;
        Ok(Self { cursor, more, overlay: ready.overlay.into_iter().peekable() })
    }

    fn read_row(&mut self, builder: &mut RowsBuilder, last: &mut Vec<u8>) -> SqlResult<Option<usize>> {
        loop {
            let above = match (self.overlay.peek(), self.more) {
                (None, false) => return Ok(None),
                (None, true) => false,
                (Some(_), false) => true,
                (Some((key, _)), true) => key[..] <= *self.cursor.key(),
            };
            if !above {
                let (key, value) = (self.cursor.key(), self.cursor.value());
                let bytes = key.len() + value.len();
                builder.push(key, value)?;
                note(last, key);
                self.advance()?;
                return Ok(Some(bytes));
            }
            let Some((key, value)) = self.overlay.next() else { return Ok(None) };
            if self.more && key[..] == *self.cursor.key() {
                self.advance()?;
            }
            if let Some(value) = value {
                builder.push(&key, &value)?;
                note(last, &key);
                return Ok(Some(key.len() + value.len()));
            }
        }
    }

    fn advance(&mut self) -> SqlResult<()> {
        self.more = self.cursor.advance().map_err(|error| failed(&error))?;
        Ok(())
    }
}

fn note(last: &mut Vec<u8>, key: &[u8]) {
    last.clear();
    last.extend_from_slice(key);
}
