//! What offsets say of an incremental snapshot, in Debezium's keys.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use connect_api::ByteString;
use connect_api::data::Value;
use connect_api::data::json::parse_schemaless;
use connect_api::record::OffsetMap;

use super::marks::json_text;
use crate::change::TableId;
use crate::signal::java::{KeyPart, deserialize, serialize};

/// Begins the offset's keys.
pub const PREFIX: &str = "incremental_snapshot_";
const COLLECTIONS: &str = "incremental_snapshot_collections";
const LAST_KEY: &str = "incremental_snapshot_primary_key";
const MAXIMUM_KEY: &str = "incremental_snapshot_maximum_key";
const CORRELATION: &str = "incremental_snapshot_correlation_id";
const TOTAL_ROWS: &str = "incremental_snapshot_total_rows";

/// A table to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Collection {
    pub(super) id: TableId,
    /// In parentheses.
    pub(super) condition: Option<String>,
    pub(super) surrogate_key: Option<String>,
    pub(super) correlation: Option<String>,
}

/// Takes out the tables that a stop asks for: their names in its order, that of the first, which is
/// being read, at the end, and whether that is one of them. If it stands there again it stays, as in
/// Debezium.
pub(super) fn take_out(
    collections: &mut VecDeque<Collection>,
    asked: &[(String, TableId)],
) -> (Vec<String>, bool) {
    let Some(current) = collections.front().map(|first| first.id.clone()) else {
        return (Vec::new(), false);
    };
    let mut gone = Vec::new();
    for (_, id) in asked.iter().filter(|(_, id)| *id != current) {
        let before = collections.len();
        collections.retain(|collection| collection.id != *id);
        if collections.len() < before {
            gone.push(id.to_string());
        }
    }
    let is_current = asked.iter().any(|(_, id)| *id == current);
    if is_current {
        collections.pop_front();
        gone.push(current.to_string());
    }
    (gone, is_current)
}

/// What offsets say of the incremental snapshot that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub(super) collections: Arc<str>,
    pub(super) correlation: Option<Arc<str>>,
    pub(super) maximum: Option<Arc<[KeyPart]>>,
    pub(super) last: Option<Arc<[KeyPart]>>,
    pub(super) total_rows: Option<u64>,
}

impl Progress {
    /// Reads it out of a stored offset; none where no snapshot runs.
    #[must_use]
    pub fn load(map: &OffsetMap) -> Option<Self> {
        let text = |key: &str| map.get(key).and_then(Value::as_str);
        let key = |name: &str| match text(name).map(deserialize) {
            Some(Ok(key)) => key.map(Arc::from),
            Some(Err(why)) => {
                tracing::warn!(
                    "the offset's {name} cannot be read ({why}): the incremental snapshot reads \
                     its table from the beginning"
                );
                None
            }
            None => None,
        };
        Some(Self {
            collections: text(COLLECTIONS)?.into(),
            correlation: text(CORRELATION).map(Arc::from),
            maximum: key(MAXIMUM_KEY),
            last: key(LAST_KEY),
            total_rows: text(TOTAL_ROWS).and_then(|rows| rows.parse().ok()),
        })
    }

    /// Writes it into an offset to be stored.
    pub fn store(&self, map: &mut OffsetMap) {
        let mut put = |key: &'static str, value: Value| {
            map.insert(ByteString::from_static(key), value);
        };
        put(LAST_KEY, Value::from(serialize(self.last.as_deref())));
        put(MAXIMUM_KEY, Value::from(serialize(self.maximum.as_deref())));
        put(COLLECTIONS, Value::from(&*self.collections));
        put(CORRELATION, Value::from(self.correlation.as_deref()));
        if let Some(rows) = self.total_rows {
            put(TOTAL_ROWS, Value::from(rows.to_string()));
        }
    }
}

/// Reads what [`TableId`]'s `Display` wrote.
fn parse_table(name: &str) -> Option<TableId> {
    let (schema, table) = name.trim().split_once('.')?;
    Some(TableId {
        schema: schema.to_owned(),
        table: table.to_owned(),
    })
}

