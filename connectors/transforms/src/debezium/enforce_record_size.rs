//! Shortens the longest texts and bytes of a change event that is too large.
//!
//! ```text
//! config   {"type": "io.debezium.transforms.EnforceRecordSize", "max.bytes": "1000000"}
//! ```
//!
//! A record's size is what Debezium takes it for: its Java objects' size in memory, times
//! `compression.ratio`. What is too much is taken from the columns above `min.field.size`, from each
//! in proportion to its length, in `before` and in `after`. A text is counted and cut in UTF-16
//! units. How many entries a record's offset has is taken from what its kind of record usually
//! carries.
//!
//! Answers for `io.debezium.transforms.EnforceRecordSize` and `ApproximateStructSizeCalculator`.

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type};
use connect_api::context::PluginContext;
use connect_api::data::{SchemaAndValue, Struct, Value};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

super::plugin!(
    "io.debezium.transforms.EnforceRecordSize",
    definition,
    EnforceRecordSize::default()
);

const MAX_BYTES: &str = "max.bytes";
const RATIO: &str = "compression.ratio";
const MIN_FIELD: &str = "min.field.size";

/// What objects take beside their content, as Debezium counts.
const STRUCT: usize = 56;
const STRING: usize = 56;
const BYTES: usize = 24;
const ARRAY: usize = 64;
const MAP: usize = 88;
const PRIMITIVE: usize = 24;
const REFERENCE: usize = 8;
/// An entry of a source partition, an offset or the headers.
const ENTRY: usize = 100;
const TIMESTAMP: usize = 8;
/// Entries of source partition and offset of a record of a snapshot, and of one of the stream.
const SNAPSHOT_ENTRIES: usize = 1 + 6;
const STREAM_ENTRIES: usize = 1 + 7;

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(MAX_BYTES, Type::Int, Importance::High)
                .doc("The size in bytes above which a record's longest columns are shortened."),
        )
        .define(
            ConfigKey::new(RATIO, Type::Double, Importance::Medium)
                .default("1.0")
                .doc("What the estimated size is multiplied with: 0.5 where records halve."),
        )
        .define(
            ConfigKey::new(MIN_FIELD, Type::Int, Importance::Medium)
                .default(25_000)
                .doc("Columns of at most this size in bytes stay as they are."),
        )
}

#[derive(Debug, Default)]
struct EnforceRecordSize {
    max_bytes: u32,
    ratio: f64,
    min_field: usize,
}

impl Transformation for EnforceRecordSize {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        let refuse = |key: &str, value: String, problem: &str| {
            Error::config(format!(
                "Invalid value {value} for configuration {key}: {problem}"
            ))
        };
        let max_bytes = config.int(MAX_BYTES);
        self.max_bytes = u32::try_from(max_bytes)
            .ok()
            .filter(|max| *max > 0)
            .ok_or_else(|| {
                refuse(
                    MAX_BYTES,
                    max_bytes.to_string(),
                    "Must be a positive integer",
                )
            })?;
        self.ratio = config.double(RATIO);
        if self.ratio <= 0.0 {
            let value = connect_api::data::text::to_java_string(&Value::Float64(self.ratio));
            return Err(refuse(RATIO, value, "Must be a positive number"));
        }
        let min_field = config.int(MIN_FIELD);
        self.min_field = usize::try_from(min_field)
            .map_err(|_| refuse(MIN_FIELD, min_field.to_string(), "Must be non-negative"))?;
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        // Records of sinks have an offset.
        if record.offset.is_some() || record.value.value.as_struct().is_none() {
            return Ok(Some(record));
        }
        let size = (record_size(&record) as f64 * self.ratio).ceil();
        let excess = size - f64::from(self.max_bytes);
        if excess <= 0.0 {
            return Ok(Some(record));
        }
        if let SchemaAndValue {
            value: Value::Struct(event),
            ..
        } = &mut record.value
        {
            let parts = ["before", "after"].map(|part| long_columns(event, part, self.min_field));
            let sums = parts.each_ref().map(|columns| {
                let sizes = columns.iter().map(|(_, size)| *size);
                sizes.sum::<usize>() as f64
            });
            let total = sums[0] + sums[1];
            for ((part, columns), sum) in ["before", "after"].into_iter().zip(parts).zip(sums) {
                shorten(event, part, &columns, sum, (sum / total * excess).ceil());
            }
        }
        Ok(Some(record))
    }
}

