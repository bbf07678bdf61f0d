//! The loop of a source task: poll, transform, convert, send; store what is safely in Kafka.
//!
//! One thread does it all, deliveries included, so nothing is locked or queued per record. Offsets
//! are stored only up to the first record that Kafka has not acknowledged. Answers for
//! `WorkerSourceTask`, `AbstractWorkerSourceTask` and `SourceTaskOffsetCommitter`.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use connect_api::error::Chain;
use connect_api::record::{SourceRecord, Topic};
use connect_api::source::{SourceBatch, SourceTask, SourceTaskContext};
use connect_api::{Error, Result};

use super::clients;
use super::lifecycle::{TaskContext, now_ms};
use super::pipeline::{Converted, Pipeline};
use super::submitted::{Acknowledgements, Submitted};
use super::topic_creation::TopicCreation;
use crate::kafka::admin::Admin;
use crate::kafka::producer::{Outgoing, RecordProducer, Refused};
use crate::store::offset::ConnectorOffsetReader;
use crate::store::status::State;

/// The pause after a poll that failed for now.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often a paused task looks up.
const PAUSED_TICK: Duration = Duration::from_millis(500);
/// How many batches of deliveries are heard of between two polls.
const DELIVERIES_PER_POLL: usize = 4;
/// A batch of fewer records means that the task is ahead of its source. It then lets the source
/// gather for a moment: waking for each handful would cost more than the records do.
const SMALL_BATCH_RECORDS: usize = 256;
/// That moment; shorter than what the producer lingers.
const GATHER_PAUSE: Duration = Duration::from_millis(2);

/// Runs a source task until it is told to stop.
///
/// # Errors
/// The task has failed.
pub fn run(context: TaskContext, mut task: Box<dyn SourceTask>) -> Result<()> {
    let mut worker = Worker::new(&context)?;
    let result = start(&context, &mut *task).and_then(|()| worker.work(&mut *task));
    // Also a task that failed has sent records whose offsets are worth storing.
    worker.finish(&mut *task);
    task.stop();
    result
}

fn start(context: &TaskContext, task: &mut dyn SourceTask) -> Result<()> {
    task.start(
        SourceTaskContext {
            connector: context.id.connector.to_string(),
            task: context.id.task,
            plugin: context.plugin(),
            stop: context.control.stop.clone(),
            offsets: std::sync::Arc::new(ConnectorOffsetReader {
                store: std::sync::Arc::clone(&context.stores.offsets),
                connector: std::sync::Arc::clone(&context.id.connector),
            }),
        },
        &context.config.props,
    )?;
    tracing::info!(
        "WorkerSourceTask{{id={}}} Source task finished initialization and start",
        context.id
    );
    Ok(())
}

