//! Transactions that are committed once all their intents stand, seen from a shard that holds some of them.
//!
//! # What an answer means
//! A key without an intent had none at some moment of the question. Asked for a timestamp, the shard gives it one above that
//! timestamp, if ever: it counts as read there. Barred, it never gets one.

use bytes::Bytes;
use proto::{
    SqlState, Timestamp, TxnId,
    kv::{self, command, response, txn_status},
};
use sharddb_proto as proto;

use crate::{
    replica::{Failure, Replica},
    serving::At,
};

impl Replica {
    /// Looks for a staged transaction's intents.
    pub(crate) async fn find_intents(
        &self,
        header: &kv::Header,
        find: kv::FindIntents,
    ) -> Result<kv::FoundIntents, Failure> {
        let at = self.check(header, find.keys.iter())?;
        if find.bar {
            return self.bar(at, header.txn, find).await;
        }
        let above = Timestamp(find.above_ts);
        self.shared.marks.raise_read_ts(above);
        let mut found = kv::FoundIntents { all: true, highest_ts: 0 };
        for key in &find.keys {
            self.wait_for_key(key, above).await;
            match self.intent(key)?.filter(|intent| intent.txn == header.txn) {
                Some(intent) => found.highest_ts = found.highest_ts.max(intent.prepare_ts),
                None => found.all = false,
            }
        }
        self.check_still(at)?;
        Ok(found)
    }

    async fn bar(&self, at: At, txn: u64, find: kv::FindIntents) -> Result<kv::FoundIntents, Failure> {
        // By this the record is swept, and what set out later is let in: a node that is idle is behind the present.
        let now_ms = self.fresh().millis().max(find.now_ms);
        let bar = kv::BarCommand { txn, keys: find.keys, now_ms };
        match self.propose(at, command::Body::Bar(bar)).await? {
            response::Body::FoundIntents(found) => Ok(found),
            _ => Err(Failure::Internal("a bar with an outcome of the wrong kind".to_owned())),
        }
    }

    /// Fails while a transaction is open that has intents in the span: its other intents count only with these.
    pub(crate) async fn check_decided(&self, span: &kv::Span) -> Result<(), Failure> {
        let mut decided: Vec<u64> = Vec::new();
        let mut rest = Some(span.clone()).filter(|_| !self.shared.intents.is_empty());
        while let Some(part) = rest {
            let (intents, next) = self.intents_in(&part, |intent| !decided.contains(&intent.txn))?;
            for (key, intent) in intents {
                if decided.contains(&intent.txn) {
                    continue;
                }
                let status = self.environment.query_to_end(&intent).await?;
                if status.state() == txn_status::State::Pending && self.has_intent(&key, TxnId(intent.txn))? {
                    let message = "a transaction that has written there is not decided".to_owned();
                    return Err(Failure::Refused(kv::Refused {
                        sqlstate: SqlState::ObjectInUse.code().to_owned(),
                        message,
                    }));
                }
                decided.push(intent.txn);
            }
            rest = next;
        }
        Ok(())
    }

    fn has_intent(&self, key: &Bytes, txn: TxnId) -> Result<bool, Failure> {
        Ok(self.intent(key)?.is_some_and(|intent| intent.txn == txn.0))
    }
}
