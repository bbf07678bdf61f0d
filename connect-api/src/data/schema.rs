//! Schemas: shared, immutable descriptions of values.
//!
//! A schema is a pointer ([`SchemaRef`]): every cache in the hot path is keyed by its address and
//! holds the `Arc`, so that an address is never reused while the cache knows it.
//! Answers for `Schema`, `ConnectSchema`, `SchemaBuilder` and `Field`.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use super::logical::Logical;
use super::{ByteString, Value};

/// A schema that is shared.
pub type SchemaRef = Arc<Schema>;

/// The physical type of a value (`Schema.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaType {
    /// 8-bit signed integer.
    Int8,
    /// 16-bit signed integer.
    Int16,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// 32-bit IEEE 754 number.
    Float32,
    /// 64-bit IEEE 754 number.
    Float64,
    /// `true` or `false`.
    Boolean,
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
    /// A list of values of one schema.
    Array,
    /// Keys of one schema, values of one schema.
    Map,
    /// Named fields.
    Struct,
}

impl SchemaType {
    /// Java's name of the enum constant: `INT8` … `STRUCT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Float32 => "FLOAT32",
            Self::Float64 => "FLOAT64",
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Array => "ARRAY",
            Self::Map => "MAP",
            Self::Struct => "STRUCT",
        }
    }
    /// Whether it is neither array, map nor struct.
    pub fn is_primitive(self) -> bool {
        !matches!(self, Self::Array | Self::Map | Self::Struct)
    }
}

/// One field of a struct schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The field's name.
    pub name: ByteString,
    /// Its place among the struct's fields, from 0.
    pub index: usize,
    /// The schema of its values.
    pub schema: SchemaRef,
}

/// A schema. Made by [`SchemaBuilder`], never changed afterwards.
#[derive(Clone, Debug)]
pub struct Schema {
    kind: SchemaType,
    optional: bool,
    default: Option<Value>,
    name: Option<ByteString>,
    version: Option<i32>,
    doc: Option<ByteString>,
    parameters: Vec<(ByteString, ByteString)>,
    fields: Vec<Field>,
    key_schema: Option<SchemaRef>,
    value_schema: Option<SchemaRef>,
    logical: Option<Logical>,
    knot: Option<Knot>,
}

/// The loose end of a schema that contains itself: made first, built into the schema by
/// [`Schema::recursive`], and tied to it at last. Whoever holds the whole schema holds what the end
/// refers to; the end itself keeps nothing alive.
#[derive(Clone, Default)]
pub struct Knot(Arc<OnceLock<Weak<Schema>>>);

impl Knot {
    /// An end that refers to nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// Makes it refer to this struct schema; the first call counts.
    pub fn tie(&self, schema: &SchemaRef) {
        self.0.get_or_init(|| Arc::downgrade(schema));
    }
}

impl fmt::Debug for Knot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Knot")
    }
}

