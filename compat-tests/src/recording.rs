//! Recorded answers: a scenario writes down what a worker answered, raw; against the JVM worker
//! (`TARGET=java`) that becomes the recording, against ours it is compared with it.
//!
//! What two honest runs cannot share (clocks, positions, ports, versions, prose) is replaced by an
//! explicit mask, in the text itself, so that the order of members and every other byte still counts.

use crate::worker::Target;
use crate::{Outcome, fail};
use std::path::{Path, PathBuf};

/// A transcript in the making.
#[derive(Debug)]
pub struct Recording {
    name: String,
    masks: Vec<Mask>,
    lines: Vec<String>,
}

#[derive(Debug)]
enum Mask {
    Text(String, String),
    Member(String),
    List(String),
    Frames,
}

impl Recording {
    /// An empty transcript; its name is the file's name.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            masks: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Replaces a text wherever it stands.
    pub fn mask_text(&mut self, text: &str, with: &str) {
        self.masks
            .push(Mask::Text(text.to_owned(), with.to_owned()));
    }

    /// Replaces the number, string, boolean or null of each JSON member of that name.
    pub fn mask_member(&mut self, name: &str) {
        self.masks.push(Mask::Member(name.to_owned()));
    }

    /// Replaces each JSON array of strings of that member's name.
    pub fn mask_list(&mut self, name: &str) {
        self.masks.push(Mask::List(name.to_owned()));
    }

    /// Takes the JVM's stack frames out of traces, so that classes and messages are compared.
    pub fn mask_frames(&mut self) {
        self.masks.push(Mask::Frames);
    }

    /// Writes down what a step answered.
    pub fn note(&mut self, step: &str, answer: &str) {
        let mut answer = answer.to_owned();
        for mask in &self.masks {
            answer = match mask {
                Mask::Text(text, with) => answer.replace(text, with),
                Mask::Member(name) => mask_member(&answer, name),
                Mask::List(name) => mask_list(&answer, name),
                Mask::Frames => without_frames(&answer),
            };
        }
        self.lines
            .push(format!("{step}\t{}", answer.escape_default_lines()));
    }

    /// Compares with the recording, or writes it when the target is the JVM worker.
    pub fn finish(self, target: Target) -> Outcome<()> {
        let path = self.path();
        let mut text = self.lines.join("\n");
        text.push('\n');
        if target == Target::Java {
            std::fs::create_dir_all(path.parent().unwrap_or_else(|| Path::new(".")))?;
            return Ok(std::fs::write(path, text)?);
        }
        let recorded = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}; `make record` makes it", path.display()))?;
        let differences = differences(&recorded, &text);
        if differences.is_empty() {
            return Ok(());
        }
        fail(format!(
            "{} differs from the JVM worker's answers:\n{differences}",
            self.name
        ))
    }

    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("recorded")
            .join(format!("{}.tsv", self.name))
    }
}

/// One line for each step that differs, with the neighbourhood of the first different character.
fn differences(recorded: &str, found: &str) -> String {
    let (recorded, found): (Vec<&str>, Vec<&str>) =
        (recorded.lines().collect(), found.lines().collect());
    let mut text = String::new();
    let mut count = 0;
    for i in 0..recorded.len().max(found.len()) {
        let (expected, actual) = (recorded.get(i).copied(), found.get(i).copied());
        if expected == actual {
            continue;
        }
        count += 1;
        let step = |line: Option<&str>| {
            line.map_or("nothing", |l| l.split('\t').next().unwrap_or_default())
                .to_owned()
        };
        let (expected_text, actual_text) =
            (expected.unwrap_or_default(), actual.unwrap_or_default());
        let same = expected_text
            .chars()
            .zip(actual_text.chars())
            .take_while(|(a, b)| a == b)
            .count();
        let near = |line: &str| {
            line.chars()
                .skip(same.saturating_sub(60))
                .take(200)
                .collect::<String>()
        };
        text.push_str(&format!(
            "line {}: {} / {}\n  recorded …{}\n  found    …{}\n",
            i + 1,
            step(expected),
            step(actual),
            near(expected_text),
            near(actual_text)
        ));
    }
    if count > 0 {
        text.push_str(&format!(
            "{count} of {} lines differ\n",
            recorded.len().max(found.len())
        ));
    }
    text
}

