//! What a Postgres source does when its server fails it: connections that break inside a message,
//! slots that are lost, taken or used up, publications and privileges that are missing. The trace
//! names the cause and what to do; nothing is lost; what may pass is tried again.

use crate::shared::{database, kafka, options, postgres, source_config, unique, wait_count};
use compat_tests::parts::run_folder;
use compat_tests::postgres::{Postgres, PostgresOptions};
use compat_tests::relay::Relay;
use compat_tests::worker::Worker;
use compat_tests::{Outcome, wait};
use std::time::Duration;

const PATIENT: [(&str, &str); 2] = [
    ("retriable.restart.connector.wait.ms", "200"),
    ("slot.retry.delay.ms", "300"),
];

fn worker(name: &str) -> Outcome<Worker> {
    let options = options(name).property("offset.flush.interval.ms", "200");
    Worker::start(&run_folder(name)?, options)
}

/// A server of the test's own, with a database that has a table of one row.
fn server(name: &str, settings: &'static str) -> Outcome<Postgres> {
    let options = PostgresOptions {
        settings,
        ..PostgresOptions::default()
    };
    let server = Postgres::start(&run_folder(name)?, options)?;
    server.sql("postgres", &format!("create database {name}"))?;
    server.sql(
        name,
        "create table t (id int primary key, v text); insert into t values (1, 'a')",
    )?;
    Ok(server)
}

/// Waits for a log line that has all these words.
fn wait_logged(worker: &Worker, words: &[&str]) -> Outcome<()> {
    wait::until(
        &format!("a log line of {words:?}"),
        Duration::from_secs(60),
        || {
            let log = worker.log();
            let told = |line: &str| words.iter().all(|word| line.contains(word));
            Ok(log.lines().any(told).then_some(()))
        },
    )
}

fn has(trace: &str, words: &[&str]) {
    for word in words {
        assert!(trace.contains(word), "{word:?} in {trace}");
    }
}

#[test]
fn a_connection_that_breaks_inside_a_message_loses_and_repeats_nothing() -> Outcome<()> {
    let name = database("cut")?;
    postgres().sql(&name, "create table t (id int primary key, v text)")?;
    let relay = Relay::start(postgres().port())?;
    let worker = worker("cut")?;
    let port = relay.port.to_string();
    worker
        .rest
        .create_config(&name, &source_config(&name, &port, &PATIENT))?;
    postgres().wait_slot(&name, true)?;
    let rows = 300;
    // In the header of a message, in a row, between two rows, in the next transaction.
    let cuts = [3, 517, 7_777, 40_003, 90_001];
    for (round, after) in (0..).zip(cuts) {
        let (cut_before, first) = (relay.cuts(), round * rows + 1);
        relay.cut_after(after);
        let last = first + rows - 1;
        postgres().sql(
            &name,
            &format!(
                "insert into t select i, repeat('v', 500) from generate_series({first}, {last}) i"
            ),
        )?;
        wait::until("the cut", Duration::from_secs(60), || {
            Ok((relay.cuts() > cut_before).then_some(()))
        })?;
        wait_count(kafka(), &format!("{name}.public.t"), i64::from(last))
            .map_err(|error| format!("{error}; {:?}", worker.rest.status(&name)))?;
    }
    let mut ids = Vec::new();
    for record in kafka().records(&format!("{name}.public.t"))? {
        ids.push(
            record.value_json()?["payload"]["after"]["id"]
                .as_i64()
                .unwrap_or(-1),
        );
    }
    let all = i64::from(rows) * i64::try_from(cuts.len())?;
    assert_eq!(ids, (1..=all).collect::<Vec<i64>>());
    Ok(())
}

#[test]
fn a_slot_whose_log_was_removed_is_named_with_what_is_missing() -> Outcome<()> {
    let name = unique("lostslot");
    let mut server = server(
        &name,
        "fsync=off\nmax_slot_wal_keep_size=16MB\nmin_wal_size=32MB\nmax_wal_size=64MB\n",
    )?;
    let mut worker = worker("lostslot")?;
    let port = server.port().to_string();
    worker
        .rest
        .create_config(&name, &source_config(&name, &port, &PATIENT))?;
    let topic = format!("{name}.public.t");
    wait_count(kafka(), &topic, 1)?;
    server.wait_slot(&name, true)?;
    server.sql(&name, "insert into t values (2, 'b')")?;
    wait_count(kafka(), &topic, 2)?;
    wait::until("the stored offset", Duration::from_secs(60), || {
        let offsets = worker.rest.get(&format!("/connectors/{name}/offsets"))?;
        Ok(offsets.body.contains("lsn_proc").then_some(()))
    })?;
    worker.terminate()?;
    server.sql(&name, "insert into t values (3, 'c')")?;
    let lost = "select wal_status from pg_replication_slots";
    wait::until("the slot to be lost", Duration::from_secs(60), || {
        server.sql(&name, "select pg_switch_wal(); create table if not exists x (i int); insert into x select generate_series(1, 200000); truncate x; checkpoint")?;
        Ok((server.value(&name, lost)?.as_deref() == Some("lost")).then_some(()))
    })?;
    worker.restart()?;
    let trace = worker.rest.wait_failed(&name)?;
    has(
        &trace,
        &[
            "no longer available on the server",
            "missing is what was committed after LSN{",
            "Drop the slot",
            "max_slot_wal_keep_size",
        ],
    );
    server.stop()
}

