//! Goldenscripts: what statements bind to, as columns and parameters, or which error they answer.
//!
//! A command line is `sql`, with the statement as its argument or on following lines; see `golden/`.

use std::{error::Error, fmt::Write as _, sync::Arc};

use planner::{BindContext, bind, parse};
use schema::{
    Catalog, ColumnDescriptor, ColumnId, ConstraintDescriptor, ConstraintKind, Descriptor, FormatSettings, IndexColumn,
    IndexDescriptor, IndexId, IndexState, Oid, SchemaDescriptor, Sharding, SqlType, TableDescriptor,
    functions::EvalContext,
};
use sharddb_planner as planner;
use sharddb_schema as schema;

struct Runner {
    catalog: Catalog,
    context: EvalContext,
}

impl goldenscript::Runner for Runner {
    fn run(&mut self, command: &goldenscript::Command) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let sql = args.next_pos().ok_or("a statement is missing")?.value.clone();
        args.reject_rest()?;
        let mut out = String::new();
        match command.name.as_str() {
            "sql" => self.bind(&sql, &mut out),
            other => return Err(format!("unknown command {other}").into()),
        }
        Ok(out)
    }
}

impl Runner {
    fn new() -> Self {
        let format = FormatSettings::default();
        let context = EvalContext {
            transaction_time: 1_700_000_000_000_000,
            statement_time: 1_700_000_000_000_000,
            time_zone: format.time_zone.clone(),
            format,
            user: Arc::from("alice"),
            session_user: Arc::from("alice"),
            database: Arc::from("db"),
            search_path: Arc::from(["public".to_owned()]),
            backend_pid: 1,
            host: None,
        };
        Self { catalog: catalog(), context }
    }

    fn bind(&self, sql: &str, out: &mut String) {
        let context = BindContext { catalog: &self.catalog, eval: &self.context };
        let statements = match parse(sql) {
            Ok(statements) => statements,
            Err(error) => return print_error(&error, out),
        };
        for statement in statements {
            match bind(&statement, &context, &[]) {
                Ok(bound) => {
                    let name = |sql_type: SqlType| sql_type.oid.type_info().map_or("?", |info| info.sql_name);
                    let fields = bound.fields.unwrap_or_default();
                    let fields: Vec<String> =
                        fields.iter().map(|field| format!("{} {}", field.name, name(field.sql_type))).collect();
                    let parameters: Vec<&str> = bound.parameters.iter().map(|parameter| name(*parameter)).collect();
                    let _ = writeln!(out, "({})", fields.join(", "));
                    if !parameters.is_empty() {
                        let _ = writeln!(out, "parameters {}", parameters.join(", "));
                    }
                }
                Err(error) => print_error(&error, out),
            }
        }
    }
}

fn print_error(error: &sharddb_proto::SqlError, out: &mut String) {
    let _ = write!(out, "{} {}", error.state().code(), error.message());
    if let Some(position) = error.fields().position {
        let _ = write!(out, " at {position}");
    }
    let _ = writeln!(out);
}

/// Tables t (a int primary key, b text, c numeric(10,2), d timestamptz, e int[]) and u (a int, x float8).
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let public = SchemaDescriptor { oid: Oid(2200), name: "public".to_owned(), owner: Oid(10) };
    catalog.put(Descriptor::Schema(Arc::new(public)));
    let numeric = SqlType::with_modifier(Oid::NUMERIC, ((10 << 16) | 2) + 4);
    let int_array = SqlType::new(Oid(1007));
    let plain = SqlType::new;
    let t = [
        ("a", plain(Oid::INT4)),
        ("b", plain(Oid::TEXT)),
        ("c", numeric),
        ("d", plain(Oid::TIMESTAMPTZ)),
        ("e", int_array),
    ];
    catalog.put(Descriptor::Table(Arc::new(table(16400, "t", &t, true))));
    let u = [("a", plain(Oid::INT4)), ("x", plain(Oid::FLOAT8))];
    catalog.put(Descriptor::Table(Arc::new(table(16410, "u", &u, false))));
    catalog
}

fn table(oid: u32, name: &str, columns: &[(&str, SqlType)], keyed: bool) -> TableDescriptor {
    let columns: Vec<ColumnDescriptor> = columns
        .iter()
        .zip(1..)
        .map(|((name, sql_type), id)| ColumnDescriptor {
            id: ColumnId(id),
            name: (*name).to_owned(),
            sql_type: *sql_type,
            not_null: false,
            default: None,
            identity: None,
            missing: None,
            generated: None,
            comment: None,
        })
        .collect();
    let key = vec![IndexColumn { column: ColumnId(1), descending: false, nulls_first: false }];
    let primary = IndexDescriptor {
        id: IndexId(1),
        oid: Oid(oid + 1),
        name: format!("{name}_pkey"),
        columns: if keyed { key } else { Vec::new() },
        unique: true,
        nulls_not_distinct: false,
        state: IndexState::Ready,
        constraint: keyed.then_some(Oid(oid + 2)),
        predicate: None,
    };
    let constraint = ConstraintDescriptor {
        oid: Oid(oid + 2),
        name: format!("{name}_pkey"),
        kind: ConstraintKind::PrimaryKey { columns: vec![ColumnId(1)] },
        validated: true,
    };
    TableDescriptor {
        oid: Oid(oid),
        storage_id: oid,
        version: 1,
        schema: Oid(2200),
        name: name.to_owned(),
        owner: Oid(10),
        next_column: u16::try_from(columns.len()).expect("few columns") + 1,
        columns,
        indexes: vec![primary],
        next_index: 2,
        constraints: if keyed { vec![constraint] } else { Vec::new() },
        referenced_by: Vec::new(),
        sharding: Sharding::Range { shards: 1 },
        replication_factor: 0,
        statistics: None,
        comment: None,
    }
}

#[test]
fn statements_bind_as_in_postgresql() {
    for entry in std::fs::read_dir("tests/golden").expect("the scripts are there") {
        let path = entry.expect("the directory can be read").path();
        goldenscript::run(&mut Runner::new(), &path).expect("the script runs");
    }
}
