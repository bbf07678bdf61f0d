//! What months, days, halves of the day and eras are called in a language; as CLDR has it, and the
//! JVM since version 9.
//!
//! Answers for `java.text.DateFormatSymbols` as Joda-Time asks it.

/// A line for each language: code, months, months in short, days from Monday, days in short, halves
/// of the day, eras.
const TEXT: &str = include_str!("names.txt");
const ENGLISH: &str = "en|January,February,March,April,May,June,July,August,September,October,\
    November,December|Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec|Monday,Tuesday,Wednesday,\
    Thursday,Friday,Saturday,Sunday|Mon,Tue,Wed,Thu,Fri,Sat,Sun|AM,PM|BC,AD";

/// The names of one language.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Names {
    pub(super) months: Vec<&'static str>,
    pub(super) short_months: Vec<&'static str>,
    pub(super) days: Vec<&'static str>,
    pub(super) short_days: Vec<&'static str>,
    pub(super) halves: Vec<&'static str>,
    pub(super) eras: Vec<&'static str>,
}

impl Names {
    /// The names in a language.
    pub(super) fn of(language: &str) -> Option<Self> {
        std::iter::once(ENGLISH)
            .chain(TEXT.lines())
            .find(|line| line.split('|').next() == Some(language))
            .map(Self::parse)
    }

    /// Those of the root locale: English, and in short only.
    pub(super) fn root() -> Self {
        let mut names = Self::parse(ENGLISH);
        names.months = names.short_months.clone();
        names.days = names.short_days.clone();
        names.eras = vec!["BCE", "CE"];
        names
    }

    fn parse(line: &'static str) -> Self {
        let mut lists = line.split('|').skip(1);
        let mut next = || lists.next().unwrap_or_default().split(',').collect();
        Self {
            months: next(),
            short_months: next(),
            days: next(),
            short_days: next(),
            halves: next(),
            eras: next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_all_names() {
        for line in std::iter::once(ENGLISH).chain(TEXT.lines()) {
            let names = Names::parse(line);
            let counts = [
                names.months.len(),
                names.short_months.len(),
                names.days.len(),
                names.short_days.len(),
                names.halves.len(),
                names.eras.len(),
            ];
            assert_eq!(counts, [12, 12, 7, 7, 2, 2], "{line}");
        }
        assert_eq!(Names::of("fr").expect("known").short_months[6], "juil.");
        assert_eq!(Names::of("xx"), None);
    }
}
