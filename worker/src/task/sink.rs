//! The loop of a sink task: poll, convert, transform, put; commit what the task calls safe.
//!
//! Rebalances are settled between polls: what leaves is committed and closed first. A batch that
//! `put` wants again is kept, with all partitions paused, so that nothing else arrives meanwhile.
//! Answers for `WorkerSinkTask`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::data::{Blocks, ByteString};
use connect_api::error::Chain;
use connect_api::java::Regex;
use connect_api::record::{Record, SinkRecord, TimestampType, Topic, TopicPartition};
use connect_api::sink::{Offsets, SinkTask, SinkTaskContext};
use connect_api::{Error, Result};

use super::clients::{self, SinkConsumer};
use super::dead_letter::{DeadLetterQueue, RawMessage};
use super::lifecycle::TaskContext;
use super::pipeline::Pipeline;
use super::sink_runtime::{Reports, Requests, TaskRuntime};
use super::tolerance::Failure;
use crate::kafka::admin::Admin;
use crate::kafka::consumer::{GroupConsumer, Message, Rebalance};
use crate::store::status::State;

/// Most records of a poll where `max.poll.records` is not set: Java's default, and few enough that
/// they are still in the processor's cache when the task gets them.
const MAX_POLL_RECORDS: usize = 500;
/// How long a poll waits at most: bounds how late a stop or a pause is seen. Each ends with a busy
/// fraction of a millisecond in the client.
const POLL: Duration = Duration::from_millis(200);
/// The pause before a batch is put again where the task asks for none.
const REDELIVERY_PAUSE: Duration = Duration::from_secs(1);
/// How often topics are looked for while `topics.regex` matches none.
const NO_TOPIC_INTERVAL: Duration = Duration::from_secs(5);

/// Runs a sink task until it is told to stop.
///
/// # Errors
/// The task has failed.
pub fn run(context: TaskContext, mut task: Box<dyn SinkTask>) -> Result<()> {
    let pipeline = Pipeline::new(&context)?;
    let consumer = Reader::new(&context)?;
    context.made();
    let queue = DeadLetterQueue::new(&context)?.map(Arc::new);
    let reports = (queue.is_some() || pipeline.tolerance.logs()).then(|| {
        Reports::new(
            context.id.to_string(),
            pipeline.tolerance.clone(),
            queue.clone(),
        )
    });
    let runtime = Arc::new(TaskRuntime::new(reports));
    let result = task
        .start(
            SinkTaskContext {
                connector: context.id.connector.to_string(),
                task: context.id.task,
                plugin: context.plugin(),
                stop: context.control.stop.clone(),
                runtime: Arc::clone(&runtime) as _,
            },
            &context.config.props,
        )
        .and_then(|()| {
            let id = &context.id;
            tracing::info!("WorkerSinkTask{{id={id}}} Sink task finished initialization and start");
            let mut pipeline = pipeline;
            if pipeline.has_json_text() && task.take_json_text() {
                pipeline.value.converter.give_json_text();
            }
            let mut worker = Worker::new(&context, pipeline, consumer, queue, runtime)?;
            let result = worker.work(&mut *task);
            worker.finish(&mut *task);
            result
        });
    task.stop();
    result
}

/// Which topics a sink reads.
enum Subscription {
    Named,
    /// With the topics that match now, and when to look again.
    Pattern(Box<Regex>, Vec<String>, Instant),
}

struct Worker<'a> {
    context: &'a TaskContext,
    pipeline: Pipeline,
    queue: Option<Arc<DeadLetterQueue>>,
    runtime: Arc<TaskRuntime>,
    consumer: GroupConsumer,
    subscription: Subscription,
    metadata_max_age: Duration,
    max_poll_records: usize,
    assignment: Vec<TopicPartition>,
    /// Offsets after what `put` has taken.
    delivered: Offsets,
    committed: Offsets,
    /// What `put` shall take next, again where it asked for that.
    batch: Vec<SinkRecord>,
    /// Offsets after the batch.
    polled: Offsets,
    /// When the batch may be put again.
    redeliver_at: Option<Instant>,
    paused: bool,
    commit_interval: Duration,
    next_commit: Instant,
    blocks: Blocks,
    last_topic: Topic,
}

/// A task's consumer with what of its settings is ours to heed.
struct Reader {
    consumer: GroupConsumer,
    metadata_max_age: Duration,
    max_poll_records: usize,
    /// A session that brokers may refuse and the client library does not ask for: whom to ask, the
    /// group, and its milliseconds.
    longer_session: Option<(Admin, String, i32)>,
}

