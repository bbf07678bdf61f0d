//! The offset store: positions of sources, by connector and source partition.
//!
//! Keys are equal by bytes, so maps are written in Java's order. Answers for
//! `KafkaOffsetBackingStore`, `OffsetStorageReaderImpl` and `OffsetStorageWriter`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connect_api::data::json::write_string;
use connect_api::data::{ByteString, Bytes, Value};
use connect_api::java::double_to_string;
use connect_api::record::OffsetMap;
use connect_api::{Error, Result};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::log::{Handler, TopicLog};
use crate::kafka::ClientConfig;
use crate::kafka::producer::{KeyValue, StoreProducer};
use crate::standalone::{read_offsets, write_offsets};

/// Offsets of one connector: key bytes to value bytes, in the order in which they first came.
type Entries = IndexMap<Bytes, Bytes>;

/// A source partition and its position as they are stored.
pub type Stored = (Map<String, Json>, Map<String, Json>);

/// The offsets topic.
pub struct OffsetStore {
    log: TopicLog,
    cache: Cache,
    /// Where all is kept that no topic keeps.
    file: Option<PathBuf>,
}

type Cache = Arc<Mutex<HashMap<String, Entries>>>;

fn handler(cache: &Cache) -> Handler {
    let cache = Arc::clone(cache);
    Box::new(move |record| {
        let Some(key) = record.key else { return };
        apply(
            &mut cache.lock().unwrap_or_else(PoisonError::into_inner),
            key,
            record.value,
        );
    })
}

impl std::fmt::Debug for OffsetStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OffsetStore").finish_non_exhaustive()
    }
}

impl OffsetStore {
    /// Begins to read.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        topic: &str,
        consumer: ClientConfig,
        producer: Option<Arc<StoreProducer>>,
    ) -> Result<Self> {
        let cache = Cache::default();
        let log = TopicLog::start(topic, consumer, producer, handler(&cache))?;
        Ok(Self {
            log,
            cache,
            file: None,
        })
    }

    /// The store of a worker that works alone: a file (`FileOffsetBackingStore`).
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn file(path: &Path) -> Result<Self> {
        let cache = Cache::default();
        for (key, value) in read_offsets(path)? {
            apply(
                &mut cache.lock().unwrap_or_else(PoisonError::into_inner),
                &key,
                Some(&value),
            );
        }
        let log = TopicLog::memory("offsets", handler(&cache));
        Ok(Self {
            log,
            cache,
            file: Some(path.to_owned()),
        })
    }

    /// Waits until all that was there at the start has been read.
    ///
    /// # Errors
    /// Reading failed, or took too long.
    pub fn wait_until_read(&self, limit: Duration) -> Result<()> {
        self.log.wait_until_read(limit).map(drop)
    }

    /// Waits until all that is in the topic now has been read.
    ///
    /// # Errors
    /// Reading failed, or took too long.
    pub fn catch_up(&self, limit: Duration) -> Result<()> {
        self.log.catch_up(limit)
    }

    /// A connector's offsets: partition and position of each.
    pub fn all(&self, connector: &str) -> Vec<Stored> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entries) = cache.get(connector) else {
            return Vec::new();
        };
        entries
            .iter()
            .filter_map(|(key, value)| {
                let (_, partition) = parse_key(key)?;
                match serde_json::from_slice(value).ok()? {
                    Json::Object(offset) => Some((partition, unsigned_zeros(offset))),
                    _ => None,
                }
            })
            .collect()
    }

    /// The stored position of a source partition.
    pub fn get(&self, connector: &str, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        let key = key(connector, partition)?;
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(value) = cache
            .get(connector)
            .and_then(|entries| entries.get(key.as_slice()))
        else {
            return Ok(None);
        };
        let value = serde_json::from_slice(value).map_err(|error| {
            Error::fatal(format!("an offset of connector {connector} is not JSON"))
                .with_source(error)
        })?;
        match value {
            Json::Object(members) => Ok(Some(from_json(&members))),
            _ => Ok(None),
        }
    }

    /// Stores positions (`None` forgets one) and waits until they are in Kafka.
    ///
    /// # Errors
    /// They are not, or not in time.
    pub fn write(
        &self,
        connector: &str,
        offsets: &[(&OffsetMap, Option<OffsetMap>)],
        limit: Duration,
    ) -> Result<()> {
        let records = records(connector, offsets)?;
        self.log.write(&records, limit)?;
        // Seen at once by whoever starts next; the topic says the same a moment later.
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in &records {
            apply(&mut cache, key, value.as_deref());
        }
        match &self.file {
            None => Ok(()),
            Some(path) => {
                let all: Vec<(Vec<u8>, Vec<u8>)> = cache
                    .values()
                    .flatten()
                    .map(|(key, value)| (key.to_vec(), value.to_vec()))
                    .collect();
                write_offsets(path, &all)
            }
        }
    }

    /// Stops reading.
    pub fn stop(&self) {
        self.log.stop();
    }
}

/// The records that say where a connector's source partitions stand.
///
/// # Errors
/// A value is not primitive.
pub fn records(
    connector: &str,
    offsets: &[(&OffsetMap, Option<OffsetMap>)],
) -> Result<Vec<KeyValue>> {
    offsets
        .iter()
        .map(|(partition, offset)| {
            let value = offset.as_ref().map(|offset| {
                let mut out = Vec::new();
                write_map(&mut out, offset).map(|()| out)
            });
            Ok((key(connector, partition)?, value.transpose()?))
        })
        .collect()
}

