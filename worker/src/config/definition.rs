//! Every option of a worker, with type, default and check: one table.
//!
//! Never parses a file and never looks at the environment. The order is Kafka's, for the first
//! thing that is wrong is what a worker is refused for. Answers for `WorkerConfig`,
//! `DistributedConfig`, `StandaloneConfig` and `RestServerConfig`.

use std::sync::Arc;

use connect_api::config::Importance::{High, Low, Medium};
use connect_api::config::Type::{Boolean, Class, Int, List, Long, Short, String};
use connect_api::config::{
    ConfigDef, ConfigKey, Parsed, Validator, any_of, any_of_ignoring_case, at_least, between,
    check_text, list_rules, within,
};

use super::security_keys::Fallback::{Is, Null, Required};
use super::security_keys::{Fallback, SASL, SSL, Setting};

/// The worker's switch for bare `${NAME}` placeholders.
pub const PLACEHOLDERS_ENABLE: &str = "ferroconnect.placeholders.enable";
/// Which environment variables bare placeholders may name: a regular expression, matched whole.
pub const PLACEHOLDERS_ALLOW_PATTERN: &str = "ferroconnect.placeholders.allow.pattern";
/// What the override policy `Allowlist` allows.
pub const OVERRIDE_ALLOWLIST: &str = "connector.client.config.override.allowlist";

const MAX_INT: i64 = i32::MAX as i64;

/// Of every worker, before `ssl.*`.
const WORKER: &[Setting] = &[
    ("bootstrap.servers", List, Required, High),
    ("client.dns.lookup", String, Is("use_all_dns_ips"), Medium),
    ("key.converter", Class, Required, High),
    ("key.converter.plugin.version", String, Null, Low),
    ("value.converter", Class, Required, High),
    ("value.converter.plugin.version", String, Null, Low),
    ("task.shutdown.graceful.timeout.ms", Long, Is("5000"), Low),
    ("offset.flush.interval.ms", Long, Is("60000"), Low),
    ("offset.flush.timeout.ms", Long, Is("5000"), Low),
    ("plugin.path", List, Null, Low),
    ("plugin.discovery", String, Is("hybrid_warn"), Low),
    ("metrics.sample.window.ms", Long, Is("30000"), Low),
    ("metrics.num.samples", Int, Is("2"), Low),
    ("metrics.recording.level", String, Is("INFO"), Low),
    (
        "metric.reporters",
        List,
        Is("org.apache.kafka.common.metrics.JmxReporter"),
        Low,
    ),
    (
        "header.converter",
        Class,
        Is("org.apache.kafka.connect.storage.SimpleHeaderConverter"),
        Low,
    ),
    ("header.converter.plugin.version", String, Null, Low),
    ("config.providers", List, Is(""), Low),
    (
        "connector.client.config.override.policy",
        String,
        Is("All"),
        Medium,
    ),
    ("topic.creation.enable", Boolean, Is("true"), Low),
];

/// Of every worker, after `ssl.*`.
const REST: &[Setting] = &[
    ("topic.tracking.enable", Boolean, Is("true"), Low),
    ("topic.tracking.allow.reset", Boolean, Is("true"), Low),
    ("listeners", List, Is("http://:8083"), Low),
    ("rest.advertised.host.name", String, Null, Low),
    ("rest.advertised.port", Int, Null, Low),
    ("rest.advertised.listener", String, Null, Low),
    ("access.control.allow.origin", String, Is(""), Low),
    ("access.control.allow.methods", String, Is(""), Low),
    ("response.http.headers.config", String, Is(""), Low),
    ("ssl.client.auth", String, Is("none"), Low),
    ("rest.extension.classes", List, Is(""), Low),
    ("admin.listeners", List, Null, Low),
];

