//! Messages in a few words, with a fingerprint of all they hold.

use std::fmt::{self, Debug, Write};

use prost::Message as _;
use proto::{kv, meta, raft};
use sharddb_proto as proto;

/// Takes the first word of what is written.
struct Word(String);

impl Write for Word {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(text.len());
        self.0.push_str(&text[..end]);
        if end < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// The name of a variant.
fn word(value: &impl Debug) -> String {
    let mut word = Word(String::new());
    // It gives up after the first word.
    let _enough = write!(word, "{value:?}");
    word.0
}

/// FNV-1a.
fn fingerprint(bytes: &[u8]) -> u32 {
    let hash = bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3));
    (hash ^ (hash >> 32)) as u32
}

pub(crate) fn message(message: &raft::Message) -> String {
    let name = message.body.as_ref().map(word).unwrap_or_default();
    format!("raft {} {name} {:08x}", message.group, fingerprint(&message.encode_to_vec()))
}

pub(crate) fn request(request: &kv::Request) -> String {
    let header = request.header.as_ref().map_or((0, 0), |header| (header.shard, header.txn));
    let name = request.body.as_ref().map(word).unwrap_or_default();
    format!("kv s{} t{:x} {name} {:08x}", header.0, header.1, fingerprint(&request.encode_to_vec()))
}

pub(crate) fn call(call: &meta::Call) -> String {
    let name = call.body.as_ref().map(word).unwrap_or_default();
    format!("meta {name} {:08x}", fingerprint(&call.encode_to_vec()))
}
