//! The data layer: what a record's key, value and headers are made of.
//!
//! Answers for `org.apache.kafka.connect.data`. Shared and immutable parts are behind `Arc`
//! ([`SchemaRef`]) or reference-counted buffers ([`ByteString`], [`Bytes`]); a clone of a value
//! copies no payload.

mod avro_name;
mod blocks;
mod decimal;
mod headers;
pub mod json;
pub mod logical;
mod schema;
mod schema_cache;
pub mod text;
mod value;

pub use avro_name::NameAdjustment;
pub use blocks::Blocks;
pub use bytes::Bytes;
pub use bytestring::ByteString;
pub use decimal::Decimal;
pub use headers::Headers;
pub use schema::{Field, Knot, Schema, SchemaBuilder, SchemaRef, SchemaType};
pub use schema_cache::SchemaCache;
pub use value::{ConnectMap, Header, SchemaAndValue, Struct, Value};
