//! The status store: states of connectors and tasks, and the topics that connectors have used.
//!
//! What is written shows once it has been read back. Answers for `KafkaStatusBackingStore`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connect_api::Result;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::log::{Handler, TopicLog};
use crate::herder::request::{StateInfo, TaskId};
use crate::kafka::ClientConfig;
use crate::kafka::producer::StoreProducer;

/// The state of a connector or a task (`AbstractStatus.State`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Nobody runs it.
    Unassigned,
    /// It runs.
    Running,
    /// It is paused.
    Paused,
    /// It has no tasks.
    Stopped,
    /// It failed and waits for a restart.
    Failed,
    /// It will be started again.
    Restarting,
}

impl State {
    /// `RUNNING`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
            Self::Restarting => "RESTARTING",
        }
    }
    /// Whether it may not replace what a newer generation wrote (`putSafe`).
    fn is_safe_only(self) -> bool {
        matches!(self, Self::Unassigned | Self::Failed)
    }
}

/// Whose status it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatusOf {
    /// A connector's own.
    Connector(Arc<str>),
    /// A task's.
    Task(TaskId),
}

impl StatusOf {
    /// The connector it belongs to.
    pub fn connector(&self) -> &Arc<str> {
        match self {
            Self::Connector(name) => name,
            Self::Task(id) => &id.connector,
        }
    }
    fn key(&self) -> String {
        match self {
            Self::Connector(name) => format!("status-connector-{name}"),
            Self::Task(id) => format!("status-task-{id}"),
        }
    }
}

/// A record of the status topic; members in the order of the JVM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The state.
    pub state: State,
    /// Why it failed.
    pub trace: Option<String>,
    /// The worker that says so.
    pub worker_id: String,
    /// The group's generation when it did.
    pub generation: i64,
    /// The plugin's version; not known to old workers.
    #[serde(default)]
    pub version: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct TopicRecord {
    topic: TopicStatus,
}
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TopicStatus {
    name: String,
    connector: String,
    task: u32,
    discover_timestamp: i64,
}

/// What the status topic says.
#[derive(Default)]
struct Cache {
    connectors: HashMap<Arc<str>, Entry>,
    highest_generation: i64,
}

#[derive(Default)]
struct Entry {
    connector: Option<Status>,
    tasks: BTreeMap<u32, Status>,
    topics: IndexMap<String, u32>,
}

impl Cache {
    fn apply(&mut self, key: &str, value: Option<&[u8]>) {
        if let Some(rest) = key.strip_prefix("status-topic-") {
            let Some((topic, connector)) = rest.split_once(":connector-") else {
                return;
            };
            let entry = self.connectors.entry(connector.into()).or_default();
            match value.map(serde_json::from_slice::<TopicRecord>) {
                None => {
                    entry.topics.shift_remove(topic);
                }
                Some(Ok(record)) => {
                    entry.topics.insert(topic.to_owned(), record.topic.task);
                }
                Some(Err(error)) => {
                    tracing::error!(key, %error, "Failed to deserialize topic status");
                }
            }
            return;
        }
        let status = match value.map(serde_json::from_slice::<Status>) {
            None => None,
            Some(Ok(status)) => Some(status),
            Some(Err(error)) => {
                tracing::error!(key, %error, "Failed to deserialize status");
                return;
            }
        };
        if let Some(status) = &status {
            self.highest_generation = self.highest_generation.max(status.generation);
        }
        if let Some(name) = key.strip_prefix("status-connector-") {
            self.connectors.entry(name.into()).or_default().connector = status;
        } else if let Some((name, task)) = key
            .strip_prefix("status-task-")
            .and_then(|id| id.rsplit_once('-'))
            .and_then(|(name, task)| Some((name, task.parse::<u32>().ok()?)))
        {
            let tasks = &mut self.connectors.entry(name.into()).or_default().tasks;
            match status {
                None => {
                    tasks.remove(&task);
                }
                // The task has started elsewhere before its old owner said that it has let go.
                Some(Status {
                    state: State::Unassigned,
                    generation,
                    ..
                }) if tasks.get(&task).is_some_and(|cached| {
                    cached.state == State::Running && cached.generation > generation
                }) => {}
                Some(status) => {
                    tasks.insert(task, status);
                }
            }
        } else {
            tracing::warn!(key, "Discarding record with invalid key");
        }
    }

