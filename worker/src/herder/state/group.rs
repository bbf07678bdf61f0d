//! What the group says, and what follows for what runs here.
//!
//! What is assigned is started once the config topic has been read as far as the assignment
//! presumes. What was revoked stops, and the group is told when it has. A set of tasks that is
//! newer than the assignment waits for the next one. Answers for the rebalance listener of
//! `DistributedHerder`, `handleRebalanceCompleted` and `ConfigUpdateListener`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Action, HerderState};
use crate::group::Work;
use crate::group::membership::{Assigned, Notice};
use crate::herder::request::{Request, RequestError, TargetState, TaskId};
use crate::store::cluster_state::{ClusterConfigState, ConfigChange};
use crate::store::status::StatusOf;

/// After so many failures to read the config topic in time a worker gives its work up.
const SYNC_ATTEMPTS: u32 = 5;

/// The limits of a worker that is in a group.
#[derive(Clone, Copy, Debug)]
pub struct GroupLimits {
    /// `worker.sync.timeout.ms`: how long reading up to an assignment may take.
    pub sync: Duration,
    /// `scheduled.rebalance.max.delay.ms`, of which the pauses after that are parts.
    pub max_delay: Duration,
}

/// What the group says.
#[derive(Debug)]
pub(super) struct Group {
    limits: GroupLimits,
    assigned: Option<Assigned>,
    connectors: HashSet<Arc<str>>,
    tasks: HashSet<TaskId>,
    /// Whether there was an assignment ever.
    pub(super) joined: bool,
    /// No round is under way or due.
    settled: bool,
    /// The group waits until what is not assigned has stopped.
    releasing: bool,
    /// An assignment has to presume this much of the config topic for a connector's tasks.
    floors: HashMap<Arc<str>, i64>,
    /// Until then the config topic has to be read as far as the assignment presumes.
    sync_deadline: Option<Instant>,
    failed_syncs: u32,
    /// Requests that need to know who leads.
    pub(super) waiting: Vec<Request>,
}

impl Group {
    fn new(limits: GroupLimits) -> Self {
        Self {
            limits,
            assigned: None,
            connectors: HashSet::new(),
            tasks: HashSet::new(),
            joined: false,
            settled: false,
            releasing: false,
            floors: HashMap::new(),
            sync_deadline: None,
            failed_syncs: 0,
            waiting: Vec::new(),
        }
    }
    pub(super) fn has_connector(&self, name: &str) -> bool {
        self.connectors.contains(name)
    }
    pub(super) fn has_task(&self, id: &TaskId) -> bool {
        self.tasks.contains(id)
    }
    /// Whether the config topic has been read as far as the assignment presumes.
    pub(super) fn may_start(&self, config: &ClusterConfigState) -> bool {
        self.assigned
            .as_ref()
            .is_some_and(|assigned| config.offset() >= assigned.offset)
    }
    /// Whether the assignment was made before the connector's present set of tasks.
    pub(super) fn is_outdated_for(&self, connector: &str) -> bool {
        self.floors.contains_key(connector)
    }
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.sync_deadline
    }
    /// Whether a request has to wait until the group has settled.
    pub(super) fn waits(&self, request: &Request) -> bool {
        match request {
            Request::Ping(_) => !self.joined,
            // Every worker may write these.
            Request::SetTarget(_, target, _) if *target != TargetState::Stopped => false,
            _ => !self.settled,
        }
    }
    fn take(&mut self, work: &Work) {
        self.connectors = work.connectors.iter().cloned().collect();
        self.tasks = work.tasks.iter().cloned().collect();
    }
}

impl HerderState {
    /// Nothing runs, nothing is known, and nothing is this worker's before its group says so.
    pub fn in_group(task_stop_limit: Duration, limits: GroupLimits) -> Self {
        Self {
            group: Some(Group::new(limits)),
            ..Self::alone(task_stop_limit)
        }
    }

    /// Whether this worker leads its group, or works alone.
    pub fn leads(&self) -> bool {
        self.leader().is_ok()
    }

    /// Nothing where this worker may do what a leader does; else where the leader is.
    pub(super) fn leader(&self) -> Result<(), Option<String>> {
        let Some(group) = &self.group else {
            return Ok(());
        };
        match &group.assigned {
            Some(assigned) if assigned.leads => Ok(()),
            Some(assigned) if !assigned.leader_url.is_empty() => {
                Err(Some(assigned.leader_url.clone()))
            }
            _ => Err(None),
        }
    }

