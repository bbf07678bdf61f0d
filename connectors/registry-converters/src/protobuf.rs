//! `ProtobufConverter`: Protocol Buffers whose schema is in the registry.
//!
//! Answers for `io.confluent.connect.protobuf.{ProtobufConverter, ProtobufConverterConfig}`,
//! `KafkaProtobufSerializer` and `KafkaProtobufDeserializer`; and for
//! `io.apicurio.registry.utils.converter.ProtobufConverter` as far as it is compatible.

use std::collections::HashMap;

use connect_api::config::{Config, ConfigDef};
use connect_api::data::{Headers, SchemaAndValue, SchemaCache, SchemaRef};
use connect_api::plugin::{Make, Plugin};
use connect_api::{Bytes, Error, Result};
use protobuf_data::{Decoder, Encoder, MessageSchema, Pool, ProtobufOptions, message_schema};
use schema_registry::converter::apicurio_definition;
use schema_registry::wire::{self, SchemaId};
use schema_registry::{
    Known, Language, Lasts, RegistryConverter, RegistrySchema, SchemaKind, Serde, WriteSchema,
};

use crate::{CACHE_SIZE, GENERALIZED, IGNORE_DEFAULT, flag, no_schema, references, schema_of};

pub(crate) const CONVERTER: Plugin = Plugin {
    class: "io.confluent.connect.protobuf.ProtobufConverter",
    version: schema_registry::VERSION,
    config: definition,
    make: Make::Converter(|| Box::new(RegistryConverter::<Protobuf>::confluent())),
};
pub(crate) const APICURIO_CONVERTER: Plugin = Plugin {
    class: "io.apicurio.registry.utils.converter.ProtobufConverter",
    version: schema_registry::VERSION,
    config: apicurio_definition::<Protobuf>,
    make: Make::Converter(|| Box::new(RegistryConverter::<Protobuf>::apicurio())),
};

const ENHANCED: &str = "enhanced.protobuf.schema.support";
const SCRUB: &str = "scrub.invalid.names";
const INT_FOR_ENUMS: &str = "int.for.enums";
const OPTIONAL_FOR_NULLABLES: &str = "optional.for.nullables";
const OPTIONAL_FOR_PROTO2: &str = "optional.for.proto2";
const WRAPPER_FOR_NULLABLES: &str = "wrapper.for.nullables";
const WRAPPER_FOR_PRIMITIVES: &str = "wrapper.for.raw.primitives";
const STRUCT_FOR_NULLS: &str = "generate.struct.for.nulls";
const INDEX_FOR_UNIONS: &str = "generate.index.for.unions";
const FLATTEN_UNIONS: &str = "flatten.unions";

fn definition() -> ConfigDef {
    crate::definition()
        .define(flag(
            ENHANCED,
            false,
            "Whether names of messages and enums keep their package.",
        ))
        .define(flag(
            SCRUB,
            false,
            "Whether names that Protobuf does not know are changed into such.",
        ))
        .define(flag(
            INT_FOR_ENUMS,
            false,
            "Whether enums are their numbers.",
        ))
        .define(flag(
            OPTIONAL_FOR_NULLABLES,
            false,
            "Whether fields that may be null are `optional`.",
        ))
        .define(flag(
            OPTIONAL_FOR_PROTO2,
            true,
            "Whether proto2's `optional` means the same.",
        ))
        .define(flag(
            WRAPPER_FOR_NULLABLES,
            false,
            "Whether fields that may be null are wrapper messages.",
        ))
        .define(flag(
            WRAPPER_FOR_PRIMITIVES,
            true,
            "Whether a wrapper message as the root is its value.",
        ))
        .define(flag(
            STRUCT_FOR_NULLS,
            false,
            "Whether a missing message is an empty struct.",
        ))
        .define(flag(
            INDEX_FOR_UNIONS,
            true,
            "Whether the field of a `oneof` has its number in its name.",
        ))
        .define(flag(
            FLATTEN_UNIONS,
            false,
            "Whether the members of a `oneof` are fields like others.",
        ))
        .define(flag(
            "reference.lookup.only",
            false,
            "Taken and passed over: what is written refers to nothing.",
        ))
        .define(flag(
            "skip.known.types",
            true,
            "Taken and passed over: known types are never registered.",
        ))
}

