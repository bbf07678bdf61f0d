//! The initial snapshot: every captured table, row by row, in one state of the database.
//!
//! ```text
//!   slot made -> its exported snapshot -> BEGIN REPEATABLE READ, SET TRANSACTION SNAPSHOT
//!             -> sessions that share it: COPY (SELECT captured columns of a chunk) TO STDOUT
//!             -> this thread: records `r`, one table after another, or as they come where several
//!                sessions read
//!             -> ROLLBACK -> the stream goes on exactly where the snapshot stood
//! ```
//!
//! A row's marker says whether it is the first or last of its table or of the snapshot. So a
//! table's first row is sent before its others, and its last one waits for them. An interrupted
//! snapshot starts over, or under `snapshot.resume` goes on at the chunk ([`progress`]). Answers for
//! `PostgresSnapshotChangeEventSource` and `RelationalSnapshotChangeEventSource`.

mod pace;
mod plan;
pub mod progress;
mod reader;
mod view;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use connect_api::context::StopSignal;
use connect_api::java::HashMap as HashSet;
use connect_api::record::{SourceOffset, SourceRecord};
use tokio::runtime::Handle;

use self::pace::Pace;
pub(crate) use self::plan::divides;
use self::plan::{Planning, Source, plan, threads};
use self::progress::{Progress, TableProgress};
use self::reader::{At, Job, Part, Readers, Rows};
pub use self::view::Basis;
use self::view::{
    current_timestamp, current_transaction, export, import, oldest_unseen, open_transaction,
};
use crate::change::{Cell, Operation, Phase, Position, SnapshotMarker, TableId, TupleRef};
use crate::config::{LockingMode, PostgresConfig};
use crate::copy_row::split_row;
use crate::emitter::{Emitter, Place, RowChange, Table};
use crate::error::PgError;
use crate::notification::Notifications;
use crate::offset::{Offset, SnapshotKind};
use crate::protocol::catalog::Catalog;
use crate::protocol::connection::Connection;
use crate::protocol::replication::Share;
use crate::protocol::slot::quoted_table;
use crate::session::Session;

/// How many bytes may wait for the task's thread where `max.queue.size.in.bytes` does not say.
const BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// A batch of this many bytes of rows is large enough, however few they are.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A snapshot that is being taken.
#[derive(Debug)]
pub struct Snapshot {
    config: Arc<PostgresConfig>,
    emitter: Arc<Emitter>,
    runtime: Handle,
    stop: StopSignal,
    session: Session,
    readers: Readers,
    tables: Vec<Reading>,
    /// Rows that came and were not sent yet, and which of them is next.
    pending: Option<(Rows, usize)>,
    /// Of a long row that was given out last: the next is not read before it is gone.
    share: Option<Share>,
    /// The last row of the table that ended last: what follows it tells whether it is the
    /// snapshot's.
    finished: Option<Held>,
    /// Tables are divided, and notifications tell of chunks.
    divides: bool,
    /// A row can be marked as the snapshot's first.
    marks_first: bool,
    /// The source's time, microseconds since 1970.
    ts_us: i64,
    position: Position,
    offset: Offset,
    /// `offset`, shared by records.
    shared: Arc<dyn SourceOffset>,
    cells: Vec<Cell>,
    /// How many records the last batch had.
    given: usize,
    rows: u64,
    started: Instant,
    notifications: Arc<Notifications>,
    /// The tables by name, as notifications name them.
    names: String,
    /// The same in the order of Java's hashes.
    hashed_names: String,
    /// Nothing has been told yet.
    silent: bool,
    /// What ended the snapshot, while its notifications are on their way.
    failure: Option<PgError>,
}

/// A table while it is read.
#[derive(Debug)]
struct Reading {
    source: Source,
    /// Which chunks have ended.
    ended: Vec<bool>,
    /// Rows that came, and rows that were sent.
    came: u64,
    sent: u64,
    /// Rows of chunks that have ended.
    scanned: u64,
    /// The last row so far of the last chunk so far.
    tail: Option<Held>,
    pace: Option<Pace>,
}

/// A row that waits for its marker.
#[derive(Debug)]
struct Held {
    at: At,
    buffer: Bytes,
    range: Range<usize>,
    /// Of a long row.
    share: Option<Share>,
    /// With it the chunk has been sent.
    ends_chunk: bool,
    /// With it the table has been sent.
    ends_table: bool,
}