impl Schema {
    /// The physical type.
    pub fn kind(&self) -> SchemaType {
        self.kind
    }
    /// Whether `null` is a value of it.
    pub fn is_optional(&self) -> bool {
        self.optional
    }
    /// The value that stands in for a missing one.
    pub fn default_value(&self) -> Option<&Value> {
        self.default.as_ref()
    }
    /// The schema's name; names the logical type where there is one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    /// The schema's version.
    pub fn version(&self) -> Option<i32> {
        self.version
    }
    /// The documentation.
    pub fn doc(&self) -> Option<&str> {
        self.doc.as_deref()
    }
    /// The parameters, in the order in which they were set.
    pub fn parameters(&self) -> &[(ByteString, ByteString)] {
        &self.parameters
    }
    /// One parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| *key == *name)
            .map(|(_, value)| &**value)
    }
    /// The fields of a struct; empty for every other type.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == *name)
    }
    /// The schema of a map's keys.
    pub fn key_schema(&self) -> Option<&SchemaRef> {
        self.key_schema.as_ref()
    }
    /// The schema of a map's values or of an array's elements.
    pub fn value_schema(&self) -> Option<&SchemaRef> {
        self.value_schema.as_ref()
    }
    /// Whether it is a struct that refers to one around it instead of having fields of its own.
    pub fn is_recursive(&self) -> bool {
        self.knot.is_some()
    }
    /// What a recursive schema refers to: the struct that has the fields. Its values carry that
    /// struct's schema. `None` where this is none, or nobody holds that struct any more.
    pub fn recursion(&self) -> Option<SchemaRef> {
        self.knot.as_ref()?.0.get()?.upgrade()
    }
    /// Which of Connect's logical types it is.
    pub fn logical(&self) -> Option<Logical> {
        self.logical
    }

    /// A builder for this type.
    pub fn builder(kind: SchemaType) -> SchemaBuilder {
        SchemaBuilder {
            schema: Self {
                kind,
                optional: false,
                default: None,
                name: None,
                version: None,
                doc: None,
                parameters: Vec::new(),
                fields: Vec::new(),
                key_schema: None,
                value_schema: None,
                logical: None,
                knot: None,
            },
        }
    }
    /// INT8.
    pub fn int8() -> SchemaBuilder {
        Self::builder(SchemaType::Int8)
    }
    /// INT16.
    pub fn int16() -> SchemaBuilder {
        Self::builder(SchemaType::Int16)
    }
    /// INT32.
    pub fn int32() -> SchemaBuilder {
        Self::builder(SchemaType::Int32)
    }
    /// INT64.
    pub fn int64() -> SchemaBuilder {
        Self::builder(SchemaType::Int64)
    }
    /// FLOAT32.
    pub fn float32() -> SchemaBuilder {
        Self::builder(SchemaType::Float32)
    }
    /// FLOAT64.
    pub fn float64() -> SchemaBuilder {
        Self::builder(SchemaType::Float64)
    }
    /// BOOLEAN.
    pub fn boolean() -> SchemaBuilder {
        Self::builder(SchemaType::Boolean)
    }
    /// STRING.
    pub fn string() -> SchemaBuilder {
        Self::builder(SchemaType::String)
    }
    /// BYTES.
    pub fn bytes() -> SchemaBuilder {
        Self::builder(SchemaType::Bytes)
    }
    /// STRUCT, without fields yet.
    pub fn structure() -> SchemaBuilder {
        Self::builder(SchemaType::Struct)
    }
    /// STRUCT that refers to one around it: has no fields, what it is tied to has them.
    pub fn recursive(knot: Knot) -> SchemaBuilder {
        let mut builder = Self::structure();
        builder.schema.knot = Some(knot);
        builder
    }
    /// ARRAY of `element`.
    pub fn array(element: SchemaRef) -> SchemaBuilder {
        let mut builder = Self::builder(SchemaType::Array);
        builder.schema.value_schema = Some(element);
        builder
    }
    /// MAP from `key` to `value`.
    pub fn map(key: SchemaRef, value: SchemaRef) -> SchemaBuilder {
        let mut builder = Self::builder(SchemaType::Map);
        builder.schema.key_schema = Some(key);
        builder.schema.value_schema = Some(value);
        builder
    }
    /// A builder that starts as a copy of this schema, to change some of it.
    pub fn to_builder(&self) -> SchemaBuilder {
        SchemaBuilder {
            schema: self.clone(),
        }
    }
}

