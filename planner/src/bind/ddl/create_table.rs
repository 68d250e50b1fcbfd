//! CREATE TABLE, CREATE TABLE AS and SELECT INTO.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;
use sqlparser::ast;

use super::{
    super::{Binder, fold, names::Name},
    options::table_options,
};
use crate::plan::{ColumnDefinition, CreateTable, Ddl, OnCommit, QualifiedName, Query};

impl Binder<'_> {
    /// CREATE TABLE … AS, of which the table may stay empty.
    pub(in crate::bind) fn create_table_as(&mut self, create: &ast::CreateTable, with_data: bool) -> SqlResult<Ddl> {
        match self.create_table(create)? {
            Ddl::CreateTableAs { table, query, .. } => Ok(Ddl::CreateTableAs { table, query, with_data }),
            _ => Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \"AS\"")),
        }
    }

    pub(super) fn create_table(&mut self, create: &ast::CreateTable) -> SqlResult<Ddl> {
        refuse_unsupported(create)?;
        let name = self.object_name(&create.name)?;
        let options = table_options(&create.table_options)?;
        let mut table = CreateTable {
            name: self.new_table_name(&name, create.temporary)?,
            if_not_exists: create.if_not_exists,
            columns: Vec::with_capacity(create.columns.len()),
            constraints: Vec::new(),
            indexes: Vec::new(),
            shards: options.shards,
            shard_by_hash: options.shard_by_hash,
            shard_key: options.shard_key,
            replication_factor: options.replication_factor,
            on_commit: self.on_commit(create.on_commit.as_ref(), &name, create.temporary)?,
        };
        if let Some(query) = &create.query {
            let query = self.query(query, None)?;
            let names: Vec<String> = create.columns.iter().map(|column| fold(&column.name)).collect();
            table.columns = columns_of_query(&query, &names)?;
            return Ok(Ddl::CreateTableAs { table: Box::new(table), query: Box::new(query), with_data: true });
        }
        for tree in &create.columns {
            let (column, constraints) = self.column_definition(tree, &name.name)?;
            if table.columns.iter().any(|known| known.name == column.name) {
                let message = format!("column \"{}\" specified more than once", column.name);
                return Err(SqlError::new(SqlState::DuplicateColumn, message));
            }
            table.columns.push(column);
            table.constraints.extend(constraints);
        }
        for constraint in &create.constraints {
            table.constraints.push(self.table_constraint(constraint, false)?);
        }
        Ok(Ddl::CreateTable(Box::new(table)))
    }

    /// `SELECT … INTO table`
    pub(in crate::bind) fn select_into(&mut self, query: &ast::Query, select: &ast::Select) -> SqlResult<Ddl> {
        let Some(into) = &select.into else { return Err(SqlError::unsupported("SELECT INTO")) };
        let name = self.object_name(&into.name)?;
        let mut plain = query.clone();
        if let ast::SetExpr::Select(select) = &mut *plain.body {
            select.into = None;
        }
        let query = self.query(&plain, None)?;
        let table = CreateTable {
            name: self.new_table_name(&name, into.temporary)?,
            if_not_exists: false,
            columns: columns_of_query(&query, &[])?,
            constraints: Vec::new(),
            indexes: Vec::new(),
            shards: None,
            shard_by_hash: None,
            shard_key: Vec::new(),
            replication_factor: 0,
            on_commit: OnCommit::PreserveRows,
        };
        Ok(Ddl::CreateTableAs { table: Box::new(table), query: Box::new(query), with_data: true })
    }

    fn new_table_name(&self, name: &Name, temporary: bool) -> SqlResult<QualifiedName> {
        if temporary { self.new_temporary_name(name) } else { self.new_name(name) }
    }

    fn on_commit(&self, clause: Option<&ast::OnCommit>, name: &Name, temporary: bool) -> SqlResult<OnCommit> {
        let temporary = temporary || name.schema.as_ref() == Some(&self.eval_context().temp_schema());
        if clause.is_some() && !temporary {
            let message = "ON COMMIT can only be used on temporary tables";
            return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
        }
        Ok(match clause {
            None | Some(ast::OnCommit::PreserveRows) => OnCommit::PreserveRows,
            Some(ast::OnCommit::DeleteRows) => OnCommit::DeleteRows,
            Some(ast::OnCommit::Drop) => OnCommit::Drop,
        })
    }
}

/// Columns of a table made from a query, under the names that are given.
fn columns_of_query(query: &Query, names: &[String]) -> SqlResult<Vec<ColumnDefinition>> {
    if names.len() > query.fields.len() {
        return Err(SqlError::new(SqlState::SyntaxError, "too many column names were specified"));
    }
    let mut columns: Vec<ColumnDefinition> = Vec::with_capacity(query.fields.len());
    for (at, field) in query.fields.iter().enumerate() {
        let name = names.get(at).unwrap_or(&field.name).clone();
        super::refuse_record(&name, field.sql_type)?;
        if columns.iter().any(|known| known.name == name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(SqlError::new(SqlState::DuplicateColumn, message));
        }
        columns.push(ColumnDefinition {
            name,
            sql_type: field.sql_type,
            serial: false,
            not_null: false,
            default: None,
            identity: None,
            generated: None,
        });
    }
    Ok(columns)
}

fn refuse_unsupported(create: &ast::CreateTable) -> SqlResult<()> {
    let unsupported = [
        (create.external || create.dynamic || create.iceberg, "external tables"),
        (create.like.is_some(), "CREATE TABLE … LIKE"),
        (create.inherits.is_some(), "table inheritance"),
        (create.partition_of.is_some() || create.partition_by.is_some(), "declarative partitioning"),
    ];
    if let Some((_, what)) = unsupported.iter().find(|(given, _)| *given) {
        return Err(SqlError::unsupported(what));
    }
    let foreign = create.or_replace
        || create.transient
        || create.clone.is_some()
        || create.comment.is_some()
        || create.file_format.is_some()
        || create.without_rowid
        || create.strict
        || create.order_by.is_some()
        || create.cluster_by.is_some()
        || create.primary_key.is_some();
    if foreign {
        return Err(SqlError::new(SqlState::SyntaxError, "syntax error: clause of another SQL dialect"));
    }
    Ok(())
}
