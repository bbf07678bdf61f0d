//! Tells in headers which columns an update changed and which it did not.
//!
//! ```text
//! config   {"type": "io.debezium.transforms.ExtractChangedRecordState", "header.changed.name": "Changed"}
//! after    header Changed = ["name"]
//! ```
//!
//! The headers are there for every change event, empty where there is nothing to compare. What is no
//! change event passes unchanged.
//!
//! Answers for `io.debezium.transforms.ExtractChangedRecordState`.

use std::sync::Arc;

use connect_api::config::{ConfigDef, Importance, Type, Width};
use connect_api::context::PluginContext;
use connect_api::data::{Header, Schema, SchemaAndValue, SchemaRef, Struct, Value};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{ByteString, Props, Result};

use super::shared_headers::SharedHeaders;
use super::{envelope_of, option};

super::plugin!(
    "io.debezium.transforms.ExtractChangedRecordState",
    definition,
    ExtractChangedRecordState::default()
);

const CHANGED: &str = "header.changed.name";
const UNCHANGED: &str = "header.unchanged.name";

fn definition() -> ConfigDef {
    let key = |name, display: &str, doc: &str| {
        option(
            name,
            Type::String,
            Importance::Low,
            Width::Long,
            display,
            doc,
        )
    };
    ConfigDef::new()
        .define(key(
            CHANGED,
            "Header change name.",
            "The header that names the changed columns; none is added without it.",
        ))
        .define(key(
            UNCHANGED,
            "Header unchanged name.",
            "The header that names the columns that stayed the same; none is added without it.",
        ))
}

/// A header's name and schema.
type Named = (ByteString, SchemaRef);

#[derive(Debug, Default)]
struct ExtractChangedRecordState {
    changed: Option<Named>,
    unchanged: Option<Named>,
    shared_headers: SharedHeaders,
}

impl Transformation for ExtractChangedRecordState {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let named = |key| {
            let name = props.get(key).filter(|name| !name.trim().is_empty())?;
            let item = Schema::string().optional().build();
            let schema = Schema::array(item).optional().name(name.as_str()).build();
            Some((name.as_str().into(), schema))
        };
        self.changed = named(CHANGED);
        self.unchanged = named(UNCHANGED);
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        self.shared_headers.see(&mut record);
        if envelope_of(&record.value).is_none() {
            return Ok(Some(record));
        }
        let Some(envelope) = record.value.value.as_struct() else {
            return Ok(Some(record));
        };
        let row = |name| envelope.get(name).and_then(Value::as_struct);
        let (changed, unchanged) = match (row("before"), row("after")) {
            (Some(before), Some(after)) => compare(before, after),
            _ => (Vec::new(), Vec::new()),
        };
        let given = row("after").is_none().then(|| record.headers.clone());
        for (header, names) in [(&self.changed, changed), (&self.unchanged, unchanged)] {
            let Some((key, schema)) = header else {
                continue;
            };
            record.headers.push(Header {
                key: key.clone(),
                value: SchemaAndValue::new(Arc::clone(schema), names),
            });
        }
        if let Some(given) = given {
            self.shared_headers.added(&record, given);
        }
        Ok(Some(record))
    }
}

/// The names of the columns that differ, and of those that do not.
fn compare(before: &Struct, after: &Struct) -> (Vec<Value>, Vec<Value>) {
    let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
    for (field, value) in after.schema.fields().iter().zip(&after.values) {
        let name = Value::String(field.name.clone());
        match before.get(&field.name) {
            Some(old) if old == value => unchanged.push(name),
            _ => changed.push(name),
        }
    }
    (changed, unchanged)
}
