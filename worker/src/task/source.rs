//! The loop of a source task: poll, transform, convert, send; store what is safely in Kafka.
//!
//! One thread does it all, deliveries included, so nothing is locked or queued per record. Offsets
//! are stored only up to the first record that Kafka has not acknowledged; where sources write
//! exactly once they are part of the records' transaction. Answers for `WorkerSourceTask`,
//! `ExactlyOnceWorkerSourceTask`, `AbstractWorkerSourceTask` and `SourceTaskOffsetCommitter`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::data::SchemaAndValue;
use connect_api::error::Chain;
use connect_api::record::{OffsetMap, SourcePartition, SourceRecord, Topic};
use connect_api::source::{SourceBatch, SourceTask, SourceTaskContext};
use connect_api::{Error, Result};

use super::clients;
use super::lifecycle::{TaskContext, now_ms};
use super::offsets::ConnectorOffsets;
use super::outbox::{self, Outbox};
use super::pipeline::{Converted, Pipeline};
use super::submitted::{
    Acknowledgements, NO_TOKEN, PartitionOffsets, Submitted, token_in_transaction,
};
use super::topic_creation::TopicCreation;
use super::transaction::{Boundary, Transaction};
use crate::config::ExactlyOnce;
use crate::herder::fencing;
use crate::kafka::admin::Admin;
use crate::kafka::producer::{Outgoing, RecordProducer, Refused};
use crate::kafka::topic::KafkaTopics;
use crate::kafka::{API_TIMEOUT, ClientConfig};
use crate::store::offset;
use crate::store::status::State;

/// The pause after a poll that failed for now.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long deliveries are waited for at a time: little beside what a request takes, and beside
/// what has been waited already, for each look costs as much as some records do.
const DELIVERY_PAUSE: Duration = Duration::from_micros(300);
const LONGEST_DELIVERY_PAUSE: Duration = Duration::from_millis(2);
const PAUSE_OF_WAITED: u32 = 8;
/// How often a paused task looks up.
const PAUSED_TICK: Duration = Duration::from_millis(500);
/// How many batches of deliveries are heard of between two polls.
const DELIVERIES_PER_POLL: usize = 4;
/// After how many records of a batch deliveries are heard of.
const RECORDS_PER_HEARING: usize = 64;
/// A batch of fewer records means that the task is ahead of its source. It then lets the source
/// gather for a moment: waking for each handful would cost more than the records do.
const SMALL_BATCH_RECORDS: usize = 256;
/// That moment.
const GATHER_PAUSE: Duration = Duration::from_millis(2);

/// Values beyond this length are not kept longer than they are needed.
const LARGE_VALUE: usize = 1024 * 1024;

/// Runs a source task until it is told to stop.
///
/// # Errors
/// The task has failed.
pub fn run(context: TaskContext, mut task: Box<dyn SourceTask>) -> Result<()> {
    let mut worker = Worker::new(&context)?;
    let offsets = Arc::clone(&worker.offsets);
    if let Some(options) = worker.pipeline.json_options() {
        task.give_json_text(options);
    }
    let result = start(&context, offsets, &mut *task).and_then(|()| worker.work(&mut *task));
    // Also a task that failed has sent records whose offsets are worth storing.
    worker.finish(&mut *task, result.is_ok());
    task.stop();
    result
}

fn start(
    context: &TaskContext,
    offsets: Arc<ConnectorOffsets>,
    task: &mut dyn SourceTask,
) -> Result<()> {
    task.start(
        SourceTaskContext {
            connector: context.id.connector.to_string(),
            task: context.id.task,
            plugin: context.plugin(),
            stop: context.control.stop.clone(),
            offsets,
            topics: Some(Arc::new(KafkaTopics)),
        },
        &context.config.props,
    )?;
    tracing::info!(
        "WorkerSourceTask{{id={}}} Source task finished initialization and start",
        context.id
    );
    Ok(())
}

