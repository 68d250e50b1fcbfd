//! Which WITH queries are computed once and kept, and which take the place of their reference.
//!
//! A query that is read once takes the place of the reference; one that is not read is dropped; others are kept.
//! MATERIALIZED keeps, NOT MATERIALIZED does not keep unless that would evaluate volatile functions twice.

use std::collections::HashMap;

use crate::general::{
    expr::{is_correlated, is_volatile, rewrite_rel},
    ir::{Node, Rel},
};

/// Bits of a shared number that carry MATERIALIZED and NOT MATERIALIZED.
const KEEP: usize = 1 << 62;
const INLINE: usize = 1 << 61;

/// Adds what the statement said about materialization to the number of a WITH query.
pub(super) fn tag(id: usize, materialized: Option<bool>) -> usize {
    match materialized {
        Some(true) => id | KEEP,
        Some(false) => id | INLINE,
        None => id,
    }
}

/// How often and where a WITH query is read.
#[derive(Clone, Copy, Default)]
struct Uses {
    count: usize,
    /// Inside of something that runs many times.
    repeated: bool,
}

/// Inlines and drops WITH queries.
pub(super) fn simplify(mut rel: Rel) -> Rel {
    simplify_in_place(&mut rel);
    rel
}

fn simplify_in_place(rel: &mut Rel) {
    for input in rel.inputs_mut() {
        simplify_in_place(input);
    }
    if let Node::Apply { calls, .. } = &mut rel.node {
        calls.iter_mut().for_each(|call| simplify_in_place(&mut call.rel));
    }
    let Node::With { shared, body } = &mut rel.node else { return };
    let mut kept: Vec<(usize, Rel)> = Vec::new();
    // From the last to the first: an inlined query may read earlier ones.
    while let Some((id, definition)) = shared.pop() {
        let mut uses = HashMap::new();
        count(body, false, &mut uses);
        kept.iter().for_each(|(_, later)| count(later, false, &mut uses));
        let uses = uses.get(&id).copied().unwrap_or_default();
        if uses.count == 0 {
            continue;
        }
        let mut definition = definition;
        let once = uses.count == 1 && !uses.repeated && id & KEEP == 0;
        let asked = id & INLINE != 0 && !has_volatile(&mut definition);
        if (once || asked) && !is_correlated(&mut definition) {
            inline(body, id, &definition);
            kept.iter_mut().for_each(|(_, later)| inline(later, id, &definition));
        } else {
            kept.push((id, definition));
        }
    }
    kept.reverse();
    if kept.is_empty() {
        let body = std::mem::replace(&mut **body, Rel::unit());
        *rel = body;
    } else {
        *shared = kept;
    }
}

fn has_volatile(rel: &mut Rel) -> bool {
    let mut found = false;
    rewrite_rel(rel, 0, &mut |expr, _| found |= is_volatile(expr));
    found
}

fn count(rel: &Rel, repeated: bool, uses: &mut HashMap<usize, Uses>) {
    match &rel.node {
        Node::Shared(id) => {
            let entry = uses.entry(*id).or_default();
            entry.count += 1;
            entry.repeated |= repeated;
        }
        Node::Apply { input, calls } => {
            count(input, repeated, uses);
            calls.iter().for_each(|call| count(&call.rel, true, uses));
        }
        Node::Lateral { left, right, .. } => {
            count(left, repeated, uses);
            count(right, true, uses);
        }
        Node::Recursive { first, step, .. } => {
            count(first, repeated, uses);
            count(step, true, uses);
        }
        _ => rel.inputs().into_iter().for_each(|input| count(input, repeated, uses)),
    }
}

fn inline(rel: &mut Rel, id: usize, definition: &Rel) {
    if matches!(rel.node, Node::Shared(shared) if shared == id) {
        *rel = definition.clone();
        return;
    }
    for input in rel.inputs_mut() {
        inline(input, id, definition);
    }
    if let Node::Apply { calls, .. } = &mut rel.node {
        calls.iter_mut().for_each(|call| inline(&mut call.rel, id, definition));
    }
}
