//! Foreign keys: from a child's row to the parent's key, and the other way round.

use std::sync::Arc;

use bytes::Bytes;
use proto::{SqlError, SqlResult, SqlState};
use schema::{
    Catalog, ColumnId, ConstraintDescriptor, ConstraintKind, Datum, Deferrable, FormatSettings, IndexId,
    ReferentialAction, SqlType, TableDescriptor,
    cast::cast,
    functions::{CastContext, EvalContext},
    key,
};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::messages::describe_key;

/// A foreign key with both of its tables.
#[derive(Clone, Debug)]
pub(crate) struct ForeignKey {
    pub(crate) name: String,
    pub(crate) child: Arc<TableDescriptor>,
    pub(crate) parent: Arc<TableDescriptor>,
    /// Positions in the child's columns.
    pub(crate) columns: Vec<usize>,
    /// Positions in the parent's columns, in the same order.
    pub(crate) referenced: Vec<usize>,
    pub(crate) on_delete: ReferentialAction,
    pub(crate) on_update: ReferentialAction,
    deferrable: Deferrable,
    /// The parent's unique index over the referenced columns.
    index: IndexId,
}

impl ForeignKey {
    /// A constraint of `child` if it is a foreign key.
    pub(crate) fn of(
        child: &TableDescriptor,
        constraint: &ConstraintDescriptor,
        catalog: &Catalog,
    ) -> SqlResult<Option<Self>> {
        let ConstraintKind::ForeignKey { columns, table, referenced, on_delete, on_update, deferrable } =
            &constraint.kind
        else {
            return Ok(None);
        };
        let missing = || SqlError::internal(format!("foreign key {} refers to nothing", constraint.name));
        let child = Arc::new(child.clone());
        let parent =
            if *table == child.oid { child.clone() } else { catalog.table(*table).ok_or_else(missing)?.clone() };
        let positions = |table: &TableDescriptor, ids: &[ColumnId]| -> SqlResult<Vec<usize>> {
            ids.iter().map(|id| table.position(*id).ok_or_else(missing)).collect()
        };
        let index = unique_index(&parent, referenced).ok_or_else(missing)?;
        Ok(Some(Self {
            name: constraint.name.clone(),
            columns: positions(&child, columns)?,
            referenced: positions(&parent, referenced)?,
            on_delete: *on_delete,
            on_update: *on_update,
            deferrable: *deferrable,
            index,
            child,
            parent,
        }))
    }

    /// Whether checks wait for the end of the transaction; `mode` is what SET CONSTRAINTS ALL asked for.
    pub(crate) fn waits(&self, mode: Option<bool>) -> bool {
        match self.deferrable {
            Deferrable::No => false,
            Deferrable::Immediate => mode == Some(true),
            Deferrable::Deferred => mode != Some(false),
        }
    }

    /// Foreign keys of a table.
    pub(crate) fn outgoing(table: &TableDescriptor, catalog: &Catalog) -> SqlResult<Vec<Self>> {
        let keys = table.constraints.iter().map(|constraint| Self::of(table, constraint, catalog));
        keys.filter_map(Result::transpose).collect()
    }

    /// Foreign keys that refer to a table.
    pub(crate) fn incoming(table: &TableDescriptor, catalog: &Catalog) -> SqlResult<Vec<Self>> {
        let mut keys = Vec::new();
        for child in &table.referenced_by {
            let child = if *child == table.oid { Some(table) } else { catalog.table(*child).map(|child| &**child) };
            let Some(child) = child else { continue };
            for constraint in &child.constraints {
                if let Some(key) = Self::of(child, constraint, catalog)?.filter(|key| key.parent.oid == table.oid) {
                    keys.push(key);
                }
            }
        }
        Ok(keys)
    }

    /// Whether the parent's primary key is referenced, so that the entry is the row itself.
    pub(crate) fn is_primary(&self) -> bool {
        self.index == key::PRIMARY_INDEX
    }

