//! Every example below `examples/`, from row to Parquet. The JSON is posted as it stands in its
//! folder; hosts and paths that it writes out exist in the worker's own namespace.

use crate::registry::registry;
use crate::shared::{kafka, options, s3, unique, wait_count, wait_objects};
use compat_tests::example::Example;
use compat_tests::kafka::{Kafka, KafkaOptions, flush, send};
use compat_tests::parts::{loopback_address, run_folder};
use compat_tests::postgres::{Postgres, PostgresOptions};
use compat_tests::rows;
use compat_tests::s3::{Bucket, S3Server};
use compat_tests::worker::{Target, Worker, WorkerOptions};
use compat_tests::{Outcome, wait};
use rdkafka::producer::BaseRecord;
use serde_json::{Value, json};
use std::time::Duration;

/// A server of its own for an example: its database, with `setup.sql` run, at an address of the
/// example's own, on the port that the documents write out.
fn server(example: &Example, database: &str) -> Outcome<Postgres> {
    let options = PostgresOptions {
        address: loopback_address(),
        port: 5432,
        ..PostgresOptions::default()
    };
    let server = Postgres::start(&run_folder("example")?, options)?;
    server.sql("postgres", &format!("create database {database}"))?;
    server.sql(database, &example.read("setup.sql")?)?;
    Ok(server)
}

/// Three brokers, for what asks for three replicas.
fn three_brokers() -> Outcome<Kafka> {
    let options = KafkaOptions {
        brokers: 3,
        ..KafkaOptions::default()
    };
    Kafka::start(&run_folder("brokers")?, &options)
}

fn all_rows(bucket: &Bucket) -> Outcome<Vec<Value>> {
    Ok(rows::objects(bucket)?
        .into_iter()
        .flat_map(|(_, rows)| rows)
        .collect())
}

#[test]
fn example_000_helm_data_platform() -> Outcome<()> {
    let example = Example::new("000-helm-data-platform");
    let server = server(&example, "shop")?;
    let bucket = s3().create_bucket("data-platform-raw")?;
    let mut options = options("example").environment(vec![
        ("POSTGRES_USER".to_owned(), "cdc".to_owned()),
        ("POSTGRES_PASSWORD".to_owned(), "cdc-password".to_owned()),
    ]);
    options.hosts = vec![("postgres".to_owned(), server.address().to_owned())];
    let worker = Worker::start(&run_folder("worker")?, options)?;
    let source = worker
        .rest
        .create(&example.read("debezium-postgres.json")?)?;
    worker.rest.wait_running(&source)?;
    // No topic.prefix: database.server.name names the topics.
    wait_count(kafka(), "postgres-cdc.public.customers", 1)?;
    server.sql("shop", &example.read("changes.sql")?)?;
    wait_count(kafka(), "postgres-cdc.public.orders", 1000)?;
    let sink = worker.rest.create(&example.read("s3-sink.json")?)?;
    let keys = wait_objects(&bucket, 1)?;
    let today = server
        .value("shop", "select to_char(now(), 'YYYY-MM-DD')")?
        .unwrap_or_default();
    let name = "postgres-cdc.public.orders";
    assert_eq!(
        keys,
        [format!(
            "topics/{name}/dt={today}/{name}+0+0000000000.snappy.parquet"
        )]
    );
    let rows = all_rows(&bucket)?;
    assert_eq!(rows.len(), 1000);
    assert_eq!(rows[999]["op"], "c");
    assert_eq!(rows[999]["after"]["id"], 1000);
    worker.rest.wait_running(&sink)
}

/// Copies a topic with the schemas that its messages name, as a mirroring tool does: the same bytes,
/// and the schemas under the other topic's subjects.
fn copy_topic(cluster: &Kafka, from: &str, to: &str) -> Outcome<()> {
    let records = cluster.records(from)?;
    let mut known = Vec::new();
    let producer = cluster.producer()?;
    for record in &records {
        for (side, bytes) in [("key", &record.key), ("value", &record.value)] {
            let Some([0, id @ ..]) = bytes.as_deref().and_then(|bytes| bytes.first_chunk::<5>())
            else {
                continue;
            };
            let id = u32::from_be_bytes(*id);
            if known.contains(&(side, id)) {
                continue;
            }
            let schema = registry().call("GET", &format!("/schemas/ids/{id}"), None)?;
            let body = json!({"schema": schema["schema"]});
            let path = format!("/subjects/{to}-{side}/versions");
            let registered = registry().call("POST", &path, Some(&body))?;
            assert_eq!(
                registered["id"], id,
                "an id is a schema's, whatever its subject"
            );
            known.push((side, id));
        }
        let mut copy = BaseRecord::to(to).partition(record.partition);
        if let Some(key) = &record.key {
            copy = copy.key(key.as_slice());
        }
        if let Some(value) = &record.value {
            copy = copy.payload(value.as_slice());
        }
        send(&producer, copy)?;
    }
    flush(&producer)
}

