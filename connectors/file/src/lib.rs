//! The file source and the file sink: lines of a file to records, records to lines of a file.
//!
//! The smallest connectors there are, and the ones to copy for a new one: a definition of options,
//! a connector that divides the work (here: one task), a task that moves the records.
//!
//! Answers for Kafka's `connect-file` (`org.apache.kafka.connect.file`).

mod sink;
mod source;

use connect_api::plugin::{Make, Plugin};

/// The two connectors.
pub const PLUGINS: &[Plugin] = &[
    Plugin {
        class: "org.apache.kafka.connect.file.FileStreamSinkConnector",
        version: KAFKA,
        config: sink::definition,
        make: Make::Sink {
            connector: || Box::new(sink::FileStreamSinkConnector::default()),
            task_class: "org.apache.kafka.connect.file.FileStreamSinkTask",
            task: || Box::new(sink::FileStreamSinkTask::default()),
        },
    },
    Plugin {
        class: "org.apache.kafka.connect.file.FileStreamSourceConnector",
        version: KAFKA,
        config: source::definition,
        make: Make::Source {
            connector: || Box::new(source::FileStreamSourceConnector::default()),
            task_class: "org.apache.kafka.connect.file.FileStreamSourceTask",
            task: || Box::new(source::FileStreamSourceTask::default()),
        },
    },
];

/// The version of Kafka whose connectors these are.
const KAFKA: &str = "4.3.1";

const FILE: &str = "file";

#[cfg(test)]
mod tests;
