//! The recorded answers of the JVM's converters, against a registry in this process.

mod fuzz;

use std::path::Path;
use std::sync::OnceLock;

use connect_api::context::PluginContext;
use connect_api::converter::Converter;
use connect_api::data::json::{JsonOptions, JsonReader, JsonWriter};
use connect_api::data::{Bytes, Decimal, Headers, SchemaAndValue, Value};
use connect_api::plugin::Make;
use connect_api::{Error, Props};
use schema_registry::mock::MockRegistry;
use schema_registry::{Reference, Registry, RegistrySchema, SchemaKind};
use serde_json::Value as Json;

use super::PLUGINS;

const PREFIX: usize = 5;
/// Nulls are kept, since the recordings keep them.
const NULLS: JsonOptions = JsonOptions {
    schemas_enable: true,
    schemas_cache_size: 1000,
    decimal_format: connect_api::data::json::DecimalFormat::Base64,
    replace_null_with_default: false,
};

/// A configured converter of this class.
fn configured(class: &str, props: &Props, is_key: bool) -> Box<dyn Converter> {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let mut plugins = PLUGINS.iter().chain(avro_converter::PLUGINS);
    let plugin = plugins.find(|plugin| plugin.simple_name() == class);
    let Some(Make::Converter(make)) = plugin.map(|plugin| plugin.make) else {
        panic!("{class} is a converter");
    };
    let runtime = RUNTIME.get_or_init(|| {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        builder.build().expect("a runtime")
    });
    let context = PluginContext {
        runtime: runtime.handle().clone(),
    };
    let mut converter = make();
    converter
        .configure(&context, props, is_key)
        .expect("a valid configuration");
    converter
}

fn props(scope: &str, config: &Json) -> Props {
    let mut props = Props::new();
    props.insert("schema.registry.url".to_owned(), format!("mock://{scope}"));
    for (key, value) in config.as_object().into_iter().flatten() {
        props.insert(key.clone(), value.as_str().expect("a text").to_owned());
    }
    props
}

fn envelope(node: &Json) -> SchemaAndValue {
    JsonReader::new(NULLS)
        .read(Some(&Bytes::from(node.to_string())))
        .expect("an envelope")
}

fn text(data: &SchemaAndValue) -> String {
    let mut out = Vec::new();
    match JsonWriter::new(NULLS).write(data, &mut out) {
        Ok(_) => String::from_utf8_lossy(&out).into_owned(),
        Err(error) => format!("{error:?}: {data:?}"),
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).expect("hex") as u8;
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| digit(&pair[0]) * 16 + digit(&pair[1]))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `simple class name: message`, as the recordings have it.
fn said(error: &Error) -> String {
    let class = error.java_class().rsplit('.').next().unwrap_or_default();
    format!("{class}: {}", error.message())
}

/// A Decimal is recorded by its bytes, with the scale of the schema and not its own.
fn with_recorded_scale(value: Value) -> Value {
    match value {
        Value::Struct(mut inner) => {
            let fields = inner.schema.fields().iter();
            for (field, value) in fields.zip(&mut inner.values) {
                if let (Value::Decimal(decimal), Some(scale)) =
                    (&*value, field.schema.parameter("scale"))
                {
                    let scale = scale.parse().expect("a scale");
                    *value = Value::Decimal(Decimal::from_big(decimal.unscaled(), scale));
                }
            }
            Value::Struct(inner)
        }
        other => other,
    }
}

struct Case<'a>(&'a Json);

impl Case<'_> {
    fn get(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }
    fn kind(&self) -> (SchemaKind, &'static str) {
        match self.get("converter") {
            "jsonschema" => (SchemaKind::Json, "JsonSchemaConverter"),
            _ => (SchemaKind::Protobuf, "ProtobufConverter"),
        }
    }

    /// What differs from the recording.
    fn differences(&self) -> Vec<String> {
        let (kind, class) = self.kind();
        let (name, topic) = (self.get("name"), self.get("topic"));
        let is_key = self.0["isKey"] == true;
        let props = props(&format!("recorded-{name}"), &self.0["config"]);
        let mut registry = MockRegistry::of_scope(&format!("recorded-{name}"));
        let mut wrong = Vec::new();
        let mut differs = |what: &str, ours: &str, java: &str| {
            if ours != java {
                wrong.push(format!("{name} {what}\n  ours {ours}\n  java {java}"));
            }
        };
        let bytes = if self.0["readonly"] == true {
            let id = self.register(&mut registry, kind);
            let mut bytes = vec![0];
            bytes.extend_from_slice(&id.to_be_bytes());
            bytes.extend_from_slice(&from_hex(self.get("hex")));
            Some(bytes)
        } else {
            let expect = &self.0["expect"];
            let mut out = Vec::new();
            let mut writer = configured(class, &props, is_key);
            let written = writer.from_connect_data(
                topic,
                &mut Headers::new(),
                &envelope(&self.0["input"]),
                &mut out,
            );
            match written {
                Err(error) => {
                    differs(
                        "error",
                        &said(&error),
                        expect["error"].as_str().unwrap_or("none"),
                    );
                    return wrong;
                }
                Ok(false) => {
                    differs(
                        "bytes",
                        "null",
                        if expect["hex"].is_null() {
                            "null"
                        } else {
                            "some"
                        },
                    );
                    None
                }
                Ok(true) => {
                    let subject = expect["subject"].as_str().expect("a subject");
                    let registered = registry.latest(subject).expect("registered");
                    let registered = registered.schema.expect("a schema");
                    let java = expect["registered"].as_str().expect("a schema");
                    differs("schema", &registered.text, java);
                    let java = expect["hex"].as_str().unwrap_or("null");
                    differs("bytes", &hex(&out[PREFIX..]), java);
                    Some(out)
                }
            }
        };
        let mut reader = configured(class, &props, is_key);
        let read = reader.to_connect_data(topic, &Headers::new(), bytes.map(Bytes::from).as_ref());
        let java = envelope(&self.0["back"]);
        match read {
            Ok(data) => {
                let value = with_recorded_scale(data.value);
                let data = SchemaAndValue { value, ..data };
                if data != java {
                    differs("back", &text(&data), &text(&java));
                }
            }
            Err(error) => differs("back", &error.trace(), &text(&java)),
        }
        wrong
    }

    fn register(&self, registry: &mut MockRegistry, kind: SchemaKind) -> i32 {
        for known in self.0["preregistered"].as_array().into_iter().flatten() {
            let schema = RegistrySchema::new(kind, known["schema"].as_str().expect("a text"));
            registry
                .register(
                    known["subject"].as_str().expect("a subject"),
                    &schema,
                    false,
                )
                .expect("registered");
        }
        let mut schema = RegistrySchema::new(kind, self.get("registered"));
        for reference in self.0["references"].as_array().into_iter().flatten() {
            schema.references.push(Reference {
                name: reference["name"].as_str().expect("a name").into(),
                subject: reference["subject"].as_str().expect("a subject").into(),
                version: 1,
            });
        }
        registry
            .register(&format!("{}-value", self.get("topic")), &schema, false)
            .expect("registered")
            .id
    }
}

