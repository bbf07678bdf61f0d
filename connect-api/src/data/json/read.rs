//! Reads messages: finds schema and payload, knows the schemas that it has seen.

use std::collections::HashMap;

use super::convert::to_connect;
use super::node::Node;
use super::parse::{self, Parser};
use super::schema::read_schema;
use super::{JsonOptions, not_json, payload, valid_text};
use crate::data::{ByteString, Bytes, SchemaAndValue, SchemaRef, Value};
use crate::{Error, Result};

const NOT_AN_ENVELOPE: &str = "JsonConverter with schemas.enable requires \"schema\" and \
    \"payload\" fields and may not contain additional fields. If you are trying to deserialize \
    plain JSON data, set schemas.enable=false in your converter configuration.";

/// Reads JSON as Connect data (`JsonConverter.toConnectData`). Remembers the schemas that it has
/// read by their text; schemas that are equal are one.
#[derive(Debug)]
pub struct JsonReader {
    options: JsonOptions,
    /// `schema.content`: messages are payloads of this schema.
    schema_content: Option<SchemaRef>,
    known: KnownSchemas,
}

impl JsonReader {
    /// A reader with these options.
    pub fn new(options: JsonOptions) -> Self {
        Self {
            options,
            schema_content: None,
            known: KnownSchemas::new(options.schemas_cache_size),
        }
    }

    /// A reader of payloads that all have this schema, given as JSON (`schema.content`).
    ///
    /// # Errors
    /// The text is not JSON, or not a schema.
    pub fn with_schema_content(options: JsonOptions, content: &str) -> Result<Self> {
        let bytes = Bytes::copy_from_slice(content.as_bytes());
        let node: Node = parse::whole(&valid_text(&bytes), &bytes).map_err(|error| {
            Error::data("Failed to parse schema in converter config due to serialization error: ")
                .with_source(error)
        })?;
        let schema_content = read_schema(&node, options)?;
        Ok(Self {
            schema_content,
            ..Self::new(options)
        })
    }

    /// The data of a message; nothing gives nothing.
    ///
    /// # Errors
    /// The message is not JSON, not an envelope where one is expected, or its payload is not of
    /// its schema.
    pub fn read(&mut self, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        let Some(bytes) = bytes else {
            return Ok(SchemaAndValue::NULL);
        };
        if !self.options.schemas_enable {
            return Ok(SchemaAndValue {
                schema: None,
                value: parse::schemaless(bytes).map_err(not_json)?,
            });
        }
        if let Some(schema) = &self.schema_content {
            let text = valid_text(bytes);
            let fast = payload::read(
                &mut Parser::new(&text),
                schema,
                self.options.replace_null_with_default,
            );
            let value = match fast {
                Some(value) => value,
                None => {
                    let node: Node = parse::whole(&text, bytes).map_err(not_json)?;
                    to_connect(Some(schema), Some(&node), self.options)?
                }
            };
            return Ok(SchemaAndValue {
                schema: Some(SchemaRef::clone(schema)),
                value,
            });
        }
        match self.read_usual(bytes) {
            Some(data) => Ok(data),
            None => self.read_any(bytes),
        }
    }

    /// `{"schema":{…},"payload":…}` without white space around the schema, as converters write it.
    fn read_usual(&mut self, bytes: &Bytes) -> Option<SchemaAndValue> {
        const HEAD: &[u8] = b"{\"schema\":";
        const MIDDLE: &[u8] = b",\"payload\":";
        let rest = bytes.strip_prefix(HEAD)?;
        let (schema, length) = match self.known.recent(rest) {
            Some(found) => found,
            None => {
                let length = object_length(rest)?;
                let text = rest.get(..length)?;
                let schema = match self.known.get(text) {
                    Some(schema) => schema,
                    None => {
                        let text = Bytes::copy_from_slice(text);
                        let node: Node = parse::whole(&valid_text(&text), &text).ok()?;
                        let schema = read_schema(&node, self.options).ok()??;
                        self.known.insert(text, schema)
                    }
                };
                (schema, length)
            }
        };
        let start = HEAD.len() + length;
        if !bytes.get(start..)?.starts_with(MIDDLE) {
            return None;
        }
        // Slices keep the whole message, but only the payload has to be checked for UTF-8.
        let text = ByteString::try_from(bytes.slice(start + MIDDLE.len()..)).ok()?;
        let mut parser = Parser::new(&text);
        let value = payload::read(&mut parser, &schema, self.options.replace_null_with_default)?;
        (parser.peek_token()? == b'}').then_some(SchemaAndValue {
            schema: Some(schema),
            value,
        })
    }

