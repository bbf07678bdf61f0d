//! Every option of a worker, with type, default and check: one table.
//!
//! Never parses a file and never looks at the environment. Answers for `WorkerConfig`,
//! `DistributedConfig`, `StandaloneConfig` and `RestServerConfig`.

use std::sync::Arc;

use connect_api::config::{
    ConfigDef, ConfigKey, Importance, Parsed, Type, Validator, any_of, any_of_ignoring_case,
    at_least, between, check_text, list_rules,
};

use Importance::{High, Low, Medium};

/// The worker's switch for bare `${NAME}` placeholders.
pub const PLACEHOLDERS_ENABLE: &str = "ferroconnect.placeholders.enable";
/// Which environment variables bare placeholders may name: a regular expression, matched whole.
pub const PLACEHOLDERS_ALLOW_PATTERN: &str = "ferroconnect.placeholders.allow.pattern";

const MAX_INT: i64 = i32::MAX as i64;

/// The options of a worker that shares its work with others.
pub fn distributed() -> ConfigDef {
    let mut options = common();
    let key = |name: &str, kind, importance| ConfigKey::new(name, kind, importance);
    let keys = vec![
        key("group.id", Type::String, High),
        key("config.storage.topic", Type::String, High),
        key("offset.storage.topic", Type::String, High),
        key("status.storage.topic", Type::String, High),
        key("config.storage.replication.factor", Type::Short, Low).default(3).validator(count_or_broker_default("Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default")),
        key("offset.storage.replication.factor", Type::Short, Low).default(3).validator(count_or_broker_default("Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default")),
        key("status.storage.replication.factor", Type::Short, Low).default(3).validator(count_or_broker_default("Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default")),
        key("offset.storage.partitions", Type::Int, Low).default(25).validator(count_or_broker_default("Number of partitions must be positive, or -1 to use the broker's default")),
        key("status.storage.partitions", Type::Int, Low).default(5).validator(count_or_broker_default("Number of partitions must be positive, or -1 to use the broker's default")),
        key("session.timeout.ms", Type::Int, High).default(10_000),
        key("heartbeat.interval.ms", Type::Int, High).default(3_000),
        key("rebalance.timeout.ms", Type::Int, High).default(60_000),
        key("exactly.once.source.support", Type::String, High).default("disabled").validator(any_of_ignoring_case(&["DISABLED", "ENABLED", "PREPARING"])),
        key("connect.protocol", Type::String, Low).default("sessioned").validator(connect_protocol()),
        key("scheduled.rebalance.max.delay.ms", Type::Int, Low).default(300_000).validator(between(0, MAX_INT)),
        key("worker.sync.timeout.ms", Type::Int, Medium).default(3_000),
        key("worker.unsync.backoff.ms", Type::Int, Medium).default(300_000),
        key("inter.worker.key.generation.algorithm", Type::String, Low).default("HmacSHA256").validator(mac_algorithm("key generator")),
        key("inter.worker.key.size", Type::Int, Low).default_null(),
        key("inter.worker.key.ttl.ms", Type::Int, Low).default(3_600_000).validator(between(0, MAX_INT)),
        key("inter.worker.signature.algorithm", Type::String, Low).default("HmacSHA256").validator(mac_algorithm("signature")),
        key("inter.worker.verification.algorithms", Type::List, Low).default("HmacSHA256").validator(mac_algorithms()),
    ];
    for key in keys {
        options.add(key);
    }
    options
}

/// The options of a worker that works alone.
pub fn standalone() -> ConfigDef {
    common().define(
        ConfigKey::new("offset.storage.file.filename", Type::String, High)
            .doc("The file in which source offsets are kept."),
    )
}

fn common() -> ConfigDef {
    let mut options = ConfigDef::new();
    for key in general() {
        options.add(key);
    }
    for key in client() {
        options.add(key);
    }
    for (name, kind, default, importance) in SECURITY {
        let key = ConfigKey::new(*name, *kind, *importance);
        options.add(match default {
            Some(text) => key.default(text),
            None => key.default_null(),
        });
    }
    options
}