/// The settings of the task's producer, as far as the brokers let it have them.
fn producer_config(context: &TaskContext) -> Result<ClientConfig> {
    let (worker, props) = (&context.parts.config, &context.connector.props);
    let config = clients::producer(worker, &context.id, props)?;
    let refused = || {
        Admin::new(&config, context.parts.runtime.clone())
            .is_ok_and(|admin| !admin.numbers_records())
    };
    if clients::is_numbered(&config) && refused() {
        let unnumbered = clients::unnumbered_producer(worker, &context.id, props)?;
        if !clients::is_numbered(&unnumbered) {
            tracing::warn!(
                "the brokers number no records for this producer (IDEMPOTENT_WRITE on the cluster is \
                 missing): a record whose request fails may come after later ones"
            );
            return Ok(unnumbered);
        }
    }
    Ok(config)
}

struct Worker<'a> {
    context: &'a TaskContext,
    pipeline: Pipeline,
    producer: RecordProducer<Acknowledgements>,
    outbox: Outbox,
    /// Deliveries by lane, while they are told to the outbox.
    landed: Vec<u32>,
    submitted: Submitted,
    /// Where each record is written exactly once.
    transaction: Option<Transaction>,
    offsets: Arc<ConnectorOffsets>,
    converted: Converted,
    creation: Option<TopicCreation>,
    known_topics: HashSet<Topic>,
    last_topic: Option<Topic>,
    last_lane: usize,
    flush_interval: Duration,
    flush_limit: Duration,
    next_flush: Instant,
    now_ms: i64,
}

impl<'a> Worker<'a> {
    fn new(context: &'a TaskContext) -> Result<Self> {
        let options = &context.parts.config.options;
        let props = &context.connector.props;
        let pipeline = Pipeline::new(context)?;
        let exactly_once = context.parts.config.exactly_once() == ExactlyOnce::Enabled;
        let config = match exactly_once {
            true => clients::transactional_producer(&context.parts.config, &context.id, props)?,
            false => producer_config(context)?,
        };
        let acknowledgements = Acknowledgements::new(pipeline.tolerance.drops());
        let creation = match options.bool("topic.creation.enable") {
            true => TopicCreation::new(props)?,
            false => None,
        };
        let ms = |key: &str| Duration::from_millis(u64::try_from(options.int(key)).unwrap_or(0));
        let flush_interval = ms("offset.flush.interval.ms").max(Duration::from_millis(1));
        let outbox = Outbox::new(&config, clients::linger(&context.parts.config, props));
        let partitioner = clients::partitioner(&context.parts.config, props);
        let producer = RecordProducer::new(&config, acknowledgements, partitioner)?;
        context.made();
        if exactly_once {
            fencing::perform(&context.parts, &context.stores, &context.id.connector)?;
            producer.init_transactions(API_TIMEOUT)?;
        }
        // Read only now: what an earlier task had under way is committed or aborted.
        let offsets = ConnectorOffsets::open(
            &context.parts,
            &context.stores,
            &context.id.connector,
            props,
            !exactly_once,
        )?;
        if exactly_once {
            still_wanted(context)?;
        }
        let boundary = Boundary::of(props, flush_interval);
        Ok(Self {
            context,
            pipeline,
            producer,
            transaction: exactly_once
                .then(|| Transaction::new(boundary, flush_interval, Instant::now())),
            offsets: Arc::new(offsets),
            outbox,
            landed: Vec::new(),
            submitted: Submitted::default(),
            converted: Converted::default(),
            creation,
            known_topics: HashSet::new(),
            last_topic: None,
            last_lane: 0,
            flush_interval,
            flush_limit: ms("offset.flush.timeout.ms"),
            next_flush: Instant::now() + flush_interval,
            now_ms: 0,
        })
    }

    fn work(&mut self, task: &mut dyn SourceTask) -> Result<()> {
        let control = &self.context.control;
        let mut paused = control.is_paused();
        self.context.reporter.state(if paused {
            State::Paused
        } else {
            State::Running
        });
        while !control.stop.is_set() {
            if control.is_paused() != paused {
                paused = !paused;
                self.context.reporter.state(if paused {
                    State::Paused
                } else {
                    State::Running
                });
            }
            if paused {
                self.commit_at_rest(task)?;
                self.empty_outbox(task)?;
                self.hear_of_deliveries()?;
                self.flush_if_due(task);
                control.wait_paused(PAUSED_TICK.min(self.flush_interval));
                continue;
            }
            match task.poll() {
                Ok(batch) => {
                    let (count, more) = (batch.records.len(), batch.more);
                    self.send_batch(task, batch)?;
                    match more {
                        true => self.hand_over(self.outbox.gathers(true))?,
                        // A source without records may wait for some as long as it likes.
                        false => self.empty_outbox(task)?,
                    }
                    if !more && (1..SMALL_BATCH_RECORDS).contains(&count) {
                        control.stop.wait(GATHER_PAUSE);
                    }
                }
                Err(error) if error.is_retriable() => {
                    tracing::warn!(error = %Chain(&error), "polling the source; will be tried again");
                    control.stop.wait(RETRY_PAUSE);
                }
                Err(error) => return Err(error),
            }
            self.hear_of_deliveries()?;
            self.flush_if_due(task);
        }
        Ok(())
    }

