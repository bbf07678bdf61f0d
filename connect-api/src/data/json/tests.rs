//! What the real `JsonConverter` 4.3.1 makes of some hundred messages, recorded: each was read, and
//! what was read was written again with and without schemas.

use super::*;
use crate::data::{Schema, SchemaAndValue, SchemaRef, Struct, logical};

#[derive(serde::Deserialize)]
struct Recorded {
    r#in: String,
    schemas: bool,
    numeric: bool,
    replace: bool,
    out: Option<String>,
    other: Option<String>,
    read_error: Option<String>,
    write_error: Option<String>,
}

/// Half a surrogate pair: a Java string can hold it, ours cannot.
const NOT_UNICODE: &str = r#""\ud800""#;

fn write(options: JsonOptions, data: &SchemaAndValue) -> Result<Option<String>> {
    let mut out = Vec::new();
    let written = JsonWriter::new(options).write(data, &mut out)?;
    Ok(written.then(|| String::from_utf8(out).expect("UTF-8")))
}

/// Class and message of a recorded error's first line, and its cause's text.
fn recorded_error(text: &str) -> (String, Option<String>) {
    let mut parts = text.split("\n| ");
    let first = parts.next().unwrap_or_default();
    let message = first
        .split_once(": ")
        .map_or(first, |(_, message)| message)
        .to_owned();
    (message, parts.next().map(str::to_owned))
}

