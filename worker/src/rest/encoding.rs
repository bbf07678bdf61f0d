//! Which encoding of Unicode a JSON body is in, by its first bytes, and the body as UTF-8.
//!
//! Never refuses: what is broken in its own encoding becomes U+FFFD. Answers for Jackson's
//! `ByteSourceJsonBootstrapper`.

use std::borrow::Cow;

/// The body as UTF-8; a mark at its start stays only in what is UTF-8 already.
pub(super) fn to_utf8(body: &[u8]) -> Cow<'_, [u8]> {
    let first = body.get(..4).unwrap_or(body);
    match first {
        [0, 0, 0xfe, 0xff] => utf32(body, 4, u32::from_be_bytes),
        [0xff, 0xfe, 0, 0] => utf32(body, 4, u32::from_le_bytes),
        [0, 0, 0, _] => utf32(body, 0, u32::from_be_bytes),
        [_, 0, 0, 0] => utf32(body, 0, u32::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(body, 2, u16::from_be_bytes),
        [0xff, 0xfe, ..] => utf16(body, 2, u16::from_le_bytes),
        [0, second, ..] if *second != 0 => utf16(body, 0, u16::from_be_bytes),
        [first, 0, ..] if *first != 0 => utf16(body, 0, u16::from_le_bytes),
        _ => Cow::Borrowed(body),
    }
}

fn utf16(body: &[u8], skip: usize, unit: impl Fn([u8; 2]) -> u16) -> Cow<'_, [u8]> {
    let (pairs, _) = body.get(skip..).unwrap_or_default().as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    let text: String = char::decode_utf16(units)
        .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    Cow::Owned(text.into_bytes())
}

fn utf32(body: &[u8], skip: usize, unit: impl Fn([u8; 4]) -> u32) -> Cow<'_, [u8]> {
    let (words, _) = body.get(skip..).unwrap_or_default().as_chunks::<4>();
    let text: String = words
        .iter()
        .map(|word| char::from_u32(unit(*word)).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    Cow::Owned(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_of_unicode_is_known_by_its_first_bytes() {
        let check = |body: &[u8], expected: &str| {
            assert_eq!(to_utf8(body).as_ref(), expected.as_bytes(), "{body:?}");
        };
        check(b"{}", "{}");
        check(b"{\0}\0", "{}");
        check(b"\0{\0}", "{}");
        check(b"\xff\xfe{\0}\0", "{}");
        check(b"\xfe\xff\0{\0}", "{}");
        check(b"{\0\0\0}\0\0\0", "{}");
        check(b"\0\0\0{\0\0\0}", "{}");
        check(b"\0", "\0");
        check(b"", "");
    }
}
