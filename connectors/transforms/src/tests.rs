//! Facts of the transformations, taken from Kafka's.

use connect_api::context::PluginContext;
use connect_api::data::json::{JsonOptions, JsonReader, JsonWriter};
use connect_api::data::{
    ConnectMap, Header, Schema, SchemaAndValue, SchemaType, Struct, Value, logical,
};
use connect_api::plugin::Make;
use connect_api::record::Record;
use connect_api::transform::{Predicate, Transformation};
use connect_api::{Props, Result};

use super::PLUGINS;

pub(crate) fn context() -> PluginContext {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    PluginContext {
        runtime: runtime.handle().clone(),
    }
}

fn props(options: &[(&str, &str)]) -> Props {
    options
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

pub(crate) fn transformation(
    name: &str,
    options: &[(&str, &str)],
) -> Result<Box<dyn Transformation>> {
    let mut made = PLUGINS
        .iter()
        .find_map(|plugin| match plugin.make {
            Make::Transformation(make) if plugin.simple_name() == name || plugin.class == name => {
                Some(make())
            }
            _ => None,
        })
        .expect(name);
    made.configure(&context(), &props(options)).map(|()| made)
}

/// What becomes of a record's value.
fn value_after(name: &str, options: &[(&str, &str)], value: SchemaAndValue) -> Result<Value> {
    let record = Record {
        topic: "t".into(),
        value,
        ..Record::default()
    };
    let record = transformation(name, options)?
        .apply(record)?
        .expect("not dropped");
    if let (Some(schema), Value::Struct(value)) = (&record.value.schema, &record.value.value) {
        assert!(std::sync::Arc::ptr_eq(schema, &value.schema), "one schema");
    }
    Ok(record.value.value)
}

fn error_of(name: &str, options: &[(&str, &str)], value: SchemaAndValue) -> String {
    value_after(name, options, value)
        .expect_err(name)
        .message()
        .to_owned()
}

fn map(entries: &[(&'static str, Value)]) -> SchemaAndValue {
    let map: ConnectMap = entries
        .iter()
        .map(|(key, value)| (Value::text(key), value.clone()))
        .collect();
    SchemaAndValue {
        schema: None,
        value: Value::Map(Box::new(map)),
    }
}

/// `{"a": 1, "b": "x", "c": null}` with a schema.
fn row() -> SchemaAndValue {
    let schema = Schema::structure()
        .name("row")
        .field("a", Schema::int32().build())
        .field("b", Schema::string().optional().build())
        .field(
            "c",
            Schema::int64()
                .optional()
                .default_value(Value::Int64(7))
                .build(),
        )
        .build();
    let values = vec![Value::Int32(1), Value::text("x"), Value::Null];
    SchemaAndValue::new(schema.clone(), Struct::new(schema, values))
}

/// The fields of a struct with their values, for comparison.
fn shown(value: &Value) -> String {
    connect_api::data::text::convert_to_string(value)
}

#[test]
fn structs_are_changed_as_kafka_changes_them() {
    for (name, options, expected) in [
        (
            "ReplaceField$Value",
            &[("exclude", "b,c"), ("renames", "a:z")][..],
            r#"{"z":1}"#,
        ),
        ("ReplaceField$Value", &[("include", "b")], r#"{"b":"x"}"#),
        ("ExtractField$Value", &[("field", "b")], "x"),
        ("ExtractField$Value", &[("field", "c")], "7"),
        (
            "HoistField$Value",
            &[("field", "h")],
            r#"{"h":{"a":1,"b":"x","c":7}}"#,
        ),
        (
            "MaskField$Value",
            &[("fields", "a,b")],
            r#"{"a":0,"b":"","c":7}"#,
        ),
        (
            "MaskField$Value",
            &[("fields", "a"), ("replacement", "5.7")],
            r#"{"a":5,"b":"x","c":7}"#,
        ),
        (
            "InsertField$Value",
            &[
                ("static.field", "s"),
                ("static.value", "v"),
                ("topic.field", "t!"),
            ],
            r#"{"a":1,"b":"x","c":7,"t":"t","s":"v"}"#,
        ),
        (
            "Cast$Value",
            &[("spec", "a:string,c:int8")],
            r#"{"a":"1","b":"x","c":7}"#,
        ),
        (
            "SetSchemaMetadata$Value",
            &[("schema.name", "n")],
            r#"{"a":1,"b":"x","c":7}"#,
        ),
        (
            "HeaderFrom$Value",
            &[("fields", "a"), ("headers", "h"), ("operation", "move")],
            r#"{"b":"x","c":7}"#,
        ),
        (
            "TimestampConverter$Value",
            &[
                ("field", "c"),
                ("target.type", "string"),
                ("format", "ss.SSS"),
            ],
            r#"{"a":1,"b":"x","c":"00.007"}"#,
        ),
    ] {
        let value = value_after(name, options, row()).expect(name);
        assert_eq!(shown(&value), expected, "{name} {options:?}");
    }
}

#[test]
fn maps_are_changed_as_kafka_changes_them() {
    let input = || map(&[("a", Value::Int64(1)), ("b", Value::text("x"))]);
    for (name, options, expected) in [
        (
            "ReplaceField$Value",
            &[("exclude", "b"), ("renames", "a:z")][..],
            r#"{"z":1}"#,
        ),
        ("ExtractField$Value", &[("field", "zz")], "null"),
        (
            "HoistField$Value",
            &[("field", "h")],
            r#"{"h":{"a":1,"b":"x"}}"#,
        ),
        (
            "MaskField$Value",
            &[("fields", "b,z")],
            r#"{"a":1,"b":"","z":null}"#,
        ),
        (
            "Cast$Value",
            &[("spec", "a:float64,z:int8")],
            r#"{"a":1.0,"b":"x","z":null}"#,
        ),
        (
            "InsertField$Value",
            &[("static.field", "b"), ("static.value", "v")],
            r#"{"a":1,"b":"v"}"#,
        ),
        (
            "TimestampConverter$Value",
            &[
                ("field", "a"),
                ("target.type", "unix"),
                ("unix.precision", "seconds"),
            ],
            r#"{"a":1,"b":"x"}"#,
        ),
    ] {
        let value = value_after(name, options, input()).expect(name);
        assert_eq!(shown(&value), expected, "{name} {options:?}");
    }
}

#[test]
fn what_cannot_be_changed_is_refused_in_kafka_s_words() {
    for (name, options, value, expected) in [
        (
            "ExtractField$Value",
            &[("field", "zz")][..],
            row(),
            "Unknown field: zz",
        ),
        (
            "HeaderFrom$Value",
            &[("fields", "a"), ("headers", "x,y"), ("operation", "copy")],
            row(),
            "'fields' config must have the same number of elements as 'headers' config.",
        ),
        (
            "InsertField$Value",
            &[],
            row(),
            "No field insertion configured",
        ),
        (
            "InsertField$Value",
            &[("topic.field", "a")],
            row(),
            "Cannot create field because of field name duplication a",
        ),
        (
            "SetSchemaMetadata$Value",
            &[],
            row(),
            "Neither schema name nor version configured",
        ),
        (
            "SetSchemaMetadata$Value",
            &[("schema.name", "n")],
            map(&[]),
            "Schema required for [updating schema metadata]",
        ),
        (
            "ValueToKey",
            &[("fields", "zz")],
            row(),
            "Field does not exist: zz",
        ),
        (
            "MaskField$Value",
            &[("fields", "a"), ("replacement", "x")],
            row(),
            "Unable to convert x (class java.lang.String) to a number",
        ),
        (
            "MaskField$Value",
            &[("fields", "a")],
            SchemaAndValue::NULL,
            "Only Map objects supported in absence of schema for [mask fields], found: null",
        ),
        (
            "Cast$Value",
            &[("spec", "b:int32")],
            row(),
            "Value (x) was out of range for requested data type",
        ),
        (
            "Cast$Value",
            &[("spec", "a:bytes")],
            row(),
            "Cast transformation does not support casting to BYTES; supported types are [INT8, \
             INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING]",
        ),
        (
            "Cast$Value",
            &[("spec", "foo")],
            row(),
            "Invalid value java.lang.IllegalArgumentException: No enum constant \
             org.apache.kafka.connect.data.Schema.Type.FOO for configuration Invalid type found in \
             casting spec: foo",
        ),
        (
            "ReplaceField$Value",
            &[("renames", "a")],
            row(),
            "Invalid value [a] for configuration renames: Invalid rename mapping: a",
        ),
        (
            "TimestampConverter$Value",
            &[("target.type", "string")],
            row(),
            "TimestampConverter requires format option to be specified when using string timestamps",
        ),
        (
            "TimestampConverter$Value",
            &[("field", "a"), ("target.type", "unix")],
            row(),
            "Schema Schema{INT32} does not correspond to a known timestamp type format",
        ),
        (
            "TimestampConverter$Value",
            &[("field", "b"), ("target.type", "unix"), ("format", "yyyy")],
            row(),
            "Could not parse timestamp: value (x) does not match pattern (yyyy)",
        ),
        (
            "HoistField$Value",
            &[],
            row(),
            "Missing required configuration \"field\" which has no default value.",
        ),
    ] {
        assert_eq!(error_of(name, options, value), expected, "{name}");
    }
}

#[test]
fn nested_structs_are_flattened_and_optional_where_a_parent_is() {
    let inner = Schema::structure()
        .optional()
        .field("x", Schema::int32().build())
        .build();
    let outer = Schema::structure().field("i", inner.clone()).build();
    let with =
        |value: Value| SchemaAndValue::new(outer.clone(), Struct::new(outer.clone(), vec![value]));
    let some = Struct::new(inner, vec![Value::Int32(5)]);
    for (value, expected) in [
        (Value::Struct(some), "{\"i.x\":5}"),
        (Value::Null, "{\"i.x\":null}"),
    ] {
        let flat = value_after("Flatten$Value", &[], with(value)).expect("flat");
        assert_eq!(shown(&flat), expected);
        let schema = &flat.as_struct().expect("a struct").schema;
        assert!(
            schema
                .field("i.x")
                .is_some_and(|field| field.schema.is_optional())
        );
    }
    let nested = map(&[("m", map(&[("k", Value::Int64(1))]).value)]);
    let flat = value_after("Flatten$Value", &[("delimiter", "_")], nested).expect("flat");
    assert_eq!(shown(&flat), "{\"m_k\":1}");
}

#[test]
fn a_cast_field_loses_its_logical_type_and_keeps_being_optional() {
    let schema = Schema::structure()
        .field("d", logical::timestamp().optional().build())
        .field("n", Schema::int32().build())
        .build();
    let value = Struct::new(
        schema.clone(),
        vec![Value::Timestamp(1_700_000_000_123), Value::Int32(300)],
    );
    let data = SchemaAndValue::new(schema, value);
    let cast =
        value_after("Cast$Value", &[("spec", "d:int64,n:int8")], data.clone()).expect("cast");
    assert_eq!(shown(&cast), r#"{"d":1700000000123,"n":44}"#);
    let field = cast
        .as_struct()
        .and_then(|value| value.schema.field("d").cloned())
        .expect("d");
    assert_eq!(
        (field.schema.kind(), field.schema.name()),
        (SchemaType::Int64, None)
    );
    assert!(field.schema.is_optional());
    let text = value_after("Cast$Value", &[("spec", "d:string")], data).expect("cast");
    assert_eq!(shown(&text), r#"{"d":"2023-11-14T22:13:20.123Z","n":300}"#);
}

#[test]
fn topics_are_renamed() {
    let topic = |name: &str, options: &[(&str, &str)], topic: &str| {
        let record = Record {
            topic: topic.into(),
            timestamp: Some(1_700_000_000_123),
            ..Record::default()
        };
        let mut router = transformation(name, options).expect(name);
        let first = router
            .apply(record.clone())
            .expect(name)
            .expect("kept")
            .topic;
        assert_eq!(
            router.apply(record).expect(name).expect("kept").topic,
            first,
            "again"
        );
        first.to_string()
    };
    let regex = [("regex", r"shop\.(.*)"), ("replacement", "$1")];
    assert_eq!(topic("RegexRouter", &regex, "shop.orders"), "orders");
    assert_eq!(topic("RegexRouter", &regex, "other"), "other");
    assert_eq!(topic("TimestampRouter", &[], "orders"), "orders-20231114");
}

#[test]
fn keys_headers_and_predicates() {
    let record = Record {
        topic: "t1".into(),
        value: row(),
        ..Record::default()
    };
    let keyed = transformation("ValueToKey", &[("fields", "a")])
        .expect("valid")
        .apply(record.clone())
        .expect("keyed")
        .expect("kept");
    assert_eq!(shown(&keyed.key.value), r#"{"a":1}"#);
    let mut insert =
        transformation("InsertHeader", &[("header", "h"), ("value.literal", "5")]).expect("valid");
    let with_header = insert
        .apply(record.clone())
        .expect("inserted")
        .expect("kept");
    let expected = Header {
        key: "h".into(),
        value: SchemaAndValue::new(Schema::int8().build(), 5i8),
    };
    assert_eq!(with_header.headers, [expected]);
    let predicate = |name: &str, options: &[(&str, &str)], record: &Record| {
        let mut made: Box<dyn Predicate> = PLUGINS
            .iter()
            .find_map(|plugin| match plugin.make {
                Make::Predicate(make) if plugin.simple_name() == name || plugin.class == name => {
                    Some(make())
                }
                _ => None,
            })
            .expect(name);
        made.configure(&context(), &props(options)).expect(name);
        made.test(record).expect(name)
    };
    assert!(predicate("HasHeaderKey", &[("name", "h")], &with_header));
    assert!(!predicate("HasHeaderKey", &[("name", "H")], &with_header));
    assert!(predicate("TopicNameMatches", &[("pattern", "t.")], &record));
    assert!(!predicate("TopicNameMatches", &[("pattern", "t")], &record));
    assert!(predicate("RecordIsTombstone", &[], &Record::default()));
    let mut drop = transformation("DropHeaders", &[("headers", "x,h")]).expect("valid");
    assert_eq!(
        drop.apply(with_header)
            .expect("dropped")
            .expect("kept")
            .headers,
        []
    );
    let mut filter =
        transformation("org.apache.kafka.connect.transforms.Filter", &[]).expect("valid");
    assert_eq!(filter.apply(record).expect("filtered"), None);
}

/// A record, a transformation, and what the JVM made of it.
#[derive(serde::Deserialize)]
struct Recorded {
    class: String,
    config: indexmap::IndexMap<String, String>,
    key: serde_json::Value,
    value: serde_json::Value,
    #[serde(default)]
    headers: indexmap::IndexMap<String, serde_json::Value>,
    #[serde(default)]
    dropped: bool,
    result: Option<RecordedResult>,
    error: Option<String>,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct RecordedResult {
    topic: String,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

/// Nulls stay nulls on the way in and out, so that what the transformation does is seen.
fn json_options(schemas_enable: bool) -> JsonOptions {
    JsonOptions {
        schemas_enable,
        replace_null_with_default: false,
        ..JsonOptions::default()
    }
}

fn from_json(json: &serde_json::Value) -> SchemaAndValue {
    if json.is_null() {
        return SchemaAndValue::NULL;
    }
    let with_schema = json.get("schema").is_some() && json.get("payload").is_some();
    let bytes = connect_api::Bytes::from(json.to_string());
    JsonReader::new(json_options(with_schema))
        .read(Some(&bytes))
        .expect("recorded data")
}

fn to_json(data: &SchemaAndValue) -> Result<Option<String>> {
    let mut out = Vec::new();
    let written = JsonWriter::new(json_options(data.schema.is_some())).write(data, &mut out)?;
    Ok(written.then(|| String::from_utf8(out).expect("UTF-8")))
}

fn run(case: &Recorded) -> Result<Option<RecordedResult>> {
    let mut made = PLUGINS
        .iter()
        .find_map(|plugin| match plugin.make {
            Make::Transformation(make) if plugin.class == case.class => Some(make()),
            _ => None,
        })
        .expect("a transformation of this class");
    made.configure(&context(), &case.config.clone())?;
    let headers = case.headers.iter().map(|(key, value)| Header {
        key: key.as_str().into(),
        value: from_json(value),
    });
    let record = Record {
        topic: "topic".into(),
        partition: Some(3),
        key: from_json(&case.key),
        value: from_json(&case.value),
        timestamp: Some(1_700_000_000_123),
        headers: headers.collect(),
        offset: None,
    };
    let Some(record) = made.apply(record)? else {
        return Ok(None);
    };
    let header = |header: &Header| Ok((header.key.to_string(), to_json(&header.value)?));
    Ok(Some(RecordedResult {
        topic: record.topic.to_string(),
        key: to_json(&record.key)?,
        value: to_json(&record.value)?,
        headers: record.headers.iter().map(header).collect::<Result<_>>()?,
    }))
}

#[test]
fn records_are_transformed_as_the_jvm_did() {
    let recorded: Vec<Recorded> =
        serde_json::from_str(include_str!("../tests/data/transformations.json"))
            .expect("recorded answers");
    assert!(recorded.len() > 400);
    let mut wrong = Vec::new();
    for case in &recorded {
        // Kafka's parsing drops what stands in a list twice, its validation refuses it: here both.
        if case
            .config
            .get("exclude")
            .is_some_and(|exclude| exclude == "a,a")
        {
            continue;
        }
        let ours = match run(case) {
            Ok(result) => (result, None),
            Err(error) => (None, Some(error.message().to_owned())),
        };
        let java = (&case.result, &case.error);
        let same =
            (&ours.0, &ours.1) == java && (ours.0.is_none() && ours.1.is_none()) == case.dropped;
        if !same {
            wrong.push(format!(
                "{} {:?} of {}\n  ours {ours:?}\n  java {java:?}",
                case.class, case.config, case.value
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// An option as the JVM's `GET /connector-plugins/CLASS/config` shows it, without documentation.
#[derive(Debug, PartialEq, serde::Deserialize)]
struct RecordedKey {
    name: String,
    r#type: String,
    required: bool,
    default_value: Option<String>,
    importance: String,
    group: Option<String>,
    width: String,
    display_name: String,
    dependents: Vec<String>,
    #[serde(rename = "order_in_group")]
    order: i32,
}

#[test]
fn definitions_are_those_of_the_jvm() {
    let recorded: indexmap::IndexMap<String, Vec<RecordedKey>> =
        serde_json::from_str(include_str!("../tests/data/definitions.json")).expect("recorded");
    // Confluent's are not among what the recording worker had.
    let known = |plugin: &&connect_api::plugin::Plugin| !plugin.class.starts_with("io.confluent.");
    for plugin in PLUGINS.iter().filter(known) {
        let ours: Vec<RecordedKey> = (plugin.config)()
            .keys()
            .map(|key| RecordedKey {
                name: key.name.clone(),
                r#type: key.kind.name().to_owned(),
                required: key.default == connect_api::config::Default::Required,
                default_value: key.default_text(),
                importance: key.importance.name().to_owned(),
                group: key.group.clone(),
                width: key.width.name().to_owned(),
                display_name: key.display_name.clone(),
                dependents: key.dependents.clone(),
                order: key.order_in_group,
            })
            .collect();
        assert_eq!(Some(&ours), recorded.get(plugin.class), "{}", plugin.class);
        assert!(
            (plugin.config)()
                .keys()
                .all(|key| !key.documentation.is_empty())
        );
    }
}

#[test]
fn the_offset_is_inserted_where_there_is_one() {
    let insert = |offset| {
        let record = Record {
            value: SchemaAndValue {
                schema: None,
                value: Value::Map(Box::default()),
            },
            offset,
            ..Record::default()
        };
        let mut step = transformation(
            "org.apache.kafka.connect.transforms.InsertField$Value",
            &[("offset.field", "o")],
        )
        .expect("valid");
        step.apply(record).map(|record| {
            let record = record.expect("kept");
            let map = record.value.value.as_map().expect("a map").clone();
            map.get_str("o").cloned()
        })
    };
    assert_eq!(insert(Some(7)).expect("a sink's"), Some(Value::Int64(7)));
    let error = insert(None).expect_err("a source's");
    assert!(error.message().starts_with("Only SinkRecord supported"));
}
