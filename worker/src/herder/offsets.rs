//! Offsets over REST: a source's live in the offsets topic, a sink's in its consumer group.
//!
//! Works beside the herder's thread: the caller has made sure that a connector whose offsets are
//! changed is stopped. Answers for the offsets methods of `Worker` and for `SinkUtils`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use connect_api::connector::{Connector, OffsetChange};
use connect_api::data::Value;
use connect_api::error::Chain;
use connect_api::java::{HashMap as JavaHashMap, double_to_string, parse_long};
use connect_api::plugin::Make;
use connect_api::record::{OffsetMap, Topic, TopicPartition};
use connect_api::sink::Offsets;
use connect_api::{Error, Props};
use serde_json::{Map, Value as Json, json};

use super::request::{
    Answer, ConnectorKind, OffsetEntry, Parts, RawConfig, RequestError, as_big_integer,
};
use super::{Stores, fencing};
use crate::config::ExactlyOnce;
use crate::kafka::admin::Admin;
use crate::kafka::consumer::GroupConsumer;
use crate::store::offset::{Stored, from_json, key};
use crate::task::clients;
use crate::task::offsets::ConnectorOffsets;

const LIMIT: Duration = Duration::from_secs(60);

/// The offsets of a connector.
pub(super) async fn read(
    parts: &Parts,
    stores: Arc<Stores>,
    kind: ConnectorKind,
    name: &str,
    config: Arc<RawConfig>,
) -> Answer<Vec<OffsetEntry>> {
    let (parts, name) = (parts.clone(), name.to_owned());
    let runtime = parts.runtime.clone();
    let work = move || match kind {
        ConnectorKind::Sink => group_offsets(&parts, &name, &config),
        ConnectorKind::Source | ConnectorKind::Unknown => {
            let props = parts.resolver.resolve(&config)?.props;
            let offsets = ConnectorOffsets::open(&parts, &stores, &name, &props, false)?.all()?;
            in_javas_order(&name, offsets)
        }
    };
    finished(runtime.spawn_blocking(work).await)
}

/// The order in which Java's maps give them. Each map is filled in the order of the one before, and
/// what meets in one bucket keeps that order: the set of partitions, the keys that are asked for, the
/// offsets found, their copy (`ConnectorOffsetBackingStore.get`), the offsets of the partitions.
fn in_javas_order(name: &str, offsets: Vec<Stored>) -> Answer<Vec<OffsetEntry>> {
    let count = offsets.len();
    let mut partitions = JavaHashMap::new();
    for entry in offsets {
        partitions.insert(map_value(&from_json(&entry.0)), entry);
    }
    let mut asked = Vec::with_capacity(count);
    for (value, entry) in partitions.iter() {
        let bytes = key(name, &from_json(&entry.0))?;
        asked.push((Value::Bytes(bytes.into()), (value, entry)));
    }
    for map in [
        JavaHashMap::with_capacity(count),
        JavaHashMap::new(),
        JavaHashMap::sized_for(count),
    ] {
        asked = refilled(map, asked);
    }
    let by_partition = asked
        .into_iter()
        .map(|(_, (value, entry))| (value.clone(), entry));
    let listed = refilled(JavaHashMap::with_capacity(count), by_partition);
    let entry = |(_, (partition, offset)): (_, &Stored)| OffsetEntry {
        partition: Json::Object(partition.clone()),
        offset: Json::Object(offset.clone()),
    };
    Ok(listed.into_iter().map(entry).collect())
}

/// The entries in the order in which a map gives them that they were put into.
fn refilled<T: Clone>(
    mut map: JavaHashMap<Value, T>,
    entries: impl IntoIterator<Item = (Value, T)>,
) -> Vec<(Value, T)> {
    for (key, entry) in entries {
        map.insert(key, entry);
    }
    map.iter()
        .map(|(key, entry)| (key.clone(), entry.clone()))
        .collect()
}

/// A map as the key of another.
fn map_value(map: &OffsetMap) -> Value {
    let member = |(name, value): (&_, &Value)| (Value::String(Clone::clone(name)), value.clone());
    Value::Map(Box::new(map.iter().map(member).collect()))
}

