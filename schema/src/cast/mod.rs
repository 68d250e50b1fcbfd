//! Casts between types: which exist, in which context they apply, and what they do.
//!
//! The table follows PostgreSQL's `pg_cast`; beyond it every type can be cast to a string type by assignment and from one
//! explicitly, through its text form.

mod apply;
#[cfg(test)]
mod tests;

pub use apply::cast;
pub(crate) use apply::fit;

use crate::{Category, Oid, functions::CastContext};

/// The context in which a cast applies by itself; `None` if there is no such cast. Equal types need none.
pub fn cast_context(from: Oid, to: Oid) -> Option<CastContext> {
    if from == to || from == Oid::UNKNOWN {
        return Some(CastContext::Implicit);
    }
    if let Some(context) = listed(from, to) {
        return Some(context);
    }
    if let (Some(from), Some(to)) = (from.element_type(), to.element_type()) {
        return cast_context(from, to);
    }
    let string = |oid: Oid| oid.type_info().is_some_and(|info| info.category == Category::String);
    let pseudo =
        |oid: Oid| oid.type_info().is_none_or(|info| info.category == Category::Pseudo && info.oid != Oid::RECORD);
    if pseudo(from) || pseudo(to) {
        return None;
    }
    match (string(from), string(to)) {
        (_, true) => Some(CastContext::Assignment),
        (true, false) => Some(CastContext::Explicit),
        (false, false) => None,
    }
}

/// Rows of `pg_cast`.
fn listed(from: Oid, to: Oid) -> Option<CastContext> {
    use CastContext::{Assignment, Explicit, Implicit};
    let rank = |oid: Oid| {
        [Oid::INT2, Oid::INT4, Oid::INT8, Oid::NUMERIC, Oid::FLOAT4, Oid::FLOAT8].iter().position(|known| *known == oid)
    };
    // Numbers widen implicitly and narrow by assignment.
    if let (Some(from), Some(to)) = (rank(from), rank(to)) {
        return Some(if from < to { Implicit } else { Assignment });
    }
    let oid_like = |oid: Oid| oid == Oid::OID || oid.is_object_name();
    let integer = |oid: Oid| matches!(oid, Oid::INT2 | Oid::INT4 | Oid::INT8);
    if integer(from) && oid_like(to) {
        return Some(Implicit);
    }
    if oid_like(from) && matches!(to, Oid::INT4 | Oid::INT8) {
        return Some(Assignment);
    }
    if oid_like(from) && oid_like(to) {
        let paired = |one, other| (from, to) == (one, other) || (from, to) == (other, one);
        let same = paired(Oid::REGPROC, Oid::REGPROCEDURE) || paired(Oid::REGOPER, Oid::REGOPERATOR);
        return (from == Oid::OID || to == Oid::OID || same).then_some(Implicit);
    }
    Some(match (from, to) {
        (Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR, Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR) => Implicit,
        (Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR, Oid::NAME) | (Oid::NAME | Oid::CHAR, Oid::TEXT) => Implicit,
        (Oid::TEXT | Oid::VARCHAR, Oid::REGCLASS) => Implicit,
        (Oid::NAME | Oid::CHAR, Oid::VARCHAR | Oid::BPCHAR) => Assignment,
        (Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR, Oid::CHAR) => Assignment,
        (Oid::CHAR, Oid::INT4) | (Oid::INT4, Oid::CHAR) => Explicit,
        (Oid::BOOL, Oid::INT4) | (Oid::INT4, Oid::BOOL) => Explicit,
        (Oid::DATE, Oid::TIMESTAMP | Oid::TIMESTAMPTZ) | (Oid::TIMESTAMP, Oid::TIMESTAMPTZ) => Implicit,
        (Oid::TIME, Oid::TIMETZ | Oid::INTERVAL) => Implicit,
        (Oid::TIMESTAMPTZ, Oid::TIMESTAMP | Oid::DATE | Oid::TIME | Oid::TIMETZ) => Assignment,
        (Oid::TIMESTAMP, Oid::DATE | Oid::TIME) | (Oid::TIMETZ, Oid::TIME) | (Oid::INTERVAL, Oid::TIME) => Assignment,
        (Oid::JSON, Oid::JSONB) | (Oid::JSONB, Oid::JSON) => Assignment,
        (Oid::JSONB, Oid::BOOL | Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::FLOAT4 | Oid::FLOAT8 | Oid::NUMERIC) => {
            Explicit
        }
        (Oid::INT2VECTOR, Oid(1005)) | (Oid::OIDVECTOR, Oid(1028)) => Implicit,
        _ => return None,
    })
}
