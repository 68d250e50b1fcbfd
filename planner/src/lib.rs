//! SQL text to bound plans: parse, resolve names, decide types.
//!
//! Pure: reads a catalog snapshot and nothing else. Does not touch network, clock or disk, and knows nothing of
//! DataFusion, keys or shards.

pub mod plan;
