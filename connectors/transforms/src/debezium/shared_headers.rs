//! The list of headers that a deletion and its tombstone have in common.
//!
//! Debezium's source makes both records with one and the same list, so that what a transformation
//! adds to the deletion is in the tombstone too. A sink reads both with a list of their own, and a
//! transformation before may have copied them. Answers for `ConnectRecord.headers`, which is shared
//! by `SourceRecord.newRecord`.

use connect_api::ByteString;
use connect_api::data::{Headers, SchemaAndValue};
use connect_api::record::Record;

/// What was last added to a deletion.
#[derive(Debug, Default)]
pub(crate) struct SharedHeaders(Option<Deletion>);

#[derive(Debug)]
struct Deletion {
    topic: ByteString,
    key: SchemaAndValue,
    given: Headers,
    extended: Headers,
}

impl SharedHeaders {
    /// Sees a record before it is transformed: a tombstone gets what its deletion was given.
    pub(crate) fn see(&mut self, record: &mut Record) {
        if let Some(deletion) = self.0.take()
            && record.value.is_null()
            && deletion.is_of(record)
        {
            record.headers = deletion.extended;
        }
    }

    /// Remembers a deletion whose headers were `given` before some were added.
    pub(crate) fn added(&mut self, record: &Record, given: Headers) {
        if record.offset.is_none() {
            self.0 = Some(Deletion {
                topic: record.topic.clone(),
                key: record.key.clone(),
                given,
                extended: record.headers.clone(),
            });
        }
    }
}

impl Deletion {
    fn is_of(&self, tombstone: &Record) -> bool {
        tombstone.offset.is_none()
            && (tombstone.headers.same(&self.given)
                || tombstone.headers.is_empty() && self.given.is_empty())
            && tombstone.topic == self.topic
            && tombstone.key == self.key
    }
}