/// The cases of this crate's converters.
fn recorded() -> Vec<Json> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compat-tests/recorded/converters.json");
    let text = std::fs::read_to_string(path).expect("the recorded cases");
    let mut cases: Vec<Json> = serde_json::from_str(&text).expect("JSON");
    cases.retain(|case| case["converter"] != "avro");
    cases
}

#[test]
fn a_value_without_a_schema_is_refused_and_a_null_is_none() {
    for (class, said) in [
        (
            "JsonSchemaConverter",
            "DataException: Converting Kafka Connect data to byte[]",
        ),
        ("ProtobufConverter", "NullPointerException: "),
    ] {
        let mut writer = configured(class, &props("schemaless", &Json::Null), false);
        let mut write = |value| {
            let data = SchemaAndValue {
                schema: None,
                value,
            };
            writer.from_connect_data("t", &mut Headers::new(), &data, &mut Vec::new())
        };
        assert!(!write(Value::Null).expect("a tombstone"), "{class}");
        let error = write(Value::Int32(1)).expect_err(class);
        assert!(self::said(&error).starts_with(said), "{error:?}");
        assert!(error.trace().contains("NullPointerException"), "{error:?}");
    }
}

#[test]
fn the_converters_register_write_and_read_what_the_jvm_did() {
    let cases = recorded();
    let cases: Vec<&Json> = cases
        .iter()
        .filter(|case| case["converter"] != "avro")
        .collect();
    assert!(cases.len() >= 52, "{} cases", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .flat_map(|case| Case(case).differences())
        .collect();
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_message_is_read_as_the_latest_version_where_the_options_say_so() {
    let record = |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let object = |properties: &str| format!(r#"{{"type":"object","properties":{{{properties}}}}}"#);
    let file = |messages: &str| format!("syntax = \"proto3\";\n{messages}");
    let cases = [
        (
            ("AvroConverter", SchemaKind::Avro),
            record(r#"{"name":"a","type":"int"}"#),
            record(
                r#"{"name":"b","type":["null","int"],"default":null},{"name":"a","type":"long"}"#,
            ),
            vec![10],
            [r#"{"a":5}"#, r#"{"b":null,"a":5}"#],
        ),
        (
            ("JsonSchemaConverter", SchemaKind::Json),
            object(r#""a":{"type":"integer"}"#),
            object(r#""a":{"type":"number"}"#),
            br#"{"a":5}"#.to_vec(),
            [r#"{"a":5}"#, r#"{"a":5.0}"#],
        ),
        // The message has another place in the file.
        (
            ("ProtobufConverter", SchemaKind::Protobuf),
            file("message R { int32 a = 1; }"),
            file("message Q { int64 q = 1; }\nmessage R { int32 b = 1; }"),
            vec![0, 8, 5],
            [r#"{"a":5}"#, r#"{"b":5}"#],
        ),
    ];
    for ((class, kind), first, second, payload, expected) in cases {
        let scope = format!("latest-{class}");
        let mut registry = MockRegistry::of_scope(&scope);
        for text in [first, second] {
            let schema = RegistrySchema::new(kind, text);
            let registered = registry.register("t-value", &schema, false);
            registered.expect("a version");
        }
        let mut message = vec![0, 0, 0, 0, 1];
        message.extend_from_slice(&payload);
        for (latest, expected) in ["false", "true"].into_iter().zip(expected) {
            let props = props(&scope, &serde_json::json!({"use.latest.version": latest}));
            let data = configured(class, &props, false)
                .to_connect_data("t", &Headers::new(), Some(&message.clone().into()))
                .expect("readable");
            let read: Json = serde_json::from_str(&text(&data)).expect("JSON");
            assert_eq!(read["payload"].to_string(), expected, "{class}, {latest}");
        }
    }
}
