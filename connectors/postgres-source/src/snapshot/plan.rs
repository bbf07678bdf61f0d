//! How tables are read: their statements, and the chunks that they fall into.
//!
//! A chunk is a range of a table's pages (`ctid`), so that chunks are planned without reading the
//! table. Where ranges would not be efficient or not exact (servers before 14, other storage than
//! heap, a statement of the user's) the whole table is one chunk.

use std::collections::HashMap;
use std::sync::Arc;

use super::progress::{Chunks, Progress, TableProgress};
use crate::config::PostgresConfig;
use crate::emitter::Table;
use crate::error::PgError;
use crate::protocol::connection::Connection;
use crate::protocol::slot::quoted_table;
use crate::protocol::{quote_identifier, quote_literal};

/// The most pages (of 8 KiB) that a chunk has under `snapshot.resume`: what is read again at most.
const RESUME_PAGES: u64 = 4096;
/// The first version that reads a range of pages without looking at the others.
const PAGE_RANGES_SINCE: u32 = 140_000;

/// A table to be read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) table: Arc<Table>,
    /// For each column of the answer the table's column, if it is captured.
    pub(super) columns: Arc<[Option<usize>]>,
    /// About how many rows it has, where the server knows.
    pub(super) estimate: Option<u64>,
    pub(super) chunks: Vec<Chunk>,
    /// An earlier run has sent rows of it.
    pub(super) begun: bool,
    /// What offsets are to say of it, where they say so.
    pub(super) progress: Option<Chunks>,
}

/// What one `COPY` reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) sql: String,
    /// Its number in the table, as offsets name it.
    pub(super) number: Option<u64>,
}

/// What the plan of all tables goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planning<'a> {
    pub(super) config: &'a PostgresConfig,
    /// Whether tables may be divided for several sessions.
    pub(super) divides: bool,
    /// Set under `snapshot.resume`: what an earlier run has done.
    pub(super) progress: Option<&'a Progress>,
}

/// How a table lies on disk.
#[derive(Debug)]
struct Extent {
    pages: u64,
    estimate: Option<u64>,
    /// All of it is in heaps.
    heap: bool,
    files: String,
}

/// Plans a table; none where an earlier run has read all of it.
pub(super) async fn plan(
    connection: &mut Connection,
    planning: Planning<'_>,
    table: Arc<Table>,
) -> Result<Option<Source>, PgError> {
    let name = table.info.id.to_string();
    let earlier = planning.progress.and_then(|progress| progress.of(&name));
    if earlier == Some(&TableProgress::Done) {
        return Ok(None);
    }
    let (select, columns, own) = statement(connection, planning.config, &table).await?;
    let by_pages = (planning.divides || planning.progress.is_some())
        && !own
        && connection.server_version() >= PAGE_RANGES_SINCE;
    if by_pages {
        // A rewrite of the table between two chunks would move its rows.
        let sql = format!(
            "LOCK TABLE {} IN ACCESS SHARE MODE",
            quoted_table(&table.info.id)
        );
        connection.query(&sql).await?;
    }
    let extent = extent(connection, &table).await?;
    let mut source = Source {
        table,
        columns,
        estimate: extent.estimate.filter(|_| !own),
        chunks: Vec::new(),
        begun: false,
        progress: None,
    };
    if !(by_pages && extent.heap) {
        source.chunks.push(Chunk {
            sql: copy(&select, &[]),
            number: Some(0),
        });
        return Ok(Some(source));
    }
    let mut pages = match planning.divides {
        true => {
            let parts = threads(planning.config).saturating_mul(multiplier(planning.config, &name));
            extent.pages.div_ceil(parts.max(1)).max(1)
        }
        false => u64::MAX,
    };
    let mut since = None;
    if let Some(progress) = planning.progress {
        pages = pages.min(RESUME_PAGES);
        let mut chunks = Chunks {
            files: extent.files,
            pages,
            done: Default::default(),
        };
        if let Some(TableProgress::Chunks(earlier)) = earlier {
            if earlier.files == chunks.files {
                chunks = earlier.clone();
                pages = chunks.pages;
                since = Some(progress.since);
            } else {
                tracing::warn!("Table '{name}' was rewritten: its snapshot begins anew");
            }
        }
        source.progress = Some(chunks);
    }
    let done = source.progress.as_ref().map(|chunks| &chunks.done);
    if let (Some(since), Some(last)) = (since, done.and_then(|done| done.last())) {
        source.begun = true;
        let conditions = [
            below(last.saturating_add(1).saturating_mul(pages)),
            // Compared by age, since ids come around.
            format!("age(xmin) <= age('{}'::xid)", since.rem_euclid(1 << 32)),
        ];
        source.chunks.push(Chunk {
            sql: copy(&select, &conditions),
            number: None,
        });
    }
    let count = extent.pages.div_ceil(pages).max(1);
    for number in (0..count).filter(|number| done.is_none_or(|done| !done.contains(number))) {
        source.chunks.push(Chunk {
            sql: copy(&select, &range(number, count, pages)),
            number: Some(number),
        });
    }
    Ok(Some(source))
}

/// `snapshot.max.threads`.
pub(super) fn threads(config: &PostgresConfig) -> u64 {
    u64::try_from(config.snapshot_max_threads.max(1)).unwrap_or(1)
}

