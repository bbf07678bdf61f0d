//! Dates and times as Connect values, by `time.precision.mode`.
//!
//! A decoder is chosen once per column; a value is then read and written without a look at the
//! mode. Answers for `JdbcValueConverters.convertTimestampTo*`, `convertDateTo*`, `convertTimeTo*`,
//! the classes of `io.debezium.time` and `PostgresValueConverter`'s handling of infinity.

use std::sync::Arc;

use connect_api::ByteString;
use connect_api::data::{Schema, SchemaBuilder, SchemaRef, Struct, Value, logical};

use super::calendar::{
    self, Bounded, DAY, Date, DateTime, Fraction, Interval, IsoText, SECOND, Usual,
};
use super::modes::{IntervalMode, Modes, TimeMode};
use crate::change::Phase;

/// How a date, time or interval becomes a value.
#[derive(Clone, Debug)]
pub(super) enum Temporal {
    Date(DateForm),
    Time(TimeForm),
    Timestamp(TimestampForm),
    /// `ZonedTimestamp`, with so many digits of the second.
    ZonedTimestamp(usize),
    ZonedTimestampStruct(SchemaRef, i32),
    ZonedTime,
    ZonedTimeStruct(SchemaRef, i32),
    IntervalMicros,
    IntervalText,
    IntervalStruct(SchemaRef, i32),
}

/// How a date becomes a value.
#[derive(Clone, Debug)]
pub(super) enum DateForm {
    Days,
    Connect,
    Iso,
    Struct(SchemaRef),
}

/// How a time of day becomes a value.
#[derive(Clone, Debug)]
pub(super) enum TimeForm {
    Millis,
    Micros,
    Nanos,
    Connect,
    Iso,
    Struct(SchemaRef, i32),
}

/// How a timestamp without zone becomes a value.
#[derive(Clone, Debug)]
pub(super) enum TimestampForm {
    Millis,
    Micros,
    Nanos,
    Connect,
    Iso,
    Struct(SchemaRef, i32),
}

/// Days and milliseconds that pgjdbc has for infinite values, and what becomes of them.
mod infinity {
    pub(super) const POSITIVE_MILLIS: i64 = 9_223_372_036_825_200_000;
    pub(super) const NEGATIVE_MILLIS: i64 = -9_223_372_036_832_400_000;
    /// In a snapshot: the driver's date, its days cut to 32 bits.
    pub(super) const SNAPSHOT_DAYS: (i32, i32) = (-622_191_234, -625_821_272);
    pub(super) const SNAPSHOT_ISO: (&str, &str) = ("+292278994-08-16Z", "+292269055-12-02Z");
    /// In the stream: a date that Debezium chose.
    pub(super) const STREAM_DAYS: (i32, i32) = (2_146_033_979, -2_147_472_691);
    pub(super) const STREAM_ISO: (&str, &str) = ("+5877611-06-21Z", "-5877611-06-22Z");
    pub(super) const TIMESTAMP_ISO: (&str, &str) =
        ("+292278994-08-16T23:00:00Z", "-292275055-05-16T23:00:00Z");
}

fn named(builder: SchemaBuilder, name: &str) -> SchemaBuilder {
    builder.name(format!("io.debezium.time.{name}")).version(1)
}

