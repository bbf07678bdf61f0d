//! What workers of a group ask of each other, and through the config topic: signatures and the keys
//! for them, and levels of loggers, beside the JVM's.

use crate::shared::{kafka, options, unique};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use compat_tests::kafka::{Record, flush, send};
use compat_tests::parts::{free_port, run_folder};
use compat_tests::steps;
use compat_tests::worker::{Target, Worker, WorkerOptions};
use compat_tests::{Outcome, wait};
use rdkafka::producer::BaseRecord;
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const SIGNATURE: &str = "X-Connect-Authorization";
const ALGORITHM: &str = "X-Connect-Request-Signature-Algorithm";

fn start(target: Target, options: &WorkerOptions) -> Outcome<Worker> {
    let options = WorkerOptions {
        target,
        port: free_port(),
        ..options.clone()
    };
    Worker::start(&run_folder("group-requests")?, options)
}

/// The records of a group's config topic whose key begins so.
fn configs(group: &str, key: &str) -> Outcome<Vec<Record>> {
    let mut records = kafka().records(&format!("{group}-configs"))?;
    records.retain(|record| record.key_text().starts_with(key));
    Ok(records)
}

/// The newest session key.
fn session_key(group: &str) -> Outcome<Vec<u8>> {
    wait::until("a session key", PATIENCE, || {
        let keys = configs(group, "session-key")?;
        let Some(last) = keys.last() else {
            return Ok(None);
        };
        let value = last.value_json()?;
        let key = value["key"].as_str().ok_or("a session key without key")?;
        Ok(Some(BASE64.decode(key)?))
    })
}

