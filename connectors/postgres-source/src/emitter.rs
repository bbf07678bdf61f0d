//! One change becomes its records: the event, its tombstone, both halves of a changed key.
//!
//! Snapshot and stream come through here alike. It decides which records a change makes and which
//! offset each carries; schemas, values and the source block come from [`TablePlan`] and
//! [`EnvelopeFactory`]. Answers for `RelationalChangeRecordEmitter` and `EventDispatcher`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use connect_api::data::json::JsonOptions;
use connect_api::data::{Header, Headers, SchemaAndValue, Struct, Value};
use connect_api::record::{Record, SourceOffset, SourcePartition, SourceRecord};

use crate::change::{
    ColumnValue, Operation, Phase, Position, SnapshotMarker, TableInfo, TupleRef, TypeInfo,
    TypeKind,
};
use crate::config::PostgresConfig;
use crate::envelope::EnvelopeFactory;
use crate::error::PgError;
use crate::event_text::{EventText, Printer};
use crate::table::TablePlan;
use crate::transaction::TransactionMonitor;

/// Header on the first half of a changed key: the key that replaces it.
const NEW_KEY_HEADER: &str = "__debezium.newkey";
/// Header on the second half of a changed key: the key that it replaces.
const OLD_KEY_HEADER: &str = "__debezium.oldkey";

/// As what transaction metadata counts logical decoding messages: the name of a Java object whose
/// hash differs from run to run.
const MESSAGE_COLLECTION: &str =
    "io.debezium.connector.postgresql.LogicalDecodingMessageMonitor$LogicalDecodingMessageId@0";

/// A captured table: what it looks like and how its rows become values.
#[derive(Debug)]
pub struct Table {
    /// Its description.
    pub info: TableInfo,
    /// Its schemas and decoders.
    pub plan: TablePlan,
    /// Its columns of an enumeration or a domain of one, by place.
    enums: Vec<(usize, Arc<TypeInfo>)>,
    /// Old rows hold the columns of an index, and the key has others.
    identity_lacks_key: bool,
    /// How many deletes had no key for that reason.
    keyless_deletes: AtomicU64,
    /// How its events are printed, once it is asked for.
    text: OnceLock<Option<EventText>>,
}

impl Table {
    /// A table and how its rows become values.
    ///
    /// # Errors
    /// It cannot be captured as it is.
    pub fn new(info: TableInfo, config: &PostgresConfig, phase: Phase) -> Result<Self, PgError> {
        let plan = TablePlan::new(&info, config, phase)?;
        let columns = info.columns.iter().enumerate();
        let enums = columns.filter_map(|(index, column)| {
            let captured = plan.captured(index) && labels(&column.data_type).is_some();
            captured.then(|| (index, Arc::clone(&column.data_type)))
        });
        let enums = enums.collect();
        Ok(Self {
            info,
            plan,
            enums,
            identity_lacks_key: false,
            keyless_deletes: AtomicU64::new(0),
            text: OnceLock::new(),
        })
    }

    fn text(&self, plan: impl FnOnce() -> Option<EventText>) -> Option<&EventText> {
        self.text.get_or_init(plan).as_ref()
    }

    /// The same table, old rows of which hold only these columns: those of an index that is its
    /// replica identity.
    #[must_use]
    pub fn identified_by(mut self, is_identity: impl Fn(usize) -> bool) -> Self {
        self.identity_lacks_key = self.plan.key_columns().any(|index| !is_identity(index));
        self
    }

    /// Whether old rows lack columns of the key.
    #[must_use]
    pub fn identity_lacks_key(&self) -> bool {
        self.identity_lacks_key
    }

