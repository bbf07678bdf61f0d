//! Reads request bodies as Jackson does: the same leniency (scalars become strings, with the text
//! they were written in), the same refusals, in the same words.
//!
//! Clients see these texts. Answers for `JacksonJsonProvider` with `FAIL_ON_UNKNOWN_PROPERTIES` and
//! `FAIL_ON_TRAILING_TOKENS`, for the bodies that REST takes: a map of strings,
//! `CreateConnectorRequest` and `ConnectorOffsets`.

use crate::herder::request::{OffsetEntry, RawConfig, Refusal, RequestError, TargetState};

const SOURCE: &str = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)";
const STRING: &str = "java.lang.String";
const MAP: &str = "java.util.LinkedHashMap";
const STRING_MAP: &str = "java.util.LinkedHashMap<java.lang.String,java.lang.String>";
const CREATE: &str = "org.apache.kafka.connect.runtime.rest.entities.CreateConnectorRequest";
const OFFSETS: &str = "org.apache.kafka.connect.runtime.rest.entities.ConnectorOffsets";
const OFFSET: &str = "org.apache.kafka.connect.runtime.rest.entities.ConnectorOffset";
const OFFSET_LIST: &str =
    "java.util.ArrayList<org.apache.kafka.connect.runtime.rest.entities.ConnectorOffset>";
const OBJECT_MAP: &str = "java.util.LinkedHashMap<java.lang.String,java.lang.Object>";
const VALUES: &str = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";

/// A Java record: its class, its members, and how Jackson lists them.
struct Record {
    class: &'static str,
    members: &'static [&'static str],
    known: &'static str,
}

const CREATE_RECORD: Record = Record {
    class: CREATE,
    members: &["name", "config", "initial_state"],
    known: "3 known properties: \"config\", \"name\", \"initial_state\"",
};
const OFFSETS_RECORD: Record =
    Record { class: OFFSETS, members: &["offsets"], known: "one known property: \"offsets\"" };
const OFFSET_RECORD: Record = Record {
    class: OFFSET,
    members: &["partition", "offset"],
    known: "2 known properties: \"partition\", \"offset\"",
};

/// The body of `POST /connectors`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CreateRequest {
    pub(super) name: Option<String>,
    pub(super) config: Option<RawConfig>,
    pub(super) initial_state: Option<TargetState>,
}

/// A map of strings; `None` for an empty body or null.
pub(super) fn string_map(body: &[u8]) -> Result<Option<RawConfig>, RequestError> {
    let mut reader = Reader::new(body);
    read(&mut reader, "java.util.LinkedHashMap<java.lang.String,java.lang.String>", |reader, token, at| {
        reader.map(token, at)
    })
}

/// A request to make a connector; `None` for an empty body or null.
pub(super) fn create_request(body: &[u8]) -> Result<Option<CreateRequest>, RequestError> {
    read(&mut Reader::new(body), CREATE, Reader::create_request)
}

/// Offsets to set; `None` for an empty body or null.
pub(super) fn offsets(body: &[u8]) -> Result<Option<Vec<OffsetEntry>>, RequestError> {
    read(&mut Reader::new(body), OFFSETS, Reader::offsets)
}

/// Reads one value and makes sure that nothing follows it.
fn read<'a, T>(
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
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    fn text(self) -> String {
        format!("[Source: {SOURCE}; line: {}, column: {}]", self.line, self.column)
    }
}

/// What is wrong, where, and the way to it from the outside.
#[derive(Debug)]
struct Failure {
    text: String,
    at: Place,
    chain: Vec<String>,
}

impl Failure {
    fn new(at: Place, text: impl Into<String>) -> Self {
        Self { text: text.into(), at, chain: Vec::new() }
    }
    /// The failure seen from the object that holds the value.
    fn inside(mut self, class: &str, key: &str) -> Self {
        self.chain.insert(0, format!("{class}[\"{key}\"]"));
        self
    }
    fn into_request_error(self) -> RequestError {
        let mut message = format!("{}\n at {}", self.text, self.at.text());
        if !self.chain.is_empty() {
            message.push_str(&format!(" (through reference chain: {})", self.chain.join("->")));
        }
        RequestError::new(
            Refusal::Failure("com.fasterxml.jackson.core.JsonProcessingException"),
            message,
        )
    }
}

