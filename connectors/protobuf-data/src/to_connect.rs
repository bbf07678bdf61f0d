//! A message type as a Connect schema, and the plan by which its bytes become values.

use std::collections::HashMap;

use connect_api::data::logical::{self, SCALE};
use connect_api::data::{
    ConnectMap, Knot, Schema, SchemaBuilder, SchemaRef, SchemaType, Struct, Value,
};
use connect_api::{Error, Result};

use crate::pool::{EnumType, FieldKind, FieldType, MessageType, Pool};
use crate::scalar::{Scalar, WRAPPERS};
use crate::{
    ENUM, GENERAL_ENUM, GENERAL_UNION, MAX_DEPTH, PRECISION, ProtobufOptions, TAG, TYPE,
    UNION_PREFIX,
};

/// How many fields a schema may come to when every message is written out where it is used.
const MAX_FIELDS: usize = 200_000;

/// Reads the messages of one type.
#[derive(Debug)]
pub struct Decoder {
    pub(crate) schema: SchemaRef,
    /// The plan of the root; the only field of a wrapper is the value.
    pub(crate) root: usize,
    pub(crate) unwrap: bool,
    pub(crate) plans: Vec<MessagePlan>,
}

/// How the bytes of a message become a struct.
#[derive(Debug)]
pub(crate) struct MessagePlan {
    pub(crate) schema: SchemaRef,
    /// By number.
    pub(crate) fields: Vec<FieldPlan>,
    /// What a message without any field comes to.
    pub(crate) absent: Vec<Value>,
    /// The numbers of fields that must be there, and their names.
    pub(crate) required: Vec<(u32, String)>,
}

#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) slot: Slot,
    pub(crate) repeated: bool,
    pub(crate) group: bool,
    pub(crate) kind: Kind,
}

/// Where a field's value goes.
#[derive(Debug)]
pub(crate) enum Slot {
    /// A place in the struct.
    Direct(usize),
    /// A place in the struct; the other places are emptied.
    OneOf(usize, Vec<usize>),
    /// A place in the struct that stands for the `oneof`, which is at a place.
    Union(usize, SchemaRef, usize),
}

#[derive(Debug)]
pub(crate) enum Kind {
    Scalar(Scalar),
    Int8,
    Int16,
    /// Symbols by number; unknown numbers are named by the prefix, or passed over.
    Enum {
        symbols: HashMap<i32, Value>,
        unknown: Option<String>,
    },
    /// An enum that is its number.
    Number,
    Wrapper(Scalar),
    Timestamp,
    Date,
    TimeOfDay,
    Decimal,
    Message(usize),
    /// The plan of an entry: key first, then value.
    Map(usize),
}

impl Decoder {
    /// The decoder of the message that `indexes` lead to; `version` stands on its schema.
    ///
    /// # Errors
    /// There is no such message, or it has no Connect form.
    pub fn new(
        pool: &Pool,
        indexes: &[i32],
        version: Option<i32>,
        options: &ProtobufOptions,
    ) -> Result<Self> {
        let at = pool.by_indexes(indexes).ok_or_else(|| {
            Error::data(format!("the Protobuf schema has no message at {indexes:?}"))
        })?;
        let mut builder = Builder {
            pool,
            options,
            plans: Vec::new(),
            open: HashMap::new(),
            fields: 0,
        };
        let message = builder.message_type(at)?;
        let unwrap = options.wrapper_for_raw_primitives && wrapper(message).is_some();
        let root = builder.message(at, |schema| match version {
            Some(version) if !unwrap => schema.version(version),
            _ => schema,
        })?;
        let plans: Vec<MessagePlan> = builder.plans.into_iter().flatten().collect();
        let mut schema = match plans.get(root) {
            Some(plan) => SchemaRef::clone(&plan.schema),
            None => return Err(Error::data("a message has no plan")),
        };
        if unwrap && let Some(scalar) = wrapper(message) {
            let mut builder = scalar_schema(scalar);
            if let Some(version) = version {
                builder = builder.version(version);
            }
            schema = builder.build();
        }
        Ok(Self {
            schema,
            root,
            unwrap,
            plans,
        })
    }

    /// The Connect schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

/// The scalar that a wrapper message holds.
fn wrapper(message: &MessageType) -> Option<Scalar> {
    let name = message.full_name.strip_prefix("google.protobuf.")?;
    WRAPPERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, scalar)| *scalar)
}

fn scalar_schema(scalar: Scalar) -> SchemaBuilder {
    let builder = Schema::builder(scalar.connect());
    match scalar.is_usual() {
        true => builder,
        false => builder.parameter(TYPE, scalar.name()),
    }
}

