//! The converter: what is worked out once per schema and topic, and the few steps per record.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use avro_data::{
    AvroRef, Options, Parser, Reader, Shape, Writer, compatible, from_connect, from_connect_schema,
    write,
};
use connect_api::context::PluginContext;
use connect_api::converter::Converter;
use connect_api::data::{Headers, SchemaAndValue, SchemaCache, SchemaRef, Value};
use connect_api::{Bytes, Error, Props, Result};
use schema_registry::error::{class, serialization};
use schema_registry::{RegistrySchema, SchemaId, SchemaKind, Serde, WriteSchema, apicurio};

use crate::config;

/// `AvroConverter`.
#[derive(Debug, Default)]
pub(crate) struct AvroConverter {
    apicurio: bool,
    configured: Option<Configured>,
}

#[derive(Debug)]
struct Configured {
    serde: Serde,
    options: Options,
    fail_on_trailing_data: bool,
    cache_size: usize,
    /// By schema and topic.
    writers: SchemaCache<Topics>,
    /// By topic, for data without a schema.
    schemaless: Topics,
    /// By id and topic.
    readers: HashMap<SchemaId, HashMap<Box<str>, Arc<Reader>>>,
}

/// Plans by topic: one as a rule, so that comparing names beats hashing them.
#[derive(Debug, Default)]
struct Topics(Vec<(Box<str>, WritePlan)>);

impl Topics {
    fn get(&self, topic: &str) -> Option<&WritePlan> {
        let mut all = self.0.iter();
        all.find(|(known, _)| **known == *topic)
            .map(|(_, plan)| plan)
    }
    fn insert(&mut self, topic: &str, plan: WritePlan, limit: usize) {
        self.0.retain(|(known, _)| **known != *topic);
        if self.0.len() >= limit {
            self.0.clear();
        }
        self.0.push((topic.into(), plan));
    }
}

#[derive(Debug)]
struct WritePlan {
    schema: WriteSchema,
    writer: Writer,
    since: Instant,
}

impl AvroConverter {
    /// The converter under Apicurio's name, which has other options.
    pub(crate) fn apicurio() -> Self {
        Self {
            apicurio: true,
            configured: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn over(serde: Serde, options: Options, cache_size: usize) -> Self {
        Self {
            apicurio: false,
            configured: Some(Configured::new(serde, options, false, cache_size)),
        }
    }

    /// How many plans are kept.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.configured.as_ref().map_or(0, |configured| {
            configured.writers.len() + configured.schemaless.0.len() + configured.readers.len()
        })
    }

    fn configured(&mut self) -> Result<&mut Configured> {
        self.configured
            .as_mut()
            .ok_or_else(|| Error::fatal("AvroConverter is used before it is configured"))
    }
}

impl Converter for AvroConverter {
    fn configure(&mut self, context: &PluginContext, props: &Props, is_key: bool) -> Result<()> {
        let translated;
        let (definition, props) = if self.apicurio {
            translated = apicurio::translated(props)?;
            (config::apicurio_definition(), &translated)
        } else {
            (config::definition(), props)
        };
        let parsed = definition.parse(props)?;
        self.configured = Some(Configured::new(
            Serde::new(SchemaKind::Avro, &parsed, is_key, context)?,
            config::options(&parsed),
            parsed.bool("avro.fail.on.trailing.data"),
            usize::try_from(parsed.int("schemas.cache.config")).unwrap_or(1),
        ));
        Ok(())
    }

