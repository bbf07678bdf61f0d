//! Tests against a real server, one binary.

mod deviations;
mod login;
mod options;
mod replication;
mod server;
mod signals;
mod snapshot;
mod task;