#[test]
fn used_up_and_taken_slots_are_told_and_waited_for() -> Outcome<()> {
    let name = unique("slots");
    let server = server(&name, "fsync=off\nmax_replication_slots=1\n")?;
    let worker = worker("slots")?;
    let port = server.port().to_string();
    server.sql(
        &name,
        "select pg_create_logical_replication_slot('other', 'pgoutput')",
    )?;
    worker
        .rest
        .create_config(&name, &source_config(&name, &port, &PATIENT))?;
    let trace = worker.rest.wait_failed(&name)?;
    has(
        &trace,
        &[
            "Creation of replication slot failed",
            "all replication slots are in use",
            "max_replication_slots",
        ],
    );
    server.sql(&name, "select pg_drop_replication_slot('other')")?;
    let restart = format!("/connectors/{name}/restart?includeTasks=true");
    worker.rest.request("POST", &restart, None)?;
    let topic = format!("{name}.public.t");
    wait_count(kafka(), &topic, 1)?;
    server.wait_slot(&name, true)?;
    // A second connector after the same slot waits; the first goes on undisturbed.
    let second = format!("{name}second");
    let mut config = source_config(&name, &port, &PATIENT);
    config.retain(|(key, _)| *key != "topic.prefix");
    config.extend([
        ("topic.prefix", second.as_str()),
        ("snapshot.mode", "no_data"),
    ]);
    worker.rest.create_config(&second, &config)?;
    wait_logged(
        &worker,
        &["the replication slot is in use", "is active for PID"],
    )?;
    server.sql(&name, "insert into t values (2, 'b')")?;
    wait_count(kafka(), &topic, 2)?;
    worker.rest.put(&format!("/connectors/{name}/stop"))?;
    server.sql(&name, "insert into t values (3, 'c')")?;
    wait_count(kafka(), &format!("{second}.public.t"), 1)
        .map_err(|error| format!("{error}; {:?}", worker.rest.status(&second)).into())
}

#[test]
fn what_the_database_lacks_is_told_with_what_to_do() -> Outcome<()> {
    let name = database("lacks")?;
    let role = unique("poor");
    postgres().sql(
        &name,
        &format!(
            "create table t (id int primary key); insert into t values (1);
             create table secret (id int primary key); insert into secret values (1);
             create publication {name} for all tables;
             create role {role} login replication password 'poor';
             grant create on database {name} to {role}; grant select on t to {role}"
        ),
    )?;
    let worker = worker("lacks")?;
    let port = postgres().port().to_string();
    let with = |more: &[(&'static str, &'static str)]| {
        let mut config = source_config(&name, &port, &PATIENT);
        for (key, value) in more {
            config.retain(|(known, _)| known != key);
            config.push((key, value));
        }
        config
    };
    // What a validation sees: the answer of the server stands at the host's key.
    for (more, words) in [
        (&[("database.user", "nobody_at_all")], &["nobody_at_all"]),
        (&[("database.dbname", "no_such_base")], &["no_such_base"]),
        (
            &[("database.hostname", "no.such.host.invalid")],
            &["connection attempt failed"],
        ),
    ] {
        let refused = worker.rest.create_config("refused", &with(more));
        let refused = refused.expect_err("it cannot work").to_string();
        has(&refused, &["400"]);
        has(&refused, words);
    }
    // What only the task sees.
    let mut missing = with(&[
        ("publication.name", "no_such_publication"),
        ("publication.autocreate.mode", "disabled"),
        ("slot.name", "lacks_publication"),
    ]);
    worker.rest.create_config("publication", &missing)?;
    let trace = worker.rest.wait_failed("publication")?;
    has(
        &trace,
        &["Publication autocreation is disabled, please create one and restart the connector."],
    );
    worker.rest.delete("/connectors/publication")?;
    missing = source_config(&name, &port, &PATIENT);
    missing.retain(|(key, _)| !key.starts_with("database.user") && !key.ends_with("password"));
    missing.extend([
        ("database.user", role.as_str()),
        ("database.password", "poor"),
    ]);
    worker.rest.create_config("privilege", &missing)?;
    let trace = worker.rest.wait_failed("privilege")?;
    has(
        &trace,
        &[
            "permission denied for table secret",
            "Grant the role what it lacks",
        ],
    );
    worker.rest.delete("/connectors/privilege")?;
    Ok(())
}

#[test]
fn a_server_without_logical_log_is_told() -> Outcome<()> {
    let name = unique("level");
    let server = server(&name, "fsync=off\nwal_level=replica\n")?;
    let worker = worker("level")?;
    let port = server.port().to_string();
    worker
        .rest
        .create_config(&name, &source_config(&name, &port, &PATIENT))?;
    let trace = worker.rest.wait_failed(&name)?;
    has(
        &trace,
        &[
            "wal_level",
            "Set wal_level=logical on the server and restart it.",
        ],
    );
    Ok(())
}
