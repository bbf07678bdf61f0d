//! How long JSON takes: a Debezium envelope written, a flat record read.
//!
//! `cargo run --release -p connect-api --example json_speed`

#![expect(
    clippy::print_stdout,
    reason = "the figures are what this program is for"
)]

use std::hint::black_box;
use std::sync::Arc;

use connect_api::Bytes;
use connect_api::data::json::{JsonOptions, JsonReader, JsonWriter};
use connect_api::data::{Schema, SchemaAndValue, SchemaRef, Struct, Value};

const ROUNDS: u32 = 500_000;

/// The thread's time on the CPU in nanoseconds, as Linux counts it; other work does not disturb it.
fn cpu_ns() -> f64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .expect("Linux tells the thread's time in /proc/thread-self/schedstat")
}

/// Nanoseconds of CPU per round, the best of five.
fn time(name: &str, mut work: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = cpu_ns();
        for _ in 0..ROUNDS {
            work();
        }
        best = best.min((cpu_ns() - start) / f64::from(ROUNDS));
    }
    println!("{name}: {best:.0} ns");
}

/// A row of ten fields.
fn row(text_length: usize) -> (SchemaRef, Vec<Value>) {
    let text = "x".repeat(text_length);
    let optional = || Schema::string().optional().build();
    let schema = Schema::structure()
        .optional()
        .name("shop.public.orders.Value")
        .field("id", Schema::int64().build())
        .field("customer_id", Schema::int32().build())
        .field("status", Schema::string().build())
        .field("note", optional())
        .field("amount", Schema::float64().build())
        .field("paid", Schema::boolean().build())
        .field("email", optional())
        .field("reference", optional())
        .field(
            "created_at",
            Schema::int64()
                .name("io.debezium.time.MicroTimestamp")
                .version(1)
                .build(),
        )
        .field(
            "updated_at",
            Schema::string()
                .optional()
                .name("io.debezium.time.ZonedTimestamp")
                .version(1)
                .build(),
        )
        .build();
    let values = vec![
        Value::Int64(123_456),
        Value::Int32(4711),
        Value::text("shipped"),
        text.clone().into(),
        Value::Float64(1234.56),
        Value::Boolean(true),
        "somebody@example.com".into(),
        text.into(),
        Value::Int64(1_700_000_000_123_456),
        "2023-11-14T22:13:20.123456Z".into(),
    ];
    (schema, values)
}

/// Debezium's envelope: 5 own fields, 10 of the source, 10 of the row.
fn envelope() -> SchemaAndValue {
    let (row_schema, values) = row(20);
    let text = || Schema::string().build();
    let source = Schema::structure()
        .name("io.debezium.connector.postgresql.Source")
        .field("version", text())
        .field("connector", text())
        .field("name", text())
        .field("ts_ms", Schema::int64().build())
        .field("snapshot", text())
        .field("db", text())
        .field("schema", text())
        .field("table", text())
        .field("txId", Schema::int64().optional().build())
        .field("lsn", Schema::int64().optional().build())
        .build();
    let source_values = vec![
        Value::text("3.7.0.Final"),
        Value::text("postgresql"),
        Value::text("shop"),
        Value::Int64(1_700_000_000_123),
        Value::text("false"),
        Value::text("shop"),
        Value::text("public"),
        Value::text("orders"),
        Value::Int64(771),
        Value::Int64(33_555_432),
    ];
    let schema = Schema::structure()
        .name("shop.public.orders.Envelope")
        .field("before", Arc::clone(&row_schema))
        .field("after", Arc::clone(&row_schema))
        .field("source", Arc::clone(&source))
        .field("op", text())
        .field("ts_ms", Schema::int64().optional().build())
        .build();
    let values = vec![
        Value::Null,
        Struct::new(row_schema, values).into(),
        Struct::new(source, source_values).into(),
        Value::text("c"),
        Value::Int64(1_700_000_000_456),
    ];
    SchemaAndValue::new(Arc::clone(&schema), Struct::new(schema, values))
}

fn main() {
    let envelope = envelope();
    let mut out = Vec::new();
    for (name, options) in [
        (
            "write an envelope of 25 fields without schema",
            JsonOptions::schemaless(),
        ),
        (
            "write an envelope of 25 fields with its schema",
            JsonOptions::default(),
        ),
    ] {
        let mut writer = JsonWriter::new(options);
        time(name, || {
            out.clear();
            let written = writer.write(black_box(&envelope), &mut out);
            assert!(written.is_ok());
        });
        println!("  {} bytes", out.len());
    }
    let (schema, values) = row(130);
    let record = SchemaAndValue::new(Arc::clone(&schema), Struct::new(schema, values));
    for (name, options) in [
        (
            "read a record of 10 fields without schema",
            JsonOptions::schemaless(),
        ),
        (
            "read a record of 10 fields with its schema",
            JsonOptions::default(),
        ),
    ] {
        out.clear();
        JsonWriter::new(options)
            .write(&record, &mut out)
            .expect("a record");
        let bytes = Bytes::copy_from_slice(&out);
        let mut reader = JsonReader::new(options);
        time(name, || {
            let read = reader.read(Some(black_box(&bytes)));
            assert!(read.is_ok_and(|data| !data.is_null()));
        });
        println!("  {} bytes", bytes.len());
    }
}
