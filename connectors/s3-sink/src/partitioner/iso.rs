//! Times as ISO 8601 texts, read as Joda-Time reads them: a date (calendar, ordinal or week), a time
//! after `T`, or both, and perhaps an offset.
//!
//! ```text
//! text    = 'T' time [offset] | date ['T' [time] [offset]]
//! date    = year ['-' month ['-' day]] | year '-' day of year | year '-W' week ['-' weekday]
//! time    = hour [fraction | ':' minute [fraction | ':' second [fraction]]]
//! offset  = 'Z' | ('+' | '-') hh [[':'] mm [[':'] ss]]
//! ```
//!
//! Answers for `org.joda.time.format.ISODateTimeFormat.dateTimeParser()`, its error texts included.

use chrono::{Datelike, Local, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Weekday};

/// Milliseconds since 1970; a text without offset is in the machine's zone.
///
/// # Errors
/// From where on the text makes no sense, or which of its numbers is out of range.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    let mut scan = Scan {
        bytes: text.as_bytes(),
        at: 0,
    };
    let (mut date, mut clock) = (Date::Year(1970), Clock::default());
    let mut has_time = scan.takes(b"T");
    let understood = match has_time {
        true => scan.clock(&mut clock),
        false => scan.date(&mut date),
    };
    if understood && !has_time {
        has_time = scan.takes(b"T");
        if has_time {
            scan.clock(&mut clock);
        }
    }
    // An offset stands behind a `T` only.
    let offset = (understood && has_time).then(|| scan.offset()).flatten();
    if !understood || scan.at < text.len() {
        return Err(match text.get(scan.at..) {
            Some("") if !text.is_empty() => format!("Invalid format: \"{text}\" is too short"),
            Some(rest) if scan.at > 0 => {
                format!("Invalid format: \"{text}\" is malformed at \"{rest}\"")
            }
            _ => format!("Invalid format: \"{text}\""),
        });
    }
    let local = date
        .resolved()
        .and_then(|date| Ok(date + clock.checked()?))
        .map_err(|why| format!("Cannot parse \"{text}\": {why}"))?;
    let offset_ms = match offset {
        Some(offset_ms) => offset_ms,
        None => {
            let offset = Local.offset_from_local_datetime(&local).earliest();
            offset.map_or(0, |offset| i64::from(offset.fix().local_minus_utc()) * 1000)
        }
    };
    Ok(local.and_utc().timestamp_millis() - offset_ms)
}

/// A date as it is written.
#[derive(Clone, Copy)]
enum Date {
    Year(i64),
    Day(i64, i64, i64),
    Ordinal(i64, i64),
    Week(i64, i64, i64),
}

/// A time as it is written; the fraction is one of its last part.
#[derive(Default)]
struct Clock {
    hour: i64,
    minute: i64,
    second: i64,
    fraction_ms: i64,
}

fn in_range(field: &str, value: i64, (low, high): (i64, i64)) -> Result<(), String> {
    match (low..=high).contains(&value) {
        true => Ok(()),
        false => Err(format!(
            "Value {value} for {field} must be in the range [{low},{high}]"
        )),
    }
}

impl Date {
    fn resolved(self) -> Result<NaiveDateTime, String> {
        let (Self::Year(year)
        | Self::Day(year, ..)
        | Self::Ordinal(year, _)
        | Self::Week(year, ..)) = self;
        in_range("year", year, (-262_000, 262_000))?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range"
        )]
        let date = match self {
            Self::Year(year) => NaiveDate::from_ymd_opt(year as i32, 1, 1),
            Self::Day(year, month, day) => {
                in_range("monthOfYear", month, (1, 12))?;
                let first = NaiveDate::from_ymd_opt(year as i32, month as u32, 1);
                let days = first.map_or(31, |first| i64::from(first.num_days_in_month()));
                in_range("dayOfMonth", day, (1, days))?;
                first.and_then(|first| first.with_day(day as u32))
            }
            Self::Ordinal(year, day) => {
                let first = NaiveDate::from_ymd_opt(year as i32, 1, 1);
                let is_leap = first.is_some_and(|first| first.leap_year());
                in_range("dayOfYear", day, (1, 365 + i64::from(is_leap)))?;
                NaiveDate::from_yo_opt(year as i32, day as u32)
            }
            Self::Week(year, week, day) => {
                let last = NaiveDate::from_isoywd_opt(year as i32, 53, Weekday::Mon);
                in_range("weekOfWeekyear", week, (1, 52 + i64::from(last.is_some())))?;
                in_range("dayOfWeek", day, (1, 7))?;
                let day = Weekday::try_from((day - 1) as u8).unwrap_or(Weekday::Mon);
                NaiveDate::from_isoywd_opt(year as i32, week as u32, day)
            }
        };
        date.map(|date| date.and_time(chrono::NaiveTime::MIN))
            .ok_or_else(|| format!("Value {year} for year is out of range"))
    }
}

impl Clock {
    fn checked(&self) -> Result<TimeDelta, String> {
        in_range("hourOfDay", self.hour, (0, 23))?;
        in_range("minuteOfHour", self.minute, (0, 59))?;
        in_range("secondOfMinute", self.second, (0, 59))?;
        let seconds = (self.hour * 60 + self.minute) * 60 + self.second;
        Ok(TimeDelta::milliseconds(seconds * 1000 + self.fraction_ms))
    }
}

