//! Trees of inner joins as inputs and conditions between them.
//!
//! Filters and projections between the joins dissolve: columns of the tree are expressions over the inputs' columns.
//! Conditions on one input go into it; equalities between columns hold for whole classes of columns, so that a constant
//! for one is a constant for all, and any two members can join.

use std::{collections::BTreeSet, sync::Arc};

use planner::plan::Expr;
use schema::functions::{EvalContext, Function};
use sharddb_planner as planner;
use sharddb_schema as schema;

use super::{estimate, order, pushdown::push, reduce};
use crate::general::{
    expr::{columns_of, is_volatile, remap, substitute},
    ir::{Join, Node, Rel},
};

/// Inputs of a tree of inner joins.
pub(super) struct Graph {
    pub(super) inputs: Vec<Rel>,
    /// First column of each input among the columns of all.
    pub(super) offsets: Vec<usize>,
    /// Conditions between inputs, but for those that classes express.
    pub(super) conditions: Vec<Expr>,
    /// Columns that are equal to each other.
    pub(super) classes: Vec<Class>,
}

/// Columns of one type that are equal to each other.
#[derive(Clone, Debug)]
pub(super) struct Class {
    pub(super) columns: BTreeSet<usize>,
    pub(super) equal: &'static Function,
    pub(super) sql_type: schema::SqlType,
}

/// What a subtree comes apart into.
struct Parts {
    inputs: Vec<Rel>,
    conditions: Vec<Expr>,
    /// The subtree's columns over those of its inputs.
    outputs: Vec<Expr>,
    width: usize,
}

/// Whether a relation is an inner join, perhaps below filters and projections.
pub(super) fn is_join_tree(rel: &Rel) -> bool {
    match &rel.node {
        Node::Join { kind: Join::Inner, on, .. } => !on.iter().any(is_volatile),
        Node::Filter { input, conditions } => !conditions.iter().any(is_volatile) && is_join_tree(input),
        Node::Join { kind: Join::Semi | Join::Anti, left, right, on } => {
            is_join_tree(left) && narrowed_input(&take_apart((**left).clone()), right, on).is_some()
        }
        Node::Project { input, exprs } => !exprs.iter().any(is_volatile) && is_join_tree(input),
        _ => false,
    }
}

/// The join tree under conditions over its columns.
pub(super) fn join_tree(eval: &Arc<EvalContext>, rel: Rel, mut above: Vec<Expr>) -> Rel {
    let columns = rel.columns.clone();
    let (volatile, mut conditions): (Vec<Expr>, Vec<Expr>) = above.drain(..).partition(is_volatile);
    let mut parts = take_apart(rel);
    conditions.iter_mut().for_each(|condition| substitute(condition, &parts.outputs));
    parts.conditions.extend(conditions);
    let mut settled = Vec::with_capacity(parts.conditions.len());
    for condition in parts.conditions.drain(..) {
        let mut divided = Vec::new();
        crate::general::expr::conjuncts(condition, &mut divided);
        divided.into_iter().for_each(|condition| reduce::factor(condition, &mut settled));
    }
    let outputs = parts.outputs;
    let graph = Graph::new(eval, parts.inputs, settled);
    if graph.inputs.iter().any(|input| matches!(input.node, Node::Empty)) {
        return Rel::empty(columns);
    }
    let (joined, places) = order::order(graph);
    let mut exprs = outputs;
    exprs.iter_mut().for_each(|expr| remap(expr, &|at| places[at]));
    let identity = exprs.len() == joined.arity()
        && exprs.iter().enumerate().all(|(at, expr)| matches!(expr, Expr::Column { index, .. } if *index == at));
    let result = if identity { Rel { columns, ..joined } } else { joined.project(exprs, columns) };
    result.filter(volatile)
}

