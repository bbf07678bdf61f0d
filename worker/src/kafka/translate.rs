//! Java client property names and values as librdkafka knows them: one table.
//!
//! A key without counterpart is passed over with a warning, a security setting that cannot be
//! honoured is refused. Answers for `ProducerConfig`, `ConsumerConfig` and `AdminClientConfig`.

use connect_api::{Error, Props, Result};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::{checks, round_robin, security};

/// The kinds of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// A producer.
    Producer,
    /// A consumer.
    Consumer,
    /// An admin client.
    Admin,
}

enum Rule {
    /// The same text under this name.
    Is(&'static str),
    /// A number under these names, held within librdkafka's limits.
    Number(&'static [&'static str], i64, i64),
    /// A number of bytes that librdkafka counts in KiB, from 1.
    Kilobytes(&'static str),
    /// A text of librdkafka for each of Java's; others are refused.
    Names(&'static str, &'static [(&'static str, &'static str)]),
    /// Looked at by [`super::security`].
    Security,
    /// The worker does it itself.
    Ours,
    /// Nothing of it can be seen from outside.
    NoEffect,
    /// librdkafka has no such thing.
    Unsupported,
}
use Rule::{Is, Kilobytes, Names, NoEffect, Number, Ours, Security, Unsupported};

const P: u8 = 1;
const C: u8 = 2;
const A: u8 = 4;
const ALL: u8 = P | C | A;
const INT: i64 = i32::MAX as i64;

/// Java's keys, the clients that know them, and what becomes of them. The limits are librdkafka's.
const KEYS: &[(&str, u8, Rule)] = &[
    ("bootstrap.servers", ALL, Is("bootstrap.servers")),
    ("client.id", ALL, Is("client.id")),
    ("client.dns.lookup", ALL, Is("client.dns.lookup")),
    ("client.rack", C, Is("client.rack")),
    // Connections.
    (
        "send.buffer.bytes",
        ALL,
        Number(&["socket.send.buffer.bytes"], 0, 100_000_000),
    ),
    (
        "receive.buffer.bytes",
        ALL,
        Number(&["socket.receive.buffer.bytes"], 0, 100_000_000),
    ),
    (
        "connections.max.idle.ms",
        ALL,
        Number(&["connections.max.idle.ms"], 0, INT),
    ),
    (
        "reconnect.backoff.ms",
        ALL,
        Number(&["reconnect.backoff.ms"], 0, 3_600_000),
    ),
    (
        "reconnect.backoff.max.ms",
        ALL,
        Number(&["reconnect.backoff.max.ms"], 0, 3_600_000),
    ),
    (
        "retry.backoff.ms",
        ALL,
        Number(&["retry.backoff.ms"], 1, 300_000),
    ),
    (
        "retry.backoff.max.ms",
        ALL,
        Number(&["retry.backoff.max.ms"], 1, 300_000),
    ),
    (
        "socket.connection.setup.timeout.ms",
        ALL,
        Number(&["socket.connection.setup.timeout.ms"], 1000, INT),
    ),
    ("socket.connection.setup.timeout.max.ms", ALL, NoEffect),
    (
        "metadata.recovery.strategy",
        ALL,
        Names("metadata.recovery.strategy", RECOVERY),
    ),
    (
        "metadata.recovery.rebootstrap.trigger.ms",
        ALL,
        Number(&["metadata.recovery.rebootstrap.trigger.ms"], 0, INT),
    ),
    (
        "metadata.max.age.ms",
        ALL,
        Number(
            &["topic.metadata.refresh.interval.ms", "metadata.max.age.ms"],
            10,
            3_600_000,
        ),
    ),
    ("metadata.max.idle.ms", P, NoEffect),
    (
        "request.timeout.ms",
        P,
        Number(&["request.timeout.ms", "socket.timeout.ms"], 10, 300_000),
    ),
    (
        "request.timeout.ms",
        C | A,
        Number(&["socket.timeout.ms"], 1010, 300_000),
    ),
    ("default.api.timeout.ms", C | A, NoEffect),
    ("retries", A, NoEffect),
    // Producer.
    (
        "acks",
        P,
        Names(
            "acks",
            &[("all", "all"), ("-1", "all"), ("0", "0"), ("1", "1")],
        ),
    ),
    (
        "enable.idempotence",
        P,
        Names("enable.idempotence", BOOLEAN),
    ),
    (
        "max.in.flight.requests.per.connection",
        P,
        Number(&["max.in.flight.requests.per.connection"], 1, 1_000_000),
    ),
    ("retries", P, Number(&["retries"], 0, INT)),
    (
        "delivery.timeout.ms",
        P,
        Number(&["delivery.timeout.ms"], 0, INT),
    ),
    ("linger.ms", P, Number(&["linger.ms"], 0, 900_000)),
    ("batch.size", P, Number(&["batch.size"], 1, INT)),
    ("buffer.memory", P, Kilobytes("queue.buffering.max.kbytes")),
    (
        "max.request.size",
        P,
        Number(&["message.max.bytes"], 1000, 1_000_000_000),
    ),
    (
        "compression.type",
        P,
        Names("compression.type", COMPRESSION),
    ),
    ("compression.gzip.level", P, Unsupported),
    ("compression.lz4.level", P, Unsupported),
    ("compression.zstd.level", P, Unsupported),
    ("max.block.ms", P, NoEffect),
    ("partitioner.class", P, Names("partitioner", PARTITIONER)),
    ("partitioner.adaptive.partitioning.enable", P, NoEffect),
    ("partitioner.availability.timeout.ms", P, NoEffect),
    ("partitioner.ignore.keys", P, Ours),
    ("transactional.id", P, Is("transactional.id")),
    (
        "transaction.timeout.ms",
        P,
        Number(&["transaction.timeout.ms"], 1000, INT),
    ),
    ("key.serializer", P, NoEffect),
    ("value.serializer", P, NoEffect),
    // Consumer.
    ("group.id", C, Is("group.id")),
    ("group.instance.id", C, Is("group.instance.id")),
    (
        "group.protocol",
        C,
        Names("group.protocol", &[("classic", "classic")]),
    ),
    ("group.remote.assignor", C, NoEffect),
    (
        "session.timeout.ms",
        C,
        Number(&["session.timeout.ms"], 1, 3_600_000),
    ),
    (
        "heartbeat.interval.ms",
        C,
        Number(&["heartbeat.interval.ms"], 1, 3_600_000),
    ),
    (
        "max.poll.interval.ms",
        C,
        Number(&["max.poll.interval.ms"], 1, 86_400_000),
    ),
    ("max.poll.records", C, Ours),
    (
        "partition.assignment.strategy",
        C,
        Names("partition.assignment.strategy", ASSIGNOR),
    ),
    ("auto.offset.reset", C, Names("auto.offset.reset", RESET)),
    ("enable.auto.commit", C, NoEffect),
    ("auto.commit.interval.ms", C, NoEffect),
    ("isolation.level", C, Names("isolation.level", ISOLATION)),
    (
        "fetch.min.bytes",
        C,
        Number(&["fetch.min.bytes"], 1, 100_000_000),
    ),
    (
        "fetch.max.bytes",
        C,
        // librdkafka asks for no less than its largest message.
        Number(&["fetch.max.bytes"], 1_000_000, 2_147_483_135),
    ),
    (
        "fetch.max.wait.ms",
        C,
        Number(&["fetch.wait.max.ms"], 0, 300_000),
    ),
    (
        "max.partition.fetch.bytes",
        C,
        Number(&["max.partition.fetch.bytes"], 1, 1_000_000_000),
    ),
    ("check.crcs", C, Names("check.crcs", BOOLEAN)),
    (
        "allow.auto.create.topics",
        C,
        Names("allow.auto.create.topics", BOOLEAN),
    ),
    ("exclude.internal.topics", C, NoEffect),
    ("share.acknowledgement.mode", C, NoEffect),
    ("key.deserializer", C, NoEffect),
    ("value.deserializer", C, NoEffect),
    // Watching.
    ("interceptor.classes", ALL, Unsupported),
    ("metric.reporters", ALL, NoEffect),
    ("metrics.num.samples", ALL, NoEffect),
    ("metrics.recording.level", ALL, NoEffect),
    ("metrics.sample.window.ms", ALL, NoEffect),
    (
        "enable.metrics.push",
        ALL,
        Names("enable.metrics.push", BOOLEAN),
    ),
    ("auto.include.jmx.reporter", ALL, NoEffect),
    ("config.providers", ALL, NoEffect),
    ("security.providers", ALL, Security),
];

const BOOLEAN: &[(&str, &str)] = &[("true", "true"), ("false", "false")];
const COMPRESSION: &[(&str, &str)] = &[
    ("none", "none"),
    ("gzip", "gzip"),
    ("snappy", "snappy"),
    ("lz4", "lz4"),
    ("zstd", "zstd"),
];
const RESET: &[(&str, &str)] = &[
    ("earliest", "earliest"),
    ("latest", "latest"),
    ("none", "error"),
];
const ISOLATION: &[(&str, &str)] = &[
    ("read_uncommitted", "read_uncommitted"),
    ("read_committed", "read_committed"),
];
const RECOVERY: &[(&str, &str)] = &[("none", "none"), ("rebootstrap", "rebootstrap")];
const PARTITIONER: &[(&str, &str)] = &[
    (
        "org.apache.kafka.clients.producer.internals.DefaultPartitioner",
        "murmur2_random",
    ),
    (
        // Source tasks bring their own.
        round_robin::CLASS,
        "random",
    ),
];
const ASSIGNOR: &[(&str, &str)] = &[
    ("org.apache.kafka.clients.consumer.RangeAssignor", "range"),
    (
        "org.apache.kafka.clients.consumer.RoundRobinAssignor",
        "roundrobin",
    ),
    (
        "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        "cooperative-sticky",
    ),
];

/// Whether the key is one that a client of this kind knows, or a security setting.
pub fn is_known(client: Client, key: &str) -> bool {
    security::is_setting(key) || rule(client, key).is_some()
}

fn rule(client: Client, key: &str) -> Option<&'static Rule> {
    let bit = match client {
        Client::Producer => P,
        Client::Consumer => C,
        Client::Admin => A,
    };
    KEYS.iter()
        .find(|(name, clients, _)| *name == key && clients & bit != 0)
        .map(|(_, _, rule)| rule)
}

