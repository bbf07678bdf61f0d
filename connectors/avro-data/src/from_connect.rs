//! The Avro schema of a Connect schema, as `AvroData.fromConnectSchema` maps it. Maps schemas
//! only; how values are written is the format's affair.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use connect_api::data::logical::{self, Logical};
use connect_api::data::{Schema, SchemaType};
use connect_api::{Error, Result};
use serde_json::{Map, Value, json};

pub use crate::defaults::default_json;
use crate::defaults::is_valid;
use crate::names::{self, full_name, refused};
use crate::schema::{Avro, AvroField, AvroRef, Name, Shape};

/// Namespace of the names that unnamed types get.
pub const NAMESPACE: &str = "io.confluent.connect.avro";
/// Name of an unnamed record.
pub const DEFAULT_RECORD: &str = "ConnectDefault";
/// Name of the records that a map's entries become where its keys are no plain strings.
pub const MAP_ENTRY: &str = "MapEntry";
/// Parameter of a STRING that was an Avro enum; its value is the enum's full name.
pub const ENUM: &str = "io.confluent.connect.avro.Enum";
/// Name of the struct that stands for an Avro union.
pub const UNION: &str = "io.confluent.connect.avro.Union";
/// Parameter of a STRING that was an enum of any format; its value is the enum's full name.
pub const GENERIC_ENUM: &str = "org.apache.kafka.connect.data.Enum";
/// Parameter of the struct that stands for a union of any format.
pub const GENERIC_UNION: &str = "org.apache.kafka.connect.data.Union";
/// Parameter with a Decimal's precision.
pub const DECIMAL_PRECISION: &str = "connect.decimal.precision";
/// Precision of a Decimal that says none; wide enough for whatever Connect holds.
pub const DEFAULT_PRECISION: i64 = 64;
/// Parameter that marks a default as the field's own rather than the type's.
pub const FIELD_DEFAULT: &str = "io.confluent.connect.avro.field.default";
/// Parameter with the length of BYTES that were an Avro fixed.
pub const FIXED_SIZE: &str = "connect.fixed.size";
/// Parameter with a record's documentation.
pub const RECORD_DOC: &str = "io.confluent.connect.avro.record.doc";
/// Parameter with a record's documentation where type and documentation are kept apart.
pub const CONNECT_RECORD_DOC: &str = "connect.record.doc";
/// Parameter with an enum's documentation where type and documentation are kept apart.
pub const CONNECT_ENUM_DOC: &str = "connect.enum.doc";
/// Prefix of parameters with the documentation of a record's fields.
pub const FIELD_DOC: &str = "io.confluent.connect.avro.field.doc.";
/// Prefix of parameters with an enum's documentation.
pub const ENUM_DOC: &str = "io.confluent.connect.avro.enum.doc.";
/// Prefix of parameters with an enum's default symbol.
pub const ENUM_DEFAULT: &str = "io.confluent.connect.avro.enum.default.";
/// Property that marks the entries of a map.
pub const INTERNAL_TYPE: &str = "connect.internal.type";

/// The options of `AvroDataConfig` that change the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether Connect's names, versions and parameters are kept as properties.
    pub connect_meta_data: bool,
    /// Whether strings that were enums become enums again.
    pub enhanced_schema_support: bool,
    /// Whether maps with optional string keys are Avro maps.
    pub allow_optional_map_keys: bool,
    /// Whether enums and unions go by the names that all formats share
    /// (`generalized.sum.type.support`).
    pub generalized_sum_types: bool,
    /// Whether a field's documentation is its schema's (`discard.type.doc.default`).
    pub discard_type_doc_default: bool,
    /// Whether names that Avro does not allow are changed (`scrub.invalid.names`).
    pub scrub_invalid_names: bool,
    /// Whether a union of one type is that type (`flatten.singleton.unions`).
    pub flatten_singleton_unions: bool,
    /// Whether a null stays null where its schema has a default (`ignore.default.for.nullables`).
    pub ignore_default_for_nullables: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_meta_data: true,
            enhanced_schema_support: false,
            allow_optional_map_keys: false,
            generalized_sum_types: false,
            discard_type_doc_default: false,
            scrub_invalid_names: false,
            flatten_singleton_unions: true,
            ignore_default_for_nullables: false,
        }
    }
}

