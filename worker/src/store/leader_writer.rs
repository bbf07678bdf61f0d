//! How a group's leader writes to the config topic where sources write exactly once: by a
//! transactional producer of one id for the whole group, so that a leader that is new shuts the one
//! before it out, whatever that still believes.
//!
//! Answers for the fencable producer of `KafkaConfigBackingStore` (KIP-618).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connect_api::{Error, Result};

use crate::kafka::ClientConfig;
use crate::kafka::producer::{KeyValue, StoreProducer};

/// How long claiming may take; the herder waits meanwhile.
const CLAIM_LIMIT: Duration = Duration::from_secs(30);

/// The right to write, held or not.
pub struct LeaderWriter {
    config: ClientConfig,
    producer: Mutex<Option<StoreProducer>>,
    /// A write has failed, and nobody has looked at that yet.
    lost: AtomicBool,
    /// Told when that happens.
    on_lost: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for LeaderWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaderWriter")
            .field("claimed", &self.is_claimed())
            .finish_non_exhaustive()
    }
}

impl LeaderWriter {
    /// Nothing claimed yet.
    pub fn new(config: ClientConfig, on_lost: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            config,
            producer: Mutex::default(),
            lost: AtomicBool::new(false),
            on_lost,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<StoreProducer>> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the right is held, for all that is known.
    pub fn is_claimed(&self) -> bool {
        self.lock().is_some()
    }

    /// Whether a write has failed since this was last asked.
    pub fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }

    /// Shuts out whoever wrote before.
    ///
    /// # Errors
    /// Kafka refuses, or does not answer in time.
    pub fn claim(&self) -> Result<()> {
        let mut producer = self.lock();
        // One of this worker's own that is still there would be shut out by the next.
        *producer = None;
        let claimed = StoreProducer::new(&self.config)?;
        claimed.init_transactions(CLAIM_LIMIT)?;
        *producer = Some(claimed);
        Ok(())
    }

    /// Lets go of the right.
    pub fn relinquish(&self) {
        *self.lock() = None;
    }

    /// Writes records in one transaction; answers partition and offset of each.
    ///
    /// # Errors
    /// The right is not held, or turns out to be lost: it has to be claimed anew.
    pub fn write(
        &self,
        topic: &str,
        records: &[KeyValue],
        limit: Duration,
    ) -> Result<Vec<(i32, i64)>> {
        const SAFE: &str = "Failed to write to config topic; this may be due to a transient error \
                            and the request can be safely retried";
        let mut held = self.lock();
        let Some(producer) = held.as_ref() else {
            return Err(Error::fatal(SAFE).with_source(
                "Cannot produce to config topic without claiming write privileges first",
            ));
        };
        let written = producer.write_in_transaction(topic, records, limit);
        written.map_err(|error| {
            *held = None;
            drop(held);
            self.lost.store(true, Ordering::Release);
            (self.on_lost)();
            Error::fatal(SAFE).with_source(error)
        })
    }
}
