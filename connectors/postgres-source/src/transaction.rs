//! `provide.transaction.metadata`: records that mark where transactions begin and end, and the
//! place of each event in its transaction.
//!
//! Counts, and knows no rows. Answers for `TransactionMonitor` and `TransactionContext`, whose quirk
//! it keeps: an id is transaction and position, so that begin, events and end never share one.

use std::cell::RefCell;
use std::sync::Arc;

use connect_api::ByteString;
use connect_api::data::{Schema, SchemaAndValue, SchemaRef, Struct, Value};
use connect_api::record::{OffsetMap, Record, SourceOffset, SourcePartition, SourceRecord};

use connect_api::java::HashMap;

use crate::change::Position;

/// The offset's key of the open transaction.
const TRANSACTION_ID: &str = "transaction_id";
/// Begins the offset's keys that count a table's events.
const ORDER_PREFIX: &str = "transaction_data_collection_order_";

/// Counts the events of the open transaction.
#[derive(Debug)]
pub struct TransactionMonitor {
    topic: ByteString,
    key_schema: SchemaRef,
    value_schema: SchemaRef,
    collections_schema: SchemaRef,
    open: RefCell<Option<Open>>,
}

#[derive(Clone, Debug, Default)]
struct Open {
    id: String,
    events: i64,
    /// By table, in the JVM's order.
    collections: HashMap<String, i64>,
}

impl TransactionMonitor {
    /// A monitor whose records go to `topic`; it goes on with what a stored offset had counted.
    #[must_use]
    pub fn new(topic: &str, stored: Option<&OffsetMap>) -> Self {
        let text = Schema::string().build();
        let count = Schema::int64().build();
        let collection = Schema::structure()
            .name("event.collection")
            .version(1)
            .optional()
            .field("data_collection", Arc::clone(&text))
            .field("event_count", Arc::clone(&count))
            .build();
        let collections_schema = Schema::array(Arc::clone(&collection)).optional().build();
        let key_schema = Schema::structure()
            .name("io.debezium.connector.common.TransactionMetadataKey")
            .version(1)
            .field("id", Arc::clone(&text))
            .build();
        let value_schema = Schema::structure()
            .name("io.debezium.connector.common.TransactionMetadataValue")
            .version(1)
            .field("status", Arc::clone(&text))
            .field("id", text)
            .field("event_count", Schema::int64().optional().build())
            .field("data_collections", Arc::clone(&collections_schema))
            .field("ts_ms", count)
            .build();
        let topic = ByteString::from(topic);
        let open = RefCell::new(stored.and_then(restore));
        Self {
            topic,
            key_schema,
            value_schema,
            collections_schema,
            open,
        }
    }

    /// A transaction begins.
    pub fn begin(&self, position: &Position) {
        let id = position.tx_id.unwrap_or_default().to_string();
        self.open.replace(Some(Open {
            id,
            ..Open::default()
        }));
    }

    /// Opens the transaction of `position`, unless one is open: a restart may begin inside.
    pub fn ensure_open(&self, position: &Position) {
        if self.open.borrow().is_none() {
            self.begin(position);
        }
    }

    /// The `transaction` block of the next event, which is one of `collection`.
    #[must_use]
    pub fn event(&self, schema: &SchemaRef, collection: &str, position: &Position) -> Value {
        if position.tx_id.is_none() {
            return Value::Null;
        }
        self.ensure_open(position);
        let mut open = self.open.borrow_mut();
        let Some(open) = open.as_mut() else {
            return Value::Null;
        };
        open.events += 1;
        let order = match open.collections.get_mut(collection) {
            Some(count) => {
                *count += 1;
                *count
            }
            None => {
                open.collections.insert(collection.to_owned(), 1);
                1
            }
        };
        let id = Value::from(id_at(&open.id, position.lsn));
        let values = vec![id, Value::Int64(open.events), Value::Int64(order)];
        Value::Struct(Struct::new(Arc::clone(schema), values))
    }

    /// What the offset says of the open transaction.
    #[must_use]
    pub fn offset(&self) -> Option<Arc<OffsetMap>> {
        let open = self.open.borrow();
        let open = open.as_ref()?;
        let mut map = OffsetMap::new();
        map.insert(
            ByteString::from_static(TRANSACTION_ID),
            Value::from(open.id.as_str()),
        );
        for (collection, count) in open.collections.iter() {
            let key = ByteString::from(format!("{ORDER_PREFIX}{collection}"));
            map.insert(key, Value::Int64(*count));
        }
        Some(Arc::new(map))
    }

