//! From a Connect schema to a Parquet file's: its types, its metadata, its columns. Made once per
//! schema.
//!
//! Answers for `org.apache.parquet.avro.AvroSchemaConverter` and the schema half of
//! `AvroWriteSupport`.

use std::sync::Arc;

use avro_data::{Avro, AvroRef, Options as AvroOptions, Shape as AvroShape};
use connect_api::data::{Schema, SchemaRef, SchemaType, Value};
use connect_api::{Error, Result};
use parquet::basic::{
    Compression, ConvertedType, LogicalType, Repetition, TimeUnit, Type as PhysicalType,
};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type, TypePtr};

use super::column::{Columns, Kind, Shape};
use super::node::{Node, NodeKind, same_fields};
use crate::format::avro_schema;

/// As Confluent's sink sets it.
pub(super) const PAGE_BYTES: usize = 64 * 1024;
/// Where a dictionary is given up, as in Java.
const DICTIONARY_BYTES: usize = 1024 * 1024;

/// What files of one format have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileOptions {
    pub(super) compression: Compression,
    pub(super) avro: AvroOptions,
}

/// How rows of one schema become a file.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) schema: SchemaRef,
    pub(super) parquet_schema: TypePtr,
    pub(super) descriptor: SchemaDescPtr,
    pub(super) properties: WriterPropertiesPtr,
    /// The same for columns that no dictionary helps.
    pub(super) plain_properties: WriterPropertiesPtr,
    pub(super) shapes: Vec<Shape>,
    fields: Vec<Node>,
}

impl Plan {
    /// # Errors
    /// Kind Data: Parquet or Avro cannot hold the schema. Kind Fatal: it is no record.
    pub(super) fn new(schema: &SchemaRef, options: &FileOptions) -> Result<Self> {
        // Differs from Confluent's: an optional root struct, which Debezium's unwrapped records
        // have, is written as the record that it is rather than refused.
        let root = match schema.is_optional() {
            true => schema.to_builder().optional_if(false).no_default().build(),
            false => Arc::clone(schema),
        };
        let avro = avro_schema(&root, options.avro)?;
        let AvroShape::Record { name, fields, .. } = &avro.shape else {
            return Err(Error::fatal("Avro schema must be a record."));
        };
        let mut builder = Builder {
            three_levels: has_optional_items(&avro),
            shapes: Vec::new(),
        };
        let mut types = Vec::with_capacity(fields.len());
        let mut nodes = Vec::with_capacity(fields.len());
        for (avro_field, field) in fields.iter().zip(schema.fields()) {
            let (of, node) =
                builder.field(&avro_field.schema, &field.schema, &field.name, Levels::ROOT)?;
            types.push(of);
            nodes.push(node);
        }
        if types.is_empty() {
            return Err(Error::data(format!(
                "Cannot write a schema with an empty group: {}",
                name.full()
            )));
        }
        let parquet_schema: TypePtr = Type::group_type_builder(&name.full())
            .with_fields(types)
            .build()
            .map(Arc::new)
            .map_err(illegal)?;
        let metadata = vec![
            KeyValue::new("parquet.avro.schema".to_owned(), avro.to_json().to_string()),
            KeyValue::new("writer.model.name".to_owned(), "avro".to_owned()),
        ];
        let writing = WriterProperties::builder()
            .set_compression(options.compression)
            .set_data_page_size_limit(PAGE_BYTES)
            .set_dictionary_page_size_limit(DICTIONARY_BYTES)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_key_value_metadata(Some(metadata))
            .set_created_by(concat!("ferroconnect version ", env!("CARGO_PKG_VERSION")).to_owned());
        Ok(Self {
            schema: Arc::clone(schema),
            descriptor: Arc::new(SchemaDescriptor::new(Arc::clone(&parquet_schema))),
            parquet_schema,
            properties: Arc::new(writing.clone().build()),
            plain_properties: Arc::new(writing.set_dictionary_enabled(false).build()),
            shapes: builder.shapes,
            fields: nodes,
        })
    }

    /// Whether structs of another schema object are rows, too.
    pub(super) fn takes(&self, schema: &SchemaRef) -> bool {
        same_fields(&self.schema, schema)
    }

    /// # Errors
    /// Kind Data: a value is not of its schema.
    pub(super) fn write_row(&self, values: &[Value], columns: &mut Columns) -> Result<()> {
        for (node, value) in self.fields.iter().zip(values) {
            node.write(value, 0, columns)?;
        }
        Ok(())
    }
}

