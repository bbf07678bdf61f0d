//! Reads request bodies as Jackson does: the same leniency (scalars become strings, with the text
//! they were written in), the same refusals, in the same words.
//!
//! Clients see these texts. Answers for `JacksonJsonProvider` with `FAIL_ON_UNKNOWN_PROPERTIES` and
//! `FAIL_ON_TRAILING_TOKENS`, for the bodies that REST takes: a map of strings,
//! `CreateConnectorRequest` and `ConnectorOffsets`.

use connect_api::java::double_to_string;

use super::json_reader::{Failure, Place, Reader, Token, Within, read};
use crate::herder::request::{OffsetEntry, RawConfig, Refusal, RequestError, TargetState};

const MAP: &str = "java.util.LinkedHashMap";
const STRING_MAP: &str = "java.util.LinkedHashMap<java.lang.String,java.lang.String>";
const CREATE: &str = "org.apache.kafka.connect.runtime.rest.entities.CreateConnectorRequest";
const INITIAL_STATE: &str =
    "org.apache.kafka.connect.runtime.rest.entities.CreateConnectorRequest$InitialState";
const OFFSETS: &str = "org.apache.kafka.connect.runtime.rest.entities.ConnectorOffsets";
const OFFSET: &str = "org.apache.kafka.connect.runtime.rest.entities.ConnectorOffset";
const OFFSET_LIST: &str =
    "java.util.ArrayList<org.apache.kafka.connect.runtime.rest.entities.ConnectorOffset>";
const MAP_LIST: &str = "java.util.ArrayList<java.util.Map<java.lang.String,java.lang.String>>";
const OBJECT_MAP: &str = "java.util.LinkedHashMap<java.lang.String,java.lang.Object>";

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
const OFFSETS_RECORD: Record = Record {
    class: OFFSETS,
    members: &["offsets"],
    known: "one known property: \"offsets\"",
};
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
    read(&mut reader, "java.util.Map", |reader, token, at| {
        reader.map(token, at)
    })
}

/// A list of maps of strings; `None` for null.
pub(super) fn string_maps(body: &[u8]) -> Result<Option<Vec<RawConfig>>, RequestError> {
    if body.trim_ascii().is_empty() {
        return Err(RequestError::failure(
            "No content to map due to end-of-input\n at [Source: REDACTED \
             (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1]",
        ));
    }
    read(&mut Reader::new(body), MAP_LIST, Reader::maps)
}

/// A request to make a connector; `None` for an empty body or null.
pub(super) fn create_request(body: &[u8]) -> Result<Option<CreateRequest>, RequestError> {
    read(&mut Reader::new(body), CREATE, Reader::create_request)
}

/// Offsets to set; `None` for an empty body or null.
pub(super) fn offsets(body: &[u8]) -> Result<Option<Vec<OffsetEntry>>, RequestError> {
    let entries = read(&mut Reader::new(body), OFFSETS, Reader::offsets)?;
    let Some(entries) = entries else {
        return Ok(None);
    };
    let entries: Option<Vec<OffsetEntry>> = entries.into_iter().collect();
    entries.map(Some).ok_or_else(|| {
        RequestError::new(
            Refusal::Failure("java.lang.NullPointerException"),
            "Cannot invoke \"org.apache.kafka.connect.runtime.rest.entities.ConnectorOffset.partition()\" \
             because \"offset\" is null",
        )
    })
}

