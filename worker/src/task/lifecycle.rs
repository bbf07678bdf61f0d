//! The thread of a task or connector: how it is told things, what it reports, what becomes of a
//! panic.
//!
//! Knows nothing of records. Answers for the life cycle in `WorkerTask`.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

use connect_api::context::{PluginContext, StopSignal};
use connect_api::error::Chain;
use connect_api::{Error, Result};

use super::auto_restart::Policy;
use crate::herder::Stores;
use crate::herder::request::{Parts, RawConfig, Request, TaskId};
use crate::herder::state::{Event, TaskEvent};
use crate::providers::Resolved;
use crate::store::status::State;

/// What a task is told while it runs.
#[derive(Debug, Default)]
pub struct Control {
    /// Set when it is to stop.
    pub stop: StopSignal,
    abandoned: AtomicBool,
    paused: Mutex<bool>,
    changed: Condvar,
}

impl Control {
    /// A control that starts paused or not.
    pub fn new(paused: bool) -> Self {
        Self {
            paused: Mutex::new(paused),
            ..Self::default()
        }
    }
    /// Pauses or resumes.
    pub fn pause(&self, paused: bool) {
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = paused;
        self.changed.notify_all();
    }
    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Waits until it is resumed or the time has passed.
    pub fn wait_paused(&self, limit: Duration) {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        drop(
            self.changed
                .wait_timeout_while(paused, limit, |paused| *paused && !self.stop.is_set()),
        );
    }
    /// Stops it.
    pub fn stop(&self) {
        self.stop.set();
        self.changed.notify_all();
    }
    /// Gives it up: it may not store or commit anything any more, another one runs in its place.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.stop();
    }
    /// Whether it was given up.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }
}

/// What a task's thread has to work with.
#[derive(Debug)]
pub struct TaskContext {
    /// The worker.
    pub parts: Parts,
    /// The worker's topics.
    pub stores: Arc<Stores>,
    /// The task.
    pub id: TaskId,
    /// What it is told.
    pub control: Arc<Control>,
    /// Its connector's configuration, placeholders resolved.
    pub connector: Resolved,
    /// Its own, placeholders resolved.
    pub config: Resolved,
    /// Who hears of its states.
    pub reporter: Reporter,
    /// The generation of task configurations that it was started with.
    pub generation: Option<u32>,
    made: Arc<AtomicBool>,
}

impl TaskContext {
    /// What plugins get.
    pub fn plugin(&self) -> PluginContext {
        PluginContext {
            runtime: self.parts.runtime.clone(),
        }
    }
    /// Its plugins and clients are there. What fails before has no version in its status.
    pub fn made(&self) {
        self.made.store(true, Ordering::Release);
        self.reporter.send(TaskEvent::Made);
    }
    /// Notes that the connector uses a topic.
    pub fn uses_topic(&self, topic: &str) {
        if self.parts.config.options.bool("topic.tracking.enable") {
            self.stores.status.put_topic(&self.id, topic, now_ms());
        }
    }
}

/// Milliseconds since the epoch.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Tells the herder of a task's states.
#[derive(Clone, Debug)]
pub struct Reporter {
    id: TaskId,
    epoch: u64,
    sender: mpsc::Sender<Event>,
}

impl Reporter {
    /// The task is in this state now.
    pub fn state(&self, state: State) {
        self.send(TaskEvent::State(state, None));
    }
    fn send(&self, event: TaskEvent) {
        // The herder may be gone while the worker stops.
        self.sender
            .send(Event::Task(self.id.clone(), self.epoch, event))
            .ok();
    }
}

/// A task that runs.
#[derive(Debug)]
pub struct RunningTask {
    /// Its incarnation.
    pub epoch: u64,
    /// What it is told.
    pub control: Arc<Control>,
    made: Arc<AtomicBool>,
}

impl RunningTask {
    /// Whether its plugins and clients could be made.
    pub fn is_made(&self) -> bool {
        self.made.load(Ordering::Acquire)
    }
}

/// What starts a task.
#[derive(Debug)]
pub struct TaskPlan {
    /// The task.
    pub id: TaskId,
    /// Its incarnation.
    pub epoch: u64,
    /// Its connector's configuration.
    pub connector: Arc<RawConfig>,
    /// Its own.
    pub config: Arc<RawConfig>,
    /// Whether it starts paused.
    pub paused: bool,
}

