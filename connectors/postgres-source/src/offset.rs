//! Debezium's offset: what a record carries and what is stored under `{"server": "<prefix>"}`.
//!
//! A few numbers while it rides on a record; a map only when it is stored. It decides nothing:
//! what a stored offset means for a stream is `resume`'s. Answers for `PostgresOffsetContext`.

use std::fmt;
use std::sync::Arc;

use connect_api::ByteString;
use connect_api::data::Value;
use connect_api::record::{OffsetMap, SourceOffset, SourcePartition};

use crate::error::PgError;
use crate::lineage::Lineage;
use crate::signal::incremental::{self, Progress};
use crate::snapshot::progress::{self, Progress as SnapshotProgress};

/// What kind of message an offset was taken after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// A row was inserted.
    Insert,
    /// A row was changed.
    Update,
    /// A row was deleted.
    Delete,
    /// A table was emptied.
    Truncate,
    /// A logical decoding message.
    Message,
    /// A transaction began.
    Begin,
    /// A transaction was committed.
    Commit,
    /// Nothing of interest.
    Noop,
    /// The origin of a transaction.
    Origin,
}

impl MessageType {
    const ALL: [Self; 9] = [
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Truncate,
        Self::Message,
        Self::Begin,
        Self::Commit,
        Self::Noop,
        Self::Origin,
    ];

    /// The text in the offset.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
            Self::Message => "MESSAGE",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Noop => "NOOP",
            Self::Origin => "ORIGIN",
        }
    }

    fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.text() == text)
    }
}

/// The kinds of snapshot that an offset can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SnapshotKind {
    /// The one at the start.
    Initial,
    /// One that was asked for while streaming stood still.
    Blocking,
    /// One that runs along with streaming.
    Incremental,
}

impl SnapshotKind {
    /// The text in the offset.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Initial => "INITIAL",
            Self::Blocking => "BLOCKING",
            Self::Incremental => "INCREMENTAL",
        }
    }
}

/// A position in the log, and in a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offset {
    /// Of the last record's message.
    pub lsn: Option<u64>,
    /// Of the last message that was done completely.
    pub lsn_proc: Option<u64>,
    /// Where the last commit ended.
    pub lsn_commit: Option<u64>,
    /// How many changes at exactly `lsn_proc` were done.
    pub lsn_events_processed: u64,
    /// What the last message was.
    pub message_type: Option<MessageType>,
    /// The transaction.
    pub tx_id: Option<i64>,
    /// The slot's `catalog_xmin`, where it is fetched.
    pub xmin: Option<i64>,
    /// The source's time, microseconds since 1970.
    pub ts_us: Option<i64>,
    /// The snapshot that is under way.
    pub snapshot: Option<SnapshotKind>,
    /// Whether this is the snapshot's last record.
    pub last_snapshot_record: bool,
    /// Whether the snapshot is complete.
    pub snapshot_completed: bool,
    /// The server that the position is of; ours, Debezium passes it over.
    pub server: Option<Lineage>,
    /// How far an incremental snapshot has come.
    pub incremental: Option<Arc<Progress>>,
    /// How far a snapshot has come that may go on after an interruption.
    pub snapshot_progress: Option<Arc<SnapshotProgress>>,
    /// What transaction metadata has stored; kept as it is.
    pub extra: Option<Arc<OffsetMap>>,
}

