//! Files in memory that can lose what was not synced, run full, fail a sync and be damaged.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use sharddb_raft::log::{Files, Medium};

#[derive(Clone, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Content>,
    /// Bytes that may still be written; `None` is no bound.
    room: Option<usize>,
    fail_sync: bool,
}

/// A directory in memory. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// Forgets what was not synced, keeping a prefix of `torn` bytes of each unsynced end.
    pub(crate) fn crash(&self, torn: usize) {
        for content in self.0.lock().files.values_mut() {
            let keep = content.synced.len().max((content.synced.len() + torn).min(content.now.len()));
            content.now.truncate(keep);
            content.synced = content.now.clone();
        }
    }

    pub(crate) fn set_room(&self, room: Option<usize>) {
        self.0.lock().room = room;
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
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        self.0.lock().files[name].now.clone()
    }

    /// A copy that shares nothing.
    pub(crate) fn copy(&self) -> Self {
        let files = self.0.lock().files.clone();
        Self(Arc::new(Mutex::new(State { files, ..State::default() })))
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
        self.0.lock().files.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
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
        let content = &mut state.files.get_mut(&self.name).ok_or(io::ErrorKind::NotFound)?.now;
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        content.resize(content.len().max(end), 0);
        content[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.0.lock();
        let content = &state.files.get(&self.name).ok_or(io::ErrorKind::NotFound)?.now;
        let part = content.get(offset as usize..offset as usize + buffer.len());
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        if state.fail_sync {
            return Err(io::Error::other("injected"));
        }
        let content = state.files.get_mut(&self.name).ok_or(io::ErrorKind::NotFound)?;
        content.synced = content.now.clone();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files.get(&self.name).ok_or(io::ErrorKind::NotFound)?.now.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let content = state.files.get_mut(&self.name).ok_or(io::ErrorKind::NotFound)?;
        content.now.resize(len as usize, 0);
        Ok(())
    }
}
