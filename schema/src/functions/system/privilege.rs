//! has_*_privilege and pg_has_role: privileges, objects and roles must exist; then everybody may do everything.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{host, names::relation, resolve_object};
use crate::{
    Catalog, Datum, Descriptor, Oid,
    functions::{EvalContext, Function, table::function},
};

const O: Oid = Oid::OID;
const N: Oid = Oid::NAME;
const T: Oid = Oid::TEXT;
const S: Oid = Oid::INT2;
const B: Oid = Oid::BOOL;

/// What a privilege can be on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Relation,
    Database,
    Schema,
    Function,
    Language,
    Tablespace,
    Type,
    Foreign,
}

const LANGUAGES: [&str; 3] = ["internal", "c", "sql"];
const TABLESPACES: [&str; 2] = ["pg_default", "pg_global"];

/// The privileges that a list names must be among those there are.
fn check_privileges(list: &str, known: &[&str]) -> SqlResult<()> {
    for named in list.split(',') {
        let upper = named.trim().to_uppercase();
        let bare = upper.strip_suffix(" WITH GRANT OPTION").map_or(upper.as_str(), str::trim_end);
        if !known.contains(&bare) {
            let message = format!("unrecognized privilege type: \"{}\"", named.trim());
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        }
    }
    Ok(())
}

fn missing(state: SqlState, kind: &str, name: &str) -> SqlError {
    SqlError::new(state, format!("{kind} \"{name}\" does not exist"))
}

/// A role by name or OID. An OID of nobody is let pass, as in PostgreSQL.
fn check_role(catalog: &Catalog, role: &Datum) -> SqlResult<()> {
    match role {
        Datum::Text(name) if **name != *"public" && catalog.role(name).is_none() => {
            Err(missing(SqlState::UndefinedObject, "role", name))
        }
        _ => Ok(()),
    }
}

fn has_database(catalog: &Catalog, found: impl Fn(&crate::DatabaseDescriptor) -> bool) -> bool {
    catalog.objects().any(|object| matches!(object, Descriptor::Database(database) if found(database)))
}

/// Whether there is such an object; an unknown name is an error, an unknown OID is not.
fn exists(env: &EvalContext, kind: Kind, object: &Datum) -> SqlResult<bool> {
    let catalog = host(env)?.catalog();
    let name = match object {
        Datum::Text(name) => name,
        Datum::Oid(oid) => {
            return Ok(match kind {
                Kind::Relation => super::names::relation_parts(env, Oid(*oid)).is_some(),
                Kind::Database => has_database(&catalog, |database| database.oid == Oid(*oid)),
                Kind::Schema => catalog.schema_name(Oid(*oid)).is_some(),
                Kind::Function => crate::builtin::function(Oid(*oid)).is_some(),
                Kind::Type => Oid(*oid).type_info().is_some(),
                Kind::Language => (12..=14).contains(oid),
                Kind::Tablespace => (1663..=1664).contains(oid),
                Kind::Foreign => false,
            });
        }
        _ => return Ok(false),
    };
    let (found, error) = match kind {
        Kind::Relation => (relation(env, name)?.is_some(), missing(SqlState::UndefinedTable, "relation", name)),
        Kind::Database => (
            has_database(&catalog, |database| *database.name == **name),
            missing(SqlState::InvalidCatalogName, "database", name),
        ),
        Kind::Schema => (catalog.schema(name).is_some(), missing(SqlState::InvalidSchemaName, "schema", name)),
        Kind::Function => return resolve_object(env, Oid::REGPROCEDURE, name).map(|_| true),
        Kind::Type => return resolve_object(env, Oid::REGTYPE, name).map(|_| true),
        Kind::Language => (LANGUAGES.contains(&&**name), missing(SqlState::UndefinedObject, "language", name)),
        Kind::Tablespace => (TABLESPACES.contains(&&**name), missing(SqlState::UndefinedObject, "tablespace", name)),
        Kind::Foreign => (false, missing(SqlState::UndefinedObject, "server", name)),
    };
    if found { Ok(true) } else { Err(error) }
}

/// `[role,] object, privileges`
fn on_object(env: &EvalContext, args: &[Datum], kind: Kind, privileges: &[&str]) -> SqlResult<Datum> {
    let (role, object, list) = match args {
        [role, object, list] => (Some(role), object, list),
        [object, list] => (None, object, list),
        _ => return Ok(Datum::Null),
    };
    if let Some(role) = role {
        check_role(&host(env)?.catalog(), role)?;
    }
    let there = exists(env, kind, object)?;
    if let Datum::Text(list) = list {
        check_privileges(list, privileges)?;
    }
    Ok(if there { Datum::Bool(true) } else { Datum::Null })
}

/// `[role,] table, column, privileges`
fn on_column(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let (role, table, column, list) = match args {
        [role, table, column, list] => (Some(role), table, column, list),
        [table, column, list] => (None, table, column, list),
        _ => return Ok(Datum::Null),
    };
    let catalog = host(env)?.catalog();
    if let Some(role) = role {
        check_role(&catalog, role)?;
    }
    if !exists(env, Kind::Relation, table)? {
        return Ok(Datum::Null);
    }
    let oid = match table {
        Datum::Text(name) => relation(env, name)?.unwrap_or_default(),
        Datum::Oid(oid) => Oid(*oid),
        _ => Oid::INVALID,
    };
    if let Some(descriptor) = catalog.table(oid) {
        let known = descriptor.columns.iter().any(|known| match column {
            Datum::Text(name) => *known.name == **name,
            Datum::Int2(number) => i32::from(known.id.0) == i32::from(*number),
            _ => false,
        });
        match column {
            Datum::Text(name) if !known => {
                let message = format!("column \"{name}\" of relation \"{}\" does not exist", descriptor.name);
                return Err(SqlError::new(SqlState::UndefinedColumn, message));
            }
            _ if !known => return Ok(Datum::Null),
            _ => {}
        }
    }
    if let Datum::Text(list) = list {
        check_privileges(list, &["SELECT", "INSERT", "UPDATE", "REFERENCES"])?;
    }
    Ok(Datum::Bool(true))
}

