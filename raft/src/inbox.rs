//! What other nodes ask of a group, in the order in which openraft gets it.
//!
//! # Ordering
//! This task is the only one that hands openraft entries, votes and elections. So whether a vote may be given is decided
//! after everything handed over before has been looked at, and the epoch of an append was current when it was handed over:
//! between the two nothing else gets in.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use futures::{StreamExt, stream::FuturesUnordered};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult};
use proto::raft::{
    Append, Message, Refused, Resigned, SnapshotOffer, Transfer, TransferAnswer, TransferLeader, VoteAnswer,
    VoteRequest, message::Body, refused::Reason,
};
use sharddb_proto as proto;
use tokio::sync::mpsc;

use crate::{
    election::{Candidate, View, campaign, gate, view, would_pass},
    replica::Replica,
    snapshot,
    types::{EntryId, RaftVote, Types, decode_id, encode_id, invalid},
    wire,
};

/// Requests that wait for the inbox of one group. Leaders have at most a few in flight each; more are refused.
pub(crate) const JOBS_MAX: usize = 256;
/// Appends that openraft has and has not answered.
const APPENDS_MAX: usize = 64;

/// Something for the inbox to do.
pub(crate) enum Job {
    /// A request of another node.
    Request { from: u64, id: u64, body: Body },
    /// Nobody leads: ask whether the others would elect this replica.
    Campaign,
    /// They would.
    Elect,
    /// Collect acceptance of the term anew, and tell how far the log is committed.
    Assert,
    /// A node is back: go on sending to it at once.
    Revive(u64),
}

type Appended = Pin<Box<dyn Future<Output = (u64, u64, Body)> + Send>>;

/// The task of one group.
pub(crate) struct Inbox {
    replica: Arc<Replica>,
    jobs: mpsc::Receiver<Job>,
    appends: FuturesUnordered<Appended>,
    /// Term and generation of the newest append.
    newest: (u64, u64),
}

impl Inbox {
    pub(crate) fn new(replica: Arc<Replica>, jobs: mpsc::Receiver<Job>) -> Self {
        Self { replica, jobs, appends: FuturesUnordered::new(), newest: (0, 0) }
    }

