//! The system catalog's tables as the general path reads them.

use std::sync::Arc;

use kv::BoxFuture;
use proto::SqlResult;
use schema::{Datum, Oid, functions::EvalContext};
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::{catalog::Snapshot, general::VirtualTables, system_catalog};

/// Virtual tables over one statement's catalog.
pub(crate) struct Virtuals {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) eval: Arc<EvalContext>,
    pub(crate) database: Oid,
    pub(crate) client: kv::Client,
    /// Name, value, unit, context and type of every parameter, when the statement asks for them.
    pub(crate) settings: Box<dyn Fn() -> Vec<[String; 5]> + Send + Sync>,
}

impl VirtualTables for Virtuals {
    fn rows<'a>(&'a self, schema: &'a str, name: &'a str) -> BoxFuture<'a, SqlResult<Vec<Vec<Datum>>>> {
        Box::pin(async move {
            if (schema, name) == ("sharddb", "shards") {
                return Ok(self.shards());
            }
            let settings = if name == "pg_settings" { (self.settings)() } else { Vec::new() };
            let source = system_catalog::Source {
                catalog: &self.snapshot.catalog,
                eval: &self.eval,
                database: self.database,
                settings,
            };
            system_catalog::rows(schema, name, &source)
        })
    }
}

impl Virtuals {
    /// `sharddb.shards`: the range map, with the table that each shard begins with.
    fn shards(&self) -> Vec<Vec<Datum>> {
        let map = self.client.ranges();
        let everything = proto::kv::Span::default();
        let name = |start: &[u8]| {
            let (storage, _) = schema::key::split_prefix(start)?;

            self.snapshot.catalog.objects().find_map(|object| match object {
                schema::Descriptor::Table(table) if table.storage_id == storage => Some(table.name.clone()),
                _ => None,
            })
        };
        let rows = map.routes(&everything).into_iter().map(|(route, span)| {
            vec![
                Datum::Int8(route.shard.0.cast_signed()),
                name(&span.start).map_or(Datum::Null, Datum::text),
                Datum::Bytes(Arc::from(&span.start[..])),
                if span.end.is_empty() { Datum::Null } else { Datum::Bytes(Arc::from(&span.end[..])) },
                Datum::Int8(route.epoch.0.cast_signed()),
                Datum::Int8(route.node.0.cast_signed()),
            ]
        });
        rows.collect()
    }
}
