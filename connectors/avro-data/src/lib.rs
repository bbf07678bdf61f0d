//! Connect's schemas as Avro schemas. Does no I/O, and knows neither a registry nor a file format.
//!
//! Answers for `io.confluent.connect.avro.AvroData` and for the JSON text that
//! `org.apache.avro.Schema.toString` prints. Shared by the S3 sink, whose Parquet and Avro files
//! carry such a schema, and by the Avro converter.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`schema`] | an Avro schema as a value, and its JSON |
//! | [`from_connect`] | the mapping from a Connect schema |

pub mod from_connect;
pub mod schema;

pub use from_connect::{Options, from_connect_schema};
pub use schema::{Avro, AvroField, AvroRef, Name, Shape};
