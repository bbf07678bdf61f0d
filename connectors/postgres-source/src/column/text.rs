//! Texts inside texts: hexadecimal bytes, hstore, array literals; and masks over texts.
//!
//! Pure. Answers for pgjdbc's `PGbytea`, `HStoreConverter` and `ArrayDecoding`, and for Debezium's
//! `MaskStrings` and `TruncateColumn`.

use bytes::Bytes;
use connect_api::ByteString;
use connect_api::data::Value;
use connect_api::java::HashMap as JavaHashMap;

/// Octets of hexadecimal digits.
pub(super) fn parse_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

/// Octets of a `bytea`: `\xdeadbeef`, or the older form with `\\` and `\ooo`.
pub(super) fn parse_bytea(text: &[u8]) -> Option<Vec<u8>> {
    if let Some(digits) = text.strip_prefix(b"\\x") {
        return parse_hex(digits);
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            octets.push(byte);
        } else if let Some(after) = rest.strip_prefix(b"\\") {
            octets.push(b'\\');
            rest = after;
        } else {
            let digits = rest.get(..3)?;
            let octet = std::str::from_utf8(digits).ok()?;
            octets.push(u8::from_str_radix(octet, 8).ok()?);
            rest = &rest[3..];
        }
    }
    Some(octets)
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len() * 2);
    for octet in octets {
        for half in [octet >> 4, octet & 15] {
            out.push(char::from(if half < 10 {
                b'0' + half
            } else {
                b'a' + half - 10
            }));
        }
    }
    out
}

/// Keys and values of an `hstore`; iterates as the driver's hash map does.
pub(super) type Hstore = JavaHashMap<ByteString, Option<String>>;

/// Reads `"a"=>"1", "b"=>NULL`.
pub(super) fn parse_hstore(text: &str) -> Option<Hstore> {
    let mut map = Hstore::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        let after = after.strip_prefix("=>")?;
        let (value, after) = match after.strip_prefix("NULL") {
            Some(after) => (None, after),
            None => {
                let (value, after) = quoted(after)?;
                (Some(value), after)
            }
        };
        map.insert(ByteString::from(key), value);
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
    }
    Some(map)
}

/// A quoted text at the start, without its quotes and escapes, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix('"')?;
    let mut out = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((out, text.get(at + 1..)?)),
            '\\' => out.push(characters.next()?.1),
            _ => out.push(character),
        }
    }
    None
}

/// An `hstore` as JSON text, written as Jackson's generator writes it.
pub(super) fn hstore_json(map: &Hstore) -> String {
    let mut out = String::from("{");
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_json(&mut out, key);
        out.push(':');
        match value {
            Some(value) => push_json(&mut out, value),
            None => out.push_str("null"),
        }
    }
    out.push('}');
    out
}

/// A JSON string: only quotes, backslashes and control characters are escaped.
pub(super) fn push_json(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            _ if character < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// One element of an array literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Null,
    /// An array in the array.
    Nested(Bytes),
    Text(Bytes),
}

/// The elements of `{1,NULL,"a b"}`, also behind bounds as in `[2:3]={a,b}`. Elements that need no
/// unescaping share the buffer.
pub(super) fn parse_array(literal: &Bytes, delimiter: u8) -> Option<Vec<Element>> {
    let mut at = match literal.first()? {
        b'[' => literal.iter().position(|&byte| byte == b'=')? + 1,
        _ => 0,
    };
    if literal.get(at) != Some(&b'{') {
        return None;
    }
    at += 1;
    let mut elements = Vec::new();
    if literal.get(at) == Some(&b'}') {
        return Some(elements);
    }
    loop {
        let start = at;
        let element = match literal.get(at)? {
            b'"' => {
                let (text, after) = quoted_element(literal, at + 1)?;
                at = after;
                Element::Text(text)
            }
            b'{' => {
                at = end_of_nested(literal, at)?;
                Element::Nested(literal.slice(start..at))
            }
            _ => {
                while !matches!(literal.get(at)?, b'}') && literal[at] != delimiter {
                    at += 1;
                }
                let text = literal.slice(start..at);
                if text.eq_ignore_ascii_case(b"NULL") {
                    Element::Null
                } else {
                    Element::Text(text)
                }
            }
        };
        elements.push(element);
        match literal.get(at)? {
            b'}' => return Some(elements),
            byte if *byte == delimiter => at += 1,
            _ => return None,
        }
    }
}