impl Reading {
    /// Whether no row of a later chunk has come.
    fn is_latest(&self, at: At) -> bool {
        let tail = self.tail.as_ref();
        tail.is_none_or(|tail| at.chunk >= tail.at.chunk)
    }

    fn has_ended(&self) -> bool {
        self.ended.iter().all(|ended| *ended)
    }

    /// Whether rows of this chunk may come: the table's first row is that of its first chunk.
    fn may_go_on(&self, chunk: usize) -> bool {
        self.came > 0 || self.ended.iter().position(|ended| !ended) == Some(chunk)
    }
}

impl Snapshot {
    /// Opens the transaction, finds the position, reads the tables' structure and lets the sessions
    /// read.
    ///
    /// # Errors
    /// The server's.
    #[expect(clippy::too_many_arguments, reason = "a snapshot needs that much")]
    pub async fn begin(
        config: Arc<PostgresConfig>,
        emitter: Arc<Emitter>,
        stop: StopSignal,
        mut session: Session,
        basis: &Basis,
        tables: &[TableId],
        notifications: Arc<Notifications>,
        streamed: Option<&Offset>,
    ) -> Result<Self, PgError> {
        let mut connection = session.take().await?;
        tracing::info!("Snapshot step 1 - Preparing");
        let parallel = config.snapshot_max_threads > 1;
        let lsn = open_transaction(&mut connection, basis, parallel).await?;
        tracing::info!(
            "Snapshot step 2 - Determining captured tables: {} tables",
            tables.len()
        );
        tracing::info!("Snapshot step 3 - Locking captured tables");
        if config.snapshot_locking_mode == LockingMode::Shared {
            let timeout = config.snapshot_lock_timeout.as_millis();
            connection
                .query(&format!("SET lock_timeout = {timeout};"))
                .await?;
            for id in tables {
                let table = quoted_table(id);
                connection
                    .query(&format!("LOCK TABLE {table} IN ACCESS SHARE MODE;"))
                    .await?;
            }
        }
        tracing::info!("Snapshot step 4 - Determining snapshot offset");
        let tx_id = current_transaction(&mut connection).await?;
        let mut offset = match (basis, streamed) {
            (Basis::Resumed(offset), _) => Offset::clone(offset),
            (_, None) => Offset::for_snapshot(lsn.0, tx_id),
            (_, Some(streamed)) => Offset {
                lsn: Some(lsn.0),
                tx_id: Some(tx_id),
                snapshot: Some(SnapshotKind::Blocking),
                ..streamed.clone()
            },
        };
        let position = Position {
            lsn: offset.lsn,
            tx_id: offset.tx_id,
            ..Position::default()
        };
        if config.snapshot_resume && streamed.is_none() && offset.snapshot_progress.is_none() {
            let since = oldest_unseen(&mut connection).await?;
            offset.snapshot_progress = Some(Arc::new(Progress::new(since)));
        }
        let resumed = matches!(basis, Basis::Resumed(_));
        tracing::info!("Snapshot step 5 - Reading structure of captured tables");
        let divides = divides(&config);
        let planning = Planning {
            config: &config,
            divides,
            progress: offset.snapshot_progress.as_deref(),
        };
        let mut readings = Vec::with_capacity(tables.len());
        let mut hashed: HashSet<String, ()> = HashSet::default();
        let mut catalog = Catalog::default();
        for id in tables
            .iter()
            .filter(|id| !config.tables.is_signal_table(id))
        {
            // Dropped meanwhile, or never seen by the snapshot.
            let Some(info) = catalog.table(&mut connection, id).await? else {
                continue;
            };
            hashed.insert(id.to_string(), ());
            let table = Arc::new(Table::new(info, &config, Phase::Snapshot)?);
            if let Some(source) = plan(&mut connection, planning, table).await? {
                readings.push(Reading::new(source));
            }
        }
        if let Some(progress) = &mut offset.snapshot_progress {
            let progress = Arc::make_mut(progress);
            for source in readings.iter().map(|reading| &reading.source) {
                if let Some(chunks) = &source.progress {
                    let name = source.table.info.id.to_string();
                    progress.set(name, TableProgress::Chunks(chunks.clone()));
                }
            }
        }
        if resumed {
            tracing::info!(
                "The interrupted snapshot goes on: {} of {} tables are left",
                readings.len(),
                tables.len()
            );
        }
        let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
        let hashed: Vec<&str> = hashed.keys().map(String::as_str).collect();
        tracing::info!("Snapshot step 6 - Skipping persisting of schema history");
        tracing::info!("Snapshot step 7 - Snapshotting data");
        let ts_us = current_timestamp(&mut connection).await?;
        let jobs = jobs(&readings);
        let mut sessions = threads(&config);
        if config.legacy_snapshot_max_threads {
            sessions = sessions.min(u64::try_from(tables.len()).unwrap_or(u64::MAX));
        }
        let marks_first = !(resumed || config.legacy_snapshot_max_threads && sessions > 1);
        let sessions = usize::try_from(sessions).unwrap_or(1).min(jobs.len());
        let connections = pinned(connection, &config, sessions).await?;
        let buffer_bytes = match usize::try_from(config.max_queue_size_in_bytes) {
            Ok(0) | Err(_) => BUFFER_BYTES,
            Ok(bytes) => bytes,
        };
        Ok(Self {
            config,
            emitter,
            runtime: Handle::current(),
            stop,
            session,
            readers: Readers::start(connections, jobs, buffer_bytes),
            tables: readings,
            pending: None,
            share: None,
            finished: None,
            divides,
            marks_first,
            ts_us,
            position,
            shared: Arc::new(offset.clone()),
            offset,
            cells: Vec::new(),
            given: 0,
            rows: 0,
            started: Instant::now(),
            notifications,
            names: names.join(","),
            hashed_names: hashed.join(","),
            silent: true,
            failure: None,
        })
    }

