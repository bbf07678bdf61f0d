//! Filters and routes records by an expression over their content.
//!
//! ```text
//! config   {"type": "io.debezium.transforms.Filter", "language": "jsr223.groovy",
//!           "condition": "value.op == 'u' && value.before.id == 2"}
//! config   {"type": "io.debezium.transforms.ContentBasedRouter", "language": "jsr223.groovy",
//!           "topic.expression": "value.op == 'd' ? topic + '.deleted' : null"}
//! ```
//!
//! Debezium runs scripts of any language that the JVM knows. Here there is no JVM: the subset of
//! Groovy that people write in these two places is read and evaluated, and a script beyond it is
//! refused when the task starts. What the subset is stands in `docs/expressions.md`.
//!
//! Answers for `io.debezium.transforms.{Filter, ContentBasedRouter, ScriptingTransformation}` of
//! debezium-scripting.

mod evaluate;
mod item;
mod parse;

use connect_api::config::{ConfigDef, Importance, Type, Width};
use connect_api::context::PluginContext;
use connect_api::java::Regex;
use connect_api::plugin::{Make, Plugin};
use connect_api::record::{Record, Topic};
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use self::item::Item;
use self::parse::Expression;
use super::{DEBEZIUM, choice, option, regex, required};

pub(crate) const FILTER: Plugin = Plugin {
    class: "io.debezium.transforms.Filter",
    version: DEBEZIUM,
    config: filter_definition,
    make: Make::Transformation(|| Box::new(Scripted::new(Use::Filter))),
};
pub(crate) const ROUTER: Plugin = Plugin {
    class: "io.debezium.transforms.ContentBasedRouter",
    version: DEBEZIUM,
    config: router_definition,
    make: Make::Transformation(|| Box::new(Scripted::new(Use::Router))),
};

const TOPIC_REGEX: &str = "topic.regex";
const LANGUAGE: &str = "language";
const CONDITION: &str = "condition";
const TOPIC_EXPRESSION: &str = "topic.expression";
const NULLS: &str = "null.handling.mode";
const INVALID: &str = "The provided configuration isn't valid; check the error log for details.";

fn filter_definition() -> ConfigDef {
    definition(
        CONDITION,
        "Filtering condition",
        "The expression that is true for the records to keep.",
    )
}

fn router_definition() -> ConfigDef {
    definition(
        TOPIC_EXPRESSION,
        "Topic name expression",
        "The expression that gives the record's new topic; null leaves it where it is.",
    )
}

fn definition(expression: &str, display: &str, doc: &str) -> ConfigDef {
    let key = |name: &str, importance, width, display: &str, doc: &str| {
        option(name, Type::String, importance, width, display, doc)
    };
    ConfigDef::new()
        .define(key(
            TOPIC_REGEX,
            Importance::Low,
            Width::Long,
            "Topic regex",
            "The regular expression that topics have to match as a whole; records of others pass.",
        ))
        .define(key(
            LANGUAGE,
            Importance::High,
            Width::Medium,
            "Expression language",
            "The expression's language: jsr223.groovy, of which a subset is understood.",
        ))
        .define(key(
            expression,
            Importance::High,
            Width::Medium,
            display,
            doc,
        ))
        .define(
            key(
                NULLS,
                Importance::Low,
                Width::Short,
                "Handle null records",
                "What becomes of records without value: keep passes them, drop leaves them out, \
                 evaluate asks the expression.",
            )
            .default("keep"),
        )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Filter,
    Router,
}

impl Use {
    fn key(self) -> &'static str {
        match self {
            Self::Filter => CONDITION,
            Self::Router => TOPIC_EXPRESSION,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nulls {
    Keep,
    Drop,
    Evaluate,
}

#[derive(Debug)]
struct Scripted {
    purpose: Use,
    topics: Option<Regex>,
    nulls: Nulls,
    text: String,
    expression: Option<Expression>,
}

impl Scripted {
    fn new(purpose: Use) -> Self {
        Self {
            purpose,
            topics: None,
            nulls: Nulls::Keep,
            text: String::new(),
            expression: None,
        }
    }

    /// The error of an expression that failed on a record.
    fn failed(&self, record: &Record, cause: Error) -> Error {
        Error::data(format!(
            "Error while evaluating expression '{}' for a record of topic {}",
            self.text, record.topic
        ))
        .with_source(cause)
    }
}

/// Debezium names what it found and which class was wanted.
fn not_a(item: &Item<'_>, class: &str) -> Error {
    Error::data(format!(
        "Value '{}' returned by the expression is not a {class}",
        item.text()
    ))
}

impl Transformation for Scripted {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let nulls = [
            ("drop", Nulls::Drop),
            ("keep", Nulls::Keep),
            ("evaluate", Nulls::Evaluate),
        ];
        let read = || -> Result<_> {
            Ok((
                regex(props, TOPIC_REGEX)?,
                required(props, LANGUAGE)?,
                required(props, self.purpose.key())?.to_owned(),
                choice(props, NULLS, &nulls, Nulls::Keep)?,
            ))
        };
        let (topics, language, text, nulls) =
            read().map_err(|error| Error::config(INVALID).with_source(error))?;
        match language.strip_prefix("jsr223.") {
            Some("groovy") => {}
            Some(other) => {
                return Err(unknown_language(other, &text));
            }
            None if language.starts_with("wasm.") => {
                return Err(unknown_language(language, &text));
            }
            None => {
                return Err(Error::config(
                    "Value for option 'language' must begin with 'jsr223.' or 'wasm', e.g. \
                     'jsr223.groovy'",
                ));
            }
        }
        let parsed = parse::parse(&text).map_err(|error| {
            Error::config(format!("Failed to parse expression '{text}'")).with_source(error)
        })?;
        self.expression = Some(parsed);
        self.topics = topics;
        self.nulls = nulls;
        self.text = text;
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        if self
            .topics
            .as_ref()
            .is_some_and(|topics| !topics.matches(&record.topic))
        {
            return Ok(Some(record));
        }
        if record.value.is_null() {
            match self.nulls {
                Nulls::Keep => return Ok(Some(record)),
                Nulls::Drop => return Ok(None),
                Nulls::Evaluate => {}
            }
        }
        let Some(expression) = &self.expression else {
            return Ok(Some(record));
        };
        let outcome =
            evaluate::evaluate(expression, &record).and_then(|item| match (self.purpose, item) {
                (Use::Filter, Item::Boolean(keep)) => Ok((keep, None)),
                (Use::Filter, Item::Null) => Err(Error::data(
                    "Cannot invoke \"java.lang.Boolean.booleanValue()\": the condition gave null",
                )),
                (Use::Filter, other) => Err(not_a(&other, "Boolean")),
                (Use::Router, Item::Null) => Ok((true, None)),
                (Use::Router, Item::Text(topic)) => Ok((true, Some(Topic::from(&*topic)))),
                (Use::Router, other) => Err(not_a(&other, "String")),
            });
        match outcome {
            Ok((keep, topic)) => {
                if let Some(topic) = topic {
                    record.topic = topic;
                }
                Ok(keep.then_some(record))
            }
            Err(error) => Err(self.failed(&record, error)),
        }
    }
}

fn unknown_language(language: &str, text: &str) -> Error {
    Error::config(format!("Failed to parse expression '{text}'")).with_source(format!(
        "Implementation of language '{language}' not found: scripts run in no JVM here; a subset \
         of jsr223.groovy is understood"
    ))
}

#[cfg(test)]
mod tests;
