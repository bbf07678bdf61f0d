//! The broker that coordinates a group of ours goes, comes back, or hands the group to another broker,
//! or a worker's clock is set: the group stays one, and what runs on it loses and doubles nothing.

use crate::group_chaos::{Load, REQUIRED, Seat, check_lines, create_sources, wait_balanced};
use crate::shared::unique;
use compat_tests::Outcome;
use compat_tests::kafka::{Kafka, KafkaOptions};
use compat_tests::parts::run_folder;
use compat_tests::worker::{Target, WorkerOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use worker::group::connection::Access;
use worker::kafka::ClientConfig;

const CONNECTORS: usize = 4;
/// Lines a second in each file.
const RATE: u32 = 20;

fn access(kafka: &Kafka) -> Outcome<Access> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap());
    Ok(Access::of(&config, "compat-tests")?)
}

/// The broker that coordinates a group.
fn coordinator(kafka: &Kafka, group: &str) -> Outcome<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let access = access(kafka)?;
    Ok(runtime.block_on(access.coordinator(group))?.peer)
}

fn group(servers: &str, replicas: usize) -> WorkerOptions {
    let name = unique("coordinated");
    let mut options = WorkerOptions::new(Target::Ferroconnect, servers, &name)
        .property("exactly.once.source.support", "enabled")
        .property("scheduled.rebalance.max.delay.ms", "2000")
        .property("session.timeout.ms", "10000")
        .property("offset.flush.interval.ms", "500")
        .property(
            "value.converter",
            "org.apache.kafka.connect.storage.StringConverter",
        );
    options.replicas = replicas;
    options
}

/// Two workers with sources under load while `happens` does something to the brokers; then all runs,
/// evenly spread, both answer for each other, and every line is there once.
fn goes_on(
    kafka: &mut Kafka,
    options: [&WorkerOptions; 2],
    happens: impl FnOnce(&mut Kafka, &[Seat]) -> Outcome<()>,
) -> Outcome<()> {
    let mut seats = options.map(|options| Seat::new(options, Target::Ferroconnect));
    for seat in &mut seats {
        seat.start()?;
    }
    let folder = run_folder("coordinator-files")?;
    let replicas = i32::try_from(options[0].replicas)?;
    let (rest, many) = (seats[0].rest(), (CONNECTORS, replicas));
    let files = create_sources(kafka, &rest, &folder, many, &[REQUIRED])?;
    wait_balanced(&seats, CONNECTORS)?;
    let mut load = Load::start(files, RATE);
    happens(kafka, &seats)?;
    wait_balanced(&seats, CONNECTORS)?;
    // One group: whichever is asked, the one that runs the task restarts it.
    for seat in &seats {
        for (name, _) in &load.files {
            let path = format!("/connectors/{name}/tasks/0/restart");
            let answer = seat.rest().request("POST", &path, None)?;
            assert_eq!(answer.status, 204, "{name}: {}", answer.body);
        }
    }
    wait_balanced(&seats, CONNECTORS)?;
    let lines = load.end()?;
    check_lines(kafka, &load.files, lines)
}

#[test]
fn a_coordinator_that_is_killed_is_found_elsewhere_and_the_group_stays_one() -> Outcome<()> {
    let three = KafkaOptions {
        brokers: 3,
        ..KafkaOptions::default()
    };
    let mut kafka = Kafka::start(&run_folder("coordinators")?, &three)?;
    let options = group(kafka.bootstrap(), 3);
    let name = options.group.clone();
    goes_on(&mut kafka, [&options; 2], |kafka, seats| {
        for _ in 0..2 {
            let before = coordinator(kafka, &name)?;
            kafka.kill_broker(&before)?;
            wait_balanced(seats, CONNECTORS)?;
            std::thread::sleep(Duration::from_secs(15));
            let after = coordinator(kafka, &name)?;
            assert_ne!(before, after, "another broker coordinates");
            wait_balanced(seats, CONNECTORS)?;
            // Which hands the group back where it is the preferred one.
            kafka.start_broker(&before)?;
            std::thread::sleep(Duration::from_secs(5));
            wait_balanced(seats, CONNECTORS)?;
        }
        Ok(())
    })
}

#[test]
fn a_broker_that_restarts_is_waited_for_and_the_group_stays_one() -> Outcome<()> {
    let mut kafka = Kafka::start(&run_folder("restarting")?, &KafkaOptions::default())?;
    let options = group(kafka.bootstrap(), 1);
    let address = kafka.bootstrap().to_owned();
    goes_on(&mut kafka, [&options; 2], |kafka, seats| {
        // In order, and at once; away for less than a session, and for longer than one.
        kafka.stop_broker(&address)?;
        kafka.start_broker(&address)?;
        wait_balanced(seats, CONNECTORS)?;
        kafka.kill_broker(&address)?;
        std::thread::sleep(Duration::from_secs(12));
        kafka.start_broker(&address)?;
        wait_balanced(seats, CONNECTORS)
    })
}

/// A wall clock of a worker's own, that can be set.
struct Clock {
    library: PathBuf,
    shift: PathBuf,
}

impl Clock {
    fn new() -> Outcome<Self> {
        let folder = run_folder("clock")?;
        let (library, shift) = (folder.join("clock.so"), folder.join("shift"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/clock.c");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into());
        }
        std::fs::write(&shift, 0_i64.to_ne_bytes())?;
        Ok(Self { library, shift })
    }

    fn environment(&self) -> Vec<(String, String)> {
        [("LD_PRELOAD", &self.library), ("CLOCK_SHIFT", &self.shift)]
            .map(|(name, path)| (name.to_owned(), path.display().to_string()))
            .to_vec()
    }

    /// Sets it so many hours before or behind the right time.
    fn set(&self, hours: i64) -> Outcome<()> {
        // In place: the worker looks into this very file.
        let mut file = std::fs::File::options().write(true).open(&self.shift)?;
        Ok(file.write_all(&(hours * 3_600_000_000_000).to_ne_bytes())?)
    }
}

/// Sessions, delays and heartbeats go by a clock that nobody sets, keys and records by the one on the
/// wall.
#[test]
fn clocks_that_jump_split_no_group_and_move_no_task() -> Outcome<()> {
    let mut kafka = Kafka::start(&run_folder("jumping")?, &KafkaOptions::default())?;
    let clocks = [Clock::new()?, Clock::new()?];
    let options = group(kafka.bootstrap(), 1).property("inter.worker.key.ttl.ms", "5000");
    let each =
        [&clocks[0], &clocks[1]].map(|clock| options.clone().environment(clock.environment()));
    goes_on(&mut kafka, [&each[0], &each[1]], |_, seats| {
        let before = seats.iter().map(Seat::log).collect::<Vec<_>>();
        for (clock, hours) in [(0, 30), (1, -30), (0, -48), (1, 9000), (0, 0), (1, 0)] {
            clocks[clock].set(hours)?;
            // Longer than a heartbeat and than a key lives.
            std::thread::sleep(Duration::from_secs(6));
            wait_balanced(seats, CONNECTORS)?;
        }
        for (seat, before) in seats.iter().zip(before) {
            let log = seat.log();
            let since = log.get(before.len()..).unwrap_or_default();
            let shown = |what: &str| since.contains(what);
            for told in [
                "giving the work up",
                "Discovered group coordinator",
                "Stopping task",
                "Creating task",
            ] {
                assert!(!shown(told), "{told}: {since}");
            }
        }
        Ok(())
    })
}
