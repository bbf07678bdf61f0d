//! What a snapshot's transactions see: one state of the database, for all sessions that read it.

use crate::config::IsolationMode;
use crate::error::PgError;
use crate::offset::Offset;
use crate::protocol::connection::Connection;
use crate::protocol::slot::CreatedSlot;
use crate::protocol::{Lsn, quote_literal};

/// What the snapshot's transaction sees.
#[derive(Clone, Debug)]
pub enum Basis {
    /// The database at the new slot's consistent point.
    Exported(CreatedSlot),
    /// The database now; no slot is involved.
    Isolation(IsolationMode),
    /// The database now; the stream goes on from here on an older slot.
    Now,
    /// The database now; the stream goes on from where the interrupted snapshot of this offset
    /// began.
    Resumed(Box<Offset>),
}

/// Opens the transaction that `basis` asks for; answers the position it stands for. `shared` where
/// other sessions are to see the same.
pub(super) async fn open_transaction(
    connection: &mut Connection,
    basis: &Basis,
    shared: bool,
) -> Result<Lsn, PgError> {
    match basis {
        Basis::Exported(slot) => {
            import(connection, &slot.snapshot_name).await?;
            Ok(slot.consistent_point)
        }
        Basis::Isolation(mode) => {
            let level = match mode {
                IsolationMode::Serializable => "SERIALIZABLE, READ ONLY, DEFERRABLE",
                IsolationMode::ReadCommitted if !shared => "READ COMMITTED, READ ONLY",
                IsolationMode::ReadUncommitted if !shared => "READ UNCOMMITTED, READ ONLY",
                _ => "REPEATABLE READ, READ ONLY",
            };
            connection.query("BEGIN").await?;
            connection
                .query(&format!("SET TRANSACTION ISOLATION LEVEL {level};"))
                .await?;
            current_lsn(connection).await
        }
        Basis::Now | Basis::Resumed(_) => {
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

/// Lets other sessions see what this one's transaction sees, for as long as that lasts.
pub(super) async fn export(connection: &mut Connection) -> Result<String, PgError> {
    let row = connection
        .query_first("SELECT pg_export_snapshot()")
        .await?;
    row.map_or_else(
        || Err(PgError::Protocol("no snapshot was exported".to_owned())),
        |row| Ok(row.text(0).to_owned()),
    )
}

/// Begins a transaction that sees an exported snapshot.
pub(super) async fn import(connection: &mut Connection, name: &str) -> Result<(), PgError> {
    connection
        .query("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await?;
    let sql = format!("SET TRANSACTION SNAPSHOT {}", quote_literal(name));
    connection.query(&sql).await.map(drop)
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
pub(super) async fn current_transaction(connection: &mut Connection) -> Result<i64, PgError> {
    let function = if connection.server_version() >= 130_000 {
        "pg_current_xact_id()"
    } else {
        "txid_current()"
    };
    let sql =
        format!("SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE {function}::text::bigint END");
    number(connection, &sql).await
}

/// Transactions before this one had ended when the snapshot was taken: whatever it does not see has
/// this id or a later one.
pub(super) async fn oldest_unseen(connection: &mut Connection) -> Result<i64, PgError> {
    let sql = "SELECT txid_snapshot_xmin(txid_current_snapshot())";
    number(connection, sql).await
}

/// The transaction's time, microseconds since 1970.
pub(super) async fn current_timestamp(connection: &mut Connection) -> Result<i64, PgError> {
    let sql = "SELECT (extract(epoch FROM CURRENT_TIMESTAMP) * 1000000)::bigint";
    number(connection, sql).await
}

async fn number(connection: &mut Connection, sql: &str) -> Result<i64, PgError> {
    let row = connection.query_first(sql).await?;
    row.map_or_else(
        || Err(PgError::Protocol(format!("no answer to: {sql}"))),
        |row| row.number(0),
    )
}
