//! The order of inner joins.
//!
//! Up to [`EXHAUSTIVE_MAX`] inputs, every order is considered and the one with the fewest intermediate rows taken;
//! beyond, the pair with the smallest result is joined again and again. Pairs without a condition between them are joined
//! only when there is nothing else to join.

use std::collections::HashMap;

use planner::plan::Expr;
use sharddb_planner as planner;

use super::{
    estimate::{distinct_values, rows},
    graph::Graph,
    selectivity::selectivity,
};
use crate::general::{
    expr::{columns_of, remap},
    ir::{Join, Node, Rel},
};

/// Inputs up to which all orders are considered: 3^10 steps take some milliseconds.
const EXHAUSTIVE_MAX: usize = 10;

/// A set of inputs.
type Set = u64;

/// Inputs beyond which sets do not fit; the rest is joined in order of appearance.
const INPUTS_MAX: usize = 63;

/// The best plan known for a set.
#[derive(Clone)]
struct Best {
    cost: f64,
    /// The two sets joined last; `None` for a single input.
    split: Option<(Set, Set)>,
}

struct Ordering<'g> {
    graph: &'g Graph,
    /// Rows of each input.
    rows: Vec<f64>,
    /// For each class: each member's input and number of distinct values.
    classes: Vec<Vec<(usize, f64)>>,
    /// For each further condition: the inputs it reads and the fraction of rows that pass.
    conditions: Vec<(Set, f64)>,
    /// Inputs that each is joined with directly.
    neighbours: Vec<Set>,
}

/// Joins the inputs; answers where each column of the inputs came to be.
pub(super) fn order(graph: Graph) -> (Rel, Vec<usize>) {
    let count = graph.inputs.len();
    let plan = if count > INPUTS_MAX {
        None
    } else {
        let ordering = Ordering::new(&graph);
        Some(if count <= EXHAUSTIVE_MAX { ordering.exhaustive() } else { ordering.greedy() })
    };
    let tree = match plan {
        Some(best) => tree_of(&best, full(count)),
        None => (1..count).fold(Tree::Input(0), |left, right| Tree::Join(Box::new(left), Box::new(Tree::Input(right)))),
    };
    let mut builder = Builder::new(graph);
    let built = builder.build(&tree);
    let mut places = vec![0; built.columns.len()];
    built.columns.iter().enumerate().for_each(|(place, column)| places[*column] = place);
    (built.rel, places)
}

fn full(count: usize) -> Set {
    (1 << count) - 1
}

enum Tree {
    Input(usize),
    Join(Box<Tree>, Box<Tree>),
}

fn tree_of(best: &HashMap<Set, Best>, set: Set) -> Tree {
    match best.get(&set).and_then(|best| best.split) {
        Some((left, right)) => Tree::Join(Box::new(tree_of(best, left)), Box::new(tree_of(best, right))),
        None => Tree::Input(set.trailing_zeros() as usize),
    }
}

impl<'g> Ordering<'g> {
    fn new(graph: &'g Graph) -> Self {
        let input_rows: Vec<f64> = graph.inputs.iter().map(|input| rows(input).max(1.0)).collect();
        let member = |column: &usize| {
            let input = graph.input_of(*column);
            let distinct = distinct_values(&graph.inputs[input], column - graph.offsets[input]);
            (input, distinct.clamp(1.0, input_rows[input]))
        };
        let classes = graph.classes.iter().map(|class| class.columns.iter().map(member).collect()).collect();
        let mut neighbours = vec![0; graph.inputs.len()];
        let mut connect = |inputs: &[usize]| {
            let set = inputs.iter().fold(0, |set, input| set | 1 << input);
            inputs.iter().for_each(|input| neighbours[*input] |= set);
        };
        for class in &graph.classes {
            let inputs: Vec<usize> = class.columns.iter().map(|column| graph.input_of(*column)).collect();
            connect(&inputs);
        }
        // Conditions between inputs are estimated over all inputs side by side.
        let beside = graph.inputs.iter().cloned().reduce(|left, right| Rel::join(Join::Inner, left, right, Vec::new()));
        let beside = beside.unwrap_or_else(Rel::unit);
        let mut conditions = Vec::new();
        for condition in &graph.conditions {
            let inputs = graph.inputs_of(condition);
            connect(&inputs);
            conditions.push((inputs.iter().fold(0, |set, input| set | 1 << input), selectivity(condition, &beside)));
        }
        Self { graph, rows: input_rows, classes, conditions, neighbours }
    }

    /// Estimated rows of the join of a set; the same for every order.
    fn rows_of(&self, set: Set) -> f64 {
        let inside = |input: usize| set & 1 << input != 0;
        let mut rows: f64 = (0..self.rows.len()).filter(|input| inside(*input)).map(|input| self.rows[input]).product();
        // Per input, the product of what classes take away: not more than its rows, for keys of several columns.
        let mut taken = vec![1.0_f64; self.rows.len()];
        for class in &self.classes {
            let mut members: Vec<(usize, f64)> = Vec::new();
            for (input, distinct) in class.iter().filter(|(input, _)| inside(*input)) {
                match members.iter_mut().find(|(known, _)| known == input) {
                    Some((_, known)) => *known = known.max(*distinct),
                    None => members.push((*input, *distinct)),
                }
            }
            members.sort_by(|a, b| a.1.total_cmp(&b.1));
            for (input, distinct) in members.iter().skip(1) {
                taken[*input] *= distinct;
            }
        }
        for (input, taken) in taken.into_iter().enumerate() {
            rows /= taken.min(self.rows[input]);
        }
        let conditions = self.conditions.iter().filter(|(inputs, _)| inputs & set == *inputs);
        rows *= conditions.map(|(_, selectivity)| selectivity).product::<f64>();
        rows.max(1.0)
    }

