//! Goldenscripts of placement, see `scripts/placement`, and a property test of the planner.
//!
//! `node ID [at=REGION/ZONE] [state=…] [live=…] [full=true]` adds or changes a node, `meta` and `groups FROM-TO` set groups
//! (`voters=1/2/3 leader=1 learners=4`), `factor N` the replication factor. `plan` shows the next steps; `run` carries
//! steps out until there are none and shows each round, `settle` only the end.

use std::{collections::BTreeSet, error::Error, fmt::Write as _};

use meta::placement::{
    Action, Group, Limits, Liveness, META, Node, View, emptied,
    factor::{cluster_factor, levels, meta_voters, voters},
    plan,
};
use proptest::{collection::vec, prelude::*};
use proto::meta::NodeState;
use sharddb_meta as meta;
use sharddb_proto as proto;

/// Far more than any situation of the tests needs.
const ROUNDS_MAX: usize = 500;

#[derive(Default)]
struct Cluster {
    view: View,
    factor: Option<String>,
}

impl Cluster {
    fn refresh(&mut self) {
        let counts = |node: &&Node| matches!(node.state, NodeState::Active | NodeState::Draining);
        let members = self.view.nodes.values().filter(counts).count();
        let factor = cluster_factor(self.factor.as_deref(), members);
        self.view.levels = levels(self.factor.as_deref(), members);
        for group in &mut self.view.groups {
            let wanted = if group.shard == META { meta_voters } else { voters };
            group.wanted = wanted(factor, members);
        }
    }

    fn plan(&mut self) -> Vec<Action> {
        self.refresh();
        plan(&self.view, &[], &BTreeSet::new(), Limits::default())
    }

    /// Carries a step out as raft would, which refuses what is not safe.
    fn apply(&mut self, action: &Action) {
        let view = &mut self.view;
        let live = |id: &u64| view.nodes.get(id).is_some_and(|node| node.liveness == Liveness::Live);
        let quorum = |voters: &BTreeSet<u64>| voters.iter().filter(|id| live(id)).count() * 2 > voters.len();
        let group = view.groups.iter_mut().find(|group| group.shard == action.shard()).expect("the group exists");
        assert!(quorum(&group.voters), "{action}: nobody can carry it out");
        let before = group.voters.clone();
        if let Action::Change { add, remove, .. } = action {
            assert!(remove.iter().all(|node| Some(*node) != group.leader), "{action}: the leader is removed");
            assert!(add.iter().all(|node| live(node) && !before.contains(node)), "{action}");
            assert!(remove.iter().all(|node| before.contains(node) || group.learners.contains(node)), "{action}");
        }
        if let Action::MoveLeader { from, to, .. } = action {
            assert!(group.leader == Some(*from) && before.contains(to) && live(to), "{action}");
        }
        action.apply(group);
        assert!(quorum(&group.voters), "{action}: nobody could go on");
        let grown = group.voters.len() > before.len();
        assert!(!grown || group.voters.len() % 2 == 1 || before.len() == 1, "{action}: an even number");
    }

    /// Carries steps out until there are none.
    fn run(&mut self, mut show: impl FnMut(usize, &Action)) -> Result<usize, String> {
        for round in 0..ROUNDS_MAX {
            elect(&mut self.view);
            let actions = self.plan();
            if actions.is_empty() {
                return Ok(round);
            }
            for action in actions {
                show(round + 1, &action);
                self.apply(&action);
            }
        }
        Err(format!("still moving after {ROUNDS_MAX} rounds"))
    }

    fn table(&self) -> String {
        let mut out = String::new();
        for id in self.view.nodes.keys() {
            let shards = || self.view.groups.iter().filter(|group| group.shard != META);
            let replicas = shards().filter(|group| group.voters.contains(id)).count();
            let leaders = shards().filter(|group| group.leader == Some(*id)).count();
            let meta = self.view.groups.iter().find(|group| group.shard == META);
            let meta = meta.filter(|group| group.voters.contains(id)).map_or("", |_| ", meta");
            writeln!(out, "n{id}: {replicas} replicas, {leaders} leaders{meta}").expect("a string takes everything");
        }
        for node in emptied(&self.view) {
            writeln!(out, "n{node} has nothing left").expect("a string takes everything");
        }
        out
    }

    fn node(&mut self, args: &mut goldenscript::ArgumentConsumer<'_>) -> Result<(), Box<dyn Error>> {
        let id: u64 = args.next_pos().ok_or("a node is missing")?.parse()?;
        let new = Node {
            state: NodeState::Active,
            liveness: Liveness::Live,
            locality: Vec::new(),
            full: false,
            young: false,
        };
        let node = self.view.nodes.entry(id).or_insert(new);
        if let Some(at) = args.lookup("at") {
            node.locality = at.value.split('/').map(str::to_owned).collect();
        }
        if let Some(state) = args.lookup("state") {
            node.state = NodeState::from_str_name(&state.value.to_uppercase()).ok_or("an unknown state")?;
        }
        if let Some(live) = args.lookup("live") {
            node.liveness = match &live.value[..] {
                "live" => Liveness::Live,
                "silent" => Liveness::Silent,
                "dead" => Liveness::Dead,
                other => return Err(format!("unknown liveness {other}").into()),
            };
        }
        node.full = args.lookup_parse("full")?.unwrap_or(node.full);
        node.young = args.lookup_parse("young")?.unwrap_or(node.young);
        Ok(())
    }

