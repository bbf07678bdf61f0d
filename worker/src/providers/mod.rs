//! Where `${…}` in a configuration comes from: config providers, and bare `${NAME}` placeholders.
//!
//! What is stored and shown keeps the references; only [`Resolver::resolve`], called when a
//! connector is validated or started, puts values in their place. Results are not looked at again,
//! so a value never refers to another. Answers for `WorkerConfigTransformer`, `ConfigTransformer`
//! and KIP-297.
//!
//! // Differs from Kafka: `${NAME}` without a colon stands for the environment variable NAME where
//! // the name is of `[A-Z_][A-Z0-9_]*`, the worker allows it and the variable exists. Anything
//! // else without a colon (`${topic}`) stays as it is, as in Kafka.

mod directory;
mod env;
mod file;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use connect_api::config::ConfigDef;
use connect_api::java::Regex;
use connect_api::plugin::{Make, Plugin};
use connect_api::provider::ConfigProvider;
use connect_api::{Error, Props, Result};

use crate::config::definition::{PLACEHOLDERS_ALLOW_PATTERN, PLACEHOLDERS_ENABLE};
use crate::herder::request::RawConfig;

/// The config providers that every worker has.
pub static PROVIDERS: &[Plugin] = &[
    Plugin {
        class: "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
        version: crate::KAFKA_VERSION,
        config: ConfigDef::new,
        make: Make::ConfigProvider(|| Box::new(directory::DirectoryConfigProvider::default())),
    },
    Plugin {
        class: "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
        version: crate::KAFKA_VERSION,
        config: ConfigDef::new,
        make: Make::ConfigProvider(|| Box::new(env::EnvVarConfigProvider::default())),
    },
    Plugin {
        class: "org.apache.kafka.common.config.provider.FileConfigProvider",
        version: crate::KAFKA_VERSION,
        config: ConfigDef::new,
        make: Make::ConfigProvider(|| Box::new(file::FileConfigProvider::default())),
    },
];

/// Resolves the references of configurations.
pub struct Resolver {
    providers: HashMap<String, Box<dyn ConfigProvider>>,
    placeholders: Option<Regex>,
    environment: Environment,
}

/// Looks an environment variable up; tests bring their own.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A configuration with every reference resolved.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// What plugins get; nulls are left out.
    pub props: Props,
    /// How long the first of the values holds, where a provider says so.
    pub ttl: Option<Duration>,
    /// The values that stood behind bare placeholders with these, longest first.
    secrets: Vec<(String, String)>,
    /// The texts that held bare placeholders, as they were written, by key.
    written: HashMap<String, String>,
}

impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolved")
            .field("keys", &self.props.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver")
            .field("providers", &self.providers.keys())
            .finish_non_exhaustive()
    }
}

/// Shorter values are no secrets, and taking them out of sentences would leave riddles.
const MIN_SECRET_LENGTH: usize = 4;

impl Resolved {
    /// What was written for a key, if bare placeholders stood in it.
    pub fn placeholder(&self, key: &str) -> Option<&str> {
        self.written.get(key).map(String::as_str)
    }
    /// The text with every secret that bare placeholders stood for replaced by its placeholder:
    /// what answers and logs may show.
    pub fn redact(&self, text: &str) -> String {
        self.secrets
            .iter()
            .filter(|(secret, _)| secret.len() >= MIN_SECRET_LENGTH)
            .fold(text.to_owned(), |text, (secret, reference)| {
                text.replace(secret, reference)
            })
    }
}

