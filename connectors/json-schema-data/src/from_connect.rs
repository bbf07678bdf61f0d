//! A Connect schema as the text that is registered: the order of its parts is that in which the
//! JVM's library prints them, hash order included.

use connect_api::data::json::{DecimalFormat, ValuePlan, write_string};
use connect_api::data::logical::Logical;
use connect_api::data::{Schema, SchemaRef, SchemaType, Struct, Value};
use connect_api::java::HashMap as JavaHashMap;
use connect_api::{Error, Result};

use crate::write::style;
use crate::{
    CONNECT_INDEX, CONNECT_PARAMETERS, CONNECT_TYPE, CONNECT_VERSION, ENUM, GENERAL_ENUM, ID,
    JsonSchemaOptions, KEY, MAX_DEPTH, NULL_SYMBOL, OWN_PREFIX, VALUE, is_union,
};

/// The JSON Schema of a Connect schema.
///
/// # Errors
/// The schema has no JSON form, or is too deep.
pub fn schema_text(schema: &SchemaRef, options: &JsonSchemaOptions) -> Result<String> {
    let mut printer = Printer {
        options,
        out: Vec::new(),
        ids: Vec::new(),
        root: schema,
        depth: 0,
    };
    printer.schema(schema, None)?;
    String::from_utf8(printer.out)
        .map_err(|error| Error::data("a JSON Schema is not UTF-8").with_source(error))
}

struct Printer<'a> {
    options: &'a JsonSchemaOptions,
    out: Vec<u8>,
    /// The `$id`s that stand above or before.
    ids: Vec<String>,
    root: &'a SchemaRef,
    depth: usize,
}

