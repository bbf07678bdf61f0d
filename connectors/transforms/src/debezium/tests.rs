//! Facts of Debezium's transformations; values marked so were recorded from it.

use std::sync::Arc;

use connect_api::data::text::convert_to_string;
use connect_api::data::{Header, Schema, SchemaAndValue, SchemaRef, Struct, Value};
use connect_api::record::Record;

use super::murmur;
use crate::tests::transformation;

fn row_schema() -> SchemaRef {
    Schema::structure()
        .name("p.public.outbox.Value")
        .optional()
        .field("id", Schema::string().build())
        .field("aggregatetype", Schema::string().build())
        .field("aggregateid", Schema::int32().build())
        .field("payload", Schema::string().optional().build())
        .field("note", Schema::string().optional().build())
        .field(
            "at",
            Schema::int64()
                .name("io.debezium.time.MicroTimestamp")
                .version(1)
                .optional()
                .build(),
        )
        .field(
            "zoned",
            Schema::string()
                .name("io.debezium.time.ZonedTimestamp")
                .version(1)
                .optional()
                .build(),
        )
        .build()
}

/// A change of the row whose payload and note are these.
fn change(op: &'static str, before: Option<&str>, after: Option<&str>) -> Record {
    let row = row_schema();
    let source = Schema::structure()
        .field("table", Schema::string().build())
        .build();
    let schema = Schema::structure()
        .name("p.public.outbox.Envelope")
        .version(2)
        .field("before", Arc::clone(&row))
        .field("after", Arc::clone(&row))
        .field("source", Arc::clone(&source))
        .field("op", Schema::string().build())
        .field("ts_ms", Schema::int64().optional().build())
        .build();
    let values = |payload: &str| {
        Struct::new(
            Arc::clone(&row),
            vec![
                Value::text("e1"),
                Value::text("order"),
                Value::Int32(7),
                Value::from(payload),
                Value::from(format!("note {}", payload.len())),
                Value::Int64(1_609_459_200_000_001),
                Value::text("2020-06-01T12:00:00.500000Z"),
            ],
        )
    };
    let values = vec![
        Value::from(before.map(values)),
        Value::from(after.map(values)),
        Value::Struct(Struct::new(source, vec![Value::text("outbox")])),
        Value::text(op),
        Value::Int64(9),
    ];
    let key = Schema::structure()
        .name("p.public.outbox.Key")
        .field("id", Schema::string().build())
        .build();
    Record {
        topic: "p.public.outbox".into(),
        key: SchemaAndValue::new(Arc::clone(&key), Struct::new(key, vec![Value::text("e1")])),
        value: SchemaAndValue::new(Arc::clone(&schema), Struct::new(schema, values)),
        ..Record::default()
    }
}

fn apply(name: &str, options: &[(&str, &str)], record: Record) -> Option<Record> {
    transformation(name, options)
        .expect("valid options")
        .apply(record)
        .expect("transformed")
}

fn fails(name: &str, options: &[(&str, &str)]) -> String {
    match transformation(name, options) {
        Err(error) => error.message().to_owned(),
        Ok(_) => panic!("{name} takes {options:?}"),
    }
}

fn header<'a>(record: &'a Record, name: &str) -> Option<&'a Value> {
    let found = record.headers.iter().find(|header| header.key == *name);
    found.map(|header| &header.value.value)
}

#[test]
fn an_outbox_row_goes_where_it_says() {
    let routed = apply("EventRouter", &[], change("c", None, Some("{}"))).unwrap();
    assert_eq!(routed.topic, "outbox.event.order");
    assert_eq!(routed.key.value, Value::Int32(7));
    assert_eq!(routed.value.value, Value::text("{}"));
    assert_eq!(routed.timestamp, Some(9));
    assert_eq!(header(&routed, "id"), Some(&Value::text("e1")));
}

