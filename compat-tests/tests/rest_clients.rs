//! Clients that others wrote, unchanged, and requests made up from the published description of the API.

use crate::shared::{options, unique, worker};
use compat_tests::parts::{java_source, path, repository, run_folder};
use compat_tests::worker::Worker;
use compat_tests::{Outcome, fail};
use std::process::Command;

/// Runs a client to its end; it says `done`.
fn client(worker: &Worker, mut command: Command, name: &str) -> Outcome<()> {
    let lines = run_folder(name)?.join("lines.txt");
    std::fs::write(&lines, "one\n")?;
    let output = command
        .arg(&worker.rest.url)
        .arg(unique(name))
        .arg(lines)
        .output()?;
    if output.status.success() && output.stdout.ends_with(b"done\n") {
        return Ok(());
    }
    fail(format!(
        "{name}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

#[test]
fn a_client_in_python_works_unchanged() -> Outcome<()> {
    let mut command = Command::new(path("clients/bin/python")?);
    command.arg(repository().join("compat-tests/clients/client.py"));
    client(&worker("python")?, command, "python")
}

#[test]
fn a_client_in_java_works_unchanged() -> Outcome<()> {
    let mut command = Command::new("java");
    command.args(java_source("connect-client", "Client.java")?);
    client(&worker("java")?, command, "java")
}

#[test]
fn a_client_in_go_works_unchanged() -> Outcome<()> {
    let mut command = Command::new("go");
    command
        .current_dir(repository().join("compat-tests/clients/go"))
        .args(["run", "."]);
    client(&worker("go")?, command, "go")
}

/// How many examples the fuzzing makes for each operation: few in a test, many by `make fuzz`.
fn examples() -> (String, String) {
    match std::env::var("REST_FUZZ_EXAMPLES") {
        Ok(count) => (count, "examples,coverage,fuzzing".to_owned()),
        Err(_) => ("5".to_owned(), "fuzzing".to_owned()),
    }
}

/// Answers of 500 are the JVM's for what cannot be read: they carry its error body. Every other server
/// error, and every answer that is not as described, counts; and the worker has to be there at the end.
#[test]
fn made_up_requests_find_no_crash_and_no_answer_of_ours() -> Outcome<()> {
    let folder = run_folder("fuzz")?;
    let (count, phases) = examples();
    let mut worker = Worker::start(&folder, options("fuzz"))?;
    let output = Command::new(path("clients/bin/schemathesis")?)
        .arg("run")
        .arg(repository().join("docs/openapi.yaml"))
        .args(["--url", &worker.rest.url])
        .args([
            "--checks",
            "status_code_conformance,response_schema_conformance",
        ])
        .args(["--phases", &phases])
        .args(["--max-examples", &count])
        .args(["--seed", "1", "--no-color", "--generation-database", "none"])
        .current_dir(&folder)
        .output()?;
    worker.process().check_alive()?;
    if !output.status.success() {
        return fail(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let health = worker.rest.get("/health")?;
    assert_eq!(health.status, 200, "{}", health.body);
    assert!(!worker.log().contains("panicked"), "{}", worker.log());
    Ok(())
}
