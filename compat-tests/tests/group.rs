//! Several workers in one group, of ours and of the JVM's: who runs what, who answers, what moves.

use crate::shared::{kafka, options, unique};
use compat_tests::kafka::Record;
use compat_tests::parts::{free_port, run_folder};
use compat_tests::process::signal;
use compat_tests::worker::{Rest, Target, Worker, WorkerOptions};
use compat_tests::{Outcome, wait};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(90);
/// What a planned stop under a leader of ours may cost; the JVM's delay is 5 s in these tests.
const HANDED_OVER: Duration = Duration::from_secs(2);

/// A group whose lost work is held back for a while, so that what is handed over at once shows.
fn group(name: &str) -> WorkerOptions {
    options(name)
        .property("scheduled.rebalance.max.delay.ms", "5000")
        .property("offset.flush.interval.ms", "500")
        .property(
            "value.converter",
            "org.apache.kafka.connect.storage.StringConverter",
        )
}

fn another(options: &WorkerOptions, target: Target) -> Outcome<Worker> {
    let options = WorkerOptions {
        target,
        port: free_port(),
        ..options.clone()
    };
    Worker::start(&run_folder("group")?, options)
}

/// A file that a source reads into a topic of the same name.
struct Lines {
    name: String,
    file: PathBuf,
    written: usize,
}

impl Lines {
    fn create(rest: &Rest, folder: &Path, name: &str) -> Outcome<Self> {
        let name = unique(name);
        let mut lines = Self {
            file: folder.join(&name),
            name,
            written: 0,
        };
        lines.write(3)?;
        let config = [
            ("connector.class", "FileStreamSource"),
            ("tasks.max", "1"),
            ("file", &lines.file.display().to_string()),
            ("topic", &lines.name),
        ];
        rest.create_config(&lines.name, &config)?;
        Ok(lines)
    }
    fn write(&mut self, count: usize) -> Outcome<()> {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.file)?;
        for _ in 0..count {
            writeln!(file, "line {}", self.written)?;
            self.written += 1;
        }
        Ok(())
    }
    /// Waits until every line is there; gives how many came twice.
    fn arrived(&self) -> Outcome<usize> {
        let mut doubled = 0;
        wait::until(&format!("all lines of {}", self.name), PATIENCE, || {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            for record in kafka().records(&self.name)? {
                *seen.entry(record.value_text()).or_default() += 1;
            }
            doubled = seen.values().map(|count| count - 1).sum();
            let all = (0..self.written).all(|n| seen.contains_key(&format!("line {n}")));
            Ok(all.then_some(()))
        })?;
        Ok(doubled)
    }
}

/// How many connectors and tasks run on which worker; nothing while one does not run.
fn shares(rest: &Rest) -> Option<BTreeMap<String, usize>> {
    let all = rest.get("/connectors?expand=status").ok()?.json().ok()?;
    let mut shares = BTreeMap::new();
    for connector in all.as_object()?.values() {
        let status = &connector["status"];
        let tasks = status["tasks"].as_array()?;
        if tasks.is_empty() {
            return None;
        }
        for part in tasks.iter().chain([&status["connector"]]) {
            if part["state"] != "RUNNING" {
                return None;
            }
            *shares
                .entry(part["worker_id"].as_str()?.to_owned())
                .or_default() += 1;
        }
    }
    Some(shares)
}

fn wait_shares(rest: &Rest, expected: &[(&Worker, usize)]) -> Outcome<()> {
    let expected: BTreeMap<String, usize> = expected
        .iter()
        .map(|(worker, count)| (worker.rest.url.replace("http://", ""), *count))
        .collect();
    let mut last = None;
    let outcome = wait::until(&format!("shares of {expected:?}"), PATIENCE, || {
        last = shares(rest);
        Ok((last.as_ref() == Some(&expected)).then_some(()))
    });
    outcome.map_err(|error| format!("{error}; at last {last:?}").into())
}

