//! Settings of a server: flag, then environment variable, then file, then default.
//!
//! Every setting has one name, written `--sql-addr`, `SHARDDB_SQL_ADDR` and `sql-addr = "…"`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use frontend::AuthMode;
use serde::Deserialize;
use sharddb_frontend as frontend;

/// Settings as given on the command line and in the environment.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// TOML file with settings under the names of these flags (sql-addr = "127.0.0.1:5433")
    #[arg(long, env = "SHARDDB_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// End when this process does, which is the parent
    #[arg(long, hide = true, value_name = "PID")]
    pub ends_with: Option<u32>,
    #[command(flatten)]
    settings: Settings,
}

/// One layer of settings: what is `None` is left to the next.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Data directory; made if it does not exist [default: ./sharddb-data]
    #[arg(long, env = "SHARDDB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where clients connect with the PostgreSQL protocol; port 0 takes a free one [default: 127.0.0.1:5433]
    #[arg(long, env = "SHARDDB_SQL_ADDR", value_name = "ADDR")]
    sql_addr: Option<String>,
    /// Where other nodes connect [default: 127.0.0.1:7433]
    #[arg(long, env = "SHARDDB_RPC_ADDR", value_name = "ADDR")]
    rpc_addr: Option<String>,
    /// Nodes of a cluster to become a node of, separated by commas; only looked at by the first start
    #[arg(long, env = "SHARDDB_JOIN", value_name = "ADDR,…", value_delimiter = ',')]
    join: Option<Vec<String>>,
    /// Address under which other nodes reach this one [default: that of --rpc-addr]
    #[arg(long, env = "SHARDDB_ADVERTISE_RPC", value_name = "ADDR")]
    advertise_rpc: Option<String>,
    /// Where this node is, from the widest to the narrowest, as in region=eu,zone=a: replicas are spread over it
    #[arg(long, env = "SHARDDB_LOCALITY", value_name = "KEY=VALUE,…")]
    locality: Option<String>,
    /// Directory with ca.crt, node.crt and node.key: nodes prove to each other who they are
    #[arg(long, env = "SHARDDB_CERTS_DIR", value_name = "DIR")]
    certs_dir: Option<PathBuf>,
    /// Let nodes talk without certificates on other networks than loopback
    #[arg(long, env = "SHARDDB_INSECURE_RPC", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    insecure_rpc: Option<bool>,
    /// Where /healthz, /readyz and /metrics are served [default: 127.0.0.1:8433]
    #[arg(long, env = "SHARDDB_HTTP_ADDR", value_name = "ADDR")]
    http_addr: Option<String>,
    /// How clients prove who they are [default: auto]
    #[arg(long, env = "SHARDDB_AUTH", value_name = "MODE")]
    auth: Option<Auth>,
    /// Certificate chain in PEM format, to offer TLS to clients
    #[arg(long, env = "SHARDDB_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate in PEM format
    #[arg(long, env = "SHARDDB_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Client sessions at once [default: 5000]
    #[arg(long, env = "SHARDDB_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<usize>,
    /// Megabytes of memory for cached data blocks [default: 512]
    #[arg(long, env = "SHARDDB_CACHE_MB", value_name = "MB")]
    cache_mb: Option<usize>,
    /// Megabytes of memory for sorts, joins and aggregates of all statements together [default: 1024]
    #[arg(long, env = "SHARDDB_QUERY_MB", value_name = "MB")]
    query_mb: Option<usize>,
    /// Seconds that running statements have to finish when the server stops [default: 10]
    #[arg(long, env = "SHARDDB_STOP_GRACE", value_name = "SECONDS")]
    stop_grace: Option<u64>,
    /// What is logged to stderr: error, warn, info, debug, trace, or rules such as info,sharddb_kv=debug [default: info]
    #[arg(long, env = "SHARDDB_LOG", value_name = "LEVEL")]
    log: Option<String>,
}

/// How clients prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Auth {
    /// Clients on this machine are trusted while no role has a password; passwords are asked for otherwise
    Auto,
    /// Passwords are always asked for
    Password,
    /// Everybody is trusted, wherever they come from
    Trust,
}

impl From<Auth> for AuthMode {
    fn from(auth: Auth) -> Self {
        match auth {
            Auth::Auto => Self::Auto,
            Auth::Password => Self::Password,
            Auth::Trust => Self::Trust,
        }
    }
}

/// Settings of a server, all decided.
#[derive(Clone, Debug)]
pub struct Config {
    /// Data directory.
    pub data: PathBuf,
    /// Where clients connect.
    pub sql_addr: String,
    /// Where other nodes connect.
    pub rpc_addr: String,
    /// Nodes of the cluster to join; empty to found one.
    pub join: Vec<String>,
    /// Where other nodes reach this one, if not at `rpc_addr`.
    pub advertise_rpc: Option<String>,
    /// Tiers of its place.
    pub locality: String,
    /// Certificates for other nodes.
    pub certs_dir: Option<PathBuf>,
    /// No certificates are needed on any network.
    pub insecure_rpc: bool,
    /// Where health and metrics are served.
    pub http_addr: String,
    /// How clients prove who they are.
    pub auth: AuthMode,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Client sessions at once.
    pub max_connections: usize,
    /// Bytes of the block cache.
    pub cache_bytes: usize,
    /// Bytes for sorts, joins and aggregates.
    pub query_bytes: usize,
    /// Time that running statements have to finish when the server stops.
    pub stop_grace: Duration,
    /// What is logged.
    pub log: String,
}

