//! Every type in every mode against what the JVM connector made of it.
//!
//! `recorded.jsonl` holds its answers, one case a line: a type's schema, a text and its value in
//! snapshot and stream, a default expression, or what stands for a null. Where modes differ, the
//! answer of a mode stands beside that of the others, `*`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connect_api::data::SchemaAndValue;
use connect_api::data::json::{JsonOptions, JsonWriter};
use serde_json::Value as Json;

use super::modes::{BinaryMode, DecimalMode, HstoreMode, IntervalMode, TimeMode};
use super::*;
use crate::change::Text;

const RECORDED: &str = include_str!("recorded.jsonl");

/// The options that each name in the recording stands for.
fn modes() -> Vec<(&'static str, Modes)> {
    let default = Modes::default();
    let with = |time, binary| Modes {
        time,
        binary,
        ..default.clone()
    };
    vec![
        ("default", default.clone()),
        (
            "connect",
            Modes {
                decimal: DecimalMode::Double,
                hstore: HstoreMode::Map,
                interval: IntervalMode::String,
                ..with(TimeMode::Connect, BinaryMode::Hex)
            },
        ),
        (
            "micro",
            Modes {
                decimal: DecimalMode::String,
                ..with(TimeMode::Microseconds, BinaryMode::Base64)
            },
        ),
        (
            "nano",
            Modes {
                include_unknown: true,
                ..with(TimeMode::Nanoseconds, BinaryMode::Base64Url)
            },
        ),
        ("iso", with(TimeMode::IsoString, BinaryMode::Bytes)),
        ("structured", with(TimeMode::Structured, BinaryMode::Bytes)),
    ]
}

fn type_info(name: &str) -> Arc<TypeInfo> {
    let base = |name: &str| Arc::new(info(name, TypeKind::Base));
    let kind = match name {
        "mood" => TypeKind::Enum(["sad", "ok", "happy"].map(str::to_owned).to_vec()),
        "posint" => TypeKind::Domain(base("int4"), -1),
        "shortv" => TypeKind::Domain(base("varchar"), 11),
        "dnum" => TypeKind::Domain(base("numeric"), (7 << 16 | 3) + 4),
        "pair" => TypeKind::Composite,
        "int2vector" => TypeKind::Array(base("int2")),
        "oidvector" => TypeKind::Array(base("oid")),
        _ => match name.strip_prefix('_') {
            Some(element) => TypeKind::Array(type_info(element)),
            None if name.ends_with("multirange") => TypeKind::Multirange,
            None if name.ends_with("range") => TypeKind::Range,
            None => TypeKind::Base,
        },
    };
    Arc::new(info(name, kind))
}

fn info(name: &str, kind: TypeKind) -> TypeInfo {
    TypeInfo {
        oid: 0,
        name: name.to_owned(),
        schema: "pg_catalog".to_owned(),
        kind,
    }
}

fn column(case: &Json, optional: bool) -> ColumnInfo {
    ColumnInfo {
        name: "c".to_owned(),
        data_type: type_info(case["type"].as_str().unwrap()),
        type_modifier: i32::try_from(case["modifier"].as_i64().unwrap()).unwrap(),
        optional,
        default_expression: case["expression"].as_str().map(str::to_owned),
        generated: false,
        comment: None,
    }
}

/// The recorded answer for a mode, as JSON; null where the JVM has none.
fn recorded(answers: &Json, mode: &str) -> Json {
    match answers
        .get(mode)
        .or_else(|| answers.get("*"))
        .unwrap_or(&Json::Null)
    {
        Json::String(text) => serde_json::from_str(text).unwrap(),
        _ => Json::Null,
    }
}

fn payload(plan: &ColumnPlan, value: Value) -> Json {
    let mut out = Vec::new();
    let data = SchemaAndValue::new(Arc::clone(&plan.schema), value);
    let options = JsonOptions {
        replace_null_with_default: false,
        ..JsonOptions::schemaless()
    };
    JsonWriter::new(options).write(&data, &mut out).unwrap();
    if out.is_empty() {
        Json::Null
    } else {
        serde_json::from_slice(&out).unwrap()
    }
}

