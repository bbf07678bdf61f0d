//! The event around a row: before, after, source block, operation, times.
//!
//! Schemas are made once and shared by all tables; per event only numbers and one text are made.
//! It decides nothing about which events there are. Answers for `Envelope`, `SourceInfo`,
//! `PostgresSourceInfoStructMaker` and `LogicalDecodingMessageMonitor`.

use std::io::Write;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use connect_api::ByteString;
use connect_api::data::{Header, Headers, Schema, SchemaAndValue, SchemaRef, Struct, Value};

use crate::change::{Operation, Position, SnapshotMarker};
use crate::column::modes::BinaryMode;
use crate::column::opaque;
use crate::config::{CompatVersion, PostgresConfig};
use crate::table::TablePlan;

/// The connector's name in source blocks and headers.
pub const CONNECTOR: &str = "postgresql";

static SOURCE_24: LazyLock<SchemaRef> = LazyLock::new(|| build_source(CompatVersion::V24));
static SOURCE_37: LazyLock<SchemaRef> = LazyLock::new(|| build_source(CompatVersion::V37));

/// The schema of the source block.
fn source_schema(compat: CompatVersion) -> &'static SchemaRef {
    match compat {
        CompatVersion::V24 => &SOURCE_24,
        CompatVersion::V37 => &SOURCE_37,
    }
}

fn build_source(compat: CompatVersion) -> SchemaRef {
    let newer = compat == CompatVersion::V37;
    let text = Schema::string().build();
    let number = Schema::int64().build();
    let optional_text = Schema::string().optional().build();
    let optional_number = Schema::int64().optional().build();
    let snapshot = Schema::string()
        .name("io.debezium.data.Enum")
        .version(1)
        .parameter(
            "allowed",
            if newer {
                "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"
            } else {
                "true,last,false,incremental"
            },
        )
        .optional()
        .default_value(Value::text("false"))
        .build();
    let mut builder = Schema::structure()
        .name("io.debezium.connector.postgresql.Source")
        .field("version", Arc::clone(&text))
        .field("connector", Arc::clone(&text))
        .field("name", Arc::clone(&text))
        .field("ts_ms", number)
        .field("snapshot", snapshot)
        .field("db", Arc::clone(&text))
        .field("sequence", Arc::clone(&optional_text));
    if newer {
        builder = builder
            .version(1)
            .field("ts_us", Arc::clone(&optional_number))
            .field("ts_ns", Arc::clone(&optional_number));
    }
    builder = builder
        .field("schema", Arc::clone(&text))
        .field("table", text)
        .field("txId", Arc::clone(&optional_number))
        .field("lsn", Arc::clone(&optional_number))
        .field("xmin", Arc::clone(&optional_number));
    if newer {
        builder = builder
            .field("origin", optional_text)
            .field("origin_lsn", optional_number);
    }
    builder.build()
}

static TRANSACTION: LazyLock<SchemaRef> = LazyLock::new(|| {
    let number = Schema::int64().build();
    Schema::structure()
        .name("event.block")
        .version(1)
        .field("id", Schema::string().build())
        .field("total_order", Arc::clone(&number))
        .field("data_collection_order", number)
        .optional()
        .build()
});

/// The schema of an envelope's `transaction` block, null where there is no transaction metadata.
#[must_use]
pub fn transaction_schema() -> &'static SchemaRef {
    &TRANSACTION
}

/// The envelope's schema for a table whose rows have this schema; `name` is the full one.
#[must_use]
pub fn envelope_schema(name: String, row: &SchemaRef, compat: CompatVersion) -> SchemaRef {
    let clock = Schema::int64().optional().build();
    let builder = Schema::structure()
        .name(name)
        .field("before", Arc::clone(row))
        .field("after", Arc::clone(row))
        .field("source", Arc::clone(source_schema(compat)));
    let builder = match compat {
        CompatVersion::V24 => builder
            .version(1)
            .field("op", Schema::string().build())
            .field("ts_ms", clock)
            .field("transaction", Arc::clone(&TRANSACTION)),
        CompatVersion::V37 => builder
            .version(2)
            .field("transaction", Arc::clone(&TRANSACTION))
            .field("op", Schema::string().build())
            .field("ts_ms", Arc::clone(&clock))
            .field("ts_us", Arc::clone(&clock))
            .field("ts_ns", clock),
    };
    builder.build()
}

/// Makes envelopes.
#[derive(Clone, Debug)]
pub struct EnvelopeFactory {
    name: ByteString,
    db: ByteString,
    message_topic: ByteString,
    message_key: SchemaRef,
    message_value: SchemaRef,
    message: SchemaRef,
    binary: BinaryMode,
    compat: CompatVersion,
}

