//! Replication slots and publications: the SQL that Debezium sends, and what its answers mean.
//!
//! A publication is never dropped here; a slot only by [`drop_slot`]. Answers for
//! `PostgresReplicationConnection` (creation) and `PostgresConnection` (slot state).

use super::connection::Connection;
use super::{Lsn, quote_identifier, quote_literal};
use crate::change::TableId;
use crate::config::AutocreateMode;
use crate::error::PgError;
use crate::lineage::{History, Lineage};

/// A row of `pg_replication_slots`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotState {
    /// Whether someone streams from it.
    pub active: bool,
    /// The oldest log that it keeps.
    pub restart_lsn: Option<Lsn>,
    /// What was confirmed last; none while the slot is being made.
    pub confirmed_flush_lsn: Option<Lsn>,
    /// The oldest transaction whose catalog rows it keeps.
    pub catalog_xmin: Option<i64>,
    /// Whether the server has removed what the slot was to keep (`wal_status` is `lost`).
    pub lost: bool,
}

/// A slot that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedSlot {
    /// Where its stream starts: everything committed before is in the snapshot.
    pub consistent_point: Lsn,
    /// The exported snapshot; valid until the session does anything else.
    pub snapshot_name: String,
}

/// The slot of this name, database and plugin.
///
/// # Errors
/// The query's.
pub async fn find_slot(
    connection: &mut Connection,
    name: &str,
    database: &str,
    plugin: &str,
) -> Result<Option<SlotState>, PgError> {
    let sql = format!(
        "SELECT active, restart_lsn, confirmed_flush_lsn, catalog_xmin, \
         to_jsonb(s)->>'wal_status' FROM pg_replication_slots s WHERE slot_name = {} AND database = {} \
         AND plugin = {}",
        quote_literal(name),
        quote_literal(database),
        quote_literal(plugin)
    );
    let Some(row) = connection.query_first(&sql).await? else {
        return Ok(None);
    };
    let lsn = |index| row.get(index).and_then(|text| text.parse().ok());
    Ok(Some(SlotState {
        active: row.flag(0),
        restart_lsn: lsn(1),
        confirmed_flush_lsn: lsn(2),
        catalog_xmin: row.get(3).and_then(|text| text.parse().ok()),
        // As JSON, since versions before 13 have no such column.
        lost: row.get(4) == Some("lost"),
    }))
}

/// Makes a slot and exports the snapshot of its consistent point. `connection` is a replication
/// session; the snapshot lives until its next command.
///
/// # Errors
/// In Debezium's words, with the server's error as cause.
pub async fn create_slot(
    connection: &mut Connection,
    name: &str,
    plugin: &str,
    failover: bool,
) -> Result<CreatedSlot, PgError> {
    let failover = if failover && connection.server_version() >= 170_000 {
        "( FAILOVER )"
    } else {
        ""
    };
    let sql = format!(
        "CREATE_REPLICATION_SLOT {}  LOGICAL {plugin} {failover}",
        quote_identifier(name)
    );
    tracing::info!("Creating replication slot with command {sql}");
    let row = connection.query_first(&sql).await.map_err(|error| {
        let several = error
            .server()
            .is_some_and(|error| error.message.contains("already exists"));
        error.while_(format!(
            "Creation of replication slot failed{}",
            if several { DISTINCT_SLOTS } else { "" }
        ))
    })?;
    let row =
        row.ok_or_else(|| PgError::Protocol("no answer to CREATE_REPLICATION_SLOT".into()))?;
    let consistent_point = row.text(1).parse().map_err(|_| {
        PgError::Protocol(format!(
            "the new slot's consistent point is {:?}",
            row.get(1)
        ))
    })?;
    Ok(CreatedSlot {
        consistent_point,
        snapshot_name: row.text(2).to_owned(),
    })
}

/// What Debezium adds where two connectors may be after one slot.
pub const DISTINCT_SLOTS: &str = "; when setting up multiple connectors for the same database \
     host, please make sure to use a distinct replication slot name for each.";

