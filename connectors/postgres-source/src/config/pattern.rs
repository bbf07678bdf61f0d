//! What `java.util.regex` says of the slips that people make in patterns, in its words.
//!
//! A look at brackets, groups and repetitions only; it does not decide whether other patterns are
//! well-formed. Answers for `PatternSyntaxException.getMessage`.

/// Java's complaint about a pattern; none where nothing is wrong that shows in its shape.
pub(super) fn complaint(pattern: &str) -> Option<String> {
    let units: Vec<char> = pattern.chars().collect();
    let (what, index) = Scan {
        units: &units,
        at: 0,
    }
    .run()?;
    let mut text = match index {
        Some(index) => format!("{what} near index {index}\n{pattern}"),
        None => format!("{what}\n{pattern}"),
    };
    if let Some(index) = index.filter(|index| *index < units.len()) {
        text.push('\n');
        text.push_str(&" ".repeat(index));
        text.push('^');
    }
    Some(text)
}

type Complaint = (String, Option<usize>);

struct Scan<'a> {
    units: &'a [char],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<char> {
        self.units.get(self.at).copied()
    }

    fn run(mut self) -> Option<Complaint> {
        let (mut depth, mut atom) = (0_usize, false);
        while let Some(character) = self.peek() {
            let place = self.at;
            self.at += 1;
            match character {
                '\\' => {
                    self.at += 1;
                    atom = true;
                }
                '[' => {
                    if let Some(complaint) = self.class() {
                        return Some(complaint);
                    }
                    atom = true;
                }
                '(' => {
                    depth += 1;
                    atom = false;
                    if self.peek() == Some('?') {
                        self.at += 1;
                    }
                }
                ')' if depth == 0 => {
                    return Some(("Unmatched closing ')'".to_owned(), place.checked_sub(1)));
                }
                ')' => {
                    depth -= 1;
                    atom = true;
                }
                '*' | '+' | '?' if !atom => {
                    return Some((
                        format!("Dangling meta character '{character}'"),
                        Some(place),
                    ));
                }
                '*' | '+' | '?' => {
                    self.lazy_or_possessive();
                    atom = false;
                }
                '{' if atom && self.peek().is_some_and(|next| next.is_ascii_digit()) => {
                    if let Some(complaint) = self.counted() {
                        return Some(complaint);
                    }
                    self.lazy_or_possessive();
                    atom = false;
                }
                '|' => atom = false,
                _ => atom = true,
            }
        }
        (depth > 0).then(|| ("Unclosed group".to_owned(), Some(self.units.len())))
    }

    fn lazy_or_possessive(&mut self) {
        if matches!(self.peek(), Some('?' | '+')) {
            self.at += 1;
        }
    }

    /// Digits, perhaps a comma and more digits, a closing brace.
    fn counted(&mut self) -> Option<Complaint> {
        while self
            .peek()
            .is_some_and(|next| next.is_ascii_digit() || next == ',')
        {
            self.at += 1;
        }
        if self.peek() == Some('}') {
            self.at += 1;
            return None;
        }
        Some(("Unclosed counted closure".to_owned(), Some(self.at)))
    }

    /// Up to the bracket that closes the class, classes in it included.
    fn class(&mut self) -> Option<Complaint> {
        let mut depth = 1_usize;
        while let Some(character) = self.peek() {
            self.at += 1;
            match character {
                '\\' => self.at += 1,
                '[' => depth += 1,
                ']' => {
                    depth -= 1;
                    if depth == 0 {
                        return None;
                    }
                }
                _ => {}
            }
        }
        let length = self.units.len();
        let range = self.units.last() == Some(&'-')
            && length.checked_sub(2).and_then(|at| self.units.get(at)) != Some(&'[');
        Some(if range {
            ("Illegal character range".to_owned(), Some(length))
        } else {
            ("Unclosed character class".to_owned(), length.checked_sub(1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_named_in_javas_words() {
        for (pattern, expected) in [
            ("[", "Unclosed character class near index 0\n[\n^"),
            (
                "ab[cd",
                "Unclosed character class near index 4\nab[cd\n    ^",
            ),
            ("[a-", "Illegal character range near index 3\n[a-"),
            ("a(b", "Unclosed group near index 3\na(b"),
            ("(?<!a", "Unclosed group near index 5\n(?<!a"),
            ("a)", "Unmatched closing ')' near index 0\na)\n^"),
            ("*a", "Dangling meta character '*' near index 0\n*a\n^"),
            ("a**", "Dangling meta character '*' near index 2\na**\n  ^"),
            ("a{1", "Unclosed counted closure near index 3\na{1"),
        ] {
            assert_eq!(complaint(pattern).as_deref(), Some(expected), "{pattern}");
        }
    }

    #[test]
    fn sound_patterns_are_left_alone() {
        for pattern in [
            "",
            "public.a",
            "public\\.(?!b).*",
            "(a|b)+?",
            "a{2,3}+",
            "[^\\]]*",
            "[a-z&&[^b]]",
            "(?i)a",
            "(?<n>x)\\k<n>",
            "a?+",
            "\\(",
            "x|",
            "(?:a)*",
        ] {
            assert_eq!(complaint(pattern), None, "{pattern}");
        }
    }
}
