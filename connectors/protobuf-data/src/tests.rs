//! Facts of the mapping, beside the recorded answers that the converters' tests compare with.

use connect_api::data::{Bytes, Schema, SchemaRef, SchemaType, Struct, Value};

use super::*;

fn decoder(text: &str, options: &ProtobufOptions) -> Decoder {
    let pool = Pool::new(text, &[]).expect("a schema");
    Decoder::new(&pool, &[0], None, options).expect("a decoder")
}

fn read(text: &str, bytes: &'static [u8]) -> Value {
    decoder(text, &ProtobufOptions::default())
        .read(&Bytes::from_static(bytes))
        .expect("a message")
}

fn field(value: &Value, name: &str) -> Value {
    let value = value.as_struct().expect("a struct");
    value.get(name).expect(name).clone()
}

/// Writes a value and reads it with the schema that is registered for it.
fn there_and_back(schema: &SchemaRef, value: &Value, options: &ProtobufOptions) -> Value {
    let message = message_schema(schema, options).expect("a schema");
    let mut out = Vec::new();
    let encoder = Encoder::new(schema, options).expect("an encoder");
    encoder.write(value, &mut out).expect("written");
    let pool = Pool::new(&message.text, &[]).expect(&message.text);
    let decoder = Decoder::new(&pool, &message.indexes, None, options).expect("a decoder");
    decoder.read(&out.into()).expect("read")
}

#[test]
fn a_message_that_contains_itself_is_read_and_written_again() {
    let text =
        "syntax = \"proto3\"; message Node { int32 v = 1; Node next = 2; repeated Node more = 3; }";
    let options = ProtobufOptions::default();
    let decoder = decoder(text, &options);
    let bytes = Bytes::from_static(&[8, 1, 18, 2, 8, 2, 26, 0]);
    let value = decoder.read(&bytes).expect("read");
    assert!(decoder.schema().fields()[1].schema.is_recursive());
    assert_eq!(field(&field(&value, "next"), "v"), Value::Int32(2));
    let message = message_schema(decoder.schema(), &options).expect("a schema");
    assert!(message.text.contains("Node next = 2;"), "{}", message.text);
    let mut out = Vec::new();
    let encoder = Encoder::new(decoder.schema(), &options).expect("an encoder");
    encoder.write(&value, &mut out).expect("written");
    assert_eq!(out, bytes);
}

#[test]
fn proto2_knows_nothing_required_groups_and_closed_enums() {
    let text = "message M { required int32 id = 1; optional int32 n = 2 [default = 7]; \
        repeated group G = 3 { optional string s = 1; } optional E e = 4; enum E { A = 0; B = 1; } }";
    let value = read(text, &[8, 5, 0x1b, 10, 1, b'x', 0x1c, 0x20, 9]);
    assert_eq!(field(&value, "id"), Value::Int32(5));
    assert_eq!(field(&value, "n"), Value::Null, "the default is not used");
    assert_eq!(field(&value, "e"), Value::Null, "the enum does not know 9");
    let Value::Array(groups) = field(&value, "g") else {
        panic!("a list");
    };
    assert_eq!(field(&groups[0], "s"), Value::text("x"));
    let decoder = decoder(text, &ProtobufOptions::default());
    let error = decoder.read(&Bytes::new()).expect_err("incomplete");
    assert_eq!(error.message(), "Message missing required fields: id");
    decoder
        .read(&Bytes::from_static(&[8, 5, 0x1b]))
        .expect_err("a group without an end");
    decoder
        .read(&Bytes::from_static(&[8, 5, 0x1c]))
        .expect_err("an end without a group");
}

#[test]
fn what_comes_twice_is_merged_packed_or_not() {
    let text = "syntax = \"proto3\"; message M { repeated int32 a = 1; repeated int32 b = 2 [packed = false]; \
        S s = 3; oneof o { int32 x = 4; string y = 5; } message S { int32 p = 1; int32 q = 2; } }";
    let bytes = &[
        8, 1, 10, 2, 2, 3, 0x12, 1, 4, 0x10, 5, 26, 2, 8, 6, 26, 2, 16, 7, 32, 8, 42, 1, b'z',
    ];
    let value = read(text, bytes);
    let numbers = |list: &[i32]| Value::Array(list.iter().map(|n| Value::Int32(*n)).collect());
    assert_eq!(field(&value, "a"), numbers(&[1, 2, 3]));
    assert_eq!(field(&value, "b"), numbers(&[4, 5]));
    assert_eq!(field(&field(&value, "s"), "p"), Value::Int32(6));
    assert_eq!(field(&field(&value, "s"), "q"), Value::Int32(7));
    let choice = field(&value, "o_0");
    assert_eq!(field(&choice, "x"), Value::Null);
    assert_eq!(field(&choice, "y"), Value::text("z"), "the last one counts");
}