/// Changes or forgets the offsets of a stopped connector; answers the message for the user.
pub(super) async fn change(
    parts: &Parts,
    stores: Arc<Stores>,
    kind: ConnectorKind,
    name: &str,
    config: Arc<RawConfig>,
    changes: Option<Vec<OffsetEntry>>,
) -> Answer<String> {
    let (parts, name) = (parts.clone(), name.to_owned());
    let runtime = parts.runtime.clone();
    let changes = changes.map(folded);
    let work = move || {
        let done = if changes.is_some() {
            "altered"
        } else {
            "reset"
        };
        let handled = match kind {
            ConnectorKind::Sink => change_group(&parts, &name, &config, changes)?,
            ConnectorKind::Source | ConnectorKind::Unknown => {
                change_source(&parts, &stores, &name, &config, changes)?
            }
        };
        Ok(if handled {
            format!("The offsets for this connector have been {done} successfully")
        } else {
            format!(
                "The Connect framework-managed offsets for this connector have been {done} \
                 successfully. However, if this connector manages offsets externally, they will \
                 need to be manually {done} in the system that the connector uses."
            )
        })
    };
    finished(runtime.spawn_blocking(work).await)
}

/// The changes as the map in which the JVM keeps them: one for each partition, the last that is
/// named, in the map's order (`ConnectorOffsets.toMap`).
fn folded(changes: Vec<OffsetEntry>) -> Vec<OffsetEntry> {
    let mut map = JavaHashMap::new();
    for entry in changes {
        let partition = object(&entry.partition).map(|members| map_value(&from_json(members)));
        map.insert(partition.unwrap_or(Value::Null), entry);
    }
    map.values().cloned().collect()
}

fn finished<T>(joined: Result<Answer<T>, tokio::task::JoinError>) -> Answer<T> {
    joined.unwrap_or_else(|panic| Err(RequestError::failure(panic.to_string())))
}

/// The connector's own say: whether it deals with the change completely.
fn ask_connector(
    parts: &Parts,
    name: &str,
    props: &Props,
    changes: &[OffsetChange],
) -> Answer<bool> {
    let class = props.get("connector.class").map_or("", String::as_str);
    let connector: Box<dyn Connector> = match parts.plugins.connector(class)?.make {
        Make::Source { connector, .. } | Make::Sink { connector, .. } => connector(),
        _ => return Err(RequestError::failure(format!("{class} is no connector"))),
    };
    connector.alter_offsets(props, changes).map_err(|error| {
        if error.message() == "the connector does not support altering offsets" {
            RequestError::failure(format!(
                "Failed to modify offsets for connector {name} because it doesn't support external \
                 modification of offsets"
            ))
        } else {
            error.into()
        }
    })
}

fn object(value: &Json) -> Option<&Map<String, Json>> {
    value.as_object()
}

fn change_source(
    parts: &Parts,
    stores: &Stores,
    name: &str,
    config: &RawConfig,
    changes: Option<Vec<OffsetEntry>>,
) -> Answer<bool> {
    let props = parts.resolver.resolve(config)?.props;
    if parts.config.exactly_once() == ExactlyOnce::Enabled {
        // A task that was thought dead must not write after what is written here.
        let state = stores.config.state();
        let tasks = state.task_count_record(name).unwrap_or(0);
        fencing::fence_producers(parts, &state, name, tasks).map_err(|error| {
            tracing::error!(connector = name, error = %Chain(&error), "fencing");
            RequestError::failure(
                "Failed to perform zombie fencing for source connector prior to modifying offsets",
            )
        })?;
    }
    for entry in changes.iter().flatten() {
        check_primitive(&entry.partition)?;
        check_primitive(&entry.offset)?;
    }
    let offsets = ConnectorOffsets::open(parts, stores, name, &props, true)?;
    let changes: Vec<OffsetChange> = match changes {
        Some(changes) => changes
            .iter()
            .map(|entry| {
                let map = |map: &Json| object(map).map(from_json);
                (map(&entry.partition), map(&entry.offset))
            })
            .collect(),
        None => offsets
            .all()?
            .iter()
            .map(|(partition, _)| (Some(from_json(partition)), None))
            .collect(),
    };
    let handled = ask_connector(parts, name, &props, &changes)?;
    let entries: Vec<(&OffsetMap, Option<OffsetMap>)> = changes
        .iter()
        // Of a null partition nobody can read anything.
        .filter_map(|(partition, offset)| Some((partition.as_ref()?, offset.clone())))
        .collect();
    offsets.write(&entries, LIMIT)?;
    Ok(handled)
}

