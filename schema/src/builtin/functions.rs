//! Functions and aggregates.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use super::line::Line;
use crate::{
    Oid,
    functions::{all_aggregates, all_functions, all_ordered_sets, all_set_functions, is_scalar, is_window},
};

/// A row of `pg_proc`.
#[derive(Debug)]
pub struct BuiltinFunction {
    /// Its OID.
    pub oid: Oid,
    /// `proname`
    pub name: &'static str,
    /// `prolang`
    pub language: Oid,
    /// `procost`
    pub cost: f32,
    /// `prorows`
    pub rows: f32,
    /// `provariadic`
    pub variadic: Oid,
    /// `prokind`: f, a or w.
    pub kind: char,
    /// `proleakproof`
    pub leakproof: bool,
    /// `proisstrict`
    pub strict: bool,
    /// `proretset`
    pub returns_set: bool,
    /// `provolatile`: i, s or v.
    pub volatility: char,
    /// `proparallel`
    pub parallel: char,
    /// `pronargdefaults`
    pub defaults: i16,
    /// `prorettype`
    pub result: Oid,
    /// `proargtypes`
    pub args: Vec<Oid>,
    /// `proallargtypes`; empty when all are input.
    pub all_args: Vec<Oid>,
    /// `proargmodes`, a letter each; empty when all are input.
    pub modes: &'static str,
    /// `proargnames`; empty without any.
    pub arg_names: Vec<&'static str>,
    /// `prosrc`
    pub source: &'static str,
    /// `prosupport`
    pub support_function: Oid,
    /// Defaults of the last arguments, as SQL.
    pub default_values: Vec<&'static str>,
    /// Input and output of types, steps of aggregates and the like, which exist as long as what they support.
    support: bool,
}

/// A row of `pg_aggregate`.
#[derive(Debug)]
pub struct BuiltinAggregate {
    /// `aggfnoid`
    pub function: Oid,
    /// `aggkind`: n, o or h.
    pub kind: char,
    /// `aggnumdirectargs`
    pub direct_args: i16,
    /// `aggtransfn`, `aggfinalfn`, `aggcombinefn`, `aggserialfn`, `aggdeserialfn`
    pub steps: [Oid; 5],
    /// `aggmtransfn`, `aggminvtransfn`, `aggmfinalfn`
    pub moving_steps: [Oid; 3],
    /// `aggfinalextra`, `aggmfinalextra`
    pub extra: [bool; 2],
    /// `aggfinalmodify`, `aggmfinalmodify`
    pub modify: [char; 2],
    /// `aggsortop`
    pub sort_operator: Oid,
    /// `aggtranstype`, `aggmtranstype`
    pub states: [Oid; 2],
    /// `aggtransspace`, `aggmtransspace`
    pub spaces: [i32; 2],
    /// `agginitval`
    pub initial: Option<&'static str>,
}

fn parse(line: &'static str) -> BuiltinFunction {
    let mut line = Line::new(line);
    BuiltinFunction {
        oid: line.oid(),
        name: line.text(),
        language: line.oid(),
        cost: line.number(),
        rows: line.number(),
        variadic: line.oid(),
        kind: line.code(),
        leakproof: line.flag(),
        strict: line.flag(),
        returns_set: line.flag(),
        volatility: line.code(),
        parallel: line.code(),
        defaults: line.number(),
        result: line.oid(),
        args: line.oids(),
        all_args: line.oids(),
        modes: line.text(),
        arg_names: match line.text() {
            "" => Vec::new(),
            names => names.split(' ').collect(),
        },
        source: line.text(),
        support: line.text() == "s",
        support_function: line.oid(),
        default_values: match line.text() {
            "" => Vec::new(),
            values => values.split('|').collect(),
        },
    }
}

/// A variadic argument is an array in `proargtypes`, unless it takes anything.
fn declared(args: &[Oid], variadic: Option<Oid>) -> Vec<Oid> {
    let last = variadic.map(|oid| match oid {
        Oid::ANY => oid,
        oid => oid.array_type().unwrap_or(oid),
    });
    args.iter().copied().chain(last).collect()
}

