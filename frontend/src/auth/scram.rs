//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side, without channel binding.
//!
//! Pure: messages in, messages out. Proofs are compared in constant time.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, Mac, digest::CtOutput};
use sha2::{Digest, Sha256};

type Key = [u8; 32];
type HmacSha256 = Hmac<Sha256>;

/// Rounds told to users that do not exist: PostgreSQL's default.
const MOCK_ITERATIONS: u32 = 4096;
/// Bytes of salt told to users that do not exist: PostgreSQL's length.
const MOCK_SALT_BYTES: usize = 16;
/// Random bytes of the server's nonce, as in PostgreSQL.
const NONCE_BYTES: usize = 18;

/// What the server knows of a password.
#[derive(Clone, Debug)]
pub(super) struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
    /// Belongs to no password.
    mock: bool,
}

impl Verifier {
    /// Reads `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (head, keys) = rest.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let key = |text: &str| BASE64.decode(text).ok().and_then(|bytes| Key::try_from(bytes).ok());
        Some(Self {
            iterations: iterations.parse().ok()?,
            salt: BASE64.decode(salt).ok()?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
            mock: false,
        })
    }

    /// A verifier that no proof satisfies, the same each time for a user.
    pub(super) fn mock(user: &str, secret: &[u8]) -> Self {
        let salt = hmac(secret, &[user.as_bytes()])[..MOCK_SALT_BYTES].to_vec();
        Self { iterations: MOCK_ITERATIONS, salt, stored_key: [0; 32], server_key: [0; 32], mock: true }
    }
}

/// Why an exchange fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The client does not follow the protocol.
    Malformed,
    /// The client does not know the password.
    WrongProof,
}

/// One authentication.
pub(super) struct Exchange {
    verifier: Verifier,
    server_nonce: String,
    /// Set by the client's first message.
    gs2_header: String,
    client_first_bare: String,
    server_first: String,
    nonce: String,
}

impl Exchange {
    pub(super) fn new(verifier: Verifier) -> Self {
        let server_nonce = BASE64.encode(rand::random::<[u8; NONCE_BYTES]>());
        let (gs2_header, client_first_bare, server_first, nonce) = Default::default();
        Self { verifier, server_nonce, gs2_header, client_first_bare, server_first, nonce }
    }

