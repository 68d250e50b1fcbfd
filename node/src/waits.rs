//! Waits of this node, for the search for deadlocks over several nodes.

use std::time::Duration;

use meta::Waits;
use proto::{
    TxnId,
    meta::{Victim, Wait},
};
use shard::Node;
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_shard as shard;

/// Reports the waits at the shards of a node.
pub(crate) struct NodeWaits(pub(crate) Node);

impl Waits for NodeWaits {
    fn waits(&self, age: Duration) -> Vec<Wait> {
        let wait = |wait: shard::LongWait| Wait {
            id: wait.id,
            waiter: wait.waiter.0,
            // Ids carry no time: the victim is the one with the highest.
            began: 0,
            holders: wait.holders.iter().map(|holder| holder.0).collect(),
        };
        self.0.waits(age).into_iter().map(wait).collect()
    }

    fn end(&self, victim: Victim) {
        self.0.end_wait(victim.wait, TxnId(victim.txn), victim.cycle.into_iter().map(TxnId).collect());
    }
}
