//! Thousands of open files in little memory, measured from outside: a process of its own, a store
//! that swallows what it gets.
//!
//! `S3_MEMORY_FILES` and `S3_MEMORY_RECORDS` make it larger: 5000 files of 200 records of 300 bytes
//! have to do with 256 MB.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connect_api::context::{PluginContext, StopSignal};
use connect_api::data::{ByteString, Schema, SchemaAndValue, Struct, Value};
use connect_api::plugin::Make;
use connect_api::record::{Record, SinkRecord, TimestampType, TopicPartition};
use connect_api::sink::{Offsets, SinkRuntime, SinkTaskContext};
use connect_api::{Error, Props, Result};

const HOUR_MS: i64 = 3_600_000;

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

/// A store that takes everything; counts the objects.
fn store() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let objects = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&objects);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            std::thread::spawn(move || swallow(stream, &count));
        }
    });
    (endpoint, objects)
}

fn swallow(stream: TcpStream, objects: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let (mut length, mut first) = (0u64, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if first.is_empty() {
                first.clone_from(&line);
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).ok()?;
        if first.starts_with("PUT ") {
            objects.fetch_add(1, Ordering::Relaxed);
        }
        writer
            .write_all(b"HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
}

/// The peak of this process's memory, in megabytes.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    let kilobytes = line.split_whitespace().next().expect("a number");
    kilobytes.parse::<u64>().expect("a number") / 1024
}

fn setting(name: &str, short: i64) -> i64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(short)
}

#[test]
fn thousands_of_open_files_take_little_memory() {
    let files = setting("S3_MEMORY_FILES", 2500);
    let records = setting("S3_MEMORY_RECORDS", 60);
    let (endpoint, objects) = store();
    let props: Props = [
        (
            "format.class",
            "io.confluent.connect.s3.format.parquet.ParquetFormat",
        ),
        (
            "partitioner.class",
            "io.confluent.connect.storage.partitioner.HourlyPartitioner",
        ),
        ("flush.size", &(files * records).to_string()),
        ("s3.bucket.name", "b"),
        ("store.url", &endpoint),
        ("aws.access.key.id", "a"),
        ("aws.secret.access.key", "b"),
        ("locale", "en"),
        ("timezone", "UTC"),
        ("timestamp.extractor", "Record"),
        ("s3.sink.memory.bytes", "50000000"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let Some(Make::Sink { task, .. }) = s3_sink::PLUGINS.first().map(|plugin| plugin.make) else {
        panic!("the plugin is a sink")
    };
    let mut task = task();
    let context = SinkTaskContext {
        connector: "c".to_owned(),
        task: 0,
        plugin: PluginContext {
            runtime: runtime.handle().clone(),
        },
        stop: StopSignal::new(),
        runtime: Arc::new(NoRuntime),
    };
    task.start(context, &props).expect("started");
    let topic = ByteString::from_static("t");
    let partition = TopicPartition {
        topic: topic.clone(),
        partition: 0,
    };
    task.open(std::slice::from_ref(&partition)).expect("opened");
    let schema = Schema::structure()
        .name("r")
        .field("id", Schema::int64().build())
        .field("text", Schema::string().build())
        .build();
    let before = peak_mb();
    let mut batch = Vec::new();
    let mut peak = before;
    for offset in 0..files * records {
        // Each record goes to another file than the one before.
        let row = Struct::new(
            Arc::clone(&schema),
            vec![Value::Int64(offset), Value::from(format!("{offset:0292}"))],
        );
        batch.push(SinkRecord {
            record: Record {
                topic: topic.clone(),
                partition: Some(0),
                key: SchemaAndValue::NULL,
                value: SchemaAndValue::new(Arc::clone(&schema), row),
                timestamp: Some((offset % files) * HOUR_MS),
                headers: connect_api::data::Headers::default(),
                offset: None,
            },
            offset,
            timestamp_type: TimestampType::CreateTime,
            original_topic: topic.clone(),
            original_partition: 0,
        });
        if batch.len() == 2000 || offset + 1 == files * records {
            task.put(&batch).expect("written");
            batch.clear();
            peak = peak.max(peak_mb());
        }
    }
    let mut safe = None;
    for _ in 0..60 {
        let offsets = task.pre_commit(&Offsets::new()).expect("asked");
        safe = safe.or_else(|| offsets.get(&partition).copied());
        if safe.is_some() {
            break;
        }
    }
    assert_eq!(safe, Some(files * records));
    assert_eq!(
        objects.load(Ordering::Relaxed),
        u64::try_from(files).expect("some")
    );
    let (peak, raw) = (peak.max(peak_mb()), files * records * 300 / 1_000_000);
    assert!(peak < 256, "{peak} MB for {raw} MB of records");
    println!("{files} files, {raw} MB of records: a process of {peak} MB, {before} MB before");
}