impl Reader {
    fn new(context: &TaskContext) -> Result<Self> {
        let SinkConsumer {
            config,
            max_poll_records,
            longer_session,
        } = clients::consumer(&context.parts.config, &context.id, &context.connector.props)?;
        let longer_session = match longer_session {
            Some(session) => Some((
                Admin::new(&config, context.parts.runtime.clone())?,
                config.get("group.id").unwrap_or_default().to_owned(),
                session,
            )),
            None => None,
        };
        let age = config
            .get("topic.metadata.refresh.interval.ms")
            .and_then(|age| age.parse().ok());
        Ok(Self {
            consumer: GroupConsumer::new(&config)?,
            metadata_max_age: Duration::from_millis(age.unwrap_or(300_000)),
            max_poll_records: max_poll_records.unwrap_or(MAX_POLL_RECORDS).max(1),
            longer_session,
        })
    }
}

impl<'a> Worker<'a> {
    fn new(
        context: &'a TaskContext,
        pipeline: Pipeline,
        reader: Reader,
        queue: Option<Arc<DeadLetterQueue>>,
        runtime: Arc<TaskRuntime>,
    ) -> Result<Self> {
        let props = &context.connector.props;
        let Reader {
            consumer,
            metadata_max_age,
            max_poll_records,
            longer_session,
        } = reader;
        if let Some((admin, group, session)) = longer_session {
            admin.check_session(&group, session)?;
        }
        let pattern = props
            .get("topics.regex")
            .map(|text| text.trim())
            .filter(|text| !text.is_empty());
        let subscription = match pattern {
            Some(pattern) => {
                let pattern = Regex::new(pattern).map_err(|error| {
                    Error::config(format!("the pattern of topics.regex is wrong: {error}"))
                })?;
                Subscription::Pattern(Box::new(pattern), Vec::new(), Instant::now())
            }
            None => {
                let topics = props.get("topics").map_or("", String::as_str);
                let topics: Vec<&str> = topics
                    .split(',')
                    .map(str::trim)
                    .filter(|topic| !topic.is_empty())
                    .collect();
                if let Some(error) = invalid_topics(&topics) {
                    return Err(error);
                }
                consumer.subscribe(&topics)?;
                Subscription::Named
            }
        };
        let interval = context.parts.config.options.int("offset.flush.interval.ms");
        let commit_interval = Duration::from_millis(u64::try_from(interval).unwrap_or(0).max(1));
        Ok(Self {
            context,
            pipeline,
            queue,
            runtime,
            consumer,
            subscription,
            metadata_max_age,
            max_poll_records,
            assignment: Vec::new(),
            delivered: Offsets::new(),
            committed: Offsets::new(),
            batch: Vec::new(),
            polled: Offsets::new(),
            redeliver_at: None,
            paused: false,
            commit_interval,
            next_commit: Instant::now() + commit_interval,
            blocks: Blocks::default(),
            last_topic: Topic::new(),
        })
    }

    fn work(&mut self, task: &mut dyn SinkTask) -> Result<()> {
        let control = Arc::clone(&self.context.control);
        self.paused = control.is_paused();
        self.context.reporter.state(if self.paused {
            State::Paused
        } else {
            State::Running
        });
        while !control.stop.is_set() {
            if control.is_paused() != self.paused {
                self.switch_pause()?;
            }
            self.subscribe_if_due();
            let requests = self.runtime.take_requests();
            let commit = requests.commit || Instant::now() >= self.next_commit;
            self.heed(requests)?;
            if commit {
                self.commit(task, false);
                self.next_commit = Instant::now() + self.commit_interval;
            }
            self.poll()?;
            if self.redeliver_at.is_none_or(|at| at <= Instant::now()) {
                self.put(task)?;
            }
            for rebalance in self.consumer.take_rebalances() {
                self.settle(task, &rebalance)?;
            }
            for error in self.consumer.take_commit_failures() {
                // Another attempt follows with the next commit.
                self.committed.clear();
                tracing::error!(error = %Chain(&error), "WorkerSinkTask{{id={}}} Commit of offsets threw an unexpected exception", self.context.id);
            }
        }
        Ok(())
    }

    fn switch_pause(&mut self) -> Result<()> {
        self.paused = !self.paused;
        if self.paused {
            self.consumer.pause(&self.assignment)?;
            self.next_commit = Instant::now();
        } else if self.redeliver_at.is_none() {
            self.resume()?;
        }
        self.context.reporter.state(if self.paused {
            State::Paused
        } else {
            State::Running
        });
        Ok(())
    }