impl Printer<'_> {
    fn schema(&mut self, schema: &SchemaRef, index: Option<usize>) -> Result<()> {
        if is_union(schema) {
            return self.union(schema, index);
        }
        if !schema.is_optional() {
            return self.required(schema, index);
        }
        self.out.push(b'{');
        self.index(index);
        self.name("oneOf");
        self.out.extend_from_slice(b"[{\"type\":\"null\"},");
        self.required(schema, None)?;
        self.out.extend_from_slice(b"]}");
        Ok(())
    }

    /// One of several types.
    fn union(&mut self, schema: &SchemaRef, index: Option<usize>) -> Result<()> {
        self.enter()?;
        self.out.push(b'{');
        self.index(index);
        self.name("oneOf");
        self.out.push(b'[');
        if schema.is_optional() {
            self.out.extend_from_slice(b"{\"type\":\"null\"}");
        }
        for field in schema.fields() {
            if self.out.last() != Some(&b'[') {
                self.out.push(b',');
            }
            let member = field.schema.to_builder().optional_if(false).build();
            self.schema(&member, Some(field.index))?;
        }
        self.out.extend_from_slice(b"]}");
        self.depth -= 1;
        Ok(())
    }

    /// The schema without its being optional.
    fn required(&mut self, schema: &SchemaRef, index: Option<usize>) -> Result<()> {
        self.enter()?;
        self.out.push(b'{');
        if let Some(id) = schema.parameter(ID) {
            if self.ids.iter().any(|known| known == id) {
                self.text("$ref", id);
                self.index(index);
                self.out.push(b'}');
                self.depth -= 1;
                return Ok(());
            }
            self.ids.push(id.to_owned());
        }
        if schema.is_recursive() {
            // Without an `$id` only the whole can be named.
            if !schema
                .recursion()
                .is_some_and(|whole| SchemaRef::ptr_eq(&whole, self.root))
            {
                return Err(Error::data(
                    "a schema refers to a struct around it that has no name in JSON Schema",
                ));
            }
            self.text("$ref", "#");
            self.index(index);
            self.out.push(b'}');
            self.depth -= 1;
            return Ok(());
        }
        let symbols = symbols(schema);
        let connect_type = self.head(schema, symbols.as_deref());
        if let Some(name) = schema.name() {
            self.text("title", name);
        }
        if let Some(doc) = schema.doc() {
            self.text("description", doc);
        }
        self.default(schema)?;
        if let Some(id) = schema.parameter(ID) {
            self.text("$id", id);
        }
        self.index(index);
        if let Some(version) = schema.version() {
            self.name(CONNECT_VERSION);
            self.out.extend_from_slice(version.to_string().as_bytes());
        }
        if let Some(connect_type) = connect_type {
            self.text(CONNECT_TYPE, connect_type);
        }
        self.parameters(schema);
        self.tail(schema)?;
        self.out.push(b'}');
        self.depth -= 1;
        Ok(())
    }

    /// What stands first: the type, or the symbols. Answers the `connect.type`.
    fn head(&mut self, schema: &Schema, symbols: Option<&[&str]>) -> Option<&'static str> {
        if let Some(symbols) = symbols {
            self.name("enum");
            for (place, symbol) in symbols.iter().enumerate() {
                self.out.push(if place == 0 { b'[' } else { b',' });
                match *symbol {
                    NULL_SYMBOL => self.out.extend_from_slice(b"null"),
                    symbol => write_string(symbol, &mut self.out),
                }
            }
            self.out.push(b']');
            return None;
        }
        let (kind, connect_type) = match schema.kind() {
            SchemaType::Int8 => ("integer", Some("int8")),
            SchemaType::Int16 => ("integer", Some("int16")),
            SchemaType::Int32 => ("integer", Some("int32")),
            SchemaType::Int64 => ("integer", Some("int64")),
            SchemaType::Float32 => ("number", Some("float32")),
            SchemaType::Float64 => ("number", Some("float64")),
            SchemaType::String => ("string", None),
            SchemaType::Bytes => match schema.logical() {
                Some(Logical::Decimal) if self.options.decimal_format == DecimalFormat::Numeric => {
                    ("number", Some("bytes"))
                }
                _ => ("string", Some("bytes")),
            },
            SchemaType::Array => ("array", None),
            SchemaType::Map if is_object(schema) => ("object", Some("map")),
            SchemaType::Map => ("array", Some("map")),
            SchemaType::Struct => ("object", None),
            // Printed last, like the JVM's library does.
            SchemaType::Boolean => return None,
        };
        self.text("type", kind);
        if schema.kind() == SchemaType::Struct && !self.options.object_additional_properties {
            self.name("additionalProperties");
            self.out.extend_from_slice(b"false");
        }
        connect_type
    }

    /// What stands last: the parts of the type.
    fn tail(&mut self, schema: &SchemaRef) -> Result<()> {
        match schema.kind() {
            SchemaType::Boolean => self.text("type", "boolean"),
            SchemaType::Array => {
                self.name("items");
                self.schema(part(schema.value_schema())?, None)?;
            }
            SchemaType::Map if is_object(schema) => {
                self.name("additionalProperties");
                self.schema(part(schema.value_schema())?, None)?;
            }
            SchemaType::Map => {
                self.name("items");
                self.out
                    .extend_from_slice(b"{\"type\":\"object\",\"properties\":{");
                // In hash order.
                write_string(VALUE, &mut self.out);
                self.out.push(b':');
                self.schema(part(schema.value_schema())?, Some(1))?;
                self.out.push(b',');
                write_string(KEY, &mut self.out);
                self.out.push(b':');
                self.schema(part(schema.key_schema())?, Some(0))?;
                self.out.extend_from_slice(b"}}");
            }
            SchemaType::Struct if !schema.fields().is_empty() => {
                self.name("properties");
                let fields = schema.fields().iter();
                let by_name: JavaHashMap<_, _> =
                    fields.map(|field| (field.name.clone(), field)).collect();
                for (place, field) in by_name.values().enumerate() {
                    self.out.push(if place == 0 { b'{' } else { b',' });
                    write_string(&field.name, &mut self.out);
                    self.out.push(b':');
                    self.schema(&field.schema, Some(field.index))?;
                }
                self.out.push(b'}');
            }
            _ => {}
        }
        Ok(())
    }

    fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::data(format!(
                "a schema is nested more than {MAX_DEPTH} levels deep"
            )));
        }
        Ok(())
    }

    /// The name of the next member.
    fn name(&mut self, name: &str) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        write_string(name, &mut self.out);
        self.out.push(b':');
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        write_string(text, &mut self.out);
    }

    fn index(&mut self, index: Option<usize>) {
        if let Some(index) = index {
            self.name(CONNECT_INDEX);
            self.out.extend_from_slice(index.to_string().as_bytes());
        }
    }

    fn parameters(&mut self, schema: &Schema) {
        let own = |key: &str| key.starts_with(OWN_PREFIX);
        let parameters = || schema.parameters().iter().filter(|(key, _)| !own(key));
        let mut by_key = JavaHashMap::with_capacity(parameters().count());
        for (key, value) in parameters() {
            by_key.insert(key.clone(), value);
        }
        if by_key.is_empty() {
            return;
        }
        self.name(CONNECT_PARAMETERS);
        for (place, (key, value)) in by_key.iter().enumerate() {
            self.out.push(if place == 0 { b'{' } else { b',' });
            write_string(key, &mut self.out);
            self.out.push(b':');
            write_string(value, &mut self.out);
        }
        self.out.push(b'}');
    }

    fn default(&mut self, schema: &SchemaRef) -> Result<()> {
        let Some(default) = schema.default_value().filter(|value| !value.is_null()) else {
            return Ok(());
        };
        // Without its default, since that is what is being written.
        let bare = schema.to_builder().no_default().build();
        let default = match default {
            Value::Struct(value) if *value.schema == **schema => {
                Value::Struct(Struct::new(SchemaRef::clone(&bare), value.values.clone()))
            }
            other => other.clone(),
        };
        self.name("default");
        ValuePlan::new(&bare, style(self.options)).write(&default, &mut self.out)
    }
}

/// Whether a map is an object: its keys are texts that are never null.
pub(crate) fn is_object(map: &Schema) -> bool {
    map.key_schema()
        .is_some_and(|key| key.kind() == SchemaType::String && !key.is_optional())
}

/// The symbols of a text that is one of a list, in hash order.
fn symbols(schema: &Schema) -> Option<Vec<&str>> {
    if schema.kind() != SchemaType::String {
        return None;
    }
    let name = [ENUM, GENERAL_ENUM]
        .into_iter()
        .find(|name| schema.parameter(name).is_some())?;
    let symbol =
        |key: &'_ str| -> Option<usize> { key.strip_prefix(name)?.strip_prefix('.').map(str::len) };
    let mut symbols: JavaHashMap<_, &str> = JavaHashMap::new();
    for (key, _) in schema.parameters() {
        if let Some(symbol) = symbol(key).and_then(|length| key.get(key.len() - length..)) {
            symbols.insert(symbol.to_owned(), symbol);
        }
    }
    (!symbols.is_empty()).then(|| symbols.values().copied().collect())
}

/// Arrays and maps are built with their parts.
fn part(part: Option<&SchemaRef>) -> Result<&SchemaRef> {
    part.ok_or_else(|| Error::data("an array or map has no schema for its elements"))
}
