//! The options that every converter with a registry has, declared once, and what they come to.
//!
//! Answers for `AbstractKafkaSchemaSerDeConfig` and `SchemaRegistryClientConfig`. Options of the
//! connection are read from what was given, not from defaults: as there, an authentication is only
//! used where its source is set, and each may carry the prefix `schema.registry.`.

use std::time::Duration;

use connect_api::config::{Config, ConfigDef, ConfigKey, Importance, Type, at_least, between};
use connect_api::{Error, Props, Result};

use crate::subject::Strategy;

/// `schema.registry.url`.
pub const URL: &str = "schema.registry.url";
/// Prefix that options of the connection may carry.
pub const PREFIX: &str = "schema.registry.";
/// Prefix of headers that every request gets.
const HEADER_PREFIX: &str = "request.header.";

const ASSOCIATED: &str = "io.confluent.kafka.serializers.subject.AssociatedNameStrategy";
const NULL_CONTEXT: &str = "io.confluent.kafka.serializers.context.NullContextNameStrategy";
const ID_PACKAGE: &str = "io.confluent.kafka.serializers.schema.id.";
const PREFIX_SERIALIZER: &str = "io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer";
const DUAL_DESERIALIZER: &str = "io.confluent.kafka.serializers.schema.id.DualSchemaIdDeserializer";

