//! Transactions of a producer, and shutting out producers that are thought dead.
//!
//! Retries what Kafka calls retriable until the time is over, and nothing else. Answers for the
//! transactional half of `KafkaProducer` and for `Admin.fenceProducers`.

use std::time::{Duration, Instant};

use connect_api::{Error, Result};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer as _};

use super::producer::{Deliveries, KeyValue, RecordProducer, StoreProducer};
use super::{LogContext, failed};

/// How long a step of a transaction may take before it is asked for again.
const STEP: Duration = Duration::from_secs(10);
/// The pause before a step is asked for again.
const PAUSE: Duration = Duration::from_millis(100);
/// How long deliveries are waited for before the next look whether they were the last.
const LOOK: Duration = Duration::from_millis(1);
/// How many producers are fenced side by side.
const AT_ONCE: usize = 8;

impl<D: Deliveries> RecordProducer<D> {
    /// Shuts out earlier producers of the same `transactional.id` and ends their transactions.
    ///
    /// # Errors
    /// The coordinator refuses, or does not answer in time.
    pub fn init_transactions(&self, limit: Duration) -> Result<()> {
        patiently(limit, |step| self.client().init_transactions(step))
            .map_err(|error| self.failed("initializing transactions", &error))
    }

    /// Begins a transaction; what is sent from now on belongs to it.
    ///
    /// # Errors
    /// The producer was shut out.
    pub fn begin_transaction(&self) -> Result<()> {
        self.client()
            .begin_transaction()
            .map_err(|error| self.failed("beginning a transaction", &error))
    }

    /// Sends what is gathered and commits.
    ///
    /// # Errors
    /// The transaction has to be aborted, or the producer was shut out.
    pub fn commit_transaction(&self, limit: Duration) -> Result<()> {
        // The client waits likewise, but looks for the end only ten times a second.
        let deadline = Instant::now() + limit;
        while self.in_flight() > 0 && Instant::now() < deadline {
            self.flush(Duration::ZERO);
            self.poll(Duration::ZERO);
            std::thread::sleep(LOOK);
        }
        patiently(limit, |step| self.client().commit_transaction(step))
            .map_err(|error| self.failed("committing a transaction", &error))
    }

    /// Gives up what was sent since the transaction began.
    ///
    /// # Errors
    /// The coordinator does not answer in time: it will end the transaction by itself.
    pub fn abort_transaction(&self, limit: Duration) -> Result<()> {
        patiently(limit, |step| self.client().abort_transaction(step))
            .map_err(|error| self.failed("aborting a transaction", &error))
    }
}

impl StoreProducer {
    /// Shuts out earlier producers of the same `transactional.id` and ends their transactions.
    ///
    /// # Errors
    /// The coordinator refuses, or does not answer in time.
    pub fn init_transactions(&self, limit: Duration) -> Result<()> {
        patiently(limit, |step| self.client().init_transactions(step))
            .map_err(|error| self.failed("initializing transactions", &error))
    }

    /// [`StoreProducer::write`] in a transaction of its own.
    ///
    /// # Errors
    /// Nothing of it counts: the producer was shut out, or time ran out. It is of no more use then.
    pub fn write_in_transaction(
        &self,
        topic: &str,
        records: &[KeyValue],
        limit: Duration,
    ) -> Result<Vec<(i32, i64)>> {
        let deadline = Instant::now() + limit;
        self.client()
            .begin_transaction()
            .map_err(|error| self.failed("beginning a transaction", &error))?;
        let places = self.write(topic, records, limit)?;
        let left = deadline.saturating_duration_since(Instant::now());
        patiently(left, |step| self.client().commit_transaction(step))
            .map_err(|error| self.failed("committing a transaction", &error))?;
        Ok(places)
    }
}

fn patiently(
    limit: Duration,
    attempt: impl Fn(Duration) -> std::result::Result<(), KafkaError>,
) -> std::result::Result<(), KafkaError> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match attempt(left.min(STEP)) {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && left > PAUSE => {
                std::thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

/// Shuts out all producers of these transactional ids: their transactions are aborted, and what they
/// still send is refused.
///
/// # Errors
/// One of them could not be shut out in time.
pub fn fence(config: &ClientConfig, ids: &[String], limit: Duration) -> Result<()> {
    for group in ids.chunks(AT_ONCE) {
        let outcomes = std::thread::scope(|scope| {
            let threads: Vec<_> = group
                .iter()
                .map(|id| scope.spawn(move || fence_one(config, id, limit)))
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|_panic| Err(Error::fatal("fencing a producer panicked")))
                })
                .collect::<Vec<_>>()
        });
        outcomes.into_iter().collect::<Result<()>>()?;
    }
    Ok(())
}

fn fence_one(config: &ClientConfig, id: &str, limit: Duration) -> Result<()> {
    let doing = || format!("fencing the producers of transactional id {id}");
    let mut config = config.clone();
    config.set("transactional.id", id);
    let log = super::ClientLog::new(config.get("client.id").unwrap_or("fencing"));
    let producer: BaseProducer<LogContext> = config
        .create_with_context(LogContext(log))
        .map_err(|error| failed(doing(), &error, None))?;
    super::oauth::greet(&config, |limit| producer.poll(limit));
    patiently(limit, |step| producer.init_transactions(step))
        .map_err(|error| failed(doing(), &error, Some(&producer.context().0)))
}
