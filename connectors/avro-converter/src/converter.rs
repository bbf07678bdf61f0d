//! The converter: what is worked out once per schema and topic, and the few steps per record.

use std::sync::Arc;

use avro_data::{
    AvroRef, Options, Parser, Reader, Resolution, Shape, Writer, anything, compatible,
    from_connect, from_connect_schema,
};
use connect_api::config::{Config, ConfigDef};
use connect_api::data::{Headers, SchemaAndValue, SchemaCache, SchemaRef, Value};
use connect_api::{Bytes, Error, Result};
use schema_registry::error::{class, serialization};
use schema_registry::{
    Dialect, Known, Language, Lasts, RegistryConverter, RegistrySchema, SchemaId, SchemaKind,
    Serde, WriteSchema,
};

use crate::config;

/// What the conversion throws; Avro's library, in the serializer, throws others.
const DATA_EXCEPTION: &str = "org.apache.kafka.connect.errors.DataException";

/// `AvroConverter`.
pub(crate) type AvroConverter = RegistryConverter<Avro>;

/// What it works with once it is configured.
#[derive(Debug)]
pub(crate) struct Avro {
    serde: Serde,
    options: Options,
    fail_on_trailing_data: bool,
    cache_size: usize,
    /// By schema and topic.
    writers: SchemaCache<Known<(), WritePlan>>,
    /// By topic, for data without a schema.
    schemaless: Known<(), WritePlan>,
    readers: Known<SchemaId, ReadPlan>,
    /// How many generalized unions were named.
    unions: usize,
}

#[derive(Debug)]
struct WritePlan {
    schema: WriteSchema,
    writer: Writer,
}

#[derive(Debug)]
struct ReadPlan {
    /// From the schema that messages were written with to the one they are read as.
    resolution: Option<Resolution>,
    reader: Reader,
    lasts: Lasts,
}

impl Language for Avro {
    const KIND: SchemaKind = SchemaKind::Avro;

    fn definition() -> ConfigDef {
        config::definition()
    }

    fn new(serde: Serde, config: &Config) -> Self {
        let cache_size = usize::try_from(config.int("schemas.cache.config")).unwrap_or(1);
        Self {
            serde,
            options: config::options(config),
            fail_on_trailing_data: config.bool("avro.fail.on.trailing.data"),
            cache_size,
            writers: SchemaCache::new(cache_size),
            schemaless: Known::new(cache_size),
            readers: Known::new(cache_size),
            unions: 0,
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
        let schema = data.schema.as_ref();
        if self
            .known(topic, schema)
            .is_none_or(|plan| plan.schema.lasts.is_over())
        {
            let plan = self.plan(topic, schema, &data.value)?;
            self.keep(topic, schema, plan);
        }
        let plan = self.known(topic, schema);
        let plan = plan.ok_or_else(|| Error::fatal("a plan is gone that was just made"))?;
        self.serde.frame(&plan.schema, &[], headers, out)?;
        plan.writer.write(&data.value, out).map_err(|error| {
            // There the serializer fails, not the conversion before it.
            if plan.schema.replaced.is_some() || error.java_class() != DATA_EXCEPTION {
                self.not_serialized(topic, error)
            } else {
                error
            }
        })?;
        Ok(true)
    }

    fn read(&mut self, topic: &str, headers: &Headers, bytes: &Bytes) -> Result<SchemaAndValue> {
        let message = self.serde.unframe(topic, headers, bytes)?;
        let known = self.readers.get(topic, message.id);
        if known.is_none_or(|plan| plan.lasts.is_over()) {
            let plan = self.read_plan(topic, message.id)?;
            self.readers.insert(topic, message.id, plan);
        }
        let plan = self.readers.get(topic, message.id);
        let plan = plan.ok_or_else(|| Error::fatal("a plan is gone that was just made"))?;
        let payload = match &plan.resolution {
            None => Ok(message.payload),
            Some(resolution) => resolution.apply(&message.payload),
        };
        payload
            .and_then(|payload| plan.reader.read(&payload, self.fail_on_trailing_data))
            .map_err(|error| self.not_deserialized(topic, message.id, error))
    }
}

impl Avro {
    /// How many plans are kept.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.writers.len() + self.schemaless.len() + self.readers.len()
    }

