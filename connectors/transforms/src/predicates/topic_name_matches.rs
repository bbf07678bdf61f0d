//! True for records of topics whose whole name matches a regular expression.
//!
//! Answers for `org.apache.kafka.connect.transforms.predicates.TopicNameMatches`.

use std::sync::Arc;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, Validator, non_empty};
use connect_api::context::PluginContext;
use connect_api::java::Regex;
use connect_api::record::{Record, Topic};
use connect_api::transform::Predicate;
use connect_api::{Props, Result};

use crate::operand::plugin;
use crate::regex_router::{compile, valid_regex};

plugin!(
    "predicates.TopicNameMatches",
    definition,
    Predicate,
    TopicNameMatches::default()
);

const PATTERN: &str = "pattern";

fn definition() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new(PATTERN, Type::String, Importance::Medium)
            .validator(pattern())
            .doc("The regular expression that the whole topic has to match."),
    )
}

/// A regular expression that is not empty.
fn pattern() -> Validator {
    let (non_empty, regex) = (non_empty(), valid_regex());
    Arc::new(move |name, value| non_empty(name, value).and_then(|()| regex(name, value)))
}

#[derive(Debug, Default)]
struct TopicNameMatches {
    pattern: Option<Regex>,
    /// The last topic and its answer: records of one topic follow each other.
    last: Option<(Topic, bool)>,
}

impl Predicate for TopicNameMatches {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        self.pattern = Some(compile(definition().parse(props)?.string(PATTERN))?);
        Ok(())
    }

    fn test(&mut self, record: &Record) -> Result<bool> {
        if let Some((topic, matches)) = &self.last
            && *topic == record.topic
        {
            return Ok(*matches);
        }
        let matches = self
            .pattern
            .as_ref()
            .is_some_and(|pattern| pattern.matches(&record.topic));
        self.last = Some((record.topic.clone(), matches));
        Ok(matches)
    }
}
