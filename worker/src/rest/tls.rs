//! TLS for the REST API: its listeners, and the calls to other workers, by the same stores.
//!
//! What cannot be honoured is refused before anything listens. No message repeats a password. Answers for
//! `SSLUtils` of Connect's REST server and `RestClient`.

use std::path::Path;
use std::sync::Arc;

use connect_api::{Error, Props, Result};
use keystore::ChainVerifier;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

use crate::config::WorkerConfig;

/// TLS as the options under `prefix` (`listeners.https.`) say or, where there are none, the plain ones.
///
/// # Errors
/// Kind Config: there is no certificate, or something cannot be honoured.
pub(super) fn acceptor(config: &WorkerConfig, prefix: &str) -> Result<TlsAcceptor> {
    let own = config.with_prefix(prefix);
    let settings = Settings(if own.is_empty() { &config.props } else { &own });
    Ok(TlsAcceptor::from(Arc::new(settings.server()?)))
}

/// A client for other workers: it believes whom the stores of the listeners name, and shows the
/// worker's own certificate (`SSLUtils.createClientSideSslContextFactory`). `limit` is that of a
/// request.
///
/// # Errors
/// Kind Config: something cannot be honoured.
pub(crate) fn client_of_workers(
    config: &WorkerConfig,
    limit: std::time::Duration,
) -> Result<reqwest::Client> {
    let own = config.with_prefix("listeners.https.");
    let settings = Settings(if own.is_empty() { &config.props } else { &own });
    let builder = reqwest::Client::builder()
        .timeout(limit)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    let speaks_tls = config.listeners.iter().any(|listener| listener.tls);
    let has_stores = settings.names_trusted() || settings.names_identity();
    let tls = match (speaks_tls, has_stores) {
        (true, _) => Some(settings.client()?),
        // Those of a Kafka client, which need not be fit for this; others may speak TLS.
        (false, true) => settings.client().ok(),
        (false, false) => None,
    };
    let builder = match tls {
        Some(tls) => builder.tls_backend_preconfigured(tls),
        None => builder,
    };
    builder
        .build()
        .map_err(|error| Error::fatal("setting up the client for other workers").with_source(error))
}

/// A client's TLS by settings of this kind, for calls to others than workers.
///
/// # Errors
/// Kind Config: something cannot be honoured.
pub(crate) fn client_tls(settings: &Props) -> Result<rustls::ClientConfig> {
    Settings(settings).client()
}

struct Settings<'a>(&'a Props);

