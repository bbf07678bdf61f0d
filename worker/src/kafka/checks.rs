//! What Java's clients say of settings that they cannot be made with.
//!
//! librdkafka takes other values and ranges; whatever Java would refuse is refused before it is
//! translated, in Java's words. Pure. Answers for the validators of `ProducerConfig`,
//! `ConsumerConfig` and `AdminClientConfig`, and for what their clients' constructors check.

use connect_api::config::{Parsed, Type};
use connect_api::{Error, Props, Result};

use super::translate::Client;
use crate::plugins::other_class;

/// The least and the greatest value of a number.
type Range = (&'static str, Type, i64, i64);

const ALL: &[Range] = &[
    ("metadata.max.age.ms", Type::Long, 0, MAX),
    (
        "metadata.recovery.rebootstrap.trigger.ms",
        Type::Long,
        0,
        MAX,
    ),
    ("metrics.num.samples", Type::Int, 1, MAX),
    ("metrics.sample.window.ms", Type::Long, 0, MAX),
    ("receive.buffer.bytes", Type::Int, -1, MAX),
    ("reconnect.backoff.max.ms", Type::Long, 0, MAX),
    ("reconnect.backoff.ms", Type::Long, 0, MAX),
    ("request.timeout.ms", Type::Int, 0, MAX),
    ("retry.backoff.max.ms", Type::Long, 0, MAX),
    ("retry.backoff.ms", Type::Long, 0, MAX),
    ("send.buffer.bytes", Type::Int, -1, MAX),
];
const PRODUCER: &[Range] = &[
    ("batch.size", Type::Int, 0, MAX),
    ("buffer.memory", Type::Long, 0, MAX),
    ("compression.lz4.level", Type::Int, 1, 17),
    ("compression.zstd.level", Type::Int, -131_072, 22),
    ("delivery.timeout.ms", Type::Int, 0, MAX),
    ("linger.ms", Type::Long, 0, MAX),
    ("max.block.ms", Type::Long, 0, MAX),
    ("max.in.flight.requests.per.connection", Type::Int, 1, MAX),
    ("max.request.size", Type::Int, 0, MAX),
    ("metadata.max.idle.ms", Type::Long, 5000, MAX),
    ("partitioner.availability.timeout.ms", Type::Long, 0, MAX),
    ("retries", Type::Int, 0, MAX),
];
const CONSUMER: &[Range] = &[
    ("auto.commit.interval.ms", Type::Int, 0, MAX),
    ("default.api.timeout.ms", Type::Int, 0, MAX),
    ("fetch.max.bytes", Type::Int, 0, MAX),
    ("fetch.max.wait.ms", Type::Int, 0, MAX),
    ("fetch.min.bytes", Type::Int, 0, MAX),
    ("heartbeat.interval.ms", Type::Int, MIN, MAX),
    ("max.partition.fetch.bytes", Type::Int, 0, MAX),
    ("max.poll.interval.ms", Type::Int, 1, MAX),
    ("max.poll.records", Type::Int, 1, MAX),
    ("session.timeout.ms", Type::Int, MIN, MAX),
];
const ADMIN: &[Range] = &[
    ("default.api.timeout.ms", Type::Int, 0, MAX),
    ("retries", Type::Int, 0, MAX),
];
const MIN: i64 = i64::MIN;
const MAX: i64 = i64::MAX;

/// Refuses values that are outside of their range, or none of those that there are.
///
/// # Errors
/// Kind Config.
pub(super) fn values(client: Client, props: &Props) -> Result<()> {
    let own = match client {
        Client::Producer => PRODUCER,
        Client::Consumer => CONSUMER,
        Client::Admin => ADMIN,
    };
    for (key, kind, min, max) in ALL.iter().chain(own) {
        let Some(text) = props.get(*key) else {
            continue;
        };
        let Parsed::Int(number) = Parsed::parse(key, *kind, text).map_err(Error::config)? else {
            continue;
        };
        let why = match number {
            _ if number < *min => format!("at least {min}"),
            _ if number > *max => format!("no more than {max}"),
            _ => continue,
        };
        return Err(Error::config(format!(
            "Invalid value {number} for configuration {key}: Value must be {why}"
        )));
    }
    for (key, value) in props {
        let value = value.trim();
        if let Some(error) = assignor(client, key, value) {
            return Err(error);
        }
        if let Some(why) = wrong_word(client, key, value) {
            return Err(Error::config(format!(
                "Invalid value {value} for configuration {key}: {why}"
            )));
        }
    }
    classes(client, props)
}

/// Refuses classes that a client cannot be made with. Those that it can be made with serialize, which
/// there is nothing to do of here.
fn classes(client: Client, props: &Props) -> Result<()> {
    const PARTITIONER: &str = "org.apache.kafka.clients.producer.Partitioner";
    const SERIALIZER: &str = "org.apache.kafka.common.serialization.Serializer";
    const DESERIALIZER: &str = "org.apache.kafka.common.serialization.Deserializer";
    // In the order in which Java makes them.
    let wanted = match client {
        Client::Producer => [
            ("partitioner.class", PARTITIONER),
            ("key.serializer", SERIALIZER),
            ("value.serializer", SERIALIZER),
        ]
        .as_slice(),
        Client::Consumer => &[
            ("key.deserializer", DESERIALIZER),
            ("value.deserializer", DESERIALIZER),
        ],
        Client::Admin => &[],
    };
    for (key, interface) in wanted {
        let Some(class) = props.get(*key).map(|class| class.trim()) else {
            continue;
        };
        // `org.apache.kafka.x.StringSerializer` is a `Serializer`, as Kafka names them.
        let is_kafkas = class.starts_with("org.apache.kafka.");
        let simple = |class: &str| class.rsplit('.').next().unwrap_or_default().to_owned();
        if is_kafkas && simple(class).ends_with(&simple(interface)) {
            continue;
        }
        if !is_kafkas && other_class(class).is_none() {
            return Err(Error::config(format!(
                "Invalid value {class} for configuration {key}: Class {class} could not be found."
            )));
        }
        let why = Error::config(format!("class {class} is not an instance of {interface}"))
            .with_class("org.apache.kafka.common.KafkaException");
        return Err(failed(client, why));
    }
    Ok(())
}

/// What is said of a word that a setting does not have.
fn wrong_word(client: Client, key: &str, value: &str) -> Option<String> {
    let exactly = |words: &[&str]| {
        (!words.contains(&value)).then(|| format!("String must be one of: {}", words.join(", ")))
    };
    let in_any_case = |words: &[&str]| {
        let known = words.iter().any(|word| word.eq_ignore_ascii_case(value));
        (!known).then(|| {
            format!(
                "String must be one of (case insensitive): {}",
                words.join(", ")
            )
        })
    };
    match (client, key) {
        (Client::Producer, "acks") => exactly(&["all", "-1", "0", "1"]),
        (Client::Producer, "compression.gzip.level") => {
            let level = value.parse().ok();
            let known = level.is_some_and(|level: i32| level == -1 || (1..=9).contains(&level));
            (!known).then(|| "Value must be between 1 and 9 or equal to -1".to_owned())
        }
        (Client::Producer, "transactional.id") | (Client::Consumer, "group.instance.id") => value
            .is_empty()
            .then(|| "String must be non-empty".to_owned()),
        (Client::Producer, "compression.type") => {
            exactly(&["none", "gzip", "snappy", "lz4", "zstd"])
        }
        (Client::Consumer, "isolation.level") => exactly(&["read_committed", "read_uncommitted"]),
        (Client::Consumer, "group.protocol") => in_any_case(&["CONSUMER", "CLASSIC"]),
        (Client::Consumer, "auto.offset.reset") => {
            let known = ["earliest", "latest", "none"];
            let is_known = known.contains(&value) || value.starts_with("by_duration:P");
            (!is_known).then(|| {
                format!(
                    "Invalid value `{value}` for configuration auto.offset.reset. The value must \
                     be either 'earliest', 'latest', 'none' or of the format \
                     'by_duration:<PnDTnHnMn.nS.>'."
                )
            })
        }
        (_, "client.dns.lookup") => exactly(&[
            "use_all_dns_ips",
            "resolve_canonical_bootstrap_servers_only",
        ]),
        (_, "metrics.recording.level") => exactly(&["INFO", "DEBUG", "TRACE"]),
        (_, "metadata.recovery.strategy") => in_any_case(&["REBOOTSTRAP", "NONE"]),
        (_, "security.protocol") => {
            in_any_case(&["SASL_SSL", "PLAINTEXT", "SSL", "SASL_PLAINTEXT"])
        }
        _ => None,
    }
}

/// What is said of assignors that there are not, or that there is none.
fn assignor(client: Client, key: &str, value: &str) -> Option<Error> {
    if (client, key) != (Client::Consumer, "partition.assignment.strategy") {
        return None;
    }
    let mut classes = value.split(',').map(str::trim);
    if value.is_empty() {
        let why = "Must configure at least one partition assigner class name to \
                   partition.assignment.strategy configuration property";
        return Some(Error::config(why).with_class("java.lang.IllegalStateException"));
    }
    let class = classes.find(|class| !class.starts_with("org.apache.kafka."))?;
    let missing = Error::config(class.to_owned()).with_class("java.lang.ClassNotFoundException");
    let why = Error::config(format!("{class} ClassNotFoundException exception occurred"))
        .with_class("org.apache.kafka.common.KafkaException")
        .with_source(missing);
    Some(failed(client, why))
}

/// Refuses what a producer cannot have together.
///
/// # Errors
/// Kind Config.
pub fn producer(props: &Props) -> Result<()> {
    values(Client::Producer, props)?;
    let text = |key: &str| props.get(key).map(|text| text.trim());
    let number = |key: &str, default: i64| {
        let number = text(key).and_then(|text| text.parse().ok());
        number.unwrap_or(default)
    };
    if text("enable.idempotence").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        let why = if number("retries", MAX) == 0 {
            "Must set retries to non-zero when using the idempotent producer."
        } else if !matches!(text("acks"), None | Some("all" | "-1")) {
            "Must set acks to all in order to use the idempotent producer. Otherwise we cannot \
             guarantee idempotence."
        } else if number("max.in.flight.requests.per.connection", 5) > 5 {
            "Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent \
             producer."
        } else {
            ""
        };
        if !why.is_empty() {
            return Err(Error::config(why));
        }
    }
    let least = number("linger.ms", 5).saturating_add(number("request.timeout.ms", 30_000));
    // Java's sum is an int, and no more.
    if number("delivery.timeout.ms", 120_000) < least.min(i32::MAX.into())
        && props.contains_key("delivery.timeout.ms")
    {
        let why =
            "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms";
        return Err(failed(Client::Producer, Error::config(why)));
    }
    Ok(())
}

