//! The connection of a command to a node.

use std::time::Duration;

use clap::Args;
use tokio_postgres::{Client, NoTls, error::SqlState};

/// Time to connect.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Why a command did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The address cannot be read.
    #[error("\"{0}\" is neither an address (HOST:PORT) nor a connection URL (postgresql://…)")]
    Address(String),
    /// No connection.
    #[error("could not connect to {target}: {reason}")]
    Connect {
        /// Where.
        target: String,
        /// Why not.
        reason: String,
    },
    /// The server is another one.
    #[error("the server at {0} is not ShardDB")]
    Foreign(String),
    /// The server said no, or the connection broke.
    #[error("{0}")]
    Server(String),
    /// What was waited for will not come.
    #[error("{0}")]
    Given(String),
    /// The output.
    #[error("could not write the answer: {0}")]
    Output(#[from] std::io::Error),
}

impl From<tokio_postgres::Error> for CommandError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(server_error(&error))
    }
}

/// What a server's error says, without what the client library puts around it.
pub(crate) fn server_error(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => match error.hint() {
            Some(hint) => format!("{} ({hint})", error.message()),
            None => error.message().to_owned(),
        },
        None => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
        }
    }
}

/// Which cluster.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// Where any node of the cluster serves SQL, or a connection URL (postgresql://…); a password may come from PGPASSWORD
    #[arg(long, default_value = "127.0.0.1:5433", value_name = "ADDR|URL")]
    sql_addr: String,
}

impl Target {
    /// Connects to the node and makes sure that it is one.
    pub(super) async fn connect(&self) -> Result<Client, CommandError> {
        let (client, target) = open(&self.sql_addr).await?;
        match client.simple_query("SELECT 1 FROM sharddb.nodes LIMIT 0").await {
            Ok(_) => Ok(client),
            Err(error) if is_unknown(&error) => Err(CommandError::Foreign(target)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Connects to a node.
pub(crate) async fn connect(address: &str) -> Result<Client, CommandError> {
    Ok(open(address).await?.0)
}

/// Connects; answers where to as well, without the password.
async fn open(address: &str) -> Result<(Client, String), CommandError> {
    let is_url = address.contains("://");
    let has_port = address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !is_url && !has_port {
        return Err(CommandError::Address(address.to_owned()));
    }
    let url = if is_url { address.to_owned() } else { format!("postgresql://postgres@{address}/postgres") };
    let Ok(mut config) = url.parse::<tokio_postgres::Config>() else {
        return Err(CommandError::Address(if is_url { "the URL" } else { address }.to_owned()));
    };
    let hosts = config.get_hosts().iter().map(|host| match host {
        tokio_postgres::config::Host::Tcp(name) => name.clone(),
        tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
    });
    let ports = config.get_ports().iter().copied().chain(std::iter::repeat(5432));
    let target = hosts.zip(ports).map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>().join(", ");
    if config.get_password().is_none()
        && let Ok(password) = std::env::var("PGPASSWORD")
    {
        config.password(password);
    }
    if config.get_user().is_none() {
        config.user("postgres");
    }
    config.application_name("sharddb").connect_timeout(CONNECT_TIME);
    let failed =
        |error: &tokio_postgres::Error| CommandError::Connect { target: target.clone(), reason: server_error(error) };
    let greeted = tokio::time::timeout(CONNECT_TIME, config.connect(NoTls)).await;
    let late = |_| CommandError::Connect { target: target.clone(), reason: "nobody answers there".to_owned() };
    let (client, connection) = greeted.map_err(late)?.map_err(|error| failed(&error))?;
    // It ends with the client; what goes wrong reaches the client's calls.
    tokio::spawn(async move { drop(connection.await) });
    Ok((client, target))
}

fn is_unknown(error: &tokio_postgres::Error) -> bool {
    [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME].iter().any(|state| error.code() == Some(state))
}
