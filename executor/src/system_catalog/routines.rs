//! `pg_proc`, `pg_aggregate`, `pg_operator` and what indexes make of operators.

use schema::{Datum, Oid, builtin};
use sharddb_schema as schema;

use super::{Rows, array, code, name, oid};
use crate::catalog;

fn oids(values: &[Oid], lower: i32) -> Datum {
    array(Oid::OID, lower, values.iter().map(|value| oid(*value)).collect())
}

fn unless_empty(empty: bool, value: impl FnOnce() -> Datum) -> Datum {
    if empty { Datum::Null } else { value() }
}

pub(super) fn functions(rows: &mut Rows) {
    for function in builtin::functions() {
        let modes = || array(Oid::CHAR, 1, function.modes.chars().map(code).collect());
        let names = || array(Oid::TEXT, 1, function.arg_names.iter().copied().map(Datum::text).collect());
        rows.add([
            ("oid", oid(function.oid)),
            ("proname", name(function.name)),
            ("pronamespace", oid(catalog::PG_CATALOG)),
            ("proowner", oid(catalog::BOOTSTRAP_ROLE)),
            ("prolang", oid(function.language)),
            ("procost", Datum::Float4(function.cost)),
            ("prorows", Datum::Float4(function.rows)),
            ("provariadic", oid(function.variadic)),
            ("prosupport", oid(function.support_function)),
            ("prokind", code(function.kind)),
            ("proleakproof", Datum::Bool(function.leakproof)),
            ("proisstrict", Datum::Bool(function.strict)),
            ("proretset", Datum::Bool(function.returns_set)),
            ("provolatile", code(function.volatility)),
            ("proparallel", code(function.parallel)),
            ("pronargs", Datum::Int2(i16::try_from(function.args.len()).unwrap_or(i16::MAX))),
            ("pronargdefaults", Datum::Int2(function.defaults)),
            ("prorettype", oid(function.result)),
            ("proargtypes", oids(&function.args, 0)),
            ("proallargtypes", unless_empty(function.all_args.is_empty(), || oids(&function.all_args, 1))),
            ("proargmodes", unless_empty(function.modes.is_empty(), modes)),
            ("proargnames", unless_empty(function.arg_names.is_empty(), names)),
            ("prosrc", Datum::text(function.source)),
        ]);
    }
}

pub(super) fn aggregates(rows: &mut Rows) {
    for aggregate in builtin::aggregates() {
        let [transition, last, combine, serialize, deserialize] = aggregate.steps.map(oid);
        let [moving_transition, moving_inverse, moving_last] = aggregate.moving_steps.map(oid);
        rows.add([
            ("aggfnoid", oid(aggregate.function)),
            ("aggkind", code(aggregate.kind)),
            ("aggnumdirectargs", Datum::Int2(aggregate.direct_args)),
            ("aggtransfn", transition),
            ("aggfinalfn", last),
            ("aggcombinefn", combine),
            ("aggserialfn", serialize),
            ("aggdeserialfn", deserialize),
            ("aggmtransfn", moving_transition),
            ("aggminvtransfn", moving_inverse),
            ("aggmfinalfn", moving_last),
            ("aggfinalextra", Datum::Bool(aggregate.extra[0])),
            ("aggmfinalextra", Datum::Bool(aggregate.extra[1])),
            ("aggfinalmodify", code(aggregate.modify[0])),
            ("aggmfinalmodify", code(aggregate.modify[1])),
            ("aggsortop", oid(aggregate.sort_operator)),
            ("aggtranstype", oid(aggregate.states[0])),
            ("aggtransspace", Datum::Int4(aggregate.spaces[0])),
            ("aggmtranstype", oid(aggregate.states[1])),
            ("aggmtransspace", Datum::Int4(aggregate.spaces[1])),
            ("agginitval", aggregate.initial.map_or(Datum::Null, Datum::text)),
        ]);
    }
}

pub(super) fn operators(rows: &mut Rows) {
    for operator in builtin::operators() {
        rows.add([
            ("oid", oid(operator.oid)),
            ("oprname", name(operator.name)),
            ("oprnamespace", oid(catalog::PG_CATALOG)),
            ("oprowner", oid(catalog::BOOTSTRAP_ROLE)),
            ("oprkind", code(operator.kind)),
            ("oprcanmerge", Datum::Bool(operator.can_merge)),
            ("oprcanhash", Datum::Bool(operator.can_hash)),
            ("oprleft", oid(operator.left)),
            ("oprright", oid(operator.right)),
            ("oprresult", oid(operator.result)),
            ("oprcom", oid(operator.commutator)),
            ("oprnegate", oid(operator.negator)),
            ("oprcode", oid(operator.function)),
            ("oprrest", oid(operator.restriction)),
            ("oprjoin", oid(operator.join)),
        ]);
    }
}

pub(super) fn operator_classes(rows: &mut Rows) {
    for class in builtin::operator_classes() {
        rows.add([
            ("oid", oid(class.oid)),
            ("opcmethod", oid(class.method)),
            ("opcname", name(class.name)),
            ("opcnamespace", oid(catalog::PG_CATALOG)),
            ("opcowner", oid(catalog::BOOTSTRAP_ROLE)),
            ("opcfamily", oid(class.family)),
            ("opcintype", oid(class.input)),
            ("opcdefault", Datum::Bool(class.default)),
            ("opckeytype", oid(class.key)),
        ]);
    }
}

pub(super) fn operator_families(rows: &mut Rows) {
    for family in builtin::operator_families() {
        rows.add([
            ("oid", oid(family.oid)),
            ("opfmethod", oid(family.method)),
            ("opfname", name(family.name)),
            ("opfnamespace", oid(catalog::PG_CATALOG)),
            ("opfowner", oid(catalog::BOOTSTRAP_ROLE)),
        ]);
    }
}

pub(super) fn family_operators(rows: &mut Rows) {
    for member in builtin::family_operators() {
        rows.add([
            ("oid", oid(member.oid)),
            ("amopfamily", oid(member.family)),
            ("amoplefttype", oid(member.left)),
            ("amoprighttype", oid(member.right)),
            ("amopstrategy", Datum::Int2(member.strategy)),
            ("amoppurpose", code(member.purpose)),
            ("amopopr", oid(member.operator)),
            ("amopmethod", oid(member.method)),
            ("amopsortfamily", oid(member.sort_family)),
        ]);
    }
}

pub(super) fn family_functions(rows: &mut Rows) {
    for member in builtin::family_functions() {
        rows.add([
            ("oid", oid(member.oid)),
            ("amprocfamily", oid(member.family)),
            ("amproclefttype", oid(member.left)),
            ("amprocrighttype", oid(member.right)),
            ("amprocnum", Datum::Int2(member.number)),
            ("amproc", oid(member.function)),
        ]);
    }
}