/// Of a worker that shares its work, before `sasl.*`.
const GROUP: &[Setting] = &[
    ("group.id", String, Required, High),
    ("session.timeout.ms", Int, Is("10000"), High),
    ("rebalance.timeout.ms", Int, Is("60000"), High),
    ("heartbeat.interval.ms", Int, Is("3000"), High),
    ("exactly.once.source.support", String, Is("disabled"), High),
    ("metadata.max.age.ms", Long, Is("300000"), Low),
    ("client.id", String, Is(""), Low),
    ("send.buffer.bytes", Int, Is("131072"), Medium),
    ("receive.buffer.bytes", Int, Is("32768"), Medium),
    ("reconnect.backoff.ms", Long, Is("50"), Low),
    ("reconnect.backoff.max.ms", Long, Is("1000"), Low),
    ("socket.connection.setup.timeout.ms", Long, Is("10000"), Low),
    (
        "socket.connection.setup.timeout.max.ms",
        Long,
        Is("30000"),
        Low,
    ),
    ("retry.backoff.ms", Long, Is("100"), Low),
    ("retry.backoff.max.ms", Long, Is("1000"), Low),
    ("request.timeout.ms", Int, Is("40000"), Medium),
    ("connections.max.idle.ms", Long, Is("540000"), Medium),
    ("security.protocol", String, Is("PLAINTEXT"), Medium),
];

/// Of a worker that shares its work, after `sasl.*`.
const STORES: &[Setting] = &[
    ("worker.sync.timeout.ms", Int, Is("3000"), Medium),
    ("worker.unsync.backoff.ms", Int, Is("300000"), Medium),
    ("offset.storage.topic", String, Required, High),
    ("offset.storage.partitions", Int, Is("25"), Low),
    ("offset.storage.replication.factor", Short, Is("3"), Low),
    ("config.storage.topic", String, Required, High),
    ("config.storage.replication.factor", Short, Is("3"), Low),
    ("status.storage.topic", String, Required, High),
    ("status.storage.partitions", Int, Is("5"), Low),
    ("status.storage.replication.factor", Short, Is("3"), Low),
    ("connect.protocol", String, Is("sessioned"), Low),
    ("scheduled.rebalance.max.delay.ms", Int, Is("300000"), Low),
    ("inter.worker.key.ttl.ms", Int, Is("3600000"), Low),
    (
        "inter.worker.key.generation.algorithm",
        String,
        Is("HmacSHA256"),
        Low,
    ),
    ("inter.worker.key.size", Int, Null, Low),
    (
        "inter.worker.signature.algorithm",
        String,
        Is("HmacSHA256"),
        Low,
    ),
    (
        "inter.worker.verification.algorithms",
        List,
        Is("HmacSHA256"),
        Low,
    ),
    ("metadata.recovery.strategy", String, Is("rebootstrap"), Low),
    (
        "metadata.recovery.rebootstrap.trigger.ms",
        Long,
        Is("300000"),
        Low,
    ),
];

/// Of a worker that works alone.
const ALONE: &[Setting] = &[("offset.storage.file.filename", String, Required, High)];

/// Ours, and those that a plugin of the worker reads.
const OURS: &[Setting] = &[
    (OVERRIDE_ALLOWLIST, List, Is(""), Low),
    (PLACEHOLDERS_ENABLE, Boolean, Is("true"), Low),
    (PLACEHOLDERS_ALLOW_PATTERN, String, Is(".*"), Low),
];

