//! Tests against a real server, one binary.

mod login;
mod replication;
mod server;
mod signals;
mod snapshot;
mod task;
