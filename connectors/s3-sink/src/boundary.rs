//! Where files end is decided before they are uploaded (`exactly.once.schedule`): under rotation by
//! the wall clock a task that repeats another's work would else cut elsewhere, and some records would
//! stand in two objects.
//!
//! The decision is an object of its own, below `_ferroconnect/`: its name says where the files
//! begin, its content where they end. It is only ever created, so that of two tasks that decide at
//! once one wins and the other follows. Ours; Confluent's sink has nothing like it.

use std::sync::Arc;

use bytes::Bytes;
use connect_api::record::TopicPartition;
use connect_api::{Error, Result};

use crate::storage::Store;
use crate::storage::bucket::{Meaning, Mode};

/// Above all decisions; Hive and Spark pass over names with an underscore.
const FOLDER: &str = "_ferroconnect";

/// The decisions of one topic partition.
#[derive(Clone, Debug)]
pub(crate) struct Boundaries {
    store: Arc<Store>,
    connector: String,
}

impl Boundaries {
    pub(crate) fn new(store: &Arc<Store>, connector: &str) -> Self {
        Self {
            store: Arc::clone(store),
            connector: connector.to_owned(),
        }
    }

    fn key(&self, partition: &TopicPartition, start: i64) -> String {
        format!(
            "{FOLDER}/{}/{}-{}/{start:019}",
            self.connector, partition.topic, partition.partition
        )
    }

    /// Where files end that begin at this offset, if that was decided before.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) fn read(&self, partition: &TopicPartition, start: i64) -> Result<Option<i64>> {
        let (store, key) = (&self.store, self.key(partition, start));
        match store.wait(store.tried(|_| store.bucket.get(&key, None))) {
            Ok(bytes) => parse(&bytes).map(Some).ok_or_else(|| {
                Error::fatal(format!("{key} does not say where files end: delete it"))
            }),
            Err(error) if error.meaning() == Meaning::Missing => Ok(None),
            Err(error) => Err(store.failure("looking for", &key, error)),
        }
    }

    /// Decides that files that begin at `start` end before `next`, unless that was decided
    /// otherwise; answers what holds.
    ///
    /// # Errors
    /// The store does not take it.
    pub(crate) fn fix(&self, partition: &TopicPartition, start: i64, next: i64) -> Result<i64> {
        let (store, key) = (&self.store, self.key(partition, start));
        let body = Bytes::from(format!("{next}\n"));
        let put = store.tried(|_| store.bucket.put(&key, body.clone().into(), Mode::Create));
        match store.wait(put) {
            Ok(_) => Ok(next),
            Err(error) if error.meaning() == Meaning::Exists => {
                Ok(self.read(partition, start)?.unwrap_or(next))
            }
            Err(error) => Err(store.failure("writing", &key, error)),
        }
    }
}

fn parse(bytes: &[u8]) -> Option<i64> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}
