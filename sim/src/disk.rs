//! The files of a shared log on a disk that loses what was not synced.
//!
//! A crash makes a copy for the node's next life, so that whatever tasks of the last one still do harms nobody. A disk may be
//! told to crash in the middle of the next sync: some sectors of it are written, others are not.

use std::{collections::BTreeMap, io, ops::Range, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use sharddb_raft::log::{Files, Medium};
use tokio_util::sync::CancellationToken;

const SECTOR: usize = 512;

#[derive(Clone, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Ranges of `now` that the next sync writes.
    dirty: Vec<Range<usize>>,
}

impl Content {
    /// Writes dirty sectors of which `survives` says so.
    fn write_back(&mut self, mut survives: impl FnMut() -> bool) {
        for range in std::mem::take(&mut self.dirty) {
            let end = range.end.min(self.now.len());
            let mut start = range.start.min(end);
            while start < end {
                let next = (start / SECTOR * SECTOR + SECTOR).min(end);
                if survives() {
                    self.synced.resize(self.synced.len().max(next), 0);
                    self.synced[start..next].copy_from_slice(&self.now[start..next]);
                }
                start = next;
            }
        }
    }
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Content>,
    /// Removed files, for those who have them open.
    removed: BTreeMap<String, Content>,
    /// Set while the next sync is to be the last thing that happens.
    armed: Option<(u64, CancellationToken)>,
    /// Nothing is written any more.
    dead: bool,
}

/// A directory in memory. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// What is left after a crash, as a disk that shares nothing with this one.
    pub(crate) fn crashed(&self) -> Self {
        let mut state = self.0.lock();
        state.dead = true;
        let left = |content: &Content| {
            let synced = content.synced.clone();
            Content { now: synced.clone(), synced, dirty: Vec::new() }
        };
        let files = state.files.iter().map(|(name, content)| (name.clone(), left(content))).collect();
        Self(Arc::new(Mutex::new(State { files, ..State::default() })))
    }

    /// Tears the next sync: what is written of it depends on a seed. The token tells when that has happened.
    pub(crate) fn arm(&self, seed: u64) -> CancellationToken {
        let token = CancellationToken::new();
        self.0.lock().armed = Some((seed, token.clone()));
        token
    }

    pub(crate) fn files(&self) -> Arc<dyn Files> {
        Arc::new(self.clone())
    }
}

fn gone() -> io::Error {
    io::Error::other("the machine has crashed")
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().files.keys().cloned().collect())
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn Medium>> {
        let mut state = self.0.lock();
        if create {
            state.files.entry(name.to_owned()).or_default();
        } else if !state.files.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Box::new(File { disk: self.clone(), name: name.to_owned() }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        let content = state.files.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.removed.insert(name.to_owned(), content);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(name)
    }
}

struct File {
    disk: Disk,
    name: String,
}

impl File {
    fn change<T>(&self, change: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        let mut state = self.disk.0.lock();
        if state.dead {
            return Err(gone());
        }
        Ok(change(state.files.get_mut(&self.name).ok_or(io::ErrorKind::NotFound)?))
    }
}

impl Medium for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        self.change(|content| {
            content.now.resize(content.now.len().max(end), 0);
            content.now[start..end].copy_from_slice(bytes);
            content.dirty.push(start..end);
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.0.lock();
        let content = state.files.get(&self.name).or_else(|| state.removed.get(&self.name));
        let content = &content.ok_or(io::ErrorKind::NotFound)?.now;
        let part = content.get(offset as usize..offset as usize + buffer.len());
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let armed = self.disk.0.lock().armed.take();
        let Some((seed, token)) = armed else {
            return self.change(|content| content.write_back(|| true));
        };
        let mut random = StdRng::seed_from_u64(seed);
        self.change(|content| content.write_back(|| random.random()))?;
        self.disk.0.lock().dead = true;
        token.cancel();
        Err(gone())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files.get(&self.name).ok_or(io::ErrorKind::NotFound)?.now.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|content| {
            content.now.resize(len as usize, 0);
            content.synced.truncate(len as usize);
        })
    }
}
