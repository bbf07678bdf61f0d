//! Connect values straight into Avro's binary form, by a plan made once per pair of schemas: no
//! generic records in between, no allocation but the output's.
//!
//! Answers for `AvroData.fromConnectData` and `GenericDatumWriter`. The Avro schema is the Connect
//! schema's own as a rule; it may be another (a subject's latest version), whose fields are then
//! looked up by name.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use connect_api::data::logical::Logical;
use connect_api::data::{Schema, SchemaRef, SchemaType, Value};
use connect_api::{Error, Result};

use crate::from_connect::{Options, decimal_scale, is_union};
use crate::names;
use crate::schema::{Avro, AvroRef, Shape};

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
enum Number {
    Int,
    Long,
    Float,
    Double,
}

#[derive(Debug)]
enum Plan {
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
struct StructPlan {
    schema: SchemaRef,
    /// Another schema that was found equal, so that it is not compared again.
    equal: OnceCell<SchemaRef>,
    fields: Vec<FieldPlan>,
}

#[derive(Debug)]
struct FieldPlan {
    /// Place of the value in the struct.
    from: usize,
    plan: Plan,
    /// What stands for a null.
    default: Option<Value>,
}

impl Writer {
    /// A plan for values of `schema` in `avro`.
    ///
    /// # Errors
    /// Kind Data: values of the one do not fit into the other.
    pub fn new(schema: &SchemaRef, avro: &AvroRef, options: &Options) -> Result<Self> {
        let mut planning = Planning {
            options,
            named: HashMap::new(),
            structs: Vec::new(),
            open: Vec::new(),
        };
        planning.collect_names(avro);
        let plan = planning.plan(schema, avro)?;
        let structs = planning
            .structs
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Error::fatal("a struct's plan has no end"))?;
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

    /// Appends a value.
    ///
    /// # Errors
    /// Kind Data: the value is none of the schema. `out` then ends with some of it.
    pub fn write(&self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        if value.is_null() && !self.optional {
            return Err(null_refused());
        }
        if self.raw_bytes {
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
        self.encode(&self.plan, value, out)
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
                        "{} bytes do not fill a fixed type of {size}",
                        bytes.len()
                    ))
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
                let index = index
                    .ok_or_else(|| Error::data(format!("{text} is none of the enum's symbols")))?;
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
            (Plan::Anything, value) => encode_anything(value, out)?,
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

struct Planning<'a> {
    options: &'a Options,
    /// Named types of the Avro schema, for references.
    named: HashMap<String, AvroRef>,
    structs: Vec<Option<StructPlan>>,
    /// Structs around the place that is being planned, with their numbers.
    open: Vec<(SchemaRef, String, usize)>,
}

impl Planning<'_> {
    fn collect_names(&mut self, avro: &AvroRef) {
        if let Some(name) = avro.name()
            && !matches!(avro.shape, Shape::Reference(_))
            && self.named.insert(name.full(), Arc::clone(avro)).is_some()
        {
            return;
        }
        match &avro.shape {
            Shape::Array(inner) | Shape::Map(inner) => self.collect_names(inner),
            Shape::Union(branches) => {
                for branch in branches {
                    self.collect_names(branch);
                }
            }
            Shape::Record { fields, .. } => {
                for field in fields {
                    self.collect_names(&field.schema);
                }
            }
            _ => {}
        }
    }

    /// The type that a reference stands for.
    fn resolved(&self, avro: &AvroRef) -> Result<AvroRef> {
        match &avro.shape {
            Shape::Reference(name) => {
                self.named.get(&name.full()).cloned().ok_or_else(|| {
                    Error::data(format!("the schema does not define {}", name.full()))
                })
            }
            _ => Ok(Arc::clone(avro)),
        }
    }