    fn hear_of_deliveries(&mut self) -> Result<()> {
        for _ in 0..DELIVERIES_PER_POLL {
            self.producer.poll(Duration::ZERO);
        }
        self.submitted.settle(self.producer.deliveries());
        self.producer.deliveries().landed(&mut self.landed);
        self.outbox.landed(&self.landed);
        match self.producer.deliveries().failure() {
            None => Ok(()),
            Some(error) => {
                let cause = self.producer.failed("producing to Kafka", &error);
                Err(
                    Error::fatal("Unrecoverable exception from producer send callback")
                        .with_source(cause),
                )
            }
        }
    }

    /// Gives the producer what it is time for.
    fn hand_over(&mut self, gathered: Duration) -> Result<()> {
        let producer = &self.producer;
        while let Err(failed) =
            self.outbox
                .hand_over(gathered, Instant::now(), |outgoing, token| {
                    producer.send(outgoing, token)
                })
        {
            let outbox::Failed { topic, token, why } = failed;
            let error = match why {
                Refused::Full(_) => continue,
                Refused::TooLarge(error) => error,
                Refused::Failed(error) => {
                    producer.failed(format!("sending to topic {topic}"), &error)
                }
            };
            if !self.pipeline.tolerance.drops() {
                return Err(
                    Error::fatal("Unrecoverable exception trying to send").with_source(error)
                );
            }
            tracing::error!(error = %Chain(&error), "errors.tolerance drops a record");
            producer.deliveries().forgo(token);
        }
        Ok(())
    }

    /// Gives the producer everything, full requests or not, as it has room, until the limit.
    fn hand_over_all(&mut self, limit: Option<Instant>) -> Result<()> {
        self.hear_of_deliveries()?;
        self.hand_over(Duration::ZERO)?;
        let mut since = Instant::now();
        while !self.outbox.is_empty() && limit.is_none_or(|limit| Instant::now() < limit) {
            self.wait_for_deliveries(&mut since)?;
            self.hand_over(Duration::ZERO)?;
        }
        Ok(())
    }

    /// Waits until nothing waits for its turn any more, or until the task is to stop.
    fn empty_outbox(&mut self, task: &mut dyn SourceTask) -> Result<()> {
        self.hand_over(self.outbox.gathers(false))?;
        let mut since = Instant::now();
        while !self.outbox.is_empty() && !self.context.control.stop.is_set() {
            self.wait_for_deliveries(&mut since)?;
            self.hand_over(self.outbox.gathers(false))?;
            self.flush_if_due(task);
        }
        Ok(())
    }

    fn send_batch(&mut self, task: &mut dyn SourceTask, batch: SourceBatch) -> Result<()> {
        // One look at the clock for all records that bring no timestamp.
        self.now_ms = now_ms();
        let more = batch.more;
        let mut boundaries = batch.boundaries.iter().copied().peekable();
        for (count, record) in (1..).zip(batch.records) {
            self.send(record)?;
            if count % RECORDS_PER_HEARING == 0 {
                self.hear_of_deliveries()?;
                self.hand_over(self.outbox.gathers(true))?;
            }
            let said = boundaries.next_if_eq(&count).is_some();
            if said
                && self
                    .transaction
                    .as_ref()
                    .is_some_and(|transaction| transaction.ends_after_record(said))
            {
                self.commit(task)?;
            }
        }
        if let Some(progress) = batch.progress {
            match &mut self.transaction {
                Some(transaction) => transaction.reached(&progress.partition, progress.offset),
                None => self.submitted.progress(
                    self.producer.deliveries(),
                    &progress.partition,
                    progress.offset,
                ),
            }
        }
        match &self.transaction {
            Some(transaction) if transaction.ends_after_batch(more, Instant::now()) => {
                self.commit(task)
            }
            _ => Ok(()),
        }
    }

