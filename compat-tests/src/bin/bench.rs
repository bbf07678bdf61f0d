//! The benchmark: Ferroconnect beside the JVM worker, beside what was recorded of the Confluent sink,
//! and beside the physical limit. Writes a table and a chart into `docs/bench`.
//!
//! The same binary, as a child, is the bare producer, consumer and Parquet writer: a process of its
//! own, so that CPU and peak memory are its own too. `BENCH_RECORDS` sets the size (1,000,000),
//! `BENCH_ONLY` picks parts (`start,source,sink`).
#![expect(clippy::print_stdout, reason = "it is for a person to read")]

#[path = "bench/bare.rs"]
mod bare;
#[path = "bench/report.rs"]
mod report;

use compat_tests::kafka::{Kafka, KafkaOptions};
use compat_tests::load::{
    ORDER_AVRO_SCHEMA, ORDERS_TABLE, OrderFormat, insert_orders, produce_orders,
};
use compat_tests::parts::run_folder;
use compat_tests::postgres::{Postgres, PostgresOptions};
use compat_tests::process::{cpu_seconds, memory_mib};
use compat_tests::registry::Registry;
use compat_tests::s3::S3Server;
use compat_tests::worker::{Target, Worker, WorkerOptions};
use compat_tests::{Outcome, fail};
use report::{Footprint, Measurement, Report};
use std::time::{Duration, Instant};

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const AVRO: &str = "io.confluent.connect.avro.AvroConverter";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = arguments.first() {
        return bare::run(role, &arguments);
    }
    let records = std::env::var("BENCH_RECORDS")
        .ok()
        .and_then(|n| n.parse().ok());
    let records: usize = records.unwrap_or(1_000_000);
    if !records.is_multiple_of(200_000) {
        return fail(
            "BENCH_RECORDS must be a multiple of 200,000: 4 partitions, 50,000 to an object",
        );
    }
    let only = std::env::var("BENCH_ONLY").unwrap_or_else(|_| "start,source,sink".to_owned());
    let wants = |part: &str| only.split(',').any(|word| word == part);

    let folder = run_folder("bench")?;
    let options = KafkaOptions {
        jvm: KafkaOptions::FAST,
        ..KafkaOptions::default()
    };
    let kafka = Kafka::existing_or_start(&folder, &options)?;
    let mut report = Report::new(records);
    if wants("start") {
        for target in [Target::Java, Target::Ferroconnect] {
            report.footprints.push(footprint(&kafka, target)?);
        }
    }
    if wants("source") {
        source(&kafka, records, &mut report)?;
    }
    if wants("sink") {
        sink(&kafka, records, &mut report)?;
    }
    report.write()
}

fn name(target: Target) -> &'static str {
    match target {
        Target::Java => "JVM worker",
        Target::Ferroconnect => "Ferroconnect",
    }
}

fn worker(kafka: &Kafka, target: Target, purpose: &str) -> Outcome<Worker> {
    let group = format!("bench-{purpose}-{target:?}").to_lowercase();
    Worker::start(
        &run_folder("worker")?,
        WorkerOptions::new(target, kafka.bootstrap(), &group),
    )
}

/// Start until REST answers, with the three topics there already, and memory when idle.
fn footprint(kafka: &Kafka, target: Target) -> Outcome<Footprint> {
    let mut worker = worker(kafka, target, "start")?;
    let mut best = Duration::MAX;
    for _ in 0..3 {
        worker.terminate()?;
        best = best.min(worker.restart()?);
    }
    std::thread::sleep(Duration::from_secs(10));
    let idle = memory_mib(worker.id(), "VmRSS")?;
    println!(
        "{}: ready after {} ms, {idle:.0} MiB idle",
        name(target),
        best.as_millis()
    );
    Ok(Footprint {
        who: name(target).to_owned(),
        ready_ms: best.as_millis(),
        idle_mib: idle,
    })
}

/// What records are converted to and from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Convert {
    Json,
    JsonWithSchemas,
    /// Its converter is not to be had for the JVM worker here: it is measured without that.
    Avro,
}

