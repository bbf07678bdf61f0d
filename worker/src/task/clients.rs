//! The Kafka clients of connectors and tasks: which properties reach which client.
//!
//! A task's producer and consumer get the worker's `bootstrap.servers`, its `producer.` or
//! `consumer.` keys and the connector's overrides, and none of the worker's other settings; admin
//! clients get those, too. Answers for the config builders of `Worker`.

use std::time::Duration;

use connect_api::config::props_with_prefix;
use connect_api::{Error, Props, Result};

use crate::config::{ExactlyOnce, WorkerConfig};
use crate::herder::request::TaskId;
use crate::kafka::round_robin::{self, RoundRobin};
use crate::kafka::translate::{Client, is_known, translate};
use crate::kafka::{ClientConfig, bootstrap, checks};

/// As long as it takes to hand a request's records over.
const HAND_OVER_MS: &str = "1";

fn base(worker: &WorkerConfig, prefix: &str, defaults: &[(&str, &str)]) -> Props {
    let mut props = Props::new();
    if let Some(servers) = worker.props.get("bootstrap.servers") {
        props.insert("bootstrap.servers".to_owned(), servers.clone());
    }
    for (key, value) in defaults {
        props.insert((*key).to_owned(), (*value).to_owned());
    }
    props.extend(worker.with_prefix(prefix));
    props
}

fn overridden(
    worker: &WorkerConfig,
    mut props: Props,
    prefix: &str,
    connector: &Props,
) -> Result<Props> {
    let overrides = props_with_prefix(connector, prefix);
    let refused: Vec<String> = overrides
        .keys()
        .filter_map(|key| worker.override_policy.refusal(key))
        .collect();
    if !refused.is_empty() {
        return Err(Error::config(format!(
            "Client Config Overrides not allowed [{}]",
            refused.join(", ")
        )));
    }
    props.extend(overrides);
    let client = match prefix {
        "producer.override." => Client::Producer,
        "consumer.override." => Client::Consumer,
        _ => Client::Admin,
    };
    let servers = props.get("bootstrap.servers").map_or("", String::as_str);
    if servers.trim().is_empty() {
        return Err(Error::config(
            "Configuration 'bootstrap.servers' must not be empty. Valid values include: any \
             non-empty value",
        ));
    }
    bootstrap::check(servers).map_err(|why| checks::failed(client, why))?;
    Ok(props)
}

/// A task's producer.
///
/// Unless it is set otherwise, its records are numbered (`enable.idempotence`), which the JVM's are
/// not: librdkafka has a second request ready while the first is under way, and would send it before
/// a first one that has to be tried again.
///
/// # Errors
/// A setting is refused.
pub fn producer(worker: &WorkerConfig, id: &TaskId, connector: &Props) -> Result<ClientConfig> {
    let mut props = given_to_producer(worker, &format!("connector-producer-{id}"), connector)?;
    let setting = |key: &str| props.get(key).map(|text| text.trim());
    if setting("transactional.id").is_some()
        && setting("enable.idempotence").is_none_or(|text| !text.eq_ignore_ascii_case("true"))
    {
        return Err(Error::config(
            "Cannot set a transactional.id without also enabling idempotence.",
        ));
    }
    let can_be_numbered = setting("acks").is_none_or(|acks| matches!(acks, "all" | "-1"))
        && setting("retries").is_none_or(|retries| retries != "0")
        && setting("max.in.flight.requests.per.connection")
            .is_none_or(|count| count.parse().is_ok_and(|count: u32| count <= 5));
    numbered_unless_given(&mut props, can_be_numbered);
    hand_over_lingers(&mut props);
    translate(Client::Producer, &props)
}

/// The same producer for brokers that number no records for this client.
///
/// # Errors
/// A setting is refused.
pub fn unnumbered_producer(
    worker: &WorkerConfig,
    id: &TaskId,
    connector: &Props,
) -> Result<ClientConfig> {
    let mut props = producer_props(worker, &format!("connector-producer-{id}"), connector)?;
    hand_over_lingers(&mut props);
    translate(Client::Producer, &props)
}

/// What is handed over at once takes a moment to be, and makes one request. (What was set for this is
/// the outbox's.)
fn hand_over_lingers(props: &mut Props) {
    props.insert("linger.ms".to_owned(), HAND_OVER_MS.to_owned());
}

