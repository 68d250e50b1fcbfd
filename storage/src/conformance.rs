//! What every engine must do. Each engine's tests call [`run`] with a maker of fresh engines.

use crate::{Batch, Cf, Engine, Span, export};

/// Runs the whole suite. Panics with a message at the first deviation.
pub fn run<E: Engine>(make: impl Fn() -> E) {
    batches_apply_in_order(&make());
    families_are_separate(&make());
    cursors_stay_in_their_span(&make());
    cursors_do_not_see_later_writes(&make());
    ranges_are_deleted(&make());
    versions_are_found(&make());
    flush_keeps_contents(&make());
    snapshots_hold_one_moment_of_all_families(&make());
    an_open_range_ends_after_every_key_and_covers_the_same_batch(&make());
    a_longer_key_between_versions_hides_what_follows(&make());
    tables_carry_a_span_to_another_engine(&make(), &make());
}

fn put(engine: &impl Engine, cf: Cf, entries: &[(&str, &str)]) {
    let mut batch = Batch::default();
    for (key, value) in entries {
        batch.put(cf, key.as_bytes(), value.as_bytes());
    }
    engine.write(&batch).expect("a write succeeds");
}

fn keys(engine: &impl Engine, cf: Cf, span: &Span) -> Vec<String> {
    let mut cursor = engine.cursor(cf, span).expect("a cursor opens");
    let mut keys = Vec::new();
    let mut more = cursor.first().expect("a cursor moves");
    while more {
        keys.push(String::from_utf8(cursor.key().to_vec()).expect("keys are text"));
        more = cursor.next().expect("a cursor moves");
    }
    keys
}

fn batches_apply_in_order(engine: &impl Engine) {
    let mut batch = Batch::default();
    batch.put(Cf::Local, *b"a", *b"1");
    batch.delete(Cf::Local, *b"a");
    batch.put(Cf::Local, *b"b", *b"1");
    batch.put(Cf::Local, *b"b", *b"2");
    batch.delete(Cf::Local, *b"never");
    engine.write(&batch).expect("a write succeeds");
    assert_eq!(engine.get(Cf::Local, b"a").expect("a read succeeds"), None);
    assert_eq!(engine.get(Cf::Local, b"b").expect("a read succeeds"), Some(b"2".to_vec()));
}

fn families_are_separate(engine: &impl Engine) {
    for (cf, value) in Cf::ALL.into_iter().zip(["data", "intents", "local"]) {
        put(engine, cf, &[("key_______", value)]);
    }
    for (cf, value) in Cf::ALL.into_iter().zip(["data", "intents", "local"]) {
        assert_eq!(engine.get(cf, b"key_______").expect("a read succeeds"), Some(value.into()));
    }
}

