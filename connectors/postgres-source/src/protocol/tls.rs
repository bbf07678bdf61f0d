//! What each `database.sslmode` means, and the TLS session itself.
//!
//! Answers for pgjdbc's `LibPQFactory`: `require` encrypts without looking at the certificate,
//! `verify-ca` checks the chain, `verify-full` the name as well. Certificates and keys are PEM;
//! a key may also be PKCS#8 DER, which is what the driver's `.pk8` files hold, and encrypted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystore::ChainVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::error::PgError;

/// `database.sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS only when the server refuses to talk without it.
    Allow,
    /// TLS where the server has it.
    #[default]
    Prefer,
    /// TLS or nothing, certificate unchecked.
    Require,
    /// TLS, and the certificate's chain ends in a known root.
    VerifyCa,
    /// TLS, chain, and the certificate names the host.
    VerifyFull,
}

impl SslMode {
    /// Whether a connection without TLS is out of the question.
    #[must_use]
    pub const fn demands_tls(self) -> bool {
        matches!(self, Self::Require | Self::VerifyCa | Self::VerifyFull)
    }

    const fn verifies_chain(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

/// The TLS part of a connection's settings.
#[derive(Clone, Default)]
pub struct TlsSettings {
    /// `database.sslmode`.
    pub mode: SslMode,
    /// `database.sslrootcert`: PEM file of trusted roots.
    pub root_certificate: Option<PathBuf>,
    /// `database.sslcert`: PEM file of the client's certificate chain.
    pub certificate: Option<PathBuf>,
    /// `database.sslkey`: the client's key, PEM or PKCS#8 DER, encrypted or not.
    pub key: Option<PathBuf>,
    /// `database.sslpassword`: what the key is encrypted with.
    pub key_password: Option<String>,
}

impl std::fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsSettings")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl TlsSettings {
    /// The client side of a TLS session under these settings.
    ///
    /// # Errors
    /// A file that is missing or does not hold what it should.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, PgError> {
        // Chosen here and not through the process default, which another library may have set.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = if self.mode.verifies_chain() {
            let check_name = self.mode == SslMode::VerifyFull;
            let verifier = ChainVerifier::new(self.roots()?, check_name, Arc::clone(&provider));
            Arc::new(verifier.map_err(|error| {
                PgError::Config(format!(
                    "building the verifier of server certificates: {error}"
                ))
            })?)
        } else {
            Arc::new(Unverified {
                provider: Arc::clone(&provider),
            })
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| PgError::Config(format!("choosing TLS versions: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => builder
                .with_client_auth_cert(
                    certificates(certificate)?,
                    private_key(key, self.key_password.as_deref())?,
                )
                .map_err(|error| {
                    PgError::Config(format!(
                        "using client certificate {} with key {}: {error}",
                        certificate.display(),
                        key.display()
                    ))
                })?,
            (Some(certificate), None) => {
                return Err(PgError::Config(format!(
                    "database.sslcert {} needs database.sslkey beside it",
                    certificate.display()
                )));
            }
            (None, _) => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<Vec<CertificateDer<'static>>, PgError> {
        let path = match &self.root_certificate {
            Some(path) => path.clone(),
            // Where libpq and the JDBC driver look without a setting.
            None => std::env::var_os("HOME")
                .map(|home| Path::new(&home).join(".postgresql/root.crt"))
                .ok_or_else(|| {
                    PgError::Config("database.sslrootcert is needed to verify the server".into())
                })?,
        };
        certificates(&path)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PgError> {
    std::fs::read(path)
        .map_err(|error| PgError::Config(format!("reading {}: {error}", path.display())))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PgError> {
    let pem = read(path)?;
    let found: Vec<_> = rustls_pemfile::certs(&mut pem.as_slice())
        .collect::<Result<_, _>>()
        .map_err(|error| PgError::Config(format!("reading {}: {error}", path.display())))?;
    if found.is_empty() {
        return Err(PgError::Config(format!(
            "{} holds no PEM certificate",
            path.display()
        )));
    }
    Ok(found)
}

/// The client's key, in clear.
fn private_key(path: &Path, password: Option<&str>) -> Result<PrivateKeyDer<'static>, PgError> {
    let data = read(path)?;
    let unusable = |error: &dyn std::fmt::Display| {
        PgError::Config(format!(
            "{} holds no private key in PEM or PKCS#8 DER form that is in clear or that \
             database.sslpassword opens: {error}",
            path.display()
        ))
    };
    let pem = keystore::clear_key_pem(&data, password)
        .map_err(|error| unusable(&connect_api::error::Chain(&error)))?;
    rustls_pemfile::private_key(&mut pem.as_bytes())
        .map_err(|error| unusable(&error))?
        .ok_or_else(|| unusable(&"it is empty"))
}

/// Encrypts without asking who is there, as `require` and `prefer` say.
struct Unverified {
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unverified")
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn require_needs_no_files_and_verification_does() {
        let mut settings = TlsSettings {
            mode: SslMode::Require,
            ..TlsSettings::default()
        };
        assert!(settings.client_config().is_ok());
        settings.mode = SslMode::VerifyFull;
        settings.root_certificate = Some(PathBuf::from("/nonexistent/root.crt"));
        let error = settings.client_config().unwrap_err().to_string();
        assert!(error.contains("/nonexistent/root.crt"), "{error}");
    }

    #[test]
    fn a_client_certificate_without_its_key_is_refused() {
        let settings = TlsSettings {
            mode: SslMode::Require,
            certificate: Some(PathBuf::from("client.crt")),
            ..TlsSettings::default()
        };
        assert!(
            settings
                .client_config()
                .unwrap_err()
                .to_string()
                .contains("database.sslkey")
        );
    }
}