    /// The offset of what was read so far.
    #[must_use]
    pub fn offset(&self) -> &Offset {
        &self.offset
    }

    /// The next records; `true` with the last of them.
    ///
    /// # Errors
    /// A table cannot be read, or a value not represented.
    pub fn poll(&mut self) -> Result<(Vec<SourceRecord>, bool), PgError> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.share = None;
        // As many as the last time, so that it need not grow.
        let mut out = Vec::with_capacity(self.given.min(self.config.max_batch_size));
        if std::mem::take(&mut self.silent) {
            self.notifications
                .initial("STARTED", &[], &self.shared, &mut out);
            let names = [("data_collections", self.names.clone())];
            self.notifications
                .initial("DATA_COLLECTIONS_RESOLVED", &names, &self.shared, &mut out);
        }
        let result = self.fill(&mut out);
        self.given = out.len();
        match result {
            Ok(last) => Ok((out, last)),
            Err(error) => {
                self.notifications
                    .initial("ABORTED", &[], &self.shared, &mut out);
                if out.is_empty() {
                    return Err(error);
                }
                // What was read before it, and the notifications, go first.
                self.failure = Some(error);
                Ok((out, false))
            }
        }
    }

    /// Ends the transactions and gives the session back.
    pub fn finish(self) -> Session {
        let Self {
            runtime,
            readers,
            mut session,
            ..
        } = self;
        runtime.block_on(async {
            if let Some(mut connection) = readers.stop().await {
                // A session that cannot even roll back is of no more use.
                if connection.query("ROLLBACK").await.is_ok() {
                    session.put_back(connection);
                }
            }
        });
        session
    }

    /// Fills a batch; `true` at the snapshot's end.
    fn fill(&mut self, out: &mut Vec<SourceRecord>) -> Result<bool, PgError> {
        let mut bytes = 0;
        while out.len() < self.config.max_batch_size && bytes < BATCH_BYTES && self.share.is_none()
        {
            if let Some((rows, next)) = self.pending.take() {
                bytes += self.send_rows(rows, next, out)?;
                continue;
            }
            let (tables, readers, stop) = (&self.tables, &mut self.readers, &self.stop);
            let may_go_on = |at: At| may_go_on(tables, at);
            let part = self.runtime.block_on(async {
                tokio::select! {
                    part = readers.next(may_go_on) => Some(part),
                    () = stop.wait_async() => None,
                }
            });
            let part = match part {
                // The task is to stop.
                None => return Ok(false),
                Some(Ok(part)) => part,
                Some(Err((at, error))) => return Err(self.failed(at, error, out)),
            };
            match part {
                Some(Part::Begin(at)) => self.chunk_begins(at, out),
                Some(Part::Follows(at)) => self.row_follows(at, out)?,
                Some(Part::Rows(rows)) => self.pending = Some((rows, 0)),
                Some(Part::End(at)) => self.chunk_ends(at, out)?,
                None => {
                    self.end(out)?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn failed(&self, at: At, error: PgError, out: &mut Vec<SourceRecord>) -> PgError {
        let Some(reading) = self.tables.get(at.table) else {
            return error;
        };
        let id = &reading.source.table.info.id;
        if matches!(error, PgError::Server(_)) {
            let data = [
                ("scanned_collection", id.to_string()),
                ("status", "SQL_EXCEPTION".to_owned()),
            ];
            self.notifications
                .initial("TABLE_SCAN_COMPLETED", &data, &self.shared, out);
        }
        error.while_(match self.divides {
            true => format!(
                "Snapshotting of table {id} chunk {id}_chunk_{} failed",
                at.chunk
            ),
            false => format!("Snapshotting of table {id} failed"),
        })
    }

    fn chunk_begins(&mut self, at: At, out: &mut Vec<SourceRecord>) {
        let count = self.tables.len();
        let Some(reading) = self.tables.get_mut(at.table) else {
            return;
        };
        let name = reading.source.table.info.id.to_string();
        if self.offset.ts_us != Some(self.ts_us) {
            self.position.ts_us = self.ts_us;
            self.offset.ts_us = Some(self.ts_us);
            self.shared = Arc::new(self.offset.clone());
        }
        if reading.pace.is_none() {
            let number = at.table + 1;
            tracing::info!("Exporting data from table '{name}' ({number} of {count} tables)");
            reading.pace = Some(Pace::new(reading.source.estimate));
            let data = [
                ("current_collection_in_progress", name.clone()),
                ("data_collections", self.hashed_names.clone()),
            ];
            self.notifications
                .initial("IN_PROGRESS", &data, &self.shared, out);
        }
        if self.divides {
            let data = [
                ("current_collection_in_progress", name),
                ("chunk_index", at.chunk.to_string()),
                ("total_chunks", reading.ended.len().to_string()),
                ("total_rows_scanned", reading.scanned.to_string()),
            ];
            self.notifications
                .initial("TABLE_CHUNK_IN_PROGRESS", &data, &self.shared, out);
        }
    }

    /// Sends rows until the batch is full; answers their bytes.
    fn send_rows(
        &mut self,
        rows: Rows,
        next: usize,
        out: &mut Vec<SourceRecord>,
    ) -> Result<usize, PgError> {
        let at = rows.at;
        self.row_follows(at, out)?;
        let Some(reading) = self.tables.get_mut(at.table) else {
            return Ok(0);
        };
        // The last row of the last chunk so far is kept back.
        let keeps_last = reading.is_latest(at);
        if next == 0 {
            reading.came += u64::try_from(rows.ranges.len()).unwrap_or_default();
            if let Some(pace) = &mut reading.pace
                && let Some(line) = pace.line(reading.came)
            {
                tracing::info!("\t {line} for table '{}'", reading.source.table.info.id);
            }
        }
        let sent = rows.ranges.len() - usize::from(keeps_last);
        let (mut at_row, mut bytes) = (next, 0);
        while let Some(range) = rows.ranges.get(at_row).filter(|_| at_row < sent) {
            if out.len() >= self.config.max_batch_size || bytes >= BATCH_BYTES {
                self.pending = Some((rows, at_row));
                return Ok(bytes);
            }
            bytes += range.len();
            self.send(at, &rows.buffer, range.clone(), None, out)?;
            at_row += 1;
        }
        if keeps_last
            && let Some(range) = rows.ranges.last()
            && let Some(reading) = self.tables.get_mut(at.table)
        {
            reading.tail = Some(Held {
                at,
                buffer: rows.buffer.clone(),
                range: range.clone(),
                share: rows.into_share(),
                ends_chunk: false,
                ends_table: false,
            });
        } else {
            self.share = rows.into_share();
        }
        Ok(bytes)
    }

    /// Another row of a chunk: what was held back for that is not the last one.
    fn row_follows(&mut self, at: At, out: &mut Vec<SourceRecord>) -> Result<(), PgError> {
        if let Some(finished) = self.finished.take() {
            self.send_held(finished, None, out)?;
        }
        let tail = self
            .tables
            .get_mut(at.table)
            .filter(|reading| reading.is_latest(at))
            .and_then(|reading| reading.tail.take());
        match tail {
            Some(tail) => self.send_held(tail, None, out),
            None => Ok(()),
        }
    }

    fn chunk_ends(&mut self, at: At, out: &mut Vec<SourceRecord>) -> Result<(), PgError> {
        let last_table = at.table + 1 == self.tables.len();
        let Some(reading) = self.tables.get_mut(at.table) else {
            return Ok(());
        };
        if let Some(ended) = reading.ended.get_mut(at.chunk) {
            *ended = true;
        }
        reading.scanned = reading.came;
        let name = reading.source.table.info.id.to_string();
        let table_ended = reading.has_ended();
        let waits = match &mut reading.tail {
            Some(tail) => {
                // It may have to wait for the next table's rows, and those for its room.
                tail.share = None;
                tail.ends_chunk |= tail.at == at;
                tail.ends_table = table_ended;
                tail.at == at || table_ended
            }
            None => false,
        };
        if !waits {
            self.note_done(at, table_ended);
        }
        if self.divides {
            let total = self.tables.get(at.table).map_or(0, |r| r.ended.len());
            let data = [
                ("scanned_collection", name.clone()),
                ("data_collections", self.names.clone()),
                ("chunk_index", at.chunk.to_string()),
                ("total_chunks", total.to_string()),
                ("status", "SUCCEEDED".to_owned()),
            ];
            self.notifications
                .initial("TABLE_CHUNK_COMPLETED", &data, &self.shared, out);
        }
        if !table_ended {
            return Ok(());
        }
        let Some(reading) = self.tables.get(at.table) else {
            return Ok(());
        };
        let rows = reading.came;
        self.rows += rows;
        tracing::info!(
            "\t Finished exporting {rows} records for table '{name}' ({} of {} tables); total \
             duration '{}'",
            at.table + 1,
            self.tables.len(),
            pace::duration_text(reading.pace.as_ref().map(Pace::elapsed).unwrap_or_default())
        );
        let data = [
            ("scanned_collection", name),
            ("data_collections", self.names.clone()),
            ("total_rows_scanned", rows.to_string()),
            ("status", "SUCCEEDED".to_owned()),
        ];
        self.notifications
            .initial("TABLE_SCAN_COMPLETED", &data, &self.shared, out);
        // The last table's last row is the snapshot's.
        if !last_table
            && let Some(tail) = self.tables.get_mut(at.table).and_then(|r| r.tail.take())
            && let Some(before) = self.finished.replace(tail)
        {
            self.send_held(before, None, out)?;
        }
        Ok(())
    }

    /// Nothing is left to be read.
    fn end(&mut self, out: &mut Vec<SourceRecord>) -> Result<(), PgError> {
        let last = self.tables.last_mut().and_then(|table| table.tail.take());
        if last.is_some()
            && let Some(finished) = self.finished.take()
        {
            self.send_held(finished, None, out)?;
        }
        if let Some(last) = last.or_else(|| self.finished.take()) {
            self.offset.mark_last();
            self.shared = Arc::new(self.offset.clone());
            self.send_held(last, Some(SnapshotMarker::Last), out)?;
        }
        self.notifications
            .initial("COMPLETED", &[], &self.shared, out);
        tracing::info!(
            rows = self.rows,
            seconds = self.started.elapsed().as_secs(),
            "Snapshot ended with SnapshotResult [status=COMPLETED, offset={}]",
            self.offset
        );
        Ok(())
    }

    /// Notes for later offsets that all rows of a chunk have been sent.
    fn note_done(&mut self, at: At, table_ended: bool) {
        let Some(progress) = &mut self.offset.snapshot_progress else {
            return;
        };
        let Some(source) = self.tables.get(at.table).map(|reading| &reading.source) else {
            return;
        };
        let name = source.table.info.id.to_string();
        let progress = Arc::make_mut(progress);
        match source.chunks.get(at.chunk).and_then(|chunk| chunk.number) {
            _ if table_ended => progress.set(name, TableProgress::Done),
            Some(number) => progress.chunk_done(&name, number),
            None => {}
        }
        self.shared = Arc::new(self.offset.clone());
    }

    fn send_held(
        &mut self,
        held: Held,
        marker: Option<SnapshotMarker>,
        out: &mut Vec<SourceRecord>,
    ) -> Result<(), PgError> {
        let (at, ends_table) = (held.at, held.ends_table);
        let marker = marker.or(match ends_table {
            true => Some(SnapshotMarker::LastInDataCollection),
            false => None,
        });
        self.send(at, &held.buffer, held.range, marker, out)?;
        if held.share.is_some() {
            self.share = held.share;
        }
        if held.ends_chunk || ends_table {
            self.note_done(at, ends_table);
        }
        Ok(())
    }

    /// Sends a row. Of the markers that apply the snapshot's last and first take precedence.
    fn send(
        &mut self,
        at: At,
        buffer: &Bytes,
        range: Range<usize>,
        marker: Option<SnapshotMarker>,
        out: &mut Vec<SourceRecord>,
    ) -> Result<(), PgError> {
        let Some(reading) = self.tables.get_mut(at.table) else {
            return Ok(());
        };
        let first = reading.sent == 0 && !reading.source.begun;
        reading.sent += 1;
        let marker = match marker {
            Some(SnapshotMarker::Last) => SnapshotMarker::Last,
            _ if first && at.table == 0 && self.marks_first => SnapshotMarker::First,
            Some(marker) => marker,
            None if first => SnapshotMarker::FirstInDataCollection,
            None => SnapshotMarker::True,
        };
        let table = &reading.source.table;
        let columns = &reading.source.columns;
        let width = table.info.columns.len();
        let unescaped = split_row(buffer, range, columns, width, &mut self.cells)?;
        let row = TupleRef::new(unescaped.as_ref().unwrap_or(buffer), &self.cells);
        let change = RowChange {
            operation: Operation::Read,
            before: None,
            after: Some(row),
        };
        let place = Place {
            position: &self.position,
            marker,
            before: &self.shared,
            after: &self.shared,
            transaction: None,
        };
        self.emitter
            .row(table, change, place, out)
            .map_err(|error| {
                error.while_(format!("Snapshotting of table {} failed", table.info.id))
            })
    }
}

impl Reading {
    fn new(source: Source) -> Self {
        Self {
            ended: vec![false; source.chunks.len()],
            source,
            came: 0,
            sent: 0,
            scanned: 0,
            tail: None,
            pace: None,
        }
    }
}

/// Whether rows of a chunk may be taken: after the snapshot's first row, and the table's.
fn may_go_on(tables: &[Reading], at: At) -> bool {
    let first_sent = |first: &Reading| first.sent > 0 || first.has_ended();
    (at.table == 0 || tables.first().is_none_or(first_sent))
        && tables
            .get(at.table)
            .is_some_and(|table| table.may_go_on(at.chunk))
}

fn jobs(tables: &[Reading]) -> VecDeque<Job> {
    let mut jobs = VecDeque::new();
    for (table, reading) in tables.iter().enumerate() {
        for (chunk, planned) in reading.source.chunks.iter().enumerate() {
            jobs.push_back(Job {
                at: At { table, chunk },
                sql: planned.sql.clone(),
            });
        }
    }
    jobs
}

/// As many sessions as asked for, which all see what the first one sees.
async fn pinned(
    mut first: Connection,
    config: &PostgresConfig,
    count: usize,
) -> Result<Vec<Connection>, PgError> {
    let mut others = Vec::new();
    if count > 1 {
        let name = export(&mut first).await?;
        for _ in 1..count {
            let (settings, statements) = (&config.connection, &config.initial_statements);
            let mut session = Session::new(settings.clone(), statements.clone());
            let mut connection = session.take().await?;
            import(&mut connection, &name).await?;
            others.push(connection);
        }
        tracing::info!("Created connection pool with {count} threads");
    }
    let mut all = vec![first];
    all.append(&mut others);
    Ok(all)
}