/// Offsets and partitions hold numbers, texts, booleans and nulls (`OffsetUtils.validateFormat`).
fn check_primitive(map: &Json) -> Answer<()> {
    for (field, value) in object(map).into_iter().flatten() {
        let contains = match value {
            _ if as_big_integer(value).is_some() => "class java.math.BigInteger",
            Json::Object(_) => "MAP",
            Json::Array(_) => "ARRAY",
            _ => continue,
        };
        return Err(RequestError::failure(format!(
            "Offsets may only contain primitive types as values, but field {field} contains {contains}"
        )));
    }
    Ok(())
}

/// The committed offsets of a sink's group: all that there are, of other topics than today's, too.
fn group_offsets(parts: &Parts, name: &str, config: &RawConfig) -> Answer<Vec<OffsetEntry>> {
    let props = parts.resolver.resolve(config)?.props;
    let entry = |(partition, offset): (&TopicPartition, &i64)| OffsetEntry {
        partition: json!({"kafka_partition": partition.partition, "kafka_topic": *partition.topic}),
        offset: json!({"kafka_offset": offset}),
    };
    let offsets = committed(parts, name, &props)?;
    Ok(offsets.iter().map(entry).collect())
}

/// In the order in which Java lists them.
fn committed(parts: &Parts, name: &str, props: &Props) -> Answer<JavaHashMap<TopicPartition, i64>> {
    let group = clients::consumer_group(&parts.config, name, props);
    let offsets = admin(parts, name, props)?.group_offsets(&group)?;
    Ok(offsets.into_iter().collect())
}

fn change_group(
    parts: &Parts,
    name: &str,
    config: &RawConfig,
    changes: Option<Vec<OffsetEntry>>,
) -> Answer<bool> {
    let props = parts.resolver.resolve(config)?.props;
    let failed = |what: &str, error: &Error| {
        tracing::error!(connector = name, error = %Chain(error), "changing consumer group offsets");
        let why = match has_members(error) {
            true => format!(
                " either because its tasks haven't stopped completely yet or the connector was \
                 resumed before the request to {what} its offsets could be successfully completed. \
                 If the connector is in a stopped state, this operation can be safely retried. If it \
                 doesn't eventually succeed, the Connect cluster may need to be restarted to get rid \
                 of the zombie sink tasks."
            ),
            false => String::new(),
        };
        RequestError::failure(format!(
            "Failed to {what} consumer group offsets for connector {name}{why}"
        ))
    };
    let Some(changes) = changes else {
        let all: Vec<OffsetChange> = committed(parts, name, &props)?
            .keys()
            .map(|partition| (Some(as_map(partition)), None))
            .collect();
        let handled = ask_connector(parts, name, &props, &all)?;
        admin(parts, name, &props)?
            .delete_group(&clients::consumer_group(&parts.config, name, &props))
            .map_err(|error| failed("reset", &error))?;
        return Ok(handled);
    };
    let mut wanted: HashMap<TopicPartition, Option<i64>> = HashMap::new();
    let mut asked = Vec::new();
    for entry in &changes {
        let partition = partition(&entry.partition)?;
        let offset = offset(&entry.offset)?;
        asked.push((
            Some(as_map(&partition)),
            object(&entry.offset).map(from_json),
        ));
        if offset.is_some_and(|offset| offset < 0) {
            return Err(RequestError::failure(format!(
                "Failed to modify offsets for sink connector {name}"
            )));
        }
        wanted.insert(partition, offset);
    }
    let handled = ask_connector(parts, name, &props, &asked)?;
    let mut offsets = Offsets::new();
    let mut forgotten = Vec::new();
    for (partition, offset) in wanted {
        match offset {
            Some(offset) => drop(offsets.insert(partition, offset)),
            None => forgotten.push(partition),
        }
    }
    if !offsets.is_empty() {
        let config = clients::group_offsets(&parts.config, name, &props)?;
        GroupConsumer::new(&config)?
            .commit(&offsets, true)
            .map_err(|error| failed("alter", &error))?;
    }
    if !forgotten.is_empty() {
        admin(parts, name, &props)?
            .delete_group_offsets(
                &clients::consumer_group(&parts.config, name, &props),
                &forgotten,
            )
            .map_err(|error| failed("alter", &error))?;
    }
    Ok(handled)
}