/// Keys that [`Offset`] has fields for.
mod key {
    pub(super) const LSN: &str = "lsn";
    pub(super) const LSN_PROC: &str = "lsn_proc";
    pub(super) const LSN_COMMIT: &str = "lsn_commit";
    pub(super) const EVENTS: &str = "lsn_events_processed";
    pub(super) const MESSAGE_TYPE: &str = "messageType";
    pub(super) const TX_ID: &str = "txId";
    pub(super) const XMIN: &str = "xmin";
    pub(super) const TS: &str = "ts_usec";
    pub(super) const SNAPSHOT: &str = "snapshot";
    pub(super) const LAST: &str = "last_snapshot_record";
    pub(super) const COMPLETED: &str = "snapshot_completed";
    pub(super) const SYSTEM: &str = "server_system_id";
    pub(super) const TIMELINE: &str = "server_timeline";
    pub(super) const ALL: [&str; 13] = [
        LSN,
        LSN_PROC,
        LSN_COMMIT,
        EVENTS,
        MESSAGE_TYPE,
        TX_ID,
        XMIN,
        TS,
        SNAPSHOT,
        LAST,
        COMPLETED,
        SYSTEM,
        TIMELINE,
    ];
}

/// The source partition of a connector with this prefix.
#[must_use]
pub fn partition(topic_prefix: &str) -> SourcePartition {
    OffsetMap::from_iter([(ByteString::from_static("server"), Value::from(topic_prefix))])
}

impl Offset {
    /// The offset of a snapshot that begins at this position.
    #[must_use]
    pub fn for_snapshot(lsn: u64, tx_id: i64) -> Self {
        Self {
            lsn: Some(lsn),
            tx_id: Some(tx_id),
            snapshot: Some(SnapshotKind::Initial),
            ..Self::default()
        }
    }

    /// Reads a stored offset, also those of older Debezium versions, whose `snapshot` is a boolean.
    ///
    /// # Errors
    /// A position that is no number.
    pub fn load(map: &OffsetMap) -> Result<Self, PgError> {
        let unsigned = |name: &str| -> Result<Option<u64>, PgError> {
            Ok(number(map, name)?.map(|number| u64::from_ne_bytes(number.to_ne_bytes())))
        };
        let text = |name: &str| map.get(name).and_then(Value::as_str);
        let flag = |name: &str| matches!(map.get(name), Some(Value::Boolean(true)));
        let lsn_proc = unsigned(key::LSN_PROC)?;
        let completed = flag(key::COMPLETED) || flag(key::LAST);
        let kind = match map.get(key::SNAPSHOT) {
            Some(Value::Boolean(true)) => Some(SnapshotKind::Initial),
            Some(Value::String(kind)) => Some(match &**kind {
                "BLOCKING" => SnapshotKind::Blocking,
                "INCREMENTAL" => SnapshotKind::Incremental,
                _ => SnapshotKind::Initial,
            }),
            _ => None,
        };
        let incremental = Progress::load(map).map(Arc::new);
        let kind = kind.filter(|_| !completed);
        let snapshot_progress = SnapshotProgress::load(map)
            .filter(|_| kind == Some(SnapshotKind::Initial))
            .map(Arc::new);
        let mut extra = OffsetMap::new();
        for (name, value) in map.iter() {
            let is_progress = &**name == progress::KEY
                || incremental.is_some() && name.starts_with(incremental::PREFIX);
            if !key::ALL.contains(&&**name) && !is_progress {
                extra.insert(name.clone(), value.clone());
            }
        }
        Ok(Self {
            lsn: unsigned(key::LSN)?,
            lsn_proc,
            lsn_commit: unsigned(key::LSN_COMMIT)?.or(lsn_proc),
            lsn_events_processed: unsigned(key::EVENTS)?.unwrap_or_default(),
            message_type: text(key::MESSAGE_TYPE).and_then(MessageType::of),
            tx_id: number(map, key::TX_ID)?,
            xmin: number(map, key::XMIN)?,
            ts_us: number(map, key::TS)?,
            snapshot: kind,
            last_snapshot_record: false,
            snapshot_completed: false,
            server: lineage(map),
            incremental,
            snapshot_progress,
            extra: (!extra.is_empty()).then(|| Arc::new(extra)),
        })
    }

    /// Whether a snapshot was begun and not finished.
    #[must_use]
    pub fn snapshot_in_progress(&self) -> bool {
        matches!(
            self.snapshot,
            Some(SnapshotKind::Initial | SnapshotKind::Blocking)
        ) && !self.snapshot_completed
    }

