//! Which time a record belongs to.
//!
//! Answers for `TimeBasedPartitioner`'s `WallclockTimestampExtractor`, `RecordTimestampExtractor`
//! and `RecordFieldTimestampExtractor`.

use chrono::{
    Datelike, Local, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Weekday,
};
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
        return text.parse().map_err(|_| malformed(text));
    }
    parse_iso(text).ok_or_else(|| malformed(text))
}

/// Joda's words: from where on the text makes no sense.
fn malformed(text: &str) -> EncodeError {
    let sensible = (1..text.len())
        .rev()
        .filter_map(|end| text.split_at_checked(end))
        .find(|(front, _)| parse_iso(front).is_some());
    EncodeError::Fatal(match sensible {
        Some((_, rest)) => format!("Invalid format: \"{text}\" is malformed at \"{rest}\""),
        None => format!("Invalid format: \"{text}\""),
    })
}

/// `ISODateTimeFormat.dateTimeParser()`: a date (calendar, ordinal or week), a time after `T`, or
/// both, and perhaps an offset.
fn parse_iso(text: &str) -> Option<i64> {
    let (date, rest) = match text.split_once('T') {
        Some((date, rest)) => (date, Some(rest)),
        None => (text, None),
    };
    let date = match date {
        "" if rest.is_some() => NaiveDate::from_ymd_opt(1970, 1, 1)?,
        _ => parse_date(date)?,
    };
    let (clock, offset) = match rest {
        None => (NaiveTime::MIN, None),
        Some(rest) => {
            let at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
            let (clock, zone) = rest.split_at(at);
            (parse_clock(clock)?, parse_zone(zone)?)
        }
    };
    let local = NaiveDateTime::new(date, clock);
    let offset_ms = match offset {
        Some(offset_ms) => offset_ms,
        None => {
            let offset = Local.offset_from_local_datetime(&local).earliest()?;
            i64::from(offset.fix().local_minus_utc()) * 1000
        }
    };
    Some(local.and_utc().timestamp_millis() - offset_ms)
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text),
    };
    let mut parts = body.split('-');
    let year: i32 = parts.next()?.parse().ok()?;
    let year = if negative { -year } else { year };
    let (second, third) = (parts.next(), parts.next());
    if parts.next().is_some() {
        return None;
    }
    match (second, third) {
        (None, _) => NaiveDate::from_ymd_opt(year, 1, 1),
        (Some(week), day) if week.starts_with('W') => {
            let day = day.map_or(Some(1u8), |day| day.parse().ok())?;
            let weekday = Weekday::try_from(day.checked_sub(1)?).ok()?;
            NaiveDate::from_isoywd_opt(year, week.strip_prefix('W')?.parse().ok()?, weekday)
        }
        (Some(ordinal), None) if ordinal.len() == 3 => {
            NaiveDate::from_yo_opt(year, ordinal.parse().ok()?)
        }
        (Some(month), day) => NaiveDate::from_ymd_opt(
            year,
            month.parse().ok()?,
            day.map_or(Some(1), |day| day.parse().ok())?,
        ),
    }
    .filter(|date| date.year().abs() < 300_000)
}

/// `HH[:mm[:ss]]`, the last with a fraction.
fn parse_clock(text: &str) -> Option<NaiveTime> {
    if text.is_empty() {
        return Some(NaiveTime::MIN);
    }
    let (whole, fraction) = match text.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, fraction),
        None => (text, "0"),
    };
    let units: Vec<i64> = whole
        .split(':')
        .map(|unit| unit.parse().ok())
        .collect::<Option<_>>()?;
    let unit_ms = match units.len() {
        1 => 3_600_000.0,
        2 => 60_000.0,
        3 => 1000.0,
        _ => return None,
    };
    let limits = [23, 59, 59];
    if units
        .iter()
        .zip(limits)
        .any(|(&unit, limit)| unit < 0 || unit > limit)
    {
        return None;
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    let whole_ms: i64 = units
        .iter()
        .zip([3_600_000, 60_000, 1000])
        .map(|(unit, ms)| unit * ms)
        .sum();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "below a day, and Joda truncates too"
    )]
    let total = whole_ms + (fraction * unit_ms + 1e-6) as i64;
    Some(NaiveTime::MIN + TimeDelta::milliseconds(total))
}

/// Nothing, `Z` or an offset, in milliseconds.
fn parse_zone(text: &str) -> Option<Option<i64>> {
    match text {
        "" => Some(None),
        _ => match super::zone::Zone::parse(text).ok()? {
            super::zone::Zone::Fixed(offset) => Some(Some(offset)),
            super::zone::Zone::Named(_) => None,
        },
    }
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
