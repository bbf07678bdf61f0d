//! Rows of Parquet and JSON objects, as JSON values to compare.

use crate::Outcome;
use crate::s3::Bucket;
use bytes::Bytes;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Value};

/// Rows of one Parquet file.
pub fn parquet(bytes: Bytes) -> Outcome<Vec<Value>> {
    let reader = SerializedFileReader::new(bytes)?;
    let rows = reader.get_row_iter(None)?;
    rows.map(|row| Ok(object(&row?))).collect()
}

/// The schema of a Parquet file as text, and the codecs of its columns.
pub fn parquet_schema(bytes: Bytes) -> Outcome<(String, Vec<String>)> {
    let reader = SerializedFileReader::new(bytes)?;
    let metadata = reader.metadata();
    let mut text = Vec::new();
    parquet::schema::printer::print_schema(&mut text, metadata.file_metadata().schema());
    let groups = metadata.row_groups().iter();
    let mut codecs: Vec<String> = groups
        .flat_map(|g| g.columns())
        .map(|c| c.compression().to_string())
        .collect();
    codecs.dedup();
    Ok((String::from_utf8(text)?, codecs))
}

/// Rows of one object of JSON lines.
pub fn json_lines(bytes: &[u8]) -> Outcome<Vec<Value>> {
    let lines = std::str::from_utf8(bytes)?.lines();
    lines.map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Every object of a bucket with its rows, by key.
pub fn objects(bucket: &Bucket) -> Outcome<Vec<(String, Vec<Value>)>> {
    let mut objects = Vec::new();
    for (key, _) in bucket.list()? {
        let bytes = bucket.get(&key)?;
        let rows = if key.ends_with(".parquet") {
            parquet(bytes)?
        } else {
            json_lines(&bytes)?
        };
        objects.push((key, rows));
    }
    Ok(objects)
}

fn object(row: &Row) -> Value {
    let columns = row.get_column_iter();
    Value::Object(
        columns
            .map(|(name, field)| (name.clone(), value(field)))
            .collect::<Map<_, _>>(),
    )
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(v) => (*v).into(),
        Field::Byte(v) => (*v).into(),
        Field::Short(v) => (*v).into(),
        Field::Int(v) => (*v).into(),
        Field::Long(v) => (*v).into(),
        Field::UByte(v) => (*v).into(),
        Field::UShort(v) => (*v).into(),
        Field::UInt(v) => (*v).into(),
        Field::ULong(v) => (*v).into(),
        Field::Float(v) => (*v).into(),
        Field::Double(v) => (*v).into(),
        Field::Str(v) => v.as_str().into(),
        Field::Bytes(v) => String::from_utf8_lossy(v.data()).into_owned().into(),
        Field::Date(v) => (*v).into(),
        Field::TimeMillis(v) => (*v).into(),
        Field::TimeMicros(v) | Field::TimestampMillis(v) | Field::TimestampMicros(v) => (*v).into(),
        Field::Group(row) => object(row),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            let entries = map.entries().iter();
            entries
                .map(|(key, field)| Value::Array(vec![value(key), value(field)]))
                .collect()
        }
        // Decimals and half floats: their text is exact.
        other => other.to_string().into(),
    }
}
