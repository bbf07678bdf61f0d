//! An Avro schema as a value, and the JSON that `Schema.toString` prints of it. Parses nothing.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

/// A schema that is shared; a named type that is used twice is the same one twice.
pub type AvroRef = Arc<Avro>;

/// The full name of a record, enum or fixed type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The part after the last dot.
    pub name: String,
    /// The part before it; `None` for the null namespace.
    pub namespace: Option<String>,
}

impl Name {
    /// Splits a full name at its last dot.
    pub fn parse(full: &str) -> Self {
        match full.rsplit_once('.') {
            Some((namespace, name)) => Self {
                name: name.to_owned(),
                namespace: Some(namespace.to_owned()).filter(|space| !space.is_empty()),
            },
            None => Self {
                name: full.to_owned(),
                namespace: None,
            },
        }
    }
    /// Namespace, dot, name.
    pub fn full(&self) -> String {
        match &self.namespace {
            Some(space) => format!("{space}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// What a schema is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// `null`.
    Null,
    /// `boolean`.
    Boolean,
    /// `int`.
    Int,
    /// `long`.
    Long,
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// `bytes`.
    Bytes,
    /// `string`.
    String,
    /// `fixed`.
    Fixed {
        /// Its name.
        name: Name,
        /// Its length in bytes.
        size: usize,
    },
    /// `enum`.
    Enum {
        /// Its name.
        name: Name,
        /// Its documentation.
        doc: Option<String>,
        /// Its symbols.
        symbols: Vec<String>,
        /// The symbol that stands in for an unknown one.
        default: Option<String>,
    },
    /// `array` of these items.
    Array(AvroRef),
    /// `map` of string keys to these values.
    Map(AvroRef),
    /// `record`.
    Record {
        /// Its name.
        name: Name,
        /// Its documentation.
        doc: Option<String>,
        /// Its fields.
        fields: Vec<AvroField>,
    },
    /// A union of these branches.
    Union(Vec<AvroRef>),
    /// The named type around this place that has this name: how a schema contains itself.
    Reference(Name),
}

impl Shape {
    /// The name of a primitive type; empty for the others.
    pub fn primitive(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            _ => "",
        }
    }
}

/// One field of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct AvroField {
    /// Its name.
    pub name: String,
    /// Its schema.
    pub schema: AvroRef,
    /// Its documentation.
    pub doc: Option<String>,
    /// Its default as JSON.
    pub default: Option<Value>,
    /// What it was called before: a reader takes fields of these names for it.
    pub aliases: Vec<String>,
}

/// A schema: its shape and its further properties, in the order in which they are printed.
#[derive(Clone, Debug, PartialEq)]
pub struct Avro {
    /// What it is made of.
    pub shape: Shape,
    /// Properties: `connect.name`, `logicalType`, …
    pub props: Map<String, Value>,
    /// The full names that a named type had before. They are read and not printed.
    pub aliases: Vec<String>,
}

impl Avro {
    /// A schema without properties.
    pub fn plain(shape: Shape) -> AvroRef {
        Self::with_props(shape, Map::new())
    }
    /// A schema with these properties.
    pub fn with_props(shape: Shape, props: Map<String, Value>) -> AvroRef {
        Arc::new(Self {
            shape,
            props,
            aliases: Vec::new(),
        })
    }
    /// The logical type, where the properties say one.
    pub fn logical_type(&self) -> Option<&str> {
        self.props.get("logicalType").and_then(Value::as_str)
    }
    /// The full name of a named type.
    pub fn name(&self) -> Option<&Name> {
        match &self.shape {
            Shape::Fixed { name, .. }
            | Shape::Enum { name, .. }
            | Shape::Record { name, .. }
            | Shape::Reference(name) => Some(name),
            _ => None,
        }
    }
    /// The documentation of a record or enum.
    pub fn doc(&self) -> Option<&str> {
        match &self.shape {
            Shape::Enum { doc, .. } | Shape::Record { doc, .. } => doc.as_deref(),
            _ => None,
        }
    }
    /// What tells a union's branches apart: a named type's full name, or else the type.
    pub fn type_name(&self) -> String {
        if let Some(name) = self.name() {
            return name.full();
        }
        match &self.shape {
            Shape::Array(_) => "array",
            Shape::Map(_) => "map",
            Shape::Union(_) => "union",
            other => other.primitive(),
        }
        .to_owned()
    }
    /// Whether it is a union with a null branch.
    pub fn is_nullable(&self) -> bool {
        matches!(&self.shape, Shape::Union(branches)
            if branches.iter().any(|branch| branch.shape == Shape::Null))
    }
    /// The schema as JSON. A name that was printed before is printed as a reference, even where
    /// another type hides behind it, as Avro's Java library does.
    pub fn to_json(&self) -> Value {
        let mut printer = Printer {
            space: None,
            seen: HashMap::new(),
        };
        printer.print(self)
    }
    /// The schema's text, as Avro's Java library prints it.
    pub fn to_text(&self) -> String {
        crate::text::print(&self.to_json())
    }
}

/// The names of types.
const TYPES: [&str; 14] = [
    "record", "enum", "array", "map", "union", "fixed", "string", "bytes", "int", "long", "float",
    "double", "boolean", "null",
];

struct Printer {
    /// The namespace that a name without one means here.
    space: Option<String>,
    seen: HashMap<String, ()>,
}

impl Printer {
    fn print(&mut self, schema: &Avro) -> Value {
        if let Some(name) = schema.name() {
            if self.seen.contains_key(&name.full()) {
                let here = name.namespace.is_some() && name.namespace == self.space;
                // A name that is also a type's means the type without its namespace.
                return Value::String(if here && !TYPES.contains(&&*name.name) {
                    name.name.clone()
                } else {
                    name.full()
                });
            }
            self.seen.insert(name.full(), ());
        }
        let primitive = schema.shape.primitive();
        if !primitive.is_empty() && schema.props.is_empty() {
            return Value::String(primitive.to_owned());
        }
        let mut out = Map::new();
        match &schema.shape {
            Shape::Union(branches) => {
                return branches.iter().map(|branch| self.print(branch)).collect();
            }
            Shape::Array(items) => {
                out.insert("type".to_owned(), json!("array"));
                out.insert("items".to_owned(), self.print(items));
            }
            Shape::Map(values) => {
                out.insert("type".to_owned(), json!("map"));
                out.insert("values".to_owned(), self.print(values));
            }
            Shape::Fixed { name, size } => {
                out.insert("type".to_owned(), json!("fixed"));
                self.print_name(name, &mut out);
                out.insert("size".to_owned(), json!(size));
            }
            Shape::Enum {
                name,
                doc,
                symbols,
                default,
            } => {
                out.insert("type".to_owned(), json!("enum"));
                self.print_name(name, &mut out);
                if let Some(doc) = doc {
                    out.insert("doc".to_owned(), json!(doc));
                }
                out.insert("symbols".to_owned(), json!(symbols));
                if let Some(default) = default {
                    out.insert("default".to_owned(), json!(default));
                }
            }
            Shape::Record { name, doc, fields } => {
                out.insert("type".to_owned(), json!("record"));
                self.print_name(name, &mut out);
                if let Some(doc) = doc {
                    out.insert("doc".to_owned(), json!(doc));
                }
                let outer = std::mem::replace(&mut self.space, name.namespace.clone());
                let fields = fields.iter().map(|field| self.print_field(field)).collect();
                self.space = outer;
                out.insert("fields".to_owned(), fields);
            }
            _ => {
                out.insert("type".to_owned(), json!(primitive));
            }
        }
        out.extend(
            schema
                .props
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        Value::Object(out)
    }

    fn print_name(&self, name: &Name, out: &mut Map<String, Value>) {
        out.insert("name".to_owned(), json!(name.name));
        match &name.namespace {
            Some(space) if Some(space) != self.space.as_ref() => {
                out.insert("namespace".to_owned(), json!(space));
            }
            None if self.space.is_some() => {
                out.insert("namespace".to_owned(), json!(""));
            }
            _ => {}
        }
    }

    fn print_field(&mut self, field: &AvroField) -> Value {
        let mut out = Map::new();
        out.insert("name".to_owned(), json!(field.name));
        out.insert("type".to_owned(), self.print(&field.schema));
        if let Some(doc) = &field.doc {
            out.insert("doc".to_owned(), json!(doc));
        }
        if let Some(default) = &field.default {
            out.insert("default".to_owned(), default.clone());
        }
        Value::Object(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(full: &str, fields: Vec<AvroField>) -> AvroRef {
        Avro::plain(Shape::Record {
            name: Name::parse(full),
            doc: None,
            fields,
        })
    }
    fn field(name: &str, schema: AvroRef) -> AvroField {
        AvroField {
            name: name.to_owned(),
            schema,
            doc: None,
            default: None,
            aliases: Vec::new(),
        }
    }

    #[test]
    fn a_name_is_printed_once_and_referred_to_afterwards() {
        let inner = record("a.b.Inner", vec![field("x", Avro::plain(Shape::Int))]);
        let map = record("a.b.map", vec![]);
        let outer = record(
            "a.b.Outer",
            vec![
                field("one", Arc::clone(&inner)),
                field("two", inner),
                field("none", record("Bare", vec![])),
                field("map", Arc::clone(&map)),
                field("again", map),
            ],
        );
        assert_eq!(
            outer.to_json().to_string(),
            r#"{"type":"record","name":"Outer","namespace":"a.b","fields":[{"name":"one","type":{"type":"record","name":"Inner","fields":[{"name":"x","type":"int"}]}},{"name":"two","type":"Inner"},{"name":"none","type":{"type":"record","name":"Bare","namespace":"","fields":[]}},{"name":"map","type":{"type":"record","name":"map","fields":[]}},{"name":"again","type":"a.b.map"}]}"#
        );
    }
}
