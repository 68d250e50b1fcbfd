//! Writes that become visible and durable together.

use crate::{Cf, Span};

/// One change of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sets a key.
    Put(Cf, Vec<u8>, Vec<u8>),
    /// Removes a key; nothing happens if it is absent.
    Delete(Cf, Vec<u8>),
    /// Removes every key of a span.
    DeleteRange(Cf, Span),
}

/// Changes in order; a later one wins over an earlier one of the same key.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    operations: Vec<Operation>,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, cf: Cf, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.operations.push(Operation::Put(cf, key.into(), value.into()));
    }

    /// Removes a key.
    pub fn delete(&mut self, cf: Cf, key: impl Into<Vec<u8>>) {
        self.operations.push(Operation::Delete(cf, key.into()));
    }

    /// Removes every key of a span.
    pub fn delete_range(&mut self, cf: Cf, span: Span) {
        self.operations.push(Operation::DeleteRange(cf, span));
    }

    /// The changes in order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}