    /// Marks the last record of a snapshot.
    pub fn mark_last(&mut self) {
        self.last_snapshot_record = true;
        self.snapshot_completed = true;
        self.snapshot_progress = None;
    }

    /// From here on it is the stream's.
    pub fn leave_snapshot(&mut self) {
        self.snapshot = None;
        self.snapshot_progress = None;
        self.last_snapshot_record = false;
        self.snapshot_completed = false;
    }
}

/// The server that the offset is of, where a worker of ours said so and the keys are whole.
fn lineage(map: &OffsetMap) -> Option<Lineage> {
    let system = map.get(key::SYSTEM)?.as_str()?.parse().ok()?;
    let timeline = map.get(key::TIMELINE).and_then(Value::as_i64);
    let timeline = timeline.and_then(|timeline| u32::try_from(timeline).ok());
    Some(Lineage { system, timeline })
}

fn number(map: &OffsetMap, name: &str) -> Result<Option<i64>, PgError> {
    #[expect(clippy::cast_possible_truncation, reason = "as Number.longValue")]
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Float64(number)) => Ok(Some(*number as i64)),
        Some(Value::Float32(number)) => Ok(Some(*number as i64)),
        Some(value) => value.as_i64().map(Some).ok_or_else(|| {
            let class = value.java_class().unwrap_or_default();
            PgError::Fatal(format!(
                "class {class} cannot be cast to class java.lang.Number (offset key '{name}')"
            ))
        }),
    }
}

impl SourceOffset for Offset {
    fn to_map(&self) -> OffsetMap {
        let mut map = OffsetMap::new();
        let mut put = |name: &'static str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(ByteString::from_static(name), value);
            }
        };
        let signed = |number: u64| Value::Int64(i64::from_ne_bytes(number.to_ne_bytes()));
        put(key::TS, self.ts_us.map(Value::Int64));
        put(key::TX_ID, self.tx_id.map(Value::Int64));
        put(key::LSN, self.lsn.map(signed));
        put(key::XMIN, self.xmin.map(Value::Int64));
        put(key::LSN_PROC, self.lsn_proc.map(signed));
        put(key::LSN_COMMIT, self.lsn_commit.map(signed));
        let events = Some(self.lsn_events_processed).filter(|events| *events > 0);
        put(key::EVENTS, events.map(signed));
        put(
            key::MESSAGE_TYPE,
            self.message_type.map(|kind| Value::text(kind.text())),
        );
        if let Some(kind) = self.snapshot {
            put(key::SNAPSHOT, Some(Value::text(kind.text())));
            put(key::LAST, Some(Value::Boolean(self.last_snapshot_record)));
            put(
                key::COMPLETED,
                Some(Value::Boolean(self.snapshot_completed)),
            );
        }
        if let Some(server) = self.server {
            // Text, for the number has more digits than JavaScript's.
            put(key::SYSTEM, Some(Value::from(server.system.to_string())));
            let timeline = server.timeline.map(i64::from);
            put(key::TIMELINE, timeline.map(Value::Int64));
        }
        if let Some(progress) = &self.incremental {
            progress.store(&mut map);
        }
        if let Some(progress) = &self.snapshot_progress {
            progress.store(&mut map);
        }
        for (name, value) in self.extra.iter().flat_map(|extra| extra.iter()) {
            map.insert(name.clone(), value.clone());
        }
        map
    }
}

