//! Connect values straight into Avro's binary form, by a plan made once per pair of schemas: no
//! generic records in between, no allocation but the output's.
//!
//! Answers for `AvroData.fromConnectData` and, with errors of its own class, `GenericDatumWriter`. The
//! Avro schema is the Connect
//! schema's own as a rule; it may be another (a subject's latest version), whose fields are then
//! looked up by name.

use std::cell::OnceCell;
use std::sync::Arc;

use connect_api::data::{SchemaRef, SchemaType, Value};
use connect_api::{Error, Result};

use crate::binary::{write_bytes, write_long};
use crate::from_connect::Options;
use crate::schema::{AvroRef, Shape};
use crate::{anything, plan};

/// Writes values of one Connect schema in one Avro schema.
#[derive(Debug)]
pub struct Writer {
    plan: Plan,
    structs: Vec<StructPlan>,
    /// Whether the whole message is one byte string, without its length.
    raw_bytes: bool,
    optional: bool,
}

/// A number in Avro.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Int,
    Long,
    Float,
    Double,
}

#[derive(Debug)]
pub(crate) enum Plan {
    Boolean,
    Int8,
    Int16,
    Int32,
    Date,
    Time,
    Int64,
    Timestamp,
    Float32,
    Float64,
    String,
    Bytes,
    /// With this scale.
    Decimal(i64),
    Fixed(usize),
    FixedDecimal(usize, i64),
    Enum(Vec<String>),
    Array(Box<Self>),
    Map(Box<Self>),
    /// A list of pairs of key and value.
    Entries(Box<(Self, Self)>),
    /// The struct of this number.
    Struct(usize),
    /// A branch of a union for values, and one for null where there is one.
    Branch {
        null: Option<i64>,
        value: i64,
        inner: Box<Self>,
    },
    /// A struct that stands for a union: by field, the branch and how it is written.
    Union {
        schema: SchemaRef,
        null: Option<i64>,
        members: Vec<(i64, Self)>,
    },
    /// A number in a wider type than its own.
    Widened(SchemaType, Number),
    /// `io.confluent.connect.avro.Anything`.
    Anything,
    /// Not possible; told when there is a value to write.
    Impossible(String),
}

#[derive(Debug)]
pub(crate) struct StructPlan {
    pub(crate) schema: SchemaRef,
    /// Another schema that was found equal, so that it is not compared again.
    pub(crate) equal: OnceCell<SchemaRef>,
    pub(crate) fields: Vec<FieldPlan>,
}

#[derive(Debug)]
pub(crate) struct FieldPlan {
    /// Place of the value in the struct.
    pub(crate) from: usize,
    pub(crate) plan: Plan,
    /// What stands for a null.
    pub(crate) default: Option<Value>,
}

impl Writer {
    /// A plan for values of `schema` in `avro`.
    ///
    /// # Errors
    /// Kind Data: values of the one do not fit into the other.
    pub fn new(schema: &SchemaRef, avro: &AvroRef, options: &Options) -> Result<Self> {
        let (plan, structs) = plan::plan(schema, avro, options)?;
        Ok(Self {
            plan,
            structs,
            raw_bytes: avro.shape == Shape::Bytes,
            optional: schema.is_optional(),
        })
    }

    /// A plan for data without a schema.
    pub fn schemaless() -> Self {
        Self {
            plan: Plan::Anything,
            structs: Vec::new(),
            raw_bytes: false,
            optional: true,
        }
    }

    /// The same, with its length before bytes at the root too.
    #[must_use]
    pub fn with_length(mut self) -> Self {
        self.raw_bytes = false;
        self
    }

    /// Appends a value as a message: as in a file, but bytes at the root go without their length.
    ///
    /// # Errors
    /// As [`Self::write_datum`].
    pub fn write(&self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        if self.raw_bytes {
            self.check_null(value)?;
            return match (&self.plan, value) {
                (Plan::Bytes, Value::Bytes(bytes)) => {
                    out.extend_from_slice(bytes);
                    Ok(())
                }
                (Plan::Decimal(scale), Value::Decimal(decimal)) => {
                    check_scale(decimal.scale(), *scale)?;
                    decimal.with_signed_bytes_be(|bytes| out.extend_from_slice(bytes));
                    Ok(())
                }
                (_, value) => Err(wrong_type("BYTES", value)),
            };
        }
        self.write_datum(value, out)
    }