/// The code of a body under a key, as `openssl` makes it.
fn mac(digest: &str, key: &[u8], body: &[u8]) -> Outcome<String> {
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut made = Command::new("openssl")
        .args(["dgst", digest, "-mac", "HMAC", "-binary", "-macopt"])
        .arg(format!("hexkey:{hex}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    made.stdin.take().ok_or("no input")?.write_all(body)?;
    Ok(BASE64.encode(made.wait_with_output()?.stdout))
}

/// What a worker that leads answers to signed requests of all kinds.
fn answers(target: Target) -> Outcome<Vec<String>> {
    let options = options("signed");
    let worker = start(target, &options)?;
    let topic = unique("signed");
    kafka().create_topic(&topic, 1, 1)?;
    for (name, class) in [("src", "FileStreamSource"), ("snk", "FileStreamSink")] {
        let topics = if name == "src" { "topic" } else { "topics" };
        let config = [
            ("connector.class", class),
            ("file", "/dev/null"),
            (topics, topic.as_str()),
        ];
        worker.rest.create_config(name, &config)?;
        worker.rest.wait_running(name)?;
    }
    let key = session_key(&options.group)?;
    let address = worker.rest.url.replace("http://", "");
    let ask = |request: &str, body: &str, headers: &[(&str, &str)]| -> Outcome<String> {
        let mut all = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        all.extend(
            headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let answer = steps::send(&address, request, &all, Some(body.as_bytes()))?;
        Ok(format!("{request} {} {}", answer.status, answer.body))
    };
    let tasks = serde_json::json!([{
        "task.class": "org.apache.kafka.connect.file.FileStreamSourceTask",
        "connector.class": "FileStreamSource",
        "file": "/dev/null",
        "topic": topic,
        "batch.size": "2000",
    }])
    .to_string();
    let sha256 = "HmacSHA256";
    let mut given = Vec::new();
    for (request, body) in [
        ("POST /connectors/src/tasks", tasks.as_str()),
        ("PUT /connectors/src/fence", ""),
    ] {
        let bytes = body.as_bytes();
        let right = mac("-sha256", &key, bytes)?;
        let other_digest = mac("-sha1", &key, bytes)?;
        let other_body = mac("-sha256", &key, b"[{}]")?;
        let other_key = mac("-sha256", &[7; 32], bytes)?;
        for headers in [
            &[][..],
            &[(SIGNATURE, right.as_str())],
            &[(ALGORITHM, sha256)],
            &[(SIGNATURE, &right), (ALGORITHM, "nope")],
            &[(SIGNATURE, "*"), (ALGORITHM, sha256)],
            &[(SIGNATURE, "*abc"), (ALGORITHM, sha256)],
            &[(SIGNATURE, "abc"), (ALGORITHM, sha256)],
            &[(SIGNATURE, "abcde"), (ALGORITHM, sha256)],
            &[(SIGNATURE, "YQ="), (ALGORITHM, sha256)],
            &[(SIGNATURE, "YQ=x"), (ALGORITHM, sha256)],
            &[(SIGNATURE, "YWJj="), (ALGORITHM, sha256)],
            &[(SIGNATURE, "Y="), (ALGORITHM, sha256)],
            &[(SIGNATURE, "YWI=x"), (ALGORITHM, sha256)],
            &[(SIGNATURE, "YWI=="), (ALGORITHM, sha256)],
            &[(SIGNATURE, ""), (ALGORITHM, sha256)],
            &[(SIGNATURE, &other_digest), (ALGORITHM, "HmacSHA1")],
            &[(SIGNATURE, &other_body), (ALGORITHM, sha256)],
            &[(SIGNATURE, &other_key), (ALGORITHM, sha256)],
            &[(SIGNATURE, &right), (ALGORITHM, sha256)],
            &[(SIGNATURE, &right), (ALGORITHM, "HMACSHA256")],
        ] {
            given.push(ask(request, body, headers)?);
        }
    }
    let signed = |key: &[u8], request: &str, body: &str| -> Outcome<String> {
        let code = mac("-sha256", key, body.as_bytes())?;
        ask(request, body, &[(SIGNATURE, &code), (ALGORITHM, sha256)])
    };
    given.push(signed(&key, "PUT /connectors/none/fence", "")?);
    given.push(signed(&key, "PUT /connectors/snk/fence", "")?);
    given.push(signed(&key, "POST /connectors/none/tasks", &tasks)?);
    worker.rest.put("/connectors/src/stop")?;
    wait::until("no tasks", PATIENCE, || {
        let status = worker.rest.status("src")?;
        Ok((status["tasks"].as_array().is_some_and(Vec::is_empty)).then_some(()))
    })?;
    given.push(signed(&key, "POST /connectors/src/tasks", &tasks)?);
    // Another key takes its place, as when it has expired.
    let (new, now) = ([9; 32], std::time::SystemTime::now());
    let record = serde_json::json!({
        "key": BASE64.encode(new),
        "algorithm": sha256,
        "creation-timestamp": i64::try_from(now.duration_since(std::time::UNIX_EPOCH)?.as_millis())?,
    })
    .to_string();
    let configs = format!("{}-configs", options.group);
    let producer = kafka().producer()?;
    let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&configs)
        .key(b"session-key".as_slice())
        .payload(record.as_bytes());
    send(&producer, record)?;
    flush(&producer)?;
    wait::until("the new key to count", PATIENCE, || {
        let answer = signed(&new, "PUT /connectors/snk/fence", "")?;
        match answer.contains("not a source connector") {
            true => Ok(Some(())),
            false => Err(answer.into()),
        }
    })?;
    given.push(signed(&key, "PUT /connectors/snk/fence", "")?);
    Ok(given)
}

#[test]
fn unsigned_wrongly_signed_and_outdated_requests_are_refused_as_by_the_jvm() -> Outcome<()> {
    let ours = answers(Target::Ferroconnect)?;
    let theirs = answers(Target::Java)?;
    let pairs = ours.iter().zip(&theirs);
    let different: Vec<_> = pairs.filter(|(ours, theirs)| ours != theirs).collect();
    assert!(different.is_empty(), "{different:#?}");
    assert_eq!(ours.len(), theirs.len());
    let refused = ours.iter().filter(|answer| answer.contains("error_code"));
    assert!(refused.count() > 20, "{ours:#?}");
    Ok(())
}

/// How many keys a leader has made in a while, and how they look.
fn keys(target: Target, ttl: &str) -> Outcome<Vec<Vec<String>>> {
    let options = options("keys").property("inter.worker.key.ttl.ms", ttl);
    let _worker = start(target, &options)?;
    session_key(&options.group)?;
    std::thread::sleep(Duration::from_secs(7));
    let keys = configs(&options.group, "session-key")?;
    let mut shapes = Vec::new();
    for record in keys {
        let value = record.value_json()?;
        let key = value["key"].as_str().unwrap_or_default();
        let members: Vec<&String> = value.as_object().ok_or("no object")?.keys().collect();
        let size = BASE64.decode(key)?.len();
        shapes.push(vec![
            record.key_text(),
            format!("{members:?}"),
            value["algorithm"].to_string(),
            size.to_string(),
        ]);
    }
    Ok(shapes)
}

#[test]
fn keys_are_made_and_replaced_in_their_time_as_by_the_jvm() -> Outcome<()> {
    for (ttl, least) in [("2000", 3), ("0", 1)] {
        let ours = keys(Target::Ferroconnect, ttl)?;
        let theirs = keys(Target::Java, ttl)?;
        assert_eq!(ours.first(), theirs.first());
        // A busy machine may take a while before it looks, and so see more of them.
        let several = |keys: &[Vec<String>]| (least..=least * least).contains(&keys.len());
        assert!(several(&ours) && several(&theirs), "{ours:?} {theirs:?}");
    }
    Ok(())
}

fn level(worker: &Worker, logger: &str) -> Outcome<Value> {
    let answer = worker.rest.get(&format!("/admin/loggers/{logger}"))?;
    Ok(answer.json()?["level"].clone())
}

#[test]
fn a_level_for_the_cluster_goes_through_the_config_topic_to_every_worker() -> Outcome<()> {
    let mut options = options("levels");
    // Without it there are no levels to set in a JVM.
    options.jars.push("log4j");
    let first = start(Target::Ferroconnect, &options)?;
    let second = start(Target::Ferroconnect, &options)?;
    let java = start(Target::Java, &options)?;
    let mut asked = Vec::new();
    for (worker, wanted) in [(&first, "DEBUG"), (&second, "WARN"), (&java, "TRACE")] {
        let logger = format!("org.acme.{wanted}");
        let path = format!("/admin/loggers/{logger}?scope=cluster");
        let body = format!(r#"{{"level":"{wanted}"}}"#);
        let answer = worker.rest.request("PUT", &path, Some(&body))?;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        for reader in [&first, &second, &java] {
            wait::until("the level", PATIENCE, || {
                let found = level(reader, &logger)?;
                match found == wanted {
                    true => Ok(Some(())),
                    false => Err(format!("{wanted} of {worker:?} is {found}").into()),
                }
            })?;
        }
        asked.push((format!("logger-cluster-{logger}"), body));
    }
    let records = configs(&options.group, "logger-cluster-")?;
    let records = records
        .iter()
        .map(|record| (record.key_text(), record.value_text()));
    assert_eq!(
        records.collect::<Vec<_>>(),
        asked,
        "the JVM's record and ours"
    );
    let complaints = java.log();
    let complaints: Vec<&str> = complaints
        .lines()
        .filter(|line| line.contains(" ERROR ") && line.contains("onfig"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}
