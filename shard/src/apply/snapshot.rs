//! A shard's whole state as files: for a replica that is too far behind for the log.
//!
//! `range` holds the descriptor; every other file is a table of the engine, named by what it belongs to. Tables of one column
//! family are ingested together.

use std::{fs, path::Path, sync::atomic::Ordering};

use bytes::Bytes;
use prost::Message;
use proto::kv;
use raft::{Capture, Fatal};
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage as storage;
use storage::{Batch, Cf, Span, export};

use super::{
    machine::{Shared, fatal},
    range::{load_aborts, load_intents, read_fences, read_swept},
};
use crate::local;

/// The file of the descriptor.
const RANGE: &str = "range";

/// Every entry of the shard: what its tables are called, their column family and span.
fn spans(shared: &Shared) -> [(&'static str, Cf, Span); 5] {
    let range = shared.span();
    let swept = local::swept(shared.shard);
    let after_swept = [&swept[..], &[0]].concat();
    [
        ("records", Cf::Local, local::records(&range)),
        ("data", Cf::Data, range.clone()),
        ("intents", Cf::Intents, range),
        ("fences", Cf::Local, local::fences(shared.shard)),
        ("swept", Cf::Local, Span::new(swept, after_swept)),
    ]
}

/// Takes hold of the state of this moment.
pub(super) fn capture(shared: &Shared) -> Capture {
    let (engine, snapshot) = (shared.engine.clone(), shared.engine.snapshot());
    let (range, spans) = (shared.range.read().encode_to_vec(), spans(shared));
    Box::new(move |directory| {
        fs::write(directory.join(RANGE), range).map_err(|error| Fatal::files(&error))?;
        for (name, cf, span) in spans {
            export(engine.as_ref(), snapshot.as_ref(), cf, &span, &directory.join(name)).map_err(fatal)?;
        }
        Ok(())
    })
}

/// Replaces the state by that of a capture. May be repeated at any point.
pub(super) fn restore(shared: &Shared, directory: &Path, position: Bytes) -> Result<(), Fatal> {
    let range = fs::read(directory.join(RANGE)).map_err(|error| Fatal::files(&error))?;
    let range = kv::Range::decode(&range[..]).map_err(|_| Fatal::damaged("a snapshot's descriptor is damaged"))?;
    let mut batch = Batch::default();
    for (_, cf, span) in spans(shared) {
        batch.delete_range(cf, span);
    }
    shared.set_range(range.clone());
    let spans = spans(shared);
    for (_, cf, span) in spans.clone() {
        batch.delete_range(cf, span);
    }
    shared.engine.write(&batch).map_err(fatal)?;
    for (name, cf, _) in spans {
        let tables = tables(directory, name).map_err(|error| Fatal::files(&error))?;
        shared.engine.ingest(cf, &tables).map_err(fatal)?;
    }
    let mut batch = Batch::default();
    batch.put(Cf::Local, local::descriptor(shared.shard), range.encode_to_vec());
    batch.put(Cf::Local, local::position(shared.shard), position);
    shared.engine.write(&batch).map_err(fatal)?;
    load_intents(shared)?;
    load_aborts(shared)?;
    *shared.fences.write() = read_fences(shared.engine.as_ref(), shared.shard)?;
    shared.swept_ms.store(read_swept(shared.engine.as_ref(), shared.shard)?, Ordering::SeqCst);
    Ok(())
}

/// The tables of one part, in order.
fn tables(directory: &Path, part: &str) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut tables = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let named = path.file_stem().is_some_and(|stem| stem == part);
        let numbered = path.extension().is_some_and(|number| number.len() == 4);
        if named && numbered {
            tables.push(path);
        }
    }
    tables.sort();
    Ok(tables)
}
