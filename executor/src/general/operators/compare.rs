//! `inputs op ANY / ALL (rows)` over rows that are there.

use ahash::AHashSet;
use proto::SqlResult;
use schema::{
    Datum, Oid, SqlType,
    functions::{EvalContext, Function},
    key::canonical_key,
};
use sharddb_proto as proto;
use sharddb_schema as schema;

/// Rows of a subquery, ready to be compared with many inputs.
pub(in crate::general) struct Comparison {
    operators: Vec<&'static Function>,
    all: bool,
    /// Compared one by one: every row, or with `keys` only those that hold a NULL.
    rows: Vec<Vec<Datum>>,
    /// Keys of rows without NULL, where equality of keys decides.
    keys: Option<AHashSet<Box<[u8]>>>,
    types: Vec<Oid>,
    empty: bool,
}

impl Comparison {
    /// `types` are those of the rows' columns.
    pub(in crate::general) fn new(
        operators: Vec<&'static Function>,
        all: bool,
        types: Vec<Oid>,
        rows: Vec<Vec<Datum>>,
    ) -> SqlResult<Self> {
        let empty = rows.is_empty();
        let wanted = if all { "<>" } else { "=" };
        // Rows of several columns are kept as they are: a NULL among the inputs leaves the other columns to decide.
        let by_key = types.len() == 1
            && operators
                .iter()
                .zip(&types)
                .all(|(operator, oid)| operator.operator == Some(wanted) && operator.args == [*oid, *oid]);
        let mut comparison = Self { operators, all, rows, keys: None, types, empty };
        if by_key {
            comparison.make_keys()?;
        }
        Ok(comparison)
    }

    /// Estimated bytes held.
    pub(in crate::general) fn bytes(&self) -> usize {
        let keys = self.keys.as_ref().map_or(0, |keys| keys.iter().map(|key| key.len() + 48).sum::<usize>());
        keys + self.rows.len() * self.types.len() * 48
    }

    fn make_keys(&mut self) -> SqlResult<()> {
        let mut keys = AHashSet::new();
        let mut with_null = Vec::new();
        for row in std::mem::take(&mut self.rows) {
            if row.iter().any(Datum::is_null) {
                with_null.push(row);
            } else {
                keys.insert(self.key(&row)?.into_boxed_slice());
            }
        }
        (self.rows, self.keys) = (with_null, Some(keys));
        Ok(())
    }

    fn key(&self, row: &[Datum]) -> SqlResult<Vec<u8>> {
        let mut key = Vec::with_capacity(16);
        for (oid, value) in self.types.iter().zip(row) {
            let start = key.len();
            canonical_key(SqlType::new(*oid), value, &mut key)?;
            // Keys of columns may be prefixes of each other; the length tells them apart.
            key.extend_from_slice(&((key.len() - start) as u32).to_be_bytes());
        }
        Ok(key)
    }

    /// The condition's value for these inputs.
    pub(in crate::general) fn answer(&self, context: &EvalContext, inputs: &[Datum]) -> SqlResult<Datum> {
        if self.empty {
            return Ok(Datum::Bool(self.all));
        }
        let Some(keys) = &self.keys else { return self.scan(context, inputs, &mut self.rows.iter()) };
        if inputs.iter().any(Datum::is_null) {
            return Ok(Datum::Null);
        }
        if keys.contains(self.key(inputs)?.as_slice()) {
            return Ok(Datum::Bool(!self.all));
        }
        self.scan(context, inputs, &mut self.rows.iter())
    }

    fn scan(
        &self,
        context: &EvalContext,
        inputs: &[Datum],
        rows: &mut dyn Iterator<Item = &Vec<Datum>>,
    ) -> SqlResult<Datum> {
        let mut unknown = false;
        for row in rows {
            match self.holds(context, inputs, row)? {
                Some(holds) if holds != self.all => return Ok(Datum::Bool(!self.all)),
                Some(_) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(self.all) })
    }

    /// Whether the operator holds for one row: all columns must, or with `<>` any column.
    fn holds(&self, context: &EvalContext, inputs: &[Datum], row: &[Datum]) -> SqlResult<Option<bool>> {
        let any = self.operators.len() > 1 && self.operators[0].operator == Some("<>");
        let mut unknown = false;
        for ((operator, input), value) in self.operators.iter().zip(inputs).zip(row) {
            if operator.strict && (input.is_null() || value.is_null()) {
                unknown = true;
                continue;
            }
            match (operator.eval)(context, &[input.clone(), value.clone()])? {
                Datum::Bool(holds) if holds == any => return Ok(Some(any)),
                Datum::Bool(_) => {}
                _ => unknown = true,
            }
        }
        Ok(if unknown { None } else { Some(!any) })
    }
}