/// Why there are no settings to start with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("could not read the configuration file \"{}\": {source}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file does not hold settings.
    #[error("in the configuration file \"{}\": {message}", file.display())]
    Parse {
        /// Which file.
        file: PathBuf,
        /// Where and why.
        message: String,
    },
    /// A setting cannot be used.
    #[error("{0}")]
    Invalid(&'static str),
}

impl Settings {
    /// These settings, and those of a lower layer where there are none.
    fn over(self, lower: Self) -> Self {
        Self {
            data: self.data.or(lower.data),
            sql_addr: self.sql_addr.or(lower.sql_addr),
            rpc_addr: self.rpc_addr.or(lower.rpc_addr),
            join: self.join.or(lower.join),
            advertise_rpc: self.advertise_rpc.or(lower.advertise_rpc),
            locality: self.locality.or(lower.locality),
            certs_dir: self.certs_dir.or(lower.certs_dir),
            insecure_rpc: self.insecure_rpc.or(lower.insecure_rpc),
            http_addr: self.http_addr.or(lower.http_addr),
            auth: self.auth.or(lower.auth),
            tls_cert: self.tls_cert.or(lower.tls_cert),
            tls_key: self.tls_key.or(lower.tls_key),
            max_connections: self.max_connections.or(lower.max_connections),
            cache_mb: self.cache_mb.or(lower.cache_mb),
            query_mb: self.query_mb.or(lower.query_mb),
            stop_grace: self.stop_grace.or(lower.stop_grace),
            log: self.log.or(lower.log),
        }
    }

    fn decide(self) -> Result<Config, ConfigError> {
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(ConfigError::Invalid("tls-cert and tls-key must be given together")),
        };
        let max_connections = self.max_connections.unwrap_or(5000);
        if max_connections == 0 {
            return Err(ConfigError::Invalid("max-connections must be at least 1"));
        }
        Ok(Config {
            data: self.data.unwrap_or_else(|| "sharddb-data".into()),
            sql_addr: self.sql_addr.unwrap_or_else(|| "127.0.0.1:5433".to_owned()),
            rpc_addr: self.rpc_addr.unwrap_or_else(|| "127.0.0.1:7433".to_owned()),
            join: self.join.unwrap_or_default(),
            advertise_rpc: self.advertise_rpc,
            locality: self.locality.unwrap_or_default(),
            certs_dir: self.certs_dir,
            insecure_rpc: self.insecure_rpc.unwrap_or(false),
            http_addr: self.http_addr.unwrap_or_else(|| "127.0.0.1:8433".to_owned()),
            auth: self.auth.map_or(AuthMode::Auto, AuthMode::from),
            tls,
            max_connections,
            query_bytes: self.query_mb.unwrap_or(1024).saturating_mul(1 << 20),
            cache_bytes: self.cache_mb.unwrap_or(512).saturating_mul(1 << 20),
            stop_grace: Duration::from_secs(self.stop_grace.unwrap_or(10)),
            log: self.log.unwrap_or_else(|| "info".to_owned()),
        })
    }
}

impl Config {
    /// Puts flags, environment and file together.
    pub fn read(flags: Flags) -> Result<Self, ConfigError> {
        let file = match flags.config {
            None => Settings::default(),
            Some(file) => {
                let text = std::fs::read_to_string(&file);
                let text = text.map_err(|source| ConfigError::Read { file: file.clone(), source })?;
                toml::from_str(&text).map_err(|error| ConfigError::Parse { file, message: error.to_string() })?
            }
        };
        flags.settings.over(file).decide()
    }

    /// A server of its own for a test: data in this directory, ports that are free.
    pub fn for_test(data: PathBuf) -> Self {
        let free = || Some("127.0.0.1:0".to_owned());
        let settings = Settings {
            data: Some(data),
            sql_addr: free(),
            rpc_addr: free(),
            http_addr: free(),
            cache_mb: Some(64),
            ..Settings::default()
        };
        settings.decide().expect("nothing is missing")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Settings, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn a_higher_layer_wins() {
        let lower = file("sql-addr = \"a:1\"\nhttp-addr = \"b:2\"\nauth = \"trust\"").expect("good settings");
        let higher = Settings { sql_addr: Some("c:3".to_owned()), ..Settings::default() };
        let config = higher.over(lower).decide().expect("good settings");
        assert_eq!((config.sql_addr.as_str(), config.http_addr.as_str()), ("c:3", "b:2"));
        assert_eq!((config.auth, config.max_connections), (AuthMode::Trust, 5000));
    }

    #[test]
    fn unknown_keys_and_halves_are_refused() {
        assert!(file("sql_addr = \"a:1\"").is_err());
        assert!(file("max-connections = -1").is_err());
        assert!(file("tls-cert = \"x\"").expect("good settings").decide().is_err());
        assert!(file("max-connections = 0").expect("good settings").decide().is_err());
    }
}
