//! Casts, and the operator classes of B-trees, which are the only indexes.

use super::line::Line;
use crate::Oid;

/// A row of `pg_cast`.
#[derive(Debug)]
pub struct Cast {
    /// Its OID.
    pub oid: Oid,
    /// `castsource`
    pub source: Oid,
    /// `casttarget`
    pub target: Oid,
    /// `castfunc`, 0 without one.
    pub function: Oid,
    /// `castcontext`: e, a or i.
    pub context: char,
    /// `castmethod`: f, i or b.
    pub method: char,
}

/// A row of `pg_opclass`.
#[derive(Debug)]
pub struct OperatorClass {
    /// Its OID.
    pub oid: Oid,
    /// `opcmethod`
    pub method: Oid,
    /// `opcname`
    pub name: &'static str,
    /// `opcfamily`
    pub family: Oid,
    /// `opcintype`
    pub input: Oid,
    /// `opcdefault`
    pub default: bool,
    /// `opckeytype`
    pub key: Oid,
}

/// A row of `pg_opfamily`.
#[derive(Debug)]
pub struct OperatorFamily {
    /// Its OID.
    pub oid: Oid,
    /// `opfmethod`
    pub method: Oid,
    /// `opfname`
    pub name: &'static str,
}

/// A row of `pg_amop`.
#[derive(Debug)]
pub struct FamilyOperator {
    /// Its OID.
    pub oid: Oid,
    /// `amopfamily`
    pub family: Oid,
    /// `amoplefttype`
    pub left: Oid,
    /// `amoprighttype`
    pub right: Oid,
    /// `amopstrategy`
    pub strategy: i16,
    /// `amoppurpose`
    pub purpose: char,
    /// `amopopr`
    pub operator: Oid,
    /// `amopmethod`
    pub method: Oid,
    /// `amopsortfamily`
    pub sort_family: Oid,
}

/// A row of `pg_amproc`.
#[derive(Debug)]
pub struct FamilyFunction {
    /// Its OID.
    pub oid: Oid,
    /// `amprocfamily`
    pub family: Oid,
    /// `amproclefttype`
    pub left: Oid,
    /// `amprocrighttype`
    pub right: Oid,
    /// `amprocnum`
    pub number: i16,
    /// `amproc`
    pub function: Oid,
}

fn lines(table: &'static str) -> impl Iterator<Item = Line> {
    table.lines().map(Line::new)
}

/// Casts between types that exist here.
pub fn casts() -> impl Iterator<Item = Cast> {
    lines(include_str!("casts.tsv")).map(|mut line| Cast {
        oid: line.oid(),
        source: line.oid(),
        target: line.oid(),
        function: line.oid(),
        context: line.code(),
        method: line.code(),
    })
}

/// Operator classes.
pub fn operator_classes() -> impl Iterator<Item = OperatorClass> {
    lines(include_str!("operator_classes.tsv")).map(|mut line| OperatorClass {
        oid: line.oid(),
        method: line.oid(),
        name: line.text(),
        family: line.oid(),
        input: line.oid(),
        default: line.flag(),
        key: line.oid(),
    })
}

/// Operator families.
pub fn operator_families() -> impl Iterator<Item = OperatorFamily> {
    lines(include_str!("operator_families.tsv")).map(|mut line| OperatorFamily {
        oid: line.oid(),
        method: line.oid(),
        name: line.text(),
    })
}

/// Operators of families, as far as they exist here.
pub fn family_operators() -> impl Iterator<Item = FamilyOperator> {
    let all = lines(include_str!("family_operators.tsv")).map(|mut line| FamilyOperator {
        oid: line.oid(),
        family: line.oid(),
        left: line.oid(),
        right: line.oid(),
        strategy: line.number(),
        purpose: line.code(),
        operator: line.oid(),
        method: line.oid(),
        sort_family: line.oid(),
    });
    all.filter(|found| super::operator(found.operator).is_some())
}

/// Support functions of families.
pub fn family_functions() -> impl Iterator<Item = FamilyFunction> {
    lines(include_str!("family_functions.tsv")).map(|mut line| FamilyFunction {
        oid: line.oid(),
        family: line.oid(),
        left: line.oid(),
        right: line.oid(),
        number: line.number(),
        function: line.oid(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_agree_with_what_the_binder_allows() {
        use crate::{cast::cast_context, functions::CastContext};
        for cast in casts().filter(|cast| cast.source != cast.target) {
            let context = cast_context(cast.source, cast.target);
            let expected = match cast.context {
                'i' => CastContext::Implicit,
                'a' => CastContext::Assignment,
                _ => CastContext::Explicit,
            };
            assert_eq!(context, Some(expected), "{cast:?}");
        }
    }

    #[test]
    fn classes_belong_to_families() {
        let families: Vec<Oid> = operator_families().map(|family| family.oid).collect();
        assert!(operator_classes().all(|class| families.contains(&class.family)));
        assert!(family_functions().all(|function| super::super::function(function.function).is_some()));
        assert!(family_operators().count() > 100);
    }
}
