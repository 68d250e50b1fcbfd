//! Messages between nodes, to and from openraft's types.

use std::io;

use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult, VoteRequest, VoteResponse};
use proto::raft as stored;
use sharddb_proto as proto;
use stored::append_answer::Outcome;

use crate::types::{
    Entry, EntryId, Leader, RaftVote, SnapshotMeta, Types, decode_entry_message, decode_id, decode_stored_membership,
    encode_entry_message, encode_id, encode_stored_membership, invalid,
};

pub(crate) fn vote(vote: &RaftVote) -> stored::Vote {
    stored::Vote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

pub(crate) fn read_vote(vote: Option<&stored::Vote>) -> io::Result<RaftVote> {
    let vote = vote.ok_or_else(|| invalid("a message without a vote"))?;
    Ok(RaftVote { leader_id: Leader { term: vote.term, node_id: vote.node }, committed: vote.committed })
}

fn id(id: Option<&EntryId>) -> Option<stored::LogId> {
    id.map(encode_id)
}

fn read_id(id: Option<&stored::LogId>) -> Option<EntryId> {
    id.map(decode_id)
}

pub(crate) fn append(request: &AppendEntriesRequest<Types>, generation: u64) -> stored::Append {
    stored::Append {
        vote: Some(vote(&request.vote)),
        previous: id(request.prev_log_id.as_ref()),
        committed: id(request.leader_commit.as_ref()),
        entries: request.entries.iter().map(encode_entry_message).collect(),
        generation,
    }
}

pub(crate) fn read_append(append: stored::Append) -> io::Result<AppendEntriesRequest<Types>> {
    let entries: Vec<Entry> = append.entries.into_iter().map(decode_entry_message).collect::<io::Result<_>>()?;
    let previous = read_id(append.previous.as_ref());
    let first = previous.map_or(0, |id| id.index + 1);
    if (first..).zip(&entries).any(|(expected, entry)| entry.log_id.index != expected) {
        return Err(invalid("entries that do not follow each other"));
    }
    let vote = read_vote(append.vote.as_ref())?;
    if !vote.committed {
        return Err(invalid("entries of a node that does not lead"));
    }
    Ok(AppendEntriesRequest { vote, prev_log_id: previous, leader_commit: read_id(append.committed.as_ref()), entries })
}

pub(crate) fn append_answer(result: &StreamAppendResult<Types>, epoch: stored::SupportEpoch) -> stored::AppendAnswer {
    let outcome = match result {
        Ok(matched) => Outcome::Matched(stored::Matched { log_id: id(matched.as_ref()) }),
        Err(StreamAppendError::Conflict(at)) => Outcome::Conflict(stored::Conflict { log_id: Some(encode_id(at)) }),
        Err(StreamAppendError::HigherVote(higher)) => Outcome::Higher(vote(higher)),
    };
    stored::AppendAnswer { outcome: Some(outcome), epoch: Some(epoch) }
}

pub(crate) fn read_append_answer(answer: &stored::AppendAnswer) -> io::Result<StreamAppendResult<Types>> {
    match answer.outcome.as_ref().ok_or_else(|| invalid("an answer without an outcome"))? {
        Outcome::Matched(matched) => Ok(Ok(read_id(matched.log_id.as_ref()))),
        Outcome::Conflict(conflict) => {
            let at = read_id(conflict.log_id.as_ref()).ok_or_else(|| invalid("a conflict without a place"))?;
            Ok(Err(StreamAppendError::Conflict(at)))
        }
        Outcome::Higher(higher) => Ok(Err(StreamAppendError::HigherVote(read_vote(Some(higher))?))),
    }
}

pub(crate) fn vote_request(request: &VoteRequest<Types>, transfer: Option<stored::Transfer>) -> stored::VoteRequest {
    stored::VoteRequest { vote: Some(vote(&request.vote)), last: id(request.last_log_id.as_ref()), transfer }
}

/// A vote request that has passed the gate: openraft's own ideas of leases are switched off.
pub(crate) fn read_vote_request(request: &stored::VoteRequest) -> io::Result<VoteRequest<Types>> {
    let vote = read_vote(request.vote.as_ref())?;
    let last_log_id = read_id(request.last.as_ref());
    if vote.committed {
        return Err(invalid("a candidate that leads already"));
    }
    Ok(VoteRequest { vote, last_log_id, leadership_transfer: true })
}

pub(crate) fn vote_answer(answer: &VoteResponse<Types>) -> stored::VoteAnswer {
    let last = id(answer.last_log_id.as_ref());
    stored::VoteAnswer { vote: Some(vote(&answer.vote)), last, granted: answer.vote_granted }
}

pub(crate) fn read_vote_answer(answer: &stored::VoteAnswer) -> io::Result<VoteResponse<Types>> {
    let last_log_id = read_id(answer.last.as_ref());
    Ok(VoteResponse { vote: read_vote(answer.vote.as_ref())?, vote_granted: answer.granted, last_log_id })
}

/// Where a snapshot's state is.
pub(crate) fn position(meta: &SnapshotMeta) -> stored::Applied {
    stored::Applied {
        log_id: id(meta.last_log_id.as_ref()),
        membership: Some(encode_stored_membership(&meta.last_membership)),
    }
}

pub(crate) fn read_position(position: &stored::Applied) -> io::Result<SnapshotMeta> {
    let last_log_id = read_id(position.log_id.as_ref()).ok_or_else(|| invalid("a snapshot without a position"))?;
    let members = decode_stored_membership(position.membership.as_ref())?;
    Ok(SnapshotMeta { last_log_id: Some(last_log_id), last_membership: members })
}
