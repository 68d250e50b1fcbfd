//! The protocol from a raw socket: what PostgreSQL does, and what clients should not send.

mod abuse;
mod copy;
mod extended;
mod interrupt;
mod login;
mod server;
mod simple;
mod startup;
mod tls;
mod values;