/// The options of client and serializer; a converter adds its own.
pub fn definition() -> ConfigDef {
    use Importance::{High, Low, Medium};
    let key = ConfigKey::new;
    let flag =
        |name, importance, default: bool| key(name, Type::Boolean, importance).default(default);
    let text = |name, importance| key(name, Type::String, importance);
    ConfigDef::new()
        .define(key(URL, Type::List, High).doc("Addresses of the schema registry, apart by commas; tried in turn when one does not answer. `mock://scope` is one in this process."))
        .define(flag("auto.register.schemas", Medium, true).doc("Whether schemas are registered as they come up."))
        .define(flag("use.latest.version", Low, false).doc("Whether data is written with the subject's latest schema, without auto.register.schemas, and read as it."))
        .define(flag("latest.compatibility.strict", Low, true).doc("Whether data is refused whose schema the subject's latest one cannot read."))
        .define(key("use.schema.id", Type::Int, Low).default(-1).doc("The id of the schema to write with; only without auto.register.schemas."))
        .define(flag("id.compatibility.strict", Low, true).doc("Whether data is refused whose schema the one of use.schema.id cannot read."))
        .define(text("use.schema.guid", Low).default_null().doc("The GUID of the schema to write with."))
        .define(text("use.latest.with.metadata", Low).default_null().doc("Properties, k=v apart by commas: data is written with, and read as, the latest schema whose metadata has them."))
        .define(flag("normalize.schemas", Low, false).doc("Whether the registry normalises schemas before it compares them."))
        .define(flag("propagate.schema.tags", Low, false).doc("Taken and passed over: tags are the registry's own."))
        .define(key("max.schemas.per.subject", Type::Int, Low).default(1000).doc("How many schemas the client remembers."))
        .define(key("latest.cache.size", Type::Int, Low).default(1000).doc("How many subjects' latest schemas are remembered."))
        .define(key("latest.cache.ttl.sec", Type::Int, Low).default(-1).doc("How long a latest schema is remembered; -1 is for good."))
        .define(key("missing.cache.size", Type::Int, Low).default(10000).doc("How many ids, versions and schemas that do not exist are remembered."))
        .define(key("missing.id.cache.ttl.sec", Type::Long, Low).default(0).doc("How long an unknown id is remembered; 0 is not at all."))
        .define(key("missing.version.cache.ttl.sec", Type::Long, Low).default(0).doc("How long an unknown version is remembered; 0 is not at all."))
        .define(key("missing.schema.cache.ttl.sec", Type::Long, Low).default(0).doc("How long an unknown schema is remembered; 0 is not at all."))
        .define(text("schema.format", Low).default_null().doc("The form in which the registry answers with schemas."))
        .define(text("key.subject.name.strategy", Medium).default(ASSOCIATED).doc("How the subject of keys is named."))
        .define(text("value.subject.name.strategy", Medium).default(ASSOCIATED).doc("How the subject of values is named."))
        .define(text("subject.name.strategy.kafka.cluster.id", Low).default_null().doc("The namespace of subjects associated with topics."))
        .define(text("subject.name.strategy.fallback.type", Low).default("TOPIC").doc("How a subject is named when none is associated with the topic: TOPIC, RECORD, TOPIC_RECORD or NONE."))
        .define(key("subject.name.strategy.cache.size", Type::Int, Low).default(1000).doc("How many topics' associated subjects are remembered."))
        .define(key("subject.name.strategy.cache.expiry.secs", Type::Int, Low).default(-1).doc("How long they are remembered; -1 is for good."))
        .define(text("context.name.strategy", Low).default(NULL_CONTEXT).doc("How the context in front of a subject is named; none is the only one here."))
        .define(text("key.schema.id.serializer", Low).default(PREFIX_SERIALIZER).doc("Whether a key's schema id stands before it or in a header."))
        .define(text("value.schema.id.serializer", Low).default(PREFIX_SERIALIZER).doc("Whether a value's schema id stands before it or in a header."))
        .define(text("key.schema.id.deserializer", Low).default(DUAL_DESERIALIZER).doc("Where a key's schema id is looked for."))
        .define(text("value.schema.id.deserializer", Low).default(DUAL_DESERIALIZER).doc("Where a value's schema id is looked for."))
        .define(key("http.connect.timeout.ms", Type::Int, Low).default(60000).doc("How long connecting to the registry may take."))
        .define(key("http.read.timeout.ms", Type::Int, Low).default(60000).doc("How long the registry may take to answer."))
        .define(key("max.retries", Type::Int, Low).default(3).validator(at_least(0)).doc("How often a request is repeated at one address."))
        .define(key("retries.wait.ms", Type::Int, Low).default(1000).validator(at_least(0)).doc("The longest pause before the first repetition; it doubles."))
        .define(key("retries.max.wait.ms", Type::Int, Low).default(20000).validator(at_least(0)).doc("The longest pause before any repetition."))
        .define(flag("schema.registry.url.randomize", Low, false).doc("Whether the first address is chosen at random."))
        .define(text("basic.auth.credentials.source", Medium).default("URL").doc("Where user and password come from: URL, USER_INFO or SASL_INHERIT. Used only where it is set."))
        .define(key("basic.auth.user.info", Type::Password, Medium).default("").doc("`user:password` for USER_INFO."))
        .define(key("schema.registry.basic.auth.user.info", Type::Password, Medium).default("").doc("The older name of basic.auth.user.info."))
        .define(text("bearer.auth.credentials.source", Medium).default("STATIC_TOKEN").doc("Where a token comes from: STATIC_TOKEN, OAUTHBEARER or SASL_OAUTHBEARER_INHERIT. Used only where it is set."))
        .define(key("bearer.auth.token", Type::Password, Medium).default("").doc("The token for STATIC_TOKEN."))
        .define(text("bearer.auth.issuer.endpoint.url", Medium).default_null().doc("Where OAUTHBEARER gets its tokens."))
        .define(text("bearer.auth.client.id", Medium).default_null().doc("The client that asks for a token."))
        .define(key("bearer.auth.client.secret", Type::Password, Medium).default_null().doc("Its secret."))
        .define(text("bearer.auth.scope", Medium).default_null().doc("The scope it asks for."))
        .define(text("bearer.auth.scope.claim.name", Low).default("scope").doc("Taken and passed over: the registry checks the token."))
        .define(text("bearer.auth.sub.claim.name", Low).default("sub").doc("Taken and passed over: the registry checks the token."))
        .define(text("bearer.auth.logical.cluster", Low).default_null().doc("Sent as the header target-sr-cluster."))
        .define(text("bearer.auth.identity.pool.id", Low).default_null().doc("Sent as the header Confluent-Identity-Pool-Id."))
        .define(key("bearer.auth.cache.expiry.buffer.seconds", Type::Short, Low).default(300).validator(between(0, 3600)).doc("How long before its end a token is replaced."))
        .define(text("bearer.auth.custom.provider.class", Low).default_null().doc("A class of the JVM; not possible here."))
        .define(text("proxy.host", Low).default("").doc("An HTTP proxy to the registry."))
        .define(key("proxy.port", Type::Int, Low).default(-1).doc("Its port."))
        .define(text("reference.subject.name.strategy", Low).default("io.confluent.kafka.serializers.subject.DefaultReferenceSubjectNameStrategy").doc("How the subjects of referred schemas are named."))
        .define(flag("rule.service.loader.enable", Low, true).doc("Taken and passed over: data contracts' rules are classes of the JVM."))
}

/// Where the schema id of what is written goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdPlace {
    /// Before the payload.
    Prefix,
    /// In a header.
    Header,
}