#[test]
fn ours_share_the_work_and_a_planned_stop_hands_it_over_at_once() -> Outcome<()> {
    let options = group("share");
    let folder = run_folder("share")?;
    let first = another(&options, Target::Ferroconnect)?;
    let mut lines = Vec::new();
    for _ in 0..4 {
        lines.push(Lines::create(&first.rest, &folder, "share")?);
    }
    wait_shares(&first.rest, &[(&first, 8)])?;
    let mut second = another(&options, Target::Ferroconnect)?;
    wait_shares(&second.rest, &[(&first, 4), (&second, 4)])?;
    // The follower has the leader create it.
    lines.push(Lines::create(&second.rest, &folder, "share")?);
    lines.push(Lines::create(&second.rest, &folder, "share")?);
    wait_shares(&second.rest, &[(&first, 6), (&second, 6)])?;
    for line in &mut lines {
        line.write(5)?;
        let path = format!("/connectors/{}/tasks/0/restart", line.name);
        for rest in [&first.rest, &second.rest] {
            assert_eq!(
                rest.request("POST", &path, None)?.status,
                204,
                "whoever runs it"
            );
        }
    }
    wait_shares(&first.rest, &[(&first, 6), (&second, 6)])?;
    // A machine that is busy may be slow once, not each time.
    let mut times = Vec::new();
    loop {
        second.terminate()?;
        let gone = Instant::now();
        wait_shares(&first.rest, &[(&first, 12)])?;
        times.push(gone.elapsed());
        if times.iter().any(|took| *took < HANDED_OVER) {
            break;
        }
        assert!(times.len() < 4, "handed over after {times:?}");
        second.restart()?;
        wait_shares(&second.rest, &[(&first, 6), (&second, 6)])?;
    }
    for line in &mut lines {
        line.write(5)?;
        line.arrived()?;
    }
    Ok(())
}

#[test]
fn a_worker_that_was_killed_is_back_before_its_session_ends() -> Outcome<()> {
    let options = group("killed");
    let folder = run_folder("killed")?;
    let mut worker = another(&options, Target::Ferroconnect)?;
    let mut lines = Lines::create(&worker.rest, &folder, "killed")?;
    wait_shares(&worker.rest, &[(&worker, 2)])?;
    worker.kill();
    lines.write(3)?;
    let took = worker.restart()?;
    assert!(
        took < Duration::from_secs(9),
        "a session is 10 s, it took {took:?}"
    );
    lines.arrived()?;
    wait_shares(&worker.rest, &[(&worker, 2)])
}

#[test]
fn a_lost_worker_s_work_is_taken_over_after_the_delay() -> Outcome<()> {
    let options = group("lost").property("session.timeout.ms", "6000");
    let folder = run_folder("lost")?;
    let first = another(&options, Target::Ferroconnect)?;
    let mut second = another(&options, Target::Ferroconnect)?;
    let mut lines = Vec::new();
    for _ in 0..2 {
        lines.push(Lines::create(&first.rest, &folder, "lost")?);
    }
    wait_shares(&first.rest, &[(&first, 2), (&second, 2)])?;
    second.kill();
    for line in &mut lines {
        line.write(3)?;
    }
    wait_shares(&first.rest, &[(&first, 4)])?;
    for line in &lines {
        line.arrived()?;
    }
    Ok(())
}

/// How long two workers of a kind are without the work of one that was killed.
fn recovery(target: Target) -> Outcome<Duration> {
    // Default timeouts; but five minutes of waiting for a worker's return would only be added to both.
    let options = group("recovery").property("scheduled.rebalance.max.delay.ms", "1000");
    let folder = run_folder("recovery")?;
    let first = another(&options, target)?;
    let mut second = another(&options, target)?;
    let mut lines = Vec::new();
    for _ in 0..2 {
        lines.push(Lines::create(&first.rest, &folder, "recovery")?);
    }
    wait_shares(&first.rest, &[(&first, 2), (&second, 2)])?;
    second.kill();
    let gone = Instant::now();
    for line in &mut lines {
        line.write(3)?;
    }
    wait_shares(&first.rest, &[(&first, 4)])?;
    let took = gone.elapsed();
    for line in &lines {
        line.arrived()?;
    }
    Ok(took)
}

