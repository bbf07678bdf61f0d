//! When a member joins, syncs, heartbeats, and gives its work up: a function of (state, time, event).
//!
//! A member keeps its work through rounds and rejoins with it; it gives up what a round revokes
//! before it joins the next. Cut off from the coordinator it gives up everything: when the
//! coordinator has been out of reach for a heartbeat's interval, and at the latest when the last
//! heartbeat that was answered is a session's timeout old, which is when others may be given the
//! work. One request is under way at a time. No I/O, no clock. Answers for `AbstractCoordinator`
//! and `WorkerCoordinator`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::error::Chain;
use connect_api::{Error, Result};

use super::incremental::{Assignor, Input};
use super::protocol::{
    Assignment, ConnectProtocol, WorkerState, decode_assignment, decode_metadata, encode_assignment,
};
use super::{Round, Work, eager};
use crate::store::cluster_state::ClusterConfigState;

/// Error codes of the group protocol that decide what happens next.
mod code {
    pub(super) const NONE: i16 = 0;
    pub(super) const COORDINATOR_LOADING: i16 = 14;
    pub(super) const COORDINATOR_NOT_AVAILABLE: i16 = 15;
    pub(super) const NOT_COORDINATOR: i16 = 16;
    pub(super) const ILLEGAL_GENERATION: i16 = 22;
    pub(super) const INCONSISTENT_PROTOCOL: i16 = 23;
    pub(super) const UNKNOWN_MEMBER: i16 = 25;
    pub(super) const INVALID_SESSION_TIMEOUT: i16 = 26;
    pub(super) const REBALANCING: i16 = 27;
    pub(super) const GROUP_AUTHORIZATION: i16 = 30;
    pub(super) const MEMBER_ID_REQUIRED: i16 = 79;
    pub(super) const GROUP_FULL: i16 = 81;
}

/// The pause before what the coordinator could not do is tried again: Java's `retry.backoff.ms`.
const RETRY: Duration = Duration::from_millis(100);
/// Java waits this much longer for a join than the rebalance may take.
const JOIN_GRACE: Duration = Duration::from_secs(5);

/// A member's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it answers REST.
    pub url: String,
    /// The best protocol that it offers.
    pub protocol: ConnectProtocol,
    /// `session.timeout.ms`.
    pub session: Duration,
    /// `heartbeat.interval.ms`: also how long the coordinator may be out of reach.
    pub heartbeat: Duration,
    /// How often it really asks: the sooner it hears of a rebalance, the sooner that is over.
    pub beat: Duration,
    /// `rebalance.timeout.ms`.
    pub rebalance: Duration,
    /// `scheduled.rebalance.max.delay.ms`.
    pub max_delay_ms: i32,
}

/// The coordinator's answer to a join.
#[derive(Clone, Debug, Default)]
pub struct JoinAnswer {
    /// Its error code.
    pub code: i16,
    /// The generation.
    pub generation: i32,
    /// The protocol that was picked.
    pub protocol: String,
    /// The leader's member id.
    pub leader: String,
    /// The member id that we have.
    pub member_id: String,
    /// All members with their metadata, for the leader only.
    pub members: Vec<(String, Vec<u8>)>,
}

/// What a leader assigns from.
#[derive(Clone)]
pub struct Knowledge {
    /// What is configured.
    pub config: Arc<ClusterConfigState>,
    /// Milliseconds of a clock that goes with the process.
    pub now_ms: i64,
    /// See [`Input::handed_over`].
    pub handed_over: Arc<dyn Fn(&Work) -> bool + Send + Sync>,
}

impl std::fmt::Debug for Knowledge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Knowledge")
            .field("now_ms", &self.now_ms)
            .finish_non_exhaustive()
    }
}

