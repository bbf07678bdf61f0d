//! The S3 sink behind a store that fails in every way, with kills in between: afterwards
//! `ferroconnect s3 verify` finds every offset exactly once. `make chaos-s3` runs the long form.

use crate::shared::{bucket, kafka, options, s3, sink_config, unique};
use compat_tests::fault::FaultProxy;
use compat_tests::kafka::{flush, send};
use compat_tests::parts::{free_port, run_folder};
use compat_tests::worker::{Worker, binary};
use compat_tests::{Outcome, wait};
use rdkafka::producer::BaseRecord;
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 2;
/// Records to an object.
const FLUSH_SIZE: i64 = 100;
/// Of a hundred requests so many go wrong.
const SHARE: u64 = 25;

fn produce(topic: &str, first: i64, count: i64) -> Outcome<()> {
    let producer = kafka().producer()?;
    for id in first..first + count {
        let value = format!("{{\"id\":{id},\"text\":\"some text that makes it longer\"}}");
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic)
            .payload(value.as_bytes())
            .partition(i32::try_from(id % i64::from(PARTITIONS))?);
        send(&producer, record)?;
    }
    flush(&producer)
}

/// What `ferroconnect s3 verify` says of a bucket, and its exit code.
fn verify(bucket: &str, topic: &str) -> Outcome<(Value, Option<i32>)> {
    let store = s3();
    let output = Command::new(binary()?)
        .args(["s3", "verify"])
        .args([
            format!("s3.bucket.name={bucket}"),
            format!("store.url={}", store.endpoint),
            format!("aws.access.key.id={}", store.access_key),
            format!("aws.secret.access.key={}", store.secret_key),
            format!("topics={topic}"),
        ])
        .output()?;
    let report = serde_json::from_slice(&output.stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        format!("{error}: {said}")
    })?;
    Ok((report, output.status.code()))
}

