//! The initial snapshot: every captured table, row by row, in one transaction.
//!
//! ```text
//!   slot made -> its exported snapshot -> BEGIN REPEATABLE READ, SET TRANSACTION SNAPSHOT
//!             -> per table: COPY (SELECT captured columns) TO STDOUT -> records `r`
//!             -> ROLLBACK -> the stream goes on exactly where the snapshot stood
//! ```
//!
//! Rows are handed on one step late, since a row's marker says whether it is the last of its table
//! or of the snapshot. An interrupted snapshot starts over from its first table. Answers for
//! `PostgresSnapshotChangeEventSource` and `RelationalSnapshotChangeEventSource`.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use connect_api::context::StopSignal;
use connect_api::java::HashMap as HashSet;
use connect_api::record::{SourceOffset, SourceRecord};
use tokio::runtime::Handle;

use crate::change::{Cell, Operation, Phase, Position, SnapshotMarker, TableId, TupleRef};
use crate::config::{IsolationMode, LockingMode, PostgresConfig};
use crate::copy_row::split_row;
use crate::emitter::{Emitter, Place, RowChange, Table};
use crate::error::PgError;
use crate::notification::Notifications;
use crate::offset::{Offset, SnapshotKind};
use crate::protocol::Lsn;
use crate::protocol::catalog::Catalog;
use crate::protocol::connection::Connection;
use crate::protocol::slot::{CreatedSlot, quoted_table};
use crate::protocol::{quote_identifier, quote_literal};
use crate::session::Session;

/// What the snapshot's transaction sees.
#[derive(Clone, Debug)]
pub enum Basis {
    /// The database at the new slot's consistent point.
    Exported(CreatedSlot),
    /// The database now; no slot is involved.
    Isolation(IsolationMode),
    /// The database now; the stream goes on from here on an older slot.
    Now,
}

/// A snapshot that is being taken.
#[derive(Debug)]
pub struct Snapshot {
    config: Arc<PostgresConfig>,
    emitter: Arc<Emitter>,
    runtime: Handle,
    stop: StopSignal,
    session: Session,
    connection: Connection,
    tables: VecDeque<Source>,
    table_count: usize,
    current: Option<Reading>,
    held: Option<Held>,
    position: Position,
    offset: Offset,
    /// `offset`, shared by a table's records.
    shared: Arc<dyn SourceOffset>,
    cells: Vec<Cell>,
    rows: u64,
    started: Instant,
    notifications: Arc<Notifications>,
    /// The tables by name, as notifications name them.
    names: String,
    /// The same in the order of Java's hashes.
    hashed_names: String,
    /// Nothing has been told yet.
    silent: bool,
}

/// A table still to be read.
#[derive(Debug)]
struct Source {
    table: Arc<Table>,
    select: String,
    /// For each column of the answer the table's column, if it is captured.
    columns: Arc<[Option<usize>]>,
}

/// The table that is being read.
#[derive(Debug)]
struct Reading {
    source: Source,
    number: usize,
    chunk: Option<(Bytes, Vec<Range<usize>>, usize)>,
    rows: u64,
    started: Instant,
}

/// A row that waits for its marker.
#[derive(Debug)]
struct Held {
    table: Arc<Table>,
    columns: Arc<[Option<usize>]>,
    buffer: Bytes,
    range: Range<usize>,
    first_of_snapshot: bool,
    first_of_table: bool,
    last_of_table: bool,
}

