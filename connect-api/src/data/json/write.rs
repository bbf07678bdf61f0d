//! Writes values as JSON.

use std::sync::Arc;

use super::schema::write_schema;
use super::text::{write_base64, write_double, write_float, write_integer, write_string};
use super::{DecimalFormat, JsonOptions};
use crate::data::logical::{Logical, SCALE};
use crate::data::{Decimal, Schema, SchemaAndValue, SchemaCache, SchemaRef, SchemaType, Value};
use crate::{Error, Result};

const MS_PER_DAY: i64 = 86_400_000;

/// Writes Connect data as JSON (`JsonConverter.fromConnectData`). Remembers a plan and the
/// rendered text of each schema.
#[derive(Debug)]
pub struct JsonWriter {
    options: JsonOptions,
    plans: SchemaCache<TopPlan>,
}

#[derive(Debug)]
struct TopPlan {
    /// `{"schema":…,"payload":`, or why the schema cannot be written; empty without schemas.
    head: Result<Vec<u8>, String>,
    plan: ValuePlan,
}

impl JsonWriter {
    /// A writer with these options.
    pub fn new(options: JsonOptions) -> Self {
        Self {
            options,
            plans: SchemaCache::new(options.schemas_cache_size),
        }
    }

    /// Its options.
    pub fn options(&self) -> JsonOptions {
        self.options
    }

    /// Appends the data's JSON to `out`; answers `false`, appending nothing, for a null without
    /// schema. A STRUCT may come as BYTES: those of its JSON, as [`ValuePlan::write`] makes it.
    ///
    /// # Errors
    /// The value is not one of its schema, or has no JSON form. `out` is as it was.
    pub fn write(&mut self, data: &SchemaAndValue, out: &mut Vec<u8>) -> Result<bool> {
        let start = out.len();
        let written = match &data.schema {
            Some(schema) => self.write_with_schema(schema, &data.value, out),
            None if data.value.is_null() => return Ok(false),
            None if self.options.schemas_enable => {
                out.extend_from_slice(b"{\"schema\":null,\"payload\":");
                write_schemaless(&data.value, out).map(|()| out.push(b'}'))
            }
            None => write_schemaless(&data.value, out),
        };
        if written.is_err() {
            out.truncate(start);
        }
        written.map(|()| true)
    }

    fn write_with_schema(
        &mut self,
        schema: &SchemaRef,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let options = self.options;
        let top = self.plans.get_or_insert_with(schema, || TopPlan {
            head: match options.schemas_enable {
                true => render_head(schema, options),
                false => Ok(Vec::new()),
            },
            plan: ValuePlan::new(schema, options.style()),
        });
        let printed = match value {
            Value::Bytes(text) if schema.kind() == SchemaType::Struct => Some(text),
            _ => None,
        };
        let write = |out: &mut Vec<u8>| match printed {
            Some(text) => {
                out.extend_from_slice(text);
                Ok(())
            }
            None => top.plan.write(value, out),
        };
        if !options.schemas_enable {
            return write(out);
        }
        let head = top
            .head
            .as_ref()
            .map_err(|message| Error::data(message.clone()))?;
        out.extend_from_slice(head);
        write(out)?;
        out.push(b'}');
        Ok(())
    }
}

fn render_head(schema: &SchemaRef, options: JsonOptions) -> Result<Vec<u8>, String> {
    let mut head = b"{\"schema\":".to_vec();
    write_schema(schema, None, options, &mut head).map_err(|error| error.message().to_owned())?;
    head.extend_from_slice(b",\"payload\":");
    Ok(head)
}

/// In what the converters that write JSON differ.
#[derive(Clone, Copy, Debug)]
pub struct ValueStyle {
    /// How Decimals are written.
    pub decimal_format: DecimalFormat,
    /// A null takes its schema's default.
    pub replace_null_with_default: bool,
    /// So does a null that the schema allows.
    pub replace_optional_null: bool,
    /// A member that is null, required and without default is left out, not refused.
    pub omit_required_nulls: bool,
    /// A map without string keys is a list of objects with `key` and `value`, not of pairs; so is
    /// one whose keys may be null.
    pub entries_as_objects: bool,
    /// Tells structs of which one field is set, that are written as this field's value alone.
    pub is_union: fn(&Schema) -> bool,
}

impl JsonOptions {
    /// `JsonConverter`'s way.
    pub fn style(self) -> ValueStyle {
        ValueStyle {
            decimal_format: self.decimal_format,
            replace_null_with_default: self.replace_null_with_default,
            replace_optional_null: true,
            omit_required_nulls: false,
            entries_as_objects: false,
            is_union: |_| false,
        }
    }
}

