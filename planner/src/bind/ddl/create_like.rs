//! CREATE TABLE (LIKE …): definitions made from another table.

use proto::{SqlError, SqlResult};
use schema::{ConstraintKind, Descriptor, IndexDescriptor, SequenceDescriptor, TableDescriptor};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::{ast, tokenizer::Span};

use super::super::Binder;
use crate::{
    parse::{Copied, LikeTable},
    plan::{
        ColumnDefinition, ConstraintDefinition, ConstraintDefinitionKind, CreateIndex, CreateTable, Ddl,
        SequenceOptions,
    },
};

impl Binder<'_> {
    /// CREATE TABLE with LIKE among its definitions.
    pub(in crate::bind) fn create_table_like(
        &mut self,
        create: &ast::CreateTable,
        likes: &[LikeTable],
    ) -> SqlResult<Ddl> {
        let Ddl::CreateTable(mut table) = self.create_table(create)? else {
            return Err(SqlError::unsupported("CREATE TABLE … LIKE … AS"));
        };
        let mut moved = 0;
        for like in likes {
            let name = self.name_of_parts(like.source.clone(), Span::empty())?;
            let source = self.table(&name)?;
            self.relations.push(source.oid);
            let columns = self.copied_columns(&source, like.copied)?;
            let at = like.at + moved;
            moved += columns.len();
            table.columns.splice(at..at, columns);
            copy_keys(&source, like.copied, &mut table)?;
        }
        for (at, column) in table.columns.iter().enumerate() {
            if table.columns[..at].iter().any(|known| known.name == column.name) {
                let message = format!("column \"{}\" specified more than once", column.name);
                return Err(SqlError::new(proto::SqlState::DuplicateColumn, message));
            }
        }
        Ok(Ddl::CreateTable(table))
    }

    fn copied_columns(&self, source: &TableDescriptor, copied: Copied) -> SqlResult<Vec<ColumnDefinition>> {
        let mut columns = Vec::with_capacity(source.columns.len());
        for column in &source.columns {
            if copied.comments && column.comment.is_some() {
                return Err(SqlError::unsupported("LIKE INCLUDING COMMENTS of a table with comments"));
            }
            let identity = match &column.identity {
                Some(identity) if copied.identity => {
                    let sequence = self.sequence_of((source.oid, column.id));
                    Some((identity.clone(), sequence.map_or_else(SequenceOptions::default, options_of)))
                }
                _ => None,
            };
            let default = column.default.clone().filter(|_| copied.defaults && column.identity.is_none());
            columns.push(ColumnDefinition {
                name: column.name.clone(),
                sql_type: column.sql_type,
                serial: false,
                not_null: column.not_null,
                default,
                identity,
                generated: column.generated.clone().filter(|_| copied.generated),
            });
        }
        Ok(columns)
    }

    /// The sequence that a column owns.
    fn sequence_of(&self, owner: (schema::Oid, schema::ColumnId)) -> Option<&SequenceDescriptor> {
        self.catalog().objects().find_map(|object| match object {
            Descriptor::Sequence(sequence) if sequence.owned_by == Some(owner) => Some(&**sequence),
            _ => None,
        })
    }
}

fn options_of(sequence: &SequenceDescriptor) -> SequenceOptions {
    SequenceOptions {
        sql_type: Some(sequence.sql_type),
        start: Some(sequence.start),
        increment: Some(sequence.increment),
        min: Some(Some(sequence.min)),
        max: Some(Some(sequence.max)),
        cache: Some(sequence.cache),
        cycle: Some(sequence.cycle),
        ..SequenceOptions::default()
    }
}

/// Copies CHECK constraints under their names, and keys and indexes under new ones.
fn copy_keys(source: &TableDescriptor, copied: Copied, table: &mut CreateTable) -> SqlResult<()> {
    for constraint in &source.constraints {
        let kind = match &constraint.kind {
            ConstraintKind::Check { expression, columns } if copied.constraints => ConstraintDefinitionKind::Check {
                expression: expression.clone(),
                columns: names(source, columns),
                column: None,
            },
            ConstraintKind::PrimaryKey { columns } if copied.indexes => {
                ConstraintDefinitionKind::PrimaryKey { columns: names(source, columns) }
            }
            ConstraintKind::Unique { columns, index } if copied.indexes => ConstraintDefinitionKind::Unique {
                columns: names(source, columns),
                nulls_not_distinct: source.index(*index).is_some_and(|index| index.nulls_not_distinct),
            },
            _ => continue,
        };
        let name = matches!(kind, ConstraintDefinitionKind::Check { .. }).then(|| constraint.name.clone());
        table.constraints.push(ConstraintDefinition { name, kind, not_valid: false });
    }
    if copied.indexes {
        let plain = |index: &&IndexDescriptor| index.constraint.is_none() && !index.columns.is_empty();
        for index in source.indexes.iter().filter(plain) {
            table.indexes.push(copied_index(source, index, table));
        }
    }
    Ok(())
}

fn copied_index(source: &TableDescriptor, index: &IndexDescriptor, table: &CreateTable) -> CreateIndex {
    let column = |column: &schema::IndexColumn| {
        let name = source.column(column.column).map_or_else(String::new, |column| column.name.clone());
        (name, column.descending, column.nulls_first)
    };
    CreateIndex {
        name: None,
        table: table.name.clone(),
        columns: index.columns.iter().map(column).collect(),
        unique: index.unique,
        nulls_not_distinct: index.nulls_not_distinct,
        if_not_exists: false,
        predicate: index.predicate.clone(),
    }
}

fn names(source: &TableDescriptor, columns: &[schema::ColumnId]) -> Vec<String> {
    columns.iter().filter_map(|id| source.column(*id)).map(|column| column.name.clone()).collect()
}