/// Options that are checked and change nothing here, and why; published in `docs/deviations.md`.
pub const WITHOUT_EFFECT: &[(&[&str], &str)] = &[
    (
        &["plugin.path", "plugin.discovery"],
        "plugins are part of the worker",
    ),
    (
        &[
            "key.converter.plugin.version",
            "value.converter.plugin.version",
            "header.converter.plugin.version",
        ],
        "of each plugin there is one version",
    ),
    (
        &[
            "metric.reporters",
            "metrics.num.samples",
            "metrics.recording.level",
            "metrics.sample.window.ms",
        ],
        "there is no JMX",
    ),
    (
        &["socket.connection.setup.timeout.max.ms"],
        "the client library tries again after the same time",
    ),
    (
        &["worker.unsync.backoff.ms"],
        "a worker that cannot read the config topic in time joins again at once",
    ),
    (
        &[
            "ssl.protocol",
            "ssl.keymanager.algorithm",
            "ssl.trustmanager.algorithm",
        ],
        "they choose among the providers of a JVM",
    ),
    (
        &[
            "sasl.kerberos.kinit.cmd",
            "sasl.kerberos.min.time.before.relogin",
            "sasl.kerberos.service.name",
            "sasl.kerberos.ticket.renew.jitter",
            "sasl.kerberos.ticket.renew.window.factor",
        ],
        "the mechanism that they belong to, GSSAPI, is refused",
    ),
    (
        &[
            "sasl.oauthbearer.assertion.algorithm",
            "sasl.oauthbearer.assertion.claim.aud",
            "sasl.oauthbearer.assertion.claim.exp.seconds",
            "sasl.oauthbearer.assertion.claim.iss",
            "sasl.oauthbearer.assertion.claim.jti.include",
            "sasl.oauthbearer.assertion.claim.nbf.seconds",
            "sasl.oauthbearer.assertion.claim.sub",
            "sasl.oauthbearer.assertion.file",
            "sasl.oauthbearer.assertion.private.key.file",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.template.file",
        ],
        "the class that they belong to, JwtBearerJwtRetriever, is refused",
    ),
    (
        &[
            "sasl.oauthbearer.clock.skew.seconds",
            "sasl.oauthbearer.expected.audience",
            "sasl.oauthbearer.expected.issuer",
            "sasl.oauthbearer.jwks.endpoint.refresh.ms",
            "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
            "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms",
            "sasl.oauthbearer.jwks.endpoint.url",
            "sasl.oauthbearer.jwt.validator.class",
        ],
        "brokers validate tokens",
    ),
];

/// Why an option changes nothing here; `None` for one that does.
pub fn without_effect(key: &str) -> Option<&'static str> {
    let listed = WITHOUT_EFFECT.iter().find(|(keys, _)| keys.contains(&key));
    listed.map(|(_, why)| *why)
}

/// The options of a worker that shares its work with others.
pub fn distributed() -> ConfigDef {
    options(&[WORKER, SSL, REST, GROUP, SASL, STORES, OURS])
}

/// The options of a worker that works alone.
pub fn standalone() -> ConfigDef {
    options(&[WORKER, SSL, REST, ALONE, OURS])
}

fn options(tables: &[&[Setting]]) -> ConfigDef {
    let mut options = ConfigDef::new();
    for (name, kind, fallback, importance) in tables.iter().copied().flatten() {
        let key = ConfigKey::new(*name, *kind, *importance);
        let key = match fallback {
            Fallback::Required => key,
            Fallback::Null => key.default_null(),
            Fallback::Is(text) => key.default(text),
        };
        let key = match check(name) {
            Some(check) => key.validator(check),
            None => key,
        };
        options.add(if *kind == List { key.distinct() } else { key });
    }
    options
}