/// How long the records of a source task may be gathered: what `linger.ms` was set to, else not at
/// all. Java gathers while a request is under way, and so does the [outbox](super::outbox).
pub fn linger(worker: &WorkerConfig, connector: &Props) -> Duration {
    let linger = connector
        .get("producer.override.linger.ms")
        .or_else(|| worker.props.get("producer.linger.ms"));
    let ms = linger.and_then(|ms| ms.trim().parse().ok());
    Duration::from_millis(ms.unwrap_or(0))
}

/// The partitioner of a source task where it is none of the client's own.
pub fn partitioner(worker: &WorkerConfig, connector: &Props) -> Option<RoundRobin> {
    let class = connector
        .get("producer.override.partitioner.class")
        .or_else(|| worker.props.get("producer.partitioner.class"));
    class
        .is_some_and(|class| class.trim() == round_robin::CLASS)
        .then(RoundRobin::default)
}

/// Whether the client's records are numbered.
pub fn is_numbered(config: &ClientConfig) -> bool {
    config.get("enable.idempotence") == Some("true")
}

fn numbered_unless_given(props: &mut Props, numbered: bool) {
    props
        .entry("enable.idempotence".to_owned())
        .or_insert_with(|| numbered.to_string());
}

/// The producer of a task that writes exactly once. What transactions need cannot be overridden.
///
/// # Errors
/// A setting is refused.
pub fn transactional_producer(
    worker: &WorkerConfig,
    id: &TaskId,
    connector: &Props,
) -> Result<ClientConfig> {
    let mut props = producer_props(worker, &format!("connector-producer-{id}"), connector)?;
    force(&mut props, "enable.idempotence", "true");
    force(
        &mut props,
        "transactional.id",
        &transactional_id(worker, id),
    );
    hand_over_lingers(&mut props);
    // librdkafka wants a record to be given up no later than its transaction.
    let timeout = props
        .get("transaction.timeout.ms")
        .map_or("60000", String::as_str)
        .to_owned();
    props.insert("delivery.timeout.ms".to_owned(), timeout);
    translate(Client::Producer, &props)
}

/// The transactional id of a task: the same on each worker, so that a task shuts out whoever ran it
/// before.
pub fn transactional_id(worker: &WorkerConfig, id: &TaskId) -> String {
    format!("{}-{id}", worker.group_id().unwrap_or_default())
}

/// A client that shuts out the producers of a connector's tasks.
///
/// # Errors
/// A setting is refused.
pub fn fencing(worker: &WorkerConfig, connector: &str, props: &Props) -> Result<ClientConfig> {
    let client_id = format!("connector-worker-adminclient-{connector}");
    translate(
        Client::Producer,
        &admin_props(worker, &client_id, props)?
            .into_iter()
            .filter(|(key, _)| is_known(Client::Producer, key))
            .collect(),
    )
}

/// A consumer that reads a topic with a connector's offsets. Only what is committed counts where
/// sources write exactly once.
///
/// # Errors
/// A setting is refused.
pub fn offsets_consumer(
    worker: &WorkerConfig,
    connector: &str,
    props: &Props,
) -> Result<ClientConfig> {
    let own = base(
        worker,
        "consumer.",
        &[
            ("client.id", &format!("connector-consumer-{connector}")),
            ("auto.offset.reset", "earliest"),
            ("group.id", &format!("connect-{connector}")),
        ],
    );
    let mut own = overridden(worker, own, "consumer.override.", props)?;
    checks::consumer(&own)?;
    if worker.exactly_once() == ExactlyOnce::Enabled {
        force(&mut own, "isolation.level", "read_committed");
    }
    translate(Client::Consumer, &own)
}

/// The producer by which a stopped connector's offsets are altered.
///
/// # Errors
/// A setting is refused.
pub fn offsets_producer(
    worker: &WorkerConfig,
    connector: &str,
    props: &Props,
) -> Result<ClientConfig> {
    let client_id = format!("connector-offset-producer-{connector}");
    translate(
        Client::Producer,
        &producer_props(worker, &client_id, props)?,
    )
}

