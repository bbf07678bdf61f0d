//! What the worker asks of a cluster: topics, their settings, groups.
//!
//! Every call blocks its thread and goes on until a broker answers or [`API_TIMEOUT`] is over. Answers
//! for `TopicAdmin` and `SharedTopicAdmin`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use connect_api::record::{Topic, TopicPartition};
use connect_api::{Error, Result};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteGroupsRequest, DescribeConfigsRequest, GroupId,
    InitProducerIdRequest, JoinGroupRequest, MetadataRequest, OffsetDeleteRequest,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use tokio::runtime::Handle;

use super::{API_TIMEOUT, Cause, ClientLog, LogContext, failed};
use crate::group::connection::{Access, Connection, Request};

/// What reaches the cluster for each question anew.
pub struct Admin {
    access: Access,
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

/// The pause before a question is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// The type of a topic among the resources that have settings.
const TOPIC_RESOURCE: i8 = 2;

/// Who answers.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// Any broker.
    Any,
    /// The one that changes topics; any other passes it on where there is no ZooKeeper.
    Controller,
    /// A group's coordinator.
    Coordinator(&'a str),
}

impl Admin {
    /// For the cluster of a client's settings.
    ///
    /// # Errors
    /// Kind Config: a setting cannot be honoured.
    pub fn new(config: &ClientConfig, runtime: Handle) -> Result<Self> {
        let client_id = config.get("client.id").unwrap_or("adminclient");
        Ok(Self {
            access: Access::of(config, client_id)?,
            runtime,
            servers: config
                .get("bootstrap.servers")
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// Asks until there is an answer that `read` does not ask for again.
    fn ask<R: Request + Clone, T>(
        &self,
        place: Place<'_>,
        request: &R,
        read: impl Fn(R::Response) -> Result<T>,
    ) -> Result<T> {
        self.ask_by_version(place, |_| request.clone(), read)
    }

    /// The same where the request's form depends on its version.
    fn ask_by_version<R: Request, T>(
        &self,
        place: Place<'_>,
        request: impl Fn(i16) -> R,
        read: impl Fn(R::Response) -> Result<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + API_TIMEOUT;
        loop {
            let answer = self.runtime.block_on(async {
                let mut broker = self.reach(place).await?;
                broker.ask(&request, API_TIMEOUT).await
            });
            match answer.and_then(&read) {
                Err(error) if error.is_retriable() && Instant::now() + PAUSE < deadline => {
                    tracing::debug!(error = %connect_api::error::Chain(&error), "asking the cluster again");
                    std::thread::sleep(PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    async fn reach(&self, place: Place<'_>) -> Result<Connection> {
        match place {
            Place::Any => self.access.any_broker().await,
            Place::Controller => self.access.controller().await,
            Place::Coordinator(group) => self.access.coordinator(group).await,
        }
    }

    /// Creates a topic; `false` where it exists already.
    ///
    /// # Errors
    /// The cluster refuses, or does not answer.
    pub fn create_topic(&self, plan: &TopicPlan) -> Result<bool> {
        self.try_create_topic(plan)
            .map_err(|error| not_created(&plan.name, error))
    }

    /// The same; the error is the broker's own.
    ///
    /// # Errors
    /// The cluster refuses, or does not answer.
    pub fn try_create_topic(&self, plan: &TopicPlan) -> Result<bool> {
        let setting = |(key, value): &(String, String)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        };
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(&plan.name)))
            .with_num_partitions(plan.partitions)
            .with_replication_factor(i16::try_from(plan.replication_factor).unwrap_or(i16::MAX))
            .with_configs(plan.config.iter().map(setting).collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(i32::try_from(API_TIMEOUT.as_millis()).unwrap_or(i32::MAX));
        let exists = ResponseError::TopicAlreadyExists.code();
        self.ask(Place::Controller, &request, |answer| {
            match answer.topics.first() {
                Some(topic) if topic.error_code == exists => Ok(false),
                Some(topic) => {
                    refusal(topic.error_code, topic.error_message.as_deref()).map(|()| true)
                }
                None => Ok(true),
            }
        })
    }

    /// All topics with their numbers of partitions. Creates none, as a question for one would.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn topics(&self) -> Result<Vec<(String, usize)>> {
        let request = MetadataRequest::default()
            .with_topics(None)
            .with_allow_auto_topic_creation(false);
        self.ask(Place::Any, &request, |answer| {
            let topics = answer.topics.iter().filter_map(|topic| {
                let name = topic.name.as_ref()?;
                Some((name.0.to_string(), topic.partitions.len()))
            });
            Ok(topics.collect())
        })
        .map_err(|error| self.failed(format!("listing topics at {}", self.servers), error))
    }

    /// A topic's setting; `None` where we may not see it.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn topic_setting(&self, topic: &str, key: &str) -> Result<Option<String>> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(text(topic))
            .with_configuration_keys(Some(vec![text(key)]));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let hidden = [
            ResponseError::TopicAuthorizationFailed.code(),
            ResponseError::ClusterAuthorizationFailed.code(),
        ];
        self.ask(Place::Any, &request, |answer| {
            match answer.results.first() {
                None => Ok(None),
                Some(result) if hidden.contains(&result.error_code) => Ok(None),
                Some(result) => {
                    refusal(result.error_code, result.error_message.as_deref())?;
                    let found = result.configs.iter().find(|entry| *entry.name == *key);
                    Ok(found.and_then(|entry| entry.value.as_deref().map(str::to_owned)))
                }
            }
        })
        .map_err(|error| self.failed(format!("reading the settings of topic {topic}"), error))
    }

    /// Whether brokers number this client's records: they must be of Kafka 0.11 or newer, and those
    /// before 2.8 ask for IDEMPOTENT_WRITE. Asked once; who does not answer is taken to do it.
    pub fn numbers_records(&self) -> bool {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(i32::MAX);
        let answer = self.runtime.block_on(async {
            let mut broker = self.reach(Place::Any).await?;
            broker.ask(|_| request, API_TIMEOUT).await
        });
        match answer {
            Ok(answer) => answer.error_code != ResponseError::ClusterAuthorizationFailed.code(),
            // No version of the request in common.
            Err(error) => error.is_retriable(),
        }
    }

    /// All offsets that a group has committed, as the broker lists them.
    ///
    /// # Errors
    /// The cluster does not answer, or does not let us see them.
    pub fn group_offsets(&self, group: &str) -> Result<Vec<(TopicPartition, i64)>> {
        // Several groups in one question came with version 8.
        let request = |version| {
            let group = GroupId(text(group));
            let request = OffsetFetchRequest::default();
            match version {
                8.. => request.with_groups(vec![
                    OffsetFetchRequestGroup::default()
                        .with_group_id(group)
                        .with_topics(None),
                ]),
                _ => request.with_group_id(group).with_topics(None),
            }
        };
        self.ask_by_version(Place::Coordinator(group), request, listed_offsets)
            .map_err(|error| {
                self.failed(format!("reading offsets of consumer group {group}"), error)
            })
    }

    /// Refuses a session of a length that the brokers do not take from members of this group. They
    /// look at it before they miss the member that asks.
    ///
    /// # Errors
    /// Kind Fatal: they do not.
    pub fn check_session(&self, group: &str, session_ms: i32) -> Result<()> {
        let request = JoinGroupRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_session_timeout_ms(session_ms)
            .with_rebalance_timeout_ms(session_ms)
            .with_member_id(text("nobody"))
            .with_protocol_type(text("consumer"));
        let refused = ResponseError::InvalidSessionTimeout.code();
        let answer = self.ask(Place::Coordinator(group), &request, |answer| {
            Ok(answer.error_code == refused)
        });
        match answer {
            Ok(true) => Err(session_not_allowed()),
            Ok(false) => Ok(()),
            Err(error) => {
                // The consumer itself will tell what is in its way.
                tracing::debug!(error = %connect_api::error::Chain(&error), "asking for the length of sessions");
                Ok(())
            }
        }
    }

    /// Forgets a group with all its offsets; it is no error if there is none.
    ///
    /// # Errors
    /// The group has members, or the cluster does not answer.
    pub fn delete_group(&self, group: &str) -> Result<()> {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
        let none = ResponseError::GroupIdNotFound.code();
        self.ask(Place::Coordinator(group), &request, |answer| {
            match answer.results.first() {
                Some(result) if result.error_code != none => refusal(result.error_code, None),
                _ => Ok(()),
            }
        })
        .map_err(|error| self.failed(format!("deleting consumer group {group}"), error))
    }

    /// Forgets a group's offsets of some partitions, and no others (KIP-496).
    ///
    /// # Errors
    /// There is no such group or partition, the group reads them at present, or the cluster does
    /// not answer.
    pub fn delete_group_offsets(&self, group: &str, partitions: &[TopicPartition]) -> Result<()> {
        let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for partition in partitions {
            let entry =
                OffsetDeleteRequestPartition::default().with_partition_index(partition.partition);
            topics.entry(&partition.topic).or_default().push(entry);
        }
        let topic = |(name, partitions): (&str, _)| {
            OffsetDeleteRequestTopic::default()
                .with_name(TopicName(text(name)))
                .with_partitions(partitions)
        };
        let request = OffsetDeleteRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(topics.into_iter().map(topic).collect());
        self.ask(Place::Coordinator(group), &request, |answer| {
            refusal(answer.error_code, None)?;
            let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            // What is said of a single partition is not asked again, as by the JVM.
            partitions
                .try_for_each(|partition| refusal(partition.error_code, None))
                .map_err(|error| Error::fatal("of a partition").with_source(error))
        })
        .map_err(|error| self.failed(format!("deleting offsets of consumer group {group}"), error))
    }

    fn failed(&self, doing: String, error: Error) -> Error {
        Error::new(error.kind(), doing).with_source(error)
    }
}

/// What brokers say of a session that is too short or too long for them.
pub fn session_not_allowed() -> Error {
    Error::fatal(
        "The session timeout is not within the range allowed by the broker (as configured by \
         group.min.session.timeout.ms and group.max.session.timeout.ms).",
    )
    .with_class("org.apache.kafka.common.errors.InvalidSessionTimeoutException")
}

/// The offsets in an answer of any version.
fn listed_offsets(answer: OffsetFetchResponse) -> Result<Vec<(TopicPartition, i64)>> {
    let mut offsets = Vec::new();
    let mut take = |topic: &TopicName, partition, offset, error| -> Result<()> {
        refusal(error, None)?;
        if offset >= 0 {
            let topic = Topic::from(&*topic.0);
            offsets.push((TopicPartition { topic, partition }, offset));
        }
        Ok(())
    };
    refusal(answer.error_code, None)?;
    for topic in &answer.topics {
        for found in &topic.partitions {
            let (partition, offset) = (found.partition_index, found.committed_offset);
            take(&topic.name, partition, offset, found.error_code)?;
        }
    }
    for group in &answer.groups {
        refusal(group.error_code, None)?;
        for topic in &group.topics {
            for found in &topic.partitions {
                let (partition, offset) = (found.partition_index, found.committed_offset);
                take(&topic.name, partition, offset, found.error_code)?;
            }
        }
    }
    Ok(offsets)
}

/// The error as Java's futures give it.
pub fn executed(error: Error) -> Error {
    let text = format!("{}: {}", error.java_class(), error.message());
    Error::new(error.kind(), text)
        .with_class("java.util.concurrent.ExecutionException")
        .with_source(error)
}

/// What is said of a topic that could not be created: of a wrong name or setting why, too.
fn not_created(topic: &str, error: Error) -> Error {
    let class = error.java_class();
    let (doing, error) = match class.rsplit('.').next().unwrap_or_default() {
        "InvalidConfigurationException" | "InvalidTopicException" => (
            format!("Unable to create topic(s) '{topic}': {}", error.message()),
            error,
        ),
        "TimeoutException" => (
            format!(
                "Timed out while checking for or creating topic(s) '{topic}'. This could indicate a connectivity issue, unavailable topic partitions, or if this is your first use of the topic it may have taken too long to create."
            ),
            error,
        ),
        _ => (
            format!("Error while attempting to create/find topic(s) '{topic}'"),
            executed(error),
        ),
    };
    Error::new(error.kind(), doing).with_source(error)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A broker's refusal, under the name of Kafka's exception where traces show it.
fn refusal(code: i16, message: Option<&str>) -> Result<()> {
    let Some(error) = ResponseError::try_from_code(code) else {
        return Ok(());
    };
    macro_rules! class {
        ($name:literal) => {
            concat!("org.apache.kafka.common.errors.", $name)
        };
    }
    let class = match error {
        ResponseError::InvalidReplicationFactor => class!("InvalidReplicationFactorException"),
        ResponseError::InvalidPartitions => class!("InvalidPartitionsException"),
        ResponseError::InvalidConfig => class!("InvalidConfigurationException"),
        ResponseError::InvalidTopicException => class!("InvalidTopicException"),
        ResponseError::PolicyViolation => class!("PolicyViolationException"),
        ResponseError::TopicAuthorizationFailed => class!("TopicAuthorizationException"),
        ResponseError::ClusterAuthorizationFailed => class!("ClusterAuthorizationException"),
        ResponseError::GroupAuthorizationFailed => class!("GroupAuthorizationException"),
        ResponseError::UnsupportedVersion => class!("UnsupportedVersionException"),
        ResponseError::NonEmptyGroup => class!("GroupNotEmptyException"),
        ResponseError::GroupIdNotFound => class!("GroupIdNotFoundException"),
        ResponseError::GroupSubscribedToTopic => class!("GroupSubscribedToTopicException"),
        ResponseError::RequestTimedOut => class!("TimeoutException"),
        ResponseError::UnknownTopicOrPartition => class!("UnknownTopicOrPartitionException"),
        _ => class!("ApiException"),
    };
    let message = message.map_or_else(|| error.to_string(), str::to_owned);
    let made = match error.is_retriable() {
        true => Error::retriable(message),
        false => Error::fatal(message),
    };
    Err(made.with_class(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_topic_was_not_created_is_told_as_java_tells_it() {
        let trace = |error: ResponseError, text| {
            let refused = refusal(error.code(), Some(text)).expect_err("refused");
            not_created("t", refused).trace().trim_end().to_owned()
        };
        let errors = "org.apache.kafka.common.errors";
        let connect = "org.apache.kafka.connect.errors.ConnectException";
        assert_eq!(
            trace(ResponseError::InvalidTopicException, "why"),
            format!(
                "{connect}: Unable to create topic(s) 't': why\nCaused by: \
                 {errors}.InvalidTopicException: why"
            )
        );
        assert_eq!(
            trace(ResponseError::InvalidReplicationFactor, "why"),
            format!(
                "{connect}: Error while attempting to create/find topic(s) 't'\nCaused by: \
                 java.util.concurrent.ExecutionException: \
                 {errors}.InvalidReplicationFactorException: why\nCaused by: \
                 {errors}.InvalidReplicationFactorException: why"
            )
        );
    }
}
