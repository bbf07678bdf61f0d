//! TLS and SASL settings of Kafka's clients: honoured completely or refused, never weakened.
//!
//! Key stores of the JVM are read and handed to librdkafka as PEM. No message repeats a password.
//! Answers for `SslConfigs`, `SaslConfigs` and the channel builders of `org.apache.kafka.common`.

use connect_api::{Error, Props, Result};
use rdkafka::ClientConfig;

use super::{jaas, oauth};
use crate::config::security_keys::{SASL, SSL};
use keystore::Store;

/// Whether the key is a security setting of Kafka's clients.
pub(super) fn is_setting(key: &str) -> bool {
    key == "security.protocol" || SSL.iter().chain(SASL).any(|setting| setting.0 == key)
}

/// Sets what `props` says about security.
///
/// # Errors
/// Kind Config: a setting cannot be honoured.
pub(super) fn apply(props: &Props, config: &mut ClientConfig) -> Result<()> {
    let settings = Settings(props);
    let protocol = settings
        .get("security.protocol")
        .unwrap_or("PLAINTEXT")
        .to_ascii_uppercase();
    let (tls, sasl) = match protocol.as_str() {
        "PLAINTEXT" => (false, false),
        "SSL" => (true, false),
        "SASL_PLAINTEXT" => (false, true),
        "SASL_SSL" => (true, true),
        _ => {
            return Err(Error::config(format!(
                "Invalid value {protocol} for configuration security.protocol: String must be one \
                 of (case insensitive): SASL_SSL, PLAINTEXT, SSL, SASL_PLAINTEXT"
            )));
        }
    };
    config.set("security.protocol", protocol.to_ascii_lowercase());
    if tls {
        settings.refuse_what_tls_cannot_do()?;
        settings.trust(config)?;
        settings.identity(config)?;
        // The check of the broker's name is Java's unless it is switched off with an empty text.
        if props
            .get("ssl.endpoint.identification.algorithm")
            .is_some_and(|text| text.trim().is_empty())
        {
            config.set("ssl.endpoint.identification.algorithm", "none");
        }
    }
    if sasl {
        settings.login(config)?;
    }
    Ok(())
}

fn refuse(key: &str, value: &str, hint: &str) -> Error {
    Error::config(format!(
        "the setting {key}={value} cannot be honoured: {hint}"
    ))
}

pub(super) const NO_CLASSES: &str = "this worker has no Java classes to load";

struct Settings<'a>(&'a Props);

impl<'a> Settings<'a> {
    /// A setting that is there and not empty.
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0
            .get(key)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    fn refuse_if_set(&self, keys: &[&str], hint: &str) -> Result<()> {
        match keys.iter().find_map(|key| Some((key, self.get(key)?))) {
            Some((key, value)) => Err(refuse(key, value, hint)),
            None => Ok(()),
        }
    }

    fn refuse_what_tls_cannot_do(&self) -> Result<()> {
        self.refuse_if_set(
            &["ssl.cipher.suites"],
            "Java's names of suites are not OpenSSL's",
        )?;
        self.refuse_if_set(
            &[
                "ssl.engine.factory.class",
                "security.providers",
                "ssl.provider",
                "ssl.secure.random.implementation",
            ],
            NO_CLASSES,
        )?;
        if let Some(protocols) = self.get("ssl.enabled.protocols")
            && !protocols
                .split(',')
                .any(|item| item.trim().eq_ignore_ascii_case("TLSv1.2"))
        {
            return Err(refuse(
                "ssl.enabled.protocols",
                protocols,
                "TLS 1.2 and 1.3 are used, whichever the broker has, and TLS 1.2 cannot be left out",
            ));
        }
        Ok(())
    }

    /// Whose certificates are believed.
    fn trust(&self, config: &mut ClientConfig) -> Result<()> {
        if let Some(pem) = self.get("ssl.truststore.certificates") {
            config.set("ssl.ca.pem", pem);
        } else if let Some(file) = self.get("ssl.truststore.location") {
            let store = self.store("ssl.truststore", file, None)?;
            if store.trusted.is_empty() {
                return Err(refuse(
                    "ssl.truststore.location",
                    file,
                    "the file holds no certificates of others",
                ));
            }
            config.set("ssl.ca.pem", store.trusted_pem());
        }
        Ok(())
    }

