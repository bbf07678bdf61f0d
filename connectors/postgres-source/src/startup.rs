//! What a task does before its first record: whether to take a snapshot, from where to stream.
//!
//! The decisions are pure functions of configuration, stored offset and slot; [`open`] and
//! [`start_stream`] carry them out. Answers for `PostgresConnectorTask.start` and
//! `PostgresReplicationConnection`.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::context::StopSignal;
use connect_api::java::Regex;
use connect_api::source::TopicAccess;
use tokio::runtime::Handle;

use crate::change::TableId;
use crate::config::{
    ConfigurationBased, GuardrailAction, LsnFlushMode, OffsetMismatchStrategy, PostgresConfig,
    RowCountOrder, SnapshotMode,
};
use crate::emitter::Emitter;
use crate::error::PgError;
use crate::heartbeat::Heartbeat;
use crate::notification::Notifications;
use crate::offset::Offset;
use crate::protocol::Lsn;
use crate::protocol::catalog::Catalog;
use crate::protocol::connection::{Connection, SessionKind};
use crate::protocol::replication::{ReplicationStream, StreamOptions};
use crate::protocol::slot::{self, CreatedSlot, DISTINCT_SLOTS, Publication, SlotState};
use crate::replica_identity;
use crate::session::Session;
use crate::signal::incremental::Incremental;
use crate::signal::{Channels, Request};
use crate::snapshot::{Basis, Snapshot};
use crate::stream::{StreamContext, Streaming};

/// How many bytes may wait between socket and decoder where `max.queue.size.in.bytes` does not say.
const BUFFER_BYTES: usize = 16 * 1024 * 1024;
/// A slot that another session lets go of is free within moments, so that asking seldom would only
/// waste time; the whole wait is still `slot.max.retries` times `slot.retry.delay.ms`.
const BUSY_SLOT_PAUSE: Duration = Duration::from_millis(500);
/// How often, and how many times, a slot without position is looked at: some transaction holds up
/// its making.
const UNREADY_SLOT: (Duration, u32) = (Duration::from_secs(2), 900);

/// What `lsn.flush.mode=connector_and_driver` makes of heartbeats that are off.
const FORCED_HEARTBEAT: Duration = Duration::from_secs(600);

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

/// What a start leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Take a snapshot first.
    pub snapshot: bool,
    /// Forget the stored offset: the log no longer reaches back to it.
    pub forget_offset: bool,
}

/// Whether the connector streams at all.
#[must_use]
pub fn streams(config: &PostgresConfig) -> bool {
    match config.snapshot_mode {
        SnapshotMode::InitialOnly => false,
        SnapshotMode::ConfigurationBased => config.snapshot_configuration_based.start_stream,
        _ => true,
    }
}

/// Why the server does not send all that follows the stored offset; none where it does.
///
/// Beyond Debezium, which looks only at where the slot's log begins: a slot that was confirmed
/// beyond the offset, and a server whose log ends before it. `offset.mismatch.strategy` decides
/// about these where it is set, as does an `lsn.flush.mode` that has others confirm the slot.
#[must_use]
pub fn lost_log(
    config: &PostgresConfig,
    offset: Option<&Offset>,
    slot: Option<&SlotState>,
    written: Option<Lsn>,
) -> Option<String> {
    let trusted = matches!(
        config.offset_mismatch_strategy,
        OffsetMismatchStrategy::TrustSlot | OffsetMismatchStrategy::TrustGreaterLsn
    );
    if !streams(config) || !config.log_position_check || trusted {
        return None;
    }
    let offset = offset.filter(|offset| !offset.snapshot_in_progress())?;
    let lsn = Lsn(offset.lsn_proc.or(offset.lsn)?);
    let name = &config.slot_name;
    let Some(slot) = slot else {
        return Some(format!(
            "The replication slot '{name}' does not exist: what was committed after LSN{{{lsn}}} \
             may be lost."
        ));
    };
    if let Some(restart) = slot.restart_lsn.filter(|restart| *restart > lsn) {
        return Some(format!(
            "Missing is the log from LSN{{{lsn}}} to LSN{{{restart}}}, where the replication slot \
             '{name}' begins."
        ));
    }
    if config.offset_mismatch_strategy_is_set || config.lsn_flush_mode != LsnFlushMode::Connector {
        return None;
    }
    let stored = Lsn(offset.lsn_commit.map_or(lsn.0, |commit| commit.max(lsn.0)));
    if let Some(confirmed) = slot
        .confirmed_flush_lsn
        .filter(|confirmed| *confirmed > stored)
    {
        return Some(format!(
            "Missing is what was committed from LSN{{{stored}}} to LSN{{{confirmed}}}, up to where \
             the replication slot '{name}' was confirmed by someone else. To go on without it set \
             offset.mismatch.strategy=trust_slot."
        ));
    }
    let end = written.filter(|end| *end < lsn)?;
    Some(format!(
        "Missing is the log from LSN{{{end}}}, where the server's ends, to LSN{{{lsn}}}: it is \
         another server than the offset is of, or was set back."
    ))
}

