//! What the config topic says, as a pure snapshot that records are applied to one by one.
//!
//! The topic is replayed in order. Task configurations wait for the commit of their connector, so
//! that a reader never acts on half a set. No I/O, no clock. Answers for `ClusterConfigState` and
//! the reading half of `KafkaConfigBackingStore`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use connect_api::java::HashMap as JavaHashMap;
use serde_json::Value as Json;

use crate::herder::request::{RawConfig, TargetState, TaskId};

/// What a record changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// A connector is new or has another configuration.
    Connector(Arc<str>),
    /// A connector was deleted.
    ConnectorRemoved(Arc<str>),
    /// A connector has a new complete set of task configurations.
    Tasks(Arc<str>),
    /// A connector shall be in another state.
    TargetState(Arc<str>),
    /// A restart was asked for.
    Restart {
        /// The connector.
        connector: Arc<str>,
        /// Only what is FAILED.
        only_failed: bool,
        /// Its tasks, too.
        include_tasks: bool,
    },
    /// No more than that it was read: what it says is in the snapshot.
    Nothing,
    /// A logger shall have another level on every worker.
    Logger {
        /// The logger.
        logger: Arc<str>,
        /// The level, as it was sent.
        level: String,
    },
}

/// The key that requests between workers are signed with (`SessionKey`).
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey {
    /// Its bytes.
    pub key: Vec<u8>,
    /// The algorithm that it was made for.
    pub algorithm: String,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: i64,
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionKey")
            .field("created_ms", &self.created_ms)
            .finish_non_exhaustive()
    }
}

/// All that is known of a connector. Parts of it may arrive before its configuration does.
#[derive(Clone, Debug, Default)]
struct ConnectorEntry {
    config: Option<Arc<RawConfig>>,
    /// Its place among all connectors by when they came.
    place: u64,
    target: Option<TargetState>,
    tasks: BTreeMap<u32, Arc<RawConfig>>,
    task_count: Option<u32>,
    /// Read, but not committed yet.
    deferred: BTreeMap<u32, Arc<RawConfig>>,
    /// The configuration that the committed tasks were made from.
    applied: Option<Arc<RawConfig>>,
    inconsistent: bool,
    task_generation: Option<u32>,
    task_count_record: Option<u32>,
    pending_fencing: bool,
}

/// What the config topic says up to [`Self::offset`].
#[derive(Clone, Debug)]
pub struct ClusterConfigState {
    offset: i64,
    /// How many connectors have come.
    came: u64,
    session_key: Option<SessionKey>,
    connectors: BTreeMap<Arc<str>, ConnectorEntry>,
}

impl Default for ClusterConfigState {
    fn default() -> Self {
        Self {
            offset: -1,
            came: 0,
            session_key: None,
            connectors: BTreeMap::new(),
        }
    }
}

