//! nextval, currval, lastval and setval.

use proto::SqlResult;
use sharddb_proto as proto;

use super::{host, names::relation_parts};
use crate::{
    Datum, Descriptor, Oid,
    functions::{
        EvalContext, Function, quote_identifier,
        table::function,
        value::{ObjectId, one, three, two},
    },
};

const C: Oid = Oid::REGCLASS;
const N: Oid = Oid::INT8;

/// The sequence that belongs to a column, by table and column name; NULL if there is none.
fn owned_sequence(env: &EvalContext, table: &str, column: &str) -> SqlResult<Option<String>> {
    let host = host(env)?;
    let oid = Oid(super::resolve_object(env, Oid::REGCLASS, table)?);
    let catalog = host.catalog();
    let Some(table) = catalog.table(oid) else { return Ok(None) };
    let Some(position) = table.position_by_name(column) else {
        let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
        return Err(proto::SqlError::new(proto::SqlState::UndefinedColumn, message));
    };
    let id = table.columns[position].id;
    let owned = catalog.objects().find_map(|object| match object {
        Descriptor::Sequence(sequence) if sequence.owned_by == Some((oid, id)) => Some(sequence.oid),
        _ => None,
    });
    Ok(owned
        .and_then(|sequence| relation_parts(env, sequence))
        .map(|(schema, name)| format!("{}.{}", quote_identifier(&schema), quote_identifier(&name))))
}

/// Functions on sequences.
pub(in crate::functions) static SEQUENCE: &[Function] = &[
    function("nextval", &[C], N, |env, args| one(args, |oid: ObjectId| host(env)?.next_value(Oid(oid.0)))).volatile(),
    function("currval", &[C], N, |env, args| one(args, |oid: ObjectId| host(env)?.current_value(Some(Oid(oid.0)))))
        .volatile(),
    function("lastval", &[], N, |env, _| host(env)?.current_value(None).map(Datum::Int8)).volatile(),
    function("setval", &[C, N], N, |env, args| {
        two(args, |oid: ObjectId, value: i64| host(env)?.set_value(Oid(oid.0), value, true))
    })
    .volatile(),
    function("setval", &[C, N, Oid::BOOL], N, |env, args| {
        three(args, |oid: ObjectId, value: i64, called: bool| host(env)?.set_value(Oid(oid.0), value, called))
    })
    .volatile(),
    function("pg_get_serial_sequence", &[Oid::TEXT, Oid::TEXT], Oid::TEXT, |env, args| {
        two(args, |table: &str, column: &str| owned_sequence(env, table, column))
    })
    .stable(),
];