/// The options as a converter uses them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses, without a trailing slash.
    pub urls: Vec<String>,
    /// `auto.register.schemas`.
    pub auto_register: bool,
    /// `use.latest.version`.
    pub use_latest: bool,
    /// `latest.compatibility.strict`.
    pub latest_strict: bool,
    /// `use.schema.id`.
    pub use_schema_id: Option<i32>,
    /// `use.schema.guid`.
    pub use_schema_guid: Option<uuid::Uuid>,
    /// `id.compatibility.strict`.
    pub id_strict: bool,
    /// `use.latest.with.metadata`.
    pub metadata: Option<Vec<(String, String)>>,
    /// `normalize.schemas`.
    pub normalize: bool,
    /// `max.schemas.per.subject`, a cache's size.
    pub max_schemas_per_subject: usize,
    /// `latest.cache.size`.
    pub latest_cache_size: usize,
    /// `latest.cache.ttl.sec`; `None` for good.
    pub latest_cache_ttl: Option<Duration>,
    /// `missing.cache.size`.
    pub missing_cache_size: usize,
    /// `missing.id.cache.ttl.sec`.
    pub missing_id_ttl: Duration,
    /// `missing.version.cache.ttl.sec`.
    pub missing_version_ttl: Duration,
    /// `missing.schema.cache.ttl.sec`.
    pub missing_schema_ttl: Duration,
    /// `schema.format`.
    pub schema_format: Option<String>,
    /// `{key,value}.subject.name.strategy`.
    pub strategy: Strategy,
    /// `subject.name.strategy.cache.size`.
    pub strategy_cache_size: usize,
    /// `{key,value}.schema.id.serializer`.
    pub id_place: IdPlace,
    /// Whether a header with an id is looked for.
    pub id_from_header: bool,
    /// `http.connect.timeout.ms`.
    pub connect_timeout: Duration,
    /// `http.read.timeout.ms`.
    pub read_timeout: Duration,
    /// `max.retries`.
    pub max_retries: u32,
    /// `retries.wait.ms`.
    pub retries_wait: Duration,
    /// `retries.max.wait.ms`.
    pub retries_max_wait: Duration,
    /// `schema.registry.url.randomize`.
    pub randomize: bool,
    /// Whether the options are a key's.
    pub is_key: bool,
    /// Everything given, for the connection: the prefix `schema.registry.` cut off, except from
    /// `schema.registry.url`.
    pub(crate) connection: Props,
    /// `schema.registry.ssl.*`, the prefix `schema.registry.` cut off.
    pub(crate) ssl: Props,
}

impl Settings {
    /// The options of a parsed configuration whose definition includes [`definition`].
    ///
    /// # Errors
    /// Kind Config: a value is none here.
    pub fn new(config: &Config, is_key: bool) -> Result<Self> {
        let side = if is_key { "key" } else { "value" };
        let size = |key| usize::try_from(config.int(key)).unwrap_or(0);
        let ms = |key| Duration::from_millis(u64::try_from(config.int(key)).unwrap_or(0));
        let seconds = |key| Duration::from_secs(u64::try_from(config.int(key)).unwrap_or(0));
        let urls: Vec<String> = config
            .list(URL)
            .iter()
            .map(|url| url.trim().trim_end_matches('/').to_owned())
            .filter(|url| !url.is_empty())
            .collect();
        if urls.is_empty() {
            return Err(Error::config(format!(
                "Missing schema registry url: {URL} is empty"
            )));
        }
        let context = config.string("context.name.strategy");
        if context != NULL_CONTEXT {
            return Err(Error::config(format!(
                "Invalid value {context} for configuration context.name.strategy: Class {context} could not be found."
            )));
        }
        let metadata = match config.string_opt("use.latest.with.metadata") {
            Some(text) if !text.is_empty() => Some(parse_metadata(text)?),
            _ => None,
        };
        let guid = match config.string_opt("use.schema.guid") {
            Some(text) if !text.is_empty() => Some(text.parse().map_err(|error| {
                Error::config(format!(
                    "Invalid value {text} for configuration use.schema.guid: {error}"
                ))
            })?),
            _ => None,
        };
        let connection = without_prefix(config.originals());
        let ssl = connect_api::config::props_with_prefix(config.originals(), PREFIX)
            .into_iter()
            .filter(|(key, _)| key.starts_with("ssl."))
            .collect();
        Ok(Self {
            urls,
            auto_register: config.bool("auto.register.schemas"),
            use_latest: config.bool("use.latest.version"),
            latest_strict: config.bool("latest.compatibility.strict"),
            use_schema_id: i32::try_from(config.int("use.schema.id"))
                .ok()
                .filter(|id| *id >= 0),
            use_schema_guid: guid,
            id_strict: config.bool("id.compatibility.strict"),
            metadata,
            normalize: config.bool("normalize.schemas"),
            max_schemas_per_subject: size("max.schemas.per.subject"),
            latest_cache_size: size("latest.cache.size"),
            latest_cache_ttl: u64::try_from(config.int("latest.cache.ttl.sec"))
                .ok()
                .map(Duration::from_secs),
            missing_cache_size: size("missing.cache.size"),
            missing_id_ttl: seconds("missing.id.cache.ttl.sec"),
            missing_version_ttl: seconds("missing.version.cache.ttl.sec"),
            missing_schema_ttl: seconds("missing.schema.cache.ttl.sec"),
            schema_format: config.string_opt("schema.format").map(ToOwned::to_owned),
            strategy: Strategy::parse(
                config.string(&format!("{side}.subject.name.strategy")),
                config
                    .string_opt("subject.name.strategy.kafka.cluster.id")
                    .unwrap_or("-"),
                config.string("subject.name.strategy.fallback.type"),
            )?,
            strategy_cache_size: size("subject.name.strategy.cache.size"),
            id_place: match id_class(config, &format!("{side}.schema.id.serializer"))? {
                "PrefixSchemaIdSerializer" => IdPlace::Prefix,
                "HeaderSchemaIdSerializer" => IdPlace::Header,
                other => return Err(no_class(other)),
            },
            id_from_header: match id_class(config, &format!("{side}.schema.id.deserializer"))? {
                "DualSchemaIdDeserializer" | "HeaderSchemaIdDeserializer" => true,
                "PrefixSchemaIdDeserializer" => false,
                other => return Err(no_class(other)),
            },
            connect_timeout: ms("http.connect.timeout.ms"),
            read_timeout: ms("http.read.timeout.ms"),
            max_retries: u32::try_from(config.int("max.retries")).unwrap_or(0),
            retries_wait: ms("retries.wait.ms"),
            retries_max_wait: ms("retries.max.wait.ms"),
            randomize: config.bool("schema.registry.url.randomize"),
            is_key,
            connection,
            ssl,
        })
    }