    /// Commits the transaction with the offsets in it.
    fn commit(&mut self, task: &mut dyn SourceTask) -> Result<()> {
        if self.transaction.is_none() {
            return Ok(());
        }
        // All that belongs to it is with the producer before it ends.
        self.hand_over_all(None)?;
        let Some(transaction) = &mut self.transaction else {
            return Ok(());
        };
        if !transaction.is_open {
            if transaction.offsets().is_empty() {
                return Ok(());
            }
            self.producer.begin_transaction()?;
            transaction.is_open = true;
        }
        let id = &self.context.id;
        tracing::debug!(
            "ExactlyOnceWorkerSourceTask{{id={id}}} Committing {} records",
            transaction.records()
        );
        let offsets = transaction.offsets().clone();
        let entries = entries(&offsets);
        let store = Arc::clone(&self.offsets);
        let mut since = Instant::now();
        for (key, value) in offset::records(&id.connector, &entries)? {
            let outgoing = || Outgoing {
                topic: store.topic(),
                partition: None,
                key: Some(&key),
                value: value.as_deref(),
                timestamp: None,
                headers: None,
            };
            while let Err(refused) = self.producer.send(outgoing(), NO_TOKEN) {
                match refused {
                    Refused::Full(_) => self.wait_for_deliveries(&mut since)?,
                    Refused::TooLarge(error) => return Err(error),
                    Refused::Failed(error) => {
                        let doing = format!("writing offsets to topic {}", store.topic());
                        return Err(self.producer.failed(doing, &error));
                    }
                }
            }
        }
        let committed = self.producer.commit_transaction(API_TIMEOUT);
        // Why a record was refused says more than that its transaction cannot be committed.
        self.hear_of_deliveries()?;
        committed?;
        self.offsets.copy(&entries, self.flush_limit);
        let Some(transaction) = &mut self.transaction else {
            return Ok(());
        };
        transaction.ended(Instant::now());
        if let Err(error) = task.committed(&offsets) {
            tracing::error!(error = %Chain(&error), "ExactlyOnceWorkerSourceTask{{id={id}}} Exception thrown while calling task.commit()");
        }
        Ok(())
    }

    /// Commits what is open, unless only the connector may.
    fn commit_at_rest(&mut self, task: &mut dyn SourceTask) -> Result<()> {
        match &self.transaction {
            Some(transaction) if transaction.ends_at_rest() => self.commit(task),
            _ => Ok(()),
        }
    }

    /// The token of the next record, for which a transaction is begun if there is none.
    fn token(&mut self, source_partition: &Arc<SourcePartition>, lane: usize) -> Result<usize> {
        match &mut self.transaction {
            None => Ok(self
                .submitted
                .token(self.producer.deliveries(), source_partition, lane)),
            Some(transaction) => {
                if !transaction.is_open {
                    self.producer.begin_transaction()?;
                    transaction.is_open = true;
                }
                Ok(token_in_transaction(lane))
            }
        }
    }

