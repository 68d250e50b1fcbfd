//! DDL. Names are resolved to schemas; whether objects exist is for the executor to say, inside the transaction.

mod alter_table;
mod columns;
mod constraints;
mod create_like;
mod create_table;
mod indexes;
mod options;
mod views;

use proto::{SqlError, SqlResult, SqlState};
use schema::{Descriptor, Identity, Oid, SqlType};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::{
    ast::{self, ObjectType, Statement as S},
    tokenizer::Span,
};

use super::{Binder, fold, names::Relation};
use crate::{
    parse::{AlterTableAction, Command, RawIdentityChange},
    plan::{AlterTable, Ddl, IdentityChange, QualifiedName, RelationKind},
};

impl Binder<'_> {
    fn identity_change(&self, raw: &RawIdentityChange) -> SqlResult<IdentityChange> {
        let kind = |always: bool| if always { Identity::Always } else { Identity::ByDefault };
        Ok(match raw {
            RawIdentityChange::Add { always, options } => {
                IdentityChange::Add { identity: kind(*always), options: self.sequence_options(options)? }
            }
            RawIdentityChange::Alter { always, options } => {
                IdentityChange::Alter { identity: always.map(kind), options: self.sequence_options(options)? }
            }
            RawIdentityChange::Drop { if_exists } => IdentityChange::Drop { if_exists: *if_exists },
        })
    }

    /// DDL that `sqlparser` reads.
    pub(super) fn ddl(&mut self, statement: &ast::Statement) -> SqlResult<Ddl> {
        match statement {
            S::CreateTable(create) => self.create_table(create),
            S::AlterTable(alter) => self.alter_table(alter),
            S::CreateIndex(create) => self.create_index(create),
            S::CreateView(create) => self.create_view(create),
            S::Drop { object_type, if_exists, names, cascade, temporary: false, .. } => {
                self.drop(*object_type, names, *if_exists, *cascade)
            }
            S::Truncate(truncate) => self.truncate(truncate),
            S::CreateSchema { schema_name, if_not_exists, with: None, options: None, .. } => {
                Ok(Ddl::CreateSchema { name: schema_name_of(schema_name)?, if_not_exists: *if_not_exists })
            }
            S::Comment { object_type, object_name, comment, .. } => {
                self.comment(*object_type, object_name, comment.clone())
            }
            other => Err(unsupported_statement(other)),
        }
    }

    /// DDL that this crate reads itself.
    pub(super) fn utility_ddl(&mut self, command: &Command) -> SqlResult<Ddl> {
        let existing = |binder: &Self, parts: &[String]| -> SqlResult<QualifiedName> {
            let name = binder.name_of_parts(parts.to_vec(), Span::empty())?;
            binder.existing_name(&name)
        };
        Ok(match command {
            Command::CreateSequence(create) => {
                let name = self.name_of_parts(create.name.clone(), Span::empty())?;
                Ddl::CreateSequence {
                    name: if create.temporary { self.new_temporary_name(&name)? } else { self.new_name(&name)? },
                    options: self.sequence_options(&create.options)?,
                    if_not_exists: create.if_not_exists,
                }
            }
            Command::AlterSequence(alter) => Ddl::AlterSequence {
                name: existing(self, &alter.name)?,
                options: self.sequence_options(&alter.options)?,
                if_exists: alter.if_exists,
            },
            Command::Rename { kind, name, new_name, if_exists } => Ddl::Rename {
                kind: *kind,
                name: existing(self, name)?,
                new_name: new_name.clone(),
                if_exists: *if_exists,
            },
            Command::AlterTable { name, if_exists, action: AlterTableAction::ResetOptions(options) } => {
                Ddl::AlterTable {
                    table: existing(self, name)?,
                    if_exists: *if_exists,
                    actions: options::reset(options)?,
                }
            }
            Command::AlterTable { name, if_exists, action: AlterTableAction::SetSchema(schema) } => Ddl::AlterTable {
                table: existing(self, name)?,
                if_exists: *if_exists,
                actions: vec![AlterTable::SetSchema(schema.clone())],
            },
            Command::AlterTable { name, if_exists, action: AlterTableAction::Identity { column, change } } => {
                let change = self.identity_change(change)?;
                let actions = vec![AlterTable::Identity { name: column.clone(), change }];
                Ddl::AlterTable { table: existing(self, name)?, if_exists: *if_exists, actions }
            }
            _ => return Err(SqlError::unsupported("this statement")),
        })
    }

    fn drop(
        &self,
        object_type: ObjectType,
        names: &[ast::ObjectName],
        if_exists: bool,
        cascade: bool,
    ) -> SqlResult<Ddl> {
        let kind = match object_type {
            ObjectType::Table => RelationKind::Table,
            ObjectType::View => RelationKind::View,
            ObjectType::Index => RelationKind::Index,
            ObjectType::Sequence => RelationKind::Sequence,
            ObjectType::Schema => {
                let names = names.iter().map(|name| self.object_name(name).map(|name| name.name));
                return Ok(Ddl::DropSchema { names: names.collect::<SqlResult<_>>()?, if_exists, cascade });
            }
            other => return Err(SqlError::unsupported(format!("DROP {other}"))),
        };
        let names = names.iter().map(|name| self.object_name(name).and_then(|name| self.existing_name(&name)));
        Ok(Ddl::Drop { kind, names: names.collect::<SqlResult<_>>()?, if_exists, cascade })
    }

    fn truncate(&self, truncate: &ast::Truncate) -> SqlResult<Ddl> {
        let mut tables = Vec::with_capacity(truncate.table_names.len());
        for target in &truncate.table_names {
            let name = self.object_name(&target.name)?;
            tables.push(self.table(&name)?.oid);
        }
        Ok(Ddl::Truncate {
            tables,
            restart_identity: matches!(truncate.identity, Some(ast::TruncateIdentityOption::Restart)),
            cascade: matches!(truncate.cascade, Some(ast::CascadeOption::Cascade)),
        })
    }

    fn comment(&self, object_type: ast::CommentObject, name: &ast::ObjectName, text: Option<String>) -> SqlResult<Ddl> {
        match object_type {
            ast::CommentObject::Table => {
                let table = self.existing_name(&self.object_name(name)?)?;
                Ok(Ddl::Comment { table, column: None, text })
            }
            ast::CommentObject::Column => {
                let mut parts: Vec<ast::ObjectNamePart> = name.0.clone();
                let column = parts.pop().and_then(|part| part.as_ident().map(fold));
                let (Some(column), false) = (column, parts.is_empty()) else {
                    let message = "column name must be qualified";
                    return Err(SqlError::new(SqlState::SyntaxError, message));
                };
                let table = self.existing_name(&self.object_name(&ast::ObjectName(parts))?)?;
                Ok(Ddl::Comment { table, column: Some(column), text })
            }
            other => Err(SqlError::unsupported(format!("COMMENT ON {other}"))),
        }
    }

    /// The relation's kind under this name, for statements that work on several kinds.
    fn is_view(&self, name: &super::names::Name) -> bool {
        matches!(self.find_relation(name), Some(Relation::Object(Descriptor::View(_))))
    }
}

/// Rows are no type that a column can have.
fn refuse_record(column: &str, sql_type: SqlType) -> SqlResult<()> {
    if sql_type.oid != Oid::RECORD {
        return Ok(());
    }
    if sql_type.modifier >= 0 {
        return Err(SqlError::unsupported("columns of composite types"));
    }
    let message = format!("column \"{column}\" has pseudo-type record");
    Err(SqlError::new(SqlState::InvalidTableDefinition, message))
}

fn schema_name_of(name: &ast::SchemaName) -> SqlResult<String> {
    let last = |name: &ast::ObjectName| {
        let ident = name.0.last().and_then(|part| part.as_ident()).map(fold);
        ident.ok_or_else(|| SqlError::unsupported("computed names"))
    };
    match name {
        ast::SchemaName::Simple(name) => last(name),
        ast::SchemaName::UnnamedAuthorization(role) => Ok(fold(role)),
        ast::SchemaName::NamedAuthorization(name, _) => last(name),
    }
}

/// Names the first words of a statement that is not built.
fn unsupported_statement(statement: &ast::Statement) -> SqlError {
    let text = statement.to_string();
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    SqlError::unsupported(words.join(" ").to_uppercase())
}
