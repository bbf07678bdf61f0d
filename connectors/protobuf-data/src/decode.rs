//! Bytes straight into values, by the plan of their message type. Texts and bytes share the
//! message's memory.

use connect_api::data::{ByteString, Bytes, ConnectMap, Decimal, SchemaRef, Struct, Value};
use connect_api::java::days_from_civil;
use connect_api::{Error, Result};

use crate::MAX_DEPTH;
use crate::scalar::Scalar;
use crate::to_connect::{Decoder, FieldPlan, Kind, MessagePlan, Slot};
use crate::wire::{DELIMITED, END_GROUP, GROUP, Reader, Truncated, unzigzag};

const NANOS_PER_MS: i64 = 1_000_000;
/// The days that a Date can be.
const MAX_YEAR: i64 = 5_000_000;

/// Why bytes are no message.
enum Problem {
    Truncated,
    Other(String),
}

impl From<Truncated> for Problem {
    fn from(Truncated: Truncated) -> Self {
        Self::Truncated
    }
}

type Read<T> = Result<T, Problem>;

impl Decoder {
    /// The value of a message's bytes.
    ///
    /// # Errors
    /// The bytes are no such message.
    pub fn read(&self, bytes: &Bytes) -> Result<Value> {
        let decode = Decode {
            plans: &self.plans,
            bytes,
        };
        let value = decode.message(self.root, Reader::new(bytes), None, 0);
        let value = value.map_err(|problem| {
            Error::data(match problem {
                Problem::Truncated => {
                    "While parsing a protocol message, the input ended unexpectedly in the middle \
                     of a field, or is malformed."
                        .to_owned()
                }
                Problem::Other(message) => message,
            })
            .with_class("com.google.protobuf.InvalidProtocolBufferException")
        })?;
        Ok(match (self.unwrap, value) {
            (true, Value::Struct(mut wrapper)) => wrapper.values.pop().unwrap_or(Value::Null),
            (_, value) => value,
        })
    }
}

struct Decode<'a> {
    plans: &'a [MessagePlan],
    bytes: &'a Bytes,
}