/// Levels of a place in the schema.
#[derive(Clone, Copy)]
struct Levels {
    definition: i16,
    repetition: i16,
}

impl Levels {
    const ROOT: Self = Self {
        definition: 0,
        repetition: 0,
    };
    fn optional(self) -> Self {
        Self {
            definition: self.definition + 1,
            ..self
        }
    }
    fn repeated(self) -> Self {
        Self {
            definition: self.definition + 1,
            repetition: self.repetition + 1,
        }
    }
}

struct Builder {
    /// Whether lists are `list.element` rather than `array`.
    three_levels: bool,
    shapes: Vec<Shape>,
}

impl Builder {
    /// A field that is optional or required, whichever the schema says.
    fn field(
        &mut self,
        avro: &AvroRef,
        schema: &SchemaRef,
        name: &str,
        at: Levels,
    ) -> Result<(TypePtr, Node)> {
        match without_null(avro) {
            Some(inner) => {
                let (of, mut node) =
                    self.value(&inner, schema, name, Repetition::OPTIONAL, at.optional())?;
                node.null = Some(at.definition);
                Ok((of, node))
            }
            None => self.value(avro, schema, name, Repetition::REQUIRED, at),
        }
    }

    /// A value with its repetition; `at` has the levels of the value itself.
    fn value(
        &mut self,
        avro: &Avro,
        schema: &SchemaRef,
        name: &str,
        repetition: Repetition,
        at: Levels,
    ) -> Result<(TypePtr, Node)> {
        let first = self.shapes.len();
        let (of, kind) = match &avro.shape {
            AvroShape::Record { fields, .. } => {
                let (types, fields) = self.record(fields, schema, at)?;
                (
                    group(name, repetition, types)?,
                    NodeKind::Struct {
                        schema: Arc::clone(schema),
                        fields,
                    },
                )
            }
            AvroShape::Union(branches) => {
                let (mut types, mut members) = (Vec::new(), Vec::new());
                let values = branches
                    .iter()
                    .filter(|branch| branch.shape != AvroShape::Null);
                for (index, (branch, field)) in values.zip(schema.fields()).enumerate() {
                    let member = format!("member{index}");
                    let (of, mut node) = self.value(
                        branch,
                        &field.schema,
                        &member,
                        Repetition::OPTIONAL,
                        at.optional(),
                    )?;
                    node.null = Some(at.definition);
                    node.default = None;
                    types.push(of);
                    members.push(node);
                }
                (group(name, repetition, types)?, NodeKind::Union(members))
            }
            AvroShape::Array(items) if schema.kind() == SchemaType::Map => {
                self.entries(items, schema, name, repetition, at)?
            }
            AvroShape::Array(items) => self.list(items, schema, name, repetition, at)?,
            AvroShape::Map(values) => self.map(values, schema, name, repetition, at)?,
            _ => {
                let (of, kind) = leaf(avro, schema, name, repetition)?;
                self.shapes.push(Shape {
                    kind,
                    max_definition: at.definition,
                    max_repetition: at.repetition,
                });
                (of, NodeKind::Leaf(first))
            }
        };
        let node = Node {
            null: None,
            default: schema
                .default_value()
                .filter(|default| !default.is_null())
                .cloned(),
            columns: first..self.shapes.len(),
            name: name.to_owned(),
            schema_type: schema.kind(),
            kind,
        };
        Ok((of, node))
    }

    fn record(
        &mut self,
        fields: &[avro_data::AvroField],
        schema: &Schema,
        at: Levels,
    ) -> Result<(Vec<TypePtr>, Vec<Node>)> {
        let (mut types, mut nodes) = (Vec::new(), Vec::new());
        for (avro_field, field) in fields.iter().zip(schema.fields()) {
            let (of, node) = self.field(&avro_field.schema, &field.schema, &field.name, at)?;
            types.push(of);
            nodes.push(node);
        }
        Ok((types, nodes))
    }

    /// `group f (LIST) { repeated T array }` or `group f (LIST) { repeated group list { T element } }`.
    fn list(
        &mut self,
        items: &AvroRef,
        schema: &Schema,
        name: &str,
        repetition: Repetition,
        at: Levels,
    ) -> Result<(TypePtr, NodeKind)> {
        let item_schema = part(schema.value_schema())?;
        let inside = at.repeated();
        let (repeated, item) = if self.three_levels {
            let (of, node) = self.field(items, item_schema, "element", inside)?;
            (group("list", Repetition::REPEATED, vec![of])?, node)
        } else {
            self.value(items, item_schema, "array", Repetition::REPEATED, inside)?
        };
        let kind = NodeKind::List {
            empty: at.definition,
            repetition: inside.repetition,
            item: Box::new(item),
        };
        Ok((list_group(name, repetition, repeated)?, kind))
    }

