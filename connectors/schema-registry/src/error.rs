//! What went wrong with the registry, and what that is for the runtime.
//!
//! Two layers of Java show in a trace: the serializer maps the registry's status to an exception
//! of Kafka's clients, the converter maps that to one of Connect's. Only what the converter makes a
//! `RetriableException` is tried again within `errors.retry.timeout`; the rest `errors.tolerance`
//! decides. Answers for `AbstractKafkaSchemaSerDe.toKafkaException` and the catch clauses of the
//! three converters.

use std::fmt;

use connect_api::{Error, ErrorKind};

use crate::registry::SchemaKind;

/// Why the registry did not give what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryError {
    /// It answered with an error (`RestClientException`).
    Rest {
        /// The HTTP status.
        status: u16,
        /// The registry's own code, which begins with the status as a rule.
        code: i32,
        /// Its reason.
        message: String,
    },
    /// It did not answer, or in a way that is none (`IOException`).
    Io {
        /// What failed.
        message: String,
        /// Whether the time was over (`InterruptedIOException`).
        timeout: bool,
    },
    /// The data or the schema do not allow it (`SerializationException`).
    Serialization(String),
    /// The options do not allow it (`ConfigException`).
    Config(String),
}

impl RegistryError {
    /// Whether the registry said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Rest { status: 404, .. })
    }
    /// An `IOException` that is no timeout.
    pub(crate) fn io(message: impl Into<String>) -> Self {
        Self::Io {
            message: message.into(),
            timeout: false,
        }
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rest { code, message, .. } => write!(f, "{message}; error code: {code}"),
            Self::Io { message, .. } | Self::Serialization(message) | Self::Config(message) => {
                f.write_str(message)
            }
        }
    }
}

impl std::error::Error for RegistryError {}

/// Kafka's and Confluent's exceptions, for traces.
pub mod class {
    /// An error of the serializer.
    pub const SERIALIZATION: &str = "org.apache.kafka.common.errors.SerializationException";
    /// The registry's answer.
    pub const REST: &str =
        "io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException";
    /// No answer.
    pub const NETWORK: &str = "org.apache.kafka.common.errors.NetworkException";
    /// 401.
    pub const AUTHENTICATION: &str = "org.apache.kafka.common.errors.AuthenticationException";
    /// 403.
    pub const AUTHORIZATION: &str = "org.apache.kafka.common.errors.AuthorizationException";
    /// 429.
    pub const THROTTLING: &str = "org.apache.kafka.common.errors.ThrottlingQuotaExceededException";
    /// 502.
    pub const DISCONNECT: &str = "org.apache.kafka.common.errors.DisconnectException";
    /// 408, 500, 503, 504.
    pub const TIMEOUT: &str = "org.apache.kafka.common.errors.TimeoutException";
    /// An input or output error of the JVM.
    pub const IO: &str = "java.io.IOException";
    /// A wrong argument, as libraries report bad schemas.
    pub const ILLEGAL_ARGUMENT: &str = "java.lang.IllegalArgumentException";
}

/// What the converter was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Writing: Connect data to bytes.
    Write,
    /// Reading: bytes to Connect data.
    Read,
}

/// Where an error happened, for its text.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The converter's language.
    pub kind: SchemaKind,
    /// What it was doing.
    pub direction: Direction,
    /// The record's topic.
    pub topic: &'a str,
}

