//! A seat in the worker's group: what keeps a second worker out until workers share groups.
//!
//! The seat is a plain consumer that is a member of `group.id`: a second Ferroconnect worker sees
//! it and refuses to start, and the coordinator turns a JVM worker away, whose protocol is another.
//! It reads nothing. It stands where `WorkerGroupMember` will; it shares no work.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use connect_api::context::StopSignal;
use connect_api::error::Chain;
use connect_api::{Error, Result};

use crate::config::WorkerConfig;
use crate::kafka::admin::{Admin, GroupMember};
use crate::kafka::consumer::{GroupConsumer, Rebalance};
use crate::kafka::translate::Client;
use crate::task::clients;

/// How often the group is looked at while members may be leaving.
const LOOK: Duration = Duration::from_millis(500);
/// How long joining may take before the worker goes on without having seen itself in the group.
const JOIN_LIMIT: Duration = Duration::from_secs(10);
/// How often the group is looked at while joining.
const JOIN_LOOK: Duration = Duration::from_millis(20);
/// How long a poll waits: bounds the time that stopping takes.
const POLL: Duration = Duration::from_millis(500);
/// What the coordinator may need beyond the session's timeout to forget a member.
const GRACE: Duration = Duration::from_secs(2);

/// A held seat; given back when dropped.
#[derive(Debug)]
pub(super) struct GroupSeat {
    stop: StopSignal,
    thread: Option<JoinHandle<()>>,
}

/// The members that keep a worker out: all but what this worker itself left behind when it was
/// killed, which the coordinator forgets by and by.
fn others(members: Vec<GroupMember>, own: &str) -> Vec<String> {
    members
        .into_iter()
        .filter(|member| member.client_id != own)
        .map(|member| format!("{} at {}", member.client_id, member.client_host))
        .collect()
}

impl GroupSeat {
    /// Takes the seat. Members that are leaving are waited for, as long as the coordinator keeps a
    /// dead member. `None` when `stopping` says so meanwhile.
    ///
    /// # Errors
    /// The group has other members, or the coordinator does not answer.
    pub(super) fn take(
        worker: &WorkerConfig,
        admin: &Admin,
        stopping: impl Fn() -> bool,
    ) -> Result<Option<Self>> {
        let options = &worker.options;
        let group = options.string("group.id");
        let session = u64::try_from(options.int("session.timeout.ms")).unwrap_or(0);
        let own = format!("ferroconnect-{}", worker.worker_id);
        let deadline = Instant::now() + Duration::from_millis(session) + GRACE;
        let mut told = false;
        loop {
            let others = others(admin.group_members(group)?, &own);
            if others.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                return Err(Error::fatal(format!(
                    "group {group} already has members ({}); this version does not share a group \
                     yet: stop them, or give this worker another group.id with topics of its own",
                    others.join(", ")
                )));
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(
                    group,
                    ?others,
                    "the group has members; waiting for them to leave"
                );
            }
            std::thread::sleep(LOOK);
            if stopping() {
                return Ok(None);
            }
        }
        let mut config = clients::of_worker(worker, Client::Consumer, "seat")?;
        config
            .set("client.id", &own)
            .set("session.timeout.ms", session.to_string())
            .set("enable.auto.commit", "false");
        let consumer = GroupConsumer::new(&config)?;
        consumer.subscribe(&[options.string("config.storage.topic")])?;
        let stop = StopSignal::new();
        let held = stop.clone();
        let thread = std::thread::Builder::new()
            .name("group-seat".to_owned())
            .spawn(move || hold(&consumer, &held))
            .map_err(|error| Error::fatal("starting a thread").with_source(error))?;
        let seat = Self {
            stop,
            thread: Some(thread),
        };
        // Whoever looks once this worker is up must see it.
        let deadline = Instant::now() + JOIN_LIMIT;
        let is_own = |member: &GroupMember| member.client_id == own;
        while !admin.group_members(group)?.iter().any(is_own) {
            if stopping() {
                return Ok(None);
            }
            if Instant::now() >= deadline {
                tracing::warn!(group, "joining the worker's group takes long");
                break;
            }
            std::thread::sleep(JOIN_LOOK);
        }
        Ok(Some(seat))
    }
}

/// Keeps the membership alive, and what comes with it unread.
fn hold(consumer: &GroupConsumer, stop: &StopSignal) {
    while !stop.is_set() {
        let kept = consumer.poll(POLL).map(drop).and_then(|()| {
            consumer.take_rebalances().iter().try_for_each(|rebalance| {
                consumer.accept(rebalance)?;
                match rebalance {
                    Rebalance::Assigned(partitions) => consumer.pause(partitions),
                    Rebalance::Revoked(_) => Ok(()),
                }
            })
        });
        if let Err(error) = kept {
            tracing::warn!(error = %Chain(&error), "holding the seat in the worker's group");
            stop.wait(POLL);
        }
    }
}

impl Drop for GroupSeat {
    fn drop(&mut self) {
        self.stop.set();
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the thread that holds the seat in the worker's group panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_worker_left_behind_does_not_keep_it_out() {
        let member = |client_id: &str| GroupMember {
            client_id: client_id.to_owned(),
            client_host: "/127.0.0.1".to_owned(),
        };
        let members = vec![member("ferroconnect-a:8083"), member("connect-b:8083")];
        assert_eq!(
            others(members, "ferroconnect-a:8083"),
            ["connect-b:8083 at /127.0.0.1"]
        );
    }
}
