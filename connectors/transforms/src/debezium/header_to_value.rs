//! Puts headers into the value, as fields.
//!
//! ```text
//! config   {"type": "io.debezium.transforms.HeaderToValue", "headers": "h", "fields": "after.h",
//!           "operation": "move"}
//! before   header h = 1, value {"after": {"id": 7}}
//! after    value {"after": {"id": 7, "h": 1}}
//! ```
//!
//! A record without any of the headers passes unchanged. The value's schema is worked out by the
//! first record and stays while later records' headers fit into it.
//!
//! Answers for `io.debezium.transforms.{HeaderToValue, ConnectRecordUtil}`.

use std::sync::Arc;

use connect_api::config::{ConfigDef, Importance, Type, Width};
use connect_api::context::PluginContext;
use connect_api::data::{Header, Schema, SchemaCache, SchemaRef, SchemaType, Struct, Value};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use super::{choice, option, required, required_list};
use crate::operand::{SCHEMA_CACHE_SIZE, copy_basics, require_struct};

super::plugin!(
    "io.debezium.transforms.HeaderToValue",
    definition,
    HeaderToValue::default()
);

const HEADERS: &str = "headers";
const FIELDS: &str = "fields";
const OPERATION: &str = "operation";
/// The name under which the value itself is looked at.
const ROOT: &str = "payload";

fn definition() -> ConfigDef {
    let key = |name, kind, display: &str, doc: &str| {
        option(name, kind, Importance::High, Width::None, display, doc)
    };
    ConfigDef::new()
        .define(key(
            HEADERS,
            Type::List,
            "Header names list",
            "The headers that go into the value.",
        ))
        .define(key(
            FIELDS,
            Type::List,
            "Field names list",
            "The fields that they become, in the same order; dots lead into structs.",
        ))
        .define(key(
            OPERATION,
            Type::String,
            "Operation: mover or copy",
            "Whether the headers then go (move) or stay (copy).",
        ))
}

/// A field to add: its path, its schema, its value.
struct Entry {
    name: String,
    path: Vec<String>,
    schema: SchemaRef,
    value: Value,
}

#[derive(Debug)]
struct HeaderToValue {
    headers: Vec<String>,
    fields: Vec<String>,
    moves: bool,
    schemas: SchemaCache<SchemaRef>,
}

impl Default for HeaderToValue {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            fields: Vec::new(),
            moves: false,
            schemas: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }
}

impl Transformation for HeaderToValue {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        self.fields = required_list(props, FIELDS, true)?;
        self.headers = required_list(props, HEADERS, true)?;
        required(props, OPERATION)?;
        self.moves = choice(props, OPERATION, &[("move", true), ("copy", false)], false)?;
        if self.headers.len() != self.fields.len() {
            return Err(Error::config(
                "'fields' config must have the same number of elements as 'headers' config.",
            ));
        }
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        if record.value.is_null() {
            return Ok(Some(record));
        }
        let value = require_struct(&record.value.value, "Header field insertion")?;
        let entries: Vec<Entry> = record
            .headers
            .iter()
            .filter_map(|header| self.entry(header))
            .collect();
        if entries.is_empty() {
            return Ok(Some(record));
        }
        let known = self.schemas.get(&value.schema).cloned();
        let updated = match known.as_ref().map(|schema| update(value, &entries, schema)) {
            Some(Ok(updated)) => updated,
            // The first record of this schema, or one with headers that those before it lacked.
            _ => {
                let schema = extend(&value.schema, &entries)?;
                let updated = update(value, &entries, &schema)?;
                self.schemas
                    .get_or_insert_with(&value.schema, || Arc::clone(&schema))
                    .clone_from(&schema);
                updated
            }
        };
        record.value.schema = Some(Arc::clone(&updated.schema));
        record.value.value = Value::Struct(updated);
        if self.moves {
            record
                .headers
                .retain(|header| !self.headers.iter().any(|name| header.key == *name.as_str()));
        }
        Ok(Some(record))
    }
}

impl HeaderToValue {
    fn entry(&self, header: &Header) -> Option<Entry> {
        let index = self
            .headers
            .iter()
            .position(|name| header.key == *name.as_str())?;
        let name = self.fields[index].clone();
        // A header without schema cannot become a field; Debezium fails on it too.
        let schema = header.value.schema.clone()?;
        Some(Entry {
            path: name.split('.').map(str::to_owned).collect(),
            name,
            schema,
            value: header.value.value.clone(),
        })
    }
}

/// The schema with the new fields.
fn extend(schema: &SchemaRef, entries: &[Entry]) -> Result<SchemaRef> {
    for entry in entries.iter().filter(|entry| entry.path.len() > 1) {
        let mut parent = schema;
        for name in &entry.path[..entry.path.len() - 1] {
            let Some(field) = parent.field(name) else {
                break;
            };
            if field.schema.kind().is_primitive() {
                return Err(Error::data(format!(
                    "Field '{name}' is a primitive type, not a struct. Cannot add nested field \
                     '{}'.",
                    entry.name
                )));
            }
            parent = &field.schema;
        }
    }
    Ok(extend_at(ROOT, schema, entries, 0))
}

