//! Names the changes of a TimescaleDB chunk after its hypertable or its continuous aggregate.
//!
//! ```text
//! config   {"type": "io.debezium.connector.postgresql.transforms.timescaledb.TimescaleDb",
//!           "database.hostname": …}
//! before   topic P._timescaledb_internal._hyper_1_1_chunk
//! after    topic timescaledb.public.conditions, source.schema and .table likewise,
//!          headers __debezium_timescaledb_chunk_table and …_chunk_schema; of an aggregate also
//!          …_hypertable_table and …_hypertable_schema
//! ```
//!
//! Which chunk is whose is read from TimescaleDB's catalog when a chunk is not known yet. Answers
//! for `io.debezium.connector.postgresql.transforms.timescaledb`.

use std::collections::HashMap;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, Width};
use connect_api::context::PluginContext;
use connect_api::data::text::string_value;
use connect_api::data::{Header, Value};
use connect_api::plugin::{Make, Plugin};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{ByteString, Error, Props, Result};
use tokio::runtime::Handle;

use crate::config;
use crate::error::PgError;
use crate::protocol::connection::Row;
use crate::session::Session;

/// What this module carries.
pub(crate) const PLUGIN: Plugin = Plugin {
    class: "io.debezium.connector.postgresql.transforms.timescaledb.TimescaleDb",
    version: "3.7.0.Final",
    config: definition,
    make: Make::Transformation(|| Box::new(TimescaleDb::default())),
};

const SCHEMAS: &str = "schema.list";
const PREFIX: &str = "target.topic.prefix";

const VERSION: &str = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'";
const HYPERTABLES: &str = "SELECT id, schema_name, table_name FROM _timescaledb_catalog.hypertable";
/// Chunks and their hypertables; before version 2.29 of the extension the catalog has their names.
const CHUNKS: &str = "SELECT n.nspname, ch.relname, ht.schema_name, ht.table_name \
    FROM _timescaledb_catalog.chunk c JOIN pg_class ch ON ch.oid = c.relid \
    JOIN pg_namespace n ON n.oid = ch.relnamespace \
    LEFT JOIN _timescaledb_catalog.hypertable ht ON c.hypertable_id = ht.id";
const OLD_CHUNKS: &str = "SELECT c.schema_name, c.table_name, ht.schema_name, ht.table_name \
    FROM _timescaledb_catalog.chunk c \
    LEFT JOIN _timescaledb_catalog.hypertable ht ON c.hypertable_id = ht.id";
const AGGREGATES: &str = "SELECT ht.schema_name, ht.table_name, agg.user_view_schema, \
    agg.user_view_name FROM _timescaledb_catalog.continuous_agg agg \
    LEFT JOIN _timescaledb_catalog.hypertable ht ON agg.mat_hypertable_id = ht.id";

fn definition() -> ConfigDef {
    let key = |name: &str, kind, importance, label: &str, default: &str, doc: &str| {
        let mut key = ConfigKey::new(name, kind, importance)
            .display(Width::Medium, label)
            .default(default)
            .doc(doc);
        key.order_in_group = 1;
        key
    };
    ConfigDef::new()
        .define(key(
            SCHEMAS,
            Type::List,
            Importance::High,
            "The list of TimescaleDB data schemas",
            "_timescaledb_internal",
            "Schemas, apart by commas, that hold TimescaleDB's own tables.",
        ))
        .define(key(
            PREFIX,
            Type::String,
            Importance::Medium,
            "The prefix of TimescaleDB topic names",
            "timescaledb",
            "What the names of the topics begin with to which the changes go.",
        ))
}

/// A table's schema and name.
type Name = (ByteString, ByteString);

#[derive(Debug, Default)]
struct TimescaleDb {
    schemas: Vec<String>,
    prefix: String,
    catalog: Option<(Session, Handle)>,
    /// How chunks are read.
    chunks: &'static str,
    hypertables: HashMap<Name, Name>,
    /// Hypertables by their number in the catalog.
    numbered: HashMap<i32, Name>,
    aggregates: HashMap<Name, Name>,
}

