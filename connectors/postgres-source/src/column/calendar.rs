//! Dates and times as Postgres prints them, read byte by byte into numbers, and back into ISO text.
//!
//! Pure, allocates nothing while reading. The calendar is the proleptic Gregorian one, as
//! Postgres' and `java.time`'s. Answers for Debezium's `DateTimeFormat` and pgjdbc's
//! `TimestampUtils` and `PGInterval`.

/// Microseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000;
/// Postgres' dates end before; what counts days and seconds below relies on it.
const LAST_YEAR: u32 = 5_900_000;
/// Microseconds in a day.
pub(crate) const DAY: i64 = 86_400 * SECOND;

/// A day in the calendar; the year 0 is 1 BC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i32,
    pub(crate) month: u8,
    pub(crate) day: u8,
}

/// A point in time or in no zone: a day and microseconds in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DateTime {
    pub(crate) date: Date,
    pub(crate) micros: i64,
}

/// A value that may be beyond all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bounded<T> {
    NegativeInfinity,
    Finite(T),
    PositiveInfinity,
}

impl<T> Bounded<T> {
    /// The infinite values that Postgres writes out, else what `parse` reads.
    #[inline]
    pub(crate) fn parse(text: &[u8], parse: impl Fn(&[u8]) -> Option<T>) -> Option<Self> {
        match text {
            b"infinity" => Some(Self::PositiveInfinity),
            b"-infinity" => Some(Self::NegativeInfinity),
            _ => parse(text).map(Self::Finite),
        }
    }
}

impl Date {
    /// Days since 1970-01-01.
    pub(crate) fn epoch_day(self) -> i64 {
        // Years begin in March, so that the leap day is the last; eras have 400 years.
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// The date so many days after 1970-01-01.
    pub(crate) fn of_epoch_day(epoch_day: i64) -> Self {
        let days = epoch_day + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self {
            year: i32::try_from(year).unwrap_or(i32::MAX),
            month: u8::try_from(month).unwrap_or(1),
            day: u8::try_from(day).unwrap_or(1),
        }
    }

    /// Reads `2024-02-29`, `12024-02-29`, `0044-03-15 BC`.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (text, era) = split_era(text);
        let (date, rest) = leading_date(text)?;
        rest.is_empty().then(|| era.apply(date))
    }

    /// Appends `2024-02-29`, `+12024-02-29`, `-0043-03-15`.
    pub(crate) fn push_iso(self, out: &mut IsoText) {
        if self.year > 9999 {
            out.push(b'+');
        } else if self.year < 0 {
            out.push(b'-');
        }
        match self.year.unsigned_abs() {
            year @ 0..=9999 => {
                out.push_two(u64::from(year / 100));
                out.push_two(u64::from(year % 100));
            }
            year => out.push_all(itoa::Buffer::new().format(year).as_bytes()),
        }
        out.push(b'-');
        out.push_two(u64::from(self.month));
        out.push(b'-');
        out.push_two(u64::from(self.day));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Era {
    Common,
    Before,
}

impl Era {
    fn apply(self, date: Date) -> Date {
        match self {
            Self::Common => date,
            Self::Before => Date {
                year: 1 - date.year,
                ..date
            },
        }
    }
}

fn split_era(text: &[u8]) -> (&[u8], Era) {
    match text.strip_suffix(b" BC") {
        Some(text) => (text, Era::Before),
        None => (text, Era::Common),
    }
}

impl DateTime {
    /// Reads `2024-02-29 13:14:15.123456` with or without ` BC`.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if let Some(usual) = Usual::parse(text).filter(|usual| usual.rest.is_empty()) {
            return Some(usual.time);
        }
        let (text, era) = split_era(text);
        let (date, rest) = leading_date(text)?;
        let date = era.apply(date);
        if rest.is_empty() {
            return Some(Self { date, micros: 0 });
        }
        let (micros, rest) = leading_time(rest.strip_prefix(b" ")?)?;
        rest.is_empty().then_some(Self { date, micros })
    }

    /// Reads the same with an offset behind the time, moved to UTC. Without one it is UTC.
    pub(crate) fn parse_zoned(text: &[u8]) -> Option<Self> {
        let (text, era) = split_era(text);
        let (date, rest) = leading_date(text)?;
        let date = era.apply(date);
        if rest.is_empty() {
            return Some(Self { date, micros: 0 });
        }
        let (micros, rest) = leading_time(rest.strip_prefix(b" ")?)?;
        let offset = offset_seconds(rest)?;
        if offset == 0 {
            return Some(Self { date, micros });
        }
        let micros = micros - i64::from(offset) * SECOND;
        let days = date.epoch_day() + micros.div_euclid(DAY);
        Some(Self {
            date: Date::of_epoch_day(days),
            micros: micros.rem_euclid(DAY),
        })
    }

