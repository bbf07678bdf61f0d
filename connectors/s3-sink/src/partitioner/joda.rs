//! Date patterns in Joda-Time's letters, compiled once and printed per time bucket.
//!
//! Answers for `org.joda.time.format.DateTimeFormat.forPattern(…).withZone(…).withLocale(…)`.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};

use super::names::Names;
use super::zone::{Zone, offset_text};

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
    names: Names,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    /// A letter and how often it stands there.
    Field(char, usize),
}

/// Letters that stand for something.
const LETTERS: &str = "GCxyYMdahHkKmsSeEDwzZ";

impl Pattern {
    /// Compiles a pattern; `Illegal pattern component: bbb` where a letter means nothing.
    ///
    /// `locale` is what `new Locale(String)` gets: a language alone. Anything longer (`en-US`) is
    /// a language that nobody speaks, and names come out in the root locale's short form.
    pub(crate) fn parse(pattern: &str, locale: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let characters: Vec<char> = pattern.chars().collect();
        let mut at = 0;
        while at < characters.len() {
            let letter = characters[at];
            if letter.is_ascii_alphabetic() {
                let count = characters[at..]
                    .iter()
                    .take_while(|&&other| other == letter)
                    .count();
                if !LETTERS.contains(letter) {
                    let component: String = characters[at..at + count].iter().collect();
                    return Err(format!("Illegal pattern component: {component}"));
                }
                parts.push(Part::Field(letter, count));
                at += count;
            } else {
                let (text, next) = literal(&characters, at);
                parts.push(Part::Literal(text));
                at = next;
            }
        }
        let words = parts.iter().any(|part| {
            matches!(
                part,
                Part::Field('M', 3..) | Part::Field('E' | 'a' | 'G', _)
            )
        });
        let language = locale.to_ascii_lowercase();
        let names = match Names::of(&language) {
            Some(names) => names,
            // A language that Java has words for and we do not: refused rather than written wrongly.
            None if words && language.len() == 2 => {
                return Err(format!(
                    "names of months and days in the locale '{locale}' are not supported"
                ));
            }
            None => Names::root(),
        };
        Ok(Self { parts, names })
    }

    /// Prints an instant in a zone.
    pub(crate) fn print(&self, instant: i64, zone: Zone) -> String {
        let mut out = String::with_capacity(32);
        let local = DateTime::<Utc>::from_timestamp_millis(zone.to_local(instant))
            .unwrap_or_default()
            .naive_utc();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Field(letter, count) => {
                    self.print_field(*letter, *count, instant, zone, &local, &mut out);
                }
            }
        }
        out
    }

    fn print_field(
        &self,
        letter: char,
        count: usize,
        instant: i64,
        zone: Zone,
        local: &NaiveDateTime,
        out: &mut String,
    ) {
        let names = &self.names;
        let name = |long: &[&'static str], short: &[&'static str], index: u32, out: &mut String| {
            let list = if count >= 4 { long } else { short };
            out.push_str(list.get(index as usize).copied().unwrap_or_default());
        };
        let hour = i64::from(local.hour());
        let number = match letter {
            'G' => {
                let era = u32::from(local.year() > 0);
                return name(&names.eras, &names.eras, era, out);
            }
            'C' => i64::from(year_of_era(local.year()) / 100),
            'x' => year(local.iso_week().year(), count),
            'y' => year(local.year(), count),
            // Of two digits there is no year of an era.
            'Y' if count == 2 => year(local.year(), count),
            'Y' => i64::from(year_of_era(local.year())),
            'M' if count >= 3 => {
                return name(&names.months, &names.short_months, local.month0(), out);
            }
            'M' => i64::from(local.month()),
            'd' => i64::from(local.day()),
            'a' => return name(&names.halves, &names.halves, u32::from(hour >= 12), out),
            'h' => (hour + 11) % 12 + 1,
            'H' => hour,
            'k' => (hour + 23) % 24 + 1,
            'K' => hour % 12,
            'm' => i64::from(local.minute()),
            's' => i64::from(local.second()),
            'S' => {
                let nanos = format!("{:09}", local.nanosecond() % 1_000_000_000);
                let digits = nanos.chars().chain(std::iter::repeat('0')).take(count);
                return out.extend(digits);
            }
            'e' => i64::from(local.weekday().number_from_monday()),
            'E' => {
                let day = local.weekday().num_days_from_monday();
                return name(&names.days, &names.short_days, day, out);
            }
            'D' => i64::from(local.ordinal()),
            'w' => i64::from(local.iso_week().week()),
            'z' => return out.push_str(&zone.short_name(instant)),
            _ => {
                let text = match count {
                    1 => offset_text(zone.offset_at(instant), false),
                    2 => offset_text(zone.offset_at(instant), true),
                    _ => zone.id(),
                };
                return out.push_str(&text);
            }
        };
        let sign = if number < 0 { "-" } else { "" };
        // Writing to a String cannot fail.
        write!(out, "{sign}{:0count$}", number.abs()).unwrap_or_default();
    }
}

