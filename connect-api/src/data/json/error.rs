//! What Jackson says of a text that is not JSON.

use std::fmt;

/// The exception for texts beyond the limits.
pub(super) const CONSTRAINTS: &str = "exc.StreamConstraintsException";
/// The exception for exponents that no BigDecimal has.
pub(super) const NOT_A_NUMBER: &str = "java.lang.NumberFormatException";

/// Why a text is not JSON.
#[derive(Debug)]
pub struct JsonError {
    jackson: JacksonError,
}

/// The cause as Jackson names it.
#[derive(Clone, Debug)]
struct JacksonError {
    class: &'static str,
    message: String,
    line: usize,
    column: usize,
}

impl fmt::Display for JacksonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.class == NOT_A_NUMBER {
            return write!(f, "{NOT_A_NUMBER}: {}", self.message);
        }
        write!(
            f,
            "com.fasterxml.jackson.core.{}: {}",
            self.class, self.message
        )?;
        if self.class == CONSTRAINTS {
            return Ok(());
        }
        write!(
            f,
            "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); \
             line: {}, column: {}]",
            self.line, self.column
        )
    }
}
impl std::error::Error for JacksonError {}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "org.apache.kafka.common.errors.SerializationException: {}",
            self.jackson
        )
    }
}
impl std::error::Error for JsonError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.jackson)
    }
}

pub(super) type Parsed<T> = Result<T, Box<Failure>>;

/// What is wrong and where, before line and column are counted.
#[derive(Debug)]
pub struct Failure {
    pub(super) class: &'static str,
    pub(super) message: String,
    /// Where, in bytes.
    pub(super) at: usize,
}

impl Failure {
    /// The error with line and column.
    pub fn located_in(self, text: &str) -> JsonError {
        let (line, column) = place(text, self.at);
        JsonError {
            jackson: JacksonError {
                class: self.class,
                message: self.message,
                line,
                column,
            },
        }
    }
}

/// Line and column of a place in a text, from 1.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at.min(text.len())).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    (
        line,
        before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1,
    )
}
