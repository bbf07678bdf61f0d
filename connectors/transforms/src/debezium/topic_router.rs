//! Routes the events of many tables to one topic, and tells their rows apart by a field in the key.
//!
//! ```text
//! config   {"type": "io.debezium.transforms.ByLogicalTableRouter",
//!           "topic.regex": "(.*)orders_shard_\\d+", "topic.replacement": "$1orders"}
//! before   topic p.s.orders_shard_1, key {"id": 7}
//! after    topic p.s.orders, key {"id": 7, "__dbz__physicalTableIdentifier": "p.s.orders_shard_1"}
//! ```
//!
//! The regular expression has to match the whole topic; other topics pass unchanged. Schemas are
//! named after the new topic. `logical.destination.cache.size` is accepted and has no effect: what
//! follows from a schema is remembered under its address.
//!
//! Answers for `io.debezium.transforms.{ToLogicalTopicRouter, ByLogicalTableRouter}`; the latter is
//! the older name and differs in the key field's default.

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::config::{ConfigDef, Importance, Type, Width};
use connect_api::context::PluginContext;
use connect_api::data::{
    NameAdjustment, Schema, SchemaCache, SchemaRef, SchemaType, Struct, Value,
};
use connect_api::java::Regex;
use connect_api::plugin::{Make, Plugin};
use connect_api::record::{Record, Topic};
use connect_api::transform::Transformation;
use connect_api::{ByteString, Error, Props, Result};

use super::{DEBEZIUM, choice, envelope_of, flag, invalid, option, regex, required, text};
use crate::operand::{SCHEMA_CACHE_SIZE, copy_basics, take_struct};
use crate::regex_router::replaced;

pub(crate) const LOGICAL_TOPIC: Plugin = Plugin {
    class: "io.debezium.transforms.ToLogicalTopicRouter",
    version: DEBEZIUM,
    config: definition,
    make: Make::Transformation(|| Box::new(Unconfigured("__dbz__sourceIdentifier").router())),
};
pub(crate) const LOGICAL_TABLE: Plugin = Plugin {
    class: "io.debezium.transforms.ByLogicalTableRouter",
    version: DEBEZIUM,
    config: definition,
    make: Make::Transformation(|| {
        Box::new(Unconfigured("__dbz__physicalTableIdentifier").router())
    }),
};

const TOPIC_REGEX: &str = "topic.regex";
const TOPIC_REPLACEMENT: &str = "topic.replacement";
const ENFORCE_UNIQUENESS: &str = "key.enforce.uniqueness";
const KEY_REGEX: &str = "key.field.regex";
const KEY_REPLACEMENT: &str = "key.field.replacement";
const KEY_FIELD: &str = "key.field.name";
const SCHEMA_NAMES: &str = "schema.name.adjustment.mode";
const PURPOSE: &str = "Updating schema";
/// How many topics' new names are remembered.
const TOPICS: usize = 1000;

fn definition() -> ConfigDef {
    let key = |name, kind, width, display: &str, doc: &str| {
        option(name, kind, Importance::Low, width, display, doc)
    };
    ConfigDef::new()
        .define(key(
            TOPIC_REGEX,
            Type::String,
            Width::Long,
            "Topic regex",
            "The regular expression that a topic has to match as a whole.",
        ))
        .define(key(
            TOPIC_REPLACEMENT,
            Type::String,
            Width::Long,
            "Topic replacement",
            "The new topic, in which groups of the match stand for their text.",
        ))
        .define(
            key(
                ENFORCE_UNIQUENESS,
                Type::Boolean,
                Width::Short,
                "Add source topic name into key",
                "Whether keys get a field with the old topic, so that equal keys of different \
                 tables stay different.",
            )
            .default(true),
        )
        .define(key(
            KEY_REGEX,
            Type::String,
            Width::Long,
            "Key field regex",
            "The regular expression that takes from the old topic what goes into that field.",
        ))
        .define(key(
            KEY_REPLACEMENT,
            Type::String,
            Width::Long,
            "Key field replacement",
            "What goes into that field, in which groups of the match stand for their text.",
        ))
        .define(
            key(
                "logical.destination.cache.size",
                Type::Int,
                Width::Long,
                "Logical destination cache size",
                "How many schemas are remembered. Without effect: all in use are.",
            )
            .default(16),
        )
}

