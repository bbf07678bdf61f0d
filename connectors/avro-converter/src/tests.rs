//! The recorded cases of Confluent's converter, and what they do not say.

use std::path::Path;

use connect_api::Bytes;
use connect_api::config::Config;
use connect_api::converter::Converter as _;
use connect_api::data::json::{JsonOptions, JsonReader, JsonWriter};
use connect_api::data::{Headers, SchemaAndValue};
use schema_registry::mock::MockRegistry;
use schema_registry::{Language as _, Registry as _, RegistrySchema, SchemaKind, Serde, Settings};
use serde_json::{Value as Json, json};

use crate::config;
use crate::converter::{Avro, AvroConverter};

fn parsed(options: &Json) -> Config {
    let mut props = connect_api::Props::new();
    props.insert("schema.registry.url".to_owned(), "http://unused".to_owned());
    for (key, value) in options.as_object().into_iter().flatten() {
        props.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
    }
    config::definition().parse(&props).expect("valid options")
}

pub(super) fn converter(options: &Json, is_key: bool, registry: &MockRegistry) -> AvroConverter {
    let config = parsed(options);
    let settings = Settings::new(&config, is_key).expect("valid options");
    let serde = Serde::over(SchemaKind::Avro, settings, Box::new(registry.clone()));
    AvroConverter::over(Avro::new(serde, &config))
}

fn json_options() -> JsonOptions {
    JsonOptions {
        replace_null_with_default: false,
        ..JsonOptions::default()
    }
}

/// The data of a case. A null of a required schema is none in Connect JSON, and is one here.
fn from_json(json: &Json) -> SchemaAndValue {
    let read = |json: &Json| {
        let text = Bytes::from(json.to_string());
        JsonReader::new(json_options()).read(Some(&text))
    };
    if json["payload"].is_null() && json["schema"]["optional"] == json!(false) {
        let mut optional = json.clone();
        optional["schema"]["optional"] = json!(true);
        let mut data = read(&optional).expect("Connect JSON");
        data.schema = data
            .schema
            .map(|schema| schema.to_builder().optional_if(false).build());
        return data;
    }
    read(json).expect("Connect JSON")
}

fn to_json(data: &SchemaAndValue) -> Json {
    let mut text = Vec::new();
    if !JsonWriter::new(json_options())
        .write(data, &mut text)
        .expect("has a JSON form")
    {
        return json!({"schema": null, "payload": null});
    }
    serde_json::from_slice(&text).expect("JSON")
}

/// The recorded cases of all converters.
pub(super) fn recorded() -> Vec<Json> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compat-tests/recorded/converters.json");
    let text = std::fs::read_to_string(&path).expect("the recorded cases");
    serde_json::from_str(&text).expect("JSON")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
                .expect("hex")
        })
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn avro(text: &Json) -> RegistrySchema {
    let text = match text {
        Json::String(text) => text.clone(),
        schema => schema.to_string(),
    };
    RegistrySchema::new(SchemaKind::Avro, text)
}

/// `Simple: message` of an error and of each of its causes.
fn chain(error: &connect_api::Error) -> Vec<String> {
    error
        .trace()
        .lines()
        .map(|line| {
            let line = line.strip_prefix("Caused by: ").unwrap_or(line);
            match line.split_once(": ") {
                Some((class, message)) if class.contains('.') => {
                    let simple = class.rsplit('.').next().unwrap_or(class);
                    format!("{simple}: {message}")
                }
                _ => line.to_owned(),
            }
        })
        .collect()
}

/// What differs between a case and what we do.
fn differences(case: &Json) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, ours: Json, theirs: &Json| {
        if ours != *theirs {
            found.push(format!("{what}\n     ours {ours}\n   theirs {theirs}"));
        }
    };
    let topic = case["topic"].as_str().expect("a topic");
    let is_key = case["isKey"] == json!(true);
    let mut registry = MockRegistry::new();
    for before in case["preregistered"].as_array().into_iter().flatten() {
        let subject = before["subject"].as_str().expect("a subject");
        registry
            .register(subject, &avro(&before["schema"]), false)
            .expect("registered");
    }
    let mut converter_ = converter(&case["config"], is_key, &registry);
    let mut out = Vec::new();
    let framed = if case["readonly"] == json!(true) {
        let side = if is_key { "key" } else { "value" };
        let registered = registry
            .register(
                &format!("{topic}-{side}"),
                &avro(&case["registered"]),
                false,
            )
            .expect("registered");
        out.push(0);
        out.extend_from_slice(&registered.id.to_be_bytes());
        out.extend(unhex(case["hex"].as_str().expect("hex")));
        Some(out)
    } else {
        let expect = &case["expect"];
        let data = from_json(&case["input"]);
        let written = converter_.from_connect_data(topic, &mut Headers::new(), &data, &mut out);
        match written {
            Err(error) => {
                let chain = chain(&error);
                differ("error", json!(chain[0]), &expect["error"]);
                if !expect["causes"].is_null() {
                    differ("causes", json!(chain[1..]), &expect["causes"]);
                }
                return found;
            }
            Ok(false) => {
                differ("hex", Json::Null, &expect["hex"]);
                None
            }
            Ok(true) => {
                let subject = expect["subject"].as_str().unwrap_or_default();
                let latest = registry
                    .latest(subject)
                    .ok()
                    .and_then(|latest| latest.schema);
                let text = latest.map(|schema| schema.text.to_string());
                differ("registered", json!(text), &expect["registered"]);
                differ("hex", json!(hex(&out[5..])), &expect["hex"]);
                Some(out)
            }
        }
    };
    let back = &case["back"];
    if back.is_null() {
        return found;
    }
    let mut reader = converter(&case["config"], is_key, &registry);
    let bytes = framed.map(Bytes::from);
    match reader.to_connect_data(topic, &Headers::new(), bytes.as_ref()) {
        Ok(data) => differ("back", to_json(&data), back),
        Err(error) => differ("back error", json!(chain(&error)), &back["error"]),
    }
    found
}

#[test]
fn every_recorded_case_comes_out_as_recorded() {
    let cases = recorded();
    let cases = cases.iter().filter(|case| case["converter"] == "avro");
    let mut count = 0;
    let mut report = String::new();
    for case in cases {
        count += 1;
        for difference in differences(case) {
            report.push_str(&format!("{}: {difference}\n", case["name"]));
        }
    }
    assert!(count > 40, "{count} cases");
    assert!(report.is_empty(), "{report}");
}
