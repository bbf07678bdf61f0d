//! The herder as the REST API sees it: one async method per request, and the answers' shapes.
//!
//! Nothing here decides or does I/O; a request travels to the herder's thread and its answer comes
//! back. Answers serialise to the JVM's JSON, members in its order. Answers for
//! `org.apache.kafka.connect.runtime.Herder` and `...runtime.rest.entities`.
//!
//! An error's kind says what REST answers: `Config` is 400, `NotFound` 404, `Conflict` and
//! `Rebalancing` 409, all else 500, always with the error's message.

use std::fmt;
use std::sync::Arc;

use connect_api::config::Config;
use connect_api::context::PluginContext;
use connect_api::plugin::{Plugin, PluginKind};
use connect_api::{Error, Props, Result};
use indexmap::IndexMap;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Shared;
use super::state::Event;

/// A connector's configuration as it is sent and stored: placeholders unresolved, `null` values
/// kept. What was read back from the config topic is in the order of a Java `HashMap`.
pub type ConfigMap = IndexMap<String, Option<String>>;

/// What the worker lends to the herder and its tasks.
pub trait Environment: Send + Sync + 'static {
    /// The worker's own configuration, parsed by the definition of a distributed worker's keys;
    /// config providers are resolved, `originals` holds every key of the file.
    fn config(&self) -> &Config;
    /// `host:port` of the advertised URL.
    fn worker_id(&self) -> &str;
    /// What plugins get.
    fn plugin_context(&self) -> PluginContext;
    /// Looks a plugin up by class or alias; [`PluginKind::Source`] and [`PluginKind::Sink`] both
    /// find any connector.
    ///
    /// # Errors
    /// There is none, or the alias fits several: Java's text, naming the class.
    fn plugin(&self, kind: PluginKind, class_or_alias: &str) -> Result<Plugin>;
    /// The configuration with config-provider references and `${NAME}` placeholders resolved and
    /// `null` values left out.
    ///
    /// # Errors
    /// A provider cannot be read.
    fn resolve(&self, config: &ConfigMap) -> Result<Props>;
    /// Whether the override policy lets a connector override these client settings; `prefix` is
    /// `producer.override.`, `consumer.override.` or `admin.override.`, already cut off the keys.
    ///
    /// # Errors
    /// It does not: `Client Config Overrides not allowed [...]`.
    fn check_overrides(&self, prefix: &str, overrides: &Props) -> Result<()>;
}

/// Whether a connector reads or writes (`ConnectorType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectorType {
    /// Reads from elsewhere into Kafka.
    Source,
    /// Writes from Kafka to elsewhere.
    Sink,
    /// Its class is not installed.
    Unknown,
}

/// What a connector shall be (`TargetState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TargetState {
    /// Running.
    #[default]
    Started,
    /// Alive, moving no records.
    Paused,
    /// Without tasks.
    Stopped,
}

impl TargetState {
    /// `STARTED`, `PAUSED`, `STOPPED`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
        }
    }
    /// The state of such a name, in upper case.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Started, Self::Paused, Self::Stopped].into_iter().find(|state| state.name() == name)
    }
}

/// One task of a connector (`ConnectorTaskId`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TaskId {
    /// The connector.
    pub connector: Arc<str>,
    /// The task's number, from 0.
    pub task: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.connector, self.task)
    }
}

/// A connector: what POST, PUT, PATCH and GET answer (`ConnectorInfo`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectorInfo {
    /// Its name.
    pub name: String,
    /// Its configuration.
    pub config: ConfigMap,
    /// Its tasks, ascending.
    pub tasks: Vec<TaskId>,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ConnectorType,
}

/// A task with its configuration (`TaskInfo`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskInfo {
    /// Which one.
    pub id: TaskId,
    /// Its configuration, placeholders unresolved.
    pub config: ConfigMap,
}

/// The state of a connector or a task as the status topic has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateInfo {
    /// The task's number; `None` for the connector itself.
    pub id: Option<u32>,
    /// `RUNNING`, `FAILED`, …
    pub state: String,
    /// Where it runs.
    pub worker_id: String,
    /// The plugin's version.
    pub version: Option<String>,
    /// Why it failed.
    pub trace: Option<String>,
}

impl Serialize for StateInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(id) = self.id {
            map.serialize_entry("id", &id)?;
        }
        map.serialize_entry("state", &self.state)?;
        map.serialize_entry("worker_id", &self.worker_id)?;
        // Java leaves out the text of an unknown version, but not a null.
        if self.version.as_deref() != Some("undefined") {
            map.serialize_entry("version", &self.version)?;
        }
        if let Some(trace) = self.trace.as_ref().filter(|trace| !trace.is_empty()) {
            map.serialize_entry("trace", trace)?;
        }
        map.end()
    }
}

