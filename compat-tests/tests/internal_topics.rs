//! The worker's own topics and its broker, when they are not as they should be.

use crate::shared::{kafka, options, unique};
use compat_tests::kafka::{Kafka, KafkaOptions, flush, send};
use compat_tests::parts::{free_port, run_folder};
use compat_tests::process::signal;
use compat_tests::worker::{Rest, Target, Worker, WorkerOptions};
use compat_tests::{Outcome, wait};
use rdkafka::producer::BaseRecord;
use std::collections::BTreeSet;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

fn source(rest: &Rest, name: &str, lines: usize) -> Outcome<std::path::PathBuf> {
    let file = run_folder("internal-topics")?.join(name);
    let text: String = (0..lines).map(|line| format!("line {line}\n")).collect();
    std::fs::write(&file, text)?;
    let path = file.display().to_string();
    let config = [
        ("connector.class", "FileStreamSource"),
        ("file", path.as_str()),
        ("topic", name),
    ];
    rest.create_config(name, &config)?;
    Ok(file)
}

#[test]
fn what_does_not_belong_into_the_workers_topics_is_passed_over() -> Outcome<()> {
    let options = options("foreign");
    let mut worker = Worker::start(&run_folder("foreign")?, options.clone())?;
    let name = unique("foreign");
    let file = source(&worker.rest, &name, 3)?;
    worker.rest.wait_running(&name)?;
    let producer = kafka().producer()?;
    let foreign: [(&[u8], Option<&[u8]>); 9] = [
        (b"", Some(b"")),
        (b"\xff\xfe", Some(b"\x00\x01")),
        (b"connector-broken", Some(b"{\"properties\":")),
        (b"connector-odd", Some(b"[1]")),
        (b"task-odd-x", Some(b"{\"properties\":{}}")),
        (b"commit-odd", Some(b"{\"tasks\":\"many\"}")),
        (b"target-state-odd", Some(b"{\"state\":\"FLYING\"}")),
        (b"status-task-odd-0", Some(b"{\"state\":7}")),
        (b"[\"odd\",{\"p\":1}]", Some(b"not json")),
    ];
    for topic in ["configs", "offsets", "status"] {
        let topic = format!("{}-{topic}", options.group);
        for (key, value) in foreign {
            let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic).key(key);
            send(
                &producer,
                match value {
                    Some(value) => record.payload(value),
                    None => record,
                },
            )?;
        }
    }
    flush(&producer)?;
    let works = |worker: &Worker, lines: usize| -> Outcome<()> {
        worker.rest.wait_running(&name)?;
        let text: String = (0..lines).map(|line| format!("line {line}\n")).collect();
        std::fs::write(&file, text)?;
        wait::until("all lines", PATIENCE, || {
            let records = kafka().records(&name)?;
            let found: BTreeSet<String> = records.iter().map(|one| one.value_text()).collect();
            Ok((found.len() == lines).then_some(()))
        })?;
        let another = unique("foreign");
        source(&worker.rest, &another, 1)?;
        worker.rest.wait_running(&another)
    };
    works(&worker, 5)?;
    // It reads all of that at its start, too.
    worker.terminate()?;
    worker.restart()?;
    works(&worker, 8)?;
    let names = worker.rest.get("/connectors")?.json()?;
    let odd = names.as_array().ok_or("no list")?.iter();
    assert_eq!(
        odd.filter(|name| *name == "broken").count(),
        0,
        "half a record is no connector"
    );
    Ok(())
}

#[test]
fn a_config_topic_of_other_settings_is_refused() -> Outcome<()> {
    let wide = options("wide");
    kafka().create_topic(&format!("{}-configs", wide.group), 2, 1)?;
    let loose = options("loose");
    let topic = format!("{}-configs", loose.group);
    kafka().create_topic_with(&topic, 1, 1, &[("cleanup.policy", "delete")])?;
    // A topic with two partitions is compacted neither, and that is said first, as by the JVM.
    for (options, expected) in [
        (&wide, "is required to have 'cleanup.policy=compact'"),
        (&loose, "is required to have 'cleanup.policy=compact'"),
    ] {
        refused(options, expected)?;
    }
    let several = options("several");
    let topic = format!("{}-configs", several.group);
    kafka().create_topic_with(&topic, 2, 1, &[("cleanup.policy", "compact")])?;
    refused(&several, "is required to have a single partition")
}

fn refused(options: &WorkerOptions, expected: &str) -> Outcome<()> {
    let mut worker = Worker::launch(&run_folder("refused")?, options.clone())?;
    let code = worker.process().wait(PATIENCE)?.code();
    let log = worker.log();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(expected), "{expected}: {log}");
    Ok(())
}

#[test]
fn a_broker_that_falls_silent_splits_no_group() -> Outcome<()> {
    let broker = Kafka::start(&run_folder("silent-broker")?, &KafkaOptions::default())?;
    let group = unique("silent");
    let one = WorkerOptions::new(Target::Ferroconnect, broker.bootstrap(), &group)
        .property("session.timeout.ms", "6000")
        .property("scheduled.rebalance.max.delay.ms", "2000");
    let other = WorkerOptions {
        port: free_port(),
        ..one.clone()
    };
    let first = Worker::start(&run_folder("silent-1")?, one)?;
    let second = Worker::start(&run_folder("silent-2")?, other)?;
    let names: Vec<String> = (0..4).map(|_| unique("silent")).collect();
    for name in &names {
        source(&first.rest, name, 3)?;
    }
    let spread = || -> Outcome<()> {
        wait::until("both to have work again", PATIENCE, || {
            let mut workers = Vec::new();
            for name in &names {
                let status = first.rest.status(name)?;
                let tasks = status["tasks"].as_array().ok_or("no tasks")?;
                for part in tasks.iter().chain([&status["connector"]]) {
                    if part["state"] != "RUNNING" || tasks.len() != 1 {
                        return Err(status.to_string().into());
                    }
                    workers.push(part["worker_id"].as_str().unwrap_or_default().to_owned());
                }
            }
            let both: BTreeSet<&String> = workers.iter().collect();
            match both.len() == 2 && workers.len() == 8 {
                true => Ok(Some(())),
                false => Err(format!("{workers:?}").into()),
            }
        })
    };
    spread()?;
    let ids = broker.process_ids();
    for seconds in [2, 12] {
        for id in &ids {
            signal("STOP", &id.to_string());
        }
        std::thread::sleep(Duration::from_secs(seconds));
        for id in &ids {
            signal("CONT", &id.to_string());
        }
        spread()?;
    }
    // Each sees the other: what one is asked the other answers.
    for rest in [&first.rest, &second.rest] {
        for name in &names {
            let path = format!("/connectors/{name}/tasks/0/restart");
            wait::until("a restart", PATIENCE, || {
                let answer = rest.request("POST", &path, None)?;
                match answer.status {
                    204 => Ok(Some(())),
                    status => Err(format!("{status}: {}", answer.body).into()),
                }
            })?;
        }
    }
    spread()
}
