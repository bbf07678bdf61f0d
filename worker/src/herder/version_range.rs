//! Ranges of versions as Maven writes them: `[1.0,2.0)`, `(,3],[5,)`; a bare version stands for
//! itself alone, `latest` for whatever there is.
//!
//! Answers for `PluginUtils.connectorVersionRequirement`, and for Maven's `VersionRange` and
//! `ComparableVersion`.

use std::cmp::Ordering;

/// A range of versions.
#[derive(Debug)]
pub(crate) struct VersionRange {
    /// The range as texts show it.
    pub(crate) text: String,
    /// Sets of versions side by side, ascending; none for `latest`.
    sets: Option<Vec<Restriction>>,
}

/// The versions between two bounds; no bound is none.
#[derive(Debug)]
struct Restriction {
    low: Option<String>,
    low_included: bool,
    high: Option<String>,
    high_included: bool,
}

impl VersionRange {
    /// Reads a range.
    ///
    /// # Errors
    /// It is none, in Maven's words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self {
                text: text.to_owned(),
                sets: None,
            });
        }
        let text = text.trim();
        let sets = match restrictions(text)? {
            // A bare version is meant strictly.
            sets if sets.is_empty() => restrictions(&format!("[{text}]"))?,
            sets => sets,
        };
        let shown: Vec<String> = sets.iter().map(Restriction::text).collect();
        Ok(Self {
            text: shown.join(","),
            sets: Some(sets),
        })
    }

    /// Whether a version belongs to the range.
    pub(crate) fn contains(&self, version: &str) -> bool {
        let sets = self.sets.as_ref();
        sets.is_none_or(|sets| sets.iter().any(|set| set.contains(version)))
    }
}

/// The sets in brackets; none where the text does not begin with one.
fn restrictions(text: &str) -> Result<Vec<Restriction>, String> {
    let mut sets: Vec<Restriction> = Vec::new();
    let mut rest = text;
    while rest.starts_with(['[', '(']) {
        let Some(end) = rest.find([')', ']']) else {
            return Err(format!("Unbounded range: {text}"));
        };
        let (set, after) = rest.split_at(end + 1);
        let set = Restriction::parse(set)?;
        if let Some(before) = sets.last().and_then(|set| set.high.as_deref())
            && set
                .low
                .as_deref()
                .is_none_or(|low| compare(low, before).is_lt())
        {
            return Err(format!("Ranges overlap: {text}"));
        }
        sets.push(set);
        let after = after.trim();
        rest = after.strip_prefix(',').map_or(after, str::trim);
    }
    match rest.is_empty() || sets.is_empty() {
        true => Ok(sets),
        false => Err(format!(
            "Only fully-qualified sets allowed in multiple set scenario: {text}"
        )),
    }
}

impl Restriction {
    fn parse(text: &str) -> Result<Self, String> {
        let (low_included, high_included) = (text.starts_with('['), text.ends_with(']'));
        let both = low_included && high_included;
        let inner = text.get(1..text.len() - 1).unwrap_or_default().trim();
        let Some((low, high)) = inner.split_once(',') else {
            if !both {
                return Err(format!("Single version must be surrounded by []: {text}"));
            }
            let version = Some(inner.to_owned());
            return Ok(Self {
                low: version.clone(),
                low_included,
                high: version,
                high_included,
            });
        };
        let bound = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let (low, high) = (bound(low), bound(high));
        if let (Some(low), Some(high)) = (&low, &high) {
            let order = compare(high, low);
            if order.is_lt() || (order.is_eq() && !both) {
                return Err(format!("Range defies version ordering: {text}"));
            }
        }
        Ok(Self {
            low,
            low_included,
            high,
            high_included,
        })
    }

    fn contains(&self, version: &str) -> bool {
        let inside = |bound: &Option<String>, included: bool, wrong: Ordering| {
            bound.as_deref().is_none_or(|bound| {
                let order = compare(version, bound);
                order != wrong && (included || order.is_ne())
            })
        };
        inside(&self.low, self.low_included, Ordering::Less)
            && inside(&self.high, self.high_included, Ordering::Greater)
    }

    fn text(&self) -> String {
        let bound = |bound: &Option<String>| bound.clone().unwrap_or_default();
        format!(
            "{}{},{}{}",
            if self.low_included { '[' } else { '(' },
            bound(&self.low),
            bound(&self.high),
            if self.high_included { ']' } else { ')' },
        )
    }
}

fn compare(a: &str, b: &str) -> Ordering {
    compare_lists(&items(a), &items(b))
}

/// A part of a version: `1.2-rc1` is 1, 2 and a list of `rc` and a list of 1.
#[derive(Debug, PartialEq, Eq)]
enum Item {
    /// Without leading zeros; empty for 0.
    Number(String),
    Word(String),
    List(Vec<Item>),
}

impl Item {
    /// Whether a version with it is the same as one without.
    fn is_null(&self) -> bool {
        match self {
            Self::Number(digits) => digits.is_empty(),
            Self::Word(word) => word.is_empty(),
            Self::List(items) => items.is_empty(),
        }
    }
}

