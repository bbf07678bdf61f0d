//! The S3 sink connector: records become objects in a bucket, named and cut as Confluent's sink
//! names and cuts them.
//!
//! ```text
//!             per topic partition                          per object
//! put --> partitioner --> rotation --> open files --format--> parts --store--> durable offset
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`config`], [`settings`] | the options, and what a task makes of them |
//! | [`connector`], [`task`] | the plugin's two halves |
//! | [`partition_writer`] | one topic partition: open files, uploads, the offset that is safe |
//! | [`rotation`] | when files are committed; pure |
//! | [`boundary`] | where files end under the wall clock, decided before their upload |
//! | [`compatibility`] | schema changes within a file |
//! | [`partitioner`] | folders: by partition, field, time |
//! | [`object_key`] | names |
//! | [`format`] | JSON, bytes, Avro, Parquet |
//! | [`spill`] | what waits on disk when memory is short |
//! | [`storage`] | the bucket, uploads in parts, credentials |
//! | [`verify`] | which offsets a bucket holds; `ferroconnect s3 verify` |
//!
//! Answers for `io.confluent.connect.s3` (kafka-connect-s3 12.x), by its documented and observed
//! behaviour.

mod boundary;
mod compatibility;
mod config;
mod connector;
mod format;
mod object_key;
mod partition_writer;
mod partitioner;
mod rotation;
mod settings;
mod spill;
mod storage;
mod task;
#[cfg(test)]
mod tests;
mod verify;

use connect_api::command::Subcommand;
use connect_api::plugin::{Make, Plugin};

/// The subcommand of this crate.
pub const SUBCOMMAND: Subcommand = verify::SUBCOMMAND;

/// The plugins of this crate.
pub const PLUGINS: &[Plugin] = &[Plugin {
    class: "io.confluent.connect.s3.S3SinkConnector",
    version: "12.2.0",
    config: config::definition,
    make: Make::Sink {
        connector: || Box::new(connector::S3SinkConnector::default()),
        task_class: "io.confluent.connect.s3.S3SinkTask",
        task: || Box::new(task::S3SinkTask::default()),
    },
}];
