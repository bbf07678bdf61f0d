//! What shall run and what does, and what follows from the difference: a pure function of
//! (state, time, event), whose actions the herder's loop performs.
//!
//! The config topic says what is wanted. Whatever is wanted and not there is started; a restart is
//! no more than a stop, after which the thing is wanted and not there. A connector's tasks start
//! once none of its old ones is left. In a group, wanted is what is assigned: [`group`] keeps what
//! the group says, [`requests`] decides what is asked. No I/O, no threads, no clock. Answers for
//! the deciding half of `DistributedHerder`.

mod awaited;
pub(super) mod group;
mod requests;

pub(super) use requests::already_exists;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::Result;

use self::awaited::Awaited;
use self::group::Group;
use super::request::{
    Answer, ConnectorInfo, ConnectorStatus, RawConfig, Request, RequestError, Sender, TargetState,
    TaskId,
};
use crate::group::membership::Notice;
use crate::store::cluster_state::{ClusterConfigState, ConfigChange};
use crate::store::config::ConfigWrite;
use crate::store::status::{State, StatusOf};

/// How long a connector may take to stop; fixed in the JVM, too.
const CONNECTOR_STOP_LIMIT: Duration = Duration::from_secs(5);
/// The pauses between attempts to get task configurations: doubling, within these.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));

/// What a connector's thread reports.
#[derive(Debug)]
pub enum ConnectorEvent {
    /// It is in this state now; FAILED comes with a trace.
    State(State, Option<String>),
    /// It wants to be asked for task configurations.
    NeedsTasks,
    /// Its task configurations, ready to be written.
    Tasks(Result<Vec<RawConfig>>),
    /// It has stopped and its thread is gone.
    Gone,
}

/// What a task's thread reports.
#[derive(Debug)]
pub enum TaskEvent {
    /// It is in this state now; FAILED comes with a trace and ends the thread.
    State(State, Option<String>),
    /// Its plugins and clients are there.
    Made,
    /// It has stopped and its thread is gone.
    Gone,
}

/// What the herder hears of.
#[derive(Debug)]
pub enum Event {
    /// A request of REST.
    Request(Request),
    /// The stores have been read: all that is configured, and all that has a status.
    Loaded(Arc<ClusterConfigState>, Vec<StatusOf>),
    /// The config topic changed.
    Config(Arc<ClusterConfigState>, ConfigChange),
    /// A connector's thread reports; of an old incarnation where the epoch is an old one.
    Connector(Arc<str>, u64, ConnectorEvent),
    /// A task's thread reports.
    Task(TaskId, u64, TaskEvent),
    /// The group says something; with all that has a status.
    Group(Notice, Vec<StatusOf>),
    /// The leader was given a connector's task configurations, or was not.
    TasksSent(Arc<str>, u64, Result<()>),
    /// Time has passed.
    Tick,
    /// The worker stops.
    Stop,
}

/// Who waits for a write.
#[derive(Debug)]
pub enum Reply {
    /// Nobody.
    Nobody,
    /// A request without an answer of its own.
    Done(Sender<()>),
    /// The creation or change of a connector.
    Put {
        /// Whether it was created.
        created: bool,
        /// Whether one that is there meanwhile may be replaced.
        allow_replace: bool,
        /// The connector.
        name: String,
        /// Its configuration as it was sent.
        config: RawConfig,
        /// Where the answer goes.
        answer: Sender<(bool, ConnectorInfo)>,
    },
}

