//! Objects by name and names of objects: what regclass, regtype, regrole and regnamespace read and show.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::type_by_name;
use crate::{
    Catalog, Descriptor, Oid,
    functions::{
        EvalContext, Function, Host, quote_identifier,
        table::function,
        value::{ObjectId, one},
    },
};

/// Splits `a."B c".d` into its parts, unquoted ones in lower case.
fn parts(text: &str) -> SqlResult<Vec<String>> {
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

/// OID of the relation a name means on the search path.
pub(super) fn relation(env: &EvalContext, text: &str) -> SqlResult<Option<Oid>> {
    let host = super::host(env)?;
    let catalog = host.catalog();
    Ok(match &parts(text)?[..] {
        [name] => env.relation_path().iter().find_map(|schema| relation_in(host, &catalog, schema, name)),
        [schema, name] if schema == "pg_temp" => relation_in(host, &catalog, &env.temp_schema(), name),
        [schema, name] | [_, schema, name] => relation_in(host, &catalog, schema, name),
        _ => return Err(SqlError::new(SqlState::SyntaxError, "improper relation name (too many dotted names)")),
    })
}

/// The OID that text means as a value of a `reg…` type: digits, "-" for none, or a name. 42P01 and its like for a name
/// of nothing.
pub fn resolve_object(env: &EvalContext, kind: Oid, text: &str) -> SqlResult<u32> {
    let trimmed = text.trim();
    if trimmed == "-" {
        return Ok(0);
    }
    if trimmed.starts_with(|c: char| c.is_ascii_digit()) {
        return trimmed.parse().map_err(|_| {
            let message = format!("value \"{text}\" is out of range for type oid");
            SqlError::new(SqlState::NumericValueOutOfRange, message)
        });
    }
    find(env, kind, text)?.map(|oid| oid.0).ok_or_else(|| match kind {
        Oid::REGCLASS => SqlError::new(SqlState::UndefinedTable, format!("relation \"{trimmed}\" does not exist")),
        Oid::REGTYPE => SqlError::new(SqlState::UndefinedObject, format!("type \"{trimmed}\" does not exist")),
        Oid::REGROLE => SqlError::new(SqlState::UndefinedObject, format!("role \"{trimmed}\" does not exist")),
        Oid::REGNAMESPACE => SqlError::new(SqlState::InvalidSchemaName, format!("schema \"{trimmed}\" does not exist")),
        _ => SqlError::new(SqlState::UndefinedFunction, format!("function \"{trimmed}\" does not exist")),
    })
}

fn find(env: &EvalContext, kind: Oid, text: &str) -> SqlResult<Option<Oid>> {
    match kind {
        Oid::REGTYPE => Ok(type_by_name(text)),
        Oid::REGCLASS => relation(env, text),
        Oid::REGROLE => {
            let name = parts(text)?.concat();
            Ok(super::host(env)?.catalog().role(&name).map(|role| role.oid))
        }
        Oid::REGNAMESPACE => {
            let name = parts(text)?.concat();
            Ok(super::host(env)?.catalog().schema(&name).map(|schema| schema.oid))
        }
        _ => Ok(None),
    }
}

/// Schema and name of a relation or index.
pub(super) fn relation_parts(env: &EvalContext, oid: Oid) -> Option<(String, String)> {
    let host = env.host.as_deref()?;
    if let Some((schema, name)) = host.system_relation_name(oid) {
        return Some((schema, name));
    }
    let catalog = host.catalog();
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

/// Whether a relation is the one its bare name means.
pub(super) fn is_visible(env: &EvalContext, oid: Oid) -> Option<bool> {
    let (_, name) = relation_parts(env, oid)?;
    let meant = relation(env, &quote_identifier(&name)).ok().flatten();
    Some(meant == Some(oid))
}

/// What a value of a `reg…` type shows: a name, with its schema if the name alone means something else; digits if there
/// is no such object.
pub fn object_name(env: &EvalContext, kind: Oid, oid: u32) -> String {
    let found = match kind {
        _ if oid == 0 => Some("-".to_owned()),
        Oid::REGTYPE => Oid(oid).type_info().map(|info| info.sql_name.to_owned()),
        Oid::REGCLASS => relation_parts(env, Oid(oid)).map(|(schema, name)| {
            let name_shown = quote_identifier(&name).into_owned();
            match is_visible(env, Oid(oid)) {
                Some(true) => name_shown,
                _ => format!("{}.{name_shown}", quote_identifier(&schema)),
            }
        }),
        Oid::REGROLE => named(env, oid, |object| match object {
            Descriptor::Role(role) => Some(role.name.clone()),
            _ => None,
        }),
        Oid::REGNAMESPACE => named(env, oid, |object| match object {
            Descriptor::Schema(schema) => Some(schema.name.clone()),
            _ => None,
        }),
        _ => None,
    };
    found.unwrap_or_else(|| oid.to_string())
}

fn named(env: &EvalContext, oid: u32, name: impl Fn(&Descriptor) -> Option<String>) -> Option<String> {
    let catalog = env.host.as_deref()?.catalog();
    let name = name(catalog.get(Oid(oid))?)?;
    Some(quote_identifier(&name).into_owned())
}

/// NULL instead of an error for a name of nothing.
fn find_or_null(env: &EvalContext, kind: Oid, text: &str) -> SqlResult<Option<ObjectId>> {
    match resolve_object(env, kind, text) {
        Ok(oid) => Ok(Some(ObjectId(oid))),
        Err(error) if error.state() == SqlState::InvalidName => Err(error),
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
};
