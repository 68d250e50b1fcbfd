//! openraft's types, filled in, and their stored form.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
};

use bytes::Bytes;
use openraft::{EmptyNode, EntryPayload, LogId, Membership, StoredMembership, Vote, impls::leader_id_adv::LeaderId};
use prost::Message;
use proto::raft as stored;
use sharddb_proto as proto;

/// A proposal as the log carries it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Command(pub(crate) Bytes);

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

openraft::declare_raft_types!(
    /// Type parameters of openraft.
    pub(crate) Types:
        D = Command,
        R = Bytes,
        NodeId = u64,
        Node = EmptyNode,
);

pub(crate) type Leader = LeaderId<u64, u64>;
pub(crate) type EntryId = LogId<Leader>;
pub(crate) type Entry = openraft::alias::EntryOf<Types>;
pub(crate) type RaftVote = Vote<Leader>;
pub(crate) type Members = StoredMembership<Leader, u64, EmptyNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<Leader, u64, EmptyNode>;

pub(crate) fn encode_id(id: &EntryId) -> stored::LogId {
    stored::LogId { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

pub(crate) fn decode_id(id: &stored::LogId) -> EntryId {
    LogId { leader_id: LeaderId { term: id.term, node_id: id.node }, index: id.index }
}

pub(crate) fn encode_vote(vote: &RaftVote) -> Bytes {
    let (term, node) = (vote.leader_id.term, vote.leader_id.node_id);
    stored::Vote { term, node, committed: vote.committed }.encode_to_vec().into()
}

pub(crate) fn decode_vote(bytes: &Bytes) -> io::Result<RaftVote> {
    let vote = stored::Vote::decode(bytes.clone()).map_err(invalid)?;
    Ok(Vote { leader_id: LeaderId { term: vote.term, node_id: vote.node }, committed: vote.committed })
}

pub(crate) fn encode_entry(entry: &Entry) -> Bytes {
    encode_entry_message(entry).encode_to_vec().into()
}

pub(crate) fn encode_entry_message(entry: &Entry) -> stored::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => None,
        EntryPayload::Normal(command) => Some(stored::entry::Payload::Command(command.0.clone())),
        EntryPayload::Membership(membership) => Some(stored::entry::Payload::Membership(encode_membership(membership))),
    };
    stored::Entry { log_id: Some(encode_id(&entry.log_id)), payload }
}

pub(crate) fn decode_entry(bytes: Bytes) -> io::Result<Entry> {
    decode_entry_message(stored::Entry::decode(bytes).map_err(invalid)?)
}

pub(crate) fn decode_entry_message(entry: stored::Entry) -> io::Result<Entry> {
    let payload = match entry.payload {
        None => EntryPayload::Blank,
        Some(stored::entry::Payload::Command(command)) => EntryPayload::Normal(Command(command)),
        Some(stored::entry::Payload::Membership(members)) => EntryPayload::Membership(decode_membership(&members)?),
    };
    let log_id = entry.log_id.as_ref().map(decode_id).ok_or_else(|| invalid("a log entry without an id"))?;
    Ok(openraft::Entry { log_id, payload })
}

fn encode_membership(membership: &Membership<u64, EmptyNode>) -> stored::Membership {
    let configs = membership.get_joint_config().iter();
    stored::Membership {
        configs: configs.map(|voters| stored::Voters { nodes: voters.iter().copied().collect() }).collect(),
        nodes: membership.nodes().map(|(node, _)| *node).collect(),
    }
}

fn decode_membership(membership: &stored::Membership) -> io::Result<Membership<u64, EmptyNode>> {
    let configs: Vec<BTreeSet<u64>> =
        membership.configs.iter().map(|voters| voters.nodes.iter().copied().collect()).collect();
    if configs.is_empty() && membership.nodes.is_empty() {
        return Ok(Membership::default());
    }
    let nodes: BTreeMap<u64, EmptyNode> = membership.nodes.iter().map(|node| (*node, EmptyNode {})).collect();
    Membership::new(configs, nodes).map_err(|error| invalid(error.to_string()))
}

/// How far a state machine is, as it stores it beside its data.
pub(crate) fn encode_applied(id: Option<&EntryId>, members: &Members) -> Bytes {
    let membership = Some(encode_stored_membership(members));
    stored::Applied { log_id: id.map(encode_id), membership }.encode_to_vec().into()
}

pub(crate) fn encode_stored_membership(members: &Members) -> stored::StoredMembership {
    stored::StoredMembership {
        log_id: members.log_id().as_ref().map(encode_id),
        membership: Some(encode_membership(members.membership())),
    }
}

pub(crate) fn decode_stored_membership(members: Option<&stored::StoredMembership>) -> io::Result<Members> {
    let members = members.cloned().unwrap_or_default();
    let membership = decode_membership(&members.membership.unwrap_or_default())?;
    Ok(Members::new(members.log_id.as_ref().map(decode_id), membership))
}

/// Where a group begins that is born by the state of another one: as if an entry had brought that state.
pub(crate) fn birth() -> EntryId {
    LogId { leader_id: LeaderId { term: 0, node_id: 0 }, index: 1 }
}

/// The position that a state machine stores for a group born by the state of its own group. `parent` is the position that
/// `StateMachine::apply` got with the command: the new group has the members that the parent has at that command.
pub fn birth_position(parent: Bytes) -> io::Result<Bytes> {
    let (_, members) = decode_applied(Some(parent))?;
    let members = Members::new(Some(birth()), members.membership().clone());
    Ok(encode_applied(Some(&birth()), &members))
}

pub(crate) fn decode_applied(bytes: Option<Bytes>) -> io::Result<(Option<EntryId>, Members)> {
    let Some(bytes) = bytes else { return Ok((None, Members::default())) };
    let applied = stored::Applied::decode(bytes).map_err(invalid)?;
    Ok((applied.log_id.as_ref().map(decode_id), decode_stored_membership(applied.membership.as_ref())?))
}

pub(crate) fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// A committed command and its place in the log.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Index in the group's log.
    pub index: u64,
    /// The proposal.
    pub command: Bytes,
}

/// Cuts entries after and before each change of the members, so that the position a command is applied with names the members
/// at that command, on every replica the same.
pub(crate) fn runs_of_one_membership(entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    let changes = |entry: &Entry| matches!(entry.payload, EntryPayload::Membership(_));
    entries.chunk_by(move |entry, next| !changes(entry) && !changes(next))
}