    fn plan(&mut self, schema: &SchemaRef, avro: &AvroRef) -> Result<Plan> {
        let Shape::Union(branches) = &avro.shape else {
            return self.base(schema, avro);
        };
        let place = |branch: usize| branch as i64;
        let null = branches
            .iter()
            .position(|branch| branch.shape == Shape::Null)
            .map(place);
        if is_union(schema) {
            let mut members = Vec::with_capacity(schema.fields().len());
            for field in schema.fields() {
                let branch = self.branch_of(&field.schema, branches)?;
                let plan = self.base(&field.schema, &branches[branch])?;
                members.push((place(branch), plan));
            }
            return Ok(Plan::Union {
                schema: Arc::clone(schema),
                null,
                members,
            });
        }
        let branch = self.branch_of(schema, branches)?;
        let inner = self.base(schema, &branches[branch])?;
        Ok(Plan::Branch {
            // A required schema has no null, whatever the union would allow.
            null: null.filter(|_| schema.is_optional()),
            value: place(branch),
            inner: Box::new(inner),
        })
    }

    /// The branch of a union that takes values of a schema.
    fn branch_of(&self, schema: &Schema, branches: &[AvroRef]) -> Result<usize> {
        let fits = |exact: bool| {
            branches.iter().position(|branch| {
                self.resolved(branch)
                    .is_ok_and(|branch| self.fits(schema, &branch, exact))
            })
        };
        fits(true).or_else(|| fits(false)).ok_or_else(|| {
            Error::data(format!(
                "no branch of the union takes a value of {}",
                schema.name().unwrap_or_else(|| schema.kind().name())
            ))
        })
    }

    fn fits(&self, schema: &Schema, branch: &Avro, exact: bool) -> bool {
        let same_name = || {
            let name = branch.name().map(|name| name.full());
            let own = schema.name().map(|own| {
                names::full_name(own, self.options.scrub_invalid_names)
                    .map_or_else(|_| own.to_owned(), |name| name.full())
            });
            // An unnamed struct got its name from the mapping.
            own.is_none_or(|own| Some(own) == name)
        };
        match (schema.kind(), &branch.shape) {
            (SchemaType::Int8 | SchemaType::Int16 | SchemaType::Int32, Shape::Int)
            | (SchemaType::Int64, Shape::Long)
            | (SchemaType::Float32, Shape::Float)
            | (SchemaType::Float64, Shape::Double)
            | (SchemaType::Boolean, Shape::Boolean)
            | (SchemaType::Array, Shape::Array(_))
            | (SchemaType::Map, Shape::Map(_) | Shape::Array(_)) => true,
            (SchemaType::String, Shape::String) => !exact || !is_enum(schema),
            (SchemaType::String, Shape::Enum { name, .. }) => {
                is_enum(schema) && (!exact || is_named(schema, &name.full()))
            }
            (SchemaType::Bytes, Shape::Bytes) => {
                !exact || schema.parameter(crate::from_connect::FIXED_SIZE).is_none()
            }
            (SchemaType::Bytes, Shape::Fixed { .. }) => !exact || same_name(),
            (SchemaType::Struct, Shape::Record { .. }) => !exact || same_name(),
            (SchemaType::Int8 | SchemaType::Int16 | SchemaType::Int32, Shape::Long)
            | (SchemaType::Float32, Shape::Double) => !exact,
            _ => false,
        }
    }

