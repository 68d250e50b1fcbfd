//! Definitions and comments of objects as SQL text.
//!
//! The session is asked first; what it does not know is told from the catalog's descriptors.

use proto::SqlResult;
use sharddb_proto as proto;

use super::{
    definition::{constraint_definition, expression_text, index_column, index_definition, view_text},
    host,
    names::relation,
};
use crate::{
    Catalog, Datum, Descriptor, IndexDescriptor, Oid, TableDescriptor,
    functions::{EvalContext, Function, table::function, value::mismatch},
};

const O: Oid = Oid::OID;
const T: Oid = Oid::TEXT;
const B: Oid = Oid::BOOL;
const I: Oid = Oid::INT4;
const C: Oid = Oid::REGCLASS;

/// What the session says, else what the catalog says; NULL if neither knows.
fn ask(
    env: &EvalContext,
    name: &str,
    args: &[Datum],
    fallback: impl FnOnce(&Catalog) -> Option<String>,
) -> SqlResult<Datum> {
    let host = host(env)?;
    let found = match host.definition(name, args)? {
        Some(found) => Some(found),
        None => fallback(&host.catalog()),
    };
    Ok(found.map_or(Datum::Null, Datum::text))
}

fn first_oid(args: &[Datum]) -> SqlResult<Oid> {
    match args.first() {
        Some(Datum::Oid(oid)) => Ok(Oid(*oid)),
        _ => Err(mismatch(args)),
    }
}

fn is_pretty(args: &[Datum], at: usize) -> bool {
    matches!(args.get(at), Some(Datum::Bool(true)))
}

/// The catalog's tables hold expressions in their plain form.
fn expression(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let [Datum::Text(text), Datum::Oid(table), ..] = args else { return Err(mismatch(args)) };
    let catalog = host(env)?.catalog();
    Ok(match catalog.table(Oid(*table)) {
        Some(table) if is_pretty(args, 2) => Datum::text(expression_text(env, table, text, None, true)),
        _ => Datum::Text(text.clone()),
    })
}

fn tables(catalog: &Catalog) -> impl Iterator<Item = &TableDescriptor> {
    catalog.objects().filter_map(|object| match object {
        Descriptor::Table(table) => Some(&**table),
        _ => None,
    })
}

fn constraint(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let oid = first_oid(args)?;
    ask(env, "pg_get_constraintdef", args, |catalog| {
        let mut all = tables(catalog).flat_map(|table| table.constraints.iter().map(move |found| (table, found)));
        let (table, found) = all.find(|(_, found)| found.oid == oid)?;
        constraint_definition(env, catalog, table, found, is_pretty(args, 1))
    })
}

fn find_index(catalog: &Catalog, oid: Oid) -> Option<(&TableDescriptor, &IndexDescriptor)> {
    tables(catalog).find_map(|table| table.indexes.iter().find(|index| index.oid == oid).map(|index| (table, index)))
}

fn index(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let oid = first_oid(args)?;
    let column = match args.get(1) {
        Some(Datum::Int4(column)) => *column,
        _ => 0,
    };
    ask(env, "pg_get_indexdef", args, |catalog| {
        let (table, index) = find_index(catalog, oid)?;
        match usize::try_from(column) {
            Ok(0) => index_definition(env, catalog, table, index, is_pretty(args, 2)),
            // An index without such a column has an empty one.
            Ok(at) => match index.columns.get(at - 1) {
                Some(found) => index_column(table, found, false),
                None => Some(String::new()),
            },
            Err(_) => None,
        }
    })
}

fn view(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let oid = match args.first() {
        Some(Datum::Oid(oid)) => Oid(*oid),
        Some(Datum::Text(name)) => relation(env, name)?.unwrap_or_default(),
        _ => return Err(mismatch(args)),
    };
    // A width makes it pretty too.
    let pretty = is_pretty(args, 1) || matches!(args.get(1), Some(Datum::Int4(_)));
    let args = [&[Datum::Oid(oid.0)], &args[1..]].concat();
    ask(env, "pg_get_viewdef", &args, |catalog| match catalog.get(oid) {
        Some(Descriptor::View(view)) => Some(view_text(env, view, pretty)),
        _ => None,
    })
}

fn comment(env: &EvalContext, args: &[Datum], name: &str) -> SqlResult<Datum> {
    let oid = first_oid(args)?;
    let column = match args.get(1) {
        Some(Datum::Int4(column)) => *column,
        _ => 0,
    };
    ask(env, name, args, |catalog| {
        let table = catalog.table(oid)?;
        match column {
            0 => table.comment.clone(),
            number => {
                let found = table.columns.iter().find(|column| i32::from(column.id.0) == number)?;
                found.comment.clone()
            }
        }
    })
}

/// Objects that there are none of, unless the session knows some.
macro_rules! asked {
    ($($name:literal [$($arg:ident),*];)*) => { &[$(
        function($name, &[$($arg),*], T, |env, args| ask(env, $name, args, |_| None)).stable(),
    )*] };
}

/// Definitions that only the session may know.
pub(in crate::functions) static ASKED: &[Function] = asked! {
    "pg_get_ruledef" [O];
    "pg_get_ruledef" [O, B];
    "pg_get_triggerdef" [O];
    "pg_get_triggerdef" [O, B];
    "pg_get_partkeydef" [O];
    "pg_get_partition_constraintdef" [O];
    "pg_get_statisticsobjdef" [O];
    "pg_get_statisticsobjdef_columns" [O];
    "pg_tablespace_location" [O];
    "pg_relation_filepath" [C];
};

/// Definitions and comments of what the catalog keeps.
pub(in crate::functions) static DESCRIBE: &[Function] = &[
    function("pg_get_expr", &[T, O], T, expression).stable(),
    function("pg_get_expr", &[T, O, B], T, expression).stable(),
    function("pg_get_constraintdef", &[O], T, constraint).stable(),
    function("pg_get_constraintdef", &[O, B], T, constraint).stable(),
    function("pg_get_indexdef", &[O], T, index).stable(),
    function("pg_get_indexdef", &[O, I, B], T, index).stable(),
    function("pg_get_viewdef", &[O], T, view).stable(),
    function("pg_get_viewdef", &[O, B], T, view).stable(),
    function("pg_get_viewdef", &[O, I], T, view).stable(),
    function("pg_get_viewdef", &[T], T, view).stable(),
    function("pg_get_viewdef", &[T, B], T, view).stable(),
    function("obj_description", &[O], T, |env, args| comment(env, args, "obj_description")).stable(),
    function("obj_description", &[O, Oid::NAME], T, |env, args| comment(env, args, "obj_description")).stable(),
    function("col_description", &[O, I], T, |env, args| comment(env, args, "col_description")).stable(),
    function("shobj_description", &[O, Oid::NAME], T, |env, args| ask(env, "shobj_description", args, |_| None))
        .stable(),
];
