//! Parses JSON as Jackson does: strict about tokens, silent about what follows the first value.

use super::error::{CONSTRAINTS, Failure, JsonError, NOT_A_NUMBER, Parsed, place};
use super::escape::unescape;
use super::text::plain_length;
use crate::data::{ByteString, Bytes, ConnectMap, Value};

/// Jackson's limits (`StreamReadConstraints`).
const MAX_DEPTH: usize = 1000;
const MAX_NUMBER_LENGTH: usize = 1000;
/// What is made of the parsed parts: a tree, or values at once.
pub(super) trait Build: Sized {
    fn null() -> Self;
    fn boolean(value: bool) -> Self;
    fn integer(value: i64) -> Self;
    /// An integer that does not fit.
    fn big_integer(digits: &str) -> Self;
    fn fraction(text: &str) -> Self;
    fn text(text: ByteString) -> Self;
    fn array(items: Vec<Self>) -> Self;
    /// Names may repeat; the last one wins in the first one's place.
    fn object(members: Vec<(ByteString, Self)>) -> Self;
}

impl Build for Value {
    fn null() -> Self {
        Self::Null
    }
    fn boolean(value: bool) -> Self {
        Self::Boolean(value)
    }
    fn integer(value: i64) -> Self {
        Self::Int64(value)
    }
    fn big_integer(digits: &str) -> Self {
        Self::Int64(low_bits(digits))
    }
    fn fraction(text: &str) -> Self {
        Self::Float64(double(text))
    }
    fn text(text: ByteString) -> Self {
        Self::String(text)
    }
    fn array(items: Vec<Self>) -> Self {
        Self::Array(items)
    }
    fn object(members: Vec<(ByteString, Self)>) -> Self {
        let members = members
            .into_iter()
            .map(|(name, value)| (Self::String(name), value));
        Self::Map(Box::new(members.collect::<ConnectMap>()))
    }
}

/// `BigInteger.longValue`: the low 64 bits.
pub(super) fn low_bits(digits: &str) -> i64 {
    let Some(value) = num_bigint::BigInt::parse_bytes(digits.as_bytes(), 10) else {
        return 0;
    };
    let bytes = value.to_signed_bytes_le();
    let fill = if value.sign() == num_bigint::Sign::Minus {
        0xff
    } else {
        0
    };
    let mut low = [fill; 8];
    let count = bytes.len().min(8);
    low[..count].copy_from_slice(&bytes[..count]);
    i64::from_le_bytes(low)
}

/// `BigDecimal.doubleValue`: there is no negative zero.
pub(super) fn double(text: &str) -> f64 {
    let value: f64 = text.parse().unwrap_or(0.0);
    if value == 0.0 { 0.0 } else { value }
}

/// The schemaless value of a whole message; no bytes are a null.
pub(super) fn schemaless(bytes: &Bytes) -> Result<Value, JsonError> {
    let text = super::valid_text(bytes);
    whole(&text, bytes)
}

/// Parses the first value of a whole message of which `text` is the valid part.
pub(super) fn whole<B: Build>(text: &ByteString, bytes: &Bytes) -> Result<B, JsonError> {
    let mut parser = Parser::new(text);
    if parser.rest().starts_with("\u{feff}".as_bytes()) {
        parser.pos = 3;
    }
    parser.skip_space();
    if parser.pos == text.len() && text.len() == bytes.len() {
        return Ok(B::null());
    }
    parser.root::<B>().map_err(|failure| {
        let failure = match bytes.get(text.len()) {
            // The text ended early because of this byte.
            Some(byte) if failure.at >= text.len() => Failure {
                class: "JsonParseException",
                message: format!("Invalid UTF-8 start byte 0x{byte:x}"),
                at: text.len(),
            },
            _ => *failure,
        };
        failure.located_in(text)
    })
}

/// A string as it stands in the text.
#[derive(Debug)]
pub struct RawString<'a> {
    /// Between the quotes.
    pub raw: &'a str,
    /// Whether there are escapes in it.
    pub escaped: bool,
}

