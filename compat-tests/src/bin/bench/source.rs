//! The Postgres source: each load through both workers and the same bytes through a bare producer,
//! timed until all of it is in Kafka.

use crate::report::{Load, Measurement, Report};
use crate::{Convert, Picked, SOURCE, bare, measure, name, null, worker_options};
use compat_tests::kafka::Kafka;
use compat_tests::load::{RowShape, Tables};
use compat_tests::parts::run_folder;
use compat_tests::postgres::{Postgres, PostgresOptions};
use compat_tests::registry::Registry;
use compat_tests::worker::{Target, Worker};
use compat_tests::{Outcome, fail};
use rdkafka::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use std::time::{Duration, Instant};

/// A load that the source is measured with.
pub(crate) struct SourceLoad {
    /// Short, for databases, slots and topics.
    pub(crate) name: &'static str,
    /// For the table.
    title: &'static str,
    /// Rows that a snapshot reads, or else changes that wait in a slot.
    is_snapshot: bool,
    convert: Convert,
    tables: Tables,
    /// With workers that write exactly once.
    exactly_once: bool,
    /// Of how many records it has one: large ones are few.
    share: usize,
}

impl SourceLoad {
    /// The slot, connector and topic prefix of a worker in a round.
    fn slot(&self, round: &str, target: Target) -> String {
        format!("{}_{round}_{target:?}", self.name).to_lowercase()
    }

    /// The topics of a worker in a round.
    fn topics(&self, round: &str, target: Target) -> Vec<String> {
        let slot = self.slot(round, target);
        let tables = self.tables.names().into_iter();
        tables
            .map(|table| format!("{slot}.public.{table}"))
            .collect()
    }
}

/// Orders in one table; the other loads say what they have instead.
const STREAM: SourceLoad = SourceLoad {
    name: "stream",
    title: "catch-up of waiting changes into Kafka, JSON",
    is_snapshot: false,
    convert: Convert::Json,
    tables: Tables {
        shape: RowShape::Order,
        count: 1,
    },
    exactly_once: false,
    share: 1,
};

pub(crate) const LOADS: [SourceLoad; 8] = [
    STREAM,
    SourceLoad {
        name: "schemas",
        title: "catch-up of waiting changes into Kafka, JSON with schemas",
        convert: Convert::JsonWithSchemas,
        ..STREAM
    },
    SourceLoad {
        name: "avro",
        title: "catch-up of waiting changes into Kafka, Avro",
        convert: Convert::Avro,
        ..STREAM
    },
    SourceLoad {
        name: "snapshot",
        title: "snapshot of a table into Kafka, JSON",
        is_snapshot: true,
        ..STREAM
    },
    SourceLoad {
        name: "tables",
        title: "catch-up of waiting changes of 100 tables into Kafka, JSON",
        tables: Tables {
            shape: RowShape::Order,
            count: 100,
        },
        ..STREAM
    },
    SourceLoad {
        name: "narrow",
        title: "catch-up of waiting changes of rows of 100 bytes into Kafka, JSON",
        tables: Tables {
            shape: RowShape::Narrow,
            count: 1,
        },
        ..STREAM
    },
    SourceLoad {
        name: "wide",
        title: "catch-up of waiting changes of rows of 50 KB into Kafka, JSON",
        tables: Tables {
            shape: RowShape::Wide,
            count: 1,
        },
        share: 50,
        ..STREAM
    },
    SourceLoad {
        name: "exactly",
        title: "catch-up of waiting changes into Kafka exactly once, JSON",
        exactly_once: true,
        ..STREAM
    },
];

/// How many rows are inserted in a transaction.
pub(crate) const ROWS_PER_TRANSACTION: usize = 10;

/// All loads that are picked.
pub(crate) fn run(
    kafka: &Kafka,
    records: usize,
    picked: &Picked,
    report: &mut Report,
) -> Outcome<()> {
    let settings = "fsync=off\nmax_wal_size=8GB\nshared_buffers=256MB\n";
    let options = PostgresOptions {
        settings,
        ..PostgresOptions::default()
    };
    let postgres = Postgres::start(&run_folder("postgres")?, options)?;
    let registry = Registry::start(&run_folder("registry")?)?;
    for exactly_once in [false, true] {
        let loads = LOADS
            .iter()
            .filter(|load| load.exactly_once == exactly_once && picked.has(SOURCE, load.name));
        let mut bench = None;
        for load in loads {
            let bench = match &mut bench {
                Some(bench) => bench,
                none => none.insert(Bench {
                    kafka,
                    postgres: &postgres,
                    registry: registry.url(),
                    java: start_worker(kafka, Target::Java, exactly_once)?,
                    ours: start_worker(kafka, Target::Ferroconnect, exactly_once)?,
                }),
            };
            report.loads.push(bench.run(load, records / load.share)?);
        }
    }
    if picked.has(SOURCE, null::NAME) {
        report.loads.push(null::measure(&postgres, records)?);
    }
    Ok(())
}

