//! Java properties files (`java.util.Properties.load`): worker files, connector files of the
//! standalone mode, and what the file config provider reads.

use std::fmt;

use crate::Props;

/// Why a text is no properties file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertiesError {
    /// Line where the logical line ends, from 1.
    pub line: usize,
}

impl fmt::Display for PropertiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed \\uxxxx encoding in line {}", self.line)
    }
}
impl std::error::Error for PropertiesError {}

/// Parses a properties file. A key that stands twice keeps its first place and its last value.
///
/// # Errors
/// A `\u` that is not followed by four hexadecimal digits.
pub fn parse_properties(text: &str) -> Result<Props, PropertiesError> {
    let mut properties = Props::new();
    let mut lines = text
        .split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
        .enumerate();
    while let Some((number, line)) = lines.next() {
        let start = line.trim_start_matches(WHITE);
        if start.is_empty() || start.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = start.to_owned();
        let mut number = number;
        while ends_with_odd_backslashes(&logical) {
            logical.pop();
            let Some((next_number, next)) = lines.next() else {
                break;
            };
            number = next_number;
            logical.push_str(next.trim_start_matches(WHITE));
        }
        let (key, value) = split(&logical);
        let unescape = |text: &str| unescape(text).ok_or(PropertiesError { line: number + 1 });
        properties.insert(unescape(key)?, unescape(value)?);
    }
    Ok(properties)
}

const WHITE: [char; 3] = [' ', '\t', '\x0c'];

fn ends_with_odd_backslashes(line: &str) -> bool {
    line.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

/// Key and value: apart at the first unescaped `=`, `:` or white space.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, character) in line.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == '=' || character == ':' || WHITE.contains(&character) {
            let (key, rest) = line.split_at(at);
            let rest = rest.trim_start_matches(WHITE);
            let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
            return (key, rest.trim_start_matches(WHITE));
        }
    }
    (line, "")
}

fn unescape(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return Some(text.to_owned());
    }
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    let mut buffer = [0u16; 2];
    while let Some(character) = characters.next() {
        let character = if character == '\\' {
            match characters.next() {
                None => break,
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some('u') => {
                    let mut unit = 0u16;
                    for _ in 0..4 {
                        let digit = characters.next()?.to_digit(16)?;
                        unit = unit << 4 | u16::try_from(digit).ok()?;
                    }
                    units.push(unit);
                    continue;
                }
                Some(other) => other,
            }
        } else {
            character
        };
        units.extend_from_slice(character.encode_utf16(&mut buffer));
    }
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_java_reads_them() {
        let text = "# comment\n! also\n\n a = 1 \nb:2\nc 3\nd\ne = x\\\n   y\nf\\=g=h\\ti\n\
                    u=\\u0041\\ud834\\udd1e\r\nk = a\\\\\nlast=\\:";
        let properties = parse_properties(text).expect("well-formed");
        let expected = [
            ("a", "1 "),
            ("b", "2"),
            ("c", "3"),
            ("d", ""),
            ("e", "xy"),
            ("f=g", "h\ti"),
            ("u", "A𝄞"),
            ("k", "a\\"),
            ("last", ":"),
        ];
        assert_eq!(
            properties
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect::<Vec<_>>(),
            expected
        );
        assert_eq!(
            parse_properties("a=1\nb=\\u00g0"),
            Err(PropertiesError { line: 2 })
        );
    }
}
