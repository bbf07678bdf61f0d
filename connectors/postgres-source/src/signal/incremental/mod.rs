//! The incremental snapshot: tables are read again by key, chunk by chunk, while the stream runs on.
//!
//! ```text
//!   signal -> window opens (a row in the signal table, or none with read.only)
//!          -> chunk read -> window closes (a row, or the log's end at that moment)
//!          -> the stream arrives at the close: rows whose key was changed meanwhile are gone from
//!             the window, the others are sent -> next chunk
//! ```
//!
//! It reads and writes through the session that it is lent and knows no socket of its own. What it
//! has reached rides on every offset, in Debezium's form. With `read.only` the window ends at a
//! position in the log instead of a transaction id, so that no heartbeats are needed. Answers for
//! `AbstractIncrementalSnapshotChangeEventSource`, its two heirs and `IncrementalSnapshotContext`.

mod chunk;
mod marks;
mod order;
mod progress;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connect_api::java::{HashMap, Regex};
use connect_api::record::{SourceOffset, SourceRecord};
use tokio::runtime::Handle;

use self::chunk::{Reading, copy_rows, join_key, key_text, reading};
use self::marks::{Metadata, insert_sql, instant_text};
use self::progress::{Collection, collections_json, parse_collections};
use super::Request;
use super::java::KeyPart;
use crate::change::{
    Cell, ColumnValue, Operation, Phase, Position, SnapshotMarker, TableId, TupleRef,
};
use crate::config::PostgresConfig;
use crate::copy_row::split_row;
use crate::emitter::{Emitter, Place, RowChange, Table, now_ns};
use crate::error::PgError;
use crate::notification::{Aggregate, Notifications};
use crate::offset::{Offset, SnapshotKind};
use crate::protocol::catalog::Catalog;
use crate::protocol::slot::quoted_table;
use crate::protocol::{Lsn, quote_literal};
use crate::session::Session;

pub use self::progress::{PREFIX, Progress};

/// What is lent to the snapshot for a step.
#[derive(Debug)]
pub struct Step<'a> {
    /// An idle session.
    pub session: &'a mut Session,
    /// Tables' descriptions.
    pub catalog: &'a mut Catalog,
    /// To wait for the session.
    pub runtime: &'a Handle,
    /// Makes the records.
    pub emitter: &'a Emitter,
    /// Where the stream stands.
    pub offset: &'a Offset,
    /// The same for the source block.
    pub position: &'a Position,
    /// Takes records and notifications.
    pub out: &'a mut Vec<SourceRecord>,
}

/// A row of the window as it lies in its buffer.
#[derive(Debug)]
struct Row {
    buffer: Bytes,
    range: std::ops::Range<usize>,
    key: Arc<[KeyPart]>,
}

/// The incremental snapshot of one task.
#[derive(Debug)]
pub struct Incremental {
    config: Arc<PostgresConfig>,
    notifications: Arc<Notifications>,
    signal_table: Option<TableId>,
    insert_delete: bool,
    emit_retries: u32,
    emit_backoff: Duration,
    collections: VecDeque<Collection>,
    correlation: Option<String>,
    paused: bool,
    stop: Vec<String>,
    chunk: Option<String>,
    /// Changes that stream by take rows out of the window.
    window_open: bool,
    /// Where the window ends in the log (`read.only`).
    window_end: Option<Lsn>,
    window: HashMap<String, Row>,
    reading: Option<Reading>,
    /// Where the next chunk begins.
    chunk_end: Option<Arc<[KeyPart]>>,
    last_sent: Option<Arc<[KeyPart]>>,
    maximum: Option<Arc<[KeyPart]>>,
    total_rows: Option<u64>,
    rows_scanned: u64,
    chunks: u64,
    progress: Option<Arc<Progress>>,
}

/// How the reading of a table ended.
type Status = &'static str;