fn items(version: &str) -> Vec<Item> {
    let version = version.to_lowercase();
    let mut open: Vec<Vec<Item>> = vec![Vec::new()];
    let mut part = String::new();
    let mut digits = false;
    fn item(part: &mut String, digits: bool, digit_follows: bool) -> Item {
        let part = std::mem::take(part);
        match digits {
            true => Item::Number(part.trim_start_matches('0').to_owned()),
            false => Item::Word(word(&part, digit_follows).to_owned()),
        }
    }
    let add = |open: &mut Vec<Vec<Item>>, item: Item| {
        if let Some(list) = open.last_mut() {
            list.push(item);
        }
    };
    let deepen = |open: &mut Vec<Vec<Item>>| {
        if open.last().is_some_and(|list| !list.is_empty()) {
            open.push(Vec::new());
        }
    };
    for character in version.chars() {
        match character {
            '.' | '-' => {
                let item = match part.is_empty() {
                    true => Item::Number(String::new()),
                    false => item(&mut part, digits, false),
                };
                add(&mut open, item);
                if character == '-' {
                    deepen(&mut open);
                }
            }
            _ => {
                if !part.is_empty() && digits != character.is_ascii_digit() {
                    // A word and the number behind it belong together, one level down.
                    if !digits {
                        deepen(&mut open);
                    }
                    let item = item(&mut part, digits, character.is_ascii_digit());
                    add(&mut open, item);
                    deepen(&mut open);
                }
                digits = character.is_ascii_digit();
                part.push(character);
            }
        }
    }
    if !part.is_empty() {
        if !digits {
            deepen(&mut open);
        }
        let item = item(&mut part, digits, false);
        add(&mut open, item);
    }
    // From the inside: what means nothing at the end of a list, or before one, is left out.
    let mut inner: Option<Vec<Item>> = None;
    while let Some(mut list) = open.pop() {
        list.extend(inner.take().map(Item::List));
        let mut at = list.len();
        while at > 0 {
            at -= 1;
            if list[at].is_null() {
                if at == list.len() - 1 || !matches!(list[at], Item::List(_)) {
                    list.remove(at);
                }
            } else if !matches!(list[at], Item::List(_)) {
                break;
            }
        }
        inner = Some(list);
    }
    inner.unwrap_or_default()
}

/// A word by its usual name.
fn word(word: &str, digit_follows: bool) -> &str {
    match word {
        "a" if digit_follows => "alpha",
        "b" if digit_follows => "beta",
        "m" if digit_follows => "milestone",
        "ga" | "final" | "release" => "",
        "cr" => "rc",
        other => other,
    }
}

/// Where a word stands; those that are not known come last, by letters.
fn rank(word: &str) -> (usize, &str) {
    const KNOWN: [&str; 7] = ["alpha", "beta", "milestone", "rc", "snapshot", "", "sp"];
    match KNOWN.iter().position(|known| *known == word) {
        Some(rank) => (rank, ""),
        None => (KNOWN.len(), word),
    }
}