/// What becomes of a key otherwise than with the JVM's client; `None` where nothing does.
pub fn remark(client: Client, key: &str) -> Option<&'static str> {
    match rule(client, key) {
        Some(Unsupported) => Some("has no counterpart in this worker's Kafka client; passed over"),
        _ => None,
    }
}

/// A librdkafka configuration that does what a Java client with these properties does. What Java
/// has as defaults and librdkafka has not is set first.
///
/// # Errors
/// Kind Config: a value is none of Java's, or a security setting cannot be honoured.
pub fn translate(client: Client, props: &Props) -> Result<ClientConfig> {
    checks::values(client, props)?;
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    for (key, value) in defaults(client) {
        config.set(*key, *value);
    }
    for (key, value) in props {
        let value = value.trim();
        let Some(rule) = rule(client, key) else {
            if !security::is_setting(key) {
                tracing::warn!(
                    key,
                    "the configuration was supplied but is not a known config"
                );
            }
            continue;
        };
        match rule {
            Is(name) => {
                config.set(*name, value);
            }
            Number(names, min, max) => {
                let number: i64 = value.parse().map_err(|_not_a_number| {
                    Error::config(format!(
                        "Invalid value {value} for configuration {key}: Not a number of type LONG"
                    ))
                })?;
                for name in *names {
                    config.set(*name, number.clamp(*min, *max).to_string());
                }
            }
            Kilobytes(name) => {
                let bytes: i64 = value.parse().map_err(|_not_a_number| {
                    Error::config(format!(
                        "Invalid value {value} for configuration {key}: Not a number of type LONG"
                    ))
                })?;
                config.set(*name, (bytes / 1024).clamp(1, INT).to_string());
            }
            Names(name, texts) => {
                // Lists (assignors) take the first that librdkafka has: it cannot offer both an
                // eager and a cooperative one, and Java's default list is led by `range`.
                let text = value
                    .split(',')
                    .filter(|item| !item.trim().is_empty())
                    .find_map(|item| {
                        texts
                            .iter()
                            .find(|(java, _)| java.eq_ignore_ascii_case(item.trim()))
                    })
                    .map(|(_, text)| *text);
                match text {
                    Some(text) => {
                        config.set(*name, text);
                    }
                    None if value.is_empty() => {}
                    None => {
                        return Err(Error::config(format!(
                            "Invalid value {value} for configuration {key}: String must be one of: {}",
                            texts
                                .iter()
                                .map(|(java, _)| *java)
                                .collect::<Vec<_>>()
                                .join(", ")
                        )));
                    }
                }
            }
            Unsupported if !value.is_empty() => {
                tracing::warn!(
                    key,
                    "the setting has no counterpart in this worker's Kafka client"
                );
            }
            Unsupported | Security | Ours | NoEffect => {}
        }
    }
    match client {
        Client::Consumer => end_sessions_before_polls(&mut config),
        Client::Producer if ignores_keys(props) => {
            config.set("partitioner", "random");
        }
        Client::Producer | Client::Admin => {}
    }
    security::apply(props, &mut config)?;
    Ok(config)
}

