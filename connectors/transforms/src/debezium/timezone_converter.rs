//! Moves times to another zone.
//!
//! ```text
//! config   {"type": "io.debezium.transforms.TimezoneConverter", "converted.timezone": "Europe/Rome"}
//! before   {"after": {"at": "2020-01-01T00:00:00.000000Z"}, …}
//! after    {"after": {"at": "2020-01-01T01:00:00+01:00"}, …}
//! ```
//!
//! Times with a zone are written in the other zone; timestamps without one are taken as local times
//! of that zone. Dates and times of day without zone stay and are warned about. The two lists name
//! which tables or topics and fields are converted, or which are not.
//!
//! Answers for `io.debezium.transforms.TimezoneConverter`, whose list format allows a table's name
//! with a field only in the first item (`source:t:f,t:g`).

use std::collections::{HashMap, HashSet};

use chrono::{
    DateTime, Duration, FixedOffset, MappedLocalTime, NaiveDateTime, NaiveTime, Offset, TimeZone,
    Timelike, Utc,
};
use connect_api::config::{ConfigDef, Importance, Type, Width};
use connect_api::context::PluginContext;
use connect_api::data::{Schema, Struct, Value, logical};
use connect_api::java::{Regex, civil_from_days, days_from_civil};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use super::{envelope_of, list, option, required};

super::plugin!(
    "io.debezium.transforms.TimezoneConverter",
    definition,
    TimezoneConverter::default()
);

const ZONE: &str = "converted.timezone";
const INCLUDE: &str = "include.list";
const EXCLUDE: &str = "exclude.list";
const LIST_FORMAT: &str = r#"^\[(source|topic|[".\w\s_]+):([".\w\s_]+(?::[".\w\s_]+)?(?:,|]$))+$"#;

fn definition() -> ConfigDef {
    let key = |name, kind, display: &str, doc: &str| {
        option(name, kind, Importance::High, Width::Medium, display, doc)
    };
    ConfigDef::new()
        .define(key(
            ZONE,
            Type::String,
            "Converted Timezone",
            "The zone to convert to: a name such as America/Los_Angeles or an offset such as \
             +08:00.",
        ))
        .define(key(
            INCLUDE,
            Type::List,
            "Include List",
            "What is converted, as source:table, source:table:field, topic:name, \
             topic:name:field or name:field.",
        ))
        .define(key(
            EXCLUDE,
            Type::List,
            "Exclude List",
            "What is not converted, written in the same way.",
        ))
}

/// A zone by name or by offset.
#[derive(Clone, Copy, Debug)]
enum Zone {
    Named(chrono_tz::Tz),
    Fixed(FixedOffset),
}

impl Zone {
    fn parse(text: &str) -> Option<Self> {
        let offset = Regex::new(r"[+-]\d{2}:\d{2}(:\d{2})?").ok()?;
        if offset.matches(text) {
            let (sign, digits) = text.split_at(1);
            let parts: Vec<i32> = digits
                .split(':')
                .map(str::parse)
                .collect::<Result<_, _>>()
                .ok()?;
            let seconds = parts
                .iter()
                .zip([3600, 60, 1])
                .map(|(part, unit)| part * unit)
                .sum::<i32>();
            let seconds = if sign == "-" { -seconds } else { seconds };
            // Java knows no more than 18 hours.
            return (seconds.abs() <= 18 * 3600)
                .then(|| FixedOffset::east_opt(seconds))
                .flatten()
                .map(Self::Fixed);
        }
        text.parse().ok().map(Self::Named)
    }

    /// The offset at an instant.
    fn at(self, instant: NaiveDateTime) -> FixedOffset {
        match self {
            Self::Named(zone) => zone.offset_from_utc_datetime(&instant).fix(),
            Self::Fixed(offset) => offset,
        }
    }

