//! Foreign keys: parents of new rows, and what becomes of children when a parent goes or changes.

use std::{future::Future, ops::Bound, pin::Pin, sync::Arc};

use bytes::Bytes;
use proto::{SqlResult, kv::LockMode};
use schema::{Datum, ReferentialAction, compare, key};
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Dml, TablePlan, target::TargetRow};
use crate::rows::ForeignKey;

/// A check that waits for the end of the statement.
#[derive(Debug)]
pub(super) enum Deferred {
    /// A child's row needs its parent; for keys from a table to itself.
    Parent(ForeignKey, Vec<Datum>),
    /// A parent's row that is gone may have no children left (NO ACTION).
    NoChildren(ForeignKey, Vec<Datum>),
}

impl Dml<'_> {
    /// Checks that new rows have their parents, and keeps these from going. With `olds`, rows whose referencing columns
    /// did not change are left alone.
    pub(super) async fn check_parents(
        &mut self,
        plan: &TablePlan,
        rows: &[&[Datum]],
        olds: Option<&[&[Datum]]>,
    ) -> SqlResult<()> {
        for foreign in &plan.outgoing {
            for (at, row) in rows.iter().enumerate() {
                let same = |old: &&[Datum]| foreign.columns.iter().all(|column| same(&old[*column], &row[*column]));
                if olds.and_then(|olds| olds.get(at)).is_some_and(same) {
                    continue;
                }
                if foreign.parent.oid == foreign.child.oid || self.waits(foreign) {
                    self.defer(Deferred::Parent(foreign.clone(), row.to_vec()));
                } else {
                    self.check_parent(foreign, row).await?;
                }
            }
        }
        Ok(())
    }

    async fn check_parent(&mut self, foreign: &ForeignKey, row: &[Datum]) -> SqlResult<()> {
        let Some(entry) = foreign.parent_entry(row, self.eval)? else { return Ok(()) };
        if self.lock_parent(foreign, entry, row).await? {
            return Ok(());
        }
        Err(foreign.missing_parent(row, self.catalog, &self.eval.format))
    }

    /// Checks at the end of the transaction: the child's row may be gone or refer to something else by now.
    pub(super) async fn check_parent_of_present(&mut self, foreign: &ForeignKey, row: &[Datum]) -> SqlResult<()> {
        let Err(missing) = self.check_parent(foreign, row).await else { return Ok(()) };
        let values: Vec<Datum> = foreign.columns.iter().map(|column| row[*column].clone()).collect();
        if self.children(foreign, &values).await?.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// Locks the parent's row FOR KEY SHARE; answers whether it is there.
    async fn lock_parent(&mut self, foreign: &ForeignKey, entry: Bytes, row: &[Datum]) -> SqlResult<bool> {
        let mut env = self.write_env();
        let locked = env.lock(std::slice::from_ref(&entry), LockMode::KeyShare).await?.swap_remove(0);
        let Some(value) = locked.value else {
            self.txn.unlock(&entry).await?;
            return Ok(false);
        };
        if foreign.is_primary() {
            return Ok(true);
        }
        let locked = env.lock(std::slice::from_ref(&value), LockMode::KeyShare).await?.swap_remove(0);
        let Some(value) = locked.value else { return Ok(false) };
        let parent = schema::row::decode_row(&foreign.parent, &value)?;
        let Some(values) = foreign.child_values(&parent, self.eval) else { return Ok(false) };
        Ok(foreign.columns.iter().zip(&values).all(|(column, value)| compare::equal(&row[*column], value)))
    }

    /// A row of the table was deleted.
    pub(super) async fn follow_delete(&mut self, plan: &TablePlan, old: &[Datum]) -> SqlResult<()> {
        for foreign in &plan.incoming {
            let Some(values) = foreign.child_values(old, self.eval) else { continue };
            match foreign.on_delete {
                ReferentialAction::NoAction => self.defer(Deferred::NoChildren(foreign.clone(), old.to_vec())),
                ReferentialAction::Restrict => self.check_no_children(foreign, old).await?,
                ReferentialAction::Cascade => {
                    let children = self.locked_children(foreign, &values, LockMode::Update).await?;
                    let child = self.table_plan(&foreign.child)?;
                    self.boxed_delete(child, children).await?;
                }
                ReferentialAction::SetNull | ReferentialAction::SetDefault => {
                    let null = foreign.on_delete == ReferentialAction::SetNull;
                    self.set_children(foreign, &values, &|dml, child, column| match null {
                        true => Ok(Datum::Null),
                        false => dml.default_of(child, column),
                    })
                    .await?;
                }
            }
        }
        Ok(())
    }

    /// A row of the table was changed.
    pub(super) async fn follow_update(&mut self, plan: &TablePlan, old: &[Datum], new: &[Datum]) -> SqlResult<()> {
        for foreign in &plan.incoming {
            if foreign.referenced.iter().all(|column| same(&old[*column], &new[*column])) {
                continue;
            }
            let Some(values) = foreign.child_values(old, self.eval) else { continue };
            match foreign.on_update {
                ReferentialAction::NoAction => self.defer(Deferred::NoChildren(foreign.clone(), old.to_vec())),
                ReferentialAction::Restrict => self.check_no_children(foreign, old).await?,
                ReferentialAction::Cascade => {
                    let replaced = foreign.child_values(new, self.eval);
                    let columns = foreign.columns.clone();
                    self.set_children(foreign, &values, &move |_, _, column| {
                        let place = columns.iter().position(|known| *known == column);
                        let value = replaced.as_ref().zip(place).and_then(|(values, place)| values.get(place));
                        Ok(value.cloned().unwrap_or(Datum::Null))
                    })
                    .await?;
                }
                ReferentialAction::SetNull | ReferentialAction::SetDefault => {
                    let null = foreign.on_update == ReferentialAction::SetNull;
                    self.set_children(foreign, &values, &|dml, child, column| match null {
                        true => Ok(Datum::Null),
                        false => dml.default_of(child, column),
                    })
                    .await?;
                }
            }
        }
        Ok(())
    }

    /// Runs the checks put off to the end of the statement.
    pub(super) async fn run_deferred(&mut self) -> SqlResult<()> {
        while let Some(check) = self.deferred.pop() {
            match check {
                Deferred::Parent(foreign, row) => self.check_parent(&foreign, &row).await?,
                Deferred::NoChildren(foreign, old) => self.check_no_children(&foreign, &old).await?,
            }
        }
        Ok(())
    }

    /// 23503 if a row still refers to a parent that is gone, unless another row has taken its place.
    pub(super) async fn check_no_children(&mut self, foreign: &ForeignKey, old: &[Datum]) -> SqlResult<()> {
        let Some(values) = foreign.child_values(old, self.eval) else { return Ok(()) };
        let mut children = self.children(foreign, &values).await?;
        let Some((_, child)) = children.pop() else { return Ok(()) };
        if let Some(entry) = foreign.parent_entry(&child, self.eval)?
            && self.lock_parent(foreign, entry, &child).await?
        {
            return Ok(());
        }
        Err(foreign.still_referenced(old, self.catalog, &self.eval.format))
    }

    /// Gives children's referencing columns other values. What they then refer to is looked for when the statement
    /// ends, even if it is what they referred to before.
    async fn set_children(
        &mut self,
        foreign: &ForeignKey,
        values: &[Datum],
        value: &(dyn Fn(&Self, &TablePlan, usize) -> SqlResult<Datum> + Sync),
    ) -> SqlResult<()> {
        let children = self.locked_children(foreign, values, LockMode::Update).await?;
        let child = self.table_plan(&foreign.child)?;
        let mut changes = Vec::with_capacity(children.len());
        for (key, old) in children {
            let mut new = old.clone();
            for column in &foreign.columns {
                new[*column] = value(self, &child, *column)?;
            }
            child.generate(&mut new, &self.context())?;
            if foreign.columns.iter().all(|column| same(&old[*column], &new[*column])) {
                self.defer(Deferred::Parent(foreign.clone(), new.clone()));
            }
            changes.push((key, old, new));
        }
        self.boxed_update(child, changes).await
    }

    /// Cascades lead from table to table, so these futures hold themselves.
    fn boxed_delete<'f>(
        &'f mut self,
        plan: Arc<TablePlan>,
        rows: Vec<TargetRow>,
    ) -> Pin<Box<dyn Future<Output = SqlResult<()>> + Send + 'f>> {
        Box::pin(async move { self.delete_rows(&plan, rows).await })
    }

    fn boxed_update<'f>(
        &'f mut self,
        plan: Arc<TablePlan>,
        rows: Vec<(Bytes, Vec<Datum>, Vec<Datum>)>,
    ) -> Pin<Box<dyn Future<Output = SqlResult<()>> + Send + 'f>> {
        Box::pin(async move { self.update_rows(&plan, rows).await })
    }

    /// Children with these values, locked, in their newest version.
    async fn locked_children(
        &mut self,
        foreign: &ForeignKey,
        values: &[Datum],
        mode: LockMode,
    ) -> SqlResult<Vec<TargetRow>> {
        let found = self.children(foreign, values).await?;
        let keys: Vec<Bytes> = found.into_iter().map(|(key, _)| key).collect();
        let locked = self.write_env().lock(&keys, mode).await?;
        let mut rows = Vec::with_capacity(keys.len());
        for (key, locked) in keys.into_iter().zip(locked) {
            let Some(value) = locked.value else { continue };
            let row = schema::row::decode_row(&foreign.child, &value)?;
            if refers(foreign, &row, values) {
                rows.push((key, row));
            }
        }
        Ok(rows)
    }

    /// Children with these values as of now, whatever this transaction's snapshot.
    async fn children(&mut self, foreign: &ForeignKey, values: &[Datum]) -> SqlResult<Vec<TargetRow>> {
        let child = &foreign.child;
        let (index, spans) = child_spans(foreign, values)?;
        let mut rows = Vec::new();
        for (start, end) in spans {
            let mut scanner = self.txn.scan_newest(start.into(), end.into(), kv::ScanOptions::default()).await?;
            while let Some(batch) = self.txn.next_batch(&mut scanner).await? {
                self.cancel.check()?;
                let stored = match index == key::PRIMARY_INDEX {
                    true => batch,
                    false => {
                        let keys: Vec<Bytes> = batch.into_iter().map(|(_, key)| key).collect();
                        let values = self.txn.get_newest(&keys).await?;
                        keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?))).collect()
                    }
                };
                for (key, value) in stored {
                    let row = schema::row::decode_row(child, &value)?;
                    if refers(foreign, &row, values) {
                        rows.push((key, row));
                    }
                }
            }
        }
        Ok(rows)
    }
}