#[test]
fn work_of_a_killed_worker_goes_on_no_later_than_with_the_jvm() -> Outcome<()> {
    let (java, ours) = (recovery(Target::Java)?, recovery(Target::Ferroconnect)?);
    // Both wait for the session to end, which the coordinator counts from the last heartbeat: three
    // seconds of difference are chance.
    assert!(
        ours < java + Duration::from_secs(4),
        "ours after {ours:?}, the JVM's after {java:?}"
    );
    Ok(())
}

/// The states that a group's workers have told of a task so far.
fn told(options: &WorkerOptions, connector: &str) -> Outcome<Vec<String>> {
    let key = format!("status-task-{connector}-0");
    let records = kafka().records(&format!("{}-status", options.group))?;
    Ok(records
        .iter()
        .filter(|record| record.key_text() == key)
        .map(Record::value_text)
        .collect())
}

#[test]
fn a_newcomer_is_ready_in_a_second_and_a_new_connector_disturbs_no_other() -> Outcome<()> {
    let options = group("manners");
    let folder = run_folder("manners")?;
    let first = another(&options, Target::Ferroconnect)?;
    let mut lines = Vec::new();
    for _ in 0..4 {
        lines.push(Lines::create(&first.rest, &folder, "manners")?);
    }
    wait_shares(&first.rest, &[(&first, 8)])?;
    let mut second = another(&options, Target::Ferroconnect)?;
    wait_shares(&first.rest, &[(&first, 4), (&second, 4)])?;
    // A machine that is busy may be slow once, not each time.
    let mut times = Vec::new();
    while times.iter().all(|took| *took >= Duration::from_secs(1)) {
        assert!(times.len() < 4, "ready after {times:?}");
        second.terminate()?;
        times.push(second.restart()?);
        wait_shares(&first.rest, &[(&first, 4), (&second, 4)])?;
    }
    let before: Vec<_> = lines
        .iter()
        .map(|line| told(&options, &line.name))
        .collect::<Outcome<_>>()?;
    // Each is a rebalance; each request, to either worker, waits for the one before.
    let old = lines.len();
    for round in 0..6 {
        let rest = if round % 2 == 0 {
            &first.rest
        } else {
            &second.rest
        };
        lines.push(Lines::create(rest, &folder, "manners")?);
        let changed = &lines[old];
        let config = serde_json::json!({
            "connector.class": "FileStreamSource",
            "tasks.max": "1",
            "file": changed.file.display().to_string(),
            "topic": changed.name,
            "batch.size": (1000 + round).to_string(),
        });
        let path = format!("/connectors/{}/config", changed.name);
        let answer = rest.request("PUT", &path, Some(&config.to_string()))?;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    wait_shares(&first.rest, &[(&first, 10), (&second, 10)])?;
    for (line, before) in lines[..old].iter_mut().zip(before) {
        assert_eq!(told(&options, &line.name)?, before, "{}", line.name);
        line.write(2)?;
        assert_eq!(line.arrived()?, 0, "no line came twice");
    }
    Ok(())
}

#[test]
fn ours_and_the_jvms_lead_and_follow_each_other() -> Outcome<()> {
    let options = group("mixed").property("scheduled.rebalance.max.delay.ms", "1000");
    let folder = run_folder("mixed")?;
    // The JVM's leads.
    let mut java = another(&options, Target::Java)?;
    let mut lines = Vec::new();
    for _ in 0..2 {
        lines.push(Lines::create(&java.rest, &folder, "mixed")?);
    }
    wait_shares(&java.rest, &[(&java, 4)])?;
    let mut ours = another(&options, Target::Ferroconnect)?;
    wait_shares(&ours.rest, &[(&java, 2), (&ours, 2)])?;
    // Ours runs some of these connectors, and gives the leader their tasks, signed.
    for rest in [&ours.rest, &java.rest] {
        lines.push(Lines::create(rest, &folder, "mixed")?);
    }
    wait_shares(&java.rest, &[(&java, 4), (&ours, 4)])?;
    for line in &mut lines {
        line.write(3)?;
        for rest in [&ours.rest, &java.rest] {
            let path = format!("/connectors/{}/restart?includeTasks=true", line.name);
            assert_eq!(rest.request("POST", &path, None)?.status, 202);
        }
        line.arrived()?;
    }
    wait_shares(&java.rest, &[(&java, 4), (&ours, 4)])?;
    // Ours goes on where the JVM's was, and leads.
    java.terminate()?;
    wait_shares(&ours.rest, &[(&ours, 8)])?;
    let mut before = Vec::new();
    for line in &mut lines {
        line.write(3)?;
        before.push(line.arrived()?);
    }
    java.restart()?;
    wait_shares(&ours.rest, &[(&java, 4), (&ours, 4)])?;
    for rest in [&ours.rest, &java.rest] {
        lines.push(Lines::create(rest, &folder, "mixed")?);
    }
    wait_shares(&java.rest, &[(&java, 6), (&ours, 6)])?;
    for (line, before) in lines.iter_mut().zip(before) {
        line.write(3)?;
        let after = line.arrived()?;
        assert_eq!(
            after, before,
            "a task that is moved in order goes on at its offset"
        );
    }
    // And back.
    ours.terminate()?;
    wait_shares(&java.rest, &[(&java, 12)])?;
    for line in &mut lines {
        line.write(3)?;
        line.arrived()?;
    }
    let complaints: Vec<String> = java
        .log()
        .lines()
        .filter(|line| line.contains(" ERROR ") && line.contains(".connect."))
        .map(str::to_owned)
        .collect();
    assert!(
        complaints.is_empty(),
        "the JVM's worker understands all of it: {complaints:?}"
    );
    Ok(())
}

/// State and protocol of a group, as its coordinator tells.
fn described(group: &str) -> Outcome<(String, String)> {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka().bootstrap())
        .create()?;
    let list = client.fetch_group_list(Some(group), Duration::from_secs(10))?;
    let found = list.groups().first().ok_or("no such group")?;
    Ok((found.state().to_owned(), found.protocol().to_owned()))
}

