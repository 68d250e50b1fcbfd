//! All built-in functions and aggregates, and how they are found by name, operator and key.
//!
//! The tables are static, one slice a topic; the indexes over them are built at first use.

use std::{collections::HashMap, sync::LazyLock};

use super::{
    Aggregate, Function, ScalarFn, SetFunction, Volatility, aggregate, array, boolean, casts, compare, datetime, json,
    number, set, system, template, text,
};
use crate::Oid;

/// Comparisons come six at a time.
static COMPARISONS: &[&[[Function; 6]]] = &[compare::INTEGERS, compare::TEXT, compare::ORDERED, datetime::COMPARE];

static TABLES: &[&[Function]] = &[
    compare::SINGLE,
    boolean::FUNCTIONS,
    number::INTEGER_ARITHMETIC,
    number::INTEGER,
    number::FLOAT_ARITHMETIC,
    number::FLOAT,
    number::DIVISORS,
    number::MATH,
    number::TRIGONOMETRY,
    number::NUMERIC_OPERATORS,
    number::NUMERIC,
    datetime::ARITHMETIC,
    datetime::INTERVAL,
    datetime::EXTRACT,
    datetime::MAKE,
    datetime::SPANS,
    datetime::NOW,
    datetime::OVERLAPS,
    datetime::OVERLAPS_TIMETZ,
    datetime::TRUNCATE,
    datetime::ZONES,
    array::BUILD,
    array::INSPECT,
    array::SEARCH,
    array::STRINGS,
    json::ACCESS_OPERATORS,
    json::ACCESS,
    json::BUILD,
    json::CONTAIN,
    json::MODIFY,
    json::STRIP,
    system::SESSION,
    system::CONTROL,
    system::TYPE_OF,
    system::FORMAT,
    system::NAMES,
    system::VISIBLE,
    system::PRIVILEGES,
    system::COLUMN_PRIVILEGES,
    system::ROLES,
    system::SEQUENCE,
    system::DESCRIBE,
    system::ASKED,
    system::ROUTINE,
    system::SIZES,
    system::ADVISORY,
    system::EXTREME,
    system::COUNT,
    template::WRITE,
    template::READ,
    template::NUMBERS,
    casts::CASTS,
    casts::FROM_TEXT,
    casts::TO_TEXT,
    text::CONCAT,
    text::LIKE,
    text::LIKE_OTHER,
    text::LENGTHS,
    text::PARTS,
    text::TRIMS,
    text::CHANGES,
    text::QUOTES,
    text::BYTES,
    text::ENCODINGS,
    text::REGEX_OPERATORS,
    text::INSPECT,
    text::REPLACE,
    text::SPLIT,
    text::SIMILAR,
];

static AGGREGATES: &[&[Aggregate]] = &[
    aggregate::COUNT,
    aggregate::SUM,
    aggregate::AVERAGE,
    aggregate::EXTREMES,
    aggregate::LOGIC,
    aggregate::COLLECT,
    aggregate::JSON,
    aggregate::VARIANCE,
    aggregate::REGRESSION,
];

static SET_FUNCTIONS: &[&[SetFunction]] = &[set::SERIES, set::LISTS, set::JSON, set::PARTITIONS, system::KEYWORDS];

/// A strict, immutable function.
pub(super) const fn function(name: &'static str, args: &'static [Oid], result: Oid, eval: ScalarFn) -> Function {
    Function {
        name,
        operator: None,
        args,
        variadic: None,
        result,
        strict: true,
        volatility: Volatility::Immutable,
        eval,
    }
}

/// A strict, immutable operator.
pub(super) const fn operator(
    name: &'static str,
    symbol: &'static str,
    args: &'static [Oid],
    result: Oid,
    eval: ScalarFn,
) -> Function {
    Function { operator: Some(symbol), ..function(name, args, result, eval) }
}

impl Function {
    /// Also called with NULLs.
    pub(super) const fn lenient(mut self) -> Self {
        self.strict = false;
        self
    }

    /// Depends only on its arguments, which is what functions are made as.
    pub(super) const fn immutable(self) -> Self {
        self
    }

    /// Depends on the session.
    pub(super) const fn stable(mut self) -> Self {
        self.volatility = Volatility::Stable;
        self
    }

    /// Depends on anything.
    pub(super) const fn volatile(mut self) -> Self {
        self.volatility = Volatility::Volatile;
        self
    }

    /// Takes any number of further arguments.
    pub(super) const fn variadic(mut self, of: Oid) -> Self {
        self.variadic = Some(of);
        self
    }
}

/// Every built-in function, operators among them, for `pg_proc` and `pg_operator`.
pub fn all_functions() -> impl Iterator<Item = &'static Function> {
    let comparisons = COMPARISONS.iter().flat_map(|table| table.as_flattened());
    comparisons.chain(TABLES.iter().flat_map(|table| table.iter()))
}

/// Every built-in aggregate, for `pg_proc` and `pg_aggregate`.
pub fn all_aggregates() -> impl Iterator<Item = &'static Aggregate> {
    AGGREGATES.iter().flat_map(|table| table.iter())
}

