//! Large transactions and large rows pass in bounded memory. `make soak-memory` runs the long form:
//! a transaction of 1 GB and rows of 50 MB.

use crate::shared::{database, kafka, options, postgres, source_config, unique};
use compat_tests::kafka::{Kafka, KafkaOptions};
use compat_tests::parts::run_folder;
use compat_tests::process::memory_mib;
use compat_tests::worker::{Worker, WorkerOptions};
use compat_tests::{Outcome, fail, wait};
use std::time::{Duration, Instant};

/// What a worker may take at its peak.
const LIMIT_MIB: f64 = 200.0;

fn setting(name: &str, short: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(short)
}

/// Has a worker stream `rows` rows of `size` bytes, written in one transaction, and snapshot them
/// as well; checks what is in Kafka and what it took, and tells it.
fn pass(label: &str, rows: usize, size: usize) -> Outcome<String> {
    let name = database(label)?;
    postgres().sql(
        &name,
        "create table t (id int primary key, v text not null);
         alter table t alter v set storage external",
    )?;
    let port = postgres().port().to_string();
    // Java's producer refuses larger records than this by default, and so does ours.
    let request = (2 * size).max(1_048_576).to_string();
    let buffer = (size + size / 4).max(33_554_432).to_string();
    // Messages of this size are too much for a broker's small heap.
    let large = match size > 16 * 1024 * 1024 {
        true => Some(Kafka::start(
            &run_folder("memory-kafka")?,
            &KafkaOptions {
                jvm: KafkaOptions::FAST,
                ..KafkaOptions::default()
            },
        )?),
        false => None,
    };
    let broker = large.as_ref().unwrap_or_else(|| kafka());
    let start = |group: &str| {
        let options = WorkerOptions {
            bootstrap: broker.bootstrap().to_owned(),
            ..options(group)
        };
        Worker::start(&run_folder(label)?, options)
    };
    let more = [
        ("value.converter.schemas.enable", "false"),
        ("producer.override.max.request.size", request.as_str()),
        ("producer.override.buffer.memory", buffer.as_str()),
        ("producer.override.compression.type", "none"),
        ("topic.creation.default.partitions", "1"),
        ("topic.creation.default.replication.factor", "1"),
        ("topic.creation.default.max.message.bytes", request.as_str()),
    ];
    let count = i64::try_from(rows)?;
    let first = unique(label);
    let mut streaming = source_config(&name, &port, &more);
    streaming.push(("snapshot.mode", "no_data"));
    let worker = start(&first)?;
    worker.rest.create_config(&name, &streaming)?;
    postgres().wait_slot(&name, true)?;
    let text = "repeat(md5(i::text), ";
    let sql = format!(
        "insert into t select i, {text}{}) from generate_series(1, {rows}) i",
        size / 32
    );
    postgres().sql(&name, &sql)?;
    let topic = format!("{name}.public.t");
    let streamed = written(broker, &topic, count)
        .map_err(|error| format!("{error}; {:?}", worker.rest.status(&name)));
    streamed?;
    let peak = memory_mib(worker.id(), "VmHWM")?;
    assert!(peak < LIMIT_MIB, "{peak} MiB while streaming");
    let told = format!("{rows} rows of {size} bytes: a peak of {peak:.0} MiB in the stream");
    drop(worker);

    let second = format!("{name}again");
    let mut snapshot = source_config(&name, &port, &more);
    snapshot.retain(|(key, _)| !["topic.prefix", "slot.name"].contains(key));
    snapshot.extend([("topic.prefix", second.as_str()), ("slot.name", &second)]);
    let worker = start(&second)?;
    worker.rest.create_config(&second, &snapshot)?;
    written(broker, &format!("{second}.public.t"), count)
        .map_err(|error| format!("{error}; {:?}", worker.rest.status(&second)))?;
    let peak = memory_mib(worker.id(), "VmHWM")?;
    assert!(peak < LIMIT_MIB, "{peak} MiB in the snapshot");
    Ok(format!("{told}, of {peak:.0} MiB in the snapshot"))
}

/// Waits until a topic has taken so many records, as long as they are on their way.
fn written(kafka: &Kafka, topic: &str, count: i64) -> Outcome<()> {
    let mut last = (-1, Instant::now());
    wait::until(topic, Duration::from_secs(1200), || {
        let found = kafka.count(topic)?;
        if found != last.0 {
            last = (found, Instant::now());
        }
        if last.1.elapsed() > Duration::from_secs(120) {
            return fail(format!("{found} of {count} records and no more"));
        }
        Ok((found >= count).then_some(()))
    })
}

#[test]
fn a_large_transaction_passes_in_bounded_memory() -> Outcome<()> {
    let mib = setting("MEMORY_TRANSACTION_MB", 64);
    println!("{}", pass("largetx", mib * 512, 2048)?);
    Ok(())
}

#[test]
fn large_rows_pass_in_bounded_memory() -> Outcome<()> {
    let mib = setting("MEMORY_ROW_MB", 5);
    let rows = setting("MEMORY_ROWS", 12);
    println!("{}", pass("largerow", rows, mib * 1024 * 1024)?);
    Ok(())
}

/// A snapshot keeps a row back until it knows what follows it, and what follows a long one is not read
/// before that is gone: neither may wait for the other.
#[test]
fn long_rows_and_short_ones_follow_each_other_in_a_snapshot() -> Outcome<()> {
    let name = database("lengths")?;
    // Longer than all that may wait between a reader and the task.
    let long = "repeat(md5(id::text), 300000)";
    for (table, is_long) in [
        ("a", "id % 2 = 0"),
        ("b", "id % 2 = 1"),
        ("c", "id = 1"),
        ("d", "id = 7"),
        ("e", "id > 3"),
    ] {
        postgres().sql(
            &name,
            &format!(
                "create table {table} (id int primary key, v text not null);
                 alter table {table} alter v set storage external;
                 insert into {table} select id, case when {is_long} then {long} else 'short' end
                   from generate_series(1, 7) id"
            ),
        )?;
    }
    let port = postgres().port().to_string();
    let worker = Worker::start(&run_folder("lengths")?, options(&unique("lengths")))?;
    for threads in ["1", "3"] {
        let connector = format!("{name}{threads}");
        let more = [
            ("topic.prefix", connector.as_str()),
            ("slot.name", &connector),
            ("snapshot.max.threads", threads),
            ("column.truncate.to.5.chars", "public[.].*[.]v"),
        ];
        let mut config = source_config(&name, &port, &[]);
        config.retain(|(key, _)| more.iter().all(|(own, _)| own != key));
        config.extend(more);
        worker.rest.create_config(&connector, &config)?;
        for table in ["a", "b", "c", "d", "e"] {
            let topic = format!("{connector}.public.{table}");
            written(kafka(), &topic, 7)
                .map_err(|error| format!("{error}; {:?}", worker.rest.status(&connector)))?;
        }
    }
    Ok(())
}
