//! The stream's beginning: publication, slot, and where the server is to start.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::decision::{furthest, start_position};
use super::tables::captured_tables;
use super::{PLUGIN_NAME, TaskContext};
use crate::config::{LsnFlushMode, PostgresConfig};
use crate::error::PgError;
use crate::heartbeat::Heartbeat;
use crate::lineage::{self, History};
use crate::offset::Offset;
use crate::protocol::Lsn;
use crate::protocol::catalog::Catalog;
use crate::protocol::connection::{Connection, SessionKind};
use crate::protocol::replication::{ReplicationStream, StreamOptions};
use crate::protocol::slot::{self, CreatedSlot, DISTINCT_SLOTS, Publication, SlotState};
use crate::replica_identity;
use crate::session::Session;
use crate::signal::Channels;
use crate::signal::incremental::Incremental;
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

/// Makes the publication and the slot; the session that comes with it holds the exported snapshot.
pub(super) async fn make_slot(
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
        // A standby refuses to make such a slot.
        let failover = config.slot_failover && !slot::is_standby(ordinary).await?;
        let name = &config.slot_name;
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

/// Why the server at hand does not go on with the log that the offset is of; none where it does,
/// where that is not known, or where `offset.mismatch.strategy` decides.
pub(super) async fn departed(
    context: &TaskContext,
    offset: &Offset,
) -> Result<Option<String>, PgError> {
    let config = &context.config;
    let compared = config.log_position_check && !config.offset_mismatch_strategy_is_set;
    let (Some(stored), Some(position)) = (offset.server, furthest(offset)) else {
        return Ok(None);
    };
    if !compared || offset.snapshot_in_progress() {
        return Ok(None);
    }
    let mut replication = replication_session(context).await?;
    let (here, _) = slot::identify_system(&mut replication).await?;
    let history = match here.timeline {
        // The first timeline has none.
        Some(timeline) if timeline > 1 && stored != here => {
            slot::timeline_history(&mut replication, timeline).await?
        }
        _ => History::default(),
    };
    replication.close().await;
    Ok(lineage::departure(stored, here, &history, position))
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
    let is_standby = slot::is_standby(connection).await?;
    let mut replication = replication_session(context).await?;
    let (mut here, written) = slot::identify_system(&mut replication).await?;
    if is_standby {
        // It may be promoted while it is read.
        here.timeline = None;
    }
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
    offset.server = Some(here);
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
        Some(query) => heartbeat.with_action(query, &config.connection, config.query_timeout),
        None => heartbeat,
    })
}

/// Makes or changes the publication as the configuration says.
pub(super) async fn ensure_publication(
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
