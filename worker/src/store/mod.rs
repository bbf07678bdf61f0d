//! The worker's three compacted topics: configurations, offsets, statuses.
//!
//! Records are those of the JVM, byte for byte. Nothing here decides what runs. Answers for
//! `KafkaConfigBackingStore`, `KafkaOffsetBackingStore`, `KafkaStatusBackingStore`, `KafkaBasedLog`.

pub mod cluster_state;
pub mod config;
pub(crate) mod leader_writer;
pub mod log;
pub mod offset;
pub mod status;
