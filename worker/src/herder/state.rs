//! What shall run and what does, and what follows from the difference: a pure function of
//! (state, time, event), whose actions the herder's loop performs.
//!
//! The config topic says what is wanted. Whatever is wanted and not there is started; a restart is
//! no more than a stop, after which the thing is wanted and not there. A connector's tasks start
//! once none of its old ones is left. No I/O, no threads, no clock. Answers for the deciding half
//! of `DistributedHerder`; [`HerderState::is_assigned`] is where a group's assignment comes in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::Result;

use super::request::{
    Answer, ConnectorInfo, ConnectorStatus, RawConfig, Request, RequestError, Sender, TargetState,
    TaskId,
};
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
    AnswerRestart(Sender<ConnectorStatus>, ConnectorStatus),
    /// Refuses the creation of a connector.
    RefusePut(Sender<(bool, ConnectorInfo)>, RequestError),
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
    task_stop_limit: Duration,
    loaded: bool,
    stopping: bool,
}

impl HerderState {
    /// Nothing runs, nothing is known.
    pub fn new(task_stop_limit: Duration) -> Self {
        Self {
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
            .min()
    }

    /// Whether this worker shall run a connector and its tasks: all of them, while it is alone.
    fn is_assigned(&self, name: &str) -> bool {
        self.config.contains(name)
    }

    fn is_wanted(&self, id: &TaskId) -> bool {
        self.is_assigned(&id.connector)
            && self.config.tasks(&id.connector).contains(id)
            && self.config.target(&id.connector) != Some(TargetState::Stopped)
    }

    /// What follows from an event.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Request(request) => self.request(now, request, &mut actions),
            Event::Loaded(config, statuses) => {
                self.config = config;
                self.loaded = true;
                actions.extend(
                    statuses
                        .into_iter()
                        .filter(|of| !self.is_configured(of))
                        .map(Action::RemoveStatus),
                );
            }
            Event::Config(config, change) => {
                self.config = config;
                if self.loaded {
                    self.config_change(now, change, &mut actions);
                }
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
        }
        actions
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
        for name in config.connectors() {
            if !self.is_assigned(name) {
                continue;
            }
            let (Some(connector), Some(target)) = (config.config(name), config.target(name)) else {
                continue;
            };
            if !self.connectors.contains_key(name) {
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
            if old_one_left || target == TargetState::Stopped {
                continue;
            }
            for id in config.tasks(name) {
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
            ConfigChange::ConnectorRemoved(_) => {}
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
                local.phase = if state == State::Failed {
                    Phase::Failed
                } else {
                    Phase::Alive
                };
                actions.push(Action::PutStatus(
                    StatusOf::Connector(Arc::clone(name)),
                    state,
                    trace,
                ));
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
                    let write = ConfigWrite::Tasks(Arc::clone(name), tasks);
                    actions.push(Action::Write(vec![write], Reply::Nobody));
                }
            }
            ConnectorEvent::Tasks(Err(error)) => {
                let pause = local
                    .retry
                    .map_or(RETRY_PAUSES.0, |(_, pause)| (pause * 2).min(RETRY_PAUSES.1));
                local.retry = Some((now + pause, pause));
                tracing::error!(
                    connector = &**name,
                    error = %connect_api::error::Chain(&error),
                    "Failed to reconfigure connector's tasks, retrying after backoff"
                );
            }
            ConnectorEvent::Gone => self.connector_gone(name, actions),
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
        match event {
            TaskEvent::State(state, trace) => match local.phase {
                // A failure while it stops is one still; the JVM shows it until the next start.
                Phase::Stopping(_) if state != State::Failed => {}
                Phase::Stopping(_) => self.task_gone(id, actions),
                Phase::Alive | Phase::Failed => {
                    if state == State::Failed {
                        local.phase = Phase::Failed;
                    }
                    actions.push(Action::PutStatus(StatusOf::Task(id.clone()), state, trace));
                }
            },
            TaskEvent::Gone => self.task_gone(id, actions),
        }
    }

    fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
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

    fn request(&mut self, now: Instant, request: Request, actions: &mut Vec<Action>) {
        if self.stopping {
            refuse(request, actions);
            return;
        }
        match request {
            Request::PutConnector {
                name,
                config,
                target,
                allow_replace,
                answer,
            } => {
                let exists = self.config.contains(&name);
                if exists && !allow_replace {
                    let error = RequestError::conflict(format!("Connector {name} already exists"));
                    actions.push(Action::RefusePut(answer, error));
                    return;
                }
                let shared: Arc<str> = name.as_str().into();
                let mut writes = Vec::with_capacity(2);
                writes
                    .extend(target.map(|target| ConfigWrite::Target(Arc::clone(&shared), target)));
                writes.push(ConfigWrite::Connector(shared, config.clone()));
                let reply = Reply::Put {
                    created: !exists,
                    name,
                    config,
                    answer,
                };
                actions.push(Action::Write(writes, reply));
            }
            Request::DeleteConnector(name, answer) => {
                if self.config.contains(&name) {
                    let write = ConfigWrite::RemoveConnector(name.as_str().into());
                    actions.push(Action::Write(vec![write], Reply::Done(answer)));
                } else {
                    let error = RequestError::not_found(format!("Connector {name} not found"));
                    actions.push(Action::Answer(answer, Err(error)));
                }
            }
            Request::SetTarget(name, target, answer) => {
                if !self.config.contains(&name) {
                    let error = RequestError::not_found(format!("Unknown connector {name}"));
                    actions.push(Action::Answer(answer, Err(error)));
                    return;
                }
                let name: Arc<str> = name.as_str().into();
                let mut writes = Vec::with_capacity(2);
                if target == TargetState::Stopped {
                    writes.push(ConfigWrite::Tasks(Arc::clone(&name), Vec::new()));
                }
                writes.push(ConfigWrite::Target(name, target));
                actions.push(Action::Write(writes, Reply::Done(answer)));
            }
            Request::RestartConnector(name, answer) => {
                if self.config.contains(&name) {
                    self.stop_connector(now, &name.as_str().into(), actions);
                    actions.push(Action::Answer(answer, Ok(())));
                } else {
                    let error = RequestError::not_found(format!("Unknown connector: {name}"));
                    actions.push(Action::Answer(answer, Err(error)));
                }
            }
            Request::RestartPlan {
                name,
                only_failed,
                include_tasks,
                mut status,
                answer,
            } => {
                let tasks = status.tasks.iter_mut().map(|(_, info)| info);
                for info in
                    std::iter::once(&mut status.connector).chain(tasks.filter(|_| include_tasks))
                {
                    if !only_failed || info.state == State::Failed.name() {
                        State::Restarting.name().clone_into(&mut info.state);
                        info.trace = None;
                    }
                }
                let connector = name.as_str().into();
                let write = ConfigWrite::Restart {
                    connector,
                    only_failed,
                    include_tasks,
                };
                actions.push(Action::Write(vec![write], Reply::Nobody));
                actions.push(Action::AnswerRestart(answer, status));
            }
            Request::RestartTask(id, answer) => {
                let result = if !self.config.contains(&id.connector) {
                    Err(RequestError::not_found(format!(
                        "Unknown connector: {}",
                        id.connector
                    )))
                } else if !self.config.tasks(&id.connector).contains(&id) {
                    Err(RequestError::not_found(format!("Unknown task: {id}")))
                } else {
                    self.stop_task(now, &id, actions);
                    Ok(())
                };
                actions.push(Action::Answer(answer, result));
            }
            Request::Ping(answer) => actions.push(Action::Answer(answer, Ok(()))),
            Request::CheckStopped(name, answer) => {
                let result = match self.config.target(&name) {
                    None => Err(RequestError::not_found(format!(
                        "Connector {name} not found"
                    ))),
                    Some(TargetState::Stopped) if self.tasks_of(&name).is_empty() => Ok(()),
                    Some(_) => Err(RequestError::bad_request(
                        "Connectors must be in the STOPPED state before their offsets can be \
                         modified. This can be done for the specified connector by issuing a 'PUT' \
                         request to the '/connectors/"
                            .to_owned()
                            + &name
                            + "/stop' endpoint",
                    )),
                };
                actions.push(Action::Answer(answer, result));
            }
        }
    }
}

fn refuse(request: Request, actions: &mut Vec<Action>) {
    let error = || RequestError::failure("Worker is shutting down");
    match request {
        Request::PutConnector { answer, .. } => actions.push(Action::RefusePut(answer, error())),
        // The sender is dropped, which says the same.
        Request::RestartPlan { .. } => {}
        Request::DeleteConnector(_, answer)
        | Request::SetTarget(_, _, answer)
        | Request::RestartConnector(_, answer)
        | Request::RestartTask(_, answer)
        | Request::Ping(answer)
        | Request::CheckStopped(_, answer) => actions.push(Action::Answer(answer, Err(error()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        herder: HerderState,
        topic: ClusterConfigState,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            let mut world = Self {
                herder: HerderState::new(Duration::from_secs(5)),
                topic: ClusterConfigState::default(),
                now: Instant::now(),
            };
            world.step(Event::Loaded(Arc::default(), Vec::new()));
            world
        }
        fn step(&mut self, event: Event) -> Vec<String> {
            self.herder
                .step(self.now, event)
                .iter()
                .map(shown)
                .collect()
        }
        fn record(&mut self, key: &str, value: &str) -> Vec<String> {
            let value = (value != "null").then_some(value.as_bytes());
            match self
                .topic
                .apply(self.topic.offset() + 1, key.as_bytes(), value)
            {
                Some(change) => self.step(Event::Config(Arc::new(self.topic.clone()), change)),
                None => Vec::new(),
            }
        }
        fn connector(&mut self, epoch: u64, event: ConnectorEvent) -> Vec<String> {
            self.step(Event::Connector("a".into(), epoch, event))
        }
        fn task(&mut self, epoch: u64, event: TaskEvent) -> Vec<String> {
            self.step(Event::Task(
                TaskId {
                    connector: "a".into(),
                    task: 0,
                },
                epoch,
                event,
            ))
        }
        /// A connector with one running task.
        fn running() -> Self {
            let mut world = Self::new();
            assert_eq!(world.record("connector-a", CONFIG), ["start a@1 STARTED"]);
            assert_eq!(
                world.connector(1, ConnectorEvent::State(State::Running, None)),
                ["status a RUNNING", "make tasks a"]
            );
            world.record("task-a-0", TASK);
            assert_eq!(world.record("commit-a", r#"{"tasks":1}"#), ["start a-0@2"]);
            assert_eq!(
                world.task(2, TaskEvent::State(State::Running, None)),
                ["status a-0 RUNNING"]
            );
            world
        }
    }

    const CONFIG: &str = r#"{"properties":{"connector.class":"X"}}"#;
    const TASK: &str = r#"{"properties":{"task.class":"T"}}"#;

    fn task_config() -> RawConfig {
        [("task.class".to_owned(), Some("T".to_owned()))]
            .into_iter()
            .collect()
    }

    fn shown(action: &Action) -> String {
        let of = |of: &StatusOf| match of {
            StatusOf::Connector(name) => name.to_string(),
            StatusOf::Task(id) => id.to_string(),
        };
        match action {
            Action::StartConnector {
                name,
                epoch,
                target,
                ..
            } => {
                format!("start {name}@{epoch} {}", target.name())
            }
            Action::SetConnectorTarget(name, _, target) => format!("set {name} {}", target.name()),
            Action::MakeTasks(name, _) => format!("make tasks {name}"),
            Action::StopConnector(name, epoch) => format!("stop {name}@{epoch}"),
            Action::StartTask {
                id, epoch, paused, ..
            } => {
                format!("start {id}@{epoch}{}", if *paused { " paused" } else { "" })
            }
            Action::PauseTask(id, _, paused) => format!("pause {id} {paused}"),
            Action::StopTask(id, epoch) => format!("stop {id}@{epoch}"),
            Action::AbandonTask(id, epoch) => format!("abandon {id}@{epoch}"),
            Action::Write(writes, _) => format!("write {}", writes.len()),
            Action::PutStatus(who, state, _) => format!("status {} {}", of(who), state.name()),
            Action::RemoveStatus(who) => format!("forget {}", of(who)),
            Action::ResetTopics(name) => format!("reset topics {name}"),
            Action::Answer(_, result) => format!("answer {:?}", result.as_ref().err()),
            Action::AnswerRestart(_, info) => format!("restarting {}", info.connector.state),
            Action::RefusePut(_, error) => format!("refuse {error}"),
            Action::Exit => "exit".to_owned(),
        }
    }

    #[test]
    fn a_new_configuration_restarts_the_connector_and_a_commit_its_tasks() {
        let mut world = World::running();
        assert_eq!(world.record("connector-a", CONFIG), ["stop a@1"]);
        assert_eq!(
            world.connector(1, ConnectorEvent::Gone),
            ["status a UNASSIGNED", "start a@3 STARTED"]
        );
        world.record("task-a-0", TASK);
        assert_eq!(world.record("commit-a", r#"{"tasks":1}"#), ["stop a-0@2"]);
        assert_eq!(
            world.task(2, TaskEvent::Gone),
            ["status a-0 UNASSIGNED", "start a-0@4"]
        );
        assert_eq!(
            world.task(2, TaskEvent::Gone),
            [""; 0],
            "an old incarnation is not heard"
        );
    }

    #[test]
    fn tasks_are_written_only_where_something_differs() {
        let mut world = World::running();
        let same = ConnectorEvent::Tasks(Ok(vec![task_config()]));
        assert_eq!(world.connector(1, same), [""; 0]);
        let more = ConnectorEvent::Tasks(Ok(vec![task_config(), task_config()]));
        assert_eq!(world.connector(1, more), ["write 1"]);
        world.record(
            "connector-a",
            r#"{"properties":{"connector.class":"X","new":"1"}}"#,
        );
        world.connector(1, ConnectorEvent::Gone);
        let same = ConnectorEvent::Tasks(Ok(vec![task_config()]));
        assert_eq!(
            world.connector(3, same),
            ["write 1"],
            "the connector's own config differs"
        );
    }

    #[test]
    fn a_failed_task_stays_failed_until_it_is_restarted() {
        let mut world = World::running();
        assert_eq!(
            world.task(2, TaskEvent::State(State::Failed, None)),
            ["status a-0 FAILED"]
        );
        assert_eq!(world.step(Event::Tick), [""; 0]);
        assert_eq!(
            world.record(
                "restart-connector-a",
                r#"{"include-tasks":true,"only-failed":true}"#
            ),
            ["status a-0 RESTARTING", "start a-0@3"]
        );
    }

    #[test]
    fn a_stopped_connector_loses_its_tasks_and_keeps_its_shell() {
        let mut world = World::running();
        assert_eq!(world.record("commit-a", r#"{"tasks":0}"#), ["stop a-0@2"]);
        assert_eq!(
            world.record(
                "target-state-a",
                r#"{"state":"PAUSED","state.v2":"STOPPED"}"#
            ),
            ["set a STOPPED"]
        );
        assert_eq!(
            world.task(2, TaskEvent::Gone),
            ["status a-0 UNASSIGNED", "forget a-0"]
        );
        assert_eq!(
            world.record(
                "target-state-a",
                r#"{"state":"STARTED","state.v2":"STARTED"}"#
            ),
            ["set a STARTED"]
        );
    }

    #[test]
    fn a_paused_connector_pauses_its_tasks() {
        let mut world = World::running();
        assert_eq!(
            world.record(
                "target-state-a",
                r#"{"state":"PAUSED","state.v2":"PAUSED"}"#
            ),
            ["set a PAUSED", "pause a-0 true"]
        );
    }

    #[test]
    fn a_deleted_connector_leaves_nothing_behind() {
        let mut world = World::running();
        assert_eq!(
            world.record("connector-a", "null"),
            ["stop a-0@2", "stop a@1"]
        );
        assert_eq!(
            world.task(2, TaskEvent::Gone),
            ["status a-0 UNASSIGNED", "forget a-0"]
        );
        assert_eq!(
            world.connector(1, ConnectorEvent::Gone),
            ["status a UNASSIGNED", "forget a", "reset topics a"]
        );
    }

    #[test]
    fn a_task_that_does_not_stop_in_time_is_given_up() {
        let mut world = World::running();
        world.step(Event::Request(Request::RestartTask(
            TaskId {
                connector: "a".into(),
                task: 0,
            },
            tokio::sync::oneshot::channel().0,
        )));
        world.now += Duration::from_secs(6);
        assert!(
            world
                .herder
                .next_deadline()
                .is_some_and(|at| at < world.now)
        );
        assert_eq!(
            world.step(Event::Tick),
            ["abandon a-0@2", "status a-0 UNASSIGNED", "start a-0@3"]
        );
    }

    #[test]
    fn stopping_the_worker_ends_when_everything_is_gone() {
        let mut world = World::running();
        assert_eq!(world.step(Event::Stop), ["stop a-0@2", "stop a@1"]);
        assert_eq!(world.task(2, TaskEvent::Gone), ["status a-0 UNASSIGNED"]);
        assert_eq!(
            world.connector(1, ConnectorEvent::Gone),
            ["status a UNASSIGNED", "exit"]
        );
    }

    #[test]
    fn statuses_without_a_configuration_are_forgotten_at_the_start() {
        let mut herder = HerderState::new(Duration::from_secs(5));
        let actions = herder.step(
            Instant::now(),
            Event::Loaded(Arc::default(), vec![StatusOf::Connector("gone".into())]),
        );
        assert_eq!(
            actions.iter().map(shown).collect::<Vec<_>>(),
            ["forget gone"]
        );
    }

    #[test]
    fn task_configurations_that_cannot_be_had_are_asked_for_again() {
        let mut world = World::running();
        let failure = || ConnectorEvent::Tasks(Err(connect_api::Error::fatal("no")));
        assert_eq!(world.connector(1, failure()), [""; 0]);
        world.now += Duration::from_millis(250);
        assert_eq!(world.step(Event::Tick), ["make tasks a"]);
        world.connector(1, failure());
        assert_eq!(
            world.herder.next_deadline(),
            Some(world.now + Duration::from_millis(500))
        );
    }
}