    /// The offset at a local time; in a gap and in an overlap the one before it, as in Java.
    fn at_local(self, local: NaiveDateTime) -> FixedOffset {
        let Self::Named(zone) = self else {
            return self.at(local);
        };
        match zone.offset_from_local_datetime(&local) {
            MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(offset, _) => offset.fix(),
            MappedLocalTime::None => {
                let before = local.checked_sub_signed(Duration::hours(26));
                self.at(before.unwrap_or(local))
            }
        }
    }
}

/// Whether the fields of a rule are those to convert or those to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    All,
    Only,
    AllBut,
}

#[derive(Debug, Default)]
struct TimezoneConverter {
    zone: Option<Zone>,
    include: bool,
    exclude: bool,
    /// The fields by topic, by table, and by either.
    topics: HashMap<String, HashSet<String>>,
    tables: HashMap<String, HashSet<String>>,
    names: HashMap<String, HashSet<String>>,
}

impl Transformation for TimezoneConverter {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let zone = required(props, ZONE)?;
        let include = list(props, INCLUDE);
        let exclude = list(props, EXCLUDE);
        let format = Regex::new(LIST_FORMAT)
            .map_err(|error| Error::fatal("a pattern of our own").with_source(error))?;
        let checked = match include.is_empty() {
            false => ("include", &include),
            true => ("exclude", &exclude),
        };
        if !checked.1.is_empty() && !format.matches(&format!("[{}]", checked.1.join(", "))) {
            return Err(Error::config(format!(
                "Invalid {} list format. Please specify a list of rules in the format of \
                 \"source:<tablename>:<fieldnames>\", \"topic:<topicname>:<fieldnames>\", \
                 \"<matchname>:<fieldnames>\"",
                checked.0
            )));
        }
        self.zone = Some(Zone::parse(zone).ok_or_else(|| {
            Error::config(
                "Invalid timezone format. Please specify either a geographic timezone (e.g. \
                 America/Los_Angeles) or a UTC offset in the format of +/-hh:mm, (e.g. +08:00).",
            )
        })?);
        if !include.is_empty() && !exclude.is_empty() {
            return Err(Error::config(
                "Both include and exclude lists are specified. Please specify only one.",
            ));
        }
        self.include = !include.is_empty();
        self.exclude = !exclude.is_empty();
        self.collect(if self.exclude { &exclude } else { &include });
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        if envelope_of(&record.value).is_none() {
            return Ok(Some(record));
        }
        let (Some(zone), Some(envelope)) = (self.zone, record.value.value.as_struct()) else {
            return Ok(Some(record));
        };
        let table = envelope
            .get("source")
            .and_then(Value::as_struct)
            .and_then(|source| source.get("table"))
            .and_then(Value::as_str);
        let none = HashSet::new();
        let (rule, fields) = match self.rule(&record.topic, table) {
            Some(fields) if self.exclude && fields.is_empty() => return Ok(Some(record)),
            Some(fields) if self.exclude => (Rule::AllBut, fields),
            Some(fields) if !fields.is_empty() => (Rule::Only, fields),
            None if self.include => return Ok(Some(record)),
            _ => (Rule::All, &none),
        };
        if let Value::Struct(envelope) = &mut record.value.value {
            convert(envelope, zone, rule, fields)?;
        }
        Ok(Some(record))
    }
}

impl TimezoneConverter {
    /// Sorts the items of a list; an item without prefix has that of the item before it.
    fn collect(&mut self, items: &[String]) {
        let mut common: Option<&str> = None;
        for item in items {
            let parts: Vec<&str> = item.split(':').collect();
            let is_prefix = |part: &str| {
                part.eq_ignore_ascii_case("source") || part.eq_ignore_ascii_case("topic")
            };
            let (prefix, name, field) = match parts.as_slice() {
                [prefix, name] if is_prefix(prefix) => (Some(*prefix), *name, None),
                [prefix, name, field] if is_prefix(prefix) => (Some(*prefix), *name, Some(*field)),
                [name] => (None, *name, None),
                [name, field, ..] => (None, *name, Some(*field)),
                [] => continue,
            };
            common = prefix.or(common);
            let rules = match common {
                Some("topic") => &mut self.topics,
                Some("source") => &mut self.tables,
                _ => &mut self.names,
            };
            let fields = rules.entry(name.to_owned()).or_default();
            fields.extend(field.map(str::to_owned));
        }
    }

