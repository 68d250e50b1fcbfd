//! Choosing among functions of one name.

use super::{Candidate, polymorphic};
use crate::{Category, Oid, SqlType, cast::cast_context, functions::CastContext};

/// Outcome of the choice.
pub(super) enum Choice<F: 'static> {
    /// One fits best.
    One(&'static F),
    /// None fits.
    None,
    /// Several fit equally well.
    Many,
}

/// A function with its declared types spread over the call's arguments.
struct Spread<F: 'static> {
    function: &'static F,
    types: Vec<Oid>,
}

impl<F> Clone for Spread<F> {
    fn clone(&self) -> Self {
        Self { function: self.function, types: self.types.clone() }
    }
}

/// Declared types for `count` arguments; `None` if the function does not take that many.
pub(super) fn spread(function: &impl Candidate, count: usize) -> Option<Vec<Oid>> {
    let fixed = function.args();
    let fits = match function.variadic() {
        None => count == fixed.len(),
        Some(_) => count > fixed.len(),
    };
    fits.then(|| {
        let further = std::iter::repeat_n(function.variadic().unwrap_or_default(), count - fixed.len());
        fixed.iter().copied().chain(further).collect()
    })
}

/// Whether an argument converts implicitly; pseudo types are judged together later.
pub(super) fn converts(from: Oid, to: Oid) -> bool {
    if from == to || from == Oid::UNKNOWN || polymorphic::is_pseudo(to) {
        return true;
    }
    cast_context(from, to) == Some(CastContext::Implicit)
}

/// The function of `named` that a call with these arguments means.
pub(super) fn choose<F: Candidate>(named: &[&'static F], args: &[SqlType]) -> Choice<F> {
    let given: Vec<Oid> = args.iter().map(|arg| arg.oid).collect();
    let spreads = named
        .iter()
        .filter_map(|function| spread(*function, given.len()).map(|types| Spread { function: *function, types }));
    let mut spreads: Vec<Spread<F>> = spreads.collect();
    if let Some(exact) = spreads.iter().find(|candidate| candidate.types == given) {
        return Choice::One(exact.function);
    }
    spreads.retain(|candidate| {
        candidate.types.iter().zip(&given).all(|(to, from)| converts(*from, *to))
            && polymorphic::is_consistent(&candidate.types, &given)
    });
    match spreads.len() {
        0 => Choice::None,
        1 => Choice::One(spreads[0].function),
        _ => select(spreads, &given).map_or(Choice::Many, Choice::One),
    }
}

fn category(oid: Oid) -> (Category, bool) {
    oid.type_info().map_or((Category::Pseudo, false), |info| (info.category, info.preferred))
}

/// The tie-breaking of PostgreSQL's manual, "Function Type Resolution", steps 4.c to 4.f.
fn select<F: Candidate>(mut candidates: Vec<Spread<F>>, given: &[Oid]) -> Option<&'static F> {
    keep_best(&mut candidates, given, |declared, given| declared == given);
    if let [only] = &candidates[..] {
        return Some(only.function);
    }
    keep_best(&mut candidates, given, |declared, given| {
        let (kind, preferred) = category(declared);
        declared == given || (preferred && kind == category(given).0)
    });
    if let [only] = &candidates[..] {
        return Some(only.function);
    }
    if !given.contains(&Oid::UNKNOWN) {
        return None;
    }
    keep_unknown_categories(&mut candidates, given);
    if let [only] = &candidates[..] {
        return Some(only.function);
    }
    assume_known_type(&candidates, given)
}

/// Keeps the candidates with the greatest number of known arguments that satisfy `counts`.
fn keep_best<F>(candidates: &mut Vec<Spread<F>>, given: &[Oid], counts: impl Fn(Oid, Oid) -> bool) {
    let score = |candidate: &Spread<F>| {
        let pairs = candidate.types.iter().zip(given);
        pairs.filter(|(declared, given)| **given != Oid::UNKNOWN && counts(**declared, **given)).count()
    };
    let best = candidates.iter().map(&score).max().unwrap_or(0);
    candidates.retain(|candidate| score(candidate) == best);
}

/// Takes unknown literals for strings where any candidate does, else for the one category all agree on, and prefers
/// that category's preferred type.
fn keep_unknown_categories<F>(candidates: &mut Vec<Spread<F>>, given: &[Oid]) {
    let mut wanted: Vec<Option<(Category, bool)>> = vec![None; given.len()];
    for at in (0..given.len()).filter(|at| given[*at] == Oid::UNKNOWN) {
        let kinds: Vec<(Category, bool)> = candidates.iter().map(|candidate| category(candidate.types[at])).collect();
        let chosen =
            if kinds.iter().any(|(kind, _)| *kind == Category::String) { Category::String } else { kinds[0].0 };
        if chosen != Category::String && kinds.iter().any(|(kind, _)| *kind != chosen) {
            return;
        }
        let has_preferred = kinds.iter().any(|(kind, preferred)| *kind == chosen && *preferred);
        wanted[at] = Some((chosen, has_preferred));
    }
    let fits = |candidate: &Spread<F>| {
        candidate.types.iter().zip(&wanted).all(|(declared, wanted)| match wanted {
            None => true,
            Some((chosen, has_preferred)) => {
                let (kind, preferred) = category(*declared);
                kind == *chosen && (preferred || !has_preferred)
            }
        })
    };
    let kept: Vec<Spread<F>> = candidates.iter().filter(|candidate| fits(candidate)).cloned().collect();
    if !kept.is_empty() {
        *candidates = kept;
    }
}

/// If all known arguments have one type, unknown literals are taken for it too; exactly one candidate must fit.
fn assume_known_type<F>(candidates: &[Spread<F>], given: &[Oid]) -> Option<&'static F> {
    let mut known = given.iter().filter(|oid| **oid != Oid::UNKNOWN);
    let first = *known.next()?;
    if known.any(|oid| *oid != first) {
        return None;
    }
    let assumed = vec![first; given.len()];
    let mut fitting = candidates.iter().filter(|candidate| {
        candidate.types.iter().all(|to| converts(first, *to)) && polymorphic::is_consistent(&candidate.types, &assumed)
    });
    let only = fitting.next()?;
    fitting.next().is_none().then_some(only.function)
}
