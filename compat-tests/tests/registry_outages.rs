//! A connector whose registry goes away, and one whose table changes in a way that the registry
//! refuses: the task stops with the reason in its trace, nothing is lost, and nothing of the new shape
//! is in the topic.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use compat_tests::kafka::{flush, send};
use compat_tests::{Outcome, rows, wait};
use rdkafka::producer::BaseRecord;
use serde_json::json;

use crate::registry::{convert, registry};
use crate::shared::{
    bucket, database, kafka, postgres, sink_config, source_config, unique, wait_objects, worker,
};

/// An address that leads to the registry while it is open, and hangs up otherwise.
struct Gate {
    port: u16,
    open: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Gate {
    /// Before the shared registry; with the address that leads through it.
    fn before_registry() -> Outcome<(Self, String)> {
        let (_, rest) = registry()
            .url()
            .split_once("//")
            .ok_or("an address with a host")?;
        let (host, path) = rest.split_once('/').ok_or("an address with a path")?;
        let gate = Self::to(host.to_owned())?;
        let url = format!("http://127.0.0.1:{}/{path}", gate.port);
        Ok((gate, url))
    }

    fn to(address: String) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let open = Arc::new(AtomicBool::new(true));
        let streams = Arc::new(Mutex::new(Vec::new()));
        let (is_open, keep) = (Arc::clone(&open), Arc::clone(&streams));
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if is_open.load(Ordering::Acquire) {
                    drop(join(&near, &address, &keep));
                }
            }
        });
        Ok(Self {
            port,
            open,
            streams,
        })
    }

    fn close(&self) {
        self.open.store(false, Ordering::Release);
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
    fn open(&self) {
        self.open.store(true, Ordering::Release);
    }
}

/// Passes bytes on in both directions until either side ends.
fn join(near: &TcpStream, address: &str, keep: &Mutex<Vec<TcpStream>>) -> std::io::Result<()> {
    let far = TcpStream::connect(address)?;
    {
        let mut keep = keep.lock().unwrap_or_else(PoisonError::into_inner);
        keep.extend([near.try_clone()?, far.try_clone()?]);
    }
    for (mut from, mut to) in [
        (near.try_clone()?, far.try_clone()?),
        (far.try_clone()?, near.try_clone()?),
    ] {
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            drop(to.shutdown(Shutdown::Both));
        });
    }
    Ok(())
}

#[test]
fn a_registry_that_is_away_or_refuses_stops_the_task_and_nothing_is_lost() -> Outcome<()> {
    let name = database("outage")?;
    postgres().sql(&name, "create table t (id int primary key, x int)")?;
    let port = postgres().port().to_string();
    let (gate, url) = Gate::before_registry()?;
    let worker = worker("outage")?;
    let mut config = source_config(&name, &port, &[("snapshot.mode", "no_data")]);
    config.extend([
        ("value.converter", "io.confluent.connect.avro.AvroConverter"),
        ("value.converter.schema.registry.url", url.as_str()),
        ("value.converter.retries.wait.ms", "10"),
    ]);
    let topic = format!("{name}.public.t");
    let keys = || -> Outcome<BTreeSet<String>> {
        let records = kafka().records(&topic)?;
        Ok(records.iter().map(|record| record.key_payload()).collect())
    };
    // Counted by key: what was in flight when a task failed may come twice.
    let wait_keys = |count| {
        let what = format!("{count} rows in {topic}");
        wait::until(&what, Duration::from_secs(120), || {
            Ok((keys()?.len() >= count).then_some(()))
        })
    };
    let restart = || -> Outcome<()> {
        let path = "/connectors/pg/tasks/0/restart";
        let answer = worker.rest.request("POST", path, None)?;
        assert_eq!(answer.status, 204, "{}", answer.body);
        Ok(())
    };

    // Away from the start.
    gate.close();
    worker.rest.create_config("pg", &config)?;
    worker.rest.wait_running("pg")?;
    postgres().wait_slot(&name, true)?;
    postgres().sql(&name, "insert into t values (1, 10)")?;
    let trace = worker.rest.wait_failed("pg")?;
    assert!(
        trace.contains(
            "NetworkException: Network connection error while serializing Avro data for topic"
        ),
        "{trace}"
    );
    gate.open();
    // The status is FAILED for a moment more; records show that it runs.
    restart()?;
    wait_keys(1)?;

    // Away when a new schema comes; rows of the old one still go through.
    gate.close();
    postgres().sql(&name, "insert into t values (2, 20)")?;
    wait_keys(2)?;
    postgres().sql(
        &name,
        "alter table t add column y int; insert into t values (3, 30, 300)",
    )?;
    let trace = worker.rest.wait_failed("pg")?;
    assert!(trace.contains("NetworkException"), "{trace}");
    assert_eq!(keys()?.len(), 2);
    gate.open();
    restart()?;
    wait_keys(3)?;

    // A change that readers of the old schema could not follow.
    let before = kafka().count(&topic)?;
    postgres().sql(
        &name,
        "alter table t alter column x type text; insert into t values (4, 'forty', 400)",
    )?;
    let trace = worker.rest.wait_failed("pg")?;
    assert!(
        trace.contains("Failed to serialize Avro data from topic")
            && trace.contains("RestClientException: ")
            && trace.contains("error code: 409"),
        "{trace}"
    );
    assert_eq!(kafka().count(&topic)?, before, "nothing of the new shape");
    Ok(())
}