#[test]
fn example_001_data_ingestion_pipeline() -> Outcome<()> {
    let example = Example::new("001-data-ingestion-pipeline");
    let server = server(&example, "ecommerce")?;
    let bucket = s3().create_bucket("datapipe-ingestion-123")?;
    let cluster = three_brokers()?;
    let mut options = WorkerOptions::new(
        Target::Ferroconnect,
        cluster.bootstrap(),
        &unique("example"),
    )
    .environment(vec![(
        "AWS_ENDPOINT_URL_S3".to_owned(),
        s3().endpoint.clone(),
    )]);
    options.replicas = 3;
    options.hosts = vec![("postgresql".to_owned(), server.address().to_owned())];
    let secrets = "/opt/kafka/secrets";
    options.files = vec![
        (
            format!("{secrets}/postgres-password.txt"),
            "password=dbz-password\n".to_owned(),
        ),
        (
            format!("{secrets}/aws-credentials.txt"),
            format!(
                "access_key={}\nsecret_key={}\n",
                s3().access_key,
                s3().secret_key
            ),
        ),
    ];
    let registry_address = loopback_address();
    registry().at_root(&format!("{registry_address}:8081"))?;
    options
        .hosts
        .push(("schema-registry".to_owned(), registry_address));
    // Without topic.prefix, database.server.name names the topics: these are the source's. The
    // sink's are those of the document's "Topic Configuration".
    for table in ["users", "products"] {
        cluster.create_topic(&format!("postgres.public.{table}"), 6, 3)?;
        cluster.create_topic(&format!("cdc.postgres.{table}"), 6, 3)?;
    }
    let worker = Worker::start(&run_folder("worker")?, options)?;
    let source = worker
        .rest
        .create(&example.read("postgres-cdc-connector.json")?)?;
    worker.rest.wait_running(&source)?;
    wait_count(&cluster, "postgres.public.users", 1)
        .map_err(|error| format!("{error} {:?}", worker.rest.status(&source)))?;
    server.sql("ecommerce", &example.read("changes.sql")?)?;
    wait_count(&cluster, "postgres.public.users", 13_112)?;
    copy_topic(&cluster, "postgres.public.users", "cdc.postgres.users")?;
    let sink = worker
        .rest
        .create(&example.read("s3-sink-connector.json")?)?;
    worker.rest.wait_running(&sink)?;
    wait::until("three tasks", Duration::from_secs(30), || {
        let status = worker.rest.status(&sink)?;
        Ok((status["tasks"].as_array().map(Vec::len) == Some(3)).then_some(()))
    })?;
    // 12,000 users over 6 partitions: each holds more than the 1000 that complete an object.
    let keys = wait_objects(&bucket, 6)?;
    let hour = server.value(
        "ecommerce",
        "select to_char(now() at time zone 'UTC', '\"year=\"YYYY\"/month=\"MM\"/day=\"DD')",
    )?;
    let folder = format!("topics/cdc.postgres.users/{}", hour.unwrap_or_default());
    assert!(keys.iter().all(|key| key.starts_with(&folder)), "{keys:?}");
    let rows = all_rows(&bucket)?;
    assert!(
        rows.len() % 1000 == 0 && rows.len() >= 6000,
        "{} rows",
        rows.len()
    );
    // Unwrapped: the row itself.
    assert!(
        rows.iter()
            .all(|row| row["email"].as_str().is_some_and(|e| e.contains('@')))
    );
    worker.rest.wait_running(&source)
}

