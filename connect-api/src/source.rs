//! A source task: gives batches of records and hears what has become safe.
//!
//! Answers for `org.apache.kafka.connect.source.{SourceTask, SourceTaskContext}`.

use std::sync::Arc;

use crate::context::{PluginContext, StopSignal};
use crate::data::json::JsonOptions;
use crate::record::{OffsetMap, SourceOffset, SourcePartition, SourceRecord};
use crate::{Bytes, Props, Result};

/// Reads the offsets that a connector has stored (`OffsetStorageReader`).
pub trait OffsetReader: Send + Sync {
    /// The stored offset of each partition, in the order of `partitions`.
    ///
    /// # Errors
    /// The offsets topic could not be read.
    fn read(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>>;
}

/// A record of a topic: key and value.
pub type TopicRecord = (Option<Bytes>, Option<Bytes>);

/// Reads topics for a plugin, which knows no Kafka client: signals to a connector.
pub trait TopicAccess: Send + Sync {
    /// Reads partition 0 of a topic as a member of the group that `settings`, in the names of the
    /// Java client, give; from where the group stands, else from the beginning.
    ///
    /// # Errors
    /// The settings are wrong.
    fn open(&self, settings: &Props, topic: &str) -> Result<Box<dyn TopicReader>>;
}

/// Reads one partition of a topic.
pub trait TopicReader: Send {
    /// The records that are there, without waiting for others. They count as read.
    ///
    /// # Errors
    /// The topic cannot be read.
    fn poll(&mut self) -> Result<Vec<TopicRecord>>;
}

/// What a source task can ask of the runtime.
#[derive(Clone)]
pub struct SourceTaskContext {
    /// The connector's name.
    pub connector: String,
    /// The task's number, from 0.
    pub task: u32,
    /// The runtime and what goes with it.
    pub plugin: PluginContext,
    /// Set when the task is to stop; a blocked `poll` must return soon after.
    pub stop: StopSignal,
    /// The stored offsets.
    pub offsets: Arc<dyn OffsetReader>,
    /// Topics to read, where there is a Kafka.
    pub topics: Option<Arc<dyn TopicAccess>>,
}

impl std::fmt::Debug for SourceTaskContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceTaskContext")
            .field("connector", &self.connector)
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

/// A position that became reachable without a record, e.g. on an idle slot. It is stored once all
/// records before it are in Kafka.
#[derive(Clone, Debug)]
pub struct SourceProgress {
    /// The partition.
    pub partition: Arc<SourcePartition>,
    /// The position.
    pub offset: Arc<dyn SourceOffset>,
}

/// What one `poll` gives.
#[derive(Clone, Debug, Default)]
pub struct SourceBatch {
    /// The records, in order.
    pub records: Vec<SourceRecord>,
    /// Where the source stands after the records, if it got further than the last of them.
    pub progress: Option<SourceProgress>,
    /// The next batch belongs to this one: they were divided only to be handled sooner. A
    /// transaction of each poll (`transaction.boundary=poll`) goes on, and no pause is made.
    pub more: bool,
    /// Ends of the source's own transactions: counts of records after which one is complete,
    /// ascending (`transaction.boundary=connector`).
    pub boundaries: Vec<usize>,
}

/// The part that reads. Lives on a thread of its own and may block it.
pub trait SourceTask: Send {
    /// Starts with one of the connector's task configurations.
    ///
    /// # Errors
    /// The task is then FAILED.
    fn start(&mut self, context: SourceTaskContext, props: &Props) -> Result<()>;

    /// The values of all records go straight to a converter that writes JSON in this way: those
    /// with a STRUCT's schema may come as BYTES that hold their JSON text. Called before `start`.
    fn give_json_text(&mut self, _options: JsonOptions) {}

    /// The next records; an empty batch when there are none for now. Waits a little rather than
    /// return empty at once, and returns soon after the stop signal.
    ///
    /// # Errors
    /// Retriable: it is called again after a pause. Anything else: the task is FAILED.
    fn poll(&mut self) -> Result<SourceBatch>;

    /// These offsets, one per source partition, are stored: everything up to them is safe and
    /// never asked for again (`SourceTask.commit` after a flush). What the source holds for them
    /// (a slot's position) may move now.
    ///
    /// # Errors
    /// Logged; the task goes on.
    fn committed(
        &mut self,
        offsets: &[(Arc<SourcePartition>, Arc<dyn SourceOffset>)],
    ) -> Result<()>;

    /// Stops and lets go of everything. Called once, on the task's own thread, after the last
    /// `poll` and `committed`, also after a failed start.
    fn stop(&mut self);
}
