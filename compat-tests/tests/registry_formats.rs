//! JSON Schema and Protobuf with a real registry: the recorded cases through `ferroconnect convert`,
//! and clients that are not ours on the other side.

use compat_tests::Outcome;
use compat_tests::parts;
use serde_json::{Value, json};

use crate::registry::{convert, piped, registry};
use crate::shared::unique;

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

/// The converter of a recorded case, and its language in the registry.
fn language(case: &Value) -> Option<(&'static str, &'static str)> {
    match case["converter"].as_str()? {
        "jsonschema" => Some(("io.confluent.connect.json.JsonSchemaConverter", "JSON")),
        "protobuf" => Some((
            "io.confluent.connect.protobuf.ProtobufConverter",
            "PROTOBUF",
        )),
        _ => None,
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Registers what a case that is only read needs; answers the message in hex.
fn registered(case: &Value, topic: &str, run: &str, kind: &str) -> Outcome<String> {
    let register = |subject: &str, schema: &str, references: Value| {
        let body = json!({"schemaType": kind, "schema": schema, "references": references});
        registry().call(
            "POST",
            &format!("/subjects/{subject}/versions"),
            Some(&body),
        )
    };
    for before in case["preregistered"].as_array().into_iter().flatten() {
        let subject = format!("{run}.{}", text(before, "subject"));
        register(&subject, text(before, "schema"), json!([]))?;
    }
    let mut references = case["references"].as_array().cloned().unwrap_or_default();
    for reference in &mut references {
        reference["subject"] = json!(format!("{run}.{}", text(reference, "subject")));
    }
    let answer = register(
        &format!("{topic}-value"),
        text(case, "registered"),
        json!(references),
    )?;
    let id = answer["id"].as_i64().ok_or("an id")?;
    Ok(format!("00{id:08x}{}", text(case, "hex")))
}

#[test]
fn the_recorded_json_schema_and_protobuf_cases_come_out_of_convert() -> Outcome<()> {
    let recorded = parts::repository().join("compat-tests/recorded/converters.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(recorded)?)?;
    let run = unique("formats");
    let json = format!("{JSON},schemas.enable=true,replace.null.with.default=false");
    let mut done = 0;
    for case in &cases {
        let Some((class, kind)) = language(case) else {
            continue;
        };
        let (name, topic) = (text(case, "name"), format!("{run}.{}", text(case, "topic")));
        let hex = &case["expect"]["hex"];
        // This registry takes no JSON Schema without properties.
        let refused = kind == "JSON" && name.starts_with("json/root-");
        if refused || (case["readonly"] != true && !hex.is_string()) {
            continue;
        }
        let mut options = String::new();
        for (key, value) in case["config"].as_object().into_iter().flatten() {
            options.push_str(&format!(",{key}={}", value.as_str().unwrap_or_default()));
        }
        let ours = format!("{class},schema.registry.url={}{options}", registry().url());
        let key: &[&str] = if case["isKey"] == true {
            &["--key"]
        } else {
            &[]
        };
        let message = if case["readonly"] == true {
            registered(case, &topic, &run, kind)?
        } else {
            let arguments = [
                "--from", &json, "--to", &ours, "--topic", &topic, "--to-hex",
            ];
            let (out, well) = convert(&[&arguments, key].concat(), &case["input"].to_string())?;
            assert!(well, "{name}: {out}");
            assert_eq!(
                out.trim_end().get(10..),
                hex.as_str(),
                "{name}: behind the id"
            );
            out
        };
        let arguments = [
            "--from",
            &ours,
            "--to",
            &json,
            "--topic",
            &topic,
            "--from-hex",
        ];
        let (back, well) = convert(&[&arguments, key].concat(), message.trim_end())?;
        assert!(well, "{name}: {back}");
        let back: Value = serde_json::from_str(&back)?;
        assert_eq!(back, case["back"], "{name}");
        done += 1;
    }
    assert!(done >= 40, "{done} cases");
    Ok(())
}

/// Two items as Connect data, and as a client's JSON.
fn items() -> (String, Vec<Value>) {
    let schema = json!({"type": "struct", "name": "shop.Item", "optional": false, "fields": [
        {"field": "id", "type": "int64", "optional": false},
        {"field": "name", "type": "string", "optional": true},
        {"field": "price", "type": "double", "optional": false},
        {"field": "tags", "type": "array", "items": {"type": "string", "optional": false}, "optional": false},
        {"field": "inner", "type": "struct", "name": "shop.Inner", "optional": true, "fields": [
            {"field": "q", "type": "int32", "optional": false}]},
        {"field": "at", "type": "int64", "name": "org.apache.kafka.connect.data.Timestamp", "version": 1, "optional": true}]});
    let payloads = vec![
        json!({"id": 7, "name": "grün 😀", "price": 1.5, "tags": ["a", "b"], "inner": {"q": 3},
               "at": 1_700_000_000_123_i64}),
        json!({"id": -1, "name": "z", "price": 2.5, "tags": ["c"], "inner": {"q": 4}, "at": -1}),
    ];
    let line = |payload: &Value| format!("{}\n", json!({"schema": schema, "payload": payload}));
    (payloads.iter().map(line).collect(), payloads)
}

/// Runs one of the clients, which are Python programs.
fn client(script: &str, arguments: &[&str], lines: &str) -> Outcome<String> {
    let python = parts::path("venv/bin/python")?.display().to_string();
    let script = parts::repository()
        .join("compat-tests/clients")
        .join(script);
    let script = script.display().to_string();
    let (out, well) = piped(&python, &[&[script.as_str()], arguments].concat(), lines)?;
    assert!(well, "{out}");
    Ok(out)
}

fn lines(out: &str) -> Outcome<Vec<Value>> {
    Ok(out
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

/// What a converter reads in a client's messages, without schemas.
fn read_plain(ours: &str, topic: &str, hex: &str) -> Outcome<Vec<Value>> {
    let plain = format!("{JSON},schemas.enable=false");
    let arguments = [
        "--from",
        ours,
        "--to",
        &plain,
        "--topic",
        topic,
        "--from-hex",
    ];
    let (out, well) = convert(&arguments, hex)?;
    assert!(well, "{out}");
    lines(&out)
}

#[test]
fn another_client_reads_our_json_schema_and_we_read_its() -> Outcome<()> {
    let url = registry().url();
    let ours = format!("io.confluent.connect.json.JsonSchemaConverter,schema.registry.url={url}");
    let (connect, payloads) = items();
    let topic = unique("json-client");
    let arguments = ["--from", JSON, "--to", &ours, "--topic", &topic, "--to-hex"];
    let (hex, well) = convert(&arguments, &connect)?;
    assert!(well, "{hex}");
    assert_eq!(
        lines(&client("json_schema.py", &["read", url, &topic], &hex)?)?,
        payloads
    );
    let schema = json!({"type": "struct", "name": "shop.Logical", "optional": false, "fields": [
        {"field": "note", "type": "string", "optional": true},
        {"field": "day", "type": "int32", "name": "org.apache.kafka.connect.data.Date", "version": 1, "optional": true},
        {"field": "total", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "version": 1,
         "parameters": {"scale": "2"}, "optional": false},
        {"field": "counts", "type": "map", "optional": false, "keys": {"type": "int32", "optional": false},
         "values": {"type": "boolean", "optional": true}}]});
    let line = |payload: Value| format!("{}\n", json!({"schema": schema, "payload": payload}));
    let connect = line(json!({"note": null, "day": 19782, "total": "MDk=", "counts": [[1, true]]}))
        + &line(json!({"note": "n", "day": null, "total": "AA==", "counts": [[2, null]]}));
    let topic = unique("json-logical");
    let ours_numeric = format!("{ours},decimal.format=NUMERIC");
    let arguments = [
        "--from",
        JSON,
        "--to",
        &ours_numeric,
        "--topic",
        &topic,
        "--to-hex",
    ];
    let (hex, well) = convert(&arguments, &connect)?;
    assert!(well, "{hex}");
    assert_eq!(
        lines(&client("json_schema.py", &["read", url, &topic], &hex)?)?,
        [
            json!({"note": null, "day": 19782, "total": 123.45, "counts": [{"key": 1, "value": true}]}),
            json!({"note": "n", "day": null, "total": 0.0, "counts": [{"key": 2, "value": null}]}),
        ]
    );

    let theirs = unique("json-theirs");
    let schema = r##"{"$schema":"http://json-schema.org/draft-07/schema#","title":"P","type":"object",
        "properties":{"a":{"type":"integer"},"b":{"oneOf":[{"type":"null"},{"$ref":"#/definitions/B"}]}},
        "definitions":{"B":{"type":"object","properties":{"c":{"type":"string"}}}}}"##;
    let records = "{\"a\":1,\"b\":{\"c\":\"x\"}}\n{\"a\":2,\"b\":null}\n";
    let hex = client("json_schema.py", &["write", url, &theirs, schema], records)?;
    assert_eq!(read_plain(&ours, &theirs, &hex)?, lines(records)?);
    Ok(())
}

#[test]
fn another_client_reads_our_protobuf_and_we_read_its() -> Outcome<()> {
    let url = registry().url();
    let ours = format!("io.confluent.connect.protobuf.ProtobufConverter,schema.registry.url={url}");
    let (connect, payloads) = items();
    let topic = unique("proto-client");
    let arguments = ["--from", JSON, "--to", &ours, "--topic", &topic, "--to-hex"];
    let (hex, well) = convert(&arguments, &connect)?;
    assert!(well, "{hex}");
    let mut read = lines(&client("protobuf.py", &["read", url, &topic], &hex)?)?;
    // Protobuf's JSON has 64-bit numbers and times as texts.
    let times = ["2023-11-14T22:13:20.123Z", "1969-12-31T23:59:59.999Z"];
    for (item, (time, payload)) in read.iter_mut().zip(times.iter().zip(&payloads)) {
        item["id"] = text(item, "id").parse::<i64>()?.into();
        assert_eq!(item["at"], *time);
        item["at"] = payload["at"].clone();
    }
    assert_eq!(read, payloads);

    let theirs = unique("proto-theirs");
    let item = |(item, time): (&Value, &&str)| {
        let mut item = item.clone();
        item["at"] = json!(time);
        format!("{item}\n")
    };
    let records: String = payloads.iter().zip(&times).map(item).collect();
    let hex = client("protobuf.py", &["write", url, &theirs], &records)?;
    assert_eq!(read_plain(&ours, &theirs, &hex)?, payloads);
    Ok(())
}
