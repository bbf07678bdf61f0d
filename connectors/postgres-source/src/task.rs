//! The task: opens the database, takes the snapshot, streams, and starts over what may heal.
//!
//! It goes on from what it last gave to the worker, not from what was last stored, when it restarts
//! itself: the worker still has those records. It confirms the slot only by what
//! [`SourceTask::committed`] says is stored. Answers for `PostgresConnectorTask`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::data::json::JsonOptions;
use connect_api::data::{Headers, Value};
use connect_api::error::{Chain, Error};
use connect_api::record::{OffsetMap, SourceOffset, SourcePartition, SourceRecord};
use connect_api::source::{SourceBatch, SourceProgress, SourceTask, SourceTaskContext};
use connect_api::{ByteString, Props, Result};

use crate::config::{self, CompatVersion, LsnFlushMode, PostgresConfig};
use crate::emitter::Emitter;
use crate::envelope::{EnvelopeFactory, context_headers};
use crate::error::PgError;
use crate::notification::Notifications;
use crate::offset::Offset;
use crate::protocol::Lsn;
use crate::protocol::connection::{Connection, SessionKind};
use crate::protocol::slot;
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::startup::{self, Opened, PRODUCER_FAILED, TaskContext, Topics};
use crate::stream::Streaming;

/// How often the slot's removal is tried at a stop.
const DROP_TRIES: u32 = 3;
/// Between two tries; the walsender that was just ended may still hold the slot.
const DROP_PAUSE: Duration = Duration::from_millis(200);

/// A task of the connector.
#[derive(Debug, Default)]
pub struct PostgresTask {
    running: Option<Running>,
    /// How values become JSON, where nothing looks at them before.
    json: Option<JsonOptions>,
}

impl PostgresTask {
    /// A task that has not been started.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[derive(Debug)]
struct Running {
    context: TaskContext,
    /// Where to go on: stored at the start, then what was given out last.
    offset: Option<Offset>,
    work: Work,
    /// Nothing has been opened since the last start or restart.
    opening: bool,
    retries: i64,
}

#[derive(Debug)]
enum Work {
    /// Nothing is open.
    Closed,
    /// Nothing is open, and nothing will be before this time.
    Waiting(Instant),
    Snapshot(Box<Snapshot>, Option<Lsn>),
    /// The snapshot has been given out, the stream is not open yet.
    Handover(Box<Session>, Option<Lsn>),
    Stream(Box<Streaming>),
    /// The stream stands still while a snapshot that was asked for is taken.
    Blocking(Box<Snapshot>, Box<Streaming>),
    /// All that was asked for is done.
    Done,
}

impl SourceTask for PostgresTask {
    fn start(&mut self, context: SourceTaskContext, props: &Props) -> Result<()> {
        let failed = |error: PgError| {
            Error::fatal(
                "Error configuring an instance of PostgresConnectorTask; check the logs for details",
            )
            .with_source(error)
        };
        let config = Arc::new(PostgresConfig::parse(props).map_err(failed)?);
        config::refuse_unknown(props).map_err(|error| {
            let error = error.into_fatal();
            error.with_class("io.debezium.DebeziumException")
        })?;
        let partition: Arc<SourcePartition> = Arc::new(OffsetMap::from_iter([(
            ByteString::from_static("server"),
            Value::from(config.topic_prefix.as_str()),
        )]));
        let stored = context.offsets.read(std::slice::from_ref(&*partition))?;
        let offset = match stored.into_iter().next().flatten() {
            Some(map) => Some(Offset::load(&map).map_err(failed)?),
            None => None,
        };
        let headers = if config.extended_headers_enabled && config.compat == CompatVersion::V37 {
            context_headers(&config, context.task, &run_id())
        } else {
            Headers::new()
        };
        let envelopes = EnvelopeFactory::new(&config);
        let notifications = Arc::new(Notifications::new(&config, &partition));
        let emitter = Emitter::new(&config, partition, envelopes, headers).printing(self.json);
        let emitter = Arc::new(emitter);
        for remark in config::remarks(props) {
            tracing::warn!("{remark}");
        }
        if config.slot_drop_on_stop {
            tracing::warn!(
                "Connector has enabled automated replication slot removal upon restart \
                 (slot.drop.on.stop = true). This setting is not recommended for production."
            );
        }
        self.running = Some(Running {
            context: TaskContext {
                config,
                emitter,
                runtime: context.plugin.runtime,
                stop: context.stop,
                notifications,
                topics: context.topics.map(Topics),
            },
            offset,
            work: Work::Closed,
            opening: true,
            retries: 0,
        });
        Ok(())
    }

    fn give_json_text(&mut self, options: JsonOptions) {
        self.json = Some(options);
    }

