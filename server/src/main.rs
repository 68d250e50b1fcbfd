//! The `sharddb` binary.

fn main() {}
