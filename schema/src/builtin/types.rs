//! Types: what `pg_type` says beyond names and elements.

use std::{collections::HashMap, sync::LazyLock};

use super::line::Line;
use crate::Oid;

/// Properties of a type as `pg_type` has them.
#[derive(Debug)]
pub struct TypeFacts {
    /// `typlen`
    pub length: i16,
    /// `typbyval`
    pub by_value: bool,
    /// `typtype`: b or p.
    pub kind: char,
    /// `typcategory`
    pub category: char,
    /// `typispreferred`
    pub preferred: bool,
    /// `typdelim`
    pub delimiter: char,
    /// `typsubscript`
    pub subscript: Oid,
    /// `typinput`, `typoutput`, `typreceive`, `typsend`
    pub conversions: [Oid; 4],
    /// `typmodin`, `typmodout`
    pub modifiers: [Oid; 2],
    /// `typanalyze`
    pub analyze: Oid,
    /// `typalign`
    pub alignment: char,
    /// `typstorage`
    pub storage: char,
    /// `typcollation`
    pub collation: Oid,
}

fn parse(line: &'static str) -> (Oid, TypeFacts) {
    let mut line = Line::new(line);
    let oid = line.oid();
    let facts = TypeFacts {
        length: line.number(),
        by_value: line.flag(),
        kind: line.code(),
        category: line.code(),
        preferred: line.flag(),
        delimiter: line.code(),
        subscript: line.oid(),
        conversions: std::array::from_fn(|_| line.oid()),
        modifiers: std::array::from_fn(|_| line.oid()),
        analyze: line.oid(),
        alignment: line.code(),
        storage: line.code(),
        collation: line.oid(),
    };
    (oid, facts)
}

static FACTS: LazyLock<HashMap<Oid, TypeFacts>> =
    LazyLock::new(|| include_str!("types.tsv").lines().map(parse).collect());

/// What is known of a type.
pub fn type_facts(oid: Oid) -> Option<&'static TypeFacts> {
    FACTS.get(&oid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_facts_that_agree_with_the_type_table() {
        for info in crate::all_types() {
            let facts = type_facts(info.oid).expect(info.name);
            assert_eq!((facts.length, facts.preferred), (info.length, info.preferred), "{}", info.name);
            assert_eq!(facts.kind == 'p', facts.category == 'P' || facts.category == 'X', "{}", info.name);
        }
        assert_eq!(type_facts(Oid::NUMERIC).map(|facts| facts.storage), Some('m'));
    }
}