    /// Seconds since 1970.
    #[inline]
    pub(crate) fn epoch_second(self) -> i64 {
        self.date.epoch_day() * 86_400 + self.micros.div_euclid(SECOND)
    }

    /// Nanoseconds in the second.
    pub(crate) fn nanos(self) -> i64 {
        self.micros.rem_euclid(SECOND) * 1000
    }

    /// Microseconds since 1970; as Java's, seconds that are too many stop at the largest number,
    /// and the fraction then wraps around.
    #[inline]
    pub(crate) fn epoch_micros(self) -> i64 {
        self.epoch_second()
            .saturating_mul(SECOND)
            .wrapping_add(self.micros.rem_euclid(SECOND))
    }

    /// Milliseconds since 1970.
    #[inline]
    pub(crate) fn epoch_millis(self) -> i64 {
        self.epoch_second() * 1000 + self.micros.rem_euclid(SECOND) / 1000
    }

    /// Nanoseconds since 1970, where they fit.
    pub(crate) fn epoch_nanos(self) -> Option<i64> {
        // As `Math.multiplyExact` and `addExact`, but without their loss near the lower bound.
        let nanos = i128::from(self.epoch_second()) * 1_000_000_000 + i128::from(self.nanos());
        i64::try_from(nanos).ok()
    }

    /// Appends `2024-02-29T13:14:15` and the fraction.
    pub(crate) fn push_iso(self, out: &mut IsoText, fraction: Fraction) {
        self.date.push_iso(out);
        out.push(b'T');
        push_iso_time(out, self.micros, fraction);
    }
}

/// `2024-02-29 13:14:15` with or without a fraction, as nearly all times are printed: all stands at
/// a fixed place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usual<'a> {
    time: DateTime,
    date: &'a [u8],
    clock: &'a [u8],
    /// Digits behind the point, six at most.
    fraction: &'a [u8],
    /// What follows.
    pub(crate) rest: &'a [u8],
}

impl<'a> Usual<'a> {
    /// Reads the start of a text; none where it has another form.
    #[inline]
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let (head, rest) = text.split_first_chunk::<19>()?;
        let separators = [head[4], head[7], head[10], head[13], head[16]];
        let two = |at: usize| {
            let (tens, ones) = (head[at].wrapping_sub(b'0'), head[at + 1].wrapping_sub(b'0'));
            (tens < 10 && ones < 10).then(|| tens * 10 + ones)
        };
        let (century, year, month, day) = (two(0)?, two(2)?, two(5)?, two(8)?);
        let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
        let in_range = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && (hour < 24 && minute < 60 && second < 60);
        if separators != *b"-- ::" || !in_range {
            return None;
        }
        let (mut fraction, mut rest) = (&rest[..0], rest);
        let mut micros = 0;
        if let Some(behind) = rest.strip_prefix(b".") {
            let count = behind
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            (fraction, rest) = behind.split_at(count);
            if !(1..=6).contains(&count) {
                return None;
            }
            let digits = fraction.iter().chain(b"000000").take(6);
            micros = digits.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        }
        let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        let date = Date {
            year: i32::from(century) * 100 + i32::from(year),
            month,
            day,
        };
        Some(Self {
            time: DateTime {
                date,
                micros: seconds * SECOND + micros,
            },
            date: &head[..10],
            clock: &head[11..],
            fraction,
            rest,
        })
    }

    /// Whether it has at most so many digits behind the point.
    #[inline]
    pub(crate) fn fits(&self, digits: usize) -> bool {
        self.fraction.len() <= digits
    }

    /// Appends it as ISO text with so many digits behind the point, which it [`fits`](Self::fits).
    #[inline]
    pub(crate) fn write_iso(&self, digits: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self.date);
        out.push(b'T');
        out.extend_from_slice(self.clock);
        if digits > 0 {
            out.push(b'.');
            out.extend_from_slice(self.fraction);
            out.extend(b"000000".iter().take(digits).skip(self.fraction.len()));
        }
    }
}

/// How many digits a fraction of a second gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fraction {
    /// As many as it needs.
    Needed,
    /// Always so many.
    Fixed(usize),
}

/// ISO text while it is written; none is longer than this has room for.
#[derive(Debug)]
pub(crate) struct IsoText {
    bytes: [u8; 48],
    length: usize,
}