/// `snapshot.max.threads.multiplier` and its form for one table.
pub(super) fn multiplier(config: &PostgresConfig, table: &str) -> u64 {
    let key = format!("snapshot.max.threads.multiplier.{table}");
    let own = config.originals().get(&key);
    let own = own.and_then(|text| text.trim().parse::<u64>().ok());
    let general = u64::try_from(config.snapshot_max_threads_multiplier).unwrap_or(1);
    own.unwrap_or(general).max(1)
}

/// Whether tables fall into chunks, as Debezium decides it.
pub(crate) fn divides(config: &PostgresConfig) -> bool {
    let prefix = "snapshot.max.threads.multiplier.";
    let mut own = config
        .originals()
        .keys()
        .filter_map(|key| key.strip_prefix(prefix));
    let multiplied = config.snapshot_max_threads_multiplier > 1
        || own.any(|table| multiplier(config, table) > 1);
    !config.legacy_snapshot_max_threads && (threads(config) > 1 || multiplied)
}

fn below(page: u64) -> String {
    format!("ctid < '({},0)'::tid", page.min(u64::from(u32::MAX)))
}

/// The conditions of a chunk; the last one has no end, for a table may have grown.
fn range(number: u64, count: u64, pages: u64) -> Vec<String> {
    let mut conditions = Vec::new();
    if number > 0 {
        let first = number.saturating_mul(pages).min(u64::from(u32::MAX));
        conditions.push(format!("ctid >= '({first},0)'::tid"));
    }
    if number + 1 < count {
        conditions.push(below((number + 1).saturating_mul(pages)));
    }
    conditions
}

fn copy(select: &str, conditions: &[String]) -> String {
    match conditions.is_empty() {
        true => format!("COPY ({select}) TO STDOUT"),
        false => format!(
            "COPY ({select} WHERE {}) TO STDOUT",
            conditions.join(" AND ")
        ),
    }
}

async fn extent(connection: &mut Connection, table: &Table) -> Result<Extent, PgError> {
    let name = quote_literal(&quoted_table(&table.info.id));
    let sql = format!(
        "WITH RECURSIVE tree AS (SELECT {name}::regclass::oid AS oid UNION \
         SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid) \
         SELECT coalesce(max(pg_relation_size(c.oid) / current_setting('block_size')::bigint), 0), \
         CASE WHEN bool_or(c.relkind = 'r' AND c.reltuples < 0) THEN 0 \
         ELSE coalesce(sum(c.reltuples) FILTER (WHERE c.relkind = 'r'), 0)::bigint END, \
         bool_and(c.relkind = 'p' OR (c.relkind = 'r' AND a.amname = 'heap')), \
         md5(string_agg(coalesce(pg_relation_filenode(c.oid), 0)::text, ',' ORDER BY c.oid)) \
         FROM tree JOIN pg_class c USING (oid) LEFT JOIN pg_am a ON a.oid = c.relam"
    );
    let row = connection.query_first(&sql).await?;
    let row = row.ok_or_else(|| PgError::Protocol("no answer on a table's size".to_owned()))?;
    Ok(Extent {
        pages: row.number(0)?,
        estimate: Some(row.number(1)?).filter(|rows| *rows > 0),
        heap: row.flag(2),
        files: row.text(3).to_owned(),
    })
}

/// How to read a table: its captured columns, or the statement that stands in for that; the columns
/// of the answer, and whether the statement is the user's.
async fn statement(
    connection: &mut Connection,
    config: &PostgresConfig,
    table: &Table,
) -> Result<(String, Arc<[Option<usize>]>, bool), PgError> {
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
        return Ok((select, columns, false));
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
    Ok((select, columns, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::config;

    #[test]
    fn options_say_into_how_many_parts_a_table_falls() {
        let parts = |options: &[(&str, &str)]| {
            let config = config(options);
            (
                threads(&config),
                multiplier(&config, "s.a"),
                divides(&config),
            )
        };
        let three = ("snapshot.max.threads", "3");
        let twice = ("snapshot.max.threads.multiplier", "2");
        assert_eq!(parts(&[]), (1, 1, false));
        assert_eq!(parts(&[three]), (3, 1, true));
        assert_eq!(parts(&[twice]), (1, 2, true));
        let own = ("snapshot.max.threads.multiplier.s.a", "5");
        assert_eq!(parts(&[twice, own]), (1, 5, true));
        for legacy in [
            "legacy.snapshot.max.threads",
            "internal.legacy.snapshot.max.threads",
        ] {
            assert_eq!(parts(&[three, (legacy, "true")]), (3, 1, false));
        }
    }

    #[test]
    fn ranges_of_pages_hold_each_row_once() {
        assert_eq!(range(0, 1, 7), Vec::<String>::new());
        assert_eq!(range(0, 3, 7), ["ctid < '(7,0)'::tid"]);
        assert_eq!(
            range(1, 3, 7),
            ["ctid >= '(7,0)'::tid", "ctid < '(14,0)'::tid"]
        );
        assert_eq!(range(2, 3, 7), ["ctid >= '(14,0)'::tid"]);
        assert_eq!(copy("SELECT 1", &[]), "COPY (SELECT 1) TO STDOUT");
        assert_eq!(
            copy("SELECT 1 FROM t", &range(2, 3, 7)),
            "COPY (SELECT 1 FROM t WHERE ctid >= '(14,0)'::tid) TO STDOUT"
        );
    }
}
