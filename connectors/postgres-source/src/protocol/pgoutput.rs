//! The messages of the `pgoutput` plugin, protocol version 1, text mode: bytes in, messages out.
//!
//! Pure: no I/O, no clock, and no input makes it panic. It allocates only for RELATION, TYPE,
//! ORIGIN and MESSAGE; the cells of rows go into buffers that the caller keeps. Answers for
//! Debezium's `PgOutputMessageDecoder`.

use bytestring::ByteString;

use crate::change::Cell;

/// Microseconds between 1970-01-01 and 2000-01-01, where Postgres counts from.
pub const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// How much of the old row a table's updates and deletes carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// The primary key.
    Default,
    /// Nothing.
    Nothing,
    /// The whole row.
    Full,
    /// The columns of one index.
    Index,
}

/// One column of a RELATION message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationColumn {
    /// Whether it belongs to the replica identity.
    pub key: bool,
    /// The column's name.
    pub name: String,
    /// Its type's object id.
    pub type_oid: u32,
    /// Its `atttypmod`.
    pub type_modifier: i32,
}

/// A RELATION message: the shape of the rows that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The id by which rows refer to it.
    pub id: u32,
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// Its replica identity.
    pub replica_identity: ReplicaIdentity,
    /// The published columns.
    pub columns: Vec<RelationColumn>,
}

/// Which old row came with an update or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldTuple {
    /// None.
    None,
    /// The replica identity's columns; the others read as null.
    Key,
    /// The whole row.
    Full,
}

/// A message of the stream. Rows lie in the [`Cells`] given to [`decode`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A transaction starts.
    Begin {
        /// Where its commit record starts.
        final_lsn: u64,
        /// Its commit time, microseconds since 1970.
        commit_ts_us: i64,
        /// Its id.
        xid: u32,
    },
    /// A transaction ends.
    Commit {
        /// Where its commit record starts.
        commit_lsn: u64,
        /// Where its commit record ends.
        end_lsn: u64,
        /// Its commit time, microseconds since 1970.
        commit_ts_us: i64,
    },
    /// The transaction came from elsewhere.
    Origin {
        /// Commit position at the origin.
        lsn: u64,
        /// The origin's name.
        name: ByteString,
    },
    /// The shape of a table.
    Relation(Relation),
    /// A type that a table uses.
    Type {
        /// Its object id.
        oid: u32,
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
    },
    /// A row in `cells.new`.
    Insert {
        /// The table.
        relation_id: u32,
    },
    /// A row in `cells.new`, and by `old` another in `cells.old`.
    Update {
        /// The table.
        relation_id: u32,
        /// What `cells.old` holds.
        old: OldTuple,
    },
    /// By `old` a row in `cells.old`.
    Delete {
        /// The table.
        relation_id: u32,
        /// What `cells.old` holds.
        old: OldTuple,
    },
    /// Tables were emptied.
    Truncate {
        /// The tables.
        relation_ids: Vec<u32>,
    },
    /// What `pg_logical_emit_message` wrote.
    Logical {
        /// Whether it belongs to the open transaction.
        transactional: bool,
        /// Its own position.
        lsn: u64,
        /// Its prefix.
        prefix: String,
        /// Its content, as a range of the buffer.
        content: std::ops::Range<usize>,
    },
}

/// The rows of the last decoded message.
#[derive(Debug, Default)]
pub struct Cells {
    /// The old row.
    pub old: Vec<Cell>,
    /// The new row.
    pub new: Vec<Cell>,
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message ends too early.
    #[error("message ends inside {0}")]
    Truncated(&'static str),
    /// A byte that means nothing there.
    #[error("{what} is {byte:#04x}")]
    Unknown {
        /// What was being read.
        what: &'static str,
        /// The byte.
        byte: u8,
    },
    /// A name that is not UTF-8.
    #[error("{0} is not valid UTF-8")]
    NotUtf8(&'static str),
}

struct Reader<'a> {
    buffer: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let end = self
            .at
            .checked_add(count)
            .ok_or(DecodeError::Truncated(what))?;
        let taken = self
            .buffer
            .get(self.at..end)
            .ok_or(DecodeError::Truncated(what))?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let end = self.at.checked_add(N).ok_or(DecodeError::Truncated(what))?;
        let taken = self
            .buffer
            .get(self.at..end)
            .and_then(|bytes| bytes.first_chunk::<N>());
        self.at = end;
        taken.copied().ok_or(DecodeError::Truncated(what))
    }

    fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_be_bytes)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_be_bytes)
    }

    fn i32(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        self.array(what).map(i32::from_be_bytes)
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array(what).map(u64::from_be_bytes)
    }

    fn timestamp(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        self.array(what)
            .map(|bytes| i64::from_be_bytes(bytes).wrapping_add(POSTGRES_EPOCH_US))
    }

    fn text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let rest = self
            .buffer
            .get(self.at..)
            .ok_or(DecodeError::Truncated(what))?;
        let length = rest
            .iter()
            .position(|&byte| byte == 0)
            .ok_or(DecodeError::Truncated(what))?;
        let text = rest.get(..length).ok_or(DecodeError::Truncated(what))?;
        self.at += length + 1;
        std::str::from_utf8(text).map_err(|_not_utf8| DecodeError::NotUtf8(what))
    }

    fn tuple(&mut self, cells: &mut Vec<Cell>) -> Result<(), DecodeError> {
        let count = self.u16("the row's column count")?;
        cells.reserve(usize::from(count));
        for _ in 0..count {
            let cell = match self.u8("a column's kind")? {
                b'n' => Cell::Null,
                b'u' => Cell::Unchanged,
                b't' => {
                    let length = self.u32("a column's length")?;
                    let start = self.at;
                    self.take(length as usize, "a column's text")?;
                    // Frames are shorter than 2 GiB, so positions in a chunk fit; a buffer that
                    // breaks this is refused rather than wrapped.
                    let start =
                        u32::try_from(start).map_err(|_| DecodeError::Truncated("a chunk"))?;
                    let end =
                        u32::try_from(self.at).map_err(|_| DecodeError::Truncated("a chunk"))?;
                    Cell::Text(start..end)
                }
                byte => {
                    return Err(DecodeError::Unknown {
                        what: "a column's kind",
                        byte,
                    });
                }
            };
            cells.push(cell);
        }
        Ok(())
    }
}

/// Decodes the message that lies at `range` of `buffer`. Rows go into `cells`, as ranges of
/// `buffer`.
///
/// # Errors
/// Bytes that are no message.
pub fn decode(
    buffer: &[u8],
    range: std::ops::Range<usize>,
    cells: &mut Cells,
) -> Result<Message, DecodeError> {
    cells.old.clear();
    cells.new.clear();
    let buffer = buffer
        .get(..range.end)
        .ok_or(DecodeError::Truncated("the message"))?;
    let mut reader = Reader {
        buffer,
        at: range.start,
    };
    let message = match reader.u8("the message's type")? {
        b'I' => {
            let relation_id = reader.u32("the relation's id")?;
            match reader.u8("the row's kind")? {
                b'N' => reader.tuple(&mut cells.new)?,
                byte => {
                    return Err(DecodeError::Unknown {
                        what: "the row's kind",
                        byte,
                    });
                }
            }
            Message::Insert { relation_id }
        }
        b'U' => {
            let relation_id = reader.u32("the relation's id")?;
            let mut old = OldTuple::None;
            let mut kind = reader.u8("the row's kind")?;
            if kind == b'K' || kind == b'O' {
                old = if kind == b'K' {
                    OldTuple::Key
                } else {
                    OldTuple::Full
                };
                reader.tuple(&mut cells.old)?;
                kind = reader.u8("the row's kind")?;
            }
            if kind != b'N' {
                return Err(DecodeError::Unknown {
                    what: "the row's kind",
                    byte: kind,
                });
            }
            reader.tuple(&mut cells.new)?;
            Message::Update { relation_id, old }
        }
        b'D' => {
            let relation_id = reader.u32("the relation's id")?;
            let old = match reader.u8("the row's kind")? {
                b'K' => OldTuple::Key,
                b'O' => OldTuple::Full,
                byte => {
                    return Err(DecodeError::Unknown {
                        what: "the row's kind",
                        byte,
                    });
                }
            };
            reader.tuple(&mut cells.old)?;
            Message::Delete { relation_id, old }
        }
        b'B' => Message::Begin {
            final_lsn: reader.u64("the final position")?,
            commit_ts_us: reader.timestamp("the commit time")?,
            xid: reader.u32("the transaction's id")?,
        },
        b'C' => {
            reader.u8("the commit's flags")?;
            Message::Commit {
                commit_lsn: reader.u64("the commit's position")?,
                end_lsn: reader.u64("the commit's end")?,
                commit_ts_us: reader.timestamp("the commit time")?,
            }
        }
        b'R' => Message::Relation(relation(&mut reader)?),
        b'Y' => Message::Type {
            oid: reader.u32("the type's id")?,
            schema: schema_name(reader.text("the type's schema")?),
            name: reader.text("the type's name")?.to_owned(),
        },
        b'O' => Message::Origin {
            lsn: reader.u64("the origin's position")?,
            name: ByteString::from(reader.text("the origin's name")?),
        },
        b'T' => {
            let count = reader.u32("the table count")?;
            reader.u8("the truncate's flags")?;
            let mut relation_ids = Vec::new();
            for _ in 0..count {
                relation_ids.push(reader.u32("a relation's id")?);
            }
            Message::Truncate { relation_ids }
        }
        b'M' => {
            let transactional = reader.u8("the message's flags")? & 1 == 1;
            let lsn = reader.u64("the message's position")?;
            let prefix = reader.text("the message's prefix")?.to_owned();
            let length = reader.u32("the content's length")? as usize;
            let start = reader.at;
            reader.take(length, "the content")?;
            Message::Logical {
                transactional,
                lsn,
                prefix,
                content: start..reader.at,
            }
        }
        byte => {
            return Err(DecodeError::Unknown {
                what: "the message's type",
                byte,
            });
        }
    };
    Ok(message)
}