/// The end of the server's log: written, or on a standby replayed.
async fn log_end(connection: &mut Connection) -> Result<Option<Lsn>, PgError> {
    let sql = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
               ELSE pg_current_wal_lsn() END";
    let row = connection.query_first(sql).await?;
    Ok(row.and_then(|row| row.text(0).parse().ok()))
}

/// What to do, by `snapshot.mode` and the stored offset.
///
/// # Errors
/// The mode forbids what the offset asks for.
pub fn decide(
    mode: SnapshotMode,
    based: ConfigurationBased,
    offset: Option<&Offset>,
    lost: Option<&str>,
) -> Result<Decision, PgError> {
    let (takes_data, every_start, fills_gap) = match mode {
        SnapshotMode::NoData => (false, false, false),
        SnapshotMode::Always => (true, true, false),
        SnapshotMode::WhenNeeded => (true, false, true),
        SnapshotMode::ConfigurationBased => (
            based.snapshot_data,
            based.snapshot_data,
            based.snapshot_on_data_error,
        ),
        SnapshotMode::Initial | SnapshotMode::InitialOnly | SnapshotMode::Custom => {
            (true, false, false)
        }
    };
    let Some(offset) = offset else {
        return Ok(Decision {
            snapshot: takes_data,
            forget_offset: false,
        });
    };
    if offset.snapshot_in_progress() {
        if !takes_data {
            return Err(PgError::Fatal(
                "The connector previously stopped while taking a snapshot, but now the connector \
                 is configured to never allow snapshots. Reconfigure the connector to use \
                 snapshots initially or when needed."
                    .to_owned(),
            ));
        }
        return Ok(Decision {
            snapshot: true,
            forget_offset: false,
        });
    }
    let Some(lost) = lost else {
        return Ok(Decision {
            snapshot: every_start,
            forget_offset: false,
        });
    };
    tracing::warn!("Last recorded offset is no longer available on the server.");
    if fills_gap {
        tracing::info!(
            "The last recorded offset is no longer available but we are in when_needed snapshot \
             mode. Attempting to snapshot data to fill the gap."
        );
        return Ok(Decision {
            snapshot: true,
            forget_offset: true,
        });
    }
    Err(PgError::Fatal(format!(
        "The connector is trying to read change stream starting at PostgresOffsetContext \
         [{offset}], but this is no longer available on the server. Reconfigure the connector to \
         use a snapshot mode when needed. {lost}"
    )))
}

