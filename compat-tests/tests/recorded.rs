//! The recorded scenarios: the same steps against the JVM worker (recording) and ours (comparing).

use crate::shared::{kafka, postgres, unique, wait_count};
use compat_tests::kafka::Record;
use compat_tests::parts::run_folder;
use compat_tests::postgres::{Build, Postgres, PostgresOptions};
use compat_tests::recording::Recording;
use compat_tests::worker::{Answer, Target, Worker, WorkerOptions};
use compat_tests::{Outcome, wait};
use std::collections::BTreeMap;
use std::time::Duration;

const FILE_SOURCE: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";
const POSTGRES_SOURCE: &str = "io.debezium.connector.postgresql.PostgresConnector";

fn start(group: &str) -> Outcome<Worker> {
    let options = WorkerOptions::new(Target::from_environment(), kafka().bootstrap(), group)
        .property("key.converter.schemas.enable", "false")
        .property("value.converter.schemas.enable", "false");
    Worker::start(&run_folder(group)?, options)
}

/// A transcript with the masks that every scenario needs.
fn recording(name: &str, worker: &Worker) -> Recording {
    let mut recording = Recording::new(name);
    recording.mask_text(&worker.rest.url, "URL");
    recording.mask_text(worker.rest.url.trim_start_matches("http://"), "WORKER");
    for member in [
        "version",
        "commit",
        "kafka_cluster_id",
        "trace",
        "documentation",
    ] {
        recording.mask_member(member);
    }
    recording
}

fn text(answer: &Answer) -> String {
    let Answer {
        status,
        content_type,
        location,
        body,
    } = answer;
    format!("{status} {content_type} {location} {body}")
}

