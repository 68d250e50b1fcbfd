//! Fetching a snapshot that a leader offers.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use openraft::Snapshot;
use proto::raft::{FetchSnapshot, SnapshotAnswer, SnapshotFile, SnapshotOffer, message::Body};
use sharddb_proto as proto;
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::install::MARK;
use crate::{
    replica::Replica,
    state_machine::SnapshotSource,
    transport::{SNAPSHOT_CHUNK_BYTES, TransportError},
    types::{RaftVote, SnapshotMeta, invalid},
    wire,
};

/// Snapshots that are fetched and installed at the same time.
pub(super) const RECEIVING_MAX: usize = 2;
/// Bytes a second that one snapshot is fetched at: clients of both nodes need their disks and network too.
const BYTES_PER_SECOND: u64 = 64 << 20;
/// How long one part may take.
const FETCH_WAIT: Duration = Duration::from_secs(5);
/// Until a part is asked for again.
const FETCH_AGAIN: Duration = Duration::from_millis(200);
/// How often. Beyond that the sender has found another way or is gone.
const FETCH_TRIES: u32 = 25;
/// Files of one snapshot. Far more than any state has, and few enough to list in a message.
const FILES_MAX: usize = 100_000;

/// A snapshot that is being fetched.
pub(crate) struct Incoming {
    from: u64,
    snapshot: u64,
    /// The newest request to answer: the sender repeats its offer.
    id: Arc<AtomicU64>,
    task: AbortHandle,
}

/// Begins to fetch what is offered, unless that is under way.
pub(crate) fn accept(replica: &Arc<Replica>, from: u64, id: u64, offer: SnapshotOffer) -> io::Result<()> {
    let mut incoming = replica.incoming.lock();
    if let Some(known) = incoming.as_ref().filter(|known| known.snapshot == offer.snapshot && known.from == from) {
        known.id.store(id, Ordering::Release);
        return Ok(());
    }
    let (meta, vote) = check(&offer)?;
    if let Some(older) = incoming.take() {
        older.task.abort();
    }
    let (snapshot, id) = (offer.snapshot, Arc::new(AtomicU64::new(id)));
    let task = tokio::spawn(run(Arc::clone(replica), from, offer, meta, vote, Arc::clone(&id))).abort_handle();
    *incoming = Some(Incoming { from, snapshot, id, task });
    Ok(())
}