struct Protobuf {
    serde: Serde,
    options: ProtobufOptions,
    /// By Connect schema.
    writers: SchemaCache<SchemaWriter>,
    readers: Known<SchemaId, SchemaReader>,
}

/// How data of one Connect schema is written.
struct SchemaWriter {
    message: MessageSchema,
    schema: RegistrySchema,
    encoder: Encoder,
    /// By topic, with the encoded indexes.
    registered: Known<(), (WriteSchema, Vec<u8>)>,
}

/// How messages of one id are read.
struct SchemaReader {
    lasts: Lasts,
    pool: Pool,
    /// What they were written with, where that is not what they are read as.
    written: Option<Pool>,
    version: Option<i32>,
    /// The first message of the file, by far the most frequent.
    first: Option<Decoder>,
    others: HashMap<Vec<i32>, Decoder>,
}

/// How many topics one schema is written to before it is looked up again.
const MAX_TOPICS: usize = 1000;
/// How many messages of one file are remembered.
const MAX_MESSAGES: usize = 1000;

impl Language for Protobuf {
    const KIND: SchemaKind = SchemaKind::Protobuf;

    fn definition() -> ConfigDef {
        definition()
    }

    fn new(serde: Serde, config: &Config) -> Self {
        let size = usize::try_from(config.int(CACHE_SIZE)).unwrap_or(1);
        Self {
            serde,
            options: ProtobufOptions {
                enhanced_schema_support: config.bool(ENHANCED),
                scrub_invalid_names: config.bool(SCRUB),
                int_for_enums: config.bool(INT_FOR_ENUMS),
                optional_for_nullables: config.bool(OPTIONAL_FOR_NULLABLES),
                optional_for_proto2: config.bool(OPTIONAL_FOR_PROTO2),
                wrapper_for_nullables: config.bool(WRAPPER_FOR_NULLABLES),
                wrapper_for_raw_primitives: config.bool(WRAPPER_FOR_PRIMITIVES),
                generate_struct_for_nulls: config.bool(STRUCT_FOR_NULLS),
                generate_index_for_unions: config.bool(INDEX_FOR_UNIONS),
                flatten_unions: config.bool(FLATTEN_UNIONS),
                generalized_sum_types: config.bool(GENERALIZED),
                ignore_default_for_nullables: config.bool(IGNORE_DEFAULT),
            },
            writers: SchemaCache::new(size),
            readers: Known::new(size),
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
            return Ok(false);
        }
        let schema = data.schema.as_ref().ok_or_else(no_schema)?;
        let options = self.options;
        let known = self.writers.get_or_try_insert_with(schema, || {
            let message = message_schema(schema, &options)?;
            Ok::<_, Error>(SchemaWriter {
                schema: schema_of(SchemaKind::Protobuf, &message.text),
                encoder: Encoder::new(schema, &options)?,
                message,
                registered: Known::new(MAX_TOPICS),
            })
        })?;
        let registered = known.registered.get(topic, ());
        if registered.is_none_or(|(schema, _)| schema.lasts.is_over()) {
            let record = Some(known.message.full_name.as_str());
            let pools = |reader: &RegistrySchema| -> Result<bool> {
                let written = Pool::new(&known.schema.text, &[])?;
                // What it imports is not part of the question.
                Ok(Pool::new(&reader.text, &[]).is_ok_and(|reader| reader.reads(&written)))
            };
            let compatible = |reader: &RegistrySchema| pools(reader).unwrap_or(false);
            let registered = self
                .serde
                .write_schema(topic, &known.schema, record, &compatible)?;
            let indexes = match &registered.replaced {
                None => known.message.indexes.clone(),
                Some(schema) => {
                    let references = references(&mut self.serde, topic, schema)?;
                    let pool = Pool::new(&schema.text, &references)?;
                    pool.indexes_of(Some(&known.message.full_name))
                        .ok_or_else(|| {
                            self.serde.writing(topic).serialization(format!(
                                "the schema to write with has no message {}",
                                known.message.full_name
                            ))
                        })?
                }
            };
            let mut encoded = Vec::new();
            wire::write_indexes(&indexes, &mut encoded);
            known.registered.insert(topic, (), (registered, encoded));
        }
        let Some((registered, indexes)) = known.registered.get(topic, ()) else {
            return Err(Error::data("a schema was registered and is not known"));
        };
        self.serde.frame(registered, indexes, headers, out)?;
        known.encoder.write(&data.value, out)?;
        Ok(true)
    }

