//! `replica.identity.autoset.values`: sets the identity of captured tables before the stream.
//!
//! It reports, and never fails a start: a table without the wished identity still streams. Answers
//! for `ReplicaIdentityMapper` and `PostgresConnection.setReplicaIdentityForTable`, whose quirks it
//! keeps: one entry that the parser does not understand disables the whole list.

use connect_api::error::Chain;
use connect_api::java::Regex;

use crate::change::TableId;
use crate::error::PgError;
use crate::protocol::connection::Connection;
use crate::protocol::quote_literal;

/// One entry: the tables it is for and the identity they get.
#[derive(Debug)]
struct Entry {
    tables: Regex,
    identity: Identity,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Identity {
    Default,
    Full,
    Nothing,
    Index(String),
}

impl Identity {
    /// Upper case only, though the configuration's check lets any case pass.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "DEFAULT" => Some(Self::Default),
            "FULL" => Some(Self::Full),
            "NOTHING" => Some(Self::Nothing),
            _ => text
                .strip_prefix("INDEX ")
                .map(|index| Self::Index(index.trim().to_owned())),
        }
    }

    /// As `pg_class.relreplident` has it.
    fn code(&self) -> &'static str {
        match self {
            Self::Default => "d",
            Self::Full => "f",
            Self::Nothing => "n",
            Self::Index(_) => "i",
        }
    }

    fn clause(&self) -> String {
        match self {
            Self::Default => "DEFAULT".to_owned(),
            Self::Full => "FULL".to_owned(),
            Self::Nothing => "NOTHING".to_owned(),
            Self::Index(index) => format!("USING INDEX {index}"),
        }
    }
}

fn parse(list: &[String]) -> Result<Vec<Entry>, String> {
    list.iter()
        .filter(|entry| !entry.trim().is_empty())
        .map(|entry| {
            let (tables, identity) = entry
                .trim()
                .rsplit_once(':')
                .ok_or_else(|| format!("{entry} has no identity"))?;
            let tables = Regex::ignoring_case(tables.trim()).map_err(|error| error.to_string())?;
            let identity = Identity::parse(identity.trim())
                .ok_or_else(|| format!("No enum constant ReplicaIdentity.{identity}"))?;
            Ok(Entry { tables, identity })
        })
        .collect()
}

/// Reports the identity of each captured table, and sets it where the list asks for another.
///
/// # Errors
/// A broken connection; what the server refuses is logged.
pub async fn apply(
    connection: &mut Connection,
    list: &[String],
    captured: &[TableId],
) -> Result<(), PgError> {
    let entries = match parse(list) {
        Ok(entries) => entries,
        Err(problem) => {
            tracing::error!(problem, "Unable to update Replica Identity");
            Vec::new()
        }
    };
    for id in captured {
        let (schema, table) = (quote_literal(&id.schema), quote_literal(&id.table));
        let sql = format!(
            "SELECT c.relreplident FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = {schema} AND c.relname = {table}"
        );
        let Some(row) = connection.query_first(&sql).await? else {
            continue;
        };
        let name = id.to_string();
        let mut matching = entries.iter().filter(|entry| entry.tables.matches(&name));
        let wished = matching.next();
        if matching.next().is_some() {
            tracing::error!("More than one Regular expressions matched table {name}");
            continue;
        }
        match wished {
            Some(Entry { identity, .. }) if identity.code() != row.text(0) => {
                // Unquoted, as there.
                let sql = format!("ALTER TABLE {name} REPLICA IDENTITY {};", identity.clause());
                match connection.query(&sql).await {
                    Ok(_) => tracing::info!(
                        "Replica identity set to {} for table '{name}'",
                        identity.clause()
                    ),
                    Err(error) if error.server().is_some() => tracing::error!(
                        error = %Chain(&error),
                        "Replica identity of table '{name}' could not be updated"
                    ),
                    Err(error) => return Err(error),
                }
            }
            _ => tracing::info!("REPLICA IDENTITY for '{name}' is '{}", meaning(row.text(0))),
        }
    }
    Ok(())
}

fn meaning(code: &str) -> &'static str {
    match code {
        "f" => {
            "FULL'; UPDATE AND DELETE events will contain the previous values of all the columns"
        }
        "n" => {
            "NOTHING'; UPDATE and DELETE events will not contain any information on the old values"
        }
        "i" => {
            "INDEX'; UPDATE and DELETE events will contain previous values only for INDEX columns"
        }
        _ => "DEFAULT'; UPDATE and DELETE events will contain previous values only for PK columns",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|&entry| entry.to_owned()).collect()
    }

    #[test]
    fn an_entry_names_tables_and_their_identity() {
        let entries = parse(&list(&["public.a.*:FULL", " s.t : INDEX by_name"])).unwrap();
        assert_eq!(entries[0].identity, Identity::Full);
        assert!(entries[0].tables.matches("public.abc"));
        assert_eq!(entries[1].identity.clause(), "USING INDEX by_name");
    }

    #[test]
    fn one_entry_in_lower_case_disables_the_list() {
        assert!(parse(&list(&["public.a:FULL", "public.b:default"])).is_err());
    }
}