/// The Avro schema of a Connect schema; an optional one becomes a union with null.
///
/// # Errors
/// Kind Data: a name is none in Avro.
pub fn from_connect_schema(schema: &Schema, options: Options) -> Result<AvroRef> {
    Mapping {
        options,
        named: Vec::new(),
        open: Vec::new(),
        unnamed: 0,
    }
    .map(schema)
}

struct Mapping {
    options: Options,
    /// Structs seen so far, in their required form; equal ones share one record.
    named: Vec<(Schema, AvroRef)>,
    /// The structs around the place that is being mapped, by address.
    open: Vec<(usize, Name)>,
    /// How many unnamed records there are.
    unnamed: usize,
}

impl Mapping {
    fn map(&mut self, schema: &Schema) -> Result<AvroRef> {
        let base = self.base(schema)?;
        if !schema.is_optional() {
            return Ok(base);
        }
        let null = Avro::plain(Shape::Null);
        // A default has to be of the first branch; a struct's is kept out of this.
        let value_first = schema
            .default_value()
            .is_some_and(|default| !default.is_null())
            && schema.kind() != SchemaType::Struct;
        let mut branches = match &base.shape {
            Shape::Union(members) => members.clone(),
            _ => vec![base],
        };
        branches.insert(if value_first { branches.len() } else { 0 }, null);
        union(branches)
    }

    /// The schema without its null.
    fn base(&mut self, schema: &Schema) -> Result<AvroRef> {
        let mut props = Map::new();
        let mut connect_type = None;
        let shape = match schema.kind() {
            SchemaType::Int8 | SchemaType::Int16 => {
                connect_type = Some(schema.kind().name().to_lowercase());
                Shape::Int
            }
            SchemaType::Int32 => Shape::Int,
            SchemaType::Int64 => Shape::Long,
            SchemaType::Float32 => Shape::Float,
            SchemaType::Float64 => Shape::Double,
            SchemaType::Boolean => Shape::Boolean,
            SchemaType::String => self.string(schema)?,
            SchemaType::Bytes => {
                let shape = self.fixed_or_bytes(schema)?;
                if is_logical(schema, logical::DECIMAL) {
                    let (scale, precision) = decimal_parts(schema)?;
                    check_fixed_decimal(&shape, scale, precision)?;
                    props.insert("scale".to_owned(), json!(scale));
                    props.insert("precision".to_owned(), json!(precision));
                }
                shape
            }
            SchemaType::Array => Shape::Array(self.map(value_schema(schema)?)?),
            SchemaType::Map => return self.entries(schema),
            SchemaType::Struct => return self.structure(schema),
        };
        self.add_props(schema, &mut props, connect_type)?;
        Ok(Avro::with_props(shape, props))
    }

    fn fixed_or_bytes(&self, schema: &Schema) -> Result<Shape> {
        match (schema.name(), schema.parameter(FIXED_SIZE)) {
            (Some(name), Some(size)) => {
                let size = size
                    .parse()
                    .map_err(|_| Error::data(format!("Invalid {FIXED_SIZE} parameter: {size}")))?;
                Ok(Shape::Fixed {
                    name: self.name(name)?,
                    size,
                })
            }
            _ => Ok(Shape::Bytes),
        }
    }

    fn name(&self, full: &str) -> Result<Name> {
        full_name(full, self.options.scrub_invalid_names)
    }

