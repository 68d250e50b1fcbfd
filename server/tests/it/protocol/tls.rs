//! TLS.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::ServerName};

use crate::{
    process::{Directory, Process, directory},
    raw::{Raw, message, startup, text},
};

const TLS: u32 = (1234 << 16) | 5679;

/// A server with a certificate, and what a client needs to trust it.
fn server() -> (Process, Arc<ClientConfig>) {
    let directory: Directory = directory();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let arguments = [certificate.to_str().expect("UTF-8").to_owned(), key.to_str().expect("UTF-8").to_owned()];
    let process = Process::start_with(directory, &["--tls-cert", &arguments[0], "--tls-key", &arguments[1]]);

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.expect("known versions").with_root_certificates(roots).with_no_client_auth();
    (process, Arc::new(config))
}

fn handshake(config: Arc<ClientConfig>, stream: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").expect("a name");
    StreamOwned::new(ClientConnection::new(config, name).expect("a connection"), stream)
}

/// Begins a session and asks something; answers everything that came.
fn talk(mut stream: impl Read + Write) -> Vec<u8> {
    stream.write_all(&startup(3 << 16, b"user\0postgres\0\0")).expect("sent");
    stream.write_all(&message(b'Q', &text(""))).expect("sent");
    stream.write_all(&message(b'X', b"")).expect("sent");
    stream.flush().expect("sent");
    let mut answer = Vec::new();
    // An end without a farewell of TLS is an error to the library and none here.
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn a_client_may_ask_for_encryption() {
    let (process, config) = server();
    let mut stream = TcpStream::connect(process.sql).expect("the server accepts");
    stream.write_all(&startup(TLS, b"")).expect("sent");
    let mut answer = [0];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"S");
    let answer = talk(handshake(config, stream));
    assert_eq!(answer.first(), Some(&b'R'));
    // Without asking, the same server speaks in the clear.
    Raw::session(process.sql);
}

#[test]
fn a_client_may_begin_with_encryption_if_it_names_the_protocol() {
    let (process, config) = server();
    let mut named = ClientConfig::clone(&config);
    named.alpn_protocols = vec![b"postgresql".to_vec()];
    let stream = TcpStream::connect(process.sql).expect("the server accepts");
    assert_eq!(talk(handshake(Arc::new(named), stream)).first(), Some(&b'R'));

    let mut unnamed = handshake(config, TcpStream::connect(process.sql).expect("the server accepts"));
    let _ = unnamed.write_all(&startup(3 << 16, b"user\0postgres\0\0"));
    let mut answer = Vec::new();
    let _ = unnamed.read_to_end(&mut answer);
    assert_eq!(answer, b"");
}

#[test]
fn what_comes_before_the_handshake_is_not_believed() {
    let (process, _) = server();
    let mut raw = Raw::connect(process.sql);
    let injected = startup(3 << 16, b"user\0postgres\0\0");
    raw.send(&[startup(TLS, b""), injected].concat());
    let answers = raw.until_end();
    assert_eq!(answers[0].error(), ("FATAL".to_owned(), "08P01".to_owned()));
}

#[test]
fn a_broken_handshake_ends_the_connection_only() {
    let (process, _) = server();
    for noise in [&b"\x16\x03\x01\xff\xff"[..], b"\x16", b"\x16\x03\x01\0\x05hello"] {
        let mut raw = Raw::connect(process.sql);
        raw.send_last(noise);
        let mut rest = Vec::new();
        raw.read_to_end(&mut rest);
    }
    Raw::session(process.sql);
}
