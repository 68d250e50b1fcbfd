//! Timestamps and identifiers over changes of leader, restarts and clocks that are wrong.

use std::{sync::Arc, time::Duration};

use meta::{Error, Meta};
use proptest::{collection::vec, prelude::*};
use proto::Timestamp;
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_storage::MemoryEngine;

use crate::log::{Log, TestClock, member};

pub(crate) const NODES: u64 = 4;

pub(crate) struct Cluster {
    pub(crate) log: Arc<Log>,
    engines: Vec<Arc<MemoryEngine>>,
    clocks: Vec<Arc<TestClock>>,
    members: Vec<Meta>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let log = Arc::<Log>::default();
        let engines: Vec<Arc<MemoryEngine>> = (0..NODES).map(|_| Arc::default()).collect();
        let clocks: Vec<Arc<TestClock>> = (0..NODES).map(|node| TestClock::new(100_000 + 700 * node)).collect();
        let members = (0..NODES).map(|node| member(&log, node + 1, &engines[node as usize], &clocks[node as usize]));
        let members = members.collect();
        Self { log, engines, clocks, members }
    }

    pub(crate) fn member(&self, node: u64) -> &Meta {
        &self.members[node as usize - 1]
    }

    /// A new leader that everybody knows of.
    pub(crate) async fn lead(&self, node: u64) {
        self.log.elect(node);
        (1..=NODES).for_each(|node| self.log.inform(node));
        self.settle().await;
    }

    pub(crate) async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    fn restart(&mut self, node: u64) {
        let at = node as usize - 1;
        self.members[at] = member(&self.log, node, &self.engines[at], &self.clocks[at]);
        self.log.inform(node);
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Takes timestamps at a node, whether it leads or not.
    Take {
        node: u64,
        count: u64,
    },
    /// Elects a leader; only the nodes whose bit is set hear of it.
    Elect {
        node: u64,
        informed: u8,
    },
    Inform {
        node: u64,
    },
    CatchUp {
        node: u64,
    },
    Restart {
        node: u64,
    },
    SetClock {
        node: u64,
        wall_ms: u64,
    },
    Wait {
        ms: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let node = 1..=NODES;
    prop_oneof![
        6 => (node.clone(), prop_oneof![Just(1), 1..5000u64]).prop_map(|(node, count)| Step::Take { node, count }),
        2 => (node.clone(), any::<u8>()).prop_map(|(node, informed)| Step::Elect { node, informed }),
        3 => node.clone().prop_map(|node| Step::Inform { node }),
        1 => node.clone().prop_map(|node| Step::CatchUp { node }),
        1 => node.clone().prop_map(|node| Step::Restart { node }),
        1 => (node, 0..1_000_000u64).prop_map(|(node, wall_ms)| Step::SetClock { node, wall_ms }),
        2 => (1..6000u64).prop_map(|ms| Step::Wait { ms }),
    ]
}

async fn run(steps: Vec<Step>) -> usize {
    let mut cluster = Cluster::new();
    let mut last = Timestamp::ZERO;
    let mut taken = 0;
    for step in steps {
        match step {
            Step::Take { node, count } => {
                if let Ok(first) = cluster.member(node).timestamps(count, Timestamp::ZERO).await {
                    assert!(first > last, "{first} at node {node} after {last}");
                    last = Timestamp(first.0 + count - 1);
                    taken += 1;
                }
            }
            Step::Elect { node, informed } => {
                cluster.log.elect(node);
                (1..=NODES).filter(|node| informed & (1 << node) != 0).for_each(|node| cluster.log.inform(node));
            }
            Step::Inform { node } => cluster.log.inform(node),
            Step::CatchUp { node } => cluster.log.catch_up(node),
            Step::Restart { node } => cluster.restart(node),
            Step::SetClock { node, wall_ms } => *cluster.clocks[node as usize - 1].wall_ms.lock() = wall_ms,
            Step::Wait { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
    }
    cluster.lead(1).await;
    let end = cluster.member(1).timestamp().await.expect("the leader answers");
    assert!(end > last, "{end} after {last}");
    taken
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn timestamps_ascend_over_elections_restarts_and_wrong_clocks(steps in vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(run(steps));
    }
}

#[tokio::test(start_paused = true)]
async fn a_timestamp_taken_before_another_began_to_lead_is_not_handed_out() {
    let cluster = Cluster::new();
    cluster.lead(1).await;
    let before = cluster.member(1).try_timestamp().expect("the leader answers");
    cluster.log.before_next_lease(|log| log.elect(2));
    assert_eq!(cluster.member(1).try_timestamp(), None, "the lease was lost after the timestamp was taken");
    cluster.log.inform(2);
    cluster.settle().await;
    assert!(cluster.member(2).timestamp().await.expect("the new leader answers") > before);
}

#[tokio::test(start_paused = true)]
async fn who_leads_again_in_a_later_term_begins_anew() {
    let cluster = Cluster::new();
    cluster.lead(1).await;
    cluster.member(1).timestamp().await.expect("the leader answers");
    // Node 2 leads in between; node 1 hears of nothing and has the lease of a term it does not know of.
    cluster.log.elect(2);
    cluster.log.inform(2);
    cluster.settle().await;
    let between = cluster.member(2).timestamp().await.expect("the leader answers");
    cluster.log.elect(1);
    assert_eq!(cluster.member(1).try_timestamp(), None);
    assert!(matches!(cluster.member(1).timestamp().await, Err(Error::NotLeader { .. })));
    cluster.log.inform(1);
    cluster.settle().await;
    assert!(cluster.member(1).timestamp().await.expect("the leader answers") > between);
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_leader_is_followed_and_one_set_back_is_not() {
    let cluster = Cluster::new();
    cluster.lead(1).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let first = cluster.member(1).timestamp().await.expect("the leader answers");
    let wall = |cluster: &Cluster| *cluster.clocks[0].wall_ms.lock() + 20_020;
    assert!(first.millis().abs_diff(wall(&cluster)) <= 5, "{first}");
    *cluster.clocks[0].wall_ms.lock() = 0;
    let mut last = first;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let next = cluster.member(1).timestamp().await.expect("the leader answers");
        assert!(next > last && next.millis() >= last.millis() + 400, "time goes on at half the pace: {next}");
        last = next;
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_does_not_lead_names_the_leader() {
    let cluster = Cluster::new();
    cluster.lead(2).await;
    let refused = cluster.member(1).timestamp().await;
    assert!(matches!(refused, Err(Error::NotLeader { leader: Some(2) })), "{refused:?}");
    assert_eq!(cluster.member(1).try_timestamp(), None);
}
