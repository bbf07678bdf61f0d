//! The Debezium PostgreSQL connector: rows of a database become Kafka Connect records.
//!
//! ```text
//!            replication socket                    ordinary session
//!                   |                                     |
//!        protocol::replication (reader)         snapshot (COPY ... TO STDOUT)
//!                   |  chunks, bounded in bytes           |
//!        protocol::pgoutput (bytes -> Message)            |
//!                   |                                     |
//!                 stream  ---- change::TupleRef ----  snapshot
//!                   |     relation changed: catalog       |
//!                   v                                     v
//!          table::TablePlan (TableInfo -> schemas, one decoder per column, topic)
//!                   |   column (text -> Value)
//!                   v
//!          envelope (before, after, source, op, ts)   offset (Debezium's offset map)
//!                   |                                     |
//!                   +------------> SourceRecord <---------+
//!                                       |
//!                     worker; what it has stored comes back to
//!                     task (`committed`) and confirms the slot
//! ```
//!
//! | module | one line |
//! |---|---|
//! | [`change`] | rows, tables, positions: what the two producers share |
//! | [`protocol`] | Postgres' wire: login, TLS, queries, COPY, replication, pgoutput |
//! | [`error`] | the crate's one error, and which of its kinds the task tries again |

pub mod change;
pub mod config;
pub mod error;
pub mod filter;
pub mod naming;
pub mod protocol;
pub mod session;
pub mod column;
pub mod envelope;
pub mod offset;
pub mod table;
