//! What the leader of a group that writes exactly once does with the config topic, and how it fences
//! tasks for others: the JVM's records, and the JVM's worker on either side.

use crate::shared::{kafka, options, unique};
use compat_tests::parts::{free_port, run_folder};
use compat_tests::worker::{Rest, Target, Worker, WorkerOptions};
use compat_tests::{Outcome, wait};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

fn group(name: &str, support: &str) -> WorkerOptions {
    options(name)
        .property("exactly.once.source.support", support)
        .property("scheduled.rebalance.max.delay.ms", "1000")
        .property(
            "value.converter",
            "org.apache.kafka.connect.storage.StringConverter",
        )
}

fn start(options: &WorkerOptions, target: Target) -> Outcome<Worker> {
    let options = WorkerOptions {
        target,
        port: free_port(),
        ..options.clone()
    };
    Worker::start(&run_folder("config-topic")?, options)
}

fn transactional(id: &str) -> Outcome<BaseProducer> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka().bootstrap())
        .set("transactional.id", id)
        .set("log_level", "0")
        .create()?;
    producer.init_transactions(Duration::from_secs(30))?;
    Ok(producer)
}

fn source(rest: &Rest, name: &str, more: &[(&str, &str)]) -> Outcome<()> {
    let file = run_folder("config-topic-files")?.join(name);
    std::fs::write(&file, "one\n")?;
    let file = file.display().to_string();
    let mut config = vec![
        ("connector.class", "FileStreamSource"),
        ("name", name),
        ("tasks.max", "1"),
        ("file", file.as_str()),
        ("topic", name),
    ];
    config.extend_from_slice(more);
    let body: serde_json::Map<String, Value> = config
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    let path = format!("/connectors/{name}/config");
    let answer = rest.request("PUT", &path, Some(&Value::from(body).to_string()))?;
    match answer.status {
        200 | 201 => Ok(()),
        status => Err(format!("{status}: {}", answer.body).into()),
    }
}

const FILE: &str = r#""file":""#;

/// The records of the config topic, without those of session keys, and with this name made plain.
fn records(group: &str, name: &str) -> Outcome<Vec<String>> {
    let records = kafka().records(&format!("{group}-configs"))?;
    let shown = records.iter().map(|record| {
        let value = match &record.value {
            Some(_) => record.value_text(),
            None => "null".to_owned(),
        };
        let line = format!("{} {value}", record.key_text()).replace(name, "NAME");
        // Each run has a folder of its own.
        match line.split_once(FILE) {
            Some((head, tail)) => {
                let tail = tail.split_once('"').map_or("", |(_, tail)| tail);
                format!("{head}{FILE}…\"{tail}")
            }
            None => line,
        }
    });
    Ok(shown
        .filter(|line| !line.starts_with("session-key"))
        .collect())
}

/// A worker's life by REST, as the config topic tells of it.
fn life(target: Target) -> Outcome<Vec<String>> {
    let options = group("config-records", "preparing");
    let worker = start(&options, target)?;
    let rest = &worker.rest;
    let name = unique("records");
    source(rest, &name, &[])?;
    rest.wait_running(&name)?;
    rest.put(&format!("/connectors/{name}/pause"))?;
    rest.wait_state(&name, "PAUSED")?;
    rest.put(&format!("/connectors/{name}/resume"))?;
    rest.wait_running(&name)?;
    let restart = format!("/connectors/{name}/restart?includeTasks=true");
    assert_eq!(rest.request("POST", &restart, None)?.status, 202);
    rest.wait_running(&name)?;
    rest.put(&format!("/connectors/{name}/stop"))?;
    wait::until("no tasks", PATIENCE, || {
        let status = rest.status(&name)?;
        let none = status["tasks"].as_array().is_some_and(Vec::is_empty);
        Ok((none && status["connector"]["state"] == "STOPPED").then_some(()))
    })?;
    assert_eq!(rest.delete(&format!("/connectors/{name}"))?.status, 204);
    records(&options.group, &name)
}

#[test]
fn the_leader_writes_the_jvms_records_in_transactions() -> Outcome<()> {
    let ours = life(Target::Ferroconnect)?;
    let theirs = life(Target::Java)?;
    assert_eq!(ours, theirs);
    assert!(ours.len() >= 9, "{ours:?}");
    Ok(())
}

