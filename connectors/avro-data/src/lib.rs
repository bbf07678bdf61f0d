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
//! | [`to_connect`], [`read`] | the mapping to a Connect schema; binary data to Connect values |
//! | [`resolve`] | binary data of one schema as that of another |
//! | [`write`], `plan` | Connect values to binary data |
//! | [`anything`] | data without a schema |
//! | [`binary`] | numbers and byte strings in binary data |
//! | [`parse`] | a schema from its text |
//! | [`compatible`] | whether one schema reads what another writes |
//! | [`defaults`], [`names`], [`text`] | defaults, names and the print of a schema |

pub mod anything;
pub mod binary;
pub mod compatible;
pub mod defaults;
pub mod from_connect;
pub mod names;
pub mod parse;
mod plan;
pub mod read;
pub mod resolve;
pub mod schema;
pub mod text;
pub mod to_connect;
pub mod write;

pub use from_connect::{Options, from_connect_schema};
pub use parse::Parser;
pub use read::Reader;
pub use resolve::Resolution;
pub use schema::{Avro, AvroField, AvroRef, Name, Shape};
pub use write::Writer;
