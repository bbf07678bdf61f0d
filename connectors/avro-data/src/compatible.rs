//! Whether data written in one schema can be read in another.
//!
//! Answers for `SchemaCompatibility.checkReaderWriterCompatibility`: numbers may widen, text and
//! bytes stand for each other, a reader's field that the writer does not have needs a default.

use std::collections::HashMap;
use std::sync::Arc;

use crate::schema::{Avro, AvroField, AvroRef, Shape};

/// Whether a reader with `reader` can read whatever `writer` writes.
pub fn can_read(reader: &AvroRef, writer: &AvroRef) -> bool {
    let mut check = Check {
        readers: named(reader),
        writers: named(writer),
        assumed: Vec::new(),
    };
    check.reads(reader, writer)
}

/// The named types of a schema, by their full names.
pub(crate) fn named(schema: &AvroRef) -> HashMap<String, AvroRef> {
    let mut names = HashMap::new();
    collect(schema, &mut names);
    names
}

fn collect(schema: &AvroRef, names: &mut HashMap<String, AvroRef>) {
    if let Some(name) = schema.name()
        && !matches!(schema.shape, Shape::Reference(_))
        && names.insert(name.full(), Arc::clone(schema)).is_some()
    {
        return;
    }
    match &schema.shape {
        Shape::Array(inner) | Shape::Map(inner) => collect(inner, names),
        Shape::Union(branches) => branches.iter().for_each(|branch| collect(branch, names)),
        Shape::Record { fields, .. } => fields
            .iter()
            .for_each(|field| collect(&field.schema, names)),
        _ => {}
    }
}

struct Check {
    readers: HashMap<String, AvroRef>,
    writers: HashMap<String, AvroRef>,
    /// Pairs of records that are being compared: taken as compatible where they meet again.
    assumed: Vec<(String, String)>,
}

/// The type that a reference stands for.
pub(crate) fn resolved(schema: &AvroRef, names: &HashMap<String, AvroRef>) -> AvroRef {
    match &schema.shape {
        Shape::Reference(name) => names.get(&name.full()).unwrap_or(schema).clone(),
        _ => Arc::clone(schema),
    }
}

/// The place of the field among the writer's that is the reader's by its name, or by one that it had
/// before.
pub(crate) fn written_field(fields: &[AvroField], wanted: &AvroField) -> Option<usize> {
    let place = |name: &String| fields.iter().position(|field| field.name == *name);
    place(&wanted.name).or_else(|| wanted.aliases.iter().find_map(place))
}

/// Whether the reader's type has the writer's name, in whatever namespace, or had its full name before.
fn is_called(reader: &Avro, writer: &Avro) -> bool {
    match (reader.name(), writer.name()) {
        (Some(one), Some(other)) => {
            one.name == other.name || reader.aliases.contains(&other.full())
        }
        _ => false,
    }
}

impl Check {
    fn reads(&mut self, reader: &AvroRef, writer: &AvroRef) -> bool {
        let reader = &resolved(reader, &self.readers);
        let writer = &resolved(writer, &self.writers);
        match (&reader.shape, &writer.shape) {
            (_, Shape::Union(branches)) => branches.iter().all(|branch| self.reads(reader, branch)),
            (Shape::Union(branches), _) => branches.iter().any(|branch| self.reads(branch, writer)),
            (Shape::Long, Shape::Int)
            | (Shape::Float, Shape::Int | Shape::Long)
            | (Shape::Double, Shape::Int | Shape::Long | Shape::Float)
            | (Shape::Bytes, Shape::String)
            | (Shape::String, Shape::Bytes) => true,
            (Shape::Array(one), Shape::Array(other)) | (Shape::Map(one), Shape::Map(other)) => {
                self.reads(one, other)
            }
            (Shape::Fixed { size: x, .. }, Shape::Fixed { size: y, .. }) => {
                is_called(reader, writer) && x == y
            }
            (
                Shape::Enum {
                    symbols: known,
                    default,
                    ..
                },
                Shape::Enum { symbols, .. },
            ) => {
                is_called(reader, writer)
                    && (default.is_some() || symbols.iter().all(|symbol| known.contains(symbol)))
            }
            (
                Shape::Record {
                    name: a, fields, ..
                },
                Shape::Record {
                    name: b,
                    fields: written,
                    ..
                },
            ) => {
                if !is_called(reader, writer) {
                    return false;
                }
                let pair = (a.full(), b.full());
                if self.assumed.contains(&pair) {
                    return true;
                }
                self.assumed.push(pair);
                fields
                    .iter()
                    .all(|field| match written_field(written, field) {
                        Some(at) => self.reads(&field.schema, &written[at].schema),
                        None => field.default.is_some(),
                    })
            }
            (one, other) => !one.primitive().is_empty() && one.primitive() == other.primitive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Parser;

    #[test]
    fn a_reader_reads_what_widens_or_has_a_default() {
        let record =
            |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
        let a = r#"{"name":"a","type":"int"}"#;
        let b = r#"{"name":"b","type":"int","default":1}"#;
        let next = r#"{"name":"n","type":["null","R"]}"#;
        for (reader, writer, expected) in [
            ("\"long\"".to_owned(), "\"int\"".to_owned(), true),
            ("\"int\"".to_owned(), "\"long\"".to_owned(), false),
            (r#"["null","int"]"#.to_owned(), "\"int\"".to_owned(), true),
            ("\"int\"".to_owned(), r#"["null","int"]"#.to_owned(), false),
            (record(&format!("{a},{b}")), record(a), true),
            (record(a), record(""), false),
            (record(""), record(a), true),
            (record(next), record(next), true),
        ] {
            let parse = |text: &str| Parser::new().parse(text).expect("a schema");
            assert_eq!(
                can_read(&parse(&reader), &parse(&writer)),
                expected,
                "{reader} reads {writer}"
            );
        }
    }
}
