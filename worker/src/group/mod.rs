//! The group of workers: who is in it, who leads it, and who runs what.
//!
//! [`protocol`] are the bytes that members exchange, [`incremental`] and [`eager`] what a leader
//! hands out, [`membership`] when a member joins, syncs, heartbeats and gives its work up. All of
//! these are pure. [`connection`] and [`sasl`] speak to a broker, [`member`] is the thread that
//! holds it together. Nothing here starts or stops a task. Answers for `WorkerGroupMember`,
//! `WorkerCoordinator` and KIP-415.

pub mod connection;
pub mod eager;
pub mod incremental;
pub(crate) mod mac;
pub mod member;
pub mod membership;
pub mod protocol;
mod sasl;
#[cfg(test)]
mod simulation;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::herder::request::TaskId;

/// Connectors and tasks, in the order in which they were given (`ConnectorsAndTasks`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Connectors.
    pub connectors: Vec<Arc<str>>,
    /// Tasks.
    pub tasks: Vec<TaskId>,
}

impl Work {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.connectors.is_empty() && self.tasks.is_empty()
    }
    /// Leaves out what is in the other.
    pub fn remove_all(&mut self, other: &Self) {
        let gone: HashSet<&Arc<str>> = other.connectors.iter().collect();
        self.connectors.retain(|name| !gone.contains(name));
        let gone: HashSet<&TaskId> = other.tasks.iter().collect();
        self.tasks.retain(|id| !gone.contains(id));
    }
    /// Adds what is not there yet.
    pub fn add_all(&mut self, other: &Self) {
        let mut known: HashSet<_> = self.connectors.iter().cloned().collect();
        let new = other
            .connectors
            .iter()
            .filter(|name| known.insert(Arc::clone(name)));
        self.connectors.extend(new.cloned());
        let mut known: HashSet<_> = self.tasks.iter().cloned().collect();
        let new = other.tasks.iter().filter(|id| known.insert((*id).clone()));
        self.tasks.extend(new.cloned());
    }
}

/// What a leader gives one member in a round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What is new to the member; with the eager protocol all that it shall run.
    pub assigned: Work,
    /// What it has to give up.
    pub revoked: Work,
}

/// What a round of assignment comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// By member.
    pub shares: BTreeMap<String, Share>,
    /// All that each member has once the round is over: who owns what.
    pub owned: BTreeMap<String, Work>,
    /// After this many milliseconds members come back for what is held for a worker that left.
    pub delay_ms: i32,
}