    fn poll(&mut self) -> Result<SourceBatch> {
        let Some(running) = &mut self.running else {
            return Err(Error::fatal("polling a task that was not started"));
        };
        match running.step() {
            Ok(records) => {
                if !records.is_empty() {
                    running.retries = 0;
                }
                let progress = running.progress();
                Ok(SourceBatch {
                    records,
                    progress,
                    more: running.has_more(),
                    ..SourceBatch::default()
                })
            }
            Err(PgError::Stopped) => Ok(SourceBatch::default()),
            Err(error) => running.failed(error),
        }
    }

    fn committed(
        &mut self,
        offsets: &[(Arc<SourcePartition>, Arc<dyn SourceOffset>)],
    ) -> Result<()> {
        let Some(Running {
            context,
            work: Work::Stream(streaming),
            ..
        }) = &self.running
        else {
            return Ok(());
        };
        if context.config.lsn_flush_mode == LsnFlushMode::Manual {
            return Ok(());
        }
        for (_, offset) in offsets {
            let stored = Offset::load(&offset.to_map())
                .map_err(|error| Error::fatal("reading a stored offset").with_source(error))?;
            // The last commit before the stored record, as Debezium confirms: the transaction
            // that the record is in stays in the log until a later one is stored.
            if let Some(lsn) = stored.lsn_commit.or(stored.lsn_proc) {
                streaming.confirm(Lsn(lsn));
            }
        }
        Ok(())
    }

    fn stop(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        running.close();
        if running.context.config.slot_drop_on_stop {
            running.drop_slot();
        }
    }
}

impl Running {
    fn step(&mut self) -> Result<Vec<SourceRecord>, PgError> {
        match std::mem::replace(&mut self.work, Work::Closed) {
            Work::Closed => {
                self.opening = true;
                let opened = self
                    .context
                    .until_stop(startup::open(&self.context, self.offset.clone()))?;
                self.work = match opened {
                    Opened::Snapshot(snapshot, position) => Work::Snapshot(snapshot, position),
                    Opened::Stream(streaming) => Work::Stream(streaming),
                    Opened::Idle => Work::Done,
                };
                self.opening = false;
                Ok(Vec::new())
            }
            Work::Waiting(until) => {
                let left = until.saturating_duration_since(Instant::now());
                self.context
                    .stop
                    .wait(left.min(self.context.config.poll_interval));
                if Instant::now() < until {
                    self.work = Work::Waiting(until);
                } else {
                    tracing::info!("Attempting to restart task.");
                }
                Ok(Vec::new())
            }
            Work::Snapshot(mut snapshot, position) => {
                let (records, last) = snapshot.poll()?;
                self.offset = Some(snapshot.offset().clone());
                self.work = if last {
                    self.offset.get_or_insert_default().leave_snapshot();
                    Work::Handover(Box::new(snapshot.finish()), position)
                } else {
                    Work::Snapshot(snapshot, position)
                };
                Ok(records)
            }
            Work::Handover(session, position) => {
                if startup::streams(&self.context.config) {
                    let offset = self.offset.clone().unwrap_or_default();
                    let opening = startup::start_stream(&self.context, *session, offset, position);
                    let mut streaming = self.context.until_stop(opening)?;
                    streaming.force_heartbeat();
                    self.work = Work::Stream(Box::new(streaming));
                } else {
                    self.context.runtime.block_on(session.close());
                    self.work = Work::Done;
                    return Ok(self.last_heartbeat().into_iter().collect());
                }
                Ok(Vec::new())
            }
            Work::Blocking(mut snapshot, streaming) => {
                let result = snapshot.poll();
                if let Ok((_, false)) = &result {
                    self.offset = Some(snapshot.offset().clone());
                    self.work = Work::Blocking(snapshot, streaming);
                } else {
                    self.offset = Some(streaming.offset().clone());
                    self.context.runtime.block_on(snapshot.finish().close());
                    tracing::info!("Streaming resumed");
                    self.work = Work::Stream(streaming);
                }
                result.map(|(records, _)| records)
            }
            Work::Stream(mut streaming) => {
                if let Some(request) = streaming.take_blocking() {
                    tracing::info!("Streaming will now pause");
                    let begun = self.context.until_stop(startup::begin_blocking(
                        &self.context,
                        &request,
                        streaming.offset(),
                    ));
                    self.work = match begun {
                        Ok(snapshot) => Work::Blocking(Box::new(snapshot), streaming),
                        Err(error) => {
                            self.work = Work::Stream(streaming);
                            return Err(error);
                        }
                    };
                    return Ok(Vec::new());
                }
                let result = streaming.poll();
                self.offset = Some(streaming.offset().clone());
                // Kept also after an error, so that it can be ended politely.
                self.work = Work::Stream(streaming);
                result
            }
            Work::Done => {
                self.context.stop.wait(self.context.config.poll_interval);
                self.work = Work::Done;
                Ok(Vec::new())
            }
        }
    }

