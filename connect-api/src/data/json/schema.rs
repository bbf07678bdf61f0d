//! Schemas as JSON and back (`JsonConverter.asJsonSchema`, `asConnectSchema`, `JsonSchema`).

use std::collections::HashSet;

use super::JsonOptions;
use super::convert::to_connect;
use super::node::Node;
use super::text::{write_integer, write_string};
use super::write::write_default;
use crate::data::{ByteString, Schema, SchemaBuilder, SchemaRef, SchemaType};
use crate::{Error, Result};

fn type_name(kind: SchemaType) -> &'static str {
    match kind {
        SchemaType::Int8 => "int8",
        SchemaType::Int16 => "int16",
        SchemaType::Int32 => "int32",
        SchemaType::Int64 => "int64",
        SchemaType::Float32 => "float",
        SchemaType::Float64 => "double",
        SchemaType::Boolean => "boolean",
        SchemaType::String => "string",
        SchemaType::Bytes => "bytes",
        SchemaType::Array => "array",
        SchemaType::Map => "map",
        SchemaType::Struct => "struct",
    }
}

/// Appends a schema; `field` is its name in the struct that it is a field of.
pub(super) fn write_schema(
    schema: &Schema,
    field: Option<&str>,
    options: JsonOptions,
    out: &mut Vec<u8>,
) -> Result<()> {
    let text = |name: &str, text: &str, out: &mut Vec<u8>| {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        write_string(text, out);
    };
    out.extend_from_slice(b"{\"type\":");
    write_string(type_name(schema.kind()), out);
    if let Some(key) = schema.key_schema() {
        out.extend_from_slice(b",\"keys\":");
        write_schema(key, None, options, out)?;
    }
    if let Some(value) = schema.value_schema() {
        out.extend_from_slice(match schema.kind() {
            SchemaType::Map => b",\"values\":",
            _ => b",\"items\":",
        });
        write_schema(value, None, options, out)?;
    }
    if schema.is_recursive() {
        // The JVM's converter has no end here; its stack has.
        out.extend_from_slice(b",\"recursive\":true");
    } else if schema.kind() == SchemaType::Struct {
        out.extend_from_slice(b",\"fields\":[");
        for field in schema.fields() {
            if field.index > 0 {
                out.push(b',');
            }
            write_schema(&field.schema, Some(&field.name), options, out)?;
        }
        out.push(b']');
    }
    out.extend_from_slice(match schema.is_optional() {
        true => b",\"optional\":true",
        false => b",\"optional\":false",
    });
    if let Some(name) = schema.name() {
        text("name", name, out);
    }
    if let Some(version) = schema.version() {
        out.extend_from_slice(b",\"version\":");
        write_integer(version, out);
    }
    if let Some(doc) = schema.doc() {
        text("doc", doc, out);
    }
    if !schema.parameters().is_empty() {
        out.extend_from_slice(b",\"parameters\":{");
        for (index, (key, value)) in schema.parameters().iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(key, out);
            out.push(b':');
            write_string(value, out);
        }
        out.push(b'}');
    }
    write_default(schema, options, out)?;
    if let Some(field) = field {
        text("field", field, out);
    }
    out.push(b'}');
    Ok(())
}

/// The schema that a node describes; `None` for a JSON null.
pub(super) fn read_schema(node: &Node, options: JsonOptions) -> Result<Option<SchemaRef>> {
    if matches!(node, Node::Null) {
        return Ok(None);
    }
    let kind = node
        .get("type")
        .and_then(Node::as_text)
        .ok_or_else(|| data("Schema must contain 'type' field"))?;
    let mut builder = match &**kind {
        "boolean" => Schema::boolean(),
        "int8" => Schema::int8(),
        "int16" => Schema::int16(),
        "int32" => Schema::int32(),
        "int64" => Schema::int64(),
        "float" => Schema::float32(),
        "double" => Schema::float64(),
        "bytes" => Schema::bytes(),
        "string" => Schema::string(),
        "array" => Schema::array(part(
            node,
            "items",
            "Array schema did not specify the element type",
            options,
        )?),
        "map" => Schema::map(
            part(
                node,
                "keys",
                "Map schema did not specify the key type",
                options,
            )?,
            part(
                node,
                "values",
                "Map schema did not specify the value type",
                options,
            )?,
        ),
        "struct" => structure(node, options)?,
        other => return Err(Error::data(format!("Unknown schema type: {other}"))),
    };
    builder = builder.optional_if(matches!(node.get("optional"), Some(Node::Boolean(true))));
    if let Some(Node::Text(name)) = node.get("name") {
        builder = builder.name(name.clone());
    }
    if let Some(Node::Integer(version)) = node.get("version") {
        #[expect(clippy::cast_possible_truncation, reason = "JsonNode.intValue wraps")]
        let version = *version as i32;
        builder = builder.version(version);
    }
    if let Some(Node::Text(doc)) = node.get("doc") {
        builder = builder.doc(doc.clone());
    }
    if let Some(Node::Object(parameters)) = node.get("parameters") {
        for (key, value) in parameters {
            let value = value
                .as_text()
                .ok_or_else(|| data("Schema parameters must have string values."))?;
            builder = builder.parameter(key.clone(), value.clone());
        }
    }
    if let Some(default) = node.get("default") {
        let schema = builder.clone().build();
        let value = to_connect(Some(&schema), Some(default), options)?;
        if !value.is_null() {
            builder = builder.default_value(value);
        }
    }
    Ok(Some(builder.build()))
}

fn data(message: &'static str) -> Error {
    Error::data(message)
}

fn part(node: &Node, name: &str, missing: &'static str, options: JsonOptions) -> Result<SchemaRef> {
    let part = node.get(name).ok_or_else(|| data(missing))?;
    read_schema(part, options)?.ok_or_else(|| data(missing))
}

fn structure(node: &Node, options: JsonOptions) -> Result<SchemaBuilder> {
    let Some(Node::Array(fields)) = node.get("fields") else {
        return Err(data("Struct schema's \"fields\" argument is not an array."));
    };
    let mut builder = Schema::structure();
    let mut names: HashSet<&ByteString> = HashSet::with_capacity(fields.len());
    for field in fields {
        let unnamed = || data("Struct schema's field name not specified properly");
        let name = field
            .get("field")
            .and_then(Node::as_text)
            .ok_or_else(unnamed)?;
        let schema = read_schema(field, options)?.ok_or_else(unnamed)?;
        if !names.insert(name) {
            return Err(Error::data(format!(
                "Cannot create field because of field name duplication {name}"
            )));
        }
        builder = builder.field(name.clone(), schema);
    }
    Ok(builder)
}
