//! `java.text.SimpleDateFormat` in UTC, in English, lenient as it is by default.
//! Days before 15 October 1582 are counted in the Julian calendar, as by `GregorianCalendar`.

use std::fmt::Write as _;

const MS_PER_DAY: i64 = 86_400_000;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFormat {
    pattern: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// A pattern letter and how often it stands there.
    Letter(char, usize),
}

/// Days since the epoch of a day; month and day may lie outside their range.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let months = year * 12 + month - 1;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    // Years begin in March, so that the leap day is their last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
        + day
        - 1
}

/// Year, month and day of a day since the epoch.
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
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
    (year, month, day)
}

/// 15 October 1582, the first day of the Gregorian calendar; 4 October was the day before.
const CUTOVER: i64 = -141_427;

/// Days since the epoch of a day of Java's calendar.
fn days_from_calendar(year: i64, month: i64, day: i64) -> i64 {
    let gregorian = days_from_civil(year, month, day);
    if gregorian >= CUTOVER {
        return gregorian;
    }
    let julian = days_from_julian(year, month, day);
    // The ten days between, which never were, roll over.
    if julian >= CUTOVER {
        gregorian.max(julian)
    } else {
        julian
    }
}

fn days_from_julian(year: i64, month: i64, day: i64) -> i64 {
    let months = year * 12 + month - 1;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    year * 365 + year.div_euclid(4) + day_of_year - 719_470 + day - 1
}

/// Year, month and day of a day since the epoch, in Java's calendar.
fn calendar_from_days(days: i64) -> (i64, i64, i64) {
    if days >= CUTOVER {
        return civil_from_days(days);
    }
    let days = days + 719_470;
    let era = days.div_euclid(1461);
    let day_of_era = days.rem_euclid(1461);
    let year_of_era = (day_of_era - day_of_era / 1460) / 365;
    let day_of_year = day_of_era - 365 * year_of_era;
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 4 + year_of_era + i64::from(month <= 2), month, day)
}

impl DateFormat {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it, as Java says it.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut characters = pattern.chars().peekable();
        let literal = |parts: &mut Vec<Part>, character: char| match parts.last_mut() {
            Some(Part::Literal(text)) => text.push(character),
            _ => parts.push(Part::Literal(character.into())),
        };
        while let Some(character) = characters.next() {
            if character == '\'' {
                if characters.next_if_eq(&'\'').is_some() {
                    literal(&mut parts, '\'');
                    continue;
                }
                loop {
                    match characters.next() {
                        Some('\'') if characters.next_if_eq(&'\'').is_some() => {
                            literal(&mut parts, '\'');
                        }
                        Some('\'') => break,
                        Some(quoted) => literal(&mut parts, quoted),
                        None => return Err("Unterminated quote".to_owned()),
                    }
                }
            } else if character.is_ascii_alphabetic() {
                if !"GyYMLwWDdFEuaHkKhmsSzZX".contains(character) {
                    return Err(format!("Illegal pattern character '{character}'"));
                }
                let mut count = 1;
                while characters.next_if_eq(&character).is_some() {
                    count += 1;
                }
                parts.push(Part::Letter(character, count));
            } else {
                literal(&mut parts, character);
            }
        }
        Ok(Self {
            pattern: pattern.to_owned(),
            parts,
        })
    }

    /// The pattern.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The text of milliseconds since the epoch.
    pub fn format(&self, ms: i64) -> String {
        let days = ms.div_euclid(MS_PER_DAY);
        let of_day = ms.rem_euclid(MS_PER_DAY);
        let (year, month, day) = calendar_from_days(days);
        let weekday = (days + 4).rem_euclid(7);
        let day_of_year = days - days_from_calendar(year, 1, 1) + 1;
        let hour = of_day / 3_600_000;
        let era_year = if year > 0 { year } else { 1 - year };
        let mut out = String::with_capacity(self.pattern.len() + 8);
        for part in &self.parts {
            let (letter, count) = match part {
                Part::Literal(text) => {
                    out.push_str(text);
                    continue;
                }
                Part::Letter(letter, count) => (*letter, *count),
            };
            let number = match letter {
                'y' | 'Y' if count == 2 => era_year % 100,
                'y' | 'Y' => era_year,
                'M' | 'L' if count < 3 => month,
                'd' => day,
                'D' => day_of_year,
                'F' => (day - 1) / 7 + 1,
                'u' => (weekday + 6) % 7 + 1,
                'w' => {
                    let first = (days_from_calendar(year, 1, 1) + 4).rem_euclid(7);
                    (day_of_year - 1 + first) / 7 + 1
                }
                'W' => {
                    let first = (days_from_calendar(year, month, 1) + 4).rem_euclid(7);
                    (day - 1 + first) / 7 + 1
                }
                'H' => hour,
                'k' => (hour + 23) % 24 + 1,
                'K' => hour % 12,
                'h' => (hour + 11) % 12 + 1,
                'm' => of_day / 60_000 % 60,
                's' => of_day / 1000 % 60,
                'S' => of_day % 1000,
                text => {
                    out.push_str(&match text {
                        'M' | 'L' => named(&MONTHS, month - 1, count),
                        'E' => named(&WEEKDAYS, weekday, count),
                        'G' => if year > 0 { "AD" } else { "BC" }.to_owned(),
                        'a' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
                        'Z' => "+0000".to_owned(),
                        'X' => "Z".to_owned(),
                        _ if count >= 4 => "Coordinated Universal Time".to_owned(),
                        _ => "UTC".to_owned(),
                    });
                    continue;
                }
            };
            // A String takes every text.
            let _always = write!(out, "{number:0count$}");
        }
        out
    }

    /// The milliseconds since the epoch that the text begins with; what follows is ignored, and
    /// numbers outside their range roll over.
    pub fn parse(&self, text: &str) -> Option<i64> {
        let mut fields = Fields {
            year: 1970,
            month: 1,
            day: 1,
            ..Fields::default()
        };
        let mut rest = text;
        for (index, part) in self.parts.iter().enumerate() {
            match part {
                Part::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Part::Letter(letter, count) => {
                    // Digits that touch the next number are counted.
                    let adjacent = matches!(
                        self.parts.get(index + 1),
                        Some(Part::Letter(next, count)) if is_number(*next, *count)
                    );
                    rest = fields.take(rest, *letter, *count, adjacent)?;
                }
            }
        }
        Some(fields.ms())
    }
}

