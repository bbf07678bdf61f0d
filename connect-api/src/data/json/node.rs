//! A JSON text as a tree: the long way, for schemas and for whatever is not of the usual shape.

use indexmap::IndexMap;

use super::parse::Build;
use crate::data::{ByteString, Decimal};

/// A part of a JSON text (Jackson's `JsonNode`).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Boolean(bool),
    Integer(i64),
    /// An integer that does not fit, as written.
    BigInteger(ByteString),
    Fraction(Decimal),
    Text(ByteString),
    Array(Vec<Node>),
    Object(IndexMap<ByteString, Node>),
}

impl Build for Node {
    fn null() -> Self {
        Self::Null
    }
    fn boolean(value: bool) -> Self {
        Self::Boolean(value)
    }
    fn integer(value: i64) -> Self {
        Self::Integer(value)
    }
    fn big_integer(digits: &str) -> Self {
        Self::BigInteger(digits.into())
    }
    fn fraction(text: &str) -> Self {
        // The parser has refused what is no BigDecimal.
        Self::Fraction(Decimal::parse(text.as_bytes()).unwrap_or_else(|| Decimal::new(0, 0)))
    }
    fn text(text: ByteString) -> Self {
        Self::Text(text)
    }
    fn array(items: Vec<Self>) -> Self {
        Self::Array(items)
    }
    fn object(members: Vec<(ByteString, Self)>) -> Self {
        Self::Object(members.into_iter().collect())
    }
}

impl Node {
    /// The member of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }
    /// The text of a string.
    pub(super) fn as_text(&self) -> Option<&ByteString> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
    /// `JsonNode.getNodeType`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Boolean(_) => "BOOLEAN",
            Self::Integer(_) | Self::BigInteger(_) | Self::Fraction(_) => "NUMBER",
            Self::Text(_) => "STRING",
            Self::Array(_) => "ARRAY",
            Self::Object(_) => "OBJECT",
        }
    }
}
