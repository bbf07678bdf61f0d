//! The herder as the REST API sees it: one method per request, the shapes of answers, refusals.
//!
//! Nothing here decides or does I/O, and nothing here is JSON: bodies are made in `rest`. Answers
//! for `org.apache.kafka.connect.runtime.Herder`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use connect_api::{Error, ErrorKind};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json};
use tokio::sync::oneshot;

use crate::config::WorkerConfig;
use crate::logging::Loggers;
use crate::plugins::Plugins;
use crate::providers::Resolver;
use crate::task::auto_restart::Restart;

/// A connector's configuration as it is sent and stored: placeholders unresolved, `null` values
/// kept. What was read back from the config topic is in the order of a Java `HashMap`.
pub type RawConfig = IndexMap<String, Option<String>>;

/// What REST answers to a request that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400.
    BadRequest,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 409.
    Conflict,
    /// Another worker has to answer: forwarded, or 409 where that is not possible.
    NotHere,
    /// 500, with the Java class of the exception.
    Failure(&'static str),
    /// 503.
    Unavailable,
}

/// A request was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// What kind of refusal.
    pub refusal: Refusal,
    /// What the client reads.
    pub message: String,
    /// Where the worker that has to answer is.
    pub forward_to: Option<String>,
}

impl RequestError {
    /// A refusal with its message.
    pub fn new(refusal: Refusal, message: impl Into<String>) -> Self {
        Self {
            refusal,
            message: message.into(),
            forward_to: None,
        }
    }
    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Refusal::BadRequest, message)
    }
    /// Another worker has to answer; who it is may not be known.
    pub fn not_here(forward_to: Option<String>) -> Self {
        Self {
            refusal: Refusal::NotHere,
            message: "Cannot complete request momentarily due to no known leader URL, likely \
                      because a rebalance was underway."
                .to_owned(),
            forward_to,
        }
    }
    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Refusal::NotFound, message)
    }
    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Refusal::Conflict, message)
    }
    /// 500.
    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(
            Refusal::Failure("org.apache.kafka.connect.errors.ConnectException"),
            message,
        )
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for RequestError {}

impl From<Error> for RequestError {
    fn from(error: Error) -> Self {
        let refusal = match error.kind() {
            ErrorKind::NotFound => Refusal::NotFound,
            ErrorKind::Conflict | ErrorKind::Rebalancing => Refusal::Conflict,
            ErrorKind::Config | ErrorKind::Data | ErrorKind::Retriable | ErrorKind::Fatal => {
                Refusal::Failure(error.java_class())
            }
        };
        if matches!(refusal, Refusal::Failure(_)) && std::error::Error::source(&error).is_some() {
            tracing::error!(error = %connect_api::error::Chain(&error), "request failed");
        }
        Self::new(refusal, error.message())
    }
}

/// The answer to a request.
pub type Answer<T> = Result<T, RequestError>;

/// Whether a connector reads or writes (`ConnectorType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectorKind {
    /// Reads from elsewhere into Kafka.
    Source,
    /// Writes from Kafka to elsewhere.
    Sink,
    /// Its class is not installed.
    Unknown,
}

impl ConnectorKind {
    /// `source`, `sink`, `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Unknown => "unknown",
        }
    }
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
        [Self::Started, Self::Paused, Self::Stopped]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// One task of a connector (`ConnectorTaskId`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorInfo {
    /// Its name.
    pub name: String,
    /// Its configuration.
    pub config: RawConfig,
    /// The numbers of its tasks, ascending.
    pub tasks: Vec<u32>,
    /// What it is.
    pub kind: ConnectorKind,
}

/// The state of a connector or a task as the status topic has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateInfo {
    /// `RUNNING`, `FAILED`, …
    pub state: String,
    /// Where it runs.
    pub worker_id: String,
    /// The plugin's version.
    pub version: Option<String>,
    /// Why it failed.
    pub trace: Option<String>,
}