impl EnvelopeFactory {
    /// A factory for one connector.
    #[must_use]
    pub fn new(config: &PostgresConfig) -> Self {
        let binary = config.modes.binary;
        let content = match binary {
            BinaryMode::Bytes => Schema::bytes(),
            _ => Schema::string(),
        };
        let text = Schema::string().optional().build();
        let named = |name: &str| {
            let name = format!("io.debezium.connector.postgresql.{name}");
            Schema::structure()
                .name(config.naming.schema_name(&name))
                .version(1)
        };
        let compat = config.compat;
        let mut message_value = named("MessageValue")
            .field("op", Schema::string().build())
            .field("ts_ms", Schema::int64().optional().build())
            .field("source", Arc::clone(source_schema(compat)));
        if compat == CompatVersion::V37 {
            message_value = message_value.field("transaction", Arc::clone(&TRANSACTION));
        }
        let message = named("Message")
            .field("prefix", Arc::clone(&text))
            .field("content", content.optional().build())
            .build();
        Self {
            name: ByteString::from(config.topic_prefix.as_str()),
            db: ByteString::from(config.dbname.as_str()),
            message_topic: ByteString::from(config.naming.message_topic()),
            message_key: named("MessageKey").field("prefix", text).build(),
            message_value: message_value.field("message", Arc::clone(&message)).build(),
            message,
            binary,
            compat,
        }
    }

    /// The envelope of a row's change.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "an envelope has that many parts")]
    pub fn envelope(
        &self,
        plan: &TablePlan,
        operation: Operation,
        before: Option<Value>,
        after: Option<Value>,
        position: &Position,
        marker: SnapshotMarker,
        now_ns: i64,
    ) -> Struct {
        let source = self.source(
            position,
            marker,
            &plan.source_schema_name,
            &plan.source_table,
        );
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let (source, operation) = (Value::Struct(source), Value::text(operation.code()));
        let now_ms = Value::Int64(now_ns / 1_000_000);
        let values = match self.compat {
            CompatVersion::V24 => vec![before, after, source, operation, now_ms, Value::Null],
            CompatVersion::V37 => vec![
                before,
                after,
                source,
                Value::Null,
                operation,
                now_ms,
                Value::Int64(now_ns / 1000),
                Value::Int64(now_ns),
            ],
        };
        Struct::new(Arc::clone(&plan.envelope_schema), values)
    }

    /// Topic, key and value of a logical decoding message.
    #[must_use]
    pub fn message(
        &self,
        prefix: &str,
        content: Bytes,
        position: &Position,
        now_ns: i64,
    ) -> (ByteString, SchemaAndValue, SchemaAndValue) {
        let nowhere = ByteString::new();
        let source = self.source(position, SnapshotMarker::False, &nowhere, &nowhere);
        let prefix = Value::from(prefix);
        let key = Struct::new(Arc::clone(&self.message_key), vec![prefix.clone()]);
        let content = opaque(content, self.binary);
        let message = Struct::new(Arc::clone(&self.message), vec![prefix, content]);
        let mut values = Vec::with_capacity(5);
        values.push(Value::text(Operation::Message.code()));
        values.push(Value::Int64(now_ns / 1_000_000));
        values.push(Value::Struct(source));
        if self.compat == CompatVersion::V37 {
            values.push(Value::Null);
        }
        values.push(Value::Struct(message));
        let value = Struct::new(Arc::clone(&self.message_value), values);
        (
            self.message_topic.clone(),
            SchemaAndValue::new(Arc::clone(&self.message_key), key),
            SchemaAndValue::new(Arc::clone(&self.message_value), value),
        )
    }

    /// The source block.
    fn source(
        &self,
        position: &Position,
        marker: SnapshotMarker,
        schema: &ByteString,
        table: &ByteString,
    ) -> Struct {
        let value = |varying: Varying| varying.value(position, marker);
        let release = Value::text(self.compat.release());
        let connector = Value::text(CONNECTOR);
        let name = Value::String(self.name.clone());
        let ts_ms = value(Varying::TsMs);
        let snapshot = value(Varying::Snapshot);
        let db = Value::String(self.db.clone());
        let sequence = value(Varying::Sequence);
        let schema = Value::String(schema.clone());
        let table = Value::String(table.clone());
        let tx_id = value(Varying::TxId);
        let lsn = value(Varying::Lsn);
        let xmin = value(Varying::Xmin);
        // Each list is written once, where it stays.
        let values = match self.compat {
            CompatVersion::V24 => vec![
                release, connector, name, ts_ms, snapshot, db, sequence, schema, table, tx_id, lsn,
                xmin,
            ],
            CompatVersion::V37 => vec![
                release,
                connector,
                name,
                ts_ms,
                snapshot,
                db,
                sequence,
                value(Varying::TsUs),
                value(Varying::TsNs),
                schema,
                table,
                tx_id,
                lsn,
                xmin,
                value(Varying::Origin),
                value(Varying::OriginLsn),
            ],
        };
        Struct::new(Arc::clone(source_schema(self.compat)), values)
    }
}

/// What of a source block differs from one event of a table to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Varying {
    TsMs,
    Snapshot,
    Sequence,
    TsUs,
    TsNs,
    TxId,
    Lsn,
    Xmin,
    Origin,
    OriginLsn,
}

