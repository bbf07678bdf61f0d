//! Groups under load whose workers are killed, stopped, added and exchanged: nothing is lost, and for
//! readers of committed records nothing comes twice.
//!
//! A short form runs with all tests; `make chaos-group` runs ten minutes of each.

use crate::shared::{database, kafka, options, postgres, source_config, unique};
use compat_tests::kafka::Kafka;
use compat_tests::parts::{free_port, run_folder};
use compat_tests::worker::{Rest, Target, Worker, WorkerOptions};
use compat_tests::{Outcome, wait};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// As long as a busy machine may take for what takes seconds.
const PATIENCE: Duration = Duration::from_secs(240);
const SESSION: &str = "10000";
/// A source that is exactly once or fails.
pub(crate) const REQUIRED: (&str, &str) = ("exactly.once.support", "required");

fn seconds(short: u64) -> u64 {
    let long = std::env::var("CHAOS_GROUP_SECONDS").ok();
    long.and_then(|text| text.parse().ok()).unwrap_or(short)
}

fn is_long() -> bool {
    std::env::var_os("CHAOS_GROUP_SECONDS").is_some()
}

/// xorshift, from `CHAOS_GROUP_SEED`.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = std::env::var("CHAOS_GROUP_SEED").ok();
        let seed = seed.and_then(|text| text.parse().ok()).unwrap_or(5);
        Self(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15) | 1)
    }
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % end.max(1)
    }
}

/// A place for a worker: the same properties and port, whoever runs there.
pub(crate) struct Seat {
    options: WorkerOptions,
    worker: Option<Worker>,
}

impl Seat {
    pub(crate) fn new(options: &WorkerOptions, target: Target) -> Self {
        let options = WorkerOptions {
            target,
            port: free_port(),
            ..options.clone()
        };
        Self {
            options,
            worker: None,
        }
    }
    pub(crate) fn start(&mut self) -> Outcome<()> {
        self.launch()?;
        if let Some(worker) = &mut self.worker {
            worker.ready()?;
        }
        Ok(())
    }
    fn launch(&mut self) -> Outcome<()> {
        let worker = Worker::launch(&run_folder("group-chaos")?, self.options.clone())?;
        self.worker = Some(worker);
        Ok(())
    }
    /// Stops it in order; gives what it has logged.
    fn stop(&mut self) -> Outcome<String> {
        match self.worker.take() {
            Some(mut worker) => {
                worker.terminate()?;
                Ok(worker.log())
            }
            None => Ok(String::new()),
        }
    }
    /// What the worker that runs here has logged.
    pub(crate) fn log(&self) -> String {
        self.worker.as_ref().map(Worker::log).unwrap_or_default()
    }
    pub(crate) fn rest(&self) -> Rest {
        Rest::new(&format!("http://127.0.0.1:{}", self.options.port))
    }
}

fn group(name: &str) -> WorkerOptions {
    options(name)
        .property("exactly.once.source.support", "enabled")
        .property("scheduled.rebalance.max.delay.ms", "5000")
        .property("session.timeout.ms", SESSION)
        .property("offset.flush.interval.ms", "1000")
        .property(
            "value.converter",
            "org.apache.kafka.connect.storage.StringConverter",
        )
}

/// Files that grow until told to stop, each read by a source of its own.
pub(crate) struct Load {
    pub(crate) files: Vec<(String, PathBuf)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Written>>,
}

type Written = Result<usize, std::io::Error>;

impl Load {
    /// A line for each file in turn, so many rounds a second.
    pub(crate) fn start(files: Vec<(String, PathBuf)>, rounds: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, paths) = (Arc::clone(&stop), files.clone());
        let thread = std::thread::spawn(move || -> Written {
            let mut how = std::fs::OpenOptions::new();
            how.create(true).append(true);
            let mut open = Vec::new();
            for (_, path) in &paths {
                open.push(how.open(path)?);
            }
            let mut line = 0;
            while !told.load(Ordering::Relaxed) {
                for file in &mut open {
                    writeln!(file, "line {line}")?;
                }
                line += 1;
                std::thread::sleep(Duration::from_secs(1) / rounds);
            }
            Ok(line)
        });
        Self {
            files,
            stop,
            thread: Some(thread),
        }
    }
    /// Ends it; gives how many lines each file has.
    pub(crate) fn end(&mut self) -> Outcome<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or("the load was ended already")?;
        Ok(thread.join().map_err(|_| "the load panicked")??)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Sources of a file each, into topics of their names with so many replicas.
