//! JSON as Jackson's streaming parser reads it: where it stands, what it refuses, in which words.
//!
//! Knows nothing of any body; see `json_body.rs`. Answers for `UTF8StreamJsonParser`.

use std::borrow::Cow;

use super::encoding;
use crate::herder::request::{Refusal, RequestError, big_integer};

const SOURCE: &str = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)";
const STRING: &str = "java.lang.String";
/// Jackson's `StreamReadConstraints`.
const MAX_DEPTH: usize = 1000;
const MAX_NUMBER: usize = 1000;
const MAX_STRING: usize = 20_000_000;
const MAX_NAME: usize = 50_000;
const VALUES: &str = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";

/// Reads one value and makes sure that nothing follows it.
pub(super) fn read<'a, T>(
    reader: &mut Reader<'a>,
    bound: &str,
    bind: impl FnOnce(&mut Reader<'a>, Token, Place) -> Result<Option<T>, Failure>,
) -> Result<Option<T>, RequestError> {
    reader.skip_white();
    if reader.peek().is_none() {
        return Ok(None);
    }
    let all = || {
        let start = reader.place();
        let token = reader.token(Within::Root)?;
        let value = bind(reader, token, start)?;
        reader.skip_white();
        if reader.peek().is_some() {
            let at = reader.place();
            let token = reader.token(Within::Root)?;
            return Err(Failure::new(
                at,
                format!(
                    "Trailing token (of type {}) found after value (bound as `{bound}`): not allowed as \
                     per `DeserializationFeature.FAIL_ON_TRAILING_TOKENS`",
                    token.name()
                ),
            ));
        }
        Ok(value)
    };
    all().map_err(Failure::into_request_error)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    column: usize,
}

impl Place {
    fn text(self) -> String {
        format!(
            "[Source: {SOURCE}; line: {}, column: {}]",
            self.line, self.column
        )
    }
}

/// What is wrong, where, and the way to it from the outside.
#[derive(Debug)]
pub(super) struct Failure {
    text: String,
    /// None where Jackson names none.
    at: Option<Place>,
    pub(super) chain: Vec<String>,
    /// Whether it is not even JSON: such a failure does not name the member of a map.
    no_json: bool,
}

impl Failure {
    pub(super) fn new(at: Place, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            at: Some(at),
            chain: Vec::new(),
            no_json: false,
        }
    }
    /// More than Jackson reads.
    fn beyond(what: &str, found: usize, limit: usize, getter: &str) -> Self {
        Self {
            text: format!(
                "{what} ({found}) exceeds the maximum allowed ({limit}, from `StreamReadConstraints.{getter}()`)"
            ),
            at: None,
            chain: Vec::new(),
            no_json: true,
        }
    }
    /// Of what was read well and cannot be used.
    pub(super) fn without_place(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            at: None,
            chain: Vec::new(),
            no_json: false,
        }
    }
    /// The failure seen from the map that holds the value.
    pub(super) fn inside_map(self, class: &str, key: &str) -> Self {
        if self.no_json {
            self
        } else {
            self.inside(class, key)
        }
    }
    /// The failure seen from the object that holds the value.
    pub(super) fn inside(mut self, class: &str, key: &str) -> Self {
        self.chain.insert(0, format!("{class}[\"{key}\"]"));
        self
    }
    fn into_request_error(self) -> RequestError {
        let mut message = self.text;
        if let Some(at) = self.at {
            message.push_str(&format!("\n at {}", at.text()));
        }
        if !self.chain.is_empty() {
            message.push_str(&format!(
                " (through reference chain: {})",
                self.chain.join("->")
            ));
        }
        RequestError::new(
            Refusal::Failure("com.fasterxml.jackson.core.JsonProcessingException"),
            message,
        )
    }
}

/// The first thing of a value. The content of a text is read when it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Object,
    Array,
    Text,
    Integer(String),
    Float(String),
    True,
    False,
    Null,
}