fn wait_protocol(group: &str, expected: &str) -> Outcome<()> {
    wait::until(&format!("protocol {expected}"), PATIENCE, || {
        let found = described(group)?;
        match found.0 == "Stable" && found.1 == expected {
            true => Ok(Some(())),
            false => Err(format!("{found:?}").into()),
        }
    })
}

/// Workers of one group, each with a protocol of its own, and connectors that both write to.
struct Protocols {
    options: WorkerOptions,
    folder: PathBuf,
    lines: Vec<Lines>,
}

impl Protocols {
    fn new() -> Outcome<Self> {
        Ok(Self {
            options: group("protocols").property("scheduled.rebalance.max.delay.ms", "1000"),
            folder: run_folder("protocols")?,
            lines: Vec::new(),
        })
    }

    fn start(&self, target: Target, protocol: &str) -> Outcome<Worker> {
        let options = self.options.clone().property("connect.protocol", protocol);
        another(&options, target)
    }

    fn wait(&self, protocol: &str) -> Outcome<()> {
        wait_protocol(&self.options.group, protocol)
    }

    /// Both create connectors, share all that there are, and move lines.
    fn check(&mut self, first: &Worker, second: &Worker, protocol: &str) -> Outcome<()> {
        self.wait(protocol)?;
        // Each has its connectors' tasks written by whoever leads, signed or not.
        for rest in [&first.rest, &second.rest] {
            self.lines
                .push(Lines::create(rest, &self.folder, "protocols")?);
        }
        let each = self.lines.len();
        wait_shares(&first.rest, &[(first, each), (second, each)])?;
        for line in &mut self.lines {
            line.write(2)?;
            line.arrived()?;
        }
        self.wait(protocol)
    }
}

