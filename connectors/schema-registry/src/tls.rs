//! TLS to the registry as `schema.registry.ssl.*` describes it. Opens no connection.
//!
//! Answers for the `SslFactory` that the registry's client makes of these options. As there, the
//! name in a certificate is checked only where `ssl.endpoint.identification.algorithm` says `https`;
//! without any of the options the platform's roots are trusted and names are checked.

use std::path::Path;
use std::sync::Arc;

use connect_api::{Error, Props, Result};
use keystore::{ChainVerifier, Store};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;

/// The client side of a TLS session under these options; `None` where there are none.
///
/// # Errors
/// Kind Config: a store cannot be read, or options contradict each other.
pub(crate) fn client_config(ssl: &Props) -> Result<Option<ClientConfig>> {
    if ssl.is_empty() {
        return Ok(None);
    }
    let options = Options(ssl);
    // Chosen here and not through the process default, which another library may have set.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let check_name = options
        .get("endpoint.identification.algorithm")
        .is_some_and(|algorithm| algorithm.eq_ignore_ascii_case("https"));
    let verifier =
        ChainVerifier::new(options.trusted()?, check_name, provider.clone()).map_err(|error| {
            Error::config("schema.registry.ssl.truststore holds no certificate to trust")
                .with_source(error)
        })?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&options.versions()?)
        .map_err(|error| Error::config("choosing TLS versions").with_source(error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some(identity) = options.identity()? else {
        return Ok(Some(builder.with_no_client_auth()));
    };
    let chain = rustls_pemfile::certs(&mut identity.chain_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| {
            Error::config("reading the certificates of schema.registry.ssl.keystore")
                .with_source(error)
        })?;
    let password = options.get("key.password");
    let clear = identity.clear_key_pem(password)?;
    let key = rustls_pemfile::private_key(&mut clear.as_bytes())
        .ok()
        .flatten()
        .ok_or_else(|| Error::config("schema.registry.ssl.keystore holds no private key"))?;
    builder
        .with_client_auth_cert(chain, key)
        .map(Some)
        .map_err(|error| {
            Error::config("using the client certificate of schema.registry.ssl.keystore")
                .with_source(error)
        })
}

struct Options<'a>(&'a Props);

impl Options<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0
            .get(&format!("ssl.{key}"))
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    fn store(&self, side: &str) -> Result<Option<Store>> {
        let Some(path) = self.get(&format!("{side}.location")) else {
            return Ok(None);
        };
        let password = self.get(&format!("{side}.password"));
        let key_password = self.get("key.password").or(password);
        keystore::read(Path::new(path), password, key_password).map(Some)
    }

    fn trusted(&self) -> Result<Vec<CertificateDer<'static>>> {
        let store = match self.get("truststore.certificates") {
            Some(text) => Some(keystore::read_pem(text)?),
            None => self.store("truststore")?,
        };
        match store {
            Some(store) => Ok(store
                .trusted
                .into_iter()
                .map(CertificateDer::from)
                .collect()),
            None => Ok(rustls_native_certs::load_native_certs().certs),
        }
    }

    fn identity(&self) -> Result<Option<keystore::Identity>> {
        let given = match (
            self.get("keystore.key"),
            self.get("keystore.certificate.chain"),
        ) {
            (Some(key), Some(chain)) => Some(keystore::read_pem(&format!("{key}\n{chain}"))?),
            (None, None) => self.store("keystore")?,
            _ => {
                return Err(Error::config(
                    "schema.registry.ssl.keystore.key and \
                     schema.registry.ssl.keystore.certificate.chain belong together",
                ));
            }
        };
        match given {
            Some(store) => store
                .identity
                .map(Some)
                .ok_or_else(|| Error::config("schema.registry.ssl.keystore holds no private key")),
            None => Ok(None),
        }
    }

    fn versions(&self) -> Result<Vec<&'static rustls::SupportedProtocolVersion>> {
        let Some(names) = self.get("enabled.protocols") else {
            return Ok(rustls::ALL_VERSIONS.to_vec());
        };
        let versions: Vec<_> = names
            .split(',')
            .filter_map(|name| match name.trim() {
                "TLSv1.2" => Some(&rustls::version::TLS12),
                "TLSv1.3" => Some(&rustls::version::TLS13),
                _ => None,
            })
            .collect();
        if versions.is_empty() {
            return Err(Error::config(format!(
                "Invalid value {names} for configuration schema.registry.ssl.enabled.protocols: \
                 TLSv1.2 and TLSv1.3 are possible"
            )));
        }
        Ok(versions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(entries: &[(&str, &str)]) -> Result<Option<ClientConfig>> {
        let props = entries
            .iter()
            .map(|&(key, value)| (format!("ssl.{key}"), value.to_owned()))
            .collect();
        client_config(&props)
    }
    fn store(name: &str) -> String {
        format!(
            "{}/../../keystore/src/tests/{name}",
            env!("CARGO_MANIFEST_DIR")
        )
    }

    #[test]
    fn stores_of_either_kind_and_pem_make_a_client() {
        assert!(config(&[]).expect("none").is_none());
        for kind in ["jks", "p12"] {
            let made = config(&[
                ("keystore.location", &store(&format!("key.{kind}"))),
                ("keystore.password", "changeit"),
                ("truststore.location", &store(&format!("trust.{kind}"))),
                ("truststore.password", "changeit"),
            ]);
            let made = made.expect(kind).expect("a client");
            assert!(made.client_auth_cert_resolver.has_certs(), "{kind}");
        }
        let pem = std::fs::read_to_string(store("certificate.pem")).expect("a file");
        let made = config(&[
            ("truststore.certificates", &pem),
            ("truststore.type", "PEM"),
        ]);
        assert!(made.expect("pem").is_some());
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let missing = [("truststore.location", "/nonexistent/store.jks")];
        assert!(
            config(&missing)
                .expect_err("missing")
                .message()
                .contains("/nonexistent/store.jks")
        );
        let wrong = store("key.jks");
        assert!(config(&[("keystore.location", &wrong), ("keystore.password", "no")]).is_err());
        assert!(config(&[("enabled.protocols", "SSLv3")]).is_err());
        assert!(config(&[("keystore.key", "x")]).is_err());
    }
}
