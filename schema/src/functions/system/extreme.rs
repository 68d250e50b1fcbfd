//! GREATEST and LEAST, which the binder calls as functions.

use std::cmp::Ordering;

use proto::SqlResult;
use sharddb_proto as proto;

use crate::{
    Datum, Oid,
    compare::compare,
    functions::{Function, table::function, value::mismatch},
};

/// The first argument that is ahead of all others; NULLs do not take part.
fn extreme(args: &[Datum], wanted: Ordering) -> SqlResult<Datum> {
    let mut best: Option<&Datum> = None;
    for value in args.iter().filter(|value| !value.is_null()) {
        match best {
            Some(best_) if std::mem::discriminant(best_) != std::mem::discriminant(value) => {
                return Err(mismatch(args));
            }
            Some(best_) if compare(value, best_) != wanted => {}
            _ => best = Some(value),
        }
    }
    Ok(best.cloned().unwrap_or(Datum::Null))
}

/// GREATEST and LEAST of values of one type.
pub(in crate::functions) static EXTREME: &[Function] = &[
    function("greatest", &[], Oid::ANYELEMENT, |_, args| extreme(args, Ordering::Greater))
        .variadic(Oid::ANYELEMENT)
        .lenient(),
    function("least", &[], Oid::ANYELEMENT, |_, args| extreme(args, Ordering::Less))
        .variadic(Oid::ANYELEMENT)
        .lenient(),
];
