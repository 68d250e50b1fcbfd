//! From an accepted socket to a session: encryption, startup packet, authentication.

use std::{io, net::SocketAddr};

use executor::{Session, SessionStart};
use proto::{SqlError, SqlState};
use sharddb_executor as executor;
use sharddb_proto as proto;
use tokio_rustls::TlsAcceptor;

use crate::{
    auth,
    control::{Control, Order},
    server::Shared,
    socket::{Socket, Stream},
    tls,
    wire::{self, Startup, StartupParameters, Taken},
};

/// First byte of a TLS handshake, which a startup packet cannot begin with.
const TLS_HANDSHAKE: u8 = 0x16;
/// Encryption requests before the startup packet: one for GSSAPI, one for TLS.
const ENCRYPTION_REQUESTS_MAX: usize = 2;

/// Why there is no session.
pub(crate) enum Refusal {
    /// The client is told.
    Sql(SqlError),
    /// The client is gone.
    Io(io::Error),
}

impl From<SqlError> for Refusal {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Agrees on encryption and reads the startup packet. `None` when there is nobody to answer: the client is gone, or it
/// only wanted to cancel something.
pub(crate) async fn negotiate(
    mut socket: Socket,
    shared: &Shared,
) -> io::Result<Option<(Socket, Result<StartupParameters, SqlError>)>> {
    for _ in 0..=ENCRYPTION_REQUESTS_MAX {
        if starts_tls(&mut socket).await? && !socket.is_tls() {
            let Some(encrypted) = accept_tls(socket, shared, true).await? else { return Ok(None) };
            socket = encrypted;
        }
        let packet = match read_packet(&mut socket).await? {
            Ok(packet) => Startup::decode(&packet).map_err(SqlError::from),
            Err(error) => Err(error),
        };
        match packet {
            Ok(Startup::Session(parameters)) => return Ok(Some((socket, Ok(parameters)))),
            Ok(Startup::Cancel { pid, secret }) => {
                shared.registry.cancel(pid, secret);
                return Ok(None);
            }
            Ok(Startup::Tls) if shared.tls.is_some() && !socket.is_tls() => {
                if !socket.input.is_empty() {
                    // Whatever was sent before the handshake did not come through TLS and may be somebody else's.
                    let message = "received unencrypted data after SSL request";
                    return Ok(Some((socket, Err(SqlError::new(SqlState::ProtocolViolation, message)))));
                }
                let Some(encrypted) = accept_tls(socket, shared, false).await? else { return Ok(None) };
                socket = encrypted;
            }
            Ok(Startup::Tls | Startup::Gss) => socket.output.extend_from_slice(b"N"),
            Ok(Startup::Unsupported { major, minor }) => {
                let message = format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0");
                return Ok(Some((socket, Err(SqlError::new(SqlState::FeatureNotSupported, message)))));
            }
            Err(error) => return Ok(Some((socket, Err(error)))),
        }
    }
    let message = "too many encryption requests";
    Ok(Some((socket, Err(SqlError::new(SqlState::ProtocolViolation, message)))))
}

async fn starts_tls(socket: &mut Socket) -> io::Result<bool> {
    while socket.input.is_empty() {
        socket.fill(1).await?;
    }
    Ok(socket.input.first() == Some(&TLS_HANDSHAKE))
}

/// Runs the handshake; `direct` is one that the client began without asking.
async fn accept_tls(mut socket: Socket, shared: &Shared, direct: bool) -> io::Result<Option<Socket>> {
    let Some(config) = shared.tls.clone() else { return Ok(None) };
    if !direct {
        socket.output.extend_from_slice(b"S");
        socket.flush().await?;
    }
    let received = std::mem::take(&mut socket.input);
    let Stream::Plain(stream) = socket.into_stream() else { return Ok(None) };
    let stream = TlsAcceptor::from(config).accept(tls::Replay::new(received, stream)).await?;
    if direct && stream.get_ref().1.alpn_protocol() != Some(tls::ALPN) {
        return Ok(None);
    }
    Ok(Some(Socket::new(Stream::Tls(Box::new(stream)), crate::metrics::metrics())))
}

async fn read_packet(socket: &mut Socket) -> io::Result<Result<bytes::BytesMut, SqlError>> {
    loop {
        match wire::startup_packet(&mut socket.input) {
            Ok(Taken::Whole(packet)) => return Ok(Ok(packet)),
            Ok(Taken::Needs(bytes)) => socket.fill(bytes).await?,
            Err(error) => return Ok(Err(error.into())),
        }
    }
}

/// Authenticates the client and begins its session; leaves the greeting in the output.
pub(crate) async fn admit(
    socket: &mut Socket,
    shared: &Shared,
    control: &Control,
    peer: SocketAddr,
    mut parameters: StartupParameters,
) -> Result<Session, Refusal> {
    if control.order() != Order::GoOn {
        return Err(SqlError::new(SqlState::CannotConnectNow, "the database system is shutting down").into());
    }
    if parameters.minor > 0 || !parameters.protocol_options.is_empty() {
        wire::negotiate_version(&mut socket.output, &parameters.protocol_options);
    }
    if parameters.user.is_empty() {
        let message = "no PostgreSQL user name specified in startup packet";
        return Err(SqlError::new(SqlState::InvalidAuthorizationSpecification, message).into());
    }
    if parameters.replication {
        return Err(SqlError::unsupported("replication protocol").into());
    }
    if parameters.database.is_empty() {
        parameters.database.clone_from(&parameters.user);
    }
    auth::authenticate(socket, &shared.engine, shared.auth, peer, &parameters.user).await?;

    let mut application_name = String::new();
    parameters.settings.retain_mut(|(name, value)| {
        let is_name = name == "application_name";
        if is_name {
            application_name = std::mem::take(value);
        }
        !is_name
    });
    let start = SessionStart {
        user: parameters.user,
        database: parameters.database,
        application_name,
        settings: parameters.settings,
        backend_pid: control.pid,
        client: Some(peer),
        encrypted: socket.is_tls(),
    };
    let session = Session::new(shared.engine.clone(), start).await?;
    control.set_cancel(session.cancel_handle());
    greet(socket, &session, control);
    Ok(session)
}

fn greet(socket: &mut Socket, session: &Session, control: &Control) {
    let out = &mut socket.output;
    wire::authentication_ok(out);
    for (name, value) in session.reported_parameters() {
        wire::parameter_status(out, &name, &value);
    }
    wire::backend_key(out, control.pid, control.secret);
    wire::ready_for_query(out, b'I');
    socket.mark_due();
}