    fn read(&mut self, topic: &str, headers: &Headers, bytes: &Bytes) -> Result<SchemaAndValue> {
        let message = self.serde.unframe(topic, headers, bytes)?;
        let (place, mut payload) = match &message.header_rest {
            Some(rest) => (rest, message.payload.clone()),
            None => (&message.payload, message.payload.clone()),
        };
        let mut given = Vec::new();
        let mut length = 1;
        if place.first() != Some(&0) {
            (given, length) = wire::read_indexes(place).ok_or_else(|| {
                let place = self.serde.reading(topic);
                place.serialization("the message's indexes are cut off or senseless")
            })?;
        }
        if message.header_rest.is_none() {
            payload = payload.slice(length..);
        }
        let known = self.readers.get(topic, message.id);
        if known.is_none_or(|reader| reader.lasts.is_over()) {
            let reader = self.reader(topic, message.id, &given)?;
            self.readers.insert(topic, message.id, reader);
        }
        let Some(reader) = self.readers.get_mut(topic, message.id) else {
            return Err(Error::data("a schema was read and is not known"));
        };
        let failed = |error| self.serde.reading(topic).data(error);
        let decoder = reader.decoder(given, &self.options).map_err(failed)?;
        let value = decoder.read(&payload).map_err(|error| {
            failed(
                schema_registry::error::serialization("Error deserializing Protobuf message")
                    .with_source(error),
            )
        })?;
        Ok(SchemaAndValue {
            schema: Some(SchemaRef::clone(decoder.schema())),
            value,
        })
    }
}

impl Protobuf {
    fn reader(&mut self, topic: &str, id: SchemaId, indexes: &[i32]) -> Result<SchemaReader> {
        let indexes = if indexes.is_empty() { &[0] } else { indexes };
        let record = |schema: &RegistrySchema| protobuf_data::message_name(&schema.text, indexes);
        let found = self.serde.read_schema(topic, id, &record)?;
        let mut pool = |schema: &RegistrySchema| {
            let references = references(&mut self.serde, topic, schema)?;
            Pool::new(&schema.text, &references)
                .map_err(|error| self.serde.reading(topic).data(error))
        };
        let (pool, written, version) = match &found.latest {
            None => (pool(&found.schema)?, None, found.version),
            Some((latest, version)) => (pool(latest)?, Some(pool(&found.schema)?), *version),
        };
        Ok(SchemaReader {
            lasts: found.lasts,
            pool,
            written,
            version,
            first: None,
            others: HashMap::new(),
        })
    }
}

impl SchemaReader {
    /// The decoder of the message that `indexes` lead to; empty ones mean the first.
    fn decoder(&mut self, indexes: Vec<i32>, options: &ProtobufOptions) -> Result<&Decoder> {
        let make = |indexes: &[i32]| match &self.written {
            None => Decoder::new(&self.pool, indexes, self.version, options),
            Some(written) => {
                let name = written.name_of(indexes);
                let found = name.and_then(|name| self.pool.indexes_of(Some(name)));
                let indexes = found.ok_or_else(|| {
                    Error::data(format!(
                        "the latest version of the schema has no message {}",
                        name.unwrap_or_default()
                    ))
                })?;
                Decoder::new(&self.pool, &indexes, self.version, options)
            }
        };
        if indexes.is_empty() {
            if self.first.is_none() {
                self.first = Some(make(&[0])?);
            }
            return self
                .first
                .as_ref()
                .ok_or_else(|| Error::data("a decoder is missing"));
        }
        if !self.others.contains_key(&indexes) {
            let made = make(&indexes)?;
            if self.others.len() >= MAX_MESSAGES {
                self.others.clear();
            }
            self.others.insert(indexes.clone(), made);
        }
        self.others
            .get(&indexes)
            .ok_or_else(|| Error::data("a decoder is missing"))
    }
}