impl Varying {
    /// The one that a field of the source block holds.
    pub(crate) fn of_field(name: &str) -> Option<Self> {
        Some(match name {
            "ts_ms" => Self::TsMs,
            "snapshot" => Self::Snapshot,
            "sequence" => Self::Sequence,
            "ts_us" => Self::TsUs,
            "ts_ns" => Self::TsNs,
            "txId" => Self::TxId,
            "lsn" => Self::Lsn,
            "xmin" => Self::Xmin,
            "origin" => Self::Origin,
            "origin_lsn" => Self::OriginLsn,
            _ => return None,
        })
    }

    /// Its value for a change at this position.
    #[inline]
    pub(crate) fn value(self, position: &Position, marker: SnapshotMarker) -> Value {
        let signed = |lsn: u64| Value::Int64(i64::from_ne_bytes(lsn.to_ne_bytes()));
        // Rows of an incremental snapshot have no position of their own.
        let placed = marker != SnapshotMarker::Incremental;
        match self {
            Self::TsMs => Value::Int64(position.ts_us.div_euclid(1000)),
            Self::TsUs => Value::Int64(position.ts_us),
            Self::TsNs => Value::Int64(position.ts_us.wrapping_mul(1000)),
            Self::Snapshot => match marker {
                // The schema's default says so.
                SnapshotMarker::False => Value::Null,
                marker => Value::text(marker.text()),
            },
            Self::Sequence => Value::String(sequence(position)),
            Self::TxId => position.tx_id.filter(|_| placed).into(),
            Self::Lsn => position.lsn.filter(|_| placed).map_or(Value::Null, signed),
            Self::Xmin => position.xmin.filter(|_| placed).into(),
            Self::Origin => position.origin.clone().into(),
            Self::OriginLsn => position.origin_lsn.map_or(Value::Null, signed),
        }
    }
}

/// Writes `["<last commit>","<position>"]`, `null` for what there is not, with these quotes.
pub(crate) fn write_sequence(position: &Position, quote: &[u8], out: &mut impl Write) {
    let mut put = |part: &[u8]| {
        // Memory takes what is written to it.
        out.write_all(part).ok();
    };
    for (open, lsn) in [(b"[", position.last_commit_lsn), (b",", position.lsn)] {
        put(open);
        match lsn {
            Some(lsn) => {
                put(quote);
                put(itoa::Buffer::new().format(lsn).as_bytes());
                put(quote);
            }
            None => put(b"null"),
        }
    }
    put(b"]");
}

fn sequence(position: &Position) -> ByteString {
    // Two numbers of 20 digits at most, four quotes, three signs.
    let mut text = [0; 48];
    let mut rest = &mut text[..];
    write_sequence(position, b"\"", &mut rest);
    let left = rest.len();
    let length = text.len() - left;
    let text = text.get(..length).unwrap_or_default();
    ByteString::try_from(text).unwrap_or_default()
}

/// The headers that every event carries: who made it, in which task, in which run.
#[must_use]
pub fn context_headers(config: &PostgresConfig, task: u32, run_id: &str) -> Headers {
    let text = Schema::string().build();
    let header = |name: &'static str, schema: &SchemaRef, value: Value| Header {
        key: ByteString::from_static(name),
        value: SchemaAndValue::new(Arc::clone(schema), value),
    };
    let task = Value::from(task.to_string());
    let name = Value::from(config.topic_prefix.as_str());
    vec![
        header("__debezium.context.connectorLogicalName", &text, name),
        header("__debezium.context.taskId", &text, task),
        header(
            "__debezium.context.connectorName",
            &text,
            Value::text(CONNECTOR),
        ),
        header("__debezium.context.runId", &text, Value::from(run_id)),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_own_blocks_and_says_which_it_is() {
        let row = Schema::structure().optional().build();
        let fields = |schema: &SchemaRef| -> Vec<String> {
            schema
                .fields()
                .iter()
                .map(|field| field.name.to_string())
                .collect()
        };
        let envelope = |compat| envelope_schema("E".to_owned(), &row, compat);
        let older = envelope(CompatVersion::V24);
        assert_eq!(older.version(), Some(1));
        assert_eq!(
            fields(&older),
            ["before", "after", "source", "op", "ts_ms", "transaction"]
        );
        assert_eq!(envelope(CompatVersion::V37).version(), Some(2));
        let older = source_schema(CompatVersion::V24);
        assert_eq!(older.version(), None);
        assert_eq!(
            fields(older).join(","),
            "version,connector,name,ts_ms,snapshot,db,sequence,schema,table,txId,lsn,xmin"
        );
        assert_eq!(fields(source_schema(CompatVersion::V37)).len(), 16);
        assert_eq!(CompatVersion::V24.release(), "2.4.2.Final");
    }

    #[test]
    fn a_sequence_names_the_last_commit_and_the_position() {
        let text = |commit, lsn| {
            let position = Position {
                last_commit_lsn: commit,
                lsn,
                ..Position::default()
            };
            sequence(&position).to_string()
        };
        assert_eq!(text(None, Some(1_070_230_528)), "[null,\"1070230528\"]");
        assert_eq!(
            text(Some(0), Some(u64::MAX)),
            "[\"0\",\"18446744073709551615\"]"
        );
        assert_eq!(text(Some(7), None), "[\"7\",null]");
    }
}
