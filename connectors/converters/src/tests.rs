//! Facts of the converters, taken from Kafka's.

use connect_api::converter::{Converter, HeaderConverter};
use connect_api::data::{Decimal, Headers, Schema, SchemaAndValue, Struct, Value, logical};
use connect_api::plugin::Make;
use connect_api::{Bytes, Result};

use super::PLUGINS;

fn converter(name: &str) -> Box<dyn Converter> {
    PLUGINS
        .iter()
        .find_map(|plugin| match plugin.make {
            Make::Converter(make) if plugin.simple_name() == name => Some(make()),
            _ => None,
        })
        .expect("a converter of this name")
}

fn header_converter(name: &str) -> Box<dyn HeaderConverter> {
    PLUGINS
        .iter()
        .find_map(|plugin| match plugin.make {
            Make::HeaderConverter(make) if plugin.simple_name() == name => Some(make()),
            _ => None,
        })
        .expect("a header converter of this name")
}

fn write(name: &str, data: &SchemaAndValue) -> Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    let written = converter(name).from_connect_data("t", &mut Headers::new(), data, &mut out)?;
    Ok(written.then_some(out))
}

fn read(name: &str, bytes: &'static [u8]) -> Result<Value> {
    let data =
        converter(name).to_connect_data("t", &Headers::new(), Some(&Bytes::from_static(bytes)))?;
    assert!(
        data.schema.is_some_and(|schema| schema.is_optional()),
        "{name}"
    );
    Ok(data.value)
}

#[test]
fn numbers_are_big_endian_and_of_one_size() {
    for (name, value, bytes) in [
        ("ShortConverter", Value::Int16(-2), &b"\xff\xfe"[..]),
        ("IntegerConverter", Value::Int32(258), b"\0\0\x01\x02"),
        ("LongConverter", Value::Int64(1), b"\0\0\0\0\0\0\0\x01"),
        ("FloatConverter", Value::Float32(1.5), b"\x3f\xc0\0\0"),
        (
            "DoubleConverter",
            Value::Float64(1.5),
            b"\x3f\xf8\0\0\0\0\0\0",
        ),
        ("BooleanConverter", Value::Boolean(true), b"\x01"),
    ] {
        let data = SchemaAndValue {
            schema: None,
            value: value.clone(),
        };
        assert_eq!(
            write(name, &data).expect(name).expect(name),
            bytes,
            "{name}"
        );
        assert_eq!(read(name, bytes).expect(name), value, "{name}");
        assert_eq!(
            write(name, &SchemaAndValue::NULL).expect(name),
            None,
            "{name}"
        );
    }
    let error = read("IntegerConverter", b"\x01").expect_err("too short");
    assert_eq!(error.message(), "Failed to deserialize integer: ");
    assert!(
        error
            .trace()
            .contains("Size of data received by IntegerDeserializer is not 4")
    );
    let text = SchemaAndValue::new(None, "x");
    let error = write("IntegerConverter", &text).expect_err("a text");
    assert_eq!(
        error.message(),
        "Failed to serialize to integer (was class java.lang.String): "
    );
    let error = read("BooleanConverter", b"\x02").expect_err("neither 0 nor 1");
    assert!(
        error
            .trace()
            .contains("Unexpected byte received by BooleanDeserializer: 2")
    );
}

#[test]
fn bytes_pass_and_nothing_else_does() {
    let bytes = SchemaAndValue::new(Schema::bytes().build(), Bytes::from_static(b"\0\xff"));
    assert_eq!(
        write("ByteArrayConverter", &bytes).expect("bytes"),
        Some(vec![0, 0xff])
    );
    let text = SchemaAndValue::new(Schema::string().build(), "x");
    let error = write("ByteArrayConverter", &text).expect_err("a text");
    assert_eq!(
        error.message(),
        "Invalid schema type for ByteArrayConverter: STRING"
    );
    let error = write("ByteArrayConverter", &SchemaAndValue::new(None, "x")).expect_err("a text");
    assert_eq!(
        error.message(),
        "ByteArrayConverter is not compatible with objects of type class java.lang.String"
    );
}

#[test]
fn strings_are_the_text_of_any_value() {
    let number = SchemaAndValue::new(None, 1.0e10);
    assert_eq!(
        write("StringConverter", &number).expect("a text"),
        Some(b"1.0E10".to_vec())
    );
    assert_eq!(
        read("StringConverter", b"x").expect("a text"),
        Value::text("x")
    );
}

#[test]
fn simple_headers_come_back_as_what_they_look_like() {
    let mut simple = header_converter("SimpleHeaderConverter");
    let mut read = |text: &'static [u8]| {
        simple
            .to_connect_header("t", "h", Some(&Bytes::from_static(text)))
            .expect("a value")
            .value
    };
    assert_eq!(read(b"5"), Value::Int8(5));
    assert_eq!(read(b"abc"), Value::text("abc"));
    assert_eq!(read(b""), Value::text(""));
    assert_eq!(read(b"null"), Value::Null);
}

#[test]
fn definitions_list_the_options_in_kafka_s_order() {
    let json = PLUGINS
        .iter()
        .find(|plugin| plugin.simple_name() == "JsonConverter")
        .expect("JSON");
    let names: Vec<String> = (json.config)().keys().map(|key| key.name.clone()).collect();
    assert_eq!(
        names,
        [
            "converter.type",
            "schemas.enable",
            "schemas.cache.size",
            "schema.content",
            "decimal.format",
            "replace.null.with.default",
        ]
    );
}

