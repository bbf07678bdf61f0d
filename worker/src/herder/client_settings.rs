//! The settings of Java's Kafka clients that a connector may override: name, type, default,
//! importance. Only what validate shows of them; what they do is the Kafka client's business.
//!
//! Facts of `ProducerConfig`, `ConsumerConfig` and `AdminClientConfig` of Kafka 4.3.1.

use connect_api::config::Importance::{High, Low, Medium};
use connect_api::config::Parsed;
use connect_api::config::Type::{Boolean, Class, Int, List, Long, String};

use super::connector_config::not_found;
pub(super) use crate::config::security_keys::{Fallback, Setting};
use crate::config::security_keys::{SASL, SSL};
use crate::plugins::Plugins;
use Fallback::{Is, Null, Required};

/// A setting of one of the clients.
pub(super) fn find(own: &'static [Setting], name: &str) -> Option<&'static Setting> {
    own.iter()
        .chain(SHARED)
        .chain(SSL)
        .chain(SASL)
        .find(|setting| setting.0 == name)
}

/// The value of a setting.
///
/// # Errors
/// The text is none of the type, or a class that nobody has: neither Kafka, nor the JDK, nor these
/// plugins. Whether it is of use shows when a client is made of it.
pub(super) fn parse(
    plugins: &Plugins,
    name: &str,
    kind: connect_api::config::Type,
    text: &str,
) -> Result<Parsed, std::string::String> {
    let parsed = Parsed::parse(name, kind, text)?;
    match &parsed {
        Parsed::Class(class) if !is_there(plugins, class) => Err(not_found(name, class)),
        _ => Ok(parsed),
    }
}

fn is_there(plugins: &Plugins, class: &str) -> bool {
    // Clients know no aliases.
    class.starts_with("org.apache.kafka.")
        || class.contains('.') && plugins.described(class).is_some()
}

/// Settings that all three have.
const SHARED: &[Setting] = &[
    ("client.dns.lookup", String, Is("use_all_dns_ips"), Medium),
    ("config.providers", List, Is(""), Low),
    ("metadata.max.age.ms", Long, Is("300000"), Low),
    (
        "metadata.recovery.rebootstrap.trigger.ms",
        Long,
        Is("300000"),
        Low,
    ),
    ("metadata.recovery.strategy", String, Is("rebootstrap"), Low),
    (
        "metric.reporters",
        List,
        Is("org.apache.kafka.common.metrics.JmxReporter"),
        Low,
    ),
    ("metrics.num.samples", Int, Is("2"), Low),
    ("metrics.recording.level", String, Is("INFO"), Low),
    ("metrics.sample.window.ms", Long, Is("30000"), Low),
    ("reconnect.backoff.max.ms", Long, Is("1000"), Low),
    ("reconnect.backoff.ms", Long, Is("50"), Low),
    ("request.timeout.ms", Int, Is("30000"), Medium),
    ("retry.backoff.max.ms", Long, Is("1000"), Low),
    ("retry.backoff.ms", Long, Is("100"), Low),
    ("security.protocol", String, Is("PLAINTEXT"), Medium),
    ("security.providers", String, Null, Low),
    ("send.buffer.bytes", Int, Is("131072"), Medium),
    (
        "socket.connection.setup.timeout.max.ms",
        Long,
        Is("30000"),
        Medium,
    ),
    (
        "socket.connection.setup.timeout.ms",
        Long,
        Is("10000"),
        Medium,
    ),
];

/// Further settings of the producer.
pub(super) const PRODUCER: &[Setting] = &[
    ("acks", String, Is("all"), Low),
    ("batch.size", Int, Is("16384"), Medium),
    ("bootstrap.servers", List, Required, High),
    ("buffer.memory", Long, Is("33554432"), High),
    ("client.id", String, Is(""), Medium),
    ("compression.gzip.level", Int, Is("-1"), Medium),
    ("compression.lz4.level", Int, Is("9"), Medium),
    ("compression.type", String, Is("none"), High),
    ("compression.zstd.level", Int, Is("3"), Medium),
    ("connections.max.idle.ms", Long, Is("540000"), Medium),
    ("delivery.timeout.ms", Int, Is("120000"), Medium),
    ("enable.idempotence", Boolean, Is("true"), Low),
    ("enable.metrics.push", Boolean, Is("true"), Low),
    ("interceptor.classes", List, Is(""), Low),
    ("key.serializer", Class, Required, High),
    ("linger.ms", Long, Is("5"), Medium),
    ("max.block.ms", Long, Is("60000"), Medium),
    ("max.in.flight.requests.per.connection", Int, Is("5"), Low),
    ("max.request.size", Int, Is("1048576"), Medium),
    ("metadata.max.idle.ms", Long, Is("300000"), Low),
    (
        "partitioner.adaptive.partitioning.enable",
        Boolean,
        Is("true"),
        Low,
    ),
    ("partitioner.availability.timeout.ms", Long, Is("0"), Low),
    ("partitioner.class", Class, Null, Medium),
    ("partitioner.ignore.keys", Boolean, Is("false"), Medium),
    ("receive.buffer.bytes", Int, Is("32768"), Medium),
    ("retries", Int, Is("2147483647"), High),
    ("transaction.timeout.ms", Int, Is("60000"), Low),
    (
        "transaction.two.phase.commit.enable",
        Boolean,
        Is("false"),
        Low,
    ),
    ("transactional.id", String, Null, Low),
    ("value.serializer", Class, Required, High),
];

/// Further settings of the consumer.
pub(super) const CONSUMER: &[Setting] = &[
    ("allow.auto.create.topics", Boolean, Is("true"), Medium),
    ("auto.commit.interval.ms", Int, Is("5000"), Low),
    ("auto.offset.reset", String, Is("latest"), Medium),
    ("bootstrap.servers", List, Required, High),
    ("check.crcs", Boolean, Is("true"), Low),
    ("client.id", String, Is(""), Low),
    ("client.rack", String, Is(""), Low),
    ("connections.max.idle.ms", Long, Is("540000"), Medium),
    ("default.api.timeout.ms", Int, Is("60000"), Medium),
    ("enable.auto.commit", Boolean, Is("true"), Medium),
    ("enable.metrics.push", Boolean, Is("true"), Low),
    ("exclude.internal.topics", Boolean, Is("true"), Medium),
    ("fetch.max.bytes", Int, Is("52428800"), Medium),
    ("fetch.max.wait.ms", Int, Is("500"), Low),
    ("fetch.min.bytes", Int, Is("1"), High),
    ("group.id", String, Null, High),
    ("group.instance.id", String, Null, Medium),
    ("group.protocol", String, Is("classic"), High),
    ("group.remote.assignor", String, Null, Medium),
    ("heartbeat.interval.ms", Int, Is("3000"), High),
    ("interceptor.classes", List, Is(""), Low),
    (
        "internal.throw.on.fetch.stable.offset.unsupported",
        Boolean,
        Is("false"),
        Low,
    ),
    ("isolation.level", String, Is("read_uncommitted"), Medium),
    ("key.deserializer", Class, Required, High),
    ("max.partition.fetch.bytes", Int, Is("1048576"), High),
    ("max.poll.interval.ms", Int, Is("300000"), Medium),
    ("max.poll.records", Int, Is("500"), Medium),
    (
        "partition.assignment.strategy",
        List,
        Is(
            "class org.apache.kafka.clients.consumer.RangeAssignor,class org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        ),
        Medium,
    ),
    ("receive.buffer.bytes", Int, Is("65536"), Medium),
    ("session.timeout.ms", Int, Is("45000"), High),
    ("share.acknowledgement.mode", String, Is("implicit"), Medium),
    ("share.acquire.mode", String, Is("BATCH_OPTIMIZED"), Medium),
    ("value.deserializer", Class, Required, High),
];

/// Further settings of the admin client.
pub(super) const ADMIN: &[Setting] = &[
    ("bootstrap.controllers", List, Is(""), High),
    ("bootstrap.servers", List, Is(""), High),
    ("client.id", String, Is(""), Medium),
    ("connections.max.idle.ms", Long, Is("300000"), Medium),
    ("default.api.timeout.ms", Int, Is("60000"), Medium),
    ("enable.metrics.push", Boolean, Is("false"), Low),
    ("receive.buffer.bytes", Int, Is("65536"), Medium),
    ("retries", Int, Is("2147483647"), Low),
];

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::plugins::Plugins;
    use connect_api::config::Type;

    #[test]
    fn a_class_that_cannot_be_loaded_is_none() {
        let plugins = Plugins::new(&[]);
        let of = |text: &str| parse(&plugins, "partitioner.class", Type::Class, text).err();
        for class in [
            "org.apache.kafka.clients.producer.RoundRobinPartitioner",
            "java.lang.String",
        ] {
            assert_eq!(of(class), None);
        }
        assert_eq!(
            of("my.Own").as_deref(),
            Some(
                "Invalid value my.Own for configuration partitioner.class: Class my.Own could not be found."
            )
        );
        assert!(of("").is_some() && of("String").is_some());
        assert!(parse(&plugins, "linger.ms", Type::Long, "x").is_err());
    }
}
