//! Apicurio's own Avro converter beside ours under its name, in the mode that is Confluent's format:
//! the same bytes and schemas from the same data, and each reads what the other wrote.

use compat_tests::{Outcome, fail, parts};
use serde_json::{Value, json};

use crate::registry::{convert, piped, registry};
use crate::shared::unique;

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter,schemas.enable=true,replace.null.with.default=false";

fn options() -> Vec<String> {
    let address = registry().url();
    let base = address
        .split_once("/apis/")
        .map_or(address, |(base, _)| base);
    vec![
        format!("apicurio.registry.url={base}/apis/registry/v2"),
        "apicurio.registry.auto-register=true".to_owned(),
        "apicurio.registry.as-confluent=true".to_owned(),
        "apicurio.registry.use-id=contentId".to_owned(),
        "apicurio.registry.headers.enabled=false".to_owned(),
    ]
}

/// Messages, each with its topic, through Apicurio's converter.
fn apicurios(messages: &[(String, String)]) -> Outcome<Vec<String>> {
    let program = parts::java_source("apicurio-converter", "ApicurioConverter.java")?;
    let options = options();
    let arguments: Vec<&str> = program.iter().chain(&options).map(String::as_str).collect();
    let lines: Vec<String> = messages
        .iter()
        .map(|(topic, message)| format!("{topic}\t{message}\n"))
        .collect();
    let (out, _) = piped("java", &arguments, &lines.concat())?;
    let out: Vec<String> = out.lines().map(ToOwned::to_owned).collect();
    if out.len() != messages.len() {
        return fail(format!("{} of {} lines", out.len(), messages.len()));
    }
    Ok(out)
}

/// The same through ours.
fn ours(messages: &[(String, String)]) -> Outcome<Vec<String>> {
    let class = "io.apicurio.registry.utils.converter.AvroConverter";
    let avro = format!("{class},{}", options().join(","));
    let one = |(topic, message): &(String, String)| -> Outcome<String> {
        let (out, _) = match message.strip_prefix("0x") {
            Some(hex) => convert(
                &[
                    "--from",
                    &avro,
                    "--to",
                    JSON,
                    "--topic",
                    topic,
                    "--from-hex",
                ],
                hex,
            )?,
            None => convert(
                &["--from", JSON, "--to", &avro, "--topic", topic, "--to-hex"],
                message,
            )?,
        };
        let out = out.trim_end();
        Ok(
            match message.starts_with("0x") || out.starts_with("error") {
                true => out.to_owned(),
                false => format!("0x{out}"),
            },
        )
    };
    messages.iter().map(one).collect()
}

fn registered(topic: &str) -> Outcome<String> {
    let path = format!("/subjects/{topic}-value/versions/latest");
    let latest = registry().call("GET", &path, None)?;
    Ok(latest["schema"].as_str().unwrap_or_default().to_owned())
}

/// Data of each kind: the recorded cases' records, and roots that are none.
fn inputs() -> Outcome<Vec<Value>> {
    let recorded = parts::repository().join("compat-tests/recorded/converters.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(recorded)?)?;
    let plain = cases.into_iter().filter(|case| {
        case["converter"] == "avro"
            && case["config"] == json!({})
            && case["expect"]["hex"].is_string()
    });
    let mut inputs: Vec<Value> = plain.map(|mut case| case["input"].take()).collect();
    let decimal = json!({"type": "bytes", "optional": true, "version": 1, "parameters": {"scale": "2"},
        "name": "org.apache.kafka.connect.data.Decimal"});
    for (schema, payload) in [
        (json!({"type": "int32", "optional": true}), json!(5)),
        (json!({"type": "string", "optional": true}), json!("x")),
        (json!({"type": "bytes", "optional": false}), json!("AQI=")),
        (decimal, json!("AQI=")),
        (
            json!({"type": "array", "items": {"type": "int32", "optional": false}, "optional": true}),
            json!([1, 2]),
        ),
        (
            json!({"type": "struct", "name": "a.V", "version": 3, "optional": true, "fields": [
                {"field": "x", "type": "string", "optional": true, "doc": "f", "parameters": {"p": "q"}}]}),
            json!({"x": "y"}),
        ),
    ] {
        inputs.push(json!({"schema": schema, "payload": payload}));
    }
    Ok(inputs)
}

#[test]
fn apicurios_converter_and_ours_write_the_same_and_read_each_other() -> Outcome<()> {
    let (theirs, own) = (unique("theirs"), unique("own"));
    let inputs = inputs()?;
    assert!(inputs.len() > 25, "{}", inputs.len());
    let to = |run: &str| -> Vec<(String, String)> {
        let numbered = inputs.iter().enumerate();
        numbered
            .map(|(at, input)| (format!("{run}.{at}"), input.to_string()))
            .collect()
    };
    let (by_them, by_us) = (to(&theirs), to(&own));
    let (written, wrote) = (apicurios(&by_them)?, ours(&by_us)?);
    let mut schemas = std::collections::BTreeSet::new();
    for (at, (one, other)) in written.iter().zip(&wrote).enumerate() {
        assert_eq!(one, other, "{}", inputs[at]);
        let schema = registered(&by_us[at].0)?;
        // Their client registers one text under one subject only.
        if schemas.insert(schema.clone()) {
            assert_eq!(registered(&by_them[at].0)?, schema);
        }
    }
    let with = |messages: &[(String, String)], bytes: &[String]| -> Vec<(String, String)> {
        let topics = messages.iter().map(|(topic, _)| topic.clone());
        topics.zip(bytes.iter().cloned()).collect()
    };
    let read = apicurios(&with(&by_us, &wrote))?;
    for (at, (one, other)) in read
        .iter()
        .zip(ours(&with(&by_them, &written))?)
        .enumerate()
    {
        let ours: Value = serde_json::from_str(&other)?;
        // Of what is no record it has no schema, and texts it cannot read at all.
        let schema = &inputs[at]["schema"];
        if !schema.is_null() && schema["type"] != "struct" {
            assert!(!ours["schema"].is_null(), "{other}");
            continue;
        }
        assert_eq!(serde_json::from_str::<Value>(one)?, ours, "{}", inputs[at]);
    }
    Ok(())
}
