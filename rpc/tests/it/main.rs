//! Nodes of one process that call each other over loopback.

mod cluster;
mod cost;
mod fragments;
mod greetings;
mod probe;
mod proxy;
mod requests;
mod strangers;
mod tls;
mod troubles;
