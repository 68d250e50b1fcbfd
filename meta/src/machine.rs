//! The meta group's state machine.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use proto::meta::{Command, Snapshot};
use raft::{Capture, Committed, Fatal, StateMachine};
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage as storage;
use storage::{Batch, Cf, Engine};
use tokio::sync::watch;

use crate::{
    commands::change,
    records::{POSITION, load, write_difference},
    state::State,
};

/// The file of a snapshot.
const SNAPSHOT: &str = "meta";

/// Outcomes: a tag byte, then a number (u64 LE) or the reason.
const OK: u8 = 0;
const REFUSED: u8 = 1;

/// The state as readers see it.
pub(crate) struct Shared {
    state: RwLock<State>,
    changed: watch::Sender<()>,
}

impl Shared {
    /// Looks at the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read())
    }

    /// Tells of every change after this call.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn replace(&self, state: State) {
        *self.state.write() = state;
        self.changed.send_replace(());
    }
}

/// The state machine.
pub(crate) struct Machine {
    engine: Arc<dyn Engine>,
    shared: Arc<Shared>,
}

impl Machine {
    /// Reads back the stored state.
    pub(crate) fn open(engine: Arc<dyn Engine>) -> Result<Self, Fatal> {
        let state = RwLock::new(load(engine.as_ref())?);
        let shared = Arc::new(Shared { state, changed: watch::Sender::new(()) });
        Ok(Self { engine, shared })
    }

    /// The state, for reads.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Writes what changed, then shows it.
    fn replace(&self, old: &State, new: State, position: Bytes) -> Result<(), Fatal> {
        let mut batch = Batch::default();
        write_difference(old, &new, &mut batch);
        batch.put(Cf::Local, POSITION, position);
        self.engine.write(&batch)?;
        self.shared.replace(new);
        Ok(())
    }
}

impl StateMachine for Machine {
    fn position(&self) -> Result<Option<Bytes>, Fatal> {
        Ok(self.engine.get(Cf::Local, POSITION)?.map(Bytes::from))
    }

    fn apply(&self, commands: &[Committed], position: Bytes) -> Result<Vec<Bytes>, Fatal> {
        let old = self.shared.read(State::clone);
        let mut new = old.clone();
        let mut outcomes = Vec::with_capacity(commands.len());
        for committed in commands {
            let command = Command::decode(committed.command.clone());
            let command = command.map_err(|error| Fatal::damaged(format!("a meta command is damaged: {error}")))?;
            outcomes.push(encode_outcome(&change(&mut new, committed.index, command)));
        }
        self.replace(&old, new, position)?;
        Ok(outcomes)
    }

    fn flush(&self) -> Result<(), Fatal> {
        Ok(self.engine.flush()?)
    }

    fn snapshot(&self) -> Result<Capture, Fatal> {
        let state = self.shared.read(State::clone);
        Ok(Box::new(move |directory| {
            let bytes = Snapshot::from(&state).encode_to_vec();
            std::fs::write(directory.join(SNAPSHOT), bytes).map_err(|error| Fatal::files(&error))
        }))
    }

    fn restore(&self, directory: &Path, position: Bytes) -> Result<(), Fatal> {
        let bytes = std::fs::read(directory.join(SNAPSHOT)).map_err(|error| Fatal::files(&error))?;
        let snapshot = Snapshot::decode(&bytes[..])
            .map_err(|error| Fatal::damaged(format!("a meta snapshot is damaged: {error}")))?;
        self.replace(&self.shared.read(State::clone), State::from(snapshot), position)
    }
}

fn encode_outcome(outcome: &Result<u64, String>) -> Bytes {
    let (tag, rest) = match outcome {
        Ok(number) => (OK, &number.to_le_bytes()[..]),
        Err(reason) => (REFUSED, reason.as_bytes()),
    };
    [&[tag], rest].concat().into()
}

/// The number a command answered, or why it was refused.
pub(crate) fn decode_outcome(outcome: &Bytes) -> Result<u64, String> {
    match outcome.split_first() {
        Some((&OK, number)) if number.len() == 8 => Ok(u64::from_le_bytes(number.try_into().expect("eight bytes"))),
        Some((&REFUSED, reason)) => Err(String::from_utf8_lossy(reason).into_owned()),
        _ => Err("a meta command answered something unknown".to_owned()),
    }
}

#[cfg(test)]
mod tests;