/// A connector's status (`ConnectorStateInfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorStatus {
    /// Its name.
    pub name: String,
    /// Its own state.
    pub connector: StateInfo,
    /// Its tasks' states by number, ascending.
    pub tasks: Vec<(u32, StateInfo)>,
    /// What it is.
    pub kind: ConnectorKind,
}

/// An integer beyond 64 bits, which JSON numbers have no place for here.
pub fn big_integer(digits: &str) -> Json {
    Json::Object(Map::from_iter([(BIG_INTEGER.to_owned(), digits.into())]))
}

/// The digits of such a one.
pub fn as_big_integer(value: &Json) -> Option<&str> {
    value.as_object()?.get(BIG_INTEGER)?.as_str()
}

/// No key that anybody uses.
const BIG_INTEGER: &str = "\0java.math.BigInteger";

/// A stored offset, or a change of one (`ConnectorOffset`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetEntry {
    /// Which part of the source: an object; `null` where a request leaves it out.
    pub partition: Json,
    /// The position: an object; `null` forgets it.
    pub offset: Json,
}

/// What a herder is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The worker's configuration.
    pub config: Arc<WorkerConfig>,
    /// The plugins it knows.
    pub plugins: Arc<Plugins>,
    /// Where references in configurations come from.
    pub resolver: Arc<Resolver>,
    /// The runtime for plugins' own I/O.
    pub runtime: tokio::runtime::Handle,
    /// The levels of logging, which the config topic may change.
    pub loggers: Arc<Loggers>,
}

/// The herder, for REST.
#[async_trait]
pub trait Herder: Send + Sync + 'static {
    /// The cluster's id.
    async fn kafka_cluster_id(&self) -> Answer<String>;
    /// Completes once the herder's thread has answered and start-up is complete.
    async fn ping(&self) -> Answer<()>;
    /// The names of all connectors, in Java's order.
    fn connectors(&self) -> Vec<String>;
    /// A connector.
    async fn connector(&self, name: &str) -> Answer<ConnectorInfo>;
    /// Creates or changes a connector, whose configuration is valid and holds its `name`. Answers
    /// whether it was created, with the configuration in the order in which it was sent.
    async fn put_connector(
        &self,
        name: &str,
        config: RawConfig,
        target: Option<TargetState>,
        allow_replace: bool,
    ) -> Answer<(bool, ConnectorInfo)>;
    /// Deletes a connector.
    async fn delete_connector(&self, name: &str) -> Answer<()>;
    /// Pauses, resumes or stops a connector.
    async fn set_target_state(&self, name: &str, target: TargetState) -> Answer<()>;
    /// A connector's status.
    ///
    /// # Errors
    /// None is known.
    fn status(&self, name: &str) -> Answer<ConnectorStatus>;
    /// A task's status.
    ///
    /// # Errors
    /// None is known.
    fn task_status(&self, name: &str, task: u32) -> Answer<StateInfo>;
    /// The configurations of a connector's tasks.
    async fn task_configs(&self, name: &str) -> Answer<Vec<RawConfig>>;
    /// Restarts a connector without its tasks.
    async fn restart_connector(&self, name: &str) -> Answer<()>;
    /// Restarts what is asked for of a connector and its tasks; answers what will be.
    async fn restart(
        &self,
        name: &str,
        only_failed: bool,
        include_tasks: bool,
    ) -> Answer<ConnectorStatus>;
    /// Restarts a task.
    async fn restart_task(&self, name: &str, task: u32) -> Answer<()>;
    /// The topics that a connector has used, in the order in which they were seen.
    fn active_topics(&self, name: &str) -> Vec<String>;
    /// What `errors.restart.policy` has done to a connector's tasks on this worker, oldest first.
    fn restarts(&self, name: &str) -> Vec<Restart>;
    /// Forgets the topics that a connector has used.
    async fn reset_active_topics(&self, name: &str) -> Answer<()>;
    /// A connector's offsets: a source's from the offsets topic, a sink's from its consumer group.
    async fn offsets(&self, name: &str) -> Answer<Vec<OffsetEntry>>;
    /// Takes the task configurations that another worker's connector has made.
    async fn put_task_configs(
        &self,
        name: &str,
        tasks: Vec<RawConfig>,
        signed: SignedRequest,
    ) -> Answer<()>;
    /// Fences a source connector's old tasks, for another worker that will start new ones.
    async fn fence_zombies(&self, name: &str, signed: SignedRequest) -> Answer<()>;
    /// Changes the offsets of a stopped connector, or forgets them all (`None`); answers the
    /// message for the user.
    async fn alter_offsets(&self, name: &str, changes: Option<Vec<OffsetEntry>>) -> Answer<String>;
    /// Sets the level of a logger and of those below it on every worker of the cluster.
    async fn set_logger_level(&self, logger: &str, level: &str) -> Answer<()>;
    /// Stops all connectors and tasks, offsets flushed, and the herder itself. Blocks.
    fn stop(&self);
    /// Completes with the reason when the herder cannot go on: the worker then ends with code 1.
    async fn failed(&self) -> Error;
}

