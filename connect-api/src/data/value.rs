//! Values: what a schema describes.

use std::sync::Arc;

use super::{ByteString, Bytes, Decimal, SchemaRef};
use crate::java::HashMap as JavaHashMap;

/// A value. Which variants a schema allows follows from its type, and for Connect's logical types
/// from its name: the logical variants below, as `java.math.BigDecimal` and `java.util.Date` there.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// INT8.
    Int8(i8),
    /// INT16.
    Int16(i16),
    /// INT32.
    Int32(i32),
    /// INT64.
    Int64(i64),
    /// FLOAT32.
    Float32(f32),
    /// FLOAT64.
    Float64(f64),
    /// STRING.
    String(ByteString),
    /// BYTES.
    Bytes(Bytes),
    /// ARRAY.
    Array(Vec<Value>),
    /// MAP.
    Map(Box<ConnectMap>),
    /// STRUCT.
    Struct(Struct),
    /// Logical Decimal.
    Decimal(Decimal),
    /// Logical Date: days since the epoch.
    Date(i32),
    /// Logical Time: milliseconds since midnight.
    Time(i32),
    /// Logical Timestamp: milliseconds since the epoch.
    Timestamp(i64),
}

/// The entries of a MAP. Iterates as a `java.util.HashMap` of the same keys would, because that
/// order shows in JSON.
pub type ConnectMap = JavaHashMap<Value, Value>;

impl Value {
    /// A STRING value of static text, without a copy.
    pub fn text(text: &'static str) -> Self {
        Self::String(ByteString::from_static(text))
    }
    /// Whether it is [`Value::Null`].
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
    /// The text of a STRING.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
    /// The number of an integer of any width.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Int8(n) => Some(n.into()),
            Self::Int16(n) => Some(n.into()),
            Self::Int32(n) => Some(n.into()),
            Self::Int64(n) => Some(n),
            _ => None,
        }
    }
    /// The struct of a STRUCT.
    pub fn as_struct(&self) -> Option<&Struct> {
        match self {
            Self::Struct(value) => Some(value),
            _ => None,
        }
    }
    /// The map of a MAP.
    pub fn as_map(&self) -> Option<&ConnectMap> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }
    /// The Java class that holds such a value, as error texts name it; `None` for null.
    pub fn java_class(&self) -> Option<&'static str> {
        Some(match self {
            Self::Null => return None,
            Self::Boolean(_) => "java.lang.Boolean",
            Self::Int8(_) => "java.lang.Byte",
            Self::Int16(_) => "java.lang.Short",
            Self::Int32(_) => "java.lang.Integer",
            Self::Int64(_) => "java.lang.Long",
            Self::Float32(_) => "java.lang.Float",
            Self::Float64(_) => "java.lang.Double",
            Self::String(_) => "java.lang.String",
            Self::Bytes(_) => "[B",
            Self::Array(_) => "java.util.ArrayList",
            Self::Map(_) => "java.util.HashMap",
            Self::Struct(_) => "org.apache.kafka.connect.data.Struct",
            Self::Decimal(_) => "java.math.BigDecimal",
            Self::Date(_) | Self::Time(_) | Self::Timestamp(_) => "java.util.Date",
        })
    }
}

macro_rules! value_from {
    ($($type:ty => $variant:ident),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self { Self::$variant(value.into()) }
        }
    )*};
}
value_from!(bool => Boolean, i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64, f32 => Float32,
    f64 => Float64, ByteString => String, &str => String, String => String, Bytes => Bytes,
    Vec<Value> => Array, Struct => Struct, Decimal => Decimal);

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A STRUCT value: one value for each field of its schema, in the schema's order.
#[derive(Clone, Debug)]
pub struct Struct {
    /// The schema; of type STRUCT.
    pub schema: SchemaRef,
    /// The values; as many as the schema has fields.
    pub values: Vec<Value>,
}

impl PartialEq for Struct {
    fn eq(&self, other: &Self) -> bool {
        (Arc::ptr_eq(&self.schema, &other.schema) || self.schema == other.schema)
            && self.values == other.values
    }
}

impl Struct {
    /// A struct of these values. `values` must be as many as the schema's fields.
    pub fn new(schema: SchemaRef, values: Vec<Value>) -> Self {
        debug_assert_eq!(
            schema.fields().len(),
            values.len(),
            "one value for each field"
        );
        Self { schema, values }
    }
    /// The value of a field; `None` where the schema has no such field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.schema
            .field(field)
            .map(|field| &self.values[field.index])
    }
    /// The value of a field with the schema's default in place of null, as `Struct.get` answers.
    pub fn get_or_default(&self, field: &str) -> Option<&Value> {
        let field = self.schema.field(field)?;
        let value = &self.values[field.index];
        Some(match value {
            Value::Null => field.schema.default_value().unwrap_or(value),
            _ => value,
        })
    }
}

/// A value with its schema; without one, the value is *schemaless* (maps, lists, plain values).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchemaAndValue {
    /// The schema, if there is one.
    pub schema: Option<SchemaRef>,
    /// The value.
    pub value: Value,
}

impl SchemaAndValue {
    /// No schema, no value.
    pub const NULL: Self = Self {
        schema: None,
        value: Value::Null,
    };

    /// A value with its schema.
    pub fn new(schema: impl Into<Option<SchemaRef>>, value: impl Into<Value>) -> Self {
        Self {
            schema: schema.into(),
            value: value.into(),
        }
    }
    /// Whether the value is null.
    pub fn is_null(&self) -> bool {
        self.value.is_null()
    }
}

/// One header of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The header's key.
    pub key: ByteString,
    /// Its value, with a schema or without.
    pub value: SchemaAndValue,
}
