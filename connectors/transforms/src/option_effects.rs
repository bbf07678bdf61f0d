//! Each option of Kafka's and Confluent's transformations and predicates changes what becomes of
//! some record: a table that has them all.

use std::collections::BTreeSet;

use connect_api::data::{ConnectMap, Header, Schema, SchemaAndValue, Struct, Value};
use connect_api::plugin::Make;
use connect_api::record::Record;

use super::PLUGINS;
use super::tests::{context, transformation};

/// A plugin without its side, an option, two of its values (`None`: not given), and the options that
/// stand beside it in both cases.
type Effect = (
    &'static str,
    &'static str,
    [Option<&'static str>; 2],
    &'static [(&'static str, &'static str)],
);

const NULLS: &str = "replace.null.with.default";
const EITHER: [Option<&str>; 2] = [Some("true"), Some("false")];

const EFFECTS: &[Effect] = &[
    ("Cast", "spec", [Some("a:string"), Some("a:int64")], &[]),
    ("Cast", NULLS, EITHER, &[("spec", "a:string")]),
    ("DropHeaders", "headers", [Some("h"), Some("g")], &[]),
    ("ExtractField", "field", [Some("a"), Some("b")], &[]),
    (
        "ExtractField",
        "field.syntax.version",
        [Some("V1"), Some("V2")],
        &[("field", "inner.d")],
    ),
    ("ExtractField", NULLS, EITHER, &[("field", "n")]),
    ("Flatten", "delimiter", [None, Some("_")], &[]),
    (
        "HeaderFrom",
        "fields",
        [Some("a"), Some("b")],
        &[("headers", "x"), ("operation", "copy")],
    ),
    (
        "HeaderFrom",
        "headers",
        [Some("x"), Some("y")],
        &[("fields", "a"), ("operation", "copy")],
    ),
    (
        "HeaderFrom",
        "operation",
        [Some("move"), Some("copy")],
        &[("fields", "a"), ("headers", "x")],
    ),
    (
        "HeaderFrom",
        NULLS,
        EITHER,
        &[("fields", "n"), ("headers", "x"), ("operation", "copy")],
    ),
    ("HoistField", "field", [Some("x"), Some("y")], &[]),
    (
        "InsertField",
        "offset.field",
        [None, Some("x")],
        &[("topic.field", "t")],
    ),
    (
        "InsertField",
        "partition.field",
        [None, Some("x")],
        &[("topic.field", "t")],
    ),
    (
        "InsertField",
        "timestamp.field",
        [None, Some("x")],
        &[("topic.field", "t")],
    ),
    ("InsertField", "topic.field", [Some("t"), Some("x")], &[]),
    (
        "InsertField",
        "static.field",
        [Some("x"), Some("y")],
        &[("static.value", "v")],
    ),
    (
        "InsertField",
        "static.value",
        [Some("v"), Some("w")],
        &[("static.field", "x")],
    ),
    ("InsertField", NULLS, EITHER, &[("topic.field", "t")]),
    (
        "InsertHeader",
        "header",
        [Some("x"), Some("y")],
        &[("value.literal", "v")],
    ),
    (
        "InsertHeader",
        "value.literal",
        [Some("v"), Some("w")],
        &[("header", "x")],
    ),
    ("MaskField", "fields", [Some("a"), Some("b")], &[]),
    (
        "MaskField",
        "replacement",
        [None, Some("x")],
        &[("fields", "b")],
    ),
    ("MaskField", NULLS, EITHER, &[("fields", "a")]),
    (
        "RegexRouter",
        "regex",
        [Some("o.*"), Some("p.*")],
        &[("replacement", "x")],
    ),
    (
        "RegexRouter",
        "replacement",
        [Some("x"), Some("y")],
        &[("regex", "o.*")],
    ),
    ("ReplaceField", "exclude", [None, Some("a")], &[]),
    ("ReplaceField", "include", [None, Some("a")], &[]),
    ("ReplaceField", "renames", [None, Some("a:z")], &[]),
    ("ReplaceField", NULLS, EITHER, &[("exclude", "a")]),
    (
        "SetSchemaMetadata",
        "schema.name",
        [None, Some("x")],
        &[("schema.version", "1")],
    ),
    (
        "SetSchemaMetadata",
        "schema.version",
        [None, Some("1")],
        &[("schema.name", "x")],
    ),
    ("SetSchemaMetadata", NULLS, EITHER, &[("schema.name", "x")]),
    (
        "TimestampConverter",
        "field",
        [Some("ms"), Some("at")],
        &[("target.type", "Timestamp"), ("format", "yyyy")],
    ),
    (
        "TimestampConverter",
        "target.type",
        [Some("Date"), Some("Timestamp")],
        &[("field", "ms")],
    ),
    (
        "TimestampConverter",
        "format",
        [Some("yyyy"), Some("MM")],
        &[("field", "ms"), ("target.type", "string")],
    ),
    (
        "TimestampConverter",
        "unix.precision",
        [None, Some("seconds")],
        &[("field", "ms"), ("target.type", "Timestamp")],
    ),
    (
        "TimestampConverter",
        NULLS,
        EITHER,
        &[("field", "ms"), ("target.type", "Timestamp")],
    ),
    (
        "TimestampRouter",
        "topic.format",
        [None, Some("x-${timestamp}")],
        &[],
    ),
    (
        "TimestampRouter",
        "timestamp.format",
        [None, Some("yyyy")],
        &[],
    ),
    ("ValueToKey", "fields", [Some("a"), Some("b")], &[]),
    ("ValueToKey", NULLS, EITHER, &[("fields", "n")]),
    ("HasHeaderKey", "name", [Some("h"), Some("g")], &[]),
    (
        "TopicNameMatches",
        "pattern",
        [Some("o.*"), Some("p.*")],
        &[],
    ),
    ("ExtractTopic", "field", [Some("b"), Some("at")], &[]),
    (
        "ExtractTopic",
        "field.format",
        [None, Some("JSON_PATH")],
        &[("field", "$.b")],
    ),
    (
        "ExtractTopic",
        "skip.missing.or.null",
        EITHER,
        &[("field", "none")],
    ),
    (
        "TombstoneHandler",
        "behavior",
        [Some("ignore"), Some("fail")],
        &[],
    ),
    (
        "MessageTimestampRouter",
        "topic.format",
        [None, Some("x-${timestamp}")],
        &[
            ("message.timestamp.keys", "at"),
            ("message.timestamp.format", "yyyy-MM-dd"),
        ],
    ),
    (
        "MessageTimestampRouter",
        "topic.timestamp.format",
        [None, Some("yyyy")],
        &[
            ("message.timestamp.keys", "at"),
            ("message.timestamp.format", "yyyy-MM-dd"),
        ],
    ),
    (
        "MessageTimestampRouter",
        "message.timestamp.format",
        [Some("yyyy-MM-dd"), Some("yyyy-dd-MM")],
        &[("message.timestamp.keys", "at")],
    ),
    (
        "MessageTimestampRouter",
        "message.timestamp.keys",
        [Some("at"), Some("none")],
        &[("message.timestamp.format", "yyyy-MM-dd")],
    ),
];

/// A header is named whole.
const NO_PATH: (&str, &str) = (
    "io.confluent.connect.transforms.ExtractTopic$Header",
    "field.format",
);

/// The same data as key and value: with a schema, without, and none at all.
fn records() -> [Record; 3] {
    let inner = Schema::structure()
        .field("d", Schema::string().build())
        .build();
    let schema = Schema::structure()
        .name("row")
        .field("a", Schema::int32().build())
        .field("b", Schema::string().build())
        .field(
            "n",
            Schema::int64()
                .optional()
                .default_value(Value::Int64(7))
                .build(),
        )
        .field("inner", inner.clone())
        .field("ms", Schema::int64().build())
        .field("at", Schema::string().build())
        .build();
    let values = vec![
        Value::Int32(1),
        Value::text("b1"),
        Value::Null,
        Value::Struct(Struct::new(inner, vec![Value::text("y")])),
        Value::Int64(1_700_000_000_000),
        Value::text("2024-01-02"),
    ];
    let row = SchemaAndValue::new(schema.clone(), Struct::new(schema, values.clone()));
    let inside: ConnectMap = [(Value::text("d"), Value::text("y"))].into_iter().collect();
    let names = ["a", "b", "n", "inner", "ms", "at"];
    let mut map: ConnectMap = names.into_iter().map(Value::text).zip(values).collect();
    map.insert(Value::text("inner"), Value::Map(Box::new(inside)));
    let map = SchemaAndValue {
        schema: None,
        value: Value::Map(Box::new(map)),
    };
    [row, map, SchemaAndValue::NULL].map(|data| Record {
        topic: "orders".into(),
        partition: Some(3),
        key: data.clone(),
        value: data,
        timestamp: Some(1_700_000_000_000),
        headers: vec![Header {
            key: "h".into(),
            value: SchemaAndValue::new(Schema::string().build(), Value::text("1")),
        }]
        .into(),
        offset: Some(5),
    })
}

/// What a plugin makes of the records.
fn outcome(class: &str, options: &[(&str, &str)]) -> String {
    let plugin = PLUGINS.iter().find(|plugin| plugin.class == class);
    let plugin = plugin.expect(class);
    let each = records().map(|record| match plugin.make {
        Make::Predicate(make) => {
            let mut predicate = make();
            let options = options
                .iter()
                .map(|&(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            let configured = predicate.configure(&context(), &options);
            format!("{:?}", configured.map(|()| predicate.test(&record)))
        }
        _ => {
            let made = transformation(class, options);
            format!("{:?}", made.and_then(|mut made| made.apply(record)))
        }
    });
    each.join("\n")
}

#[test]
fn each_option_changes_what_becomes_of_a_record() {
    let mut shown = BTreeSet::new();
    let mut without = Vec::new();
    for (name, option, values, beside) in EFFECTS {
        let of_name = |class: &str| {
            let simple = class.rsplit('.').next().unwrap_or_default();
            is_covered(class) && simple.split('$').next() == Some(name)
        };
        for plugin in PLUGINS.iter().filter(|plugin| of_name(plugin.class)) {
            let outcomes = values.map(|value| {
                let own = value.map(|value| (*option, value));
                let options: Vec<_> = beside.iter().copied().chain(own).collect();
                outcome(plugin.class, &options)
            });
            if outcomes[0] == outcomes[1] && (plugin.class, *option) != NO_PATH {
                without.push(format!("{} of {}", option, plugin.class));
            }
            shown.insert((plugin.class, (*option).to_owned()));
        }
    }
    assert!(without.is_empty(), "without effect: {}", without.join(", "));
    let all: BTreeSet<_> = PLUGINS
        .iter()
        .filter(|plugin| is_covered(plugin.class))
        .flat_map(|plugin| {
            let keys: Vec<_> = (plugin.config)()
                .keys()
                .map(|key| key.name.clone())
                .collect();
            keys.into_iter().map(move |key| (plugin.class, key))
        })
        .collect();
    let missing: Vec<_> = all.symmetric_difference(&shown).collect();
    assert!(missing.is_empty(), "not in both: {missing:?}");
}

fn is_covered(class: &str) -> bool {
    class.starts_with("org.apache.kafka.") || class.starts_with("io.confluent.")
}
