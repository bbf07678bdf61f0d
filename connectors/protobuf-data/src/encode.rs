//! Values as bytes, by a plan that is made once per schema. Fields go by number, as protobuf-java
//! writes them; what is zero is left out where that makes no difference.

use std::collections::HashMap;

use connect_api::data::logical::{DATE, TIME, TIMESTAMP};
use connect_api::data::{SchemaRef, SchemaType, Value};
use connect_api::java::civil_from_days;
use connect_api::{Error, Result};

use crate::from_connect::root_scalar;
use crate::layout::{self, Type, symbols, type_of};
use crate::scalar::Scalar;
use crate::wire::{DELIMITED, write_delimited, write_varint, zigzag};
use crate::{MAX_DEPTH, ProtobufOptions};

const MS_PER_DAY: i64 = 86_400_000;
const NANOS_PER_MS: i64 = 1_000_000;

/// Writes the values of one schema.
#[derive(Debug)]
pub struct Encoder {
    root: Root,
    /// Of the structs, by number.
    plans: Vec<MessagePlan>,
}

#[derive(Debug)]
enum Root {
    /// The struct of this number.
    Message(usize),
    /// A wrapper message's only field.
    Wrapped(FieldPlan),
}

#[derive(Debug)]
struct MessagePlan {
    schema: SchemaRef,
    /// By number.
    fields: Vec<FieldPlan>,
}

#[derive(Debug)]
struct FieldPlan {
    name: String,
    place: usize,
    /// The place in the struct that stands for a `oneof`.
    member: Option<usize>,
    /// The encoded tag.
    tag: Vec<u8>,
    repeated: bool,
    /// Written though it is zero.
    explicit: bool,
    /// What stands in for a null.
    default: Option<Value>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Scalar(Scalar),
    Wrapper(Scalar),
    Enum(HashMap<String, i32>),
    Decimal,
    Date,
    TimeOfDay,
    Timestamp,
    /// The struct of this number; one that is around it where a schema contains itself.
    Message(usize),
    Map(Box<(FieldPlan, FieldPlan)>),
}

impl Encoder {
    /// The encoder for a schema that [`crate::message_schema`] accepts.
    ///
    /// # Errors
    /// The schema has no Protobuf form.
    pub fn new(schema: &SchemaRef, options: &ProtobufOptions) -> Result<Self> {
        let mut planning = Planning {
            options,
            plans: Vec::new(),
            open: Vec::new(),
        };
        let root = if schema.kind() == SchemaType::Struct {
            Root::Message(planning.message(schema)?)
        } else {
            let scalar = root_scalar(schema);
            Root::Wrapped(FieldPlan {
                name: "value".to_owned(),
                place: 0,
                member: None,
                tag: tag(1, scalar.wire()),
                repeated: false,
                explicit: false,
                default: schema.default_value().cloned(),
                kind: Kind::Scalar(scalar),
            })
        };
        let plans = planning.plans.into_iter().collect::<Option<Vec<_>>>();
        Ok(Self {
            root,
            plans: plans.ok_or_else(|| Error::fatal("a struct's plan has no end"))?,
        })
    }

    /// Appends a value; leaves `out` as it was where it fails.
    ///
    /// # Errors
    /// The value is not one of the schema.
    pub fn write(&self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        let inside = Inside {
            plans: &self.plans,
            depth: 0,
        };
        let written = match &self.root {
            Root::Message(plan) => inside.message(*plan, value, out),
            Root::Wrapped(plan) => plan.write(&physical(value), out, inside),
        };
        if written.is_err() {
            out.truncate(start);
        }
        written
    }
}

/// A logical value as the number or bytes that it is made of.
fn physical(value: &Value) -> Value {
    match value {
        Value::Date(number) | Value::Time(number) => Value::Int32(*number),
        Value::Timestamp(number) => Value::Int64(*number),
        Value::Decimal(decimal) => {
            let bytes = decimal.with_signed_bytes_be(<[u8]>::to_vec);
            Value::Bytes(bytes.into())
        }
        other => other.clone(),
    }
}

fn tag(number: u32, wire: u32) -> Vec<u8> {
    let mut tag = Vec::with_capacity(5);
    write_varint(u64::from(number) << 3 | u64::from(wire), &mut tag);
    tag
}

fn too_deep() -> Error {
    Error::data(format!(
        "a value is nested more than {MAX_DEPTH} levels deep"
    ))
}

/// The plans of a value's structs, and how deep inside it we are.
#[derive(Clone, Copy)]
struct Inside<'a> {
    plans: &'a [MessagePlan],
    depth: usize,
}

