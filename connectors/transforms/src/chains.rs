//! Kafka's transformations and predicates, each in many configurations and in chains put together at
//! random, on records of all types: what came out of Kafka's own classes, with its types, or the class
//! and message of what they threw, is what comes out here.

use std::fmt::Write as _;

use connect_api::context::PluginContext;
use connect_api::data::json::{JsonOptions, JsonReader};
use connect_api::data::{Header, Schema, SchemaAndValue, SchemaType, Value};
use connect_api::plugin::Make;
use connect_api::record::Record;
use connect_api::transform::{Predicate, Transformation};
use connect_api::{Bytes, Error, Props, Result};
use serde_json::Value as Json;

fn reader(schemas_enable: bool) -> JsonReader {
    JsonReader::new(JsonOptions {
        schemas_enable,
        // A null in a record stays one.
        replace_null_with_default: false,
        ..JsonOptions::default()
    })
}

fn data(node: &Json) -> SchemaAndValue {
    let (mut reader, text) = match node.get("plain") {
        _ if node.is_null() => return SchemaAndValue::NULL,
        Some(plain) => (reader(false), plain.to_string()),
        None => (reader(true), node.to_string()),
    };
    reader
        .read(Some(&Bytes::from(text)))
        .expect("data of a record")
}

fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n"))
}

fn show_schema(schema: Option<&Schema>) -> String {
    let Some(schema) = schema else {
        return "none".to_owned();
    };
    let mut out = schema.kind().name().to_lowercase();
    let mut add = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("a String takes all");
    if schema.is_optional() {
        add(format_args!("?"));
    }
    if let Some(name) = schema.name() {
        add(format_args!(" name={}", quoted(name)));
    }
    if let Some(version) = schema.version() {
        add(format_args!(" version={version}"));
    }
    if let Some(doc) = schema.doc() {
        add(format_args!(" doc={}", quoted(doc)));
    }
    let mut parameters: Vec<_> = schema.parameters().iter().collect();
    parameters.sort();
    for (key, value) in parameters {
        add(format_args!(" param {}={}", quoted(key), quoted(value)));
    }
    if let Some(default) = schema.default_value() {
        add(format_args!(" default={}", show(default)));
    }
    match schema.kind() {
        SchemaType::Array => {
            let items = show_schema(schema.value_schema().map(|schema| &**schema));
            add(format_args!("<{items}>"));
        }
        SchemaType::Map => {
            let keys = show_schema(schema.key_schema().map(|schema| &**schema));
            let values = show_schema(schema.value_schema().map(|schema| &**schema));
            add(format_args!("<{keys},{values}>"));
        }
        SchemaType::Struct => {
            add(format_args!("<"));
            for field in schema.fields() {
                let shown = show_schema(Some(&field.schema));
                add(format_args!("{}:{shown};", quoted(&field.name)));
            }
            add(format_args!(">"));
        }
        _ => {}
    }
    out
}

fn show(value: &Value) -> String {
    let all = |items: &mut dyn Iterator<Item = String>| {
        items.fold(String::new(), |out, item| out + &item + ",")
    };
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(yes) => yes.to_string(),
        Value::Int8(n) => format!("{n}b"),
        Value::Int16(n) => format!("{n}s"),
        Value::Int32(n) => format!("{n}i"),
        Value::Int64(n) => format!("{n}l"),
        // As Java shows it, every NaN is the one.
        Value::Float32(n) if n.is_nan() => "7fc00000f".to_owned(),
        Value::Float64(n) if n.is_nan() => "7ff8000000000000d".to_owned(),
        Value::Float32(n) => format!("{:08x}f", n.to_bits()),
        Value::Float64(n) => format!("{:016x}d", n.to_bits()),
        Value::String(text) => quoted(text),
        Value::Bytes(bytes) => {
            let mut out = "x".to_owned();
            for byte in bytes.iter() {
                write!(out, "{byte:02x}").expect("a String takes all");
            }
            out
        }
        Value::Decimal(number) => format!("{}e-{}", number.unscaled(), number.scale()),
        Value::Date(days) => format!("at {}", i64::from(*days) * 86_400_000),
        Value::Time(ms) => format!("at {ms}"),
        Value::Timestamp(ms) => format!("at {ms}"),
        Value::Array(items) => format!("[{}]", all(&mut items.iter().map(show))),
        Value::Map(map) => {
            let mut entries = map.iter().map(|(k, v)| format!("{}:{}", show(k), show(v)));
            format!("{{{}}}", all(&mut entries))
        }
        Value::Struct(value) => format!("({})", all(&mut value.values.iter().map(show))),
    }
}