/// Java's own partitioning looks at keys unless it is told not to; a class of partitioners decides
/// for itself.
fn ignores_keys(props: &Props) -> bool {
    let text = |key: &str| props.get(key).map_or("", |text| text.trim());
    text("partitioner.ignore.keys").eq_ignore_ascii_case("true")
        && text("partitioner.class").is_empty()
}

/// librdkafka wants a session to be no longer than the time between two polls, Java does not.
fn end_sessions_before_polls(config: &mut ClientConfig) {
    let number = |key: &str, default: i64| {
        let number = config.get(key).and_then(|text| text.parse().ok());
        number.unwrap_or(default)
    };
    let most = number("max.poll.interval.ms", 300_000);
    let too_long = number("session.timeout.ms", 45_000) > most;
    let too_slow = number("heartbeat.interval.ms", 3_000) >= most;
    if too_long {
        config.set("session.timeout.ms", most.to_string());
    }
    if too_long && too_slow {
        config.set("heartbeat.interval.ms", (most / 3).max(1).to_string());
    }
}

/// What differs between Java's defaults and librdkafka's, and what bounds memory.
fn defaults(client: Client) -> &'static [(&'static str, &'static str)] {
    match client {
        Client::Producer => &[
            ("partitioner", "murmur2_random"),
            ("acks", "all"),
            ("socket.timeout.ms", "30000"),
            ("request.timeout.ms", "30000"),
            ("message.max.bytes", "1048576"),
            // Java's `buffer.memory`; the count limit would otherwise be reached before the bytes.
            ("queue.buffering.max.kbytes", "32768"),
            ("queue.buffering.max.messages", "0"),
            // Differs from Kafka: Java sends at once and gathers while a request is in flight; a
            // few milliseconds do the same for a tenth of the requests. Nobody can see it but in
            // latency.
            ("linger.ms", "5"),
            ("socket.nagle.disable", "true"),
            // As long as it can be: Java waits for a topic to appear. (More overflows in librdkafka.)
            ("topic.metadata.propagation.max.ms", "2000000"),
            ("metadata.recovery.strategy", "rebootstrap"),
        ],
        Client::Consumer => &[
            ("partition.assignment.strategy", "range"),
            ("isolation.level", "read_uncommitted"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("allow.auto.create.topics", "true"),
            ("socket.timeout.ms", "30000"),
            ("check.crcs", "true"),
            // One queue for all partitions of a consumer, in which a message takes some 300 bytes more
            // than it counts, and what waits behind it: a fetch of each partition, which compressed
            // batches make many times as large in memory. Java holds one fetch of all partitions
            // (50 MB) likewise.
            ("queued.max.messages.kbytes", "4096"),
            ("max.partition.fetch.bytes", "262144"),
            ("fetch.queue.backoff.ms", "20"),
            ("metadata.recovery.strategy", "rebootstrap"),
        ],
        Client::Admin => &[
            ("socket.timeout.ms", "30000"),
            ("metadata.recovery.strategy", "rebootstrap"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn props(entries: &[(&str, &str)]) -> Props {
        entries
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn names_and_values_are_librdkafkas() {
        let config = translate(
            Client::Producer,
            &props(&[
                ("bootstrap.servers", "a:1,b:2"),
                ("acks", "-1"),
                ("delivery.timeout.ms", "2147483647"),
                ("buffer.memory", "1048576"),
                ("max.request.size", "5"),
                ("request.timeout.ms", "2147483647"),
                (
                    "key.serializer",
                    "org.apache.kafka.common.serialization.StringSerializer",
                ),
            ]),
        )
        .expect("valid");
        for (key, value) in [
            ("bootstrap.servers", "a:1,b:2"),
            ("acks", "all"),
            ("delivery.timeout.ms", "2147483647"),
            ("queue.buffering.max.kbytes", "1024"),
            ("message.max.bytes", "1000"),
            ("request.timeout.ms", "300000"),
            ("partitioner", "murmur2_random"),
        ] {
            assert_eq!(config.get(key), Some(value), "{key}");
        }
        assert_eq!(config.get("key.serializer"), None);
    }

    #[test]
    fn what_librdkafka_wants_beyond_java_is_made_so() {
        let config = translate(
            Client::Consumer,
            &props(&[
                ("fetch.max.bytes", "1000"),
                ("session.timeout.ms", "600000"),
                ("max.poll.interval.ms", "9000"),
            ]),
        )
        .expect("valid");
        assert_eq!(config.get("fetch.max.bytes"), Some("1000000"));
        assert_eq!(config.get("session.timeout.ms"), Some("9000"));
        let usual = translate(Client::Consumer, &props(&[])).expect("valid");
        assert_eq!(usual.get("session.timeout.ms"), None);
    }

    #[test]
    fn a_class_of_partitioners_decides_for_itself_about_keys() {
        let partitioner = |class: Option<&str>| {
            let class = class.map(|class| ("partitioner.class", class));
            let given: Vec<_> = [("partitioner.ignore.keys", "true")]
                .into_iter()
                .chain(class)
                .collect();
            let config = translate(Client::Producer, &props(&given)).expect("valid");
            config.get("partitioner").map(ToOwned::to_owned)
        };
        assert_eq!(partitioner(None).as_deref(), Some("random"));
        let default = "org.apache.kafka.clients.producer.internals.DefaultPartitioner";
        assert_eq!(
            partitioner(Some(default)).as_deref(),
            Some("murmur2_random")
        );
    }

    #[test]
    fn the_first_known_assignor_of_a_list_is_taken() {
        let config = translate(
            Client::Consumer,
            &props(&[(
                "partition.assignment.strategy",
                "org.apache.kafka.clients.consumer.RangeAssignor,\
                 org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
            )]),
        )
        .expect("valid");
        assert_eq!(config.get("partition.assignment.strategy"), Some("range"));
    }

    /// Java's key, the clients that have it, a value that is not the default, and what it becomes.
    const EFFECTS: &[(&str, u8, &str, &str)] = &[
        ("bootstrap.servers", ALL, "a:1", "bootstrap.servers=a:1"),
        ("client.id", ALL, "me", "client.id=me"),
        (
            "client.dns.lookup",
            ALL,
            "resolve_canonical_bootstrap_servers_only",
            "client.dns.lookup=resolve_canonical_bootstrap_servers_only",
        ),
        ("client.rack", C, "r", "client.rack=r"),
        ("send.buffer.bytes", ALL, "7", "socket.send.buffer.bytes=7"),
        (
            "receive.buffer.bytes",
            ALL,
            "7",
            "socket.receive.buffer.bytes=7",
        ),
        (
            "connections.max.idle.ms",
            ALL,
            "7",
            "connections.max.idle.ms=7",
        ),
        ("reconnect.backoff.ms", ALL, "7", "reconnect.backoff.ms=7"),
        (
            "reconnect.backoff.max.ms",
            ALL,
            "7",
            "reconnect.backoff.max.ms=7",
        ),
        ("retry.backoff.ms", ALL, "7", "retry.backoff.ms=7"),
        ("retry.backoff.max.ms", ALL, "7", "retry.backoff.max.ms=7"),
        (
            "socket.connection.setup.timeout.ms",
            ALL,
            "7000",
            "socket.connection.setup.timeout.ms=7000",
        ),
        (
            "metadata.recovery.strategy",
            ALL,
            "NONE",
            "metadata.recovery.strategy=none",
        ),
        (
            "metadata.recovery.rebootstrap.trigger.ms",
            ALL,
            "7",
            "metadata.recovery.rebootstrap.trigger.ms=7",
        ),
        (
            "metadata.max.age.ms",
            ALL,
            "7000",
            "topic.metadata.refresh.interval.ms=7000 metadata.max.age.ms=7000",
        ),
        (
            "request.timeout.ms",
            P,
            "7000",
            "request.timeout.ms=7000 socket.timeout.ms=7000",
        ),
        (
            "request.timeout.ms",
            C | A,
            "7000",
            "socket.timeout.ms=7000",
        ),
        ("acks", P, "0", "acks=0"),
        ("enable.idempotence", P, "true", "enable.idempotence=true"),
        (
            "max.in.flight.requests.per.connection",
            P,
            "7",
            "max.in.flight.requests.per.connection=7",
        ),
        ("retries", P, "7", "retries=7"),
        (
            "delivery.timeout.ms",
            P,
            "77000",
            "delivery.timeout.ms=77000",
        ),
        ("linger.ms", P, "7", "linger.ms=7"),
        ("batch.size", P, "7", "batch.size=7"),
        ("buffer.memory", P, "7168", "queue.buffering.max.kbytes=7"),
        ("max.request.size", P, "7000", "message.max.bytes=7000"),
        ("compression.type", P, "lz4", "compression.type=lz4"),
        (
            "partitioner.class",
            P,
            "org.apache.kafka.clients.producer.RoundRobinPartitioner",
            "partitioner=random",
        ),
        ("transactional.id", P, "t", "transactional.id=t"),
        (
            "transaction.timeout.ms",
            P,
            "7000",
            "transaction.timeout.ms=7000",
        ),
        ("group.id", C, "g", "group.id=g"),
        ("group.instance.id", C, "i", "group.instance.id=i"),
        ("group.protocol", C, "classic", "group.protocol=classic"),
        ("session.timeout.ms", C, "7000", "session.timeout.ms=7000"),
        (
            "heartbeat.interval.ms",
            C,
            "700",
            "heartbeat.interval.ms=700",
        ),
        (
            "max.poll.interval.ms",
            C,
            "77000",
            "max.poll.interval.ms=77000",
        ),
        (
            "partition.assignment.strategy",
            C,
            "org.apache.kafka.clients.consumer.RoundRobinAssignor",
            "partition.assignment.strategy=roundrobin",
        ),
        ("auto.offset.reset", C, "none", "auto.offset.reset=error"),
        (
            "isolation.level",
            C,
            "read_committed",
            "isolation.level=read_committed",
        ),
        ("fetch.min.bytes", C, "7", "fetch.min.bytes=7"),
        ("fetch.max.bytes", C, "7000000", "fetch.max.bytes=7000000"),
        ("fetch.max.wait.ms", C, "7", "fetch.wait.max.ms=7"),
        (
            "max.partition.fetch.bytes",
            C,
            "7",
            "max.partition.fetch.bytes=7",
        ),
        ("check.crcs", C, "false", "check.crcs=false"),
        (
            "allow.auto.create.topics",
            C,
            "false",
            "allow.auto.create.topics=false",
        ),
        (
            "enable.metrics.push",
            ALL,
            "false",
            "enable.metrics.push=false",
        ),
    ];

    const CLIENTS: [(Client, u8); 3] = [
        (Client::Producer, P),
        (Client::Consumer, C),
        (Client::Admin, A),
    ];

    #[test]
    fn each_setting_with_an_effect_reaches_the_client() {
        for (key, clients, value, becomes) in EFFECTS {
            for (client, _) in CLIENTS.iter().filter(|(_, bit)| clients & bit != 0) {
                let with = translate(*client, &props(&[(key, value)])).expect(key);
                let without = translate(*client, &props(&[])).expect("valid");
                for pair in becomes.split(' ') {
                    let (name, text) = pair.split_once('=').expect("a pair");
                    assert_eq!(with.get(name), Some(text), "{key} of {client:?}");
                    assert_ne!(without.get(name), Some(text), "{key} of {client:?}");
                }
            }
        }
    }

    #[test]
    fn each_setting_has_an_effect_or_none_and_not_both() {
        for (client, bit) in CLIENTS {
            for (key, clients, _) in KEYS.iter().filter(|(_, clients, _)| clients & bit != 0) {
                let shown = EFFECTS
                    .iter()
                    .any(|(name, clients, ..)| name == key && clients & bit != 0);
                let translated = matches!(
                    rule(client, key),
                    Some(Is(_) | Number(..) | Kilobytes(_) | Names(..))
                );
                assert_eq!(shown, translated, "{key} of {client:?} ({clients})");
            }
        }
    }

    #[test]
    fn every_translated_key_is_one_that_librdkafka_takes() {
        for client in [Client::Producer, Client::Consumer, Client::Admin] {
            for (key, _, rule) in KEYS {
                if super::rule(client, key).is_none() {
                    continue;
                }
                let text = match rule {
                    Is(_) => "use_all_dns_ips",
                    Number(..) | Kilobytes(_) => "30000",
                    Names(_, texts) => texts[0].0,
                    _ => continue,
                };
                let config = translate(client, &props(&[(key, text)])).expect("valid");
                config
                    .create_native_config()
                    .unwrap_or_else(|error| panic!("{key}: {error}"));
            }
        }
    }
}
