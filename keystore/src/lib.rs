//! Key stores as JVMs have them (JKS, PKCS#12) and PEM files: certificates and keys out of a file;
//! and how a server's certificate is checked with them.
//!
//! What a file is, its first bytes say, as with the JVM's own dual-format stores. Only reads; no
//! message repeats a password. Answers for `java.security.KeyStore` and Kafka's
//! `DefaultSslEngineFactory`.

mod jks;
mod verify;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connect_api::{Error, Result};
use openssl::pkey::PKey;

pub use verify::ChainVerifier;

/// What a store holds.
#[derive(Debug, Default)]
pub struct Store {
    /// Certificates of those who are believed, DER.
    pub trusted: Vec<Vec<u8>>,
    /// The first private key with its certificates.
    pub identity: Option<Identity>,
}

/// A private key with its certificates.
pub struct Identity {
    /// The key, PEM.
    pub key_pem: String,
    /// Whether that key still is encrypted; only one from a PEM file can be.
    pub key_is_encrypted: bool,
    /// Its certificate, then those that vouch for it, PEM.
    pub chain_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// The key in clear, PEM.
    ///
    /// # Errors
    /// It is encrypted and the password is missing or wrong.
    pub fn clear_key_pem(&self, password: Option<&str>) -> Result<String> {
        if !self.key_is_encrypted {
            return Ok(self.key_pem.clone());
        }
        clear_key_pem(self.key_pem.as_bytes(), password)
    }
}

/// A private key in PEM or in PKCS#8 DER, encrypted or not, in clear.
///
/// # Errors
/// It is none, or it is encrypted and the password is missing or wrong.
pub fn clear_key_pem(key: &[u8], password: Option<&str>) -> Result<String> {
    let password = password.unwrap_or_default().as_bytes();
    // DER starts with a SEQUENCE.
    let read = match key.first() {
        Some(0x30) => PKey::private_key_from_pkcs8(key)
            .or_else(|_| PKey::private_key_from_pkcs8_passphrase(key, password)),
        _ => PKey::private_key_from_pem_passphrase(key, password),
    };
    read.and_then(|key| key.private_key_to_pkcs8())
        .map(|der| pem_block("PRIVATE KEY", &der))
        .map_err(|error| {
            Error::config("the private key cannot be read with its password").with_source(error)
        })
}

impl Store {
    /// The trusted certificates as one PEM text.
    pub fn trusted_pem(&self) -> String {
        certificates_pem(&self.trusted)
    }
}

/// Reads a store. A JKS store is readable without its password where no key is wanted; its
/// certificates then are not checked against tampering, as in the JVM.
///
/// # Errors
/// The file cannot be read, is none of the three kinds, or the password is wrong.
pub fn read(path: &Path, password: Option<&str>, key_password: Option<&str>) -> Result<Store> {
    let bytes = std::fs::read(path).map_err(|error| {
        Error::config(format!("reading key store {}", path.display())).with_source(error)
    })?;
    match bytes.as_slice() {
        [0xfe, 0xed, 0xfe, 0xed, ..] => jks::read(&bytes, password, key_password),
        [0x30, ..] => pkcs12(&bytes, password.unwrap_or_default()),
        _ => pem(&bytes),
    }
    .map_err(|why| Error::config(format!("key store {}: {why}", path.display())))
}

/// Reads PEM text, as options hold it: certificates, and a key with its certificates.
///
/// # Errors
/// The text holds neither.
pub fn read_pem(text: &str) -> Result<Store> {
    pem(text.as_bytes()).map_err(|why| Error::config(format!("PEM text: {why}")))
}

fn pkcs12(bytes: &[u8], password: &str) -> Result<Store, String> {
    let unreadable = |error: openssl::error::ErrorStack| {
        format!(
            "the PKCS#12 store cannot be read with its password ({error}); one of an old JVM has to \
             be written anew: keytool -importkeystore -deststoretype PKCS12"
        )
    };
    let parsed = openssl::pkcs12::Pkcs12::from_der(bytes)
        .and_then(|store| store.parse2(password))
        .map_err(unreadable)?;
    let mut others = Vec::new();
    for certificate in parsed.ca.iter().flatten() {
        others.push(certificate.to_der().map_err(unreadable)?);
    }
    let mut store = Store::default();
    match (parsed.pkey, parsed.cert) {
        (Some(key), Some(own)) => {
            let mut chain = vec![own.to_der().map_err(unreadable)?];
            chain.extend(others.iter().cloned());
            let key = key.private_key_to_pkcs8().map_err(unreadable)?;
            store.identity = Some(identity(&key, &chain));
        }
        (_, Some(own)) => store.trusted.push(own.to_der().map_err(unreadable)?),
        _ => {}
    }
    store.trusted.extend(others);
    Ok(store)
}