fn cursors_stay_in_their_span(engine: &impl Engine) {
    put(engine, Cf::Intents, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
    assert_eq!(keys(engine, Cf::Intents, &Span::new("b", "d")), ["b", "c"]);
    assert_eq!(keys(engine, Cf::Intents, &Span::new("c", "")), ["c", "d"]);
    assert_eq!(keys(engine, Cf::Intents, &Span::new("", "")), ["a", "b", "c", "d"]);
    assert_eq!(keys(engine, Cf::Intents, &Span::new("x", "")), Vec::<String>::new());
    let mut cursor = engine.cursor(Cf::Intents, &Span::new("b", "d")).expect("a cursor opens");
    assert!(cursor.last().expect("moves"));
    assert_eq!((cursor.key(), cursor.value()), (&b"c"[..], &b"3"[..]));
    assert!(cursor.prev().expect("moves"));
    assert_eq!(cursor.key(), b"b");
    assert!(!cursor.prev().expect("moves"));
    assert!(cursor.seek(b"bb").expect("moves"));
    assert_eq!(cursor.key(), b"c");
    assert!(cursor.seek_back(b"bb").expect("moves"));
    assert_eq!(cursor.key(), b"b");
    assert!(!cursor.seek(b"cc").expect("moves"));
}

fn cursors_do_not_see_later_writes(engine: &impl Engine) {
    put(engine, Cf::Local, &[("a", "1")]);
    let mut cursor = engine.cursor(Cf::Local, &Span::new("", "")).expect("a cursor opens");
    put(engine, Cf::Local, &[("a", "2"), ("b", "2")]);
    assert!(cursor.first().expect("moves"));
    assert_eq!(cursor.value(), b"1");
    assert!(!cursor.next().expect("moves"));
}

fn ranges_are_deleted(engine: &impl Engine) {
    put(engine, Cf::Data, &[("a_______1", "1"), ("b_______1", "2"), ("c_______1", "3")]);
    let mut batch = Batch::default();
    batch.delete_range(Cf::Data, Span::new("b", "c"));
    batch.delete_range(Cf::Data, Span::new("c", "a"));
    engine.write(&batch).expect("a write succeeds");
    assert_eq!(keys(engine, Cf::Data, &Span::default()), ["a_______1", "c_______1"]);
    let mut batch = Batch::default();
    batch.delete_range(Cf::Data, Span::new("b", ""));
    engine.write(&batch).expect("a write succeeds");
    assert_eq!(keys(engine, Cf::Data, &Span::default()), ["a_______1"]);
}

fn versions_are_found(engine: &impl Engine) {
    put(engine, Cf::Data, &[("k00000003", "3"), ("k00000007", "7"), ("kk00000005", "other"), ("l00000001", "1")]);
    let find = |key: &str| {
        let found = engine.first_version(key.as_bytes()).expect("a read succeeds");
        found.map(|(_, value)| String::from_utf8(value).expect("text"))
    };
    assert_eq!(find("k00000000").as_deref(), Some("3"));
    assert_eq!(find("k00000003").as_deref(), Some("3"));
    assert_eq!(find("k00000004").as_deref(), Some("7"));
    assert_eq!(find("k00000008"), None);
    assert_eq!(find("absent__00000000"), None);
}

fn flush_keeps_contents(engine: &impl Engine) {
    put(engine, Cf::Data, &[("a00000001", "1")]);
    engine.flush().expect("a flush succeeds");
    put(engine, Cf::Data, &[("a00000000", "0")]);
    assert_eq!(keys(engine, Cf::Data, &Span::default()), ["a00000000", "a00000001"]);
    assert_eq!(engine.first_version(b"a00000001").expect("reads").map(|(_, value)| value), Some(b"1".to_vec()));
}

fn snapshots_hold_one_moment_of_all_families(engine: &impl Engine) {
    put(engine, Cf::Data, &[("a_______1", "1")]);
    put(engine, Cf::Local, &[("a", "1")]);
    let snapshot = engine.snapshot();
    put(engine, Cf::Data, &[("a_______1", "2"), ("b_______1", "2")]);
    put(engine, Cf::Local, &[("a", "2")]);
    engine.flush().expect("a flush succeeds");
    assert_eq!(snapshot.get(Cf::Local, b"a").expect("reads"), Some(b"1".to_vec()));
    assert_eq!(snapshot.get(Cf::Local, b"b").expect("reads"), None);
    let mut cursor = snapshot.cursor(Cf::Data, &Span::default()).expect("a cursor opens");
    drop(snapshot);
    assert!(cursor.first().expect("moves"));
    assert_eq!((cursor.key(), cursor.value()), (&b"a_______1"[..], &b"1"[..]));
    assert!(!cursor.next().expect("moves"));
    assert_eq!(engine.get(Cf::Local, b"a").expect("reads"), Some(b"2".to_vec()));
}

fn an_open_range_ends_after_every_key_and_covers_the_same_batch(engine: &impl Engine) {
    let last = [0xff; 9];
    let mut batch = Batch::default();
    batch.put(Cf::Local, last, *b"stored before");
    engine.write(&batch).expect("a write succeeds");
    let mut batch = Batch::default();
    batch.put(Cf::Local, *b"b", *b"1");
    batch.put(Cf::Local, [0xff; 12], *b"1");
    batch.put(Cf::Intents, [0xff; 12], *b"other family");
    batch.delete_range(Cf::Local, Span::new("b", ""));
    batch.put(Cf::Local, *b"c", *b"after");
    engine.write(&batch).expect("a write succeeds");
    assert_eq!(keys(engine, Cf::Local, &Span::default()), ["c"]);
    assert!(engine.get(Cf::Intents, &[0xff; 12]).expect("reads").is_some());
    assert_eq!(engine.get(Cf::Local, &last).expect("reads"), None);
}

fn tables_carry_a_span_to_another_engine(from: &impl Engine, to: &impl Engine) {
    let unique = std::ptr::from_ref(from) as usize;
    let directory = std::env::temp_dir().join(format!("sharddb-tables-{}-{unique}", std::process::id()));
    std::fs::create_dir(&directory).expect("a directory is made");
    put(from, Cf::Data, &[("a00000001", "out"), ("b00000002", "2"), ("b00000001", "1"), ("c00000001", "out")]);
    let snapshot = from.snapshot();
    put(from, Cf::Data, &[("b00000000", "later")]);
    let span = Span::new("b", "c");
    let files = export(from, snapshot.as_ref(), Cf::Data, &span, &directory.join("data")).expect("a span is exported");
    assert_eq!(files.len(), 1);
    put(to, Cf::Data, &[("b00000002", "old"), ("b00000003", "gone"), ("z00000001", "stays")]);
    // Whatever takes files does it again after a crash.
    for _ in 0..2 {
        let mut batch = Batch::default();
        batch.delete_range(Cf::Data, span.clone());
        to.write(&batch).expect("a write succeeds");
        to.ingest(Cf::Data, &files).expect("tables are ingested");
        assert_eq!(keys(to, Cf::Data, &Span::default()), ["b00000001", "b00000002", "z00000001"]);
        let version = to.first_version(b"b00000002").expect("reads").map(|(_, value)| value);
        assert_eq!(version.as_deref(), Some(&b"2"[..]));
    }
    put(to, Cf::Data, &[("b00000001", "newer")]);
    assert_eq!(to.get(Cf::Data, b"b00000001").expect("reads").as_deref(), Some(&b"newer"[..]));
    let mut cursor = snapshot.cursor(Cf::Data, &Span::default()).expect("a cursor opens");
    assert!(cursor.first().expect("moves"));
    let first = directory.join("first");
    assert!(from.write_table(Cf::Data, cursor.as_mut(), &first, 1).expect("a table is written"), "there is more");
    assert_eq!(cursor.key(), b"b00000001", "the next file begins behind the last");
    let none = export(from, snapshot.as_ref(), Cf::Intents, &Span::default(), &directory.join("none"));
    assert!(none.expect("nothing is exported").is_empty());
    to.ingest(Cf::Intents, &[]).expect("nothing is ingested");
    std::fs::remove_dir_all(&directory).expect("the directory is removed");
}

/// Why keys have to be prefix-free: the known limit of `first_version`, the same in every engine.
fn a_longer_key_between_versions_hides_what_follows(engine: &impl Engine) {
    put(engine, Cf::Data, &[("k00000003x00000001", "other key"), ("k00000007", "7")]);
    let find = |key: &str| engine.first_version(key.as_bytes()).expect("a read succeeds").map(|(_, value)| value);
    assert_eq!(find("k00000003"), None);
    assert_eq!(find("k00000004").as_deref(), Some(&b"7"[..]));
}