/// A number as it stands in the text.
#[derive(Debug)]
pub enum Number<'a> {
    /// An integer that fits.
    Integer(i64),
    /// An integer that does not fit.
    BigInteger(&'a str),
    /// A number with a fraction or an exponent.
    Fraction(&'a str),
}

/// A place in a text that is read token by token, without a tree.
#[derive(Debug)]
pub struct Parser<'a> {
    text: &'a ByteString,
    bytes: &'a [u8],
    /// The place, in bytes.
    pub pos: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// The beginning of a text.
    pub fn new(text: &'a ByteString) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            pos: 0,
            depth: 0,
        }
    }
    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.pos..).unwrap_or_default()
    }
    /// The next byte.
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }
    /// The next byte that is no white space.
    pub fn peek_token(&mut self) -> Option<u8> {
        match self.peek() {
            Some(byte) if byte > b' ' => Some(byte),
            _ => {
                self.skip_space();
                self.peek()
            }
        }
    }
    pub(super) fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.pos += 1;
        }
    }
    /// Passes over `expected` if it is there.
    pub fn eat(&mut self, expected: &[u8]) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.pos += expected.len();
        }
        found
    }
    /// A slice of the text that shares its memory.
    fn share(&self, part: &str) -> ByteString {
        if part.is_empty() {
            ByteString::new()
        } else {
            self.text.slice_ref(part)
        }
    }
    fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    fn failure(&self, message: impl Into<String>) -> Box<Failure> {
        Box::new(Failure {
            class: "JsonParseException",
            message: message.into(),
            at: self.pos,
        })
    }
    fn end_of_input(&self, expected: &str) -> Box<Failure> {
        Box::new(Failure {
            class: "io.JsonEOFException",
            message: format!("Unexpected end-of-input{expected}"),
            at: self.bytes.len(),
        })
    }
    /// An unexpected character, or the end.
    fn unexpected(&self, wanted: &str, at_end: &str) -> Box<Failure> {
        match self
            .text
            .get(self.pos..)
            .and_then(|rest| rest.chars().next())
        {
            None => self.end_of_input(at_end),
            Some(character) if character < ' ' => Box::new(Failure {
                at: self.pos + 1,
                ..*self.failure(format!(
                    "Illegal character ((CTRL-CHAR, code {})): only regular white space (\\r, \\n, \
                     \\t) is allowed between tokens",
                    u32::from(character)
                ))
            }),
            // Jackson takes the first byte for a character and fails at the second one.
            Some(character) if !character.is_ascii() => Box::new(Failure {
                at: self.pos + 2,
                ..*self.failure(format!(
                    "Invalid UTF-8 start byte 0x{:x}",
                    self.bytes.get(self.pos + 1).copied().unwrap_or_default()
                ))
            }),
            Some(character) => self.failure(format!(
                "Unexpected character ('{character}' (code {})){wanted}",
                u32::from(character)
            )),
        }
    }

    fn root<B: Build>(&mut self) -> Parsed<B> {
        let number = matches!(self.peek_token(), Some(b'-' | b'0'..=b'9'));
        let value = self.value()?;
        if number
            && matches!(self.peek(), Some(next) if !matches!(next, b' ' | b'\t' | b'\n' | b'\r'))
        {
            return Err(self.unexpected(": Expected space separating root-level values", ""));
        }
        Ok(value)
    }

    /// Any value.
    pub(super) fn value<B: Build>(&mut self) -> Parsed<B> {
        match self.peek_token() {
            Some(b'"') => {
                self.pos += 1;
                self.string().map(B::text)
            }
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'-' | b'0'..=b'9') => Ok(match self.number()? {
                Number::Integer(value) => B::integer(value),
                Number::BigInteger(digits) => B::big_integer(digits),
                Number::Fraction(text) => B::fraction(text),
            }),
            Some(b'n') if self.literal(b"null") => Ok(B::null()),
            Some(b't') if self.literal(b"true") => Ok(B::boolean(true)),
            Some(b'f') if self.literal(b"false") => Ok(B::boolean(false)),
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$' => {
                Err(self.unknown_token())
            }
            Some(b'+') => Err(Box::new(Failure {
                at: self.pos + 1,
                ..*self.unexpected(
                    " in numeric value: JSON spec does not allow numbers to have plus signs: enable \
                     `JsonReadFeature.ALLOW_LEADING_PLUS_SIGN_FOR_NUMBERS` to allow",
                    "",
                )
            })),
            Some(b'/') => Err(self.unexpected(
                ": maybe a (non-standard) comment? (not recognized as one since Feature \
                 'ALLOW_COMMENTS' not enabled for parser)",
                "",
            )),
            Some(close @ (b'}' | b']')) if self.depth == 0 => Err(self.failure(format!(
                "Unexpected close marker '{}': no open {} to close",
                char::from(close),
                if close == b'}' { "Object" } else { "Array" }
            ))),
            Some(b',' | b']') => Err(self.unexpected(": expected a value", "")),
            _ => Err(self.unexpected(
                ": expected a valid value (JSON String, Number, Array, Object or token 'null', \
                 'true' or 'false')",
                "",
            )),
        }
    }

    fn unknown_token(&self) -> Box<Failure> {
        let length = self
            .rest()
            .iter()
            .take_while(|&&byte| is_name_part(byte))
            .count()
            .min(256);
        let token = self.slice(self.pos, self.pos + length);
        if matches!(token, "NaN" | "Infinity") {
            return Box::new(Failure {
                at: self.pos + length,
                ..*self.failure(format!(
                    "Non-standard token '{token}': enable \
                     `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"
                ))
            });
        }
        self.failure(format!(
            "Unrecognized token '{token}': was expecting (JSON String, Number, Array, Object or \
             token 'null', 'true' or 'false')"
        ))
    }

    fn literal(&mut self, text: &[u8]) -> bool {
        let ends = !self
            .bytes
            .get(self.pos + text.len())
            .is_some_and(|&next| is_name_part(next));
        ends && self.eat(text)
    }

    fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Box::new(Failure {
                class: CONSTRAINTS,
                message: format!(
                    "Document nesting depth ({}) exceeds the maximum allowed ({MAX_DEPTH}, from \
                     `StreamReadConstraints.getMaxNestingDepth()`)",
                    self.depth
                ),
                at: self.pos + 1,
            }));
        }
        Ok(())
    }

    fn object<B: Build>(&mut self) -> Parsed<B> {
        self.enter()?;
        let start = self.pos;
        let at_end = |parser: &Self| parser.close_marker("Object", start);
        self.pos += 1;
        let mut members = Vec::new();
        if self.peek_token() == Some(b'}') {
            self.pos += 1;
        } else {
            loop {
                match self.peek_token() {
                    Some(b'"') => self.pos += 1,
                    None if !members.is_empty() => {
                        return Err(
                            self.failure("Unexpected end-of-input within/between Object entries")
                        );
                    }
                    _ => {
                        return Err(self.unexpected(
                            ": was expecting double-quote to start field name",
                            &at_end(self),
                        ));
                    }
                }
                let name = self.string()?;
                if self.peek_token() != Some(b':') {
                    return Err(self.unexpected(
                        ": was expecting a colon to separate field name and value",
                        " within/between Object entries",
                    ));
                }
                self.pos += 1;
                if self.peek_token().is_none() {
                    return Err(self.end_of_input(" within/between Object entries"));
                }
                members.push((name, self.value()?));
                match self.peek_token() {
                    Some(b',') => self.pos += 1,
                    Some(b'}') => {
                        self.pos += 1;
                        break;
                    }
                    _ => {
                        return Err(self.unexpected(
                            ": was expecting comma to separate Object entries",
                            &at_end(self),
                        ));
                    }
                }
            }
        }
        self.depth -= 1;
        Ok(B::object(members))
    }

    fn array<B: Build>(&mut self) -> Parsed<B> {
        self.enter()?;
        let start = self.pos;
        self.pos += 1;
        let mut items = Vec::new();
        if self.peek_token() == Some(b']') {
            self.pos += 1;
        } else {
            loop {
                if self.peek_token().is_none() {
                    return Err(match items.is_empty() {
                        true => self.end_of_input(&self.close_marker("Array", start)),
                        false => {
                            self.failure("Unexpected end-of-input within/between Array entries")
                        }
                    });
                }
                items.push(self.value()?);
                match self.peek_token() {
                    Some(b',') => self.pos += 1,
                    Some(b']') => {
                        self.pos += 1;
                        break;
                    }
                    _ => {
                        return Err(self.unexpected(
                            ": was expecting comma to separate Array entries",
                            &self.close_marker("Array", start),
                        ));
                    }
                }
            }
        }
        self.depth -= 1;
        Ok(B::array(items))
    }

    fn close_marker(&self, what: &str, start: usize) -> String {
        let (line, column) = place(self.text, start);
        format!(
            ": expected close marker for {what} (start marker at [Source: REDACTED \
             (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {line}, column: \
             {column}])"
        )
    }

    /// A string whose opening quote was passed, as it stands in the text.
    ///
    /// # Errors
    /// The text is not JSON.
    pub fn raw_string(&mut self) -> Parsed<RawString<'a>> {
        let start = self.pos;
        let mut escaped = false;
        loop {
            self.pos += plain_length(self.rest());
            match self.peek() {
                Some(b'"') => {
                    let raw = self.slice(start, self.pos);
                    self.pos += 1;
                    return Ok(RawString { raw, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.pos = (self.pos + 2).min(self.bytes.len());
                }
                Some(control) => {
                    return Err(self.failure(format!(
                        "Illegal unquoted character ((CTRL-CHAR, code {control})): has to be \
                         escaped using backslash to be included in string value"
                    )));
                }
                None => {
                    return Err(self.end_of_input(" in VALUE_STRING"));
                }
            }
        }
    }

    /// A string whose opening quote was passed; shares the text where nothing is escaped.
    ///
    /// # Errors
    /// The text is not JSON.
    pub fn string(&mut self) -> Parsed<ByteString> {
        let RawString { raw, escaped } = self.raw_string()?;
        if !escaped {
            return Ok(self.share(raw));
        }
        unescape(raw)
            .map(ByteString::from)
            .map_err(|(message, rest)| {
                // `rest` counts from the character that is wrong to the closing quote.
                let at = (self.pos - 1).saturating_sub(rest);
                Box::new(Failure {
                    at,
                    ..*self.failure(message)
                })
            })
    }

    /// A number; zeros may lead it (`ALLOW_LEADING_ZEROS_FOR_NUMBERS`).
    ///
    /// # Errors
    /// The text is not JSON.
    pub fn number(&mut self) -> Parsed<Number<'a>> {
        let start = self.pos;
        let negative = self.eat(b"-");
        let first = self.pos;
        let mut value = 0i64;
        let mut fits = true;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            // Downwards, so that the smallest number fits.
            match value
                .checked_mul(10)
                .and_then(|value| value.checked_sub(i64::from(digit - b'0')))
            {
                Some(next) => value = next,
                None => fits = false,
            }
            self.pos += 1;
        }
        if self.pos == first {
            return Err(self.unexpected(
                " in numeric value: expected digit (0-9) to follow minus sign, for valid numeric \
                 value",
                " in null",
            ));
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            integer = false;
            self.pos += 1;
            self.digits(" in numeric value: Decimal point not followed by a digit")?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            integer = false;
            self.pos += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.pos += 1;
            }
            self.digits(" in numeric value: Exponent indicator not followed by a digit")?;
        }
        let text = self.slice(start, self.pos);
        let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
        if text.len() > MAX_NUMBER_LENGTH && digits(text) > MAX_NUMBER_LENGTH {
            return Err(Box::new(Failure {
                class: CONSTRAINTS,
                message: format!(
                    "Number value length ({}) exceeds the maximum allowed ({MAX_NUMBER_LENGTH}, \
                     from `StreamReadConstraints.getMaxNumberLength()`)",
                    digits(text)
                ),
                at: self.pos,
            }));
        }
        if !integer {
            if let Some(why) = exponent_problem(text) {
                return Err(Box::new(Failure {
                    class: NOT_A_NUMBER,
                    message: format!(
                        "Value \"{text}\" can not be deserialized as `java.math.BigDecimal`, \
                         reason:  {why}"
                    ),
                    at: self.pos,
                }));
            }
            return Ok(Number::Fraction(text));
        }
        let value = if negative {
            Some(value)
        } else {
            value.checked_neg()
        };
        Ok(match value.filter(|_| fits) {
            Some(value) => Number::Integer(value),
            None => Number::BigInteger(text),
        })
    }

    fn digits(&mut self, missing: &str) -> Parsed<()> {
        let start = self.pos;
        while let Some(b'0'..=b'9') = self.peek() {
            self.pos += 1;
        }
        if self.pos == start {
            if self.peek().is_none() && self.bytes.get(start - 1) == Some(&b'.') {
                // At the end, Jackson names the point itself.
                self.pos -= 1;
                return Err(self.unexpected(missing, ""));
            }
            return Err(self.unexpected(missing, " in null"));
        }
        Ok(())
    }

    /// Passes over any value.
    ///
    /// # Errors
    /// The text is not JSON.
    pub fn skip_value(&mut self) -> Parsed<()> {
        self.value::<Skipped>().map(|_| ())
    }
}

