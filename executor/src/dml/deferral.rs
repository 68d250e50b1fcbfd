//! Checks of deferrable foreign keys, which wait for the end of the transaction.
//!
//! A check keeps the row that it is about; when its time comes it looks at what has become of it. Keys are looked up
//! again then, since DDL of the same transaction may have changed their tables.

use proto::SqlResult;
use schema::Datum;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Dml, references::Deferred};
use crate::rows::ForeignKey;

/// What a transaction still has to check.
#[derive(Debug, Default)]
pub(crate) struct Deferral {
    checks: Vec<Deferred>,
    /// SET CONSTRAINTS ALL: deferred (true), immediate, or as each constraint says.
    mode: Option<bool>,
}

/// A place to roll back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeferralMark {
    checks: usize,
    mode: Option<bool>,
}

impl Deferral {
    pub(crate) fn set_mode(&mut self, deferred: bool) {
        self.mode = Some(deferred);
    }

    pub(crate) fn mark(&self) -> DeferralMark {
        DeferralMark { checks: self.checks.len(), mode: self.mode }
    }

    /// Forgets the checks of statements that were undone.
    pub(crate) fn rollback_to(&mut self, mark: DeferralMark) {
        self.checks.truncate(mark.checks);
        self.mode = mark.mode;
    }

    /// The checks that wait, each of which is then made.
    pub(crate) fn take(&mut self) -> Waiting {
        Waiting(std::mem::take(&mut self.checks))
    }
}

/// Checks whose time has come.
pub(crate) struct Waiting(Vec<Deferred>);

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Dml<'_> {
    /// Puts a check off to the end of the transaction if its key allows, else to the end of the statement.
    pub(super) fn defer(&mut self, check: Deferred) {
        let (Deferred::Parent(foreign, _) | Deferred::NoChildren(foreign, _)) = &check;
        if self.waits(foreign) { self.deferral.checks.push(check) } else { self.deferred.push(check) }
    }

    /// Whether checks of this key wait for the end of the transaction.
    pub(super) fn waits(&self, foreign: &ForeignKey) -> bool {
        foreign.waits(self.deferral.mode)
    }

    /// Makes checks that have waited.
    pub(crate) async fn check_waiting(&mut self, waiting: Waiting) -> SqlResult<()> {
        for check in waiting.0 {
            self.cancel.check()?;
            match check {
                Deferred::Parent(foreign, row) => {
                    let Some(now) = self.present(&foreign)? else { continue };
                    let row = moved(&row, (&foreign.columns, &now.columns), now.child.columns.len());
                    self.check_parent_of_present(&now, &row).await?;
                }
                Deferred::NoChildren(foreign, old) => {
                    let Some(now) = self.present(&foreign)? else { continue };
                    let old = moved(&old, (&foreign.referenced, &now.referenced), now.parent.columns.len());
                    self.check_no_children(&now, &old).await?;
                }
            }
        }
        Ok(())
    }

    /// The key as the catalog has it now; `None` when it was dropped.
    fn present(&self, foreign: &ForeignKey) -> SqlResult<Option<ForeignKey>> {
        let Some(child) = self.catalog.table(foreign.child.oid) else { return Ok(None) };
        let constraint = child.constraints.iter().find(|constraint| constraint.name == foreign.name);
        match constraint {
            Some(constraint) => ForeignKey::of(child, constraint, self.catalog),
            None => Ok(None),
        }
    }
}

/// A row of which only the key's columns count, at their present positions.
fn moved(row: &[Datum], (from, to): (&[usize], &[usize]), width: usize) -> Vec<Datum> {
    let mut moved = vec![Datum::Null; width];
    for (from, to) in from.iter().zip(to) {
        moved[*to] = row[*from].clone();
    }
    moved
}
