//! Handing the lead to another voter.
//!
//! The leader stops serving first: from then on it holds no lease, so the other one may be elected although everybody still
//! supports the leader's node. Its leave goes with the votes it asks for. If nothing comes of it, the leader takes the leave
//! back and collects acceptance anew; a voter that has accepted the newer appends refuses the old leave.
//!
//! The leader may leave something to its successor (a bequest) that is not in the log. It reaches only a successor that is
//! elected in the next term, so that nobody has led in between. The leader may have gone on after a first attempt, though, and
//! the bequest be old: it is a hint.

use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use proto::raft::{Transfer, TransferLeader, message::Body};
use sharddb_proto as proto;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    error::{Error, stopped},
    group::Group,
    inbox::Job,
    link::Link,
    types::{EntryId, encode_id},
};

/// How long the other one may take to get nearly all entries, before the leader stops serving.
const CATCH_UP_WAIT: Duration = Duration::from_millis(1000);
/// How long it may take to get the last ones, while nobody serves.
const LAST_WAIT: Duration = Duration::from_millis(300);
/// Between looks whether it has them.
const CATCH_UP_CHECK: Duration = Duration::from_millis(5);
/// Entries that may be missing when the leader stops serving.
const CATCH_UP_ENTRIES: u64 = 64;
/// How long the other one may take to begin its election.
const ACCEPT_WAIT: Duration = Duration::from_millis(500);
/// Longest bequest: it goes in one message, while nobody serves.
const BEQUEST_BYTES_MAX: usize = 1 << 20;
/// How long the election may take.
const ELECTION_WAIT: Duration = Duration::from_millis(1500);

impl Group {
    /// Hands the lead to another voter, and returns once this replica knows it as leader. This replica stops serving for as
    /// long as that takes; after an error it leads on, if it still can.
    pub async fn transfer_leader(&self, to: u64) -> Result<(), Error> {
        self.bequeath(to, Bytes::new).await
    }

    /// The same, with a bequest that is made once this replica does not serve any more. One of more than
    /// `BEQUEST_BYTES_MAX` bytes is left out.
    pub async fn bequeath(&self, to: u64, bequest: impl FnOnce() -> Bytes) -> Result<(), Error> {
        self.check_lease()?;
        if to == self.replica().node() {
            return Ok(());
        }
        if !self.members().voters.contains(&to) {
            return Err(Error::Transfer { to, reason: "it does not vote" });
        }
        self.await_entries(to, CATCH_UP_ENTRIES, CATCH_UP_WAIT).await?;
        let Some(leave) = self.replica().channel.lease.hand_over() else {
            return Err(Error::Transfer { to, reason: "the lead is being handed over already" });
        };
        // Also when whoever waits gives up.
        let _taken_back = TakeBack { group: self, leave };
        self.await_entries(to, 0, LAST_WAIT).await?;
        let bequest = Some(bequest()).filter(|bequest| bequest.len() <= BEQUEST_BYTES_MAX).unwrap_or_default();
        self.ask_to_take_over(to, leave, bequest).await
    }

    /// What the leader of the term before left to this replica, which leads in `term`. Once.
    pub fn take_bequest(&self, term: u64) -> Option<Bytes> {
        let (from, bequest) = self.replica().bequest.lock().take()?;
        (from + 1 == term).then_some(bequest)
    }

    async fn ask_to_take_over(&self, to: u64, leave: Transfer, bequest: Bytes) -> Result<(), Error> {
        let last = self.last().map(|id| encode_id(&id));
        let link = Link { channel: self.replica().channel.clone(), target: to };
        let request = Body::Transfer(TransferLeader { transfer: Some(leave), last, bequest });
        match link.ask(request, ACCEPT_WAIT).await {
            Ok(Body::TransferAnswer(answer)) if answer.accepted => {}
            Ok(_) | Err(_) => return Err(Error::Transfer { to, reason: "it did not begin an election" }),
        }
        let mut leadership = self.leadership();
        let elected = leadership.wait_for(|now| now.term > leave.term && now.leader == Some(to));
        match timeout(ELECTION_WAIT, elected).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(stopped(error)),
            Err(_) => Err(Error::Transfer { to, reason: "it was not elected in time" }),
        }
    }

    /// Waits until at most so many of the last entries are missing there.
    async fn await_entries(&self, to: u64, missing: u64, wait: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + wait;
        loop {
            let matched =
                self.progress().into_iter().find(|progress| progress.node == to).map_or(0, |found| found.matched);
            if self.last().map_or(0, |id| id.index) <= matched + missing {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::Transfer { to, reason: "it is too far behind" });
            }
            sleep(CATCH_UP_CHECK).await;
        }
    }

    fn last(&self) -> Option<EntryId> {
        self.raft().data_metrics().borrow_watched().last_log
    }
}

/// Takes a leave back, which does nothing once another one leads.
struct TakeBack<'a> {
    group: &'a Group,
    leave: Transfer,
}

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        let replica = self.group.replica();
        replica.channel.lease.take_back(self.leave);
        replica.stir();
        if replica.leads() {
            // With a full inbox the pulse asks again soon.
            let _enqueued = replica.enqueue(Job::Assert);
        }
    }
}
