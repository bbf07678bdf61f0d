//! Chooses the partition by fields of the event.
//!
//! ```text
//! config   {"type": "io.debezium.transforms.partitions.PartitionRouting",
//!           "partition.payload.fields": "change.customer", "partition.topic.num": "6"}
//! after    the same record, to the partition that hash(customer) % 6 names
//! ```
//!
//! `change.x` is a field of the new row, of the old one for deletions. Fields that an event does not
//! have are passed over, also those of a row that is missing, on which Debezium fails. Tombstones,
//! truncations and what is no change event pass unchanged.
//!
//! Answers for `io.debezium.transforms.partitions.PartitionRouting`.

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, Width};
use connect_api::context::PluginContext;
use connect_api::data::{Struct, Value};
use connect_api::java::JavaHash;
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Props, Result};

use super::{envelope_of, murmur, positive, required_list};

super::plugin!(
    "io.debezium.transforms.partitions.PartitionRouting",
    definition,
    PartitionRouting::default()
);

const FIELDS: &str = "partition.payload.fields";
const PARTITIONS: &str = "partition.topic.num";
const FUNCTION: &str = "partition.hash.function";

fn definition() -> ConfigDef {
    let key = |name, kind, importance, order, display: &str| {
        ConfigKey::new(name, kind, importance)
            .group("partitions", order, Width::None, display)
            .default_null()
    };
    ConfigDef::new()
        .define(
            key(
                FIELDS,
                Type::List,
                Importance::High,
                1,
                "List of payload fields to use for compute partition.",
            )
            .doc(
                "The fields of the event that decide about the partition, such as after.name, \
                 source.table or change.name, which is the new row's or, for deletions, the old \
                 one's.",
            ),
        )
        .define(
            key(
                PARTITIONS,
                Type::Int,
                Importance::High,
                2,
                "Number of partition configured for topic",
            )
            .doc("How many partitions the topic has."),
        )
        .define(
            key(FUNCTION, Type::String, Importance::Low, 3, "Hash function")
                .doc("How the fields are hashed: java or murmur.")
                .default("java"),
        )
}

#[derive(Debug, Default)]
struct PartitionRouting {
    fields: Vec<Vec<String>>,
    partitions: i32,
    murmur: bool,
}

impl Transformation for PartitionRouting {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let parts = |field: &String| {
            field
                .split('.')
                .map(|part| part.trim().to_owned())
                .collect()
        };
        self.fields = required_list(props, FIELDS, false)?
            .iter()
            .map(parts)
            .collect();
        self.partitions = positive(props, PARTITIONS)?;
        self.murmur = props
            .get(FUNCTION)
            .is_some_and(|name| name.trim().eq_ignore_ascii_case("murmur"));
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        if envelope_of(&record.value).is_none() {
            return Ok(Some(record));
        }
        let Some(envelope) = record.value.value.as_struct() else {
            return Ok(Some(record));
        };
        let operation = envelope.get("op").and_then(Value::as_str);
        if matches!(operation, Some("t" | "m")) {
            return Ok(Some(record));
        }
        let row = match operation {
            Some("d") => "before",
            _ => "after",
        };
        let hashes: Vec<i32> = self
            .fields
            .iter()
            .filter_map(|path| find(envelope, path, row))
            .map(|value| self.hash(value))
            .collect();
        if !hashes.is_empty() {
            record.partition = Some(partition(&hashes, self.partitions));
        }
        Ok(Some(record))
    }
}

impl PartitionRouting {
    fn hash(&self, value: &Value) -> i32 {
        match value {
            _ if !self.murmur => value.java_hash(),
            Value::String(text) => murmur::hash(text.as_bytes()),
            other => murmur::hash(&other.java_hash().to_le_bytes()),
        }
    }
}

/// The value that a path leads to, if there is one.
fn find<'a>(envelope: &'a Struct, path: &[String], row: &str) -> Option<&'a Value> {
    let (last, parents) = path.split_last()?;
    let mut part = envelope;
    for parent in parents {
        let name = match parent.as_str() {
            "change" => row,
            other => other,
        };
        part = part.get(name)?.as_struct()?;
    }
    part.get_or_default(last).filter(|value| !value.is_null())
}

/// The partition that the sum of the hashes names.
fn partition(hashes: &[i32], partitions: i32) -> i32 {
    let sum = hashes
        .iter()
        .fold(0i32, |sum, hash| sum.wrapping_add(*hash));
    match sum & i32::MAX {
        i32::MAX => 0,
        positive => positive % partitions.max(1),
    }
}