fn take_apart(rel: Rel) -> Parts {
    let Rel { node, columns } = rel;
    match node {
        Node::Join { kind: Join::Inner, left, right, on } if !on.iter().any(is_volatile) => {
            let (mut left, right) = (take_apart(*left), take_apart(*right));
            let by = left.width;
            let shift = |mut expr: Expr| {
                remap(&mut expr, &|at| at + by);
                expr
            };
            left.inputs.extend(right.inputs);
            left.conditions.extend(right.conditions.into_iter().map(shift));
            left.outputs.extend(right.outputs.into_iter().map(shift));
            left.width += right.width;
            for mut condition in on {
                substitute(&mut condition, &left.outputs);
                left.conditions.push(condition);
            }
            left
        }
        Node::Join { kind: kind @ (Join::Semi | Join::Anti), left, right, on }
            if is_join_tree(&left) && narrowed_input(&take_apart((*left).clone()), &right, &on).is_some() =>
        {
            narrow_input(kind, take_apart(*left), *right, on)
        }
        Node::Filter { input, conditions } if !conditions.iter().any(is_volatile) => {
            let mut parts = take_apart(*input);
            for mut condition in conditions {
                substitute(&mut condition, &parts.outputs);
                parts.conditions.push(condition);
            }
            parts
        }
        Node::Project { input, exprs } if !exprs.iter().any(is_volatile) => {
            let mut parts = take_apart(*input);
            let mut outputs = exprs;
            outputs.iter_mut().for_each(|expr| substitute(expr, &parts.outputs));
            parts.outputs = outputs;
            parts
        }
        node => {
            let rel = Rel::new(node, columns);
            Parts { outputs: rel.all_columns(), width: rel.arity(), conditions: Vec::new(), inputs: vec![rel] }
        }
    }
}

/// The conditions of a semi or anti join over the columns of all inputs, the right side's columns behind them.
fn over_inputs(parts: &Parts, right: &Rel, on: &[Expr]) -> Vec<Expr> {
    let mut exprs = parts.outputs.clone();
    let column = |at: usize| Expr::Column { index: parts.width + at, sql_type: right.columns[at].sql_type };
    exprs.extend((0..right.arity()).map(column));
    let mut on = on.to_vec();
    on.iter_mut().for_each(|condition| substitute(condition, &exprs));
    on
}

/// The only input that a semi or anti join looks at, if the join keeps few of its rows: there it belongs.
fn narrowed_input(parts: &Parts, right: &Rel, on: &[Expr]) -> Option<usize> {
    if on.iter().any(is_volatile) {
        return None;
    }
    let on = over_inputs(parts, right, on);
    let read: BTreeSet<usize> = on.iter().flat_map(columns_of).filter(|at| *at < parts.width).collect();
    let mut first = 0;
    for (number, input) in parts.inputs.iter().enumerate() {
        let end = first + input.arity();
        if !read.is_empty() && read.iter().all(|at| (first..end).contains(at)) {
            return (estimate::rows(right) < estimate::rows(input)).then_some(number);
        }
        first = end;
    }
    None
}

fn narrow_input(kind: Join, mut parts: Parts, right: Rel, on: Vec<Expr>) -> Parts {
    let Some(number) = narrowed_input(&parts, &right, &on) else { return parts };
    let mut on = over_inputs(&parts, &right, &on);
    let first: usize = parts.inputs[..number].iter().map(Rel::arity).sum();
    let (width, own) = (parts.width, parts.inputs[number].arity());
    on.iter_mut().for_each(|condition| {
        remap(condition, &|at| if at < width { at - first } else { at - width + own });
    });
    let inner = std::mem::replace(&mut parts.inputs[number], Rel::unit());
    parts.inputs[number] = Rel::join(kind, inner, right, on);
    parts
}

impl Graph {
    /// Pushes conditions into the inputs they read, and collects classes of equal columns.
    fn new(eval: &Arc<EvalContext>, inputs: Vec<Rel>, conditions: Vec<Expr>) -> Self {
        let mut offsets = Vec::with_capacity(inputs.len());
        let mut width = 0;
        for input in &inputs {
            offsets.push(width);
            width += input.arity();
        }
        let mut graph = Self { inputs, offsets, conditions: Vec::new(), classes: Vec::new() };
        let mut single: Vec<Vec<Expr>> = graph.inputs.iter().map(|_| Vec::new()).collect();
        let (equalities, others): (Vec<Expr>, Vec<Expr>) =
            conditions.into_iter().partition(|condition| column_equality(condition).is_some());
        for condition in &equalities {
            if let Some((a, b, equal)) = column_equality(condition) {
                graph.equate(a, b, equal);
            }
            let read = graph.inputs_of(condition);
            if let [input] = read[..] {
                single[input].push(condition.clone());
            }
        }
        for condition in others {
            graph.place(condition, &mut single);
        }
        for (at, conditions) in single.into_iter().enumerate() {
            let offset = graph.offsets[at];
            let input = std::mem::replace(&mut graph.inputs[at], Rel::unit());
            let local = conditions.into_iter().map(|mut condition| {
                remap(&mut condition, &|column| column - offset);
                condition
            });
            graph.inputs[at] = push(eval, input, local.collect());
        }
        graph
    }