/// The first thing of a value. The content of a text is read when it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
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
    fn cannot_be(&self, class: &str, at: Place) -> Failure {
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Root,
    Object,
    Array,
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
    line: usize,
    line_start: usize,
}

impl<'a> Reader<'a> {
    fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0, line: 1, line_start: 0 }
    }
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }
    fn place(&self) -> Place {
        Place { line: self.line, column: self.at - self.line_start + 1 }
    }
    fn fail<T>(&self, text: impl Into<String>) -> Result<T, Failure> {
        Err(Failure::new(self.place(), text))
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
        let text = String::from_utf8_lossy(self.body.get(self.at..).unwrap_or_default());
        match text.chars().next() {
            Some(character) if u32::from(character) < 32 => {
                format!("(CTRL-CHAR, code {})", u32::from(character))
            }
            Some(character) => format!("'{character}' (code {})", u32::from(character)),
            None => String::new(),
        }
    }
    fn unexpected<T>(&self, why: &str) -> Result<T, Failure> {
        self.fail(format!("Unexpected character ({}){why}", self.character()))
    }

    /// Begins a value.
    fn token(&mut self, within: Within) -> Result<Token, Failure> {
        self.skip_white();
        let Some(byte) = self.peek() else {
            return self.fail(match within {
                Within::Array => "Unexpected end-of-input: expected close marker for Array",
                Within::Root | Within::Object => "Unexpected end-of-input within/between Object entries",
            });
        };
        match byte {
            b'{' => self.take(Token::Object),
            b'[' => self.take(Token::Array),
            b'"' => self.take(Token::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b'+' => {
                let text = "Unexpected character ('+' (code 43)) in numeric value: JSON spec does not allow \
                            numbers to have plus signs: enable \
                            `JsonReadFeature.ALLOW_LEADING_PLUS_SIGN_FOR_NUMBERS` to allow";
                self.at += 1;
                self.fail(text)
            }
            b'}' | b']' if within == Within::Root => {
                let (mark, kind) = if byte == b'}' { ('}', "Object") } else { (']', "Array") };
                self.fail(format!("Unexpected close marker '{mark}': no open {kind} to close"))
            }
            b',' if within == Within::Root => self.unexpected(": expected a value"),
            b'/' => self.unexpected(
                ": maybe a (non-standard) comment? (not recognized as one since Feature \
                 'ALLOW_COMMENTS' not enabled for parser)",
            ),
            _ => self.word(),
        }
    }
    fn take(&mut self, token: Token) -> Result<Token, Failure> {
        self.at += 1;
        Ok(token)
    }

    /// `true`, `false`, `null`, or a word that is none of them.
    fn word(&mut self) -> Result<Token, Failure> {
        let rest = String::from_utf8_lossy(self.body.get(self.at..).unwrap_or_default()).into_owned();
        let word: String =
            rest.chars().take_while(|character| character.is_alphanumeric() || "_$".contains(*character)).collect();
        let token = match word.as_str() {
            "true" => Token::True,
            "false" => Token::False,
            "null" => Token::Null,
            "NaN" => {
                self.at += word.len();
                return self.fail("Non-standard token 'NaN': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow");
            }
            "" => return self.unexpected(&format!(": expected a valid value {VALUES}")),
            _ => return self.fail(format!("Unrecognized token '{word}': was expecting {VALUES}")),
        };
        self.at += word.len();
        Ok(token)
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
                return self.unexpected(
                    " in numeric value: expected digit (0-9) to follow minus sign, for valid numeric value",
                );
            }
        }
        let leading_zero = self.peek() == Some(b'0');
        if digits(self) > 1 && leading_zero {
            let first = self.body.get(start..).and_then(|rest| rest.iter().position(|byte| *byte == b'0'));
            self.at = start + first.unwrap_or(0) + 1;
            return self.fail("Invalid numeric value: Leading zeroes not allowed");
        }
        let mut float = false;
        if self.peek() == Some(b'.') {
            self.at += 1;
            float = true;
            if digits(self) == 0 {
                return self.unexpected(" in numeric value: Decimal point not followed by a digit");
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            float = true;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if digits(self) == 0 {
                return self.unexpected(" in numeric value: Exponent indicator not followed by a digit");
            }
        }
        let text = String::from_utf8_lossy(self.body.get(start..self.at).unwrap_or_default()).into_owned();
        Ok(if float { Token::Float(text) } else { Token::Integer(text) })
    }

    /// The rest of a text whose quote was taken.
    fn text(&mut self, at_end: &str) -> Result<String, Failure> {
        let mut units: Vec<u16> = Vec::new();
        loop {
            let Some(byte) = self.peek() else { return self.fail(at_end) };
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
                    let bytes = self.body.get(self.at..self.at + length);
                    let Some(text) = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
                        self.at += 1;
                        let middle = self.peek().unwrap_or_default();
                        self.at += 1;
                        return self.fail(format!("Invalid UTF-8 middle byte 0x{middle:x}"));
                    };
                    units.extend(text.encode_utf16());
                    self.at += length;
                }
            }
        }
    }

    fn escape(&mut self, at_end: &str) -> Result<u16, Failure> {
        let Some(byte) = self.peek() else { return self.fail(at_end) };
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
                        return self.unexpected(": expected a hex-digit for character escape sequence");
                    };
                    unit = unit << 4 | digit;
                    self.at += 1;
                }
                return Ok(unit);
            }
            _ => return self.fail(format!("Unrecognized character escape {}", self.character())),
        };
        self.at += 1;
        Ok(unit.into())
    }

    /// The members of an object whose brace was taken at `start`.
    fn members(
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
                    return Ok(());
                }
                Some(_) if first => {}
                Some(b',') => {
                    self.at += 1;
                    self.skip_white();
                }
                Some(_) => return self.unexpected(": was expecting comma to separate Object entries"),
            }
            first = false;
            match self.peek() {
                None => return self.fail("Unexpected end-of-input within/between Object entries"),
                Some(b'"') => self.at += 1,
                Some(_) => return self.unexpected(": was expecting double-quote to start field name"),
            }
            let key = self.text("Unexpected end-of-input in field name")?;
            self.skip_white();
            match self.peek() {
                None => return self.fail("Unexpected end-of-input within/between Object entries"),
                Some(b':') => self.at += 1,
                Some(_) => {
                    return self.unexpected(": was expecting a colon to separate field name and value");
                }
            }
            self.skip_white();
            member(self, &key)?;
        }
    }

    /// A value as a string; `None` for null.
    fn scalar(&mut self, token: Token, at: Place) -> Result<Option<String>, Failure> {
        Ok(Some(match token {
            Token::Null => return Ok(None),
            Token::Text => {
                self.text("Unexpected end-of-input: was expecting closing quote for a string value")?
            }
            Token::Integer(text) | Token::Float(text) => text,
            Token::True => "true".to_owned(),
            Token::False => "false".to_owned(),
            Token::Object | Token::Array => return Err(token.cannot_be(STRING, at)),
        }))
    }

    /// A map of strings.
    fn map(&mut self, token: Token, start: Place) -> Result<Option<RawConfig>, Failure> {
        match token {
            Token::Null => return Ok(None),
            Token::Object => {}
            Token::Text => return Err(self.text_for_map(start)),
            other => return Err(other.cannot_be(STRING_MAP, start)),
        }
        let mut map = RawConfig::new();
        self.members(start, |reader, key| {
            let at = reader.place();
            let token = reader.token(Within::Object)?;
            let value = reader.scalar(token, at).map_err(|failure| failure.inside(MAP, key))?;
            map.insert(key.to_owned(), value);
            Ok(())
        })?;
        Ok(Some(map))
    }

    /// What is said of a text where a map is wanted.
    fn text_for_map(&mut self, start: Place) -> Failure {
        match self.scalar(Token::Text, start) {
            Err(failure) => failure,
            Ok(None) => Token::Null.cannot_be(MAP, start),
            Ok(Some(text)) if text.is_empty() => Failure::new(
                start,
                format!(
                    "Cannot coerce empty String (\"\") to element of `{MAP}` (but could if coercion \
                     was enabled using `CoercionConfig`)"
                ),
            ),
            Ok(Some(text)) => Failure::new(
                start,
                no_creator(MAP, "String", &format!("String value ('{text}')")),
            ),
        }
    }

    fn create_request(&mut self, token: Token, start: Place) -> Result<Option<CreateRequest>, Failure> {
        match token {
            Token::Null => return Ok(None),
            Token::Object => {}
            Token::Array => return Err(token.cannot_be(CREATE, start)),
            other => return Err(self.not_an_object(CREATE, other, start)),
        }
        let mut request = CreateRequest::default();
        self.record(start, &CREATE_RECORD, |reader, key, token, at| {
            match key {
                "name" => request.name = reader.scalar(token, at)?,
                "config" => request.config = reader.map(token, at)?,
                _ => request.initial_state = reader.initial_state(token, at)?,
            }
            Ok(())
        })?;
        Ok(Some(request))
    }

    /// The members of a Java record. One that the record does not have is told of as soon as all
    /// of the record's own have been read, at the latest at the end: so Jackson does.
    fn record(
        &mut self,
        start: Place,
        record: &Record,
        mut bind: impl FnMut(&mut Self, &str, Token, Place) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut missing: Vec<&str> = record.members.to_vec();
        let mut unknown: Option<String> = None;
        self.members(start, |reader, key| {
            let at = reader.place();
            let token = reader.token(Within::Object)?;
            if record.members.contains(&key) {
                bind(reader, key, token, at).map_err(|failure| failure.inside(record.class, key))?;
                missing.retain(|member| *member != key);
            } else if missing.is_empty() {
                return Err(reader.unknown(record, key));
            } else {
                unknown.get_or_insert_with(|| key.to_owned());
                reader.skip(token, at)?;
            }
            match unknown.take_if(|_| missing.is_empty()) {
                Some(key) => Err(reader.unknown(record, &key)),
                None => Ok(()),
            }
        })?;
        unknown.map_or(Ok(()), |key| Err(self.unknown(record, &key)))
    }

    /// What is said of a scalar where an object of `class` is wanted.
    fn not_an_object(&mut self, class: &str, token: Token, start: Place) -> Failure {
        let text = match token {
            Token::Text => match self.scalar(token, start) {
                Ok(text) => {
                    no_creator(class, "String", &format!("String value ('{}')", text.unwrap_or_default()))
                }
                Err(failure) => return failure,
            },
            Token::Integer(text) => no_creator(class, "int/Int", &format!("Number value ({text})")),
            Token::Float(text) => no_creator(class, "double/Double", &format!("Number value ({text})")),
            Token::True => no_creator(class, "boolean/Boolean", "boolean value (true)"),
            _ => no_creator(class, "boolean/Boolean", "boolean value (false)"),
        };
        Failure::new(start, text)
    }

    fn initial_state(&mut self, token: Token, at: Place) -> Result<Option<TargetState>, Failure> {
        let Some(text) = self.scalar(token, at)? else { return Ok(None) };
        let upper = text.to_uppercase();
        match upper.as_str() {
            "RUNNING" => Ok(Some(TargetState::Started)),
            "PAUSED" => Ok(Some(TargetState::Paused)),
            "STOPPED" => Ok(Some(TargetState::Stopped)),
            _ => Err(Failure::new(
                at,
                format!(
                    "Cannot construct instance of `{CREATE}$InitialState`, problem: No enum constant \
                     {CREATE}.InitialState.{upper}"
                ),
            )),
        }
    }

    /// `{offsets: [{partition, offset}]}`.
    fn offsets(&mut self, token: Token, start: Place) -> Result<Option<Vec<OffsetEntry>>, Failure> {
        match token {
            Token::Null => return Ok(None),
            Token::Object => {}
            Token::Array => return Err(token.cannot_be(OFFSETS, start)),
            other => return Err(self.not_an_object(OFFSETS, other, start)),
        }
        let mut entries = Vec::new();
        self.record(start, &OFFSETS_RECORD, |reader, _, token, at| match token {
            Token::Null => Ok(()),
            Token::Array => reader.items(at, |reader, token, at| {
                let index = entries.len();
                let entry = reader.offset(token, at).map_err(|mut failure| {
                    failure.chain.insert(0, format!("java.util.ArrayList[{index}]"));
                    failure
                })?;
                entries.push(entry);
                Ok(())
            }),
            other => Err(other.cannot_be(OFFSET_LIST, at)),
        })?;
        Ok(Some(entries))
    }

    fn offset(&mut self, token: Token, start: Place) -> Result<OffsetEntry, Failure> {
        match token {
            Token::Null => return Ok(OffsetEntry::default()),
            Token::Object => {}
            Token::Array => return Err(token.cannot_be(OFFSET, start)),
            other => return Err(self.not_an_object(OFFSET, other, start)),
        }
        let mut entry = OffsetEntry::default();
        self.record(start, &OFFSET_RECORD, |reader, key, token, at| {
            let map = match token {
                Token::Null | Token::Object => reader.json(token, at)?,
                Token::Text => return Err(reader.text_for_map(at)),
                other => return Err(other.cannot_be(OBJECT_MAP, at)),
            };
            match key {
                "partition" => entry.partition = map,
                _ => entry.offset = map,
            }
            Ok(())
        })?;
        Ok(entry)
    }

    /// Any value.
    fn json(&mut self, token: Token, start: Place) -> Result<serde_json::Value, Failure> {
        Ok(match token {
            Token::Null => serde_json::Value::Null,
            Token::True => true.into(),
            Token::False => false.into(),
            Token::Text => self.scalar(token, start)?.into(),
            Token::Integer(text) | Token::Float(text) => {
                text.parse::<serde_json::Number>().map_or(serde_json::Value::Null, Into::into)
            }
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

    /// What is said of a member that a record does not have.
    fn unknown(&self, record: &Record, key: &str) -> Failure {
        let Record { class, known, .. } = record;
        Failure::new(
            self.place(),
            format!("Unrecognized field \"{key}\" (class {class}), not marked as ignorable ({known})"),
        )
        .inside(class, key)
    }

    /// Passes over a value.
    fn skip(&mut self, token: Token, start: Place) -> Result<(), Failure> {
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
    fn items(
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
                    return Ok(());
                }
                Some(_) if first => {}
                Some(b',') => {
                    self.at += 1;
                    self.skip_white();
                }
                Some(_) => return self.unexpected(": was expecting comma to separate Array entries"),
            }
            first = false;
            let at = self.place();
            let token = self.token(Within::Array)?;
            item(self, token, at)?;
        }
    }
}