/// What a member hears.
#[derive(Clone, Debug)]
pub enum Event {
    /// The coordinator was found and reached.
    Connected,
    /// It was not, or the connection is gone, or a request took too long.
    Disconnected,
    /// The answer to a join.
    Joined(JoinAnswer, Knowledge),
    /// The answer to a sync: the assignment.
    Synced(i16, Vec<u8>),
    /// The answer to a heartbeat.
    Heartbeat(i16),
    /// The herder wants a rebalance.
    Rejoin(&'static str),
    /// The herder has given up what it was told to.
    Released,
    /// The herder cannot follow the group: it leaves, and comes back after this time, with its work
    /// or without.
    StepOut(Duration, bool),
    /// The worker stops.
    Leave,
    /// Time has passed.
    Tick,
}

/// What a member does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Finds the coordinator and connects.
    Connect,
    /// Gives the connection up.
    Disconnect,
    /// Joins with this id and these protocols' metadata from this allocation; answers within the
    /// limit.
    Join(String, Option<Assignment>, Duration),
    /// Syncs, a leader with everybody's assignments.
    Sync {
        /// The generation.
        generation: i32,
        /// Our id.
        member_id: String,
        /// The protocol that was picked.
        protocol: ConnectProtocol,
        /// By member.
        assignments: Vec<(String, Vec<u8>)>,
    },
    /// Heartbeats.
    Heartbeat(i32, String),
    /// Leaves.
    Leave(String),
    /// Tells the herder.
    Tell(Notice),
}

/// What the herder is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A round begins.
    Rebalancing,
    /// Everything has to be given up; wants [`Event::Released`].
    RevokeAll,
    /// A round is over. Where something is revoked it wants [`Event::Released`].
    Assigned(Assigned),
    /// This worker cannot be in the group.
    Refused(String),
}

/// What a round came to for this member.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assigned {
    /// The generation.
    pub generation: i32,
    /// The protocol.
    pub protocol: ConnectProtocol,
    /// Whether this member leads.
    pub leads: bool,
    /// Where the leader answers REST.
    pub leader_url: String,
    /// The offset of the config topic that it is for.
    pub offset: i64,
    /// Whether the leader could not assign.
    pub failed: bool,
    /// All that this member has now.
    pub work: Work,
    /// What it has to give up.
    pub revoked: Work,
    /// Where a leader's members answer, with all that they have.
    pub owners: Vec<(String, Work)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not in the group.
    Out,
    /// In it, or about to rejoin.
    In,
    /// A join is under way.
    Joining,
    /// A sync is under way.
    Syncing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coordinator {
    /// Out of reach since then; asked for again at the second time.
    Unknown(Instant, Instant),
    /// Being asked for; out of reach since then.
    Connecting(Instant),
    Known,
}

/// A member of the group.
#[derive(Debug)]
pub struct Membership {
    settings: Settings,
    coordinator: Coordinator,
    phase: Phase,
    member_id: String,
    generation: i32,
    last_completed: i32,
    protocol: ConnectProtocol,
    allocation: Option<Assignment>,
    owners: Vec<(String, Work)>,
    rejoin: bool,
    /// The herder is giving work up.
    releasing: bool,
    /// After that it rejoins.
    rejoin_when_released: bool,
    busy: bool,
    /// When the last heartbeat, or what counts as one, was sent that was answered.
    acknowledged: Instant,
    sent: Instant,
    next_beat: Instant,
    /// Nothing is tried before.
    not_before: Instant,
    scheduled: Option<Instant>,
    assignor: Assignor,
    ended: bool,
}