    fn string(&self, schema: &Schema) -> Result<Shape> {
        let parameter = if self.options.generalized_sum_types {
            GENERIC_ENUM
        } else {
            ENUM
        };
        let wanted = self.options.generalized_sum_types || self.options.enhanced_schema_support;
        let Some(full) = schema.parameter(parameter).filter(|_| wanted) else {
            return Ok(Shape::String);
        };
        let name = self.name(full)?;
        let prefix = format!("{parameter}.");
        let symbols: Vec<String> = schema
            .parameters()
            .iter()
            .filter_map(|(key, _)| key.strip_prefix(&prefix))
            .map(ToOwned::to_owned)
            .collect();
        let about = |prefix: &str| {
            schema
                .parameter(&format!("{prefix}{}", name.name))
                .map(ToOwned::to_owned)
        };
        let default = about(ENUM_DEFAULT).filter(|_| !self.options.discard_type_doc_default);
        names::check_symbols(&symbols, default.as_deref())?;
        let doc = if self.options.discard_type_doc_default {
            schema.parameter(CONNECT_ENUM_DOC).map(ToOwned::to_owned)
        } else {
            about(ENUM_DOC)
        };
        Ok(Shape::Enum {
            doc,
            default,
            name,
            symbols,
        })
    }

    fn entries(&mut self, schema: &Schema) -> Result<AvroRef> {
        let key = schema
            .key_schema()
            .ok_or_else(|| Error::data("a map schema has no key schema"))?;
        let value = value_schema(schema)?;
        let mut props = Map::new();
        if key.kind() == SchemaType::String
            && (!key.is_optional() || self.options.allow_optional_map_keys)
        {
            let shape = Shape::Map(self.map(value)?);
            self.add_props(schema, &mut props, None)?;
            return Ok(Avro::with_props(shape, props));
        }
        let fields = vec![
            self.field("key".to_owned(), key, None)?,
            self.field("value".to_owned(), value, None)?,
        ];
        let mut entry_props = Map::new();
        let name = match schema.name() {
            Some(name) => {
                entry_props.insert(INTERNAL_TYPE.to_owned(), json!(MAP_ENTRY));
                self.name(name)?
            }
            None => Name {
                name: MAP_ENTRY.to_owned(),
                namespace: Some(NAMESPACE.to_owned()),
            },
        };
        let entry = Shape::Record {
            name,
            doc: None,
            fields,
        };
        let entry = Avro::with_props(entry, entry_props);
        self.add_props(schema, &mut props, None)?;
        Ok(Avro::with_props(Shape::Array(entry), props))
    }

    fn structure(&mut self, schema: &Schema) -> Result<AvroRef> {
        if is_union(schema) {
            let members = schema
                .fields()
                .iter()
                .map(|field| self.map(&field.schema.to_builder().optional_if(false).build()));
            let members = members.collect::<Result<_>>()?;
            return union(members);
        }
        if let Some(target) = schema.recursion() {
            let address = Arc::as_ptr(&target).addr();
            let around = self.open.iter().find(|(open, _)| *open == address);
            let (_, name) = around.ok_or_else(|| {
                Error::data("a recursive schema refers to a struct that is not around it")
            })?;
            return Ok(Avro::plain(Shape::Reference(name.clone())));
        }
        let required = (*schema.to_builder().optional_if(false).build()).clone();
        if let Some((_, known)) = self.named.iter().find(|(seen, _)| *seen == required) {
            return Ok(Arc::clone(known));
        }
        let name = match schema.name() {
            Some(name) => self.name(name)?,
            None => {
                self.unnamed += 1;
                let number = if self.unnamed == 1 {
                    String::new()
                } else {
                    self.unnamed.to_string()
                };
                Name {
                    name: format!("{DEFAULT_RECORD}{number}"),
                    namespace: Some(NAMESPACE.to_owned()),
                }
            }
        };
        self.open
            .push((std::ptr::from_ref(schema).addr(), name.clone()));
        let fields = self.fields(schema);
        self.open.pop();
        let mut props = Map::new();
        self.add_props(schema, &mut props, None)?;
        let doc = schema.parameter(if self.options.discard_type_doc_default {
            CONNECT_RECORD_DOC
        } else {
            RECORD_DOC
        });
        let record = Shape::Record {
            name,
            doc: doc.map(ToOwned::to_owned),
            fields: fields?,
        };
        let record = Avro::with_props(record, props);
        self.named.push((required, Arc::clone(&record)));
        Ok(record)
    }