/// What a converter with these options writes of some data and reads in some bytes.
fn outcome(name: &str, options: &[(&str, &str)]) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let context = connect_api::context::PluginContext {
        runtime: runtime.handle().clone(),
    };
    let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    let props = options.iter().map(owned).collect();
    let mut made = converter(name);
    made.configure(&context, &props, false).expect(name);
    let money = logical::decimal(2).build();
    let null = Schema::int64()
        .optional()
        .default_value(Value::Int64(7))
        .build();
    let schema = Schema::structure()
        .field("money", money)
        .field("null", null)
        .build();
    let decimal = Decimal::parse(b"1.50").expect("a decimal");
    let values = vec![Value::Decimal(decimal), Value::Null];
    let row = SchemaAndValue::new(schema.clone(), Struct::new(schema, values));
    let text = SchemaAndValue::new(Schema::string().build(), Value::text("\u{e9}"));
    let mut shown = String::new();
    for data in [row, text] {
        let mut out = Vec::new();
        let written = made.from_connect_data("t", &mut Headers::new(), &data, &mut out);
        shown.push_str(&format!("{written:?} {out:?}\n"));
    }
    let bytes = Bytes::from_static(br#"{"a":1}"#);
    let read = made.to_connect_data("t", &Headers::new(), Some(&bytes));
    shown.push_str(&format!("{read:?}"));
    shown
}

/// All that options of Kafka's converters change, but for `schemas.cache.size`, which bounds what is
/// remembered and changes no record, and `converter.type`, which the runtime sets.
#[test]
fn each_option_of_kafkas_converters_changes_what_they_write_or_read() {
    const SCHEMA: &str = r#"{"type":"struct","fields":[{"field":"a","type":"int64"}]}"#;
    let json = "JsonConverter";
    let plain = ("schemas.enable", "false");
    type Case<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)]);
    let cases: [Case<'_>; 5] = [
        (json, "schemas.enable", "false", &[]),
        (json, "schema.content", SCHEMA, &[]),
        (json, "decimal.format", "NUMERIC", &[plain]),
        (json, "replace.null.with.default", "false", &[plain]),
        ("StringConverter", "converter.encoding", "ISO-8859-1", &[]),
    ];
    for (name, key, value, beside) in cases {
        let options: Vec<_> = beside.iter().copied().chain([(key, value)]).collect();
        assert_ne!(outcome(name, &options), outcome(name, beside), "{key}");
    }
    let shown: Vec<&str> = cases.iter().map(|(_, key, ..)| *key).collect();
    let all = PLUGINS.iter().filter(|plugin| {
        plugin.class.starts_with("org.apache.kafka.") && matches!(plugin.make, Make::Converter(_))
    });
    for plugin in all {
        for key in (plugin.config)().keys() {
            let is_known = ["converter.type", "schemas.cache.size"].contains(&key.name.as_str());
            let is_shown = shown.iter().any(|shown| key.name.ends_with(shown));
            assert!(is_known || is_shown, "{} of {}", key.name, plugin.class);
        }
    }
}

/// What Kafka's SimpleHeaderConverter reads in a text, and what it writes of that.
#[derive(serde::Deserialize)]
struct RecordedHeader {
    r#in: String,
    schema: Option<String>,
    element: Option<String>,
    key: Option<String>,
    entry: Option<String>,
    text: Option<String>,
    java: Option<String>,
}

/// `Schema.toString`.
fn schema_text(schema: &Schema) -> String {
    let name = schema
        .name()
        .map_or_else(String::new, |name| format!("{name}:"));
    format!("Schema{{{name}{}}}", schema.kind().name())
}

#[test]
fn simple_headers_are_read_and_written_as_the_jvm_did() {
    let recorded: Vec<RecordedHeader> =
        serde_json::from_str(include_str!("../tests/data/simple_header_converter.json"))
            .expect("recorded answers");
    let mut simple = header_converter("SimpleHeaderConverter");
    let mut wrong = Vec::new();
    for mut case in recorded {
        // Arabic digits, and a float in the longer text that a JVM before 19 wrote.
        if ["٣", "123456789.123456789"].contains(&case.r#in.as_str()) {
            continue;
        }
        let bytes = Bytes::from(case.r#in.clone().into_bytes());
        let data = simple
            .to_connect_header("t", "h", Some(&bytes))
            .expect("a value");
        let mut out = Vec::new();
        let written = simple
            .from_connect_header("t", "h", &data, &mut out)
            .expect("a text");
        let schema = data.schema.as_deref();
        let part = |part: Option<&connect_api::data::SchemaRef>| part.map(|part| schema_text(part));
        let array = schema.filter(|schema| schema.kind() == connect_api::data::SchemaType::Array);
        let map = schema.filter(|schema| schema.kind() == connect_api::data::SchemaType::Map);
        let ours = (
            schema.map(schema_text),
            part(array.and_then(|schema| schema.value_schema())),
            part(map.and_then(|schema| schema.key_schema())),
            part(map.and_then(|schema| schema.value_schema())),
            written.then(|| String::from_utf8(out).expect("UTF-8")),
            written.then(|| connect_api::data::text::to_java_string(&data.value)),
        );
        // A map of nulls is a builder that was not built, which has no text in Java.
        let schema = case
            .schema
            .map(|schema| match schema.contains("SchemaBuilder@") {
                true => {
                    case.key = None;
                    "Schema{MAP}".to_owned()
                }
                false => schema,
            });
        let java = (
            schema,
            case.element,
            case.key,
            case.entry,
            case.text,
            case.java,
        );
        if ours != java {
            wrong.push(format!("{}\n  ours {ours:?}\n  java {java:?}", case.r#in));
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
    for plugin in PLUGINS {
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