/// Whether a change was refused since somebody is in the group.
fn has_members(error: &Error) -> bool {
    let trace = error.trace();
    ["UnknownMemberId", "GroupSubscribedToTopic", "GroupNotEmpty"]
        .iter()
        .any(|reason| trace.contains(reason))
}

fn admin(parts: &Parts, name: &str, props: &Props) -> Answer<Admin> {
    let config = clients::admin(
        &parts.config,
        &format!("connector-worker-adminclient-{name}"),
        props,
    )?;
    Ok(Admin::new(&config, parts.runtime.clone())?)
}

fn as_map(partition: &TopicPartition) -> OffsetMap {
    let members = json!({"kafka_topic": *partition.topic, "kafka_partition": partition.partition});
    members.as_object().map(from_json).unwrap_or_default()
}

fn partition(value: &Json) -> Answer<TopicPartition> {
    let Some(members) = object(value) else {
        return Err(RequestError::bad_request(
            "The partition for a sink connector offset cannot be null or missing",
        ));
    };
    let (Some(topic), Some(number)) = (members.get("kafka_topic"), members.get("kafka_partition"))
    else {
        return Err(RequestError::bad_request(
            "The partition for a sink connector offset must contain the keys 'kafka_topic' and \
             'kafka_partition'",
        ));
    };
    // Looked at first, and in this order, by the JVM too.
    if topic.is_null() {
        return Err(RequestError::bad_request(
            "Kafka topic names must be valid strings and may not be null",
        ));
    }
    if number.is_null() {
        return Err(RequestError::bad_request(
            "Kafka partitions must be valid numbers and may not be null",
        ));
    }
    let number = text(number);
    let partition = parse_long(&number)
        .and_then(|number| i32::try_from(number).ok())
        .ok_or_else(|| {
            RequestError::bad_request(format!(
                "Failed to parse the following Kafka partition value in the provided offsets: \
             '{number}'. Partition values for sink connectors need to be integers."
            ))
        })?;
    Ok(TopicPartition {
        topic: Topic::from(text(topic)),
        partition,
    })
}

fn offset(value: &Json) -> Answer<Option<i64>> {
    let Some(members) = object(value) else {
        return Ok(None);
    };
    let Some(offset) = members.get("kafka_offset") else {
        return Err(RequestError::bad_request(
            "The offset for a sink connector should either be null or contain the key 'kafka_offset'",
        ));
    };
    let offset = text(offset);
    parse_long(&offset).map(Some).ok_or_else(|| {
        RequestError::bad_request(format!(
            "Failed to parse the following Kafka offset value in the provided offsets: '{offset}'. \
             Offset values for sink connectors need to be integers."
        ))
    })
}