pub(super) fn collections_json(collections: &VecDeque<Collection>) -> String {
    let value = |text: Option<&str>| text.map_or_else(|| "null".to_owned(), json_text);
    let items: Vec<String> = collections
        .iter()
        .map(|collection| {
            let id = collection.id.to_string();
            let parts = [
                ("id", Some(id.as_str())),
                ("additional_condition", collection.condition.as_deref()),
                ("surrogate_key", collection.surrogate_key.as_deref()),
                ("correlation_id", collection.correlation.as_deref()),
            ];
            let parts =
                parts.map(|(name, text)| format!("\"{COLLECTIONS}_{name}\":{}", value(text)));
            format!("{{{}}}", parts.join(","))
        })
        .collect();
    format!("[{}]", items.join(","))
}

pub(super) fn parse_collections(json: &str) -> VecDeque<Collection> {
    let parsed = parse_schemaless(&Bytes::copy_from_slice(json.as_bytes()));
    let Ok(Value::Array(items)) = parsed else {
        tracing::warn!("the offset's {COLLECTIONS} cannot be read: {json}");
        return VecDeque::new();
    };
    let collection = |item: &Value| {
        let map = item.as_map()?;
        let text = |name: &str| {
            let value = map.get_str(&format!("{COLLECTIONS}_{name}"))?.as_str()?;
            Some(value.to_owned()).filter(|text| !text.is_empty())
        };
        Some(Collection {
            id: parse_table(&text("id")?)?,
            condition: text("additional_condition"),
            surrogate_key: text("surrogate_key"),
            correlation: text("correlation_id"),
        })
    };
    items.iter().filter_map(collection).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(id: &str, condition: Option<&str>) -> Collection {
        Collection {
            id: parse_table(id).unwrap(),
            condition: condition.map(str::to_owned),
            surrogate_key: None,
            correlation: Some("s1".to_owned()),
        }
    }

    #[test]
    fn collections_are_stored_as_debezium_stores_them() {
        let collections = VecDeque::from([
            collection("public.a", None),
            collection("public.b", Some("(id > 3)")),
        ]);
        let json = r#"[{"incremental_snapshot_collections_id":"public.a","incremental_snapshot_collections_additional_condition":null,"incremental_snapshot_collections_surrogate_key":null,"incremental_snapshot_collections_correlation_id":"s1"},{"incremental_snapshot_collections_id":"public.b","incremental_snapshot_collections_additional_condition":"(id > 3)","incremental_snapshot_collections_surrogate_key":null,"incremental_snapshot_collections_correlation_id":"s1"}]"#;
        assert_eq!(collections_json(&collections), json);
        assert_eq!(parse_collections(json), collections);
    }

    #[test]
    fn progress_survives_being_stored() {
        let progress = Progress {
            collections: collections_json(&VecDeque::from([collection("public.a", None)])).into(),
            correlation: Some("s1".into()),
            maximum: Some([KeyPart::Integer(4000), KeyPart::Text("k".to_owned())].into()),
            last: Some([KeyPart::Integer(92), KeyPart::Text("j".to_owned())].into()),
            total_rows: Some(4000),
        };
        let mut map = OffsetMap::new();
        progress.store(&mut map);
        assert_eq!(map.get(TOTAL_ROWS), Some(&Value::text("4000")));
        assert_eq!(Progress::load(&map), Some(progress));
        assert_eq!(Progress::load(&OffsetMap::new()), None);
    }

    #[test]
    fn a_stop_takes_tables_out_the_current_one_last() {
        let id = |name: &str| TableId {
            schema: "s".to_owned(),
            table: name.to_owned(),
        };
        let collection = |name: &str| Collection {
            id: id(name),
            condition: None,
            surrogate_key: None,
            correlation: None,
        };
        let mut all: VecDeque<Collection> = ["a", "b", "c", "a", "b"].map(collection).into();
        let asked = ["a", "b", "x"].map(|name| (String::new(), id(name)));
        let (gone, current) = take_out(&mut all, &asked);
        assert_eq!(gone, ["s.b", "s.a"]);
        assert!(current);
        let left: Vec<&str> = all.iter().map(|left| left.id.table.as_str()).collect();
        assert_eq!(left, ["c", "a"]);
        assert_eq!(take_out(&mut all, &asked[1..]), (Vec::new(), false));
    }
}
