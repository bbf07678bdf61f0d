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

fn text_header(key: &'static str, text: &str) -> Header {
    Header {
        key: key.into(),
        value: SchemaAndValue::new(Schema::string().build(), text),
    }
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
    let given = vec![text_header("id", "id"), text_header("type", "type")].into();
    let text = write(&options, given, &change()).unwrap();
    assert!(text.starts_with(r#"{"id":"id","#), "{text}");
    assert!(text.contains(r#""type":"type","#), "{text}");
}

/// Debezium configures a converter of its own for headers, which has to be JsonConverter.
#[test]
fn headers_are_taken_as_they_are_whatever_converter_they_have() {
    let options = [
        ("metadata.source", "header,id:generate,type:generate"),
        ("json.schemas.enable", "false"),
        ("extension.attributes.enable", "false"),
        (
            "header.converter",
            "org.apache.kafka.connect.storage.SimpleHeaderConverter",
        ),
    ];
    let schema = Schema::structure()
        .field("id", Schema::int32().build())
        .build();
    let row = Struct::new(Arc::clone(&schema), vec![Value::Int32(1)]);
    let row = SchemaAndValue::new(schema, row);
    let event = change();
    let envelope = event.value.as_struct().expect("an event");
    let header = |name: &'static str| Header {
        key: name.into(),
        value: SchemaAndValue::new(
            envelope
                .schema
                .field(name)
                .map(|field| Arc::clone(&field.schema)),
            envelope.get(name).expect(name).clone(),
        ),
    };
    let given = vec![header("source"), header("op")].into();
    let text = write(&options, given, &row).unwrap();
    assert!(
        text.contains(r#""source":"/debezium/postgresql/p""#),
        "{text}"
    );
    assert!(text.ends_with(r#""data":{"id":1}}"#), "{text}");
}

#[test]
fn an_event_without_a_trace_says_so_where_traces_are_asked_for() {
    let options = [
        ("opentelemetry.tracing.attributes.enable", "true"),
        ("json.schemas.enable", "false"),
    ];
    let text = write(&options, Headers::new(), &change()).unwrap();
    assert!(text.contains(r#""traceparent":null"#), "{text}");
    let trace = vec![text_header("traceparent", "00-a-b-01")].into();
    let text = write(&options, trace, &change()).unwrap();
    assert!(text.contains(r#""traceparent":"00-a-b-01""#), "{text}");
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

/// A configured converter whose registry is in this process.
fn with_registry(options: &[(&str, &str)]) -> Result<CloudEventsConverter> {
    let mut props: Props = options
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    props.insert("data.serializer.type".to_owned(), "avro".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let context = PluginContext {
        runtime: runtime.handle().clone(),
    };
    let mut converter = CloudEventsConverter::default();
    converter.configure(&context, &props, false)?;
    Ok(converter)
}

fn converted(converter: &mut CloudEventsConverter) -> Bytes {
    let mut out = Vec::new();
    let written = converter.from_connect_data("t", &mut Headers::new(), &change(), &mut out);
    assert!(written.expect("written"));
    out.into()
}

#[test]
fn events_in_avro_have_their_data_in_avro_behind_its_own_schema() {
    let options = [
        ("serializer.type", "avro"),
        ("avro.schema.registry.url", "mock://cloud-events-avro"),
        ("extension.attributes.enable", "false"),
    ];
    let mut converter = with_registry(&options).unwrap();
    let bytes = converted(&mut converter);
    // The data is registered first.
    assert_eq!(bytes[..5], [0, 0, 0, 0, 2]);
    let event = converter
        .to_connect_data("t", &Headers::new(), Some(&bytes))
        .expect("readable");
    let schema = event.schema.expect("a schema");
    assert_eq!(schema.name(), Some("p.null.CloudEvents.Envelope"));
    let event = event.value.as_struct().expect("an event").clone();
    let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
    assert_eq!(text("datacontenttype").as_deref(), Some("application/avro"));
    assert_eq!(
        text("dataschema").as_deref(),
        Some("mock://cloud-events-avro/schemas/ids/1")
    );
    let data = event.get("data").and_then(Value::as_struct).expect("data");
    assert_eq!(
        data.schema.name(),
        Some("io.debezium.connector.postgresql.Data")
    );
    let after = data.get("after").and_then(Value::as_struct).expect("a row");
    assert_eq!(after.values, [Value::Int32(1)]);
    let other = converter
        .to_connect_data("t-data", &Headers::new(), Some(&bytes))
        .expect_err("its schema is registered for another topic");
    assert_eq!(other.kind(), connect_api::ErrorKind::Data);
}

#[test]
fn events_in_json_can_have_their_data_in_avro() {
    let url = ("avro.schema.registry.url", "mock://cloud-events-json");
    let mut converter = with_registry(&[url]).unwrap();
    let bytes = converted(&mut converter);
    let text = std::str::from_utf8(&bytes).expect("JSON");
    assert!(
        text.contains(
            r#""datacontenttype":"application/avro","dataschema":"mock://cloud-events-json/schemas/ids/1","#
        ) && text.ends_with(r#""data":"AAAAAAEAAgI="}"#),
        "{text}"
    );
    let event = converter
        .to_connect_data("t", &Headers::new(), Some(&bytes))
        .expect("readable");
    let data = event.value.as_map().and_then(|event| event.get_str("data"));
    let data = data.and_then(Value::as_struct).expect("data");
    assert!(data.get("after").is_some_and(|row| !row.is_null()));
}

#[test]
fn avro_needs_a_registry_and_holds_no_json() {
    assert!(with_registry(&[]).is_err());
    let json_inside: Props = [("serializer.type", "avro")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    assert!(Options::parse(&json_inside).is_err());
    let names = |mode: &str| {
        let props: Props = [
            ("schema.name.adjustment.mode", mode),
            ("avro.schema.registry.url", "mock://names"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        AvroOptions::parse(&props).map(|options| options.adjusted("1a-b_c.d"))
    };
    assert_eq!(names("avro").unwrap(), "_a_b_c.d");
    assert_eq!(names("avro_unicode").unwrap(), "_u0031a_u002db_u005fc.d");
    assert_eq!(names("none").unwrap(), "1a-b_c.d");
    assert!(names("other").is_err());
}
