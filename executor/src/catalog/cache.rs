//! The newest catalog of every database, read again when meta's number has grown.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use proto::{SqlError, SqlResult, SqlState, Timestamp};
use schema::{Catalog, DatabaseDescriptor, Descriptor, Oid, RoleDescriptor};
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Snapshot, codec, keys};

/// How long a catalog change may stay half done before somebody else closes the gap. Committing takes milliseconds.
const HALF_DONE: Duration = Duration::from_secs(2);

/// Stored and decoded descriptors by owner and object.
type DescriptorRows = HashMap<(Oid, Oid), (Bytes, Descriptor)>;

/// Everything that was read at one moment.
struct Loaded {
    version: u64,
    stable: bool,
    /// The version row.
    row: u64,
    /// The snapshot that it was read at.
    read_at: Timestamp,
    /// When it was read, to notice a change that stays half done.
    at: Instant,
    rows: DescriptorRows,
    databases: BTreeMap<Oid, Arc<Snapshot>>,
}

/// Catalog snapshots, shared by all sessions.
pub(crate) struct Cache {
    client: kv::Client,
    loaded: ArcSwap<Loaded>,
    /// One reader at a time; the others wait for its answer.
    loading: tokio::sync::Mutex<()>,
    /// The catalog of the past that was read last.
    past: Mutex<Option<PastCatalog>>,
}

/// The databases at some version in the past, with the version row then.
type PastCatalog = (u64, BTreeMap<Oid, Arc<Snapshot>>);

impl Cache {
    /// Reads the catalog, which exists.
    pub(crate) async fn open(client: kv::Client) -> SqlResult<Self> {
        let loaded = load(&client, &HashMap::new()).await?;
        Ok(Self {
            client,
            loaded: ArcSwap::from_pointee(loaded),
            loading: tokio::sync::Mutex::default(),
            past: Mutex::default(),
        })
    }

    /// Whether a snapshot is the newest. For one with uncommitted changes the answer is no.
    pub(crate) fn is_current(&self, snapshot: &Snapshot) -> bool {
        snapshot.stable && snapshot.version == self.client.catalog_version().0
    }

    /// The newest catalog of a database.
    pub(crate) async fn get(&self, database: Oid) -> SqlResult<Arc<Snapshot>> {
        let loaded = self.newest().await?;
        match loaded.databases.get(&database) {
            Some(snapshot) => Ok(Arc::clone(snapshot)),
            None => Err(SqlError::new(SqlState::InvalidCatalogName, "the database was dropped")),
        }
    }

    /// The newest catalog stands for this timestamp, and for later ones until it changes.
    pub(crate) async fn read_at(&self) -> SqlResult<Timestamp> {
        Ok(self.newest().await?.read_at)
    }

    /// The catalog of a database as a transaction of the past sees it; `None` if it is the present one.
    pub(crate) async fn of_past(
        &self,
        database: Oid,
        snapshot: Timestamp,
        txn: &mut kv::Txn,
    ) -> SqlResult<Option<Arc<Snapshot>>> {
        let present = self.newest().await?;
        if present.stable && present.read_at <= snapshot {
            return Ok(None);
        }
        let row = decode_version(txn.get(&[keys::version_key()]).await?.swap_remove(0).as_deref());
        if present.stable && present.row == row {
            return Ok(None);
        }
        let known = self.past.lock().as_ref().filter(|(known, _)| *known == row).map(|(_, found)| found.clone());
        let found = match known {
            Some(found) => found,
            None => {
                let (start, end) = keys::descriptor_span();
                let rows = decode_rows(txn.scan_all(start, end).await?, &present.rows)?;
                // Plans over it are of no use to others.
                let found = databases(&rows, row, false);
                *self.past.lock() = Some((row, found.clone()));
                found
            }
        };
        let missing = || SqlError::new(SqlState::InvalidCatalogName, "the database did not exist at that time");
        found.get(&database).cloned().map(Some).ok_or_else(missing)
    }

    /// The database of this name.
    pub(crate) async fn database(&self, name: &str) -> SqlResult<Option<Arc<DatabaseDescriptor>>> {
        let loaded = self.newest().await?;
        let mut databases = loaded.databases.values().map(|snapshot| &snapshot.database);
        Ok(databases.find(|database| database.name == name).cloned())
    }

    /// Every role.
    pub(crate) async fn roles(&self) -> SqlResult<Vec<Arc<RoleDescriptor>>> {
        let loaded = self.newest().await?;
        let role = |(_, descriptor): &(Bytes, Descriptor)| match descriptor {
            Descriptor::Role(role) => Some(Arc::clone(role)),
            _ => None,
        };
        Ok(loaded.rows.values().filter_map(role).collect())
    }

