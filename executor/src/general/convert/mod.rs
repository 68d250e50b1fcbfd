//! From the bound query to the tree of the general path: WITH and subqueries become nodes, parameters constants.
//!
//! # Row keys
//! A caller may ask for the row keys of some tables of the query (row locks, UPDATE, DELETE). They travel as hidden
//! columns behind the visible ones through joins, filters, projections, sorts and limits, and come out last.

mod expression;
mod join;
mod relation;
mod sharing;

use planner::plan::{self, Query};
use proto::{SqlError, SqlResult};
use schema::{Datum, Oid, SqlType};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::ir::{Column, Node, Rel};

/// Converts one statement.
pub(super) struct Converter<'a> {
    params: &'a [Datum],
    /// `TableScan::reference` of the tables whose row keys are wanted.
    keys: &'a [usize],
    next_shared: usize,
    /// WITH queries of the queries around the present place, innermost last.
    levels: Vec<Vec<CteEntry>>,
}

struct CteEntry {
    id: usize,
    columns: Vec<Column>,
}

/// A relation with hidden row keys.
struct Rows {
    rel: Rel,
    /// `TableScan::reference` of each hidden column at the end.
    keys: Vec<usize>,
}

impl Rows {
    fn plain(rel: Rel) -> Self {
        Self { rel, keys: Vec::new() }
    }

    /// Number of visible columns.
    fn visible(&self) -> usize {
        self.rel.arity() - self.keys.len()
    }

    /// Without hidden columns.
    fn visible_only(self) -> Rel {
        let visible: Vec<usize> = (0..self.visible()).collect();
        self.rel.select(&visible)
    }
}

/// A converted query and the row keys it ends with.
pub(super) struct Converted {
    pub(super) rel: Rel,
    /// References of the key columns at the end, in order.
    pub(super) keys: Vec<usize>,
}

/// Converts a query.
pub(super) fn convert(query: &Query, params: &[Datum], keys: &[usize]) -> SqlResult<Converted> {
    let mut converter = Converter { params, keys, next_shared: 0, levels: Vec::new() };
    let Rows { rel, keys } = converter.query(query)?;
    Ok(Converted { rel: sharing::simplify(rel), keys })
}

impl Converter<'_> {
    fn query(&mut self, query: &Query) -> SqlResult<Rows> {
        self.levels.push(Vec::new());
        let converted = self.query_inside(query);
        self.levels.pop();
        converted
    }

    fn query_inside(&mut self, query: &Query) -> SqlResult<Rows> {
        let mut shared = Vec::with_capacity(query.ctes.len());
        for cte in &query.ctes {
            shared.push(self.cte(cte)?);
        }
        let Rows { rel: body, keys } = self.relation(&query.body)?;
        if shared.is_empty() {
            return Ok(Rows { rel: body, keys });
        }
        let columns = body.columns.clone();
        Ok(Rows { rel: Rel::new(Node::With { shared, body: Box::new(body) }, columns), keys })
    }

    fn cte(&mut self, cte: &plan::Cte) -> SqlResult<(usize, Rel)> {
        let id = self.next_shared();
        let columns = columns_of(&cte.fields);
        let first = self.query(&cte.query)?.visible_only();
        let rel = match &cte.recursive {
            None => first,
            Some(step) => {
                // The recursive term sees the rows of the last round under a number of their own.
                let round = self.next_shared();
                self.add_cte(CteEntry { id: round, columns: columns.clone() })?;
                let step = self.query(step).map(Rows::visible_only);
                self.levels.last_mut().map(Vec::pop);
                let node = Node::Recursive {
                    id: round,
                    first: Box::new(first),
                    step: Box::new(step?),
                    distinct: cte.recursive_distinct,
                };
                Rel::new(node, columns.clone())
            }
        };
        self.add_cte(CteEntry { id: sharing::tag(id, cte.materialized), columns: columns.clone() })?;
        Ok((sharing::tag(id, cte.materialized), Rel { columns, ..rel }))
    }

    fn add_cte(&mut self, entry: CteEntry) -> SqlResult<()> {
        let level = self.levels.last_mut().ok_or_else(|| SqlError::internal("a WITH query outside of a query"))?;
        level.push(entry);
        Ok(())
    }

    fn next_shared(&mut self) -> usize {
        self.next_shared += 1;
        self.next_shared
    }

    /// The WITH query that a reference means.
    fn cte_entry(&self, depth: usize, index: usize) -> SqlResult<&CteEntry> {
        let level = self.levels.iter().rev().nth(depth);
        let entry = level.and_then(|level| level.get(index));
        entry.ok_or_else(|| SqlError::internal("a reference to an unknown WITH query"))
    }
}

fn columns_of(fields: &[plan::Field]) -> Vec<Column> {
    fields.iter().map(|field| Column::new(field.name.as_str(), field.sql_type)).collect()
}

/// The hidden column of a row key.
fn key_column() -> Column {
    Column::new(fragment::KEY_COLUMN, SqlType::new(Oid::BYTEA))
}

use sharddb_fragment as fragment;
