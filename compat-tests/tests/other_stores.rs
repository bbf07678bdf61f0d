//! The S3 sink over stores that are not S3's, read back by clients that are not ours: Azure Blob
//! Storage (Azurite), and Google Cloud Storage, whose XML API MinIO understands where it is S3's own.

use crate::shared::{kafka, s3, sink_config, unique};
use compat_tests::google::Google;
use compat_tests::kafka::{flush, send};
use compat_tests::parts::{self, run_folder};
use compat_tests::process::Program;
use compat_tests::worker::{Target, Worker, WorkerOptions};
use compat_tests::{Outcome, fail, wait};
use rdkafka::producer::BaseRecord;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

/// Runs `clients/stores.py`.
fn azure(url: &str, action: &str, name: &str) -> Outcome<Vec<Value>> {
    let script = parts::repository().join("compat-tests/clients/stores.py");
    let done = Command::new(parts::path("stores/bin/python")?)
        .arg(script)
        .args([url, action, name])
        .output()?;
    if !done.status.success() {
        return fail(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    let text = String::from_utf8(done.stdout)?;
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

/// Seven small records and as many large ones through sinks into the bucket of `store_url`; the offsets
/// that are committed are those of complete objects. `read` gives each object's `key`, `length`, and
/// the `text` of a short one.
fn stores(
    store_url: &str,
    environment: Vec<(String, String)>,
    read: impl Fn() -> Outcome<Vec<Value>>,
) -> Outcome<()> {
    let options = WorkerOptions::new(Target::Ferroconnect, kafka().bootstrap(), &unique("store"));
    let worker = Worker::start(&run_folder("store")?, options.environment(environment))?;
    let (_, bucket) = store_url.split_once("://").ok_or("no URL")?;
    let (small, large) = (unique("small"), unique("large"));
    let producer = kafka().producer()?;
    let texts: Vec<Vec<u8>> = (0..7).map(|i| format!("{{\"i\":{i}}}").into()).collect();
    let blocks: Vec<Vec<u8>> = (0..7).map(|i| vec![b'a' + i; 900_000]).collect();
    for (topic, values) in [(&small, &texts), (&large, &blocks)] {
        kafka().create_topic(topic, 1, 1)?;
        for value in values {
            let record: BaseRecord<'_, [u8], [u8]> =
                BaseRecord::to(topic).payload(value.as_slice()).partition(0);
            send(&producer, record)?;
        }
    }
    flush(&producer)?;
    let class = |name: &str| format!("io.confluent.connect.s3.format.{name}");
    let (json, bytes) = (class("json.JsonFormat"), class("bytearray.ByteArrayFormat"));
    let formats = [
        (
            &small,
            &json,
            "org.apache.kafka.connect.json.JsonConverter",
            "3",
        ),
        (
            &large,
            &bytes,
            "org.apache.kafka.connect.converters.ByteArrayConverter",
            "7",
        ),
    ];
    for (topic, format, converter, flush_size) in formats {
        let more = [
            ("store.url", store_url),
            ("format.class", format.as_str()),
            ("value.converter", converter),
            ("flush.size", flush_size),
            ("value.converter.schemas.enable", "false"),
            // The large object goes up in parts.
            ("s3.part.size", "5242880"),
            ("consumer.override.auto.offset.reset", "earliest"),
        ];
        let config = sink_config(topic, bucket, &more);
        worker.rest.create_config(topic, &config)?;
    }
    let found = wait::until("three objects", Duration::from_secs(90), || {
        let found = read()?;
        match found.len() {
            3 => Ok(Some(found)),
            _ => Err(format!(
                "{found:?}; {}; {}",
                worker.rest.status(&small)?,
                worker.rest.status(&large)?
            )
            .into()),
        }
    })?;
    let key = |topic: &str, offset: i64, extension: &str| {
        format!("topics/{topic}/partition=0/{topic}+0+{offset:010}.{extension}")
    };
    let object = |key: String| -> Outcome<&Value> {
        let object = found.iter().find(|object| object["key"] == key);
        Ok(object.ok_or_else(|| format!("{key} is not among {found:?}"))?)
    };
    let first = object(key(&small, 0, "json"))?;
    assert_eq!(first["text"], "{\"i\":0}\n{\"i\":1}\n{\"i\":2}\n");
    let second = object(key(&small, 3, "json"))?;
    assert_eq!(second["text"], "{\"i\":3}\n{\"i\":4}\n{\"i\":5}\n");
    let parts = object(key(&large, 0, "bin"))?;
    assert_eq!(parts["length"], 7 * 900_001);
    for (topic, offset) in [(&small, 6), (&large, 7)] {
        wait::until("the offset", Duration::from_secs(30), || {
            let answer = worker.rest.get(&format!("/connectors/{topic}/offsets"))?;
            let committed = answer.json()?["offsets"][0]["offset"]["kafka_offset"].clone();
            match committed == offset {
                true => Ok(Some(())),
                false => Err(format!("{committed} is committed").into()),
            }
        })?;
    }
    Ok(())
}

#[test]
fn objects_land_in_azures_store() -> Outcome<()> {
    let folder = run_folder("azurite")?;
    let port = parts::free_port();
    let program = parts::path("azurite/node_modules/.bin/azurite-blob")?;
    let _azurite = Program::new(
        &program.display().to_string(),
        [
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            &port.to_string(),
            "--location",
            &folder.display().to_string(),
            // Clients are newer than it.
            "--skipApiVersionCheck",
            "--disableTelemetry",
            "--silent",
        ],
    )
    .start(&folder.join("azurite.log"))?;
    let url = format!("http://127.0.0.1:{port}");
    let environment = vec![
        ("AZURE_STORAGE_USE_EMULATOR".to_owned(), "true".to_owned()),
        ("AZURITE_BLOB_STORAGE_URL".to_owned(), url.clone()),
    ];
    let container = unique("azure");
    wait::until("the store", Duration::from_secs(60), || {
        azure(&url, "create", &container).map(Some)
    })?;
    stores(&format!("az://{container}"), environment, || {
        azure(&url, "read", &container)
    })
}

#[test]
fn objects_land_in_googles_store() -> Outcome<()> {
    let bucket = s3().create_open_bucket(&unique("google"))?;
    let token = "a-token-of-google";
    let google = Google::start(s3().endpoint.trim_start_matches("http://"), token)?;
    let environment = [
        ("GOOGLE_BASE_URL", google.endpoint.as_str()),
        ("GOOGLE_BEARER_TOKEN", token),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    stores(&format!("gs://{}", bucket.name), environment.into(), || {
        let mut objects = Vec::new();
        for (key, length) in bucket.list()? {
            let text = match length {
                ..10_000 => Some(String::from_utf8(bucket.get(&key)?.to_vec())?),
                _ => None,
            };
            objects.push(json!({"key": key, "length": length, "text": text}));
        }
        Ok(objects)
    })
}