/// Refuses what a consumer cannot have together.
///
/// # Errors
/// Kind Config.
pub fn consumer(props: &Props) -> Result<()> {
    values(Client::Consumer, props)?;
    if props
        .get("group.id")
        .is_some_and(|group| group.trim().is_empty())
    {
        let why = "The configured group.id should not be an empty string or whitespace.";
        let class = "org.apache.kafka.common.errors.InvalidGroupIdException";
        return Err(failed(
            Client::Consumer,
            Error::config(why).with_class(class),
        ));
    }
    let number = |key: &str, default: i64| {
        let number = props.get(key).and_then(|text| text.trim().parse().ok());
        number.unwrap_or(default)
    };
    if number("heartbeat.interval.ms", 3_000) >= number("session.timeout.ms", 45_000) {
        let why = Error::config("Heartbeat must be set lower than the session timeout")
            .with_class("java.lang.IllegalArgumentException");
        return Err(failed(Client::Consumer, why));
    }
    Ok(())
}

/// The error of a client that could not be made.
pub fn failed(client: Client, why: Error) -> Error {
    Error::config(match client {
        Client::Producer => "Failed to construct kafka producer",
        Client::Consumer => "Failed to construct kafka consumer",
        Client::Admin => "Failed to create new KafkaAdminClient",
    })
    .with_class("org.apache.kafka.common.KafkaException")
    .with_source(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn props(entries: &[(&str, &str)]) -> Props {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        entries.iter().map(owned).collect()
    }

    // Recorded from Kafka 4.3.1.
    #[test]
    fn what_java_refuses_is_refused_in_its_words() {
        let said = |check: fn(&Props) -> Result<()>, entries: &[(&str, &str)]| {
            let error = check(&props(entries)).expect_err("refused");
            error.trace().trim_end().to_owned()
        };
        const CONFIG: &str = "org.apache.kafka.common.config.ConfigException";
        const KAFKA: &str = "org.apache.kafka.common.KafkaException";
        assert_eq!(
            said(producer, &[("linger.ms", "-5")]),
            format!(
                "{CONFIG}: Invalid value -5 for configuration linger.ms: Value must be at least 0"
            )
        );
        assert_eq!(
            said(consumer, &[("isolation.level", "x")]),
            format!(
                "{CONFIG}: Invalid value x for configuration isolation.level: String must be one \
                 of: read_committed, read_uncommitted"
            )
        );
        assert_eq!(
            said(consumer, &[("security.protocol", "x")]),
            format!(
                "{CONFIG}: Invalid value x for configuration security.protocol: String must be one \
                 of (case insensitive): SASL_SSL, PLAINTEXT, SSL, SASL_PLAINTEXT"
            )
        );
        assert_eq!(
            said(producer, &[("enable.idempotence", "true"), ("acks", "1")]),
            format!(
                "{CONFIG}: Must set acks to all in order to use the idempotent producer. Otherwise \
                 we cannot guarantee idempotence."
            )
        );
        assert_eq!(
            said(producer, &[("delivery.timeout.ms", "1")]),
            format!(
                "{KAFKA}: Failed to construct kafka producer\nCaused by: {CONFIG}: \
                 delivery.timeout.ms should be equal to or larger than linger.ms + \
                 request.timeout.ms"
            )
        );
        assert_eq!(
            said(
                consumer,
                &[("session.timeout.ms", "1"), ("heartbeat.interval.ms", "5")]
            ),
            format!(
                "{KAFKA}: Failed to construct kafka consumer\nCaused by: \
                 java.lang.IllegalArgumentException: Heartbeat must be set lower than the session \
                 timeout"
            )
        );
    }

    // Recorded from Kafka 4.3.1.
    #[test]
    fn classes_that_no_client_can_be_made_with_are_told() {
        let said = |check: fn(&Props) -> Result<()>, key: &str, class: &str| {
            let told = check(&props(&[(key, class)]));
            told.map_err(|error| error.trace().trim_end().to_owned())
        };
        const KAFKA: &str = "org.apache.kafka.common.KafkaException";
        assert_eq!(
            said(producer, "key.serializer", "java.lang.String"),
            Err(format!(
                "{KAFKA}: Failed to construct kafka producer\nCaused by: {KAFKA}: class \
                 java.lang.String is not an instance of \
                 org.apache.kafka.common.serialization.Serializer"
            ))
        );
        let serializer = "org.apache.kafka.common.serialization.StringSerializer";
        assert_eq!(
            said(producer, "partitioner.class", serializer),
            Err(format!(
                "{KAFKA}: Failed to construct kafka producer\nCaused by: {KAFKA}: class {serializer} \
                 is not an instance of org.apache.kafka.clients.producer.Partitioner"
            ))
        );
        assert_eq!(
            said(consumer, "value.deserializer", "no.such.Class"),
            Err(
                "org.apache.kafka.common.config.ConfigException: Invalid value no.such.Class for \
                 configuration value.deserializer: Class no.such.Class could not be found."
                    .to_owned()
            )
        );
        assert_eq!(said(producer, "value.serializer", serializer), Ok(()));
        let partitioner = "org.apache.kafka.clients.producer.RoundRobinPartitioner";
        assert_eq!(said(producer, "partitioner.class", partitioner), Ok(()));
    }

    #[test]
    fn assignors_that_there_are_not_are_told() {
        let said = |value: &str| {
            let props = props(&[("partition.assignment.strategy", value)]);
            consumer(&props).map_err(|error| error.trace().trim_end().to_owned())
        };
        assert_eq!(
            said("org.apache.kafka.clients.consumer.RangeAssignor"),
            Ok(())
        );
        assert!(said("").is_err_and(|text| text.starts_with("java.lang.IllegalStateException: ")));
        assert_eq!(
            said("x.Y").expect_err("refused"),
            "org.apache.kafka.common.KafkaException: Failed to construct kafka consumer\n\
             Caused by: org.apache.kafka.common.KafkaException: x.Y ClassNotFoundException \
             exception occurred\nCaused by: java.lang.ClassNotFoundException: x.Y"
        );
        for (key, value) in [("auto.offset.reset", "EARLIEST"), ("group.instance.id", "")] {
            assert!(consumer(&props(&[(key, value)])).is_err(), "{key}");
        }
        assert!(producer(&props(&[("compression.gzip.level", "0")])).is_err());
    }

    #[test]
    fn what_java_takes_passes() {
        let good = props(&[
            ("acks", "-1"),
            ("delivery.timeout.ms", "2147483647"),
            ("request.timeout.ms", "2147483647"),
            ("receive.buffer.bytes", "-1"),
            ("compression.type", "zstd"),
            ("metadata.recovery.strategy", "None"),
        ]);
        assert!(producer(&good).is_ok());
        let good = props(&[("auto.offset.reset", "none"), ("group.protocol", "classic")]);
        assert!(consumer(&good).is_ok());
    }
}