fn general() -> Vec<ConfigKey> {
    let key = |name: &str, kind, importance| ConfigKey::new(name, kind, importance);
    vec![
        key("bootstrap.servers", Type::List, High).validator(list_rules(false, false)).doc("Brokers to begin with, `host:port` apart by commas."),
        key("key.converter", Type::Class, High).doc("The converter of keys where a connector names none."),
        key("value.converter", Type::Class, High).doc("The converter of values where a connector names none."),
        key("header.converter", Type::Class, Low).default("org.apache.kafka.connect.storage.SimpleHeaderConverter").doc("The converter of header values where a connector names none."),
        key("key.converter.plugin.version", Type::String, Low).default_null(),
        key("value.converter.plugin.version", Type::String, Low).default_null(),
        key("header.converter.plugin.version", Type::String, Low).default_null(),
        key("task.shutdown.graceful.timeout.ms", Type::Long, Low).default(5_000).doc("How long tasks may take to stop, all together."),
        key("offset.flush.interval.ms", Type::Long, Low).default(60_000).doc("How often tasks commit offsets."),
        key("offset.flush.timeout.ms", Type::Long, Low).default(5_000).doc("How long a commit of offsets may take."),
        key("plugin.path", Type::List, Low).default_null().validator(list_rules(false, true)).doc("Read and passed over: plugins are part of the binary."),
        key("plugin.discovery", Type::String, Low).default("hybrid_warn").validator(any_of_ignoring_case(&["ONLY_SCAN", "SERVICE_LOAD", "HYBRID_WARN", "HYBRID_FAIL"])),
        key("config.providers", Type::List, Low).default("").validator(list_rules(true, false)).doc("Names of config providers, each with `config.providers.NAME.class`."),
        key("connector.client.config.override.policy", Type::String, Medium).default("All").doc("Which client settings connectors may override: All, None, Principal, Allowlist."),
        key("connector.client.config.override.allowlist", Type::List, Low).default("").doc("What the policy Allowlist allows."),
        key("topic.creation.enable", Type::Boolean, Low).default("true").doc("Whether topics of sources may be created by their `topic.creation.*` settings."),
        key("topic.tracking.enable", Type::Boolean, Low).default("true").doc("Whether the topics of each connector are remembered."),
        key("topic.tracking.allow.reset", Type::Boolean, Low).default("true").doc("Whether a request may make the worker forget them."),
        key("metrics.sample.window.ms", Type::Long, Low).default(30_000).validator(at_least(0)),
        key("metrics.num.samples", Type::Int, Low).default(2).validator(at_least(1)),
        key("metrics.recording.level", Type::String, Low).default("INFO").validator(any_of(&["INFO", "DEBUG"])),
        key("metric.reporters", Type::List, Low).default("org.apache.kafka.common.metrics.JmxReporter"),
        key("listeners", Type::List, Low).default("http://:8083").validator(listeners()).doc("Where the REST API listens, `protocol://host:port` apart by commas."),
        key("admin.listeners", Type::List, Low).default_null().doc("Where the administration part of the REST API listens; none where empty."),
        key("rest.advertised.host.name", Type::String, Low).default_null().doc("The host under which others reach this worker."),
        key("rest.advertised.port", Type::Int, Low).default_null().doc("The port under which others reach this worker."),
        key("rest.advertised.listener", Type::String, Low).default_null().doc("The protocol by which others reach this worker."),
        key("rest.extension.classes", Type::List, Low).default(""),
        key("access.control.allow.origin", Type::String, Low).default("").doc("Origins whose pages may call the REST API."),
        key("access.control.allow.methods", Type::String, Low).default("").doc("Methods that they may use."),
        key("response.http.headers.config", Type::String, Low).default("").doc("Headers added to every answer."),
        key("ssl.client.auth", Type::String, Low).default("none").validator(any_of(&["required", "requested", "none"])),
        key(PLACEHOLDERS_ENABLE, Type::Boolean, Low).default("true").doc("Whether `${NAME}` in a connector's configuration stands for the environment variable NAME."),
        key(PLACEHOLDERS_ALLOW_PATTERN, Type::String, Low).default(".*").validator(check_text(|text| connect_api::java::Regex::new(text).map(|_| ()).map_err(|error| error.to_string()))).doc("Which environment variables `${NAME}` may stand for."),
    ]
}

