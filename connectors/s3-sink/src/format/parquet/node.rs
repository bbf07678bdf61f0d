//! How a row falls apart into columns: values, and Dremel's levels of what is missing or repeats.
//!
//! Answers for the value half of `org.apache.parquet.avro.AvroWriteSupport`.

use std::ops::Range;
use std::sync::Arc;

use connect_api::data::{SchemaRef, SchemaType, Value};
use connect_api::{Error, Result};

use super::column::Columns;

/// One value of a row, and the columns below it.
#[derive(Debug)]
pub(super) struct Node {
    /// The definition level where it is null; `None` where it must not be.
    pub(super) null: Option<i16>,
    /// What stands in for null.
    pub(super) default: Option<Value>,
    pub(super) columns: Range<usize>,
    pub(super) name: String,
    pub(super) schema_type: SchemaType,
    pub(super) kind: NodeKind,
}

#[derive(Debug)]
pub(super) enum NodeKind {
    Leaf(usize),
    Struct {
        schema: SchemaRef,
        fields: Vec<Node>,
    },
    /// One of the fields is the value; a union in Avro.
    Union(Vec<Node>),
    /// Items repeat at this repetition level; an empty list has this definition level.
    List {
        empty: i16,
        repetition: i16,
        item: Box<Node>,
    },
    /// The same for entries.
    Map {
        empty: i16,
        repetition: i16,
        key: Box<Node>,
        value: Box<Node>,
    },
}

/// Equal but for what a field or a wrapper may say differently: being optional, its default.
pub(super) fn same_fields(one: &SchemaRef, other: &SchemaRef) -> bool {
    Arc::ptr_eq(one, other)
        || (one.kind() == other.kind()
            && one.fields().len() == other.fields().len()
            && one.fields().iter().zip(other.fields()).all(|(a, b)| {
                a.name == b.name && (Arc::ptr_eq(&a.schema, &b.schema) || a.schema == b.schema)
            }))
}

impl Node {
    /// # Errors
    /// Kind Data: a value is not of its schema.
    pub(super) fn write(
        &self,
        value: &Value,
        repetition: i16,
        columns: &mut Columns,
    ) -> Result<()> {
        match (&self.kind, value) {
            (_, Value::Null) => self.write_null(repetition, columns),
            (NodeKind::Leaf(column), value) => {
                columns.push(*column, value, repetition, self.schema_type.name())
            }
            (NodeKind::Struct { schema, fields }, Value::Struct(given)) => {
                if !Arc::ptr_eq(schema, &given.schema) && !same_fields(schema, &given.schema) {
                    return Err(Error::data("Mismatching struct schema"));
                }
                for (field, value) in fields.iter().zip(&given.values) {
                    field.write(value, repetition, columns)?;
                }
                Ok(())
            }
            (NodeKind::Union(members), Value::Struct(given)) => {
                // The first member with a value is the union's.
                let chosen = given.values.iter().position(|value| !value.is_null());
                for (index, member) in members.iter().enumerate() {
                    match given.values.get(index).filter(|_| Some(index) == chosen) {
                        Some(value) => member.write(value, repetition, columns)?,
                        None => member.write(&Value::Null, repetition, columns)?,
                    }
                }
                Ok(())
            }
            (
                NodeKind::List {
                    empty,
                    repetition: again,
                    item,
                },
                Value::Array(items),
            ) => {
                if items.is_empty() {
                    columns.push_null(self.columns.clone(), *empty, repetition);
                }
                for (index, value) in items.iter().enumerate() {
                    item.write(value, if index == 0 { repetition } else { *again }, columns)?;
                }
                Ok(())
            }
            (
                NodeKind::Map {
                    empty,
                    repetition: again,
                    key,
                    value,
                },
                Value::Map(map),
            ) => {
                if map.is_empty() {
                    columns.push_null(self.columns.clone(), *empty, repetition);
                }
                for (index, (entry_key, entry_value)) in map.iter().enumerate() {
                    let level = if index == 0 { repetition } else { *again };
                    key.write(entry_key, level, columns)?;
                    value.write(entry_value, level, columns)?;
                }
                Ok(())
            }
            (_, other) => Err(Error::data(format!(
                "Invalid type for {}: class {}",
                self.schema_type.name(),
                other.java_class().unwrap_or("null")
            ))),
        }
    }

    #[cold]
    fn write_default(&self, default: &Value, repetition: i16, columns: &mut Columns) -> Result<()> {
        self.write(default, repetition, columns)
    }

    fn write_null(&self, repetition: i16, columns: &mut Columns) -> Result<()> {
        match (&self.default, self.null) {
            (Some(default), _) => self.write_default(default, repetition, columns),
            (None, Some(level)) => {
                columns.push_null(self.columns.clone(), level, repetition);
                Ok(())
            }
            (None, None) => Err(Error::data(format!(
                "Invalid value: null used for required field: \"{}\", schema type: {}",
                self.name,
                self.schema_type.name()
            ))),
        }
    }
}
