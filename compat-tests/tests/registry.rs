//! Converters with a real registry: the recorded cases through `ferroconnect convert`, clients that
//! are not ours on the other side, and a registry that refuses.

use compat_tests::parts::{self, run_folder};
use compat_tests::registry::Registry;
use compat_tests::worker::binary;
use compat_tests::{Outcome, fail};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::shared::unique;

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const AVRO: &str = "io.confluent.connect.avro.AvroConverter";

/// One registry for all tests.
pub(crate) fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let folder = run_folder("registry").expect("a folder for the registry");
        Registry::start(&folder).expect("the registry starts")
    })
}

/// Lines through a program; its exit code too.
pub(crate) fn piped(program: &str, arguments: &[&str], lines: &str) -> Outcome<(String, bool)> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("no standard input")?;
    input.write_all(lines.as_bytes())?;
    drop(input);
    let done = child.wait_with_output()?;
    let output = String::from_utf8(done.stdout)?;
    if output.is_empty() && !done.status.success() {
        return fail(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    Ok((output, done.status.success()))
}

/// Lines through `ferroconnect convert`.
pub(crate) fn convert(arguments: &[&str], lines: &str) -> Outcome<(String, bool)> {
    let program = binary()?.display().to_string();
    piped(&program, &[&["convert"], arguments].concat(), lines)
}

fn avro(options: &str) -> String {
    format!("{AVRO},schema.registry.url={}{options}", registry().url())
}

#[test]
fn the_recorded_avro_cases_come_out_of_convert() -> Outcome<()> {
    let recorded = parts::repository().join("compat-tests/recorded/converters.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(recorded)?)?;
    let run = unique("cases");
    let json = format!("{JSON},schemas.enable=true,replace.null.with.default=false");
    let written = cases
        .iter()
        .filter(|case| case["converter"] == "avro" && case["expect"]["hex"].is_string());
    for case in written {
        let name = &case["name"];
        let recorded_topic = case["topic"].as_str().unwrap_or_default();
        let topic = format!("{run}.{recorded_topic}");
        for before in case["preregistered"].as_array().into_iter().flatten() {
            let subject = before["subject"].as_str().unwrap_or_default();
            let subject = subject.replace(recorded_topic, &topic);
            let body = json!({"schema": before["schema"].to_string()});
            registry().call(
                "POST",
                &format!("/subjects/{subject}/versions"),
                Some(&body),
            )?;
        }
        let mut options = String::new();
        for (key, value) in case["config"].as_object().into_iter().flatten() {
            options.push_str(&format!(",{key}={}", value.as_str().unwrap_or_default()));
        }
        let avro = avro(&options);
        let mut arguments = vec![
            "--from", &json, "--to", &avro, "--topic", &topic, "--to-hex",
        ];
        if case["isKey"] == json!(true) {
            arguments.push("--key");
        }
        let (hex, well) = convert(&arguments, &case["input"].to_string())?;
        let hex = hex.trim_end();
        assert!(well, "{name}: {hex}");
        assert_eq!(
            hex.get(10..),
            case["expect"]["hex"].as_str(),
            "{name}: behind the id"
        );
        let mut arguments = vec![
            "--from",
            &avro,
            "--to",
            &json,
            "--topic",
            &topic,
            "--from-hex",
        ];
        if case["isKey"] == json!(true) {
            arguments.push("--key");
        }
        let (back, _) = convert(&arguments, hex)?;
        let back: Value = serde_json::from_str(&back)?;
        assert_eq!(back, case["back"], "{name}");
    }
    Ok(())
}

#[test]
fn a_client_that_is_not_ours_reads_what_we_write_and_the_other_way_round() -> Outcome<()> {
    let python = parts::path("venv/bin/python")?.display().to_string();
    let script = parts::repository().join("compat-tests/clients/avro.py");
    let script = script.display().to_string();
    let topic = unique("client");
    let url = registry().url();
    let schema = json!({"type": "struct", "name": "shop.Order", "optional": false, "fields": [
        {"field": "id", "type": "int64", "optional": false},
        {"field": "note", "type": "string", "optional": true},
        {"field": "tags", "type": "array", "items": {"type": "string", "optional": false}, "optional": false},
        {"field": "total", "type": "bytes", "optional": true, "name": "org.apache.kafka.connect.data.Decimal",
         "version": 1, "parameters": {"scale": "2", "connect.decimal.precision": "10"}},
        {"field": "day", "type": "int32", "optional": false, "name": "org.apache.kafka.connect.data.Date", "version": 1},
        {"field": "at", "type": "int64", "optional": true, "name": "org.apache.kafka.connect.data.Timestamp", "version": 1},
        {"field": "counts", "type": "map", "optional": false, "keys": {"type": "string", "optional": false},
         "values": {"type": "int32", "optional": true}},
        {"field": "buyer", "type": "struct", "name": "shop.Buyer", "optional": true, "fields": [
            {"field": "age", "type": "int16", "optional": true}]},
        {"field": "price", "type": "double", "optional": false}]});
    let line = |payload: Value| format!("{}\n", json!({"schema": schema, "payload": payload}));
    let lines = line(
        json!({"id": 7, "note": "grün 😀", "tags": ["a", "b"], "total": "MDk=", "day": 19782,
               "at": 1_700_000_000_123_i64, "counts": {"x": 1, "y": null}, "buyer": {"age": 40}, "price": 1.5}),
    ) + &line(
        json!({"id": -1, "note": null, "tags": [], "total": null, "day": -1, "at": null,
                     "counts": {}, "buyer": null, "price": 0.0}),
    );
    let ours = avro("");
    let (hex, well) = convert(
        &["--from", JSON, "--to", &ours, "--topic", &topic, "--to-hex"],
        &lines,
    )?;
    assert!(well, "{hex}");
    let (read, well) = piped(&python, &[&script, "read", url, &topic], &hex)?;
    assert!(well, "{read}");
    let read: Vec<Value> = read
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    assert_eq!(
        read,
        [
            json!({"id": 7, "note": "grün 😀", "tags": ["a", "b"], "total": "123.45", "day": "2024-02-29",
                   "at": "2023-11-14 22:13:20.123000+00:00", "counts": {"x": 1, "y": null},
                   "buyer": {"age": 40}, "price": 1.5}),
            json!({"id": -1, "note": null, "tags": [], "total": null, "day": "1969-12-31", "at": null,
                   "counts": {}, "buyer": null, "price": 0.0}),
        ]
    );

    let theirs = unique("theirs");
    let schema = r#"{"type":"record","name":"User","namespace":"n","fields":[{"name":"name","type":"string"},{"name":"age","type":["null","int"],"default":null},{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]}},{"name":"m","type":{"type":"map","values":"long"}},{"name":"day","type":{"type":"int","logicalType":"date"}},{"name":"at","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null},{"name":"inner","type":["null",{"type":"record","name":"Inner","fields":[{"name":"f","type":"float"}]}],"default":null}]}"#;
    let records = "{\"name\":\"Ann\",\"age\":40,\"kind\":\"B\",\"m\":{\"x\":5},\"day\":19782,\"at\":1700000000123,\"inner\":{\"f\":0.5}}\n{\"name\":\"Bob\",\"age\":null,\"kind\":\"A\",\"m\":{},\"day\":0,\"at\":null,\"inner\":null}\n";
    let (hex, well) = piped(&python, &[&script, "write", url, &theirs, schema], records)?;
    assert!(well, "{hex}");
    let plain = format!("{JSON},schemas.enable=false");
    let (read, well) = convert(
        &[
            "--from",
            &ours,
            "--to",
            &plain,
            "--topic",
            &theirs,
            "--from-hex",
        ],
        &hex,
    )?;
    assert!(well, "{read}");
    assert_eq!(read, records);
    Ok(())
}

#[test]
fn an_incompatible_schema_is_refused_with_the_registrys_reason() -> Outcome<()> {
    let topic = unique("incompatible");
    let line = |kind: &str, payload: Value| {
        let schema = json!({"type": "struct", "name": "a.R", "optional": false, "fields": [
            {"field": "x", "type": kind, "optional": false}]});
        format!("{}\n", json!({"schema": schema, "payload": {"x": payload}}))
    };
    let lines = line("int32", json!(1)) + &line("string", json!("s")) + &line("int32", json!(2));
    let ours = avro("");
    let (out, well) = convert(
        &["--from", JSON, "--to", &ours, "--topic", &topic, "--to-hex"],
        &lines,
    )?;
    let out: Vec<&str> = out.lines().collect();
    assert!(!well && out.len() == 3, "{out:?}");
    assert!(out[0].ends_with("02") && out[2].ends_with("04"), "{out:?}");
    assert!(
        out[1].starts_with(&format!(
            "error: DataException: Failed to serialize Avro data from topic {topic}:"
        )) && out[1].contains("RestClientException: ")
            && out[1].contains("error code: 409"),
        "{out:?}"
    );
    Ok(())
}