    /// Who we are.
    fn identity(&self, config: &mut ClientConfig) -> Result<()> {
        let key_password = self.get("ssl.key.password");
        if let Some(key) = self.get("ssl.keystore.key") {
            let chain = self.get("ssl.keystore.certificate.chain").ok_or_else(|| {
                Error::config(
                    "ssl.keystore.key needs ssl.keystore.certificate.chain, the certificates to it",
                )
            })?;
            config
                .set("ssl.key.pem", key)
                .set("ssl.certificate.pem", chain);
            if let Some(password) = key_password {
                config.set("ssl.key.password", password);
            }
        } else if let Some(file) = self.get("ssl.keystore.location") {
            let store = self.store("ssl.keystore", file, key_password)?;
            let Some(identity) = store.identity else {
                return Err(refuse(
                    "ssl.keystore.location",
                    file,
                    "the file holds no private key",
                ));
            };
            config
                .set("ssl.key.pem", identity.key_pem)
                .set("ssl.certificate.pem", identity.chain_pem);
            if let (true, Some(password)) = (identity.key_is_encrypted, key_password) {
                config.set("ssl.key.password", password);
            }
        }
        Ok(())
    }

    /// The store of `ssl.truststore` or `ssl.keystore`.
    fn store(&self, prefix: &str, file: &str, key_password: Option<&str>) -> Result<Store> {
        let type_key = format!("{prefix}.type");
        let kind = self.get(&type_key).unwrap_or("JKS");
        if !["JKS", "PKCS12", "PEM"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(kind))
        {
            return Err(refuse(
                &type_key,
                kind,
                "JKS, PKCS12 and PEM are what this worker reads",
            ));
        }
        let password = self.get(&format!("{prefix}.password"));
        keystore::read(
            std::path::Path::new(file),
            password,
            key_password.or(password),
        )
        .map_err(|error| {
            Error::config(format!("reading {prefix}.location={file}")).with_source(error)
        })
    }