impl Convert {
    /// The options of one converter, `key` or `value`.
    fn options(self, role: &str, registry: &str) -> Vec<(String, String)> {
        let (class, option, value) = match self {
            Self::Json => (JSON, "schemas.enable", "false"),
            Self::JsonWithSchemas => (JSON, "schemas.enable", "true"),
            Self::Avro => (AVRO, "schema.registry.url", registry),
        };
        vec![
            (format!("{role}.converter"), class.to_owned()),
            (format!("{role}.converter.{option}"), value.to_owned()),
        ]
    }

    fn workers(self) -> &'static [Target] {
        match self {
            Self::Json | Self::JsonWithSchemas => &[Target::Java, Target::Ferroconnect],
            Self::Avro => &[Target::Ferroconnect],
        }
    }
}

/// A load that the source is measured with.
struct SourceLoad {
    /// Short, for databases, slots and topics.
    name: &'static str,
    /// For the table.
    title: &'static str,
    /// Rows that a snapshot reads, or else changes that wait in a slot.
    is_snapshot: bool,
    convert: Convert,
}

impl SourceLoad {
    /// The slot, connector and topic prefix of a worker in a round.
    fn slot(&self, round: &str, target: Target) -> String {
        format!("{}_{round}_{target:?}", self.name).to_lowercase()
    }
}

const SOURCE_LOADS: [SourceLoad; 4] = [
    SourceLoad {
        name: "stream",
        title: "catch-up of waiting changes into Kafka, JSON",
        is_snapshot: false,
        convert: Convert::Json,
    },
    SourceLoad {
        name: "schemas",
        title: "catch-up of waiting changes into Kafka, JSON with schemas",
        is_snapshot: false,
        convert: Convert::JsonWithSchemas,
    },
    SourceLoad {
        name: "avro",
        title: "catch-up of waiting changes into Kafka, Avro",
        is_snapshot: false,
        convert: Convert::Avro,
    },
    SourceLoad {
        name: "snapshot",
        title: "snapshot of a table into Kafka, JSON",
        is_snapshot: true,
        convert: Convert::Json,
    },
];

/// Each load through both workers, timed until all of it is in Kafka, and the same bytes through a
/// bare producer.
fn source(kafka: &Kafka, records: usize, report: &mut Report) -> Outcome<()> {
    let settings = "fsync=off\nmax_wal_size=8GB\nshared_buffers=256MB\n";
    let options = PostgresOptions {
        settings,
        ..PostgresOptions::default()
    };
    let postgres = Postgres::start(&run_folder("postgres")?, options)?;
    let registry = Registry::start(&run_folder("registry")?)?;
    let java = worker(kafka, Target::Java, "source")?;
    let mut ours = worker(kafka, Target::Ferroconnect, "source")?;
    for load in &SOURCE_LOADS {
        let mut measured = Vec::new();
        // A first round warms the JVM's compiler; the second counts.
        for (round, count) in [("warm", records / 5), ("load", records)] {
            // What it holds from one load is not the memory of the next.
            ours.terminate()?;
            ours.restart()?;
            let parts: Vec<Part<'_>> = (load.convert.workers().iter())
                .map(|target| Part {
                    target: *target,
                    worker: match target {
                        Target::Java => &java,
                        Target::Ferroconnect => &ours,
                    },
                    slot: load.slot(round, *target),
                })
                .collect();
            let database = format!("{}_{round}", load.name);
            postgres.sql("postgres", &format!("create database {database}"))?;
            postgres.sql(&database, ORDERS_TABLE)?;
            let create = |part: &Part<'_>| create(part, &postgres, &database, load, registry.url());
            if !load.is_snapshot {
                for part in &parts {
                    create(part)?;
                    stop_at_once(part, &postgres)?;
                }
            }
            println!("source: {count} rows into the database ({database})");
            insert_orders(&postgres, &database, count, 10)?;
            postgres.sql(&database, "checkpoint")?;
            measured.clear();
            for part in &parts {
                let (rest, slot) = (&part.worker.rest, &part.slot);
                let topic = format!("{slot}.public.orders");
                let begin = || match load.is_snapshot {
                    true => create(part),
                    false => rest.put(&format!("/connectors/{slot}/resume")).map(drop),
                };
                let one = measure(part.worker.id(), name(part.target), count, || {
                    begin()?;
                    arrived(kafka, &topic, count, part)
                })?;
                println!("source ({database}): {one}");
                measured.push(one);
                rest.delete(&format!("/connectors/{slot}"))?;
                postgres.wait_slot(slot, false)?;
                postgres.sql(
                    "postgres",
                    &format!("select pg_drop_replication_slot('{slot}')"),
                )?;
            }
        }
        let topic = format!("{}_load_ferroconnect.public.orders", load.name);
        measured.push(bare_producer(kafka, &topic, records)?);
        let title = format!("Postgres source: {}", load.title);
        report.loads.push((title, measured));
        for round in ["warm", "load"] {
            for target in load.convert.workers() {
                let slot = load.slot(round, *target);
                kafka.delete_topic(&format!("{slot}.public.orders"))?;
            }
            postgres.sql(
                "postgres",
                &format!("drop database {}_{round} with (force)", load.name),
            )?;
        }
    }
    Ok(())
}

