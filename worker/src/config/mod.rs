//! A worker's configuration: its properties file, completed by the environment.
//!
//! Reads and checks; starts nothing. Answers for `WorkerConfig`'s constructor and for the places
//! where the JVM worker works out its listeners and its advertised address (`RestServer`).

pub mod definition;
pub mod override_policy;
pub(crate) mod security_keys;

use connect_api::config::{Config, props_with_prefix};
use connect_api::{Error, Props, Result};

use self::override_policy::OverridePolicy;

/// What a worker was told.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The typed options.
    pub options: Config,
    /// All properties, unknown ones too, every provider reference resolved: what clients are made of.
    pub props: Props,
    /// Whether the worker works alone.
    pub standalone: bool,
    /// Which client settings connectors may override.
    pub override_policy: OverridePolicy,
    /// Where the REST API listens.
    pub listeners: Vec<Listener>,
    /// Where its administration part listens, if elsewhere; empty: nowhere.
    pub admin_listeners: Option<Vec<Listener>>,
    /// Where other workers and clients reach it, with a slash at the end.
    pub advertised_url: String,
    /// `host:port` of that: who statuses say the worker is.
    pub worker_id: String,
}

/// Whether sources write exactly once (`exactly.once.source.support`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExactlyOnce {
    /// They do not.
    Disabled,
    /// They do not, but the leader writes so that all workers may be switched one by one.
    Preparing,
    /// They do where they can.
    Enabled,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Whether by TLS.
    pub tls: bool,
    /// The host; empty for every interface.
    pub host: String,
    /// The port; 0 for any free one.
    pub port: u16,
}

impl Listener {
    /// Reads `protocol://host:port`.
    ///
    /// # Errors
    /// The text is no listener.
    pub fn parse(text: &str) -> Result<Self> {
        let malformed = || {
            Error::config("Listener doesn't have the right format (protocol://hostname:port).")
                .with_source(format!("reading listener {text:?}"))
        };
        let (protocol, rest) = text.trim().split_once("://").ok_or_else(malformed)?;
        let (host, port) = rest.rsplit_once(':').ok_or_else(malformed)?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let legal =
            |character: char| character.is_ascii_alphanumeric() || "-%._:".contains(character);
        if !host.chars().all(legal) {
            return Err(malformed());
        }
        let port = port
            .trim_end_matches('/')
            .parse()
            .map_err(|_| malformed())?;
        let tls = match protocol.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => {
                return Err(Error::config(
                    "Listener protocol must be either \"http\" or \"https\".",
                )
                .with_source(format!("reading listener {text:?}")));
            }
        };
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
        })
    }
    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

impl WorkerConfig {
    /// Checks resolved properties. `server_host` stands in where neither a listener nor
    /// `rest.advertised.host.name` names the host.
    ///
    /// # Errors
    /// The first thing that is wrong, the others as its causes.
    pub fn new(props: Props, standalone: bool, server_host: &str) -> Result<Self> {
        let definition = if standalone {
            definition::standalone()
        } else {
            definition::distributed()
        };
        let options = definition.parse(&props)?;
        if !standalone {
            check_signatures(&options)?;
        }
        let parse = |items: &[String]| {
            items
                .iter()
                .map(|item| Listener::parse(item))
                .collect::<Result<Vec<_>>>()
        };
        let listeners = parse(options.list("listeners"))?;
        let admin_listeners = match options.list_opt("admin.listeners") {
            Some(items) => Some(parse(items)?),
            None => None,
        };
        warn_about_unknown(&definition, &props);
        let override_policy = OverridePolicy::of(&options)?;
        let mut config = Self {
            options,
            override_policy,
            props,
            standalone,
            listeners,
            admin_listeners,
            advertised_url: String::new(),
            worker_id: String::new(),
        };
        let port = config
            .listeners
            .first()
            .map_or(8083, |listener| listener.port);
        config.advertise(server_host, port);
        Ok(config)
    }

    /// Works out the advertised address once the port of the first listener is known.
    pub fn advertise(&mut self, server_host: &str, bound_port: u16) {
        let text = |key| self.options.string_opt(key).filter(|text| !text.is_empty());
        let by_plain = self.listeners.iter().any(|listener| !listener.tls);
        let scheme = text("rest.advertised.listener")
            .map(str::to_lowercase)
            .unwrap_or_else(|| if by_plain { "http" } else { "https" }.to_owned());
        let listener = self
            .listeners
            .iter()
            .find(|listener| listener.scheme() == scheme);
        let host = text("rest.advertised.host.name")
            .or_else(|| {
                listener
                    .map(|listener| listener.host.as_str())
                    .filter(|host| !host.is_empty())
            })
            .unwrap_or(server_host);
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let port = self
            .options
            .int_opt("rest.advertised.port")
            .unwrap_or_else(|| {
                listener
                    .map_or(bound_port, |listener| {
                        if listener.port == 0 {
                            bound_port
                        } else {
                            listener.port
                        }
                    })
                    .into()
            });
        self.worker_id = format!("{host}:{port}");
        self.advertised_url = format!("{scheme}://{host}:{port}/");
    }

    /// The properties under a prefix, the prefix cut off: `producer.`, `config.providers.file.param.`
    pub fn with_prefix(&self, prefix: &str) -> Props {
        props_with_prefix(&self.props, prefix)
    }