#[test]
fn each_option_of_reading_has_its_effect() {
    let text = "syntax = \"proto3\"; package a.b; message M { E e = 1; oneof o { int32 x = 2; string y = 3; } \
        S s = 4; message S { int32 p = 1; } enum E { A = 0; B = 5; } }";
    let plain = ProtobufOptions::default();
    let names = |options: &ProtobufOptions| -> Vec<String> {
        let decoder = decoder(text, options);
        decoder
            .schema()
            .fields()
            .iter()
            .map(|field| field.name.to_string())
            .collect()
    };
    assert_eq!(names(&plain), ["o_0", "e", "s"]);
    let options = ProtobufOptions {
        generate_index_for_unions: false,
        ..plain
    };
    assert_eq!(names(&options), ["o", "e", "s"]);
    let options = ProtobufOptions {
        flatten_unions: true,
        ..plain
    };
    assert_eq!(names(&options), ["x", "y", "e", "s"]);
    let flat = decoder(text, &options)
        .read(&Bytes::from_static(&[16, 1, 26, 1, b'z']))
        .expect("read");
    assert_eq!(
        (field(&flat, "x"), field(&flat, "y")),
        (Value::Null, Value::text("z"))
    );
    let options = ProtobufOptions {
        enhanced_schema_support: true,
        ..plain
    };
    let decoder_of = |options: &ProtobufOptions| decoder(text, options);
    assert_eq!(decoder_of(&options).schema().name(), Some("a.b.M"));
    let inner = decoder_of(&options)
        .schema()
        .field("s")
        .expect("s")
        .schema
        .name()
        .map(ToOwned::to_owned);
    assert_eq!(inner.as_deref(), Some("a.b.M.S"));
    let options = ProtobufOptions {
        int_for_enums: true,
        ..plain
    };
    let value = decoder_of(&options)
        .read(&Bytes::from_static(&[8, 5]))
        .expect("read");
    assert_eq!(field(&value, "e"), Value::Int32(5));
    let value = decoder_of(&plain)
        .read(&Bytes::from_static(&[8, 6]))
        .expect("read");
    assert_eq!(field(&value, "e"), Value::text("UNKNOWN_ENUM_VALUE_E_6"));
    assert_eq!(field(&value, "s"), Value::Null);
    let options = ProtobufOptions {
        generate_struct_for_nulls: true,
        ..plain
    };
    let value = decoder_of(&options).read(&Bytes::new()).expect("read");
    assert_eq!(field(&field(&value, "s"), "p"), Value::Int32(0));
    let options = ProtobufOptions {
        generalized_sum_types: true,
        ..plain
    };
    let schema = SchemaRef::clone(
        &decoder_of(&options)
            .schema()
            .field("o_0")
            .expect("o")
            .schema,
    );
    assert_eq!(
        (schema.name(), schema.parameter(GENERAL_UNION)),
        (Some("o"), Some("o"))
    );
}

#[test]
fn a_wrapper_at_the_root_is_its_value_unless_it_is_to_stay() {
    let schema = Schema::int64().build();
    let plain = ProtobufOptions::default();
    assert_eq!(
        there_and_back(&schema, &Value::Int64(7), &plain),
        Value::Int64(7)
    );
    assert_eq!(
        there_and_back(&schema, &Value::Int64(0), &plain),
        Value::Int64(0)
    );
    let options = ProtobufOptions {
        wrapper_for_raw_primitives: false,
        ..plain
    };
    let value = there_and_back(&schema, &Value::Int64(7), &options);
    assert_eq!(field(&value, "value"), Value::Int64(7));
}

#[test]
fn messages_of_one_short_name_are_told_apart() {
    let inner = |name: &'static str, field: &'static str| {
        Schema::structure()
            .name(name)
            .field(field, Schema::int32().build())
            .build()
    };
    let schema = Schema::structure()
        .name("p.Root")
        .field("a", inner("x.Same", "p"))
        .field("b", inner("y.Same", "q"))
        .field("Same", inner("x.Same", "p"))
        .field("c", inner("z.Root", "r"))
        .field(
            "d",
            Schema::structure()
                .field("s", Schema::int32().build())
                .build(),
        )
        .build();
    let message = message_schema(&schema, &ProtobufOptions::default()).expect("a schema");
    for line in [
        "Same a = 1;",
        "Same2 b = 2;",
        "SameMessage Same = 3;",
        "Root2 c = 4;",
        "ConnectDefault1 d = 5;",
    ] {
        assert!(message.text.contains(line), "{line} in {}", message.text);
    }
    let of = |at: usize, number| {
        let schema = SchemaRef::clone(&schema.fields()[at].schema);
        Value::Struct(Struct::new(schema, vec![Value::Int32(number)]))
    };
    let values = (0..5).map(|at| of(at, at as i32 + 1)).collect();
    let value = Value::Struct(Struct::new(SchemaRef::clone(&schema), values));
    let back = there_and_back(&schema, &value, &ProtobufOptions::default());
    assert_eq!(field(&field(&back, "b"), "q"), Value::Int32(2));
    assert_eq!(field(&field(&back, "c"), "r"), Value::Int32(4));
}