/// What has to hold for a value beyond its type.
fn check(name: &str) -> Option<Validator> {
    const REPLICATION: &str = "Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default";
    const PARTITIONS: &str =
        "Number of partitions must be positive, or -1 to use the broker's default";
    Some(match name {
        "bootstrap.servers" => list_rules(false, false),
        "plugin.path" => list_rules(false, true),
        "admin.listeners" => list_rules(true, true),
        "metric.reporters"
        | "config.providers"
        | "rest.extension.classes"
        | "ssl.cipher.suites"
        | "ssl.enabled.protocols"
        | "sasl.oauthbearer.expected.audience" => list_rules(true, false),
        "client.dns.lookup" => any_of(&[
            "use_all_dns_ips",
            "resolve_canonical_bootstrap_servers_only",
        ]),
        "plugin.discovery" => {
            any_of_ignoring_case(&["ONLY_SCAN", "SERVICE_LOAD", "HYBRID_WARN", "HYBRID_FAIL"])
        }
        "metrics.recording.level" => any_of(&["INFO", "DEBUG"]),
        "metrics.num.samples" => at_least(1),
        "metrics.sample.window.ms"
        | "metadata.max.age.ms"
        | "metadata.recovery.rebootstrap.trigger.ms"
        | "request.timeout.ms"
        | "reconnect.backoff.ms"
        | "reconnect.backoff.max.ms"
        | "retry.backoff.ms"
        | "retry.backoff.max.ms"
        | "socket.connection.setup.timeout.ms"
        | "socket.connection.setup.timeout.max.ms"
        | "sasl.oauthbearer.assertion.claim.exp.seconds"
        | "sasl.oauthbearer.assertion.claim.nbf.seconds" => at_least(0),
        "send.buffer.bytes" | "receive.buffer.bytes" => at_least(-1),
        "listeners" => listeners(),
        "response.http.headers.config" => response_headers(),
        "ssl.client.auth" => any_of(&["required", "requested", "none"]),
        "exactly.once.source.support" => {
            any_of_ignoring_case(&["DISABLED", "ENABLED", "PREPARING"])
        }
        "security.protocol" => {
            any_of_ignoring_case(&["SASL_SSL", "PLAINTEXT", "SSL", "SASL_PLAINTEXT"])
        }
        "metadata.recovery.strategy" => any_of_ignoring_case(&["REBOOTSTRAP", "NONE"]),
        "sasl.login.refresh.window.factor" => within(0.5, 1.0),
        "sasl.login.refresh.window.jitter" => within(0.0, 0.25),
        "sasl.login.refresh.min.period.seconds" => between(0, 900),
        "sasl.login.refresh.buffer.seconds" => between(0, 3600),
        "sasl.oauthbearer.assertion.algorithm" => any_of_ignoring_case(&["ES256", "RS256"]),
        "config.storage.replication.factor"
        | "offset.storage.replication.factor"
        | "status.storage.replication.factor" => count_or_broker_default(REPLICATION),
        "offset.storage.partitions" | "status.storage.partitions" => {
            count_or_broker_default(PARTITIONS)
        }
        "connect.protocol" => connect_protocol(),
        "scheduled.rebalance.max.delay.ms" | "inter.worker.key.ttl.ms" => between(0, MAX_INT),
        "inter.worker.key.generation.algorithm" | "inter.worker.signature.algorithm" => {
            check_text(mac_algorithm)
        }
        "inter.worker.verification.algorithms" => mac_algorithms(),
        PLACEHOLDERS_ALLOW_PATTERN => check_text(|text| {
            connect_api::java::Regex::new(text)
                .map(|_| ())
                .map_err(|error| error.to_string())
        }),
        _ => return None,
    })
}

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

/// The group protocols (`ConnectProtocolCompatibility`).
fn connect_protocol() -> Validator {
    check_text(|text| {
        let known = ["eager", "compatible", "sessioned"];
        match known.iter().any(|known| known.eq_ignore_ascii_case(text)) {
            true => Ok(()),
            false => Err("Invalid Connect protocol compatibility".to_owned()),
        }
    })
}

/// The algorithms by which workers may sign requests to each other.
pub const MAC_ALGORITHMS: [&str; 7] = [
    "HmacMD5",
    "HmacSHA1",
    "HmacSHA224",
    "HmacSHA256",
    "HmacSHA384",
    "HmacSHA512",
    "HmacSHA512/256",
];

fn mac_algorithm(text: &str) -> Result<(), std::string::String> {
    match MAC_ALGORITHMS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(text))
    {
        true => Ok(()),
        false => Err(format!(
            "the algorithm is not supported by this worker; the supported algorithms are: [{}]",
            MAC_ALGORITHMS.join(", ")
        )),
    }
}

fn mac_algorithms() -> Validator {
    Arc::new(|name, value| match value {
        Some(Parsed::List(items)) if !items.is_empty() => items.iter().try_for_each(|item| {
            mac_algorithm(item)
                .map_err(|why| format!("Invalid value {item} for configuration {name}: {why}"))
        }),
        other => Err(format!(
            "Invalid value {} for configuration {name}: At least one signature verification algorithm must be provided",
            text(other)
        )),
    })
}

