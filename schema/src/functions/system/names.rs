//! Objects by name and names of objects: what regclass, regtype, regrole and regnamespace read and show.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{
    builtin_names::{builtin_name, find_builtin},
    type_by_name,
};
use crate::{
    Catalog, Descriptor, Oid,
    functions::{
        EvalContext, Function, Host, quote_identifier,
        table::function,
        value::{ObjectId, one},
    },
};

/// Splits `a."B c".d` into its parts, unquoted ones in lower case.
pub(super) fn parts(text: &str) -> SqlResult<Vec<String>> {
    let invalid = || SqlError::new(SqlState::InvalidName, "invalid name syntax");
    let mut found = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = closing_quote(quoted).ok_or_else(invalid)?;
                (quoted[..end].replace("\"\"", "\""), &quoted[end + 1..])
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest[..end].trim().to_lowercase(), &rest[end..])
            }
        };
        if part.is_empty() || part.contains(|c: char| c.is_whitespace()) && !rest.starts_with('"') {
            return Err(invalid());
        }
        found.push(part);
        match after.trim_start().strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if after.trim().is_empty() => return Ok(found),
            None => return Err(invalid()),
        }
    }
}

pub(super) fn closing_quote(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text[at..].find('"')?;
        if !text[at + 1..].starts_with('"') {
            return Some(at);
        }
        at += 2;
    }
}

/// OID of the relation or index of this name in a schema.
fn relation_in(host: &dyn Host, catalog: &Catalog, schema: &str, name: &str) -> Option<Oid> {
    if let Some(found) = host.system_relation(schema, name) {
        return Some(found);
    }
    if let Some(found) = catalog.relation(schema, name) {
        return Some(found.oid());
    }
    let owner = catalog.index_owner(schema, name)?;
    owner.indexes.iter().find(|index| index.name == name).map(|index| index.oid)
}

/// Where names are looked for: the session's catalog along its search path.
#[derive(Clone)]
pub struct ObjectNames {
    host: Arc<dyn Host>,
    /// Every schema that a bare name is looked for in.
    path: Arc<[String]>,
    /// What `pg_temp` stands for.
    temporary: Arc<str>,
}

impl ObjectNames {
    /// Names as the session of this context sees them; `None` outside of one.
    pub fn of(env: &EvalContext) -> Option<Self> {
        Some(Self { host: env.host.clone()?, path: env.relation_path().into(), temporary: env.temp_schema().into() })
    }

    /// What a value of a `reg…` type shows: a name, with its schema if the name alone means something else; digits if
    /// there is no such object.
    pub fn show(&self, kind: Oid, oid: u32) -> String {
        let found = match kind {
            Oid::REGCLASS => self.relation_shown(Oid(oid)),
            Oid::REGROLE => self.named(oid, |object| match object {
                Descriptor::Role(role) => Some(role.name.clone()),
                _ => None,
            }),
            Oid::REGNAMESPACE => self.named(oid, |object| match object {
                Descriptor::Schema(schema) => Some(schema.name.clone()),
                _ => None,
            }),
            _ => None,
        };
        found.unwrap_or_else(|| builtin_name(kind, oid))
    }

    fn relation_shown(&self, oid: Oid) -> Option<String> {
        let (schema, name) = self.relation_parts(oid)?;
        let shown = quote_identifier(&name).into_owned();
        Some(if self.relation(&[&name]) == Some(oid) {
            shown
        } else {
            format!("{}.{shown}", quote_identifier(&schema))
        })
    }

    fn named(&self, oid: u32, name: impl Fn(&Descriptor) -> Option<String>) -> Option<String> {
        let name = name(self.host.catalog().get(Oid(oid))?)?;
        Some(quote_identifier(&name).into_owned())
    }

    /// Schema and name of a relation or index.
    fn relation_parts(&self, oid: Oid) -> Option<(String, String)> {
        if let Some((schema, name)) = self.host.system_relation_name(oid) {
            return Some((schema, name));
        }
        let catalog = self.host.catalog();
        let (schema, name) = match catalog.get(oid) {
            Some(Descriptor::Table(table)) => (table.schema, table.name.clone()),
            Some(Descriptor::View(view)) => (view.schema, view.name.clone()),
            Some(Descriptor::Sequence(sequence)) => (sequence.schema, sequence.name.clone()),
            Some(_) => return None,
            None => catalog.objects().find_map(|object| match object {
                Descriptor::Table(table) => table
                    .indexes
                    .iter()
                    .find(|index| index.oid == oid && !index.columns.is_empty())
                    .map(|index| (table.schema, index.name.clone())),
                _ => None,
            })?,
        };
        Some((catalog.schema_name(schema)?.to_owned(), name))
    }

    /// OID of the relation or index that a name of one, two or three parts means.
    fn relation(&self, parts: &[&str]) -> Option<Oid> {
        let host = &*self.host;
        let catalog = host.catalog();
        match parts {
            [name] => self.path.iter().find_map(|schema| relation_in(host, &catalog, schema, name)),
            ["pg_temp", name] => relation_in(host, &catalog, &self.temporary, name),
            [schema, name] | [_, schema, name] => relation_in(host, &catalog, schema, name),
            _ => None,
        }
    }
}