/// The element behind an opening quote, and the place after its closing one.
fn quoted_element(literal: &Bytes, start: usize) -> Option<(Bytes, usize)> {
    let mut at = start;
    let mut owned: Option<Vec<u8>> = None;
    loop {
        match literal.get(at)? {
            b'"' => {
                let text = owned.map_or_else(|| literal.slice(start..at), Bytes::from);
                return Some((text, at + 1));
            }
            b'\\' => {
                let text = owned.get_or_insert_with(|| literal[start..at].to_vec());
                text.push(*literal.get(at + 1)?);
                at += 2;
            }
            byte => {
                if let Some(text) = &mut owned {
                    text.push(*byte);
                }
                at += 1;
            }
        }
    }
}

fn end_of_nested(literal: &Bytes, start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0_usize);
    loop {
        match literal.get(at)? {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'"' => {
                at += 1;
                while *literal.get(at)? != b'"' {
                    at += if literal[at] == b'\\' { 2 } else { 1 };
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// The first `limit` UTF-16 units of a text; half a pair becomes `?`, as when Java encodes it.
pub(super) fn truncate(value: Value, limit: usize) -> Value {
    match value {
        Value::String(text) if text.len() > limit => {
            let mut units = 0;
            for (at, character) in text.char_indices() {
                let width = character.len_utf16();
                if units + width > limit {
                    let kept = text.get(..at).unwrap_or_default();
                    let half = if units < limit { "?" } else { "" };
                    return Value::from(format!("{kept}{half}"));
                }
                units += width;
            }
            Value::String(text)
        }
        Value::Bytes(octets) if octets.len() > limit => Value::Bytes(octets.slice(..limit)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytea_is_read_in_both_forms() {
        assert_eq!(
            parse_bytea(b"\\xdeadBEEF00").unwrap(),
            [0xde, 0xad, 0xbe, 0xef, 0]
        );
        assert_eq!(parse_bytea(b"a\\\\b\\001").unwrap(), [b'a', b'\\', b'b', 1]);
        assert_eq!(parse_bytea(b"\\x0"), None);
        assert_eq!(parse_bytea(b"\\9"), None);
        assert_eq!(hex(&[0xde, 0x0f]), "de0f");
    }

    #[test]
    fn hstore_becomes_json_in_the_order_of_a_java_hash_map() {
        let text = r#""a"=>"2", "q"=>"5", "bb"=>"é", "cc"=>"tab	x", "x y"=>"6", "beta"=>"3", "zeta"=>"1", "gamma"=>"4", "quo\"te"=>"v\\w", "longkeyhere"=>"8""#;
        let json = r#"{"bb":"é","cc":"tab\tx","x y":"6","zeta":"1","a":"2","q":"5","longkeyhere":"8","beta":"3","gamma":"4","quo\"te":"v\\w"}"#;
        assert_eq!(hstore_json(&parse_hstore(text).unwrap()), json);
        assert_eq!(
            hstore_json(&parse_hstore(r#""n"=>NULL"#).unwrap()),
            r#"{"n":null}"#
        );
        assert_eq!(hstore_json(&parse_hstore("").unwrap()), "{}");
        assert!(parse_hstore("\"a\"").is_none());
    }

    #[test]
    fn arrays_are_taken_apart() {
        let parse = |text: &'static str| parse_array(&Bytes::from_static(text.as_bytes()), b',');
        let text = |text: &'static str| Element::Text(Bytes::from_static(text.as_bytes()));
        assert_eq!(parse("{}").unwrap(), []);
        assert_eq!(
            parse("{1,NULL,3}").unwrap(),
            [text("1"), Element::Null, text("3")]
        );
        assert_eq!(
            parse(r#"{a,"b,c","d\"e",NULL,"","NULL"}"#).unwrap(),
            [
                text("a"),
                text("b,c"),
                text("d\"e"),
                Element::Null,
                text(""),
                text("NULL")
            ]
        );
        assert_eq!(parse("[2:3]={a,b}").unwrap(), [text("a"), text("b")]);
        assert_eq!(
            parse(r#"{{1,2},{"}",3}}"#).unwrap(),
            [
                Element::Nested(Bytes::from_static(b"{1,2}")),
                Element::Nested(Bytes::from_static(b"{\"}\",3}"))
            ]
        );
        for wrong in ["", "{", "{1", "{\"a", "{1;2", "1,2", "[1:2]", "{{1}"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_text_is_cut_after_utf_16_units() {
        assert_eq!(truncate(Value::from("abcdef"), 3), Value::from("abc"));
        assert_eq!(truncate(Value::from("äöü"), 3), Value::from("äöü"));
        assert_eq!(truncate(Value::from("äöüx"), 3), Value::from("äöü"));
        assert_eq!(truncate(Value::from("a𝄞b"), 2), Value::from("a?"));
        assert_eq!(truncate(Value::Null, 0), Value::Null);
    }
}
