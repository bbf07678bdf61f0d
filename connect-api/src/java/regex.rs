//! Java regular expressions (`java.util.regex.Pattern`), look-around and back references included.
//!
//! The engine is `fancy-regex`; what Java writes otherwise is rewritten before it is compiled.
//! Backtracking is bounded: a pattern that runs away answers with an error instead of hanging.

use std::fmt;

/// A compiled pattern.
#[derive(Clone)]
pub struct Regex {
    pattern: String,
    full: fancy_regex::Regex,
    part: fancy_regex::Regex,
}

/// Class and message of an exception that Java would throw.
pub type JavaException = (&'static str, String);

/// Why a pattern cannot be used.
#[derive(Clone, Debug)]
pub struct RegexError {
    /// What is wrong, the pattern in it: as Java says it, or as the engine does where Java would
    /// have taken the pattern.
    pub message: String,
    /// The pattern.
    pub pattern: String,
}

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for RegexError {}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({})", self.pattern)
    }
}

/// How many steps a match may take back: above what any sane pattern needs, below a second.
const BACKTRACK_LIMIT: usize = 1_000_000;

impl Regex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// The pattern is not well-formed.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        Self::compile(pattern, false)
    }
    /// Compiles a pattern that ignores case (`CASE_INSENSITIVE`).
    ///
    /// # Errors
    /// The pattern is not well-formed.
    pub fn ignoring_case(pattern: &str) -> Result<Self, RegexError> {
        Self::compile(pattern, true)
    }

    fn compile(pattern: &str, ignore_case: bool) -> Result<Self, RegexError> {
        if let Some(message) = super::regex_check::refusal(pattern) {
            return Err(RegexError {
                message,
                pattern: pattern.to_owned(),
            });
        }
        let translated = translate(pattern);
        let flags = if ignore_case { "(?i)" } else { "" };
        let build = |text: &str| {
            fancy_regex::RegexBuilder::new(text)
                .backtrack_limit(BACKTRACK_LIMIT)
                .build()
                .map_err(|error| RegexError {
                    message: format!("{error} in the pattern {pattern}"),
                    pattern: pattern.to_owned(),
                })
        };
        Ok(Self {
            pattern: pattern.to_owned(),
            // \A and \z, since $ would allow a line end after it.
            full: build(&format!(r"{flags}\A(?:{translated})\z"))?,
            part: build(&format!("{flags}{translated}"))?,
        })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }
    /// Whether the whole text matches (`Matcher.matches`). A match that exceeds the limit of
    /// backtracking counts as none.
    pub fn matches(&self, text: &str) -> bool {
        self.full.is_match(text).unwrap_or(false)
    }
    /// Whether a part of the text matches (`Matcher.find`).
    pub fn find(&self, text: &str) -> bool {
        self.part.is_match(text).unwrap_or(false)
    }
    /// If the whole text matches, `replacement` in Java's notation (`$1`, `${name}`, `\$`) filled
    /// in with the groups (`Matcher.replaceFirst` after `matches`).
    ///
    /// # Errors
    /// The text matches and the replacement cannot be filled in: class and message of Java's
    /// exception.
    pub fn replace_full(
        &self,
        text: &str,
        replacement: &str,
    ) -> Result<Option<String>, JavaException> {
        let Ok(Some(captures)) = self.full.captures(text) else {
            return Ok(None);
        };
        Ok(Some(fill(&captures, &self.replacement(replacement)?)))
    }
    /// The text with the first match replaced (`Matcher.replaceFirst`).
    ///
    /// # Errors
    /// As [`Self::replace_full`].
    pub fn replace_first(&self, text: &str, replacement: &str) -> Result<String, JavaException> {
        self.replace(text, replacement, 1)
    }
    /// The text with every match replaced (`Matcher.replaceAll`).
    ///
    /// # Errors
    /// As [`Self::replace_full`].
    pub fn replace_all(&self, text: &str, replacement: &str) -> Result<String, JavaException> {
        self.replace(text, replacement, usize::MAX)
    }

    fn replace(
        &self,
        text: &str,
        replacement: &str,
        limit: usize,
    ) -> Result<String, JavaException> {
        let mut result = String::with_capacity(text.len());
        let (mut end, mut parts) = (0, None);
        for captures in self.part.captures_iter(text).take(limit) {
            let Ok(captures) = captures else {
                break;
            };
            let Some(whole) = captures.get(0) else {
                break;
            };
            let parts = match &mut parts {
                Some(parts) => parts,
                // Where nothing matches, Java does not look at it.
                none => none.insert(self.replacement(replacement)?),
            };
            result.push_str(text.get(end..whole.start()).unwrap_or_default());
            result.push_str(&fill(&captures, parts));
            end = whole.end();
        }
        result.push_str(text.get(end..).unwrap_or_default());
        Ok(result)
    }

    /// Reads a replacement (`Matcher.appendExpandedReplacement`).
    fn replacement(&self, replacement: &str) -> Result<Vec<Part>, JavaException> {
        let groups = self.full.captures_len();
        let refuse = |why: &str| Err(("java.lang.IllegalArgumentException", why.to_owned()));
        let mut parts = Vec::new();
        let mut rest = replacement.chars().peekable();
        while let Some(character) = rest.next() {
            let part = match character {
                '\\' => match rest.next() {
                    None => return refuse("character to be escaped is missing"),
                    Some(escaped) => Part::Text(escaped),
                },
                '$' => match rest.next() {
                    None => return refuse("Illegal group reference: group index is missing"),
                    Some('{') => {
                        let mut name = String::new();
                        while let Some(next) = rest.next_if(char::is_ascii_alphanumeric) {
                            name.push(next);
                        }
                        if name.is_empty() || rest.next() != Some('}') {
                            return refuse("named capturing group is missing trailing '}'");
                        }
                        if name.starts_with(|first: char| first.is_ascii_digit()) {
                            return refuse(&format!(
                                "capturing group name {{{name}}} starts with digit character"
                            ));
                        }
                        let known = |known: Option<&str>| known == Some(name.as_str());
                        match self.full.capture_names().position(known) {
                            None => return refuse(&format!("No group with name {{{name}}}")),
                            Some(group) => Part::Group(group),
                        }
                    }
                    Some(digit) => {
                        let Some(mut group) = digit.to_digit(10).map(|digit| digit as usize) else {
                            return refuse("Illegal group reference");
                        };
                        if group >= groups {
                            return Err((
                                "java.lang.IndexOutOfBoundsException",
                                format!("No group {group}"),
                            ));
                        }
                        // Further digits count while they name a group.
                        while let Some(digit) = rest.peek().and_then(|next| next.to_digit(10)) {
                            let longer = group * 10 + digit as usize;
                            if longer >= groups {
                                break;
                            }
                            group = longer;
                            rest.next();
                        }
                        Part::Group(group)
                    }
                },
                other => Part::Text(other),
            };
            parts.push(part);
        }
        Ok(parts)
    }
}