trait OneLine {
    fn escape_default_lines(&self) -> String;
}

impl OneLine for String {
    /// Line ends and tabs as escapes, so that a step stays one line; all else stays readable.
    fn escape_default_lines(&self) -> String {
        self.replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('\r', "\\r")
            .replace('\t', "\\t")
    }
}

/// Replaces the scalar value of every member `name` by `"*"`, also inside JSON that is itself a
/// string (there the quotes are escaped).
fn mask_member(text: &str, name: &str) -> String {
    let mut masked = text.to_owned();
    for quote in ["\"", "\\\""] {
        let start = format!("{quote}{name}{quote}:");
        let mut result = String::with_capacity(masked.len());
        let mut rest = masked.as_str();
        while let Some((before, after)) = rest.split_once(start.as_str()) {
            result.push_str(before);
            result.push_str(&start);
            let length = scalar_length(after, quote);
            if length > 0 {
                result.push_str(quote);
                result.push('*');
                result.push_str(quote);
            }
            rest = after.get(length..).unwrap_or_default();
        }
        result.push_str(rest);
        masked = result;
    }
    masked
}

/// The text without the lines of a JSON string that begin with a tab.
fn without_frames(text: &str) -> String {
    let mut parts = text.split("\\n\\t");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find("\\n").into_iter().chain(part.find('"')).min();
        rest.push_str(part.get(end.unwrap_or(part.len())..).unwrap_or_default());
    }
    rest
}

/// Replaces the array of every member `name`, as far as it holds no bracket itself.
fn mask_list(text: &str, name: &str) -> String {
    let start = format!("\"{name}\":[");
    let mut parts = text.split(start.as_str());
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str(&start);
        masked.push_str("\"*\"]");
        masked.push_str(part.split_once(']').map_or("", |(_, rest)| rest));
    }
    masked
}

/// Bytes of the number, literal or string at the start of `text`; 0 for an object or array.
fn scalar_length(text: &str, quote: &str) -> usize {
    if let Some(inside) = text.strip_prefix(quote) {
        let mut at = 0;
        loop {
            let Some(found) = inside.get(at..).and_then(|tail| tail.find(quote)) else {
                return 0;
            };
            let end = at + found;
            let before = inside.get(..end).unwrap_or_default();
            let backslashes = before.len() - before.trim_end_matches('\\').len();
            // One level down every inner quote carries more backslashes than the closing one.
            if backslashes % 2 == 0 {
                return quote.len() + end + quote.len();
            }
            at = end + quote.len();
        }
    }
    if text.starts_with(['{', '[']) {
        return 0;
    }
    text.find([',', '}', ']']).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::{differences, mask_list, mask_member};

    #[test]
    fn members_are_masked_wherever_they_stand() {
        let check = |input: &str, expected: &str| assert_eq!(mask_member(input, "ts"), expected);
        check(r#"{"ts":12,"a":1}"#, r#"{"ts":"*","a":1}"#);
        check(r#"{"ts":"a \" b","ts":null}"#, r#"{"ts":"*","ts":"*"}"#);
        check(r#"{"ts":{"ts":true}}"#, r#"{"ts":{"ts":"*"}}"#);
        check(r#"{"v":"{\"ts\":5}"}"#, r#"{"v":"{\"ts\":\"*\"}"}"#);
        check(
            r#"{"v":"{\"ts\":\"x\",\"b\":1}"}"#,
            r#"{"v":"{\"ts\":\"*\",\"b\":1}"}"#,
        );
        check(r#"{"tsx":1}"#, r#"{"tsx":1}"#);
    }

    #[test]
    fn lists_are_masked_wherever_they_stand() {
        let found = mask_list(r#"{"r":["a","b"],"s":["c"],"r":[]}"#, "r");
        assert_eq!(found, r#"{"r":["*"],"s":["c"],"r":["*"]}"#);
    }

    #[test]
    fn every_line_that_differs_is_named() {
        assert_eq!(differences("a\t1\n", "a\t1\n"), "");
        let text = differences("a\t1\nb\t2\n", "a\t1\nb\t3\nc\t4\n");
        assert!(
            text.contains("line 2: b / b") && text.contains("line 3: nothing / c"),
            "{text}"
        );
        assert!(text.contains("2 of 3 lines differ"), "{text}");
    }
}
