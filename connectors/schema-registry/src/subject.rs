//! Under which subject a topic's schemas stand. Pure, but for the registry's associations.
//!
//! Answers for `TopicNameStrategy`, `RecordNameStrategy`, `TopicRecordNameStrategy` and
//! `AssociatedNameStrategy` of `io.confluent.kafka.serializers.subject`.

use connect_api::{Error, Result};

use crate::cache::Bounded;
use crate::error::RegistryError;
use crate::registry::Registry;

const PACKAGE: &str = "io.confluent.kafka.serializers.subject.";

/// How a subject's name is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `<topic>-key`, `<topic>-value`.
    Topic,
    /// The record's full name.
    Record,
    /// `<topic>-<record's full name>`.
    TopicRecord,
    /// No subject, which is an error.
    None,
}

impl Naming {
    fn class(self) -> &'static str {
        match self {
            Self::Topic => "TopicNameStrategy",
            Self::Record => "RecordNameStrategy",
            Self::TopicRecord => "TopicRecordNameStrategy",
            Self::None => "AssociatedNameStrategy",
        }
    }

    /// The subject. `record` is the schema's name if it is a record's.
    fn subject(
        self,
        topic: &str,
        is_key: bool,
        record: Option<&str>,
    ) -> Result<String, RegistryError> {
        let side = if is_key { "key" } else { "value" };
        let record = || {
            record.ok_or_else(|| {
                RegistryError::Serialization(format!(
                    "In configuration {side}.subject.name.strategy = {PACKAGE}{}, the message \
                     {side} must only be a record schema",
                    self.class()
                ))
            })
        };
        Ok(match self {
            Self::Topic => format!("{topic}-{side}"),
            Self::Record => record()?.to_owned(),
            Self::TopicRecord => format!("{topic}-{}", record()?),
            Self::None => {
                return Err(RegistryError::Serialization(format!(
                    "No associated subject found for topic {topic}"
                )));
            }
        })
    }
}

/// A subject name strategy as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// By a rule.
    Fixed(Naming),
    /// By what the registry associates with the topic, or else by a rule.
    Associated {
        /// `subject.name.strategy.kafka.cluster.id`.
        namespace: String,
        /// `subject.name.strategy.fallback.type`.
        fallback: Naming,
    },
}

impl Strategy {
    /// The strategy of a class name.
    ///
    /// # Errors
    /// Kind Config: there is no such strategy here.
    pub fn parse(class: &str, namespace: &str, fallback: &str) -> Result<Self> {
        let simple = class.strip_prefix(PACKAGE).unwrap_or(class);
        Ok(Self::Fixed(match simple {
            "TopicNameStrategy" => Naming::Topic,
            "RecordNameStrategy" => Naming::Record,
            "TopicRecordNameStrategy" => Naming::TopicRecord,
            "AssociatedNameStrategy" => {
                return Ok(Self::Associated {
                    namespace: namespace.to_owned(),
                    fallback: match fallback.to_ascii_uppercase().as_str() {
                        "TOPIC" => Naming::Topic,
                        "RECORD" => Naming::Record,
                        "TOPIC_RECORD" => Naming::TopicRecord,
                        "NONE" => Naming::None,
                        _ => {
                            return Err(Error::config(format!(
                                "Invalid value {fallback} for configuration \
                                 subject.name.strategy.fallback.type: one of TOPIC, RECORD, \
                                 TOPIC_RECORD, NONE"
                            )));
                        }
                    },
                });
            }
            _ => {
                return Err(Error::config(format!(
                    "Invalid value {class} for configuration subject.name.strategy: Class {class} could not be found."
                )));
            }
        }))
    }

    /// Whether the name of a message's record is part of its subject, so that a reader has to fetch
    /// the schema before it knows the subject.
    pub fn needs_record(&self) -> bool {
        let naming = match self {
            Self::Fixed(naming) => *naming,
            Self::Associated { fallback, .. } => *fallback,
        };
        matches!(naming, Naming::Record | Naming::TopicRecord)
    }
}

/// A strategy with what it has asked the registry before.
#[derive(Debug)]
pub(crate) struct Subjects {
    strategy: Strategy,
    /// What the registry associates, by topic; `None` where it has nothing.
    associated: Bounded<String, Option<String>>,
    /// `context.name.strategy` puts this in front.
    is_key: bool,
}

impl Subjects {
    pub(crate) fn new(strategy: Strategy, cache_size: usize, is_key: bool) -> Self {
        Self {
            strategy,
            associated: Bounded::new(cache_size),
            is_key,
        }
    }
    pub(crate) fn needs_record(&self) -> bool {
        self.strategy.needs_record()
    }

    pub(crate) fn subject(
        &mut self,
        registry: &mut dyn Registry,
        topic: &str,
        record: Option<&str>,
    ) -> Result<String, RegistryError> {
        let (namespace, fallback) = match &self.strategy {
            Strategy::Fixed(naming) => return naming.subject(topic, self.is_key, record),
            Strategy::Associated {
                namespace,
                fallback,
            } => (namespace, *fallback),
        };
        let known = match self.associated.get(topic) {
            Some(known) => known.clone(),
            None => {
                let found = match registry.associated_subjects(namespace, topic, self.is_key) {
                    Ok(found) => found,
                    Err(error) if error.is_not_found() => Vec::new(),
                    // Whatever its status: the strategy is part of the serializer.
                    Err(error @ RegistryError::Rest { .. }) => {
                        return Err(RegistryError::Serialization(error.to_string()));
                    }
                    Err(RegistryError::Io { message, .. }) => {
                        return Err(RegistryError::io(message));
                    }
                    Err(error) => return Err(error),
                };
                if found.len() > 1 {
                    return Err(RegistryError::Serialization(format!(
                        "Multiple associated subjects found for topic {topic}"
                    )));
                }
                let found = found.into_iter().next();
                self.associated.insert(topic.to_owned(), found.clone());
                found
            }
        };
        match known {
            Some(subject) => Ok(subject),
            None => fallback.subject(topic, self.is_key, record),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::MockRegistry;

    fn subject(class: &str, record: Option<&str>) -> Result<String, RegistryError> {
        let strategy = Strategy::parse(&format!("{PACKAGE}{class}"), "-", "TOPIC").expect("known");
        Subjects::new(strategy, 10, false).subject(&mut MockRegistry::new(), "t", record)
    }

    #[test]
    fn each_strategy_has_its_subject() {
        for (class, expected) in [
            ("TopicNameStrategy", "t-value"),
            ("RecordNameStrategy", "a.R"),
            ("TopicRecordNameStrategy", "t-a.R"),
            ("AssociatedNameStrategy", "t-value"),
        ] {
            assert_eq!(subject(class, Some("a.R")).expect("named"), expected);
        }
        Strategy::parse("my.Own", "-", "TOPIC").expect_err("not here");
    }

    #[test]
    fn what_is_no_record_has_no_record_name() {
        let error = subject("RecordNameStrategy", None).expect_err("no record");
        assert_eq!(
            error.to_string(),
            "In configuration value.subject.name.strategy = \
             io.confluent.kafka.serializers.subject.RecordNameStrategy, the message value must \
             only be a record schema"
        );
    }
}