/// At least one, none blank.
fn listeners() -> Validator {
    Arc::new(|_, value| {
        match value {
        Some(Parsed::List(items)) if items.iter().any(|item| item.trim().is_empty()) => {
            Err("Empty URL found when parsing listeners list.".to_owned())
        }
        Some(Parsed::List(items)) if !items.is_empty() => Ok(()),
        _ => Err("Invalid value for listeners, at least one URL is expected, ex: http://localhost:8080,https://localhost:8443.".to_owned()),
    }
    })
}

/// Rules as `set NAME:VALUE`, apart by commas, one with a comma in quotes as a whole.
fn response_headers() -> Validator {
    Arc::new(|_, value| match value {
        Some(Parsed::String(text)) => split_quoted(text)
            .iter()
            .map(|rule| rule.trim())
            .filter(|rule| !rule.is_empty())
            .try_for_each(check_response_header),
        _ => Ok(()),
    })
}

fn check_response_header(rule: &str) -> Result<(), std::string::String> {
    let Some((action, pair)) = rule.split_once(' ') else {
        return Err(format!(
            "Invalid format of header config '{rule}'. Expected: '[action] [header name]:[header value]'"
        ));
    };
    let pair = pair.trim();
    let mut parts = pair.split(':');
    let (Some(name), Some(_), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!(
            "Invalid format of header name and header value pair '{pair}'. Expected: '[header name]:[header value]'"
        ));
    };
    let known = ["set", "add", "setDate", "addDate"];
    if !known.iter().any(|known| known.eq_ignore_ascii_case(action)) {
        return Err(format!(
            "Invalid header config action: '{action}'. Expected one of [set, add, setDate, addDate]"
        ));
    }
    match name.trim().contains(char::is_whitespace) {
        true => Err(format!(
            "Invalid header name '{}'. The '[header name]' cannot contain whitespace",
            name.trim()
        )),
        false => Ok(()),
    }
}

/// A list whose items are apart by commas and may stand in double quotes as a whole.
pub(crate) fn split_quoted(text: &str) -> Vec<std::string::String> {
    let mut items = vec![std::string::String::new()];
    let mut quoted = false;
    for character in text.chars() {
        match (character, items.last_mut()) {
            ('"', _) => quoted = !quoted,
            (',', _) if !quoted => items.push(std::string::String::new()),
            (other, Some(item)) => item.push(other),
            (_, None) => {}
        }
    }
    items
}