impl Membership {
    /// Not in the group yet.
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            assignor: Assignor::new(settings.max_delay_ms),
            protocol: settings.protocol,
            settings,
            coordinator: Coordinator::Unknown(now, now),
            phase: Phase::Out,
            member_id: String::new(),
            generation: -1,
            last_completed: -1,
            allocation: None,
            owners: Vec::new(),
            rejoin: false,
            releasing: false,
            rejoin_when_released: false,
            busy: false,
            acknowledged: now,
            sent: now,
            next_beat: now,
            not_before: now,
            scheduled: None,
            ended: false,
        }
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The metadata that is sent in each protocol.
    pub fn metadata(
        &self,
        offset: i64,
        allocation: Option<Assignment>,
    ) -> (WorkerState, impl Iterator<Item = ConnectProtocol> + use<>) {
        let state = WorkerState {
            url: self.settings.url.clone(),
            offset,
            allocation,
        };
        (state, self.settings.protocol.offered())
    }

    /// When [`Event::Tick`] is due at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        let mut due = Vec::with_capacity(4);
        match self.coordinator {
            Coordinator::Unknown(since, again) => {
                due.push(again.max(self.not_before));
                due.extend(self.has_work().then_some(since + self.settings.heartbeat));
            }
            Coordinator::Connecting(since) => {
                due.extend(self.has_work().then_some(since + self.settings.heartbeat));
            }
            Coordinator::Known if !self.busy => due.push(match self.phase {
                Phase::In if !self.wants_to_join() => self.next_beat,
                Phase::In if self.releasing => self.next_beat,
                _ => self.not_before,
            }),
            Coordinator::Known => {}
        }
        if self.phase == Phase::In && self.has_work() {
            due.push(self.acknowledged + self.settings.session);
            due.extend(self.scheduled);
        }
        due.into_iter().min()
    }

    /// Whether it is in the group and no round is under way.
    #[cfg(test)]
    pub(super) fn is_settled(&self) -> bool {
        self.phase == Phase::In
    }

    fn has_work(&self) -> bool {
        self.allocation
            .as_ref()
            .is_some_and(|allocation| !allocation.assigned.is_empty())
    }

    fn wants_to_join(&self) -> bool {
        self.phase == Phase::Out
            || self.rejoin
            || self.allocation.as_ref().is_none_or(Assignment::failed)
    }

    /// What follows from an event.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.ended {
            return actions;
        }
        match event {
            Event::Connected => {
                self.busy = false;
                self.coordinator = Coordinator::Known;
            }
            Event::Disconnected => self.disconnected(now),
            Event::Joined(answer, knowledge) => self.joined(now, answer, &knowledge, &mut actions),
            Event::Synced(code, bytes) => self.synced(now, code, &bytes, &mut actions),
            Event::Heartbeat(code) => self.heartbeat(now, code, &mut actions),
            Event::Rejoin(reason) => {
                tracing::debug!(reason, "asking for a rebalance");
                self.rejoin = true;
            }
            Event::Released => {
                self.releasing = false;
                self.rejoin |= std::mem::take(&mut self.rejoin_when_released);
            }
            Event::StepOut(pause, keeps_work) => {
                if !keeps_work {
                    self.allocation = None;
                }
                if !self.member_id.is_empty() {
                    actions.push(Action::Leave(std::mem::take(&mut self.member_id)));
                }
                self.out();
                self.busy = false;
                self.not_before = now + pause;
                // What is under way is given up with the connection.
                self.coordinator = Coordinator::Unknown(now, now);
            }
            Event::Leave => {
                self.ended = true;
                if !self.member_id.is_empty() {
                    actions.push(Action::Leave(std::mem::take(&mut self.member_id)));
                }
                return actions;
            }
            Event::Tick => {}
        }
        if !self.ended {
            self.advance(now, &mut actions);
        }
        actions
    }

    fn disconnected(&mut self, now: Instant) {
        self.busy = false;
        let since = match self.coordinator {
            Coordinator::Known => now,
            Coordinator::Unknown(since, _) | Coordinator::Connecting(since) => since,
        };
        self.coordinator = Coordinator::Unknown(since, now + RETRY);
        match self.phase {
            Phase::Joining | Phase::Syncing => {
                self.phase = Phase::In;
                self.rejoin = true;
            }
            Phase::In | Phase::Out => {}
        }
    }

    /// No longer known to the coordinator; the work stays until it is revoked.
    fn out(&mut self) {
        self.phase = Phase::Out;
        self.generation = -1;
        self.member_id.clear();
    }

    fn advance(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let out_of_reach = match self.coordinator {
            Coordinator::Known => false,
            Coordinator::Unknown(since, _) | Coordinator::Connecting(since) => {
                now >= since + self.settings.heartbeat
            }
        };
        let expired = self.phase == Phase::In && now >= self.acknowledged + self.settings.session;
        if self.has_work() && (out_of_reach || expired) && !self.releasing {
            tracing::info!(
                out_of_reach,
                expired,
                "no longer a member of the group for all that is known; giving the work up"
            );
            self.revoke_all(actions);
            if expired && !out_of_reach {
                actions.push(Action::Disconnect);
                self.disconnected(now);
            }
        }
        if self.phase == Phase::In && self.scheduled.is_some_and(|at| now >= at) {
            self.scheduled = None;
            self.rejoin = true;
        }
        match self.coordinator {
            Coordinator::Unknown(since, again) if now >= again.max(self.not_before) => {
                self.coordinator = Coordinator::Connecting(since);
                self.busy = true;
                actions.push(Action::Connect);
            }
            Coordinator::Known if !self.busy && now >= self.not_before => {
                if self.wants_to_join() && !self.releasing {
                    self.join(now, actions);
                } else if self.phase == Phase::In && now >= self.next_beat {
                    self.busy = true;
                    self.sent = now;
                    self.next_beat = now + self.settings.beat;
                    actions.push(Action::Heartbeat(self.generation, self.member_id.clone()));
                }
            }
            Coordinator::Unknown(..) | Coordinator::Connecting(_) | Coordinator::Known => {}
        }
    }

    fn revoke_all(&mut self, actions: &mut Vec<Action>) {
        self.allocation = None;
        self.releasing = true;
        actions.push(Action::Tell(Notice::RevokeAll));
    }

    fn join(&mut self, now: Instant, actions: &mut Vec<Action>) {
        // The eager protocol gives everything up before each round.
        if self.protocol == ConnectProtocol::Eager && self.has_work() {
            self.revoke_all(actions);
            return;
        }
        actions.push(Action::Tell(Notice::Rebalancing));
        self.phase = Phase::Joining;
        self.busy = true;
        self.sent = now;
        self.rejoin = false;
        self.scheduled = None;
        actions.push(Action::Join(
            self.member_id.clone(),
            self.allocation.clone(),
            self.settings.rebalance + JOIN_GRACE,
        ));
    }

    /// What every answer's error code means; `true` where there is none.
    fn check(&mut self, now: Instant, code: i16, actions: &mut Vec<Action>) -> bool {
        self.busy = false;
        match code {
            code::NONE => return true,
            code::COORDINATOR_NOT_AVAILABLE | code::NOT_COORDINATOR => {
                tracing::info!(code, "the group's coordinator is elsewhere; looking for it");
                actions.push(Action::Disconnect);
                self.disconnected(now);
            }
            code::COORDINATOR_LOADING | code::REBALANCING => self.not_before = now + RETRY,
            code::ILLEGAL_GENERATION => self.generation = -1,
            code::UNKNOWN_MEMBER => {
                tracing::info!("the coordinator no longer knows this member; joining anew");
                self.out();
            }
            other => {
                let why = match other {
                    code::INCONSISTENT_PROTOCOL => {
                        "The group member's supported protocols are incompatible with those of \
                         existing members or first group member tried to join with empty protocol \
                         type or empty protocol list."
                    }
                    code::GROUP_AUTHORIZATION => "Not authorized to access group",
                    code::GROUP_FULL => "The group is full",
                    code::INVALID_SESSION_TIMEOUT => {
                        "The session timeout is not within the range allowed by the broker (as \
                         configured by group.min.session.timeout.ms and \
                         group.max.session.timeout.ms)."
                    }
                    _ => "Unexpected error of the group coordinator",
                };
                self.ended = true;
                actions.push(Action::Tell(Notice::Refused(format!(
                    "{why} (error code {other})"
                ))));
            }
        }
        self.rejoin = true;
        if self.phase != Phase::Out {
            self.phase = Phase::In;
        }
        false
    }

    fn joined(
        &mut self,
        now: Instant,
        answer: JoinAnswer,
        knowledge: &Knowledge,
        actions: &mut Vec<Action>,
    ) {
        if answer.code == code::MEMBER_ID_REQUIRED {
            self.busy = false;
            self.phase = Phase::Out;
            self.member_id = answer.member_id;
            return;
        }
        let lost = self.phase != Phase::Joining;
        if !self.check(now, answer.code, actions) || lost {
            return;
        }
        let Some(protocol) = ConnectProtocol::of_name(&answer.protocol) else {
            self.ended = true;
            let text = format!("the group uses the unknown protocol {}", answer.protocol);
            actions.push(Action::Tell(Notice::Refused(text)));
            return;
        };
        self.phase = Phase::Syncing;
        self.busy = true;
        self.acknowledged = now;
        self.sent = now;
        self.member_id = answer.member_id;
        self.generation = answer.generation;
        self.protocol = protocol;
        self.owners.clear();
        let assignments = if answer.leader == self.member_id {
            match self.lead(&answer.members, knowledge) {
                Ok(assignments) => assignments,
                Err(error) => {
                    // A member that talks nonsense: nobody gets anything until it is gone.
                    tracing::error!(error = %Chain(&error), "assigning work to the group");
                    Vec::new()
                }
            }
        } else {
            Vec::new()
        };
        actions.push(Action::Sync {
            generation: self.generation,
            member_id: self.member_id.clone(),
            protocol,
            assignments,
        });
    }

    fn lead(
        &mut self,
        members: &[(String, Vec<u8>)],
        knowledge: &Knowledge,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let states: Vec<(String, WorkerState)> = members
            .iter()
            .map(|(id, bytes)| {
                let state = decode_metadata(bytes).map_err(|error| {
                    Error::data(format!("the metadata of member {id}")).with_source(error)
                })?;
                Ok((id.clone(), state))
            })
            .collect::<Result<_>>()?;
        let latest = states
            .iter()
            .map(|(_, state)| state.offset)
            .max()
            .unwrap_or(-1);
        let behind = knowledge.config.offset() < latest;
        let round = if behind {
            tracing::info!(
                own = knowledge.config.offset(),
                latest,
                "selected to perform assignments, but a member has read more of the config topic"
            );
            Round::default()
        } else if self.protocol == ConnectProtocol::Eager {
            eager::assign(&knowledge.config, states.iter().map(|(id, _)| id.as_str()))
        } else {
            let works: Vec<(String, Work)> = states
                .iter()
                .map(|(id, state)| {
                    let allocation = state.allocation.as_ref();
                    (
                        id.clone(),
                        allocation
                            .map(|has| has.assigned.clone())
                            .unwrap_or_default(),
                    )
                })
                .collect();
            self.assignor.assign(&Input {
                now_ms: knowledge.now_ms,
                last_completed_generation: self.last_completed,
                generation: self.generation,
                config: &knowledge.config,
                members: &works,
                handed_over: &*knowledge.handed_over,
            })
        };
        self.owners = states
            .iter()
            .map(|(id, state)| {
                (
                    state.url.clone(),
                    round.owned.get(id).cloned().unwrap_or_default(),
                )
            })
            .collect();
        let assignments = states.into_iter().map(|(id, _)| {
            let share = round.shares.get(&id).cloned().unwrap_or_default();
            let assignment = Assignment {
                error: i16::from(behind),
                leader: self.member_id.clone(),
                leader_url: self.settings.url.clone(),
                offset: latest.max(knowledge.config.offset()),
                assigned: share.assigned,
                revoked: share.revoked,
                delay_ms: round.delay_ms,
            };
            (id, encode_assignment(&assignment, self.protocol))
        });
        Ok(assignments.collect())
    }

    fn synced(&mut self, now: Instant, code: i16, bytes: &[u8], actions: &mut Vec<Action>) {
        let lost = self.phase != Phase::Syncing;
        if !self.check(now, code, actions) || lost {
            return;
        }
        let mut assignment = match decode_assignment(bytes) {
            Ok(assignment) => assignment,
            Err(error) => {
                tracing::error!(error = %Chain(&error), "the leader's assignment makes no sense");
                self.phase = Phase::In;
                self.rejoin = true;
                self.not_before = now + RETRY;
                return;
            }
        };
        self.phase = Phase::In;
        self.acknowledged = self.sent;
        self.next_beat = now + self.settings.beat;
        self.last_completed = self.generation;
        let revoked = std::mem::take(&mut assignment.revoked);
        if self.protocol != ConnectProtocol::Eager
            && let Some(mut kept) = self.allocation.take()
        {
            kept.assigned.remove_all(&revoked);
            assignment.assigned.add_all(&kept.assigned);
        }
        if assignment.failed() {
            // Not in a tight loop: the leader, or we, have to read on.
            self.not_before = now + RETRY;
        }
        self.scheduled = u64::try_from(assignment.delay_ms)
            .ok()
            .filter(|delay| *delay > 0)
            .map(|delay| now + Duration::from_millis(delay));
        if !revoked.is_empty() {
            self.releasing = true;
            self.rejoin_when_released = true;
        }
        actions.push(Action::Tell(Notice::Assigned(Assigned {
            generation: self.generation,
            protocol: self.protocol,
            leads: assignment.leader == self.member_id,
            leader_url: assignment.leader_url.clone(),
            offset: assignment.offset,
            failed: assignment.failed(),
            work: assignment.assigned.clone(),
            revoked,
            owners: std::mem::take(&mut self.owners),
        })));
        self.allocation = Some(assignment);
    }

    fn heartbeat(&mut self, now: Instant, code: i16, actions: &mut Vec<Action>) {
        self.busy = false;
        match code {
            code::NONE => self.acknowledged = self.acknowledged.max(self.sent),
            code::REBALANCING => {
                self.acknowledged = self.acknowledged.max(self.sent);
                self.rejoin = true;
            }
            other => {
                self.check(now, other, actions);
            }
        }
    }
}