    /// Runs until the group is stopped.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                Some((node, id, answer)) = self.appends.next() => self.replica.channel.exchange.tell(node, id, answer),
                job = self.jobs.recv(), if self.appends.len() < APPENDS_MAX => {
                    let Some(job) = job else { return };
                    self.carry_out(job).await;
                }
            }
        }
    }

    async fn carry_out(&mut self, job: Job) {
        let done = match job {
            Job::Request { from, id, body } => self.answer(from, id, body).await,
            Job::Campaign => campaign(&self.replica).await,
            Job::Elect => self.elect(None).await.map(drop),
            Job::Assert => self.assert().await,
            Job::Revive(node) => self.revive(node).await,
        };
        if let Err(error) = done {
            tracing::debug!(group = self.replica.id().0, %error, "a Raft group could not do what it was asked to");
        }
    }

    /// Collects acceptance of the term. What was given up for an election that openraft has passed over, because this replica
    /// had just won an earlier one, is had again: openraft knows of no later vote, and all that was handed to it is done.
    async fn assert(&mut self) -> io::Result<()> {
        let replica = &self.replica;
        let view = view(replica).await?;
        let (lease, term) = (&replica.channel.lease, view.vote.leader_id.term);
        if view.leads(replica.node()) && lease.forfeited() > term {
            lease.reclaim(term);
        }
        replica.raft.trigger().heartbeat().await.map_err(io::Error::other)
    }

    async fn answer(&mut self, from: u64, id: u64, body: Body) -> io::Result<()> {
        let answer = match body {
            Body::Append(append) => return self.append(from, id, append),
            Body::Vote(request) => self.vote(&request).await.map(Body::VoteAnswer),
            Body::PreVote(request) => self.pre_vote(from, &request).await.map(Body::PreVoteAnswer),
            Body::Transfer(transfer) => self.take_over(from, &transfer).await.map(Body::TransferAnswer),
            Body::SnapshotOffer(offer) => return self.fetch(from, id, offer),
            Body::LeaderQuestion(question) => return self.question(from, question.term).await,
            Body::Resigned(Resigned { term }) => {
                self.resigned(from, term).await?;
                return Ok(());
            }
            _ => Err(invalid("not a request")),
        };
        let failed = |_: &io::Error| Body::Refused(Refused { reason: Reason::Stopped as i32 });
        let (answer, outcome) = match answer {
            Ok(answer) => (answer, Ok(())),
            Err(error) => (failed(&error), Err(error)),
        };
        self.replica.channel.exchange.tell(from, id, answer);
        outcome
    }

    /// Hands entries to openraft and goes on; the answer is sent once they are durable.
    fn append(&mut self, from: u64, id: u64, append: Append) -> io::Result<()> {
        let support = &self.replica.host().support;
        let epoch = support.epoch(from);
        let generation = append.generation;
        let request = wire::read_append(append)?;
        let term = request.vote.leader_id.term;
        self.newest = self.newest.max((term, generation));
        if term >= self.replica.term() {
            let process = support.peer(from).incarnation();
            self.replica.standing.leader_process.store(process, Ordering::Release);
        }
        let raft = self.replica.raft.clone();
        let appending = async move {
            let (previous, last) = ends(&request);
            let answer = match raft.append_entries(request).await {
                Ok(response) => {
                    Body::AppendAnswer(wire::append_answer(&outcome(response, previous, last), epoch.encode()))
                }
                Err(_) => Body::Refused(Refused { reason: Reason::Stopped as i32 }),
            };
            (from, id, answer)
        };
        // The first poll hands it over, whatever this task has done before without a pause.
        let mut appended: Appended = Box::pin(tokio::task::unconstrained(appending));
        let mut context = Context::from_waker(Waker::noop());
        match appended.as_mut().poll(&mut context) {
            Poll::Ready((node, id, answer)) => self.replica.channel.exchange.tell(node, id, answer),
            Poll::Pending => self.appends.push(appended),
        }
        Ok(())
    }

    async fn vote(&mut self, request: &VoteRequest) -> io::Result<VoteAnswer> {
        let replica = &self.replica;
        let candidate = Candidate::read(request, self.newest)?;
        let view = view(replica).await?;
        let lease = &replica.channel.lease;
        let forfeited = lease.forfeited();
        if !gate(replica, &view, &candidate) {
            lease.restore(candidate.term, forfeited);
            return Ok(refusal(&view));
        }
        let answer = replica.raft.vote(wire::read_vote_request(request)?).await.map_err(io::Error::other)?;
        if answer.vote_granted {
            // Whoever is elected gets time to say so.
            replica.postpone_campaign();
        } else if answer.vote == view.vote {
            match view.leads(replica.node()) {
                true => lease.reclaim(view.vote.leader_id.term),
                false => lease.restore(candidate.term, forfeited),
            }
            replica.stir();
        }
        Ok(wire::vote_answer(&answer))
    }

    async fn pre_vote(&mut self, from: u64, request: &VoteRequest) -> io::Result<VoteAnswer> {
        let replica = &self.replica;
        let candidate = Candidate::read(request, self.newest)?;
        let view = view(replica).await?;
        let passes = would_pass(replica, &view, &candidate);
        if !passes && view.vote.committed && ![from, replica.node()].contains(&view.vote.leader_id.node_id) {
            replica.ask_leader(&view.vote);
        }
        let granted = passes && request.last.as_ref().map(decode_id) >= view.last;
        Ok(VoteAnswer { granted, ..refusal(&view) })
    }

    /// Begins an election, if nothing speaks against it. Answers whether it did.
    async fn elect(&mut self, transfer: Option<Transfer>) -> io::Result<bool> {
        let replica = &self.replica;
        let view = view(replica).await?;
        let term = view.vote.leader_id.term + 1;
        let candidate = Candidate { node: replica.node(), term, transfer, newest: self.newest };
        if view.leads(replica.node()) || !view.votes || !gate(replica, &view, &candidate) {
            return Ok(false);
        }
        replica.channel.lease.forfeit(term);
        *replica.channel.leave.lock() = transfer.map(|transfer| (transfer, term));
        replica.raft.trigger().elect(false).await.map_err(io::Error::other)?;
        Ok(true)
    }

    async fn take_over(&mut self, from: u64, request: &TransferLeader) -> io::Result<TransferAnswer> {
        let transfer = request.transfer.ok_or_else(|| invalid("a transfer of no term"))?;
        let view = view(&self.replica).await?;
        let followed = RaftVote { committed: true, ..RaftVote::new(transfer.term, from) };
        let caught_up = view.last >= request.last.as_ref().map(decode_id);
        let fits = view.vote == followed && caught_up;
        if fits {
            *self.replica.bequest.lock() = Some((transfer.term, request.bequest.clone()));
        }
        let accepted = fits && self.elect(Some(transfer)).await?;
        Ok(TransferAnswer { accepted })
    }

    /// A follower wonders whether this node still leads in a term.
    async fn question(&mut self, from: u64, term: u64) -> io::Result<()> {
        let replica = &self.replica;
        let view = view(replica).await?;
        let now = view.vote.leader_id.term;
        if now == term && view.leads(replica.node()) {
            // An append says so.
            return self.revive(from).await;
        }
        if now < term {
            return Ok(());
        }
        replica.channel.lease.resign(term);
        replica.channel.exchange.tell(from, 0, Body::Resigned(Resigned { term }));
        Ok(())
    }

    async fn resigned(&mut self, from: u64, term: u64) -> io::Result<()> {
        let vote = view(&self.replica).await?.vote;
        if vote.leader_id.term == term && vote.leader_id.node_id == from {
            self.replica.standing.resigned.fetch_max(term, Ordering::AcqRel);
            self.replica.stir();
        }
        Ok(())
    }

    async fn revive(&mut self, node: u64) -> io::Result<()> {
        let trigger = self.replica.raft.trigger();
        trigger.reset_backoff([node]).await.map_err(io::Error::other)?;
        trigger.heartbeat().await.map_err(io::Error::other)
    }

    fn fetch(&mut self, from: u64, id: u64, offer: SnapshotOffer) -> io::Result<()> {
        let replica = Arc::clone(&self.replica);
        snapshot::accept(&replica, from, id, offer)
    }
}

