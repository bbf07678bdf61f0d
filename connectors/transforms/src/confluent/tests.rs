//! Facts of Confluent's transformations, as their documentation gives them.

use connect_api::Result;
use connect_api::data::{ConnectMap, Header, SchemaAndValue, Value};
use connect_api::record::Record;

use crate::tests::transformation;

fn record(value: Value) -> Record {
    Record {
        topic: "bar".into(),
        value: SchemaAndValue {
            schema: None,
            value,
        },
        ..Record::default()
    }
}

fn map(entries: &[(&'static str, Value)]) -> Value {
    let map: ConnectMap = entries
        .iter()
        .map(|(key, value)| (Value::text(key), value.clone()))
        .collect();
    Value::Map(Box::new(map))
}

fn topic(name: &str, options: &[(&str, &str)], record: Record) -> Result<String> {
    let after = transformation(name, options)?.apply(record)?;
    Ok(after.expect("not dropped").topic.to_string())
}

#[test]
fn the_topic_is_extracted_from_a_field_the_whole_or_a_header() {
    let of = |options: &[(&str, &str)], value| topic("ExtractTopic$Value", options, record(value));
    let nested = map(&[
        ("kind", "orders".into()),
        ("in", map(&[("kind", "deep".into())])),
        ("n", 5.into()),
    ]);
    assert_eq!(
        of(&[("field", "kind")], nested.clone()).expect("found"),
        "orders"
    );
    for path in ["$.in.kind", "$['in']['kind']"] {
        let options = [("field", path), ("field.format", "JSON_PATH")];
        assert_eq!(of(&options, nested.clone()).expect("found"), "deep");
    }
    assert_eq!(of(&[], "whole".into()).expect("found"), "whole");
    assert!(of(&[("field", "nope")], nested.clone()).is_err());
    assert!(of(&[("field", "n")], nested.clone()).is_err(), "no string");
    let skip = [("field", "nope"), ("skip.missing.or.null", "true")];
    assert_eq!(of(&skip, nested).expect("kept"), "bar");
    let mut with_header = record(Value::Null);
    with_header.headers.push(Header {
        key: "t".into(),
        value: SchemaAndValue {
            schema: None,
            value: "named".into(),
        },
    });
    let found = topic("ExtractTopic$Header", &[("field", "t")], with_header);
    assert_eq!(found.expect("found"), "named");
    assert!(transformation("ExtractTopic$Header", &[]).is_err());
    assert!(
        transformation(
            "ExtractTopic$Key",
            &[("field", "a.b"), ("field.format", "JSON_PATH")]
        )
        .is_err()
    );
}

#[test]
fn tombstones_meet_what_the_behavior_says() {
    let passes = |behavior: &str, value| -> Result<bool> {
        let options = [("behavior", behavior)];
        let after = transformation("TombstoneHandler", &options)?.apply(record(value))?;
        Ok(after.is_some())
    };
    for (behavior, passes_on) in [
        ("drop_silent", false),
        ("DROP_WARN", false),
        ("warn", true),
        ("ignore", true),
    ] {
        assert_eq!(
            passes(behavior, Value::Null).expect(behavior),
            passes_on,
            "{behavior}"
        );
        assert!(passes(behavior, "x".into()).expect(behavior));
    }
    assert!(passes("fail", Value::Null).is_err());
    assert!(passes("nope", Value::Null).is_err());
}

#[test]
fn the_first_timestamp_that_a_message_has_names_the_topic() {
    let options = [
        ("topic.format", "foo-${topic}-${timestamp}"),
        ("message.timestamp.format", "yyyy-MM-dd"),
        ("topic.timestamp.format", "yyyy.MM.dd"),
        ("message.timestamp.keys", "timestamp,time,ts"),
    ];
    let of = |value| topic("MessageTimestampRouter", &options, record(value));
    let value = map(&[("time", "2019-08-06".into()), ("ts", "2020-01-01".into())]);
    assert_eq!(of(value).expect("found"), "foo-bar-2019.08.06");
    assert!(of(map(&[("other", "2019-08-06".into())])).is_err());
    assert!(of(map(&[("ts", "soon".into())])).is_err());
}