fn start_worker(kafka: &Kafka, target: Target, exactly_once: bool) -> Outcome<Worker> {
    let options = match exactly_once {
        false => worker_options(kafka, target, SOURCE),
        true => worker_options(kafka, target, "exactly")
            .property("exactly.once.source.support", "enabled"),
    };
    Worker::start(&run_folder("worker")?, options)
}

/// The parts that a load runs through.
struct Bench<'a> {
    kafka: &'a Kafka,
    postgres: &'a Postgres,
    registry: &'a str,
    java: Worker,
    ours: Worker,
}

impl Bench<'_> {
    fn worker(&self, target: Target) -> &Worker {
        match target {
            Target::Java => &self.java,
            Target::Ferroconnect => &self.ours,
        }
    }

    fn run(&mut self, load: &SourceLoad, records: usize) -> Outcome<Load> {
        let (kafka, postgres) = (self.kafka, self.postgres);
        let mut measured = Vec::new();
        // A first round warms the JVM's compiler; the second counts.
        for (round, count) in [("warm", records / 5), ("load", records)] {
            // What it holds from one load is not the memory of the next.
            self.ours.terminate()?;
            self.ours.restart()?;
            let parts: Vec<Part<'_>> = (load.convert.workers().iter())
                .map(|target| Part {
                    target: *target,
                    worker: self.worker(*target),
                    slot: load.slot(round, *target),
                })
                .collect();
            let database = format!("{}_{round}", load.name);
            postgres.sql("postgres", &format!("create database {database}"))?;
            load.tables.create(postgres, &database)?;
            let create = |part: &Part<'_>| create(part, postgres, &database, load, self.registry);
            if !load.is_snapshot {
                for part in &parts {
                    create(part)?;
                    stop_at_once(part, postgres)?;
                }
            }
            println!("source: {count} rows into the database ({database})");
            load.tables
                .insert(postgres, &database, count, ROWS_PER_TRANSACTION)?;
            postgres.sql(&database, "checkpoint")?;
            measured.clear();
            for part in &parts {
                let (rest, slot) = (&part.worker.rest, &part.slot);
                let begin = || match load.is_snapshot {
                    true => create(part),
                    false => rest.put(&format!("/connectors/{slot}/resume")).map(drop),
                };
                let arrivals = Arrivals::new(kafka, load.topics(round, part.target))?;
                let one = measure(part.worker.id(), name(part.target), count, || {
                    begin()?;
                    arrivals.wait(count, part)?;
                    match load.exactly_once {
                        true => arrivals.wait_committed(count, part),
                        false => Ok(()),
                    }
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
        let topics = load.topics("load", Target::Ferroconnect);
        measured.push(bare_producer(kafka, &topics, records)?);
        for round in ["warm", "load"] {
            for target in load.convert.workers() {
                for topic in load.topics(round, *target) {
                    kafka.delete_topic(&topic)?;
                }
            }
            postgres.sql(
                "postgres",
                &format!("drop database {}_{round} with (force)", load.name),
            )?;
        }
        Ok(Load {
            title: format!("Postgres source: {}", load.title),
            records,
            rows: measured,
        })
    }
}

/// The values of the first topic's first records over and over through a bare producer, with headers,
/// into as many topics.
fn bare_producer(kafka: &Kafka, topics: &[String], records: usize) -> Outcome<Measurement> {
    let Some(first) = topics.first() else {
        return fail("a load without topics");
    };
    let records_there = kafka.some_records(first, 1000)?.into_iter();
    let sample = bare::pack(records_there.filter_map(|record| record.value))?;
    let sample_file = run_folder("sample")?.join("values");
    std::fs::write(&sample_file, sample)?;
    let count = records.to_string();
    let file = sample_file.display().to_string();
    let topics: Vec<String> = (1..=topics.len()).map(|n| format!("bare-{n}")).collect();
    for topic in &topics {
        kafka.create_topic(topic, 1, 1)?;
    }
    let measured = bare::child(
        "bare librdkafka producer, same bytes",
        records,
        &[
            "produce",
            kafka.bootstrap(),
            &topics.join(","),
            &file,
            &count,
        ],
    )?;
    for topic in &topics {
        kafka.delete_topic(topic)?;
    }
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
    let snapshot = match load.is_snapshot {
        true => "initial",
        false => "no_data",
    };
    let mut config = connector(&port, database, &part.slot);
    config.extend([
        (
            "connector.class",
            "io.debezium.connector.postgresql.PostgresConnector",
        ),
        ("tasks.max", "1"),
        ("snapshot.mode", snapshot),
    ]);
    if load.exactly_once {
        config.push(("exactly.once.support", "required"));
    }
    let converters: Vec<_> = ["key", "value"]
        .into_iter()
        .flat_map(|role| load.convert.options(role, registry))
        .collect();
    config.extend(
        converters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    part.worker.rest.create_config(&part.slot, &config)?;
    Ok(())
}

/// The connector's own options: what it reads, and through which slot.
pub(crate) fn connector<'a>(
    port: &'a str,
    database: &'a str,
    slot: &'a str,
) -> Vec<(&'static str, &'a str)> {
    vec![
        ("database.hostname", "127.0.0.1"),
        ("database.port", port),
        ("database.user", "postgres"),
        ("database.password", "x"),
        ("database.dbname", database),
        ("topic.prefix", slot),
        ("slot.name", slot),
        ("publication.name", slot),
        ("plugin.name", "pgoutput"),
    ]
}

/// How long records may stay away.
pub(crate) const STALL: Duration = Duration::from_secs(120);
/// How often the topics are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// What the brokers have to answer in.
const ANSWER: Duration = Duration::from_secs(10);

/// Watches a load's topics over one connection.
struct Arrivals {
    client: BaseConsumer,
    topics: Vec<String>,
}

impl Arrivals {
    fn new(kafka: &Kafka, topics: Vec<String>) -> Outcome<Self> {
        let client = ClientConfig::new()
            .set("bootstrap.servers", kafka.bootstrap())
            .set("group.id", "bench")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "20")
            .set("log_level", "0")
            .create()?;
        Ok(Self { client, topics })
    }

    /// Waits until the topics have so many records together, each its share of them. A topic that
    /// has is not looked at again: a hundred of them would be a load of their own.
    fn wait(&self, count: usize, part: &Part<'_>) -> Outcome<()> {
        let share = i64::try_from(count / self.topics.len())?;
        let (mut full, mut last, mut since) = (0, (0, 0), Instant::now());
        loop {
            let metadata = self.client.fetch_metadata(None, ANSWER)?;
            let mut found = 0;
            while let Some(topic) = self.topics.get(full) {
                found = self.count(&metadata, topic)?;
                if found < share {
                    break;
                }
                full += 1;
            }
            if full == self.topics.len() {
                return Ok(());
            }
            if (full, found) != last {
                (last, since) = ((full, found), Instant::now());
            }
            if since.elapsed() > STALL {
                return fail(format!(
                    "stalled at {found} in {}: {}",
                    self.topics[full],
                    part.worker.rest.status(&part.slot)?
                ));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// How many records a topic has taken; none before it is there.
    fn count(&self, metadata: &Metadata, topic: &str) -> Outcome<i64> {
        let topics = metadata.topics().iter();
        let known = topics.filter(|known| known.name() == topic);
        let mut count = 0;
        for partition in known.flat_map(|known| known.partitions()) {
            match self.client.fetch_watermarks(topic, partition.id(), ANSWER) {
                Ok((first, next)) => count += next - first,
                // The topic was made a moment ago.
                Err(KafkaError::MetadataFetch(
                    RDKafkaErrorCode::NotLeaderForPartition
                    | RDKafkaErrorCode::LeaderNotAvailable
                    | RDKafkaErrorCode::UnknownTopicOrPartition,
                )) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(count)
    }

    /// Waits until the last of so many rows, by its key, can be read as committed. The ends of
    /// transactions count as records where only offsets are looked at, so that these come early.
    fn wait_committed(&self, count: usize, part: &Part<'_>) -> Outcome<()> {
        let key = format!(r#"{{"id":{count}}}"#);
        let begin = Instant::now();
        while !self.ends_with(key.as_bytes())? {
            if begin.elapsed() > STALL {
                return fail(format!(
                    "{key} is not committed: {}",
                    part.worker.rest.status(&part.slot)?
                ));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Whether a record with this key is among the last that are committed.
    fn ends_with(&self, key: &[u8]) -> Outcome<bool> {
        /// The record itself, the end of its transaction, and some to spare.
        const TAIL: i64 = 10;
        let mut list = TopicPartitionList::new();
        for topic in &self.topics {
            let (first, next) = self.client.fetch_watermarks(topic, 0, ANSWER)?;
            list.add_partition_offset(topic, 0, Offset::Offset((next - TAIL).max(first)))?;
        }
        self.client.assign(&list)?;
        loop {
            match self.client.poll(Duration::from_secs(1)) {
                Some(Ok(message)) if message.key() == Some(key) => return Ok(true),
                Some(Ok(_)) => {}
                Some(Err(KafkaError::PartitionEOF(_))) | None => return Ok(false),
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}