    fn known(&self, topic: &str, schema: Option<&SchemaRef>) -> Option<&WritePlan> {
        match schema {
            Some(schema) => self.writers.get(schema)?.get(topic, ()),
            None => self.schemaless.get(topic, ()),
        }
    }

    fn keep(&mut self, topic: &str, schema: Option<&SchemaRef>, plan: WritePlan) {
        let limit = self.cache_size;
        let topics = match schema {
            Some(schema) => self
                .writers
                .get_or_insert_with(schema, || Known::new(limit)),
            None => &mut self.schemaless,
        };
        topics.insert(topic, (), plan);
    }

    fn not_serialized(&self, topic: &str, cause: Error) -> Error {
        self.serde
            .writing(topic)
            .data(serialization("Error serializing Avro message").with_source(cause))
    }

    /// Maps the schema, registers it or finds it. The value is written once for nothing before: one
    /// that is none of its schema registers nothing, as there; what only the serializer refuses does.
    fn plan(
        &mut self,
        topic: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
    ) -> Result<WritePlan> {
        let avro = match schema {
            Some(schema) => from_connect_schema(schema, self.options)?,
            None => Parser::new().parse(anything::SCHEMA)?,
        };
        let is_apicurio = self.serde.dialect() == Dialect::Apicurio;
        let avro = match is_apicurio {
            true => of_the_record(avro),
            false => avro,
        };
        if let Some(name) = from_connect::name_of_two_types(&avro) {
            return Err(Error::data(format!(
                "two different types have the name {name}: Avro tells types apart by their names \
                 alone"
            )));
        }
        let writer = match schema {
            Some(schema) => Writer::new(schema, &avro, &self.options)?,
            None => Writer::schemaless(),
        };
        let writer = match is_apicurio {
            true => writer.with_length(),
            false => writer,
        };
        if let Err(error) = writer.write(value, &mut Vec::new())
            && error.java_class() == DATA_EXCEPTION
        {
            return Err(error);
        }
        let text = match schema {
            Some(_) => avro.to_text(),
            None => anything::SCHEMA.to_owned(),
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

    fn not_deserialized(&self, topic: &str, id: SchemaId, cause: Error) -> Error {
        let step = format!("Error deserializing Avro message for id {id}");
        self.serde
            .reading(topic)
            .data(serialization(step).with_source(cause))
    }

    fn read_plan(&mut self, topic: &str, id: SchemaId) -> Result<ReadPlan> {
        let found = self.serde.read_schema(topic, id, &|schema| {
            let avro = Parser::new().parse(&schema.text).ok()?;
            record_name(&avro)
        })?;
        let failed = |this: &Self, error| this.not_deserialized(topic, id, error);
        let written = self.parse(&found.schema);
        let written = written.map_err(|error| failed(self, error))?;
        let mut avro = Arc::clone(&written);
        let mut resolution = None;
        if let Some((latest, _)) = &found.latest {
            let latest = self.parse(latest).map_err(|error| failed(self, error))?;
            let resolved = Resolution::new(&written, &latest);
            resolution = resolved.map_err(|error| failed(self, error))?;
            if resolution.is_some() {
                avro = latest;
            }
        }
        // The version is that of the message, in whatever shape it is read.
        let reader = Reader::counting(&avro, &self.options, found.version, &mut self.unions)?;
        let reader = match self.serde.dialect() {
            Dialect::Apicurio => reader.with_length(),
            Dialect::Confluent => reader,
        };
        Ok(ReadPlan {
            resolution,
            reader,
            lasts: found.lasts,
        })
    }
}

/// What Apicurio's serializer takes for a record that may be null: it asks the record for its schema,
/// which knows nothing of the union around it.
fn of_the_record(avro: AvroRef) -> AvroRef {
    let Shape::Union(branches) = &avro.shape else {
        return avro;
    };
    let is_record = |branch: &&AvroRef| matches!(branch.shape, Shape::Record { .. });
    match branches.iter().find(is_record) {
        Some(record) if branches.len() == 2 && avro.is_nullable() => Arc::clone(record),
        _ => avro,
    }
}

/// The full name of a record; none of what is no record, a union with one included.
fn record_name(avro: &AvroRef) -> Option<String> {
    match &avro.shape {
        Shape::Record { name, .. } => Some(name.full()),
        _ => None,
    }
}