/// How values of one schema are written; made once per schema.
#[derive(Debug)]
pub struct ValuePlan {
    schema: SchemaRef,
    /// What a null becomes: its JSON text, or the error.
    null: Result<Vec<u8>, String>,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Primitive(SchemaType),
    Decimal {
        scale: Option<i32>,
        format: DecimalFormat,
    },
    Date,
    Time,
    Timestamp,
    Array(Box<ValuePlan>),
    Map {
        entries: Entries,
        key: Box<ValuePlan>,
        value: Box<ValuePlan>,
    },
    Struct {
        fields: Vec<FieldPlan>,
        omit_required_nulls: bool,
    },
    Union(Vec<ValuePlan>),
    /// A struct whose fields are those of one around it: planned as values of it come.
    Recursive(ValueStyle),
}

/// How a map's entries stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entries {
    Object,
    Pairs,
    KeyValues,
}

#[derive(Debug)]
struct FieldPlan {
    /// `,"id":`.
    name: Vec<u8>,
    plan: ValuePlan,
}

impl ValuePlan {
    /// The plan for a schema.
    pub fn new(schema: &SchemaRef, style: ValueStyle) -> Self {
        let shape = match (schema.logical(), schema.kind()) {
            (Some(Logical::Decimal), _) => Shape::Decimal {
                scale: schema.parameter(SCALE).and_then(|scale| scale.parse().ok()),
                format: style.decimal_format,
            },
            (Some(Logical::Date), _) => Shape::Date,
            (Some(Logical::Time), _) => Shape::Time,
            (Some(Logical::Timestamp), _) => Shape::Timestamp,
            (None, SchemaType::Array) => Shape::Array(Box::new(Self::new(element(schema), style))),
            (None, SchemaType::Map) => {
                let key = schema.key_schema().unwrap_or(schema);
                let text = key.kind() == SchemaType::String;
                let entries = match style.entries_as_objects {
                    true if text && !key.is_optional() => Entries::Object,
                    true => Entries::KeyValues,
                    false if text => Entries::Object,
                    false => Entries::Pairs,
                };
                Shape::Map {
                    entries,
                    key: Box::new(Self::new(key, style)),
                    value: Box::new(Self::new(element(schema), style)),
                }
            }
            (None, SchemaType::Struct) if schema.is_recursive() => Shape::Recursive(style),
            (None, SchemaType::Struct) if (style.is_union)(schema) => {
                let fields = schema.fields().iter();
                Shape::Union(
                    fields
                        .map(|field| Self::new(&field.schema, style))
                        .collect(),
                )
            }
            (None, SchemaType::Struct) => {
                let field = |field: &crate::data::Field| {
                    let mut name = vec![b','];
                    write_string(&field.name, &mut name);
                    name.push(b':');
                    FieldPlan {
                        name,
                        plan: Self::new(&field.schema, style),
                    }
                };
                Shape::Struct {
                    fields: schema.fields().iter().map(field).collect(),
                    omit_required_nulls: style.omit_required_nulls,
                }
            }
            (None, primitive) => Shape::Primitive(primitive),
        };
        let mut plan = Self {
            schema: Arc::clone(schema),
            null: Ok(Vec::new()),
            shape,
        };
        plan.null = match schema.default_value() {
            Some(default)
                if style.replace_null_with_default
                    && !default.is_null()
                    && (style.replace_optional_null || !schema.is_optional()) =>
            {
                let mut text = Vec::new();
                plan.write(default, &mut text)
                    .map(|()| text)
                    .map_err(|error| error.message().to_owned())
            }
            _ if schema.is_optional() => Ok(b"null".to_vec()),
            _ => Err(
                "Conversion error: null value for field that is required and has no default \
                      value"
                    .to_owned(),
            ),
        };
        plan
    }