/// Three Avro messages of a schema of so many fields, in `topic`.
fn produce(topic: &str, first: i64, fields: usize) -> Outcome<()> {
    let names: Vec<String> = (0..fields).map(|field| format!("f{field}")).collect();
    let schema = json!({"type": "struct", "name": "out.Row", "optional": false, "fields":
        names.iter().map(|name| json!({"field": name, "type": "int64", "optional": true})).collect::<Vec<_>>()});
    let lines: String = (first..first + 3)
        .map(|id| {
            let row: serde_json::Map<_, _> =
                names.iter().map(|name| (name.clone(), json!(id))).collect();
            format!("{}\n", json!({"schema": schema, "payload": row}))
        })
        .collect();
    let avro = format!(
        "io.confluent.connect.avro.AvroConverter,schema.registry.url={}",
        registry().url()
    );
    let json = "org.apache.kafka.connect.json.JsonConverter";
    let arguments = ["--from", json, "--to", &avro, "--topic", topic, "--to-hex"];
    let (hex, well) = convert(&arguments, &lines)?;
    assert!(well, "{hex}");
    let producer = kafka().producer()?;
    for line in hex.lines() {
        let digits = line.as_bytes().chunks(2);
        let byte = |pair: &[u8]| -> Outcome<u8> {
            Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)
        };
        let bytes = digits.map(byte).collect::<Outcome<Vec<u8>>>()?;
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).payload(&bytes);
        send(&producer, record)?;
    }
    flush(&producer)
}

#[test]
fn a_sink_whose_registry_is_away_stops_and_goes_on_where_it_was() -> Outcome<()> {
    let topic = unique("sinkoutage");
    kafka().create_topic(&topic, 1, 1)?;
    produce(&topic, 0, 1)?;
    let (gate, url) = Gate::before_registry()?;
    let worker = worker("sinkoutage")?;
    let bucket = bucket("sinkoutage")?;
    let config = sink_config(
        &topic,
        &bucket.name,
        &[
            (
                "format.class",
                "io.confluent.connect.s3.format.json.JsonFormat",
            ),
            ("value.converter", "io.confluent.connect.avro.AvroConverter"),
            ("value.converter.schema.registry.url", &url),
            ("value.converter.retries.wait.ms", "10"),
            ("consumer.override.auto.offset.reset", "earliest"),
        ],
    );
    let restart = || -> Outcome<()> {
        let answer = worker
            .rest
            .request("POST", "/connectors/out/tasks/0/restart", None)?;
        assert_eq!(answer.status, 204, "{}", answer.body);
        Ok(())
    };
    let failed = || -> Outcome<()> {
        let trace = worker.rest.wait_failed("out")?;
        let why = format!(
            "NetworkException: Network connection error while deserializing Avro data for topic {topic}"
        );
        assert!(trace.contains(&why), "{trace}");
        Ok(())
    };
    gate.close();
    worker.rest.create_config("out", &config)?;
    failed()?;
    gate.open();
    restart()?;
    wait_objects(&bucket, 1)?;
    // What is known goes through without the registry, a new schema does not.
    gate.close();
    produce(&topic, 3, 1)?;
    wait_objects(&bucket, 2)?;
    produce(&topic, 6, 2)?;
    failed()?;
    assert_eq!(bucket.list()?.len(), 2);
    gate.open();
    restart()?;
    wait_objects(&bucket, 3)?;
    let objects = rows::objects(&bucket)?;
    let ids: Vec<_> = objects
        .iter()
        .flat_map(|(_, rows)| rows)
        .map(|row| row["f0"].as_i64().unwrap_or(-1))
        .collect();
    assert_eq!(ids, (0..9).collect::<Vec<_>>(), "each row once, in order");
    Ok(())
}