    /// `group f (MAP) { repeated group key_value (MAP_KEY_VALUE) { required key; T value } }`.
    fn map(
        &mut self,
        values: &AvroRef,
        schema: &Schema,
        name: &str,
        repetition: Repetition,
        at: Levels,
    ) -> Result<(TypePtr, NodeKind)> {
        let inside = at.repeated();
        let key_avro = Avro::plain(AvroShape::String);
        let (key_type, key) = self.value(
            &key_avro,
            part(schema.key_schema())?,
            "key",
            Repetition::REQUIRED,
            inside,
        )?;
        let (value_type, value) =
            self.field(values, part(schema.value_schema())?, "value", inside)?;
        let entries = Type::group_type_builder("key_value")
            .with_repetition(Repetition::REPEATED)
            .with_converted_type(ConvertedType::MAP_KEY_VALUE)
            .with_fields(vec![key_type, value_type])
            .build()
            .map(Arc::new)
            .map_err(illegal)?;
        let of = Type::group_type_builder(name)
            .with_repetition(repetition)
            .with_converted_type(ConvertedType::MAP)
            .with_logical_type(Some(LogicalType::Map))
            .with_fields(vec![entries])
            .build()
            .map(Arc::new)
            .map_err(illegal)?;
        let kind = NodeKind::Map {
            empty: at.definition,
            repetition: inside.repetition,
            key: Box::new(key),
            value: Box::new(value),
        };
        Ok((of, kind))
    }

    /// A map whose keys are no plain strings: a list of records of key and value.
    fn entries(
        &mut self,
        items: &AvroRef,
        schema: &Schema,
        name: &str,
        repetition: Repetition,
        at: Levels,
    ) -> Result<(TypePtr, NodeKind)> {
        let AvroShape::Record { fields, .. } = &items.shape else {
            return Err(Error::fatal("the entries of a map are no records"));
        };
        let [key_field, value_field] = fields.as_slice() else {
            return Err(Error::fatal("the entries of a map are no pairs"));
        };
        let inside = at.repeated();
        let (key_type, key) =
            self.field(&key_field.schema, part(schema.key_schema())?, "key", inside)?;
        let (value_type, value) = self.field(
            &value_field.schema,
            part(schema.value_schema())?,
            "value",
            inside,
        )?;
        let pair = vec![key_type, value_type];
        let repeated = if self.three_levels {
            let element = group("element", Repetition::REQUIRED, pair)?;
            group("list", Repetition::REPEATED, vec![element])?
        } else {
            group("array", Repetition::REPEATED, pair)?
        };
        let kind = NodeKind::Map {
            empty: at.definition,
            repetition: inside.repetition,
            key: Box::new(key),
            value: Box::new(value),
        };
        Ok((list_group(name, repetition, repeated)?, kind))
    }
}

fn part(schema: Option<&SchemaRef>) -> Result<&SchemaRef> {
    schema.ok_or_else(|| Error::data("an array or map schema lacks its parts"))
}

fn illegal(error: parquet::errors::ParquetError) -> Error {
    Error::data("the schema cannot be written as Parquet").with_source(error)
}

fn group(name: &str, repetition: Repetition, fields: Vec<TypePtr>) -> Result<TypePtr> {
    if fields.is_empty() {
        return Err(Error::data(format!(
            "Cannot write a schema with an empty group: {name}"
        )));
    }
    Type::group_type_builder(name)
        .with_repetition(repetition)
        .with_fields(fields)
        .build()
        .map(Arc::new)
        .map_err(illegal)
}

fn list_group(name: &str, repetition: Repetition, repeated: TypePtr) -> Result<TypePtr> {
    Type::group_type_builder(name)
        .with_repetition(repetition)
        .with_converted_type(ConvertedType::LIST)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![repeated])
        .build()
        .map(Arc::new)
        .map_err(illegal)
}