    /// The record of a transaction's begin.
    #[must_use]
    pub fn begin_record(
        &self,
        lsn: u64,
        ts_us: i64,
        partition: &Arc<SourcePartition>,
        offset: Arc<dyn SourceOffset>,
    ) -> SourceRecord {
        let counts = (Value::Null, Value::Null);
        self.record("BEGIN", lsn, counts, ts_us, partition, offset)
    }

    /// The record of its end; it is closed afterwards.
    #[must_use]
    pub fn end_record(
        &self,
        lsn: u64,
        ts_us: i64,
        partition: &Arc<SourcePartition>,
        offset: Arc<dyn SourceOffset>,
    ) -> SourceRecord {
        let open = self.open.borrow().clone().unwrap_or_default();
        let schema = self.collections_schema.value_schema();
        let collections = open.collections.iter().filter_map(|(name, &count)| {
            let values = vec![Value::from(name.as_str()), Value::Int64(count)];
            schema.map(|schema| Value::Struct(Struct::new(Arc::clone(schema), values)))
        });
        let counts = (
            Value::Int64(open.events),
            Value::Array(collections.collect()),
        );
        let record = self.record("END", lsn, counts, ts_us, partition, offset);
        self.open.replace(None);
        record
    }

    fn record(
        &self,
        status: &'static str,
        lsn: u64,
        (count, collections): (Value, Value),
        ts_us: i64,
        partition: &Arc<SourcePartition>,
        offset: Arc<dyn SourceOffset>,
    ) -> SourceRecord {
        let transaction = self
            .open
            .borrow()
            .as_ref()
            .map_or_else(String::new, |o| o.id.clone());
        let id = Value::from(id_at(&transaction, Some(lsn)));
        let key = Struct::new(Arc::clone(&self.key_schema), vec![id.clone()]);
        let ts_ms = Value::Int64(ts_us.div_euclid(1000));
        let values = vec![Value::text(status), id, count, collections, ts_ms];
        let value = Struct::new(Arc::clone(&self.value_schema), values);
        SourceRecord {
            record: Record {
                topic: self.topic.clone(),
                key: SchemaAndValue::new(Arc::clone(&self.key_schema), key),
                value: SchemaAndValue::new(Arc::clone(&self.value_schema), value),
                ..Record::default()
            },
            source_partition: Arc::clone(partition),
            source_offset: offset,
        }
    }
}

fn id_at(transaction: &str, lsn: Option<u64>) -> String {
    format!("{transaction}:{}", lsn.unwrap_or_default())
}

/// What a stored offset had counted of a transaction that was open.
fn restore(stored: &OffsetMap) -> Option<Open> {
    let id = stored.get(TRANSACTION_ID)?.as_str()?.to_owned();
    let collections: HashMap<String, i64> = stored
        .iter()
        .filter_map(|(key, value)| {
            Some((key.strip_prefix(ORDER_PREFIX)?.to_owned(), value.as_i64()?))
        })
        .collect();
    let events = collections.values().sum();
    Some(Open {
        id,
        events,
        collections,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_inside_a_transaction_goes_on_counting() {
        let monitor = TransactionMonitor::new("p.transaction", None);
        let position = Position {
            tx_id: Some(7),
            lsn: Some(100),
            ..Position::default()
        };
        let block = Schema::structure()
            .field("id", Schema::string().build())
            .field("total_order", Schema::int64().build())
            .field("data_collection_order", Schema::int64().build())
            .build();
        monitor.begin(&position);
        let _first = monitor.event(&block, "public.a", &position);
        let _second = monitor.event(&block, "public.b", &position);
        let stored = monitor.offset().unwrap();
        assert_eq!(stored.get(TRANSACTION_ID), Some(&Value::text("7")));

        let monitor = TransactionMonitor::new("p.transaction", Some(&stored));
        let Value::Struct(third) = monitor.event(&block, "public.b", &position) else {
            panic!("a block")
        };
        assert_eq!(
            third.values,
            [Value::text("7:100"), Value::Int64(3), Value::Int64(2)]
        );
    }

    #[test]
    fn outside_of_a_transaction_there_is_no_block() {
        let monitor = TransactionMonitor::new("p.transaction", None);
        let block = Schema::structure().build();
        assert_eq!(
            monitor.event(&block, "public.a", &Position::default()),
            Value::Null
        );
        assert_eq!(monitor.offset(), None);
    }
}
