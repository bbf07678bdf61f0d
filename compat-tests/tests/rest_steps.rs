//! The edge of the REST API, request by request, as recorded from the JVM worker: routes and methods,
//! media types, paths, broken bodies, odd names, states and offsets. Raw bytes count, headers too.

use crate::shared::{kafka, unique};
use compat_tests::parts::run_folder;
use compat_tests::recording::Recording;
use compat_tests::worker::{Target, Worker, WorkerOptions};
use compat_tests::{Outcome, steps};

/// What is compared of traces.
enum Traces {
    /// Nothing.
    Hidden,
    /// All but the JVM's stack frames.
    Compared,
}

/// Runs a file of steps against a worker of its own.
fn scenario(name: &str, file: &str, traces: Traces) -> Outcome<()> {
    let target = Target::from_environment();
    let tag = unique(name);
    let options = WorkerOptions::new(target, kafka().bootstrap(), &format!("steps-{tag}"));
    let folder = run_folder(name)?;
    let worker = Worker::start(&folder, options)?;
    let lines = folder.join("lines.txt");
    std::fs::write(&lines, "one\ntwo\n")?;
    let lines = lines.display().to_string();
    let address = worker.rest.url.trim_start_matches("http://");
    let mut recording = Recording::new(&format!("rest-{name}"));
    recording.mask_text(&worker.rest.url, "URL");
    recording.mask_text(address, "WORKER");
    recording.mask_text(&lines, "FILE");
    recording.mask_text(&tag, "TAG");
    for member in ["commit", "kafka_cluster_id", "documentation"] {
        recording.mask_member(member);
    }
    match traces {
        Traces::Hidden => recording.mask_member("trace"),
        Traces::Compared => recording.mask_frames(),
    }
    let fill = [("@FILE@", lines.as_str()), ("@TAG@", tag.as_str())];
    steps::run(file, &fill, address, &mut recording)?;
    recording.finish(target)
}

#[test]
fn recorded_routing_is_the_jvms() -> Outcome<()> {
    scenario(
        "routing",
        include_str!("../steps/routing.json"),
        Traces::Hidden,
    )
}

#[test]
fn recorded_bodies_are_refused_as_by_the_jvm() -> Outcome<()> {
    scenario(
        "bodies",
        include_str!("../steps/bodies.json"),
        Traces::Hidden,
    )
}

#[test]
fn recorded_lives_of_connectors_are_the_jvms() -> Outcome<()> {
    scenario(
        "connectors",
        include_str!("../steps/connectors.json"),
        Traces::Hidden,
    )
}

#[test]
fn recorded_failures_of_kafka_clients_are_the_jvms() -> Outcome<()> {
    let file = include_str!("../steps/clients.json");
    scenario("clients", file, Traces::Compared)
}