    fn get(&self, of: &StatusOf) -> Option<&Status> {
        let entry = self.connectors.get(of.connector())?;
        match of {
            StatusOf::Connector(_) => entry.connector.as_ref(),
            StatusOf::Task(id) => entry.tasks.get(&id.task),
        }
    }
}

/// The status topic.
pub struct StatusStore {
    log: TopicLog,
    cache: Arc<Mutex<Cache>>,
    worker_id: String,
}

impl std::fmt::Debug for StatusStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusStore").finish_non_exhaustive()
    }
}

impl StatusStore {
    /// Begins to read.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        topic: &str,
        consumer: ClientConfig,
        producer: Arc<StoreProducer>,
        worker_id: &str,
    ) -> Result<Self> {
        let cache = Arc::default();
        let log = TopicLog::start(topic, consumer, Some(producer), handler(&cache))?;
        Ok(Self {
            log,
            cache,
            worker_id: worker_id.to_owned(),
        })
    }

    /// A store without a topic, empty.
    pub fn memory(worker_id: &str) -> Self {
        let cache = Arc::default();
        let log = TopicLog::memory("status", handler(&cache));
        Self {
            log,
            cache,
            worker_id: worker_id.to_owned(),
        }
    }

    /// Waits until all that was there at the start has been read.
    ///
    /// # Errors
    /// Reading failed, or took too long.
    pub fn wait_until_read(&self, limit: Duration) -> Result<()> {
        self.log.wait_until_read(limit).map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The highest generation that any record carries.
    pub fn highest_generation(&self) -> i64 {
        self.lock().highest_generation
    }

    /// Writes a status, unless it could hide one of a newer generation elsewhere.
    pub fn put(
        &self,
        of: &StatusOf,
        state: State,
        generation: i64,
        version: Option<&str>,
        trace: Option<String>,
    ) {
        if state.is_safe_only()
            && self.lock().get(of).is_some_and(|cached| {
                cached.worker_id != self.worker_id && cached.generation > generation
            })
        {
            return;
        }
        let status = Status {
            state,
            trace,
            worker_id: self.worker_id.clone(),
            generation,
            version: version.map(str::to_owned),
        };
        if let Ok(value) = serde_json::to_vec(&status) {
            self.log.send(of.key().as_bytes(), Some(&value));
        }
    }

    /// Forgets a status.
    pub fn remove(&self, of: &StatusOf) {
        self.log.send(of.key().as_bytes(), None);
    }

    /// Everything that has a status.
    pub fn all(&self) -> Vec<StatusOf> {
        let cache = self.lock();
        let mut all = Vec::new();
        for (name, entry) in &cache.connectors {
            if entry.connector.is_some() {
                all.push(StatusOf::Connector(Arc::clone(name)));
            }
            all.extend(entry.tasks.keys().map(|&task| {
                StatusOf::Task(TaskId {
                    connector: Arc::clone(name),
                    task,
                })
            }));
        }
        all
    }

    /// A connector's own state.
    pub fn connector(&self, name: &str) -> Option<StateInfo> {
        let cache = self.lock();
        Some(info(cache.connectors.get(name)?.connector.as_ref()?))
    }
    /// A task's state.
    pub fn task(&self, name: &str, task: u32) -> Option<StateInfo> {
        let cache = self.lock();
        Some(info(cache.connectors.get(name)?.tasks.get(&task)?))
    }
    /// The states of all of a connector's tasks, ascending.
    pub fn tasks(&self, name: &str) -> Vec<(u32, StateInfo)> {
        let cache = self.lock();
        cache.connectors.get(name).map_or_else(Vec::new, |entry| {
            entry
                .tasks
                .iter()
                .map(|(&task, status)| (task, info(status)))
                .collect()
        })
    }

    /// The topics that a connector has used.
    pub fn topics(&self, name: &str) -> Vec<String> {
        let cache = self.lock();
        cache
            .connectors
            .get(name)
            .map_or_else(Vec::new, |entry| entry.topics.keys().cloned().collect())
    }
    /// Notes that a connector uses a topic, unless that is known.
    pub fn put_topic(&self, id: &TaskId, topic: &str, now_ms: i64) {
        let known = self
            .lock()
            .connectors
            .get(&id.connector)
            .is_some_and(|entry| entry.topics.contains_key(topic));
        if known {
            return;
        }
        let record = TopicRecord {
            topic: TopicStatus {
                name: topic.to_owned(),
                connector: id.connector.to_string(),
                task: id.task,
                discover_timestamp: now_ms,
            },
        };
        if let Ok(value) = serde_json::to_vec(&record) {
            self.log
                .send(topic_key(topic, &id.connector).as_bytes(), Some(&value));
        }
    }
    /// Forgets the topics that a connector has used.
    pub fn reset_topics(&self, name: &str) {
        for topic in self.topics(name) {
            self.log.send(topic_key(&topic, name).as_bytes(), None);
        }
    }

    /// Stops reading.
    pub fn stop(&self) {
        self.log.stop();
    }
}