impl fmt::Display for Offset {
    /// As Java prints the map: `{lsn_proc=1, messageType=INSERT, ...}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.to_map().iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match value {
                Value::String(text) => write!(f, "{name}={text}")?,
                Value::Boolean(flag) => write!(f, "{name}={flag}")?,
                other => write!(f, "{name}={}", other.as_i64().unwrap_or_default())?,
            }
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streamed() -> Offset {
        Offset {
            lsn: Some(42_586_384),
            lsn_proc: Some(42_586_384),
            lsn_commit: Some(42_586_384),
            lsn_events_processed: 1,
            message_type: Some(MessageType::Delete),
            tx_id: Some(875),
            ts_us: Some(1_795_253_591_525_384),
            ..Offset::default()
        }
    }

    #[test]
    fn it_prints_as_debezium_prints_it() {
        assert_eq!(
            streamed().to_string(),
            "{lsn_proc=42586384, lsn_events_processed=1, messageType=DELETE, lsn_commit=42586384, \
             lsn=42586384, txId=875, ts_usec=1795253591525384}"
        );
    }

    #[test]
    fn what_is_stored_is_read_back() {
        assert_eq!(Offset::load(&streamed().to_map()).unwrap(), streamed());
        let running = Offset {
            ts_us: Some(5),
            ..Offset::for_snapshot(7, 3)
        };
        let loaded = Offset::load(&running.to_map()).unwrap();
        assert_eq!(loaded, running);
        assert!(loaded.snapshot_in_progress());
    }

    #[test]
    fn the_server_is_kept_and_a_timeline_alone_is_none() {
        let offset = Offset {
            server: Some(Lineage {
                system: 7_500_000_000_000_000_001,
                timeline: Some(2),
            }),
            ..streamed()
        };
        let map = offset.to_map();
        assert_eq!(
            map.get("server_system_id"),
            Some(&Value::text("7500000000000000001"))
        );
        assert_eq!(Offset::load(&map).unwrap(), offset);
        let mut half = streamed().to_map();
        half.insert(ByteString::from_static("server_timeline"), Value::Int64(2));
        assert_eq!(Offset::load(&half).unwrap(), streamed());
    }

    #[test]
    fn a_finished_snapshot_is_none() {
        let mut offset = Offset::for_snapshot(7, 3);
        offset.mark_last();
        let map = offset.to_map();
        assert_eq!(map.get("snapshot_completed"), Some(&Value::Boolean(true)));
        let loaded = Offset::load(&map).unwrap();
        assert!(!loaded.snapshot_in_progress());
        assert_eq!(loaded.to_map().get("snapshot"), None);
    }

    fn stored(entries: &[(&'static str, Value)]) -> OffsetMap {
        OffsetMap::from_iter(
            entries
                .iter()
                .map(|(name, value)| (ByteString::from_static(name), value.clone())),
        )
    }

    #[test]
    fn offsets_of_older_versions_are_read() {
        let old = stored(&[
            ("lsn", Value::Int32(24_023_128)),
            ("txId", Value::Int32(564)),
            ("ts_usec", Value::Int64(1_559_033_904_863_000)),
            ("snapshot", Value::Boolean(true)),
            ("last_snapshot_record", Value::Boolean(false)),
        ]);
        let loaded = Offset::load(&old).unwrap();
        assert!(loaded.snapshot_in_progress());
        assert_eq!(
            (loaded.lsn, loaded.lsn_proc, loaded.lsn_commit),
            (Some(24_023_128), None, None)
        );
        let loaded = Offset::load(&stored(&[("lsn_proc", Value::Int64(9))])).unwrap();
        assert_eq!(loaded.lsn_commit, Some(9));
    }

    #[test]
    fn keys_of_incremental_snapshots_are_kept() {
        let entries = [
            ("lsn", Value::Int64(9)),
            ("incremental_snapshot_primary_key", Value::text("aced0005")),
        ];
        let loaded = Offset::load(&stored(&entries)).unwrap();
        assert_eq!(loaded.to_map(), stored(&entries));
    }

    #[test]
    fn a_text_for_a_number_is_an_error() {
        let error = Offset::load(&stored(&[("lsn", Value::text("9"))])).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("class java.lang.String cannot be cast to class java.lang.Number")
        );
    }
}
