//! The files of a shared log in memory, on a disk that can lose what was not synced, tear and fail syncs, run full and be
//! damaged.
//!
//! For tests and simulations. [`Disk::crash`] goes on with the same disk, [`Disk::crashed`] makes one for a node's next life
//! while the last one may still be at work.

mod content;
mod file;

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc};

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use sharddb_raft::log::{Files, Medium};
use tokio_util::sync::CancellationToken;

use crate::{
    content::{Content, Undo},
    file::File,
};

#[derive(Default)]
struct State {
    files: BTreeMap<String, Content>,
    /// Removed files, for those who have them open.
    removed: BTreeMap<String, Content>,
    /// Bytes that may still be written; `None` is no bound.
    room: Option<usize>,
    fail_sync: bool,
    syncs: u64,
    /// The last file synced and what the sync changed.
    last_sync: Option<(String, Undo)>,
    /// Set while the next sync is to be the last thing that happens.
    armed: Option<(u64, CancellationToken)>,
    /// Nothing is written any more.
    dead: bool,
}

/// A directory in memory. Clones share it.
#[derive(Clone, Default)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    /// Held by syncs.
    turn: Arc<RwLock<()>>,
}

impl Disk {
    /// A power failure: what was not synced is gone.
    pub fn crash(&self) {
        self.state.lock().files.values_mut().for_each(Content::crash);
    }

    /// What is left after a power failure, as a disk that shares nothing with this one. Nothing is written to this one any
    /// more.
    #[must_use]
    pub fn crashed(&self) -> Self {
        self.state.lock().dead = true;
        let left = self.copy();
        left.crash();
        left
    }

    /// A power failure during the last sync: of the sectors it changed, only those survive whose bit is set in `kept`, in
    /// order; the others are as they were. Answers how many there are.
    pub fn tear(&self, kept: u64) -> u32 {
        self.crash();
        let mut state = self.state.lock();
        let Some((name, undo)) = state.last_sync.take() else { return 0 };
        state.files.get_mut(&name).expect("the file exists").tear(&undo, kept)
    }

    /// Has the next sync torn by a power failure: what is written of it depends on a seed. The token tells when that has
    /// happened.
    pub fn arm(&self, seed: u64) -> CancellationToken {
        let token = CancellationToken::new();
        self.state.lock().armed = Some((seed, token.clone()));
        token
    }

    /// Bounds how much may still be written.
    pub fn set_room(&self, room: Option<usize>) {
        self.state.lock().room = room;
    }

    /// Makes every sync wait until the guard is dropped.
    pub fn hold_syncs(&self) -> RwLockWriteGuard<'_, ()> {
        self.turn.write()
    }

    /// Syncs so far, failed ones too.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Has syncs fail, or end that.
    pub fn fail_sync(&self, fail: bool) {
        self.state.lock().fail_sync = fail;
    }

    /// The files, in order.
    pub fn names(&self) -> Vec<String> {
        self.state.lock().files.keys().cloned().collect()
    }

    /// Changes a file's bytes behind everybody's back.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        self.state.lock().files.get_mut(name).expect("the file exists").damage(change);
    }

    /// What the running system reads of a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        self.state.lock().files[name].now().to_vec()
    }

    /// A copy that shares nothing.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = self.state.lock();
        let (files, last_sync) = (state.files.clone(), state.last_sync.clone());
        Self { state: Arc::new(Mutex::new(State { files, last_sync, ..State::default() })), turn: Arc::default() }
    }

    /// The disk as the log sees it.
    pub fn files(&self) -> Arc<dyn Files> {
        Arc::new(self.clone())
    }
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn Medium>> {
        let mut state = self.state.lock();
        if create {
            state.files.entry(name.to_owned()).or_default();
        } else if !state.files.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Box::new(File { disk: self.clone(), name: name.to_owned() }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
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
