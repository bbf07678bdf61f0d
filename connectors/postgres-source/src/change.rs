//! What snapshot and stream have in common: one row of text, the table it came from, where it was.
//!
//! A row is never taken apart into owned strings: it is a shared buffer and a list of cells that
//! point into it, so a text column becomes a record's string by counting one reference more.
//! This module does no I/O and knows no schema.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

/// One column of a row as it came off the wire: nothing, a place in the row's buffer, or the
/// server's remark that a toasted value did not change and was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// SQL `NULL`, or a column that was not read.
    Null,
    /// A toasted value that the update left alone.
    Unchanged,
    /// The value in Postgres' text form, as a range of the row's buffer.
    Text(Range<u32>),
}

/// A row as it lies in its buffer. Cells are in the order of [`TableInfo::columns`].
#[derive(Clone, Copy, Debug)]
pub struct TupleRef<'a> {
    buffer: &'a Bytes,
    cells: &'a [Cell],
}

impl<'a> TupleRef<'a> {
    /// A row whose cells point into `buffer`.
    #[must_use]
    pub fn new(buffer: &'a Bytes, cells: &'a [Cell]) -> Self {
        Self { buffer, cells }
    }

    /// What the cells point into.
    #[must_use]
    pub fn buffer(&self) -> &'a Bytes {
        self.buffer
    }

    /// The columns.
    #[must_use]
    pub fn cells(&self) -> &'a [Cell] {
        self.cells
    }

    /// How many columns the row has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether the row has no columns at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The column at `index`; a column beyond the row's end reads as null.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> ColumnValue<'a> {
        match self.cells.get(index) {
            Some(Cell::Text(range)) => ColumnValue::Text(Text {
                buffer: self.buffer,
                start: range.start as usize,
                end: range.end as usize,
            }),
            Some(Cell::Unchanged) => ColumnValue::Unchanged,
            Some(Cell::Null) | None => ColumnValue::Null,
        }
    }
}

/// One column's value, borrowed from its row.
#[derive(Clone, Copy, Debug)]
pub enum ColumnValue<'a> {
    /// SQL `NULL`.
    Null,
    /// An unchanged toasted value; the placeholder rules apply.
    Unchanged,
    /// The value in Postgres' text form.
    Text(Text<'a>),
}

/// The text form of one value.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    buffer: &'a Bytes,
    start: usize,
    end: usize,
}

impl<'a> Text<'a> {
    /// A whole buffer as one value, for tests and for values that stand alone.
    #[must_use]
    pub fn of(buffer: &'a Bytes) -> Self {
        Self {
            buffer,
            start: 0,
            end: buffer.len(),
        }
    }

    /// The bytes to parse.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        &self.buffer[self.start..self.end]
    }

    /// The bytes to keep: shares the row's buffer, copies nothing.
    #[must_use]
    #[inline]
    pub fn to_shared(&self) -> Bytes {
        self.buffer.slice(self.start..self.end)
    }
}

/// A table's name in its database. Sorts as Debezium sorts tables: by schema, then by table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId {
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
}

impl TableId {
    /// Reads `schema.table`; `None` where that is not two names.
    #[must_use]
    pub fn parse(identifier: &str) -> Option<Self> {
        let names = identifier_names(identifier).ok()?;
        let [schema, table] = <[String; 2]>::try_from(names).ok()?;
        Some(Self { schema, table })
    }
}

/// The names that dots set apart in an identifier. They may stand in double, single or back quotes; a
/// quote in them is written twice. Answers for `TableIdParser`.
///
/// # Errors
/// It is no identifier, in Debezium's words.
pub fn identifier_names(identifier: &str) -> Result<Vec<String>, String> {
    let invalid = || format!("Invalid identifier: {identifier}");
    let ends = |c: char| c == '.' || c.is_whitespace();
    let mut rest = identifier.trim_start();
    let mut names = Vec::with_capacity(2);
    loop {
        let (name, after) = match rest.chars().next() {
            None if names.is_empty() => break,
            None => return Err(invalid()),
            Some('.') => return Err("Unexpected input: .".to_owned()),
            Some(quote @ ('"' | '\'' | '`')) => quoted(rest, quote).ok_or_else(invalid)?,
            Some(_) => {
                let (name, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
                (name.to_owned(), after)
            }
        };
        let doubled = [("''", "'"), ("\"\"", "\""), ("``", "`")];
        names.push(
            doubled
                .iter()
                .fold(name, |name, (two, one)| name.replace(two, one)),
        );
        rest = after.trim_start();
        match rest.strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if rest.is_empty() => break,
            None => {
                let token = rest.split(ends).next().unwrap_or_default();
                return Err(format!("Unexpected input: {token}"));
            }
        }
    }
    Ok(names)
}

/// What stands between a quote and the next single one, and what follows that.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut chars = text.chars();
    chars.next();
    let mut inner = String::new();
    while let Some(character) = chars.next() {
        if character == quote {
            let after = chars.as_str();
            match after.strip_prefix(quote) {
                None => return Some((inner, after)),
                Some(more) => {
                    inner.push(quote);
                    chars = more.chars();
                }
            }
        }
        inner.push(character);
    }
    None
}