impl Resolver {
    /// The resolver of a worker, from its properties (still unresolved), with the providers among
    /// `plugins`.
    ///
    /// # Errors
    /// A provider is unknown or refuses its configuration.
    pub fn new(
        props: &Props,
        plugins: &crate::plugins::Plugins,
        environment: Environment,
    ) -> Result<Self> {
        let mut providers: HashMap<String, Box<dyn ConfigProvider>> = HashMap::new();
        let names = props.get("config.providers").map_or("", String::as_str);
        for name in names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            let class_key = format!("config.providers.{name}.class");
            let class = props.get(&class_key).ok_or_else(|| {
                Error::config(format!(
                    "the worker names the config provider {name} but has no {class_key}"
                ))
            })?;
            let plugin = plugins
                .find(connect_api::plugin::PluginKind::ConfigProvider, class.trim())
                .ok_or_else(|| Error::config(format!("Invalid value {class} for configuration {class_key}: Class {class} could not be found.")))?;
            let Make::ConfigProvider(make) = plugin.make else {
                return Err(Error::config(format!("{class} is no config provider")));
            };
            let mut provider = make();
            let params = connect_api::config::props_with_prefix(
                props,
                &format!("config.providers.{name}.param."),
            );
            provider.configure(&params)?;
            providers.insert(name.to_owned(), provider);
        }
        let enabled = props
            .get(PLACEHOLDERS_ENABLE)
            .is_none_or(|text| text.trim().eq_ignore_ascii_case("true"));
        let pattern = props
            .get(PLACEHOLDERS_ALLOW_PATTERN)
            .map_or(".*", String::as_str);
        let placeholders = match enabled {
            true => Some(Regex::new(pattern).map_err(|error| {
                Error::config(format!("reading {PLACEHOLDERS_ALLOW_PATTERN}")).with_source(error)
            })?),
            false => None,
        };
        Ok(Self {
            providers,
            placeholders,
            environment,
        })
    }

    /// A configuration with every reference resolved. A reference to an unknown provider or a
    /// missing key stays as it was written.
    ///
    /// # Errors
    /// A provider could not read its path.
    pub fn resolve(&self, raw: &RawConfig) -> Result<Resolved> {
        let mut resolved = Resolved::default();
        for (key, text) in raw {
            if let Some(text) = text {
                let before = resolved.secrets.len();
                let value = self.references(text, true, &mut resolved)?;
                if resolved.secrets.len() > before {
                    resolved.written.insert(key.clone(), text.clone());
                }
                resolved.props.insert(key.clone(), value);
            }
        }
        resolved
            .secrets
            .sort_by_key(|(secret, _)| std::cmp::Reverse(secret.len()));
        Ok(resolved)
    }

    /// The worker's own properties with every provider reference resolved. Bare placeholders are
    /// for connectors.
    ///
    /// # Errors
    /// A provider could not read its path.
    pub fn resolve_worker(&self, props: &Props) -> Result<Props> {
        let mut resolved = Resolved::default();
        props
            .iter()
            .map(|(key, text)| {
                let value = match key.as_str() {
                    // Providers would have to be there before they are made.
                    "plugin.path" => text.clone(),
                    _ => self.references(text, false, &mut resolved)?,
                };
                Ok((key.clone(), value))
            })
            .collect()
    }

    /// A task's configuration as it is stored: keys that the connector's own configuration has with
    /// a reference keep the reference, so that no secret reaches the config topic.
    pub fn restore(&self, task: Props, connector: &RawConfig) -> RawConfig {
        task.into_iter()
            .map(|(key, value)| {
                let raw = connector.get(&key).and_then(Option::as_ref);
                let raw = raw.filter(|raw| self.has_reference(raw));
                let value = raw.cloned().unwrap_or(value);
                (key, Some(value))
            })
            .collect()
    }

    /// Whether a text refers to something: `${provider:key}`, or a placeholder that would be
    /// resolved.
    pub fn has_reference(&self, text: &str) -> bool {
        References::new(text).any(|reference| match reference.body.split_once(':') {
            Some(_) => true,
            None => self.placeholder(reference.body).is_some(),
        })
    }

    fn references(&self, text: &str, bare: bool, resolved: &mut Resolved) -> Result<String> {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for reference in References::new(text) {
            let value = match reference.body.split_once(':') {
                Some((provider, rest)) => self.provided(provider, rest, resolved)?,
                None if bare => self.placeholder(reference.body).inspect(|secret| {
                    if !secret.is_empty() {
                        let shown = format!("${{{}}}", reference.body);
                        resolved.secrets.push((secret.clone(), shown));
                    }
                }),
                None => None,
            };
            if let Some(value) = value {
                out.push_str(text.get(done..reference.start).unwrap_or_default());
                out.push_str(&value);
                done = reference.end;
            }
        }
        out.push_str(text.get(done..).unwrap_or_default());
        Ok(out)
    }

    fn provided(
        &self,
        provider: &str,
        rest: &str,
        resolved: &mut Resolved,
    ) -> Result<Option<String>> {
        let Some(provider) = self.providers.get(provider) else {
            return Ok(None);
        };
        let (path, key) = rest.split_once(':').unwrap_or(("", rest));
        let mut found = provider.get(path, &[key])?;
        resolved.ttl = match (resolved.ttl, found.ttl) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
        Ok(found.data.remove(key))
    }

    /// The variable that a bare placeholder stands for.
    fn placeholder(&self, name: &str) -> Option<String> {
        let allowed = self.placeholders.as_ref()?;
        let mut letters = name.bytes();
        let legal = letters
            .next()
            .is_some_and(|first| first.is_ascii_uppercase() || first == b'_')
            && letters
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        (legal && allowed.matches(name))
            .then(|| (self.environment)(name))
            .flatten()
    }
}

/// The references in a text: `${`, then anything without `}`, then `}`.
struct References<'a> {
    text: &'a str,
    at: usize,
}

