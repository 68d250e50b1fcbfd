//! Hand-made histories with known anomalies.

use super::{Op::*, *};
use crate::history::Outcome;

/// All at the same time, so that real time says nothing.
fn at_once(txns: &[(Outcome, &[Op])]) -> Vec<Operation<Txn>> {
    let operation = |(client, (outcome, ops)): (usize, &(Outcome, &[Op]))| Operation {
        client,
        start: 0,
        end: 100,
        outcome: *outcome,
        action: ops.to_vec(),
    };
    txns.iter().enumerate().map(operation).collect()
}

fn committed(txns: &[&[Op]]) -> Vec<Operation<Txn>> {
    at_once(&txns.iter().map(|ops| (Outcome::Ok, *ops)).collect::<Vec<_>>())
}

/// One after the other.
fn in_turn(txns: &[&[Op]]) -> Vec<Operation<Txn>> {
    let mut history = committed(txns);
    for (operation, number) in history.iter_mut().zip(0..) {
        (operation.start, operation.end) = (number * 10, number * 10 + 5);
    }
    history
}

fn kinds(history: &[Operation<Txn>], isolation: Isolation) -> Vec<&'static str> {
    let mut kinds: Vec<_> = check(history, isolation).iter().map(|violation| violation.kind).collect();
    kinds.dedup();
    kinds
}

/// Kinds found at each level.
fn by_level(history: &[Operation<Txn>]) -> [Vec<&'static str>; 3] {
    [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable].map(|level| kinds(history, level))
}

const NONE: Vec<&str> = Vec::new();

#[test]
fn a_serial_history_is_right() {
    let history = in_turn(&[
        &[Append(1, 1), Read(1, vec![1])],
        &[Read(1, vec![1]), Append(1, 2), Append(2, 3), Read(2, vec![3])],
        &[Read(1, vec![1, 2]), Read(2, vec![3])],
    ]);
    assert_eq!(by_level(&history), [NONE, NONE, NONE]);
}

#[test]
fn a_read_of_a_failed_write_is_g1a() {
    let history = at_once(&[(Outcome::Failed, &[Append(1, 1)]), (Outcome::Ok, &[Read(1, vec![1])])]);
    assert_eq!(kinds(&history, Isolation::ReadCommitted), ["G1a"]);
    let history = at_once(&[(Outcome::Unknown, &[Append(1, 1)]), (Outcome::Ok, &[Read(1, vec![1])])]);
    assert_eq!(by_level(&history), [NONE, NONE, NONE]);
}

#[test]
fn a_read_in_the_middle_of_a_transaction_is_g1b() {
    let history = committed(&[&[Append(1, 1), Append(1, 2)], &[Read(1, vec![1])], &[Read(1, vec![1, 2])]]);
    assert!(kinds(&history, Isolation::ReadCommitted).contains(&"G1b"));
}

#[test]
fn writes_in_different_orders_are_g0() {
    let history = committed(&[
        &[Append(1, 1), Append(2, 1)],
        &[Append(1, 2), Append(2, 2)],
        &[Read(1, vec![1, 2])],
        &[Read(2, vec![2, 1])],
    ]);
    assert!(kinds(&history, Isolation::ReadCommitted).contains(&"G0"));
}

#[test]
fn each_reading_the_other_is_g1c() {
    let history = committed(&[&[Append(1, 1), Read(2, vec![1])], &[Append(2, 1), Read(1, vec![1])]]);
    assert_eq!(kinds(&history, Isolation::ReadCommitted), ["G1c"]);
}

#[test]
fn two_that_build_on_the_same_value_lose_an_update() {
    let history =
        committed(&[&[Read(1, vec![]), Append(1, 1)], &[Read(1, vec![]), Append(1, 2)], &[Read(1, vec![1, 2])]]);
    assert_eq!(by_level(&history), [NONE, vec!["lost update"], vec!["lost update"]]);
}

#[test]
fn seeing_half_of_a_transaction_is_g_single() {
    let history =
        committed(&[&[Append(1, 1), Append(2, 1)], &[Read(1, vec![1]), Read(2, vec![])], &[Read(2, vec![1])]]);
    assert_eq!(by_level(&history), [NONE, vec!["G-single"], vec!["G-single"]]);
}

#[test]
fn readers_that_disagree_on_an_order_are_g_nonadjacent() {
    let history = committed(&[
        &[Append(1, 1)],
        &[Append(2, 1)],
        &[Read(1, vec![1]), Read(2, vec![])],
        &[Read(1, vec![]), Read(2, vec![1])],
    ]);
    assert_eq!(by_level(&history), [NONE, vec!["G-nonadjacent"], vec!["G-nonadjacent"]]);
}

#[test]
fn write_skew_is_g2_item_and_only_serializable_forbids_it() {
    let history = committed(&[
        &[Read(1, vec![]), Append(2, 1)],
        &[Read(2, vec![]), Append(1, 1)],
        &[Read(1, vec![1]), Read(2, vec![1])],
    ]);
    assert_eq!(by_level(&history), [NONE, NONE, vec!["G2-item"]]);
}

#[test]
fn missing_what_was_acknowledged_before_is_stale() {
    let history = in_turn(&[&[Append(1, 1)], &[Read(1, vec![])], &[Read(1, vec![1])]]);
    assert_eq!(kinds(&history, Isolation::ReadCommitted), ["stale read"]);
    assert!(kinds(&history, Isolation::Serializable).contains(&"real-time cycle"));
}

#[test]
fn an_order_against_time_is_a_real_time_cycle_only_for_serializable() {
    // The second is there before the first for who reads both, which ended before the second began.
    let mut history = in_turn(&[&[Append(1, 1)], &[Append(2, 1)]]);
    history.push(Operation {
        client: 2,
        start: 0,
        end: 100,
        outcome: Outcome::Ok,
        action: vec![Read(1, vec![]), Read(2, vec![1])],
    });
    history.extend(committed(&[&[Read(1, vec![1]), Read(2, vec![1])]]));
    assert_eq!(by_level(&history), [NONE, NONE, vec!["real-time cycle"]]);
}

#[test]
fn what_needs_no_cycle() {
    let case = |txns: &[&[Op]]| kinds(&in_turn(txns), Isolation::ReadCommitted);
    assert_eq!(case(&[&[Read(1, vec![9])]]), ["value nobody wrote"]);
    assert!(case(&[&[Append(1, 1)], &[Read(1, vec![1, 1])]]).contains(&"value twice"));
    assert!(
        case(&[&[Append(1, 1)], &[Append(1, 2)], &[Read(1, vec![1, 2])], &[Read(1, vec![2])]])
            .contains(&"incompatible orders")
    );
    assert_eq!(case(&[&[Append(1, 1), Read(1, vec![])]]), ["own write not seen"]);
    assert_eq!(case(&[&[Append(1, 1)], &[Read(1, vec![])]]), ["lost write"]);
    let twice = committed(&[&[Append(1, 1)], &[Read(1, vec![]), Read(1, vec![1])]]);
    assert!(by_level(&twice)[0].is_empty() && by_level(&twice)[1].contains(&"unrepeatable read"));
}
