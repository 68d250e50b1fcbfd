//! What names an expression can see.
//!
//! A scope stands for one input row and knows where each of its columns comes from. Scopes of enclosing queries are
//! linked by `parent`; a column found there becomes `Expr::Outer`. While a select list is bound the scope also collects
//! the aggregates, window calls and set-returning functions it meets; their results stand as columns beyond the row
//! ([`CALLS`]) until the select's steps are put together.

use std::cell::{Cell, RefCell};

use proto::{SqlError, SqlResult, SqlState};
use schema::{SqlType, TableDescriptor};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::plan::{AggregateCall, Expr, Field, WindowCall};

/// First index of a column that stands for a collected call; a row never has so many columns.
pub(super) const CALLS: usize = 1 << 40;
/// Distance between the index ranges of the kinds of calls.
pub(super) const CALL_KIND: usize = 1 << 36;

/// A column that every system table has without showing it.
pub(super) const TABLE_OID: &str = "tableoid";

/// A column that an expression can name.
#[derive(Clone, Debug)]
pub(super) struct ScopeColumn {
    /// Position in `Scope::tables`; `None` for a column merged by USING.
    pub(super) table: Option<usize>,
    pub(super) name: String,
    /// What it stands for, over the scope's row.
    pub(super) expr: Expr,
    pub(super) origin: (u32, u16),
    /// Found by its name alone and part of `*`; false for what USING has merged.
    pub(super) bare: bool,
}

/// A relation of FROM.
#[derive(Clone, Debug)]
pub(super) struct ScopeTable {
    pub(super) alias: String,
    /// Schema by which it can be named too; `None` once it has an alias.
    pub(super) schema: Option<String>,
    /// `TableScan::reference` of a table.
    pub(super) reference: Option<usize>,
    /// Columns of the primary key as positions in the table, if there is one: grouping by them groups by the row.
    pub(super) key: Vec<usize>,
    /// Can be named no more: it lies inside a join with an alias.
    pub(super) hidden: bool,
    /// Its columns are NULL where an outer join found no row.
    pub(super) nullable: bool,
    /// A column, counted among its own, that is NULL only then.
    pub(super) not_null: Option<usize>,
    /// A function with one value a row: its row is that value.
    pub(super) scalar: bool,
}

/// The part of a statement that is being bound, which decides what may be called in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clause {
    SelectList,
    Where,
    JoinOn,
    GroupBy,
    Having,
    OrderBy,
    DistinctOn,
    Limit,
    Values,
    From,
    Default,
    Check,
    Set,
    Returning,
    AggregateArgument,
    WindowDefinition,
}

impl Clause {
    /// As error messages name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SelectList => "SELECT",
            Self::Where => "WHERE",
            Self::JoinOn => "JOIN conditions",
            Self::GroupBy => "GROUP BY",
            Self::Having => "HAVING",
            Self::OrderBy => "ORDER BY",
            Self::DistinctOn => "DISTINCT ON",
            Self::Limit => "LIMIT",
            Self::Values => "VALUES",
            Self::From => "functions in FROM",
            Self::Default => "DEFAULT expressions",
            Self::Check => "check constraints",
            Self::Set => "UPDATE",
            Self::Returning => "RETURNING",
            Self::AggregateArgument => "aggregate function calls",
            Self::WindowDefinition => "window definitions",
        }
    }
}

/// Calls met in a select list.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) aggregates: Vec<AggregateCall>,
    /// Direct arguments of ordered-set aggregates that read columns.
    pub(super) direct: Vec<Expr>,
    /// Arguments of GROUPING calls.
    pub(super) groupings: Vec<Vec<Expr>>,
    pub(super) windows: Vec<WindowCall>,
    /// Function, arguments and result column.
    pub(super) sets: Vec<(String, Vec<Expr>, Field)>,
}

/// The kinds of collected calls, each with a range of column indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallKind {
    Aggregate,
    Grouping,
    Window,
    Set,
}

impl CallKind {
    /// The column that stands for a call of this kind.
    pub(super) fn column(self, number: usize, sql_type: SqlType) -> Expr {
        Expr::Column { index: CALLS + self as usize * CALL_KIND + number, sql_type }
    }

    /// Kind and number of the call that a column stands for; `None` for a column of the row.
    pub(super) fn of(index: usize) -> Option<(Self, usize)> {
        let beyond = index.checked_sub(CALLS)?;
        let kind = match beyond / CALL_KIND {
            0 => Self::Aggregate,
            1 => Self::Grouping,
            2 => Self::Window,
            _ => Self::Set,
        };
        Some((kind, beyond % CALL_KIND))
    }
}

/// The names that an expression can see.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) tables: Vec<ScopeTable>,
    pub(super) columns: Vec<ScopeColumn>,
    /// Columns of the row.
    pub(super) width: usize,
    pub(super) parent: Option<&'a Scope<'a>>,
    pub(super) clause: Cell<Clause>,
    pub(super) calls: RefCell<Calls>,
    /// Named windows of the select.
    pub(super) windows: RefCell<Vec<(String, sqlparser::ast::WindowSpec)>>,
}

impl<'a> Scope<'a> {
    /// No columns.
    pub(super) fn empty(clause: Clause) -> Self {
        Self::new(Vec::new(), Vec::new(), 0, None, clause)
    }

