//! Facts of CloudEvents, recorded from Debezium.

use super::*;
use connect_api::data::Header;

fn change() -> SchemaAndValue {
    let source = Schema::structure()
        .field("connector", Schema::string().build())
        .field("name", Schema::string().build())
        .field("ts_ms", Schema::int64().build())
        .field("sequence", Schema::string().optional().build())
        .field("txId", Schema::int64().optional().build())
        .field("lsn", Schema::int64().optional().build())
        .field("origin_lsn", Schema::int64().optional().build())
        .build();
    let row = Schema::structure()
        .name("p.s.t.Value")
        .optional()
        .field("id", Schema::int32().build())
        .build();
    let schema = Schema::structure()
        .name("p.s.t.Envelope")
        .field("before", Arc::clone(&row))
        .field("after", Arc::clone(&row))
        .field("source", Arc::clone(&source))
        .field("op", Schema::string().build())
        .build();
    let source = Struct::new(
        source,
        vec![
            Value::text("postgresql"),
            Value::text("p"),
            Value::Int64(1_600_000_000_123),
            Value::text("[null,\"7\"]"),
            Value::Int64(5),
            Value::Int64(7),
            Value::Null,
        ],
    );
    let values = vec![
        Value::Null,
        Value::Struct(Struct::new(row, vec![Value::Int32(1)])),
        Value::Struct(source),
        Value::text("c"),
    ];
    SchemaAndValue::new(Arc::clone(&schema), Struct::new(schema, values))
}

fn write(options: &[(&str, &str)], headers: Headers, data: &SchemaAndValue) -> Result<String> {
    let props: Props = options
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let mut converter = CloudEventsConverter::default();
    converter.set(Options::parse(&props)?)?;
    let (mut headers, mut out) = (headers, Vec::new());
    let present = converter.from_connect_data("t", &mut headers, data, &mut out)?;
    assert_eq!(present, !out.is_empty());
    Ok(String::from_utf8(out).expect("JSON"))
}

#[test]
fn a_change_becomes_an_event_with_its_schema_inside() {
    let text = write(&[], Headers::new(), &change()).unwrap();
    let head = r#"{"id":"name:p;lsn:7;txId:5;sequence:[null,\"7\"]","source":"/debezium/postgresql/p","specversion":"1.0","type":"io.debezium.connector.postgresql.DataChangeEvent","time":"2020-09-13T12:26:40.123Z","datacontenttype":"application/json","iodebeziumop":"c","iodebeziumconnector":"postgresql","iodebeziumname":"p","iodebeziumtsms":"1600000000123","iodebeziumsequence":"[null,\"7\"]","iodebeziumtxId":"5","iodebeziumlsn":"7","iodebeziumoriginlsn":null,"iodebeziumtxid":null,"iodebeziumtxtotalorder":null,"iodebeziumtxdatacollectionorder":null,"data":{"schema":"#;
    assert!(text.starts_with(head), "{text}");
    assert!(
        text.ends_with(r#""payload":{"before":null,"after":{"id":1}}}}"#),
        "{text}"
    );
}

#[test]
fn schema_and_extensions_can_be_left_out() {
    let options = [
        ("json.schemas.enable", "false"),
        ("extension.attributes.enable", "false"),
    ];
    let text = write(&options, Headers::new(), &change()).unwrap();
    assert!(
        text.ends_with(
            r#""datacontenttype":"application/json","data":{"before":null,"after":{"id":1}}}"#
        ),
        "{text}"
    );
}

#[test]
fn id_and_type_can_come_from_headers() {
    let options = [
        ("metadata.source", "value,id:header,type:header"),
        ("json.schemas.enable", "false"),
    ];
    let error = write(&options, Headers::new(), &change()).unwrap_err();
    assert_eq!(error.message(), "Header `id` was not provided");
    let header = |key: &'static str| Header {
        key: key.into(),
        value: SchemaAndValue::new(Schema::string().build(), key),
    };
    let given = vec![header("id"), header("type")].into();
    let text = write(&options, given, &change()).unwrap();
    assert!(text.starts_with(r#"{"id":"id","#), "{text}");
    assert!(text.contains(r#""type":"type","#), "{text}");
}

#[test]
fn what_is_no_change_becomes_a_null() {
    for data in [
        SchemaAndValue::NULL,
        SchemaAndValue::new(Schema::string().build(), "text"),
    ] {
        assert_eq!(write(&[], Headers::new(), &data).unwrap(), "");
    }
}

#[test]
fn an_event_is_read_back_with_its_data() {
    let text = write(&[], Headers::new(), &change()).unwrap();
    let mut converter = CloudEventsConverter::default();
    let read = converter
        .to_connect_data("t", &Headers::new(), Some(&Bytes::from(text)))
        .unwrap();
    let event = read.value.as_map().unwrap();
    let data = event.get_str("data").unwrap().as_struct().unwrap();
    assert_eq!(data.get("before"), Some(&Value::Null));
    let other = Bytes::from_static(br#"{"a":1}"#);
    let error = converter
        .to_connect_data("t", &Headers::new(), Some(&other))
        .unwrap_err();
    assert!(error.message().contains("is not a CloudEvent"), "{error}");
}

#[test]
fn avro_is_refused() {
    for key in ["serializer.type", "data.serializer.type"] {
        assert!(write(&[(key, "avro")], Headers::new(), &change()).is_err());
    }
}