    /// The input that holds a column.
    pub(super) fn input_of(&self, column: usize) -> usize {
        self.offsets.partition_point(|offset| *offset <= column) - 1
    }

    /// The inputs that a condition reads.
    pub(super) fn inputs_of(&self, condition: &Expr) -> Vec<usize> {
        let inputs: BTreeSet<usize> = columns_of(condition).into_iter().map(|column| self.input_of(column)).collect();
        inputs.into_iter().collect()
    }

    fn columns_of_input(&self, input: usize) -> BTreeSet<usize> {
        (self.offsets[input]..self.offsets[input] + self.inputs[input].arity()).collect()
    }

    fn place(&mut self, condition: Expr, single: &mut [Vec<Expr>]) {
        match self.inputs_of(&condition)[..] {
            // A condition without columns could not be decided ahead: it is applied to some input.
            [] => single[0].push(condition),
            [input] => {
                for (other, equivalent) in self.equivalents(&condition) {
                    single[other].push(equivalent);
                }
                single[input].push(condition);
            }
            _ => {
                for input in self.inputs_of(&condition) {
                    single[input].extend(reduce::implied(&condition, &self.columns_of_input(input)));
                }
                self.conditions.push(condition);
            }
        }
    }

    /// A condition on one column of a class holds for the other members too.
    fn equivalents(&self, condition: &Expr) -> Vec<(usize, Expr)> {
        let read = columns_of(condition);
        let [column] = read.iter().copied().collect::<Vec<_>>()[..] else { return Vec::new() };
        // Only comparisons with constants: they can be used for bounds and cost little.
        if !is_comparison(condition) {
            return Vec::new();
        }
        let Some(class) = self.classes.iter().find(|class| class.columns.contains(&column)) else { return Vec::new() };
        let moved = |other: &usize| {
            let mut condition = condition.clone();
            remap(&mut condition, &|_| *other);
            (self.input_of(*other), condition)
        };
        let own = self.input_of(column);
        class.columns.iter().filter(|other| **other != column && self.input_of(**other) != own).map(moved).collect()
    }

    fn equate(&mut self, a: usize, b: usize, equal: &'static Function) {
        let sql_type = |graph: &Self, column: usize| {
            let input = graph.input_of(column);
            graph.inputs[input].columns[column - graph.offsets[input]].sql_type
        };
        let mut merged =
            Class { columns: BTreeSet::from([a, b]), equal, sql_type: schema::SqlType::new(sql_type(self, a).oid) };
        self.classes.retain(|class| {
            let touches = class.columns.contains(&a) || class.columns.contains(&b);
            if touches {
                merged.columns.extend(&class.columns);
            }
            !touches
        });
        self.classes.push(merged);
    }
}

/// Both columns of an equality between columns of one type.
fn column_equality(condition: &Expr) -> Option<(usize, usize, &'static Function)> {
    let Expr::Call { function, args, .. } = condition else { return None };
    match args.as_slice() {
        [Expr::Column { index: a, sql_type: left }, Expr::Column { index: b, sql_type: right }]
            if function.operator == Some("=") && left.oid == right.oid && function.args == [left.oid, left.oid] =>
        {
            Some((*a, *b, function))
        }
        _ => None,
    }
}

fn is_comparison(condition: &Expr) -> bool {
    let simple = |expr: &Expr| matches!(expr, Expr::Column { .. } | Expr::Constant { .. });
    match condition {
        Expr::Call { function, args, .. } => {
            matches!(function.operator, Some("=" | "<" | "<=" | ">" | ">=")) && args.iter().all(simple)
        }
        Expr::InList { input, list, negated: false, .. } => simple(input) && list.iter().all(simple),
        _ => false,
    }
}

impl Class {
    /// The equality of two of its columns, each over its own numbering.
    pub(super) fn equality(&self, left: usize, right: usize) -> Expr {
        let column = |index| Expr::Column { index, sql_type: self.sql_type };
        Expr::Call {
            function: self.equal,
            args: vec![column(left), column(right)],
            sql_type: schema::SqlType::new(schema::Oid::BOOL),
        }
    }
}