#[test]
fn a_replacement_that_names_no_group_fails_where_it_is_needed() {
    let failure = |name: &str, options: &[(&str, &str)]| {
        let mut router = transformation(name, options).unwrap();
        router
            .apply(change("c", None, Some("{}")))
            .map_err(|error| (error.java_class(), error.message().to_owned()))
            .map(|record| record.map(|record| record.topic.to_string()))
    };
    let named = || {
        Err((
            "java.lang.IllegalArgumentException",
            "No group with name {routedByValue}".to_owned(),
        ))
    };
    assert_eq!(
        failure("EventRouter", &[("route.topic.regex", "(.*)der")]),
        named()
    );
    assert_eq!(
        failure("EventRouter", &[("route.topic.regex", "none")]),
        Ok(Some("order".to_owned()))
    );
    let (regex, all) = (
        ("topic.regex", "(.*)outbox"),
        ("topic.replacement", "$1all"),
    );
    let replacement = ("topic.replacement", "${routedByValue}");
    assert_eq!(
        failure("ByLogicalTableRouter", &[regex, replacement]),
        named()
    );
    let key = [
        ("key.field.regex", "(.*)outbox"),
        ("key.field.replacement", "${routedByValue}"),
    ];
    let options = [regex, all, key[0], key[1]];
    assert_eq!(failure("ByLogicalTableRouter", &options), named());
    let once = ("key.enforce.uniqueness", "false");
    let options = [regex, all, key[0], key[1], once];
    assert!(failure("ByLogicalTableRouter", &options).is_ok());
}

#[test]
fn only_new_outbox_rows_make_events() {
    assert!(apply("EventRouter", &[], change("d", Some("x"), None)).is_none());
    assert!(apply("EventRouter", &[], change("u", Some("x"), Some("y"))).is_none());
    assert!(apply("EventRouter", &[], Record::default()).is_none());
    let fatal = [("table.op.invalid.behavior", "fatal")];
    let mut router = transformation("EventRouter", &fatal).unwrap();
    let error = router.apply(change("u", Some("x"), Some("y"))).unwrap_err();
    assert_eq!(
        error.message(),
        "Unexpected update message received Struct{id=e1}, fail."
    );
}

#[test]
fn further_columns_go_into_header_envelope_and_partition() {
    let options = [
        (
            "table.fields.additional.placement",
            "note:envelope:remark,note:header,aggregateid:partition",
        ),
        ("table.field.event.timestamp", "at"),
        ("route.topic.regex", "(.*)"),
        ("route.topic.replacement", "to.$1"),
    ];
    let routed = apply("EventRouter", &options, change("r", None, Some("{}"))).unwrap();
    let schema = routed.value.schema.as_ref().unwrap();
    assert_eq!(schema.name(), Some("p.public.outbox.order.Value"));
    assert_eq!(
        convert_to_string(&routed.value.value),
        r#"{"payload":"{}","remark":"note 2"}"#
    );
    assert_eq!(header(&routed, "note"), Some(&Value::text("note 2")));
    assert_eq!(routed.partition, Some(7));
    assert_eq!(routed.timestamp, Some(1_609_459_200_000));
    assert_eq!(routed.topic, "to.order");
}