    async fn newest(&self) -> SqlResult<Arc<Loaded>> {
        let loaded = self.loaded.load_full();
        if loaded.stable && loaded.version == self.client.catalog_version().0 {
            return Ok(loaded);
        }
        let _one = self.loading.lock().await;
        let loaded = self.loaded.load_full();
        if loaded.version == self.client.catalog_version().0 && (loaded.stable || !self.has_moved(&loaded).await?) {
            return Ok(loaded);
        }
        let fresh = Arc::new(load(&self.client, &loaded.rows).await?);
        self.loaded.store(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Whether the change that was half done when the catalog was read has been committed since.
    async fn has_moved(&self, loaded: &Loaded) -> SqlResult<bool> {
        let row = self.client.read_latest(keys::version_key()).await?;
        if decode_version(row.as_deref()) != loaded.row {
            return Ok(true);
        }
        Ok(loaded.at.elapsed() > HALF_DONE && self.close_gap(loaded.version).await)
    }

    /// Sets the version row on behalf of a coordinator that died. Holds back if one still has the lock.
    async fn close_gap(&self, version: u64) -> bool {
        let mut txn = self.client.begin(kv::TxnOptions::default());
        let lock =
            kv::RowLock { mode: proto::kv::LockMode::Update, wait: proto::kv::WaitPolicy::Nowait, timeout_ms: 0 };
        if txn.lock(&[keys::version_key()], lock).await.is_err() {
            txn.rollback().await;
            return false;
        }
        txn.put(keys::version_key(), encode_version(version));
        match txn.commit().await {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(%error, "could not close a gap in the catalog's version");
                false
            }
        }
    }
}

/// Reads every descriptor at one snapshot, keeping those that have not changed.
async fn load(client: &kv::Client, known: &DescriptorRows) -> SqlResult<Loaded> {
    let announced = client.catalog_version().0;
    let options = kv::TxnOptions { isolation: kv::Isolation::RepeatableRead, read_only: true };
    let mut txn = client.begin(options);
    let row = txn.get(&[keys::version_key()]).await?.swap_remove(0);
    let row = decode_version(row.as_deref());
    let (start, end) = keys::descriptor_span();
    let stored = txn.scan_all(start, end).await?;
    let read_at = txn.snapshot().await?;
    txn.rollback().await;

    let rows = decode_rows(stored, known)?;
    let (version, stable) = (announced.max(row), row >= announced);
    let databases = databases(&rows, version, stable);
    Ok(Loaded { version, stable, row, read_at, at: Instant::now(), rows, databases })
}

/// Descriptors by owner and object, with their stored form. Those that are known in this form are not decoded again.
fn decode_rows(stored: Vec<kv::KeyValue>, known: &DescriptorRows) -> SqlResult<DescriptorRows> {
    let mut rows = HashMap::with_capacity(stored.len());
    for (key, value) in stored {
        let Some(id) = keys::parse_descriptor_key(&key) else {
            return Err(SqlError::new(SqlState::DataCorrupted, "a catalog key cannot be read"));
        };
        let descriptor = match known.get(&id) {
            Some((bytes, descriptor)) if *bytes == value => descriptor.clone(),
            _ => codec::decode(&value)?,
        };
        rows.insert(id, (value, descriptor));
    }
    Ok(rows)
}

/// A snapshot for each database: the shared objects and its own.
fn databases(rows: &DescriptorRows, version: u64, stable: bool) -> BTreeMap<Oid, Arc<Snapshot>> {
    let mut snapshots = BTreeMap::new();
    for (_, descriptor) in rows.values() {
        let Descriptor::Database(database) = descriptor else { continue };
        let mut catalog = Catalog::default();
        for ((owner, _), (_, object)) in rows {
            if *owner == Oid::INVALID || *owner == database.oid {
                catalog.put(object.clone());
            }
        }
        let snapshot = Snapshot { catalog: Arc::new(catalog), database: Arc::clone(database), version, stable };
        snapshots.insert(database.oid, Arc::new(snapshot));
    }
    snapshots
}

/// The stored form of the version row.
pub(crate) fn encode_version(version: u64) -> Bytes {
    Bytes::copy_from_slice(&version.to_be_bytes())
}

fn decode_version(row: Option<&[u8]>) -> u64 {
    row.and_then(|row| row.try_into().ok()).map_or(0, u64::from_be_bytes)
}