    fn base(&mut self, schema: &SchemaRef, avro: &AvroRef) -> Result<Plan> {
        let avro = &self.resolved(avro)?;
        let scale = |schema: &Schema| Ok::<_, Error>(decimal_scale(schema)?.unwrap_or(0));
        let is_decimal = schema.logical() == Some(Logical::Decimal);
        Ok(match (schema.kind(), &avro.shape) {
            (SchemaType::Int8, Shape::Int) => Plan::Int8,
            (SchemaType::Int16, Shape::Int) => Plan::Int16,
            (SchemaType::Int32, Shape::Int) => match schema.logical() {
                Some(Logical::Date) => Plan::Date,
                Some(Logical::Time) => Plan::Time,
                _ => Plan::Int32,
            },
            (SchemaType::Int64, Shape::Long) => match schema.logical() {
                Some(Logical::Timestamp) => Plan::Timestamp,
                _ => Plan::Int64,
            },
            (SchemaType::Float32, Shape::Float) => Plan::Float32,
            (SchemaType::Float64, Shape::Double) => Plan::Float64,
            (SchemaType::Boolean, Shape::Boolean) => Plan::Boolean,
            (SchemaType::String, Shape::String) => Plan::String,
            (SchemaType::String, Shape::Enum { symbols, .. }) => Plan::Enum(symbols.clone()),
            (SchemaType::Bytes, Shape::Bytes) if is_decimal => Plan::Decimal(scale(schema)?),
            (SchemaType::Bytes, Shape::Bytes) => Plan::Bytes,
            (SchemaType::Bytes, Shape::Fixed { size, .. }) if is_decimal => {
                Plan::FixedDecimal(*size, scale(schema)?)
            }
            (SchemaType::Bytes, Shape::Fixed { size, .. }) => Plan::Fixed(*size),
            (SchemaType::Array, Shape::Array(items)) => {
                Plan::Array(Box::new(self.plan(value_schema(schema)?, items)?))
            }
            (SchemaType::Map, Shape::Map(values)) => {
                Plan::Map(Box::new(self.plan(value_schema(schema)?, values)?))
            }
            (SchemaType::Map, Shape::Array(entry)) => {
                let keys = schema
                    .key_schema()
                    .ok_or_else(|| Error::data("a map schema has no key schema"))?;
                let entry = self.resolved(entry)?;
                let Shape::Record { fields, .. } = &entry.shape else {
                    return Ok(impossible(schema, avro));
                };
                let [key, value] = fields.as_slice() else {
                    return Ok(impossible(schema, avro));
                };
                let key = self.plan(keys, &key.schema)?;
                let value = self.plan(value_schema(schema)?, &value.schema)?;
                Plan::Entries(Box::new((key, value)))
            }
            (SchemaType::Struct, Shape::Record { .. }) => {
                Plan::Struct(self.structure(schema, avro)?)
            }
            (from, Shape::Int | Shape::Long | Shape::Float | Shape::Double)
                if matches!(
                    from,
                    SchemaType::Int8
                        | SchemaType::Int16
                        | SchemaType::Int32
                        | SchemaType::Int64
                        | SchemaType::Float32
                        | SchemaType::Float64
                ) =>
            {
                let to = match &avro.shape {
                    Shape::Int => Number::Int,
                    Shape::Long => Number::Long,
                    Shape::Float => Number::Float,
                    _ => Number::Double,
                };
                Plan::Widened(from, to)
            }
            _ => impossible(schema, avro),
        })
    }

    fn structure(&mut self, schema: &SchemaRef, avro: &AvroRef) -> Result<usize> {
        let Shape::Record { name, fields, .. } = &avro.shape else {
            return Err(Error::fatal("a struct is written as a record"));
        };
        let full = name.full();
        let target = schema.recursion();
        if schema.is_recursive() {
            let target = target.as_ref().ok_or_else(mismatching)?;
            let around = self.open.iter().find(|(open, name, _)| {
                *name == full && (Arc::ptr_eq(open, target) || same_but_optional(open, target))
            });
            let (_, _, number) = around.ok_or_else(|| {
                Error::data("a recursive schema refers to a struct that is not around it")
            })?;
            return Ok(*number);
        }
        let number = self.structs.len();
        self.structs.push(None);
        self.open.push((Arc::clone(schema), full, number));
        let mut plans = Vec::with_capacity(fields.len());
        for (place, field) in fields.iter().enumerate() {
            let own = schema
                .fields()
                .iter()
                .find(|own| {
                    if self.options.scrub_invalid_names {
                        names::scrub(&own.name) == field.name
                    } else {
                        *own.name == *field.name
                    }
                })
                // As there: a field that only the other schema has takes the value at its place.
                .or_else(|| schema.fields().get(place));
            let Some(own) = own else {
                return Err(Error::data(format!(
                    "Index {place} out of bounds for length {}",
                    schema.fields().len()
                ))
                .with_class("java.lang.ArrayIndexOutOfBoundsException"));
            };
            let plan = self.plan(&own.schema, &field.schema)?;
            let default = own.schema.default_value();
            plans.push(FieldPlan {
                from: own.index,
                plan,
                default: default
                    .filter(|_| !self.options.ignore_default_for_nullables)
                    .cloned(),
            });
        }
        self.open.pop();
        self.structs[number] = Some(StructPlan {
            schema: Arc::clone(schema),
            equal: OnceCell::new(),
            fields: plans,
        });
        Ok(number)
    }
}