impl ClusterConfigState {
    /// The offset after the last record, -1 where there was none.
    pub fn offset(&self) -> i64 {
        self.offset
    }
    /// The key that requests between workers are signed with.
    pub fn session_key(&self) -> Option<&SessionKey> {
        self.session_key.as_ref()
    }
    /// The names of all connectors that have a configuration, sorted.
    pub fn connectors(&self) -> impl Iterator<Item = &Arc<str>> {
        self.connectors
            .iter()
            .filter(|(_, entry)| entry.config.is_some())
            .map(|(name, _)| name)
    }
    /// The same in the order in which they came, which shows where names meet in a hash table.
    pub fn connectors_as_they_came(&self) -> Vec<&Arc<str>> {
        let mut found: Vec<_> = self
            .connectors
            .iter()
            .filter(|(_, entry)| entry.config.is_some())
            .collect();
        found.sort_by_key(|(_, entry)| entry.place);
        found.into_iter().map(|(name, _)| name).collect()
    }
    fn entry(&self, name: &str) -> Option<&ConnectorEntry> {
        self.connectors
            .get(name)
            .filter(|entry| entry.config.is_some())
    }
    /// Whether there is such a connector.
    pub fn contains(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }
    /// A connector's configuration.
    pub fn config(&self, name: &str) -> Option<&Arc<RawConfig>> {
        self.entry(name)?.config.as_ref()
    }
    /// What a connector shall be.
    pub fn target(&self, name: &str) -> Option<TargetState> {
        Some(self.entry(name)?.target.unwrap_or_default())
    }
    /// The configuration that the current tasks were made from.
    pub fn applied(&self, name: &str) -> Option<&Arc<RawConfig>> {
        self.entry(name)?.applied.as_ref()
    }
    /// How many tasks the last commit announced.
    pub fn task_count(&self, name: &str) -> u32 {
        self.entry(name)
            .and_then(|entry| entry.task_count)
            .unwrap_or(0)
    }
    /// How often a connector's tasks have been committed since the topic's beginning, from 0.
    pub fn task_generation(&self, name: &str) -> Option<u32> {
        self.entry(name)?.task_generation
    }
    /// How many tasks the last round of fencing noted.
    pub fn task_count_record(&self, name: &str) -> Option<u32> {
        self.entry(name)?.task_count_record
    }
    /// Whether tasks were committed since then.
    pub fn pending_fencing(&self, name: &str) -> bool {
        self.entry(name).is_some_and(|entry| entry.pending_fencing)
    }
    /// A connector's tasks; none where its set is incomplete.
    pub fn tasks(&self, name: &str) -> Vec<TaskId> {
        let Some((connector, entry)) = self.connectors.get_key_value(name) else {
            return Vec::new();
        };
        if entry.inconsistent || entry.config.is_none() {
            return Vec::new();
        }
        (0..entry.task_count.unwrap_or(0))
            .map(|task| TaskId {
                connector: Arc::clone(connector),
                task,
            })
            .collect()
    }
    /// A task's configuration.
    pub fn task_config(&self, id: &TaskId) -> Option<&Arc<RawConfig>> {
        self.connectors.get(&id.connector)?.tasks.get(&id.task)
    }
    /// All tasks' configurations in order; `None` where the set is incomplete.
    pub fn task_configs(&self, name: &str) -> Option<Vec<&Arc<RawConfig>>> {
        let entry = self.entry(name)?;
        let count = entry.task_count.filter(|_| !entry.inconsistent)?;
        (0..count).map(|task| entry.tasks.get(&task)).collect()
    }

    /// Applies a record of the config topic; answers what it changed.
    pub fn apply(&mut self, offset: i64, key: &[u8], value: Option<&[u8]>) -> Option<ConfigChange> {
        let value = match value.map(serde_json::from_slice::<Json>) {
            None => None,
            Some(Ok(value)) => Some(value),
            Some(Err(error)) => {
                tracing::error!(offset, %error, "Failed to convert config data to Kafka Connect format");
                return None;
            }
        };
        self.offset = offset + 1;
        let key = String::from_utf8_lossy(key);
        if let Some(name) = key.strip_prefix("target-state-") {
            return self.target_record(name, value.as_ref());
        }
        if let Some(name) = key.strip_prefix("connector-") {
            return self.connector_record(name, value.as_ref());
        }
        if let Some(id) = key.strip_prefix("task-") {
            self.task_record(id, value.as_ref());
            return None;
        }
        if let Some(name) = key.strip_prefix("commit-") {
            return self.commit_record(name, value.as_ref());
        }
        if let Some(name) = key.strip_prefix("restart-connector-") {
            let value = value?;
            let flag = |name: &str| value.get(name).and_then(Json::as_bool).unwrap_or(false);
            return Some(ConfigChange::Restart {
                connector: name.into(),
                only_failed: flag("only-failed"),
                include_tasks: flag("include-tasks"),
            });
        }
        if let Some(name) = key.strip_prefix("tasks-fencing-") {
            let entry = self.connectors.entry(name.into()).or_default();
            entry.task_count_record =
                value.and_then(|value| u32::try_from(value.get("task-count")?.as_u64()?).ok());
            entry.pending_fencing = false;
            return None;
        }
        if key == "session-key" {
            match value.as_ref().and_then(session_key) {
                Some(found) => self.session_key = Some(found),
                None => tracing::error!("Invalid data for session key"),
            }
            return None;
        }
        if let Some(logger) = key.strip_prefix("logger-cluster-") {
            let level = value?.get("level")?.as_str()?.to_owned();
            return Some(ConfigChange::Logger {
                logger: logger.into(),
                level,
            });
        }
        tracing::error!(%key, "Discarding config update record with invalid key");
        None
    }

