//! Offering a snapshot and answering those who fetch it.

use std::{
    collections::HashMap,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use proto::raft::{FetchSnapshot, SnapshotChunk, SnapshotFile, SnapshotOffer, message::Body};
use sharddb_proto as proto;
use tokio::{sync::Semaphore, time::Instant};

use super::describe;
use crate::{
    exchange::Lost,
    host::Host,
    link::Link,
    log::GroupId,
    state_machine::Driver,
    surroundings::Surroundings,
    transport::{SNAPSHOT_CHUNK_BYTES, TransportError},
    types::{RaftVote, SnapshotMeta, invalid},
    wire,
};

/// Snapshots that are captured and sent at the same time. Each takes room on the volume and reads it from end to end.
const SENDING_MAX: usize = 2;
/// Time after which an offer is repeated: the first may have been lost.
const OFFER_AGAIN: Duration = Duration::from_secs(1);
/// A receiver that has fetched nothing for so long is gone.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// What this node offers.
pub(crate) struct Offers {
    offered: Mutex<HashMap<u64, Offer>>,
    sending: Semaphore,
    pub(super) receiving: Semaphore,
}

struct Offer {
    group: GroupId,
    directory: Arc<Path>,
    files: Vec<SnapshotFile>,
    asked: Instant,
}

impl Default for Offers {
    fn default() -> Self {
        let (sending, receiving) = (Semaphore::new(SENDING_MAX), Semaphore::new(super::receive::RECEIVING_MAX));
        Self { offered: Mutex::default(), sending, receiving }
    }
}

impl Offers {
    /// Reads a part of what is offered.
    pub(crate) async fn serve(
        &self,
        surroundings: &Surroundings,
        request: FetchSnapshot,
    ) -> Result<SnapshotChunk, TransportError> {
        let path = {
            let mut offered = self.offered.lock();
            let offer = offered.get_mut(&request.snapshot).filter(|offer| offer.group.0 == request.group);
            let offer = offer.ok_or(TransportError::Gone)?;
            // Only what was listed is read, so no name leads anywhere else.
            let known = offer.files.iter().any(|file| file.name == request.file);
            offer.asked = Instant::now();
            known.then(|| offer.directory.join(&request.file)).ok_or(TransportError::Gone)?
        };
        let bytes = request.bytes.min(SNAPSHOT_CHUNK_BYTES) as usize;
        let read = surroundings.blocking.run(move || read(&path, request.offset, bytes)).await;
        match read {
            Some(Ok(data)) => Ok(SnapshotChunk { data: data.into() }),
            Some(Err(error)) => Err(TransportError::Failed(error.to_string())),
            None => Err(TransportError::Failed("reading it panicked".to_owned())),
        }
    }

    fn idle(&self, snapshot: u64) -> Duration {
        self.offered.lock().get(&snapshot).map_or(Duration::MAX, |offer| offer.asked.elapsed())
    }
}

fn read(path: &Path, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    let left = file.metadata()?.len().saturating_sub(offset);
    let mut data = vec![0; bytes.min(usize::try_from(left).unwrap_or(usize::MAX))];
    file.read_exact_at(&mut data, offset)?;
    Ok(data)
}

/// An offer that ends with its sender.
struct Standing {
    host: Arc<Host>,
    snapshot: u64,
    directory: PathBuf,
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.host.offers.offered.lock().remove(&self.snapshot);
        if let Err(error) = std::fs::remove_dir_all(&self.directory)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "could not remove a snapshot that was sent");
        }
    }
}

/// Captures the state, offers it and waits until it is installed. Answers the receiver's vote.
pub(crate) async fn send(link: &Link, vote: RaftVote, machine: &Driver) -> io::Result<RaftVote> {
    let (host, group) = (&link.channel.host, link.channel.group);
    let _permit = host.offers.sending.acquire().await.map_err(io::Error::other)?;
    let snapshot = host.random();
    let directory = host.surroundings.snapshots.join(format!("out-{}-{snapshot:016x}", group.0));
    let standing = Standing { host: Arc::clone(host), snapshot, directory };
    let (meta, files) = capture(machine, &standing).await?;
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    tracing::info!(group = group.0, node = link.target, bytes, "sending a snapshot");
    let (directory, asked) = (Arc::from(standing.directory.as_path()), Instant::now());
    let offer = Offer { group, directory, files: files.clone(), asked };
    host.offers.offered.lock().insert(snapshot, offer);
    let position = Some(wire::position(&meta));
    offer_until_answered(link, SnapshotOffer { vote: Some(wire::vote(&vote)), position, snapshot, files }).await
}

async fn capture(machine: &Driver, standing: &Standing) -> io::Result<(SnapshotMeta, Vec<SnapshotFile>)> {
    let (meta, capture) = machine.capture()?;
    let directory = standing.directory.clone();
    let write = move || {
        std::fs::create_dir_all(&directory)?;
        capture(&directory).map_err(io::Error::other)?;
        describe(&directory)
    };
    let files = standing.host.surroundings.blocking.run(write).await;
    Ok((meta, files.unwrap_or_else(|| Err(invalid("capturing a snapshot panicked")))?))
}

async fn offer_until_answered(link: &Link, offer: SnapshotOffer) -> io::Result<RaftVote> {
    let host = &link.channel.host;
    loop {
        match link.ask(Body::SnapshotOffer(offer.clone()), OFFER_AGAIN).await {
            Ok(Body::SnapshotAnswer(answer)) if answer.failure.is_empty() => {
                return wire::read_vote(answer.vote.as_ref());
            }
            Ok(Body::SnapshotAnswer(answer)) => return Err(io::Error::other(answer.failure)),
            Ok(_) => return Err(invalid("an answer to another question")),
            Err(Lost::Late) if host.offers.idle(offer.snapshot) < IDLE_MAX => {}
            Err(lost) => return Err(io::Error::other(lost)),
        }
    }
}
