//! Facts of the unwrapping, taken from Debezium's.

use super::*;
use crate::tests::transformation;
use connect_api::data::text::convert_to_string;

fn row_schema() -> SchemaRef {
    Schema::structure()
        .optional()
        .name("p.s.t.Value")
        .field("id", Schema::int32().build())
        .field("to", Schema::string().optional().build())
        .build()
}

fn envelope() -> SchemaRef {
    let row = row_schema();
    Schema::structure()
        .name("p.s.t.Envelope")
        .field("before", Arc::clone(&row))
        .field("after", row)
        .field(
            "source",
            Schema::structure()
                .field("lsn", Schema::int64().build())
                .build(),
        )
        .field("op", Schema::string().build())
        .field("ts_ms", Schema::int64().optional().build())
        .field(
            "transaction",
            Schema::structure()
                .optional()
                .field("id", Schema::string().build())
                .build(),
        )
        .build()
}

fn record(before: Option<i32>, after: Option<i32>, op: &'static str) -> Record {
    let schema = envelope();
    let row = |id: Option<i32>| {
        let row = |id: i32| {
            Struct::new(
                Arc::clone(&schema.fields()[0].schema),
                vec![Value::Int32(id), Value::text("topic2")],
            )
        };
        Value::from(id.map(row))
    };
    let source = Struct::new(
        Arc::clone(&schema.fields()[2].schema),
        vec![Value::Int64(99)],
    );
    let values = vec![
        row(before),
        row(after),
        Value::Struct(source),
        Value::text(op),
        Value::Int64(5),
        Value::Null,
    ];
    Record {
        topic: "t".into(),
        value: SchemaAndValue::new(Arc::clone(&schema), Struct::new(schema, values)),
        ..Record::default()
    }
}

fn unwrap(options: &[(&str, &str)], record: Record) -> Option<Record> {
    transformation("ExtractNewRecordState", options)
        .expect("valid options")
        .apply(record)
        .expect("unwrapped")
}

fn text(record: Option<Record>) -> Option<String> {
    record.map(|record| convert_to_string(&record.value.value))
}

#[test]
fn each_mode_treats_deletions_and_tombstones_its_way() {
    let delete = || record(Some(1), None, "d");
    let create = || record(None, Some(1), "c");
    let tombstone = || Record {
        topic: "t".into(),
        ..Record::default()
    };
    let row = r#"{"id":1,"to":"topic2"}"#;
    let (kept, removed) = (
        r#"{"id":1,"to":"topic2","__deleted":"false"}"#,
        r#"{"id":1,"to":"topic2","__deleted":"true"}"#,
    );
    for (mode, created, deleted, tombstoned) in [
        ("drop", row, None, None),
        ("tombstone", row, Some("null"), None),
        ("rewrite", kept, Some(removed), None),
        ("REWRITE-with-tombstone", kept, Some(removed), Some("null")),
        ("delete-to-tombstone", row, Some("null"), None),
    ] {
        let options = [(HANDLING, mode)];
        assert_eq!(
            text(unwrap(&options, create())).as_deref(),
            Some(created),
            "{mode}"
        );
        assert_eq!(
            text(unwrap(&options, delete())).as_deref(),
            deleted,
            "{mode}"
        );
        assert_eq!(
            text(unwrap(&options, tombstone())).as_deref(),
            tombstoned,
            "{mode}"
        );
    }
    let schema_of =
        |mode| unwrap(&[(HANDLING, mode)], delete()).and_then(|record| record.value.schema);
    assert_eq!(
        schema_of("tombstone"),
        Some(row_schema()),
        "the row's schema stays"
    );
    assert_eq!(schema_of("delete-to-tombstone"), None);
}

#[test]
fn a_row_has_its_own_schema_that_is_not_optional() {
    let mut smt = transformation("ExtractNewRecordState", &[]).expect("valid");
    let mut schema_of = |envelope: &SchemaRef| {
        let mut record = record(None, Some(1), "c");
        record.value.schema = Some(Arc::clone(envelope));
        smt.apply(record)
            .expect("unwrapped")
            .and_then(|record| record.value.schema)
            .expect("one")
    };
    let envelope = envelope();
    let first = schema_of(&envelope);
    assert!(!first.is_optional());
    assert_eq!(first.name(), Some("p.s.t.Value"));
    assert!(Arc::ptr_eq(&first, &schema_of(&envelope)), "made once");
}

#[test]
fn parts_of_the_envelope_go_into_fields_and_headers() {
    let options = [
        ("add.fields", "op,lsn,source.lsn,ts_ms:at,nope,id"),
        ("add.headers", "op,source.lsn"),
        ("add.headers.prefix", "h_"),
    ];
    let unwrapped = unwrap(&options, record(None, Some(1), "c")).expect("kept");
    assert_eq!(
        convert_to_string(&unwrapped.value.value),
        r#"{"id":1,"to":"topic2","__op":"c","__lsn":99,"__source_lsn":99,"__at":5,"__id":null}"#
    );
    let headers: Vec<(&str, String)> = unwrapped
        .headers
        .iter()
        .map(|header| (&*header.key, convert_to_string(&header.value.value)))
        .collect();
    assert_eq!(
        headers,
        [("h_op", "c".to_owned()), ("h_source_lsn", "99".to_owned())]
    );
    let tombstone = Record {
        topic: "t".into(),
        ..Record::default()
    };
    let kept = [
        ("add.headers", "op,lsn"),
        (HANDLING, "rewrite-with-tombstone"),
    ];
    let headers = unwrap(&kept, tombstone).expect("kept").headers;
    assert_eq!(headers.len(), 1);
    assert_eq!(
        (&*headers[0].key, &headers[0].value.value),
        ("__op", &Value::text("d"))
    );
}

