//! A time zone as Joda-Time names it: a tzdb id or a fixed offset. Knows no wall clock.
//!
//! Answers for `org.joda.time.DateTimeZone`.

use chrono::{DateTime, Offset, Utc};
use chrono_tz::{OffsetName, Tz};

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Zone {
    /// Always so many milliseconds ahead of UTC.
    Fixed(i64),
    /// One of tzdb's.
    Named(Tz),
}

impl Zone {
    /// UTC.
    pub(crate) const UTC: Self = Self::Fixed(0);

    /// What `DateTimeZone.forID` makes of an id.
    pub(crate) fn parse(id: &str) -> Result<Self, String> {
        match id {
            "UTC" | "Z" => return Ok(Self::UTC),
            _ if id.starts_with(['+', '-']) => return parse_offset(id).map(Self::Fixed),
            _ => {}
        }
        id.parse()
            .map(Self::Named)
            .map_err(|_| format!("The datetime zone id '{id}' is not recognised"))
    }

    /// How many milliseconds local time is ahead of UTC at an instant (`getOffset`).
    pub(crate) fn offset_at(self, instant: i64) -> i64 {
        match self {
            Self::Fixed(offset) => offset,
            Self::Named(zone) => DateTime::<Utc>::from_timestamp_millis(instant).map_or(0, |utc| {
                i64::from(utc.with_timezone(&zone).offset().fix().local_minus_utc()) * 1000
            }),
        }
    }

    /// Local milliseconds of an instant.
    pub(crate) fn to_local(self, instant: i64) -> i64 {
        instant + self.offset_at(instant)
    }

    /// The instant of local milliseconds (`convertLocalToUTC`, not strict): in a gap or an overlap
    /// of daylight saving the choice is Joda's.
    pub(crate) fn to_utc(self, local: i64) -> i64 {
        let as_if_utc = self.offset_at(local);
        let offset = self.offset_at(local - as_if_utc);
        if as_if_utc != offset && as_if_utc < 0 && self.offset_at(local - offset) != offset {
            return local - as_if_utc;
        }
        local - offset
    }

    /// The short name at an instant: `PST`, `+05:30`.
    pub(crate) fn short_name(self, instant: i64) -> String {
        match (self, DateTime::<Utc>::from_timestamp_millis(instant)) {
            (Self::Named(zone), Some(utc)) => {
                let local = utc.with_timezone(&zone);
                local
                    .offset()
                    .abbreviation()
                    .map_or_else(|| self.id(), ToOwned::to_owned)
            }
            _ => self.id(),
        }
    }

    /// The id.
    pub(crate) fn id(self) -> String {
        match self {
            Self::Fixed(0) => "UTC".to_owned(),
            Self::Fixed(offset) => offset_text(offset, true),
            Self::Named(zone) => zone.name().to_owned(),
        }
    }
}

/// `+01:00` or `+0100`.
pub(crate) fn offset_text(offset: i64, colon: bool) -> String {
    let minutes = offset.abs() / 60_000;
    let sign = if offset < 0 { '-' } else { '+' };
    let separator = if colon { ":" } else { "" };
    format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
}

/// `+hh`, `+hh:mm`, `+hhmm`, in milliseconds.
fn parse_offset(text: &str) -> Result<i64, String> {
    let (sign, rest) = text.split_at(1);
    let malformed = || format!("Invalid format: \"{text}\" is malformed at \"{rest}\"");
    let digits: String = rest.chars().filter(|&character| character != ':').collect();
    let shape_is_right = matches!(rest.len(), 2 | 4 | 5)
        && digits.len() != 3
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (rest.len() != 5 || rest.as_bytes()[2] == b':');
    let number: i64 = digits
        .parse()
        .ok()
        .filter(|_| shape_is_right)
        .ok_or_else(malformed)?;
    let (hours, minutes) = if digits.len() == 2 {
        (number, 0)
    } else {
        (number / 100, number % 100)
    };
    if hours > 23 || minutes > 59 {
        return Err(malformed());
    }
    Ok((hours * 60 + minutes) * 60_000 * if sign == "-" { -1 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_and_refused_as_joda_does() {
        for id in [
            "UTC",
            "Z",
            "EST",
            "Europe/Berlin",
            "+05:30",
            "-08:00",
            "America/New_York",
        ] {
            Zone::parse(id).expect(id);
        }
        for id in ["PST", "utc", "GMT+5", "+5", "Mars/X", ""] {
            Zone::parse(id).expect_err(id);
        }
        assert_eq!(Zone::parse("+05:30"), Ok(Zone::Fixed(19_800_000)));
    }

    /// Random instants rounded down to buckets of local time, and Joda-Time's answers.
    #[test]
    fn buckets_begin_where_jodas_begin() {
        for line in include_str!("zones.tsv").lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            let number = |at: usize| -> i64 { columns[at].parse().expect("a number") };
            let zone = Zone::parse(columns[0]).expect("known");
            let (duration, instant) = (number(1), number(2));
            let bucket = zone.to_utc(zone.to_local(instant) / duration * duration);
            assert_eq!(bucket, number(3), "{line}");
        }
    }

    #[test]
    fn local_time_and_back_follow_daylight_saving() {
        let zone = Zone::parse("America/New_York").expect("known");
        // 2024-01-15T10:30Z is 05:30 there, 2024-07-15T10:30Z is 06:30.
        assert_eq!(zone.offset_at(1_705_314_600_000), -5 * 3_600_000);
        assert_eq!(zone.offset_at(1_721_039_400_000), -4 * 3_600_000);
        for instant in [1_705_314_600_000, 1_721_039_400_000] {
            assert_eq!(zone.to_utc(zone.to_local(instant)), instant);
        }
    }
}
