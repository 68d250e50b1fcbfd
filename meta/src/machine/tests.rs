//! What the machine stores, and that it reads the same back.

use proto::meta::{Bootstrap, Node, PutRanges, RangeDescriptor, Setting, command};
use storage::{MemoryEngine, Span};

use super::*;

fn range(shard: u64, start: &str, end: &str, epoch: u64) -> RangeDescriptor {
    let (start, end) = (Bytes::from(start.to_owned()), Bytes::from(end.to_owned()));
    RangeDescriptor { shard, start, end, epoch, replicas: vec![1], ..RangeDescriptor::default() }
}

fn bootstrap(ranges: Vec<RangeDescriptor>) -> command::Body {
    let node = Some(Node { id: 1, ..Node::default() });
    command::Body::Bootstrap(Bootstrap { cluster_id: "c".to_owned(), node, ranges })
}

fn apply(machine: &Machine, index: u64, body: command::Body) -> Result<u64, String> {
    let command = Command { body: Some(body) }.encode_to_vec().into();
    let position = Bytes::from(index.to_string());
    decode_outcome(&machine.apply(&[Committed { index, command }], position).expect("no fatal error")[0])
}

fn contents(engine: &MemoryEngine) -> Vec<(Vec<u8>, Vec<u8>)> {
    engine.contents(Cf::Local)
}

/// Keys that a command wrote.
fn written(engine: &MemoryEngine, run: impl FnOnce()) -> Vec<String> {
    let before = contents(engine);
    run();
    let after = contents(engine);
    let changed = after
        .iter()
        .filter(|entry| !before.contains(entry))
        .chain(before.iter().filter(|(key, _)| after.iter().all(|(known, _)| known != key)));
    changed.map(|(key, _)| String::from_utf8_lossy(key).replace('\0', "")).collect()
}

#[test]
fn a_command_writes_only_the_records_it_changes() {
    let engine = Arc::new(MemoryEngine::default());
    let machine = Machine::open(Arc::clone(&engine) as Arc<dyn Engine>).expect("a new state");
    let ranges = (0..100).map(|i| {
        let border = |i: u64| if i == 0 || i == 100 { String::new() } else { format!("{i:03}") };
        range(i + 1, &border(i), &border(i + 1), 1)
    });
    apply(&machine, 1, bootstrap(ranges.collect())).expect("a cluster");
    let window = written(&engine, || drop(apply(&machine, 2, command::Body::ExtendWindow(7))));
    assert_eq!(window, ["m/counter/window", "m/position"]);
    let setting = Setting { name: "x".to_owned(), value: Some("1".to_owned()) };
    let setting = written(&engine, || drop(apply(&machine, 3, command::Body::PutSetting(setting))));
    assert_eq!(setting, ["m/counter/settings_version", "m/position", "m/setting/x"]);
    let put = PutRanges { ranges: vec![range(5, "004", "0045", 2), range(101, "0045", "005", 2)] };
    let split = written(&engine, || drop(apply(&machine, 4, command::Body::PutRanges(put))));
    assert_eq!(split, ["m/counter/ranges_version", "m/position", "m/range/004", "m/range/0045"]);
    let put = PutRanges { ranges: vec![range(5, "004", "005", 3)] };
    let merge = written(&engine, || drop(apply(&machine, 5, command::Body::PutRanges(put))));
    assert_eq!(merge, ["m/counter/ranges_version", "m/position", "m/range/004", "m/range/0045"]);
    let read_back = Machine::open(Arc::clone(&engine) as Arc<dyn Engine>).expect("the state");
    assert_eq!(read_back.shared.read(State::clone), machine.shared.read(State::clone));
}

#[test]
fn a_snapshot_carries_everything_and_leaves_nothing_of_before() {
    let from = Machine::open(Arc::new(MemoryEngine::default())).expect("a new state");
    apply(&from, 1, bootstrap(vec![range(1, "", "g", 1), range(2, "g", "", 1)])).expect("a cluster");
    apply(&from, 2, command::Body::AllocateObjectIds(10)).expect("ids");
    let engine = Arc::new(MemoryEngine::default());
    let to = Machine::open(Arc::clone(&engine) as Arc<dyn Engine>).expect("a new state");
    apply(&to, 1, bootstrap(vec![range(1, "", "p", 1), range(2, "p", "", 1)])).expect("a cluster");
    let directory = tempfile::tempdir().expect("a directory");
    from.snapshot().expect("a snapshot")(directory.path()).expect("written");
    to.restore(directory.path(), Bytes::from_static(b"2")).expect("restored");
    assert_eq!(to.shared.read(State::clone), from.shared.read(State::clone));
    let read_back = Machine::open(Arc::clone(&engine) as Arc<dyn Engine>).expect("the state");
    assert_eq!(read_back.shared.read(State::clone), from.shared.read(State::clone));
    assert_eq!(read_back.position().expect("a position"), Some(Bytes::from_static(b"2")));
}

#[test]
fn a_state_stored_as_one_value_is_taken_apart() {
    let engine = Arc::new(MemoryEngine::default());
    let whole = Snapshot {
        cluster_id: "c".to_owned(),
        nodes: vec![Node { id: 1, ..Node::default() }],
        ranges: vec![range(1, "", "", 3)],
        window: 9,
        next_object_id: 20_000,
        ..Snapshot::default()
    };
    let mut batch = Batch::default();
    batch.put(Cf::Local, *b"m/state", whole.encode_to_vec());
    engine.write(&batch).expect("written");
    let open = || Machine::open(Arc::clone(&engine) as Arc<dyn Engine>).expect("the state").shared.read(State::clone);
    let state = open();
    assert_eq!(state, State::from(whole));
    assert_eq!(open(), state);
    let span = Span::new(*b"m/state", *b"m/statf");
    assert!(!engine.cursor(Cf::Local, &span).expect("a cursor").first().expect("a look"));
}