/// Starts a task's thread, which reports from then on.
pub fn start(
    plan: TaskPlan,
    parts: &Parts,
    stores: &Arc<Stores>,
    sender: &mpsc::Sender<Event>,
) -> RunningTask {
    let control = Arc::new(Control::new(plan.paused));
    let reporter = Reporter {
        id: plan.id.clone(),
        epoch: plan.epoch,
        sender: sender.clone(),
    };
    let running = RunningTask {
        epoch: plan.epoch,
        control: Arc::clone(&control),
        made: Arc::default(),
    };
    let made = Arc::clone(&running.made);
    let generation = stores.config.state().task_generation(&plan.id.connector);
    let (parts, stores) = (parts.clone(), Arc::clone(stores));
    let supervisor = reporter.clone();
    let id = plan.id.clone();
    let spawned = std::thread::Builder::new()
        .name(format!("task-thread-{id}"))
        .spawn(move || {
            let task = plan.id.clone();
            let span = tracing::info_span!("task", connector = &*task.connector, task = task.task);
            let _entered = span.enter();
            let worker_props = parts.config.props.clone();
            let after = After {
                stores: Arc::clone(&stores),
                stop: control.stop.clone(),
                sender: supervisor.sender.clone(),
            };
            let mut pause = None;
            let run = || {
                let connector = parts.resolver.resolve(&plan.connector)?;
                let config = parts.resolver.resolve(&plan.config)?;
                // What is shown of an error shows no secret.
                let shown = connector.clone();
                let context = TaskContext {
                    parts,
                    stores,
                    id: plan.id,
                    control,
                    connector,
                    config,
                    reporter,
                    generation,
                    made,
                };
                let policy = Policy::of(&shown.props, &worker_props)?;
                super::run(context).map_err(|error| {
                    let error = redacted(error, &shown);
                    pause = after
                        .stores
                        .restarts
                        .failed(&task, &policy, &error, now_ms());
                    error
                })
            };
            supervisor.send(match supervise(run) {
            Ok(()) => TaskEvent::Gone,
            Err(trace) => {
                tracing::error!(
                    task = %task,
                    "Task threw an uncaught and unrecoverable exception. Task is being killed and \
                     will not recover until manually restarted: {}",
                    trace.trim_end()
                );
                TaskEvent::State(State::Failed, Some(trace))
            }
        });
            if let Some(pause) = pause {
                after.restart(&task, pause);
            }
        });
    if let Err(error) = spawned {
        let error = Error::fatal("starting a thread").with_source(error);
        let reporter = Reporter {
            id,
            epoch: running.epoch,
            sender: sender.clone(),
        };
        reporter.send(TaskEvent::State(State::Failed, Some(error.trace())));
    }
    running
}

/// What restarts a task after it has failed: its own thread, which waits for the pause.
struct After {
    stores: Arc<Stores>,
    stop: StopSignal,
    sender: mpsc::Sender<Event>,
}

impl After {
    /// Restarts the task, unless it is no longer the one that failed.
    fn restart(&self, id: &TaskId, pause: Duration) {
        tracing::warn!(task = %id, pause_ms = pause.as_millis(), "errors.restart.policy restarts the task after a pause");
        let stopped = self.stop.wait(pause);
        let status = self.stores.status.task(&id.connector, id.task);
        let still_failed = status.is_some_and(|status| status.state == State::Failed.name());
        if stopped || !still_failed {
            self.stores.restarts.ended(id, "superseded");
            return;
        }
        self.stores.restarts.ended(id, "restarted");
        let (answer, _nobody) = tokio::sync::oneshot::channel();
        let request = Request::RestartTask(id.clone(), answer);
        // The herder may be gone while the worker stops.
        self.sender.send(Event::Request(request)).ok();
    }
}

/// The error with placeholders in place of what they stood for.
pub fn redacted(error: Error, resolved: &Resolved) -> Error {
    let full = Chain(&error).to_string();
    if resolved.redact(&full) == full {
        return error;
    }
    let clean = Error::new(error.kind(), resolved.redact(error.message()));
    match std::error::Error::source(&error) {
        Some(source) => clean.with_source(resolved.redact(&Chain(source).to_string())),
        None => clean,
    }
}

/// Runs the body of a thread; an error or panic becomes a trace.
///
/// # Errors
/// The trace.
pub fn supervise(body: impl FnOnce() -> Result<()>) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.trace()),
        Err(panic) => Err(Error::fatal(format!("internal error: {}", panic_text(&*panic))).trace()),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_trace() {
        assert_eq!(supervise(|| Ok(())), Ok(()));
        let trace = supervise(|| panic!("at {}", 7)).expect_err("panicked");
        assert_eq!(
            trace,
            "org.apache.kafka.connect.errors.ConnectException: internal error: at 7\n"
        );
    }

    #[test]
    fn an_abandoned_task_is_stopped_too() {
        let control = Control::new(true);
        assert!(control.is_paused());
        control.abandon();
        assert!(control.stop.is_set() && control.is_abandoned());
        control.wait_paused(Duration::from_secs(60));
    }
}
