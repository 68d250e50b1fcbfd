//! Groups that are born by the state of another group, on every replica of that one.
//!
//! # Invariants
//! * The birth is durable before the log says anything of the group. What a replica promises and acknowledges survives a
//!   crash with the state that it was built on: the other group might not bring that again, for its replica here may be
//!   replaced by a snapshot or removed first.

use std::sync::Arc;

use prost::Message;

use crate::{
    RaftHost,
    error::{Error, stopped},
    group::Group,
    log::GroupId,
    state_machine::{StateMachine, flush},
    types::{birth, decode_applied, encode_id},
};

/// Everything that the machines of a host had written at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written(u64);

impl RaftHost {
    /// What machines have written up to now.
    pub fn written(&self) -> Written {
        Written(self.flushes.as_ref().map_or(0, |flushes| flushes.started()))
    }

    /// Starts a replica of a group that was born here by the state of another one, as every replica of that one does.
    /// The machine's position is that of [`birth_position`](crate::birth_position), and it was `written`. Groups that were
    /// written together share a flush.
    pub async fn spawn_group(
        &self,
        id: GroupId,
        machine: Arc<dyn StateMachine>,
        written: Written,
    ) -> Result<Group, Error> {
        let log = &self.host.log;
        let born = decode_applied(machine.position().map_err(stopped)?).map_err(stopped)?.0;
        let begun = log.purged(id).is_some() || log.vote(id).is_some();
        if let Some(born) = born.filter(|born| *born == birth() && !begun) {
            let flushes = self.flushes.clone().unwrap_or_default();
            let flushed = flush(&self.host, &flushes, &machine, written.0).await;
            flushed.map_err(|error| self.failure().map_or_else(|| stopped(error), Error::Log))?;
            let id_bytes = encode_id(&born).encode_to_vec().into();
            self.durable(|log, done| log.purge(id, born.index, id_bytes, done)).await?;
        }
        self.start_group(id, machine).await
    }
}
