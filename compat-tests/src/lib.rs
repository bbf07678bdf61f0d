//! The real parts that the tests, the quickstart and the benchmark share.
//!
//! Every module starts one kind of thing and stops it again: Apache Kafka, PostgreSQL, an S3 store,
//! the JVM Connect worker, Ferroconnect itself. All of them bind the loopback only and take free
//! ports. Nothing here knows how Ferroconnect works inside: it is started as a process and asked
//! over its REST API, as the JVM worker is, so that one script can run against both.
//!
//! ```text
//!   setup.sh -> parts (cache folder) -> process -> { kafka, postgres, s3, worker } -> tests, quickstart, bench
//! ```

pub mod example;
pub mod fault;
pub mod google;
pub mod kafka;
pub mod load;
pub mod parts;
pub mod postgres;
pub mod process;
pub mod recording;
pub mod registry;
pub mod relay;
pub mod rows;
pub mod s3;
pub mod steps;
pub mod stop_at;
pub mod tls;
pub mod wait;
pub mod worker;

/// What every fallible function here returns: a sentence for a person is all that a test needs.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// An [`Outcome`] that failed with a sentence.
pub fn fail<T>(message: impl Into<String>) -> Outcome<T> {
    Err(message.into().into())
}