    /// The fields that the lists name for a record; `None` where they do not name it.
    fn rule(&self, topic: &str, table: Option<&str>) -> Option<&HashSet<String>> {
        self.topics
            .get(topic)
            .or_else(|| table.and_then(|table| self.tables.get(table)))
            .or_else(|| self.names.get(topic))
            .or_else(|| table.and_then(|table| self.names.get(table)))
    }
}

fn convert(envelope: &mut Struct, zone: Zone, rule: Rule, fields: &HashSet<String>) -> Result<()> {
    // Fields without a prefix are those of the row, before and after.
    let of = |part: &str| -> HashSet<&str> {
        fields
            .iter()
            .filter_map(|field| {
                let prefixed = ["source.", "before.", "after."]
                    .iter()
                    .find_map(|prefix| Some((*prefix, field.strip_prefix(prefix)?)));
                match prefixed {
                    Some((prefix, name)) => {
                        (prefix.strip_suffix('.') == Some(part)).then_some(name)
                    }
                    None => (part != "source").then_some(field.as_str()),
                }
            })
            .collect()
    };
    for part in ["before", "after", "source"] {
        let names = of(part);
        if part == "source" && names.is_empty() {
            continue;
        }
        let Some(index) = envelope.schema.field(part).map(|field| field.index) else {
            continue;
        };
        if let Value::Struct(value) = &mut envelope.values[index] {
            convert_fields(value, part == "source", zone, rule, &names)?;
        }
    }
    Ok(())
}

fn convert_fields(
    value: &mut Struct,
    is_source: bool,
    zone: Zone,
    rule: Rule,
    names: &HashSet<&str>,
) -> Result<()> {
    for field in value.schema.fields() {
        let name = &*field.name;
        let included = match rule {
            Rule::All => true,
            Rule::Only => names.contains(name),
            Rule::AllBut => !names.contains(name),
        };
        if !included {
            continue;
        }
        let slot = &mut value.values[field.index];
        if slot.is_null()
            && let Some(default) = field.schema.default_value()
        {
            *slot = default.clone();
        }
        if slot.is_null() {
            continue;
        }
        if let Some(converted) = converted(&field.schema, slot, zone)? {
            *slot = converted;
        } else if is_source && field.schema.name().is_none() {
            let unit = match name {
                "ts_ms" => 1_000,
                "ts_us" => 1_000_000,
                "ts_ns" => 1_000_000_000,
                _ => continue,
            };
            if let Value::Int64(time) = slot {
                let offset = zone.at(stand_in(time.div_euclid(unit))).local_minus_utc();
                *time = time.wrapping_add(i64::from(offset).wrapping_mul(unit));
            }
        }
    }
    Ok(())
}

const DAY: i64 = 86_400;

/// A time at which zones have the offset that they have at these seconds since the epoch: the
/// zones' tables end with the year 2099 (Java goes on with the last rules), and the calendar here
/// with the year 262142.
fn stand_in(seconds: i64) -> NaiveDateTime {
    let days = match civil_from_days(seconds.div_euclid(DAY)) {
        (year @ 2100.., month, day) => {
            let leap_day = month == 2 && day == 29;
            let weekday = |year: i64| days_from_civil(year, month, 1).rem_euclid(7);
            // A year in which the month has the same weekdays; none of them is a leap year, and
            // each weekday is among them.
            let same = [2089, 2090, 2091, 2093, 2094, 2097, 2098]
                .into_iter()
                .find(|&candidate| weekday(candidate) == weekday(year));
            days_from_civil(same.unwrap_or(2099), month, day - i64::from(leap_day))
        }
        (..-200_000, ..) => days_from_civil(-200_000, 1, 1),
        _ => seconds.div_euclid(DAY),
    };
    DateTime::from_timestamp(days * DAY + seconds.rem_euclid(DAY), 0)
        .unwrap_or_default()
        .naive_utc()
}