/// The group uses the best protocol that all of its workers offer, whoever leads.
#[test]
fn the_protocol_is_the_best_that_ours_and_the_jvms_both_have() -> Outcome<()> {
    let mut group = Protocols::new()?;
    let mut eager = group.start(Target::Java, "eager")?;
    let ours = group.start(Target::Ferroconnect, "sessioned")?;
    group.check(&eager, &ours, "default")?;
    eager.terminate()?;
    group.wait("sessioned")?;
    let java = group.start(Target::Java, "compatible")?;
    group.check(&ours, &java, "compatible")?;
    drop((ours, java));
    // A group of its own: a JVM's worker whose connectors run when its group falls back to the eager
    // protocol may start some of them again without having stopped them, and fails them.
    let mut group = Protocols::new()?;
    let java = group.start(Target::Java, "compatible")?;
    let mut ours = group.start(Target::Ferroconnect, "eager")?;
    group.check(&java, &ours, "default")?;
    ours.terminate()?;
    group.wait("compatible")?;
    let _ours = group.start(Target::Ferroconnect, "compatible")?;
    group.wait("compatible")
}

/// A member that hangs keeps the group from agreeing until its session ends: what is asked then is
/// answered afterwards, and not refused.
#[test]
fn requests_during_a_rebalance_wait_for_its_end() -> Outcome<()> {
    let options = group("waiting")
        .property("session.timeout.ms", "8000")
        .property("scheduled.rebalance.max.delay.ms", "1000");
    let folder = run_folder("waiting")?;
    let first = another(&options, Target::Ferroconnect)?;
    let second = another(&options, Target::Ferroconnect)?;
    let line = Lines::create(&first.rest, &folder, "waiting")?;
    let more = Lines::create(&first.rest, &folder, "waiting")?;
    wait_shares(&first.rest, &[(&first, 2), (&second, 2)])?;
    signal("STOP", &second.id().to_string());
    let third = WorkerOptions {
        port: free_port(),
        ..options.clone()
    };
    let mut third = Worker::launch(&run_folder("waiting")?, third)?;
    wait::until("a rebalance", PATIENCE, || {
        let (state, _) = described(&options.group)?;
        Ok((state == "PreparingRebalance").then_some(()))
    })?;
    std::thread::sleep(Duration::from_secs(1));
    let asked = Instant::now();
    let config = serde_json::json!({
        "connector.class": "FileStreamSource",
        "tasks.max": "1",
        "file": line.file.display().to_string(),
        "topic": line.name,
        "batch.size": "1001",
    });
    let path = format!("/connectors/{}/config", line.name);
    let answer = first
        .rest
        .request("PUT", &path, Some(&config.to_string()))?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(asked.elapsed() > Duration::from_secs(1), "it waited");
    let path = format!("/connectors/{}/restart?includeTasks=true", more.name);
    let answer = first.rest.request("POST", &path, None)?;
    assert_eq!(answer.status, 202, "{}", answer.body);
    third.ready()?;
    // It has lost its place, finds that out, and comes back.
    signal("CONT", &second.id().to_string());
    wait::until("the work of all", PATIENCE, || {
        let shares = shares(&first.rest).ok_or("not all run")?;
        match shares.values().sum::<usize>() == 4 {
            true => Ok(Some(())),
            false => Err(format!("{shares:?}").into()),
        }
    })?;
    wait_protocol(&options.group, "sessioned")?;
    line.arrived()?;
    more.arrived()?;
    Ok(())
}

#[test]
fn a_group_of_another_kind_is_refused_by_its_name() -> Outcome<()> {
    let options = group("consumers");
    let topic = unique("consumers");
    kafka().create_topic(&topic, 1, 1)?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka().bootstrap())
        .set("group.id", &options.group)
        .create()?;
    consumer.subscribe(&[&topic])?;
    wait::until("the consumer is a member", PATIENCE, || {
        drop(consumer.poll(Duration::from_millis(200)));
        Ok((consumer.assignment()?.count() > 0).then_some(()))
    })?;
    let mut worker = Worker::launch(&run_folder("consumers")?, options.clone())?;
    let status = worker.process().wait(PATIENCE)?;
    assert_eq!(status.code(), Some(1));
    let log = worker.log();
    assert!(
        log.contains(&options.group) && log.contains("incompatible"),
        "{log}"
    );
    Ok(())
}