    /// Resumes what the task itself has not paused.
    fn resume(&self) -> Result<()> {
        let wanted: Vec<TopicPartition> = self
            .assignment
            .iter()
            .filter(|partition| !self.runtime.is_paused(partition))
            .cloned()
            .collect();
        self.consumer.resume(&wanted)
    }

    fn subscribe_if_due(&mut self) {
        let Subscription::Pattern(pattern, current, next_look) = &mut self.subscription else {
            return;
        };
        if *next_look > Instant::now() {
            return;
        }
        let found = self.consumer.topics(Duration::from_secs(10)).map(|topics| {
            let mut topics: Vec<String> = topics
                .into_iter()
                .filter(|topic| topic != "__consumer_offsets" && topic != "__transaction_state")
                .filter(|topic| pattern.matches(topic))
                .collect();
            topics.sort();
            topics
        });
        let result = found.and_then(|topics| {
            if *current != topics && !topics.is_empty() {
                let names: Vec<&str> = topics.iter().map(String::as_str).collect();
                self.consumer.subscribe(&names)?;
                *current = topics;
            }
            Ok(())
        });
        if let Err(error) = result {
            tracing::warn!(error = %Chain(&error), "looking for topics that match topics.regex");
        }
        let pause = if current.is_empty() {
            NO_TOPIC_INTERVAL.min(self.metadata_max_age)
        } else {
            self.metadata_max_age
        };
        *next_look = Instant::now() + pause;
    }

    /// Does what the task has asked for since the last time.
    fn heed(&mut self, requests: Requests) -> Result<()> {
        for (partition, offset) in requests.seeks {
            self.rewind(&partition, offset)?;
        }
        if !requests.pause.is_empty() {
            self.consumer.pause(&requests.pause)?;
        }
        if !requests.resume.is_empty() && !self.paused && self.redeliver_at.is_none() {
            self.consumer.resume(&requests.resume)?;
        }
        if let Some(pause) = requests.retry_after
            && self.redeliver_at.is_some()
        {
            self.redeliver_at = Some(Instant::now() + pause);
        }
        Ok(())
    }

    fn rewind(&mut self, partition: &TopicPartition, offset: i64) -> Result<()> {
        if !self.assignment.contains(partition) {
            tracing::warn!(%partition, "not seeking in a partition that is not assigned");
            return Ok(());
        }
        self.consumer.seek(partition, offset)?;
        self.batch.retain(|record| !is_of(record, partition));
        self.polled.remove(partition);
        self.delivered.insert(partition.clone(), offset);
        self.committed.insert(partition.clone(), offset);
        Ok(())
    }

    /// Fetches messages and makes records of them. While a batch waits to be put again the
    /// partitions are paused, and this only keeps the group membership alive.
    fn poll(&mut self) -> Result<()> {
        let mut wait = POLL.min(self.next_commit.saturating_duration_since(Instant::now()));
        if let Some(at) = self.redeliver_at {
            wait = wait.min(at.saturating_duration_since(Instant::now()));
        }
        // Messages of a partition follow each other, so its position is noted once a run.
        let mut run: Option<(TopicPartition, i64)> = None;
        let mut result = Ok(());
        // Also with a full batch the consumer has to be polled, or its group would give it up.
        loop {
            let Some(message) = self.consumer.poll(wait)? else {
                break;
            };
            wait = Duration::ZERO;
            let message = own(&message, &mut self.blocks, &mut self.last_topic);
            match &mut run {
                Some((partition, next))
                    if partition.partition == message.partition
                        && partition.topic == message.topic =>
                {
                    *next = message.offset + 1;
                }
                _ => {
                    self.polled.extend(run.take());
                    let partition = TopicPartition {
                        topic: message.topic.clone(),
                        partition: message.partition,
                    };
                    self.context.uses_topic(&partition.topic);
                    run = Some((partition, message.offset + 1));
                }
            }
            result = self.take(message);
            if result.is_err() || self.batch.len() >= self.max_poll_records {
                break;
            }
        }
        self.polled.extend(run);
        result
    }

