//! How many voters a group is to have.

use proto::meta::NodeState;
use sharddb_proto as proto;

/// The cluster setting that names the wanted number of voters. Unset, it follows the cluster: one while there are fewer
/// than three nodes, then three.
pub const REPLICATION_FACTOR: &str = "replication_factor";

/// Most voters of a group. More would slow every write down without making a loss of data any less likely in practice.
pub const FACTOR_MAX: u32 = 7;

/// Whether replicas may be spread over a node in this state, now or once it is back.
pub(crate) fn counts(state: NodeState) -> bool {
    matches!(state, NodeState::Active | NodeState::Draining)
}

/// Reads a replication factor: an odd number, because an even one survives no more failures than the number below it.
pub fn parse(text: &str) -> Result<u32, String> {
    let factor = text.trim().parse().ok().filter(|factor| (1..=FACTOR_MAX).contains(factor) && factor % 2 == 1);
    factor.ok_or_else(|| format!("a replication factor must be an odd number from 1 to {FACTOR_MAX}, not {text:?}"))
}

/// The factor of ranges that name none.
pub fn cluster_factor(setting: Option<&str>, members: usize) -> u32 {
    let following = if members >= 3 { 3 } else { 1 };
    setting.and_then(|text| parse(text).ok()).unwrap_or(following)
}

/// Whether replicas are to be even over nodes. Not while two nodes without a factor of their own wait for a third one: spread
/// over both, single replicas would need both to live.
pub fn levels(setting: Option<&str>, members: usize) -> bool {
    setting.is_some() || members != 2
}

/// Voters that a factor means with so many nodes.
pub fn voters(factor: u32, members: usize) -> usize {
    let most = (factor as usize).min(members).max(1);
    most - (most + 1) % 2
}

/// Voters of the meta group: as many as the best replicated range has, and three wherever there are three nodes.
pub fn meta_voters(factor: u32, members: usize) -> usize {
    voters(factor.clamp(3, 5), members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_follows_the_cluster_until_it_is_set() {
        let voters_of = |setting, members| voters(cluster_factor(setting, members), members);
        assert_eq!((1..=6).map(|members| voters_of(None, members)).collect::<Vec<_>>(), [1, 1, 3, 3, 3, 3]);
        assert_eq!((1..=6).map(|members| voters_of(Some("5"), members)).collect::<Vec<_>>(), [1, 1, 3, 3, 5, 5]);
        assert_eq!((1..=6).map(|members| meta_voters(1, members)).collect::<Vec<_>>(), [1, 1, 3, 3, 3, 3]);
        assert!(parse("4").is_err() && parse("0").is_err() && parse("9").is_err() && parse("three").is_err());
    }
}
