//! The schema registry, and what the converters that use one share: options, subjects, framing,
//! caches and the classes of errors. Knows no schema language: a schema is its text.
//!
//! Answers for Confluent's `RestService`, `CachedSchemaRegistryClient`, `AbstractKafkaSchemaSerDe`
//! and its subject name strategies, at version 8.2.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`serde`] | what a converter calls: the schema to write with, the schema to read with |
//! | [`registry`] | the trait [`registry::Registry`], schemas, references, versions |
//! | [`config`] | the options that all converters with a registry have |
//! | [`subject`] | subject name strategies |
//! | [`apicurio`] | Apicurio's options in Confluent's names |
//! | [`wire`] | magic byte, id, message indexes, the header with a GUID |
//! | [`converter`] | the shell that all converters share |
//! | `known` | what was made of a schema, by topic: a schema seen once costs nothing after |
//! | [`error`] | what went wrong, and what the converter makes of it |
//! | [`mock`] | a registry in this process, for tests and `mock://` addresses |

pub mod apicurio;
mod auth;
mod cache;
mod client;
pub mod config;
pub mod converter;
pub mod error;
mod known;
pub mod mock;
pub mod registry;
mod rest;
pub mod serde;
pub mod subject;
mod tls;
pub mod wire;

pub use config::Settings;
pub use converter::{Dialect, Language, RegistryConverter};
pub use error::RegistryError;
pub use known::Known;
pub use registry::{Reference, RegisteredSchema, Registry, RegistrySchema, Rule, SchemaKind};
pub use serde::{Lasts, ReadSchema, Serde, WriteSchema};
pub use wire::SchemaId;

/// The version of the converters whose behaviour this is.
pub const VERSION: &str = "8.2.0";
