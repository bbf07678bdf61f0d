//! The bodies of answers: names and order of members are wire format.
//!
//! Answers for `org.apache.kafka.connect.runtime.rest.entities`.

use connect_api::config::ConfigValue;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::herder::request::{ConnectorInfo, ConnectorStatus, OffsetEntry, RawConfig, StateInfo};
use crate::herder::validate::{ConfigInfos, KeyInfo};

/// `{connector, task}`.
#[derive(Serialize)]
pub(super) struct TaskId<'a> {
    connector: &'a str,
    task: u32,
}

/// `{name, config, tasks, type}`.
pub(super) struct Info<'a>(pub(super) &'a ConnectorInfo);

impl Serialize for Info<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(info) = self;
        let tasks: Vec<TaskId<'_>> = info
            .tasks
            .iter()
            .map(|&task| TaskId {
                connector: &info.name,
                task,
            })
            .collect();
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("name", &info.name)?;
        map.serialize_entry("config", &info.config)?;
        map.serialize_entry("tasks", &tasks)?;
        map.serialize_entry("type", info.kind.name())?;
        map.end()
    }
}

/// `[{id: {connector, task}, config}]`.
pub(super) struct Tasks<'a>(pub(super) &'a str, pub(super) &'a [RawConfig]);

impl Serialize for Tasks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct TaskInfo<'a> {
            id: TaskId<'a>,
            config: &'a RawConfig,
        }
        let Self(connector, configs) = *self;
        serializer.collect_seq((0..).zip(configs).map(|(task, config)| TaskInfo {
            id: TaskId { connector, task },
            config,
        }))
    }
}

/// The state of a connector or, with its number, of a task.
pub(super) struct State<'a>(pub(super) Option<u32>, pub(super) &'a StateInfo);

impl Serialize for State<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(id, state) = self;
        let mut map = serializer.serialize_map(None)?;
        if let Some(id) = id {
            map.serialize_entry("id", id)?;
        }
        map.serialize_entry("state", &state.state)?;
        map.serialize_entry("worker_id", &state.worker_id)?;
        if state.version.as_deref() != Some("undefined") {
            map.serialize_entry("version", &state.version)?;
        }
        if let Some(trace) = state.trace.as_deref().filter(|trace| !trace.is_empty()) {
            map.serialize_entry("trace", trace)?;
        }
        map.end()
    }
}

/// `{name, connector, tasks, type}`.
pub(super) struct Status<'a>(pub(super) &'a ConnectorStatus);

impl Serialize for Status<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(status) = self;
        let tasks: Vec<State<'_>> = status
            .tasks
            .iter()
            .map(|(id, state)| State(Some(*id), state))
            .collect();
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("name", &status.name)?;
        map.serialize_entry("connector", &State(None, &status.connector))?;
        map.serialize_entry("tasks", &tasks)?;
        map.serialize_entry("type", status.kind.name())?;
        map.end()
    }
}

/// `{offsets: [{partition, offset}]}`.
pub(super) struct Offsets<'a>(pub(super) &'a [OffsetEntry]);

impl Serialize for Offsets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'a> {
            partition: &'a serde_json::Value,
            offset: &'a serde_json::Value,
        }
        let entries: Vec<Entry<'_>> = self
            .0
            .iter()
            .map(|entry| Entry {
                partition: &entry.partition,
                offset: &entry.offset,
            })
            .collect();
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("offsets", &entries)?;
        map.end()
    }
}

/// The definition of an option (`ConfigKeyInfo`).
pub(super) struct Key<'a>(pub(super) &'a KeyInfo);

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(key) = self;
        let mut map = serializer.serialize_map(Some(11))?;
        map.serialize_entry("name", &key.name)?;
        map.serialize_entry("type", key.kind.name())?;
        map.serialize_entry("required", &key.required)?;
        map.serialize_entry("default_value", &key.default_value)?;
        map.serialize_entry("importance", key.importance.name())?;
        map.serialize_entry("documentation", &key.documentation)?;
        map.serialize_entry("group", &key.group)?;
        map.serialize_entry("order_in_group", &key.order_in_group)?;
        map.serialize_entry("width", key.width.name())?;
        map.serialize_entry("display_name", &key.display_name)?;
        map.serialize_entry("dependents", &key.dependents)?;
        map.end()
    }
}

/// What validation found out (`ConfigInfos`).
pub(super) struct Infos<'a>(pub(super) &'a ConfigInfos);

impl Serialize for Infos<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(infos) = self;
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("name", &infos.name)?;
        map.serialize_entry("error_count", &infos.error_count)?;
        map.serialize_entry("groups", &infos.groups)?;
        map.serialize_entry("configs", &Configs(&infos.configs))?;
        map.end()
    }
}

struct Configs<'a>(&'a [(Option<KeyInfo>, Option<ConfigValue>)]);

impl Serialize for Configs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Info<'a> {
            definition: Option<Key<'a>>,
            value: Option<Value<'a>>,
        }
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for (definition, value) in self.0 {
            seq.serialize_element(&Info {
                definition: definition.as_ref().map(Key),
                value: value.as_ref().map(Value),
            })?;
        }
        seq.end()
    }
}

/// The value of an option (`ConfigValueInfo`).
struct Value<'a>(&'a ConfigValue);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value) = self;
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("name", &value.name)?;
        map.serialize_entry("value", &value.value)?;
        map.serialize_entry("recommended_values", &value.recommended_values)?;
        map.serialize_entry("errors", &value.errors)?;
        map.serialize_entry("visible", &value.visible)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::herder::request::ConnectorKind;

    #[test]
    fn a_status_shows_null_versions_and_leaves_out_empty_traces() {
        let state = |version: Option<&str>, trace: Option<&str>| StateInfo {
            state: "RUNNING".to_owned(),
            worker_id: "h:1".to_owned(),
            version: version.map(str::to_owned),
            trace: trace.map(str::to_owned),
        };
        let status = ConnectorStatus {
            name: "c".to_owned(),
            connector: state(Some("1"), None),
            tasks: vec![
                (0, state(None, Some("boom\n"))),
                (1, state(Some("undefined"), Some(""))),
            ],
            kind: ConnectorKind::Source,
        };
        assert_eq!(
            serde_json::to_string(&Status(&status)).expect("serializes"),
            r#"{"name":"c","connector":{"state":"RUNNING","worker_id":"h:1","version":"1"},"tasks":[{"id":0,"state":"RUNNING","worker_id":"h:1","version":null,"trace":"boom\n"},{"id":1,"state":"RUNNING","worker_id":"h:1"}],"type":"source"}"#
        );
    }

    #[test]
    fn a_connector_shows_its_tasks_by_id() {
        let info = ConnectorInfo {
            name: "c".to_owned(),
            config: [
                ("name".to_owned(), Some("c".to_owned())),
                ("x".to_owned(), None),
            ]
            .into_iter()
            .collect(),
            tasks: vec![0],
            kind: ConnectorKind::Unknown,
        };
        assert_eq!(
            serde_json::to_string(&Info(&info)).expect("serializes"),
            r#"{"name":"c","config":{"name":"c","x":null},"tasks":[{"connector":"c","task":0}],"type":"unknown"}"#
        );
    }
}
