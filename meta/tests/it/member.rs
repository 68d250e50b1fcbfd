//! A member over a Raft group of its own, with a log on disk.

use std::{path::Path, sync::Arc};

use meta::{GROUP, Meta};
use proto::meta::{Node, RangeDescriptor};
use raft::{
    RaftHost,
    log::{LogOptions, RealFiles, SharedLog},
};
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage::{Engine, MemoryEngine};

use crate::log::TestClock;

struct Process {
    host: RaftHost,
    engine: Arc<dyn Engine>,
    clock: Arc<TestClock>,
}

impl Process {
    fn start(directory: &Path, engine: &Arc<MemoryEngine>, wall_ms: u64) -> Self {
        let files = Arc::new(RealFiles::open(directory).expect("a directory"));
        let log = Arc::new(SharedLog::open(files, LogOptions::default()).expect("a log"));
        let engine = Arc::clone(engine) as Arc<dyn Engine>;
        Self { host: RaftHost::new(1, log), engine, clock: TestClock::new(wall_ms) }
    }

    async fn member(&self) -> Meta {
        let clock = Arc::clone(&self.clock) as Arc<dyn meta::Clock>;
        Meta::found(&self.host, Arc::clone(&self.engine), clock).await.expect("a member")
    }
}

async fn bootstrap(meta: &Meta) {
    let node = Node { id: 1, store: "a".to_owned(), ..Node::default() };
    let range = RangeDescriptor { shard: 1, epoch: 1, replicas: vec![1], ..RangeDescriptor::default() };
    meta.bootstrap("c".to_owned(), node, vec![range]).await.expect("a new cluster");
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was_whatever_the_clock_says() {
    let (directory, engine) = (tempfile::tempdir().expect("a directory"), Arc::<MemoryEngine>::default());
    let mut last = proto::Timestamp::ZERO;
    let mut ids = Vec::new();
    for wall_ms in [1_000_000, 2_000_000, 1000] {
        let process = Process::start(directory.path(), &engine, wall_ms);
        let meta = process.member().await;
        if meta.cluster_id().is_empty() {
            bootstrap(&meta).await;
        }
        let next = meta.try_timestamp().expect("the only member leads at once");
        assert!(next > last, "{next} after {last}");
        last = meta.timestamp().await.expect("a timestamp");
        ids.push(meta.allocate_shards(2).await.expect("ids"));
        assert_eq!((&meta.cluster_id()[..], meta.nodes().len(), meta.ranges().len()), ("c", 1, 1));
        process.host.shutdown().await;
    }
    assert_eq!(ids, [2, 4, 6]);
}

#[tokio::test]
async fn who_left_has_nothing_of_it_any_more() {
    let (directory, engine) = (tempfile::tempdir().expect("a directory"), Arc::<MemoryEngine>::default());
    let process = Process::start(directory.path(), &engine, 1_000_000);
    bootstrap(&process.member().await).await;
    Meta::leave(&process.host, process.engine.as_ref()).await.expect("left");
    assert!(!process.host.known_groups().contains(&GROUP));
    let anew = process.member().await;
    assert_eq!((anew.cluster_id().is_empty(), anew.ranges().is_empty()), (true, true));
    bootstrap(&anew).await;
    process.host.shutdown().await;
}
