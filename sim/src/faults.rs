//! What goes wrong: two troublemakers, one for processes and one for the network, and changes that have to work meanwhile.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use proto::{NodeId, ShardId};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use sharddb_proto as proto;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{cluster::Cluster, workload};

/// Longest time that a torn sync is waited for: an idle node syncs nothing.
const TORN_MAX: Duration = Duration::from_secs(3);
/// Longest time that a change may take before the next one.
const CHANGE_MAX: Duration = Duration::from_secs(20);

/// Starts those who make trouble, for about as long as told.
pub(crate) fn start(cluster: &Arc<Cluster>, rounds: u32) -> Vec<JoinHandle<()>> {
    let trouble =
        || Trouble { random: StdRng::seed_from_u64(cluster.random(Rng::random)), cluster: Arc::clone(cluster) };
    vec![
        tokio::spawn(trouble().with_processes(rounds)),
        tokio::spawn(trouble().with_the_network(rounds)),
        tokio::spawn(trouble().with_placement(rounds)),
    ]
}

struct Trouble {
    cluster: Arc<Cluster>,
    random: StdRng,
}

impl Trouble {
    async fn pause(&mut self, min_ms: u64, max_ms: u64) {
        sleep(Duration::from_millis(self.random.random_range(min_ms..max_ms))).await;
    }

    fn shuffled(&mut self) -> Vec<u64> {
        let mut ids = self.cluster.ids();
        ids.shuffle(&mut self.random);
        ids
    }

    /// Crashes, restarts, clocks that are set.
    async fn with_processes(mut self, rounds: u32) {
        for _ in 0..rounds {
            self.pause(200, 2500).await;
            let victims = self.shuffled();
            let id = victims[0];
            match self.random.random_range(0..9) {
                0 => victims.iter().for_each(|id| self.cluster.crash(*id)),
                1 => {
                    self.cluster.trace.note(format_args!("node {id} stops in order"));
                    self.cluster.machine(id).stop().await;
                }
                2..4 => {
                    let torn = self.cluster.machine(id).arm(self.random.random());
                    let _idle = timeout(TORN_MAX, torn.cancelled()).await;
                    self.cluster.crash(id);
                }
                4..7 => self.cluster.crash(id),
                _ => {
                    let ms = self.random.random_range(-20_000..20_000);
                    self.cluster.trace.note(format_args!("node {id} sets its clock by {ms} ms"));
                    self.cluster.machine(id).clocks.jump(ms);
                }
            }
            self.pause(10, 2500).await;
            self.start_all();
        }
    }

    fn start_all(&self) {
        for id in self.cluster.ids() {
            if !self.cluster.machine(id).runs() {
                self.cluster.start(id);
            }
        }
    }

    /// Partitions, delays, losses.
    async fn with_the_network(mut self, rounds: u32) {
        for _ in 0..rounds {
            self.pause(200, 2500).await;
            let ids = self.shuffled();
            let minority = self.random.random_range(1..=(ids.len() - 1) / 2);
            let (some, others) = ids.split_at(minority);
            match self.random.random_range(0..6) {
                0 | 1 => self.cut(some, others, true),
                2 => self.cut(some, others, false),
                3 => self.cut(others, some, false),
                4 => self.cut(&ids[..1], &ids[1..2], true),
                _ => {
                    let (loss, delay_ms) = (self.random.random_range(0..150), self.random.random_range(5..400));
                    self.cluster.trace.note(format_args!("the network loses {loss} of 1000 and takes {delay_ms} ms"));
                    self.cluster.network.misbehave(loss, Duration::from_millis(delay_ms));
                }
            }
            self.pause(200, 3500).await;
            self.cluster.trace.note(format_args!("the network behaves"));
            self.cluster.network.mend();
            self.cluster.network.behave();
        }
    }

    fn cut(&self, some: &[u64], others: &[u64], both: bool) {
        self.cluster.trace.note(format_args!("cut {some:?} > {others:?}, both ways: {both}"));
        for (one, other) in some.iter().flat_map(|one| others.iter().map(move |other| (*one, *other))) {
            self.cluster.network.cut(one, other);
            if both {
                self.cluster.network.cut(other, one);
            }
        }
    }

    /// Shards are cut, leaders and replicas move, logs are shortened. Any of it may fail.
    async fn with_placement(mut self, rounds: u32) {
        let cuts = workload::extra_cuts();
        for round in 0..rounds * 2 {
            self.pause(200, 1500).await;
            let cut = cuts.get(round as usize).cloned();
            let change = timeout(CHANGE_MAX, self.change(cut)).await;
            self.cluster.trace.note(format_args!("a change of placement: {change:?}"));
        }
    }

    async fn change(&mut self, cut: Option<bytes::Bytes>) -> Result<(), String> {
        let (node, session) = self.cluster.session(&mut self.random).await;
        let client = session.client;
        let shard = {
            let ranges = client.ranges();
            ranges.all()[self.random.random_range(0..ranges.all().len())].shard
        };
        let ids = self.shuffled();
        self.cluster.trace.note(format_args!("node {node} changes the placement of {shard}"));
        let work = match (self.random.random_range(0..5), cut) {
            (0, Some(cut)) => client.split_at(&[cut]).await,
            (0 | 1, _) => client.place_leader(ShardId(shard.0), NodeId(ids[0])).await,
            (2, _) if ids.len() > 3 => {
                let voters: BTreeSet<u64> = ids[..3].iter().copied().collect();
                client.place_replicas(shard, &voters).await
            }
            _ => {
                let Some(layers) = self.cluster.machine(ids[0]).layers() else { return Ok(()) };
                return layers.raft().compact().await.map_err(|error| error.to_string());
            }
        };
        work.map_err(|error| error.to_string())
    }
}
