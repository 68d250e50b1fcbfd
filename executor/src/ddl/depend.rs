//! Which objects depend on which, and what a drop takes along.
//!
//! As in PostgreSQL, what belongs to an object (its indexes, constraints, owned sequences) goes silently; everything
//! else that depends on it makes the drop fail unless it says CASCADE.

use proto::{SqlError, SqlResult, SqlState};
use schema::{ColumnId, ConstraintKind, Descriptor, IndexId, Oid, TableDescriptor};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Changes, names};

/// Something that can be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Schema(Oid),
    Table(Oid),
    View(Oid),
    Sequence(Oid),
    Index(Oid, IndexId),
    Constraint(Oid, Oid),
    Column(Oid, ColumnId),
    Default(Oid, ColumnId),
}

/// A dependent object.
struct Dependent {
    target: Target,
    /// It belongs to what it depends on.
    owned: bool,
}

impl Changes<'_> {
    /// Everything that goes with `roots`, these first. Without `cascade`, anything that does not belong to them is
    /// 2BP01; with it, a notice.
    pub(super) fn closure(&mut self, roots: &[Target], cascade: bool) -> SqlResult<Vec<Target>> {
        let mut all: Vec<Target> = Vec::new();
        let mut reported: Vec<(Target, Target)> = Vec::new();
        for root in roots {
            if !all.contains(root) {
                all.push(*root);
            }
        }
        let mut at = 0;
        while at < all.len() {
            let target = all[at];
            at += 1;
            for dependent in self.dependents(target) {
                if all.contains(&dependent.target) || self.within(dependent.target, &all) {
                    continue;
                }
                all.push(dependent.target);
                if !dependent.owned {
                    reported.push((dependent.target, target));
                }
            }
        }
        if reported.is_empty() {
            return Ok(all);
        }
        if !cascade {
            return Err(self.still_needed(roots, &reported));
        }
        self.report_cascade(&reported);
        Ok(all)
    }

    /// Whether a part goes with the whole that is dropped anyway.
    fn within(&self, target: Target, all: &[Target]) -> bool {
        match target {
            Target::Index(table, _) | Target::Constraint(table, _) | Target::Default(table, _) => {
                all.contains(&Target::Table(table))
            }
            Target::Column(table, _) => all.contains(&Target::Table(table)),
            Target::Schema(_) | Target::Table(_) | Target::View(_) | Target::Sequence(_) => false,
        }
    }

    fn dependents(&self, target: Target) -> Vec<Dependent> {
        match target {
            Target::Schema(oid) => self.relations_in(oid),
            Target::Table(oid) => {
                let mut found = self.owned_sequences(oid, None);
                found.extend(self.foreign_keys_to(oid, None));
                found.extend(self.views_over(oid));
                found
            }
            Target::View(oid) => self.views_over(oid),
            Target::Sequence(oid) => self.defaults_from(oid),
            Target::Column(table, column) => self.dependents_of_column(table, column),
            Target::Constraint(table, constraint) => self.dependents_of_constraint(table, constraint),
            Target::Index(table, index) => self.dependents_of_index(table, index),
            Target::Default(..) => Vec::new(),
        }
    }

    fn relations_in(&self, schema: Oid) -> Vec<Dependent> {
        let target = |object: &Descriptor| match object {
            Descriptor::Table(table) if table.schema == schema => Some(Target::Table(table.oid)),
            Descriptor::View(view) if view.schema == schema => Some(Target::View(view.oid)),
            Descriptor::Sequence(sequence) if sequence.schema == schema && sequence.owned_by.is_none() => {
                Some(Target::Sequence(sequence.oid))
            }
            _ => None,
        };
        self.catalog.objects().filter_map(target).map(normal).collect()
    }

    fn owned_sequences(&self, table: Oid, column: Option<ColumnId>) -> Vec<Dependent> {
        let is_owned = |owner: (Oid, ColumnId)| owner.0 == table && column.is_none_or(|column| column == owner.1);
        let owned = self.sequences().filter(|sequence| sequence.owned_by.is_some_and(is_owned));
        owned.map(|sequence| Dependent { target: Target::Sequence(sequence.oid), owned: true }).collect()
    }

    /// Foreign keys of other tables (and of the table itself when `key` is given) to these columns.
    fn foreign_keys_to(&self, parent: Oid, key: Option<&[ColumnId]>) -> Vec<Dependent> {
        let mut found = Vec::new();
        for table in self.tables().filter(|table| key.is_some() || table.oid != parent) {
            for constraint in &table.constraints {
                let ConstraintKind::ForeignKey { table: to, referenced, .. } = &constraint.kind else { continue };
                let same_key = |key: &[ColumnId]| {
                    key.len() == referenced.len() && key.iter().all(|column| referenced.contains(column))
                };
                if *to == parent && key.is_none_or(same_key) {
                    found.push(normal(Target::Constraint(table.oid, constraint.oid)));
                }
            }
        }
        found
    }

    fn views_over(&self, relation: Oid) -> Vec<Dependent> {
        let over = self.views().filter(|view| view.depends_on.contains(&relation));
        over.map(|view| normal(Target::View(view.oid))).collect()
    }

    /// Defaults that take their values from a sequence, other than in the column that owns it.
    fn defaults_from(&self, sequence: Oid) -> Vec<Dependent> {
        let Some(Descriptor::Sequence(sequence)) = self.catalog.get(sequence) else { return Vec::new() };
        let text = self.nextval_text(sequence);
        let mut found = Vec::new();
        for table in self.tables() {
            for column in table.columns.iter().filter(|column| column.default.as_deref() == Some(text.as_str())) {
                found.push(normal(Target::Default(table.oid, column.id)));
            }
        }
        found
    }

    fn dependents_of_column(&self, table: Oid, column: ColumnId) -> Vec<Dependent> {
        let Some(descriptor) = self.catalog.table(table) else { return Vec::new() };
        let mut found = self.owned_sequences(table, Some(column));
        for constraint in &descriptor.constraints {
            if constraint_reads(&constraint.kind, column) {
                found.push(Dependent { target: Target::Constraint(table, constraint.oid), owned: true });
            }
        }
        for index in &descriptor.indexes[1..] {
            let uses = index.columns.iter().any(|indexed| indexed.column == column);
            if uses && index.constraint.is_none() {
                found.push(Dependent { target: Target::Index(table, index.id), owned: true });
            }
        }
        let name = descriptor.column(column).map_or("", |column| column.name.as_str());
        for view in self.views().filter(|view| view.depends_on.contains(&table)) {
            if self.view_uses(view, descriptor, name) {
                found.push(normal(Target::View(view.oid)));
            }
        }
        found
    }

    fn dependents_of_constraint(&self, table: Oid, constraint: Oid) -> Vec<Dependent> {
        let Some(descriptor) = self.catalog.table(table) else { return Vec::new() };
        let found = descriptor.constraints.iter().find(|found| found.oid == constraint);
        match found.map(|found| &found.kind) {
            Some(ConstraintKind::PrimaryKey { columns } | ConstraintKind::Unique { columns, .. }) => {
                self.foreign_keys_to(table, Some(columns))
            }
            _ => Vec::new(),
        }
    }

    fn dependents_of_index(&self, table: Oid, index: IndexId) -> Vec<Dependent> {
        let Some(index) = self.catalog.table(table).and_then(|table| table.index(index)) else { return Vec::new() };
        if !index.unique {
            return Vec::new();
        }
        let columns: Vec<ColumnId> = index.columns.iter().map(|column| column.column).collect();
        self.foreign_keys_to(table, Some(&columns))
    }

    /// As messages name an object.
    pub(super) fn describe(&self, target: Target) -> String {
        let table_name = |oid: Oid| match self.catalog.table(oid) {
            Some(table) => self.shown_name(table.schema, &table.name),
            None => oid.to_string(),
        };
        match target {
            Target::Schema(oid) => format!("schema {}", names::quote(self.catalog.schema_name(oid).unwrap_or("?"))),
            Target::Table(oid) => format!("table {}", table_name(oid)),
            Target::View(oid) => format!("view {}", self.relation_name(oid)),
            Target::Sequence(oid) => format!("sequence {}", self.relation_name(oid)),
            Target::Index(table, index) => {
                let table = self.catalog.table(table);
                let index = table.and_then(|table| Some((table.schema, table.index(index)?)));
                match index {
                    Some((schema, index)) => format!("index {}", self.shown_name(schema, &index.name)),
                    None => "index".to_owned(),
                }
            }
            Target::Constraint(table, constraint) => {
                let found = self.catalog.table(table).and_then(|table| constraint_of(table, constraint));
                format!("constraint {} on table {}", names::quote(found.unwrap_or("?")), table_name(table))
            }
            Target::Column(table, column) => {
                format!("column {} of table {}", self.column_name(table, column), table_name(table))
            }
            Target::Default(table, column) => {
                let column = self.column_name(table, column);
                format!("default value for column {column} of table {}", table_name(table))
            }
        }
    }

    fn relation_name(&self, oid: Oid) -> String {
        match self.catalog.get(oid) {
            Some(Descriptor::View(view)) => self.shown_name(view.schema, &view.name),
            Some(Descriptor::Sequence(sequence)) => self.shown_name(sequence.schema, &sequence.name),
            _ => oid.to_string(),
        }
    }

    fn column_name(&self, table: Oid, column: ColumnId) -> String {
        let found = self.catalog.table(table).and_then(|table| table.column(column));
        names::quote(found.map_or("?", |column| column.name.as_str()))
    }

    fn still_needed(&self, roots: &[Target], reported: &[(Target, Target)]) -> SqlError {
        let message = match roots {
            [root] => format!("cannot drop {} because other objects depend on it", self.describe(*root)),
            _ => "cannot drop desired object(s) because other objects depend on them".to_owned(),
        };
        let line = |(dependent, on): &(Target, Target)| {
            format!("{} depends on {}", self.describe(*dependent), self.describe_support(*on))
        };
        let lines: Vec<String> = reported.iter().map(line).collect();
        SqlError::new(SqlState::DependentObjectsStillExist, message)
            .with_detail(lines.join("\n"))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
    }

    /// A foreign key depends on the index behind a key constraint, and is said so.
    fn describe_support(&self, target: Target) -> String {
        if let Target::Constraint(table, constraint) = target
            && let Some(table) = self.catalog.table(table)
            && let Some(index) = table.indexes.iter().find(|index| index.constraint == Some(constraint))
        {
            return format!("index {}", self.shown_name(table.schema, &index.name));
        }
        self.describe(target)
    }

    fn report_cascade(&mut self, reported: &[(Target, Target)]) {
        let lines: Vec<String> =
            reported.iter().map(|(target, _)| format!("drop cascades to {}", self.describe(*target))).collect();
        if let [line] = lines.as_slice() {
            return self.notice(line.clone());
        }
        let mut notice = crate::session::Notice::plain(format!("drop cascades to {} other objects", lines.len()));
        notice.message = notice.message.with_detail(lines.join("\n"));
        self.notices.push(notice);
    }
}

fn normal(target: Target) -> Dependent {
    Dependent { target, owned: false }
}

fn constraint_of(table: &TableDescriptor, constraint: Oid) -> Option<&str> {
    table.constraints.iter().find(|found| found.oid == constraint).map(|found| found.name.as_str())
}

/// Whether a constraint of a table reads one of its columns.
fn constraint_reads(kind: &ConstraintKind, column: ColumnId) -> bool {
    match kind {
        ConstraintKind::PrimaryKey { columns }
        | ConstraintKind::Unique { columns, .. }
        | ConstraintKind::Check { columns, .. }
        | ConstraintKind::ForeignKey { columns, .. } => columns.contains(&column),
    }
}