    /// Counts a delete whose key the log does not hold, and tells of it the more seldom the more
    /// often it happens.
    #[cold]
    fn count_keyless_delete(&self) {
        let count = self.keyless_deletes.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::warn!(
                table = %self.info.id,
                count,
                "the key of a deleted row is not in the log, for the replica identity is an index \
                 without the key's columns; use REPLICA IDENTITY DEFAULT or FULL"
            );
        }
    }

    /// The types that have got a label which the table's schema does not have yet, with that label.
    #[must_use]
    pub fn new_labels(&self, row: TupleRef<'_>) -> Vec<(Arc<TypeInfo>, String)> {
        let found = self.enums.iter().filter_map(|(index, data_type)| {
            let ColumnValue::Text(text) = row.get(*index) else {
                return None;
            };
            let label = text.as_bytes();
            let mut known = labels(data_type)?.iter();
            (!known.any(|known| known.as_bytes() == label)).then(|| {
                let label = String::from_utf8_lossy(label).into_owned();
                (Arc::clone(data_type), label)
            })
        });
        found.collect()
    }
}

/// The labels of an enumeration, or of a domain of one.
fn labels(mut data_type: &TypeInfo) -> Option<&[String]> {
    while let TypeKind::Domain(inner, _) = &data_type.kind {
        data_type = inner;
    }
    match &data_type.kind {
        TypeKind::Enum(labels) => Some(labels),
        _ => None,
    }
}

/// A change of one row, as it lies in its buffer.
#[derive(Clone, Copy, Debug)]
pub struct RowChange<'a> {
    /// What happened.
    pub operation: Operation,
    /// The old row, as far as the server sent it.
    pub before: Option<TupleRef<'a>>,
    /// The new row.
    pub after: Option<TupleRef<'a>>,
}

/// Where a change stood, and what its records carry as offset.
///
/// A change can make several records. Only the last may say that the change is done: were the
/// first stored with that offset and the worker killed, the others would be lost.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// For the source block.
    pub position: &'a Position,
    /// For the source block.
    pub marker: SnapshotMarker,
    /// The offset before the change.
    pub before: &'a Arc<dyn SourceOffset>,
    /// The offset after the change.
    pub after: &'a Arc<dyn SourceOffset>,
    /// Counts the transaction's events, where `provide.transaction.metadata` asks for it.
    pub transaction: Option<&'a TransactionMonitor>,
}

/// Makes records of changes.
#[derive(Debug)]
pub struct Emitter {
    partition: Arc<SourcePartition>,
    envelopes: EnvelopeFactory,
    context_headers: Headers,
    /// Where values may be given as JSON text.
    printer: Option<Printer>,
    tombstones: bool,
    skip_without_change: bool,
    skipped: Vec<Operation>,
}

impl Emitter {
    /// An emitter of this task's records.
    #[must_use]
    pub fn new(
        config: &PostgresConfig,
        partition: Arc<SourcePartition>,
        envelopes: EnvelopeFactory,
        context_headers: Headers,
    ) -> Self {
        Self {
            partition,
            envelopes,
            context_headers,
            printer: None,
            tombstones: config.tombstones_on_delete,
            skip_without_change: config.skip_messages_without_change,
            skipped: [Operation::Create, Operation::Update, Operation::Delete]
                .into_iter()
                .filter(|&operation| config.skips(operation))
                .collect(),
        }
    }

    /// The same, giving values as JSON text of these options where there are any.
    #[must_use]
    pub fn printing(self, json: Option<JsonOptions>) -> Self {
        Self {
            printer: json.map(Printer::new),
            ..self
        }
    }

    /// Whether `skipped.operations` leaves out the events of an operation. An update can still
    /// become a delete and a create.
    fn skips(&self, operation: Operation) -> bool {
        self.skipped.contains(&operation)
    }

    /// The partition that all records carry.
    #[must_use]
    pub fn partition(&self) -> &Arc<SourcePartition> {
        &self.partition
    }

    /// The maker of envelopes.
    #[must_use]
    pub fn envelopes(&self) -> &EnvelopeFactory {
        &self.envelopes
    }

