//! Operators.

use std::{collections::HashMap, sync::LazyLock};

use super::line::Line;
use crate::{Oid, functions::all_functions};

/// A row of `pg_operator`.
#[derive(Debug)]
pub struct BuiltinOperator {
    /// Its OID.
    pub oid: Oid,
    /// `oprname`
    pub name: &'static str,
    /// `oprkind`: b or l.
    pub kind: char,
    /// `oprcanmerge`
    pub can_merge: bool,
    /// `oprcanhash`
    pub can_hash: bool,
    /// `oprleft`, 0 for a prefix operator.
    pub left: Oid,
    /// `oprright`
    pub right: Oid,
    /// `oprresult`
    pub result: Oid,
    /// `oprcom`
    pub commutator: Oid,
    /// `oprnegate`
    pub negator: Oid,
    /// `oprcode`
    pub function: Oid,
    /// `oprrest`
    pub restriction: Oid,
    /// `oprjoin`
    pub join: Oid,
}

fn parse(line: &'static str) -> BuiltinOperator {
    let mut line = Line::new(line);
    BuiltinOperator {
        oid: line.oid(),
        name: line.text(),
        kind: line.code(),
        can_merge: line.flag(),
        can_hash: line.flag(),
        left: line.oid(),
        right: line.oid(),
        result: line.oid(),
        commutator: line.oid(),
        negator: line.oid(),
        function: line.oid(),
        restriction: line.oid(),
        join: line.oid(),
    }
}

static OPERATORS: LazyLock<Vec<BuiltinOperator>> = LazyLock::new(|| {
    let known: std::collections::HashSet<(&str, &[Oid])> =
        all_functions().filter_map(|function| Some((function.operator?, function.args))).collect();
    let exists = |operator: &BuiltinOperator| {
        let both = [operator.left, operator.right];
        let args = if operator.kind == 'l' { &both[1..] } else { &both[..] };
        known.contains(&(operator.name, args))
    };
    include_str!("operators.tsv").lines().map(parse).filter(exists).collect()
});

static BY_OID: LazyLock<HashMap<Oid, &'static BuiltinOperator>> =
    LazyLock::new(|| OPERATORS.iter().map(|operator| (operator.oid, operator)).collect());

/// Every operator that exists here, by OID.
pub fn operators() -> &'static [BuiltinOperator] {
    &OPERATORS
}

/// The operator with this OID.
pub fn operator(oid: Oid) -> Option<&'static BuiltinOperator> {
    BY_OID.get(&oid).copied()
}

/// Operators of a name.
pub fn operators_named(name: &str) -> impl Iterator<Item = &'static BuiltinOperator> {
    let name = if name == "!=" { "<>" } else { name };
    OPERATORS.iter().filter(move |operator| operator.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_know_their_functions() {
        let equal = operator(Oid(96)).expect("integer equality exists");
        assert_eq!((equal.name, equal.left, equal.can_hash), ("=", Oid::INT4, true));
        assert_eq!(super::super::function(equal.function).map(|function| function.name), Some("int4eq"));
        assert!(operators_named("||").count() > 1);
    }
}
