//! Startup packets.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{DecodeError, Reader};

const CANCEL: u32 = (1234 << 16) | 5678;
const TLS: u32 = (1234 << 16) | 5679;
const GSS: u32 = (1234 << 16) | 5680;

/// Bytes of a name, as in PostgreSQL.
const NAME_BYTES_MAX: usize = 63;

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Startup {
    /// Wants TLS.
    Tls,
    /// Wants GSSAPI encryption.
    Gss,
    /// Wants to cancel what another connection runs.
    Cancel {
        /// Process id told to that connection.
        pid: i32,
        /// Its secret.
        secret: i32,
    },
    /// Wants a session.
    Session(StartupParameters),
    /// A protocol other than version 3.
    Unsupported {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
}

/// What a client says of the session it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartupParameters {
    /// Minor version of protocol 3 it would like.
    pub minor: u16,
    /// Protocol options (`_pq_.…`), none of which is known here.
    pub protocol_options: Vec<String>,
    /// Role; empty if not given.
    pub user: String,
    /// Database; empty if not given.
    pub database: String,
    /// Wants a replication connection.
    pub replication: bool,
    /// Settings in order, those of `options` first.
    pub settings: Vec<(String, String)>,
}

impl Startup {
    /// Reads a packet without its length.
    pub fn decode(packet: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(packet);
        match reader.u32()? {
            TLS => reader.finish().map(|()| Self::Tls),
            GSS => reader.finish().map(|()| Self::Gss),
            CANCEL => {
                let (pid, secret) = (reader.i32()?, reader.i32()?);
                reader.finish()?;
                Ok(Self::Cancel { pid, secret })
            }
            version if version >> 16 == 3 => Ok(Self::Session(StartupParameters::read(version as u16, reader)?)),
            version => Ok(Self::Unsupported { major: (version >> 16) as u16, minor: version as u16 }),
        }
    }
}

impl StartupParameters {
    fn read(minor: u16, mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let layout = DecodeError::Malformed("invalid startup packet layout: expected terminator as last byte");
        let mut parameters = Self { minor, ..Self::default() };
        let mut settings = Vec::new();
        loop {
            let name = reader.text().map_err(|_| layout.clone())?;
            if name.is_empty() {
                reader.finish().map_err(|_| layout)?;
                parameters.settings.append(&mut settings);
                return Ok(parameters);
            }
            let value = match reader.text() {
                Ok(value) => value,
                Err(DecodeError::Malformed(_)) => return Err(layout),
                Err(error) => return Err(error),
            };
            match name {
                "user" => parameters.user = truncated(value),
                "database" => parameters.database = truncated(value),
                "replication" => parameters.replication = !matches!(value, "false" | "off" | "no" | "0"),
                "options" => parameters.settings = options(value).map_err(DecodeError::Encoding)?,
                _ if name.starts_with("_pq_.") => parameters.protocol_options.push(name.to_owned()),
                _ => settings.push((name.to_owned(), value.to_owned())),
            }
        }
    }
}

/// A name as SQL would shorten it.
fn truncated(name: &str) -> String {
    name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned()
}

/// Settings from command-line options: `-c name=value`, `-cname=value`, `--name=value`.
fn options(text: &str) -> SqlResult<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut words = split_words(text).into_iter();
    while let Some(word) = words.next() {
        let assignment = if word == "-c" {
            words.next()
        } else {
            word.strip_prefix("--").or_else(|| word.strip_prefix("-c")).map(str::to_owned)
        };
        let Some((name, value)) = assignment.as_deref().and_then(|assignment| assignment.split_once('=')) else {
            let message = format!("invalid command-line argument for server process: {word}");
            return Err(SqlError::new(SqlState::SyntaxError, message));
        };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

/// Words between spaces; a backslash takes the next character as it is.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            _ if c.is_ascii_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(version: u32, text: &[u8]) -> Vec<u8> {
        [&version.to_be_bytes()[..], text].concat()
    }

    #[test]
    fn parameters_and_options_are_read() {
        let text = b"user\0me\0application_name\0x\0options\0-c a=b --work-mem=1\\ MB -cd=\0_pq_.foo\0bar\0\0";
        let Ok(Startup::Session(parameters)) = Startup::decode(&packet(3 << 16, text)) else { panic!("a session") };
        assert_eq!((parameters.user.as_str(), parameters.database.as_str()), ("me", ""));
        let expected = [("a", "b"), ("work_mem", "1 MB"), ("d", ""), ("application_name", "x")];
        assert_eq!(parameters.settings, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(parameters.protocol_options, ["_pq_.foo"]);
    }

    #[test]
    fn broken_packets_are_refused() {
        for text in [&b"user\0me\0"[..], b"user\0me", b"user\0", b"", b"user\0me\0\0x"] {
            assert!(matches!(Startup::decode(&packet(3 << 16, text)), Err(DecodeError::Malformed(_))), "{text:?}");
        }
        assert!(Startup::decode(&packet(3 << 16, b"options\0-x\0\0")).is_err());
        assert!(Startup::decode(&packet(3 << 16, b"options\0-c\0\0")).is_err());
        assert!(Startup::decode(&packet(CANCEL, b"1234")).is_err());
        assert_eq!(Startup::decode(&packet(2 << 16, b"")), Ok(Startup::Unsupported { major: 2, minor: 0 }));
    }
}
