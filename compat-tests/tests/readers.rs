//! What the S3 sink stores, read by readers that are not ours: DuckDB, pyarrow, parquet-avro and Spark
//! read its Parquet, fastavro its Avro, DuckDB its JSON. The rows are Debezium envelopes with every type
//! in them.

use compat_tests::kafka::{flush, send};
use compat_tests::parts::{self, run_folder};
use compat_tests::{Outcome, fail};
use rdkafka::producer::BaseRecord;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shared::{bucket, kafka, sink_config, unique, wait_objects, worker};

/// A field of a row, and its value as a topic's JSON has it, as readers show it, and as parquet-avro
/// does, which knows no logical types.
struct Column {
    name: &'static str,
    schema: Value,
    topic: Value,
    shown: Value,
    plain: Value,
}

impl Column {
    fn new(name: &'static str, schema: Value, value: Value) -> Self {
        Self {
            name,
            schema,
            topic: value.clone(),
            plain: value.clone(),
            shown: value,
        }
    }
    fn shown(self, shown: Value) -> Self {
        Self {
            plain: shown.clone(),
            shown,
            ..self
        }
    }
    fn plain(self, plain: Value) -> Self {
        Self { plain, ..self }
    }
}

fn logical(kind: &str, name: &str) -> Value {
    json!({"type": kind, "name": format!("org.apache.kafka.connect.data.{name}"), "version": 1})
}

/// Every type, each with a value.
fn columns() -> Vec<Column> {
    let of = |kind: &str| json!({"type": kind});
    let decimal = json!({"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "version": 1,
        "parameters": {"scale": "2", "connect.decimal.precision": "20"}});
    let item = json!({"type": "struct", "name": "shop.Item", "optional": false, "fields": [
        {"field": "sku", "type": "string", "optional": false},
        {"field": "count", "type": "int32", "optional": true}]});
    let color = json!({"type": "string", "parameters": {"io.confluent.connect.avro.Enum": "shop.Color",
        "io.confluent.connect.avro.Enum.RED": "RED", "io.confluent.connect.avro.Enum.BLUE": "BLUE"}});
    let array = |items: Value| json!({"type": "array", "items": items});
    let mut required_text = of("string");
    required_text["optional"] = json!(false);
    let number = json!({"type": "int64", "optional": false});
    vec![
        Column::new("int8", of("int8"), json!(-7)),
        Column::new("int16", of("int16"), json!(-300)),
        Column::new("int32", of("int32"), json!(1 << 30)),
        Column::new("int64", of("int64"), json!(1_i64 << 60)),
        Column::new("float", of("float"), json!(1.5)),
        Column::new("double", of("double"), json!(-0.1)),
        Column::new("flag", of("boolean"), json!(true)),
        Column::new("text", of("string"), json!("grün \"😀\"")),
        Column::new("bytes", of("bytes"), json!("AQL/")).shown(json!("0102ff")),
        Column::new("price", decimal, json!("MDk="))
            .shown(json!("123.45"))
            .plain(json!("3039")),
        Column::new("day", logical("int32", "Date"), json!(19_782)),
        Column::new("time", logical("int32", "Time"), json!(37_800_123)),
        Column::new(
            "at",
            logical("int64", "Timestamp"),
            json!(1_705_314_600_123_i64),
        ),
        Column::new(
            "micros",
            json!({"type": "int64", "name": "io.debezium.time.MicroTimestamp", "version": 1}),
            json!(1_705_314_600_123_456_i64),
        ),
        Column::new(
            "uuid",
            json!({"type": "string", "name": "io.debezium.data.Uuid", "version": 1}),
            json!("6a2f41a3-c54c-fce8-32d2-0324e1c32e22"),
        ),
        Column::new("color", color, json!("BLUE")),
        Column::new("numbers", array(number.clone()), json!([1, 2, 3])),
        Column::new("empty", array(number.clone()), json!([])),
        Column::new(
            "items",
            array(item.clone()),
            json!([{"sku": "a", "count": 1}, {"sku": "b", "count": null}]),
        ),
        Column::new("item", item, json!({"sku": "c", "count": 5})),
        Column::new(
            "counts",
            json!({"type": "map", "keys": required_text, "values": number}),
            json!({"x": 1, "y": 2}),
        ),
        Column::new(
            "by_id",
            json!({"type": "map", "name": "shop.ById", "keys": {"type": "int32", "optional": false},
                "values": {"type": "string", "optional": true}}),
            json!([[1, "a"], [2, null]]),
        )
        .shown(json!([{"key": 1, "value": "a"}, {"key": 2, "value": null}])),
    ]
}

