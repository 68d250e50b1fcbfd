//! Polymorphic signatures: anyelement, anyarray, anynonarray, "any", anycompatible and anycompatiblearray.
//!
//! The any* family wants one actual type everywhere; the anycompatible family converts its arguments to a common one.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{
    Candidate, Resolved,
    candidates::spread,
    common::{implicit, select_common},
    type_name,
};
use crate::{Oid, SqlType};

/// Types that a signature may declare and no value has.
pub(super) fn is_pseudo(oid: Oid) -> bool {
    matches!(
        oid,
        Oid::ANY | Oid::ANYARRAY | Oid::ANYELEMENT | Oid::ANYNONARRAY | Oid::ANYCOMPATIBLE | Oid::ANYCOMPATIBLEARRAY
    )
}

/// The element type of an array type, or of int2vector and oidvector, which pass for arrays.
pub fn element_of(oid: Oid) -> Option<Oid> {
    match oid {
        Oid::INT2VECTOR => Some(Oid::INT2),
        Oid::OIDVECTOR => Some(Oid::OID),
        other => other.element_type(),
    }
}

/// What the pseudo types of a call stand for.
#[derive(Debug, Default)]
struct Binding {
    element: Option<Oid>,
    array: Option<Oid>,
    compatible: Option<Oid>,
}

/// Whether the given types agree with the polymorphic ones declared.
pub(super) fn is_consistent(declared: &[Oid], given: &[Oid]) -> bool {
    bind(declared, given).is_ok()
}

fn conflict(message: String, detail: Option<String>) -> SqlError {
    let error = SqlError::new(SqlState::DatatypeMismatch, message);
    match detail {
        Some(detail) => error.with_detail(detail),
        None => error,
    }
}

/// Sets a type once; a second, different one is an error.
fn unify(slot: &mut Option<Oid>, oid: Oid, family: &str) -> SqlResult<()> {
    match slot {
        Some(known) if *known != oid => {
            let detail = format!("{} versus {}", type_name(*known), type_name(oid));
            Err(conflict(format!("arguments declared \"{family}\" are not all alike"), Some(detail)))
        }
        _ => {
            *slot = Some(oid);
            Ok(())
        }
    }
}

fn not_an_array(family: &str, oid: Oid) -> SqlError {
    conflict(format!("argument declared {family} is not an array but type {}", type_name(oid)), None)
}

fn bind(declared: &[Oid], given: &[Oid]) -> SqlResult<Binding> {
    let mut binding = Binding::default();
    let mut nonarray = false;
    let mut compatible: Vec<SqlType> = Vec::new();
    let mut any_compatible = false;
    for (declared, given) in declared.iter().zip(given) {
        nonarray |= *declared == Oid::ANYNONARRAY;
        any_compatible |= matches!(*declared, Oid::ANYCOMPATIBLE | Oid::ANYCOMPATIBLEARRAY);
        if *given == Oid::UNKNOWN {
            continue;
        }
        match *declared {
            Oid::ANYELEMENT | Oid::ANYNONARRAY => unify(&mut binding.element, *given, "anyelement")?,
            Oid::ANYARRAY => {
                element_of(*given).ok_or_else(|| not_an_array("anyarray", *given))?;
                unify(&mut binding.array, *given, "anyarray")?;
            }
            Oid::ANYCOMPATIBLE => compatible.push(SqlType::new(*given)),
            Oid::ANYCOMPATIBLEARRAY => {
                let element = element_of(*given).ok_or_else(|| not_an_array("anycompatiblearray", *given))?;
                compatible.push(SqlType::new(element));
            }
            _ => {}
        }
    }
    if let Some(element) = binding.array.and_then(element_of) {
        unify(&mut binding.element, element, "anyelement")?;
    }
    if nonarray && binding.element.is_some_and(|element| element.element_type().is_some()) {
        let name = binding.element.map_or_else(String::new, type_name);
        return Err(conflict(format!("type matched to anynonarray is an array type: {name}"), None));
    }
    if any_compatible {
        binding.compatible = Some(bind_compatible(&compatible)?);
    }
    Ok(binding)
}

fn bind_compatible(types: &[SqlType]) -> SqlResult<Oid> {
    let chosen = select_common(types).map_err(|(a, b)| {
        let detail = format!("{} versus {}", type_name(a), type_name(b));
        conflict("arguments of anycompatible family cannot be cast to a common type".to_owned(), Some(detail))
    })?;
    match types.iter().find(|other| !implicit(other.oid, chosen)) {
        None => Ok(chosen),
        Some(_) => Err(conflict("arguments of anycompatible family cannot be cast to a common type".to_owned(), None)),
    }
}

impl Binding {
    /// The concrete type of a declared one; `None` if the call does not tell.
    fn concrete(&self, declared: Oid) -> Option<Oid> {
        match declared {
            Oid::ANYELEMENT | Oid::ANYNONARRAY => self.element,
            Oid::ANYARRAY => self.array.or_else(|| self.element?.array_type()),
            Oid::ANYCOMPATIBLE => self.compatible,
            Oid::ANYCOMPATIBLEARRAY => self.compatible?.array_type(),
            other => Some(other),
        }
    }
}

/// The call's types for the chosen function.
pub(super) fn instantiate<F: Candidate>(function: &'static F, args: &[SqlType]) -> SqlResult<Resolved<F>> {
    let declared = spread(function, args.len()).ok_or_else(|| SqlError::internal("call with a wrong arity"))?;
    let given: Vec<Oid> = args.iter().map(|arg| arg.oid).collect();
    let binding = bind(&declared, &given)?;
    let undetermined =
        || conflict("could not determine polymorphic type because input has type unknown".to_owned(), None);
    let target = |(declared, given): (&Oid, &SqlType)| {
        let oid = match *declared {
            Oid::ANY if given.oid == Oid::UNKNOWN => Oid::TEXT,
            Oid::ANY => given.oid,
            declared => binding.concrete(declared).ok_or_else(undetermined)?,
        };
        Ok(if oid == given.oid { *given } else { SqlType::new(oid) })
    };
    let types = declared.iter().zip(args).map(target).collect::<SqlResult<Vec<_>>>()?;
    let result = binding.concrete(function.result()).ok_or_else(undetermined)?;
    Ok(Resolved { function, args: types, result: SqlType::new(result) })
}
