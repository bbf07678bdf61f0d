//! The shape of the workspace, held by plain tests over its sources: who may know whom.

use compat_tests::{Outcome, parts};
use std::path::{Path, PathBuf};

/// Every Rust source below a folder of the repository, with its text.
fn sources(folder: &str) -> Outcome<Vec<(String, String)>> {
    let top = parts::repository();
    let mut folders: Vec<PathBuf> = vec![top.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&top)?.display().to_string();
                found.push((name, std::fs::read_to_string(&path)?));
            }
        }
    }
    Ok(found)
}

fn offenders(folder: &str, offends: impl Fn(&str, &str) -> bool) -> Outcome<Vec<String>> {
    let found = sources(folder)?;
    Ok(found
        .into_iter()
        .filter(|(name, text)| offends(name, text))
        .map(|(name, _)| name)
        .collect())
}

const CRATES: [&str; 4] = ["connect-api", "connectors", "worker", "compat-tests"];

#[test]
fn every_source_begins_by_saying_what_it_is() -> Outcome<()> {
    for folder in CRATES {
        let silent = offenders(folder, |_, text| !text.starts_with("//! "))?;
        assert_eq!(silent, Vec::<String>::new());
    }
    Ok(())
}

#[test]
fn connect_api_knows_neither_kafkas_client_nor_any_plugin_nor_does_it_io() -> Outcome<()> {
    let io = [
        "rdkafka",
        "std::net",
        "std::fs",
        "tokio::net",
        "tokio::fs",
        "use connectors",
    ];
    let found = offenders("connect-api/src", |_, text| {
        io.iter().any(|word| code(text).contains(word))
    })?;
    assert_eq!(found, Vec::<String>::new());
    Ok(())
}

#[test]
fn only_the_workers_kafka_module_names_the_client() -> Outcome<()> {
    let found = offenders("worker/src", |name, text| {
        !name.starts_with("worker/src/kafka") && code(text).contains("rdkafka::")
    })?;
    assert_eq!(found, Vec::<String>::new());
    let found = offenders("connectors", |_, text| code(text).contains("rdkafka::"))?;
    assert_eq!(found, Vec::<String>::new());
    Ok(())
}

#[test]
fn only_main_names_the_list_of_plugins() -> Outcome<()> {
    let found = offenders("worker/src", |name, text| {
        name != "worker/src/main.rs" && code(text).contains("connectors::PLUGINS")
    })?;
    assert_eq!(found, Vec::<String>::new());
    Ok(())
}

#[test]
fn no_plugin_knows_another() -> Outcome<()> {
    let plugins = [
        "converters",
        "file-connector",
        "postgres-source",
        "s3-sink",
        "transforms",
    ];
    for folder in [
        "converters",
        "file",
        "postgres-source",
        "s3-sink",
        "transforms",
    ] {
        let manifest = parts::repository()
            .join("connectors")
            .join(folder)
            .join("Cargo.toml");
        let manifest = std::fs::read_to_string(Path::new(&manifest))?;
        let (_, dependencies) = manifest.split_once("[dependencies]").unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        let known: Vec<&str> = plugins
            .into_iter()
            .filter(|plugin| {
                dependencies
                    .lines()
                    .any(|line| line.starts_with(&format!("{plugin}.")))
            })
            .collect();
        assert_eq!(known, Vec::<&str>::new(), "{folder}");
    }
    Ok(())
}

/// The text without its comments: what a file does, not what it talks about.
fn code(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_option_is_shown_by_tests_that_are_there() -> Outcome<()> {
    let compat = sources("compat-tests/tests")?;
    for (table, folder) in [
        ("worker/src/config/effects.tsv", "worker/src"),
        (
            "connectors/postgres-source/src/config/effects.tsv",
            "connectors/postgres-source",
        ),
    ] {
        let shown = std::fs::read_to_string(parts::repository().join(table))?;
        let texts: Vec<_> = sources(folder)?.into_iter().chain(compat.clone()).collect();
        for (option, tests) in shown.lines().filter_map(|line| line.split_once('\t')) {
            for test in tests.split(' ') {
                let function = format!("fn {test}()");
                let is_there = texts.iter().any(|(_, text)| text.contains(&function));
                assert!(is_there, "{option} is said to be shown by {test}");
            }
        }
    }
    Ok(())
}
