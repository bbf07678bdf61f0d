//! Renames topics by a regular expression that has to match the whole name.
//!
//! ```text
//! config   {"type": "…RegexRouter", "regex": "shop\\.(.*)", "replacement": "$1"}
//! before   topic shop.orders
//! after    topic orders
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.RegexRouter`.

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Parsed, Type, Validator};
use connect_api::context::PluginContext;
use connect_api::java::Regex;
use connect_api::record::{Record, Topic};
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use crate::operand::plugin;

plugin!(
    "RegexRouter",
    definition,
    Transformation,
    RegexRouter::default()
);

const REGEX: &str = "regex";
const REPLACEMENT: &str = "replacement";

/// How many topics' new names are remembered.
const TOPIC_CACHE_SIZE: usize = 1000;

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(REGEX, Type::String, Importance::High)
                .validator(valid_regex())
                .doc("The regular expression that the whole topic has to match."),
        )
        .define(
            ConfigKey::new(REPLACEMENT, Type::String, Importance::High)
                .doc("The new name; $1 or ${name} stands for a group of the match."),
        )
}

/// A regular expression (`RegexValidator`), which fails on a null in a way of its own.
pub(crate) fn valid_regex() -> Validator {
    Arc::new(|name, value| {
        let (shown, why) = match value {
            Some(Parsed::String(text)) => match Regex::new(text) {
                Ok(_) => return Ok(()),
                Err(error) => (text.as_str(), error.message),
            },
            _ => (
                "null",
                "Cannot invoke \"String.isEmpty()\" because \"this.pattern\" is null".to_owned(),
            ),
        };
        Err(format!(
            "Invalid value {shown} for configuration {name}: Invalid regex: {why}"
        ))
    })
}

/// The error of a pattern that validation has let pass.
pub(crate) fn compile(pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|error| Error::config(format!("Invalid regex: {error}")))
}

/// [`Regex::replace_full`] of a topic and the like.
pub(crate) fn replaced(regex: &Regex, text: &str, replacement: &str) -> Result<Option<String>> {
    regex
        .replace_full(text, replacement)
        .map_err(|(class, message)| Error::data(message).with_class(class))
}

#[derive(Debug, Default)]
struct RegexRouter {
    regex: Option<Regex>,
    replacement: String,
    topics: HashMap<Topic, Topic>,
}

impl Transformation for RegexRouter {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        let regex = compile(config.string(REGEX))?;
        config.string(REPLACEMENT).clone_into(&mut self.replacement);
        self.regex = Some(regex);
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        if let Some(topic) = self.topics.get(&record.topic) {
            record.topic = topic.clone();
            return Ok(Some(record));
        }
        let Some(regex) = &self.regex else {
            return Ok(Some(record));
        };
        let renamed = match replaced(regex, &record.topic, &self.replacement)? {
            Some(name) => Topic::from(name),
            None => record.topic.clone(),
        };
        if self.topics.len() >= TOPIC_CACHE_SIZE {
            self.topics.clear();
        }
        self.topics.insert(
            std::mem::replace(&mut record.topic, renamed.clone()),
            renamed,
        );
        Ok(Some(record))
    }
}