impl Place<'_> {
    /// `Avro`, as Confluent's texts name it.
    pub fn format(&self) -> &'static str {
        match self.kind {
            SchemaKind::Avro => "Avro",
            SchemaKind::Json => "JSON",
            SchemaKind::Protobuf => "Protobuf",
        }
    }

    fn failed(&self, retriable: bool) -> String {
        let topic = self.topic;
        match (self.kind, self.direction) {
            (SchemaKind::Json, Direction::Write) => format!(
                "Converting Kafka Connect data to byte[] failed due to serialization error of topic {topic}: "
            ),
            (SchemaKind::Json, Direction::Read) => format!(
                "Converting byte[] to Kafka Connect data failed due to serialization error of topic {topic}: "
            ),
            (SchemaKind::Avro, Direction::Write) if retriable => {
                format!("Failed to serialize Avro data from topic {topic} :")
            }
            (SchemaKind::Protobuf, Direction::Write) if retriable => {
                format!("Failed to serialize Protobuf data from topic {topic} :")
            }
            (_, Direction::Write) => {
                format!(
                    "Failed to serialize {} data from topic {topic}:",
                    self.format()
                )
            }
            (SchemaKind::Avro, Direction::Read) => {
                format!("Failed to deserialize data for topic {topic} to Avro:")
            }
            (SchemaKind::Protobuf, Direction::Read) => {
                format!("Failed to deserialize data for topic {topic} to Protobuf: ")
            }
        }
    }

    /// The converter's `DataException` over a `SerializationException` that says `message`.
    pub fn serialization(&self, message: impl Into<String>) -> Error {
        self.data(serialization(message.into()))
    }

    /// The converter's `DataException` with its cause.
    pub fn data(&self, cause: Error) -> Error {
        Error::data(self.failed(false)).with_source(cause)
    }

    /// The converter's error over a registry's. `step` is what the serializer was doing, e.g.
    /// `Error registering Avro schema{…}`.
    pub fn registry(&self, step: &str, error: &RegistryError) -> Error {
        let step = match (error, self.direction) {
            // What the registry did not answer is told apart from what it said.
            (RegistryError::Io { .. }, Direction::Write) => {
                format!("Error serializing {} message", self.format())
            }
            _ => step.to_owned(),
        };
        match error {
            RegistryError::Serialization(message) => self.serialization(message.clone()),
            RegistryError::Config(message) => Error::config(message.clone()),
            RegistryError::Io {
                message,
                timeout: false,
            } => Error::new(
                ErrorKind::Data,
                format!(
                    "Network connection error while {} {} data for topic {}: {message}",
                    match self.direction {
                        Direction::Write => "serializing",
                        Direction::Read => "deserializing",
                    },
                    self.format(),
                    self.topic
                ),
            )
            .with_class(class::NETWORK)
            .with_source(
                serialization(step).with_source(Error::data(message.clone()).with_class(class::IO)),
            ),
            RegistryError::Io {
                message,
                timeout: true,
            } => Error::retriable(self.failed(true)).with_source(
                Error::retriable(step)
                    .with_class(class::TIMEOUT)
                    .with_source(Error::data(message.clone()).with_class(class::IO)),
            ),
            RegistryError::Rest { status, .. } => {
                let cause = Error::data(error.to_string()).with_class(class::REST);
                let of = |class| Error::data(step.clone()).with_class(class);
                match status {
                    401 | 403 => {
                        let refused = of(if *status == 401 {
                            class::AUTHENTICATION
                        } else {
                            class::AUTHORIZATION
                        });
                        Error::config(format!(
                            "Failed to access {} data from topic {} : {step}",
                            self.format(),
                            self.topic
                        ))
                        .with_source(refused.with_source(cause))
                    }
                    429 => of(class::THROTTLING).with_source(cause),
                    502 => of(class::DISCONNECT).with_source(cause),
                    408 | 500 | 503 | 504 => Error::retriable(self.failed(true))
                        .with_source(of(class::TIMEOUT).with_source(cause)),
                    _ => self.data(serialization(step).with_source(cause)),
                }
            }
        }
    }
}

/// A `SerializationException`, for a chain of causes.
pub fn serialization(message: impl Into<String>) -> Error {
    Error::data(message.into()).with_class(class::SERIALIZATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(error: &RegistryError) -> (ErrorKind, &'static str) {
        let place = Place {
            kind: SchemaKind::Avro,
            direction: Direction::Write,
            topic: "t",
        };
        let error = place.registry("Error registering Avro schema{}", error);
        (error.kind(), error.java_class())
    }

    #[test]
    fn statuses_become_the_errors_of_the_jvms_converters() {
        let rest = |status| RegistryError::Rest {
            status,
            code: i32::from(status),
            message: "no".to_owned(),
        };
        for status in [408, 500, 503, 504] {
            assert_eq!(outcome(&rest(status)).0, ErrorKind::Retriable, "{status}");
        }
        for status in [404, 409, 422] {
            assert_eq!(
                outcome(&rest(status)),
                (
                    ErrorKind::Data,
                    "org.apache.kafka.connect.errors.DataException"
                )
            );
        }
        for status in [401, 403] {
            assert_eq!(outcome(&rest(status)).0, ErrorKind::Config);
        }
        assert_eq!(outcome(&rest(429)), (ErrorKind::Data, class::THROTTLING));
        assert_eq!(outcome(&rest(502)), (ErrorKind::Data, class::DISCONNECT));
        assert_eq!(
            outcome(&RegistryError::io("Connection refused")),
            (ErrorKind::Data, class::NETWORK)
        );
        let timeout = RegistryError::Io {
            message: "timed out".to_owned(),
            timeout: true,
        };
        assert_eq!(outcome(&timeout).0, ErrorKind::Retriable);
    }

    #[test]
    fn the_registrys_own_reason_is_in_the_trace() {
        let place = Place {
            kind: SchemaKind::Avro,
            direction: Direction::Write,
            topic: "t",
        };
        let error = place.registry(
            "Error registering Avro schema\"int\"",
            &RegistryError::Rest {
                status: 409,
                code: 40901,
                message: "Schema being registered is incompatible".to_owned(),
            },
        );
        assert_eq!(
            error.trace(),
            "org.apache.kafka.connect.errors.DataException: Failed to serialize Avro data from topic t:\n\
             Caused by: org.apache.kafka.common.errors.SerializationException: Error registering Avro schema\"int\"\n\
             Caused by: io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException: \
             Schema being registered is incompatible; error code: 40901\n"
        );
    }
}
