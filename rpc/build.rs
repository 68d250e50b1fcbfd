//! Generates client and server of the service between nodes. Its messages are the `proto` crate's.

use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

const PROST: &str = "tonic_prost::ProstCodec";

fn method(name: &str, route: &str, input: &str, output: &str) -> MethodBuilder {
    Method::builder().name(name).route_name(route).input_type(input).output_type(output).codec_path(PROST)
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let link = method("link", "Link", "crate::codec::Batch", "crate::codec::Batch");
    let link = link.codec_path("crate::codec::LinkCodec").client_streaming().server_streaming();
    let fragment = method("fragment", "Fragment", "sharddb_proto::kv::Fragment", "sharddb_proto::rpc::FragmentChunk");
    let fetch = ("sharddb_proto::raft::FetchSnapshot", "sharddb_proto::rpc::SnapshotAnswer");
    let service = Service::builder()
        .name("Node")
        .package("sharddb.rpc")
        .comment("What nodes ask of each other.")
        .method(method("hello", "Hello", "sharddb_proto::rpc::Hello", "sharddb_proto::rpc::HelloAnswer").build())
        .method(method("join", "Join", "sharddb_proto::rpc::JoinRequest", "sharddb_proto::rpc::JoinAnswer").build())
        .method(link.build())
        .method(method("call", "Call", "sharddb_proto::rpc::Envelope", "sharddb_proto::rpc::Envelope").build())
        .method(fragment.server_streaming().build())
        .method(method("fetch_snapshot", "FetchSnapshot", fetch.0, fetch.1).build())
        .build();
    Builder::new().build_transport(false).compile(&[service]);
}