fn extend_at(name: &str, schema: &SchemaRef, entries: &[Entry], level: usize) -> SchemaRef {
    if schema.kind().is_primitive() {
        return Arc::clone(schema);
    }
    let mut fields: Vec<(String, SchemaRef)> = schema
        .fields()
        .iter()
        .map(|field| {
            let new = match leads_into(entries, &field.name) {
                true => extend_at(&field.name, &field.schema, entries, level + 1),
                false => Arc::clone(&field.schema),
            };
            (field.name.to_string(), new)
        })
        .collect();
    for entry in entries {
        if let Some(field) = field_at(entry, name, level)
            && !fields.iter().any(|(known, _)| known == field)
        {
            fields.push((field.to_owned(), Arc::clone(&entry.schema)));
        }
    }
    for parent in new_parents(name, schema, entries, level) {
        let mut builder = Schema::structure().optional();
        for entry in entries {
            if let Some(field) = nested_field(entry, parent, name, level) {
                builder = builder.field(field, Arc::clone(&entry.schema));
            }
        }
        fields.push((parent.to_owned(), builder.build()));
    }
    let builder = copy_basics(schema, Schema::builder(SchemaType::Struct));
    fields
        .into_iter()
        .fold(builder, |builder, (name, schema)| {
            builder.field(name, schema)
        })
        .build()
}

/// The value in the new schema, with the new fields.
fn update(value: &Struct, entries: &[Entry], schema: &SchemaRef) -> Result<Struct> {
    update_at(ROOT, value, entries, schema, 0)
}

fn update_at(
    name: &str,
    value: &Struct,
    entries: &[Entry],
    schema: &SchemaRef,
    level: usize,
) -> Result<Struct> {
    let mut values = vec![Value::Null; schema.fields().len()];
    let place = |field: &str| {
        schema
            .field(field)
            .ok_or_else(|| Error::data(format!("{field} is not a valid field name")))
    };
    for (field, old) in value.schema.fields().iter().zip(&value.values) {
        let old = match old {
            Value::Null => field.schema.default_value().unwrap_or(old),
            old => old,
        };
        if old.is_null() {
            continue;
        }
        let new = place(&field.name)?;
        values[new.index] = match leads_into(entries, &field.name) {
            true => {
                let nested = require_struct(old, "Nested field")?;
                let nested = update_at(&field.name, nested, entries, &new.schema, level + 1)?;
                Value::Struct(nested)
            }
            false => old.clone(),
        };
    }
    for entry in entries {
        if let Some(field) = field_at(entry, name, level) {
            values[place(field)?.index] = entry.value.clone();
        }
    }
    for parent in new_parents(name, &value.schema, entries, level) {
        let new = place(parent)?;
        let mut nested = vec![Value::Null; new.schema.fields().len()];
        for entry in entries {
            if let Some(field) = nested_field(entry, parent, name, level) {
                let field = new
                    .schema
                    .field(field)
                    .ok_or_else(|| Error::data(format!("{field} is not a valid field name")))?;
                nested[field.index] = entry.value.clone();
            }
        }
        values[new.index] = Value::Struct(Struct::new(Arc::clone(&new.schema), nested));
    }
    Ok(Struct::new(Arc::clone(schema), values))
}

/// Whether a path goes through a field of this name, at whatever depth.
fn leads_into(entries: &[Entry], field: &str) -> bool {
    let parent = format!("{field}.");
    entries.iter().any(|entry| entry.name.contains(&parent))
}

/// The field that an entry adds to the struct of this name.
fn field_at<'a>(entry: &'a Entry, name: &str, level: usize) -> Option<&'a str> {
    let path = &entry.path;
    let is_root = path.len() == 1 && name == ROOT;
    let is_child = path.len() == level + 1 && path[level.saturating_sub(1)] == name;
    match (is_root, is_child) {
        (true, _) => path.first().map(String::as_str),
        (false, true) => path.get(level).map(String::as_str),
        (false, false) => None,
    }
}

/// The structs that have to be made for paths that lead on from the struct of this name.
fn new_parents<'a>(
    name: &str,
    schema: &Schema,
    entries: &'a [Entry],
    level: usize,
) -> Vec<&'a str> {
    let mut parents: Vec<&str> = Vec::new();
    for path in entries
        .iter()
        .map(|entry| &entry.path)
        .filter(|path| path.len() > level + 1)
    {
        let here = match level {
            0 => name == ROOT,
            level => path[level - 1] == name,
        };
        let parent = path[level].as_str();
        if here && schema.field(parent).is_none() && !parents.contains(&parent) {
            parents.push(parent);
        }
    }
    parents
}

/// The field that an entry adds to a struct that is made.
fn nested_field<'a>(entry: &'a Entry, parent: &str, name: &str, level: usize) -> Option<&'a str> {
    let path = &entry.path;
    let leads = match level {
        0 => name == ROOT && path.len() > 1 && path[0] == parent,
        level => path[..path.len().min(level + 1)].join(".") == parent,
    };
    leads
        .then(|| path.get(level + 1).map(String::as_str))
        .flatten()
}