/// A part of a replacement.
enum Part {
    Text(char),
    Group(usize),
}

fn fill(captures: &fancy_regex::Captures<'_>, parts: &[Part]) -> String {
    let mut result = String::new();
    for part in parts {
        match part {
            Part::Text(character) => result.push(*character),
            Part::Group(group) => {
                result.push_str(captures.get(*group).map_or("", |found| found.as_str()));
            }
        }
    }
    result
}

/// Java's notation in the engine's: `\Q…\E` quoting, `\h`, `\R`, `\Z`, and POSIX classes like
/// `\p{Alpha}`; everything else is the same in both.
fn translate(pattern: &str) -> String {
    let mut result = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        let (before, after) = rest.split_at(at);
        result.push_str(before);
        let mut characters = after.chars();
        characters.next();
        let Some(escaped) = characters.next() else {
            rest = after;
            break;
        };
        let tail = characters.as_str();
        rest = match escaped {
            'Q' => {
                let (quoted, tail) = tail.split_once("\\E").unwrap_or((tail, ""));
                for character in quoted.chars() {
                    if !character.is_alphanumeric() && character.is_ascii() {
                        result.push('\\');
                    }
                    result.push(character);
                }
                tail
            }
            'h' => {
                result.push_str(
                    r"[ \t\x{A0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]",
                );
                tail
            }
            'R' => {
                result.push_str(r"(?:\r\n|[\n\x{0B}\x{0C}\r\x{85}\x{2028}\x{2029}])");
                tail
            }
            'Z' => {
                result.push_str(r"(?=\r?\n?\z)");
                tail
            }
            'd' => {
                result.push_str("[0-9]");
                tail
            }
            'w' => {
                result.push_str("[a-zA-Z_0-9]");
                tail
            }
            's' => {
                result.push_str(r"[ \t\n\x0B\f\r]");
                tail
            }
            'D' => {
                result.push_str("[^0-9]");
                tail
            }
            'W' => {
                result.push_str("[^a-zA-Z_0-9]");
                tail
            }
            'S' => {
                result.push_str(r"[^ \t\n\x0B\f\r]");
                tail
            }
            'p' | 'P' if tail.starts_with('{') => {
                let (name, after) = tail
                    .strip_prefix('{')
                    .and_then(|tail| tail.split_once('}'))
                    .unwrap_or(("", ""));
                match posix(name) {
                    Some(class) if escaped == 'p' => {
                        result.push_str("[[:");
                        result.push_str(class);
                        result.push_str(":]]");
                    }
                    Some(class) => {
                        result.push_str("[[:^");
                        result.push_str(class);
                        result.push_str(":]]");
                    }
                    None => {
                        result.push('\\');
                        result.push(escaped);
                        result.push('{');
                        result.push_str(name.strip_prefix("Is").unwrap_or(name));
                        result.push('}');
                    }
                }
                after
            }
            other => {
                result.push('\\');
                result.push(other);
                tail
            }
        };
    }
    result.push_str(rest);
    result
}

