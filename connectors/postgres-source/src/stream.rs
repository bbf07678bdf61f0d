//! The stream: log messages become records, in commit order.
//!
//! Lives on the task's own thread; the socket is read elsewhere ([`ReplicationStream`]). It keeps
//! the position that every record carries, follows tables through their RELATION messages, and
//! drops what a restart repeats ([`Resume`]). It confirms nothing by itself. Answers for
//! `PostgresStreamingChangeEventSource`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use connect_api::context::StopSignal;
use connect_api::error::Chain;
use connect_api::record::{SourceOffset, SourceRecord};
use tokio::runtime::Handle;

use crate::change::{Cell, ColumnValue, Operation, Phase, Position, SnapshotMarker, TupleRef};
use crate::config::{FailureHandling, PostgresConfig};
use crate::emitter::{Emitter, Place, RowChange, Table};
use crate::error::PgError;
use crate::heartbeat::Heartbeat;
use crate::notification::Notifications;
use crate::offset::{MessageType, Offset};
use crate::protocol::Lsn;
use crate::protocol::catalog::Catalog;
use crate::protocol::pgoutput::{self, Cells, Message, OldTuple, Relation};
use crate::protocol::replication::{Chunk, LogMessage, ReplicationStream, Share};
use crate::protocol::slot;
use crate::reselect;
use crate::resume::Resume;
use crate::session::Session;
use crate::signal::incremental::{Incremental, Step};
use crate::signal::{Action, Channels, Request, Signal};
use crate::startup::PLUGIN_NAME;
use crate::transaction::TransactionMonitor;

/// A batch ends when its rows had this many bytes, however few they are: what is handed to the
/// worker is memory until it is delivered.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// A batch is given in parts of so many records, which the processor's cache still holds when the
/// worker converts them.
const PART_RECORDS: usize = 128;

/// How long no record was given out before the position alone is. Long enough that offsets of a
/// database in use are those of its rows, short enough that an idle slot holds little log.
const IDLE_PROGRESS: Duration = Duration::from_secs(60);

/// What the stream needs of its task.
#[derive(Debug)]
pub struct StreamContext {
    /// The configuration.
    pub config: Arc<PostgresConfig>,
    /// Makes the records.
    pub emitter: Arc<Emitter>,
    /// For what has to be awaited.
    pub runtime: Handle,
    /// Ends a wait.
    pub stop: StopSignal,
}

/// A running stream.
#[derive(Debug)]
pub struct Streaming {
    context: StreamContext,
    stream: ReplicationStream,
    session: Session,
    catalog: Catalog,
    /// By relation id; none for a table that is not captured.
    tables: HashMap<u32, Option<Arc<Table>>>,
    chunk: Option<Chunk>,
    /// Of a long chunk whose records were given out last: the next is not read before they are gone.
    share: Option<Share>,
    cells: Cells,
    resume: Resume,
    position: Position,
    offset: Offset,
    /// `offset` as the last finished change left it.
    reached: Arc<dyn SourceOffset>,
    /// Messages that made no record have moved `offset` on since.
    reached_is_stale: bool,
    heartbeat: Option<Heartbeat>,
    xmin_read: Option<Instant>,
    /// What went wrong behind the records that were given out last.
    failure: Option<PgError>,
    in_transaction: bool,
    /// What the server said last of how far it has come.
    sent_up_to: Option<Lsn>,
    /// `provide.transaction.metadata`.
    transactions: Option<TransactionMonitor>,
    /// When a record or a progress was given out last.
    last_given: Instant,
    /// How many records of the current batch were given out.
    given: usize,
    /// Whether the batch goes on.
    more: bool,
    channels: Channels,
    incremental: Incremental,
    /// The stored incremental snapshot has not been gone on with yet.
    incremental_waits: bool,
    /// Blocking snapshots that were asked for.
    blocking: VecDeque<Request>,
    /// Notifications that wait for the next poll.
    told: Vec<SourceRecord>,
}