fn client() -> Vec<ConfigKey> {
    let key = |name: &str, kind, importance| ConfigKey::new(name, kind, importance);
    let number = |name, kind, default: i64| {
        ConfigKey::new(name, kind, Low)
            .default(default)
            .validator(at_least(0))
    };
    vec![
        key("client.id", Type::String, Low).default(""),
        key("client.dns.lookup", Type::String, Medium)
            .default("use_all_dns_ips")
            .validator(any_of(&[
                "use_all_dns_ips",
                "resolve_canonical_bootstrap_servers_only",
            ])),
        number("metadata.max.age.ms", Type::Long, 300_000),
        key("metadata.recovery.strategy", Type::String, Low)
            .default("rebootstrap")
            .validator(any_of_ignoring_case(&["NONE", "REBOOTSTRAP"])),
        number(
            "metadata.recovery.rebootstrap.trigger.ms",
            Type::Long,
            300_000,
        ),
        key("send.buffer.bytes", Type::Int, Medium)
            .default(131_072)
            .validator(at_least(-1)),
        key("receive.buffer.bytes", Type::Int, Medium)
            .default(32_768)
            .validator(at_least(-1)),
        key("request.timeout.ms", Type::Int, Medium)
            .default(40_000)
            .validator(at_least(0)),
        key("connections.max.idle.ms", Type::Long, Medium).default(540_000),
        number("reconnect.backoff.ms", Type::Long, 50),
        number("reconnect.backoff.max.ms", Type::Long, 1_000),
        number("retry.backoff.ms", Type::Long, 100),
        number("retry.backoff.max.ms", Type::Long, 1_000),
        number("socket.connection.setup.timeout.ms", Type::Long, 10_000),
        number("socket.connection.setup.timeout.max.ms", Type::Long, 30_000),
        key("security.protocol", Type::String, Medium)
            .default("PLAINTEXT")
            .validator(any_of_ignoring_case(&[
                "SASL_SSL",
                "PLAINTEXT",
                "SSL",
                "SASL_PLAINTEXT",
            ])),
    ]
}