fn impossible(schema: &Schema, avro: &Avro) -> Plan {
    Plan::Impossible(format!(
        "a value of {} cannot be written as {}",
        schema.kind().name(),
        avro.type_name()
    ))
}

fn is_enum(schema: &Schema) -> bool {
    schema.parameter(crate::from_connect::ENUM).is_some()
        || schema
            .parameter(crate::from_connect::GENERIC_ENUM)
            .is_some()
}

fn is_named(schema: &Schema, full: &str) -> bool {
    [crate::from_connect::ENUM, crate::from_connect::GENERIC_ENUM]
        .into_iter()
        .any(|parameter| schema.parameter(parameter) == Some(full))
}

fn same_but_optional(one: &SchemaRef, other: &SchemaRef) -> bool {
    one.to_builder().optional_if(false).no_default().build()
        == other.to_builder().optional_if(false).no_default().build()
}

fn value_schema(schema: &Schema) -> Result<&SchemaRef> {
    schema
        .value_schema()
        .ok_or_else(|| Error::data("an array or map schema has no value schema"))
}

fn null_refused() -> Error {
    Error::data("Found null value for non-optional schema")
}

fn mismatching() -> Error {
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

/// Zigzag, then seven bits a byte.
#[inline]
fn write_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[inline]
fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
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

/// Data without a schema: a record of optional fields, of which one has the value.
fn encode_anything(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    /// How many fields the record has.
    const FIELDS: usize = 9;
    let field = match value {
        Value::Null => FIELDS,
        Value::Boolean(_) => 0,
        Value::Float64(_) => 2,
        Value::Float32(_) => 3,
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) => 4,
        Value::Int64(_) => 5,
        Value::String(_) => 6,
        Value::Array(_) => 7,
        Value::Map(_) => 8,
        other => {
            return Err(Error::data(format!(
                "Unknown Java type for schemaless data: class {}",
                other.java_class().unwrap_or("null")
            )));
        }
    };
    for place in 0..FIELDS {
        if place != field {
            out.push(0);
            continue;
        }
        write_long(1, out);
        match value {
            Value::Boolean(flag) => out.push(u8::from(*flag)),
            Value::Float64(number) => out.extend_from_slice(&number.to_le_bytes()),
            Value::Float32(number) => out.extend_from_slice(&number.to_le_bytes()),
            Value::String(text) => write_bytes(text.as_bytes(), out),
            Value::Array(items) => {
                if !items.is_empty() {
                    write_long(items.len() as i64, out);
                }
                for item in items {
                    encode_anything(item, out)?;
                }
                out.push(0);
            }
            Value::Map(map) => {
                if !map.is_empty() {
                    write_long(map.len() as i64, out);
                }
                for (key, item) in map.iter() {
                    encode_anything(key, out)?;
                    encode_anything(item, out)?;
                }
                out.push(0);
            }
            number => write_long(number.as_i64().unwrap_or_default(), out),
        }
    }
    Ok(())
}

/// The text of the schema of data without a schema.
pub const ANYTHING_SCHEMA: &str = concat!(
    r#"{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":["#,
    r#"{"name":"boolean","type":["null","boolean"],"default":null},"#,
    r#"{"name":"bytes","type":["null","bytes"],"default":null},"#,
    r#"{"name":"double","type":["null","double"],"default":null},"#,
    r#"{"name":"float","type":["null","float"],"default":null},"#,
    r#"{"name":"int","type":["null","int"],"default":null},"#,
    r#"{"name":"long","type":["null","long"],"default":null},"#,
    r#"{"name":"string","type":["null","string"],"default":null},"#,
    r#"{"name":"array","type":["null",{"type":"array","items":"Anything"}],"default":null},"#,
    r#"{"name":"map","type":["null",{"type":"array","items":{"type":"record","name":"MapEntry","#,
    r#""fields":[{"name":"key","type":"Anything"},{"name":"value","type":"Anything"}]}}],"#,
    r#""default":null}]}"#
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::from_connect::from_connect_schema;
    use crate::read::Reader;
    use connect_api::Bytes;
    use connect_api::data::{Knot, SchemaAndValue, Struct};

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