    /// Key of the parent's index entry for a child's row; `None` when a column is NULL and nothing is referenced.
    pub(crate) fn parent_entry(&self, child_row: &[Datum], eval: &EvalContext) -> SqlResult<Option<Bytes>> {
        let mut row = vec![Datum::Null; self.parent.columns.len()];
        for (from, to) in self.columns.iter().zip(&self.referenced) {
            let value = &child_row[*from];
            if value.is_null() {
                return Ok(None);
            }
            let (from, target) = (self.child.columns[*from].sql_type, self.parent.columns[*to].sql_type);
            row[*to] = match converted(value, from, target, eval) {
                Some(value) => value,
                // A value outside of the parent's type has no parent.
                None => return Err(self.missing_parent_of(child_row, &eval.format)),
            };
        }
        let entry = match self.parent.index(self.index) {
            Some(_) if self.is_primary() => key::primary_key(&self.parent, &row, None)?,
            Some(index) => key::index_key(&self.parent, index, &row, &[])?,
            None => return Err(SqlError::internal("the referenced index is missing")),
        };
        Ok(Some(entry.into()))
    }

    /// Values of the child's columns that refer to a parent's row; `None` when it cannot be referred to.
    pub(crate) fn child_values(&self, parent_row: &[Datum], eval: &EvalContext) -> Option<Vec<Datum>> {
        let pairs = self.columns.iter().zip(&self.referenced);
        pairs
            .map(|(to, from)| {
                let value = &parent_row[*from];
                if value.is_null() {
                    return None;
                }
                let (from, target) = (self.parent.columns[*from].sql_type, self.child.columns[*to].sql_type);
                converted(value, from, target, eval)
            })
            .collect()
    }

    /// 23503 for a child's row without a parent.
    pub(crate) fn missing_parent(&self, row: &[Datum], catalog: &Catalog, format: &FormatSettings) -> SqlError {
        let schema = catalog.schema_name(self.child.schema).unwrap_or_default();
        self.missing_parent_of(row, format).with_table(schema, &self.child.name)
    }

    fn missing_parent_of(&self, row: &[Datum], format: &FormatSettings) -> SqlError {
        let columns = self.columns.iter().map(|at| self.child.columns[*at].id);
        let key = describe_key(&self.child, columns, row, format);
        let message = format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
            self.child.name, self.name
        );
        SqlError::new(SqlState::ForeignKeyViolation, message)
            .with_detail(format!("Key {key} is not present in table \"{}\".", self.parent.name))
            .with_constraint(&self.name)
    }

    /// 23503 for a parent's row that is still referred to.
    pub(crate) fn still_referenced(
        &self,
        parent_row: &[Datum],
        catalog: &Catalog,
        format: &FormatSettings,
    ) -> SqlError {
        let columns = self.referenced.iter().map(|at| self.parent.columns[*at].id);
        let key = describe_key(&self.parent, columns, parent_row, format);
        let message = format!(
            "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
            self.parent.name, self.name, self.child.name
        );
        let schema = catalog.schema_name(self.child.schema).unwrap_or_default();
        SqlError::new(SqlState::ForeignKeyViolation, message)
            .with_detail(format!("Key {key} is still referenced from table \"{}\".", self.child.name))
            .with_table(schema, &self.child.name)
            .with_constraint(&self.name)
    }
}

fn converted(value: &Datum, from: SqlType, to: SqlType, eval: &EvalContext) -> Option<Datum> {
    if from.oid == to.oid {
        return Some(value.clone());
    }
    cast(value, from, SqlType::new(to.oid), CastContext::Assignment, eval).ok()
}

/// The unique index over exactly these columns.
fn unique_index(table: &TableDescriptor, columns: &[ColumnId]) -> Option<IndexId> {
    let mut wanted = columns.to_vec();
    wanted.sort_unstable();
    let covers = |index: &&schema::IndexDescriptor| {
        let mut own: Vec<ColumnId> = index.columns.iter().map(|column| column.column).collect();
        own.sort_unstable();
        index.unique && index.predicate.is_none() && own == wanted
    };
    table.indexes.iter().find(covers).map(|index| index.id)
}