/// A schema as JSON, without what a column adds to its type's.
fn schema(plan: &ColumnPlan) -> Json {
    let mut out = Vec::new();
    let data = SchemaAndValue {
        schema: Some(Arc::clone(&plan.schema)),
        value: Value::Null,
    };
    JsonWriter::new(JsonOptions::default())
        .write(&data, &mut out)
        .unwrap();
    let mut text: Json = serde_json::from_slice(&out).unwrap();
    let mut schema = text["schema"].take();
    schema.as_object_mut().unwrap().remove("optional");
    schema
}

/// Numbers as such, so that `1.0` is `1`.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) => {
            x == y || (x.is_f64() || y.is_f64()) && x.as_f64() == y.as_f64()
        }
        (Json::Array(x), Json::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Json::Object(x), Json::Object(y)) => {
            x.len() == y.len()
                && x.iter()
                    .all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

/// Types whose values the JVM loses although its schema could hold them.
const LOST_THERE: [&str; 6] = [
    "_box",
    "_circle",
    "_line",
    "_time",
    "int2vector",
    "oidvector",
];

/// Calls `check` for each recorded case that has `what`, in each mode; `check` answers what we make
/// of it. Reports all differences at once.
fn against_the_recording(what: &str, check: impl Fn(&Json, &Modes) -> Json) {
    let (mut count, mut wrong) = (0, Vec::new());
    for line in RECORDED.lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let Some(answers) = case.get(what) else {
            continue;
        };
        let kept = case["type"]
            .as_str()
            .is_some_and(|name| LOST_THERE.contains(&name));
        if what == "snapshot" && kept {
            continue;
        }
        for (name, modes) in modes() {
            count += 1;
            let (expected, found) = (recorded(answers, name), check(&case, &modes));
            if !same(&expected, &found) {
                wrong.push(format!(
                    "{name} {line}\n  expected {expected}\n  found    {found}"
                ));
            }
        }
    }
    assert!(count > 100, "only {count} cases");
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn plan_of(column: &ColumnInfo, modes: &Modes) -> Option<ColumnPlan> {
    plan(column, modes, None, false, Phase::Stream).unwrap()
}

fn value_in(phase: Phase, case: &Json, modes: &Modes) -> Json {
    let Some(plan) = plan_of(&column(case, true), modes) else {
        return Json::Null;
    };
    let text = Bytes::from(case["text"].as_str().unwrap().to_owned());
    let value = plan
        .value(ColumnValue::Text(Text::of(&text)), phase)
        .unwrap_or_else(|lost| lost.instead.unwrap_or_default());
    payload(&plan, value)
}

#[test]
fn schemas_are_the_jvms() {
    against_the_recording("schema", |case, modes| {
        plan_of(&column(case, true), modes).map_or(Json::Null, |plan| schema(&plan))
    });
}

#[test]
fn values_of_a_snapshot_are_the_jvms() {
    against_the_recording("snapshot", |case, modes| {
        value_in(Phase::Snapshot, case, modes)
    });
}

#[test]
fn values_of_the_stream_are_the_jvms() {
    // A line without an answer of the stream has the snapshot's there too.
    against_the_recording("snapshot", |case, modes| {
        if case.get("stream").is_some() {
            value_in(Phase::Snapshot, case, modes)
        } else {
            value_in(Phase::Stream, case, modes)
        }
    });
    let streamed = RECORDED.lines().filter(|line| line.contains("\"stream\""));
    for line in streamed {
        let case: Json = serde_json::from_str(line).unwrap();
        for (name, modes) in modes() {
            let expected = recorded(&case["stream"], name);
            let found = value_in(Phase::Stream, &case, &modes);
            assert!(same(&expected, &found), "{name} {line}\n  found {found}");
        }
    }
}

#[test]
fn a_text_that_is_copied_is_what_is_written_of_its_value() {
    let mut copied = 0;
    let mut check = |kind: &str, modifier: i64, text: &str, modes: &Modes| {
        let case = serde_json::json!({ "type": kind, "modifier": modifier });
        let Some(plan) = plan_of(&column(&case, true), modes) else {
            return;
        };
        let bytes = Bytes::from(text.to_owned());
        let cell = ColumnValue::Text(Text::of(&bytes));
        let mut out = Vec::new();
        if plan.write_plain(cell, &mut out) {
            copied += 1;
            let value = plan.value(cell, Phase::Stream).unwrap();
            let mut long = Vec::new();
            let data = SchemaAndValue::new(Arc::clone(&plan.schema), value);
            let mut writer = JsonWriter::new(JsonOptions::schemaless());
            writer.write(&data, &mut long).unwrap();
            assert_eq!(out, long, "{kind} {text}");
        } else {
            assert_eq!(out, b"", "{kind} {text}");
        }
    };
    for line in RECORDED.lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let (Some(kind), Some(text)) = (case["type"].as_str(), case["text"].as_str()) else {
            continue;
        };
        for (_, modes) in modes() {
            check(kind, case["modifier"].as_i64().unwrap(), text, &modes);
        }
    }
    let odd = [
        "",
        "-",
        "-0",
        "0",
        "00",
        "007",
        "+1",
        "1 ",
        "9999",
        "-9999",
        "10000",
        "32768",
        "-32769",
        "2147483647",
        "2147483648",
        "999999999999999999",
        "9223372036854775807",
        "9223372036854775808",
        "1.0",
        "t",
        "f",
        "true",
        "yes",
        "\u{1}\"\\\n\u{1f600}é",
    ];
    for kind in [
        "int2", "int4", "int8", "oid", "bool", "text", "jsonb", "name", "numeric",
    ] {
        for text in odd {
            check(kind, -1, text, &Modes::default());
        }
    }
    let times = [
        "2024-02-29 13:14:15+00",
        "2024-02-29 13:14:15.5+00",
        "2024-02-29 13:14:15.123456+00",
        "2024-02-29 13:14:15.1234567+00",
        "2024-02-29 13:14:15.+00",
        "2024-02-29 24:00:00+00",
        "2024-13-01 13:14:15+00",
        "2024-02-29 13:14:15+02",
        "2024-02-29 13:14:15+00 BC",
        "2024-02-29 13:14:15",
        "2024-02-29T13:14:15+00",
        "12024-02-29 13:14:15+00",
        "0001-01-01 00:00:00+00",
        "infinity",
    ];
    for text in times {
        for modifier in [-1, 0, 1, 3, 6] {
            for (_, modes) in modes() {
                check("timestamptz", modifier, text, &modes);
                check("timestamp", modifier, text, &modes);
            }
        }
    }
    assert!(copied > 400, "only {copied} were");
}