/// What a value of a convertible type becomes; `None` for all others.
fn converted(schema: &Schema, value: &Value, zone: Zone) -> Result<Option<Value>> {
    let shifted = |time: i64, unit: i64| {
        let local = stand_in(time.div_euclid(unit));
        let offset = zone.at_local(local).local_minus_utc();
        time.wrapping_sub(i64::from(offset).wrapping_mul(unit))
    };
    // Smaller units go round in silence, as in Debezium.
    let exactly = |time: i64| match shifted(time, 1_000) {
        moved if moved.abs_diff(time) < DAY.cast_unsigned() * 1_000 => Ok(moved),
        _ => Err(Error::data("long overflow").with_class("java.lang.ArithmeticException")),
    };
    Ok(match (schema.name(), value) {
        (Some("io.debezium.time.ZonedTimestamp"), Value::String(text)) => {
            Some(Value::from(zoned_timestamp(text, zone)?))
        }
        (Some("io.debezium.time.ZonedTime"), Value::String(text)) => Some(Value::from(zoned_time(
            text,
            zone.at(Utc::now().naive_utc()),
        )?)),
        (Some("io.debezium.time.Timestamp"), Value::Int64(time)) => {
            Some(Value::Int64(exactly(*time)?))
        }
        (Some("io.debezium.time.MicroTimestamp"), Value::Int64(time)) => {
            Some(Value::Int64(shifted(*time, 1_000_000)))
        }
        (Some("io.debezium.time.NanoTimestamp"), Value::Int64(time)) => {
            Some(Value::Int64(shifted(*time, 1_000_000_000)))
        }
        (Some(logical::TIMESTAMP), Value::Timestamp(time)) => {
            Some(Value::Timestamp(exactly(*time)?))
        }
        (
            Some(
                name @ ("io.debezium.time.Date"
                | "io.debezium.time.Time"
                | "io.debezium.time.MicroTime"
                | "io.debezium.time.NanoTime"
                | logical::DATE
                | logical::TIME),
            ),
            _,
        ) => {
            tracing::warn!("Skipping conversion for unsupported logical type: {name}");
            None
        }
        _ => None,
    })
}

fn unreadable(text: &str) -> Error {
    Error::data(format!("Text '{text}' could not be parsed as a time"))
}

/// The offset at a text's end, in seconds, and the text before it.
fn split_offset(text: &str) -> Option<(&str, i32)> {
    if let Some(local) = text.strip_suffix('Z') {
        return Some((local, 0));
    }
    let time = text.find('T').map_or(0, |at| at + 1);
    let at = time + text.get(time..)?.rfind(['+', '-'])?;
    let (local, offset) = text.split_at(at);
    match Zone::parse(offset)? {
        Zone::Fixed(offset) => Some((local, offset.local_minus_utc())),
        Zone::Named(_) => None,
    }
}

/// `ISO_OFFSET_DATE_TIME` in the other zone. As in Debezium the offset is the one at the local time.
fn zoned_timestamp(text: &str, zone: Zone) -> Result<String> {
    let parse = || {
        let (local, offset) = split_offset(text)?;
        let (date, time) = local.split_once('T')?;
        let time = NaiveTime::parse_from_str(time, "%H:%M:%S%.f").ok()?;
        let seconds = days_of(date)? * DAY + i64::from(time.num_seconds_from_midnight());
        let new = zone.at_local(stand_in(seconds));
        let moved = seconds + i64::from(new.local_minus_utc() - offset);
        let (year, month, day) = civil_from_days(moved.div_euclid(DAY));
        let sign = match year {
            ..0 => "-",
            0..10_000 => "",
            _ => "+",
        };
        let second = u32::try_from(moved.rem_euclid(DAY)).ok()?;
        let time = NaiveTime::from_num_seconds_from_midnight_opt(second, time.nanosecond())?;
        let date = format!("{sign}{:04}-{month:02}-{day:02}", year.abs());
        Some(format!("{date}T{}{}", clock(time), shown(new)))
    };
    parse().ok_or_else(|| unreadable(text))
}