/// Sets what may not be otherwise, and says so where it was.
fn force(props: &mut Props, key: &str, value: &str) {
    if let Some(given) = props.insert(key.to_owned(), value.to_owned())
        && given != value
        && !(key == "enable.idempotence" && given == "false")
    {
        tracing::warn!(
            "The value '{given}' for the '{key}' property will be ignored as it cannot be overridden \
             for connectors when exactly-once source support is enabled. The value '{value}' will be \
             used instead."
        );
    }
}

/// The producer of a task's dead letter queue.
///
/// # Errors
/// A setting is refused.
pub fn dead_letter_producer(
    worker: &WorkerConfig,
    id: &TaskId,
    connector: &Props,
) -> Result<ClientConfig> {
    let props = producer_props(worker, &format!("connector-dlq-producer-{id}"), connector)?;
    translate(Client::Producer, &props)
}

fn producer_props(worker: &WorkerConfig, client_id: &str, connector: &Props) -> Result<Props> {
    let mut props = given_to_producer(worker, client_id, connector)?;
    numbered_unless_given(&mut props, false);
    Ok(props)
}

fn given_to_producer(worker: &WorkerConfig, client_id: &str, connector: &Props) -> Result<Props> {
    let props = base(
        worker,
        "producer.",
        &[
            ("client.id", client_id),
            ("acks", "all"),
            ("max.in.flight.requests.per.connection", "1"),
            ("delivery.timeout.ms", "2147483647"),
        ],
    );
    let props = overridden(worker, props, "producer.override.", connector)?;
    checks::producer(&props)?;
    Ok(props)
}

/// What a sink task's consumer is made with.
#[derive(Debug)]
pub struct SinkConsumer {
    /// Its settings.
    pub config: ClientConfig,
    /// The most records that a poll shall give.
    pub max_poll_records: Option<usize>,
    /// The `session.timeout.ms` in milliseconds that was asked for, where the client library takes
    /// only a shorter one: brokers may refuse it.
    pub longer_session: Option<i32>,
}

/// The group of a sink's consumers.
pub fn consumer_group(worker: &WorkerConfig, connector: &str, props: &Props) -> String {
    let given = props
        .get("consumer.override.group.id")
        .or_else(|| worker.props.get("consumer.group.id"));
    match given {
        Some(group) => group.trim().to_owned(),
        None => format!("connect-{connector}"),
    }
}

/// A client that commits offsets of a sink's group from outside, with the settings of an admin
/// client, as Java's commits them.
///
/// # Errors
/// A setting is refused.
pub fn group_offsets(
    worker: &WorkerConfig,
    connector: &str,
    props: &Props,
) -> Result<ClientConfig> {
    let mut config = admin(
        worker,
        &format!("connector-worker-adminclient-{connector}"),
        props,
    )?;
    config.set("group.id", consumer_group(worker, connector, props));
    config.set("enable.auto.commit", "false");
    Ok(config)
}

/// A sink task's consumer.
///
/// # Errors
/// A setting is refused.
pub fn consumer(worker: &WorkerConfig, id: &TaskId, connector: &Props) -> Result<SinkConsumer> {
    let props = base(
        worker,
        "consumer.",
        &[
            ("client.id", &format!("connector-consumer-{id}")),
            ("group.id", &format!("connect-{}", id.connector)),
            ("auto.offset.reset", "earliest"),
        ],
    );
    let props = overridden(worker, props, "consumer.override.", connector)?;
    checks::consumer(&props)?;
    let number = |text: &str| text.trim().parse().ok();
    let max_poll_records = props.get("max.poll.records").and_then(|text| number(text));
    let config = translate(Client::Consumer, &props)?;
    let session = |text: Option<&str>| text.and_then(|text| text.trim().parse::<i32>().ok());
    let asked = session(props.get("session.timeout.ms").map(String::as_str));
    let longer_session =
        asked.filter(|asked| session(config.get("session.timeout.ms")) < Some(*asked));
    Ok(SinkConsumer {
        config,
        max_poll_records: max_poll_records.and_then(|count: u32| usize::try_from(count).ok()),
        longer_session,
    })
}

/// An admin client of this id for a connector.
///
/// # Errors
/// A setting is refused.
pub fn admin(worker: &WorkerConfig, client_id: &str, connector: &Props) -> Result<ClientConfig> {
    translate(Client::Admin, &admin_props(worker, client_id, connector)?)
}