#[test]
fn every_offset_is_stored_once_whatever_the_store_and_the_worker_suffer() -> Outcome<()> {
    let seconds: u64 = std::env::var("CHAOS_S3_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(12);
    let topic = unique("sinkfaults");
    let bucket = bucket("sinkfaults")?;
    kafka().create_topic(&topic, PARTITIONS, 1)?;
    let store = s3().endpoint.trim_start_matches("http://").to_owned();
    let proxy = FaultProxy::start(&store, SHARE)?;
    let options = options("sinkfaults").property("offset.flush.interval.ms", "500");
    let mut worker = Worker::start(&run_folder("sinkfaults")?, options)?;
    let more = [
        ("store.url", proxy.endpoint.as_str()),
        ("retry.backoff.ms", "200"),
        ("s3.retry.backoff.ms", "20"),
    ];
    let config = sink_config(&topic, &bucket.name, &[LINES, &more].concat());
    worker.rest.create_config("faults", &config)?;
    let start = Instant::now();
    let mut sent = 0;
    let mut next_kill = Instant::now() + Duration::from_secs(4);
    while start.elapsed() < Duration::from_secs(seconds) {
        produce(&topic, sent, 400)?;
        sent += 400;
        if Instant::now() >= next_kill {
            worker.kill();
            worker.restart()?;
            next_kill = Instant::now() + Duration::from_secs(8);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    proxy.behave();
    // A task whose start met a fault has failed, as it does for Confluent's.
    let each = in_whole_objects(sent);
    let group = "connect-faults";
    wait::until(
        "everything to be committed",
        Duration::from_secs(240),
        || {
            let status = worker.rest.status("faults")?;
            if status.to_string().contains("FAILED") {
                let path = "/connectors/faults/restart?includeTasks=true&onlyFailed=true";
                worker.rest.request("POST", path, None)?;
            }
            committed(group, &topic, each).map_err(|error| format!("{error}; {status}").into())
        },
    )?;
    assert!(proxy.faults() > 3, "the proxy has done its work");
    let (report, code) = verify(&bucket.name, &topic)?;
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["complete"], true);
    let stored = report["records"].as_i64().unwrap_or(0);
    assert!(stored >= each * i64::from(PARTITIONS), "{report:#}");
    // And what is taken away is seen.
    let gone = wait_for_one_object(&bucket)?;
    bucket.put(&gone, b"{}\n")?;
    let (report, code) = verify(&bucket.name, &topic)?;
    assert_eq!((code, &report["complete"]), (Some(2), &Value::Bool(false)));
    assert_eq!(report["missing"], FLUSH_SIZE - 1, "{report:#}");
    Ok(())
}

/// Tasks come and go with the workers of a group, in order and by kills; what they store is the same.
#[test]
fn a_sink_whose_tasks_move_between_workers_stores_every_record_once() -> Outcome<()> {
    let name = unique("moving");
    let topic = format!("{name}-topic");
    let bucket = bucket("moving")?;
    kafka().create_topic(&topic, PARTITIONS, 1)?;
    let one = options("moving")
        .property("offset.flush.interval.ms", "500")
        .property("session.timeout.ms", "6000")
        .property("scheduled.rebalance.max.delay.ms", "1000");
    let mut other = one.clone();
    other.port = free_port();
    let first = Worker::start(&run_folder("moving")?, one)?;
    let more = [("store.url", s3().endpoint.as_str())];
    let config = sink_config(&topic, &bucket.name, &[LINES, &more].concat());
    first.rest.create_config(&name, &config)?;
    let mut second = Worker::start(&run_folder("moving")?, other)?;
    let mut sent = 0;
    for round in 0..3 {
        // Both have a task, and something to do, when the second goes.
        wait::until("a task on each", Duration::from_secs(90), || {
            let status = first.rest.status(&name)?;
            let tasks = status["tasks"].as_array().ok_or("no tasks")?;
            let run = |at: usize| tasks.get(at).is_some_and(|task| task["state"] == "RUNNING");
            match run(0) && run(1) && tasks[0]["worker_id"] != tasks[1]["worker_id"] {
                true => Ok(Some(())),
                false => Err(status.to_string().into()),
            }
        })?;
        for _ in 0..8 {
            produce(&topic, sent, 300)?;
            sent += 300;
            std::thread::sleep(Duration::from_millis(200));
        }
        if round % 2 == 0 {
            second.kill();
        } else {
            second.terminate()?;
        }
        produce(&topic, sent, 300)?;
        sent += 300;
        second.restart()?;
    }
    let each = in_whole_objects(sent);
    let group = format!("connect-{name}");
    wait::until("all to be committed", Duration::from_secs(120), || {
        committed(&group, &topic, each)
    })?;
    let (report, code) = verify(&bucket.name, &topic)?;
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(
        report["records"],
        each * i64::from(PARTITIONS),
        "{report:#}"
    );
    Ok(())
}

/// Lines of JSON, a hundred to an object, by two tasks.
const LINES: &[(&str, &str)] = &[
    (
        "format.class",
        "io.confluent.connect.s3.format.json.JsonFormat",
    ),
    (
        "value.converter",
        "org.apache.kafka.connect.json.JsonConverter",
    ),
    ("value.converter.schemas.enable", "false"),
    ("flush.size", "100"),
    ("tasks.max", "2"),
    ("consumer.override.session.timeout.ms", "6000"),
    ("consumer.override.heartbeat.interval.ms", "1000"),
    ("consumer.override.auto.offset.reset", "earliest"),
];

/// How many records of each partition fill objects.
fn in_whole_objects(sent: i64) -> i64 {
    sent / i64::from(PARTITIONS) / FLUSH_SIZE * FLUSH_SIZE
}

/// Whether a group has committed so many records of each partition, or how far it is.
fn committed(group: &str, topic: &str, each: i64) -> Outcome<Option<()>> {
    let committed = kafka().committed(group, topic)?;
    let done = (0..PARTITIONS).all(|p| committed.get(&p).copied().unwrap_or(0) >= each);
    match done {
        true => Ok(Some(())),
        false => Err(format!("{committed:?} of {each}").into()),
    }
}

/// The name of an object that others follow.
fn wait_for_one_object(bucket: &compat_tests::s3::Bucket) -> Outcome<String> {
    let objects = bucket.list()?;
    objects
        .into_iter()
        .map(|(key, _)| key)
        .find(|key| key.ends_with("+0000000000.json"))
        .ok_or_else(|| "no first object".into())
}
