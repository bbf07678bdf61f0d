//! A running connector: its thread, which starts it, asks it for task configurations, stops it.
//!
//! Answers for `WorkerConnector` and `Worker.connectorTaskConfigs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use connect_api::connector::{Connector, ConnectorContext};
use connect_api::context::{PluginContext, StopSignal};
use connect_api::error::Chain;
use connect_api::plugin::{Make, Plugin};
use connect_api::{Error, Props, Result};

use super::lifecycle::{redacted, supervise};
use super::offsets::OffsetClients;
use super::topic_creation::TopicCreation;
use crate::herder::request::{Parts, RawConfig, TargetState};
use crate::herder::state::{ConnectorEvent, Event};
use crate::providers::Resolved;
use crate::store::status::State;

/// What a connector's thread is told.
#[derive(Debug)]
enum Command {
    Target(TargetState),
    MakeTasks,
    Stop,
}

/// A connector that has a thread.
#[derive(Debug)]
pub struct RunningConnector {
    /// Its incarnation.
    pub epoch: u64,
    commands: mpsc::Sender<Command>,
    stop: StopSignal,
    made: Arc<AtomicBool>,
}

impl RunningConnector {
    /// Whether its plugin could be made.
    pub fn is_made(&self) -> bool {
        self.made.load(Ordering::Acquire)
    }
    /// What it shall be from now on.
    pub fn set_target(&self, target: TargetState) {
        self.tell(Command::Target(target));
    }
    /// Asks for task configurations.
    pub fn make_tasks(&self) {
        self.tell(Command::MakeTasks);
    }
    /// Ends it.
    pub fn stop(&self) {
        self.stop.set();
        self.tell(Command::Stop);
    }
    fn tell(&self, command: Command) {
        // A thread that is gone has reported so.
        self.commands.send(command).ok();
    }
}

/// Starts a connector's thread, which reports from then on.
pub fn start(
    name: Arc<str>,
    epoch: u64,
    raw: Arc<RawConfig>,
    target: TargetState,
    parts: &Parts,
    sender: &mpsc::Sender<Event>,
) -> RunningConnector {
    let (commands, orders) = mpsc::channel();
    let stop = StopSignal::new();
    let running = RunningConnector {
        epoch,
        commands,
        stop: stop.clone(),
        made: Arc::default(),
    };
    let made = Arc::clone(&running.made);
    running.set_target(target);
    let reporter = Reporter {
        name: Arc::clone(&name),
        epoch,
        sender: sender.clone(),
    };
    let (supervisor, failed) = (reporter.clone(), reporter.clone());
    let parts = parts.clone();
    let spawned = std::thread::Builder::new()
        .name(format!("connector-thread-{name}"))
        .spawn(move || {
            let span = tracing::info_span!("connector", connector = &*name);
            let _entered = span.enter();
            let mut shell = Shell {
                raw,
                parts,
                reporter,
                stop,
                made,
                initialized: false,
                dead: false,
                running: None,
            };
            for command in orders {
                let last = matches!(command, Command::Stop);
                let outcome = supervise(|| {
                    shell.obey(command);
                    Ok(())
                });
                if let Err(trace) = outcome {
                    supervisor.send(ConnectorEvent::State(State::Failed, Some(trace)));
                }
                if last {
                    break;
                }
            }
            supervisor.send(ConnectorEvent::Gone);
        });
    if let Err(error) = spawned {
        let error = Error::fatal("starting a thread").with_source(error);
        let event = ConnectorEvent::State(State::Failed, Some(error.trace()));
        failed.send(event);
    }
    running
}

#[derive(Clone)]
struct Reporter {
    name: Arc<str>,
    epoch: u64,
    sender: mpsc::Sender<Event>,
}

impl Reporter {
    fn send(&self, event: ConnectorEvent) {
        // The herder may be gone while the worker stops.
        self.sender
            .send(Event::Connector(Arc::clone(&self.name), self.epoch, event))
            .ok();
    }
}

/// What of a connector is there in every state.
struct Shell {
    raw: Arc<RawConfig>,
    parts: Parts,
    reporter: Reporter,
    stop: StopSignal,
    made: Arc<AtomicBool>,
    /// It is made and its offsets are at hand.
    initialized: bool,
    /// It could not be initialized: only a restart helps.
    dead: bool,
    running: Option<Made>,
}

