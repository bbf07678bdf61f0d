//! kill -9 in the middle of a load, again and again; afterwards nothing is missing.
//!
//! What must hold: every change reaches Kafka and Parquet; per key the versions come in order (a
//! resend after a kill repeats, it never skips ahead or starts with an older one unseen); no Kafka
//! record stands in two objects. `make chaos` runs the long form: 20 kills, 100,000 changes.

use crate::shared::{bucket, database, kafka, options, postgres, sink_config, source_config};
use compat_tests::parts::run_folder;
use compat_tests::worker::Worker;
use compat_tests::{Outcome, rows, wait};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Records to an object.
const FLUSH_SIZE: usize = 500;
/// Keys that the changes go round: each key is changed many times.
const KEYS: i64 = 1000;

fn setting(name: &str, short: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(short)
}

/// Makes changes `first..first + count`, 50 to a transaction, each to the next key in turn.
fn change(database: &str, first: i64, count: i64) -> Outcome<()> {
    postgres().sql(
        database,
        &format!(
            "do $$ begin for b in {}..{} loop
               update t set version = 1 + (b * 50 + t.id - (b * 50) % {KEYS}) / {KEYS}
                 where t.id >= (b * 50) % {KEYS} and t.id < (b * 50) % {KEYS} + 50;
               commit; end loop; end $$",
            first / 50,
            (first + count) / 50 - 1
        ),
    )
}

/// Waits until a topic takes no more records, and gives their number.
fn quiet(topic: &str) -> Outcome<i64> {
    let mut last = (kafka().count(topic)?, 0);
    wait::until(
        &format!("{topic} to be quiet"),
        Duration::from_secs(120),
        || {
            std::thread::sleep(Duration::from_millis(100));
            let count = kafka().count(topic)?;
            last = (count, if count == last.0 { last.1 + 1 } else { 0 });
            Ok((last.1 >= 8).then_some(count))
        },
    )
}

