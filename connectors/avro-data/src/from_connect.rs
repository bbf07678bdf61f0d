//! The Avro schema of a Connect schema, as `AvroData.fromConnectSchema` maps it. Maps schemas
//! only; how values are written is the format's affair.

use std::sync::Arc;

use connect_api::data::logical::{self, Logical};
use connect_api::data::{Schema, SchemaType, Value as ConnectValue};
use connect_api::{Error, Result};
use serde_json::{Map, Value, json};

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
/// Parameter with a Decimal's precision.
pub const DECIMAL_PRECISION: &str = "connect.decimal.precision";
/// Precision of a Decimal that says none; wide enough for whatever Connect holds.
pub const DEFAULT_PRECISION: i64 = 64;
/// Parameter that marks a default as the field's own rather than the type's.
const FIELD_DEFAULT: &str = "io.confluent.connect.avro.field.default";
const FIXED_SIZE: &str = "connect.fixed.size";
const RECORD_DOC: &str = "io.confluent.connect.avro.record.doc";
const FIELD_DOC: &str = "io.confluent.connect.avro.field.doc.";

/// The options of `AvroDataConfig` that change the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether Connect's names, versions and parameters are kept as properties.
    pub connect_meta_data: bool,
    /// Whether strings that were enums become enums again.
    pub enhanced_schema_support: bool,
    /// Whether maps with optional string keys are Avro maps.
    pub allow_optional_map_keys: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_meta_data: true,
            enhanced_schema_support: false,
            allow_optional_map_keys: false,
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
        unnamed: 0,
    }
    .map(schema)
}

struct Mapping {
    options: Options,
    /// Structs seen so far, in their required form; equal ones share one record.
    named: Vec<(Schema, AvroRef)>,
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
        Ok(Avro::plain(Shape::Union(branches)))
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
                let shape = fixed_or_bytes(schema)?;
                if is_logical(schema, logical::DECIMAL) {
                    let (scale, precision) = decimal_parts(schema)?;
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
        Ok(Arc::new(Avro { shape, props }))
    }

    fn string(&self, schema: &Schema) -> Result<Shape> {
        let Some(full) = schema
            .parameter(ENUM)
            .filter(|_| self.options.enhanced_schema_support)
        else {
            return Ok(Shape::String);
        };
        let name = checked_name(full)?;
        let prefix = format!("{ENUM}.");
        let symbols = schema
            .parameters()
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(_, symbol)| symbol.to_string())
            .collect();
        let about = |what: &str| {
            schema
                .parameter(&format!("{NAMESPACE}.enum.{what}.{}", name.name))
                .map(ToOwned::to_owned)
        };
        Ok(Shape::Enum {
            doc: about("doc"),
            default: about("default"),
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
            return Ok(Arc::new(Avro { shape, props }));
        }
        let fields = vec![
            AvroField {
                name: "key".to_owned(),
                schema: self.map(key)?,
                doc: None,
                default: null_default(key),
            },
            AvroField {
                name: "value".to_owned(),
                schema: self.map(value)?,
                doc: None,
                default: null_default(value),
            },
        ];
        let mut entry_props = Map::new();
        let name = match schema.name() {
            Some(name) => {
                entry_props.insert("connect.internal.type".to_owned(), json!(MAP_ENTRY));
                checked_name(name)?
            }
            None => Name {
                name: MAP_ENTRY.to_owned(),
                namespace: Some(NAMESPACE.to_owned()),
            },
        };
        let entry = Arc::new(Avro {
            shape: Shape::Record {
                name,
                doc: None,
                fields,
            },
            props: entry_props,
        });
        self.add_props(schema, &mut props, None)?;
        Ok(Arc::new(Avro {
            shape: Shape::Array(entry),
            props,
        }))
    }

