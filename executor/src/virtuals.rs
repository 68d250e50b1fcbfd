//! The system catalog's tables as the general path reads them.

use std::sync::Arc;

use kv::BoxFuture;
use proto::{SqlError, SqlResult};
use schema::Datum;
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::{catalog::Snapshot, general::VirtualTables};

/// Virtual tables over one statement's catalog.
pub(crate) struct Virtuals {
    pub(crate) snapshot: Arc<Snapshot>,
}

impl VirtualTables for Virtuals {
    fn rows<'a>(&'a self, schema: &'a str, name: &'a str) -> BoxFuture<'a, SqlResult<Vec<Vec<Datum>>>> {
        let _ = &self.snapshot;
        Box::pin(async move { Err(SqlError::unsupported(format!("{schema}.{name}"))) })
    }
}