    fn target_record(&mut self, name: &str, value: Option<&Json>) -> Option<ConfigChange> {
        let entry = self.connectors.entry(name.into()).or_default();
        let target = match value {
            None => TargetState::Started,
            Some(value) => {
                let text = value
                    .get("state.v2")
                    .or_else(|| value.get("state"))?
                    .as_str()?;
                let Some(target) = TargetState::parse(text) else {
                    tracing::error!(connector = name, state = text, "Invalid target state");
                    return None;
                };
                target
            }
        };
        let changed = entry.target != Some(target);
        entry.target = Some(target);
        (changed && entry.config.is_some()).then(|| ConfigChange::TargetState(name.into()))
    }

    fn connector_record(&mut self, name: &str, value: Option<&Json>) -> Option<ConfigChange> {
        let entry = self.connectors.entry(name.into()).or_default();
        match value {
            None => {
                let existed = entry.config.is_some();
                *entry = ConnectorEntry {
                    target: entry.target,
                    task_count_record: entry.task_count_record,
                    ..ConnectorEntry::default()
                };
                existed.then(|| ConfigChange::ConnectorRemoved(name.into()))
            }
            Some(value) => {
                let config = properties(name, value)?;
                if entry.config.is_none() {
                    self.came += 1;
                    entry.place = self.came;
                }
                entry.config = Some(Arc::new(config));
                entry.target.get_or_insert_default();
                Some(ConfigChange::Connector(name.into()))
            }
        }
    }

    fn task_record(&mut self, id: &str, value: Option<&Json>) {
        let parsed = id
            .rsplit_once('-')
            .and_then(|(name, task)| Some((name, task.parse::<u32>().ok()?)));
        let Some((name, task)) = parsed else {
            tracing::error!(
                id,
                "Ignoring task configuration because its key has no task number"
            );
            return;
        };
        let Some(config) = value.and_then(|value| properties(name, value)) else {
            return;
        };
        let entry = self.connectors.entry(name.into()).or_default();
        entry.deferred.insert(task, Arc::new(config));
    }

    fn commit_record(&mut self, name: &str, value: Option<&Json>) -> Option<ConfigChange> {
        let entry = self.connectors.entry(name.into()).or_default();
        if entry.config.is_none() {
            // Left over from before a deletion; compaction keeps the newest of each key.
            let target = entry.target;
            *entry = ConnectorEntry {
                target,
                ..ConnectorEntry::default()
            };
            return None;
        }
        let count = u32::try_from(value?.get("tasks")?.as_u64()?).ok()?;
        let expected: BTreeSet<u32> = (0..count).collect();
        let deferred: BTreeSet<u32> = entry.deferred.keys().copied().collect();
        entry.inconsistent = !expected.is_subset(&deferred);
        if entry.inconsistent {
            tracing::debug!(
                connector = name,
                "the set of task configurations is incomplete"
            );
        } else {
            let bumps = count > 0 || entry.task_generation.is_some() || !deferred.is_empty();
            entry.tasks.append(&mut entry.deferred);
            entry.applied = entry.config.clone();
            if bumps {
                entry.task_generation = Some(entry.task_generation.map_or(0, |last| last + 1));
            }
        }
        entry.deferred.clear();
        entry.task_count = Some(count);
        entry.pending_fencing = true;
        Some(ConfigChange::Tasks(name.into()))
    }
}

fn session_key(value: &Json) -> Option<SessionKey> {
    let text = |name: &str| value.get(name)?.as_str();
    Some(SessionKey {
        key: BASE64.decode(text("key")?).ok()?,
        algorithm: text("algorithm")?.to_owned(),
        created_ms: value.get("creation-timestamp")?.as_i64()?,
    })
}