/// Security settings of the clients: name, type, default (`None` is null), importance.
const SECURITY: &[(&str, Type, Option<&str>, Importance)] = &[
    ("ssl.cipher.suites", Type::List, Some(""), Low),
    (
        "ssl.enabled.protocols",
        Type::List,
        Some("TLSv1.2,TLSv1.3"),
        Medium,
    ),
    ("ssl.protocol", Type::String, Some("TLSv1.3"), Medium),
    ("ssl.provider", Type::String, None, Medium),
    ("ssl.keystore.type", Type::String, Some("JKS"), Medium),
    ("ssl.keystore.location", Type::String, None, High),
    ("ssl.keystore.password", Type::Password, None, High),
    ("ssl.keystore.key", Type::Password, None, High),
    ("ssl.keystore.certificate.chain", Type::Password, None, High),
    ("ssl.key.password", Type::Password, None, High),
    ("ssl.truststore.type", Type::String, Some("JKS"), Medium),
    ("ssl.truststore.location", Type::String, None, High),
    ("ssl.truststore.password", Type::Password, None, High),
    ("ssl.truststore.certificates", Type::Password, None, High),
    (
        "ssl.keymanager.algorithm",
        Type::String,
        Some("SunX509"),
        Low,
    ),
    (
        "ssl.trustmanager.algorithm",
        Type::String,
        Some("PKIX"),
        Low,
    ),
    (
        "ssl.endpoint.identification.algorithm",
        Type::String,
        Some("https"),
        Low,
    ),
    ("ssl.secure.random.implementation", Type::String, None, Low),
    ("ssl.engine.factory.class", Type::Class, None, Low),
    ("sasl.mechanism", Type::String, Some("GSSAPI"), Medium),
    ("sasl.jaas.config", Type::Password, None, Medium),
    (
        "sasl.client.callback.handler.class",
        Type::Class,
        None,
        Medium,
    ),
    ("sasl.login.class", Type::Class, None, Medium),
    (
        "sasl.login.callback.handler.class",
        Type::Class,
        None,
        Medium,
    ),
    ("sasl.kerberos.service.name", Type::String, None, Medium),
    (
        "sasl.kerberos.kinit.cmd",
        Type::String,
        Some("/usr/bin/kinit"),
        Low,
    ),
    (
        "sasl.kerberos.min.time.before.relogin",
        Type::Long,
        Some("60000"),
        Low,
    ),
    (
        "sasl.kerberos.ticket.renew.jitter",
        Type::Double,
        Some("0.05"),
        Low,
    ),
    (
        "sasl.kerberos.ticket.renew.window.factor",
        Type::Double,
        Some("0.8"),
        Low,
    ),
    ("sasl.login.connect.timeout.ms", Type::Int, None, Low),
    ("sasl.login.read.timeout.ms", Type::Int, None, Low),
    (
        "sasl.login.refresh.buffer.seconds",
        Type::Short,
        Some("300"),
        Low,
    ),
    (
        "sasl.login.refresh.min.period.seconds",
        Type::Short,
        Some("60"),
        Low,
    ),
    (
        "sasl.login.refresh.window.factor",
        Type::Double,
        Some("0.8"),
        Low,
    ),
    (
        "sasl.login.refresh.window.jitter",
        Type::Double,
        Some("0.05"),
        Low,
    ),
    ("sasl.login.retry.backoff.ms", Type::Long, Some("100"), Low),
    (
        "sasl.login.retry.backoff.max.ms",
        Type::Long,
        Some("10000"),
        Low,
    ),
    (
        "sasl.oauthbearer.token.endpoint.url",
        Type::String,
        None,
        Medium,
    ),
    (
        "sasl.oauthbearer.jwks.endpoint.url",
        Type::String,
        None,
        Medium,
    ),
    (
        "sasl.oauthbearer.jwks.endpoint.refresh.ms",
        Type::Long,
        Some("3600000"),
        Low,
    ),
    (
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms",
        Type::Long,
        Some("100"),
        Low,
    ),
    (
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
        Type::Long,
        Some("10000"),
        Low,
    ),
    ("sasl.oauthbearer.scope", Type::String, None, Medium),
    (
        "sasl.oauthbearer.scope.claim.name",
        Type::String,
        Some("scope"),
        Low,
    ),
    (
        "sasl.oauthbearer.sub.claim.name",
        Type::String,
        Some("sub"),
        Low,
    ),
    (
        "sasl.oauthbearer.expected.audience",
        Type::List,
        Some(""),
        Low,
    ),
    ("sasl.oauthbearer.expected.issuer", Type::String, None, Low),
    (
        "sasl.oauthbearer.clock.skew.seconds",
        Type::Int,
        Some("30"),
        Low,
    ),
    (
        "sasl.oauthbearer.header.urlencode",
        Type::Boolean,
        Some("false"),
        Low,
    ),
    (
        "sasl.oauthbearer.client.credentials.client.id",
        Type::String,
        None,
        Medium,
    ),
    (
        "sasl.oauthbearer.client.credentials.client.secret",
        Type::Password,
        None,
        Medium,
    ),
];

/// At least 1, or -1 for what the broker prefers (`TopicAdmin`'s validators).
fn count_or_broker_default(why: &'static str) -> Validator {
    Arc::new(move |name, value| match value {
        Some(Parsed::Int(value)) if *value >= 1 || *value == -1 => Ok(()),
        other => Err(format!(
            "Invalid value {} for configuration {name}: {why}",
            text(other)
        )),
    })
}

/// The group protocols; the text lists them in the order of Java's enum.
fn connect_protocol() -> Validator {
    Arc::new(|name, value| match value {
        Some(Parsed::String(text))
            if ["eager", "compatible", "sessioned"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(text)) =>
        {
            Ok(())
        }
        other => Err(format!(
            "Invalid value {} for configuration {name}: One among the following values: EAGER, COMPATIBLE, SESSIONED",
            text(other)
        )),
    })
}

const MACS: [&str; 7] = [
    "HmacMD5",
    "HmacSHA1",
    "HmacSHA224",
    "HmacSHA256",
    "HmacSHA384",
    "HmacSHA512",
    "HmacSHA512/256",
];