#[test]
fn json_payloads_expand_by_what_they_hold() {
    let expand = |options: &[(&str, &str)], payload: &str| {
        let mut all = vec![("table.expand.json.payload", "true")];
        all.extend_from_slice(options);
        let routed = apply("EventRouter", &all, change("c", None, Some(payload))).unwrap();
        convert_to_string(&routed.value.value)
    };
    let payload =
        r#"{"a":1,"b":null,"c":[],"d":{"e":1.5},"f":[{"g":1},{"h":"x"}],"i":12345678901}"#;
    assert_eq!(
        expand(&[], payload),
        r#"{"a":1,"d":{"e":1.5},"f":[{"g":1,"h":null},{"g":null,"h":"x"}],"i":12345678901}"#
    );
    // Debezium takes the number into the schema, and then fails.
    assert_eq!(
        expand(&[], r#"{"a":123456789012345678901234567890}"#),
        r#"{"a":1.2345678901234568E29}"#
    );
    let kept = [
        ("table.json.payload.null.behavior", "optional_bytes"),
        ("table.json.payload.empty.array.behavior", "optional_string"),
    ];
    assert_eq!(
        expand(&kept, r#"{"b":null,"c":[]}"#),
        r#"{"b":null,"c":[]}"#
    );
    // Not JSON, of mixed types, or a field without a name: the text stays.
    for text in [
        "plain",
        "",
        r#"{"a":[1,"x"]}"#,
        r#"{"a":[1,1.5]}"#,
        r#"{"":1}"#,
    ] {
        assert_eq!(expand(&[], text), text);
    }
}

#[test]
fn equal_expanded_schemas_are_one_pointer() {
    let options = [("table.expand.json.payload", "true")];
    let mut router = transformation("EventRouter", &options).unwrap();
    let mut schema = |payload| {
        let record = change("c", None, Some(payload));
        let routed = router.apply(record).unwrap().unwrap();
        routed.value.schema.unwrap()
    };
    assert!(Arc::ptr_eq(&schema(r#"{"a":1}"#), &schema(r#"{"a":2}"#)));
}

#[test]
fn columns_of_the_outbox_have_the_names_that_are_given() {
    let routed = |options: &[(&str, &str)]| {
        apply("EventRouter", options, change("c", None, Some("{}"))).unwrap()
    };
    let note = Value::text("note 2");
    let by_id = routed(&[("table.field.event.id", "note")]);
    assert_eq!(header(&by_id, "id"), Some(&note));
    let by_key = routed(&[("table.field.event.key", "note")]);
    assert_eq!(by_key.key.value, note);
    let of_payload = routed(&[("table.field.event.payload", "note")]);
    assert_eq!(of_payload.value.value, note);
    let envelope = (
        "table.fields.additional.placement",
        "note:envelope,aggregatetype:envelope",
    );
    let version = |options: &[(&str, &str)]| routed(options).value.schema.unwrap().version();
    let from_column = ("table.field.event.schema.version", "aggregateid");
    assert_eq!(version(&[envelope, from_column]), Some(7));
    assert_eq!(version(&[envelope]), None);
}

#[test]
fn an_empty_payload_is_a_tombstone_where_asked_for() {
    let options = [("route.tombstone.on.empty.payload", "true")];
    let routed = apply("EventRouter", &options, change("c", None, Some(" "))).unwrap();
    assert_eq!(routed.value, SchemaAndValue::NULL);
    assert_eq!(routed.topic, "outbox.event.order");
}

#[test]
fn outbox_options_are_checked_at_the_start() {
    let invalid = fails("EventRouter", &[("table.op.invalid.behavior", "x")]);
    assert!(
        invalid.contains("Value must be one of warn, error, fatal"),
        "{invalid}"
    );
    let pairs = fails("EventRouter", &[("table.fields.additional.placement", "a")]);
    assert!(pairs.contains("valid String pairs or trios"), "{pairs}");
}

#[test]
fn a_missing_column_fails_or_is_passed_over() {
    let placed = ("table.fields.additional.placement", "nope:envelope");
    let mut router = transformation("EventRouter", &[placed]).unwrap();
    let error = router.apply(change("c", None, Some("x"))).unwrap_err();
    assert_eq!(error.message(), "Unable to find field nope in event");
    let options = [placed, ("table.field.additional.missing", "ignore")];
    let routed = apply("EventRouter", &options, change("c", None, Some("x"))).unwrap();
    assert_eq!(convert_to_string(&routed.value.value), r#"{"payload":"x"}"#);
}

#[test]
fn tables_of_one_kind_share_a_topic_and_keep_their_keys_apart() {
    let options = [
        ("topic.regex", "(.*)outbox"),
        ("topic.replacement", "$1all"),
    ];
    let routed = apply(
        "ByLogicalTableRouter",
        &options,
        change("c", None, Some("x")),
    )
    .unwrap();
    assert_eq!(routed.topic, "p.public.all");
    assert_eq!(
        convert_to_string(&routed.key.value),
        r#"{"id":"e1","__dbz__physicalTableIdentifier":"p.public.outbox"}"#
    );
    let value = routed.value.schema.as_ref().unwrap();
    assert_eq!(value.name(), Some("p.public.all.Envelope"));
    assert_eq!(
        value.field("after").unwrap().schema.name(),
        Some("p.public.all.Value")
    );
    let routed = apply(
        "ToLogicalTopicRouter",
        &options,
        change("c", None, Some("x")),
    )
    .unwrap();
    let field = "__dbz__sourceIdentifier";
    assert!(routed.key.schema.unwrap().field(field).is_some());
    let other = [("topic.regex", "q.*"), ("topic.replacement", "r")];
    let left = apply("ByLogicalTableRouter", &other, change("c", None, Some("x"))).unwrap();
    assert_eq!(left.topic, "p.public.outbox");
    assert_eq!(
        fails("ByLogicalTableRouter", &[("topic.regex", "x")]),
        "Unable to validate config."
    );
}

#[test]
fn partitions_follow_javas_hashes() {
    let route = |fields: &str, function: &str, record| {
        let options = [
            ("partition.payload.fields", fields),
            ("partition.topic.num", "7"),
            ("partition.hash.function", function),
        ];
        apply("PartitionRouting", &options, record)
            .unwrap()
            .partition
    };
    let create = || change("c", None, Some("x"));
    assert_eq!(route("change.aggregateid", "java", create()), Some(0));
    // "order".hashCode() is 106006350.
    assert_eq!(
        route("after.aggregatetype", "java", create()),
        Some(106_006_350 % 7)
    );
    assert_eq!(route("before.id", "java", create()), None);
    assert_eq!(route("nope", "java", create()), None);
    assert_eq!(
        route("change.aggregateid", "java", change("t", None, None)),
        None
    );
    let delete = change("d", Some("x"), None);
    assert_eq!(route("change.aggregateid", "java", delete), Some(0));
    assert_eq!(
        route("after.aggregatetype", "murmur", create()),
        Some((murmur::hash(b"order") & i32::MAX) % 7)
    );
}

#[test]
fn times_move_to_the_zone_and_local_times_are_taken_as_its() {
    let after = |options: &[(&str, &str)]| {
        let record = apply("TimezoneConverter", options, change("c", None, Some("x"))).unwrap();
        let Value::Struct(envelope) = record.value.value else {
            panic!("an envelope")
        };
        let row = envelope.get("after").unwrap().as_struct().unwrap().clone();
        let text = row.get("zoned").unwrap().as_str().unwrap().to_owned();
        (row.get("at").unwrap().as_i64().unwrap(), text)
    };
    let rome = ("converted.timezone", "Europe/Rome");
    let unchanged = (
        1_609_459_200_000_001,
        "2020-06-01T12:00:00.500000Z".to_owned(),
    );
    let moved = (
        1_609_455_600_000_001,
        "2020-06-01T14:00:00.5+02:00".to_owned(),
    );
    assert_eq!(after(&[rome]), moved);
    assert_eq!(
        after(&[("converted.timezone", "-03:00:30")]).1,
        "2020-06-01T08:59:30.5-03:00:30"
    );
    assert_eq!(
        after(&[rome, ("include.list", "source:outbox:at")]),
        (moved.0, unchanged.1.clone())
    );
    assert_eq!(after(&[rome, ("include.list", "source:other")]), unchanged);
    assert_eq!(
        after(&[rome, ("exclude.list", "outbox:at")]),
        (unchanged.0, moved.1)
    );
    assert_eq!(after(&[rome, ("exclude.list", "source:outbox")]), unchanged);
    assert!(fails("TimezoneConverter", &[("converted.timezone", "Mars")]).contains("timezone"));
    let both = [
        rome,
        ("include.list", "source:a"),
        ("exclude.list", "source:b"),
    ];
    assert!(fails("TimezoneConverter", &both).starts_with("Both include and exclude"));
}

fn with_header(mut record: Record, name: &'static str, value: &str) -> Record {
    record.headers.push(Header {
        key: name.into(),
        value: SchemaAndValue::new(Schema::string().build(), value),
    });
    record
}

#[test]
fn headers_become_fields() {
    let options = |operation| {
        [
            ("headers", "h"),
            ("fields", "extra.h"),
            ("operation", operation),
        ]
    };
    let record = || with_header(change("c", None, Some("x")), "h", "v");
    let moved = apply("HeaderToValue", &options("move"), record()).unwrap();
    assert_eq!(header(&moved, "h"), None);
    let Value::Struct(value) = &moved.value.value else {
        panic!("a struct")
    };
    assert_eq!(
        convert_to_string(value.get("extra").unwrap()),
        r#"{"h":"v"}"#
    );
    let copied = apply("HeaderToValue", &options("copy"), record()).unwrap();
    assert_eq!(header(&copied, "h"), Some(&Value::text("v")));
    let without = apply(
        "HeaderToValue",
        &options("copy"),
        change("c", None, Some("x")),
    )
    .unwrap();
    assert_eq!(without.value, change("c", None, Some("x")).value);
    let uneven = [("headers", "a,b"), ("fields", "a"), ("operation", "move")];
    assert_eq!(
        fails("HeaderToValue", &uneven),
        "'fields' config must have the same number of elements as 'headers' config."
    );
}

#[test]
fn a_header_that_comes_later_becomes_a_field_too() {
    let options = [("headers", "a,b"), ("fields", "a,b"), ("operation", "copy")];
    let mut mover = transformation("HeaderToValue", &options).unwrap();
    let schema = change("c", None, Some("x")).value.schema;
    let mut record = |headers: &[&'static str]| {
        let mut record = change("c", None, Some("x"));
        record.value.schema.clone_from(&schema);
        if let (Value::Struct(value), Some(schema)) = (&mut record.value.value, &schema) {
            value.schema = Arc::clone(schema);
        }
        for name in headers {
            record = with_header(record, name, "v");
        }
        mover.apply(record).unwrap().unwrap().value.schema.unwrap()
    };
    assert!(record(&["a"]).field("b").is_none());
    assert!(record(&["a", "b"]).field("b").is_some());
    // What is known stays, so that the schema does not change to and fro.
    assert!(record(&["a"]).field("b").is_some());
}

#[test]
fn headers_tell_what_changed() {
    let options = [
        ("header.changed.name", "Changed"),
        ("header.unchanged.name", "Same"),
    ];
    let updated = apply(
        "ExtractChangedRecordState",
        &options,
        change("u", Some("x"), Some("longer")),
    )
    .unwrap();
    let changed = header(&updated, "Changed").unwrap();
    assert_eq!(convert_to_string(changed), r#"["payload","note"]"#);
    let same = header(&updated, "Same").unwrap();
    assert_eq!(
        convert_to_string(same),
        r#"["id","aggregatetype","aggregateid","at","zoned"]"#
    );
    let created = change("c", None, Some("x"));
    let created = apply("ExtractChangedRecordState", &options, created).unwrap();
    assert_eq!(header(&created, "Changed"), Some(&Value::Array(Vec::new())));
    // A deletion's tombstone has the same list of headers.
    let deletion = change("d", Some("x"), None);
    for deletion in [with_header(deletion.clone(), "given", "v"), deletion] {
        let mut both = transformation("ExtractChangedRecordState", &options).unwrap();
        let tombstone = Record {
            value: SchemaAndValue::NULL,
            ..deletion.clone()
        };
        both.apply(deletion).unwrap().unwrap();
        let tombstone = both.apply(tombstone).unwrap().unwrap();
        assert_eq!(header(&tombstone, "Same"), Some(&Value::Array(Vec::new())));
    }
}

#[test]
fn schema_changes_are_filtered_by_kind() {
    let change = |kind: Option<&'static str>| {
        let item = Schema::structure()
            .field("type", Schema::string().build())
            .build();
        let schema = Schema::structure()
            .name("io.debezium.connector.mysql.SchemaChangeValue")
            .field("tableChanges", Schema::array(Arc::clone(&item)).build())
            .build();
        let items = kind
            .map(|kind| Value::Struct(Struct::new(item, vec![Value::text(kind)])))
            .into_iter()
            .collect::<Vec<_>>();
        Record {
            value: SchemaAndValue::new(
                Arc::clone(&schema),
                Struct::new(schema, vec![Value::Array(items)]),
            ),
            ..Record::default()
        }
    };
    let options = [("schema.change.event.exclude.list", "DROP, DATABASE")];
    let kept = |kind| apply("SchemaChangeEventFilter", &options, change(kind)).is_some();
    assert!(kept(Some("CREATE")));
    assert!(!kept(Some("DROP")));
    assert!(!kept(None));
    let unknown = [("schema.change.event.exclude.list", "NOPE")];
    assert!(fails("SchemaChangeEventFilter", &unknown).ends_with("SchemaChangeEventType.NOPE"));
}

#[test]
fn vectors_become_json() {
    let vector = Schema::array(Schema::float64().build())
        .name("io.debezium.data.DoubleVector")
        .optional()
        .build();
    let map = Schema::map(Schema::int16().build(), Schema::float64().build()).build();
    let sparse = Schema::structure()
        .name("io.debezium.data.SparseDoubleVector")
        .field("dimensions", Schema::int16().build())
        .field("vector", Arc::clone(&map))
        .build();
    let row = Schema::structure()
        .optional()
        .field("v", vector)
        .field("s", Arc::clone(&sparse))
        .build();
    let schema = Schema::structure().field("after", Arc::clone(&row)).build();
    let entries = [(4, 0.5), (1, 0.1)];
    let entries = entries.map(|(at, value)| (Value::Int16(at), Value::Float64(value)));
    let sparse = Struct::new(
        sparse,
        vec![
            Value::Int16(5),
            Value::Map(Box::new(entries.into_iter().collect())),
        ],
    );
    let vector = Value::Array(vec![Value::Float64(1.0), Value::Float64(2.5)]);
    let row = Struct::new(row, vec![vector, Value::Struct(sparse)]);
    let record = Record {
        value: SchemaAndValue::new(
            Arc::clone(&schema),
            Struct::new(schema, vec![Value::Struct(row)]),
        ),
        ..Record::default()
    };
    let converted = apply("VectorToJsonConverter", &[], record).unwrap();
    let Value::Struct(value) = converted.value.value else {
        panic!("a struct")
    };
    let row = value.get("after").unwrap().as_struct().unwrap();
    assert_eq!(row.values[0], Value::text(r#"{ "values": [1.0, 2.5] }"#));
    assert_eq!(
        row.values[1],
        Value::text(r#"{ "dimensions": 5, "vector": { "1": 0.1, "4": 0.5 } }"#)
    );
    assert_eq!(
        row.schema.fields()[0].schema.name(),
        Some("io.debezium.data.Json")
    );
    assert!(row.schema.is_optional() && row.schema.fields()[0].schema.is_optional());
}

#[test]
fn the_content_of_a_message_becomes_a_new_row() {
    let message = |content: &'static [u8]| {
        let inner = Schema::structure()
            .field("prefix", Schema::string().optional().build())
            .field("content", Schema::bytes().optional().build())
            .build();
        let schema = Schema::structure()
            .name("io.debezium.connector.postgresql.MessageValue")
            .version(1)
            .field("op", Schema::string().build())
            .field("message", Arc::clone(&inner))
            .build();
        let content = Value::Bytes(connect_api::Bytes::from_static(content));
        let inner = Struct::new(inner, vec![Value::text("p"), content]);
        let values = vec![Value::text("m"), Value::Struct(inner)];
        Record {
            value: SchemaAndValue::new(Arc::clone(&schema), Struct::new(schema, values)),
            ..Record::default()
        }
    };
    let name = "DecodeLogicalDecodingMessageContent";
    let decoded = apply(name, &[], message(br#"{"id":1,"n":null}"#)).unwrap();
    let schema = decoded.value.schema.as_ref().unwrap();
    assert_eq!(
        schema.name(),
        Some("io.debezium.connector.postgresql.MessageValue.Envelope")
    );
    assert_eq!(
        convert_to_string(&decoded.value.value),
        r#"{"op":"c","after":{"id":1}}"#
    );
    let options = [("fields.null.include", "true")];
    let decoded = apply(name, &options, message(br#"{"id":1,"n":null}"#)).unwrap();
    assert_eq!(
        convert_to_string(&decoded.value.value),
        r#"{"op":"c","after":{"id":1,"n":null}}"#
    );
    let mut decoder = transformation(name, &[]).unwrap();
    assert!(decoder.apply(message(b"plain")).is_err());
    assert!(decoder.apply(Record::default()).unwrap().is_some());
}

#[test]
fn what_is_too_large_is_taken_from_the_longest_columns() {
    let long = "x".repeat(1000);
    let options = [("max.bytes", "3000"), ("min.field.size", "100")];
    let shortened = apply(
        "EnforceRecordSize",
        &options,
        change("u", Some(&long), Some(&long)),
    )
    .unwrap();
    let payload = |record: &Record, part: &str| {
        let event = record.value.value.as_struct().unwrap();
        let row = event.get(part).unwrap().as_struct().unwrap();
        row.get("payload").unwrap().as_str().unwrap().len()
    };
    let left = payload(&shortened, "after");
    assert_eq!(payload(&shortened, "before"), left);
    assert!((1..1000).contains(&left), "{left}");
    // What fits, and columns that are short enough, stay.
    let small = change("c", None, Some("{}"));
    let same = apply("EnforceRecordSize", &options, small.clone()).unwrap();
    assert_eq!(same, small);
    let options = [("max.bytes", "10"), ("min.field.size", "1000")];
    let large = change("c", None, Some(&long));
    assert_eq!(
        apply("EnforceRecordSize", &options, large.clone()),
        Some(large)
    );
    // Compressed to a tenth it fits.
    let options = [
        ("max.bytes", "3000"),
        ("min.field.size", "100"),
        ("compression.ratio", "0.1"),
    ];
    let large = change("u", Some(&long), Some(&long));
    assert_eq!(
        apply("EnforceRecordSize", &options, large.clone()),
        Some(large)
    );
    let refused = fails("EnforceRecordSize", &[("max.bytes", "0")]);
    assert!(refused.ends_with("Must be a positive integer"), "{refused}");
}

#[test]
fn an_event_tells_its_columns_types() {
    let column = |name: &str, kind: &str| {
        Schema::string()
            .parameter("__debezium.source.column.type", kind)
            .parameter("__debezium.source.column.length", "10")
            .parameter("__debezium.source.column.name", name)
            .optional()
            .build()
    };
    let row = Schema::structure()
        .optional()
        .field("a", column("A", "VARCHAR"))
        .build();
    let source = Schema::structure()
        .field("table", Schema::string().build())
        .build();
    let envelope = |row: &SchemaRef| {
        Schema::structure()
            .name("p.public.t.Envelope")
            .field("before", Arc::clone(row))
            .field("after", Arc::clone(row))
            .field("source", Arc::clone(&source))
            .build()
    };
    let record = |row: &SchemaRef, value: Value| {
        let values = vec![
            Value::Null,
            value,
            Value::Struct(Struct::new(Arc::clone(&source), vec![Value::text("t")])),
        ];
        let schema = envelope(row);
        Record {
            value: SchemaAndValue::new(Arc::clone(&schema), Struct::new(schema, values)),
            ..Record::default()
        }
    };
    let value = Struct::new(Arc::clone(&row), vec![Value::text("x")]);
    let name = "ExtractSchemaToNewRecord";
    let told = apply(name, &[], record(&row, Value::Struct(value))).unwrap();
    let event = told.value.value.as_struct().unwrap();
    assert_eq!(
        convert_to_string(event.get("sourceSchema").unwrap()),
        concat!(
            r#"{"id":"t","table":{"columns":[{"name":"A","typeName":"VARCHAR","length":10,"#,
            r#""scale":null,"comment":null}]}}"#
        )
    );
    let truncation = record(&row, Value::Null);
    assert_eq!(apply(name, &[], truncation.clone()), Some(truncation));
    // Without `column.propagate.source.type` there is nothing to tell.
    let bare = row_schema();
    let values = vec![Value::Null; bare.fields().len()];
    let bare = record(&bare, Value::Struct(Struct::new(Arc::clone(&bare), values)));
    let error = transformation(name, &[]).unwrap().apply(bare).unwrap_err();
    assert!(error.message().starts_with("Ensure that enable"), "{error}");
}
