//! Which tables are captured, and in which order a snapshot reads them.

use std::cmp::Reverse;

use super::TaskContext;
use crate::change::TableId;
use crate::config::{GuardrailAction, PostgresConfig, RowCountOrder};
use crate::error::PgError;
use crate::protocol::catalog::Catalog;
use crate::protocol::connection::Connection;
use crate::protocol::slot;
use crate::snapshot::divides;

/// All captured tables, sorted.
pub(super) async fn captured_tables(
    context: &TaskContext,
    connection: &mut Connection,
) -> Result<Vec<TableId>, PgError> {
    let mut tables = Catalog::tables(connection).await?;
    tables.retain(|id| context.config.tables.includes(id));
    Ok(tables)
}

/// The tables of the snapshot, in its order: by entry of `table.include.list`, then by name; or by
/// row count where that is asked for. The signal table is named among them and not read.
pub(super) async fn snapshot_tables(
    context: &TaskContext,
    connection: &mut Connection,
) -> Result<Vec<TableId>, PgError> {
    let mut tables = captured_tables(context, connection).await?;
    tables.retain(|id| is_snapshotted(&context.config, id));
    let filter = &context.config.tables;
    tables.sort_by_cached_key(|id| {
        let entry = filter.include_position(id).unwrap_or(usize::MAX);
        (entry, id.to_string())
    });
    let order = context.config.snapshot_tables_order_by_row_count;
    // A snapshot that reads whole tables counts no rows, and keeps its order, in Debezium.
    if order != RowCountOrder::Disabled && divides(&context.config) {
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

/// `guardrail.collections.*`.
pub(super) fn check_guardrail(config: &PostgresConfig, count: usize) -> Result<(), PgError> {
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