fn admin_props(worker: &WorkerConfig, client_id: &str, connector: &Props) -> Result<Props> {
    let mut props = Props::new();
    props.insert("client.id".to_owned(), client_id.to_owned());
    let own = worker.props.iter().filter(|(key, _)| {
        !["admin.", "producer.", "consumer."]
            .iter()
            .any(|prefix| key.starts_with(prefix))
            && is_known(Client::Admin, key)
    });
    props.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    props.extend(worker.with_prefix("admin."));
    overridden(worker, props, "admin.override.", connector)
}

/// The producer by which the group's leader writes to the config topic where the group writes
/// exactly once: whoever leads next shuts it out (`KafkaConfigBackingStore.fencableProducerProps`).
///
/// # Errors
/// A setting is refused.
pub fn leader_producer(worker: &WorkerConfig) -> Result<ClientConfig> {
    let mut config = of_worker(worker, Client::Producer, "leader")?;
    let group = worker.group_id().unwrap_or_default();
    config.set("transactional.id", format!("connect-cluster-{group}"));
    config.set("enable.idempotence", "true");
    // librdkafka wants a record to be given up no later than its transaction.
    let timeout = config
        .get("transaction.timeout.ms")
        .unwrap_or("60000")
        .to_owned();
    config.set("delivery.timeout.ms", timeout);
    Ok(config)
}

/// The producer of the worker's own topics. Its records are numbered where the brokers do that, for
/// the reason that [`producer`] gives.
///
/// # Errors
/// A setting is refused.
pub fn stores_producer(worker: &WorkerConfig, numbers_records: bool) -> Result<ClientConfig> {
    let mut config = of_worker(worker, Client::Producer, "stores")?;
    if numbers_records && config.get("retries") != Some("0") {
        config.set("enable.idempotence", "true");
    }
    Ok(config)
}