impl Incremental {
    /// The snapshot that a stored offset left, or none.
    #[must_use]
    pub fn new(
        config: Arc<PostgresConfig>,
        notifications: Arc<Notifications>,
        stored: Option<&Arc<Progress>>,
    ) -> Self {
        let props = config.originals();
        let number = |key: &str| props.get(key).and_then(|text| text.trim().parse().ok());
        let strategy = props.get("incremental.snapshot.watermarking.strategy");
        let insert_delete =
            strategy.is_some_and(|text| text.trim().eq_ignore_ascii_case("insert_delete"));
        let signal_table = config
            .signal_data_collection
            .as_deref()
            .and_then(TableId::parse);
        let collections = stored
            .map(|stored| parse_collections(&stored.collections))
            .unwrap_or_default();
        let stored = stored.filter(|_| !collections.is_empty());
        let last = stored.and_then(|stored| stored.last.clone());
        Self {
            insert_delete,
            emit_retries: number("signal.emit.failure.max.retries").unwrap_or(0),
            emit_backoff: Duration::from_millis(
                number("signal.emit.failure.backoff.ms").map_or(10_000, u64::from),
            ),
            config,
            notifications,
            signal_table,
            collections,
            correlation: stored
                .and_then(|stored| stored.correlation.as_deref())
                .map(str::to_owned),
            paused: false,
            stop: Vec::new(),
            chunk: None,
            window_open: false,
            window_end: None,
            window: HashMap::linked(),
            reading: None,
            chunk_end: last.clone(),
            last_sent: last,
            maximum: stored.and_then(|stored| stored.maximum.clone()),
            total_rows: stored.and_then(|stored| stored.total_rows),
            rows_scanned: 0,
            chunks: 0,
            progress: stored.cloned(),
        }
    }