fn on_parameter(_: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    if let Some(Datum::Text(list)) = args.last() {
        check_privileges(list, &["SET", "ALTER SYSTEM"])?;
    }
    Ok(Datum::Bool(true))
}

/// Nobody is a member of another role, but superusers count as members of all.
fn has_role(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let catalog = host(env)?.catalog();
    let (user, role, list) = match args {
        [user, role, list] => (user.clone(), role, list),
        [role, list] => (Datum::Text(env.user.clone()), role, list),
        _ => return Ok(Datum::Null),
    };
    check_role(&catalog, &user)?;
    check_role(&catalog, role)?;
    if let Datum::Text(list) = list {
        for named in list.split(',') {
            let upper = named.trim().to_uppercase();
            let bare = upper.split(" WITH ").next().unwrap_or_default();
            check_privileges(bare, &["MEMBER", "USAGE"]).map_err(|_| {
                SqlError::new(
                    SqlState::InvalidParameterValue,
                    format!("unrecognized privilege type: \"{}\"", named.trim()),
                )
            })?;
        }
    }
    let find = |datum: &Datum| match datum {
        Datum::Text(name) => catalog.role(name).cloned(),
        Datum::Oid(oid) => match catalog.get(Oid(*oid)) {
            Some(Descriptor::Role(role)) => Some(role.clone()),
            _ => None,
        },
        _ => None,
    };
    let user = find(&user);
    let same = user.is_some() && user.as_ref().map(|user| user.oid) == find(role).map(|role| role.oid);
    Ok(Datum::Bool(same || user.is_some_and(|user| user.superuser)))
}

macro_rules! privileges {
    ($($name:literal $kind:ident [$($privilege:literal)*];)*) => { &[$(
        function($name, &[T, T], B, |env, args| on_object(env, args, Kind::$kind, &[$($privilege),*])).stable(),
        function($name, &[O, T], B, |env, args| on_object(env, args, Kind::$kind, &[$($privilege),*])).stable(),
        function($name, &[N, T, T], B, |env, args| on_object(env, args, Kind::$kind, &[$($privilege),*])).stable(),
        function($name, &[N, O, T], B, |env, args| on_object(env, args, Kind::$kind, &[$($privilege),*])).stable(),
        function($name, &[O, T, T], B, |env, args| on_object(env, args, Kind::$kind, &[$($privilege),*])).stable(),
        function($name, &[O, O, T], B, |env, args| on_object(env, args, Kind::$kind, &[$($privilege),*])).stable(),
    )*] };
}

/// Privileges on whole objects.
pub(in crate::functions) static PRIVILEGES: &[Function] = privileges! {
    "has_table_privilege" Relation ["SELECT" "INSERT" "UPDATE" "DELETE" "TRUNCATE" "REFERENCES" "TRIGGER"];
    "has_any_column_privilege" Relation ["SELECT" "INSERT" "UPDATE" "REFERENCES"];
    "has_sequence_privilege" Relation ["USAGE" "SELECT" "UPDATE"];
    "has_database_privilege" Database ["CREATE" "TEMPORARY" "TEMP" "CONNECT"];
    "has_schema_privilege" Schema ["CREATE" "USAGE"];
    "has_function_privilege" Function ["EXECUTE"];
    "has_language_privilege" Language ["USAGE"];
    "has_tablespace_privilege" Tablespace ["CREATE"];
    "has_type_privilege" Type ["USAGE"];
    "has_foreign_data_wrapper_privilege" Foreign ["USAGE"];
    "has_server_privilege" Foreign ["USAGE"];
};

/// Privileges on columns and parameters.
pub(in crate::functions) static COLUMN_PRIVILEGES: &[Function] = &[
    function("has_column_privilege", &[T, T, T], B, on_column).stable(),
    function("has_column_privilege", &[T, S, T], B, on_column).stable(),
    function("has_column_privilege", &[O, T, T], B, on_column).stable(),
    function("has_column_privilege", &[O, S, T], B, on_column).stable(),
    function("has_column_privilege", &[N, T, T, T], B, on_column).stable(),
    function("has_column_privilege", &[N, T, S, T], B, on_column).stable(),
    function("has_column_privilege", &[N, O, T, T], B, on_column).stable(),
    function("has_column_privilege", &[N, O, S, T], B, on_column).stable(),
    function("has_column_privilege", &[O, T, T, T], B, on_column).stable(),
    function("has_column_privilege", &[O, O, T, T], B, on_column).stable(),
    function("has_column_privilege", &[O, O, S, T], B, on_column).stable(),
    function("has_parameter_privilege", &[T, T], B, on_parameter).stable(),
    function("has_parameter_privilege", &[N, T, T], B, on_parameter).stable(),
    function("has_parameter_privilege", &[O, T, T], B, on_parameter).stable(),
];

/// Membership in roles.
pub(in crate::functions) static ROLES: &[Function] = &[
    function("pg_has_role", &[N, T], B, has_role).stable(),
    function("pg_has_role", &[O, T], B, has_role).stable(),
    function("pg_has_role", &[N, N, T], B, has_role).stable(),
    function("pg_has_role", &[N, O, T], B, has_role).stable(),
    function("pg_has_role", &[O, N, T], B, has_role).stable(),
    function("pg_has_role", &[O, O, T], B, has_role).stable(),
];