/// Why a number's exponent is beyond a BigDecimal's 32 bits, if it is.
fn exponent_problem(text: &str) -> Option<&'static str> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let digits = exponent
        .trim_start_matches(['+', '-'])
        .trim_start_matches('0');
    if digits.len() > 10 {
        return Some("Too many nonzero exponent digits.");
    }
    let size: i64 = if digits.is_empty() {
        0
    } else {
        digits.parse().ok()?
    };
    if i32::try_from(size).is_err() {
        return Some("Exponent overflow.");
    }
    let exponent = if exponent.starts_with('-') {
        -size
    } else {
        size
    };
    let fraction = mantissa
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len() as i64);
    i32::try_from(fraction - exponent)
        .is_err()
        .then_some("Scale out of range.")
}

fn is_name_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Nothing is made of what is passed over.
struct Skipped;
impl Build for Skipped {
    fn null() -> Self {
        Self
    }
    fn boolean(_: bool) -> Self {
        Self
    }
    fn integer(_: i64) -> Self {
        Self
    }
    fn big_integer(_: &str) -> Self {
        Self
    }
    fn fraction(_: &str) -> Self {
        Self
    }
    fn text(_: ByteString) -> Self {
        Self
    }
    fn array(_: Vec<Self>) -> Self {
        Self
    }
    fn object(_: Vec<(ByteString, Self)>) -> Self {
        Self
    }
}