    /// The heartbeat at the end of a snapshot that no stream follows.
    fn last_heartbeat(&self) -> Option<SourceRecord> {
        let mut heartbeat = startup::heartbeat(&self.context.config)?;
        let offset: Arc<dyn SourceOffset> = Arc::new(self.offset.clone().unwrap_or_default());
        let now_ms = crate::emitter::now_ns() / 1_000_000;
        Some(heartbeat.record(self.context.emitter.partition(), offset, now_ms))
    }

    /// Whether the batch that was given last goes on.
    fn has_more(&self) -> bool {
        matches!(&self.work, Work::Stream(streaming) if streaming.has_more())
    }

    /// How far an idle stream has come.
    fn progress(&mut self) -> Option<SourceProgress> {
        let Work::Stream(streaming) = &mut self.work else {
            return None;
        };
        let offset = streaming.progress()?;
        Some(SourceProgress {
            partition: Arc::clone(self.context.emitter.partition()),
            offset,
        })
    }

    /// Debezium's retries: inside the task, which stays RUNNING.
    fn failed(&mut self, error: PgError) -> Result<SourceBatch> {
        let limit = self.context.config.errors_max_retries;
        let custom = self.context.config.custom_retriable_exception.as_ref();
        let asked_for =
            custom.is_some_and(|pattern| error.any_message(|text| pattern.matches(text)));
        let again = (error.is_retriable() || asked_for) && (limit < 0 || self.retries < limit);
        let error = error.advised();
        if !again && self.opening {
            return Err(error.into_fatal());
        }
        if !again {
            return Err(error.while_(PRODUCER_FAILED).into_fatal());
        }
        self.retries += 1;
        let wait = self.context.config.retriable_restart_wait;
        tracing::warn!(
            error = %Chain(&error),
            retry = self.retries,
            limit,
            "Going to restart connector after {} sec. after a retriable exception",
            wait.as_secs()
        );
        self.close();
        self.work = Work::Waiting(Instant::now() + wait);
        Ok(SourceBatch::default())
    }

    fn close(&mut self) {
        match std::mem::replace(&mut self.work, Work::Closed) {
            Work::Stream(streaming) => streaming.stop(),
            Work::Blocking(snapshot, streaming) => {
                self.context.runtime.block_on(snapshot.finish().close());
                streaming.stop();
            }
            Work::Snapshot(snapshot, _) => {
                let session = snapshot.finish();
                self.context.runtime.block_on(session.close());
            }
            Work::Handover(session, _) => self.context.runtime.block_on(session.close()),
            Work::Closed | Work::Waiting(_) | Work::Done => {}
        }
    }

    fn drop_slot(&self) {
        let config = &self.context.config;
        let dropping = async {
            let mut last = None;
            for _ in 0..DROP_TRIES {
                let kind = SessionKind::Ordinary;
                let session =
                    Connection::open(&config.connection, kind, "Debezium Drop Slot").await;
                let result = match session {
                    Ok(mut session) => {
                        let result = slot::drop_slot(&mut session, &config.slot_name).await;
                        session.close().await;
                        result
                    }
                    Err(error) => Err(error),
                };
                match result {
                    Ok(()) => return Ok(()),
                    Err(error) => last = Some(error),
                }
                tokio::time::sleep(DROP_PAUSE).await;
            }
            last.map_or(Ok(()), Err)
        };
        if let Err(error) = self.context.runtime.block_on(dropping) {
            tracing::error!(
                error = %Chain(&error),
                slot = %config.slot_name,
                "the replication slot could not be dropped and goes on holding the log"
            );
        }
    }
}

/// The id of this run of the task, of the form of a UUID of version 7: it sorts by time.
fn run_id() -> String {
    let mut bytes = *uuid::Uuid::new_v4().as_bytes();
    let now_ms = u64::try_from(crate::emitter::now_ns() / 1_000_000).unwrap_or_default();
    let [_, _, time @ ..] = now_ms.to_be_bytes();
    for (byte, part) in bytes.iter_mut().zip(time) {
        *byte = part;
    }
    bytes[6] = bytes[6] & 0x0f | 0x70;
    uuid::Uuid::from_bytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_is_a_uuid_of_version_7() {
        let id = run_id();
        assert_eq!(id.as_bytes()[14], b'7', "{id}");
        assert_ne!(id, run_id());
    }
}