#[test]
fn nothing_is_lost_or_doubled_by_kills() -> Outcome<()> {
    let kills = setting("CHAOS_KILLS", 3);
    let mut burst = i64::try_from(setting("CHAOS_CHANGES", 15_000) / kills)?;
    assert_eq!(burst % KEYS, 0, "whole rounds over all keys");
    let name = database("chaos")?;
    let bucket = bucket("chaos")?;
    postgres().sql(
        &name,
        "create table t (id bigint primary key, version bigint not null, note text);
         insert into t select i, 0, repeat('n', 100) from generate_series(0, 999) i",
    )?;
    let port = postgres().port().to_string();
    let topic = format!("{name}.public.t");
    kafka().create_topic(&topic, 3, 1)?;
    let options = options("chaos").property("offset.flush.interval.ms", "500");
    let mut worker = Worker::start(&run_folder("chaos")?, options)?;
    let json = [
        (
            "key.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        ),
        (
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        ),
        ("value.converter.schemas.enable", "true"),
    ];
    let mut more = json.to_vec();
    more.extend([
        ("transforms", "unwrap"),
        (
            "transforms.unwrap.type",
            "io.debezium.transforms.ExtractNewRecordState",
        ),
    ]);
    worker
        .rest
        .create_config("source", &source_config(&name, &port, &more))?;
    let mut more = json.to_vec();
    more.extend([
        ("flush.size", "500"),
        ("tasks.max", "2"),
        // A killed member keeps its partitions as long as its session lasts.
        ("consumer.override.session.timeout.ms", "6000"),
        ("consumer.override.heartbeat.interval.ms", "2000"),
    ]);
    let group = format!("connect-{name}-sink");
    let sink = format!("{name}-sink");
    worker
        .rest
        .create_config(&sink, &sink_config(&topic, &bucket.name, &more))?;
    worker.rest.wait_running("source")?;
    worker.rest.wait_running(&sink)?;

    let committed =
        || -> Outcome<i64> { Ok(kafka().committed(&group, &topic)?.values().sum::<i64>()) };
    let mut kill_times = Vec::new();
    let mut committed_before = 0;
    let mut changes = 0;
    for kill in 1..=kills {
        // The sink has come back from the last kill and has completed objects since.
        wait::until(
            &format!("the sink before kill {kill}"),
            Duration::from_secs(120),
            || Ok((kill == 1 || committed()? > committed_before).then_some(())),
        )
        .map_err(|error| format!("{error}; {:?}", worker.rest.status(&sink)))?;
        // In flight: Kafka has some of a burst, the rest is on its way. A burst that was over before
        // it was looked at is followed by one twice as long.
        let mut tries = 0;
        let sent = loop {
            let start = quiet(&topic)?;
            let load = std::thread::spawn({
                let (name, first) = (name.clone(), changes);
                move || change(&name, first, burst)
            });
            changes += burst;
            let sent = wait::until("the burst in Kafka", Duration::from_secs(60), || {
                let sent = kafka().count(&topic)? - start;
                Ok((sent > 0).then_some(sent))
            })?;
            if sent < burst {
                worker.kill();
                load.join().map_err(|_| "the load panicked")??;
                break sent;
            }
            load.join().map_err(|_| "the load panicked")??;
            burst *= 2;
            tries += 1;
            assert!(tries < 6, "every burst was over at once");
        };
        kill_times.push(i64::try_from(
            SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis(),
        )?);
        committed_before = committed()?;
        let uncommitted = kafka().count(&topic)? - committed_before;
        println!(
            "kill {kill}: {sent} of a burst of {burst} changes in Kafka, the rest on its way; \
             {uncommitted} records not yet committed by the sink"
        );
        assert!(uncommitted > 0, "the sink had something in flight");
        worker.restart()?;
    }

    // Every change is in Kafka.
    let parse = |value: &serde_json::Value| {
        (
            value["id"].as_i64().unwrap_or(-1),
            value["version"].as_i64().unwrap_or(-1),
        )
    };
    wait::until(
        "the last changes in Kafka",
        Duration::from_secs(180),
        || Ok((quiet(&topic)? >= changes + KEYS).then_some(())),
    )
    .map_err(|error| format!("{error}; {:?}", worker.rest.status("source")))?;
    // Fillers complete the objects that the last changes are in.
    let real: Vec<(i64, i64)> = kafka().offsets(&topic)?;
    let mut filler = 1_000_000;
    wait::until("the last objects", Duration::from_secs(180), || {
        let committed = kafka().committed(&group, &topic)?;
        let behind = real.iter().zip(0..).any(|((_, next), partition)| {
            committed.get(&partition).copied().unwrap_or_default() < *next
        });
        if !behind {
            return Ok(Some(()));
        }
        postgres().sql(
            &name,
            &format!(
                "insert into t select {filler} + i, 0, 'filler' from generate_series(1, 300) i"
            ),
        )?;
        filler += 300;
        std::thread::sleep(Duration::from_millis(700));
        Ok(None)
    })
    .map_err(|error| format!("{error}; {:?}", worker.rest.status(&sink)))?;

    let mut in_kafka: BTreeMap<(i32, i64), (i64, i64)> = BTreeMap::new();
    let mut first_seen: HashMap<(i64, i64), i64> = HashMap::new();
    let mut latest: HashMap<i64, i64> = HashMap::new();
    let mut repeats: BTreeMap<usize, usize> = BTreeMap::new();
    for record in kafka().records(&topic)? {
        let (id, version) = parse(&record.value_json()?["payload"]);
        in_kafka.insert((record.partition, record.offset), (id, version));
        if first_seen.insert((id, version), record.offset).is_some() {
            // Sent before, and not acknowledged in the offsets when the worker was killed.
            let after = kill_times
                .iter()
                .rposition(|time| *time <= record.timestamp);
            *repeats.entry(after.map_or(0, |kill| kill + 1)).or_insert(0) += 1;
        }
        let newest = latest.entry(id).or_insert(-1);
        assert!(
            version <= *newest + 1,
            "key {id}: version {version} after {newest}"
        );
        *newest = version.max(*newest);
    }
    for id in 0..KEYS {
        for version in 0..=changes / KEYS {
            assert!(
                first_seen.contains_key(&(id, version)),
                "key {id} version {version} is lost"
            );
        }
    }

    // Each object holds the records from the offset in its name on; none overlaps, none is missing.
    let mut next: HashMap<i32, i64> = HashMap::new();
    let mut in_objects: HashSet<(i64, i64)> = HashSet::new();
    let objects = rows::objects(&bucket)?;
    let count = objects.len();
    for (key, rows) in objects {
        let file = key.rsplit('/').next().unwrap_or_default();
        let mut parts = file.rsplit('+');
        let offset = parts
            .next()
            .and_then(|part| part.split('.').next())
            .unwrap_or_default();
        let start: i64 = offset.parse().map_err(|_| format!("no offset in {key}"))?;
        let partition: i32 = parts.next().unwrap_or_default().parse()?;
        let expected = next.entry(partition).or_insert(0);
        assert_eq!(
            start, *expected,
            "{key} does not begin where the one before ends"
        );
        assert_eq!(rows.len(), FLUSH_SIZE, "{key}");
        for (offset, row) in (start..).zip(&rows) {
            assert_eq!(
                in_kafka.get(&(partition, offset)),
                Some(&parse(row)),
                "{key} at {offset}"
            );
            in_objects.insert(parse(row));
        }
        *expected += i64::try_from(rows.len())?;
    }
    for id in 0..KEYS {
        for version in 0..=changes / KEYS {
            assert!(
                in_objects.contains(&(id, version)),
                "{id}/{version} is in no object"
            );
        }
    }
    println!(
        "{changes} changes over {kills} kills: {} records in Kafka, {count} objects, none overlapping; \
         sent again after each kill: {repeats:?}",
        in_kafka.len()
    );
    assert!(
        !repeats.contains_key(&0),
        "a record was sent twice before any kill"
    );
    Ok(())
}