    /// A connection's option as it was given; empty is as good as not given.
    pub(crate) fn given(&self, key: &str) -> Option<&str> {
        self.connection
            .get(key)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }
    /// Headers that every request gets.
    pub(crate) fn request_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.connection
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(HEADER_PREFIX)?, value.as_str())))
    }
}

fn no_class(class: &str) -> Error {
    Error::config(format!("Class {class} could not be found."))
}

fn id_class<'a>(config: &'a Config, key: &str) -> Result<&'a str> {
    let class = config.string(key);
    class
        .strip_prefix(ID_PACKAGE)
        .ok_or_else(|| no_class(class))
}

fn parse_metadata(text: &str) -> Result<Vec<(String, String)>> {
    text.split(',')
        .map(|pair| {
            pair.split_once('=')
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .ok_or_else(|| {
                    Error::config(format!(
                        "Invalid value {text} for configuration use.latest.with.metadata: {pair} is no key=value"
                    ))
                })
        })
        .collect()
}

/// The options with their optional prefix cut off; where both forms are given, the prefixed one
/// counts.
fn without_prefix(originals: &Props) -> Props {
    let mut props = originals.clone();
    for (key, value) in originals {
        if let Some(short) = key.strip_prefix(PREFIX).filter(|_| key != URL) {
            props.insert(short.to_owned(), value.clone());
        }
    }
    props
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(entries: &[(&str, &str)]) -> Result<Settings> {
        let props = entries
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Settings::new(&definition().parse(&props)?, false)
    }

    #[test]
    fn addresses_are_a_list_and_keep_their_paths() {
        let settings = settings(&[(URL, "http://a:1/, https://b/base/")]).expect("valid");
        assert_eq!(settings.urls, ["http://a:1", "https://b/base"]);
        assert!(settings.auto_register && settings.id_from_header);
        assert_eq!(settings.latest_cache_ttl, None);
    }

    #[test]
    fn options_of_the_connection_may_have_a_prefix() {
        let settings = settings(&[
            (URL, "http://a"),
            ("schema.registry.basic.auth.credentials.source", "URL"),
            ("schema.registry.request.header.X-Team", "blue"),
            ("schema.registry.ssl.truststore.type", "PEM"),
            ("ssl.keystore.type", "PEM"),
        ])
        .expect("valid");
        assert_eq!(settings.given("basic.auth.credentials.source"), Some("URL"));
        assert_eq!(
            settings.request_headers().collect::<Vec<_>>(),
            [("X-Team", "blue")]
        );
        assert_eq!(settings.ssl.len(), 1, "only prefixed ssl options count");
    }

    #[test]
    fn what_only_the_jvm_has_is_refused() {
        for (key, value) in [
            ("value.subject.name.strategy", "my.Strategy"),
            ("context.name.strategy", "my.Context"),
            ("value.schema.id.serializer", "my.Serializer"),
            (URL, " "),
        ] {
            settings(&[(URL, "http://a"), (key, value)]).expect_err(key);
        }
        settings(&[]).expect_err("an address is required");
    }
}
