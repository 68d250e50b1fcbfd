//! Sequences: positions as rows, blocks of values cached in memory.
//!
//! A position changes in small transactions of its own, so a value is handed out at most once whatever becomes of the
//! transaction that took it. Blocks grow while they are used up quickly; a crash loses what is left of one, as
//! PostgreSQL does.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use proto::{SqlError, SqlResult, SqlState};
use schema::{Oid, SequenceDescriptor};
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::catalog;

/// First block: what PostgreSQL logs ahead.
const BLOCK_MIN: u64 = 32;
/// Largest block: a load of a million rows then needs some two hundred small transactions.
const BLOCK_MAX: u64 = 4096;
/// A block that was used up within this time is followed by one twice as large.
const QUICK: Duration = Duration::from_millis(200);

/// Where a sequence stands: `last_value` and `is_called`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) value: i64,
    /// Whether the value was handed out.
    pub(crate) called: bool,
}

/// A sequence that a transaction holds the lock on, so that it alone takes values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnSequence {
    pub(crate) position: Position,
    /// How often the transaction has restarted it.
    restarts: u32,
    /// Where it stood before; `None` for one that the transaction has made.
    before: Option<Position>,
}

impl OwnSequence {
    /// A sequence that the transaction has just made.
    pub(crate) fn new(position: Position) -> Self {
        Self { position, restarts: 0, before: None }
    }

    /// The sequence restarted at a position. `present` is what the transaction knew of it; `before` counts if nothing.
    pub(crate) fn restarted(present: Option<Self>, position: Position, before: Position) -> Self {
        match present {
            Some(present) => Self { position, restarts: present.restarts + 1, ..present },
            None => Self { position, restarts: 1, before: Some(before) },
        }
    }

    /// The sequence after a rollback to a savepoint, at which it was `saved`; `None` if it is gone. The lock stays.
    pub(crate) fn rolled_back(self, saved: Option<Self>) -> Option<Self> {
        match (saved, self.before) {
            // Values taken since are not given back.
            (Some(saved), _) if saved.restarts == self.restarts => Some(self),
            (Some(saved), _) => Some(saved),
            (None, Some(before)) => Some(Self { position: before, restarts: 0, before: self.before }),
            (None, None) => None,
        }
    }
}

impl Position {
    pub(crate) fn encode(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(9);
        bytes.put_i64(self.value);
        bytes.put_u8(self.called.into());
        bytes.freeze()
    }

    fn decode(bytes: Option<&[u8]>) -> SqlResult<Self> {
        let broken = || SqlError::new(SqlState::DataCorrupted, "a sequence's position cannot be read");
        let (value, called) = bytes.and_then(|bytes| bytes.split_last_chunk::<1>()).ok_or_else(broken)?;
        let value = i64::from_be_bytes(value.try_into().map_err(|_| broken())?);
        Ok(Self { value, called: called[0] != 0 })
    }

    /// The next value, or 2200H at the end of a sequence that does not cycle.
    pub(crate) fn next(self, sequence: &SequenceDescriptor) -> SqlResult<i64> {
        if !self.called {
            return Ok(self.value);
        }
        let next = self.value.checked_add(sequence.increment);
        let inside = next.filter(|next| (sequence.min..=sequence.max).contains(next));
        match inside {
            Some(next) => Ok(next),
            None if sequence.cycle => Ok(if sequence.increment > 0 { sequence.min } else { sequence.max }),
            None => Err(exhausted(sequence)),
        }
    }
}

fn exhausted(sequence: &SequenceDescriptor) -> SqlError {
    let (word, bound) = if sequence.increment > 0 { ("maximum", sequence.max) } else { ("minimum", sequence.min) };
    let message = format!("nextval: reached {word} value of sequence \"{}\" ({bound})", sequence.name);
    SqlError::new(SqlState::SequenceGeneratorLimitExceeded, message)
}

/// Locks a position for a change.
pub(crate) async fn lock_position(txn: &mut kv::Txn, key: &Bytes) -> SqlResult<Option<Bytes>> {
    let lock = kv::RowLock { mode: proto::kv::LockMode::Update, wait: proto::kv::WaitPolicy::Block, timeout_ms: 0 };
    Ok(txn.lock(std::slice::from_ref(key), lock).await?.swap_remove(0).value)
}

/// A sequence's position as a transaction sees it.
pub(crate) async fn read_position(txn: &mut kv::Txn, sequence: Oid) -> SqlResult<Position> {
    let value = txn.get_latest(&catalog::sequence_key(sequence)).await?;
    Position::decode(value.as_deref())
}

/// Values taken from a sequence and not handed out yet.
struct Block {
    next: i64,
    left: u64,
    size: u64,
    filled: Instant,
}

/// Cached blocks of every sequence this process uses.
#[derive(Default)]
pub(crate) struct Sequences {
    blocks: Mutex<HashMap<Oid, Arc<tokio::sync::Mutex<Block>>>>,
}

impl Sequences {
    /// The next value.
    pub(crate) async fn next(&self, client: &kv::Client, sequence: &SequenceDescriptor) -> SqlResult<i64> {
        let block = self.block(sequence.oid);
        let mut block = block.lock().await;
        if block.left == 0 {
            fill(client, sequence, &mut block).await?;
        }
        let value = block.next;
        block.left -= 1;
        block.next = value.wrapping_add(sequence.increment);
        Ok(value)
    }

    /// The next value if there is one without waiting.
    pub(crate) fn try_next(&self, sequence: &SequenceDescriptor) -> Option<i64> {
        let block = self.block(sequence.oid);
        let mut block = block.try_lock().ok()?;
        if block.left == 0 {
            return None;
        }
        let value = block.next;
        block.left -= 1;
        block.next = value.wrapping_add(sequence.increment);
        Some(value)
    }

