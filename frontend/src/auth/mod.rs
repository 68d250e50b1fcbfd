//! Who may connect.
//!
//! As long as no role has a password, clients on this machine are trusted and others are turned away. Once one has,
//! everybody proves to know the password by SCRAM-SHA-256. A user without a password, or unknown, goes through the
//! same exchange with a made-up verifier, so that the answer does not tell which users exist.

mod scram;

use std::{net::SocketAddr, sync::LazyLock};

use executor::Engine;
use proto::{SqlError, SqlResult, SqlState};
use sharddb_executor as executor;
use sharddb_proto as proto;

use crate::{
    socket::Socket,
    startup::Refusal,
    wire::{self, Reader, Taken},
};
use scram::{Exchange, Verifier};

/// How clients prove who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// Trusts clients on this machine while no role has a password; passwords are asked for otherwise.
    #[default]
    Auto,
    /// Always asks for a password.
    Password,
    /// Trusts everybody, wherever they come from.
    Trust,
}

const MECHANISM: &str = "SCRAM-SHA-256";
/// AuthenticationSASL, AuthenticationSASLContinue, AuthenticationSASLFinal.
const SASL: [u32; 3] = [10, 11, 12];

/// Makes verifiers of users that have none. New in each process: it only must not be known outside.
static MOCK_SECRET: LazyLock<[u8; 32]> = LazyLock::new(rand::random);

/// Lets the client prove who it is and makes sure that the role may log in.
pub(crate) async fn authenticate(
    socket: &mut Socket,
    engine: &Engine,
    mode: AuthMode,
    peer: SocketAddr,
    user: &str,
) -> Result<(), Refusal> {
    let role = engine.role(user).await?;
    if asks_for_password(engine, mode, peer).await? {
        let verifier = role.as_ref().and_then(|role| role.password.as_deref()).and_then(Verifier::parse);
        if role.is_some() && verifier.is_none() {
            tracing::info!(user, "the role has no password and cannot log in while others have one");
        }
        let verifier = verifier.unwrap_or_else(|| Verifier::mock(user, &*MOCK_SECRET));
        exchange(socket, Exchange::new(verifier), user).await?;
    }
    match role {
        Some(role) if role.login => Ok(()),
        Some(_) => Err(refused(format!("role \"{user}\" is not permitted to log in")).into()),
        None => Err(refused(format!("role \"{user}\" does not exist")).into()),
    }
}

fn refused(message: String) -> SqlError {
    SqlError::new(SqlState::InvalidAuthorizationSpecification, message)
}

async fn asks_for_password(engine: &Engine, mode: AuthMode, peer: SocketAddr) -> SqlResult<bool> {
    match mode {
        AuthMode::Trust => Ok(false),
        AuthMode::Password => Ok(true),
        AuthMode::Auto if engine.has_passwords().await? => Ok(true),
        AuthMode::Auto if peer.ip().to_canonical().is_loopback() => Ok(false),
        AuthMode::Auto => Err(refused("connections from other machines need a password".to_owned())
            .with_hint("Connect from the server's machine and give a role a password: ALTER ROLE … PASSWORD '…'.")),
    }
}

/// The messages of SCRAM-SHA-256.
async fn exchange(socket: &mut Socket, mut exchange: Exchange, user: &str) -> Result<(), Refusal> {
    let failed =
        || SqlError::new(SqlState::InvalidPassword, format!("password authentication failed for user \"{user}\""));
    let mut mechanisms = MECHANISM.as_bytes().to_vec();
    mechanisms.extend([0, 0]);
    wire::authentication(&mut socket.output, SASL[0], &mechanisms);

    let first = answer(socket).await?;
    let mut reader = Reader::new(&first);
    let mechanism = reader.text().map_err(SqlError::from)?;
    if mechanism != MECHANISM {
        let message = "client selected an invalid SASL authentication mechanism";
        return Err(SqlError::new(SqlState::ProtocolViolation, message).into());
    }
    let message = reader.value().map_err(SqlError::from)?.unwrap_or_default();
    reader.finish().map_err(SqlError::from)?;
    let server_first = exchange.client_first(message).map_err(|_| malformed())?;
    wire::authentication(&mut socket.output, SASL[1], server_first.as_bytes());

    let last = answer(socket).await?;
    match exchange.client_final(&last) {
        Ok(server_final) => {
            wire::authentication(&mut socket.output, SASL[2], server_final.as_bytes());
            Ok(())
        }
        Err(scram::Failure::Malformed) => Err(malformed().into()),
        Err(scram::Failure::WrongProof) => Err(failed().into()),
    }
}

fn malformed() -> SqlError {
    SqlError::new(SqlState::ProtocolViolation, "malformed SCRAM message")
}

/// Waits for an authentication message; another one is refused.
async fn answer(socket: &mut Socket) -> Result<bytes::BytesMut, Refusal> {
    loop {
        let needs = match wire::take_frame(&mut socket.input).map_err(SqlError::from)? {
            Taken::Whole(frame) if frame.tag == b'p' => return Ok(frame.body),
            Taken::Whole(frame) => {
                let message = format!("expected SASL response, got message type {}", frame.tag);
                return Err(SqlError::new(SqlState::ProtocolViolation, message).into());
            }
            // Nothing but an authentication message is expected, so a longer one is not even read.
            Taken::Needs(bytes) if bytes > wire::AUTHENTICATION_BYTES_MAX + 1 => {
                return Err(SqlError::from(wire::FrameError::Length).into());
            }
            Taken::Needs(bytes) => bytes,
        };
        socket.fill(needs).await?;
    }
}
