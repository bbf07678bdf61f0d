//! The crate's one error, and what the task does about each kind of it.
//!
//! Answers for `PostgresErrorHandler`: whatever came from the network or from the server is tried
//! again, except a refused login and, unlike there, whatever else no retry can mend; everything
//! else stops the task.

use std::fmt;
use std::io;

/// An `ErrorResponse` of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// `ERROR`, `FATAL` or `PANIC`.
    pub severity: String,
    /// The SQLSTATE.
    pub code: String,
    /// The message.
    pub message: String,
    /// The detail, where there is one.
    pub detail: Option<String>,
    /// The hint, where there is one.
    pub hint: Option<String>,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, "\n  Detail: {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  Hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ServerError {}

/// What can go wrong between a database and a record.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// Nobody listens there, or the way there is closed. The text is the JDBC driver's, since
    /// `validate` shows it.
    #[error(
        "Connection to {host}:{port} refused. Check that the hostname and port are correct and \
         that the postmaster is accepting TCP/IP connections."
    )]
    Refused {
        /// The configured host.
        host: String,
        /// The configured port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The connection could not be made for another reason: an unknown host, a timeout.
    #[error("The connection attempt failed.")]
    Attempt {
        /// Where and why.
        source: ConnectFailure,
    },
    /// What listens there did not say whether it speaks TLS, so it is no Postgres.
    #[error("An error occurred while setting up the SSL connection.")]
    NoAnswerToTls {
        /// Where and what it said.
        source: ConnectFailure,
    },
    /// The handshake failed.
    #[error("SSL error: {reason}")]
    Tls {
        /// Why, as the JDBC driver words it where it is known.
        reason: String,
        /// Where and why.
        source: ConnectFailure,
    },
    /// TLS was demanded and the server has none.
    #[error("The server does not support SSL.")]
    NoTls,
    /// The server said no.
    #[error(transparent)]
    Server(ServerError),
    /// An established connection broke.
    #[error("connection to {server} broke while {doing}")]
    Io {
        /// `host:port`.
        server: String,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The server sent what the protocol does not allow here.
    #[error("unexpected answer of the server: {0}")]
    Protocol(String),
    /// The configuration cannot work.
    #[error("{0}")]
    Config(String),
    /// One failure in the words of what was attempted, with its cause.
    #[error("{message}")]
    While {
        /// What failed, as Debezium words it.
        message: String,
        /// Why.
        source: Box<PgError>,
    },
    /// One that is final although the server's error as such would be tried again.
    #[error(transparent)]
    Final(Box<PgError>),
    /// The task was told to stop while it waited.
    #[error("the task is stopping")]
    Stopped,
    /// A failure that no retry can heal.
    #[error("{0}")]
    Fatal(String),
}

/// Why a connection was not made, and to which address.
#[derive(Debug, thiserror::Error)]
#[error("connecting to {host}:{port}")]
pub struct ConnectFailure {
    /// The configured host.
    pub host: String,
    /// The configured port.
    pub port: u16,
    /// What the system said.
    pub source: io::Error,
}

impl PgError {
    /// Wraps the error with what was attempted.
    #[must_use]
    pub fn while_(self, message: impl Into<String>) -> Self {
        // A stop is no failure of anything.
        if matches!(self, Self::Stopped) {
            return self;
        }
        Self::While {
            message: message.into(),
            source: Box::new(self),
        }
    }

    /// The server's error at the end of the chain, if that is what it was.
    #[must_use]
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Self::Server(error) => Some(error),
            Self::While { source, .. } | Self::Final(source) => source.server(),
            _ => None,
        }
    }

    /// Whether the text of this error or of one of its causes is such.
    #[must_use]
    pub fn any_message(&self, is_such: impl Fn(&str) -> bool) -> bool {
        let mut error: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(one) = error {
            if is_such(&one.to_string()) {
                return true;
            }
            error = one.source();
        }
        false
    }

    /// The server's SQLSTATE, if it was the server that failed.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        self.server().map(|error| error.code.as_str())
    }

    /// The same error, final if it is the server's: what Debezium does not try again.
    #[must_use]
    pub fn finally(self) -> Self {
        if self.server().is_some() {
            Self::Final(Box::new(self))
        } else {
            self
        }
    }

    /// The error as the worker shows it: this one's text first, then its causes.
    #[must_use]
    pub fn into_fatal(self) -> connect_api::Error {
        match self {
            Self::While { message, source } => {
                connect_api::Error::fatal(message).with_source(*source)
            }
            Self::Final(error) => error.into_fatal(),
            other => {
                let text = other.to_string();
                match other {
                    Self::Attempt { source }
                    | Self::NoAnswerToTls { source }
                    | Self::Tls { source, .. } => {
                        connect_api::Error::fatal(text).with_source(source)
                    }
                    _ => connect_api::Error::fatal(text),
                }
            }
        }
    }

    /// Gives the server's error a hint on what to do, where the server has none.
    #[must_use]
    pub fn advised(mut self) -> Self {
        let mut error = &mut self;
        while let Self::While { source, .. } | Self::Final(source) = error {
            error = source;
        }
        if let Self::Server(error) = error
            && error.hint.is_none()
        {
            error.hint = remedy(error).map(str::to_owned);
        }
        self
    }

    /// Whether trying again can help: all that the network or the server says may pass, except a
    /// refused login, a missing privilege or database, wrong SQL and lost log.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Attempt { .. }
            | Self::NoAnswerToTls { .. }
            | Self::Tls { .. }
            | Self::Io { .. }
            | Self::NoTls => true,
            Self::Server(error) => !is_lasting(&error.code),
            Self::While { source, .. } => source.is_retriable(),
            Self::Protocol(_)
            | Self::Config(_)
            | Self::Final(_)
            | Self::Stopped
            | Self::Fatal(_) => false,
        }
    }
}