/// Another producer takes the leader's place at the topic: what the worker answers then.
fn shut_out(target: Target) -> Outcome<(u16, String)> {
    let options = group("shut-out", "enabled");
    let worker = start(&options, target)?;
    let name = unique("shut-out");
    source(&worker.rest, &name, &[])?;
    worker.rest.wait_running(&name)?;
    let other = transactional(&format!("connect-cluster-{}", options.group))?;
    let body = format!(
        r#"{{"connector.class":"FileStreamSource","name":"{name}","tasks.max":"1","topic":"{name}","batch.size":"7"}}"#
    );
    let path = format!("/connectors/{name}/config");
    let refused = worker.rest.request("PUT", &path, Some(&body))?;
    // It is still alone in its group, hence its leader, and takes the topic back.
    wait::until("the leader to write again", PATIENCE, || {
        let answer = worker.rest.request("PUT", &path, Some(&body))?;
        match answer.status {
            200 => Ok(Some(())),
            status => Err(format!("{status}: {}", answer.body).into()),
        }
    })?;
    other.begin_transaction()?;
    let record: BaseRecord<'_, str, str> = BaseRecord::to(&name).payload("x");
    other.send(record).map_err(|(error, _)| error)?;
    assert!(
        other.commit_transaction(Duration::from_secs(20)).is_err(),
        "whoever was there before is shut out"
    );
    let message = refused.json()?["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    Ok((refused.status, message))
}

#[test]
fn a_leader_that_was_shut_out_says_so_and_comes_back() -> Outcome<()> {
    assert_eq!(shut_out(Target::Ferroconnect)?, shut_out(Target::Java)?);
    Ok(())
}

/// A task on a follower has the leader fence the producers of the tasks before it.
fn fence(leader: Target, follower: Target) -> Outcome<()> {
    let options = group("fence", "enabled");
    let topic = format!("{}-configs", options.group);
    let first = start(&options, leader)?;
    let second = start(&options, follower)?;
    let there = second.rest.url.replace("http://", "");
    // One of them gets its task on the follower.
    let mut name = String::new();
    for _ in 0..4 {
        name = unique("fence");
        source(&first.rest, &name, &[])?;
        first.rest.wait_running(&name)?;
        let status = first.rest.status(&name)?;
        if status["tasks"][0]["worker_id"] == there.as_str() {
            break;
        }
    }
    let runs_there = || -> Outcome<bool> {
        let task = &first.rest.status(&name)?["tasks"][0];
        Ok(task["state"] == "RUNNING" && task["worker_id"] == there.as_str())
    };
    assert!(runs_there()?, "no task came to the follower");
    // A task of old, in the middle of a transaction, and a note that there were three.
    let zombie = transactional(&format!("{}-{name}-2", options.group))?;
    zombie.begin_transaction()?;
    let record: BaseRecord<'_, str, str> = BaseRecord::to(&name).payload("from the grave");
    zombie.send(record).map_err(|(error, _)| error)?;
    zombie.flush(Duration::from_secs(20))?;
    let key = format!("tasks-fencing-{name}");
    let noted = || -> Outcome<Vec<String>> {
        let records = kafka().records(&topic)?;
        let those = records.iter().filter(|record| record.key_text() == key);
        Ok(those.map(|record| record.value_text()).collect())
    };
    let one = r#"{"task-count":1}"#;
    assert_eq!(noted()?.last().map(String::as_str), Some(one));
    let producer = kafka().producer()?;
    let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic)
        .key(key.as_bytes())
        .payload(br#"{"task-count":3}"#);
    compat_tests::kafka::send(&producer, record)?;
    compat_tests::kafka::flush(&producer)?;
    let before = noted()?.len();
    source(&first.rest, &name, &[("batch.size", "7")])?;
    wait::until("the round of fencing", PATIENCE, || {
        let noted = noted()?;
        Ok((noted.len() > before && noted.last().is_some_and(|last| last == one)).then_some(()))
    })?;
    assert!(
        zombie.commit_transaction(Duration::from_secs(20)).is_err(),
        "the zombie was shut out"
    );
    wait::until("the task to run again", PATIENCE, || {
        Ok(runs_there()?.then_some(()))
    })?;
    assert!(
        !kafka()
            .records(&name)?
            .iter()
            .any(|record| record.value_text().contains("grave")),
        "and what it wrote does not count"
    );
    Ok(())
}

#[test]
fn ours_fences_for_ours() -> Outcome<()> {
    fence(Target::Ferroconnect, Target::Ferroconnect)
}

#[test]
fn the_jvms_fences_for_ours() -> Outcome<()> {
    fence(Target::Java, Target::Ferroconnect)
}

#[test]
fn ours_fences_for_the_jvms() -> Outcome<()> {
    fence(Target::Ferroconnect, Target::Java)
}