/// What the herder's loop shall do, in order.
#[derive(Debug)]
pub enum Action {
    /// Starts a connector's thread.
    StartConnector {
        /// The connector.
        name: Arc<str>,
        /// Its incarnation.
        epoch: u64,
        /// Its configuration.
        config: Arc<RawConfig>,
        /// What it shall be.
        target: TargetState,
    },
    /// Tells a connector what it shall be.
    SetConnectorTarget(Arc<str>, u64, TargetState),
    /// Asks a connector for task configurations.
    MakeTasks(Arc<str>, u64),
    /// Stops a connector.
    StopConnector(Arc<str>, u64),
    /// Starts a task's thread.
    StartTask {
        /// The task.
        id: TaskId,
        /// Its incarnation.
        epoch: u64,
        /// Its connector's configuration.
        connector: Arc<RawConfig>,
        /// Its own.
        config: Arc<RawConfig>,
        /// Whether it starts paused.
        paused: bool,
    },
    /// Pauses or resumes a task.
    PauseTask(TaskId, u64, bool),
    /// Stops a task, its offsets flushed.
    StopTask(TaskId, u64),
    /// Gives a task up that did not stop in time: it must not commit any more.
    AbandonTask(TaskId, u64),
    /// Writes to the config topic, and answers.
    Write(Vec<ConfigWrite>, Reply),
    /// Writes a status.
    PutStatus(StatusOf, State, Option<String>),
    /// Forgets a status.
    RemoveStatus(StatusOf),
    /// Forgets the topics that a connector has used.
    ResetTopics(Arc<str>),
    /// Answers a request.
    Answer(Sender<()>, Answer<()>),
    /// Answers a restart.
    AnswerRestart(Sender<ConnectorStatus>, Answer<ConnectorStatus>),
    /// Refuses the creation of a connector.
    RefusePut(Sender<(bool, ConnectorInfo)>, RequestError),
    /// Gives the leader a connector's task configurations, at this address.
    SendTasks {
        /// The connector.
        name: Arc<str>,
        /// Its incarnation.
        epoch: u64,
        /// The configurations.
        tasks: Vec<RawConfig>,
        /// Where the leader answers.
        leader: String,
    },
    /// Asks the group to hand work out anew.
    Rejoin(&'static str),
    /// Statuses are written from now on under this generation.
    Generation(i64),
    /// Makes sure that all statuses are written, then lets the group go on.
    Release,
    /// Leaves the group, and comes back after this time, with its work or without.
    StepOut(Duration, bool),
    /// All has stopped.
    Exit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its thread runs.
    Alive,
    /// It was told to stop, and is given up at this time.
    Stopping(Instant),
    /// It has failed; for a task the thread is gone, a connector's waits for orders.
    Failed,
}

#[derive(Debug)]
struct Local {
    epoch: u64,
    phase: Phase,
    /// Asks for task configurations again at this time, after this pause.
    retry: Option<(Instant, Duration)>,
}

/// What the herder knows.
#[derive(Debug)]
pub struct HerderState {
    config: Arc<ClusterConfigState>,
    connectors: BTreeMap<Arc<str>, Local>,
    tasks: BTreeMap<TaskId, Local>,
    epoch: u64,
    pub(super) task_stop_limit: Duration,
    loaded: bool,
    stopping: bool,
    /// `None` for a worker that works alone.
    group: Option<Group>,
    awaited: Awaited,
}

impl HerderState {
    /// Nothing runs, nothing is known, and all that is configured is this worker's.
    pub fn alone(task_stop_limit: Duration) -> Self {
        Self {
            group: None,
            awaited: Awaited::default(),
            config: Arc::default(),
            connectors: BTreeMap::new(),
            tasks: BTreeMap::new(),
            epoch: 0,
            task_stop_limit,
            loaded: false,
            stopping: false,
        }
    }

    /// When [`Event::Tick`] is due at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.connectors
            .values()
            .chain(self.tasks.values())
            .flat_map(|local| {
                let stopping = match local.phase {
                    Phase::Stopping(deadline) => Some(deadline),
                    Phase::Alive | Phase::Failed => None,
                };
                [stopping, local.retry.map(|(at, _)| at)]
            })
            .flatten()
            .chain(self.group.as_ref().and_then(Group::next_deadline))
            .min()
    }