fn refusal(view: &View) -> VoteAnswer {
    VoteAnswer { vote: Some(wire::vote(&view.vote)), last: view.last.as_ref().map(encode_id), granted: false }
}

/// The ids of the entry before the first and of the last.
fn ends(request: &AppendEntriesRequest<Types>) -> (Option<EntryId>, Option<EntryId>) {
    let last = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
    (request.prev_log_id, last)
}

fn outcome(
    response: AppendEntriesResponse<Types>,
    previous: Option<EntryId>,
    last: Option<EntryId>,
) -> StreamAppendResult<Types> {
    match response {
        AppendEntriesResponse::Success => Ok(last),
        AppendEntriesResponse::PartialSuccess(matched) => Ok(matched),
        // Nothing comes before the first entry, so nothing else can be there.
        AppendEntriesResponse::Conflict => Err(StreamAppendError::Conflict(previous.expect("a conflict has a place"))),
        AppendEntriesResponse::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote)),
    }
}

/// The kinds of messages that a group's inbox takes.
pub(crate) fn is_request(message: &Message) -> bool {
    use Body::{Append, LeaderQuestion, PreVote, Resigned, SnapshotOffer, Transfer, Vote};
    matches!(
        message.body,
        Some(Append(_) | Vote(_) | PreVote(_) | Transfer(_) | SnapshotOffer(_) | LeaderQuestion(_) | Resigned(_))
    )
}