fn no_creator(class: &str, argument: &str, value: &str) -> String {
    format!(
        "Cannot construct instance of `{class}` (although at least one Creator exists): no \
         {argument}-argument constructor/factory method to deserialize from {value}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> String {
        create_request(body.as_bytes())
            .expect_err("refused")
            .message
            .replace(SOURCE, "S")
            .replace(CREATE, "C")
    }

    #[test]
    fn scalars_become_strings_with_the_text_they_were_written_in() {
        let map = string_map(br#"{"a":1.50,"b":true,"c":null,"d":"x\u00e9"}"#).expect("valid").expect("a map");
        let values: Vec<_> = map.values().map(|value| value.as_deref()).collect();
        assert_eq!(values, [Some("1.50"), Some("true"), None, Some("xé")]);
    }

    #[test]
    fn nothing_and_null_are_no_request() {
        assert_eq!(create_request(b""), Ok(None));
        assert_eq!(create_request(b" null "), Ok(None));
    }

    #[test]
    fn offsets_are_read_with_missing_members_as_null() {
        let entries = offsets(br#"{"offsets":[{"partition":{"a":1.5,"b":[true]},"offset":null},{}]}"#);
        let entries = entries.expect("valid").expect("offsets");
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].partition, serde_json::json!({"a": 1.5, "b": [true]}));
        assert_eq!(entries[0].offset, serde_json::Value::Null);
        assert_eq!(entries[1], OffsetEntry::default());
        assert_eq!(offsets(b"").expect("valid"), None);
        let error = offsets(br#"{"offsets": [], "x": 1}"#).expect_err("refused");
        assert!(error.message.starts_with(&format!(
            "Unrecognized field \"x\" (class {OFFSETS}), not marked as ignorable (one known property: \"offsets\")"
        )));
    }

    // Recorded from Kafka Connect 4.3.1.
    #[test]
    fn refusals_are_worded_as_jackson_words_them() {
        let check = |body: &str, expected: &str| assert_eq!(message(body), expected, "{body}");
        check("{", "Unexpected end-of-input: expected close marker for Object (start marker at [Source: S; line: 1, column: 1])\n at [Source: S; line: 1, column: 2]");
        check("{\"a", "Unexpected end-of-input in field name\n at [Source: S; line: 1, column: 4]");
        check("{\"name\":", "Unexpected end-of-input within/between Object entries\n at [Source: S; line: 1, column: 9]");
        check("{not json", "Unexpected character ('n' (code 110)): was expecting double-quote to start field name\n at [Source: S; line: 1, column: 2]");
        check("{\"name\":xyz9,", "Unrecognized token 'xyz9': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: S; line: 1, column: 9]");
        check("{\"name\" \"x\"}", "Unexpected character ('\"' (code 34)): was expecting a colon to separate field name and value\n at [Source: S; line: 1, column: 9]");
        check("{\"name\":01}", "Invalid numeric value: Leading zeroes not allowed\n at [Source: S; line: 1, column: 10]");
        check("{\"name\":.5}", "Unexpected character ('.' (code 46)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: S; line: 1, column: 9]");
        check("{\"name\":\"a\\qb\"}", "Unrecognized character escape 'q' (code 113)\n at [Source: S; line: 1, column: 12] (through reference chain: C[\"name\"])");
        check("{\n  \"name\": \"x\",\n  \"config\": {\"a\": [1,2]}}", "Cannot deserialize value of type `java.lang.String` from Array value (token `JsonToken.START_ARRAY`)\n at [Source: S; line: 3, column: 19] (through reference chain: C[\"config\"]->java.util.LinkedHashMap[\"a\"])");
        check("{\"config\":1}", "Cannot deserialize value of type `java.util.LinkedHashMap<java.lang.String,java.lang.String>` from Integer value (token `JsonToken.VALUE_NUMBER_INT`)\n at [Source: S; line: 1, column: 11] (through reference chain: C[\"config\"])");
        check("[]", "Cannot deserialize value of type `C` from Array value (token `JsonToken.START_ARRAY`)\n at [Source: S; line: 1, column: 1]");
        check("12", "Cannot construct instance of `C` (although at least one Creator exists): no int/Int-argument constructor/factory method to deserialize from Number value (12)\n at [Source: S; line: 1, column: 1]");
        check("{}{}", "Trailing token (of type START_OBJECT) found after value (bound as `C`): not allowed as per `DeserializationFeature.FAIL_ON_TRAILING_TOKENS`\n at [Source: S; line: 1, column: 3]");
        check("{} x", "Unrecognized token 'x': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: S; line: 1, column: 4]");
        check("{\"unknown\":{\"a\":1}}", "Unrecognized field \"unknown\" (class C), not marked as ignorable (3 known properties: \"config\", \"name\", \"initial_state\")\n at [Source: S; line: 1, column: 20] (through reference chain: C[\"unknown\"])");
        check("{\"initial_state\":\"NOPE\"}", "Cannot construct instance of `C$InitialState`, problem: No enum constant C.InitialState.NOPE\n at [Source: S; line: 1, column: 18] (through reference chain: C[\"initial_state\"])");
        check("}", "Unexpected close marker '}': no open Object to close\n at [Source: S; line: 1, column: 1]");
        check("{\"name\":NaN}", "Non-standard token 'NaN': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow\n at [Source: S; line: 1, column: 12]");
    }
}