impl Reader<'_> {
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
            let value = reader
                .scalar(token, at)
                .map_err(|failure| failure.inside_map(MAP, key))?;
            map.insert(key.to_owned(), value);
            Ok(())
        })?;
        Ok(Some(map))
    }

    fn maps(&mut self, token: Token, start: Place) -> Result<Option<Vec<RawConfig>>, Failure> {
        match token {
            Token::Null => return Ok(None),
            Token::Array => {}
            other => return Err(other.cannot_be(MAP_LIST, start)),
        }
        let mut maps = Vec::new();
        self.items(start, |reader, token, at| {
            let map = reader.map(token, at).map_err(|mut failure| {
                let place = format!("java.util.ArrayList[{}]", maps.len());
                failure.chain.insert(0, place);
                failure
            })?;
            maps.push(map.unwrap_or_default());
            Ok(())
        })?;
        Ok(Some(maps))
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

    fn create_request(
        &mut self,
        token: Token,
        start: Place,
    ) -> Result<Option<CreateRequest>, Failure> {
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
                bind(reader, key, token, at)
                    .and_then(|()| match missing.is_empty() {
                        false => Ok(()),
                        // Jackson has made the record by now, and cannot change it.
                        true => Err(Failure::without_place(format!(
                            "Should never call `set()` on setterless property ('{key}')"
                        ))),
                    })
                    .map_err(|failure| failure.inside(record.class, key))?;
                missing.retain(|member| *member != key);
            } else if missing.is_empty() {
                return Err(reader.unknown(record, key));
            } else {
                unknown.get_or_insert_with(|| key.to_owned());
                reader.skip(token, at)?;
            }
            match unknown.take_if(|_| missing.is_empty()) {
                Some(key) => {
                    reader.look_ahead();
                    Err(reader.unknown(record, &key))
                }
                None => Ok(()),
            }
        })?;
        unknown.map_or(Ok(()), |key| Err(self.unknown(record, &key)))
    }

    /// What is said of a scalar where an object of `class` is wanted.
    fn not_an_object(&mut self, class: &str, token: Token, start: Place) -> Failure {
        let text = match token {
            Token::Text => match self.scalar(token, start) {
                Ok(Some(text)) if text.is_empty() => format!(
                    "Cannot coerce empty String (\"\") to `{class}` value (but could if coercion was \
                     enabled using `CoercionConfig`)"
                ),
                Ok(text) => no_creator(
                    class,
                    "String",
                    &format!("String value ('{}')", text.unwrap_or_default()),
                ),
                Err(failure) => return failure,
            },
            Token::Integer(text) => {
                let text = if text == "-0" { "0".to_owned() } else { text };
                let argument = match (text.parse::<i32>(), text.parse::<i64>()) {
                    (Ok(_), _) => "int/Int",
                    (_, Ok(_)) => "long/Long",
                    _ => "BigInteger",
                };
                no_creator(class, argument, &format!("Number value ({text})"))
            }
            Token::Float(text) => {
                let number = text.parse().map_or(text, double_to_string);
                no_creator(class, "double/Double", &format!("Number value ({number})"))
            }
            Token::True => no_creator(class, "boolean/Boolean", "boolean value (true)"),
            _ => no_creator(class, "boolean/Boolean", "boolean value (false)"),
        };
        Failure::new(start, text)
    }

    fn initial_state(&mut self, token: Token, at: Place) -> Result<Option<TargetState>, Failure> {
        match token {
            Token::Object => return Err(token.cannot_be(INITIAL_STATE, at)),
            Token::Array => {
                return Err(Failure::new(
                    at,
                    format!(
                        "Input mismatch reading Enum `{INITIAL_STATE}`: properties-based `@JsonCreator` \
                         ([method {INITIAL_STATE}#forValue(java.lang.String)]) expects String Value, got \
                         Array value (`JsonToken.START_ARRAY`)"
                    ),
                ));
            }
            _ => {}
        }
        let Some(text) = self.scalar(token, at)? else {
            return Ok(None);
        };
        let upper = text.to_uppercase();
        match upper.as_str() {
            "RUNNING" => Ok(Some(TargetState::Started)),
            "PAUSED" => Ok(Some(TargetState::Paused)),
            "STOPPED" => Ok(Some(TargetState::Stopped)),
            _ => Err(Failure::new(
                at,
                format!(
                    "Cannot construct instance of `{INITIAL_STATE}`, problem: No enum constant \
                     {CREATE}.InitialState.{upper}"
                ),
            )),
        }
    }

    /// `{offsets: [{partition, offset}]}`.
    fn offsets(
        &mut self,
        token: Token,
        start: Place,
    ) -> Result<Option<Vec<Option<OffsetEntry>>>, Failure> {
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
                    failure
                        .chain
                        .insert(0, format!("java.util.ArrayList[{index}]"));
                    failure
                })?;
                entries.push(entry);
                Ok(())
            }),
            other => Err(other.cannot_be(OFFSET_LIST, at)),
        })?;
        Ok(Some(entries))
    }

    fn offset(&mut self, token: Token, start: Place) -> Result<Option<OffsetEntry>, Failure> {
        match token {
            Token::Null => return Ok(None),
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
        Ok(Some(entry))
    }

    /// What is said of a member that a record does not have.
    fn unknown(&self, record: &Record, key: &str) -> Failure {
        let Record { class, known, .. } = record;
        Failure::new(
            self.place(),
            format!(
                "Unrecognized field \"{key}\" (class {class}), not marked as ignorable ({known})"
            ),
        )
        .inside(class, key)
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
    use crate::herder::request::as_big_integer;

    fn message(body: &str) -> String {
        create_request(body.as_bytes())
            .expect_err("refused")
            .message
            .replace(
                "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)",
                "S",
            )
            .replace(CREATE, "C")
    }

    #[test]
    fn scalars_become_strings_with_the_text_they_were_written_in() {
        let map = string_map(br#"{"a":1.50,"b":true,"c":null,"d":"x\u00e9"}"#)
            .expect("valid")
            .expect("a map");
        let values: Vec<_> = map.values().map(|value| value.as_deref()).collect();
        assert_eq!(values, [Some("1.50"), Some("true"), None, Some("xé")]);
    }

    #[test]
    fn a_lone_surrogate_is_replaced() {
        let map = string_map(br#"{"a":"x\ud800y","b":"\ud83d\ude00"}"#)
            .expect("valid")
            .expect("a map");
        let values: Vec<_> = map.values().map(|value| value.as_deref()).collect();
        assert_eq!(values, [Some("x\u{fffd}y"), Some("\u{1f600}")]);
    }

    #[test]
    fn nothing_and_null_are_no_request() {
        assert_eq!(create_request(b""), Ok(None));
        assert_eq!(create_request(b" null "), Ok(None));
    }

    #[test]
    fn offsets_are_read_with_missing_members_as_null() {
        let entries =
            offsets(br#"{"offsets":[{"partition":{"a":1.5,"b":[true]},"offset":null},{}]}"#);
        let entries = entries.expect("valid").expect("offsets");
        assert_eq!(entries.len(), 2);
        assert_eq!(
            entries[0].partition,
            serde_json::json!({"a": 1.5, "b": [true]})
        );
        assert_eq!(entries[0].offset, serde_json::Value::Null);
        assert_eq!(entries[1], OffsetEntry::default());
        assert_eq!(offsets(b"").expect("valid"), None);
        let twice = br#"{"offsets":[{"partition":{},"partition":{"a":-0},"offset":{"b":18446744073709551616}}]}"#;
        let entries = offsets(twice).expect("valid").expect("offsets");
        assert_eq!(entries[0].partition, serde_json::json!({"a": 0}));
        assert_eq!(
            as_big_integer(&entries[0].offset["b"]),
            Some("18446744073709551616")
        );
        let error = offsets(br#"{"offsets":[{"partition":{},"offset":{},"offset":null}]}"#);
        assert_eq!(
            error.expect_err("refused").message,
            format!(
                "Should never call `set()` on setterless property ('offset') (through reference \
                 chain: {OFFSETS}[\"offsets\"]->java.util.ArrayList[0]->{OFFSET}[\"offset\"])"
            )
        );
        let error = offsets(br#"{"x":1,"offsets":[]}"#).expect_err("refused");
        assert!(error.message.contains("line: 1, column: 21]"), "{error:?}");
        let error = offsets(br#"{"offsets": [], "x": 1}"#).expect_err("refused");
        assert!(error.message.starts_with(&format!(
            "Unrecognized field \"x\" (class {OFFSETS}), not marked as ignorable (one known property: \"offsets\")"
        )));
    }

    // Recorded from Kafka Connect 4.3.1.
    #[test]
    fn refusals_are_worded_as_jackson_words_them() {
        let check = |body: &str, expected: &str| assert_eq!(message(body), expected, "{body}");
        check(
            "{",
            "Unexpected end-of-input: expected close marker for Object (start marker at [Source: S; line: 1, column: 1])\n at [Source: S; line: 1, column: 2]",
        );
        check(
            "{\"a",
            "Unexpected end-of-input in field name\n at [Source: S; line: 1, column: 4]",
        );
        check(
            "{\"name\":",
            "Unexpected end-of-input within/between Object entries\n at [Source: S; line: 1, column: 9]",
        );
        check(
            "{not json",
            "Unexpected character ('n' (code 110)): was expecting double-quote to start field name\n at [Source: S; line: 1, column: 2]",
        );
        check(
            "{\"name\":xyz9,",
            "Unrecognized token 'xyz9': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: S; line: 1, column: 9]",
        );
        check(
            "{\"name\" \"x\"}",
            "Unexpected character ('\"' (code 34)): was expecting a colon to separate field name and value\n at [Source: S; line: 1, column: 9]",
        );
        check(
            "{\"name\":01}",
            "Invalid numeric value: Leading zeroes not allowed\n at [Source: S; line: 1, column: 10]",
        );
        check(
            "{\"name\":.5}",
            "Unexpected character ('.' (code 46)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: S; line: 1, column: 9]",
        );
        check(
            "{\"name\":\"a\\qb\"}",
            "Unrecognized character escape 'q' (code 113)\n at [Source: S; line: 1, column: 12] (through reference chain: C[\"name\"])",
        );
        check(
            "{\n  \"name\": \"x\",\n  \"config\": {\"a\": [1,2]}}",
            "Cannot deserialize value of type `java.lang.String` from Array value (token `JsonToken.START_ARRAY`)\n at [Source: S; line: 3, column: 19] (through reference chain: C[\"config\"]->java.util.LinkedHashMap[\"a\"])",
        );
        check(
            "{\"config\":1}",
            "Cannot deserialize value of type `java.util.LinkedHashMap<java.lang.String,java.lang.String>` from Integer value (token `JsonToken.VALUE_NUMBER_INT`)\n at [Source: S; line: 1, column: 11] (through reference chain: C[\"config\"])",
        );
        check(
            "[]",
            "Cannot deserialize value of type `C` from Array value (token `JsonToken.START_ARRAY`)\n at [Source: S; line: 1, column: 1]",
        );
        check(
            "12",
            "Cannot construct instance of `C` (although at least one Creator exists): no int/Int-argument constructor/factory method to deserialize from Number value (12)\n at [Source: S; line: 1, column: 1]",
        );
        check(
            "1e5",
            "Cannot construct instance of `C` (although at least one Creator exists): no double/Double-argument constructor/factory method to deserialize from Number value (100000.0)\n at [Source: S; line: 1, column: 1]",
        );
        check(
            "{}{}",
            "Trailing token (of type START_OBJECT) found after value (bound as `C`): not allowed as per `DeserializationFeature.FAIL_ON_TRAILING_TOKENS`\n at [Source: S; line: 1, column: 3]",
        );
        check(
            "-0",
            "Cannot construct instance of `C` (although at least one Creator exists): no int/Int-argument constructor/factory method to deserialize from Number value (0)\n at [Source: S; line: 1, column: 1]",
        );
        check(
            "-",
            "Unexpected end-of-input in null\n at [Source: S; line: 1, column: 2]",
        );
        check(
            "+",
            "Unexpected end-of-input in a Number value\n at [Source: S; line: 1, column: 2]",
        );
        check(
            "-I",
            "Unexpected end-of-input in a Number value\n at [Source: S; line: 1, column: 3]",
        );
        check(
            "-In",
            "Unrecognized token '-In': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: S; line: 1, column: 1]",
        );
        check(
            "{\"name\":-INF}",
            "Non-standard token '-INF': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow\n at [Source: S; line: 1, column: 13]",
        );
        check(
            "{\"name\":-\n}",
            "Unexpected character ((CTRL-CHAR, code 10)) in numeric value: expected digit (0-9) to follow minus sign, for valid numeric value\n at [Source: S; line: 1, column: 10]",
        );
        check(
            "-é",
            "Unexpected character ('Ã' (code 195)) in numeric value: expected digit (0-9) to follow minus sign, for valid numeric value\n at [Source: S; line: 1, column: 2]",
        );
        check(
            "1.",
            "Unexpected character ('.' (code 46)) in numeric value: Decimal point not followed by a digit\n at [Source: S; line: 1, column: 2]",
        );
        check(
            "1e+",
            "Unexpected end-of-input in null\n at [Source: S; line: 1, column: 4]",
        );
        check(
            "1ex",
            "Unexpected character ('x' (code 120)) in numeric value: Exponent indicator not followed by a digit\n at [Source: S; line: 1, column: 3]",
        );
        check(
            "1a",
            "Unexpected character ('a' (code 97)): Expected space separating root-level values\n at [Source: S; line: 1, column: 2]",
        );
        check(
            "{\"a\":1,\"",
            "Unexpected end-of-input: was expecting closing '\"' for name\n at [Source: S; line: 1, column: 9]",
        );
        check(
            "é",
            "Invalid UTF-8 start byte 0xa9\n at [Source: S; line: 1, column: 3]",
        );
        check(
            "{é:1}",
            "Unexpected character ('é' (code 233)): was expecting double-quote to start field name\n at [Source: S; line: 1, column: 3]",
        );
        check(
            "\u{feff}{\"a\":1}",
            "Unrecognized field \"a\" (class C), not marked as ignorable (3 known properties: \"config\", \"name\", \"initial_state\")\n at [Source: S; line: 1, column: 11] (through reference chain: C[\"a\"])",
        );
        assert!(
            string_map(b"{}{")
                .expect_err("refused")
                .message
                .contains("(bound as `java.util.Map`)")
        );
        check(
            "{} x",
            "Unrecognized token 'x': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: S; line: 1, column: 4]",
        );
        check(
            "{\"unknown\":{\"a\":1}}",
            "Unrecognized field \"unknown\" (class C), not marked as ignorable (3 known properties: \"config\", \"name\", \"initial_state\")\n at [Source: S; line: 1, column: 20] (through reference chain: C[\"unknown\"])",
        );
        check(
            "{\"initial_state\":\"NOPE\"}",
            "Cannot construct instance of `C$InitialState`, problem: No enum constant C.InitialState.NOPE\n at [Source: S; line: 1, column: 18] (through reference chain: C[\"initial_state\"])",
        );
        check(
            "}",
            "Unexpected close marker '}': no open Object to close\n at [Source: S; line: 1, column: 1]",
        );
        check(
            "{\"name\":NaN}",
            "Non-standard token 'NaN': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow\n at [Source: S; line: 1, column: 12]",
        );
    }
}