/// The schema of envelopes; of a column there is a required and an optional field.
fn envelope(columns: &[Column]) -> Value {
    let mut fields = Vec::new();
    for optional in [false, true] {
        for column in columns {
            let mut field = column.schema.clone();
            let prefix = if optional { "o_" } else { "" };
            field["field"] = json!(format!("{prefix}{}", column.name));
            field["optional"] = json!(optional);
            // One name stands for one type, whether it may be missing or not.
            fields.push(field);
        }
    }
    let row = |field: &str| {
        json!({"type": "struct", "name": "shop.public.every.Value", "optional": true, "field": field,
            "fields": fields})
    };
    json!({"type": "struct", "name": "shop.public.every.Envelope", "version": 2, "optional": false, "fields": [
        row("before"), row("after"),
        {"type": "struct", "name": "io.debezium.connector.postgresql.Source", "version": 1, "optional": false,
         "field": "source", "fields": [
            {"type": "string", "optional": false, "field": "table"},
            {"type": "string", "optional": true, "default": "false", "name": "io.debezium.data.Enum", "version": 1,
             "parameters": {"allowed": "true,last,false"}, "field": "snapshot"},
            {"type": "int64", "optional": true, "field": "lsn"}]},
        {"type": "string", "optional": false, "field": "op"},
        {"type": "int64", "optional": true, "field": "ts_ms"}]})
}

/// Three envelopes: a creation, a deletion, a change of a row whose optional fields are null.
fn envelopes(columns: &[Column], form: impl Fn(&Column) -> Value) -> Vec<Value> {
    let row = |nulls: bool| {
        let mut row = Map::new();
        for column in columns {
            row.insert(column.name.to_owned(), form(column));
        }
        for column in columns {
            let value = if nulls { Value::Null } else { form(column) };
            row.insert(format!("o_{}", column.name), value);
        }
        Value::Object(row)
    };
    let envelope = |before: Value, after: Value, op: &str| {
        json!({"before": before, "after": after, "op": op, "ts_ms": 1_705_314_600_000_i64,
            "source": {"table": "every", "snapshot": "last", "lsn": null}})
    };
    vec![
        envelope(Value::Null, row(false), "c"),
        envelope(row(false), Value::Null, "d"),
        envelope(row(false), row(true), "u"),
    ]
}

fn lines(program: &str, arguments: &[&str]) -> Outcome<Vec<Value>> {
    let done = Command::new(program).args(arguments).output()?;
    if !done.status.success() {
        return fail(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    let text = String::from_utf8(done.stdout)?;
    Ok(text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

/// The rows that a reader in Python sees.
fn python(reader: &str, file: &Path) -> Outcome<Vec<Value>> {
    let python = parts::path("venv/bin/python")?.display().to_string();
    let script = parts::repository().join("compat-tests/clients/readers.py");
    let (script, file) = (script.display().to_string(), file.display().to_string());
    lines(&python, &[script.as_str(), reader, &file])
}

fn parquet_avro(file: &Path) -> Outcome<Vec<Value>> {
    let [flag, jars, source] = parts::java_source("parquet-avro", "ParquetAvro.java")?;
    let file = file.display().to_string();
    let quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error";
    lines("java", &[quiet, &flag, &jars, &source, &file])
}

/// Says where rows differ rather than showing all of both.
fn assert_rows(reader: &str, found: &[Value], expected: &[Value]) {
    assert_eq!(found.len(), expected.len(), "{reader}");
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        compare(&format!("{reader}, row {row}"), found, expected);
    }
}

fn compare(at: &str, found: &Value, expected: &Value) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let names = |of: &Map<String, Value>| of.keys().cloned().collect::<Vec<_>>();
            let (mut ours, mut theirs) = (names(found), names(expected));
            ours.sort();
            theirs.sort();
            assert_eq!(ours, theirs, "{at}");
            for (name, value) in found {
                compare(&format!("{at}.{name}"), value, &expected[name]);
            }
        }
        _ => assert_eq!(found, expected, "{at}"),
    }
}