#[test]
fn example_002_production_data_platform() -> Outcome<()> {
    let example = Example::new("002-production-data-platform");
    let server = server(&example, "pipeline_db")?;
    let store = S3Server::minio_at(
        &run_folder("minio")?,
        &format!("{}:9000", loopback_address()),
    )?;
    let bucket = store.s3.create_bucket("data-lake")?;
    let mut options = options("example");
    options.environment = vec![
        (
            "MINIO_PIPELINE_USER".to_owned(),
            store.s3.access_key.clone(),
        ),
        (
            "MINIO_PIPELINE_PASSWORD".to_owned(),
            store.s3.secret_key.clone(),
        ),
        ("POSTGRES_USER".to_owned(), "pipeline".to_owned()),
        (
            "POSTGRES_PASSWORD".to_owned(),
            "pipeline-password".to_owned(),
        ),
    ];
    options.hosts = vec![
        ("postgres".to_owned(), server.address().to_owned()),
        (
            "minio".to_owned(),
            store
                .s3
                .endpoint
                .trim_start_matches("http://")
                .trim_end_matches(":9000")
                .to_owned(),
        ),
    ];
    let worker = Worker::start(&run_folder("worker")?, options)?;
    let source = worker.rest.create(&example.read("orders-cdc.json")?)?;
    worker.rest.wait_running(&source)?;
    wait_count(kafka(), "raw.public.orders", 2)?;
    server.sql("pipeline_db", &example.read("changes.sql")?)?;
    wait_count(kafka(), "raw.public.orders", 1002)?;
    let sink = worker.rest.create(&example.read("bronze-sink.json")?)?;
    worker.rest.wait_running(&sink)?;
    let keys = wait_objects(&bucket, 1)?;
    assert!(
        keys[0].starts_with("bronze/raw.public.orders/order_date="),
        "{keys:?}"
    );
    let rows = all_rows(&bucket)?;
    assert_eq!(rows.len(), 1000);
    assert_eq!(rows[0]["order_id"], "o-1");
    assert_eq!(rows[0]["items"], "[{\"sku\": \"pizza\", \"quantity\": 1}]");
    Ok(())
}

#[test]
fn example_003_realtime_cdc_platform() -> Outcome<()> {
    let example = Example::new("003-realtime-cdc-platform");
    let server = server(&example, "ecommerce")?;
    let bucket = s3().create_bucket("cdc-platform-data-lake-123456789012")?;
    let mut options = options("example");
    options.hosts = vec![(
        "cdc-platform.abc123.us-east-1.rds.amazonaws.com".to_owned(),
        server.address().to_owned(),
    )];
    options.files = vec![
        ("/opt/secrets/rds/username".to_owned(), "dbadmin".to_owned()),
        (
            "/opt/secrets/rds/password".to_owned(),
            "rds-password".to_owned(),
        ),
    ];
    let worker = Worker::start(&run_folder("worker")?, options)?;
    let source = worker
        .rest
        .create(&example.read("postgres-connector.json")?)?;
    worker.rest.wait_running(&source)?;
    for (table, count) in [("products", 5), ("orders", 3), ("order_items", 4)] {
        wait_count(kafka(), &format!("dbserver1.public.{table}"), count)?;
    }
    server.wait_slot("cdc_platform", true)?;
    std::thread::sleep(Duration::from_secs(1));
    server.sql("ecommerce", &example.read("changes.sql")?)?;
    // Insert, update, delete with its tombstone.
    wait_count(kafka(), "dbserver1.public.products", 9)?;
    let sink = worker.rest.create(&example.read("s3-data-lake.json")?)?;
    worker.rest.wait_running(&sink)?;
    wait_objects(&bucket, 15)?;
    let rows = all_rows(&bucket)?;
    assert_eq!(
        rows.len(),
        15,
        "12 rows of the snapshot and 3 changes; tombstones are passed over"
    );
    let products: Vec<&Value> = rows
        .iter()
        .filter(|row| row["source"]["table"] == "products")
        .collect();
    let ops: Vec<&str> = products
        .iter()
        .filter_map(|row| row["op"].as_str())
        .collect();
    assert_eq!(ops, ["r", "r", "r", "r", "r", "c", "u", "d"]);
    // REPLICA IDENTITY FULL: the whole row before.
    assert_eq!(products[7]["before"]["name"], "Test Product");
    assert_eq!(products[7]["after"], Value::Null);
    Ok(())
}

