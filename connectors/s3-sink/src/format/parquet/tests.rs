//! Files that were written are read back with the library's reader; their schemas are those of
//! parquet-avro.

use std::sync::Arc;

use bytes::Bytes;
use connect_api::data::{ConnectMap, Decimal, Schema, SchemaRef, Struct, Value, logical};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::printer::print_schema;

use super::column::Columns;
use super::encoder::Encoder;
use super::plan::{FileOptions, Plan};
use avro_data::Options as AvroOptions;
use parquet::basic::Compression;
use parquet::file::writer::SerializedFileWriter;

/// The rows of a file, as the library prints them: a two-level list stands in a list of its own.
pub(crate) fn rows(file: Bytes) -> Vec<String> {
    let reader = SerializedFileReader::new(file).expect("a Parquet file");
    let rows = reader.get_row_iter(None).expect("rows");
    rows.map(|row| row.expect("a row").to_string()).collect()
}

fn plan(schema: &SchemaRef) -> Plan {
    let options = FileOptions {
        compression: Compression::SNAPPY,
        avro: AvroOptions {
            enhanced_schema_support: true,
            ..AvroOptions::default()
        },
    };
    Plan::new(schema, &options).expect("a schema that Parquet can hold")
}

fn printed(schema: &SchemaRef) -> String {
    let mut out = Vec::new();
    print_schema(&mut out, &plan(schema).parquet_schema);
    String::from_utf8(out).expect("text")
}

fn written(schema: &SchemaRef, rows_of_values: Vec<Vec<Value>>) -> Vec<String> {
    let plan = plan(schema);
    let mut columns = Columns::new(&plan.shapes);
    for values in rows_of_values {
        plan.write_row(&values, &mut columns).expect("a row");
        columns.row_finished();
    }
    let mut out = Vec::new();
    let mut file = SerializedFileWriter::new(
        &mut out,
        Arc::clone(&plan.parquet_schema),
        Arc::clone(&plan.properties),
    )
    .expect("a file");
    let mut group = file.next_row_group().expect("a row group");
    for index in 0..plan.shapes.len() {
        let mut encoder = Encoder::new(&plan, index, columns.column(index));
        encoder.write(columns.column(index)).expect("encoded");
        let (pages, closed) = encoder.finish().expect("finished");
        group.append_column(&pages, closed).expect("appended");
    }
    group.close().expect("closed");
    file.close().expect("closed");
    rows(Bytes::from(out))
}

