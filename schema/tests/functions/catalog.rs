//! Functions that ask the session, over a catalog of one table.

use std::sync::{Arc, Mutex};

use proto::{SqlError, SqlResult};
use schema::{
    Catalog, ColumnDescriptor, ColumnId, ConstraintDescriptor, ConstraintKind, Datum, Descriptor, IndexColumn,
    IndexDescriptor, IndexId, IndexState, Oid, RoleDescriptor, SchemaDescriptor, Sharding, SqlType, TableDescriptor,
    functions::{EvalContext, Host},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::evaluate;

#[derive(Debug)]
struct Session {
    catalog: Arc<Catalog>,
    position: Mutex<i64>,
}

impl Host for Session {
    fn catalog(&self) -> Arc<Catalog> {
        self.catalog.clone()
    }
    fn expression(
        &self,
        _: &EvalContext,
        _: &TableDescriptor,
        text: &str,
        _: Option<SqlType>,
        pretty: bool,
    ) -> Option<String> {
        Some(if pretty { text.to_owned() } else { format!("({text})") })
    }
    fn setting(&self, name: &str) -> Option<String> {
        (name == "work_mem").then(|| "4MB".to_owned())
    }
    fn set_setting(&self, _: &str, value: &str, _: bool) -> SqlResult<String> {
        Ok(value.to_owned())
    }
    fn next_value(&self, _: Oid) -> SqlResult<i64> {
        let mut position = self.position.lock().expect("not poisoned");
        *position += 1;
        Ok(*position)
    }
    fn current_value(&self, _: Option<Oid>) -> SqlResult<i64> {
        Ok(*self.position.lock().expect("not poisoned"))
    }
    fn set_value(&self, _: Oid, value: i64, called: bool) -> SqlResult<i64> {
        *self.position.lock().expect("not poisoned") = if called { value } else { value - 1 };
        Ok(value)
    }
    fn definition(&self, _: &str, _: &[Datum]) -> SqlResult<Option<String>> {
        Ok(None)
    }
    fn signal(&self, _: i32, _: bool) -> bool {
        false
    }
    fn system_relation(&self, schema: &str, name: &str) -> Option<Oid> {
        (schema == "pg_catalog" && name == "pg_class").then_some(Oid(1259))
    }
    fn system_relation_name(&self, oid: Oid) -> Option<(String, String)> {
        (oid == Oid(1259)).then(|| ("pg_catalog".to_owned(), "pg_class".to_owned()))
    }
    fn sleep(&self, _: i64) -> SqlResult<()> {
        Err(SqlError::unsupported("sleep"))
    }
}

fn column(id: u16, name: &str, oid: Oid) -> ColumnDescriptor {
    ColumnDescriptor {
        id: ColumnId(id),
        name: name.to_owned(),
        sql_type: SqlType::new(oid),
        not_null: false,
        default: None,
        identity: None,
        missing: None,
        generated: None,
        comment: (id == 1).then(|| "the key".to_owned()),
    }
}

fn index(id: u32, oid: u32, name: &str, columns: &[(u16, bool)]) -> IndexDescriptor {
    let column = |(id, descending): &(u16, bool)| IndexColumn {
        column: ColumnId(*id),
        descending: *descending,
        nulls_first: *descending,
    };
    IndexDescriptor {
        id: IndexId(id),
        oid: Oid(oid),
        name: name.to_owned(),
        columns: columns.iter().map(column).collect(),
        unique: true,
        nulls_not_distinct: false,
        state: IndexState::Ready,
        constraint: None,
        predicate: (id == 2).then(|| "b > 0".to_owned()),
    }
}

fn constraint(oid: u32, name: &str, kind: ConstraintKind) -> ConstraintDescriptor {
    ConstraintDescriptor { oid: Oid(oid), name: name.to_owned(), kind, validated: true }
}

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let (public, other) = (Oid(2200), Oid(20_001));
    for (oid, name) in [(public, "public"), (other, "Other")] {
        let schema = SchemaDescriptor { oid, name: name.to_owned(), owner: Oid(10) };
        catalog.put(Descriptor::Schema(Arc::new(schema)));
    }
    let role = RoleDescriptor {
        oid: Oid(10),
        name: "postgres".to_owned(),
        login: true,
        superuser: true,
        create_role: true,
        create_db: true,
        password: None,
    };
    catalog.put(Descriptor::Role(Arc::new(role)));
    for (oid, schema, name) in [(30_000, public, "My Table"), (30_100, other, "hidden")] {
        let table = TableDescriptor {
            oid: Oid(oid),
            storage_id: oid,
            version: 1,
            schema,
            name: name.to_owned(),
            owner: Oid(10),
            columns: vec![column(1, "a", Oid::INT4), column(2, "b", Oid::INT4)],
            next_column: 3,
            indexes: vec![
                index(1, oid + 1, &format!("{name}_pkey"), &[(1, false)]),
                index(2, oid + 2, &format!("{name}_b"), &[(2, true), (1, false)]),
            ],
            next_index: 3,
            constraints: vec![
                constraint(oid + 3, "p", ConstraintKind::PrimaryKey { columns: vec![ColumnId(1)] }),
                constraint(
                    oid + 4,
                    "c",
                    ConstraintKind::Check { expression: "a > 0".to_owned(), columns: vec![ColumnId(1)] },
                ),
                constraint(
                    oid + 5,
                    "f",
                    ConstraintKind::ForeignKey {
                        columns: vec![ColumnId(2)],
                        table: Oid(30_100),
                        referenced: vec![ColumnId(1)],
                        on_delete: schema::ReferentialAction::Cascade,
                        on_update: schema::ReferentialAction::NoAction,
                        deferrable: sharddb_schema::Deferrable::No,
                    },
                ),
            ],
            referenced_by: Vec::new(),
            sharding: Sharding::Range { shards: 1 },
            replication_factor: 0,
            statistics: None,
            comment: Some("rows".to_owned()),
        };
        catalog.put(Descriptor::Table(Arc::new(table)));
    }
    catalog
}

