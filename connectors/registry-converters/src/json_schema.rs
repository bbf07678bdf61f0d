//! `JsonSchemaConverter`: JSON whose JSON Schema is in the registry.
//!
//! Answers for `io.confluent.connect.json.{JsonSchemaConverter, JsonSchemaConverterConfig}`,
//! `KafkaJsonSchemaSerializer` and `KafkaJsonSchemaDeserializer`.

use connect_api::config::{Config, ConfigDef, ConfigKey, Importance, Type, any_of_ignoring_case};
use connect_api::data::json::DecimalFormat;
use connect_api::data::{Headers, SchemaAndValue, SchemaCache, SchemaRef, Value};
use connect_api::plugin::{Make, Plugin};
use connect_api::{Bytes, Error, Result};
use json_schema_data::{
    Documents, JsonSchemaOptions, Validator, Writer, compatible, connect_schema, read, schema_text,
};
use schema_registry::wire::SchemaId;
use schema_registry::{
    Known, Language, Lasts, RegistryConverter, RegistrySchema, SchemaKind, Serde, WriteSchema,
};

use crate::{CACHE_SIZE, GENERALIZED, IGNORE_DEFAULT, flag, no_schema, references, schema_of};

pub(crate) const CONVERTER: Plugin = Plugin {
    class: "io.confluent.connect.json.JsonSchemaConverter",
    version: schema_registry::VERSION,
    config: definition,
    make: Make::Converter(|| Box::new(RegistryConverter::<JsonSchema>::confluent())),
};

const ADDITIONAL_PROPERTIES: &str = "object.additional.properties";
const OPTIONAL_FOR_NONREQUIRED: &str = "use.optional.for.nonrequired";
const DECIMAL_FORMAT: &str = "decimal.format";
const FLATTEN_SINGLETONS: &str = "flatten.singleton.unions";
const FAIL_INVALID: &str = "json.fail.invalid.schema";
const INDENT: &str = "json.indent.output";

fn definition() -> ConfigDef {
    let text = |name: &str, default: &str, doc: &str| {
        ConfigKey::new(name, Type::String, Importance::Low)
            .default(default)
            .doc(doc)
    };
    crate::definition()
        .define(flag(
            ADDITIONAL_PROPERTIES,
            true,
            "Whether objects may have members that their schema does not know.",
        ))
        .define(flag(
            OPTIONAL_FOR_NONREQUIRED,
            false,
            "Whether properties that are not required may be null.",
        ))
        .define(
            text(
                DECIMAL_FORMAT,
                "BASE64",
                "How decimals are written: BASE64 of their bytes, or NUMERIC, as numbers.",
            )
            .validator(any_of_ignoring_case(&["BASE64", "NUMERIC"])),
        )
        .define(flag(
            FLATTEN_SINGLETONS,
            true,
            "Whether a union of one type is that type.",
        ))
        .define(flag(
            "ignore.modern.dialects",
            false,
            "Taken and passed over: all drafts are read by the same rules.",
        ))
        .define(flag(
            FAIL_INVALID,
            false,
            "Whether payloads are checked against their schema, in both directions.",
        ))
        .define(flag(
            "json.fail.unknown.properties",
            true,
            "Taken and passed over: members that a schema does not know are dropped.",
        ))
        .define(flag(
            "json.oneof.for.nullables",
            true,
            "Taken and passed over: Connect's own schemas say what may be null.",
        ))
        .define(text(
            "json.schema.spec.version",
            "draft_7",
            "Taken and passed over: it is for schemas made of Java classes.",
        ))
        .define(flag(
            "json.write.dates.iso8601",
            false,
            "Taken and passed over: Connect's dates are numbers.",
        ))
        .define(flag(
            INDENT,
            false,
            "Whether objects are written over several lines.",
        ))
        .define(
            ConfigKey::new(
                "json.default.property.inclusion",
                Type::String,
                Importance::Low,
            )
            .default_null()
            .doc("Taken and passed over: it is for Java classes."),
        )
}

struct JsonSchema {
    serde: Serde,
    options: JsonSchemaOptions,
    validate: bool,
    /// By Connect schema.
    writers: SchemaCache<SchemaWriter>,
    readers: Known<SchemaId, SchemaReader>,
    /// How many generalized unions were named.
    unions: usize,
}

/// How data of one Connect schema is written.
struct SchemaWriter {
    schema: RegistrySchema,
    /// The title, where the schema is of an object.
    record: Option<String>,
    writer: Writer,
    /// By topic.
    registered: Known<(), (WriteSchema, Option<Validator>)>,
}

/// How data of one id is read.
struct SchemaReader {
    lasts: Lasts,
    schema: SchemaRef,
    validator: Option<Validator>,
}

impl Language for JsonSchema {
    const KIND: SchemaKind = SchemaKind::Json;

    fn definition() -> ConfigDef {
        definition()
    }