#[test]
fn as_many_schemas_are_kept_as_the_option_says() {
    for (limit, kept) in [("2", 2), ("1000", 4)] {
        let props: connect_api::Props = [
            ("format.class", crate::format::PARQUET_CLASS),
            ("flush.size", "1"),
            ("s3.bucket.name", "b"),
            ("storage.class", crate::config::STORAGE_CLASS),
            ("schemas.cache.config", limit),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        let config = crate::config::definition().parse(&props).expect("valid");
        let settings = crate::settings::format_settings(&config);
        let format = super::ParquetFormat::new(&settings).expect("a codec");
        for name in ["a", "b", "c", "d", "d"] {
            let schema = Schema::structure()
                .name(name)
                .field("x", Schema::int32().build());
            format.plan(&schema.build()).expect("legal");
        }
        assert_eq!(format.plans.lock().expect("no panic").len(), kept);
    }
}

#[test]
fn lists_are_two_level_until_one_of_them_has_optional_items() {
    let list = |items: SchemaRef| Schema::array(items).optional().build();
    let required = Schema::structure()
        .name("a.R")
        .field("l", list(Schema::int32().build()))
        .build();
    assert_eq!(
        printed(&required),
        "message a.R {\n  OPTIONAL group l (LIST) {\n    REPEATED INT32 array;\n  }\n}\n"
    );
    let mixed = required
        .to_builder()
        .field("o", list(Schema::string().optional().build()))
        .build();
    assert_eq!(
        printed(&mixed),
        "message a.R {\n  OPTIONAL group l (LIST) {\n    REPEATED group list {\n      REQUIRED INT32 element;\n    }\n  }\n  OPTIONAL group o (LIST) {\n    REPEATED group list {\n      OPTIONAL BYTE_ARRAY element (STRING);\n    }\n  }\n}\n"
    );
}

#[test]
fn types_are_those_of_parquet_avro() {
    let schema = Schema::structure()
        .name("R")
        .field("i8", Schema::int8().build())
        .field("dec", logical::decimal(2).build())
        .field("da", logical::date().optional().build())
        .field("ti", logical::time().build())
        .field("ts", logical::timestamp().build())
        .field(
            "m",
            Schema::map(Schema::string().build(), Schema::int64().optional().build()).build(),
        )
        .field(
            "e",
            Schema::map(Schema::int32().build(), Schema::int64().build()).build(),
        )
        .build();
    assert_eq!(
        printed(&schema),
        "message R {\n  REQUIRED INT32 i8;\n  REQUIRED BYTE_ARRAY dec (DECIMAL(64,2));\n  \
         OPTIONAL INT32 da (DATE);\n  REQUIRED INT32 ti (TIME(MILLIS,true));\n  \
         REQUIRED INT64 ts (TIMESTAMP(MILLIS,true));\n  REQUIRED group m (MAP) {\n    \
         REPEATED group key_value (MAP_KEY_VALUE) {\n      REQUIRED BYTE_ARRAY key (STRING);\n      \
         OPTIONAL INT64 value;\n    }\n  }\n  REQUIRED group e (LIST) {\n    REPEATED group array {\n      \
         REQUIRED INT32 key;\n      REQUIRED INT64 value;\n    }\n  }\n}\n"
    );
}

#[test]
fn nested_values_come_back_as_they_were() {
    let inner = Schema::structure()
        .name("I")
        .field("x", Schema::int32().optional().build())
        .build();
    let schema = Schema::structure()
        .name("R")
        .field("s", inner.to_builder().optional().build())
        .field("l", Schema::array(Arc::clone(&inner)).optional().build())
        .field(
            "ll",
            Schema::array(Schema::array(Schema::string().build()).build()).build(),
        )
        .field(
            "m",
            Schema::map(Schema::string().build(), Schema::int32().optional().build()).build(),
        )
        .field(
            "d",
            Schema::string()
                .optional()
                .default_value(Value::text("dflt"))
                .build(),
        )
        .field("n", logical::decimal(1).build())
        .build();
    let item = |value| Value::Struct(Struct::new(Arc::clone(&inner), vec![value]));
    let map: ConnectMap = [(Value::text("k"), Value::Null)].into_iter().collect();
    let texts = |texts: &[&'static str]| {
        Value::Array(texts.iter().map(|&text| Value::text(text)).collect())
    };
    let rows = written(
        &schema,
        vec![
            vec![
                item(Value::Int32(1)),
                Value::Array(vec![item(Value::Null), item(Value::Int32(2))]),
                Value::Array(vec![texts(&["a", "b"]), texts(&[]), texts(&["c"])]),
                Value::Map(Box::new(map)),
                Value::Null,
                Value::Decimal(Decimal::new(-15, 1)),
            ],
            vec![
                Value::Null,
                Value::Null,
                Value::Array(vec![]),
                Value::Map(Box::default()),
                Value::text("given"),
                Value::Decimal(Decimal::new(0, 1)),
            ],
        ],
    );
    assert_eq!(
        rows,
        [
            "{s: {x: 1}, l: [[{x: null}, {x: 2}]], ll: [[\"a\", \"b\"], [], [\"c\"]], m: {\"k\" -> null}, d: \"dflt\", n: -1.5}",
            "{s: null, l: null, ll: [], m: {}, d: \"given\", n: 0.0}"
        ]
    );
}

#[test]
fn the_footer_carries_the_avro_schema() {
    let schema = Schema::structure()
        .name("a.R")
        .field("x", Schema::int32().build())
        .build();
    let plan = plan(&schema);
    let metadata = plan.properties.key_value_metadata().expect("metadata");
    let values: Vec<(&str, Option<&str>)> = metadata
        .iter()
        .map(|entry| (entry.key.as_str(), entry.value.as_deref()))
        .collect();
    assert_eq!(
        values,
        [
            (
                "parquet.avro.schema",
                Some(
                    r#"{"type":"record","name":"R","namespace":"a","fields":[{"name":"x","type":"int"}],"connect.name":"a.R"}"#
                )
            ),
            ("writer.model.name", Some("avro")),
        ]
    );
}

#[test]
fn a_schema_without_fields_is_refused() {
    let schema = Schema::structure().name("R").build();
    let options = FileOptions {
        compression: Compression::SNAPPY,
        avro: AvroOptions::default(),
    };
    let error = Plan::new(&schema, &options).expect_err("refused");
    assert_eq!(
        error.message(),
        "Cannot write a schema with an empty group: R"
    );
}

#[test]
fn a_dictionary_is_for_values_that_repeat() {
    let schema = Schema::structure()
        .name("R")
        .field("unique", Schema::int64().build())
        .field("few", Schema::string().build())
        .field("texts", Schema::string().optional().build())
        .build();
    let filled = |rows: i64| {
        let plan = plan(&schema);
        let mut columns = Columns::new(&plan.shapes);
        for row in 0..rows {
            let texts = Value::from(format!("{row:030}"));
            let few =
                Value::text(["new", "paid", "sent"][usize::try_from(row % 3).expect("small")]);
            plan.write_row(&[Value::Int64(row), few, texts], &mut columns)
                .expect("a row");
            columns.row_finished();
        }
        [0, 1, 2].map(|index| columns.column(index).is_worth_a_dictionary())
    };
    assert_eq!(filled(5000), [false, true, false]);
    assert_eq!(filled(10), [true, true, true], "too few to tell");
}

#[test]
fn an_optional_root_is_written_as_the_record_that_it_is() {
    let schema = Schema::structure()
        .name("R")
        .field("x", Schema::int32().build())
        .optional()
        .build();
    assert_eq!(printed(&schema), "message R {\n  REQUIRED INT32 x;\n}\n");
    assert_eq!(written(&schema, vec![vec![Value::Int32(1)]]), ["{x: 1}"]);
}

#[test]
fn rows_that_went_to_disk_come_back_before_those_that_wait() {
    let schema = Schema::structure()
        .name("R")
        .field("i", Schema::int64().build())
        .field("t", Schema::string().optional().build())
        .field("f", Schema::boolean().build())
        .field("l", Schema::array(Schema::int32().build()).build())
        .build();
    let plan = plan(&schema);
    let fill = |rows: std::ops::Range<i32>, columns: &mut Columns| {
        for row in rows {
            let text = match row % 2 {
                0 => Value::Null,
                _ => Value::from(format!("t{row}")),
            };
            let list = (0..row % 3).map(Value::Int32).collect();
            let values = [
                Value::Int64(row.into()),
                text,
                Value::Boolean(row % 5 == 0),
                Value::Array(list),
            ];
            plan.write_row(&values, columns).expect("a row");
            columns.row_finished();
        }
    };
    let mut whole = Columns::new(&plan.shapes);
    fill(0..100, &mut whole);
    let mut parts = Columns::new(&plan.shapes);
    let mut dumps = Vec::new();
    fill(0..30, &mut parts);
    parts.dump(&plan.shapes, &mut dumps);
    assert_eq!((parts.rows(), parts.held()), (0, 0));
    fill(30..70, &mut parts);
    parts.dump(&plan.shapes, &mut dumps);
    fill(70..100, &mut parts);
    parts.load(&plan.shapes, &dumps, 70).expect("whole");
    assert_eq!(parts.rows(), 100);
    for index in 0..plan.shapes.len() {
        let show = |columns: &Columns| format!("{:?}", columns.column(index));
        assert_eq!(show(&parts), show(&whole), "column {index}");
    }
    assert!(
        parts.load(&plan.shapes, &dumps[..7], 1).is_none(),
        "damaged"
    );
}
