//! Whether data written in one schema can be read in another.
//!
//! Answers for `SchemaCompatibility.checkReaderWriterCompatibility`: numbers may widen, text and
//! bytes stand for each other, a reader's field that the writer does not have needs a default.

use std::collections::HashMap;
use std::sync::Arc;

use crate::schema::{AvroRef, Shape};

/// Whether a reader with `reader` can read whatever `writer` writes.
pub fn can_read(reader: &AvroRef, writer: &AvroRef) -> bool {
    let mut check = Check {
        readers: HashMap::new(),
        writers: HashMap::new(),
        assumed: Vec::new(),
    };
    collect(reader, &mut check.readers);
    collect(writer, &mut check.writers);
    check.reads(reader, writer)
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

fn resolved(schema: &AvroRef, names: &HashMap<String, AvroRef>) -> AvroRef {
    match &schema.shape {
        Shape::Reference(name) => names.get(&name.full()).unwrap_or(schema).clone(),
        _ => Arc::clone(schema),
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
            (Shape::Fixed { name: a, size: x }, Shape::Fixed { name: b, size: y }) => {
                a.name == b.name && x == y
            }
            (
                Shape::Enum {
                    name: a,
                    symbols: known,
                    default,
                    ..
                },
                Shape::Enum {
                    name: b, symbols, ..
                },
            ) => {
                a.name == b.name
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
                if a.name != b.name {
                    return false;
                }
                let pair = (a.full(), b.full());
                if self.assumed.contains(&pair) {
                    return true;
                }
                self.assumed.push(pair);
                fields.iter().all(|field| {
                    match written.iter().find(|other| other.name == field.name) {
                        Some(other) => self.reads(&field.schema, &other.schema),
                        None => field.default.is_some(),
                    }
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
