//! A sink task: takes batches of records and says which of them are safe.
//!
//! Answers for `org.apache.kafka.connect.sink.{SinkTask, SinkTaskContext}`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::context::{PluginContext, StopSignal};
use crate::record::{SinkRecord, TopicPartition};
use crate::{Error, Props, Result};

/// Offsets of the next record to read, per partition.
pub type Offsets = HashMap<TopicPartition, i64>;

/// What a sink task can ask of its consumer, and where bad records go. Requests take effect when
/// the task's call returns.
pub trait SinkRuntime: Send + Sync {
    /// The partitions that the task has now.
    fn assignment(&self) -> Vec<TopicPartition>;
    /// Reads on from this offset.
    fn seek(&self, partition: &TopicPartition, offset: i64);
    /// Stops the delivery of these partitions.
    fn pause(&self, partitions: &[TopicPartition]);
    /// Resumes their delivery.
    fn resume(&self, partitions: &[TopicPartition]);
    /// Asks for an offset commit soon.
    fn request_commit(&self);
    /// The pause before the next `put` after a retriable error (`SinkTaskContext.timeout`).
    fn retry_after(&self, pause: Duration);
    /// Hands a bad record to the dead letter queue (`ErrantRecordReporter`).
    ///
    /// # Errors
    /// `errors.tolerance` allows no bad record, or the dead letter queue cannot be written.
    fn report(&self, record: &SinkRecord, error: Error) -> Result<()>;
}

/// What a sink task gets when it starts.
#[derive(Clone)]
pub struct SinkTaskContext {
    /// The connector's name.
    pub connector: String,
    /// The task's number, from 0.
    pub task: u32,
    /// The runtime and what goes with it.
    pub plugin: PluginContext,
    /// Set when the task is to stop.
    pub stop: StopSignal,
    /// The consumer's side.
    pub runtime: Arc<dyn SinkRuntime>,
}

impl std::fmt::Debug for SinkTaskContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkTaskContext")
            .field("connector", &self.connector)
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

/// The part that writes. Lives on a thread of its own and may block it.
pub trait SinkTask: Send {
    /// Starts with one of the connector's task configurations.
    ///
    /// # Errors
    /// The task is then FAILED.
    fn start(&mut self, context: SinkTaskContext, props: &Props) -> Result<()>;

    /// Asked after the start where values are schemaless JSON that nothing changes on its way: takes
    /// objects as BYTES without a schema that hold the text that would be printed of them
    /// (`data::json::write_schemaless`), and values of the usual kind besides. Answers whether it does.
    fn take_json_text(&mut self) -> bool {
        false
    }

    /// These partitions are the task's from now on.
    ///
    /// # Errors
    /// The task is then FAILED.
    fn open(&mut self, partitions: &[TopicPartition]) -> Result<()>;

    /// These partitions are the task's no longer; offsets were asked for and committed before.
    ///
    /// # Errors
    /// Logged.
    fn close(&mut self, partitions: &[TopicPartition]) -> Result<()>;

    /// Takes records, in order per partition; called with none too, so that the task can act on
    /// time. Records of one partition follow each other where the consumer fetched them so.
    ///
    /// # Errors
    /// Retriable: the same records are given again after a pause. Anything else: the task is FAILED.
    fn put(&mut self, records: &[SinkRecord]) -> Result<()>;

    /// Which offsets may be committed: at most `delivered`, what was handed to `put`. A partition
    /// that is left out keeps its committed offset.
    ///
    /// # Errors
    /// The commit is left out this time, the task goes on.
    fn pre_commit(&mut self, delivered: &Offsets) -> Result<Offsets>;

    /// Stops and lets go of everything. Called once, on the task's own thread.
    fn stop(&mut self);
}