    fn from_connect_data(
        &mut self,
        topic: &str,
        headers: &mut Headers,
        data: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let start = out.len();
        let written = self.configured()?.write(topic, headers, data, out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn to_connect_data(
        &mut self,
        topic: &str,
        headers: &Headers,
        bytes: Option<&Bytes>,
    ) -> Result<SchemaAndValue> {
        match bytes {
            None => Ok(SchemaAndValue::NULL),
            Some(bytes) => self.configured()?.read(topic, headers, bytes),
        }
    }
}

impl Configured {
    fn new(serde: Serde, options: Options, fail_on_trailing_data: bool, cache_size: usize) -> Self {
        Self {
            serde,
            options,
            fail_on_trailing_data,
            cache_size,
            writers: SchemaCache::new(cache_size),
            schemaless: Topics::default(),
            readers: HashMap::new(),
        }
    }

    fn write(
        &mut self,
        topic: &str,
        headers: &mut Headers,
        data: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        if data.value.is_null() {
            return match &data.schema {
                Some(schema) if !schema.is_optional() => {
                    Err(Error::data("Found null value for non-optional schema"))
                }
                _ => Ok(false),
            };
        }
        let known = match &data.schema {
            Some(schema) => self
                .writers
                .get(schema)
                .and_then(|topics| topics.get(topic)),
            None => self.schemaless.get(topic),
        };
        if known.is_none_or(|plan| self.is_over(plan)) {
            let plan = self.plan(topic, data.schema.as_ref(), &data.value)?;
            self.keep(topic, data.schema.as_ref(), plan);
        }
        let plan = match &data.schema {
            Some(schema) => self
                .writers
                .get(schema)
                .and_then(|topics| topics.get(topic)),
            None => self.schemaless.get(topic),
        };
        let plan = plan.ok_or_else(|| Error::fatal("a plan is gone that was just made"))?;
        self.serde.frame(&plan.schema, &[], headers, out)?;
        let replaced = plan.schema.replaced.is_some();
        plan.writer.write(&data.value, out).map_err(|error| {
            if replaced {
                // There the serializer fails, not the conversion before it.
                self.not_serialized(topic, error)
            } else {
                error
            }
        })?;
        Ok(true)
    }

    /// Whether a plan has to be made again because the latest version is asked for anew.
    fn is_over(&self, plan: &WritePlan) -> bool {
        let settings = self.serde.settings();
        settings.latest_cache_ttl.is_some_and(|ttl| {
            !settings.auto_register
                && (settings.use_latest || settings.metadata.is_some())
                && plan.since.elapsed() >= ttl
        })
    }

    fn keep(&mut self, topic: &str, schema: Option<&SchemaRef>, plan: WritePlan) {
        let limit = self.cache_size;
        let topics = match schema {
            Some(schema) => self.writers.get_or_insert_with(schema, Topics::default),
            None => &mut self.schemaless,
        };
        topics.insert(topic, plan, limit);
    }

    fn not_serialized(&self, topic: &str, cause: Error) -> Error {
        self.serde
            .writing(topic)
            .data(serialization("Error serializing Avro message").with_source(cause))
    }

    /// Maps the schema, registers it or finds it. The value is written once for nothing before: one
    /// that is none of its schema registers nothing.
    fn plan(
        &mut self,
        topic: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
    ) -> Result<WritePlan> {
        let avro = match schema {
            Some(schema) => from_connect_schema(schema, self.options)?,
            None => Parser::new().parse(write::ANYTHING_SCHEMA)?,
        };
        from_connect::check_names(&avro)?;
        let writer = match schema {
            Some(schema) => Writer::new(schema, &avro, &self.options)?,
            None => Writer::schemaless(),
        };
        writer.write(value, &mut Vec::new())?;
        let text = match schema {
            Some(_) => avro.to_text(),
            None => write::ANYTHING_SCHEMA.to_owned(),
        };
        let registry_schema = RegistrySchema::new(SchemaKind::Avro, text);
        let record = record_name(&avro);
        let own = Arc::clone(&avro);
        let found = self.serde.write_schema(
            topic,
            &registry_schema,
            record.as_deref(),
            &move |latest: &RegistrySchema| {
                // One that names others is left to the registry to compare.
                !latest.references.is_empty()
                    || Parser::new()
                        .parse(&latest.text)
                        .is_ok_and(|latest| compatible::can_read(&latest, &own))
            },
        )?;
        let writer = match (&found.replaced, schema) {
            (Some(replaced), Some(schema)) => {
                let avro = self.parse(replaced);
                avro.and_then(|avro| Writer::new(schema, &avro, &self.options))
                    .map_err(|error| self.not_serialized(topic, error))?
            }
            _ => writer,
        };
        Ok(WritePlan {
            schema: found,
            writer,
            since: Instant::now(),
        })
    }

    /// A schema with all it refers to.
    fn parse(&mut self, schema: &RegistrySchema) -> Result<AvroRef> {
        let mut parser = Parser::new();
        if !schema.references.is_empty() {
            let referred = self.serde.resolve(schema).map_err(|error| {
                Error::data("fetching the schemas that the schema refers to")
                    .with_class(class::SERIALIZATION)
                    .with_source(error)
            })?;
            for (_, referred) in &referred {
                parser.parse(&referred.text)?;
            }
        }
        parser.parse(&schema.text)
    }

    fn read(&mut self, topic: &str, headers: &Headers, bytes: &Bytes) -> Result<SchemaAndValue> {
        let message = self.serde.unframe(topic, headers, bytes)?;
        let known = self
            .readers
            .get(&message.id)
            .and_then(|topics| topics.get(topic));
        let reader = match known {
            Some(reader) => Arc::clone(reader),
            None => self.reader(topic, message.id)?,
        };
        reader
            .read(&message.payload, self.fail_on_trailing_data)
            .map_err(|error| self.not_deserialized(topic, message.id, error))
    }

    fn not_deserialized(&self, topic: &str, id: SchemaId, cause: Error) -> Error {
        let step = format!("Error deserializing Avro message for id {id}");
        self.serde
            .reading(topic)
            .data(serialization(step).with_source(cause))
    }

    fn reader(&mut self, topic: &str, id: SchemaId) -> Result<Arc<Reader>> {
        let read = self.serde.read_schema(topic, id, &|schema| {
            let avro = Parser::new().parse(&schema.text).ok()?;
            record_name(&avro)
        })?;
        let avro = self
            .parse(&read.schema)
            .map_err(|error| self.not_deserialized(topic, id, error))?;
        let reader = Arc::new(Reader::new(&avro, &self.options, read.version)?);
        if self.readers.len() >= self.cache_size {
            self.readers.clear();
        }
        let topics = self.readers.entry(id).or_default();
        if topics.len() >= self.cache_size {
            topics.clear();
        }
        topics.insert(topic.into(), Arc::clone(&reader));
        Ok(reader)
    }
}

/// The full name of a record; none of what is no record, a union with one included.
fn record_name(avro: &AvroRef) -> Option<String> {
    match &avro.shape {
        Shape::Record { name, .. } => Some(name.full()),
        _ => None,
    }
}