    /// Whether one is under way.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.collections.is_empty()
    }

    /// What offsets say of it.
    #[must_use]
    pub fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }

    /// Whether the window waits for the log to reach a position.
    #[must_use]
    pub fn waits_for_log(&self) -> bool {
        self.window_end.is_some()
    }

    fn note_progress(&mut self) {
        self.progress = self.is_running().then(|| {
            Arc::new(Progress {
                collections: collections_json(&self.collections).into(),
                correlation: self.correlation.as_deref().map(Arc::from),
                maximum: self.maximum.clone(),
                last: self.last_sent.clone(),
                total_rows: self.total_rows,
            })
        });
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.collections.iter().map(|c| c.id.to_string()).collect();
        names.join(",")
    }

    fn notify(&self, status: &'static str, data: &[(&'static str, String)], step: &mut Step<'_>) {
        let mut offset = step.offset.clone();
        offset.incremental = self.progress();
        let offset: Arc<dyn SourceOffset> = Arc::new(offset);
        self.notifications.send(
            Aggregate::Incremental,
            status,
            self.correlation.as_deref(),
            data,
            &offset,
            step.out,
        );
    }

    /// Goes on with what an earlier run left.
    pub fn resume_stored(&mut self, step: &mut Step<'_>) {
        if self.is_running() {
            tracing::info!("Incremental snapshot in progress, need to read new chunk on start");
            self.read_chunk(step);
        }
    }

    /// Adds the tables that a signal asks for.
    pub fn request(&mut self, id: &str, request: &Request, step: &mut Step<'_>) {
        if self.signal_table.is_none() && !self.config.read_only {
            tracing::warn!(
                "Action execute-snapshot failed. The signal {id} may not have been processed: \
                 an incremental snapshot needs signal.data.collection, or read.only=true"
            );
            return;
        }
        let first = !self.is_running();
        for (name, table) in self.expand(&request.collections, step) {
            self.collections.push_back(Collection {
                condition: request.condition(&name).map(|filter| format!("({filter})")),
                surrogate_key: request.surrogate_key.clone(),
                correlation: Some(id.to_owned()),
                id: table,
            });
        }
        self.correlation = Some(id.to_owned());
        self.note_progress();
        // Debezium tells of the start even where no table was found.
        if first {
            let names = [("data_collections", self.names())];
            self.notify("STARTED", &names, step);
            self.notify("DATA_COLLECTIONS_RESOLVED", &names, step);
            self.read_chunk(step);
        }
    }

    /// The captured tables that the names match as regular expressions, in the order of Debezium's
    /// map of tables, or what the names themselves say; with the names that conditions go by.
    fn expand(&self, names: &[String], step: &mut Step<'_>) -> Vec<(String, TableId)> {
        let session = &mut *step.session;
        let mut tables = step
            .runtime
            .block_on(async { Catalog::tables(session.get().await?).await })
            .unwrap_or_else(|error: PgError| {
                tracing::warn!(%error, "the tables cannot be listed");
                Vec::new()
            });
        tables.retain(|id| self.config.tables.includes(id));
        let known = order::debeziums_order(tables);
        let mut expanded: Vec<(String, TableId)> = Vec::new();
        for name in names {
            let regex = Regex::new(name).ok();
            let mut matches: Vec<(String, TableId)> = known
                .iter()
                .filter(|(id, _)| regex.as_ref().is_some_and(|regex| regex.matches(id)))
                .cloned()
                .collect();
            if matches.is_empty() {
                match TableId::parse(name) {
                    Some(id) => matches.push((name.clone(), id)),
                    None => {
                        tracing::warn!(
                            "Unable to parse table identifier from {name}. Skipping it."
                        );
                    }
                }
            }
            for found in matches {
                if !expanded.contains(&found) {
                    expanded.push(found);
                }
            }
        }
        expanded
    }

    /// Takes tables out, before the next chunk, which comes after a pause; all where none is named.
    pub fn request_stop(&mut self, names: &[String]) {
        if !self.is_running() {
            tracing::warn!("No active incremental snapshot, stop ignored");
            return;
        }
        if names.is_empty() {
            self.stop.push(".*".to_owned());
        } else {
            self.stop.extend_from_slice(names);
        }
    }

    fn process_stop(&mut self, step: &mut Step<'_>) {
        if self.stop.is_empty() {
            return;
        }
        let asked = std::mem::take(&mut self.stop);
        if !self.is_running() {
            tracing::warn!("No active incremental snapshot, stop ignored");
            return;
        }
        let asked = self.expand(&asked, step);
        let (stopped, current) = progress::take_out(&mut self.collections, &asked);
        if current {
            self.reset_table();
        }
        self.note_progress();
        // As in Debezium: where nothing is left it also completes, and its id is forgotten first.
        self.end_if_done(step);
        tracing::info!("Removed collections from incremental snapshot: '{stopped:?}'");
        self.notify("ABORTED", &[("data_collections", stopped.join(","))], step);
    }

    fn end_if_done(&mut self, step: &mut Step<'_>) {
        if !self.is_running() {
            self.notify("COMPLETED", &[], step);
            self.correlation = None;
        }
    }

    fn reset_table(&mut self) {
        self.chunk_end = None;
        self.last_sent = None;
        self.maximum = None;
        self.total_rows = None;
        self.rows_scanned = 0;
        self.chunks = 0;
        self.reading = None;
        self.window = HashMap::linked();
    }

    /// Pauses after the chunk that is being read.
    pub fn pause(&mut self, step: &mut Step<'_>) {
        if self.is_running() && !self.paused {
            tracing::info!("Pausing incremental snapshot");
            self.paused = true;
            self.notify("PAUSED", &[("data_collections", self.names())], step);
        }
    }

    /// Goes on after a pause.
    pub fn resume(&mut self, step: &mut Step<'_>) {
        if self.is_running() && self.paused {
            tracing::info!("Resuming incremental snapshot");
            self.paused = false;
            self.notify("RESUMED", &[("data_collections", self.names())], step);
            // A window that is open yet leads to the next chunk by itself.
            if self.chunk.is_none() {
                self.read_chunk(step);
            }
        }
    }

    fn is_expected(&self, id: &str, what: &str) -> bool {
        let expected = self
            .chunk
            .as_deref()
            .is_some_and(|chunk| id.starts_with(chunk));
        if !expected {
            tracing::info!(
                "Received request to {what} window with id = '{id}', expected = '{}', request \
                 ignored",
                self.chunk.as_deref().unwrap_or("null")
            );
        }
        expected
    }

    /// The stream has reached the window's beginning.
    pub fn open_window(&mut self, id: &str) {
        if self.is_expected(id, "open") {
            self.window_open = true;
        }
    }

    /// The stream has reached its end.
    pub fn close_window(&mut self, id: &str, step: &mut Step<'_>) -> Result<(), PgError> {
        if !self.is_expected(id, "close") {
            return Ok(());
        }
        self.finish_window(step)
    }

    /// The stream has reached this position (`read.only`).
    pub fn reached(&mut self, lsn: Lsn, step: &mut Step<'_>) -> Result<(), PgError> {
        if self.window_end.is_none_or(|end| lsn < end) {
            return Ok(());
        }
        self.finish_window(step)
    }

    fn finish_window(&mut self, step: &mut Step<'_>) -> Result<(), PgError> {
        self.window_open = false;
        self.window_end = None;
        self.chunk = None;
        self.send_window(step)?;
        self.read_chunk(step);
        Ok(())
    }

    /// A change streamed by: rows of the window that it overtakes are dropped.
    pub fn saw(&mut self, table: &Table, rows: [Option<TupleRef<'_>>; 2]) {
        if !self.window_open || self.window.is_empty() {
            return;
        }
        let Some(reading) = &self.reading else {
            return;
        };
        if reading.table.info.id != table.info.id {
            return;
        }
        // The stream's columns may stand in another order.
        let names = reading
            .key
            .iter()
            .filter_map(|&place| reading.table.info.columns.get(place));
        let columns = &table.info.columns;
        let places: Option<Vec<usize>> = names
            .map(|key| columns.iter().position(|column| column.name == key.name))
            .collect();
        let Some(places) = places else {
            return;
        };
        for row in rows.into_iter().flatten() {
            let key = key_text(row, &places);
            if self.window.remove(&key).is_some() {
                tracing::debug!(table = %table.info.id, "removed a row from the window");
            }
        }
    }

    fn send_window(&mut self, step: &mut Step<'_>) -> Result<(), PgError> {
        let Some(reading) = &self.reading else {
            return Ok(());
        };
        let table = Arc::clone(&reading.table);
        let columns = Arc::clone(&reading.columns);
        let width = table.info.columns.len();
        let window = std::mem::replace(&mut self.window, HashMap::linked());
        let mut cells: Vec<Cell> = Vec::new();
        let (mut position, mut offset) = (step.position.clone(), step.offset.clone());
        position.origin = None;
        position.origin_lsn = None;
        offset.snapshot = Some(SnapshotKind::Incremental);
        for (_, row) in window.iter() {
            let own = split_row(&row.buffer, row.range.clone(), &columns, width, &mut cells)?;
            let tuple = TupleRef::new(own.as_ref().unwrap_or(&row.buffer), &cells);
            self.last_sent = Some(Arc::clone(&row.key));
            if let Some(progress) = &self.progress {
                let mut progress = Progress::clone(progress);
                progress.last.clone_from(&self.last_sent);
                self.progress = Some(Arc::new(progress));
            }
            position.ts_us = now_ns() / 1_000;
            offset.ts_us = Some(position.ts_us);
            offset.incremental = self.progress();
            let after: Arc<dyn SourceOffset> = Arc::new(offset.clone());
            let change = RowChange {
                operation: Operation::Read,
                before: None,
                after: Some(tuple),
            };
            let place = Place {
                position: &position,
                marker: SnapshotMarker::Incremental,
                before: &after,
                after: &after,
                transaction: None,
            };
            step.emitter.row(&table, change, place, step.out)?;
        }
        Ok(())
    }

    /// Reads the next chunk that has rows, between the marks of its window.
    fn read_chunk(&mut self, step: &mut Step<'_>) {
        self.process_stop(step);
        if !self.is_running() {
            tracing::info!("Skipping read chunk because snapshot is not running");
            return;
        }
        if self.paused {
            tracing::info!("Incremental snapshot was paused.");
            return;
        }
        let chunk = uuid::Uuid::new_v4().to_string();
        let opened = Metadata {
            open: instant_text(),
            correlation: self.collections.front().and_then(|c| c.correlation.clone()),
            collection: self.collections.front().map(|c| c.id.to_string()),
        };
        self.chunk = Some(chunk.clone());
        if let Err(error) = self.mark_open(&chunk, &opened, step) {
            self.skip_failed(&error, step);
        }
        while let Some(collection) = self.collections.front().cloned() {
            match self.read_table(&collection, step) {
                Ok(None) => {
                    let maximum = self.maximum.as_deref().unwrap_or_default();
                    let last = self.chunk_end.as_deref().unwrap_or_default();
                    let total = self.total_rows.unwrap_or_default();
                    let size = self.chunk_size();
                    self.chunks += 1;
                    let data = [
                        ("data_collections", self.names()),
                        ("current_collection_in_progress", collection.id.to_string()),
                        ("maximum_key", join_key(maximum)),
                        ("last_processed_key", join_key(last)),
                        ("chunk_index", self.chunks.to_string()),
                        ("total_chunks", total.div_ceil(size.max(1)).to_string()),
                        ("total_rows", total.to_string()),
                    ];
                    self.notify("IN_PROGRESS", &data, step);
                    break;
                }
                Ok(Some(status)) => self.next_table(status, step),
                Err(error) => self.skip_failed(&error, step),
            }
        }
        if let Err(error) = self.mark_close(&chunk, &opened, step) {
            self.skip_failed(&error, step);
        }
        if !self.is_running() {
            self.note_progress();
        }
    }

    fn skip_failed(&mut self, error: &PgError, step: &mut Step<'_>) {
        let table = self.collections.front().map(|c| c.id.to_string());
        tracing::warn!(
            error = %connect_api::error::Chain(error),
            "SQL error while executing incremental snapshot for table '{}', skipping and \
             continuing streaming",
            table.as_deref().unwrap_or("none")
        );
        if table.is_some() {
            self.next_table("SQL_EXCEPTION", step);
        }
    }

    /// The current table is done; on with the next.
    fn next_table(&mut self, status: Status, step: &mut Step<'_>) {
        let Some(current) = self.collections.front() else {
            return;
        };
        let mut data = vec![
            ("data_collections", self.names()),
            ("scanned_collection", current.id.to_string()),
            ("total_rows_scanned", self.rows_scanned.to_string()),
            ("status", status.to_owned()),
        ];
        if let Some(total) = self.total_rows {
            data.push(("total_rows", total.to_string()));
        }
        self.notify("TABLE_SCAN_COMPLETED", &data, step);
        self.collections.pop_front();
        self.reset_table();
        self.note_progress();
        self.end_if_done(step);
    }

    fn chunk_size(&self) -> u64 {
        u64::try_from(self.config.incremental_snapshot_chunk_size).unwrap_or(u64::MAX)
    }

    /// Fills the window with the table's next rows; a status where there are none.
    fn read_table(
        &mut self,
        collection: &Collection,
        step: &mut Step<'_>,
    ) -> Result<Option<Status>, PgError> {
        let runtime = step.runtime;
        if self.reading.is_none() {
            let (session, catalog) = (&mut *step.session, &mut *step.catalog);
            let found = runtime
                .block_on(async { catalog.table(session.get().await?, &collection.id).await })?;
            let Some(info) = found else {
                tracing::warn!(
                    "Schema retrieval failed to populate the schema as expected for {}",
                    collection.id
                );
                return Ok(Some("UNKNOWN_SCHEMA"));
            };
            let table = Arc::new(Table::new(info, &self.config, Phase::Stream)?);
            match reading(&self.config, table, collection)? {
                Some(reading) => self.reading = Some(reading),
                None => {
                    tracing::warn!(
                        "Incremental snapshot for table '{}' skipped because the table has no \
                         primary keys",
                        collection.id
                    );
                    return Ok(Some("NO_PRIMARY_KEY"));
                }
            }
        }
        let Some(reading) = &self.reading else {
            return Ok(Some("UNKNOWN_SCHEMA"));
        };
        let session = &mut *step.session;
        if self.maximum.is_none() {
            let (maximum, count) = (
                reading.maximum_sql(collection),
                reading.count_sql(collection),
            );
            let (key, total) = runtime.block_on(async {
                let connection = session.get().await?;
                let row = connection.query_first(&maximum).await?;
                let key = row.map(|row| {
                    let parts = reading
                        .key
                        .iter()
                        .enumerate()
                        .map(|(at, &place)| reading.part(place, row.get(at)));
                    parts.collect::<Arc<[KeyPart]>>()
                });
                let total = match key {
                    Some(_) => connection.query_first(&count).await?,
                    None => None,
                };
                Ok::<_, PgError>((key, total.map(|row| row.number(0)).transpose()?))
            })?;
            let Some(key) = key else {
                tracing::info!(
                    "No maximum key returned by the query, incremental snapshotting of table \
                     '{}' finished as it is empty",
                    collection.id
                );
                return Ok(Some("EMPTY"));
            };
            tracing::info!(
                "Incremental snapshot for table '{}' will end at position {}",
                collection.id,
                join_key(&key)
            );
            self.maximum = Some(key);
            self.total_rows = total;
            self.note_progress();
        }
        let Some(reading) = &self.reading else {
            return Ok(Some("UNKNOWN_SCHEMA"));
        };
        let maximum = self.maximum.as_deref().unwrap_or_default();
        let sql = reading.chunk_sql(
            collection,
            self.chunk_end.as_deref(),
            maximum,
            self.chunk_size(),
        );
        let rows = runtime.block_on(async {
            let connection = session.get().await?;
            copy_rows(connection, &sql).await
        })?;
        let width = reading.table.info.columns.len();
        let mut cells = Vec::new();
        let mut last = None;
        self.window = HashMap::linked();
        for (number, (buffer, range)) in rows.into_iter().enumerate() {
            let own = split_row(&buffer, range.clone(), &reading.columns, width, &mut cells)?;
            let tuple = TupleRef::new(own.as_ref().unwrap_or(&buffer), &cells);
            let key: Arc<[KeyPart]> = reading
                .key
                .iter()
                .map(|&place| match tuple.get(place) {
                    ColumnValue::Text(text) => {
                        let text = String::from_utf8_lossy(text.as_bytes());
                        reading.part(place, Some(&text))
                    }
                    _ => KeyPart::Null,
                })
                .collect();
            // A surrogate key need not be unique: there all rows are kept.
            let mut name = key_text(tuple, &reading.key);
            if collection.surrogate_key.is_some() {
                name.push_str(&format!("\u{1}{number}"));
            }
            last = Some(Arc::clone(&key));
            self.window.insert(name, Row { buffer, range, key });
        }
        self.rows_scanned += u64::try_from(self.window.len()).unwrap_or_default();
        match last {
            Some(last) => {
                self.chunk_end = Some(last);
                Ok(None)
            }
            None => {
                tracing::info!(
                    "No data returned by the query, incremental snapshotting of table '{}' \
                     finished",
                    collection.id
                );
                Ok(Some("SUCCEEDED"))
            }
        }
    }

    fn mark_open(
        &mut self,
        chunk: &str,
        opened: &Metadata,
        step: &mut Step<'_>,
    ) -> Result<(), PgError> {
        let Some(table) = self
            .signal_table
            .as_ref()
            .filter(|_| !self.config.read_only)
        else {
            // Changes that the stream has not reached yet may be newer than what is read.
            self.window_open = true;
            return Ok(());
        };
        let sql = insert_sql(
            table,
            &format!("{chunk}-open"),
            "snapshot-window-open",
            &opened.json(None),
        );
        self.execute(&sql, step)
    }

    fn mark_close(
        &mut self,
        chunk: &str,
        opened: &Metadata,
        step: &mut Step<'_>,
    ) -> Result<(), PgError> {
        let Some(table) = self
            .signal_table
            .as_ref()
            .filter(|_| !self.config.read_only)
        else {
            let sql = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                       ELSE pg_current_wal_flush_lsn() END";
            let session = &mut *step.session;
            let row = step
                .runtime
                .block_on(async { session.get().await?.query_first(sql).await })?;
            let end = row.as_ref().and_then(|row| row.text(0).parse().ok());
            self.window_end = Some(end.ok_or_else(|| {
                PgError::Protocol(format!("the log's end is not known: {row:?}"))
            })?);
            return Ok(());
        };
        let sql = match self.insert_delete {
            true => format!(
                "DELETE FROM {} WHERE id = {}",
                quoted_table(table),
                quote_literal(&format!("{chunk}-open"))
            ),
            false => insert_sql(
                table,
                &format!("{chunk}-close"),
                "snapshot-window-close",
                &opened.json(Some(&instant_text())),
            ),
        };
        self.execute(&sql, step)
    }

    /// `signal.emit.failure.*`: a statement of the window's marks, with a new session at a failure.
    fn execute(&self, sql: &str, step: &mut Step<'_>) -> Result<(), PgError> {
        let session = &mut *step.session;
        step.runtime.block_on(async {
            let mut tries = 0;
            loop {
                let result = match session.get().await {
                    Ok(connection) => connection.query(sql).await.map(drop),
                    Err(error) => Err(error),
                };
                match result {
                    Ok(()) => return Ok(()),
                    // A session that stood idle may be gone.
                    Err(PgError::Io { .. }) if tries == 0 => session.reopen().await?,
                    Err(error) if tries >= self.emit_retries => return Err(error),
                    Err(_) => {
                        tokio::time::sleep(self.emit_backoff).await;
                        session.reopen().await?;
                    }
                }
                tries += 1;
            }
        })
    }
}
