//! Metrics in Prometheus' text format.

use std::fmt::Write;

use executor::Engine;
use sharddb_executor as executor;
use sharddb_frontend as frontend;

use crate::Volume;

/// What the text says of a number.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up.
    Counter,
}

/// Text that is being put together.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
}

impl Exposition {
    /// Everything this process knows of itself.
    pub(crate) fn collect(&mut self, volume: &Volume, engine: Option<&Engine>) {
        for (name, help, value) in frontend::metrics().read() {
            let kind = if name == "connections" { Kind::Gauge } else { Kind::Counter };
            self.number(name, help, kind, value);
        }
        if let Some(engine) = engine {
            self.engine(engine);
        }
        let log = volume.log_statistics();
        self.number("raft_log_records", "Records appended to the Raft log", Kind::Counter, log.records);
        self.number("raft_log_bytes", "Bytes written to the Raft log", Kind::Counter, log.bytes);
        self.number("raft_log_syncs", "Syncs of the Raft log", Kind::Counter, log.syncs);
        let (name, help) =
            ("raft_messages", "Messages that shards and the meta group have sent to other nodes for consensus");
        self.number(name, help, Kind::Counter, volume.raft_messages());
        let node = volume.node().statistics();
        self.number("shards", "Shards of this node", Kind::Gauge, node.shards as u64);
        self.number("leaders", "Shards that this node leads", Kind::Gauge, node.served as u64);
        let leads_meta = u64::from(volume.leads_meta());
        self.number("meta_leader", "1 where the meta group's leader is", Kind::Gauge, leads_meta);
        self.number("locked_keys", "Keys with a row lock", Kind::Gauge, node.locked_keys as u64);
        self.number("lock_waiters", "Lock requests waiting", Kind::Gauge, node.lock_waiters as u64);
        self.number("intents", "Provisional writes that are not resolved", Kind::Gauge, node.intents);
        let (name, help) = ("follower_reads", "Reads that replicas answered without leading");
        self.number(name, help, Kind::Counter, node.follower_reads);
        let failed = u64::from(volume.failure().is_some());
        self.number("storage_failed", "1 after a write or sync has failed", Kind::Gauge, failed);
        if let Some(bytes) = resident_bytes() {
            self.number("resident_bytes", "Memory of the process", Kind::Gauge, bytes);
        }
    }

    fn engine(&mut self, engine: &Engine) {
        let general = engine.general();
        let numbers = [
            ("commits", "Transactions committed", engine.commits()),
            ("rollbacks", "Transactions rolled back", engine.rollbacks()),
            ("fragments", "Fragments sent to shards", general.fragments_sent()),
            ("fragment_rows", "Rows that shards sent to the executor", general.fragment_rows()),
            ("fragment_bytes", "Bytes of rows that shards sent to the executor", general.fragment_bytes()),
            ("fragments_resumed", "Fragments gone on with after their shard was lost", general.fragments_resumed()),
            ("fragment_batches", "Batches that shards sent to the executor", general.fragment_batches()),
        ];
        for (name, help, value) in numbers {
            self.number(name, help, Kind::Counter, value);
        }
    }

    /// One number, named `sharddb_…`, counters `…_total`.
    fn number(&mut self, name: &str, help: &str, kind: Kind, value: u64) {
        let (kind, suffix) = match kind {
            Kind::Gauge => ("gauge", ""),
            Kind::Counter => ("counter", "_total"),
        };
        let name = format!("sharddb_{name}{suffix}");
        // Writing to a string cannot fail.
        let _ = write!(self.text, "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}\n", help.trim());
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// Resident memory, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