impl IsoText {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; 48],
            length: 0,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn push_all(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.push(byte));
    }

    /// A number below 100.
    #[inline]
    fn push_two(&mut self, number: u64) {
        self.push(digit(number / 10));
        self.push(digit(number % 10));
    }
}

#[inline]
fn digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or_default()
}

/// Appends `13:14:15` and the fraction.
pub(crate) fn push_iso_time(out: &mut IsoText, micros: i64, fraction: Fraction) {
    let micros = micros.unsigned_abs();
    let seconds = micros / 1_000_000;
    out.push_two(seconds / 3600);
    out.push(b':');
    out.push_two(seconds / 60 % 60);
    out.push(b':');
    out.push_two(seconds % 60);
    let mut digits = [0; 6];
    let mut rest = micros % 1_000_000;
    for place in digits.iter_mut().rev() {
        *place = digit(rest);
        rest /= 10;
    }
    let count = match fraction {
        Fraction::Fixed(count) => count.min(6),
        Fraction::Needed => digits
            .iter()
            .rposition(|&digit| digit != b'0')
            .map_or(0, |at| at + 1),
    };
    if count > 0 {
        out.push(b'.');
        out.push_all(digits.get(..count).unwrap_or_default());
    }
}

/// Digits at the start and what follows them; at least one, at most nine.
#[inline]
fn leading_number(text: &[u8]) -> Option<(u32, &[u8])> {
    let (mut number, mut count) = (0_u32, 0);
    while let Some(digit) = text
        .get(count)
        .map(|byte| byte.wrapping_sub(b'0'))
        .filter(|&d| d < 10)
    {
        if count == 9 {
            return None;
        }
        number = number * 10 + u32::from(digit);
        count += 1;
    }
    (count > 0).then(|| (number, &text[count..]))
}

#[inline]
fn leading_date(text: &[u8]) -> Option<(Date, &[u8])> {
    let (year, rest) = leading_number(text)?;
    let (month, rest) = leading_number(rest.strip_prefix(b"-")?)?;
    let (day, rest) = leading_number(rest.strip_prefix(b"-")?)?;
    if year > LAST_YEAR || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let date = Date {
        year: i32::try_from(year).ok()?,
        month: u8::try_from(month).ok()?,
        day: u8::try_from(day).ok()?,
    };
    Some((date, rest))
}

/// `13:14`, `13:14:15`, `13:14:15.123456` as microseconds; up to `24:00:00`.
#[inline]
fn leading_time(text: &[u8]) -> Option<(i64, &[u8])> {
    let (hour, rest) = leading_number(text)?;
    let (minute, rest) = leading_number(rest.strip_prefix(b":")?)?;
    if hour > 24 || minute > 59 {
        return None;
    }
    let mut micros = i64::from(hour * 3600 + minute * 60) * SECOND;
    let Some(rest) = rest.strip_prefix(b":") else {
        return Some((micros, rest));
    };
    let (second, rest) = leading_number(rest)?;
    micros += i64::from(second) * SECOND;
    let Some(fraction) = rest.strip_prefix(b".") else {
        return Some((micros, rest));
    };
    let (number, rest) = leading_number(fraction)?;
    let digits = u32::try_from(fraction.len() - rest.len()).ok()?;
    let number = i64::from(number);
    micros += if digits <= 6 {
        number * 10_i64.pow(6 - digits)
    } else {
        number / 10_i64.pow(digits - 6)
    };
    Some((micros, rest))
}

/// Reads a time of day without zone as microseconds.
pub(crate) fn parse_time(text: &[u8]) -> Option<i64> {
    let (micros, rest) = leading_time(text)?;
    rest.is_empty().then_some(micros)
}

/// A time of day and its offset in seconds.
pub(crate) fn parse_zoned_time(text: &[u8]) -> Option<(i64, i32)> {
    let (micros, rest) = leading_time(text)?;
    Some((micros, offset_seconds(rest)?))
}

/// ``, `Z`, `+02`, `-05:30`, `+00:53:28` as seconds east.
fn offset_seconds(text: &[u8]) -> Option<i32> {
    let (sign, rest) = match text.first() {
        None | Some(b'Z') => return (text.len() <= 1).then_some(0),
        Some(b'+') => (1, &text[1..]),
        Some(b'-') => (-1, &text[1..]),
        Some(_) => return None,
    };
    let mut seconds = 0;
    let mut rest = rest;
    for unit in [3600, 60, 1] {
        let (number, after) = leading_number(rest)?;
        seconds += i32::try_from(number).ok()?.checked_mul(unit)?;
        match after.strip_prefix(b":") {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(sign * seconds),
            None => return None,
        }
    }
    None
}