#[test]
fn rest_answers_are_the_jvms() -> Outcome<()> {
    let worker = start("recorded-rest")?;
    let rest = &worker.rest;
    let file = run_folder("rest")?.join("lines.txt");
    std::fs::write(&file, "one\ntwo\n")?;
    let mut recording = recording("rest", &worker);
    recording.mask_text(&file.display().to_string(), "FILE");
    let config = serde_json::json!({
        "connector.class": FILE_SOURCE, "tasks.max": "1",
        "file": file.display().to_string(), "topic": "recorded-lines",
    });
    let create = serde_json::json!({ "name": "lines", "config": config }).to_string();
    let config = config.to_string();
    let note = |recording: &mut Recording, method: &str, path: &str, body: Option<&str>| {
        let answer = rest.request(method, path, body)?;
        let sent = body.map(|body| format!(" {body:.60}")).unwrap_or_default();
        recording.note(
            &format!("{method} {path}{}", sent.replace(&config, "CONFIG")),
            &text(&answer),
        );
        Outcome::Ok(())
    };
    let r = &mut recording;
    note(r, "GET", "/", None)?;
    note(r, "GET", "/connectors", None)?;
    note(r, "GET", "/connectors/none", None)?;
    note(r, "GET", "/connectors/none/config", None)?;
    note(r, "GET", "/connectors/none/status", None)?;
    note(r, "GET", "/connectors/none/tasks", None)?;
    note(r, "GET", "/connectors/none/topics", None)?;
    note(r, "GET", "/connectors/none/offsets", None)?;
    note(r, "PUT", "/connectors/none/pause", None)?;
    note(r, "PUT", "/connectors/none/resume", None)?;
    note(r, "PUT", "/connectors/none/stop", None)?;
    note(r, "POST", "/connectors/none/restart", None)?;
    note(r, "DELETE", "/connectors/none", None)?;
    note(r, "GET", "/nothing", None)?;
    // Invalid JSON, wrong shapes, unknown classes, missing values.
    note(r, "POST", "/connectors", Some(""))?;
    note(r, "POST", "/connectors", Some("{\"name\":"))?;
    note(r, "POST", "/connectors", Some("not json"))?;
    note(r, "POST", "/connectors", Some("[]"))?;
    note(r, "POST", "/connectors", Some("{}"))?;
    note(r, "POST", "/connectors", Some(r#"{"name":"x"}"#))?;
    note(
        r,
        "POST",
        "/connectors",
        Some(r#"{"name":"x","config":{}}"#),
    )?;
    note(
        r,
        "POST",
        "/connectors",
        Some(r#"{"name":"x","config":{},"more":1}"#),
    )?;
    note(
        r,
        "POST",
        "/connectors",
        Some(
            r#"{"name":"x","config":{"connector.class":"FileStreamSource","topic":"t","tasks.max":"many"}}"#,
        ),
    )?;
    note(
        r,
        "POST",
        "/connectors",
        Some(
            r#"{"name":"x","config":{"name":"y","connector.class":"FileStreamSource","topic":"t"}}"#,
        ),
    )?;
    note(
        r,
        "POST",
        "/connectors",
        Some(r#"{"name":"x","config":{"connector.class":"FileStreamSource"}}"#),
    )?;
    // The classes that a worker has are its own: only the sentence's beginning is wire format.
    let unknown = rest.create(r#"{"name":"x","config":{"connector.class":"no.such.Class"}}"#);
    let unknown = unknown
        .expect_err("an unknown class is refused")
        .to_string();
    r.note(
        "unknown class",
        unknown.split(", available").next().unwrap_or_default(),
    );
    // A life.
    note(r, "POST", "/connectors", Some(&create))?;
    rest.wait_running("lines")?;
    wait_count(kafka(), "recorded-lines", 2)?;
    note(r, "POST", "/connectors", Some(&create))?;
    note(r, "GET", "/connectors", None)?;
    note(r, "GET", "/connectors/lines", None)?;
    note(r, "GET", "/connectors/lines/config", None)?;
    note(r, "GET", "/connectors/lines/status", None)?;
    note(r, "GET", "/connectors/lines/tasks", None)?;
    note(r, "GET", "/connectors/lines/tasks/0/status", None)?;
    note(r, "GET", "/connectors/lines/tasks/7/status", None)?;
    note(r, "GET", "/connectors?expand=status&expand=info", None)?;
    wait::until("the active topic", Duration::from_secs(20), || {
        Ok(rest
            .get("/connectors/lines/topics")?
            .body
            .contains("recorded-lines")
            .then_some(()))
    })?;
    note(r, "GET", "/connectors/lines/topics", None)?;
    wait::until("the offset", Duration::from_secs(20), || {
        Ok(rest
            .get("/connectors/lines/offsets")?
            .body
            .contains("position")
            .then_some(()))
    })?;
    note(r, "GET", "/connectors/lines/offsets", None)?;
    note(r, "PUT", "/connectors/lines/pause", None)?;
    rest.wait_state("lines", "PAUSED")?;
    note(r, "GET", "/connectors/lines/status", None)?;
    note(r, "PUT", "/connectors/lines/resume", None)?;
    rest.wait_running("lines")?;
    note(r, "PUT", "/connectors/lines/config", Some(&config))?;
    rest.wait_running("lines")?;
    note(r, "POST", "/connectors/lines/restart", None)?;
    rest.wait_running("lines")?;
    note(r, "POST", "/connectors/lines/tasks/0/restart", None)?;
    note(r, "POST", "/connectors/lines/tasks/7/restart", None)?;
    note(r, "PUT", "/connectors/lines/stop", None)?;
    rest.wait_state("lines", "STOPPED")?;
    note(r, "GET", "/connectors/lines/status", None)?;
    note(r, "GET", "/connectors/lines/tasks", None)?;
    note(r, "GET", "/connectors/lines", None)?;
    note(
        r,
        "PUT",
        "/connectors/other/config",
        Some(&config.replace("-lines", "-other")),
    )?;
    note(r, "DELETE", "/connectors/lines", None)?;
    note(r, "DELETE", "/connectors/other", None)?;
    note(r, "GET", "/connectors", None)?;
    // Validation. The classes to choose from are those that a worker has.
    r.mask_list("recommended_values");
    let validate = |class: &str| format!("/connector-plugins/{class}/config/validate");
    note(
        r,
        "PUT",
        &validate("FileStreamSource"),
        Some(r#"{"connector.class":"FileStreamSource"}"#),
    )?;
    note(
        r,
        "PUT",
        &validate("FileStreamSourceConnector"),
        Some(r#"{"connector.class":"FileStreamSource","name":"n","topic":"t","batch.size":"x"}"#),
    )?;
    let nothing = r#"{"connector.class":"Nothing"}"#;
    let unknown = rest
        .request("PUT", &validate("Nothing"), Some(nothing))?
        .body;
    r.note(
        "validate an unknown class",
        unknown.split(", available").next().unwrap_or_default(),
    );
    recording.finish(Target::from_environment())
}

/// A table with every type of the documents' schemas, snapshot and stream.
const TYPES: &str = "
    create table types (id serial primary key, u uuid, vc varchar(20), tx text, b boolean,
      i2 smallint, i4 integer, i8 bigint, n numeric(10,2), nn numeric, r real, d double precision,
      ts timestamp, ts3 timestamp(3), tz timestamptz, da date, ti time, j jsonb, ba bytea, c char(4));
    create table users (user_id uuid primary key, email varchar(255) unique not null,
      tier varchar(20) default 'bronze', created_at timestamp default '2024-01-15 10:30:00');
    create table orders (id serial primary key, total decimal(10,2) not null, status varchar(50));
    alter table orders replica identity full;
    insert into types (u, vc, tx, b, i2, i4, i8, n, nn, r, d, ts, ts3, tz, da, ti, j, ba, c) values
      ('550e8400-e29b-41d4-a716-446655440000','vär','te\"xt\\',true,-1,2,3,-4.50,5.125,1.5,2.25,
       '2024-01-15 10:30:00.123456','2024-01-15 10:30:00.123','2024-01-15 10:30:00+02','2024-01-15',
       '10:30:00.5','{\"a\": [1, null]}','\\x00ff','ab');
    insert into users (user_id, email) values ('550e8400-e29b-41d4-a716-446655440001','a@example.com')";

const CHANGES: &str = "
    insert into types default values;
    insert into types (n, nn, r, d, ts, da) values (99999999.99, 'NaN', 'Infinity', -0.1, '1969-12-31 23:59:59.999999', '1900-03-01');
    update types set tx = 'new', b = false where id = 1;
    update users set tier = 'gold' where email = 'a@example.com';
    update users set user_id = '550e8400-e29b-41d4-a716-446655440002' where email = 'a@example.com';
    delete from users;
    insert into orders (total, status) values (10.00, 'new'), (20.00, null);
    update orders set status = 'paid';
    delete from orders where id = 1;
    alter table orders add column note text default 'none';
    insert into orders (total, status) values (30.00, 'new');
    alter table orders drop column status;
    update orders set note = 'last'";

fn record_text(record: &Record) -> String {
    let bytes = |bytes: &Option<Vec<u8>>| {
        bytes
            .as_ref()
            .map_or_else(|| "null".into(), |b| String::from_utf8_lossy(b))
            .into_owned()
    };
    let headers = record
        .headers
        .iter()
        .map(|(name, value)| format!("{name}={}", bytes(value)));
    // The run's id is a random UUID.
    let headers: Vec<String> = headers
        .map(|header| match header.split_once("runId=") {
            Some((name, id)) if id.len() == 36 => format!("{name}runId=UUID"),
            _ => header,
        })
        .collect();
    format!(
        "{} | {} | {}",
        bytes(&record.key),
        bytes(&record.value),
        headers.join(",")
    )
}

fn source(postgres: &Postgres, schemas: bool) -> Outcome<()> {
    // With schemas a key holds the topic's name, and so decides on the partition: one name for all runs.
    let tag = if schemas {
        "srcschemas".to_owned()
    } else {
        unique("src")
    };
    let group = unique("recorded-source");
    postgres.sql("postgres", &format!("create database {tag}"))?;
    postgres.sql(&tag, TYPES)?;
    let worker = start(&group)?;
    let port = postgres.port().to_string();
    let schemas_enable = schemas.to_string();
    let config = crate::shared::source_config(
        &tag,
        &port,
        &[
            ("topic.prefix", &tag),
            (
                "key.converter",
                "org.apache.kafka.connect.json.JsonConverter",
            ),
            ("key.converter.schemas.enable", &schemas_enable),
            (
                "value.converter",
                "org.apache.kafka.connect.json.JsonConverter",
            ),
            ("value.converter.schemas.enable", &schemas_enable),
            ("slot.drop.on.stop", "true"),
            ("topic.creation.default.partitions", "3"),
            ("topic.creation.default.replication.factor", "1"),
        ],
    );
    worker.rest.create_config("types", &config)?;
    worker.rest.wait_running("types")?;
    wait_count(kafka(), &format!("{tag}.public.types"), 1)?;
    wait_count(kafka(), &format!("{tag}.public.users"), 1)?;
    postgres.wait_slot(&tag, true)?;
    std::thread::sleep(Duration::from_secs(1));
    for statement in CHANGES.split(";\n") {
        postgres.sql(&tag, statement)?;
    }
    wait_count(kafka(), &format!("{tag}.public.types"), 4)?;
    wait_count(kafka(), &format!("{tag}.public.users"), 7)?;
    wait_count(kafka(), &format!("{tag}.public.orders"), 9)?;
    std::thread::sleep(Duration::from_secs(1));
    let name = if schemas {
        "source-with-schemas"
    } else {
        "source"
    };
    let mut recording = recording(name, &worker);
    recording.mask_text(&tag, "DB");
    for member in ["ts_ms", "ts_us", "ts_ns", "lsn", "txId", "sequence", "xmin"] {
        recording.mask_member(member);
    }
    for topic in ["types", "users", "orders"] {
        let topic = format!("{tag}.public.{topic}");
        for record in kafka().records(&topic)? {
            recording.note(
                &format!("{topic}/{}", record.partition).replace(&tag, "DB"),
                &record_text(&record),
            );
        }
    }
    recording.finish(Target::from_environment())?;
    worker.rest.delete("/connectors/types").map(drop)
}

#[test]
fn source_records_are_the_jvms() -> Outcome<()> {
    source(postgres(), false)
}

#[test]
fn source_records_with_schemas_are_the_jvms() -> Outcome<()> {
    source(postgres(), true)
}

#[test]
fn source_records_are_the_same_from_every_version_of_postgres() -> Outcome<()> {
    for version in ["12.22.0", "16.11.0", "17.7.0", "18.1.0"] {
        let build = Build::Embedded(version);
        let options = PostgresOptions {
            build,
            ..PostgresOptions::default()
        };
        let postgres = Postgres::start(&run_folder("postgres")?, options)?;
        source(&postgres, false).map_err(|error| format!("PostgreSQL {version}: {error}"))?;
    }
    Ok(())
}

/// The text without a member of its object: offsets say beyond Debezium's which server they are of.
fn without(text: &str, member: &str) -> String {
    let Some((before, rest)) = text.split_once(&format!("\"{member}\":")) else {
        return text.to_owned();
    };
    let (value, _) = rest.split_once([',', '}']).unwrap_or((rest, ""));
    let rest = rest.strip_prefix(value).unwrap_or_default();
    match rest.strip_prefix(',') {
        Some(after) => format!("{before}{after}"),
        None => format!("{}{rest}", before.trim_end_matches(',')),
    }
}

#[test]
fn internal_topics_hold_the_jvms_records() -> Outcome<()> {
    let tag = unique("internal");
    postgres().sql("postgres", &format!("create database {tag}"))?;
    postgres().sql(
        &tag,
        "create table t (id int primary key); insert into t values (1)",
    )?;
    let group = unique("recorded-internal");
    let worker = start(&group)?;
    let file = run_folder("internal")?.join("lines.txt");
    std::fs::write(&file, "one\ntwo\n")?;
    let path = file.display().to_string();
    let rest = &worker.rest;
    let topic = format!("{tag}-lines");
    let lines = [
        ("connector.class", FILE_SOURCE),
        ("tasks.max", "1"),
        ("file", &path),
        ("topic", &topic),
    ];
    rest.create_config("lines", &lines)?;
    rest.wait_running("lines")?;
    wait_count(kafka(), &topic, 2)?;
    let port = postgres().port().to_string();
    let config = crate::shared::source_config(&tag, &port, &[("slot.drop.on.stop", "true")]);
    assert_eq!(config.first(), Some(&("connector.class", POSTGRES_SOURCE)));
    rest.create_config("pg", &config)?;
    rest.wait_running("pg")?;
    wait_count(kafka(), &format!("{tag}.public.t"), 1)?;
    postgres().sql(&tag, "insert into t values (2)")?;
    wait_count(kafka(), &format!("{tag}.public.t"), 2)?;
    for connector in ["lines", "pg"] {
        let offsets = format!("/connectors/{connector}/offsets");
        wait::until("stored offsets", Duration::from_secs(20), || {
            let body = rest.get(&offsets)?.body;
            Ok((body.contains("position") || body.contains("lsn")).then_some(()))
        })?;
    }
    rest.put("/connectors/lines/pause")?;
    rest.wait_state("lines", "PAUSED")?;
    rest.put("/connectors/lines/resume")?;
    rest.wait_running("lines")?;
    rest.put("/connectors/pg/stop")?;
    rest.wait_state("pg", "STOPPED")?;
    std::fs::write(&file, "one\ntwo\nthree\n")?;
    wait_count(kafka(), &topic, 3)?;
    wait::until("the last offset", Duration::from_secs(20), || {
        Ok(rest
            .get("/connectors/lines/offsets")?
            .body
            .contains(":14")
            .then_some(()))
    })?;
    let mut recording = recording("internal-topics", &worker);
    recording.mask_text(&path, "FILE");
    recording.mask_text(&tag, "DB");
    recording.mask_text(
        &format!("\"database.port\":\"{port}\""),
        "\"database.port\":\"PORT\"",
    );
    for member in [
        "key",
        "creation-timestamp",
        "generation",
        "discoverTimestamp",
    ] {
        recording.mask_member(member);
    }
    for member in ["ts_usec", "ts_ms", "lsn", "lsn_proc", "lsn_commit", "txId"] {
        recording.mask_member(member);
    }
    // The config topic in order; of the other two what a compacted topic keeps, by key.
    // A session key signs requests between the workers of a group; ours stand alone so far.
    let configs = kafka().records(&format!("{group}-configs"))?;
    for record in configs
        .iter()
        .filter(|record| record.key_text() != "session-key")
    {
        recording.note("configs", &record_text(record));
    }
    for topic in ["offsets", "status"] {
        let mut last = BTreeMap::new();
        for record in kafka().records(&format!("{group}-{topic}"))? {
            let text = record_text(&record);
            last.insert(
                record.key_text(),
                without(&without(&text, "server_system_id"), "server_timeline"),
            );
        }
        for text in last.values() {
            recording.note(topic, text);
        }
    }
    let topics = kafka().topics()?;
    for topic in ["configs", "offsets", "status"] {
        let partitions = topics
            .get(&format!("{group}-{topic}"))
            .copied()
            .unwrap_or_default();
        recording.note(&format!("partitions of {topic}"), &partitions.to_string());
    }
    rest.delete("/connectors/lines")?;
    wait::until("the connector to be gone", Duration::from_secs(20), || {
        Ok((rest.get("/connectors/lines")?.status == 404).then_some(()))
    })?;
    let configs = kafka().records(&format!("{group}-configs"))?;
    for record in configs.iter().rev().take(2).rev() {
        recording.note("configs after the deletion", &record_text(record));
    }
    recording.finish(Target::from_environment())
}
