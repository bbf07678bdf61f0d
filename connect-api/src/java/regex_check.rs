//! What `java.util.regex.Pattern` refuses, in its words: clients see these texts when a list of
//! topics or tables is no regular expression. Patterns that Java takes pass; how they match is the
//! engine's business.

/// Why Java refuses a pattern, with the place marked below it; `None` where it does not.
pub(super) fn refusal(pattern: &str) -> Option<String> {
    let characters: Vec<char> = pattern.chars().collect();
    Check {
        characters: &characters,
        at: 0,
        open_groups: 0,
        repeatable: false,
    }
    .run()
    .err()
    .map(|(why, index)| describe(why, index, pattern, characters.len()))
}

/// `PatternSyntaxException.getMessage`.
fn describe(why: String, index: Option<usize>, pattern: &str, length: usize) -> String {
    let Some(index) = index else {
        return format!("{why}\n{pattern}");
    };
    let mark = if index < length {
        format!("\n{}^", " ".repeat(index))
    } else {
        String::new()
    };
    format!("{why} near index {index}\n{pattern}{mark}")
}

/// Letters that mean something behind a backslash.
const LETTERS: &str = "ABDGHNPQRSVWXZabcdefhknprstuvwxz";
/// The same within a class.
const LETTERS_IN_CLASS: &str = "DHNPQSVWacdefhnprstuvwx";

type Refused = (String, Option<usize>);

struct Check<'a> {
    characters: &'a [char],
    at: usize,
    open_groups: usize,
    /// Whether what was read last can be repeated.
    repeatable: bool,
}

