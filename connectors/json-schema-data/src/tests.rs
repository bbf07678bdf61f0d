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
        if case["converter"] != "jsonschema" { continue; }
        let name = case["name"].as_str().expect("n");
        let config = &case["config"];
        let options = JsonSchemaOptions {
            object_additional_properties: config["object.additional.properties"] != "false",
            use_optional_for_nonrequired: config["use.optional.for.nonrequired"] == "true",
            decimal_format: if config["decimal.format"] == "NUMERIC" { DecimalFormat::Numeric } else { DecimalFormat::Base64 },
            ..JsonSchemaOptions::default()
        };
        let (text, payload);
        if case["readonly"] == true {
            text = case["registered"].as_str().expect("r").to_owned();
            payload = hex(case["hex"].as_str().expect("h"));
        } else {
            if case["expect"]["hex"].is_null() { continue; }
            let input = envelope(&case["input"]);
            let schema = input.schema.expect("schema");
            text = schema_text(&schema, &options).expect("text");
            if text != case["expect"]["registered"].as_str().expect("r") {
                wrong += 1;
                println!("{name} TEXT\n ours {text}\n jvm  {}", case["expect"]["registered"].as_str().expect("r"));
            }
            let mut out = Vec::new();
            Writer::new(&schema, &options).write(&input.value, &mut out).expect("written");
            payload = hex(case["expect"]["hex"].as_str().expect("h"));
            if out != payload {
                wrong += 1;
                println!("{name} BYTES\n ours {}\n jvm  {}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&payload));
            }
        }
        let documents = Documents::parse(&text, &[]).expect("docs");
        let back = connect_schema(&documents, Some(1), &options, &mut 0).and_then(|schema| { let value = read(&Bytes::from(payload), &schema, &options)?; Ok(SchemaAndValue::new(schema, value)) });
        let expected = envelope(&case["back"]);
        match back {
            Ok(back) if back == expected => {}
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
