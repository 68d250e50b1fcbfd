//! Names to catalog objects.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use schema::{Descriptor, Oid, TableDescriptor, functions::TEMP_SCHEMA_PREFIX};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::{ast, tokenizer::Span};

use super::{Binder, fold};
use crate::{
    plan::QualifiedName,
    system_catalog::{VirtualTable, virtual_table},
};

/// What a relation's name stands for.
pub(super) enum Relation<'a> {
    Object(&'a Descriptor),
    Virtual(&'static VirtualTable),
}

/// Parts of a name, folded, with its place.
pub(super) struct Name {
    pub(super) schema: Option<String>,
    pub(super) name: String,
    pub(super) span: Span,
}

impl Name {
    /// The name as error messages print it.
    pub(super) fn display(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Binder<'_> {
    /// A name of one or two parts; a database in front must be the present one.
    pub(super) fn object_name(&self, name: &ast::ObjectName) -> SqlResult<Name> {
        let mut parts = Vec::with_capacity(name.0.len());
        let mut span = Span::empty();
        for part in &name.0 {
            let ident = part.as_ident().ok_or_else(|| SqlError::unsupported("computed names"))?;
            if span == Span::empty() {
                span = ident.span;
            }
            parts.push(fold(ident));
        }
        self.name_of_parts(parts, span)
    }

    /// As `object_name` for parts that are folded already.
    pub(super) fn name_of_parts(&self, mut parts: Vec<String>, span: Span) -> SqlResult<Name> {
        if parts.len() > 3 {
            let message = format!("improper qualified name (too many dotted names): {}", parts.join("."));
            return Err(self.at(span, SqlError::new(SqlState::SyntaxError, message)));
        }
        let name = parts.pop().unwrap_or_default();
        let schema = match parts.pop() {
            Some(schema) if schema == "pg_temp" => Some(self.eval_context().temp_schema()),
            schema => schema,
        };
        if let Some(database) = parts.pop()
            && database != *self.eval_context().database
        {
            let all = format!("{database}.{}.{name}", schema.as_deref().unwrap_or_default());
            let message = format!("cross-database references are not implemented: \"{all}\"");
            return Err(self.at(span, SqlError::new(SqlState::FeatureNotSupported, message)));
        }
        Ok(Name { schema, name, span })
    }

    /// The relation of a name, if there is one.
    pub(super) fn find_relation(&self, name: &Name) -> Option<Relation<'_>> {
        match &name.schema {
            Some(schema) => self.relation_in(schema, &name.name),
            None => {
                let path = self.eval_context().relation_path();
                path.iter().find_map(|schema| self.relation_in(schema, &name.name))
            }
        }
    }

    fn relation_in(&self, schema: &str, name: &str) -> Option<Relation<'_>> {
        match self.context.catalog.relation(schema, name) {
            Some(object) => Some(Relation::Object(object)),
            None => virtual_table(schema, name).map(Relation::Virtual),
        }
    }

    /// The table of a name, to be written to or changed.
    pub(super) fn table(&self, name: &Name) -> SqlResult<Arc<TableDescriptor>> {
        match self.find_relation(name) {
            Some(Relation::Object(Descriptor::Table(table))) => {
                self.check_own(table)?;
                Ok(table.clone())
            }
            Some(Relation::Object(Descriptor::View(_))) => {
                Err(SqlError::new(SqlState::WrongObjectType, format!("\"{}\" is not a table", name.name))
                    .with_detail("This operation is not supported for views."))
            }
            Some(Relation::Virtual(_)) => {
                let message = format!("permission denied: \"{}\" is a system catalog", name.name);
                Err(SqlError::new(SqlState::InsufficientPrivilege, message))
            }
            Some(Relation::Object(_)) => {
                Err(SqlError::new(SqlState::WrongObjectType, format!("\"{}\" is not a table", name.name)))
            }
            None => Err(self.unknown_relation(name)),
        }
    }

    /// Temporary tables belong to the session that made them.
    pub(super) fn check_own(&self, table: &TableDescriptor) -> SqlResult<()> {
        let schema = self.catalog().schema_name(table.schema).unwrap_or_default();
        if !schema.starts_with(TEMP_SCHEMA_PREFIX) || schema == self.eval_context().temp_schema() {
            return Ok(());
        }
        let message = "cannot access temporary tables of other sessions";
        Err(SqlError::new(SqlState::FeatureNotSupported, message))
    }

    /// Whether a relation is a temporary one of this session.
    pub(super) fn is_temporary(&self, relation: Oid) -> bool {
        let schema = match self.catalog().get(relation) {
            Some(Descriptor::Table(table)) => table.schema,
            Some(Descriptor::View(view)) => view.schema,
            Some(Descriptor::Sequence(sequence)) => sequence.schema,
            _ => return false,
        };
        self.catalog().schema_name(schema) == Some(self.eval_context().temp_schema().as_str())
    }

    /// 42P01, or 3F000 when even the schema does not exist and PostgreSQL would say so.
    pub(super) fn unknown_relation(&self, name: &Name) -> SqlError {
        let message = format!("relation \"{}\" does not exist", name.display());
        self.at(name.span, SqlError::new(SqlState::UndefinedTable, message))
    }

    /// Where a new object of this name goes: the schema it gives, or the first of the search path.
    pub(super) fn new_name(&self, name: &Name) -> SqlResult<QualifiedName> {
        let schema = match &name.schema {
            Some(schema) => schema.clone(),
            None => self.creation_schema()?,
        };
        Ok(QualifiedName { schema, name: name.name.clone() })
    }

    /// Where a new temporary object of this name goes.
    pub(super) fn new_temporary_name(&self, name: &Name) -> SqlResult<QualifiedName> {
        let schema = self.eval_context().temp_schema();
        if name.schema.as_ref().is_some_and(|given| *given != schema) {
            let message = "cannot create temporary relation in non-temporary schema";
            return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
        }
        Ok(QualifiedName { schema, name: name.name.clone() })
    }

    fn creation_schema(&self) -> SqlResult<String> {
        let path = &self.eval_context().search_path;
        path.first()
            .cloned()
            .ok_or_else(|| SqlError::new(SqlState::InvalidSchemaName, "no schema has been selected to create in"))
    }

    /// The schema of an existing object that a statement names: found along the search path, or where it would be
    /// created if there is none, so that the executor reports it missing.
    pub(super) fn existing_name(&self, name: &Name) -> SqlResult<QualifiedName> {
        if let Some(schema) = &name.schema {
            return Ok(QualifiedName { schema: schema.clone(), name: name.name.clone() });
        }
        let path = self.eval_context().relation_path();
        let holds = |schema: &&String| {
            self.catalog().relation(schema, &name.name).is_some()
                || self.catalog().index_owner(schema, &name.name).is_some()
        };
        let schema = path.iter().find(holds).or_else(|| self.eval_context().search_path.first()).cloned();
        Ok(QualifiedName { schema: schema.unwrap_or_else(|| "public".to_owned()), name: name.name.clone() })
    }

    /// OID of a relation or index given by name, as `regclass` input reads it.
    pub(super) fn relation_oid(&self, name: &Name) -> Option<Oid> {
        match self.find_relation(name) {
            Some(Relation::Object(object)) => Some(object.oid()),
            Some(Relation::Virtual(table)) => Some(table.oid),
            None => {
                let path = self.eval_context().relation_path();
                let schemas: Vec<&String> = name.schema.iter().chain(&path).collect();
                schemas.into_iter().find_map(|schema| {
                    let owner = self.catalog().index_owner(schema, &name.name)?;
                    owner.indexes.iter().find(|index| index.name == name.name).map(|index| index.oid)
                })
            }
        }
    }

    /// Name of the schema with this OID.
    pub(super) fn schema_name(&self, oid: Oid) -> String {
        self.catalog().schema_name(oid).unwrap_or_default().to_owned()
    }
}

/// Splits text as an identifier list does: parts separated by dots, quoted or folded.
pub(super) fn split_name(text: &str) -> SqlResult<Vec<String>> {
    let invalid = || SqlError::new(SqlState::InvalidName, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = closing_quote(quoted).ok_or_else(invalid)?;
                (quoted[..end].replace("\"\"", "\""), &quoted[end + 1..])
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest[..end].trim().to_ascii_lowercase(), &rest[end..])
            }
        };
        if part.is_empty() {
            return Err(invalid());
        }
        parts.push(part);
        match after.trim_start().strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if after.trim().is_empty() => return Ok(parts),
            None => return Err(invalid()),
        }
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return Some(at),
            _ => at += 1,
        }
    }
    None
}