/// The columns of a row that are long enough to be shortened, with their sizes.
fn long_columns(event: &Struct, part: &str, min_field: usize) -> Vec<(usize, usize)> {
    let Some(row) = event.get(part).and_then(Value::as_struct) else {
        return Vec::new();
    };
    let sizes = row.values.iter().enumerate().map(|(index, value)| {
        let size = match value {
            Value::String(text) => text.encode_utf16().count(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        (index, size)
    });
    sizes.filter(|(_, size)| *size > min_field).collect()
}

/// Takes `excess` bytes from these columns of a row, which are `sum` bytes long together.
fn shorten(event: &mut Struct, part: &str, columns: &[(usize, usize)], sum: f64, excess: f64) {
    let Some(index) = event.schema.field(part).map(|field| field.index) else {
        return;
    };
    let Value::Struct(row) = &mut event.values[index] else {
        return;
    };
    for &(column, size) in columns {
        let less = (size as f64 / sum * excess).ceil() as usize;
        let left = size.saturating_sub(less);
        match &mut row.values[column] {
            Value::String(text) => {
                let cut: Vec<u16> = text.encode_utf16().take(left).collect();
                // Half of a pair is written as `?`, as Java's encoder writes it.
                let cut = char::decode_utf16(cut).map(|unit| unit.unwrap_or('?'));
                *text = cut.collect::<String>().into();
            }
            Value::Bytes(bytes) => *bytes = bytes[..left].to_vec().into(),
            _ => {}
        }
    }
}

fn record_size(record: &Record) -> usize {
    let snapshot = record
        .value
        .value
        .as_struct()
        .and_then(|event| event.get("source"))
        .and_then(Value::as_struct)
        .and_then(|source| source.get("snapshot"))
        .and_then(Value::as_str);
    let entries = match snapshot {
        None | Some("false") => STREAM_ENTRIES,
        Some(_) => SNAPSHOT_ENTRIES,
    };
    let root = |part: &SchemaAndValue| match &part.value {
        Value::Struct(value) => struct_size(value),
        _ => 0,
    };
    (entries + record.headers.len()) * ENTRY
        + TIMESTAMP
        + root(&record.key)
        + root(&record.value)
        + record.topic.len()
}

fn struct_size(value: &Struct) -> usize {
    let fields = value.schema.fields().iter().zip(&value.values);
    let sizes = fields.map(|(field, value)| {
        let size = match (value, field.schema.kind().is_primitive()) {
            // Numbers and booleans take their place also where they are null.
            (Value::Null, true) if !is_text(field.schema.kind()) => PRIMITIVE,
            (value, _) => value_size(value),
        };
        REFERENCE + size
    });
    STRUCT + sizes.sum::<usize>()
}

fn is_text(kind: connect_api::data::SchemaType) -> bool {
    use connect_api::data::SchemaType;
    matches!(kind, SchemaType::String | SchemaType::Bytes)
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::String(text) => STRING + text.len(),
        Value::Bytes(bytes) => BYTES + bytes.len(),
        Value::Decimal(number) => BYTES + number.with_signed_bytes_be(<[u8]>::len),
        Value::Struct(value) => struct_size(value),
        Value::Array(items) => {
            let sizes = items.iter().map(|item| REFERENCE + value_size(item));
            ARRAY + sizes.sum::<usize>()
        }
        Value::Map(map) => {
            let sizes = map
                .iter()
                .map(|(key, value)| 2 * REFERENCE + value_size(key) + value_size(value));
            MAP + sizes.sum::<usize>()
        }
        _ => PRIMITIVE,
    }
}
