//! The system catalog's tables as the general path reads them.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use kv::BoxFuture;
use proto::{SqlError, SqlResult};
use schema::{Datum, Descriptor, Oid, functions::EvalContext};
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::{
    Engine,
    catalog::Snapshot,
    cluster_tables,
    general::VirtualTables,
    session::{ParameterRow, SessionHost, cluster_value},
    system_catalog,
};

/// Virtual tables over one statement's catalog.
pub(crate) struct Virtuals {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) eval: Arc<EvalContext>,
    pub(crate) database: Oid,
    pub(crate) engine: Engine,
    /// Knows where sequences stand.
    pub(crate) host: Weak<SessionHost>,
    /// Every parameter, when the statement asks for them.
    pub(crate) settings: Box<dyn Fn() -> Vec<ParameterRow> + Send + Sync>,
}

impl VirtualTables for Virtuals {
    fn rows<'a>(&'a self, schema: &'a str, name: &'a str) -> BoxFuture<'a, SqlResult<Vec<Vec<Datum>>>> {
        Box::pin(async move {
            if let Some(Descriptor::Sequence(sequence)) = self.snapshot.catalog.relation(schema, name) {
                let host = self.host.upgrade().ok_or_else(|| SqlError::internal("the session has ended"))?;
                let position = host.position(sequence).await?;
                // Values that were set aside but not handed out are nobody's business here.
                return Ok(vec![vec![Datum::Int8(position.value), Datum::Int8(0), Datum::Bool(position.called)]]);
            }
            let settings = if name == "pg_settings" { self.all_settings().await? } else { Vec::new() };
            let positions = if name == "pg_sequences" { self.positions().await? } else { HashMap::new() };
            let source = system_catalog::Source {
                catalog: &self.snapshot.catalog,
                eval: &self.eval,
                engine: &self.engine,
                database: self.database,
                settings,
                positions,
            };
            let cluster = match schema {
                "sharddb" => cluster_tables::rows(name, self.engine.client(), source.catalog).await?,
                _ => None,
            };
            let mut rows = match cluster {
                Some(rows) => rows,
                None => system_catalog::rows(schema, name, &source)?,
            };
            // Behind the columns stands `tableoid`.
            let own = planner::system_catalog::virtual_table(schema, name).map_or(Oid::INVALID, |table| table.oid);
            rows.iter_mut().for_each(|row| row.push(Datum::Oid(own.0)));
            Ok(rows)
        })
    }
}

impl Virtuals {
    /// Every parameter, those of the cluster with its values.
    async fn all_settings(&self) -> SqlResult<Vec<ParameterRow>> {
        let of_cluster = self.engine.client().meta().cluster().settings().await?;
        let mut rows = (self.settings)();
        for row in rows.iter_mut().filter(|row| row.parameter.cluster) {
            row.value = cluster_value(row.parameter, &of_cluster);
            row.reset.clone_from(&row.value);
        }
        Ok(rows)
    }

    /// The last value of every sequence that has given one.
    async fn positions(&self) -> SqlResult<HashMap<Oid, i64>> {
        let mut found = HashMap::new();
        for object in self.snapshot.catalog.objects() {
            let Descriptor::Sequence(sequence) = object else { continue };
            let position = self.engine.sequences().position(self.engine.client(), sequence).await?;
            if position.called {
                found.insert(sequence.oid, position.value);
            }
        }
        Ok(found)
    }
}
