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
//! | [`connector`], [`task`] | what the worker sees |
//! | [`startup`] | snapshot or not, and from where to stream |
//! | [`snapshot`], [`stream`] | the two producers |
//! | [`resume`] | what a restart repeats and is dropped |
//! | [`lineage`] | whether the server is the offset's or a copy that goes on with its log |
//! | [`replica_identity`] | identities set before the stream |
//! | `timescaledb` | a transformation: chunks named after their hypertable |
//! | [`reselect`] | columns that are read from the table again |
//! | [`emitter`] | a change becomes its records |
//! | [`transaction`] | where transactions begin and end |
//! | [`heartbeat`] | records of idle times |
//! | [`signal`] | what users ask of a running connector; incremental snapshots |
//! | [`notification`] | what snapshots tell of their progress |
//! | [`change`] | rows, tables, positions: what the two producers share |
//! | [`config`], [`filter`], [`naming`] | options, include lists, topic and schema names |
//! | `event_text` | events as JSON text straight from rows, where nothing looks at them |
//! | [`table`], [`column`], [`envelope`] | schemas and values |
//! | [`offset`] | Debezium's offset |
//! | [`protocol`], [`session`] | Postgres' wire: login, TLS, queries, COPY, replication, pgoutput |
//! | [`error`] | the crate's one error, and which of its kinds the task tries again |

pub mod change;
pub mod column;
pub mod config;
pub mod connector;
mod copy_row;
pub mod emitter;
pub mod envelope;
pub mod error;
mod event_text;
pub mod filter;
pub mod heartbeat;
pub mod lineage;
pub mod naming;
pub mod notification;
pub mod offset;
pub mod protocol;
pub mod replica_identity;
pub mod reselect;
pub mod resume;
pub mod session;
pub mod signal;
pub mod snapshot;
pub mod startup;
pub mod stream;
pub mod table;
pub mod task;
mod timescaledb;
pub mod transaction;

use connect_api::plugin::{Make, Plugin};

/// What this crate carries.
pub const PLUGINS: &[Plugin] = &[
    Plugin {
        class: "io.debezium.connector.postgresql.PostgresConnector",
        version: "3.7.0.Final",
        config: config::definition,
        make: Make::Source {
            connector: || Box::new(connector::PostgresConnector::new()),
            task_class: "io.debezium.connector.postgresql.PostgresConnectorTask",
            task: || Box::new(task::PostgresTask::new()),
        },
    },
    timescaledb::PLUGIN,
];
