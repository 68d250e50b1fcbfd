//! The one type that CASE branches, UNION columns, array elements and the like are converted to.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::type_name;
use crate::{Category, Oid, SqlType, cast::cast_context, functions::CastContext};

/// PostgreSQL's choice of a common type. Only unknown literals give text. 42804 if the types have none; `context` names
/// the construct in the message ("CASE", "UNION", "VALUES" …).
pub fn common_type(context: &str, types: &[SqlType]) -> SqlResult<SqlType> {
    if let [first, rest @ ..] = types
        && first.oid != Oid::UNKNOWN
        && rest.iter().all(|other| other.oid == first.oid)
    {
        // Equal modifiers are kept, different ones are dropped.
        let same = rest.iter().all(|other| other.modifier == first.modifier);
        return Ok(SqlType::with_modifier(first.oid, if same { first.modifier } else { -1 }));
    }
    let chosen = select_common(types).map_err(|(a, b)| {
        let message = format!("{context} types {} and {} cannot be matched", type_name(a), type_name(b));
        SqlError::new(SqlState::DatatypeMismatch, message)
    })?;
    if let Some(other) = types.iter().find(|other| !implicit(other.oid, chosen)) {
        let message = format!("{context} could not convert type {} to {}", type_name(other.oid), type_name(chosen));
        return Err(SqlError::new(SqlState::CannotCoerce, message));
    }
    Ok(SqlType::new(chosen))
}

pub(super) fn implicit(from: Oid, to: Oid) -> bool {
    cast_context(from, to) == Some(CastContext::Implicit)
}

fn category(oid: Oid) -> (Option<Category>, bool) {
    oid.type_info().map_or((None, false), |info| (Some(info.category), info.preferred))
}

/// The common type of types of one category; the two that differ otherwise.
pub(super) fn select_common(types: &[SqlType]) -> Result<Oid, (Oid, Oid)> {
    let mut known = types.iter().map(|given| given.oid).filter(|oid| *oid != Oid::UNKNOWN);
    let Some(mut chosen) = known.next() else { return Ok(Oid::TEXT) };
    for other in known.filter(|_| true) {
        if other == chosen {
            continue;
        }
        let (kind, preferred) = category(chosen);
        if category(other).0 != kind {
            return Err((chosen, other));
        }
        // A preferred type stays; otherwise the wider one is taken.
        if !preferred && implicit(chosen, other) && !implicit(other, chosen) {
            chosen = other;
        }
    }
    Ok(chosen)
}