    /// Whether sources write exactly once; never in a worker that works alone.
    pub fn exactly_once(&self) -> ExactlyOnce {
        let text = self.options.string_opt("exactly.once.source.support");
        match text.map(str::to_ascii_lowercase).as_deref() {
            Some("enabled") => ExactlyOnce::Enabled,
            Some("preparing") => ExactlyOnce::Preparing,
            _ => ExactlyOnce::Disabled,
        }
    }

    /// The `group.id`; `None` for a worker that works alone.
    pub fn group_id(&self) -> Option<&str> {
        self.options.string_opt("group.id")
    }
}

/// Keys can be made, and `inter.worker.signature.algorithm` is one that this worker itself accepts.
fn check_signatures(options: &Config) -> Result<()> {
    if let Some(size) = options.int_opt("inter.worker.key.size")
        && size < 40
    {
        let algorithm = options.string("inter.worker.key.generation.algorithm");
        return Err(Error::config(format!(
            "Unable to create key generator with algorithm {algorithm} and key size {size}: \
             Key length must be at least 40 bits"
        )));
    }
    let algorithm = options.string("inter.worker.signature.algorithm");
    let accepted = options.list("inter.worker.verification.algorithms");
    match accepted.iter().any(|known| known == algorithm) {
        true => Ok(()),
        false => Err(Error::config(format!(
            "Invalid value {algorithm} for configuration inter.worker.signature.algorithm: \
             Signature algorithm must be present in inter.worker.verification.algorithms list"
        ))),
    }
}

/// Prefixes whose keys belong to somebody else: clients, providers, converters, topics.
const FAMILIES: [&str; 14] = [
    "producer.",
    "consumer.",
    "admin.",
    "config.providers.",
    "key.converter.",
    "value.converter.",
    "header.converter.",
    "config.storage.",
    "offset.storage.",
    "status.storage.",
    "listeners.https.",
    "admin.listeners.https.",
    "metrics.context.",
    "connector.client.config.override.",
];

fn warn_about_unknown(definition: &connect_api::config::ConfigDef, props: &Props) {
    for key in props.keys() {
        let known = definition.key(key).is_some()
            || FAMILIES.iter().any(|prefix| key.starts_with(prefix))
            || key.starts_with("sasl.")
            || key.starts_with("ssl.");
        if !known {
            tracing::warn!(key, "passing over an unknown worker property");
        }
    }
    for key in props.keys() {
        if let Some(why) = definition::without_effect(key) {
            tracing::warn!(key, "the setting has no effect here: {why}");
        }
    }
    for key in props.keys().filter(|key| key.starts_with("internal.")) {
        tracing::warn!(
            key,
            "internal converters cannot be configured: the worker's topics hold JSON without schemas"
        );
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A worker that shares its work, with these options besides what it must be given.
    pub(crate) fn config(extra: &[(&str, &str)]) -> Result<WorkerConfig> {
        let mut props: Props = [
            ("bootstrap.servers", "b:9092"),
            ("group.id", "g"),
            ("key.converter", "JsonConverter"),
            ("value.converter", "JsonConverter"),
            ("config.storage.topic", "c"),
            ("offset.storage.topic", "o"),
            ("status.storage.topic", "s"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        props.extend(
            extra
                .iter()
                .map(|&(key, value)| (key.to_owned(), value.to_owned())),
        );
        WorkerConfig::new(props, false, "box")
    }

    #[test]
    fn the_advertised_address_follows_listeners_and_advertised_keys() {
        let check = |extra: &[(&str, &str)], url: &str| {
            assert_eq!(config(extra).expect("valid").advertised_url, url);
        };
        check(&[], "http://box:8083/");
        check(
            &[("listeners", "http://10.0.0.1:9000")],
            "http://10.0.0.1:9000/",
        );
        check(&[("listeners", "https://a:1,http://b:2")], "http://b:2/");
        check(
            &[
                ("rest.advertised.host.name", "h"),
                ("rest.advertised.port", "7"),
            ],
            "http://h:7/",
        );
        check(
            &[
                ("listeners", "https://a:1,http://b:2"),
                ("rest.advertised.listener", "https"),
            ],
            "https://a:1/",
        );
        check(&[("listeners", "http://[::1]:5")], "http://[::1]:5/");
    }

    #[test]
    fn exactly_once_is_off_unless_it_is_asked_for() {
        let of = |text: &str| {
            config(&[("exactly.once.source.support", text)])
                .expect("valid")
                .exactly_once()
        };
        assert_eq!(
            config(&[]).expect("valid").exactly_once(),
            ExactlyOnce::Disabled
        );
        assert_eq!(of("Preparing"), ExactlyOnce::Preparing);
        assert_eq!(of("ENABLED"), ExactlyOnce::Enabled);
    }

    #[test]
    fn a_listener_that_is_none_is_refused() {
        let check = |listener: &str, message: &str| {
            assert_eq!(
                config(&[("listeners", listener)])
                    .expect_err("refused")
                    .message(),
                message
            );
        };
        check(
            "8083",
            "Listener doesn't have the right format (protocol://hostname:port).",
        );
        check(
            "ftp://a:1",
            "Listener protocol must be either \"http\" or \"https\".",
        );
    }

    #[test]
    fn unknown_properties_are_passed_over_and_kept() {
        let config = config(&[("my.own", "x"), ("producer.acks", "1")]).expect("valid");
        assert_eq!(config.props.get("my.own").map(String::as_str), Some("x"));
        assert_eq!(
            config
                .with_prefix("producer.")
                .get("acks")
                .map(String::as_str),
            Some("1")
        );
    }
}