fn compare_lists(a: &[Item], b: &[Item]) -> Ordering {
    for index in 0..a.len().max(b.len()) {
        let order = match (a.get(index), b.get(index)) {
            (Some(a), Some(b)) => compare_items(a, b),
            (Some(a), None) => compare_to_nothing(a),
            (None, Some(b)) => compare_to_nothing(b).reverse(),
            (None, None) => Ordering::Equal,
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn compare_items(a: &Item, b: &Item) -> Ordering {
    use Item::{List, Number, Word};
    match (a, b) {
        (Number(a), Number(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
        (Word(a), Word(b)) => rank(a).cmp(&rank(b)),
        (List(a), List(b)) => compare_lists(a, b),
        (Number(_), _) | (List(_), Word(_)) => Ordering::Greater,
        (_, Number(_)) | (Word(_), List(_)) => Ordering::Less,
    }
}

fn compare_to_nothing(item: &Item) -> Ordering {
    match item {
        Item::Number(digits) => digits.len().cmp(&0),
        Item::Word(word) => rank(word).cmp(&rank("")),
        Item::List(items) => {
            let orders = items.iter().map(compare_to_nothing);
            let mut orders = orders.filter(|order| order.is_ne());
            orders.next().unwrap_or(Ordering::Equal)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Asked of Maven 3.9.15's artifact library.
    #[test]
    fn ranges_hold_what_lies_between_their_bounds() {
        for (range, (text, kafka, debezium)) in [
            ("4.3.1", ("[4.3.1,4.3.1]", true, false)),
            ("", ("[,]", false, false)),
            ("9", ("[9,9]", false, false)),
            ("[5,)", ("[5,)", false, false)),
            ("[1,4.3.1]", ("[1,4.3.1]", true, true)),
            ("(,4.3.1)", ("(,4.3.1)", false, true)),
            ("(,4.3.10)", ("(,4.3.10)", true, true)),
            ("[1]", ("[1,1]", false, false)),
            ("[1,3],[3,4]", ("[1,3],[3,4]", false, true)),
            ("[1,2),[3,5]", ("[1,2),[3,5]", true, true)),
            ("[1,2) , [3,5]", ("[1,2),[3,5]", true, true)),
            ("1,2", ("[1,2]", false, false)),
            ("[,]", ("[,]", true, true)),
            ("(,)", ("(,)", true, true)),
            ("[]", ("[,]", false, false)),
            ("[ 1 , 5 ]", ("[1,5]", true, true)),
            ("[3.7.0,3.8)", ("[3.7.0,3.8)", false, true)),
            ("[3.7.0.Final]", ("[3.7.0.Final,3.7.0.Final]", false, true)),
            ("[3.7]", ("[3.7,3.7]", false, true)),
            ("3.7.0", ("[3.7.0,3.7.0]", false, true)),
            ("3.7.0-final", ("[3.7.0-final,3.7.0-final]", false, true)),
            ("3.7.0.GA", ("[3.7.0.GA,3.7.0.GA]", false, true)),
            (
                "[3.7.0-SNAPSHOT,3.7.0]",
                ("[3.7.0-SNAPSHOT,3.7.0]", false, true),
            ),
            (
                "[3.7.0-rc1,3.7.0.CR2]",
                ("[3.7.0-rc1,3.7.0.CR2]", false, false),
            ),
            ("(3.7.0-sp,4]", ("(3.7.0-sp,4]", false, false)),
            (
                "(3.7.0.Alpha1,3.7.0.Beta1]",
                ("(3.7.0.Alpha1,3.7.0.Beta1]", false, false),
            ),
            ("[4.3.1-1,)", ("[4.3.1-1,)", false, false)),
            ("(,4.3.1-1)", ("(,4.3.1-1)", true, true)),
            ("[4.3.1a1,4.3.1]", ("[4.3.1a1,4.3.1]", true, false)),
            ("[4.3.1.foo,)", ("[4.3.1.foo,)", false, false)),
            ("(,4.3.1.foo]", ("(,4.3.1.foo]", true, true)),
            ("[04.03.01]", ("[04.03.01,04.03.01]", true, false)),
            ("4.3.1.0.0", ("[4.3.1.0.0,4.3.1.0.0]", true, false)),
            (
                "[99999999999999999999,)",
                ("[99999999999999999999,)", false, false),
            ),
            (
                "(,99999999999999999999]",
                ("(,99999999999999999999]", true, true),
            ),
            ("[4.3x2,4.3.2]", ("[4.3x2,4.3.2]", true, false)),
            ("1.0-alpha-1", ("[1.0-alpha-1,1.0-alpha-1]", false, false)),
            ("[1,2],[4,5],(6,)", ("[1,2],[4,5],(6,)", true, false)),
            ("((1,2)", ("((1,2)", false, false)),
            ("[1..2,5]", ("[1..2,5]", true, true)),
            ("[4.3.0.1,4.3.1--0]", ("[4.3.0.1,4.3.1--0]", true, false)),
        ] {
            let range = VersionRange::parse(range).expect(range);
            assert_eq!(range.text, text);
            assert_eq!(range.contains("4.3.1"), kafka, "4.3.1 in {text}");
            assert_eq!(
                range.contains("3.7.0.Final"),
                debezium,
                "3.7.0.Final in {text}"
            );
        }
        let latest = VersionRange::parse("latest").expect("a range");
        assert_eq!(
            (latest.text.as_str(), latest.contains("1")),
            ("latest", true)
        );
    }

    #[test]
    fn what_is_no_range_is_refused_in_mavens_words() {
        for (range, why) in [
            ("[1", "Unbounded range: [1"),
            ("[1)", "Single version must be surrounded by []: [1)"),
            ("(1)", "Single version must be surrounded by []: (1)"),
            ("(1]", "Single version must be surrounded by []: (1]"),
            ("[2,1]", "Range defies version ordering: [2,1]"),
            ("[1,1)", "Range defies version ordering: [1,1)"),
            (
                "(4.3.1,4.3.1]",
                "Range defies version ordering: (4.3.1,4.3.1]",
            ),
            ("[1,3),[2,4]", "Ranges overlap: [1,3),[2,4]"),
            (
                "[1,2),3",
                "Only fully-qualified sets allowed in multiple set scenario: [1,2),3",
            ),
            (
                "[1,2)x",
                "Only fully-qualified sets allowed in multiple set scenario: [1,2)x",
            ),
            ("a,,b", "Range defies version ordering: [a,,b]"),
            ("[a,,b]", "Range defies version ordering: [a,,b]"),
            (
                "]",
                "Only fully-qualified sets allowed in multiple set scenario: []]",
            ),
            ("[,", "Unbounded range: [,"),
            (
                "[4.3.1-a,4.3.1]",
                "Range defies version ordering: [4.3.1-a,4.3.1]",
            ),
            ("[3,[4]", "Range defies version ordering: [3,[4]"),
            (
                "[1,2]]",
                "Only fully-qualified sets allowed in multiple set scenario: [1,2]]",
            ),
        ] {
            assert_eq!(VersionRange::parse(range).expect_err(range), why);
        }
    }
}
