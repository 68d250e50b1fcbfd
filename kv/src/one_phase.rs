//! Commit of a transaction that wrote only one shard: one request.
//!
//! A shard's leader may be lost while the request is on its way. The commit is then sent again to the next one, which
//! knows by the version that names the transaction whether it was carried out already. Only when no leader is found in
//! time, or the range was cut meanwhile, the outcome is asked for, and fixed by the question.

use bytes::Bytes;
use proto::{
    NodeId, Timestamp, TxnId,
    kv::{self, failure::Kind, request, response, txn_status},
};
use sharddb_proto as proto;

use crate::{
    Attempts, Client, Error, Result, Route,
    client::{failure_of, unexpected},
    retry::Stale,
};

/// A one-phase commit and what its attempts have met.
pub(crate) struct OnePhase<'a> {
    client: &'a Client,
    txn: TxnId,
    guards: Vec<kv::Guard>,
    commit: kv::Commit,
}

/// What one attempt came to.
enum Attempt {
    Committed(Timestamp),
    /// Nothing happened; another route may do.
    Refused(Stale),
    /// It may have been carried out.
    Lost(String),
}

impl<'a> OnePhase<'a> {
    pub(crate) fn new(client: &'a Client, txn: TxnId, guards: Vec<kv::Guard>, commit: kv::Commit) -> Self {
        Self { client, txn, guards, commit }
    }

    /// Commits; answers when and at which node. `None` if the range was cut and nothing happened.
    pub(crate) async fn run(mut self, mut route: Route) -> Result<Option<(Timestamp, NodeId)>> {
        let mut attempts = Attempts::default();
        loop {
            let attempt = match self.attempt(&route).await {
                Err(error) if self.commit.retried => return self.settle_refused(error, &route).await,
                attempt => attempt?,
            };
            let lost = match attempt {
                Attempt::Committed(timestamp) => return Ok(Some((timestamp, route.node))),
                Attempt::Refused(stale) if !stale.map_is_old || self.commit.retried => stale,
                Attempt::Refused(_) => {
                    self.client.refresh_ranges().await?;
                    return Ok(None);
                }
                Attempt::Lost(reason) => {
                    self.commit.retried = true;
                    Stale { reason, map_is_old: false }
                }
            };
            let reason = lost.reason.clone();
            if let Err(error) = self.client.reroute(&mut attempts, lost).await {
                return if self.commit.retried { self.settle(reason, &route).await } else { Err(error) };
            }
            let next = self.client.ranges().route(&self.first()).clone();
            if (&next.start, &next.end, next.shard) != (&route.start, &route.end, route.shard) {
                return if self.commit.retried { self.settle(reason, &next).await } else { Ok(None) };
            }
            route = next;
        }
    }

    async fn attempt(&self, route: &Route) -> Result<Attempt> {
        let body = request::Body::Commit(self.commit.clone());
        let answer = self.client.call_guarded(route, self.txn, self.guards.clone(), body).await?;
        let kind = match answer {
            response::Body::Commit(done) => return Ok(Attempt::Committed(Timestamp(done.commit_ts))),
            answer => failure_of(&answer).ok_or_else(|| unexpected("Commit"))?,
        };
        self.client.learn(route, &kind);
        match kind {
            Kind::Ambiguous(reason) | Kind::Internal(reason) => Ok(Attempt::Lost(reason)),
            kind => match Stale::of(route, &kind) {
                Some(stale) => Ok(Attempt::Refused(stale)),
                None => Err(unknown_outcome(Error::from_failure(kind))),
            },
        }
    }

    /// The key whose version names the transaction.
    fn first(&self) -> Bytes {
        self.commit.writes.first().map(|write| write.key.clone()).unwrap_or_default()
    }

    /// An attempt was refused after one that was lost: that one may be on its way still, and must not arrive later.
    async fn settle_refused(&self, refused: Error, at: &Route) -> Result<Option<(Timestamp, NodeId)>> {
        match self.settle(refused.to_string(), at).await {
            Err(Error::Lost { .. }) => Err(refused),
            settled => settled,
        }
    }

    /// Asks how it ended; what has not happened never will.
    async fn settle(&self, lost: String, at: &Route) -> Result<Option<(Timestamp, NodeId)>> {
        let query = kv::QueryTxn { txn: self.txn.0, primary: self.first(), one_phase: true, ..kv::QueryTxn::default() };
        match self.client.query_txn(query).await {
            Ok(status) if status.state() == txn_status::State::Committed => {
                Ok(Some((Timestamp(status.commit_ts), at.node)))
            }
            Ok(_) => Err(Error::Lost { reason: lost }),
            Err(error) => Err(Error::CommitUnknown { reason: format!("{lost}; {error}") }),
        }
    }
}

/// An internal failure of a request that decides a transaction, or that of its node, leaves the outcome open; every
/// other one says that nothing happened.
pub(crate) fn unknown_outcome(error: Error) -> Error {
    match error {
        Error::Internal(reason) | Error::Unknown { message: reason, .. } => Error::CommitUnknown { reason },
        other => other,
    }
}
