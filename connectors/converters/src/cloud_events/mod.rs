//! `CloudEventsConverter`: change events as CloudEvents in JSON or Avro.
//!
//! What is no change event becomes a null, as there. The attributes of the source come from the
//! envelope or, for unwrapped rows, from headers, whichever converter those have.
//!
//! Answers for `io.debezium.converters.CloudEventsConverter` and
//! `io.debezium.connector.postgresql.converters.PostgresCloudEventsMaker`.

mod options;

use std::sync::Arc;

use connect_api::config::ConfigDef;
use connect_api::context::PluginContext;
use connect_api::converter::Converter;
use connect_api::data::json::{
    JsonOptions, JsonReader, JsonWriter, decode_base64, parse_schemaless, write_schemaless,
};
use connect_api::data::text::to_java_string;
use connect_api::data::{
    Headers, Schema, SchemaAndValue, SchemaBuilder, SchemaCache, SchemaRef, SchemaType, Struct,
    Value,
};
use connect_api::java::DateFormat;
use connect_api::plugin::{Make, Plugin};
use connect_api::{Bytes, Error, Props, Result};

use self::options::{AvroOptions, Format, From, Options};
use crate::DEBEZIUM;

pub(crate) const CONVERTER: Plugin = Plugin {
    class: "io.debezium.converters.CloudEventsConverter",
    version: DEBEZIUM,
    config: ConfigDef::new,
    make: Make::Converter(|| Box::new(CloudEventsConverter::default())),
};

const TRANSACTION: [&str; 3] = ["id", "total_order", "data_collection_order"];
const REQUIRED: [&str; 4] = ["id", "source", "specversion", "type"];
/// The end of the name of an event's schema.
const EVENT_SUFFIX: &str = "CloudEvents.Envelope";
/// What is added to the topic where event and data both have a schema in the registry.
const DATA_SUFFIX: &str = "-data";
/// How many schemas are remembered.
const SCHEMAS: usize = 1000;

/// The schemas that follow from a source block's schema and the data's.
#[derive(Clone, Debug)]
struct Shapes {
    /// Of the source block, to see that it is still that one.
    source: SchemaRef,
    event: SchemaRef,
    data: SchemaRef,
}

struct CloudEventsConverter {
    options: Option<Options>,
    /// Writes events, without schema.
    events: JsonWriter,
    /// Writes the data, with its schema where asked for.
    data: JsonWriter,
    shapes: SchemaCache<Shapes>,
    times: Option<DateFormat>,
    avro: Option<Avro>,
    scratch: Vec<u8>,
}

/// What is written in Avro, through the registry.
struct Avro {
    options: AvroOptions,
    converter: Box<dyn Converter>,
}

impl Avro {
    fn new(options: AvroOptions, context: &PluginContext) -> Result<Self> {
        let plugin = avro_converter::PLUGINS
            .iter()
            .find(|plugin| plugin.class == options.class);
        let Some(Make::Converter(make)) = plugin.map(|plugin| plugin.make) else {
            return Err(Error::config(format!(
                "Class {} could not be found.",
                options.class
            )));
        };
        let mut converter = make();
        converter.configure(context, &options.props, false)?;
        Ok(Self { options, converter })
    }

    /// The name of an event's schema.
    fn event_name(&self, metadata: &Metadata<'_>) -> String {
        let name = self.options.event_name.clone().unwrap_or_else(|| {
            format!(
                "{}.{}.{EVENT_SUFFIX}",
                metadata.source_text("name"),
                metadata.source_text("db")
            )
        });
        self.options.adjusted(&name)
    }

    /// The data in Avro, and where its schema is.
    fn data(&mut self, topic: &str, data: &SchemaAndValue) -> Result<(Value, String)> {
        let mut bytes = Vec::new();
        // Its headers would be those of the event.
        self.converter
            .from_connect_data(topic, &mut Headers::new(), data, &mut bytes)?;
        let id = bytes
            .get(1..)
            .and_then(|rest| rest.first_chunk::<4>())
            .map(|id| i32::from_be_bytes(*id))
            .ok_or_else(|| Error::data("the data's schema has no id"))?;
        let uri = format!("{}/schemas/ids/{id}", self.options.urls);
        Ok((Value::Bytes(bytes.into()), uri))
    }