/// Whether an error of this SQLSTATE stays until someone acts.
fn is_lasting(code: &str) -> bool {
    // A refused login; a missing database or schema; what the server cannot do at all.
    let class = ["28", "3D", "3F", "0A"];
    // Missing privileges and wrong SQL; an invalidated slot; log that was removed.
    let states = ["42501", "42601", "42883", "55000", "58P01"];
    class.iter().any(|class| code.starts_with(class)) || states.contains(&code)
}

/// What to do about an error of the server.
fn remedy(error: &ServerError) -> Option<&'static str> {
    Some(match error.code.as_str() {
        "28P01" | "28000" => {
            "Check database.user, database.password and the server's pg_hba.conf, which needs an entry for replication as well."
        }
        "3D000" => "Check database.dbname.",
        "25006" => {
            "A standby cannot be written to: create the publication and set replica identities on the primary."
        }
        "42501" if error.message.contains("replication") || error.message.contains("walsender") => {
            "Give the role the attribute REPLICATION: ALTER ROLE ... REPLICATION."
        }
        "42501"
            if error.message.contains("publication") || error.message.contains("for database") =>
        {
            "Create the publication as its tables' owner and set publication.autocreate.mode=disabled, or give the role the rights to create it."
        }
        "42501" => {
            "Grant the role what it lacks: USAGE on the schema and SELECT on the table, or leave the table out by table.exclude.list."
        }
        "42704" if error.message.contains("publication") => {
            "Create the publication, or let publication.autocreate.mode create it."
        }
        "53400" => "Drop unused replication slots or raise max_replication_slots on the server.",
        "53300" => {
            "Raise max_connections or max_wal_senders on the server, or end sessions that are not needed."
        }
        "55000" if error.message.contains("wal_level") => {
            "Set wal_level=logical on the server and restart it."
        }
        "58P01" if error.message.contains("could not access file") => {
            "Set plugin.name=pgoutput, which every server has."
        }
        "55000" | "58P01" => {
            "The slot no longer holds the log that is needed. Drop it and start with snapshot.mode=when_needed; raise max_slot_wal_keep_size."
        }
        "55006" => {
            "Give each connector a slot of its own by slot.name, and end the session that holds this one."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: &str) -> PgError {
        PgError::Server(ServerError {
            severity: "FATAL".to_owned(),
            code: code.to_owned(),
            message: "no".to_owned(),
            ..ServerError::default()
        })
    }

    #[test]
    fn what_no_retry_can_mend_is_final_and_any_other_sql_error_is_not() {
        assert!(!server("28P01").is_retriable());
        assert!(!server("28000").while_("opening").is_retriable());
        for lasting in ["42501", "42601", "3D000", "55000", "58P01", "0A000"] {
            assert!(!server(lasting).is_retriable(), "{lasting}");
        }
        for passing in [
            "42P01", "53300", "53400", "55006", "40001", "57014", "57P03",
        ] {
            assert!(server(passing).is_retriable(), "{passing}");
        }
        assert!(server("57P01").while_("streaming").is_retriable());
        assert!(!PgError::Fatal("slot lost".to_owned()).is_retriable());
    }

    #[test]
    fn advice_is_given_where_the_server_has_none() {
        let told = |error: PgError| error.advised().server().unwrap().to_string();
        assert!(told(server("42501").while_("reading")).contains("Hint: Grant the role"));
        assert!(!told(server("XX000")).contains("Hint"));
        let mut own = ServerError {
            code: "55000".to_owned(),
            ..ServerError::default()
        };
        own.hint = Some("the server's".to_owned());
        assert!(told(PgError::Server(own)).ends_with("Hint: the server's"));
    }

    #[test]
    fn a_server_error_reads_as_the_driver_prints_it() {
        let mut error = ServerError {
            severity: "ERROR".to_owned(),
            code: "55006".to_owned(),
            message: "replication slot \"x\" is active for PID 1".to_owned(),
            ..ServerError::default()
        };
        assert_eq!(
            error.to_string(),
            "ERROR: replication slot \"x\" is active for PID 1"
        );
        error.detail = Some("why".to_owned());
        assert!(error.to_string().ends_with("\n  Detail: why"));
    }
}