/// `String.valueOf`.
fn text(value: &Json) -> String {
    if let Some(digits) = as_big_integer(value) {
        return digits.to_owned();
    }
    match value {
        Json::String(text) => text.clone(),
        Json::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(double) => double_to_string(double),
            None => number.to_string(),
        },
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(text).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(members) => {
            let member = |(name, value): (&String, &Json)| format!("{name}={}", text(value));
            let members: Vec<String> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(", "))
        }
        Json::Null | Json::Bool(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::herder::request::big_integer;

    #[test]
    fn what_meets_in_one_bucket_comes_as_the_maps_before_give_it() {
        let partition = |file: &str, server: Json| match server {
            Json::Null => json!({"filename": file}),
            server => json!({"server": server, "filename": file}),
        };
        let recorded = [
            (
                vec![
                    partition("B", Json::Null),
                    partition("a", json!("Aa")),
                    partition("baa", json!("BB")),
                    partition("a", Json::Null),
                ],
                [0, 3, 2, 1].as_slice(),
            ),
            (
                vec![
                    partition("bab", Json::Null),
                    partition("A", json!(1)),
                    partition("Ab", json!(5)),
                    partition("Aa", Json::Null),
                    partition("a", json!(1)),
                ],
                &[0, 2, 3, 1, 4],
            ),
            (
                vec![
                    partition("a", Json::Null),
                    partition("Aa", Json::Null),
                    partition("b", json!(2.5)),
                    partition("Ba", json!("x")),
                    partition("b", json!(5)),
                    partition("AA", Json::Null),
                    partition("a", json!(2.5)),
                    partition("ab", Json::Null),
                    partition("AB", json!("BB")),
                    partition("bAa", Json::Null),
                    partition("A", json!(2.5)),
                    partition("Bb", Json::Null),
                ],
                &[9, 0, 2, 7, 5, 1, 6, 11, 10, 3, 4, 8],
            ),
        ];
        for (stored, order) in recorded {
            let members = |entry: &Json| entry.as_object().cloned().unwrap_or_default();
            let offsets = stored.iter().map(|entry| (members(entry), Map::new()));
            let listed = in_javas_order("f1", offsets.collect()).expect("primitive");
            let listed: Vec<Json> = listed.into_iter().map(|entry| entry.partition).collect();
            let expected: Vec<Json> = order.iter().map(|&index| stored[index].clone()).collect();
            assert_eq!(listed, expected);
        }
    }

    // As a JVM worker lists them; the two that meet in one bucket come by their bytes.
    #[test]
    fn source_offsets_are_listed_as_javas_maps_give_them() {
        let listed = |partitions: &[Json]| -> Vec<Json> {
            let stored = |partition: &Json| {
                let members = partition.as_object().cloned().unwrap_or_default();
                (members, Map::new())
            };
            let offsets = partitions.iter().map(stored).collect();
            let listed = in_javas_order("dbz-xxref", offsets).expect("primitive");
            listed.into_iter().map(|entry| entry.partition).collect()
        };
        let (x, five) = (json!({"x": 1}), json!({"server": 5}));
        let both = json!({"server": "p-xxref", "database": "x"});
        assert_eq!(
            listed(&[x.clone(), five.clone(), json!({}), both.clone()]),
            [json!({}), x.clone(), five.clone(), both.clone()]
        );
        assert_eq!(
            listed(&[x.clone(), five.clone(), both.clone()]),
            [five, x, both]
        );
    }

    #[test]
    fn partitions_and_offsets_of_sinks_are_checked_with_javas_texts() {
        let good = json!({"kafka_topic": "t", "kafka_partition": "3"});
        assert_eq!(partition(&good).expect("good").to_string(), "t-3");
        assert_eq!(
            offset(&json!({"kafka_offset": "7"})).expect("good"),
            Some(7)
        );
        assert_eq!(offset(&Json::Null).expect("good"), None);
        for (given, message) in [
            (
                Json::Null,
                "The partition for a sink connector offset cannot be null or missing",
            ),
            (
                json!({"kafka_topic": "t"}),
                "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'",
            ),
            (
                json!({"kafka_topic": "t", "kafka_partition": "x"}),
                "Failed to parse the following Kafka partition value in the provided offsets: 'x'. Partition values for sink connectors need to be integers.",
            ),
        ] {
            assert_eq!(partition(&given).expect_err("bad").message, message);
        }
        let digits = "18446744073709551616";
        let big = big_integer(digits);
        let values = json!([[null, "x", true, 1e22], {"a": 1.50, "b": big}, 1e-5, big]);
        let texts: Vec<String> = values.as_array().into_iter().flatten().map(text).collect();
        assert_eq!(
            texts,
            [
                "[null, x, true, 1.0E22]",
                &format!("{{a=1.5, b={digits}}}"),
                "1.0E-5",
                digits
            ]
        );
        assert_eq!(
            check_primitive(&json!({"f": big}))
                .expect_err("bad")
                .message,
            "Offsets may only contain primitive types as values, but field f contains class java.math.BigInteger"
        );
    }
}