/// The values of a topic's first records over and over through a bare producer, with headers.
fn bare_producer(kafka: &Kafka, topic: &str, records: usize) -> Outcome<Measurement> {
    let records_there = kafka.some_records(topic, 1000)?.into_iter();
    let sample = bare::pack(records_there.filter_map(|record| record.value))?;
    let sample_file = run_folder("sample")?.join("values");
    std::fs::write(&sample_file, sample)?;
    let count = records.to_string();
    let file = sample_file.display().to_string();
    let measured = bare::child(
        "bare librdkafka producer, same bytes",
        records,
        &["produce", kafka.bootstrap(), "bare", &file, &count],
    )?;
    kafka.delete_topic("bare")?;
    Ok(measured)
}

/// One worker's part in a load: its connector is named like its slot.
struct Part<'a> {
    target: Target,
    worker: &'a Worker,
    slot: String,
}

/// Stops a new source, which then goes on with what comes next.
fn stop_at_once(part: &Part<'_>, postgres: &Postgres) -> Outcome<()> {
    let (rest, slot) = (&part.worker.rest, &part.slot);
    rest.wait_running(slot)?;
    postgres.wait_slot(slot, true)?;
    std::thread::sleep(Duration::from_secs(2));
    rest.put(&format!("/connectors/{slot}/stop"))?;
    postgres.wait_slot(slot, false)
}