/// What openraft would take for damage of this node is refused before.
fn check(offer: &SnapshotOffer) -> io::Result<(SnapshotMeta, RaftVote)> {
    let meta = wire::read_position(offer.position.as_ref().ok_or_else(|| invalid("a snapshot without a position"))?)?;
    let vote = wire::read_vote(offer.vote.as_ref())?;
    let within = meta.last_log_id.is_some_and(|id| id.leader_id <= vote.leader_id);
    let names = offer.files.iter().all(|file| is_plain(&file.name));
    if !vote.committed || !within || !names || offer.files.len() > FILES_MAX {
        return Err(invalid("a snapshot that no leader can have made"));
    }
    Ok((meta, vote))
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != MARK && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

async fn run(
    replica: Arc<Replica>,
    from: u64,
    offer: SnapshotOffer,
    meta: SnapshotMeta,
    vote: RaftVote,
    id: Arc<AtomicU64>,
) {
    let answer = match receive(&replica, from, &offer, meta, vote).await {
        Ok(vote) => SnapshotAnswer { vote: Some(wire::vote(&vote)), failure: String::new() },
        Err(error) => {
            tracing::warn!(group = replica.id().0, %error, "could not take over a snapshot");
            SnapshotAnswer { vote: None, failure: error.to_string() }
        }
    };
    replica.channel.exchange.tell(from, id.load(Ordering::Acquire), Body::SnapshotAnswer(answer));
    let mut incoming = replica.incoming.lock();
    if incoming.as_ref().is_some_and(|known| known.snapshot == offer.snapshot) {
        *incoming = None;
    }
}

async fn receive(
    replica: &Arc<Replica>,
    from: u64,
    offer: &SnapshotOffer,
    meta: SnapshotMeta,
    vote: RaftVote,
) -> io::Result<RaftVote> {
    let host = replica.host();
    let _permit = host.offers.receiving.acquire().await.map_err(io::Error::other)?;
    let name = format!("in-{}-{:016x}", replica.id().0, offer.snapshot);
    let mut directory = Fetched { path: host.surroundings.snapshots.join(name), keep: false };
    if replica.machine.applied_id() < meta.last_log_id {
        std::fs::create_dir_all(&directory.path)?;
        let mut fetch = Fetch { replica, from, snapshot: offer.snapshot, not_before: Instant::now() };
        for file in &offer.files {
            fetch.file(&directory.path, file).await?;
        }
        File::open(&directory.path)?.sync_all()?;
    }
    // From here on the directory belongs to the installation.
    directory.keep = true;
    let snapshot = SnapshotSource::Files(Arc::from(directory.path.as_path()));
    let installed = replica.raft.install_full_snapshot(vote, Snapshot { meta, snapshot }).await;
    // It is still there if the snapshot was not needed any more.
    directory.keep = installed.is_err();
    Ok(installed.map_err(io::Error::other)?.vote)
}

/// A directory that goes unless it is kept.
struct Fetched {
    path: PathBuf,
    keep: bool,
}

impl Drop for Fetched {
    fn drop(&mut self) {
        if !self.keep && self.path.exists() {
            // Whatever stays is removed when the host starts.
            let _failed = std::fs::remove_dir_all(&self.path);
        }
    }
}

struct Fetch<'a> {
    replica: &'a Replica,
    from: u64,
    snapshot: u64,
    /// When the next part may be asked for.
    not_before: Instant,
}

impl Fetch<'_> {
    async fn file(&mut self, directory: &Path, file: &SnapshotFile) -> io::Result<()> {
        let mut out = File::create(directory.join(&file.name))?;
        let (mut offset, mut crc) = (0, 0);
        while offset < file.bytes {
            let data = self.part(file, offset).await?;
            offset += data.len() as u64;
            crc = crc32c::crc32c_append(crc, &data);
            let written = move || out.write_all(&data).map(|()| out);
            let written = self.replica.host().surroundings.blocking.run(written).await;
            out = written.unwrap_or_else(|| Err(invalid("writing a snapshot panicked")))?;
        }
        if crc != file.crc32c {
            return Err(invalid("a file of a snapshot was damaged on its way"));
        }
        out.sync_all()
    }

    async fn part(&mut self, file: &SnapshotFile, offset: u64) -> io::Result<bytes::Bytes> {
        let (group, snapshot) = (self.replica.id().0, self.snapshot);
        let bytes = (file.bytes - offset).min(u64::from(SNAPSHOT_CHUNK_BYTES)) as u32;
        let request = FetchSnapshot { group, snapshot, file: file.name.clone(), offset, bytes };
        let mut tries = 0;
        loop {
            sleep_until(self.not_before).await;
            let transport = &self.replica.host().surroundings.transport;
            match timeout(FETCH_WAIT, transport.fetch(self.from, request.clone())).await {
                Ok(Ok(chunk)) if chunk.data.is_empty() || chunk.data.len() > bytes as usize => {
                    return Err(invalid("a part of a snapshot of the wrong size"));
                }
                Ok(Ok(chunk)) => {
                    let pause = Duration::from_nanos(chunk.data.len() as u64 * 1_000_000_000 / BYTES_PER_SECOND);
                    self.not_before = Instant::now() + pause;
                    return Ok(chunk.data);
                }
                Ok(Err(error @ (TransportError::Gone | TransportError::Failed(_)))) => {
                    return Err(io::Error::other(error));
                }
                Ok(Err(TransportError::Unreachable(_))) | Err(_) => {}
            }
            tries += 1;
            if tries == FETCH_TRIES {
                return Err(invalid("the sender of a snapshot cannot be reached"));
            }
            sleep(FETCH_AGAIN).await;
        }
    }
}