fn posix(name: &str) -> Option<&'static str> {
    Some(match name {
        "Lower" => "lower",
        "Upper" => "upper",
        "ASCII" => "ascii",
        "Alpha" => "alpha",
        "Digit" => "digit",
        "Alnum" => "alnum",
        "Punct" => "punct",
        "Graph" => "graph",
        "Print" => "print",
        "Blank" => "blank",
        "Cntrl" => "cntrl",
        "XDigit" => "xdigit",
        "Space" => "space",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, matches: bool) {
        assert_eq!(
            Regex::new(pattern).expect(pattern).matches(text),
            matches,
            "{pattern} {text}"
        );
    }

    #[test]
    fn a_match_is_of_the_whole_text() {
        check(r"cdc\.postgres\..*", "cdc.postgres.users", true);
        check(r"cdc\.postgres\..*", "my.cdc.postgres.users", false);
        check("a|ab", "ab", true);
        check("a", "a\n", false);
    }

    #[test]
    fn look_around_and_quoting_are_java_s() {
        check(r"(?!internal\.).*", "internal.x", false);
        check(r"(?!internal\.).*", "public.x", true);
        check(r"\w+(?<!_tmp)", "a_tmp", false);
        check(r"\Qa.b\E.", "a.bc", true);
        check(r"\Qa.b\E.", "axbc", false);
        check(r"[\w.]+", "a.b_1", true);
        check(r"\d+", "٣", false);
        check(r"\p{Alpha}+", "abc", true);
        check(r"(a)\1", "aa", true);
    }

    #[test]
    fn replacements_are_java_s() {
        let regex = Regex::new(r"(.*)\.(?<table>.*)").expect("a pattern");
        assert_eq!(
            regex.replace_full("a.b", "$2-${table}-\\$1$1"),
            Ok(Some("b-b-$1a".to_owned()))
        );
        assert_eq!(regex.replace_full("ab", "$3"), Ok(None));
        assert!(regex.replace_full("a.b", "$3").is_err());
        let regex = Regex::new("o").expect("a pattern");
        assert_eq!(regex.replace_all("foo", "0"), Ok("f00".to_owned()));
        assert_eq!(regex.replace_first("foo", "0"), Ok("f0o".to_owned()));
        assert_eq!(regex.replace_all("bar", "$"), Ok("bar".to_owned()));
        assert!(regex.replace_all("foo", "$").is_err());
    }

    #[test]
    fn a_replacement_that_cannot_be_filled_in_is_told_as_in_java() {
        let regex = Regex::new("(a)(?<b>.*)").expect("a pattern");
        for (replacement, expected) in [
            ("$0$1$2${b}\\$", Ok("aaccaaccacc$")),
            ("$23", Ok("acc3")),
            ("$3", Err("No group 3")),
            ("$", Err("Illegal group reference: group index is missing")),
            ("$x", Err("Illegal group reference")),
            ("${c}", Err("No group with name {c}")),
            ("${b", Err("named capturing group is missing trailing '}'")),
            ("x\\", Err("character to be escaped is missing")),
        ] {
            let filled = regex.replace_full("aacc", replacement);
            let told = match &filled {
                Ok(filled) => Ok(filled.as_deref().expect("a match")),
                Err((_, message)) => Err(message.as_str()),
            };
            assert_eq!(told, expected, "{replacement}");
        }
    }

    #[test]
    fn a_bad_pattern_is_refused() {
        assert!(Regex::new("(").is_err());
    }
}
