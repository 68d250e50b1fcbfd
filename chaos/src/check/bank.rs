//! Money is neither made nor lost, and what was acknowledged is there.

use std::collections::BTreeMap;

use super::Violation;
use crate::{
    history::{Operation, Outcome},
    workload::bank::{ACCOUNTS, Action, BALANCE, Books, Transfer},
};

/// Checks what clients saw, and what each node shows after all faults.
pub fn check(history: &[Operation<Action>], books: &[Books]) -> Vec<Violation> {
    let mut violations: Vec<Violation> = history.iter().filter_map(snapshot).collect();
    for (node, books) in books.iter().enumerate() {
        violations.extend(balances(node, books, history));
        violations.extend(history.iter().filter_map(|operation| transfer(node, books, operation)));
        if books.transfers != wanted(&books.transfers, history) {
            violations.push(Violation::new("phantom transfer", format!("node {node} shows transfers nobody made")));
        }
    }
    if books.windows(2).any(|pair| pair[0].balances != pair[1].balances || pair[0].transfers != pair[1].transfers) {
        violations.push(Violation::new("nodes differ", "two nodes show different books although nobody writes"));
    }
    violations
}

fn snapshot(operation: &Operation<Action>) -> Option<Violation> {
    let Action::Sums(sums) = &operation.action else { return None };
    let wanted = (i64::from(ACCOUNTS), i64::from(ACCOUNTS) * BALANCE);
    let wrong = operation.outcome == Outcome::Ok && sums.iter().any(|sum| *sum != wanted);
    wrong.then(|| {
        let (client, start, end) = (operation.client, operation.start, operation.end);
        let detail = format!("client {client} saw (accounts, sum) {sums:?}, not {wanted:?}, at {start}..{end} µs");
        Violation::new("torn snapshot", detail)
    })
}

fn transfer(node: usize, books: &Books, operation: &Operation<Action>) -> Option<Violation> {
    let Action::Transfer(transfer) = operation.action else { return None };
    let kind = match (operation.outcome, books.transfers.contains_key(&transfer.id)) {
        (Outcome::Ok, false) => "lost write",
        (Outcome::Failed, true) => "failed write is there",
        _ => return None,
    };
    Some(Violation::new(
        kind,
        format!("node {node}, client {}, {transfer:?} at {} µs", operation.client, operation.end),
    ))
}

/// Those of the recorded transfers that a client asked for, as it asked for them.
fn wanted(recorded: &BTreeMap<i64, Transfer>, history: &[Operation<Action>]) -> BTreeMap<i64, Transfer> {
    let transfer = |operation: &Operation<Action>| match operation.action {
        Action::Transfer(transfer) if recorded.contains_key(&transfer.id) => Some((transfer.id, transfer)),
        _ => None,
    };
    history.iter().filter_map(transfer).collect()
}

/// Each balance is what the recorded transfers make of it: every transfer has all of its effects or none.
fn balances(node: usize, books: &Books, history: &[Operation<Action>]) -> Vec<Violation> {
    let mut computed: BTreeMap<i32, i64> = (1..=ACCOUNTS).map(|account| (account, BALANCE)).collect();
    for transfer in books.transfers.values() {
        *computed.entry(transfer.source).or_default() -= transfer.amount;
        *computed.entry(transfer.target).or_default() += transfer.amount;
    }
    let wrong = |(account, wanted): (&i32, &i64)| {
        let found = books.balances.get(account).copied();
        let detail = || {
            let suspects = suspects(*account, found.unwrap_or(0) - wanted, books, history);
            format!("node {node}, account {account} holds {found:?}, its transfers make {wanted}; perhaps {suspects}")
        };
        (found != Some(*wanted)).then(|| Violation::new("torn transfer", detail()))
    };
    computed.iter().filter_map(wrong).collect()
}

/// Transfers of an account whose effect there, or its absence, would explain a difference.
fn suspects(account: i32, difference: i64, books: &Books, history: &[Operation<Action>]) -> String {
    let suspect = |operation: &Operation<Action>| {
        let Action::Transfer(transfer) = operation.action else { return None };
        let effect = if transfer.target == account { transfer.amount } else { -transfer.amount };
        let recorded = books.transfers.contains_key(&transfer.id);
        let concerned = transfer.source == account || transfer.target == account;
        let explains = concerned && effect == if recorded { -difference } else { difference };
        let told = operation.outcome != Outcome::Ok || recorded;
        let Operation { client, start, end, outcome, .. } = *operation;
        let text = || format!("[{transfer:?} recorded {recorded} {outcome:?} client {client} {start}..{end} µs]");
        (explains && told).then(text)
    };
    history.iter().filter_map(suspect).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: Transfer = Transfer { id: 7, source: 1, target: 2, amount: 5 };

    fn books(transfers: &[Transfer], balances: &[(i32, i64)]) -> Books {
        let mut all: BTreeMap<i32, i64> = (1..=ACCOUNTS).map(|account| (account, BALANCE)).collect();
        all.extend(balances.iter().copied());
        Books { balances: all, transfers: transfers.iter().map(|transfer| (transfer.id, *transfer)).collect() }
    }

    fn did(outcome: Outcome, action: Action) -> Operation<Action> {
        Operation { client: 0, start: 0, end: 1, outcome, action }
    }

    fn kinds(history: &[Operation<Action>], books: &[Books]) -> Vec<&'static str> {
        check(history, books).iter().map(|violation| violation.kind).collect()
    }

    #[test]
    fn a_transfer_with_all_its_effects_is_right_whatever_the_client_knows() {
        let after = books(&[MADE], &[(1, 995), (2, 1005)]);
        for outcome in [Outcome::Ok, Outcome::Unknown] {
            assert!(kinds(&[did(outcome, Action::Transfer(MADE))], &[after.clone(), after.clone()]).is_empty());
        }
        assert!(kinds(&[did(Outcome::Unknown, Action::Transfer(MADE))], &[books(&[], &[])]).is_empty());
    }

    #[test]
    fn what_was_acknowledged_is_missed() {
        assert_eq!(kinds(&[did(Outcome::Ok, Action::Transfer(MADE))], &[books(&[], &[])]), ["lost write"]);
    }

    #[test]
    fn half_a_transfer_is_found() {
        let half = books(&[MADE], &[(1, 995)]);
        assert_eq!(kinds(&[did(Outcome::Ok, Action::Transfer(MADE))], &[half]), ["torn transfer"]);
    }

    #[test]
    fn a_failed_transfer_has_no_effect() {
        let after = books(&[MADE], &[(1, 995), (2, 1005)]);
        let history = [did(Outcome::Failed, Action::Transfer(MADE))];
        assert_eq!(kinds(&history, std::slice::from_ref(&after)), ["failed write is there"]);
        assert_eq!(kinds(&[], &[after]), ["phantom transfer"]);
    }

    #[test]
    fn a_sum_in_the_middle_of_a_transfer_is_found() {
        let right = (i64::from(ACCOUNTS), i64::from(ACCOUNTS) * BALANCE);
        let torn = did(Outcome::Ok, Action::Sums(vec![right, (right.0, right.1 - 5)]));
        assert_eq!(kinds(&[torn], &[]), ["torn snapshot"]);
        assert!(kinds(&[did(Outcome::Ok, Action::Sums(vec![right]))], &[]).is_empty());
    }

    #[test]
    fn nodes_show_the_same() {
        let after = books(&[MADE], &[(1, 995), (2, 1005)]);
        let history = [did(Outcome::Unknown, Action::Transfer(MADE))];
        assert_eq!(kinds(&history, &[after, books(&[], &[])]), ["nodes differ"]);
    }
}
