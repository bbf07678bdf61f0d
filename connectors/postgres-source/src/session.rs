//! An ordinary session that is opened when it is first needed, and again after it broke.
//!
//! Answers for Debezium's `MainConnectionProvidingConnectionFactory`. Initial statements run on
//! each opening.

use std::time::Duration;

use crate::error::PgError;
use crate::protocol::connection::{Connection, ConnectionSettings, SessionKind};

/// A session by need.
#[derive(Debug)]
pub struct Session {
    settings: ConnectionSettings,
    initial_statements: Vec<String>,
    /// How long a statement may run; zero for ever.
    limit: Duration,
    open: Option<Connection>,
}

impl Session {
    /// A session that is not open yet.
    #[must_use]
    pub fn new(settings: ConnectionSettings, initial_statements: Vec<String>) -> Self {
        Self {
            settings,
            initial_statements,
            limit: Duration::ZERO,
            open: None,
        }
    }

    /// From now on no statement may run longer than this; zero lifts the limit.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn limit_statements(&mut self, limit: Duration) -> Result<(), PgError> {
        self.limit = limit;
        if let Some(connection) = &mut self.open {
            set_limit(connection, limit).await?;
        }
        Ok(())
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
                if !self.limit.is_zero() {
                    set_limit(&mut connection, self.limit).await?;
                }
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

/// Has the server end statements that take longer.
pub(crate) async fn set_limit(connection: &mut Connection, limit: Duration) -> Result<(), PgError> {
    let sql = format!("SET statement_timeout = {}", limit.as_millis());
    connection.query(&sql).await.map(drop)
}