impl std::fmt::Display for TableId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// What the catalog, and in the stream the RELATION message, says about a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// The table's name.
    pub id: TableId,
    /// Its columns. In the stream: those of the RELATION message, in its order (generated columns
    /// are missing there). In a snapshot: all of the table's, in catalog order. A [`TupleRef`] of
    /// this table has as many cells, in this order.
    pub columns: Vec<ColumnInfo>,
    /// Names of the key's columns in key order: of the primary key, else of the first unique
    /// index without expressions; empty without either. `message.key.columns` goes before it.
    pub primary_key: Vec<String>,
    /// The table's comment.
    pub comment: Option<String>,
}

/// A column as catalog and stream describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// The column's name.
    pub name: String,
    /// Its type, resolved through arrays and domains.
    pub data_type: Arc<TypeInfo>,
    /// `atttypmod` of the column itself; -1 when there is none.
    pub type_modifier: i32,
    /// Whether the column may be null: `NOT attnotnull` (and not part of a primary key).
    pub optional: bool,
    /// The default's expression as `pg_get_expr` prints it, or that which generates the column;
    /// none for identity columns.
    pub default_expression: Option<String>,
    /// Whether the column is `GENERATED ALWAYS AS (...) STORED`.
    pub generated: bool,
    /// The column's comment.
    pub comment: Option<String>,
}

/// A row of `pg_type` with what it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeInfo {
    /// The type's object id. Those of built-in types never change between servers.
    pub oid: u32,
    /// `typname`, for instance `int4`, `_text`, `mood`.
    pub name: String,
    /// The schema of the type.
    pub schema: String,
    /// What sort of type it is.
    pub kind: TypeKind,
}

/// The sorts of types, with what each refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeKind {
    /// A base type: its name says what it is.
    Base,
    /// An enumeration and its labels in `enumsortorder`.
    Enum(Vec<String>),
    /// An array of another type (`typcategory` A with an element type).
    Array(Arc<TypeInfo>),
    /// A domain over another type, and the domain's own type modifier (-1: none).
    Domain(Arc<TypeInfo>, i32),
    /// A row type.
    Composite,
    /// A range type.
    Range,
    /// A multirange type.
    Multirange,
    /// A pseudo type.
    Pseudo,
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A row was inserted: `c`.
    Create,
    /// A row was read by a snapshot: `r`.
    Read,
    /// A row was changed: `u`.
    Update,
    /// A row was deleted: `d`.
    Delete,
    /// A table was emptied: `t`.
    Truncate,
    /// A logical decoding message: `m`.
    Message,
}

impl Operation {
    /// The code in the envelope's `op` field.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Read => "r",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Truncate => "t",
            Self::Message => "m",
        }
    }
}

/// A record's place in its snapshot: the `snapshot` field of the source block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SnapshotMarker {
    /// Streamed, not of a snapshot: `false`.
    False,
    /// Any other row of a snapshot: `true`.
    True,
    /// The first row of the snapshot.
    First,
    /// The first row of a table.
    FirstInDataCollection,
    /// The last row of a table.
    LastInDataCollection,
    /// The last row of the snapshot.
    Last,
    /// A row of an incremental snapshot.
    Incremental,
}

impl SnapshotMarker {
    /// The text in the source block.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::False => "false",
            Self::True => "true",
            Self::First => "first",
            Self::FirstInDataCollection => "first_in_data_collection",
            Self::LastInDataCollection => "last_in_data_collection",
            Self::Last => "last",
            Self::Incremental => "incremental",
        }
    }
}

/// Where a change stood in the log: what the source block says besides the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Position of the change in the write-ahead log.
    pub lsn: Option<u64>,
    /// End of the last transaction seen to commit; the first half of `sequence`.
    pub last_commit_lsn: Option<u64>,
    /// The transaction's id.
    pub tx_id: Option<i64>,
    /// Commit time in microseconds since 1970 (in a snapshot: the table's read time).
    pub ts_us: i64,
    /// The slot's `catalog_xmin` where it is fetched.
    pub xmin: Option<i64>,
    /// The replication origin of the transaction.
    pub origin: Option<bytestring::ByteString>,
    /// The origin's own position.
    pub origin_lsn: Option<u64>,
}

/// Which way a row came. Debezium's values differ between the two in a few places
/// (`name` columns, infinite and BC dates).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Read by a snapshot.
    Snapshot,
    /// Decoded from the log.
    Stream,
}

impl Phase {
    /// Which way the rows of an operation come.
    #[must_use]
    pub fn of(operation: Operation) -> Self {
        match operation {
            Operation::Read => Self::Snapshot,
            _ => Self::Stream,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_are_read_in_quotes_and_without() {
        let parse = |text| TableId::parse(text).map(|id| (id.schema, id.table));
        for (text, schema, table) in [
            ("public.orders", "public", "orders"),
            (" public . orders ", "public", "orders"),
            (r#"public."We Ird""#, "public", "We Ird"),
            (r#""a.b"."c""d""#, "a.b", "c\"d"),
            ("'s'.`t``u`", "s", "t`u"),
        ] {
            let expected = Some((schema.to_owned(), table.to_owned()));
            assert_eq!(parse(text), expected, "{text}");
        }
        for text in [
            "",
            "orders",
            ".orders",
            "public.",
            "a.b.c",
            "public.We Ird",
            "a.\"b",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