fn text(value: Option<&Parsed>) -> std::string::String {
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
    use connect_api::config::{Default, Type};

    fn minimal(standalone: bool) -> Props {
        let of_kind: &[(&str, &str)] = match standalone {
            true => &[("offset.storage.file.filename", "/tmp/offsets")],
            false => &[
                ("group.id", "g"),
                ("config.storage.topic", "c"),
                ("offset.storage.topic", "o"),
                ("status.storage.topic", "s"),
            ],
        };
        [
            ("bootstrap.servers", "localhost:9092"),
            (
                "key.converter",
                "org.apache.kafka.connect.json.JsonConverter",
            ),
            (
                "value.converter",
                "org.apache.kafka.connect.json.JsonConverter",
            ),
        ]
        .iter()
        .chain(of_kind)
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
    }

    /// Each line: an option and a test that fails when its effect is taken away. That the test is there
    /// is held by `compat-tests` `each_option_is_shown_by_tests_that_are_there`.
    const EFFECTS: &str = include_str!("effects.tsv");

    #[test]
    fn each_option_has_a_tested_effect_or_is_listed_to_have_none() {
        let listed: Vec<&str> = WITHOUT_EFFECT
            .iter()
            .flat_map(|(keys, _)| keys.iter().copied())
            .collect();
        let mut known: Vec<std::string::String> = distributed()
            .keys()
            .chain(standalone().keys())
            .map(|key| key.name.clone())
            .collect();
        known.sort();
        known.dedup();
        let shown = EFFECTS
            .lines()
            .filter_map(|line| Some(line.split_once('\t')?.0));
        let mut covered: Vec<&str> = shown.chain(listed).collect();
        covered.sort_unstable();
        assert_eq!(known, covered, "each once, in one of both");
    }

    #[test]
    fn what_has_no_effect_is_published() {
        let published = include_str!("../../../docs/deviations.md");
        for (keys, _) in WITHOUT_EFFECT {
            for key in *keys {
                assert!(published.contains(&format!("`{key}`")), "{key}");
            }
        }
    }

    /// `K worker name type default importance` and `R worker name value refusal` as a JVM worker
    /// of Kafka 4.3.1 has them; a value that it takes has no refusal.
    fn recorded() -> impl Iterator<Item = Vec<&'static str>> {
        include_str!("jvm.tsv")
            .lines()
            .map(|line| line.split('\t').collect())
    }

    #[test]
    fn names_types_defaults_importance_and_order_are_kafkas() {
        for (worker, options) in [("distributed", distributed()), ("standalone", standalone())] {
            let ours: Vec<Vec<std::string::String>> = options
                .keys()
                .filter(|key| OURS.iter().all(|own| own.0 != key.name))
                .map(|key| {
                    let default = match &key.default {
                        Default::Required => "(required)".to_owned(),
                        Default::Null => "(null)".to_owned(),
                        Default::Text(text) => text.clone(),
                    };
                    vec![
                        key.name.clone(),
                        key.kind.name().to_owned(),
                        default,
                        key.importance.name().to_owned(),
                    ]
                })
                .collect();
            let kafkas: Vec<Vec<std::string::String>> = recorded()
                .filter(|row| row[0] == "K" && row[1] == worker)
                .map(|row| row[2..].iter().map(|&text| text.to_owned()).collect())
                .collect();
            assert_eq!(ours, kafkas, "{worker}");
        }
    }

    #[test]
    fn each_value_is_taken_or_refused_as_kafka_does() {
        let mut wrong = Vec::new();
        for row in recorded().filter(|row| row[0] == "R") {
            let [_, worker, name, value, refusal] = row[..] else {
                panic!("malformed row {row:?}");
            };
            let standalone = worker == "standalone";
            let options = if standalone {
                self::standalone()
            } else {
                distributed()
            };
            // Whether a class exists is said where plugins are known; the policy is a plugin, too.
            let is_plugin = options.key(name).expect("known").kind == Type::Class
                || name == "connector.client.config.override.policy";
            if is_plugin {
                continue;
            }
            let mut props = minimal(standalone);
            match value {
                "(missing)" => drop(props.shift_remove(name)),
                value => drop(props.insert(name.to_owned(), value.to_owned())),
            }
            let ours = match crate::config::WorkerConfig::new(props, standalone, "h") {
                Ok(_) => std::string::String::new(),
                Err(error) => error.message().to_owned(),
            };
            // Java lists what its providers have.
            let start = |text: &str| match text.split_once("the algorithm is not supported by this")
            {
                Some((start, _)) => start.to_owned(),
                None => text.to_owned(),
            };
            if start(&ours) != start(refusal) {
                wrong.push(format!("{name}={value:?}: {ours:?}, and Kafka {refusal:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_a_worker_must_be_given_is_enough() {
        let config = distributed().parse(&minimal(false)).expect("valid");
        assert_eq!(config.int("offset.storage.partitions"), 25);
        assert_eq!(config.list("listeners"), ["http://:8083"]);
        assert!(
            standalone().parse(&minimal(false)).is_err(),
            "the offsets file is missing"
        );
    }

    #[test]
    fn what_stands_twice_in_a_list_counts_once() {
        let mut props = minimal(false);
        props.insert("bootstrap.servers".to_owned(), "a:1,b:2, a:1".to_owned());
        let config = distributed().parse(&props).expect("valid");
        assert_eq!(config.list("bootstrap.servers"), ["a:1", "b:2"]);
    }
}