    /// setval.
    pub(crate) async fn set(
        &self,
        client: &kv::Client,
        sequence: &SequenceDescriptor,
        position: Position,
    ) -> SqlResult<()> {
        check_bounds(sequence, position.value)?;
        let block = self.block(sequence.oid);
        let mut block = block.lock().await;
        let key = catalog::sequence_key(sequence.oid);
        let mut txn = client.begin(kv::TxnOptions::default());
        lock_position(&mut txn, &key).await?;
        txn.put(key, position.encode());
        txn.commit().await?;
        block.left = 0;
        Ok(())
    }

    /// The last value handed out, as `SELECT last_value FROM sequence` shows it.
    pub(crate) async fn position(&self, client: &kv::Client, sequence: &SequenceDescriptor) -> SqlResult<Position> {
        let block = self.block(sequence.oid);
        let block = block.lock().await;
        let stored = client.read_latest(catalog::sequence_key(sequence.oid)).await?;
        let stored = Position::decode(stored.as_deref())?;
        if block.left == 0 {
            return Ok(stored);
        }
        let value = block.next.wrapping_sub(sequence.increment);
        // Before the first value of a block nothing of it was handed out.
        let inside = (sequence.min..=sequence.max).contains(&value);
        Ok(if inside { Position { value, called: true } } else { Position { value: block.next, called: false } })
    }

    /// Takes back the values that were not handed out: the position from which a changed sequence goes on. The caller
    /// holds the lock on the stored position, so nobody takes another block meanwhile.
    pub(crate) async fn take_back(&self, stored: Position, sequence: &SequenceDescriptor) -> Position {
        let block = self.block(sequence.oid);
        let mut block = block.lock().await;
        if block.left == 0 {
            return stored;
        }
        block.left = 0;
        let last = block.next.wrapping_sub(sequence.increment);
        let inside = (sequence.min..=sequence.max).contains(&last);
        if inside { Position { value: last, called: true } } else { Position { value: block.next, called: false } }
    }

    /// Forgets cached values, since the sequence was changed.
    pub(crate) fn forget(&self, sequence: Oid) {
        self.blocks.lock().remove(&sequence);
    }

    fn block(&self, sequence: Oid) -> Arc<tokio::sync::Mutex<Block>> {
        let empty = || {
            let block = Block { next: 0, left: 0, size: BLOCK_MIN / 2, filled: Instant::now() };
            Arc::new(tokio::sync::Mutex::new(block))
        };
        Arc::clone(self.blocks.lock().entry(sequence).or_insert_with(empty))
    }
}

/// Takes the next block in a transaction of its own.
async fn fill(client: &kv::Client, sequence: &SequenceDescriptor, block: &mut Block) -> SqlResult<()> {
    let quick = block.filled.elapsed() < QUICK;
    let size = if quick { (block.size * 2).min(BLOCK_MAX) } else { BLOCK_MIN };
    let key = catalog::sequence_key(sequence.oid);
    let mut txn = client.begin(kv::TxnOptions::default());
    let stored = lock_position(&mut txn, &key).await?;
    let first = match Position::decode(stored.as_deref()).and_then(|position| position.next(sequence)) {
        Ok(first) => first,
        Err(error) => {
            txn.rollback().await;
            return Err(error);
        }
    };
    let bound = if sequence.increment > 0 { sequence.max } else { sequence.min };
    let step = i128::from(sequence.increment);
    let room = (i128::from(bound) - i128::from(first)) / step + 1;
    let count = u64::try_from(room).unwrap_or(u64::MAX).min(size).max(1);
    let last = i128::from(first) + step * (i128::from(count) - 1);
    let last = i64::try_from(last).map_err(|_| SqlError::internal("a sequence block leaves int8"))?;
    txn.put(key, Position { value: last, called: true }.encode());
    txn.commit().await?;
    *block = Block { next: first, left: count, size, filled: Instant::now() };
    Ok(())
}

fn check_bounds(sequence: &SequenceDescriptor, value: i64) -> SqlResult<()> {
    if (sequence.min..=sequence.max).contains(&value) {
        return Ok(());
    }
    let message = format!(
        "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
        sequence.name, sequence.min, sequence.max
    );
    Err(SqlError::new(SqlState::NumericValueOutOfRange, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(increment: i64, cycle: bool) -> SequenceDescriptor {
        SequenceDescriptor {
            oid: Oid(16_400),
            schema: Oid(2200),
            name: "s".to_owned(),
            owner: Oid(10),
            sql_type: Oid::INT8,
            start: 1,
            increment,
            min: 1,
            max: 3,
            cache: 1,
            cycle,
            owned_by: None,
        }
    }

    #[test]
    fn positions_step_end_and_cycle() {
        let position = |value, called| Position { value, called };
        assert_eq!(position(1, false).next(&sequence(1, false)), Ok(1));
        assert_eq!(position(1, true).next(&sequence(1, false)), Ok(2));
        assert_eq!(position(3, true).next(&sequence(1, true)), Ok(1));
        assert_eq!(position(1, true).next(&sequence(-1, true)), Ok(3));
        let error = position(3, true).next(&sequence(1, false)).expect_err("the end");
        assert_eq!(error.message(), "nextval: reached maximum value of sequence \"s\" (3)");
        assert_eq!(Position::decode(Some(&position(-7, true).encode())), Ok(position(-7, true)));
        assert!(Position::decode(Some(b"abc")).is_err());
    }
}
