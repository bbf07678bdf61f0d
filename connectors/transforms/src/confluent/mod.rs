//! Confluent's transformations that people use with Kafka Connect, by their published names and
//! options.
//!
//! Answers for `io.confluent.connect.transforms`.

pub(crate) mod extract_topic;
pub(crate) mod message_timestamp_router;
#[cfg(test)]
mod tests;
pub(crate) mod tombstone_handler;

/// The version of Confluent's package whose options these are.
const VERSION: &str = "1.6.1";
