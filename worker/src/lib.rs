//! The Connect worker: REST API, herder, stores and tasks.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`run`] | wires all of it together |
//! | [`config`], [`environment`] | what a worker is told: properties file and environment |
//! | [`plugins`], [`providers`] | the plugins it knows; where `${…}` comes from |
//! | [`rest`] | the REST API: parse, ask the herder, show the answer |
//! | [`herder`] | decides what runs; validates configurations |
//! | [`group`] | the group of workers: membership, and who runs what |
//! | [`task`] | runs connectors and tasks |
//! | [`store`] | the config, offset and status topics |
//! | [`convert`] | a command that puts lines through converters |
//! | [`plan`] | a command that judges a running cluster before it is taken over |
//! | [`logging`] | levels that can be changed while it runs |
//! | [`kafka`] | the Kafka client |
//!
//! This crate names no connector: `main.rs` hands the list in.

pub mod config;
pub mod convert;
pub mod environment;
pub mod group;
pub mod herder;
pub mod kafka;
pub mod logging;
pub mod plan;
pub mod plugins;
pub mod providers;
pub mod rest;
pub mod run;
pub mod standalone;
pub mod store;
pub mod task;

/// The version of Kafka whose worker this stands in for, as `/` and the plugins show it.
pub const KAFKA_VERSION: &str = "4.3.1";
/// The commit of that version.
pub const KAFKA_COMMIT: &str = "26b251a451ce941d";
