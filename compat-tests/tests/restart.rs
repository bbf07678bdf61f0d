//! After a restart every connector, its state and its offsets are as they were.

use crate::shared::{
    database, kafka, options, postgres, source_config, unique, wait_count, worker,
};
use compat_tests::parts::run_folder;
use compat_tests::worker::{Rest, Worker};
use compat_tests::{Outcome, wait};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const FILE_SOURCE: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";

/// All that the REST API tells of every connector.
fn everything(rest: &Rest, connectors: &[&str]) -> Outcome<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    all.insert("connectors".to_owned(), rest.get("/connectors")?.json()?);
    for connector in connectors {
        for part in ["", "/config", "/status", "/tasks", "/offsets", "/topics"] {
            let path = format!("/connectors/{connector}{part}");
            let answer = rest.get(&path)?;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            all.insert(path, answer.json()?);
        }
    }
    Ok(all)
}

/// SIGTERM ended it as one expects: with success, or as the JVM tells of the signal.
fn clean(code: Option<i32>) {
    assert!(matches!(code, Some(0 | 143)), "exit code {code:?}");
}

#[test]
fn connectors_states_and_offsets_outlive_the_worker() -> Outcome<()> {
    let name = database("restart")?;
    postgres().sql(
        &name,
        "create table t (id int primary key); insert into t values (1)",
    )?;
    let port = postgres().port().to_string();
    let mut worker = worker("restart")?;
    let folder = run_folder("restart")?;
    let topic = |state: &str| format!("{name}-{state}");
    for state in ["running", "paused", "stopped"] {
        let file = folder.join(state);
        std::fs::write(&file, "one\ntwo\n")?;
        let (file, topic) = (file.display().to_string(), topic(state));
        let config = [
            ("connector.class", FILE_SOURCE),
            ("file", file.as_str()),
            ("topic", topic.as_str()),
        ];
        worker.rest.create_config(state, &config)?;
        worker.rest.wait_running(state)?;
        wait_count(kafka(), &topic, 2)?;
    }
    worker
        .rest
        .create_config("pg", &source_config(&name, &port, &[]))?;
    worker.rest.wait_running("pg")?;
    let captured = format!("{name}.public.t");
    wait_count(kafka(), &captured, 1)?;
    postgres().sql(&name, "insert into t values (2), (3)")?;
    wait_count(kafka(), &captured, 3)?;
    let connectors = ["running", "paused", "stopped", "pg"];
    for connector in connectors {
        wait::until("stored offsets and topics", Duration::from_secs(30), || {
            let offsets = worker
                .rest
                .get(&format!("/connectors/{connector}/offsets"))?
                .body;
            let topics = worker
                .rest
                .get(&format!("/connectors/{connector}/topics"))?
                .body;
            Ok((offsets.contains("position") || offsets.contains("lsn"))
                .then_some(())
                .filter(|()| topics.contains(&name)))
        })?;
    }
    worker.rest.put("/connectors/paused/pause")?;
    worker.rest.put("/connectors/stopped/stop")?;
    worker.rest.wait_state("paused", "PAUSED")?;
    worker.rest.wait_state("stopped", "STOPPED")?;
    let settled = |worker: &Worker| {
        worker.rest.wait_running("running")?;
        worker.rest.wait_running("pg")?;
        worker.rest.wait_state("paused", "PAUSED")?;
        worker.rest.wait_state("stopped", "STOPPED")
    };
    // Give the last offset flush its turn, so that what is stored is what was done.
    std::thread::sleep(Duration::from_secs(3));
    let before = everything(&worker.rest, &connectors)?;

    clean(worker.terminate()?);
    worker.restart()?;
    settled(&worker)?;
    assert_eq!(
        everything(&worker.rest, &connectors)?,
        before,
        "after SIGTERM"
    );

    worker.kill();
    worker.restart()?;
    settled(&worker)?;
    assert_eq!(
        everything(&worker.rest, &connectors)?,
        before,
        "after SIGKILL"
    );

    // And they go on where they were: nothing twice, nothing lost.
    postgres().sql(&name, "insert into t values (4)")?;
    wait_count(kafka(), &captured, 4)?;
    std::fs::write(folder.join("running"), "one\ntwo\nthree\n")?;
    wait_count(kafka(), &topic("running"), 3)?;
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(kafka().count(&captured)?, 4);
    assert_eq!(kafka().count(&topic("running"))?, 3);
    assert_eq!(kafka().count(&topic("paused"))?, 2);
    Ok(())
}