impl Token {
    fn name(&self) -> &'static str {
        match self {
            Self::Object => "START_OBJECT",
            Self::Array => "START_ARRAY",
            Self::Text => "VALUE_STRING",
            Self::Integer(_) => "VALUE_NUMBER_INT",
            Self::Float(_) => "VALUE_NUMBER_FLOAT",
            Self::True => "VALUE_TRUE",
            Self::False => "VALUE_FALSE",
            Self::Null => "VALUE_NULL",
        }
    }
    fn shape(&self) -> &'static str {
        match self {
            Self::Object => "Object value",
            Self::Array => "Array value",
            Self::Text => "String value",
            Self::Integer(_) => "Integer value",
            Self::Float(_) => "Floating-point value",
            Self::True | Self::False => "Boolean value",
            Self::Null => "Null value",
        }
    }
    pub(super) fn cannot_be(&self, class: &str, at: Place) -> Failure {
        Failure::new(
            at,
            format!(
                "Cannot deserialize value of type `{class}` from {} (token `JsonToken.{}`)",
                self.shape(),
                self.name()
            ),
        )
    }
}

/// Whether a character may be part of an identifier.
fn is_part(character: char) -> bool {
    character.is_alphanumeric() || "_$".contains(character)
}

/// A character as Jackson names it.
fn named(character: char) -> String {
    match u32::from(character) {
        code if character.is_control() && character != '\u{7f}' => {
            format!("(CTRL-CHAR, code {code})")
        }
        code => format!("'{character}' (code {code})"),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    Root,
    Object,
    Array,
}

pub(super) struct Reader<'a> {
    body: Cow<'a, [u8]>,
    /// How many objects and arrays are open.
    depth: usize,
    at: usize,
    line: usize,
    line_start: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        let body = encoding::to_utf8(body);
        let at = if body.starts_with(b"\xEF\xBB\xBF") {
            3
        } else {
            0
        };
        Self {
            body,
            depth: 0,
            at,
            line: 1,
            // The byte order mark counts, too.
            line_start: 0,
        }
    }
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }
    pub(super) fn place(&self) -> Place {
        Place {
            line: self.line,
            column: self.at - self.line_start + 1,
        }
    }
    fn fail<T>(&self, text: impl Into<String>) -> Result<T, Failure> {
        Err(Failure {
            no_json: true,
            ..Failure::new(self.place(), text)
        })
    }
    fn skip_white(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\n' | b'\r' => {
                    self.at += 1;
                    if byte == b'\r' && self.peek() == Some(b'\n') {
                        self.at += 1;
                    }
                    self.line += 1;
                    self.line_start = self.at;
                }
                _ => return,
            }
        }
    }

    /// The character at the reader's place as Jackson names it.
    fn character(&self) -> String {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let first = String::from_utf8_lossy(rest.get(..rest.len().min(4)).unwrap_or_default())
            .chars()
            .next();
        match (first, rest.first()) {
            // What is no UTF-8 is shown as the byte that it is.
            (Some(char::REPLACEMENT_CHARACTER), Some(&byte)) => named(char::from(byte)),
            (Some(first), _) => named(first),
            (None, _) => String::new(),
        }
    }
    /// How many bytes it has, at least one.
    fn character_length(&self) -> usize {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let more = rest.iter().skip(1).take_while(|byte| **byte & 0xc0 == 0x80);
        1 + more.count()
    }
    fn unexpected<T>(&mut self, why: &str) -> Result<T, Failure> {
        let character = self.character();
        if self.peek().is_some_and(|byte| byte < b' ') {
            self.at += 1;
            return self.fail(format!(
                "Illegal character ({character}): only regular white space (\\r, \\n, \\t) is allowed \
                 between tokens"
            ));
        }
        self.fail(format!("Unexpected character ({character}){why}"))
    }

    /// The same within a number, where Jackson looks at bytes.
    fn unexpected_byte<T>(&self, why: &str) -> Result<T, Failure> {
        let byte = self.peek().map(|byte| named(char::from(byte)));
        self.fail(format!(
            "Unexpected character ({}){why}",
            byte.unwrap_or_default()
        ))
    }

    /// Begins a value.
    pub(super) fn token(&mut self, within: Within) -> Result<Token, Failure> {
        self.skip_white();
        let Some(byte) = self.peek() else {
            return self.fail(match within {
                Within::Array => "Unexpected end-of-input: expected close marker for Array",
                Within::Root | Within::Object => {
                    "Unexpected end-of-input within/between Object entries"
                }
            });
        };
        match byte {
            b'{' => self.open(Token::Object),
            b'[' => self.open(Token::Array),
            b'"' => self.take(Token::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b'+' => {
                let text = "Unexpected character ('+' (code 43)) in numeric value: JSON spec does not allow \
                            numbers to have plus signs: enable \
                            `JsonReadFeature.ALLOW_LEADING_PLUS_SIGN_FOR_NUMBERS` to allow";
                self.at += 1;
                match self.peek() {
                    Some(_) => self.fail(text),
                    None => self.fail("Unexpected end-of-input in a Number value"),
                }
            }
            b'}' | b']' if within == Within::Root => {
                let (mark, kind) = if byte == b'}' {
                    ('}', "Object")
                } else {
                    (']', "Array")
                };
                self.fail(format!(
                    "Unexpected close marker '{mark}': no open {kind} to close"
                ))
            }
            b',' if within == Within::Root => self.unexpected(": expected a value"),
            b'/' => self.unexpected(
                ": maybe a (non-standard) comment? (not recognized as one since Feature \
                 'ALLOW_COMMENTS' not enabled for parser)",
            ),
            _ => self.word(),
        }
    }
    fn open(&mut self, token: Token) -> Result<Token, Failure> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Failure::beyond(
                "Document nesting depth",
                self.depth,
                MAX_DEPTH,
                "getMaxNestingDepth",
            ));
        }
        self.take(token)
    }
    /// The mark that closes another kind of value than the open one.
    fn wrong_close<T>(
        &self,
        mark: char,
        wanted: char,
        kind: &str,
        start: Place,
    ) -> Result<T, Failure> {
        self.fail(format!(
            "Unexpected close marker '{mark}': expected '{wanted}' (for {kind} starting at {})",
            start.text()
        ))
    }
    fn take(&mut self, token: Token) -> Result<Token, Failure> {
        self.at += 1;
        Ok(token)
    }

    /// `true`, `false`, `null`, or a word that is none of them.
    fn word(&mut self) -> Result<Token, Failure> {
        let start = self.at;
        // The first byte counts as a character of its own, whatever it begins.
        let first = self.peek().map(char::from).filter(|first| is_part(*first));
        let mut word = String::from_iter(first);
        if first.is_some() {
            self.at += 1;
            word.push_str(&self.rest_of_word()?);
            self.at = start;
        }
        let token = match word.as_str() {
            "true" => Token::True,
            "false" => Token::False,
            "null" => Token::Null,
            "NaN" | "Infinity" => {
                self.at += word.len();
                return self.fail(format!("Non-standard token '{word}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"));
            }
            "" => return self.unexpected(&format!(": expected a valid value {VALUES}")),
            _ => {
                return self.fail(format!(
                    "Unrecognized token '{word}': was expecting {VALUES}"
                ));
            }
        };
        self.at += word.len();
        Ok(token)
    }

    /// The characters of an identifier from the reader's place on.
    fn rest_of_word(&mut self) -> Result<String, Failure> {
        let mut word = String::new();
        while let Some(byte) = self.peek() {
            let character = self.character_of(byte, "Unexpected end-of-input")?;
            if !character.chars().all(is_part) {
                self.at -= character.len();
                break;
            }
            word.push_str(&character);
        }
        Ok(word)
    }

    /// What is said of a minus sign that is not followed by a digit.
    fn no_negative_number(&mut self, start: usize) -> Result<Token, Failure> {
        const DIGIT: &str =
            " in numeric value: expected digit (0-9) to follow minus sign, for valid numeric value";
        match self.peek() {
            None => return self.fail("Unexpected end-of-input in null"),
            Some(b'I') => self.at += 1,
            Some(_) => return self.unexpected_byte(DIGIT),
        }
        match self.peek() {
            None => return self.fail("Unexpected end-of-input in a Number value"),
            Some(b'N' | b'n') => {}
            Some(_) => return self.unexpected_byte(DIGIT),
        }
        let word = format!("-I{}", self.rest_of_word()?);
        if matches!(word.as_str(), "-INF" | "-Infinity") {
            return self.fail(format!("Non-standard token '{word}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"));
        }
        self.at = start;
        self.fail(format!(
            "Unrecognized token '{word}': was expecting {VALUES}"
        ))
    }

    fn number(&mut self) -> Result<Token, Failure> {
        let start = self.at;
        let digits = |reader: &mut Self| {
            let before = reader.at;
            while reader.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                reader.at += 1;
            }
            reader.at - before
        };
        if self.peek() == Some(b'-') {
            self.at += 1;
            if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                return self.no_negative_number(start);
            }
        }
        let leading_zero = self.peek() == Some(b'0');
        if digits(self) > 1 && leading_zero {
            let first = self
                .body
                .get(start..)
                .and_then(|rest| rest.iter().position(|byte| *byte == b'0'));
            self.at = start + first.unwrap_or(0) + 1;
            return self.fail("Invalid numeric value: Leading zeroes not allowed");
        }
        let mut float = false;
        if self.peek() == Some(b'.') {
            self.at += 1;
            float = true;
            if digits(self) == 0 {
                if self.peek().is_none() {
                    self.at -= 1;
                }
                return self
                    .unexpected_byte(" in numeric value: Decimal point not followed by a digit");
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            float = true;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if digits(self) == 0 {
                if self.peek().is_none() {
                    return self.fail("Unexpected end-of-input in null");
                }
                return self.unexpected_byte(
                    " in numeric value: Exponent indicator not followed by a digit",
                );
            }
        }
        let text =
            String::from_utf8_lossy(self.body.get(start..self.at).unwrap_or_default()).into_owned();
        let length = text.bytes().filter(u8::is_ascii_digit).count();
        if length > MAX_NUMBER {
            return Err(Failure::beyond(
                "Number value length",
                length,
                MAX_NUMBER,
                "getMaxNumberLength",
            ));
        }
        let white = |byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        if self.depth == 0 && self.peek().is_some_and(|byte| !white(byte)) {
            return self.unexpected_byte(": Expected space separating root-level values");
        }
        Ok(if float {
            Token::Float(text)
        } else {
            Token::Integer(text)
        })
    }

    /// The rest of a text whose quote was taken.
    fn text(&mut self, at_end: &str) -> Result<String, Failure> {
        let mut units: Vec<u16> = Vec::new();
        loop {
            let Some(byte) = self.peek() else {
                return self.fail(at_end);
            };
            if units.len() > MAX_STRING {
                return Err(Failure::beyond(
                    "String value length",
                    units.len(),
                    MAX_STRING,
                    "getMaxStringLength",
                ));
            }
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(String::from_utf16_lossy(&units));
                }
                b'\\' => {
                    self.at += 1;
                    units.push(self.escape(at_end)?);
                }
                0..=31 => {
                    return self.fail(format!(
                        "Illegal unquoted character ({}): has to be escaped using backslash to be \
                         included in string value",
                        self.character()
                    ));
                }
                _ => {
                    let text = self.character_of(byte, at_end)?;
                    units.extend(text.encode_utf16());
                }
            }
        }
    }

    /// The character that begins with this byte, the next one.
    fn character_of(&mut self, byte: u8, at_end: &str) -> Result<String, Failure> {
        let start = self.at;
        let length = match byte {
            0..=0x7f => 1,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => {
                self.at += 1;
                return self.fail(format!("Invalid UTF-8 start byte 0x{byte:x}"));
            }
        };
        self.at += 1;
        for _ in 1..length {
            let Some(byte) = self.peek() else {
                return self.fail(at_end);
            };
            self.at += 1;
            if byte & 0xc0 != 0x80 {
                return self.fail(format!("Invalid UTF-8 middle byte 0x{byte:x}"));
            }
        }
        let bytes = self.body.get(start..self.at).unwrap_or_default();
        match (std::str::from_utf8(bytes), bytes) {
            (Ok(text), _) => Ok(text.to_owned()),
            (Err(_), [0xed, second, third]) => {
                let code = 0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f);
                self.fail(format!(
                    "Invalid UTF-8: Illegal surrogate character 0x{code:x}"
                ))
            }
            (Err(_), _) => {
                let first = bytes.first().copied().unwrap_or_default();
                self.fail(format!("Invalid UTF-8 start byte 0x{first:x}"))
            }
        }
    }

    fn escape(&mut self, at_end: &str) -> Result<u16, Failure> {
        let Some(byte) = self.peek() else {
            return self.fail(at_end);
        };
        let unit = match byte {
            b'b' => 8,
            b't' => 9,
            b'n' => 10,
            b'f' => 12,
            b'r' => 13,
            b'"' | b'/' | b'\\' => byte,
            b'u' => {
                self.at += 1;
                let mut unit = 0u16;
                for _ in 0..4 {
                    let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
                    let Some(digit) = digit.and_then(|digit| u16::try_from(digit).ok()) else {
                        return self
                            .unexpected(": expected a hex-digit for character escape sequence");
                    };
                    unit = unit << 4 | digit;
                    self.at += 1;
                }
                return Ok(unit);
            }
            _ => {
                return self.fail(format!(
                    "Unrecognized character escape {}",
                    self.character()
                ));
            }
        };
        self.at += 1;
        Ok(unit.into())
    }

    /// The members of an object whose brace was taken at `start`.
    pub(super) fn members(
        &mut self,
        start: Place,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let unclosed = format!(
            "Unexpected end-of-input: expected close marker for Object (start marker at {})",
            start.text()
        );
        let mut first = true;
        loop {
            self.skip_white();
            match self.peek() {
                None => return self.fail(unclosed),
                Some(b'}') => {
                    self.at += 1;
                    self.depth -= 1;
                    return Ok(());
                }
                Some(b']') => return self.wrong_close(']', '}', "Object", start),
                Some(_) if first => {}
                Some(b',') => {
                    self.at += 1;
                    self.skip_white();
                }
                Some(_) => {
                    return self.unexpected(": was expecting comma to separate Object entries");
                }
            }
            first = false;
            match self.peek() {
                None => return self.fail("Unexpected end-of-input within/between Object entries"),
                Some(b'"') => self.at += 1,
                Some(byte @ 0x80..=0xbf) => {
                    self.at += 1;
                    return self.fail(format!("Invalid UTF-8 start byte 0x{byte:x}"));
                }
                Some(byte) => {
                    let length = self.character_length();
                    let (at, wanted) =
                        (self.at, ": was expecting double-quote to start field name");
                    let mut refused = self.unexpected(wanted);
                    // It stands where its last byte is.
                    if let (Err(failure), 0x80..) = (&mut refused, byte) {
                        self.at = at + length - 1;
                        failure.at = Some(self.place());
                    }
                    return refused;
                }
            }
            if self.peek().is_none() {
                return self.fail("Unexpected end-of-input: was expecting closing '\"' for name");
            }
            let key = self.text("Unexpected end-of-input in field name")?;
            let length = key.encode_utf16().count();
            if length > MAX_NAME {
                return Err(Failure::beyond(
                    "Name length",
                    length,
                    MAX_NAME,
                    "getMaxNameLength",
                ));
            }
            self.skip_white();
            match self.peek() {
                None => return self.fail("Unexpected end-of-input within/between Object entries"),
                Some(b':') => self.at += 1,
                Some(_) => {
                    return self
                        .unexpected(": was expecting a colon to separate field name and value");
                }
            }
            self.skip_white();
            member(self, &key)?;
        }
    }

    /// Passes over the mark that closes an object, if it comes next.
    pub(super) fn look_ahead(&mut self) {
        self.skip_white();
        if self.peek() == Some(b'}') {
            self.at += 1;
        }
    }

    /// A value as a string; `None` for null.
    pub(super) fn scalar(&mut self, token: Token, at: Place) -> Result<Option<String>, Failure> {
        Ok(Some(match token {
            Token::Null => return Ok(None),
            Token::Text => self.text("Unexpected end-of-input in VALUE_STRING")?,
            Token::Integer(text) | Token::Float(text) => text,
            Token::True => "true".to_owned(),
            Token::False => "false".to_owned(),
            Token::Object | Token::Array => return Err(token.cannot_be(STRING, at)),
        }))
    }

    /// Any value.
    pub(super) fn json(
        &mut self,
        token: Token,
        start: Place,
    ) -> Result<serde_json::Value, Failure> {
        Ok(match token {
            Token::Null => serde_json::Value::Null,
            Token::True => true.into(),
            Token::False => false.into(),
            Token::Text => self.scalar(token, start)?.into(),
            Token::Integer(text) => match text.parse::<i64>() {
                Ok(number) => number.into(),
                Err(_beyond) => big_integer(&text),
            },
            Token::Float(text) => text
                .parse::<serde_json::Number>()
                .map_or(serde_json::Value::Null, Into::into),
            Token::Object => {
                let mut map = serde_json::Map::new();
                self.members(start, |reader, key| {
                    let at = reader.place();
                    let token = reader.token(Within::Object)?;
                    map.insert(key.to_owned(), reader.json(token, at)?);
                    Ok(())
                })?;
                map.into()
            }
            Token::Array => {
                let mut items = Vec::new();
                self.items(start, |reader, token, at| {
                    items.push(reader.json(token, at)?);
                    Ok(())
                })?;
                items.into()
            }
        })
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self, token: Token, start: Place) -> Result<(), Failure> {
        match token {
            Token::Object => self.members(start, |reader, _| {
                let at = reader.place();
                let token = reader.token(Within::Object)?;
                reader.skip(token, at)
            }),
            Token::Array => self.items(start, Self::skip),
            Token::Text => self.scalar(token, start).map(drop),
            _ => Ok(()),
        }
    }

    /// The items of an array whose bracket was taken at `start`.
    pub(super) fn items(
        &mut self,
        start: Place,
        mut item: impl FnMut(&mut Self, Token, Place) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut first = true;
        loop {
            self.skip_white();
            match self.peek() {
                None => {
                    return self.fail(format!(
                        "Unexpected end-of-input: expected close marker for Array (start marker at {})",
                        start.text()
                    ));
                }
                Some(b']') => {
                    self.at += 1;
                    self.depth -= 1;
                    return Ok(());
                }
                Some(b'}') => return self.wrong_close('}', ']', "Array", start),
                Some(_) if first => {}
                Some(b',') => {
                    self.at += 1;
                    self.skip_white();
                }
                Some(_) => {
                    return self.unexpected(": was expecting comma to separate Array entries");
                }
            }
            first = false;
            let at = self.place();
            let token = self.token(Within::Array)?;
            item(self, token, at)?;
        }
    }
}
