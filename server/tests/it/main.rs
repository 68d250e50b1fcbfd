//! The server: transactions over real shards without SQL, and the `sharddb` process as its users meet it.

mod cluster;
mod fragments;
mod http;
mod money;
mod one_phase;
mod process;
mod protocol;
mod psql;
mod raw;
mod reclaim;
mod records;
mod signals;
mod staged;
mod startup;
mod through;
mod transactions;