/// Which server this is, with its timeline, and where it writes now (`IDENTIFY_SYSTEM`); a standby
/// says how far it has come. `connection` is a replication session.
///
/// # Errors
/// The command's.
pub async fn identify_system(connection: &mut Connection) -> Result<(Lineage, Lsn), PgError> {
    let row = connection.query_first("IDENTIFY_SYSTEM").await?;
    let read = row.as_ref().and_then(|row| {
        let (system, timeline) = (row.text(0).parse().ok()?, row.text(1).parse().ok());
        Some((Lineage { system, timeline }, row.text(2).parse().ok()?))
    });
    read.ok_or_else(|| PgError::Protocol(format!("IDENTIFY_SYSTEM answered {row:?}")))
}

/// Where the predecessors of a timeline ended. `connection` is a replication session.
///
/// # Errors
/// The command's; the first timeline has no history.
pub async fn timeline_history(
    connection: &mut Connection,
    timeline: u32,
) -> Result<History, PgError> {
    let sql = format!("TIMELINE_HISTORY {timeline}");
    let row = connection.query_first(&sql).await?;
    Ok(History::parse(row.as_ref().map_or("", |row| row.text(1))))
}

/// Whether the server is a standby.
///
/// # Errors
/// The query's.
pub async fn is_standby(connection: &mut Connection) -> Result<bool, PgError> {
    let row = connection.query_first("SELECT pg_is_in_recovery()").await?;
    Ok(row.is_some_and(|row| row.flag(0)))
}

/// Drops a slot that is not there any more just as well.
///
/// # Errors
/// The query's, for instance while the slot is active.
pub async fn drop_slot(connection: &mut Connection, name: &str) -> Result<(), PgError> {
    let sql = format!("select pg_drop_replication_slot({})", quote_literal(name));
    match connection.query(&sql).await {
        Err(error) if error.sqlstate() == Some("42704") => Ok(()),
        other => other.map(drop),
    }
}

/// Moves a slot forward (`pg_replication_slot_advance`).
///
/// # Errors
/// The query's.
pub async fn advance_slot(
    connection: &mut Connection,
    name: &str,
    lsn: Lsn,
) -> Result<(), PgError> {
    let name = quote_literal(name);
    connection
        .query(&format!(
            "SELECT pg_replication_slot_advance({name}, '{lsn}')"
        ))
        .await?;
    Ok(())
}

/// The publication that the configuration asks for.
#[derive(Clone, Debug)]
pub struct Publication<'a> {
    /// Its name, which goes into SQL as it is, as there.
    pub name: &'a str,
    /// The connector's database, for messages.
    pub database: &'a str,
    /// Who makes it.
    pub mode: AutocreateMode,
    /// `publish.via.partition.root`.
    pub via_partition_root: bool,
    /// What it publishes where `skipped.operations` was set, for instance `insert,update`.
    pub publish: Option<String>,
}

