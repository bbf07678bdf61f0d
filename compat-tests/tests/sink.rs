//! The S3 sink from topic to object: names, rows and Parquet schema as Confluent's sink leaves them.

use crate::shared::{bucket, kafka, sink_config, unique, wait_objects, worker};
use compat_tests::kafka::{flush, send};
use compat_tests::{Outcome, rows, wait};
use rdkafka::producer::BaseRecord;
use serde_json::json;
use std::time::Duration;

/// 2024-01-15T10:30:00Z.
const TIME: i64 = 1_705_314_600_000;

fn produce(topic: &str, values: &[(i32, i64, String)]) -> Outcome<()> {
    let producer = kafka().producer()?;
    for (partition, timestamp, value) in values {
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic)
            .payload(value.as_bytes())
            .partition(*partition)
            .timestamp(*timestamp);
        send(&producer, record)?;
    }
    flush(&producer)
}

fn user(i: i64) -> String {
    json!({
        "schema": {"type": "struct", "optional": false, "name": "shop.public.users.Value", "fields": [
            {"type": "string", "optional": false, "name": "io.debezium.data.Uuid", "version": 1, "field": "user_id"},
            {"type": "int32", "optional": false, "default": 0, "field": "id"},
            {"type": "double", "optional": true, "field": "score"},
            {"type": "boolean", "optional": true, "field": "active"},
            {"type": "int64", "optional": true, "name": "io.debezium.time.MicroTimestamp", "version": 1, "field": "created_at"}
        ]},
        "payload": {"user_id": format!("u{i}"), "id": i, "score": i as f64 / 2.0, "active": i % 2 == 0,
            "created_at": if i == 1 { serde_json::Value::Null } else { json!(1_705_314_600_000_000_i64) }}
    })
    .to_string()
}

#[test]
fn parquet_objects_of_a_time_partitioner_are_named_and_shaped_as_confluents() -> Outcome<()> {
    let topic = unique("sinktime");
    let bucket = bucket("sinktime")?;
    kafka().create_topic(&topic, 1, 1)?;
    let values: Vec<_> = (0..7).map(|i| (0, TIME + i, user(i))).collect();
    produce(&topic, &values)?;
    let worker = worker("sinktime")?;
    let more = [
        (
            "key.converter",
            "org.apache.kafka.connect.storage.StringConverter",
        ),
        (
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        ),
        ("value.converter.schemas.enable", "true"),
        (
            "partitioner.class",
            "io.confluent.connect.storage.partitioner.TimeBasedPartitioner",
        ),
        ("path.format", "'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH"),
        ("partition.duration.ms", "3600000"),
        ("locale", "en-US"),
        ("timezone", "UTC"),
        ("timestamp.extractor", "Record"),
    ];
    worker
        .rest
        .create_config("s", &sink_config(&topic, &bucket.name, &more))?;
    let keys = wait_objects(&bucket, 2)?;
    let folder = format!("topics/{topic}/year=2024/month=01/day=15/hour=10");
    let expected: Vec<String> = [0, 3]
        .iter()
        .map(|n| format!("{folder}/{topic}+0+{n:010}.snappy.parquet"))
        .collect();
    assert_eq!(keys, expected);
    let first = bucket.get(&expected[0])?;
    let (schema, codecs) = rows::parquet_schema(first.clone())?;
    assert_eq!(codecs, ["SNAPPY"]);
    let columns: Vec<&str> = schema.lines().map(str::trim).collect();
    assert_eq!(
        columns[1..6],
        [
            "REQUIRED BYTE_ARRAY user_id (STRING);",
            "REQUIRED INT32 id;",
            "OPTIONAL DOUBLE score;",
            "OPTIONAL BOOLEAN active;",
            "OPTIONAL INT64 created_at;"
        ],
        "{schema}"
    );
    assert_eq!(
        rows::parquet(first)?[1],
        json!({"user_id": "u1", "id": 1, "score": 0.5, "active": false, "created_at": null})
    );
    let group = format!("connect-{}", "s");
    wait::until("the committed offset", Duration::from_secs(60), || {
        Ok((kafka().committed(&group, &topic)?.get(&0) == Some(&6)).then_some(()))
    })
}

#[test]
fn json_objects_of_the_default_partitioner_are_named_and_shaped_as_confluents() -> Outcome<()> {
    let topic = unique("sinkjson");
    let bucket = bucket("sinkjson")?;
    kafka().create_topic(&topic, 3, 1)?;
    let values: Vec<_> = (0..12)
        .map(|i| {
            (
                i % 3,
                TIME,
                json!({"id": i, "s": format!("v{i}")}).to_string(),
            )
        })
        .collect();
    produce(&topic, &values)?;
    let worker = worker("sinkjson")?;
    let more = [
        (
            "format.class",
            "io.confluent.connect.s3.format.json.JsonFormat",
        ),
        (
            "key.converter",
            "org.apache.kafka.connect.storage.StringConverter",
        ),
        (
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        ),
        ("value.converter.schemas.enable", "false"),
        ("flush.size", "2"),
        ("tasks.max", "3"),
    ];
    worker
        .rest
        .create_config("json", &sink_config(&topic, &bucket.name, &more))?;
    worker.rest.wait_running("json")?;
    let keys = wait_objects(&bucket, 6)?;
    let mut expected = Vec::new();
    for partition in 0..3 {
        for offset in [0, 2] {
            expected.push(format!(
                "topics/{topic}/partition={partition}/{topic}+{partition}+{offset:010}.json"
            ));
        }
    }
    assert_eq!(keys, expected);
    assert_eq!(
        worker.rest.status("json")?["tasks"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    let lines = rows::json_lines(&bucket.get(&expected[3])?)?;
    assert_eq!(
        lines,
        [json!({"id": 7, "s": "v7"}), json!({"id": 10, "s": "v10"})]
    );
    Ok(())
}

#[test]
fn records_go_on_by_the_records_own_time() -> Outcome<()> {
    let topic = unique("sinkrotate");
    let bucket = bucket("sinkrotate")?;
    kafka().create_topic(&topic, 1, 1)?;
    // Two records within the interval, one after it, one an hour later: two files are complete.
    let times = [TIME, TIME + 4_000, TIME + 11_000, TIME + 3_600_000];
    let values: Vec<_> = times
        .iter()
        .zip(0..)
        .map(|(time, i)| (0, *time, json!({ "id": i }).to_string()))
        .collect();
    produce(&topic, &values)?;
    let worker = worker("sinkrotate")?;
    let more = [
        (
            "format.class",
            "io.confluent.connect.s3.format.json.JsonFormat",
        ),
        ("value.converter.schemas.enable", "false"),
        (
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        ),
        ("flush.size", "1000"),
        ("rotate.interval.ms", "10000"),
        (
            "partitioner.class",
            "io.confluent.connect.storage.partitioner.TimeBasedPartitioner",
        ),
        ("path.format", "'dt'=YYYY-MM-dd-HH"),
        ("partition.duration.ms", "3600000"),
        ("locale", "en-US"),
        ("timezone", "UTC"),
        ("timestamp.extractor", "Record"),
    ];
    worker
        .rest
        .create_config("rotate", &sink_config(&topic, &bucket.name, &more))?;
    let keys = wait_objects(&bucket, 2)?;
    let folder = format!("topics/{topic}/dt=2024-01-15-10/{topic}+0+");
    assert_eq!(
        keys,
        [
            format!("{folder}0000000000.json"),
            format!("{folder}0000000002.json")
        ]
    );
    Ok(())
}