/// The text from `start` to the next letter outside quotes, and where that is.
fn literal(characters: &[char], start: usize) -> (String, usize) {
    let (mut text, mut quoted, mut at) = (String::new(), false, start);
    while let Some(&character) = characters.get(at) {
        if character == '\'' {
            if characters.get(at + 1) == Some(&'\'') {
                text.push('\'');
                at += 1;
            } else {
                quoted = !quoted;
            }
        } else if !quoted && character.is_ascii_alphabetic() {
            break;
        } else {
            text.push(character);
        }
        at += 1;
    }
    (text, at)
}

/// Two letters print the last two digits, without a sign.
fn year(year: i32, count: usize) -> i64 {
    i64::from(if count == 2 { year.abs() % 100 } else { year })
}

/// There is no year 0: 1 BC is.
fn year_of_era(year: i32) -> i32 {
    if year > 0 { year } else { 1 - year }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-01-05T15:04:09.123Z.
    const INSTANT: i64 = 1_704_467_049_123;

    #[test]
    fn letters_print_as_joda_prints_them() {
        for (pattern, locale, expected) in [
            (
                "'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH",
                "en-US",
                "year=2024/month=01/day=05/hour=15",
            ),
            ("'dt'=YYYY-MM-dd", "en-US", "dt=2024-01-05"),
            ("yyyy-MM-dd", "en-US", "2024-01-05"),
            ("yy/M/d", "en", "24/1/5"),
            ("D/DDD", "en", "5/005"),
            ("xxxx-'W'ww-e", "en", "2024-W01-5"),
            ("hh a", "en", "03 PM"),
            ("kk KK", "en", "15 03"),
            ("mm:ss.SSS", "en", "04:09.123"),
            ("S SSSSS", "en", "1 12300"),
            ("MMM MMMM", "en", "Jan January"),
            ("MMMM EEEE", "en-US", "Jan Fri"),
            ("Z ZZ", "en", "+0000 +00:00"),
            ("''yyyy''", "en", "'2024'"),
            ("'open", "en", "open"),
            ("G C", "en", "AD 20"),
            ("EEEE dd MMMM yyyy", "fr", "vendredi 05 janvier 2024"),
            ("EEE dd-MMM a", "de", "Fr. 05-Jan. PM"),
            ("MMMM", "ja", "1月"),
        ] {
            let compiled = Pattern::parse(pattern, locale).expect(pattern);
            assert_eq!(compiled.print(INSTANT, Zone::UTC), expected, "{pattern}");
        }
    }

    /// Random patterns, locales, zones and instants, and Joda-Time's answers.
    #[test]
    fn random_patterns_print_as_joda_prints_them() {
        let mut wrong = Vec::new();
        for line in include_str!("joda.tsv").lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            let [pattern, locale, zone, instant, expected] = columns[..] else {
                panic!("{line}");
            };
            let zone = Zone::parse(zone).expect("known");
            let instant = instant.parse().expect("a number");
            let found = match Pattern::parse(pattern, locale) {
                Ok(compiled) => compiled.print(instant, zone),
                Err(why) => format!("!{why}"),
            };
            if found != expected {
                wrong.push(format!("{line}: {found}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_zone_decides_the_fields() {
        let zone = Zone::parse("America/Los_Angeles").expect("known");
        let compiled = Pattern::parse("dd HH Z ZZ ZZZ z", "en").expect("legal");
        assert_eq!(
            compiled.print(INSTANT, zone),
            "05 07 -0800 -08:00 America/Los_Angeles PST"
        );
    }

    #[test]
    fn letters_without_meaning_are_refused() {
        assert_eq!(
            Pattern::parse("yyyy-bbb", "en"),
            Err("Illegal pattern component: bbb".to_owned())
        );
    }
}
