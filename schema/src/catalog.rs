//! An immutable snapshot of the catalog, shared by every statement that plans against it.
//!
//! A change makes a new snapshot that shares the descriptors it does not touch. Read by the binder, the
//! executor and the system catalog tables; filled from the catalog's rows by the executor.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    DatabaseDescriptor, Oid, RoleDescriptor, SchemaDescriptor, SequenceDescriptor, TableDescriptor, ViewDescriptor,
};

/// Any descriptor.
#[derive(Clone, Debug, PartialEq)]
pub enum Descriptor {
    /// A database.
    Database(Arc<DatabaseDescriptor>),
    /// A schema.
    Schema(Arc<SchemaDescriptor>),
    /// A role.
    Role(Arc<RoleDescriptor>),
    /// A table.
    Table(Arc<TableDescriptor>),
    /// A view.
    View(Arc<ViewDescriptor>),
    /// A sequence.
    Sequence(Arc<SequenceDescriptor>),
}

impl Descriptor {
    /// OID of the object.
    pub fn oid(&self) -> Oid {
        match self {
            Self::Database(d) => d.oid,
            Self::Schema(d) => d.oid,
            Self::Role(d) => d.oid,
            Self::Table(d) => d.oid,
            Self::View(d) => d.oid,
            Self::Sequence(d) => d.oid,
        }
    }

    /// Schema and name of a relation; `None` for what is no relation.
    fn relation_name(&self) -> Option<(Oid, &str)> {
        match self {
            Self::Table(d) => Some((d.schema, &d.name)),
            Self::View(d) => Some((d.schema, &d.name)),
            Self::Sequence(d) => Some((d.schema, &d.name)),
            Self::Database(_) | Self::Schema(_) | Self::Role(_) => None,
        }
    }
}

/// The catalog as of one moment.
///
/// Invariant: `relations` and `schemas` and `index_owners` name exactly what `objects` holds.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    objects: BTreeMap<Oid, Descriptor>,
    relations: BTreeMap<(Oid, String), Oid>,
    schemas: BTreeMap<String, Oid>,
    /// (schema, index name) to the table's OID.
    index_owners: BTreeMap<(Oid, String), Oid>,
}

impl Catalog {
    /// The object with this OID.
    pub fn get(&self, oid: Oid) -> Option<&Descriptor> {
        self.objects.get(&oid)
    }

    /// The table with this OID.
    pub fn table(&self, oid: Oid) -> Option<&Arc<TableDescriptor>> {
        match self.objects.get(&oid) {
            Some(Descriptor::Table(table)) => Some(table),
            _ => None,
        }
    }

    /// The relation (table, view or sequence) of this name in a schema.
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Descriptor> {
        let schema = self.schemas.get(schema)?;
        self.relation_in(*schema, name)
    }

    /// The relation of this name in the schema with this OID.
    pub fn relation_in(&self, schema: Oid, name: &str) -> Option<&Descriptor> {
        self.objects.get(self.relations.get(&(schema, name.to_owned()))?)
    }

    /// The table that owns the index of this name in a schema.
    pub fn index_owner(&self, schema: &str, index: &str) -> Option<&Arc<TableDescriptor>> {
        let schema = self.schemas.get(schema)?;
        self.table(*self.index_owners.get(&(*schema, index.to_owned()))?)
    }

    /// The schema of this name.
    pub fn schema(&self, name: &str) -> Option<&Arc<SchemaDescriptor>> {
        match self.objects.get(self.schemas.get(name)?) {
            Some(Descriptor::Schema(schema)) => Some(schema),
            _ => None,
        }
    }

    /// Name of the schema with this OID.
    pub fn schema_name(&self, oid: Oid) -> Option<&str> {
        match self.objects.get(&oid) {
            Some(Descriptor::Schema(schema)) => Some(&schema.name),
            _ => None,
        }
    }

    /// The role of this name.
    pub fn role(&self, name: &str) -> Option<&Arc<RoleDescriptor>> {
        self.objects.values().find_map(|object| match object {
            Descriptor::Role(role) if role.name == name => Some(role),
            _ => None,
        })
    }

    /// Every object in OID order.
    pub fn objects(&self) -> impl Iterator<Item = &Descriptor> {
        self.objects.values()
    }

    /// Adds or replaces an object.
    pub fn put(&mut self, object: Descriptor) {
        self.remove(object.oid());
        let oid = object.oid();
        if let Some((schema, name)) = object.relation_name() {
            self.relations.insert((schema, name.to_owned()), oid);
        }
        match &object {
            Descriptor::Schema(schema) => {
                self.schemas.insert(schema.name.clone(), oid);
            }
            Descriptor::Table(table) => {
                for index in table.indexes.iter().filter(|index| !index.columns.is_empty()) {
                    self.index_owners.insert((table.schema, index.name.clone()), oid);
                }
            }
            Descriptor::Database(_) | Descriptor::Role(_) | Descriptor::View(_) | Descriptor::Sequence(_) => {}
        }
        self.objects.insert(oid, object);
    }

    /// Removes an object; nothing happens if there is none.
    pub fn remove(&mut self, oid: Oid) {
        let Some(object) = self.objects.remove(&oid) else { return };
        if let Some((schema, name)) = object.relation_name() {
            self.relations.remove(&(schema, name.to_owned()));
        }
        match &object {
            Descriptor::Schema(schema) => {
                self.schemas.remove(&schema.name);
            }
            Descriptor::Table(table) => {
                for index in &table.indexes {
                    self.index_owners.remove(&(table.schema, index.name.clone()));
                }
            }
            Descriptor::Database(_) | Descriptor::Role(_) | Descriptor::View(_) | Descriptor::Sequence(_) => {}
        }
    }
}
