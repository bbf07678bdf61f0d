//! Escapes in JSON strings, as Jackson reads them.

/// The text that an escaped string stands for; otherwise what is wrong with it, and how many bytes
/// there are from the character that is wrong to the end.
pub(super) fn unescape(raw: &str) -> Result<String, (String, usize)> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(rest.get(..at).unwrap_or_default());
        let mut characters = rest.get(at + 1..).unwrap_or_default().chars();
        match characters.next() {
            Some(plain @ ('"' | '\\' | '/')) => text.push(plain),
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('u') => {
                let (unit, after) = hex_unit(characters.as_str())?;
                characters = after.chars();
                let low = match unit {
                    0xd800..0xdc00 => after.strip_prefix("\\u").map(hex_unit).transpose()?,
                    _ => None,
                };
                match low {
                    Some((low @ 0xdc00..0xe000, after)) => {
                        characters = after.chars();
                        let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        text.extend(char::from_u32(code));
                    }
                    // Half a pair: what Java writes of it in UTF-8.
                    _ => text.push(char::from_u32(unit).unwrap_or('?')),
                }
            }
            other => {
                let length = other.map_or(0, char::len_utf8);
                let other = other.unwrap_or('"');
                return Err((
                    format!(
                        "Unrecognized character escape '{other}' (code {})",
                        u32::from(other)
                    ),
                    characters.as_str().len() + length,
                ));
            }
        }
        rest = characters.as_str();
    }
    text.push_str(rest);
    Ok(text)
}

fn hex_unit(text: &str) -> Result<(u32, &str), (String, usize)> {
    if let (Some(digits), Some(rest)) = (text.get(..4), text.get(4..))
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Ok((u32::from_str_radix(digits, 16).unwrap_or(0), rest));
    }
    let good = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    let wrong = text.get(good..).and_then(|rest| rest.chars().next());
    let rest = text.len() - good;
    let wrong = wrong.unwrap_or('"');
    let message = format!(
        "Unexpected character ('{wrong}' (code {})): expected a hex-digit for character escape \
         sequence",
        u32::from(wrong)
    );
    Err((message, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_characters() {
        for (raw, text) in [
            (r#"a\"b\\c\/\n\t"#, "a\"b\\c/\n\t"),
            (r"\u00e9\ud83d\ude00\u0001", "\u{e9}\u{1f600}\u{1}"),
            (r"\ud83dx", "?x"),
        ] {
            assert_eq!(unescape(raw).as_deref(), Ok(text), "{raw}");
        }
        assert!(unescape(r"\x").is_err());
        assert!(unescape(r"\u12").is_err());
    }
}