    /// Appends a value.
    ///
    /// # Errors
    /// It is not a value of the schema.
    pub fn write(&self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        match (&self.shape, value) {
            (_, Value::Null) => match &self.null {
                Ok(text) => out.extend_from_slice(text),
                Err(message) => return Err(Error::data(message.clone())),
            },
            (Shape::Primitive(SchemaType::String), Value::String(text)) => write_string(text, out),
            (Shape::Primitive(SchemaType::Int64), Value::Int64(n)) => write_integer(*n, out),
            (Shape::Primitive(SchemaType::Int32), Value::Int32(n)) => write_integer(*n, out),
            (Shape::Primitive(SchemaType::Int16), Value::Int16(n)) => write_integer(*n, out),
            (Shape::Primitive(SchemaType::Int8), Value::Int8(n)) => write_integer(*n, out),
            (Shape::Primitive(SchemaType::Boolean), Value::Boolean(yes)) => write_bool(*yes, out),
            (Shape::Primitive(SchemaType::Float64), Value::Float64(n)) => write_double(*n, out),
            (Shape::Primitive(SchemaType::Float32), Value::Float32(n)) => write_float(*n, out),
            (Shape::Primitive(SchemaType::Bytes), Value::Bytes(bytes)) => write_base64(bytes, out),
            (
                Shape::Struct {
                    fields,
                    omit_required_nulls,
                },
                Value::Struct(value),
            ) => {
                self.check_struct(value)?;
                let start = out.len();
                for (field, value) in fields.iter().zip(&value.values) {
                    if *omit_required_nulls && value.is_null() && field.plan.null.is_err() {
                        continue;
                    }
                    out.extend_from_slice(&field.name);
                    field.plan.write(value, out)?;
                }
                match out.get_mut(start) {
                    // In the place of the first member's comma.
                    Some(first) => *first = b'{',
                    None => out.push(b'{'),
                }
                out.push(b'}');
            }
            (Shape::Recursive(style), Value::Struct(inside)) => {
                Self::new(&inside.schema, *style).write(value, out)?;
            }
            (Shape::Union(fields), Value::Struct(value)) => {
                self.check_struct(value)?;
                let mut fields = fields.iter().zip(&value.values);
                match fields.find(|(_, value)| !value.is_null()) {
                    Some((plan, value)) => plan.write(value, out)?,
                    None => out.extend_from_slice(b"null"),
                }
            }
            (Shape::Decimal { scale, format }, Value::Decimal(value)) => {
                write_decimal(value, *scale, *format, out)?;
            }
            (Shape::Date, Value::Date(days)) => write_integer(*days, out),
            (Shape::Date, Value::Timestamp(ms)) => {
                if ms.rem_euclid(MS_PER_DAY) != 0 {
                    return Err(Error::data(
                        "Kafka Connect Date type should not have any time fields set to non-zero \
                         values.",
                    ));
                }
                write_integer(ms.div_euclid(MS_PER_DAY), out);
            }
            (Shape::Time, Value::Time(ms)) => write_integer(*ms, out),
            (Shape::Time, Value::Timestamp(ms)) => {
                if !(0..MS_PER_DAY).contains(ms) {
                    return Err(Error::data(
                        "Kafka Connect Time type should not have any date fields set to non-zero \
                         values.",
                    ));
                }
                write_integer(*ms, out);
            }
            (Shape::Timestamp, Value::Timestamp(ms)) => write_integer(*ms, out),
            (Shape::Timestamp, Value::Date(days)) => {
                write_integer(i64::from(*days) * MS_PER_DAY, out);
            }
            (Shape::Timestamp, Value::Time(ms)) => write_integer(*ms, out),
            (Shape::Array(element), Value::Array(items)) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    element.write(item, out)?;
                }
                out.push(b']');
            }
            (
                Shape::Map {
                    entries,
                    key,
                    value,
                },
                Value::Map(map),
            ) => {
                let as_object = *entries == Entries::Object;
                out.push(if as_object { b'{' } else { b'[' });
                for (index, (entry_key, entry_value)) in map.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    let (open, middle, close): (&[u8], &[u8], &[u8]) = match entries {
                        Entries::Object => (b"", b":", b""),
                        Entries::Pairs => (b"[", b",", b"]"),
                        Entries::KeyValues => (b"{\"key\":", b",\"value\":", b"}"),
                    };
                    out.extend_from_slice(open);
                    match entry_key {
                        // Jackson's NullNode.asText().
                        Value::Null if as_object && key.null.is_ok() => write_string("null", out),
                        _ => key.write(entry_key, out)?,
                    }
                    out.extend_from_slice(middle);
                    value.write(entry_value, out)?;
                    out.extend_from_slice(close);
                }
                out.push(if as_object { b'}' } else { b']' });
            }
            (shape, value) => return Err(wrong_type(shape, value)),
        }
        Ok(())
    }
}

impl ValuePlan {
    fn check_struct(&self, value: &crate::data::Struct) -> Result<()> {
        if Arc::ptr_eq(&value.schema, &self.schema) || value.schema == self.schema {
            return Ok(());
        }
        Err(Error::data("Mismatching schema."))
    }
}