/// Every built-in ordered-set aggregate.
pub fn all_ordered_sets() -> impl Iterator<Item = &'static Aggregate> {
    aggregate::ORDERED.iter()
}

/// Every built-in set-returning function.
pub fn all_set_functions() -> impl Iterator<Item = &'static SetFunction> {
    SET_FUNCTIONS.iter().flat_map(|table| table.iter())
}

type Index<F> = HashMap<&'static str, Vec<&'static F>>;

fn index<F: 'static>(
    all: impl Iterator<Item = &'static F>,
    name: impl Fn(&'static F) -> Option<&'static str>,
) -> Index<F> {
    let mut index: Index<F> = HashMap::new();
    for function in all {
        if let Some(name) = name(function) {
            index.entry(name).or_default().push(function);
        }
    }
    index
}

static BY_NAME: LazyLock<Index<Function>> = LazyLock::new(|| index(all_functions(), |function| Some(function.name)));
static BY_SYMBOL: LazyLock<Index<Function>> = LazyLock::new(|| index(all_functions(), |function| function.operator));
static AGGREGATES_BY_NAME: LazyLock<Index<Aggregate>> =
    LazyLock::new(|| index(all_aggregates(), |aggregate| Some(aggregate.name)));
static SETS_BY_NAME: LazyLock<Index<SetFunction>> =
    LazyLock::new(|| index(all_set_functions(), |function| Some(function.name)));
static BY_KEY: LazyLock<HashMap<String, &'static Function>> =
    LazyLock::new(|| all_functions().map(|function| (function.key(), function)).collect());
static AGGREGATES_BY_KEY: LazyLock<HashMap<String, &'static Aggregate>> = LazyLock::new(|| {
    all_aggregates().chain(aggregate::ORDERED).map(|aggregate| (aggregate.key(), aggregate)).collect()
});

/// Functions of a name.
pub(super) fn functions_named(name: &str) -> &'static [&'static Function] {
    BY_NAME.get(name).map_or(&[], Vec::as_slice)
}

/// Functions of an operator symbol.
pub(super) fn operators_named(symbol: &str) -> &'static [&'static Function] {
    // != is another spelling of <>.
    let symbol = if symbol == "!=" { "<>" } else { symbol };
    BY_SYMBOL.get(symbol).map_or(&[], Vec::as_slice)
}

/// Aggregates of a name.
pub(super) fn aggregates_named(name: &str) -> &'static [&'static Aggregate] {
    AGGREGATES_BY_NAME.get(name).map_or(&[], Vec::as_slice)
}

/// Ordered-set aggregates of a name.
pub(super) fn ordered_sets_named(name: &str) -> Vec<&'static Aggregate> {
    aggregate::ORDERED.iter().filter(|aggregate| aggregate.name == name).collect()
}

/// Set-returning functions of a name.
pub(super) fn set_functions_named(name: &str) -> &'static [&'static SetFunction] {
    SETS_BY_NAME.get(name).map_or(&[], Vec::as_slice)
}

/// The function with this key.
pub fn function_by_key(key: &str) -> Option<&'static Function> {
    BY_KEY.get(key).copied()
}

/// The aggregate with this key.
pub fn aggregate_by_key(key: &str) -> Option<&'static Aggregate> {
    AGGREGATES_BY_KEY.get(key).copied()
}

/// The set-returning function of a name with exactly these declared argument types.
pub fn set_function(name: &str, args: &[Oid]) -> Option<&'static SetFunction> {
    set_functions_named(name).iter().find(|function| function.args == args).copied()
}

/// Whether there is a scalar function of this name.
pub fn is_scalar(name: &str) -> bool {
    !functions_named(name).is_empty()
}

/// Whether there is an aggregate of this name.
pub fn is_aggregate(name: &str) -> bool {
    !aggregates_named(name).is_empty()
}

/// Whether there is an ordered-set aggregate of this name, which is called with WITHIN GROUP.
pub fn is_ordered_set(name: &str) -> bool {
    aggregate::ORDERED.iter().any(|aggregate| aggregate.name == name)
}

/// Whether there is a set-returning function of this name.
pub fn is_set_returning(name: &str) -> bool {
    !set_functions_named(name).is_empty()
}

/// Whether this is one of the window functions that are no aggregates.
pub fn is_window(name: &str) -> bool {
    const NAMES: [&str; 11] = [
        "row_number",
        "rank",
        "dense_rank",
        "percent_rank",
        "cume_dist",
        "ntile",
        "lag",
        "lead",
        "first_value",
        "last_value",
        "nth_value",
    ];
    NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_are_unique() {
        let mut seen = HashSet::new();
        for key in all_functions().map(Function::key).chain(all_aggregates().map(Aggregate::key)) {
            assert!(seen.insert(key.clone()), "{key} twice");
        }
    }

    #[test]
    fn operators_have_one_or_two_operands() {
        for function in all_functions().filter(|function| function.operator.is_some()) {
            assert!(matches!(function.args.len(), 1 | 2), "{}", function.key());
        }
    }
}