    /// Appends a value as it stands in files.
    ///
    /// # Errors
    /// Kind Data: the value is none of the schema. `out` then ends with some of it.
    pub fn write_datum(&self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        self.check_null(value)?;
        self.encode(&self.plan, value, out)
    }

    fn check_null(&self, value: &Value) -> Result<()> {
        match value.is_null() && !self.optional {
            true => Err(null_refused()),
            false => Ok(()),
        }
    }

    fn encode(&self, plan: &Plan, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        match (plan, value) {
            (
                Plan::Branch {
                    null,
                    value: branch,
                    inner,
                },
                value,
            ) => {
                if value.is_null() {
                    write_long(null.ok_or_else(null_refused)?, out);
                    return Ok(());
                }
                write_long(*branch, out);
                return self.encode(inner, value, out);
            }
            (Plan::String, Value::String(text)) => write_bytes(text.as_bytes(), out),
            (Plan::Int64, Value::Int64(number)) | (Plan::Timestamp, Value::Timestamp(number)) => {
                write_long(*number, out);
            }
            (Plan::Int32, Value::Int32(number))
            | (Plan::Date, Value::Date(number))
            | (Plan::Time, Value::Time(number)) => write_long(i64::from(*number), out),
            (Plan::Int8, Value::Int8(number)) => write_long(i64::from(*number), out),
            (Plan::Int16, Value::Int16(number)) => write_long(i64::from(*number), out),
            (Plan::Boolean, Value::Boolean(flag)) => out.push(u8::from(*flag)),
            (Plan::Float32, Value::Float32(number)) => out.extend_from_slice(&number.to_le_bytes()),
            (Plan::Float64, Value::Float64(number)) => out.extend_from_slice(&number.to_le_bytes()),
            (Plan::Bytes, Value::Bytes(bytes)) => write_bytes(bytes, out),
            (Plan::Decimal(scale), Value::Decimal(decimal)) => {
                check_scale(decimal.scale(), *scale)?;
                decimal.with_signed_bytes_be(|bytes| write_bytes(bytes, out));
            }
            (Plan::Struct(number), Value::Struct(inside)) => {
                let plan = &self.structs[*number];
                plan.check(&inside.schema)?;
                for field in &plan.fields {
                    let value = match (inside.values.get(field.from), &field.default) {
                        (None | Some(Value::Null), Some(default)) => default,
                        (Some(value), _) => value,
                        (None, None) => &Value::Null,
                    };
                    self.encode(&field.plan, value, out)?;
                }
            }
            (Plan::Fixed(size), Value::Bytes(bytes)) => {
                // Longer ones are cut, as there.
                let bytes = bytes.get(..*size).ok_or_else(|| {
                    Error::data(format!(
                        "Range [0, 0 + {size}) out of bounds for length {}",
                        bytes.len()
                    ))
                    .with_class("java.lang.IndexOutOfBoundsException")
                })?;
                out.extend_from_slice(bytes);
            }
            (Plan::FixedDecimal(size, scale), Value::Decimal(decimal)) => {
                check_scale(decimal.scale(), *scale)?;
                decimal.with_signed_bytes_be(|bytes| {
                    let missing = size.checked_sub(bytes.len()).ok_or_else(|| {
                        Error::data(format!(
                            "a decimal of {} bytes does not fit into a fixed type of {size}",
                            bytes.len()
                        ))
                    })?;
                    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
                        0xff
                    } else {
                        0
                    };
                    out.resize(out.len() + missing, sign);
                    out.extend_from_slice(bytes);
                    Ok(())
                })?;
            }
            (Plan::Enum(symbols), Value::String(text)) => {
                let index = symbols.iter().position(|symbol| **symbol == **text);
                let index = index.ok_or_else(|| {
                    Error::data(format!(
                        "enum value '{text}' is not in the enum symbol set: [{}]",
                        symbols.join(", ")
                    ))
                    .with_class("org.apache.avro.AvroTypeException")
                })?;
                write_long(index as i64, out);
            }
            (Plan::Array(items), Value::Array(values)) => {
                if !values.is_empty() {
                    write_long(values.len() as i64, out);
                }
                for item in values {
                    self.encode(items, item, out)?;
                }
                out.push(0);
            }
            (Plan::Map(values), Value::Map(map)) => {
                if !map.is_empty() {
                    write_long(map.len() as i64, out);
                }
                for (key, item) in map.iter() {
                    let key = key.as_str().ok_or_else(|| wrong_type("STRING", key))?;
                    write_bytes(key.as_bytes(), out);
                    self.encode(values, item, out)?;
                }
                out.push(0);
            }
            (Plan::Entries(pair), Value::Map(map)) => {
                if !map.is_empty() {
                    write_long(map.len() as i64, out);
                }
                for (key, item) in map.iter() {
                    self.encode(&pair.0, key, out)?;
                    self.encode(&pair.1, item, out)?;
                }
                out.push(0);
            }
            (
                Plan::Union {
                    schema,
                    null,
                    members,
                },
                value,
            ) => {
                return self.encode_union(schema, (*null, members), value, out);
            }
            (Plan::Widened(from, to), value) => encode_number(*from, *to, value, out)?,
            (Plan::Anything, value) => anything::encode(value, out)?,
            (Plan::Impossible(why), value) if !value.is_null() => {
                return Err(Error::data(why.clone()));
            }
            (_, Value::Null) => return Err(null_refused()),
            (plan, value) => return Err(wrong_type(plan.name(), value)),
        }
        Ok(())
    }

    fn encode_union(
        &self,
        schema: &SchemaRef,
        (null, members): (Option<i64>, &[(i64, Plan)]),
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let chosen = match value {
            Value::Null => None,
            Value::Struct(inside) => {
                if !Arc::ptr_eq(&inside.schema, schema) && inside.schema != *schema {
                    return Err(mismatching());
                }
                let mut all = inside.values.iter().zip(members);
                all.find(|(value, _)| !value.is_null())
            }
            other => return Err(wrong_type("STRUCT", other)),
        };
        match chosen {
            Some((value, (branch, plan))) => {
                write_long(*branch, out);
                self.encode(plan, value, out)
            }
            None => {
                write_long(null.ok_or_else(null_refused)?, out);
                Ok(())
            }
        }
    }
}

