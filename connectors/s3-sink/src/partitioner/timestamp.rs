//! Which time a record belongs to.
//!
//! Answers for `TimeBasedPartitioner`'s `WallclockTimestampExtractor`, `RecordTimestampExtractor`
//! and `RecordFieldTimestampExtractor`.

use connect_api::data::{Struct, Value};
use connect_api::record::SinkRecord;

use super::EncodeError;

const CLASS_PREFIX: &str = "io.confluent.connect.storage.partitioner.TimeBasedPartitioner$";

/// Where a record's time comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Extractor {
    /// The clock, when the record is written.
    Wallclock,
    /// The record's timestamp.
    Record,
    /// A field of its value; the segments of its path.
    RecordField(String, Vec<String>),
}

impl Extractor {
    /// By short name or class; `None` for a class of somebody's own.
    pub(crate) fn parse(name: &str, field: &str) -> Option<Self> {
        let short = name.strip_prefix(CLASS_PREFIX).map_or(name, |class| {
            class.strip_suffix("TimestampExtractor").unwrap_or("")
        });
        match short {
            "Wallclock" => Some(Self::Wallclock),
            "Record" => Some(Self::Record),
            "RecordField" => Some(Self::RecordField(
                field.to_owned(),
                field.split('.').map(ToOwned::to_owned).collect(),
            )),
            _ => None,
        }
    }

    /// The class, for error texts.
    pub(crate) fn class(&self) -> String {
        let name = match self {
            Self::Wallclock => "Wallclock",
            Self::Record => "Record",
            Self::RecordField(..) => "RecordField",
        };
        format!("{CLASS_PREFIX}{name}TimestampExtractor")
    }

    /// The record's time in milliseconds, if it has one.
    ///
    /// # Errors
    /// The field is missing or is no time.
    pub(crate) fn extract(
        &self,
        record: &SinkRecord,
        now: i64,
    ) -> Result<Option<i64>, EncodeError> {
        match self {
            Self::Wallclock => Ok(Some(now)),
            Self::Record => Ok(record.record.timestamp),
            // Where keys of records without a value are written, those records go by their own time.
            Self::RecordField(..) if record.record.value.is_null() => Ok(record.record.timestamp),
            Self::RecordField(name, path) => {
                from_value(&record.record.value.value, name, path).map(Some)
            }
        }
    }
}

fn from_value(root: &Value, name: &str, path: &[String]) -> Result<i64, EncodeError> {
    let missing = || EncodeError::Data(format!("The field '{name}' does not exist."));
    let mut value = root;
    for (depth, segment) in path.iter().enumerate() {
        value = match value {
            Value::Struct(inside) => struct_field(inside, segment).ok_or_else(missing)?,
            Value::Map(map) => map.get_str(segment).ok_or_else(missing)?,
            _ if depth == 0 => {
                return Err(EncodeError::Partition(
                    "Error encoding partition.".to_owned(),
                ));
            }
            _ => return Err(missing()),
        };
    }
    match value {
        Value::Null => Err(missing()),
        Value::Timestamp(millis) => Ok(*millis),
        Value::Date(_) | Value::Time(_) => Err(EncodeError::Fatal(format!(
            "java.util.Date cannot be cast: the logical date or time of field '{name}' is no timestamp"
        ))),
        Value::String(text) => parse_text(text),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "Number.longValue truncates"
        )]
        Value::Float64(number) if matches!(root, Value::Map(_)) => Ok(*number as i64),
        // Of a schema's integers only these are times; without one any number is.
        Value::Int8(_) | Value::Int16(_) if !matches!(root, Value::Map(_)) => Err(no_time(name)),
        other => other.as_i64().ok_or_else(|| no_time(name)),
    }
}

fn no_time(name: &str) -> EncodeError {
    EncodeError::Partition(format!(
        "Error extracting timestamp from record field: {name}"
    ))
}

fn struct_field<'a>(inside: &'a Struct, name: &str) -> Option<&'a Value> {
    inside.get_or_default(name)
}

/// Digits are milliseconds; anything else is ISO 8601, in the machine's zone where it names none.
fn parse_text(text: &str) -> Result<i64, EncodeError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.len() <= 19 && digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return text
            .parse()
            .map_err(|_| EncodeError::Fatal(format!("For input string: \"{text}\"")));
    }
    super::iso::parse(text).map_err(EncodeError::Fatal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_numbers_or_iso_dates() {
        for (text, millis) in [
            ("1705314600000", 1_705_314_600_000),
            ("2023", 2023),
            ("-5", -5),
            ("2023-11-14T22:13:20.123456+02:00", 1_699_992_800_123),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-14T22Z", 1_699_999_200_000),
            ("2023-318T00:00Z", 1_699_920_000_000),
            ("2023-W46-2T00:00Z", 1_699_920_000_000),
            ("T10:00Z", 36_000_000),
            ("2024-01-15T10:30:00.5Z", 1_705_314_600_500),
        ] {
            assert_eq!(parse_text(text).ok(), Some(millis), "{text}");
        }
        for text in ["14/11/2023", "", "2023-13-01", "2023-11-14T25:00Z", "x"] {
            assert!(parse_text(text).is_err(), "{text}");
        }
        let message = |text| match parse_text(text) {
            Err(EncodeError::Fatal(message)) => message,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(
            message("14/11/2023"),
            "Invalid format: \"14/11/2023\" is malformed at \"/11/2023\""
        );
        assert_eq!(message("soon"), "Invalid format: \"soon\"");
    }

    #[test]
    fn of_a_schemas_integers_the_wide_ones_are_times() {
        let path = ["at".to_owned()];
        let time = |value: Value| {
            let schema = connect_api::data::Schema::structure()
                .field("at", connect_api::data::Schema::int32().build())
                .build();
            from_value(
                &Value::Struct(Struct::new(schema, vec![value])),
                "at",
                &path,
            )
        };
        assert_eq!(time(Value::Int32(7)).ok(), Some(7));
        assert_eq!(time(Value::Int64(8)).ok(), Some(8));
        for value in [Value::Int8(1), Value::Int16(1), Value::Float64(1.0)] {
            assert!(matches!(time(value), Err(EncodeError::Partition(_))));
        }
    }

    #[test]
    fn extractors_go_by_short_name_and_by_class() {
        assert_eq!(Extractor::parse("Record", ""), Some(Extractor::Record));
        assert_eq!(
            Extractor::parse(&Extractor::Record.class(), ""),
            Some(Extractor::Record)
        );
        assert_eq!(Extractor::parse("record", ""), None);
        assert_eq!(Extractor::parse("com.acme.Mine", ""), None);
    }
}