    /// Answers the client's first message: `n,,n=user,r=nonce`.
    pub(super) fn client_first(&mut self, message: &[u8]) -> Result<&str, Failure> {
        let message = std::str::from_utf8(message).map_err(|_| Failure::Malformed)?;
        let mut parts = message.splitn(3, ',');
        let (Some(binding), Some(identity), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Failure::Malformed);
        };
        // Channel binding is not offered: `n` is a client without it, `y` one that would have liked it.
        if !matches!(binding, "n" | "y") || !identity.is_empty() {
            return Err(Failure::Malformed);
        }
        // The user's name is that of the startup packet, whatever stands here.
        let mut attributes = bare.split(',');
        let user = attributes.next().and_then(|attribute| attribute.strip_prefix("n="));
        let nonce = attributes.next().and_then(|attribute| attribute.strip_prefix("r="));
        let (Some(_), Some(nonce)) = (user, nonce) else { return Err(Failure::Malformed) };
        if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::Malformed);
        }
        self.gs2_header = format!("{binding},{identity},");
        self.client_first_bare = bare.to_owned();
        self.nonce = format!("{nonce}{}", self.server_nonce);
        let salt = BASE64.encode(&self.verifier.salt);
        self.server_first = format!("r={},s={salt},i={}", self.nonce, self.verifier.iterations);
        Ok(&self.server_first)
    }

    /// Checks the client's proof: `c=binding,r=nonce,p=proof`.
    pub(super) fn client_final(&self, message: &[u8]) -> Result<String, Failure> {
        let message = std::str::from_utf8(message).map_err(|_| Failure::Malformed)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Failure::Malformed)?;
        let proof = BASE64.decode(proof).ok().and_then(|proof| Key::try_from(proof).ok()).ok_or(Failure::Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|attribute| attribute.strip_prefix("c=")).ok_or(Failure::Malformed)?;
        let nonce = attributes.next().and_then(|attribute| attribute.strip_prefix("r=")).ok_or(Failure::Malformed)?;
        if binding != BASE64.encode(&self.gs2_header) || nonce != self.nonce {
            return Err(Failure::Malformed);
        }
        let signed = [&self.client_first_bare, ",", &self.server_first, ",", without_proof].map(str::as_bytes);
        let signature = hmac(&self.verifier.stored_key, &signed);
        let mut client_key = proof;
        client_key.iter_mut().zip(signature).for_each(|(byte, mask)| *byte ^= mask);
        let proved = CtOutput::<HmacSha256>::new(Sha256::digest(client_key));
        let matches = proved == CtOutput::new(self.verifier.stored_key.into());
        if !matches || self.verifier.mock {
            return Err(Failure::WrongProof);
        }
        Ok(format!("v={}", BASE64.encode(hmac(&self.verifier.server_key, &signed))))
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut mac = HmacSha256::new_from_slice(key).expect("a key of any length will do");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677: user "user", password "pencil".
    fn example() -> Exchange {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let mut salted = [0; 32];
        let mut block = hmac(b"pencil", &[&salt, &[0, 0, 0, 1]]);
        for _ in 0..4096 {
            salted.iter_mut().zip(block).for_each(|(sum, byte)| *sum ^= byte);
            block = hmac(b"pencil", &[&block]);
        }
        let stored_key: Key = Sha256::digest(hmac(&salted, &[b"Client Key"])).into();
        let server_key = hmac(&salted, &[b"Server Key"]);
        let text = format!(
            "SCRAM-SHA-256$4096:{}${}:{}",
            BASE64.encode(&salt),
            BASE64.encode(stored_key),
            BASE64.encode(server_key)
        );
        let mut exchange = Exchange::new(Verifier::parse(&text).expect("a verifier"));
        exchange.server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
        exchange
    }

    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    #[test]
    fn the_example_of_the_standard_is_accepted() {
        let mut exchange = example();
        let first = exchange.client_first(FIRST).expect("a good message");
        assert_eq!(first, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let last = exchange.client_final(FINAL.as_bytes());
        assert_eq!(last.as_deref(), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    }

    #[test]
    fn another_password_or_nonce_is_refused() {
        let mut exchange = example();
        exchange.client_first(FIRST).expect("a good message");
        let proof = FINAL.replace("p=dHz", "p=eHz");
        assert_eq!(exchange.client_final(proof.as_bytes()), Err(Failure::WrongProof));
        let nonce = FINAL.replace("r=rOpr", "r=xOpr");
        assert_eq!(exchange.client_final(nonce.as_bytes()), Err(Failure::Malformed));
        let binding = FINAL.replace("c=biws", "c=eSws");
        assert_eq!(exchange.client_final(binding.as_bytes()), Err(Failure::Malformed));
    }

    #[test]
    fn a_made_up_verifier_is_stable_and_never_satisfied() {
        let salt = |user| Verifier::mock(user, b"secret").salt;
        assert_eq!(salt("a"), salt("a"));
        assert_ne!(salt("a"), salt("b"));
        let mut exchange = Exchange::new(Verifier::mock("a", b"secret"));
        exchange.client_first(FIRST).expect("a good message");
        let proof = BASE64.encode([0; 32]);
        let message = format!("c=biws,r={},p={proof}", exchange.nonce);
        assert_eq!(exchange.client_final(message.as_bytes()), Err(Failure::WrongProof));
    }

    #[test]
    fn malformed_messages_are_refused() {
        for message in
            [&b""[..], b"n", b"n,,", b"p=tls-unique,,n=,r=x", b"n,,r=x", b"n,,n=,r=", b"n,,m=x,n=,r=x", &[0xff]]
        {
            assert_eq!(example().client_first(message).err(), Some(Failure::Malformed), "{message:?}");
        }
        for message in [&b""[..], b"c=biws", b"c=biws,r=,p=!", b",p=AAAA", &[0xff]] {
            assert_eq!(example().client_final(message).err(), Some(Failure::Malformed), "{message:?}");
        }
    }
}
