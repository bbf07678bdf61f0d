//! Runs connectors and tasks: each on a thread of its own, behind a supervisor that turns a panic
//! into FAILED with a trace.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`lifecycle`] | the thread, its control, what it reports |
//! | [`connector`] | a running connector |
//! | [`source`], [`sink`], [`sink_runtime`] | the two loops |
//! | [`pipeline`] | transformations and converters |
//! | [`tolerance`], [`dead_letter`] | `errors.*` |
//! | [`submitted`] | which source offsets may be stored |
//! | [`transaction`] | what a transaction holds, where sources write exactly once |
//! | [`offsets`] | where a connector's offsets live |
//! | [`topic_creation`] | `topic.creation.*` |
//! | [`auto_restart`] | failed tasks that start again by themselves |
//! | [`clients`] | the Kafka clients of tasks |
//!
//! Answers for `Worker`, `WorkerConnector`, `WorkerTask`, `WorkerSourceTask`, `WorkerSinkTask`.

pub mod auto_restart;
pub mod clients;
pub mod connector;
pub mod dead_letter;
pub mod lifecycle;
pub mod offsets;
pub mod outbox;
pub mod pipeline;
pub mod sink;
pub mod sink_runtime;
pub mod source;
pub mod submitted;
pub mod tolerance;
pub mod topic_creation;
pub mod transaction;

use connect_api::plugin::Make;
use connect_api::{Error, Result};

/// Runs a task until it is told to stop.
///
/// # Errors
/// The task has failed.
pub(crate) fn run(context: lifecycle::TaskContext) -> Result<()> {
    let class = context
        .connector
        .props
        .get("connector.class")
        .map_or("", String::as_str);
    let plugin = context
        .parts
        .plugins
        .connector(class)
        .map_err(|error| Error::fatal(error.message))?;
    match plugin.make {
        Make::Source { task, .. } => source::run(context, task()),
        Make::Sink { task, .. } => sink::run(context, task()),
        _ => Err(Error::config(format!("{class} is no connector"))),
    }
}
