//! openraft's way to the replicas of a group on other nodes.

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{Stream, StreamExt, future::BoxFuture, stream::BoxStream};
use openraft::{
    EmptyNode, RaftNetworkFactory, RaftNetworkV2,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{Backoff, RPCOption},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
        VoteRequest, VoteResponse,
    },
};
use parking_lot::Mutex;
use proto::raft::{Transfer, message::Body};
use sharddb_proto as proto;

use crate::{
    exchange::{Exchange, Lost},
    host::Host,
    lease::Lease,
    log::GroupId,
    snapshot::send,
    state_machine::SnapshotSource,
    support::Epoch,
    types::{EntryId, RaftVote, Types, invalid},
    wire,
};

/// How long a follower has to make entries durable. Then they are sent again.
const APPEND_WAIT: Duration = Duration::from_millis(1500);
/// How long a voter has to make its vote durable.
const VOTE_WAIT: Duration = Duration::from_millis(1000);
/// Requests on their way to one follower of one group. With the bound on their size (`store::READ_BYTES_MAX`) this bounds the
/// memory a slow follower takes; a few are enough to keep a connection and a disk busy.
const APPENDS_IN_FLIGHT_MAX: usize = 16;
/// Time until a follower that did not answer is tried again; doubled each time, up to the longest. One that is back is tried
/// at once.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_millis(3200);

/// What a follower answers to entries, or that nothing came.
type Appended = Result<StreamAppendResult<Types>, RPCError<Types>>;

/// What a group's replica here shares with its links to the others.
pub(crate) struct Channel {
    pub(crate) group: GroupId,
    pub(crate) host: Arc<Host>,
    pub(crate) exchange: Exchange,
    pub(crate) lease: Lease,
    /// Set when a request to a follower that is alive was lost: it may have said how far the log is committed, and nothing
    /// else will until there is a new entry.
    pub(crate) troubled: AtomicBool,
    /// Whether a former process may have made promises about the group.
    pub(crate) has_past: bool,
    /// The leave to be elected that a leader gave, and the term of that election.
    pub(crate) leave: Mutex<Option<(Transfer, u64)>>,
}

impl Channel {
    pub(crate) fn new(group: GroupId, host: Arc<Host>) -> Arc<Self> {
        let exchange = Exchange::new(group, Arc::clone(&host), host.random() >> 1);
        let (lease, leave, has_past) = (Lease::default(), Mutex::default(), host.log.vote(group).is_some());
        Arc::new(Self { group, host, exchange, lease, troubled: AtomicBool::new(false), has_past, leave })
    }
}

/// A channel's exchange, kept alive by whoever waits for an answer.
#[derive(Clone)]
pub(crate) struct Asking(pub(crate) Arc<Channel>);

impl AsRef<Exchange> for Asking {
    fn as_ref(&self) -> &Exchange {
        &self.0.exchange
    }
}

/// Makes links.
pub(crate) struct Links(pub(crate) Arc<Channel>);

impl RaftNetworkFactory<Types> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Link {
        Link { channel: Arc::clone(&self.0), target }
    }
}

/// The way to the replica on one node.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) channel: Arc<Channel>,
    pub(crate) target: u64,
}

impl Link {
    /// Sends a request at once.
    pub(crate) fn ask(&self, body: Body, wait: Duration) -> impl Future<Output = Result<Body, Lost>> + use<> {
        Exchange::ask(Asking(Arc::clone(&self.channel)), self.target, body, wait)
    }

    /// Sends entries at once, and waits for the answer when polled.
    fn append(&self, request: &AppendEntriesRequest<Types>) -> impl Future<Output = Appended> + use<> {
        let (channel, target) = (Arc::clone(&self.channel), self.target);
        let (term, generation) = (request.vote.leader_id.term, channel.lease.generation());
        let answer = self.ask(Body::Append(wire::append(request, generation)), APPEND_WAIT);
        async move {
            let answer = answer.await;
            if answer.is_err() && channel.host.support.is_supported_by(target) {
                channel.troubled.store(true, Ordering::Release);
                channel.host.stir([channel.group]);
            }
            let Body::AppendAnswer(answer) = answer.map_err(lost)? else { return Err(nonsense()) };
            let result = wire::read_append_answer(&answer).map_err(|error| failed(&error))?;
            if let (Ok(_), Some(epoch)) = (&result, &answer.epoch) {
                channel.lease.accept(target, term, generation, Epoch::decode(epoch));
            }
            Ok(result)
        }
    }
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = SnapshotSource;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        Ok(self.append(&request).await?.into())
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Appended>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        let link = self.clone();
        let answers = input.map(move |request| link.append(&request)).buffered(APPENDS_IN_FLIGHT_MAX);
        let mut matched = None;
        let answers = answers.map(move |answer| plausible(&mut matched, answer));
        Box::pin(async move { Ok(answers.boxed() as BoxStream<'s, _>) })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let leave = self.channel.leave.lock().filter(|(_, term)| *term == request.vote.leader_id.term);
        let request = wire::vote_request(&request, leave.map(|(transfer, _)| transfer));
        let answer = self.ask(Body::Vote(request), VOTE_WAIT).await.map_err(lost)?;
        let Body::VoteAnswer(answer) = answer else { return Err(nonsense()) };
        wire::read_vote_answer(&answer).map_err(|error| failed(&error))
    }

    async fn full_snapshot(
        &mut self,
        vote: RaftVote,
        snapshot: openraft::alias::SnapshotOf<Types, SnapshotSource>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let SnapshotSource::Machine(machine) = snapshot.snapshot else {
            return Err(StreamingError::Unreachable(Unreachable::new(&invalid("a snapshot without a machine"))));
        };
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = send(self, vote, &machine) => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote)),
                Err(error) => Err(StreamingError::Unreachable(Unreachable::new(&error))),
            }
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        let doubled = std::iter::successors(Some(RETRY), |delay| Some((*delay * 2).min(RETRY_MAX)));
        Some(Backoff::new(doubled))
    }
}

/// Entries that overtook those before them were refused for want of these, which have come since: that is no reversion of the
/// follower's log, and is asked again.
fn plausible(matched: &mut Option<EntryId>, answer: Appended) -> Appended {
    match &answer {
        Ok(Ok(last)) => *matched = (*matched).max(*last),
        Ok(Err(StreamAppendError::Conflict(place))) if Some(*place) <= *matched => {
            return Err(failed(&invalid("a refusal of entries that have come since")));
        }
        _ => {}
    }
    answer
}

fn lost(lost: Lost) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(&lost))
}

fn failed(error: &io::Error) -> RPCError<Types> {
    RPCError::Network(NetworkError::new(error))
}

fn nonsense() -> RPCError<Types> {
    failed(&invalid("an answer to another question"))
}
