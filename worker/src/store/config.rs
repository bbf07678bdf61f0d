//! The config store: reads the config topic into a snapshot, writes the JVM's records to it.
//!
//! Decides nothing: who may write what is the herder's. Where the group writes exactly once, what
//! only the leader may write goes through [`LeaderWriter`]. Answers for the writing half of
//! `KafkaConfigBackingStore`.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use connect_api::{Error, Result};
use serde_json::{Map, Value as Json, json};

use super::cluster_state::{ClusterConfigState, ConfigChange, SessionKey, in_java_order};
use super::leader_writer::LeaderWriter;
use super::log::{Handler, TopicLog};
use crate::herder::request::{RawConfig, TargetState};
use crate::kafka::ClientConfig;
use crate::kafka::producer::{KeyValue, StoreProducer};

/// The JVM's limit for a write to the config topic, reading back included.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// Hears of changes with the snapshot that holds them; called on the log's thread.
pub type Listener = Box<dyn FnMut(Arc<ClusterConfigState>, ConfigChange) + Send>;

/// A write to the config topic; several go together, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigWrite {
    /// A connector's configuration.
    Connector(Arc<str>, RawConfig),
    /// Deletes a connector.
    RemoveConnector(Arc<str>),
    /// All of a connector's tasks.
    Tasks(Arc<str>, Vec<RawConfig>),
    /// What a connector shall be.
    Target(Arc<str>, TargetState),
    /// How many tasks a connector has, noted after a round of fencing.
    TaskCount(Arc<str>, u32),
    /// Restarts a connector.
    Restart {
        /// The connector.
        connector: Arc<str>,
        /// Only what is FAILED.
        only_failed: bool,
        /// Its tasks, too.
        include_tasks: bool,
    },
    /// The key that requests between workers are signed with.
    SessionKey(SessionKey),
    /// A logger's level on every worker.
    Logger(Arc<str>, String),
}

impl ConfigWrite {
    /// Whether only the group's leader writes it.
    fn is_leaders(&self) -> bool {
        !matches!(self, Self::Target(..) | Self::Logger(..))
    }

    /// Java's text for when it could not be written.
    fn failure(&self) -> &'static str {
        match self {
            Self::RemoveConnector(_) => "Error removing connector configuration from Kafka",
            Self::Target(..) => "Error writing target state to Kafka",
            Self::TaskCount(..) => "Error writing task count record to Kafka",
            Self::SessionKey(_) => "Error writing session key to Kafka",
            Self::Restart { .. } => "Error writing restart request to Kafka",
            _ => "Error writing connector configuration to Kafka",
        }
    }
}

/// The config topic.
#[derive(Debug)]
pub struct ConfigStore {
    log: TopicLog,
    state: SharedState,
    /// There where the group's leader writes in transactions.
    leader: Option<LeaderWriter>,
}

type SharedState = Arc<RwLock<Arc<ClusterConfigState>>>;

fn handler(state: &SharedState, mut listener: Listener) -> Handler {
    let state = Arc::clone(state);
    Box::new(move |record| {
        let Some(key) = record.key else { return };
        let mut next =
            ClusterConfigState::clone(&state.read().unwrap_or_else(PoisonError::into_inner));
        let change = next.apply(record.offset, key, record.value);
        let next = Arc::new(next);
        *state.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
        listener(next, change.unwrap_or(ConfigChange::Nothing));
    })
}

impl ConfigStore {
    /// Begins to read. The listener hears of every change, those of the past included.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        topic: &str,
        consumer: ClientConfig,
        producer: Arc<StoreProducer>,
        leader: Option<LeaderWriter>,
        listener: Listener,
    ) -> Result<Self> {
        let state = SharedState::default();
        let log = TopicLog::start(topic, consumer, Some(producer), handler(&state, listener))?;
        Ok(Self { log, state, leader })
    }

    /// What the leader writes with, where that is by transactions.
    pub fn leader(&self) -> Option<&LeaderWriter> {
        self.leader.as_ref()
    }

    /// A store without a topic, empty.
    pub fn memory(listener: Listener) -> Self {
        let state = SharedState::default();
        Self {
            log: TopicLog::memory("config", handler(&state, listener)),
            state,
            leader: None,
        }
    }

    /// Waits until all that was there at the start has been read.
    ///
    /// # Errors
    /// Reading failed, took too long, or the topic has several partitions.
    pub fn wait_until_read(&self, topic: &str, limit: Duration) -> Result<()> {
        let partitions = self.log.wait_until_read(limit)?;
        if partitions == 1 {
            return Ok(());
        }
        Err(Error::fatal(format!(
            "Topic '{topic}' supplied via the 'config.storage.topic' property is required to have a \
             single partition in order to guarantee consistency of connector configurations, but \
             found {partitions} partitions."
        )))
    }

    /// The snapshot of now.
    pub fn state(&self) -> Arc<ClusterConfigState> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes and waits until it has been read back.
    ///
    /// # Errors
    /// Java's text for the kind of write, with the cause; where the leader writes in transactions,
    /// see [`LeaderWriter::write`].
    pub fn write(&self, writes: &[ConfigWrite]) -> Result<()> {
        for write in writes {
            let leader = self.leader.as_ref().filter(|_| write.is_leaders());
            for batch in records(write) {
                let deadline = Instant::now() + WRITE_LIMIT;
                let written = match leader {
                    Some(leader) => {
                        let places = leader.write(self.log.topic(), &batch, WRITE_LIMIT)?;
                        self.log.read_back(&places, deadline)
                    }
                    None => self.log.write_and_read_back(&batch, WRITE_LIMIT),
                };
                written.map_err(|error| Error::fatal(write.failure()).with_source(error))?;
            }
        }
        Ok(())
    }

    /// Stops reading.
    pub fn stop(&self) {
        self.log.stop();
    }
}