struct Reference<'a> {
    start: usize,
    end: usize,
    body: &'a str,
}

impl<'a> References<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }
}

impl<'a> Iterator for References<'a> {
    type Item = Reference<'a>;
    fn next(&mut self) -> Option<Reference<'a>> {
        let start = self.at + self.text.get(self.at..)?.find("${")?;
        let end = start + self.text.get(start..)?.find('}')? + 1;
        self.at = end;
        Some(Reference {
            start,
            end,
            body: self.text.get(start + 2..end - 1)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::Plugins;

    fn resolver(extra: &[(&str, &str)]) -> Resolver {
        let mut props: Props = [
            ("config.providers", "env,file"),
            ("config.providers.env.class", "EnvVarConfigProvider"),
            (
                "config.providers.file.class",
                "org.apache.kafka.common.config.provider.FileConfigProvider",
            ),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        props.extend(
            extra
                .iter()
                .map(|&(key, value)| (key.to_owned(), value.to_owned())),
        );
        let environment: Environment = Arc::new(|name| match name {
            "DB_PASSWORD" => Some("s3cret".to_owned()),
            "REF" => Some("${DB_PASSWORD}".to_owned()),
            "topic" => Some("never".to_owned()),
            _ => None,
        });
        Resolver::new(&props, &Plugins::new(&[PROVIDERS]), environment).expect("valid")
    }
    fn raw(entries: &[(&str, &str)]) -> RawConfig {
        entries
            .iter()
            .map(|&(key, value)| (key.to_owned(), Some(value.to_owned())))
            .collect()
    }

    #[test]
    fn bare_placeholders_are_resolved_where_the_variable_exists() {
        let check = |text: &str, expected: &str| {
            let resolved = resolver(&[])
                .resolve(&raw(&[("k", text)]))
                .expect("resolves");
            assert_eq!(resolved.props["k"], expected);
        };
        check("${DB_PASSWORD}", "s3cret");
        check("a ${DB_PASSWORD} b ${DB_PASSWORD}", "a s3cret b s3cret");
        check("${MISSING}", "${MISSING}");
        check("${topic}", "${topic}");
        check("${routedByValue}/${DB_PASSWORD}", "${routedByValue}/s3cret");
        check("${REF}", "${DB_PASSWORD}");
        check("${DB_PASSWORD", "${DB_PASSWORD");
    }

    #[test]
    fn placeholders_can_be_switched_off_and_limited() {
        let check = |extra: &[(&str, &str)]| {
            let resolved = resolver(extra)
                .resolve(&raw(&[("k", "${DB_PASSWORD}")]))
                .expect("resolves");
            assert_eq!(resolved.props["k"], "${DB_PASSWORD}");
        };
        check(&[(PLACEHOLDERS_ENABLE, "false")]);
        check(&[(PLACEHOLDERS_ALLOW_PATTERN, "DB_USER|DB_HOST")]);
        check(&[(PLACEHOLDERS_ALLOW_PATTERN, "DB")]);
    }

    #[test]
    fn unknown_providers_and_missing_keys_stay_as_they_were_written() {
        let resolved = resolver(&[])
            .resolve(&raw(&[
                ("a", "${vault:x:y}"),
                ("b", "${env:NOT_THERE_AT_ALL}"),
            ]))
            .expect("resolves");
        assert_eq!(resolved.props["a"], "${vault:x:y}");
        assert_eq!(resolved.props["b"], "${env:NOT_THERE_AT_ALL}");
    }

    #[test]
    fn an_unreadable_file_fails_with_its_path() {
        let error = resolver(&[])
            .resolve(&raw(&[("a", "${file:/nonexist:y}")]))
            .expect_err("fails");
        assert_eq!(
            error.message(),
            "Could not read properties from file /nonexist"
        );
    }

    #[test]
    fn stored_task_configurations_keep_the_references_of_the_connector() {
        let connector = raw(&[
            ("password", "${DB_PASSWORD}"),
            ("user", "u"),
            ("pattern", "${topic}"),
        ]);
        let task: Props = [
            ("password", "s3cret"),
            ("user", "u"),
            ("pattern", "x"),
            ("task.class", "T"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        assert_eq!(
            resolver(&[]).restore(task, &connector),
            raw(&[
                ("password", "${DB_PASSWORD}"),
                ("user", "u"),
                ("pattern", "x"),
                ("task.class", "T")
            ])
        );
    }

    #[test]
    fn secrets_are_taken_out_of_texts() {
        let resolved = resolver(&[])
            .resolve(&raw(&[("k", "${DB_PASSWORD}")]))
            .expect("resolves");
        assert_eq!(
            resolved.redact("password s3cret refused"),
            "password ${DB_PASSWORD} refused"
        );
    }
}
