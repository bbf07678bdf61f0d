//! Drops schema change events of some kinds.
//!
//! ```text
//! config   {"type": "io.debezium.transforms.SchemaChangeEventFilter",
//!           "schema.change.event.exclude.list": "DROP,TRUNCATE"}
//! ```
//!
//! Connectors for Postgres send no such events; those of other databases that come by in Kafka are
//! filtered. Answers for `io.debezium.transforms.SchemaChangeEventFilter`.

use connect_api::config::{ConfigDef, Importance, Type, Width};
use connect_api::context::PluginContext;
use connect_api::data::Value;
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use super::{option, required};
use crate::operand::require_struct;

super::plugin!(
    "io.debezium.transforms.SchemaChangeEventFilter",
    definition,
    SchemaChangeEventFilter::default()
);

const EXCLUDE: &str = "schema.change.event.exclude.list";
const KINDS: [&str; 5] = ["CREATE", "ALTER", "DROP", "TRUNCATE", "DATABASE"];

fn definition() -> ConfigDef {
    ConfigDef::new().define(option(
        EXCLUDE,
        Type::String,
        Importance::High,
        Width::Short,
        "Schema change event exclude list",
        "The kinds of schema changes to leave out: CREATE, ALTER, DROP, TRUNCATE, DATABASE.",
    ))
}

#[derive(Debug, Default)]
struct SchemaChangeEventFilter {
    excluded: Vec<&'static str>,
}

impl Transformation for SchemaChangeEventFilter {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let kind = |name: &str| {
            let name = name.trim();
            let known = KINDS.iter().copied().find(|&kind| kind == name);
            known.ok_or_else(|| {
                Error::config(format!(
                    "No enum constant \
                     io.debezium.schema.SchemaChangeEvent.SchemaChangeEventType.{name}"
                ))
            })
        };
        self.excluded = required(props, EXCLUDE)?
            .split(',')
            .map(kind)
            .collect::<Result<_>>()?;
        Ok(())
    }

    fn apply(&mut self, record: Record) -> Result<Option<Record>> {
        let name = record
            .value
            .schema
            .as_ref()
            .and_then(|schema| schema.name());
        let is_change = name.is_some_and(|name| {
            name.ends_with(".SchemaChangeValue") || name.ends_with(".SchemaChangeKey")
        });
        if record.value.is_null() || !is_change {
            return Ok(Some(record));
        }
        let change = require_struct(&record.value.value, "Read schema change event to filter")?;
        let kind = match change.get("tableChanges") {
            Some(Value::Array(changes)) => match changes.first() {
                Some(first) => first
                    .as_struct()
                    .and_then(|first| first.get("type"))
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
                None => "DATABASE",
            },
            _ => return Ok(None),
        };
        let excluded = self.excluded.contains(&kind);
        Ok((!excluded).then_some(record))
    }
}