    /// Whether this worker shall run a connector.
    fn is_assigned(&self, name: &str) -> bool {
        self.config.contains(name)
            && self
                .group
                .as_ref()
                .is_none_or(|group| group.has_connector(name))
    }

    fn is_wanted(&self, id: &TaskId) -> bool {
        self.group.as_ref().is_none_or(|group| group.has_task(id))
            && self.config.tasks(&id.connector).contains(id)
            && self.config.target(&id.connector) != Some(TargetState::Stopped)
    }

    /// Whether what is being restarted will come back here.
    fn may_start_again(&self, of: &StatusOf) -> bool {
        match of {
            StatusOf::Connector(name) => self.is_assigned(name),
            StatusOf::Task(id) => self.is_wanted(id),
        }
    }

    /// What follows from an event.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Request(request) => self.request(now, request, &mut actions),
            Event::Loaded(config, statuses) => {
                self.config = config;
                self.loaded = true;
                if self.group.is_none() {
                    self.forget_what_is_gone(statuses, &mut actions);
                }
            }
            Event::Config(config, change) => {
                let before = std::mem::replace(&mut self.config, config);
                if self.loaded {
                    self.tell_group_of(&before, &change, &mut actions);
                    self.config_change(now, change, &mut actions);
                }
            }
            Event::Group(notice, statuses) => self.hear(now, notice, statuses, &mut actions),
            Event::TasksSent(name, epoch, Ok(())) => {
                if let Some(local) = self.connectors.get_mut(&name).filter(|c| c.epoch == epoch) {
                    local.retry = None;
                }
            }
            Event::TasksSent(name, epoch, Err(error)) => {
                let event = ConnectorEvent::Tasks(Err(error));
                self.connector_event(now, &name, epoch, event, &mut actions);
            }
            Event::Connector(name, epoch, event) => {
                self.connector_event(now, &name, epoch, event, &mut actions);
            }
            Event::Task(id, epoch, event) => self.task_event(&id, epoch, event, &mut actions),
            Event::Tick => self.tick(now, &mut actions),
            Event::Stop => {
                self.stopping = true;
                for id in self.tasks.keys().cloned().collect::<Vec<_>>() {
                    self.stop_task(now, &id, &mut actions);
                }
                for name in self.connectors.keys().cloned().collect::<Vec<_>>() {
                    self.stop_connector(now, &name, &mut actions);
                }
            }
        }
        if self.stopping {
            if self.connectors.is_empty() && self.tasks.is_empty() {
                actions.push(Action::Exit);
            }
        } else if self.loaded {
            self.reconcile(now, &mut actions);
            let mut awaited = std::mem::take(&mut self.awaited);
            awaited.forget(|of| self.may_start_again(of), &mut actions);
            self.awaited = awaited;
            self.release_when_done(&mut actions);
        }
        actions
    }

    /// Statuses of what is no longer configured.
    fn forget_what_is_gone(&self, statuses: Vec<StatusOf>, actions: &mut Vec<Action>) {
        let gone = statuses.into_iter().filter(|of| !self.is_configured(of));
        actions.extend(gone.map(Action::RemoveStatus));
    }

    fn is_configured(&self, of: &StatusOf) -> bool {
        match of {
            StatusOf::Connector(name) => self.config.contains(name),
            StatusOf::Task(id) => self.config.tasks(&id.connector).contains(id),
        }
    }

    /// Starts what is wanted and not there, stops what is there and not wanted.
    fn reconcile(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for id in self.tasks.keys().cloned().collect::<Vec<_>>() {
            if !self.is_wanted(&id) {
                self.stop_task(now, &id, actions);
            }
        }
        for name in self.connectors.keys().cloned().collect::<Vec<_>>() {
            if !self.is_assigned(&name) {
                self.stop_connector(now, &name, actions);
            }
        }
        let config = Arc::clone(&self.config);
        if self
            .group
            .as_ref()
            .is_some_and(|group| !group.may_start(&config))
        {
            return;
        }
        for name in config.connectors() {
            let (Some(connector), Some(target)) = (config.config(name), config.target(name)) else {
                continue;
            };
            if self.is_assigned(name) && !self.connectors.contains_key(name) {
                self.epoch += 1;
                let local = Local {
                    epoch: self.epoch,
                    phase: Phase::Alive,
                    retry: None,
                };
                self.connectors.insert(Arc::clone(name), local);
                actions.push(Action::StartConnector {
                    name: Arc::clone(name),
                    epoch: self.epoch,
                    config: Arc::clone(connector),
                    target,
                });
            }
            let old_one_left = self.tasks.iter().any(|(id, local)| {
                id.connector == *name && matches!(local.phase, Phase::Stopping(_))
            });
            let too_new = self
                .group
                .as_ref()
                .is_some_and(|group| group.is_outdated_for(name));
            if old_one_left || too_new || target == TargetState::Stopped {
                continue;
            }
            for id in config.tasks(name) {
                if !self.is_wanted(&id) {
                    continue;
                }
                let Some(task) = config
                    .task_config(&id)
                    .filter(|_| !self.tasks.contains_key(&id))
                else {
                    continue;
                };
                self.epoch += 1;
                let local = Local {
                    epoch: self.epoch,
                    phase: Phase::Alive,
                    retry: None,
                };
                self.tasks.insert(id.clone(), local);
                actions.push(Action::StartTask {
                    id,
                    epoch: self.epoch,
                    connector: Arc::clone(connector),
                    config: Arc::clone(task),
                    paused: target == TargetState::Paused,
                });
            }
        }
    }

    fn stop_connector(&mut self, now: Instant, name: &Arc<str>, actions: &mut Vec<Action>) {
        let Some(local) = self.connectors.get_mut(name) else {
            return;
        };
        if !matches!(local.phase, Phase::Stopping(_)) {
            local.phase = Phase::Stopping(now + CONNECTOR_STOP_LIMIT);
            local.retry = None;
            actions.push(Action::StopConnector(Arc::clone(name), local.epoch));
        }
    }

    fn stop_task(&mut self, now: Instant, id: &TaskId, actions: &mut Vec<Action>) {
        let Some(local) = self.tasks.get_mut(id) else {
            return;
        };
        match local.phase {
            Phase::Stopping(_) => {}
            Phase::Alive => {
                local.phase = Phase::Stopping(now + self.task_stop_limit);
                actions.push(Action::StopTask(id.clone(), local.epoch));
            }
            // Its thread is gone, and FAILED stays what is known of it until it runs again.
            Phase::Failed => {
                self.tasks.remove(id);
                if !self.config.tasks(&id.connector).contains(id) {
                    actions.push(Action::RemoveStatus(StatusOf::Task(id.clone())));
                }
            }
        }
    }

    fn connector_gone(&mut self, name: &Arc<str>, actions: &mut Vec<Action>) {
        self.connectors.remove(name);
        let of = StatusOf::Connector(Arc::clone(name));
        actions.push(Action::PutStatus(of.clone(), State::Unassigned, None));
        if !self.config.contains(name) {
            actions.push(Action::RemoveStatus(of));
            actions.push(Action::ResetTopics(Arc::clone(name)));
        }
    }

    fn task_gone(&mut self, id: &TaskId, actions: &mut Vec<Action>) {
        self.tasks.remove(id);
        let of = StatusOf::Task(id.clone());
        actions.push(Action::PutStatus(of.clone(), State::Unassigned, None));
        if !self.config.tasks(&id.connector).contains(id) {
            actions.push(Action::RemoveStatus(of));
        }
    }

    fn config_change(&mut self, now: Instant, change: ConfigChange, actions: &mut Vec<Action>) {
        match change {
            ConfigChange::Connector(name) => self.stop_connector(now, &name, actions),
            // What is no longer wanted stops when things are reconciled.
            ConfigChange::ConnectorRemoved(_) | ConfigChange::Logger { .. } => {}
            ConfigChange::Tasks(name) => {
                for id in self.tasks_of(&name) {
                    self.stop_task(now, &id, actions);
                }
            }
            ConfigChange::TargetState(name) => {
                let target = self.config.target(&name).unwrap_or_default();
                if let Some(local) = self.connectors.get(&name) {
                    actions.push(Action::SetConnectorTarget(
                        Arc::clone(&name),
                        local.epoch,
                        target,
                    ));
                }
                for id in self.tasks_of(&name) {
                    let local = &self.tasks[&id];
                    if local.phase == Phase::Alive && target != TargetState::Stopped {
                        let paused = target == TargetState::Paused;
                        actions.push(Action::PauseTask(id, local.epoch, paused));
                    }
                }
            }
            ConfigChange::Restart {
                connector,
                only_failed,
                include_tasks,
            } => {
                self.restart(now, &connector, only_failed, include_tasks, actions);
            }
            ConfigChange::Nothing => {}
        }
    }

    fn tasks_of(&self, name: &str) -> Vec<TaskId> {
        self.tasks
            .keys()
            .filter(|id| &*id.connector == name)
            .cloned()
            .collect()
    }

    fn restart(
        &mut self,
        now: Instant,
        name: &Arc<str>,
        only_failed: bool,
        include_tasks: bool,
        actions: &mut Vec<Action>,
    ) {
        let covered = |local: &Local| !only_failed || local.phase == Phase::Failed;
        if self.connectors.get(name).is_some_and(covered) {
            let of = StatusOf::Connector(Arc::clone(name));
            self.stop_connector(now, name, actions);
            actions.push(Action::PutStatus(of, State::Restarting, None));
        }
        for id in self.tasks_of(name) {
            if include_tasks && covered(&self.tasks[&id]) {
                self.stop_task(now, &id, actions);
                actions.push(Action::PutStatus(
                    StatusOf::Task(id),
                    State::Restarting,
                    None,
                ));
            }
        }
    }

    fn connector_event(
        &mut self,
        now: Instant,
        name: &Arc<str>,
        epoch: u64,
        event: ConnectorEvent,
        actions: &mut Vec<Action>,
    ) {
        let target = self.config.target(name);
        let Some(local) = self
            .connectors
            .get_mut(name)
            .filter(|local| local.epoch == epoch)
        else {
            return;
        };
        let stopping = matches!(local.phase, Phase::Stopping(_));
        match event {
            ConnectorEvent::State(..) | ConnectorEvent::NeedsTasks | ConnectorEvent::Tasks(_)
                if stopping => {}
            ConnectorEvent::State(state, trace) => {
                let of = StatusOf::Connector(Arc::clone(name));
                let made = state != State::Failed;
                self.awaited.settle(&of, epoch, made, actions);
                local.phase = if state == State::Failed {
                    Phase::Failed
                } else {
                    Phase::Alive
                };
                actions.push(Action::PutStatus(of, state, trace));
                if state == State::Running {
                    actions.push(Action::MakeTasks(Arc::clone(name), epoch));
                }
            }
            ConnectorEvent::NeedsTasks => {
                if target == Some(TargetState::Started) && local.phase == Phase::Alive {
                    actions.push(Action::MakeTasks(Arc::clone(name), epoch));
                }
            }
            ConnectorEvent::Tasks(Ok(tasks)) => {
                local.retry = None;
                // A stop may have come in between.
                let started = target == Some(TargetState::Started);
                if started && self.tasks_differ(name, &tasks) {
                    self.publish_tasks(now, name, epoch, tasks, actions);
                }
            }
            ConnectorEvent::Tasks(Err(error)) => {
                retry_later(now, local);
                tracing::error!(
                    connector = &**name,
                    error = %connect_api::error::Chain(&error),
                    "Failed to reconfigure connector's tasks, retrying after backoff"
                );
            }
            ConnectorEvent::Gone => self.connector_gone(name, actions),
        }
    }

    /// Writes task configurations where this worker may, else has the leader do it.
    fn publish_tasks(
        &mut self,
        now: Instant,
        name: &Arc<str>,
        epoch: u64,
        tasks: Vec<RawConfig>,
        actions: &mut Vec<Action>,
    ) {
        match self.leader() {
            Ok(()) => {
                let write = ConfigWrite::Tasks(Arc::clone(name), tasks);
                actions.push(Action::Write(vec![write], Reply::Nobody));
            }
            Err(Some(leader)) => actions.push(Action::SendTasks {
                name: Arc::clone(name),
                epoch,
                tasks,
                leader,
            }),
            Err(None) => {
                if let Some(local) = self.connectors.get_mut(name) {
                    retry_later(now, local);
                }
            }
        }
    }

    /// The rule by which tasks are written anew.
    fn tasks_differ(&self, name: &str, tasks: &[RawConfig]) -> bool {
        let same_tasks = self.config.task_configs(name).is_some_and(|current| {
            current.len() == tasks.len() && current.iter().zip(tasks).all(|(a, b)| a.as_ref() == b)
        });
        let same_config = match (self.config.applied(name), self.config.config(name)) {
            (Some(applied), Some(config)) => applied == config,
            _ => false,
        };
        !same_tasks || !same_config
    }

    fn task_event(&mut self, id: &TaskId, epoch: u64, event: TaskEvent, actions: &mut Vec<Action>) {
        let Some(local) = self.tasks.get_mut(id).filter(|local| local.epoch == epoch) else {
            return;
        };
        let made = !matches!(event, TaskEvent::State(State::Failed, _));
        let of = StatusOf::Task(id.clone());
        self.awaited.settle(&of, epoch, made, actions);
        match event {
            TaskEvent::Made => {}
            TaskEvent::State(state, trace) => match local.phase {
                // A failure while it stops is one still; the JVM shows it until the next start.
                Phase::Stopping(_) if state != State::Failed => {}
                Phase::Stopping(_) => self.task_gone(id, actions),
                Phase::Alive | Phase::Failed => {
                    if state == State::Failed {
                        local.phase = Phase::Failed;
                    }
                    actions.push(Action::PutStatus(of, state, trace));
                }
            },
            TaskEvent::Gone => self.task_gone(id, actions),
        }
    }

    fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.give_up_reading(now, actions);
        let late = |local: &Local| matches!(local.phase, Phase::Stopping(at) if at <= now);
        let tasks: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, local)| late(local))
            .map(|(id, _)| id.clone())
            .collect();
        for id in tasks {
            tracing::error!(task = %id, "Graceful stop of task failed.");
            actions.push(Action::AbandonTask(id.clone(), self.tasks[&id].epoch));
            self.task_gone(&id, actions);
        }
        let connectors: Vec<Arc<str>> = self
            .connectors
            .iter()
            .filter(|(_, local)| late(local))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in connectors {
            tracing::error!(connector = &*name, "Graceful stop of connector failed.");
            self.connector_gone(&name, actions);
        }
        for (name, local) in &mut self.connectors {
            if let Some((_, pause)) = local.retry.filter(|(at, _)| *at <= now) {
                // The pause is kept for the next failure; the time lies far enough ahead.
                local.retry = Some((now + RETRY_PAUSES.1 * 60, pause));
                actions.push(Action::MakeTasks(Arc::clone(name), local.epoch));
            }
        }
    }
}

/// Task configurations are asked for again after a while, each time a longer one.
fn retry_later(now: Instant, local: &mut Local) {
    let pause = local
        .retry
        .map_or(RETRY_PAUSES.0, |(_, pause)| (pause * 2).min(RETRY_PAUSES.1));
    local.retry = Some((now + pause, pause));
}

#[cfg(test)]
mod tests;