fn handler(cache: &Arc<Mutex<Cache>>) -> Handler {
    let cache = Arc::clone(cache);
    Box::new(move |record| {
        let Some(key) = record.key else { return };
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.apply(&String::from_utf8_lossy(key), record.value);
    })
}

fn topic_key(topic: &str, connector: &str) -> String {
    format!("status-topic-{topic}:connector-{connector}")
}

fn info(status: &Status) -> StateInfo {
    StateInfo {
        state: status.state.name().to_owned(),
        worker_id: status.worker_id.clone(),
        version: status.version.clone(),
        trace: status.trace.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str, generation: i64) -> String {
        format!(
            r#"{{"state":"{state}","trace":null,"worker_id":"127.0.0.1:38083","generation":{generation},"version":"4.3.1"}}"#
        )
    }

    #[test]
    fn a_status_is_written_as_the_jvm_writes_it() {
        let text = status("RUNNING", 9);
        let parsed: Status = serde_json::from_str(&text).expect("well formed");
        assert_eq!(serde_json::to_string(&parsed).expect("serialises"), text);
        let old = r#"{"state":"PAUSED","trace":"t","worker_id":"w","generation":1}"#;
        let parsed: Status = serde_json::from_str(old).expect("well formed");
        assert_eq!(parsed.version, None);
    }

    #[test]
    fn a_late_unassigned_does_not_hide_a_running_task() {
        let mut cache = Cache::default();
        cache.apply("status-task-a-b-3", Some(status("RUNNING", 5).as_bytes()));
        cache.apply(
            "status-task-a-b-3",
            Some(status("UNASSIGNED", 4).as_bytes()),
        );
        let of = StatusOf::Task(TaskId {
            connector: "a-b".into(),
            task: 3,
        });
        assert_eq!(
            cache.get(&of).map(|status| status.state),
            Some(State::Running)
        );
        cache.apply(
            "status-task-a-b-3",
            Some(status("UNASSIGNED", 5).as_bytes()),
        );
        assert_eq!(
            cache.get(&of).map(|status| status.state),
            Some(State::Unassigned)
        );
        cache.apply("status-task-a-b-3", None);
        assert_eq!(cache.get(&of), None);
        assert_eq!(cache.highest_generation, 5);
    }

    #[test]
    fn topics_are_remembered_until_their_tombstone() {
        let mut cache = Cache::default();
        let key = topic_key("rtc-lines", "rtc-sink");
        assert_eq!(key, "status-topic-rtc-lines:connector-rtc-sink");
        let value = r#"{"topic":{"name":"rtc-lines","connector":"rtc-sink","task":0,"discoverTimestamp":1795246392787}}"#;
        cache.apply(&key, Some(value.as_bytes()));
        assert_eq!(cache.connectors["rtc-sink"].topics.len(), 1);
        let parsed: TopicRecord = serde_json::from_str(value).expect("well formed");
        assert_eq!(serde_json::to_string(&parsed).expect("serialises"), value);
        cache.apply(&key, None);
        assert!(cache.connectors["rtc-sink"].topics.is_empty());
    }
}