impl PartialEq for Schema {
    /// `ConnectSchema.equals`: everything but the derived logical type; shared parts are compared
    /// by address first. Recursive ends are equal by what they say of themselves, without a look at
    /// what they refer to.
    fn eq(&self, other: &Self) -> bool {
        fn same(a: Option<&SchemaRef>, b: Option<&SchemaRef>) -> bool {
            match (a, b) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
                (None, None) => true,
                _ => false,
            }
        }
        std::ptr::eq(self, other)
            || (self.kind == other.kind
                && self.optional == other.optional
                && self.is_recursive() == other.is_recursive()
                && self.version == other.version
                && self.name == other.name
                && self.doc == other.doc
                && self.default == other.default
                && self.fields.len() == other.fields.len()
                && self.fields.iter().zip(&other.fields).all(|(a, b)| {
                    a.name == b.name && (Arc::ptr_eq(&a.schema, &b.schema) || a.schema == b.schema)
                })
                && same(self.key_schema.as_ref(), other.key_schema.as_ref())
                && same(self.value_schema.as_ref(), other.value_schema.as_ref())
                && self.parameters.len() == other.parameters.len()
                && self
                    .parameters
                    .iter()
                    .all(|(key, value)| other.parameter(key) == Some(&**value)))
    }
}

/// Builds a [`Schema`].
#[derive(Clone, Debug)]
pub struct SchemaBuilder {
    schema: Schema,
}

impl SchemaBuilder {
    /// `null` becomes a value of it.
    #[must_use]
    pub fn optional(self) -> Self {
        self.optional_if(true)
    }
    /// Whether `null` is a value of it.
    #[must_use]
    pub fn optional_if(mut self, optional: bool) -> Self {
        self.schema.optional = optional;
        self
    }
    /// The value that stands in for a missing one. Like `SchemaBuilder.defaultValue` without the
    /// check: callers give a value of the schema.
    #[must_use]
    pub fn default_value(mut self, value: Value) -> Self {
        self.schema.default = Some(value);
        self
    }
    /// Takes the default away.
    #[must_use]
    pub fn no_default(mut self) -> Self {
        self.schema.default = None;
        self
    }
    /// The name; sets the logical type where it is one of Connect's.
    #[must_use]
    pub fn name(mut self, name: impl Into<ByteString>) -> Self {
        self.schema.name = Some(name.into());
        self
    }
    /// The version.
    #[must_use]
    pub fn version(mut self, version: i32) -> Self {
        self.schema.version = Some(version);
        self
    }
    /// The documentation.
    #[must_use]
    pub fn doc(mut self, doc: impl Into<ByteString>) -> Self {
        self.schema.doc = Some(doc.into());
        self
    }
    /// Adds a parameter, or replaces it.
    #[must_use]
    pub fn parameter(mut self, key: impl Into<ByteString>, value: impl Into<ByteString>) -> Self {
        let (key, value) = (key.into(), value.into());
        match self
            .schema
            .parameters
            .iter_mut()
            .find(|(known, _)| *known == key)
        {
            Some(entry) => entry.1 = value,
            None => self.schema.parameters.push((key, value)),
        }
        self
    }
    /// Appends a field to a struct.
    #[must_use]
    pub fn field(mut self, name: impl Into<ByteString>, schema: SchemaRef) -> Self {
        let index = self.schema.fields.len();
        self.schema.fields.push(Field {
            name: name.into(),
            index,
            schema,
        });
        self
    }
    /// Takes every field away, to set others.
    #[must_use]
    pub fn no_fields(mut self) -> Self {
        self.schema.fields.clear();
        self
    }
    /// The schema, shared.
    pub fn build(mut self) -> SchemaRef {
        self.schema.logical = self.schema.name.as_deref().and_then(Logical::of);
        Arc::new(self.schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recursive_schema_refers_to_the_struct_around_it() {
        let knot = Knot::new();
        let end = Schema::recursive(knot.clone()).name("n.Node").optional();
        let node = Schema::structure()
            .name("n.Node")
            .field("v", Schema::int32().build())
            .field("next", end.build())
            .build();
        knot.tie(&node);
        let next = &node.fields()[1].schema;
        assert!(next.is_recursive() && !node.is_recursive());
        assert!(Arc::ptr_eq(&next.recursion().expect("tied"), &node));
        assert_eq!(node, node.to_builder().build());
        assert!(format!("{node:?}").contains("Knot"));
    }
}