pub(crate) fn create_sources(
    kafka: &Kafka,
    rest: &Rest,
    folder: &Path,
    (count, replicas): (usize, i32),
    more: &[(&str, &str)],
) -> Outcome<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for _ in 0..count {
        let name = unique("lines");
        let path = folder.join(&name);
        std::fs::write(&path, "")?;
        kafka.create_topic(&name, 1, replicas)?;
        let file = path.display().to_string();
        let mut config = vec![
            ("connector.class", "FileStreamSource"),
            ("tasks.max", "1"),
            ("file", file.as_str()),
            ("topic", name.as_str()),
        ];
        config.extend_from_slice(more);
        rest.create_config(&name, &config)?;
        files.push((name, path));
    }
    Ok(files)
}

/// How many connectors, and how many tasks, run on each worker; an error while one does not run.
fn shares(rest: &Rest, expected: usize) -> Outcome<[BTreeMap<String, usize>; 2]> {
    let all = rest.get("/connectors?expand=status")?.json()?;
    let all = all.as_object().ok_or("no connectors")?;
    if all.len() != expected {
        return Err(format!("{} connectors", all.len()).into());
    }
    let mut shares = [BTreeMap::new(), BTreeMap::new()];
    for (name, connector) in all {
        let status = &connector["status"];
        let tasks = status["tasks"].as_array().ok_or("no tasks")?;
        let parts = [(0, &status["connector"])].into_iter();
        let parts = parts.chain(tasks.iter().map(|task| (1, task)));
        if tasks.is_empty() {
            return Err(format!("{name} has no task").into());
        }
        for (kind, part) in parts {
            if part["state"] != "RUNNING" {
                return Err(format!("{name}: {part}").into());
            }
            let worker = part["worker_id"].as_str().unwrap_or_default().to_owned();
            *shares[kind].entry(worker).or_default() += 1;
        }
    }
    Ok(shares)
}

pub(crate) fn wait_balanced(seats: &[Seat], connectors: usize) -> Outcome<()> {
    let rest = seats[0].rest();
    let alive = seats.iter().filter(|seat| seat.worker.is_some()).count();
    wait::until("everything to run, evenly spread", PATIENCE, || {
        let shares = shares(&rest, connectors)?;
        let even = shares.iter().all(|share| {
            let (least, most) = (share.values().min(), share.values().max());
            share.len() == alive.min(connectors)
                && least
                    .zip(most)
                    .is_some_and(|(least, most)| most - least <= 1)
        });
        match even {
            true => Ok(Some(())),
            false => Err(format!("{shares:?}").into()),
        }
    })
}

/// Every line of every file is there, and once.
pub(crate) fn check_lines(kafka: &Kafka, files: &[(String, PathBuf)], lines: usize) -> Outcome<()> {
    for (topic, _) in files {
        let mut counts = BTreeMap::new();
        wait::until(&format!("all lines of {topic}"), PATIENCE, || {
            counts.clear();
            for record in kafka.records(topic)? {
                *counts.entry(record.value_text()).or_insert(0_usize) += 1;
            }
            match counts.len() < lines {
                true => Err(format!("{} of {lines} are there", counts.len()).into()),
                false => Ok(Some(())),
            }
        })?;
        let missing: Vec<usize> = (0..lines)
            .filter(|line| !counts.contains_key(&format!("line {line}")))
            .collect();
        let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
        assert!(missing.is_empty(), "{topic} lacks {missing:?}");
        assert!(doubled.is_empty(), "{topic} has twice: {doubled:?}");
        assert_eq!(counts.len(), lines, "{topic} has lines that nobody wrote");
    }
    Ok(())
}

/// Kills, stops and starts workers at random until the time is over.
fn misfortunes(seats: &mut [Seat], run: Duration) -> Outcome<BTreeMap<&'static str, usize>> {
    let mut random = Random::new();
    let mut told = BTreeMap::new();
    let end = Instant::now() + run;
    while Instant::now() < end {
        let at = random.below(seats.len());
        let alive = seats.iter().filter(|seat| seat.worker.is_some()).count();
        let is_alive = seats[at].worker.is_some();
        let what = match random.below(3) {
            _ if !is_alive => {
                seats[at].launch()?;
                "started"
            }
            _ if alive == 1 => "left alone",
            0 => {
                seats[at].stop()?;
                "stopped"
            }
            _ => {
                if let Some(mut worker) = seats[at].worker.take() {
                    worker.kill();
                }
                "killed"
            }
        };
        *told.entry(what).or_insert(0) += 1;
        let pause = 2_000 + random.below(8_000);
        std::thread::sleep(Duration::from_millis(u64::try_from(pause)?));
    }
    // They are waited for together: a JVM takes its time on a busy machine.
    for seat in seats {
        if seat.worker.is_none() {
            seat.launch()?;
        }
    }
    Ok(told)
}