impl Publication<'_> {
    fn options(&self) -> String {
        let mut options = Vec::new();
        if let Some(publish) = &self.publish {
            options.push(format!("publish = '{publish}'"));
        }
        if self.via_partition_root {
            options.push("publish_via_partition_root = true".to_owned());
        }
        match options.is_empty() {
            true => String::new(),
            false => format!(" WITH ({})", options.join(", ")),
        }
    }

    /// Makes the publication, or brings a filtered one up to date. `captured` is sorted.
    ///
    /// # Errors
    /// In Debezium's words, with the server's error as cause.
    pub async fn ensure(
        &self,
        connection: &mut Connection,
        captured: &[TableId],
    ) -> Result<(), PgError> {
        let sql = format!(
            "SELECT puballtables FROM pg_publication WHERE pubname = {}",
            quote_literal(self.name)
        );
        let present = connection.query_first(&sql).await?;
        let Some(row) = present else {
            return self.create(connection, captured).await;
        };
        if self.mode != AutocreateMode::Filtered {
            return Ok(());
        }
        if row.flag(0) {
            return Err(PgError::Fatal(format!(
                "A logical publication for all tables named '{}' for plugin 'PGOUTPUT' and \
                 database '{}' is already active on the server and can not be altered. If you \
                 need to exclude some tables or include only specific subset, please recreate the \
                 publication with necessary configuration. Or if you want to include all tables, \
                 please change publication.autocreate.mode to all_tables.",
                self.name, self.database
            )));
        }
        self.update(connection, captured).await
    }

    async fn create(
        &self,
        connection: &mut Connection,
        captured: &[TableId],
    ) -> Result<(), PgError> {
        let (name, options) = (self.name, self.options());
        tracing::info!("Creating new publication '{name}' for plugin 'PGOUTPUT'");
        let sql = match self.mode {
            AutocreateMode::Disabled => {
                return Err(PgError::Fatal(
                    "Publication autocreation is disabled, please create one and restart the \
                     connector."
                        .to_owned(),
                ));
            }
            AutocreateMode::AllTables => {
                format!("CREATE PUBLICATION {name} FOR ALL TABLES{options};")
            }
            AutocreateMode::NoTables => format!("CREATE PUBLICATION {name}{options};"),
            AutocreateMode::Filtered => {
                let tables = self.table_list(captured)?;
                format!("CREATE PUBLICATION {name} FOR TABLE {tables}{options};")
            }
        };
        tracing::info!("Creating Publication with statement '{sql}'");
        let result = connection.query(&with_timeout(&sql)).await;
        match (result, self.mode) {
            (Ok(_), _) => Ok(()),
            (Err(error), AutocreateMode::Filtered) => {
                let tables = self.table_list(captured)?;
                Err(error.while_(format!(
                    "Unable to create filtered publication {name} for {tables}"
                )))
            }
            (Err(error), _) => Err(error.while_(format!("Unable to create publication {name}"))),
        }
    }

    async fn update(
        &self,
        connection: &mut Connection,
        captured: &[TableId],
    ) -> Result<(), PgError> {
        let sql = format!(
            "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = {}",
            quote_literal(self.name)
        );
        let mut published: Vec<TableId> = connection
            .query(&sql)
            .await?
            .iter()
            .map(|row| TableId {
                schema: row.text(0).to_owned(),
                table: row.text(1).to_owned(),
            })
            .collect();
        published.sort();
        if published == captured {
            return Ok(());
        }
        let (name, tables) = (self.name, self.table_list(captured)?);
        let sql = format!("ALTER PUBLICATION {name} SET TABLE {tables};");
        tracing::info!("Updating Publication with statement '{sql}'");
        connection
            .query(&with_timeout(&sql))
            .await
            .map(drop)
            .map_err(|error| {
                error.while_(format!(
                    "Unable to update filtered publication {name} for {tables}"
                ))
            })
    }

    fn table_list(&self, captured: &[TableId]) -> Result<String, PgError> {
        if captured.is_empty() {
            return Err(PgError::Fatal(format!(
                "No table filters found for filtered publication {}",
                self.name
            ))
            .while_(format!(
                "Unable to create filtered publication {} for ",
                self.name
            )));
        }
        let quoted: Vec<String> = captured.iter().map(quoted_table).collect();
        Ok(quoted.join(", "))
    }
}

/// `"schema"."table"`.
#[must_use]
pub fn quoted_table(id: &TableId) -> String {
    format!(
        "{}.{}",
        quote_identifier(&id.schema),
        quote_identifier(&id.table)
    )
}

/// A publication waits for locks; the limit is Debezium's `internal.create.slot.command.timeout`.
/// One message is one transaction, so the setting ends with it.
fn with_timeout(sql: &str) -> String {
    format!("SET LOCAL statement_timeout = 90000; {sql}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_follow_the_partition_root_and_the_skipped_operations() {
        let mut publication = Publication {
            name: "p",
            database: "d",
            mode: AutocreateMode::AllTables,
            via_partition_root: false,
            publish: None,
        };
        assert_eq!(publication.options(), "");
        publication.publish = Some("insert,update".to_owned());
        assert_eq!(publication.options(), " WITH (publish = 'insert,update')");
        publication.publish = None;
        publication.via_partition_root = true;
        assert_eq!(
            publication.options(),
            " WITH (publish_via_partition_root = true)"
        );
    }

    #[test]
    fn a_filtered_publication_of_nothing_is_refused() {
        let publication = Publication {
            name: "p",
            database: "d",
            mode: AutocreateMode::Filtered,
            via_partition_root: false,
            publish: None,
        };
        let error = publication.table_list(&[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Unable to create filtered publication p for "
        );
        let table = TableId {
            schema: "public".to_owned(),
            table: "a".to_owned(),
        };
        assert_eq!(
            publication.table_list(&[table]).unwrap(),
            "\"public\".\"a\""
        );
    }
}
