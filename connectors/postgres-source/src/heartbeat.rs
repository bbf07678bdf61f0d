//! Heartbeats: records that carry the position on when no row does, and the query that goes with
//! them.
//!
//! Pure but for the action query, which has a session of its own. Answers for `HeartbeatImpl` and
//! `DatabaseHeartbeatImpl`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::ByteString;
use connect_api::data::{Headers, Schema, SchemaAndValue, SchemaRef, Struct, Value};
use connect_api::record::{Record, SourceOffset, SourcePartition, SourceRecord};

use crate::error::PgError;
use crate::protocol::connection::{Connection, ConnectionSettings, SessionKind};
use crate::session::set_limit;

/// Heartbeats of one task.
#[derive(Debug)]
pub struct Heartbeat {
    interval: Duration,
    last: Option<Instant>,
    topic: ByteString,
    key: SchemaAndValue,
    value_schema: SchemaRef,
    action: Option<Action>,
}

#[derive(Debug)]
struct Action {
    query: String,
    settings: ConnectionSettings,
    /// How long it may take: the stream waits for it.
    limit: Duration,
    session: Option<Connection>,
}

impl Action {
    async fn open(&self) -> Result<Connection, PgError> {
        let kind = SessionKind::Ordinary;
        let mut session = Connection::open(&self.settings, kind, "Debezium Heartbeat").await?;
        if !self.limit.is_zero() {
            set_limit(&mut session, self.limit).await?;
        }
        Ok(session)
    }
}

impl Heartbeat {
    /// Heartbeats every `interval` to `topic`; none for an interval of zero.
    #[must_use]
    pub fn new(interval: Duration, topic: &str, server_name: &str) -> Option<Self> {
        if interval.is_zero() {
            return None;
        }
        let key_schema = Schema::structure()
            .name("io.debezium.connector.common.ServerNameKey")
            .version(1)
            .field("serverName", Schema::string().build())
            .build();
        let value_schema = Schema::structure()
            .name("io.debezium.connector.common.Heartbeat")
            .version(1)
            .field("ts_ms", Schema::int64().build())
            .build();
        let key = Struct::new(Arc::clone(&key_schema), vec![Value::from(server_name)]);
        Some(Self {
            interval,
            last: Some(Instant::now()),
            topic: ByteString::from(topic),
            key: SchemaAndValue::new(key_schema, key),
            value_schema,
            action: None,
        })
    }

    /// Runs `query` before each heartbeat, in a session of its own, for `limit` at most.
    #[must_use]
    pub fn with_action(
        mut self,
        query: &str,
        settings: &ConnectionSettings,
        limit: Duration,
    ) -> Self {
        let settings = settings.clone();
        self.action = Some(Action {
            query: query.to_owned(),
            settings,
            limit,
            session: None,
        });
        self
    }

    /// Whether the interval has passed.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.until_due().is_zero()
    }

    /// How long until the next one.
    #[must_use]
    pub fn until_due(&self) -> Duration {
        self.last.map_or(Duration::ZERO, |last| {
            self.interval.saturating_sub(last.elapsed())
        })
    }

    /// Makes it due at once, as at the end of a snapshot.
    pub fn force(&mut self) {
        self.last = None;
    }

    /// The record, carrying `offset`; the interval starts anew.
    #[must_use]
    pub fn record(
        &mut self,
        partition: &Arc<SourcePartition>,
        offset: Arc<dyn SourceOffset>,
        now_ms: i64,
    ) -> SourceRecord {
        self.last = Some(Instant::now());
        let value = Struct::new(Arc::clone(&self.value_schema), vec![Value::Int64(now_ms)]);
        SourceRecord {
            record: Record {
                topic: self.topic.clone(),
                // Fixed, so that one consumer sees them in order.
                partition: Some(0),
                key: self.key.clone(),
                value: SchemaAndValue::new(Arc::clone(&self.value_schema), value),
                timestamp: None,
                headers: Headers::new(),
                offset: None,
            },
            source_partition: Arc::clone(partition),
            source_offset: offset,
        }
    }

    /// Runs the action query.
    ///
    /// # Errors
    /// The table that it writes to is gone, or the server shuts down. Everything else is logged
    /// and passed over, for a heartbeat must not stop a stream.
    pub async fn act(&mut self) -> Result<(), PgError> {
        let Some(action) = &mut self.action else {
            return Ok(());
        };
        let mut session = match action.session.take() {
            Some(session) => session,
            None => match action.open().await {
                Ok(session) => session,
                Err(error) => {
                    tracing::error!(error = %error, "Could not execute heartbeat action");
                    return Ok(());
                }
            },
        };
        match session.query(&action.query).await {
            Ok(_) => {
                action.session = Some(session);
                Ok(())
            }
            Err(error) => match error.sqlstate() {
                // Shutting down, starting up, or the query's table is missing.
                Some(state @ ("57P01" | "57P03" | "42P01")) => {
                    let text = format!("Could not execute heartbeat action query (Error: {state})");
                    Err(error.while_(text))
                }
                state => {
                    let usable = state.is_some();
                    tracing::error!(error = %error, "Could not execute heartbeat action");
                    action.session = usable.then_some(session);
                    Ok(())
                }
            },
        }
    }
}