impl Streaming {
    /// A stream that goes on from `offset`.
    #[must_use]
    pub fn new(
        context: StreamContext,
        stream: ReplicationStream,
        session: Session,
        catalog: Catalog,
        offset: Offset,
        heartbeat: Option<Heartbeat>,
        (channels, incremental): (Channels, Incremental),
    ) -> Self {
        let resume = Resume::from(&offset);
        let position = Position {
            last_commit_lsn: offset.lsn_commit,
            ts_us: offset.ts_us.unwrap_or_default(),
            ..Position::default()
        };
        let reached: Arc<dyn SourceOffset> = Arc::new(offset.clone());
        let config = &context.config;
        let transactions = config.provide_transaction_metadata.then(|| {
            TransactionMonitor::new(config.naming.transaction_topic(), offset.extra.as_deref())
        });
        Self {
            context,
            stream,
            session,
            catalog,
            tables: HashMap::new(),
            chunk: None,
            share: None,
            cells: Cells::default(),
            resume,
            position,
            offset,
            reached,
            reached_is_stale: false,
            heartbeat,
            xmin_read: None,
            failure: None,
            in_transaction: false,
            sent_up_to: None,
            transactions,
            last_given: Instant::now(),
            given: 0,
            more: false,
            channels,
            incremental_waits: incremental.is_running(),
            incremental,
            blocking: VecDeque::new(),
            told: Vec::new(),
        }
    }

    /// Tells that no snapshot was taken at the start, with the next records.
    pub fn tell_skipped(&mut self, notifications: &Notifications) {
        let offset: Arc<dyn SourceOffset> = Arc::new(self.offset.clone());
        notifications.initial("SKIPPED", &[], &offset, &mut self.told);
    }

    /// A blocking snapshot that was asked for; the stream stands still while it is taken.
    pub fn take_blocking(&mut self) -> Option<Request> {
        self.blocking.pop_front()
    }

