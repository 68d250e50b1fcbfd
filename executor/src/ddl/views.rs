//! CREATE VIEW.

use std::sync::Arc;

use planner::plan::Ddl;
use proto::{SqlError, SqlResult, SqlState};
use schema::{Descriptor, SqlType, ViewDescriptor};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::Changes;

impl Changes<'_> {
    pub(super) async fn create_view(&mut self, ddl: &Ddl) -> SqlResult<()> {
        let Ddl::CreateView { name, columns, query, text, or_replace, depends_on, becomes_temporary } = ddl else {
            return Ok(());
        };
        if *becomes_temporary {
            self.notice(format!("view \"{}\" will be a temporary view", name.name));
        }
        let schema = self.schema_for_new(&name.schema, &name.name).await?;
        let types = query.fields.iter().map(|field| field.sql_type);
        let columns: Vec<(String, SqlType)> = columns.iter().cloned().zip(types).collect();
        let mut view = ViewDescriptor {
            oid: schema::Oid::INVALID,
            schema: schema.oid,
            name: name.name.clone(),
            owner: self.actor.role,
            columns,
            query: text.clone(),
            depends_on: depends_on.clone(),
        };
        match self.catalog.relation_in(schema.oid, &name.name) {
            Some(Descriptor::View(old)) if *or_replace => {
                check_replacement(old, &view)?;
                if depends_on.contains(&old.oid) {
                    let message = format!("infinite recursion detected in rules for relation \"{}\"", name.name);
                    return Err(SqlError::new(SqlState::InvalidObjectDefinition, message));
                }
                view.oid = old.oid;
                view.owner = old.owner;
            }
            Some(Descriptor::Table(_) | Descriptor::Sequence(_)) if *or_replace => {
                let message = format!("\"{}\" is not a view", name.name);
                return Err(SqlError::new(SqlState::WrongObjectType, message));
            }
            _ if self.relation_exists(schema.oid, &name.name) => {
                return self.exists_already("relation", &name.name, SqlState::DuplicateTable, false);
            }
            _ => view.oid = self.new_oid().await?,
        }
        self.put(Descriptor::View(Arc::new(view)))
    }
}

/// A view may only get columns added at its end.
fn check_replacement(old: &ViewDescriptor, new: &ViewDescriptor) -> SqlResult<()> {
    let refuse = |message: String| Err(SqlError::new(SqlState::InvalidTableDefinition, message));
    if new.columns.len() < old.columns.len() {
        return refuse("cannot drop columns from view".to_owned());
    }
    for ((old_name, old_type), (new_name, new_type)) in old.columns.iter().zip(&new.columns) {
        if old_name != new_name {
            return refuse(format!("cannot change name of view column \"{old_name}\" to \"{new_name}\""));
        }
        if old_type.oid != new_type.oid {
            let name = |sql_type: &SqlType| sql_type.oid.type_info().map_or("???", |info| info.sql_name);
            return refuse(format!(
                "cannot change data type of view column \"{old_name}\" from {} to {}",
                name(old_type),
                name(new_type)
            ));
        }
    }
    Ok(())
}