/// The worker's own clients: all top-level properties that such a client knows.
///
/// # Errors
/// A setting is refused.
pub fn of_worker(worker: &WorkerConfig, client: Client, role: &str) -> Result<ClientConfig> {
    let mut props: Props = worker
        .props
        .iter()
        .filter(|(key, _)| is_known(client, key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let group = worker.group_id().unwrap_or("standalone");
    let id = match worker
        .props
        .get("client.id")
        .map(|id| id.trim())
        .filter(|id| !id.is_empty())
    {
        Some(id) => format!("{group}-{id}-{role}"),
        None => format!("{group}-{role}"),
    };
    props.insert("client.id".to_owned(), id);
    match client {
        Client::Producer => {
            for (key, value) in [
                ("acks", "all"),
                ("enable.idempotence", "false"),
                ("max.in.flight.requests.per.connection", "1"),
                ("delivery.timeout.ms", "2147483647"),
                ("linger.ms", "0"),
            ] {
                props.insert(key.to_owned(), value.to_owned());
            }
        }
        Client::Consumer => {
            props.insert("auto.offset.reset".to_owned(), "earliest".to_owned());
            props.insert("group.id".to_owned(), group.to_owned());
            if worker.exactly_once() == ExactlyOnce::Enabled {
                props.insert("isolation.level".to_owned(), "read_committed".to_owned());
            }
        }
        Client::Admin => {}
    }
    translate(client, &props)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    /// Settings of a worker that are those of its own clients: a value, and what it becomes.
    const TOP_LEVEL: &[(&str, &str, &str)] = &[
        ("bootstrap.servers", "a:1", "bootstrap.servers=a:1"),
        (
            "client.dns.lookup",
            "resolve_canonical_bootstrap_servers_only",
            "client.dns.lookup=resolve_canonical_bootstrap_servers_only",
        ),
        ("client.id", "me", "client.id=g-me-role"),
        ("metadata.max.age.ms", "7000", "metadata.max.age.ms=7000"),
        ("send.buffer.bytes", "7", "socket.send.buffer.bytes=7"),
        ("receive.buffer.bytes", "7", "socket.receive.buffer.bytes=7"),
        ("reconnect.backoff.ms", "7", "reconnect.backoff.ms=7"),
        (
            "reconnect.backoff.max.ms",
            "7",
            "reconnect.backoff.max.ms=7",
        ),
        (
            "socket.connection.setup.timeout.ms",
            "7000",
            "socket.connection.setup.timeout.ms=7000",
        ),
        ("retry.backoff.ms", "7", "retry.backoff.ms=7"),
        ("retry.backoff.max.ms", "7", "retry.backoff.max.ms=7"),
        ("request.timeout.ms", "7000", "socket.timeout.ms=7000"),
        ("connections.max.idle.ms", "7", "connections.max.idle.ms=7"),
        ("security.protocol", "SSL", "security.protocol=ssl"),
        (
            "metadata.recovery.strategy",
            "none",
            "metadata.recovery.strategy=none",
        ),
        (
            "metadata.recovery.rebootstrap.trigger.ms",
            "7",
            "metadata.recovery.rebootstrap.trigger.ms=7",
        ),
    ];

    #[test]
    fn settings_of_the_worker_are_those_of_its_own_clients() {
        for (key, value, becomes) in TOP_LEVEL {
            let (name, text) = becomes.split_once('=').expect("a pair");
            for client in [Client::Producer, Client::Consumer, Client::Admin] {
                let of = |options: &[(&str, &str)]| {
                    let worker = config(options).expect("valid");
                    let made = of_worker(&worker, client, "role").expect("valid");
                    made.get(name).map(str::to_owned)
                };
                assert_eq!(
                    of(&[(key, value)]).as_deref(),
                    Some(text),
                    "{key} of {client:?}"
                );
                assert_ne!(of(&[]).as_deref(), Some(text), "{key} of {client:?}");
            }
        }
    }

    #[test]
    fn settings_behind_a_prefix_are_those_of_the_connectors_clients() {
        let id = TaskId {
            connector: "c".into(),
            task: 0,
        };
        let of = |options: &[(&str, &str)], own: &[(&str, &str)]| {
            let mut all = vec![("bootstrap.servers", "localhost:9092")];
            all.extend(options);
            let worker = config(&all).expect("valid");
            let pair = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
            let own = own.iter().map(pair).collect();
            let ids = [
                producer(&worker, &id, &own).expect("valid"),
                consumer(&worker, &id, &own).expect("valid").config,
                admin(&worker, "x", &own).expect("valid"),
            ];
            ids.map(|made| made.get("client.id").unwrap_or_default().to_owned())
        };
        let usual = ["connector-producer-c-0", "connector-consumer-c-0", "x"];
        assert_eq!(of(&[], &[]), usual);
        for (at, prefix) in ["producer", "consumer", "admin"].into_iter().enumerate() {
            let mut expected = usual;
            expected[at] = "p";
            assert_eq!(of(&[(&format!("{prefix}.client.id"), "p")], &[]), expected);
            let key = format!("{prefix}.override.client.id");
            assert_eq!(of(&[], &[(&key, "p")]), expected);
        }
    }

    #[test]
    fn a_session_that_the_client_library_cuts_short_is_told() {
        let session = |value: &str| {
            let worker = config(&[
                ("bootstrap.servers", "localhost:9092"),
                ("consumer.session.timeout.ms", value),
            ]);
            let id = TaskId {
                connector: "c".into(),
                task: 0,
            };
            let made = consumer(&worker.expect("valid"), &id, &Props::new()).expect("valid");
            made.longer_session
        };
        assert_eq!(session("2000000"), Some(2_000_000));
        assert_eq!(session("300000"), None);
    }

    fn task_producer(connector: &[(&str, &str)]) -> ClientConfig {
        let owned = |pairs: &[(&str, &str)]| -> Props {
            let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            pairs.iter().map(pair).collect()
        };
        let worker = config(&[("bootstrap.servers", "localhost:9092")]).expect("valid");
        let id = TaskId {
            connector: "c".into(),
            task: 0,
        };
        producer(&worker, &id, &owned(connector)).expect("valid")
    }

    #[test]
    fn records_are_numbered_unless_settings_are_against_it() {
        for (setting, numbered) in [
            (("linger.ms", "5"), true),
            (("acks", "all"), true),
            (("acks", "1"), false),
            (("retries", "0"), false),
            (("max.in.flight.requests.per.connection", "6"), false),
            (("enable.idempotence", "false"), false),
        ] {
            let key = format!("producer.override.{}", setting.0);
            let config = task_producer(&[(&key, setting.1)]);
            assert_eq!(is_numbered(&config), numbered, "{setting:?}");
        }
    }
}