/// `pg_catalog` is sent as an empty name.
fn schema_name(sent: &str) -> String {
    if sent.is_empty() {
        "pg_catalog".to_owned()
    } else {
        sent.to_owned()
    }
}

fn relation(reader: &mut Reader<'_>) -> Result<Relation, DecodeError> {
    let id = reader.u32("the relation's id")?;
    let schema = schema_name(reader.text("the relation's schema")?);
    let table = reader.text("the relation's name")?.to_owned();
    let replica_identity = match reader.u8("the replica identity")? {
        b'd' => ReplicaIdentity::Default,
        b'n' => ReplicaIdentity::Nothing,
        b'f' => ReplicaIdentity::Full,
        b'i' => ReplicaIdentity::Index,
        byte => {
            return Err(DecodeError::Unknown {
                what: "the replica identity",
                byte,
            });
        }
    };
    let count = reader.u16("the column count")?;
    let mut columns = Vec::new();
    for _ in 0..count {
        columns.push(RelationColumn {
            key: reader.u8("the column's flags")? & 1 == 1,
            name: reader.text("the column's name")?.to_owned(),
            type_oid: reader.u32("the column's type")?,
            type_modifier: reader.i32("the column's modifier")?,
        });
    }
    Ok(Relation {
        id,
        schema,
        table,
        replica_identity,
        columns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert() -> Vec<u8> {
        let mut bytes = vec![
            b'I', 0, 0, 0x40, 1, b'N', 0, 3, b'n', b'u', b't', 0, 0, 0, 2,
        ];
        bytes.extend_from_slice(b"42");
        bytes
    }

    #[test]
    fn an_insert_points_into_its_buffer() {
        let mut buffer = b"before".to_vec();
        buffer.extend(insert());
        let mut cells = Cells::default();
        let message = decode(&buffer, 6..buffer.len(), &mut cells).unwrap();
        assert_eq!(
            message,
            Message::Insert {
                relation_id: 0x4001
            }
        );
        let end = u32::try_from(buffer.len()).unwrap();
        assert_eq!(
            cells.new,
            [Cell::Null, Cell::Unchanged, Cell::Text(end - 2..end)]
        );
    }

    #[test]
    fn a_key_update_carries_both_rows() {
        let mut bytes = vec![b'U', 0, 0, 0, 7, b'K', 0, 1, b't', 0, 0, 0, 1, b'1'];
        bytes.extend_from_slice(&[b'N', 0, 1, b't', 0, 0, 0, 1, b'2']);
        let mut cells = Cells::default();
        let message = decode(&bytes, 0..bytes.len(), &mut cells).unwrap();
        assert_eq!(
            message,
            Message::Update {
                relation_id: 7,
                old: OldTuple::Key
            }
        );
        assert_eq!((cells.old.len(), cells.new.len()), (1, 1));
    }

    #[test]
    fn a_commit_counts_time_from_1970() {
        let mut bytes = vec![b'C', 0];
        bytes.extend_from_slice(&1_u64.to_be_bytes());
        bytes.extend_from_slice(&2_u64.to_be_bytes());
        bytes.extend_from_slice(&0_i64.to_be_bytes());
        let message = decode(&bytes, 0..bytes.len(), &mut Cells::default()).unwrap();
        let commit_ts_us = POSTGRES_EPOCH_US;
        assert_eq!(
            message,
            Message::Commit {
                commit_lsn: 1,
                end_lsn: 2,
                commit_ts_us
            }
        );
    }

    #[test]
    fn no_prefix_of_a_message_and_no_flipped_byte_panics() {
        let mut relation = vec![b'R', 0, 0, 0, 1];
        relation.extend_from_slice(b"public\0t\0d\0\x01\x01id\0\0\0\0\x17\xff\xff\xff\xff");
        for whole in [insert(), relation] {
            let mut cells = Cells::default();
            for end in 0..whole.len() {
                let _either = decode(&whole, 0..end, &mut cells);
            }
            for index in 0..whole.len() {
                for byte in 0..=255 {
                    let mut changed = whole.clone();
                    changed[index] = byte;
                    let _either = decode(&changed, 0..changed.len(), &mut cells);
                }
            }
        }
        assert!(decode(b"abc", 5..9, &mut Cells::default()).is_err());
    }
}
