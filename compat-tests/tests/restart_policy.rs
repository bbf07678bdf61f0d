//! `errors.restart.policy`: a failed task starts again by itself, with growing pauses, until its budget
//! is spent; what was done stands in a resource of its own.

use crate::shared::{kafka, unique, wait_count, worker};
use compat_tests::parts::run_folder;
use compat_tests::{Outcome, wait};
use serde_json::Value;
use std::time::Duration;

#[test]
fn a_failing_task_is_restarted_until_its_budget_is_spent() -> Outcome<()> {
    let name = unique("again");
    let worker = worker("again")?;
    let file = run_folder("again-file")?.join("lines");
    // A folder can be opened and not read: the task fails each time it starts.
    std::fs::create_dir(&file)?;
    let path = file.display().to_string();
    let config = |more: &[(&'static str, &'static str)]| {
        let mut config = vec![
            ("connector.class", "FileStreamSource"),
            ("file", path.as_str()),
            ("topic", name.as_str()),
            (
                "value.converter",
                "org.apache.kafka.connect.storage.StringConverter",
            ),
            ("errors.restart.policy", "on-failure"),
            ("errors.restart.backoff.ms", "100"),
            ("errors.restart.backoff.max.ms", "150"),
            ("errors.restart.max.attempts", "3"),
        ];
        config.extend_from_slice(more);
        config
    };
    worker.rest.create_config(&name, &config(&[]))?;
    let history = |connector: &str| -> Outcome<Vec<Value>> {
        let answer = worker
            .rest
            .get(&format!("/connectors/{connector}/restarts"))?;
        let body = answer.json()?;
        Ok(body["restarts"].as_array().cloned().unwrap_or_default())
    };
    let restarts = wait::until("the budget's end", Duration::from_secs(60), || {
        let restarts = history(&name)?;
        let spent = restarts
            .last()
            .is_some_and(|last| last["outcome"] == "exhausted");
        Ok(spent.then_some(restarts))
    })?;
    let of = |member: &str| -> Vec<Value> {
        restarts
            .iter()
            .map(|restart| restart[member].clone())
            .collect()
    };
    assert_eq!(
        of("outcome"),
        ["restarted", "restarted", "restarted", "exhausted"]
    );
    assert_eq!(of("attempt"), [1, 2, 3, 0]);
    assert!(
        of("cause").iter().all(|cause| cause == "other"),
        "{restarts:?}"
    );
    let pauses: Vec<u64> = of("pause_ms").iter().filter_map(Value::as_u64).collect();
    assert!((50..=100).contains(&pauses[0]), "{pauses:?}");
    assert!(
        pauses[1..3].iter().all(|pause| (75..=150).contains(pause)),
        "{pauses:?}"
    );
    let trace = worker.rest.wait_failed(&name)?;
    assert!(trace.contains("reading the file"), "{trace}");

    // Another cause: a wrong configuration does not get better by trying.
    let wrong = unique("wrong");
    worker
        .rest
        .create_config(&wrong, &config(&[("producer.override.acks", "7")]))?;
    worker.rest.wait_failed(&wrong)?;
    assert_eq!(history(&wrong)?, Vec::<Value>::new());

    // Mended, and started by hand.
    std::fs::remove_dir(&file)?;
    std::fs::write(&file, "one\n")?;
    let restarted =
        worker
            .rest
            .request("POST", &format!("/connectors/{name}/tasks/0/restart"), None)?;
    assert_eq!(restarted.status, 204, "{}", restarted.body);
    wait_count(kafka(), &name, 1)?;
    Ok(())
}

#[test]
fn a_restart_says_whether_what_it_restarts_could_be_made() -> Outcome<()> {
    let worker = worker("unmade")?;
    let create = |name: &str, more: (&str, &str)| {
        let config = [
            ("connector.class", "FileStreamSource"),
            ("file", "/no/such/file"),
            ("topic", "unmade"),
            ("topic.creation.default.replication.factor", "1"),
            ("topic.creation.default.partitions", "1"),
            more,
        ];
        worker.rest.create_config(name, &config)
    };
    create("task", ("producer.override.acks", "7"))?;
    create("connector", ("topic.creation.default.partitions", "0"))?;
    for (name, path, message) in [
        ("task", "tasks/0/restart", "Failed to start task: task-0"),
        (
            "connector",
            "restart",
            "Failed to start connector: connector",
        ),
    ] {
        worker.rest.wait_failed(name)?;
        let path = format!("/connectors/{name}/{path}");
        let answer = worker.rest.request("POST", &path, None)?;
        assert_eq!(
            (answer.status, answer.json()?["message"].as_str()),
            (500, Some(message))
        );
    }
    // What could not be made does not change with its target, as in the JVM.
    worker.rest.put("/connectors/connector/pause")?;
    std::thread::sleep(Duration::from_millis(500));
    let status = worker.rest.status("connector")?;
    assert_eq!(status["connector"]["state"], "FAILED", "{status}");
    assert_eq!(status["connector"]["version"], Value::Null, "{status}");
    Ok(())
}
