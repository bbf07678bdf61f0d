//! How long the converters with a registry take once a schema is known: a Debezium envelope and a
//! flat row, written and read.
//!
//! `cargo run --release -p registry-converters --example converter_speed`

#![expect(
    clippy::print_stdout,
    reason = "the figures are what this program is for"
)]

use std::hint::black_box;
use std::sync::Arc;

use connect_api::Bytes;
use connect_api::context::PluginContext;
use connect_api::converter::Converter;
use connect_api::data::{Headers, Schema, SchemaAndValue, SchemaRef, Struct, Value};
use connect_api::plugin::{Make, Plugin};

const ROUNDS: u32 = 300_000;

/// The thread's time on the CPU in nanoseconds, as Linux counts it; other work does not disturb it.
fn cpu_ns() -> f64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .expect("Linux tells the thread's time in /proc/thread-self/schedstat")
}

/// Nanoseconds of CPU per round, the best of five.
fn time(mut work: impl FnMut()) -> f64 {
    let round = |work: &mut dyn FnMut()| {
        let start = cpu_ns();
        for _ in 0..ROUNDS {
            work();
        }
        (cpu_ns() - start) / f64::from(ROUNDS)
    };
    (0..5).map(|_| round(&mut work)).fold(f64::MAX, f64::min)
}

/// A row of twelve fields.
fn row() -> (SchemaRef, Vec<Value>) {
    let text = || Schema::string().optional().build();
    let schema = Schema::structure()
        .optional()
        .name("shop.public.orders.Value")
        .field("id", Schema::int64().build())
        .field("customer", Schema::int32().build())
        .field("status", text())
        .field("note", text())
        .field("amount", Schema::float64().build())
        .field("paid", Schema::boolean().build())
        .field("email", text())
        .field("reference", text())
        .field("created", Schema::int64().build())
        .field("day", Schema::int32().optional().build())
        .field("count", Schema::int16().build())
        .field("data", Schema::bytes().optional().build())
        .build();
    let values = vec![
        Value::Int64(123_456_789),
        Value::Int32(4_711),
        Value::text("shipped"),
        Value::text("left at the door of the neighbours"),
        Value::Float64(99.95),
        Value::Boolean(true),
        Value::text("customer@example.com"),
        Value::Null,
        Value::Int64(1_700_000_000_123_456),
        Value::Int32(19_782),
        Value::Int16(3),
        Value::Bytes(Bytes::from_static(b"0123456789abcdef")),
    ];
    (schema, values)
}

fn envelope() -> SchemaAndValue {
    let (row, values) = row();
    let source = Schema::structure()
        .name("io.debezium.connector.postgresql.Source")
        .field("version", Schema::string().build())
        .field("connector", Schema::string().build())
        .field("name", Schema::string().build())
        .field("ts_ms", Schema::int64().build())
        .field("txId", Schema::int64().optional().build())
        .field("lsn", Schema::int64().optional().build())
        .build();
    let schema = Schema::structure()
        .name("shop.public.orders.Envelope")
        .field("before", Arc::clone(&row))
        .field("after", Arc::clone(&row))
        .field("source", Arc::clone(&source))
        .field("op", Schema::string().build())
        .build();
    let source = Struct::new(
        source,
        vec![
            Value::text("3.7.0.Final"),
            Value::text("postgresql"),
            Value::text("shop"),
            Value::Int64(1_700_000_000_123),
            Value::Int64(789),
            Value::Int64(123_456_789),
        ],
    );
    let values = vec![
        Value::Null,
        Value::Struct(Struct::new(row, values)),
        Value::Struct(source),
        Value::text("c"),
    ];
    SchemaAndValue::new(Arc::clone(&schema), Struct::new(schema, values))
}

fn flat() -> SchemaAndValue {
    let (schema, values) = row();
    SchemaAndValue::new(Arc::clone(&schema), Struct::new(schema, values))
}

fn converter(plugin: &Plugin, context: &PluginContext) -> Box<dyn Converter> {
    let Make::Converter(make) = plugin.make else {
        panic!("{} is no converter", plugin.class);
    };
    let mut converter = make();
    let props = [("schema.registry.url", format!("mock://{}", plugin.class))]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
    converter
        .configure(context, &props, false)
        .expect("configured");
    converter
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let context = PluginContext {
        runtime: runtime.handle().clone(),
    };
    let ours = avro_converter::PLUGINS
        .iter()
        .chain(registry_converters::PLUGINS);
    for plugin in ours.filter(|plugin| plugin.class.starts_with("io.confluent")) {
        for (name, data) in [("envelope", envelope()), ("row", flat())] {
            let mut converter = converter(plugin, &context);
            let mut out = Vec::new();
            let write = time(|| {
                out.clear();
                let written =
                    converter.from_connect_data("t", &mut Headers::new(), &data, &mut out);
                black_box(written.expect("written"));
            });
            let bytes = Bytes::from(out.clone());
            let read = time(|| {
                let read = converter.to_connect_data("t", &Headers::new(), Some(&bytes));
                black_box(read.expect("read"));
            });
            println!(
                "{} {name}: write {write:.0} ns, read {read:.0} ns, {} bytes",
                plugin.simple_name(),
                out.len()
            );
        }
    }
}
