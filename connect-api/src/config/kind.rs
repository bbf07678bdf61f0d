//! Option types and how their texts are parsed (`ConfigDef.parseType`, `convertToString`).

/// The type of an option (`ConfigDef.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// 32-bit integer.
    Int,
    /// 16-bit integer.
    Short,
    /// 64-bit integer.
    Long,
    /// Floating-point number.
    Double,
    /// Texts apart by commas.
    List,
    /// The name of a plugin's class.
    Class,
    /// Text that is never shown.
    Password,
}

impl Type {
    /// `BOOLEAN`, `STRING`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// A parsed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// Of a BOOLEAN.
    Boolean(bool),
    /// Of an INT, SHORT or LONG.
    Int(i64),
    /// Of a DOUBLE.
    Double(f64),
    /// Of a STRING.
    String(String),
    /// Of a LIST.
    List(Vec<String>),
    /// Of a CLASS: the class name. Whether such a plugin exists is the worker's to say.
    Class(String),
    /// Of a PASSWORD.
    Password(String),
}

impl Parsed {
    /// Parses a text, white space around it cut off.
    ///
    /// # Errors
    /// What is wrong, as `ConfigException` says it.
    pub fn parse(name: &str, kind: Type, text: &str) -> Result<Self, String> {
        // Refusals show the text as it was given.
        let given = text;
        let text = text.trim_matches(|character: char| character <= ' ');
        let number = |min: i64, max: i64| {
            crate::java::parse_long(text)
                .filter(|value| (min..=max).contains(value))
                .map(Self::Int)
                .ok_or_else(|| {
                    invalid(
                        name,
                        given,
                        &format!("Not a number of type {}", kind.name()),
                    )
                })
        };
        match kind {
            Type::Boolean if text.eq_ignore_ascii_case("true") => Ok(Self::Boolean(true)),
            Type::Boolean if text.eq_ignore_ascii_case("false") => Ok(Self::Boolean(false)),
            Type::Boolean => Err(invalid(
                name,
                given,
                "Expected value to be either true or false",
            )),
            Type::String => Ok(Self::String(text.to_owned())),
            Type::Int => number(i32::MIN.into(), i32::MAX.into()),
            Type::Short => number(i16::MIN.into(), i16::MAX.into()),
            Type::Long => number(i64::MIN, i64::MAX),
            Type::Double => crate::java::parsable(text)
                .and_then(|text| text.parse().ok())
                .map(Self::Double)
                .ok_or_else(|| invalid(name, given, "Not a number of type DOUBLE")),
            Type::List if text.is_empty() => Ok(Self::List(Vec::new())),
            Type::List => Ok(Self::List(
                text.split(',').map(|item| item.trim().to_owned()).collect(),
            )),
            Type::Class => Ok(Self::Class(text.to_owned())),
            Type::Password => Ok(Self::Password(text.to_owned())),
        }
    }

    /// The value as answers show it.
    pub fn shown(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Double(value) => crate::java::double_to_string(*value),
            Self::String(text) | Self::Class(text) => text.clone(),
            Self::List(items) => join_list(items),
            Self::Password(_) => "[hidden]".to_owned(),
        }
    }

    /// The value as error texts show it (`Object.toString`): lists in brackets.
    pub(super) fn in_error(&self) -> String {
        match self {
            Self::List(items) => format!("[{}]", items.join(", ")),
            other => other.shown(),
        }
    }
}

/// A list as one text.
pub fn join_list(items: &[String]) -> String {
    items.join(",")
}

/// `Invalid value V for configuration K: why`.
pub(super) fn invalid(name: &str, value: &str, why: &str) -> String {
    format!("Invalid value {value} for configuration {name}: {why}")
}