#[test]
fn a_text_that_is_no_utf_8_is_not_copied() {
    let case = serde_json::json!({ "type": "text", "modifier": -1 });
    let plan = plan_of(&column(&case, true), &Modes::default()).unwrap();
    let bytes = Bytes::from_static(b"a\xff");
    let mut out = Vec::new();
    assert!(!plan.write_plain(ColumnValue::Text(Text::of(&bytes)), &mut out));
    assert_eq!(out, b"");
}

#[test]
fn what_the_jvm_loses_of_arrays_is_kept_where_the_schema_can_hold_it() {
    let value = |kind: &str, text: &str| {
        let case = serde_json::json!({ "type": kind, "modifier": -1, "text": text });
        value_in(Phase::Stream, &case, &Modes::default()).to_string()
    };
    assert_eq!(
        value("_time", "{12:34:56.789012,24:00:00}"),
        "[45296789012,86400000000]"
    );
    assert_eq!(
        value("_line", r#"{"{1,2,3}"}"#),
        r#"[{"a":1.0,"b":2.0,"c":3.0}]"#
    );
    assert_eq!(value("int2vector", "1 2"), "[1,2]");
    assert_eq!(value("oidvector", ""), "[]");
    assert_eq!(value("_int2vector", r#"{"1 2","3"}"#), "[[1,2],[3]]");
    assert_eq!(
        value("_text", r#"{{a,"b c"},{d,NULL}}"#),
        r#"["{a,\"b c\"}","{d,NULL}"]"#
    );
    // Before the calendar's reform the driver counts Julian days in arrays.
    assert_eq!(
        value("_timestamp", r#"{"1582-10-10 00:00:00"}"#),
        "[-12219724800000000]"
    );
    let boxes = value("_box", "{(3,4),(1,2);(0,0),(0,0)}");
    assert_eq!(boxes.matches("\"type\":\"box\"").count(), 2, "{boxes}");
}

#[test]
fn what_a_schema_cannot_hold_is_told() {
    let lost = |kind: &str, text: &'static str| {
        let case = serde_json::json!({ "type": kind, "modifier": -1, "text": text });
        let plan = plan_of(&column(&case, true), &Modes::default()).unwrap();
        let text = Bytes::from_static(text.as_bytes());
        let result = plan.value(ColumnValue::Text(Text::of(&text)), Phase::Stream);
        result.err().map(|lost| lost.instead)
    };
    assert_eq!(lost("_int4", "{1,NULL}"), None);
    let rows = Value::Array(vec![Value::Null, Value::Null]);
    assert_eq!(lost("_int4", "{{1,2},{3,4}}"), Some(Some(rows)));
    assert_eq!(lost("name", "n"), Some(Some(Value::Null)));
    // Its elements may not be null, so that nothing of it can be kept.
    assert_eq!(lost("_tsvector", "{a,NULL}"), Some(None));
    assert_eq!(lost("numeric", "NaN"), Some(None));
}

#[test]
fn an_older_line_knows_fewer_types() {
    let modes = Modes {
        compat: crate::config::CompatVersion::V24,
        ..Modes::default()
    };
    for (name, known) in [
        ("tsvector", false),
        ("_box", false),
        ("circle", false),
        ("point", true),
    ] {
        let case = serde_json::json!({ "type": name, "modifier": -1 });
        assert_eq!(
            plan_of(&column(&case, true), &modes).is_some(),
            known,
            "{name}"
        );
    }
}

#[test]
fn defaults_are_the_jvms() {
    against_the_recording("default", |case, modes| {
        let Some(plan) = plan_of(&column(case, true), modes) else {
            return Json::Null;
        };
        let default = plan.schema.default_value().cloned().unwrap_or_default();
        payload(&plan, default)
    });
}

#[test]
fn what_stands_for_a_null_is_the_jvms() {
    against_the_recording("fallback", |case, modes| {
        let plan = plan_of(&column(case, false), modes).unwrap();
        let value = plan.value(ColumnValue::Null, Phase::Stream).unwrap();
        payload(&plan, value)
    });
}

#[test]
fn an_unchanged_value_becomes_its_placeholder() {
    let placeholder = "__debezium_unavailable_value";
    let octets: Vec<Json> = placeholder.bytes().map(Json::from).collect();
    let encoded = STANDARD.encode(placeholder);
    for (name, expected) in [
        ("text", Json::from(placeholder)),
        ("jsonb", Json::from(placeholder)),
        ("citext", Json::from(placeholder)),
        ("bytea", Json::from(encoded.as_str())),
        ("_text", Json::from(vec![placeholder])),
        ("_jsonb", Json::from(vec![placeholder])),
        ("_bytea", Json::from(vec![encoded.as_str()])),
        ("_int4", Json::from(octets.clone())),
        ("_int8", Json::from(octets.clone())),
        ("_date", Json::from(octets)),
        (
            "_uuid",
            Json::from(vec!["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]),
        ),
        (
            "hstore",
            Json::from(format!("{{\"{placeholder}\":\"{placeholder}\"}}")),
        ),
        ("tsvector", Json::from(placeholder)),
    ] {
        let case = serde_json::json!({ "type": name, "modifier": -1 });
        let plan = plan_of(&column(&case, true), &Modes::default()).unwrap();
        let value = plan.value(ColumnValue::Unchanged, Phase::Stream).unwrap();
        assert_eq!(payload(&plan, value), expected, "{name}");
    }
    for name in ["numeric", "_float8"] {
        let case = serde_json::json!({ "type": name, "modifier": -1 });
        let plan = plan_of(&column(&case, true), &Modes::default()).unwrap();
        assert!(
            plan.value(ColumnValue::Unchanged, Phase::Stream).is_err(),
            "{name}"
        );
    }
    for binary in [modes::BinaryMode::Base64, modes::BinaryMode::Base64Url] {
        let modes = Modes {
            binary,
            ..Modes::default()
        };
        for (name, expected) in [
            ("bytea", Json::from(placeholder)),
            ("_bytea", Json::from(vec![placeholder])),
        ] {
            let case = serde_json::json!({ "type": name, "modifier": -1 });
            let plan = plan_of(&column(&case, false), &modes).unwrap();
            let value = plan.value(ColumnValue::Unchanged, Phase::Stream).unwrap();
            assert_eq!(payload(&plan, value), expected, "{name}");
        }
    }
}

#[test]
fn a_placeholder_of_octets_is_text_and_bytes() {
    let modes = Modes {
        placeholder: modes::Placeholder::parse("hex:414243"),
        ..Modes::default()
    };
    for (name, expected) in [("text", "ABC"), ("bytea", "QUJD")] {
        let case = serde_json::json!({ "type": name, "modifier": -1 });
        let plan = plan_of(&column(&case, true), &modes).unwrap();
        let value = plan.value(ColumnValue::Unchanged, Phase::Stream).unwrap();
        assert_eq!(payload(&plan, value), expected);
    }
    // Java's bytes have a sign.
    let modes = Modes {
        placeholder: modes::Placeholder::parse("hex:c341"),
        ..Modes::default()
    };
    for name in ["_int4", "_int8", "_date"] {
        let case = serde_json::json!({ "type": name, "modifier": -1 });
        let plan = plan_of(&column(&case, true), &modes).unwrap();
        let value = plan.value(ColumnValue::Unchanged, Phase::Stream).unwrap();
        assert_eq!(
            payload(&plan, value),
            serde_json::json!([-61, 65]),
            "{name}"
        );
    }
}

#[test]
fn no_garbled_text_panics() {
    for line in RECORDED.lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let Some(text) = case["text"].as_str() else {
            continue;
        };
        for (_, modes) in modes() {
            let Some(plan) = plan_of(&column(&case, true), &modes) else {
                continue;
            };
            for end in 0..=text.len() {
                for tail in [&b""[..], b"\xff", b"\\", b"{", b"9999999999"] {
                    let garbled = Bytes::from([&text.as_bytes()[..end], tail].concat());
                    let cell = ColumnValue::Text(Text::of(&garbled));
                    let _either = plan.value(cell, Phase::Snapshot);
                }
            }
        }
    }
}

#[test]
fn types_without_a_form_are_left_out_or_opaque() {
    let pair = serde_json::json!({ "type": "pair", "modifier": -1, "text": "(1,x)" });
    assert!(plan_of(&column(&pair, true), &Modes::default()).is_none());
    let modes = Modes {
        include_unknown: true,
        ..Modes::default()
    };
    assert_eq!(value_in(Phase::Stream, &pair, &modes), "KDEseCk=");
    for name in ["_money", "_interval", "_xml", "_name"] {
        let case = serde_json::json!({ "type": name, "modifier": -1 });
        assert!(plan_of(&column(&case, true), &modes).is_none(), "{name}");
    }
    let domains = serde_json::json!({ "type": "_posint", "modifier": -1, "text": "{5}" });
    assert!(plan_of(&column(&domains, true), &Modes::default()).is_none());
    assert_eq!(
        value_in(Phase::Stream, &domains, &modes),
        Json::from(vec!["NQ=="])
    );
}
