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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

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

#[test]
fn nothing_is_lost_or_doubled_by_kills() -> Outcome<()> {
    let kills = setting("CHAOS_KILLS", 5);
    let changes = i64::try_from(setting("CHAOS_CHANGES", 25_000))?;
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
    more.extend([("flush.size", "500"), ("tasks.max", "2")]);
    let group = format!("connect-{name}-sink");
    let sink = format!("{name}-sink");
    worker
        .rest
        .create_config(&sink, &sink_config(&topic, &bucket.name, &more))?;
    worker.rest.wait_running("source")?;
    worker.rest.wait_running(&sink)?;

    // The load: transactions of 50 changes, paced so that it lasts as long as the kills do.
    let written = Arc::new(AtomicI64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let load = std::thread::spawn({
        let (written, stop, name) = (Arc::clone(&written), Arc::clone(&stop), name.clone());
        move || -> Outcome<()> {
            let mut change = 0;
            while change < changes && !stop.load(Ordering::Relaxed) {
                let until = (change + 1000).min(changes);
                postgres().sql(
                    &name,
                    &format!(
                        "do $$ begin for b in {}..{} loop
                       update t set version = 1 + (b * 50 + t.id - (b * 50) % {KEYS}) / {KEYS}
                         where t.id >= (b * 50) % {KEYS} and t.id < (b * 50) % {KEYS} + 50;
                       commit; end loop; end $$",
                        change / 50,
                        (until - 1) / 50
                    ),
                )?;
                change = until;
                written.store(change, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        }
    });

    for kill in 1..=kills {
        // In flight: Kafka is taking records right now, and more are waiting that it has not yet.
        let share = changes * i64::try_from(kill)? / i64::try_from(kills + 1)?;
        let (before, waiting, uncommitted) = wait::until(
            &format!("records in flight for kill {kill}"),
            Duration::from_secs(120),
            || {
                let first = kafka().count(&topic)?;
                let mut last = first;
                for _ in 0..20 {
                    if last > first {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                    last = kafka().count(&topic)?;
                }
                if written.load(Ordering::Relaxed) < share || last == first {
                    return Ok(None);
                }
                let committed: i64 = kafka().committed(&group, &topic)?.values().sum();
                Ok(Some((
                    last,
                    written.load(Ordering::Relaxed) + KEYS - last,
                    last - committed,
                )))
            },
        )?;
        worker.kill();
        let after = kafka().count(&topic)?;
        println!(
            "kill {kill}: {before} records in Kafka and growing ({after} at the end), \
             {waiting} changes on their way, {uncommitted} records read or waiting for the sink"
        );
        assert!(uncommitted > 0, "the sink had something in flight");
        worker.restart()?;
    }
    load.join().map_err(|_| "the load panicked")??;
    stop.store(true, Ordering::Relaxed);

    // Every change is in Kafka.
    let parse = |value: &serde_json::Value| {
        (
            value["id"].as_i64().unwrap_or(-1),
            value["version"].as_i64().unwrap_or(-1),
        )
    };
    let mut quiet = 0;
    let mut size = 0;
    wait::until(
        "the last changes in Kafka",
        Duration::from_secs(180),
        || {
            std::thread::sleep(Duration::from_millis(500));
            let count = kafka().count(&topic)?;
            quiet = if count == size { quiet + 1 } else { 0 };
            size = count;
            Ok((quiet >= 6 && count >= changes + KEYS).then_some(()))
        },
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
    let mut repeats = 0;
    for record in kafka().records(&topic)? {
        let (id, version) = parse(&record.value_json()?["payload"]);
        in_kafka.insert((record.partition, record.offset), (id, version));
        if first_seen.insert((id, version), record.offset).is_some() {
            repeats += 1;
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
        "{changes} changes over {kills} kills: {} records in Kafka, {repeats} sent again after a \
         kill, {count} objects, none overlapping",
        in_kafka.len()
    );
    Ok(())
}
