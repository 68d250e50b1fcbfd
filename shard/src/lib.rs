//! Node side of the data: shards, MVCC, intents, locks.
