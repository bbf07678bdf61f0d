//! What a task does before its first record: whether to take a snapshot, from where to stream.
//!
//! [`decision`] decides, [`open`] and [`start_stream`] carry it out. Answers for
//! `PostgresConnectorTask.start` and `PostgresReplicationConnection`.

pub mod decision;
mod streaming;
mod tables;

pub use streaming::{heartbeat, start_stream};

use std::sync::Arc;
use std::time::Duration;

use connect_api::context::StopSignal;
use connect_api::java::Regex;
use connect_api::source::TopicAccess;
use tokio::runtime::Handle;

use self::decision::{decide, lost_log, resumes};
use self::streaming::{departed, ensure_publication, make_slot};
use self::tables::{captured_tables, check_guardrail, snapshot_tables};
use crate::change::TableId;
use crate::config::PostgresConfig;
use crate::emitter::Emitter;
use crate::error::PgError;
use crate::notification::Notifications;
use crate::offset::Offset;
use crate::protocol::Lsn;
use crate::protocol::connection::Connection;
use crate::protocol::slot::{self, CreatedSlot};
use crate::session::Session;
use crate::signal::Request;
use crate::snapshot::{Basis, Snapshot};
use crate::stream::Streaming;

pub use self::decision::streams;

/// The only plugin whose messages are read here.
pub const PLUGIN_NAME: &str = "pgoutput";

/// What stands on top of an error in snapshot or stream.
pub const PRODUCER_FAILED: &str =
    "An exception occurred in the change event producer. This connector will be stopped.";

/// What everything in a task shares.
#[derive(Clone, Debug)]
pub struct TaskContext {
    /// The configuration.
    pub config: Arc<PostgresConfig>,
    /// Makes the records.
    pub emitter: Arc<Emitter>,
    /// For what has to be awaited.
    pub runtime: Handle,
    /// Set when the task is to stop.
    pub stop: StopSignal,
    /// Tells of snapshots.
    pub notifications: Arc<Notifications>,
    /// Topics to read, for signals.
    pub topics: Option<Topics>,
}

/// The worker's access to topics.
#[derive(Clone)]
pub struct Topics(pub Arc<dyn TopicAccess>);

impl std::fmt::Debug for Topics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Topics")
    }
}

impl TaskContext {
    /// Blocks on `work`, unless the task is to stop.
    ///
    /// # Errors
    /// The work's, or [`PgError::Stopped`].
    pub fn until_stop<T>(
        &self,
        work: impl Future<Output = Result<T, PgError>>,
    ) -> Result<T, PgError> {
        self.runtime.block_on(async {
            tokio::select! {
                result = work => result,
                () = self.stop.wait_async() => Err(PgError::Stopped),
            }
        })
    }

    /// Waits, unless the task is to stop.
    async fn pause(&self, time: Duration) -> Result<(), PgError> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.stop.wait_async() => Err(PgError::Stopped),
        }
    }
}

/// What a task works on after its start.
#[derive(Debug)]
pub enum Opened {
    /// A snapshot, then the stream from the new slot's position if the mode streams.
    Snapshot(Box<Snapshot>, Option<Lsn>),
    /// The stream, going on from an offset.
    Stream(Box<Streaming>),
    /// Nothing is left to do.
    Idle,
}

/// Connects, decides, and begins.
///
/// # Errors
/// The server's, or the mode forbids to go on.
pub async fn open(context: &TaskContext, offset: Option<Offset>) -> Result<Opened, PgError> {
    let config = &context.config;
    let mut session = Session::new(config.connection.clone(), config.initial_statements.clone());
    let database = &config.dbname;
    let connection = session.get().await.map_err(|error| {
        let text = if error.is_retriable() {
            format!("Couldn't obtain encoding for database {database}")
        } else {
            "Non-retriable failure obtaining database encoding; failing task.".to_owned()
        };
        error.while_(text)
    })?;
    let streams = streams(config);
    check_server(connection, streams).await?;
    check_guardrail(config, captured_tables(context, connection).await?.len())?;
    let plugin = plugin_name(config);
    let slot = slot::find_slot(connection, &config.slot_name, database, &plugin).await?;
    match &offset {
        Some(offset) => tracing::info!("Found previous partition offset {offset}"),
        None => tracing::info!("No previous offsets found"),
    }
    let written = match &offset {
        Some(_) if streams => log_end(connection).await?,
        _ => None,
    };
    let departed = match &offset {
        Some(offset) if streams => departed(context, offset).await?,
        _ => None,
    };
    let lost = departed.or_else(|| lost_log(config, offset.as_ref(), slot.as_ref(), written));
    let based = config.snapshot_configuration_based;
    let decision = decide(
        config.snapshot_mode,
        based,
        offset.as_ref(),
        lost.as_deref(),
    )?;
    let offset = offset.filter(|_| !decision.forget_offset);
    let mut created = None;
    if streams && slot.is_none() {
        let making = make_slot(context, connection, &plugin);
        created = Some(making.await.map_err(PgError::finally)?);
    }
    if streams && plugin != PLUGIN_NAME {
        return Err(PgError::Config(format!(
            "plugin.name '{plugin}' is not supported; set it to {PLUGIN_NAME}"
        )));
    }
    if !decision.snapshot && !streams {
        return Ok(Opened::Idle);
    }
    // A server passes over what was written before the publication was there, also where an old slot
    // has it. What forbids to make one is told when the stream begins, as there.
    if decision.snapshot
        && streams
        && created.is_none()
        && let Err(error) = ensure_publication(context, session.get().await?).await
    {
        tracing::warn!(%error, "the publication cannot be made before the snapshot");
    }
    let producing = async {
        if decision.snapshot {
            let resumed =
                offset.filter(|offset| created.is_none() && resumes(config, offset, slot.as_ref()));
            return take_snapshot(context, session, created, resumed).await;
        }
        let offset = offset.unwrap_or_default();
        let position = created.map(|(slot, _)| slot.consistent_point);
        let mut streaming = start_stream(context, session, offset, position).await?;
        streaming.tell_skipped(&context.notifications);
        Ok(Opened::Stream(Box::new(streaming)))
    };
    producing
        .await
        .map_err(|error: PgError| error.while_(PRODUCER_FAILED))
}

