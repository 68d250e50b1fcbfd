//! Files in memory that can lose what was not synced, run full, fail a sync and be damaged.

use std::{collections::BTreeMap, io, ops::Range, path::PathBuf, sync::Arc};

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use sharddb_raft::log::{Files, Medium};

#[derive(Clone, Default)]
struct Content {
    /// What the running system reads.
    now: Vec<u8>,
    /// What a power failure leaves.
    synced: Vec<u8>,
    /// Ranges of `now` that the next sync writes. A sync that fails forgets them: the system takes them for clean.
    dirty: Vec<Range<usize>>,
}

impl Content {
    fn sync(&mut self) {
        self.synced.resize(self.now.len(), 0);
        for range in self.dirty.drain(..) {
            let end = range.end.min(self.now.len());
            let start = range.start.min(end);
            self.synced[start..end].copy_from_slice(&self.now[start..end]);
        }
    }
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Content>,
    /// Removed files, for those who have them open.
    removed: BTreeMap<String, Content>,
    /// Bytes that may still be written; `None` is no bound.
    room: Option<usize>,
    fail_sync: bool,
    syncs: u64,
    /// The last file synced and what it held before.
    last_sync: Option<(String, Vec<u8>)>,
}

const SECTOR: usize = 512;

/// A directory in memory. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>, Arc<RwLock<()>>);

impl Disk {
    /// A power failure: what was not synced is gone.
    pub(crate) fn crash(&self) {
        for content in self.0.lock().files.values_mut() {
            content.now = content.synced.clone();
            content.dirty.clear();
        }
    }

    /// A power failure during the last sync: of the sectors it wrote, only those survive whose bit is set in `kept`, in
    /// order; the others are as they were. Answers how many there are.
    pub(crate) fn tear(&self, kept: u64) -> u32 {
        self.crash();
        let mut state = self.0.lock();
        let Some((name, before)) = state.last_sync.take() else { return 0 };
        let content = state.files.get_mut(&name).expect("the file exists");
        let (mut after, mut count) = (before.clone(), 0);
        for (i, new) in content.synced.chunks(SECTOR).enumerate() {
            let range = i * SECTOR..i * SECTOR + new.len();
            if before.get(range.clone()) == Some(new) {
                continue;
            }
            if kept >> (count % 64) & 1 == 1 {
                after.resize(after.len().max(range.end), 0);
                after[range].copy_from_slice(new);
            }
            count += 1;
        }
        content.now = after.clone();
        content.synced = after;
        count
    }

    pub(crate) fn set_room(&self, room: Option<usize>) {
        self.0.lock().room = room;
    }

    /// Makes every sync wait until the guard is dropped.
    pub(crate) fn hold_syncs(&self) -> RwLockWriteGuard<'_, ()> {
        self.1.write()
    }

    /// Syncs so far, failed ones too.
    pub(crate) fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    pub(crate) fn fail_sync(&self, fail: bool) {
        self.0.lock().fail_sync = fail;
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().files.keys().cloned().collect()
    }

    /// Changes a file's bytes behind everybody's back.
    pub(crate) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let content = state.files.get_mut(name).expect("the file exists");
        change(&mut content.now);
        content.synced = content.now.clone();
        content.dirty.clear();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        self.0.lock().files[name].now.clone()
    }

    /// A copy that shares nothing.
    pub(crate) fn copy(&self) -> Self {
        let state = self.0.lock();
        let (files, last_sync) = (state.files.clone(), state.last_sync.clone());
        Self(Arc::new(Mutex::new(State { files, last_sync, ..State::default() })), Arc::default())
    }

    pub(crate) fn files(&self) -> Arc<dyn Files> {
        Arc::new(self.clone())
    }
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
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
        // Whatever was synced before was so for good.
        state.last_sync = None;
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

impl Medium for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let room = state.room.unwrap_or(usize::MAX);
        if room < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.room = state.room.map(|room| room - bytes.len());
        let content = state.files.get_mut(&self.name).ok_or(io::ErrorKind::NotFound)?;
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        content.now.resize(content.now.len().max(end), 0);
        content.now[start..end].copy_from_slice(bytes);
        content.dirty.push(start..end);
        Ok(())
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
        let _turn = self.disk.1.read();
        let mut state = self.disk.0.lock();
        state.syncs += 1;
        let fail = state.fail_sync;
        let content = state.files.get_mut(&self.name).ok_or(io::ErrorKind::NotFound)?;
        if fail {
            content.dirty.clear();
            return Err(io::Error::other("injected"));
        }
        let before = content.synced.clone();
        content.sync();
        state.last_sync = Some((self.name.clone(), before));
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files.get(&self.name).ok_or(io::ErrorKind::NotFound)?.now.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let content = state.files.get_mut(&self.name).ok_or(io::ErrorKind::NotFound)?;
        content.now.resize(len as usize, 0);
        content.synced.truncate(len as usize);
        Ok(())
    }
}