/// A topic of envelopes.
fn topic_of(columns: &[Column]) -> Outcome<String> {
    let topic = unique("readers");
    kafka().create_topic(&topic, 1, 1)?;
    let schema = envelope(columns);
    let producer = kafka().producer()?;
    for payload in envelopes(columns, |column| column.topic.clone()) {
        let value = json!({"schema": schema, "payload": payload}).to_string();
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic).payload(value.as_bytes());
        send(&producer, record)?;
    }
    flush(&producer)?;
    Ok(topic)
}

#[test]
fn other_readers_see_the_rows_in_what_the_sink_stores() -> Outcome<()> {
    let columns = columns();
    let topic = topic_of(&columns)?;
    let worker = worker("readers")?;
    let folder = run_folder("readers")?;
    let stored = |topic: &str, format: &str, more: &[(&str, &str)]| -> Outcome<PathBuf> {
        let bucket = bucket("readers")?;
        let class = format!(
            "io.confluent.connect.s3.format.{}.{format}Format",
            format.to_lowercase()
        );
        let mut options = vec![
            ("format.class", class.as_str()),
            (
                "value.converter",
                "org.apache.kafka.connect.json.JsonConverter",
            ),
            ("value.converter.schemas.enable", "true"),
            ("consumer.override.auto.offset.reset", "earliest"),
        ];
        options.extend(more);
        let config = sink_config(topic, &bucket.name, &options);
        worker.rest.create_config(&unique("reader"), &config)?;
        let keys = wait_objects(&bucket, 1)?;
        let key = keys.first().ok_or("an object")?;
        let file = folder.join(key.rsplit('/').next().unwrap_or(key));
        std::fs::write(&file, bucket.get(key)?)?;
        Ok(file)
    };
    let shown = envelopes(&columns, |column| column.shown.clone());
    for codec in ["snappy", "zstd", "gzip", "lz4_raw", "none"] {
        let file = stored(&topic, "Parquet", &[("parquet.codec", codec)])?;
        for reader in ["duckdb", "pyarrow"] {
            assert_rows(
                &format!("{reader}, {codec}"),
                &python(reader, &file)?,
                &shown,
            );
        }
        if codec == "snappy" {
            let plain = envelopes(&columns, |column| column.plain.clone());
            assert_rows("parquet-avro", &parquet_avro(&file)?, &plain);
        }
    }
    for codec in ["null", "deflate", "snappy", "bzip2"] {
        let file = stored(&topic, "Avro", &[("avro.codec", codec)])?;
        assert_rows(
            &format!("fastavro, {codec}"),
            &python("fastavro", &file)?,
            &shown,
        );
    }
    let file = stored(&topic, "Json", &[])?;
    let text = envelopes(&columns, |column| column.topic.clone());
    assert_rows("duckdb", &python("duckdb", &file)?, &text);

    // To Spark, times of day are no Parquet type, whoever writes them.
    let is_known = |column: &Column| column.name != "time";
    let columns: Vec<Column> = columns.into_iter().filter(is_known).collect();
    let file = stored(&topic_of(&columns)?, "Parquet", &[])?;
    let shown = envelopes(&columns, |column| column.shown.clone());
    assert_rows("spark", &python("spark", &file)?, &shown);
    Ok(())
}
