//! Columns that the log does not hold are read from the table: unchanged TOAST values, and nulls.
//!
//! Works on the raw row before it becomes a record, so that a value read again goes the way of all
//! values, masks included. It does no I/O: it says which columns are missing, what to ask the
//! server, and puts the answer into the row. Answers for `ReselectColumnsPostProcessor`.

use bytes::{Bytes, BytesMut};
use connect_api::Props;
use connect_api::config::props_with_prefix;

use crate::change::{Cell, ColumnValue, TupleRef};
use crate::config::{RESELECT, items, java_boolean};
use crate::emitter::Table;
use crate::error::PgError;
use crate::filter::PatternList;
use crate::protocol::slot::quoted_table;
use crate::protocol::{quote_identifier, quote_literal};

/// A reselecting post processor.
#[derive(Clone, Debug)]
pub struct Reselect {
    include: Option<PatternList>,
    exclude: Option<PatternList>,
    unavailable: bool,
    nulls: bool,
    use_event_key: bool,
    /// `reselect.error.handling.mode=fail`.
    pub fails: bool,
}

impl Reselect {
    /// The processors that `post.processors` names.
    ///
    /// # Errors
    /// A pattern that is not well-formed.
    pub fn all(props: &Props) -> Result<Vec<Self>, PgError> {
        let names = props.get("post.processors").map_or("", String::as_str);
        let is_own = |name: &&str| {
            let class = props.get(&format!("{name}.type"));
            class.is_some_and(|class| class.trim() == RESELECT)
        };
        let own = items(names).into_iter().filter(is_own);
        own.map(|name| Self::new(&props_with_prefix(props, &format!("{name}."))))
            .collect()
    }

    fn new(props: &Props) -> Result<Self, PgError> {
        let flag = |key: &str, default| {
            let text = props.get(key).and_then(|text| java_boolean(text.trim()));
            text.unwrap_or(default)
        };
        let list = |key: &str| {
            let text = props.get(key).filter(|text| !text.trim().is_empty());
            text.map(|text| PatternList::parse(text)).transpose()
        };
        if flag("reselect.cache.enabled", false) {
            tracing::warn!("reselect.cache.enabled has no effect: rows are always read anew");
        }
        let mode = props.get("reselect.error.handling.mode");
        Ok(Self {
            include: list("reselect.columns.include.list")?,
            exclude: list("reselect.columns.exclude.list")?,
            unavailable: flag("reselect.unavailable.values", true),
            nulls: flag("reselect.null.values", true),
            use_event_key: flag("reselect.use.event.key", false),
            fails: mode.is_some_and(|mode| mode.trim().eq_ignore_ascii_case("fail")),
        })
    }

    /// The columns of a row that have to be read.
    #[must_use]
    pub fn missing(&self, table: &Table, row: TupleRef<'_>) -> Vec<usize> {
        let columns = table.info.columns.iter().enumerate();
        let is_missing = |index: usize| match row.get(index) {
            ColumnValue::Unchanged => self.unavailable,
            ColumnValue::Null => self.nulls,
            ColumnValue::Text(_) => false,
        };
        let chosen = |name: &str| {
            let name = format!("{}:{name}", table.info.id);
            match (&self.include, &self.exclude) {
                (Some(include), _) => include.matches(&name),
                (None, Some(exclude)) => !exclude.matches(&name),
                (None, None) => true,
            }
        };
        columns
            .filter(|(index, column)| {
                is_missing(*index) && table.plan.captured(*index) && chosen(&column.name)
            })
            .map(|(index, _)| index)
            .collect()
    }

    /// What to ask the server for these columns of the row; none where the row cannot be told from
    /// others: its table has no key, or the key is not all there.
    #[must_use]
    pub fn query(&self, table: &Table, row: TupleRef<'_>, missing: &[usize]) -> Option<String> {
        let info = &table.info;
        table.plan.key_schema.as_ref()?;
        let key: Vec<usize> = if self.use_event_key {
            table.plan.key_columns().collect()
        } else {
            let place = |name: &String| info.columns.iter().position(|one| one.name == *name);
            info.primary_key.iter().filter_map(place).collect()
        };
        if key.is_empty() || missing.is_empty() {
            return None;
        }
        let mut conditions = Vec::with_capacity(key.len());
        for index in key {
            let ColumnValue::Text(text) = row.get(index) else {
                return None;
            };
            let text = std::str::from_utf8(text.as_bytes()).ok()?;
            let name = quote_identifier(&info.columns.get(index)?.name);
            conditions.push(format!("{name} = {}", quote_literal(text)));
        }
        let names = missing.iter().filter_map(|&index| info.columns.get(index));
        let names: Vec<String> = names.map(|column| quote_identifier(&column.name)).collect();
        Some(format!(
            "SELECT {} FROM {} WHERE {}",
            names.join(", "),
            quoted_table(&info.id),
            conditions.join(" AND ")
        ))
    }
}

/// The row with what was read for some of its columns.
#[must_use]
pub fn completed(
    row: TupleRef<'_>,
    missing: &[usize],
    read: &[Option<&str>],
) -> (Bytes, Vec<Cell>) {
    let mut grown = BytesMut::from(&row.buffer()[..]);
    let mut cells = row.cells().to_vec();
    for (&index, value) in missing.iter().zip(read) {
        let Some(cell) = cells.get_mut(index) else {
            continue;
        };
        let Some(value) = value else {
            *cell = Cell::Null;
            continue;
        };
        let start = u32::try_from(grown.len());
        grown.extend_from_slice(value.as_bytes());
        if let (Ok(start), Ok(end)) = (start, u32::try_from(grown.len())) {
            *cell = Cell::Text(start..end);
        }
    }
    (grown.freeze(), cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_takes_the_place_of_what_was_missing() {
        let buffer = Bytes::from_static(b"7");
        let cells = [Cell::Text(0..1), Cell::Unchanged, Cell::Null];
        let (buffer, cells) = completed(
            TupleRef::new(&buffer, &cells),
            &[1, 2],
            &[Some("big"), None],
        );
        let row = TupleRef::new(&buffer, &cells);
        let ColumnValue::Text(text) = row.get(1) else {
            panic!("{row:?}");
        };
        assert_eq!(text.as_bytes(), b"big");
        assert!(matches!(row.get(2), ColumnValue::Null));
    }

    #[test]
    fn only_what_is_asked_for_is_a_processor() {
        let props: Props = [
            ("post.processors", "a,b"),
            ("a.type", RESELECT),
            ("a.reselect.null.values", "false"),
            ("b.type", "other"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
        let all = Reselect::all(&props).unwrap();
        assert_eq!(all.len(), 1);
        assert!(!all[0].nulls && all[0].unavailable && !all[0].fails);
    }
}