    fn login(&self, config: &mut ClientConfig) -> Result<()> {
        let mechanism = self
            .get("sasl.mechanism")
            .unwrap_or("GSSAPI")
            .to_ascii_uppercase();
        if !matches!(
            mechanism.as_str(),
            "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" | "OAUTHBEARER"
        ) {
            return Err(refuse(
                "sasl.mechanism",
                &mechanism,
                "this build has PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER",
            ));
        }
        self.refuse_if_set(
            &["sasl.client.callback.handler.class", "sasl.login.class"],
            NO_CLASSES,
        )?;
        let by_token = mechanism == "OAUTHBEARER";
        if !by_token {
            self.refuse_if_set(&["sasl.login.callback.handler.class"], NO_CLASSES)?;
        }
        let text = self.get("sasl.jaas.config").ok_or_else(|| {
            Error::config("sasl.jaas.config is missing: it holds the user and password")
        })?;
        // The text itself holds the password, so the message does not repeat it.
        let module = jaas::parse(text)
            .map_err(|why| Error::config(format!("sasl.jaas.config cannot be read: {why}")))?;
        if by_token {
            return oauth::apply(self.0, &module, config);
        }
        let option = |name: &str| {
            module.options.get(name).cloned().ok_or_else(|| {
                Error::config(format!(
                    "sasl.jaas.config has no option {name} for {}",
                    module.class
                ))
            })
        };
        config
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", option("username")?)
            .set("sasl.password", option("password")?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(entries: &[(&str, &str)]) -> Result<ClientConfig> {
        let props = entries
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let mut config = ClientConfig::new();
        apply(&props, &mut config)?;
        Ok(config)
    }

    const SCRAM: [(&str, &str); 3] = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        (
            "sasl.jaas.config",
            "x.ScramLoginModule required username=\"u\" password=\"p\";",
        ),
    ];

    #[test]
    fn user_and_password_come_from_the_jaas_text() {
        let config = applied(&SCRAM).expect("valid");
        assert_eq!(config.get("sasl.username"), Some("u"));
        assert_eq!(config.get("sasl.password"), Some("p"));
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        for (key, value) in [
            ("sasl.mechanism", "GSSAPI"),
            ("sasl.login.class", "x.Y"),
            ("sasl.client.callback.handler.class", "x.Y"),
            ("ssl.truststore.location", "/no/such/file.jks"),
            ("ssl.keystore.location", "/no/such/file.jks"),
            ("ssl.truststore.type", "BKS"),
            ("ssl.keystore.type", "BKS"),
            ("ssl.engine.factory.class", "x.Y"),
            ("ssl.secure.random.implementation", "SHA1PRNG"),
            ("ssl.provider", "BC"),
            ("ssl.cipher.suites", "TLS_AES_128_GCM_SHA256"),
            ("ssl.enabled.protocols", "TLSv1.3"),
            ("ssl.keystore.key", "x"),
            ("security.protocol", "TLS"),
        ] {
            let mut entries = SCRAM.to_vec();
            entries.push((key, value));
            match key {
                "ssl.truststore.type" => entries.push(("ssl.truststore.location", "/no/such/file")),
                "ssl.keystore.type" => entries.push(("ssl.keystore.location", "/no/such/file")),
                _ => {}
            }
            let error = applied(&entries).expect_err(key);
            assert_eq!(error.kind(), connect_api::ErrorKind::Config, "{key}");
            let text = connect_api::error::Chain(&error).to_string();
            assert!(text.contains(key), "{key}: {text}");
            assert!(!text.contains("password=\"p\""), "{text}");
        }
    }

    /// The stores of `keytool` that the crate of key stores has for its own tests.
    fn store(file: &str) -> String {
        format!(
            "{}/../keystore/src/tests/{file}",
            env!("CARGO_MANIFEST_DIR")
        )
    }

    #[test]
    fn certificates_and_keys_reach_the_client() {
        let with = |entries: &[(&str, &str)]| {
            let mut all = vec![("security.protocol", "SSL")];
            all.extend(entries);
            applied(&all)
        };
        let config = with(&[
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.certificates", "trusted"),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.key", "key"),
            ("ssl.keystore.certificate.chain", "chain"),
            ("ssl.key.password", "p"),
        ])
        .expect("valid");
        for (name, text) in [
            ("ssl.ca.pem", "trusted"),
            ("ssl.key.pem", "key"),
            ("ssl.certificate.pem", "chain"),
            ("ssl.key.password", "p"),
        ] {
            assert_eq!(config.get(name), Some(text), "{name}");
        }
        for (kind, end) in [("JKS", "jks"), ("PKCS12", "p12")] {
            let (key, trust) = (store(&format!("key.{end}")), store(&format!("trust.{end}")));
            let stores = |password: &str| {
                with(&[
                    ("ssl.truststore.type", kind),
                    ("ssl.truststore.location", &trust),
                    ("ssl.truststore.password", password),
                    ("ssl.keystore.type", kind),
                    ("ssl.keystore.location", &key),
                    ("ssl.keystore.password", "changeit"),
                ])
            };
            let config = stores("changeit").expect(kind);
            for name in ["ssl.ca.pem", "ssl.key.pem", "ssl.certificate.pem"] {
                let begins = |text: &str| text.starts_with("-----BEGIN");
                assert!(config.get(name).is_some_and(begins), "{kind} {name}");
            }
            assert!(stores("another").is_err(), "{kind}");
        }
    }

    #[test]
    fn the_check_of_the_brokers_name_is_off_only_where_it_is_said() {
        let key = "ssl.endpoint.identification.algorithm";
        let config = applied(&[("security.protocol", "SSL")]).expect("valid");
        assert_eq!(config.get(key), None);
        let config = applied(&[("security.protocol", "SSL"), (key, "")]).expect("valid");
        assert_eq!(config.get(key), Some("none"));
    }
}