struct Worker<'a> {
    context: &'a TaskContext,
    pipeline: Pipeline,
    producer: RecordProducer<Acknowledgements>,
    submitted: Submitted,
    converted: Converted,
    creation: Option<TopicCreation>,
    known_topics: HashSet<Topic>,
    last_topic: Topic,
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
        let config = clients::producer(&context.parts.config, &context.id, props)?;
        let acknowledgements = Acknowledgements::new(pipeline.tolerance.drops());
        let creation = match options.bool("topic.creation.enable") {
            true => TopicCreation::new(props)?,
            false => None,
        };
        let ms = |key: &str| Duration::from_millis(u64::try_from(options.int(key)).unwrap_or(0));
        let flush_interval = ms("offset.flush.interval.ms").max(Duration::from_millis(1));
        Ok(Self {
            context,
            pipeline,
            producer: RecordProducer::new(&config, acknowledgements)?,
            submitted: Submitted::default(),
            converted: Converted::default(),
            creation,
            known_topics: HashSet::new(),
            last_topic: Topic::new(),
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
                self.hear_of_deliveries()?;
                self.flush_if_due(task);
                control.wait_paused(PAUSED_TICK.min(self.flush_interval));
                continue;
            }
            match task.poll() {
                Ok(batch) => {
                    let count = batch.records.len();
                    self.send_batch(batch)?;
                    if (1..SMALL_BATCH_RECORDS).contains(&count) {
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

    fn hear_of_deliveries(&self) -> Result<()> {
        for _ in 0..DELIVERIES_PER_POLL {
            self.producer.poll(Duration::ZERO);
        }
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

    fn send_batch(&mut self, batch: SourceBatch) -> Result<()> {
        // One look at the clock for all records that bring no timestamp.
        self.now_ms = now_ms();
        for record in batch.records {
            self.send(record)?;
        }
        if let Some(progress) = batch.progress {
            let acknowledgements = self.producer.deliveries();
            self.submitted
                .progress(acknowledgements, &progress.partition, progress.offset);
        }
        Ok(())
    }

    fn send(&mut self, source: SourceRecord) -> Result<()> {
        let SourceRecord {
            record,
            source_partition,
            source_offset,
        } = source;
        let outcome = self
            .pipeline
            .transform(record)
            .and_then(|record| match record {
                None => Ok(None),
                Some(mut record) => {
                    self.pipeline.convert(&mut record, &mut self.converted)?;
                    Ok(Some(record))
                }
            });
        let record = match outcome {
            Ok(Some(record)) => record,
            // Dropped: its offset is stored with that of a later record.
            Ok(None) => return Ok(()),
            Err(failure) => {
                let id = self.context.id.to_string();
                let tolerance = &self.pipeline.tolerance;
                tolerance.log_failure(&id, &failure, || {
                    format!("where source record is = SourceRecord{{sourcePartition={source_partition:?}}}")
                });
                return tolerance.decide(failure);
            }
        };
        if let Some(timestamp) = record.timestamp.filter(|timestamp| *timestamp < -1) {
            return Err(Error::data(format!("Invalid record timestamp {timestamp}")));
        }
        if record.topic != self.last_topic {
            self.first_use(&record.topic)?;
            self.last_topic = record.topic.clone();
        }
        let token = self
            .submitted
            .token(self.producer.deliveries(), &source_partition);
        loop {
            let converted = &mut self.converted;
            let outgoing = Outgoing {
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
            match self.producer.send(outgoing, token) {
                Ok(()) => break,
                Err(Refused::Full(headers)) => {
                    converted.headers = headers;
                    self.wait_for_room()?;
                }
                Err(Refused::Failed(error)) => {
                    let topic = &record.topic;
                    let cause = self
                        .producer
                        .failed(format!("sending to topic {topic}"), &error);
                    if self.pipeline.tolerance.drops() {
                        tracing::error!(error = %Chain(&cause), "errors.tolerance drops a record");
                        return Ok(());
                    }
                    return Err(
                        Error::fatal("Unrecoverable exception trying to send").with_source(cause)
                    );
                }
            }
        }
        self.submitted.sent(token, source_offset);
        Ok(())
    }

    /// The queue is full: waits for deliveries.
    fn wait_for_room(&self) -> Result<()> {
        if self.context.control.is_abandoned() {
            return Err(Error::fatal(
                "the task was given up while Kafka took no records",
            ));
        }
        self.producer.poll(Duration::from_millis(10));
        self.hear_of_deliveries()
    }

    /// A topic is written to for the first time: it is created if that is ours to do.
    fn first_use(&mut self, topic: &Topic) -> Result<()> {
        if self.known_topics.contains(topic) {
            return Ok(());
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
        if Instant::now() >= self.next_flush {
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
        let maps: Vec<_> = offsets.iter().map(|(_, offset)| offset.to_map()).collect();
        let entries: Vec<_> = offsets
            .iter()
            .zip(maps)
            .map(|((partition, _), offset)| (&**partition, Some(offset)))
            .collect();
        let stored = self
            .context
            .stores
            .offsets
            .write(&id.connector, &entries, self.flush_limit);
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

    /// Waits for what is on its way, within limits, and stores the offsets of what arrived.
    fn finish(&mut self, task: &mut dyn SourceTask) {
        if self.context.control.is_abandoned() {
            return;
        }
        if self.submitted.has_pending(self.producer.deliveries()) {
            self.producer.flush(self.flush_limit);
        }
        self.flush(task);
    }
}