pub(crate) fn zero(scalar: Scalar) -> Value {
    match scalar.connect() {
        SchemaType::Int8 => Value::Int8(0),
        SchemaType::Int16 => Value::Int16(0),
        SchemaType::Int32 => Value::Int32(0),
        SchemaType::Int64 => Value::Int64(0),
        SchemaType::Float32 => Value::Float32(0.0),
        SchemaType::Float64 => Value::Float64(0.0),
        SchemaType::Boolean => Value::Boolean(false),
        SchemaType::Bytes => Value::Bytes(connect_api::Bytes::new()),
        _ => Value::text(""),
    }
}

struct Builder<'a> {
    pool: &'a Pool,
    options: &'a ProtobufOptions,
    plans: Vec<Option<MessagePlan>>,
    /// The messages that are being made, with their plan and the end that refers to them.
    open: HashMap<usize, (usize, Knot)>,
    fields: usize,
}

/// A field's schema with its plan.
struct Built {
    schema: SchemaRef,
    kind: Kind,
    /// What the field comes to where it is missing though it has no presence.
    zero: Value,
}

impl<'a> Builder<'a> {
    fn message_type(&self, at: usize) -> Result<&'a MessageType> {
        let pool: &'a Pool = self.pool;
        pool.messages
            .get(at)
            .ok_or_else(|| Error::data("a message is missing"))
    }

    /// The plan of a message; `finish` adds to its schema what its use says.
    fn message(
        &mut self,
        at: usize,
        finish: impl FnOnce(SchemaBuilder) -> SchemaBuilder,
    ) -> Result<usize> {
        let message = self.message_type(at)?;
        if self.open.len() > MAX_DEPTH {
            return Err(Error::data(format!(
                "a Protobuf schema is nested more than {MAX_DEPTH} levels deep"
            )));
        }
        let place = self.plans.len();
        self.plans.push(None);
        let knot = Knot::new();
        let outer = self.open.insert(at, (place, knot.clone()));
        let mut schema = Schema::structure().name(self.name(&message.full_name));
        let mut fields = Vec::with_capacity(message.fields.len());
        let mut absent = Vec::new();
        // The structs that stand for `oneof`s come first.
        for (index, oneof) in message.oneofs.iter().enumerate() {
            let of_oneof = |field: &&FieldType| field.oneof == Some(index);
            let members: Vec<&FieldType> = message.fields.iter().filter(of_oneof).collect();
            if members.is_empty() {
                continue;
            }
            if self.options.flatten_unions {
                let first = absent.len();
                let places: Vec<usize> = (first..first + members.len()).collect();
                for field in members {
                    let built = self.field(field, true)?;
                    schema = schema.field(field.name.as_str(), built.schema);
                    let others = places
                        .iter()
                        .copied()
                        .filter(|place| *place != absent.len());
                    let slot = Slot::OneOf(absent.len(), others.collect());
                    fields.push(plan(field, slot, built.kind));
                    absent.push(Value::Null);
                }
                continue;
            }
            let mut union = match self.options.generalized_sum_types {
                true => Schema::structure()
                    .name(oneof.as_str())
                    .parameter(GENERAL_UNION, oneof.as_str()),
                false => Schema::structure().name(format!("{UNION_PREFIX}{oneof}")),
            };
            let mut kinds = Vec::with_capacity(members.len());
            for field in members {
                let built = self.field(field, true)?;
                union = union.field(field.name.as_str(), built.schema);
                kinds.push((field, built.kind));
            }
            let union = union.optional().build();
            for (member, (field, kind)) in kinds.into_iter().enumerate() {
                let slot = Slot::Union(absent.len(), SchemaRef::clone(&union), member);
                fields.push(plan(field, slot, kind));
            }
            let name = match self.options.generate_index_for_unions {
                true => format!("{oneof}_{index}"),
                false => oneof.clone(),
            };
            schema = schema.field(name, union);
            absent.push(Value::Null);
        }
        for field in message.fields.iter().filter(|field| field.oneof.is_none()) {
            let built = self.field(field, false)?;
            let missing = match (&built.kind, field.repeated) {
                (Kind::Map(_), _) => Value::Map(Box::new(ConnectMap::new())),
                (_, true) => Value::Array(Vec::new()),
                (Kind::Message(inner), false) if self.options.generate_struct_for_nulls => {
                    self.empty(*inner)
                }
                _ if field.presence => Value::Null,
                _ => built.zero,
            };
            schema = schema.field(field.name.as_str(), built.schema);
            fields.push(plan(field, Slot::Direct(absent.len()), built.kind));
            absent.push(missing);
        }
        fields.sort_by_key(|field| field.number);
        let schema = finish(schema).build();
        knot.tie(&schema);
        match outer {
            Some(outer) => drop(self.open.insert(at, outer)),
            None => drop(self.open.remove(&at)),
        }
        let required = message.fields.iter().filter(|field| field.required);
        let made = MessagePlan {
            schema,
            fields,
            absent,
            required: required
                .map(|field| (field.number, field.name.clone()))
                .collect(),
        };
        if let Some(slot) = self.plans.get_mut(place) {
            *slot = Some(made);
        }
        Ok(place)
    }

    /// A struct of a message without fields.
    fn empty(&self, plan: usize) -> Value {
        match self.plans.get(plan) {
            Some(Some(plan)) => Value::Struct(Struct::new(
                SchemaRef::clone(&plan.schema),
                plan.absent.clone(),
            )),
            _ => Value::Null,
        }
    }

    /// A type's name in Connect.
    fn name(&self, full_name: &str) -> String {
        if self.options.enhanced_schema_support {
            return full_name.to_owned();
        }
        full_name
            .rsplit_once('.')
            .map_or(full_name, |(_, short)| short)
            .to_owned()
    }

    /// Whether a field's schema is optional.
    fn is_optional(&self, field: &FieldType, wrapped: bool) -> bool {
        let options = self.options;
        if options.optional_for_nullables || options.wrapper_for_nullables {
            let said = options.optional_for_nullables
                && field.optional
                && (options.optional_for_proto2 || !field.proto2);
            return said || (options.wrapper_for_nullables && wrapped);
        }
        true
    }

    fn field(&mut self, field: &FieldType, member: bool) -> Result<Built> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Error::data(format!(
                "a Protobuf schema comes to more than {MAX_FIELDS} fields"
            )));
        }
        let message = match field.kind {
            FieldKind::Message(at) => Some((at, self.message_type(at)?)),
            _ => None,
        };
        if field.repeated
            && let Some((_, message)) = message
            && let Some((key, value)) = entry(message)
        {
            return self.map(field, message, key, value);
        }
        let wrapped = message.is_some();
        let tag = field.number.to_string();
        let optional = member || self.is_optional(field, wrapped);
        if field.repeated {
            let element_optional = self.is_optional(field, wrapped);
            let element = self.single(field, element_optional, None)?;
            let optional = self.is_optional(field, false);
            return Ok(Built {
                schema: Schema::array(element.schema)
                    .optional_if(optional)
                    .parameter(TAG, tag)
                    .build(),
                kind: element.kind,
                zero: Value::Null,
            });
        }
        self.single(field, optional, Some(tag))
    }

    fn map(
        &mut self,
        field: &FieldType,
        message: &MessageType,
        key: &FieldType,
        value: &FieldType,
    ) -> Result<Built> {
        let key_optional = self.is_optional(key, false);
        let value_optional = self.is_optional(value, matches!(value.kind, FieldKind::Message(_)));
        let built_key = self.single(key, key_optional, Some("1".to_owned()))?;
        let built_value = self.single(value, value_optional, Some("2".to_owned()))?;
        let short = message
            .full_name
            .rsplit_once('.')
            .map_or(message.full_name.as_str(), |(_, short)| short);
        let name = lower_underscore(short.strip_suffix("Entry").unwrap_or(short));
        let missing = match (&built_value.kind, message.map_entry) {
            // The value of a real map is never missing.
            (Kind::Message(plan), true) => self.empty(*plan),
            (Kind::Message(_), false) => Value::Null,
            _ if value.presence => Value::Null,
            _ => built_value.zero,
        };
        let optional = self.is_optional(field, false);
        let schema = Schema::map(built_key.schema, built_value.schema)
            .name(name)
            .optional_if(optional)
            .parameter(TAG, field.number.to_string())
            .build();
        let place = self.plans.len();
        let mut fields = vec![
            plan(key, Slot::Direct(0), built_key.kind),
            plan(value, Slot::Direct(1), built_value.kind),
        ];
        fields.sort_by_key(|field| field.number);
        self.plans.push(Some(MessagePlan {
            schema: Schema::structure().build(),
            fields,
            absent: vec![built_key.zero, missing],
            required: Vec::new(),
        }));
        Ok(Built {
            schema,
            kind: Kind::Map(place),
            zero: Value::Null,
        })
    }

    /// One value of a field.
    fn single(&mut self, field: &FieldType, optional: bool, tag: Option<String>) -> Result<Built> {
        let finish = |schema: SchemaBuilder| {
            let schema = schema.optional_if(optional);
            match tag {
                Some(tag) => schema.parameter(TAG, tag),
                None => schema,
            }
        };
        let pool = self.pool;
        Ok(match field.kind {
            FieldKind::Scalar(scalar) => {
                let connect_type = parameter(field, "connect.type");
                let (schema, kind, zero) = match (scalar.connect(), connect_type) {
                    (SchemaType::Int32, Some("int8")) => {
                        (Schema::int8(), Kind::Int8, Value::Int8(0))
                    }
                    (SchemaType::Int32, Some("int16")) => {
                        (Schema::int16(), Kind::Int16, Value::Int16(0))
                    }
                    _ => (scalar_schema(scalar), Kind::Scalar(scalar), zero(scalar)),
                };
                Built {
                    schema: finish(schema).build(),
                    kind,
                    zero,
                }
            }
            FieldKind::Enum(at) => {
                let list = pool
                    .enums
                    .get(at)
                    .ok_or_else(|| Error::data("an enum is missing"))?;
                let (schema, kind, zero) = self.enumeration(list);
                Built {
                    schema: finish(schema).build(),
                    kind,
                    zero,
                }
            }
            FieldKind::Message(at) => {
                let message = self.message_type(at)?;
                let known = |schema: SchemaBuilder, kind| Built {
                    schema: schema.build(),
                    kind,
                    zero: Value::Null,
                };
                if let Some(scalar) = wrapper(message) {
                    return Ok(known(finish(scalar_schema(scalar)), Kind::Wrapper(scalar)));
                }
                match message.full_name.as_str() {
                    "google.protobuf.Timestamp" => {
                        return Ok(known(finish(logical::timestamp()), Kind::Timestamp));
                    }
                    "google.type.Date" => return Ok(known(finish(logical::date()), Kind::Date)),
                    "google.type.TimeOfDay" => {
                        return Ok(known(finish(logical::time()), Kind::TimeOfDay));
                    }
                    "confluent.type.Decimal" => {
                        let scale = parameter(field, SCALE).and_then(|scale| scale.parse().ok());
                        let mut schema = logical::decimal(scale.unwrap_or(0));
                        if let Some(precision) = parameter(field, "precision") {
                            schema = schema.parameter(PRECISION, precision);
                        }
                        return Ok(known(finish(schema), Kind::Decimal));
                    }
                    _ => {}
                }
                if let Some((place, knot)) = self.open.get(&at) {
                    let name = self.name(&message.full_name);
                    let schema = Schema::recursive(knot.clone()).name(name);
                    return Ok(known(finish(schema), Kind::Message(*place)));
                }
                let place = self.message(at, finish)?;
                let schema = match self.plans.get(place) {
                    Some(Some(plan)) => SchemaRef::clone(&plan.schema),
                    _ => return Err(Error::data("a message has no plan")),
                };
                Built {
                    schema,
                    kind: Kind::Message(place),
                    zero: Value::Null,
                }
            }
        })
    }

    fn enumeration(&self, list: &EnumType) -> (SchemaBuilder, Kind, Value) {
        let name = self.name(&list.full_name);
        let short = list
            .full_name
            .rsplit_once('.')
            .map_or(list.full_name.as_str(), |(_, short)| short);
        let parameter = match self.options.generalized_sum_types {
            true => GENERAL_ENUM,
            false => ENUM,
        };
        let mut schema = match self.options.int_for_enums {
            true => Schema::int32(),
            false => Schema::string(),
        };
        schema = schema.name(name.clone()).parameter(parameter, name);
        let mut symbols = HashMap::new();
        for (symbol, number) in &list.values {
            schema = schema.parameter(format!("{parameter}.{symbol}"), number.to_string());
            // Of several names of one number the first is meant.
            symbols
                .entry(*number)
                .or_insert_with(|| Value::from(symbol.as_str()));
        }
        if self.options.int_for_enums {
            return (schema, Kind::Number, Value::Int32(0));
        }
        let first = list
            .values
            .first()
            .map(|(symbol, _)| Value::from(symbol.as_str()));
        let kind = Kind::Enum {
            symbols,
            unknown: (!list.closed).then(|| format!("UNKNOWN_ENUM_VALUE_{short}_")),
        };
        (schema, kind, first.unwrap_or(Value::Null))
    }
}

fn plan(field: &FieldType, slot: Slot, kind: Kind) -> FieldPlan {
    FieldPlan {
        number: field.number,
        name: field.name.clone(),
        slot,
        repeated: field.repeated,
        group: field.group,
        kind,
    }
}

fn parameter<'a>(field: &'a FieldType, name: &str) -> Option<&'a str> {
    field
        .params
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// The key and value of a message that stands for an entry: made for a map, or called like one.
fn entry(message: &MessageType) -> Option<(&FieldType, &FieldType)> {
    let [a, b] = message.fields.as_slice() else {
        return None;
    };
    let single = |field: &FieldType| !field.repeated && field.oneof.is_none();
    let (key, value) = if a.name == "key" { (a, b) } else { (b, a) };
    let named = message.map_entry || message.full_name.ends_with("Entry");
    (named && key.name == "key" && value.name == "value" && single(key) && single(value))
        .then_some((key, value))
}

/// `MyCounts` as `my_counts`.
fn lower_underscore(name: &str) -> String {
    let mut lower = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !lower.is_empty() {
            lower.push('_');
        }
        lower.push(c.to_ascii_lowercase());
    }
    lower
}