    fn new(serde: Serde, config: &Config) -> Self {
        let numeric = config
            .string(DECIMAL_FORMAT)
            .eq_ignore_ascii_case("NUMERIC");
        let size = usize::try_from(config.int(CACHE_SIZE)).unwrap_or(1);
        Self {
            serde,
            options: JsonSchemaOptions {
                object_additional_properties: config.bool(ADDITIONAL_PROPERTIES),
                use_optional_for_nonrequired: config.bool(OPTIONAL_FOR_NONREQUIRED),
                decimal_format: match numeric {
                    true => DecimalFormat::Numeric,
                    false => DecimalFormat::Base64,
                },
                ignore_default_for_nullables: config.bool(IGNORE_DEFAULT),
                generalized_sum_types: config.bool(GENERALIZED),
                flatten_singleton_unions: config.bool(FLATTEN_SINGLETONS),
                indent_output: config.bool(INDENT),
            },
            validate: config.bool(FAIL_INVALID),
            writers: SchemaCache::new(size),
            readers: Known::new(size),
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
        let Some(schema) = &data.schema else {
            return match data.value {
                Value::Null => Ok(false),
                _ => Err(self.serde.writing(topic).data(no_schema())),
            };
        };
        let options = self.options;
        let known = self.writers.get_or_try_insert_with(schema, || {
            let text = schema_text(schema, &options)?;
            Ok::<_, Error>(SchemaWriter {
                record: record_name(&text),
                schema: schema_of(SchemaKind::Json, &text),
                writer: Writer::new(schema, &options),
                registered: Known::new(MAX_TOPICS),
            })
        })?;
        let registered = known.registered.get(topic, ());
        if registered.is_none_or(|(schema, _)| schema.lasts.is_over()) {
            let compatible = |reader: &RegistrySchema| compatible(&reader.text, &known.schema.text);
            let record = known.record.as_deref();
            let registered = self
                .serde
                .write_schema(topic, &known.schema, record, &compatible)?;
            let validator = match self.validate {
                true => {
                    let schema = registered.replaced.as_ref().unwrap_or(&known.schema);
                    let references = references(&mut self.serde, topic, schema)?;
                    Some(Validator::new(Documents::parse(&schema.text, &references)?))
                }
                false => None,
            };
            known.registered.insert(topic, (), (registered, validator));
        }
        let Some((registered, validator)) = known.registered.get(topic, ()) else {
            return Err(Error::data("a schema was registered and is not known"));
        };
        self.serde.frame(registered, &[], headers, out)?;
        let start = out.len();
        known.writer.write(&data.value, out)?;
        if let Some(validator) = validator {
            let payload = out.get(start..).unwrap_or_default();
            validator
                .check(payload)
                .map_err(|error| self.serde.writing(topic).data(invalid(error)))?;
        }
        Ok(true)
    }

    fn read(&mut self, topic: &str, headers: &Headers, bytes: &Bytes) -> Result<SchemaAndValue> {
        let message = self.serde.unframe(topic, headers, bytes)?;
        let known = self.readers.get(topic, message.id);
        if known.is_none_or(|reader| reader.lasts.is_over()) {
            let reader = self.reader(topic, message.id)?;
            self.readers.insert(topic, message.id, reader);
        }
        let Some(reader) = self.readers.get(topic, message.id) else {
            return Err(Error::data("a schema was read and is not known"));
        };
        let failed = |error| self.serde.reading(topic).data(error);
        if let Some(validator) = &reader.validator {
            validator
                .check(&message.payload)
                .map_err(|error| failed(invalid(error)))?;
        }
        let value = read(&message.payload, &reader.schema, &self.options).map_err(failed)?;
        Ok(SchemaAndValue {
            schema: Some(SchemaRef::clone(&reader.schema)),
            value,
        })
    }
}

impl JsonSchema {
    fn reader(&mut self, topic: &str, id: SchemaId) -> Result<SchemaReader> {
        let record = |schema: &RegistrySchema| record_name(&schema.text);
        let found = self.serde.read_schema(topic, id, &record)?;
        let (schema, version) = found.latest.unwrap_or((found.schema, found.version));
        let references = references(&mut self.serde, topic, &schema)?;
        let documents = Documents::parse(&schema.text, &references)?;
        let schema = connect_schema(&documents, version, &self.options, &mut self.unions)?;
        Ok(SchemaReader {
            lasts: found.lasts,
            schema,
            validator: self.validate.then(|| Validator::new(documents)),
        })
    }
}

/// How many topics one schema is written to before it is looked up again.
const MAX_TOPICS: usize = 1000;

/// The title at a schema's root, which subject strategies by record go by.
fn record_name(text: &str) -> Option<String> {
    json_schema_data::title(text)
}

fn invalid(error: Error) -> Error {
    schema_registry::error::serialization("JSON is not valid by its schema").with_source(error)
}