#[test]
fn what_protobuf_cannot_say_is_refused() {
    let options = ProtobufOptions::default();
    let list = Schema::array(Schema::array(Schema::int32().build()).build()).build();
    for (schema, said) in [
        (
            Schema::array(Schema::int32().build()).build(),
            "Unsupported root schema of type ARRAY",
        ),
        (
            Schema::structure().name("R").field("l", list).build(),
            "Array cannot be nested",
        ),
        (
            Schema::structure()
                .name("R")
                .field("a-b", Schema::int32().build())
                .build(),
            "not a valid identifier",
        ),
        (
            Schema::structure().name("my-ns.R").build(),
            "not a valid identifier",
        ),
    ] {
        let error = message_schema(&schema, &options).expect_err(said);
        assert!(error.message().contains(said), "{}", error.message());
    }
    let schema = Schema::structure()
        .name("R")
        .field(
            "l",
            Schema::array(Schema::string().optional().build()).build(),
        )
        .build();
    let encoder = Encoder::new(&schema, &options).expect("an encoder");
    let list = Value::Array(vec![Value::Null]);
    let value = Value::Struct(Struct::new(SchemaRef::clone(&schema), vec![list]));
    let mut out = vec![1];
    encoder.write(&value, &mut out).expect_err("a null element");
    assert_eq!(out, [1], "nothing is left behind");
    let mut deep = Schema::structure()
        .name("D")
        .field("a", Schema::int32().build())
        .build();
    for _ in 0..300 {
        deep = Schema::structure().name("D").field("x", deep).build();
    }
    message_schema(&deep, &options).expect_err("too deep");
}

#[test]
fn nested_messages_have_indexes_and_unknown_ones_are_refused() {
    let text = "syntax = \"proto3\"; package p; message A {} \
        message B { map<string, int32> m = 1; message C { message D { int32 x = 1; } } }";
    let pool = Pool::new(text, &[]).expect("a schema");
    assert_eq!(pool.indexes_of(Some("p.B.C.D")), Some(vec![1, 0, 0]));
    assert_eq!(pool.name_of(&[1, 0, 0]), Some("p.B.C.D"));
    assert_eq!(message_name(text, &[1, 0, 0]).as_deref(), Some("p.B.C.D"));
    for indexes in [&[2][..], &[1, 1], &[-1], &[0, 0], &[]] {
        Decoder::new(&pool, indexes, None, &ProtobufOptions::default()).expect_err("no message");
    }
    for text in [
        "message M { Unknown u = 1; }",
        "message M { int32 a = 1; int32 b = 1; }",
    ] {
        Pool::new(text, &[]).expect_err(text);
    }
}

#[test]
fn deep_messages_end_in_an_error() {
    let text = "syntax = \"proto3\"; message Node { Node next = 1; }";
    let decoder = decoder(text, &ProtobufOptions::default());
    let mut bytes = Vec::new();
    for _ in 0..150 {
        let mut outer = vec![10];
        wire::write_varint(bytes.len() as u64, &mut outer);
        outer.extend_from_slice(&bytes);
        bytes = outer;
    }
    let error = decoder.read(&bytes.into()).expect_err("too deep");
    assert!(
        error.message().contains("too many levels"),
        "{}",
        error.message()
    );
}

#[test]
fn a_schema_reads_another_one_unless_a_number_changed_its_type() {
    let pool = |body: &str| {
        Pool::new(&format!("syntax = \"proto3\"; message M {{ {body} }}"), &[]).expect("valid")
    };
    let writer = pool("int32 a = 1; S s = 2; message S { string t = 1; }");
    assert!(pool("int64 a = 1; string more = 9;").reads(&writer));
    assert!(!pool("string a = 1;").reads(&writer));
    assert!(!pool("S s = 2; message S { double t = 1; }").reads(&writer));
}

#[test]
fn editions_choose_presence_and_encoding() {
    let text = "edition = \"2023\"; message M { int32 a = 1; \
        int32 b = 2 [features.field_presence = IMPLICIT]; \
        S s = 3 [features.message_encoding = DELIMITED]; message S { int32 p = 1; } }";
    let value = read(text, &[0x1b, 8, 4, 0x1c]);
    assert_eq!(field(&value, "a"), Value::Null);
    assert_eq!(field(&value, "b"), Value::Int32(0));
    assert_eq!(field(&field(&value, "s"), "p"), Value::Int32(4));
}

#[test]
fn optional_and_required_survive_where_that_is_asked_for() {
    let options = ProtobufOptions {
        optional_for_nullables: true,
        ..ProtobufOptions::default()
    };
    let schema = Schema::structure()
        .name("p.R")
        .field("o", Schema::int32().optional().build())
        .field("r", Schema::int32().build())
        .build();
    let value = Value::Struct(Struct::new(
        SchemaRef::clone(&schema),
        vec![Value::Int32(0), Value::Int32(0)],
    ));
    let back = there_and_back(&schema, &value, &options);
    let back = back.as_struct().expect("a struct");
    let optional: Vec<bool> = back
        .schema
        .fields()
        .iter()
        .map(|f| f.schema.is_optional())
        .collect();
    assert_eq!(optional, [true, false]);
    assert_eq!(back.values, [Value::Int32(0), Value::Int32(0)]);
    assert_eq!(back.schema.fields()[0].schema.kind(), SchemaType::Int32);
}
