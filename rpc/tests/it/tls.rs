//! Certificates.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

use proto::NodeId;
use rcgen::{CertificateParams, Issuer, KeyPair};
use sharddb_kv::Transport;
use sharddb_proto as proto;
use sharddb_rpc::{CertificateError, Nodes, Security, SecurityError, Timing, create_ca, create_node};
use tempfile::TempDir;

use crate::{
    cluster::{Running, identity, introduce, patient, start, until_down},
    probe::{echo, get, value},
};

/// A moment at which certificates are made: they are valid for years around the time these tests run.
fn now() -> SystemTime {
    tempfile::NamedTempFile::new().and_then(|file| file.as_file().metadata()?.modified()).expect("a file")
}

fn certificates() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    create_ca(directory.path(), now()).expect("an authority");
    create_node(directory.path(), &["localhost".to_owned(), "127.0.0.1".to_owned()], now()).expect("a certificate");
    directory
}

async fn secure(node: u64, directory: &Path) -> Running {
    let security = Security::load(directory).expect("certificates");
    start(identity(node, 1), security, patient(), "127.0.0.1:0").await
}

/// Why a process with these certificates, or none, cannot reach a node.
async fn refusal(security: Security, to: &Running) -> String {
    let nodes = Nodes::new(identity(1, 1), security, Timing::default());
    nodes.set_members([(NodeId(2), to.address())]);
    assert!(nodes.reach(NodeId(2)).await.is_err());
    until_down(&nodes, 2).await
}

#[tokio::test]
async fn nodes_of_one_authority_talk() {
    let directory = certificates();
    let (one, two) = (secure(1, directory.path()).await, secure(2, directory.path()).await);
    introduce(&[&one, &two]);
    assert_eq!(value(one.nodes.call(NodeId(2), get("key")).await), Ok(echo(NodeId(1), b"key")));
    assert_eq!(value(two.nodes.call(NodeId(1), get("size 3000000")).await).map(|value| value.len()), Ok(3_000_000));
}

#[tokio::test]
async fn everybody_else_is_kept_out() {
    let (directory, elsewhere) = (certificates(), certificates());
    let two = secure(2, directory.path()).await;
    two.nodes.set_members([(NodeId(1), "127.0.0.1:1".to_owned())]);
    // Another authority; no TLS; TLS to a node without.
    refusal(Security::load(elsewhere.path()).expect("certificates"), &two).await;
    refusal(Security::loopback_only(), &two).await;
    let plain = crate::cluster::start_plain(2).await;
    plain.nodes.set_members([(NodeId(1), "127.0.0.1:1".to_owned())]);
    refusal(Security::load(directory.path()).expect("certificates"), &plain).await;
    // The nodes still serve those who belong here.
    let one = secure(1, directory.path()).await;
    introduce(&[&one, &two]);
    assert!(value(one.nodes.call(NodeId(2), get("key")).await).is_ok());
}

#[tokio::test]
async fn a_certificate_of_the_authority_that_is_no_nodes_is_refused() {
    let directory = certificates();
    let two = secure(2, directory.path()).await;
    two.nodes.set_members([(NodeId(1), "127.0.0.1:1".to_owned())]);
    let text = |file: &str| std::fs::read_to_string(directory.path().join(file)).expect("a file");
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(rcgen::DnType::CommonName, "ShardDB cluster");
    let issuer = Issuer::new(authority, KeyPair::from_pem(&text("ca.key")).expect("a key"));
    let mut params = CertificateParams::new(vec!["alice".to_owned()]).expect("a name");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let client = tempfile::tempdir().expect("a directory");
    for (file, text) in [("ca.crt", text("ca.crt")), ("node.crt", certificate.pem()), ("node.key", key.serialize_pem())]
    {
        std::fs::write(client.path().join(file), text).expect("a file");
    }
    refusal(Security::load(client.path()).expect("certificates"), &two).await;
}

#[test]
fn keys_are_secret_and_nothing_is_overwritten() {
    let directory = certificates();
    let mode = |file: &str| directory.path().join(file).metadata().expect("a file").permissions().mode() & 0o777;
    assert_eq!([mode("ca.key"), mode("node.key")], [0o600, 0o600]);
    assert!(matches!(create_ca(directory.path(), now()), Err(CertificateError::Exists(_))));
    assert!(matches!(create_node(directory.path(), &[], now()), Err(CertificateError::Exists(_))));
    // An authority whose files do not belong together.
    let other = certificates();
    std::fs::copy(other.path().join("ca.key"), directory.path().join("ca.key")).expect("a copy");
    std::fs::remove_file(directory.path().join("node.crt")).expect("removed");
    std::fs::remove_file(directory.path().join("node.key")).expect("removed");
    let made = create_node(directory.path(), &[], now());
    assert!(matches!(made, Err(CertificateError::Authority { .. })), "{made:?}");
    // An authority that has expired signs nothing.
    let late = now() + Duration::from_secs(11 * 365 * 24 * 60 * 60);
    let made = create_node(other.path(), &[], late);
    assert!(made.is_err(), "{made:?}");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let directory = certificates();
    std::fs::write(directory.path().join("node.key"), "nothing").expect("a file");
    let error = Security::load(directory.path()).expect_err("no key");
    assert!(matches!(&error, SecurityError::Missing { what: "private key", .. }), "{error}");
    assert!(error.to_string().contains("node.key"));
    std::fs::remove_file(directory.path().join("ca.crt")).expect("removed");
    assert!(matches!(Security::load(directory.path()), Err(SecurityError::Read { .. })));
}
