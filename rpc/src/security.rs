//! TLS between nodes: both ends show a certificate of the cluster's authority that names a node.
//!
//! Without certificates connections are plain, and then only between addresses of one machine, unless the operator says
//! that the network is trusted.

use std::{
    fs::File,
    io::{self, BufReader},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::{ParsedCertificate, WebPkiClientVerifier},
    version::TLS13,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::{SecurityError, certificates::NODE_NAME, socket::Socket};

/// The authority's certificate.
pub(crate) const AUTHORITY_FILE: &str = "ca.crt";
/// The node's certificate.
pub(crate) const CERTIFICATE_FILE: &str = "node.crt";
/// The node's private key.
pub(crate) const KEY_FILE: &str = "node.key";
const HTTP2: &[u8] = b"h2";

/// How connections between nodes are kept from others.
#[derive(Clone, Debug)]
pub struct Security(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Plain { everywhere: bool },
    Tls { accept: Arc<ServerConfig>, connect: Arc<ClientConfig> },
}

impl Security {
    /// No certificates: only nodes of one machine reach each other.
    pub fn loopback_only() -> Self {
        Self(Kind::Plain { everywhere: false })
    }

    /// No certificates, on a network that everybody who matters trusts.
    pub fn trusted_network() -> Self {
        Self(Kind::Plain { everywhere: true })
    }

    /// Reads `ca.crt`, `node.crt` and `node.key`.
    pub fn load(directory: &Path) -> Result<Self, SecurityError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&directory.join(AUTHORITY_FILE))? {
            roots.add(certificate)?;
        }
        let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
        let chain = certificates(&directory.join(CERTIFICATE_FILE))?;
        let key = private_key(&directory.join(KEY_FILE))?;
        let accept = accepting(&roots, &provider, chain.clone(), key.clone_key())?;
        let connect = connecting(roots, provider, chain, key)?;
        Ok(Self(Kind::Tls { accept: Arc::new(accept), connect: Arc::new(connect) }))
    }

    /// Whether connections to or at this address are safe.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        match self.0 {
            Kind::Plain { everywhere } => everywhere || address.to_canonical().is_loopback(),
            Kind::Tls { .. } => true,
        }
    }

    /// The accepting end of a handshake.
    pub(crate) async fn accept(&self, tcp: TcpStream) -> io::Result<Socket> {
        let Kind::Tls { accept, .. } = &self.0 else { return Ok(Socket::Plain(tcp)) };
        let stream = TlsAcceptor::from(Arc::clone(accept)).accept(tcp).await?;
        require_node(stream.get_ref().1.peer_certificates())?;
        Ok(Socket::Tls(Box::new(TlsStream::Server(stream))))
    }

    /// The connecting end of a handshake; the certificate must name a node.
    pub(crate) async fn connect(&self, tcp: TcpStream) -> io::Result<Socket> {
        let Kind::Tls { connect, .. } = &self.0 else { return Ok(Socket::Plain(tcp)) };
        let stream = TlsConnector::from(Arc::clone(connect)).connect(node_name(), tcp).await?;
        Ok(Socket::Tls(Box::new(TlsStream::Client(stream))))
    }
}

fn accepting(
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, SecurityError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider)).build()?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider)).with_protocol_versions(&[&TLS13])?;
    let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    // Connections last; a ticket would never be used.
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn connecting(
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, SecurityError> {
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
    let mut config = builder.with_root_certificates(roots).with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn node_name() -> ServerName<'static> {
    ServerName::try_from(NODE_NAME).expect("a DNS name")
}

/// Fails unless the certificate names a node.
fn require_node(chain: Option<&[CertificateDer<'_>]>) -> io::Result<()> {
    let named = chain.and_then(<[_]>::first).is_some_and(|certificate| {
        let parsed = ParsedCertificate::try_from(certificate);
        parsed.is_ok_and(|parsed| verify_server_name(&parsed, &node_name()).is_ok())
    });
    let refusal = || io::Error::new(io::ErrorKind::PermissionDenied, "the certificate is not a node's");
    if named { Ok(()) } else { Err(refusal()) }
}

/// Whether the authority signed the certificate and it is valid now.
pub(crate) fn signed_by(certificate: &CertificateDer<'_>, authority_pem: &str, now: SystemTime) -> bool {
    let mut roots = RootCertStore::empty();
    for authority in rustls_pemfile::certs(&mut authority_pem.as_bytes()).flatten() {
        // One that cannot be used signed nothing.
        let _ = roots.add(authority);
    }
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let algorithms = ring::default_provider().signature_verification_algorithms.all;
    ParsedCertificate::try_from(certificate).is_ok_and(|parsed| {
        let now = UnixTime::since_unix_epoch(since_epoch);
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms).is_ok()
    })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SecurityError> {
    let found: Result<Vec<_>, _> = rustls_pemfile::certs(&mut open(file)?).collect();
    let found = found.map_err(|source| SecurityError::Read { file: file.to_owned(), source })?;
    if found.is_empty() {
        return Err(SecurityError::Missing { file: file.to_owned(), what: "certificate" });
    }
    Ok(found)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, SecurityError> {
    let found = rustls_pemfile::private_key(&mut open(file)?);
    let found = found.map_err(|source| SecurityError::Read { file: file.to_owned(), source })?;
    found.ok_or_else(|| SecurityError::Missing { file: file.to_owned(), what: "private key" })
}

fn open(file: &Path) -> Result<BufReader<File>, SecurityError> {
    let failed = |source| SecurityError::Read { file: PathBuf::from(file), source };
    File::open(file).map(BufReader::new).map_err(failed)
}