impl Settings<'_> {
    fn names_trusted(&self) -> bool {
        let keys = ["ssl.truststore.location", "ssl.truststore.certificates"];
        keys.iter().any(|key| self.get(key).is_some())
    }

    fn names_identity(&self) -> bool {
        let keys = ["ssl.keystore.location", "ssl.keystore.key"];
        keys.iter().any(|key| self.get(key).is_some())
    }

    fn client(&self) -> Result<rustls::ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions()?)
            .map_err(|error| {
                refuse("ssl.enabled.protocols", "they do not go together").with_source(error)
            })?;
        let trusted = match self.names_trusted() {
            true => self.trusted()?,
            false => rustls_native_certs::load_native_certs().certs,
        };
        // Java's default is to check the name; an empty text switches that off.
        let any_name = self
            .0
            .get("ssl.endpoint.identification.algorithm")
            .is_some_and(|text| text.trim().is_empty());
        let verifier = ChainVerifier::new(trusted, !any_name, provider)
            .map_err(|error| refuse("ssl.truststore", &error.to_string()))?;
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        if !self.names_identity() {
            return Ok(builder.with_no_client_auth());
        }
        let (chain, key) = self.identity()?;
        builder.with_client_auth_cert(chain, key).map_err(|error| {
            refuse("ssl.keystore", "the certificate and the key cannot be used").with_source(error)
        })
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0
            .get(key)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    fn list(&self, key: &str) -> Vec<&str> {
        let text = self.get(key).unwrap_or_default();
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .collect()
    }

    fn server(&self) -> Result<ServerConfig> {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        let suites = self.list("ssl.cipher.suites");
        if !suites.is_empty() {
            // Java writes the suites of TLS 1.3 as the standard does.
            provider.cipher_suites.retain(|known| {
                let name = format!("{:?}", known.suite()).replacen("TLS13_", "TLS_", 1);
                suites.contains(&name.as_str())
            });
            if provider.cipher_suites.is_empty() {
                return Err(refuse(
                    "ssl.cipher.suites",
                    "none of them is known to this worker",
                ));
            }
        }
        let provider = Arc::new(provider);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions()?)
            .map_err(|error| {
                refuse("ssl.enabled.protocols", "they do not go together").with_source(error)
            })?;
        let builder = match self.get("ssl.client.auth").unwrap_or("none") {
            "none" => builder.with_no_client_auth(),
            how @ ("requested" | "required") => {
                let roots = Arc::new(self.roots()?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = match how {
                    "requested" => verifier.allow_unauthenticated(),
                    _ => verifier,
                };
                let verifier = verifier.build().map_err(|error| {
                    refuse("ssl.client.auth", "clients cannot be checked").with_source(error)
                })?;
                builder.with_client_cert_verifier(verifier)
            }
            other => {
                return Err(Error::config(format!(
                    "Invalid value {other} for configuration ssl.client.auth: String must be one of: \
                     required, requested, none"
                )));
            }
        };
        let (chain, key) = self.identity()?;
        builder.with_single_cert(chain, key).map_err(|error| {
            refuse("ssl.keystore", "the certificate and the key cannot be used").with_source(error)
        })
    }

    fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>> {
        let enabled = self.list("ssl.enabled.protocols");
        let known = [
            ("TLSv1.3", &rustls::version::TLS13),
            ("TLSv1.2", &rustls::version::TLS12),
        ];
        let versions: Vec<_> = known
            .into_iter()
            .filter(|(name, _)| enabled.is_empty() || enabled.contains(name))
            .map(|(_, version)| version)
            .collect();
        match versions.is_empty() {
            true => Err(refuse(
                "ssl.enabled.protocols",
                "TLSv1.2 and TLSv1.3 are spoken",
            )),
            false => Ok(versions),
        }
    }

    /// The store at `ssl.keystore.location` or `ssl.truststore.location`.
    fn store(&self, prefix: &str, key_password: Option<&str>) -> Result<Option<keystore::Store>> {
        let location = format!("{prefix}.location");
        let Some(file) = self.get(&location) else {
            return Ok(None);
        };
        let password = self.get(&format!("{prefix}.password"));
        keystore::read(Path::new(file), password, key_password.or(password))
            .map(Some)
            .map_err(|error| Error::config(format!("reading {location}={file}")).with_source(error))
    }

    fn identity(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        const KEY: &str = "ssl.keystore.key";
        const CHAIN: &str = "ssl.keystore.certificate.chain";
        let (key, chain) = match (self.get(KEY), self.get(CHAIN)) {
            (Some(key), Some(chain)) => (key.to_owned(), chain.to_owned()),
            (Some(_), None) => return Err(refuse(KEY, "it needs ssl.keystore.certificate.chain")),
            (None, _) => {
                let store = self.store("ssl.keystore", self.get("ssl.key.password"))?;
                let store = store.ok_or_else(|| {
                    refuse(
                        "listeners",
                        "https needs ssl.keystore.location or ssl.keystore.key",
                    )
                })?;
                let identity = store.identity.ok_or_else(|| {
                    refuse("ssl.keystore.location", "the file holds no private key")
                })?;
                (identity.key_pem, identity.chain_pem)
            }
        };
        let chain = certificates(&chain)
            .map_err(|error| refuse(CHAIN, "it is no PEM").with_source(error))?;
        let key = rustls_pemfile::private_key(&mut key.as_bytes())
            .map_err(|error| refuse(KEY, "it is no PEM").with_source(error))?
            .ok_or_else(|| {
                refuse(
                    KEY,
                    "it is no unencrypted private key in PEM; decrypt it first",
                )
            })?;
        Ok((chain, key))
    }

    fn trusted(&self) -> Result<Vec<CertificateDer<'static>>> {
        Ok(match self.get("ssl.truststore.certificates") {
            Some(pem) => certificates(pem).map_err(|error| {
                refuse("ssl.truststore.certificates", "it is no PEM").with_source(error)
            })?,
            None => {
                let store = self.store("ssl.truststore", None)?;
                let store = store.ok_or_else(|| {
                    refuse(
                        "ssl.client.auth",
                        "it needs ssl.truststore.location or ssl.truststore.certificates",
                    )
                })?;
                store
                    .trusted
                    .into_iter()
                    .map(CertificateDer::from)
                    .collect()
            }
        })
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        for certificate in self.trusted()? {
            roots.add(certificate).map_err(|error| {
                refuse("ssl.truststore", "a certificate in it cannot be used").with_source(error)
            })?;
        }
        Ok(roots)
    }
}

fn certificates(pem: &str) -> std::io::Result<Vec<CertificateDer<'static>>> {
    rustls_pemfile::certs(&mut pem.as_bytes()).collect()
}

fn refuse(key: &str, why: &str) -> Error {
    Error::config(format!(
        "the REST API's setting {key} cannot be honoured: {why}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(entries: &[(&str, &str)]) -> String {
        let props: Props = entries
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let error = Settings(&props).server().expect_err("refused");
        error.message().to_owned()
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        assert!(refused(&[]).contains("https needs ssl.keystore.location"));
        assert!(refused(&[("ssl.enabled.protocols", "TLSv1.1")]).contains("ssl.enabled.protocols"));
        assert!(refused(&[("ssl.cipher.suites", "TLS_NOPE")]).contains("ssl.cipher.suites"));
        assert!(refused(&[("ssl.client.auth", "required")]).contains("ssl.truststore.location"));
        assert!(refused(&[("ssl.client.auth", "maybe")]).contains("String must be one of"));
        assert!(refused(&[("ssl.keystore.key", "x")]).contains("certificate.chain"));
    }

    #[test]
    fn javas_names_of_suites_are_known() {
        let message = refused(&[("ssl.cipher.suites", "TLS_AES_128_GCM_SHA256")]);
        assert!(message.contains("https needs"), "{message}");
    }
}
