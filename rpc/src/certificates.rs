//! Makes the certificates of a cluster: an authority, and one for each node.
//!
//! A node's certificate names [`NODE_NAME`] beside the hosts, and that name is what nodes look for in each other. Another
//! certificate of the same authority, such as a SQL client's, therefore does not make its holder a node.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

use crate::{
    CertificateError,
    security::{AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE, signed_by},
};

/// The name in every node's certificate.
pub(crate) const NODE_NAME: &str = "node.sharddb";
/// Subject of every authority; which one it is, its key tells.
const AUTHORITY_NAME: &str = "ShardDB cluster";
const AUTHORITY_KEY_FILE: &str = "ca.key";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Clocks of nodes may be behind by this.
const BACKDATED: Duration = DAY;
/// A cluster lives long, and changing the authority means changing every certificate.
const AUTHORITY_TIME: Duration = DAY.saturating_mul(10 * 365);
/// A node's certificate is easily replaced.
const NODE_TIME: Duration = DAY.saturating_mul(5 * 365);

/// Makes an authority: `ca.crt`, which every node needs, and `ca.key`, which only `create_node` needs.
pub fn create_ca(directory: &Path, now: SystemTime) -> Result<Vec<PathBuf>, CertificateError> {
    let key = KeyPair::generate()?;
    let certificate = authority(now).self_signed(&key)?;
    write_pair(directory, (AUTHORITY_FILE, &certificate), (AUTHORITY_KEY_FILE, &key))
}

/// Makes `node.crt` and `node.key` for a node that is reached under these names and addresses.
pub fn create_node(directory: &Path, hosts: &[String], now: SystemTime) -> Result<Vec<PathBuf>, CertificateError> {
    let (certificate_file, key_file) = (directory.join(AUTHORITY_FILE), directory.join(AUTHORITY_KEY_FILE));
    let authority_pem = read(&certificate_file)?;
    let issuer = Issuer::new(authority(now), KeyPair::from_pem(&read(&key_file)?)?);

    let mut names = vec![NODE_NAME.to_owned()];
    names.extend_from_slice(hosts);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named(hosts.first().map_or(NODE_NAME, String::as_str));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + NODE_TIME).into();
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    if !signed_by(certificate.der(), &authority_pem, now) {
        return Err(CertificateError::Authority { certificate: certificate_file, key: key_file });
    }
    write_pair(directory, (CERTIFICATE_FILE, &certificate), (KEY_FILE, &key))
}

fn authority(now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + AUTHORITY_TIME).into();
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn read(file: &Path) -> Result<String, CertificateError> {
    fs::read_to_string(file).map_err(|source| CertificateError::File { file: file.to_owned(), source })
}

/// Writes a certificate that everybody may read and a key that only its owner may.
fn write_pair(
    directory: &Path,
    certificate: (&str, &Certificate),
    key: (&str, &KeyPair),
) -> Result<Vec<PathBuf>, CertificateError> {
    let files = vec![directory.join(certificate.0), directory.join(key.0)];
    if let Some(there) = files.iter().find(|file| file.exists()) {
        return Err(CertificateError::Exists(there.clone()));
    }
    let failed = |source| CertificateError::File { file: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(failed)?;
    write_new(&files[1], &key.1.serialize_pem(), 0o600)?;
    write_new(&files[0], &certificate.1.pem(), 0o644)?;
    Ok(files)
}

fn write_new(file: &Path, text: &str, mode: u32) -> Result<(), CertificateError> {
    let write = || {
        let mut open = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
        open.write_all(text.as_bytes())?;
        open.sync_all()
    };
    write().map_err(|source| CertificateError::File { file: file.to_owned(), source })
}
