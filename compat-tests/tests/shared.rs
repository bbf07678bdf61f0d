//! The parts that all tests share: one broker, one database server, one S3 store, each started when
//! the first test asks. Every test has a database, topics, a bucket and a worker of its own.

use compat_tests::kafka::{BOOTSTRAP_SERVERS, Kafka, KafkaOptions};
use compat_tests::parts::run_folder;
use compat_tests::postgres::{Postgres, PostgresOptions};
use compat_tests::s3::{Bucket, S3, S3Server};
use compat_tests::worker::{Target, Worker, WorkerOptions};
use compat_tests::{Outcome, wait};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// One broker, small heap, or the cluster that `BOOTSTRAP_SERVERS` names.
pub(crate) fn kafka() -> &'static Kafka {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(|| {
        let folder = run_folder("kafka").expect("a folder for Kafka");
        Kafka::existing_or_start(&folder, &KafkaOptions::default()).expect("Kafka starts")
    })
}

/// The installed PostgreSQL.
pub(crate) fn postgres() -> &'static Postgres {
    static POSTGRES: OnceLock<Postgres> = OnceLock::new();
    POSTGRES.get_or_init(|| {
        let folder = run_folder("postgres").expect("a folder for PostgreSQL");
        Postgres::start(&folder, PostgresOptions::default()).expect("PostgreSQL starts")
    })
}

/// MinIO.
pub(crate) fn s3() -> &'static S3 {
    static MINIO: OnceLock<S3Server> = OnceLock::new();
    let server = MINIO.get_or_init(|| {
        let folder = run_folder("minio").expect("a folder for MinIO");
        S3Server::minio(&folder).expect("MinIO starts")
    });
    &server.s3
}

/// A name that no other test uses, nor another run on a broker that stays.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let run = match std::env::var_os(BOOTSTRAP_SERVERS) {
        Some(_) => format!("r{}n", std::process::id()),
        None => String::new(),
    };
    format!("{name}{run}{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A fresh database on the shared server.
pub(crate) fn database(name: &str) -> Outcome<String> {
    let name = unique(name);
    postgres().sql("postgres", &format!("create database {name}"))?;
    Ok(name)
}

/// A fresh bucket on the shared store.
pub(crate) fn bucket(name: &str) -> Outcome<Bucket> {
    s3().create_bucket(&unique(name))
}

/// Options of our worker in a group of its own, with the shared S3 store in its environment.
pub(crate) fn options(name: &str) -> WorkerOptions {
    WorkerOptions::new(Target::Ferroconnect, kafka().bootstrap(), &unique(name))
        .environment(s3().environment())
}

/// Our worker in a group of its own.
pub(crate) fn worker(name: &str) -> Outcome<Worker> {
    Worker::start(&run_folder(name)?, options(name))
}

/// The config of a Postgres source on a database of the shared server; later pairs win.
pub(crate) fn source_config<'a>(
    database: &'a str,
    port: &'a str,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut config = vec![
        (
            "connector.class",
            "io.debezium.connector.postgresql.PostgresConnector",
        ),
        ("tasks.max", "1"),
        ("database.hostname", "127.0.0.1"),
        ("database.port", port),
        ("database.user", "postgres"),
        ("database.password", "postgres"),
        ("database.dbname", database),
        ("topic.prefix", database),
        ("slot.name", database),
        ("publication.name", database),
        ("plugin.name", "pgoutput"),
        ("poll.interval.ms", "50"),
    ];
    overlay(&mut config, more);
    config
}

/// The config of an S3 sink on a bucket; later pairs win.
pub(crate) fn sink_config<'a>(
    topics: &'a str,
    bucket: &'a str,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut config = vec![
        ("connector.class", "io.confluent.connect.s3.S3SinkConnector"),
        ("tasks.max", "1"),
        ("topics", topics),
        ("s3.bucket.name", bucket),
        ("s3.region", "us-east-1"),
        ("storage.class", "io.confluent.connect.s3.storage.S3Storage"),
        (
            "format.class",
            "io.confluent.connect.s3.format.parquet.ParquetFormat",
        ),
        ("flush.size", "3"),
    ];
    overlay(&mut config, more);
    config
}

fn overlay<'a>(config: &mut Vec<(&'a str, &'a str)>, more: &[(&'a str, &'a str)]) {
    for (key, value) in more {
        config.retain(|(known, _)| known != key);
        config.push((key, value));
    }
}

/// Waits until a topic holds `count` records.
pub(crate) fn wait_count(kafka: &Kafka, topic: &str, count: i64) -> Outcome<()> {
    wait::until(
        &format!("{count} records in {topic}"),
        Duration::from_secs(120),
        || {
            let found = kafka.count(topic)?;
            if found < count {
                return Err(format!("{found} are there").into());
            }
            Ok(Some(()))
        },
    )
}

/// Waits until a bucket holds `count` objects and gives their keys.
pub(crate) fn wait_objects(bucket: &Bucket, count: usize) -> Outcome<Vec<String>> {
    wait::until(
        &format!("{count} objects in {}", bucket.name),
        Duration::from_secs(120),
        || {
            let found = bucket.list()?;
            if found.len() < count {
                return Err(format!("{} are there", found.len()).into());
            }
            Ok(Some(found.into_iter().map(|(key, _)| key).collect()))
        },
    )
}
