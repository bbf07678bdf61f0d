//! The physical limits: a producer, a consumer and a Parquet writer with nothing around them.

use crate::null;
use crate::report::Measurement;
use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, RecordBatch,
    StringBuilder,
};
use compat_tests::kafka::{Kafka, flush, send};
use compat_tests::process::{cpu_seconds, memory_mib};
use compat_tests::{Outcome, fail};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs this binary again in a role and reads what it measured of itself.
pub(crate) fn child(who: &str, records: usize, arguments: &[&str]) -> Outcome<Measurement> {
    let output = Command::new(std::env::current_exe()?)
        .args(arguments)
        // What the worker has its allocator do.
        .envs([("MIMALLOC_ALLOW_THP", "0"), ("MIMALLOC_PURGE_DELAY", "100")])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return fail(format!(
            "{who}: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let numbers: Vec<f64> = text
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    let [seconds, cpu, peak] = numbers.as_slice() else {
        return fail(format!("{who} answered {text}"));
    };
    let measured = Measurement {
        who: who.to_owned(),
        records,
        seconds: *seconds,
        cpu_seconds: *cpu,
        peak_mib: *peak,
    };
    println!("{measured}");
    Ok(measured)
}

/// The child: a role and what it needs; the last is how many records.
pub(crate) fn run(arguments: &[String]) -> Outcome<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let start = Instant::now();
    match words.as_slice() {
        ["produce", bootstrap, topics, file, count] => {
            produce(bootstrap, topics, file, count.parse()?)?;
        }
        ["consume", bootstrap, topic, count] => consume(bootstrap, topic, count.parse()?)?,
        ["parquet", count] => write_parquet(count.parse()?)?,
        ["null", port, database, slot, count] => null::run(port, database, slot, count.parse()?)?,
        _ => return fail("usage: bench (no arguments)"),
    }
    let pid = std::process::id();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{seconds} {} {}",
        cpu_seconds(pid)?,
        memory_mib(pid, "VmHWM")?
    );
    Ok(())
}

/// Values in one file, each behind its length in four bytes.
pub(crate) fn pack(values: impl Iterator<Item = Vec<u8>>) -> Outcome<Vec<u8>> {
    let mut packed = Vec::new();
    for value in values {
        packed.extend_from_slice(&u32::try_from(value.len())?.to_be_bytes());
        packed.extend_from_slice(&value);
    }
    Ok(packed)
}

fn unpack(mut packed: &[u8]) -> Outcome<Vec<&[u8]>> {
    let mut values = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length))?;
        let Some((value, rest)) = rest.split_at_checked(length) else {
            return fail("the sample ends inside a value");
        };
        values.push(value);
        packed = rest;
    }
    Ok(values)
}

/// Records in turn to each of the topics, whose names are divided by commas.
fn produce(bootstrap: &str, topics: &str, file: &str, count: usize) -> Outcome<()> {
    let topics: Vec<&str> = topics.split(',').collect();
    let sample = std::fs::read(file)?;
    let values = unpack(&sample)?;
    // Durable as Connect's producer is: all replicas, idempotent.
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .create()?;
    // Those that the connector gives each record.
    let mut headers = OwnedHeaders::new();
    for (key, value) in [
        ("connectorLogicalName", "\"load_ferroconnect\""),
        ("taskId", "\"0\""),
        ("connectorName", "\"postgresql\""),
        ("runId", "\"01890a5d-ac96-774b-bcce-b302099a8057\""),
    ] {
        let key = &format!("__debezium.context.{key}");
        headers = headers.insert(Header {
            key,
            value: Some(value),
        });
    }
    let values = values.into_iter().cycle().zip(topics.iter().cycle());
    for (i, (value, topic)) in values.take(count).enumerate() {
        let key = format!("{{\"id\":{i}}}");
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic)
            .key(key.as_bytes())
            .payload(value)
            .headers(headers.clone());
        send(&producer, record)?;
        if i % 1000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    flush(&producer)
}

fn consume(bootstrap: &str, topic: &str, count: usize) -> Outcome<()> {
    let partitions = Kafka::existing(bootstrap).offsets(topic)?.len();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions)? {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let mut seen = 0;
    while seen < count {
        match consumer.poll(Duration::from_secs(20)) {
            Some(message) => {
                message?;
                seen += 1;
            }
            None => return fail(format!("the topic ended after {seen} records")),
        }
    }
    Ok(())
}

/// The rows of `load::order_json`, straight from numbers into columns into files of 50,000 rows.
fn write_parquet(count: usize) -> Outcome<()> {
    for file in 0..count / 50_000 {
        let (mut id, mut customer, mut status) = (
            Int64Builder::new(),
            StringBuilder::new(),
            StringBuilder::new(),
        );
        let (mut amount, mut qty, mut note) = (
            Float64Builder::new(),
            Int32Builder::new(),
            StringBuilder::new(),
        );
        let (mut paid, mut created, mut updated, mut doc) = (
            BooleanBuilder::new(),
            Int64Builder::new(),
            StringBuilder::new(),
            StringBuilder::new(),
        );
        for i in file * 50_000..(file + 1) * 50_000 {
            id.append_value(i64::try_from(i)?);
            customer.append_value(format!("c{i:032}"));
            status.append_value(["new", "paid", "sent"][i % 3]);
            amount.append_value((i % 10_000) as f64 / 100.0);
            qty.append_value(i32::try_from(i % 17)?);
            note.append_value("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn");
            paid.append_value(i % 2 == 1);
            created.append_value(1_705_314_600_000_000 + i64::try_from(i)?);
            updated.append_value("2024-01-15T10:30:00Z");
            doc.append_value(format!("{{\"k\":{i}}}"));
        }
        let columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("id", Arc::new(id.finish()), false),
            ("customer", Arc::new(customer.finish()), true),
            ("status", Arc::new(status.finish()), false),
            ("amount", Arc::new(amount.finish()), true),
            ("qty", Arc::new(qty.finish()), true),
            ("note", Arc::new(note.finish()), true),
            ("paid", Arc::new(paid.finish()), true),
            ("created_at", Arc::new(created.finish()), true),
            ("updated_at", Arc::new(updated.finish()), true),
            ("doc", Arc::new(doc.finish()), true),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .build();
        let mut writer = ArrowWriter::try_new(std::io::sink(), batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        writer.close()?;
    }
    Ok(())
}