/// Reads from the front on; what is not there is not passed over.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    /// Passes over a text, in either case.
    fn takes(&mut self, text: &[u8]) -> bool {
        let end = self.at + text.len();
        let is_there = self
            .bytes
            .get(self.at..end)
            .is_some_and(|there| there.eq_ignore_ascii_case(text));
        if is_there {
            self.at = end;
        }
        is_there
    }

    /// A number of at most so many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let rest = self.bytes.get(self.at..)?;
        let count = rest
            .iter()
            .take(digits)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let number = std::str::from_utf8(&rest[..count]).ok()?.parse().ok()?;
        self.at += count;
        Some(number)
    }

    /// What is read whole or not at all.
    fn whole<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let start = self.at;
        let found = read(self);
        if found.is_none() {
            self.at = start;
        }
        found
    }

    fn date(&mut self, date: &mut Date) -> bool {
        let year = self.whole(|scan| {
            let negative = scan.takes(b"-");
            if !negative {
                scan.takes(b"+");
            }
            let year = scan.number(9)?;
            Some(if negative { -year } else { year })
        });
        let Some(year) = year else { return false };
        *date = Date::Year(year);
        let start = self.at;
        let week = self.whole(|scan| scan.takes(b"-W").then(|| scan.number(2)).flatten());
        if let Some(week) = week {
            let day = self.whole(|scan| scan.takes(b"-").then(|| scan.number(1)).flatten());
            *date = Date::Week(year, week, day.unwrap_or(1));
            return true;
        }
        let ordinal = self.whole(|scan| scan.takes(b"-").then(|| scan.number(3)).flatten());
        let ordinal_end = std::mem::replace(&mut self.at, start);
        let month = self.whole(|scan| scan.takes(b"-").then(|| scan.number(2)).flatten());
        if let Some(month) = month {
            let day = self.whole(|scan| scan.takes(b"-").then(|| scan.number(2)).flatten());
            *date = Date::Day(year, month, day.unwrap_or(1));
        }
        // The reading that goes further counts.
        if let Some(ordinal) = ordinal.filter(|_| ordinal_end > self.at) {
            self.at = ordinal_end;
            *date = Date::Ordinal(year, ordinal);
        }
        true
    }

    fn clock(&mut self, clock: &mut Clock) -> bool {
        let Some(hour) = self.number(2) else {
            return false;
        };
        clock.hour = hour;
        let part =
            |scan: &mut Self| scan.whole(|scan| scan.takes(b":").then(|| scan.number(2)).flatten());
        let mut unit_ms = 3_600_000;
        if let Some(minute) = part(self) {
            (clock.minute, unit_ms) = (minute, 60_000);
            if let Some(second) = part(self) {
                (clock.second, unit_ms) = (second, 1000);
            }
        }
        let fraction = self.whole(|scan| {
            if !scan.takes(b".") && !scan.takes(b",") {
                return None;
            }
            scan.fraction(unit_ms)
        });
        clock.fraction_ms = fraction.unwrap_or(0);
        true
    }

    /// Nine digits of a fraction at most, cut to whole milliseconds.
    fn fraction(&mut self, unit_ms: i64) -> Option<i64> {
        let rest = self.bytes.get(self.at..)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        let (mut weight, mut value, mut count) = (unit_ms * 10, 0, 0);
        for digit in digits.take(9) {
            weight /= 10;
            value += i64::from(digit - b'0') * weight;
            count += 1;
        }
        self.at += count;
        (count > 0).then_some(value / 10)
    }

    /// In milliseconds.
    fn offset(&mut self) -> Option<i64> {
        if self.takes(b"Z") {
            return Some(0);
        }
        self.whole(|scan| {
            let sign = match (scan.takes(b"-"), scan.takes(b"+")) {
                (true, _) => -1,
                (_, true) => 1,
                _ => return None,
            };
            let mut total = scan.two_digits(23)? * 3_600_000;
            let colons = scan.takes(b":");
            for unit_ms in [60_000, 1000] {
                let is_next = colons && (unit_ms == 60_000 || scan.takes(b":"));
                let has_digits = scan.bytes.get(scan.at).is_some_and(u8::is_ascii_digit);
                if !is_next && (colons || !has_digits) {
                    break;
                }
                total += scan.two_digits(59)? * unit_ms;
            }
            Some(sign * total)
        })
    }

    fn two_digits(&mut self, most: i64) -> Option<i64> {
        let start = self.at;
        self.number(2)
            .filter(|number| self.at == start + 2 && *number <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts and Joda-Time's answers to them, in the zone UTC.
    #[test]
    fn texts_are_read_as_joda_reads_them() {
        let answers = include_str!("iso.tsv").lines();
        for line in answers {
            let (text, expected) = line.split_once('\t').expect("a text and an answer");
            // What has no offset is in the machine's zone; the answers were recorded in UTC.
            let found = match parse(text) {
                Ok(millis) if has_offset(text) => millis.to_string(),
                Ok(millis) => {
                    let local = parse(&format!("{}Z", with_time(text))).expect("the same in UTC");
                    let local = chrono::DateTime::from_timestamp_millis(local).expect("a time");
                    let here = Local.from_local_datetime(&local.naive_utc()).earliest();
                    assert_eq!(Some(millis), here.map(|here| here.timestamp_millis()));
                    local.timestamp_millis().to_string()
                }
                Err(why) => format!("!{why}"),
            };
            assert_eq!(found, expected, "{text}");
        }
    }

    fn with_time(text: &str) -> String {
        match text.contains('T') {
            true => text.to_owned(),
            false => format!("{text}T"),
        }
    }

    fn has_offset(text: &str) -> bool {
        let time = text.split_once(['T', 't']).map_or("", |(_, time)| time);
        time.contains(['Z', 'z', '+', '-'])
    }
}