/// Names and arguments of everything that can be called.
fn callable() -> HashSet<(&'static str, Vec<Oid>)> {
    let scalars = all_functions().map(|f| (f.name, declared(f.args, f.variadic)));
    let aggregates = all_aggregates().chain(all_ordered_sets()).map(|f| (f.name, declared(f.args, f.variadic)));
    let sets = all_set_functions().map(|f| (f.name, declared(f.args, f.variadic)));
    scalars.chain(aggregates).chain(sets).collect()
}

static FUNCTIONS: LazyLock<Vec<BuiltinFunction>> = LazyLock::new(|| {
    let callable = callable();
    // A function of anything may exist here as one for each type.
    let of_anything = |function: &BuiltinFunction| function.args.contains(&Oid::ANY) && is_scalar(function.name);
    let exists = |function: &BuiltinFunction| {
        function.support
            || of_anything(function)
            || (function.kind == 'w' && is_window(function.name))
            || callable.contains(&(function.name, function.args.clone()))
    };
    include_str!("functions.tsv").lines().map(parse).filter(exists).collect()
});

static BY_OID: LazyLock<HashMap<Oid, &'static BuiltinFunction>> =
    LazyLock::new(|| FUNCTIONS.iter().map(|function| (function.oid, function)).collect());

static BY_NAME: LazyLock<HashMap<&'static str, Vec<&'static BuiltinFunction>>> = LazyLock::new(|| {
    let mut names: HashMap<&str, Vec<&BuiltinFunction>> = HashMap::new();
    for function in FUNCTIONS.iter() {
        names.entry(function.name).or_default().push(function);
    }
    names
});

/// Every function that exists here, by OID.
pub fn functions() -> &'static [BuiltinFunction] {
    &FUNCTIONS
}

/// The function with this OID.
pub fn function(oid: Oid) -> Option<&'static BuiltinFunction> {
    BY_OID.get(&oid).copied()
}

/// Functions of a name.
pub fn functions_named(name: &str) -> &'static [&'static BuiltinFunction] {
    BY_NAME.get(name).map_or(&[], Vec::as_slice)
}

fn parse_aggregate(line: &'static str) -> BuiltinAggregate {
    let mut line = Line::new(line);
    let (function, kind, direct_args) = (line.oid(), line.code(), line.number());
    let steps = std::array::from_fn(|_| line.oid());
    let moving_steps = std::array::from_fn(|_| line.oid());
    let extra = std::array::from_fn(|_| line.flag());
    let modify = std::array::from_fn(|_| line.code());
    let sort_operator = line.oid();
    let (state, space, moving_state, moving_space) = (line.oid(), line.number(), line.oid(), line.number());
    let initial = Some(line.text()).filter(|text| !text.is_empty());
    let (states, spaces) = ([state, moving_state], [space, moving_space]);
    BuiltinAggregate {
        function,
        kind,
        direct_args,
        steps,
        moving_steps,
        extra,
        modify,
        sort_operator,
        states,
        spaces,
        initial,
    }
}

/// How many arguments of an aggregate stand before ORDER BY; `None` for one that is not ordered.
pub fn direct_arguments(function: Oid) -> Option<usize> {
    let found = aggregates().find(|aggregate| aggregate.function == function && aggregate.kind != 'n')?;
    usize::try_from(found.direct_args).ok()
}

/// Aggregates that exist here.
pub fn aggregates() -> impl Iterator<Item = BuiltinAggregate> {
    let all = include_str!("aggregates.tsv").lines().map(parse_aggregate);
    all.filter(|aggregate| function(aggregate.function).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_name_and_oid() {
        let lower: Vec<Oid> = functions_named("lower").iter().map(|function| function.oid).collect();
        assert_eq!(lower, [Oid(870)]);
        let found = function(Oid(3464)).expect("make_interval exists");
        assert_eq!((found.name, found.args.len(), found.arg_names[6], found.defaults), ("make_interval", 7, "secs", 7));
        assert_eq!(found.default_values.len(), 7);
    }

    #[test]
    fn what_cannot_be_called_is_left_out() {
        assert!(include_str!("functions.tsv").contains("\tpg_read_file\t"));
        assert!(functions_named("pg_read_file").is_empty());
    }

    #[test]
    fn aggregates_and_window_functions_are_functions_too() {
        assert!(aggregates().any(|aggregate| function(aggregate.function).is_some_and(|f| f.name == "string_agg")));
        assert_eq!(functions_named("row_number")[0].kind, 'w');
    }
}