fn element(schema: &SchemaRef) -> &SchemaRef {
    // Arrays and maps are built with their element's schema.
    schema.value_schema().unwrap_or(schema)
}

fn write_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn write_decimal(
    value: &Decimal,
    scale: Option<i32>,
    format: DecimalFormat,
    out: &mut Vec<u8>,
) -> Result<()> {
    if format == DecimalFormat::Numeric {
        out.extend_from_slice(value.to_string().as_bytes());
        return Ok(());
    }
    let Some(scale) = scale else {
        return Err(Error::data(
            "Invalid Decimal schema: scale parameter not found.",
        ));
    };
    if value.scale() != scale {
        return Err(Error::data(format!(
            "Decimal value has mismatching scale for given Decimal schema. Schema has scale \
             {scale}, value has scale {}.",
            value.scale()
        )));
    }
    value.with_signed_bytes_be(|bytes| write_base64(bytes, out));
    Ok(())
}

fn wrong_type(shape: &Shape, value: &Value) -> Error {
    let class = value.java_class().unwrap_or("null");
    Error::data(match shape {
        Shape::Decimal { .. } => {
            format!("Invalid type for Decimal, expected BigDecimal but was class {class}")
        }
        Shape::Date => format!("Invalid type for Date, expected Date but was class {class}"),
        Shape::Time => format!("Invalid type for Time, expected Date but was class {class}"),
        Shape::Timestamp => {
            format!("Invalid type for Timestamp, expected Date but was class {class}")
        }
        Shape::Primitive(SchemaType::Bytes) => {
            format!("Invalid type for bytes type: class {class}")
        }
        Shape::Primitive(kind) => format!("Invalid type for {}: class {class}", kind.name()),
        Shape::Array(_) => format!("Invalid type for ARRAY: class {class}"),
        Shape::Map { .. } => format!("Invalid type for MAP: class {class}"),
        Shape::Struct { .. } | Shape::Union(_) | Shape::Recursive(_) => {
            format!("Invalid type for STRUCT: class {class}")
        }
    })
}

/// Appends a schemaless value as JSON: maps whose keys are all strings as objects, other maps as
/// arrays of pairs, both in Java's order.
///
/// # Errors
/// The value holds something that has no schemaless form: a struct, a Decimal, a date.
pub fn write_schemaless(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(value) => write_bool(*value, out),
        Value::Int8(n) => write_integer(*n, out),
        Value::Int16(n) => write_integer(*n, out),
        Value::Int32(n) => write_integer(*n, out),
        Value::Int64(n) => write_integer(*n, out),
        Value::Float32(n) => write_float(*n, out),
        Value::Float64(n) => write_double(*n, out),
        Value::String(text) => write_string(text, out),
        Value::Bytes(bytes) => write_base64(bytes, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_schemaless(item, out)?;
            }
            out.push(b']');
        }
        Value::Map(map) => {
            let as_object = map.keys().all(|key| matches!(key, Value::String(_)));
            out.push(if as_object { b'{' } else { b'[' });
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                if as_object {
                    write_schemaless(key, out)?;
                    out.push(b':');
                    write_schemaless(value, out)?;
                } else {
                    out.push(b'[');
                    write_schemaless(key, out)?;
                    out.push(b',');
                    write_schemaless(value, out)?;
                    out.push(b']');
                }
            }
            out.push(if as_object { b'}' } else { b']' });
        }
        Value::Struct(_) => return Err(Error::data("Mismatching schema.")),
        Value::Decimal(_) | Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => {
            return Err(Error::data(format!(
                "Java class class {} does not have corresponding schema type.",
                value.java_class().unwrap_or("null")
            )));
        }
    }
    Ok(())
}

/// Whether a schema's default can be written; the text that stands after `"default":`.
pub(super) fn write_default(
    schema: &Schema,
    options: JsonOptions,
    out: &mut Vec<u8>,
) -> Result<bool> {
    let Some(default) = schema.default_value().filter(|default| !default.is_null()) else {
        return Ok(false);
    };
    // Not the schema's own plan: that one renders the default itself.
    let bare = schema.to_builder().no_default().build();
    let start = out.len();
    out.extend_from_slice(b",\"default\":");
    let value = match default {
        // The struct's schema is the one with the default.
        Value::Struct(value) if *value.schema == *schema => Value::Struct(crate::data::Struct {
            schema: Arc::clone(&bare),
            values: value.values.clone(),
        }),
        other => other.clone(),
    };
    let written = ValuePlan::new(&bare, options.style()).write(&value, out);
    if written.is_err() {
        out.truncate(start);
    }
    written.map(|()| true)
}