impl StructPlan {
    #[inline]
    fn check(&self, schema: &SchemaRef) -> Result<()> {
        if Arc::ptr_eq(schema, &self.schema)
            || self
                .equal
                .get()
                .is_some_and(|equal| Arc::ptr_eq(schema, equal))
        {
            return Ok(());
        }
        if *schema != self.schema {
            return Err(mismatching());
        }
        // Only the first is kept; streams that mix several pay for the comparison.
        self.equal.get_or_init(|| Arc::clone(schema));
        Ok(())
    }
}

impl Plan {
    fn name(&self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 | Self::Date | Self::Time => "INT32",
            Self::Int64 | Self::Timestamp => "INT64",
            Self::Float32 => "FLOAT32",
            Self::Float64 => "FLOAT64",
            Self::String | Self::Enum(_) => "STRING",
            Self::Bytes | Self::Decimal(_) | Self::Fixed(_) | Self::FixedDecimal(..) => "BYTES",
            Self::Array(_) => "ARRAY",
            Self::Map(_) | Self::Entries(_) => "MAP",
            Self::Widened(from, _) => from.name(),
            _ => "STRUCT",
        }
    }
}

fn null_refused() -> Error {
    Error::data("Found null value for non-optional schema")
}

pub(crate) fn mismatching() -> Error {
    Error::data("Mismatching struct schema")
}

fn wrong_type(expected: &str, value: &Value) -> Error {
    Error::data(format!(
        "Invalid type for {expected}: class {}",
        value.java_class().unwrap_or("null")
    ))
}

fn check_scale(own: i32, expected: i64) -> Result<()> {
    if i64::from(own) == expected {
        return Ok(());
    }
    Err(Error::data(
        "Decimal value has mismatching scale for given Decimal schema",
    ))
}