    pub(super) fn not_leader(&self) -> RequestError {
        RequestError::not_here(self.leader().err().flatten())
    }

    /// What cannot be done here is done by its owner, whom the leader knows.
    pub(super) fn not_owner(&self, owns: impl Fn(&Work) -> bool) -> RequestError {
        let assigned = self
            .group
            .as_ref()
            .and_then(|group| group.assigned.as_ref());
        let Some(assigned) = assigned.filter(|assigned| assigned.leads) else {
            return self.not_leader();
        };
        let owner = assigned.owners.iter().find(|(_, work)| owns(work));
        RequestError::not_here(owner.map(|(url, _)| url.clone()))
    }

    /// What the group says.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        notice: Notice,
        statuses: Vec<StatusOf>,
        actions: &mut Vec<Action>,
    ) {
        let Some(group) = &mut self.group else {
            return;
        };
        match notice {
            Notice::Rebalancing => group.settled = false,
            Notice::RevokeAll => {
                group.settled = false;
                group.assigned = None;
                group.sync_deadline = None;
                group.take(&Work::default());
                group.releasing = true;
            }
            // The loop ends before this is asked.
            Notice::Refused(_) => {}
            Notice::Assigned(assigned) => {
                actions.push(Action::Generation(i64::from(assigned.generation)));
                group.joined = true;
                group.settled = !assigned.failed;
                group.releasing = !assigned.revoked.is_empty();
                group.floors.retain(|_, floor| *floor > assigned.offset);
                group.take(&assigned.work);
                let behind = self.config.offset() < assigned.offset;
                group.sync_deadline = behind.then(|| now + group.limits.sync);
                if !behind {
                    group.failed_syncs = 0;
                }
                let leads = assigned.leads;
                group.assigned = Some(assigned);
                let waiting = std::mem::take(&mut group.waiting);
                if leads {
                    self.forget_what_is_gone(statuses, actions);
                }
                // Those that still have to wait go back to where they were.
                for request in waiting
                    .into_iter()
                    .filter(|request| !request.is_abandoned())
                {
                    self.request(now, request, actions);
                }
            }
        }
    }

    /// New, deleted and newly divided connectors need a round; each worker asks for it.
    pub(super) fn tell_group_of(
        &mut self,
        before: &ClusterConfigState,
        change: &ConfigChange,
        actions: &mut Vec<Action>,
    ) {
        let Some(group) = &mut self.group else {
            return;
        };
        let reason = match change {
            ConfigChange::Connector(name) if !before.contains(name) => "a connector is new",
            ConfigChange::ConnectorRemoved(name) => {
                group.floors.remove(name);
                "a connector was deleted"
            }
            ConfigChange::Tasks(name) => {
                group.floors.insert(Arc::clone(name), self.config.offset());
                "a connector has new tasks"
            }
            _ => {
                self.caught_up();
                return;
            }
        };
        group.settled = false;
        actions.push(Action::Rejoin(reason));
        self.caught_up();
    }

    fn caught_up(&mut self) {
        if let Some(group) = &mut self.group
            && group.may_start(&self.config)
        {
            group.sync_deadline = None;
            group.failed_syncs = 0;
        }
    }

    /// The config topic could not be read in time: to be in the group would hold up the others.
    pub(super) fn give_up_reading(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let config = &self.config;
        let Some(group) = &mut self.group else {
            return;
        };
        if group.sync_deadline.is_none_or(|deadline| now < deadline) || group.may_start(config) {
            return;
        }
        group.sync_deadline = None;
        group.settled = false;
        group.failed_syncs += 1;
        tracing::warn!(
            offset = config.offset(),
            presumed = group.assigned.as_ref().map(|assigned| assigned.offset),
            "Reading to end of config log takes too long; leaving the group for a while"
        );
        let left = SYNC_ATTEMPTS.saturating_sub(group.failed_syncs);
        if left == 0 {
            group.failed_syncs = 0;
            group.assigned = None;
            group.take(&Work::default());
        }
        actions.push(Action::StepOut(
            group.limits.max_delay / 10 / (left + 1),
            left > 0,
        ));
    }

    /// Tells the group once nothing is left of what is not assigned.
    pub(super) fn release_when_done(&mut self, actions: &mut Vec<Action>) {
        let Some(group) = &mut self.group else {
            return;
        };
        if group.releasing
            && self.connectors.keys().all(|name| group.has_connector(name))
            && self.tasks.keys().all(|id| group.has_task(id))
        {
            group.releasing = false;
            actions.push(Action::Release);
        }
    }
}
