//! What a fresh cluster's catalog holds.

use std::sync::Arc;

use proto::SqlResult;
use schema::{DatabaseDescriptor, Descriptor, Oid, RoleDescriptor, SchemaDescriptor};
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    BOOTSTRAP_ROLE, INFORMATION_SCHEMA, PG_CATALOG, POSTGRES_DATABASE, PUBLIC_SCHEMA, SHARDDB_SCHEMA, codec, keys,
};

/// Writes the first catalog unless there is one. `owner` becomes a second superuser with a database of its name, so
/// that a client without options can connect as the user who runs the server.
pub(crate) async fn bootstrap(client: &kv::Client, owner: Option<&str>) -> SqlResult<()> {
    if client.read_latest(keys::version_key()).await?.is_some() {
        return Ok(());
    }
    let mut txn = client.begin(kv::TxnOptions::default());
    let lock = kv::RowLock { mode: proto::kv::LockMode::Update, wait: proto::kv::WaitPolicy::Block, timeout_ms: 0 };
    let version_row = txn.lock(&[keys::version_key()], lock).await?;
    if version_row.iter().any(|row| row.value.is_some()) {
        txn.rollback().await;
        return Ok(());
    }
    for (database, descriptor) in first_objects(client, owner).await? {
        txn.put(keys::descriptor_key(database, descriptor.oid()), codec::encode(&descriptor)?);
    }
    let version = client.meta().bump_catalog().await?;
    txn.put(keys::version_key(), super::cache::encode_version(version.0));
    txn.commit().await?;
    Ok(())
}

async fn first_objects(client: &kv::Client, owner: Option<&str>) -> SqlResult<Vec<(Oid, Descriptor)>> {
    let shared = Oid::INVALID;
    let mut objects = vec![
        (shared, role(BOOTSTRAP_ROLE, "postgres")),
        (shared, schema_object(PG_CATALOG, "pg_catalog")),
        (shared, schema_object(INFORMATION_SCHEMA, "information_schema")),
        (shared, schema_object(SHARDDB_SCHEMA, "sharddb")),
        (shared, database(POSTGRES_DATABASE, "postgres", BOOTSTRAP_ROLE)),
        (shared, database(Oid(1), "template1", BOOTSTRAP_ROLE)),
        (shared, database(Oid(4), "template0", BOOTSTRAP_ROLE)),
        (POSTGRES_DATABASE, schema_object(PUBLIC_SCHEMA, "public")),
    ];
    if let Some(owner) = owner.filter(|owner| *owner != "postgres") {
        let first = client.meta().allocate_object_ids(3).await? as u32;
        let (role_oid, database_oid, public) = (Oid(first), Oid(first + 1), Oid(first + 2));
        objects.push((shared, role(role_oid, owner)));
        objects.push((shared, database(database_oid, owner, role_oid)));
        objects.push((database_oid, schema_object(public, "public")));
    }
    Ok(objects)
}

fn role(oid: Oid, name: &str) -> Descriptor {
    Descriptor::Role(Arc::new(RoleDescriptor {
        oid,
        name: name.to_owned(),
        login: true,
        superuser: true,
        create_role: true,
        create_db: true,
        password: None,
    }))
}

fn schema_object(oid: Oid, name: &str) -> Descriptor {
    Descriptor::Schema(Arc::new(SchemaDescriptor { oid, name: name.to_owned(), owner: BOOTSTRAP_ROLE }))
}

fn database(oid: Oid, name: &str, owner: Oid) -> Descriptor {
    Descriptor::Database(Arc::new(DatabaseDescriptor { oid, name: name.to_owned(), owner }))
}