    /// The records of a row's change.
    ///
    /// # Errors
    /// A value that cannot be represented and may not be left out.
    pub fn row(
        &self,
        table: &Table,
        change: RowChange<'_>,
        place: Place<'_>,
        out: &mut Vec<SourceRecord>,
    ) -> Result<(), PgError> {
        let plan = &table.plan;
        let phase = Phase::of(change.operation);
        let key_of = |row: TupleRef<'_>| Ok(plan.key(row, phase)?.map(Value::Struct));
        match (change.operation, change.before, change.after) {
            (Operation::Update, Some(old), Some(new)) => {
                if self.skip_without_change && plan.row(old, phase)? == plan.row(new, phase)? {
                    return Ok(());
                }
                // An old row without the key's columns says nothing about a changed key.
                let old_key = match table.identity_lacks_key {
                    true => None,
                    false => key_of(old)?,
                };
                let new_key = key_of(new)?;
                if old_key.is_some() && old_key != new_key {
                    self.key_change(table, (old_key, new_key), (old, new), place, out)
                } else {
                    self.event(table, change, new_key, place, out)
                }
            }
            (Operation::Delete, Some(old), _) => {
                if table.identity_lacks_key {
                    table.count_keyless_delete();
                }
                let headers = self.context_headers.clone();
                self.delete(table, key_of(old)?, old, headers, place, out)
            }
            (_, _, Some(new)) => self.event(table, change, key_of(new)?, place, out),
            // A delete without its old row has nothing to say; the server does not send any.
            (_, _, None) => Ok(()),
        }
    }

    fn event(
        &self,
        table: &Table,
        change: RowChange<'_>,
        key: Option<Value>,
        place: Place<'_>,
        out: &mut Vec<SourceRecord>,
    ) -> Result<(), PgError> {
        let event = self.envelope(table, change, place)?;
        if !self.skips(change.operation) {
            let headers = self.context_headers.clone();
            out.push(self.record(table, key, event, headers, place.after));
        }
        Ok(())
    }

    /// A delete and its tombstone.
    fn delete(
        &self,
        table: &Table,
        key: Option<Value>,
        old: TupleRef<'_>,
        headers: Headers,
        place: Place<'_>,
        out: &mut Vec<SourceRecord>,
    ) -> Result<(), PgError> {
        let change = RowChange {
            operation: Operation::Delete,
            before: Some(old),
            after: None,
        };
        let event = self.envelope(table, change, place)?;
        if self.skips(Operation::Delete) {
            return Ok(());
        }
        if self.tombstones {
            let tombstone = headers.clone();
            out.push(self.record(table, key.clone(), event, headers, place.before));
            out.push(self.record(table, key, SchemaAndValue::NULL, tombstone, place.after));
        } else {
            out.push(self.record(table, key, event, headers, place.after));
        }
        Ok(())
    }

    /// A changed key is a delete under the old one and a create under the new one. Each half is
    /// skipped by its own operation, as there.
    fn key_change(
        &self,
        table: &Table,
        (old_key, new_key): (Option<Value>, Option<Value>),
        (old, new): (TupleRef<'_>, TupleRef<'_>),
        place: Place<'_>,
        out: &mut Vec<SourceRecord>,
    ) -> Result<(), PgError> {
        let leaving = self.headers_with(NEW_KEY_HEADER, table, new_key.as_ref());
        let entering = self.headers_with(OLD_KEY_HEADER, table, old_key.as_ref());
        let create_follows = !self.skips(Operation::Create);
        let done = if create_follows {
            place.before
        } else {
            place.after
        };
        let first = Place {
            after: done,
            ..place
        };
        self.delete(table, old_key, old, leaving, first, out)?;
        if create_follows {
            let change = RowChange {
                operation: Operation::Create,
                before: None,
                after: Some(new),
            };
            let create = self.envelope(table, change, place)?;
            out.push(self.record(table, new_key, create, entering, place.after));
        }
        Ok(())
    }

    /// The record of an emptied table.
    ///
    /// # Errors
    /// As [`Self::row`].
    pub fn truncate(
        &self,
        table: &Table,
        place: Place<'_>,
        out: &mut Vec<SourceRecord>,
    ) -> Result<(), PgError> {
        let change = RowChange {
            operation: Operation::Truncate,
            before: None,
            after: None,
        };
        let event = self.envelope(table, change, place)?;
        let headers = self.context_headers.clone();
        let mut record = self.record(table, None, event, headers, place.after);
        record.record.key = SchemaAndValue::NULL;
        out.push(record);
        Ok(())
    }