/// The day of a date with a year of any length.
fn days_of(date: &str) -> Option<i64> {
    let (rest, day) = date.rsplit_once('-')?;
    let (year, month) = rest.rsplit_once('-')?;
    let (year, month, day) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    let days = days_from_civil(year, month, day);
    (civil_from_days(days) == (year, month, day)).then_some(days)
}

/// `ISO_OFFSET_TIME` at another offset.
fn zoned_time(text: &str, offset: FixedOffset) -> Result<String> {
    let parse = || {
        let (local, old) = split_offset(text)?;
        let local = NaiveTime::parse_from_str(local, "%H:%M:%S%.f").ok()?;
        let moved = Duration::seconds(i64::from(offset.local_minus_utc() - old));
        let (moved, _) = local.overflowing_add_signed(moved);
        Some(format!("{}{}", clock(moved), shown(offset)))
    };
    parse().ok_or_else(|| unreadable(text))
}

/// The time of day with as many digits of the second as there are.
fn clock(time: NaiveTime) -> String {
    let seconds = time.format("%H:%M:%S").to_string();
    match time.nanosecond() {
        0 => seconds,
        nanos => {
            let digits = format!("{nanos:09}");
            format!("{seconds}.{}", digits.trim_end_matches('0'))
        }
    }
}

/// An offset as Java prints it: `Z`, `+01:00`, `+01:00:30`.
fn shown(offset: FixedOffset) -> String {
    let total = offset.local_minus_utc();
    let sign = if total < 0 { '-' } else { '+' };
    let total = total.abs();
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    match (total, seconds) {
        (0, _) => "Z".to_owned(),
        (_, 0) => format!("{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_offsets_at_all_times() {
        let zone = Zone::parse("America/New_York").expect("a zone");
        let micros = Schema::int64()
            .name("io.debezium.time.MicroTimestamp")
            .build();
        let millis = Schema::int64().name("io.debezium.time.Timestamp").build();
        let shifted = |schema: &Schema, time: i64| {
            let converted = converted(schema, &Value::Int64(time), zone).expect("converts");
            converted.and_then(|value| value.as_i64())
        };
        // Java's answers: 2262-04-12 and 2099-07-01 in summer time, infinity and its negative.
        let summer = |day: i64| Some(day * DAY * 1_000 + 4 * 3_600_000);
        let day = days_from_civil(2262, 4, 12);
        assert_eq!(shifted(&millis, day * DAY * 1_000), summer(day));
        let day = days_from_civil(2099, 7, 1);
        assert_eq!(shifted(&millis, day * DAY * 1_000), summer(day));
        assert_eq!(shifted(&micros, i64::MAX), Some(-9_223_372_018_854_775_809));
        assert_eq!(
            shifted(&millis, 9_223_372_036_825_200_000),
            Some(9_223_372_036_839_600_000)
        );
        assert_eq!(
            shifted(&millis, -9_223_372_036_832_400_000),
            Some(-9_223_372_036_814_638_000)
        );
        let tokyo = Zone::parse("Asia/Tokyo").expect("a zone");
        let lowest = Value::Int64(-9_223_372_036_832_400_000);
        assert!(converted(&millis, &lowest, tokyo).is_err());
        let text = |text: &str| zoned_timestamp(text, zone).ok();
        assert_eq!(
            text("+290000-01-01T00:00:00Z").as_deref(),
            Some("+289999-12-31T19:00:00-05:00")
        );
        assert_eq!(
            text("2104-02-29T12:00:00.5Z").as_deref(),
            Some("2104-02-29T07:00:00.5-05:00")
        );
        assert_eq!(text("2103-02-29T12:00:00Z"), None);
    }
}
