//! CREATE SEQUENCE and ALTER SEQUENCE, and the sequences behind serial and identity columns.

use std::sync::Arc;

use planner::plan::{QualifiedName, SequenceOptions};
use proto::{SqlError, SqlResult, SqlState};
use schema::{ColumnId, Descriptor, Oid, SequenceDescriptor, TableDescriptor};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::Changes;
use crate::{
    catalog,
    sequence::{OwnSequence, Position},
};

/// Smallest and greatest value of an integer type.
fn type_bounds(sql_type: Oid) -> SqlResult<(i64, i64)> {
    match sql_type {
        Oid::INT2 => Ok((i16::MIN.into(), i16::MAX.into())),
        Oid::INT4 => Ok((i32::MIN.into(), i32::MAX.into())),
        Oid::INT8 => Ok((i64::MIN, i64::MAX)),
        _ => Err(invalid("sequence type must be smallint, integer, or bigint".to_owned())),
    }
}

/// The sequence with options applied: to the present one, or to the defaults of a new one.
fn apply(
    options: &SequenceOptions,
    present: Option<&SequenceDescriptor>,
    base: Names,
) -> SqlResult<SequenceDescriptor> {
    let old_type = present.map_or(Oid::INT8, |present| present.sql_type);
    let sql_type = options.sql_type.unwrap_or(old_type);
    let (type_min, type_max) = type_bounds(sql_type)?;
    let increment = options.increment.or(present.map(|present| present.increment)).unwrap_or(1);
    if increment == 0 {
        return Err(invalid("INCREMENT must not be zero".to_owned()));
    }
    let ascending = increment > 0;
    let default_max = if ascending { type_max } else { -1 };
    let default_min = if ascending { 1 } else { type_min };
    // A bound that was the old type's own follows the type.
    let (old_type_min, old_type_max) = type_bounds(old_type)?;
    let kept_max = present.map(|p| p.max).filter(|max| sql_type == old_type || *max != old_type_max);
    let kept_min = present.map(|p| p.min).filter(|min| sql_type == old_type || *min != old_type_min);
    let max = match options.max {
        Some(asked) => asked.unwrap_or(default_max),
        None => kept_max.unwrap_or(default_max),
    };
    let min = match options.min {
        Some(asked) => asked.unwrap_or(default_min),
        None => kept_min.unwrap_or(default_min),
    };
    for (label, bound) in [("MAXVALUE", max), ("MINVALUE", min)] {
        if !(type_min..=type_max).contains(&bound) {
            let type_name = sql_type.type_info().map_or("bigint", |info| info.sql_name);
            return Err(invalid(format!("{label} ({bound}) is out of range for sequence data type {type_name}")));
        }
    }
    if min >= max {
        return Err(invalid(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})")));
    }
    let default_start = if ascending { min } else { max };
    let start = options.start.or(present.map(|present| present.start)).unwrap_or(default_start);
    check_value("START", start, min, max)?;
    let cache = options.cache.or(present.map(|present| present.cache)).unwrap_or(1);
    if cache < 1 {
        return Err(invalid(format!("CACHE ({cache}) must be greater than zero")));
    }
    Ok(SequenceDescriptor {
        oid: base.oid,
        schema: base.schema,
        name: base.name,
        owner: base.owner,
        sql_type,
        start,
        increment,
        min,
        max,
        cache,
        cycle: options.cycle.or(present.map(|present| present.cycle)).unwrap_or(false),
        owned_by: present.and_then(|present| present.owned_by),
    })
}

/// What names a sequence.
struct Names {
    oid: Oid,
    schema: Oid,
    name: String,
    owner: Oid,
}

fn check_value(label: &str, value: i64, min: i64, max: i64) -> SqlResult<()> {
    if value < min {
        return Err(invalid(format!("{label} value ({value}) cannot be less than MINVALUE ({min})")));
    }
    if value > max {
        return Err(invalid(format!("{label} value ({value}) cannot be greater than MAXVALUE ({max})")));
    }
    Ok(())
}

fn invalid(message: String) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, message)
}

