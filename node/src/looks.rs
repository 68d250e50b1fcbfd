//! What is found again and again, look after look: most of what seems wrong with a shard is on its way to be right.

use std::collections::{BTreeMap, BTreeSet};

use proto::ShardId;
use sharddb_proto as proto;

/// Looks in a row that find something wrong with a shard before its leader is asked.
const LOOKS_MIN: u32 = 3;
/// Leaders asked after one look.
const ASKED_MAX: usize = 64;

/// In how many looks in a row something was found.
#[derive(Default)]
pub(crate) struct Looks(BTreeMap<ShardId, u32>);

impl Looks {
    /// Takes what a look has found; answers the shards to ask about now. Whatever comes of it, others have their turn next.
    pub(crate) fn ripe(&mut self, found: &BTreeSet<ShardId>) -> Vec<ShardId> {
        self.0.retain(|shard, _| found.contains(shard));
        found.iter().for_each(|shard| *self.0.entry(*shard).or_default() += 1);
        let often = self.0.iter().filter(|(_, looks)| **looks >= LOOKS_MIN).map(|(shard, _)| *shard);
        let ripe: Vec<ShardId> = often.take(ASKED_MAX).collect();
        self.0.retain(|shard, _| !ripe.contains(shard));
        ripe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_away_by_itself_is_not_asked_about() {
        let (mut looks, both, one) = (Looks::default(), BTreeSet::from([1, 2].map(ShardId)), [ShardId(1)].into());
        assert_eq!((looks.ripe(&both), looks.ripe(&one)), (vec![], vec![]));
        assert_eq!(looks.ripe(&both), [ShardId(1)]);
        assert_eq!((looks.ripe(&both), looks.ripe(&both)), (vec![], vec![ShardId(2)]), "each begins anew");
    }
}
