//! The protocol from a raw socket: startup, and what clients should not send.

mod abuse;
mod startup;
mod tls;