impl Inside<'_> {
    fn message(self, plan: usize, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        if self.depth > MAX_DEPTH {
            return Err(too_deep());
        }
        let plan = self
            .plans
            .get(plan)
            .ok_or_else(|| Error::fatal("a struct has no plan"))?;
        plan.write(value, out, self)
    }

    fn deeper(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }
}

/// Makes the plans of a schema's structs.
struct Planning<'a> {
    options: &'a ProtobufOptions,
    plans: Vec<Option<MessagePlan>>,
    /// The structs around the place that is being planned, with their numbers.
    open: Vec<(SchemaRef, usize)>,
}

impl Planning<'_> {
    fn message(&mut self, schema: &SchemaRef) -> Result<usize> {
        let target = schema.recursion();
        let schema = target.as_ref().unwrap_or(schema);
        if target.is_some() {
            let known = |(open, _): &&(SchemaRef, usize)| {
                SchemaRef::ptr_eq(open, schema) || same_but_optional(open, schema)
            };
            if let Some((_, number)) = self.open.iter().rev().find(known) {
                return Ok(*number);
            }
        }
        if self.open.len() > MAX_DEPTH {
            return Err(too_deep());
        }
        let number = self.plans.len();
        self.plans.push(None);
        self.open.push((SchemaRef::clone(schema), number));
        let (layout, _) = layout::fields(schema, self.options)?;
        let mut numbered = Vec::with_capacity(layout.len());
        for field in layout {
            let mut plan = self.field(field.name, field.number, field.schema)?;
            plan.place = field.place;
            plan.member = field.choice.map(|(member, _)| member);
            plan.explicit |= field.choice.is_some();
            numbered.push((field.number, plan));
        }
        self.open.pop();
        numbered.sort_by_key(|(number, _)| *number);
        let plan = MessagePlan {
            schema: SchemaRef::clone(schema),
            fields: numbered.into_iter().map(|(_, plan)| plan).collect(),
        };
        if let Some(slot) = self.plans.get_mut(number) {
            *slot = Some(plan);
        }
        Ok(number)
    }

    fn field(&mut self, name: String, number: u32, schema: &SchemaRef) -> Result<FieldPlan> {
        let options = self.options;
        let kind = type_of(schema, options, false)?;
        let (repeated, element, kind) = match kind {
            Type::Repeated(element) => (true, element, type_of(element, options, true)?),
            kind => (matches!(kind, Type::Map(..)), schema, kind),
        };
        let kind = match kind {
            Type::Scalar(scalar) => Kind::Scalar(scalar),
            Type::Wrapper(scalar) => Kind::Wrapper(scalar),
            Type::Enum(_) => Kind::Enum(symbols(element).into_iter().collect()),
            Type::Decimal => Kind::Decimal,
            Type::Date => Kind::Date,
            Type::TimeOfDay => Kind::TimeOfDay,
            Type::Timestamp => Kind::Timestamp,
            Type::Message => Kind::Message(self.message(element)?),
            Type::Map(key, value) => {
                let key = self.field("key".to_owned(), 1, key)?;
                let value = self.field("value".to_owned(), 2, value)?;
                Kind::Map(Box::new((key, value)))
            }
            Type::Repeated(_) => return Err(Error::data("Array cannot be nested")),
        };
        let wire = match &kind {
            Kind::Scalar(scalar) if !(repeated && scalar.packs()) => scalar.wire(),
            Kind::Enum(_) if !repeated => crate::wire::VARINT,
            _ => DELIMITED,
        };
        let keeps_null = options.ignore_default_for_nullables && schema.is_optional();
        let default = schema.default_value().filter(|_| !keeps_null).cloned();
        Ok(FieldPlan {
            name,
            place: 0,
            member: None,
            tag: tag(number, wire),
            repeated,
            explicit: options.optional_for_nullables && schema.is_optional(),
            default,
            kind,
        })
    }
}

/// Whether two structs are the same but for whether they may be missing.
fn same_but_optional(one: &SchemaRef, other: &SchemaRef) -> bool {
    one.fields() == other.fields()
        && one.to_builder().optional_if(false).no_default().build()
            == other.to_builder().optional_if(false).no_default().build()
}

