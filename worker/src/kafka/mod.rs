//! The Kafka client: the only room of the worker that names it.
//!
//! Java client configurations go in ([`translate`]), librdkafka clients that behave as Java's come
//! out: murmur2 partitioning, read_uncommitted, the range assignor, `acks=all`, queues bounded in
//! bytes. Nothing here knows connectors. Answers for `org.apache.kafka.clients`.

pub mod admin;
pub mod bootstrap;
pub mod checks;
pub mod consumer;
pub mod jaas;
pub(crate) mod oauth;
pub mod producer;
mod record_size;
pub mod round_robin;
mod security;
pub mod topic;
pub mod transaction;
pub mod translate;

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use connect_api::{Error, ErrorKind};
pub use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
pub use rdkafka::error::KafkaError;
use rdkafka::error::RDKafkaErrorCode;

/// How long a request to the cluster may take where Java has `default.api.timeout.ms`.
pub const API_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// What every client shares: its name in the log, and the last thing that went wrong, so that an
/// error can say which host did not answer and why.
#[derive(Debug)]
pub struct ClientLog {
    client_id: String,
    last_problem: Mutex<Option<String>>,
}

impl ClientLog {
    /// For the client of this id.
    pub fn new(client_id: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            last_problem: Mutex::new(None),
        }
    }
    /// What went wrong last, e.g. `10.0.0.1:9092: Connection refused`.
    pub fn last_problem(&self) -> Option<String> {
        self.last_problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
    fn note(&self, problem: &str) {
        *self
            .last_problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(problem.to_owned());
    }
    pub(crate) fn on_log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client_id = self.client_id.as_str();
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                self.note(message);
                tracing::warn!(target: "kafka", client_id, facility, "{message}");
            }
            RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "kafka", client_id, facility, "{message}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "kafka", client_id, facility, "{message}");
            }
            RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "kafka", client_id, facility, "{message}");
            }
        }
    }
    /// A token for a client that asks for one; the login is the one that its configuration names.
    fn token(&self, login: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        let token = oauth::token(login.unwrap_or_default()).map_err(|error| {
            let problem = connect_api::error::Chain(&error).to_string();
            tracing::warn!(target: "kafka", client_id = self.client_id, "no token to log in with: {problem}");
            self.note(&problem);
            Cause(problem.replace('\0', " "))
        })?;
        Ok(OAuthToken {
            token: token.value,
            principal_name: token.principal,
            lifetime_ms: token.expires,
        })
    }
    pub(crate) fn on_error(&self, error: &KafkaError, reason: &str) {
        self.note(reason);
        let client_id = self.client_id.as_str();
        tracing::debug!(target: "kafka", client_id, %error, "{reason}");
    }
}

/// A context that only logs.
#[derive(Debug)]
pub struct LogContext(pub ClientLog);

impl ClientContext for LogContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;
    fn generate_oauth_token(&self, login: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        self.0.token(login)
    }
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.on_log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.on_error(&error, reason);
    }
}

/// A cause without a type of its own.
#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Cause {}

/// Whether the world may change so that the same request succeeds (`RetriableException`).
pub fn is_retriable(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::MessageTimedOut
                | RDKafkaErrorCode::TimedOutQueue
                // New metadata named other brokers while a request waited at this one.
                | RDKafkaErrorCode::DestroyBroker
                | RDKafkaErrorCode::QueueFull
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::BrokerNotAvailable
                | RDKafkaErrorCode::ReplicaNotAvailable
                | RDKafkaErrorCode::NetworkException
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::NotEnoughReplicas
                | RDKafkaErrorCode::NotEnoughReplicasAfterAppend
                | RDKafkaErrorCode::NotController
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::KafkaStorageError
                // A topic that was just created, while brokers still tell each other of it.
                | RDKafkaErrorCode::UnknownLeaderEpoch
                | RDKafkaErrorCode::FencedLeaderEpoch
                | RDKafkaErrorCode::OffsetNotAvailable
                | RDKafkaErrorCode::ListenerNotFound
                | RDKafkaErrorCode::WaitingForCoordinator
                | RDKafkaErrorCode::InProgress
                | RDKafkaErrorCode::Retry
        )
    )
}

/// The error with what was being done, and the client's last problem as its cause.
pub fn failed(doing: impl fmt::Display, error: &KafkaError, log: Option<&ClientLog>) -> Error {
    let kind = if is_retriable(error) {
        ErrorKind::Retriable
    } else {
        ErrorKind::Fatal
    };
    let mut cause = error.to_string();
    if let Some(source) = error.source() {
        let source = source.to_string();
        if !cause.contains(&source) {
            cause = format!("{cause}: {source}");
        }
    }
    if let Some(problem) = log.and_then(ClientLog::last_problem) {
        cause = format!("{cause} ({problem})");
    }
    Error::new(kind, doing.to_string()).with_source(Cause(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_whose_broker_is_given_up_can_be_made_again() {
        let given_up = KafkaError::MetadataFetch(RDKafkaErrorCode::DestroyBroker);
        assert!(failed("asking", &given_up, None).is_retriable());
        let closing = KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerDestroy);
        assert!(!failed("asking", &closing, None).is_retriable());
    }
}
