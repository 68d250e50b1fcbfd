//! An open file.

use std::io;

use rand::{Rng, SeedableRng, rngs::StdRng};
use sharddb_raft::log::Medium;

use crate::{Disk, State, content::Content};

pub(crate) struct File {
    pub(crate) disk: Disk,
    pub(crate) name: String,
}

fn gone() -> io::Error {
    io::Error::other("the machine has crashed")
}

impl File {
    fn content<'a>(&self, state: &'a mut State) -> io::Result<&'a mut Content> {
        if state.dead {
            return Err(gone());
        }
        state.files.get_mut(&self.name).ok_or(io::ErrorKind::NotFound.into())
    }
}

impl Medium for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        let room = state.room.unwrap_or(usize::MAX);
        if room < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.content(&mut state)?.write(bytes, offset as usize);
        state.room = state.room.map(|room| room - bytes.len());
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state.lock();
        let content = state.files.get(&self.name).or_else(|| state.removed.get(&self.name));
        let now = content.ok_or(io::ErrorKind::NotFound)?.now();
        let part = now.get(offset as usize..offset as usize + buffer.len());
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let _turn = self.disk.turn.read();
        let mut state = self.disk.state.lock();
        state.syncs += 1;
        if let Some((seed, token)) = state.armed.take() {
            let mut random = StdRng::seed_from_u64(seed);
            self.content(&mut state)?.sync_some(|| random.random());
            state.dead = true;
            token.cancel();
            return Err(gone());
        }
        let fail = state.fail_sync;
        let content = self.content(&mut state)?;
        if fail {
            content.forget_dirty();
            return Err(io::Error::other("injected"));
        }
        let undo = content.sync();
        state.last_sync = Some((self.name.clone(), undo));
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.disk.state.lock();
        Ok(state.files.get(&self.name).ok_or(io::ErrorKind::NotFound)?.now().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.content(&mut self.disk.state.lock())?.set_len(len as usize);
        Ok(())
    }
}