#[test]
fn the_session_is_asked() {
    let session = Session { catalog: Arc::new(catalog()), position: Mutex::new(0) };
    let env = EvalContext { host: Some(Arc::new(session)), ..evaluate::env() };
    for (expression, expected) in [
        // The plain output of a value does not know the catalog.
        ("to_regclass('\"My Table\"')", "regclass 30000"),
        ("to_regclass('public.\"My Table\"')::text", "text \"My Table\""),
        ("to_regclass('\"Other\".hidden')::text", "text \"Other\".hidden"),
        ("to_regclass('hidden')", "NULL"),
        ("to_regclass('pg_class')::text", "text pg_class"),
        ("to_regclass('pg_catalog.pg_class')::oid", "oid 1259"),
        ("'nope'::regclass", "42P01 relation \"nope\" does not exist"),
        ("pg_table_is_visible(30000)", "boolean t"),
        ("pg_table_is_visible(30100)", "boolean f"),
        ("pg_table_is_visible(1259)", "boolean t"),
        ("pg_table_is_visible(5)", "NULL"),
        ("pg_get_userbyid(10)", "name postgres"),
        ("pg_get_userbyid(11)", "name unknown (OID=11)"),
        ("pg_get_indexdef(30001)", "text CREATE UNIQUE INDEX \"My Table_pkey\" ON public.\"My Table\" USING btree (a)"),
        (
            "pg_get_indexdef(30102)",
            "text CREATE UNIQUE INDEX hidden_b ON \"Other\".hidden USING btree (b DESC, a) WHERE (b > 0)",
        ),
        ("pg_get_indexdef(30002, 2, true)", "text a"),
        ("pg_get_constraintdef(30003)", "text PRIMARY KEY (a)"),
        ("pg_get_constraintdef(30004)", "text CHECK ((a > 0))"),
        ("pg_get_constraintdef(30005)", "text FOREIGN KEY (b) REFERENCES \"Other\".hidden(a) ON DELETE CASCADE"),
        ("pg_get_constraintdef(1)", "NULL"),
        ("obj_description(30000, 'pg_class')", "text rows"),
        ("col_description(30000, 1)", "text the key"),
        ("col_description(30000, 2)", "NULL"),
        ("current_setting('work_mem')", "text 4MB"),
        ("current_setting('nope')", "42704 unrecognized configuration parameter \"nope\""),
        ("current_setting('nope', true)", "NULL"),
        ("nextval(30000::regclass)", "bigint 1"),
        ("setval(30000::regclass, 7, false)", "bigint 7"),
        ("lastval()", "bigint 6"),
        ("has_table_privilege('nope', 'select')", "42P01 relation \"nope\" does not exist"),
        ("has_table_privilege('postgres', '\"My Table\"', 'select')", "boolean t"),
        ("current_schemas(true)", "name[] {pg_catalog,public}"),
        ("to_regrole('postgres')::text", "text postgres"),
        ("to_regnamespace('\"Other\"')::text", "text \"Other\""),
        ("pg_advisory_lock(1)", "0A000 advisory locking is not supported"),
    ] {
        assert_eq!(evaluate::show_with(expression, &env), expected, "{expression}");
    }
}
