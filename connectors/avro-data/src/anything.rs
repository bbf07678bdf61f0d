//! Values without a schema in Avro: each is a record with a field for every type, one of them set.
//!
//! Answers for what `AvroData` makes of schemaless data (`io.confluent.connect.avro.Anything`).

use connect_api::data::Value;
use connect_api::{Error, Result};

use crate::binary::{write_bytes, write_long};

/// The text of the schema of data without a schema.
pub const SCHEMA: &str = concat!(
    r#"{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":["#,
    r#"{"name":"boolean","type":["null","boolean"],"default":null},"#,
    r#"{"name":"bytes","type":["null","bytes"],"default":null},"#,
    r#"{"name":"double","type":["null","double"],"default":null},"#,
    r#"{"name":"float","type":["null","float"],"default":null},"#,
    r#"{"name":"int","type":["null","int"],"default":null},"#,
    r#"{"name":"long","type":["null","long"],"default":null},"#,
    r#"{"name":"string","type":["null","string"],"default":null},"#,
    r#"{"name":"array","type":["null",{"type":"array","items":"Anything"}],"default":null},"#,
    r#"{"name":"map","type":["null",{"type":"array","items":{"type":"record","name":"MapEntry","#,
    r#""fields":[{"name":"key","type":"Anything"},{"name":"value","type":"Anything"}]}}],"#,
    r#""default":null}]}"#
);

/// How many fields the record has.
const FIELDS: usize = 9;

/// Appends a value: a record of optional fields, of which one has it.
///
/// # Errors
/// Kind Data: a value of a type that only schemas have. `out` then ends with some of it.
pub fn encode(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let field = match value {
        Value::Null => FIELDS,
        Value::Boolean(_) => 0,
        Value::Float64(_) => 2,
        Value::Float32(_) => 3,
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) => 4,
        Value::Int64(_) => 5,
        Value::String(_) => 6,
        Value::Array(_) => 7,
        Value::Map(_) => 8,
        _ => return Err(Error::data("Unknown Java type for schemaless data")),
    };
    for place in 0..FIELDS {
        if place != field {
            out.push(0);
            continue;
        }
        write_long(1, out);
        match value {
            Value::Boolean(flag) => out.push(u8::from(*flag)),
            Value::Float64(number) => out.extend_from_slice(&number.to_le_bytes()),
            Value::Float32(number) => out.extend_from_slice(&number.to_le_bytes()),
            Value::String(text) => write_bytes(text.as_bytes(), out),
            Value::Array(items) => {
                if !items.is_empty() {
                    write_long(items.len() as i64, out);
                }
                for item in items {
                    encode(item, out)?;
                }
                out.push(0);
            }
            Value::Map(map) => {
                if !map.is_empty() {
                    write_long(map.len() as i64, out);
                }
                for (key, item) in map.iter() {
                    encode(key, out)?;
                    encode(item, out)?;
                }
                out.push(0);
            }
            number => write_long(number.as_i64().unwrap_or_default(), out),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::data::ConnectMap;

    #[test]
    fn a_map_is_as_the_avro_converter_writes_it() {
        let inner: ConnectMap = [(Value::text("e"), Value::text("f"))].into_iter().collect();
        let map: ConnectMap = [
            (Value::text("a"), Value::Int64(1)),
            (Value::text("b"), Value::text("x")),
            (
                Value::text("c"),
                Value::Array(vec![Value::Boolean(true), Value::Null, Value::Float64(2.5)]),
            ),
            (Value::text("d"), Value::Map(Box::new(inner))),
        ]
        .into_iter()
        .collect();
        let mut out = Vec::new();
        encode(&Value::Map(Box::new(map)), &mut out).expect("known types");
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        // Recorded of Confluent's converter.
        assert_eq!(
            hex,
            concat!(
                "000000000000000002080000000000000202610000000000000002020000000000000000000202",
                "620000000000000000020278000000000000000002026300000000000000000002060201000000",
                "000000000000000000000000000000000200000000000004400000000000000000000000000000",
                "020264000000000000000000000202000000000000020265000000000000000002026600000000",
            )
        );
    }

    #[test]
    fn types_that_only_schemas_have_are_refused() {
        let error = encode(&Value::Timestamp(1), &mut Vec::new()).expect_err("refused");
        assert_eq!(error.message(), "Unknown Java type for schemaless data");
    }
}
