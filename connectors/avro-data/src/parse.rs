//! Reads the JSON text of an Avro schema, with the schemas that it names from elsewhere.
//!
//! Answers for `Schema.Parser`: names are checked, a name without a namespace is one of the
//! namespace around it, a name may be used before its type is complete.

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::Result;
use serde_json::{Map, Value};

use crate::names::{self, refused};
use crate::schema::{Avro, AvroField, AvroRef, Name, Shape};

/// Reads schemas; what one defines the next may name.
#[derive(Debug, Default)]
pub struct Parser {
    named: HashMap<String, Named>,
}

#[derive(Debug)]
enum Named {
    /// Its definition is being read.
    Open(Name),
    Done(AvroRef),
}

/// The members that say what a schema is, and so are none of its properties.
const RESERVED: [&str; 10] = [
    "type",
    "name",
    "namespace",
    "doc",
    "fields",
    "items",
    "values",
    "size",
    "symbols",
    "aliases",
];

impl Parser {
    /// A parser that knows no names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one schema.
    ///
    /// # Errors
    /// Kind Data: the text is no Avro schema.
    pub fn parse(&mut self, text: &str) -> Result<AvroRef> {
        // A registry may hold a bare name of a type, without quotes.
        let json = match crate::text::parse(text) {
            Ok(json) => json,
            Err(_) if primitive(text.trim()).is_some() => Value::String(text.trim().to_owned()),
            Err(error) => {
                return Err(refused("Cannot parse <null> schema").with_source(error));
            }
        };
        self.schema(&json, None)
    }

    fn schema(&mut self, json: &Value, space: Option<&str>) -> Result<AvroRef> {
        match json {
            Value::String(name) => self.by_name(name, space),
            Value::Array(branches) => {
                let branches = branches
                    .iter()
                    .map(|branch| self.schema(branch, space))
                    .collect::<Result<Vec<_>>>()?;
                for (at, branch) in branches.iter().enumerate() {
                    let name = branch.type_name();
                    let twice = branches[..at].iter().any(|other| other.type_name() == name);
                    if twice || matches!(branch.shape, Shape::Union(_)) {
                        return Err(refused(format!("Duplicate in union:{name}")));
                    }
                }
                Ok(Avro::plain(Shape::Union(branches)))
            }
            Value::Object(members) => self.object(members, space),
            other => Err(refused(format!("Schema not yet supported: {other}"))),
        }
    }

    fn by_name(&self, name: &str, space: Option<&str>) -> Result<AvroRef> {
        if let Some(shape) = primitive(name) {
            return Ok(Avro::plain(shape));
        }
        let full = match space {
            Some(space) if !name.contains('.') => format!("{space}.{name}"),
            _ => name.to_owned(),
        };
        let named = self.named.get(&full).or_else(|| self.named.get(name));
        match named {
            Some(Named::Done(schema)) => Ok(Arc::clone(schema)),
            Some(Named::Open(name)) => Ok(Avro::plain(Shape::Reference(name.clone()))),
            None => Err(refused(format!("\"{name}\" is not a defined name"))),
        }
    }

    fn object(&mut self, members: &Map<String, Value>, space: Option<&str>) -> Result<AvroRef> {
        let kind = match members.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            // A type in place of a type's name: what it says counts.
            Some(inner @ (Value::Object(_) | Value::Array(_))) => return self.schema(inner, space),
            _ => return Err(refused("No type: a schema has to say its type")),
        };
        let mut props: Map<String, Value> = members
            .iter()
            .filter(|(key, _)| !RESERVED.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let of = |shape, props| Ok(Avro::with_props(shape, props));
        if let Some(shape) = primitive(kind) {
            return of(shape, props);
        }
        let part = |name: &str| {
            members
                .get(name)
                .ok_or_else(|| refused(format!("{kind} has no {name}")))
        };
        match kind {
            "array" => {
                let items = self.schema(part("items")?, space)?;
                of(Shape::Array(items), props)
            }
            "map" => {
                let values = self.schema(part("values")?, space)?;
                of(Shape::Map(values), props)
            }
            "fixed" => {
                let name = name_of(members, space)?;
                let size = part("size")?.as_u64().and_then(|n| usize::try_from(n).ok());
                let size = size.ok_or_else(|| refused("Invalid or no size"))?;
                let aliases = type_aliases(members, &name);
                self.define(Shape::Fixed { name, size }, props, aliases)
            }
            "enum" => {
                let name = name_of(members, space)?;
                let symbols = part("symbols")?
                    .as_array()
                    .and_then(|all| all.iter().map(text).collect::<Option<Vec<_>>>())
                    .ok_or_else(|| refused("Enum has no symbols"))?;
                let default = props.shift_remove("default").as_ref().and_then(text);
                names::check_symbols(&symbols, default.as_deref())?;
                let aliases = type_aliases(members, &name);
                let shape = Shape::Enum {
                    name,
                    doc: members.get("doc").and_then(text),
                    symbols,
                    default,
                };
                self.define(shape, props, aliases)
            }
            "record" | "error" => self.record(members, props, space),
            other => self.by_name(other, space),
        }
    }