/// A connector's status (`ConnectorStateInfo`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectorStateInfo {
    /// Its name.
    pub name: String,
    /// Its own state.
    pub connector: StateInfo,
    /// Its tasks' states, ascending.
    pub tasks: Vec<StateInfo>,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ConnectorType,
}

/// A stored offset, or a change of one (`ConnectorOffset`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorOffset {
    /// Which part of the source; `null` where a request leaves it out.
    #[serde(default)]
    pub partition: Option<serde_json::Map<String, serde_json::Value>>,
    /// The position; `null` forgets it.
    #[serde(default)]
    pub offset: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Offsets of a connector (`ConnectorOffsets`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorOffsets {
    /// One for each partition.
    #[serde(default)]
    pub offsets: Vec<ConnectorOffset>,
}

/// Where a request's answer goes.
pub type Answer<T> = oneshot::Sender<Result<T>>;

/// What REST asks of the herder's thread. Reads that need no decision do not pass through it.
#[derive(Debug)]
pub enum Request {
    /// Creates or changes a connector; the configuration is valid.
    PutConnector {
        /// The connector.
        name: String,
        /// Its whole configuration.
        config: ConfigMap,
        /// What it shall be at first.
        target: Option<TargetState>,
        /// Whether it may exist.
        allow_replace: bool,
        /// Whether it was created, and what it is now.
        answer: Answer<(bool, ConnectorInfo)>,
    },
    /// Deletes a connector.
    DeleteConnector(String, Answer<()>),
    /// Pauses, resumes or stops a connector.
    SetTarget(String, TargetState, Answer<()>),
    /// Restarts a connector itself.
    RestartConnector(String, Answer<()>),
    /// Restarts a connector and what else the request covers.
    RestartPlan {
        /// The connector.
        name: String,
        /// Only what is FAILED.
        only_failed: bool,
        /// Its tasks, too.
        include_tasks: bool,
        /// Its state by the status topic when the request came.
        status: ConnectorStateInfo,
        /// What will be restarted.
        answer: Answer<ConnectorStateInfo>,
    },
    /// Restarts a task.
    RestartTask(TaskId, Answer<()>),
    /// Takes a look from the herder's thread: whether it is alive.
    Health(Answer<()>),
    /// Checks that a connector may have its offsets changed, and holds it stopped meanwhile.
    CheckStopped(String, Answer<()>),
}

/// The herder, for REST: cheap to clone.
#[derive(Clone, Debug)]
pub struct HerderHandle {
    pub(super) shared: Arc<Shared>,
}

impl HerderHandle {
    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.shared.send(Event::Request(request(answer)));
        // The JVM's limit for a request that waits for the herder.
        match tokio::time::timeout(std::time::Duration::from_secs(90), answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_gone)) => Err(Error::fatal("Worker is shutting down")),
            Err(_elapsed) => Err(Error::fatal("Request timed out")),
        }
    }

    /// The names of all connectors, in Java's order.
    pub fn connectors(&self) -> Vec<String> {
        self.shared.connectors()
    }
    /// The cluster's id (`kafka_cluster_id`).
    pub fn kafka_cluster_id(&self) -> &str {
        self.shared.cluster_id()
    }
    /// A connector.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn connector_info(&self, name: &str) -> Result<ConnectorInfo> {
        self.shared.connector_info(name)
    }
    /// A connector's configuration as it is stored.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn connector_config(&self, name: &str) -> Result<ConfigMap> {
        self.shared.connector_config(name)
    }
    /// A connector's tasks with their configurations.
    ///
    /// # Errors
    /// There is no connector of this name.
    pub fn task_configs(&self, name: &str) -> Result<Vec<TaskInfo>> {
        self.shared.task_configs(name)
    }
    /// A connector's status.
    ///
    /// # Errors
    /// None is known.
    pub fn connector_status(&self, name: &str) -> Result<ConnectorStateInfo> {
        self.shared.connector_status(name)
    }
    /// A task's status.
    ///
    /// # Errors
    /// None is known.
    pub fn task_status(&self, name: &str, task: u32) -> Result<StateInfo> {
        self.shared.task_status(name, task)
    }
    /// Creates or changes a connector. The caller has validated the configuration (which holds
    /// `name`). Answers whether it was created, with the configuration in the order it was sent.
    ///
    /// # Errors
    /// It exists and `allow_replace` is false, or the config topic cannot be written.
    pub async fn put_connector(
        &self,
        name: String,
        config: ConfigMap,
        target: Option<TargetState>,
        allow_replace: bool,
    ) -> Result<(bool, ConnectorInfo)> {
        self.ask(|answer| Request::PutConnector { name, config, target, allow_replace, answer })
            .await
    }
    /// Deletes a connector.
    ///
    /// # Errors
    /// There is none of this name, or the config topic cannot be written.
    pub async fn delete_connector(&self, name: String) -> Result<()> {
        self.ask(|answer| Request::DeleteConnector(name, answer)).await
    }
    /// Pauses, resumes or stops a connector.
    ///
    /// # Errors
    /// There is none of this name, or the config topic cannot be written.
    pub async fn set_target_state(&self, name: String, target: TargetState) -> Result<()> {
        self.ask(|answer| Request::SetTarget(name, target, answer)).await
    }
    /// Restarts a connector without its tasks; answers once it has been told to start.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn restart_connector(&self, name: String) -> Result<()> {
        self.ask(|answer| Request::RestartConnector(name, answer)).await
    }
    /// Restarts what is asked for of a connector and its tasks; answers what will be.
    ///
    /// # Errors
    /// There is none of this name, or no status of it.
    pub async fn restart_connector_and_tasks(
        &self,
        name: String,
        only_failed: bool,
        include_tasks: bool,
    ) -> Result<ConnectorStateInfo> {
        self.shared.connector_config(&name).map_err(|_unknown| {
            Error::not_found(format!("Unknown connector: {name}"))
        })?;
        let status = self.shared.connector_status(&name).map_err(|_unknown| {
            Error::not_found(format!("Status for connector {name} not found"))
        })?;
        self.ask(|answer| Request::RestartPlan { name, only_failed, include_tasks, status, answer })
            .await
    }
    /// Restarts a task.
    ///
    /// # Errors
    /// There is no such connector or task.
    pub async fn restart_task(&self, name: &str, task: u32) -> Result<()> {
        let id = TaskId { connector: name.into(), task };
        self.ask(|answer| Request::RestartTask(id, answer)).await
    }
    /// The topics that a connector has used, in the order in which they were seen.
    pub fn topics(&self, name: &str) -> Vec<String> {
        self.shared.topics(name)
    }
    /// Forgets the topics that a connector has used.
    pub fn reset_topics(&self, name: &str) {
        self.shared.reset_topics(name);
    }
    /// A connector's offsets: a source's from the offsets topic, a sink's from its consumer group.
    ///
    /// # Errors
    /// There is none of this name, or the offsets cannot be read.
    pub async fn offsets(&self, name: String) -> Result<ConnectorOffsets> {
        self.shared.blocking(move |shared| shared.offsets(&name)).await
    }
    /// Sets offsets of a stopped connector; answers the message for the user.
    ///
    /// # Errors
    /// The connector is not stopped, an offset is wrong, or the offsets cannot be written.
    pub async fn alter_offsets(&self, name: String, offsets: ConnectorOffsets) -> Result<String> {
        self.ask(|answer| Request::CheckStopped(name.clone(), answer)).await?;
        self.shared.blocking(move |shared| shared.alter_offsets(&name, Some(offsets))).await
    }
    /// Forgets all offsets of a stopped connector; answers the message for the user.
    ///
    /// # Errors
    /// The connector is not stopped, or the offsets cannot be written.
    pub async fn reset_offsets(&self, name: String) -> Result<String> {
        self.ask(|answer| Request::CheckStopped(name.clone(), answer)).await?;
        self.shared.blocking(move |shared| shared.alter_offsets(&name, None)).await
    }
    /// Completes when the herder's thread has answered; `Err` where it does not within 10 s.
    ///
    /// # Errors
    /// The herder is gone or busy.
    pub async fn health(&self) -> Result<()> {
        match tokio::time::timeout(std::time::Duration::from_secs(10), self.ask(Request::Health))
            .await
        {
            Ok(answer) => answer,
            Err(_elapsed) => Err(Error::fatal("the herder does not answer")),
        }
    }
    /// Whether start-up is complete: the stores are read and all connectors were told to start.
    pub fn is_ready(&self) -> bool {
        self.shared.is_ready()
    }
    /// Stops all connectors and tasks, offsets flushed, and the herder itself. Blocks.
    pub fn stop(&self) {
        self.shared.stop();
    }
}
