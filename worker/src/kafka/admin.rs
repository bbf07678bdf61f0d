//! What the worker asks of a cluster: topics, their settings, groups.
//!
//! Every call blocks its thread. Answers for `TopicAdmin` and `SharedTopicAdmin`.

use std::time::{Duration, Instant};

use connect_api::{Error, Result};
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use tokio::runtime::Handle;

use super::{API_TIMEOUT, Cause, ClientLog, LogContext, failed};

/// An admin client, connected until it is dropped.
pub struct Admin {
    client: AdminClient<LogContext>,
    runtime: Handle,
    servers: String,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// How many partitions; -1 lets the broker decide.
    pub partitions: i32,
    /// How many replicas; -1 lets the broker decide.
    pub replication_factor: i32,
    /// Its settings.
    pub config: Vec<(String, String)>,
}

/// Contacts the cluster and asks for its id. Says in the log what is in the way meanwhile.
///
/// # Errors
/// No broker answers in time; the error names them and the last problem.
pub fn cluster_id(config: &ClientConfig, limit: Duration) -> Result<String> {
    // An admin client hears of no problems; a producer that is polled does.
    let log = ClientLog::new(config.get("client.id").unwrap_or("adminclient"));
    let probe: BaseProducer<LogContext> = config
        .create_with_context(LogContext(log))
        .map_err(|error| failed("creating a Kafka client", &error, None))?;
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(id) = probe.client().fetch_cluster_id(Duration::from_millis(500)) {
            return Ok(id);
        }
        probe.poll(Duration::from_millis(100));
    }
    let error = Error::retriable(format!(
        "no broker of bootstrap.servers={} answered within {} s",
        config.get("bootstrap.servers").unwrap_or_default(),
        limit.as_secs()
    ));
    Err(match probe.context().0.last_problem() {
        Some(problem) => error.with_source(Cause(problem)),
        None => error,
    })
}

impl ProducerContext for LogContext {
    type DeliveryOpaque = ();
    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

impl Admin {
    /// Connects in the background.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(config: &ClientConfig, runtime: Handle) -> Result<Self> {
        let log = ClientLog::new(config.get("client.id").unwrap_or("adminclient"));
        let client = config
            .create_with_context(LogContext(log))
            .map_err(|error| failed("creating a Kafka admin client", &error, None))?;
        let servers = config
            .get("bootstrap.servers")
            .unwrap_or_default()
            .to_owned();
        Ok(Self {
            client,
            runtime,
            servers,
        })
    }

    fn failed(&self, doing: String, error: &KafkaError) -> Error {
        failed(doing, error, Some(&self.client.inner().context().0))
    }

    /// Creates a topic; `false` where it exists already.
    ///
    /// # Errors
    /// The cluster refuses, or does not answer.
    pub fn create_topic(&self, plan: &TopicPlan) -> Result<bool> {
        let mut topic = NewTopic::new(
            &plan.name,
            plan.partitions,
            TopicReplication::Fixed(plan.replication_factor),
        );
        for (key, value) in &plan.config {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(API_TIMEOUT));
        let doing = || format!("Unable to create topic(s) '{}'", plan.name);
        let results = self
            .runtime
            .block_on(self.client.create_topics([&topic], &options))
            .map_err(|error| self.failed(doing(), &error))?;
        match results.into_iter().next() {
            Some(Ok(_)) | None => Ok(true),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(self.failed(doing(), &KafkaError::AdminOp(code))),
        }
    }

    /// All topics with their numbers of partitions. Creates none, as a question for one would.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn topics(&self) -> Result<Vec<(String, usize)>> {
        let metadata = self
            .client
            .inner()
            .fetch_metadata(None, API_TIMEOUT)
            .map_err(|error| self.failed(format!("listing topics at {}", self.servers), &error))?;
        Ok(metadata
            .topics()
            .iter()
            .map(|topic| (topic.name().to_owned(), topic.partitions().len()))
            .collect())
    }

    /// A topic's setting; `None` where we may not see it.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn topic_setting(&self, topic: &str, key: &str) -> Result<Option<String>> {
        let doing = || format!("reading the settings of topic {topic}");
        let results = self
            .runtime
            .block_on(self.client.describe_configs(
                [&ResourceSpecifier::Topic(topic)],
                &AdminOptions::new().request_timeout(Some(API_TIMEOUT)),
            ))
            .map_err(|error| self.failed(doing(), &error))?;
        match results.into_iter().next() {
            Some(Ok(resource)) => Ok(resource
                .entries
                .into_iter()
                .find(|entry| entry.name == key && entry.source != ConfigSource::Unknown)
                .and_then(|entry| entry.value)),
            Some(Err(
                RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed,
            ))
            | None => Ok(None),
            Some(Err(code)) => Err(self.failed(doing(), &KafkaError::AdminOp(code))),
        }
    }

    /// Forgets a group with all its offsets; it is no error if there is none.
    ///
    /// # Errors
    /// The group has members, or the cluster does not answer.
    pub fn delete_group(&self, group: &str) -> Result<()> {
        let doing = || format!("deleting consumer group {group}");
        let results = self
            .runtime
            .block_on(self.client.delete_groups(
                &[group],
                &AdminOptions::new().request_timeout(Some(API_TIMEOUT)),
            ))
            .map_err(|error| self.failed(doing(), &error))?;
        match results.into_iter().next() {
            Some(Ok(_)) | None | Some(Err((_, RDKafkaErrorCode::GroupIdNotFound))) => Ok(()),
            Some(Err((_, code))) => Err(self.failed(doing(), &KafkaError::AdminOp(code))),
        }
    }
}