    fn connected(&self, left: Set, right: Set) -> bool {
        (0..self.neighbours.len()).any(|input| left & 1 << input != 0 && self.neighbours[input] & right != 0)
    }

    /// Cost of joining two sets: rows that come out, and twice those that are kept in a hash table.
    fn step(&self, left: f64, right: f64, result: f64) -> f64 {
        result + 2.0 * left.min(right) + 0.5 * left.max(right)
    }

    fn exhaustive(&self) -> HashMap<Set, Best> {
        let count = self.graph.inputs.len();
        let mut best: HashMap<Set, Best> = HashMap::new();
        let mut known_rows: HashMap<Set, f64> = HashMap::new();
        for input in 0..count {
            best.insert(1 << input, Best { cost: 0.0, split: None });
            known_rows.insert(1 << input, self.rows[input]);
        }
        for set in 1..=full(count) {
            if set.count_ones() < 2 {
                continue;
            }
            let result = self.rows_of(set);
            known_rows.insert(set, result);
            let mut found: Option<Best> = None;
            // First with conditions between the sides; pairs without only where there is no other way.
            for need_condition in [true, false] {
                let mut left = (set - 1) & set;
                while left > 0 {
                    let right = set & !left;
                    if left > right && (!need_condition || self.connected(left, right)) {
                        let cost = best[&left].cost
                            + best[&right].cost
                            + self.step(known_rows[&left], known_rows[&right], result);
                        if found.as_ref().is_none_or(|found| cost < found.cost) {
                            found = Some(Best { cost, split: Some((left, right)) });
                        }
                    }
                    left = (left - 1) & set;
                }
                if found.is_some() {
                    break;
                }
            }
            best.extend(found.map(|found| (set, found)));
        }
        best
    }

    fn greedy(&self) -> HashMap<Set, Best> {
        let mut best = HashMap::new();
        let mut sets: Vec<Set> = (0..self.graph.inputs.len()).map(|input| 1 << input).collect();
        while sets.len() > 1 {
            let mut choice: Option<(bool, f64, usize, usize)> = None;
            for a in 0..sets.len() {
                for b in a + 1..sets.len() {
                    let apart = !self.connected(sets[a], sets[b]);
                    let result = self.rows_of(sets[a] | sets[b]);
                    let better = choice.is_none_or(|(known_apart, known, ..)| {
                        (apart, result).partial_cmp(&(known_apart, known)).is_some_and(std::cmp::Ordering::is_lt)
                    });
                    if better {
                        choice = Some((apart, result, a, b));
                    }
                }
            }
            let Some((_, cost, a, b)) = choice else { break };
            let right = sets.swap_remove(b);
            let left = sets[a];
            sets[a] = left | right;
            best.insert(left | right, Best { cost, split: Some((left, right)) });
        }
        best
    }
}

/// Makes the joins of an order.
struct Builder {
    inputs: Vec<Option<Rel>>,
    graph: Graph,
    /// Conditions not yet applied.
    pending: Vec<Option<Expr>>,
}

/// A joined part and which column of the inputs each of its columns is.
struct Built {
    rel: Rel,
    columns: Vec<usize>,
}

impl Builder {
    fn new(mut graph: Graph) -> Self {
        let inputs = std::mem::take(&mut graph.inputs).into_iter().map(Some).collect();
        let pending = std::mem::take(&mut graph.conditions).into_iter().map(Some).collect();
        Self { inputs, graph, pending }
    }

    fn build(&mut self, tree: &Tree) -> Built {
        let (left, right) = match tree {
            Tree::Input(input) => {
                let rel = self.inputs[*input].take().unwrap_or_else(Rel::unit);
                let offset = self.graph.offsets[*input];
                let columns = (offset..offset + rel.arity()).collect();
                return Built { rel, columns };
            }
            Tree::Join(left, right) => (self.build(left), self.build(right)),
        };
        let mut columns = left.columns.clone();
        columns.extend(&right.columns);
        let place = |column: usize| columns.iter().position(|known| *known == column);
        let mut on = Vec::new();
        for class in &self.graph.classes {
            let in_left = class.columns.iter().find(|column| left.columns.contains(column));
            let in_right = class.columns.iter().find(|column| right.columns.contains(column));
            if let (Some(a), Some(b)) = (in_left.and_then(|a| place(*a)), in_right.and_then(|b| place(*b))) {
                on.push(class.equality(a, b));
            }
        }
        for pending in &mut self.pending {
            let ready = |condition: &Expr| columns_of(condition).iter().all(|column| columns.contains(column));
            if pending.as_ref().is_some_and(ready)
                && let Some(mut condition) = pending.take()
            {
                remap(&mut condition, &|column| place(column).unwrap_or_default());
                on.push(condition);
            }
        }
        let rel = Rel::join(Join::Inner, left.rel, right.rel, on);
        debug_assert!(matches!(rel.node, Node::Join { .. }), "two sides are joined");
        Built { rel, columns }
    }
}