impl Check<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn run(mut self) -> Result<(), Refused> {
        while let Some(character) = self.peek(0) {
            match character {
                '\\' if self.peek(1).is_none() => {
                    return Err(("Unexpected internal error".to_owned(), Some(self.at + 1)));
                }
                '\\' => self.escape(LETTERS)?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' if self.open_groups == 0 => {
                    return Err(("Unmatched closing ')'".to_owned(), self.at.checked_sub(1)));
                }
                ')' => {
                    self.open_groups -= 1;
                    self.step(1, true);
                }
                '*' | '+' | '?' if !self.repeatable => {
                    return Err((
                        format!("Dangling meta character '{character}'"),
                        Some(self.at),
                    ));
                }
                '*' | '+' | '?' => self.quantifier_end(1),
                '{' => self.counted()?,
                '|' => self.step(1, false),
                _ => self.step(1, true),
            }
        }
        match self.open_groups {
            0 => Ok(()),
            _ => Err(("Unclosed group".to_owned(), Some(self.characters.len()))),
        }
    }

    fn step(&mut self, count: usize, repeatable: bool) {
        self.at += count;
        self.repeatable = repeatable;
    }

    /// A quantifier of this length, with the `?` or `+` that may follow it.
    fn quantifier_end(&mut self, length: usize) {
        self.step(length, false);
        if matches!(self.peek(0), Some('?' | '+')) {
            self.at += 1;
        }
    }

    fn counted(&mut self) -> Result<(), Refused> {
        if !self.peek(1).is_some_and(|next| next.is_ascii_digit()) {
            return Err(("Illegal repetition".to_owned(), Some(self.at + 1)));
        }
        let length = (1..)
            .take_while(|&ahead| {
                self.peek(ahead)
                    .is_some_and(|next| next.is_ascii_digit() || next == ',')
            })
            .count();
        if self.peek(length + 1) != Some('}') {
            return Err((
                "Unclosed counted closure".to_owned(),
                Some(self.at + length + 1),
            ));
        }
        let bounds: String = self
            .characters
            .get(self.at + 1..self.at + length + 1)
            .unwrap_or_default()
            .iter()
            .collect();
        let (low, high) = bounds.split_once(',').unwrap_or((&bounds, ""));
        let number = |text: &str| text.parse::<i32>().ok();
        let wrong = match (number(low), number(high)) {
            (None, _) => true,
            (Some(low), Some(high)) => low > high,
            (Some(_), None) => !high.is_empty(),
        };
        if wrong {
            return Err((
                "Illegal repetition range".to_owned(),
                Some(self.at + length + 1),
            ));
        }
        self.quantifier_end(length + 2);
        Ok(())
    }

    /// `\Q…\E`, `\p{…}`, `\x{…}`, `\k<…>`, or one character.
    fn escape(&mut self, letters: &str) -> Result<(), Refused> {
        let until = |check: &Self, end: &[char]| {
            let rest = check.characters.get(check.at..).unwrap_or_default();
            rest.windows(end.len())
                .position(|window| window == end)
                .map(|found| found + end.len())
        };
        let length = match (self.peek(1), self.peek(2)) {
            (Some('Q'), _) => until(self, &['\\', 'E']).unwrap_or(self.characters.len() - self.at),
            (Some('p' | 'P' | 'x' | 'N'), Some('{')) => until(self, &['}']).unwrap_or(2),
            (Some('k'), Some('<')) => until(self, &['>']).unwrap_or(2),
            _ => 2,
        };
        match self.peek(1) {
            Some(letter) if letter.is_ascii_alphabetic() && !letters.contains(letter) => Err((
                "Illegal/unsupported escape sequence".to_owned(),
                Some(self.at + 1),
            )),
            _ => {
                self.step(length, true);
                Ok(())
            }
        }
    }

    /// `[…]`, classes in it too.
    fn class(&mut self) -> Result<(), Refused> {
        let mut depth = 0usize;
        // A bracket that closes right at the start of a class stands for itself.
        let mut first = false;
        while let Some(character) = self.peek(0) {
            match character {
                '\\' => {
                    self.escape(LETTERS_IN_CLASS)?;
                    first = false;
                    continue;
                }
                '[' => {
                    depth += 1;
                    first = true;
                    if self.peek(1) == Some('^') {
                        self.at += 1;
                    }
                }
                ']' if first => first = false,
                ']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.step(1, true);
                        return Ok(());
                    }
                }
                _ => first = false,
            }
            self.at += 1;
        }
        let length = self.characters.len();
        // A range without its end.
        if let [.., from, '-'] = self.characters
            && *from != '['
        {
            return Err(("Illegal character range".to_owned(), Some(length)));
        }
        Err(("Unclosed character class".to_owned(), length.checked_sub(1)))
    }

    /// The opening of a group: `(`, `(?:`, `(?<name>`, `(?i)`, …
    fn group(&mut self) -> Result<(), Refused> {
        self.open_groups += 1;
        self.step(1, false);
        if self.peek(0) != Some('?') {
            return Ok(());
        }
        self.at += 1;
        match (self.peek(0), self.peek(1)) {
            (Some('<'), Some('=' | '!')) => self.at += 2,
            (Some('<'), first) => {
                self.at += 1;
                if !first.is_some_and(|first| first.is_ascii_alphabetic()) {
                    let why = "capturing group name does not start with a Latin letter";
                    return Err((why.to_owned(), Some(self.at)));
                }
                while self
                    .peek(0)
                    .is_some_and(|next| next.is_ascii_alphanumeric())
                {
                    self.at += 1;
                }
                if self.peek(0) != Some('>') {
                    let why = "named capturing group is missing trailing '>'";
                    return Err((why.to_owned(), Some(self.at)));
                }
                self.at += 1;
            }
            (Some(':' | '=' | '!' | '>'), _) => self.at += 1,
            _ => {
                while self.peek(0).is_some_and(|next| "idmsuxU-".contains(next)) {
                    self.at += 1;
                }
                // `(?i)` is a switch and no group; `(?i:` is one.
                match self.peek(0) {
                    Some(')') => {
                        self.open_groups -= 1;
                        self.at += 1;
                    }
                    Some(':') => self.at += 1,
                    _ => return Err(("Unknown inline modifier".to_owned(), Some(self.at))),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Recorded from Java 17.
    #[test]
    fn refusals_are_worded_as_java_words_them() {
        let check = |pattern: &str, expected: &str| {
            assert_eq!(refusal(pattern).as_deref(), Some(expected), "{pattern}");
        };
        check("${A}", "Illegal repetition near index 2\n${A}\n  ^");
        check("*a", "Dangling meta character '*' near index 0\n*a\n^");
        check("a**", "Dangling meta character '*' near index 2\na**\n  ^");
        check("[", "Unclosed character class near index 0\n[\n^");
        check("a[b", "Unclosed character class near index 2\na[b\n  ^");
        check("[a-", "Illegal character range near index 3\n[a-");
        check("(", "Unclosed group near index 1\n(");
        check("a)", "Unmatched closing ')' near index 0\na)\n^");
        check(")", "Unmatched closing ')'\n)");
        check("a{2", "Unclosed counted closure near index 3\na{2");
        check(
            "a{2,1}",
            "Illegal repetition range near index 5\na{2,1}\n     ^",
        );
        check("\\", "Unexpected internal error near index 1\n\\");
        check("[]", "Unclosed character class near index 1\n[]\n ^");
        check(
            "a\\q",
            "Illegal/unsupported escape sequence near index 2\na\\q\n  ^",
        );
        check(
            "\\E",
            "Illegal/unsupported escape sequence near index 1\n\\E\n ^",
        );
        check(
            "a[\\b]",
            "Illegal/unsupported escape sequence near index 3\na[\\b]\n   ^",
        );
        check(
            "(?P<a>x)",
            "Unknown inline modifier near index 2\n(?P<a>x)\n  ^",
        );
        check(
            "(?<1>a)",
            "capturing group name does not start with a Latin letter near index 3\n(?<1>a)\n   ^",
        );
        check(
            "(?<a",
            "named capturing group is missing trailing '>' near index 4\n(?<a",
        );
        check("(?i", "Unknown inline modifier near index 3\n(?i");
        check("(?iz)", "Unknown inline modifier near index 3\n(?iz)\n   ^");
        check("a{x}", "Illegal repetition near index 2\na{x}\n  ^");
    }

    #[test]
    fn what_java_takes_is_not_refused() {
        for pattern in [
            "",
            "public\\..*",
            "a{2,3}?b",
            "(?i)x",
            "(?i:x)y",
            "(?<name>a)\\k<name>",
            "[]a]",
            "[^]a]b",
            "[a-z&&[^b]]+",
            "\\Q*{(\\E",
            "\\p{Alpha}+",
            "(?<!a)b",
            "a|b|",
            "^$",
            "(?:a)*+",
            "\\{a\\}",
            "a++",
            "$*",
            "x{1}{2}",
        ] {
            assert_eq!(refusal(pattern), None, "{pattern}");
        }
    }
}
