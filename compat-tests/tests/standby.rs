//! A standby as source (PostgreSQL 16 and later), and failover: a promoted standby goes on where the
//! primary stood, by a failover slot (17 and later); a standby that lacks what was read is refused.

use crate::shared::{kafka, options, source_config, wait_count};
use compat_tests::kafka::Record;
use compat_tests::parts::run_folder;
use compat_tests::postgres::{Build, Postgres, PostgresOptions};
use compat_tests::relay::Relay;
use compat_tests::worker::Worker;
use compat_tests::{Outcome, wait};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PG16: Build = Build::Embedded("16.11.0");
const PG17: Build = Build::Embedded("17.7.0");
const PG18: Build = Build::Embedded("18.1.0");

/// A server of this build with a database that has a table of two rows.
fn primary(name: &str, build: Build, settings: &'static str) -> Outcome<Postgres> {
    let options = PostgresOptions {
        build,
        settings,
        ..PostgresOptions::default()
    };
    let primary = Postgres::start(&run_folder(name)?, options)?;
    primary.sql("postgres", &format!("create database {name}"))?;
    primary.sql(
        name,
        &format!(
            "create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'b');
             create publication {name} for all tables"
        ),
    )?;
    Ok(primary)
}

/// A worker that stores offsets often.
fn worker(name: &str) -> Outcome<Worker> {
    let options = options(name).property("offset.flush.interval.ms", "200");
    Worker::start(&run_folder(name)?, options)
}

/// The ids of a topic's rows, in order, without repetitions.
fn ids(topic: &str) -> Outcome<Vec<i64>> {
    let id = |record: &Record| {
        let value = record.value_json()?;
        Outcome::Ok(value["payload"]["after"]["id"].as_i64().unwrap_or(-1))
    };
    let mut ids = Vec::new();
    for record in kafka().records(topic)? {
        let id = id(&record)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Waits until the stored offset names this position or a later one.
fn wait_stored(worker: &Worker, connector: &str, lsn: i64) -> Outcome<serde_json::Value> {
    wait::until("the stored offset", Duration::from_secs(60), || {
        let offsets = worker
            .rest
            .get(&format!("/connectors/{connector}/offsets"))?;
        let stored = offsets.json()?["offsets"][0]["offset"].clone();
        let reached = stored["lsn"].as_i64().is_some_and(|stored| stored >= lsn);
        Ok(reached.then_some(stored))
    })
}

fn written(server: &Postgres) -> Outcome<i64> {
    let sql = "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn";
    Ok(server.value("postgres", sql)?.unwrap_or_default().parse()?)
}

#[test]
fn a_standby_is_read_snapshot_and_stream_also_after_its_promotion() -> Outcome<()> {
    for (name, build) in [("standby16", PG16), ("standby18", PG18)] {
        let mut primary = primary(name, build, "fsync=off\n")?;
        let standby = primary.standby(&run_folder(name)?, "")?;
        let worker = worker(name)?;
        let port = standby.port().to_string();
        let more = [("retriable.restart.connector.wait.ms", "500")];
        let made = AtomicBool::new(false);
        // A slot on a standby waits until the primary says which transactions run.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !made.load(Ordering::Relaxed) {
                    drop(primary.sql("postgres", "select pg_log_standby_snapshot()"));
                    std::thread::sleep(Duration::from_millis(300));
                }
            });
            let config = source_config(name, &port, &more);
            let done = worker
                .rest
                .create_config(name, &config)
                .and_then(|_| wait_count(kafka(), &format!("{name}.public.t"), 2))
                .and_then(|()| standby.wait_slot(name, true));
            made.store(true, Ordering::Relaxed);
            done
        })
        .map_err(|error| format!("{error}; {:?}", worker.rest.status(name)))?;
        primary.sql(
            name,
            "insert into t select i, 'c' from generate_series(3, 100) i",
        )?;
        let topic = format!("{name}.public.t");
        wait_count(kafka(), &topic, 100)?;
        // It becomes a primary under the running stream, and what it writes then follows.
        primary.kill();
        standby.promote()?;
        standby.sql(
            name,
            "insert into t select i, 'd' from generate_series(101, 150) i",
        )?;
        wait_count(kafka(), &topic, 150)?;
        // A restart goes on as well.
        let answer = worker.rest.request(
            "POST",
            &format!("/connectors/{name}/restart?includeTasks=true"),
            None,
        )?;
        assert!(answer.status < 300, "{}", answer.body);
        standby.sql(
            name,
            "insert into t select i, 'e' from generate_series(151, 200) i",
        )?;
        wait::until("all rows", Duration::from_secs(60), || {
            Ok((ids(&topic)?.len() == 200).then_some(()))
        })
        .map_err(|error| format!("{error}; {:?}", worker.rest.status(name)))?;
        assert_eq!(ids(&topic)?, (1..=200).collect::<Vec<i64>>());
    }
    Ok(())
}