fn create(
    part: &Part<'_>,
    postgres: &Postgres,
    database: &str,
    load: &SourceLoad,
    registry: &str,
) -> Outcome<()> {
    let port = postgres.port().to_string();
    let slot = part.slot.as_str();
    let snapshot = match load.is_snapshot {
        true => "initial",
        false => "no_data",
    };
    let mut config = vec![
        (
            "connector.class",
            "io.debezium.connector.postgresql.PostgresConnector",
        ),
        ("tasks.max", "1"),
        ("database.hostname", "127.0.0.1"),
        ("database.port", &port),
        ("database.user", "postgres"),
        ("database.password", "x"),
        ("database.dbname", database),
        ("topic.prefix", slot),
        ("slot.name", slot),
        ("publication.name", slot),
        ("plugin.name", "pgoutput"),
        ("snapshot.mode", snapshot),
    ];
    let converters: Vec<_> = ["key", "value"]
        .into_iter()
        .flat_map(|role| load.convert.options(role, registry))
        .collect();
    config.extend(
        converters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    part.worker.rest.create_config(slot, &config)?;
    Ok(())
}

fn arrived(kafka: &Kafka, topic: &str, count: usize, part: &Part<'_>) -> Outcome<()> {
    let mut last = (0, Instant::now());
    loop {
        let found = kafka.count(topic)?;
        if found >= i64::try_from(count)? {
            return Ok(());
        }
        if found > last.0 {
            last = (found, Instant::now());
        }
        if last.1.elapsed() > Duration::from_secs(120) {
            return fail(format!(
                "stalled at {found}: {}",
                part.worker.rest.status(&part.slot)?
            ));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn measure(
    pid: u32,
    who: &str,
    records: usize,
    work: impl FnOnce() -> Outcome<()>,
) -> Outcome<Measurement> {
    let (cpu, start) = (cpu_seconds(pid)?, Instant::now());
    work()?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Measurement {
        who: who.to_owned(),
        records,
        seconds,
        cpu_seconds: cpu_seconds(pid)? - cpu,
        peak_mib: memory_mib(pid, "VmHWM")?,
    })
}

const PARQUET: &str = "parquet.ParquetFormat";

/// Name, title, converter and format of each load of the sink.
const SINK_LOADS: [(&str, &str, Convert, &str); 3] = [
    (
        "parquet",
        "JSON with schemas to Parquet",
        Convert::JsonWithSchemas,
        PARQUET,
    ),
    ("avro", "Avro to Parquet", Convert::Avro, PARQUET),
    ("json", "JSON to JSON", Convert::Json, "json.JsonFormat"),
];

/// N records wait in a topic; the sink is created and timed until the last object has landed.
fn sink(kafka: &Kafka, records: usize, report: &mut Report) -> Outcome<()> {
    let minio = S3Server::minio(&run_folder("minio")?)?;
    let environment = minio.s3.environment();
    let registry = Registry::start(&run_folder("registry")?)?;
    for (short, title, convert, format) in SINK_LOADS {
        let topic = format!("sink-{short}");
        println!("sink: {records} records into {topic}");
        let orders = match convert {
            Convert::Json => OrderFormat::Json,
            Convert::JsonWithSchemas => OrderFormat::JsonWithSchemas,
            Convert::Avro => {
                OrderFormat::Avro(registry.register(&format!("{topic}-value"), ORDER_AVRO_SCHEMA)?)
            }
        };
        produce_orders(kafka, &topic, records, 4, orders)?;
        let bucket = minio.s3.create_bucket(&topic)?;
        // A worker of its own for each, so that the peak is its own.
        let options = WorkerOptions::new(
            Target::Ferroconnect,
            kafka.bootstrap(),
            &format!("bench-{topic}"),
        )
        .environment(environment.clone());
        let worker = Worker::start(&run_folder("worker")?, options)?;
        let class = format!("io.confluent.connect.s3.format.{format}");
        let mut config = vec![
            ("connector.class", "io.confluent.connect.s3.S3SinkConnector"),
            ("tasks.max", "2"),
            ("topics", topic.as_str()),
            ("s3.bucket.name", topic.as_str()),
            ("s3.region", "us-east-1"),
            ("storage.class", "io.confluent.connect.s3.storage.S3Storage"),
            ("flush.size", "50000"),
            ("format.class", class.as_str()),
            (
                "key.converter",
                "org.apache.kafka.connect.storage.StringConverter",
            ),
            (
                "partitioner.class",
                "io.confluent.connect.storage.partitioner.TimeBasedPartitioner",
            ),
            ("path.format", "'dt'=YYYY-MM-dd"),
            ("partition.duration.ms", "3600000"),
            ("locale", "en-US"),
            ("timezone", "UTC"),
            ("timestamp.extractor", "Record"),
        ];
        let converter = convert.options("value", registry.url());
        config.extend(
            converter
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let want = records / 50_000;
        let measured = measure(worker.id(), "Ferroconnect", records, || {
            worker.rest.create_config(&topic, &config)?;
            let mut last = (0, Instant::now());
            while last.0 < want {
                let found = bucket.list()?.len();
                if found > last.0 {
                    last = (found, Instant::now());
                }
                if last.1.elapsed() > Duration::from_secs(120) {
                    return fail(format!("stalled: {}", worker.rest.status(&topic)?));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        })?;
        println!("sink ({short}): {measured}");
        let count = records.to_string();
        let consumer = bare::child(
            "bare librdkafka consumer, same topic",
            records,
            &["consume", kafka.bootstrap(), &topic, "-", &count],
        )?;
        let mut rows = vec![measured];
        match convert {
            Convert::JsonWithSchemas => rows.push(Measurement::recorded_parquet()),
            Convert::Json => rows.push(Measurement::recorded_json()),
            // It was not recorded.
            Convert::Avro => {}
        }
        if format == PARQUET {
            rows.push(bare::child(
                "bare Parquet writer, rows made in memory",
                records,
                &["parquet", "-", "-", "-", &count],
            )?);
        }
        rows.push(consumer);
        report.loads.push((format!("S3 sink: {title}"), rows));
        kafka.delete_topic(&topic)?;
    }
    Ok(())
}