impl Transformation for TimescaleDb {
    fn configure(&mut self, context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        self.schemas = config.list(SCHEMAS).to_vec();
        if self.schemas.is_empty() {
            self.schemas = vec!["_timescaledb_internal".to_owned()];
        }
        self.prefix = config.string(PREFIX).to_owned();
        let mut session = Session::new(config::connection_of(props), Vec::new());
        let runtime = context.runtime.clone();
        let version = runtime.block_on(async { session.get().await?.query_first(VERSION).await });
        let version = version.map_err(|error| {
            debezium("Failed to determine TimescaleDB version").with_source(error)
        })?;
        let version = version.ok_or_else(|| debezium("TimescaleDB extension is not installed"))?;
        let has_names = is_before_2_29(version.text(0));
        self.chunks = if has_names { OLD_CHUNKS } else { CHUNKS };
        self.catalog = Some((session, runtime));
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let is_envelope = record.value.schema.as_ref().is_some_and(|schema| {
            let name = schema.name();
            name.is_some_and(|name| name.ends_with(".Envelope"))
        });
        if !is_envelope {
            return Ok(Some(record));
        }
        let Some(chunk) = named(&record) else {
            return Ok(Some(record));
        };
        if !self.schemas.iter().any(|schema| **schema == *chunk.0) {
            return Ok(Some(record));
        }
        if !self.hypertables.contains_key(&chunk) {
            self.read_catalog()?;
            // A chunk that was dropped since tells by its name whose it was.
            let number = number_in_name(&chunk.1);
            let known = number.and_then(|number| self.numbered.get(&number));
            if let (false, Some(hypertable)) = (self.hypertables.contains_key(&chunk), known) {
                self.hypertables.insert(chunk.clone(), hypertable.clone());
            }
        }
        let Some(hypertable) = self.hypertables.get(&chunk) else {
            tracing::warn!(
                "Unable to find hypertable for chunk '{}.{}'",
                chunk.0,
                chunk.1
            );
            return Ok(Some(record));
        };
        let aggregate = self.aggregates.get(hypertable);
        let target = aggregate.unwrap_or(hypertable);
        record.topic = format!("{}.{}.{}", self.prefix, target.0, target.1).into();
        rename(&mut record, target);
        let mut header = |what: &str, text: &ByteString| {
            record.headers.push(Header {
                key: format!("__debezium_timescaledb_{what}").into(),
                value: string_value(text.clone()),
            });
        };
        header("chunk_table", &chunk.1);
        header("chunk_schema", &chunk.0);
        if aggregate.is_some() {
            header("hypertable_table", &hypertable.1);
            header("hypertable_schema", &hypertable.0);
        }
        Ok(Some(record))
    }
}

impl TimescaleDb {
    fn read_catalog(&mut self) -> Result<()> {
        let Some((session, runtime)) = &mut self.catalog else {
            return Ok(());
        };
        let chunks = self.chunks;
        let read = runtime.block_on(async {
            let connection = session.get().await?;
            let hypertables = names(&connection.query(chunks).await?);
            let numbered = connection.query(HYPERTABLES).await?;
            let aggregates = names(&connection.query(AGGREGATES).await?);
            Ok::<_, PgError>((hypertables, numbered, aggregates))
        });
        let (hypertables, numbered, aggregates) = read
            .map_err(|error| debezium("Failed to read TimescaleDB metadata").with_source(error))?;
        self.hypertables = hypertables;
        self.numbered = numbered
            .iter()
            .filter_map(|row| Some((row.number(0).ok()?, pair(row, 1)?)))
            .collect();
        self.aggregates = aggregates;
        Ok(())
    }
}

fn debezium(text: &'static str) -> Error {
    Error::data(text).with_class("io.debezium.DebeziumException")
}

/// Rows of two names; those whose second is missing are left out.
fn names(rows: &[Row]) -> HashMap<Name, Name> {
    rows.iter()
        .filter_map(|row| Some((pair(row, 0)?, pair(row, 2)?)))
        .collect()
}

fn pair(row: &Row, at: usize) -> Option<Name> {
    Some((row.get(at)?.into(), row.get(at + 1)?.into()))
}

/// Whether the extension's version, `2.15.1`, is before 2.29; an unreadable one is not.
fn is_before_2_29(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < (2, 29),
        _ => false,
    }
}

/// The hypertable's number in a chunk's usual name: 7 of `_hyper_7_12_chunk`.
fn number_in_name(table: &str) -> Option<i32> {
    let (number, rest) = table.strip_prefix("_hyper_")?.split_once('_')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_usual = is_number(rest.strip_suffix("_chunk")?) && is_number(number);
    (is_usual && number.len() <= 9)
        .then(|| number.parse().ok())
        .flatten()
}

/// The table that a change event's source block names.
fn named(record: &Record) -> Option<Name> {
    let source = record.value.value.as_struct()?.get("source")?.as_struct()?;
    let text = |field: &str| match source.get(field)? {
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    Some((text("schema")?, text("table")?))
}

/// Has the source block name another table.
fn rename(record: &mut Record, (schema, table): &Name) {
    let Value::Struct(event) = &mut record.value.value else {
        return;
    };
    let Some(index) = event.schema.field("source").map(|field| field.index) else {
        return;
    };
    if let Value::Struct(source) = &mut event.values[index] {
        for (field, text) in [("schema", schema), ("table", table)] {
            if let Some(index) = source.schema.field(field).map(|field| field.index) {
                source.values[index] = Value::String(text.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_versions_are_told_by_their_texts() {
        assert_eq!(number_in_name("_hyper_7_12_chunk"), Some(7));
        for other in [
            "_hyper_7_chunk",
            "_hyper_x_1_chunk",
            "h",
            "_hyper_1234567890_1_chunk",
        ] {
            assert_eq!(number_in_name(other), None, "{other}");
        }
        assert!(is_before_2_29("2.15.1"));
        assert!(!is_before_2_29("2.29.0"));
        assert!(!is_before_2_29("3.0"));
    }
}