    /// Has a heartbeat follow at once, if there are any.
    pub fn force_heartbeat(&mut self) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.force();
        }
    }

    /// Where the last finished change left the stream.
    #[must_use]
    pub fn offset(&self) -> &Offset {
        &self.offset
    }

    /// Confirms to the server that everything before `lsn` is stored.
    pub fn confirm(&self, lsn: Lsn) {
        self.stream.confirm(lsn);
    }

    /// Ends the stream and frees the slot.
    pub fn stop(self) {
        let runtime = self.context.runtime.clone();
        runtime.block_on(async {
            self.stream.stop().await;
            self.session.close().await;
        });
    }

    /// The next records: all that are there, up to a batch; else those that come within
    /// `poll.interval.ms`.
    ///
    /// # Errors
    /// The stream broke, or a change cannot be represented.
    pub fn poll(&mut self) -> Result<Vec<SourceRecord>, PgError> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.share = None;
        let mut out = std::mem::take(&mut self.told);
        out.reserve(PART_RECORDS);
        match self.fill(&mut out) {
            // The position is past these records, so they have to be delivered before it is told.
            Err(error) if !out.is_empty() => self.failure = Some(error),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        if !out.is_empty() {
            self.last_given = Instant::now();
        }
        self.given += out.len();
        self.more = self.chunk.is_some()
            && self.failure.is_none()
            && self.given < self.context.config.max_batch_size;
        if !self.more {
            self.given = 0;
        }
        Ok(out)
    }

    /// Whether the next [`Self::poll`] goes on with the batch of the last one.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// A position that no record carries: the log moved on, but nothing in it was captured. Stored,
    /// it lets the server forget that log.
    ///
    /// Differs from Debezium, where that takes heartbeats.
    pub fn progress(&mut self) -> Option<Arc<dyn SourceOffset>> {
        let lsn = self.sent_up_to?;
        let moved = self
            .offset
            .lsn_proc
            .is_none_or(|processed| lsn.0 > processed);
        if self.last_given.elapsed() < IDLE_PROGRESS
            || self.in_transaction
            || self.chunk.is_some()
            || !moved
            || !self.resume.is_past(lsn.0)
        {
            return None;
        }
        self.last_given = Instant::now();
        self.offset.lsn_commit = Some(lsn.0);
        self.offset.lsn_events_processed = 0;
        self.advance(lsn, MessageType::Commit);
        self.reached_is_stale = true;
        self.settle();
        Some(Arc::clone(&self.reached))
    }

    fn fill(&mut self, out: &mut Vec<SourceRecord>) -> Result<(), PgError> {
        let mut bytes = 0;
        let interval = self.context.config.poll_interval;
        let deadline = Instant::now() + interval;
        let left = self
            .context
            .config
            .max_batch_size
            .saturating_sub(self.given);
        let limit = left.min(PART_RECORDS);
        while out.len() < limit && bytes < BATCH_BYTES {
            let mut chunk = match self.chunk.take() {
                Some(chunk) => chunk,
                None => match self.stream.ready_chunk()? {
                    Some(chunk) => chunk,
                    None if !out.is_empty() => break,
                    None => match self.wait(deadline)? {
                        Some(chunk) => chunk,
                        None => break,
                    },
                },
            };
            while out.len() < limit && bytes < BATCH_BYTES {
                match chunk.next_message()? {
                    Some(LogMessage::Data { lsn, range }) => {
                        bytes += range.len();
                        self.handle(chunk.bytes(), lsn, range, out)?;
                    }
                    Some(LogMessage::SentUpTo(lsn)) => self.sent_up_to = Some(lsn),
                    None => break,
                }
            }
            if !chunk.is_finished() {
                self.chunk = Some(chunk);
            } else if !out.is_empty() {
                self.share = chunk.into_share();
            }
        }
        if self.chunk.is_none() {
            self.beat(out)?;
            self.attend(out)?;
        }
        Ok(())
    }

    fn wait(&mut self, deadline: Instant) -> Result<Option<Chunk>, PgError> {
        let mut left = deadline.saturating_duration_since(Instant::now());
        if let Some(heartbeat) = &self.heartbeat {
            left = left.min(heartbeat.until_due());
        }
        if let Some(due) = self.channels.until_due() {
            left = left.min(due);
        }
        let (stream, stop) = (&mut self.stream, &self.context.stop);
        self.context.runtime.block_on(async {
            tokio::select! {
                chunk = stream.next_chunk() => chunk.map(Some),
                () = stop.wait_async() => Ok(None),
                () = tokio::time::sleep(left) => Ok(None),
            }
        })
    }

    fn handle(
        &mut self,
        buffer: &Bytes,
        lsn: Lsn,
        range: std::ops::Range<usize>,
        out: &mut Vec<SourceRecord>,
    ) -> Result<(), PgError> {
        let mut cells = std::mem::take(&mut self.cells);
        let message = pgoutput::decode(buffer, range, &mut cells)
            .map_err(|error| PgError::Protocol(format!("{error} (at {lsn})")))?;
        let result = self.message(buffer, lsn, message, &mut cells, out);
        self.cells = cells;
        result
    }

    fn message(
        &mut self,
        buffer: &Bytes,
        lsn: Lsn,
        message: Message,
        cells: &mut Cells,
        out: &mut Vec<SourceRecord>,
    ) -> Result<(), PgError> {
        match message {
            Message::Insert { relation_id } => {
                let new = TupleRef::new(buffer, &cells.new);
                let change = RowChange {
                    operation: Operation::Create,
                    before: None,
                    after: Some(new),
                };
                self.change(lsn, relation_id, MessageType::Insert, change, out)
            }
            Message::Update { relation_id, old } => {
                if old == OldTuple::Full {
                    fill_unchanged(cells);
                }
                let new = TupleRef::new(buffer, &cells.new);
                let before = (old != OldTuple::None).then(|| TupleRef::new(buffer, &cells.old));
                let change = RowChange {
                    operation: Operation::Update,
                    before,
                    after: Some(new),
                };
                self.change(lsn, relation_id, MessageType::Update, change, out)
            }
            Message::Delete {
                relation_id,
                old: _,
            } => {
                let before = Some(TupleRef::new(buffer, &cells.old));
                let change = RowChange {
                    operation: Operation::Delete,
                    before,
                    after: None,
                };
                self.change(lsn, relation_id, MessageType::Delete, change, out)
            }
            Message::Begin {
                final_lsn,
                commit_ts_us,
                xid,
            } => {
                self.resume.begin(final_lsn, xid);
                self.in_transaction = true;
                if self.resume.is_found() {
                    self.position.tx_id = Some(i64::from(xid));
                    self.position.ts_us = commit_ts_us;
                    self.position.origin = None;
                    self.position.origin_lsn = None;
                    self.offset.lsn_events_processed = 0;
                    self.refresh_xmin()?;
                    self.advance(lsn, MessageType::Begin);
                    self.begin_transaction(lsn, out);
                } else {
                    // What is kept of a half done transaction needs these as well.
                    self.position.tx_id = Some(i64::from(xid));
                    self.position.ts_us = commit_ts_us;
                }
                Ok(())
            }
            Message::Commit {
                end_lsn,
                commit_ts_us,
                ..
            } => {
                self.in_transaction = false;
                if self.resume.commit() {
                    self.position.ts_us = commit_ts_us;
                    self.position.last_commit_lsn = Some(end_lsn);
                    self.offset.lsn_commit = Some(end_lsn);
                    self.offset.lsn_events_processed = 0;
                    self.advance(lsn, MessageType::Commit);
                    self.end_transaction(lsn, out);
                    self.reached_is_stale = true;
                    self.beat(out)?;
                    self.reached_log(Lsn(end_lsn), out)?;
                }
                Ok(())
            }
            Message::Relation(relation) => self.relation(&relation),
            Message::Truncate { relation_ids } => self.truncate(lsn, &relation_ids, out),
            Message::Logical {
                transactional,
                lsn: at,
                prefix,
                content,
            } => self.logical(Lsn(at), transactional, &prefix, buffer.slice(content), out),
            Message::Origin { lsn, name } => {
                self.position.origin = Some(name);
                self.position.origin_lsn = Some(lsn);
                Ok(())
            }
            Message::Type { .. } => Ok(()),
        }
    }

    /// Moves the position to a message.
    fn advance(&mut self, lsn: Lsn, message_type: MessageType) {
        self.offset.lsn = Some(lsn.0);
        self.offset.lsn_proc = Some(lsn.0);
        self.offset.message_type = Some(message_type);
        self.offset.tx_id = self.position.tx_id;
        self.offset.ts_us = Some(self.position.ts_us);
        self.offset.xmin = self.position.xmin;
        self.offset.leave_snapshot();
    }

    /// Counts a change at `lsn` and moves there.
    fn advance_change(&mut self, lsn: Lsn, message_type: MessageType) {
        // One position can hold many changes: COPY and multi-row inserts share one log record.
        let same = self.offset.lsn_proc == Some(lsn.0);
        let before = if same {
            self.offset.lsn_events_processed
        } else {
            0
        };
        self.offset.lsn_events_processed = before + 1;
        self.advance(lsn, message_type);
        self.position.lsn = Some(lsn.0);
    }

    /// Has `reached` stand where the last finished message left the position.
    fn settle(&mut self) {
        if std::mem::take(&mut self.reached_is_stale) {
            self.reached = Arc::new(self.offset.clone());
        }
    }

    fn change(
        &mut self,
        lsn: Lsn,
        relation_id: u32,
        message_type: MessageType,
        change: RowChange<'_>,
        out: &mut Vec<SourceRecord>,
    ) -> Result<(), PgError> {
        if !self.resume.change(lsn.0) {
            return Ok(());
        }
        let table = self.tables.get(&relation_id).ok_or_else(|| {
            PgError::Protocol(format!(
                "a row of relation {relation_id}, which was not announced"
            ))
        })?;
        let Some(mut table) = table.clone() else {
            self.advance_change(lsn, message_type);
            self.reached_is_stale = true;
            return Ok(());
        };
        if let Some(row) = change.after {
            table = self.with_new_labels(relation_id, table, row)?;
        }
        let read_again = match change.after {
            Some(row) => self.read_again(&table, row)?,
            None => None,
        };
        let change = match &read_again {
            Some((buffer, cells)) => RowChange {
                after: Some(TupleRef::new(buffer, cells)),
                ..change
            },
            None => change,
        };
        self.settle();
        self.advance_change(lsn, message_type);
        let after: Arc<dyn SourceOffset> = Arc::new(self.offset.clone());
        let place = Place {
            position: &self.position,
            marker: SnapshotMarker::False,
            before: &self.reached,
            after: &after,
            transaction: self.transactions.as_ref(),
        };
        let length = out.len();
        if let Err(error) = self.context.emitter.row(&table, change, place, out) {
            out.truncate(length);
            self.failed(error)?;
        }
        self.reached = after;
        self.count_transaction(length, out);
        self.incremental.saw(&table, [change.before, change.after]);
        if self.context.config.tables.is_signal_table(&table.info.id)
            && let Some(signal) = signal_of(&table, change)
        {
            self.signalled(&signal, out)?;
        }
        Ok(())
    }

    /// A row with the columns that its post processors read from the table; none where nothing is
    /// missing.
    fn read_again(
        &mut self,
        table: &Table,
        row: TupleRef<'_>,
    ) -> Result<Option<(Bytes, Vec<Cell>)>, PgError> {
        if self.context.config.reselect.is_empty()
            || self.context.config.tables.is_signal_table(&table.info.id)
        {
            return Ok(None);
        }
        let mut completed: Option<(Bytes, Vec<Cell>)> = None;
        for processor in &self.context.config.reselect {
            let row = match &completed {
                Some((buffer, cells)) => TupleRef::new(buffer, cells),
                None => row,
            };
            let missing = processor.missing(table, row);
            let Some(sql) = processor.query(table, row, &missing) else {
                continue;
            };
            let session = &mut self.session;
            let found = self
                .context
                .runtime
                .block_on(async { session.get().await?.query_first(&sql).await });
            let problem = match found {
                Ok(Some(found)) => {
                    let read: Vec<Option<&str>> =
                        (0..missing.len()).map(|index| found.get(index)).collect();
                    completed = Some(reselect::completed(row, &missing, &read));
                    continue;
                }
                Ok(None) => PgError::Fatal(format!(
                    "Failed to find row in table {} with key",
                    table.info.id
                )),
                Err(error) => error.while_(format!(
                    "Failed to re-select columns for table {}",
                    table.info.id
                )),
            };
            if processor.fails {
                return Err(problem);
            }
            tracing::warn!(error = %Chain(&problem), "columns could not be read again");
        }
        Ok(completed)
    }

    /// Has the offset of the records from `first` on say how many events their transaction had.
    fn count_transaction(&mut self, first: usize, out: &mut [SourceRecord]) {
        let Some(transactions) = &self.transactions else {
            return;
        };
        self.offset.extra = transactions.offset();
        if let [.., last] = out.get_mut(first..).unwrap_or_default() {
            self.reached = Arc::new(self.offset.clone());
            last.source_offset = Arc::clone(&self.reached);
        }
    }

    /// A record of where a transaction begins.
    fn begin_transaction(&mut self, lsn: Lsn, out: &mut Vec<SourceRecord>) {
        let Some(transactions) = &self.transactions else {
            return;
        };
        transactions.begin(&self.position);
        self.offset.extra = transactions.offset();
        let offset: Arc<dyn SourceOffset> = Arc::new(self.offset.clone());
        let partition = self.context.emitter.partition();
        out.push(transactions.begin_record(lsn.0, self.position.ts_us, partition, offset));
    }

    /// A record of where it ends.
    fn end_transaction(&mut self, lsn: Lsn, out: &mut Vec<SourceRecord>) {
        let Some(transactions) = &self.transactions else {
            return;
        };
        transactions.ensure_open(&self.position);
        self.offset.extra = transactions.offset();
        let offset: Arc<dyn SourceOffset> = Arc::new(self.offset.clone());
        let partition = self.context.emitter.partition();
        out.push(transactions.end_record(lsn.0, self.position.ts_us, partition, offset));
        self.offset.extra = None;
    }

    /// What is not in the stream: signals of other channels, the stored incremental snapshot.
    fn attend(&mut self, out: &mut Vec<SourceRecord>) -> Result<(), PgError> {
        for signal in self.channels.poll() {
            self.act(&signal, out)?;
        }
        // Also while the old position is searched for: in an idle log that ends only with what
        // the snapshot itself writes.
        if std::mem::take(&mut self.incremental_waits) {
            self.step(out, |incremental, step| {
                incremental.resume_stored(step);
                Ok(())
            })?;
        }
        match self.sent_up_to {
            Some(lsn) if !self.in_transaction => self.reached_log(lsn, out),
            _ => Ok(()),
        }
    }

    /// The stream has reached a position between two transactions.
    fn reached_log(&mut self, lsn: Lsn, out: &mut Vec<SourceRecord>) -> Result<(), PgError> {
        if !self.incremental.waits_for_log() {
            return Ok(());
        }
        self.step(out, |incremental, step| incremental.reached(lsn, step))
    }

    /// A signal came by in the stream.
    fn signalled(&mut self, signal: &Signal, out: &mut Vec<SourceRecord>) -> Result<(), PgError> {
        match self.channels.reads_source() {
            true => self.act(signal, out),
            false => Ok(()),
        }
    }

    /// Does what a signal asks for.
    fn act(&mut self, signal: &Signal, out: &mut Vec<SourceRecord>) -> Result<(), PgError> {
        let action = match signal.action() {
            Ok(action) => action,
            Err(why) => {
                tracing::warn!("{why}");
                return Ok(());
            }
        };
        let id = signal.id.as_str();
        match action {
            Action::Log(message) => {
                let message = message.replace("{}", &self.offset.to_string());
                tracing::info!("{message}");
                Ok(())
            }
            Action::Execute(request) => {
                tracing::info!(
                    "Requested '{}' snapshot of data collections '{:?}'",
                    if request.blocking {
                        "BLOCKING"
                    } else {
                        "INCREMENTAL"
                    },
                    request.collections
                );
                if request.blocking {
                    self.blocking.push_back(request);
                    return Ok(());
                }
                self.step(out, |incremental, step| {
                    incremental.request(id, &request, step);
                    Ok(())
                })
            }
            Action::Stop(names) => self.step(out, |incremental, _| {
                incremental.request_stop(&names);
                Ok(())
            }),
            Action::Pause => self.step(out, |incremental, step| {
                incremental.pause(step);
                Ok(())
            }),
            Action::Resume => self.step(out, |incremental, step| {
                incremental.resume(step);
                Ok(())
            }),
            Action::OpenWindow => {
                self.incremental.open_window(id);
                Ok(())
            }
            Action::CloseWindow => {
                self.step(out, |incremental, step| incremental.close_window(id, step))
            }
        }
    }

    /// Lends the incremental snapshot what it needs; offsets then say how far it has come.
    fn step(
        &mut self,
        out: &mut Vec<SourceRecord>,
        work: impl FnOnce(&mut Incremental, &mut Step<'_>) -> Result<(), PgError>,
    ) -> Result<(), PgError> {
        let Self {
            context,
            session,
            catalog,
            position,
            offset,
            incremental,
            ..
        } = self;
        let mut step = Step {
            session,
            catalog,
            runtime: &context.runtime,
            emitter: &context.emitter,
            offset,
            position,
            out,
        };
        let result = work(incremental, &mut step);
        self.offset.incremental = self.incremental.progress();
        self.reached_is_stale = true;
        result
    }

    /// `event.processing.failure.handling.mode`.
    fn failed(&self, error: PgError) -> Result<(), PgError> {
        let text = format!("Error while processing event at offset {}", self.offset);
        match self.context.config.event_processing_failure_handling {
            FailureHandling::Fail => Err(error.while_(text)),
            FailureHandling::Warn => {
                tracing::warn!(error = %error, "{text}");
                Ok(())
            }
            FailureHandling::Skip | FailureHandling::Ignore => {
                tracing::debug!(error = %error, "{text}");
                Ok(())
            }
        }
    }

    fn truncate(
        &mut self,
        lsn: Lsn,
        relation_ids: &[u32],
        out: &mut Vec<SourceRecord>,
    ) -> Result<(), PgError> {
        if !self.resume.change(lsn.0) {
            return Ok(());
        }
        self.settle();
        // Each table counts as a change of its own, captured or not.
        for _ in relation_ids {
            self.advance_change(lsn, MessageType::Truncate);
        }
        let length = out.len();
        let after: Arc<dyn SourceOffset> = Arc::new(self.offset.clone());
        if !self.context.config.skips(Operation::Truncate) {
            let captured: Vec<Arc<Table>> = relation_ids
                .iter()
                .filter_map(|id| self.tables.get(id).cloned().flatten())
                .collect();
            for (index, table) in captured.iter().enumerate() {
                let last = index + 1 == captured.len();
                let place = Place {
                    position: &self.position,
                    marker: SnapshotMarker::False,
                    before: &self.reached,
                    after: if last { &after } else { &self.reached },
                    transaction: self.transactions.as_ref(),
                };
                self.context.emitter.truncate(table, place, out)?;
            }
        }
        self.reached = after;
        self.count_transaction(length, out);
        Ok(())
    }

    fn logical(
        &mut self,
        lsn: Lsn,
        transactional: bool,
        prefix: &str,
        content: Bytes,
        out: &mut Vec<SourceRecord>,
    ) -> Result<(), PgError> {
        let new = if transactional {
            self.resume.change(lsn.0)
        } else {
            self.resume.message(lsn.0)
        };
        if !new {
            return Ok(());
        }
        let transaction = self.position.tx_id;
        if transactional {
            self.advance_change(lsn, MessageType::Message);
        } else {
            // Stands alone and counts as a commit of its own.
            self.position.tx_id = None;
            self.position.lsn = Some(lsn.0);
            self.offset.lsn_events_processed = 0;
            self.advance(lsn, MessageType::Message);
            self.position.last_commit_lsn = Some(lsn.0);
            self.offset.lsn_commit = Some(lsn.0);
        }
        if self.context.config.tables.message_prefix_included(prefix)
            && !self.context.config.skips(Operation::Message)
        {
            let offset: Arc<dyn SourceOffset> = Arc::new(self.offset.clone());
            out.push(self.context.emitter.message(
                prefix,
                content,
                &self.position,
                offset,
                self.transactions.as_ref(),
            ));
            self.count_transaction(out.len() - 1, out);
        }
        self.position.tx_id = transaction;
        self.reached_is_stale = true;
        Ok(())
    }

    /// A table's shape: described by the message, completed from the catalog.
    fn relation(&mut self, relation: &Relation) -> Result<(), PgError> {
        let id = crate::change::TableId {
            schema: relation.schema.clone(),
            table: relation.table.clone(),
        };
        if !self.context.config.tables.includes(&id) {
            self.tables.insert(relation.id, None);
            return Ok(());
        }
        let (session, catalog) = (&mut self.session, &mut self.catalog);
        let mut info = self.context.runtime.block_on(async {
            // The session idles for long; a broken one is opened anew once.
            match catalog.relation(session.get().await?, relation).await {
                Err(PgError::Io { .. }) => {
                    session.reopen().await?;
                    catalog.relation(session.get().await?, relation).await
                }
                other => other,
            }
        })?;
        // What the catalog says is asked for captured columns only; it shows where a column that
        // is not captured is part of the key.
        for column in &mut info.columns {
            if !self.context.config.columns.includes(&id, &column.name) {
                column.optional = true;
                column.default_expression = None;
            }
        }
        let by_index = relation.replica_identity == pgoutput::ReplicaIdentity::Index;
        if let Some(Some(known)) = self.tables.get(&relation.id)
            && known.info == info
            && !by_index
            && !known.identity_lacks_key()
        {
            // Sent again without a change: schemas keep their identity.
            return Ok(());
        }
        tracing::debug!(table = %id, columns = info.columns.len(), "table schema read");
        let mut table = Table::new(info, &self.context.config, Phase::Stream)?;
        if by_index {
            let is_identity = |index: usize| {
                let column = relation.columns.get(index);
                column.is_some_and(|column| column.key)
            };
            table = table.identified_by(is_identity);
        }
        self.tables.insert(relation.id, Some(Arc::new(table)));
        Ok(())
    }

    /// The table with the labels that its enumerations have now, if a row has one that it lacks.
    fn with_new_labels(
        &mut self,
        relation_id: u32,
        table: Arc<Table>,
        row: TupleRef<'_>,
    ) -> Result<Arc<Table>, PgError> {
        let new_labels = table.new_labels(row);
        if new_labels.is_empty() {
            return Ok(table);
        }
        let mut info = table.info.clone();
        let (session, catalog) = (&mut self.session, &mut self.catalog);
        self.context.runtime.block_on(async {
            for (data_type, label) in new_labels {
                tracing::info!(
                    "Detected new value '{label}' for enum type '{}'; refreshing type metadata",
                    data_type.name
                );
                catalog
                    .refresh_type(session.get().await?, &data_type)
                    .await?;
            }
            catalog.refresh_table(session.get().await?, &mut info).await
        })?;
        let lacks_key = table.identity_lacks_key();
        let mut table = Table::new(info, &self.context.config, Phase::Stream)?;
        if lacks_key {
            table = table.identified_by(|_| false);
        }
        let table = Arc::new(table);
        self.tables.insert(relation_id, Some(Arc::clone(&table)));
        Ok(table)
    }

    /// `source.xmin`, where it is asked for.
    fn refresh_xmin(&mut self) -> Result<(), PgError> {
        let interval = self.context.config.xmin_fetch_interval;
        if interval.is_zero() || self.xmin_read.is_some_and(|at| at.elapsed() < interval) {
            return Ok(());
        }
        let (config, session) = (&self.context.config, &mut self.session);
        let state = self.context.runtime.block_on(async {
            slot::find_slot(
                session.get().await?,
                &config.slot_name,
                &config.dbname,
                PLUGIN_NAME,
            )
            .await
        })?;
        self.position.xmin = state.and_then(|state| state.catalog_xmin);
        self.xmin_read = Some(Instant::now());
        Ok(())
    }

    /// A heartbeat, if one is due.
    fn beat(&mut self, out: &mut Vec<SourceRecord>) -> Result<(), PgError> {
        let Some(heartbeat) = self
            .heartbeat
            .as_mut()
            .filter(|heartbeat| heartbeat.is_due())
        else {
            return Ok(());
        };
        self.context.runtime.block_on(heartbeat.act())?;
        let offset: Arc<dyn SourceOffset> = Arc::new(self.offset.clone());
        let now_ms = crate::emitter::now_ns() / 1_000_000;
        out.push(heartbeat.record(self.context.emitter.partition(), offset, now_ms));
        Ok(())
    }
}

