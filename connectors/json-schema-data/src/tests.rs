//! Facts of the mapping, beside the recorded answers that the converters' tests compare with.

use connect_api::data::{Bytes, Schema, SchemaRef, SchemaType, Struct, Value};

use super::*;

fn schema_of(text: &str, options: &JsonSchemaOptions) -> SchemaRef {
    let documents = Documents::parse(text, &[]).expect("JSON");
    connect_schema(&documents, None, options, &mut 0).expect(text)
}

fn data(text: &str, payload: &str) -> (SchemaRef, Value) {
    let options = JsonSchemaOptions::default();
    let schema = schema_of(text, &options);
    let value = read(
        &Bytes::copy_from_slice(payload.as_bytes()),
        &schema,
        &options,
    );
    (
        schema,
        value.unwrap_or_else(|error| panic!("{text} {payload}: {error:?}")),
    )
}

/// The fields that are set, by name.
fn set(value: &Value) -> Vec<(String, Value)> {
    let value = value.as_struct().expect("a struct");
    let fields = value.schema.fields().iter().zip(&value.values);
    fields
        .filter(|(_, value)| !value.is_null())
        .map(|(field, value)| (field.name.to_string(), value.clone()))
        .collect()
}

fn written(schema: &SchemaRef, value: &Value) -> String {
    let mut out = Vec::new();
    Writer::new(schema, &JsonSchemaOptions::default())
        .write(value, &mut out)
        .expect("written");
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn an_object_that_contains_itself_goes_there_and_back() {
    let text = r##"{"title":"Node","type":"object","properties":{
        "v":{"type":"integer","connect.index":0},
        "next":{"connect.index":1,"oneOf":[{"type":"null"},{"$ref":"#"}]}}}"##;
    let payload = r#"{"v":1,"next":{"v":2,"next":null}}"#;
    let (schema, value) = data(text, payload);
    assert!(schema.fields()[1].schema.is_recursive());
    assert_eq!(written(&schema, &value), payload);
    let again = schema_text(&schema, &JsonSchemaOptions::default()).expect("a text");
    assert!(
        again.contains(r##""$id":"#id1""##) && again.contains(r##""$ref":"#id1""##),
        "{again}"
    );
    let (read_again, value_again) = data(&again, payload);
    assert!(read_again.fields()[1].schema.is_recursive(), "{again}");
    assert_eq!(written(&read_again, &value_again), payload);
    let options = JsonSchemaOptions::default();
    for endless in [
        r##"{"$ref":"#"}"##,
        r##"{"allOf":[{"$ref":"#"}]}"##,
        r##"{"type":"array","items":{"$ref":"#"}}"##,
    ] {
        let documents = Documents::parse(endless, &[]).expect("JSON");
        connect_schema(&documents, None, &options, &mut 0).expect_err(endless);
    }
}

#[test]
fn parts_that_all_hold_are_one_struct() {
    let text = r##"{"title":"All","definitions":{"Base":{"type":"object","properties":{"id":{"type":"integer"}}}},
        "allOf":[{"$ref":"#/definitions/Base"},{"properties":{"name":{"type":"string"}}}],
        "oneOf":[{"properties":{"card":{"type":"string"}}},{"properties":{"cash":{"type":"boolean"}}}]}"##;
    let (schema, value) = data(text, r#"{"id":1,"name":"n","cash":true}"#);
    assert_eq!(schema.name(), Some("All"));
    let mut set = set(&value);
    set.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        set,
        [
            ("cash".to_owned(), Value::Boolean(true)),
            ("id".to_owned(), Value::Int64(1)),
            ("name".to_owned(), Value::text("n")),
        ]
    );
    assert!(schema.field("card").expect("a field").schema.is_optional());
}