fn apply(cache: &mut HashMap<String, Entries>, key: &[u8], value: Option<&[u8]>) {
    let Some((connector, _)) = parse_key(key) else {
        tracing::warn!("Ignoring offset partition key with an unexpected format");
        return;
    };
    match value {
        None => {
            if let Some(entries) = cache.get_mut(&connector) {
                entries.shift_remove(key);
            }
        }
        Some(value) => {
            cache
                .entry(connector)
                .or_default()
                .insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        }
    }
}

/// `["connector",{partition}]`.
fn parse_key(key: &[u8]) -> Option<(String, Map<String, Json>)> {
    let (connector, partition) = serde_json::from_slice(key).ok()?;
    Some((connector, unsigned_zeros(partition)))
}

/// Java reads fractions as decimals first, which have no -0.0.
fn unsigned_zeros(mut members: Map<String, Json>) -> Map<String, Json> {
    for value in members.values_mut() {
        if value.is_f64() && value.as_f64() == Some(0.0) {
            *value = 0.0.into();
        }
    }
    members
}

/// The bytes by which the offset of a source partition is found.
///
/// # Errors
/// A value is not primitive.
pub fn key(connector: &str, partition: &OffsetMap) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(64);
    out.push(b'[');
    write_string(connector, &mut out);
    out.push(b',');
    write_map(&mut out, partition)?;
    out.push(b']');
    Ok(out)
}

fn write_map(out: &mut Vec<u8>, map: &OffsetMap) -> Result<()> {
    out.push(b'{');
    for (index, (name, value)) in map.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        let text = match value {
            Value::Null => "null".to_owned(),
            Value::Boolean(value) => value.to_string(),
            Value::Float32(value) => connect_api::java::float_to_string(*value),
            Value::Float64(value) => double_to_string(*value),
            Value::String(text) => {
                write_string(text, out);
                continue;
            }
            other => match other.as_i64() {
                Some(number) => number.to_string(),
                None => {
                    return Err(Error::data(format!(
                        "Offsets may only contain primitive types as values, but field {name} contains {}",
                        other.java_class().unwrap_or("null")
                    )));
                }
            },
        };
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'}');
    Ok(())
}

/// A JSON object as the map that Java makes of it.
pub fn from_json(members: &Map<String, Json>) -> OffsetMap {
    let mut map = OffsetMap::new();
    for (name, value) in members {
        let value = match value {
            Json::Bool(value) => Value::Boolean(*value),
            Json::String(text) => Value::from(text.as_str()),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Value::Int64(number),
                // Adding makes a zero of -0.0, which Java does not keep either.
                None => Value::Float64(number.as_f64().unwrap_or(f64::NAN) + 0.0),
            },
            Json::Null | Json::Array(_) | Json::Object(_) => Value::Null,
        };
        map.insert(ByteString::from(name.as_str()), value);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, Value)]) -> OffsetMap {
        let mut map = OffsetMap::new();
        for (name, value) in entries {
            map.insert(ByteString::from(*name), value.clone());
        }
        map
    }

    #[test]
    fn keys_and_values_are_the_bytes_of_the_jvm() {
        let partition = map(&[("server", "perf".into())]);
        assert_eq!(
            key("perf", &partition).expect("primitive"),
            br#"["perf",{"server":"perf"}]"#
        );
        let mut out = Vec::new();
        let offset = map(&[
            ("lsn_proc", 157_756_056i64.into()),
            ("messageType", "INSERT".into()),
            ("last_snapshot_record", true.into()),
            ("x", Value::Null),
            ("d", 1e7.into()),
        ]);
        write_map(&mut out, &offset).expect("primitive");
        let text = String::from_utf8(out).expect("text");
        let parsed: Map<String, Json> = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            from_json(&parsed).get("lsn_proc"),
            Some(&Value::Int64(157_756_056))
        );
        assert!(text.contains(r#""d":1.0E7"#), "{text}");
    }

    #[test]
    fn keys_escape_as_jackson_does() {
        let partition = map(&[("f", "\u{1f}😀".into())]);
        assert_eq!(
            key("c", &partition).expect("primitive"),
            br#"["c",{"f":"\u001F\uD83D\uDE00"}]"#
        );
    }

    #[test]
    fn a_negative_zero_has_no_sign() {
        let mut cache = HashMap::new();
        apply(&mut cache, br#"["c",{"n":-0.0}]"#, Some(b"{\"x\":-0.0}"));
        let parsed: Map<String, Json> =
            serde_json::from_str(r#"{"x":-0.0,"y":-1e-7}"#).expect("JSON");
        assert_eq!(
            Json::from(unsigned_zeros(parsed.clone())).to_string(),
            r#"{"x":0.0,"y":-1e-7}"#
        );
        let mut out = Vec::new();
        write_map(&mut out, &from_json(&parsed)).expect("primitive");
        assert_eq!(out, br#"{"x":0.0,"y":-1.0E-7}"#);
    }

    #[test]
    fn what_is_not_primitive_is_refused() {
        let error = write_map(&mut Vec::new(), &map(&[("a", Value::Array(Vec::new()))]));
        assert_eq!(
            error.expect_err("refused").message(),
            "Offsets may only contain primitive types as values, but field a contains java.util.ArrayList"
        );
    }

    #[test]
    fn the_cache_holds_the_newest_of_each_key_and_forgets_tombstones() {
        let mut cache = HashMap::new();
        let key = br#"["c",{"server":"s"}]"#;
        apply(&mut cache, key, Some(b"{\"p\":1}"));
        apply(&mut cache, key, Some(b"{\"p\":2}"));
        assert_eq!(cache["c"].len(), 1);
        assert_eq!(cache["c"][&key[..]], &b"{\"p\":2}"[..]);
        apply(&mut cache, key, None);
        assert!(cache["c"].is_empty());
        apply(&mut cache, b"not json", Some(b"{}"));
        assert_eq!(cache.len(), 1);
    }
}