/// The signal that a change of the signal table is: a new row, or the removal of the row that
/// opened a window.
fn signal_of(table: &Table, change: RowChange<'_>) -> Option<Signal> {
    if table.info.columns.len() != 3 {
        tracing::warn!(
            "The signal event arrived from {}, which has {} columns instead of 3",
            table.info.id,
            table.info.columns.len()
        );
        return None;
    }
    let text = |row: TupleRef<'_>, index: usize| match row.get(index) {
        ColumnValue::Text(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        _ => None,
    };
    match (change.operation, change.before, change.after) {
        (Operation::Create, _, Some(row)) => Some(Signal {
            id: text(row, 0)?,
            kind: text(row, 1)?,
            data: text(row, 2).unwrap_or_default(),
        }),
        (Operation::Delete, Some(row), _) => {
            let id = text(row, 0).filter(|id| id.ends_with("-open"))?;
            Some(Signal {
                id,
                kind: "snapshot-window-close".to_owned(),
                data: String::new(),
            })
        }
        _ => None,
    }
}

/// With the whole old row at hand, what did not change is known after all.
fn fill_unchanged(cells: &mut Cells) {
    let Cells { old, new } = cells;
    for (new, old) in new.iter_mut().zip(old) {
        if *new == Cell::Unchanged {
            new.clone_from(old);
        }
    }
}