#[test]
fn example_004_kafka_connect_guide() -> Outcome<()> {
    let example = Example::new("004-kafka-connect-guide");
    let server = server(&example, "mydatabase")?;
    let bucket = s3().create_bucket("my-cdc-bucket")?;
    let cluster = three_brokers()?;
    // The guide's env.template.
    let variables = [
        ("AWS_RDS_ENDPOINT", server.address()),
        ("AWS_RDS_DBNAME", "mydatabase"),
        ("AWS_RDS_USER", "replicator"),
        ("AWS_RDS_PASSWORD", "your_password"),
        ("AWS_RDS_PORT", "5432"),
        ("S3_BUCKET_NAME", "my-cdc-bucket"),
        ("POSTGRES_SCHEMA_TO_TRACK", "public"),
        ("POSTGRES_TABLE_TO_TRACK", "users"),
        ("REPLICATION_SLOT_NAME", "debezium_slot"),
    ];
    let mut options = WorkerOptions::new(
        Target::Ferroconnect,
        cluster.bootstrap(),
        &unique("example"),
    )
    .environment(s3().environment())
    .environment(
        variables
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
    );
    options.replicas = 3;
    let worker = Worker::start(&run_folder("worker")?, options)?;
    let unchanged = example.read("debezium-postgres.json")?;
    let source = worker.rest.create(&unchanged)?;
    worker.rest.wait_running(&source)?;
    let topic = "dbz.public.users";
    wait_count(&cluster, topic, 2)?;
    assert_eq!(
        cluster.topics()?.get(topic),
        Some(&3),
        "as topic.creation says"
    );
    // What REST shows is what was posted: placeholders, no secrets.
    let shown = worker
        .rest
        .get(&format!("/connectors/{source}/config"))?
        .json()?;
    let mut posted: Value = serde_json::from_str(&unchanged)?;
    posted["config"]["name"] = json!("debezium-postgres");
    assert_eq!(shown, posted["config"]);
    let sink = worker.rest.create(&example.read("s3-sink.json")?)?;
    worker.rest.wait_running(&sink)?;
    server.wait_slot("debezium_slot", true)?;
    server.sql("mydatabase", &example.read("changes.sql")?)?;
    // 2 rows of the snapshot, insert, update, delete; its tombstone is ignored.
    let keys = wait_objects(&bucket, 5)?;
    let day = server.value(
        "mydatabase",
        "select to_char(now() at time zone 'UTC', 'YYYY-MM-DD')",
    )?;
    let folder = format!("topics/{topic}/{}/{topic}+", day.unwrap_or_default());
    assert!(keys.iter().all(|key| key.starts_with(&folder)), "{keys:?}");
    assert!(
        keys.iter().all(|key| key.ends_with(".snappy.parquet")),
        "{keys:?}"
    );
    let rows = all_rows(&bucket)?;
    let of = |op: &str| {
        rows.iter()
            .filter(|row| row["op"] == op)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of("r").len(), of("c").len(), of("u").len(), of("d").len()),
        (2, 1, 1, 1)
    );
    assert_eq!(of("c")[0]["after"]["email"], "carol@example.com");
    assert_eq!(of("c")[0]["source"]["table"], "users");
    // The heartbeat beats into its topic.
    wait::until("a heartbeat", Duration::from_secs(30), || {
        Ok((cluster.count("__debezium-heartbeat.dbz")? > 0).then_some(()))
    })?;
    worker.rest.wait_running(&source)
}

#[test]
fn the_documents_json_stands_unchanged() -> Outcome<()> {
    // Digests of the JSON as the documents print it, so that nobody edits it by mistake.
    for (folder, file, bytes, sum) in [
        (
            "001-data-ingestion-pipeline",
            "postgres-cdc-connector.json",
            1000,
            SUM_001_SOURCE,
        ),
        (
            "001-data-ingestion-pipeline",
            "s3-sink-connector.json",
            1189,
            SUM_001_SINK,
        ),
        (
            "004-kafka-connect-guide",
            "debezium-postgres.json",
            2084,
            SUM_004_SOURCE,
        ),
        (
            "004-kafka-connect-guide",
            "s3-sink.json",
            1362,
            SUM_004_SINK,
        ),
    ] {
        let text = Example::new(folder).read(file)?;
        assert_eq!((text.len(), fnv(&text)), (bytes, sum), "{folder}/{file}");
    }
    Ok(())
}

const SUM_001_SOURCE: u64 = 0x0c95_4570_0fe3_649b;
const SUM_001_SINK: u64 = 0xdfd7_f965_8e06_0962;
const SUM_004_SOURCE: u64 = 0x260e_25ab_a157_f6ec;
const SUM_004_SINK: u64 = 0x577c_64dd_5a5a_7777;

/// FNV-1a: enough to notice an edit.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
