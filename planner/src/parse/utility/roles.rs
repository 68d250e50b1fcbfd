//! CREATE, ALTER and DROP ROLE, USER, DATABASE.

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;

use super::super::cursor::Cursor;
use crate::plan::{Ddl, RoleOptions};

/// The statement if it is about roles or databases.
pub(super) fn read(cursor: &mut Cursor<'_>) -> SqlResult<Option<Ddl>> {
    for (word, login) in [("role", None), ("group", None), ("user", Some(true))] {
        if cursor.take_all(&["create", word]) {
            let name = cursor.name()?;
            let options = RoleOptions { login, ..RoleOptions::default() };
            return Ok(Some(Ddl::CreateRole { name, options: options_of(cursor, options)? }));
        }
        if word != "group" && cursor.take_all(&["alter", word]) {
            let name = cursor.name()?;
            return Ok(Some(Ddl::AlterRole { name, options: options_of(cursor, RoleOptions::default())? }));
        }
        if cursor.take_all(&["drop", word]) {
            let if_exists = cursor.take_if_exists();
            return Ok(Some(Ddl::DropRole { names: cursor.names()?, if_exists }));
        }
    }
    if cursor.take_all(&["create", "database"]) {
        let name = cursor.name()?;
        if !cursor.at_end() {
            return Err(SqlError::unsupported("options of CREATE DATABASE"));
        }
        return Ok(Some(Ddl::CreateDatabase { name }));
    }
    if cursor.take_all(&["drop", "database"]) {
        let if_exists = cursor.take_if_exists();
        return Ok(Some(Ddl::DropDatabase { name: cursor.name()?, if_exists }));
    }
    Ok(None)
}

fn options_of(cursor: &mut Cursor<'_>, mut options: RoleOptions) -> SqlResult<RoleOptions> {
    cursor.take("with");
    while !cursor.at_end() {
        let word = cursor.name()?;
        match word.as_str() {
            "login" => options.login = Some(true),
            "nologin" => options.login = Some(false),
            "superuser" => options.superuser = Some(true),
            "nosuperuser" => options.superuser = Some(false),
            "createrole" => options.create_role = Some(true),
            "nocreaterole" => options.create_role = Some(false),
            "createdb" => options.create_db = Some(true),
            "nocreatedb" => options.create_db = Some(false),
            // What every role does here.
            "inherit" | "noreplication" | "nobypassrls" => {}
            "encrypted" => {
                cursor.expect("password")?;
                options.password = Some(Some(cursor.string()?));
            }
            "password" => {
                options.password = Some(if cursor.take("null") { None } else { Some(cursor.string()?) });
            }
            "noinherit" | "replication" | "bypassrls" | "connection" | "valid" | "in" | "role" | "admin" | "user"
            | "sysid" | "rename" | "set" | "reset" => {
                return Err(SqlError::unsupported(format!("{} of a role", word.to_uppercase())));
            }
            _ => {
                let message = format!("unrecognized role option \"{word}\"");
                return Err(SqlError::new(proto::SqlState::SyntaxError, message));
            }
        }
    }
    Ok(options)
}
