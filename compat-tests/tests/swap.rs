//! A JVM worker and ours take turns with one connector, under load, by the same topics: each goes on
//! from the offsets that the other left, whether it was asked to stop or killed in the middle of a
//! transaction or of a snapshot.

use crate::shared::{kafka, postgres, source_config, unique};
use compat_tests::parts::run_folder;
use compat_tests::worker::{Target, Worker, WorkerOptions};
use compat_tests::{Outcome, wait};
use std::collections::HashMap;
use std::time::Duration;

/// Rows of each transaction that workers are killed in.
const LARGE: i64 = 10_000;

/// A worker of the shared group; the topics keep what the last one left.
fn start(target: Target, group: &str) -> Outcome<Worker> {
    let mut options = WorkerOptions::new(target, kafka().bootstrap(), group)
        .property("offset.flush.interval.ms", "200")
        // The member that was killed is waited for no longer than this.
        .property("session.timeout.ms", "6000")
        .property("heartbeat.interval.ms", "1500")
        .property("scheduled.rebalance.max.delay.ms", "0")
        // A polite end may take its time on a busy machine: what is cut off is sent again.
        .property("task.shutdown.graceful.timeout.ms", "25000")
        .property("offset.flush.timeout.ms", "20000");
    if target == Target::Java {
        // Small requests, so that a kill finds something on its way.
        options = options.property("producer.batch.size", "4096");
    }
    Worker::start(&run_folder("swap")?, options)
}

fn wait_task(worker: &Worker, name: &str) -> Outcome<()> {
    wait::until(
        "the connector to run here",
        Duration::from_secs(180),
        || {
            let status = worker.rest.status(name)?;
            let id = status["tasks"][0]["worker_id"].as_str().unwrap_or_default();
            let here = worker
                .rest
                .url
                .ends_with(id.rsplit(':').next().unwrap_or("?"));
            if status["tasks"][0]["state"] == "FAILED" {
                return Err(format!("{status}").into());
            }
            Ok((here && status["tasks"][0]["state"] == "RUNNING").then_some(()))
        },
    )
}

/// How often each row is in the topic, and its ids in order of their first appearance.
fn rows(topic: &str) -> Outcome<(HashMap<i64, usize>, Vec<i64>)> {
    let (mut count, mut order) = (HashMap::new(), Vec::new());
    for record in kafka().records(topic)? {
        let id = record.value_json()?["payload"]["after"]["id"]
            .as_i64()
            .ok_or("a record without id")?;
        let times = count.entry(id).or_insert(0);
        *times += 1;
        if *times == 1 {
            order.push(id);
        }
    }
    Ok((count, order))
}

#[test]
fn a_jvm_worker_and_ours_take_turns_and_nothing_is_missing() -> Outcome<()> {
    let turns = std::env::var("SWAP_TURNS")
        .ok()
        .and_then(|n| n.parse().ok());
    let turns = turns.unwrap_or(4);
    let name = unique("swap");
    let (group, topic) = (unique("swapgroup"), format!("{name}.public.t"));
    postgres().sql("postgres", &format!("create database {name}"))?;
    postgres().sql(
        &name,
        &format!(
            "create table t (id bigint primary key, v text);
             insert into t select i, repeat('v', 100) from generate_series(1, {LARGE}) i"
        ),
    )?;
    let port = postgres().port().to_string();
    let more = [
        ("value.converter.schemas.enable", "true"),
        ("max.batch.size", "500"),
        ("max.queue.size", "2000"),
    ];
    let mut next = LARGE + 1;
    let (mut kills, mut log) = (Vec::new(), String::new());
    for turn in 0..turns {
        let target = if turn % 2 == 0 {
            Target::Java
        } else {
            Target::Ferroconnect
        };
        let mut worker = start(target, &group)?;
        if turn == 0 {
            worker
                .rest
                .create_config(&name, &source_config(&name, &port, &more))?;
        }
        wait_task(&worker, &name).map_err(|error| format!("turn {turn}: {error}"))?;
        let before = kafka().count(&topic)?;
        if turn == 0 {
            // Killed in the snapshot, so that the next one finds it half done.
            wait::until("the snapshot in Kafka", Duration::from_secs(180), || {
                Ok((kafka().count(&topic)? > 500).then_some(()))
            })?;
        } else {
            // One transaction whose rows share positions, and small ones behind it.
            postgres().wait_slot(&name, true)?;
            let last = next + LARGE;
            let copied = last - 101;
            postgres().sql(
                &name,
                &format!("copy t (id) from program 'seq {next} {copied}'"),
            )?;
            let single = format!(
                "do $$ begin for i in {}..{last} loop insert into t values (i); commit; end loop; \
                 end $$",
                copied + 1
            );
            postgres().sql(&name, &single)?;
            next = last + 1;
            wait::until("some of it in Kafka", Duration::from_secs(240), || {
                Ok((kafka().count(&topic)? > before + 1000).then_some(()))
            })
            .map_err(|error| format!("turn {turn}: {error}; {:?}", worker.rest.status(&name)))?;
        }
        // The last two turns end politely.
        if turn + 2 < turns {
            worker.kill();
        } else {
            worker.terminate()?;
            log.push_str(&format!("turn {turn}, {target:?}:\n{}\n", worker.log()));
        }
        let now = kafka().count(&topic)?;
        println!(
            "turn {turn}: {target:?} left {} records more in Kafka",
            now - before
        );
        kills.push(now);
    }
    let worker = start(Target::Ferroconnect, &group)?;
    wait_task(&worker, &name)?;
    let total = usize::try_from(next - 1)?;
    let (count, order) = wait::until("every row", Duration::from_secs(180), || {
        let seen = kafka().count(&topic)?;
        if seen < next - 1 {
            return Err(format!("{seen} records").into());
        }
        let (count, order) = rows(&topic)?;
        match count.len() < total {
            true => Err(format!("{} of {total} rows", count.len()).into()),
            false => Ok(Some((count, order))),
        }
    })
    .map_err(|error| format!("{error}; {:?}", worker.rest.status(&name)))?;
    // Rows came in their order; what a kill had repeated was repeated from a point on.
    assert!(order.is_sorted(), "rows came out of order");
    let repeated = count.values().filter(|times| **times > 1).count();
    println!("{total} rows over {turns} turns, {repeated} sent again after kills: {kills:?}");
    // Rows that were first written in the turns that ended politely are there once.
    let polite = i64::from(turns - 2);
    let quiet = (LARGE + 1) * polite..next;
    let mut doubled: Vec<_> = count
        .iter()
        .filter(|(id, times)| quiet.contains(id) && **times > 1)
        .map(|(id, _)| *id)
        .collect();
    doubled.sort_unstable();
    assert!(
        doubled.is_empty(),
        "sent twice without a kill: {} rows of {:?} to {:?}\n{log}",
        doubled.len(),
        doubled.first(),
        doubled.last()
    );
    Ok(())
}