impl Changes<'_> {
    /// CREATE SEQUENCE.
    pub(super) async fn create_sequence(
        &mut self,
        name: &QualifiedName,
        options: &SequenceOptions,
        if_not_exists: bool,
    ) -> SqlResult<()> {
        let schema = self.schema_for_new(&name.schema, &name.name).await?;
        if self.relation_exists(schema.oid, &name.name) {
            return self.exists_already("relation", &name.name, SqlState::DuplicateTable, if_not_exists);
        }
        let sequence = self.new_sequence(schema.oid, name.name.clone(), options).await?;
        let owned_by = self.owner_column(options, &sequence)?;
        let sequence = SequenceDescriptor { owned_by, ..sequence };
        self.store_new_sequence(sequence)
    }

    /// A sequence with a fresh OID, not stored yet.
    pub(super) async fn new_sequence(
        &self,
        schema: Oid,
        name: String,
        options: &SequenceOptions,
    ) -> SqlResult<SequenceDescriptor> {
        let names = Names { oid: self.new_oid().await?, schema, name, owner: self.actor.role };
        apply(options, None, names)
    }

    /// Stores a new sequence and its position.
    pub(super) fn store_new_sequence(&mut self, sequence: SequenceDescriptor) -> SqlResult<()> {
        let position = Position { value: sequence.start, called: false };
        self.txn.kv.put(catalog::sequence_key(sequence.oid), position.encode());
        if let Some(host) = &self.own_sequences {
            host.own_sequences.lock().insert(sequence.oid, OwnSequence::new(position));
        }
        self.put(Descriptor::Sequence(Arc::new(sequence)))
    }

    /// A sequence for a serial or identity column.
    pub(super) async fn sequence_for_column(
        &mut self,
        table: &TableDescriptor,
        column: (&str, ColumnId, Oid),
        options: &SequenceOptions,
    ) -> SqlResult<SequenceDescriptor> {
        let (column_name, column_id, column_type) = column;
        let name = self.choose_relation_name(table.schema, &table.name, Some(column_name), "seq");
        let options = SequenceOptions { sql_type: options.sql_type.or(Some(column_type)), ..options.clone() };
        let mut sequence = self.new_sequence(table.schema, name, &options).await?;
        sequence.owned_by = Some((table.oid, column_id));
        self.store_new_sequence(sequence.clone())?;
        Ok(sequence)
    }

    /// ALTER SEQUENCE.
    pub(super) async fn alter_sequence(
        &mut self,
        name: &QualifiedName,
        options: &SequenceOptions,
        if_exists: bool,
    ) -> SqlResult<()> {
        let Some(present) = self.find_sequence(name, if_exists)? else { return Ok(()) };
        let names =
            Names { oid: present.oid, schema: present.schema, name: present.name.clone(), owner: present.owner };
        let mut sequence = apply(options, Some(&present), names)?;
        if options.owned_by.is_some() {
            sequence.owned_by = self.owner_column(options, &sequence)?;
        }
        if let Some(restart) = options.restart {
            let value = restart.unwrap_or(sequence.start);
            check_value("RESTART", value, sequence.min, sequence.max)?;
            self.restart_sequence(sequence.oid, value).await?;
        } else {
            // Looked at first: what fails here takes no values back.
            let shown = self.engine.sequences().position(self.engine.client(), &present).await;
            if let Ok(shown) = shown {
                check_value("RESTART", shown.value, sequence.min, sequence.max)?;
            }
            let key = catalog::sequence_key(sequence.oid);
            crate::sequence::lock_position(&mut self.txn.kv, &key).await?;
            let stored = crate::sequence::read_position(&mut self.txn.kv, sequence.oid).await?;
            let own =
                self.own_sequences.as_ref().and_then(|host| host.own_sequences.lock().get(&sequence.oid).copied());
            let position = match own {
                Some(own) => own.position,
                None => self.engine.sequences().take_back(stored, &present).await,
            };
            self.txn.kv.put(key, position.encode());
            self.own_position(sequence.oid, position, position);
            check_value("RESTART", position.value, sequence.min, sequence.max)?;
        }
        self.engine.sequences().forget(sequence.oid);
        self.put(Descriptor::Sequence(Arc::new(sequence)))
    }

    /// Sets a sequence back, together with the transaction (TRUNCATE … RESTART IDENTITY, ALTER SEQUENCE … RESTART).
    pub(super) async fn restart_sequence(&mut self, sequence: Oid, value: i64) -> SqlResult<()> {
        let key = catalog::sequence_key(sequence);
        crate::sequence::lock_position(&mut self.txn.kv, &key).await?;
        let stored = crate::sequence::read_position(&mut self.txn.kv, sequence).await?;
        let before = match self.catalog.get(sequence) {
            Some(Descriptor::Sequence(present)) => self.engine.sequences().take_back(stored, present).await,
            _ => stored,
        };
        let position = Position { value, called: false };
        self.txn.kv.put(key, position.encode());
        self.own_position(sequence, position, before);
        self.engine.sequences().forget(sequence);
        Ok(())
    }

    /// The transaction holds the lock on the position, so until it commits it takes values from here.
    fn own_position(&self, sequence: Oid, position: Position, before: Position) {
        if let Some(host) = &self.own_sequences {
            let mut own = host.own_sequences.lock();
            let present = own.get(&sequence).copied();
            own.insert(sequence, OwnSequence::restarted(present, position, before));
        }
    }

    fn owner_column(
        &self,
        options: &SequenceOptions,
        sequence: &SequenceDescriptor,
    ) -> SqlResult<Option<(Oid, ColumnId)>> {
        let Some(Some((table, column))) = &options.owned_by else { return Ok(None) };
        let found = self.find_table(table, false)?;
        let Some(found) = found else { return Ok(None) };
        if found.schema != sequence.schema {
            let message = "sequence must be in same schema as table it is linked to";
            return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message));
        }
        let at = found.position_by_name(column).ok_or_else(|| super::errors::undefined_column(column, &found.name))?;
        Ok(Some((found.oid, found.columns[at].id)))
    }
}
