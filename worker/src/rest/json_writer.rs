//! Writes answers as Jackson writes UTF-8: compact, controls in upper-case hexadecimal, characters
//! beyond the basic plane as two escapes, fractions as Java prints doubles.
//!
//! Answers for Jackson's `UTF8JsonGenerator` as the REST API sets it up.

use std::io;

use connect_api::java::double_to_string;
use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

struct Jackson;

impl Formatter for Jackson {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // Four-byte characters are rare: the whole fragment goes out at once without them.
        if fragment.bytes().all(|byte| byte < 0xF0) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut buffer = [0_u16; 2];
        for character in fragment.chars() {
            if character > '\u{FFFF}' {
                for unit in character.encode_utf16(&mut buffer) {
                    write!(writer, "\\u{unit:04X}")?;
                }
            } else {
                write!(writer, "{character}")?;
            }
        }
        Ok(())
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(double_to_string(value).as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::AsciiControl(byte) => write!(writer, "\\u{byte:04X}"),
            other => CompactFormatter.write_char_escape(writer, other),
        }
    }
}

/// The bytes of an answer.
///
/// # Errors
/// The value's own serialization fails.
pub(super) fn to_vec(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(256);
    value.serialize(&mut Serializer::with_formatter(&mut out, Jackson))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_jackson_escapes_them() {
        let bytes = to_vec(&"a\"\\/\u{1f}\n\u{7f}é😀z").expect("serializes");
        assert_eq!(
            String::from_utf8(bytes).expect("text"),
            "\"a\\\"\\\\/\\u001F\\n\u{7f}é\\uD83D\\uDE00z\""
        );
    }

    #[test]
    fn fractions_are_written_as_java_prints_doubles() {
        let written = to_vec(&[-1e-7, 1e22, 100.0, 0.5]).expect("written");
        assert_eq!(written, b"[-1.0E-7,1.0E22,100.0,0.5]");
    }
}