/// A struct schema of optional fields; `kind` by letter: `b` INT8, `i` INT32, `l` INT64, `s` STRING.
fn parts(name: &str, fields: &[(&'static str, char)]) -> SchemaBuilder {
    let field = |kind| {
        let builder = match kind {
            'b' => Schema::int8(),
            'i' => Schema::int32(),
            'l' => Schema::int64(),
            _ => Schema::string(),
        };
        builder.optional().build()
    };
    fields.iter().fold(
        named(Schema::structure(), name),
        |builder, (field_name, kind)| builder.field(*field_name, field(*kind)),
    )
}

/// The plan of a `date`.
pub(super) fn date(modes: &Modes) -> (SchemaBuilder, Temporal) {
    match modes.time {
        TimeMode::Connect => (logical::date(), Temporal::Date(DateForm::Connect)),
        TimeMode::IsoString => (
            named(Schema::string(), "IsoDate"),
            Temporal::Date(DateForm::Iso),
        ),
        TimeMode::Structured => {
            let builder = parts(
                "StructuredDate",
                &[
                    ("year", 'i'),
                    ("month", 'b'),
                    ("day", 'b'),
                    ("specialValue", 's'),
                ],
            );
            let schema = builder.clone().optional().build();
            (builder, Temporal::Date(DateForm::Struct(schema)))
        }
        _ => (
            named(Schema::int32(), "Date"),
            Temporal::Date(DateForm::Days),
        ),
    }
}

/// The plan of a `time` of so many digits.
pub(super) fn time(modes: &Modes, precision: i32) -> (SchemaBuilder, Temporal) {
    let (builder, form) = match modes.time {
        TimeMode::Adaptive if precision <= 3 => (named(Schema::int32(), "Time"), TimeForm::Millis),
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds | TimeMode::Microseconds => {
            (named(Schema::int64(), "MicroTime"), TimeForm::Micros)
        }
        TimeMode::Connect => (logical::time(), TimeForm::Connect),
        TimeMode::Nanoseconds => (named(Schema::int64(), "NanoTime"), TimeForm::Nanos),
        TimeMode::IsoString => (named(Schema::string(), "IsoTime"), TimeForm::Iso),
        TimeMode::Structured => {
            let builder = parts(
                "StructuredTime",
                &[
                    ("hour", 'b'),
                    ("minute", 'b'),
                    ("second", 'b'),
                    ("nanos", 'i'),
                    ("precision", 'i'),
                ],
            );
            let schema = builder.clone().optional().build();
            (builder, TimeForm::Struct(schema, precision))
        }
    };
    (builder, Temporal::Time(form))
}

/// The plan of a `timestamp` of so many digits.
pub(super) fn timestamp(modes: &Modes, precision: i32) -> (SchemaBuilder, Temporal) {
    let (builder, form) = match modes.time {
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds if precision <= 3 => {
            (named(Schema::int64(), "Timestamp"), TimestampForm::Millis)
        }
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds | TimeMode::Microseconds => (
            named(Schema::int64(), "MicroTimestamp"),
            TimestampForm::Micros,
        ),
        TimeMode::Connect => (logical::timestamp(), TimestampForm::Connect),
        TimeMode::Nanoseconds => (
            named(Schema::int64(), "NanoTimestamp"),
            TimestampForm::Nanos,
        ),
        TimeMode::IsoString => (named(Schema::string(), "IsoTimestamp"), TimestampForm::Iso),
        TimeMode::Structured => {
            let builder = parts(
                "StructuredTimestamp",
                &[
                    ("year", 'i'),
                    ("month", 'b'),
                    ("day", 'b'),
                    ("hour", 'b'),
                    ("minute", 'b'),
                    ("second", 'b'),
                    ("nanos", 'i'),
                    ("specialValue", 's'),
                    ("precision", 'i'),
                ],
            );
            let schema = builder.clone().optional().build();
            (builder, TimestampForm::Struct(schema, precision))
        }
    };
    (builder, Temporal::Timestamp(form))
}

/// The plan of a `timestamptz` of so many digits.
pub(super) fn zoned_timestamp(modes: &Modes, precision: i32) -> (SchemaBuilder, Temporal) {
    if modes.time == TimeMode::Structured {
        let builder = parts(
            "StructuredZonedTimestamp",
            &[
                ("year", 'i'),
                ("month", 'b'),
                ("day", 'b'),
                ("hour", 'b'),
                ("minute", 'b'),
                ("second", 'b'),
                ("nanos", 'i'),
                ("offsetSeconds", 'i'),
                ("zoneId", 's'),
                ("specialValue", 's'),
                ("precision", 'i'),
            ],
        );
        let schema = builder.clone().optional().build();
        return (builder, Temporal::ZonedTimestampStruct(schema, precision));
    }
    let digits = usize::try_from(precision).unwrap_or_default();
    (
        named(Schema::string(), "ZonedTimestamp"),
        Temporal::ZonedTimestamp(digits),
    )
}

/// The plan of a `timetz` of so many digits.
pub(super) fn zoned_time(modes: &Modes, precision: i32) -> (SchemaBuilder, Temporal) {
    if modes.time == TimeMode::Structured {
        let builder = parts(
            "StructuredZonedTime",
            &[
                ("hour", 'b'),
                ("minute", 'b'),
                ("second", 'b'),
                ("nanos", 'i'),
                ("offsetSeconds", 'i'),
                ("precision", 'i'),
            ],
        );
        let schema = builder.clone().optional().build();
        return (builder, Temporal::ZonedTimeStruct(schema, precision));
    }
    (named(Schema::string(), "ZonedTime"), Temporal::ZonedTime)
}

/// The plan of an `interval`.
pub(super) fn interval(modes: &Modes, precision: i32) -> (SchemaBuilder, Temporal) {
    if modes.time == TimeMode::Structured {
        let builder = parts(
            "StructuredDuration",
            &[
                ("years", 'i'),
                ("months", 'i'),
                ("days", 'i'),
                ("hours", 'i'),
                ("minutes", 'i'),
                ("seconds", 'l'),
                ("nanos", 'i'),
                ("precision", 'i'),
            ],
        );
        let schema = builder.clone().optional().build();
        return (builder, Temporal::IntervalStruct(schema, precision));
    }
    match modes.interval {
        IntervalMode::Numeric => (
            named(Schema::int64(), "MicroDuration"),
            Temporal::IntervalMicros,
        ),
        IntervalMode::String => (named(Schema::string(), "Interval"), Temporal::IntervalText),
    }
}

impl Temporal {
    /// Takes the column's finished schema, for the forms that are structs.
    pub(super) fn adopt(&mut self, schema: &SchemaRef) {
        if let Self::Date(DateForm::Struct(own))
        | Self::Time(TimeForm::Struct(own, _))
        | Self::Timestamp(TimestampForm::Struct(own, _))
        | Self::ZonedTimestampStruct(own, _)
        | Self::ZonedTimeStruct(own, _)
        | Self::IntervalStruct(own, _) = self
        {
            *own = Arc::clone(schema);
        }
    }

    /// The value of a text; none where there is none in this form.
    #[inline]
    pub(super) fn decode(&self, text: &[u8], phase: Phase) -> Option<Value> {
        match self {
            Self::Timestamp(form) => form.value(Bounded::parse(text, DateTime::parse)?),
            Self::ZonedTimestamp(digits) => match Bounded::parse(text, DateTime::parse_zoned)? {
                Bounded::Finite(time) => Some(zoned_iso(time, *digits)),
                Bounded::PositiveInfinity => Some(Value::text("infinity")),
                Bounded::NegativeInfinity => Some(Value::text("-infinity")),
            },
            Self::Date(form) => form.value(Bounded::parse(text, Date::parse)?, phase),
            Self::Time(form) => form.value(calendar::parse_time(text)?),
            Self::ZonedTimestampStruct(schema, precision) => {
                let time = Bounded::parse(text, DateTime::parse_zoned)?;
                Some(zoned_struct(schema, *precision, time))
            }
            Self::ZonedTime => zoned_time_iso(text),
            Self::ZonedTimeStruct(schema, precision) => {
                let (micros, offset) = calendar::parse_zoned_time(text)?;
                let [hour, minute, second, nanos] = clock(micros);
                let values = vec![
                    hour,
                    minute,
                    second,
                    nanos,
                    Value::Int32(offset),
                    Value::Int32(*precision),
                ];
                Some(Struct::new(Arc::clone(schema), values).into())
            }
            Self::IntervalMicros => Some(Value::Int64(Interval::parse(text)?.micros_by_average())),
            Self::IntervalText => Some(Value::from(Interval::parse(text)?.iso())),
            Self::IntervalStruct(schema, precision) => {
                Some(interval_struct(schema, *precision, Interval::parse(text)?))
            }
        }
    }

    /// Appends the JSON of a time in UTC, whose text needs no more than to be copied; otherwise
    /// answers `false` and appends nothing.
    #[inline]
    pub(super) fn write_plain(&self, text: &[u8], out: &mut Vec<u8>) -> bool {
        // Without digits, as many are written as there are.
        let Self::ZonedTimestamp(digits @ 1..=6) = *self else {
            return false;
        };
        let usual = Usual::parse(text).filter(|usual| usual.rest == b"+00" && usual.fits(digits));
        if let Some(usual) = &usual {
            out.push(b'"');
            usual.write_iso(digits, out);
            out.extend_from_slice(b"Z\"");
        }
        usual.is_some()
    }

    /// What stands for a null that may not be: the epoch.
    pub(super) fn fallback(&self) -> Option<Value> {
        let epoch = Date {
            year: 1970,
            month: 1,
            day: 1,
        };
        let midnight = DateTime {
            date: epoch,
            micros: 0,
        };
        match self {
            Self::Date(form) => form.value(Bounded::Finite(epoch), Phase::Stream),
            Self::Time(form) => form.value(0),
            Self::Timestamp(form) => form.value(Bounded::Finite(midnight)),
            // Formatted without a look at the column's digits.
            Self::ZonedTimestamp(_) => Some(Value::text("1970-01-01T00:00:00Z")),
            Self::ZonedTimestampStruct(schema, precision) => {
                let mut epoch = zoned_struct(schema, *precision, Bounded::Finite(midnight));
                if let Value::Struct(epoch) = &mut epoch {
                    // The offset is known, the zone is not.
                    epoch.values[8] = Value::Null;
                }
                Some(epoch)
            }
            Self::ZonedTime => Some(Value::text("00:00:00Z")),
            Self::ZonedTimeStruct(..) => self.decode(b"00:00:00+00", Phase::Stream),
            Self::IntervalMicros | Self::IntervalText | Self::IntervalStruct(..) => {
                self.decode(b"00:00:00", Phase::Stream)
            }
        }
    }
}

/// The finished text, in an allocation of its length.
fn shared(text: &IsoText) -> Value {
    Value::String(ByteString::try_from(text.as_bytes()).unwrap_or_default())
}

/// Hour, minute, second, nanoseconds.
fn clock(micros: i64) -> [Value; 4] {
    let seconds = micros / SECOND;
    let small = |number: i64| Value::Int8(i8::try_from(number).unwrap_or_default());
    let nanos = i32::try_from(micros % SECOND * 1000).unwrap_or_default();
    [
        small(seconds / 3600),
        small(seconds / 60 % 60),
        small(seconds % 60),
        Value::Int32(nanos),
    ]
}

/// Year, month, day.
fn calendar_parts(date: Date) -> [Value; 3] {
    let small = |number: u8| Value::Int8(i8::try_from(number).unwrap_or_default());
    [Value::Int32(date.year), small(date.month), small(date.day)]
}

fn zoned_iso(time: DateTime, digits: usize) -> Value {
    let mut out = IsoText::new();
    // Only a default can have a fraction that its type has no digits for.
    let fraction = match digits {
        0 => Fraction::Needed,
        digits => Fraction::Fixed(digits),
    };
    time.push_iso(&mut out, fraction);
    out.push(b'Z');
    shared(&out)
}

fn zoned_struct(schema: &SchemaRef, precision: i32, time: Bounded<DateTime>) -> Value {
    let mut values = vec![Value::Null; 11];
    match time {
        Bounded::Finite(time) => {
            let parts = calendar_parts(time.date)
                .into_iter()
                .chain(clock(time.micros));
            let zone = [Value::Int32(0), Value::text("Z")];
            for (place, value) in values.iter_mut().zip(parts.chain(zone)) {
                *place = value;
            }
        }
        Bounded::PositiveInfinity => values[9] = Value::text("POSITIVE_INFINITY"),
        Bounded::NegativeInfinity => values[9] = Value::text("NEGATIVE_INFINITY"),
    }
    values[10] = Value::Int32(precision);
    Struct::new(Arc::clone(schema), values).into()
}

fn interval_struct(schema: &SchemaRef, precision: i32, interval: Interval) -> Value {
    let (hours, minutes, seconds, fraction) = interval.clock();
    let small = |number: i64| Value::Int32(i32::try_from(number).unwrap_or_default());
    let values = vec![
        Value::Int32(interval.years),
        Value::Int32(interval.months),
        Value::Int32(interval.days),
        small(hours),
        small(minutes),
        Value::Int64(seconds),
        small(fraction * 1000),
        Value::Int32(precision),
    ];
    Struct::new(Arc::clone(schema), values).into()
}

/// A time of day moved to UTC. Offsets with seconds have no form here, and the end of a day only
/// where it is the end in UTC.
fn zoned_time_iso(text: &[u8]) -> Option<Value> {
    let (micros, offset) = calendar::parse_zoned_time(text)?;
    if offset % 60 != 0 {
        return None;
    }
    let utc = if micros == DAY && offset == 0 {
        DAY
    } else {
        (micros - i64::from(offset) * SECOND).rem_euclid(DAY)
    };
    let mut out = IsoText::new();
    calendar::push_iso_time(&mut out, utc, Fraction::Needed);
    out.push(b'Z');
    Some(shared(&out))
}

/// A date that went through the driver's `java.sql.Date`: it has no era, so that 44 BC becomes
/// 44 AD, and its calendar lacks the ten days of 1582 that were skipped, which become the next ten.
fn of_driver(date: Date) -> Date {
    match date {
        Date { year, .. } if year <= 0 => Date {
            year: 1 - year,
            ..date
        },
        Date {
            year: 1582,
            month: 10,
            day: 5..=14,
        } => Date {
            day: date.day + 10,
            ..date
        },
        _ => date,
    }
}

impl DateForm {
    fn value(&self, date: Bounded<Date>, phase: Phase) -> Option<Value> {
        let date = match (date, phase) {
            (Bounded::Finite(date), Phase::Snapshot) => Bounded::Finite(of_driver(date)),
            (date, _) => date,
        };
        let (days, iso) = match phase {
            Phase::Snapshot => (infinity::SNAPSHOT_DAYS, infinity::SNAPSHOT_ISO),
            Phase::Stream => (infinity::STREAM_DAYS, infinity::STREAM_ISO),
        };
        Some(match self {
            Self::Days | Self::Connect => {
                let days = match date {
                    Bounded::Finite(date) => i32::try_from(date.epoch_day()).ok()?,
                    Bounded::PositiveInfinity => days.0,
                    Bounded::NegativeInfinity => days.1,
                };
                match self {
                    Self::Connect => Value::Date(days),
                    _ => Value::Int32(days),
                }
            }
            Self::Iso => match date {
                Bounded::Finite(date) => {
                    let mut out = IsoText::new();
                    date.push_iso(&mut out);
                    out.push(b'Z');
                    shared(&out)
                }
                Bounded::PositiveInfinity => Value::text(iso.0),
                Bounded::NegativeInfinity => Value::text(iso.1),
            },
            Self::Struct(schema) => {
                let mut values = vec![Value::Null; 4];
                match date {
                    Bounded::Finite(date) => {
                        for (place, value) in values.iter_mut().zip(calendar_parts(date)) {
                            *place = value;
                        }
                    }
                    Bounded::PositiveInfinity => values[3] = Value::text("POSITIVE_INFINITY"),
                    Bounded::NegativeInfinity => values[3] = Value::text("NEGATIVE_INFINITY"),
                }
                Struct::new(Arc::clone(schema), values).into()
            }
        })
    }
}

impl TimeForm {
    fn value(&self, micros: i64) -> Option<Value> {
        let millis = || i32::try_from(micros / 1000).ok();
        Some(match self {
            Self::Millis => Value::Int32(millis()?),
            Self::Micros => Value::Int64(micros),
            Self::Nanos => Value::Int64(micros * 1000),
            Self::Connect => Value::Time(millis()?),
            Self::Iso => {
                let mut out = IsoText::new();
                calendar::push_iso_time(&mut out, micros % DAY, Fraction::Needed);
                out.push(b'Z');
                shared(&out)
            }
            // There is no such hour in Java's time of day.
            Self::Struct(..) if micros >= DAY => return None,
            Self::Struct(schema, precision) => {
                let [hour, minute, second, nanos] = clock(micros);
                let values = vec![hour, minute, second, nanos, Value::Int32(*precision)];
                Struct::new(Arc::clone(schema), values).into()
            }
        })
    }
}

impl TimestampForm {
    #[inline]
    fn value(&self, time: Bounded<DateTime>) -> Option<Value> {
        let millis = || match time {
            Bounded::Finite(time) => time.epoch_millis(),
            Bounded::PositiveInfinity => infinity::POSITIVE_MILLIS,
            Bounded::NegativeInfinity => infinity::NEGATIVE_MILLIS,
        };
        let bounded = |finite: fn(DateTime) -> Option<i64>| match time {
            Bounded::Finite(time) => finite(time),
            Bounded::PositiveInfinity => Some(i64::MAX),
            Bounded::NegativeInfinity => Some(i64::MIN),
        };
        Some(match self {
            Self::Micros => Value::Int64(bounded(|time| Some(time.epoch_micros()))?),
            Self::Millis => Value::Int64(millis()),
            Self::Connect => Value::Timestamp(millis()),
            Self::Nanos => Value::Int64(bounded(DateTime::epoch_nanos)?),
            Self::Iso => match time {
                Bounded::Finite(time) => {
                    let mut out = IsoText::new();
                    time.push_iso(&mut out, Fraction::Needed);
                    out.push(b'Z');
                    shared(&out)
                }
                Bounded::PositiveInfinity => Value::text(infinity::TIMESTAMP_ISO.0),
                Bounded::NegativeInfinity => Value::text(infinity::TIMESTAMP_ISO.1),
            },
            Self::Struct(schema, precision) => {
                let mut values = vec![Value::Null; 9];
                match time {
                    Bounded::Finite(time) => {
                        let parts = calendar_parts(time.date)
                            .into_iter()
                            .chain(clock(time.micros));
                        for (place, value) in values.iter_mut().zip(parts) {
                            *place = value;
                        }
                    }
                    Bounded::PositiveInfinity => values[7] = Value::text("POSITIVE_INFINITY"),
                    Bounded::NegativeInfinity => values[7] = Value::text("NEGATIVE_INFINITY"),
                }
                values[8] = Value::Int32(*precision);
                Struct::new(Arc::clone(schema), values).into()
            }
        })
    }
}

/// Defaults in a schema are parsed by pgjdbc's rules for infinity, which are others.
pub(super) mod defaults {
    use super::{
        Bounded, Date, DateForm, DateTime, Phase, Temporal, TimeForm, TimestampForm, Value,
        calendar,
    };

    /// `java.time`'s last and first day, cut to 32 bits.
    const DAYS: (i32, i32) = (169_560_311, -170_999_002);
    /// Its last instant in microseconds: seconds stop at the bound, the fraction wraps around.
    const LAST_MICROS: i64 = i64::MIN + 999_998;

    /// `LocalTime.MAX`, which is what 24:00 becomes in a default.
    fn end_of_day(form: &TimeForm) -> Option<Value> {
        const LAST_NANO: i64 = calendar::DAY * 1000 - 1;
        match form {
            TimeForm::Nanos => Some(Value::Int64(LAST_NANO)),
            TimeForm::Iso => Some(Value::text("23:59:59.999999999Z")),
            TimeForm::Struct(..) => None,
            TimeForm::Millis | TimeForm::Micros | TimeForm::Connect => {
                form.value(calendar::DAY - 1)
            }
        }
    }

    /// The default that a literal means for this column; none where there is none.
    pub(crate) fn value(form: &Temporal, literal: &str) -> Option<Value> {
        let text = literal.as_bytes();
        match form {
            Temporal::Date(form) => match Bounded::parse(text, Date::parse)? {
                Bounded::Finite(date) => form.value(Bounded::Finite(date), Phase::Stream),
                infinite => {
                    let positive = matches!(infinite, Bounded::PositiveInfinity);
                    let days = if positive { DAYS.0 } else { DAYS.1 };
                    match form {
                        DateForm::Days => Some(Value::Int32(days)),
                        DateForm::Connect => Some(Value::Date(days)),
                        DateForm::Iso if positive => Some(Value::text("+999999999-12-31Z")),
                        DateForm::Iso => Some(Value::text("-999999999-01-01Z")),
                        DateForm::Struct(_) => None,
                    }
                }
            },
            Temporal::Timestamp(form) => match Bounded::parse(text, DateTime::parse_zoned)? {
                Bounded::Finite(time) => form.value(Bounded::Finite(time)),
                Bounded::PositiveInfinity => match form {
                    TimestampForm::Micros => Some(Value::Int64(LAST_MICROS)),
                    TimestampForm::Iso => Some(Value::text("+999999999-12-31T23:59:59.999999999Z")),
                    _ => None,
                },
                Bounded::NegativeInfinity => match form {
                    TimestampForm::Micros => Some(Value::Int64(i64::MIN)),
                    TimestampForm::Iso => Some(Value::text("-999999999-01-01T00:00:00Z")),
                    _ => None,
                },
            },
            Temporal::ZonedTimestamp(digits) => {
                Some(super::zoned_iso(DateTime::parse_zoned(text)?, *digits))
            }
            Temporal::Time(form) => match calendar::parse_time(text)? {
                calendar::DAY => end_of_day(form),
                micros => form.value(micros),
            },
            Temporal::IntervalMicros | Temporal::IntervalText => form.decode(text, Phase::Stream),
            _ => None,
        }
    }
}
