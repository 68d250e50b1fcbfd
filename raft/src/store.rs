//! One group's part of the shared log, as openraft sees it.

use std::{fmt::Debug, io, ops::RangeBounds, sync::Arc};

use bytes::Bytes;
use openraft::{
    LogState, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
};
use prost::Message;
use proto::raft as stored;
use sharddb_proto as proto;
use tokio::sync::oneshot;

use crate::{
    flushed::Flushed,
    log::{GroupId, LogError, SharedLog},
    types::{
        Entry, EntryId, RaftVote, Types, decode_entry, decode_id, decode_vote, encode_entry, encode_id, encode_vote,
        invalid,
    },
};

/// Bytes of entries that are sent to a follower together, unless one entry alone has more.
pub(crate) const READ_BYTES_MAX: usize = 1 << 20;

/// A group's log.
#[derive(Clone)]
pub(crate) struct GroupLog {
    group: GroupId,
    log: Arc<SharedLog>,
    flushed: Flushed,
}

impl GroupLog {
    pub(crate) fn new(group: GroupId, log: Arc<SharedLog>, flushed: Flushed) -> Self {
        Self { group, log, flushed }
    }

    fn last_purged(&self) -> io::Result<Option<EntryId>> {
        let Some((_, bytes)) = self.log.purged(self.group) else { return Ok(None) };
        Ok(Some(decode_id(&stored::LogId::decode(bytes).map_err(invalid)?)))
    }

    fn entries(&self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let entries = self.log.read(self.group, start, end).map_err(io::Error::other)?;
        entries.into_iter().map(|(_, bytes)| decode_entry(bytes)).collect()
    }

    /// Starts a write and waits until it is durable.
    async fn durable(
        &self,
        start: impl FnOnce(&SharedLog, Box<dyn FnOnce(Result<(), LogError>) + Send>),
    ) -> io::Result<()> {
        let (done, outcome) = oneshot::channel();
        // The receiver is gone only when the group stops; nobody waits for the outcome then.
        start(&self.log, Box::new(move |result| drop(done.send(result))));
        outcome.await.map_err(io::Error::other)?.map_err(io::Error::other)
    }
}

impl RaftLogReader<Types> for GroupLog {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: R,
    ) -> io::Result<Vec<Entry>> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let start = match range.start_bound() {
            Included(start) => *start,
            Excluded(start) => start + 1,
            Unbounded => 0,
        };
        let end = match range.end_bound() {
            Included(end) => end + 1,
            Excluded(end) => *end,
            Unbounded => u64::MAX,
        };
        self.entries(start, end)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let entries = self.log.read_some(self.group, start, end, READ_BYTES_MAX).map_err(io::Error::other)?;
        entries.into_iter().map(|(_, bytes)| decode_entry(bytes)).collect()
    }

    async fn read_vote(&mut self) -> io::Result<Option<RaftVote>> {
        self.log.vote(self.group).map(|bytes| decode_vote(&bytes)).transpose()
    }
}

impl RaftLogStorage<Types> for GroupLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let last_purged_log_id = self.last_purged()?;
        let last_log_id = match self.log.last_index(self.group) {
            Some(index) => self.entries(index, index + 1)?.pop().map(|entry| entry.log_id),
            None => last_purged_log_id,
        };
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> io::Result<()> {
        let vote = encode_vote(vote);
        self.durable(|log, done| log.save_vote(self.group, vote, done)).await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<(u64, Bytes)> =
            entries.into_iter().map(|entry| (entry.log_id.index, encode_entry(&entry))).collect();
        let (flushed, last) = (self.flushed.clone(), entries.last().map_or(0, |(index, _)| *index));
        let done = move |result: Result<(), LogError>| {
            flushed.note(last, result.is_ok());
            callback.io_completed(result.map_err(io::Error::other));
        };
        self.log.append(self.group, entries, Box::new(done));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<EntryId>) -> io::Result<()> {
        let from = last.map_or(0, |last| last.index + 1);
        let truncated = self.durable(|log, done| log.truncate(self.group, from, done)).await;
        // By now every write of an entry that was replaced has ended.
        self.flushed.forget(from);
        truncated
    }

    async fn purge(&mut self, id: EntryId) -> io::Result<()> {
        let bytes = encode_id(&id).encode_to_vec().into();
        self.durable(|log, done| log.purge(self.group, id.index, bytes, done)).await
    }
}