impl Snapshot {
    /// Opens the transaction, finds the position and reads the tables' structure.
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
        let lsn = open_transaction(&mut connection, basis).await?;
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
        let position = Position {
            lsn: Some(lsn.0),
            tx_id: Some(tx_id),
            ..Position::default()
        };
        let mut offset = Offset::for_snapshot(lsn.0, tx_id);
        if let Some(streamed) = streamed {
            offset = Offset {
                lsn: offset.lsn,
                tx_id: offset.tx_id,
                snapshot: Some(SnapshotKind::Blocking),
                ..streamed.clone()
            };
        }
        tracing::info!("Snapshot step 5 - Reading structure of captured tables");
        let mut sources = VecDeque::with_capacity(tables.len());
        let mut catalog = Catalog::default();
        for id in tables {
            // Dropped meanwhile, or never seen by the snapshot.
            let Some(info) = catalog.table(&mut connection, id).await? else {
                continue;
            };
            let table = Arc::new(Table::new(info, &config, Phase::Snapshot)?);
            sources.push_back(source(&mut connection, &config, table).await?);
        }
        let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
        let hashed: HashSet<String, ()> = sources
            .iter()
            .map(|source| (source.table.info.id.to_string(), ()))
            .collect();
        let hashed: Vec<&str> = hashed.keys().map(String::as_str).collect();
        tracing::info!("Snapshot step 6 - Skipping persisting of schema history");
        tracing::info!("Snapshot step 7 - Snapshotting data");
        Ok(Self {
            config,
            emitter,
            runtime: Handle::current(),
            stop,
            session,
            connection,
            table_count: sources.len(),
            tables: sources,
            current: None,
            held: None,
            position,
            shared: Arc::new(offset.clone()),
            offset,
            cells: Vec::new(),
            rows: 0,
            started: Instant::now(),
            notifications,
            names: names.join(","),
            hashed_names: hashed.join(","),
            silent: true,
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
        let mut out = Vec::new();
        if std::mem::take(&mut self.silent) {
            self.notifications
                .initial("STARTED", &[], &self.shared, &mut out);
            let names = [("data_collections", self.names.clone())];
            self.notifications
                .initial("DATA_COLLECTIONS_RESOLVED", &names, &self.shared, &mut out);
        }
        while out.len() < self.config.max_batch_size {
            if self.current.is_none() && !self.next_table(&mut out)? {
                self.emit_held(SnapshotMarker::Last, &mut out)?;
                self.notifications
                    .initial("COMPLETED", &[], &self.shared, &mut out);
                tracing::info!(
                    rows = self.rows,
                    seconds = self.started.elapsed().as_secs(),
                    "Snapshot ended with SnapshotResult [status=COMPLETED, offset={}]",
                    self.offset
                );
                return Ok((out, true));
            }
            if !self.read_rows(&mut out)? {
                break;
            }
        }
        Ok((out, false))
    }

    /// Ends the transaction and gives the session back.
    pub fn finish(self) -> Session {
        let Self {
            runtime,
            mut connection,
            mut session,
            ..
        } = self;
        runtime.block_on(async {
            // A session that cannot even roll back is of no more use.
            if connection.query("ROLLBACK").await.is_ok() {
                session.put_back(connection);
            }
        });
        session
    }

    fn next_table(&mut self, out: &mut Vec<SourceRecord>) -> Result<bool, PgError> {
        let Some(source) = self.tables.pop_front() else {
            return Ok(false);
        };
        let (number, count) = (self.table_count - self.tables.len(), self.table_count);
        let id = &source.table.info.id;
        tracing::info!("Exporting data from table '{id}' ({number} of {count} tables)");
        let data = [
            ("current_collection_in_progress", id.to_string()),
            ("data_collections", self.hashed_names.clone()),
        ];
        self.notifications
            .initial("IN_PROGRESS", &data, &self.shared, out);
        let (runtime, connection) = (self.runtime.clone(), &mut self.connection);
        let ts_us = runtime
            .block_on(async {
                let ts_us = current_timestamp(connection).await?;
                connection
                    .copy_out(&format!("COPY ({}) TO STDOUT", source.select))
                    .await?;
                Ok(ts_us)
            })
            .map_err(|error: PgError| error.while_(format!("Snapshotting of table {id} failed")))?;
        self.position.ts_us = ts_us;
        self.offset.ts_us = Some(ts_us);
        self.shared = Arc::new(self.offset.clone());
        let started = Instant::now();
        self.current = Some(Reading {
            source,
            number,
            chunk: None,
            rows: 0,
            started,
        });
        Ok(true)
    }

    /// Reads rows of the current table until the batch is full or the table ends; `false` when the
    /// task is to stop.
    fn read_rows(&mut self, out: &mut Vec<SourceRecord>) -> Result<bool, PgError> {
        while let Some(mut reading) = self.current.take() {
            let failed = |error: PgError| {
                let id = &reading.source.table.info.id;
                error.while_(format!("Snapshotting of table {id} failed"))
            };
            let (buffer, rows, next) = match reading.chunk.take() {
                Some(chunk) => chunk,
                None => {
                    let (connection, stop) = (&mut self.connection, &self.stop);
                    let chunk = self.runtime.block_on(async {
                        tokio::select! {
                            chunk = connection.copy_chunk() => chunk.map(Some),
                            () = stop.wait_async() => Ok(None),
                        }
                    });
                    match chunk.map_err(failed)? {
                        Some(Some((buffer, rows))) => (buffer, rows, 0),
                        Some(None) => {
                            self.table_ends(&reading, out);
                            return Ok(true);
                        }
                        None => {
                            self.current = Some(reading);
                            return Ok(false);
                        }
                    }
                }
            };
            let mut next = next;
            while let Some(range) = rows.get(next) {
                if out.len() >= self.config.max_batch_size {
                    reading.chunk = Some((buffer, rows, next));
                    self.current = Some(reading);
                    return Ok(true);
                }
                next += 1;
                self.emit_held(SnapshotMarker::True, out)?;
                self.held = Some(Held {
                    table: Arc::clone(&reading.source.table),
                    columns: Arc::clone(&reading.source.columns),
                    buffer: buffer.clone(),
                    range: range.clone(),
                    first_of_snapshot: reading.rows == 0 && reading.number == 1,
                    first_of_table: reading.rows == 0,
                    last_of_table: false,
                });
                reading.rows += 1;
            }
            self.current = Some(reading);
        }
        Ok(true)
    }

    fn table_ends(&mut self, reading: &Reading, out: &mut Vec<SourceRecord>) {
        if reading.rows > 0
            && let Some(held) = &mut self.held
        {
            held.last_of_table = true;
        }
        self.rows += reading.rows;
        tracing::info!(
            "\t Finished exporting {} records for table '{}' ({} of {} tables); total duration '{}'",
            reading.rows,
            reading.source.table.info.id,
            reading.number,
            self.table_count,
            duration_text(reading.started.elapsed())
        );
        let data = [
            (
                "scanned_collection",
                reading.source.table.info.id.to_string(),
            ),
            ("data_collections", self.names.clone()),
            ("total_rows_scanned", reading.rows.to_string()),
            ("status", "SUCCEEDED".to_owned()),
        ];
        self.notifications
            .initial("TABLE_SCAN_COMPLETED", &data, &self.shared, out);
    }

    /// Emits the row that waits. `otherwise` is `Last` at the snapshot's end.
    fn emit_held(
        &mut self,
        otherwise: SnapshotMarker,
        out: &mut Vec<SourceRecord>,
    ) -> Result<(), PgError> {
        let Some(held) = self.held.take() else {
            return Ok(());
        };
        let marker = match otherwise {
            SnapshotMarker::Last => {
                self.offset.mark_last();
                self.shared = Arc::new(self.offset.clone());
                SnapshotMarker::Last
            }
            _ if held.first_of_snapshot => SnapshotMarker::First,
            _ if held.last_of_table => SnapshotMarker::LastInDataCollection,
            _ if held.first_of_table => SnapshotMarker::FirstInDataCollection,
            other => other,
        };
        let width = held.table.info.columns.len();
        let unescaped = split_row(
            &held.buffer,
            held.range,
            &held.columns,
            width,
            &mut self.cells,
        )?;
        let row = TupleRef::new(unescaped.as_ref().unwrap_or(&held.buffer), &self.cells);
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
            .row(&held.table, change, place, out)
            .map_err(|error| {
                error.while_(format!(
                    "Snapshotting of table {} failed",
                    held.table.info.id
                ))
            })
    }
}

/// Opens the transaction that `basis` asks for; answers the position it stands for.
async fn open_transaction(connection: &mut Connection, basis: &Basis) -> Result<Lsn, PgError> {
    match basis {
        Basis::Exported(slot) => {
            let name = quote_literal(&slot.snapshot_name);
            connection
                .query("BEGIN ISOLATION LEVEL REPEATABLE READ")
                .await?;
            connection
                .query(&format!("SET TRANSACTION SNAPSHOT {name}"))
                .await?;
            Ok(slot.consistent_point)
        }
        Basis::Isolation(mode) => {
            let level = match mode {
                IsolationMode::Serializable => "SERIALIZABLE, READ ONLY, DEFERRABLE",
                IsolationMode::RepeatableRead => "REPEATABLE READ, READ ONLY",
                IsolationMode::ReadCommitted => "READ COMMITTED, READ ONLY",
                IsolationMode::ReadUncommitted => "READ UNCOMMITTED, READ ONLY",
            };
            connection.query("BEGIN").await?;
            connection
                .query(&format!("SET TRANSACTION ISOLATION LEVEL {level};"))
                .await?;
            current_lsn(connection).await
        }
        Basis::Now => {
            // Differs from Debezium, which reads each table under its own statement snapshot here:
            // one snapshot for all tables, taken after the position, so that the stream repeats
            // rather than misses.
            let lsn = current_lsn(connection).await?;
            connection
                .query("BEGIN ISOLATION LEVEL REPEATABLE READ")
                .await?;
            Ok(lsn)
        }
    }
}

async fn current_lsn(connection: &mut Connection) -> Result<Lsn, PgError> {
    let row = connection
        .query_first(
            "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
             ELSE pg_current_wal_lsn() END",
        )
        .await?;
    row.as_ref()
        .and_then(|row| row.text(0).parse().ok())
        .ok_or_else(|| PgError::Protocol(format!("pg_current_wal_lsn() answered {row:?}")))
}

/// The snapshot transaction's id, which this assigns; 0 on a standby, which has none.
async fn current_transaction(connection: &mut Connection) -> Result<i64, PgError> {
    let function = if connection.server_version() >= 130_000 {
        "pg_current_xact_id()"
    } else {
        "txid_current()"
    };
    let row = connection
        .query_first(&format!(
            "SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE {function}::text::bigint END"
        ))
        .await?;
    row.map_or_else(
        || Err(PgError::Protocol("no transaction id".to_owned())),
        |row| row.number(0),
    )
}

async fn current_timestamp(connection: &mut Connection) -> Result<i64, PgError> {
    let sql = "SELECT (extract(epoch FROM CURRENT_TIMESTAMP) * 1000000)::bigint";
    let row = connection.query_first(sql).await?;
    row.map_or_else(
        || Err(PgError::Protocol("no timestamp".to_owned())),
        |row| row.number(0),
    )
}

/// How to read a table: its captured columns, or the statement that stands in for that.
async fn source(
    connection: &mut Connection,
    config: &PostgresConfig,
    table: Arc<Table>,
) -> Result<Source, PgError> {
    let info = &table.info;
    let mut captured: Vec<usize> = (0..info.columns.len())
        .filter(|&index| table.plan.captured(index))
        .collect();
    // Nothing chosen is `*` there, which shows in the key.
    if captured.is_empty() {
        captured = (0..info.columns.len()).collect();
    }
    let Some(statement) = config
        .snapshot_select_statement_overrides
        .get(&info.id.to_string())
    else {
        let names: Vec<String> = captured
            .iter()
            .filter_map(|&index| info.columns.get(index))
            .map(|column| quote_identifier(&column.name))
            .collect();
        let select = format!(
            "SELECT {} FROM {}",
            names.join(", "),
            quoted_table(&info.id)
        );
        let columns = captured.into_iter().map(Some).collect();
        return Ok(Source {
            table,
            select,
            columns,
        });
    };
    let select = statement.trim().trim_end_matches(';').to_owned();
    let names = connection
        .query_columns(&format!("SELECT * FROM ({select}) AS o LIMIT 0"))
        .await?;
    if names.len() < captured.len() {
        return Err(PgError::Fatal(
            "Data row is smaller than a column index, internal schema representation is probably \
             out of sync with real database schema"
                .to_owned(),
        ));
    }
    let places: HashMap<&str, usize> = captured
        .iter()
        .filter_map(|&index| Some((info.columns.get(index)?.name.as_str(), index)))
        .collect();
    let columns = names
        .iter()
        .map(|name| places.get(name.as_str()).copied())
        .collect();
    Ok(Source {
        table,
        select,
        columns,
    })
}

fn duration_text(elapsed: std::time::Duration) -> String {
    let seconds = elapsed.as_secs();
    format!(
        "{:02}:{:02}:{:02}.{}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        elapsed.subsec_millis()
    )
}
