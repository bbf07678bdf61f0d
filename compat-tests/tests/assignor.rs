//! Our assignors beside Kafka's own: the same thousand seeded rounds, the same answers, byte for byte
//! as the group protocol has them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use compat_tests::{Outcome, fail, parts};
use worker::group::Work;
use worker::group::eager;
use worker::group::incremental::{Assignor, Input};
use worker::group::protocol::{Assignment, ConnectProtocol, decode_assignment, encode_assignment};
use worker::herder::request::TaskId;
use worker::store::cluster_state::ClusterConfigState;

const LEADER_URL: &str = "http://leader:8083/";

/// xorshift: the same rounds on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % end.max(1)
    }
    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// Compiles the harness once for this run.
fn harness() -> Outcome<(PathBuf, String)> {
    let classes = format!("{}/*", parts::path("connect")?.display());
    let folder = parts::run_folder("assignor")?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/java/AssignorHarness.java");
    let compiled = Command::new("javac")
        .args(["-nowarn", "-cp", &classes, "-d"])
        .arg(&folder)
        .arg(source)
        .output()?;
    if !compiled.status.success() {
        return fail(String::from_utf8_lossy(&compiled.stderr).into_owned());
    }
    let classes = format!("{}:{classes}", folder.display());
    Ok((folder, classes))
}

