//! The task: hands records to the writers of their topic partitions and says which offsets are safe.
//!
//! Answers for `io.confluent.connect.s3.S3SinkTask`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use connect_api::error::Chain;
use connect_api::record::{SinkRecord, TopicPartition};
use connect_api::sink::{Offsets, SinkTask, SinkTaskContext};
use connect_api::{Error, Props, Result};

use crate::boundary::Boundaries;
use crate::partition_writer::{PartitionWriter, Progress, Report};
use crate::settings::Settings;
use crate::storage::Store;

/// How long an offset commit waits for uploads that are under way. They are mostly done within a
/// second; what is not is committed the next time.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

/// One task.
#[derive(Debug, Default)]
pub(crate) struct S3SinkTask {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    context: SinkTaskContext,
    settings: Arc<Settings>,
    store: Arc<Store>,
    writers: HashMap<TopicPartition, Slot>,
}

/// A topic partition's writer, and what goes wrong around it.
#[derive(Debug)]
struct Slot {
    writer: PartitionWriter,
    rest: Option<Rest>,
    /// The consumer was set back in this `put`: its records are not the next ones.
    is_rewound: bool,
    /// Fails the task at the next `put`; an offset commit cannot.
    failure: Option<Error>,
    /// Records for which `max.write.duration.ms` left no time; the consumer is paused meanwhile.
    waiting: Vec<SinkRecord>,
}

/// A pause after a failure of the store (`retry.backoff.ms`), and where to read on after it.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    offset: i64,
}

impl S3SinkTask {
    fn running(&mut self) -> Result<&mut Running> {
        self.running
            .as_mut()
            .ok_or_else(|| Error::fatal("the task was not started"))
    }

    /// Starts over a store that is there already.
    pub(crate) fn start_with(
        &mut self,
        context: SinkTaskContext,
        settings: Settings,
        store: Store,
    ) {
        self.running = Some(Running {
            context,
            settings: Arc::new(settings),
            store: Arc::new(store),
            writers: HashMap::new(),
        });
    }
}

impl SinkTask for S3SinkTask {
    fn start(&mut self, context: SinkTaskContext, props: &Props) -> Result<()> {
        let settings = Settings::new(props)?;
        let store = Store::connect(&settings.store, &context.plugin.runtime)?;
        self.start_with(context, settings, store);
        Ok(())
    }

    fn take_json_text(&mut self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.settings.take_json_text())
    }

    fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let running = self.running()?;
        for partition in partitions {
            let writer = PartitionWriter::new(
                partition.clone(),
                &running.settings,
                &running.store,
                &running.context.stop,
                running
                    .settings
                    .exactly_once
                    .then(|| Boundaries::new(&running.store, &running.context.connector)),
            );
            running.writers.insert(
                partition.clone(),
                Slot {
                    writer,
                    rest: None,
                    is_rewound: false,
                    failure: None,
                    waiting: Vec::new(),
                },
            );
        }
        running.abort_unfinished(partitions);
        Ok(())
    }

    fn close(&mut self, _partitions: &[TopicPartition]) -> Result<()> {
        // Whichever are taken away: what is left is opened anew. Open files are given up, their
        // records are read again.
        self.running()?.writers.clear();
        Ok(())
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        self.running()?.put(records)
    }

    fn pre_commit(&mut self, _delivered: &Offsets) -> Result<Offsets> {
        let running = self.running()?;
        let deadline = Instant::now() + COMMIT_PATIENCE;
        let mut offsets = Offsets::new();
        for (partition, slot) in &mut running.writers {
            let wait = deadline.saturating_duration_since(Instant::now());
            slot.settle(partition, Some(wait), &running.context, &running.settings);
            if let Some(durable) = slot.writer.take_durable() {
                offsets.insert(partition.clone(), durable.offset());
            }
        }
        Ok(offsets)
    }

    fn stop(&mut self) {
        self.running = None;
    }
}

impl Running {
    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let now = now_ms();
        let Self {
            context,
            settings,
            writers,
            ..
        } = self;
        let runtime = Arc::clone(&context.runtime);
        let report = move |record: &SinkRecord, error: Error| runtime.report(record, error);
        for (partition, slot) in writers.iter_mut() {
            slot.begin_put(partition, context, settings)?;
            let waiting = std::mem::take(&mut slot.waiting);
            if !waiting.is_empty() {
                slot.write(partition, &waiting, now, &report, context, settings)?;
                if slot.waiting.is_empty() && slot.rest.is_none() {
                    context.runtime.resume(std::slice::from_ref(partition));
                }
            }
        }
        for run in records.chunk_by(same_partition) {
            let Some(first) = run.first() else { continue };
            let partition = TopicPartition {
                topic: first.record.topic.clone(),
                partition: first.record.partition.unwrap_or(first.original_partition),
            };
            let slot = writers.get_mut(&partition).ok_or_else(|| {
                Error::fatal(format!(
                    "No writer found for topic partition {partition}: records have to keep the \
                     topic that they were read from"
                ))
            })?;
            slot.write(&partition, run, now, &report, context, settings)?;
        }
        if settings.rules.goes_by_clock() {
            for (partition, slot) in writers.iter_mut() {
                slot.write(partition, &[], now, &report, context, settings)?;
            }
        }
        Ok(())
    }
}