fn chaos(name: &str, targets: &[Target], connectors: usize, short: u64) -> Outcome<()> {
    let options = group(name);
    let folder = run_folder(name)?;
    let mut seats: Vec<Seat> = targets
        .iter()
        .map(|target| Seat::new(&options, *target))
        .collect();
    for seat in &mut seats {
        seat.start()?;
    }
    let rest = seats[0].rest();
    let files = create_sources(kafka(), &rest, &folder, (connectors, 1), &[REQUIRED])?;
    wait_balanced(&seats, connectors)?;
    let mut load = Load::start(files, 20);
    let told = misfortunes(&mut seats, Duration::from_secs(seconds(short)))?;
    let lines = load.end()?;
    wait_balanced(&seats, connectors)?;
    check_lines(kafka(), &load.files, lines)?;
    report(&format!(
        "{name}: {connectors} connectors, {lines} lines each, none lost or doubled; {told:?}"
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what the long forms are run for")]
fn report(text: &str) {
    println!("{text}");
}

#[test]
fn three_of_ours_lose_and_double_nothing() -> Outcome<()> {
    let connectors = if is_long() { 30 } else { 6 };
    chaos("chaos-ours", &[Target::Ferroconnect; 3], connectors, 40)
}

#[test]
fn two_of_the_jvms_and_two_of_ours_lose_and_double_nothing() -> Outcome<()> {
    let connectors = if is_long() { 30 } else { 8 };
    let (java, ours) = (Target::Java, Target::Ferroconnect);
    chaos("chaos-mixed", &[java, ours, java, ours], connectors, 60)
}

/// What a JVM worker logs that must not be there after ours has written to its topics.
fn complaints(log: &str) -> Vec<String> {
    const OF_TOPICS: [&str; 4] = [
        "KafkaConfigBackingStore",
        "KafkaOffsetBackingStore",
        "KafkaStatusBackingStore",
        "OffsetStorageReader",
    ];
    log.lines()
        .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
        .filter(|line| OF_TOPICS.iter().any(|class| line.contains(class)))
        .map(str::to_owned)
        .collect()
}

/// Inserts rows until told to stop; gives how many.
fn inserts(database: &str, stop: &Arc<AtomicBool>) -> JoinHandle<Result<i64, String>> {
    let (database, stop) = (database.to_owned(), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut next = 0;
        while !stop.load(Ordering::Relaxed) {
            let rows = format!(
                "insert into t select i from generate_series({next}, {}) i",
                next + 9
            );
            postgres()
                .sql(&database, &rows)
                .map_err(|error| error.to_string())?;
            next += 10;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(next)
    })
}

/// How often each id is in the topic.
fn ids(topic: &str) -> Outcome<BTreeMap<i64, usize>> {
    let mut found = BTreeMap::new();
    for record in kafka().records(topic)? {
        let id = record.value_json()?["id"].as_i64().ok_or("no id")?;
        *found.entry(id).or_default() += 1;
    }
    Ok(found)
}

/// A table under load, a source of it, and a sink of what the source writes.
struct Flow {
    name: String,
    topic: String,
    copy: PathBuf,
    stop: Arc<AtomicBool>,
    load: JoinHandle<Result<i64, String>>,
}

impl Flow {
    fn start(rest: &Rest, folder: &Path) -> Outcome<Self> {
        let name = database("swap")?;
        postgres().sql(&name, "create table t (id bigint primary key)")?;
        let (port, topic) = (postgres().port().to_string(), format!("{name}.public.t"));
        kafka().create_topic(&topic, 1, 1)?;
        let json = "org.apache.kafka.connect.json.JsonConverter";
        let more = [
            REQUIRED,
            ("key.converter", json),
            ("value.converter", json),
            ("value.converter.schemas.enable", "false"),
            ("transforms", "unwrap"),
            (
                "transforms.unwrap.type",
                "io.debezium.transforms.ExtractNewRecordState",
            ),
        ];
        rest.create_config(
            &format!("source-{name}"),
            &source_config(&name, &port, &more),
        )?;
        let copy = folder.join(&name);
        let file = copy.display().to_string();
        let sink = [
            ("connector.class", "FileStreamSink"),
            ("tasks.max", "1"),
            ("topics", topic.as_str()),
            ("file", file.as_str()),
            ("consumer.override.isolation.level", "read_committed"),
        ];
        rest.create_config(&format!("sink-{name}"), &sink)?;
        let stop = Arc::new(AtomicBool::new(false));
        Ok(Self {
            load: inserts(&name, &stop),
            name,
            topic,
            copy,
            stop,
        })
    }

    /// Ends the load and waits until every row is in the topic and in the file.
    fn end(self) -> Outcome<Passed> {
        self.stop.store(true, Ordering::Relaxed);
        let rows = self.load.join().map_err(|_| "the load panicked")??;
        let expected = usize::try_from(rows)?;
        let mut in_topic = BTreeMap::new();
        wait::until(&format!("every row of {}", self.topic), PATIENCE, || {
            in_topic = ids(&self.topic)?;
            match in_topic.len() < expected {
                true => Err(format!("{} of {rows} are there", in_topic.len()).into()),
                false => Ok(Some(())),
            }
        })?;
        let mut in_file: BTreeMap<String, usize> = BTreeMap::new();
        wait::until(&format!("every row in {}", self.name), PATIENCE, || {
            in_file.clear();
            for line in std::fs::read_to_string(&self.copy)?.lines() {
                *in_file.entry(line.to_owned()).or_default() += 1;
            }
            match in_file.len() < expected {
                true => Err(format!("{} of {rows} are there", in_file.len()).into()),
                false => Ok(Some(())),
            }
        })?;
        let more: usize = in_topic.values().map(|count| count - 1).sum();
        let more_in_file: usize = in_file.values().map(|count| count - 1).sum();
        Ok(Passed {
            rows: expected,
            doubled: more,
            doubled_in_files: more_in_file,
        })
    }
}

/// How many rows have passed, and how many of them came again.
#[derive(Debug, Default, Clone, Copy)]
struct Passed {
    rows: usize,
    doubled: usize,
    doubled_in_files: usize,
}

/// A cluster of two JVM workers whose workers are exchanged for `other`s, one by one, and back.
fn swap(other: Target) -> Outcome<Passed> {
    let rounds = if is_long() { 5 } else { 1 };
    let options = group("swap");
    let folder = run_folder("swap")?;
    let mut seats = [
        Seat::new(&options, Target::Java),
        Seat::new(&options, Target::Java),
    ];
    for seat in &mut seats {
        seat.start()?;
    }
    let rest = seats[0].rest();
    let flows = [Flow::start(&rest, &folder)?, Flow::start(&rest, &folder)?];
    wait_balanced(&seats, 4)?;
    let mut logs = String::new();
    for _ in 0..rounds {
        for target in [other, Target::Java] {
            for at in [0, 1] {
                std::thread::sleep(Duration::from_secs(if is_long() { 20 } else { 2 }));
                logs.push_str(&seats[at].stop()?);
                seats[at].options.target = target;
                seats[at].start()?;
                wait_balanced(&seats, 4)?;
            }
        }
    }
    let mut all = Passed::default();
    for flow in flows {
        let passed = flow.end()?;
        all.rows += passed.rows;
        all.doubled += passed.doubled;
        all.doubled_in_files += passed.doubled_in_files;
    }
    for seat in &mut seats {
        logs.push_str(&seat.stop()?);
    }
    let complaints = complaints(&logs);
    assert!(
        complaints.is_empty(),
        "the JVM's worker understands all that was written: {complaints:?}"
    );
    report(&format!(
        "swap with {other:?}: {} exchanges of a worker, {all:?}, none lost",
        rounds * 4
    ));
    Ok(all)
}

#[test]
fn a_cluster_is_swapped_worker_by_worker_and_back_under_load() -> Outcome<()> {
    let ours = swap(Target::Ferroconnect)?;
    // The same from JVM to JVM: what that doubles, too, is not ours.
    let theirs = swap(Target::Java)?;
    assert_eq!(ours.doubled, 0, "rows in Kafka twice");
    assert!(
        ours.doubled_in_files <= theirs.doubled_in_files,
        "files hold more twice than with JVM workers alone: {ours:?}, {theirs:?}"
    );
    Ok(())
}
