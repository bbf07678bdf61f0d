//! JSON text as Connect data whose schema is read off the text.
//!
//! Everything is optional; integers are INT32 where they fit, else INT64; fractions FLOAT64. What
//! has no type of its own (nulls, empty arrays) is left out unless asked for. Schemas that are
//! equal are one pointer, so that converters know them again.
//!
//! Answers for `io.debezium.transforms.outbox.JsonSchemaData`. Where objects in one array differ,
//! their fields come in the order of the text; there the order is that of hashes of a run.

use std::sync::Arc;

use connect_api::data::{
    NameAdjustment, Schema, SchemaBuilder, SchemaRef, SchemaType, Struct, Value,
};
use connect_api::{Error, Result};
use serde_json::{Number, Value as Json};

use crate::operand::copy_basics;

/// How many schemas are remembered.
const REMEMBERED: usize = 1024;

/// What is made of JSON.
#[derive(Clone, Debug, Default)]
pub(super) struct JsonSchemas {
    /// `table.json.payload.null.behavior=optional_bytes`: nulls are optional bytes.
    pub nulls_as_bytes: bool,
    /// `table.json.payload.empty.array.behavior=optional_string`: empty arrays are of strings.
    pub empty_as_strings: bool,
    /// `field.name.adjustment.mode`.
    pub names: NameAdjustment,
    known: Vec<SchemaRef>,
}

/// The first JSON value of a text that is an object or an array.
pub(super) fn parse(text: &str) -> Result<Json> {
    match text.chars().next() {
        Some('{' | '[') => {}
        Some(other) => {
            return Err(Error::data(format!(
                "Unable to parse payload starting with '{other}'"
            )));
        }
        None => return Err(Error::data("Unable to parse an empty payload")),
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Json>();
    match values.next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(Error::data("The payload is not JSON").with_source(error)),
        None => Err(Error::data("The payload is not JSON")),
    }
}

fn optional(kind: SchemaType) -> SchemaRef {
    Schema::builder(kind).optional().build()
}

fn number_kind(number: &Number) -> SchemaType {
    match number.as_i64() {
        Some(integer) if i32::try_from(integer).is_ok() => SchemaType::Int32,
        Some(_) => SchemaType::Int64,
        None => SchemaType::Float64,
    }
}

/// The kind of a JSON value as Jackson names it.
fn node_type(json: &Json) -> &'static str {
    match json {
        Json::Null => "NULL",
        Json::Bool(_) => "BOOLEAN",
        Json::Number(_) => "NUMBER",
        Json::String(_) => "STRING",
        Json::Array(_) => "ARRAY",
        Json::Object(_) => "OBJECT",
    }
}

fn as_text(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Array(_) | Json::Object(_) => String::new(),
        other => other.to_string(),
    }
}

impl JsonSchemas {
    /// The schema of a value that stands under this path; none for what is left out.
    pub(super) fn schema(&mut self, path: Option<&str>, json: &Json) -> Result<Option<SchemaRef>> {
        let schema = self.derive(path, json)?;
        Ok(schema.map(|schema| self.shared(schema)))
    }

    /// The pointer under which an equal schema is known already.
    fn shared(&mut self, schema: SchemaRef) -> SchemaRef {
        if let Some(known) = self.known.iter().find(|known| **known == schema) {
            return Arc::clone(known);
        }
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.push(Arc::clone(&schema));
        schema
    }

    fn derive(&self, path: Option<&str>, json: &Json) -> Result<Option<SchemaRef>> {
        Ok(match json {
            Json::String(_) => Some(optional(SchemaType::String)),
            Json::Bool(_) => Some(optional(SchemaType::Boolean)),
            Json::Number(number) => Some(optional(number_kind(number))),
            Json::Null => self.nulls_as_bytes.then(|| optional(SchemaType::Bytes)),
            Json::Array(items) if items.is_empty() => self.empty_as_strings.then(|| {
                Schema::array(optional(SchemaType::String))
                    .optional()
                    .build()
            }),
            Json::Array(items) => {
                let element = self.element(path, items)?;
                Some(Schema::array(element).optional().build())
            }
            Json::Object(members) => {
                let mut builder = Schema::structure().optional();
                if let Some(path) = path {
                    builder = builder.name(path);
                }
                let mut names: Vec<String> = Vec::with_capacity(members.len());
                for (name, member) in members {
                    let name = self.names.field_name(name);
                    let path = match path.filter(|path| !path.trim().is_empty()) {
                        Some(path) => format!("{path}.{name}"),
                        None => name.clone(),
                    };
                    let Some(schema) = self.derive(Some(&path), member)? else {
                        continue;
                    };
                    if name.is_empty() {
                        return Err(Error::data("fieldName cannot be null."));
                    }
                    if !names.contains(&name) {
                        builder = builder.field(name.clone(), schema);
                        names.push(name);
                    }
                }
                Some(builder.build())
            }
        })
    }