    fn send(&mut self, source: SourceRecord) -> Result<()> {
        // Before the record stands in memory once more.
        if !self.outbox.has_room() {
            let mut since = Instant::now();
            while !self.outbox.has_room() {
                self.wait_for_deliveries(&mut since)?;
                self.hand_over(Duration::ZERO)?;
            }
        }
        let SourceRecord {
            mut record,
            source_partition,
            source_offset,
        } = source;
        let outcome = match self.pipeline.transform(&mut record) {
            Ok(true) => self.pipeline.convert(&mut record, &mut self.converted),
            // Dropped: its offset is stored with that of a later record.
            Ok(false) => return Ok(()),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = outcome {
            let id = self.context.id.to_string();
            let tolerance = &self.pipeline.tolerance;
            tolerance.log_failure(&id, &failure, || {
                read_at(&source_partition, &source_offset.to_map())
            });
            return tolerance.decide(failure);
        }
        if let Some(timestamp) = record.timestamp.filter(|timestamp| *timestamp < -1) {
            return Err(Error::data(format!("Invalid record timestamp {timestamp}")));
        }
        if self.last_topic.as_ref() != Some(&record.topic) {
            self.first_use(&record.topic)?;
            self.last_lane = self.outbox.lane(&record.topic);
            self.last_topic = Some(record.topic.clone());
        }
        if self.converted.value.len() > LARGE_VALUE {
            // It stands in memory twice by now, and is to stand there once more.
            record.value = SchemaAndValue::default();
        }
        let converted = &mut self.converted;
        let mut outgoing = Outgoing {
            topic: &record.topic,
            partition: record.partition,
            key: converted.has_key.then_some(&converted.key[..]),
            value: converted.has_value.then_some(&converted.value[..]),
            timestamp: record
                .timestamp
                .filter(|timestamp| *timestamp >= 0)
                .or(Some(self.now_ms)),
            headers: converted.headers.take(),
        };
        if let Some(error) = self.producer.too_large(&outgoing) {
            if self.pipeline.tolerance.drops() {
                tracing::error!(error = %Chain(&error), "errors.tolerance drops a record");
                return Ok(());
            }
            return Err(
                Error::fatal("Unrecoverable exception from producer send callback")
                    .with_source(error),
            );
        }
        let (timestamp, headers) = (outgoing.timestamp, outgoing.headers.take());
        let token = self.token(&source_partition, self.last_lane)?;
        let converted = &mut self.converted;
        let is_due = self.outbox.push(
            self.last_lane,
            outbox::Sent {
                topic: &record.topic,
                partition: record.partition,
                key: converted.has_key.then_some(&converted.key[..]),
                value: converted.has_value.then_some(&mut converted.value),
                timestamp,
                headers,
                token,
            },
            Instant::now,
        );
        if self.converted.value.capacity() > LARGE_VALUE {
            self.converted.value = Vec::new();
        }
        match &mut self.transaction {
            Some(transaction) => transaction.sent(&source_partition, source_offset),
            None => self.submitted.sent(token, source_offset),
        }
        match is_due {
            true => self.hand_over(self.outbox.gathers(true)),
            false => Ok(()),
        }
    }

    /// The producer has enough for now: waits for deliveries. They have been waited for since this
    /// time, and with one of them the waiting begins anew.
    fn wait_for_deliveries(&mut self, since: &mut Instant) -> Result<()> {
        if self.context.control.is_abandoned() {
            return Err(Error::fatal(
                "the task was given up while Kafka took no records",
            ));
        }
        // The client's poll would not end before its time, and burn the last millisecond of it.
        let share = since.elapsed() / PAUSE_OF_WAITED;
        std::thread::sleep(share.clamp(DELIVERY_PAUSE, LONGEST_DELIVERY_PAUSE));
        self.hear_of_deliveries()?;
        if self.landed.iter().any(|&count| count > 0) {
            *since = Instant::now();
        }
        Ok(())
    }

    /// A topic is written to for the first time: it is created if that is ours to do.
    fn first_use(&mut self, topic: &Topic) -> Result<()> {
        if self.known_topics.contains(topic) {
            return Ok(());
        }
        if self.transaction.is_some() && **topic == *self.offsets.topic() {
            return Err(Error::fatal(
                "Source tasks may not produce to their own offsets topics when exactly-once support \
                 is enabled",
            ));
        }
        if let Some((plan, group)) = self
            .creation
            .as_ref()
            .and_then(|creation| creation.plan(topic))
        {
            tracing::info!(
                "The task will send records to topic '{topic}' for the first time. Checking whether topic exists"
            );
            let TaskContext {
                parts,
                id,
                connector,
                ..
            } = self.context;
            let config = clients::admin(
                &parts.config,
                &format!("connector-adminclient-{id}"),
                &connector.props,
            )?;
            let admin = Admin::new(&config, parts.runtime.clone())?;
            let exists = admin.topics()?.iter().any(|(name, _)| *name == **topic);
            if !exists {
                tracing::info!("Creating topic '{topic}'");
                let created = admin.create_topic(&plan).map_err(|error| {
                    Error::fatal(format!(
                        "Task failed to create new topic {topic}. Ensure that the task is authorized \
                         to create topics or that the topic exists and restart the task"
                    ))
                    .with_source(error)
                })?;
                if created {
                    tracing::info!("Created topic '{topic}' using creation group {group}");
                }
            }
        }
        self.known_topics.insert(topic.clone());
        self.context.uses_topic(topic);
        Ok(())
    }

    fn flush_if_due(&mut self, task: &mut dyn SourceTask) {
        if self.transaction.is_none() && Instant::now() >= self.next_flush {
            self.flush(task);
            self.next_flush = Instant::now() + self.flush_interval;
        }
    }

    /// Stores what is committable, and says so to the task.
    fn flush(&mut self, task: &mut dyn SourceTask) {
        if self.context.control.is_abandoned() {
            return;
        }
        let (offsets, count) = self.submitted.committable(self.producer.deliveries());
        if offsets.is_empty() {
            return;
        }
        let id = &self.context.id;
        tracing::info!(
            "WorkerSourceTask{{id={id}}} Committing offsets for {count} acknowledged messages"
        );
        let stored = self.offsets.write(&entries(&offsets), self.flush_limit);
        if let Err(error) = stored {
            // They stay committable.
            tracing::error!(error = %Chain(&error), "WorkerSourceTask{{id={id}}} Failed to commit offsets");
            return;
        }
        self.submitted.stored();
        if let Err(error) = task.committed(&offsets) {
            tracing::error!(error = %Chain(&error), "WorkerSourceTask{{id={id}}} Exception thrown while calling task.commit()");
        }
    }

    /// Waits for what is on its way, within limits, and stores the offsets of what arrived. A
    /// transaction is committed where all went well, and else given up.
    fn finish(&mut self, task: &mut dyn SourceTask, well: bool) {
        if self.context.control.is_abandoned() {
            return;
        }
        if self.transaction.is_some() {
            let id = &self.context.id;
            if well && let Err(error) = self.commit_at_rest(task) {
                tracing::error!(error = %Chain(&error), "ExactlyOnceWorkerSourceTask{{id={id}}} Failed to commit the last transaction");
            }
            let is_open = self.transaction.as_ref().is_some_and(|last| last.is_open);
            if is_open && let Err(error) = self.producer.abort_transaction(self.flush_limit) {
                tracing::warn!(error = %Chain(&error), "ExactlyOnceWorkerSourceTask{{id={id}}} Failed to abort the last transaction");
            }
            return;
        }
        let limit = Instant::now() + self.flush_limit;
        // Nothing follows a record that failed; what was sent before is waited for.
        self.hand_over_all(Some(limit)).ok();
        if self.submitted.has_pending(self.producer.deliveries()) {
            self.producer
                .flush(limit.saturating_duration_since(Instant::now()));
        }
        self.flush(task);
    }
}

/// A newer set of task configurations makes this task a zombie before it has begun.
fn still_wanted(context: &TaskContext) -> Result<()> {
    let id = &context.id;
    match context.stores.config.state().task_generation(&id.connector) == context.generation {
        true => Ok(()),
        false => Err(Error::fatal(format!(
            "Cannot start source task {id} with exactly-once support as the connector has already \
             generated a new set of task configs"
        ))),
    }
}

/// Where a record was read, for the log, which gets none of its content.
fn read_at(partition: &SourcePartition, offset: &OffsetMap) -> String {
    format!(
        "where source record is = SourceRecord{{sourcePartition={}, sourceOffset={}}}",
        partition.java_text(),
        offset.java_text()
    )
}

fn entries(offsets: &PartitionOffsets) -> Vec<(&OffsetMap, Option<OffsetMap>)> {
    offsets
        .iter()
        .map(|(partition, offset)| (&**partition, Some(offset.to_map())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::data::Value;

    #[test]
    fn the_log_tells_where_a_bad_record_was_read_and_nothing_of_it() {
        let map = |name: &'static str, value| [(name.into(), value)].into_iter().collect();
        assert_eq!(
            read_at(
                &map("file", Value::text("in")),
                &map("position", Value::Int64(4))
            ),
            "where source record is = SourceRecord{sourcePartition={file=in}, \
             sourceOffset={position=4}}"
        );
    }
}