/// The value of a nullable union: its one other branch, or the union of the others.
fn without_null(avro: &AvroRef) -> Option<AvroRef> {
    let AvroShape::Union(branches) = &avro.shape else {
        return None;
    };
    if !avro.is_nullable() {
        return None;
    }
    let values: Vec<AvroRef> = branches
        .iter()
        .filter(|branch| branch.shape != AvroShape::Null)
        .map(Arc::clone)
        .collect();
    match values.as_slice() {
        [one] => Some(Arc::clone(one)),
        _ => Some(Avro::plain(AvroShape::Union(values))),
    }
}

/// Whether a list anywhere has items that may be null: then every list of the file is three-level.
fn has_optional_items(avro: &Avro) -> bool {
    match &avro.shape {
        AvroShape::Array(items) => items.is_nullable() || has_optional_items(items),
        AvroShape::Map(values) => has_optional_items(values),
        AvroShape::Union(branches) => branches.iter().any(|branch| has_optional_items(branch)),
        AvroShape::Record { fields, .. } => {
            fields.iter().any(|field| has_optional_items(&field.schema))
        }
        _ => false,
    }
}

fn leaf(
    avro: &Avro,
    schema: &Schema,
    name: &str,
    repetition: Repetition,
) -> Result<(TypePtr, Kind)> {
    let number = |key: &str| {
        avro.props
            .get(key)
            .and_then(serde_json::Value::as_i64)
            .and_then(|n| i32::try_from(n).ok())
    };
    let is_decimal = avro.logical_type() == Some("decimal");
    // The values' scale counts even where the scale is one that Parquet has no type for.
    let scale = match schema.logical() {
        Some(connect_api::data::logical::Logical::Decimal) => number("scale"),
        _ => None,
    };
    let decimal = (number("precision"), number("scale"));
    let (physical, logical, kind, length) = match (&avro.shape, avro.logical_type()) {
        (AvroShape::Boolean, _) => (PhysicalType::BOOLEAN, None, Kind::Boolean, None),
        (AvroShape::Int, Some("date")) => (
            PhysicalType::INT32,
            Some(LogicalType::Date),
            Kind::Int32,
            None,
        ),
        (AvroShape::Int, Some("time-millis")) => (
            PhysicalType::INT32,
            Some(LogicalType::time(true, TimeUnit::MILLIS)),
            Kind::Int32,
            None,
        ),
        (AvroShape::Int, _) => (PhysicalType::INT32, None, Kind::Int32, None),
        (AvroShape::Long, Some("timestamp-millis")) => (
            PhysicalType::INT64,
            Some(LogicalType::timestamp(true, TimeUnit::MILLIS)),
            Kind::Int64,
            None,
        ),
        (AvroShape::Long, _) => (PhysicalType::INT64, None, Kind::Int64, None),
        (AvroShape::Float, _) => (PhysicalType::FLOAT, None, Kind::Float, None),
        (AvroShape::Double, _) => (PhysicalType::DOUBLE, None, Kind::Double, None),
        (AvroShape::String, _) => (
            PhysicalType::BYTE_ARRAY,
            Some(LogicalType::String),
            Kind::Bytes {
                scale: None,
                length: None,
            },
            None,
        ),
        (AvroShape::Enum { .. }, _) => (
            PhysicalType::BYTE_ARRAY,
            Some(LogicalType::Enum),
            Kind::Bytes {
                scale: None,
                length: None,
            },
            None,
        ),
        (AvroShape::Bytes, _) => (
            PhysicalType::BYTE_ARRAY,
            None,
            Kind::Bytes {
                scale,
                length: None,
            },
            None,
        ),
        (AvroShape::Fixed { size, .. }, _) => (
            PhysicalType::FIXED_LEN_BYTE_ARRAY,
            None,
            Kind::Bytes {
                scale,
                length: Some(*size),
            },
            Some(*size),
        ),
        _ => return Err(Error::fatal(format!("field {name} has no Parquet type"))),
    };
    let mut builder = Type::primitive_type_builder(name, physical).with_repetition(repetition);
    if let Some(length) = length {
        let length = i32::try_from(length).map_err(|_| Error::data("a fixed type is too long"))?;
        builder = builder.with_length(length);
    }
    builder = match (is_decimal, decimal) {
        (true, (Some(precision), Some(scale))) if scale >= 0 && scale <= precision => builder
            .with_precision(precision)
            .with_scale(scale)
            .with_logical_type(Some(LogicalType::decimal(scale, precision))),
        _ => builder.with_logical_type(logical),
    };
    Ok((builder.build().map(Arc::new).map_err(illegal)?, kind))
}