fn encode_number(from: SchemaType, to: Number, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let wrong = || wrong_type(from.name(), value);
    let whole = match *value {
        Value::Date(n) | Value::Time(n) => Some(i64::from(n)),
        Value::Timestamp(n) => Some(n),
        _ => value.as_i64(),
    };
    let fraction = match *value {
        Value::Float32(n) => Some(f64::from(n)),
        Value::Float64(n) => Some(n),
        _ => None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "java.lang.Number's conversions narrow"
    )]
    match to {
        Number::Int | Number::Long => {
            let whole = whole
                .or_else(|| fraction.map(|n| n as i64))
                .ok_or_else(wrong)?;
            let whole = if to == Number::Int {
                i64::from(whole as i32)
            } else {
                whole
            };
            write_long(whole, out);
        }
        Number::Float | Number::Double => {
            let number = fraction
                .or_else(|| whole.map(|n| n as f64))
                .ok_or_else(wrong)?;
            if to == Number::Float {
                out.extend_from_slice(&(number as f32).to_le_bytes());
            } else {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::from_connect::from_connect_schema;
    use crate::read::Reader;
    use connect_api::Bytes;
    use connect_api::data::{Knot, Schema, SchemaAndValue, Struct};

    fn writer(schema: &SchemaRef) -> (Writer, AvroRef) {
        let options = Options::default();
        let avro = from_connect_schema(schema, options).expect("legal");
        let writer = Writer::new(schema, &avro, &options).expect("fits");
        (writer, avro)
    }
    fn encoded(schema: &SchemaRef, value: &Value) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        writer(schema).0.write(value, &mut out).map(|()| out)
    }

    #[test]
    fn longs_are_zigzag_varints() {
        let long = Schema::int64().build();
        for (value, bytes) in [
            (0, vec![0]),
            (-1, vec![1]),
            (64, vec![0x80, 1]),
            (
                i64::MIN,
                vec![255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
            ),
        ] {
            assert_eq!(encoded(&long, &Value::Int64(value)).expect("fits"), bytes);
        }
    }

    #[test]
    fn a_null_field_takes_its_default_unless_told_otherwise() {
        let schema = Schema::structure()
            .name("R")
            .field(
                "a",
                Schema::int32()
                    .optional()
                    .default_value(Value::Int32(3))
                    .build(),
            )
            .build();
        let value = Value::Struct(Struct::new(Arc::clone(&schema), vec![Value::Null]));
        assert_eq!(encoded(&schema, &value).expect("fits"), [0, 6]);
        let options = Options {
            ignore_default_for_nullables: true,
            ..Options::default()
        };
        let (_, avro) = writer(&schema);
        let mut out = Vec::new();
        Writer::new(&schema, &avro, &options)
            .and_then(|writer| writer.write(&value, &mut out))
            .expect("fits");
        assert_eq!(out, [2]);
    }

    #[test]
    fn what_is_not_of_the_schema_is_refused() {
        let schema = Schema::int32().build();
        assert_eq!(
            encoded(&schema, &Value::text("x"))
                .expect_err("text")
                .message(),
            "Invalid type for INT32: class java.lang.String"
        );
        assert_eq!(
            encoded(&schema, &Value::Null).expect_err("null").message(),
            "Found null value for non-optional schema"
        );
    }

    #[test]
    fn a_struct_that_contains_itself_is_written_and_read() {
        let knot = Knot::new();
        let end = Schema::recursive(knot.clone())
            .name("r.Node")
            .optional()
            .build();
        let schema = Schema::structure()
            .name("r.Node")
            .field("v", Schema::int32().build())
            .field("next", end)
            .build();
        knot.tie(&schema);
        let node = |v, next| {
            Value::Struct(Struct::new(
                Arc::clone(&schema),
                vec![Value::Int32(v), next],
            ))
        };
        let value = node(1, node(2, Value::Null));
        let (writer, avro) = writer(&schema);
        let mut out = Vec::new();
        writer.write(&value, &mut out).expect("fits");
        assert_eq!(out, [2, 2, 4, 0]);
        let reader = Reader::new(&avro, &Options::default(), None).expect("a plan");
        let read = reader.read(&Bytes::from(out), true).expect("readable");
        assert_eq!(read, SchemaAndValue::new(schema, value));
    }

    #[test]
    fn fields_are_found_by_name_in_another_schema() {
        let schema = Schema::structure()
            .name("L")
            .field("a", Schema::int32().build())
            .field("b", Schema::string().optional().build())
            .build();
        let latest = crate::parse::Parser::new()
            .parse(r#"{"type":"record","name":"L","fields":[{"name":"b","type":["null","string"]},{"name":"a","type":"long"}]}"#)
            .expect("a schema");
        let value = Value::Struct(Struct::new(
            Arc::clone(&schema),
            vec![Value::Int32(5), Value::text("x")],
        ));
        let mut out = Vec::new();
        Writer::new(&schema, &latest, &Options::default())
            .and_then(|writer| writer.write(&value, &mut out))
            .expect("fits");
        assert_eq!(out, [2, 2, b'x', 10]);
    }
}
