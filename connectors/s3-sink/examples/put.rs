//! Measures what the sink costs per record, the upload included: flat records of ten columns in
//! four partitions into Parquet or JSON.
//!
//! `cargo run --release -p s3-sink --example put -- ENDPOINT BUCKET ACCESS_KEY SECRET [parquet|json] [RECORDS]`

use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::context::{PluginContext, StopSignal};
use connect_api::data::{ByteString, Schema, SchemaAndValue, SchemaRef, Struct, Value};
use connect_api::plugin::Make;
use connect_api::record::{Record, SinkRecord, TimestampType, TopicPartition};
use connect_api::sink::{Offsets, SinkRuntime, SinkTaskContext};
use connect_api::{Error, Props, Result};

const PARTITIONS: i32 = 4;
/// Records of a partition that a poll gives.
const BATCH: i64 = 500;

#[derive(Debug)]
struct NoRuntime;

impl SinkRuntime for NoRuntime {
    fn assignment(&self) -> Vec<TopicPartition> {
        Vec::new()
    }
    fn seek(&self, _partition: &TopicPartition, _offset: i64) {}
    fn pause(&self, _partitions: &[TopicPartition]) {}
    fn resume(&self, _partitions: &[TopicPartition]) {}
    fn request_commit(&self) {}
    fn retry_after(&self, _pause: Duration) {}
    fn report(&self, _record: &SinkRecord, error: Error) -> Result<()> {
        Err(error)
    }
}

fn schema() -> SchemaRef {
    Schema::structure()
        .name("perf.public.orders.Value")
        .field("id", Schema::int64().build())
        .field("customer", Schema::string().optional().build())
        .field("status", Schema::string().build())
        .field("amount", Schema::float64().optional().build())
        .field("qty", Schema::int32().optional().build())
        .field("note", Schema::string().optional().build())
        .field("paid", Schema::boolean().optional().build())
        .field("created_at", Schema::int64().optional().build())
        .field("updated_at", Schema::string().optional().build())
        .field("doc", Schema::string().optional().build())
        .build()
}

fn record(schema: &SchemaRef, topic: &ByteString, partition: i32, offset: i64) -> SinkRecord {
    let id = offset * i64::from(PARTITIONS) + i64::from(partition);
    let values = vec![
        Value::Int64(id),
        Value::from(format!("c{id:032}")),
        Value::text(["new", "paid", "sent"][usize::try_from(id % 3).unwrap_or(0)]),
        Value::Float64((id % 10_000) as f64 / 100.0),
        Value::Int32(i32::try_from(id % 17).unwrap_or(0)),
        Value::text("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"),
        Value::Boolean(id % 2 == 1),
        Value::Int64(1_705_314_600_000_000 + id),
        Value::text("2024-01-15T10:30:00Z"),
        Value::from(format!("{{\"k\":{id}}}")),
    ];
    SinkRecord {
        record: Record {
            topic: topic.clone(),
            partition: Some(partition),
            key: SchemaAndValue::NULL,
            value: SchemaAndValue {
                schema: Some(Arc::clone(schema)),
                value: Value::Struct(Struct::new(Arc::clone(schema), values)),
            },
            timestamp: Some(1_705_314_600_000 + id / 1000),
            headers: connect_api::data::Headers::new(),
            offset: None,
        },
        offset,
        timestamp_type: TimestampType::CreateTime,
        original_topic: topic.clone(),
        original_partition: partition,
    }
}

/// CPU seconds of the process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}

fn props(arguments: &[String]) -> Props {
    let format = match arguments.get(5).map(String::as_str) {
        Some("json") => "json.JsonFormat",
        _ => "parquet.ParquetFormat",
    };
    let mut props: Props = [
        ("flush.size", "50000"),
        ("storage.class", "io.confluent.connect.s3.storage.S3Storage"),
        (
            "partitioner.class",
            "io.confluent.connect.storage.partitioner.TimeBasedPartitioner",
        ),
        ("path.format", "'dt'=YYYY-MM-dd"),
        ("partition.duration.ms", "3600000"),
        ("locale", "en-US"),
        ("timezone", "UTC"),
        ("timestamp.extractor", "Record"),
        ("s3.region", "us-east-1"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    props.insert(
        "format.class".to_owned(),
        format!("io.confluent.connect.s3.format.{format}"),
    );
    for (key, at) in [
        ("store.url", 1),
        ("s3.bucket.name", 2),
        ("aws.access.key.id", 3),
        ("aws.secret.access.key", 4),
    ] {
        props.insert(
            key.to_owned(),
            arguments.get(at).cloned().unwrap_or_default(),
        );
    }
    props
}

#[expect(clippy::print_stdout, reason = "the result is for a person")]
fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let count: i64 = arguments
        .get(6)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_600_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Error::fatal("starting a runtime").with_source(error))?;
    let Some(Make::Sink { task, .. }) = s3_sink::PLUGINS.first().map(|plugin| plugin.make) else {
        return Err(Error::fatal("the plugin is no sink"));
    };
    let mut task = task();
    let context = SinkTaskContext {
        connector: "put".to_owned(),
        task: 0,
        plugin: PluginContext {
            runtime: runtime.handle().clone(),
        },
        stop: StopSignal::new(),
        runtime: Arc::new(NoRuntime),
    };
    task.start(context, &props(&arguments))?;
    let topic = ByteString::from_static("orders");
    let partitions: Vec<TopicPartition> = (0..PARTITIONS)
        .map(|partition| TopicPartition {
            topic: topic.clone(),
            partition,
        })
        .collect();
    task.open(&partitions)?;
    let schema = schema();
    let rounds = count / i64::from(PARTITIONS) / BATCH;
    let batch = |round: i64| -> Vec<SinkRecord> {
        (0..PARTITIONS)
            .flat_map(|partition| (0..BATCH).map(move |at| (partition, round * BATCH + at)))
            .map(|(partition, offset)| record(&schema, &topic, partition, offset))
            .collect()
    };
    // What making and dropping the records costs is taken off.
    let before = cpu();
    for round in 0..rounds {
        drop(std::hint::black_box(batch(round)));
    }
    let making = cpu() - before;
    let (before, start) = (cpu(), Instant::now());
    let mut putting = Duration::ZERO;
    for round in 0..rounds {
        let records = batch(round);
        let start = Instant::now();
        task.put(&records)?;
        putting += start.elapsed();
    }
    let offsets = task.pre_commit(&Offsets::new())?;
    let records = (rounds * BATCH * i64::from(PARTITIONS)) as f64;
    println!(
        "{records} records: put {:.2} us each, {:.2} CPU seconds per million with the upload, {:.1} s, offsets {offsets:?}",
        putting.as_secs_f64() * 1e6 / records,
        (cpu() - before - making) * 1e6 / records,
        start.elapsed().as_secs_f64(),
    );
    task.stop();
    Ok(())
}