    fn structure(&mut self, schema: &Schema) -> Result<AvroRef> {
        if schema.name() == Some(UNION) {
            let members = schema.fields().iter().map(|field| {
                self.map(
                    &field
                        .schema
                        .to_builder()
                        .optional_if(false)
                        .no_default()
                        .build(),
                )
            });
            return Ok(Avro::plain(Shape::Union(members.collect::<Result<_>>()?)));
        }
        let required = (*schema.to_builder().optional_if(false).build()).clone();
        if let Some((_, known)) = self.named.iter().find(|(seen, _)| *seen == required) {
            return Ok(Arc::clone(known));
        }
        let name = match schema.name() {
            Some(name) => checked_name(name)?,
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
        let mut fields = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            check_part(&field.name)?;
            let default = match field.schema.default_value() {
                Some(value) if !value.is_null() => Some(default_json(&field.schema, value)?),
                _ => null_default(&field.schema),
            };
            fields.push(AvroField {
                name: field.name.to_string(),
                schema: self.map(&field.schema)?,
                doc: schema
                    .parameter(&format!("{FIELD_DOC}{}", field.name))
                    .map(ToOwned::to_owned),
                default,
            });
        }
        let mut props = Map::new();
        self.add_props(schema, &mut props, None)?;
        let doc = schema.parameter(RECORD_DOC).map(ToOwned::to_owned);
        let record = Arc::new(Avro {
            shape: Shape::Record { name, doc, fields },
            props,
        });
        self.named.push((required, Arc::clone(&record)));
        Ok(record)
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
                && schema.parameter(FIELD_DEFAULT).is_none()
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

fn is_logical(schema: &Schema, name: &str) -> bool {
    schema
        .name()
        .is_some_and(|own| own.eq_ignore_ascii_case(name))
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

fn fixed_or_bytes(schema: &Schema) -> Result<Shape> {
    match (schema.name(), schema.parameter(FIXED_SIZE)) {
        (Some(name), Some(size)) => {
            let size = size
                .parse()
                .map_err(|_| Error::data(format!("Invalid {FIXED_SIZE} parameter: {size}")))?;
            Ok(Shape::Fixed {
                name: checked_name(name)?,
                size,
            })
        }
        _ => Ok(Shape::Bytes),
    }
}

fn value_schema(schema: &Schema) -> Result<&Arc<Schema>> {
    schema
        .value_schema()
        .ok_or_else(|| Error::data("an array or map schema has no value schema"))
}

fn null_default(schema: &Schema) -> Option<Value> {
    schema.is_optional().then_some(Value::Null)
}

fn checked_name(full: &str) -> Result<Name> {
    let name = Name::parse(full);
    check_part(&name.name)?;
    Ok(name)
}

/// Avro's rule for names: a letter or underscore, then letters, digits, underscores.
fn check_part(name: &str) -> Result<()> {
    let mut characters = name.chars();
    match characters.next() {
        None => return Err(Error::data("Empty name")),
        Some(first) if !(first.is_alphabetic() || first == '_') => {
            return Err(Error::data(format!("Illegal initial character: {name}")));
        }
        Some(_) => {}
    }
    if characters.any(|character| !(character.is_alphanumeric() || character == '_')) {
        return Err(Error::data(format!("Illegal character in: {name}")));
    }
    Ok(())
}

/// A default as Avro writes it in JSON: bytes as ISO-8859-1 text, dates and times as numbers.
///
/// # Errors
/// Kind Data: the default is not of the schema.
pub fn default_json(schema: &Schema, value: &ConnectValue) -> Result<Value> {
    let text = |bytes: &[u8]| Value::String(bytes.iter().map(|&byte| char::from(byte)).collect());
    Ok(match value {
        ConnectValue::Null => Value::Null,
        ConnectValue::Boolean(flag) => json!(flag),
        ConnectValue::Int8(number) => json!(number),
        ConnectValue::Int16(number) => json!(number),
        ConnectValue::Int32(number) | ConnectValue::Date(number) | ConnectValue::Time(number) => {
            json!(number)
        }
        ConnectValue::Int64(number) | ConnectValue::Timestamp(number) => json!(number),
        ConnectValue::Float32(number) => json!(number),
        ConnectValue::Float64(number) => json!(number),
        ConnectValue::String(string) => json!(&**string),
        ConnectValue::Bytes(bytes) => text(bytes),
        ConnectValue::Decimal(decimal) => decimal.with_signed_bytes_be(text),
        ConnectValue::Array(items) => items
            .iter()
            .map(|item| default_json(value_schema(schema)?, item))
            .collect::<Result<_>>()?,
        ConnectValue::Map(map) => {
            let keys = schema
                .key_schema()
                .ok_or_else(|| Error::data("a map schema has no key schema"))?;
            let values = value_schema(schema)?;
            let plain = keys.kind() == SchemaType::String && !keys.is_optional();
            if plain {
                let entries = map.iter().map(|(key, item)| {
                    Ok((
                        key.as_str().unwrap_or_default().to_owned(),
                        default_json(values, item)?,
                    ))
                });
                Value::Object(entries.collect::<Result<_>>()?)
            } else {
                map.iter()
                    .map(|(key, item)| {
                        Ok(json!([
                            default_json(keys, key)?,
                            default_json(values, item)?
                        ]))
                    })
                    .collect::<Result<_>>()?
            }
        }
        ConnectValue::Struct(structure) => {
            let entries = structure.schema.fields().iter().zip(&structure.values);
            Value::Object(
                entries
                    .map(|(field, item)| {
                        Ok((field.name.to_string(), default_json(&field.schema, item)?))
                    })
                    .collect::<Result<_>>()?,
            )
        }
    })
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
    use connect_api::data::logical;

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
    fn names_that_avro_does_not_allow_are_refused() {
        let bad = Schema::structure().name("x.a-b").build();
        let error = from_connect_schema(&bad, Options::default()).expect_err("refused");
        assert_eq!(error.message(), "Illegal character in: a-b");
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