    /// The schema of an array's elements, which have to be of one type.
    fn element(&self, path: Option<&str>, items: &[Json]) -> Result<SchemaRef> {
        let sample = first_element(items)?;
        if !sample.is_object() {
            return self
                .derive(None, sample)?
                .ok_or_else(|| Error::data("Array '' has unrecognized member schema."));
        }
        let mut distinct: Vec<SchemaRef> = Vec::new();
        for item in items.iter().filter(|item| item.is_object()) {
            if let Some(schema) = self.derive(path, item)?
                && !distinct.contains(&schema)
            {
                distinct.push(schema);
            }
        }
        let mut merged = distinct.into_iter();
        let first = merged
            .next()
            .ok_or_else(|| Error::data("Array '' has unrecognized member schema."))?;
        Ok(merged.fold(first, |left, right| merge(&left, &right)))
    }

    /// The data of a value that [`Self::schema`] gave this schema for.
    pub(super) fn data(&self, json: &Json, schema: &SchemaRef) -> Result<Value> {
        Ok(match json {
            Json::Null => Value::Null,
            Json::String(text) => Value::from(text.as_str()),
            Json::Bool(value) => Value::Boolean(*value),
            Json::Number(number) => match (schema.kind(), number.as_i64(), number.as_f64()) {
                (SchemaType::Int32, Some(integer), _) => {
                    i32::try_from(integer).map_or(Value::Int64(integer), Value::Int32)
                }
                (SchemaType::Int64, Some(integer), _) => Value::Int64(integer),
                (SchemaType::Float64, _, Some(float)) => Value::Float64(float),
                _ => return Err(mismatch(json, schema)),
            },
            Json::Array(items) => {
                let element = schema
                    .value_schema()
                    .ok_or_else(|| mismatch(json, schema))?;
                let items = items.iter().map(|item| self.data(item, element));
                Value::Array(items.collect::<Result<_>>()?)
            }
            Json::Object(members) => {
                if schema.kind() != SchemaType::Struct {
                    return Err(mismatch(json, schema));
                }
                // A name that was adjusted is not found again, as in Debezium.
                let values = schema.fields().iter().map(|field| {
                    members
                        .get(&*field.name)
                        .map_or(Ok(Value::Null), |member| self.data(member, &field.schema))
                });
                let values = values.collect::<Result<_>>()?;
                Value::Struct(Struct::new(Arc::clone(schema), values))
            }
        })
    }
}

fn mismatch(json: &Json, schema: &Schema) -> Error {
    Error::data(format!(
        "a JSON {} is no value of schema type {}",
        node_type(json),
        schema.kind().name()
    ))
}

/// The first element that is not null; the others have to be of its type.
fn first_element(items: &[Json]) -> Result<&Json> {
    let mut present = items.iter().filter(|item| !item.is_null());
    let Some(first) = present.next() else {
        return Ok(&Json::Null);
    };
    for item in present {
        if node_type(item) != node_type(first) {
            return Err(Error::data(format!(
                "Field is not a homogenous array ({} x {}).",
                as_text(first),
                node_type(item)
            )));
        }
        if let (Json::Number(first), Json::Number(item)) = (first, item)
            && number_kind(first) != number_kind(item)
        {
            return Err(Error::data(format!(
                "Field is not a homogenous array ({first} x {item}), different number types \
                 (Schema{{{}}} x Schema{{{}}})",
                number_kind(first).name(),
                number_kind(item).name()
            )));
        }
    }
    Ok(first)
}

/// A struct with the fields of both; the result is not optional.
fn merge(left: &Schema, right: &Schema) -> SchemaRef {
    let mut fields: Vec<_> = left.fields().to_vec();
    for field in right.fields() {
        match fields.iter_mut().find(|known| known.name == field.name) {
            None => fields.push(field.clone()),
            Some(known)
                if known.schema.kind() == SchemaType::Bytes
                    && field.schema.kind() != SchemaType::Bytes =>
            {
                *known = field.clone();
            }
            Some(_) => {}
        }
    }
    let builder = copy_basics(left, Schema::builder(SchemaType::Struct));
    let with_field = |builder: SchemaBuilder, field: connect_api::data::Field| {
        builder.field(field.name, field.schema)
    };
    fields.into_iter().fold(builder, with_field).build()
}