#[test]
fn a_tombstone_has_the_headers_that_were_added_to_its_deletion() {
    let options = [
        ("add.headers", "op,lsn"),
        (HANDLING, "rewrite-with-tombstone"),
    ];
    let names = |offset: Option<i64>, tombstone: fn(&mut Record)| -> Vec<String> {
        let mut unwrap = transformation("ExtractNewRecordState", &options).expect("valid options");
        let mut deletion = record(Some(1), None, "d");
        deletion.offset = offset;
        deletion.headers.push(Header {
            key: "given".into(),
            value: SchemaAndValue::NULL,
        });
        let mut its_tombstone = Record {
            value: SchemaAndValue::NULL,
            ..deletion.clone()
        };
        tombstone(&mut its_tombstone);
        unwrap.apply(deletion).expect("unwrapped").expect("kept");
        let kept = unwrap
            .apply(its_tombstone)
            .expect("unwrapped")
            .expect("kept");
        let keys = kept.headers.iter().map(|header| header.key.to_string());
        keys.collect()
    };
    let own = ["given", "__op"];
    assert_eq!(names(None, |_| ()), ["given", "__op", "__lsn", "__op"]);
    assert_eq!(names(Some(3), |_| ()), own, "a sink reads both for itself");
    assert_eq!(names(None, |record| record.topic = "u".into()), own);
    assert_eq!(
        names(None, |record| record.key.value = Value::Int32(1)),
        own
    );
    let copied = |record: &mut Record| record.headers = record.headers.iter().cloned().collect();
    assert_eq!(
        names(None, copied),
        own,
        "another transformation copied them"
    );
}

#[test]
fn a_field_can_name_the_topic() {
    let topic = |field, record| {
        transformation("ExtractNewRecordState", &[("route.by.field", field)])
            .expect("valid")
            .apply(record)
            .map(|record| record.expect("kept").topic.to_string())
            .map_err(|error| error.message().to_owned())
    };
    assert_eq!(
        topic("to", record(None, Some(1), "c")),
        Ok("topic2".to_owned())
    );
    assert_eq!(
        topic("to", record(Some(1), None, "d")),
        Ok("topic2".to_owned())
    );
    assert_eq!(
        topic("id", record(None, Some(1), "c")),
        Err("Field 'id' is not of type STRING".to_owned())
    );
    assert_eq!(
        topic("zz", record(None, Some(1), "c")),
        Err("zz is not a valid field name".to_owned())
    );
}

#[test]
fn a_header_can_name_fields_to_drop() {
    let with_header = || {
        let names = vec![Value::text("id"), Value::text("to")];
        let mut record = record(None, Some(1), "c");
        record.headers.push(Header {
            key: "drop".into(),
            value: SchemaAndValue {
                schema: None,
                value: Value::Array(names),
            },
        });
        record
    };
    let options = [("drop.fields.header.name", "drop")];
    assert_eq!(
        text(unwrap(&options, with_header())).as_deref(),
        Some(r#"{"id":1}"#)
    );
    let options = [options[0], ("drop.fields.keep.schema.compatible", "false")];
    assert_eq!(text(unwrap(&options, with_header())).as_deref(), Some("{}"));
}

#[test]
fn truncations_are_dropped_and_other_records_pass() {
    assert_eq!(unwrap(&[], record(None, None, "t")), None);
    let other = Record {
        topic: "t".into(),
        value: SchemaAndValue::new(None, "no envelope"),
        ..Record::default()
    };
    assert_eq!(unwrap(&[], other.clone()), Some(other));
}

#[test]
fn options_are_refused_in_debezium_s_words() {
    let values = definition().validate(
        &[(HANDLING.to_owned(), "bad".to_owned())]
            .into_iter()
            .collect(),
    );
    assert_eq!(
        values[0].errors,
        [
            "Invalid value bad for configuration delete.tombstone.handling.mode: Value must be one of \
         drop, tombstone, rewrite-with-tombstone, rewrite, delete-to-tombstone"
        ]
    );
}

#[test]
fn a_whole_row_is_added_only_while_it_is_null() {
    let options = [("add.fields", "before")];
    let unwrapped = unwrap(&options, record(None, Some(1), "c")).unwrap();
    let schema = unwrapped.value.schema.unwrap();
    let added = schema.field("__before").unwrap();
    assert!(added.schema.fields().is_empty() && added.schema.is_optional());
    assert_eq!(added.schema.name(), Some("p.s.t.Value"));
    let mut smt = transformation("ExtractNewRecordState", &options).expect("valid");
    let error = smt.apply(record(Some(1), Some(2), "u")).unwrap_err();
    assert_eq!(error.to_string(), "Struct schemas do not match.");
}

#[test]
fn fields_of_both_states_are_added() {
    let options = [("add.fields", "before.id:was,after.id:is")];
    let unwrapped = unwrap(&options, record(Some(1), Some(2), "u"));
    assert_eq!(
        text(unwrapped).as_deref(),
        Some(r#"{"id":2,"to":"topic2","__was":1,"__is":2}"#)
    );
}
