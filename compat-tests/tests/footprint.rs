//! Start time and idle memory, and the ways to start the worker.

use crate::shared::{kafka, options, unique, wait_count};
use compat_tests::parts::{free_port, run_folder};
use compat_tests::process::{Program, memory_mib};
use compat_tests::worker::{Rest, Worker, binary};
use compat_tests::{Outcome, wait};
use std::time::{Duration, Instant};

/// A release build must be ready within 1 s and idle in 30 MB (`make bench` measures both); a
/// debug build on a busy machine gets room.
const LIMITS: (Duration, f64) = if cfg!(debug_assertions) {
    (Duration::from_secs(30), 150.0)
} else {
    (Duration::from_secs(1), 30.0)
};

#[test]
fn the_worker_is_up_quickly_and_small() -> Outcome<()> {
    let options = options("footprint");
    let start = Instant::now();
    // Once, so that the three topics are there; then the start that counts.
    let mut worker = Worker::start(&run_folder("footprint")?, options)?;
    println!("first start, topics made: {:?}", start.elapsed());
    worker.terminate()?;
    let ready = worker.restart()?;
    std::thread::sleep(Duration::from_secs(2));
    let memory = memory_mib(worker.id(), "VmRSS")?;
    println!("ready after {ready:?}, {memory:.1} MiB idle");
    assert!(ready <= LIMITS.0, "ready after {ready:?}");
    assert!(memory <= LIMITS.1, "{memory:.1} MiB idle");
    Ok(())
}

#[test]
fn health_tells_that_the_worker_serves() -> Outcome<()> {
    let worker = crate::shared::worker("health")?;
    let answer = worker.rest.get("/health")?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()?["status"], "healthy", "{}", answer.body);
    Ok(())
}

#[test]
fn connect_variables_configure_a_worker_as_the_common_images_do() -> Outcome<()> {
    let group = unique("environment");
    let port = free_port();
    let folder = run_folder("environment")?;
    let program = binary()?.display().to_string();
    let mut program = Program::new(&program, ["distributed"]);
    for (name, value) in [
        ("BOOTSTRAP_SERVERS", kafka().bootstrap().to_owned()),
        ("GROUP_ID", group.clone()),
        ("CONFIG_STORAGE_TOPIC", format!("{group}-configs")),
        ("OFFSET_STORAGE_TOPIC", format!("{group}-offsets")),
        ("STATUS_STORAGE_TOPIC", format!("{group}-status")),
        ("CONFIG_STORAGE_REPLICATION_FACTOR", "1".to_owned()),
        ("OFFSET_STORAGE_REPLICATION_FACTOR", "1".to_owned()),
        ("STATUS_STORAGE_REPLICATION_FACTOR", "1".to_owned()),
        (
            "KEY_CONVERTER",
            "org.apache.kafka.connect.json.JsonConverter".to_owned(),
        ),
        (
            "VALUE_CONVERTER",
            "org.apache.kafka.connect.json.JsonConverter".to_owned(),
        ),
        ("LISTENERS", format!("http://127.0.0.1:{port}")),
    ] {
        program = program.env(&format!("CONNECT_{name}"), &value);
    }
    let mut process = program.start(&folder.join("worker.log"))?;
    let rest = Rest::new(&format!("http://127.0.0.1:{port}"));
    wait::until("the worker", Duration::from_secs(90), || {
        process.check_alive()?;
        Ok((rest.get("/health")?.status == 200).then_some(()))
    })?;
    assert!(kafka().topics()?.contains_key(&format!("{group}-configs")));
    Ok(())
}

#[test]
fn standalone_runs_connectors_from_files() -> Outcome<()> {
    let name = unique("standalone");
    let port = free_port();
    let folder = run_folder("standalone")?;
    let path = |file: &str| folder.join(file).display().to_string();
    std::fs::write(
        path("worker.properties"),
        format!(
            "bootstrap.servers={}\nkey.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             offset.storage.file.filename={}\noffset.flush.interval.ms=1000\n\
             listeners=http://127.0.0.1:{port}\nno.such.key=is passed over\n",
            kafka().bootstrap(),
            path("offsets"),
        ),
    )?;
    std::fs::write(path("lines"), "one\ntwo\n")?;
    std::fs::write(
        path("source.properties"),
        format!(
            "name=from-properties\nconnector.class=FileStreamSource\nfile={}\ntopic={name}\n",
            path("lines")
        ),
    )?;
    std::fs::write(
        path("sink.json"),
        serde_json::json!({"name": "from-json", "config": {
            "connector.class": "FileStreamSink", "file": path("copy"), "topics": name,
        }})
        .to_string(),
    )?;
    let program = binary()?.display().to_string();
    let arguments = [
        "standalone".to_owned(),
        path("worker.properties"),
        path("source.properties"),
        path("sink.json"),
    ];
    let mut process =
        Program::new(&program, arguments.clone()).start(&folder.join("worker.log"))?;
    wait_count(kafka(), &name, 2).map_err(|error| format!("{error}\n{}", process.output()))?;
    wait::until("the copy", Duration::from_secs(90), || {
        process.check_alive()?;
        Ok((std::fs::read_to_string(path("copy"))? == "one\ntwo\n").then_some(()))
    })?;
    // Its offsets are in the file: a second run goes on behind the last line.
    process.signal("TERM");
    assert_eq!(
        process.wait(Duration::from_secs(30))?.code(),
        Some(0),
        "{}",
        process.output()
    );
    std::fs::write(path("lines"), "one\ntwo\nthree\n")?;
    let _process = Program::new(&program, arguments).start(&folder.join("worker.log"))?;
    wait_count(kafka(), &name, 3)?;
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(kafka().count(&name)?, 3);
    Ok(())
}
