//! Tests against a real server, one binary.

mod login;
mod replication;
mod server;
mod signals;
mod task;
