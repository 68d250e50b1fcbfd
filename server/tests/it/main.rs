//! The server: transactions over real shards without SQL, and the `sharddb` process as its users meet it.

mod http;
mod process;
mod protocol;
mod raw;
mod signals;
mod startup;
mod transactions;