impl std::fmt::Debug for ObjectNames {
    /// Says nothing of the session, so that equal settings look equal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ObjectNames")
    }
}

impl PartialEq for ObjectNames {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.host, &other.host) && self.path == other.path
    }
}

/// OID of the relation a name means on the search path.
pub(super) fn relation(env: &EvalContext, text: &str) -> SqlResult<Option<Oid>> {
    let parts = parts(text)?;
    if parts.len() > 3 {
        let message = format!("improper relation name (too many dotted names): {}", parts.join("."));
        return Err(SqlError::new(SqlState::SyntaxError, message));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let catalog = super::host(env)?.catalog();
    let found = ObjectNames::of(env).and_then(|names| names.relation(&parts));
    match &parts[..] {
        [schema, _] | [_, schema, _] if found.is_none() && *schema != "pg_temp" && catalog.schema(schema).is_none() => {
            let message = format!("schema \"{schema}\" does not exist");
            Err(SqlError::new(SqlState::InvalidSchemaName, message))
        }
        _ => Ok(found),
    }
}

/// The OID that text means as a value of a `reg…` type: digits, "-" for none, or a name. 42P01 and its like for a name
/// of nothing.
pub fn resolve_object(env: &EvalContext, kind: Oid, text: &str) -> SqlResult<u32> {
    let trimmed = text.trim();
    if trimmed == "-" && !matches!(kind, Oid::REGOPER | Oid::REGOPERATOR) {
        return Ok(0);
    }
    if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        return trimmed.parse().map_err(|_| {
            let message = format!("value \"{text}\" is out of range for type oid");
            SqlError::new(SqlState::NumericValueOutOfRange, message)
        });
    }
    let missing = |state, object: &str, name: &str| SqlError::new(state, format!("{object} \"{name}\" does not exist"));
    let found = match kind {
        Oid::REGTYPE => type_by_name(text).ok_or_else(|| missing(SqlState::UndefinedObject, "type", trimmed))?,
        Oid::REGCLASS => relation(env, text)?
            .ok_or_else(|| missing(SqlState::UndefinedTable, "relation", &parts(text).unwrap_or_default().join(".")))?,
        Oid::REGROLE => {
            let name = single(text)?;
            let role = super::host(env)?.catalog().role(&name).map(|role| role.oid);
            role.ok_or_else(|| missing(SqlState::UndefinedObject, "role", &name))?
        }
        Oid::REGNAMESPACE => {
            let name = single(text)?;
            let schema = super::host(env)?.catalog().schema(&name).map(|schema| schema.oid);
            schema.ok_or_else(|| missing(SqlState::InvalidSchemaName, "schema", &name))?
        }
        _ => find_builtin(kind, trimmed)?,
    };
    Ok(found.0)
}

/// A name of one part.
fn single(text: &str) -> SqlResult<String> {
    match <[String; 1]>::try_from(parts(text)?) {
        Ok([name]) => Ok(name),
        Err(_) => Err(SqlError::new(SqlState::InvalidName, "invalid name syntax")),
    }
}

/// Schema and name of a relation or index.
pub(super) fn relation_parts(env: &EvalContext, oid: Oid) -> Option<(String, String)> {
    ObjectNames::of(env)?.relation_parts(oid)
}

/// Whether a relation is the one its bare name means.
pub(super) fn is_visible(env: &EvalContext, oid: Oid) -> Option<bool> {
    let names = ObjectNames::of(env)?;
    let (_, name) = names.relation_parts(oid)?;
    Some(names.relation(&[&name]) == Some(oid))
}

/// What a value of a `reg…` type shows.
pub fn object_name(env: &EvalContext, kind: Oid, oid: u32) -> String {
    match ObjectNames::of(env) {
        Some(names) => names.show(kind, oid),
        None => builtin_name(kind, oid),
    }
}

/// NULL instead of an error for a name of nothing.
fn find_or_null(env: &EvalContext, kind: Oid, text: &str) -> SqlResult<Option<ObjectId>> {
    match resolve_object(env, kind, text) {
        Ok(oid) => Ok(Some(ObjectId(oid))),
        Err(error) if matches!(error.state(), SqlState::InvalidName | SqlState::SyntaxError) => Err(error),
        Err(_) => Ok(None),
    }
}

macro_rules! lookups {
    ($($name:literal $kind:ident;)*) => { &[$(
        function($name, &[Oid::TEXT], Oid::$kind, |env, args| {
            one(args, |text: &str| find_or_null(env, Oid::$kind, text))
        })
        .stable(),
    )*] };
}

/// to_regclass and its kin.
pub(in crate::functions) static NAMES: &[Function] = lookups! {
    "to_regclass" REGCLASS;
    "to_regtype" REGTYPE;
    "to_regrole" REGROLE;
    "to_regnamespace" REGNAMESPACE;
    "to_regproc" REGPROC;
    "to_regprocedure" REGPROCEDURE;
    "to_regoper" REGOPER;
    "to_regoperator" REGOPERATOR;
    "to_regcollation" REGCOLLATION;
};