fn pem(bytes: &[u8]) -> Result<Store, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_not_text| "it is neither a JKS nor a PKCS#12 nor a PEM file".to_owned())?;
    let mut store = Store::default();
    let (mut chain_pem, mut key_pem) = (String::new(), String::new());
    for (label, block) in pem_blocks(text) {
        if label == "CERTIFICATE" {
            let body: String = block
                .lines()
                .filter(|line| !line.starts_with("-----"))
                .map(str::trim)
                .collect();
            let certificate = STANDARD
                .decode(body)
                .map_err(|error| format!("a certificate is no base64: {error}"))?;
            store.trusted.push(certificate);
            chain_pem.push_str(block);
        } else if label.ends_with("PRIVATE KEY") && key_pem.is_empty() {
            key_pem = block.to_owned();
        }
    }
    if store.trusted.is_empty() && key_pem.is_empty() {
        return Err("it is neither a JKS nor a PKCS#12 nor a PEM file".to_owned());
    }
    if !key_pem.is_empty() {
        store.identity = Some(Identity {
            key_is_encrypted: key_pem.contains("ENCRYPTED"),
            key_pem,
            chain_pem,
        });
    }
    Ok(store)
}

/// The blocks of a PEM text with their labels.
fn pem_blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find("-----BEGIN ")?;
        let (_, from) = rest.split_at(start);
        let label = from.strip_prefix("-----BEGIN ")?.split("-----").next()?;
        let end_line = format!("-----END {label}-----");
        let end = from.find(&end_line)? + end_line.len();
        let (block, after) = from.split_at(end);
        rest = after;
        Some((label, block))
    })
}

fn identity(pkcs8: &[u8], chain: &[Vec<u8>]) -> Identity {
    Identity {
        key_pem: pem_block("PRIVATE KEY", pkcs8),
        key_is_encrypted: false,
        chain_pem: certificates_pem(chain),
    }
}

fn certificates_pem(certificates: &[Vec<u8>]) -> String {
    certificates
        .iter()
        .map(|certificate| pem_block("CERTIFICATE", certificate))
        .collect()
}

fn pem_block(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for (at, character) in body.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str(&format!("\n-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stores that `keytool` of Java 17 made: one key, and one trusted certificate.
    const STORES: [(&str, &[u8], &[u8]); 2] = [
        (
            "JKS",
            include_bytes!("tests/key.jks"),
            include_bytes!("tests/trust.jks"),
        ),
        (
            "PKCS12",
            include_bytes!("tests/key.p12"),
            include_bytes!("tests/trust.p12"),
        ),
    ];
    const CERTIFICATE: &str = include_str!("tests/certificate.pem");

    fn read_bytes(bytes: &[u8], password: Option<&str>) -> Result<Store> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store");
        std::fs::write(&path, bytes).expect("written");
        read(&path, password, password)
    }

    #[test]
    fn keys_and_certificates_of_the_jvms_stores_are_read() {
        let certificate = &pem(CERTIFICATE.as_bytes()).expect("pem").trusted[0];
        for (kind, key, trust) in STORES {
            let store = read_bytes(key, Some("changeit")).expect(kind);
            let identity = store.identity.expect(kind);
            let own = pem(identity.chain_pem.as_bytes()).expect(kind);
            assert_eq!(&own.trusted[0], certificate, "{kind}");
            let key = openssl::pkey::PKey::private_key_from_pem(identity.key_pem.as_bytes());
            assert_eq!(key.expect(kind).bits(), 2048, "{kind}");
            let store = read_bytes(trust, Some("changeit")).expect(kind);
            assert_eq!(store.trusted, std::slice::from_ref(certificate), "{kind}");
            assert!(store.identity.is_none(), "{kind}");
        }
    }

    #[test]
    fn a_wrong_password_is_told() {
        for (kind, key, _) in STORES {
            let error = read_bytes(key, Some("changed")).expect_err(kind);
            assert!(error.message().contains("password"), "{kind}: {error}");
        }
    }

    #[test]
    fn a_truncated_store_is_an_error_and_no_crash() {
        for (kind, key, _) in STORES {
            for length in [0, 4, 9, 40, key.len() - 30] {
                assert!(
                    read_bytes(&key[..length], Some("changeit")).is_err(),
                    "{kind} {length}"
                );
            }
        }
    }

    #[test]
    fn a_pem_file_may_hold_key_and_certificates() {
        let text = format!(
            "# comment\n-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n{CERTIFICATE}"
        );
        let store = pem(text.as_bytes()).expect("pem");
        let identity = store.identity.expect("a key");
        assert!(identity.key_is_encrypted);
        assert!(identity.chain_pem.contains("BEGIN CERTIFICATE"));
        assert_eq!(store.trusted.len(), 1);
        assert!(pem(b"nothing").is_err());
    }
}