/// The end of the server's log. None of a standby: one that has just started lags behind what it
/// gave out before, and catches up.
async fn log_end(connection: &mut Connection) -> Result<Option<Lsn>, PgError> {
    let sql = "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_lsn() END";
    let row = connection.query_first(sql).await?;
    Ok(row.and_then(|row| row.text(0).parse().ok()))
}

/// Begins the snapshot, in the new slot's exported one if there is one.
async fn take_snapshot(
    context: &TaskContext,
    mut session: Session,
    created: Option<(CreatedSlot, Connection)>,
    resumed: Option<Offset>,
) -> Result<Opened, PgError> {
    let config = &context.config;
    if !config.snapshot_delay.is_zero() {
        context.pause(config.snapshot_delay).await?;
    }
    let tables = snapshot_tables(context, session.get().await?).await?;
    let basis = match (&created, resumed) {
        (Some((slot, _exporter)), _) => Basis::Exported(slot.clone()),
        (None, Some(offset)) => Basis::Resumed(Box::new(offset)),
        (None, None) if streams(config) => Basis::Now,
        (None, None) => Basis::Isolation(config.snapshot_isolation_mode),
    };
    let snapshot = Snapshot::begin(
        Arc::clone(config),
        Arc::clone(&context.emitter),
        context.stop.clone(),
        session,
        &basis,
        &tables,
        Arc::clone(&context.notifications),
        None,
    )
    .await?;
    // The exported snapshot has been taken over; its exporter is no longer needed.
    let position = created.as_ref().map(|(slot, _)| slot.consistent_point);
    if let Some((_, exporter)) = created {
        exporter.close().await;
    }
    Ok(Opened::Snapshot(Box::new(snapshot), position))
}

/// Begins a snapshot that was asked for, of the tables that the names match.
///
/// # Errors
/// The server's.
pub async fn begin_blocking(
    context: &TaskContext,
    request: &Request,
    streamed: &Offset,
) -> Result<Snapshot, PgError> {
    let mut config = PostgresConfig::clone(&context.config);
    let mut session = Session::new(config.connection.clone(), config.initial_statements.clone());
    let mut tables = captured_tables(context, session.get().await?).await?;
    let asked = |id: &TableId| {
        let id = id.to_string();
        let matches =
            |name: &String| *name == id || Regex::new(name).is_ok_and(|regex| regex.matches(&id));
        request.collections.iter().any(matches)
    };
    tables.retain(asked);
    for id in &tables {
        let id = id.to_string();
        if let Some(statement) = request.condition(&id) {
            config
                .snapshot_select_statement_overrides
                .insert(id, statement.to_owned());
        }
    }
    let basis = Basis::Isolation(config.snapshot_isolation_mode);
    Snapshot::begin(
        Arc::new(config),
        Arc::clone(&context.emitter),
        context.stop.clone(),
        session,
        &basis,
        &tables,
        Arc::clone(&context.notifications),
        Some(streamed),
    )
    .await
}

/// `plugin.name`; Debezium's default is one that few servers have.
fn plugin_name(config: &PostgresConfig) -> String {
    let name = config
        .originals()
        .get("plugin.name")
        .map_or("decoderbufs", String::as_str);
    name.trim().to_ascii_lowercase()
}

async fn check_server(connection: &mut Connection, streams: bool) -> Result<(), PgError> {
    let row = connection.query_first("SHOW wal_level").await?;
    let level = row.as_ref().map_or("", |row| row.text(0));
    if level != "logical" {
        if streams {
            tracing::error!(
                "Postgres server wal_level property must be 'logical' but is: '{level}'"
            );
        } else {
            tracing::warn!("WAL_LEVEL check failed but this is ignored as CDC was not requested");
        }
    }
    Ok(())
}