fn shown(data: &SchemaAndValue) -> String {
    let mut text = format!(
        "{} {}",
        show_schema(data.schema.as_deref()),
        show(&data.value)
    );
    if let (Value::Struct(value), Some(schema)) = (&data.value, &data.schema)
        && value.schema != *schema
    {
        text.push_str(" of another schema");
    }
    text
}

fn failure(place: &str, error: &Error) -> String {
    let message = error.message().replace('\n', "\\n");
    format!("{place} {}: {message}", error.java_class())
}

struct Step {
    transformation: Box<dyn Transformation>,
    predicate: Option<(Box<dyn Predicate>, bool)>,
}

fn options(node: &Json) -> Props {
    let entries = node.as_object().into_iter().flatten();
    entries
        .filter(|(key, value)| value.is_string() && *key != "negate")
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn step(context: &PluginContext, node: &Json) -> Result<Step> {
    let name = node["type"].as_str().unwrap_or_default();
    let class = format!("org.apache.kafka.connect.transforms.{name}");
    let made = super::PLUGINS.iter().find(|plugin| plugin.class == class);
    let Some(Make::Transformation(make)) = made.map(|plugin| plugin.make) else {
        panic!("no transformation {class}");
    };
    let mut transformation = make();
    transformation.configure(context, &options(node))?;
    let predicate = node.get("predicate").map(|node| {
        let name = node["type"].as_str().unwrap_or_default();
        let class = format!("org.apache.kafka.connect.transforms.predicates.{name}");
        let made = super::PLUGINS.iter().find(|plugin| plugin.class == class);
        let Some(Make::Predicate(make)) = made.map(|plugin| plugin.make) else {
            panic!("no predicate {class}");
        };
        let mut predicate = make();
        predicate
            .configure(context, &options(node))
            .map(|()| predicate)
    });
    let negate = node["negate"].as_bool().unwrap_or(false);
    Ok(Step {
        transformation,
        predicate: predicate.transpose()?.map(|predicate| (predicate, negate)),
    })
}

fn run(context: &PluginContext, chain: &[Json], node: &Json) -> String {
    let steps: Result<Vec<Step>> = chain.iter().map(|node| step(context, node)).collect();
    let mut steps = match steps {
        Ok(steps) => steps,
        Err(error) => return failure("configure", &error),
    };
    let headers = node["headers"].as_array().into_iter().flatten();
    let number = |name: &str| node.get(name).and_then(Json::as_i64);
    let mut record = Record {
        topic: node["topic"].as_str().unwrap_or_default().into(),
        partition: number("partition").and_then(|number| i32::try_from(number).ok()),
        key: data(&node["key"]),
        value: data(&node["value"]),
        timestamp: number("timestamp"),
        headers: headers
            .map(|header| Header {
                key: header[0].as_str().unwrap_or_default().into(),
                value: data(&header[1]),
            })
            .collect(),
        offset: number("offset"),
    };
    for step in &mut steps {
        let applied = match &mut step.predicate {
            Some((predicate, negate)) => match predicate.test(&record) {
                Ok(yes) if yes == *negate => continue,
                Ok(_) => step.transformation.apply(record),
                Err(error) => Err(error),
            },
            None => step.transformation.apply(record),
        };
        match applied {
            Ok(Some(next)) => record = next,
            Ok(None) => return "dropped".to_owned(),
            Err(error) => return failure("apply", &error),
        }
    }
    let or_null =
        |number: Option<i64>| number.map_or_else(|| "null".to_owned(), |number| number.to_string());
    let mut out = format!(
        "{} {} {} key {} value {}",
        quoted(&record.topic),
        or_null(record.partition.map(i64::from)),
        or_null(record.timestamp),
        shown(&record.key),
        shown(&record.value),
    );
    for header in &record.headers {
        write!(
            out,
            " header {} {}",
            quoted(&header.key),
            shown(&header.value)
        )
        .expect("a String takes all");
    }
    out
}

#[test]
fn records_go_through_chains_as_through_kafkas_own_classes() {
    let mut lines = include_str!("../tests/data/chains.jsonl").lines();
    let parse = |line: &str| serde_json::from_str::<Json>(line).expect("JSON");
    let records = parse(lines.next().expect("the records"));
    let context = super::tests::context();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in lines {
        count += 1;
        let case = parse(line);
        let chain = case["chain"].as_array().expect("a chain");
        let name = case["record"].as_str().expect("a record's name");
        let ours = run(&context, chain, &records["records"][name]);
        let java = case["answer"].as_str().expect("an answer");
        if ours != java {
            let chain = &case["chain"];
            wrong.push(format!("{chain} of {name}\n  java {java}\n  ours {ours}"));
        }
    }
    assert!(count > 2500, "{count}");
    let (different, shown) = (wrong.len(), wrong.join("\n"));
    assert!(wrong.is_empty(), "{different} of {count} differ:\n{shown}");
}