impl Running {
    /// Gives up what a task that was killed has left of uploads to these partitions' names, so that
    /// nobody pays for parts that no object will have.
    fn abort_unfinished(&self, partitions: &[TopicPartition]) {
        let mut topics: Vec<&str> = partitions.iter().map(|of| &*of.topic).collect();
        topics.sort_unstable();
        topics.dedup();
        let (store, keys) = (&self.store, &self.settings.keys);
        for topic in topics {
            let found = store.wait(store.bucket.unfinished(&keys.topic_prefix(topic)));
            for (key, id) in found.unwrap_or_else(|error| {
                tracing::debug!(topic, %error, "unfinished uploads cannot be listed");
                Vec::new()
            }) {
                let is_ours = partitions
                    .iter()
                    .any(|of| of.topic == topic && keys.is_of(&key, topic, of.partition));
                if !is_ours {
                    continue;
                }
                match store.wait(store.bucket.abort(&key, &id)) {
                    Ok(()) => tracing::info!(key, "aborted an upload that a task before has left"),
                    Err(error) => tracing::debug!(key, %error, "an upload could not be aborted"),
                }
            }
        }
    }
}

impl Slot {
    /// Looks after uploads; ends a rest that is over.
    fn begin_put(
        &mut self,
        partition: &TopicPartition,
        context: &SinkTaskContext,
        settings: &Settings,
    ) -> Result<()> {
        self.is_rewound = false;
        if let Some(rest) = self.rest.filter(|rest| Instant::now() >= rest.until) {
            // Once more, for what was delivered in the meantime.
            context.runtime.seek(partition, rest.offset);
            context.runtime.resume(std::slice::from_ref(partition));
            self.rest = None;
            self.is_rewound = true;
        }
        self.settle(partition, None, context, settings);
        self.failure.take().map_or(Ok(()), Err)
    }

    fn write(
        &mut self,
        partition: &TopicPartition,
        records: &[SinkRecord],
        now: i64,
        report: Report<'_>,
        context: &SinkTaskContext,
        settings: &Settings,
    ) -> Result<()> {
        // What comes now was fetched before the consumer was set back.
        if self.rest.is_some() || self.is_rewound {
            return Ok(());
        }
        if !self.waiting.is_empty() {
            self.waiting.extend_from_slice(records);
            return Ok(());
        }
        let deadline = settings
            .max_write_duration
            .map(|limit| Instant::now() + limit);
        match self.writer.write(records, now, deadline, report) {
            Ok(taken) => {
                if let Some(rest) = records.get(taken..).filter(|rest| !rest.is_empty()) {
                    self.waiting.extend_from_slice(rest);
                    context.runtime.pause(std::slice::from_ref(partition));
                }
                Ok(())
            }
            Err(error) if error.is_retriable() => {
                tracing::warn!(%partition, error = %Chain(&error), "writing failed; its records are read again");
                let offset = self.writer.rewind();
                self.begin_rest(partition, offset, context, settings);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn settle(
        &mut self,
        partition: &TopicPartition,
        wait: Option<Duration>,
        context: &SinkTaskContext,
        settings: &Settings,
    ) {
        match self.writer.settle(wait) {
            Ok(Progress::Fine) => {}
            Ok(Progress::Rewind(offset)) => self.begin_rest(partition, offset, context, settings),
            // The first one says what went wrong.
            Err(error) => {
                self.failure.get_or_insert(error);
            }
        }
    }

    /// Sets the consumer back and leaves the partition alone for a while.
    fn begin_rest(
        &mut self,
        partition: &TopicPartition,
        offset: i64,
        context: &SinkTaskContext,
        settings: &Settings,
    ) {
        self.waiting.clear();
        context.runtime.seek(partition, offset);
        context.runtime.pause(std::slice::from_ref(partition));
        self.rest = Some(Rest {
            until: Instant::now() + settings.retry_backoff,
            offset,
        });
    }
}

fn same_partition(one: &SinkRecord, other: &SinkRecord) -> bool {
    let (a, b) = (&one.record, &other.record);
    a.partition == b.partition
        && ((a.topic.as_ptr() == b.topic.as_ptr() && a.topic.len() == b.topic.len())
            || a.topic == b.topic)
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