/// Where a request's answer goes.
pub type Sender<T> = oneshot::Sender<Answer<T>>;

/// What a request between workers is signed with (`InternalRequestSignature`).
#[derive(Clone, Debug, Default)]
pub struct SignedRequest {
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// `X-Connect-Authorization`.
    pub signature: Option<String>,
    /// `X-Connect-Request-Signature-Algorithm`.
    pub algorithm: Option<String>,
}

/// What is asked of the herder's thread. Reads that need no decision do not pass through it.
#[derive(Debug)]
pub enum Request {
    /// Creates or changes a connector.
    PutConnector {
        /// The connector.
        name: String,
        /// Its whole configuration.
        config: RawConfig,
        /// What it shall be at first.
        target: Option<TargetState>,
        /// Whether it may exist.
        allow_replace: bool,
        /// Whether it was created, and what it is now.
        answer: Sender<(bool, ConnectorInfo)>,
    },
    /// Deletes a connector.
    DeleteConnector(String, Sender<()>),
    /// Pauses, resumes or stops a connector.
    SetTarget(String, TargetState, Sender<()>),
    /// Restarts a connector itself.
    RestartConnector(String, Sender<()>),
    /// Restarts a connector and what else the request covers.
    RestartPlan {
        /// The connector.
        name: String,
        /// Only what is FAILED.
        only_failed: bool,
        /// Its tasks, too.
        include_tasks: bool,
        /// Its state by the status topic when the request came.
        status: ConnectorStatus,
        /// What will be restarted.
        answer: Sender<ConnectorStatus>,
    },
    /// Restarts a task.
    RestartTask(TaskId, Sender<()>),
    /// Writes the task configurations that another worker's connector has made.
    PutTasks {
        /// The connector.
        name: String,
        /// Its tasks.
        tasks: Vec<RawConfig>,
        /// When they are written.
        answer: Sender<()>,
    },
    /// Fences what may be left of a source connector's old tasks.
    Fence(String, Sender<()>),
    /// Whether the herder's thread is alive.
    Ping(Sender<()>),
    /// Whether a connector may have its offsets changed.
    CheckStopped(String, Sender<()>),
}

impl Request {
    /// Whether nobody waits for the answer any more.
    pub fn is_abandoned(&self) -> bool {
        match self {
            Self::PutConnector { answer, .. } => answer.is_closed(),
            Self::RestartPlan { answer, .. } => answer.is_closed(),
            Self::DeleteConnector(_, answer)
            | Self::SetTarget(_, _, answer)
            | Self::RestartConnector(_, answer)
            | Self::RestartTask(_, answer)
            | Self::PutTasks { answer, .. }
            | Self::Fence(_, answer)
            | Self::Ping(answer)
            | Self::CheckStopped(_, answer) => answer.is_closed(),
        }
    }
}
