//! The contracts of Ferroconnect: what data looks like, how options are declared, what a plugin is.
//!
//! This crate does no I/O and knows neither Kafka's client nor any plugin. It answers for Kafka's
//! `connect-api` artifact (`org.apache.kafka.connect.{data,connector,source,sink,storage,transforms}`)
//! and for `org.apache.kafka.common.config`.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`data`] | schemas, values, structs, decimals, headers, and their JSON mapping |
//! | [`record`] | source and sink records, offsets |
//! | [`config`] | `ConfigDef`: option types, validators, parsing, what validate shows |
//! | [`plugin`] | a plugin as a plain value, and the list type |
//! | [`connector`], [`source`], [`sink`] | a connector divides work, a task moves records |
//! | [`converter`], [`transform`], [`provider`] | the smaller plugins |
//! | [`context`] | what the runtime lends to a plugin: stop signal, clock, async runtime |
//! | [`java`] | what of the JVM shows on the wire: hash order, regular expressions, properties files |
//! | [`error`] | the one error type |

pub mod command;
pub mod config;
pub mod connector;
pub mod context;
pub mod converter;
pub mod data;
pub mod error;
pub mod java;
pub mod plugin;
pub mod provider;
pub mod record;
pub mod sink;
pub mod source;
pub mod transform;

pub use bytes::Bytes;
pub use bytestring::ByteString;
pub use error::{Error, ErrorKind, Result};

/// A connector's, task's or plugin's configuration as the plugin sees it: every placeholder and
/// config-provider reference resolved, `null` values left out, in the order in which it was written.
pub type Props = indexmap::IndexMap<String, String>;