fn is_number(letter: char, count: usize) -> bool {
    match letter {
        'E' | 'G' | 'a' | 'z' | 'Z' | 'X' => false,
        'M' | 'L' => count <= 2,
        _ => true,
    }
}

/// The full name, or three letters of it where the pattern letter stands fewer than four times.
fn named(names: &[&str], index: i64, count: usize) -> String {
    let name = usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index))
        .copied()
        .unwrap_or("");
    if count >= 4 {
        name.to_owned()
    } else {
        name.chars().take(3).collect()
    }
}

#[derive(Default)]
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    ms: i64,
    afternoon: Option<bool>,
    before_christ: bool,
    offset_minutes: i64,
}

impl Fields {
    fn take<'a>(
        &mut self,
        text: &'a str,
        letter: char,
        count: usize,
        adjacent: bool,
    ) -> Option<&'a str> {
        let text = text.trim_start_matches([' ', '\t']);
        if !is_number(letter, count) {
            return self.take_text(text, letter);
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let limit = if adjacent { count } else { usize::MAX };
        let length = digits
            .bytes()
            .take(limit)
            .take_while(u8::is_ascii_digit)
            .count();
        let (number, rest) = (digits.get(..length)?, digits.get(length..)?);
        let value: i64 = number.parse().ok()?;
        let value = if negative { -value } else { value };
        match letter {
            'y' | 'Y' if count <= 2 && length == 2 && !negative => {
                // The century in which the year is at most 80 years back, 20 ahead of 2026.
                self.year = if value < 46 {
                    2000 + value
                } else {
                    1900 + value
                };
            }
            'y' | 'Y' => self.year = value,
            'M' | 'L' => self.month = value,
            'd' => self.day = value,
            'D' => self.day_of_year = Some(value),
            'H' | 'K' => self.hour = value,
            'k' => self.hour = value % 24,
            'h' => self.hour = value % 12,
            'm' => self.minute = value,
            's' => self.second = value,
            'S' => self.ms = value,
            _ => {}
        }
        Some(rest)
    }

    fn take_text<'a>(&mut self, text: &'a str, letter: char) -> Option<&'a str> {
        let prefix = |name: &str| {
            text.get(..name.len())
                .filter(|start| start.eq_ignore_ascii_case(name))?;
            text.get(name.len()..)
        };
        let by_name = |names: &[&str]| {
            names.iter().zip(1i64..).find_map(|(name, number)| {
                let rest = prefix(name).or_else(|| prefix(name.get(..3)?))?;
                Some((number, rest))
            })
        };
        match letter {
            'M' | 'L' => {
                let (month, rest) = by_name(&MONTHS)?;
                self.month = month;
                Some(rest)
            }
            'E' => by_name(&WEEKDAYS).map(|(_, rest)| rest),
            'a' => {
                let (afternoon, rest) = prefix("AM")
                    .map(|rest| (false, rest))
                    .or_else(|| Some((true, prefix("PM")?)))?;
                self.afternoon = Some(afternoon);
                Some(rest)
            }
            'G' => {
                let (before, rest) = prefix("AD")
                    .map(|rest| (false, rest))
                    .or_else(|| Some((true, prefix("BC")?)))?;
                self.before_christ = before;
                Some(rest)
            }
            _ => self.take_zone(text, letter),
        }
    }

    fn take_zone<'a>(&mut self, text: &'a str, letter: char) -> Option<&'a str> {
        if letter == 'X'
            && let Some(rest) = text.strip_prefix('Z')
        {
            return Some(rest);
        }
        let signed = match text.get(..3) {
            Some(name) if letter != 'X' && (name == "UTC" || name == "GMT") => text.get(3..)?,
            _ => text,
        };
        let sign = match signed.bytes().next() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ if signed.len() < text.len() => return Some(signed),
            _ => return None,
        };
        let digits = signed.get(1..)?;
        let hours: i64 = digits.get(..2)?.parse().ok()?;
        let after = digits.get(2..)?;
        let minutes_text = after.strip_prefix(':').unwrap_or(after);
        let minutes = minutes_text
            .get(..2)
            .and_then(|minutes| minutes.parse::<i64>().ok());
        self.offset_minutes = sign * (hours * 60 + minutes.unwrap_or(0));
        if minutes.is_some() {
            minutes_text.get(2..)
        } else {
            Some(after)
        }
    }

    fn ms(&self) -> i64 {
        let year = if self.before_christ {
            1 - self.year
        } else {
            self.year
        };
        let days = match self.day_of_year {
            Some(day) => days_from_calendar(year, 1, 1) + day - 1,
            None => days_from_calendar(year, self.month, self.day),
        };
        let hour = match self.afternoon {
            Some(true) => self.hour % 12 + 12,
            Some(false) => self.hour % 12,
            None => self.hour,
        };
        let minutes = hour * 60 + self.minute - self.offset_minutes;
        days.wrapping_mul(MS_PER_DAY)
            .wrapping_add(minutes.wrapping_mul(60_000))
            .wrapping_add(self.second.wrapping_mul(1000))
            .wrapping_add(self.ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_1582_dates_are_those_of_the_julian_calendar() {
        let format = DateFormat::new("yyyy-MM-dd").expect("a pattern");
        for (text, days) in [
            ("1582-10-15", -141_427),
            ("1582-10-04", -141_428),
            ("0001-01-01", -719_164),
            ("1500-02-29", -171_596),
        ] {
            assert_eq!(format.parse(text), Some(days * MS_PER_DAY), "{text}");
            assert_eq!(format.format(days * MS_PER_DAY), text);
        }
    }

    #[test]
    fn dates_are_formatted_and_parsed_as_simple_date_format_does() {
        // 2023-11-14T22:13:20.123Z, a Tuesday.
        let ms = 1_700_000_000_123;
        for (pattern, text) in [
            ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "2023-11-14T22:13:20.123Z"),
            ("yyyyMMddHHmmssSSS", "20231114221320123"),
            (
                "EEE, d MMM yy hh:mm:ss.SSS a Z",
                "Tue, 14 Nov 23 10:13:20.123 PM +0000",
            ),
            (
                "EEEE MMMM dd yyyy HH:mm:ss.SSS X",
                "Tuesday November 14 2023 22:13:20.123 Z",
            ),
            (
                "'o''clock' yyyy-DDD HH:mm:ss.S",
                "o'clock 2023-318 22:13:20.123",
            ),
        ] {
            let format = DateFormat::new(pattern).expect(pattern);
            assert_eq!(format.format(ms), text);
            assert_eq!(format.parse(text), Some(ms), "{pattern}");
        }
    }

    #[test]
    fn parsing_is_lenient() {
        let format = DateFormat::new("yyyy-MM-dd").expect("a pattern");
        assert_eq!(format.parse("1970-13-01"), Some(365 * MS_PER_DAY));
        assert_eq!(format.parse("1970-01-02 and more"), Some(MS_PER_DAY));
        assert_eq!(format.parse("12"), None);
        assert_eq!(
            DateFormat::new("b"),
            Err("Illegal pattern character 'b'".to_owned())
        );
        assert_eq!(DateFormat::new("'b"), Err("Unterminated quote".to_owned()));
    }

    #[test]
    fn days_and_dates_are_inverse() {
        for days in (-1_000_000..1_000_000).step_by(37) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(civil_from_days(19_000), (2022, 1, 8));
    }
}
