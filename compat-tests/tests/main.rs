//! The whole of Ferroconnect against the real parts. One binary, so that the parts are started once.
//!
//! `TARGET=java` runs the recorded scenarios against the JVM worker and rewrites what is recorded
//! (`make record`). A part that is missing is a failure, never a skip.

mod assignor;
mod avro_resolution;
mod bad_input;
mod chaos;
mod chaos_source;
mod config_topic;
mod coordinator;
mod deploy;
mod exactly_once;
mod examples;
mod footprint;
mod group;
mod group_chaos;
mod group_requests;
mod internal_topics;
mod memory;
mod options;
mod other_stores;
mod parts;
mod plan;
mod readers;
mod recorded;
mod registry;
mod registry_apicurio;
mod registry_formats;
mod registry_outages;
mod registry_random;
mod rest_clients;
mod rest_listeners;
mod rest_steps;
mod restart;
mod restart_policy;
mod secured;
mod shared;
mod signals;
mod sink;
mod sink_faults;
mod sink_kills;
mod source_faults;
mod standby;
mod swap;
mod tidy;