    /// Converts a message; a bad one is reported, and dropped where that is tolerated.
    fn take(&mut self, mut message: RawMessage) -> Result<()> {
        match convert(&mut message, &mut self.pipeline) {
            Ok(Some(record)) => {
                self.runtime.keep_for_report(message);
                self.batch.push(record);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(failure) => {
                let tolerance = &self.pipeline.tolerance;
                tolerance.log_failure(&self.context.id.to_string(), &failure, || {
                    describe(&message)
                });
                if let Some(queue) = &self.queue {
                    queue.send(&message, &failure);
                }
                tolerance.decide(failure)
            }
        }
    }

    /// Hands the batch to the task.
    fn put(&mut self, task: &mut dyn SinkTask) -> Result<()> {
        match task.put(&self.batch) {
            Ok(()) => {
                self.delivered.extend(self.polled.drain());
                self.batch.clear();
                self.runtime.forget_reports();
                if self.redeliver_at.take().is_some() && !self.paused {
                    self.resume()?;
                }
                match self.runtime.take_report_failure() {
                    Some(error) => Err(error),
                    None => Ok(()),
                }
            }
            Err(error) if error.is_retriable() => {
                tracing::error!(error = %Chain(&error), "WorkerSinkTask{{id={}}} RetriableException from SinkTask", self.context.id);
                if self.redeliver_at.is_none() {
                    self.consumer.pause(&self.assignment)?;
                }
                let pause = self.runtime.take_retry_after().unwrap_or(REDELIVERY_PAUSE);
                self.redeliver_at = Some(Instant::now() + pause);
                Ok(())
            }
            Err(error) => Err(Error::fatal(
                "Exiting WorkerSinkTask due to unrecoverable exception.",
            )
            .with_source(error)),
        }
    }

    /// Commits what the task calls safe.
    fn commit(&mut self, task: &mut dyn SinkTask, closing: bool) {
        if self.assignment.is_empty() || self.context.control.is_abandoned() {
            return;
        }
        let id = &self.context.id;
        let mut offsets = match task.pre_commit(&self.delivered) {
            Ok(offsets) => offsets,
            Err(error) if closing => {
                tracing::warn!(error = %Chain(&error), "WorkerSinkTask{{id={id}}} Offset commit failed during close");
                return;
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "WorkerSinkTask{{id={id}}} Offset commit failed, rewinding to last committed offsets");
                for (partition, offset) in self.committed.clone() {
                    if let Err(error) = self.rewind(&partition, offset) {
                        tracing::error!(error = %Chain(&error), "rewinding");
                    }
                }
                return;
            }
        };
        if let Some(queue) = &self.queue {
            queue.flush();
        }
        offsets.retain(|partition, offset| {
            let known = self.delivered.get(partition).is_some_and(|delivered| *offset <= *delivered);
            if !known {
                tracing::warn!(%partition, offset, "ignoring an offset that was not consumed by this task");
            }
            known && self.committed.get(partition) != Some(offset)
        });
        if offsets.is_empty() {
            return;
        }
        match self.consumer.commit(&offsets, closing) {
            Ok(()) => self.committed.extend(offsets),
            Err(error) => {
                tracing::error!(error = %Chain(&error), "WorkerSinkTask{{id={id}}} Commit of offsets failed");
            }
        }
    }

    /// Takes new partitions, or gives up those that go elsewhere.
    fn settle(&mut self, task: &mut dyn SinkTask, rebalance: &Rebalance) -> Result<()> {
        match rebalance {
            Rebalance::Assigned(partitions) => {
                self.consumer.accept(rebalance)?;
                if partitions.is_empty() {
                    return Ok(());
                }
                self.assignment.extend(partitions.iter().cloned());
                self.runtime.set_assignment(&self.assignment);
                tracing::info!(partitions = %names(partitions), "WorkerSinkTask{{id={}}} partitions assigned", self.context.id);
                let committed = self.consumer.committed(partitions, Duration::from_secs(30));
                if let Ok(committed) = committed {
                    self.delivered
                        .extend(committed.iter().map(|(p, offset)| (p.clone(), *offset)));
                    self.committed.extend(committed);
                }
                task.open(partitions)?;
                let requests = self.runtime.take_requests();
                self.heed(requests)?;
                if self.paused || self.redeliver_at.is_some() {
                    self.consumer.pause(partitions)?;
                }
            }
            Rebalance::Revoked(partitions) if partitions.is_empty() => {
                self.consumer.accept(rebalance)?;
            }
            Rebalance::Revoked(partitions) => {
                if self.consumer.is_lost() {
                    tracing::warn!(
                        "WorkerSinkTask{{id={}}} partitions were lost",
                        self.context.id
                    );
                } else {
                    self.commit(task, true);
                }
                self.close(task, partitions);
                self.consumer.accept(rebalance)?;
            }
        }
        Ok(())
    }

