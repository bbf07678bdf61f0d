//! What a sink task can ask of its consumer, and where it reports bad records.
//!
//! Requests are noted here and heeded by the task's loop. Answers for `WorkerSinkTaskContext` and
//! `WorkerErrantRecordReporter`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connect_api::record::{SinkRecord, TopicPartition};
use connect_api::sink::SinkRuntime;
use connect_api::{Error, Result};

use super::dead_letter::{DeadLetterQueue, RawMessage};
use super::tolerance::{Failure, Stage, Tolerance};

/// What a task has asked for.
#[derive(Debug, Default)]
pub struct Requests {
    /// Where to read on.
    pub seeks: HashMap<TopicPartition, i64>,
    /// What to deliver no more.
    pub pause: Vec<TopicPartition>,
    /// What to deliver again.
    pub resume: Vec<TopicPartition>,
    /// Whether to commit soon.
    pub commit: bool,
    /// The pause before the next `put` of the same batch.
    pub retry_after: Option<Duration>,
}

/// Where bad records go.
#[derive(Debug)]
pub struct Reports {
    task: String,
    tolerance: Tolerance,
    queue: Option<Arc<DeadLetterQueue>>,
}

impl Reports {
    /// For the task of this name.
    pub fn new(task: String, tolerance: Tolerance, queue: Option<Arc<DeadLetterQueue>>) -> Self {
        Self {
            task,
            tolerance,
            queue,
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    assignment: Vec<TopicPartition>,
    paused: HashSet<TopicPartition>,
    requests: Requests,
    /// The messages of the batch that is being put, for reports.
    messages: HashMap<(TopicPartition, i64), RawMessage>,
    report_failure: Option<Error>,
}

/// The side of the runtime that a sink task sees.
#[derive(Debug)]
pub struct TaskRuntime {
    shared: Mutex<Shared>,
    reports: Option<Reports>,
}

impl TaskRuntime {
    /// With a place for bad records, or none.
    pub fn new(reports: Option<Reports>) -> Self {
        Self {
            shared: Mutex::default(),
            reports,
        }
    }
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// What was asked for since the last call. A pause before the next `put` stays.
    pub fn take_requests(&self) -> Requests {
        std::mem::take(&mut self.lock().requests)
    }
    /// The pause that was asked for before the next `put`.
    pub fn take_retry_after(&self) -> Option<Duration> {
        self.lock().requests.retry_after.take()
    }
    /// What the task has now.
    pub fn set_assignment(&self, assignment: &[TopicPartition]) {
        let mut shared = self.lock();
        shared.assignment = assignment.to_vec();
        shared
            .paused
            .retain(|partition| assignment.contains(partition));
    }
    /// Whether the task itself has paused a partition.
    pub fn is_paused(&self, partition: &TopicPartition) -> bool {
        self.lock().paused.contains(partition)
    }
    /// Keeps a message until the batch is put, where it may be reported.
    pub fn keep_for_report(&self, message: RawMessage) {
        if self
            .reports
            .as_ref()
            .is_some_and(|reports| reports.queue.is_some())
        {
            let partition = TopicPartition {
                topic: message.topic.clone(),
                partition: message.partition,
            };
            self.lock()
                .messages
                .insert((partition, message.offset), message);
        }
    }
    /// The batch was put.
    pub fn forget_reports(&self) {
        if self.reports.is_some() {
            self.lock().messages.clear();
        }
    }
    /// Why the task has to fail although `put` went well.
    pub fn take_report_failure(&self) -> Option<Error> {
        self.reports
            .as_ref()
            .and_then(|_| self.lock().report_failure.take())
    }
}

impl SinkRuntime for TaskRuntime {
    fn assignment(&self) -> Vec<TopicPartition> {
        self.lock().assignment.clone()
    }
    fn seek(&self, partition: &TopicPartition, offset: i64) {
        self.lock().requests.seeks.insert(partition.clone(), offset);
    }
    fn pause(&self, partitions: &[TopicPartition]) {
        let mut shared = self.lock();
        shared.paused.extend(partitions.iter().cloned());
        shared.requests.pause.extend_from_slice(partitions);
        shared
            .requests
            .resume
            .retain(|partition| !partitions.contains(partition));
    }
    fn resume(&self, partitions: &[TopicPartition]) {
        let mut shared = self.lock();
        shared
            .paused
            .retain(|partition| !partitions.contains(partition));
        shared.requests.resume.extend_from_slice(partitions);
        shared
            .requests
            .pause
            .retain(|partition| !partitions.contains(partition));
    }
    fn request_commit(&self) {
        self.lock().requests.commit = true;
    }
    fn retry_after(&self, pause: Duration) {
        self.lock().requests.retry_after = Some(pause);
    }
    fn report(&self, record: &SinkRecord, error: Error) -> Result<()> {
        let Some(reports) = &self.reports else {
            return Err(error);
        };
        let failure = Failure {
            stage: Stage::TaskPut,
            class: "org.apache.kafka.connect.sink.SinkTask",
            error,
        };
        let partition = TopicPartition {
            topic: record.original_topic.clone(),
            partition: record.original_partition,
        };
        reports.tolerance.log_failure(&reports.task, &failure, || {
            format!(
                "where consumed record is {{topic='{}', partition={}, offset={}}}",
                partition.topic, partition.partition, record.offset
            )
        });
        if let Some(queue) = &reports.queue {
            let key = (partition, record.offset);
            if let Some(message) = self.lock().messages.get(&key) {
                queue.send(message, &failure);
            }
        }
        reports
            .tolerance
            .decide(failure)
            .inspect_err(|_intolerant| {
                self.lock().report_failure =
                    Some(Error::fatal("Tolerance exceeded in error handler"));
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_taken_once() {
        let runtime = TaskRuntime::new(None);
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 1,
        };
        runtime.seek(&partition, 7);
        runtime.pause(std::slice::from_ref(&partition));
        runtime.request_commit();
        let requests = runtime.take_requests();
        assert_eq!(requests.seeks[&partition], 7);
        assert!(requests.commit);
        assert_eq!(requests.pause, [partition]);
        assert!(!runtime.take_requests().commit);
    }
}