#[test]
fn a_clean_stop_commits_what_was_sent() -> Outcome<()> {
    let name = database("clean")?;
    postgres().sql(&name, "create table t (id int primary key)")?;
    let port = postgres().port().to_string();
    // No flush but the one at the stop.
    let options = options("clean").property("offset.flush.interval.ms", "600000");
    let mut worker = Worker::start(&run_folder("clean")?, options)?;
    worker.rest.create_config(
        "pg",
        &source_config(&name, &port, &[("snapshot.mode", "no_data")]),
    )?;
    worker.rest.wait_running("pg")?;
    postgres().wait_slot(&name, true)?;
    std::thread::sleep(Duration::from_secs(1));
    postgres().sql(&name, "insert into t select generate_series(1, 5000)")?;
    let topic = format!("{name}.public.t");
    wait_count(kafka(), &topic, 5000)?;
    clean(worker.terminate()?);
    worker.restart()?;
    worker.rest.wait_running("pg")?;
    postgres().sql(&name, "insert into t values (0)")?;
    wait_count(kafka(), &topic, 5001)?;
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(kafka().count(&topic)?, 5001, "records were sent twice");
    Ok(())
}

#[test]
fn what_is_stored_of_a_secret_is_its_placeholder() -> Outcome<()> {
    let name = database("secret")?;
    let role = unique("secretive");
    postgres().sql(
        &name,
        &format!("create role {role} superuser login password 'open-sesame'"),
    )?;
    postgres().sql(
        &name,
        "create table t (id int primary key); insert into t values (1)",
    )?;
    let folder = run_folder("secret")?;
    std::fs::write(folder.join("db.properties"), "password=open-sesame\n")?;
    let from_file = format!(
        "${{file:{}:password}}",
        folder.join("db.properties").display()
    );
    let options = options("secret").environment(vec![(
        "SECRET_DB_PASSWORD".to_owned(),
        "open-sesame".to_owned(),
    )]);
    let group = options.group.clone();
    let worker = Worker::start(&run_folder("secret")?, options)?;
    let port = postgres().port().to_string();
    for (connector, placeholder) in [
        ("bare", "${SECRET_DB_PASSWORD}"),
        ("env", "${env:SECRET_DB_PASSWORD}"),
        ("file", from_file.as_str()),
    ] {
        let slot = format!("{name}_{connector}");
        let more = [
            ("database.user", role.as_str()),
            ("database.password", placeholder),
            ("topic.prefix", slot.as_str()),
            ("slot.name", slot.as_str()),
        ];
        worker
            .rest
            .create_config(connector, &source_config(&name, &port, &more))?;
        wait_count(kafka(), &format!("{slot}.public.t"), 1).map_err(|error| {
            format!("{placeholder}: {error} {:?}", worker.rest.status(connector))
        })?;
        let config = worker
            .rest
            .get(&format!("/connectors/{connector}/config"))?
            .json()?;
        assert_eq!(config["database.password"], placeholder);
        let tasks = worker
            .rest
            .get(&format!("/connectors/{connector}/tasks"))?
            .body;
        assert!(!tasks.contains("open-sesame"), "{tasks}");
    }
    for record in kafka().records(&format!("{group}-configs"))? {
        assert!(
            !record.value_text().contains("open-sesame"),
            "{}",
            record.key_text()
        );
    }
    assert!(
        !worker.log().contains("open-sesame"),
        "the log shows the secret"
    );
    Ok(())
}