#[test]
fn a_choice_is_made_by_the_kind_of_value_and_the_names_of_members() {
    let text = r#"{"oneOf":[{"type":"null"},{"type":"string"},{"type":"integer"},{"type":"number"},{"type":"boolean"},
        {"type":"array","items":{"type":"string"}},
        {"type":"object","properties":{"a":{"type":"string"},"x":{"type":"string"}}},
        {"type":"object","properties":{"b":{"type":"string"},"x":{"type":"string"}}}]}"#;
    for (payload, field) in [
        (r#""s""#, 0),
        ("3", 1),
        ("3.5", 2),
        ("true", 3),
        (r#"["s"]"#, 4),
        (r#"{"x":"1","a":"2"}"#, 5),
        (r#"{"x":"1","b":"2"}"#, 6),
    ] {
        let (_, value) = data(text, payload);
        let set = set(&value);
        assert_eq!(set.len(), 1, "{payload}");
        assert_eq!(set[0].0, format!("{ONE_OF_FIELD}{field}"), "{payload}");
    }
    assert_eq!(data(text, "null").1, Value::Null);
    let generalized = JsonSchemaOptions {
        generalized_sum_types: true,
        ..JsonSchemaOptions::default()
    };
    let schema = schema_of(
        r#"{"oneOf":[{"type":"string"},{"type":"integer"}]}"#,
        &generalized,
    );
    assert_eq!(schema.name(), Some("connect_union_0"));
    assert_eq!(schema.parameter(GENERAL_UNION), Some("connect_union_0"));
    assert_eq!(&*schema.fields()[1].name, "connect_union_field_1");
}

#[test]
fn one_choice_is_no_choice_unless_it_is_to_be() {
    let text = r#"{"oneOf":[{"type":"string"}]}"#;
    let flat = JsonSchemaOptions::default();
    assert_eq!(schema_of(text, &flat).kind(), SchemaType::String);
    let kept = JsonSchemaOptions {
        flatten_singleton_unions: false,
        ..flat
    };
    assert_eq!(schema_of(text, &kept).name(), Some(ONE_OF));
}

#[test]
fn objects_without_properties_are_maps_of_what_they_allow() {
    for text in [
        r#"{"type":"object","additionalProperties":{"type":"integer"}}"#,
        r#"{"type":"object","patternProperties":{"^x":{"type":"integer"}}}"#,
    ] {
        let (schema, value) = data(text, r#"{"x1":5}"#);
        assert_eq!(schema.kind(), SchemaType::Map, "{text}");
        assert_eq!(
            value.as_map().expect("a map").get_str("x1"),
            Some(&Value::Int64(5))
        );
    }
}

#[test]
fn lists_of_several_types_and_unknown_references_are_refused() {
    let options = JsonSchemaOptions::default();
    for text in [
        r#"{"type":"array"}"#,
        r#"{"type":"array","items":[{"type":"string"}]}"#,
        r#"{"$ref":"other.json"}"#,
        r#"{"type":"object","connect.type":"map"}"#,
        r#"{"type":"array","connect.type":"map","items":{"type":"object"}}"#,
        r#"{"type":"date"}"#,
    ] {
        let documents = Documents::parse(text, &[]).expect("JSON");
        let error = connect_schema(&documents, None, &options, &mut 0).expect_err(text);
        assert_eq!(error.kind(), connect_api::ErrorKind::Data);
    }
}

#[test]
fn a_schema_of_another_text_is_found_by_its_name() {
    let references = [(
        "addr.json".to_owned(),
        r##"{"title":"Addr","type":"object","properties":{"geo":{"$ref":"#/definitions/Geo"}},
            "definitions":{"Geo":{"type":"number"}}}"##
            .to_owned(),
    )];
    let text = r##"{"title":"P","type":"object","properties":{"addr":{"$ref":"addr.json"}}}"##;
    let documents = Documents::parse(text, &references).expect("JSON");
    let options = JsonSchemaOptions::default();
    let schema = connect_schema(&documents, Some(4), &options, &mut 0).expect("resolved");
    assert_eq!(schema.version(), Some(4));
    let addr = &schema.field("addr").expect("a field").schema;
    assert_eq!(addr.name(), Some("Addr"));
    assert_eq!(addr.fields()[0].schema.kind(), SchemaType::Float64);
}

#[test]
fn numbers_that_do_not_fit_are_refused_and_whole_fractions_fit() {
    let options = JsonSchemaOptions::default();
    let int8 = Schema::int8().build();
    let read =
        |payload: &'static str| read(&Bytes::from_static(payload.as_bytes()), &int8, &options);
    assert_eq!(read("-128").expect("fits"), Value::Int8(-128));
    assert_eq!(read("12.0").expect("fits"), Value::Int8(12));
    assert_eq!(read("1e2").expect("fits"), Value::Int8(100));
    for payload in [
        "128",
        "1.5",
        "1e300",
        "99999999999999999999",
        "\"1\"",
        "true",
        "{}",
        "",
        "1e",
    ] {
        let error = read(payload).expect_err(payload);
        assert_eq!(error.kind(), connect_api::ErrorKind::Data, "{payload}");
    }
}

#[test]
fn nulls_take_the_default_unless_they_are_to_stay() {
    let optional = Schema::int32()
        .optional()
        .default_value(Value::Int32(3))
        .build();
    let schema = Schema::structure()
        .field("a", SchemaRef::clone(&optional))
        .field("r", Schema::int32().build())
        .build();
    let value = Value::Struct(Struct::new(
        SchemaRef::clone(&schema),
        vec![Value::Null, Value::Null],
    ));
    assert_eq!(
        written(&schema, &value),
        r#"{"a":3}"#,
        "a required null is left out"
    );
    let options = JsonSchemaOptions {
        ignore_default_for_nullables: true,
        ..JsonSchemaOptions::default()
    };
    let mut out = Vec::new();
    Writer::new(&schema, &options)
        .write(&value, &mut out)
        .expect("written");
    assert_eq!(out, br#"{"a":null}"#);
    let read = read(
        &Bytes::from_static(br#"{"a":null,"r":1}"#),
        &schema,
        &options,
    )
    .expect("read");
    assert_eq!(set(&read), [("r".to_owned(), Value::Int32(1))]);
}

#[test]
fn deep_schemas_and_payloads_end_in_an_error() {
    let mut schema = Schema::int32().build();
    for _ in 0..1000 {
        schema = Schema::array(schema).build();
    }
    let options = JsonSchemaOptions::default();
    schema_text(&schema, &options).expect_err("too deep");
    let payload = Bytes::from("[".repeat(100_000).into_bytes());
    read(&payload, &schema, &options).expect_err("too deep");
    let deep = format!("{}{}", r#"{"items":"#.repeat(100_000), "1");
    Documents::parse(&deep, &[]).expect_err("too deep");
}