    fn close(&mut self, task: &mut dyn SinkTask, partitions: &[TopicPartition]) {
        if let Err(error) = task.close(partitions) {
            tracing::error!(error = %Chain(&error), "WorkerSinkTask{{id={}}} closing partitions", self.context.id);
        }
        self.assignment
            .retain(|partition| !partitions.contains(partition));
        self.runtime.set_assignment(&self.assignment);
        for partition in partitions {
            self.batch.retain(|record| !is_of(record, partition));
            self.polled.remove(partition);
            self.delivered.remove(partition);
            self.committed.remove(partition);
        }
        if self.batch.is_empty() {
            self.redeliver_at = None;
        }
    }

    /// Commits and closes everything.
    fn finish(&mut self, task: &mut dyn SinkTask) {
        self.commit(task, true);
        let all = std::mem::take(&mut self.assignment);
        if !all.is_empty() {
            self.close(task, &all);
        }
    }
}

fn is_of(record: &SinkRecord, partition: &TopicPartition) -> bool {
    record.original_partition == partition.partition && record.original_topic == partition.topic
}

fn names(partitions: &[TopicPartition]) -> String {
    partitions
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn describe(message: &RawMessage) -> String {
    let RawMessage {
        topic,
        partition,
        offset,
        timestamp_type,
        ..
    } = message;
    let timestamp = match message.timestamp {
        Some(timestamp) => format!(", timestamp={timestamp}, timestampType={timestamp_type}"),
        None => String::new(),
    };
    format!(
        "where consumed record is {{topic='{topic}', partition={partition}, offset={offset}{timestamp}}}"
    )
}

/// The message with its bytes in a shared block.
fn own(message: &Message<'_>, blocks: &mut Blocks, last_topic: &mut Topic) -> RawMessage {
    let mut copy = |bytes: &[u8]| blocks.copy(bytes);
    let key = message.key().map(&mut copy);
    let value = message.value().map(&mut copy);
    let headers = message.headers(|name, value| (ByteString::from(name), value.map(&mut copy)));
    if *last_topic != message.topic() {
        *last_topic = Topic::from(message.topic());
    }
    let (timestamp, timestamp_type) = match message.timestamp() {
        (TimestampType::NoTimestamp, _) => (None, "NoTimestampType"),
        (TimestampType::CreateTime, timestamp) => (Some(timestamp), "CreateTime"),
        (TimestampType::LogAppendTime, timestamp) => (Some(timestamp), "LogAppendTime"),
    };
    RawMessage {
        topic: last_topic.clone(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp,
        timestamp_type,
        key,
        value,
        headers,
    }
}

/// The record of a message, transformed; `None` where a transformation drops it.
fn convert(
    message: &mut RawMessage,
    pipeline: &mut Pipeline,
) -> Result<Option<SinkRecord>, Failure> {
    let (key, value, headers) = pipeline.read(
        &message.topic,
        message.key.as_ref(),
        message.value.as_ref(),
        &message.headers,
    )?;
    let mut converted = SinkRecord {
        record: Record {
            topic: message.topic.clone(),
            partition: Some(message.partition),
            key,
            value,
            timestamp: message.timestamp,
            headers,
            offset: Some(message.offset),
        },
        offset: message.offset,
        timestamp_type: match message.timestamp_type {
            "CreateTime" => TimestampType::CreateTime,
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::NoTimestamp,
        },
        original_topic: message.topic.clone(),
        original_partition: message.partition,
    };
    let stays = pipeline.transform(&mut converted.record)?;
    Ok(stays.then_some(converted))
}

/// What the brokers refuse: a name that no topic can have (`Topic.validate`).
fn invalid_topics(topics: &[&str]) -> Option<Error> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let can_be = |topic: &str| {
        topic.len() <= 249 && topic != "." && topic != ".." && topic.bytes().all(legal)
    };
    let wrong: Vec<&str> = topics
        .iter()
        .copied()
        .filter(|topic| !can_be(topic))
        .collect();
    (!wrong.is_empty()).then(|| {
        Error::config(format!("Invalid topics: [{}]", wrong.join(", ")))
            .with_class("org.apache.kafka.common.errors.InvalidTopicException")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_topic_can_have_are_told() {
        assert!(invalid_topics(&["a.b_c-1"]).is_none());
        let error = invalid_topics(&["a", "a b", ".."]).expect("refused");
        assert_eq!(error.message(), "Invalid topics: [a b, ..]");
    }
}
