//! TLS: the server's certificate and key.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, BytesMut};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The protocol name by which a client may start TLS without asking first.
pub(crate) const ALPN: &[u8] = b"postgresql";

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("could not read \"{file}\": {source}")]
    Read {
        /// Which.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("\"{file}\" holds no {what} in PEM format")]
    Missing {
        /// Which.
        file: String,
        /// What it should hold.
        what: &'static str,
    },
    /// They do not fit together.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// Reads a certificate chain and its private key.
pub fn load_tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let read = |path: &Path, source| TlsError::Read { file: path.display().to_string(), source };
    let open = |path: &Path| File::open(path).map(BufReader::new).map_err(|source| read(path, source));
    let missing = |path: &Path, what| TlsError::Missing { file: path.display().to_string(), what };

    let chain: Result<Vec<_>, _> = rustls_pemfile::certs(&mut open(certificate)?).collect();
    let chain = chain.map_err(|source| read(certificate, source))?;
    if chain.is_empty() {
        return Err(missing(certificate, "certificate"));
    }
    let private = rustls_pemfile::private_key(&mut open(key)?).map_err(|source| read(key, source))?;
    let private = private.ok_or_else(|| missing(key, "private key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, private)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// A stream of which some bytes were read already.
#[derive(Debug)]
pub(crate) struct Replay {
    received: BytesMut,
    stream: TcpStream,
}

impl Replay {
    pub(crate) fn new(received: BytesMut, stream: TcpStream) -> Self {
        Self { received, stream }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsyncRead for Replay {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.received.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.received.len().min(buf.remaining());
        buf.put_slice(&self.received[..count]);
        self.received.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replay {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