#[test]
fn messages_are_read_and_written_as_the_jvm_did() {
    let recorded: Vec<Recorded> =
        serde_json::from_str(include_str!("../../../tests/data/json_converter.json"))
            .expect("recorded answers");
    assert!(recorded.len() > 300);
    let mut wrong = Vec::new();
    for case in &recorded {
        if case.r#in == NOT_UNICODE {
            continue;
        }
        let options = JsonOptions {
            schemas_enable: case.schemas,
            replace_null_with_default: case.replace,
            ..JsonOptions::default()
        };
        let bytes = Bytes::copy_from_slice(case.r#in.as_bytes());
        let mut reader = JsonReader::new(options);
        let read = reader.read(Some(&bytes));
        // Once more with the schema known.
        let again = reader.read(Some(&bytes));
        let mut check = |what: &str, ours: Option<String>, java: Option<String>| {
            if ours != java {
                wrong.push(format!(
                    "{what} of {}\n  ours {ours:?}\n  java {java:?}",
                    case.r#in
                ));
            }
        };
        check(
            "second reading",
            again.as_ref().err().map(Error::trace),
            read.as_ref().err().map(Error::trace),
        );
        match (read, &case.read_error) {
            (Ok(data), None) => {
                assert_eq!(again.expect("as before"), data);
                let format = if case.numeric {
                    DecimalFormat::Numeric
                } else {
                    DecimalFormat::Base64
                };
                let options = JsonOptions {
                    decimal_format: format,
                    ..options
                };
                let turned = JsonOptions {
                    schemas_enable: !case.schemas,
                    ..options
                };
                match (
                    write(options, &data),
                    write(turned, &data),
                    &case.write_error,
                ) {
                    (Ok(out), Ok(other), None) => {
                        check("text", out, case.out.clone());
                        check("other text", other, case.other.clone());
                    }
                    (Err(error), _, Some(java)) | (_, Err(error), Some(java)) => {
                        let (message, _) = recorded_error(java);
                        check(
                            "write error",
                            Some(error.message().to_owned()),
                            Some(message),
                        );
                    }
                    (out, _, java) => check(
                        "write",
                        Some(format!("{out:?}")),
                        java.clone().or_else(|| case.out.clone()),
                    ),
                }
            }
            (Err(error), Some(java)) => {
                let (message, cause) = recorded_error(java);
                check("error", Some(error.message().to_owned()), Some(message));
                if cause
                    .as_ref()
                    .is_some_and(|cause| cause.contains("SerializationException"))
                {
                    let ours = std::error::Error::source(&error).map(ToString::to_string);
                    check("cause", ours, cause);
                }
            }
            (Ok(data), Some(java)) => check(
                "reading",
                Some(format!("{:?}", data.value)),
                Some(java.clone()),
            ),
            (Err(error), None) => check("reading", Some(error.trace()), case.out.clone()),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn nested() -> (SchemaRef, SchemaAndValue) {
    let row = Schema::structure()
        .optional()
        .field("id", Schema::int32().build())
        .build();
    let schema = Schema::structure()
        .name("e")
        .field("after", row.clone())
        .field("d", logical::decimal(2).optional().build())
        .field("t", logical::timestamp().optional().build())
        .build();
    let values = vec![
        Struct::new(row, vec![Value::Int32(5)]).into(),
        crate::data::Decimal::new(1230, 2).into(),
        Value::Timestamp(7),
    ];
    (
        schema.clone(),
        SchemaAndValue::new(schema.clone(), Struct::new(schema, values)),
    )
}

#[test]
fn what_is_written_is_read_again_and_schemas_are_shared() {
    let (_, data) = nested();
    let mut writer = JsonWriter::new(JsonOptions::default());
    let mut reader = JsonReader::new(JsonOptions::default());
    let mut read = |data: &SchemaAndValue| {
        let mut out = Vec::new();
        assert!(writer.write(data, &mut out).expect("written"));
        reader.read(Some(&Bytes::from(out))).expect("read")
    };
    let first = read(&data);
    assert_eq!(first, data);
    let second = read(&data);
    let (Some(a), Some(b)) = (&first.schema, &second.schema) else {
        panic!("schemas")
    };
    assert!(std::sync::Arc::ptr_eq(a, b), "one schema for one text");
    // Another layout of an equal schema is the same schema.
    let mut out = Vec::new();
    writer.write(&data, &mut out).expect("written");
    let spaced =
        String::from_utf8(out)
            .expect("UTF-8")
            .replacen("{\"schema\":{", "{\"schema\": {", 1);
    let third = reader.read(Some(&Bytes::from(spaced))).expect("read");
    assert!(
        third
            .schema
            .is_some_and(|schema| std::sync::Arc::ptr_eq(a, &schema))
    );
}

#[test]
fn strings_share_the_message() {
    let bytes = Bytes::from_static(br#"{"k":"value"}"#);
    let value = parse_schemaless(&bytes).expect("JSON");
    let text = value
        .as_map()
        .and_then(|map| map.get_str("k"))
        .and_then(Value::as_str)
        .expect("k");
    let range = bytes.as_ptr_range();
    assert!(range.contains(&text.as_ptr()));
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let (schema, _) = nested();
    let mut out = b"before".to_vec();
    let bad = SchemaAndValue::new(schema, "no struct");
    let error = JsonWriter::new(JsonOptions::default())
        .write(&bad, &mut out)
        .expect_err("bad");
    assert_eq!(
        error.message(),
        "Invalid type for STRUCT: class java.lang.String"
    );
    assert_eq!(out, b"before");
}

#[test]
fn a_schema_in_the_options_stands_for_every_message() {
    let content = r#"{"type":"struct","fields":[{"type":"int32","field":"a"}]}"#;
    let mut reader =
        JsonReader::with_schema_content(JsonOptions::default(), content).expect("a schema");
    let data = reader
        .read(Some(&Bytes::from_static(b"{\"a\":5}")))
        .expect("a payload");
    assert_eq!(
        data.value.as_struct().and_then(|value| value.get("a")),
        Some(&Value::Int32(5))
    );
    let error = JsonReader::with_schema_content(JsonOptions::default(), "{").expect_err("no JSON");
    assert_eq!(
        error.message(),
        "Failed to parse schema in converter config due to serialization error: "
    );
}

#[test]
fn offsets_are_json_in_java_s_order() {
    let map: OffsetMap = [
        ("lsn", Value::Int64(5)),
        ("txId", Value::Null),
        ("last", "x".into()),
    ]
    .into_iter()
    .map(|(key, value)| (ByteString::from_static(key), value))
    .collect();
    let mut out = Vec::new();
    write_offset_map(&map, &mut out).expect("written");
    let read = parse_offset_map(&Bytes::from(out.clone()))
        .expect("read")
        .expect("not null");
    assert_eq!(read, map);
    let mut again = Vec::new();
    write_offset_map(&read, &mut again).expect("written");
    assert_eq!(out, again);
    assert_eq!(
        parse_offset_map(&Bytes::from_static(b"null")).expect("read"),
        None
    );
    assert!(parse_offset_map(&Bytes::from_static(b"[1]")).is_err());
}

#[test]
fn the_short_way_reads_what_the_long_way_reads() {
    let recorded: Vec<Recorded> =
        serde_json::from_str(include_str!("../../../tests/data/json_converter.json"))
            .expect("recorded answers");
    // A linear congruential generator (Knuth's MMIX) damages the messages, every run alike.
    let mut state = 42u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut short = 0;
    for round in 0..40 {
        for case in recorded
            .iter()
            .filter(|case| case.schemas && case.r#in.len() < 2000)
        {
            let mut bytes = case.r#in.clone().into_bytes();
            // The schema is left alone most of the time, else nothing would be known.
            let start = match case.r#in.find("payload\":") {
                Some(at) if round % 8 > 0 => at + 9,
                _ => 0,
            };
            if round > 0 && start < bytes.len() {
                let at = start + random(bytes.len() - start);
                match random(3) {
                    0 => bytes[at] = b"{}[],:\"\\ 019.-enu\xff"[random(18)],
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, b"{}[],:\"\\ 019.-enu\n"[random(18)]),
                }
            }
            let bytes = Bytes::from(bytes);
            let (usual, any) = JsonReader::both_ways(JsonOptions::default(), &bytes);
            if let Some(usual) = usual {
                short += 1;
                assert_eq!(usual, any.unwrap_or_default(), "{bytes:?}");
            }
        }
    }
    assert!(short > 1000, "the short way is taken: {short}");
}

#[test]
fn fields_in_any_order_or_missing_are_read_the_same_both_ways() {
    let schema = r#"{"type":"struct","optional":false,"fields":[{"field":"a","type":"int32","optional":true},{"field":"b","type":"int32","optional":true,"default":7},{"field":"c","type":"string","optional":true}]}"#;
    for payload in [
        r#"{"a":1,"b":2,"c":"x"}"#,
        r#"{"c":"x","b":2,"a":1}"#,
        r#"{"a":1,"c":"x"}"#,
        r#"{"b":2,"c":"x"}"#,
        r#"{"a":1,"b":null}"#,
        r#"{"a":1,"z":[1,{"a":2}],"b":2,"c":"x"}"#,
        r#"{"a":1,"a":3,"b":2,"b":null,"c":"x"}"#,
        r#"{"a":1,"b":2,"c":"x","a":4}"#,
        "{}",
    ] {
        let message = Bytes::from(format!(r#"{{"schema":{schema},"payload":{payload}}}"#));
        let (short, long) = JsonReader::both_ways(JsonOptions::default(), &message);
        assert_eq!(short, long, "{payload}");
        assert!(short.is_some(), "{payload} takes the short way");
    }
}