    fn fields(&mut self, schema: &Schema) -> Result<Vec<AvroField>> {
        let mut fields: Vec<AvroField> = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let name = if self.options.scrub_invalid_names {
                names::scrub(&field.name)
            } else {
                field.name.to_string()
            };
            names::check(&name)?;
            if fields.iter().any(|other| other.name == name) {
                return Err(refused(format!(
                    "Duplicate field {name} in record {}",
                    schema.name().unwrap_or(DEFAULT_RECORD)
                )));
            }
            let doc = if self.options.discard_type_doc_default {
                field.schema.doc()
            } else {
                schema.parameter(&format!("{FIELD_DOC}{}", field.name))
            };
            fields.push(self.field(name, &field.schema, doc)?);
        }
        Ok(fields)
    }

    fn field(&mut self, name: String, schema: &Schema, doc: Option<&str>) -> Result<AvroField> {
        let avro = self.map(schema)?;
        let default = match schema.default_value() {
            Some(value) if !value.is_null() => {
                let default = default_json(schema, value)?;
                // Avro refuses what is no default of the type; the type keeps it all the same.
                is_valid(&avro, &default).then_some(default)
            }
            _ => schema.is_optional().then_some(Value::Null),
        };
        Ok(AvroField {
            name,
            schema: avro,
            doc: doc.map(ToOwned::to_owned),
            default,
            aliases: Vec::new(),
        })
    }

    fn add_props(
        &self,
        schema: &Schema,
        props: &mut Map<String, Value>,
        connect_type: Option<String>,
    ) -> Result<()> {
        if self.options.connect_meta_data {
            if let Some(doc) = schema.doc() {
                props.insert("connect.doc".to_owned(), json!(doc));
            }
            if let Some(version) = schema.version() {
                props.insert("connect.version".to_owned(), json!(version));
            }
            let parameters: Map<String, Value> = schema
                .parameters()
                .iter()
                .filter(|(key, _)| *key != *FIELD_DEFAULT)
                .map(|(key, value)| (key.to_string(), json!(&**value)))
                .collect();
            if !parameters.is_empty() {
                props.insert("connect.parameters".to_owned(), Value::Object(parameters));
            }
            if let Some(default) = schema.default_value().filter(|default| !default.is_null())
                && (self.options.discard_type_doc_default
                    || schema.parameter(FIELD_DEFAULT).is_none())
            {
                props.insert("connect.default".to_owned(), default_json(schema, default)?);
            }
            if let Some(name) = schema.name() {
                props.insert("connect.name".to_owned(), json!(name));
            }
        }

        if let Some(connect_type) = connect_type.filter(|_| self.options.connect_meta_data) {
            props.insert("connect.type".to_owned(), json!(connect_type));
        }
        for (name, logical_type) in [
            (logical::DECIMAL, "decimal"),
            (logical::TIME, "time-millis"),
            (logical::TIMESTAMP, "timestamp-millis"),
            (logical::DATE, "date"),
        ] {
            if is_logical(schema, name) {
                props.insert("logicalType".to_owned(), json!(logical_type));
            }
        }
        for (key, value) in schema.parameters() {
            if key.starts_with("avro") {
                props.insert(key.to_string(), json!(&**value));
            }
        }
        Ok(())
    }
}

