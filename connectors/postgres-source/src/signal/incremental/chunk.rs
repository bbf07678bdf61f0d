//! How a table is read by its key, one chunk after another.

use std::sync::Arc;

use bytes::Bytes;

use super::progress::Collection;
use crate::change::{ColumnValue, TupleRef};
use crate::config::PostgresConfig;
use crate::emitter::Table;
use crate::error::PgError;
use crate::protocol::connection::Connection;
use crate::protocol::slot::quoted_table;
use crate::protocol::{quote_identifier, quote_literal};
use crate::signal::java::KeyPart;

/// The table that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) table: Arc<Table>,
    /// The key's columns by place.
    pub(super) key: Vec<usize>,
    /// What is selected, and which column of the table each is.
    pub(super) select: String,
    pub(super) columns: Arc<[Option<usize>]>,
}

/// How a table is read: by which key, and which of its columns; none without a key.
pub(super) fn reading(
    config: &PostgresConfig,
    table: Arc<Table>,
    collection: &Collection,
) -> Result<Option<Reading>, PgError> {
    let info = &table.info;
    let key = match &collection.surrogate_key {
        Some(name) => {
            let place = info.columns.iter().position(|column| column.name == *name);
            let place = place.ok_or_else(|| {
                PgError::Fatal(format!(
                    "{} has no column {name}, the surrogate key",
                    info.id
                ))
            })?;
            vec![place]
        }
        None => config.columns.key_columns(info),
    };
    if key.is_empty() {
        return Ok(None);
    }
    let selected: Vec<usize> = (0..info.columns.len())
        .filter(|place| table.plan.captured(*place) || key.contains(place))
        .collect();
    let names: Vec<String> = selected
        .iter()
        .filter_map(|&place| info.columns.get(place))
        .map(|column| quote_identifier(&column.name))
        .collect();
    Ok(Some(Reading {
        select: names.join(", "),
        columns: selected.into_iter().map(Some).collect(),
        key,
        table,
    }))
}

impl Reading {
    pub(super) fn part(&self, place: usize, text: Option<&str>) -> KeyPart {
        match self.table.info.columns.get(place) {
            Some(column) => KeyPart::parse(text, &column.data_type),
            None => KeyPart::Null,
        }
    }

    /// The key's columns, quoted, and whether each may be null.
    fn key_columns(&self) -> Vec<(String, bool)> {
        self.key
            .iter()
            .filter_map(|&place| self.table.info.columns.get(place))
            .map(|column| (quote_identifier(&column.name), column.optional))
            .collect()
    }

    fn order(&self, direction: &str) -> String {
        let columns: Vec<String> = self
            .key_columns()
            .iter()
            .map(|(name, _)| format!("{name}{direction}"))
            .collect();
        columns.join(", ")
    }

    pub(super) fn maximum_sql(&self, collection: &Collection) -> String {
        let names: Vec<String> = self
            .key_columns()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        format!(
            "SELECT {} FROM {}{} ORDER BY {} LIMIT 1",
            names.join(", "),
            quoted_table(&self.table.info.id),
            where_sql(&[], collection),
            self.order(" DESC")
        )
    }

    pub(super) fn count_sql(&self, collection: &Collection) -> String {
        format!(
            "SELECT COUNT(1) FROM {}{}",
            quoted_table(&self.table.info.id),
            where_sql(&[], collection)
        )
    }

    pub(super) fn chunk_sql(
        &self,
        collection: &Collection,
        after: Option<&[KeyPart]>,
        maximum: &[KeyPart],
        limit: u64,
    ) -> String {
        let columns = self.key_columns();
        let mut conditions = Vec::new();
        if let Some(after) = after {
            conditions.push(beyond(&columns, after));
        }
        conditions.push(format!("NOT {}", beyond(&columns, maximum)));
        format!(
            "COPY (SELECT {} FROM {}{} ORDER BY {} LIMIT {limit}) TO STDOUT",
            self.select,
            quoted_table(&self.table.info.id),
            where_sql(&conditions, collection),
            self.order("")
        )
    }
}

fn where_sql(conditions: &[String], collection: &Collection) -> String {
    let all: Vec<&str> = conditions
        .iter()
        .map(String::as_str)
        .chain(collection.condition.as_deref())
        .collect();
    match all.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", all.join(" AND ")),
    }
}

/// That a key is greater than another; nulls come last.
fn beyond(columns: &[(String, bool)], key: &[KeyPart]) -> String {
    let literal = |part: &KeyPart| quote_literal(&part.to_string());
    if columns.iter().all(|(_, nullable)| !nullable) && !key.contains(&KeyPart::Null) {
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<String> = key.iter().map(literal).collect();
        return format!("(({}) > ({}))", names.join(", "), values.join(", "));
    }
    let mut either = Vec::with_capacity(columns.len());
    for last in 0..columns.len() {
        let mut all = Vec::with_capacity(last + 1);
        for (at, ((name, nullable), part)) in columns.iter().zip(key).enumerate().take(last + 1) {
            all.push(match (at == last, part) {
                (true, KeyPart::Null) => "FALSE".to_owned(),
                (true, part) if *nullable => {
                    format!("({name} > {} OR {name} IS NULL)", literal(part))
                }
                (true, part) => format!("{name} > {}", literal(part)),
                (false, KeyPart::Null) => format!("{name} IS NULL"),
                (false, part) => format!("({name} IS NOT NULL AND {name} = {})", literal(part)),
            });
        }
        either.push(format!("({})", all.join(" AND ")));
    }
    format!("({})", either.join(" OR "))
}

/// All rows of a `COPY`.
pub(super) async fn copy_rows(
    connection: &mut Connection,
    sql: &str,
) -> Result<Vec<(Bytes, std::ops::Range<usize>)>, PgError> {
    connection.copy_out(sql).await?;
    let mut rows = Vec::new();
    while let Some((buffer, ranges)) = connection.copy_chunk().await? {
        rows.extend(ranges.into_iter().map(|range| (buffer.clone(), range)));
    }
    Ok(rows)
}

pub(super) fn join_key(key: &[KeyPart]) -> String {
    let parts: Vec<String> = key.iter().map(ToString::to_string).collect();
    parts.join(",")
}

/// A row's key as one text, by which rows of window and stream are the same.
pub(super) fn key_text(row: TupleRef<'_>, places: &[usize]) -> String {
    let mut key = String::new();
    for &place in places {
        match row.get(place) {
            ColumnValue::Text(text) => key.push_str(&String::from_utf8_lossy(text.as_bytes())),
            _ => key.push('\u{2}'),
        }
        key.push('\u{0}');
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_as_rows_unless_they_may_be_null() {
        let columns = |nullable| [("\"a\"".to_owned(), false), ("\"b\"".to_owned(), nullable)];
        let key = [KeyPart::Integer(1), KeyPart::Text("x'y".to_owned())];
        assert_eq!(
            beyond(&columns(false), &key),
            "((\"a\", \"b\") > ('1', 'x''y'))"
        );
        assert_eq!(
            beyond(&columns(true), &key),
            "((\"a\" > '1') OR ((\"a\" IS NOT NULL AND \"a\" = '1') AND (\"b\" > 'x''y' OR \"b\" \
             IS NULL)))"
        );
        let key = [KeyPart::Integer(1), KeyPart::Null];
        assert_eq!(
            beyond(&columns(true), &key),
            "((\"a\" > '1') OR ((\"a\" IS NOT NULL AND \"a\" = '1') AND FALSE))"
        );
    }
}