/// An interval as Postgres keeps it, hours and smaller in one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) years: i32,
    pub(crate) months: i32,
    pub(crate) days: i32,
    /// With their sign.
    pub(crate) micros: i64,
}

impl Interval {
    /// Reads `1 year 2 mons 3 days 04:05:06.789` and `-1 years +3 days -00:00:01`.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut interval = Self::default();
        let mut words = text
            .split(|&byte| byte == b' ')
            .filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            let (negative, digits) = match word.first()? {
                b'-' => (true, &word[1..]),
                b'+' => (false, &word[1..]),
                _ => (false, word),
            };
            let (number, rest) = leading_number(digits)?;
            if rest.first() == Some(&b':') {
                let micros = long_time(digits)?;
                interval.micros = if negative { -micros } else { micros };
                continue;
            }
            let number = i32::try_from(number).ok()?;
            let number = if negative { -number } else { number };
            let unit = words.next()?;
            match unit {
                _ if unit.starts_with(b"year") => interval.years = number,
                _ if unit.starts_with(b"mon") => interval.months = number,
                _ if unit.starts_with(b"day") => interval.days = number,
                _ => return None,
            }
        }
        Some(interval)
    }

    /// Hours, minutes, seconds and microseconds of the second, each with the sign.
    pub(crate) fn clock(self) -> (i64, i64, i64, i64) {
        let seconds = self.micros / SECOND;
        (
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            self.micros % SECOND,
        )
    }

    /// Microseconds, a month being a twelfth of 365.25 days, in Java's doubles.
    pub(crate) fn micros_by_average(self) -> i64 {
        const DAYS_PER_MONTH: f64 = 365.25 / 12.0;
        let (hours, minutes, seconds, fraction) = self.clock();
        let months = self.years.wrapping_mul(12).wrapping_add(self.months);
        let days = f64::from(months) * DAYS_PER_MONTH + f64::from(self.days);
        let seconds = seconds as f64 + fraction as f64 / 1_000_000.0;
        let whole = ((days * 24.0 + hours as f64) * 60.0 + minutes as f64) * 60.0 + seconds;
        // A cast stops at the bounds, as Java's does.
        (whole * 1e6) as i64
    }

    /// `P1Y2M3DT4H5M6.789S`, every part with its sign.
    pub(crate) fn iso(self) -> String {
        let (hours, minutes, seconds, fraction) = self.clock();
        let Self {
            years,
            months,
            days,
            ..
        } = self;
        let mut out = format!("P{years}Y{months}M{days}DT{hours}H{minutes}M");
        if seconds < 0 || fraction < 0 {
            out.push('-');
        }
        out.push_str(&seconds.unsigned_abs().to_string());
        if fraction != 0 {
            let digits = format!(".{:06}", fraction.unsigned_abs());
            out.push_str(digits.trim_end_matches('0'));
        }
        out.push('S');
        out
    }
}

/// As [`leading_time`], without a limit for the hours.
fn long_time(text: &[u8]) -> Option<i64> {
    let (hours, rest) = leading_number(text)?;
    let (rest_micros, after) = leading_time_after_hours(rest)?;
    after
        .is_empty()
        .then(|| i64::from(hours) * 3600 * SECOND + rest_micros)
}