/// Whether a struct stands for a union: one field for each of its types.
pub fn is_union(schema: &Schema) -> bool {
    schema.kind() == SchemaType::Struct
        && (schema.name() == Some(UNION) || schema.parameter(GENERIC_UNION).is_some())
}

fn union(branches: Vec<AvroRef>) -> Result<AvroRef> {
    for (at, branch) in branches.iter().enumerate() {
        if matches!(branch.shape, Shape::Union(_)) {
            return Err(of_avro("Nested union".to_owned()));
        }
        let name = branch.type_name();
        if branches[..at].iter().any(|other| other.type_name() == name) {
            return Err(of_avro(format!("Duplicate in union:{name}")));
        }
    }
    Ok(Avro::plain(Shape::Union(branches)))
}

fn of_avro(message: String) -> Error {
    Error::data(message).with_class("org.apache.avro.AvroRuntimeException")
}

/// A name that stands for two types in a schema: as text the second would be a reference to the
/// first, and values written with the one could not be read with the other.
pub fn name_of_two_types(schema: &AvroRef) -> Option<String> {
    second_meaning(schema, &mut HashMap::new())
}

fn second_meaning<'a>(
    schema: &'a AvroRef,
    defined: &mut HashMap<String, &'a AvroRef>,
) -> Option<String> {
    if let Some(name) = schema
        .name()
        .filter(|_| !matches!(schema.shape, Shape::Reference(_)))
    {
        match defined.entry(name.full()) {
            Entry::Occupied(known) if Arc::ptr_eq(known.get(), schema) => return None,
            Entry::Occupied(known) if !same_encoding(known.get(), schema) => {
                return Some(known.key().clone());
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(free) => {
                free.insert(schema);
            }
        }
    }
    match &schema.shape {
        Shape::Array(inner) | Shape::Map(inner) => second_meaning(inner, defined),
        Shape::Union(branches) => branches
            .iter()
            .find_map(|branch| second_meaning(branch, defined)),
        Shape::Record { fields, .. } => fields
            .iter()
            .find_map(|field| second_meaning(&field.schema, defined)),
        _ => None,
    }
}

/// What says how a value is to be read: of one name it is only the first type's.
const MEANING: [&str; 4] = ["connect.name", "connect.type", "logicalType", "scale"];

/// Whether values of both look the same in binary and mean the same, so that one name may stand for
/// both.
fn same_encoding(one: &Avro, other: &Avro) -> bool {
    let differs = |key: &str| one.props.get(key) != other.props.get(key);
    match (&one.shape, &other.shape) {
        (Shape::Reference(a), _) => Some(a) == other.name(),
        (_, Shape::Reference(b)) => one.name() == Some(b),
        _ if MEANING.iter().any(|key| differs(key)) => false,
        (Shape::Record { fields: a, .. }, Shape::Record { fields: b, .. }) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(a, b)| a.name == b.name && same_encoding(&a.schema, &b.schema))
        }
        (Shape::Union(a), Shape::Union(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_encoding(a, b))
        }
        (Shape::Array(a), Shape::Array(b)) | (Shape::Map(a), Shape::Map(b)) => same_encoding(a, b),
        (Shape::Enum { symbols: a, .. }, Shape::Enum { symbols: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

fn is_logical(schema: &Schema, name: &str) -> bool {
    schema
        .name()
        .is_some_and(|own| own.eq_ignore_ascii_case(name))
}

/// Avro's library refuses a decimal with more digits than its fixed type can hold.
fn check_fixed_decimal(shape: &Shape, scale: i64, precision: i64) -> Result<()> {
    let Shape::Fixed { size, .. } = shape else {
        return Ok(());
    };
    // 2^(8n-1) - 1 in decimal digits, rounded down.
    let digits = ((8.0 * *size as f64 - 1.0) * std::f64::consts::LOG10_2).floor() as i64;
    if (0..=precision).contains(&scale) && precision > digits {
        return Err(Error::data(format!(
            "fixed({size}) cannot store {precision} digits (max {digits})"
        ))
        .with_class("java.lang.IllegalArgumentException"));
    }
    Ok(())
}

/// Scale and precision of a Decimal schema.
fn decimal_parts(schema: &Schema) -> Result<(i64, i64)> {
    let number = |key: &str, default: Option<i64>| match schema.parameter(key) {
        None => {
            default.ok_or_else(|| Error::data("Invalid Decimal schema: scale parameter not found."))
        }
        Some(text) => text.parse().map_err(|_| {
            Error::data(format!(
                "Invalid {key} parameter found in Decimal schema: {text}"
            ))
        }),
    };
    Ok((
        number(logical::SCALE, None)?,
        number(DECIMAL_PRECISION, Some(DEFAULT_PRECISION))?,
    ))
}

fn value_schema(schema: &Schema) -> Result<&Arc<Schema>> {
    schema
        .value_schema()
        .ok_or_else(|| Error::data("an array or map schema has no value schema"))
}

/// Scale of a schema that Connect's values hold as decimals.
///
/// # Errors
/// Kind Data: it has none.
pub fn decimal_scale(schema: &Schema) -> Result<Option<i64>> {
    match schema.logical() {
        Some(Logical::Decimal) => Ok(Some(decimal_parts(schema)?.0)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::data::{Value as ConnectValue, logical};

    fn json_of(schema: &Schema) -> Value {
        let options = Options {
            enhanced_schema_support: true,
            ..Options::default()
        };
        from_connect_schema(schema, options)
            .expect("a legal schema")
            .to_json()
    }

    #[test]
    fn defaults_decide_the_order_of_a_union() {
        let schema = Schema::structure()
            .name("a.B")
            .field("plain", Schema::int32().optional().build())
            .field(
                "given",
                Schema::string()
                    .optional()
                    .default_value(ConnectValue::text("x"))
                    .build(),
            )
            .field(
                "required",
                Schema::int16()
                    .default_value(ConnectValue::Int16(7))
                    .build(),
            )
            .build();
        assert_eq!(
            json_of(&schema),
            json!({"type": "record", "name": "B", "namespace": "a", "connect.name": "a.B", "fields": [
                {"name": "plain", "type": ["null", "int"], "default": null},
                {"name": "given", "type": [{"type": "string", "connect.default": "x"}, "null"], "default": "x"},
                {"name": "required", "type": {"type": "int", "connect.default": 7, "connect.type": "int16"}, "default": 7},
            ]})
        );
    }

    #[test]
    fn a_decimal_carries_scale_and_precision() {
        assert_eq!(
            json_of(
                &logical::decimal(2)
                    .parameter(DECIMAL_PRECISION, "10")
                    .build()
            )
            .to_string(),
            r#"{"type":"bytes","scale":2,"precision":10,"connect.version":1,"connect.parameters":{"scale":"2","connect.decimal.precision":"10"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}"#
        );
        assert_eq!(
            json_of(&logical::decimal(0).build())["precision"],
            json!(64)
        );
    }

    #[test]
    fn unnamed_records_are_numbered_and_equal_ones_share_a_name() {
        let one = Schema::structure()
            .field("x", Schema::int32().build())
            .build();
        let other = Schema::structure()
            .field("y", Schema::int32().build())
            .optional()
            .build();
        let root = Schema::structure()
            .field("a", Arc::clone(&one))
            .field("b", one.to_builder().optional().build())
            .field("c", other)
            .build();

        let json = json_of(&root);
        assert_eq!(json["name"], json!("ConnectDefault"));
        assert_eq!(json["fields"][0]["type"]["name"], json!("ConnectDefault2"));
        assert_eq!(
            json["fields"][1]["type"],
            json!(["null", "ConnectDefault2"])
        );
        assert_eq!(
            json["fields"][2]["type"][1]["name"],
            json!("ConnectDefault3")
        );
    }

    #[test]
    fn maps_with_other_keys_become_lists_of_entries() {
        let map = |key| Schema::map(key, Schema::int64().build()).build();
        assert_eq!(
            json_of(&map(Schema::string().build())),
            json!({"type": "map", "values": "long"})
        );
        let entries = json_of(&map(Schema::int32().build()));
        assert_eq!(entries["items"]["name"], json!("MapEntry"));
        assert_eq!(
            entries["items"]["fields"][0],
            json!({"name": "key", "type": "int"})
        );
    }

    #[test]
    fn entries_have_the_defaults_of_their_schemas() {
        let value = Schema::int64()
            .default_value(ConnectValue::Int64(3))
            .build();
        let map = Schema::map(Schema::int32().optional().build(), value).build();
        let fields = &json_of(&map)["items"]["fields"];
        assert_eq!(fields[0]["default"], Value::Null);
        assert_eq!(fields[1]["default"], json!(3));
    }

    #[test]
    fn names_that_avro_does_not_allow_are_refused() {
        let bad = Schema::structure().name("x.a-b").build();
        let error = from_connect_schema(&bad, Options::default()).expect_err("refused");
        assert_eq!(error.message(), "Illegal character in: a-b");
    }

    #[test]
    fn a_fixed_type_has_to_hold_a_decimals_digits() {
        let decimal = |precision| {
            let builder = logical::decimal(2).parameter(FIXED_SIZE, "4");
            from_connect_schema(
                &builder.parameter(DECIMAL_PRECISION, precision).build(),
                Options::default(),
            )
        };
        decimal("9").expect("nine digits fit into four bytes");
        assert_eq!(
            decimal("64").expect_err("too many").message(),
            "fixed(4) cannot store 64 digits (max 9)"
        );
    }

    #[test]
    fn one_name_for_two_types_is_found() {
        let of = |kind: Schema| {
            Schema::structure()
                .name("a.S")
                .field("x", kind.to_builder().build())
                .build()
        };
        let both = |one, other| {
            let root = Schema::structure()
                .field("a", of(one))
                .field("b", of(other))
                .build();
            let avro = from_connect_schema(&root, Options::default()).expect("mapped");
            name_of_two_types(&avro)
        };
        let int = || (*Schema::int32().build()).clone();
        assert_eq!(both(int(), int()), None, "the same");
        let documented = (*Schema::int32().doc("d").build()).clone();
        assert_eq!(both(int(), documented), None, "read alike");
        let text = (*Schema::string().build()).clone();
        assert_eq!(both(int(), text).as_deref(), Some("a.S"));
        // Both are an Avro int, but read by the first the second would lose digits.
        let (short, byte) = (Schema::int16().build(), Schema::int8().build());
        let two = both((*byte).clone(), (*short).clone());
        assert_eq!(two.as_deref(), Some("a.S"));
        let [cents, mills] = [2, 3].map(|scale| (*logical::decimal(scale).build()).clone());
        assert_eq!(both(cents, mills).as_deref(), Some("a.S"));
    }

    #[test]
    fn a_schema_that_contains_itself_names_itself() {
        let knot = connect_api::data::Knot::new();
        let node = Schema::structure()
            .name("r.Node")
            .field(
                "next",
                Schema::recursive(knot.clone())
                    .name("r.Node")
                    .optional()
                    .build(),
            )
            .build();
        knot.tie(&node);
        assert_eq!(json_of(&node)["fields"][0]["type"], json!(["null", "Node"]));
    }

    #[test]
    fn metadata_can_be_left_out() {
        let schema = logical::date().build();
        let options = Options {
            connect_meta_data: false,
            ..Options::default()
        };
        let avro = from_connect_schema(&schema, options).expect("legal");
        assert_eq!(
            avro.to_json(),
            json!({"type": "int", "logicalType": "date"})
        );
    }
}