    /// An event with the data inside of it read, too.
    fn read(&mut self, topic: &str, headers: &Headers, bytes: &Bytes) -> Result<SchemaAndValue> {
        let event = self
            .converter
            .to_connect_data(topic, headers, Some(bytes))?;
        let name = event.schema.as_ref().and_then(|schema| schema.name());
        let right_name = match &self.options.event_name {
            Some(expected) => name == Some(expected.as_str()),
            None => name.is_some_and(|name| name.ends_with(EVENT_SUFFIX)),
        };
        let Some(inside) = event.value.as_struct().filter(|inside| {
            let all = REQUIRED
                .iter()
                .all(|name| inside.schema.field(name).is_some());
            right_name && all
        }) else {
            return Err(not_an_event(&event.value));
        };
        let data = match inside.get("data") {
            Some(Value::Bytes(data)) => Some(data),
            _ => None,
        };
        let data =
            self.converter
                .to_connect_data(&format!("{topic}{DATA_SUFFIX}"), headers, data)?;
        let mut schema = Schema::structure();
        if let Some(name) = inside.schema.name() {
            schema = schema.name(name);
        }
        if let Some(version) = inside.schema.version() {
            schema = schema.version(version);
        }
        if let Some(doc) = inside.schema.doc() {
            schema = schema.doc(doc);
        }
        for (key, value) in inside.schema.parameters() {
            schema = schema.parameter(key.clone(), value.clone());
        }
        let mut values = inside.values.clone();
        for (field, value) in inside.schema.fields().iter().zip(&mut values) {
            let inner = match (&*field.name, &data.schema) {
                ("data", Some(inner)) => {
                    *value = data.value.clone();
                    Arc::clone(inner)
                }
                _ => Arc::clone(&field.schema),
            };
            schema = schema.field(field.name.clone(), inner);
        }
        let schema = schema.build();
        Ok(SchemaAndValue::new(
            Arc::clone(&schema),
            Struct::new(schema, values),
        ))
    }
}

fn not_an_event(value: &Value) -> Error {
    Error::data(format!(
        "A deserialized record's value is not a CloudEvent: value={}",
        to_java_string(value)
    ))
}

impl Default for CloudEventsConverter {
    fn default() -> Self {
        Self {
            options: None,
            events: JsonWriter::new(JsonOptions::schemaless()),
            data: JsonWriter::new(JsonOptions::default()),
            shapes: SchemaCache::new(SCHEMAS),
            times: None,
            avro: None,
            scratch: Vec::new(),
        }
    }
}

impl Converter for CloudEventsConverter {
    fn configure(&mut self, context: &PluginContext, props: &Props, _is_key: bool) -> Result<()> {
        let options = Options::parse(props)?;
        self.set(options)?;
        self.avro = match options.data {
            Format::Json => None,
            Format::Avro => Some(Avro::new(AvroOptions::parse(props)?, context)?),
        };
        Ok(())
    }

