//! TRUNCATE: the tables get new, empty storage.

use proto::{SqlError, SqlResult, SqlState};
use schema::{ConstraintKind, Oid, TableDescriptor};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::Changes;

impl Changes<'_> {
    pub(crate) async fn truncate(&mut self, tables: &[Oid], restart_identity: bool, cascade: bool) -> SqlResult<()> {
        let tables = self.with_referencing(tables, cascade)?;
        for oid in &tables {
            let table = self.table(*oid)?;
            self.lock_table(&table).await?;
            let mut table = TableDescriptor::clone(&table);
            self.empty(&mut table).await?;
            self.put_table(table)?;
            if restart_identity {
                self.restart_owned(*oid).await?;
            }
        }
        Ok(())
    }

    /// The tables and, with CASCADE, all that refer to them. Without it, one that is not truncated too is 0A000.
    fn with_referencing(&mut self, tables: &[Oid], cascade: bool) -> SqlResult<Vec<Oid>> {
        let mut all: Vec<Oid> = Vec::new();
        all.extend(tables);
        all.dedup();
        let mut at = 0;
        while at < all.len() {
            let table = self.table(all[at])?;
            at += 1;
            for child in table.referenced_by.clone() {
                if all.contains(&child) {
                    continue;
                }
                let child = self.table(child)?;
                if !cascade {
                    return Err(still_referenced(&table, &child));
                }
                self.notice(format!("truncate cascades to table \"{}\"", child.name));
                all.push(child.oid);
            }
        }
        Ok(all)
    }

    async fn restart_owned(&mut self, table: Oid) -> SqlResult<()> {
        let owned = |sequence: &&std::sync::Arc<schema::SequenceDescriptor>| {
            sequence.owned_by.is_some_and(|(owner, _)| owner == table)
        };
        let sequences: Vec<(Oid, i64)> =
            self.sequences().filter(owned).map(|sequence| (sequence.oid, sequence.start)).collect();
        for (oid, start) in sequences {
            self.restart_sequence(oid, start).await?;
        }
        Ok(())
    }
}

fn still_referenced(table: &TableDescriptor, child: &TableDescriptor) -> SqlError {
    let refers = |constraint: &&schema::ConstraintDescriptor| matches!(&constraint.kind, ConstraintKind::ForeignKey { table: parent, .. } if *parent == table.oid);
    let constraint = child.constraints.iter().find(refers).map_or("", |constraint| constraint.name.as_str());
    let detail =
        format!("Table \"{}\" references \"{}\" via foreign key constraint \"{constraint}\".", child.name, table.name);
    SqlError::new(SqlState::FeatureNotSupported, "cannot truncate a table referenced in a foreign key constraint")
        .with_detail(detail)
        .with_hint(format!("Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.", child.name))
}