fn leading_time_after_hours(rest: &[u8]) -> Option<(i64, &[u8])> {
    // `:05:06.789` with an hour of nothing before it.
    let mut text = Vec::with_capacity(rest.len() + 1);
    text.push(b'0');
    text.extend_from_slice(rest);
    let (micros, after) = leading_time(&text)?;
    let left = after.len();
    Some((micros, &rest[rest.len() - left..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_at_fixed_places_are_read_as_all_others() {
        for text in [
            "2024-02-29 13:14:15",
            "2024-02-29 13:14:15.5",
            "0000-12-31 23:59:59.000001",
            "9999-01-01 00:00:00.123456",
            "2024-02-29 13:14:15.1234567",
            "2024-02-29 24:00:00",
            "2024-02-29 13:14:60",
            "2024-02-29 13:60:15",
            "2024-13-29 13:14:15",
            "2024-00-29 13:14:15",
            "2024-02-32 13:14:15",
            "2024-02-29 13:14:15.",
            "2024-02-29 13:14:15.x",
            "2024-02-29 13:14:15x",
            "2024-02-29 13:14:15 BC",
            "2024:02-29 13:14:15",
            "2024-02-29 13:1x:15",
        ] {
            // With another digit in front nothing stands where it usually does.
            let other = format!("0{text}");
            let expected = DateTime::parse(other.as_bytes());
            assert_eq!(DateTime::parse(text.as_bytes()), expected, "{text}");
        }
        let usual = Usual::parse(b"2024-02-29 13:14:15.5+00").unwrap();
        assert_eq!(usual.rest, b"+00");
    }

    #[test]
    fn days_count_from_1970_in_both_directions() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("2024-02-29", 19_782),
            ("1969-12-31", -1),
            ("0001-01-01", -719_162),
            ("0044-03-15 BC", -735_160),
            ("4713-01-01 BC", -2_440_550),
            ("10000-01-01", 2_932_897),
        ] {
            let date = Date::parse(text.as_bytes()).unwrap();
            assert_eq!(date.epoch_day(), days, "{text}");
            assert_eq!(Date::of_epoch_day(days), date);
        }
        for wrong in [
            "",
            "2024",
            "2024-13-01",
            "2024-01-01x",
            "2024-01-01 AD",
            "x-01-01",
        ] {
            assert_eq!(Date::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn timestamps_are_read_to_the_microsecond() {
        for (text, micros) in [
            ("2024-02-29 13:14:15.123456", 1_709_212_455_123_456),
            ("2024-02-29 13:14:15.12", 1_709_212_455_120_000),
            ("1969-12-31 23:59:59.999999", -1),
            ("0044-03-15 12:00:00 BC", -63_517_780_800_000_000),
            ("294276-12-31 23:59:59.999999", -9_223_372_036_853_775_810),
        ] {
            let parsed = DateTime::parse(text.as_bytes()).unwrap();
            assert_eq!(parsed.epoch_micros(), micros, "{text}");
        }
    }

    #[test]
    fn offsets_move_to_utc() {
        for (text, iso) in [
            (
                "2024-02-29 13:14:15.123456+02",
                "2024-02-29T11:14:15.123456",
            ),
            ("2024-01-01 00:30:00+05:30", "2023-12-31T19:00:00.000000"),
            ("0044-03-15 12:00:00+00 BC", "-0043-03-15T12:00:00.000000"),
            (
                "0001-12-31 23:59:59-00:00:01 BC",
                "0001-01-01T00:00:00.000000",
            ),
            (
                "294276-12-31 23:59:59.999999+00",
                "+294276-12-31T23:59:59.999999",
            ),
        ] {
            let mut out = IsoText::new();
            let parsed = DateTime::parse_zoned(text.as_bytes()).unwrap();
            parsed.push_iso(&mut out, Fraction::Fixed(6));
            assert_eq!(std::str::from_utf8(out.as_bytes()), Ok(iso));
        }
    }

    #[test]
    fn intervals_keep_each_part_with_its_sign() {
        for (text, micros, iso) in [
            (
                "1 year 2 mons 3 days 04:05:06.789",
                37_091_106_789_000,
                "P1Y2M3DT4H5M6.789S",
            ),
            (
                "-1 years -2 mons +3 days -04:05:06.789",
                -36_572_706_789_000,
                "P-1Y-2M3DT-4H-5M-6.789S",
            ),
            ("00:00:00.000001", 1, "P0Y0M0DT0H0M0.000001S"),
            ("-00:00:01", -1_000_000, "P0Y0M0DT0H0M-1S"),
            ("178000000 years", i64::MAX, "P178000000Y0M0DT0H0M0S"),
            ("10 days 25:00:00.5", 954_000_500_000, "P0Y0M10DT25H0M0.5S"),
        ] {
            let interval = Interval::parse(text.as_bytes()).unwrap();
            assert_eq!(interval.micros_by_average(), micros, "{text}");
            assert_eq!(interval.iso(), iso);
        }
    }

    #[test]
    fn no_prefix_of_a_value_panics() {
        for whole in [
            "2024-02-29 13:14:15.123456+02:03:04 BC",
            "-1 years -04:05:06.789",
        ] {
            for end in 0..=whole.len() {
                let text = &whole.as_bytes()[..end];
                let _any = (
                    Date::parse(text),
                    DateTime::parse(text),
                    DateTime::parse_zoned(text),
                );
                let _any = (
                    parse_time(text),
                    parse_zoned_time(text),
                    Interval::parse(text),
                );
            }
        }
    }
}