fn same(a: &Datum, b: &Datum) -> bool {
    a.is_null() == b.is_null() && (a.is_null() || compare::equal(a, b))
}

fn refers(foreign: &ForeignKey, row: &[Datum], values: &[Datum]) -> bool {
    let pairs = foreign.columns.iter().zip(values);
    pairs.into_iter().all(|(column, value)| !row[*column].is_null() && compare::equal(&row[*column], value))
}

type Spans = Vec<(Vec<u8>, Vec<u8>)>;

/// Where children with these values are: in an index that begins with the referencing columns, or anywhere.
fn child_spans(foreign: &ForeignKey, values: &[Datum]) -> SqlResult<(schema::IndexId, Spans)> {
    let child = &foreign.child;
    for index in child.indexes.iter().filter(|index| index.predicate.is_none()) {
        let leading = index.columns.iter().map_while(|column| {
            let position = child.position(column.column)?;
            let place = foreign.columns.iter().position(|known| *known == position)?;
            Some(values[place].clone())
        });
        let equal: Vec<Datum> = leading.collect();
        if equal.is_empty() {
            continue;
        }
        let bounds = key::prefix_bounds(child, index, &equal, Bound::Unbounded, Bound::Unbounded)?;
        if bounds.exact {
            return Ok((index.id, bounds.spans));
        }
    }
    Ok((key::PRIMARY_INDEX, vec![key::index_span(child, key::PRIMARY_INDEX)]))
}