    fn from_connect_data(
        &mut self,
        topic: &str,
        headers: &mut Headers,
        data: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let (Some(options), Some(schema)) = (self.options, &data.schema) else {
            return Ok(false);
        };
        if data.is_null() {
            return Ok(false);
        }
        let is_event = match options.metadata {
            From::Header => header(headers, "source").is_some() && header(headers, "op").is_some(),
            _ => schema
                .name()
                .is_some_and(|name| name.ends_with(".Envelope")),
        };
        if !is_event {
            return Ok(false);
        }
        let Value::Struct(record) = &data.value else {
            return Err(Error::data("Mismatching schema"));
        };
        let metadata = Metadata::new(&options, record, headers)?;
        let shapes = self.shapes(&options, schema, &metadata)?;
        let Some(times) = &self.times else {
            return Ok(false);
        };
        let values = shapes.data.fields().iter().map(|field| {
            let value = record.get_or_default(&field.name);
            value.cloned().unwrap_or_default()
        });
        let values = values.collect();
        let content = Struct::new(Arc::clone(&shapes.data), values);
        if let Some(avro) = &mut self.avro {
            let content = SchemaAndValue::new(Arc::clone(&shapes.data), content);
            let data_topic;
            let of_data = match options.event {
                Format::Json => topic,
                Format::Avro => {
                    data_topic = format!("{topic}{DATA_SUFFIX}");
                    &data_topic
                }
            };
            let (data, uri) = avro.data(of_data, &content)?;
            let data = (Some(uri), data);
            let event = event(&options, times, &shapes, &metadata, data)?;
            let event = SchemaAndValue::new(Arc::clone(&shapes.event), event);
            return match options.event {
                Format::Avro => avro
                    .converter
                    .from_connect_data(topic, headers, &event, out),
                Format::Json => self.events.write(&event, out),
            };
        }
        if options.json.schemas_enable {
            // The event has no schema, the data inside has.
            let event = event(&options, times, &shapes, &metadata, (None, Value::Null))?;
            let event = SchemaAndValue::new(Arc::clone(&shapes.event), event);
            self.scratch.clear();
            self.events.write(&event, &mut self.scratch)?;
            let head = self.scratch.strip_suffix(b"null}").ok_or_else(|| {
                Error::fatal("an event without data does not end as was expected")
            })?;
            out.extend_from_slice(head);
            let content = SchemaAndValue::new(Arc::clone(&shapes.data), content);
            self.data.write(&content, out)?;
            out.push(b'}');
        } else {
            let data = (None, Value::Struct(content));
            let event = event(&options, times, &shapes, &metadata, data)?;
            let event = SchemaAndValue::new(Arc::clone(&shapes.event), event);
            self.events.write(&event, out)?;
        }
        Ok(true)
    }

    fn to_connect_data(
        &mut self,
        topic: &str,
        headers: &Headers,
        bytes: Option<&Bytes>,
    ) -> Result<SchemaAndValue> {
        let Some(bytes) = bytes else {
            return Ok(SchemaAndValue::NULL);
        };
        if let Some(avro) = &mut self.avro
            && self
                .options
                .is_some_and(|options| options.event == Format::Avro)
        {
            return avro.read(topic, headers, bytes);
        }
        let mut event = parse_schemaless(bytes)?;
        let Value::Map(members) = &mut event else {
            return Err(not_an_event(&event));
        };
        if !REQUIRED.iter().all(|name| members.get_str(name).is_some()) {
            return Err(not_an_event(&event));
        }
        let data = members.get_str("data").unwrap_or(&Value::Null);
        let data = match &mut self.avro {
            Some(avro) => {
                let data = data.as_str().and_then(decode_base64).map(Bytes::from);
                avro.converter
                    .to_connect_data(topic, headers, data.as_ref())?
            }
            None => {
                let json = self
                    .options
                    .map_or_else(JsonOptions::default, |options| options.json);
                let mut text = Vec::new();
                write_schemaless(data, &mut text)?;
                JsonReader::new(json).read(Some(&text.into()))?
            }
        };
        members.insert(Value::text("data"), data.value);
        Ok(SchemaAndValue {
            schema: None,
            value: event,
        })
    }
}

/// The last header of a name.
fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a Value> {
    let found = headers.iter().rev().find(|header| header.key == *name);
    found.map(|header| &header.value.value)
}

fn required_header<'a>(headers: &'a Headers, name: &str) -> Result<&'a Value> {
    header(headers, name).ok_or_else(|| Error::data(format!("Header `{name}` was not provided")))
}

/// What an event says about the change.
struct Metadata<'a> {
    source: &'a Struct,
    operation: Value,
    transaction: Option<&'a Struct>,
    id: Option<Value>,
    kind: Option<Value>,
    trace_parent: Option<Value>,
    data_schema_name: Option<String>,
}