type Made = (Box<dyn Connector>, &'static Plugin, Resolved);

impl Shell {
    fn obey(&mut self, command: Command) {
        match command {
            Command::Target(_) if self.dead => {}
            Command::Target(TargetState::Started) if self.running.is_some() => {}
            Command::Target(target) => match self.make() {
                Ok(made) => self.enter(target, made),
                Err(error) => {
                    self.dead = !self.initialized;
                    self.fail(&error);
                }
            },
            Command::MakeTasks => {
                if let Some((connector, plugin, resolved)) = &mut self.running {
                    let tasks = task_configs(
                        &mut **connector,
                        plugin,
                        &self.reporter.name,
                        &self.raw,
                        resolved,
                        &self.parts,
                    );
                    match tasks {
                        Err(error) if error.message().contains("has generated") => self
                            .reporter
                            .send(ConnectorEvent::State(State::Failed, Some(error.trace()))),
                        tasks => self.reporter.send(ConnectorEvent::Tasks(tasks)),
                    }
                }
            }
            Command::Stop => self.end(),
        }
    }

    fn fail(&self, error: &Error) {
        tracing::error!(error = %Chain(error), "starting the connector");
        self.reporter
            .send(ConnectorEvent::State(State::Failed, Some(error.trace())));
    }

    /// Goes over into a state with a connector that could be made.
    fn enter(&mut self, target: TargetState, made: Made) {
        match target {
            TargetState::Started => match self.start(made) {
                Ok(()) => self
                    .reporter
                    .send(ConnectorEvent::State(State::Running, None)),
                Err(error) => self.fail(&error),
            },
            _ => {
                self.end();
                let state = match target {
                    TargetState::Paused => State::Paused,
                    TargetState::Started | TargetState::Stopped => State::Stopped,
                };
                self.reporter.send(ConnectorEvent::State(state, None));
            }
        }
    }

    /// Makes the connector; nothing of it runs yet.
    fn make(&mut self) -> Result<Made> {
        let resolved = self.parts.resolver.resolve(&self.raw)?;
        let class = resolved
            .props
            .get("connector.class")
            .map_or("", String::as_str);
        let plugin = self
            .parts
            .plugins
            .connector(class)
            .map_err(|error| Error::fatal(error.message))?;
        let connector = match plugin.make {
            Make::Source { connector, .. } | Make::Sink { connector, .. } => connector(),
            _ => return Err(Error::config(format!("{class} is no connector"))),
        };
        let is_source = matches!(plugin.make, Make::Source { .. });
        if is_source && self.parts.config.options.bool("topic.creation.enable") {
            TopicCreation::new(&resolved.props)?;
        }
        let offsets = match is_source && !self.initialized {
            true => OffsetClients::new(&self.parts, &self.reporter.name, &resolved.props)?,
            false => None,
        };
        self.made.store(true, Ordering::Release);
        if let Some(offsets) = offsets {
            offsets.ensure_topic()?;
        }
        self.initialized = true;
        Ok((connector, plugin, resolved))
    }

    fn start(&mut self, (mut connector, plugin, resolved): Made) -> Result<()> {
        let (tasks, errors) = (self.reporter.clone(), self.reporter.clone());
        let shown = resolved.clone();
        let context = ConnectorContext {
            name: self.reporter.name.to_string(),
            plugin: PluginContext {
                runtime: self.parts.runtime.clone(),
            },
            stop: self.stop.clone(),
            request_task_reconfiguration: Arc::new(move || tasks.send(ConnectorEvent::NeedsTasks)),
            raise_error: Arc::new(move |error| {
                let trace = redacted(error, &shown).trace();
                errors.send(ConnectorEvent::State(State::Failed, Some(trace)));
            }),
        };
        let started = connector.start(context, &resolved.props);
        if let Err(error) = started {
            connector.stop();
            return Err(redacted(error, &resolved));
        }
        self.running = Some((connector, plugin, resolved));
        Ok(())
    }

    fn end(&mut self) {
        if let Some((mut connector, ..)) = self.running.take() {
            connector.stop();
        }
    }
}

/// A connector's task configurations as they are stored.
fn task_configs(
    connector: &mut dyn Connector,
    plugin: &Plugin,
    name: &str,
    raw: &RawConfig,
    resolved: &Resolved,
    parts: &Parts,
) -> Result<Vec<RawConfig>> {
    let configs = connector
        .task_configs(most_tasks(&resolved.props))
        .map_err(|error| redacted(error, resolved))?;
    check_count(name, configs.len(), &resolved.props)?;
    Ok(configs
        .into_iter()
        .map(|config| stored(config, plugin, raw, parts))
        .collect())
}

/// `tasks.max`.
fn most_tasks(props: &Props) -> usize {
    let given = props.get("tasks.max").map(|text| text.trim().parse().ok());
    given.flatten().unwrap_or(1)
}

/// Refuses more tasks than `tasks.max` unless `tasks.max.enforce` says otherwise.
fn check_count(name: &str, count: usize, props: &Props) -> Result<()> {
    let max = most_tasks(props);
    let enforced = !props
        .get("tasks.max.enforce")
        .is_some_and(|text| text.trim().eq_ignore_ascii_case("false"));
    match count > max && enforced {
        true => Err(Error::fatal(format!(
            "The connector {name} has generated {count} tasks, which is greater than {max}, the \
             maximum number of tasks it is configured to create. This behaviour should be \
             considered a bug and is disallowed. If necessary, it can be permitted by \
             reconfiguring the connector with 'tasks.max.enforce' set to false; however, this \
             option will be removed in a future release of Kafka Connect."
        ))),
        false => Ok(()),
    }
}

fn stored(config: Props, plugin: &Plugin, raw: &RawConfig, parts: &Parts) -> RawConfig {
    let mut stored = parts.resolver.restore(config, raw);
    let (task_class, sink) = match plugin.make {
        Make::Sink { task_class, .. } => (task_class, true),
        Make::Source { task_class, .. } => (task_class, false),
        _ => return stored,
    };
    stored.insert("task.class".to_owned(), Some(task_class.to_owned()));
    if sink {
        for key in ["topics", "topics.regex"] {
            let given = raw
                .get(key)
                .and_then(Option::as_ref)
                .filter(|text| !text.is_empty());
            if let Some(text) = given {
                stored.insert(key.to_owned(), Some(text.clone()));
            }
        }
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_tasks_than_allowed_are_refused_unless_that_is_not_enforced() {
        let check = |entries: &[(&str, &str)], count| {
            let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
            let props: Props = entries.iter().map(owned).collect();
            check_count("c", count, &props).is_ok()
        };
        assert!(check(&[], 1) && !check(&[], 2));
        assert!(check(&[("tasks.max", "2")], 2) && !check(&[("tasks.max", "2")], 3));
        assert!(check(&[("tasks.max.enforce", "false")], 2));
    }
}