/// The `properties` of a connector or task record, in the order of the map that Java makes of them.
fn properties(name: &str, value: &Json) -> Option<RawConfig> {
    let Some(Json::Object(properties)) = value.get("properties") else {
        tracing::error!(
            connector = name,
            "Invalid data for connector or task config: no properties"
        );
        return None;
    };
    let values = properties.iter().map(|(key, value)| {
        let value = match value {
            Json::Null => None,
            Json::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        (key.clone(), value)
    });
    Some(in_java_order(values))
}

/// The entries in the order in which a `java.util.HashMap` of them iterates.
pub fn in_java_order(entries: impl Iterator<Item = (String, Option<String>)>) -> RawConfig {
    let mut map = JavaHashMap::new();
    for (key, value) in entries {
        map.insert(key, value);
    }
    map.iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(records: &[(&str, Option<&str>)]) -> (ClusterConfigState, Vec<Option<ConfigChange>>) {
        let mut state = ClusterConfigState::default();
        let changes = records
            .iter()
            .zip(0..)
            .map(|((key, value), offset)| {
                state.apply(offset, key.as_bytes(), value.map(str::as_bytes))
            })
            .collect();
        (state, changes)
    }
    const CONFIG: Option<&str> = Some(r#"{"properties":{"connector.class":"X","tasks.max":"1"}}"#);
    const TASK: Option<&str> = Some(r#"{"properties":{"task.class":"T"}}"#);

    #[test]
    fn tasks_count_once_they_are_committed() {
        let (state, changes) = state(&[
            ("connector-a", CONFIG),
            ("task-a-0", TASK),
            ("task-a-1", TASK),
            ("commit-a", Some(r#"{"tasks":2}"#)),
        ]);
        assert_eq!(changes[0], Some(ConfigChange::Connector("a".into())));
        assert_eq!(changes[1], None);
        assert_eq!(changes[3], Some(ConfigChange::Tasks("a".into())));
        assert_eq!(state.tasks("a").len(), 2);
        assert_eq!(state.applied("a"), state.config("a"));
        assert_eq!(state.offset(), 4);
    }

    #[test]
    fn an_incomplete_set_of_tasks_is_empty() {
        let (state, _) = state(&[
            ("connector-a", CONFIG),
            ("task-a-1", TASK),
            ("commit-a", Some(r#"{"tasks":2}"#)),
        ]);
        assert!(state.tasks("a").is_empty());
        assert_eq!(state.task_count("a"), 2);
        assert_eq!(state.task_configs("a"), None);
    }

    #[test]
    fn the_newer_form_of_a_target_state_wins_and_may_precede_its_connector() {
        let (state, changes) = state(&[
            (
                "target-state-a",
                Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#),
            ),
            ("connector-a", CONFIG),
            ("target-state-a", Some(r#"{"state":"PAUSED"}"#)),
            ("target-state-a", Some(r#"{"state":"NOPE"}"#)),
        ]);
        assert_eq!(changes[0], None);
        assert_eq!(changes[2], Some(ConfigChange::TargetState("a".into())));
        assert_eq!(changes[3], None);
        assert_eq!(state.target("a"), Some(TargetState::Paused));
    }

    #[test]
    fn a_deleted_connector_is_gone_with_its_tasks() {
        let (state, changes) = state(&[
            ("connector-a", CONFIG),
            ("task-a-0", TASK),
            ("commit-a", Some(r#"{"tasks":1}"#)),
            ("connector-a", None),
            ("target-state-a", None),
            ("commit-a", Some(r#"{"tasks":1}"#)),
        ]);
        assert_eq!(changes[3], Some(ConfigChange::ConnectorRemoved("a".into())));
        assert_eq!(changes[5], None);
        assert!(!state.contains("a"));
        assert!(state.tasks("a").is_empty());
    }

    #[test]
    fn a_new_configuration_is_not_applied_before_the_next_commit() {
        let (state, _) = state(&[
            ("connector-a", CONFIG),
            ("commit-a", Some(r#"{"tasks":0}"#)),
            (
                "connector-a",
                Some(r#"{"properties":{"connector.class":"Y"}}"#),
            ),
        ]);
        assert_ne!(state.applied("a"), state.config("a"));
    }

    #[test]
    fn unreadable_json_does_not_move_the_offset_but_a_wrong_shape_does() {
        let (first, _) = state(&[("connector-a", Some("{"))]);
        assert_eq!(first.offset(), -1);
        let (second, _) = state(&[("connector-a", Some("{}")), ("nonsense", Some("1"))]);
        assert_eq!(second.offset(), 2);
        assert!(!second.contains("a"));
    }

    #[test]
    fn properties_come_in_javas_order() {
        let (state, _) = state(&[(
            "connector-a",
            Some(
                r#"{"properties":{"name":"n","tasks.max":"1","topic":"t","file":"f","connector.class":"c"}}"#,
            ),
        )]);
        let keys: Vec<&str> = state
            .config("a")
            .expect("there")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            ["connector.class", "file", "tasks.max", "name", "topic"]
        );
    }
}
