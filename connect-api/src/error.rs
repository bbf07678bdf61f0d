//! The one error type that crosses crates. What the runtime does with an error follows from its
//! [`ErrorKind`] alone; causes are chained, never pasted into the text.
//!
//! Answers for `ConnectException`, `RetriableException`, `DataException`, `ConfigException`,
//! `NotFoundException`, `AlreadyExistsException` and `RebalanceNeededException`.

use std::borrow::Cow;
use std::fmt;

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the runtime must do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The configuration is wrong: the connector or task does not start; REST answers 400.
    Config,
    /// This one record is bad: `errors.tolerance` decides in converters and transformations.
    Data,
    /// The world is not ready: the same work is tried again, without a limit.
    Retriable,
    /// Nothing helps: the task is FAILED.
    Fatal,
    /// What was asked for does not exist; REST answers 404.
    NotFound,
    /// What was to be made exists already, or another operation is under way; REST answers 409.
    Conflict,
    /// A rebalance is under way; REST answers 409 once it has waited for it.
    Rebalancing,
}

/// An error: its kind, what failed and where, and why.
pub struct Error {
    kind: ErrorKind,
    /// The Java class, where it is another than the kind's.
    class: Option<&'static str>,
    message: Cow<'static, str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            class: None,
            message: message.into(),
            source: None,
        }
    }
    /// The configuration is wrong.
    pub fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Config, message)
    }
    /// This record cannot be handled.
    pub fn data(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Data, message)
    }
    /// The same work may succeed later.
    pub fn retriable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Retriable, message)
    }
    /// The task cannot go on.
    pub fn fatal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Fatal, message)
    }
    /// What was asked for does not exist.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }
    /// The request conflicts with what is there.
    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error under the name of another Java class than its kind's, for traces: what the
    /// runtime does about it stays the kind's.
    #[must_use]
    pub fn with_class(mut self, class: &'static str) -> Self {
        self.class = Some(class);
        self
    }

    /// What the runtime must do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
    /// What failed, without the causes.
    pub fn message(&self) -> &str {
        &self.message
    }
    /// Whether the same work may succeed later.
    pub fn is_retriable(&self) -> bool {
        self.kind == ErrorKind::Retriable
    }

    /// The Java class whose stack trace a JVM worker would show, for a status's `trace`.
    pub fn java_class(&self) -> &'static str {
        if let Some(class) = self.class {
            return class;
        }
        match self.kind {
            ErrorKind::Config => "org.apache.kafka.common.config.ConfigException",
            ErrorKind::Data => "org.apache.kafka.connect.errors.DataException",
            ErrorKind::Retriable => "org.apache.kafka.connect.errors.RetriableException",
            ErrorKind::NotFound => "org.apache.kafka.connect.errors.NotFoundException",
            ErrorKind::Conflict => "org.apache.kafka.connect.errors.AlreadyExistsException",
            ErrorKind::Fatal | ErrorKind::Rebalancing => {
                "org.apache.kafka.connect.errors.ConnectException"
            }
        }
    }

    /// The error as a status's `trace` shows it: class and message in the first line, then each
    /// cause in a line of its own that begins with `Caused by: `.
    pub fn trace(&self) -> String {
        let mut text = format!("{}: {}", self.java_class(), self.message);
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str("\nCaused by: ");
            if let Some(error) = error.downcast_ref::<Self>() {
                text.push_str(error.java_class());
                text.push_str(": ");
            }
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text.push('\n');
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, Chain(self))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

/// An error with all its causes on one line, for logs: `reading slot: connection refused`.
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_names_the_error_first_and_then_each_cause() {
        let cause = Error::fatal("connection refused");
        let error = Error::retriable("connecting to db:5432").with_source(cause);
        assert_eq!(
            error.trace(),
            "org.apache.kafka.connect.errors.RetriableException: connecting to db:5432\n\
             Caused by: org.apache.kafka.connect.errors.ConnectException: connection refused\n"
        );
        assert_eq!(
            Chain(&error).to_string(),
            "connecting to db:5432: connection refused"
        );
    }

    #[test]
    fn a_trace_names_the_classes_that_were_given() {
        let cause = Error::data("no").with_class("java.io.IOException");
        let error = Error::data("asking")
            .with_class("my.Exception")
            .with_source(cause);
        assert_eq!(
            error.trace(),
            "my.Exception: asking\nCaused by: java.io.IOException: no\n"
        );
    }
}