    pub(super) fn new(
        tables: Vec<ScopeTable>,
        columns: Vec<ScopeColumn>,
        width: usize,
        parent: Option<&'a Scope<'a>>,
        clause: Clause,
    ) -> Self {
        let (calls, windows) = Default::default();
        Self { tables, columns, width, parent, clause: Cell::new(clause), calls, windows }
    }

    /// The columns of a table, from position `first` of the row on.
    pub(super) fn of_table(table: &TableDescriptor, alias: &str, first: usize, parent: Option<&'a Scope<'a>>) -> Self {
        let fields = table_fields(table);
        let mut scope = Self::new(Vec::new(), Vec::new(), 0, parent, Clause::Check);
        scope.add(ScopeTable::plain(alias), &fields, first);
        scope
    }

    /// Adds a relation whose fields start at position `first` of the row.
    pub(super) fn add(&mut self, table: ScopeTable, fields: &[Field], first: usize) {
        let number = self.tables.len();
        self.tables.push(table);
        self.columns.extend(fields.iter().enumerate().map(|(at, field)| ScopeColumn {
            table: Some(number),
            name: field.name.clone(),
            expr: Expr::Column { index: first + at, sql_type: field.sql_type },
            origin: field.origin,
            bare: true,
        }));
        self.width = self.width.max(first + fields.len());
    }

    /// Adds a column to the last relation that is no part of `*`.
    pub(super) fn add_hidden(&mut self, field: Field) {
        let expr = Expr::Column { index: self.width, sql_type: field.sql_type };
        let table = self.tables.len().checked_sub(1);
        self.columns.push(ScopeColumn { table, name: field.name, expr, origin: field.origin, bare: false });
        self.width += 1;
    }

    /// The column of this name, qualified or not; outer scopes are searched when this one has none.
    ///
    /// # Errors
    /// 42702 when several match. `None` when none does.
    pub(super) fn find(
        &self,
        qualifier: Option<(&Option<String>, &str)>,
        name: &str,
    ) -> SqlResult<Option<ScopeColumn>> {
        let mut scope = self;
        let mut depth = 0;
        loop {
            if let Some(column) = scope.find_here(qualifier, name)? {
                let mut column = column.clone();
                if depth > 0 {
                    column.expr = outer(column.expr, depth);
                }
                return Ok(Some(column));
            }
            let Some(parent) = scope.parent else { return Ok(None) };
            scope = parent;
            depth += 1;
        }
    }

    fn find_here(&self, qualifier: Option<(&Option<String>, &str)>, name: &str) -> SqlResult<Option<&ScopeColumn>> {
        let mut matching = self.columns.iter().filter(|column| {
            column.name == name
                && match qualifier {
                    None => column.bare || (name == TABLE_OID && column.table.is_some()),
                    Some((schema, table)) => column.table.is_some_and(|at| self.tables[at].is_named(schema, table)),
                }
        });
        let found = matching.next();
        if matching.next().is_some() {
            let message = format!("column reference \"{name}\" is ambiguous");
            return Err(SqlError::new(SqlState::AmbiguousColumn, message));
        }
        Ok(found)
    }

    /// Columns of a relation of this scope, as seen from `depth` scopes further in.
    pub(super) fn table_columns(&self, table: usize, depth: usize) -> Vec<(String, Expr)> {
        let columns = self.columns.iter().filter(|column| column.table == Some(table));
        let seen = |expr: &Expr| if depth > 0 { outer(expr.clone(), depth) } else { expr.clone() };
        columns.map(|column| (column.name.clone(), seen(&column.expr))).collect()
    }

    /// Position of the relation of this name, here or in an outer scope (with its depth).
    pub(super) fn find_table(&self, schema: &Option<String>, name: &str) -> Option<(usize, usize, &Scope<'a>)> {
        let mut scope = self;
        let mut depth = 0;
        loop {
            if let Some(at) = scope.tables.iter().position(|table| table.is_named(schema, name)) {
                return Some((depth, at, scope));
            }
            scope = scope.parent?;
            depth += 1;
        }
    }
}

impl ScopeTable {
    pub(super) fn plain(alias: &str) -> Self {
        Self {
            alias: alias.to_owned(),
            schema: None,
            reference: None,
            key: Vec::new(),
            hidden: false,
            nullable: false,
            not_null: None,
            scalar: false,
        }
    }

    fn is_named(&self, schema: &Option<String>, name: &str) -> bool {
        !self.hidden && self.alias == name && (schema.is_none() || *schema == self.schema)
    }
}

/// A column's expression as seen from `depth` scopes further in.
pub(super) fn outer(expr: Expr, depth: usize) -> Expr {
    let mut expr = expr;
    super::visit::walk_mut(&mut expr, 0, &mut |node, _| {
        *node = match std::mem::replace(node, Expr::Default) {
            Expr::Column { index, sql_type } => Expr::Outer { depth, index, sql_type },
            Expr::Outer { depth: before, index, sql_type } => Expr::Outer { depth: before + depth, index, sql_type },
            other => other,
        };
    });
    expr
}

/// Fields of a table's live columns.
pub(super) fn table_fields(table: &TableDescriptor) -> Vec<Field> {
    let fields = table.columns.iter().map(|column| Field {
        name: column.name.clone(),
        sql_type: column.sql_type,
        origin: (table.oid.0, column.id.0),
    });
    fields.collect()
}