impl<'a> Metadata<'a> {
    fn new(options: &Options, record: &'a Struct, headers: &'a Headers) -> Result<Self> {
        let from_header = options.metadata == From::Header;
        let part = |name: &str| match from_header {
            true => header(headers, name),
            false => record.get(name),
        };
        let source = part("source").and_then(Value::as_struct).ok_or_else(|| {
            Error::data("the change event has no source block, or its header holds no struct")
        })?;
        // An attribute from a header, where that is where it comes from.
        let own = |from: From, name: &str| match from {
            From::Header => required_header(headers, name).cloned().map(Some),
            // Neither generated nor in a header: the value has no such part.
            From::Value => Ok(Some(Value::Null)),
            From::Generate => Ok(None),
        };
        let trace_parent = match (options.tracing, options.trace_parent) {
            (false, _) => None,
            (true, From::Header) => {
                Some(header(headers, "traceparent").cloned().unwrap_or_default())
            }
            (true, _) => {
                return Err(Error::data(
                    "Value for `traceparent` CloudEvents field currently can't be obtained from a \
                     record value and can only be obtained from a record header",
                ));
            }
        };
        let data_schema_name = match options.data_schema_name {
            From::Header => {
                let name = required_header(headers, "dataSchemaName")?;
                Some(to_java_string(name))
            }
            _ => None,
        };
        Ok(Self {
            source,
            operation: part("op").cloned().unwrap_or_default(),
            transaction: part("transaction").and_then(Value::as_struct),
            id: own(options.id, "id")?,
            kind: own(options.kind, "type")?,
            trace_parent,
            data_schema_name,
        })
    }

    /// A field of the source block as text.
    fn source_text(&self, name: &str) -> String {
        self.source
            .get_or_default(name)
            .map_or_else(|| "null".to_owned(), to_java_string)
    }
}

impl CloudEventsConverter {
    fn set(&mut self, options: Options) -> Result<()> {
        self.events = JsonWriter::new(JsonOptions {
            schemas_enable: false,
            ..options.json
        });
        self.data = JsonWriter::new(options.json);
        self.times = Some(DateFormat::new("yyyy-MM-dd'T'HH:mm:ss.SSSXXX").map_err(Error::fatal)?);
        self.options = Some(options);
        Ok(())
    }

    fn shapes(
        &mut self,
        options: &Options,
        schema: &SchemaRef,
        metadata: &Metadata<'_>,
    ) -> Result<Shapes> {
        if let Some(known) = self.shapes.get(schema)
            && metadata.data_schema_name.is_none()
            && (Arc::ptr_eq(&known.source, &metadata.source.schema)
                || known.source == metadata.source.schema)
        {
            return Ok(known.clone());
        }
        let name = metadata.data_schema_name.clone().unwrap_or_else(|| {
            format!(
                "io.debezium.connector.{}.Data",
                metadata.source_text("connector")
            )
        });
        let mut data = Schema::structure().name(name);
        for field in schema.fields() {
            let whole_row = options.metadata == From::Header;
            if whole_row || matches!(&*field.name, "before" | "after") {
                data = data.field(field.name.clone(), Arc::clone(&field.schema));
            }
        }
        let data = data.build();
        let event_name = self.avro.as_ref().map(|avro| avro.event_name(metadata));
        let shapes = Shapes {
            source: Arc::clone(&metadata.source.schema),
            event: event_schema(options, event_name, &metadata.source.schema, &data)?,
            data,
        };
        self.shapes
            .get_or_insert_with(schema, || shapes.clone())
            .clone_from(&shapes);
        Ok(shapes)
    }
}

/// `iodebezium` and the letters and digits of a name.
fn extension(name: &str) -> String {
    let kept = name.chars().filter(char::is_ascii_alphanumeric);
    "iodebezium".chars().chain(kept).collect()
}