impl Decode<'_> {
    fn plan(&self, plan: usize) -> Read<&MessagePlan> {
        // Every place was given by the builder of the plans.
        self.plans.get(plan).ok_or(Problem::Truncated)
    }

    /// A struct of the fields in `reader`, or of these on top of `known`, the same field's value
    /// that came before.
    fn message(
        &self,
        plan: usize,
        mut reader: Reader<'_>,
        known: Option<Value>,
        depth: usize,
    ) -> Read<Value> {
        let plan = self.plan(plan)?;
        let mut values = match known {
            Some(Value::Struct(known)) => known.values,
            _ => plan.absent.clone(),
        };
        self.fields(plan, &mut reader, &mut values, depth, None)?;
        Ok(Value::Struct(Struct::new(
            SchemaRef::clone(&plan.schema),
            values,
        )))
    }

    /// Reads fields into `values` to the end, or to the end of the group.
    fn fields(
        &self,
        plan: &MessagePlan,
        reader: &mut Reader<'_>,
        values: &mut [Value],
        depth: usize,
        group: Option<u32>,
    ) -> Read<()> {
        if depth > MAX_DEPTH {
            return Err(Problem::Other(format!(
                "Protocol message had too many levels of nesting, more than {MAX_DEPTH}."
            )));
        }
        let mut missing: Vec<u32> = plan.required.iter().map(|(number, _)| *number).collect();
        // Fields come by number: the next one is looked for first.
        let mut next = 0;
        let mut ended = group.is_none();
        while !reader.is_empty() {
            let (number, wire) = reader.tag()?;
            if number == 0 {
                return Err(Problem::Other(
                    "Protocol message contained an invalid tag (zero).".to_owned(),
                ));
            }
            if wire == END_GROUP {
                if group != Some(number) {
                    return Err(Problem::Other(
                        "Protocol message end-group tag did not match expected tag.".to_owned(),
                    ));
                }
                ended = true;
                break;
            }
            if !missing.is_empty() {
                missing.retain(|wanted| *wanted != number);
            }
            let fields = &plan.fields;
            let at = |index: usize| {
                fields
                    .get(index)
                    .is_some_and(|field| field.number == number)
            };
            let index = if at(next) {
                Some(next)
            } else if at(next + 1) {
                Some(next + 1)
            } else {
                fields
                    .binary_search_by_key(&number, |field| field.number)
                    .ok()
            };
            let field = index.and_then(|index| Some((index, fields.get(index)?)));
            match field {
                Some((index, field)) if field.accepts(wire) => {
                    next = index;
                    self.field(field, reader, wire, values, depth)?;
                }
                _ => reader.skip(number, wire)?,
            }
        }
        if !ended {
            return Err(Problem::Truncated);
        }
        if let Some(number) = missing.first() {
            let mut names = plan.required.iter().filter(|(known, _)| known == number);
            return Err(Problem::Other(format!(
                "Message missing required fields: {}",
                names.next().map_or("", |(_, name)| name)
            )));
        }
        Ok(())
    }

    fn field(
        &self,
        field: &FieldPlan,
        reader: &mut Reader<'_>,
        wire: u32,
        values: &mut [Value],
        depth: usize,
    ) -> Read<()> {
        if let Kind::Map(entry) = field.kind {
            let Slot::Direct(place) = field.slot else {
                return Err(Problem::Truncated);
            };
            let plan = self.plan(entry)?;
            let part = reader.delimited()?;
            let mut parts = plan.absent.clone();
            self.fields(plan, &mut reader.part(part), &mut parts, depth + 1, None)?;
            let value = parts.pop().unwrap_or(Value::Null);
            let key = parts.pop().unwrap_or(Value::Null);
            if let Some(slot) = values.get_mut(place) {
                match slot {
                    Value::Map(map) => drop(map.insert(key, value)),
                    other => {
                        *other = Value::Map(Box::new(ConnectMap::from_iter([(key, value)])));
                    }
                }
            }
            return Ok(());
        }
        if field.repeated {
            let Slot::Direct(place) = field.slot else {
                return Err(Problem::Truncated);
            };
            let Some(Value::Array(items)) = values.get_mut(place) else {
                return Err(Problem::Truncated);
            };
            if wire == DELIMITED && field.kind.packs() {
                let part = reader.delimited()?;
                let mut packed = reader.part(part);
                while !packed.is_empty() {
                    items.extend(self.value(field, &mut packed, None, depth)?);
                }
                return Ok(());
            }
            items.extend(self.value(field, reader, None, depth)?);
            return Ok(());
        }
        // A message that comes twice is merged.
        let before = match (&field.kind, &field.slot) {
            (Kind::Message(_), Slot::Direct(place) | Slot::OneOf(place, _)) => {
                values.get_mut(*place).map(std::mem::take)
            }
            _ => None,
        };
        let Some(value) = self.value(field, reader, before, depth)? else {
            return Ok(());
        };
        let mut set = |place: usize, value: Value| {
            if let Some(slot) = values.get_mut(place) {
                *slot = value;
            }
        };
        match &field.slot {
            Slot::Direct(place) => set(*place, value),
            Slot::OneOf(place, others) => {
                for other in others {
                    set(*other, Value::Null);
                }
                set(*place, value);
            }
            Slot::Union(place, schema, member) => {
                let mut members = vec![Value::Null; schema.fields().len()];
                if let Some(slot) = members.get_mut(*member) {
                    *slot = value;
                }
                let union = Struct::new(SchemaRef::clone(schema), members);
                set(*place, Value::Struct(union));
            }
        }
        Ok(())
    }

    /// One value; nothing for a number that a closed enum does not know.
    fn value(
        &self,
        field: &FieldPlan,
        reader: &mut Reader<'_>,
        before: Option<Value>,
        depth: usize,
    ) -> Read<Option<Value>> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "Protobuf keeps the low bits"
        )]
        Ok(Some(match &field.kind {
            Kind::Scalar(scalar) => self.scalar(*scalar, reader, &field.name)?,
            Kind::Int8 => Value::Int8(self.int32(field, reader)? as i8),
            Kind::Int16 => Value::Int16(self.int32(field, reader)? as i16),
            Kind::Number => Value::Int32(reader.varint()? as i32),
            Kind::Enum { symbols, unknown } => {
                let number = reader.varint()? as i32;
                match (symbols.get(&number), unknown) {
                    (Some(symbol), _) => symbol.clone(),
                    (None, Some(prefix)) => Value::from(format!("{prefix}{number}")),
                    (None, None) => return Ok(None),
                }
            }
            Kind::Wrapper(scalar) => {
                let part = reader.delimited()?;
                let mut inner = reader.part(part);
                let mut value = crate::to_connect::zero(*scalar);
                while !inner.is_empty() {
                    let (number, wire) = inner.tag()?;
                    if number == 1 && wire == scalar.wire() {
                        value = self.scalar(*scalar, &mut inner, &field.name)?;
                    } else {
                        inner.skip(number, wire)?;
                    }
                }
                value
            }
            Kind::Timestamp => {
                let [seconds, nanos, ..] = self.numbers(reader)?;
                let ms = seconds
                    .checked_mul(1000)
                    .and_then(|ms| ms.checked_add(nanos.div_euclid(NANOS_PER_MS)));
                Value::Timestamp(ms.ok_or_else(|| beyond(field))?)
            }
            Kind::Date => {
                let [year, month, day, _] = self.numbers(reader)?;
                let sane = year.abs() <= MAX_YEAR && month.abs() <= 1200 && day.abs() <= 36_600;
                let days = sane.then(|| days_from_civil(year, month.max(1), day.max(1)));
                let days = days.and_then(|days| i32::try_from(days).ok());
                Value::Date(days.ok_or_else(|| beyond(field))?)
            }
            Kind::TimeOfDay => {
                let [hours, minutes, seconds, nanos] = self.numbers(reader)?;
                let part = |value: i64, ms: i64| value.checked_mul(ms);
                let ms = part(hours, 3_600_000)
                    .and_then(|ms| ms.checked_add(part(minutes, 60_000)?))
                    .and_then(|ms| ms.checked_add(part(seconds, 1000)?))
                    .and_then(|ms| ms.checked_add(nanos.div_euclid(NANOS_PER_MS)))
                    .and_then(|ms| i32::try_from(ms).ok());
                Value::Time(ms.ok_or_else(|| beyond(field))?)
            }
            Kind::Decimal => self.decimal(reader)?,
            Kind::Message(plan) if field.group => {
                let plan = self.plan(*plan)?;
                let mut values = match before {
                    Some(Value::Struct(known)) => known.values,
                    _ => plan.absent.clone(),
                };
                self.fields(plan, reader, &mut values, depth + 1, Some(field.number))?;
                Value::Struct(Struct::new(SchemaRef::clone(&plan.schema), values))
            }
            Kind::Message(plan) => {
                let part = reader.delimited()?;
                self.message(*plan, reader.part(part), before, depth + 1)?
            }
            Kind::Map(_) => return Err(Problem::Truncated),
        }))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "Protobuf keeps the low bits"
    )]
    fn int32(&self, field: &FieldPlan, reader: &mut Reader<'_>) -> Read<i32> {
        let value = self.scalar(Scalar::Int32, reader, &field.name)?;
        Ok(value.as_i64().unwrap_or_default() as i32)
    }

    /// The numbers of a small message's fields 1 to 4.
    fn numbers(&self, reader: &mut Reader<'_>) -> Read<[i64; 4]> {
        let mut numbers = [0; 4];
        let part = reader.delimited()?;
        let mut inner = reader.part(part);
        while !inner.is_empty() {
            let (number, wire) = inner.tag()?;
            let slot = numbers.get_mut((number as usize).wrapping_sub(1));
            match (slot, wire) {
                (Some(slot), crate::wire::VARINT) => *slot = inner.varint()?.cast_signed(),
                _ => inner.skip(number, wire)?,
            }
        }
        Ok(numbers)
    }

    fn decimal(&self, reader: &mut Reader<'_>) -> Read<Value> {
        let part = reader.delimited()?;
        let mut inner = reader.part(part);
        let (mut unscaled, mut scale) = (None, 0);
        while !inner.is_empty() {
            let (number, wire) = inner.tag()?;
            match (number, wire) {
                (1, DELIMITED) => unscaled = Some(inner.delimited()?),
                (3, crate::wire::VARINT) => {
                    #[expect(clippy::cast_possible_truncation, reason = "an int32")]
                    let number = inner.varint()? as i32;
                    scale = number;
                }
                _ => inner.skip(number, wire)?,
            }
        }
        let bytes = unscaled.and_then(|(start, end)| self.bytes.get(start..end));
        match bytes.filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => Ok(Value::Decimal(Decimal::from_signed_bytes_be(bytes, scale))),
            None => Err(Problem::Other("Zero length BigInteger".to_owned())),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "Protobuf keeps the low bits"
    )]
    fn scalar(&self, scalar: Scalar, reader: &mut Reader<'_>, name: &str) -> Read<Value> {
        Ok(match scalar {
            Scalar::Int32 => Value::Int32(reader.varint()? as i32),
            Scalar::Int64 | Scalar::Uint64 => Value::Int64(reader.varint()?.cast_signed()),
            Scalar::Uint32 => Value::Int64(i64::from(reader.varint()? as u32)),
            Scalar::Sint32 => Value::Int32(unzigzag(u64::from(reader.varint()? as u32)) as i32),
            Scalar::Sint64 => Value::Int64(unzigzag(reader.varint()?)),
            Scalar::Fixed32 => Value::Int64(u32::from_le_bytes(reader.fixed()?).into()),
            Scalar::Sfixed32 => Value::Int32(i32::from_le_bytes(reader.fixed()?)),
            Scalar::Fixed64 | Scalar::Sfixed64 => Value::Int64(i64::from_le_bytes(reader.fixed()?)),
            Scalar::Float => Value::Float32(f32::from_le_bytes(reader.fixed()?)),
            Scalar::Double => Value::Float64(f64::from_le_bytes(reader.fixed()?)),
            Scalar::Bool => Value::Boolean(reader.varint()? != 0),
            Scalar::String => {
                let (start, end) = reader.delimited()?;
                let text = ByteString::try_from(self.bytes.slice(start..end));
                Value::String(text.map_err(|_| {
                    Problem::Other(format!(
                        "Protocol message had invalid UTF-8. (field {name})"
                    ))
                })?)
            }
            Scalar::Bytes => {
                let (start, end) = reader.delimited()?;
                Value::Bytes(self.bytes.slice(start..end))
            }
        })
    }
}

fn beyond(field: &FieldPlan) -> Problem {
    Problem::Other(format!(
        "the date or time of field {} is beyond Connect's",
        field.name
    ))
}

impl FieldPlan {
    /// Whether values of it can have this wire type; others are unknown fields.
    fn accepts(&self, wire: u32) -> bool {
        let own = match &self.kind {
            Kind::Scalar(scalar) => scalar.wire(),
            Kind::Int8 | Kind::Int16 | Kind::Enum { .. } | Kind::Number => crate::wire::VARINT,
            _ if self.group => GROUP,
            _ => DELIMITED,
        };
        wire == own || (self.repeated && wire == DELIMITED && self.kind.packs())
    }
}

impl Kind {
    fn packs(&self) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.packs(),
            Self::Int8 | Self::Int16 | Self::Enum { .. } | Self::Number => true,
            _ => false,
        }
    }
}
