//! Passwords as SCRAM-SHA-256 verifiers, in the form that PostgreSQL keeps in `pg_authid.rolpassword`.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, Mac};
use proto::{SqlError, SqlResult, SqlState};
use sha2::{Digest, Sha256};
use sharddb_proto as proto;

/// PostgreSQL's number of rounds.
const ITERATIONS: u32 = 4096;
/// PostgreSQL's length of a salt.
const SALT_BYTES: usize = 16;
/// Longest password: hashing must not be a way to keep the server busy.
const PASSWORD_BYTES_MAX: usize = 4096;

/// The verifier to store for a password given in clear text or as a verifier already; `None` for an empty password,
/// which nobody can log in with.
pub(crate) fn verifier_of(password: &str) -> SqlResult<Option<String>> {
    if password.is_empty() {
        return Ok(None);
    }
    if is_verifier(password) {
        return Ok(Some(password.to_owned()));
    }
    if password.len() == 35 && password.starts_with("md5") {
        return Err(SqlError::unsupported("MD5 passwords"));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        let message = format!("password is longer than {PASSWORD_BYTES_MAX} bytes");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    let salt: [u8; SALT_BYTES] = rand::random();
    Ok(Some(verifier(password, &salt, ITERATIONS)))
}

fn is_verifier(text: &str) -> bool {
    let parts = || {
        let (head, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        iterations.parse::<u32>().ok().filter(|count| *count > 0)?;
        BASE64.decode(salt).ok()?;
        let is_key = |key: &str| BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 32);
        Some(is_key(stored) && is_key(server))
    };
    parts().unwrap_or(false)
}

/// `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>` (RFC 5803).
fn verifier(password: &str, salt: &[u8], iterations: u32) -> String {
    let salted = hi(password.as_bytes(), salt, iterations);
    let stored = Sha256::digest(hmac(&salted, b"Client Key"));
    let server = hmac(&salted, b"Server Key");
    format!("SCRAM-SHA-256${iterations}:{}${}:{}", BASE64.encode(salt), BASE64.encode(stored), BASE64.encode(server))
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// PBKDF2 with one block (RFC 5802, section 2.2).
fn hi(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut round = hmac(password, &[salt, &[0, 0, 0, 1]].concat());
    let mut result = round;
    for _ in 1..iterations {
        round = hmac(password, &round);
        result.iter_mut().zip(round).for_each(|(byte, other)| *byte ^= other);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_what_the_rfc_example_says() {
        // RFC 7677, section 3: user "user", password "pencil".
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let made = verifier("pencil", &salt, 4096);
        assert!(
            made.ends_with(
                "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
            )
        );
        assert!(is_verifier(&made));
        assert_eq!(verifier_of(&made), Ok(Some(made)));
    }

    #[test]
    fn an_empty_password_is_none() {
        assert_eq!(verifier_of(""), Ok(None));
        assert!(verifier_of("secret").expect("a verifier").expect("not empty").starts_with("SCRAM-SHA-256$4096:"));
    }
}