    fn record(
        &mut self,
        members: &Map<String, Value>,
        props: Map<String, Value>,
        space: Option<&str>,
    ) -> Result<AvroRef> {
        let name = name_of(members, space)?;
        let full = name.full();
        if self.named.contains_key(&full) {
            return Err(refused(format!("Can't redefine: {full}")));
        }
        self.named.insert(full.clone(), Named::Open(name.clone()));
        let Some(Value::Array(given)) = members.get("fields") else {
            return Err(refused("Record has no fields"));
        };
        let mut fields: Vec<AvroField> = Vec::with_capacity(given.len());
        for field in given {
            let field_name = field
                .get("name")
                .and_then(text)
                .ok_or_else(|| refused(format!("No field name: {field}")))?;
            names::check(&field_name)?;
            if fields.iter().any(|other| other.name == field_name) {
                return Err(refused(format!(
                    "Duplicate field {field_name} in record {full}"
                )));
            }
            let kind = field
                .get("type")
                .ok_or_else(|| refused(format!("No field type: {field_name}")))?;
            fields.push(AvroField {
                schema: self.schema(kind, name.namespace.as_deref())?,
                name: field_name,
                doc: field.get("doc").and_then(text),
                default: field.get("default").cloned(),
                aliases: aliases(field.get("aliases")),
            });
        }
        let record = Arc::new(Avro {
            aliases: type_aliases(members, &name),
            shape: Shape::Record {
                name,
                doc: members.get("doc").and_then(text),
                fields,
            },
            props,
        });
        self.named.insert(full, Named::Done(Arc::clone(&record)));
        Ok(record)
    }

    fn define(
        &mut self,
        shape: Shape,
        props: Map<String, Value>,
        aliases: Vec<String>,
    ) -> Result<AvroRef> {
        let schema = Arc::new(Avro {
            shape,
            props,
            aliases,
        });
        if let Some(name) = schema.name() {
            let known = self
                .named
                .insert(name.full(), Named::Done(Arc::clone(&schema)));
            if known.is_some() {
                return Err(refused(format!("Can't redefine: {}", name.full())));
            }
        }
        Ok(schema)
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(ToOwned::to_owned)
}

fn aliases(given: Option<&Value>) -> Vec<String> {
    let given = given.and_then(Value::as_array);
    given.into_iter().flatten().filter_map(text).collect()
}

/// The full names that a type had before: one without a namespace is of the type's own.
fn type_aliases(members: &Map<String, Value>, name: &Name) -> Vec<String> {
    let full = |alias: String| match &name.namespace {
        Some(space) if !alias.contains('.') => format!("{space}.{alias}"),
        _ => alias,
    };
    let given = aliases(members.get("aliases"));
    given.into_iter().map(full).collect()
}

fn primitive(name: &str) -> Option<Shape> {
    Some(match name {
        "null" => Shape::Null,
        "boolean" => Shape::Boolean,
        "int" => Shape::Int,
        "long" => Shape::Long,
        "float" => Shape::Float,
        "double" => Shape::Double,
        "bytes" => Shape::Bytes,
        "string" => Shape::String,
        _ => return None,
    })
}

fn name_of(members: &Map<String, Value>, space: Option<&str>) -> Result<Name> {
    let given = members
        .get("name")
        .and_then(Value::as_str)
        .ok_or_else(|| refused("No name in schema"))?;
    let mut name = Name::parse(given);
    if !given.contains('.') {
        name.namespace = members
            .get("namespace")
            .and_then(Value::as_str)
            .or(space)
            .filter(|space| !space.is_empty())
            .map(ToOwned::to_owned);
    }
    names::check(&name.name)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<AvroRef> {
        Parser::new().parse(text)
    }

    #[test]
    fn what_is_read_is_printed_again() {
        for text in [
            r#""string""#,
            r#"{"type":"int","connect.type":"int8"}"#,
            r#"["null",{"type":"record","name":"N","namespace":"a.b","doc":"d","fields":[{"name":"next","type":["null","N"],"default":null},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}},{"name":"f","type":{"type":"fixed","name":"F","namespace":"c","size":3}},{"name":"g","type":{"type":"map","values":{"type":"array","items":"c.F"}}}],"x":1}]"#,
        ] {
            assert_eq!(parsed(text).expect("a schema").to_text(), text);
        }
        assert_eq!(parsed("int").expect("a bare name").to_text(), "\"int\"");
    }

    #[test]
    fn a_schema_may_name_what_another_defines() {
        let mut parser = Parser::new();
        parser
            .parse(r#"{"type":"record","name":"a.R","fields":[]}"#)
            .expect("defined");
        let schema = parser
            .parse(r#"{"type":"array","items":"a.R"}"#)
            .expect("named");
        assert!(matches!(&schema.shape, Shape::Array(items) if items.name().is_some()));
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for text in [
            "",
            "{",
            "7",
            "{}",
            r#""nope""#,
            r#"["int","int"]"#,
            r#"["int",["string"]]"#,
            r#"{"type":"record","name":"R"}"#,
            r#"{"type":"record","name":"a-b","fields":[]}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#,
            r#"{"type":"enum","name":"E"}"#,
            r#"{"type":"enum","name":"E","symbols":["A","A"]}"#,
            r#"{"type":"fixed","name":"F"}"#,
            r#"{"type":"array"}"#,
        ] {
            parsed(text).expect_err(text);
        }
    }
}
