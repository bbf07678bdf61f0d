//! An ordinary session that is opened when it is first needed, and again after it broke.
//!
//! Answers for Debezium's `MainConnectionProvidingConnectionFactory`. Initial statements run on
//! each opening.

use crate::error::PgError;
use crate::protocol::connection::{Connection, ConnectionSettings, SessionKind};

/// A session by need.
#[derive(Debug)]
pub struct Session {
    settings: ConnectionSettings,
    initial_statements: Vec<String>,
    open: Option<Connection>,
}

impl Session {
    /// A session that is not open yet.
    #[must_use]
    pub fn new(settings: ConnectionSettings, initial_statements: Vec<String>) -> Self {
        Self {
            settings,
            initial_statements,
            open: None,
        }
    }

    /// The open session.
    ///
    /// # Errors
    /// It cannot be opened, or an initial statement fails.
    pub async fn get(&mut self) -> Result<&mut Connection, PgError> {
        let connection = match self.open.take() {
            Some(connection) => connection,
            None => {
                let kind = SessionKind::Ordinary;
                let mut connection =
                    Connection::open(&self.settings, kind, "Debezium General").await?;
                for statement in &self.initial_statements {
                    connection.query(statement).await?;
                }
                connection
            }
        };
        Ok(self.open.insert(connection))
    }

    /// Lets go of the session and opens it anew.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn reopen(&mut self) -> Result<(), PgError> {
        self.open = None;
        self.get().await.map(drop)
    }

    /// Takes the session out, opening it if need be; the next [`Self::get`] opens another.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn take(&mut self) -> Result<Connection, PgError> {
        self.get().await?;
        self.open
            .take()
            .ok_or_else(|| PgError::Protocol("no open session".to_owned()))
    }

    /// Gives a session back that was taken out and is idle again.
    pub fn put_back(&mut self, connection: Connection) {
        self.open = Some(connection);
    }

    /// Says goodbye, if it is open.
    pub async fn close(self) {
        if let Some(connection) = self.open {
            connection.close().await;
        }
    }
}