/// Kafka's assignors: a line in, a line out.
struct Java {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Java {
    fn start() -> Outcome<Self> {
        let (_, classes) = harness()?;
        let mut process = Command::new("java")
            .args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args([
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
                "-cp",
                &classes,
            ])
            .arg("org.apache.kafka.connect.runtime.distributed.AssignorHarness")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = process.stdout.take().ok_or("no stdout")?;
        Ok(Self {
            process,
            answers: BufReader::new(answers),
        })
    }
    fn tell(&mut self, line: &str) -> Outcome<()> {
        let stdin = self.process.stdin.as_mut().ok_or("no stdin")?;
        Ok(writeln!(stdin, "{line}")?)
    }
    /// The delay and each member's assignment.
    fn ask(&mut self, line: &str) -> Outcome<(i32, BTreeMap<String, Vec<u8>>)> {
        self.tell(line)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let mut words = answer.split_whitespace();
        let delay = words.next().ok_or("the harness gave up")?.parse()?;
        let mut assignments = BTreeMap::new();
        for word in words {
            let (member, hex) = word.split_once('=').ok_or("no assignment")?;
            let bytes = (0..hex.len() / 2).map(|at| {
                let digits = hex.get(2 * at..2 * at + 2).unwrap_or_default();
                u8::from_str_radix(digits, 16)
            });
            assignments.insert(member.to_owned(), bytes.collect::<Result<_, _>>()?);
        }
        Ok((delay, assignments))
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn config_of(connectors: &BTreeMap<String, usize>) -> ClusterConfigState {
    let mut state = ClusterConfigState::default();
    let mut record = |key: String, value: String| {
        state.apply(state.offset() + 1, key.as_bytes(), Some(value.as_bytes()));
    };
    for (name, tasks) in connectors {
        record(
            format!("connector-{name}"),
            r#"{"properties":{}}"#.to_owned(),
        );
        for task in 0..*tasks {
            record(
                format!("task-{name}-{task}"),
                r#"{"properties":{}}"#.to_owned(),
            );
        }
        record(format!("commit-{name}"), format!(r#"{{"tasks":{tasks}}}"#));
    }
    state
}

fn config_text(connectors: &BTreeMap<String, usize>) -> String {
    if connectors.is_empty() {
        return "-".to_owned();
    }
    let items: Vec<String> = connectors
        .iter()
        .map(|(name, tasks)| format!("{name}:{tasks}"))
        .collect();
    items.join(",")
}

fn member_text((member, work): &(String, Work)) -> String {
    let tasks: Vec<String> = work
        .tasks
        .iter()
        .map(|id| format!("{}/{}", id.connector, id.task))
        .collect();
    format!("{member}={}|{}", work.connectors.join(";"), tasks.join(";"))
}

fn sorted(work: &Work) -> Work {
    let mut work = work.clone();
    work.connectors.sort();
    work.tasks.sort();
    work
}

/// One leader's life: workers come, go and miss rounds; connectors come, go and change.
struct History {
    random: Random,
    connectors: BTreeMap<String, usize>,
    members: Vec<(String, Work)>,
    named: usize,
}

impl History {
    fn new_member(&mut self) {
        self.named += 1;
        let (a, b) = (self.random.below(1 << 30), self.random.below(1 << 30));
        self.members.push((
            format!("connect-w{}:8083-{a:08x}{b:08x}", self.named),
            Work::default(),
        ));
    }
    fn change(&mut self) {
        if self.random.one_in(3) {
            let name = format!("conn-{}", self.random.below(40));
            let tasks = self.random.below(6);
            self.connectors.insert(name, tasks);
        }
        if self.random.one_in(8) {
            let at = self.random.below(self.connectors.len());
            if let Some(name) = self.connectors.keys().nth(at).cloned() {
                self.connectors.remove(&name);
            }
        }
        if self.random.one_in(6) && self.members.len() < 7 {
            self.new_member();
        }
        if self.random.one_in(6) && self.members.len() > 1 {
            let at = self.random.below(self.members.len());
            self.members.remove(at);
        }
        if self.random.one_in(25) && self.members.len() > 1 {
            // One that was cut off comes back with what another has by now.
            let work = self.members[0].1.clone();
            self.members[1].1.add_all(&work);
        }
        // The coordinator's order is any.
        let (a, b) = (
            self.random.below(self.members.len()),
            self.random.below(self.members.len()),
        );
        self.members.swap(a, b);
    }
}

#[test]
fn a_thousand_rounds_are_assigned_as_kafka_assigns_them() -> Outcome<()> {
    let mut java = Java::start()?;
    let (mut rounds, mut moved, mut delayed) = (0, 0, 0);
    for seed in 1..=50_u64 {
        let mut history = History {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            connectors: BTreeMap::new(),
            members: Vec::new(),
            named: 0,
        };
        for _ in 0..=history.random.below(4) {
            history.new_member();
        }
        for number in 0..history.random.below(12) {
            let tasks = history.random.below(8);
            history.connectors.insert(format!("first-{number}"), tasks);
        }
        let max_delay = [0, 5_000, 300_000][history.random.below(3)];
        java.tell(&format!("H {max_delay}"))?;
        let mut assignor = Assignor::new(max_delay);
        let (mut now, mut completed, mut generation) = (1_000_000_i64, -1, 0);
        for _ in 0..20 {
            generation += 1 + i32::from(history.random.one_in(20));
            let config = config_of(&history.connectors);
            let members: Vec<String> = history.members.iter().map(member_text).collect();
            let connectors = config_text(&history.connectors);
            let line = format!(
                "R {now} {completed} {generation} {connectors} {}",
                members.join(" ")
            );
            let (delay, theirs) = java.ask(&line)?;
            let ours = assignor.assign(&Input {
                now_ms: now,
                last_completed_generation: completed,
                generation,
                config: &config,
                members: &history.members,
                handed_over: &|_| false,
            });
            assert_eq!(ours.delay_ms, delay, "seed {seed}: {line}");
            assert_eq!(ours.shares.len(), theirs.len(), "seed {seed}: {line}");
            let mut told = BTreeMap::new();
            for (member, bytes) in &theirs {
                let decoded = decode_assignment(bytes)?;
                let share = &ours.shares[member];
                assert_eq!(
                    sorted(&share.assigned),
                    sorted(&decoded.assigned),
                    "seed {seed}: {line}"
                );
                assert_eq!(
                    sorted(&share.revoked),
                    sorted(&decoded.revoked),
                    "seed {seed}: {line}"
                );
                moved += share.revoked.tasks.len();
                assert_eq!(
                    encode_assignment(&decoded, ConnectProtocol::Sessioned),
                    *bytes,
                    "what was read is written as it was"
                );
                // In the order of the bytes: it decides what is taken away first.
                told.insert(member.clone(), decoded);
            }
            rounds += 1;
            delayed += usize::from(delay > 0);
            // Most do what they are told, one may have missed it.
            let missed = history
                .random
                .one_in(12)
                .then(|| history.random.below(history.members.len()));
            for (at, (member, work)) in history.members.iter_mut().enumerate() {
                if missed != Some(at) {
                    work.remove_all(&told[member].revoked);
                    work.add_all(&told[member].assigned);
                }
            }
            if !history.random.one_in(15) {
                completed = generation;
            }
            now += [0, 3_000, 50_000, 300_000][history.random.below(4)];
            history.change();
        }
    }
    assert_eq!(rounds, 1_000);
    assert!(
        moved > 100 && delayed > 100,
        "the histories say little: {moved} moved, {delayed} delayed"
    );
    Ok(())
}

/// History 562 of the simulation, which ends with connectors spread 2, 0 and 1: the leader is new and
/// knows nothing of what was deleted before its time, so that it counts it as the work of the member
/// that has not heard of it yet. The next round sets it right.
#[test]
fn a_new_leader_counts_what_was_deleted_and_so_does_kafkas() -> Outcome<()> {
    let task = |connector: &str, task| TaskId {
        connector: connector.into(),
        task,
    };
    let deleted = Work {
        connectors: vec!["c0".into()],
        tasks: vec![task("c0", 0)],
    };
    let mut members = vec![
        ("connect-w0-5".to_owned(), Work::default()),
        ("connect-w1-2".to_owned(), deleted),
        ("connect-w2-4".to_owned(), Work::default()),
    ];
    let connectors = BTreeMap::from([("n1".to_owned(), 1), ("n2".to_owned(), 2)]);
    let mut java = Java::start()?;
    java.tell("H 8000")?;
    let mut assignor = Assignor::new(8_000);
    let mut counts = Vec::new();
    for (completed, generation) in [(-1, 6), (6, 7), (7, 8)] {
        let texts: Vec<String> = members.iter().map(member_text).collect();
        let line = format!(
            "R 1000 {completed} {generation} {} {}",
            config_text(&connectors),
            texts.join(" ")
        );
        let (delay, theirs) = java.ask(&line)?;
        let ours = assignor.assign(&Input {
            now_ms: 1_000,
            last_completed_generation: completed,
            generation,
            config: &config_of(&connectors),
            members: &members,
            handed_over: &|_| false,
        });
        assert_eq!(ours.delay_ms, delay, "{line}");
        for (member, work) in &mut members {
            let decoded = decode_assignment(&theirs[member])?;
            let share = &ours.shares[member];
            assert_eq!(sorted(&share.assigned), sorted(&decoded.assigned), "{line}");
            assert_eq!(sorted(&share.revoked), sorted(&decoded.revoked), "{line}");
            work.remove_all(&decoded.revoked);
            work.add_all(&decoded.assigned);
        }
        let alive = |work: &Work| {
            let configured = |id: &&TaskId| connectors.contains_key(&*id.connector);
            work.tasks.iter().filter(configured).count()
        };
        counts.push(
            members
                .iter()
                .map(|(_, work)| alive(work))
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(counts[0], [2, 0, 1], "it is left so");
    assert_eq!(counts.last(), Some(&vec![1, 1, 1]), "and mended");
    Ok(())
}

#[test]
fn eager_rounds_are_dealt_as_kafka_deals_them() -> Outcome<()> {
    let mut java = Java::start()?;
    let mut random = Random(0x5eed);
    for _ in 0..200 {
        let connectors: BTreeMap<String, usize> = (0..random.below(20))
            .map(|number| (format!("c{number}"), random.below(12)))
            .collect();
        let members: Vec<String> = (0..=random.below(5))
            .map(|_| format!("m{:x}", random.below(1 << 40)))
            .collect();
        let words: Vec<String> = members.iter().map(|member| format!("{member}=|")).collect();
        let line = format!("E {} {}", config_text(&connectors), words.join(" "));
        let (_, theirs) = java.ask(&line)?;
        let ours = eager::assign(&config_of(&connectors), members.iter().map(String::as_str));
        let leader = members.iter().min().cloned().unwrap_or_default();
        for (member, bytes) in theirs {
            let assignment = Assignment {
                leader: leader.clone(),
                leader_url: LEADER_URL.to_owned(),
                offset: 7,
                assigned: ours.shares[&member].assigned.clone(),
                ..Assignment::default()
            };
            assert_eq!(
                encode_assignment(&assignment, ConnectProtocol::Eager),
                bytes,
                "{line}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_order_of_tasks_is_that_of_connector_and_number() {
    let id = |connector: &str, task| TaskId {
        connector: connector.into(),
        task,
    };
    assert!(id("a", 10) > id("a", 9));
    assert!(id("a", 10) < id("b", 0));
}
