//! Transactions over real shards in one process, without SQL.

mod fragments;
mod transactions;