impl MessagePlan {
    fn write(&self, value: &Value, out: &mut Vec<u8>, inside: Inside<'_>) -> Result<()> {
        let Value::Struct(value) = value else {
            return Err(wrong_type("STRUCT", value, ""));
        };
        if !SchemaRef::ptr_eq(&value.schema, &self.schema)
            && value.schema != self.schema
            && !same_but_optional(&value.schema, &self.schema)
        {
            return Err(Error::data("Mismatching struct schema"));
        }
        for field in &self.fields {
            let value = value.values.get(field.place).unwrap_or(&Value::Null);
            match field.member {
                None => field.write(value, out, inside)?,
                Some(member) => {
                    if let Value::Struct(choice) = value
                        && let Some(value) = choice.values.get(member)
                    {
                        field.write(value, out, inside)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl FieldPlan {
    fn write(&self, value: &Value, out: &mut Vec<u8>, inside: Inside<'_>) -> Result<()> {
        let value = match (value, &self.default) {
            (Value::Null, Some(default)) => default,
            (Value::Null, None) => return Ok(()),
            (value, _) => value,
        };
        if !self.repeated {
            let start = out.len();
            out.extend_from_slice(&self.tag);
            let zero = self.kind.write(value, out, inside, &self.name)?;
            if zero && !self.explicit {
                out.truncate(start);
            }
            return Ok(());
        }
        match (&self.kind, value) {
            (Kind::Map(entry), Value::Map(map)) => {
                for (key, value) in map.iter() {
                    out.extend_from_slice(&self.tag);
                    write_delimited(out, |out| {
                        entry.0.write(key, out, inside)?;
                        entry.1.write(value, out, inside)
                    })?;
                }
            }
            (Kind::Scalar(_) | Kind::Enum(_), Value::Array(items)) if self.packs() => {
                if items.is_empty() {
                    return Ok(());
                }
                out.extend_from_slice(&self.tag);
                write_delimited(out, |out| {
                    items
                        .iter()
                        .try_for_each(|item| self.item(item, out, inside))
                })?;
            }
            (_, Value::Array(items)) => {
                for item in items {
                    out.extend_from_slice(&self.tag);
                    self.item(item, out, inside)?;
                }
            }
            (Kind::Map(_), other) => return Err(wrong_type("MAP", other, &self.name)),
            (_, other) => return Err(wrong_type("ARRAY", other, &self.name)),
        }
        Ok(())
    }

    fn packs(&self) -> bool {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.packs(),
            kind => matches!(kind, Kind::Enum(_)),
        }
    }

    fn item(&self, item: &Value, out: &mut Vec<u8>, inside: Inside<'_>) -> Result<()> {
        if item.is_null() {
            return Err(Error::data(format!(
                "an element of {} is null, which Protobuf cannot say",
                self.name
            ))
            .with_class("java.lang.NullPointerException"));
        }
        self.kind.write(item, out, inside, &self.name).map(drop)
    }
}

fn wrong_type(expected: &str, value: &Value, name: &str) -> Error {
    let class = value.java_class().unwrap_or("null");
    let at = if name.is_empty() {
        String::new()
    } else {
        format!(" of field {name}")
    };
    Error::data(format!("Invalid type for {expected}{at}: class {class}"))
}

impl Kind {
    /// Appends a value without its tag; answers whether it is the type's zero.
    fn write(
        &self,
        value: &Value,
        out: &mut Vec<u8>,
        inside: Inside<'_>,
        name: &str,
    ) -> Result<bool> {
        match self {
            Self::Scalar(scalar) => write_scalar(*scalar, value, out, name),
            Self::Wrapper(scalar) => {
                write_delimited(out, |out| {
                    let start = out.len();
                    write_varint(u64::from(1 << 3 | scalar.wire()), out);
                    if write_scalar(*scalar, value, out, name)? {
                        out.truncate(start);
                    }
                    Ok::<(), Error>(())
                })?;
                Ok(false)
            }
            Self::Enum(symbols) => {
                let number = match value {
                    Value::String(symbol) => *symbols.get(&**symbol).ok_or_else(|| {
                        Error::data(format!("{symbol} is no symbol of the enum of field {name}"))
                    })?,
                    Value::Int32(number) => *number,
                    other => return Err(wrong_type("an enum", other, name)),
                };
                write_varint(i64::from(number).cast_unsigned(), out);
                Ok(number == 0)
            }
            Self::Decimal => {
                let Value::Decimal(decimal) = value else {
                    return Err(wrong_type("Decimal", value, name));
                };
                let text = decimal
                    .unscaled_i64()
                    .map_or_else(|| decimal.unscaled().to_string(), |small| small.to_string());
                let precision = text.trim_start_matches('-').len();
                message(out, |out| {
                    decimal.with_signed_bytes_be(|bytes| {
                        out.push(0x0a);
                        write_varint(bytes.len() as u64, out);
                        out.extend_from_slice(bytes);
                    });
                    number(2, i64::try_from(precision).unwrap_or(i64::MAX), out);
                    number(3, decimal.scale().into(), out);
                });
                Ok(false)
            }
            Self::Date => {
                let days = match value {
                    Value::Date(days) => i64::from(*days),
                    Value::Timestamp(ms) => ms.div_euclid(MS_PER_DAY),
                    other => return Err(wrong_type(DATE, other, name)),
                };
                let (year, month, day) = civil_from_days(days);
                message(out, |out| {
                    number(1, year, out);
                    number(2, month, out);
                    number(3, day, out);
                });
                Ok(false)
            }
            Self::TimeOfDay => {
                let ms = match value {
                    Value::Time(ms) => i64::from(*ms),
                    Value::Timestamp(ms) => *ms,
                    other => return Err(wrong_type(TIME, other, name)),
                };
                let ms = ms.rem_euclid(MS_PER_DAY);
                message(out, |out| {
                    number(1, ms / 3_600_000, out);
                    number(2, ms / 60_000 % 60, out);
                    number(3, ms / 1000 % 60, out);
                    number(4, ms % 1000 * NANOS_PER_MS, out);
                });
                Ok(false)
            }
            Self::Timestamp => {
                let ms = match value {
                    Value::Timestamp(ms) => *ms,
                    Value::Date(days) => i64::from(*days) * MS_PER_DAY,
                    other => return Err(wrong_type(TIMESTAMP, other, name)),
                };
                message(out, |out| {
                    number(1, ms.div_euclid(1000), out);
                    number(2, ms.rem_euclid(1000) * NANOS_PER_MS, out);
                });
                Ok(false)
            }
            Self::Message(plan) => {
                write_delimited(out, |out| inside.deeper().message(*plan, value, out))?;
                Ok(false)
            }
            Self::Map(_) => Err(wrong_type("MAP", value, name)),
        }
    }
}

/// A message whose length takes one byte.
fn message(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let written = write_delimited(out, |out| {
        write(out);
        Ok::<(), std::convert::Infallible>(())
    });
    match written {
        Ok(()) => {}
    }
}

/// A number that is left out where it is zero.
fn number(field: u8, value: i64, out: &mut Vec<u8>) {
    if value != 0 {
        out.push(field << 3);
        write_varint(value.cast_unsigned(), out);
    }
}

/// Appends a scalar; answers whether it is zero.
fn write_scalar(scalar: Scalar, value: &Value, out: &mut Vec<u8>, name: &str) -> Result<bool> {
    let wrong = || wrong_type(scalar.name(), value, name);
    let integer = || value.as_i64().ok_or_else(wrong);
    Ok(match scalar {
        Scalar::Int32 | Scalar::Int64 | Scalar::Uint64 => {
            let number = integer()?;
            write_varint(number.cast_unsigned(), out);
            number == 0
        }
        Scalar::Uint32 => {
            let number = integer()? as u32;
            write_varint(number.into(), out);
            number == 0
        }
        Scalar::Sint32 | Scalar::Sint64 => {
            let number = integer()?;
            write_varint(zigzag(number), out);
            number == 0
        }
        Scalar::Fixed32 | Scalar::Sfixed32 => {
            let number = integer()? as u32;
            out.extend_from_slice(&number.to_le_bytes());
            number == 0
        }
        Scalar::Fixed64 | Scalar::Sfixed64 => {
            let number = integer()?;
            out.extend_from_slice(&number.to_le_bytes());
            number == 0
        }
        Scalar::Float => {
            let Value::Float32(number) = value else {
                return Err(wrong());
            };
            out.extend_from_slice(&number.to_le_bytes());
            number.to_bits() == 0
        }
        Scalar::Double => {
            let Value::Float64(number) = value else {
                return Err(wrong());
            };
            out.extend_from_slice(&number.to_le_bytes());
            number.to_bits() == 0
        }
        Scalar::Bool => {
            let Value::Boolean(yes) = value else {
                return Err(wrong());
            };
            out.push(u8::from(*yes));
            !yes
        }
        Scalar::String => {
            let Value::String(text) = value else {
                return Err(wrong());
            };
            write_varint(text.len() as u64, out);
            out.extend_from_slice(text.as_bytes());
            text.is_empty()
        }
        Scalar::Bytes => {
            let Value::Bytes(bytes) = value else {
                return Err(wrong());
            };
            write_varint(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
            bytes.is_empty()
        }
    })
}
