//! Range reads of versions: one value for each key that has one at a timestamp.

use proto::Timestamp;
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::{Cf, Cursor, Engine, Result, Span};

use super::{
    key::{decode_version, split_version, version_key},
    read::damaged,
};

/// Versions of a key that are stepped over before the next key is sought instead.
const STEPS_BEFORE_SEEK: usize = 8;

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the start of the span.
    Forward,
    /// From the end of the span.
    Reverse,
}

/// A scan at a timestamp. It sees the state of its creation; a reader makes sure beforehand that nothing at or below
/// its timestamp can appear later.
pub struct VersionCursor {
    cursor: Box<dyn Cursor>,
    ts: Timestamp,
    direction: Direction,
    /// Whether the inner cursor stands on an entry that has not been looked at.
    more: bool,
    key: Vec<u8>,
    value: Vec<u8>,
    commit_ts: Timestamp,
}

impl VersionCursor {
    /// Starts before the first key.
    pub fn open(engine: &dyn Engine, span: &Span, ts: Timestamp, direction: Direction) -> Result<Self> {
        Self::over(engine.cursor(Cf::Data, span)?, ts, direction)
    }

    /// The same over a cursor of `Cf::Data`.
    pub(crate) fn over(mut cursor: Box<dyn Cursor>, ts: Timestamp, direction: Direction) -> Result<Self> {
        let more = match direction {
            Direction::Forward => cursor.first()?,
            Direction::Reverse => cursor.last()?,
        };
        Ok(Self { cursor, ts, direction, more, key: Vec::new(), value: Vec::new(), commit_ts: Timestamp::ZERO })
    }

    /// Moves to the next key with a value. Answers whether there is one.
    pub fn advance(&mut self) -> Result<bool> {
        while self.more {
            let found = match self.direction {
                Direction::Forward => self.next_key_forward()?,
                Direction::Reverse => self.next_key_reverse()?,
            };
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The key here.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value here.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// When the value here was committed.
    pub fn commit_ts(&self) -> Timestamp {
        self.commit_ts
    }

    /// Reads one key's versions, newest first, and leaves the cursor at the next key.
    fn next_key_forward(&mut self) -> Result<bool> {
        let (key, mut ts) = split_version(self.cursor.key()).ok_or_else(damaged)?;
        self.key.clear();
        self.key.extend_from_slice(key);
        if ts > self.ts {
            self.more = self.cursor.seek(&version_key(&self.key, self.ts))?;
            match self.same_key()? {
                Some(at) => ts = at,
                None => return Ok(false),
            }
        }
        let found = self.take_value(ts)?;
        self.skip_key_forward()?;
        Ok(found)
    }

    fn skip_key_forward(&mut self) -> Result<()> {
        for _ in 0..STEPS_BEFORE_SEEK {
            self.more = self.cursor.next()?;
            if self.same_key()?.is_none() {
                return Ok(());
            }
        }
        let last = version_key(&self.key, Timestamp::ZERO);
        self.more = self.cursor.seek(&last)?;
        if self.more && self.cursor.key() == last {
            self.more = self.cursor.next()?;
        }
        Ok(())
    }

    /// Reads one key's versions, oldest first, and leaves the cursor at the key before.
    fn next_key_reverse(&mut self) -> Result<bool> {
        let (key, _) = split_version(self.cursor.key()).ok_or_else(damaged)?;
        self.key.clear();
        self.key.extend_from_slice(key);
        let mut found = false;
        while let Some(ts) = self.same_key()? {
            if ts > self.ts {
                break;
            }
            found = self.take_value(ts)?;
            self.more = self.cursor.prev()?;
        }
        while self.same_key()?.is_some() {
            self.more = self.cursor.prev()?;
        }
        Ok(found)
    }

    /// The timestamp of the version here if it belongs to the present key.
    fn same_key(&self) -> Result<Option<Timestamp>> {
        if !self.more {
            return Ok(None);
        }
        let (key, ts) = split_version(self.cursor.key()).ok_or_else(damaged)?;
        Ok((key == self.key).then_some(ts))
    }

    fn take_value(&mut self, ts: Timestamp) -> Result<bool> {
        let value = decode_version(self.cursor.value()).ok_or_else(damaged)?;
        self.value.clear();
        self.value.extend_from_slice(value.unwrap_or_default());
        self.commit_ts = ts;
        Ok(value.is_some())
    }
}