fn mac_algorithm(what: &'static str) -> Validator {
    check_text(
        move |text| match MACS.iter().any(|known| known.eq_ignore_ascii_case(text)) {
            true => Ok(()),
            false => Err(format!("{what} algorithm {text} is not available")),
        },
    )
}

fn mac_algorithms() -> Validator {
    Arc::new(|name, value| match value {
        Some(Parsed::List(items)) if !items.is_empty() => {
            match items
                .iter()
                .find(|item| !MACS.iter().any(|known| known.eq_ignore_ascii_case(item)))
            {
                None => Ok(()),
                Some(item) => Err(format!(
                    "Invalid value {} for configuration {name}: signature algorithm {item} is not available",
                    text(value)
                )),
            }
        }
        other => Err(format!(
            "Invalid value {} for configuration {name}: At least one signature verification algorithm must be provided",
            text(other)
        )),
    })
}

/// At least one, none blank, each `protocol://host:port` by http or https.
fn listeners() -> Validator {
    Arc::new(|name, value| {
        let refuse = |shown: &str, why: &str| {
            Err(format!(
                "Invalid value {shown} for configuration {name}: {why}"
            ))
        };
        let Some(Parsed::List(items)) = value else {
            return refuse(
                "null",
                "Invalid value type for listeners (expected list of URLs , ex: http://localhost:8080,https://localhost:8443).",
            );
        };
        if items.is_empty() {
            return refuse(
                "[]",
                "Invalid value for listeners, at least one URL is expected, ex: http://localhost:8080,https://localhost:8443.",
            );
        }
        if items.iter().any(|item| item.trim().is_empty()) {
            return refuse(&text(value), "Empty URL found when parsing listeners list.");
        }
        Ok(())
    })
}

fn text(value: Option<&Parsed>) -> String {
    match value {
        None => "null".to_owned(),
        Some(Parsed::List(items)) => format!("[{}]", items.join(", ")),
        Some(other) => other.shown(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::Props;

    fn minimal() -> Props {
        [
            ("bootstrap.servers", "localhost:9092"),
            ("group.id", "g"),
            ("key.converter", "JsonConverter"),
            ("value.converter", "JsonConverter"),
            ("config.storage.topic", "c"),
            ("offset.storage.topic", "o"),
            ("status.storage.topic", "s"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
    }

    #[test]
    fn what_a_worker_must_be_given_is_enough() {
        let config = distributed().parse(&minimal()).expect("valid");
        assert_eq!(config.int("offset.storage.partitions"), 25);
        assert_eq!(config.list("listeners"), ["http://:8083"]);
        assert!(
            standalone().parse(&minimal()).is_err(),
            "the offsets file is missing"
        );
    }

    #[test]
    fn every_default_passes_its_own_check() {
        for value in distributed()
            .validate(&minimal())
            .into_iter()
            .chain(standalone().validate(&minimal()))
        {
            if value.name != "offset.storage.file.filename" {
                assert_eq!(value.errors, Vec::<String>::new(), "{}", value.name);
            }
        }
    }

    #[test]
    fn bad_values_are_refused_as_the_jvm_refuses_them() {
        let check = |key: &str, value: &str, message: &str| {
            let mut props = minimal();
            props.insert(key.to_owned(), value.to_owned());
            let error = distributed().parse(&props).expect_err("refused");
            assert_eq!(error.message(), message);
        };
        check(
            "metrics.num.samples",
            "0",
            "Invalid value 0 for configuration metrics.num.samples: Value must be at least 1",
        );
        check(
            "offset.storage.partitions",
            "0",
            "Invalid value 0 for configuration offset.storage.partitions: Number of partitions must be positive, or -1 to use the broker's default",
        );
        check(
            "offset.flush.interval.ms",
            "soon",
            "Invalid value soon for configuration offset.flush.interval.ms: Not a number of type LONG",
        );
        check(
            "bootstrap.servers",
            "",
            "Configuration 'bootstrap.servers' must not be empty. Valid values include: any non-empty value",
        );
    }
}