/// What the two classes differ in: the default name of the field in the key.
struct Unconfigured(&'static str);

impl Unconfigured {
    fn router(&self) -> TopicRouter {
        TopicRouter {
            key_field: ByteString::from_static(self.0),
            topic: None,
            replacement: String::new(),
            unique: true,
            identifier: None,
            names: NameAdjustment::None,
            topics: HashMap::new(),
            keys: SchemaCache::new(SCHEMA_CACHE_SIZE),
            envelopes: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }
}

/// Where a topic goes and what its rows are told apart by.
#[derive(Clone, Debug)]
struct Route {
    topic: Topic,
    identifier: ByteString,
}

#[derive(Debug)]
struct TopicRouter {
    topic: Option<Regex>,
    replacement: String,
    unique: bool,
    key_field: ByteString,
    identifier: Option<(Regex, String)>,
    names: NameAdjustment,
    topics: HashMap<Topic, Option<Route>>,
    keys: SchemaCache<SchemaRef>,
    envelopes: SchemaCache<Envelope>,
}

/// A renamed envelope's schema, its row's, and where its rows stand.
#[derive(Debug)]
struct Envelope {
    schema: SchemaRef,
    row: Option<SchemaRef>,
    rows: Vec<usize>,
}

impl Transformation for TopicRouter {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let check = || -> Result<_> {
            required(props, TOPIC_REGEX)?;
            let names = [
                ("none", NameAdjustment::None),
                ("avro", NameAdjustment::Avro),
                ("avro_unicode", NameAdjustment::AvroUnicode),
            ];
            let identifier = match (regex(props, KEY_REGEX)?, text(props, KEY_REPLACEMENT)) {
                (None, _) => None,
                (Some(regex), Some(replacement)) => Some((regex, replacement.to_owned())),
                (Some(_), None) => {
                    let problem =
                        format!("{KEY_REPLACEMENT} must be non-empty if {KEY_REGEX} is set.");
                    return Err(invalid(KEY_REPLACEMENT, None, &problem));
                }
            };
            Ok((
                regex(props, TOPIC_REGEX)?,
                required(props, TOPIC_REPLACEMENT)?.to_owned(),
                flag(props, ENFORCE_UNIQUENESS, true)?,
                identifier,
                choice(props, SCHEMA_NAMES, &names, NameAdjustment::None)?,
            ))
        };
        (
            self.topic,
            self.replacement,
            self.unique,
            self.identifier,
            self.names,
        ) = check()
            .map_err(|error| Error::config("Unable to validate config.").with_source(error))?;
        if let Some(name) = props.get(KEY_FIELD) {
            self.key_field = name.as_str().into();
        }
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let Some(route) = self.route(&record.topic)? else {
            return Ok(Some(record));
        };
        if !record.key.is_null() {
            let key = take_struct(std::mem::take(&mut record.key.value), PURPOSE)?;
            let schema = self.key_schema(&key.schema, &route.topic);
            let mut values = key.values;
            if self.unique {
                values.push(Value::String(route.identifier));
            }
            record.key.value = Value::Struct(Struct::new(Arc::clone(&schema), values));
            record.key.schema = Some(schema);
        } else {
            record.key.schema = None;
        }
        if envelope_of(&record.value).is_some() {
            let mut envelope = take_struct(std::mem::take(&mut record.value.value), PURPOSE)?;
            let renamed = self.envelope(&envelope.schema, &route.topic);
            for &place in &renamed.rows {
                if let (Value::Struct(row), Some(schema)) =
                    (&mut envelope.values[place], &renamed.row)
                {
                    row.schema = Arc::clone(schema);
                }
            }
            envelope.schema = Arc::clone(&renamed.schema);
            record.value.schema = Some(Arc::clone(&renamed.schema));
            record.value.value = Value::Struct(envelope);
        }
        record.topic = route.topic;
        Ok(Some(record))
    }
}

impl TopicRouter {
    fn route(&mut self, topic: &Topic) -> Result<Option<Route>> {
        if let Some(known) = self.topics.get(topic) {
            return Ok(known.clone());
        }
        let renamed = match &self.topic {
            Some(regex) => replaced(regex, topic, &self.replacement)?,
            None => None,
        };
        let route = match renamed {
            Some(renamed) if renamed.is_empty() => {
                tracing::warn!(
                    %topic,
                    "Routing regex returned an empty topic name, propagating original record"
                );
                None
            }
            Some(renamed) => {
                // Only keys that are made unique have it.
                let identifier = match &self.identifier {
                    Some((regex, replacement)) if self.unique => {
                        replaced(regex, topic, replacement)?
                    }
                    _ => None,
                };
                Some(Route {
                    topic: renamed.into(),
                    identifier: identifier.map_or_else(|| topic.clone(), Into::into),
                })
            }
            None => None,
        };
        if self.topics.len() >= TOPICS {
            self.topics.clear();
        }
        self.topics.insert(topic.clone(), route.clone());
        Ok(route)
    }

    fn key_schema(&mut self, schema: &SchemaRef, topic: &str) -> SchemaRef {
        let Self {
            keys,
            names,
            unique,
            key_field,
            ..
        } = self;
        let renamed = keys.get_or_insert_with(schema, || {
            let mut builder = copy_fields(schema, names.schema_name(&format!("{topic}.Key")));
            if *unique {
                builder = builder.field(key_field.clone(), Schema::string().build());
            }
            builder.build()
        });
        Arc::clone(renamed)
    }

    fn envelope(&mut self, schema: &SchemaRef, topic: &str) -> &Envelope {
        let names = self.names;
        self.envelopes.get_or_insert_with(schema, || {
            let row = schema
                .field("before")
                .or_else(|| schema.field("after"))
                .map(|field| {
                    copy_fields(&field.schema, names.schema_name(&format!("{topic}.Value"))).build()
                });
            let mut builder = copy_basics(schema, Schema::builder(SchemaType::Struct))
                .optional_if(schema.is_optional())
                .name(names.schema_name(&format!("{topic}.Envelope")));
            let mut rows = Vec::new();
            for field in schema.fields() {
                let is_row = matches!(&*field.name, "before" | "after");
                builder = match &row {
                    Some(row) if is_row => {
                        rows.push(field.index);
                        builder.field(field.name.clone(), Arc::clone(row))
                    }
                    _ => builder.field(field.name.clone(), Arc::clone(&field.schema)),
                };
            }
            Envelope {
                schema: builder.build(),
                row,
                rows,
            }
        })
    }
}

/// The schema under another name, without its default.
fn copy_fields(schema: &Schema, name: String) -> connect_api::data::SchemaBuilder {
    schema.to_builder().no_default().name(name)
}