/// Where to start the stream, and whether the slot has to be moved there first.
#[must_use]
pub fn start_position(
    strategy: OffsetMismatchStrategy,
    offset: &Offset,
    confirmed: Option<Lsn>,
    default_start: Lsn,
) -> (Lsn, Option<Lsn>) {
    let Some(stored) = offset.lsn_proc.or(offset.lsn).map(Lsn) else {
        return (default_start, None);
    };
    let Some(confirmed) = confirmed else {
        return (stored, None);
    };
    let slot_ahead = stored < confirmed;
    match strategy {
        OffsetMismatchStrategy::TrustSlot | OffsetMismatchStrategy::TrustGreaterLsn
            if slot_ahead =>
        {
            (default_start, None)
        }
        OffsetMismatchStrategy::TrustOffset | OffsetMismatchStrategy::TrustGreaterLsn
            if stored > confirmed =>
        {
            (stored, Some(offset.lsn_commit.map_or(stored, Lsn)))
        }
        _ => (stored, None),
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
    let lost = lost_log(config, offset.as_ref(), slot.as_ref(), written);
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
    let producing = async {
        if decision.snapshot {
            return take_snapshot(context, session, created).await;
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

/// Begins the snapshot, in the new slot's exported one if there is one.
async fn take_snapshot(
    context: &TaskContext,
    mut session: Session,
    created: Option<(CreatedSlot, Connection)>,
) -> Result<Opened, PgError> {
    let config = &context.config;
    if !config.snapshot_delay.is_zero() {
        context.pause(config.snapshot_delay).await?;
    }
    let tables = snapshot_tables(context, session.get().await?).await?;
    let basis = match &created {
        Some((slot, _exporter)) => Basis::Exported(slot.clone()),
        None if streams(config) => Basis::Now,
        None => Basis::Isolation(config.snapshot_isolation_mode),
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
    tables.retain(|id| asked(id) && !config.tables.is_signal_table(id));
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

/// All captured tables, sorted.
async fn captured_tables(
    context: &TaskContext,
    connection: &mut Connection,
) -> Result<Vec<TableId>, PgError> {
    let mut tables = Catalog::tables(connection).await?;
    tables.retain(|id| context.config.tables.includes(id));
    Ok(tables)
}

/// The tables of the snapshot, in its order: by entry of `table.include.list`, then by name; or by
/// row count where that is asked for.
async fn snapshot_tables(
    context: &TaskContext,
    connection: &mut Connection,
) -> Result<Vec<TableId>, PgError> {
    let mut tables = captured_tables(context, connection).await?;
    tables.retain(|id| {
        is_snapshotted(&context.config, id) && !context.config.tables.is_signal_table(id)
    });
    let filter = &context.config.tables;
    tables.sort_by_cached_key(|id| {
        let entry = filter.include_position(id).unwrap_or(usize::MAX);
        (filter.is_signal_table(id), entry, id.to_string())
    });
    let order = context.config.snapshot_tables_order_by_row_count;
    if order != RowCountOrder::Disabled {
        let mut counted: Vec<(u64, TableId)> = Vec::with_capacity(tables.len());
        for id in tables {
            let sql = format!("SELECT COUNT(1) FROM {}", slot::quoted_table(&id));
            let row = connection.query_first(&sql).await?;
            counted.push((row.map_or(Ok(0), |row| row.number(0))?, id));
        }
        // Stable, so that equal counts keep the order by name.
        match order {
            RowCountOrder::Descending => counted.sort_by_key(|(count, _)| Reverse(*count)),
            _ => counted.sort_by_key(|(count, _)| *count),
        }
        tables = counted.into_iter().map(|(_, id)| id).collect();
    }
    Ok(tables)
}

/// `snapshot.include.collection.list`.
fn is_snapshotted(config: &PostgresConfig, id: &TableId) -> bool {
    let list = config.snapshot_include_collection_list.as_ref();
    list.is_none_or(|list| list.matches(&id.to_string()))
}

async fn ensure_publication(
    context: &TaskContext,
    connection: &mut Connection,
) -> Result<(), PgError> {
    let config = &context.config;
    let captured = captured_tables(context, connection).await?;
    let publication = Publication {
        name: &config.publication_name,
        database: &config.dbname,
        mode: config.publication_autocreate_mode,
        via_partition_root: config.publish_via_partition_root,
        publish: config.published_operations(),
    };
    publication.ensure(connection, &captured).await
}

async fn replication_session(context: &TaskContext) -> Result<Connection, PgError> {
    Connection::open(
        &context.config.connection,
        SessionKind::Replication,
        "Debezium Streaming",
    )
    .await
}

/// Makes the publication and the slot; the session that comes with it holds the exported snapshot.
async fn make_slot(
    context: &TaskContext,
    ordinary: &mut Connection,
    plugin: &str,
) -> Result<(CreatedSlot, Connection), PgError> {
    let config = &context.config;
    let mut tries = 0;
    loop {
        // First, so that a role that may not replicate is told so.
        let mut connection = replication_session(context)
            .await
            .map_err(|error| error.while_("Creation of replication slot failed"))?;
        if plugin == PLUGIN_NAME {
            ensure_publication(context, ordinary).await?;
        }
        let (name, failover) = (&config.slot_name, config.slot_failover);
        match slot::create_slot(&mut connection, name, plugin, failover).await {
            Ok(created) => return Ok((created, connection)),
            // Cancelled by a timeout, or a lock was not to be had.
            Err(error)
                if matches!(error.sqlstate(), Some("57014" | "55P03"))
                    && tries < config.slot_max_retries =>
            {
                tries += 1;
                tracing::warn!(error = %error, tries, "creating the replication slot again");
                context.pause(config.slot_retry_delay).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Starts the stream from `offset`; `position` is that of a slot made in this start.
///
/// # Errors
/// The server's; after all retries also since the slot is in use.
pub async fn start_stream(
    context: &TaskContext,
    mut session: Session,
    offset: Offset,
    position: Option<Lsn>,
) -> Result<Streaming, PgError> {
    let config = &context.config;
    if !config.streaming_delay.is_zero() {
        context.pause(config.streaming_delay).await?;
    }
    tracing::info!("Starting streaming");
    session.limit_statements(config.query_timeout).await?;
    let connection = session.get().await?;
    ensure_publication(context, connection).await?;
    let captured = captured_tables(context, connection).await?;
    let identities = &config.replica_identity_autoset_values;
    replica_identity::apply(connection, identities, &captured).await?;
    let state = ready_slot(context, connection).await?;
    let server_version = connection.server_version();
    let mut replication = replication_session(context).await?;
    let written = slot::identify_system(&mut replication).await?;
    let confirmed = state.and_then(|state| state.confirmed_flush_lsn);
    let default_start =
        position.unwrap_or_else(|| confirmed.map_or(written, |lsn| lsn.min(written)));
    let strategy = config.offset_mismatch_strategy;
    let (start, advance) = start_position(strategy, &offset, confirmed, default_start);
    if let Some(lsn) = advance {
        slot::advance_slot(session.get().await?, &config.slot_name, lsn).await?;
    }
    let mut plugin_options = vec![
        ("proto_version".to_owned(), "1".to_owned()),
        (
            "publication_names".to_owned(),
            config.publication_name.clone(),
        ),
    ];
    // Messages came with version 14.
    if server_version >= 140_000 {
        plugin_options.push(("messages".to_owned(), "true".to_owned()));
    }
    plugin_options.extend(config.slot_stream_params.iter().cloned());
    let options = StreamOptions {
        slot: config.slot_name.clone(),
        start,
        plugin_options,
        status_interval: config.status_update_interval,
        buffer_bytes: match usize::try_from(config.max_queue_size_in_bytes) {
            Ok(0) | Err(_) => BUFFER_BYTES,
            Ok(bytes) => bytes,
        },
    };
    tracing::info!("Starting replication stream from LSN LSN{{{start}}}");
    let stream = replicate(context, replication, &options).await?;
    let mut offset = offset;
    if offset.lsn.is_none() {
        offset.lsn = Some(start.0);
    }
    let heartbeat = heartbeat(config);
    let stream_context = StreamContext {
        config: Arc::clone(config),
        emitter: Arc::clone(&context.emitter),
        runtime: context.runtime.clone(),
        stop: context.stop.clone(),
    };
    tracing::info!("Processing messages");
    let mut catalog = Catalog::default();
    catalog.load_enums(session.get().await?).await?;
    let topics = context.topics.as_ref().map(|topics| &*topics.0);
    let channels = Channels::open(config, topics)?;
    let incremental = Incremental::new(
        Arc::clone(config),
        Arc::clone(&context.notifications),
        offset.incremental.as_ref(),
    );
    Ok(Streaming::new(
        stream_context,
        stream,
        session,
        catalog,
        offset,
        heartbeat,
        (channels, incremental),
    ))
}

/// The heartbeats that the configuration asks for, if any.
#[must_use]
pub fn heartbeat(config: &PostgresConfig) -> Option<Heartbeat> {
    let mut interval = config.heartbeat_interval;
    let driver_flushes = config.lsn_flush_mode == LsnFlushMode::ConnectorAndDriver;
    if driver_flushes && interval.is_zero() && !config.provide_transaction_metadata {
        interval = FORCED_HEARTBEAT;
        tracing::warn!(
            "lsn.flush.mode=connector_and_driver needs heartbeats: heartbeat.interval.ms is taken \
             as {}",
            interval.as_millis()
        );
    }
    let heartbeat = Heartbeat::new(
        interval,
        config.naming.heartbeat_topic(),
        &config.topic_prefix,
    );
    heartbeat.map(|heartbeat| match &config.heartbeat_action_query {
        Some(query) => heartbeat.with_action(query, &config.connection),
        None => heartbeat,
    })
}

/// `guardrail.collections.*`.
fn check_guardrail(config: &PostgresConfig, count: usize) -> Result<(), PgError> {
    let limit = config.guardrail_collections_max;
    if limit == 0 || count <= limit {
        return Ok(());
    }
    let text = format!(
        "Guardrail limit exceeded: {count} tables/collections configured for capture, but maximum \
         allowed is {limit}."
    );
    match config.guardrail_collections_limit_action {
        GuardrailAction::Fail => Err(PgError::Fatal(text)),
        GuardrailAction::Warn => {
            tracing::warn!("{text}");
            Ok(())
        }
    }
}

/// The slot, once it has a position.
async fn ready_slot(
    context: &TaskContext,
    connection: &mut Connection,
) -> Result<Option<SlotState>, PgError> {
    let config = &context.config;
    let (pause, tries) = UNREADY_SLOT;
    for _ in 0..tries {
        let state =
            slot::find_slot(connection, &config.slot_name, &config.dbname, PLUGIN_NAME).await?;
        match state {
            Some(SlotState {
                confirmed_flush_lsn: None,
                ..
            }) => {
                tracing::warn!(
                    "Cannot obtain valid replication slot '{}', concurrent tx probably blocks \
                     taking snapshot.",
                    config.slot_name
                );
                context.pause(pause).await?;
            }
            state => return Ok(state),
        }
    }
    Err(PgError::Fatal(format!(
        "replication slot '{}' has no position",
        config.slot_name
    )))
}

async fn replicate(
    context: &TaskContext,
    replication: Connection,
    options: &StreamOptions,
) -> Result<ReplicationStream, PgError> {
    let config = &context.config;
    let limit = config.slot_retry_delay * config.slot_max_retries;
    let began = Instant::now();
    let mut replication = Some(replication);
    loop {
        let session = match replication.take() {
            Some(session) => session,
            None => replication_session(context).await?,
        };
        match ReplicationStream::start(session, options).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.sqlstate() == Some("55006") && began.elapsed() < limit => {
                tracing::warn!(error = %error, "the replication slot is in use, trying again");
                context
                    .pause(BUSY_SLOT_PAUSE.min(config.slot_retry_delay))
                    .await?;
            }
            Err(error) => {
                let start = options.start;
                return Err(error.while_(format!(
                    "Failed to start replication stream at LSN{{{start}}}{DISTINCT_SLOTS}"
                )));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streamed(lsn: u64) -> Offset {
        Offset {
            lsn: Some(lsn),
            lsn_proc: Some(lsn),
            ..Offset::default()
        }
    }

    #[test]
    fn initial_takes_one_snapshot_and_always_one_each_start() {
        let offset = streamed(5);
        let based = ConfigurationBased::default();
        let snapshot = |mode, offset| decide(mode, based, offset, None).unwrap().snapshot;
        assert!(snapshot(SnapshotMode::Initial, None));
        assert!(!snapshot(SnapshotMode::Initial, Some(&offset)));
        assert!(snapshot(SnapshotMode::Always, Some(&offset)));
        assert!(!snapshot(SnapshotMode::NoData, None));
    }

    #[test]
    fn an_unfinished_snapshot_is_taken_again_or_refused() {
        let offset = Offset::for_snapshot(5, 1);
        let based = ConfigurationBased::default();
        assert!(
            decide(SnapshotMode::Initial, based, Some(&offset), None)
                .unwrap()
                .snapshot
        );
        let error = decide(SnapshotMode::NoData, based, Some(&offset), None).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("The connector previously stopped"),
            "{error}"
        );
    }

    #[test]
    fn a_lost_log_stops_the_task_unless_the_mode_may_fill_the_gap() {
        let offset = streamed(5);
        let based = ConfigurationBased::default();
        let gone = Some("gone");
        let decision = decide(SnapshotMode::WhenNeeded, based, Some(&offset), gone).unwrap();
        assert_eq!(
            decision,
            Decision {
                snapshot: true,
                forget_offset: true
            }
        );
        let error = decide(SnapshotMode::Initial, based, Some(&offset), gone).unwrap_err();
        assert!(!error.is_retriable());
        assert!(error.to_string().ends_with("gone"), "{error}");
    }

    #[test]
    fn a_hole_between_offset_and_slot_is_named() {
        let config = |more: &[(&str, &str)]| {
            let props = [
                ("database.hostname", "h"),
                ("database.user", "u"),
                ("database.dbname", "d"),
                ("topic.prefix", "p"),
            ];
            let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
            PostgresConfig::parse(&props.iter().chain(more).map(owned).collect()).unwrap()
        };
        let slot = SlotState {
            active: false,
            restart_lsn: Some(Lsn(80)),
            confirmed_flush_lsn: Some(Lsn(100)),
            catalog_xmin: None,
        };
        let end = Some(Lsn(200));
        let lost = |config: &PostgresConfig, lsn, slot| {
            lost_log(config, Some(&streamed(lsn)), slot, end).unwrap_or_default()
        };
        let plain = config(&[]);
        assert_eq!(lost(&plain, 100, Some(&slot)), "");
        assert_eq!(lost(&plain, 150, Some(&slot)), "");
        assert!(lost(&plain, 150, None).contains("does not exist"));
        assert!(lost(&plain, 50, Some(&slot)).contains("from LSN{0/32} to LSN{0/50}"));
        assert!(lost(&plain, 90, Some(&slot)).contains("from LSN{0/5A} to LSN{0/64}"));
        assert!(lost(&plain, 201, Some(&slot)).contains("from LSN{0/C8}"));
        // The last commit may lie behind the last row.
        let mut committed = streamed(90);
        committed.lsn_commit = Some(100);
        assert_eq!(lost_log(&plain, Some(&committed), Some(&slot), end), None);
        // Whoever says how to go on is asked no more.
        let decided = config(&[("offset.mismatch.strategy", "no_validation")]);
        assert_eq!(lost(&decided, 90, Some(&slot)), "");
        let manual = config(&[("lsn.flush.mode", "manual")]);
        assert_eq!(lost(&manual, 90, Some(&slot)), "");
        assert!(lost(&manual, 50, Some(&slot)).contains("begins"));
        let trusting = config(&[("offset.mismatch.strategy", "trust_slot")]);
        assert_eq!(lost(&trusting, 50, None), "");
    }

    #[test]
    fn the_strategy_decides_where_slot_and_offset_differ() {
        let (slot, default) = (Some(Lsn(100)), Lsn(100));
        let start = |strategy, lsn| start_position(strategy, &streamed(lsn), slot, default);
        assert_eq!(
            start(OffsetMismatchStrategy::NoValidation, 50),
            (Lsn(50), None)
        );
        assert_eq!(
            start(OffsetMismatchStrategy::TrustSlot, 50),
            (Lsn(100), None)
        );
        assert_eq!(
            start(OffsetMismatchStrategy::TrustOffset, 150),
            (Lsn(150), Some(Lsn(150)))
        );
        let none = start_position(
            OffsetMismatchStrategy::NoValidation,
            &Offset::default(),
            slot,
            default,
        );
        assert_eq!(none, (Lsn(100), None));
    }
}
