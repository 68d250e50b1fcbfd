//! Compiles the .proto files without a system `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files =
        protox::compile(["proto/kv.proto", "proto/meta.proto", "proto/raft.proto", "proto/rpc.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    Ok(())
}
