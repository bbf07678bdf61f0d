//! JSON as Jackson's text generator prints it, which is how the text of a schema looks in a
//! registry: floating numbers as Java writes them, control characters escaped in capitals. And JSON
//! read to the last digit of its numbers.

use connect_api::java::double_to_string;
use indexmap::IndexMap;
use serde::de::Error as _;
use serde_json::Value;
use serde_json::value::RawValue;

/// Texts that are nested deeper are refused.
const MAX_DEPTH: usize = 128;

/// The value of a text. Floating numbers are the nearest ones to what is written, which
/// `serde_json`'s own are not always.
///
/// # Errors
/// The text is not JSON, or is nested too deeply.
pub fn parse(text: &str) -> serde_json::Result<Value> {
    parse_at(text, 0)
}

fn parse_at(text: &str, depth: usize) -> serde_json::Result<Value> {
    if depth > MAX_DEPTH {
        return Err(serde_json::Error::custom("nested too deeply"));
    }
    match text.trim_start().as_bytes().first() {
        Some(b'{') => {
            let members: IndexMap<String, &RawValue> = serde_json::from_str(text)?;
            let members = members
                .into_iter()
                .map(|(name, member)| Ok((name, parse_at(member.get(), depth + 1)?)));
            members
                .collect::<serde_json::Result<_>>()
                .map(Value::Object)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            let items = items
                .into_iter()
                .map(|item| parse_at(item.get(), depth + 1));
            items.collect::<serde_json::Result<_>>().map(Value::Array)
        }
        _ => {
            let value: Value = serde_json::from_str(text)?;
            let exact = match &value {
                Value::Number(number) if number.is_f64() => text.trim().parse().ok(),
                _ => None,
            };
            let exact = exact.and_then(serde_json::Number::from_f64);
            Ok(exact.map_or(value, Value::Number))
        }
    }
}

/// The text of a value, without white space.
pub fn print(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(number) => out.push_str(&double_to_string(number)),
            None => out.push_str(&number.to_string()),
        },
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (index, (name, member)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(name, out);
                out.push(':');
                write(member, out);
            }
            out.push('}');
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < ' ' => {
                out.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_read_to_their_last_digit() {
        let text =
            r#" {"a": [1.6721149848464963E13, -7, 18446744073709551615, 1.5], "b": {"c": null}} "#;
        let read = parse(text).expect("JSON");
        assert_eq!(
            print(&read),
            r#"{"a":[1.6721149848464963E13,-7,18446744073709551615,1.5],"b":{"c":null}}"#
        );
        for wrong in ["", "{", "[1,]", "{} 1", "1 2", "nul", "{\"a\":}"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(parse(&deep).is_err());
    }

    #[test]
    fn texts_and_numbers_look_as_from_java() {
        assert_eq!(
            print(&json!({"a": [1e300, 1.5, 7, -1], "b": "\u{1f}\u{1}é\u{2028}😀\"\n", "c": null})),
            "{\"a\":[1.0E300,1.5,7,-1],\"b\":\"\\u001F\\u0001é\u{2028}😀\\\"\\n\",\"c\":null}"
        );
    }
}