fn event_schema(
    options: &Options,
    name: Option<String>,
    source: &Schema,
    data: &SchemaRef,
) -> Result<SchemaRef> {
    let text = Schema::string().build();
    let mut builder = Schema::structure();
    if let Some(name) = name {
        builder = builder.name(name);
    }
    for name in [
        "id",
        "source",
        "specversion",
        "type",
        "time",
        "datacontenttype",
    ] {
        builder = builder.field(name, Arc::clone(&text));
    }
    if options.data == Format::Avro {
        builder = builder.field("dataschema", Arc::clone(&text));
    }
    if options.tracing {
        let optional = options.event == Format::Json;
        let schema = Schema::string().optional_if(optional).build();
        builder = builder.field("traceparent", schema);
    }
    if options.extensions {
        builder = builder.field(extension("op"), Arc::clone(&text));
        for field in source.fields() {
            let schema = attribute(field.schema.kind())?.optional_if(field.schema.is_optional());
            builder = builder.field(extension(&field.name), schema.build());
        }
        let optional = Schema::string().optional().build();
        for name in TRANSACTION {
            builder = builder.field(extension(&format!("tx{name}")), Arc::clone(&optional));
        }
    }
    let data = match options.data {
        Format::Avro => Schema::bytes().build(),
        // Written apart, with its schema.
        Format::Json if options.json.schemas_enable => Schema::structure().optional().build(),
        Format::Json => Arc::clone(data),
    };
    Ok(builder.field("data", data).build())
}

/// CloudEvents knows no numbers beyond 32 bits.
fn attribute(kind: SchemaType) -> Result<SchemaBuilder> {
    match kind {
        SchemaType::Boolean => Ok(Schema::boolean()),
        SchemaType::Int8 | SchemaType::Int16 | SchemaType::Int32 => Ok(Schema::int32()),
        SchemaType::String | SchemaType::Int64 => Ok(Schema::string()),
        other => Err(Error::data(format!(
            "Source field of type {} cannot be converted into CloudEvents extension attribute.",
            other.name()
        ))),
    }
}

fn attribute_value(value: &Value) -> Value {
    match value {
        Value::Int64(number) => Value::from(number.to_string()),
        Value::Int8(number) => Value::Int32((*number).into()),
        Value::Int16(number) => Value::Int32((*number).into()),
        other => other.clone(),
    }
}

fn event(
    options: &Options,
    times: &DateFormat,
    shapes: &Shapes,
    metadata: &Metadata<'_>,
    (data_schema, data): (Option<String>, Value),
) -> Result<Value> {
    let connector = metadata.source_text("connector");
    let name = metadata.source_text("name");
    let id = metadata.id.clone().unwrap_or_else(|| {
        Value::from(format!(
            "name:{name};lsn:{};txId:{};sequence:{}",
            metadata.source_text("lsn"),
            metadata.source_text("txId"),
            metadata.source_text("sequence")
        ))
    });
    let kind = metadata.kind.clone().unwrap_or_else(|| {
        Value::from(format!("io.debezium.connector.{connector}.DataChangeEvent"))
    });
    let time = metadata.source.get("ts_ms").and_then(Value::as_i64);
    let mut values = Vec::with_capacity(shapes.event.fields().len());
    values.extend([
        id,
        Value::from(format!("/debezium/{connector}/{name}")),
        Value::text("1.0"),
        kind,
        Value::from(time.map(|time| times.format(time))),
        Value::text(options.data.content_type()),
    ]);
    values.extend(data_schema.map(Value::from));
    values.extend(metadata.trace_parent.clone());
    if options.extensions {
        values.push(metadata.operation.clone());
        let fields = metadata.source.schema.fields().iter();
        values.extend(fields.map(|field| {
            let value = metadata.source.get_or_default(&field.name);
            value.map(attribute_value).unwrap_or_default()
        }));
        values.extend(TRANSACTION.iter().map(|name| {
            let value = metadata.transaction.and_then(|block| block.get(name));
            value.map(attribute_value).unwrap_or_default()
        }));
    }
    values.push(data);
    Ok(Value::Struct(Struct::new(
        Arc::clone(&shapes.event),
        values,
    )))
}

#[cfg(test)]
mod tests;
