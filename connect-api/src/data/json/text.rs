//! How Jackson writes strings, numbers and bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::java;

/// Where the first byte stands that a JSON string cannot hold as it is: a quote, a backslash or a
/// control character; the length if there is none. Sixteen bytes at a time, without a branch among
/// them, so that they are compared at once.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks::<16>();
    let has_special = |block: &[u8; 16]| {
        let marks = block.map(|byte| u8::from(is_special(byte)));
        marks.iter().fold(0, |any, mark| any | mark) != 0
    };
    let plain = blocks
        .iter()
        .position(has_special)
        .map_or(bytes.len() - rest.len(), |block| block * 16);
    let (words, rest) = bytes.get(plain..).unwrap_or_default().as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        if let Some(at) = special_in(u64::from_le_bytes(*word)) {
            return plain + index * 8 + at;
        }
    }
    let special = rest.iter().position(|&byte| is_special(byte));
    plain + words.len() * 8 + special.unwrap_or(rest.len())
}

/// Where the first of eight bytes stands that is special, the lowest being the first. A difference
/// borrows from the next byte only where it has found one.
#[inline]
fn special_in(word: u64) -> Option<usize> {
    const EACH: u64 = u64::MAX / 0xff;
    const HIGH_BITS: u64 = EACH << 7;
    let below = |bytes: u64, limit: u8| bytes.wrapping_sub(EACH * u64::from(limit)) & !bytes;
    let equals = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    let marks = (below(word, 0x20) | equals(b'"') | equals(b'\\')) & HIGH_BITS;
    (marks != 0).then(|| (marks.trailing_zeros() / 8) as usize)
}

#[inline]
fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// A text of this length has its room made for it, with some for what follows.
const LONG_TEXT: usize = 1024 * 1024;
const ROOM_BEHIND: usize = 16 * 1024;

/// Appends a string in quotes, escaped as Jackson does: quotes, backslashes, control characters,
/// and as two escapes each what takes two UTF-16 units; nothing else.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    if text.len() >= LONG_TEXT {
        // Else what follows would double a buffer that is large already.
        out.reserve_exact(text.len() + text.len() / 64 + ROOM_BEHIND);
    }
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_length(rest);
        write_plain(&rest[..plain], out);
        let Some(&byte) = rest.get(plain) else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
        rest = &rest[plain + 1..];
    }
    out.push(b'"');
}

fn write_plain(bytes: &[u8], out: &mut Vec<u8>) {
    // Only these begin a character beyond the 65536 that one UTF-16 unit holds.
    const FOUR_BYTES: u8 = 0xf0;
    let wide = |bytes: &[u8]| bytes.iter().position(|&byte| byte >= FOUR_BYTES);
    let mut rest = bytes;
    if !bytes.is_ascii() {
        while let Some(at) = wide(rest) {
            let (before, after) = rest.split_at(at);
            out.extend_from_slice(before);
            let (character, after) = after.split_at(after.len().min(4));
            for unit in String::from_utf8_lossy(character).encode_utf16() {
                out.extend_from_slice(format!("\\u{unit:04X}").as_bytes());
            }
            rest = after;
        }
    }
    out.extend_from_slice(rest);
}

/// Appends an integer.
pub(super) fn write_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// So many characters hold no more digits than every double or float tells apart.
const DOUBLE_DIGITS: usize = 16;
const FLOAT_DIGITS: usize = 7;

/// Appends a double; what is not finite goes in quotes.
pub(crate) fn write_double(value: f64, out: &mut Vec<u8>) {
    // Java's text is Ryu's for what has no exponent and few digits.
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format(value);
    if (1e-3..1e7).contains(&value.abs()) && shortest.len() <= DOUBLE_DIGITS {
        out.extend_from_slice(shortest.as_bytes());
    } else {
        write_floating(&java::double_to_string(value), value.is_finite(), out);
    }
}

/// Appends a float; what is not finite goes in quotes.
pub(crate) fn write_float(value: f32, out: &mut Vec<u8>) {
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format(value);
    if (1e-3..1e7).contains(&value.abs()) && shortest.len() <= FLOAT_DIGITS {
        out.extend_from_slice(shortest.as_bytes());
    } else {
        write_floating(&java::float_to_string(value), value.is_finite(), out);
    }
}

fn write_floating(text: &str, finite: bool, out: &mut Vec<u8>) {
    let quote: &[u8] = if finite { b"" } else { b"\"" };
    out.extend_from_slice(quote);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(quote);
}

/// Appends bytes as base64 in quotes.
pub(super) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD
        .encode_slice(bytes, &mut out[start..])
        .expect("four characters for every three bytes are enough");
    out.truncate(start + written);
    out.push(b'"');
}

/// The bytes of a base64 text as Jackson reads it: padded, white space between groups passed over.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    if let Ok(bytes) = STANDARD.decode(text) {
        return Some(bytes);
    }
    let dense: Vec<u8> = text.bytes().filter(|&byte| byte > b' ').collect();
    STANDARD.decode(dense).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quotes_backslashes_controls_and_surrogates_are_escaped() {
        let mut out = Vec::new();
        write_string(
            "a\"b\\c\n\t\u{1}\u{1f}\u{7f}/é\u{2028}😀 long enough for words\r",
            &mut out,
        );
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            "\"a\\\"b\\\\c\\n\\t\\u0001\\u001F\u{7f}/é\u{2028}\\uD83D\\uDE00 long enough for words\\r\""
        );
    }

    #[test]
    fn the_first_special_byte_is_found_at_every_place() {
        for length in 0..40 {
            for at in 0..length {
                for special in [b'"', b'\\', 0, 0x1f] {
                    let mut bytes = vec![b'x'; length];
                    bytes[at] = special;
                    assert_eq!(plain_length(&bytes), at, "{length} {at} {special}");
                }
            }
            assert_eq!(plain_length(&vec![0xff; length]), length);
        }
    }

    #[test]
    fn numbers_are_java_s() {
        let text = |value| {
            let mut out = Vec::new();
            write_double(value, &mut out);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(text(0.001), "0.001");
        assert_eq!(text(-9_999_999.5), "-9999999.5");
        assert_eq!(text(1e7), "1.0E7");
        assert_eq!(text(1e-5), "1.0E-5");
        assert_eq!(text(-0.0), "-0.0");
        assert_eq!(text(f64::NAN), "\"NaN\"");
        assert_eq!(text(f64::NEG_INFINITY), "\"-Infinity\"");
    }

    #[test]
    fn base64_is_padded_and_reads_over_white_space() {
        let mut out = Vec::new();
        write_base64(b"ab", &mut out);
        assert_eq!(out, b"\"YWI=\"");
        assert_eq!(decode_base64("YW\nI="), Some(b"ab".to_vec()));
        assert_eq!(decode_base64("YWI"), None);
    }
}
