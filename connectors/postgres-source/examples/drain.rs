//! Runs the task alone and counts what it gives, without a worker and without Kafka.
//!
//! ```text
//! cargo run --release -p postgres-source --example drain -- database.hostname=127.0.0.1 \
//!     database.user=postgres database.dbname=shop topic.prefix=p plugin.name=pgoutput
//! ```
//!
//! It ends when nothing has come for three seconds, or for as many as `quiet=10` says. `print=true`
//! prints each record as JSON, key and value as `JsonConverter` writes them. Offsets are
//! neither read nor stored, so that each run begins anew.
#![expect(clippy::print_stdout, reason = "what it is for")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::context::{PluginContext, StopSignal};
use connect_api::data::SchemaAndValue;
use connect_api::data::json::{JsonOptions, JsonWriter, write_string};
use connect_api::record::{OffsetMap, Record, SourcePartition};
use connect_api::source::{OffsetReader, SourceTask, SourceTaskContext};
use connect_api::{Error, Props, Result};
use postgres_source::task::PostgresTask;

struct Nothing;

impl OffsetReader for Nothing {
    fn read(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>> {
        Ok(vec![None; partitions.len()])
    }
}

fn main() -> Result<()> {
    let mut props: Props = std::env::args()
        .skip(1)
        .filter_map(|arg| {
            arg.split_once('=')
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        })
        .collect();
    let print = props
        .shift_remove("print")
        .is_some_and(|value| value == "true");
    let quiet = props
        .shift_remove("quiet")
        .and_then(|value| value.parse().ok())
        .unwrap_or(3);
    let mut writer = JsonWriter::new(JsonOptions::default());
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Error::fatal("starting the runtime").with_source(error))?;
    let mut task = PostgresTask::new();
    let context = SourceTaskContext {
        connector: "drain".to_owned(),
        task: 0,
        plugin: PluginContext {
            runtime: runtime.handle().clone(),
        },
        stop: StopSignal::new(),
        offsets: Arc::new(Nothing),
        topics: None,
    };
    task.start(context, &props)?;
    let (mut count, mut first, mut last) = (0_u64, None, Instant::now());
    let mut cpu_at_first = 0.0;
    while last.elapsed() < Duration::from_secs(quiet) {
        let batch = task.poll()?;
        if batch.records.is_empty() {
            continue;
        }
        if first.is_none() {
            first = Some(Instant::now());
            cpu_at_first = cpu_seconds();
        }
        last = Instant::now();
        count += batch.records.len() as u64;
        if print {
            for record in &batch.records {
                println!("{}", shown(&record.record, &mut writer)?);
            }
        }
    }
    let seconds = first.map_or(0.0, |first| (last - first).as_secs_f64());
    let cpu = cpu_seconds() - cpu_at_first;
    let million = count as f64 / 1e6;
    println!(
        "{count} records in {seconds:.3} s: {:.0} records/s, {:.2} CPU seconds per million",
        count as f64 / seconds,
        cpu / million
    );
    task.stop();
    Ok(())
}

/// A record as one line.
fn shown(record: &Record, writer: &mut JsonWriter) -> Result<String> {
    let mut text = |data: &SchemaAndValue| -> Result<String> {
        let mut bytes = Vec::new();
        let some = writer.write(data, &mut bytes)?;
        Ok(if some {
            quoted(&String::from_utf8_lossy(&bytes))
        } else {
            "null".to_owned()
        })
    };
    let (key, value) = (text(&record.key)?, text(&record.value)?);
    let mut headers = Vec::new();
    for header in &record.headers {
        headers.push(format!(
            "[{},{}]",
            quoted(&header.key),
            text(&header.value)?
        ));
    }
    let (topic, headers) = (quoted(&record.topic), headers.join(","));
    Ok(format!(
        r#"{{"topic":{topic},"key":{key},"value":{value},"headers":[{headers}]}}"#
    ))
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    write_string(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// User and system time of this process so far, by the clock ticks of Linux.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<f64> = after
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // After the name come the state (no number), then parent, group, ...; utime and stime are the
    // 14th and 15th of the line.
    match fields.get(10..12) {
        Some([user, system]) => (user + system) / 100.0,
        _ => 0.0,
    }
}
