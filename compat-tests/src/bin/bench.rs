//! The benchmark: Ferroconnect beside the JVM worker, beside what was recorded of the Confluent sink,
//! and beside the physical limit. Writes a table and a chart into `docs/bench`.
//!
//! The same binary, as a child, is the bare producer, consumer and Parquet writer, and the connector
//! without a worker: a process of its own, so that CPU and peak memory are its own too.
//!
//! `BENCH_RECORDS` sets the size (1,000,000). `BENCH_ONLY` picks parts (`start,source,sink`) or single
//! loads by their short names (`stream,wide,parquet`); `docs/bench` is written when nothing is left
//! out.
#![expect(clippy::print_stdout, reason = "it is for a person to read")]

#[path = "bench/bare.rs"]
mod bare;
#[path = "bench/null.rs"]
mod null;
#[path = "bench/report.rs"]
mod report;
#[path = "bench/source.rs"]
mod source;

use compat_tests::kafka::{Kafka, KafkaOptions};
use compat_tests::load::{ORDER_AVRO_SCHEMA, OrderFormat, produce_orders};
use compat_tests::parts::run_folder;
use compat_tests::process::{cpu_seconds, memory_mib};
use compat_tests::registry::Registry;
use compat_tests::s3::S3Server;
use compat_tests::worker::{Target, Worker, WorkerOptions};
use compat_tests::{Outcome, fail};
use report::{Footprint, Load, Measurement, Report};
use std::time::{Duration, Instant};

/// The worker's, so that what a child shows is not the difference between two allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const AVRO: &str = "io.confluent.connect.avro.AvroConverter";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.is_empty() {
        return bare::run(&arguments);
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
    let picked = Picked::from_environment()?;

    let folder = run_folder("bench")?;
    let options = KafkaOptions {
        jvm: KafkaOptions::FAST,
        ..KafkaOptions::default()
    };
    let kafka = Kafka::existing_or_start(&folder, &options)?;
    let mut report = Report::default();
    if picked.has(START, START) {
        for target in [Target::Java, Target::Ferroconnect] {
            report.footprints.push(footprint(&kafka, target)?);
        }
    }
    if picked.any(SOURCE) {
        source::run(&kafka, records, &picked, &mut report)?;
    }
    if picked.any(SINK) {
        sink(&kafka, records, &picked, &mut report)?;
    }
    match picked.is_everything() {
        true => report.write(),
        false => report.print(),
    }
}

const START: &str = "start";
const SOURCE: &str = "source";
const SINK: &str = "sink";

/// What can be measured: part and short name of each.
fn loads() -> impl Iterator<Item = (&'static str, &'static str)> {
    let sources = source::LOADS.iter().map(|load| (SOURCE, load.name));
    let sinks = SINK_LOADS.iter().map(|(short, ..)| (SINK, *short));
    std::iter::once((START, START))
        .chain(sources)
        .chain([(SOURCE, null::NAME)])
        .chain(sinks)
}

/// What `BENCH_ONLY` picks; without it everything.
struct Picked(Vec<String>);

impl Picked {
    fn from_environment() -> Outcome<Self> {
        let Ok(only) = std::env::var("BENCH_ONLY") else {
            return Ok(Self([START, SOURCE, SINK].map(str::to_owned).to_vec()));
        };
        let words: Vec<String> = only.split(',').map(|word| word.trim().to_owned()).collect();
        for word in &words {
            // A slip of the pen is not to pass for a run of nothing.
            if !loads().any(|(part, load)| word == part || word == load) {
                let names: Vec<&str> = loads().map(|(_, load)| load).collect();
                return fail(format!(
                    "BENCH_ONLY: there is no load \"{word}\"; there are {SOURCE}, {SINK}, {}",
                    names.join(", ")
                ));
            }
        }
        Ok(Self(words))
    }

    fn has(&self, part: &str, load: &str) -> bool {
        self.0.iter().any(|word| word == part || word == load)
    }

    /// Whether it has a load of a part.
    fn any(&self, part: &str) -> bool {
        loads().any(|(its, load)| its == part && self.has(part, load))
    }

    fn is_everything(&self) -> bool {
        loads().all(|(part, load)| self.has(part, load))
    }
}

fn name(target: Target) -> &'static str {
    match target {
        Target::Java => "JVM worker",
        Target::Ferroconnect => "Ferroconnect",
    }
}

fn worker_options(kafka: &Kafka, target: Target, purpose: &str) -> WorkerOptions {
    let group = format!("bench-{purpose}-{target:?}").to_lowercase();
    WorkerOptions::new(target, kafka.bootstrap(), &group)
}

/// Start until REST answers, with the three topics there already, and memory when idle.
fn footprint(kafka: &Kafka, target: Target) -> Outcome<Footprint> {
    let options = worker_options(kafka, target, START);
    let mut worker = Worker::start(&run_folder("worker")?, options)?;
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

/// Short name, title, converter and format of each load of the sink.
const SINK_LOADS: [(&str, &str, Convert, &str); 3] = [
    (
        "parquet",
        "JSON with schemas to Parquet",
        Convert::JsonWithSchemas,
        PARQUET,
    ),
    ("avro-parquet", "Avro to Parquet", Convert::Avro, PARQUET),
    ("json", "JSON to JSON", Convert::Json, "json.JsonFormat"),
];

/// N records wait in a topic; the sink is created and timed until the last object has landed.
fn sink(kafka: &Kafka, records: usize, picked: &Picked, report: &mut Report) -> Outcome<()> {
    let minio = S3Server::minio(&run_folder("minio")?)?;
    let environment = minio.s3.environment();
    let registry = Registry::start(&run_folder("registry")?)?;
    let loads = SINK_LOADS.into_iter();
    for (short, title, convert, format) in loads.filter(|(short, ..)| picked.has(SINK, short)) {
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
            &["consume", kafka.bootstrap(), &topic, &count],
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
                &["parquet", &count],
            )?);
        }
        rows.push(consumer);
        report.loads.push(Load {
            title: format!("S3 sink: {title}"),
            records,
            rows,
        });
        kafka.delete_topic(&topic)?;
    }
    Ok(())
}