#[test]
fn a_failover_slot_goes_on_at_the_promoted_standby() -> Outcome<()> {
    for (name, build) in [("failover17", PG17), ("failover18", PG18)] {
        let settings = "fsync=off\nsynchronized_standby_slots='standby'\n";
        let mut primary = primary(name, build, settings)?;
        // Only on the standby: the primary's own setting would name itself.
        let standby = primary.standby(
            &run_folder(name)?,
            "sync_replication_slots=on\nsynchronized_standby_slots=''",
        )?;
        let relay = Relay::start(primary.port())?;
        let worker = worker(name)?;
        let port = relay.port.to_string();
        let more = [
            ("slot.failover", "true"),
            ("retriable.restart.connector.wait.ms", "500"),
        ];
        worker
            .rest
            .create_config(name, &source_config(name, &port, &more))?;
        let topic = format!("{name}.public.t");
        wait_count(kafka(), &topic, 2)?;
        primary.wait_slot(name, true)?;
        let flag = format!("select failover from pg_replication_slots where slot_name = '{name}'");
        assert_eq!(primary.value("postgres", &flag)?.as_deref(), Some("t"));
        let synced = format!(
            "select 1 from pg_replication_slots where slot_name = '{name}' and synced \
             and not temporary and invalidation_reason is null"
        );
        wait::until("the slot on the standby", Duration::from_secs(90), || {
            primary.sql(name, "select pg_log_standby_snapshot()")?;
            // Each round gives the slot something to move over.
            primary.sql(name, "update t set v = v where id = 1")?;
            standby.value("postgres", &synced)
        })?;
        primary.sql(
            name,
            "insert into t select i, 'c' from generate_series(3, 100) i",
        )?;
        wait::until("the rows", Duration::from_secs(60), || {
            Ok((ids(&topic)?.len() == 100).then_some(()))
        })?;
        // The primary is gone for good, its address leads to the standby.
        primary.kill();
        standby.promote()?;
        relay.point_at(standby.port());
        standby.sql(
            name,
            "insert into t select i, 'd' from generate_series(101, 200) i",
        )?;
        wait::until("all rows", Duration::from_secs(90), || {
            Ok((ids(&topic)?.len() == 200).then_some(()))
        })
        .map_err(|error| format!("{error}; {:?}", worker.rest.status(name)))?;
        assert_eq!(ids(&topic)?, (1..=200).collect::<Vec<i64>>());
        let stored = wait_stored(&worker, name, 0)?;
        assert_eq!(stored["server_timeline"], 2, "{stored}");
    }
    Ok(())
}

#[test]
fn a_standby_that_lacks_what_was_read_and_another_cluster_are_refused() -> Outcome<()> {
    let name = "behind17";
    let mut primary = primary(name, PG17, "fsync=off\n")?;
    let standby = primary.standby(&run_folder(name)?, "sync_replication_slots=on")?;
    let relay = Relay::start(primary.port())?;
    let mut worker = worker(name)?;
    let port = relay.port.to_string();
    let more = [("slot.failover", "true")];
    worker
        .rest
        .create_config(name, &source_config(name, &port, &more))?;
    let topic = format!("{name}.public.t");
    wait_count(kafka(), &topic, 2)?;
    primary.wait_slot(name, true)?;
    let synced = format!(
        "select 1 from pg_replication_slots where slot_name = '{name}' and synced \
         and not temporary"
    );
    wait::until("the slot on the standby", Duration::from_secs(90), || {
        primary.sql(name, "select pg_log_standby_snapshot()")?;
        primary.sql(name, "update t set v = v where id = 1")?;
        standby.value("postgres", &synced)
    })?;
    // The standby no longer follows; what is read now it will never have.
    standby.sql("postgres", "alter system set primary_conninfo = ''")?;
    standby.sql("postgres", "select pg_reload_conf()")?;
    wait::until("the standby to be alone", Duration::from_secs(30), || {
        let alone = "select 1 where not exists (select 1 from pg_stat_wal_receiver)";
        standby.value("postgres", alone)
    })?;
    primary.sql(
        name,
        "insert into t select i, 'c' from generate_series(3, 500) i",
    )?;
    let position = written(&primary)?;
    wait::until("the rows", Duration::from_secs(60), || {
        Ok((ids(&topic)?.len() == 500).then_some(()))
    })?;
    let stored = wait_stored(&worker, name, position - 4096)?;
    assert_eq!(stored["server_timeline"], 1, "{stored}");
    worker.terminate()?;
    primary.kill();
    standby.promote()?;
    relay.point_at(standby.port());
    worker.restart()?;
    let trace = worker.rest.wait_failed(name)?;
    for word in [
        "is no longer available on the server",
        "where timeline 1 was left",
        "trust_slot",
    ] {
        assert!(trace.contains(word), "{word} in {trace}");
    }

    // Another cluster at the same address, with a slot of the same name.
    let other = self::primary(name, PG17, "fsync=off\n")?;
    let slot = format!("select pg_create_logical_replication_slot('{name}', 'pgoutput')");
    other.sql(name, &slot)?;
    relay.point_at(other.port());
    let restart = format!("/connectors/{name}/restart?includeTasks=true");
    worker.rest.request("POST", &restart, None)?;
    let trace = wait::until("the other trace", Duration::from_secs(60), || {
        let trace = worker.rest.wait_failed(name)?;
        Ok(trace.contains("system identifier").then_some(trace))
    })?;
    assert!(trace.contains("no longer available"), "{trace}");
    // Whoever says how to go on is asked no more.
    let mut config = source_config(name, &port, &more);
    config.push(("offset.mismatch.strategy", "no_validation"));
    let config: serde_json::Map<String, serde_json::Value> = config
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    let body = serde_json::Value::Object(config).to_string();
    let path = format!("/connectors/{name}/config");
    let answer = worker.rest.request("PUT", &path, Some(&body))?;
    assert!(answer.status < 300, "{}", answer.body);
    other.wait_slot(name, true)
}
