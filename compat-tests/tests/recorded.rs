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
    start_target(Target::from_environment(), group)
}

fn start_target(target: Target, group: &str) -> Outcome<Worker> {
    let options = WorkerOptions::new(target, kafka().bootstrap(), group)
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

/// Tables and their changes, to be recorded as the records that a source makes of them.
struct Scenario<'a> {
    /// Name of the recording.
    name: &'a str,
    /// Database, slot and prefix of the topics.
    tag: String,
    schemas: bool,
    more: &'a [(&'a str, &'a str)],
    setup: &'a str,
    changes: &'a str,
    /// Each table with the records of its rows and those of all that happens to it.
    tables: &'a [(&'a str, i64, i64)],
}

fn play(postgres: &Postgres, scenario: Scenario<'_>) -> Outcome<()> {
    let Scenario { tag, tables, .. } = scenario;
    let group = unique("recorded-source");
    postgres.sql("postgres", &format!("create database {tag}"))?;
    postgres.sql(&tag, scenario.setup)?;
    let worker = start(&group)?;
    let port = postgres.port().to_string();
    let schemas_enable = scenario.schemas.to_string();
    let mut more = vec![
        ("topic.prefix", tag.as_str()),
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
    ];
    more.extend(scenario.more);
    let config = crate::shared::source_config(&tag, &port, &more);
    worker.rest.create_config("types", &config)?;
    worker.rest.wait_running("types")?;
    for (table, rows, _) in tables.iter().filter(|(_, rows, _)| *rows > 0) {
        wait_count(kafka(), &format!("{tag}.public.{table}"), *rows)?;
    }
    postgres.wait_slot(&tag, true)?;
    std::thread::sleep(Duration::from_secs(1));
    for statement in scenario.changes.split(";\n") {
        postgres.sql(&tag, statement)?;
    }
    for (table, _, records) in tables {
        wait_count(kafka(), &format!("{tag}.public.{table}"), *records)?;
    }
    std::thread::sleep(Duration::from_secs(1));
    let mut recording = recording(scenario.name, &worker);
    recording.mask_text(&tag, "DB");
    for member in ["ts_ms", "ts_us", "ts_ns", "lsn", "txId", "sequence", "xmin"] {
        recording.mask_member(member);
    }
    for (table, ..) in tables {
        let topic = format!("{tag}.public.{table}");
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

fn source(postgres: &Postgres, schemas: bool) -> Outcome<()> {
    // With schemas a key holds the topic's name, and so decides on the partition: one name for all runs.
    let (name, tag) = if schemas {
        ("source-with-schemas", "srcschemas".to_owned())
    } else {
        ("source", unique("src"))
    };
    let scenario = Scenario {
        name,
        tag,
        schemas,
        more: &[],
        setup: TYPES,
        changes: CHANGES,
        tables: &[("types", 1, 4), ("users", 1, 7), ("orders", 0, 9)],
    };
    play(postgres, scenario)
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

/// Every type of pgvector: snapshot, stream, old rows, keys, texts that the log does not hold, and
/// sparse vectors beyond the sixteen bits that Debezium's schema has for them.
const VECTORS: &str = "
    create extension vector;
    create domain embedding as vector(3);
    create domain sparse as sparsevec(4);
    create table vectors (id int primary key, v3 vector(3), v vector, h4 halfvec(4), h halfvec,
      s5 sparsevec(5), s sparsevec, e embedding, t sparse);
    create table defaults (id int primary key, v vector(3) default '[1,2,3]', h halfvec default '[0.5]',
      s sparsevec default '{1:1}/3', vn vector not null default '[4,5.5]',
      hn halfvec(2) not null default '[1,2]', sn sparsevec not null default '{2:2.5}/4',
      en embedding not null default '[7,8,9]');
    create table required (id int primary key, v vector not null, h halfvec(2) not null);
    create table keyed (v vector(2), h halfvec(2), s sparsevec, n int, primary key (v, h, s));
    create table arrays (id int primary key, v vector(2)[], h halfvec[], e embedding[], s sparsevec[]);
    create table large (id int primary key, v vector, h halfvec, s sparsevec, a vector[], n int);
    create table beyond (id int primary key, s sparsevec, n int);
    alter table defaults replica identity full;
    alter table large alter v set storage external, alter h set storage external,
      alter s set storage external, alter a set storage external, set (toast_tuple_target = 128);
    insert into vectors values
      (1, '[1,2,3]', '[1]', '[1,2,3,4]', '[0.1]', '{1:1,3:2,5:3}/5', '{}/5', '[1,2,3]', '{1:1}/4'),
      (2, null, null, null, null, null, null, null, null),
      (3, '[1e-7,-1.5e-38,3.4e38]', '[0,-0,1e-45,123456789,0.1,16777217,-1e10,1e7,9999999,1e-3,9.99e-4]',
       '[65504,-65504,1e-7,6e-8]', '[0.1,-0,6.1e-5,1000.5,2048,0.333,1e-3,65503]', '{}/5',
       '{1:1e-7,2:-3.5e10,9:1e38,17:-1e-45,33:123456789}/32767', '[0.1,0.2,0.3]', '{}/4'),
      (4, null, null, null, null, '{5:1}/5', '{1:1,2:3,9:2}/9', null, '{1:1,2:2,3:3,4:4}/4'),
      (5, null, null, null, null, '{1:1,2:1,3:1,4:1}/5', '{1:4,3:1,8:5,16:7,17:2,24:6,33:3}/40', null, null),
      (6, null, null, null, null, null,
       '{1:1,2:2,16:3,32:4,48:5,64:6,80:7,96:8,112:9,128:10,144:11,160:12,32767:13}/32767', null, null);
    insert into defaults (id) values (1);
    insert into defaults values (2, null, null, null);
    insert into required values (1, '[1]', '[2,3]');
    insert into keyed values ('[1,2]', '[0.1,2]', '{1:1,2:3,9:2}/9', 1);
    insert into arrays values (1, array['[1,2]','[3,4]']::vector[], array['[1,0.1]','[2]']::halfvec[],
      array['[1,2,3]']::embedding[], '{}'), (2, null, null, null, null), (3, '{}', '{}', '{}', null),
      (4, array['[1,2]',null]::vector[], array[null]::halfvec[], null, null);
    insert into large select 1, array_agg(1)::vector, (array_agg(2) || array_agg(2))::halfvec,
      array_agg(3)::vector::sparsevec, array[array_agg(4)::vector], 1 from generate_series(1, 200);
    insert into large values (2, '[1]', '[2]', '{1:3}/3', array['[4]']::vector[], 1);
    insert into beyond values (1, '{32767:1}/32767', 1), (2, '{1:1}/32768', 1), (3, '{40000:1}/50000', 1),
      (4, '{}/1000000000', 1)";

const VECTOR_CHANGES: &str = "
    insert into vectors select id + 10, v3, v, h4, h, s5, s, e, t from vectors;
    update vectors set v3 = '[9,9,9]' where id = 1;
    update vectors set id = 99 where id = 3;
    delete from vectors where id = 5;
    insert into defaults (id) values (11);
    insert into defaults values (12, null, null, null);
    update defaults set v = '[0,0,0]', s = '{}/2';
    delete from defaults where id < 10;
    insert into required values (2, '[4]', '[5,6]');
    update required set h = '[7,8]' where id = 1;
    update required set id = 3 where id = 2;
    delete from required where id = 1;
    insert into keyed values ('[3,4]', '[1,1]', '{}/2', 1);
    update keyed set n = 2;
    update keyed set v = '[5,6]' where v = '[3,4]';
    delete from keyed;
    insert into arrays select id + 10, v, h, e, s from arrays;
    delete from arrays where id = 1;
    update large set n = 2;
    update large set id = 3 where id = 1;
    alter table large replica identity full;
    update large set n = 3;
    delete from large;
    insert into beyond select id + 10, s, n from beyond;
    update beyond set n = 2;
    update beyond set s = '{1:1}/2' where id = 2;
    alter table beyond add column v vector(2) default '[1,1]';
    insert into beyond values (20, null, 1)";

fn vectors(name: &str, schemas: bool, more: &[(&str, &str)]) -> Outcome<()> {
    let options = PostgresOptions {
        build: Build::Vector,
        ..PostgresOptions::default()
    };
    let postgres = Postgres::start(&run_folder("postgres")?, options)?;
    let scenario = Scenario {
        name,
        tag: format!("pg{}", name.replace('-', "")),
        schemas,
        more,
        setup: VECTORS,
        changes: VECTOR_CHANGES,
        tables: &[
            ("vectors", 6, 18),
            ("defaults", 2, 12),
            ("required", 1, 8),
            ("keyed", 1, 11),
            ("arrays", 4, 10),
            ("large", 2, 13),
            ("beyond", 4, 18),
        ],
    };
    play(&postgres, scenario)
}

#[test]
fn vectors_are_the_jvms() -> Outcome<()> {
    vectors("vectors", false, &[])
}

#[test]
fn vectors_with_schemas_are_the_jvms() -> Outcome<()> {
    vectors(
        "vectors-with-schemas",
        true,
        &[("column.propagate.source.type", ".*")],
    )
}

#[test]
fn vectors_as_json_are_the_jvms() -> Outcome<()> {
    let more = [
        ("transforms", "json"),
        (
            "transforms.json.type",
            "io.debezium.transforms.VectorToJsonConverter",
        ),
    ];
    vectors("vectors-as-json", true, &more)
}

/// The JVM stops at such a delete, and has null for such an array.
#[test]
fn what_debezium_loses_of_vectors_is_kept() -> Outcome<()> {
    let build = PostgresOptions {
        build: Build::Vector,
        ..PostgresOptions::default()
    };
    let postgres = Postgres::start(&run_folder("postgres")?, build)?;
    let tag = unique("kept");
    postgres.sql("postgres", &format!("create database {tag}"))?;
    postgres.sql(
        &tag,
        "create extension vector;
         create table t (id int primary key, s sparsevec not null, a sparsevec[] not null);
         insert into t values (1, '{2:0.5}/3', array['{1:1,9:2,2:3}/9','{}/4']::sparsevec[])",
    )?;
    let worker = start_target(Target::Ferroconnect, &unique("recorded-kept"))?;
    let port = postgres.port().to_string();
    let config = crate::shared::source_config(&tag, &port, &[]);
    worker.rest.create_config("kept", &config)?;
    worker.rest.wait_running("kept")?;
    let topic = format!("{tag}.public.t");
    wait_count(kafka(), &topic, 1)?;
    postgres.wait_slot(&tag, true)?;
    postgres.sql(&tag, "delete from t")?;
    wait_count(kafka(), &topic, 3)?;
    let mut rows = Vec::new();
    for record in kafka().records(&topic)? {
        if let Some(value) = record.value {
            let value: serde_json::Value = serde_json::from_slice(&value)?;
            rows.push([value["before"].to_string(), value["after"].to_string()]);
        }
    }
    let row = concat!(
        r#"{"id":1,"s":{"dimensions":3,"vector":[[2,0.5]]},"#,
        r#""a":[{"dimensions":9,"vector":[[1,1.0],[9,2.0],[2,3.0]]},{"dimensions":4,"vector":[]}]}"#,
    );
    let gone = r#"{"id":1,"s":{"dimensions":0,"vector":[]},"a":[]}"#;
    assert_eq!(rows, [["null", row], [gone, "null"]]);
    worker.rest.delete("/connectors/kept").map(drop)
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
