//! A server put together: data directory, volume, SQL engine, listeners. Started once, stopped in order.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use executor::{Engine, EngineOptions, GeneralOptions};
use frontend::AuthMode;
use proto::{NodeId, SqlError};
use sharddb_executor as executor;
use sharddb_frontend as frontend;
use sharddb_proto as proto;
use sharddb_raft::log::{LogError, LogOptions};
use sharddb_rpc as rpc;
use sharddb_storage::RocksOptions;
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, DataDirectory, DirectoryError, IdentityError, StartError, Volume, VolumeOptions, cluster,
    http::{self, Status},
    identity::{KnownNode, NodeIdentity},
    system,
    volume::Membership,
};

/// Connections that wait to be accepted: thousands of clients may come at once.
const BACKLOG: u32 = 4096;
/// Time between rounds of removing dropped tables.
const RECLAIM_INTERVAL: Duration = Duration::from_secs(60);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// The data directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The layers below SQL.
    #[error(transparent)]
    Volume(#[from] StartError),
    /// Who this node is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The certificates for other nodes.
    #[error("could not set up the connections between nodes: {0}")]
    Security(#[from] rpc::SecurityError),
    /// The catalog.
    #[error("could not open the catalog: {0}")]
    Catalog(#[from] SqlError),
    /// An address.
    #[error("could not listen on {address} ({setting}): {source}")]
    Listen {
        /// The setting.
        setting: &'static str,
        /// Its value.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Certificate and key.
    #[error("could not set up TLS: {0}")]
    Tls(#[from] frontend::TlsError),
    /// Everybody could connect as anybody.
    #[error(
        "{0} can be reached from other machines and no role has a password. Start with a loopback address and give a \
         role one (ALTER ROLE postgres PASSWORD '…'), or say how clients prove who they are: --auth password, or \
         --auth trust to let everybody in"
    )]
    Open(SocketAddr),
}

/// A running server.
pub struct Instance {
    /// Held until everything else has stopped.
    _directory: DataDirectory,
    status: Arc<Status>,
    engine: Engine,
    sql: frontend::Server,
    rpc_addr: SocketAddr,
    http_addr: SocketAddr,
    http: JoinHandle<io::Result<()>>,
    reclaim: JoinHandle<()>,
    stop_http: CancellationToken,
    stop_grace: Duration,
}

impl Instance {
    /// Starts a server; clients are served when this returns.
    pub async fn start(config: Config) -> Result<Self, InstanceError> {
        let tls = config.tls.as_ref().map(|(certificate, key)| frontend::load_tls(certificate, key)).transpose()?;
        let directory = DataDirectory::open(&config.data)?;
        let sql = listen("sql-addr", &config.sql_addr).await?;
        let rpc = listen("rpc-addr", &config.rpc_addr).await?;
        let http = listen("http-addr", &config.http_addr).await?;
        let [sql_addr, rpc_addr, http_addr] = [local_addr(&sql)?, local_addr(&rpc)?, local_addr(&http)?];

        let addresses = Addresses { sql: sql_addr, rpc: rpc_addr, http: http_addr };
        let membership = membership(&directory, &config, rpc, &addresses).await?;
        let volume = Arc::new(open_volume(&directory, &config, membership).await?);
        let (engine, ready) = Default::default();
        let status = Arc::new(Status { volume: Arc::clone(&volume), engine, ready });
        let stop_http = CancellationToken::new();
        let http = tokio::spawn(http::serve(http, Arc::clone(&status), stop_http.clone().cancelled_owned()));
        let engine = open_engine(&volume, &directory, &config).await?;
        let guarded = config.auth != AuthMode::Auto || tls.is_some() || engine.has_passwords().await?;
        if !sql_addr.ip().to_canonical().is_loopback() && !guarded {
            return Err(InstanceError::Open(sql_addr));
        }
        let options = frontend::Options { max_connections: config.max_connections, auth: config.auth, tls };
        let sql = frontend::Server::start(engine.clone(), sql, options).map_err(|source| InstanceError::Listen {
            setting: "sql-addr",
            address: config.sql_addr,
            source,
        })?;
        // Set once, here.
        let _ = status.engine.set(engine.clone());
        status.ready.store(true, Ordering::Release);
        let reclaim = tokio::spawn(reclaim(engine.clone()));
        Ok(Self {
            _directory: directory,
            status,
            engine,
            sql,
            rpc_addr,
            http_addr,
            http,
            reclaim,
            stop_http,
            stop_grace: config.stop_grace,
        })
    }

    /// Where clients connect.
    pub fn sql_addr(&self) -> SocketAddr {
        self.sql.local_addr()
    }

    /// Where other nodes connect.
    pub fn rpc_addr(&self) -> SocketAddr {
        self.rpc_addr
    }

    /// Where health and metrics are served.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// The SQL engine, for callers in the same process.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The layers below SQL.
    pub fn volume(&self) -> &Volume {
        &self.status.volume
    }

    /// Waits until the storage fails; says how. The server then acknowledges no write any more.
    pub async fn failed(&self) -> LogError {
        self.status.volume.failed().await
    }

    /// Stops in order: clients first, storage last.
    pub async fn stop(self) {
        self.status.ready.store(false, Ordering::Release);
        self.reclaim.abort();
        self.sql.shutdown(self.stop_grace).await;
        self.stop_http.cancel();
        self.http.abort();
        self.status.volume.shutdown().await;
    }
}

/// Where a server listens.
struct Addresses {
    sql: SocketAddr,
    rpc: SocketAddr,
    http: SocketAddr,
}

/// Finds out which node this is: the one of the file NODE, a new one of a cluster to join, or the first of a new cluster.
async fn membership(
    directory: &DataDirectory,
    config: &Config,
    listener: TcpListener,
    addresses: &Addresses,
) -> Result<Membership, InstanceError> {
    let path = directory.path().to_owned();
    let mut identity = NodeIdentity::begin(&path, || format!("{:032x}", rand::random::<u128>()))?;
    let security = security(config)?;
    let mut record = proto::meta::Node {
        id: identity.node,
        rpc_addr: config.advertise_rpc.clone().unwrap_or_else(|| addresses.rpc.to_string()),
        sql_addr: addresses.sql.to_string(),
        http_addr: addresses.http.to_string(),
        locality: config.locality.clone(),
        store: identity.store.clone(),
        ..proto::meta::Node::default()
    };
    let timing = rpc::Timing::default();
    if identity.node == 0 {
        if config.join.is_empty() {
            (identity.node, identity.cluster_id) =
                (sharddb_node::FIRST_NODE, format!("{:032x}", rand::random::<u128>()));
            identity.meta_members = vec![sharddb_node::FIRST_NODE];
        } else {
            let joined = cluster::join(&config.join, &record, &security, &timing).await.map_err(StartError::from)?;
            (identity.node, identity.cluster_id) = (joined.node, joined.cluster_id);
            identity.meta_members = joined.meta_members;
            let others = joined.members.into_iter().filter(|member| member.id != joined.node);
            identity.nodes = others.map(|member| KnownNode { id: member.id, rpc_addr: member.rpc_addr }).collect();
        }
        identity.save(&path)?;
    }
    record.id = identity.node;
    let own = rpc::Identity {
        cluster_id: identity.cluster_id.clone(),
        node: NodeId(identity.node),
        incarnation: identity.incarnation,
    };
    let nodes = rpc::Nodes::new(own, security, timing);
    nodes.set_members(identity.nodes.iter().map(|node| (NodeId(node.id), node.rpc_addr.clone())));
    Ok(Membership { identity, nodes, listener, record, directory: path })
}

fn security(config: &Config) -> Result<rpc::Security, InstanceError> {
    Ok(match &config.certs_dir {
        Some(directory) => rpc::Security::load(directory)?,
        None if config.insecure_rpc => rpc::Security::trusted_network(),
        None => rpc::Security::loopback_only(),
    })
}

async fn open_volume(directory: &DataDirectory, config: &Config, membership: Membership) -> Result<Volume, StartError> {
    let engine = RocksOptions { block_cache_bytes: config.cache_bytes, ..RocksOptions::default() };
    let options = VolumeOptions { directory: directory.path().to_owned(), engine, log: LogOptions::default() };
    Volume::open(options, membership).await
}

async fn open_engine(volume: &Volume, directory: &DataDirectory, config: &Config) -> Result<Engine, InstanceError> {
    let general = GeneralOptions {
        memory_bytes: config.query_bytes,
        spill_directory: Some(directory.temporary()?),
        ..GeneralOptions::default()
    };
    let options = EngineOptions { owner: system::user_name(), general };
    Ok(Engine::open(volume.client().clone(), volume.fragments(), options).await?)
}

/// Removes the rows of dropped tables, now and then.
async fn reclaim(engine: Engine) {
    loop {
        tokio::time::sleep(RECLAIM_INTERVAL).await;
        let Ok(safe) = engine.client().report_safe_point().await else { continue };
        if let Err(error) = engine.reclaim(safe).await {
            tracing::warn!(%error, "could not remove dropped tables");
        }
    }
}

async fn listen(setting: &'static str, address: &str) -> Result<TcpListener, InstanceError> {
    let failed = |source| InstanceError::Listen { setting, address: address.to_owned(), source };
    let resolved = tokio::net::lookup_host(address).await.map_err(failed)?.next();
    let resolved = resolved.ok_or_else(|| failed(io::Error::other("the name has no address")))?;
    let bind = || {
        let socket = if resolved.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(resolved)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(failed)
}

fn local_addr(listener: &TcpListener) -> Result<SocketAddr, InstanceError> {
    let failed = |source| InstanceError::Listen { setting: "address", address: String::new(), source };
    listener.local_addr().map_err(failed)
}
