//! Ranges of versions as Maven writes them: `[1.0,2.0)`, `(,3]`; a bare version stands for itself
//! alone, `latest` for whatever there is.
//!
//! Answers for `PluginUtils.connectorVersionRequirement` and Maven's `VersionRange`.

use std::cmp::Ordering;

/// A range of versions.
#[derive(Debug)]
pub(crate) struct VersionRange {
    /// The range as texts show it.
    pub(crate) text: String,
    /// Bounds, each with whether it belongs to the range; none for `latest`.
    bounds: Option<(Bound, Bound)>,
}

#[derive(Debug)]
struct Bound {
    version: String,
    included: bool,
}

impl VersionRange {
    /// Reads a range.
    ///
    /// # Errors
    /// A bracket is left open.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self {
                text: text.to_owned(),
                bounds: None,
            });
        }
        let opening = text.chars().next().filter(|first| "[(".contains(*first));
        let Some(opening) = opening else {
            if text.contains(',') {
                return Self::parse(&format!("[{text}]"));
            }
            let bound = || Bound {
                version: text.to_owned(),
                included: true,
            };
            return Ok(Self {
                text: format!("[{text},{text}]"),
                bounds: Some((bound(), bound())),
            });
        };
        let inner = text.get(1..).unwrap_or_default();
        let closing = inner.chars().last().filter(|last| "])".contains(*last));
        let Some(closing) = closing else {
            return Err(format!("Unbounded range: {text}"));
        };
        let inner = inner.get(..inner.len() - 1).unwrap_or_default();
        let (low, high) = inner.split_once(',').unwrap_or((inner, inner));
        let bound = |version: &str, included| Bound {
            version: version.trim().to_owned(),
            included,
        };
        Ok(Self {
            // A version alone between brackets is shown as the range that it is.
            text: match inner.contains(',') {
                true => text.to_owned(),
                false => format!("{opening}{inner},{inner}{closing}"),
            },
            bounds: Some((bound(low, opening == '['), bound(high, closing == ']'))),
        })
    }

    /// Whether a version belongs to the range.
    pub(crate) fn contains(&self, version: &str) -> bool {
        let Some((low, high)) = &self.bounds else {
            return true;
        };
        let same = low.version == high.version && low.included && high.included;
        if low.version.is_empty() && same {
            return false;
        }
        let inside = |bound: &Bound, wrong: Ordering| {
            bound.version.is_empty()
                || match compare(version, &bound.version) {
                    Ordering::Equal => bound.included,
                    order => order != wrong,
                }
        };
        inside(low, Ordering::Less) && inside(high, Ordering::Greater)
    }
}

/// Numbers by value, words by letters, a missing part as 0.
fn compare(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<String> { text.split(['.', '-']).map(str::to_owned).collect() };
    let (a, b) = (parts(a), parts(b));
    for index in 0..a.len().max(b.len()) {
        let part = |parts: &[String]| parts.get(index).cloned().unwrap_or_else(|| "0".to_owned());
        let (x, y) = (part(&a), part(&b));
        let order = match (x.parse::<u64>(), y.parse::<u64>()) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            (Ok(_), Err(_)) => Ordering::Greater,
            (Err(_), Ok(_)) => Ordering::Less,
            (Err(_), Err(_)) => x.cmp(&y),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_lies_between_their_bounds() {
        let check = |range: &str, text: &str, holds: bool| {
            let range = VersionRange::parse(range).expect("a range");
            assert_eq!(
                (range.text.as_str(), range.contains("4.3.1")),
                (text, holds)
            );
        };
        check("4.3.1", "[4.3.1,4.3.1]", true);
        check("9", "[9,9]", false);
        check("[5,)", "[5,)", false);
        check("[1,4.3.1]", "[1,4.3.1]", true);
        check("(,4.3.1)", "(,4.3.1)", false);
        check("(,4.3.10)", "(,4.3.10)", true);
        check("latest", "latest", true);
        check("", "[,]", false);
        assert_eq!(
            VersionRange::parse("[1").expect_err("refused"),
            "Unbounded range: [1"
        );
    }
}