    /// Any message, by way of a tree.
    fn read_any(&mut self, bytes: &Bytes) -> Result<SchemaAndValue> {
        let node: Node = parse::whole(&valid_text(bytes), bytes).map_err(not_json)?;
        let (Some(schema), Some(payload), Node::Object(members)) =
            (node.get("schema"), node.get("payload"), &node)
        else {
            return Err(Error::data(NOT_AN_ENVELOPE));
        };
        if members.len() != 2 {
            return Err(Error::data(NOT_AN_ENVELOPE));
        }
        let schema = read_schema(schema, self.options)?.map(|schema| self.known.intern(schema));
        let value: Value = to_connect(schema.as_ref(), Some(payload), self.options)?;
        Ok(SchemaAndValue { schema, value })
    }
}

#[cfg(test)]
impl JsonReader {
    /// What the short way and the long way read in a message.
    pub(super) fn both_ways(
        options: JsonOptions,
        bytes: &Bytes,
    ) -> (Option<SchemaAndValue>, Option<SchemaAndValue>) {
        let mut reader = Self::new(options);
        (reader.read_usual(bytes), reader.read_any(bytes).ok())
    }
}

/// The length of the object that the text begins with, without looking closely: braces outside of
/// strings are counted.
fn object_length(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'{') {
        return None;
    }
    let mut depth = 0usize;
    let mut at = 0;
    loop {
        at += memchr::memchr3(b'{', b'}', b'"', text.get(at..)?)?;
        match text.get(at)? {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => loop {
                at += 1;
                at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
                match text.get(at)? {
                    b'"' => break,
                    _ => at += 1,
                }
            },
        }
        at += 1;
    }
}

/// The schemas that were read, by their text.
#[derive(Debug)]
struct KnownSchemas {
    /// Those used last, the latest first: messages of a few tables follow each other.
    recent: Vec<(Bytes, SchemaRef)>,
    by_text: HashMap<Bytes, SchemaRef>,
    limit: usize,
}

/// How many texts are compared before one is looked up.
const RECENT: usize = 4;

impl KnownSchemas {
    fn new(limit: usize) -> Self {
        Self {
            recent: Vec::new(),
            by_text: HashMap::new(),
            limit: limit.max(1),
        }
    }

    /// The schema among the recent ones whose text `text` begins with, and the text's length.
    fn recent(&mut self, text: &[u8]) -> Option<(SchemaRef, usize)> {
        let at = self
            .recent
            .iter()
            .position(|(known, _)| text.starts_with(known))?;
        if at > 0 {
            self.recent.swap(0, at);
        }
        let (known, schema) = self.recent.first()?;
        Some((SchemaRef::clone(schema), known.len()))
    }

    fn get(&mut self, text: &[u8]) -> Option<SchemaRef> {
        let (text, schema) = self.by_text.get_key_value(text)?;
        let (text, schema) = (text.clone(), SchemaRef::clone(schema));
        self.remember(text, SchemaRef::clone(&schema));
        Some(schema)
    }

    fn insert(&mut self, text: Bytes, schema: SchemaRef) -> SchemaRef {
        let schema = self.intern(schema);
        if self.by_text.len() >= self.limit {
            self.by_text.clear();
        }
        self.by_text.insert(text.clone(), SchemaRef::clone(&schema));
        self.remember(text, SchemaRef::clone(&schema));
        schema
    }

    fn remember(&mut self, text: Bytes, schema: SchemaRef) {
        self.recent.truncate(RECENT - 1);
        self.recent.insert(0, (text, schema));
    }

    /// The known schema that equals this one, so that caches by address stay warm.
    fn intern(&mut self, schema: SchemaRef) -> SchemaRef {
        let known = self
            .recent
            .iter()
            .map(|(_, known)| known)
            .chain(self.by_text.values());
        let equal = known.into_iter().find(|known| ***known == *schema);
        match equal {
            Some(known) => SchemaRef::clone(known),
            None => schema,
        }
    }
}