/// The records of a write; each batch is read back before the next is written.
fn records(write: &ConfigWrite) -> Vec<Vec<KeyValue>> {
    match write {
        ConfigWrite::Connector(name, config) => {
            vec![vec![record("connector-", name, Some(properties(config)))]]
        }
        ConfigWrite::RemoveConnector(name) => {
            vec![vec![
                record("connector-", name, None),
                record("target-state-", name, None),
            ]]
        }
        ConfigWrite::Tasks(name, tasks) => {
            let mut batches = Vec::with_capacity(2);
            if !tasks.is_empty() {
                batches.push(
                    tasks
                        .iter()
                        .enumerate()
                        .map(|(task, config)| {
                            let config = in_java_order(
                                config
                                    .iter()
                                    .map(|(key, value)| (key.clone(), value.clone())),
                            );
                            record(
                                "task-",
                                &format!("{name}-{task}"),
                                Some(properties(&config)),
                            )
                        })
                        .collect(),
                );
            }
            batches.push(vec![record(
                "commit-",
                name,
                Some(json!({"tasks": tasks.len()})),
            )]);
            batches
        }
        ConfigWrite::Target(name, target) => {
            // Readers of the first version know no STOPPED.
            let first = match target {
                TargetState::Stopped => TargetState::Paused,
                other => *other,
            };
            let value = json!({"state": first.name(), "state.v2": target.name()});
            vec![vec![record("target-state-", name, Some(value))]]
        }
        ConfigWrite::TaskCount(name, count) => {
            let value = json!({"task-count": count});
            vec![vec![record("tasks-fencing-", name, Some(value))]]
        }
        ConfigWrite::Restart {
            connector,
            only_failed,
            include_tasks,
        } => {
            let value = json!({"include-tasks": include_tasks, "only-failed": only_failed});
            vec![vec![record("restart-connector-", connector, Some(value))]]
        }
        ConfigWrite::SessionKey(key) => {
            let value = json!({
                "key": BASE64.encode(&key.key),
                "algorithm": key.algorithm,
                "creation-timestamp": key.created_ms,
            });
            vec![vec![record("session-key", "", Some(value))]]
        }
        ConfigWrite::Logger(logger, level) => {
            vec![vec![record(
                "logger-cluster-",
                logger,
                Some(json!({"level": level})),
            )]]
        }
    }
}

fn record(prefix: &str, name: &str, value: Option<Json>) -> KeyValue {
    (
        format!("{prefix}{name}").into_bytes(),
        value.map(|value| value.to_string().into_bytes()),
    )
}

fn properties(config: &RawConfig) -> Json {
    let properties: Map<String, Json> = config
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().map_or(Json::Null, Json::String)))
        .collect();
    json!({ "properties": properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(write: &ConfigWrite) -> Vec<String> {
        records(write)
            .concat()
            .iter()
            .map(|(key, value)| {
                let value = value
                    .as_deref()
                    .map_or_else(|| "null".into(), String::from_utf8_lossy);
                format!("{} {value}", String::from_utf8_lossy(key))
            })
            .collect()
    }

    #[test]
    fn records_are_those_of_the_jvm() {
        let config: RawConfig = [("tasks.max", "1"), ("name", "rtc-src"), ("a", "ü/\"")]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Some(value.to_owned())))
            .collect();
        assert_eq!(
            shown(&ConfigWrite::Connector("rtc-src".into(), config)),
            [r#"connector-rtc-src {"properties":{"tasks.max":"1","name":"rtc-src","a":"ü/\""}}"#]
        );
        assert_eq!(
            shown(&ConfigWrite::Target("c".into(), TargetState::Stopped)),
            [r#"target-state-c {"state":"PAUSED","state.v2":"STOPPED"}"#]
        );
        assert_eq!(
            shown(&ConfigWrite::RemoveConnector("c".into())),
            ["connector-c null", "target-state-c null"]
        );
        assert_eq!(
            shown(&ConfigWrite::Restart {
                connector: "c".into(),
                only_failed: false,
                include_tasks: true
            }),
            [r#"restart-connector-c {"include-tasks":true,"only-failed":false}"#]
        );
        assert_eq!(
            shown(&ConfigWrite::Logger("org.nope".into(), "warn".to_owned())),
            [r#"logger-cluster-org.nope {"level":"warn"}"#]
        );
    }

    #[test]
    fn tasks_are_written_before_their_commit_in_javas_order() {
        let task: RawConfig = [
            "topic",
            "name",
            "tasks.max",
            "task.class",
            "file",
            "connector.class",
        ]
        .into_iter()
        .map(|key| (key.to_owned(), Some("v".to_owned())))
        .collect();
        assert_eq!(
            shown(&ConfigWrite::Tasks("c".into(), vec![task])),
            [
                r#"task-c-0 {"properties":{"connector.class":"v","file":"v","task.class":"v","tasks.max":"v","name":"v","topic":"v"}}"#,
                r#"commit-c {"tasks":1}"#
            ]
        );
        assert_eq!(
            shown(&ConfigWrite::TaskCount("c".into(), 2)),
            [r#"tasks-fencing-c {"task-count":2}"#]
        );
    }
}