    fn groups(
        &mut self,
        from: u64,
        to: u64,
        args: &mut goldenscript::ArgumentConsumer<'_>,
    ) -> Result<(), Box<dyn Error>> {
        let mut nodes = |key: &str| -> Result<BTreeSet<u64>, Box<dyn Error>> {
            let Some(list) = args.lookup(key) else { return Ok(BTreeSet::new()) };
            list.value.split('/').map(|id| Ok(id.parse()?)).collect()
        };
        let (voters, learners) = (nodes("voters")?, nodes("learners")?);
        let leader = args.lookup_parse("leader")?.or(voters.first().copied());
        self.view.groups.retain(|group| !(from..=to).contains(&group.shard));
        for shard in from..=to {
            let (voters, learners) = (voters.clone(), learners.clone());
            let group = Group { shard, voters, learners, leader: leader.filter(|id| *id != 0), wanted: 1 };
            self.view.groups.push(group);
        }
        Ok(())
    }
}

impl goldenscript::Runner for Cluster {
    fn run(&mut self, command: &goldenscript::Command) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let mut out = String::new();
        match command.name.as_str() {
            "node" => self.node(&mut args)?,
            "gone" => {
                let id: u64 = args.next_pos().ok_or("a node is missing")?.parse()?;
                self.view.nodes.remove(&id);
            }
            "meta" => self.groups(META, META, &mut args)?,
            "groups" => {
                let range = args.next_pos().ok_or("shards are missing")?.value.clone();
                let (from, to) = range.split_once('-').unwrap_or((&range, &range));
                self.groups(from.parse()?, to.parse()?, &mut args)?;
            }
            "factor" => self.factor = args.next_pos().map(|factor| factor.value.clone()),
            "plan" => self.plan().iter().try_for_each(|action| writeln!(out, "{action}"))?,
            "run" => {
                Cluster::run(self, |round, action| writeln!(out, "{round}  {action}").expect("a string"))?;
            }
            "settle" => {
                Cluster::run(self, |_, _| {})?;
                out = self.table();
            }
            other => return Err(format!("unknown command {other}").into()),
        }
        args.reject_rest()?;
        Ok(out)
    }
}

#[test]
fn replicas_go_where_they_are_to_be() {
    for entry in std::fs::read_dir("tests/scripts/placement").expect("the scripts are there") {
        let path = entry.expect("the directory can be read").path();
        goldenscript::run(&mut Cluster::default(), &path).expect("the script runs");
    }
}

#[derive(Clone, Debug)]
enum Event {
    Node {
        id: u64,
        state: NodeState,
        liveness: Liveness,
    },
    Split {
        shard: u64,
    },
    Factor(Option<u32>),
    /// So many steps, then the world changes again.
    Rounds(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let liveness = prop_oneof![5 => Just(Liveness::Live), 1 => Just(Liveness::Silent), 1 => Just(Liveness::Dead)];
    let state = prop_oneof![
        5 => Just(NodeState::Active),
        1 => Just(NodeState::Draining),
        1 => Just(NodeState::Decommissioning),
    ];
    prop_oneof![
        3 => (1..8u64, state, liveness).prop_map(|(id, state, liveness)| Event::Node { id, state, liveness }),
        2 => (0..20u64).prop_map(|shard| Event::Split { shard }),
        1 => prop_oneof![Just(None), Just(Some(1)), Just(Some(3)), Just(Some(5))].prop_map(Event::Factor),
        3 => (1..6usize).prop_map(Event::Rounds),
    ]
}

/// An election: who lives may lead.
fn elect(view: &mut View) {
    let View { nodes, groups, .. } = view;
    for group in groups {
        let live = |id: &u64| nodes.get(id).is_some_and(|node| node.liveness == Liveness::Live);
        if !group.leader.is_some_and(|leader| live(&leader) && group.voters.contains(&leader)) {
            let quorum = group.voters.iter().filter(|id| live(id)).count() * 2 > group.voters.len();
            group.leader = group.voters.iter().copied().find(|id| live(id)).filter(|_| quorum);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn every_step_is_safe_and_there_is_an_end(zones in vec(0..3u8, 8), events in vec(event(), 1..40)) {
        let mut cluster = Cluster::default();
        let locality = |id: u64| vec![format!("z{}", zones[id as usize])];
        let node = |id, state, liveness| Node { state, liveness, locality: locality(id), full: false, young: false };
        cluster.view.nodes.insert(1, node(1, NodeState::Active, Liveness::Live));
        let group = |shard, voters| Group { shard, voters, learners: BTreeSet::new(), leader: None, wanted: 1 };
        cluster.view.groups = vec![group(META, [1].into()), group(1, [1].into())];
        for event in events {
            match event {
                Event::Node { id, state, liveness } => drop(cluster.view.nodes.insert(id, node(id, state, liveness))),
                Event::Split { shard } => {
                    let shards = cluster.view.groups.len();
                    let of = cluster.view.groups[1 + shard as usize % (shards - 1)].clone();
                    cluster.view.groups.push(Group { shard: shards as u64, ..of });
                }
                Event::Factor(factor) => cluster.factor = factor.map(|factor| factor.to_string()),
                Event::Rounds(rounds) => {
                    for _ in 0..rounds {
                        elect(&mut cluster.view);
                        cluster.plan().iter().for_each(|action| cluster.apply(action));
                    }
                }
            }
        }
        // Everybody comes back: everything gets what it is to have.
        for (id, known) in &mut cluster.view.nodes {
            *known = node(*id, NodeState::Active, Liveness::Live);
        }
        elect(&mut cluster.view);
        cluster.run(|_, _| {}).expect("an end");
        for group in &cluster.view.groups {
            prop_assert_eq!(group.voters.len(), group.wanted);
        }
    }
}
