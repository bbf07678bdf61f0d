//! How far an initial snapshot has come, as offsets say it under `snapshot.resume`: one key of our
//! own, which a JVM Debezium passes over.
//!
//! ```text
//!   {"since":1234,"tables":{"public.a":true,
//!                           "public.b":{"files":"9a…","pages":4096,"done":[[0,16],[18,18]]}}}
//! ```
//!
//! A snapshot that goes on reads under a new state of the database, so rows may have moved between
//! chunks. What was written since the first state (transactions from `since` on) is therefore read
//! again from the chunks that are done: no row is missed, some come twice, and the stream, which
//! begins where the first state was, ends at the same values. A table whose files were rewritten
//! begins anew.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use connect_api::ByteString;
use connect_api::data::json::{parse_schemaless, write_string};
use connect_api::data::{ConnectMap, Value};
use connect_api::record::OffsetMap;

/// The offset's key.
pub const KEY: &str = "snapshot_progress";

/// What was read so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The oldest transaction that the first state does not show.
    pub(super) since: i64,
    tables: BTreeMap<String, TableProgress>,
}

/// Of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TableProgress {
    /// All of it.
    Done,
    /// Some of its chunks.
    Chunks(Chunks),
}

/// Chunks by number; what they are depends on the table's files and their size in pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    pub(super) files: String,
    pub(super) pages: u64,
    pub(super) done: BTreeSet<u64>,
}

impl Progress {
    pub(super) fn new(since: i64) -> Self {
        Self {
            since,
            tables: BTreeMap::new(),
        }
    }

    pub(super) fn of(&self, table: &str) -> Option<&TableProgress> {
        self.tables.get(table)
    }

    pub(super) fn set(&mut self, table: String, progress: TableProgress) {
        self.tables.insert(table, progress);
    }

    /// Notes a chunk of a table whose chunks are known.
    pub(super) fn chunk_done(&mut self, table: &str, number: u64) {
        if let Some(TableProgress::Chunks(chunks)) = self.tables.get_mut(table) {
            chunks.done.insert(number);
        }
    }

    /// Reads it out of a stored offset; none where there is none, or none that can be read.
    #[must_use]
    pub fn load(map: &OffsetMap) -> Option<Self> {
        let text = map.get(KEY)?.as_str()?;
        let parsed = Self::parse(text);
        if parsed.is_none() {
            tracing::warn!("the offset's {KEY} cannot be read, the snapshot begins anew: {text}");
        }
        parsed
    }

    fn parse(text: &str) -> Option<Self> {
        let parsed = parse_schemaless(&Bytes::copy_from_slice(text.as_bytes())).ok()?;
        let map = parsed.as_map()?;
        let mut progress = Self::new(map.get_str("since")?.as_i64()?);
        for (name, value) in map.get_str("tables")?.as_map()?.iter() {
            let table = match value {
                Value::Boolean(true) => TableProgress::Done,
                value => TableProgress::Chunks(Chunks::parse(value.as_map()?)?),
            };
            progress.tables.insert(name.as_str()?.to_owned(), table);
        }
        Some(progress)
    }

    /// Writes it into an offset to be stored.
    pub fn store(&self, map: &mut OffsetMap) {
        map.insert(ByteString::from_static(KEY), Value::from(self.text()));
    }

    fn text(&self) -> String {
        let tables: Vec<String> = self
            .tables
            .iter()
            .map(|(name, progress)| {
                let mut quoted = Vec::new();
                write_string(name, &mut quoted);
                let name = String::from_utf8(quoted).unwrap_or_default();
                match progress {
                    TableProgress::Done => format!("{name}:true"),
                    TableProgress::Chunks(chunks) => format!("{name}:{}", chunks.text()),
                }
            })
            .collect();
        let (since, tables) = (self.since, tables.join(","));
        format!("{{\"since\":{since},\"tables\":{{{tables}}}}}")
    }
}

impl Chunks {
    /// The numbers as ranges, which are few: chunks are read nearly in order.
    fn ranges(&self) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for &number in &self.done {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        ranges
    }

    fn text(&self) -> String {
        let ranges: Vec<String> = self
            .ranges()
            .iter()
            .map(|(first, last)| format!("[{first},{last}]"))
            .collect();
        let (files, pages, done) = (&self.files, self.pages, ranges.join(","));
        format!("{{\"files\":\"{files}\",\"pages\":{pages},\"done\":[{done}]}}")
    }

    fn parse(map: &ConnectMap) -> Option<Self> {
        let number = |value: &Value| value.as_i64().and_then(|number| u64::try_from(number).ok());
        let mut done = BTreeSet::new();
        let Value::Array(ranges) = map.get_str("done")? else {
            return None;
        };
        for range in ranges.iter() {
            let Value::Array(ends) = range else {
                return None;
            };
            let first = number(ends.first()?)?;
            let last = number(ends.get(1)?)?;
            done.extend(first..=last);
        }
        Some(Self {
            files: map.get_str("files")?.as_str()?.to_owned(),
            pages: number(map.get_str("pages")?).filter(|pages| *pages > 0)?,
            done,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_survives_being_stored() {
        let mut progress = Progress::new(1234);
        progress.set("public.a".to_owned(), TableProgress::Done);
        let chunks = Chunks {
            files: "9a".to_owned(),
            pages: 4096,
            done: BTreeSet::from([0, 1, 2]),
        };
        progress.set("public.\"b".to_owned(), TableProgress::Chunks(chunks));
        progress.chunk_done("public.\"b", 4);
        let text = r#"{"since":1234,"tables":{"public.\"b":{"files":"9a","pages":4096,"done":[[0,2],[4,4]]},"public.a":true}}"#;
        let mut map = OffsetMap::new();
        progress.store(&mut map);
        assert_eq!(map.get(KEY).and_then(Value::as_str), Some(text));
        assert_eq!(Progress::load(&map), Some(progress));
    }

    #[test]
    fn what_cannot_be_read_is_no_progress() {
        for text in ["", "{}", r#"{"since":1,"tables":{"a":{"pages":0}}}"#] {
            let map = OffsetMap::from_iter([(ByteString::from_static(KEY), Value::from(text))]);
            assert_eq!(Progress::load(&map), None, "{text}");
        }
    }
}