    /// The record of a logical decoding message.
    #[must_use]
    pub fn message(
        &self,
        prefix: &str,
        content: Bytes,
        position: &Position,
        offset: Arc<dyn SourceOffset>,
        transaction: Option<&TransactionMonitor>,
    ) -> SourceRecord {
        let (topic, key, mut value) = self.envelopes.message(prefix, content, position, now_ns());
        if let (Some(transaction), Value::Struct(envelope)) = (transaction, &mut value.value) {
            fill_transaction(envelope, transaction, MESSAGE_COLLECTION, position);
        }
        SourceRecord {
            record: Record {
                topic,
                key,
                value,
                ..Record::default()
            },
            source_partition: Arc::clone(&self.partition),
            source_offset: offset,
        }
    }

    /// The event of a change, as text where the task may give it.
    fn envelope(
        &self,
        table: &Table,
        change: RowChange<'_>,
        place: Place<'_>,
    ) -> Result<SchemaAndValue, PgError> {
        let plan = &table.plan;
        let now_ns = now_ns();
        let schema = Arc::clone(&plan.envelope_schema);
        if let (Some(printer), None) = (&self.printer, place.transaction)
            && let Some(text) = table.text(|| printer.plan(&self.envelopes, plan))
            && let Some(printed) = printer.print(text, plan, &change, &place, now_ns)
        {
            return Ok(SchemaAndValue::new(schema, printed));
        }
        let phase = Phase::of(change.operation);
        let value_of = |row: Option<TupleRef<'_>>| match row {
            Some(row) => Ok(Some(Value::Struct(plan.row(row, phase)?))),
            None => Ok::<_, PgError>(None),
        };
        let (after, before) = (value_of(change.after)?, value_of(change.before)?);
        let mut value = self.envelopes.envelope(
            plan,
            change.operation,
            before,
            after,
            place.position,
            place.marker,
            now_ns,
        );
        // What is skipped is not counted.
        if let Some(transaction) = place.transaction
            && !self.skips(change.operation)
        {
            let collection = table.info.id.to_string();
            fill_transaction(&mut value, transaction, &collection, place.position);
        }
        Ok(SchemaAndValue::new(schema, value))
    }

    fn headers_with(&self, name: &'static str, table: &Table, key: Option<&Value>) -> Headers {
        let mut headers = Headers::with_capacity(self.context_headers.len() + 1);
        headers.push(Header {
            key: connect_api::ByteString::from_static(name),
            value: SchemaAndValue {
                schema: table.plan.key_schema.clone(),
                value: key.cloned().unwrap_or_default(),
            },
        });
        headers.extend(self.context_headers.iter().cloned());
        headers
    }

    fn record(
        &self,
        table: &Table,
        key: Option<Value>,
        value: SchemaAndValue,
        headers: Headers,
        offset: &Arc<dyn SourceOffset>,
    ) -> SourceRecord {
        let key = match key {
            Some(value) => SchemaAndValue {
                schema: table.plan.key_schema.clone(),
                value,
            },
            None => SchemaAndValue::NULL,
        };
        SourceRecord {
            record: Record {
                topic: table.plan.topic.clone(),
                partition: None,
                key,
                value,
                timestamp: None,
                headers,
                offset: None,
            },
            source_partition: Arc::clone(&self.partition),
            source_offset: Arc::clone(offset),
        }
    }
}

fn fill_transaction(
    envelope: &mut Struct,
    transaction: &TransactionMonitor,
    collection: &str,
    position: &Position,
) {
    let Some(field) = envelope.schema.field("transaction") else {
        return;
    };
    let (index, block) = (field.index, Arc::clone(&field.schema));
    if let Some(value) = envelope.values.get_mut(index) {
        *value = transaction.event(&block, collection, position);
    }
}

/// The wall clock, nanoseconds since 1970: the envelope's own `ts_*`.
#[must_use]
pub fn now_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| {
            i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)
        })
}
