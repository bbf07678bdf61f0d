//! Exactly-once sources: what is killed repeats nothing for readers of committed records.

use crate::shared::{kafka, options, unique, wait_count};
use compat_tests::parts::run_folder;
use compat_tests::worker::Worker;
use compat_tests::{Outcome, wait};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

fn start(name: &str) -> Outcome<Worker> {
    let options = options(name).property("exactly.once.source.support", "enabled");
    Worker::start(&run_folder(name)?, options)
}

fn append(file: &Path, lines: std::ops::Range<usize>) -> Outcome<()> {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)?;
    let text = lines.fold(String::new(), |mut text, line| {
        writeln!(text, "line-{line}").expect("a string takes all");
        text
    });
    Ok(file.write_all(text.as_bytes())?)
}

fn config<'a>(
    file: &'a str,
    topic: &'a str,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut config = vec![
        (
            "connector.class",
            "org.apache.kafka.connect.file.FileStreamSourceConnector",
        ),
        ("file", file),
        ("topic", topic),
        (
            "value.converter",
            "org.apache.kafka.connect.storage.StringConverter",
        ),
        ("exactly.once.support", "required"),
    ];
    config.extend_from_slice(more);
    config
}

/// How often each committed line is in the topic.
fn lines(topic: &str) -> Outcome<BTreeMap<String, usize>> {
    let mut found = BTreeMap::new();
    for record in kafka().records(topic)? {
        *found.entry(record.value_text()).or_default() += 1;
    }
    Ok(found)
}

fn wait_lines(topic: &str, count: usize) -> Outcome<BTreeMap<String, usize>> {
    wait::until(
        &format!("{count} committed lines"),
        Duration::from_secs(90),
        || {
            let found = lines(topic)?;
            match found.len() < count {
                true => Err(format!("{} are there", found.len()).into()),
                false => Ok(Some(found)),
            }
        },
    )
}

#[test]
fn a_worker_that_is_killed_loses_and_doubles_nothing() -> Outcome<()> {
    let topic = unique("exactly-once");
    let mut worker = start("exactly-once")?;
    let file = run_folder("exactly-once")?.join("killed.txt");
    let path = file.display().to_string();
    append(&file, 0..500)?;
    // Small batches, so that a kill falls between two transactions or into one.
    let config = config(&path, &topic, &[("batch.size", "7")]);
    worker.rest.create_config("lines", &config)?;
    for round in 1..4 {
        wait_count(kafka(), &topic, 300 * i64::from(round))?;
        worker.kill();
        let done = 500 * usize::try_from(round)?;
        append(&file, done..done + 500)?;
        worker.restart()?;
    }
    let found = wait_lines(&topic, 2000)?;
    let doubled: Vec<_> = found.iter().filter(|(_, count)| **count != 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    assert_eq!(found.len(), 2000);
    Ok(())
}

#[test]
fn an_interval_ends_transactions_and_so_does_a_pause() -> Outcome<()> {
    let topic = unique("boundary");
    let worker = start("boundary")?;
    let file = run_folder("boundary")?.join("interval.txt");
    let path = file.display().to_string();
    append(&file, 0..10)?;
    let more = [
        ("transaction.boundary", "interval"),
        ("transaction.boundary.interval.ms", "600000"),
    ];
    worker
        .rest
        .create_config("interval", &config(&path, &topic, &more))?;
    worker.rest.wait_running("interval")?;
    wait::until("the topic", Duration::from_secs(60), || {
        Ok(kafka().topics()?.contains_key(&topic).then_some(()))
    })?;
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(
        lines(&topic)?.len(),
        0,
        "nothing is committed before the interval ends"
    );
    worker.rest.put("/connectors/interval/pause")?;
    assert_eq!(wait_lines(&topic, 10)?.len(), 10);
    Ok(())
}

#[test]
fn offsets_live_in_the_connectors_own_topic_and_are_copied_to_the_workers() -> Outcome<()> {
    let (topic, offsets) = (unique("own-offsets"), unique("own-offsets-store"));
    let mut worker = start("own-offsets")?;
    let file = run_folder("own-offsets")?.join("own.txt");
    let path = file.display().to_string();
    append(&file, 0..5)?;
    let more = [
        ("offsets.storage.topic", offsets.as_str()),
        ("topic.creation.default.partitions", "1"),
        ("topic.creation.default.replication.factor", "1"),
    ];
    worker
        .rest
        .create_config("own", &config(&path, &topic, &more))?;
    wait_lines(&topic, 5)?;
    let stored = || -> Outcome<bool> {
        let records = kafka().records(&offsets)?;
        Ok(records
            .iter()
            .any(|record| record.key_text().contains(&path)))
    };
    wait::until("offsets in the own topic", Duration::from_secs(30), || {
        Ok(stored()?.then_some(()))
    })?;
    let shown = worker.rest.get("/connectors/own/offsets")?.body;
    assert!(shown.contains("position"), "{shown}");
    worker.terminate()?;
    append(&file, 5..8)?;
    worker.restart()?;
    let found = wait_lines(&topic, 8)?;
    assert!(found.values().all(|count| *count == 1), "{found:?}");
    worker.rest.put("/connectors/own/stop")?;
    worker.rest.wait_state("own", "STOPPED")?;
    wait::until("the reset", Duration::from_secs(30), || {
        let answer = worker.rest.delete("/connectors/own/offsets")?;
        Ok((answer.status == 200).then_some(()))
    })?;
    let shown = worker.rest.get("/connectors/own/offsets")?.body;
    assert_eq!(shown, r#"{"offsets":[]}"#);
    Ok(())
}

/// Another's transaction in the offsets topic hides what was committed behind its beginning.
#[test]
fn a_task_waits_for_offsets_behind_an_open_transaction() -> Outcome<()> {
    let topic = unique("behind");
    let options = options("behind")
        .property("exactly.once.source.support", "enabled")
        .property("offset.storage.partitions", "1");
    let offsets = format!("{}-offsets", options.group);
    let worker = Worker::start(&run_folder("behind")?, options)?;
    let file = run_folder("behind")?.join("behind.txt");
    let path = file.display().to_string();
    append(&file, 0..10)?;
    worker
        .rest
        .create_config("behind", &config(&path, &topic, &[]))?;
    wait_lines(&topic, 10)?;
    let other: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka().bootstrap())
        .set("transactional.id", unique("other"))
        .set("log_level", "0")
        .create()?;
    let limit = Duration::from_secs(30);
    other.init_transactions(limit)?;
    other.begin_transaction()?;
    let record: BaseRecord<'_, str, str> = BaseRecord::to(&offsets)
        .key(r#"["other",{"p":1}]"#)
        .payload("{}");
    other.send(record).map_err(|(error, _)| error)?;
    other.flush(limit)?;
    append(&file, 10..20)?;
    wait_lines(&topic, 20)?;
    let restart = "/connectors/behind/tasks/0/restart";
    assert_eq!(worker.rest.request("POST", restart, None)?.status, 204);
    append(&file, 20..25)?;
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(lines(&topic)?.len(), 20, "it cannot know where it was");
    other.abort_transaction(limit)?;
    let found = wait_lines(&topic, 25)?;
    let doubled: Vec<_> = found.iter().filter(|(_, count)| **count != 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    Ok(())
}
